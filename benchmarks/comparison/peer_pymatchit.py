"""pymatchit-causal's side of the comparison benchmark: one nearest neighbour each, largest score first."""

from __future__ import annotations

from pathlib import Path

import measure
import numpy as np
import pandas as pd
from people import COVARIATES
from pymatchit import MatchIt


def prepare(folder: Path, task: str) -> pd.DataFrame:
    """Read the sample."""
    return pd.read_parquet(folder / "people.parquet")


def _nearest(frame: pd.DataFrame) -> np.ndarray:
    made = MatchIt(frame.astype({"joined": int}), method="nearest", distance="glm", m_order="largest")
    made.fit(f"joined ~ {' + '.join(COVARIATES)}")
    matched = made.matched_data
    means = matched.groupby("joined")["stays"].mean()
    return np.array([means[1] - means[0]])


TASKS = {"nearest": _nearest}

if __name__ == "__main__":
    measure.run(prepare, TASKS)
