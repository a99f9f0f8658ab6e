"""What was fixed before outcomes were read stays as it was, and what came later says so."""

import hashlib
import shutil
from pathlib import Path

import pytest

from evaluation import project
from evaluation.errors import StudyError
from evaluation.prespecification import Content, hash_of, prespecification_file, read_prespecification
from evaluation.specification import RESOLVED, read_study

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def file(tmp_path, monkeypatch):
    """The Seoul study's file in a project of its own, free to be changed."""
    for name in ("pyproject.toml", "params", "surveys/seoul_2016/benchmarks.csv"):
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile)(ROOT / name, target)
    monkeypatch.setenv(project.PROJECT_VARIABLE, str(tmp_path))
    return prespecification_file("seoul_2016")


def changed(file, old, new):
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_the_seoul_study_is_registered_under_its_hash():
    plan = read_prespecification("seoul_2016")
    assert plan.is_registered
    assert plan.content.sha256 == plan.sha256
    assert plan.comparison("stay").subgroups
    assert plan.policy("knows_center").cohort == "district_cohort"
    assert plan.sha256 in repr(plan)


def test_a_changed_entry_is_refused_and_the_next_move_named(file):
    changed(file, "outcome: happy", "outcome: rely")
    with pytest.raises(StudyError, match=r"no longer those that were registered.*added: <date>"):
        read_prespecification("seoul_2016")


def test_what_is_added_later_is_no_part_of_the_hash_and_says_so(file):
    before = read_prespecification("seoul_2016").sha256
    text = file.read_text(encoding="utf-8")
    entry = text[text.index("  happy:") : text.index("  lean_on_more:")].replace("  happy:", "  afterthought:")
    entry = entry.replace("&happy", "&later").replace("*happy", "*later").rstrip() + '\n    added: "2026-12-01"\n'
    changed(file, "  lean_on_more:", entry + "  lean_on_more:")
    plan = read_prespecification("seoul_2016")
    assert plan.sha256 == before
    assert plan.tidy().set_index("name").loc["afterthought", "added"] == "2026-12-01"
    assert "2026-12-01" in repr(plan)


def test_without_a_hash_nothing_is_registered_and_the_hash_is_told(file):
    sha256 = read_prespecification("seoul_2016").sha256
    changed(file, f"sha256: {sha256}\n", "")
    plan = read_prespecification("seoul_2016")
    assert not plan.is_registered
    assert "not registered yet" in repr(plan) or "아직 등록되지 않음" in repr(plan)
    assert plan.sha256 == sha256


def test_layout_and_order_do_not_count(file):
    content = project.read_yaml(file)
    content["comparisons"] = dict(reversed(content["comparisons"].items()))
    assert hash_of(Content.model_validate(content)) == read_prespecification("seoul_2016").sha256


def test_faults_are_named_with_the_nearest_known_name(file):
    changed(file, "treatment: participant", "treatmant: participant")
    with pytest.raises(StudyError, match=r"prespecification/seoul_2016\.yml: .*'treatmant'.*'treatment'"):
        read_prespecification("seoul_2016")


def test_an_unknown_comparison_or_study_is_answered_with_the_nearest():
    with pytest.raises(StudyError, match="Did you mean 'stay'"):
        read_prespecification("seoul_2016").comparison("stey")
    with pytest.raises(StudyError, match=r"fixed no outcomes.*Write them down before"):
        read_prespecification("api_2000")


def test_inside_a_run_the_file_must_be_the_one_that_was_there_when_it_began(file, tmp_path, monkeypatch):
    run = tmp_path / "run"
    run.mkdir()
    monkeypatch.setenv(project.RUN_VARIABLE, str(run))
    monkeypatch.setenv(project.STEP_VARIABLE, "comparison")
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    resolved = read_study("seoul_2016", resolved=False).model_copy(update={"prespecification_sha256": sha256})
    (run / RESOLVED).write_text(resolved.model_dump_json(by_alias=True), encoding="utf-8")
    assert read_prespecification("seoul_2016").is_registered
    file.write_bytes(file.read_bytes() + b"# a thought\n")
    with pytest.raises(StudyError, match="changed while the run was under way"):
        read_prespecification("seoul_2016")
