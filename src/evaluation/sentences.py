"""Estimates in sentences that describe and never explain, and that stay within their evidence grade."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd

from evaluation import wording
from evaluation.errors import PublishError
from evaluation.results import Estimates, TestResult


@dataclass(frozen=True)
class Statement:
    """Sentences about estimates, shown as text.

    Attributes
    ----------
    sentences : tuple of str
        One per estimate.
    """

    sentences: tuple[str, ...]

    def __repr__(self) -> str:
        return "\n".join(self.sentences)

    def _repr_markdown_(self) -> str:
        return "\n\n".join(self.sentences)


@runtime_checkable
class Claimed(Protocol):
    """A result that knows its own sentences, and that they say no more than it bears."""

    def sentences(self, lang: str | None = None) -> tuple[str, ...]:
        """Return the sentences."""
        ...


def statement(result: Estimates | TestResult | Claimed, lang: str | None = None) -> Statement:
    """Say estimates in sentences that describe and never explain: value, interval, n, population.

    Parameters
    ----------
    result : Estimates, TestResult or ComparisonClaim
        Means, totals, shares, ratios, quantiles, coefficients ...; one test; or what ``judge_comparison`` returned.
    lang : {"ko", "en"}, optional
        Default: the language of the project.

    Returns
    -------
    Statement
        One sentence per row; shares in per cent, each with its interval.

    Raises
    ------
    PublishError
        Neither estimates nor a test.
    """
    lang = wording.language_of(lang)
    if isinstance(result, TestResult):
        return Statement((_tested(result, lang),))
    if isinstance(result, Claimed) and not isinstance(result, Statement):
        return Statement(result.sentences(lang))
    if not isinstance(result, Estimates):
        raise PublishError(
            f"statement says estimates or a test in words, got {type(result).__name__}. ev.table shows any result; of "
            f"several estimates make one statement each."
        )
    result = result.masked()
    scale, unit = (100.0, "%") if result.verb in wording.SHARE_VERBS else (1.0, "")
    words = wording.result_keys(result, lang)
    limits = scale * result.confidence_interval()
    if f"sentence_{lang}" in result.fit:
        said = str(result.fit[f"sentence_{lang}"]).rstrip(".")
        return Statement((f"{said}.", *_notice(result, lang)))
    if _is_comparison(result):
        return Statement((_compared(result, words, lang), *_ascribed(result, lang), *_notice(result, lang)))
    sentences = []
    for row in range(len(result)):
        named = [str(words[column].iloc[row]) for column in words if column != "quantity"]
        what = ", ".join(word for word in named if word)
        if not math.isfinite(result.std_error[row]):
            sentences.append(_without_error(result, lang, what, row))
            continue
        places = wording.common_decimals([scale * float(result.std_error[row])]) or 0
        value, low, high = (
            f"{wording.number(float(x), places)}{unit}" for x in (scale * result.estimate[row], *limits[row])
        )
        sentences.append(_sentence(result, lang, what, _kind(result, row, lang), (value, low, high), row))
    return Statement((*sentences, *_ascribed(result, lang)))


def _tested(result: TestResult, lang: str) -> str:
    """Say a test in one sentence: hypothesis, statistic, p-value, n; a hypothesis is never said to be true."""
    what, name = wording.hypothesis(result, lang), wording.term(result.test, lang)
    statistic, notice = wording.statistic_of(result, lang), result.provenance.notice.get(lang, "")
    if math.isnan(result.p_value):
        found = {"ko": "p값 없음", "en": "no p-value"}[lang]
    else:
        shown = wording.probability(result.p_value)
        found = f"p {shown[0]} {shown[1:]}" if shown.startswith("<") else f"p = {shown}"
    head = wording.capital(wording.term("hypothesis", lang))
    return f"{head}: {what}. {wording.capital(name)}: {statistic}, {found} (n = {result.n_obs:,}). {notice}".strip()


def _is_comparison(result: Estimates) -> bool:
    """Tell whether the rows are a difference and the two means behind it, all with a number."""
    if "quantity" not in result.keys or len(result) != 3:
        return False
    kinds = result.keys["quantity"].tolist()
    return kinds[1:] in (["mean_participants", "mean_comparison"], ["mean_participants", "benchmark"]) and bool(
        np.isfinite(result.estimate).all() and np.isfinite(result.std_error[0])
    )


def _compared(result: Estimates, words: pd.DataFrame, lang: str) -> str:
    """Say a comparison in one sentence: both means, the difference with its interval, n and population."""
    places = wording.common_decimals([float(result.std_error[0])]) or 0
    difference, participants, other = (wording.number(float(value), places) for value in result.estimate)
    low, high = (wording.number(float(value), places) for value in result.confidence_interval()[0])
    what, kinds = str(words["term"].iloc[0]), [str(kind) for kind in words["quantity"]]
    interval, n = wording.interval_name(result.conf_level, lang), int(result.n_obs[0])
    population = result.provenance.population.get(lang, "")
    verb = _kind(result, 0, lang)
    if lang == "ko":
        whom = f"{population}. " if population else ""
        return (
            f"{what}: {kinds[1]} {participants}, {kinds[2]} {other}, {verb} {difference} "
            f"({interval} {low}–{high}, n = {n:,}). {whom}".strip()
        )
    whom = f" Population: {population}." if population else ""
    return (
        f"{wording.capital(what)}: {kinds[1]} {participants}, {kinds[2]} {other}; {verb} {difference} "
        f"({interval} {low} to {high}; n = {n:,}).{whom}"
    )


def _notice(result: Estimates, lang: str) -> tuple[str, ...]:
    notice = result.provenance.notice.get(lang, "")
    return (notice if notice.endswith(".") else f"{notice}.",) if notice else ()


#: Said in place of a number that rests on too few respondents.
_NOT_SHOWN = ("응답자가 적어 표시하지 않음", "not shown, too few respondents")


def _without_error(result: Estimates, lang: str, what: str, row: int) -> str:
    """Say a number that has no standard error, or why there is none."""
    if math.isnan(result.estimate[row]) and result.marks[row]:
        return f"{what}: {_NOT_SHOWN[lang != 'ko']} {result.marks[row]}."
    if math.isnan(result.estimate[row]):
        why = (
            wording.term(str(result.columns["identified"][row]), lang)
            if "identified" in result.columns
            else wording.ABSENT
        )
        return f"{what}: {why}." if lang == "ko" else f"{wording.capital(what)}: {why}."
    value = wording.plain_number(float(result.estimate[row]))
    if lang == "ko":
        return f"{what}: {value} (표준오차 없음)."
    return f"{wording.capital(what)}: {value}, a figure without a standard error."


#: Rungs of a ladder that are a part of the difference, of another population, or bounds.
_NO_HEADLINE = frozenset({"explained", "overlap", "bound_low", "bound_high"})
#: Evidence grade that a verb can reach at most; the graded sentence below its numbers.
CEILINGS = (
    dict.fromkeys(("group_difference", "benchmark_difference", "sample_difference"), 1)
    | dict.fromkeys(("effect_ladder", "decompose_gap"), 2)
    | dict.fromkeys(("ipw", "aipw", "ipwra", "g_computation", "regression_adjusted", "sensitivity_bounds"), 2)
)
_ASCRIBED = {
    0: ("비교하지 않음.", "Nothing is compared."),
    1: (
        "두 수가 {gap} 다르다고만 쓸 수 있으며, 사업과 관련짓지 않는다.",
        "The two figures differ by {gap}; nothing is ascribed to the programme.",
    ),
    2: (
        "관측된 특성이 같은 비참여자와 비교해도 {gap} 차이가 남는다. 관측되지 않은 특성은 배제되지 않는다.",
        "{gap} remains between participants and others alike in what was observed; what was not observed is not "
        "ruled out.",
    ),
}


def _ascribed(result: Estimates, lang: str) -> list[str]:
    """Return what may be said of a difference, by its evidence grade; no grade here allows a verb of cause."""
    if result.verb not in CEILINGS:
        return []
    grade = min(int(result.fit.get("evidence_grade", CEILINGS[result.verb])), CEILINGS[result.verb])
    sentences = []
    for row in _headlines(result):
        absent = math.isnan(result.estimate[row])
        error = float(result.std_error[row])
        places = wording.common_decimals([error])
        value = float(result.estimate[row])
        gap = wording.plain_number(value) if places is None else wording.number(value, places)
        quantity = str(result.keys["quantity"].iloc[row]) if "quantity" in result.keys else "difference"
        named = f"{wording.term(quantity, lang)} {gap}" if quantity.startswith("log_") else gap
        if not absent:
            sentences.append(_ASCRIBED[grade][0 if lang == "ko" else 1].format(gap=named))
    return sentences


def _headlines(result: Estimates) -> list[int]:
    """Return the rows that a sentence by grade is about: the difference, or the last rung of each ladder."""
    if result.verb == "effect_ladder":
        aimed = ~result.keys["method"].isin(_NO_HEADLINE)
        last = ~result.keys["term"].where(aimed).duplicated(keep="last")
        return [int(row) for row in np.flatnonzero(last & aimed)]
    if result.verb == "sensitivity_bounds":
        return []
    if result.verb == "decompose_gap":
        left = np.flatnonzero((result.keys["part"] == "effect") & ~np.isnan(result.estimate))
        return [int(left[0])] if len(left) else [0]
    return [0]


def _kind(result: Estimates, row: int, lang: str) -> str:
    """Return what a row estimates; the rows of a comparison differ in that."""
    quantity = str(result.keys["quantity"].iloc[row]) if "quantity" in result.keys else "difference"
    if result.verb == "partial_r_indicators":
        indicator, which = wording.term("partial_r_indicator", lang), wording.term(quantity, lang)
        return f"{which} {indicator}" if lang == "ko" else f"{indicator}, {which},"
    if wording.is_variance(result.verb, result.keys["term"].iloc[row]):
        return wording.verb_name("survey_variance", lang)
    return wording.verb_name(result.verb, lang) if quantity == "difference" else wording.term(quantity, lang)


def _sentence(result: Estimates, lang: str, what: str, verb: str, numbers: tuple[str, str, str], row: int) -> str:
    value, low, high = numbers
    n, interval = _count(result, row), wording.interval_name(result.conf_level, lang)
    population = result.provenance.population.get(lang, "")
    notice = result.provenance.notice.get(lang, "")
    if lang == "ko":
        whom = f"{population}의 " if population else ""
        text = f"{whom}{what} {_with_topic(verb)} {_with_direction(value)} 추정된다 ({interval} {low}–{high}, n = {n})."
    else:
        whom = f" among {population}" if population else ""
        subject = f"{wording.capital(what)}: the {verb}{whom}"
        text = f"{subject} is estimated at {value} ({interval} {low} to {high}; n = {n})."
    return f"{text} {notice}".strip()


def _count(result: Estimates, row: int) -> str:
    """Return the respondents behind a row: of a small area its own, not all those behind the model."""
    own = float(result.columns["n_area"][row]) if "n_area" in result.columns else float(result.n_obs[row])
    return wording.number(own)


def _with_topic(word: str) -> str:
    """Return a Korean word with the particle that its last syllable asks for."""
    last = next((letter for letter in reversed(word) if "가" <= letter <= "힣"), "가")
    return word + ("은" if (ord(last) - ord("가")) % 28 else "는")


def _with_direction(amount: str) -> str:
    """Return a number with the particle that its last figure asks for, as it is read aloud."""
    return amount + ("으로" if amount[-1:] in tuple("036") else "로")
