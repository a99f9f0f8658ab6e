"""DoubleML's side of the comparison benchmark: the doubly robust effect on participants from five folds."""

from __future__ import annotations

from pathlib import Path

import doubleml
import measure
import numpy as np
import pandas as pd
from people import COVARIATES
from sklearn.linear_model import LinearRegression, LogisticRegression


def prepare(folder: Path, task: str) -> pd.DataFrame:
    """Read the sample."""
    return pd.read_parquet(folder / "people.parquet")


def _effect(frame: pd.DataFrame) -> np.ndarray:
    np.random.seed(1)  # noqa: NPY002 - its folds are drawn from here
    data = doubleml.DoubleMLData(frame, "days", "joined", list(COVARIATES))
    scores = LogisticRegression(C=1e12, tol=1e-8, max_iter=1000)
    found = doubleml.DoubleMLIRM(data, LinearRegression(), scores, n_folds=5, score="ATTE")
    return np.array([float(found.fit().coef[0])])


TASKS = {"doubly_robust_att": _effect}

if __name__ == "__main__":
    measure.run(prepare, TASKS)
