"""Batches in real processes: what becomes of steps, of runs that are stopped or killed, and of those that follow."""

import json
import os
import random
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from evaluation.errors import ProjectError, StudyError
from evaluation.specification import read_study
from evaluation.study import events, lock
from evaluation.study.batch import Batch, Settings, Teller
from evaluation.study.cache import Cache
from evaluation.study.events import EVENTS, EventLog, latest_run, read_events
from evaluation.study.interrupts import Interrupts
from evaluation.study.manifest import read_manifest
from evaluation.study.plan import Plan, PlannedStep
from evaluation.study.run import run_study
from evaluation.study.states import CellWarning, Failure, StepOutcome

made = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "handmade_projects.py")))
make, executed, states = made.make, made.executed, made.states

#: A cell that publishes a table, an estimate and a figure as ``ev.publish`` does, without its weight.
PUBLISH = """
import hashlib, json, os, pathlib
run, step = pathlib.Path(os.environ["EVALUATION_RUN"]), os.environ["EVALUATION_STEP"]
name = step.replace("/", "_")
files = {f"tables/{name}.csv": "a,b\\n", f"estimates/{name}.json": '{"rows": []}', f"figures/{name}.svg": "<svg/>"}
for file, text in files.items():
    (run / file).parent.mkdir(exist_ok=True)
    (run / file).write_text(text + VALUE, encoding="utf-8")
log = run / "published" / f"{step}.jsonl"
log.parent.mkdir(parents=True, exist_ok=True)
log.write_text(json.dumps({"name": name, "files": list(files)}) + "\\n", encoding="utf-8")
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project without notebooks; ``make`` fills it."""
    root = made.lay_out(tmp_path / "project with {braces}")
    monkeypatch.setenv("EVALUATION_PROJECT", str(root))
    monkeypatch.delenv("EVALUATION_RUN", raising=False)
    return root


def error_of(folder, name):
    """Number of the code cell with an error, its class and its message, and the state of the notebook."""
    notebook = executed(folder, name)
    found = [
        (number, output.ename, output.evalue)
        for number, cell in enumerate(notebook.cells, start=1)
        for output in cell.get("outputs", [])
        if output.output_type == "error"
    ]
    assert len(found) == 1
    return (*found[0], notebook.metadata.papermill.status)


def contents(folder):
    """Every file of a run but the one that holds its times."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != EVENTS
    }


def kernels_of(root):
    """Processes that hold the project's path in their environment or command, this one and its runner aside."""
    found = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
        except psutil.Error:
            continue
        if environment.get("EVALUATION_PROJECT") == str(root) and process.pid != os.getpid():
            found.append(process)
    return found


def recorded_kernels(root):
    """Kernels that the events of any run of the project name and that still run."""
    logs = [read_events(file) for file in (root / "outputs").rglob(EVENTS)]
    return [pid for log in logs for pid, birth in log.kernels.items() if birth and abs(events.born(pid) - birth) < 1]


def gone(find, seconds=15):
    """Tell whether nothing is left of what ``find`` finds, after some patience."""
    end = time.monotonic() + seconds
    while find() and time.monotonic() < end:
        time.sleep(0.1)
    return not find()


