"""Differences held against a margin instead of zero: equivalence, superiority by more than it, non-inferiority."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from html import escape
from numbers import Real
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from evaluation import wording
from evaluation.errors import EstimationError, did_you_mean
from evaluation.estimation.arguments import is_number, require_number
from evaluation.estimation.multiplicity import are_differences, hypotheses, is_logarithm
from evaluation.results import Estimates, Provenance, frame_html, plain

Floats = NDArray[np.float64]
Question = Literal["equivalence", "superiority", "non_inferiority"]

#: What a test against a margin can show, as codes that ``wording.term`` knows.
SHOWN, NOT_SHOWN = "shown", "not shown"


@dataclass(frozen=True, eq=False)
class MarginTest:
    """Differences tested against one margin, or against both ends of a range.

    Attributes
    ----------
    question : {"equivalence", "superiority", "non_inferiority"}
        What was asked.
    rows : pandas.DataFrame
        One row per difference: its keys, ``estimate, std_error, df``; ``margin_low`` and ``p_lower`` (against the
        difference being at or below it), ``margin_high`` and ``p_upper`` (at or above it), missing where not asked;
        ``p_value``, the larger; ``conf_low, conf_high``, which clear the margins where p is below ``alpha``;
        ``conclusion`` ("shown" or "not shown"); ``n_obs``; ``mark`` where a row may not be shown.
    alpha : float
        One-sided level.
    higher_is_better : bool
        In which direction a difference counts as good.
    provenance : Provenance
        For captions and manifests.
    """

    question: Question
    rows: pd.DataFrame
    alpha: float
    higher_is_better: bool
    provenance: Provenance

    @property
    def conf_level(self) -> float:
        """Level of the two-sided interval, :math:`1 - 2\\alpha`."""
        return round(1 - 2 * self.alpha, 12)

    def tidy(self) -> pd.DataFrame:
        """Return one row per difference."""
        return self.rows.copy()

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        return {
            "verb": f"{self.question}_test",
            "conf_level": self.conf_level,
            "provenance": self.provenance.to_dict(),
            "fit": {"alpha": self.alpha, "higher_is_better": self.higher_is_better},
            "rows": [{str(k): plain(v) for k, v in row.items()} for row in self.rows.to_dict("records")],
        }

    def names(self, lang: str | None = None, *, short: bool = False) -> list[str]:
        """Return what each row is called, in Korean or English; ``short``: without what all rows have in common."""
        keys = self.rows.loc[:, :"estimate"].iloc[:, :-1]
        words = wording.label_keys(keys, self.provenance.labels, lang)
        apart = [name for name in words if words[name].nunique() > 1]
        if "quantity" in words and any(map(is_logarithm, self.rows["quantity"])):
            apart = [name for name in words if name in apart or name == "quantity"]
        said = (apart or ["term"]) if short else [name for name in words if name in apart or name != "quantity"]
        return [" · ".join(filter(None, cells)) for cells in words[said].itertuples(index=False, name=None)]

    def layout(self, lang: str) -> tuple[dict[str, list[str]], list[str]]:
        """Return the columns of a table as text, and its notes."""
        rows = self.rows.to_dict("records")
        numbers = [self._numbers(row) for row in rows]
        heads = ("difference", "", "margin_zone", "p_value", "conclusion", "n_obs")
        names = [wording.term(head, lang) for head in heads]
        names[1] = wording.interval_name(self.conf_level, lang)
        columns = {wording.term("term", lang): self.names(lang)}
        cells = [
            (
                *number[:3],
                wording.probability(row["p_value"]),
                wording.term(row["conclusion"], lang),
                wording.number(row["n_obs"]),
            )
            for row, number in zip(rows, numbers, strict=True)
        ]
        marked = [
            [row["mark"]] * len(heads) if row.get("mark") else list(own) for row, own in zip(rows, cells, strict=True)
        ]
        columns |= {name: [own[place] for own in marked] for place, name in enumerate(names)}
        notes = [wording.term(f"{self.question}_note", lang).format(alpha=f"{self.alpha:g}")]
        if any(is_logarithm(row.get("quantity")) for row in rows):
            notes.append(wording.term("log_margin_note", lang))
        return columns, notes

    def _numbers(self, row: Mapping[Any, Any]) -> tuple[str, str, str]:
        """Return the difference, its interval and the margins of a row as text."""
        places = max(wording.decimals(row["std_error"]), 0) if row["std_error"] > 0 else 0
        estimate, low, high = (wording.number(row[key], places) for key in ("estimate", "conf_low", "conf_high"))
        margins = [wording.plain_number(row[key]) for key in ("margin_low", "margin_high") if not np.isnan(row[key])]
        return estimate, f"[{low}, {high}]", ", ".join(margins)

    def text(self, lang: str | None = None) -> str:
        """Say what is shown and what is not, a line per difference, in Korean or English."""
        rows = self.rows.to_dict("records")
        return "\n".join(self._line(name, row, lang) for name, row in zip(self.names(lang), rows, strict=True))

    def _line(self, name: str, row: Mapping[Any, Any], lang: str | None) -> str:
        if row.get("mark"):
            return f"{name}: {row['mark']}"
        said = self._said(name, row, lang)
        if not is_logarithm(row.get("quantity")):
            return said
        margins = [np.exp(row[key]) for key in ("margin_low", "margin_high") if not np.isnan(row[key])]
        ratio = wording.term("said_log_margin", lang).format(
            ratio=wording.number(np.exp(row["estimate"]), 2), margins=", ".join(wording.number(m, 2) for m in margins)
        )
        return f"{said} ({ratio})"

    def _said(self, name: str, row: Mapping[Any, Any], lang: str | None) -> str:
        estimate, limits, margins = self._numbers(row)
        p = wording.probability(row["p_value"])
        return wording.term(f"said_{self.question}", lang).format(
            name=name,
            margins=margins,
            verdict=wording.term(row["conclusion"], lang),
            p=f"p {p[0]} {p[1:]}" if p.startswith("<") else f"p = {p}",
            estimate=estimate,
            interval=wording.interval_name(self.conf_level, lang),
            limits=limits,
        )

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return f"<p>{'<br>'.join(escape(line) for line in self.text().splitlines())}</p>" + frame_html(self.rows)


def equivalence_test(
    result: Estimates,
    *,
    margin: float | None = None,
    lower: float | None = None,
    upper: float | None = None,
    row: str | None = None,
    alpha: float = 0.05,
) -> MarginTest:
    """Test whether differences are too small to matter: two one-sided tests.

    Parameters
    ----------
    result : Estimates
        Differences from any verb; of a comparison the difference is tested, not the means beside it.
    margin : float, optional
        The smallest difference that would matter, in the unit of the estimate: 0.05 is five percentage points of a
        share. Of logarithms of ratios the logarithm.
    lower, upper : float, optional
        Instead of it, the two ends of the range; zero lies within.
    row : str, optional
        Address of one row; default all differences.
    alpha : float, default 0.05
        Level of each test; the interval shown is of level 1 - 2 alpha.

    Returns
    -------
    MarginTest
        Equivalence is shown where both tests reject, which is where the interval lies within the margins.

    Raises
    ------
    EstimationError
        A margin of the wrong sign or unit, both ways or none of giving it, a level outside 0 to 0.5, an unknown row.

    Notes
    -----
    A difference that is not significant is no evidence of equivalence; this is. Fix the margin before outcomes are
    read. t has the degrees of freedom of the estimate.

    References
    ----------
    Schuirmann (1987), Journal of Pharmacokinetics and Biopharmaceutics 15, 657-680. R twin: ``TOSTER``; Stata:
    ``tostt``.

    Examples
    --------
    >>> from evaluation.comparison.effects import group_difference
    >>> from evaluation.design.declaration import survey_design
    >>> answers = pd.DataFrame({"y": [4.0, 5, 6, 5, 4, 6, 5, 5], "joined": [0, 0, 0, 0, 1, 1, 1, 1]})
    >>> gap = group_difference(survey_design(answers), outcome="y", treatment="joined")
    >>> equivalence_test(gap, margin=2).tidy()["conclusion"].tolist()
    ['shown']
    """
    verb = "equivalence_test"
    chosen = _rows(result, row, verb)
    if margin is not None:
        if lower is not None or upper is not None:
            raise EstimationError(f"{verb}: give margin, or lower and upper, not both.")
        size = _margin(margin, verb)
        low, high = -size, size
    elif lower is None or upper is None:
        raise EstimationError(f"{verb} needs margin=, or lower= and upper=: how large a difference would matter?")
    else:
        low, high = require_number(lower, f"{verb}: lower"), require_number(upper, f"{verb}: upper")
        _refuse_ends(low, high, chosen, verb)
    _refuse_unit(chosen, max(abs(low), abs(high)), margin is not None, verb)
    return _against(chosen, "equivalence", low, high, alpha, True)


def superiority_test(
    result: Estimates, *, margin: float, higher_is_better: bool = True, row: str | None = None, alpha: float = 0.05
) -> MarginTest:
    """Test whether differences are larger than a margin, in the good direction.

    Parameters
    ----------
    result, row
        As in ``equivalence_test``.
    margin : float
        Zero or above, in the unit of the estimate: by more than this.
    higher_is_better : bool, default True
        False where low values are good: the difference must then lie below minus the margin.
    alpha : float, default 0.05
        One-sided level.

    Returns
    -------
    MarginTest

    Raises
    ------
    EstimationError
        As ``equivalence_test``.

    Examples
    --------
    >>> from evaluation.comparison.effects import group_difference
    >>> from evaluation.design.declaration import survey_design
    >>> answers = pd.DataFrame({"y": [4.0, 5, 6, 5, 8, 9, 9, 8], "joined": [0, 0, 0, 0, 1, 1, 1, 1]})
    >>> gap = group_difference(survey_design(answers), outcome="y", treatment="joined")
    >>> [superiority_test(gap, margin=margin).tidy()["conclusion"][0] for margin in (1, 3)]
    ['shown', 'not shown']
    """
    verb = "superiority_test"
    chosen = _rows(result, row, verb)
    size = _margin(margin, verb, zero=True)
    _refuse_unit(chosen, size, True, verb)
    low, high = (size, np.nan) if higher_is_better else (np.nan, -size)
    return _against(chosen, "superiority", low, high, alpha, higher_is_better)


def non_inferiority_test(
    result: Estimates, *, margin: float, higher_is_better: bool = True, row: str | None = None, alpha: float = 0.05
) -> MarginTest:
    """Test whether differences are at most a margin in the bad direction.

    Parameters
    ----------
    result, row
        As in ``equivalence_test``.
    margin : float
        Above zero, in the unit of the estimate: the largest loss that would be accepted.
    higher_is_better : bool, default True
        False where low values are good: the difference must then lie below the margin.
    alpha : float, default 0.05
        One-sided level; regulators ask for 0.025.

    Returns
    -------
    MarginTest

    Raises
    ------
    EstimationError
        As ``equivalence_test``.

    Examples
    --------
    >>> from evaluation.comparison.effects import group_difference
    >>> from evaluation.design.declaration import survey_design
    >>> answers = pd.DataFrame({"y": [4.0, 5, 6, 5, 4, 5, 5, 6], "joined": [0, 0, 0, 0, 1, 1, 1, 1]})
    >>> gap = group_difference(survey_design(answers), outcome="y", treatment="joined")
    >>> [non_inferiority_test(gap, margin=margin).tidy()["conclusion"][0] for margin in (0.5, 2)]
    ['not shown', 'shown']
    """
    verb = "non_inferiority_test"
    chosen = _rows(result, row, verb)
    size = _margin(margin, verb)
    _refuse_unit(chosen, size, True, verb)
    low, high = (-size, np.nan) if higher_is_better else (np.nan, size)
    return _against(chosen, "non_inferiority", low, high, alpha, higher_is_better)


def _rows(result: object, row: str | None, verb: str) -> Estimates:
    """Return the rows to be tested; what they stand beside is left in ``fit`` for checks of the unit."""
    if not isinstance(result, Estimates):
        raise EstimationError(f"{verb} needs estimates, such as those of ev.aipw, got {type(result).__name__}.")
    addresses, differ = result.addresses(), are_differences(result)
    if row is not None:
        if addresses.count(row) != 1:
            raise EstimationError(f"{verb}: no row '{row}'. {did_you_mean(row, addresses)}")
        if not differ[addresses.index(row)]:
            raise _no_difference(result, f"row '{row}'", verb)
        return _with_unit(result, result.take(np.array([addresses.index(row)])))
    if not differ.any():
        raise _no_difference(result, f"{len(result)} rows", verb)
    tests = hypotheses(result) & differ
    if "subgroup" in result.keys:
        tests = tests | ((result.keys["subgroup"] == "overall").to_numpy() & (result.std_error > 0))
    if not tests.any():
        raise EstimationError(f"{verb}: no row has a standard error and degrees of freedom, so nothing can be tested.")
    return _with_unit(result, result.take(np.flatnonzero(tests)))


def _no_difference(result: Estimates, what: str, verb: str) -> EstimationError:
    return EstimationError(
        f"{verb} holds differences against a margin, but {what} of {result.verb} are levels, whose difference from "
        f"zero nobody asks about. Pass a difference: ev.group_difference, ev.aipw, ev.contrast or "
        f"ev.benchmark_difference give one."
    )


def _with_unit(whole: Estimates, chosen: Estimates) -> Estimates:
    """Return the rows with a note whether they are differences of shares, by the means beside them."""
    means = whole.estimate[~hypotheses(whole)] if "quantity" in whole.keys else np.zeros(0)
    shares = bool(len(means)) and bool(((means >= 0) & (means <= 1)).all())
    return replace(chosen, fit={**chosen.fit, "of_shares": shares or bool(whole.fit.get("of_shares", False))})


def _margin(margin: object, verb: str, *, zero: bool = False) -> float:
    least = "of zero or more" if zero else "above zero"
    size = float(margin) if isinstance(margin, Real) and is_number(margin) else np.nan
    if not np.isfinite(size):
        raise EstimationError(f"{verb}: margin must be a number {least}, got {margin!r}.")
    if size < 0 or (size == 0 and not zero):
        move = f"Write its size, margin={-size:g}; the test knows the direction." if size < 0 else "How much matters?"
        raise EstimationError(f"{verb}: margin must be {least}, got {size:g}. {move}")
    return size


def _refuse_ends(low: float, high: float, rows: Estimates, verb: str) -> None:
    if low < 0 < high:
        return
    ratio = "quantity" in rows.keys and rows.keys["quantity"].astype(str).str.startswith("log_").any()
    move = (
        f"The rows are logarithms of ratios: write lower=np.log({low:g}), upper=np.log({high:g})."
        if ratio and 0 < low < 1 < high
        else "Zero, no difference, lies between them."
    )
    raise EstimationError(f"{verb}: lower must be below 0 and upper above it, got {low:g} and {high:g}. {move}")


def _refuse_unit(rows: Estimates, size: float, symmetric: bool, verb: str) -> None:
    kinds = rows.keys["quantity"].astype(str) if "quantity" in rows.keys else pd.Series(["difference"] * len(rows))
    shares = bool(rows.fit.get("of_shares", False)) or rows.fit.get("family") == "binomial"
    if shares and (kinds == "difference").all() and 1 < size <= 100:
        raise EstimationError(
            f"{verb}: the rows are differences of shares, 0 to 1, and the margin is {size:g}: that is per cent. Write "
            f"{size / 100:g} for {size:g} percentage points."
        )
    if symmetric and kinds.str.startswith("log_").any() and size >= 1:
        raise EstimationError(
            f"{verb}: the rows are logarithms of ratios, and a margin of {size:g} is a ratio of {np.exp(size):.3g}. "
            f"Write np.log({size:g}) if {size:g} is the ratio, or lower= and upper= as logarithms."
        )


def _against(
    rows: Estimates, question: Question, low: float, high: float, alpha: object, higher_is_better: bool
) -> MarginTest:
    verb = f"{question}_test"
    level = _alpha(alpha, verb)
    if not isinstance(higher_is_better, (bool, np.bool_)):
        raise EstimationError(f"{verb}: higher_is_better must be True or False, got {higher_is_better!r}.")
    shown = rows.masked()
    with np.errstate(divide="ignore", invalid="ignore"):
        above = stats.t.sf((shown.estimate - low) / shown.std_error, shown.df)
        below = stats.t.cdf((shown.estimate - high) / shown.std_error, shown.df)
    p = np.fmax(above, below)
    half = stats.t.isf(level, np.where(shown.df > 0, shown.df, np.nan)) * shown.std_error
    known = ~np.isnan(shown.estimate)
    columns: dict[str, Any] = {
        "estimate": shown.estimate,
        "std_error": shown.std_error,
        "df": shown.df,
        "margin_low": np.full(len(shown), low),
        "p_lower": above,
        "margin_high": np.full(len(shown), high),
        "p_upper": below,
        "p_value": p,
        "conf_low": shown.estimate - half,
        "conf_high": shown.estimate + half,
        "conclusion": np.where(known, np.where(p < level, SHOWN, NOT_SHOWN), ""),
        "n_obs": shown.tidy()["n_obs"].to_numpy(),
    }
    if "mark" in shown.columns:
        columns["mark"] = shown.columns["mark"]
    frame = pd.concat([shown.keys.reset_index(drop=True), pd.DataFrame(columns)], axis=1)
    return MarginTest(question, frame, level, bool(higher_is_better), rows.provenance)


def _alpha(alpha: object, verb: str) -> float:
    level = float(alpha) if isinstance(alpha, Real) and is_number(alpha) else np.nan
    if 0 < level < 0.5:
        return level
    move = f" {level:g} per cent is alpha={level / 100:g}." if 1 <= level < 50 else ""
    raise EstimationError(f"{verb}: alpha is a one-sided level and must lie between 0 and 0.5, got {alpha!r}.{move}")
