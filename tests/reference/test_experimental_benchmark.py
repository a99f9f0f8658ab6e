"""A job training experiment, and the same participants against people of a survey: what adjusting gives back.

The experiment says 1,794 dollars (Dehejia and Wahba 1999, table 4); against unadjusted survey respondents the same
participants seem to earn 8,498 dollars less. Data: ``nsw_mixtape`` and ``cps_mixtape`` of the package causaldata.
"""

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import IdentificationError

causaldata = pytest.importorskip("causaldata", reason="causaldata is not installed (extra 'demo')")

COVARIATES = ["age", "educ", "black", "hisp", "marr", "nodegree", "re74", "re75", "u74", "u75"]
GROUPS = {"treatment": "treat", "covariates": COVARIATES}


@pytest.fixture(scope="module")
def experiment():
    return causaldata.nsw_mixtape.load_pandas().data


@pytest.fixture(scope="module")
def design(experiment):
    others = causaldata.cps_mixtape.load_pandas().data
    people = pd.concat([experiment[experiment["treat"] == 1], others], ignore_index=True)
    for year in ("74", "75"):
        people[f"u{year}"] = (people[f"re{year}"] == 0).astype(int)
    return ev.survey_design(people)


@pytest.fixture(scope="module")
def truth(experiment):
    return ev.group_difference(ev.survey_design(experiment), outcome="re78", treatment="treat")


def test_the_experiment_and_the_naive_comparison_are_those_in_print(truth, design):
    assert round(truth.estimate[0]) == 1794
    naive = ev.group_difference(design, outcome="re78", treatment="treat")
    assert round(naive.estimate[0]) == -8498
    assert naive.estimate[0] + 15 * naive.std_error[0] < truth.estimate[0] - 2 * truth.std_error[0]


@pytest.mark.parametrize("method", ["regression_adjusted", "ipw", "aipw", "entropy", "matching"])
def test_adjusting_recovers_sign_and_size(method, design, truth):
    made = {
        "regression_adjusted": lambda: ev.regression_adjusted(design, outcome="re78", **GROUPS),
        "ipw": lambda: ev.ipw(design, outcome="re78", **GROUPS),
        "aipw": lambda: ev.aipw(design, outcome="re78", **GROUPS),
        "entropy": lambda: ev.group_difference(ev.entropy_balance(design, **GROUPS), outcome="re78", treatment="treat"),
        "matching": lambda: ev.matched_difference(ev.match(design, **GROUPS), outcome="re78"),
    }[method]()
    assert made.estimate[0] > 0
    low, high = made.confidence_interval()[0]
    assert low < truth.estimate[0] < high
    assert abs(made.estimate[0] - truth.estimate[0]) < 0.1 * abs(-8498 - truth.estimate[0])


def test_the_claim_says_that_the_groups_hardly_overlap(design):
    claim = ev.judge_comparison(design, outcome="re78", **GROUPS)
    assert claim.level in ("D", "A")
    assert claim.failed


def test_trimming_leaves_a_covariate_constant_in_a_group_and_the_error_names_it(design):
    kept = ev.trim_propensity(design, **GROUPS)
    assert 0 < np.sum(kept.present) < 1000
    with pytest.raises(IdentificationError, match=r"hisp is constant or a combination of the covariates before it"):
        ev.aipw(kept, outcome="re78", **GROUPS)
