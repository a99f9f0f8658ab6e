"""The sample that all tools of this benchmark work on, written once so that each reads the same numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sample_names import MARGINS, NUMERIC, OUTCOMES, REPLICATES

STRATA, PSUS_PER_STRATUM, DISTRICTS = 20, 50, 25


def respondents(n: int, seed: int = 2016) -> pd.DataFrame:
    """Return a stratified two-stage sample of ``n`` persons: whole numbers for everything that is a category.

    A sampling unit lies in one district, as a block does; ``group`` is a classification of persons.
    """
    random = np.random.default_rng(seed)
    stratum = random.integers(0, STRATA, n)
    psu = stratum * PSUS_PER_STRATUM + random.integers(0, PSUS_PER_STRATUM, n)
    frame = pd.DataFrame({"stratum": stratum, "psu": psu, "weight": random.uniform(50, 200, n)})
    frame["district"] = psu % DISTRICTS
    frame["group"] = random.integers(0, DISTRICTS, n)
    for name, levels in MARGINS.items():
        frame[name] = random.integers(0, levels, n)
    shift = random.normal(0, 1, STRATA * PSUS_PER_STRATUM)
    for k, name in enumerate(OUTCOMES):
        frame[name] = 10.0 * k + shift[psu] + frame["age"] + random.normal(0, 5, n)
    for name in NUMERIC:
        frame[name] = random.normal(0, 1, n) + 0.2 * shift[psu]
    score = -0.5 + 0.3 * frame["x1"] - 0.2 * frame["x2"] + 0.1 * frame["age"] + 0.2 * frame["sex"]
    frame["chosen"] = (random.uniform(size=n) < 1 / (1 + np.exp(-score))).astype(float)
    return frame


def targets(frame: pd.DataFrame, seed: int = 1) -> dict[str, dict[int, float]]:
    """Return population counts at every level of every margin, some per cent off what the weights give."""
    random = np.random.default_rng(seed)
    total = float(frame["weight"].sum())
    found = {}
    for name in [*MARGINS, "district"]:
        share = frame.groupby(name)["weight"].sum() * random.uniform(0.9, 1.1, frame[name].nunique())
        found[name] = {int(level): float(value) for level, value in (share / share.sum() * total).items()}
    return found


def factors(seed: int = 7) -> NDArray[np.float64]:
    """Return Rao-Wu bootstrap multipliers of each sampling unit, shape (units, replicates)."""
    random = np.random.default_rng(seed)
    m = PSUS_PER_STRATUM
    blocks = []
    for _ in range(STRATA):
        draws = random.integers(0, m, (m - 1, REPLICATES))
        blocks.append(
            np.stack([np.bincount(draws[:, r], minlength=m) for r in range(REPLICATES)], axis=1) * m / (m - 1)
        )
    return np.vstack(blocks)


def write(folder: Path, n: int) -> None:
    """Write the sample as Parquet, and column by column as bytes for R; targets and factors beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    frame = respondents(n)
    frame.to_parquet(folder / "sample.parquet")
    for name in frame:
        frame[name].to_numpy(dtype="<f8").tofile(folder / f"{name}.f8")
    rows = [(name, level, value) for name, counts in targets(frame).items() for level, value in counts.items()]
    tables = {"targets": pd.DataFrame(rows, columns=["margin", "level", "value"])}
    totals = [frame["weight"].sum(), 1.02 * (frame["weight"] * frame["x1"]).sum()]
    tables["totals"] = pd.DataFrame({"name": ["weight", "x1"], "value": totals})
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet")
        table.to_csv(folder / f"{name}.csv", index=False)
    multipliers = factors()
    np.save(folder / "factors.npy", multipliers)
    np.asfortranarray(multipliers).ravel(order="F").astype("<f8").tofile(folder / "factors.f8")
