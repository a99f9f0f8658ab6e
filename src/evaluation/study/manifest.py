"""The manifest of a run: what went in, what ran it, what came out, each file with its SHA-256."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from evaluation import project
from evaluation.claims.facts import facts_file
from evaluation.errors import ProjectError
from evaluation.prespecification import prespecification_file
from evaluation.project import LOG, MANIFEST
from evaluation.study.plan import Plan, PlannedStep
from evaluation.study.states import StepOutcome

#: Folders of a run that hold what was published.
OUTPUT_FOLDERS = ("estimates", "tables", "figures", "report", "restricted")

#: Class of the error of a step that was cancelled because another one failed.
STOPPED_BY_ANOTHER = "StoppedByAnother"

_PACKAGE = "evaluation"
_REQUIREMENT = re.compile(r"[A-Za-z0-9._-]+")


def write_manifest(
    run: Path, plan: Plan, outcomes: Sequence[StepOutcome], inputs: Mapping[str, str | None] | None = None
) -> dict[str, Any]:
    """Write ``manifest.json`` into a run folder and take the kernels' notes in.

    Parameters
    ----------
    run : Path
        The run folder; its ``published/`` is read and removed.
    plan : Plan
        What was to run.
    outcomes : sequence of StepOutcome
        What became of it, in the order of the plan.
    inputs : mapping of str to str, optional
        What went in, with the hashes it had when the run began (``inputs_of``); by default as it is now.

    Returns
    -------
    dict
        What was written. It holds no absolute path, no user name, no date and no duration, and a step whose
        results came from the cache is ``"ok"``: a run that was killed and resumed ends in the same bytes.
    """
    steps = {}
    listed: set[str] = set()
    for outcome, planned in zip(outcomes, plan.steps, strict=True):
        outputs = published_files(run, outcome.step)
        listed.update(outputs)
        steps[outcome.step] = {
            **outcome.to_dict(),
            **_instance(planned),
            "needs": list(planned.needs),
            "parameters": planned.parameters,
            "outputs": [{**words, "file": file, "sha256": _sha256(run / file)} for file, words in outputs.items()],
        }
    content = {
        "study": plan.study,
        "state": state_of(outcomes),
        "complete": plan.complete,
        "workbench": _version(_PACKAGE),
        "seed": plan.specification.parameters.get("seed"),
        "parameters": dict(plan.specification.parameters),
        "git": git_state(),
        "requirements_lock_sha256": _sha256(project.project_root() / "requirements.lock"),
        "versions": versions(),
        "inputs": [{"file": file, "sha256": digest} for file, digest in (inputs or inputs_of(plan)).items()],
        "steps": steps,
        "unattributed": [file for file in _written(run) if file not in listed],
    }
    _write(run, content)
    shutil.rmtree(run / LOG, ignore_errors=True)
    return content


def restate(run: Path, state: str) -> None:
    """Let the manifest of a run say what became of it, where that was decided after the manifest was written.

    Parameters
    ----------
    run : Path
        The run folder.
    state : str
        ``"ok"``, ``"skipped"``, ``"failed"`` or ``"cancelled"``.
    """
    with contextlib.suppress(ProjectError):
        content = read_manifest(run)
        if content["state"] == state:
            return
        try:
            _write(run, {**content, "state": state})
        except OSError:
            # On a full disk: no manifest is better than one that says that all is good.
            (run / MANIFEST).unlink(missing_ok=True)


def _write(run: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
    unfinished = run / f"{MANIFEST}.part"
    try:
        unfinished.write_bytes(text.encode("utf-8"))
        os.replace(unfinished, run / MANIFEST)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


def _instance(step: PlannedStep) -> dict[str, Any]:
    """Return which instance of which step this is, where a matrix fans the step out."""
    return {"step": step.step, "values": dict(step.values), "published": step.published} if step.values else {}


def read_manifest(run: Path) -> dict[str, Any]:
    """Return the manifest of a run folder.

    Raises
    ------
    ProjectError
        Where there is none, or it is damaged.
    """
    file = run / MANIFEST
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ProjectError(f"no run of '{run.name}' yet. Make one: evaluation run {run.name}") from None
    except ValueError as error:
        raise ProjectError(f"the manifest of '{run.name}' is damaged ({error}). Run the study again.") from None
    return content


def outcomes_of(manifest: dict[str, Any]) -> list[StepOutcome]:
    """Return what became of each step, as a manifest recorded it."""
    return [StepOutcome.from_dict(step, record) for step, record in manifest["steps"].items()]


def state_of(outcomes: Iterable[StepOutcome]) -> str:
    """Return ``"ok"``, ``"skipped"``, ``"failed"`` or ``"cancelled"`` (by hand) for a whole run."""
    became = list(outcomes)
    if became and all(outcome.state == "skipped" for outcome in became):
        return "skipped"
    if any(outcome.state == "cancelled" and not _is_consequence(outcome) for outcome in became):
        return "cancelled"
    return "ok" if all(outcome.is_good for outcome in became) else "failed"


def _is_consequence(outcome: StepOutcome) -> bool:
    return outcome.failure is not None and outcome.failure.error == STOPPED_BY_ANOTHER


def published_files(run: Path, step: str) -> dict[str, dict[str, str]]:
    """Return the files a step published, in its order, each with its name and, where it has one, title.

    Each line of ``published/<step>.jsonl`` is ``{"name": ..., "files": [path in the run folder, ...]}``
    and may hold a ``title``. Lines that are not are passed over; ``log_fault`` tells of them.
    """
    files: dict[str, dict[str, str]] = {}
    for entry in filter(None, _log_entries(run, step)):
        words = {key: str(entry[key]) for key in ("name", "title") if key in entry}
        files.update(dict.fromkeys(entry["files"], words))
    return files


def files_left(run: Path, step: str) -> list[str]:
    """Return the files that a step published into a run, and its log where there are any."""
    names = list(published_files(run, step))
    return [*names, f"{LOG}/{step}.jsonl"] if names else names


def log_fault(run: Path, step: str) -> str:
    """Say what is wrong with the log of what a step published; empty where nothing is.

    A disk that was full or a notebook that wrote there itself may have left a line that is none.
    """
    entries = _log_entries(run, step)
    if None not in entries:
        return ""
    return (
        f"line {entries.index(None) + 1} of {LOG}/{step}.jsonl does not say what was published, so something may be "
        "missing. Let only ev.publish write there, then run again"
    )


def _log_entries(run: Path, step: str) -> list[dict[str, Any] | None]:
    """Return what each line of a step's log says; None for one that says nothing of use."""
    log = run / LOG / f"{step}.jsonl"
    if not log.is_file():
        return []
    return [_log_entry(line) for line in log.read_bytes().split(b"\n") if line.strip()]


