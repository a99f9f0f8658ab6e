"""Trimming: against R, by hand, strict or in one pass, with margins met again."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog

import evaluation as ev
from evaluation.errors import CalibrationError, WeightingError

REFERENCE = Path(__file__).parents[1] / "reference" / "survey"
TIGHT = 1e-12
ESTIMATE, ERROR = 1e-8, 1e-6
BOUNDS = {"dstrat": {"upper": 40, "lower": 16}, "dsc": {"upper": 100, "lower": 25}}


def items(capability):
    whole = json.loads((REFERENCE / "expected.json").read_text(encoding="utf-8"))
    return [item for item in whole["items"] if item["capability"] == capability]


def reference_design(name):
    options = {"strata": "stype", "weights": "pw", "fpc": "fpc"}
    if name == "dsc":
        options = {"strata": "stratum", "psu": "dnum", "weights": "wt", "nested": True}
    file = {"dstrat": "apistrat.csv", "dsc": "own_strat2psu.csv"}[name]
    return ev.survey_design(pd.read_csv(REFERENCE / file), linearization="r", **options)


def trimmed(item, strict):
    return ev.trim_weights(
        reference_design(item["design"]), relative_to="none", strict=strict, **BOUNDS[item["design"]]
    )


@pytest.mark.parametrize("item", items("trim") + items("trim_strict"), ids=lambda item: item["id"])
def test_trimmed_weights_are_those_of_r(item):
    design = trimmed(item, item["capability"] == "trim_strict")
    np.testing.assert_allclose(design.weights, item["expect"]["weights"], rtol=ESTIMATE)
    last = design.history.iloc[-1]
    assert last["kish_deff"] == pytest.approx(item["expect"]["kish_deff"], rel=ESTIMATE)


@pytest.mark.parametrize("item", items("trim_estimate"), ids=lambda item: item["id"])
def test_estimates_with_trimmed_weights_are_those_of_r(item):
    mean = ev.survey_mean(trimmed(item, False), "api00")
    assert mean.estimate[0] == pytest.approx(item["expect"]["estimate"]["api00"], rel=ESTIMATE)
    assert mean.std_error[0] == pytest.approx(item["expect"]["se"]["api00"], rel=ERROR)


def declared(*weights):
    return ev.survey_design(pd.DataFrame({"w": weights}), weights="w")


def test_what_is_cut_off_is_spread_evenly():
    weights = ev.trim_weights(declared(1.0, 2.0, 3.0, 10.0), upper=7.0, relative_to="none").weights
    np.testing.assert_allclose(weights, [2, 3, 4, 7], rtol=TIGHT)


def test_what_is_raised_is_taken_off_evenly():
    weights = ev.trim_weights(declared(0.5, 4.0, 5.0, 6.0), lower=2.0, relative_to="none").weights
    np.testing.assert_allclose(weights, [2, 3.5, 4.5, 5.5], rtol=TIGHT)


def test_one_pass_may_leave_weights_beyond_the_bound_and_strict_may_not():
    design = declared(1.0, 1.0, 3.9, 10.0)
    once, strict = (
        ev.trim_weights(design, upper=4.0, relative_to="none", strict=flag).weights for flag in (False, True)
    )
    np.testing.assert_allclose(once, [3, 3, 5.9, 4], rtol=TIGHT)
    np.testing.assert_allclose(strict, [3.95, 3.95, 4, 4], rtol=TIGHT)


def test_between_two_bounds_every_weight_lies_within_and_the_sum_stays():
    rng = np.random.default_rng(12)
    weights = np.exp(rng.normal(0, 1, 300))
    lower, upper = np.quantile(weights, [0.1, 0.9])
    done = ev.trim_weights(declared(*weights), upper=upper, lower=lower, relative_to="none").weights
    assert lower * (1 - 1e-11) <= done.min() <= done.max() <= upper * (1 + 1e-11)
    assert done.sum() == pytest.approx(weights.sum(), rel=1e-12)


def test_bounds_are_multiples_of_the_median_of_weights_above_zero():
    design = declared(0.0, 0.0, 1.0, 2.0, 3.0, 14.0)
    weights = ev.trim_weights(design, upper=4.0).weights
    np.testing.assert_allclose(weights, [0, 0, 7 / 3, 10 / 3, 13 / 3, 10], rtol=TIGHT)
    assert ev.trim_weights(design, upper=2.5, relative_to="mean").weights.max() == pytest.approx(12.5, rel=TIGHT)


def test_weights_within_their_bounds_stay_as_they_are():
    design = ev.trim_weights(declared(1.0, 2.0, 3.0), upper=5.0, lower=0.1)
    assert design.weights.tolist() == [1.0, 2.0, 3.0]
    assert design.steps[-1].step.cut is None


def test_margins_are_met_again_within_both_bounds():
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"sex": rng.choice(["f", "m"], 200), "age": rng.choice(["old", "young"], 200)})
    frame["w"] = np.exp(rng.normal(0, 0.6, 200))
    size = frame["w"].sum()
    margins = {"sex": {"f": 0.55 * size, "m": 0.45 * size}, "age": {"old": 0.4 * size, "young": 0.6 * size}}
    raked = ev.rake(ev.survey_design(frame, weights="w"), margins)
    done = ev.trim_weights(raked, upper=2.0, lower=0.5, margins=margins)
    middle = np.median(raked.weights)
    assert 0.5 * middle * (1 - 1e-9) <= done.weights.min() < done.weights.max() <= 2.0 * middle * (1 + 1e-9)
    for name, levels in margins.items():
        reached = pd.Series(done.weights).groupby(frame[name]).sum()
        assert reached.to_dict() == pytest.approx(levels, rel=1e-9)
    assert done.chain()[-1] == {
        "trim_weights": {"upper": 2.0, "lower": 0.5, "relative_to": "median", "margins": ["sex", "age"]}
    }


def crossed(seed, n=40):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {"sex": rng.choice(["f", "m"], n), "age": rng.choice(list("abc"), n), "x": rng.normal(5, 1, n)}
    )
    frame["w"] = np.exp(rng.normal(0, 0.7, n))
    size = frame["w"].sum()
    margins = {"sex": {"f": 0.5, "m": 0.5}, "age": {"a": 0.33, "b": 0.33, "c": 0.34}}
    margins = {name: {level: share * size for level, share in levels.items()} for name, levels in margins.items()}
    return frame, margins | ({"x": 5.05 * size} if seed % 2 else {})


@pytest.mark.parametrize("seed", range(24))
def test_bounds_and_margins_are_met_wherever_a_linear_programme_says_they_can_be(seed):
    frame, margins = crossed(seed)
    design = ev.calibrate(ev.survey_design(frame, weights="w"), margins, distance="raking")
    rng, middle = np.random.default_rng(seed), np.median(design.weights)
    upper, lower = rng.uniform(1.2, 2.2), rng.uniform(0.3, 0.8)
    levels = [(frame[name] == level, target) for name in ("sex", "age") for level, target in margins[name].items()]
    rows = [*levels, *([(frame["x"], margins["x"])] if "x" in margins else [])]
    x, totals = np.array([row for row, _ in rows], dtype=float), np.array([target for _, target in rows])
    possible = linprog(
        np.zeros(len(frame)), A_eq=x, b_eq=totals, bounds=[(lower * middle, upper * middle)] * len(frame)
    )
    if possible.status == 0:
        weights = ev.trim_weights(design, upper=upper, lower=lower, margins=margins).weights
        assert lower * middle * (1 - 1e-8) <= weights.min() <= weights.max() <= upper * middle * (1 + 1e-8)
        np.testing.assert_allclose(x @ weights, totals, rtol=1e-8)
    else:
        with pytest.raises(CalibrationError, match=r"trimming at .* cannot be done"):
            ev.trim_weights(design, upper=upper, lower=lower, margins=margins)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, WeightingError, "needs a bound"),
        ({"upper": 0}, WeightingError, "upper must be above zero, got 0"),
        ({"upper": "3"}, WeightingError, "upper must be above zero, got '3'"),
        ({"lower": -1}, WeightingError, "lower must be above zero"),
        ({"upper": 1, "lower": 1}, WeightingError, r"lower \(1\) must be below upper \(1\)"),
        ({"upper": 1, "relative_to": "mode"}, WeightingError, "relative_to must be"),
        ({"upper": 1.2, "strict": False, "margins": {"g": {"a": 9}}}, WeightingError, "strict=False is no part"),
        ({"upper": 0.5, "relative_to": "none"}, CalibrationError, "every weight would be cut"),
        ({"upper": 2.1, "lower": 2, "relative_to": "none"}, CalibrationError, "trimming at 2 and 2.1 cannot be done"),
    ],
)
def test_bounds_that_cannot_hold_are_refused(arguments, error, message):
    design = ev.survey_design(pd.DataFrame({"w": [1.0, 2.0, 6.0], "g": "a"}), weights="w")
    with pytest.raises(error, match=message):
        ev.trim_weights(design, **arguments)
