"""Estimates in sentences that describe and never explain, and that stay within their evidence grade."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd

from evaluation import wording
from evaluation.amounts import adds_up, unit_of, with_unit
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


@runtime_checkable
class Telling(Protocol):
    """A result that says in a text of their own what they mean and what they do not."""

    def text(self, lang: str | None = None) -> str:
        """Return the text."""
        ...


def statement(result: Estimates | TestResult | Claimed | Telling, lang: str | None = None) -> Statement:
    """Say estimates in sentences that describe and never explain: value, interval, n, population.

    Parameters
    ----------
    result : Estimates, TestResult, ComparisonClaim or another result with a text
        Means, totals, shares, ratios, quantiles, coefficients ...; one test; what ``judge_comparison`` returned; or
        an E-value, bounds, a power analysis.
    lang : {"ko", "en"}, optional
        Default: the language of the project.

    Returns
    -------
    Statement
        One sentence per row; shares in per cent, each with its interval. Rows that belong together (a ladder, parts
        of a gap, subgroups) are one paragraph, and a comparison ends with what its evidence grade allows.

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
    if not isinstance(result, Estimates) and callable(getattr(type(result), "text", None)):
        return Statement((result.text(lang),))
    if not isinstance(result, Estimates):
        raise PublishError(
            f"statement says estimates or a test in words, got {type(result).__name__}. ev.table shows any result; of "
            f"several estimates make one statement each."
        )
    result = result.masked()
    if f"sentence_{lang}" in result.fit:
        said = str(result.fit[f"sentence_{lang}"]).rstrip(".")
        return Statement((f"{said}.", *_notice(result, lang)))
    if isinstance(result, Telling):
        said = _told(result, result.text(lang), lang)
        return Statement((said, *(_ascribed(result, lang) or _caveat(result, lang)), *_notice(result, lang)))
    words = wording.result_keys(result, lang)
    if _is_comparison(result):
        return Statement((_compared(result, words, lang), *_ascribed(result, lang), *_notice(result, lang)))
    if result.verb in _IN_PARAGRAPHS:
        closing = _ascribed(result, lang) or _caveat(result, lang)
        return Statement((*_paragraphs(result, words, lang), *closing, *_notice(result, lang)))
    sentences = []
    for row in range(len(result)):
        named = [str(words[column].iloc[row]) for column in words if column != "quantity"]
        what = ", ".join(word for word in named if word)
        if result.verb in _OF_THE_TREATED and _since(result, row) < 0 and result.std_error[row] == 0:
            sentences.append(_reference(what, lang))
            continue
        if not math.isfinite(result.std_error[row]):
            sentences.append(_without_error(result, lang, what, row))
            continue
        sentences.append(_sentence(result, lang, what, _kind(result, row, lang), _numbers(result, row), row))
    return Statement((*sentences, *_ascribed(result, lang)))


def _numbers(result: Estimates, row: int) -> tuple[str, str, str]:
    """Write an estimate and its limits with the digits that its error bears; shares in per cent, logs as ratios."""
    low, high = (float(limit) for limit in result.confidence_interval()[row])
    values, error = (float(result.estimate[row]), low, high), float(result.std_error[row])
    if _ratio_of(result, row):
        values = tuple(map(_exponential, values))  # type: ignore[assignment]
        error *= values[0]
    scale, unit = (100.0, "%") if result.verb in wording.SHARE_VERBS else (1.0, "")
    places = wording.common_decimals([scale * error]) or 0
    value, low_shown, high_shown = (f"{wording.number(scale * number, places)}{unit}" for number in values)
    return value, low_shown, high_shown


