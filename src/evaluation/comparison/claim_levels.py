"""What the evidence of a comparison allows to be written: checks, the level they leave, and the sentence of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from evaluation import wording
from evaluation.results import Labels, PlainLabels

Level = Literal["refused", "D", "A", "B", "C"]
Verdict = Literal["passes", "fails", "not checked"]

#: From nothing to the most that a cross-section bears.
LEVELS: tuple[Level, ...] = ("refused", "D", "A", "B", "C")
#: Evidence grade of each level: none passes 2, that of an adjusted cross-section.
GRADE_OF: Mapping[Level, int] = {"refused": 0, "D": 1, "A": 1, "B": 2, "C": 2}
#: Every check there is, and the highest level left where it does not pass.
CAPS: Mapping[str, Level] = {
    "change": "refused",
    "same_item": "A",
    "declared_design": "A",
    "propensity": "D",
    "methods": "D",
    "largest_smd": "D",
    "variance_ratio": "D",
    "share_outside": "D",
    "effective_share": "D",
    "largest_weight_share": "D",
    "raw_difference": "B",
    "adjusted_difference": "A",
    "same_side": "A",
    "agreement": "B",
    "negative_controls": "B",
    "sensitivity": "B",
}
#: The same where a check was not made; of the others it is that of a check that fails.
CAPS_UNCHECKED: Mapping[str, Level] = {
    **dict.fromkeys(("change", "same_item", "declared_design"), "B"),
    **dict.fromkeys((name for name, cap in CAPS.items() if cap == "D"), "A"),
}

#: Checks in words: name, and what it says where it does not pass.
CHECKS: Mapping[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "change": (
        ("변화를 묻는 문항이 아님", "item does not ask about a change"),
        ("변화를 묻는 문항임", "the item asks about a change"),
    ),
    "same_item": (
        ("같은 문항, 같은 문구", "same item in the same words"),
        ("두 쪽의 문항이나 문구가 다름", "the two sides were not asked the same question"),
    ),
    "declared_design": (
        ("보정한 횡단 비교로 선언함", "declared as an adjusted comparison"),
        (
            "외부 수치와의 비교로 선언했거나 미리 정한 진단이 미달",
            "declared as a gap to another figure, or a diagnostic failed",
        ),
    ),
    "propensity": (
        ("참여 모형을 적합할 수 있음", "participation can be modelled"),
        ("공변량이 두 집단을 갈라 겹치지 않음", "covariates separate the groups"),
    ),
    "methods": (
        ("모든 방법을 적합할 수 있음", "every method can be fitted"),
        ("적합할 수 없는 방법이 있음", "a method cannot be fitted"),
    ),
    "largest_smd": (
        ("가장 큰 표준화 차이 (보정 후)", "largest std. difference, weighted"),
        ("가중한 뒤에도 공변량이 고르지 않음", "covariates are not balanced after weighting"),
    ),
    "variance_ratio": (
        ("1에서 가장 먼 분산비 (보정 후)", "variance ratio farthest from 1, weighted"),
        ("가중한 뒤에도 공변량의 흩어짐이 다름", "covariates spread differently after weighting"),
    ),
    "share_outside": (
        ("상대 집단의 성향점수 범위 밖 비율", "share outside the other group's scores"),
        ("상대 집단에 견줄 사람이 없는 응답자가 많음", "many have nobody like them in the other group"),
    ),
    "effective_share": (
        ("가중 뒤 남는 유효표본의 비율", "effective n kept by the weights"),
        ("가중치가 소수에 몰려 유효표본이 거의 남지 않음", "the weights leave few effective respondents"),
    ),
    "largest_weight_share": (
        ("한 응답자의 최대 가중 몫", "largest weight share of one respondent"),
        ("한 응답자의 가중치가 너무 큼", "one respondent carries too much weight"),
    ),
    "raw_difference": (
        (
            "그대로의 차이: 보정한 차이 쪽으로 0에서 떨어진 표준오차 수",
            "raw difference: std. errors from zero, towards the adjusted one",
        ),
        (
            "그대로의 차이는 0과 구별되지 않거나 보정한 차이와 부호가 반대임",
            "the raw difference is not told apart from zero, or is of the other sign",
        ),
    ),
    "adjusted_difference": (
        ("보정한 차이: 0에서 떨어진 표준오차 수", "adjusted difference: std. errors from zero"),
        ("보정한 차이가 0과 구별되지 않음", "the adjusted difference is not told apart from zero"),
    ),
    "same_side": (
        ("0과 구별되고 부호가 같은 방법의 비율", "methods on the same side of zero"),
        ("방법에 따라 차이가 0과 구별되지 않거나 부호가 다름", "not every method finds a difference on the same side"),
    ),
    "agreement": (
        ("방법 사이의 가장 큰 차이 (표준오차 단위)", "largest gap between methods, in std. errors"),
        ("가정이 다른 방법들이 서로 다른 값을 냄", "methods with different assumptions disagree"),
    ),
    "negative_controls": (
        ("사업이 움직일 수 없는 결과: p값", "outcomes that the programme cannot move: p-value"),
        ("사업이 움직일 수 없는 결과에서도 두 집단이 다름", "the groups differ in what the programme cannot move"),
    ),
    "sensitivity": (
        ("차이를 없애는 Λ (신뢰구간 기준)", "Λ at which the interval reaches zero"),
        (
            "관측된 공변량만 한 숨은 특성이면 차이가 사라질 수 있음",
            "a hidden trait as strong as an observed covariate could leave nothing",
        ),
    ),
}
_UNCHECKED = ("확인하지 않음: {names}", "not checked: {names}")
#: Why a check tells nothing although it was made.
NOTES: Mapping[str, tuple[str, str]] = {
    "no_yardstick": (
        "참여를 뚜렷이 가르는 관측된 공변량이 없어 잣대가 되지 못함",
        "no observed covariate tells participants from others, so none is a yardstick",
    ),
    "too_few_answers": (
        "그 신뢰구간이 보정한 차이보다 멀리 미칠 만큼 응답이 적음",
        "too few answers: their interval reaches farther than the adjusted difference",
    ),
    "not_fitted": ("추정할 수 없음", "it cannot be estimated"),
}
#: Checks whose detail is made of methods; of the others it is a covariate, outcomes, or text.
_OF_METHODS = frozenset({"methods", "same_side", "agreement"})
_OF_COLUMNS = frozenset({"largest_smd", "negative_controls", "sensitivity"})
#: Covariates and reasons that a sentence spells out.
SHOWN = 4


@dataclass(frozen=True)
class Check:
    """One thing that was looked at before anything is written.

    Attributes
    ----------
    name : str
        A key of ``CHECKS``.
    value, threshold : float
        NaN where the check is a yes or no, or was not made.
    side : {"below", "above", ""}
        Where the value must lie.
    verdict : {"passes", "fails", "not checked"}
    detail : str
        Which covariate, which methods.
    note : str
        A key of ``NOTES``: why it tells nothing although it was made.
    """

    name: str
    value: float = np.nan
    threshold: float = np.nan
    side: Literal["below", "above", ""] = ""
    verdict: Verdict = "not checked"
    detail: str = ""
    note: str = ""

    @property
    def cap(self) -> Level:
        """The highest level that it leaves."""
        if self.verdict == "passes":
            return LEVELS[-1]
        unchecked = CAPS_UNCHECKED.get(self.name) if self.verdict == "not checked" else None
        return unchecked or CAPS[self.name]

    def label(self, lang: str) -> str:
        """Return what was looked at."""
        return CHECKS[self.name][0][lang != "ko"]

    def unchecked(self, lang: str) -> str:
        """Return what was not looked at, and why where it was tried."""
        return f"{self.label(lang)} ({NOTES[self.note][lang != 'ko']})" if self.note else self.label(lang)

    def reason(self, lang: str, labels: Labels) -> str:
        """Return why no more may be written, where it fails, with covariates and methods in words."""
        said, detail = CHECKS[self.name][1][lang != "ko"], self.detail
        if self.name in _OF_METHODS:
            detail = ", ".join(wording.term(f"method_{method}", lang) for method in detail.split(", ") if method)
        elif self.name in _OF_COLUMNS:
            detail = ", ".join(_column(part, labels, lang) for part in detail.split(", ") if part)
        return f"{said} ({detail})" if detail else said


def _column(name: str, labels: Labels, lang: str) -> str:
    """Return a column, or one of its levels after a colon, in words."""
    column, colon, level = name.partition(": ")
    shown = wording.term_label(column, labels, lang)
    return f"{shown}: {wording.value_label(column, level, labels, lang)}" if colon else shown


def judged(
    name: str, value: float, threshold: float, side: Literal["below", "above"], *, detail: str = "", met: bool = True
) -> Check:
    """Return a check by its number: it passes strictly below, or at and above, the threshold, if ``met`` too.

    Examples
    --------
    >>> judged("largest_smd", 0.04, 0.1, "below").verdict, judged("sensitivity", 1.2, 1.5, "above").verdict
    ('passes', 'fails')
    """
    fits = value < threshold if side == "below" else value >= threshold
    return Check(name, float(value), float(threshold), side, "passes" if fits and met else "fails", detail)


def level_of(checks: Iterable[Check]) -> Level:
    """Return the level that checks leave: the lowest of their caps; what was not looked at counts as not checked.

    Examples
    --------
    >>> level_of([]), level_of([Check(name, verdict="passes") for name in CAPS])
    ('A', 'C')
    """
    caps = {check.name: check.cap for check in checks}
    return min((caps[name] if name in caps else Check(name).cap for name in CAPS), key=LEVELS.index)


@dataclass(frozen=True)
class Facts:
    """The numbers of a claim as they are written.

    Attributes
    ----------
    item, participants, others : str
        What was asked, and both means.
    raw, adjusted : tuple of str
        Difference, lower and upper limit; ``adjusted`` is empty where there is none.
    interval : str
        Name of the interval.
    covariates : tuple of str
        What both groups are alike in.
    breakdown, strongest, factor : str
        Lambda at which the interval reaches zero; the strongest covariate and its factor.
    n : str
        Respondents.
    exact : str
        That the difference is one of unrounded means, where the printed ones do not give it; else empty.
    """

    item: str
    participants: str
    others: str
    raw: tuple[str, str, str]
    adjusted: tuple[str, ...]
    interval: str
    covariates: tuple[str, ...]
    breakdown: str = ""
    strongest: str = ""
    factor: str = ""
    n: str = ""
    exact: str = ""


def sentences_of(
    level: Level, checks: Sequence[Check], facts: Facts, lang: str, labels: Labels | None = None
) -> tuple[str, ...]:
    """Return the sentences of a level; each level says what the one below says, and one thing more."""
    k = int(lang != "ko")
    if level == "refused":
        return (_REFUSED[k].format(item=facts.item),)
    failed = {check.name for check in checks if check.verdict == "fails"}
    plain = ("item", "participants", "others", "interval", "n", "exact", "breakdown", "strongest", "factor")
    given: dict[str, Any] = {name: getattr(facts, name) for name in plain}
    given |= dict(zip(("raw", "low", "high"), facts.raw, strict=True))
    parts = [(_RAW_ZERO if _is_near_zero(checks) else _RAW)[k]]
    if level in ("D", "A"):
        parts.append(_LOWEST[level][k])
    else:
        given |= dict(zip(("adjusted", "adjusted_low", "adjusted_high"), facts.adjusted, strict=True))
        given["covariates"] = _listed(facts.covariates, lang)
        masked = "raw_difference" in failed or _sign(facts.raw[0]) != _sign(facts.adjusted[0])
        parts += [(_APPEARS if masked else _REMAINS)[k], (_UNLESS if level == LEVELS[-1] else _NOT_RULED_OUT)[k]]
    said = tuple(part.format(**given) for part in parts)
    reasons = _reasons(level, checks, lang, labels or PlainLabels())
    return (*said, _NO_MORE[k].format(reasons=reasons)) if reasons else said


def _is_near_zero(checks: Sequence[Check]) -> bool:
    """Tell whether the raw difference is not told apart from zero on either side."""
    raw = next((check for check in checks if check.name == "raw_difference"), Check("raw_difference"))
    return raw.verdict == "fails" and not abs(raw.value) >= raw.threshold


def _sign(number: str) -> bool:
    return number.startswith(("-", "−"))


def _reasons(level: Level, checks: Sequence[Check], lang: str, labels: Labels) -> str:
    """Return what keeps a claim from the next level: what fails, then what was not looked at."""
    if level == LEVELS[-1]:
        return ""
    holding = [check for check in checks if LEVELS.index(check.cap) <= LEVELS.index(level)]
    failing = [check.reason(lang, labels) for check in holding if check.verdict == "fails"]
    unchecked = [check.unchecked(lang) for check in holding if check.verdict == "not checked"]
    parts = [_listed(failing, lang, "; ")] if failing else []
    parts += [_UNCHECKED[lang != "ko"].format(names=_listed(unchecked, lang))] if unchecked else []
    return "; ".join(parts)


def _listed(names: Sequence[str], lang: str, between: str = ", ") -> str:
    rest = len(names) - SHOWN
    more = (f" 외 {rest}개" if lang == "ko" else f" and {rest} more") if rest > 0 else ""
    return between.join(names[:SHOWN]) + more


_REFUSED = (
    "{item}: 비교하지 않는다. 변화를 묻는 문항이어서 참여하지 않은 사람은 답할 것이 없다.",
    "{item}: no comparison. The item asks about a change, so those who did not take part have nothing to answer.",
)
_RAW = (
    "{item}: 참여자 {participants}, 비참여자 {others}, 차이 {raw} ({interval} {low}–{high}, n = {n}{exact}).",
    "{item}: {participants} among participants, {others} among others, {raw} apart ({interval} {low} to {high}; "
    "n = {n}{exact}).",
)
_RAW_ZERO = (
    "{item}: 참여자 {participants}, 비참여자 {others}. 차이 {raw} ({interval} {low}–{high}, n = {n}{exact})은 0과 "
    "구별되지 않는다.",
    "{item}: {participants} among participants, {others} among others; the difference of {raw} ({interval} {low} to "
    "{high}; n = {n}{exact}) is not told apart from zero.",
)
_LOWEST: Mapping[Level, tuple[str, str]] = {
    "D": (
        "두 집단을 견줄 수 있게 만들지 못하므로 기술에 그치며, 보정한 차이를 쓰지 않는다.",
        "The groups cannot be made alike, so this describes and no more; no adjusted difference is stated.",
    ),
    "A": ("사업과 관련짓지 않는다.", "Nothing is ascribed to the programme."),
}
_REMAINS = (
    "관측된 특성({covariates})이 같은 참여자와 비참여자 사이에도 {adjusted} 차이가 남는다 ({interval} "
    "{adjusted_low}–{adjusted_high}).",
    "A difference of {adjusted} remains between participants and others alike in {covariates} ({interval} "
    "{adjusted_low} to {adjusted_high}).",
)
_APPEARS = (
    "관측된 특성({covariates})이 같은 참여자와 비참여자 사이에는 {adjusted} 차이가 있다 ({interval} "
    "{adjusted_low}–{adjusted_high}).",
    "Between participants and others alike in {covariates} there is a difference of {adjusted} ({interval} "
    "{adjusted_low} to {adjusted_high}).",
)
_NOT_RULED_OUT = ("관측되지 않은 특성은 배제되지 않는다.", "What was not observed is not ruled out.")
_UNLESS = (
    "관측되지 않은 특성이 참여 승산을 {breakdown}배까지 바꾸고 응답과도 그만큼 함께 가지 않는 한 차이는 0이 되지 "
    "않는다. 관측된 공변량 가운데 가장 강한 것({strongest})은 {factor}배까지 바꾼다.",
    "A difference would remain unless a hidden trait shifted the odds of taking part by a factor of {breakdown} and "
    "went with the answer as closely; the strongest observed covariate, {strongest}, shifts them by {factor} at most.",
)
_NO_MORE = ("더 강하게 쓸 수 없는 까닭: {reasons}.", "Why no more may be written: {reasons}.")


def shown_value(check: Check) -> str:
    """Return the number of a check; a dash where it is a yes or no."""
    return wording.ABSENT if np.isnan(check.value) else wording.plain_number(_rounded(check.value))


def shown_threshold(check: Check) -> str:
    """Return where the number must lie."""
    if np.isnan(check.threshold):
        return wording.ABSENT
    return f"{'<' if check.side == 'below' else '≥'} {wording.plain_number(_rounded(check.threshold))}"


def _rounded(value: float) -> float:
    return float(f"{value:.3g}") if np.isfinite(value) else value
