"""How many clusters carry each row of a result, and which inference the headline takes for it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.impact.clusters.sides import sides_of
from evaluation.impact.effects import ImpactEffects

NAMED = {"outcome": "y", "cohort": "start", "cluster": "gu"}


def waves_of(starts: list[int], years: range = range(2013, 2019), seed: int = 1) -> ev.Panel:
    """A district panel of noise, treated from these years on (0: never)."""
    random = np.random.default_rng(seed)
    cells = [(g, year, start) for g, start in enumerate(starts) for year in years]
    places = pd.DataFrame(cells, columns=["gu", "year", "start"])
    places["y"] = random.normal(size=len(places))
    places["on"] = ((places["start"] > 0) & (places["year"] >= places["start"])).astype(float)
    return ev.panel(ev.survey_design(places, psu="gu"), unit="gu", time="year")


FEW_EARLY = waves_of([2015] * 2 + [2017] * 10 + [0] * 13)
SEOUL = waves_of([2015] * 13 + [2016] * 5 + [2017] * 6 + [2018], range(2013, 2020))

BY_TIME_SINCE: dict[str, Callable[[], ImpactEffects]] = {
    "event_study": lambda: ev.event_study(FEW_EARLY, **NAMED),
    "imputation_did": lambda: ev.imputation_did(FEW_EARLY, type="dynamic", **NAMED),
    "two_stage_did": lambda: ev.two_stage_did(FEW_EARLY, type="dynamic", **NAMED),
    "sun_abraham": lambda: ev.sun_abraham(FEW_EARLY, **NAMED),
    "extended_twfe": lambda: ev.extended_twfe(FEW_EARLY, type="dynamic", **NAMED),
    "event_study_twfe": lambda: ev.event_study_twfe(FEW_EARLY, **NAMED),
    "efficient_did": lambda: ev.efficient_did(FEW_EARLY, type="dynamic", **NAMED),
    "switching_did": lambda: ev.switching_did(FEW_EARLY, outcome="y", treatment="on", cluster="gu"),
    "synthetic_did": lambda: ev.synthetic_did(FEW_EARLY, outcome="y", cohort="start"),
}


def counts(result: ImpactEffects, **key: float) -> tuple[int | None, int | None]:
    rows = (
        result.keys["term"] == "overall"
        if not key
        else np.logical_and.reduce([result.keys[name] == value for name, value in key.items()])
    )
    sides = sides_of(result, int(np.flatnonzero(rows)[0]))
    return sides.treated, sides.control


@pytest.mark.parametrize("verb", BY_TIME_SINCE)
def test_rows_by_time_since_the_start_count_only_the_districts_that_reach_them(verb: str) -> None:
    made = BY_TIME_SINCE[verb]()
    assert counts(made) == (12, 13)
    assert counts(made, event_time=1) == (12, 13)
    assert counts(made, event_time=3) == (2, 13)


def test_the_headline_of_a_row_carried_by_two_districts_is_randomization() -> None:
    made = ev.imputation_did(FEW_EARLY, type="dynamic", **NAMED)
    assert ev.headline_inference(made, row={"event_time": 1}).method == "cv3"
    few = ev.headline_inference(made, row={"event_time": 3}, draws=99, seed=1)
    assert (few.method, few.reason) == ("ri_coefficient", "chosen_ri_few")
    assert "2 clusters are treated" in few.why("en")


def test_stacks_count_their_own_comparisons() -> None:
    made = ev.stacked_did(SEOUL, window=(1, 0), **NAMED)
    assert counts(made) == (24, 1)
    early = ev.stacked_did(FEW_EARLY, window=(2, 1), **NAMED)
    assert counts(early, event_time=1) == (12, 13)


@pytest.mark.parametrize("verb", ["imputation_did", "two_stage_did", "extended_twfe"])
def test_waves_count_the_districts_treated_by_then_and_those_still_untreated(verb: str) -> None:
    made = getattr(ev, verb)(SEOUL, type="calendar", **NAMED)
    assert [counts(made, time=year) for year in (2015, 2016, 2017)] == [(13, 12), (18, 7), (24, 1)]
    assert counts(made) == (24, 1)


def test_a_regression_against_those_never_treated_does_not_count_those_treated_later() -> None:
    made = ev.sun_abraham(FEW_EARLY, type="calendar", **NAMED)
    assert counts(made, time=2015) == (2, 13)
    never = ev.extended_twfe(FEW_EARLY, type="calendar", control_group="nevertreated", **NAMED)
    assert counts(never, time=2015) == (2, 13)
    assert counts(ev.extended_twfe(FEW_EARLY, type="calendar", **NAMED), time=2015) == (2, 23)


def test_the_efficient_estimator_does_not_count_the_district_it_drops() -> None:
    made = ev.efficient_did(SEOUL, type="calendar", **NAMED)
    assert counts(made) == (18, 6)
    assert counts(made, time=2015) == (13, 11)


def test_two_districts_that_switch_once_are_no_case_for_the_jackknife() -> None:
    places = waves_of([2016] * 2 + [0] * 23)
    made = ev.switching_did(places, outcome="y", treatment="on", cluster="gu")
    found = ev.headline_inference(made, draws=99, seed=1)
    assert (found.sides.treated, found.sides.control) == (2, 23)
    assert found.method == "ri_coefficient"


def test_districts_with_parts_treated_at_different_times_count_where_they_carry_and_where_they_compare() -> None:
    random = np.random.default_rng(2)
    starts = {0: (2015, 0), 1: (2015, 2016), 2: (0, 0), 3: (2016, 0), 4: (0, 0)}
    cells = [(g, year, starts[g][i % 2]) for g in starts for year in range(2013, 2018) for i in range(6)]
    people = pd.DataFrame(cells, columns=["gu", "year", "start"])
    people["y"] = random.normal(size=len(people))
    waves = ev.panel(ev.survey_design(people), time="year")
    made = ev.imputation_did(waves, type="calendar", place="start", **NAMED)
    assert counts(made, time=2015) == (2, 5)
    assert counts(made, time=2016) == (3, 4)


def test_rows_taken_out_keep_their_counts_and_are_asked_again_alone() -> None:
    for made in (ev.imputation_did(FEW_EARLY, type="dynamic", **NAMED), ev.event_study(FEW_EARLY, **NAMED)):
        rows = np.array([len(made) - 1, 0])
        part = made.take(rows)
        assert part.refit is not None
        assert made.refit is not None
        assert counts(part) == (12, 13)
        assert sides_of(part, 0).treated == 2
        assert np.array_equal(part.refit.estimate, made.estimate[rows])
        weights = made.refit.design.domain_weights
        assert np.allclose(part.refit.again(weights), made.estimate[rows])
        assert np.allclose(part.refit.left_out(), made.refit.left_out()[:, rows], equal_nan=True)
        order = np.array([[2017.0] * 10 + [2015.0] * 2 + [np.inf] * 13])
        assert part.refit.reordered is not None
        assert made.refit.reordered is not None
        assert np.allclose(part.refit.reordered(order), made.refit.reordered(order)[:, rows], equal_nan=True)
        assert np.isclose(
            ev.leave_one_out(part).tidy()["change"].iloc[0], part.refit.left_out()[0, 0] - part.estimate[0]
        )


def test_the_reference_of_an_event_study_is_not_tested() -> None:
    for made in (ev.event_study(FEW_EARLY, **NAMED), ev.sun_abraham(FEW_EARLY, **NAMED)):
        found = ev.headline_inference(made, row={"event_time": -1})
        assert (found.method, found.reason) == ("none", "chosen_none_reference")
        assert np.isnan(found.p_value)
        assert "0 by construction" in found.why("en")


def relabelled(panel: ev.Panel, order: np.ndarray, **options: str) -> float:
    """The estimate with the dates of an order written into the data."""
    places = panel.design.data.copy()
    starts = np.where(np.isinf(order), 0, order)
    places["start"] = starts[places["gu"]].astype(int)
    moved = ev.panel(ev.survey_design(places, psu="gu"), unit="gu", time="year")
    return float(ev.efficient_did(moved, **NAMED, **options).estimate[0])


@pytest.mark.parametrize("vcov", ["jackknife", "neyman"])
@pytest.mark.parametrize("starts", [[2015] * 13 + [2016] * 5 + [2017] * 6 + [2018], [2012] * 4 + [2016] * 3 + [0] * 3])
def test_other_orders_of_the_efficient_estimator_are_those_of_the_data_relabelled(starts: list[int], vcov: str) -> None:
    made = ev.efficient_did(waves_of(starts, range(2013, 2020)), vcov=vcov, **NAMED)
    assert made.refit is not None
    assert made.refit.clusters is not None
    assert made.refit.reordered is not None
    actual = np.where(np.array(starts) == 0, np.inf, np.array(starts, dtype=float))
    at = np.array([int(level) for level in made.refit.clusters.levels])
    random = np.random.default_rng(4)
    orders = np.stack([actual[at], *(random.permutation(actual[at]) for _ in range(4))])
    expected = []
    for order in orders:
        whole = actual.copy()
        whole[at] = order
        expected.append(relabelled(waves_of(starts, range(2013, 2020)), whole))
    assert np.allclose(made.refit.reordered(orders)[:, 0], expected, rtol=1e-10)
    assert ev.randomization_inference(made, draws=99, seed=1).n_missing == 0
