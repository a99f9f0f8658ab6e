"""Weighting chains replayed: those that a study declares in its file, and those of one design on another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from evaluation import project
from evaluation.design.declaration import survey_design
from evaluation.design.design import Design, require_design
from evaluation.design.frames import join_frames
from evaluation.design.steps import WeightingStep
from evaluation.errors import EvaluationError, StudyError, WeightingError, did_you_mean
from evaluation.specification import DesignSpecification, StudySpecification, read_study, require_arguments
from evaluation.survey.codebook import read_codebook
from evaluation.survey.margins import Margins, read_margins
from evaluation.survey.reading import read_survey
from evaluation.survey.source import read_description
from evaluation.weighting.calibration import calibrate
from evaluation.weighting.eligibility import adjust_unknown_eligibility
from evaluation.weighting.estimated_totals import joined_margins, totals_of
from evaluation.weighting.nonresponse import adjust_nonresponse
from evaluation.weighting.normalising import normalise_weights
from evaluation.weighting.raking import as_margins, poststratify, rake
from evaluation.weighting.standardising import standardise
from evaluation.weighting.trimming import trim_weights
from evaluation.weighting.wave_composition import hold_composition

VERBS: dict[str, Callable[..., Design]] = {
    "adjust_unknown_eligibility": adjust_unknown_eligibility,
    "adjust_nonresponse": adjust_nonresponse,
    "poststratify": poststratify,
    "rake": rake,
    "calibrate": calibrate,
    "trim_weights": trim_weights,
    "normalise_weights": normalise_weights,
    "standardise": standardise,
    "hold_composition": hold_composition,
}


def study_design(
    study: str,
    name: str | None = None,
    *,
    weighted: bool = True,
    variables: Sequence[str] | None = None,
    **parameters: Any,
) -> Design:
    """Make a design that a study declares: read its sample and replay its weighting chain.

    Parameters
    ----------
    study : str
        Study id.
    name : str, optional
        One of the study's designs; without it, its headline design.
    weighted : bool, default True
        False stops before the first weighting step.
    variables : list of str, optional
        Variables that are needed besides those of the design and of its chain; of a large file the others are then
        not read, and have no column. Default: all. The estimates are the same.
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
    return _build(specification, name, values, weighted, None if variables is None else tuple(variables))


def _needed(
    specification: StudySpecification, sample: str | None, variables: Sequence[str], values: Mapping[str, Any]
) -> list[str]:
    """Return the variables asked for, and those of the sample that a word of any design of the study may mean."""
    book = read_codebook(project.survey_folder(specification.survey) / "codebook.csv")
    words = set(_words([design.model_dump() for design in specification.designs.values()]))
    words.update(_words([value for parameter, value in values.items() if f"${parameter}" in words]))
    held = [name for name, entry in book.variables.items() if not entry.samples or sample in entry.samples]
    return list(dict.fromkeys([*variables, *(name for name in held if name in words)]))


def _words(value: Any) -> Iterator[str]:
    """Yield every text in nested arguments; of crossed margins, such as "sex:age_group", each part."""
    if isinstance(value, Mapping):
        for key, own in value.items():
            yield from (*_words(key), *_words(own))
    elif isinstance(value, (list, tuple)):
        for own in value:
            yield from _words(own)
    elif isinstance(value, str):
        yield from (part.strip() for part in value.split(":"))


def _parameters(specification: StudySpecification, given: Mapping[str, Any]) -> dict[str, Any]:
    unknown = [key for key in given if key not in specification.parameters]
    if unknown:
        raise StudyError(
            f"study '{specification.study}' declares no parameter '{unknown[0]}'. "
            f"{did_you_mean(unknown[0], specification.parameters)}"
        )
    return {**specification.parameters, **given}


def _build(
    specification: StudySpecification,
    name: str,
    values: Mapping[str, Any],
    weighted: bool,
    read: tuple[str, ...] | None = None,
) -> Design:
    if name not in specification.designs:
        raise StudyError(
            f"study '{specification.study}' declares no design '{name}'. {did_you_mean(name, specification.designs)}"
        )
    declared = specification.designs[name]
    if declared.source is not None:
        design = _build(specification, declared.source, values, weighted, read)
    elif declared.join is not None:
        design = _joined(specification, name, declared, declared.join, values, weighted, read)
    else:
        design = _drawn(specification, name, declared, values, read)
    if not weighted:
        return design
    named = any(names_margins(arguments) for step in declared.chain for arguments in step.values())
    margins = read_margins(specification.survey) if named else None
    for step in declared.chain:
        ((verb, arguments),) = step.items()
        design = _apply(specification, name, design, verb, arguments, margins, values)
    return design


