"""moderndid's side of the impact benchmark: effects of cohorts by year with their bands, and robust sets."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import measure
import moderndid as md
import numpy as np
from moderndid.didhonest.delta.rm.rm import compute_conditional_cs_rm
from moderndid.didhonest.fixed_length_ci import compute_flci
from persons import COVARIATES, DRAWS, GRID_HIGH, GRID_LOW, GRID_POINTS, MBAR, SMOOTHNESS, event_study, read, write

WARMING = 20_000


def prepare(folder: Path, task: str) -> Any:
    """Read the persons, or the event study; what is compiled on first use is compiled, on little."""
    if task == "honest":
        _relative(event_study(), (1.0,), 20)
    elif task == "honest_smooth":
        _smooth(event_study())
    else:
        with tempfile.TemporaryDirectory() as name:
            few = Path(name)
            write(few, WARMING)
            _draws(_persons(few, task))
        return _persons(folder, task)
    return event_study()


def _persons(folder: Path, task: str) -> Any:
    return read(folder, task).assign(person=lambda frame: np.arange(len(frame)))


def _draws(frame: Any) -> np.ndarray:
    made = md.att_gt(
        data=frame,
        yname="y",
        tname="year",
        idname="person",
        gname="first",
        xformla="~ " + " + ".join(COVARIATES),
        panel=False,
        control_group="nevertreated",
        weightsname="w",
        clustervars=["district"],
        boot=True,
        biters=DRAWS["group_time"],
    )
    return np.array([att for *_, att in sorted(zip(made.groups, made.times, made.att_gt, strict=True))])


def _relative(given: dict[str, Any], sizes: tuple[float, ...] = MBAR, points: int = GRID_POINTS) -> np.ndarray:
    beta, sigma = np.array(given["betahat"]), np.array(given["sigma"])
    shape = {"num_pre_periods": given["numPre"], "num_post_periods": given["numPost"]}
    grid = {"grid_points": points, "grid_lb": GRID_LOW, "grid_ub": GRID_HIGH, "l_vec": np.eye(given["numPost"])[:, :1]}
    found = []
    for size in sizes:
        made = compute_conditional_cs_rm(beta, sigma, **shape, **grid, m_bar=size, seed=0)
        kept = made["grid"][np.asarray(made["accept"], dtype=bool)]
        found.append((kept.min(), kept.max()))
    return np.array(found)


def _smooth(given: dict[str, Any]) -> np.ndarray:
    beta, sigma = np.array(given["betahat"]), np.array(given["sigma"])
    asked = {"n_pre_periods": given["numPre"], "n_post_periods": given["numPost"]}
    asked["post_period_weights"] = np.eye(given["numPost"])[0]
    return np.array([compute_flci(beta, sigma, smoothness_bound=size, **asked).flci for size in SMOOTHNESS])


TASKS = {"group_time": _draws, "honest": _relative, "honest_smooth": _smooth}

if __name__ == "__main__":
    measure.run(prepare, TASKS)
