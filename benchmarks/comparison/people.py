"""The respondents that all tools of this benchmark compare, written once so that each reads the same numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

STRATA, PSUS_PER_STRATUM = 20, 50
NUMERIC = tuple(f"x{k}" for k in range(1, 9))
YES_OR_NO = tuple(f"z{k}" for k in range(1, 5))
COVARIATES = (*NUMERIC, *YES_OR_NO)


def respondents(n: int, seed: int = 2016) -> pd.DataFrame:
    """Return a stratified two-stage sample of ``n`` persons; about a fifth took part, as covariates move them to."""
    random = np.random.default_rng(seed)
    psu = random.integers(0, STRATA * PSUS_PER_STRATUM, n)
    frame = pd.DataFrame({"stratum": psu // PSUS_PER_STRATUM, "psu": psu, "weight": random.uniform(50, 200, n)})
    place = random.normal(0, 1, STRATA * PSUS_PER_STRATUM)[psu]
    for name in NUMERIC:
        frame[name] = random.normal(0, 1, n) + 0.2 * place
    for k, name in enumerate(YES_OR_NO):
        frame[name] = (random.uniform(size=n) < 0.3 + 0.1 * k).astype(float)
    odds = frame["x1"] * 0.5 - frame["x2"] * 0.3 + frame["x3"] * 0.2 + frame["z1"] * 0.4 - frame["z2"] * 0.3
    took_part = random.uniform(size=n) < 1 / (1 + np.exp(1.6 - odds))
    frame["joined"] = took_part.astype(float)
    score = 0.4 * frame["x1"] + 0.3 * frame["x2"] - 0.2 * frame["x4"] + 0.3 * frame["z1"] + 0.3 * place
    frame["stays"] = (random.uniform(size=n) < 1 / (1 + np.exp(-score - 0.3 * took_part))).astype(float)
    frame["days"] = 10 + 3 * score + took_part + random.normal(0, 4, n)
    return frame


def factors(replicates: int, seed: int = 7) -> NDArray[np.float64]:
    """Return Rao-Wu bootstrap multipliers of each sampling unit, shape (units, replicates)."""
    random, m = np.random.default_rng(seed), PSUS_PER_STRATUM
    blocks = []
    for _ in range(STRATA):
        draws = random.integers(0, m, (m - 1, replicates))
        counts = [np.bincount(column, minlength=m) for column in draws.T]
        blocks.append(np.stack(counts, axis=1) * m / (m - 1))
    return np.vstack(blocks)


def write(folder: Path, n: int, replicates: int) -> None:
    """Write the sample as Parquet, and the multipliers of the replicates."""
    folder.mkdir(parents=True, exist_ok=True)
    respondents(n).to_parquet(folder / "people.parquet")
    np.save(folder / "factors.npy", factors(replicates))
