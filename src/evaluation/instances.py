"""The instances of a study's steps: one per combination of a matrix, each with a label and what it needs first.

It works on the study as it was resolved for a run, where ``all`` stands as the list of its values; so the
runner and the notebooks it runs come to the same instances.
"""

from __future__ import annotations

import itertools
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from evaluation.errors import StudyError, did_you_mean
from evaluation.specification import MatrixValue, Scalar, StepSpecification

#: More instances than this are taken for a slip in a matrix.
MOST_INSTANCES = 100_000
#: Bytes of a label in UTF-8: it becomes part of file names.
LONGEST_LABEL = 100

_SEPARATOR = re.compile(r"[\W_]+")
#: File names that Windows keeps for devices, whatever their ending.
_DEVICES = re.compile(r"con|prn|aux|nul|(com|lpt)[0-9¹²³]", re.IGNORECASE)

Values = tuple[Scalar, ...]


@dataclass(frozen=True)
class Instance:
    """One run of a notebook: a step, or one combination of its matrix.

    Attributes
    ----------
    name : str
        ``district/110_2016``, or the name of a step without a matrix.
    step : str
        Name of the step in the study file.
    values : dict of str to value
        Values of the matrix, in its order; empty without a matrix.
    label : str
        The values in one word, ``110_2016``; empty without a matrix.
    needs : tuple of str
        Names of the instances that must be ok first.
    published : bool
        Whether its notebook is kept with the reference.
    """

    name: str
    step: str
    values: Mapping[str, Scalar]
    label: str
    needs: tuple[str, ...] = ()
    published: bool = True


def instance_label(values: Iterable[Scalar]) -> str:
    """Return values in one word that may stand in a file name.

    Parameters
    ----------
    values : iterable of value
        Of one combination, in the order of the matrix.

    Returns
    -------
    str
        Letters (Korean too), digits and underscores.

    Raises
    ------
    StudyError
        Where a value leaves nothing over, looks like a path or holds a control character, or where the
        label is a name that Windows keeps for itself or is longer than 100 bytes.

    Examples
    --------
    >>> instance_label([110, 2016]), instance_label(["강남구 (동)", -1.5, True])
    ('110_2016', '강남구_동_minus1_5_true')
    >>> instance_label(["../secret"])
    Traceback (most recent call last):
    evaluation.errors.StudyError: the value '../secret' looks like a path; it becomes part of file names. Write it...
    """
    label = "_".join(_word(value) for value in values)
    if is_device(label):
        raise StudyError(f"'{label}' cannot name a file on Windows. Write the value in another way.")
    if (size := len(label.encode("utf-8"))) > LONGEST_LABEL:
        raise StudyError(
            f"the values '{label[:20]}...' make a name of {size} letters (a Korean one counts three), at most "
            f"{LONGEST_LABEL} will do. Use shorter codes."
        )
    return label


def is_device(name: str) -> bool:
    """Tell whether Windows keeps a name for a device, so that no file or folder can bear it.

    Examples
    --------
    >>> is_device("NUL"), is_device("com1"), is_device("council")
    (True, True, False)
    """
    return _DEVICES.fullmatch(name) is not None


def _word(value: Scalar) -> str:
    text = unicodedata.normalize("NFC", value) if isinstance(value, str) else _plain(value)
    if any(unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for letter in text):
        raise StudyError(f"the value {value!a} holds a line break or another invisible character. Take it out.")
    if "/" in text or "\\" in text or ".." in text:
        raise StudyError(
            f"the value '{text}' looks like a path; it becomes part of file names. Write it with letters and digits."
        )
    word = _SEPARATOR.sub("_", text).strip("_")
    if not word:
        raise StudyError(f"the value {value!r} has no letter or digit, so no file can be named by it. Give it one.")
    return word


def _plain(value: float | bool | None) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower()
    number = int(value) if isinstance(value, float) and value.is_integer() else value
    return f"minus{-number}" if number < 0 else str(number)


def instances_of(
    steps: Mapping[str, StepSpecification], *, place: str = "the study as it was resolved"
) -> dict[str, Instance]:
    """Return what the steps of a study come to, by name.

    Parameters
    ----------
    steps : mapping of str to StepSpecification
        ``specification.steps`` of a resolved study: no ``all`` is left in a matrix.
    place : str
        What errors call the study.

    Returns
    -------
    dict of str to Instance
        Step by step in the order of the study file; within a step, the last name of the matrix runs fastest.
        An instance that needs a step with a matrix needs all its instances; where it comes from a matrix
        itself, those that have the same values under the names the two share.

    Raises
    ------
    StudyError
        Where a matrix is empty, has a value that cannot name a file, or gives two instances one name; where
        ``published`` names what the matrix lacks; where no instance of a needed step agrees; more than 100,000.
    """
    _check_size(steps, place)
    fanned = {name: _fanned(name, step, place) for name, step in steps.items()}
    needed = _Needed(steps, fanned, place)
    return {
        instance.name: Instance(
            instance.name, name, instance.values, instance.label, needed.by(instance), instance.published
        )
        for name, instances in fanned.items()
        for instance in instances
    }


