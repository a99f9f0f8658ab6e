"""What every result of the workbench promises: the same columns, the same words, the same bytes.

An estimate knows its covariance, its degrees of freedom, where it comes from, and (where one
exists) its influence function, so that any two numbers of one design can be contrasted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from html import escape
from numbers import Real
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from evaluation.errors import ColumnError, EstimationError

Floats = NDArray[np.float64]

#: A standard error is zero below this multiple of its estimate: a domain of one sampling unit leaves such remainders.
NOISE = 1e-12

#: What stands for a number that is not shown: a cell holds too few respondents, an estimate rests on too few.
SMALL_CELL, SMALL_BASE = "[c]", "[u]"

#: The columns of ``tidy()`` behind the key columns, in order.
TIDY_COLUMNS = ("estimate", "std_error", "statistic", "df", "p_value", "conf_low", "conf_high", "n_obs")


class Labels(Protocol):
    """Words for columns and codes, in both languages."""

    def variable(self, name: str, lang: str) -> str:
        """Return the label of a column."""
        ...

    def value(self, name: str, value: object, lang: str) -> str:
        """Return the label of a code of a column."""
        ...


class PlainLabels:
    """Labels of data that have no codebook: every name stands for itself."""

    def variable(self, name: str, lang: str) -> str:
        """Return the name."""
        return name

    def value(self, name: str, value: object, lang: str) -> str:
        """Return the code as text."""
        return str(value)


@dataclass(frozen=True)
class Provenance:
    """What a caption must say: which survey, whom it stands for, how many answered, which weight.

    Attributes
    ----------
    survey : str
        Survey id, or ``"data frame"``.
    title, population, notice : dict of str to str
        Texts by language ("ko", "en"); ``notice`` says e.g. that the data are synthetic, else empty.
    n : int
        Respondents in the design.
    weight : str
        The weight and the steps it went through.
    labels : Labels
        Words for columns and codes.
    min_cell, min_base : int
        Fewest respondents a shown cell may hold, and a shown estimate may rest on; 1 suppresses nothing.
    """

    survey: str = "data frame"
    title: Mapping[str, str] = field(default_factory=dict)
    population: Mapping[str, str] = field(default_factory=dict)
    notice: Mapping[str, str] = field(default_factory=dict)
    n: int = 0
    weight: str = ""
    labels: Labels = field(default_factory=PlainLabels)
    min_cell: int = 1
    min_base: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Return what goes into ``estimates/*.json``."""
        return {
            "survey": self.survey,
            "title": dict(self.title),
            "population": dict(self.population),
            "notice": dict(self.notice),
            "n": self.n,
            "weight": self.weight,
        }


class VarianceEngine(Protocol):
    """Turns unit contributions (or replicate estimates) into a covariance matrix."""

    @property
    def method(self) -> str:
        """Name of the variance method, e.g. ``"taylor"``."""
        ...

    def covariance(self, contributions: Floats) -> Floats:
        """Return the ``(k, k)`` covariance of ``(units, k)`` contributions."""
        ...


@dataclass(frozen=True, eq=False)
class Combination:
    """Of what a contrast is made.

    Attributes
    ----------
    parts : tuple of Estimates
        Results that were combined.
    expressions : mapping of label to (text, mapping of word to row)
        Arithmetic in words, and each word's place among the rows of all parts, one after the other.
    is_linear : bool
        Whether every expression is a linear combination.
    """

    parts: tuple[Estimates, ...]
    expressions: Mapping[str, tuple[str, Mapping[str, int]]]
    is_linear: bool


