"""What was kept is taken again only where nothing that it rests on changed; the kernel is played by ``ran``."""

import errno
import hashlib
import json
import os
import shutil
import threading
import time

import nbformat
import pytest

from evaluation import project as settings
from evaluation import recording
from evaluation.errors import CacheDamage
from evaluation.project import LOG
from evaluation.specification import read_study
from evaluation.study import entries, hashes, key
from evaluation.study.cache import Cache
from evaluation.study.events import EVENTS, EventLog
from evaluation.study.hashes import Change, FileHashes, Inputs
from evaluation.study.parameters import read_template
from evaluation.study.plan import plan_study
from evaluation.study.states import CellWarning, StepOutcome

STUDY = """
study: small
title: {ko: 작은 연구, en: A small study}
question: {ko: 무엇을?, en: What?}
survey: small
headline: final
sections: [means]
parameters: {trim_upper: 4, lang: en, by: sex}
designs:
  drawn: {sample: all}
  final:
    from: drawn
    chain:
      - trim_weights: {upper: $trim_upper}
estimates:
  weighting:
    mean: {design: final, verb: survey_mean, variables: x}
steps:
  profile: {notebook: 10_profile}
  weighting: {notebook: 20_weighting, needs: [profile]}
  report: {notebook: 50_report, needs: [weighting]}
"""
COMMON = 'study: str = "small"\nlang: str = "en"'
CELLS = {
    "10_profile": ["by", "1 + 1", ("2 + 2", ["if-means"]), ("3 + 3", ["if-trend"])],
    "20_weighting": ["trim_upper"],
    "50_report": ["lang"],
}
DECLARED = {"10_profile": '\nby: str = "age"', "20_weighting": "\ntrim_upper: float = 5.0"}
DATA, MODULE, ABSENT = "surveys/small/data.csv", "src/own/raking.py", "surveys/small/margins.csv"


class Project:
    """A project whose study is never run; ``ran`` plays its kernels."""

    def __init__(self, root):
        self.root, self.runs = root, 0
        for file in (
            DATA,
            MODULE,
            "requirements.lock",
            "pyproject.toml",
            "params/small.yml",
            "surveys/small/survey.yml",
        ):
            self.write(file, {"params/small.yml": STUDY}.get(file, f"{file}\n"))
        for stem, cells in CELLS.items():
            self.notebook(stem, cells)

    def write(self, file, text):
        (self.root / file).parent.mkdir(parents=True, exist_ok=True)
        (self.root / file).write_text(text, encoding="utf-8")

    def replace(self, file, old, new):
        text = (self.root / file).read_text(encoding="utf-8")
        assert old in text
        self.write(file, text.replace(old, new))

    def notebook(self, stem, cells, text="Why", **metadata):
        made = [nbformat.v4.new_markdown_cell(text, id="text")]
        made.append(nbformat.v4.new_markdown_cell("왜", id="korean", metadata={"tags": ["lang-ko"]}))
        declared = COMMON + DECLARED.get(stem, "")
        made.append(nbformat.v4.new_code_cell(declared, id="declared", metadata={"tags": ["parameters"]}))
        for number, cell in enumerate(cells):
            source, tags = cell if isinstance(cell, tuple) else (cell, [])
            made.append(nbformat.v4.new_code_cell(source, id=f"code-{number}", metadata={"tags": tags} if tags else {}))
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        notebook = nbformat.v4.new_notebook(cells=made, metadata={**kernel, **metadata})
        self.write(f"notebooks/{stem}.ipynb", nbformat.writes(notebook))

    def plan(self, **options):
        return plan_study(read_study("small", resolved=False), **options)

    def cache(self, **options):
        return Cache(self.root / "outputs" / ".cache" / "small", self.plan(**options))

    def new_run(self):
        self.runs += 1
        run = self.root / "outputs" / ".staging" / f"run-{self.runs}"
        run.mkdir(parents=True)
        return run


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("EVALUATION_PROJECT", str(tmp_path / "project"))
    monkeypatch.delenv("EVALUATION_RUN", raising=False)
    return Project(tmp_path / "project")


