"""Trimming to overlap: who is kept by which rule, and what a balanced design keeps."""

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.comparison.adjustment.trimming import trimming_of
from evaluation.errors import ColumnError, EstimationError

WHO = {"treatment": "joined", "covariates": ["age", "sex"]}


@pytest.fixture(scope="module")
def respondents():
    rng = np.random.default_rng(8)
    n = 600
    frame = pd.DataFrame(
        {
            "w": rng.uniform(1, 4, n),
            "psu": np.repeat(np.arange(n // 10), 10),
            "stratum": np.repeat(["a", "b", "c"], n // 3),
            "age": rng.normal(45, 14, n),
            "sex": rng.choice(["f", "m"], n),
        }
    )
    frame["joined"] = (rng.uniform(size=n) < 1 / (1 + np.exp(-0.12 * (frame["age"] - 50)))).astype(int)
    frame["y"] = frame["age"] / 10 + frame["joined"] + rng.normal(size=n)
    return frame


def design_of(frame):
    return ev.survey_design(frame, weights="w", strata="stratum", psu="psu")


def test_fixed_bounds_keep_scores_within_them(respondents):
    design = design_of(respondents)
    scores = ev.overlap(design, **WHO).scores
    kept = ev.trim_propensity(design, **WHO, bounds=(0.2, 0.7))
    assert (kept.present == ((scores >= 0.2) & (scores <= 0.7))).all()
    step = trimming_of(kept)
    assert step.limits == (0.2, 0.7)
    assert sum(step.n_dropped) == (~kept.present).sum()
    assert trimming_of(design) is None


def test_percentiles_are_those_of_the_survey_weighted_groups(respondents):
    design = design_of(respondents)
    scores = ev.overlap(design, **WHO).scores
    low, high = trimming_of(ev.trim_propensity(design, **WHO, rule="percentile")).limits
    joined, weights = (respondents[name].to_numpy() for name in ("joined", "w"))
    below = weights[(joined == 1) & (scores <= low)].sum() / weights[joined == 1].sum()
    above = weights[(joined == 0) & (scores <= high)].sum() / weights[joined == 0].sum()
    assert 0.05 <= below < 0.06
    assert 0.95 <= above < 0.96
    plain = trimming_of(ev.trim_propensity(design, **WHO, rule="percentile", bounds=(0, 1))).limits
    assert plain == (scores[joined == 1].min(), scores[joined == 0].max())


def test_the_optimal_bound_makes_the_average_most_precise(respondents):
    design = design_of(respondents)
    scores, weights = ev.overlap(design, **WHO).scores, respondents["w"].to_numpy()
    alpha, upper = trimming_of(ev.trim_propensity(design, **WHO, rule="crump")).limits
    assert upper == pytest.approx(1 - alpha)

    def variance(bound):
        inside = (scores >= bound) & (scores <= 1 - bound)
        return np.average(1 / (scores * (1 - scores)), weights=weights * inside) / weights[inside].sum()

    best = variance(alpha)
    assert all(best <= variance(bound) + 1e-12 for bound in np.linspace(0, 0.4, 81))
    assert best < variance(0.0)


def test_scores_that_nobody_has_alone_need_no_trimming():
    frame = pd.DataFrame({"joined": [0, 1] * 40, "sex": ["f", "f", "m", "m"] * 20})
    kept = ev.trim_propensity(ev.survey_design(frame), treatment="joined", covariates=["sex"], rule="crump")
    assert kept.present.all()


def test_a_trimmed_design_is_a_domain_and_what_follows_is_estimated_anew(respondents):
    design = design_of(respondents)
    kept = ev.trim_propensity(design, **WHO)
    again = ev.ipw(kept, outcome="y", **WHO, estimand="ATE")
    marked = respondents.assign(inside=kept.present.astype(int))
    by_domain = ev.ipw(ev.domain(design_of(marked), {"inside": 1}), outcome="y", **WHO, estimand="ATE")
    np.testing.assert_allclose(again.estimate, by_domain.estimate, rtol=1e-12)
    np.testing.assert_allclose(again.std_error, by_domain.std_error, rtol=1e-12)
    assert kept.engine.sampling.n_units == 60
    assert kept.history["n"].tolist() == [600, int(kept.present.sum())]
    replicated = ev.trim_propensity(ev.as_replicates(design, kind="JKn"), **WHO)
    refitted = ev.ipw(replicated, outcome="y", **WHO, estimand="ATE")
    np.testing.assert_allclose(refitted.std_error, again.std_error, rtol=0.15)


@pytest.mark.parametrize("verb", [ev.propensity_weights, ev.entropy_balance, ev.cbps])
def test_a_balanced_design_keeps_its_weights(respondents, verb):
    balanced = verb(design_of(respondents), **WHO)
    kept = ev.trim_propensity(balanced, bounds=(0.2, 0.7))
    np.testing.assert_array_equal(kept.weights[kept.present], balanced.weights[kept.present])
    assert ev.balancing_of(kept).verb == verb.__name__
    scores = ev.balancing_of(balanced).scores
    if verb is ev.entropy_balance:
        assert scores is None
        scores = ev.overlap(design_of(respondents), **WHO).scores
    assert (kept.present == ((scores >= 0.2) & (scores <= 0.7))).all()
    with pytest.raises(ColumnError, match="keeps its own scores"):
        ev.trim_propensity(balanced, **WHO)


def test_the_error_after_trimming_counts_the_estimated_weights(respondents):
    design = design_of(respondents)
    kept = ev.trim_propensity(ev.propensity_weights(design, **WHO), bounds=(0.2, 0.7))
    linear = ev.group_difference(kept, outcome="y", treatment="joined")
    replicated = ev.propensity_weights(ev.as_replicates(design, kind="JKn"), **WHO)
    again = ev.group_difference(ev.trim_propensity(replicated, bounds=(0.2, 0.7)), outcome="y", treatment="joined")
    np.testing.assert_allclose(again.std_error, linear.std_error, rtol=0.15)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": "crumb"}, "Did you mean 'crump'"),
        ({"rule": "crump", "bounds": (0.1, 0.9)}, "finds its own bounds"),
        ({"bounds": (0.9, 0.1)}, "must rise within 0 and 1"),
        ({"bounds": 0.1}, "must be two numbers"),
        ({"bounds": (0.998, 0.999)}, "nobody of .* has a propensity score between 0.998 and 0.999"),
        ({"covariates": None}, "name treatment and covariates"),
    ],
)
def test_impossible_trimming_is_refused(respondents, options, message):
    with pytest.raises((EstimationError, ColumnError), match=message):
        ev.trim_propensity(design_of(respondents), **{**WHO, **options})
