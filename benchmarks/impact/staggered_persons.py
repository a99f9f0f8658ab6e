"""A million persons in repeated cross-sections under a staged roll-out: written once, read alike by every tool."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

DONGS, DISTRICTS, WAVES = 424, 25, range(2012, 2020)
COVARIATES = [f"x{j}" for j in range(10)]


def write(folder: Path, n: int) -> None:
    """Write one file per column: 25 districts of three cohorts and one never treated, ten numbers, weights.

    The trend differs by the first two covariates, and so does who is treated when; districts have a shock a year.
    """
    rng = np.random.default_rng(2016)
    dong, year = rng.integers(0, DONGS, n), rng.choice(list(WAVES), n)
    district = dong % DISTRICTS
    first = np.array([2015, 2016, 2017, 0])[district % 4]
    shock = rng.normal(0, 0.3, (DISTRICTS, len(WAVES)))[district, year - WAVES[0]]
    y = ((first > 0) & (year >= first)) + shock + rng.normal(0, 1, n)
    for j, name in enumerate(COVARIATES):
        x = rng.normal(0, 1, n) + (0.3 * (first == 2015) if j == 0 else 0.2 * (first == 2016) if j == 1 else 0.0)
        y += x * (-0.3 + 0.6 * j / 9 + (0.05 * (year - WAVES[0]) if j < 2 else 0.0))
        np.save(folder / f"{name}.npy", x)
    columns = {"dong": dong, "district": district, "year": year, "first": first, "y": y, "w": rng.uniform(0.5, 2, n)}
    for name, values in columns.items():
        np.save(folder / f"{name}.npy", values)


def read(folder: Path) -> pd.DataFrame:
    """Return the persons as a data frame."""
    names = ["dong", "district", "year", "first", "y", "w", *COVARIATES]
    return pd.DataFrame({name: np.load(folder / f"{name}.npy") for name in names})
