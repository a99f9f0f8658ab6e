"""Nonresponse, trimming and normalising in a chain: exact variance, replicates, and steps that do nothing."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.design.steps import replayed as replayed_step

#: Central differences at a step of 1e-5 leave about 1e-9 of the influence; iterations to margins leave more.
DERIVATIVE = 1e-6
STEP = 1e-5
TIGHT = 1e-9


def drawn(seed=11, n=160, size=4):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "psu": np.repeat(np.arange(n // size), size),
            "stratum": np.repeat(["s", "t"], n // 2),
            "w": rng.uniform(5, 15, n),
            "sex": rng.choice(["f", "m"], n),
            "age": rng.choice(["old", "young", "middle"], n),
            "x": rng.normal(50, 10, n),
        }
    )
    frame["disposition"] = rng.choice(
        ["complete", "partial", "refusal", "noncontact", "unknown", "ineligible"], n, p=[0.5, 0.1, 0.15, 0.1, 0.1, 0.05]
    )
    frame["responded"] = frame["disposition"].isin(["complete", "partial"]).astype(int)
    frame["y"] = 3 + 0.4 * frame["x"] + (frame["sex"] == "f") * 2 + rng.normal(0, 3, n)
    frame["answer"] = np.where(rng.uniform(size=n) < 0.4, "yes", "no")
    return frame


def margins(frame):
    size = frame["w"].sum() * 0.95
    share = {"sex": {"f": 0.52, "m": 0.48}, "age": {"middle": 0.4, "old": 0.27, "young": 0.33}}
    return {name: {level: size * part for level, part in levels.items()} for name, levels in share.items()}


def steps(frame):
    targets = margins(frame)
    eligible = lambda d: ev.adjust_unknown_eligibility(d, status="disposition", by="stratum")  # noqa: E731
    cells = lambda d: ev.adjust_nonresponse(eligible(d), response="disposition", by=["stratum", "sex"])  # noqa: E731
    return {
        "eligibility": eligible,
        "nonresponse in cells": lambda d: ev.adjust_nonresponse(d, response="responded", by=["sex", "age"]),
        "ineligible kept": lambda d: ev.adjust_nonresponse(eligible(d), response="disposition", ineligible="keep"),
        "inverse propensity": lambda d: ev.adjust_nonresponse(
            d, response="responded", covariates=["x", "sex"], method="inverse_propensity"
        ),
        "propensity of a level": lambda d: ev.adjust_nonresponse(
            d, response="responded", covariates=["sex", "age"], method="inverse_propensity"
        ),
        "propensity classes": lambda d: ev.adjust_nonresponse(
            d, response="responded", covariates=["x", "sex"], method="propensity_classes", classes=4
        ),
        "mean propensity of classes": lambda d: ev.adjust_nonresponse(
            d,
            response="responded",
            covariates=["x", "age"],
            method="propensity_classes",
            classes=4,
            class_rate="mean_propensity",
        ),
        "two steps": cells,
        "propensity, raked": lambda d: ev.rake(
            ev.adjust_nonresponse(
                eligible(d), response="disposition", covariates="~ x + age", method="inverse_propensity"
            ),
            targets,
        ),
        "three steps": lambda d: ev.rake(cells(d), targets),
        "trimmed both ways": lambda d: ev.trim_weights(cells(d), upper=1.3, lower=0.75),
        "trimmed once": lambda d: ev.trim_weights(cells(d), upper=1.3, lower=0.8, strict=False),
        "five steps": lambda d: ev.normalise_weights(
            ev.trim_weights(ev.rake(cells(d), targets), upper=1.5, margins=targets)
        ),
        "trimmed both ways to margins": lambda d: ev.trim_weights(
            ev.rake(cells(d), targets), upper=1.35, lower=0.75, margins=targets
        ),
        "normalised by group": lambda d: ev.normalise_weights(ev.rake(cells(d), targets), to=100, by="sex"),
        "standardised": lambda d: ev.standardise(
            cells(d), by="age", over="sex", population={"old": 1, "young": 2, "middle": 1}
        ),
    }


NAMES = sorted(steps(drawn()))


def declared(frame, **options):
    return ev.survey_design(frame, weights="w", psu="psu", strata="stratum", **options)


def estimates(design):
    return [
        ev.survey_mean(design, "y"),
        ev.survey_total(design, "y"),
        ev.survey_mean(design, "y", by="sex"),
        ev.survey_glm(design, outcome="y", covariates=["x", "sex"]),
    ]


def values(design):
    return np.concatenate([result.estimate for result in estimates(design)])


def test_both_bounds_hold_weights_in_the_chain_that_meets_margins_again():
    frame = drawn()
    last = steps(frame)["trimmed both ways to margins"](declared(frame)).steps[-1]
    moved = last.weights_out / np.where(last.weights_in == 0, 1, last.weights_in)
    assert (moved[last.step.cut] < 1).any()
    assert (moved[last.step.cut] > 1).any()


def replayed(design, weights):
    """The chain in a replicate that multiplies each design weight by what ``weights`` is of it."""
    multiplicity = weights / design.base_weights
    for applied in design.steps:
        weights = replayed_step(applied.step, weights, multiplicity)
    return replace(design, weights=weights)


@pytest.mark.parametrize("name", NAMES)
def test_influence_is_the_numerical_derivative(name):
    frame = drawn()
    design = steps(frame)[name](declared(frame))
    influence = np.hstack([result.influence for result in estimates(design)])
    scale = np.abs(influence).max(axis=0)
    kinds = [frame.index[frame["disposition"] == kind][:2] for kind in frame["disposition"].unique()]
    for i in np.concatenate(kinds):
        moves = []
        for sign in (1, -1):
            weights = design.base_weights.copy()
            weights[i] *= 1 + sign * STEP
            moves.append(values(replayed(design, weights)))
        numerical = (moves[0] - moves[1]) / (2 * STEP)
        np.testing.assert_allclose(influence[i] / scale, numerical / scale, atol=DERIVATIVE)


@pytest.mark.parametrize("name", NAMES)
def test_sums_of_influence_by_unit_are_the_contributions(name):
    frame = drawn()
    result = ev.survey_mean(steps(frame)[name](declared(frame)), "y", by=["sex", "answer"])
    by_unit = pd.DataFrame(result.influence).groupby(frame["psu"]).sum().to_numpy()
    np.testing.assert_allclose(by_unit, result.contributions, atol=TIGHT)


def test_nonrespondents_carry_influence_but_no_weight():
    frame = drawn()
    for name in ("nonresponse in cells", "inverse propensity", "propensity classes", "mean propensity of classes"):
        design = steps(frame)[name](declared(frame))
        silent = (frame["responded"] == 0).to_numpy()
        assert (design.weights[silent] == 0).all()
        assert ev.survey_mean(design, "y").n_obs.tolist() == [int((~silent).sum())]
        assert (np.abs(ev.survey_mean(design, "y").influence[silent]) > 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_row_order_and_scale_of_the_weights_do_not_matter(name):
    frame = drawn()
    mixed = frame.sample(frac=1, random_state=3).assign(w=lambda rows: rows["w"] * 7)
    ours, other = (ev.survey_mean(steps(one)[name](declared(one)), "y", by="sex") for one in (frame, mixed))
    np.testing.assert_allclose(other.estimate, ours.estimate, rtol=TIGHT)
    np.testing.assert_allclose(other.std_error, ours.std_error, rtol=1e-7)


@pytest.mark.parametrize(
    "name",
    ["nonresponse in cells", "inverse propensity", "mean propensity of classes", "three steps", "five steps"],
)
def test_jackknife_of_a_chain_is_near_linearization(name):
    frame = drawn(n=800, size=8)
    plain = steps(frame)[name](declared(frame))
    replicated = ev.as_replicates(plain, kind="JKn")
    for verb, arguments in (
        (ev.survey_mean, {"variables": "y", "by": "sex"}),
        (ev.survey_total, {"variables": "y"}),
        (ev.survey_prop, {"variables": "answer"}),
    ):
        taylor, jackknife = verb(plain, **arguments), verb(replicated, **arguments)
        np.testing.assert_allclose(jackknife.estimate, taylor.estimate, rtol=TIGHT)
        np.testing.assert_allclose(jackknife.std_error, taylor.std_error, rtol=0.05, atol=1e-6 * taylor.estimate.max())


def test_steps_that_do_nothing_change_no_error():
    frame = drawn()
    everybody = frame.assign(responded=1, known="eligible")
    targets = margins(frame)
    plain = ev.rake(declared(everybody), targets)
    chains = {
        "unknown eligibility": lambda d: ev.adjust_unknown_eligibility(d, status="known", by="sex"),
        "cells": lambda d: ev.adjust_nonresponse(d, response="responded", by=["sex", "age"]),
        "propensity": lambda d: ev.adjust_nonresponse(
            d, response="responded", covariates="x", method="inverse_propensity"
        ),
        "trimming": lambda d: ev.trim_weights(d, upper=50.0, lower=0.001),
        "normalising": lambda d: ev.normalise_weights(d, to=float(d.weights.sum())),
        "nonresponse done again": lambda d: ev.adjust_nonresponse(d, response="responded"),
    }
    for name, chain in chains.items():
        same = chain(plain)
        np.testing.assert_allclose(same.weights, plain.weights, rtol=1e-12, err_msg=name)
        for one, other in zip(estimates(same), estimates(plain), strict=True):
            np.testing.assert_allclose(one.std_error, other.std_error, rtol=1e-8, err_msg=name)


def test_normalising_leaves_means_and_their_errors_and_fixes_the_total():
    frame = drawn()
    before = steps(frame)["two steps"](declared(frame))
    after = ev.normalise_weights(before, to=1000)
    for verb in (ev.survey_mean, ev.survey_total):
        one, other = verb(before, "y"), verb(after, "y")
        if verb is ev.survey_mean:
            np.testing.assert_allclose(other.estimate, one.estimate, rtol=1e-12)
            np.testing.assert_allclose(other.std_error, one.std_error, rtol=1e-10)
        else:
            np.testing.assert_allclose(other.estimate, 1000 * ev.survey_mean(after, "y").estimate, rtol=1e-12)
            np.testing.assert_allclose(other.std_error, 1000 * ev.survey_mean(after, "y").std_error, rtol=1e-10)
    size = ev.survey_total(replace(after, data=frame.assign(one=1.0)), "one")
    assert size.estimate.tolist() == pytest.approx([1000.0], rel=1e-12)
    assert size.std_error.tolist() == [0.0]


def test_estimating_the_propensity_costs_or_gains_precision_that_fixed_weights_do_not_show():
    frame = drawn(n=800)
    adjusted = steps(frame)["inverse propensity"](declared(frame))
    fixed = ev.survey_design(frame.assign(w=adjusted.weights), weights="w", psu="psu", strata="stratum")
    exact, naive = (ev.survey_total(design, "y").std_error[0] for design in (adjusted, fixed))
    assert abs(exact / naive - 1) > 0.02
    in_r = steps(frame)["inverse propensity"](declared(frame, linearization="r"))
    assert ev.survey_total(in_r, "y").std_error[0] == pytest.approx(naive, rel=1e-12)


#: The standard deviation of 100 estimates is itself known to 7 % only.
SIMULATED = 0.2


def test_the_error_of_an_inverse_propensity_mean_is_its_spread_over_samples():
    rng = np.random.default_rng(7)
    found = []
    for _ in range(100):
        frame = pd.DataFrame({"w": 10.0, "x": rng.normal(size=400)})
        frame["y"] = 10 + 3 * frame["x"] + rng.normal(size=400)
        frame["responded"] = (rng.uniform(size=400) < 1 / (1 + np.exp(-0.4 - 0.8 * frame["x"]))).astype(int)
        adjusted = ev.adjust_nonresponse(
            ev.survey_design(frame, weights="w"), response="responded", covariates="x", method="inverse_propensity"
        )
        fixed = ev.survey_design(frame.assign(w=adjusted.weights), weights="w")
        exact, naive = ev.survey_mean(adjusted, "y"), ev.survey_mean(fixed, "y")
        found.append((exact.estimate[0], exact.std_error[0], naive.std_error[0]))
    estimate, exact, naive = np.array(found).T
    assert abs(estimate.mean() - 10) < 3 * estimate.std() / np.sqrt(100)
    assert exact.mean() == pytest.approx(estimate.std(ddof=1), rel=SIMULATED)
    assert naive.mean() > 1.25 * exact.mean()
