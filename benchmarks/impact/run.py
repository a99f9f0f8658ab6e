"""Policy impact of a staged roll-out beside its peers and beside what numpy must do at least, in one run.

Run ``benchmarks/impact/peers.sh`` once, then ``python benchmarks/impact/run.py``. Each task runs in a process of its
own with one thread; processor seconds from a data frame to numbers count, and the peak memory of the whole process.
Writes ``impact.csv`` and ``table.md`` beside itself. Names of tasks on the command line run these alone and write
nothing. PEERS names another folder of environments.
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
from persons import DRAWS, GRID_HIGH, GRID_LOW, GRID_POINTS, write

HERE = Path(__file__).resolve().parent
SOURCE, MEASURE = HERE.parents[1] / "src", HERE.parent / "survey"
AGREEMENT, LONGEST = 1e-6, 900
RESULT = HERE / "impact.csv"
COLUMNS = ["n", "task", "tool", "cpu", "times_ours", "prepare", "peak_mb", "process_mb", "differs", "same", "note"]
SIZES = {"1M": 1_000_000, "50k": 50_000}
TASKS = {
    "two_way": "two-way fixed effects, CR1",
    "two_way_jackknife": "two-way fixed effects, jackknife",
    "two_way_cr2": "two-way fixed effects, CR2",
    "three_effects": "three fixed effects, CR1",
    "poisson": "Poisson, two fixed effects, CR1",
    "group_time": "effects of cohorts by year, doubly robust, 999 draws",
    "group_time_left_out": "effects of cohorts by year, every district left out",
    "wild": "wild cluster bootstrap, 9,999 draws",
    "honest": "robust sets, relative magnitudes, five sizes",
    "honest_smooth": "robust sets, smoothness, three sizes",
    "honest_breakdown": "breakdown value",
}
#: Most processor seconds that ours may take with a million persons, and most megabytes of its process.
TARGETS = {"two_way": 1.5, "group_time": 6.0, "group_time_left_out": 30.0, "wild": 2.5, "honest": 2.0}
MOST_MEMORY = 700.0
TOOLS = {
    "ours": "ours",
    "limit": "numpy limit",
    "pyfixest": "pyfixest 0.60.0",
    "linearmodels": "linearmodels 7.0",
    "statsmodels": "statsmodels 0.15.0",
    "diff_diff": "diff-diff 3.13.0",
    "csdid": "csdid 0.4.3",
    "differences": "differences 0.3.0",
    "moderndid": "moderndid 0.4.1",
}
#: Who is asked what, at which size.
ASKED: dict[str, dict[str, tuple[str, ...]]] = {
    "ours": {"1M": tuple(TASKS), "50k": ("two_way", "group_time_left_out")},
    "limit": {"1M": ("two_way", "group_time", "group_time_left_out", "wild")},
    "pyfixest": {"1M": ("two_way", "three_effects", "poisson", "wild")},
    "linearmodels": {"1M": ("two_way",)},
    "statsmodels": {"50k": ("two_way",)},
    "diff_diff": {"1M": ("group_time", "honest", "honest_smooth"), "50k": ("group_time_left_out",)},
    "csdid": {"1M": ("group_time",)},
    "differences": {"1M": ("group_time",)},
    "moderndid": {"1M": ("group_time", "honest", "honest_smooth")},
}
#: What a peer does not do, or why its numbers are others.
REMARKS = {
    ("differences", "group_time"): "no draws: its clusters fail",
    ("diff_diff", "group_time_left_out"): "26 fits: it has no jackknife",
    ("diff_diff", "honest"): "bounds widened by the error, no conditional test",
    ("limit", "group_time"): "effects alone",
    ("limit", "group_time_left_out"): "every fit made anew",
}
#: Tools that cannot be had where this was run: no figure of theirs is given.
NOT_HERE = {
    "two_way": {"R fixest": "not in Debian 12"},
    "group_time": {"R did": "not in Debian 12"},
    "wild": {"R fwildclusterboot": "not in Debian 12"},
    "honest": {"R HonestDiD": "not in Debian 12", "honestdid": "not asked: needs torch"},
}
#: In place of their number where an event study is given.
NO_PERSONS = "–"
#: Ours runs a task this often, and so does numpy; peers once.
REPEATS = 3
THREADS = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS", "NUMBA_NUM_THREADS"), "1"
)


def command(tool: str) -> list[str] | None:
    """Return how a tool is started; None where it is not installed."""
    if tool in ("ours", "limit"):
        return [sys.executable, str(HERE / f"{tool}.py")]
    python = Path(os.environ.get("PEERS", HERE / ".peers")) / tool / "bin" / "python"
    return [str(python), str(HERE / f"peer_{tool}.py")] if python.exists() else None


def measured(tool: str, folder: Path, task: str) -> dict[str, Any]:
    """Run one task of one tool and hold its numbers against ours."""
    start = command(tool)
    if start is None:
        return {"note": "not installed"}
    repeats = str(REPEATS) if tool in ("ours", "limit") else "1"
    paths = os.pathsep.join(map(str, [MEASURE, SOURCE] if tool == "ours" else [MEASURE]))
    environment = {**os.environ, **THREADS, "PYTHONPATH": paths}
    try:
        asked = [*start, str(folder), task, repeats]
        done = subprocess.run(asked, env=environment, capture_output=True, text=True, timeout=LONGEST, check=False)
    except subprocess.TimeoutExpired:
        return {"note": f"stopped after {LONGEST // 60} minutes"}
    if done.returncode:
        return {"note": (done.stderr.strip().splitlines() or ["stopped"])[-1][:120]}
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    found["note"] = REMARKS.get((tool, task), "")
    if tool != "ours":
        found["differs"], found["same"] = compared(folder, tool, task)
    return found


def compared(folder: Path, tool: str, task: str) -> tuple[float, bool]:
    """Return the largest difference of a tool's numbers from ours, and whether that is as little as can be asked.

    Relative, and at most 1e-6; drawn p-values within four Monte Carlo errors; sets from a grid within two of its steps
    and intervals that an optimiser searches within a thousandth of their width, these differences absolute.
    """
    ours = np.load(folder / f"ours-{task}.npy")
    theirs = np.load(folder / f"{'' if tool == 'limit' else 'peer_'}{tool}-{task}.npy")
    if ours.shape != theirs.shape:
        return np.inf, False
    if task.startswith("honest"):
        apart = np.abs(theirs - ours).max(axis=1)
        step = (GRID_HIGH - GRID_LOW) / (GRID_POINTS - 1)
        allowed = 2 * step if task == "honest" else 1e-3 * (ours[:, 1] - ours[:, 0])
        return float(apart.max()), bool((apart <= allowed).all())
    drawn_alike = True
    if task == "wild":
        (ours, p), (theirs, other) = (np.split(numbers, 2) for numbers in (ours, theirs))
        drawn_alike = abs(p - other).item() <= 4 * np.sqrt(2 * p * (1 - p) / DRAWS["wild"]).item()
    differs = float(np.max(np.abs(theirs - ours) / np.maximum(np.abs(ours), 1e-12)))
    return differs, drawn_alike and differs <= AGREEMENT


def rows_of(n: str, task: str, folder: Path) -> list[dict[str, Any]]:
    """Return one row per tool that is asked a task at a size, ours first, and those that cannot be had."""
    rows, persons = [], NO_PERSONS if task.startswith("honest") else n
    for tool, asked in ASKED.items():
        if task not in asked.get(n, ()):
            continue
        row = {"n": persons, "task": task, "tool": TOOLS[tool], **measured(tool, folder, task)}
        if tool == "ours" and "cpu" not in row:
            raise SystemExit(f"{task}: ours stopped, and nothing can be held against it: {row['note']}")
        if tool != "ours" and row.get("same"):
            row["times_ours"] = row["cpu"] / rows[0]["cpu"]
        print(row, flush=True)
        rows.append(row)
    if n == "1M":
        rows += [
            {"n": persons, "task": task, "tool": tool, "note": why} for tool, why in NOT_HERE.get(task, {}).items()
        ]
    return rows


def table(rows: pd.DataFrame) -> str:
    """Return the result as a Markdown table."""
    lines = ["| task | persons | tool | seconds | times ours | MB | same numbers |", "|---|---|---|---:|---:|---:|---|"]
    for row in rows.to_dict("records"):
        cells = [TASKS[row["task"]], row["n"], row["tool"], *_figures(row), _sameness(row)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _figures(row: dict[str, Any]) -> list[str]:
    """Return seconds, ratio and megabytes as text, empty where there are none."""
    formats = {"cpu": "{:.3f}", "times_ours": "{:.2g}" if row["times_ours"] < 10 else "{:.0f}", "process_mb": "{:,.0f}"}
    return ["" if pd.isna(row[name]) else form.format(row[name]) for name, form in formats.items()]


def _sameness(row: dict[str, Any]) -> str:
    note = row["note"] if isinstance(row["note"], str) else ""
    if pd.isna(row["same"]):
        return note
    return ("yes" if row["same"] else f"no, {row['differs']:.0e}") + (f"; {note}" if note else "")


def main() -> None:
    """Measure every tool on every task and size that it is asked for."""
    rows, wanted = [], sys.argv[1:]
    for size, n in SIZES.items():
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write(folder, n)
            for task in TASKS:
                if not wanted or task in wanted:
                    rows += rows_of(size, task, folder)
    frame = pd.DataFrame(rows).reindex(columns=COLUMNS)
    own = frame[(frame["tool"] == "ours") & (frame["n"] != "50k") & frame["task"].isin(TARGETS)]
    for row in own.to_dict("records"):
        most = f"{row['cpu']:.2f} s of {TARGETS[row['task']]}, {row['process_mb']:.0f} MB of {MOST_MEMORY:.0f}"
        print(f"{row['task']}: {most}")
    if not wanted:
        kept = frame.round({"cpu": 4, "times_ours": 3, "prepare": 3, "peak_mb": 1, "process_mb": 0})
        kept.to_csv(RESULT, index=False, float_format="%.6g", lineterminator="\n", encoding="utf-8")
        (HERE / "table.md").write_text(table(pd.read_csv(RESULT)), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
