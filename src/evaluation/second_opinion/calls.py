"""Each estimate as a call of R survey, and where in R's answer each of its numbers stands."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast, get_args

import numpy as np
import pandas as pd

from evaluation.design.design import Design
from evaluation.estimation.curves import Rule
from evaluation.estimation.domains import is_text
from evaluation.estimation.quantiles import QuantileInterval, survey_quantile
from evaluation.regression.model import read_outcome
from evaluation.results import Estimates, TestResult
from evaluation.second_opinion.sheet import Sheet, level_text, quoted

Result = Estimates | TestResult

_FAMILIES = {
    "gaussian": "gaussian({link})",
    "binomial": "quasibinomial({link})",
    "poisson": "quasipoisson({link})",
    "gamma": "Gamma({link})",
}
_SIMPLE_TERM = re.compile(r"`([^`]+)`|C\((?:`([^`]+)`|([^`()]+?))\)|([^\W\d]\w*)")


@dataclass(frozen=True)
class Number:
    """One of our numbers, and the name under which R's answer to ``call`` holds its own.

    Attributes
    ----------
    result, row : str
        What the user calls the result, and the row's address in it.
    call : str
        R expression.
    name : str
        In R's answer.
    estimate, std_error : float
        Ours; NaN where R's answer has no such number.
    """

    result: str
    row: str
    call: str
    name: str
    estimate: float
    std_error: float


class NotSaid(Exception):
    """R survey has no call for a result; the message says why."""


def numbers_of(name: str, result: Result, design: Design, sheet: Sheet) -> list[Number]:
    """Return every number of a result with the R call that should give it; NotSaid where there is none."""
    if isinstance(result, TestResult):
        return _test(name, result, sheet)
    writers: Mapping[str, Callable[[Estimates, Design, Sheet], list[tuple[str, str]]]] = {
        "survey_mean": _moments,
        "survey_total": _moments,
        "survey_prop": _levels,
        "survey_ratio": _ratios,
        "survey_quantile": _quantiles,
        "survey_variance": _moments,
        "survey_glm": _regression,
        "survey_ordinal": _ordinal,
        "contrast": _contrasts,
        "nonlinear_contrast": _contrasts,
    }
    if result.verb not in writers:
        raise NotSaid(f"{result.verb} has no call of R survey here")
    said = writers[result.verb](result, design, sheet)
    rows = zip(result.addresses(), said, result.estimate, result.std_error, strict=True)
    return [Number(name, row, call, of, float(value), float(error)) for row, (call, of), value, error in rows]


_FUNCTIONS = {"survey_mean": "svymean", "survey_total": "svytotal", "survey_variance": "svyvar"}


def _groups(result: Estimates, sheet: Sheet) -> tuple[list[str], list[str]]:
    """Return the R names of the grouping columns, and R's name of each row's group."""
    by = [str(name) for name in result.keys.columns if name not in ("term", "level")]
    columns = [sheet.category(name) for name in by]
    keys = [".".join(level_text(value) for value in row) for row in result.keys[by].itertuples(index=False, name=None)]
    return columns, keys


def _call(function: str, formula: str, groups: list[str], extra: str = "") -> str:
    if not groups:
        return f"{function}({formula}, d{extra}, na.rm = TRUE)"
    by = " + ".join(groups)
    return f"svyby({formula}, ~{by}, d, {function}{extra}, na.rm = TRUE)"


def _moments(result: Estimates, design: Design, sheet: Sheet) -> list[tuple[str, str]]:
    if "level" in result.keys:
        return _levels(result, design, sheet)
    function, (groups, keys) = _FUNCTIONS[result.verb], _groups(result, sheet)
    names = list(dict.fromkeys(map(str, result.keys["term"])))
    columns = {name: sheet.number(name) for name in names}
    if _is_listwise(result, design, names):
        if function == "svyvar":
            raise NotSaid("variances among those who answered everything are not written")
        formula = "~" + " + ".join(columns.values())
        call = _call(function, formula, groups)
        terms = [columns[str(term)] for term in result.keys["term"]]
        return [(call, f"{key}:{term}" if groups else term) for key, term in zip(keys, terms, strict=True)]
    calls = {name: _call(function, f"~{column}", groups) for name, column in columns.items()}
    return [
        (calls[str(term)], key if groups else columns[str(term)])
        for key, term in zip(keys, result.keys["term"], strict=True)
    ]


def _is_listwise(result: Estimates, design: Design, names: list[str]) -> bool:
    """Tell from the counts whether respondents were left out of a variable that they answered."""
    if len(names) < 2:
        return False
    by = [str(name) for name in result.keys.columns if name != "term"]
    grouped = design.data[by].notna().all(axis=1).to_numpy() if by else np.ones(len(design), dtype=bool)
    counted = {name: int((design.column(name).notna().to_numpy() & design.present & grouped).sum()) for name in names}
    shown = pd.Series(result.n_obs).groupby(result.keys["term"].astype(str).to_numpy()).sum()
    return any(int(shown[name]) < counted[name] for name in names)


def _levels(result: Estimates, design: Design, sheet: Sheet) -> list[tuple[str, str]]:
    function = "svytotal" if result.verb == "survey_total" else "svymean"
    groups, keys = _groups(result, sheet)
    found = []
    for key, term, level in zip(keys, result.keys["term"], result.keys["level"], strict=True):
        column = sheet.category(str(term))
        own = f"{column}{level_text(level)}"
        found.append((_call(function, f"~{column}", groups), f"{key}:{own}" if groups else own))
    return found


def _ratios(result: Estimates, design: Design, sheet: Sheet) -> list[tuple[str, str]]:
    groups, keys = _groups(result, sheet)
    above, below = (sheet.number(name) for name in _parts(str(result.keys["term"].iloc[0]), design))
    if not groups:
        return [(f"svyratio(~{above}, ~{below}, d, na.rm = TRUE)", f"{above}/{below}")]
    by = " + ".join(groups)
    call = f"svyby(~{above}, ~{by}, d, svyratio, denominator = ~{below}, na.rm = TRUE)"
    return [(call, key) for key in keys]


def _parts(term: str, design: Design) -> tuple[str, str]:
    """Split "numerator/denominator" where both sides are columns; either may hold a slash."""
    for place in (found.start() for found in re.finditer("/", term)):
        if term[:place] in design.data.columns and term[place + 1 :] in design.data.columns:
            return term[:place], term[place + 1 :]
    raise NotSaid(f"'{term}' is no ratio of two columns")


def _quantiles(result: Estimates, design: Design, sheet: Sheet) -> list[tuple[str, str]]:
    groups, keys = _groups(result, sheet)
    rule, interval = _rule(result, design)
    extra = f', ci = TRUE, qrule = "{rule}", interval.type = "{interval}"'
    found = []
    for key, term, level in zip(keys, result.keys["term"], result.keys["level"], strict=True):
        column = sheet.number(str(term))
        call = _call("svyquantile", f"~{column}", groups, f", quantiles = {level}{extra}")
        found.append((call, key if groups else column))
    return found


def _rule(result: Estimates, design: Design) -> tuple[Rule, QuantileInterval]:
    """Find the rule by which quantiles were made: a result holds its numbers, not the rule."""
    named = "mean" if result.interval_method == "woodruff" else result.interval_method
    if named not in get_args(QuantileInterval) or named == "score_roots":
        raise NotSaid(f"limits by '{named}' are not R's")
    if design.replicates is not None and named != "mean":
        raise NotSaid(f"R takes interval='mean' for interval='{named}' where there are replicates")
    interval = cast(QuantileInterval, named)
    by = [str(name) for name in result.keys.columns if name not in ("term", "level")]
    asked = [float(level) for level in dict.fromkeys(result.keys["level"])]
    names = list(dict.fromkeys(map(str, result.keys["term"])))
    rules: tuple[Rule, ...] = get_args(Rule)
    for rule in rules:
        again = survey_quantile(
            design,
            names,
            probabilities=asked,
            by=by or None,
            rule=rule,
            interval=interval,
            conf_level=result.conf_level,
        )
        numbers = ((again.estimate, result.estimate), (again.confidence_interval(), result.confidence_interval()))
        if all(np.array_equal(one, other, equal_nan=True) for one, other in numbers):
            return rule, interval
    raise NotSaid("they were not made from this design by one of R's rules")


# --- regression -------------------------------------------------------------------------------------------------


def _regression(result: Estimates, design: Design, sheet: Sheet) -> list[tuple[str, str]]:
    fit = result.fit
    formula, columns = _formula(str(fit["formula"]), design, sheet)
    y, reference = read_outcome(design, str(fit["outcome"]), fit["family"])
    own = str(fit["outcome"])
    outcome = sheet.number(own) if not reference or reference == "0" else sheet.add(f"is_not_{own}", pd.Series(y), own)
    link = getattr(result, "link", {"gaussian": "identity", "binomial": "logit"}.get(fit["family"], "log"))
    family = _FAMILIES[fit["family"]].format(link=quoted(link))
    offset = getattr(getattr(result, "model", None), "offset", None)
    if offset is not None:
        formula += f" + offset({sheet.add('offset', pd.Series(offset), 'offset of a regression')})"
    call = (
        f"svyglm({outcome} ~ {formula}, design = d, family = {family}, "
        f"control = glm.control(epsilon = 1e-14, maxit = 200))"
    )
    return [(call, _coefficient(str(term), columns)) for term in result.keys["term"]]


def _ordinal(result: Estimates, design: Design, sheet: Sheet) -> list[tuple[str, str]]:
    formula, columns = _formula(str(result.fit["formula"]), design, sheet)
    levels, own = [str(level) for level in result.fit["levels"]], str(result.fit["outcome"])
    place = {level: number for number, level in enumerate(levels)}
    code = np.array([place.get(level_text(value), -1) for value in design.column(own)], dtype=np.int64)
    outcome = sheet.factor(f"{own}_ordered", levels, code, own)
    call = f"svyolr({outcome} ~ {formula}, design = d, control = list(reltol = 1e-16, maxit = 1000))"
    return [(call, _coefficient(str(term), columns)) for term in result.keys["term"]]


def _formula(formula: str, design: Design, sheet: Sheet) -> tuple[str, dict[str, str]]:
    """Return a formula of plain columns in R's names, and these by ours; NotSaid where it computes something."""
    columns: dict[str, str] = {}

    def said(found: re.Match[str]) -> str:
        categorical, name = found[1] is None and found[4] is None, found[1] or found[2] or found[3] or found[4]
        if name not in design.data.columns:
            raise NotSaid(f"the formula computes '{name}'")
        column = sheet.category(name) if categorical or is_text(design.column(name)) else sheet.number(name)
        columns[f"C({name})" if categorical else name] = column
        return column

    rest = _SIMPLE_TERM.sub("", formula)
    if re.search(r"[^\s+:*01]", rest):
        raise NotSaid(f"the formula '~ {formula}' holds more than columns, + : and *")
    return _SIMPLE_TERM.sub(said, formula), columns


