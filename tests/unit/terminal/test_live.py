"""The live table and the plain lines, fed with signs of life by hand."""

import io
import re
import runpy
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.cells import cell_len
from rich.console import Console, Group

from evaluation.study.interrupts import Interrupts
from evaluation.study.states import Failure, Progress
from evaluation.terminal import screen
from evaluation.terminal.lines import PATIENCE, PlainLines
from evaluation.terminal.live import STOPPING, LiveTable, live_lines
from evaluation.terminal.sheet import rendered
from evaluation.terminal.snapshot import StepView
from evaluation.terminal.tally import Tally

made = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("handmade_batch.py"))))
DISTRICTS, NO_80, batch, district = made.DISTRICTS, made.NO_80, made.batch, made.district


def half_way():
    """Nine districts ok, two running, one failed, the others waiting."""
    run = batch()
    codes = list(DISTRICTS)
    views = [district(code) for code in codes[:9]]
    views += [district(code, "running", done=6, seconds=12.4) for code in codes[9:11]]
    views += [district(codes[11], "failed", done=4, failure=Failure(5, "MarginError", NO_80))]
    views += [district(code, "waiting", done=0, seconds=0.0, why=()) for code in codes[12:]]
    waiting = [replace(step, state="waiting", blocked_by=()) for step in run.steps[-2:]]
    return replace(run, state="running", steps=(*run.steps[:2], *views, *waiting), elapsed=252.0)


def table(run, width=80, height=24):
    return rendered(Group(*live_lines(run, width=width, height=height)), width=width)


def test_the_live_table_counts_every_notebook_and_names_those_that_run_and_those_that_failed():
    text = table(half_way())
    lines = text.splitlines()
    assert lines[:2] == [
        "seoul_2017: 12 of 29 done in 4:12",
        "  10 ok, 1 cached, 2 running, 1 failed, 15 waiting",
    ]
    assert re.search(r"^  profile +cached$", text, re.M)
    assert re.search(r"^  weighting +ok +31 s$", text, re.M)
    assert re.search(r"^  district \(25\) +━+─+  9 ok, 2 running, 1 failed, 13 waiting$", text, re.M)
    assert "    320_2017 도봉구  running cell 7 of 14, 12 s" in text
    assert re.search(r"^    380_2017 은평구 +failed in cell \[5\]: MarginError: margin 'age_g.*…$", text, re.M)
    assert re.search(r"^  report +waiting$", text, re.M)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 24), (80, 8), (20, 6), (200, 60), (5, 4)])
def test_the_live_table_keeps_within_the_terminal(width, height):
    lines = table(half_way(), width, height).splitlines()
    assert len(lines) < max(height, 4)
    assert all(cell_len(line) < width for line in lines)


def test_korean_names_stand_in_columns():
    running = [district(code, "running", done=1) for code in ("140", "230", "560")]
    lines = table(replace(half_way(), steps=tuple(running))).splitlines()
    starts = {cell_len(line.partition("running")[0]) for line in lines[-3:]}
    assert len(starts) == 1


def test_on_a_low_terminal_what_is_done_and_what_waits_is_folded_before_what_runs():
    steps = [StepView(f"done{number}", "ok", 3, 3, 1.0) for number in range(30)]
    steps += [StepView("now", "running", 1, 3, 1.0)]
    steps += [StepView(f"later{number}", "waiting", cells=3) for number in range(30)]
    text = table(replace(half_way(), steps=tuple(steps)), height=10)
    assert "  done: done0, done1, done2, done3, done4 and 25 more\n" in text
    assert "  waiting: later0, later1, later2, later3, later4 and 25 more\n" in text
    assert "  now      running cell 2 of 3, 1.0 s" in text
    assert "30 of 61 done" in text


def test_more_running_and_failed_ones_than_fit_are_counted():
    views = [district(code, "running", done=1) for code in list(DISTRICTS)[:12]]
    views += [district(code, "died", done=1, failure=Failure(2, "E", "m")) for code in list(DISTRICTS)[12:]]
    text = table(replace(half_way(), steps=tuple(views)), height=40)
    assert "and 4 more running" in text
    assert "and 8 more failed" in text


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def small_plan():
    steps = [
        SimpleNamespace(name="profile", cells=3, output="10_profile", needs=()),
        SimpleNamespace(name="district/110", cells=4, output="60_district/110", needs=("profile",)),
        SimpleNamespace(name="report", cells=2, output="50_report", needs=("profile", "district/110")),
    ]
    return SimpleNamespace(study="small", steps=steps)


PLACES = {"district/110": "종로구 (Jongno-gu)"}


@pytest.fixture
def log():
    clock, stream = Clock(), io.StringIO()
    lines = PlainLines(small_plan(), stream, PLACES, clock=clock, stamp=lambda: "02:14:31")
    return SimpleNamespace(clock=clock, lines=lines, stream=stream, told=lambda: stream.getvalue().splitlines())


