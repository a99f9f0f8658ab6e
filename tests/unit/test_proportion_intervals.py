"""Intervals of shares: each kind against its definition, at the edges, and where nothing can be said."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from evaluation.design.declaration import survey_design
from evaluation.design.design import domain
from evaluation.errors import EstimationError
from evaluation.estimation.means import survey_prop
from evaluation.estimation.proportion_intervals import KINDS, proportion_limits

TIGHT = 1e-12
ERROR = 1e-6
#: R interpolates the likelihood profile; the note of the reference numbers says about 1e-4.
PROFILE = 1e-4

REFERENCE = Path(__file__).parents[1] / "reference" / "survey"


def limits(share, std_error, df, n, kind, **options):
    return proportion_limits(*(np.array([value]) for value in (share, std_error, df, n)), interval=kind, **options)[0]


def reference_design(name):
    declared = {
        "dstrat": ("apistrat.csv", {"strata": "stype", "weights": "pw", "fpc": "fpc"}),
        "dclus1": ("apiclus1.csv", {"psu": "dnum", "weights": "pw", "fpc": "fpc"}),
        "dsc": ("own_strat2psu.csv", {"psu": "dnum", "strata": "stratum", "weights": "wt", "nested": True}),
        "dyrbs": ("yrbs.csv", {"psu": "psu", "strata": "stratum", "weights": "weight", "nested": True}),
    }
    file, columns = declared[name]
    return survey_design(pd.read_csv(REFERENCE / file, keep_default_na=False, na_values=[""]), **columns)


def reference_items():
    known = json.loads((REFERENCE / "expected.json").read_text(encoding="utf-8"))["items"]
    return [item for item in known if item["capability"].startswith("ci_proportion")]


@pytest.mark.parametrize("item", reference_items(), ids=lambda item: item["id"])
def test_limits_are_those_of_r(item):
    design, call, expected = reference_design(item["design"]), item["R_call"], item["expect"]
    kind = call.split('method = "')[1].split('"')[0].replace("mean", "t")
    column, answer = ("qn8", 1) if "qn8" in call else ("sch.wide", "Yes")
    df = expected["design_df"]
    if "subset" in call:
        design, df = domain(design, {"comp.imp": "Yes"}), None
    made = survey_prop(design, column, interval=kind, df=df, conf_level=0.9 if "level = 0.9" in call else 0.95)
    row = made.tidy().set_index("level").loc[answer]
    found = row[["conf_low", "conf_high"]].to_numpy(dtype=float)
    if expected["estimate"] > 1 - 1e-10:
        # A share of 1: R's model runs off to 0.999999999997 for "logit", and its "beta" is 0/0.
        wanted = [np.nan, np.nan] if kind == "logit" else [0.05 ** (1 / _korn_graubard(133, 13)), 1.0]
        assert found == pytest.approx(wanted, rel=TIGHT, nan_ok=True)
        return
    if item["design"] == "dyrbs" and kind == "likelihood":
        # R's dispersion takes in the weights of those who did not answer; on subset(dyrbs, !is.na(qn8)) it does not.
        row = survey_prop(design, column, interval=kind).tidy().set_index("level").loc[answer]
        found = row[["conf_low", "conf_high"]].to_numpy(dtype=float)
        expected = {**expected, "ci95": [0.770819575261, 0.851929054149]}
    assert row["estimate"] == pytest.approx(expected["estimate"], rel=1e-8)
    assert row["std_error"] == pytest.approx(expected["se"], rel=ERROR)
    assert found == pytest.approx(expected["ci95"], rel=PROFILE if kind == "likelihood" else ERROR)


def _korn_graubard(n, df, tail=0.05):
    return n * (stats.t.isf(tail, n - 1) / stats.t.isf(tail, df)) ** 2


def test_beta_is_clopper_and_pearsons_interval_at_the_effective_size():
    respondents = pd.DataFrame({"answer": ["yes"] * 3 + ["no"] * 7})
    row = survey_prop(survey_design(respondents), "answer", interval="beta").tidy().iloc[1]
    # p(1-p)/V = n - 1 = 9 for a simple random sample, and df = n - 1 needs no correction: 2.7 of 9 said yes.
    assert row["conf_low"] == pytest.approx(stats.beta.ppf(0.025, 2.7, 7.3), rel=TIGHT)
    assert row["conf_high"] == pytest.approx(stats.beta.ppf(0.975, 3.7, 6.3), rel=TIGHT)


def test_wilson_limits_are_where_the_score_test_just_accepts():
    share, error, df = 0.3, 0.1, 12
    size, critical = share * (1 - share) / error**2, stats.t.isf(0.025, df)
    for limit in limits(share, error, df, 40, "wilson"):
        assert abs(share - limit) / np.sqrt(limit * (1 - limit) / size) == pytest.approx(critical, rel=TIGHT)


def test_likelihood_limits_are_where_the_scaled_deviance_reaches_the_quantile():
    share, error, df, n = 0.3, 0.1, 12, 40
    size, critical = share * (1 - share) / error**2, stats.t.isf(0.025, df)
    for limit in limits(share, error, df, n, "likelihood"):
        deviance = 2 * (share * np.log(share / limit) + (1 - share) * np.log((1 - share) / (1 - limit)))
        assert size * deviance * (n - 1) / n == pytest.approx(critical**2, rel=1e-10)


def test_asin_stays_between_0_and_1_where_the_angle_would_leave_the_quadrant():
    low, high = limits(0.02, 0.03, 10, 30, "asin")
    assert low == 0.0
    assert 0.02 < high < 1.0
    assert limits(0.98, 0.03, 10, 30, "asin") == pytest.approx([1 - high, 1.0], rel=TIGHT)


@pytest.mark.parametrize("kind", KINDS)
def test_swapping_yes_and_no_mirrors_the_limits(kind):
    low, high = limits(0.13, 0.04, 17, 60, kind)
    assert limits(0.87, 0.04, 17, 60, kind) == pytest.approx([1 - high, 1 - low], rel=1e-10)


@pytest.mark.parametrize("kind", ["beta", "wilson", "likelihood"])
def test_a_share_of_nobody_has_an_upper_limit(kind):
    low, high = limits(0.0, 0.0, 20, 50, kind)
    assert low == 0.0
    assert 0.02 < high < 0.15
    assert limits(1.0, 0.0, 20, 50, kind) == pytest.approx([1 - high, 1.0], rel=TIGHT)


def test_the_upper_limit_of_a_share_of_nobody_solves_its_equation():
    critical = stats.t.isf(0.025, 20)
    assert limits(0.0, 0.0, 20, 50, "beta")[1] == pytest.approx(1 - 0.025 ** (1 / _korn_graubard(50, 20, 0.025)))
    assert limits(0.0, 0.0, 20, 50, "wilson")[1] == pytest.approx(critical**2 / (50 + critical**2))
    assert limits(0.0, 0.0, 20, 50, "likelihood")[1] == pytest.approx(1 - np.exp(-(critical**2) / (2 * 49)))


@pytest.mark.parametrize("kind", ["logit", "xlogit", "asin"])
def test_a_share_of_everybody_has_no_limits_on_a_transformed_scale(kind):
    assert np.isnan(limits(1.0, 0.0, 20, 50, kind)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_no_degrees_of_freedom_no_interval(kind):
    assert np.isnan(limits(0.3, 0.1, 0, 5, kind)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_share_that_the_design_fixes_is_its_own_limits(kind):
    assert limits(0.3, 0.0, 20, 50, kind) == pytest.approx([0.3, 0.3], rel=TIGHT)


def test_one_psu_in_a_domain_leaves_no_interval():
    respondents = pd.DataFrame({"psu": [1, 1, 2, 2, 3, 3], "area": list("aabbbb"), "answer": list("ynynyn")})
    rows = survey_prop(survey_design(respondents, psu="psu"), "answer", by="area", interval="wilson").tidy()
    assert rows.query("area == 'a'")[["conf_low", "conf_high"]].isna().all(axis=None)
    assert rows.query("area == 'b'")[["conf_low", "conf_high"]].notna().all(axis=None)


def test_limits_of_each_domain_and_level_are_those_of_the_domain_alone():
    respondents = pd.DataFrame(
        {"area": list("aaaabbbbbb"), "answer": ["y", "n", "y", None, "y", "n", "n", "y", "n", "n"], "w": range(1, 11)}
    )
    design = survey_design(respondents, weights="w")
    whole = survey_prop(design, "answer", by="area", interval="beta").tidy().set_index(["area", "level"])
    for area in "ab":
        alone = survey_prop(domain(design, {"area": area}), "answer", interval="beta").tidy().set_index("level")
        for level in "ny":
            assert whole.loc[(area, level), "conf_high"] == pytest.approx(alone.loc[level, "conf_high"], rel=TIGHT)


def test_an_unknown_kind_is_named_with_the_nearest():
    design = survey_design(pd.DataFrame({"answer": ["yes", "no"]}))
    with pytest.raises(EstimationError, match=r"interval must be one of .* got 'willson'. Did you mean 'wilson'\?"):
        survey_prop(design, "answer", interval="willson")
    with pytest.raises(EstimationError, match=r"survey_prop: df must be a number above 0, got 'ten'"):
        survey_prop(design, "answer", df="ten")
