"""What numpy must do at least for each task: codes given, nothing checked, nothing labelled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import measure
import numpy as np
import pandas as pd
from sample import STRATA
from sample_names import MARGINS, NUMERIC, OUTCOMES

Ready = dict[str, Any]


def prepare(folder: Path, task: str) -> Ready:
    """Read the columns as arrays."""
    frame = pd.read_parquet(folder / "sample.parquet")
    rows = pd.read_parquet(folder / "targets.parquet")
    ready: Ready = {name: frame[name].to_numpy() for name in frame}
    ready["targets"] = {name: part["value"].to_numpy() for name, part in rows.groupby("margin")}
    ready["factors"] = np.load(folder / "factors.npy")
    ready["x1_total"] = pd.read_parquet(folder / "totals.parquet").set_index("name")["value"]["x1"]
    return ready


def _sums(ready: Ready, weights: np.ndarray) -> np.ndarray:
    units = len(ready["factors"])
    key = ready["psu"] * 25 + ready["district"]
    sums = [np.bincount(key, weights * ready[name], minlength=units * 25) for name in OUTCOMES]
    return np.stack([*sums, np.bincount(key, weights, minlength=units * 25)]).reshape(11, units, 25)


def _error(influence: np.ndarray) -> np.ndarray:
    by_stratum = influence.reshape(STRATA, -1, influence.shape[1])
    m = by_stratum.shape[1]
    centred = by_stratum - by_stratum.mean(axis=1, keepdims=True)
    return np.sqrt(m / (m - 1) * (centred**2).sum(axis=(0, 1)))


def means(ready: Ready) -> np.ndarray:
    """Means by district with linearized errors."""
    sums = _sums(ready, ready["weight"])
    totals = sums.sum(axis=1)
    estimate = totals[:10] / totals[10]
    influence = (sums[:10] - estimate[:, None, :] * sums[10]) / totals[10]
    errors = np.stack([_error(influence[k]) for k in range(10)])
    return np.concatenate([estimate.ravel(), errors.ravel()])


def _cells(ready: Ready) -> tuple[np.ndarray, np.ndarray]:
    key = np.zeros(len(ready["weight"]), dtype=np.int64)
    for name, levels in MARGINS.items():
        key = key * levels + ready[name]
    return key, np.stack(np.unravel_index(np.arange(240), tuple(MARGINS.values())), axis=1)


def _multipliers(masses: np.ndarray, levels: np.ndarray, targets: Mapping[str, np.ndarray]) -> np.ndarray:
    current = masses.copy()
    for _ in range(1000):
        off = 0.0
        for j, (name, size) in enumerate(MARGINS.items()):
            indicator = np.eye(size)[levels[:, j]]
            reached = current @ indicator
            off = max(off, float(np.abs(reached / targets[name] - 1).max()))
            current *= (targets[name] / reached) @ indicator.T
        if off < 1e-10:
            break
    return current / masses


def rake(ready: Ready) -> np.ndarray:
    """Raked weights."""
    key, levels = _cells(ready)
    masses = np.bincount(key, ready["weight"], minlength=240)[None, :]
    return ready["weight"] * _multipliers(masses, levels, ready["targets"])[0][key]


def greg(ready: Ready) -> np.ndarray:
    """Linear calibration on districts, ages and one number, as cells and one column."""
    w, x1 = ready["weight"], ready["x1"]
    key = ready["district"] * 6 + ready["age"]
    table = np.hstack([np.repeat(np.eye(25), 6, axis=0), np.tile(np.eye(6), (25, 1))])
    mass, cross = np.bincount(key, w, minlength=150), np.bincount(key, w * x1, minlength=150)
    gram = np.block(
        [[table.T @ (mass[:, None] * table), (table.T @ cross)[:, None]], [cross @ table, np.array([w @ x1**2])]]
    )
    wanted = np.concatenate([ready["targets"]["district"], ready["targets"]["age"], [ready["x1_total"]]])
    b = np.linalg.lstsq(gram, wanted - np.concatenate([table.T @ mass, [w @ x1]]), rcond=None)[0]
    return w * (1 + (table @ b[:31])[key] + b[31] * x1)


def logistic(ready: Ready) -> np.ndarray:
    """Logistic regression by Newton steps with errors from sums by sampling unit."""
    n = len(ready["weight"])
    x = np.ones((n, 14))
    place = 1
    for name in ("sex", "age", "edu"):
        for level in range(1, MARGINS[name]):
            x[:, place] = ready[name] == level
            place += 1
    for name in NUMERIC:
        x[:, place] = ready[name]
        place += 1
    w, y, b = ready["weight"], ready["chosen"], np.zeros(14)
    for _ in range(30):
        p = 1 / (1 + np.exp(-(x @ b)))
        information = x.T @ ((w * p * (1 - p))[:, None] * x)
        move = np.linalg.solve(information, x.T @ (w * (y - p)))
        b = b + move
        if np.abs(move).max() < 1e-9:
            break
    residual = w * (y - p)
    scores = np.stack([np.bincount(ready["psu"], residual * x[:, j], minlength=1000) for j in range(14)], axis=1)
    return np.concatenate([b, _error(scores @ np.linalg.inv(information))])


def _replicated(totals: np.ndarray) -> np.ndarray:
    """Return estimates and bootstrap errors from sums of shape (replicates + 1, 11, 25)."""
    estimates = totals[:, :10] / totals[:, 10:]
    errors = np.sqrt(((estimates[:-1] - estimates[:-1].mean(axis=0)) ** 2).sum(axis=0) / (len(estimates) - 2))
    return np.concatenate([estimates[-1].ravel(), errors.ravel()])


def bootstrap(ready: Ready) -> np.ndarray:
    """Means by district under 500 replicates."""
    sums = _sums(ready, ready["weight"])
    factors = np.column_stack([ready["factors"], np.ones(1000)])
    return _replicated(np.stack([factors.T @ part for part in sums], axis=1))


def bootstrap_raked(ready: Ready) -> np.ndarray:
    """Means by district under 500 replicates, each raked."""
    key, levels = _cells(ready)
    factors = np.column_stack([ready["factors"], np.ones(1000)])
    flat = ready["psu"] * 240 + key
    w = ready["weight"]
    sums = np.stack(
        [np.bincount(flat, w * ready[name], minlength=240_000) for name in OUTCOMES]
        + [np.bincount(flat, w, minlength=240_000)]
    ).reshape(11, 1000, 240)
    multipliers = _multipliers(factors.T @ sums[10], levels, ready["targets"])
    totals = np.empty((factors.shape[1], 11, 25))
    for district in range(25):
        units = np.arange(district, 1000, 25)
        for k in range(11):
            totals[:, k, district] = (multipliers * (factors[units].T @ sums[k, units])).sum(axis=1)
    return _replicated(totals)


TASKS = {"a": means, "b": rake, "c": greg, "d": logistic, "e": bootstrap, "f": bootstrap_raked}

if __name__ == "__main__":
    measure.run(prepare, TASKS)
