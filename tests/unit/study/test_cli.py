import os
import re
import signal
import subprocess
import sys
import time

import pytest

from evaluation import cli
from evaluation.study.manifest import MANIFEST

COMMON = 'study: str = "small"\nlang: str = "en"'


def command(project, *arguments):
    process = start(project, *arguments)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def start(project, *arguments):
    environment = os.environ | {"PYTHONUTF8": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "evaluation.cli", *arguments],
        cwd=project.root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


@pytest.fixture
def called(monkeypatch, capsys):
    """``called(arguments)`` runs the command in this process: exit code, output, errors."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["evaluation", *arguments])
        monkeypatch.setattr(signal, "signal", lambda *_: None)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return ended.value.code, captured.out, captured.err

    return call


def test_bad_input_is_one_clean_message_and_exit_2(project, called):
    before = project.files()
    code, out, err = called("run", "small", "-p", "trim_uper=3")
    assert (code, out) == (2, "")
    assert "unknown parameter 'trim_uper'. Did you mean 'trim_upper'?" in err
    assert "Traceback" not in err
    for arguments, message in {
        ("run", "smal"): "no study 'smal'",
        ("run", "small", "-p", "trim_upper"): "expected NAME=VALUE",
        ("run", "small", "-p", "lang=ko", "-p", "lang=en"): "'lang' is given twice",
        ("plan", "smal"): "Did you mean 'small'?",
        ("status", "small"): "no run of 'small' yet. Make one: evaluation run small",
        ("report", "small"): "no run of 'small' yet",
        ("validate", "small"): "nothing is published for 'small'",
        ("run", "--jbs", "3"): "--jobs",
        ("run", "small", "--kernel", "warm"): "plain",
        ("status", "smal"): "Did you mean 'small'?",
        ("compare", "smal", "small"): "no study 'smal'",
        ("compare", "small", "small"): "'small' has no good run to read",
        ("sign-off", "small", "--name", "Kim", "--role", "analyst"): "--checked",
    }.items():
        code, _, err = called(*arguments)
        assert (code, message in err, "Traceback" in err) == (2, True, False), (arguments, err)
    assert project.files() == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("accept", "small", "--reason", "recoded", "--by", "Kim"),
        ("sign-off", "small", "--name", "Kim", "--role", "analyst", "--checked", "all"),
    ],
)
def test_without_a_good_run_there_is_nothing_to_accept_or_sign(project, called, arguments):
    code, out, err = called(*arguments)
    assert (code, out) == (2, "")
    assert "small" in err
    assert "Traceback" not in err


def test_a_project_without_studies_says_so(project, called):
    (project.root / "params" / "small.yml").unlink()
    code, _, err = called("run")
    assert code == 2
    assert "params/ holds no study" in err


def test_plan_prints_what_would_run_and_why_and_writes_nothing(project, called):
    before = project.files()
    code, out, _ = called("plan", "small")
    assert (code, project.files()) == (0, before)
    assert out.splitlines() == [
        "small: 2 notebooks; 2 to run",
        "profile    run      never run",
        "weighting  run      never run",
    ]


def test_plan_prints_notebooks_needs_and_parameters_with_v(project, called):
    code, out, _ = called("plan", "small", "-p", "trim_upper=3", "-v")
    assert code == 0
    assert [line for line in out.splitlines() if line.startswith(" ")] == [
        "  notebooks/10_profile.ipynb, 3 cells",
        "    study = 'small'",
        "    lang = 'ko'",
        "  notebooks/20_weighting.ipynb, 3 cells, after profile",
        "    study = 'small'",
        "    lang = 'ko'",
        "    trim_upper = 3.0  # multiple of the median weight",
        "    replicates = 500  (default)",
        "    label = '011'",
        "    is_quick = False  (default)",
    ]


@pytest.mark.parametrize("verb", ["plan", "run"])
def test_a_misspelt_weighting_verb_is_told_before_anything_runs(project, called, verb):
    project.replaced("- trim_weights: {upper", "- trim_weight: {upper")
    before = project.files()
    code, _, err = called(verb, "small")
    assert (code, project.files()) == (2, before)
    assert "design 'final': unknown weighting verb 'trim_weight'. Did you mean 'trim_weights'?" in err


def test_a_failing_run_prints_a_line_per_start_and_end_and_a_page_that_status_prints_again(project):
    project.notebook("10_profile", COMMON, code="raise ValueError('no 80+\\nmerge it')")
    code, out, err = command(project, "run", "small")
    assert (code, err) == (1, "")
    log, _, page = out.partition("\n\n")
    said = [re.sub(r"^\d\d:\d\d:\d\d |, \d+(\.\d)? s", "", line) for line in log.splitlines()]
    assert said == [
        "small: 2 notebooks",
        "small profile: starts, 3 cells (never run)",
        "small profile: FAILED in cell [3] of 3: ValueError: no 80+ (1 of 2)",
        "small weighting: blocked, needs profile (2 of 2)",
    ]
    assert "2 of 2 notebooks: 1 failed, 1 blocked\n" in page
    assert re.search(r"^profile +failed +2/3 +\d+(\.\d)? s$", page, re.MULTILINE)
    assert re.search(r"^weighting +blocked +0/3 *$", page, re.MULTILINE)
    assert (
        "    outputs/failed/small/notebooks/10_profile.ipynb, cell [3]\n    ValueError: no 80+\n    merge it\n" in page
    )
    assert "  weighting: needs profile (failed)\n" in page
    assert page.splitlines()[-1].startswith("small: failed; this run is kept in outputs/failed/small")
    assert (project.root / "outputs" / "failed" / "small" / MANIFEST).is_file()
    code, status, _ = command(project, "status", "small")
    assert (code, status) == (0, page)


@pytest.mark.skipif(os.name == "nt", reason="sends the signal that Ctrl-C sends on POSIX systems")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_exits_with_130_and_leaves_no_kernel(project, number):
    sleeping = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(600)"
    project.notebook("10_profile", COMMON, code=sleeping)
    process = start(project, "run", "small")
    note = project.root / "pid"
    end = time.monotonic() + 60
    while not (note.exists() and note.read_text(encoding="utf-8")) and time.monotonic() < end:
        time.sleep(0.1)
    kernel = int(note.read_text(encoding="utf-8"))
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
    assert re.search(r"^profile +cancelled +2/3", out, re.MULTILINE)
    assert "2 of 2 notebooks: 2 cancelled\n" in out
    with pytest.raises(ProcessLookupError):
        os.kill(kernel, 0)
