"""The average marginal difference of one logit by marginaleffects on a statsmodels fit."""

from __future__ import annotations

from pathlib import Path

import measure
import numpy as np
import pandas as pd
import statsmodels.formula.api as smf
from marginaleffects import avg_comparisons
from people import COVARIATES


def prepare(folder: Path, task: str) -> pd.DataFrame:
    """Read the sample."""
    return pd.read_parquet(folder / "people.parquet")


def _margins(frame: pd.DataFrame) -> np.ndarray:
    fitted = smf.logit(f"stays ~ joined + {' + '.join(COVARIATES)}", frame).fit(disp=False, tol=1e-10)
    return np.array([float(avg_comparisons(fitted, variables="joined")["estimate"][0])])


TASKS = {"margins": _margins}

if __name__ == "__main__":
    measure.run(prepare, TASKS)