def start(root, *arguments, **options):
    """Start ``evaluation run small`` in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("EVALUATION", "PYTEST"))}
    environment["EVALUATION_PROJECT"] = str(root)
    command = [sys.executable, "-m", "evaluation.cli", "run", "small", "--jobs", "2", *arguments]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "encoding": "utf-8", **options}
    return subprocess.Popen(command, cwd=root, env=environment, **options)


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.02)
    raise TimeoutError("it never happened")


FAULTS = {
    "fine": ["1 + 1", PUBLISH.replace("VALUE", "''")],
    "error": ["1 + 1", "raise ValueError('no number')", "3"],
    "memory": ["1 + 1", "import numpy; numpy.zeros((10**9, 10**9))", "3"],
    "exit": ["1 + 1", "raise SystemExit(0)", "3"],
    "killed": ["1 + 1", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "3"],
    "crash": ["1 + 1", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "3"],
    "death": ["1 + 1", "import os; os._exit(7)", "3"],
    "slow": ["1 + 1", ("import time; time.sleep(60)", ["timeout-1"]), "3"],
    "after": ["1"],
    "further": ["1"],
}


@pytest.mark.parametrize("kernel", ["forked", "plain"])
def test_each_state_is_told_apart_and_keeps_its_notebook_with_the_error_where_it_happened(project, kernel):
    make(project, FAULTS, needs={"after": ["fine", "killed"], "further": ["after"]})
    report = run_study("small", jobs=3, kernel=kernel)
    assert states(report) == {
        "fine": "ok",
        "error": "failed",
        "memory": "failed",
        "exit": "stopped-early",
        "killed": "died",
        "crash": "died",
        "death": "died",
        "slow": "timed-out",
        "after": "blocked",
        "further": "blocked",
    }
    assert (report.exit_code, report.state) == (1, "failed")
    failed = project / "outputs" / "failed" / "small"
    assert report.folder == failed
    assert error_of(failed, "20_error") == (4, "ValueError", "no number", "failed")
    assert error_of(failed, "30_memory")[1].endswith("MemoryError")
    assert error_of(failed, "40_exit")[:2] == (4, "SystemExit")
    assert "killed in this cell by signal 9 (SIGKILL): out of memory" in error_of(failed, "50_killed")[2]
    assert "of signal 11 (SIGSEGV)" in error_of(failed, "60_crash")[2]
    assert "exit code 7" in error_of(failed, "70_death")[2]
    assert error_of(failed, "80_slow")[:2] == (4, "CellTimeoutError")
    for outcome in report.outcomes[1:8]:
        assert (outcome.done, outcome.cells, outcome.failure.cell) == (3, 5, 4)
        assert executed(failed, outcome.notebook).cells[2].outputs[0].data["text/plain"] == "2"
        assert executed(failed, outcome.notebook).cells[4].metadata.papermill.status == "not-run"

    log = read_events(failed / EVENTS)
    assert (log.state, log.exit_code, log.number, log.jobs, log.kernel) == ("failed", 1, 1, 3, kernel)
    assert [(one.step, one.state, one.failure) for one in log.outcomes] == [
        (one.step, one.state, one.failure) for one in report.outcomes
    ]
    assert log.why["fine"]
    assert "after" not in log.why
    assert log.outcomes[8].blocked_by == ("killed",)
    assert log.disk["run"] > 1000
    assert not log.running
    assert gone(lambda: recorded_kernels(project))


def test_what_is_good_in_a_run_that_failed_is_not_done_again(project):
    make(
        project, {"fine": FAULTS["fine"], "error": FAULTS["error"], "after": ["3"]}, needs={"after": ["fine", "error"]}
    )
    assert states(run_study("small")) == {"fine": "ok", "error": "failed", "after": "blocked"}
    make(project, {"fine": FAULTS["fine"], "error": ["1 + 1"], "after": ["3"]}, needs={"after": ["fine", "error"]})
    report = run_study("small")
    assert states(report) == {"fine": "cached", "error": "ok", "after": "ok"}
    assert report.exit_code == 0
    manifest = read_manifest(report.folder)
    assert {name: step["state"] for name, step in manifest["steps"].items()} == dict.fromkeys(states(report), "ok")
    assert len(manifest["steps"]["fine"]["outputs"]) == 3
    log = latest_run("small")
    assert (log.number, log.state, log.outcomes[0].state) == (2, "ok", "cached")
    assert log.why["error"] == ("notebook: code cell 3 changed",) or log.why["error"]

    again = contents(report.folder)
    forced = run_study("small", use_cache=False)
    assert set(states(forced).values()) == {"ok"}
    assert contents(forced.folder) == again
    assert latest_run("small").why["fine"] == ("asked for (--force)",)


def test_fail_fast_starts_nothing_new_and_cancels_what_runs(project):
    make(
        project,
        {
            "long": ["import time; time.sleep(100)"],
            "error": ["import time; time.sleep(1)", "raise ValueError('no')"],
            "needy": ["1"],
            "waiting": ["1"],
        },
        needs={"needy": ["error"]},
    )
    report = run_study("small", jobs=2, keep_going=False)
    assert states(report) == {"long": "cancelled", "error": "failed", "needy": "blocked", "waiting": "cancelled"}
    assert (report.exit_code, report.state) == (1, "failed")
    assert report.outcomes[0].failure.message == "stopped because step 'error' failed"
    assert error_of(report.folder, "10_long")[:3] == (3, "StoppedByAnother", "stopped because step 'error' failed")
    assert report.outcomes[3].reason == "StoppedByAnother: stopped because step 'error' failed"
    assert read_manifest(report.folder)["state"] == "failed"
    assert gone(lambda: recorded_kernels(project))


FLOODS = {
    "lines": "for _ in range(500): print('x' * 1_000_000)",
    "line": "print('x' * 500_000_000)",
    "displays": "from IPython.display import HTML, display\nfor _ in range(500): display(HTML('x' * 1_000_000))",
    "json": "from IPython.display import JSON, display\ndisplay(JSON({'a': ['x' * 100] * 700_000}))",
    "program": "import subprocess\nsubprocess.run(['sh', '-c', 'yes xxxxxxxxxxxxxx | head -c 500000000'])\nprint(1)",
    "error": "raise ValueError('x' * 20_000_000)",
}


def test_notebooks_that_put_out_500_mb_are_stopped_and_the_runner_never_holds_it(project):
    make(project, {name: ["1 + 1", flood, "3"] for name, flood in FLOODS.items()} | {"fine": ["1"]})
    process = start(project, stdout=subprocess.DEVNULL)
    most = 0
    runner = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            most = max(most, runner.memory_info().rss)
        except psutil.Error:
            break
        time.sleep(0.02)
    assert process.wait(timeout=60) == 1
    failed = project / "outputs" / "failed" / "small"
    manifest = read_manifest(failed)["steps"]
    assert manifest["fine"]["state"] == "ok"
    for place, step in enumerate(FLOODS, start=1):
        number, name, _, state = error_of(failed, f"{place}0_{step}")
        assert (number, name, state) == (4, "ValueError" if step == "error" else "OutputLimit", "failed")
        told = manifest[step]["failure"]["message"]
        assert len(told) < 10_000
        assert step == "error" or "put out more than 50 MB" in told
        assert (failed / "notebooks" / f"{place}0_{step}.ipynb").stat().st_size < 60_000_000
    # Two notebooks at a time.
    assert most < 900_000_000


WAVES = {
    "first": ["1 + 1", "import time; time.sleep(0.3)", PUBLISH.replace("VALUE", "'first'")],
    "second": ["import time; time.sleep(0.3)", "time.sleep(0.2)", PUBLISH.replace("VALUE", "'second'")],
    "third": [
        "import time; time.sleep(0.2)",
        PUBLISH.replace("VALUE", "'third'"),
        "import warnings; warnings.warn('w')",
    ],
    "fourth": ["import time; time.sleep(0.4)", PUBLISH.replace("VALUE", "'fourth'")],
    "fifth": ["import time; time.sleep(0.1)", PUBLISH.replace("VALUE", "'fifth'"), "print('end')"],
    "sixth": [PUBLISH.replace("VALUE", "'sixth'"), "sorted(p.name for p in (run / 'tables').iterdir())"],
}
NEEDS = {"third": ["first"], "fourth": ["first"], "fifth": ["second", "third"], "sixth": ["fourth", "fifth"]}


def lines_told(root, pid):
    """Lines that the run of a process has told so far."""
    file = root / "outputs" / ".staging" / "small" / EVENTS
    try:
        log = read_events(file)
    except ProjectError:
        return 0
    return log.last if log.pid == pid else 0


@pytest.mark.parametrize(("kernel", "seed"), [("forked", 1), ("forked", 2), ("plain", 3)])
def test_a_run_killed_at_any_moment_is_resumed_to_the_same_bytes(project, kernel, seed):
    make(project, WAVES, NEEDS)
    assert set(states(run_study("small", jobs=2, kernel=kernel)).values()) == {"ok"}
    good = project / "outputs" / "small"
    undisturbed = contents(good)
    assert len([name for name in undisturbed if name.startswith(("tables/", "estimates/", "figures/"))]) == 18
    lines = (good / EVENTS).read_bytes().count(b"\n")
    moments = random.Random(seed)
    shutil.rmtree(project / "outputs")
    finished = set()
    for least in (2, lines // 3, lines // 2):
        process = start(project, "--kernel", kernel)
        wait_for(lambda: lock.is_held("small"))
        moment = least + moments.randint(0, lines // 4)
        wait_for(lambda moment=moment, run=process: lines_told(project, run.pid) >= moment or run.poll() is not None)
        time.sleep(moments.uniform(0, 0.3))
        process.kill()
        process.communicate()
        assert gone(lambda: recorded_kernels(project))
        log = latest_run("small")
        if log.state != "dead":
            break
        finished |= {one.step for one in log.outcomes if one.is_good}
    report = run_study("small", jobs=2, kernel=kernel)
    assert {one.step for one in report.outcomes if one.state == "cached"} >= finished
    assert finished
    assert contents(good) == undisturbed
    assert [path.name for path in (project / "outputs" / ".staging").iterdir()] == ["small.lock"]
    assert gone(lambda: kernels_of(project))


def test_a_good_run_that_was_set_aside_when_its_runner_died_is_put_back(project):
    make(project, {"one": ["1"]})
    good = run_study("small").folder
    before = contents(good)
    good.rename(project / "outputs" / ".staging" / "small.ok.aside")
    make(project, {"one": ["1", "raise ValueError('no')"]})
    assert run_study("small").exit_code == 1
    assert contents(good) == before


ENDLESS = {
    "fine": ["1"],
    "endless": ["1 + 1", "import time; time.sleep(600)", "3"],
    "later": ["1"],
}


def runs_endlessly(root):
    file = root / "outputs" / ".staging" / "small" / EVENTS
    if not file.exists():
        return False
    sign = read_events(file).running.get("endless")
    return sign is not None and sign.done == 3


def test_ctrl_c_once_ends_the_kernels_and_keeps_the_run_with_the_place(project):
    make(project, ENDLESS, {"endless": ["fine"], "later": ["endless"]})
    process = start(project)
    wait_for(lambda: runs_endlessly(project))
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=30)
    assert time.monotonic() - begin < 10
    assert process.returncode == 130, told
    assert "Traceback" not in told
    failed = project / "outputs" / "failed" / "small"
    manifest = read_manifest(failed)
    assert {name: step["state"] for name, step in manifest["steps"].items()} == {
        "fine": "ok",
        "endless": "cancelled",
        "later": "cancelled",
    }
    assert error_of(failed, "20_endless") == (4, "KeyboardInterrupt", "stopped by hand", "cancelled")
    assert executed(failed, "20_endless").cells[2].outputs[0].data["text/plain"] == "2"
    log = latest_run("small")
    assert (log.state, log.exit_code) == ("cancelled", 130)
    assert gone(lambda: recorded_kernels(project))
    assert not lock.is_held("small")
    assert not (project / "outputs" / "small").exists()


def test_ctrl_c_twice_ends_at_once_and_no_kernel_stays(project):
    make(project, ENDLESS, {"endless": ["fine"], "later": ["endless"]})
    process = start(project)
    wait_for(lambda: runs_endlessly(project))
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    begin = time.monotonic()
    time.sleep(0.01)
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=30)
    assert time.monotonic() - begin < 5
    assert process.returncode == 130, told
    assert "Traceback" not in told
    assert gone(lambda: recorded_kernels(project))
    assert gone(lambda: kernels_of(project))
    assert not lock.is_held("small")
    assert latest_run("small").state in ("dead", "cancelled")
    make(project, {"fine": ["1"], "endless": ["1 + 1"], "later": ["1"]}, {"endless": ["fine"], "later": ["endless"]})
    assert states(run_study("small")) == {"fine": "cached", "endless": "ok", "later": "ok"}


#: Runs a study whose warm process imports for ever, and presses Ctrl-C in the breath after that has started.
PRESSED = """
import os, pathlib, signal, time
from evaluation.study import batch
from evaluation.study.kernels import template
from evaluation.study.run import run_study
template.__file__, wait = "silent.py", batch.wait
def pressed(*given, **options):
    while not pathlib.Path("importing").exists(): time.sleep(0.05)
    batch.wait = wait
    for _ in range(TIMES): os.kill(os.getpid(), signal.SIGINT)
    return wait(*given, **options)
