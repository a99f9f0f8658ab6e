"""differences' side of the impact benchmark: effects of cohorts by year; its clusters fail, so no draws."""

from __future__ import annotations

from pathlib import Path

import measure
import numpy as np
import pandas as pd
from differences import ATTgt
from persons import COVARIATES, read


def prepare(folder: Path, task: str) -> pd.DataFrame:
    """Read the persons; no cohort is a missing one."""
    frame = read(folder, task).assign(person=lambda frame: np.arange(len(frame)))
    frame["first"] = frame["first"].replace(0, np.nan)
    return frame.set_index(["person", "year"])


def _effects(frame: pd.DataFrame) -> np.ndarray:
    model = ATTgt(data=frame, cohort_column="first")
    made = model.fit(
        formula="y ~ " + " + ".join(COVARIATES),
        est_method="dr",
        weights_column="w",
        as_repeated_cross_section=True,
        progress_bar=False,
    )
    table = (made if isinstance(made, pd.DataFrame) else model.results(to_dataframe=True)).reset_index()
    effect = next(name for name in table.columns if "ATT" in str(name))
    ordered = table.sort_values([table.columns[0], table.columns[2]])
    return ordered[effect].to_numpy(dtype=float)


TASKS = {"group_time": _effects}

if __name__ == "__main__":
    measure.run(prepare, TASKS)
