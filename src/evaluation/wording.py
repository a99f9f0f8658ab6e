"""Korean and English words for columns, verbs and captions, and how a number is written.

Numbers are rounded to what their standard error supports: two significant digits of the error.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation import project
from evaluation.errors import ProjectError
from evaluation.results import Estimates, Labels, Provenance, TestResult
from evaluation.vocabulary.words import TERMS, VERBS

#: Most decimals ever shown; full precision stands in the CSV and JSON files.
MOST_DECIMALS = 6
#: What stands where there is no number.
ABSENT = "–"
#: What stands between a weight and the steps it went through.
ARROW = " → "
#: What stands between the variables, and the codes, of a crossed margin.
CROSS = ":"
#: Level of those who have no value, in diagnostics of covariates.
MISSING = "missing"

#: Verbs whose estimates are compared with zero.
AGAINST_ZERO = frozenset(
    {"survey_glm", "twfe", "att_gt", "aggregate", "event_study", "contrast", "contrasts", "difference"}
    | {"fe_regression"}
    | {"event_study_twfe", "sun_abraham", "extended_twfe", "stacked_did"}
    | {"imputation_did", "two_stage_did", "efficient_did", "switching_did", "dose_did"}
    | {"negative_controls", "synthetic_control", "synthetic_did"}
    | {"placebo_dates", "placebo_outcomes", "composition_test", "subgroup_impacts"}
    | {"trend_change", "survey_change", "response_contrast", "partial_r_indicators", "subgroup_effects"}
    | {"survey_ordinal", "survey_multinomial", "marginal_effects"}
    | {"area_difference", "area_change"}
)
#: Verbs whose estimates are shares, 0 to 1.
SHARE_VERBS = frozenset({"survey_prop", "survey_arop", "response_rates"})
#: Verbs about one area in one wave: where all rows are of one, the title says which.
ABOUT_AREAS = frozenset({"area_means", "area_difference", "area_change", "area_group"})
#: Verbs whose levels are categories of the regression's outcome, and not of the term.
OF_OUTCOME = frozenset({"survey_multinomial", "predictions", "predictive_margins", "marginal_effects"})
#: Terms of results that are no columns of the data.
_OWN_TERMS = {"att_at_dose", "acrt_at_dose", "acrt_overall", "joiners", "leavers", "placebo"} | {
    "treated_vs_untreated",
    "earlier_vs_later",
    "later_vs_earlier",
    "later_vs_always_treated",
}
#: Key columns of a regression's effects that are no groups.
_OWN_KEYS = {"predictive_margins": {"value"}, "marginal_effects": {"contrast"}}
#: What stands between the categories that a threshold parts, and between those that an effect compares.
_THRESHOLD, _LESS = "|", " - "

#: What stands before a covariate whose share of an explained gap a row is.
_EXPLAINED_BY = "explained:"
_REPLICATES = re.compile(r"^replicates \((?P<parts>.+)\)$")
_WHOLE = re.compile(r"^-?\d+\.0+$")
#: Words that name a wave, by the keys that they fit.
_OF_WAVE = {
    re.compile(re.escape(key).replace(re.escape("{wave}"), r"(-?\d[\d.]*)")): words
    for key, words in TERMS.items()
    if "{wave}" in key
}
_SHIFTED = re.compile(r"(?:I\()?\{?(?P<name>[^\W\d]\w*) ?(?P<sign>[-+]) ?(?P<by>\d+(?:\.\d+)?)\}?\)?")
_SQUARED = re.compile(r"\{?([^\W\d]\w*) ?\*\* ?2\}?")
_CATEGORICAL = re.compile(r"^C\((?P<variable>\w+)\)$")
_DUMMY = re.compile(r"^(?P<variable>.+)\[(?:T\.)?(?P<value>[^\[\]]*)\]$")


def term(key: str, lang: str | None = None) -> str:
    """Return a word of the workbench in the language; an unknown one stands for itself.

    Examples
    --------
    >>> term("std_error", "ko"), term("std_error", "en"), term("api00", "en")
    ('표준오차', 'std. error', 'api00')
    """
    korean, english = TERMS.get(key) or _with_wave(key) or (key, key)
    return korean if language_of(lang) == "ko" else english


def _with_wave(key: str) -> tuple[str, str] | None:
    """Return the words of a key that names a wave, such as "part of the window of 2017"; None if it is no such key."""
    for pattern, (korean, english) in _OF_WAVE.items():
        if found := pattern.fullmatch(key):
            return korean.format(wave=found[1]), english.format(wave=found[1])
    return None


def knows(key: str) -> bool:
    """Tell whether ``term`` has a word for this column."""
    return key in TERMS


def verb_name(verb: str, lang: str | None = None) -> str:
    """Return what a verb estimates: ``survey_mean`` is "mean" or "평균".

    Examples
    --------
    >>> verb_name("survey_mean", "ko"), verb_name("survey_mean", "en")
    ('평균', 'mean')
    """
    korean, english = VERBS.get(verb, (verb, verb))
    return korean if language_of(lang) == "ko" else english


def interval_name(conf_level: float, lang: str | None = None) -> str:
    """Return the name of an interval, such as "95% interval" or "95% 신뢰구간".

    Examples
    --------
    >>> interval_name(0.95, "ko"), interval_name(0.999, "en")
    ('95% 신뢰구간', '99.9% interval')
    """
    level = f"{100 * conf_level:.6g}%"
    return f"{level} 신뢰구간" if language_of(lang) == "ko" else f"{level} interval"


def survey_name(provenance: Provenance, lang: str | None = None) -> str:
    """Return the survey's title with its id behind it, or the id alone."""
    title = provenance.title.get(language_of(lang), "")
    return f"{title} ({provenance.survey})" if title else survey_id(provenance.survey, lang)