batch.wait = pressed
print("begin", flush=True)
try: print(run_study("small", jobs=2).state)
except KeyboardInterrupt: print("at once")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux only")
@pytest.mark.parametrize(("times", "told"), [(1, "cancelled"), (2, "at once")])
def test_ctrl_c_ends_a_run_that_still_waits_for_its_first_kernel(project, times, told):
    make(project, {"one": ["1"], "two": ["2"]})
    silent = "import os, pathlib, time\npathlib.Path(PLACE).write_text(str(os.getpid()))\ntime.sleep(600)\n"
    (project / "silent.py").write_text(silent.replace("PLACE", repr(str(project / "importing"))), encoding="utf-8")
    code = PRESSED.replace("TIMES", str(times)).replace('"silent.py"', repr(str(project / "silent.py")))
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, encoding="utf-8", check=False)
    assert done.stdout.split("\n")[1] == told, done.stderr
    assert time.monotonic() - begin < 15
    warm = int((project / "importing").read_text(encoding="utf-8"))
    assert gone(lambda: psutil.pid_exists(warm))
    assert gone(lambda: recorded_kernels(project))
    if times == 1:
        assert {one.state for one in latest_run("small").outcomes} == {"cancelled"}
        assert error_of(project / "outputs" / "failed" / "small", "10_one")[1:3] == (
            "KeyboardInterrupt",
            "stopped by hand",
        )


