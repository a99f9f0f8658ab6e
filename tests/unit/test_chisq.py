"""Rao-Scott and Wald tests of association against R, by hand, and what they refuse."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

import evaluation as ev
from evaluation.errors import EstimationError
from evaluation.estimation.quadratic_forms import saddlepoint_exceeds, sum_exceeds

REFERENCE = runpy.run_path(str(Path(__file__).with_name("reference_designs.py")))
api_design, expected = REFERENCE["api_design"], REFERENCE["expected"]

STATISTIC_TOLERANCE = 1e-8
P_TOLERANCE = 1e-6
SADDLEPOINT_TOLERANCE = 1e-4  # the reference's note: R's own routine stops there

FIRST_ITEM = {"dstrat": 48, "dclus1": 124, "dsc": 197}
STATISTICS = ("F", "Chisq", "Wald", "adjWald", "lincom", "saddlepoint")


@pytest.mark.parametrize("name", FIRST_ITEM)
@pytest.mark.parametrize("statistic", STATISTICS)
def test_every_statistic_is_that_of_r(name, statistic):
    want = expected()[f"dev_{FIRST_ITEM[name] + STATISTICS.index(statistic):03d}"]
    test = ev.survey_chisq(api_design(name), "stype", "comp.imp", statistic=statistic)
    assert test.statistic == pytest.approx(next(iter(want["statistic"].values())), rel=STATISTIC_TOLERANCE)
    mixture = statistic in ("lincom", "saddlepoint")
    assert test.p_value == pytest.approx(want["p_value"], rel=SADDLEPOINT_TOLERANCE if mixture else P_TOLERANCE)
    if not mixture:
        degrees = [test.df] if test.distribution == "chi-squared" else [test.ndf, test.ddf]
        assert degrees == pytest.approx(list(want["parameter"].values()), rel=P_TOLERANCE)


@pytest.mark.parametrize(("name", "item"), [("dstrat", 54), ("dclus1", 130), ("dsc", 203)])
def test_a_table_of_two_by_two_is_that_of_r(name, item):
    for number, statistic in ((item, "F"), (item + 1, "Chisq")):
        want = expected()[f"dev_{number:03d}"]
        test = ev.survey_chisq(api_design(name), "comp.imp", "sch.wide", statistic=statistic)
        assert test.statistic == pytest.approx(next(iter(want["statistic"].values())), rel=STATISTIC_TOLERANCE)
        assert np.log(test.p_value) == pytest.approx(np.log(want["p_value"]), rel=P_TOLERANCE)


@pytest.mark.parametrize(("name", "item"), [("rep_jkn", "dev_324"), ("rep_jk1", "dev_337")])
def test_replicates_give_their_own_covariance(name, item):
    want = expected()[item]
    test = ev.survey_chisq(api_design(name), "stype", "comp.imp")
    assert test.statistic == pytest.approx(want["statistic"]["F"], rel=STATISTIC_TOLERANCE)
    assert test.p_value == pytest.approx(want["p_value"], rel=P_TOLERANCE)


def test_a_simple_random_sample_gives_nearly_pearsons_test():
    counts = {("a", "u"): 30, ("a", "v"): 20, ("b", "u"): 25, ("b", "v"): 45}
    rows = [key for key, count in counts.items() for _ in range(count)]
    design = ev.survey_design(pd.DataFrame(rows, columns=["row", "column"]))
    table = np.array([[30, 20], [25, 45]])
    pearson = stats.chi2_contingency(table, correction=False).statistic
    test = ev.survey_chisq(design, "row", "column", statistic="Chisq")
    assert test.statistic == pytest.approx(pearson)
    assert test.deff == pytest.approx(1, abs=0.05)
    assert test.p_value == pytest.approx(stats.chi2.sf(pearson / test.deff, 1))


def test_the_exact_tail_is_known_where_all_weights_are_equal():
    for k in (1, 2, 5):
        for x in (0.1, 1.0, 10.0, 150.0):
            assert sum_exceeds(x, np.ones(k)) == pytest.approx(stats.chi2.sf(x, k), rel=1e-10)
            assert sum_exceeds(3 * x, np.full(k, 3.0), 7.5) == pytest.approx(stats.f.sf(x / k, k, 7.5), rel=1e-10)


def test_the_exact_tail_of_two_unequal_weights_is_their_convolution():
    def convolved(x):
        inner = integrate.quad(
            lambda root: 2 * stats.norm.pdf(root) * stats.chi2.sf((x - 0.5 * root**2) / 2, 1),
            0,
            np.sqrt(2 * x),
            epsabs=1e-15,
        )[0]
        return inner + stats.chi2.sf(2 * x, 1)

    for x in (0.5, 4.0, 20.0):
        assert sum_exceeds(x, np.array([0.5, 2.0])) == pytest.approx(convolved(x), rel=1e-8)


def test_extreme_statistics_keep_their_digits():
    for x in (1e-8, 1e3, 1e8):
        assert sum_exceeds(x, np.ones(1), 0.4) == pytest.approx(stats.f.sf(x, 1, 0.4), rel=1e-9)
    assert sum_exceeds(1e4, np.ones(1)) == 0
    assert np.isnan(sum_exceeds(3.0, np.ones(2), 0.0))
    assert sum_exceeds(1e-200, np.ones(2)) == saddlepoint_exceeds(1e-200, np.ones(2), 0.4, whole_df=True) == 1


def test_the_saddlepoint_comes_near_the_exact_tail_also_at_the_mean():
    weights = np.array([2.0, 1.0, 0.7, 0.4])
    for x in (1.0, weights.sum(), 12.0, 40.0):
        assert saddlepoint_exceeds(x, weights, 30.0) == pytest.approx(sum_exceeds(x, weights, 30.0), rel=0.1)


def test_without_r_the_sum_of_chi_squared_is_referred_exactly():
    test = ev.survey_chisq(api_design("dclus1", "exact"), "stype", "comp.imp", statistic="lincom")
    assert test.p_value == pytest.approx(sum_exceeds(test.statistic, np.array(test.weights), test.ddf), rel=1e-12)
    near = ev.survey_chisq(api_design("dclus1", "exact"), "stype", "comp.imp", statistic="saddlepoint")
    assert near.p_value == pytest.approx(test.p_value, rel=0.1)
    assert near.p_value != test.p_value


def test_rescaled_weights_and_another_order_of_rows_change_nothing():
    design = api_design("dsc")
    frame = design.data.assign(wt=design.data["wt"] * 7).sample(frac=1, random_state=1).reset_index(drop=True)
    other = ev.survey_design(frame, weights="wt", strata="stratum", psu="dnum", nested=True)
    for statistic in STATISTICS[:4]:
        first, second = (ev.survey_chisq(it, "stype", "comp.imp", statistic=statistic) for it in (design, other))
        assert second.statistic == pytest.approx(first.statistic, rel=1e-9)
        assert second.p_value == pytest.approx(first.p_value, rel=1e-9)


def test_a_result_says_what_it_is_referred_to():
    design = api_design("dclus1")
    first = ev.survey_chisq(design, "stype", "comp.imp", statistic="Chisq")
    assert list(first.tidy()) == ["term", "statistic", "deff", "df", "p_value", "n_obs", "distribution"]
    assert "X2 = 9.01387, over a design effect of 1.27132, on 2 df" in first.summary()
    second = ev.survey_chisq(design, "stype", "comp.imp")
    assert list(second.tidy()) == ["term", "statistic", "ndf", "ddf", "p_value", "n_obs"]
    third = ev.survey_chisq(design, "stype", "comp.imp", statistic="lincom")
    assert "a weighted sum of 2 chi-squared, 20.011 df" in third.summary()
    assert third.to_dict()["rows"][0]["distribution"] == "sum of chi-squared"


def test_an_adjusted_wald_test_without_degrees_of_freedom_has_no_p_value():
    rng = np.random.default_rng(4)
    frame = pd.DataFrame(
        {"psu": np.repeat(range(5), 40), "row": rng.integers(0, 3, 200), "column": rng.integers(0, 3, 200)}
    )
    design = ev.survey_design(frame, psu="psu")
    assert np.isfinite(ev.survey_chisq(design, "row", "column", statistic="adjWald").p_value)
    four = ev.domain(design, {"psu": [0, 1, 2, 3]})
    test = ev.survey_chisq(four, "row", "column", statistic="adjWald")
    assert test.ddf == 0
    assert np.isnan([test.statistic, test.p_value]).all()
    assert "no p-value" in test.summary()
    alone = ev.survey_design(frame[frame["psu"] < 4], psu="psu")
    with pytest.raises(EstimationError, match="singular covariance on 3 degrees of freedom"):
        ev.survey_chisq(alone, "row", "column", statistic="Wald")
    with pytest.raises(EstimationError, match="leaves 0 degrees of freedom"):
        ev.survey_chisq(ev.domain(design, {"psu": 1}), "row", "column", statistic="Chisq")


def test_an_unknown_statistic_is_named_with_the_nearest():
    with pytest.raises(EstimationError, match=r"got 'adjwald'. Did you mean 'adjWald'\?"):
        ev.survey_chisq(api_design("dclus1"), "stype", "comp.imp", statistic="adjwald")