def survey_id(survey: str, lang: str | None = None) -> str:
    """Return the id of a survey; of data that have none, what they are in the language."""
    return term(survey, lang) if survey == Provenance.survey else survey


def distribution_name(distribution: str, lang: str | None = None) -> str:
    """Return the name of the distribution that a statistic is referred to."""
    key = f"distribution_{distribution}"
    return term(key if knows(key) else distribution, lang)


def method_name(method: str, lang: str | None = None) -> str:
    """Return how variances are made in words.

    Examples
    --------
    >>> method_name("replicates (bootstrap, 50, seed 1)", "ko"), method_name("taylor", "ko")
    ('반복가중 (붓스트랩, 50벌, 시드 1)', '테일러 선형화')
    """
    made, _, how = method.rpartition(", ")
    if how in ("matched pairs", "matched weights"):
        return f"{method_name(made, lang)}, {term(how, lang)}"
    found = _REPLICATES.match(method)
    if found is None or language_of(lang) == "en":
        return term(method, lang)
    parts = [_replicate_word(part) for part in found["parts"].split(", ")]
    return f"{term('replicates', lang)} ({', '.join(parts)})"


def _replicate_word(part: str) -> str:
    """Return a part of the name of replicates in Korean: their kind, how many, from which seed."""
    if part.isdigit():
        return f"{part}벌"
    if part.startswith("seed "):
        return part.replace("seed ", "시드 ")
    return term(f"replicates_{part}", "ko") if knows(f"replicates_{part}") else part


def counted(key: str, count: int, lang: str | None = None) -> str:
    """Return a count of sampling units or strata in words.

    Examples
    --------
    >>> counted("psu", 15, "en"), counted("stratum", 3, "en"), counted("psu", 15, "ko")
    ('15 PSUs', '3 strata', 'PSU 15개')
    """
    lang = language_of(lang)
    return f"{term(key, lang)} {count:,}개" if lang == "ko" else f"{count:,} {term(key, lang)}"


