"""Rank tests against R, by hand, and what they refuse."""

from __future__ import annotations

import runpy
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
TESTS = ("wilcoxon", "vanderWaerden", "median", "KruskalWallis")
FIRST_ITEM = [("dstrat", 58), ("dclus1", 134), ("dsc", 207)]


@pytest.mark.parametrize(("name", "item"), FIRST_ITEM)
@pytest.mark.parametrize("kind", TESTS)
def test_two_groups_are_those_of_r_finite_populations_included(name, item, kind):
    want = expected()[f"dev_{item + TESTS.index(kind):03d}"]
    test = ev.survey_ranktest(api_design(name), "api00", "comp.imp", test=kind)
    assert test.estimate == pytest.approx(next(iter(want["estimate"].values())), rel=ESTIMATE_TOLERANCE)
    assert test.statistic == pytest.approx(want["statistic"]["t"], rel=TOLERANCE)
    assert test.df == want["parameter"]["df"]
    assert test.p_value == pytest.approx(want["p_value"], rel=TOLERANCE)


@pytest.mark.parametrize(("name", "item"), FIRST_ITEM)
def test_three_groups_are_those_of_r(name, item):
    want = expected()[f"dev_{item + 4:03d}"]
    test = ev.survey_ranktest(api_design(name), "api00", "stype", test="KruskalWallis")
    assert test.statistic * test.ndf == pytest.approx(want["parameter"]["Chisq"], rel=TOLERANCE)
    assert test.ndf == want["statistic"]["df"]
    assert test.p_value == pytest.approx(want["p_value"], rel=TOLERANCE)


def test_a_simple_random_sample_comes_near_wilcoxons_test():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"y": rng.normal(size=400), "group": np.repeat(["a", "b"], 200)})
    frame.loc[200:, "y"] += 0.25
    test = ev.survey_ranktest(ev.survey_design(frame), "y", "group")
    classical = stats.mannwhitneyu(frame["y"][200:], frame["y"][:200], use_continuity=False)
    assert test.estimate == pytest.approx(classical.statistic / 200**2 - 0.5, abs=1e-12)
    assert stats.norm.isf(test.p_value / 2) == pytest.approx(stats.norm.isf(classical.pvalue / 2), rel=0.05)


def test_a_rank_is_what_lies_below_and_half_of_what_is_equal():
    frame = pd.DataFrame({"y": [1.0, 2.0, 2.0, 3.0], "w": [1.0, 2.0, 4.0, 1.0], "group": list("abab")})
    by_hand = np.array([0.5, 4.0, 4.0, 7.5]) / 8
    means = [np.average(by_hand[[0, 2]], weights=[1, 4]), np.average(by_hand[[1, 3]], weights=[2, 1])]
    design = ev.survey_design(frame, weights="w")
    assert ev.survey_ranktest(design, "y", "group").estimate == pytest.approx(means[1] - means[0], rel=1e-12)


def test_order_of_rows_and_scale_of_weights_change_nothing_except_by_rs_rule():
    design = api_design("dsc", "exact")
    frame = design.data.assign(wt=design.data["wt"] * 3).iloc[::-1].reset_index(drop=True)
    turned = ev.survey_design(frame, weights="wt", strata="stratum", psu="dnum", nested=True)
    first, second = (ev.survey_ranktest(it, "api00", "comp.imp") for it in (design, turned))
    assert second.statistic == pytest.approx(first.statistic, rel=1e-10)
    rows = [ev.survey_ranktest(it, "api00", "comp.imp", ties="rows").statistic for it in (design, turned)]
    assert abs(rows[0] / rows[1] - 1) > 1e-4
    assert rows[0] == pytest.approx(first.statistic, rel=0.01)


def test_only_the_order_of_the_outcome_counts():
    design = api_design("dclus1")
    bent = ev.survey_design(
        design.data.assign(bent=np.exp(design.data["api00"] / 100)), weights="pw", psu="dnum", fpc="fpc"
    )
    assert ev.survey_ranktest(bent, "bent", "comp.imp").statistic == pytest.approx(
        ev.survey_ranktest(bent, "api00", "comp.imp").statistic, rel=1e-12
    )


def test_own_scores_and_ordered_categories_are_understood():
    design = api_design("dclus1")
    square = ev.survey_ranktest(design, "api00", "comp.imp", test=lambda rank: rank**2)
    assert square.test == "rank test, own scores"
    assert np.isfinite(square.p_value)
    answers = pd.Categorical(["low", "mid", "high"] * 8, categories=["low", "mid", "high"], ordered=True)
    frame = pd.DataFrame(
        {"answer": answers, "place": np.tile([0.0, 1.0, 2.0], 8), "group": list("aab") * 4 + list("abb") * 4}
    )
    small = ev.survey_design(frame)
    assert ev.survey_ranktest(small, "answer", "group").statistic == pytest.approx(
        ev.survey_ranktest(small, "place", "group").statistic
    )


def test_without_degrees_of_freedom_there_is_no_p_value():
    frame = pd.DataFrame({"psu": [1, 1, 1, 2, 2, 2], "y": [1.0, 2.0, 4.0, 3.0, 5.0, 6.0], "group": list("abcabc")})
    design = ev.survey_design(frame, psu="psu")
    test = ev.survey_ranktest(design, "y", "group")
    assert test.ddf == -1
    assert np.isnan([test.statistic, test.p_value]).all()
    two = ev.survey_ranktest(ev.domain(design, {"group": ["a", "b"]}), "y", "group")
    assert np.isnan([two.statistic, two.p_value, two.conf_low]).all()


def test_what_cannot_be_ranked_is_refused():
    design = api_design("dclus1")
    with pytest.raises(EstimationError, match=r"no test 'Wilcoxon'\. Did you mean 'wilcoxon'"):
        ev.survey_ranktest(design, "api00", "comp.imp", test="Wilcoxon")
    with pytest.raises(ColumnError, match="expected numbers"):
        ev.survey_ranktest(design, "stype", "comp.imp")
    with pytest.raises(ColumnError, match="They are two columns"):
        ev.survey_ranktest(design, "api00", "api00")
    with pytest.raises(EstimationError, match="1 level among those who answered"):
        ev.survey_ranktest(ev.domain(design, {"comp.imp": "Yes"}), "api00", "comp.imp")
    frame = pd.DataFrame({"y": [2.0] * 6, "group": list("aabbab")})
    with pytest.raises(EstimationError, match="the same score of 'y'"):
        ev.survey_ranktest(ev.survey_design(frame), "y", "group")
