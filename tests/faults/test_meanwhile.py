"""What changes while a study runs, or is not what it seems: its data, the clock, the times of files."""

import json
import os
import time

READ = """
import pathlib, time
import evaluation as ev
survey = ev.read_survey("small")
pathlib.Path("outputs/has read").touch()
while not pathlib.Path("outputs/go on").exists():
    time.sleep(0.02)
"""


def wait_for(file, process):
    end = time.monotonic() + 90
    while not file.exists():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)


def test_survey_data_that_change_while_they_are_used_fail_the_step_by_name_and_nothing_of_it_is_kept(project):
    project.make({"profile": [READ, "len(survey)"], "other": ["1"]})
    data = project.root / "surveys" / "small" / "data.csv"
    first = data.read_bytes()
    process = project.command("run", "small", "--jobs", "2")
    wait_for(project.outputs / "has read", process)
    data.write_bytes(first.replace(b"34", b"35"))
    (project.outputs / "go on").touch()
    out, err = process.communicate(timeout=60)
    told = " ".join(out.split())
    assert (process.returncode, err) == (1, ""), told
    assert (
        "SourceError: surveys/small/data.csv changed while the study ran (this step read it before). "
        "Nothing of this step is taken for good. Run again."
    ) in told
    assert project.states("failed/small") == {"profile": "failed", "other": "ok"}
    assert not (project.outputs / "small").exists()
    assert not list((project.outputs / ".cache" / "small").glob("profile/*"))

    code, told = project.run()
    assert code == 1
    assert "surveys/small/data.csv is not the file that survey.yml describes: expected SHA-256" in told
    data.write_bytes(first)
    code, told = project.run()
    assert code == 0, told
    assert project.states("small") == {"profile": "ok", "other": "ok"}


#: Makes every clock that can be put back go back, in the runner and in every kernel.
BACKWARDS = """
import time
_now = [4_000_000_000.0]
def _earlier():
    _now[0] -= 1000.0
    return _now[0]
time.time, time.time_ns = _earlier, lambda: int(_earlier() * 1e9)
"""


def test_a_clock_that_goes_backwards_and_files_from_the_future_change_neither_results_nor_order(project):
    project.make({"profile": [READ.replace('Path("outputs/go on")', 'Path(".")'), "len(survey)"], "other": ["1"]})
    assert project.run()[0] == 0
    before = project.files("outputs/small")

    for file in ("surveys/small/data.csv", "notebooks/10_profile.ipynb", "params/small.yml"):
        os.utime(project.root / file, (4_100_000_000, 4_100_000_000))
    project.write("clock/sitecustomize.py", BACKWARDS)
    clock = {"PYTHONPATH": str(project.root / "clock")}
    code, told = project.run("--force", environment=clock)
    assert code == 0, told
    assert project.files("outputs/small") == before

    lines = (project.outputs / "small" / "events.jsonl").read_text(encoding="utf-8").splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [event["elapsed"] for event in events] == sorted(event["elapsed"] for event in events)
    assert all(0 <= event.get("seconds", 0) < 300 for event in events)
    assert (events[0]["run"], events[-1]["state"]) == (2, "ok")

    data = project.root / "surveys" / "small" / "data.csv"
    data.write_bytes(data.read_bytes().replace(b"34", b"35"))
    os.utime(data, (4_100_000_000, 4_100_000_000))
    code, out, _ = project.tell("plan", "small", environment=clock)
    assert code == 0
    assert "surveys/small/data.csv changed" in out, "a file of the same size and time that holds something else"