def _coefficient(term: str, columns: Mapping[str, str]) -> str:
    """Return R's name of a coefficient: ``stypeH:ell`` for ``stype[T.H]:ell``."""
    for name in sorted(columns, key=len, reverse=True):
        if term == name:
            return columns[name]
        if term.startswith(f"{name}["):
            level, closed, rest = term.removeprefix(f"{name}[").removeprefix("T.").partition("]")
            own = columns[name] + level_text(level)
            return f"{own}:{_coefficient(rest[1:], columns)}" if closed and rest.startswith(":") else own
        if term.startswith(f"{name}:"):
            return f"{columns[name]}:{_coefficient(term.removeprefix(f'{name}:'), columns)}"
    return term


# --- contrasts --------------------------------------------------------------------------------------------------


def _contrasts(result: Estimates, design: Design, sheet: Sheet) -> list[tuple[str, str]]:
    made = result.combination
    if made is None:
        raise NotSaid("it does not say of what it is made")
    if design.replicates is not None and not made.is_linear:
        raise NotSaid("R carries derivatives over replicates where ours evaluates each")
    rows = [(part, place) for part in made.parts for place in range(len(part))]
    found = []
    for label in result.keys["term"]:
        text, words = made.expressions[str(label)]
        call, names = _together([rows[row] for row in words.values()], design, sheet)
        said = _in_r(text, dict(zip(words, names, strict=True)))
        found.append((f"svycontrast({call}, list({quoted(label)} = quote({said})))", str(label)))
    return found


