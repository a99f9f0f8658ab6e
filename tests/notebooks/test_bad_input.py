"""What is wrong with a study's input is told in the command's own output, and good old outputs are left alone.

Each fault is planted in a copy of the project and met through the command ``evaluation run``, in a process
of its own and with real kernels. The runs are started two at a time when the first test asks for one.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("pyproject.toml", "requirements.lock", "notebooks", "params", "surveys")
STUDY = "params/api_2000.yml"
SURVEY = "surveys/api_2000"
SAMPLE = f"{SURVEY}/apiclus1.csv"
MARGINS = f"{SURVEY}/margins.csv"
SECONDS = 300

#: What stood in outputs/api_2000 before; a run that fails must not touch a byte of it.
EARLIER = {
    "manifest.json": b'{"state": "ok"}\n',
    "estimates/headline.json": b"[644.169]\n",
    "figures/headline.png": bytes(range(256)),
    "report/index.html": "<p>학교 6,194곳</p>\n".encode(),
}


class Copy:
    """A copy of the project, to be spoilt."""

    def __init__(self, root):
        self.root = root
        root.mkdir(exist_ok=True)
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, root / name)
            else:
                shutil.copyfile(ROOT / name, root / name)
        for name, content in EARLIER.items():
            place = root / "outputs" / "api_2000" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
            os.utime(place, ns=(1_000_000_000_123_456_789, 1_000_000_000_123_456_789))

    def replace(self, file, old, new):
        path = self.root / file
        content = path.read_bytes()
        assert content.count(old.encode()) >= 1, f"{file} holds no {old!r} to be spoilt"
        path.write_bytes(content.replace(old.encode(), new.encode(), 1))

    def append(self, file, *lines):
        path = self.root / file
        content = path.read_bytes()
        end = b"" if content.endswith(b"\n") else b"\n"
        path.write_bytes(content + end + "".join(f"{line}\n" for line in lines).encode())

    def halve(self, file):
        path = self.root / file
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])

    def state_its_hash(self):
        """Make survey.yml say that the spoilt file is the one that is meant, so that reading goes on."""
        found = hashlib.sha256((self.root / SAMPLE).read_bytes()).hexdigest()
        path = self.root / SURVEY / "survey.yml"
        text = path.read_text(encoding="utf-8")
        changed, times = re.subn(r'(file: apiclus1\.csv.*?sha256: ")[0-9a-f]{64}', rf"\g<1>{found}", text, flags=re.S)
        assert times == 1
        path.write_bytes(changed.encode("utf-8"))

    def state(self, folder="."):
        """Every file below a folder with its bytes and the time it was last written."""
        return {
            path.relative_to(self.root).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
            for path in sorted((self.root / folder).rglob("*"))
            if path.is_file()
        }


@dataclass(frozen=True)
class Run:
    code: int
    out: str
    err: str
    before: dict
    after: dict
    files_before: dict
    files_after: dict


def run(copy, *arguments):
    earlier, files = copy.state("outputs/api_2000"), copy.state()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EVALUATION_")}
    environment |= {"EVALUATION_PROJECT": str(copy.root), "PYTHONUTF8": "1"}
    ended = subprocess.run(
        [sys.executable, "-m", "evaluation.cli", "run", "api_2000", *arguments],
        cwd=copy.root.parent,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
        check=False,
    )
    after = copy.state("outputs/api_2000")
    return Run(ended.returncode, ended.stdout, ended.stderr, earlier, after, files, copy.state())


def absent_column(copy):
    copy.replace(SAMPLE, ",api00,", ",api_00,")
    copy.state_its_hash()


def unknown_code(copy):
    for school in ("01612910137588,H", "01612916002372,E"):
        copy.replace(SAMPLE, school, school[:-1] + "K")
    copy.state_its_hash()


def several_faults(copy):
    absent_column(copy)
    unknown_code(copy)


def other_file(copy):
    copy.halve(SAMPLE)


def cut_off_file(copy):
    copy.halve(SAMPLE)
    copy.state_its_hash()


def margins_that_disagree(copy):
    copy.replace(MARGINS, "total,,6194,", "total,,6149,")


def margin_without_respondents(copy):
    # 55 of the 755 high schools become a type that the sample does not hold; all sums still agree.
    copy.replace(MARGINS, "stype,H,755,", "stype,H,700,")
    copy.replace(MARGINS, "stype:sch.wide,H:Yes,421,", "stype:sch.wide,H:Yes,366,")
    copy.replace(MARGINS, "stype:awards,H:Yes,288,", "stype:awards,H:Yes,233,")
    added = ("stype,K", "stype:sch.wide,K:Yes", "stype:awards,K:Yes")
    copy.append(MARGINS, *(f"{cell},55,schools,planted" for cell in added))


def unit_in_two_strata(copy):
    copy.replace(STUDY, "    sample: apiclus1\n", "    sample: apiclus1\n    strata: stype\n")


#: fault -> (how it is planted, step to run, class of the error, what its message must hold)
FAULTS = {
    "absent column": (
        absent_column,
        "profile",
        "CodebookError",
        (
            "surveys/api_2000/apiclus1.csv: 'api00' expects the column 'api00', which the file lacks.",
            "Did you mean 'api_00'?",
            "under source_name in codebook.csv",
        ),
    ),
    "unknown code": (
        unknown_code,
        "profile",
        "CodebookError",
        (
            "surveys/api_2000/apiclus1.csv: 'stype' holds value K "
            "(2 rows: cds 01612910137588, 01612916002372), not in its codebook [E, H, M].",
            "Add the code to codes.csv, or list K under missing_codes in codebook.csv",
        ),
    ),
    "several faults": (
        several_faults,
        "profile",
        "CodebookError",
        (
            "surveys/api_2000/apiclus1.csv contradicts its codebook in 2 points:\n",
            "\n    - 'api00' expects the column 'api00'",
            "\n    - 'stype' holds value K (2 rows",
        ),
    ),
    "another file than described": (
        other_file,
        "profile",
        "SourceError",
        (
            "surveys/api_2000/apiclus1.csv is not the file that survey.yml describes: expected SHA-256 7d64808253b4...",
            "Restore the file; or, if it was replaced on purpose, state the new hash in survey.yml",
        ),
    ),
    "cut-off file": (
        cut_off_file,
        "profile",
        "SourceError",
        (
            "apiclus1.csv: row 94 (the first row counted) has 10 columns, expected 28 as in the first row.",
            "The file is cut off",
            "copy it again from its source",
        ),
    ),
    "margins that disagree": (
        margins_that_disagree,
        "weighting",
        "MarginError",
        (
            "surveys/api_2000/margins.csv: margins must share one total, but 'total' adds up to 6,149 "
            "and 'stype' to 6,194 (difference 45).",
            "Take both from the same population and date.",
        ),
    ),
    "margin without respondents": (
        margin_without_respondents,
        "weighting",
        "MarginError",
        (
            "margin 'stype' has levels absent from the sample: ['K'] (target 55 schools, 0 respondents).",
            "\n      Merge it with 'M' in surveys/api_2000/margins.csv, or drop the margin.",
        ),
    ),
    "unit in two strata": (
        unit_in_two_strata,
        "profile",
        "DesignError",
        (
            "12 PSU ids of 'dnum' stand in more than one stratum of 'stype' (first: [61, 178, 197]).",
            "nested",
            "correct the ids",
        ),
    ),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """``runs(fault)`` is what became of the run with that fault."""
    pool = ThreadPoolExecutor(max_workers=2)

    def spoilt(fault):
        plant, step, *_ = FAULTS[fault]
        copy = Copy(tmp_path_factory.mktemp("fault", numbered=True))
        plant(copy)
        return run(copy, "--only", step)

    started = {fault: pool.submit(spoilt, fault) for fault in FAULTS}
    yield lambda fault: started[fault].result(timeout=SECONDS)
    pool.shutdown(cancel_futures=True)


#: Faults that the plan finds, before anything runs.
FOUND_BY_THE_PLAN = {"margins that disagree"}


@pytest.mark.parametrize("fault", sorted(FOUND_BY_THE_PLAN))
def test_a_fault_of_the_margins_is_found_before_anything_runs(runs, fault):
    _, _, error, parts = FAULTS[fault]
    met = runs(fault)
    assert (met.code, met.out) == (2, "")
    assert met.err.startswith(f"{error}: ")
    for part in parts:
        assert part in met.err
    assert "Traceback" not in met.err
    assert set(met.before) == {f"outputs/api_2000/{name}" for name in EARLIER}
    assert met.files_after == met.files_before


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault not in FOUND_BY_THE_PLAN])
def test_a_fault_of_the_input_is_told_in_the_output_of_the_command_and_old_outputs_stand(runs, fault):
    _, step, error, parts = FAULTS[fault]
    met = runs(fault)
    assert met.code == 1, met.out + met.err
    assert met.err == ""
    notebook = {"profile": "10_profile", "weighting": "20_weighting"}[step]
    assert re.search(rf"^  {step}: failed in cell \[\d+\] of \d+ after [\d.:]+( s)?$", met.out, re.M)
    assert re.search(rf"^    outputs/failed/api_2000/notebooks/{notebook}\.ipynb, cell \[\d+\]$", met.out, re.M)
    assert f"\n    {error}: " in met.out
    for part in parts:
        assert part in met.out
    assert "Traceback" not in met.out
    assert met.out.splitlines()[-1] == (
        "api_2000: failed; this run is kept in outputs/failed/api_2000, outputs/api_2000 was not touched"
    )
    assert set(met.before) == {f"outputs/api_2000/{name}" for name in EARLIER}
    assert met.after == met.before
    # The lock of a run stays behind; without a holder it means nothing.
    own = ("outputs/failed/api_2000/", "outputs/.staging/api_2000.lock")
    outside = {name: kept for name, kept in met.files_after.items() if not name.startswith(own)}
    assert outside == met.files_before


@pytest.mark.parametrize("fault", ["absent column", "cut-off file"])
def test_no_respondents_answers_stand_in_an_error(runs, fault):
    """The message of a broken row names the row; what the respondent answered stays in the file."""
    assert "San Diego" not in runs(fault).out
    assert "Alameda" not in runs(fault).out


def test_a_failed_run_keeps_the_executed_notebook_with_its_traceback(runs):
    met = runs("unknown code")
    kept = met.files_after["outputs/failed/api_2000/notebooks/10_profile.ipynb"][0].decode("utf-8")
    assert '"output_type": "error"' in kept
    assert '"ename": "CodebookError"' in kept
    assert "'stype' holds value K" in kept


@pytest.mark.parametrize(
    ("spoil", "arguments", "parts"),
    [
        pytest.param(
            lambda copy: copy.replace(STUDY, "  trim_upper: 2.0", "  trim_uper: 2.0"),
            (),
            [
                "StudyError: params/api_2000.yml, parameters: unknown parameter 'trim_uper', no notebook declares it. "
                "Did you mean 'trim_upper'?"
            ],
            id="unknown in the study file",
        ),
        pytest.param(
            lambda copy: copy.replace(STUDY, "  trim_upper: 2.0", '  trim_upper: "2.0"'),
            (),
            ["StudyError: params/api_2000.yml, parameters: 'trim_upper' must be a number (float), got the text '2.0'."],
            id="wrong type in the study file",
        ),
        pytest.param(
            lambda copy: None,
            ("-p", "trim_uper=3"),
            [
                "StudyError: -p trim_uper=3 (params/api_2000.yml): unknown parameter 'trim_uper'. "
                "Did you mean 'trim_upper'?"
            ],
            id="unknown on the command line",
        ),
        pytest.param(
            lambda copy: None,
            ("-p", "trim_upper=two"),
            ["StudyError: -p trim_upper=two (params/api_2000.yml): 'trim_upper' must be a number (float), got"],
            id="wrong type on the command line",
        ),
        pytest.param(
            lambda copy: copy.replace(STUDY, "parameters:\n", "parameters\n"),
            (),
            ["ProjectError: api_2000.yml, line 15: not valid YAML (could not find expected ':'). Correct it there."],
            id="no YAML",
        ),
        pytest.param(
            lambda copy: copy.halve("notebooks/20_weighting.ipynb"),
            (),
            ["StudyError: params/api_2000.yml, step 'weighting': notebooks/20_weighting.ipynb is not a notebook"],
            id="cut-off notebook",
        ),
    ],
)
def test_a_wrong_parameter_or_study_is_found_before_anything_is_written(tmp_path, spoil, arguments, parts):
    copy = Copy(tmp_path / "project")
    spoil(copy)
    met = run(copy, *arguments)
    assert (met.code, met.out) == (2, "")
    for part in parts:
        assert part in met.err
    assert met.err.count("\n") == 1, "one cause, one line"
    assert met.files_after == met.files_before