def weight_name(weight: str, lang: str | None = None) -> str:
    """Return a weight and the steps it went through in words.

    Examples
    --------
    >>> weight_name("pw → calibrate → trim_weights", "ko"), weight_name("pw → calibrate → trim_weights", "en")
    ('pw → 보정 → 절사', 'pw → calibrated → trimmed')
    """
    first, *steps = weight.split(ARROW)
    return ARROW.join([term(first, lang), *(term(step, lang) for step in steps)])


def is_unweighted(provenance: Provenance) -> bool:
    """Tell whether respondents count once each, so that nothing may be said of survey weights."""
    return provenance.weight.split(ARROW)[0] == "unweighted"


def rung_name(method: str, provenance: Provenance, lang: str | None = None) -> str:
    """Return the name of a method of adjustment; that of none speaks of survey weights only where there are such.

    Examples
    --------
    >>> rung_name("raw", Provenance(weight="w"), "en"), rung_name("raw", Provenance(weight="unweighted"), "en")
    ('survey weights, not adjusted', 'not adjusted')
    """
    is_plain = method == "raw" and is_unweighted(provenance)
    return term("method_raw_unweighted" if is_plain else f"method_{method}", lang)


def caption(
    provenance: Provenance,
    conf_level: float | None = None,
    lang: str | None = None,
    *,
    marks: str = "bars",
    notes: Iterable[str] = (),
) -> str:
    """Return what stands below every figure and table: survey, n, weight, interval, notice.

    Parameters
    ----------
    provenance : Provenance
        Where the numbers come from.
    conf_level : float, optional
        Level of the intervals shown, 0 to 1; without it no interval is named.
    lang : {"ko", "en"}, optional
        Default: the language of the project.
    marks : str, default "bars"
        What draws the interval: a word known to ``term``, or empty for none (in a table).
    notes : iterable of str, optional
        What else this figure needs to be read, before the notice.

    Examples
    --------
    >>> schools = Provenance("apiclus1", {"en": "California schools 2000"}, n=183, weight="pw")
    >>> caption(schools, 0.95, "en")
    'California schools 2000 (apiclus1), n = 183; weight: pw; bars: 95% intervals'
    """
    lang = language_of(lang)
    size = f", n = {provenance.n:,}" if provenance.n else ""
    parts = [f"{survey_name(provenance, lang)}{size}"]
    if provenance.weight:
        parts.append(f"{term('weight', lang)}: {weight_name(provenance.weight, lang)}")
    if conf_level is not None:
        interval = interval_name(conf_level, lang) + ("s" if lang == "en" else "")
        parts.append(f"{term(marks, lang)}: {interval}" if marks else interval)
    notice = provenance.notice.get(lang) or next(filter(None, provenance.notice.values()), "")
    return _with_sentences("; ".join(parts), [*notes, *filter(None, [notice])], last=notice)


def _with_sentences(start: str, notes: list[str], last: str) -> str:
    """Join notes by semicolons; from the first one that holds a whole sentence on, each is one of its own."""
    told, is_sentence = start, False
    for note in notes:
        is_sentence = is_sentence or note is last or note.endswith(".") or ". " in note
        told = (
            f"{told.removesuffix('.')}. {note if note is last else capital(note)}" if is_sentence else f"{told}; {note}"
        )
    return told


