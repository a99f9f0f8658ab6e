"""The workbench's side of the impact benchmark: from a data frame to numbers with their errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import measure
import numpy as np
import pandas as pd
from persons import COVARIATES, DRAWS, MBAR, SMOOTHNESS, event_study, read

import evaluation as ev
from evaluation.impact.credibility import conditional_tests

REGRESSION: dict[str, Any] = {"covariates": COVARIATES, "cluster": "district"}
TWO_WAY = REGRESSION | {"outcome": "y", "treatment": "d", "unit": "dong", "time": "year"}


def prepare(folder: Path, task: str) -> Any:
    """Read the persons, or the event study."""
    return event_study() if task.startswith("honest") else read(folder, task)


def _first(result: Any) -> np.ndarray:
    """Return the treatment's coefficient and its error."""
    return np.array([result.estimate[0], result.std_error[0]])


def _two_way(frame: pd.DataFrame, vcov: Any) -> np.ndarray:
    return _first(ev.twfe(ev.survey_design(frame, weights="w"), **TWO_WAY, vcov=vcov))


def _effects(frame: pd.DataFrame, **options: Any) -> np.ndarray:
    asked = REGRESSION | {"regressors": "d", "vcov": "CR1"} | options
    return _first(ev.fe_regression(ev.survey_design(frame, weights="w"), **asked))


def _group_time(frame: pd.DataFrame, vcov: Any) -> Any:
    waves = ev.panel(ev.survey_design(frame, weights="w", psu="dong"), time="year")
    asked: dict[str, Any] = {"outcome": "y", "cohort": "first", "control_group": "nevertreated"}
    return ev.att_gt(waves, **asked, covariates=COVARIATES, cluster="district", vcov=vcov)


def _draws(frame: pd.DataFrame) -> np.ndarray:
    """Return the effects of cohorts by year, sorted; bands of these and of the event study are made too."""
    effects = _group_time(frame, "cluster")
    for result in (effects, ev.aggregate(effects, type="dynamic")):
        ev.simultaneous_bands(result, seed=1, method="multiplier", draws=DRAWS["group_time"])
    return np.asarray(effects.estimate[_order(effects)])


def _left_out(frame: pd.DataFrame) -> np.ndarray:
    """Return the jackknife errors of the effects of cohorts by year; the event study with its own is made too."""
    effects = _group_time(frame, "jackknife")
    ev.aggregate(effects, type="dynamic")
    return np.asarray(effects.std_error[_order(effects)])


def _order(effects: Any) -> np.ndarray:
    return np.lexsort([np.asarray(effects.keys[name], dtype=float) for name in ("time", "cohort")])


def _wild(frame: pd.DataFrame) -> np.ndarray:
    fitted = ev.twfe(ev.survey_design(frame), **TWO_WAY, vcov="CR1")
    test = ev.wild_cluster_bootstrap(fitted, term="d", draws=DRAWS["wild"], seed=1)
    return np.array([test.statistic, test.p_value])


def _path(given: dict[str, Any]) -> Any:
    """Return the event study; critical values, which are kept between calls, are forgotten."""
    conditional_tests._quantile_of_largest.cache_clear()
    conditional_tests._normal_draws.cache_clear()
    times = [*range(-given["numPre"], 0), *range(1, given["numPost"] + 1)]
    return ev.event_path(given["betahat"], given["sigma"], times, reference=0)


def _robust(given: dict[str, Any], **options: Any) -> np.ndarray:
    found = ev.honest_did(_path(given), breakdown=False, **options).tidy().iloc[1:]
    return found[["conf_low", "conf_high"]].to_numpy()


def _breakdown(given: dict[str, Any]) -> np.ndarray:
    made = ev.breakdown_value(_path(given))
    return np.array([made.low, made.high])


TASKS = {
    "two_way": lambda frame: _two_way(frame, "CR1"),
    "two_way_jackknife": lambda frame: _two_way(frame, None),
    "two_way_cr2": lambda frame: _two_way(frame, "CR2"),
    "three_effects": lambda frame: _effects(frame, outcome="y", effects=["dong", "year", "age"]),
    "poisson": lambda frame: _effects(frame, outcome="visits", effects=["dong", "year"], family="poisson"),
    "group_time": _draws,
    "group_time_left_out": _left_out,
    "wild": _wild,
    "honest": lambda given: _robust(given, bounds=MBAR),
    "honest_smooth": lambda given: _robust(given, bounds=SMOOTHNESS, restriction="smoothness"),
    "honest_breakdown": _breakdown,
}

if __name__ == "__main__":
    measure.run(prepare, TASKS)
