"""The workbench's side of the comparison benchmark: from a declared design to numbers with their errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import measure
import numpy as np
import pandas as pd
from people import COVARIATES

import evaluation as ev

NAMES: dict[str, Any] = {"treatment": "joined", "covariates": list(COVARIATES)}
#: Tasks in which the peers know neither weights nor sampling units.
PLAIN = ("nearest", "outcome_models", "doubly_robust", "doubly_robust_att", "margins", "scores", "means_met")


def prepare(folder: Path, task: str) -> ev.Design:
    """Read the sample and declare the design; replicates and balancing weights where the task needs them."""
    frame = pd.read_parquet(folder / "people.parquet")
    if task.startswith(PLAIN):
        return ev.survey_design(frame)
    design = ev.survey_design(frame, weights="weight", strata="stratum", psu="psu")
    if task == "figures":
        return ev.propensity_weights(design, **NAMES)
    if task != "replicates":
        return design
    made = ev.as_replicates(design, kind="bootstrap", replicates=500, seed=1)
    return replace(made, replicates=replace(made.replicates, factors=np.load(folder / "factors.npy")))


def _first(result: Any) -> np.ndarray:
    """Return the estimate of the difference and its error."""
    row = result.tidy().iloc[0]
    return np.array([row["estimate"], row["std_error"]])


def _of_others(design: ev.Design) -> np.ndarray:
    """Return the mean of the others under balanced weights."""
    others = design.data["joined"].to_numpy() == 0
    return np.array([np.average(design.data["stays"].to_numpy()[others], weights=design.weights[others])])


def _nearest(design: ev.Design) -> np.ndarray:
    pairs = ev.match(design, **NAMES, propensity="unweighted").pairs
    answers = design.data["stays"].to_numpy()
    return np.array([answers[pairs["participant"]].mean() - answers[pairs["comparison"]].mean()])


def _figures(design: ev.Design) -> np.ndarray:
    table, scores = ev.balance_table(design), ev.overlap(design)
    for result in (table, scores):
        ev.plot(result).png()
    return table.tidy()["smd_weighted"].to_numpy()


TASKS: dict[str, Callable[[ev.Design], np.ndarray]] = {
    "aipw": lambda design: _first(ev.aipw(design, outcome="stays", **NAMES)),
    "entropy": lambda design: _of_others(ev.entropy_balance(design, **NAMES)),
    "nearest": _nearest,
    "replicates": lambda design: _first(ev.aipw(design, outcome="stays", **NAMES)),
    "figures": _figures,
    "outcome_models": lambda design: ev.g_computation(design, outcome="days", family="gaussian", **NAMES).estimate[:1],
    "doubly_robust": lambda design: ev.aipw(design, outcome="days", estimand="ATE", **NAMES).estimate[:1],
    "doubly_robust_att": lambda design: ev.aipw(design, outcome="days", **NAMES).estimate[:1],
    "margins": lambda design: ev.regression_adjusted(design, outcome="stays", estimand="ATE", **NAMES).estimate[:1],
    "scores": lambda design: _of_others(ev.propensity_weights(design, **NAMES)),
    "scores_penalised": lambda design: _of_others(ev.propensity_weights(design, **NAMES)),
    "means_met": lambda design: _of_others(ev.cbps(design, **NAMES)),
}


def run_task(name: str) -> Callable[[ev.Design], np.ndarray]:
    """Return a task on a design that remembers nothing of the run before."""
    return lambda design: TASKS[name](replace(design))


if __name__ == "__main__":
    measure.run(prepare, {name: run_task(name) for name in TASKS})