def test_a_log_has_one_line_per_start_and_end_and_none_per_cell(log):
    show = log.lines.show
    show(Progress("profile", 0, 3, why=("never run",)))
    show(Progress("profile", 1, 3))
    show(Progress("profile", 2, 3))
    log.clock.now += 4.2
    show(Progress("profile", 3, 3, "ok"))
    show(Progress("district/110", 0, 4, why=("src/evaluation/a.py changed",)))
    log.clock.now += 21
    show(Progress("district/110", 1, 4, "failed", failure=Failure(2, "MarginError", NO_80)))
    show(Progress("report", 0, 2, "blocked"))
    assert log.told() == [
        "02:14:31 small profile: starts, 3 cells (never run)",
        "02:14:31 small profile: ok, 3/3 cells, 4.2 s (1 of 3)",
        "02:14:31 small district/110 종로구: starts, 4 cells (src/evaluation/a.py changed)",
        "02:14:31 small district/110 종로구: FAILED in cell [2] of 4, 21 s: MarginError: "
        + NO_80.splitlines()[0]
        + " (2 of 3)",
        "02:14:31 small report: blocked, needs district/110 (3 of 3)",
    ]


def test_cached_and_skipped_steps_take_one_line(log):
    log.lines.show(Progress("profile", 3, 3, "cached"))
    log.lines.show(Progress("report", 0, 2, "skipped"))
    assert log.told() == ["02:14:31 small profile: cached (1 of 3)", "02:14:31 small report: skipped (2 of 3)"]


def test_a_slow_notebook_tells_its_cell_every_thirty_seconds(log):
    log.lines.show(Progress("profile", 0, 3))
    log.clock.now += PATIENCE - 1
    log.lines.remind()
    assert len(log.told()) == 1
    log.clock.now += 1
    log.lines.remind()
    log.lines.remind()
    log.lines.show(Progress("profile", 2, 3))
    log.clock.now += PATIENCE
    log.lines.remind()
    log.lines.show(Progress("profile", 3, 3, "ok"))
    log.clock.now += 10 * PATIENCE
    log.lines.remind()
    assert log.told()[1:] == [
        "02:14:31 small profile: cell 1 of 3, 30 s",
        "02:14:31 small profile: cell 3 of 3, 1:00",
        "02:14:31 small profile: ok, 3/3 cells, 1:00 (1 of 3)",
    ]


def test_each_line_is_written_out_at_once_and_carries_the_time_of_day():
    flushed = []
    stream = SimpleNamespace(write=flushed.append, flush=lambda: flushed.append("flush"))
    with PlainLines(small_plan(), stream) as watcher:
        show = watcher.show
        show(Progress("profile", 3, 3, "cached"))
        watcher.note("building the report")
    assert flushed[1::2] == ["flush"] * 3
    assert flushed[4].endswith(" small: building the report\n")
    assert re.fullmatch(r"\d\d:\d\d:\d\d small: 3 notebooks\n", flushed[0])


def test_signs_from_four_threads_at_once_are_all_counted():
    steps = [SimpleNamespace(name=f"s/{number}", cells=5, output="s", needs=()) for number in range(400)]
    tally = Tally(SimpleNamespace(study="small", steps=steps))

    def work(first):
        for number in range(first, 400, 4):
            for done in range(5):
                tally.take(Progress(f"s/{number}", done, 5))
            tally.take(Progress(f"s/{number}", 5, 5, "ok"))

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tally.share == "400 of 400"
    assert {(view.state, view.done) for view in tally.view().steps} == {("ok", 5)}


def test_the_table_is_drawn_on_a_terminal_and_makes_room_when_the_run_has_ended():
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=60, height=20, color_system=None, legacy_windows=False)
    with LiveTable(small_plan(), console, PLACES) as watcher:
        show = watcher.show
        show(Progress("profile", 3, 3, "cached"))
        show(Progress("district/110", 1, 4))
        watcher.note("building the report")
    drawn = stream.getvalue()
    assert "2 running" not in drawn
    assert "small: 1 of 3 done in 0.0 s: 1 cached, 1 running, 1 waiting\n" in drawn
    assert "110 종로구  running cell 2 of 4" in drawn
    assert "building the report" in drawn
    assert drawn.endswith("\x1b[2K"), "the table is wiped"


def test_after_the_first_signal_to_stop_table_and_lines_say_that_the_run_is_stopping(log):
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=90, height=20, color_system=None, legacy_windows=False)
    with Interrupts(), LiveTable(small_plan(), console, PLACES) as watcher:
        watcher.note("building the report")
        assert "stopping" not in stream.getvalue()
        signal.raise_signal(signal.SIGTERM)
        watcher._live.refresh()
        assert stream.getvalue().rstrip().endswith(STOPPING)
        with log.lines:
            time.sleep(1.3)
    assert [line for line in log.told() if "stopping" in line] == [f"02:14:31 small: {STOPPING}"]


def test_lines_go_where_no_terminal_is(capsys, monkeypatch):
    assert isinstance(screen.progress_of(small_plan()), PlainLines)
    assert screen.width() is None
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(screen.progress_of(small_plan()), PlainLines), "a terminal that cannot be drawn on"
