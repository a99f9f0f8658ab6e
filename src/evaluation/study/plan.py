"""From a study and its notebooks to a plan: every name, type and need is checked before anything runs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from evaluation.errors import StudyError, did_you_mean
from evaluation.prespecification import prespecification_file
from evaluation.specification import Scalar, StudySpecification
from evaluation.study.parameters import (
    Parameter,
    TypeName,
    converted,
    declared_parameters,
    fault_of,
    is_declared,
    read_template,
    value_from_text,
)
from evaluation.survey.source import missing_user_files

#: Folders of ``outputs/`` that are no studies.
RESERVED = ("reference", "failed", "partial", "skipped", "review", "scratch")

_NUMBER = re.compile(r"^\d+_")


@dataclass(frozen=True)
class PlannedStep:
    """One notebook that will run: a step, or one instance of a step that a matrix fans out.

    Attributes
    ----------
    name, notebook : str
        Name, ``weighting`` or ``district/110_2016``, and stem of the template.
    needs : tuple of str
        Names of those that must be ok first.
    declared : dict of str to Parameter
        What the notebook's ``parameters`` cell declares.
    given : dict of str to value
        What the study sets; these are injected. In the notebook's order, of the declared types.
    cells : int
        Code cells that will run, the injected one included.
    step : str
        Name of the step in the study file, ``district``.
    output : str
        Path of the executed notebook below ``notebooks/``, without its suffix: ``60_district/110_2016``.
    values : dict of str to value
        Values of the matrix, in its order; empty without a matrix.
    label : str
        The values in one word, ``110_2016``; empty without a matrix.
    published : bool
        Whether its notebook is kept with the reference.
    """

    name: str
    notebook: str
    needs: tuple[str, ...]
    declared: Mapping[str, Parameter]
    given: Mapping[str, Scalar]
    cells: int
    step: str = ""
    output: str = ""
    values: Mapping[str, Scalar] = field(default_factory=dict)
    label: str = ""
    published: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "step", self.step or self.name)
        object.__setattr__(self, "output", self.output or self.notebook)

    @property
    def parameters(self) -> dict[str, Scalar]:
        """Value of every parameter, the notebook's own defaults included."""
        return {name: self.given.get(name, parameter.default) for name, parameter in self.declared.items()}


@dataclass(frozen=True)
class Plan:
    """What will run, in an order in which every step comes after what it needs.

    Attributes
    ----------
    specification : StudySpecification
        The study with the parameters of the command line merged in.
    steps : tuple of PlannedStep
        What will run.
    complete : bool
        Whether these are all steps of the study.
    skipped : str
        Why no step will run: which data the user has yet to bring, from where and to where; else empty.
    """

    specification: StudySpecification
    steps: tuple[PlannedStep, ...]
    complete: bool = True
    skipped: str = ""

    @property
    def study(self) -> str:
        """Id of the study."""
        return self.specification.study


def plan_study(
    specification: StudySpecification, *, overrides: Mapping[str, str] | None = None, only: Sequence[str] = ()
) -> Plan:
    """Check a study against its notebooks and put its steps in order. Writes nothing.

    Parameters
    ----------
    specification : StudySpecification
        From ``read_study(study_id, resolved=False)``.
    overrides : mapping of str to str, optional
        Parameters of the command line as they were typed; read by the declared type.
    only : sequence of str
        Run these steps and what they need; without any, all.

    Returns
    -------
    Plan
        Steps in an order that respects ``needs``; among equals, the order of the study file.

    Raises
    ------
    StudyError
        Unknown parameter, wrong type, missing notebook or ``parameters`` cell, unknown step in
        ``only``, a circle in ``needs``, an id that is reserved.
    """
    place = f"params/{specification.study}.yml"
    _check_id(specification.study, place)
    _check_steps(specification, place)
    order = _order(specification, place)
    declared = {name: _declared(specification, name, place) for name in specification.steps}
    kinds = _kinds(specification, declared, place)
    shared = {**specification.parameters, **_overridden(specification, kinds, overrides or {}, place)}
    _raise(_unknown(specification, declared, shared, place))
    _raise(_wrong(specification, declared, kinds, shared, place))
    shared = {name: converted(kinds[name], value) for name, value in shared.items()}
    chosen = _chosen(specification, only, place)
    steps = tuple(_step(specification, name, declared[name], shared) for name in order if name in chosen)
    fixed = prespecification_file(specification.study)
    sha256 = hashlib.sha256(fixed.read_bytes()).hexdigest() if fixed.is_file() else None
    resolved = specification.model_copy(update={"parameters": shared, "prespecification_sha256": sha256})
    return Plan(resolved, steps, complete=len(steps) == len(order), skipped=_missing_data(resolved, steps))


