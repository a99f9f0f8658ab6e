"""Processor seconds and memory of one task in a process of its own."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np


def _memory(field: str) -> float:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(field):
            return float(line.split()[1]) / 1024
    return float("nan")


def run(prepare: Callable[[Path, str], Any], tasks: Mapping[str, Callable[[Any], np.ndarray]]) -> None:
    """Run the task named on the command line: ``<program> <folder> <task> <repeats>``.

    Prints one line of JSON: processor seconds of the fastest run, those of preparing, the peak of memory above what
    stood before the task, and that of the whole process, in MB. The numbers found go to
    ``<folder>/<program>-<task>.npy``.
    """
    folder, task, repeats = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    start = time.process_time()
    ready = prepare(folder, task)
    prepared = time.process_time() - start
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    before, times = _memory("VmRSS"), []
    numbers = np.zeros(0)
    for _ in range(repeats):
        start = time.process_time()
        numbers = tasks[task](ready)
        times.append(time.process_time() - start)
    peak = _memory("VmHWM") - before
    np.save(folder / f"{Path(sys.argv[0]).stem}-{task}.npy", np.asarray(numbers, dtype=float))
    print(json.dumps({"cpu": min(times), "prepare": prepared, "peak_mb": peak, "process_mb": peak + before}))
