"""The workbench's side of the survey benchmark: from a DataFrame to ``tidy()``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import measure
import numpy as np
import pandas as pd
from sample_names import MARGINS, NUMERIC, OUTCOMES

import evaluation as ev


@dataclass
class Ready:
    """A design, its margins and totals, and a table of replicate factors by sampling unit."""

    design: ev.Design
    counts: dict[str, dict[int, float]]
    x1: float


def prepare(folder: Path, task: str) -> Ready:
    """Read the sample and declare the design; replicates where the task needs them."""
    frame = pd.read_parquet(folder / "sample.parquet")
    rows = pd.read_parquet(folder / "targets.parquet")
    counts = {str(name): dict(zip(part["level"], part["value"], strict=True)) for name, part in rows.groupby("margin")}
    totals = pd.read_parquet(folder / "totals.parquet").set_index("name")["value"]
    design = ev.survey_design(frame, weights="weight", strata="stratum", psu="psu")
    if task.startswith(("e", "f")):
        made = ev.as_replicates(design, kind="bootstrap", replicates=500, seed=1)
        given = replace(made.replicates, factors=np.load(folder / "factors.npy"))
        design = replace(made, replicates=given)
    return Ready(design, counts, float(totals["x1"]))


def _tidy(result: Any) -> np.ndarray:
    table = result.tidy()
    return np.concatenate([table["estimate"].to_numpy(), table["std_error"].to_numpy()])


def _fresh(ready: Ready) -> ev.Design:
    """Return the design without anything it may have remembered of an earlier run."""
    return replace(ready.design)


def _raked(ready: Ready) -> ev.Design:
    return ev.rake(_fresh(ready), {name: ready.counts[name] for name in MARGINS})


def _logistic(ready: Ready) -> np.ndarray:
    covariates = ["C(sex)", "C(age)", "C(edu)", *NUMERIC]
    return _tidy(
        ev.survey_glm(_fresh(ready), outcome="chosen", covariates="~ " + " + ".join(covariates), family="binomial")
    )


def _greg(ready: Ready) -> np.ndarray:
    margins: dict[str, Any] = {"district": ready.counts["district"], "age": ready.counts["age"], "x1": ready.x1}
    return ev.calibrate(_fresh(ready), margins).weights


TASKS = {
    "a": lambda ready: _tidy(ev.survey_mean(_fresh(ready), OUTCOMES, by="district")),
    "a_group": lambda ready: _tidy(ev.survey_mean(_fresh(ready), OUTCOMES, by="group")),
    "a_raked": lambda ready: _tidy(ev.survey_mean(_raked(ready), OUTCOMES, by="district")),
    "b": lambda ready: _raked(ready).weights,
    "c": _greg,
    "d": _logistic,
    "e": lambda ready: _tidy(ev.survey_mean(_fresh(ready), OUTCOMES, by="district")),
    "f": lambda ready: _tidy(ev.survey_mean(_raked(ready), OUTCOMES, by="district")),
    "f_group": lambda ready: _tidy(ev.survey_mean(_raked(ready), OUTCOMES, by="group")),
}

if __name__ == "__main__":
    measure.run(prepare, TASKS)
