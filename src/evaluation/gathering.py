"""What the instances of a step published, put together again: one result over all districts and years."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation import project
from evaluation.errors import ColumnError, PublishError, did_you_mean
from evaluation.estimation.diagnostic_frames import DiagnosticFrame
from evaluation.instances import Instance, instances_of, reached
from evaluation.publication import INSTANCE_MARK, read_published
from evaluation.results import Estimates, Labels, Provenance
from evaluation.specification import StepSpecification, read_study
from evaluation.survey.codebook import Codebook, code_text, read_codebook
from evaluation.tables import common_provenance

#: Why a row has no number; keys of the vocabulary.
NOT_PUBLISHED = "nothing was published"
TOO_FEW = "too few respondents or answers to be shown"

#: Verbs whose rows are of the respondents of one area in one wave alone.
_OWN_WAVE = frozenset({"area_means"})
#: Verbs whose rows are of the respondents of one area, in several waves.
_OWN_AREA = frozenset({"area_change", "area_group"})
#: Names of a matrix that are waves, and so tell samples of one area apart.
_TIMES = frozenset({"year", "wave"})
#: What is assumed between instances, by language.
INDEPENDENCE = {
    "en": "districts are strata and waves are drawn anew, so their estimates are taken as independent",
    "ko": "자치구는 층이고 조사마다 표본을 새로 뽑으므로 서로 독립으로 봄",
}


def gather(name: str, *, where: Mapping[str, Any] | None = None, study: str | None = None) -> Estimates:
    """Put the estimates under each other that every instance of a step published under one name.

    Parameters
    ----------
    name : str
        As the notebook published it, without the instance: ``"district_items"``.
    where : mapping of key column to value or values, optional
        Rows to keep, such as ``{"year": 2016, "term": "stay"}``. A column of the matrix that is held at one value is
        left out of the keys, so that one row per district remains.
    study : str, optional
        Default: the study that the notebook opened.

    Returns
    -------
    Estimates
        The rows of all instances, with the names of the matrix as key columns. Instances that published nothing have
        rows without numbers, and ``refused_because`` says so; ``fit["missing"]`` lists them. Covariances between
        instances are zero where they rest on different respondents (``fit["independence"]``), else not a number.

    Raises
    ------
    PublishError
        No instance published such an estimate, or their rows do not fit together.
    ColumnError
        ``where`` names an unknown column or value.

    Notes
    -----
    A notebook opened by hand reads the last good run, or the published one, where it did not publish itself.
    """
    if where is not None and not isinstance(where, Mapping):
        raise ColumnError(f"gather: where must map columns to values, got {where!r}. Write where={{'year': 2016}}.")
    study = _study_of(study)
    found = _found(study, name)
    codebook = _codebook(study)
    parts = [_of_instance(name, instance, estimates, found.terms) for instance, estimates in found.by_instance]
    whole = replace(_together(name, parts, found), provenance=_provenance(found, where or {}, codebook))
    return whole if where is None else _held(whole, where, found.matrix)


class Refusals(DiagnosticFrame):
    """Rows without a number: their keys, and ``refused_because``."""


def refusals(*gathered: Estimates) -> Refusals:
    """List every row that has no number, and why: too few respondents, a stated minimum, nothing published.

    Parameters
    ----------
    *gathered : Estimates
        From ``gather``, or any estimates.

    Returns
    -------
    Refusals
        The keys of each such row, ``mark`` and ``refused_because``; empty where every row has its number.
    """
    if not gathered:
        raise PublishError("refusals needs estimates to look through, such as ev.gather('district_items').")
    frames = []
    for result in gathered:
        if not isinstance(result, Estimates):
            raise PublishError(
                f"refusals looks through estimates, got {type(result).__name__}. Give what ev.gather made."
            )
        shown = result.masked()
        k = len(shown)
        marks = np.asarray(shown.columns.get("mark", np.full(k, "", dtype=object)), dtype=object)
        said = np.asarray(shown.columns.get("refused_because", np.full(k, "", dtype=object)), dtype=object)
        reason = np.where(said != "", said, np.where(marks != "", TOO_FEW, ""))
        rows = np.isnan(shown.estimate)
        frames.append(shown.keys.assign(mark=marks, refused_because=reason)[rows])
    frame = pd.concat(frames, ignore_index=True)
    frame = frame[[*[name for name in frame if name not in ("mark", "refused_because")], "mark", "refused_because"]]
    return Refusals("refusals", frame, common_provenance(dict(enumerate(gathered))))  # type: ignore[arg-type]


def readable_folders(study: str) -> list[Path]:
    """Return where a notebook may read: in the run itself; by hand, also in earlier runs, the later the better."""
    run = project.run_folder(study)
    outputs = project.project_root() / "outputs"
    return [run] if project.is_of_record() else [outputs / "reference" / study, outputs / study, run]


def _study_of(study: str | None) -> str:
    known = study or project.current_study()
    if known is None:
        raise PublishError("no study is open, so there is nothing to gather. Call ev.open_study(study) first.")
    return known


@dataclass(frozen=True, eq=False)
class _Found:
    """What the instances of one step published under a name; None for those that published nothing."""

    step: str
    matrix: tuple[str, ...]
    by_instance: tuple[tuple[Instance, Estimates | None], ...]
    terms: tuple[str, ...]

    @property
    def missing(self) -> list[str]:
        return [instance.label for instance, estimates in self.by_instance if estimates is None]


def _found(study: str, name: str) -> _Found:
    published: dict[str, Estimates] = {}
    for folder in readable_folders(study):
        published |= read_published(folder)
    steps = _resolved(study)
    asked = _asked(instances_of(steps))
    best: _Found | None = None
    for step, specification in steps.items():
        own = [instance for instance in asked if instance.step == step and instance.label]
        made = tuple((instance, published.get(f"{name}{INSTANCE_MARK}{instance.label}")) for instance in own)
        if any(estimates is not None for _, estimates in made):
            terms = dict.fromkeys(str(t) for _, one in made if one is not None for t in one.keys["term"])
            best = _Found(step, tuple(specification.matrix), made, tuple(terms))
    if best is None:
        bases = dict.fromkeys(known.partition(INSTANCE_MARK)[0] for known in published if INSTANCE_MARK in known)
        hint = did_you_mean(name, bases) if bases else "Run the step with the matrix first."
        raise PublishError(f"no instance of a step published an estimate '{name}'. {hint}")
    return best


def _asked(instances: Mapping[str, Instance]) -> list[Instance]:
    """Return the instances that count: those that the running step needs, in the language of the run."""
    spoken = project.language()
    own = [instance for instance in instances.values() if instance.values.get("lang", spoken) == spoken]
    here = os.environ.get(project.STEP_VARIABLE, "")
    if here not in instances:
        return own
    needed = reached(instances, [here])
    return [instance for instance in own if instance.name in needed]


def _resolved(study: str) -> dict[str, StepSpecification]:
    """Return the study's steps with every matrix written out; a notebook opened by hand meets ``all`` as it stands."""
    specification = read_study(study)
    codes: dict[str, Any] = {"lang": list(project.LANGUAGES)}
    steps = {}
    for name, step in specification.steps.items():
        open_names = [key for key, values in step.matrix.items() if values == "all"]
        for key in open_names:
            if key not in codes:
                variable = _codebook(study)[key]
                codes[key] = variable.numeric_codes or list(variable.codes)
        written = {key: codes[key] if key in open_names else values for key, values in step.matrix.items()}
        steps[name] = step.model_copy(update={"matrix": written})
    return steps