def term_label(name: object, labels: Labels, lang: str | None = None) -> str:
    """Return the label of an estimated term: a column, a ratio, a coefficient of a model.

    Examples
    --------
    >>> from evaluation.results import PlainLabels
    >>> [term_label(name, PlainLabels(), "en") for name in ("api00", "a/b", "stype[T.H]", "(Intercept)", "x:z")]
    ['api00', 'a / b', 'stype = H', 'intercept', 'x × z']
    """
    lang, text = language_of(lang), str(name)
    if text.strip("()").lower() in {"intercept", "const"}:
        return term("intercept", lang)
    known = labels.variable(text, lang)
    if known != text:
        return known
    if text in {"overall", "did", "index", "difference"} | _OWN_TERMS:
        return term(text, lang)
    if categorical := _CATEGORICAL.match(text):
        return labels.variable(categorical["variable"], lang)
    dummy = _DUMMY.match(text)
    first, _, second = text.partition(CROSS)
    if first and first == second:
        return f"{term_label(first, labels, lang)}²"
    if squared := _SQUARED.fullmatch(text):
        return f"{term_label(squared[1], labels, lang)}²"
    if shifted := _SHIFTED.fullmatch(text):
        return f"{term_label(shifted['name'], labels, lang)} {shifted['sign'].replace('-', '−')} {shifted['by']}"
    if CROSS in text:
        parts = text.split(CROSS)
        words = [term_label(part, labels, lang) for part in parts]
        return " × ".join(
            f"({word})" if _SHIFTED.fullmatch(part) else word for part, word in zip(parts, words, strict=True)
        )
    if dummy:
        categorical = _CATEGORICAL.match(dummy["variable"])
        variable = categorical["variable"] if categorical else dummy["variable"]
        return f"{labels.variable(variable, lang)} = {value_label(variable, dummy['value'], labels, lang)}"
    if "/" in text:
        return " / ".join(term_label(part.strip(), labels, lang) for part in text.split("/"))
    return known


def value_label(variable: object, value: object, labels: Labels, lang: str | None = None) -> str:
    """Return the label of a code; of a crossed margin's code, the label of each part.

    Examples
    --------
    >>> from evaluation.results import PlainLabels
    >>> value_label("stype:sch.wide", "E:No", PlainLabels(), "en"), value_label("stype", "E", PlainLabels(), "en")
    ('E · No', 'E')
    """
    lang, name, code = language_of(lang), str(variable), str(value)
    known = labels.value(name, value, lang)
    if known == code and _WHOLE.match(code):
        # A column with missing values holds its codes as 1.0; nobody reads them so.
        code = code.partition(".")[0]
        known = labels.value(name, code, lang)
    if known == code == MISSING:
        return term(MISSING, lang)
    variables, codes = name.split(CROSS), code.split(CROSS)
    if known != code or len(variables) == 1 or len(variables) != len(codes):
        return known
    return " · ".join(labels.value(part, own, lang) for part, own in zip(variables, codes, strict=True))


def label_keys(keys: pd.DataFrame, labels: Labels, lang: str | None = None) -> pd.DataFrame:
    """Return the key columns of a result as words, in the same columns; missing keys are empty.

    Parameters
    ----------
    keys : pandas.DataFrame
        ``term``, ``level``, and columns by which was grouped.
    labels : Labels
        Words for columns and codes.
    lang : {"ko", "en"}, optional
        Default: the language of the project.
    """
    lang = language_of(lang)
    owner_column = next((name for name in ("subgroup", "term") if name in keys), None)
    terms = pd.Series([""] * len(keys), index=keys.index) if owner_column is None else keys[owner_column]
    words = {
        str(column): [
            _key_label(str(column), value, owner, labels, lang)
            for value, owner in zip(keys[column], terms, strict=True)
        ]
        for column in keys
    }
    return pd.DataFrame(words, index=keys.index, dtype=object)


def result_keys(result: Estimates, lang: str | None = None) -> pd.DataFrame:
    """Return the key columns of a result as words; what a regression says of its outcome in the outcome's words.

    Parameters
    ----------
    result : Estimates
        From any verb.
    lang : {"ko", "en"}, optional
        Default: the language of the project.
    """
    lang, labels = language_of(lang), result.provenance.labels
    keys, outcome = result.keys.reset_index(drop=True), str(result.fit.get("outcome", ""))
    words = label_keys(keys, labels, lang)
    if result.verb in OF_OUTCOME and "level" in keys:
        words["level"] = ["" if is_absent(own) else value_label(outcome, own, labels, lang) for own in keys["level"]]
    if result.verb == "survey_ordinal":
        words["term"] = [_threshold(name, outcome, labels, lang) for name in keys["term"]]
    if result.verb == "predictions" and outcome:
        known = labels.variable("prediction", lang)
        words["term"] = term_label(outcome, labels, lang) if known == "prediction" else known
    if "method" in keys and is_unweighted(result.provenance):
        plain = rung_name("raw", result.provenance, lang)
        words["method"] = words["method"].where(keys["method"] != "raw", plain)
    if result.verb == "survey_trend":
        words = _with_cohorts(result, words, lang)
    for column in _OWN_KEYS.get(result.verb, set()):
        label = value_label if column == "value" else _compared_codes
        pairs = zip(keys["term"], keys[column], strict=True)
        words[column] = [label(owner, own, labels, lang) for owner, own in pairs]
    return words