def _check_size(steps: Mapping[str, StepSpecification], place: str) -> None:
    count = 0
    for name, step in steps.items():
        for key, values in step.matrix.items():
            if isinstance(values, str):
                raise StudyError(
                    f"{place}, step '{name}': matrix '{key}: all' stands for the codes of '{key}'; "
                    "evaluation run puts them in."
                )
            if not values:
                raise StudyError(f"{place}, step '{name}': matrix '{key}' has no value. Give it one, or take it out.")
        count += math.prod(len(values) for values in step.matrix.values())
        if count > MOST_INSTANCES:
            raise StudyError(
                f"{place}, step '{name}': its matrix brings the study to {count:,} notebooks, at most "
                f"{MOST_INSTANCES:,} will do. Give it fewer values."
            )


def _fanned(name: str, step: StepSpecification, place: str) -> list[Instance]:
    """Return the instances of one step, without what they need."""
    _check_published(name, step, place)
    if not step.matrix:
        return [Instance(name, name, {}, "")]
    instances: list[Instance] = []
    published = {key: set(values) for key, values in step.published.items()}
    taken: dict[str, Values] = {}
    for values in itertools.product(*(_listed(values) for values in step.matrix.values())):
        try:
            label = instance_label(values)
        except StudyError as error:
            raise StudyError(f"{place}, step '{name}', matrix: {error}") from None
        first = taken.setdefault(label.casefold(), values)
        if first is not values:
            raise StudyError(
                f"{place}, step '{name}', matrix: {_shown(first)} and {_shown(values)} would both be named "
                f"'{name}/{label}'. Take one out, or write it in another way."
            )
        by_name = dict(zip(step.matrix, values, strict=True))
        kept = all(by_name[key] in allowed for key, allowed in published.items())
        instances.append(Instance(f"{name}/{label}", name, by_name, label, published=kept))
    return instances


def _listed(values: list[MatrixValue] | str) -> Sequence[MatrixValue]:
    return [] if isinstance(values, str) else values


def _shown(values: Values) -> str:
    return f"({', '.join(map(repr, values))})"


def _check_published(name: str, step: StepSpecification, place: str) -> None:
    for key, values in step.published.items():
        if key not in step.matrix:
            hint = did_you_mean(key, step.matrix) if step.matrix else "The step has no matrix: take 'published' out."
            raise StudyError(f"{place}, step '{name}': published '{key}' is no name of the matrix. {hint}")
        known = _listed(step.matrix[key])
        listed = set(known)
        if strange := [value for value in values if value not in listed]:
            raise StudyError(
                f"{place}, step '{name}': published '{key}' has {', '.join(map(repr, strange))}, which the matrix has "
                f"not. {did_you_mean(strange[0], known)}"
            )


class _Needed:
    """Finds what an instance needs; instances that need the same share one tuple."""

    def __init__(
        self, steps: Mapping[str, StepSpecification], fanned: Mapping[str, list[Instance]], place: str
    ) -> None:
        self.steps, self.fanned, self.place = steps, fanned, place
        self._found: dict[tuple[str, str], dict[Values, tuple[str, ...]]] = {}
        self._together: dict[tuple[str, tuple[Values, ...]], tuple[str, ...]] = {}

    def by(self, instance: Instance) -> tuple[str, ...]:
        step = self.steps[instance.step]
        shared = {need: self._shared(step, need) for need in step.needs}
        keys = tuple(tuple(instance.values[name] for name in names) for names in shared.values())
        known = self._together.get((instance.step, keys))
        if known is None:
            parts = [self._agreeing(instance, need, key) for need, key in zip(shared, keys, strict=True)]
            known = tuple(itertools.chain.from_iterable(parts))
            self._together[instance.step, keys] = known
        return known

    def _shared(self, step: StepSpecification, need: str) -> tuple[str, ...]:
        return tuple(name for name in step.matrix if name in self.steps[need].matrix)

    def _agreeing(self, instance: Instance, need: str, key: Values) -> tuple[str, ...]:
        shared = self._shared(self.steps[instance.step], need)
        found = self._found.get((instance.step, need))
        if found is None:
            groups: dict[Values, list[str]] = {}
            for other in self.fanned[need]:
                groups.setdefault(tuple(other.values[name] for name in shared), []).append(other.name)
            found = self._found[instance.step, need] = {values: tuple(names) for values, names in groups.items()}
        if key not in found:
            values = ", ".join(f"{name} {value!r}" for name, value in zip(shared, key, strict=True))
            raise StudyError(
                f"{self.place}, step '{instance.step}': it needs '{need}', which has no instance with {values}. "
                f"Give the matrix of '{need}' that value, or take it out here."
            )
        return found[key]


class Needing(Protocol):
    """What has needs: an instance, or a step of a plan."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of those that must be ok first."""


def reached(instances: Mapping[str, Needing], names: Iterable[str]) -> set[str]:
    """Return the names given and those of all that they need, directly or through others.

    Parameters
    ----------
    instances : mapping of str to Instance
        From ``instances_of``; or the steps of a plan.
    names : iterable of str
        Names of instances.

    Examples
    --------
    >>> steps = {"a": StepSpecification(notebook="1_a"), "b": StepSpecification(notebook="2_b", needs=["a"])}
    >>> sorted(reached(instances_of(steps), ["b"]))
    ['a', 'b']
    """
    found: set[str] = set()
    asked: set[int] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        needs = instances[name].needs
        # Instances that need the same share one tuple: it is looked through once.
        if id(needs) not in asked:
            asked.add(id(needs))
            waiting.extend(needs)
    return found