def _joined(
    specification: StudySpecification,
    name: str,
    declared: DesignSpecification,
    parts: Mapping[str, str],
    values: Mapping[str, Any],
    weighted: bool,
    read: tuple[str, ...] | None,
) -> Design:
    frames = {frame: _build(specification, part, values, weighted, read) for frame, part in parts.items()}
    try:
        return join_frames(frames, overlap=declared.overlap, share=declared.share, frame=declared.frame)
    except EvaluationError as error:
        message = f"params/{specification.study}.yml, design '{name}': {error}"
        raise type(error)(message, failures=error.failures) from None


def names_margins(arguments: Mapping[str, Any]) -> bool:
    """Tell whether a step takes margins of the survey by name; counts written in the step itself stand as they are."""
    given = arguments.get("margins")
    return given is not None and not isinstance(given, Mapping)


def _drawn(
    specification: StudySpecification,
    name: str,
    declared: DesignSpecification,
    values: Mapping[str, Any],
    read: tuple[str, ...] | None,
) -> Design:
    sample = declared.sample or read_description(specification.survey).default_sample
    needed = None if read is None else _needed(specification, sample, read, values)
    survey = read_survey(specification.survey, sample=sample, variables=needed)
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


def replay_chain(
    design: Design,
    chain: Design | Sequence[Mapping[str, Mapping[str, Any]]],
    *,
    margins: Margins | Mapping[str, Any] | None = None,
) -> Design:
    """Do to a design what was done to another: repeat a weighting chain step by step on other data.

    Parameters
    ----------
    design : Design
        Where the chain starts, with its own weights; its data need the columns that the steps name.
    chain : Design or list of mapping
        A design, whose steps are repeated with the arguments that they were given, or steps as a study file writes
        them (what ``design.chain()`` returns): ``[{"rake": {"margins": ["sex", "age"]}}, ...]``.
    margins : Margins or mapping, optional
        Where steps that name their margins find them. With a design as ``chain``: the margins to use instead of
        the design's own, e.g. those of a later year.

    Returns
    -------
    Design
        Steps are found anew: cells, propensities, classes, bounds and weights come from these data.

    Raises
    ------
    WeightingError
        A step names an unknown verb or argument, or margins that are not given; the message says which step.

    Examples
    --------
    >>> import pandas as pd
    >>> from evaluation.weighting.raking import poststratify
    >>> first, second = (survey_design(pd.DataFrame({"sex": sex})) for sex in (["f", "m"], ["f", "f", "m"]))
    >>> weighted = poststratify(first, {"sex": {"f": 6, "m": 4}})
    >>> replay_chain(second, weighted).weights.tolist()
    [3.0, 3.0, 4.0]
    >>> weighted.chain()
    [{'poststratify': {'margins': ['sex']}}]
    >>> replay_chain(second, weighted.chain(), margins={"sex": {"f": 6, "m": 4}}).weights.tolist()
    [3.0, 3.0, 4.0]
    """
    require_design(design, "replay_chain")
    known = None if margins is None else as_margins(margins)
    for number, (verb, arguments) in enumerate(_steps(chain), start=1):
        place = f"replay_chain, step {number} '{verb}'"
        _require_repeatable(verb, arguments, place)
        design = _done(design, verb, _with_margins(arguments, known, place), place)
    return design


def _steps(chain: Design | Sequence[Mapping[str, Mapping[str, Any]]]) -> list[tuple[str, Mapping[str, Any]]]:
    if isinstance(chain, Design):
        return [(applied.step.verb, _asked(applied.step)) for applied in chain.steps]
    if isinstance(chain, (str, Mapping)) or not isinstance(chain, Sequence):
        raise WeightingError(
            f"replay_chain: chain must be a design or a list of steps, got {type(chain).__name__}. Write "
            f"[{{'rake': {{'margins': ['sex']}}}}, ...], or take design.chain()."
        )
    steps: list[tuple[str, Mapping[str, Any]]] = []
    for number, step in enumerate(chain, start=1):
        if not isinstance(step, Mapping) or len(step) != 1:
            raise WeightingError(f"replay_chain: step {number} must be one 'verb: {{arguments}}', got {step!r}.")
        ((verb, arguments),) = step.items()
        if not isinstance(arguments or {}, Mapping):
            raise WeightingError(f"replay_chain: step {number} '{verb}' must map arguments to values.")
        steps.append((str(verb), dict(arguments or {})))
    return steps