def _with_cohorts(result: Estimates, words: pd.DataFrame, lang: str) -> pd.DataFrame:
    """Return words in which 0, among years in which a policy started, says that it never did."""
    time = str(result.fit.get("time", ""))
    for column in result.keys.columns.difference([time, "term", "level", "segment"]):
        values = pd.to_numeric(result.keys[column], errors="coerce").reset_index(drop=True)
        waves = pd.to_numeric(result.keys.get(time, pd.Series(dtype=float)), errors="coerce")
        never, started = values == 0, values[values != 0].dropna()
        if never.any() and len(started) and (started >= waves.min()).all() and waves.min() > 0:
            words[column] = words[column].where(~never | (words[column] != "0"), term("never_treated", lang))
    return words


def _threshold(name: object, outcome: str, labels: Labels, lang: str) -> str:
    """Return the two categories that a threshold parts; any other term as ever."""
    low, bar, high = str(name).partition(_THRESHOLD)
    if not bar or labels.variable(str(name), lang) != str(name):
        return term_label(name, labels, lang)
    parted = _THRESHOLD.join(value_label(outcome, own, labels, lang) for own in (low, high))
    return f"{term('threshold_between', lang)} {parted}"


def _compared_codes(variable: object, contrast: object, labels: Labels, lang: str) -> str:
    """Return which category of a variable is set against which, or that an effect is a slope."""
    known = labels.value(str(variable), contrast, lang)
    if known != str(contrast) or knows(known):
        return term(known, lang)
    codes = str(contrast).split(_LESS)
    middle = len(codes) // 2
    pair = (_LESS.join(codes[:middle]), _LESS.join(codes[middle:])) if len(codes) % 2 == 0 else codes
    return " − ".join(value_label(variable, code, labels, lang) for code in pair)


def _key_label(column: str, value: object, owner: object, labels: Labels, lang: str) -> str:
    if is_absent(value) or (column == "level" and value == ""):
        return ""
    if column == "term":
        return term_label(value, labels, lang)
    if column == "quantity" or (column == "comparison" and value in _OWN_TERMS):
        return term(str(value), lang)
    if column == "subgroup":
        return term_label(value, labels, lang)
    if column in {"part", "method"} and knows(f"{column}_{value}"):
        return term(f"{column}_{value}", lang)
    if column == "part" and str(value).startswith(_EXPLAINED_BY):
        return term("part_explained_by", lang).format(name=term_label(str(value)[len(_EXPLAINED_BY) :], labels, lang))
    if column == "lambda":
        return f"Λ = {float(str(value)):.4g}"
    if column in {"quantile", "probability"}:
        return f"{value:g}" if isinstance(value, (float, np.floating)) else str(value)
    return value_label(owner if column == "level" else column, value, labels, lang)


def heading(column: str, labels: Labels, lang: str | None = None) -> str:
    """Return the heading of a column: our own word for ours, the codebook's label for the survey's."""
    label = labels.variable(column, language_of(lang))
    return label if label != column else term(column, lang)


