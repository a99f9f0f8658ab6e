"""Studies of small notebooks, run for real: one kernel per notebook."""

import json
import os
import runpy
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from evaluation import project as settings
from evaluation.errors import PublishError
from evaluation.study import batch as running
from evaluation.study.manifest import read_manifest
from evaluation.study.run import run_study

made = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "handmade_projects.py")))
make, executed, states = made.make, made.executed, made.states


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project without notebooks; ``make`` fills it."""
    root = made.lay_out(tmp_path / "project with {braces}")
    generated = root / "surveys" / "small" / "generated"
    generated.mkdir()
    (generated / "cache.txt").write_text("cache\n", encoding="utf-8")
    monkeypatch.setenv("EVALUATION_PROJECT", str(root))
    monkeypatch.delenv("EVALUATION_RUN", raising=False)
    return root


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


PUBLISH = """
import json, os, pathlib
run, step = pathlib.Path(os.environ["EVALUATION_RUN"]), os.environ["EVALUATION_STEP"]
(run / "tables").mkdir(exist_ok=True); (run / "published").mkdir(exist_ok=True)
(run / "tables" / f"{NAME}.csv").write_text("a,b\\n1,2\\n", encoding="utf-8")
line = json.dumps({"name": NAME, "files": [f"tables/{NAME}.csv"]})
(run / "published" / f"{step}.jsonl").write_text(line + "\\n", encoding="utf-8")
"""


def test_a_good_run_twice_gives_the_same_bytes_and_shows_no_absolute_path(project):
    noisy = """