def _codebook(study: str) -> Codebook:
    survey = read_study(study).survey
    return read_codebook(project.survey_folder(survey) / "codebook.csv", place=f"surveys/{survey}/codebook.csv")


def _of_instance(name: str, instance: Instance, estimates: Estimates | None, terms: Sequence[str]) -> Estimates:
    """Return one instance's rows with the matrix as keys; rows without numbers where there are none."""
    if estimates is None:
        k = len(terms)
        return Estimates(
            verb="",
            keys=pd.DataFrame({"term": list(terms), **{key: [value] * k for key, value in instance.values.items()}}),
            estimate=np.full(k, np.nan),
            vcov=np.full((k, k), np.nan),
            df=np.full(k, np.nan),
            n_obs=np.zeros(k, dtype=np.int64),
            provenance=Provenance(),
            interval=np.full((k, 2), np.nan),
            columns={"refused_because": np.full(k, NOT_PUBLISHED, dtype=object)},
        )
    keys = estimates.keys.reset_index(drop=True).copy()
    for key, value in instance.values.items():
        if key not in keys:
            keys[key] = [value] * len(keys)
        elif {code_text(own) for own in keys[key]} != {code_text(value)}:
            raise PublishError(
                f"'{name}{INSTANCE_MARK}{instance.label}' holds rows of another {key} than {value!r}. Publish the rows "
                f"of its own instance only."
            )
    others = [column for column in keys if column != "term" and column not in instance.values]
    return replace(estimates, keys=keys[["term", *instance.values, *others]])


class GatheredLabels:
    """Labels as the instances published them, and the survey's codebook for what they did not."""

    def __init__(self, published: Sequence[Labels], codebook: Codebook) -> None:
        self.published, self.codebook = published, codebook

    def variable(self, name: str, lang: str) -> str:
        """Return the label of a column or term."""
        found = (labels.variable(name, lang) for labels in self.published)
        return next((label for label in found if label != name), self.codebook.variable(name, lang))

    def value(self, name: str, value: object, lang: str) -> str:
        """Return the label of a code of a column."""
        known = self.codebook.value(name, value, lang)
        if known != str(value):
            return known
        found = (labels.value(name, value, lang) for labels in self.published)
        return next((label for label in found if label != str(value)), known)


