"""A million persons in repeated cross-sections under a staged roll-out: written once, read alike by every tool."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

DONGS, DISTRICTS, WAVES = 424, 25, range(2012, 2020)
COVARIATES = [f"x{j}" for j in range(10)]
EVENT_STUDY = Path(__file__).resolve().parents[2] / "tests" / "reference" / "impact" / "honest_did.json"
#: Of the robust sets: five sizes of relative magnitudes, three of smoothness; tools that search a grid get this one.
MBAR, SMOOTHNESS = (0.0, 0.5, 1.0, 1.5, 2.0), (0.05, 0.1, 0.2)
GRID_POINTS, GRID_LOW, GRID_HIGH = 1000, -0.5, 1.0
DRAWS = {"group_time": 999, "wild": 9999}


def write(folder: Path, n: int) -> None:
    """Write one file per column: 25 districts of three cohorts and one never treated, ten numbers, weights.

    The trend differs by the first two covariates, and so does who is treated when; districts have a shock a year.
    """
    rng = np.random.default_rng(2016)
    dong, year = rng.integers(0, DONGS, n), rng.choice(list(WAVES), n)
    district = dong % DISTRICTS
    first = np.array([2015, 2016, 2017, 0])[district % 4]
    treated = ((first > 0) & (year >= first)).astype(float)
    shock = rng.normal(0, 0.3, (DISTRICTS, len(WAVES)))[district, year - WAVES[0]]
    y = 0.15 * treated + shock + rng.normal(0, 1, n)
    for j, name in enumerate(COVARIATES):
        x = rng.normal(0, 1, n) + (0.3 * (first == 2015) if j == 0 else 0.2 * (first == 2016) if j == 1 else 0.0)
        y += x * (-0.3 + 0.6 * j / 9 + (0.05 * (year - WAVES[0]) if j < 2 else 0.0))
        np.save(folder / f"{name}.npy", x)
    columns = {"dong": dong, "district": district, "year": year, "first": first, "y": y, "w": rng.uniform(0.5, 2, n)}
    columns |= {"d": treated, "age": rng.integers(0, 13, n), "visits": rng.poisson(np.exp(0.1 * treated + 0.2 * shock))}
    for name, values in columns.items():
        np.save(folder / f"{name}.npy", values)


def columns_of(task: str) -> list[str]:
    """Return the columns that a task reads."""
    if task.startswith("group_time"):
        return ["dong", "district", "year", "first", "y", "w", *COVARIATES]
    further = {"poisson": ["visits"], "three_effects": ["y", "age"]}.get(task, ["y"])
    return ["dong", "district", "year", "d", "w", *further, *COVARIATES]


def read(folder: Path, task: str) -> pd.DataFrame:
    """Return the persons as a data frame."""
    return pd.DataFrame({name: np.load(folder / f"{name}.npy") for name in columns_of(task)})


def event_study() -> dict[str, Any]:
    """Return four leads and four effects of a published study with their covariance."""
    return dict(json.loads(EVENT_STUDY.read_text(encoding="utf-8"))["cases"]["BC_first_post"])
