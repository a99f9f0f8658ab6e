"""Steps that write over, remove or spoil what other steps published, or their own log: told, failed, never kept."""

import contextlib
import os
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from evaluation.study.run import run_study

made = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "handmade_projects.py")))
PUBLISH = """
import json, os, pathlib, shutil
run, step = pathlib.Path(os.environ["EVALUATION_RUN"]), os.environ["EVALUATION_STEP"]
for folder in ("tables", "published"): (run / folder).mkdir(exist_ok=True)
_ = (run / f"tables/{step}.csv").write_text("v\\n1\\n", encoding="utf-8")
line = json.dumps({"name": step, "files": [f"tables/{step}.csv"]})
_ = (run / f"published/{step}.jsonl").write_text(line + "\\n", encoding="utf-8")
"""
#: For each step what it needs and what it does once it has published.
STEPS = {
    "first": ((), ""),
    "over": (("first",), "_ = (run / 'tables/first.csv').write_text('666')"),
    "after": (("first", "over"), "1"),
    "second": ((), ""),
    "removes": (("second",), "os.remove(run / 'tables/second.csv')"),
    "third": ((), ""),
    "moves": (("third",), "_ = (run / 'published/third.jsonl').rename(run / 'x')"),
    "spoils": ((), "with open(run / 'published/spoils.jsonl', 'a') as log: _ = log.write('garbage\\n')"),
    "alone": ((), "(run / 'tables/alone.csv').unlink()\n_ = (run / 'tables/alone.csv').write_text('2')"),
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    root = made.lay_out(tmp_path / "project")
    monkeypatch.setenv("EVALUATION_PROJECT", str(root))
    monkeypatch.delenv("EVALUATION_RUN", raising=False)
    return root


def make(root, steps):
    notebooks = {name: [PUBLISH, code] for name, (_, code) in steps.items()}
    made.make(root, notebooks, {name: needs for name, (needs, _) in steps.items()})


def told(report):
    return {one.step: (one.state, one.failure.message.split(". ")[0] if one.failure else "") for one in report.outcomes}


def test_steps_that_touch_what_others_published_fail_each_time_and_the_others_go_on(project):
    make(project, STEPS)
    first = told(run_study("small", jobs=2))
    # What a step did to its neighbour shows on both: what the neighbour published is not there any more.
    assert first["over"] == ("failed", "step 'over' wrote over tables/first.csv of step 'first'")
    assert first["removes"] == ("failed", "step 'removes' removed tables/second.csv of step 'second'")
    assert first["moves"] == ("failed", "step 'moves' removed published/third.jsonl of step 'third'")
    assert first["spoils"][1].startswith("line 2 of published/spoils.jsonl does not say what was published")
    assert {name: state for name, (state, _) in first.items() if state != "failed"} == {
        "after": "blocked",
        "alone": "ok",
    }
    assert first["second"][1].startswith("tables/second.csv is not what it was when this step ended")
    assert sorted(os.listdir(project / "outputs" / ".cache" / "small")) == ["alone", "first", "second", "third"]
    assert not (project / "outputs" / "small").exists()

    again = told(run_study("small", jobs=2))
    assert again.pop("alone") == ("cached", "")
    assert again == {name: one for name, one in first.items() if name != "alone"}

    make(project, {name: (needs, "" if code != "1" else code) for name, (needs, code) in STEPS.items()})
    assert run_study("small", jobs=2).exit_code == 0


SLEEPER = """
import subprocess, sys
command = [sys.executable, "-c", "import time; time.sleep(600)"]
own = subprocess.Popen(command, start_new_session=True)
daemon = subprocess.run(["sh", "-c", "setsid sleep 600 >/dev/null 2>&1 & echo $!"], capture_output=True, text=True)
same = subprocess.Popen(command)
_ = open("pids-" + step, "w").write(f"{own.pid} {same.pid} {daemon.stdout.strip()}")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are found by /proc")
@pytest.mark.parametrize("kernel", ["forked", "plain"])
def test_programs_that_notebooks_start_end_with_their_kernels(project, kernel):
    make(project, {"good": ((), SLEEPER), "dies": ((), SLEEPER + "open('pids-dies').close(); os._exit(3)")})
    states = told(run_study("small", jobs=2, kernel=kernel))
    assert (states["good"][0], states["dies"][0]) == ("ok", "died")
    left = {name: [int(pid) for pid in (project / f"pids-{name}").read_text().split()] for name in ("good", "dies")}
    # Of a plain kernel that ends by itself only its own group is known.
    known = left["good"][:2] + left["dies"][1:2] if kernel == "plain" else left["good"] + left["dies"]
    try:
        assert not [pid for pid in known if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"]
    finally:
        for pid in left["good"] + left["dies"]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