def _together(rows: list[tuple[Estimates, int]], design: Design, sheet: Sheet) -> tuple[str, list[str]]:
    """Return one call of R whose answer holds all rows with their covariance, and their names in it."""
    if any(part.verb == "survey_quantile" for part, _ in rows):
        raise NotSaid("R knows no covariance of quantiles")
    said = [_with_covariance(part, place, design, sheet) for part, place in rows]
    calls, names = list(dict.fromkeys(call for call, _ in said)), [name for _, name in said]
    whole = calls[0] if len(calls) == 1 else _one_call(rows, design, names)
    if whole is None:
        raise NotSaid("its rows come from several calls of R, which knows no covariance between them")
    return whole, names


def _with_covariance(part: Estimates, place: int, design: Design, sheet: Sheet) -> tuple[str, str]:
    """Return the call whose answer keeps the covariance between a row and the others, and the row's name in it."""
    by = [str(name) for name in part.keys.columns if name not in ("term", "level")]
    if by and part.verb == "survey_mean" and "level" not in part.keys:
        return _regressed_on_groups(part, place, by, design, sheet)
    asked = numbers_of("", part, design, sheet)[place]
    if not asked.call.startswith("svyby("):
        return asked.call, asked.name
    columns = [*by, *(str(term) for term in part.keys["term"].unique() if term in design.data)]
    if not design.present.all() or design.data[columns].isna().any(axis=None):
        raise NotSaid("survey 4.1 loses the covariance between groups where an answer is missing")
    return asked.call.removesuffix(")") + ", covmat = TRUE)", asked.name