def record(root, **changes):
    """What a kernel that read the data file and imported one module would have noted."""

    def read(file):
        found = (root / file).stat()
        digest = hashlib.sha256((root / file).read_bytes()).hexdigest()
        return [found.st_size, found.st_mtime_ns, digest, found.st_ctime_ns, found.st_ino]

    plain = {
        "version": recording.VERSION,
        "modules": {MODULE: read(MODULE)},
        "inputs": {DATA: read(DATA)},
        "absent": [ABSENT],
        "present": ["surveys/small/survey.yml"],
        "listings": {"surveys/small": recording.names_digest(root / "surveys" / "small")},
        "asked": {"src/own": "raking trimming"},
        "found": {"src/own": {"raking": "raking.py"}},
        "written": [],
        "of_run": ["study.json", "published/profile.jsonl"],
        "left": [],
        "removed": [],
        "taken": [],
        "beyond": [],
        "peak_memory_bytes": 1,
    }
    return plain | changes


def executed(step, sections):
    """The notebook as the runner leaves it: cells of other sections and languages out, parameters injected."""
    notebook = read_template(step.notebook)
    tags = [set(cell.metadata.get("tags", [])) for cell in notebook.cells]
    kept = []
    for cell, marks in zip(notebook.cells, tags, strict=True):
        declared = {f"if-{section}" for section in sections} >= {mark for mark in marks if mark.startswith("if-")}
        if declared and f"lang-{'en' if step.parameters['lang'] == 'ko' else 'ko'}" not in marks:
            kept.append(cell)
        if "parameters" in marks:
            injected = nbformat.v4.new_code_cell("# Parameters", id="injected-parameters")
            injected.metadata["tags"] = ["injected-parameters"]
            kept.append(injected)
    for number, cell in enumerate(cell for cell in kept if cell.cell_type == "code"):
        cell.outputs = [nbformat.v4.new_output("stream", text="out")]
        cell.execution_count = number
    notebook.cells = kept
    notebook.metadata["papermill"] = {"status": "ok"}
    notebook.metadata["language_info"] = {"name": "python"}
    return nbformat.writes(notebook)


def ran(project, cache, name, run, *, published=None, **changes):
    """Play the run of a step: its notebook, what it publishes, what is noted; return why it was not kept."""
    step = cache.plan.by_name[name]
    upstream = cache.upstream(step, run)
    notebook = run / "notebooks" / f"{step.output}.ipynb"
    notebook.parent.mkdir(parents=True, exist_ok=True)
    notebook.write_text(executed(step, cache.plan.specification.sections), encoding="utf-8")
    for stem, text in (published or {f"{step.step}_numbers": name}).items():
        (run / "estimates").mkdir(exist_ok=True)
        (run / "estimates" / f"{stem}.json").write_text(text, encoding="utf-8")
        log = run / LOG / f"{name}.jsonl"
        log.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"name": stem, "files": [f"estimates/{stem}.json"], "title": stem})
        log.write_text((log.read_text(encoding="utf-8") if log.exists() else "") + line + "\n", encoding="utf-8")
    warning = CellWarning("FutureWarning", "soon", 2)
    outcome = StepOutcome(name, step.output, "ok", step.cells, step.cells, 1.5, warnings=(warning,))
    return cache.keep(step, upstream, run, outcome, record(project.root) | changes)


def keep_all(project, **options):
    cache, run = project.cache(**options), project.new_run()
    for step in cache.plan.steps:
        assert ran(project, cache, step.name, run) == ""
    return run


def why(project, name="profile", run=None, **options):
    """Why a step would run now; empty where it is cached."""
    cache = project.cache(**options)
    step = cache.plan.by_name[name]
    verdict = cache.look_up(step, cache.upstream(step, run or project.new_run()))
    assert (verdict.entry is None) == bool(verdict.why)
    return verdict.why


def previews(project, **options):
    return {preview.step: (preview.state, preview.why) for preview in project.cache(**options).preview()}


