"""What a study promised to look at before anybody read an outcome: ``params/prespecification/<study>.yml``.

The entries are hashed. What was registered must stay as it was; what came later says so.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import pandas as pd
from pydantic import Field, ValidationError

from evaluation import project
from evaluation.errors import StudyError, did_you_mean
from evaluation.results import Labels, PlainLabels, card_html
from evaluation.specification import RESOLVED, Strict, Text, faults_of, read_study
from evaluation.survey.codebook import read_codebook

Entry = TypeVar("Entry")
#: A column in a formula: between backticks, or a word that is no function.
_COLUMN = re.compile(r"`([^`]+)`|([^\W\d]\w*)(?!\s*\()\b")
#: Columns, or a one-sided formula.
Covariates = list[str] | str
Evidence = Literal["benchmark", "adjusted", "difference_in_differences", "staggered", "randomised"]
#: What a missing covariate means: an error, the respondent is left out, a level or indicator of its own.
Missing = Literal["refuse", "complete_cases", "indicator"]


class MeasurementPlan(Strict):
    """How one side of a comparison was, or will be, measured; ``wording`` and ``population`` in both languages."""

    item: str
    wording: Text | None = None
    population: Text
    mode: str = ""
    year: int | None = None
    asks_change: bool | None = None


class Question(Strict):
    """One question; ``added`` dates one that came after the others were registered."""

    title: Text
    added: str | None = Field(None, pattern=r"^\d{4}-\d{2}-\d{2}$")


class ComparisonPlan(Question):
    """One comparison: an outcome in two groups of one design, or a mean against a figure published elsewhere.

    ``printed`` is what was published of participants, in the units of the outcome; ``missing`` what a missing
    covariate means, where it differs from the study's.
    """

    outcome: str
    treatment: str | None = None
    covariates: Covariates | None = None
    missing: Missing | None = None
    participants: MeasurementPlan
    comparator: MeasurementPlan
    contains_participants: bool | None
    evidence: Evidence = "adjusted"
    subgroups: list[str] = Field(default_factory=list)
    benchmark: str | None = None
    printed: float | None = None
    comparator_outcome: str | None = None


class PolicyPlan(Question):
    """One outcome of a staged roll-out: who counts as treated from when on, against whom, by which estimator.

    ``unit`` where the same units come again (None: new respondents in every wave); ``places`` is what the clusters are
    called in sentences; ``placebo_outcomes`` cannot move.
    """

    outcome: str
    design: str
    time: str
    cohort: str
    cluster: str
    unit: str | None = None
    covariates: list[str] = Field(default_factory=list)
    estimator: Literal["dr", "ipw", "reg"] = "dr"
    control_group: Literal["notyettreated", "nevertreated"] = "notyettreated"
    anticipation: int = 0
    places: Text = Text(ko="자치구", en="districts")
    placebo_outcomes: list[str] = Field(default_factory=list)


class ScalePlan(Question):
    """An ordered item whose categories are compared, the ``top`` highest (two, or one of three) as a share."""

    outcome: str
    top: int | None = None
    treatment: str | None = None
    covariates: Covariates | None = None


class DosePlan(Question):
    """An outcome by how often somebody took part; ``treatment`` where those who did not were not asked how often.

    ``design`` is another one than that of the file, where classes are rare; ``breaks`` and ``method`` as in
    ``dose_response``.
    """

    outcome: str
    dose: str
    treatment: str | None = None
    design: str | None = None
    breaks: list[int] | None = None
    method: Literal["aipw", "ipw", "ipwra", "g_computation", "regression_adjusted", "difference"] | None = None
    covariates: Covariates | None = None


class ControlPlan(Question):
    """Outcomes that taking part cannot move: a difference in them says that the groups differ otherwise."""

    outcomes: list[str]
    treatment: str | None = None
    covariates: Covariates | None = None


class Content(Strict):
    """The whole of a pre-specification file."""

    study: str
    registered: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")
    sha256: str | None = None
    design: str
    treatment: str
    covariates: Covariates
    missing: Missing = "refuse"
    comparisons: dict[str, ComparisonPlan]
    policies: dict[str, PolicyPlan] = Field(default_factory=dict)
    scales: dict[str, ScalePlan] = Field(default_factory=dict)
    doses: dict[str, DosePlan] = Field(default_factory=dict)
    negative_controls: dict[str, ControlPlan] = Field(default_factory=dict)

    @property
    def questions(self) -> dict[str, dict[str, Question]]:
        """Every question by its kind and name."""
        groups = {kind: getattr(self, kind) for kind in KINDS}
        return {kind: dict(entries) for kind, entries in groups.items()}


#: Groups of questions in a pre-specification file, and what one of each is called.
KINDS: Mapping[str, str] = {
    "comparisons": "comparison",
    "policies": "policy",
    "scales": "scale",
    "doses": "dose",
    "negative_controls": "negative control",
}


def variables_in(covariates: Covariates) -> list[str]:
    """Return the columns that covariates are made of.

    Examples
    --------
    >>> variables_in("~ sex + age + {age**2}"), variables_in(["sex", "age"])
    (['sex', 'age'], ['sex', 'age'])
    """
    if isinstance(covariates, list):
        return covariates
    return list(dict.fromkeys(quoted or bare for quoted, bare in _COLUMN.findall(covariates)))


@dataclass(frozen=True)
class Prespecification:
    """Outcomes, comparisons and subgroups as they were fixed before outcomes were read.

    Attributes
    ----------
    content : Content
        The file.
    sha256 : str
        Of all entries that were not added later.
    is_registered : bool
        Whether the file names this hash; otherwise nothing was fixed yet.
    labels : Labels
        Words for columns.
    """

    content: Content
    sha256: str
    is_registered: bool
    labels: Labels = field(default_factory=PlainLabels, repr=False)

    def comparison(self, name: str) -> ComparisonPlan:
        """Return a comparison; a StudyError names the nearest where there is none."""
        return _entry(self.content.comparisons, name, self.content.study, "comparison")

    def policy(self, name: str) -> PolicyPlan:
        """Return a policy question; a StudyError names the nearest where there is none."""
        return _entry(self.content.policies, name, self.content.study, "policy")

    def tidy(self) -> pd.DataFrame:
        """Return one row per question: kind, name, outcome, subgroups, covariates, date when it was added later."""
        rows = [
            {
                "kind": KINDS[kind],
                "name": name,
                "outcome": ", ".join(getattr(entry, "outcomes", [])) or getattr(entry, "outcome", ""),
                "subgroups": ", ".join(getattr(entry, "subgroups", [])),
                "covariates": ", ".join(self._covariates(kind, entry)),
                "added": entry.added or "",
            }
            for kind, entries in self.content.questions.items()
            for name, entry in entries.items()
        ]
        return pd.DataFrame(rows)

    def _covariates(self, kind: str, entry: Question) -> list[str]:
        own: Covariates | None = getattr(entry, "covariates", None)
        return variables_in(own or ([] if kind == "policies" else self.content.covariates))

    def _card(self) -> list[tuple[str, str]]:
        k = 0 if project.language() == "ko" else 1
        heads = (("등록", "항목의 SHA-256", "비교", "하위 집단", "정책 효과", "보정 변수", "나중에 추가", "없음"),
                 ("registered", "SHA-256 of the entries", "comparisons", "subgroups", "policy effects", "adjusted for",
                  "added later", "none"))[k]  # fmt: skip
        groups = self.content.questions
        titles = {
            kind: {name: entry.title.in_language(project.language()) for name, entry in entries.items()}
            for kind, entries in groups.items()
        }
        subgroups = sorted({name for entry in self.content.comparisons.values() for name in entry.subgroups})
        later = [
            f"{titles[kind][name]} ({entry.added})"
            for kind, entries in groups.items()
            for name, entry in entries.items()
            if entry.added
        ]
        further = [titles[kind].values() for kind in ("scales", "doses", "negative_controls")]
        further_heads = (
            ("순서형 문항", "참여 횟수", "사업이 움직일 수 없는 결과"),
            ("ordered items", "by how often", "outcomes that nothing here could move"),
        )[k]
        words = (
            ("실행을 시작할 때 해시로 고정", "아직 등록되지 않음: 아래 해시를 파일의 sha256에 적을 것"),
            (
                "held by this hash from the start of each run",
                "not registered yet: write the hash below into the file as sha256",
            ),
        )[k][0 if self.is_registered else 1]

        def named(column: str) -> str:
            return self.labels.variable(column, project.language())

        return [
            (heads[0], f"{self.content.registered}, {words}"),
            (heads[1], self.sha256),
            (heads[2], "; ".join(titles["comparisons"].values()) or heads[7]),
            (heads[3], ", ".join(map(named, subgroups)) or heads[7]),
            (heads[4], "; ".join(titles["policies"].values()) or heads[7]),
            *((head, "; ".join(own)) for head, own in zip(further_heads, further, strict=True) if own),
            (heads[5], ", ".join(map(named, variables_in(self.content.covariates))) or heads[7]),
            (heads[6], "; ".join(later) or heads[7]),
        ]

    def __repr__(self) -> str:
        return "\n".join(f"{head}: {text}" for head, text in self._card())

    def _repr_html_(self) -> str:
        return card_html(self._card())


def read_prespecification(study: str) -> Prespecification:
    """Read what a study fixed before outcomes were read, and hold it against its registered hash.

    Parameters
    ----------
    study : str
        Study id; the file is ``params/prespecification/<study>.yml``.

    Returns
    -------
    Prespecification

    Raises
    ------
    StudyError
        There is no such file; it is at fault; registered entries were changed; or it was changed while a run
        was under way.

    Examples
    --------
    >>> read_prespecification("seoul_2016").comparison("stay").outcome
    'stay'
    """
    place = f"params/prespecification/{study}.yml"
    path = prespecification_file(study)
    if not path.is_file():
        known = sorted(file.stem for file in path.parent.glob("*.yml"))
        raise StudyError(f"study '{study}' fixed no outcomes and comparisons: {place} does not exist. "
                         f"{did_you_mean(study, known)} Write them down before outcomes are read.")  # fmt: skip
    _require_unchanged(study, path, place)
    try:
        content = Content.model_validate(project.read_yaml(path))
    except ValidationError as error:
        raise StudyError(f"{place}: " + "; ".join(faults_of(error, list(Content.model_fields)))) from None
    if content.study != study:
        raise StudyError(f"{place}: study is '{content.study}', but the id of a study is its file's stem.")
    found = hash_of(content)
    if content.sha256 is not None and content.sha256 != found:
        raise StudyError(
            f"{place}: the entries are no longer those that were registered on {content.registered} (sha256 "
            f"{content.sha256[:12]}…, now {found[:12]}…). Restore them; what is new goes into an entry of its own with "
            "'added: <date>'."
        )
    return Prespecification(content, found, content.sha256 is not None, _labels(study))


def _labels(study: str) -> Labels:
    file = project.survey_folder(read_study(study).survey) / "codebook.csv"
    return read_codebook(file, place=f"the codebook of study '{study}'") if file.is_file() else PlainLabels()


def prespecification_file(study: str) -> Path:
    """Return where the pre-specification of a study stands, whether it is there or not."""
    return project.project_root() / "params" / "prespecification" / f"{study}.yml"


def hash_of(content: Content) -> str:
    """Return the SHA-256 of all entries that were not added later.

    Parameters
    ----------
    content : Content
        Order of entries and layout of the file do not count.
    """
    record: dict[str, Any] = content.model_dump(exclude={"sha256"}, exclude_defaults=True)
    for group in KINDS:
        kept = {name: entry for name, entry in record.get(group, {}).items() if "added" not in entry}
        if kept or group in ("comparisons", "policies"):
            record[group] = kept
        else:
            record.pop(group, None)
    return hashlib.sha256(json.dumps(record, ensure_ascii=False, sort_keys=True).encode("utf-8")).hexdigest()


def _entry(entries: Mapping[str, Entry], name: str, study: str, kind: str) -> Entry:
    if name not in entries:
        raise StudyError(f"params/prespecification/{study}.yml has no {kind} '{name}'. {did_you_mean(name, entries)}")
    return entries[name]


def _require_unchanged(study: str, path: Path, place: str) -> None:
    """Inside a run, refuse a file other than the one that was there when the run began."""
    running = Path(os.environ.get(project.RUN_VARIABLE, "")) / RESOLVED
    if not (project.is_of_record() and running.is_file()):
        return
    record = json.loads(running.read_text(encoding="utf-8"))
    if record["study"] != study:
        return
    expected = record.get("prespecification_sha256")
    if expected is not None and expected != hashlib.sha256(path.read_bytes()).hexdigest():
        raise StudyError(f"{place} was changed while the run was under way. Run the study again.")