import os, sys, warnings
warnings.warn("few units in 강남", FutureWarning)
print(os.environ["EVALUATION_RUN"], os.environ["EVALUATION_PROJECT"] + "/params")
sys.stderr.write("later\\n"); print("after")
"""
    label = 'label: str = "none"\nupper: float = 5.0  # multiple of the median weight'
    cells = (label, ["label, upper", "import os; os.environ['PYTHONHASHSEED'], os.environ['OMP_NUM_THREADS']", noisy])
    make(
        project,
        {"profile": cells, "report": ["NAME = 'numbers'", PUBLISH, "study, lang"]},
        parameters={"label": "서울 \"강남\" 'x'", "upper": 4, "lang": "ko"},
    )
    before = dict(os.environ)
    events = []
    report = run_study("small", progress=events.append, finish=lambda run: (run / "report").mkdir())
    assert report.exit_code == 0, report.outcomes
    assert os.environ == before
    good = project / "outputs" / "small"
    assert report.folder == good
    assert (good / "report").is_dir()
    first = contents(good / "notebooks")
    assert set(first) == {"10_profile.ipynb", "20_report.ipynb"}

    notebook = executed(good, "10_profile")
    injected = next(cell for cell in notebook.cells if "injected-parameters" in cell.metadata.get("tags", []))
    assert injected.id == "injected-parameters"
    assert injected.source.splitlines()[1:] == [
        'study = "small"',
        'lang = "ko"',
        "label = '서울 \"강남\" \\'x\\''",
        "upper = 4.0",
    ]
    assert notebook.cells[2].outputs[0].data["text/plain"] == "('서울 \"강남\" \\'x\\'', 4.0)"
    assert notebook.cells[3].outputs[0].data["text/plain"] == "('0', '1')"
    assert notebook.metadata.papermill.status == "ok"
    assert set(notebook.metadata.papermill) == {"parameters", "status"}
    assert all("papermill" not in cell.metadata and "execution" not in cell.metadata for cell in notebook.cells)
    streams = {output.name: output.text for output in notebook.cells[4].outputs}
    assert streams["stdout"] == "outputs/small ./params\nafter\n"
    assert "encryption" not in streams["stderr"]

    manifest = read_manifest(good)
    text = (good / "manifest.json").read_text(encoding="utf-8")
    everything = "".join(content.decode("utf-8") for content in first.values()) + text
    for hidden in (str(project), str(Path.home()), str(good), "ipykernel_"):
        assert hidden not in everything
    assert manifest["state"] == "ok"
    assert manifest["complete"] is True
    assert [entry["file"] for entry in manifest["inputs"]] == [
        "notebooks/10_profile.ipynb",
        "notebooks/20_report.ipynb",
        "params/small.yml",
        "surveys/small/survey.yml",
    ]
    assert manifest["git"] is None
    assert manifest["versions"]["pandas"]
    profile = manifest["steps"]["profile"]
    assert profile["parameters"] == {"study": "small", "lang": "ko", "label": "서울 \"강남\" 'x'", "upper": 4.0}
    assert profile["warnings"] == [{"category": "FutureWarning", "message": "few units in 강남", "cell": 5}]
    assert not any("second" in key or "time" in key for key in profile)
    [output] = manifest["steps"]["report"]["outputs"]
    assert (output["name"], output["file"]) == ("numbers", "tables/numbers.csv")
    assert len(output["sha256"]) == 64
    assert not (good / "published").exists()
    assert json.loads((good / "study.json").read_text(encoding="utf-8"))["parameters"]["upper"] == 4.0
    assert [event.done for event in events if event.step == "profile"] == [0, 1, 2, 3, 4, 5, 5]

    assert run_study("small").exit_code == 0
    assert contents(good / "notebooks") == first
    assert [path.name for path in (project / "outputs" / ".staging").iterdir()] == ["small.lock"]


def test_what_fails_is_told_apart_and_leaves_the_good_old_outputs_alone(project):
    make(
        project,
        {
            "error": ["1 + 1", "import os; raise ValueError(os.environ['EVALUATION_RUN'] + ' is no number')", "3"],
            "exit": ["raise SystemExit(0)", "2"],
            "quit": ["exit()", "2"],
            "death": ["import os; os._exit(1)", "2"],
            "slow": [("import time; time.sleep(60)", ["timeout-1"]), "2"],
            "blocked": ["1"],
            "further": ["1"],
            "fine": ["1 + 1"],
        },
        needs={"blocked": ["error", "fine"], "further": ["blocked"]},
    )
    good = project / "outputs" / "small"
    (good / "tables").mkdir(parents=True)
    (good / "tables" / "old.csv").write_text("old\n", encoding="utf-8")
    old = contents(good), (good / "tables" / "old.csv").stat().st_mtime_ns

    report = run_study("small", jobs=3, finish=lambda run: pytest.fail("a failed run is not finished"))

    assert states(report) == {
        "error": "failed",
        "exit": "stopped-early",
        "quit": "stopped-early",
        "death": "died",
        "slow": "timed-out",
        "blocked": "blocked",
        "further": "blocked",
        "fine": "ok",
    }
    assert report.exit_code == 1
    assert (contents(good), (good / "tables" / "old.csv").stat().st_mtime_ns) == old
    failed = project / "outputs" / "failed" / "small"
    assert report.folder == failed
    assert sorted(path.name for path in (failed / "notebooks").iterdir()) == [
        "10_error.ipynb",
        "20_exit.ipynb",
        "30_quit.ipynb",
        "40_death.ipynb",
        "50_slow.ipynb",
        "80_fine.ipynb",
    ]
    outcome = report.outcomes[0]
    assert (outcome.done, outcome.cells, outcome.failure.cell) == (3, 5, 4)
    assert outcome.failure.line == "ValueError: outputs/small is no number"
    notebook = executed(failed, "10_error")
    assert notebook.cells[2].outputs[0].data["text/plain"] == "2"
    [error] = notebook.cells[3].outputs
    assert (error.ename, len(error.traceback) > 1) == ("ValueError", True)
    assert notebook.cells[3].metadata.papermill.status == "failed"
    assert notebook.cells[4].metadata.papermill.status == "not-run"
    assert str(project) not in (failed / "notebooks" / "10_error.ipynb").read_text(encoding="utf-8")
    for name, expected in {
        "20_exit": "SystemExit",
        "40_death": "DeadKernelError",
        "50_slow": "CellTimeoutError",
    }.items():
        [error] = [output for output in executed(failed, name).cells[2].outputs if output.output_type == "error"]
        assert error.ename == expected
    blocked = {name: entry["blocked_by"] for name, entry in read_manifest(failed)["steps"].items()}
    assert blocked["blocked"] == ["error"]
    assert blocked["further"] == ["blocked"]


def test_independent_steps_run_at_the_same_time_and_needs_are_waited_for(project):
    wait = """