def contents(folder):
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_what_was_kept_comes_back_with_the_same_bytes(project):
    assert why(project) == ("never run",)
    run = keep_all(project)
    assert previews(project) == dict.fromkeys(("profile", "weighting", "report"), ("cached", ()))
    cache, again = project.cache(), project.new_run()
    for step in cache.plan.steps:
        verdict = cache.look_up(step, cache.upstream(step, again))
        outcome = cache.restore(verdict.entry, again)
        assert (outcome.state, outcome.step, outcome.notebook) == ("cached", step.name, step.output)
        assert outcome.done == outcome.cells == step.cells
        assert outcome.warnings == (CellWarning("FutureWarning", "soon", 2),)
    assert contents(again) == contents(run)
    assert "published/report.jsonl" in contents(run)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda p: p.write(MODULE, "other\n"), f"{MODULE} changed"),
        (lambda p: (p.root / MODULE).unlink(), f"{MODULE} is gone"),
        (
            lambda p: p.write("src/own/raking/__init__.py", ""),
            "src/own/raking/__init__.py is new and would be imported as raking",
        ),
        (
            lambda p: p.write("src/own/trimming.py", ""),
            "src/own/trimming.py is new and would be imported as trimming",
        ),
        (lambda p: p.write(DATA, "other\n"), f"{DATA} changed"),
        (lambda p: p.write("surveys/small/survey.yml", "other\n"), None),
        (lambda p: p.write("surveys/small/.hidden", ""), None),
        (lambda p: p.write("src/own/unrelated.py", ""), None),
        (lambda p: p.write("requirements.lock", "other\n"), "requirements.lock changed"),
        (lambda p: p.replace("params/small.yml", "by: sex", "by: age"), "parameter by: sex -> age"),
        (lambda p: p.replace("params/small.yml", "upper: 4", "upper: 3"), "parameter trim_upper: 4.0 -> 3.0"),
        (lambda p: p.replace("params/small.yml", ", by: sex", ""), "parameter by is no longer given (was sex)"),
        (lambda p: p.replace("params/small.yml", "A small", "Our"), "params/small.yml: title changed"),
        (
            lambda p: p.replace("params/small.yml", "variables: x", "variables: y"),
            "params/small.yml: estimates.weighting changed",
        ),
        (
            lambda p: p.replace("params/small.yml", "  final:\n", "  other: {sample: all}\n  final:\n"),
            "params/small.yml: designs.other is new",
        ),
        (lambda p: p.replace("params/small.yml", "study: small\n", "# a remark\nstudy: small\n"), None),
        (lambda p: p.replace("params/small.yml", "needs: [weighting]", "needs: [weighting, profile]"), None),
        (
            lambda p: p.notebook("10_profile", ["by", "1 + 2", *CELLS["10_profile"][2:]]),
            "notebook: code cell 4 changed",
        ),
        (lambda p: p.notebook("10_profile", [*CELLS["10_profile"], "9"]), "notebook: code cell 6 is new"),
        (lambda p: p.notebook("10_profile", CELLS["10_profile"][:2]), "notebook: code cell 5 is gone"),
        (
            lambda p: p.notebook("10_profile", ["1 + 1", "by", *CELLS["10_profile"][2:]]),
            "notebook: the order of its code cells changed",
        ),
        (
            lambda p: p.notebook("10_profile", ["by", ("1 + 1", ["timeout-9"]), *CELLS["10_profile"][2:]]),
            "notebook: tags of code cell 4 changed",
        ),
        (lambda p: p.notebook("10_profile", [*CELLS["10_profile"][:3], ("9", ["if-trend"])]), None),
        (lambda p: p.notebook("10_profile", CELLS["10_profile"], "Why not"), "notebook: its text changed"),
        (lambda p: p.replace("notebooks/10_profile.ipynb", "왜", "왜 안"), None),
        (
            lambda p: p.replace("notebooks/10_profile.ipynb", '"code-1"', '"code-x"'),
            "notebook: ids or metadata of its cells changed",
        ),
        (
            lambda p: p.notebook("10_profile", CELLS["10_profile"], language_info={"name": "python", "version": "3"}),
            None,
        ),
        (lambda p: p.notebook("20_weighting", ["other"]), None),
    ],
)
def test_each_change_makes_a_step_run_and_says_so_in_words(project, change, expected):
    keep_all(project)
    change(project)
    assert why(project) == ((expected,) if expected else ())