@dataclass(frozen=True, eq=False)
class Estimates:
    """A vector of ``k`` estimates with everything that is needed to use and to question them.

    Attributes
    ----------
    verb : str
        Public verb that made it, e.g. ``"survey_mean"``.
    keys : pandas.DataFrame, k rows
        ``term`` and, where they apply, ``level`` and the ``by`` columns.
    estimate : ndarray, shape (k,)
        Proportions are 0 to 1.
    vcov : ndarray, shape (k, k)
        Design-based covariance.
    df : ndarray, shape (k,)
        Degrees of freedom of each row; ``inf`` for normal, not positive where none are left.
    n_obs : ndarray of int, shape (k,)
        Respondents behind each row: weight not zero, value not missing.
    provenance : Provenance
        For captions and manifests.
    engine : VarianceEngine or None
        What turned contributions into ``vcov``.
    contributions : ndarray, shape (units, k), or None
        Weighted influence summed per sampling unit, or one row per replicate.
    influence_of : callable or None
        Makes ``influence`` on request.
    conf_level : float
        Of ``conf_low`` and ``conf_high``.
    interval : ndarray, shape (k, 2), or None
        Limits where they are not ``estimate`` plus or minus t times ``std_error``.
    interval_method : str
        Name of the interval, e.g. ``"t"`` or ``"logit"``.
    method : str
        Variance method where no engine made ``vcov``, e.g. ``"woodruff"``.
    columns : dict of str to ndarray
        Further columns of ``tidy()``, such as ``deff``.
    fit : dict
        Further entries of ``glance()``.
    bases : ndarray of int, shape (k,), or None
        Respondents in the smallest group behind each row; None where ``n_obs`` says it.
    cell_counts : ndarray of int, shape (k,), or None
        Respondents who gave the rarer answer that each share shows, or whom a row would give away beside the others;
        0 for nobody, None where rows are no shares.
    combination : Combination or None
        Of what a contrast is made; it is not published.
    """

    verb: str
    keys: pd.DataFrame
    estimate: Floats
    vcov: Floats
    df: Floats
    n_obs: NDArray[np.int64]
    provenance: Provenance
    engine: VarianceEngine | None = None
    contributions: Floats | None = None
    influence_of: Callable[[], Floats] | None = None
    conf_level: float = 0.95
    interval: Floats | None = None
    interval_method: str = "t"
    method: str = ""
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    fit: Mapping[str, Any] = field(default_factory=dict)
    bases: NDArray[np.int64] | None = None
    cell_counts: NDArray[np.int64] | None = None
    combination: Combination | None = field(default=None, kw_only=True, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.conf_level, Real) or not 0 < float(self.conf_level) < 1:
            raise EstimationError(
                f"{self.verb}: conf_level must lie between 0 and 1, got {self.conf_level!r}. 95 % is conf_level=0.95."
            )
        taken = [name for name in self.keys.columns if name in self.columns]
        if taken:
            raise ColumnError(
                f"{self.verb}: a column of results is called '{taken[0]}' already. Rename the column of the data."
            )
        for name, counts in (("bases", self.bases), ("cell_counts", self.cell_counts)):
            if counts is not None and len(counts) != len(self.estimate):
                raise EstimationError(f"{self.verb}: {len(self.estimate)} estimates, but {len(counts)} {name}.")

    def __len__(self) -> int:
        return len(self.estimate)

    @property
    def std_error(self) -> Floats:
        """Standard errors, shape (k,); zero where only the noise of floating point is left."""
        error = np.sqrt(np.clip(np.diag(self.vcov), 0.0, None))
        return np.where(error <= NOISE * np.abs(self.estimate), 0.0, error)

    @property
    def variance_method(self) -> str:
        """How the covariance was made."""
        return self.method or (self.engine.method if self.engine is not None else "none")

    @property
    def influence(self) -> Floats | None:
        """Influence values, shape (n, k), in the units of the estimate; None where there is no such function.

        The change of the estimate per proportional change of a respondent's design weight, through
        the whole weighting chain. Their sums per sampling unit are what the variance is made of.
        Made on request, since they are as long as the data.
        """
        return None if self.influence_of is None else self.influence_of()

    @property
    def critical_value(self) -> Floats:
        """Quantile of t by which the standard error is multiplied, shape (k,); NaN where df <= 0."""
        probability = (1 + self.conf_level) / 2
        usable = np.where(self.df > 0, self.df, np.nan)
        return np.asarray(stats.t.ppf(probability, usable))

    def take(self, rows: NDArray[np.int64]) -> Estimates:
        """Return the estimates at ``rows``, in that order, with their covariances."""
        influence_of = self.influence_of
        return replace(
            self,
            keys=self.keys.iloc[rows].reset_index(drop=True),
            estimate=self.estimate[rows],
            vcov=self.vcov[np.ix_(rows, rows)],
            df=self.df[rows],
            n_obs=self.n_obs[rows],
            contributions=None if self.contributions is None else self.contributions[:, rows],
            influence_of=None if influence_of is None else lambda: influence_of()[:, rows],
            interval=None if self.interval is None else self.interval[rows],
            columns={name: values[rows] for name, values in self.columns.items()},
            bases=None if self.bases is None else self.bases[rows],
            cell_counts=None if self.cell_counts is None else self.cell_counts[rows],
        )

    @property
    def base_sizes(self) -> NDArray[np.int64]:
        """Respondents in the smallest group behind each row, shape (k,)."""
        return self.n_obs if self.bases is None else self.bases

    @property
    def marks(self) -> list[str]:
        """Why each row may not be shown, empty where it may: ``[c]`` a small cell, ``[u]`` a small base.

        A row is also marked where it and what is left would give a marked one away: the difference beside a
        mean, the second smallest of the shares that sum to one.
        """
        if "mark" in self.columns:
            return [str(mark or "") for mark in self.columns["mark"]]
        bases = self.base_sizes
        small = (bases > 0) & (bases < self.provenance.min_base)
        cells = (bases > 0) & (bases < self.provenance.min_cell)
        if self.cell_counts is not None:
            cells |= ~small & (self.cell_counts > 0) & (self.cell_counts < self.provenance.min_cell)
        marks = [SMALL_CELL if cell else SMALL_BASE if base else "" for cell, base in zip(cells, small, strict=True)]
        return _with_companions(self, marks) if any(marks) else marks

    def masked(self) -> Estimates:
        """Return the estimates with every marked row blanked, and the marks as a column; unchanged where none is."""
        if "mark" in self.columns:
            return self
        marks = self.marks
        hidden = np.array([bool(mark) for mark in marks], dtype=bool)
        fit = shown_record(self.fit, self.provenance, is_hidden=SMALL_CELL in marks)
        if not hidden.any():
            return self if fit == dict(self.fit) else replace(self, fit=fit)
        limit = np.inf if "quantity" in self.keys else self.provenance.min_cell
        counted = (self.n_obs < limit) & np.array([mark == SMALL_CELL for mark in marks])
        if counted.any():
            # One hidden count is what the others leave of the total: those of the other marked rows go with it.
            counted = hidden
        columns = {name: _blanked(values, hidden) for name, values in self.columns.items()}
        return replace(
            self,
            estimate=np.where(hidden, np.nan, self.estimate),
            vcov=np.where(hidden[:, None] | hidden[None, :], np.nan, self.vcov),
            df=np.where(hidden, np.nan, self.df),
            n_obs=np.where(counted, 0, self.n_obs),
            engine=None,
            contributions=None,
            influence_of=None,
            interval=None if self.interval is None else np.where(hidden[:, None], np.nan, self.interval),
            method=self.variance_method,
            columns={**columns, "mark": np.array(marks, dtype=object)},
            fit=fit,
            bases=None,
            cell_counts=None,
        )

    def addresses(self) -> list[str]:
        """Return the key of each row as text, e.g. ``"api00 | stype=H"``: what contrasts and claims call it."""
        others = [name for name in self.keys.columns if name != "term"]
        return [
            " | ".join([str(row["term"]), *([",".join(f"{name}={row[name]}" for name in others)] if others else [])])
            for row in self.keys.to_dict("records")
        ]

    def confidence_interval(self) -> Floats:
        """Return lower and upper limits, shape (k, 2)."""
        if self.interval is not None:
            return self.interval
        half = self.critical_value * self.std_error
        return np.column_stack([self.estimate - half, self.estimate + half])

    def tidy(self) -> pd.DataFrame:
        """Return one row per estimate: key columns, then ``TIDY_COLUMNS``, then further columns.

        ``statistic`` and ``p_value`` test against zero; NaN where the error is zero or no degrees of
        freedom are left.
        """
        error, limits = self.std_error, self.confidence_interval()
        with np.errstate(divide="ignore", invalid="ignore"):
            statistic = np.where(error > 0, self.estimate / error, np.nan)
        usable = np.where(self.df > 0, self.df, np.nan)
        values = {
            "estimate": self.estimate,
            "std_error": error,
            "statistic": statistic,
            "df": self.df,
            "p_value": 2 * stats.t.sf(np.abs(statistic), usable),
            "conf_low": limits[:, 0],
            "conf_high": limits[:, 1],
            "n_obs": self._counts_shown(),
        }
        return pd.concat([self.keys.reset_index(drop=True), pd.DataFrame({**values, **self.columns})], axis=1)

    def _counts_shown(self) -> NDArray[Any]:
        """Return ``n_obs``; of a masked result NaN where the count itself would tell how small a group is."""
        hidden = (self.n_obs == 0) & (np.asarray(self.columns.get("mark", "")) != "")
        return np.where(hidden, np.nan, self.n_obs) if hidden.any() else self.n_obs

    def glance(self) -> pd.DataFrame:
        """Return one row about the whole: verb, method, number of estimates, n, and what the fit adds."""
        row = {
            "verb": self.verb,
            "variance_method": self.variance_method,
            "n_estimates": len(self),
            "n": self.provenance.n,
            "conf_level": self.conf_level,
            **self.fit,
        }
        return pd.DataFrame([row])

    def summary(self) -> str:
        """Return the estimates as text, six significant digits."""
        of = self.provenance
        head = f"{self.verb}: {of.survey}, n = {of.n:,}, weight: {of.weight}" if of.n else f"{self.verb}: {of.survey}"
        method = f"{self.variance_method} standard errors, {self.conf_level:.0%} intervals ({self.interval_method})"
        shown = self.masked().tidy().to_string(index=False, float_format=_six_digits)
        return "\n".join([head, *self._groups_told(), method, shown])

    def _groups_told(self) -> list[str]:
        """Return which values of the treatment column were compared, and what runs against the rest, as lines."""
        fit = self.fit
        named = all(fit.get(name) is not None for name in ("treatment", "participants", "comparison"))
        groups = (
            f"{fit['treatment']}: participants {fit['participants']}, comparison {fit['comparison']}" if named else ""
        )
        contrary = f"against the other items: {', '.join(fit['contrary'])}" if fit.get("contrary") else ""
        return [line for line in (groups, contrary) if line]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record at full precision: what lands in ``estimates/*.json``."""
        return {
            "verb": self.verb,
            "variance_method": self.variance_method,
            "interval_method": self.interval_method,
            "conf_level": self.conf_level,
            "provenance": self.provenance.to_dict(),
            "fit": {name: plain(value) for name, value in self.fit.items()},
            "rows": [
                {str(name): plain(value) for name, value in row.items()} for row in self.tidy().to_dict("records")
            ],
            "vcov": [[plain(value) for value in row] for row in self.vcov],
        }

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        said = "".join(f"<p>{escape(line)}</p>" for line in self._groups_told())
        return said + frame_html(self.masked().tidy())


#: Entries of ``fit`` that count respondents; others that begin alike count clusters or draws.
_PEOPLE = frozenset(
    {"n_left_out", "n_unmatched", "n_dose_unknown", "n_without_subgroup", "n_participants", "n_comparison"}
)
#: What entries begin with that are as good as a count of a group.
_SIZES = ("ess_", "largest_weight_share", "sd")


def shown_record(record: Mapping[str, Any], provenance: Provenance, *, is_hidden: bool = False) -> dict[str, Any]:
    """Return what a result says about itself as it may leave: small counts of respondents as ``"<5"``.

    Parameters
    ----------
    record : mapping
        Entries of ``fit``.
    provenance : Provenance
        Its ``min_cell`` is the smallest count that may be shown.
    is_hidden : bool, default False
        Rows of the result are hidden for a small cell: then no entry is left that tells the size of a group.

    Examples
    --------
    >>> shown_record({"n_left_out": 3, "ess_comparison": 80.5}, Provenance(min_cell=5))
    {'n_left_out': '<5', 'ess_comparison': 80.5}
    """
    shown: dict[str, Any] = {}
    for name, value in record.items():
        if is_hidden and (name.startswith(_SIZES) or (name in _PEOPLE and value)):
            shown[name] = None
        else:
            shown[name] = _shown_counts(value, provenance.min_cell) if name in _PEOPLE else value
    return shown


def _shown_counts(value: Any, least: int) -> Any:
    if isinstance(value, Mapping):
        return {key: _shown_counts(count, least) for key, count in value.items()}
    return f"<{least}" if isinstance(value, (int, np.integer)) and 0 < value < least else value


#: Verbs whose levels sum to a whole that is known.
_PARTS_OF_A_WHOLE = frozenset({"survey_prop", "survey_total"})


def _with_companions(result: Estimates, marks: list[str]) -> list[str]:
    """Mark rows that would give a marked one away, group by group of rows that belong together."""
    marks = list(marks)
    apart = next((name for name in ("quantity", "level") if name in result.keys), None)
    if apart is None or (apart == "level" and result.verb not in _PARTS_OF_A_WHOLE):
        return marks
    others = [name for name in result.keys if name != apart]
    groups: dict[tuple[Any, ...], list[int]] = {}
    for row, key in enumerate(result.keys[others].itertuples(index=False, name=None)):
        groups.setdefault(tuple(map(str, key)), []).append(row)
    for rows in groups.values():
        found = [row for row in rows if marks[row]]
        if apart == "quantity" and found:
            reason = SMALL_CELL if any(marks[row] == SMALL_CELL for row in found) else SMALL_BASE
            differences = [row for row in rows if not str(result.keys["quantity"].iloc[row]).startswith("mean_")]
            for row in rows if reason == SMALL_CELL else differences:
                marks[row] = reason
        elif apart == "level" and len(found) == 1 and len(rows) > 1:
            counts = result.n_obs if result.cell_counts is None else result.cell_counts
            marks[min((row for row in rows if row not in found), key=lambda row: int(counts[row]))] = marks[found[0]]
    return marks


def _blanked(values: NDArray[Any], hidden: NDArray[np.bool_]) -> NDArray[Any]:
    """Return a column with nothing in the hidden rows: not a number, or empty text."""
    if np.issubdtype(values.dtype, np.number):
        return np.where(hidden, np.nan, values.astype(float))
    return np.where(hidden, "", values.astype(object))


#: Entry of ``fit`` where an error is shown but may carry no claim and enter no report: it takes respondents of one
#: place, who were all treated or all not, as independent.
REFUSED_IN_CLAIMS = "refused_in_claims"

#: Entry of ``fit`` where errors are those of sampling alone, without the shocks of places that were treated as wholes.
SAMPLING_ALONE = "sampling_error_alone"


#: Mark in ``DataFrame.attrs`` of frames that hold respondents' records, and of all that pandas derives from them.
RECORDS = "respondent_records"


def holds_records(frame: pd.DataFrame) -> bool:
    """Tell whether a frame holds respondents' records or was derived from them without an estimating verb.

    Examples
    --------
    >>> frame = pd.DataFrame({"answer": [1, 2]})
    >>> frame.attrs[RECORDS] = True
    >>> holds_records(frame.head(1)), holds_records(pd.DataFrame({"n": [2]}))
    (True, False)
    """
    return bool(frame.attrs.get(RECORDS, False))


def frame_html(frame: pd.DataFrame) -> str:
    """Return a frame as HTML that is the same on every run: no ids, no style block, six digits."""
    return frame.to_html(index=False, border=0, float_format=_six_digits, na_rep="")


def card_html(rows: Iterable[tuple[str, str]]) -> str:
    """Return headings and texts as a two-column HTML table, flush left, the same on every run."""
    left = "style='text-align:left'"
    lines = [f"<tr><th {left}>{escape(head)}</th><td {left}>{escape(text)}</td></tr>" for head, text in rows]
    return f"<table border='0'><tbody>{''.join(lines)}</tbody></table>"


def _six_digits(value: float) -> str:
    return f"{value:.6g}"


def plain(value: Any) -> Any:
    """Return a value as JSON knows it; not-a-number and infinities become None and text.

    Examples
    --------
    >>> plain(np.float64(0.5)), plain(float("nan")), plain(float("inf")), plain(np.int64(3))
    (0.5, None, 'Infinity', 3)
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, (np.ndarray, list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    return value


@dataclass(frozen=True)
class TestResult:
    """One test: what was tested, the statistic, its reference distribution, the p-value.

    Attributes
    ----------
    test, hypothesis : str
        Name of the test, and the hypothesis it puts in doubt.
    statistic, ndf, ddf, p_value : float
        What is referred to the distribution, its degrees of freedom, and the p-value: NaN where none are left.
    n_obs : int
        Respondents behind it.
    provenance : Provenance
        For captions and manifests.
    distribution : {"F", "t", "chi-squared", "sum of chi-squared"}
        F has ``ndf`` and ``ddf`` degrees of freedom, t has ``ddf``, chi-squared ``ndf``. A sum of ``ndf`` chi-squared
        variables, weighted by ``weights``, is held against a variance estimate of ``ddf`` degrees of freedom.
    deff : float
        Design effect that a chi-squared statistic is divided by before it is referred to its distribution.
    weights : tuple of float
        Of a sum of chi-squared variables, or the design effects behind a correction.
    estimate, std_error, conf_low, conf_high, conf_level : float
        What a t test is about, such as a difference of means; NaN for other tests.
    smallest_group : int or None
        Respondents in the smaller group; below the survey's minimum the estimate is not shown.
    facts : dict
        The hypothesis in parts, so that it can be said in either language: ``kind`` and its columns and codes.
    """

    __test__ = False

    test: str
    hypothesis: str
    statistic: float
    ndf: float
    ddf: float
    p_value: float
    n_obs: int
    provenance: Provenance
    distribution: str = field(default="F", kw_only=True)
    deff: float = field(default=1.0, kw_only=True)
    weights: tuple[float, ...] = field(default=(), kw_only=True)
    estimate: float = field(default=math.nan, kw_only=True)
    std_error: float = field(default=math.nan, kw_only=True)
    conf_low: float = field(default=math.nan, kw_only=True)
    conf_high: float = field(default=math.nan, kw_only=True)
    conf_level: float = field(default=0.95, kw_only=True)
    smallest_group: int | None = field(default=None, kw_only=True)
    facts: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    @property
    def df(self) -> float:
        """The degrees of freedom by which the distribution is called: of t, of chi-squared, else of the numerator."""
        return self.ddf if self.distribution == "t" else self.ndf

    @property
    def mark(self) -> str:
        """Why the estimate may not be shown, empty where it may."""
        smallest = self.n_obs if self.smallest_group is None else self.smallest_group
        if 0 < smallest < self.provenance.min_cell:
            return SMALL_CELL
        return SMALL_BASE if 0 < smallest < self.provenance.min_base else ""

    def tidy(self) -> pd.DataFrame:
        """Return one row: term, statistic, degrees of freedom, p-value, n; an F test by those names alone."""
        row: dict[str, Any] = {"term": self.hypothesis}
        if self.distribution == "t":
            row |= self._estimate_row() | {"statistic": self.statistic, "df": self.ddf}
        elif self.distribution == "chi-squared":
            row |= {"statistic": self.statistic, "deff": self.deff, "df": self.ndf}
        else:
            row |= {"statistic": self.statistic, "ndf": self.ndf, "ddf": self.ddf}
        row |= {"p_value": self.p_value, "n_obs": self.n_obs}
        if self.distribution == "t" and self.mark:
            row["mark"] = self.mark
        return pd.DataFrame([row if self.distribution == "F" else row | {"distribution": self.distribution}])

    def _estimate_row(self) -> dict[str, float]:
        names = ("estimate", "std_error", "conf_low", "conf_high")
        return {name: math.nan if self.mark else getattr(self, name) for name in names}

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        rows = [{name: plain(value) for name, value in self.tidy().iloc[0].items()}]
        return {"verb": "test", "test": self.test, "provenance": self.provenance.to_dict(), "rows": rows}

    def summary(self) -> str:
        """Return the test as text."""
        lines = [f"{self.test}: {self.hypothesis}", f"{self._statistic_text()}, {self._p_text()}, n = {self.n_obs:,}"]
        if self.distribution == "t":
            low, high = f"{self.conf_low:.6g}", f"{self.conf_high:.6g}"
            lines.append(self.mark or f"estimate {self.estimate:.6g}, {self.conf_level:.0%} interval {low} to {high}")
        return "\n".join(lines)

    def _statistic_text(self) -> str:
        if self.distribution == "F":
            return f"F = {self.statistic:.6g} on {self.ndf:.6g} and {self.ddf:.6g} df"
        if self.distribution == "t":
            return f"t = {self.statistic:.6g} on {self.ddf:.6g} df"
        if self.distribution == "chi-squared":
            scaled = f", over a design effect of {self.deff:.6g}," if self.deff != 1 else ""
            return f"X2 = {self.statistic:.6g}{scaled} on {self.ndf:.6g} df"
        return f"X2 = {self.statistic:.6g} against a weighted sum of {self.ndf:.0f} chi-squared, {self.ddf:.6g} df"

    def _p_text(self) -> str:
        return "no p-value" if math.isnan(self.p_value) else f"p = {self.p_value:.3g}"

    def __repr__(self) -> str:
        return self.summary()
