"""The command on a real terminal (a pty) and off it, with a small study of districts and real kernels."""

import json
import os
import re
import runpy
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.cells import cell_len, get_character_cell_size

if os.name == "nt":
    pytest.skip("pseudo-terminals are of POSIX systems", allow_module_level=True)

import fcntl
import struct
import termios

made = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "handmade_projects.py")))
save = made.save_notebook
SECONDS = 120
STUDY = """
study: small
title: {ko: 작은 연구, en: A small study}
question: {ko: 무엇을?, en: What?}
survey: small
headline: main
parameters: {lang: ko}
designs:
  main: {sample: all}
steps:
  profile: {notebook: 10_profile}
  district: {notebook: 60_district, needs: [profile], matrix: {district: ["110", "140", "680"], year: [2017]}}
  districts: {notebook: 70_districts, needs: [district]}
"""
SURVEY = """
id: small
title: {ko: 작은 조사, en: A small survey}
population: {ko: 모두, en: everybody}
data: synthetic
licence: {ko: 없음, en: none}
source: {ko: 없음, en: none}
citation: Somebody
default_sample: all
samples:
  all: {file: people.csv, title: {ko: 모두, en: all}, rows: 3}
"""
CODES = """list,code,label_ko,label_en
district,110,종로구,Jongno-gu
district,140,중구,Jung-gu
district,680,강남구,Gangnam-gu
"""
REFUSED = """
from evaluation.errors import MarginError
if district == "680":
    raise MarginError("margin 'age_group' has no ['80+'] (target 412,300 persons).\\n  Merge it in margins.csv.")
"""
FACTS = 'district: str = "110"\nyear: int = 2017'


@pytest.fixture
def project(tmp_path):
    """A study of three districts, of which 강남구 fails."""
    root = tmp_path / "project"
    for folder in ("notebooks", "params", "surveys/small"):
        (root / folder).mkdir(parents=True)
    survey = root / "surveys" / "small"
    for file, text in {
        root / "pyproject.toml": "[tool.evaluation]\n",
        root / "requirements.lock": "nothing\n",
        root / "params" / "small.yml": STUDY,
        survey / "survey.yml": SURVEY,
        survey / "codebook.csv": "variable,kind,label_en,codes\ndistrict,categorical,District,district\n",
        survey / "codes.csv": CODES,
        survey / "people.csv": "district\n110\n140\n680\n",
    }.items():
        file.write_text(text, encoding="utf-8")
    save(root, "10_profile", ["1"])
    save(root, "60_district", ["import time; time.sleep(0.4)", REFUSED, "district, year"], FACTS)
    save(root, "70_districts", ["1"])
    return root


def environment(root, **more):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("EVALUATION_", "COLUMNS"))}
    for name in ("NO_COLOR", "FORCE_COLOR", "LINES"):
        inherited.pop(name, None)
    return inherited | {"EVALUATION_PROJECT": str(root), "PYTHONUTF8": "1", "TERM": "xterm-256color"} | more


def command(*arguments):
    return [sys.executable, "-m", "evaluation.cli", *arguments]


def off_terminal(root, *arguments):
    return subprocess.run(
        command(*arguments),
        cwd=root,
        env=environment(root),
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
        check=False,
    )


class Screen:
    """What stands on a terminal: enough of one for a table that is drawn over itself."""

    def __init__(self, width):
        self.width, self.rows, self.row, self.column = width, [[]], 0, 0

    def feed(self, text):
        for match in re.finditer(r"\x1b\[\??([0-9;]*)([A-Za-z])|([^\x1b])", text, re.S):
            number, letter, character = match.groups()
            if letter == "A":
                self.row = max(0, self.row - int(number or 1))
            elif letter == "K":
                self.rows[self.row] = []
            elif character == "\r":
                self.column = 0
            elif character == "\n":
                self.down()
            elif character:
                self.put(character)

    def put(self, character):
        wide = get_character_cell_size(character)
        if self.column + wide > self.width:
            self.column = 0
            self.down()
        row = self.rows[self.row]
        row.extend(" " * (self.column - len(row)))
        row[self.column : self.column + wide] = [character, *[""] * (wide - 1)]
        self.column += wide

    def down(self):
        self.row += 1
        if self.row == len(self.rows):
            self.rows.append([])

    def text(self):
        return "\n".join("".join(row).rstrip() for row in self.rows)


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, root, *arguments, width=80, height=24, **more):
        self.screen, self.frames, self.raw = Screen(width), [], ""
        self.master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self.process = subprocess.Popen(
            command(*arguments),
            cwd=root,
            env=environment(root, **more),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)

    def read(self, until=None):
        """Read on to the end, or until a text stands on the screen."""
        end, held = time.monotonic() + SECONDS, b""
        while time.monotonic() < end:
            if select.select([self.master], [], [], 0.2)[0]:
                try:
                    held += os.read(self.master, 65536)
                except OSError:
                    break
                try:
                    text, held = held.decode("utf-8"), b""
                except UnicodeDecodeError:
                    continue
                self.raw += text
                self.screen.feed(text)
                self.frames.append(self.screen.text())
                if until is not None and until in self.frames[-1]:
                    return self
        assert until is None, f"'{until}' never stood on the terminal:\n{self.screen.text()}"
        self.code = self.process.wait(timeout=SECONDS)
        os.close(self.master)
        return self

    def press(self, keys):
        os.write(self.master, keys)