def test_files_that_come_and_go_make_a_step_run(project):
    keep_all(project)
    project.write(ABSENT, "new\n")
    assert why(project) == (f"{ABSENT} is new", "files in surveys/small/ came or went")
    (project.root / ABSENT).unlink()
    assert why(project) == ()
    (project.root / "surveys" / "small" / "survey.yml").unlink()
    assert why(project) == ("surveys/small/survey.yml is gone", "files in surveys/small/ came or went")


def test_sections_and_what_only_one_of_them_shows(project):
    keep_all(project)
    project.replace("params/small.yml", "[means]", "[means, trend]")
    assert why(project) == ("notebook: code cell 6 is new", "params/small.yml: sections changed")
    assert why(project, "weighting", run=keep_all(project)) == ()


def test_python_packages_settings_and_the_runner_count(project, monkeypatch):
    keep_all(project)
    monkeypatch.setattr(key.platform, "python_version", lambda: "3.99.0")
    monkeypatch.setattr(key.platform, "machine", lambda: "riscv")
    monkeypatch.setitem(settings.KERNEL_SETTINGS, "OMP_NUM_THREADS", "2")
    monkeypatch.setenv("TZ", "Asia/Seoul")
    packages = key._packages()
    assert packages["pandas"]
    monkeypatch.setattr(key, "_packages", lambda: packages | {"pandas": "99"})
    told = why(project)
    assert told[0].endswith(" -> 3.99.0")
    assert told[0].startswith("Python 3.")
    assert told[1].endswith(" riscv")
    assert told[2:4] == (f"package pandas: {packages['pandas']} -> 99", "kernel setting OMP_NUM_THREADS: 1 -> 2")
    assert told[4].startswith("environment TZ: ")
    monkeypatch.setattr(key, "RUNNER", ("errors.py",))
    assert "src/evaluation/errors.py changed" in why(project)


def test_an_upstream_that_publishes_the_same_bytes_leaves_the_later_steps_alone(project):
    keep_all(project)
    project.notebook("10_profile", ["by", "1 + 3"])
    assert previews(project) == {
        "profile": ("run", ("notebook: code cell 4 changed", "notebook: code cell 5 is gone")),
        "weighting": ("depends", ("depends on profile",)),
        "report": ("depends", ("depends on weighting",)),
    }
    cache, run = project.cache(), project.new_run()
    assert ran(project, cache, "profile", run) == ""
    weighting = cache.plan.by_name["weighting"]
    verdict = cache.look_up(weighting, cache.upstream(weighting, run))
    cache.restore(verdict.entry, run)
    assert why(project, "report", run=run) == ()


@pytest.mark.parametrize(
    ("published", "expected"),
    [
        ({"profile_numbers": "other"}, "estimates of profile changed: profile_numbers"),
        (
            {"profile_numbers": "profile", "more": "x"},
            "estimates of profile changed: more (new)",
        ),
        ({"more": "x"}, "estimates of profile changed: more (new), profile_numbers (gone)"),
    ],
)
def test_other_numbers_before_a_step_make_it_run(project, published, expected):
    keep_all(project)
    cache, run = project.cache(), project.new_run()
    ran(project, cache, "profile", run, published=published)
    weighting = cache.plan.by_name["weighting"]
    assert cache.look_up(weighting, cache.upstream(weighting, run)).why == (expected,)


def test_other_titles_before_a_step_make_it_run(project):
    run = keep_all(project)
    log = run / LOG / "profile.jsonl"
    log.write_text(log.read_text(encoding="utf-8").replace('"title": "', '"title": "Our '), encoding="utf-8")
    assert why(project, "weighting", run=run) == ("titles of profile changed",)


def test_runs_with_other_parameters_take_turns_without_pushing_each_other_out(project):
    for value in ("1", "2", "3", "4", "5"):
        keep_all(project, overrides={"trim_upper": value})
    assert why(project, overrides={"trim_upper": "1"}) == ()
    cache, run = project.cache(overrides={"trim_upper": "1"}), project.new_run()
    cache.restore(cache.look_up(cache.plan.steps[0], {}).entry, run)
    keep_all(project, overrides={"trim_upper": "6"})
    folder = project.root / "outputs" / ".cache" / "small" / "profile"
    assert len(list(folder.iterdir())) == entries.KEPT
    # The first served again after the others were made, so that the second is the oldest now.
    assert why(project, overrides={"trim_upper": "1"}) == ()
    assert why(project, overrides={"trim_upper": "2"})[0].startswith("parameter trim_upper: ")
    project.write(MODULE, "other\n")
    assert why(project, overrides={"trim_upper": "3"}) == (f"{MODULE} changed",)


