"""statsmodels' side of the comparison benchmark: outcome models of each group, alone and with a propensity score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import measure
import numpy as np
import pandas as pd
from people import COVARIATES
from statsmodels.discrete.discrete_model import Logit
from statsmodels.regression.linear_model import OLS
from statsmodels.treatment.treatment_effects import TreatmentEffect


def prepare(folder: Path, task: str) -> pd.DataFrame:
    """Read the sample."""
    return pd.read_parquet(folder / "people.parquet")


def _effect(frame: pd.DataFrame) -> Any:
    x = np.column_stack([np.ones(len(frame)), frame[list(COVARIATES)].to_numpy()])
    taken = frame["joined"].to_numpy().astype(int)
    scores = Logit(taken, x).fit(disp=False, method="newton", tol=1e-10)
    return TreatmentEffect(OLS(frame["days"].to_numpy(), x), taken, results_select=scores)


def _outcome_models(frame: pd.DataFrame) -> np.ndarray:
    return np.ravel(_effect(frame).ra(effect_group=1).effect)[:1]


def _doubly_robust(frame: pd.DataFrame) -> np.ndarray:
    return np.ravel(_effect(frame).aipw().effect)[:1]


TASKS = {"outcome_models": _outcome_models, "doubly_robust": _doubly_robust}

if __name__ == "__main__":
    measure.run(prepare, TASKS)
