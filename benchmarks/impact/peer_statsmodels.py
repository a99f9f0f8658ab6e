"""statsmodels' side of the impact benchmark: weighted least squares on all dummies, errors by district."""

from __future__ import annotations

from pathlib import Path

import measure
import numpy as np
import pandas as pd
import statsmodels.api as sm
from persons import COVARIATES, DISTRICTS, WAVES, read


def prepare(folder: Path, task: str) -> pd.DataFrame:
    """Read the persons."""
    return read(folder, task)


def _two_way(frame: pd.DataFrame) -> np.ndarray:
    effects = [pd.get_dummies(frame["dong"], dtype=float), pd.get_dummies(frame["year"], dtype=float).iloc[:, 1:]]
    columns = ["d", *COVARIATES]
    matrix = np.hstack([frame[columns].to_numpy(), *(part.to_numpy() for part in effects)])
    groups = {"groups": frame["district"].to_numpy(), "use_correction": False}
    fitted = sm.WLS(frame["y"].to_numpy(), matrix, weights=frame["w"].to_numpy()).fit(
        cov_type="cluster", cov_kwds=groups
    )
    # Its factor counts the dummies of dongs, which lie within districts: that of CR1 without them is put on.
    n, k = len(frame), len(columns) + len(WAVES)
    factor = (n - 1) / (n - k) * DISTRICTS / (DISTRICTS - 1)
    return np.array([fitted.params[0], fitted.bse[0] * np.sqrt(factor)])


TASKS = {"two_way": _two_way}

if __name__ == "__main__":
    measure.run(prepare, TASKS)
