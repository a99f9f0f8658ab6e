"""The matrix of a step as a plan needs it: ``all`` becomes the codebook's codes, values get their declared type."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase

from evaluation import project
from evaluation.errors import EvaluationError, StudyError, did_you_mean
from evaluation.instances import Instance, reached
from evaluation.specification import MatrixValue, StepSpecification, StudySpecification
from evaluation.study.parameters import Parameter, converted, fault_of, value_from_text
from evaluation.survey.codebook import Codebook, read_codebook

Declared = Mapping[str, Mapping[str, Parameter]]


def resolved_steps(
    specification: StudySpecification, declared: Declared, used: Collection[str], place: str
) -> dict[str, StepSpecification]:
    """Return the steps of a study with every matrix as lists of values of the declared types.

    Parameters
    ----------
    specification : StudySpecification
        As the study file says it.
    declared : mapping of str to mapping of str to Parameter
        What the notebook of each step declares, by step.
    used : collection of str
        Parameters that a weighting chain uses: they are the same everywhere.
    place : str
        What errors call the study file.

    Raises
    ------
    StudyError
        Every fault at once: a name the notebook does not declare or the step sets already, a value of another
        type, ``all`` of a variable without codes.
    """
    faults: list[str] = []
    codes = _Codes(specification.survey)
    steps = dict(specification.steps)
    for name, step in specification.steps.items():
        where = f"{place}, step '{name}'"
        wrong = [fault for key in step.matrix if (fault := _misnamed(key, step, declared[name], used))]
        faults += [f"{where}, {fault}" for fault in wrong]
        if not wrong and (step.matrix or step.published):
            matrix = {key: _values(declared[name][key], given, codes) for key, given in step.matrix.items()}
            published = {
                key: _typed(declared[name][key], values, "published") if key in step.matrix else (values, [])
                for key, values in step.published.items()
            }
            faults += [f"{where}, {fault}" for _, told in (*matrix.values(), *published.values()) for fault in told]
            update = {
                "matrix": {key: values for key, (values, _) in matrix.items()},
                "published": {key: values for key, (values, _) in published.items()},
            }
            steps[name] = step.model_copy(update=update)
    if faults:
        raise StudyError("\n".join(faults))
    return steps


def _misnamed(name: str, step: StepSpecification, declared: Mapping[str, Parameter], used: Collection[str]) -> str:
    """Return what is wrong with a name of a matrix; empty where nothing is."""
    if name == "study":
        return "matrix: 'study' is set by the runner. Take it out."
    if name not in declared:
        known = [parameter for parameter in declared if parameter != "study"]
        return f"matrix: the notebook declares no parameter '{name}'. {did_you_mean(name, known)}"
    if name in step.parameters:
        return f"matrix: '{name}' stands under 'parameters' of the step too. Keep one of the two."
    if name in used:
        return f"matrix: '{name}' must be the same everywhere, because a weighting chain uses it. Take it out."
    return ""


def _values(parameter: Parameter, given: list[MatrixValue] | str, codes: _Codes) -> tuple[list[MatrixValue], list[str]]:
    if not isinstance(given, str):
        return _typed(parameter, given, "matrix")
    try:
        return codes.of(parameter), []
    except EvaluationError as error:
        return [], [f"matrix '{parameter.name}: all': {error}"]


def _typed(parameter: Parameter, values: Sequence[MatrixValue], part: str) -> tuple[list[MatrixValue], list[str]]:
    faults = [f"{part}: {fault}." for value in values if (fault := fault_of(parameter, value))]
    return ([] if faults else [converted(parameter, value) for value in values]), faults  # type: ignore[misc]


class _Codes:
    """Answer codes of a survey's variables; the codebook is read where the first matrix asks for them."""

    def __init__(self, survey: str) -> None:
        self.survey = survey
        self._codebook: Codebook | None = None

    def of(self, parameter: Parameter) -> list[MatrixValue]:
        if parameter.name == "lang":
            return list(project.LANGUAGES)
        if self._codebook is None:
            place = f"surveys/{self.survey}/codebook.csv"
            self._codebook = read_codebook(project.survey_folder(self.survey) / "codebook.csv", place=place)
        variable = self._codebook[parameter.name]
        if not variable.is_coded:
            raise StudyError(
                f"'{parameter.name}' has no list of answer codes in {self._codebook.place}. Write the values out."
            )
        return [value_from_text(parameter, code) for code in variable.codes]  # type: ignore[misc]


def chosen_instances(instances: Mapping[str, Instance], only: Sequence[str], place: str) -> set[str]:
    """Return the names of what ``--only`` asks for, and of all that it needs.

    Parameters
    ----------
    instances : mapping of str to Instance
        Of the whole study.
    only : sequence of str
        Steps (all their instances), instances, or patterns of either: ``district/110_*``. Without any, all.
    place : str
        What errors call the study file.

    Raises
    ------
    StudyError
        Where one of them fits nothing.
    """
    if not only:
        return set(instances)
    by_step: dict[str, list[str]] = {}
    for name, instance in instances.items():
        by_step.setdefault(instance.step, []).append(name)
    asked: list[str] = []
    for wanted in only:
        found = [wanted] if wanted in instances else by_step.get(wanted) or _fitting(wanted, instances, by_step)
        if not found:
            raise StudyError(f"{place}: {_unknown(wanted, by_step)}")
        asked += found
    return reached(instances, asked)


def _fitting(pattern: str, instances: Mapping[str, Instance], by_step: Mapping[str, list[str]]) -> list[str]:
    if not set(pattern) & set("*?["):
        return []
    steps = {step for step in by_step if fnmatchcase(step, pattern)}
    return [name for name, instance in instances.items() if instance.step in steps or fnmatchcase(name, pattern)]


def _unknown(wanted: str, by_step: Mapping[str, list[str]]) -> str:
    step = wanted.partition("/")[0]
    if set(wanted) & set("*?["):
        return f"no step fits '{wanted}'. Known: {', '.join(list(by_step)[:12])}."
    if step in by_step and step != wanted:
        if by_step[step] == [step]:
            return f"step '{step}' has no matrix, so there is no '{wanted}'. Ask for '{step}'."
        return f"step '{step}' has no instance '{wanted}'. {did_you_mean(wanted, by_step[step][:1000])}"
    return f"unknown step '{wanted}'. {did_you_mean(wanted, by_step)}"