import os, pathlib, time
folder = pathlib.Path(os.environ["EVALUATION_RUN"])
(folder / MINE).touch()
end = time.monotonic() + 60
while not (folder / OTHER).exists() and time.monotonic() < end: time.sleep(0.05)
assert (folder / OTHER).exists(), "the other step did not run at the same time"
"""
    make(
        project,
        {
            "last": ["import os, pathlib; len(list(pathlib.Path(os.environ['EVALUATION_RUN']).glob('*.sign')))"],
            "left": ["MINE, OTHER = 'left.sign', 'right.sign'", wait],
            "right": ["MINE, OTHER = 'right.sign', 'left.sign'", wait],
        },
        needs={"last": ["left", "right"]},
    )
    report = run_study("small", jobs=2)
    assert set(states(report).values()) == {"ok"}, report.outcomes
    assert executed(report.folder, "10_last").cells[2].outputs[0].data["text/plain"] == "2"


def test_a_stopped_run_ends_its_kernels_and_says_cancelled(project, monkeypatch):
    make(
        project,
        {
            "endless": ["import os; open('pid', 'w').write(str(os.getpid()))", "import time; time.sleep(600)"],
            "later": ["1"],
        },
        needs={"later": ["endless"]},
    )
    collect = running.Batch._collect

    def interrupted(batch, steps):
        asked = batch.interrupts.requested
        if not asked and (project / "pid").exists() and (project / "pid").read_text(encoding="utf-8"):
            signal.raise_signal(signal.SIGINT)
        collect(batch, steps)

    monkeypatch.setattr(running.Batch, "_collect", interrupted)
    report = run_study("small")
    assert states(report) == {"endless": "cancelled", "later": "cancelled"}
    assert report.exit_code == 130
    assert report.folder == project / "outputs" / "failed" / "small"
    assert not alive(int((project / "pid").read_text(encoding="utf-8")))


def alive(pid):
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.1)
    return True


def test_two_steps_that_publish_the_same_file_fail(project):
    make(project, {"one": ["NAME = 'n'", PUBLISH], "two": ["NAME = 'n'", PUBLISH]})
    report = run_study("small")
    assert states(report) == {"one": "ok", "two": "failed"}
    assert report.outcomes[1].failure.line.startswith("PublishError: step 'one' publishes tables/n.csv too")


def test_a_part_of_a_study_never_replaces_the_whole_and_a_report_that_fails_fails_the_run(project):
    make(project, {"one": ["1"], "two": ["2"], "three": ["3"]}, needs={"two": ["one"]})
    report = run_study("small", only=["two"], finish=lambda run: pytest.fail("a part has no report"))
    assert states(report) == {"one": "ok", "two": "ok"}
    assert report.folder == project / "outputs" / "partial" / "small"
    assert not (project / "outputs" / "small").exists()

    def refuse(run):
        raise PublishError("no figure")

    report = run_study("small", finish=refuse, into=project / "elsewhere")
    assert (report.exit_code, report.problem) == (1, "PublishError: no figure")
    assert report.folder == project / "elsewhere"
    assert not (project / "outputs" / "small").exists()


def test_progress_is_never_told_twice_at_once(project):
    make(project, {"one": ["1"] * 5, "two": ["2"] * 5})
    busy = threading.Lock()

    def slow(event):
        assert busy.acquire(blocking=False)
        time.sleep(0.02)
        busy.release()

    assert run_study("small", jobs=2, progress=slow).exit_code == 0


def test_a_kernel_that_does_not_start_is_told_with_its_last_words(project, monkeypatch):
    make(project, {"one": ["1"]})
    monkeypatch.setitem(settings.KERNEL_SETTINGS, "PYTHONHOME", "nowhere")
    report = run_study("small")
    assert states(report) == {"one": "died"}
    failure = report.outcomes[0].failure
    assert failure.line.startswith("DeadKernelError: the kernel did not start")
    assert "encodings" in failure.message
    assert executed(report.folder, "10_one").cells[0].outputs[0].ename == "DeadKernelError"