def estimates_title(result: Estimates, lang: str | None = None) -> str:
    """Return a title such as "Mean: API 2000, by school type"; the caller may always say it better."""
    lang, labels = language_of(lang), result.provenance.labels
    terms = [result.fit["outcome"]] if "outcome" in result.fit else result.keys["term"]
    names = list(dict.fromkeys(term_label(name, labels, lang) for name in terms))
    groups = [
        heading(str(column), labels, lang)
        for column in result.keys
        if column
        not in {"term", "level", "quantile", "quantity", "part", "method", "lambda", "subgroup"}
        | _OWN_KEYS.get(result.verb, set())
    ]
    if "subgroup" in result.keys:
        columns = [name for name in dict.fromkeys(result.keys["subgroup"]) if name != "overall"]
        groups = [term_label(name, labels, lang) for name in columns]
    if result.verb == "predictive_margins":
        groups = [*dict.fromkeys(term_label(name, labels, lang) for name in result.keys["term"]), *groups]
    what = verb_name(result.verb, lang)
    subject = f"{what}: {', '.join(names[:4])}" + (" …" if len(names) > 4 else "")
    if not groups:
        return subject if lang == "ko" else capital(subject)
    if place := place_of(result, lang):
        return f"{place}: {what}"
    korean = ", ".join(groups).removesuffix("별") + "별"  # "성별" says by itself that it is by sex
    return f"{subject} ({korean})" if lang == "ko" else f"{capital(subject)}, by {', '.join(groups)}"


def place_of(result: Estimates, lang: str | None = None) -> str:
    """Return the one area and wave that results about areas are of, such as "Jongno-gu, 2016"; empty for several."""
    columns = [str(column) for column in result.keys if column not in ("term", "level")]
    if result.verb not in ABOUT_AREAS or not columns or len(result.keys[columns].drop_duplicates()) != 1:
        return ""
    first, labels = result.keys.iloc[0], result.provenance.labels
    words = (value_label(column, first[column], labels, lang) for column in columns)
    return ", ".join(map(wave_label, words))


def is_reference(result: Estimates) -> NDArray[np.bool_]:
    """Tell the rows that all others of an event study are measured against: zero without an error."""
    if "event_time" not in result.keys:
        return np.zeros(len(result), dtype=bool)
    return np.asarray((result.estimate == 0) & (result.std_error == 0))


def families_note(result: Estimates, lang: str | None = None) -> list[str]:
    """Return which tests adjusted p-values count together, and the draws behind them; nothing without such."""
    fit, notes = result.fit, []
    if "families" in fit and {"p_holm", "p_romano_wolf"} <= set(result.columns):
        notes.append(term(f"families_{fit['families']}", lang))
    if "stepdown_seed" in fit and "p_romano_wolf" in result.columns:
        draws = {"n": f"{int(fit['stepdown_replicates']):,}", "seed": fit["stepdown_seed"]}
        notes.append(term("stepdown_draws", lang).format(**draws))
    return notes


def hypothesis(result: TestResult, lang: str | None = None) -> str:
    """Return the hypothesis of a test in words; as the test wrote it where its parts are not known.

    Examples
    --------
    >>> facts = {"kind": "independent", "variables": ["sex", "job"]}
    >>> test = TestResult("F", "sex and job are independent", 1.0, 1, 9, 0.3, 40, Provenance(), facts=facts)
    >>> hypothesis(test, "en"), hypothesis(test, "ko")
    ('sex and job are independent', '두 변수(sex, job)는 서로 독립')
    """
    lang, labels, facts = language_of(lang), result.provenance.labels, result.facts
    pattern = f"hypothesis_{facts.get('kind', '')}"
    if not knows(pattern):
        return term(result.hypothesis, lang)
    names = [term_label(name, labels, lang) for name in facts.get("variables", ())]
    codes = [value_label(facts.get("by", ""), code, labels, lang) for code in facts.get("levels", ())]
    parts = {
        "names": ", ".join(names),
        "first": names[0] if names else "",
        "second": names[1] if len(names) > 1 else "",
        "by": term_label(facts["by"], labels, lang) if "by" in facts else "",
        "low": codes[0] if codes else "",
        "high": codes[1] if len(codes) > 1 else "",
        "number": plain_number(float(facts.get("number", 0.0))),
    }
    return term(pattern, lang).format(**parts)