def _exponential(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf


def _quantity(result: Estimates, row: int) -> str:
    return str(result.keys["quantity"].iloc[row]) if "quantity" in result.keys else "difference"


def _ratio_of(result: Estimates, row: int) -> str:
    """Return the name of the ratio whose log a row is, empty where it is none."""
    return _RATIOS.get(_quantity(result, row), "")


def _span(low: str, high: str, lang: str) -> str:
    """Write an interval; a dash before a minus sign would not be read."""
    if lang == "en":
        return f"{low} to {high}"
    return f"{low}에서 {high}" if "-" in low + high else f"{low}–{high}"


def _told(result: Estimates, text: str, lang: str) -> str:
    """Return what a result says of itself, with its outcome before and its population behind."""
    labels, population = result.provenance.labels, result.provenance.population.get(lang, "")
    names = ", ".join(dict.fromkeys(wording.term_label(name, labels, lang) for name in result.keys["term"]))
    named = "" if names == wording.term("difference", lang) else f"{wording.capital(names)}: "
    whom = f" {wording.capital(wording.term('population', lang))}: {population}." if population else ""
    return f"{named}{text}{whom}"


def _paragraphs(result: Estimates, words: pd.DataFrame, lang: str) -> list[str]:
    """Say the rows of one outcome in one paragraph, and the population once."""
    population = result.provenance.population.get(lang, "")
    interval, verb = wording.interval_name(result.conf_level, lang), wording.verb_name(result.verb, lang)
    made, common = [], int(result.n_obs.max())
    said_rows = np.array([_quantity(result, row) not in _IN_TABLES for row in range(len(result))])
    for term in dict.fromkeys(result.keys["term"]):
        rows = np.flatnonzero(said_rows & (result.keys["term"] == term).to_numpy())
        what, parts = str(words["term"].iloc[rows[0]]), [_part(result, words, int(row), common, lang) for row in rows]
        count = f"n = {common:,}" if common else ""
        shown = np.isfinite(result.std_error[rows]).any()
        intervals = f"{interval}s" if lang == "en" else interval
        unit = unit_of(term, result.provenance.labels, lang) if result.verb in _IN_UNITS else ""
        measured = wording.term("in_unit", lang).format(unit=unit) if unit else ""
        listed = ", ".join(filter(None, [measured, intervals if shown else "", count]))
        facts = f" ({listed})" if listed else ""
        said = "; ".join(f"{name} {cell}" for name, cell in parts if cell)
        left: dict[str, list[str]] = {}
        for row, (name, cell) in zip(rows, parts, strict=True):
            if not cell:
                left.setdefault(_absent(result, int(row), lang), []).append(name)
        blanks = [f"{reason} ({'; '.join(names)})" for reason, names in left.items()]
        made.append(f"{wording.capital(what)}, {verb}{facts}: {'; '.join(filter(None, [said, *blanks]))}.")
    if population and made:
        made[-1] += f" {wording.capital(wording.term('population', lang))}: {population}."
    return made


def _part(result: Estimates, words: pd.DataFrame, row: int, common: int, lang: str) -> tuple[str, str]:
    """Return the name of a row and what it says, empty where it has no number."""
    named = [str(words[column].iloc[row]) for column in words if column not in ("term", "quantity")]
    ratio = _ratio_of(result, row)
    if "quantity" in words:
        named.insert(0, wording.term(ratio, lang) if ratio else str(words["quantity"].iloc[row]))
    name = ", ".join(filter(None, named))
    if math.isnan(result.estimate[row]):
        return name, ""
    own = f", n = {int(result.n_obs[row]):,}" if 0 < result.n_obs[row] < common else ""
    if not math.isfinite(result.std_error[row]):
        lacking = ("표준오차 없음", "no standard error")[lang != "ko"]
        return name, f"{wording.plain_number(float(result.estimate[row]))} ({lacking}{own})"
    value, low, high = _numbers(result, row)
    return name, f"{value} ({_span(low, high, lang)}{own})"


def _absent(result: Estimates, row: int, lang: str) -> str:
    """Return why a row has no number."""
    if result.marks[row]:
        return f"{_NOT_SHOWN[lang != 'ko']} {result.marks[row]}"
    for column in ("identified", "reason"):
        if column in result.columns and result.columns[column][row]:
            return wording.term(str(result.columns[column][row]), lang)
    return wording.ABSENT


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
    of_means = _quantity(result, 0) == "difference"
    places = wording.common_decimals([float(result.std_error[0])] if of_means else result.std_error[1:].tolist()) or 0
    whole, first, second = map(float, result.estimate)
    unit = unit_of(result.keys["term"].iloc[0], result.provenance.labels, lang)
    means = [with_unit(wording.number(mean, places), unit, lang) for mean in (first, second)]
    exact = f"; {wording.term('of_unrounded', lang)}" if of_means and not adds_up(whole, first, second, places) else ""
    value, low, high = _numbers(result, 0)
    gap = f"{_kind(result, 0, lang)} {value if _ratio_of(result, 0) else _gap(result, 0, lang)}"
    what, kinds = str(words["term"].iloc[0]), [str(kind) for kind in words["quantity"]]
    interval, n = f"{wording.interval_name(result.conf_level, lang)} {_span(low, high, lang)}", int(result.n_obs[0])
    population = result.provenance.population.get(lang, "")
    said = f"{what}: {kinds[1]} {means[0]}, {kinds[2]} {means[1]}"
    if lang == "ko":
        return f"{said}, {gap} ({interval}, n = {n:,}{exact}). {f'{population}.' if population else ''}".strip()
    whom = f" Population: {population}." if population else ""
    return f"{wording.capital(said)}; {gap} ({interval}; n = {n:,}{exact}).{whom}"


def _gap(result: Estimates, row: int, lang: str) -> str:
    """Write a difference as it is read: in the outcome's unit, in standard deviations, or as a ratio."""
    value, quantity = _numbers(result, row)[0], _quantity(result, row)
    if ratio := _ratio_of(result, row):
        name = wording.term(ratio, lang)
        article = "an" if name[0] in "aeiou" else "a"
        return f"{name} {value}" if lang == "ko" else f"{article} {name} of {value}"
    if quantity == "smd":
        return wording.term("gap_in_deviations", lang).format(value=value)
    unit = unit_of(result.keys["term"].iloc[row], result.provenance.labels, lang)
    return with_unit(value, unit, lang, is_difference=True)


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


#: Logs that are said as ratios, and what the ratios are called.
_RATIOS = {
    "log_risk_ratio": "risk_ratio",
    "log_odds_ratio": "odds_ratio",
    "log_common_odds_ratio": "common_odds_ratio",
}
#: Verbs whose rows belong together and are said in one paragraph.
_IN_PARAGRAPHS = frozenset(
    {"effect_ladder", "subgroup_effects", "decompose_gap", "oaxaca_blinder", "likert_difference", "outcome_index"}
    | {"sensitivity_bounds", "manski_bounds", "robustness_value", "oster_delta", "tipping_point", "negative_controls"}
    | {"misclassification_bounds", "dose_response", "participation_agreement", "participation_windows"}
)
#: Of them those whose numbers are all differences in the outcome's unit.
_IN_UNITS = frozenset({"effect_ladder", "subgroup_effects", "decompose_gap", "oaxaca_blinder"})
#: Shares of every answer to an item, which a table shows and a paragraph does not.
_IN_TABLES = frozenset({"share_participants", "share_comparison"})
#: Rungs of a ladder that are a part of the difference, of another population, or bounds.
_NO_HEADLINE = frozenset({"explained", "overlap", "bound_low", "bound_high"})
#: Evidence grade that a verb can reach at most; the graded sentence below its numbers.
CEILINGS = (
    dict.fromkeys(("group_difference", "benchmark_difference", "sample_difference", "misclassification_bounds"), 1)
    | dict.fromkeys(("effect_ladder", "decompose_gap", "subgroup_effects", "oaxaca_blinder", "manski_bounds"), 2)
    | dict.fromkeys(("ipw", "aipw", "ipwra", "g_computation", "regression_adjusted", "matched_difference"), 2)
    | dict.fromkeys(("sensitivity_bounds", "robustness_value", "oster_delta", "negative_controls"), 2)
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
#: The same in Korean where the two figures are told apart by a ratio.
_ASCRIBED_RATIO = {
    1: "두 수에 대해서는 {gap}만 쓸 수 있으며, 사업과 관련짓지 않는다.",
    2: "관측된 특성이 같은 비참여자와 비교해도 {gap}의 차이가 남는다. 관측되지 않은 특성은 배제되지 않는다.",
}
#: What a grade lets numbers say that are no difference themselves.
_CAVEATS = {
    0: ("비교하지 않음.", "Nothing is compared."),
    1: ("근거 1등급: 사업과 관련짓지 않는다.", "Evidence grade 1: nothing is ascribed to the programme."),
    2: (
        "근거 2등급: 관측된 특성만 보정한 횡단 비교이며, 무엇이 차이를 낳았는지는 말하지 않는다.",
        "Evidence grade 2: a cross-section adjusted for what was observed; it does not say where the difference comes "
        "from.",
    ),
}


#: The same of bounds that hold whatever was not observed.
_BOUNDED = (
    "범위 안의 어디인지는 자료가 말하지 않는다.",
    "Where between these bounds it lies the data do not say.",
)
#: Methods that make the groups alike in nothing.
_UNADJUSTED = frozenset({"raw", "unweighted", "benchmark"})


def _grade(result: Estimates) -> int | None:
    """Return the evidence grade of a comparison, never above what its verb can reach; None where it has none."""
    if result.verb not in CEILINGS:
        return None
    return min(int(result.fit.get("evidence_grade", CEILINGS[result.verb])), CEILINGS[result.verb])


def _caveat(result: Estimates, lang: str) -> tuple[str, ...]:
    """Return what a grade does not allow, below numbers that are bounds or tests of a difference."""
    grade = _grade(result)
    if result.verb == "manski_bounds" and grade:
        return (_BOUNDED[lang != "ko"],)
    return () if grade is None else (_CAVEATS[grade][lang != "ko"],)


def _ascribed(result: Estimates, lang: str) -> list[str]:
    """Return what may be said of a difference, by its evidence grade; no grade here allows a verb of cause."""
    grade, sentences = _grade(result), []
    if grade is None:
        return []
    for row in _headlines(result):
        if math.isnan(result.estimate[row]):
            continue
        if not math.isfinite(result.std_error[row]):
            gap = wording.plain_number(float(result.estimate[row]))
        else:
            gap = _gap(result, row, lang)
        plain = "method" in result.keys and str(result.keys["method"].iloc[row]) in _UNADJUSTED
        level = min(grade, 1) if plain else grade
        pattern = _ASCRIBED[level][lang != "ko"]
        if lang == "ko" and _ratio_of(result, row):
            pattern = _ASCRIBED_RATIO.get(level, pattern)
        elif lang == "en" and level == 2 and _quantity(result, row) == "smd":
            gap = f"a difference of {gap}"
        sentences.append(wording.capital(pattern.format(gap=gap)))
    return sentences


def _headlines(result: Estimates) -> list[int]:
    """Return the rows that a sentence by grade is about: the difference, or the last rung of each ladder."""
    if result.verb == "effect_ladder":
        aimed = ~result.keys["method"].isin(_NO_HEADLINE)
        last = ~result.keys["term"].where(aimed).duplicated(keep="last")
        return [int(row) for row in np.flatnonzero(last & aimed)]
    if result.verb == "subgroup_effects":
        overall = np.flatnonzero((result.keys["subgroup"] == "overall") & ~np.isnan(result.estimate))
        return [int(row) for row in overall[-1:]]
    if result.verb in _IN_PARAGRAPHS - {"decompose_gap"}:
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
    if quantity in ("difference", "smd"):
        return wording.verb_name(result.verb, lang)
    return wording.term(_RATIOS.get(quantity, quantity), lang)


def _sentence(result: Estimates, lang: str, what: str, verb: str, numbers: tuple[str, str, str], row: int) -> str:
    value, low, high = numbers
    n, interval = _count(result, row), wording.interval_name(result.conf_level, lang)
    population = result.provenance.population.get(lang, "")
    notice = result.provenance.notice.get(lang, "")
    if result.verb in _OF_THE_TREATED:
        population, verb = _those_that_started(population, lang), _of_time(result, row, verb, lang)
    if lang == "ko":
        whom = f"{population}의 " if population else ""
        said = f"{whom}{what} {_with_topic(verb)} {_with_direction(value)} 추정된다"
        text = f"{said} ({interval} {_span(low, high, lang)}, n = {n})."
    else:
        whom = f" among {population}" if population else ""
        subject = f"{wording.capital(what)}: the {verb}{whom}"
        text = f"{subject} is estimated at {value} ({interval} {low} to {high}; n = {n})."
    return f"{text} {notice}".strip()


def _those_that_started(population: str, lang: str) -> str:
    """Return whom effects of a policy are about: the treated, not all of the population."""
    if lang == "ko":
        return f"{population} 중 시행한 곳" if population else "시행한 곳"
    return f"the treated of {population}" if population else "the treated"


def _since(result: Estimates, row: int) -> float:
    """Return the time since the start that a row is about; zero where it is about several or later ones."""
    keys = result.keys.iloc[row]
    if not wording.is_absent(keys.get("event_time")):
        return float(keys["event_time"])
    if wording.is_absent(keys.get("cohort")) or wording.is_absent(keys.get("time")):
        return 0.0
    return float(keys["time"]) - float(keys["cohort"])


def _of_time(result: Estimates, row: int, verb: str, lang: str) -> str:
    """Return what a row estimates: before the start it is no effect of the policy."""
    if _since(result, row) >= 0:
        return verb
    return (
        "시행 전 차이 (정책 효과가 아님)" if lang == "ko" else "difference before the start, no effect of the policy,"
    )


def _reference(what: str, lang: str) -> str:
    if lang == "ko":
        return f"{what}: 시행 전 기준 시점이며 정의에 따라 0."
    return f"{wording.capital(what)}: the reference period before the start, 0 by construction."


#: Verbs whose estimates are means over the treated, each against others not treated yet.
_OF_THE_TREATED = frozenset(
    {"att_gt", "aggregate", "event_study", "event_study_twfe", "sun_abraham", "extended_twfe", "stacked_did"}
    | {"imputation_did", "two_stage_did", "efficient_did", "dose_did"}
)


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
