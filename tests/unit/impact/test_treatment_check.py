"""Columns of treatment that cannot be those of a staged roll-out are found before anything is estimated."""

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, EstimationError, EvaluationError, IdentificationError


@pytest.fixture
def frame():
    """Four districts over four waves: treated from 2015, from 2016, from 2017, and never."""
    districts = pd.DataFrame({"gu": np.repeat(list("abcd"), 4), "year": [2014, 2015, 2016, 2017] * 4})
    districts["g"] = np.repeat([2015, 2016, 2017, 0], 4)
    districts["d"] = ((districts["g"] > 0) & (districts["year"] >= districts["g"])).astype(int)
    return districts.assign(dose=districts["d"] / 2, day="2015-07-01")


COLUMNS = {"unit": "gu", "time": "year", "treatment": "d", "cohort": "g", "dose": "dose", "dates": ["day"]}


def problems(frame, **changes):
    return ev.check_treatment(frame, **(COLUMNS | changes)).tidy().set_index("problem")


def test_a_staged_roll_out_is_clean(frame):
    check = ev.check_treatment(frame, **COLUMNS, refuse=True)
    assert check.is_clean
    assert check.tidy().empty
    assert "Nothing in the treatment" in check.statement("en")
    assert "어긋나는 것이 없음" in check.statement("ko")


@pytest.mark.parametrize(
    ("row", "column", "value", "problem", "n_rows"),
    [
        (3, "d", 0, "switches_off", 1),
        (5, "g", 2017, "changes_cohort", 4),
        (6, "dose", 1.2, "dose_outside", 1),
        (6, "dose", -0.1, "dose_outside", 1),
        (0, "d", 1, "contradicts_cohort", 1),
        (6, "d", 0.5, "treatment_not_binary", 1),
        (6, "d", np.nan, "missing_values", 1),
        (6, "year", 2015, "duplicated", 2),
        (6, "year", 2015, "unbalanced", 1),
        (6, "year", "July 2016", "not_a_date", 1),
        (6, "g", "later", "not_a_date", 1),
        (6, "dose", "half", "not_a_number", 1),
        (6, "day", "2015-02-30", "not_a_date", 1),
    ],
)
def test_each_fault_is_found_with_its_rows(frame, row, column, value, problem, n_rows):
    spoiled = frame.astype({column: object})
    spoiled.loc[row, column] = value
    found = problems(spoiled)
    assert found.loc[problem, "n_rows"] == n_rows
    assert found.loc[problem, "is_fault"]
    with pytest.raises((ColumnError, IdentificationError)) as caught:
        ev.check_treatment(spoiled, **COLUMNS, refuse=True)
    assert problem in set(caught.value.failures["problem"])


def test_starts_outside_the_waves_are_told_apart(frame):
    frame["g"] = np.repeat([2014, 2016, 2019, 2016], 4)
    found = problems(frame, treatment=None)
    assert found.loc["starts_before", "is_fault"]
    assert found.loc["starts_before", "first"] == "a in 2014"
    assert not found.loc["starts_after", "is_fault"]
    frame["g"] = np.repeat([2015, 2016, 2017, 2017], 4)
    assert not problems(frame, treatment=None).loc["never_treated_none", "is_fault"]
    early = frame.assign(d=1).drop(columns="g")
    assert problems(early, cohort=None).loc["starts_before", "n_rows"] == 4


def test_a_blank_date_is_allowed(frame):
    assert ev.check_treatment(frame.assign(day=[None, ""] * 8), **COLUMNS).is_clean


def test_what_refuses_is_typed_by_its_first_fault_and_names_the_next_move(frame):
    frame.loc[3, "d"] = 0
    with pytest.raises(IdentificationError, match=r"switch off.*ev\.switching_did"):
        ev.check_treatment(frame, unit="gu", time="year", treatment="d", refuse=True)
    frame.loc[3, "dose"] = 40
    with pytest.raises(ColumnError, match="divide per cent by 100"):
        ev.check_treatment(frame, **COLUMNS, refuse=True)


