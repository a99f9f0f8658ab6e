"""csdid's side of the impact benchmark: effects of cohorts by year and the event study, multiplier bootstrap."""

from __future__ import annotations

from pathlib import Path

import measure
import numpy as np
import pandas as pd
from csdid.att_gt import ATTgt
from persons import COVARIATES, DRAWS, read


def prepare(folder: Path, task: str) -> pd.DataFrame:
    """Read the persons."""
    return read(folder, task).assign(person=lambda frame: np.arange(len(frame)))


def _draws(frame: pd.DataFrame) -> np.ndarray:
    model = ATTgt(
        yname="y",
        tname="year",
        idname="person",
        gname="first",
        data=frame,
        control_group=["nevertreated"],
        xformla="y ~ " + " + ".join(COVARIATES),
        panel=False,
        clustervar="district",
        weights_name="w",
        biters=DRAWS["group_time"],
        cband=True,
    )
    made = model.fit(est_method="dr", base_period="varying", bstrap=True)
    made.aggte("dynamic", biters=DRAWS["group_time"], cband=True)
    found = made.results
    return np.array([att for *_, att in sorted(zip(found["group"], found["year"], found["att"], strict=True))])


TASKS = {"group_time": _draws}

if __name__ == "__main__":
    measure.run(prepare, TASKS)
