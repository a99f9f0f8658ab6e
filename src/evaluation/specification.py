"""What ``params/<study>.yml`` may say: a study as data, checked before anything is opened or run.

A study names its survey, its sampling designs with their weighting chains, the estimates it will
publish and the notebooks that make them. Reading it imports no statistics.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from evaluation import project
from evaluation.errors import StudyError, did_you_mean

#: File in a run folder that holds the study as it was resolved for that run.
RESOLVED = "study.json"

Scalar = str | int | float | bool | None
#: A value that a matrix fans a step out over.
MatrixValue = str | int | float | bool
#: Parts of a notebook that need more than a survey; cells tagged ``if-<section>`` run for studies that name it.
Section = Literal[
    "comparisons",
    "benchmarks",
    "roster",
    "districts",
    "rollout",
    "indicators",
    "trend",
    "judgements",
    "distribution",
    "truth",
    "modes",
    "margins",
    "estimates",
    "scales",
    "doses",
    "negative_controls",
    "impact",
    "respondents",
    "means",
    "shares",
]


class Strict(BaseModel):
    """A part of a file: unknown keys and wrong types are refused, nothing is converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True)


class Text(Strict):
    """One text in the two languages."""

    ko: str
    en: str

    def in_language(self, lang: str) -> str:
        """Return the text in ``lang``."""
        return self.ko if lang == "ko" else self.en


#: What a design says that continues another one, too.
OF_EVERY_DESIGN = ("title", "source", "chain")
OF_FRAMES = ("join", "overlap", "share", "frame")


class DesignSpecification(Strict):
    """One design: a sample with its design variables, an earlier design weighted further, or several put together."""

    title: Text | None = None
    source: str | None = Field(None, alias="from")
    join: dict[str, str] | None = None
    overlap: str | Literal[False] | None = None
    share: float | Literal["effective"] | None = None
    frame: str = "frame"
    sample: str | None = None
    weights: str | None = None
    strata: str | None = None
    psu: str | list[str] | None = None
    fpc: str | float | list[str | float] | None = None
    nested: bool = False
    pps: Literal["brewer", "hartley_rao"] | None = None
    pps_variance: Literal["horvitz_thompson", "yates_grundy"] = "horvitz_thompson"
    lonely_psu: Literal["fail", "remove", "centre", "average"] = "fail"
    lonely_domains: bool = False
    linearization: Literal["exact", "r"] = "exact"
    chain: list[dict[str, dict[str, Any]]] = []

    @model_validator(mode="after")
    def _either_sample_or_source(self) -> DesignSpecification:
        own = {name: field.default for name, field in type(self).model_fields.items()}
        given = [name for name in own if name not in OF_EVERY_DESIGN and getattr(self, name) != own[name]]
        if self.source is not None and given:
            raise ValueError(f"'from' continues another design; {given} belong to that one")
        of_frames = [name for name in given if name in OF_FRAMES]
        if self.join is None and of_frames:
            raise ValueError(f"{of_frames} belong to 'join', which names the designs that are put together")
        if self.join is not None and len(given) > len(of_frames):
            other = [name for name in given if name not in OF_FRAMES]
            raise ValueError(f"'join' puts other designs together; {other} belong to those")
        for step in self.chain:
            if len(step) != 1:
                raise ValueError(f"each step of 'chain' is one 'verb: {{arguments}}', got {sorted(step)}")
        return self


def totals_named(chain: Sequence[Mapping[str, Mapping[str, Any]]]) -> list[str]:
    """Return the designs whose totals a chain calibrates to (``totals_from: {design: ..., variables: [...]}``)."""
    found = [arguments.get("totals_from") for step in chain for arguments in step.values()]
    return [str(given.get("design")) for given in found if isinstance(given, Mapping)]


class EstimateSpecification(BaseModel):
    """One declared estimate: a verb, the design it uses, and the verb's own arguments."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    design: str
    verb: str
    title: Text | None = None
    where: dict[str, list[Scalar] | Scalar] = {}

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments that go to the verb as they are."""
        return dict(self.model_extra or {})


class StepSpecification(Strict):
    """One notebook of the study, what it needs first, and parameters that only it receives.

    With ``matrix`` the notebook runs once for each combination of values: a list for each parameter, or
    ``all``, every answer code of the variable of that name in the survey's codebook. ``published`` names
    the values whose notebooks are kept with the reference; without it, all are.
    """

    notebook: str
    needs: list[str] = []
    parameters: dict[str, Scalar] = {}
    matrix: dict[str, list[MatrixValue] | Literal["all"]] = {}
    published: dict[str, list[MatrixValue]] = {}


class ExplainedChange(Strict):
    """Why published numbers differ from those of the study before: addresses (``*`` for any), and the reason."""

    address: str
    reason: Text


