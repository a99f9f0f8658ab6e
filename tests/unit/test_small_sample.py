"""Degrees of freedom with few or unequal sampling units: by hand, by simulation, and what is refused."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import evaluation as ev
from evaluation.errors import DesignError, EstimationError

REFERENCE = runpy.run_path(str(Path(__file__).with_name("reference_designs.py")))
api_design = REFERENCE["api_design"]


def unequal(sizes, seed=0, strata=None, columns=1):
    rng = np.random.default_rng(seed)
    psu = np.repeat(np.arange(len(sizes)), sizes)
    frame = pd.DataFrame(rng.normal(size=(len(psu), columns)), columns=[f"y{i}" for i in range(columns)])
    frame = frame.assign(psu=psu, x=rng.normal(size=len(psu)))
    return frame if strata is None else frame.assign(stratum=np.asarray(strata)[psu])


def test_equal_units_give_units_less_strata():
    frame = unequal([5] * 12, strata=np.repeat(range(4), 3))
    design = ev.survey_design(frame, psu="psu", strata="stratum")
    result = ev.small_sample_df(ev.survey_mean(design, "y0"), design)
    assert result.df == pytest.approx([8], rel=1e-10)
    assert result.glance()["df_method"][0] == "Satterthwaite (Bell-McCaffrey)"


def test_a_random_sample_of_respondents_gives_n_less_one():
    design = ev.survey_design(unequal([1] * 30))
    assert ev.small_sample_df(ev.survey_mean(design, "y0"), design).df == pytest.approx([29], rel=1e-10)


def test_unequal_units_by_hand():
    sizes = np.array([12, 3, 3, 2])
    design = ev.survey_design(unequal(sizes), psu="psu")
    n, m = sizes.sum(), len(sizes)
    # contributions are sums of (y - mean) / n, with covariance (diag(sizes) - sizes sizes' / n) / n**2
    omega = np.diag(sizes) - np.outer(sizes, sizes) / n
    centring = np.eye(m) - 1 / m
    product = centring @ omega
    by_hand = np.trace(product) ** 2 / np.trace(product @ product)
    assert ev.small_sample_df(ev.survey_mean(design, "y0"), design).df == pytest.approx([by_hand], rel=1e-10)
    assert by_hand < m - 1


def test_the_working_moments_are_those_of_simulated_variances():
    sizes = [30, 8, 8, 4, 4]
    frame = unequal(sizes, seed=5, columns=3000)
    names = [f"y{i}" for i in range(3000)]
    design = ev.survey_design(frame, psu="psu")
    variances = ev.survey_mean(design, names).std_error ** 2
    known = ev.small_sample_df(ev.survey_mean(design, "y0"), design).df[0]
    assert 2 * variances.mean() ** 2 / variances.var() == pytest.approx(known, rel=0.1)


@pytest.mark.parametrize("sizes", [[60, 8, 6, 6], [90, 12, 12, 10, 8], [80, 10, 10, 10, 9, 8]])
def test_intervals_of_few_unequal_units_cover_better(sizes):
    columns = 2000
    frame = unequal(sizes, seed=11, columns=columns)
    design = ev.survey_design(frame, psu="psu")
    names = [f"y{i}" for i in range(columns)]
    means = ev.survey_mean(design, names)
    df = ev.small_sample_df(means.take(np.array([0])), design).df[0]
    t = np.abs(means.estimate / means.std_error)
    plain, adjusted = (float((t <= stats.t.ppf(0.975, value)).mean()) for value in (means.df[0], df))
    assert plain < 0.94
    assert abs(adjusted - 0.95) < abs(plain - 0.95)
    assert adjusted == pytest.approx(0.95, abs=0.025)


def test_enlarged_errors_undo_what_few_unequal_units_hide():
    sizes, columns = [60, 8, 6, 6], 2000
    rng = np.random.default_rng(2)
    psu = np.repeat(np.arange(4), sizes)
    alike = np.sqrt(0.2) * rng.normal(size=(4, columns))[psu] + np.sqrt(0.8) * rng.normal(size=(80, columns))
    names = [f"y{i}" for i in range(columns)]
    design = ev.survey_design(pd.DataFrame(alike, columns=names).assign(psu=psu), psu="psu")
    means = ev.survey_mean(design, names)
    first = means.take(np.array([0]))
    enlarged = ev.small_sample_df(first, design, enlarge_errors=True)
    factor = (enlarged.std_error / first.std_error)[0]
    # by hand: units of n_u of n respondents, share = m / (m - 1) * (1 - sum of squared shares)
    by_hand = 4 / 3 * (1 - ((np.array(sizes) / 80) ** 2).sum())
    assert factor == pytest.approx(1 / np.sqrt(by_hand), rel=1e-10)
    t = np.abs(means.estimate / means.std_error)
    covered = [
        float((t <= wide * stats.t.ppf(0.975, df)).mean())
        for df, wide in ((3, 1.0), (enlarged.df[0], 1.0), (enlarged.df[0], factor))
    ]
    assert covered == sorted(covered)
    assert covered[0] < 0.8
    assert 0.89 < covered[2] < 0.96
    assert enlarged.influence is None
    assert enlarged.variance_method == "taylor, enlarged for few units"


def test_equal_units_need_no_larger_errors():
    design = ev.survey_design(unequal([5] * 12, strata=np.repeat(range(4), 3)), psu="psu", strata="stratum")
    means = ev.survey_mean(design, "y0")
    enlarged = ev.small_sample_df(means, design, enlarge_errors=True)
    assert enlarged.std_error == pytest.approx(means.std_error, rel=1e-10)


def test_a_regression_on_a_dummy_has_the_degrees_of_freedom_of_the_difference():
    design = api_design("dclus1", "exact")
    frame = design.data.assign(improved=(design.data["comp.imp"] == "Yes").astype(float))
    design = ev.survey_design(frame, weights="pw", psu="dnum", fpc="fpc")
    regression = ev.small_sample_df(ev.survey_glm(design, outcome="api00", covariates=["improved"]))
    means = ev.survey_mean(design, "api00", by="improved")
    gap = {"gap": {"api00 | improved=1.0": 1, "api00 | improved=0.0": -1}}
    difference = ev.small_sample_df(means, design, contrasts=gap)
    assert difference.df[0] == pytest.approx(regression.df[1], rel=1e-9)
    assert difference.std_error[0] == pytest.approx(ev.contrast(means, gap).std_error[0])
    test = ev.survey_ttest(design, "api00", by="improved", df="satterthwaite")
    assert test.df == pytest.approx(difference.df[0], rel=1e-9)
    assert difference.tidy()["p_value"][0] == pytest.approx(test.p_value, rel=1e-9)


def test_shares_and_logistic_regressions_are_known_too():
    design = api_design("dsc", "exact")
    shares = ev.small_sample_df(ev.survey_prop(design, "comp.imp", interval="t"), design)
    mean = ev.small_sample_df(ev.survey_mean(design, "api00"), design)
    assert shares.df == pytest.approx(np.repeat(mean.df, 2), rel=1e-9)
    only_level = ev.small_sample_df(ev.survey_glm(design, outcome="comp.imp", covariates="~ 1", family="binomial"))
    assert only_level.df == pytest.approx(mean.df, rel=1e-9)
    several = ev.small_sample_df(ev.survey_mean(design, ["api00", "ell"], by="stype"), design)
    assert several.df[:3] == pytest.approx(several.df[3:], rel=1e-9)


def test_scaled_weights_and_scaled_outcomes_change_nothing():
    design = api_design("dsc", "exact")
    frame = design.data.assign(wt=design.data["wt"] * 5, meals=design.data["meals"] * 100)
    other = ev.survey_design(frame, weights="wt", strata="stratum", psu="dnum", nested=True)
    first, second = (
        ev.small_sample_df(ev.survey_glm(it, outcome="api00", covariates=["meals"])) for it in (design, other)
    )
    assert second.df == pytest.approx(first.df, rel=1e-8)


def test_stages_and_rules_for_lonely_units_are_those_of_the_design():
    frame = REFERENCE["read"]("own_lonely")
    averaged, removed, centred = (
        ev.survey_design(frame, weights="wt", strata="stratum", psu="dnum", nested=True, lonely_psu=rule)
        for rule in ("average", "remove", "centre")
    )
    found = [ev.small_sample_df(ev.survey_mean(it, "api00"), it).df[0] for it in (averaged, removed, centred)]
    assert found[0] == pytest.approx(found[1], rel=1e-12)
    assert found[2] != pytest.approx(found[1], rel=1e-3)
    whole = REFERENCE["read"]("own_strat2psu")
    one = ev.survey_design(whole, weights="wt", strata="stratum", psu="dnum", nested=True)
    two = ev.survey_design(whole, weights="wt", strata="stratum", psu=["dnum", "snum"], fpc=["Nh", "Mi"], nested=True)
    first, second = (ev.small_sample_df(ev.survey_mean(it, "api00"), it).df[0] for it in (one, two))
    assert first < 12
    assert second > first


def test_what_has_no_working_model_is_refused():
    design = api_design("dclus1", "exact")
    means = ev.survey_mean(design, ["api00", "api99"])
    with pytest.raises(DesignError, match="needs the design that survey_mean was made from"):
        ev.small_sample_df(means)
    with pytest.raises(EstimationError, match="no common model"):
        ev.small_sample_df(means, design, contrasts={"gain": {"api00": 1, "api99": -1}})
    with pytest.raises(EstimationError, match="got survey_total"):
        ev.small_sample_df(ev.survey_total(design, "enroll"), design)
    with pytest.raises(EstimationError, match="made logit ones"):
        ev.small_sample_df(ev.survey_prop(design, "stype"), design)
    replicated = ev.as_replicates(design, kind="JK1")
    with pytest.raises(EstimationError, match="needs linearization"):
        ev.small_sample_df(ev.survey_mean(replicated, "api00"), replicated)
