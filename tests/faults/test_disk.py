"""A disk that is full, or that can only be read: told, nothing that stood there is lost, and afterwards it goes on."""

import os
import shutil
import subprocess

import pytest


def publish(size):
    """Return a cell that publishes three files of so many bytes."""
    return f"""
import json, os, pathlib
run, step = pathlib.Path(os.environ["EVALUATION_RUN"]), os.environ["EVALUATION_STEP"]
files = [f"tables/{{step}}.csv", f"estimates/{{step}}.json", f"figures/{{step}}.svg"]
for file in files:
    (run / file).parent.mkdir(exist_ok=True)
    (run / file).write_text("{{}}" + " " * {size}, encoding="utf-8")
(run / "published").mkdir(exist_ok=True)
line = json.dumps({{"name": step, "files": files}})
(run / "published" / f"{{step}}.jsonl").write_text(line + "\\n", encoding="utf-8")
"""


NEEDS = {"third": ["second"]}


def nothing_half_written(project):
    """Every entry of the cache is whole, and no unfinished file stands in a run."""
    unfinished = [file for file in project.files("outputs") if file.endswith(".part")]
    entries = {path.parent for path in (project.outputs / ".cache").rglob("entry.json")}
    return unfinished == [] and all((entry / "files").is_dir() for entry in entries)


@pytest.mark.mounts
def test_a_disk_that_fills_while_a_study_runs_loses_nothing_and_the_study_goes_on_with_space(
    project, tmp_path, small_disk
):
    project.make({"first": ["1", publish(10)], "second": [publish(10)], "third": ["1"]}, NEEDS)
    assert project.run()[0] == 0
    before = project.files("outputs/small")

    project.make({"first": ["1", publish(10)], "second": ["2", publish(1_100_000)], "third": ["1"]}, NEEDS)
    code, told = project.run()
    assert code in (1, 2)
    assert "No space left on device. The disk is full: free some space, then run again" in told
    assert "outputs/small was not touched" in told
    assert project.files("outputs/small") == before
    assert nothing_half_written(project)

    small_disk("size=30m")
    code, told = project.run()
    assert code == 0, told
    assert "first cached" in told
    assert set(project.states("small").values()) == {"ok"}
    assert (project.outputs / "small" / "tables" / "second.csv").stat().st_size == 1_100_002
    assert nothing_half_written(project)


@pytest.mark.mounts
def test_a_disk_that_is_full_from_the_start_is_told_by_name_with_the_next_move(project, tmp_path, small_disk):
    project.make({"first": ["1", publish(11)], "second": [publish(10)]})
    project.write("outputs/small/tables/first.csv", "of last year\n")
    before = project.files("outputs/small")
    for left in (0, 28_000):
        state = os.statvfs(project.outputs)
        ballast = project.outputs / "ballast"
        ballast.write_bytes(b"x" * (state.f_bavail * state.f_bsize - left))
        code, told = project.run()
        assert code in (1, 2), told
        assert "No space left on device" in told
        assert "ree some space" in told
        assert project.files("outputs/small") == before
        ballast.unlink()
    code, told = project.run()
    assert code == 0, told
    assert (project.outputs / "small" / "tables" / "first.csv").read_text(encoding="utf-8") == "{}" + " " * 11
    assert nothing_half_written(project)


@pytest.mark.mounts
def test_outputs_that_can_only_be_read_are_told_before_anything_runs_and_can_still_be_looked_at(
    project, tmp_path, small_disk
):
    project.make({"first": [publish(10)]})
    assert project.run()[0] == 0
    before = project.files("outputs")
    small_disk("ro")
    code, _, err = project.tell("run", "small")
    assert code == 2
    assert err.strip() == (
        "StudyError: a run of 'small' cannot write to outputs/ (Read-only file system: outputs/.staging/small.lock). "
        "Make the folder writable, or free some space, then run again."
    )
    for look in ("plan", "status"):
        code, out, err = project.tell(look, "small")
        assert (code, err) == (0, ""), err
        assert "first" in out
    small_disk("rw")
    assert project.files("outputs") == before


#: Takes from root what lets it pass over the modes of files.
WITHOUT_PRIVILEGE = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps=-all")


def test_outputs_that_nobody_may_write_are_told_before_anything_runs(project):
    prefix = ()
    if not hasattr(os, "geteuid"):
        pytest.skip("modes of folders hold nobody back here")
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None or subprocess.run([*WITHOUT_PRIVILEGE, "true"]).returncode:
            pytest.skip("root passes over modes, and there is no setpriv to take that from it")
        prefix = WITHOUT_PRIVILEGE
    project.make({"first": ["1"]})
    project.outputs.chmod(0o555)
    try:
        code, _, err = project.tell("run", "small", prefix=prefix)
    finally:
        project.outputs.chmod(0o755)
    assert code == 2
    assert "StudyError: a run of 'small' cannot write to outputs/ (Permission denied: outputs/.staging" in err
    assert "Make the folder writable, or free some space, then run again." in err
    assert list(project.outputs.iterdir()) == []