MATRIX = STUDY.split("estimates:")[0] + (
    "steps:\n  district:\n    notebook: 60_district\n    matrix: {district: [110, 680]}\n"
    "  districts: {notebook: 70_districts, needs: [district]}\n"
)


def test_instances_that_share_a_notebook_are_kept_apart(project):
    DECLARED["60_district"] = "\ndistrict: int = 0\nby: str = ''\ntrim_upper: float = 1.0"
    project.write("params/small.yml", MATRIX)
    project.notebook("60_district", ["district", "by, trim_upper"])
    project.notebook("70_districts", ["lang"])
    cache, run = project.cache(), project.new_run()
    assert ran(project, cache, "district/110", run, published={"items__110": "1"}) == ""
    assert why(project, "district/110") == ()
    assert why(project, "district/680") == ("never run",)
    assert ran(project, cache, "district/680", run, published={"items__680": "2"}) == ""
    assert ran(project, cache, "districts", run) == ""
    assert {state for state, _ in previews(project).values()} == {"cached"}
    project.replace("params/small.yml", "[110, 680]", "[110, 680, 740]")
    assert previews(project) == {
        "district/110": ("cached", ()),
        "district/680": ("cached", ()),
        "district/740": ("run", ("never run",)),
        "districts": ("run", ("needs district/740 now",)),
    }


def entry_of(project, step="profile"):
    return entries.entry_folders(project.root / "outputs" / ".cache" / "small", step)[0][1]


def flipped(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))


def linked_away(folder):
    target = folder.parents[3] / "elsewhere"
    shutil.move(folder / "files" / "estimates", target)
    (folder / "files" / "estimates").symlink_to(target)


def linked_file(folder):
    file = folder / "files" / "notebooks" / "10_profile.ipynb"
    shutil.move(file, folder.parents[3] / "elsewhere.ipynb")
    file.symlink_to(folder.parents[3] / "elsewhere.ipynb")


def poisoned(folder):
    """An entry that says it holds a file outside the run; its folder bears the right hash."""
    content = json.loads((folder / "entry.json").read_text(encoding="utf-8"))
    content["files"] = {"../../taken.txt": hashlib.sha256(b"x").hexdigest()}
    renamed(folder, json.dumps(content).encode())


def no_json(folder):
    renamed(folder, b"{not json")


def renamed(folder, content):
    (folder / "entry.json").write_bytes(content)
    folder.rename(folder.with_name(f"000009-{hashlib.sha256(content).hexdigest()[:32]}"))