def _log_entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
        files = entry["files"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    inside = isinstance(files, list) and all(isinstance(file, str) and _is_inside(file) for file in files)
    return entry if inside else None


def _is_inside(file: str) -> bool:
    """Tell whether a path leads to a file of the run folder."""
    parts = file.split("/")
    return "\\" not in file and "\0" not in file and ":" not in parts[0] and not {"", ".", ".."} & set(parts)


def input_files(plan: Plan) -> list[str]:
    """Return what a study reads, relative to the project: study file, claims, survey, notebooks."""
    root = project.project_root()
    survey = root / "surveys" / plan.specification.survey
    files = [root / "params" / f"{plan.study}.yml", root / "params" / "claims" / f"{plan.study}.csv"]
    files.append(facts_file(plan.study))
    files.append(prespecification_file(plan.study))
    files += [file for file in survey.rglob("*") if not _is_cache(file.relative_to(survey))]
    files += [root / "notebooks" / f"{name}.ipynb" for name in dict.fromkeys(step.notebook for step in plan.steps)]
    return sorted(file.relative_to(root).as_posix() for file in files if file.is_file())


def inputs_of(plan: Plan) -> dict[str, str | None]:
    """Return what a study reads, relative to the project, each file with its SHA-256 now."""
    return {file: _sha256(project.project_root() / file) for file in input_files(plan)}


def _is_cache(path: Path) -> bool:
    return any(part in ("generated", "__pycache__") or part.startswith(".") for part in path.parts)


def _written(run: Path) -> list[str]:
    files = [file for folder in OUTPUT_FOLDERS for file in (run / folder).rglob("*") if file.is_file()]
    return sorted(file.relative_to(run).as_posix() for file in files)


def _sha256(file: Path) -> str | None:
    if not file.is_file():
        return None
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def git_state() -> dict[str, Any] | None:
    """Return the commit of the project and whether anything differed from it; None without git."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return None
    return {"commit": commit, "dirty": bool(_git("status", "--porcelain", "--", "."))}


def _git(*arguments: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", *arguments], cwd=project.project_root(), capture_output=True, encoding="utf-8", check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()


def versions() -> dict[str, str | None]:
    """Return the versions of Python, the platform and the packages the workbench requires."""
    try:
        requirements = metadata.requires(_PACKAGE) or []
    except metadata.PackageNotFoundError:
        requirements = []
    names = [match[0] for line in requirements if "extra ==" not in line and (match := _REQUIREMENT.match(line))]
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        **{name: _version(name) for name in sorted(names)},
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