def test_respondents_may_share_a_place_and_wave_but_not_differ_there(frame):
    people = pd.concat([frame, frame], ignore_index=True)
    assert "duplicated" in problems(people).index
    assert ev.check_treatment(people, **COLUMNS, respondents=True).is_clean
    over_time = ev.panel(ev.survey_design(people), time="year")
    assert ev.check_treatment(over_time, unit="gu", treatment="d", cohort="g").is_clean
    gap = problems(people.drop(index=[2, 18]), respondents=True)
    assert gap.index.tolist() == ["not_sampled"]
    assert not gap["is_fault"].any()
    people.loc[3, "d"] = 0
    found = problems(people, respondents=True)
    assert found.loc["differs_within", "n_rows"] == 2
    assert "switches_off" not in found.index


def test_rows_outside_a_designs_domain_are_not_looked_at(frame):
    frame.loc[3, "d"] = 0
    design = ev.domain(ev.survey_design(frame, psu="gu"), {"gu": ["b", "c", "d"]})
    assert ev.check_treatment(design, unit="gu", time="year", treatment="d").is_clean


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"unit": "gu", "time": "year"}, EstimationError, "name treatment="),
        ({"treatment": "d"}, EstimationError, "name unit="),
        ({"unit": "gu", "time": "year", "treatment": "dd"}, ColumnError, "Did you mean 'd'"),
        ({"unit": "gu", "time": "year", "treatment": "d", "refuse": "yes"}, EstimationError, "refuse"),
    ],
)
def test_what_is_not_named_is_asked_for(frame, arguments, error, said):
    with pytest.raises(error, match=said):
        ev.check_treatment(frame, **arguments)
    with pytest.raises(EstimationError, match="needs a panel, a design or a frame"):
        ev.check_treatment("frame", unit="gu", time="year", treatment="d")


@pytest.mark.parametrize(("lang", "words"), [("ko", "중단된 단위"), ("en", "units that switch off")])
def test_the_report_is_a_table_in_both_languages(frame, lang, words, tmp_path, monkeypatch):
    frame.loc[3, "d"] = 0
    check = ev.check_treatment(frame, **COLUMNS)
    assert words in repr(ev.table(check, lang=lang))
    assert words in check.statement(lang)
    assert check.to_dict()["rows"][0]["problem"] == "switches_off"
    monkeypatch.setenv("EVALUATION_RUN", str(tmp_path))
    assert "tables/treatment.csv" in ev.publish("treatment", check).files


@pytest.mark.parametrize(
    "cohort",
    [
        lambda g: g.where(g == 0, g * 100 + 7),
        lambda g: g > 0,
        lambda g: (g > 0).astype(int),
        lambda g: -g,
        lambda g: pd.to_datetime(g.where(g > 0).astype("Int64").astype("string"), format="%Y"),
    ],
    ids=["year and month", "yes or no", "indicator", "negative", "date"],
)
def test_a_cohort_that_every_estimator_refuses_is_a_fault(frame, cohort):
    spoiled = frame.assign(g=cohort(frame["g"]))
    found = problems(spoiled, treatment=None, dose=None)
    assert found.index.tolist() == ["not_a_period"]
    with pytest.raises(ColumnError, match="such as 2015, and 0 for never"):
        ev.check_treatment(spoiled, unit="gu", time="year", cohort="g", refuse=True)
    waves = ev.panel(ev.survey_design(spoiled.assign(y=range(16)), psu="gu"), unit="gu", time="year")
    with pytest.raises(ColumnError):
        ev.att_gt(waves, outcome="y", cohort="g")


def test_a_missing_dose_and_a_column_that_stands_twice_are_told(frame):
    spoiled = frame.assign(dose=frame["dose"].where(frame.index != 6))
    assert problems(spoiled).loc["missing_values", "n_rows"] == 1
    twice = pd.concat([frame, frame[["d"]]], axis=1)
    with pytest.raises(ColumnError, match="2 columns called 'd'"):
        ev.check_treatment(twice, **COLUMNS)
    waves = ev.panel(ev.survey_design(frame), time="year")
    with pytest.raises(EstimationError, match=r"name unit=\.\.\., what is treated\.$"):
        ev.check_treatment(waves, treatment="d")


def test_what_is_no_roll_out_is_refused_by_name(frame):
    design = ev.survey_design(frame)
    with pytest.raises(EstimationError, match="exposure needs a roll-out, got None"):
        ev.exposure(design, None)
    with pytest.raises(EstimationError, match="check_schedule needs a roll-out, got 7"):
        ev.check_schedule(7, frame)
    for wrong in (None, 7):
        with pytest.raises(EvaluationError, match="survey_id must be the id of a survey"):
            ev.read_rollout(wrong)
