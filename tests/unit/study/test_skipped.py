"""A survey whose file the user brings and has not brought yet: told everywhere, failing nowhere."""

import json
import os
import subprocess
import sys

import pytest

from evaluation.errors import SourceError, SourceWarning
from evaluation.study.run import run_study
from evaluation.survey.reading import read_survey

SURVEY = """
id: small
title: {ko: 작은 조사, en: A small survey}
population: {ko: 모두, en: everybody}
data: real
licence: {ko: 등록, en: registration}
source: {ko: 연구소, en: an institute}
citation: Somebody
obtain: {ko: 연구소에 등록하고 받으십시오., en: Register with the institute.}
default_sample: all
samples:
  all:
    file: people.sav
    alternatives: {people.csv: "SHA"}
    provided_by: user
    title: {ko: 모두, en: all}
    sha256: "SHA"
    rows: 3
""".replace("SHA", "0" * 64)


@pytest.fixture
def absent(project):
    """A project whose survey lacks the file that its user brings."""
    folder = project.root / "surveys" / "small"
    (folder / "survey.yml").write_text(SURVEY, encoding="utf-8")
    (folder / "codebook.csv").write_text("variable,kind,label_en\nx,numeric,A number\n", encoding="utf-8")
    (project.root / "requirements.lock").write_text("", encoding="utf-8")
    return project


def command(project, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "evaluation.cli", *arguments],
        cwd=project.root,
        env=os.environ | {"PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_reading_says_where_to_get_the_file_and_where_to_put_it(absent):
    told = r"surveys/small/people.sav is not there. Register with the institute. Put it at .*people.sav or .*people.csv"
    with pytest.raises(SourceError, match=told):
        read_survey("small")


def test_reading_says_so_in_korean(absent):
    from evaluation.project import use_language

    use_language("ko")
    try:
        with pytest.raises(SourceError, match=r"people\.sav 파일이 없습니다"):
            read_survey("small")
    finally:
        use_language("en")


def test_the_plan_says_that_every_step_will_be_skipped_and_writes_nothing(absent):
    before = absent.files()
    done = command(absent, "plan", "small")
    assert done.returncode == 0
    assert done.stdout.startswith("every step will be skipped: surveys/small/people.sav")
    assert absent.files() == before


def test_a_run_skips_every_step_with_its_reason_and_leaves_the_last_good_run_alone(absent):
    good = absent.root / "outputs" / "small" / "manifest.json"
    good.parent.mkdir(parents=True)
    good.write_text("the last good run", encoding="utf-8")
    done = command(absent, "run", "small")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line.partition(" ")[2] for line in lines[:3]] == [
        "small: 2 notebooks",
        "small profile: skipped (1 of 2)",
        "small weighting: skipped (2 of 2)",
    ]
    assert "2 of 2 notebooks: 2 skipped" in lines
    reason = "surveys/small/people.sav 파일이 없습니다. 연구소에 등록하고 받으십시오."
    assert any(reason in line for line in lines)
    assert "outputs/skipped/small/report/index.html says why; outputs/small was not touched" in lines[-1]
    assert good.read_text(encoding="utf-8") == "the last good run"
    run = absent.root / "outputs" / "skipped" / "small"
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["state"] == "skipped"
    assert [(step["state"], step["cells_run"]) for step in manifest["steps"].values()] == [("skipped", 0)] * 2
    assert all(reason in step["skipped_because"] for step in manifest["steps"].values())
    assert reason in (run / "report" / "index.html").read_text(encoding="utf-8")
    assert not (run / "notebooks").exists()
    status = command(absent, "status", "small")
    assert status.stdout.splitlines()[-1] == lines[-1]


def test_with_the_file_the_same_study_runs(absent):
    (absent.root / "surveys" / "small" / "people.csv").write_text("x\n1\n2\n3\n", encoding="utf-8")
    assert run_study("small").state == "ok"


def test_another_extract_is_read_and_said_to_be_another(absent):
    (absent.root / "surveys" / "small" / "people.csv").write_text("x\n1\n2\n", encoding="utf-8")
    with pytest.warns(SourceWarning, match="people.csv is another extract than the one described"):
        survey = read_survey("small")
    assert len(survey) == 2
    assert "its numbers may differ" in repr(survey)
    assert survey.source.sha256 != "0" * 64
