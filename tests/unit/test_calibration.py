"""Calibration: distances by hand, bounds, soft totals, households, variances, and what the step writes down."""

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import optimize

import evaluation as ev
from evaluation.design.columns import Columns
from evaluation.errors import CalibrationError, ColumnError, WeightingError
from evaluation.weighting.calibration import CalibrationStep, CellCalibrationStep, auxiliaries_of
from evaluation.weighting.chain import replay_chain
from evaluation.weighting.distances import Adjustment
from evaluation.weighting.newton import Equations, solve
from evaluation.weighting.raking import as_margins

HIT = 1e-10


def respondents(seed=3, n=120):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "household": np.arange(n) // 3,
            "area": rng.choice(["a", "b", "c"], n),
            "sex": rng.choice(["f", "m"], n),
            "x": rng.normal(50, 12, n),
            "z": rng.normal(0, 5, n),
            "y": rng.normal(10, 2, n),
            "size": rng.uniform(1, 4, n),
        }
    )
    frame["w"] = np.repeat(rng.uniform(5, 15, n // 3), 3)
    return frame


def plain(frame=None):
    return ev.survey_design(respondents() if frame is None else frame, weights="w", psu="household")


def targets(frame, factor=1.05):
    size = frame["w"].sum() * factor
    return {
        "area": {"a": 0.3 * size, "b": 0.36 * size, "c": 0.34 * size},
        "x": 51.0 * size,
        "z": 0.2 * size,
    }


def reached(design, wanted):
    found = {}
    for name, value in wanted.items():
        if isinstance(value, dict):
            sums = pd.Series(design.weights).groupby(design.data[name].to_numpy()).sum()
            found.update({f"{name}={level}": (sums[level], target) for level, target in value.items()})
        else:
            column = 1.0 if name == "total" else design.data[name].to_numpy()
            found[name] = ((design.weights * column).sum(), value)
    return found


OPTIONS = {
    "linear": {},
    "linear within bounds": {"bounds": (0.7, 1.6)},
    "raking": {"distance": "raking"},
    "raking within bounds": {"distance": "raking", "bounds": (0.7, 1.6)},
    "logit": {"distance": "logit", "bounds": (0.6, 1.8)},
    "linear with variances": {"variance": "size"},
    "logit with variances": {"distance": "logit", "bounds": (0.5, 2.0), "variance": "size"},
    "linear in households": {"cluster": "household"},
    "raking in households": {"distance": "raking", "cluster": "household"},
    "soft and exact": {"ridge": {"z": float("inf")}},
}


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_totals_are_met_to_ten_digits_and_bounds_hold(name):
    frame = respondents()
    wanted = targets(frame)
    design = ev.calibrate(plain(frame), wanted, **OPTIONS[name])
    for total, target in reached(design, wanted).values():
        assert abs(total - target) <= HIT * max(abs(target), 0.01 * design.weights.sum())
    low, high = OPTIONS[name].get("bounds", (-np.inf, np.inf))
    factor = design.weights / frame["w"]
    assert factor.min() >= low - 1e-12
    assert factor.max() <= high + 1e-12


@pytest.mark.parametrize("bounds", [(0.97, 1.5), (0.5, 1.12)])
def test_bounded_linear_weights_are_the_nearest_ones_within_the_bounds(bounds):
    frame = respondents(n=36)
    wanted = {"total": frame["w"].sum() * 1.05, "x": (frame["w"] * frame["x"]).sum() * 1.07}
    ours = ev.calibrate(plain(frame), wanted, bounds=bounds).weights
    w, x = frame["w"].to_numpy(), frame["x"].to_numpy()
    matrix = np.vstack([w, w * x])
    solved = optimize.minimize(
        lambda g: 0.5 * (w * (g - 1) ** 2).sum(),
        np.full(len(w), 1.05),
        jac=lambda g: w * (g - 1),
        constraints={
            "type": "eq",
            "fun": lambda g: (matrix @ g - list(wanted.values())) / 1e3,
            "jac": lambda g: matrix / 1e3,
        },
        bounds=[bounds] * len(w),
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-14},
    )
    assert solved.success
    at_a_bound = (np.isclose(ours / w, bounds[0])) | (np.isclose(ours / w, bounds[1]))
    assert 1 <= at_a_bound.sum() < len(w)
    np.testing.assert_allclose(ours, w * solved.x, rtol=1e-5)


def test_logit_factor_and_slope_by_its_formula():
    adjustment = Adjustment("logit", (0.5, 3.0))
    u = np.linspace(-3, 3, 7)
    low, high = 0.5, 3.0
    steep = (high - low) / ((1 - low) * (high - 1))
    by_hand = (low * (high - 1) + high * (1 - low) * np.exp(steep * u)) / ((high - 1) + (1 - low) * np.exp(steep * u))
    factor = adjustment.factor(u)
    np.testing.assert_allclose(factor, by_hand, rtol=1e-13)
    numerical = (adjustment.factor(u + 1e-6) - adjustment.factor(u - 1e-6)) / 2e-6
    np.testing.assert_allclose(adjustment.slope(factor), numerical, rtol=1e-7)
    assert adjustment.factor(np.array([-1e6, 1e6])).tolist() == [low, high]


def test_a_soft_total_minimises_its_penalised_distance():
    frame = respondents(n=30)
    w, x, z = (frame[name].to_numpy() for name in ("w", "x", "z"))
    size = w.sum()
    wanted, costs = {"total": size * 1.1, "x": size * 60, "z": size * 0.4}, {"x": 3.0, "z": 0.2}
    ours = ev.calibrate(plain(frame), wanted, ridge=costs).weights
    assert ours.sum() == pytest.approx(wanted["total"], rel=1e-10)
    soft = np.vstack([x / wanted["x"], z / wanted["z"]])
    weight = size * np.array([costs["x"], costs["z"]])
    # Stationary on weights that keep the total: the gradient of distance and penalty is the same for all.
    gradient = (ours - w) / w + soft.T @ (weight * (soft @ ours - 1))
    assert np.ptp(gradient) <= 1e-9 * np.abs(gradient).max()


@pytest.mark.parametrize("distance", ["linear", "raking"])
def test_costs_lead_from_no_change_to_exact_totals(distance):
    frame = respondents()
    wanted = targets(frame)
    start = plain(frame)
    misses = []
    for cost in (1e-9, 1e-2, 1.0, 100.0, float("inf")):
        table = ev.calibration_totals(ev.calibrate(start, wanted, ridge=cost, distance=distance))
        misses.append(float((table["relative_miss"] ** 2).sum()))
    assert misses == sorted(misses, reverse=True)
    free = ev.calibrate(start, wanted, ridge=1e-9, distance=distance)
    np.testing.assert_allclose(free.weights, start.weights, rtol=1e-5)
    exact = ev.calibrate(start, wanted, distance=distance)
    np.testing.assert_allclose(
        ev.calibrate(start, wanted, ridge=float("inf"), distance=distance).weights, exact.weights, rtol=1e-9
    )


def test_a_soft_total_out_of_reach_is_missed_and_an_exact_one_is_not():
    frame = respondents()
    size = frame["w"].sum()
    wanted = {"total": size, "x": size * 200.0}
    with pytest.raises(CalibrationError):
        ev.calibrate(plain(frame), wanted, distance="raking")
    design = ev.calibrate(plain(frame), wanted, distance="raking", ridge={"x": 0.01})
    table = ev.calibration_totals(design).set_index("total")
    assert table.loc["total", "relative_miss"] == pytest.approx(0, abs=1e-10)
    assert table.loc["x", "relative_miss"] < -0.1


def test_household_members_get_one_weight_and_others_of_unequal_weight_are_refused():
    frame = respondents()
    design = ev.calibrate(plain(frame), targets(frame), cluster="household", bounds=(0.5, 2))
    assert (pd.Series(design.weights).groupby(frame["household"]).nunique() == 1).all()
    assert not np.allclose(design.weights, frame["w"])
    frame.loc[4, "w"] *= 2
    with pytest.raises(WeightingError, match=r"members of 1 clusters have different weights, first '1'") as caught:
        ev.calibrate(plain(frame), targets(frame), cluster="household")
    assert caught.value.failures["household"].tolist() == [1, 1, 1]


def test_household_calibration_is_calibration_of_households():
    frame = respondents()
    wanted = targets(frame)
    persons = ev.calibrate(plain(frame), wanted, cluster="household").weights
    households = frame.groupby("household").agg(w=("w", "first"), x=("x", "mean"), z=("z", "mean"))
    for area in "abc":
        households[f"is_{area}"] = (frame["area"] == area).groupby(frame["household"]).mean()
    # One row per household; its weight counts three members.
    x = households[["is_a", "is_b", "is_c", "x", "z"]].to_numpy()
    d = 3 * households["w"].to_numpy()
    target = np.array([*wanted["area"].values(), wanted["x"], wanted["z"]])
    b = np.linalg.solve(x.T @ (d[:, None] * x), target - x.T @ d)
    np.testing.assert_allclose(persons[::3], households["w"] * (1 + x @ b), rtol=1e-10)


def test_variance_is_one_over_the_weight_in_the_distance():
    frame = respondents()
    x, v, w = frame["x"].to_numpy(), frame["size"].to_numpy(), frame["w"].to_numpy()
    total = (w * x).sum() * 1.05
    ours = ev.calibrate(plain(frame), {"x": total}, variance="size").weights
    b = (total - (w * x).sum()) / (w / v * x * x).sum()
    np.testing.assert_allclose(ours, w * (1 + x / v * b), rtol=1e-12)
    with pytest.raises(ColumnError, match=r"variance 'z' must be above zero, but is not for \d+ of 120"):
        ev.calibrate(plain(frame), {"x": total}, variance="z")


def test_scale_of_weights_and_order_of_rows_change_nothing():
    frame = respondents()
    wanted = targets(frame)
    for name, options in OPTIONS.items():
        once = ev.calibrate(plain(frame), wanted, **options).weights
        big = frame.assign(w=frame["w"] * 1e4)
        scaled = ev.calibrate(plain(big), targets(big), **options).weights
        np.testing.assert_allclose(scaled, 1e4 * once, rtol=1e-8, err_msg=name)
        mixed = frame.sample(frac=1, random_state=5)
        other = ev.calibrate(plain(mixed), wanted, **options).weights
        np.testing.assert_allclose(other, once[mixed.index], rtol=1e-9, err_msg=name)


def test_calibrating_again_changes_no_weight():
    frame = respondents()
    for distance, bounds in (("linear", None), ("raking", None), ("logit", (0.5, 2))):
        once = ev.calibrate(plain(frame), targets(frame), distance=distance, bounds=bounds)
        again = ev.calibrate(once, targets(frame), distance=distance, bounds=bounds)
        np.testing.assert_allclose(again.weights, once.weights, rtol=1e-12)


def test_weights_of_zero_stay_zero_and_count_nothing():
    frame = respondents()
    frame.loc[:2, "w"] = 0.0
    frame.loc[0, "x"] = 1e9
    kept = frame.iloc[3:].reset_index(drop=True)
    for options in OPTIONS.values():
        ours = ev.calibrate(plain(frame), targets(frame), **options).weights
        assert (ours[:3] == 0).all()
        np.testing.assert_allclose(ours[3:], ev.calibrate(plain(kept), targets(kept), **options).weights, rtol=1e-8)


def test_far_targets_converge_for_every_distance():
    frame = respondents()
    size = frame["w"].sum() * 40
    wanted = {"total": size, "x": 58 * size}
    for distance, bounds in (("raking", None), ("raking", (0.2, 300)), ("logit", (0.01, 400)), ("linear", (0.1, 300))):
        design = ev.calibrate(plain(frame), wanted, distance=distance, bounds=bounds)
        assert (design.weights * frame["x"]).sum() == pytest.approx(wanted["x"], rel=1e-10)


def test_counts_alone_are_calibrated_on_cells_for_all_replicates_at_once():
    frame = respondents()
    size = frame["w"].sum()
    wanted = {
        "area": {"a": 0.3 * size, "b": 0.36 * size, "c": 0.34 * size},
        "sex": {"f": 0.55 * size, "m": 0.45 * size},
    }
    for distance, bounds in (("linear", None), ("linear", (0.5, 2)), ("logit", (0.4, 2.5))):
        design = ev.calibrate(plain(frame), wanted, distance=distance, bounds=bounds)
        step = design.steps[0].step
        assert isinstance(step, CellCalibrationStep)
        code, n_cells = step.cells
        others = np.vstack([frame["w"] * np.random.default_rng(r).uniform(0.9, 1.1, len(frame)) for r in range(3)])
        masses = np.vstack([np.bincount(code, row, minlength=n_cells) for row in others])
        for row, multiplier in zip(others, step.replay_cells(masses), strict=True):
            np.testing.assert_allclose(row * multiplier[code], step.replay(row), rtol=1e-9)


def test_numeric_totals_are_not_calibrated_on_cells():
    frame = respondents()
    step = ev.calibrate(plain(frame), targets(frame)).steps[0].step
    assert type(step) is CalibrationStep
    assert not hasattr(step, "cells")


def test_nearly_redundant_totals_are_still_met():
    frame = respondents()
    frame["year"] = 2016 + (frame["x"] > 50) + frame["z"] * 1e-3
    size = frame["w"].sum()
    wanted = {"total": size, "year": (frame["w"] * frame["year"]).sum() + 0.01 * size}
    design = ev.calibrate(plain(frame), wanted)
    assert (design.weights * frame["year"]).sum() == pytest.approx(wanted["year"], rel=1e-12)


def test_the_step_writes_down_what_a_study_file_says():
    frame = respondents()
    design = ev.calibrate(
        plain(frame), targets(frame), distance="logit", bounds=[0.5, 2], ridge={"z": 10}, variance="size"
    )
    assert design.chain() == [
        {
            "calibrate": {
                "margins": ["area", "x", "z"],
                "distance": "logit",
                "bounds": [0.5, 2.0],
                "ridge": {"z": 10.0},
                "variance": "size",
            }
        }
    ]
    ((_, arguments),) = design.chain()[0].items()
    again = ev.calibrate(plain(frame), **{**arguments, "margins": targets(frame)})
    assert (again.weights == design.weights).all()
    asked = design.steps[0].step.asked
    assert (ev.calibrate(plain(frame), **asked).weights == design.weights).all()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"distance": "lineer"}, WeightingError, r"Did you mean 'linear'\?"),
        ({"distance": "logit"}, WeightingError, r"needs bounds, the lowest and highest factor"),
        ({"bounds": (1.2, 2)}, WeightingError, r"bounds must lie around 1, .* got \(1\.2, 2\)"),
        ({"bounds": 2}, WeightingError, r"two numbers, .* got 2\. Write bounds=\(0\.5, 2\)"),
        ({"bounds": (0.5, float("inf")), "distance": "logit"}, WeightingError, r"two finite bounds"),
        ({"bounds": (-1, 2), "distance": "raking"}, WeightingError, r"never gives a factor below 0"),
        ({"ridge": 0}, WeightingError, r"above zero, got 0"),
        ({"ridge": {"xx": 1}}, WeightingError, r"ridge: 'xx' is none of the totals"),
        ({"variance": "area"}, ColumnError, r"variance 'area': the column is text"),
        ({"variance": "sizes"}, ColumnError, r"no column 'sizes'"),
        ({"cluster": "houshold"}, ColumnError, r"Did you mean 'household'\?"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, error, message):
    frame = respondents()
    with pytest.raises(error, match=message):
        ev.calibrate(plain(frame), targets(frame), **options)


