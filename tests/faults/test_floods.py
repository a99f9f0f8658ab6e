"""Notebooks that take too much: 500 MB on disk, all the memory there is."""

import json
import sys
import time

import psutil
import pytest

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is limited by means that Linux has")

FILE = """
import os, pathlib
with open(pathlib.Path(os.environ["EVALUATION_RUN"]) / "everything.bin", "wb") as file:
    for _ in range(500):
        file.write(b"x" * 1_000_000)
"""


def test_a_notebook_that_writes_500_mb_into_the_run_is_told_with_the_size_and_the_runner_stays_small(project):
    project.make({"flood": ["1 + 1", FILE]})
    process = project.command("run", "small")
    runner, most = psutil.Process(process.pid), 0
    while process.poll() is None:
        try:
            most = max(most, runner.memory_info().rss)
        except psutil.Error:
            break
        time.sleep(0.02)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    told = " ".join(out.split())
    assert "flood left everything.bin with 500 MB in the run folder; the cache holds it once more." in told
    assert "If nobody needs it, take its line out of the notebook" in told
    assert "Disk used: run 500 MB" in told
    assert 10_000_000 < most < 500_000_000


#: Takes at most 300 MB beyond what the kernel has, then asks for 10 GB.
SHORT = """
import resource
has = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (has + 300_000_000, resource.RLIM_INFINITY))
everything = bytearray(10_000_000_000)
"""
#: Is killed as the kernel of the system kills what takes too much: without a word, in the middle.
KILLED = """
import os, signal, time
much = b"x" * 400_000_000
time.sleep(0.6)
os.kill(os.getpid(), signal.SIGKILL)
"""


@linux
def test_a_notebook_without_memory_fails_or_dies_with_its_peak_and_the_next_move_and_the_others_end_well(project):
    project.make(
        {"short": ["1 + 1", SHORT, "3"], "killed": ["1 + 1", KILLED, "3"], "fine": ["1"], "after": ["1"]},
        {"after": ["killed"]},
    )
    code, told = project.run()
    assert code == 1, told
    assert project.states("failed/small") == {"short": "failed", "killed": "died", "fine": "ok", "after": "blocked"}
    steps = project.manifest("failed/small")["steps"]
    assert (steps["short"]["failure"]["error"], steps["short"]["failure"]["cell"]) == ("MemoryError", 4)
    assert "There is not enough memory. Run fewer notebooks at the same time (--jobs 1), or read fewer" in told
    assert "killed in this cell by signal 9 (SIGKILL): out of memory, or ended from outside. It had taken" in told
    assert "run fewer notebooks at the same time (--jobs 1), or read fewer variables" in told
    events = (project.outputs / "failed" / "small" / "events.jsonl").read_text(encoding="utf-8").splitlines()
    ended = {entry["step"]: entry for entry in map(json.loads, events) if entry.get("state") in ("died", "ok")}
    assert ended["killed"]["peak_memory_bytes"] > 400_000_000 > ended["fine"]["peak_memory_bytes"] > 10_000_000
    kept = json.loads((project.outputs / "failed/small/notebooks/20_killed.ipynb").read_text(encoding="utf-8"))
    assert [output["output_type"] for output in kept["cells"][-2]["outputs"]] == ["error"]
    assert project.tell("status", "small")[1].count("signal 9") == 1
