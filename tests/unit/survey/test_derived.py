"""Variables made from others: declared in the codebook, never guessed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from evaluation.errors import CodebookError
from evaluation.survey.codebook import read_codebook
from evaluation.survey.reading import read_survey_file

HEAD = "variable,kind,label_en,codes,missing_codes,scale_direction,derived,source_name,minimum,maximum\n"
Q1 = "q1,ordinal,Neighbours help,agree,-8=dont_know,higher_is_less,,,,\n"
CODES = """list,code,label_ko,label_en
agree,1,,Completely agree
agree,2,,Agree
agree,3,,Disagree
agree,4,,Completely disagree
no_yes,0,,No
no_yes,1,,Yes
age,young,,Under 40
age,older,,40 and over
"""


def folder_with(folder: Path, rows: str) -> Path:
    (folder / "codebook.csv").write_text(HEAD + Q1 + "age,numeric,Age,,,,,,18,99\n" + rows, encoding="utf-8")
    (folder / "codes.csv").write_text(CODES, encoding="utf-8")
    (folder / "data.csv").write_text("q1,age\n1,18\n2,39\n3,40\n4,80\n-8,41\n", encoding="utf-8")
    return folder


def test_each_answer_falls_into_one_part_and_no_answer_into_none(tmp_path: Path) -> None:
    rows = "agrees,binary,Agrees,no_yes,,,q1: 1..2 = 1; 3.. = 0,,,\ngroup,categorical,Group,age,,,"
    folder_with(tmp_path, rows + "age: ..39 = young; 40..99 = older,,,\n")
    survey = read_survey_file(tmp_path / "data.csv", codebook=tmp_path)
    assert survey.data["agrees"].tolist()[:4] == [1, 1, 0, 0]
    assert pd.isna(survey.data["agrees"][4])
    assert survey.data["group"].tolist() == ["young", "young", "older", "older", "older"]
    assert survey.missing.to_dict("records") == [{"variable": "q1", "code": "-8", "reason": "dont_know", "n": 1}]
    assert survey.codebook.value("agrees", 1, "en") == "Yes"
    assert survey.not_read == ()


def test_an_answer_that_stands_in_no_part_or_in_two_is_refused(tmp_path: Path) -> None:
    folder_with(tmp_path, 'agrees,binary,Agrees,no_yes,,,"q1: 1, 2 = 1; 2, 3 = 0",,,\n')
    with pytest.raises(CodebookError) as refused:
        read_survey_file(tmp_path / "data.csv", codebook=tmp_path)
    message = str(refused.value)
    assert "whose answer 4 (1 row: data row 4) stands in no part of the derivation" in message
    assert "whose answer 2 (1 row: data row 2) stands in several parts (1, 0)" in message


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "a,binary,A,no_yes,,,q2: 1 = 1; 2..4 = 0,,,",
            "derived from 'q2', which is no variable further up. Known: q1, age",
        ),
        ("a,binary,A,no_yes,,,q1: 1 = 1; 2..4 = 2,,,", r"derived as 2, not one of its codes \['0', '1'\]"),
        ("a,binary,A,no_yes,,,q1: 1..4,,,", "has derived '1..4', expected e.g. '1..3 = 1'"),
        ("a,binary,A,no_yes,,,q1:,,,", "has derived 'q1:', expected e.g. 'AGE: 18..29 = young"),
        ("a,binary,A,no_yes,-8=refused,,q1: 1 = 1; 2..4 = 0,,,", "Leave missing_codes empty"),
        ("a,binary,A,no_yes,,,q1: 1 = 1; 2..4 = 0,q1,,", "Leave source_name empty"),
    ],
)
def test_a_derivation_that_is_none_is_refused_with_its_line(tmp_path: Path, row: str, message: str) -> None:
    folder_with(tmp_path, row + "\n")
    with pytest.raises(CodebookError, match=message) as refused:
        read_codebook(tmp_path)
    assert "line 4: 'a'" in str(refused.value)