def stopped(folder):
    assert read_manifest(folder)["state"] == "ok"
    os.kill(os.getpid(), signal.SIGINT)


def without_report(folder):
    raise ProjectError("no report")


@pytest.mark.parametrize(("finish", "state", "code"), [(stopped, "cancelled", 130), (without_report, "failed", 1)])
def test_manifest_events_and_exit_code_say_the_same_of_a_run_whose_report_was_not_built(project, finish, state, code):
    make(project, {"one": ["1"]})
    report = run_study("small", finish=finish)
    assert (report.state, report.exit_code) == (state, code)
    assert report.folder == project / "outputs" / "failed" / "small"
    log, manifest = latest_run("small"), read_manifest(report.folder)
    assert (log.state, log.exit_code) == (state, code)
    assert manifest["state"] == state
    assert manifest["steps"]["one"]["state"] == "ok"


def test_a_second_run_of_a_study_is_refused_and_the_first_goes_on(project):
    make(project, {"wait": ["import os, pathlib, time\nwhile not pathlib.Path('go').exists(): time.sleep(0.05)"]})
    process = start(project)
    wait_for(lambda: lock.is_held("small") and (project / "outputs" / ".staging" / "small" / EVENTS).exists())
    assert latest_run("small").state == "running"
    with pytest.raises(StudyError, match=rf"'small' is being run already by process {process.pid}, since \d{{4}}-"):
        run_study("small")
    second = start(project)
    told, _ = second.communicate(timeout=60)
    assert second.returncode == 2
    assert "being run already" in told
    (project / "go").touch()
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 0, told
    assert latest_run("small").state == "ok"


