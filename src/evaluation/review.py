"""A reviewer's run: recompute a study in a clean place and hold it against its claims; accept a run as published."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluation import project
from evaluation.claims.numbers import read_numbers
from evaluation.claims.register import read_claims
from evaluation.claims.report import ClaimsReport, check_claims
from evaluation.errors import EvaluationError, ProjectError
from evaluation.releases.cells import is_same
from evaluation.releases.errata import (
    ERRATA,
    append_errata,
    corrections,
    errata_of,
    read_errata,
    recorded_errata,
    require_reason,
)
from evaluation.releases.lasting import altered_file, is_kept, is_published, lasting, published_outputs
from evaluation.releases.signoff import append_signoffs, read_signoffs
from evaluation.results import plain
from evaluation.specification import RESOLVED
from evaluation.study.lock import holding
from evaluation.study.manifest import outcomes_of, read_manifest

#: Numbers never published before that are named one by one; of those that changed, each is.
MOST_NEW = 20
#: What a clean copy of the project holds, beside the package itself. No outputs, no scratch.
INGREDIENTS = ("notebooks", "params", "surveys", "pyproject.toml", "requirements.lock")

_LEFT_OUT = shutil.ignore_patterns("generated", "__pycache__", ".ipynb_checkpoints")
_OWN_VARIABLES = (project.PROJECT_VARIABLE, project.RUN_VARIABLE, project.STEP_VARIABLE)

#: The ``conftest.py`` of a published run.
CONFTEST = '''"""Holds this published run against its notebooks: python -m pytest --nbval outputs/reference/{study}"""

from pathlib import Path

import pytest

from evaluation.comparator.differences import Tolerance
from evaluation.comparator.reference import ReferenceFolder

# Of numbers at full precision; a number in a notebook may be off by one unit of its last displayed place.
TOLERANCE = Tolerance(rtol=1e-9, atol=1e-12, picture=2.0, tile=20.0)


def pytest_configure(config: pytest.Config) -> None:
    """Join the pytest run."""
    ReferenceFolder(Path(__file__).parent, tolerance=TOLERANCE, cell_timeout=120).register(config)
'''


@dataclass(frozen=True)
class Review:
    """What a reviewer's run found.

    Attributes
    ----------
    study : str
        Id of the study.
    claims : ClaimsReport
        Every printed number with its verdict.
    states : dict of str to str
        What became of each step.
    problem : str
        Why the run itself is not ok; empty where it is.
    folder : Path
        Holds ``review.json``, ``review.csv`` and the reviewer's run in ``run/``.
    """

    study: str
    claims: ClaimsReport
    states: Mapping[str, str]
    problem: str
    folder: Path = field(repr=False)

    @property
    def exit_code(self) -> int:
        """0 only where the run is ok, what is marked as reproducible is, and findings are as the register says."""
        return int(bool(self.problem) or not self.claims.all_reproduced)

    def summary(self) -> str:
        """Return the review as plain text, claim by claim, the conclusion last."""
        steps = ", ".join(f"{step} {state}" for step, state in self.states.items()) or "none"
        lines = [f"{self.study}, recomputed in a clean copy of the project. Steps: {steps}.", "", self.claims.summary()]
        return "\n".join([*lines, *([self.problem] if self.problem else []), self.claims.conclusion()])

    def to_dict(self) -> dict[str, Any]:
        """Return what lands in ``review.json``: no date, no absolute path."""
        rows = self.claims.tidy().to_dict("records")
        return {
            "study": self.study,
            "exit_code": self.exit_code,
            "problem": self.problem,
            "steps": dict(self.states),
            "counts": self.claims.counts(),
            "all_reproduced": self.claims.all_reproduced,
            "claims": [{str(name): plain(value) for name, value in row.items()} for row in rows],
        }


def review_study(study_id: str, *, out: Path | None = None) -> Review:
    """Recompute a study from nothing but its ingredients and check every printed number.

    The project's notebooks, parameters and surveys are copied to a temporary folder, and the study is
    run there in a process of its own that sees neither earlier outputs nor scratch.

    Parameters
    ----------
    study_id : str
        Stem of a file in ``params/``.
    out : Path, optional
        Folder for ``review.json``, ``review.csv`` and the run; by default ``outputs/review/<study_id>``.
        An earlier review there is replaced.

    Returns
    -------
    Review
        Also where the run failed; then ``problem`` says why.

    Raises
    ------
    ClaimError
        Where the study has no register of claims, or one with faults; nothing is run then.
    ProjectError
        Where there is no such study, or ``out`` holds something that is no earlier review.
    """
    project.study_file(study_id)
    read_claims(study_id)
    folder = project.project_root() / "outputs" / "review" / study_id if out is None else Path(out)
    _require_free(folder)
    with tempfile.TemporaryDirectory(prefix="evaluation-review-", ignore_cleanup_errors=True) as temporary:
        root = Path(temporary).resolve() / "project"
        _copy_ingredients(root)
        code = _run_there(root, study_id)
        good, failed, skipped = (root / "outputs" / place / study_id for place in ("", "failed", "skipped"))
        run = skipped if skipped.is_dir() else good if code == 0 else failed
        states, problem = _became(run, code)
        review = Review(study_id, check_claims(study_id, run), states, problem, folder)
        _save(review, run)
    return review


def _require_free(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / "review.json").is_file())):
        raise ProjectError(f"the folder for the review holds something else: {folder}. Name a new one with --out.")


def _copy_ingredients(root: Path) -> None:
    root.mkdir()
    for name in INGREDIENTS:
        source = project.project_root() / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=_LEFT_OUT)
        elif source.is_file():
            shutil.copyfile(source, root / name)


def _run_there(root: Path, study_id: str) -> int:
    environment = {name: value for name, value in os.environ.items() if name not in _OWN_VARIABLES}
    environment |= {project.PROJECT_VARIABLE: str(root), "PYTHONUTF8": "1"}
    command = [sys.executable, "-m", "evaluation.cli", "run", study_id]
    return subprocess.run(command, cwd=root, env=environment, check=False).returncode


def _became(run: Path, code: int) -> tuple[dict[str, str], str]:
    """Return the state of each step, and what is wrong with the run in one line."""
    if not (run / project.MANIFEST).is_file():
        return {}, f"The run did not start (exit code {code}); the message above says why."
    outcomes = outcomes_of(read_manifest(run))
    if outcomes and all(o.state == "skipped" for o in outcomes):
        return {o.step: o.state for o in outcomes}, f"Nothing was recomputed: {outcomes[0].reason}"
    wrong = [f"step '{o.step}' {o.state}: {o.reason}".rstrip(":. ") for o in outcomes if o.state != "ok"]
    if code != 0 and not wrong:
        wrong = [f"exit code {code} after the last step"]
    return {o.step: o.state for o in outcomes}, f"The run failed: {'; '.join(wrong)}." if wrong else ""


def _save(review: Review, run: Path) -> None:
    folder = review.folder
    shutil.rmtree(folder / "run", ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    if run.is_dir():
        shutil.copytree(run, folder / "run")
    record = json.dumps(review.to_dict(), ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    (folder / "review.csv").write_bytes(review.claims.tidy().to_csv(index=False, lineterminator="\n").encode("utf-8"))
    (folder / "review.json").write_bytes(record.encode("utf-8"))


def accept_run(study_id: str, *, reason: str = "", by: str = "", on: datetime.date | None = None) -> str:
    """Make the last good run of a study the published one, ``outputs/reference/<study_id>``.

    Published are the executed notebooks, estimates, tables, figures, the study as it was resolved and
    the manifest; neither the report nor ``restricted/``. Files of the published folder that no run
    writes, its ``conftest.py`` with the study's tolerances among them, are kept. A published number that
    changes or goes is a correction: ``errata.csv`` keeps the old one with date and reason. Sign-offs of
    the run are published with it.

    Parameters
    ----------
    study_id : str
        Stem of a file in ``params/``.
    reason : str
        Why published numbers change; needed where one does.
    by : str
        Who says so; by default whoever signed the run off last.
    on : datetime.date, optional
        Date of the corrections; today where nothing is given.

    Returns
    -------
    str
        Which numbers differ from those published before: address, old, new; and which other files.

    Raises
    ------
    ProjectError
        Where there is no complete good run, a file of it was changed after the run, a published number
        changes without a reason, or ``errata.csv`` or ``signoff.yml`` cannot be read. The published run
        stays as it was.
    StudyError
        Where the study is being run now.
    """
    project.study_file(study_id)
    with holding(study_id):
        return _accept(study_id, reason, by, on)


def _accept(study_id: str, reason: str, by: str, on: datetime.date | None) -> str:
    outputs = project.project_root() / "outputs"
    run, place = outputs / study_id, outputs / "reference" / study_id
    manifest = read_manifest(run)
    _require_good(study_id, run, manifest)
    _require_unaltered(study_id, place)
    new = place.with_name(f".{study_id}.new")
    shutil.rmtree(new, ignore_errors=True)
    try:
        _stage(study_id, run, manifest, place, new)
        told = _differences(study_id, place, new)
        found = corrections(study_id, place, new)
        require_reason(study_id, found, reason)
        append_errata(new, recorded_errata(study_id, run))
        append_errata(new, errata_of(found, reason, by or _last_signer(run, manifest), on))
        append_signoffs(new, read_signoffs(run))
        _swap(new, place)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    append_errata(run, read_errata(place))
    left_out = [f"left out, published by no step: {file}" for file in manifest["unattributed"] if is_published(file)]
    kept = [f"Old numbers kept in {ERRATA}: {len(found):,}."] if found else []
    return "\n".join([*told, *kept, *left_out, *_claims_line(study_id, place)])


def _last_signer(run: Path, manifest: Mapping[str, Any]) -> str:
    names = [sign.name for sign in read_signoffs(run) if sign.standing(manifest) == "this"]
    return names[-1] if names else ""


def _require_good(study_id: str, run: Path, manifest: Mapping[str, Any]) -> None:
    again = f"Run the study again: evaluation run {study_id}"
    if manifest["state"] != "ok" or not manifest["complete"]:
        raise ProjectError(
            f"outputs/{study_id} cannot be published: its run is '{manifest['state']}'"
            f"{'' if manifest['complete'] else ' and holds only some steps'}. {again}"
        )
    if altered := altered_file(run, manifest):
        raise ProjectError(f"outputs/{study_id} cannot be published: {altered}. {again}")
    missing = [step["notebook"] for step in manifest["steps"].values() if not (run / step["notebook"]).is_file()]
    if missing:
        raise ProjectError(f"outputs/{study_id} cannot be published: {missing[0]} is missing. {again}")


def _require_unaltered(study_id: str, place: Path) -> None:
    """Refuse to correct published numbers that are not the published ones."""
    if not (place / project.MANIFEST).is_file():
        return
    if altered := altered_file(place, read_manifest(place)):
        raise ProjectError(
            f"outputs/reference/{study_id} is not what was published: {altered}. What stands there now would be "
            f"kept as the old numbers. Put the published files back (git restore outputs/reference/{study_id}), then "
            "accept again."
        )


def _stage(study_id: str, run: Path, manifest: Mapping[str, Any], place: Path, new: Path) -> None:
    files = [record["file"] for record in published_outputs(manifest)]
    files += [step["notebook"] for step in manifest["steps"].values() if is_kept(step)]
    files += [RESOLVED] if (run / RESOLVED).is_file() else []
    for file in files:
        (new / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(run / file, new / file)
    text = json.dumps(lasting(manifest), ensure_ascii=False, indent=2) + "\n"
    (new / project.MANIFEST).write_bytes(text.encode("utf-8"))
    (new / "conftest.py").write_bytes(CONFTEST.format(study=study_id).encode("utf-8"))
    for file in place.glob("*") if place.is_dir() else []:
        if file.is_file() and file.name not in (project.MANIFEST, RESOLVED):
            shutil.copyfile(file, new / file.name)


def _differences(study_id: str, old: Path, new: Path) -> list[str]:
    numbers = read_numbers(new)
    if not (old / project.MANIFEST).is_file():
        return [f"{study_id}: published for the first time, {len(numbers)} numbers."]
    before = read_numbers(old)
    changed = [
        f"  {address}: {_shown(value)} -> {_shown(numbers.get(address))}"
        for address, value in before.items()
        if address not in numbers or not is_same(value, numbers[address])
    ]
    added = [f"  {address}: none -> {_shown(value)}" for address, value in numbers.items() if address not in before]
    files = [f"  {file}" for file in _changed_files(old, new)]
    count = len(changed) + len(added)
    told = [f"{study_id}: {count} of {len(numbers)} numbers differ from those published before.", *changed]
    told += added[:MOST_NEW] + [f"  and {len(added) - MOST_NEW:,} more that are new"] * (len(added) > MOST_NEW)
    return told + (
        [f"{'1 file differs' if len(files) == 1 else f'{len(files)} files differ'}:", *files] if files else []
    )


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.10g}"


def _changed_files(old: Path, new: Path) -> Iterator[str]:
    folders = ("tables", "figures", "notebooks")
    files = {
        file.relative_to(run).as_posix() for run in (old, new) for name in folders for file in (run / name).rglob("*.*")
    }
    for file in sorted(files):
        first, second = old / file, new / file
        if not first.is_file() or not second.is_file():
            yield f"{file} ({'new' if second.is_file() else 'gone'})"
        elif first.read_bytes() != second.read_bytes():
            yield file


def _swap(new: Path, place: Path) -> None:
    aside = place.with_name(f".{place.name}.old")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        if place.exists():
            os.replace(place, aside)
        os.replace(new, place)
    except OSError as error:
        if aside.exists() and not place.exists():
            os.replace(aside, place)
        raise ProjectError(
            f"outputs/reference/{place.name} cannot be replaced ({error.strerror}); it is as it was. "
            "Close what has a file of it open, then accept again."
        ) from None
    shutil.rmtree(aside, ignore_errors=True)


def _claims_line(study_id: str, run: Path) -> list[str]:
    try:
        return [str(check_claims(study_id, run).verdict("en"))]
    except EvaluationError as error:
        return [f"claims not checked: {error}"]
