"""Effects that rest on few respondents somewhere are hidden, however many stand in their other groups and waves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.results import Estimates

STARTS = [2014] * 3 + [2015] * 3 + [0] * 5
NAMED = {"outcome": "y", "cohort": "start"}


def waves_of(few: int, *, min_cell: int = 5, min_base: int = 30) -> ev.Panel:
    """Persons of districts, 40 in each and wave, but ``few`` in all of those of 2015 in 2016."""
    random = np.random.default_rng(3)
    cells = [(g, year, start) for g, start in enumerate(STARTS) for year in range(2012, 2018)]
    people = pd.DataFrame([cell for cell in cells for _ in range(40)], columns=["gu", "year", "start"])
    lost = people.index[(people["start"] == 2015) & (people["year"] == 2016)]
    people = people.drop(lost[few:]).reset_index(drop=True)
    people["y"] = random.normal(size=len(people))
    people["on"] = ((people["start"] > 0) & (people["year"] >= people["start"])).astype(float)
    design = ev.survey_design(people)
    design = replace(design, provenance=replace(design.provenance, min_cell=min_cell, min_base=min_base))
    return ev.panel(design, time="year")


VERBS: dict[str, Callable[[ev.Panel], Estimates]] = {
    "att_gt": lambda p: ev.att_gt(p, **NAMED),
    "aggregate": lambda p: ev.aggregate(ev.att_gt(p, **NAMED), type="calendar"),
    "event_study": lambda p: ev.event_study(p, **NAMED),
    "event_study_twfe": lambda p: ev.event_study_twfe(p, **NAMED),
    "sun_abraham": lambda p: ev.sun_abraham(p, **NAMED),
    "extended_twfe": lambda p: ev.extended_twfe(p, type="cells", **NAMED),
    "stacked_did": lambda p: ev.stacked_did(p, window=(2, 1), **NAMED),
    "imputation_did": lambda p: ev.imputation_did(p, type="calendar", place="gu", **NAMED),
    "two_stage_did": lambda p: ev.two_stage_did(p, type="calendar", place="gu", **NAMED),
}


@pytest.mark.parametrize("verb", VERBS)
def test_rows_with_a_small_group_in_some_wave_are_hidden_and_the_others_shown(verb: str) -> None:
    made = VERBS[verb](waves_of(3))
    hit = made.base_sizes == 3
    assert hit.any()
    assert not hit.all()
    assert {mark for mark, few in zip(made.marks, hit, strict=True) if few} == {"[c]"}
    assert not any(mark for mark, few in zip(made.marks, hit, strict=True) if not few)
    assert np.isnan(made.masked().estimate[hit]).all()
    assert (made.n_obs[hit] > 100).all()
    by_base = VERBS[verb](waves_of(12))
    assert {by_base.marks[row] for row in np.flatnonzero(by_base.base_sizes == 12)} == {"[u]"}


@pytest.mark.parametrize("verb", VERBS)
def test_nothing_is_hidden_where_single_rows_are_public(verb: str) -> None:
    made = VERBS[verb](waves_of(3, min_cell=1, min_base=1))
    assert made.masked() is made


def test_the_base_of_a_cell_is_the_smallest_of_its_four_groups() -> None:
    made = ev.att_gt(waves_of(3), base_period="universal", **NAMED)
    bases = {(g, t): n for g, t, n in zip(made.keys["cohort"], made.keys["time"], made.base_sizes, strict=True)}
    assert bases[2015, 2016] == 3
    assert bases[2015, 2017] == 120
    assert bases[2014, 2016] == 120


def test_places_that_switch_are_counted_by_wave() -> None:
    made = ev.switching_did(waves_of(3), outcome="y", treatment="on", place="gu")
    assert 0 < made.base_sizes.min() <= 3
    assert "[c]" in made.marks


def test_units_that_come_again_are_counted_in_every_wave() -> None:
    cells = [(g, year, start) for g, start in enumerate(STARTS) for year in range(2012, 2018)]
    places = pd.DataFrame(cells, columns=["gu", "year", "start"]).assign(y=lambda d: d["gu"] * 0.1 + d["year"] % 3)
    design = ev.survey_design(places, psu="gu")
    design = replace(design, provenance=replace(design.provenance, min_cell=4))
    made = ev.att_gt(ev.panel(design, unit="gu", time="year"), **NAMED)
    assert set(made.base_sizes.tolist()) == {3}
    assert set(made.marks) == {"[c]"}


def test_identified_cells_print_no_count_that_gives_a_small_wave_away() -> None:
    found = ev.identified_cells(waves_of(3), cohort="start")
    frame = found.tidy().set_index(["cohort", "time"])
    assert frame.loc[2015, "n_treated"].isna().all()
    assert frame.loc[(2014, 2016), "n_treated"] == 240
    assert frame.loc[(2014, 2014), "n_control"] is None or np.isnan(frame.loc[(2014, 2014), "n_control"])
    assert "nan" not in repr(found).lower()
    shown = ev.identified_cells(waves_of(3, min_cell=1), cohort="start").tidy()
    assert shown["n_treated"].notna().all()


def test_weights_of_cells_with_few_respondents_are_hidden() -> None:
    asked = {"outcome": "y", "treatment": "on", "unit": "start", "time": "year"}
    found = ev.twfe_weights(waves_of(3).design, **asked)
    frame = found.tidy().set_index(["start", "year"])
    assert frame.loc[(2015, 2016), ["share", "weight"]].isna().all()
    assert frame.drop(index=[(2015, 2016)]).notna().all(axis=None)
    plain = ev.twfe_weights(waves_of(3, min_cell=1).design, **asked)
    assert found.statement() == plain.statement()


def test_a_place_below_the_base_is_left_out_without_a_number() -> None:
    people = waves_of(120, min_cell=1, min_base=1).design.data
    kept = (people["gu"] != 10) | (people.groupby(["gu", "year"]).cumcount() < 3)
    design = ev.survey_design(people[kept].reset_index(drop=True))
    design = replace(design, provenance=replace(design.provenance, min_cell=5, min_base=30))
    made = ev.event_study(ev.panel(design, time="year"), cluster="gu", **NAMED)
    frame = ev.leave_one_out(made.take(np.array([0]))).tidy()
    assert frame.set_index("gu")["change"].isna().tolist() == [False] * 10 + [True]