def _regressed_on_groups(part: Estimates, place: int, by: list[str], design: Design, sheet: Sheet) -> tuple[str, str]:
    """Say means by group as a regression without intercept: R keeps their covariance whatever is missing."""
    term = str(part.keys["term"].iloc[place])
    own = part.keys.loc[part.keys["term"] == term, by]
    levels = [".".join(level_text(value) for value in row) for row in own.itertuples(index=False, name=None)]
    origin = f"{' x '.join(by)}, where {term} is known"
    group = next((column for column, said in sheet.origins.items() if said == origin), None)
    if group is None:
        codes = {level: code for code, level in enumerate(levels)}
        counted = design.present & design.column(term).notna().to_numpy()
        rows = design.data[by].itertuples(index=False, name=None)
        found = [codes.get(".".join(level_text(value) for value in row), -1) for row in rows]
        group = sheet.factor(f"group_of_{'_'.join([*by, term])}", levels, np.where(counted, found, -1), origin)
    call = f"svyglm({sheet.number(term)} ~ 0 + {group}, design = d)"
    position = list(part.keys.index[part.keys["term"] == term]).index(place)
    return call, f"{group}{levels[position]}"


def _one_call(rows: list[tuple[Estimates, int]], design: Design, names: list[str]) -> str | None:
    """Return the call for means, or totals, of several variables; None unless all respondents answered all of them."""
    verbs = {part.verb for part, _ in rows}
    plain = all(list(part.keys.columns) == ["term"] for part, _ in rows)
    if not plain or len(verbs) > 1 or not verbs <= {"survey_mean", "survey_total"}:
        return None
    terms = [str(part.keys["term"].iloc[place]) for part, place in rows]
    if design.data.loc[design.present, terms].isna().any(axis=None):
        return None
    return _call(_FUNCTIONS[verbs.pop()], "~" + " + ".join(dict.fromkeys(names)), [])


def _in_r(text: str, names: Mapping[str, str]) -> str:
    if any("`" in name for name in names.values()):
        raise NotSaid("a row's name holds a backtick")
    return re.sub(r"[^\W\d]\w*", lambda word: f"`{names[word[0]]}`" if word[0] in names else word[0], text).replace(
        "**", "^"
    )


# --- tests ------------------------------------------------------------------------------------------------------


def _test(name: str, result: TestResult, sheet: Sheet) -> list[Number]:
    design = sheet.design
    if result.test.startswith("t test"):
        call, kind = _t_test(result, sheet), "t"
    elif result.test.startswith("rank test"):
        call, kind = _rank_test(result, sheet), "t"
    else:
        call, kind = _chi_square(result, design, sheet), "F"
    made = [Number(name, "statistic", call, kind, result.statistic, np.nan)]
    return [*made, Number(name, "p_value", call, "p_value", result.p_value, np.nan)]


def _chi_square(result: TestResult, design: Design, sheet: Sheet) -> str:
    row, column = _pair(result.hypothesis.removesuffix(" are independent"), " and ", design)
    if not result.test.startswith("Rao-Scott F"):
        raise NotSaid(f"{result.test}: only statistic='F' is written")
    names = sheet.category(row), sheet.category(column)
    answered = " & ".join(f"!is.na({name})" for name in names)
    return f'svychisq(~{names[0]} + {names[1]}, subset(d, {answered}), statistic = "F")'


def _t_test(result: TestResult, sheet: Sheet) -> str:
    found = re.fullmatch(r"mean of (.*?), (.*)=.* less \2=.*, is 0", result.hypothesis)
    if not found:
        raise NotSaid("of t tests, the difference of two groups is written")
    outcome, by = sheet.number(found[1]), sheet.category(found[2])
    return f"svyttest({outcome} ~ {by}, d)"


def _rank_test(result: TestResult, sheet: Sheet) -> str:
    if result.distribution != "t" or sheet.design.linearization != "r":
        raise NotSaid(
            "of rank tests, that of two groups in a design with linearization='r' is written: R ranks ties another way"
        )
    score = result.test.removeprefix("rank test, ")
    outcome, by = _pair(result.hypothesis.replace(" is distributed alike whatever ", " and "), " and ", sheet.design)
    return f'svyranktest({sheet.number(outcome)} ~ {sheet.category(by)}, d, test = "{score}")'


def _pair(text: str, between: str, design: Design) -> tuple[str, str]:
    for place in (found.start() for found in re.finditer(re.escape(between), text)):
        left, right = text[:place], text[place + len(between) :]
        if left in design.data.columns and right in design.data.columns:
            return left, right
    raise NotSaid(f"'{text}' names no two columns")
