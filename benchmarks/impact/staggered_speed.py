"""Group-time effects of a million persons beside Python's packages, one process and one thread each, in one run.

Run ``benchmarks/impact/peers.sh`` once, then ``python benchmarks/impact/staggered_speed.py [rows [rows of peers]]``. It
writes ``staggered_speed.csv`` beside itself. Doubly robust effects in repeated cross-sections, ten covariates, survey
weights, 25 district clusters, 999 draws of a simultaneous band; ours also with every district left out once. Seconds
run from a data frame to results, imports included; those of the processor count, since other jobs may run. Memory is
the peak of the whole process. A peer's ratio counts only where
its effects agree with ours to 1e-6. PEERS names another folder of environments.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from staggered_persons import write

HERE = Path(__file__).resolve().parent
AGREEMENT = 1e-6
PEERS = ("diff_diff", "csdid", "differences", "moderndid")
THREADS = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS", "NUMBA_NUM_THREADS"), "1"
)
#: Seconds and megabytes that ours may take with a million persons.
LIMITS = {"ours": (6.0, 700.0), "ours_left_out": (30.0, 700.0)}


def python_of(tool: str) -> Path | None:
    """Return the interpreter of a tool; None where it is not installed."""
    if tool.startswith("ours"):
        return Path(sys.executable)
    found = Path(os.environ.get("PEERS", HERE / ".peers")) / tool / "bin" / "python"
    return found if found.exists() else None


def measured(tool: str, folder: Path) -> dict[str, Any]:
    """Run a tool and return seconds, memory, or why there are none."""
    python = python_of(tool)
    if python is None:
        return {"tool": tool, "remark": "not installed"}
    arguments = [str(python), str(HERE / "staggered_tool.py"), tool, str(folder)]
    ran = subprocess.run(arguments, capture_output=True, text=True, env={**os.environ, **THREADS}, check=False)
    if ran.returncode:
        return {"tool": tool, "remark": f"failed: {ran.stderr.strip().splitlines()[-1][:120]}"}
    return {"tool": tool, **json.loads(ran.stdout.strip().splitlines()[-1]), "remark": ""}


def compared(rows: list[dict[str, Any]], folder: Path) -> None:
    """Add ratios to ours where the effects agree, else say by how much they differ."""
    mine, seconds = np.load(folder / "found-ours.npy"), rows[0]["cpu"]
    for row in rows[1:]:
        path = folder / f"found-{row['tool']}.npy"
        if row["remark"] or not path.exists():
            continue
        theirs = np.load(path)
        same = theirs.shape == mine.shape and bool((theirs[:, :2] == mine[:, :2]).all())
        apart = float(np.abs(theirs[:, 2] / mine[:, 2] - 1).max()) if same else np.inf
        row["apart"] = apart
        if apart <= AGREEMENT:
            row["ratio"] = row["cpu"] / seconds
        else:
            row["remark"] = "other numbers"


def side_by_side(n: int, tools: tuple[str, ...]) -> pd.DataFrame:
    """Return one row per tool, all on the same persons."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, n)
        rows = [measured(tool, folder) for tool in tools]
        compared(rows, folder)
    return pd.DataFrame(rows).assign(rows=n)


def main(n: int, peer_rows: int) -> None:
    """Measure every tool, ours with ``n`` persons too where peers are asked fewer; print and write the table."""
    table = side_by_side(peer_rows, (*LIMITS, *PEERS))
    if n != peer_rows:
        table = pd.concat([table, side_by_side(n, tuple(LIMITS))], ignore_index=True)
    print(table.to_string(index=False, float_format=lambda value: f"{value:.3g}"))
    table.to_csv(HERE / "staggered_speed.csv", index=False, float_format="%.4g", encoding="utf-8")
    for row in table[(table["rows"] >= 1_000_000) & table["tool"].isin(LIMITS)].to_dict("records"):
        most, memory = LIMITS[row["tool"]]
        print(f"{row['tool']}: {row['cpu']:.1f} s of {most:.0f}, {row['peak_mb']:.0f} MB of {memory:.0f}")


if __name__ == "__main__":
    asked = [int(argument) for argument in sys.argv[1:]] or [1_000_000]
    main(asked[0], asked[-1])
