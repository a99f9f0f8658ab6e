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
