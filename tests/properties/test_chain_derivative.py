"""The exact variance of a weighting chain is the numerical derivative of the estimate in the design weights."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.design import steps

DERIVATIVE = 1e-6
STEP = 1e-5


def respondents(seed=7, n=64):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "psu": np.repeat(np.arange(n // 4), 4),
            "stratum": np.repeat(["s", "t"], n // 2),
            "w": rng.uniform(5, 15, n),
            "sex": rng.choice(["f", "m"], n),
            "age": rng.choice(["old", "young", "middle"], n),
            "x": rng.normal(50, 10, n),
        }
    )
    frame["y"] = 3 + 0.4 * frame["x"] + (frame["sex"] == "f") * 2 + rng.normal(0, 3, n)
    frame["home"] = np.arange(n) // 2
    frame["w"] = np.repeat(frame["w"].to_numpy()[::2], 2)
    frame["v"] = rng.uniform(1, 3, n)
    frame["answered"] = (rng.uniform(size=n) < 0.85).astype(int)
    frame["answer"] = np.where(rng.uniform(size=n) < 0.4, "yes", "no")
    return frame


def margins(frame, factor=1.1):
    size = frame["w"].sum() * factor
    share = {"sex": {"f": 0.52, "m": 0.48}, "age": {"middle": 0.4, "old": 0.27, "young": 0.33}}
    targets = {name: {level: size * part for level, part in levels.items()} for name, levels in share.items()}
    return targets, size


def chains(frame):
    targets, size = margins(frame)
    numeric = {"total": size, "x": size * 50.5}
    everything = {**targets, "x": size * 50.5}
    sex, age = {"sex": targets["sex"]}, {"age": targets["age"]}
    return {
        "post-stratified": lambda d: ev.poststratify(d, sex),
        "post-stratified twice": lambda d: ev.poststratify(ev.poststratify(d, sex), age),
        "raked": lambda d: ev.rake(d, targets),
        "linear": lambda d: ev.calibrate(d, numeric),
        "linear after raking": lambda d: ev.calibrate(ev.rake(d, targets), numeric),
        "raking distance": lambda d: ev.calibrate(d, everything, distance="raking"),
        "linear within bounds": lambda d: ev.calibrate(d, everything, bounds=(0.65, 1.5)),
        "raking within bounds": lambda d: ev.calibrate(d, everything, distance="raking", bounds=(0.7, 1.5)),
        "logit": lambda d: ev.calibrate(d, everything, distance="logit", bounds=(0.6, 1.8)),
        "with variances": lambda d: ev.calibrate(d, everything, variance="v"),
        "soft totals": lambda d: ev.calibrate(d, everything, ridge={"x": 2.0, "age": 0.5}),
        "soft raking distance": lambda d: ev.calibrate(d, everything, distance="raking", ridge=1.5),
        "in households": lambda d: ev.calibrate(d, everything, distance="raking", cluster="home"),
        "raked, trimmed, logit": lambda d: ev.calibrate(
            ev.trim_weights(ev.rake(d, targets), upper=1.3), everything, distance="logit", bounds=(0.5, 2)
        ),
        "nonresponse, soft, raked": lambda d: ev.rake(
            ev.calibrate(ev.adjust_nonresponse(d, response="answered", by=["sex"]), numeric, ridge=5.0), targets
        ),
        "nonresponse, bounded, trimmed": lambda d: ev.trim_weights(
            ev.calibrate(ev.adjust_nonresponse(d, response="answered", by=["sex"]), numeric, bounds=(0.85, 1.3)),
            upper=1.5,
        ),
        "trimmed": lambda d: ev.trim_weights(ev.rake(d, targets), upper=1.3),
        "trimmed and calibrated again": lambda d: ev.trim_weights(
            ev.calibrate(d, everything, distance="raking"), upper=1.35, margins=everything
        ),
    }


NAMES = sorted(chains(respondents()))


def replayed(design, weights):
    """The chain in a replicate that multiplies each design weight by what ``weights`` is of it."""
    multiplicity = weights / design.base_weights
    for applied in design.steps:
        weights = steps.replayed(applied.step, weights, multiplicity)
    return weights


def estimates_at(design, weights):
    moved = replace(design, weights=replayed(design, weights))
    return np.concatenate(
        [
            ev.survey_mean(moved, "y").estimate,
            ev.survey_total(moved, "y").estimate,
            ev.survey_mean(moved, "y", by="sex").estimate,
            ev.survey_glm(moved, outcome="y", covariates=["x", "sex"]).estimate,
        ]
    )


@pytest.mark.parametrize("name", NAMES)
def test_influence_is_the_numerical_derivative(name):
    frame = respondents()
    design = chains(frame)[name](ev.survey_design(frame, weights="w", psu="psu", strata="stratum"))
    influence = np.hstack(
        [
            ev.survey_mean(design, "y").influence,
            ev.survey_total(design, "y").influence,
            ev.survey_mean(design, "y", by="sex").influence,
            ev.survey_glm(design, outcome="y", covariates=["x", "sex"]).influence,
        ]
    )
    base = design.base_weights
    for i in (0, 13, 31, 58):
        moves = []
        for sign in (1, -1):
            weights = base.copy()
            weights[i] *= 1 + sign * STEP
            moves.append(estimates_at(design, weights))
        numerical = (moves[0] - moves[1]) / (2 * STEP)
        scale = np.abs(influence).max(axis=0)
        np.testing.assert_allclose(influence[i] / scale, numerical / scale, atol=DERIVATIVE)


def test_trimming_cuts_some_weights_in_these_chains():
    frame = respondents()
    for name in ("trimmed", "trimmed and calibrated again"):
        design = chains(frame)[name](ev.survey_design(frame, weights="w", psu="psu", strata="stratum"))
        last = design.steps[-1]
        assert (last.weights_in > last.weights_out + 1e-6).sum() >= 2


@pytest.mark.parametrize("name", NAMES)
def test_a_step_done_again_changes_no_weight_and_no_error(name):
    frame = respondents()
    plain = ev.survey_design(frame, weights="w", psu="psu", strata="stratum")
    targets, _ = margins(frame)
    once = ev.rake(chains(frame)[name](plain), targets)
    again = ev.rake(once, targets)
    np.testing.assert_allclose(again.weights, once.weights, rtol=1e-9)
    first, second = (ev.survey_mean(design, "y").std_error for design in (once, again))
    np.testing.assert_allclose(second, first, rtol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_sums_of_influence_by_unit_are_the_contributions(name):
    frame = respondents()
    design = chains(frame)[name](ev.survey_design(frame, weights="w", psu="psu", strata="stratum"))
    result = ev.survey_mean(design, "y", by=["sex", "answer"])
    by_unit = pd.DataFrame(result.influence).groupby(frame["psu"]).sum().to_numpy()
    np.testing.assert_allclose(by_unit, result.contributions, atol=1e-9)
    assert list(result.keys.columns) == ["term", "sex", "answer"]


@pytest.mark.parametrize("name", NAMES)
def test_row_order_and_scale_of_the_weights_do_not_matter(name):
    frame = respondents()
    mixed = frame.sample(frac=1, random_state=3)
    ours, other = (
        ev.survey_mean(
            chains(frame)[name](ev.survey_design(one, weights="w", psu="psu", strata="stratum")), "y", by="sex"
        )
        for one in (frame, mixed)
    )
    np.testing.assert_allclose(other.estimate, ours.estimate, rtol=1e-10)
    np.testing.assert_allclose(other.std_error, ours.std_error, rtol=1e-8)


def test_weights_hit_their_targets_and_stay_under_their_bound():
    frame = respondents()
    targets, size = margins(frame)
    design = chains(frame)["trimmed and calibrated again"](ev.survey_design(frame, weights="w"))
    for name, levels in targets.items():
        reached = pd.Series(design.weights).groupby(frame[name]).sum()
        for level, target in levels.items():
            assert reached[level] == pytest.approx(target, rel=1e-9)
    assert (design.weights * frame["x"]).sum() == pytest.approx(size * 50.5, rel=1e-9)
    before = design.steps[-1].weights_in
    assert design.weights.max() == pytest.approx(1.35 * np.median(before), rel=1e-12)
    assert before.max() > 1.35 * np.median(before)


def test_a_cut_weight_still_carries_sampling_error():
    frame = respondents()
    design = chains(frame)["trimmed and calibrated again"](ev.survey_design(frame, weights="w", psu="psu"))
    cut = design.steps[-1].step.cut
    assert (np.abs(ev.survey_total(design, "y").influence[cut]) > 0).all()


def test_jackknife_of_a_chain_is_near_linearization():
    frame = respondents(n=240)
    targets, _ = margins(frame)
    plain = ev.rake(ev.survey_design(frame, weights="w", psu="psu", strata="stratum"), targets)
    replicated = ev.as_replicates(plain, kind="JKn")
    assert replicated.degrees_of_freedom() == plain.degrees_of_freedom()
    for verb, arguments in (
        (ev.survey_mean, {"variables": "y", "by": "sex"}),
        (ev.survey_prop, {"variables": "answer"}),
        (ev.survey_glm, {"outcome": "y", "covariates": ["x", "sex"]}),
    ):
        taylor, jackknife = verb(plain, **arguments), verb(replicated, **arguments)
        np.testing.assert_allclose(jackknife.estimate, taylor.estimate, rtol=1e-10)
        np.testing.assert_allclose(jackknife.std_error, taylor.std_error, rtol=0.08)


@pytest.mark.parametrize("name", ["linear within bounds", "raking within bounds", "nonresponse, bounded, trimmed"])
def test_bounds_cut_some_factors_off_in_these_chains(name):
    frame = respondents()
    design = chains(frame)[name](ev.survey_design(frame, weights="w", psu="psu", strata="stratum"))
    applied = next(one for one in design.steps if one.step.verb == "calibrate")
    counted = applied.weights_in > 0
    factor = applied.weights_out[counted] / applied.weights_in[counted]
    low, high = applied.step.bounds
    assert ((np.abs(factor - low) < 1e-12) | (np.abs(factor - high) < 1e-12)).sum() >= 2
    assert factor.min() >= low - 1e-12
    assert factor.max() <= high + 1e-12