def test_without_targets_there_is_nothing_to_calibrate_to():
    with pytest.raises(WeightingError, match="needs margins or totals_from"):
        ev.calibrate(plain())


def test_negative_weights_can_only_be_calibrated_linearly():
    frame = respondents()
    size = frame["w"].sum()
    negative = ev.calibrate(plain(frame), {"total": size, "x": 85 * size})
    assert negative.weights.min() < 0
    assert negative.history["minimum"].iloc[-1] < 0
    again = ev.calibrate(negative, {"total": size, "x": 50 * size})
    assert (again.weights * frame["x"]).sum() == pytest.approx(50 * size, rel=1e-10)
    with pytest.raises(CalibrationError, match=r"\d+ weights are negative before calibration"):
        ev.calibrate(negative, {"total": size}, distance="raking")


def test_an_infinite_auxiliary_is_refused_with_its_rows():
    frame = respondents()
    frame.loc[7, "x"] = np.inf
    with pytest.raises(ColumnError, match=r"'x' is infinite for 1 of 120") as caught:
        ev.calibrate(plain(frame), {"x": 1.0})
    assert caught.value.failures.index.tolist() == [7]


def test_cells_and_rows_give_the_same_solution():
    frame = respondents()
    design = plain(frame)
    x, totals, _ = auxiliaries_of(
        design, as_margins({"area": targets(frame)["area"], "total": frame["w"].sum() * 1.05})
    )
    rows = Columns(x.n, dense=tuple(x.matrix.T))
    for adjustment in (Adjustment(), Adjustment("raking"), Adjustment("logit", (0.5, 2.0))):
        one, other = (solve(Equations(form, design.weights, totals, adjustment)) for form in (x, rows))
        assert one.converged
        assert other.converged
        np.testing.assert_allclose(one.factor, other.factor, rtol=1e-12)


def test_a_chain_of_calibrations_is_replayed_from_yaml():
    frame = respondents()
    margins = ev.margins({**targets(frame), "total": frame["w"].sum() * 1.05})
    written = """
- calibrate: {margins: [area, x], distance: logit, bounds: [0.5, 2]}
- calibrate: {margins: [total, x, z], ridge: {x: .inf, z: 5}, bounds: [0.5, 2], variance: size}
- calibrate: {margins: [area], cluster: null, vcov: {area=a: {area=a: 100.0}}}
"""
    first = replay_chain(plain(frame), yaml.safe_load(written), margins=margins)
    again = replay_chain(plain(frame), yaml.safe_load(yaml.safe_dump(first.chain())), margins=margins)
    assert (first.weights == again.weights).all()
    assert ev.survey_mean(first, "y").std_error == ev.survey_mean(again, "y").std_error
    assert "ridge: x inf, z 5" in first.summary()
