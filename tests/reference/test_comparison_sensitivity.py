"""What it takes to explain a difference away, against EValue, sensemakr, robomit and exact bounds made in R."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import evaluation as ev

data = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("comparison_data.py"))))
close, ESTIMATE = data.close, data.ESTIMATE
LALONDE = data.cases("lalonde")
ADJUSTED = {"treatment": "treat", "covariates": data.LALONDE_COVARIATES}

E_VALUES = {
    "evalue-rr": {"estimate": 84.7 / 59.4, "low": 1.21, "high": 1.68},
    "evalue-rr-protective": {"estimate": 0.8, "low": 0.71, "high": 0.91},
    "evalue-or-common": {"estimate": 2.1, "low": 1.3, "high": 3.4, "scale": "odds_ratio"},
    "evalue-smd": {"estimate": 0.35, "std_error": 0.09, "scale": "smd"},
    "evalue-ci-crosses": {"estimate": 1.2, "low": 0.95, "high": 1.5},
    "evalue-nonnull": {"estimate": 84.7 / 59.4, "low": 1.21, "high": 1.68, "null": 1.2},
}


@pytest.mark.parametrize("name", list(E_VALUES))
def test_e_values(name):
    result = ev.e_value(**E_VALUES[name])
    np.testing.assert_allclose([result.point, result.limit], [LALONDE[name]["point"], LALONDE[name]["ci"]], rtol=1e-9)


@pytest.mark.parametrize("estimand", ["ATT", "ATE"])
def test_the_bounds_of_the_marginal_sensitivity_model(estimand):
    expected = LALONDE["lalonde-msm"]["bounds"]
    lambdas = [case["Lambda"] for case in expected]
    result = ev.sensitivity_bounds(data.lalonde(), outcome="above5k", estimand=estimand, lambda_=lambdas, **ADJUSTED)
    close(result.estimate, np.ravel([case[estimand.lower()] for case in expected]), ESTIMATE)


def test_the_interval_of_a_risk_difference_is_what_a_grid_finds():
    """``EValue::evalues.RD`` written out: counts of 120 of 300 participants and 150 of 700 others."""
    p1, p0, f, n = 120 / 300, 150 / 700, 0.3, 1000
    variances = [p1 * (1 - p1) / 300, p0 * (1 - p0) / 700, f * (1 - f) / n]
    factor = np.arange(1, p1 / p0, 0.0001)
    difference, mixed = p1 - p0 * factor, f + (1 - f) / factor
    moved = (variances[0] + variances[1] * factor**2) * mixed**2
    low = difference * mixed - 1.9599639845400545 * np.sqrt(
        moved + difference**2 * (1 - 1 / factor) ** 2 * variances[2]
    )
    on_grid = factor[np.argmax(low <= 0)]
    result = ev.e_value(scale="risk_difference", means=(p1, p0), covariance=np.diag(variances), participant_share=f)
    assert result.point == pytest.approx(p1 / p0 + np.sqrt(p1 / p0 * (p1 / p0 - 1)), rel=1e-12)
    at = (result.limit**2) / (2 * result.limit - 1)  # the bias factor behind an E-value
    assert on_grid - 0.0001 <= at <= on_grid


def test_robustness_value_and_hidden_traits_like_a_covariate():
    expected = LALONDE["lalonde-sensemakr"]
    result = ev.robustness_value(
        data.lalonde(), outcome="re78", benchmarks=["re75", "educ"], times=(1, 2, 3), std_error="model", **ADJUSTED
    )
    close(result.estimate, [expected["estimate"], expected["partial_r2_yd_x"], expected["rv_q"]], ESTIMATE)
    close(
        [result.fit[name] for name in ("error", "statistic", "df_residual", "robustness_value_interval")],
        [expected[name] for name in ("se", "t", "dof", "rv_qa")],
        ESTIMATE,
    )
    close(result.estimate[1] / (1 - result.estimate[1]), expected["f2yd_x"], ESTIMATE)
    rows = result.traits.tidy().iloc[1:]
    assert [f"{k:g}x {name}" for k, name in zip(rows["times"], rows["covariate"], strict=True)] == [
        bound["label"] for bound in expected["bounds"]
    ]
    names = {
        "r2_treatment": "r2dz_x", "r2_outcome": "r2yz_dx", "estimate": "adjusted_estimate", "std_error": "adjusted_se",
        "statistic": "adjusted_t",
    }  # fmt: skip
    for ours, theirs in names.items():
        close(rows[ours], [bound[theirs] for bound in expected["bounds"]], ESTIMATE)


def test_oster():
    expected = LALONDE["lalonde-oster"]
    result = ev.oster_delta(
        data.lalonde(),
        outcome="re78",
        treatment="treat",
        covariates=["age", "educ", "married", "nodegree", "re74", "re75"],
        r2_max=0.3,
    )
    # The reference prints six decimals.
    names = ["delta_delta.", "beta_beta.", "delta_Controlled.Coefficient", "delta_Uncontrolled.Coefficient"]
    np.testing.assert_allclose(result.estimate, [expected[name] for name in names], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(result.fit["solutions"][1], expected["beta_Alternative.Solution.1"], rtol=1e-9)
    close(result.fit["r2_uncontrolled"], expected["delta_Uncontrolled.R.square"], ESTIMATE)
    close(result.fit["r2_controlled"], expected["delta_Controlled.R.square"], ESTIMATE)
    distances = [(root - result.estimate[2]) ** 2 for root in result.fit["solutions"]]
    squares = [expected["beta_X.beta..beta.controlled..2"], expected["beta_X.beta.AS1..beta.controlled..2"]]
    np.testing.assert_allclose(distances, squares, rtol=1e-9)


@pytest.mark.parametrize("estimand", ["ATE", "ATT"])
def test_manski(estimand):
    result = ev.manski_bounds(data.lalonde(), outcome="above5k", treatment="treat", estimand=estimand)
    np.testing.assert_allclose(result.estimate, LALONDE["lalonde-manski"][estimand.lower()], rtol=1e-12)