def test_a_lock_file_without_a_holder_blocks_nobody(project):
    make(project, {"one": ["1"]})
    lock.lock_file("small").parent.mkdir(parents=True)
    lock.lock_file("small").write_text('{"pid": 1, "since": "2001-01-01T00:00:00+00:00"}', encoding="utf-8")
    assert not lock.is_held("small")
    assert run_study("small").exit_code == 0


def test_looking_whether_a_study_runs_never_keeps_it_from_running(project):
    for _ in range(50):
        with lock.holding("small"):
            assert lock.is_held("small")
        assert not lock.is_held("small")


def test_a_kernel_that_outlived_its_runner_is_ended_before_the_next_run_begins(project):
    make(project, {"one": ["1"]})
    left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    try:
        folder = project / "outputs" / ".staging" / "small"
        folder.mkdir(parents=True)
        with EventLog(folder / EVENTS) as log:
            log.run("small", 41, {"one": 2}, jobs=1, kernel="plain")
            log.started("one", 2)
            log.kernel("one", left.pid)
        text = (folder / EVENTS).read_text(encoding="utf-8")
        # A process with the number of a kernel but born at another time is somebody else's.
        stranger = json.dumps({"seq": 4, "event": "kernel", "step": "one", "pid": other.pid, "born": 12.0})
        (folder / EVENTS).write_text(text + stranger + "\n", encoding="utf-8")
        report = run_study("small")
        assert left.wait(timeout=5) == -9
        assert other.poll() is None
        log = read_events(report.folder / EVENTS)
        assert log.number == 42
        assert log.notes == ("run 41 was killed; what it had finished is taken from the cache",)
    finally:
        left.kill()
        other.kill()
        left.wait()
        other.wait()


