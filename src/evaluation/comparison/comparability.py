"""Comparability: what two published or estimated numbers have in common, and which sentence that allows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from evaluation import project
from evaluation.errors import EstimationError, IdentificationError, ProjectError, did_you_mean
from evaluation.estimation.arguments import came
from evaluation.results import Labels
from evaluation.wording import term_label

Evidence = Literal["benchmark", "adjusted", "difference_in_differences", "staggered", "randomised"]
Diagnostic = Literal["overlap", "balance", "pre_trend", "placebo", "attrition", "few_clusters", "schedule"]

#: Evidence grade of each design.
GRADES: dict[str, int] = {
    "benchmark": 1,
    "adjusted": 2,
    "difference_in_differences": 3,
    "staggered": 4,
    "randomised": 5,
}
#: The highest grade left once a diagnostic fails.
CAPS: dict[str, int] = {
    "overlap": 1,
    "balance": 1,
    "pre_trend": 2,
    "placebo": 2,
    "attrition": 2,
    "few_clusters": 2,
    "schedule": 1,
}

_GRADE_NAMES = {
    1: ("1등급: 외부 수치와의 차이", "grade 1: gap to another figure"),
    2: ("2등급: 보정한 횡단 비교", "grade 2: adjusted cross-section"),
    3: ("3등급: 이중차분", "grade 3: difference-in-differences"),
    4: ("4등급: 단계적 도입 설계", "grade 4: staggered design"),
    5: ("5등급: 무작위 배정", "grade 5: randomised"),
}
_STRONGEST = {
    1: (
        "두 수가 {gap} 다르다고만 쓸 수 있음. 사업과 관련짓지 않음",
        "may only say that the two figures differ by {gap}; nothing is ascribed to the programme",
    ),
    2: (
        "관측된 특성이 같은 비참여자와 비교해도 {gap} 차이가 남는다고 쓸 수 있음",
        "may say that {gap} remains between participants and others alike in what was observed",
    ),
    3: (
        "평행추세를 가정하면 참여자의 변화가 {gap} 달랐다고 쓸 수 있음",
        "may say that participants changed by {gap} more than others, if trends would have been parallel",
    ),
    4: (
        "도입 시기를 따라 {gap} 변화가 뒤따랐다고, 명시한 가정 아래 쓸 수 있음",
        "may say that a change of {gap} followed the roll-out, under the stated assumptions",
    ),
    5: ("배정이 {gap} 차이를 낳았다고 쓸 수 있음", "may say that assignment brought about {gap}"),
}
_ASPECTS = {
    "item": ("문항", "item"),
    "wording": ("문구", "wording"),
    "population": ("모집단", "population"),
    "mode": ("조사방식", "mode"),
    "year": ("연도", "year"),
    "overlap": ("비교 대상에 참여자 포함", "comparator contains participants"),
    "change": ("변화를 묻는 문항", "item asks about a change"),
}
_DIAGNOSTICS = {
    "overlap": ("겹침 부족", "poor overlap"),
    "balance": ("균형 부족", "poor balance"),
    "pre_trend": ("사전 추세", "pre-trend"),
    "placebo": ("효과가 없어야 할 곳에서 효과가 나옴", "an effect where there should be none"),
    "attrition": ("탈락", "attrition"),
    "few_clusters": ("군집이 적음", "few clusters"),
    "schedule": ("실제와 다른 시행 일정", "another schedule than the realised one"),
}
#: How an item gives away that it asks for a change, in both languages.
_CHANGE = re.compile(
    r"\b(increas|decreas|improv|worsen|strengthen|grew|grown|has become|have become|more than before|"
    r"than before|since (?:you|taking|the))"
    r"|늘었|늘어났|늘어남|증가|감소했|높아졌|낮아졌|좋아졌|나아졌|향상|강해졌|커졌|생겼|전보다|이전보다",
    re.IGNORECASE,
)
_SIDES = {"": ("알 수 없음", "unknown"), "yes": ("예", "yes"), "no": ("아니요", "no")}


@dataclass(frozen=True)
class Measurement:
    """How a number came about: one side of a comparison.

    Attributes
    ----------
    item : str
        What was asked: the name of its column, or its label; two sides with the same item claim the same question.
    wording : str
        The question as it was put; empty where it is not known.
    population : str
        Whom the number stands for, with age limits and area.
    mode : str
        How it was asked, e.g. ``"face_to_face"``; empty where it is not known.
    year : int or None
        Of the fieldwork.
    asks_change : bool or None
        Whether the item asks if something has changed. None: read off the wording and the item,
        where words such as "increased" or "늘었" give it away.
    """

    item: str
    wording: str = ""
    population: str = ""
    mode: str = ""
    year: int | None = None
    asks_change: bool | None = None

    @property
    def is_change_worded(self) -> bool:
        """Whether the item asks about a change."""
        if self.asks_change is not None:
            return self.asks_change
        return _CHANGE.search(f"{self.item} {self.wording}".replace("_", " ")) is not None


@dataclass(frozen=True)
class Difference:
    """One aspect in which two sides are not equal, or not known to be.

    Attributes
    ----------
    aspect : str
        ``item``, ``wording``, ``population``, ``mode``, ``year``, ``overlap`` or ``change``.
    participants, comparator : str
        What each side has; empty where it is not known.
    """

    aspect: str
    participants: str
    comparator: str

    @property
    def is_unknown(self) -> bool:
        """Whether the two sides may be equal, but nobody said so."""
        return not (self.participants and self.comparator)

    def text(self, lang: str | None = None) -> str:
        """Return the difference in words."""
        k = _index(lang)
        sides = [_SIDES.get(side, (side, side))[k] for side in (self.participants, self.comparator)]
        between = " ≠ " if not self.is_unknown and sides[0] != sides[1] else " / "
        return f"{_ASPECTS[self.aspect][k]}: {between.join(sides)}"


@dataclass(frozen=True)
class Comparability:
    """Verdict on a declared comparison: what differs, whether it is refused, how strong a sentence may be.

    Attributes
    ----------
    participants, comparator : Measurement
        The two sides.
    differences : tuple of Difference
        Every aspect that is not equal or not known to be.
    contains_participants : bool or None
        Whether the comparator contains participants; None where it is not known.
    evidence : str
        Design of the comparison.
    failed : tuple of str
        Diagnostics that failed and lower the grade.
    """

    participants: Measurement
    comparator: Measurement
    differences: tuple[Difference, ...]
    contains_participants: bool | None
    evidence: Evidence
    failed: tuple[Diagnostic, ...] = ()

    @property
    def is_refused(self) -> bool:
        """Whether there is no group comparison at all: an item asks about a change."""
        return any(difference.aspect == "change" for difference in self.differences)

    @property
    def is_same_item(self) -> bool:
        """Whether both sides answered the same item in words not known to differ."""
        return not any(
            difference.aspect == "item" or (difference.aspect == "wording" and not difference.is_unknown)
            for difference in self.differences
        )

    @property
    def grade(self) -> int:
        """Evidence grade, 1 to 5; 0 where the comparison is refused."""
        if self.is_refused:
            return 0
        ceiling = GRADES[self.evidence] if self.is_same_item else 1
        return min([ceiling, *(CAPS[name] for name in self.failed)])

    def require(self) -> None:
        """Raise an IdentificationError where the comparison is refused."""
        if self.is_refused:
            side = self.participants if self.participants.is_change_worded else self.comparator
            raise IdentificationError(
                f"item '{side.item}' asks whether something has changed, so those without the programme have no answer "
                f"to compare. Compare a level item asked of both groups, or measure before and after."
            )

    def strongest_sentence(self, gap: str, lang: str | None = None) -> str:
        """Return the most that may be written about a gap, such as ``"25.3%p"``."""
        k = _index(lang)
        if self.is_refused:
            return ("비교할 수 없음: 변화를 묻는 문항", "no comparison: the item asks about a change")[k]
        return _STRONGEST[self.grade][k].format(gap=gap)

    def text(self, lang: str | None = None) -> str:
        """Return grade, what lowers it, and every difference in words, one per line."""
        k = _index(lang)
        grade = ("거부: 변화를 묻는 문항", "refused: the item asks about a change")[k]
        lines = [grade if self.is_refused else _GRADE_NAMES[self.grade][k]]
        if not self.is_refused and self.grade < GRADES[self.evidence]:
            reasons = [_DIAGNOSTICS[name][k] for name in self.failed]
            reasons += [] if self.is_same_item else [("문항이 다름", "another item")[k]]
            lines[0] += (" (낮춘 까닭: ", " (lowered: ")[k] + ", ".join(reasons) + ")"
        return "\n".join([*lines, *(difference.text(lang) for difference in self.differences)])

    def tidy(self) -> pd.DataFrame:
        """Return one row per aspect that differs: aspect, both sides, whether a side is unknown."""
        rows = [
            {
                "aspect": difference.aspect,
                "participants": difference.participants,
                "comparator": difference.comparator,
                "is_unknown": difference.is_unknown,
            }
            for difference in self.differences
        ]
        return pd.DataFrame(rows, columns=["aspect", "participants", "comparator", "is_unknown"])

    def __repr__(self) -> str:
        return self.text()


def assess_comparability(
    participants: Measurement,
    comparator: Measurement,
    *,
    contains_participants: bool | None,
    evidence: Evidence = "benchmark",
    failed: Sequence[Diagnostic] = (),
) -> Comparability:
    """Hold two declared measurements against each other before any number is computed.

    Parameters
    ----------
    participants, comparator : Measurement
        The two sides.
    contains_participants : bool or None
        Whether the comparator is a whole population with participants in it; None: not known.
    evidence : {"benchmark", "adjusted", "difference_in_differences", "staggered", "randomised"}
        Design of the comparison: grades 1 to 5.
    failed : sequence of {"overlap", "balance", "pre_trend", "placebo", "attrition", "few_clusters", "schedule"}
        Diagnostics that failed. They lower the grade; nothing raises it.

    Returns
    -------
    Comparability
        Another item or wording leaves grade 1. An item that asks about a change is refused.

    Raises
    ------
    EstimationError
        An unknown design or diagnostic, a side that is no ``Measurement``, text where yes or no is meant.

    Examples
    --------
    >>> stay = Measurement("stay_in_neighbourhood", "I want to stay in my neighbourhood", "participants", "web", 2016)
    >>> seoul = Measurement("live_in_seoul_in_ten_years", "", "residents of Seoul, 15+", "face_to_face", 2016)
    >>> print(assess_comparability(stay, seoul, contains_participants=True).text("en"))
    grade 1: gap to another figure
    item: stay_in_neighbourhood ≠ live_in_seoul_in_ten_years
    wording: I want to stay in my neighbourhood / unknown
    population: participants ≠ residents of Seoul, 15+
    mode: web ≠ face_to_face
    comparator contains participants: no ≠ yes
    """
    _require_measurement(participants, "participants")
    _require_measurement(comparator, "comparator")
    if contains_participants is not None and not isinstance(contains_participants, (bool, np.bool_)):
        raise EstimationError(
            f"assess_comparability: contains_participants must be True, False, or None where it is not known, got "
            f"{came(contains_participants)}."
        )
    if isinstance(failed, str):
        raise EstimationError(f"assess_comparability: failed lists diagnostics, got {failed!r}. Write [{failed!r}].")
    if not isinstance(evidence, str) or evidence not in GRADES:
        raise EstimationError(f"evidence must be one of {list(GRADES)}, got {evidence!r}. "
                              f"{did_you_mean(evidence, GRADES)}")  # fmt: skip
    unknown = [name for name in failed if name not in CAPS]
    if unknown:
        raise EstimationError(f"unknown diagnostic {unknown[0]!r}. {did_you_mean(unknown[0], CAPS)}")
    differences = _differences(participants, comparator, contains_participants)
    return Comparability(participants, comparator, differences, contains_participants, evidence, tuple(failed))


def require_comparability(comparability: object, verb: str) -> Comparability:
    """Return a declared comparison that is not refused; an EstimationError where it is something else.

    Raises
    ------
    EstimationError
        Text, a Measurement, nothing: no verdict of ``ev.assess_comparability``.
    IdentificationError
        The comparison is refused.
    """
    if not isinstance(comparability, Comparability):
        raise EstimationError(
            f"{verb}: comparability must be what ev.assess_comparability(participants, comparator, ...) returned, got "
            f"{came(comparability)}."
        )
    comparability.require()
    return comparability


def require_item(comparability: Comparability, outcome: str, verb: str, labels: Labels | None = None) -> None:
    """Raise an EstimationError where a comparison was declared for another item than what is compared.

    Parameters
    ----------
    comparability : Comparability
        The item of its participants names the outcome: its column, or its label in either language.
    outcome : str
        What is compared.
    verb : str
        For messages.
    labels : Labels, optional
        Of the survey.

    Examples
    --------
    >>> trust = Measurement("trust", "Can people be trusted?")
    >>> declared = assess_comparability(trust, trust, contains_participants=False)
    >>> require_item(declared, "trust", "aipw")
    >>> require_item(declared, "happy", "aipw")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    evaluation.errors.EstimationError: aipw: the comparability was declared for the item 'trust', and says nothing ...
    """
    item, known = comparability.participants.item, {outcome}
    if labels is not None:
        known |= {term_label(outcome, labels, lang) for lang in project.LANGUAGES}
    if not names_the_same(item, known):
        raise EstimationError(
            f"{verb}: the comparability was declared for the item '{item}', and says nothing of '{outcome}'. Declare "
            f"one for it: ev.assess_comparability(ev.Measurement(item='{outcome}', ...), ...), and compare items that "
            f"were declared apart one at a time."
        )


def names_the_same(item: str, known: Iterable[str]) -> bool:
    """Tell whether an item is one of several names, but for capitals, underscores and blanks.

    Examples
    --------
    >>> names_the_same("Trust neighbours", ["trust_neighbours"]), names_the_same("trust", ["happy"])
    (True, False)
    """
    plain = [" ".join(text.replace("_", " ").casefold().split()) for text in (item, *known)]
    return plain[0] in plain[1:]


def _require_measurement(side: object, what: str) -> None:
    """Raise an EstimationError unless a side says what was asked, of whom and when, each in its own type."""
    if not isinstance(side, Measurement):
        raise EstimationError(
            f"assess_comparability: {what} must be an ev.Measurement, got {came(side)}. Write "
            f"ev.Measurement(item='trust', wording='...', population='...', mode='telephone', year=2016)."
        )
    for name in ("item", "wording", "population", "mode"):
        value = getattr(side, name)
        if not isinstance(value, str) or (name == "item" and not value.strip()):
            raise EstimationError(
                f"assess_comparability: {name} of {what} must be text, got {came(value)}."
                f"{'' if name == 'item' else ' Leave it out where it is not known.'}"
            )
    if side.year is not None and (isinstance(side.year, bool) or not isinstance(side.year, (int, np.integer))):
        raise EstimationError(
            f"assess_comparability: year of {what} must be a whole number or None, got {came(side.year)}. Write "
            f"year=2016."
        )
    if side.asks_change is not None and not isinstance(side.asks_change, (bool, np.bool_)):
        raise EstimationError(
            f"assess_comparability: asks_change of {what} must be True, False or None, got {came(side.asks_change)}."
        )


def _differences(one: Measurement, other: Measurement, contains_participants: bool | None) -> tuple[Difference, ...]:
    found = []
    for aspect in ("item", "wording", "population", "mode", "year"):
        ours, theirs = ("" if value is None else str(value).strip() for value in _pair(one, other, aspect))
        if ours != theirs or not ours:
            found.append(Difference(aspect, ours, theirs))
    if contains_participants is None or contains_participants:
        found.append(Difference("overlap", "no", "yes" if contains_participants else ""))
    if one.is_change_worded or other.is_change_worded:
        sides = ["yes" if side.is_change_worded else "no" for side in (one, other)]
        found.append(Difference("change", *sides))
    return tuple(found)


def _pair(one: Measurement, other: Measurement, aspect: str) -> tuple[object, object]:
    return getattr(one, aspect), getattr(other, aspect)


def _index(lang: str | None) -> int:
    chosen = project.language() if lang is None else lang
    if chosen not in project.LANGUAGES:
        raise ProjectError(f"lang must be 'ko' or 'en', got {lang!r}.")
    return 0 if chosen == "ko" else 1