def test_a_live_table_while_it_runs_and_the_report_in_its_place_when_it_has_ended(project):
    terminal = Terminal(project, "run", "small", "--jobs", "2").read()
    assert terminal.code == 1
    while_running = "\n".join(terminal.frames)
    assert re.search(r"^small: \d of 5 done in .*(running|waiting)", while_running, re.M)
    assert re.search(r"^    110_2017 종로구 +running cell \d of \d, ", while_running, re.M)
    assert re.search(r"^  district \(3\) +[━─]+  .*\d waiting$", while_running, re.M)
    last = terminal.screen.text()
    assert "done in" not in last, "the table has made room"
    assert last.startswith("\nsmall, run 1: FAILED after")
    assert "5 of 5 notebooks: 3 ok, 1 failed, 1 blocked\n" in last
    assert "  district/680_2017, 강남구 (Gangnam-gu): failed in cell [4] of 5 after" in last
    assert "    outputs/failed/small/notebooks/60_district/680_2017.ipynb, cell [4]\n" in last
    assert "    MarginError: margin 'age_group' has no ['80+'] (target 412,300 persons).\n" in last
    assert "  districts: needs district/680_2017 강남구 (failed)\n" in last
    assert all(cell_len(line) <= 80 for frame in terminal.frames for line in frame.splitlines())
    assert "\x1b[1;31m" in terminal.raw, "failures are red"
    assert (project / "outputs/failed/small/notebooks/60_district/680_2017.ipynb").is_file()


def test_a_narrow_terminal_without_colours(project):
    save(project, "60_district", ["district"], FACTS)
    terminal = Terminal(project, "run", "small", width=40, height=10, NO_COLOR="1").read()
    assert terminal.code == 0
    assert "\x1b[3" not in terminal.raw.replace("\x1b[3A", ""), "no colour"
    assert "5 of 5 notebooks: 5 ok" in terminal.screen.text()
    assert terminal.screen.text().strip().endswith("small: ok,\n  outputs/small/report/index.html")


def test_off_a_terminal_a_notebook_takes_two_lines_and_the_page_follows(project):
    done = off_terminal(project, "run", "small")
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    log = lines[: lines.index("")]
    assert all(re.match(r"\d\d:\d\d:\d\d small", line) for line in log)
    assert len(log) == 1 + 2 * 4 + 1, "a start and an end for each that ran, one line for the blocked one"
    assert sum("district/110_2017 종로구: starts, 5 cells" in line for line in log) == 1
    assert any(re.search(r"district/680_2017 강남구: FAILED in cell \[4\] of 5, .*: MarginError", line) for line in log)
    assert log[-1].endswith("small districts: blocked, needs district/680_2017 (5 of 5)")
    assert "5 of 5 notebooks: 3 ok, 1 failed, 1 blocked" in lines
    assert "\x1b" not in done.stdout
    told = off_terminal(project, "status", "small")
    assert told.returncode == 0
    assert told.stdout.splitlines() == lines[lines.index("") + 1 :], "status prints the same page"


def test_a_part_that_failed_is_run_again_by_the_command_that_was_given_in_status_too(project):
    done = off_terminal(project, "run", "small", "--only", "district/680_2017", "-p", "lang=en")
    told = off_terminal(project, "status", "small")
    for text in (done.stdout, told.stdout):
        assert "  evaluation run small --only district/680_2017 -p lang=en\n" in text
        assert "2 of 2 notebooks, only a part of the study: 1 ok, 1 failed\n" in text
        assert "district/680_2017, Gangnam-gu (강남구)" in text
    assert "district/680_2017 Gangnam-gu 강남구: FAILED in cell [4]" in done.stdout


