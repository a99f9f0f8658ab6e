"""Means under other weights: refitted from where fits ended, they are what fits from the beginning give."""

import numpy as np
import pandas as pd
import pytest

from evaluation.design.declaration import survey_design
from evaluation.estimation.counterfactual import potential_outcome_means
from evaluation.estimation.groups import groups_of
from evaluation.estimation.refitting import refitted_means

METHODS = ["difference", "difference_from_all", "ipw", "g_computation", "regression_adjusted", "aipw", "ipwra"]


@pytest.fixture(scope="module")
def respondents():
    random = np.random.default_rng(5)
    n = 600
    frame = pd.DataFrame({"x": random.normal(size=n), "sex": random.choice(["f", "m"], n)})
    odds = 0.6 * frame["x"] - 0.4 * (frame["sex"] == "m") - 0.5
    frame["joined"] = (random.random(n) < 1 / (1 + np.exp(-odds))).astype(int)
    frame["days"] = 3 + frame["x"] + frame["joined"] + random.normal(size=n)
    frame["stays"] = (frame["days"] > 3).astype(int)
    frame["often"] = random.poisson(np.exp(0.3 * frame["x"]))
    frame.loc[::50, "days"] = np.nan
    return frame.assign(w=random.uniform(1, 5, n))


def groups(frame, outcome, family=None):
    design = survey_design(frame, weights="w")
    made = groups_of(design, treatment="joined", covariates=["x", "sex"], outcome=outcome, family=family, verb="test")
    return made, design.domain_weights


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("outcome", "family"), [("days", None), ("stays", None), ("often", "poisson")])
def test_refitted_means_are_those_of_a_fit_from_the_beginning(respondents, method, outcome, family):
    made, weights = groups(respondents, outcome, family)
    full = potential_outcome_means(made, weights, method, "ATT")
    again = refitted_means(made, full, method, "ATT", "propensity")
    np.testing.assert_allclose(again(weights), full.mean, rtol=1e-10)
    other = weights * np.random.default_rng(1).poisson(1, len(weights))
    expected = potential_outcome_means(made, other, method, "ATT").mean
    assert np.abs(expected - full.mean).max() > 1e-4
    np.testing.assert_allclose(again(other), expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("estimand", "balancing"),
    [("ATE", "propensity"), ("ATC", "propensity"), ("ATO", "propensity"), ("ATM", "propensity"), ("ATT", "entropy"),
     ("ATE", "entropy"), ("ATE", "cbps")],
)  # fmt: skip
@pytest.mark.parametrize("method", ["ipw", "aipw", "ipwra"])
def test_so_are_those_of_every_composition_and_way_to_balance(respondents, method, estimand, balancing):
    made, weights = groups(respondents, "stays")
    full = potential_outcome_means(made, weights, method, estimand, balancing=balancing)
    again = refitted_means(made, full, method, estimand, balancing)
    other = weights * np.random.default_rng(2).exponential(size=len(weights))
    expected = potential_outcome_means(made, other, method, estimand, balancing=balancing).mean
    np.testing.assert_allclose(again(other), expected, rtol=1e-9)


def test_a_large_group_is_balanced_as_a_small_one_is(respondents):
    """Where a solution is first sought among some, it is the same solution."""
    many = pd.concat([respondents] * 200, ignore_index=True)
    made, weights = groups(many, "stays")
    small, few = groups(respondents, "stays")
    assert made.counts()[0] > 50_000
    large = potential_outcome_means(made, weights, "ipw", "ATT", balancing="entropy").mean
    np.testing.assert_allclose(
        large, potential_outcome_means(small, few, "ipw", "ATT", balancing="entropy").mean, rtol=1e-9
    )