def statistic_of(result: TestResult, lang: str | None = None) -> str:
    """Return the statistic of a test with its degrees of freedom, such as "F(2, 117.9) = 1.442"."""
    value, ndf, ddf = (plain_number(number) for number in (result.statistic, result.ndf, result.ddf))
    if result.distribution == "F":
        return f"F({ndf}, {ddf}) = {value}"
    if result.distribution == "t":
        return f"t({ddf}) = {value}"
    reference = distribution_name(result.distribution, lang)
    divided = f", {term('deff', lang)} {plain_number(result.deff)}" if result.deff != 1 else ""
    return f"X² = {value} ({reference}, {term('df', lang)} {ndf}{divided})"


def is_variance(verb: str, name: object) -> bool:
    """Tell whether a row among covariances is that of a variable with itself."""
    return verb == "survey_covariance" and CROSS not in str(name)


def decimals(std_error: float) -> int:
    """Return the decimals that leave two significant digits of a standard error; may be negative.

    Examples
    --------
    >>> decimals(23.54), decimals(0.0278), decimals(900323.0)
    (0, 3, -4)
    """
    return min(1 - math.floor(math.log10(std_error)), MOST_DECIMALS)


def common_decimals(std_errors: Iterable[float]) -> int | None:
    """Return decimals for a column of numbers of one kind; None where no error is positive.

    The finest that any row asks for, but at most one more than the middle row: one tiny error does
    not lend its digits to all the others.
    """
    wanted = sorted(decimals(error) for error in std_errors if math.isfinite(error) and error > 0)
    return min(wanted[-1], wanted[len(wanted) // 2] + 1) if wanted else None


def number(value: float, places: int = 0) -> str:
    """Write a number with thousands commas; negative ``places`` round to tens, hundreds and so on.

    Examples
    --------
    >>> number(3989986.4, -4), number(644.169, 1), number(-0.0001, 2), number(float("nan"))
    ('3,990,000', '644.2', '0.00', '–')
    """
    if value is None or math.isnan(value):
        return ABSENT
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    rounded = round(float(value), places) + 0.0
    return f"{rounded:,.{max(places, 0)}f}"


def plain_number(value: float) -> str:
    """Write a number that has no standard error: four significant digits, whole above 1,000.

    Examples
    --------
    >>> plain_number(6194.0), plain_number(0.123456), plain_number(33.847), plain_number(9.25)
    ('6,194', '0.1235', '33.85', '9.25')
    """
    if value is None or math.isnan(value) or math.isinf(value) or abs(value) >= 1000:
        return number(value)
    if value == round(value):
        return f"{value:,.0f}"
    places = 3 - math.floor(math.log10(abs(value)))
    return number(value, min(places, 8)).rstrip("0").rstrip(".")


def probability(value: float) -> str:
    """Write a p-value: three decimals, never "0.000".

    Examples
    --------
    >>> probability(0.04321), probability(1e-9)
    ('0.043', '<0.001')
    """
    if math.isnan(value):
        return ABSENT
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def wave_label(value: object) -> str:
    """Write a wave, or a whole number that is no amount, without commas.

    Examples
    --------
    >>> wave_label(2018.0), wave_label("2015"), wave_label(2015.5)
    ('2018', '2015', '2015.5')
    """
    return f"{value:g}" if isinstance(value, float) and abs(value) < 1e6 else str(value)


def percentage_point_unit(lang: str | None = None) -> str:
    """Return the unit of differences between per cents: "%p" in Korean, "points" in English."""
    return "%p" if language_of(lang) == "ko" else "points"


def is_absent(value: object) -> bool:
    """Tell whether a key or cell holds nothing."""
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value))


def capital(text: str) -> str:
    """Return a text with its first letter as a capital."""
    return text[:1].upper() + text[1:]


def language_of(lang: str | None) -> str:
    """Return the language asked for, or the project's.

    Raises
    ------
    ProjectError
        Neither "ko" nor "en".
    """
    if lang is None:
        return project.language()
    if lang not in project.LANGUAGES:
        raise ProjectError(f"lang must be 'ko' or 'en', got {lang!r}.")
    return lang
