"""Targets that cannot be met: proved, named in a smallest set, with what could be reached and bounds that would do."""

import re

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.design.columns import Columns
from evaluation.errors import CalibrationError
from evaluation.weighting import programme
from evaluation.weighting.feasibility import explain_contradiction, explain_infeasible
from evaluation.weighting.programme import Reach, extreme, largest_low, least_miss, smallest_high, smallest_ratio

INFINITE = float("inf")


def sample(**columns):
    frame = pd.DataFrame({"w": 10.0, **columns})
    return ev.survey_design(frame, weights="w")


def rooms():
    return sample(rooms=[1.0, 2.0, 3.0, 4.0], sex=["f", "f", "m", "m"])


def refused(design, margins, **options):
    with pytest.raises(CalibrationError) as caught:
        ev.calibrate(design, margins, **options)
    return caught.value


def test_a_total_beyond_the_sample_is_named_with_what_can_be_reached():
    error = refused(rooms(), {"total": 40, "rooms": 200}, distance="raking")
    assert "no weights of zero and above reach 'total' = 40 and 'rooms' = 200 together" in str(error)
    assert "With the others met, 'rooms' can be from 40 to 160 (before: 100, target: 200)." in str(error)
    assert "No bounds help." in str(error)
    table = error.failures.set_index("total")
    np.testing.assert_allclose(
        table.loc["rooms", ["target", "before", "lowest", "highest"]].to_list(), [200, 100, 40, 160]
    )
    np.testing.assert_allclose(table.loc["total", ["lowest", "highest"]].to_list(), [50, 200])


def test_only_the_totals_that_conflict_are_named():
    design = sample(a=[0.0, 2, 3, 4], b=[1.0, 0, 2, 5], c=[3.0, 1, 1, 0])
    error = refused(design, {"total": 40, "a": 100, "b": 250, "c": 50}, distance="raking")
    assert error.failures["total"].tolist() == ["total", "b"]
    assert "'a'" not in str(error)


@pytest.mark.parametrize("distance", ["linear", "raking", "logit"])
def test_bounds_that_are_too_tight_come_with_bounds_that_do(distance):
    design, targets = rooms(), {"total": 40, "rooms": 111}
    error = refused(design, targets, distance=distance, bounds=(0.8, 1.3))
    assert "no weights between 0.8 and 1.3 times the input weights reach" in str(error)
    offered = re.findall(r"\(([\d.]+), ([\d.]+)\)", str(error).split("would do:")[1])
    assert len(offered) == 3
    for low, high in ((float(low), float(high)) for low, high in offered):
        met = ev.calibrate(design, targets, distance="linear", bounds=(low, high))
        assert (met.weights * design.data["rooms"]).sum() == pytest.approx(111, rel=1e-9)
        tighter = (1 - (1 - low) * 0.99, 1 + (high - 1) * 0.99)
        refused(design, targets, distance="linear", bounds=tighter)


def test_smallest_bounds_by_hand():
    # Factors g of weights 10 with g1 + ... + g4 = 4 and g1 + 2 g2 + 3 g3 + 4 g4 = 11.1.
    x = Columns(4, np.arange(4), np.array([[1.0, r] for r in (1, 2, 3, 4)]))
    totals = np.array([40.0, 111.0])
    reach = Reach.of(x, np.full(4, 10.0), totals)
    # At least 0.8: g = 0.8, 0.8, 0.9, 1.5. At most 1.3: g1 = g2 = L and g4 = 3 L - 0.9 = 1.3.
    assert smallest_high(reach, totals, 0.8) == pytest.approx(1.5, rel=1e-9)
    assert largest_low(reach, totals, 1.3) == pytest.approx(2.2 / 3, rel=1e-9)
    ratio = smallest_ratio(reach, totals, 1.3)
    assert least_miss(reach, totals, [0, 1], (1 / ratio, ratio)).value <= 1e-8
    assert least_miss(reach, totals, [0, 1], (1.001 / ratio, ratio / 1.001)).value > 1e-8


def test_positive_targets_that_need_weights_of_zero_say_so():
    design = sample(rooms=[1.0, 2.0, 3.0])
    error = refused(design, {"total": 30, "rooms": 90}, distance="raking")
    assert "only weights of zero for some respondents reach" in str(error)
    # Truncated linear weights may be zero, so there they exist.
    met = ev.calibrate(design, {"total": 30, "rooms": 90}, bounds=(0, 4)).weights
    np.testing.assert_allclose(met, [0, 0, 30], atol=1e-9)


def test_raking_margins_that_the_cells_forbid_are_explained():
    design = sample(sex=["f", "f", "m"], age=["old", "old", "young"])
    twice = {"sex": {"f": 20, "m": 20}, "age": {"old": 30, "young": 10}}
    error = refused(design, twice, distance="raking")
    assert "'age=old' is 'sex=f', so its total must be 20, but the target is 30" in str(error)
    design = sample(sex=["f", "m", "m"], age=["old", "old", "young"])
    error = refused(design, {"sex": {"f": 20, "m": 20}, "age": {"old": 10, "young": 30}}, distance="raking")
    assert "no weights of zero and above reach" in str(error)
    assert len(error.failures) == 2