@pytest.mark.parametrize("stop", ["ctrl-c", "the window is closed"])
def test_a_batch_stopped_once_ends_in_good_order_with_130(project, stop):
    save(project, "60_district", ["import time; time.sleep(600)"], FACTS)
    terminal = Terminal(project, "run", "small", "--jobs", "1").read(until="110_2017 종로구  running cell 3")
    if stop == "ctrl-c":
        terminal.press(b"\x03")
    else:
        terminal.process.send_signal(signal.SIGHUP)
    terminal.read()
    last = terminal.screen.text()
    assert terminal.code == 130
    assert "small, run 1: CANCELLED after" in last
    assert "5 of 5 notebooks: 1 ok, 4 cancelled" in last
    assert "  district/110_2017, 종로구 (Jongno-gu): cell 3 of 3" in last
    assert "Never ran (3)\n" in last
    assert "small: cancelled; this run is kept in outputs/failed/small," in last


def test_status_tells_of_a_running_batch_and_of_a_dead_one(project):
    save(project, "60_district", ["import time; time.sleep(600)"], FACTS)
    terminal = Terminal(project, "run", "small", "--jobs", "1").read(until="110_2017 종로구  running cell 3")
    running = off_terminal(project, "status", "small")
    assert running.returncode == 0
    assert re.match(
        rf"small, run 1: running for .*, last sign of life .* ago \(process {terminal.process.pid}\)\n", running.stdout
    )
    assert "5 of 5 notebooks: 1 ok, 1 running, 3 waiting\n" in running.stdout
    assert "Running now (1)\n  district/110_2017, 종로구 (Jongno-gu): cell 3 of 3, " in running.stdout, "and how long"
    refused = off_terminal(project, "run", "small")
    assert refused.returncode == 2
    assert f"'small' is being run already by process {terminal.process.pid}" in refused.stderr
    terminal.process.kill()
    terminal.process.wait()
    dead = off_terminal(project, "status")
    assert dead.returncode == 0
    assert "DEAD after" in dead.stdout
    assert f"process {terminal.process.pid} ended before the run did" in dead.stdout
    assert "5 of 5 notebooks: 1 ok, 1 interrupted, 3 waiting\n" in dead.stdout
    assert "Under way when the process died (1)\n  district/110_2017, 종로구" in dead.stdout
    assert "Next: run again, 1 notebook that ended well is kept:\n  evaluation run small\n" in dead.stdout


def test_status_of_all_names_studies_that_never_ran(project):
    shutil.copyfile(project / "params/small.yml", project / "params/other.yml")
    other = project / "params" / "other.yml"
    other.write_text(STUDY.replace("study: small", "study: other"), encoding="utf-8")
    done = off_terminal(project, "status")
    assert done.returncode == 0
    assert "other: no run of 'other' yet. Make one: evaluation run other\n" in done.stdout
    assert "small: no run of 'small' yet" in done.stdout


def test_of_several_studies_one_that_is_being_run_does_not_stop_the_others(project):
    (project / "params" / "other.yml").write_text(STUDY.replace("study: small", "study: other"), encoding="utf-8")
    save(project, "60_district", ["district"], FACTS)
    staging = project / "outputs" / ".staging"
    staging.mkdir(parents=True)
    with (staging / "other.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = off_terminal(project, "run")
    assert done.returncode == 2
    lines = done.stdout.splitlines()
    assert lines[-2].startswith("other: did not run. StudyError: 'other' is being run already")
    assert lines[-1] == "small: ok, outputs/small/report/index.html"


def test_a_reader_who_goes_away_stops_neither_the_run_nor_its_exit_code(project):
    save(project, "60_district", ["district"], FACTS)
    arguments = " ".join(f"'{part}'" for part in command("run", "small"))
    shell = f"set -o pipefail; {arguments} | head -1"
    done = subprocess.run(
        ["bash", "-c", shell], cwd=project, env=environment(project), capture_output=True, encoding="utf-8", check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1
    assert json.loads((project / "outputs/small/manifest.json").read_text(encoding="utf-8"))["state"] == "ok"
