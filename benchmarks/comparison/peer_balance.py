"""balance's side of the comparison benchmark: others weighted to the composition of participants."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import measure
import numpy as np
import pandas as pd
from balance.weighting_methods.cbps import cbps
from balance.weighting_methods.ipw import ipw
from people import COVARIATES
from sklearn.linear_model import LogisticRegression

logging.getLogger("balance").setLevel(logging.ERROR)


def prepare(folder: Path, task: str) -> pd.DataFrame:
    """Read the sample."""
    return pd.read_parquet(folder / "people.parquet")


def _weighted(frame: pd.DataFrame, method: str, **options: Any) -> np.ndarray:
    joined = (frame["joined"] == 1).to_numpy()
    named = frame[list(COVARIATES)]
    ones = pd.Series(1.0, index=frame.index)
    found = {"ipw": ipw, "cbps": cbps}[method](
        named[~joined],
        ones[~joined],
        named[joined],
        ones[joined],
        transformations=None,
        weight_trimming_mean_ratio=None,
        **options,
    )
    return np.array([np.average(frame.loc[~joined, "stays"], weights=found["weight"])])


def _unpenalised(frame: pd.DataFrame) -> np.ndarray:
    model = LogisticRegression(penalty=None, tol=1e-10, max_iter=1000, solver="newton-cholesky")
    return _weighted(frame, "ipw", model=model, balance_classes=False)


TASKS = {
    "scores": _unpenalised,
    "scores_penalised": lambda frame: _weighted(frame, "ipw"),
    "means_met": lambda frame: _weighted(frame, "cbps", cbps_method="exact"),
}

if __name__ == "__main__":
    measure.run(prepare, TASKS)