def test_contradictory_totals_are_named_with_their_relation():
    design = sample(rooms=[1.0, 2, 3, 4], double=[2.0, 4, 6, 8], other=[1.0, 5, 2, 2])
    for options in ({}, {"distance": "raking"}, {"bounds": (0.5, 2)}):
        error = refused(design, {"other": 100, "rooms": 120.0, "double": 250.0}, **options)
        assert "'double' is 2 × 'rooms', so its total must be 240, but the target is 250" in str(error)
        assert error.failures["total"].tolist() == ["double", "rooms"]


def test_redundant_totals_that_agree_are_met():
    design = sample(rooms=[1.0, 2, 3, 4], left=[1.0, 0, 1, 0], right=[0.0, 1, 0, 1])
    met = ev.calibrate(design, {"total": 50, "left": 20, "right": 30, "rooms": 130})
    np.testing.assert_allclose(met.weights @ met.data[["left", "right", "rooms"]].to_numpy(), [20, 30, 130], rtol=1e-10)


def test_a_total_that_no_respondent_with_a_weight_has():
    frame = pd.DataFrame({"w": [0.0, 1, 1], "a": [5.0, 0, 0], "b": [1.0, 1, 2]})
    error = refused(ev.survey_design(frame, weights="w"), {"b": 3, "a": 7})
    assert "'a' is zero for every respondent who has a weight, but its target is 7" in str(error)


def test_soft_totals_are_never_part_of_a_conflict():
    error = refused(rooms(), {"sex": {"f": 10, "m": 30}, "rooms": 300}, bounds=(0.6, 1.4), ridge={"rooms": 1})
    assert set(error.failures["total"]) <= {"sex=f", "sex=m"}


def many(n=60_000, seed=1):
    rng = np.random.default_rng(seed)
    return Columns(n, rng.integers(0, 3, n), np.eye(3), (rng.normal(40, 10, n), rng.gamma(2.0, 2.0, n))), np.full(
        n, 5.0
    )


def test_large_samples_are_judged_exactly_through_groups():
    x, weights = many()
    names = ["a", "b", "c", "age", "income"]
    reached = x.moments(weights[:, None])[:, 0]
    mean = x.dense[0].mean()
    # The highest mean age that factors between 0.5 and 2 allow: those above a cut get 2, those below 0.5.
    high = np.sort(x.dense[0])[::-1]
    share = np.concatenate([np.full(20_000, 2.0), np.full(40_000, 0.5)])
    most = 5.0 * (share @ high)
    wide = Columns(x.n, np.zeros(x.n, dtype=np.int64), np.ones((1, 1)), x.dense[:1])
    totals = np.array([5.0 * x.n, 0.0])
    reach = Reach.of(wide, weights, totals)
    assert extreme(reach, totals, [0], (0.5, 2.0), 1, -1).value == pytest.approx(most, rel=1e-7)
    beyond = np.array([*reached[:3], 5 * x.n * (mean + 15), reached[4]])
    error = explain_infeasible(x, weights, beyond, names, (0.5, 2.0))
    assert "age" in set(error.failures["total"])
    assert "income" not in set(error.failures["total"])


def test_groups_and_single_rows_give_the_same_verdict(monkeypatch):
    x, weights = many(1_500)
    reached = x.moments(weights[:, None])[:, 0]
    names = ["a", "b", "c", "age", "income"]
    for shift in (1.02, 1.1, 1.3):
        totals = reached * [1, 1, 1, shift, 1]
        everything = list(range(5))
        verdicts = []
        for alone in (2_000, 100):
            monkeypatch.setattr(programme, "ALONE", alone)
            reach = Reach.of(x, weights, totals)
            verdicts.append(
                (
                    least_miss(reach, totals, everything, (0.8, 1.2)).value > programme.PRECISION,
                    round(smallest_high(reach, totals, 0.8), 3),
                    explain_infeasible(x, weights, totals, names, (0.8, 1.01)).failures["total"].tolist(),
                )
            )
        assert verdicts[0] == verdicts[1]


def test_a_certificate_is_only_given_where_no_weights_exist():
    rng = np.random.default_rng(8)
    for _ in range(20):
        x = Columns(30, np.arange(30), np.column_stack([np.ones(30), rng.normal(size=(30, 2))]))
        weights, factor = rng.uniform(1, 5, 30), rng.uniform(0.6, 1.8, 30)
        totals = x.moments((weights * factor)[:, None])[:, 0]
        reach = Reach.of(x, weights, totals)
        assert least_miss(reach, totals, [0, 1, 2], (0.6, 1.8)).value == pytest.approx(0, abs=1e-8)
        assert explain_contradiction(x, weights, totals, ["1", "2", "3"]) is None


def test_raking_that_the_cells_forbid_names_the_levels_and_what_they_can_be():
    design = sample(sex=["f", "m", "m"], age=["old", "old", "young"])
    with pytest.raises(CalibrationError) as caught:
        ev.rake(design, {"sex": {"f": 20, "m": 20}, "age": {"old": 10, "young": 30}})
    assert "rake cannot meet its totals: no weights of zero and above reach" in str(caught.value)
    table = caught.value.failures.set_index("total")
    assert len(table) == 2
    outside = (table["target"] < table["lowest"] - 1e-6) | (table["target"] > table["highest"] + 1e-6)
    assert outside.all()
