"""Differences in standard deviations: worked by hand, whose spread divides, and what is refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import EstimationError

DERIVATIVE = 1e-6
STEP = 1e-5
COVARIATES = ["age", "sex", "district"]


def design_of(frame):
    return ev.survey_design(frame, weights="w", strata="stratum", psu="psu")


def smd(design, verb=ev.group_difference, **options):
    return verb(design, outcome="trust", treatment="joined", measure="smd", **options)


def test_each_denominator_is_worked_by_hand():
    frame = pd.DataFrame({"trust": [1.0, 3.0, 5.0, 9.0], "joined": [0, 0, 1, 1]})
    effect = ev.group_difference(ev.survey_design(frame), outcome="trust", treatment="joined")
    # Means 2 and 7, variances 1 and 4, of everybody 8.75.
    expected = {"participants": 5 / 2, "comparison": 5.0, "pooled": 5 / np.sqrt(2.5), "everybody": 5 / np.sqrt(8.75)}
    for denominator, value in expected.items():
        made = ev.standardised_difference(effect, ev.survey_design(frame), denominator=denominator)
        np.testing.assert_allclose(made.estimate, [value, 7, 2], rtol=1e-12)
        assert made.fit["denominator"] == denominator
        np.testing.assert_allclose(made.fit["sd"], 5 / value, rtol=1e-12)


@pytest.mark.parametrize(
    ("estimand", "denominator"), [("ATT", "participants"), ("ATC", "comparison"), ("ATE", "pooled")]
)
def test_the_denominator_follows_the_estimand_and_is_named(respondents, estimand, denominator):
    design = design_of(respondents)
    made = smd(design, ev.aipw, covariates=COVARIATES, estimand=estimand)
    assert made.fit["denominator"] == denominator
    plain = ev.aipw(design, outcome="trust", treatment="joined", covariates=COVARIATES, estimand=estimand)
    np.testing.assert_allclose(made.estimate[0], plain.estimate[0] / made.fit["sd"], rtol=1e-12)
    assert made.keys["quantity"].tolist() == ["smd", "mean_participants", "mean_comparison"]


def test_on_a_balanced_design_the_spread_is_that_before_balancing(respondents):
    design = design_of(respondents)
    balanced = ev.propensity_weights(design, treatment="joined", covariates=COVARIATES)
    made, other = smd(balanced), smd(design, ev.ipw, covariates=COVARIATES)
    np.testing.assert_allclose(made.estimate, other.estimate, rtol=1e-10)
    np.testing.assert_allclose(made.std_error, other.std_error, rtol=1e-10)
    assert made.fit["sd_comparison"] == smd(design).fit["sd_comparison"]


def test_influence_is_the_numerical_derivative(respondents):
    design = design_of(respondents)
    influence = smd(design, ev.aipw, covariates=COVARIATES).influence
    for i in (0, 77, 238):
        moved = []
        for sign in (1, -1):
            weights = design.weights.copy()
            weights[i] *= 1 + sign * STEP
            other = replace(design, weights=weights, base_weights=weights)
            moved.append(smd(other, ev.aipw, covariates=COVARIATES).estimate)
        numerical = (moved[0] - moved[1]) / (2 * STEP)
        np.testing.assert_allclose(influence[i], numerical, atol=DERIVATIVE * np.abs(influence).max())


def test_the_unit_of_the_outcome_does_not_matter(respondents):
    first, other = (
        smd(design_of(respondents)),
        smd(design_of(respondents.assign(trust=1000 * respondents["trust"] - 7))),
    )
    np.testing.assert_allclose(other.estimate[0], first.estimate[0], rtol=1e-9)
    np.testing.assert_allclose(other.std_error[0], first.std_error[0], rtol=1e-9)


def test_what_is_no_difference_of_means_is_refused(respondents):
    design = design_of(respondents)
    ratio = ev.group_difference(design, outcome="trust", treatment="joined", measure="log_risk_ratio")
    with pytest.raises(EstimationError, match="measure='difference'"):
        ev.standardised_difference(ratio, design)
    with pytest.raises(EstimationError, match="measure='difference'"):
        ev.standardised_difference(ev.survey_mean(design, "trust"), design)
    effect = ev.group_difference(design, outcome="trust", treatment="joined")
    with pytest.raises(EstimationError, match="denominator must be one of"):
        ev.standardised_difference(effect, design, denominator="treated")
    with pytest.raises(EstimationError, match="does not vary"):
        smd(design_of(respondents.assign(trust=3.1)))