#: Stands for a kernel: starts a program and ends.
STARTER = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid)"


@pytest.mark.skipif(sys.platform == "win32", reason="processes come in groups on Unix only")
def test_what_a_kernel_that_is_gone_had_started_is_ended_before_the_next_run_begins(project):
    make(project, {"one": ["1"]})
    begin, programs = time.time(), {}
    # Programs of a kernel know the run; a group that has the number of an ended one does not.
    for further in ({"EVALUATION_RUN": str(project / "outputs" / ".staging" / "small")}, {}):
        gone_by_now = subprocess.Popen(
            [sys.executable, "-c", STARTER],
            env={**os.environ, **further},
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        programs[gone_by_now.pid] = psutil.Process(int(gone_by_now.stdout.readline()))
        gone_by_now.wait()
        gone_by_now.stdout.close()
    of_notebook, of_others = programs.values()
    try:
        folder = project / "outputs" / ".staging" / "small"
        folder.mkdir(parents=True)
        with EventLog(folder / EVENTS) as log:
            log.run("small", 41, {"one": 2}, jobs=1, kernel="plain")
        with (folder / EVENTS).open("a", encoding="utf-8") as file:
            for pid in programs:
                file.write(json.dumps({"seq": 4, "event": "kernel", "step": "one", "pid": pid, "born": begin}) + "\n")
        run_study("small")
        assert gone(lambda: of_notebook.is_running() and of_notebook.status() != psutil.STATUS_ZOMBIE, 1)
        assert of_others.is_running()
    finally:
        for program in (of_notebook, of_others):
            if program.is_running():
                program.kill()


def test_a_torn_last_line_is_passed_over_and_the_rest_is_read(project):
    folder = project / "outputs" / "failed" / "small"
    folder.mkdir(parents=True)
    failure = Failure(4, "ValueError", "no\nnumber 서울")
    outcome = StepOutcome("a", "10_a", "failed", 3, 5, 1.25, failure, (CellWarning("W", "w", 2),), (), "", 1234)
    with EventLog(folder / EVENTS) as log:
        log.run("small", 3, {"a": 5, "b": 2, "c": 1}, jobs=2, kernel="forked")
        log.started("a", 5, ["never run"])
        log.started("b", 2)
        log.cell("a", 3, 5)
        log.cell("b", 1, 2)
        log.ended(outcome)
        log.note("a note")
        log.cell("b", 2, 2)
    text = (folder / EVENTS).read_bytes()
    whole = read_events(folder / EVENTS)
    assert whole.outcomes == (outcome,)
    assert (whole.state, whole.exit_code, whole.notes, whole.why["a"]) == ("dead", None, ("a note",), ("never run",))
    assert (whole.running["b"].done, whole.last) == (2, 8)
    last = len(text.splitlines()[-1])
    for torn in (1, 2, last // 2, last):
        (folder / EVENTS).write_bytes(text[:-torn])
        log = read_events(folder / EVENTS)
        assert (log.outcomes, log.running["b"].done) == ((outcome,), 2 if torn == 1 else 1)
    (folder / EVENTS).write_bytes(text[:20])
    assert (project / "outputs" / "failed").exists()
    with pytest.raises(ProjectError, match="does not say which run"):
        read_events(folder / EVENTS)


def test_events_are_read_in_their_order_though_the_clock_is_put_back(project, monkeypatch):
    make(project, WAVES, NEEDS)
    now = [2e9]

    def backwards():
        now[0] -= 1000
        return now[0]

    assert run_study("small", jobs=2).exit_code == 0
    first = contents(project / "outputs" / "small")
    monkeypatch.setattr(time, "time", backwards)
    report = run_study("small", jobs=2, use_cache=False)
    monkeypatch.undo()
    monkeypatch.setenv("EVALUATION_PROJECT", str(project))
    assert report.exit_code == 0
    assert contents(report.folder) == first
    lines = [json.loads(line) for line in (report.folder / EVENTS).read_text(encoding="utf-8").splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    elapsed = [line["elapsed"] for line in lines]
    assert elapsed == sorted(elapsed)
    log = latest_run("small")
    assert log.number == 2
    assert all(0 < one.seconds < 120 for one in log.outcomes)


def test_what_people_added_to_a_run_stays_when_the_next_takes_its_place(project):
    make(project, {"one": ["1"]})
    report = run_study("small")
    (report.folder / "signoff.yml").write_text("who: 김\n", encoding="utf-8")
    (report.folder / "errata.csv").write_text("date\n", encoding="utf-8")
    (report.folder / "stray.txt").write_text("goes\n", encoding="utf-8")
    assert run_study("small").folder == report.folder
    assert (report.folder / "signoff.yml").read_text(encoding="utf-8") == "who: 김\n"
    assert (report.folder / "errata.csv").is_file()
    assert not (report.folder / "stray.txt").exists()


def test_outputs_that_cannot_be_written_are_told_before_anything_runs(project):
    make(project, {"one": ["1"]})
    (project / "outputs").rmdir()
    (project / "outputs").write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(StudyError, match=r"cannot write to outputs/ \(.*Make the folder writable"):
        run_study("small")


def test_many_steps_cost_no_more_each_than_few(project, monkeypatch):
    make(project, {"one": ["1"]})
    steps = tuple(
        PlannedStep(f"s{n}", "10_one", (f"s{n - 1}",) if n % 10 else (), {}, {}, cells=1) for n in range(10_000)
    )
    plan = Plan(read_study("small"), steps)
    monkeypatch.setattr(Batch, "_step", lambda batch, step: StepOutcome(step.name, step.output, "ok"))
    log = EventLog(Path(os.devnull))
    begin = time.monotonic()
    cache = Cache(project / "outputs" / ".cache" / "small", plan)
    batch = Batch(plan, project, Teller(log, None), cache, None, Interrupts(), Settings(jobs=2))
    outcomes = batch.run()
    log.close()
    assert {outcome.state for outcome in outcomes} == {"ok"}
    assert len(outcomes) == 10_000
    assert time.monotonic() - begin < 20
