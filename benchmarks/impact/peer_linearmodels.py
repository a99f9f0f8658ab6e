"""linearmodels' side of the impact benchmark: absorbed effects, errors by district."""

from __future__ import annotations

from pathlib import Path

import measure
import numpy as np
import pandas as pd
from linearmodels.iv.absorbing import AbsorbingLS
from persons import COVARIATES, DISTRICTS, WAVES, read


def prepare(folder: Path, task: str) -> pd.DataFrame:
    """Read the persons."""
    return read(folder, task)


def _two_way(frame: pd.DataFrame) -> np.ndarray:
    columns = ["d", *COVARIATES]
    effects = frame[["dong", "year"]].astype("category")
    model = AbsorbingLS(frame["y"], frame[columns], absorb=effects, weights=frame["w"])
    fitted = model.fit(cov_type="clustered", clusters=frame["district"], debiased=False)
    # Its errors have no factor for few clusters: that of CR1 is put on them.
    n, k = len(frame), len(columns) + len(WAVES)
    factor = (n - 1) / (n - k) * DISTRICTS / (DISTRICTS - 1)
    return np.array([fitted.params["d"], fitted.std_errors["d"] * np.sqrt(factor)])


TASKS = {"two_way": _two_way}

if __name__ == "__main__":
    measure.run(prepare, TASKS)
