"""econml's side of the comparison benchmark: the doubly robust effect on everybody from two folds."""

from __future__ import annotations

from pathlib import Path

import measure
import numpy as np
import pandas as pd
from econml.dr import LinearDRLearner
from people import COVARIATES
from sklearn.linear_model import LinearRegression, LogisticRegression


def prepare(folder: Path, task: str) -> pd.DataFrame:
    """Read the sample."""
    return pd.read_parquet(folder / "people.parquet")


def _effect(frame: pd.DataFrame) -> np.ndarray:
    scores = LogisticRegression(C=1e12, tol=1e-8, max_iter=1000)
    learner = LinearDRLearner(model_propensity=scores, model_regression=LinearRegression(), cv=2, random_state=1)
    x = frame[list(COVARIATES)].to_numpy()
    learner.fit(frame["days"].to_numpy(), frame["joined"].to_numpy().astype(int), X=None, W=x)
    return np.array([float(np.squeeze(learner.ate()))])


TASKS = {"doubly_robust": _effect}

if __name__ == "__main__":
    measure.run(prepare, TASKS)