DAMAGES = {
    "a flipped bit": lambda folder: flipped(folder / "files" / "estimates" / "profile_numbers.json"),
    "a file cut off": lambda folder: os.truncate(folder / "files" / "notebooks" / "10_profile.ipynb", 100),
    "a file missing": lambda folder: (folder / "files" / "published" / "profile.jsonl").unlink(),
    "a flipped bit in the entry": lambda folder: flipped(folder / "entry.json"),
    "no entry": lambda folder: (folder / "entry.json").unlink(),
    "a folder in place of a file": lambda folder: (
        (folder / "files" / "published" / "profile.jsonl").unlink(),
        (folder / "files" / "published" / "profile.jsonl").mkdir(),
    ),
    "a folder linked out of the cache": linked_away,
    "a file linked out of the cache": linked_file,
    "a path out of the run": poisoned,
    "no JSON": no_json,
    "a list for an entry": lambda folder: renamed(folder, b"[1]"),
    "deep nesting": lambda folder: renamed(folder, b"[" * 200_000),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_result_is_seen_removed_and_nothing_of_it_is_taken(project, damage):
    keep_all(project)
    damage(entry_of(project))
    cache, run = project.cache(), project.new_run()
    step = cache.plan.steps[0]
    verdict = cache.look_up(step, {})
    if verdict.entry is None:
        assert verdict.why == ("what was kept of it is damaged",)
    else:
        with pytest.raises(CacheDamage, match=r"step 'profile' is damaged: .* It is removed, and the step runs"):
            cache.restore(verdict.entry, run)
    assert contents(run) == {}
    assert not list(run.iterdir())
    assert why(project) == ("never run",)
    assert not (project.root / "outputs" / "taken.txt").exists()
    assert ran(project, cache, "profile", project.new_run()) == ""
    assert why(project) == ()


def test_the_runners_modules_that_count_exist():
    assert [file for file in key.RUNNER if not (key._PACKAGE / file).is_file()] == []


def test_a_preview_removes_nothing(project):
    keep_all(project)
    flipped(entry_of(project) / "entry.json")
    assert previews(project)["profile"] == ("run", ("what was kept of it is damaged",))
    assert entry_of(project).is_dir()


def test_an_entry_of_another_version_is_not_used(project, monkeypatch):
    keep_all(project)
    monkeypatch.setattr(key, "KEY_VERSION", key.KEY_VERSION + 1)
    assert why(project) == ("kept by another version of the workbench",)


def test_what_a_killed_process_left_unfinished_is_no_entry_and_is_swept(project):
    keep_all(project)
    unfinished = entry_of(project).with_name(".new-99999")
    shutil.copytree(entry_of(project), unfinished)
    shutil.rmtree(entry_of(project))
    assert why(project) == ("never run",)
    assert ran(project, project.cache(), "profile", project.new_run()) == ""
    assert not unfinished.exists()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"beyond": ["os.system"]},
            "it reaches for other processes or the network (os.system), whose answers may differ",
        ),
        ({"removed": ["data/x.csv"]}, "it removed data/x.csv, which a later run would find removed already"),
        ({"of_run": ["tables/x.csv"]}, "it read tables/x.csv, which nothing that it needs published"),
        ({"modules": {MODULE: [1, 1, ""]}}, f"{MODULE} changed while it ran"),
        ({"inputs": {DATA: [1, 1, "0" * 64]}}, f"{DATA} changed while it ran"),
        ({"inputs": {"surveys/small/gone.csv": [1, 1, ""]}}, "surveys/small/gone.csv went while it ran"),
    ],
)
def test_what_nobody_can_hold_against_a_later_run_is_not_kept(project, changes, expected):
    assert ran(project, project.cache(), "profile", project.new_run(), **changes) == expected
    assert why(project) == ("never run",)


def test_a_step_without_a_record_or_that_is_not_ok_is_not_kept(project):
    cache, run = project.cache(), project.new_run()
    step = cache.plan.steps[0]
    good = StepOutcome("profile", "10_profile", "ok")
    assert cache.keep(step, {}, run, good, None) == "its kernel gave no record of what it read"
    bad = StepOutcome("profile", "10_profile", "failed")
    assert cache.keep(step, {}, run, bad, record(project.root)) == "it is failed"


def test_a_notebook_that_changes_while_it_runs_is_not_kept(project, monkeypatch):
    cache, run = project.cache(), project.new_run()
    before = executed(cache.plan.steps[0], ["means"])
    project.notebook("10_profile", ["by", "other"])
    monkeypatch.setitem(globals(), "executed", lambda step, sections: before)
    assert ran(project, cache, "profile", run) == "its notebook changed while it ran"


def test_what_a_step_writes_beside_is_kept_and_must_still_be_there(project):
    run = project.new_run()
    (run / "restricted").mkdir()
    (run / "restricted" / "script.R").write_text("x", encoding="utf-8")
    project.write("data/made.csv", "made")
    changes = {"left": ["restricted/script.R", "restricted/gone.R"], "written": ["data/made.csv", "data/gone.csv"]}
    cache = project.cache()
    assert ran(project, cache, "profile", run, **changes) == ""
    again = project.new_run()
    cache.restore(cache.look_up(cache.plan.steps[0], {}).entry, again)
    assert (again / "restricted" / "script.R").read_text(encoding="utf-8") == "x"
    project.write("data/made.csv", "other")
    assert why(project) == ("data/made.csv, which it wrote, changed",)
    (project.root / "data" / "made.csv").unlink()
    assert why(project) == ("data/made.csv is gone",)


