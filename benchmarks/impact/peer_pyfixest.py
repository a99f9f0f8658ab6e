"""pyfixest's side of the impact benchmark: regressions with absorbed effects, and the wild cluster bootstrap."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import measure
import numpy as np
import pandas as pd
import pyfixest as pf
from persons import COVARIATES, DONGS, DRAWS, WAVES, read, write

WARMING = 2_000
SHARED: dict[str, Any] = {"vcov": {"CRV1": "district"}}


def prepare(folder: Path, task: str) -> pd.DataFrame:
    """Read the persons; what is compiled on first use is compiled, on a few."""
    with tempfile.TemporaryDirectory() as name:
        few = Path(name)
        write(few, WARMING)
        TASKS[task](read(few, task))
    return read(folder, task)


def _formula(outcome: str, *effects: str) -> str:
    return f"{outcome} ~ d + {' + '.join(COVARIATES)} | {' + '.join(effects)}"


def _first(fitted: Any) -> np.ndarray:
    return np.array([fitted.coef()["d"], fitted.se()["d"]])


def _linear(frame: pd.DataFrame, *effects: str) -> np.ndarray:
    return _first(pf.feols(_formula("y", *effects), frame, weights="w", **SHARED))


def _poisson(frame: pd.DataFrame) -> np.ndarray:
    # Where it stops by itself, errors of a million persons are off by 2e-5.
    asked = SHARED | {"iwls_tol": 1e-12}
    return _first(pf.fepois(_formula("visits", "dong", "year"), frame, weights="w", **asked))


def _wild(frame: pd.DataFrame) -> np.ndarray:
    fitted = pf.feols(_formula("y", "dong", "year"), frame, **SHARED)
    found = fitted.wildboottest(reps=DRAWS["wild"], cluster="district", param="d", seed=1)
    # Its factor counts the effects of dongs, which lie within districts: that of CR1 without them is put on.
    n, k = len(frame), 1 + len(COVARIATES) + len(WAVES)
    factor = (n - k - DONGS + 1) / (n - k)
    return np.array([found["t value"] / np.sqrt(factor), found["Pr(>|t|)"]], dtype=float)


TASKS = {
    "two_way": lambda frame: _linear(frame, "dong", "year"),
    "three_effects": lambda frame: _linear(frame, "dong", "year", "age"),
    "poisson": _poisson,
    "wild": _wild,
}

if __name__ == "__main__":
    measure.run(prepare, TASKS)
