"""t tests against R, by hand, and what they refuse."""

from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import evaluation as ev
from evaluation.errors import ColumnError, EstimationError

REFERENCE = runpy.run_path(str(Path(__file__).with_name("reference_designs.py")))
api_design, expected = REFERENCE["api_design"], REFERENCE["expected"]

ESTIMATE_TOLERANCE = 1e-8
TOLERANCE = 1e-6


def hold_against(test, want, shift=0.0):
    estimate = next(iter(want["estimate"].values()))
    assert test.estimate - shift == pytest.approx(estimate, rel=ESTIMATE_TOLERANCE)
    assert test.statistic == pytest.approx(want["statistic"]["t"], rel=TOLERANCE)
    assert test.df == want["parameter"]["df"]
    assert test.p_value == pytest.approx(want["p_value"], rel=TOLERANCE)
    assert [test.conf_low - shift, test.conf_high - shift] == pytest.approx(want["conf_int"], rel=TOLERANCE)


@pytest.mark.parametrize(
    ("name", "item"), [("dstrat", 56), ("dclus1", 132), ("dsc", 205), ("rep_jkn", 325), ("rep_jk1", 338)]
)
def test_the_difference_of_two_groups_is_that_of_r(name, item):
    hold_against(ev.survey_ttest(api_design(name), "api00", by="comp.imp"), expected()[f"dev_{item:03d}"])


@pytest.mark.parametrize(("name", "item"), [("dstrat", 57), ("dclus1", 133), ("dsc", 206)])
def test_one_mean_against_a_number_is_that_of_r(name, item):
    hold_against(ev.survey_ttest(api_design(name), "api00", mu=650), expected()[f"dev_{item:03d}"], shift=650)


def test_two_groups_by_hand():
    frame = pd.DataFrame({"y": [1.0, 3.0, 5.0, 4.0, 8.0, 9.0], "group": list("aaabbb")})
    test = ev.survey_ttest(ev.survey_design(frame), "y", by="group")
    # six units of one stratum; influence of each: (y - mean) / 3, signed
    z = np.array([2, 0, -2, -3, 1, 2]) / 3
    error = np.sqrt(6 / 5 * (z**2).sum())
    assert (test.estimate, test.df, test.smallest_group) == (4.0, 4.0, 3)
    assert test.statistic == pytest.approx(4 / error)
    assert test.p_value == pytest.approx(2 * stats.t.sf(4 / error, 4))


def test_pairs_are_the_mean_of_their_differences_among_those_who_answered_both():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"psu": np.repeat(range(10), 6), "w": rng.uniform(1, 3, 60), "before": rng.normal(5, 1, 60)})
    frame["after"] = frame["before"] + rng.normal(0.4, 0.5, 60)
    frame.loc[[3, 17], "after"] = np.nan
    frame.loc[40, "before"] = np.nan
    frame["gain"] = frame["after"] - frame["before"]
    design = ev.survey_design(frame, weights="w", psu="psu")
    paired, plain = ev.survey_ttest(design, "after", paired_with="before"), ev.survey_ttest(design, "gain")
    assert paired.n_obs == plain.n_obs == 57
    assert paired.statistic == pytest.approx(plain.statistic, rel=1e-12)
    assert paired.std_error == pytest.approx(ev.survey_mean(design, "gain").std_error[0], rel=1e-12)
    assert "after - before" in paired.hypothesis


def test_a_domain_restricts_the_test_and_its_degrees_of_freedom():
    design = ev.domain(api_design("dsc"), {"stype": ["H", "M"]})
    test = ev.survey_ttest(design, "api00", by="stype")
    difference = ev.contrast(
        ev.survey_mean(design, "api00", by="stype"), {"gap": {"api00 | stype=M": 1, "api00 | stype=H": -1}}
    )
    assert test.estimate == pytest.approx(difference.estimate[0], rel=1e-10)
    assert test.std_error == pytest.approx(difference.std_error[0], rel=1e-10)
    assert test.df == design.degrees_of_freedom() - 1


def test_scaled_weights_and_another_order_of_rows_change_nothing():
    design = api_design("dclus1")
    frame = design.data.assign(pw=design.data["pw"] / 9).sample(frac=1, random_state=2).reset_index(drop=True)
    other = ev.survey_design(frame, weights="pw", psu="dnum", fpc="fpc")
    first, second = (ev.survey_ttest(it, "api00", by="comp.imp") for it in (design, other))
    assert second.p_value == pytest.approx(first.p_value, rel=1e-9)


def test_without_degrees_of_freedom_there_is_no_p_value():
    frame = pd.DataFrame({"psu": [1, 1, 1, 2, 2, 2], "y": [1.0, 2.0, 4.0, 3.0, 5.0, 6.0], "group": list("ababab")})
    test = ev.survey_ttest(ev.survey_design(frame, psu="psu"), "y", by="group")
    assert test.df == 0
    assert np.isnan([test.statistic, test.p_value, test.conf_low, test.conf_high]).all()
    assert np.isfinite(test.estimate)
    assert "no p-value" in repr(test)
    alike = ev.survey_ttest(ev.survey_design(frame.assign(y=[0.0, 1.0] * 3)), "y", by="group")
    assert alike.std_error == 0
    assert np.isnan(alike.p_value)


def test_an_answer_that_all_gave_is_no_outcome_to_test():
    design = ev.survey_design(pd.DataFrame({"y": [3.0] * 4, "before": [1.0] * 4, "group": list("abab")}))
    with pytest.raises(EstimationError, match="'y' is 3 for all 4 respondents who count, so it is constant"):
        ev.survey_ttest(design, "y")
    with pytest.raises(EstimationError, match="'y' less 'before' is 2 for all 4"):
        ev.survey_ttest(design, "y", paired_with="before")


def test_the_difference_with_a_small_group_is_not_shown_where_the_survey_forbids_it():
    frame = pd.DataFrame({"y": np.arange(20.0) % 7, "group": ["a"] * 17 + ["b"] * 3})
    test = ev.survey_ttest(ev.survey_design(frame), "y", by="group")
    assert test.mark == ""
    guarded = replace(test, provenance=replace(test.provenance, min_cell=5, min_base=30))
    row = guarded.tidy().iloc[0]
    assert row["mark"] == "[c]"
    assert row[["estimate", "std_error", "conf_low", "conf_high"]].isna().all()
    assert "[c]" in guarded.summary()
    assert f"{test.estimate:.6g}" not in guarded.summary()


def test_what_cannot_be_compared_is_refused():
    design = api_design("dclus1")
    with pytest.raises(EstimationError, match=r"by='stype' must have two levels .* found 3 \('E', 'H', 'M'\)"):
        ev.survey_ttest(design, "api00", by="stype")
    with pytest.raises(EstimationError, match="Give one of them"):
        ev.survey_ttest(design, "api00", by="comp.imp", paired_with="api99")
    with pytest.raises(ColumnError, match="They are two columns"):
        ev.survey_ttest(design, "api00", paired_with="api00")
    with pytest.raises(ColumnError, match=r"no column 'api0'"):
        ev.survey_ttest(design, "api0")
    with pytest.raises(ColumnError, match="is text"):
        ev.survey_ttest(design, "stype", by="comp.imp")
    with pytest.raises(EstimationError, match="conf_level must lie between 0 and 1, got 95"):
        ev.survey_ttest(design, "api00", conf_level=95)
    with pytest.raises(EstimationError, match="df must be 'design' or 'satterthwaite'"):
        ev.survey_ttest(design, "api00", df="welch")