def _asked(step: WeightingStep) -> Mapping[str, Any]:
    """Return a step's arguments as they were given; of a step within one frame, those that name the frame."""
    inside_frame = "frame" in step.arguments
    given: Mapping[str, Any] = step.arguments if inside_frame else getattr(step, "asked", step.arguments)
    return given


def _require_repeatable(verb: str, arguments: Mapping[str, Any], place: str) -> None:
    """Raise a WeightingError for verbs that do not exist and for steps that need more than a design to be repeated."""
    if verb == "join_frames" or (verb in VERBS and "frame" in arguments):
        raise WeightingError(
            f"{place} belongs to samples put together, and one design has no frames to repeat it on. Replay each "
            f"frame's own chain, then call ev.join_frames again."
        )
    if verb not in VERBS:
        raise WeightingError(f"{place}: unknown weighting verb '{verb}'. {did_you_mean(verb, VERBS)}")


def _with_margins(arguments: Mapping[str, Any], margins: Margins | None, place: str) -> dict[str, Any]:
    given = dict(arguments)
    named = given.get("margins")
    if named is None:
        return given
    if margins is not None:
        given["margins"] = margins.select(_margin_names(named))
    elif isinstance(named, (str, list, tuple)):
        estimated = " Some of them another sample estimated: give those totals too." if "vcov" in given else ""
        raise WeightingError(
            f"{place} names margins ({', '.join(_margin_names(named))}) without their counts. Give them: "
            f"margins=ev.read_margins(...), or a mapping of column to counts by level.{estimated} Replaying the design "
            f"itself, instead of its written chain, brings the counts along."
        )
    return given


def _margin_names(named: Any) -> list[str]:
    if isinstance(named, str):
        return [named]
    return list(named) if isinstance(named, (list, tuple)) else list(as_margins(named).names)


def _done(design: Design, verb: str, arguments: Mapping[str, Any], place: str) -> Design:
    """Apply one step; every error says where in the chain it stands."""
    try:
        require_arguments(VERBS[verb], arguments, place)
    except StudyError as error:
        raise WeightingError(str(error)) from None
    try:
        return VERBS[verb](design, **arguments)
    except EvaluationError as error:
        raise type(error)(f"{place}: {error}", failures=error.failures) from None


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
    chain_verb(verb, arguments, place)
    given = {key: _resolved(value, values, place) for key, value in arguments.items()}
    try:
        if names_margins(given) and margins is not None:
            given["margins"] = margins.select(given["margins"])
        if isinstance(given.get("totals_from"), Mapping):
            given = _with_totals(specification, given, values)
        return VERBS[verb](design, **given)
    except EvaluationError as error:
        raise type(error)(f"{place}, step '{verb}': {error}", failures=error.failures) from None


def _with_totals(
    specification: StudySpecification, given: Mapping[str, Any], values: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a step's arguments with the totals that another design of the study estimates, and their covariance."""
    asked = given["totals_from"]
    known = ("design", "variables")
    wrong = [key for key in asked if key not in known] + [key for key in known if key not in asked]
    if wrong:
        raise WeightingError(
            f"totals_from: expected 'design' and 'variables', got {', '.join(map(str, asked))}. Write "
            f"{{design: other, variables: [sex, rooms]}}."
        )
    if given.get("vcov") is not None:
        raise WeightingError("calibrate takes totals_from, which brings its covariance, or vcov, not both.")
    estimated, vcov = totals_of(_build(specification, asked["design"], values, True), asked["variables"])
    exact = None if given.get("margins") is None else as_margins(given["margins"])
    rest = {name: value for name, value in given.items() if name != "totals_from"}
    return {**rest, "margins": joined_margins(exact, estimated), "vcov": vcov}


def chain_verb(verb: str, arguments: Mapping[str, Any], place: str) -> Callable[..., Design]:
    """Return a weighting verb by its name in a study file; a StudyError where it or an argument does not exist."""
    if verb not in VERBS:
        raise StudyError(f"{place}: unknown weighting verb '{verb}'. {did_you_mean(verb, VERBS)}")
    require_arguments(VERBS[verb], arguments, f"{place}, step '{verb}'")
    return VERBS[verb]


def _resolved(value: Any, values: Mapping[str, Any], place: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _resolved(own, values, place) for key, own in value.items()}
    if isinstance(value, list):
        return [_resolved(own, values, place) for own in value]
    if not (isinstance(value, str) and value.startswith("$")):
        return value
    if value[1:] not in values:
        raise StudyError(f"{place}: '{value}' names no parameter of the study. {did_you_mean(value[1:], values)}")
    return values[value[1:]]
