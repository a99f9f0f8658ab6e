"""The designs and weighting chains that a study declares, replayed from its file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from evaluation.design.declaration import survey_design
from evaluation.design.design import Design
from evaluation.errors import EvaluationError, StudyError, did_you_mean
from evaluation.specification import DesignSpecification, StudySpecification, read_study, require_arguments
from evaluation.survey.margins import Margins, read_margins
from evaluation.survey.reading import read_survey
from evaluation.weighting.calibration import calibrate
from evaluation.weighting.raking import poststratify, rake
from evaluation.weighting.trimming import trim_weights

VERBS: dict[str, Callable[..., Design]] = {
    "poststratify": poststratify,
    "rake": rake,
    "calibrate": calibrate,
    "trim_weights": trim_weights,
}


def study_design(study: str, name: str | None = None, *, weighted: bool = True, **parameters: Any) -> Design:
    """Make a design that a study declares: read its sample and replay its weighting chain.

    Parameters
    ----------
    study : str
        Study id.
    name : str, optional
        One of the study's designs; without it, its headline design.
    weighted : bool, default True
        False stops before the first weighting step.
    **parameters
        Values of the study's parameters to use instead of those in its file, where the chain refers
        to them (``upper: $trim_upper``).

    Returns
    -------
    Design
        The same design in every notebook of the study.

    Raises
    ------
    StudyError
        The study declares no such design, or the chain names an unknown verb, argument or parameter.

    Examples
    --------
    >>> study_design("api_2000", "clus1").degrees_of_freedom()
    14
    """
    specification = read_study(study)
    name = name or specification.headline
    values = _parameters(specification, parameters)
    return _build(specification, name, values, weighted)


def _parameters(specification: StudySpecification, given: Mapping[str, Any]) -> dict[str, Any]:
    unknown = [key for key in given if key not in specification.parameters]
    if unknown:
        raise StudyError(
            f"study '{specification.study}' declares no parameter '{unknown[0]}'. "
            f"{did_you_mean(unknown[0], specification.parameters)}"
        )
    return {**specification.parameters, **given}


def _build(specification: StudySpecification, name: str, values: Mapping[str, Any], weighted: bool) -> Design:
    if name not in specification.designs:
        raise StudyError(
            f"study '{specification.study}' declares no design '{name}'. {did_you_mean(name, specification.designs)}"
        )
    declared = specification.designs[name]
    if declared.source is not None:
        design = _build(specification, declared.source, values, weighted)
    else:
        design = _drawn(specification, name, declared)
    if not weighted:
        return design
    margins = read_margins(specification.survey) if declared.chain else None
    for step in declared.chain:
        ((verb, arguments),) = step.items()
        design = _apply(specification, name, design, verb, arguments, margins, values)
    return design


def _drawn(specification: StudySpecification, name: str, declared: DesignSpecification) -> Design:
    survey = read_survey(specification.survey, sample=declared.sample)
    try:
        return survey_design(
            survey,
            weights=declared.weights,
            strata=declared.strata,
            psu=declared.psu,
            fpc=declared.fpc,
            nested=declared.nested,
            pps=declared.pps,
            pps_variance=declared.pps_variance,
            lonely_psu=declared.lonely_psu,
            lonely_domains=declared.lonely_domains,
            linearization=declared.linearization,
        )
    except EvaluationError as error:
        message = f"params/{specification.study}.yml, design '{name}': {error}"
        raise type(error)(message, failures=error.failures) from None


def _apply(
    specification: StudySpecification,
    name: str,
    design: Design,
    verb: str,
    arguments: Mapping[str, Any],
    margins: Margins | None,
    values: Mapping[str, Any],
) -> Design:
    place = f"params/{specification.study}.yml, design '{name}'"
    if verb not in VERBS:
        raise StudyError(f"{place}: unknown weighting verb '{verb}'. {did_you_mean(verb, VERBS)}")
    require_arguments(VERBS[verb], arguments, f"{place}, step '{verb}'")
    given = {key: _resolved(value, values, place) for key, value in arguments.items()}
    try:
        if "margins" in given and margins is not None:
            given["margins"] = margins.select(given["margins"])
        return VERBS[verb](design, **given)
    except EvaluationError as error:
        raise type(error)(f"{place}, step '{verb}': {error}", failures=error.failures) from None


def _resolved(value: Any, values: Mapping[str, Any], place: str) -> Any:
    if not (isinstance(value, str) and value.startswith("$")):
        return value
    if value[1:] not in values:
        raise StudyError(f"{place}: '{value}' names no parameter of the study. {did_you_mean(value[1:], values)}")
    return values[value[1:]]
