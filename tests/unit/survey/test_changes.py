"""What a wave changed against the one before: read strictly, and kept by trends."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import evaluation as ev
from evaluation import project, wording
from evaluation.errors import IdentificationError, ProjectError, SurveyError
from evaluation.specification import Text
from evaluation.survey.changes import CHANGE_COLUMNS, Change, declared_breaks, read_changes

RENAMED = ["2017", "happy", "renamed", "happy", "", "이름", "name"]
REWORDED = ["2017", "rely", "reworded", "seoul_2016", "", "문구", "wording"]
REVISED = ["2017", "stay", "revised", "seoul_2016", "2016", "정정", "corrected"]

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Both surveys' codebooks in a project of their own; the rows given are the changes."""
    for survey in ("seoul_2016", "seoul_2017"):
        ignored = shutil.ignore_patterns("generated", "*_small.csv", "truth.json", "changes.csv")
        shutil.copytree(project.survey_folder(survey), tmp_path / "surveys" / survey, ignore=ignored)
    monkeypatch.setenv(project.PROJECT_VARIABLE, str(tmp_path))

    def write_rows(*rows: list[str], columns: tuple[str, ...] = CHANGE_COLUMNS) -> None:
        path = tmp_path / "surveys" / "seoul_2017" / "changes.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([list(columns), *rows])

    return write_rows


def replaced(row: list[str], **values: str) -> list[str]:
    return [values.get(name, value) for name, value in zip(CHANGE_COLUMNS, row, strict=True)]


def test_the_three_kinds_are_read_as_they_stand(write: Write) -> None:
    write(RENAMED, REWORDED, REVISED)
    assert read_changes("seoul_2017") == [
        Change(2017, "happy", "renamed", "happy", None, Text(ko="이름", en="name")),
        Change(2017, "rely", "reworded", "seoul_2016", None, Text(ko="문구", en="wording")),
        Change(2017, "stay", "revised", "seoul_2016", 2016, Text(ko="정정", en="corrected")),
    ]
    assert declared_breaks("seoul_2017") == {"rely": {2017: Text(ko="문구", en="wording")}}


def test_a_survey_without_the_file_declares_no_change(write: Write) -> None:
    assert read_changes("seoul_2016") == []
    assert declared_breaks("seoul_2016") == {}
    with pytest.raises(ProjectError, match="Did you mean 'seoul_2017'"):
        read_changes("seoul_2071")


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (replaced(RENAMED, since="17"), r"line 2: since must be a year such as 2017, got '17'"),
        (replaced(RENAMED, variable="hapy"), r"no variable 'hapy' in the codebook\. Did you mean 'happy'"),
        (replaced(RENAMED, kind="rename"), r"kind 'rename'\. Did you mean 'renamed'"),
        (replaced(RENAMED, previous="Q15A1"), r"'happy' is read from the column 'Q15A1', so it was not renamed"),
        (replaced(RENAMED, period="2016"), r"renamed since a year and has no period, got '2016'"),
        (replaced(RENAMED, reason_ko=""), r"'reason_ko' is empty"),
        (
            replaced(REWORDED, previous="seoul_2061"),
            r"must be the id of the survey before: no survey 'seoul_2061'.*Did you mean",
        ),
        (replaced(REWORDED, previous="seoul_2017"), r"previous is this survey itself"),
        (replaced(REWORDED, variable="data", previous=""), r"'previous' is empty"),
        (replaced(REVISED, period=""), r"has as its period the year whose numbers changed, got ''"),
        (replaced(REVISED, period="2017"), r"a number of 2017 cannot be revised since 2017"),
    ],
)
def test_a_row_at_fault_is_told_with_its_line(write: Write, row: list[str], told: str) -> None:
    write(row)
    with pytest.raises(SurveyError, match=r"surveys/seoul_2017/changes\.csv: line 2: .*") as error:
        read_changes("seoul_2017")
    assert pd.Series([str(error.value)]).str.contains(told).all(), str(error.value)
    assert error.value.failures is not None
    assert error.value.failures["line"].tolist() == [2]


def test_every_fault_is_told_at_once(write: Write) -> None:
    write(RENAMED, replaced(REWORDED, kind="x"), RENAMED)
    with pytest.raises(SurveyError, match=r"line 3: kind 'x'.*; line 4: the change stands in line 2, too") as error:
        read_changes("seoul_2017")
    assert error.value.failures is not None
    assert error.value.failures["line"].tolist() == [3, 4]


