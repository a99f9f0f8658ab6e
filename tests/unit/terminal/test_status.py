"""How a run stands, read from what it wrote down; and what follows a sign-off."""

import json
import signal

import pytest

from evaluation.study.events import EVENTS, EventLog, read_events
from evaluation.study.interrupts import Interrupts, stop_requested
from evaluation.study.lock import holding
from evaluation.terminal.end_report import end_report
from evaluation.terminal.rebuilding import show_release
from evaluation.terminal.sheet import rendered
from evaluation.terminal.status import view_of_log


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").write_text("[tool.evaluation]\n", encoding="utf-8")
    monkeypatch.setenv("EVALUATION_PROJECT", str(tmp_path))
    return tmp_path


def written(folder, after=(), **asked):
    """Write the events of a run as it goes, with the seconds at which each line was written."""
    folder.mkdir(parents=True)
    with EventLog(folder / EVENTS) as log:
        log.run("small", 3, {"a": 5, "b": 2}, jobs=2, kernel="forked", **asked)
        log.started("a", 5, ["never run"])
        log.cell("a", 3, 5)
    lines = [json.loads(line) for line in (folder / EVENTS).read_text(encoding="utf-8").splitlines()]
    lines = [line | {"elapsed": elapsed} for line, elapsed in zip(lines, after, strict=True)] if after else lines
    (folder / EVENTS).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder / EVENTS


def page(file):
    return rendered(end_report(view_of_log(read_events(file)), width=80), width=80)


def test_status_tells_how_long_a_notebook_has_been_running(project):
    with holding("small"):
        file = written(project / "outputs" / ".staging" / "small", (0.0, 100.0, 160.0))
        view = view_of_log(read_events(file))
        assert view.steps[0].state == "running"
        assert 60 <= view.steps[0].seconds < 90, "since it began, until now"
        assert view.steps[1].seconds == 0
        assert "  a: cell 4 of 5, 1:" in page(file)


def test_status_of_a_dead_run_tells_how_long_a_notebook_had_been_running(project):
    file = written(project / "outputs" / ".staging" / "small", (0.0, 100.0, 160.0))
    assert "Under way when the process died (1)\n  a: cell 4 of 5, 1:00\n" in page(file)


def test_a_part_of_a_study_that_failed_is_told_to_be_one_and_how_to_run_it_again(project):
    given = {"lang": "ko", "title": "two words"}
    file = written(project / "outputs" / "failed" / "small", complete=False, only=["b"], given=given)
    text = page(file)
    assert "2 of 2 notebooks, only a part of the study:" in text
    assert "  evaluation run small --only b -p lang=ko -p 'title=two words'\n" in text


def test_events_of_an_earlier_version_are_read_too(project):
    file = written(project / "outputs" / "failed" / "small")
    first, *others = file.read_text(encoding="utf-8").splitlines()
    kept = {name: value for name, value in json.loads(first).items() if name not in ("complete", "only", "given")}
    file.write_text("\n".join([json.dumps(kept), *others]) + "\n", encoding="utf-8")
    log = read_events(file)
    assert (log.complete, log.only, log.given) == (True, (), {})


def test_from_the_first_signal_on_a_stop_is_requested_until_the_run_has_ended():
    assert not stop_requested()
    with Interrupts():
        assert not stop_requested()
        signal.raise_signal(signal.SIGTERM)
        assert stop_requested()
    assert not stop_requested()


def test_what_a_run_noted_is_told_again_and_a_report_that_cannot_be_built_stops_nothing(project):
    assert show_release("small") == [], "no run, nothing to show"
    run = project / "outputs" / "small"
    written(run)
    with EventLog(run / EVENTS) as log:
        log.note("raking.py changed while the study ran: some steps ran what it was before, some what it is now")
    (run / "manifest.json").write_text("{}", encoding="utf-8")
    told = show_release("small")
    assert told[0].startswith("note of this run: raking.py changed while the study ran")
    assert told[1].startswith("the report does not show it yet (")
    assert told[1].endswith("Build it: evaluation report small")
