"""Two-way fixed effects of a million persons, side by side with what numpy must do at least and with dummies.

Run ``OMP_NUM_THREADS=1 python benchmarks/impact/twfe.py``; it writes ``twfe.csv`` beside itself. Ratios count;
seconds are processor time on this machine; a row of megabytes is the peak of a process of its own that makes the
persons and estimates once. A peer counts only where its coefficients and errors agree with ours to 1e-6.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import statsmodels.api as sm

import evaluation as ev

ROWS, PEER_ROWS, DONGS, YEARS, COVARIATES, DISTRICTS = 1_000_000, 5_000, 424, 8, 10, 25
REPEATS = 3
AGREEMENT = 1e-6
NAMES = [f"x{j}" for j in range(COVARIATES)]
MODEL: dict[str, Any] = {"outcome": "y", "treatment": "d", "covariates": NAMES, "unit": "dong", "time": "year"}


def persons(rows: int, seed: int = 2016) -> pd.DataFrame:
    """Return repeated cross-sections with a staged treatment by dong, shocks by district and year."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({"dong": random.integers(0, DONGS, rows), "year": random.integers(2012, 2012 + YEARS, rows)})
    frame["district"] = frame["dong"] % DISTRICTS
    start = random.integers(2014, 2022, DONGS)[frame["dong"]]
    frame["d"] = (frame["year"] >= start).astype(float)
    frame[NAMES] = random.normal(size=(rows, COVARIATES))
    shock = random.normal(0, 0.6, (DISTRICTS, YEARS))[frame["district"], frame["year"] - 2012]
    frame["y"] = frame["d"] + frame[NAMES].sum(axis=1) + shock + random.normal(0, 6, rows)
    frame["w"] = random.uniform(0.5, 2.0, rows)
    frame["age"] = random.integers(0, 13, rows)
    frame["visits"] = random.poisson(np.exp(0.1 * frame["d"] + 0.1 * frame["x0"]))
    return frame


def fastest(task: Callable[[], object], repeats: int = REPEATS) -> float:
    """Return the least processor time of some runs in seconds: other jobs on the machine do not count."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        task()
        times.append(time.process_time() - start)
    return min(times)


def one_pass(frame: pd.DataFrame) -> None:
    """Sum every column by dong and year once: no estimator can do less."""
    cell, weights = (frame["dong"] * YEARS + frame["year"] - 2012).to_numpy(), frame["w"].to_numpy()
    for name in ("y", "d", *NAMES):
        np.bincount(cell, weights * frame[name].to_numpy(), minlength=DONGS * YEARS)


def dummies(frame: pd.DataFrame) -> Any:
    """Fit weighted least squares on all dummies, errors clustered by district without a correction."""
    effects = [pd.get_dummies(frame["dong"], dtype=float), pd.get_dummies(frame["year"], dtype=float).iloc[:, 1:]]
    matrix = np.hstack([frame[["d", *NAMES]].to_numpy(), *(part.to_numpy() for part in effects)])
    groups = {"groups": frame["district"].to_numpy(), "use_correction": False}
    return sm.WLS(frame["y"].to_numpy(), matrix, weights=frame["w"].to_numpy()).fit(cov_type="cluster", cov_kwds=groups)


def peak_megabytes() -> float:
    """Return the peak of a process that makes the persons and estimates once."""
    done = subprocess.run([sys.executable, __file__, "--peak"], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def once() -> None:
    """Make the persons, estimate, and print the peak in megabytes."""
    ev.twfe(ev.survey_design(persons(ROWS), weights="w"), **MODEL, cluster="district", vcov="CR1")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Measure, check the peer's numbers, and write the table."""
    # First, since a process starts with the peak of the one that starts it.
    megabytes = peak_megabytes()
    full, part = persons(ROWS), persons(PEER_ROWS)
    large, small = (ev.survey_design(frame, weights="w") for frame in (full, part))
    peer, ours = dummies(part), ev.twfe(small, **MODEL, cluster="district", vcov="CR0")
    k = len(ours)
    agrees = np.allclose(ours.estimate, peer.params[:k], rtol=AGREEMENT) and np.allclose(
        ours.std_error, peer.bse[:k], rtol=AGREEMENT
    )
    limit = fastest(lambda: one_pass(full))
    rows = [(ROWS, "numpy: one bincount pass", limit, 1.0)]
    for vcov in ("jackknife", "CR1"):
        seconds = fastest(lambda rule=vcov: ev.twfe(large, **MODEL, cluster="district", vcov=rule))
        rows.append((ROWS, f"twfe, {vcov} by district", seconds, seconds / limit))
    three: dict[str, Any] = {"outcome": "y", "regressors": "d", "covariates": NAMES, "effects": ["dong", "year", "age"]}
    seconds = fastest(lambda: ev.fe_regression(large, **three, cluster="district", vcov="CR1"))
    rows.append((ROWS, "fe_regression, three effects, CR1 by district", seconds, seconds / limit))
    counts = three | {"outcome": "visits", "effects": ["dong", "year"], "family": "poisson"}
    seconds = fastest(lambda: ev.fe_regression(large, **counts, cluster="district", vcov="CR1"), repeats=1)
    rows.append((ROWS, "fe_regression, Poisson, CR1 by district", seconds, seconds / limit))
    seconds = fastest(lambda: ev.twfe(large, **MODEL, cluster="district", vcov="CR2"), repeats=1)
    rows.append((ROWS, "twfe, CR2 by district", seconds, seconds / limit))
    seconds = fastest(lambda: ev.twfe(large, **MODEL))
    rows.append((ROWS, "twfe, design", seconds, seconds / limit))
    seconds = fastest(lambda: ev.twfe(small, **MODEL, cluster="district", vcov="CR0"))
    rows.append((PEER_ROWS, "twfe, CR0 by district", seconds, 1.0))
    other = fastest(lambda: dummies(part), repeats=1)
    label = "statsmodels WLS with dummies, CR0" + ("" if agrees else " (DISAGREES, does not count)")
    rows.append((PEER_ROWS, label, other, other / seconds))
    rows.append((ROWS, "twfe, CR1 by district: megabytes, persons among them", megabytes, np.nan))
    table = pd.DataFrame(rows, columns=["rows", "task", "cpu_seconds", "ratio"]).round({"cpu_seconds": 3, "ratio": 2})
    table.to_csv(Path(__file__).with_suffix(".csv"), index=False, lineterminator="\n", encoding="utf-8")
    print(table.to_string(index=False))


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description="Two-way fixed effects of a million persons.")
    asked.add_argument("--peak", action="store_true", help="estimate once and print the peak in megabytes")
    once() if asked.parse_args().peak else main()
