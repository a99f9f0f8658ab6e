"""svy's side of the survey benchmark; it runs in the environment that ``peers.sh`` makes."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import measure
import numpy as np
import polars as pl
import svy
from sample_names import MARGINS, NUMERIC, OUTCOMES, REPLICATES


def prepare(folder: Path, task: str) -> dict[str, Any]:
    """Read the sample and declare the design; replicate weights as columns where the task needs them."""
    frame = pl.read_parquet(folder / "sample.parquet")
    counts: dict[str, dict[int, float]] = {}
    for row in csv.DictReader((folder / "targets.csv").open(encoding="utf-8")):
        counts.setdefault(row["margin"], {})[int(row["level"])] = float(row["value"])
    totals = {
        row["name"]: float(row["value"]) for row in csv.DictReader((folder / "totals.csv").open(encoding="utf-8"))
    }
    replicates = None
    if task in ("e", "f"):
        factors = np.load(folder / "factors.npy")
        weights, unit = frame["weight"].to_numpy(), frame["psu"].to_numpy()
        columns = {f"rep{r + 1}": weights * factors[unit, r] for r in range(factors.shape[1])}
        frame = frame.with_columns(**columns)
        replicates = svy.BootstrapWgts(prefix="rep", n_reps=factors.shape[1])
    sample = svy.Sample(frame, svy.Design(stratum="stratum", psu="psu", wgt="weight", rep_wgts=replicates))
    return {"sample": sample, "counts": counts, "x1": totals["x1"]}


def _numbers(found: Any) -> np.ndarray:
    tables = [one.to_polars() for one in found]
    estimates = np.concatenate([table["est"].to_numpy() for table in tables])
    errors = np.concatenate([table["se"].to_numpy() for table in tables])
    return np.concatenate([estimates, errors])


def _means(sample: Any, by: str, method: str = "taylor") -> np.ndarray:
    numbers = _numbers(sample.estimation.mean(OUTCOMES, by=by, method=method))
    if method == "replication":  # svy divides by the number of replicates, R and we by one less
        numbers[len(numbers) // 2 :] *= np.sqrt(REPLICATES / (REPLICATES - 1))
    return numbers


def _raked(ready: dict[str, Any], name: str = "raked") -> Any:
    controls = {name: ready["counts"][name] for name in MARGINS}
    return ready["sample"].weighting.rake(controls=controls, tol=1e-8, max_iter=1000, wgt_name=name)


def _greg(ready: dict[str, Any]) -> np.ndarray:
    counts = ready["counts"]
    age = {level: value for level, value in counts["age"].items() if level}
    controls = {svy.Cat("district"): counts["district"], svy.Cat("age", ref=0): age, "x1": ready["x1"]}
    return ready["sample"].weighting.calibrate(controls=controls, wgt_name="greg").data["greg"].to_numpy()


def _logistic(ready: dict[str, Any]) -> np.ndarray:
    terms = [svy.Cat("sex", ref=0), svy.Cat("age", ref=0), svy.Cat("edu", ref=0), *NUMERIC]
    fit = ready["sample"].glm.fit("chosen", x=terms, family="binomial", tol=1e-10)
    table = fit.to_polars()
    return np.concatenate([table["estimate"].to_numpy(), table["std_err"].to_numpy()])


TASKS = {
    "a": lambda ready: _means(ready["sample"], "district"),
    "a_group": lambda ready: _means(ready["sample"], "group"),
    "b": lambda ready: _raked(ready).data["raked"].to_numpy(),
    "c": _greg,
    "d": _logistic,
    "e": lambda ready: _means(ready["sample"], "district", "replication"),
    "f": lambda ready: _means(_raked(ready), "district", "replication"),
}

if __name__ == "__main__":
    measure.run(prepare, TASKS)
