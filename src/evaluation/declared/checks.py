"""What of a study's chains and estimates can be held to their verbs before any respondent is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from evaluation import project
from evaluation.declared.estimates import declared_verb, replicates_asked
from evaluation.errors import EvaluationError, StudyError
from evaluation.specification import EstimateSpecification, StudySpecification
from evaluation.survey.margins import Margins, read_margins
from evaluation.weighting.chain import chain_verb, names_margins


def check_declarations(specification: StudySpecification) -> None:
    """Refuse a study whose chains or estimates name verbs, arguments or margins that do not exist.

    Reads the study and the survey's margins, no respondents; what only data can tell is told when the study runs.

    Parameters
    ----------
    specification : StudySpecification
        From ``read_study``.

    Raises
    ------
    StudyError
        Every fault at once, a line each, with its place and the nearest name.

    Examples
    --------
    >>> from evaluation.specification import read_study
    >>> check_declarations(read_study("api_2000"))
    """
    place = f"params/{specification.study}.yml"
    faults = [*_chain_faults(specification, place), *_estimate_faults(specification, place)]
    if faults:
        raise StudyError("\n".join(faults))


def _told(attempt: Callable[[], object]) -> Iterator[str]:
    try:
        attempt()
    except EvaluationError as error:
        yield str(error)


def _chain_faults(specification: StudySpecification, place: str) -> Iterator[str]:
    margins = _margins_of(specification.survey)
    for name, design in specification.designs.items():
        for step in design.chain:
            for verb, arguments in step.items():
                where = f"{place}, design '{name}'"
                faults = list(_told(partial(chain_verb, verb, arguments, where)))
                if not faults and margins is not None and names_margins(arguments):
                    chosen = _told(partial(margins.select, arguments["margins"]))
                    faults = [f"{where}, step '{verb}': {fault}" for fault in chosen]
                yield from faults


def _margins_of(survey_id: str) -> Margins | None:
    """Return a survey's margins; None where there are none, which a run tells where a step needs them."""
    there = (project.survey_folder(survey_id) / "margins.csv").is_file()
    return read_margins(survey_id) if there else None


def _estimate_faults(specification: StudySpecification, place: str) -> Iterator[str]:
    for estimates in specification.estimates.values():
        for name, estimate in estimates.items():
            where = f"{place}, estimate '{name}'"
            faults = list(_told(partial(_checked, estimate, where)))
            yield from faults or (
                f"{where}: '{text}' names a parameter, but estimates are fixed before anything is seen and take none. "
                f"Write the value itself."
                for text in _references(estimate.arguments)
            )


def _checked(estimate: EstimateSpecification, place: str) -> None:
    declared_verb(estimate, place)
    replicates_asked(estimate, place)


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value.startswith("$"):
        yield value
    elif isinstance(value, Mapping):
        for own in value.values():
            yield from _references(own)
    elif isinstance(value, list):
        for own in value:
            yield from _references(own)