def _missing_data(specification: StudySpecification, steps: Sequence[PlannedStep]) -> str:
    samples = dict.fromkeys(sample for name in specification.designs for sample in specification.samples_of(name))
    lang = next((str(step.parameters["lang"]) for step in steps), "en")
    return missing_user_files(specification.survey, samples, lang=lang)


def _raise(faults: list[str]) -> None:
    if faults:
        raise StudyError("\n".join(faults))


def _check_id(study: str, place: str) -> None:
    if study in RESERVED:
        raise StudyError(f"{place}: '{study}' is the name of a folder of outputs/. Give the study another id.")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", study):
        raise StudyError(f"{place}: a study's id is made of letters, digits, '_' and '-', got '{study}'.")


def _check_steps(specification: StudySpecification, place: str) -> None:
    if not specification.steps:
        raise StudyError(f"{place}: 'steps' names no notebook, so there is nothing to run.")
    for name, step in specification.steps.items():
        expected = _NUMBER.sub("", step.notebook)
        if name != expected:
            raise StudyError(
                f"{place}, step '{name}': a step is called as its notebook without the number; "
                f"'{step.notebook}' makes it '{expected}'."
            )


def _order(specification: StudySpecification, place: str) -> list[str]:
    order: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            circle = " -> ".join((*path[path.index(name) :], name))
            raise StudyError(f"{place}: 'needs' goes in a circle: {circle}. Take one of these needs out.")
        if name in order:
            return
        for need in specification.steps[name].needs:
            visit(need, (*path, name))
        order.append(name)

    for name in specification.steps:
        visit(name, ())
    return order


def _declared(specification: StudySpecification, name: str, place: str) -> dict[str, Parameter]:
    try:
        return declared_parameters(specification.steps[name].notebook)
    except StudyError as error:
        raise StudyError(f"{place}, step '{name}': {error}") from None


def _kinds(
    specification: StudySpecification, declared: Mapping[str, Mapping[str, Parameter]], place: str
) -> dict[str, Parameter]:
    """Return one declaration per name; a name that only a weighting chain uses has the type of its value."""
    kinds: dict[str, Parameter] = {}
    owner: dict[str, str] = {}
    for step, parameters in declared.items():
        for name, parameter in parameters.items():
            known = kinds.setdefault(name, parameter)
            if known.type != parameter.type:
                raise StudyError(
                    f"{place}: parameter '{name}' is {known.type} in step '{owner[name]}' and {parameter.type} in "
                    f"step '{step}'. Declare it alike in both notebooks."
                )
            owner.setdefault(name, step)
    for name, _ in _references(specification):
        value = specification.parameters.get(name, "")
        if name not in kinds and value is None:
            raise StudyError(f"{place}, parameters: '{name}' has no value, but a weighting chain uses it. Give it one.")
        if name not in kinds and isinstance(value, (str, int, float, bool)):
            kind: TypeName = type(value).__name__  # type: ignore[assignment]
            kinds[name] = Parameter(name, kind, value)
    return kinds


def _references(specification: StudySpecification) -> Iterator[tuple[str, str]]:
    """Yield each ``$name`` of the weighting chains with the place where it stands."""
    for design_name, design in specification.designs.items():
        for number, step in enumerate(design.chain):
            for verb, arguments in step.items():
                for name in _names_in(arguments):
                    yield name, f"designs.{design_name}.chain.{number}.{verb}"


def _names_in(value: object) -> Iterator[str]:
    if isinstance(value, str) and value.startswith("$"):
        yield value[1:]
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _names_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _names_in(item)


