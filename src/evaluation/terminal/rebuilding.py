"""What follows a sign-off or an acceptance: the start page shows it, and what the run noted is not forgotten."""

from __future__ import annotations

import contextlib

from evaluation import project
from evaluation.errors import EvaluationError, ProjectError
from evaluation.study.events import EVENTS, read_events
from evaluation.study.lock import holding
from evaluation.study.manifest import read_manifest
from evaluation.terminal.status import relative


def show_release(study: str) -> list[str]:
    """Build the report of the last run again, so that its start page shows who signed and what was corrected.

    Parameters
    ----------
    study : str
        Stem of a file in ``params/``.

    Returns
    -------
    list of str
        What the run noted, and the page to open; a report that cannot be built is told, since the sign-off or the
        acceptance stands all the same. Empty where the study has no run beside the published one.
    """
    run = project.project_root() / "outputs" / study
    if not (run / project.MANIFEST).is_file():
        return []
    return [*_notes(study), _built(study)]


def _notes(study: str) -> list[str]:
    run = project.project_root() / "outputs" / study
    with contextlib.suppress(ProjectError):
        return [f"note of this run: {note}" for note in dict.fromkeys(read_events(run / EVENTS).notes)]
    return []


def _built(study: str) -> str:
    from evaluation.report.site import build_site  # brings Jinja and nbconvert

    run = project.project_root() / "outputs" / study
    try:
        with holding(study):
            read_manifest(run)
            return f"shown in {relative(build_site(run))}"
    except (EvaluationError, OSError) as error:
        return f"the report does not show it yet ({error}). Build it: evaluation report {study}"
