"""From a study and its notebooks to a plan: every name, type and need is checked before anything runs."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from evaluation import project
from evaluation.errors import ProjectError, StudyError, did_you_mean
from evaluation.instances import Instance, instances_of, is_device
from evaluation.prespecification import prespecification_file
from evaluation.specification import Scalar, StudySpecification
from evaluation.study.matrix import Declared, chosen_instances, resolved_steps
from evaluation.study.parameters import (
    Parameter,
    TypeName,
    converted,
    declared_parameters,
    fault_of,
    is_declared,
    read_template,
    template_names,
    value_from_text,
)
from evaluation.survey.source import missing_user_files

#: Folders of ``outputs/`` that are no studies.
RESERVED = ("reference", "failed", "partial", "skipped", "review", "scratch", "compare")

_NUMBER = re.compile(r"^\d+_")
_STEM = re.compile(r"\w[\w-]*")


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
    only, overrides : tuple of str, dict of str to str
        Steps and parameters as the command named them.
    """

    specification: StudySpecification
    steps: tuple[PlannedStep, ...]
    complete: bool = True
    skipped: str = ""
    only: tuple[str, ...] = ()
    overrides: Mapping[str, str] = field(default_factory=dict)

    @property
    def study(self) -> str:
        """Id of the study."""
        return self.specification.study

    @cached_property
    def by_name(self) -> Mapping[str, PlannedStep]:
        """The steps by their names."""
        return {step.name: step for step in self.steps}


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
        Run these and what they need; without any, all. Steps (all their instances), instances such as
        ``district/110_2016``, or patterns such as ``district/110_*``.

    Returns
    -------
    Plan
        Steps in an order that respects ``needs``; among equals, the order of the study file. A step with a
        matrix comes as one for each of its instances. In the plan's specification, ``all`` of a matrix is
        the list of codes it stands for.

    Raises
    ------
    StudyError
        Unknown parameter, wrong type, missing notebook or ``parameters`` cell, unknown step in
        ``only``, a circle in ``needs``, an id that is reserved, a matrix whose values cannot name files.
    """
    place = f"params/{specification.study}.yml"
    _check_id(specification.study, place)
    _check_steps(specification, place)
    _check_survey(specification, place)
    order = _order(specification, place)
    templates = _templates(specification, place)
    declared = {name: template.declared for name, template in templates.items()}
    references = list(_references(specification))
    used = dict.fromkeys(name for name, _ in references)
    kinds = _kinds(specification, declared, used, place)
    shared = {**specification.parameters, **_overridden(specification, declared, kinds, overrides or {}, place)}
    _raise(_unknown(specification, declared, references, shared, place))
    _raise(_wrong(specification, declared, kinds, used, shared, place))
    steps = resolved_steps(specification, declared, used, place)
    instances = instances_of({name: steps[name] for name in order}, place=place)
    chosen = chosen_instances(instances, only, place)
    fixed = prespecification_file(specification.study)
    sha256 = hashlib.sha256(fixed.read_bytes()).hexdigest() if fixed.is_file() else None
    shared = {name: converted(kinds[name], value) for name, value in shared.items()}
    update = {"parameters": shared, "prespecification_sha256": sha256, "steps": steps}
    resolved = specification.model_copy(update=update)
    maker = _Maker(resolved, templates)
    planned = tuple(maker.step(instance) for name, instance in instances.items() if name in chosen)
    return Plan(
        resolved,
        planned,
        complete=len(planned) == len(instances),
        skipped=_missing_data(resolved, planned),
        only=tuple(only),
        overrides=dict(overrides or {}),
    )


def _missing_data(specification: StudySpecification, steps: Sequence[PlannedStep]) -> str:
    samples = dict.fromkeys(sample for name in specification.designs for sample in specification.samples_of(name))
    lang = next((str(step.parameters["lang"]) for step in steps), "en")
    return missing_user_files(specification.survey, samples, lang=lang)


def _raise(faults: list[str]) -> None:
    if faults:
        raise StudyError("\n".join(faults))


def _check_id(study: str, place: str) -> None:
    if study.lower() in RESERVED or is_device(study):
        raise StudyError(
            f"{place}: '{study}' is the name of a folder of outputs/ or of Windows. Give the study another id."
        )
    if not re.fullmatch(r"[A-Za-z0-9_-]+", study):
        raise StudyError(f"{place}: a study's id is made of letters, digits, '_' and '-', got '{study}'.")


def _check_steps(specification: StudySpecification, place: str) -> None:
    if not specification.steps:
        raise StudyError(f"{place}: 'steps' names no notebook, so there is nothing to run.")
    notebooks: dict[str, str] = {}
    for name, step in specification.steps.items():
        expected = _NUMBER.sub("", step.notebook)
        if not _STEM.fullmatch(step.notebook) or is_device(expected):
            raise StudyError(
                f"{place}, step {name!a}: {step.notebook!a} cannot name a notebook: letters, digits, '_' and '-' "
                "make a name, and no device of Windows. Rename it."
            )
        if name != expected:
            raise StudyError(
                f"{place}, step '{name}': a step is called as its notebook without the number; "
                f"'{step.notebook}' makes it '{expected}'."
            )
        other = notebooks.setdefault(name.casefold(), step.notebook)
        if other != step.notebook:
            raise StudyError(
                f"{place}, step '{name}': '{step.notebook}' and '{other}' differ only in upper and lower case; "
                "they would be one file on Windows. Rename one."
            )


def _check_survey(specification: StudySpecification, place: str) -> None:
    try:
        project.survey_folder(specification.survey)
    except ProjectError as error:
        raise StudyError(f"{place}, survey: {error}") from None


def _order(specification: StudySpecification, place: str) -> list[str]:
    """Return the steps, each after what it needs; without recursion, so that no chain is too long."""
    order: dict[str, None] = {}
    for first in specification.steps:
        # The way down to the step that is looked at, each with the needs it has yet to look at.
        path = {first: iter(specification.steps[first].needs)}
        while path:
            name = next(reversed(path))
            need = next((need for need in path[name] if need not in order), None)
            if need is None:
                order.setdefault(name)
                del path[name]
            elif need in path:
                circle = " -> ".join([*itertools.dropwhile(need.__ne__, path), need])
                raise StudyError(f"{place}: 'needs' goes in a circle: {circle}. Take one of these needs out.")
            else:
                path[need] = iter(specification.steps[need].needs)
    return list(order)


@dataclass(frozen=True)
class _Template:
    """What is asked of a notebook, so that each is read once: its parameters, and the cells that will run."""

    declared: dict[str, Parameter]
    cells: int


def _templates(specification: StudySpecification, place: str) -> dict[str, _Template]:
    known = template_names()
    templates = {}
    for name, step in specification.steps.items():
        try:
            node = read_template(step.notebook, known=known)
            declared = declared_parameters(step.notebook, template=node)
        except StudyError as error:
            raise StudyError(f"{place}, step '{name}': {error}") from None
        cells = [cell for cell in node.cells if is_declared(cell, specification.sections)]
        code = [cell for cell in cells if cell.cell_type == "code" and cell.source.strip()]
        templates[name] = _Template(declared, len(code) + 1)
    return templates


def _kinds(
    specification: StudySpecification,
    declared: Declared,
    used: Collection[str],
    place: str,
) -> dict[str, Parameter]:
    """Return one type per name, without ranges; a name that only a weighting chain uses has the type of its value."""
    kinds: dict[str, Parameter] = {}
    owner: dict[str, str] = {}
    for step, parameters in declared.items():
        for name, parameter in parameters.items():
            known = kinds.setdefault(name, replace(parameter, allowed=None))
            if known.type != parameter.type:
                raise StudyError(
                    f"{place}: parameter '{name}' is {known.type} in step '{owner[name]}' and {parameter.type} in "
                    f"step '{step}'. Declare it alike in both notebooks."
                )
            owner.setdefault(name, step)
    for name in used:
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
    specification: StudySpecification,
    declared: Declared,
    kinds: Mapping[str, Parameter],
    overrides: Mapping[str, str],
    place: str,
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
            if name in step.matrix:
                raise StudyError(
                    f"{where}: step '{step_name}' runs for each '{name}' of its matrix. "
                    f"Pick one: --only '{step_name}/...', or change the matrix in {place}."
                )
        try:
            values[name] = value_from_text(kinds[name], text)
        except StudyError as error:
            raise StudyError(f"{where}: {error}.") from None
        outside = (fault_of(parameters[name], values[name]) for parameters in declared.values() if name in parameters)
        if fault := next(filter(None, outside), ""):
            raise StudyError(f"{where}: {fault}.")
    return values


def _unknown(
    specification: StudySpecification,
    declared: Declared,
    references: Sequence[tuple[str, str]],
    shared: Mapping[str, Scalar],
    place: str,
) -> list[str]:
    faults = []
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
    declared: Declared,
    kinds: Mapping[str, Parameter],
    used: Collection[str],
    shared: Mapping[str, Scalar],
    place: str,
) -> list[str]:
    told: dict[str, None] = {}
    for name, value in shared.items():
        if fault := fault_of(kinds[name], value):
            told.setdefault(f"{place}, parameters: {fault}.")
    for step_name, step in specification.steps.items():
        for name, parameter in declared[step_name].items():
            own = name in step.parameters or name in step.matrix
            if name in shared and not own and parameter.allowed and not fault_of(kinds[name], shared[name]):
                fault = fault_of(parameter, shared[name])
                told |= {f"{place}, parameters: {fault}.": None} if fault else {}
        for name, value in step.parameters.items():
            if fault := fault_of(declared[step_name][name], value):
                told.setdefault(f"{place}, step '{step_name}': {fault}.")
            elif name in used and value != shared[name]:
                told.setdefault(
                    f"{place}, step '{step_name}': '{name}' is {value!r} here and {shared[name]!r} for the study, "
                    "but a weighting chain uses it, so it must be the same everywhere. Set it under 'parameters' only."
                )
    return list(told)


class _Maker:
    """Makes planned steps: what the instances of one step share is worked out once."""

    def __init__(self, specification: StudySpecification, templates: Mapping[str, _Template]) -> None:
        self.specification, self.templates = specification, templates
        self._given: dict[str, dict[str, Scalar]] = {}

    def step(self, instance: Instance) -> PlannedStep:
        step, template = self.specification.steps[instance.step], self.templates[instance.step]
        shared = self._shared(instance.step)
        given = {name: instance.values.get(name, shared.get(name)) for name in template.declared}
        return PlannedStep(
            instance.name,
            step.notebook,
            instance.needs,
            template.declared,
            {name: value for name, value in given.items() if name in shared or name in instance.values},
            cells=template.cells,
            step=instance.step,
            output=f"{step.notebook}/{instance.label}" if instance.label else step.notebook,
            values=instance.values,
            label=instance.label,
            published=instance.published,
        )

    def _shared(self, name: str) -> dict[str, Scalar]:
        """Return what the study sets for all instances of a step, of the declared types."""
        if name not in self._given:
            step, declared = self.specification.steps[name], self.templates[name].declared
            values = {"study": self.specification.study, **self.specification.parameters, **step.parameters}
            self._given[name] = {key: converted(declared[key], values[key]) for key in declared if key in values}
        return self._given[name]