def _overridden(
    specification: StudySpecification, kinds: Mapping[str, Parameter], overrides: Mapping[str, str], place: str
) -> dict[str, Scalar]:
    values: dict[str, Scalar] = {}
    for name, text in overrides.items():
        where = f"-p {name}={text} ({place})"
        if name == "study":
            raise StudyError(f"{where}: the runner sets 'study'. Name the study itself: evaluation run STUDY.")
        if name not in kinds:
            known = [known for known in kinds if known != "study"]
            raise StudyError(f"{where}: unknown parameter '{name}'. {did_you_mean(name, known)}")
        for step_name, step in specification.steps.items():
            if name in step.parameters:
                raise StudyError(f"{where}: step '{step_name}' sets '{name}' for itself. Change it in {place}.")
        try:
            values[name] = value_from_text(kinds[name], text)
        except StudyError as error:
            raise StudyError(f"{where}: {error}.") from None
    return values


def _unknown(
    specification: StudySpecification,
    declared: Mapping[str, Mapping[str, Parameter]],
    shared: Mapping[str, Scalar],
    place: str,
) -> list[str]:
    faults = []
    references = list(_references(specification))
    known = {name for parameters in declared.values() for name in parameters} | {name for name, _ in references}
    for name in shared:
        if name == "study":
            faults.append(f"{place}, parameters: 'study' is set by the runner. Take it out.")
        elif name not in known:
            nearest = did_you_mean(name, sorted(known - {"study"}))
            faults.append(f"{place}, parameters: unknown parameter '{name}', no notebook declares it. {nearest}")
    for step_name, step in specification.steps.items():
        for name in step.parameters:
            if name == "study":
                faults.append(f"{place}, step '{step_name}': 'study' is set by the runner. Take it out.")
            elif name not in declared[step_name]:
                nearest = did_you_mean(name, [known for known in declared[step_name] if known != "study"])
                faults.append(f"{place}, step '{step_name}': unknown parameter '{name}'. {nearest}")
    for name, where in references:
        # Where a misspelt parameter has been told with this name as the one that was meant, once is enough.
        if name not in shared and not any(fault.endswith(f"'{name}'?") for fault in faults):
            faults.append(
                f"{place}, {where}: '${name}' is not among the study's parameters. {did_you_mean(name, shared)}"
            )
    return faults


def _wrong(
    specification: StudySpecification,
    declared: Mapping[str, Mapping[str, Parameter]],
    kinds: Mapping[str, Parameter],
    shared: Mapping[str, Scalar],
    place: str,
) -> list[str]:
    faults = [
        f"{place}, parameters: {fault}." for name, value in shared.items() if (fault := fault_of(kinds[name], value))
    ]
    used = {name for name, _ in _references(specification)}
    for step_name, step in specification.steps.items():
        for name, value in step.parameters.items():
            if fault := fault_of(declared[step_name][name], value):
                faults.append(f"{place}, step '{step_name}': {fault}.")
            elif name in used and value != shared[name]:
                faults.append(
                    f"{place}, step '{step_name}': '{name}' is {value!r} here and {shared[name]!r} for the study, "
                    "but a weighting chain uses it, so it must be the same everywhere. Set it under 'parameters' only."
                )
    return faults


def _chosen(specification: StudySpecification, only: Sequence[str], place: str) -> set[str]:
    for name in only:
        if name not in specification.steps:
            raise StudyError(f"{place}: unknown step '{name}'. {did_you_mean(name, specification.steps)}")
    chosen: set[str] = set()
    waiting = list(only or specification.steps)
    while waiting:
        name = waiting.pop()
        if name not in chosen:
            chosen.add(name)
            waiting.extend(specification.steps[name].needs)
    return chosen


def _step(
    specification: StudySpecification, name: str, declared: Mapping[str, Parameter], shared: Mapping[str, Scalar]
) -> PlannedStep:
    step = specification.steps[name]
    values = {"study": specification.study, **shared, **step.parameters}
    given = {key: converted(parameter, values[key]) for key, parameter in declared.items() if key in values}
    cells = [cell for cell in read_template(step.notebook).cells if is_declared(cell, specification.sections)]
    code = [cell for cell in cells if cell.cell_type == "code" and cell.source.strip()]
    return PlannedStep(name, step.notebook, tuple(step.needs), declared, given, cells=len(code) + 1)
