"""samplics' side of the survey benchmark (archived, still installable), in the environment that ``peers.sh`` makes."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import measure
import numpy as np
import pandas as pd
from sample_names import MARGINS, OUTCOMES

warnings.simplefilter("ignore")

from samplics import PopParam, SampleWeight, TaylorEstimator


def prepare(folder: Path, task: str) -> dict[str, Any]:
    """Read the sample; samplics has no design that could be declared beforehand."""
    columns = ["stratum", "psu", "weight", "district", *MARGINS, *OUTCOMES]
    frame = pd.DataFrame({name: np.fromfile(folder / f"{name}.f8") for name in columns})
    for name in ("stratum", "psu", "district", *MARGINS):
        frame[name] = frame[name].astype(int)
    rows = pd.read_csv(folder / "targets.csv")
    counts = {str(name): dict(zip(part["level"], part["value"], strict=True)) for name, part in rows.groupby("margin")}
    return {"frame": frame, "counts": counts}


def _means(ready: dict[str, Any]) -> np.ndarray:
    frame, estimates, errors = ready["frame"], [], []
    for name in OUTCOMES:
        made = TaylorEstimator(PopParam.mean)
        made.estimate(
            frame[name],
            samp_weight=frame["weight"],
            stratum=frame["stratum"],
            psu=frame["psu"],
            domain=frame["district"],
        )
        estimates += [made.point_est[key] for key in sorted(made.point_est)]
        errors += [made.stderror[key] for key in sorted(made.stderror)]
    return np.array([*estimates, *errors])


def _raked(ready: dict[str, Any]) -> np.ndarray:
    frame = ready["frame"]
    return SampleWeight().rake(
        frame["weight"],
        margins={name: frame[name].to_numpy() for name in MARGINS},
        control={name: ready["counts"][name] for name in MARGINS},
        tol=1e-8,
        max_iter=1000,
    )


TASKS = {"a": _means, "b": _raked}

if __name__ == "__main__":
    measure.run(prepare, TASKS)
