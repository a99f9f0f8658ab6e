"""The survey engine beside its peers and beside what numpy must do at least, in one run, as ratios.

Run ``benchmarks/survey/peers.sh`` once, then ``python benchmarks/survey/run.py``. Each task runs in a process of its
own with one thread; processor seconds count. A peer counts only where its numbers and ours agree to 1e-6. Writes
``survey.csv`` and ``table.md`` beside itself.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sample import write

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parents[1] / "src"
AGREEMENT = 1e-6
SIZES = {"50k": 50_000, "1M": 1_000_000}
TASKS = {
    "a": "10 means × 25 districts with SE",
    "a_group": "the same by 25 groups of persons",
    "a_raked": "raking, then a (variance of the chain)",
    "b": "raking, 4 margins",
    "c": "GREG, 32 totals (31 free)",
    "d": "logistic, 14 coefficients",
    "e": "500 bootstrap replicates, a",
    "f": "e, every replicate raked",
    "f_group": "f by groups of persons",
}
#: What each tool can do, and up to which size it is asked.
ASKED = {
    "ours": {"50k": tuple(TASKS), "1M": tuple(TASKS)},
    "limit": {"50k": tuple("abcdef"), "1M": tuple("abcdef")},
    "peer_r": {"50k": ("a", "a_group", "b", "c", "d", "e", "f"), "1M": ("a", "a_group", "b", "c", "d")},
    "peer_svy": {"50k": ("a", "a_group", "b", "c", "d", "e", "f"), "1M": ("a", "a_group", "b", "c", "d")},
    "peer_samplics": {"50k": ("a", "b"), "1M": ("b",)},
}
#: Every tool runs a task this often; the peers' long ones once.
REPEATS, LONG = 3, ("e", "f")
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS"), "1")


def command(tool: str) -> list[str] | None:
    """Return how a tool is started; None where it is not installed."""
    if tool in ("ours", "limit"):
        return [sys.executable, str(HERE / f"{tool}.py")]
    if tool == "peer_r":
        return ["Rscript", str(HERE / "peer_r.R")] if shutil.which("Rscript") else None
    python = HERE / ".peers" / tool.removeprefix("peer_") / "bin" / "python"
    return [str(python), str(HERE / f"{tool}.py")] if python.exists() else None


def measured(tool: str, folder: Path, task: str) -> dict[str, Any]:
    """Run one task of one tool and hold its numbers against ours."""
    start = command(tool)
    if start is None:
        return {"note": "not installed"}
    repeats = "1" if task in LONG and tool.startswith("peer_") else str(REPEATS)
    environment = {**os.environ, **THREADS, "PYTHONPATH": str(SOURCE)} if tool == "ours" else {**os.environ, **THREADS}
    done = subprocess.run([*start, str(folder), task, repeats], env=environment, capture_output=True, text=True)
    if done.returncode:
        return {"note": (done.stderr.strip().splitlines() or ["stopped"])[-1][:120]}
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    if tool != "ours":
        found["differs"] = difference(folder, tool, task)
        if found["differs"] > AGREEMENT:
            found["note"] = "other numbers"
    return found


def difference(folder: Path, tool: str, task: str) -> float:
    """Return the largest relative difference of a tool's numbers from ours."""
    ours = np.load(folder / f"ours-{task}.npy")
    theirs = np.fromfile(folder / f"{tool}-{task}.f8") if tool == "peer_r" else np.load(folder / f"{tool}-{task}.npy")
    if theirs.shape != ours.shape:
        return float("inf")
    return float(np.max(np.abs(theirs - ours) / np.maximum(np.abs(ours), 1e-12)))


def table(rows: pd.DataFrame) -> str:
    """Return the result as a Markdown table: ratios of each tool's processor time to ours."""
    lines = ["| task | n | ours, s | ours, MB | ours ÷ numpy limit | R ÷ ours | svy ÷ ours | samplics ÷ ours |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for (size, task), part in rows.groupby(["n", "task"], sort=False):
        by_tool = part.set_index("tool")
        own = float(by_tool.loc["ours", "cpu"])

        def ratio(tool: str, by_tool: pd.DataFrame = by_tool, own: float = own) -> str:
            if tool not in by_tool.index:
                return ""
            if isinstance(by_tool.loc[tool, "note"], str):
                return str(by_tool.loc[tool, "note"])
            peer = float(by_tool.loc[tool, "cpu"])
            return f"{own / peer:.1f}" if tool == "limit" else f"{peer / own:.1f}"

        cells = [TASKS[str(task)], str(size), f"{own:.3f}", f"{by_tool.loc['ours', 'peak_mb']:.0f}"]
        cells += [ratio(tool) for tool in ("limit", "peer_r", "peer_svy", "peer_samplics")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure every tool on every task and size that it is asked for."""
    rows = []
    for size, n in SIZES.items():
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write(folder, n)
            for task in TASKS:
                for tool, asked in ASKED.items():
                    if task in asked[size]:
                        found = {"n": size, "task": task, "tool": tool, **measured(tool, folder, task)}
                        print(found, flush=True)
                        rows.append(found)
    frame = pd.DataFrame(rows).reindex(columns=["n", "task", "tool", "cpu", "prepare", "peak_mb", "differs", "note"])
    frame.round({"cpu": 5, "prepare": 4, "peak_mb": 1}).to_csv(HERE / "survey.csv", index=False)
    (HERE / "table.md").write_text(table(frame), encoding="utf-8")


if __name__ == "__main__":
    main()