class PreviousStudy(Strict):
    """The study that this one is compared with, and how far a number may move before it must be explained.

    ``threshold`` counts standard errors of the difference between two independent waves.
    """

    study: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    threshold: float = Field(3.0, gt=0)
    explained: list[ExplainedChange] = []


class StudySpecification(Strict):
    """The whole of ``params/<study>.yml``."""

    study: str
    title: Text
    question: Text
    survey: str
    data: Literal["real", "synthetic"] = "real"
    headline: str
    truth: str | None = None
    sections: list[Section] = []
    prespecification_sha256: str | None = None
    parameters: dict[str, Scalar] = {}
    designs: dict[str, DesignSpecification]
    estimates: dict[str, dict[str, EstimateSpecification]] = {}
    steps: dict[str, StepSpecification]
    compared_with: PreviousStudy | None = None

    def samples_of(self, design: str) -> tuple[str | None, ...]:
        """Return the samples that a design is drawn on, through however many others; None is a survey's only one."""
        declared = self.designs[design]
        if declared.join is not None:
            parts = (sample for part in declared.join.values() for sample in self.samples_of(part))
            return tuple(dict.fromkeys(parts))
        return (declared.sample,) if declared.source is None else self.samples_of(declared.source)

    def sample_of(self, design: str) -> str | None:
        """Return the name of what a design is drawn on: a sample, or several with "+" between them."""
        samples = self.samples_of(design)
        return samples[0] if len(samples) == 1 else " + ".join(map(str, samples))

    @model_validator(mode="after")
    def _names_exist(self) -> StudySpecification:
        def require(name: str, known: Any, where: str) -> None:
            if name not in known:
                raise ValueError(f"{where}: unknown name '{name}'. {did_you_mean(name, known)}")

        require(self.headline, self.designs, "headline")
        if self.truth is not None:
            require(self.truth, self.designs, "truth")
        earlier: list[str] = []
        for name, design in self.designs.items():
            if design.source is not None:
                require(design.source, earlier, f"designs.{name}.from")
            for frame, part in (design.join or {}).items():
                require(part, earlier, f"designs.{name}.join.{frame}")
            for named in totals_named(design.chain):
                require(named, earlier, f"designs.{name}.chain, totals_from.design")
            earlier.append(name)
        for group, estimates in self.estimates.items():
            require(group, self.steps, "estimates")
            for name, estimate in estimates.items():
                require(estimate.design, self.designs, f"estimates.{group}.{name}.design")
        for name, step in self.steps.items():
            for need in step.needs:
                require(need, self.steps, f"steps.{name}.needs")
        return self


def read_study(study_id: str, *, resolved: bool = True) -> StudySpecification:
    """Read and check a study.

    Parameters
    ----------
    study_id : str
        Stem of a file in ``params/``.
    resolved : bool, default True
        Inside a run, read the study as the runner resolved it (with the parameters given on the
        command line); elsewhere, and with False, read ``params/<study_id>.yml``.

    Returns
    -------
    StudySpecification
        Frozen.

    Raises
    ------
    StudyError
        Every fault of the file at once: place, what came, nearest known name.
    ProjectError
        Where there is no such study.
    """
    running = Path(os.environ.get(project.RUN_VARIABLE, "")) / RESOLVED
    if resolved and project.is_of_record() and running.is_file():
        specification = StudySpecification.model_validate_json(running.read_text(encoding="utf-8"))
        if specification.study == study_id:
            return specification
    path = project.study_file(study_id)
    return parse_study(project.read_yaml(path), place=f"params/{path.name}", study_id=study_id)


def parse_study(content: dict[str, Any], *, place: str, study_id: str) -> StudySpecification:
    """Check the content of a study file; ``place`` names it in errors."""
    try:
        specification = StudySpecification.model_validate(content)
    except ValidationError as error:
        raise StudyError(f"{place}: " + "; ".join(faults_of(error))) from None
    if specification.study != study_id:
        raise StudyError(f"{place}: study is '{specification.study}', but the id of a study is its file's stem.")
    return specification


def require_arguments(verb: Callable[..., object], arguments: Mapping[str, Any], place: str) -> None:
    """Raise a StudyError unless ``arguments`` are what a verb takes beside the design.

    Parameters
    ----------
    verb : callable
        Its first parameter is the design.
    arguments : mapping
        As a study file gives them.
    place : str
        What the error calls the spot in the file.

    Examples
    --------
    >>> require_arguments(lambda design, numerator: None, {"nominator": "x"}, "estimate 'r'")
    Traceback (most recent call last):
    evaluation.errors.StudyError: estimate 'r': unknown argument 'nominator'. Did you mean 'numerator'?
    """
    taken = dict(list(inspect.signature(verb).parameters.items())[1:])
    for name in arguments:
        if name not in taken:
            raise StudyError(f"{place}: unknown argument '{name}'. {did_you_mean(name, taken)}")
    for name, parameter in taken.items():
        if parameter.default is inspect.Parameter.empty and name not in arguments:
            raise StudyError(f"{place}: the argument '{name}' is missing. Known: {', '.join(taken)}.")


