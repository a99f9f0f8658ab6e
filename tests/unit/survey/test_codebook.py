"""Faults of the codebook's own two tables, and what it says to captions."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluation.errors import CodebookError
from evaluation.survey.codebook import Codebook, read_codebook
from evaluation.survey.scales import direction_of

HEAD = "variable,kind,label_ko,label_en,codes,missing_codes,minimum,maximum,gate,gate_blank,scale_direction\n"
CODES = "list,code,label_ko,label_en\nyes_no,1,예,Yes\nyes_no,2,,No\n"


def book(folder: Path, rows: str, codes: str = CODES, head: str = HEAD) -> Codebook:
    (folder / "codebook.csv").write_text(head + rows, encoding="utf-8")
    (folder / "codes.csv").write_text(codes, encoding="utf-8")
    return read_codebook(folder)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("q,ordinl,큐,Q,yes_no,,,,,,higher_is_more", "line 2: 'q' has kind 'ordinl'"),
        ("q,binary,,,yes_no,,,,,,", "line 2: 'q' has neither label_ko nor label_en. Give one."),
        ("q,binary,큐,Q,yes_mo,,,,,,", "which codes.csv lacks. Did you mean 'yes_no'?"),
        ("q,ordinal,큐,Q,,,,,,,higher_is_more", "is ordinal and needs its codes"),
        ("q,binary,큐,Q,yes_no,8=dontknow,,,,,", "'8=dontknow', expected code=reason. Did you mean 'dont_know'?"),
        ("q,numeric,큐,Q,,,9,1,,,", "has minimum 9 above maximum 1"),
        ("q,numeric,큐,Q,,,nine,,,,", "has minimum 'nine', expected a number."),
        ("q,numeric,큐,Q,,,,,p == 1,,", "has a gate on 'p', which is no variable further up."),
        ("q,numeric,큐,Q,,,,,first ~ 1,,", "has gate 'first ~ 1', expected e.g."),
        ("q,numeric,큐,Q,,,,,first == 3,,", "has a gate on codes ['3'] of 'first', whose codes are ['1', '2']"),
        ("q,binary,큐,Q,yes_no,,,,,3,", "has gate_blank 3, not one of its codes ['1', '2']"),
        ("first,numeric,큐,Q,,,,,,,", "'first' stands twice"),
        ("q,ordinal,큐,Q,yes_no,,,,,,higher", "has scale_direction 'higher', expected one of"),
    ],
)
def test_a_fault_of_the_codebook_names_its_line(tmp_path: Path, row: str, message: str) -> None:
    first = (
        ""
        if row.startswith("q,") and "gate on" not in message and "first ~" not in message
        else "first,binary,처음,First,yes_no,,,,,,\n"
    )
    with pytest.raises(CodebookError) as caught:
        book(tmp_path, first + row + "\n")
    assert message.replace("line 2", f"line {3 if first else 2}") in str(caught.value)


def test_all_faults_come_at_once(tmp_path: Path) -> None:
    with pytest.raises(CodebookError) as caught:
        book(tmp_path, "q,ordinl,큐,Q,,,,,,,\nr,numeric,알,R,,,x,,,,\n")
    assert "has 2 faults" in str(caught.value)


def test_unknown_and_missing_columns_and_doubled_codes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CodebookError, match=r"unknown column 'mimimum'. Did you mean 'minimum'\?"):
        book(tmp_path, "q,numeric,큐,Q,1\n", head="variable,kind,label_ko,label_en,mimimum\n")
    with pytest.raises(CodebookError, match=r"missing \['kind'\]"):
        book(tmp_path, "q,Q\n", head="variable,label_en\n")
    with pytest.raises(CodebookError, match=r"line 4: list 'yes_no' has code 2 twice"):
        book(tmp_path, "q,binary,큐,Q,yes_no,,,,,,\n", codes=CODES + "yes_no,2.0,아니요,No\n")


def test_two_variables_cannot_claim_one_column(tmp_path: Path) -> None:
    with pytest.raises(CodebookError, match="'a' and 'b' both claim the file's column 'Q1'"):
        book(tmp_path, "a,numeric,Q1,에이\nb,numeric,Q1,비\n", head="variable,kind,source_name,label_ko\n")


def test_labels_fall_back_to_the_other_language_then_to_the_code(tmp_path: Path) -> None:
    labels = book(tmp_path, "q,binary,,Volunteered,yes_no,,,,,,\n")
    assert labels.variable("q", "ko") == "Volunteered"
    assert (labels.value("q", 1, "ko"), labels.value("q", 2.0, "ko"), labels.value("q", 3, "ko")) == ("예", "No", "3")
    assert labels.table("ko")["codes"].tolist() == ["1=예; 2=No"]
    assert (labels.variable("other", "ko"), labels.value("other", 1.5, "en")) == ("other", "1.5")
    with pytest.raises(CodebookError, match="no variable 'p'"):
        labels["p"]


@pytest.mark.parametrize(
    ("low", "high", "lang", "direction"),
    [
        ("매우 좋다", "매우 나쁘다", "ko", "higher_is_less"),
        ("전혀 신뢰하지 않음", "매우 신뢰", "ko", "higher_is_more"),
        ("전적으로 행복하다", "전적으로 불행하다", "ko", "higher_is_less"),
        ("최하층", "최상층", "ko", "higher_is_more"),
        ("항상 신뢰할 수 있다", "항상 조심해야 한다", "ko", ""),
        ("무학", "대학원", "ko", ""),
        ("Not at all satisfied", "Completely satisfied", "en", "higher_is_more"),
        ("Always", "Never", "en", "higher_is_less"),
        ("Very unlikely", "Very likely", "en", "higher_is_more"),
        ("0", "10 or more", "en", ""),
    ],
)
def test_the_ends_of_a_scale_tell_its_direction_only_where_they_are_opposites(
    low: str, high: str, lang: str, direction: str
) -> None:
    assert direction_of([low, "", high], lang) == direction
