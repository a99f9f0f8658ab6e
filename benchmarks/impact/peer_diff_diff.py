"""diff-diff's side of the impact benchmark: effects of cohorts by year, and robust sets."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import measure
import numpy as np
import pandas as pd
from diff_diff import CallawaySantAnna, SurveyDesign
from diff_diff.honest_did import _compute_optimal_flci, _solve_rm_bounds_union
from persons import COVARIATES, DISTRICTS, DRAWS, MBAR, SMOOTHNESS, event_study, read
from scipy import stats

warnings.simplefilter("ignore")


def prepare(folder: Path, task: str) -> Any:
    """Read the persons, or the event study."""
    if task.startswith("honest"):
        return event_study()
    return read(folder, task).assign(person=lambda frame: np.arange(len(frame)))


def _effects(frame: pd.DataFrame, draws: int, **asked: Any) -> np.ndarray:
    cluster = {"cluster": "district", "seed": 1} if draws else {}
    model = CallawaySantAnna(panel=False, n_bootstrap=draws, pscore_trim=1e-9, **cluster)
    names = {"covariates": COVARIATES, "survey_design": SurveyDesign(weights="w")}
    made = model.fit(frame, "y", "person", "year", "first", **names, **asked)
    return np.array([effect["effect"] for _, effect in sorted(made.group_time_effects.items())])


def _draws(frame: pd.DataFrame) -> np.ndarray:
    return _effects(frame, DRAWS["group_time"], aggregate="event_study")


def _left_out(frame: pd.DataFrame) -> np.ndarray:
    """Return the jackknife errors, each district's fit made anew: the package has no jackknife."""
    full = _effects(frame, 0)
    without = [_effects(frame[frame["district"] != district], 0) for district in range(DISTRICTS)]
    return np.sqrt((DISTRICTS - 1) / DISTRICTS * ((np.array(without) - full) ** 2).sum(axis=0))


def _robust(given: dict[str, Any], smooth: bool) -> np.ndarray:
    beta, sigma, n = np.array(given["betahat"]), np.array(given["sigma"]), given["numPre"]
    first = np.eye(given["numPost"])[0]
    if smooth:
        shape = (first, n, len(beta) - n)
        return np.array([_compute_optimal_flci(beta[:n], beta[n:], sigma, *shape, m, 0.05) for m in SMOOTHNESS])
    half = stats.norm.ppf(0.975) * np.sqrt(sigma[n, n])
    bounds = np.array([_solve_rm_bounds_union(beta[:n], beta[n:], first, n, m) for m in MBAR])
    return bounds + np.array([-half, half])


TASKS = {
    "group_time": _draws,
    "group_time_left_out": _left_out,
    "honest": lambda given: _robust(given, smooth=False),
    "honest_smooth": lambda given: _robust(given, smooth=True),
}

if __name__ == "__main__":
    measure.run(prepare, TASKS)