def faults_of(error: ValidationError, known: Sequence[str] = ()) -> list[str]:
    """Return what pydantic found as sentences.

    Parameters
    ----------
    error : pydantic.ValidationError
        Of a whole file.
    known : sequence of str, optional
        Keys at the top of the file; default: those of a study file.
    """
    faults: list[str] = []
    wrong: dict[str, tuple[list[str], object, str]] = {}
    for fault in error.errors():
        where = ".".join(_place(fault["loc"]))
        message = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            fields = known or _fields_at(fault["loc"][:-1])
            faults.append(f"unknown key '{where}'. {did_you_mean(fault['loc'][-1], fields)}")
        elif fault["type"] == "missing":
            faults.append(f"'{where}' is missing")
        elif where and (fault["type"] in _EXPECTED or fault["type"] == "literal_error"):
            allowed = fault.get("ctx", {}).get("expected", "")
            expected, came = _EXPECTED.get(fault["type"], f"one of {allowed}"), fault["input"]
            near = did_you_mean(came.casefold(), re.findall(r"'([^']+)'", allowed)) if isinstance(came, str) else ""
            alike = wrong.setdefault(where, ([], came, near if near.startswith("Did") else ""))
            alike[0].extend([expected] if expected not in alike[0] else [])
        elif where:
            faults.append(f"{where}: {message} (got {fault['input']!r:.80})")
        else:
            faults.append(message)
    told = (
        f"{where}: expected {' or '.join(expected)}, got {came!r:.80}" + (f". {near}" if near else "")
        for where, (expected, came, near) in wrong.items()
        if not any(other.startswith(f"{where}.") for other in wrong)
    )
    return [*faults, *told]


#: What pydantic's kinds of fault say was expected.
_EXPECTED = {
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "dict_type": "keys with values ('key: value')",
    "model_type": "keys with values ('key: value')",
    "list_type": "a list",
}


def _place(location: tuple[int | str, ...]) -> list[str]:
    """Return where a fault is, without the names pydantic gives to the kinds a value may be of."""
    parts = [str(part) for part in location]
    if parts and parts[-1] in ("str", "int", "float", "bool"):
        parts = parts[:-1]
    return [part for part in parts if not part.startswith(("list[", "literal["))]


def _fields_at(location: tuple[int | str, ...]) -> list[str]:
    models: dict[str, type[BaseModel]] = {
        "designs": DesignSpecification,
        "steps": StepSpecification,
        "compared_with": ExplainedChange if "explained" in location else PreviousStudy,
    }
    model = Text if "reason" in location else models.get(str(location[0]), Text) if location else StudySpecification
    return [field.alias or name for name, field in model.model_fields.items()]


@dataclass(frozen=True)
class StudyCard:
    """What a notebook says of its study first.

    Attributes
    ----------
    study : str
        Study id.
    survey : str
        Survey id.
    sample : str or None
        Sample of the headline design; None where the survey has only one.
    title, question, data : str
        In the study's language; ``data`` says whether they are real.
    """

    study: str
    survey: str
    sample: str | None
    title: str
    question: str
    data: str

    def __repr__(self) -> str:
        return f"{self.title}\n{self.question}\n{self.data}"

    def _repr_html_(self) -> str:
        question, data = escape(self.question), escape(self.data)
        return f"<p><strong>{escape(self.title)}</strong><br>{question}<br>{data}</p>"


_DATA = {
    "real": Text(ko="자료: 실제 조사", en="Data: a real survey"),
    "synthetic": Text(ko="자료: 합성(실제 조사가 아님)", en="Data: synthetic, not a real survey"),
}


def open_study(study: str, *, lang: str = "en") -> StudyCard:
    """Start a notebook: say which study it belongs to, and set the language of all that follows.

    Parameters
    ----------
    study : str
        Stem of a file in ``params/``.
    lang : {"ko", "en"}, default "en"
        Language of labels, tables and figures.

    Returns
    -------
    StudyCard

    Raises
    ------
    ProjectError
        There is no such study, or no such language.
    StudyError
        The study file is wrong.

    Examples
    --------
    >>> open_study("api_2000", lang="en").survey
    'api_2000'
    """
    project.use_language(lang)
    project.use_study(study)
    specification = read_study(study)
    return StudyCard(
        study,
        specification.survey,
        specification.sample_of(specification.headline),
        specification.title.in_language(lang),
        specification.question.in_language(lang),
        _DATA[specification.data].in_language(lang),
    )
