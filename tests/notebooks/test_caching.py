"""Which steps of a small study run again after a change, with real kernels: those that rest on what changed."""

import hashlib
import json
import os
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

from evaluation.specification import read_study
from evaluation.study.cache import Cache
from evaluation.study.events import read_events
from evaluation.study.manifest import read_manifest
from evaluation.study.plan import plan_study
from evaluation.study.run import run_study

made = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "handmade_projects.py")))
STUDY = """
study: small
title: {ko: 작은 연구, en: A small study}
question: {ko: 무엇을?, en: What?}
survey: small
headline: main
parameters: {upper: 5.0}
designs:
  main: {sample: all}
steps:
  profile: {notebook: 10_profile}
  weighting: {notebook: 20_weighting, needs: [profile]}
  report: {notebook: 50_report, needs: [weighting]}
"""
PUBLISH = """
import json, os, pathlib
def publish(name, text):
    run, step = pathlib.Path(os.environ["EVALUATION_RUN"]), os.environ["EVALUATION_STEP"]
    for folder in ("estimates", "published"):
        (run / folder).mkdir(exist_ok=True)
    (run / "estimates" / f"{name}.json").write_text(text, encoding="utf-8")
    line = json.dumps({"name": name, "files": [f"estimates/{name}.json"]})
    (run / "published" / f"{step}.jsonl").write_text(line + "\\n", encoding="utf-8")
def published(name):
    return (pathlib.Path(os.environ["EVALUATION_RUN"]) / "estimates" / f"{name}.json").read_text(encoding="utf-8")
"""
CELLS = {
    "10_profile": [
        "from own.publishing import publish, pathlib",
        "from own.profiling import described",
        "publish('ages', described(pathlib.Path('surveys/small/data.csv').read_text(encoding='utf-8')))",
    ],
    "20_weighting": [
        "from own.publishing import publish, published",
        "def weighted():\n    from own.raking import raked\n    return raked(published('ages'), upper)",
        "publish('weights', weighted())",
    ],
    "50_report": [
        "from own.publishing import publish, published",
        "publish('table', published('weights') + ' in a table')",
    ],
}
MODULES = {
    "own/__init__.py": "",
    "own/publishing.py": PUBLISH,
    "own/profiling.py": "def described(text):\n    return str(text.count('\\n'))\n",
    "own/raking.py": "def raked(text, upper):\n    return f'{text} at most {upper}'\n",
    "surveys/small/data.csv": "a\n1\n",
    "surveys/small/survey.yml": "id: small\n",
    "params/small.yml": STUDY,
    "requirements.lock": "nothing\n",
    "pyproject.toml": "[tool.evaluation]\n",
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of three steps with modules and data of their own, all of an hour ago."""
    root = tmp_path / "project"
    (root / "outputs").mkdir(parents=True)
    for file, text in MODULES.items():
        save(root / file, text)
    for stem in CELLS:
        notebook(root, stem)
    monkeypatch.setenv("EVALUATION_PROJECT", str(root))
    monkeypatch.delenv("EVALUATION_RUN", raising=False)
    return root


def save(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def notebook(root, stem, more=()):
    declared = "upper: float = 1.0" if stem == "20_weighting" else ""
    made.save_notebook(root, stem, [*CELLS[stem], *more], declared)


def ran(**options):
    """Run the study; return what became of each step, and why those ran that did."""
    report = run_study("small", **options)
    log = read_events(report.folder / "events.jsonl")
    return {outcome.step: outcome.state for outcome in report.outcomes}, {
        step: why for step, why in log.why.items() if why
    }


def previews(root):
    cache = Cache(root / "outputs" / ".cache" / "small", plan_study(read_study("small", resolved=False)))
    return {preview.step: (preview.state, preview.why) for preview in cache.preview()}


def contents(folder):
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "events.jsonl")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


CACHED = {"profile": "cached", "weighting": "cached", "report": "cached"}


def test_only_what_rests_on_a_change_runs_again_and_says_why(project):
    never = dict.fromkeys(CACHED, ("never run",))
    assert ran() == (dict.fromkeys(CACHED, "ok"), never)
    good = project / "outputs" / "small"
    first = contents(good)
    assert json.loads(first["manifest.json"])["state"] == "ok"
    assert first["estimates/table.json"] == b"2 at most 5.0 in a table"

    assert ran() == (CACHED, {})
    assert contents(good) == first
    assert ran(kernel="plain", only=["weighting"])[0] == {"profile": "cached", "weighting": "cached"}

    save(project / "own" / "profiling.py", MODULES["own/profiling.py"] + "# a remark\n")
    told = ("own/profiling.py changed",)
    assert previews(project) == {
        "profile": ("run", told),
        "weighting": ("depends", ("depends on profile",)),
        "report": ("depends", ("depends on weighting",)),
    }
    # The same bytes come out: what needs them is left alone.
    assert ran() == (CACHED | {"profile": "ok"}, {"profile": told})
    assert contents(good) == first

    save(project / "own" / "raking.py", MODULES["own/raking.py"].replace("at most", "up to"))
    states, why = ran()
    assert states == {"profile": "cached", "weighting": "ok", "report": "ok"}
    assert why == {
        "weighting": ("own/raking.py changed",),
        "report": ("estimates of weighting changed: weights",),
    }

    save(project / "surveys" / "small" / "data.csv", "a\n1\n2\n")
    states, why = ran()
    assert states == dict.fromkeys(CACHED, "ok")
    assert why["profile"] == ("surveys/small/data.csv changed",)
    assert why["weighting"] == ("estimates of profile changed: ages",)

    states, why = ran(overrides={"upper": "4"})
    assert states == {"profile": "cached", "weighting": "ok", "report": "ok"}
    assert why["weighting"] == ("parameter upper: 5.0 -> 4.0",)
    # Both sets of parameters are kept.
    assert ran()[0] == CACHED
    assert ran(overrides={"upper": "4"})[0] == CACHED
    assert ran(use_cache=False)[0] == dict.fromkeys(CACHED, "ok")


def test_a_module_that_shadows_another_and_a_damaged_result_make_a_step_run(project):
    ran()
    save(project / "own" / "raking" / "__init__.py", MODULES["own/raking.py"])
    states, why = ran()
    assert states == {"profile": "cached", "weighting": "ok", "report": "cached"}
    assert why == {"weighting": ("own/raking/__init__.py is new and would be imported as raking",)}
    [entry] = (project / "outputs" / ".cache" / "small" / "profile").iterdir()
    (entry / "files" / "estimates" / "ages.json").write_text("9", encoding="utf-8")
    before = contents(project / "outputs" / "small")
    states, why = ran()
    assert states == CACHED | {"profile": "ok"}
    assert why == {"profile": ("what was kept of it is damaged",)}
    assert contents(project / "outputs" / "small") == before


def test_data_that_change_while_the_study_runs_fail_the_step_that_read_the_other_content(project):
    reads = "pathlib.Path('surveys/small/data.csv').read_text(encoding='utf-8')"
    notebook(project, "50_report", ["import pathlib", reads])

    def change(progress):
        if (progress.step, progress.state) == ("profile", "ok"):
            save(project / "surveys" / "small" / "data.csv", "a\n3\n")

    report = run_study("small", progress=change)
    states = {outcome.step: outcome.state for outcome in report.outcomes}
    assert states == {"profile": "ok", "weighting": "ok", "report": "failed"}
    [failure] = [outcome.failure for outcome in report.outcomes if outcome.failure]
    assert failure.error == "SourceError"
    assert failure.message == (
        "surveys/small/data.csv changed while the study ran (step profile read it before). "
        "Nothing of this step is taken for good. Run again."
    )
    assert not (project / "outputs" / "small").exists()
    states, why = ran()
    assert states == {"profile": "ok", "weighting": "cached", "report": "ok"}
    assert why["profile"] == ("surveys/small/data.csv changed",)


def test_data_that_change_after_the_last_step_that_read_them_fail_the_run(project):
    def change(progress):
        if (progress.step, progress.state) == ("report", "ok"):
            save(project / "surveys" / "small" / "data.csv", "a\n3\n")

    report = run_study("small", progress=change)
    assert {outcome.step: outcome.state for outcome in report.outcomes} == {
        "profile": "failed",
        "weighting": "ok",
        "report": "ok",
    }
    assert report.outcomes[0].failure.line.startswith("SourceError: surveys/small/data.csv changed while the study ran")
    assert report.exit_code == 1
    assert not (project / "outputs" / "small").exists()


def test_a_step_that_asks_another_process_is_never_cached(project):
    notebook(project, "50_report", ["import subprocess, sys", "subprocess.run([sys.executable, '-c', '']).returncode"])
    ran()
    report = run_study("small")
    assert {outcome.step: outcome.state for outcome in report.outcomes} == CACHED | {"report": "ok"}
    notes = read_events(report.folder / "events.jsonl").notes
    assert any("report is not kept: it reaches for other processes" in note for note in notes)


def test_a_kernel_that_is_killed_leaves_nothing_in_the_cache(project):
    notebook(project, "20_weighting", ["import os; os._exit(9)"])
    assert ran()[0] == {"profile": "ok", "weighting": "died", "report": "blocked"}
    assert sorted(os.listdir(project / "outputs" / ".cache" / "small")) == ["profile"]
    notebook(project, "20_weighting")
    assert ran()[0] == {"profile": "cached", "weighting": "ok", "report": "ok"}


def test_a_notebook_or_a_module_that_changes_while_the_study_runs_makes_it_no_good_run(project):
    def change(progress):
        if (progress.step, progress.state) == ("profile", "ok"):
            notebook(project, "10_profile", ["1"])

    before = hashlib.sha256((project / "notebooks" / "10_profile.ipynb").read_bytes()).hexdigest()
    report = run_study("small", progress=change)
    assert (report.state, report.exit_code) == ("failed", 1)
    assert report.problem.startswith("notebooks/10_profile.ipynb changed while the study ran")
    named = {entry["file"]: entry["sha256"] for entry in read_manifest(report.folder)["inputs"]}
    assert named["notebooks/10_profile.ipynb"] == before
    assert not (project / "outputs" / "small").exists()

    def change_code(progress):
        if (progress.step, progress.state) == ("profile", "ok"):
            save(project / "own" / "publishing.py", MODULES["own/publishing.py"] + "# a remark\n")

    report = run_study("small", progress=change_code)
    assert report.problem.startswith("own/publishing.py changed while the study ran")
    assert ran()[0]["report"] in ("ok", "cached")