def _together(name: str, parts: Sequence[Estimates], found: _Found) -> Estimates:
    there = [estimates for _, estimates in found.by_instance if estimates is not None]
    first = there[0]
    alike = {
        (one.verb, one.conf_level, tuple(map(str, part.keys))) for one, part in zip(there, _there(parts), strict=True)
    }
    if len(alike) > 1:
        raise PublishError(f"the instances published '{name}' with other verbs, levels or keys. Run them all again.")
    keys = pd.concat([part.keys for part in parts], ignore_index=True)
    return Estimates(
        verb=first.verb,
        keys=keys,
        estimate=np.concatenate([part.estimate for part in parts]),
        vcov=_covariance(first.verb, parts, keys, found.matrix),
        df=np.concatenate([part.df for part in parts]),
        n_obs=np.concatenate([part.n_obs for part in parts]),
        provenance=first.provenance,
        conf_level=first.conf_level,
        interval=np.concatenate([part.confidence_interval() for part in parts]),
        interval_method=first.interval_method,
        method=first.variance_method,
        columns=_columns(parts),
        fit={
            "step": found.step,
            "instances": len(found.by_instance),
            "missing": found.missing,
            "independence": INDEPENDENCE["en"] if first.verb in _OWN_WAVE | _OWN_AREA else "not known",
            **({"shares": True} if all(one.fit.get("shares") for one in there) else {}),
        },
    )


def _provenance(found: _Found, where: Mapping[str, Any], codebook: Codebook) -> Provenance:
    """Return what the instances that are asked for have in common: one wave has its size, several have none."""
    there = [(instance, estimates) for instance, estimates in found.by_instance if estimates is not None]
    asked = [
        estimates
        for instance, estimates in there
        if all(code_text(value) in _texts(where[name]) for name, value in instance.values.items() if name in where)
    ]
    kept = asked or [estimates for _, estimates in there]
    labels = GatheredLabels([kept[0].provenance.labels], codebook)
    return replace(common_provenance({str(at): one for at, one in enumerate(kept)}), labels=labels)


def _texts(wanted: Any) -> set[str]:
    several = isinstance(wanted, Iterable) and not isinstance(wanted, str)
    return {code_text(value) for value in (wanted if several else [wanted])}


def _there(parts: Iterable[Estimates]) -> list[Estimates]:
    return [part for part in parts if part.verb]


def _columns(parts: Sequence[Estimates]) -> dict[str, NDArray[Any]]:
    """Return further columns one under another; empty where an instance has none of that name."""
    names = list(dict.fromkeys(name for part in parts for name in part.columns))
    columns = {}
    for name in names:
        held = [part.columns[name] for part in parts if name in part.columns]
        told = [values for values in held if not all(value is None for value in values)]
        numbers = all(np.issubdtype(values.dtype, np.number) for values in told)
        kind, blank = (float, np.nan) if numbers else (object, "")
        empty = [name not in part.columns or all(value is None for value in part.columns[name]) for part in parts]
        columns[name] = np.concatenate(
            [
                np.full(len(part), blank, dtype=kind) if is_empty else part.columns[name]
                for part, is_empty in zip(parts, empty, strict=True)
            ]
        )
        if not numbers:
            columns[name] = np.array(["" if value is None else value for value in columns[name]], dtype=object)
    return columns


def _covariance(
    verb: str, parts: Sequence[Estimates], keys: pd.DataFrame, matrix: Sequence[str]
) -> NDArray[np.float64]:
    """Return the covariance of all rows: known within an instance, and zero between those of other respondents."""
    size = len(keys)
    times = [name for name in matrix if name in _TIMES]
    areas = [name for name in matrix if name not in _TIMES and name != "lang"]
    covariance = np.full((size, size), np.nan)
    apart = areas + times if verb in _OWN_WAVE else areas if verb in _OWN_AREA else []
    for name in apart:
        values = np.array([code_text(value) for value in keys[name]])
        covariance[values[:, None] != values[None, :]] = 0.0
    start = 0
    for part in parts:
        rows = slice(start, start + len(part))
        covariance[rows, rows] = part.vcov
        start += len(part)
    missing = np.isnan(np.concatenate([part.estimate for part in parts]))
    covariance[missing, :] = np.nan
    covariance[:, missing] = np.nan
    return covariance


def _held(whole: Estimates, where: Mapping[str, Any], matrix: Sequence[str]) -> Estimates:
    """Return the rows whose keys have these values, without the columns of the matrix that are held at one."""
    rows = np.ones(len(whole), dtype=bool)
    fixed = []
    for name, wanted in where.items():
        if name not in whole.keys:
            raise ColumnError(f"gather: no key column '{name}'. {did_you_mean(name, list(map(str, whole.keys)))}")
        values = _texts(wanted)
        own = [code_text(value) for value in whole.keys[name]]
        if unknown := sorted(values - set(own)):
            raise ColumnError(f"gather: no row has {name} = {unknown[0]}. {did_you_mean(unknown[0], set(own))}")
        rows &= np.isin(np.array(own), list(values))
        fixed += [name] if name in matrix and len(values) == 1 else []
    if not rows.any():
        raise ColumnError(f"gather: no row has all of {dict(where)}. Ask for fewer at once.")
    kept = whole.take(np.flatnonzero(rows))
    left = [name for name in kept.keys if name not in fixed]
    held = {name: str(where[name]) for name in fixed}
    return replace(kept, keys=kept.keys[left], fit={**kept.fit, "where": held})