def test_a_full_disk_stops_no_run_and_leaves_nothing_half_written(project, monkeypatch):
    def full(stream, content, *, fsync):
        raise OSError(errno.ENOSPC, "No space left on device")

    cache, run = project.cache(), project.new_run()
    with monkeypatch.context() as patch:
        patch.setattr(entries, "_write", full)
        assert ran(project, cache, "profile", run) == "No space left on device"
    assert list((cache.folder / "profile").iterdir()) == []
    (cache.folder / "weighting").write_text("in the way", encoding="utf-8")
    assert ran(project, cache, "weighting", run) == "File exists"
    assert why(project, "weighting") == ("never run",)


def test_a_file_is_hashed_again_wherever_its_times_could_hide_a_change(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("one", encoding="utf-8")
    hashes_of = FileHashes(tmp_path)
    assert hashes_of.of("a.csv") == hashlib.sha256(b"one").hexdigest()
    assert hashes_of._known == {}
    found = file.stat()
    file.write_text("two", encoding="utf-8")
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert hashes_of.of("a.csv") == hashlib.sha256(b"two").hexdigest()
    assert hashes_of.of("none.csv") is None
    assert hashes_of.of(".") is None


def test_a_settled_file_is_read_once_until_something_of_it_changes(tmp_path, monkeypatch):
    monkeypatch.setattr(hashes, "UNSETTLED_NS", -1)
    file = tmp_path / "a.csv"
    file.write_text("one", encoding="utf-8")
    hashes_of = FileHashes(tmp_path)
    first = hashes_of.of("a.csv")
    read = []
    monkeypatch.setattr(hashes.hashlib, "file_digest", lambda *args: read.append(args))
    assert hashes_of.of("a.csv") == first
    assert read == []
    monkeypatch.undo()
    found = file.stat()
    beside = tmp_path / "b.csv"
    beside.write_text("two", encoding="utf-8")
    os.utime(beside, ns=(found.st_atime_ns, found.st_mtime_ns))
    os.replace(beside, file)
    assert hashes_of.of("a.csv") == hashlib.sha256(b"two").hexdigest()


def test_a_clock_that_went_back_leaves_no_file_settled(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("one", encoding="utf-8")
    found = file.stat()
    assert not hashes.is_settled(found, found.st_mtime_ns - 10**12)
    assert not hashes.is_settled(found, found.st_mtime_ns + 10**9)
    assert hashes.is_settled(found, max(found.st_mtime_ns, found.st_ctime_ns) + 3 * 10**9)


def test_data_that_change_between_two_steps_are_told(project):
    inputs = Inputs(project.root)
    assert inputs.check("profile", record(project.root)) == []
    os.utime(project.root / DATA, (1, 1))
    assert inputs.check("report", record(project.root)) == []
    project.write(DATA, "other\n")
    [change] = inputs.check("weighting", record(project.root))
    assert change == Change(DATA, "profile", "weighting")
    assert change.message == (
        f"{DATA} changed while the study ran (step profile read it before). "
        "Nothing of this step is taken for good. Run again."
    )
    assert inputs.check("weighting", None) == []


def test_data_that_change_while_a_step_runs_are_told(project):
    inputs, seen = Inputs(project.root), record(project.root)
    project.write(DATA, "longer than before\n")
    assert [change.message.split(" (")[1][:9] for change in inputs.check("profile", seen)] == ["this step"]
    seen["inputs"][DATA][2] = ""
    assert len(Inputs(project.root).check("profile", seen)) == 1
    assert Inputs(project.root).check("profile", seen | {"written": [DATA]}) == []


def test_code_that_changes_between_two_steps_is_told_at_the_end(project):
    keep_all(project)
    cache = project.cache()
    cache.restore(cache.look_up(cache.plan.steps[0], {}).entry, project.new_run())
    assert cache.inputs.check("weighting", record(project.root)) == []
    assert (cache.inputs.mixed_code(), cache.inputs.changed()) == ([], [])
    project.write(MODULE, "other\n")
    project.write(DATA, "other\n")
    assert cache.inputs.changed() == [Change(DATA, "profile", "profile")]
    cache.inputs.check("report", record(project.root))
    assert cache.inputs.mixed_code() == [MODULE]


def test_data_that_were_only_touched_are_not_told(project, monkeypatch):
    monkeypatch.setattr(hashes, "UNSETTLED_NS", -1)
    inputs, seen = Inputs(project.root), record(project.root)
    seen["inputs"][DATA][2] = ""
    assert inputs.check("profile", seen) == []
    os.utime(project.root / DATA, (1, 1))
    assert inputs.check("weighting", seen) == []
    project.write(DATA, "other\n")
    assert inputs.check("report", seen) == [Change(DATA, "profile", "report")]


def test_data_that_a_cached_step_rests_on_count_as_read(project):
    keep_all(project)
    cache = project.cache()
    cache.restore(cache.look_up(cache.plan.steps[0], {}).entry, project.new_run())
    project.write(DATA, "other\n")
    assert cache.inputs.check("weighting", record(project.root)) == [Change(DATA, "profile", "weighting")]


def test_many_threads_may_ask_and_keep_at_once(project):
    cache, run = project.cache(), project.new_run()
    told = []
    threads = [
        threading.Thread(target=lambda: told.append(cache.look_up(cache.plan.steps[0], {}).why)) for _ in range(8)
    ]
    threads.append(threading.Thread(target=lambda: told.append((ran(project, cache, "profile", run),))))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ("",) in told
    assert set(told) <= {("",), ("never run",), ()}


def test_a_file_replaced_by_one_of_the_same_size_and_time_is_told(project, monkeypatch):
    monkeypatch.setattr(hashes, "is_settled", lambda found, now: True)
    inputs = project.cache().inputs
    place = project.root / DATA
    found = place.stat()
    read = [found.st_size, found.st_mtime_ns, "", found.st_ctime_ns, found.st_ino]
    assert inputs.check("profile", {"modules": {}, "inputs": {DATA: read}, "written": []}) == []
    time.sleep(0.02)
    place.write_text(place.read_text(encoding="utf-8").upper(), encoding="utf-8")
    os.utime(place, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert (place.stat().st_size, place.stat().st_mtime_ns) == (found.st_size, found.st_mtime_ns)
    other = project.cache().inputs
    [change] = other.check("profile", {"modules": {}, "inputs": {DATA: read}, "written": []})
    assert change.file == DATA


def test_reasons_stand_once_and_a_step_that_never_ended_well_is_not_called_never_run(project):
    keep_all(project)
    cache = project.cache()
    twice = lambda *arguments: ["x changed", "y changed", "x changed"]  # noqa: E731
    cache._differences = twice
    assert cache.look_up(cache.plan.by_name["profile"], {}).why == ("x changed", "y changed")
    shutil.rmtree(project.root / "outputs" / ".cache")
    failed = project.root / "outputs" / "failed" / "small"
    failed.mkdir(parents=True)
    with EventLog(failed / EVENTS) as log:
        log.run("small", 1, {"profile": 3, "weighting": 2, "report": 2}, jobs=1, kernel="plain")
        log.ended(StepOutcome("profile", "10_profile", "ok", 3, 3))
        log.ended(StepOutcome("weighting", "20_weighting", "died", 1, 2))
        log.ended(StepOutcome("report", "50_report", "blocked", 0, 2))
    assert [why for _, why in previews(project).values()] == [
        ("nothing is kept of it",),
        ("never ended well",),
        ("never run",),
    ]


def test_what_is_kept_of_steps_that_a_study_has_no_more_is_swept(tmp_path):
    for folder in ("one", "gone", "district/110", "district/680", "gone_too/110"):
        for name in (f"000001-{'a' * 32}", ".new-12"):
            (tmp_path / folder / name).mkdir(parents=True)
            (tmp_path / folder / name / "entry.json").touch()
    (tmp_path / "stranger").mkdir()
    entries.sweep(tmp_path, {"one", "district/110"})
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_dir()}
    assert left == {
        *("stranger", "one", "district", "district/110"),
        *(f"{folder}/{name}" for folder in ("one", "district/110") for name in (f"000001-{'a' * 32}", ".new-12")),
    }
