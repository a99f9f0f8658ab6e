"""Population margins: what they must add up to, and how respondents find their level."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.errors import MarginError, SourceError
from evaluation.project import PROJECT_VARIABLE
from evaluation.survey.margins import margins, read_margins

AGE = {"19-39": 400, "40-79": 500, "80+": 100}


def test_margins_can_be_given_as_a_mapping() -> None:
    result = margins({"age": AGE, ("sex"): pd.Series({1: 480, 2: 520}), "total": 1000, "income": -5.5}, unit="persons")
    assert result.names == ("age", "sex", "total", "income")
    assert result.categorical["sex"].to_dict() == {"1": 480.0, "2": 520.0}
    assert result.totals == {"total": 1000.0, "income": -5.5}
    assert result.population == 1000
    assert result.table().iloc[0].to_dict() == {
        "margin": "age",
        "level": "19-39",
        "value": 400.0,
        "unit": "persons",
        "source": "",
    }
    assert result.select(["income", "sex"]).names == ("sex", "income")
    with pytest.raises(MarginError, match=r"no margin 'ag' in the margins\. Did you mean 'age'"):
        result.select(["ag"])


def test_respondents_find_their_level_whatever_type_their_codes_have() -> None:
    result = margins({"sex": {1: 480, 2: 520}})
    for values in ([2.0, 1.0, 2.0], ["2", "1", "2"], pd.Categorical([2, 1, 2])):
        codes, targets = result.match("sex", pd.Series(values))
        assert targets[codes].tolist() == [520, 480, 520]


def test_crossed_margins_take_tuples_or_joined_levels() -> None:
    crossed = {("E", "Yes"): 3, "E:No": 1, ("H", "Yes"): 2, ("H", "No"): 4}
    result = margins({"type": {"E": 4, "H": 6}, "type:met": crossed})
    sample = pd.DataFrame({"type": ["H", "E", "E", "H"], "met": ["No", "Yes", "No", "Yes"]})
    codes, targets = result.match("type:met", sample)
    assert targets[codes].tolist() == [4, 3, 1, 2]
    assert result.variables("type:met") == ("type", "met")
    with pytest.raises(MarginError, match=r"'type:met' adds up to 4 for type = 'E' but margin 'type' says 5"):
        margins({"type": {"E": 5, "H": 5}, "type:met": crossed})
    with pytest.raises(
        MarginError, match=r"name different levels of type: \['E', 'H'\] only in .*, \['K'\] only in 'type'\."
    ):
        margins({"type": {"K": 10}, "type:met": crossed})
    margins({"type": {"E": 4, "H": 6, "K": 0}, "type:met": crossed})
    with pytest.raises(MarginError, match="crosses 2 columns, but level 'E' names 1"):
        margins({"type:met": {"E": 5}})


@pytest.mark.parametrize("other", [998.0, 1001.0])
def test_margins_with_different_totals_name_both(other: float) -> None:
    with pytest.raises(MarginError, match=rf"'age' adds up to 1,000 and 'sex' to {other:,.0f} \(difference -?\d"):
        margins({"age": AGE, "sex": {1: 400, 2: other - 400}})
    with pytest.raises(MarginError, match=r"'total' adds up to"):
        margins({"total": other, "age": AGE})


def test_rounding_of_half_a_unit_is_no_contradiction() -> None:
    margins({"age": AGE, "sex": {1: 400.4, 2: 600.0}})
    margins({"age": {"a": 1e12}, "sex": {1: 1e12 + 900}})


@pytest.mark.parametrize(
    ("value", "message"),
    [(-1, "cannot be negative, got -1"), (math.nan, "the value is missing"), ("many", "expected a number, got 'many'")],
)
def test_impossible_counts_are_refused(value: object, message: str) -> None:
    with pytest.raises(MarginError, match=message):
        margins({"age": {"19-39": value}})  # type: ignore[dict-item]


def test_a_level_that_only_the_margin_has_is_named_with_its_target_and_the_next_move() -> None:
    result = margins({"age": AGE}, unit="persons")
    with pytest.raises(MarginError) as caught:
        result.match("age", pd.Series(["19-39", "40-79"]))
    assert str(caught.value) == (
        "margin 'age' has levels absent from the sample: ['80+'] (target 100 persons, 0 respondents).\n"
        "  Merge it with '40-79' in the margins, or drop the margin."
    )


def test_a_level_that_only_the_sample_has_is_named() -> None:
    with pytest.raises(
        MarginError, match=r"lacks levels of the sample: \['40–79'\] \(2 respondents\). Did you mean '40-79'"
    ):
        margins({"age": AGE}).match("age", pd.Series(["19-39", "40–79", "40–79", "80+"]))


def test_respondents_without_a_value_are_counted() -> None:
    with pytest.raises(MarginError, match="1 of 3 respondents have no value of age, first in data rows 2"):
        margins({"age": AGE}).match("age", pd.Series(["19-39", None, "80+"]))


def test_a_zero_target_is_dropped_where_nobody_is_and_refused_where_somebody_is() -> None:
    result = margins({"age": {"a": 5, "b": 0, "c": 5}})
    codes, targets = result.match("age", pd.Series(["c", "a"]))
    np.testing.assert_array_equal(targets, [5, 5])
    np.testing.assert_array_equal(codes, [1, 0])
    with pytest.raises(MarginError, match=r"target 0 for levels that the sample holds: \['b'\] \(1 respondents\)"):
        result.match("age", pd.Series(["c", "a", "b"]))


def test_a_total_is_no_margin_with_levels() -> None:
    with pytest.raises(MarginError, match="'income' is a total of a number"):
        margins({"age": AGE, "income": 3}).match("income", pd.Series([1]))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("age,a,5,persons,\n", "line 2: no source"),
        ("age,a,5,persons,KOSIS\nage,a,6,persons,KOSIS\n", "margin 'age' has level 'a' twice"),
        ("age,a,5,persons,KOSIS\nage,,5,persons,KOSIS\n", "margin 'age' has both levels and a total"),
        ("age,a,,persons,KOSIS\n", "margin 'age', level 'a': the value is missing"),
        ("age,a,5,persons,KOSIS\nsex,1,6,persons,KOSIS\n", "'age' adds up to 5 and 'sex' to 6"),
    ],
)
def test_faults_of_margins_csv_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: str, message: str
) -> None:
    folder = tmp_path / "surveys" / "trial"
    folder.mkdir(parents=True)
    monkeypatch.setenv(PROJECT_VARIABLE, str(tmp_path))
    with pytest.raises(SourceError, match=r"surveys/trial/margins\.csv is not there"):
        read_margins("trial")
    (folder / "margins.csv").write_text("margin,level,value,unit,source\n" + rows, encoding="utf-8")
    with pytest.raises(MarginError) as caught:
        read_margins("trial")
    assert str(caught.value).startswith("surveys/trial/margins.csv")
    assert message in str(caught.value)