def test_an_item_that_the_former_survey_does_not_have_was_not_changed(write: Write, tmp_path: Path) -> None:
    path = tmp_path / "surveys" / "seoul_2016" / "codebook.csv"
    lines = path.read_text(encoding="utf-8-sig").splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith("rely,")), encoding="utf-8")
    write(REWORDED)
    with pytest.raises(SurveyError, match=r"survey 'seoul_2016' has no variable 'rely' to have been reworded"):
        read_changes("seoul_2017")


def test_a_column_too_many_or_too_few_is_named(write: Write) -> None:
    write(RENAMED, columns=(*CHANGE_COLUMNS[:-1], "reason_eng"))
    with pytest.raises(SurveyError, match=r"unknown column 'reason_eng'\. Did you mean 'reason_en'"):
        read_changes("seoul_2017")
    write(RENAMED[:-1], columns=CHANGE_COLUMNS[:-1])
    with pytest.raises(SurveyError, match=r"missing \['reason_en'\]"):
        read_changes("seoul_2017")


@pytest.fixture(scope="module")
def waves() -> ev.Design:
    survey = ev.read_survey("seoul_2017", sample="waves")
    return ev.survey_design(survey, **survey.design)


def test_a_trend_keeps_to_the_breaks_that_its_survey_declares(waves: ev.Design) -> None:
    trend = ev.survey_trend(waves, ["rely", "happy"], time="year")
    segments = trend.tidy().set_index(["term", "year"])["segment"]
    assert segments["rely"].tolist() == [0, 0, 1]
    assert segments["happy"].tolist() == [0, 0, 0]
    with pytest.raises(
        IdentificationError, match=r"between 2016 and 2017 the wording changed \('rely' in 2017: .*fami"
    ):
        ev.trend_change(trend, 2016, 2017)
    assert ev.trend_change(trend, 2015, 2016).tidy()["estimate"].notna().all()
    marked = ev.trend_change(trend, 2015, 2017, across_breaks="mark").tidy().set_index("term")
    assert marked.loc["rely", "break"] == "2017"
    assert pd.isna(marked.loc["rely", "estimate"])
    assert pd.notna(marked.loc["happy", "estimate"])


def test_breaks_that_are_given_take_the_place_of_those_declared(waves: ev.Design) -> None:
    trend = ev.survey_trend(waves, "rely", time="year", breaks={})
    assert trend.fit["breaks"] == []
    assert ev.trend_change(trend, 2016, 2017).estimate[0] > 0.02


def test_a_break_before_or_after_the_waves_at_hand_is_none(waves: ev.Design) -> None:
    before = ev.survey_trend(ev.domain(waves, {"year": [2015, 2016]}), "rely", time="year")
    assert before.fit["breaks"] == []


def test_the_declared_break_is_found_and_makes_no_jump_of_the_wave_before_it(waves: ev.Design) -> None:
    trend = ev.survey_trend(waves, ["stay", "rely", "happy"], time="year")
    verdicts = ev.find_breaks(trend).tidy().set_index(["term", "year"])["verdict"]
    assert verdicts[("rely", "2017")] == "declared"
    assert (verdicts.drop(("rely", "2017")) == "").all()
    unsaid = ev.find_breaks(ev.survey_trend(waves, "rely", time="year", breaks={})).tidy()
    assert (unsaid["verdict"] != "").sum() == 1


def test_waves_with_two_wordings_of_an_item_are_not_pooled(waves: ev.Design) -> None:
    participants = ev.domain(waves, {"participant": 1})
    options = {"by": "district", "minimum_n": 10, "minimum_df": 1}
    pooled = ev.pooled_waves(participants, ["rely", "happy"], **options).tidy().set_index("term")
    assert set(pooled.loc["rely", "refused_because"]) == {"asked in other words in one of the waves"}
    assert pooled.loc["rely", "estimate"].isna().all()
    assert pooled.loc["happy", "estimate"].notna().all()
    before = ev.pooled_waves(participants, "rely", waves=[2015, 2016], **options)
    assert before.tidy()["estimate"].notna().sum() > 20
    assert wording.term("asked in other words in one of the waves", "ko") == "문구가 달랐던 조사 연도가 있음"
