import json
import subprocess
from dataclasses import replace

import pytest

from evaluation.errors import ProjectError, StudyError
from evaluation.specification import read_study
from evaluation.study.events import EVENTS, EventLog, read_events
from evaluation.study.manifest import git_state, log_fault, outcomes_of, read_manifest, state_of, write_manifest
from evaluation.study.plan import plan_study
from evaluation.study.staging import Staging, require_free
from evaluation.study.states import GOOD, STATES, CellWarning, Failure, StepOutcome


def outcomes(*states):
    return [StepOutcome(f"s{number}", f"1{number}_s", state) for number, state in enumerate(states)]


def test_the_state_of_a_run_is_that_of_its_worst_step():
    assert state_of(outcomes("ok", "ok")) == "ok"
    assert state_of(outcomes("ok", "cancelled", "failed")) == "cancelled"
    for state in set(STATES) - {*GOOD, "cancelled"}:
        assert state_of(outcomes("ok", state)) == "failed"


def test_a_manifest_gives_back_what_became_of_each_step_and_hashes_what_was_published(project):
    plan = plan_study(read_study("small", resolved=False))
    folder = project.root / "outputs" / "small"
    (folder / "published").mkdir(parents=True)
    (folder / "tables").mkdir()
    for name in ("b", "a", "stray"):
        (folder / "tables" / f"{name}.csv").write_text(name, encoding="utf-8")
    lines = [{"name": "b", "files": ["tables/b.csv"], "title": "나이"}, {"name": "a", "files": ["tables/a.csv"]}]
    log = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    # A line that a full disk cut off says nothing: the rest stands, and the fault is told.
    (folder / "published" / "weighting.jsonl").write_text(log + '{"name": "c", "fi', encoding="utf-8")
    assert "line 3 of published/weighting.jsonl" in log_fault(folder, "weighting")
    assert log_fault(folder, "profile") == ""
    ended = [
        StepOutcome("profile", "10_profile", "ok", 3, 3, 1.5, warnings=(CellWarning("PrecisionWarning", "few", 2),)),
        StepOutcome(
            "weighting", "20_weighting", "failed", 1, 3, 0.5, Failure(2, "ValueError", "a\nb"), (), ("profile",)
        ),
    ]
    write_manifest(folder, plan, ended)
    content = read_manifest(folder)
    assert outcomes_of(content) == [replace(outcome, seconds=0.0) for outcome in ended]
    assert [
        (entry["name"], entry.get("title"), entry["file"]) for entry in content["steps"]["weighting"]["outputs"]
    ] == [
        ("b", "나이", "tables/b.csv"),
        ("a", None, "tables/a.csv"),
    ]
    # SHA-256 of the letter b
    assert content["steps"]["weighting"]["outputs"][0]["sha256"].startswith("3e23e8160039594a33894f6564e1b134")
    assert content["unattributed"] == ["tables/stray.csv"]
    assert not (folder / "published").exists()
    assert str(project.root) not in (folder / "manifest.json").read_text(encoding="utf-8")


def test_a_missing_or_damaged_manifest_says_what_to_do(tmp_path):
    with pytest.raises(ProjectError, match="evaluation run"):
        read_manifest(tmp_path / "small")
    (tmp_path / "manifest.json").write_text("{", encoding="utf-8")
    with pytest.raises(ProjectError, match="is damaged"):
        read_manifest(tmp_path)


def test_the_commit_is_noted_and_whether_anything_differs_from_it(project):
    assert git_state() is None
    who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    for arguments in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "x"]):
        subprocess.run(["git", *arguments], cwd=project.root, check=True)
    state = git_state()
    assert (len(state["commit"]), state["dirty"]) == (40, False)
    (project.root / "params" / "small.yml").write_text("changed", encoding="utf-8")
    assert git_state() == {"commit": state["commit"], "dirty": True}


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_a_run_that_cannot_take_its_place_leaves_the_old_one_as_it_was(tmp_path, monkeypatch):
    staging = Staging("small", tmp_path)
    staging.open()
    write(staging.folder / "new.txt", "new")
    write(tmp_path / "small" / "old.txt", "old")
    replace = staging._replace.__globals__["os"].replace

    def refuse(source, target):
        if source == staging.folder:
            raise PermissionError(13, "in use")
        replace(source, target)

    monkeypatch.setattr("evaluation.study.staging.os.replace", refuse)
    with pytest.raises(StudyError, match=r"cannot take its place \(in use\)"):
        staging.close("ok")
    assert (tmp_path / "small" / "old.txt").read_text(encoding="utf-8") == "old"
    assert not (tmp_path / "small" / "new.txt").exists()


def test_a_good_run_that_was_set_aside_when_the_power_went_is_put_back(tmp_path):
    write(tmp_path / ".staging" / "small.ok.aside" / "old.txt", "old")
    write(tmp_path / ".staging" / "other.ok.aside" / "failed.txt", "failed")
    Staging("small", tmp_path).open()
    assert [path.name for path in (tmp_path / "small").iterdir()] == ["old.txt"]


def test_a_folder_named_for_a_run_must_be_free(tmp_path):
    require_free(tmp_path)
    write(tmp_path / "file", "")
    with pytest.raises(StudyError, match="is not empty"):
        require_free(tmp_path)


def test_the_number_of_a_killed_run_is_known_until_the_next_has_written_its_own(tmp_path):
    staging = Staging("small", tmp_path)
    staging.open()
    with EventLog(staging.folder / EVENTS) as log:
        log.run("small", 41, {"one": 1}, jobs=1, kernel="plain")
        log.note("more")
    write(staging.folder / "tables" / "half.csv", "x")
    staging.open()
    assert [path.name for path in staging.folder.iterdir()] == [EVENTS]
    assert read_events(staging.folder / EVENTS).number == 41
    with EventLog(staging.folder / EVENTS) as log:
        log.run("small", 42, {"one": 1}, jobs=1, kernel="plain")
        log.note("new")
    log = read_events(staging.folder / EVENTS)
    assert (log.number, log.notes, log.last) == (42, ("new",), 2)
    assert [path.name for path in staging.folder.iterdir()] == [EVENTS]
