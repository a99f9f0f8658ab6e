"""A wrong value in any argument of any verb of policy impact is refused in words, or it is no wrong value."""

import inspect
import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, EstimationError, EvaluationError, IdentificationError

WRONG = {
    "None": None,
    "text": "x",
    "number": 7,
    "fraction": 1.5,
    "nothing": [],
    "list": ["x"],
    "mapping": {"a": 1},
    "frame": pd.DataFrame({"a": [1.0, 2.0]}),
    "array": np.array([1.0, 2.0]),
    "names": np.array(["x", "z"]),
}
SEEDED = {"draws": 19, "seed": 1}
SCHEDULE = {"A": 2012, "B": 2012, "C": 2013, "D": 2013, "E": 0, "F": 0}
PLANNED = {
    "schedule": SCHEDULE,
    "persons": 50,
    "icc": 0.05,
    "cac": 0.8,
    "std_dev": 1.0,
    "waves": [2010, 2011, 2012, 2013],
}


def rows(cohorts, persons=1):
    """Districts over four waves, each with so many persons."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame([(gu, 2010 + t, first) for gu, first in enumerate(cohorts) for t in range(4)])
    frame.columns = ["gu", "year", "first"]
    frame = frame.loc[frame.index.repeat(persons)].reset_index(drop=True)
    frame["on"] = ((frame["first"] > 0) & (frame["year"] >= frame["first"])).astype(int)
    frame["dose"] = frame["on"] * (0.2 + 0.07 * frame["gu"])
    frame["age"], frame["height"] = rng.normal(size=(2, len(frame)))
    frame["sex"] = rng.integers(0, 2, len(frame))
    frame["y"] = frame["gu"] / 3 + 0.5 * frame["on"] + rng.normal(size=len(frame))
    return frame


def panel_of(cohorts, persons=1):
    design = ev.survey_design(rows(cohorts, persons), psu="gu")
    return ev.panel(design, unit="gu" if persons == 1 else None, time="year")


@cache
def calls():
    """Every verb with arguments that are right."""
    staged = (2012, 2012, 2012, 2013, 2013, 0, 0, 0)
    places, persons, one = panel_of(staged), panel_of(staged, 8), panel_of((2012, *[0] * 7))
    start = {"outcome": "y", "cohort": "first", "cluster": "gu"}
    regression = {"outcome": "y", "treatment": "on", "unit": "gu", "time": "year"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cells = ev.att_gt(places, **start)
        leads, total = ev.event_study(places, **start), ev.aggregate(cells)
        slope = ev.twfe(places.design, **regression, cluster="gu")
        weights = ev.synthetic_control(one, outcome="y", cohort="first", vcov="none")
    staggered = ["att_gt", "event_study", "imputation_did", "two_stage_did", "sun_abraham", "extended_twfe"]
    found = {verb: {"panel": places, **start} for verb in (*staggered, "event_study_twfe")}
    return found | {
        "stacked_did": {"panel": places, **start, "window": (1, 0)},
        "efficient_did": {"panel": places, "outcome": "y", "cohort": "first"},
        "switching_did": {"panel": places, "outcome": "y", "treatment": "on", "cluster": "gu"},
        "dose_did": {"panel": panel_of((2012,) * 5 + (0,) * 3), "outcome": "y", "dose": "dose", "degree": 1},
        "goodman_bacon": {"panel": places, "outcome": "y", "cohort": "first"},
        "twfe": {"design": places.design, **regression, "cluster": "gu"},
        "twfe_weights": {"design": places.design, **regression},
        "fe_regression": {"design": places.design, "outcome": "y", "regressors": "on", "effects": ["gu", "year"]},
        "synthetic_control": {"panel": one, "outcome": "y", "cohort": "first", "draws": 9},
        "synthetic_did": {"panel": one, "outcome": "y", "cohort": "first", "draws": 9},
        "donor_placebos": {"result": weights},
        "placebo_dates": {"panel": places, **start, "shifts": [1]},
        "placebo_outcomes": {"panel": persons, "outcomes": ["age"], "cohort": "first", "replicates": 99},
        "composition_test": {"panel": persons, "covariates": ["age"], "cohort": "first", "replicates": 99},
        "hold_composition": {"design": persons.design, "time": "year", "to": 2010, "covariates": ["sex"]},
        "missing_outcome_bounds": {"panel": persons, **start, "lowest": -20, "highest": 20},
        "subgroup_impacts": {"panel": persons, **start, "by": "sex", "replicates": 99},
        "cluster_correlations": {"panel": persons, **start},
        "impact_table": {"panel": places, **start, "estimators": ("group_time", "twfe"), "draws": 9},
        "comparable_waves": {"panel": places, "cohort": "first", "cluster": "gu"},
        "identified_cells": {"panel": places, "cohort": "first"},
        "check_treatment": {"data": places.design.data, "unit": "gu", "time": "year", "treatment": "on"},
        "panel": {"design": places.design, "unit": "gu", "time": "year"},
        "aggregate": {"effects": cells},
        "simultaneous_bands": {"effects": leads, "seed": 1},
        "pretrend_test": {"effects": leads},
        "honest_did": {"effects": leads, "bounds": [0.5], "breakdown": False},
        "breakdown_value": {"effects": leads, "tolerance": 0.5},
        "pretrend_power": {"effects": leads},
        "event_path": {"estimate": [0.1, 0.2], "vcov": np.eye(2), "event_times": [-2, 0]},
        "variance_layers": {"effects": total},
        "leave_one_out": {"result": total},
        "reweighted_jackknife": {"effects": total},
        "wild_cluster_bootstrap": {"result": slope, **SEEDED},
        "randomization_inference": {"result": total, **SEEDED},
        "few_cluster_table": {"result": slope, **SEEDED, "orders": 9},
        "headline_inference": {"result": total, **SEEDED},
        "rollout_mde": PLANNED,
        "rollout_power": {**PLANNED, "effect": 0.5, "draws": 9, "permutations": 9},
    }


VERBS = sorted(calls())


@pytest.mark.parametrize("verb", VERBS)
def test_a_wrong_value_is_refused_in_words(verb):
    given, raw = calls()[verb], []
    for argument in inspect.signature(getattr(ev, verb)).parameters:
        for kind, wrong in WRONG.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    getattr(ev, verb)(**{**given, argument: wrong})
                except EvaluationError:
                    continue
                except Exception as error:  # noqa: BLE001 - whatever else comes is what this test looks for
                    raw.append(f"{argument}={kind}: {type(error).__name__}: {error}")
    assert raw == []


@pytest.mark.parametrize(
    ("verb", "own"),
    [
        ("event_study", {"outcome": "y"}),
        ("placebo_dates", {"outcome": "y"}),
        ("placebo_outcomes", {"outcomes": ["y"], "replicates": 99}),
        ("composition_test", {"covariates": ["age"], "replicates": 99}),
        ("subgroup_impacts", {"outcome": "y", "by": "sex", "replicates": 99}),
        ("missing_outcome_bounds", {"outcome": "some", "lowest": -20, "highest": 20}),
    ],
)
def test_an_error_names_the_verb_that_was_called(verb, own):
    frame = rows((2012, 2012, 0, 0), 8).assign(half=lambda d: d["gu"] % 2)
    frame["some"] = frame["y"].where(frame.index % 9 > 0)
    waves = ev.panel(ev.survey_design(frame, psu="gu"), time="year")
    with pytest.raises(EstimationError, match=rf"^{verb}: cluster 'half' has 2 values"):
        getattr(ev, verb)(waves, cohort="first", cluster="half", vcov="jackknife", **own)


def test_a_subgroup_of_a_panel_stays_the_same():
    frame = rows((2012, 2012, 2012, 2013, 2013, 0, 0, 0)).assign(sex=lambda d: d["year"] % 2)
    waves = ev.panel(ev.survey_design(frame, psu="gu"), unit="gu", time="year")
    with pytest.raises(ColumnError, match="'sex' changes within 8 of 8 units of 'gu'"):
        ev.subgroup_impacts(waves, outcome="y", cohort="first", by="sex")


def test_an_infinite_wave_is_told_as_one():
    frame = rows((2012, 0, 0)).assign(year=lambda d: d["year"].where(d.index != 3, np.inf))
    design = ev.survey_design(frame, psu="gu")
    with pytest.raises(ColumnError, match="time 'year' is infinite in 1 rows"):
        ev.panel(design, unit="gu", time="year")


@pytest.mark.parametrize(
    ("cohorts", "told"),
    [
        ((2012,) * 6, "from 2012 on, the first wave after a start, no clusters of 'gu' are untreated"),
        ((2012, 0), "from 2012 on, the first wave after a start, 1 cluster of 'gu' is untreated"),
        ((0, 0, 0), "nobody is treated by the last wave"),
        ((2009, 2009, 2009), "in no wave are two or more clusters of 'gu' untreated"),
    ],
)
def test_waves_that_leave_nothing_to_compare_are_refused_in_their_own_words(cohorts, told):
    waves = panel_of(cohorts)
    with pytest.raises(IdentificationError, match=told):
        ev.comparable_waves(waves, cohort="first", cluster="gu")


def test_a_placebo_date_takes_no_negative_anticipation():
    waves = panel_of((2012, 2012, 2013, 0, 0, 0))
    with pytest.raises(EstimationError, match="placebo_dates: anticipation must be a number of 0 or more, got -1"):
        ev.placebo_dates(waves, outcome="y", cohort="first", shifts=1, anticipation=-1)
