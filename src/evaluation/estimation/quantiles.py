"""Quantiles by domain: twelve rules, and intervals by inverting the distribution function or by replicates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from evaluation.design.design import Design, require_design
from evaluation.design.variance import ReplicateEngine
from evaluation.errors import EstimationError, did_you_mean
from evaluation.estimation.arguments import is_number, require_conf_level
from evaluation.estimation.curves import Rule, SortedAnswers, require_rule
from evaluation.estimation.domains import Cells, Outcomes, cells_by, counts, degrees_of_freedom, outcomes_of
from evaluation.estimation.proportion_intervals import proportion_limits, require_df
from evaluation.estimation.totals import domain_totals, ratios
from evaluation.results import Estimates

Floats = NDArray[np.float64]
Index = NDArray[np.int64]
QuantileInterval = Literal["mean", "xlogit", "beta", "asin", "score", "score_roots", "quantile"]


def survey_quantile(
    design: Design,
    variables: str | Sequence[str],
    *,
    probabilities: float | Sequence[float] = (0.25, 0.5, 0.75),
    by: str | Sequence[str] | None = None,
    rule: Rule = "math",
    interval: QuantileInterval = "mean",
    df: float | None = None,
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate population quantiles of numeric variables.

    Parameters
    ----------
    design : Design
        Any design.
    variables : str or list of str
        Numeric columns.
    probabilities : float or sequence of float, default (0.25, 0.5, 0.75)
        Each between 0 and 1.
    by : str or list of str, optional
        Columns whose combinations are the domains.
    rule : {"math", "school", "shahvaish", "hf1", "hf2", ..., "hf9"}, default "math"
        How a probability is turned into a value where it falls between two answers. "math" and "hf1": the smallest
        value y with :math:`\\hat F(y) \\ge p`; "school" and "hf2": the mean of two neighbours where p is hit exactly;
        "hf3" to "hf9": those of Hyndman and Fan with cumulated weights; "shahvaish": R's rule of that name, the only
        one that changes when all weights are multiplied by a constant.
    interval : {"mean", "xlogit", "beta", "asin", "score", "score_roots", "quantile"}, default "mean"
        "mean" (Woodruff), "xlogit", "beta", "asin": limits of the share :math:`\\hat F(\\hat q)`, each as
        ``survey_prop`` would give them, carried back by ``rule``. "score_roots": values at which the score test of
        :math:`F(y) = p` just rejects; "score": the same as R reports it. "quantile": from the quantiles of each
        replicate, for designs with replicates; consistent for bootstrap and BRR, not for the jackknife.
    df : float, optional
        Degrees of freedom instead of the domain's.
    conf_level : float, default 0.95
        Of the interval.

    Returns
    -------
    Estimates
        ``level`` holds the probability. Limits need not lie symmetrically; ``std_error`` is the
        interval's length over twice its t quantile. A limit beyond the data is NaN, as is
        the quantile of a domain in which nobody answered. There is no
        influence function, so quantiles cannot be contrasted; those of ``interval="quantile"`` can, by their
        replicates.

    Raises
    ------
    EstimationError
        A probability outside 0 to 1, nobody answered, weights below zero, an unknown rule or interval,
        ``interval="quantile"`` without replicates or "score" with them.

    Notes
    -----
    The interval inverts the same distribution function, by the same rule, as the estimate. R reads the roots of the
    score test back by their unweighted rank ("score"), which moves the limits where weights are unequal; the roots
    themselves ("score_roots") are Francisco and Fuller's interval. Two more differences from R: below the share of the
    smallest answer every rule gives that answer (R the second one, or what lies beyond it on a line), and respondents
    without weight are never counted.

    References
    ----------
    Woodruff (1952), JASA 47, 635-646. Hyndman and Fan (1996), American Statistician 50, 361-365. Francisco and Fuller
    (1991), Annals of Statistics 19, 454-469. R twin: ``survey::svyquantile`` (4.1 and later).

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"y": [1.0, 2.0, 3.0, 4.0]})
    >>> survey_quantile(survey_design(respondents), "y", probabilities=0.5).estimate.tolist()
    [2.0]
    >>> survey_quantile(survey_design(respondents), "y", probabilities=0.5, rule="school").estimate.tolist()
    [2.5]
    """
    require_design(design, "survey_quantile")
    asked, conf_level = _probabilities(probabilities), require_conf_level(conf_level, "survey_quantile")
    require_rule(rule)
    require_df(df, "survey_quantile")
    _require_interval(design, interval)
    design.require_no_negative_weights("survey_quantile")
    outcomes = outcomes_of(design, variables, listwise=False, verb="survey_quantile")
    cells = cells_by(design, by)
    made = [_Variable.of(design, outcomes, cells, j, asked, rule, df, conf_level) for j in range(len(outcomes.names))]
    plain = Estimates(
        verb="survey_quantile",
        keys=_keys(outcomes, asked, cells),
        estimate=np.concatenate([one.values.ravel() for one in made]),
        vcov=np.empty((0, 0)),
        df=np.concatenate([one.spread(one.df) for one in made]),
        n_obs=np.concatenate([one.spread(one.n) for one in made]).astype(np.int64),
        provenance=design.provenance,
        conf_level=conf_level,
    )
    return _by_replicates(plain, made) if interval == "quantile" else _inverted(plain, made, interval)


def _probabilities(probabilities: Any) -> Floats:
    several = isinstance(probabilities, Iterable) and not isinstance(probabilities, (str, Mapping))
    given = list(probabilities) if several and np.ndim(probabilities) else [probabilities]
    if not given or not all(is_number(p) and 0 < float(p) < 1 for p in given):
        raise EstimationError(
            f"survey_quantile: probabilities must lie between 0 and 1, got {given}. The median is probabilities=0.5."
        )
    if len(set(given)) < len(given):
        raise EstimationError(f"survey_quantile: probabilities holds a number twice: {given}. Name each once.")
    return np.array(given, dtype=float)


def _require_interval(design: Design, interval: str) -> None:
    known = get_args(QuantileInterval)
    if interval not in known:
        raise EstimationError(
            f"interval must be one of {', '.join(known)}, got {interval!r}. {did_you_mean(interval, known)}"
        )
    if interval == "quantile" and design.replicates is None:
        raise EstimationError(
            "interval='quantile' takes the quantiles of replicates, but this design has none. Make them with "
            "ev.as_replicates(design, kind='bootstrap', ...), or take interval='mean'."
        )
    if interval.startswith("score") and design.replicates is not None:
        raise EstimationError(
            f"interval='{interval}' is for designs without replicates. Take interval='mean', or 'quantile', which uses "
            f"the quantiles of the replicates."
        )


@dataclass(frozen=True, eq=False)
class _Variable:
    """One variable: its sorted answers, its quantiles of shape (P, D), and what its intervals need."""

    design: Design
    cells: Cells
    column: Floats
    answered: NDArray[np.bool_]
    answers: SortedAnswers
    probabilities: Floats
    rule: str
    values: Floats
    df: Floats
    n: Floats
    conf_level: float

    @classmethod
    def of(
        cls,
        design: Design,
        outcomes: Outcomes,
        cells: Cells,
        j: int,
        probabilities: Floats,
        rule: str,
        df: float | None,
        conf_level: float,
    ) -> _Variable:
        column, answered = outcomes.values[:, j], outcomes.answered[:, j]
        answers = SortedAnswers.of(design, column, answered, cells)
        free = degrees_of_freedom(design, cells, answered) if df is None else np.full(len(cells), df)
        return cls(
            *(design, cells, column, answered, answers, probabilities, rule),
            *(answers.quantiles(probabilities, rule), free.astype(float)),
            *(counts(design, cells, answered).astype(float), conf_level),
        )

    def spread(self, by_domain: Floats) -> Floats:
        """Return a number of each domain, shape (D,), for every row of the result, shape (P * D,)."""
        return np.tile(by_domain, len(self.probabilities))

    @property
    def critical(self) -> Floats:
        """Quantile of t of each row, shape (P * D,); NaN where no degrees of freedom are left."""
        df = self.spread(self.df)
        return np.asarray(stats.t.ppf((1 + self.conf_level) / 2, np.where(df > 0, df, np.nan)))

    def share_at(self, values: Floats) -> tuple[Floats, Floats]:
        """Return the shares at or below ``values``, shape (P, D), and their standard errors, each (P * D,)."""
        p, d = values.shape
        own = np.clip(self.cells.code, 0, None)
        columns = np.empty((len(self.design), p + 1))
        for k in range(p):
            columns[:, k] = (self.column <= values[k][own]) & self.answered
        columns[:, p] = self.answered
        totals = domain_totals(self.design, columns, self.cells)
        cell, asked = np.arange(d)[None, :], np.arange(p)[:, None]
        below = np.broadcast_to(cell * (p + 1) + p, (p, d)).ravel()
        made = ratios(totals, (cell * (p + 1) + asked).ravel(), below)
        variance = np.diag(self.design.engine.covariance(made.contributions))
        return made.estimate, np.sqrt(np.clip(variance, 0.0, None))

    def values_at(self, shares: Floats) -> Floats:
        """Return the values at shares of shape (P * D, 2), by the rule of the estimate."""
        by_domain = shares.reshape(len(self.probabilities), len(self.cells), 2)
        curves = self.answers.curves(self.answers.weights)
        found = [curve.quantiles(by_domain[:, d], self.rule) for d, curve in enumerate(curves)]
        return np.stack(found, axis=1).reshape(shares.shape)


def _inverted(plain: Estimates, made: list[_Variable], interval: str) -> Estimates:
    maker = _score_limits if interval.startswith("score") else _share_limits
    limits = np.vstack([maker(one, interval) for one in made])
    critical = np.concatenate([one.critical for one in made])
    length = limits[:, 1] - limits[:, 0]
    error = np.divide(length, 2 * critical, out=np.full(len(plain), np.nan), where=critical > 0)
    vcov = np.full((len(plain), len(plain)), np.nan)
    np.fill_diagonal(vcov, error**2)
    name = "woodruff" if interval == "mean" else interval
    method = f"{'score' if interval.startswith('score') else 'woodruff'}, {made[0].design.engine.method}"
    return replace(plain, vcov=vcov, interval=limits, interval_method=name, method=method)


def _share_limits(one: _Variable, interval: str) -> Floats:
    share, error = one.share_at(one.values)
    kind = "t" if interval == "mean" else interval
    n = one.spread(one.n)
    limits = proportion_limits(share, error, one.spread(one.df), n, interval=kind, conf_level=one.conf_level)
    # Where everybody lies at or below the estimate the variance is zero and tells nothing about the limits.
    limits[share >= 1 - 1e-12] = np.nan
    return one.values_at(limits)


def _score_limits(one: _Variable, interval: str) -> Floats:
    """Return the answers at which the score test of each probability just rejects, shape (P * D, 2)."""
    bounds = [sign * one.critical.reshape(one.values.shape) for sign in (1, -1)]
    roots = [_root(one, bound) for bound in bounds]
    if interval == "score_roots":
        return np.column_stack([root.ravel() for root in roots])
    ranks = [_rank(one, root, bound).ravel() for root, bound in zip(roots, bounds, strict=True)]
    return one.values_at(np.column_stack(ranks))


def _rank(one: _Variable, root: Floats, bound: Floats) -> Floats:
    """Return the unweighted share of answers up to a root, as R has it, shape (P, D).

    The score jumps at the root; R's search ends on the side of the jump where it is nearer to its bound.
    """
    parts = [one.answers.values[part] for part in one.answers.slices()]
    below, upto, before = np.zeros(root.shape), np.zeros(root.shape), np.full(root.shape, -np.inf)
    for k, d in np.ndindex(root.shape):
        first, after = np.searchsorted(parts[d], root[k, d]), np.searchsorted(parts[d], root[k, d], side="right")
        below[k, d], upto[k, d] = first, after
        before[k, d] = parts[d][first - 1] if first else -np.inf
    gaps = []
    for values in (before, root):
        share, error = one.share_at(values)
        with np.errstate(divide="ignore", invalid="ignore"):
            score = (one.probabilities[:, None] - share.reshape(root.shape)) / error.reshape(root.shape)
        gaps.append(np.abs(score - bound))
    chosen = np.where(gaps[0] < gaps[1], below, upto)
    sizes = np.array([max(len(part), 1) for part in parts])
    return np.where(np.isnan(root), np.nan, chosen / sizes)


def _root(one: _Variable, bound: Floats) -> Floats:
    """Return the smallest answer whose score, (p - F) over its standard error, is at most ``bound``, shape (P, D).

    By halving the ranks of the answers of all domains and probabilities at once.
    """
    shape, starts = one.values.shape, one.answers.starts
    low = np.broadcast_to(starts[:-1], shape).copy()
    high = np.broadcast_to(starts[1:] - 1, shape).copy()
    some = np.isfinite(bound) & (high >= low)
    while (some & (low < high)).any():
        middle = (low + high) // 2
        share, error = one.share_at(one.answers.values[np.clip(middle, 0, len(one.answers.values) - 1)])
        gap = one.probabilities[:, None] - share.reshape(shape)
        passed = gap <= bound * error.reshape(shape)
        low, high = np.where(passed, low, np.minimum(middle + 1, high)), np.where(passed, middle, high)
    found = one.answers.values[np.clip(low, 0, len(one.answers.values) - 1)]
    return np.where(some, found, np.nan)


def _by_replicates(plain: Estimates, made: list[_Variable]) -> Estimates:
    design = made[0].design
    replicated = [one.answers.replicated_quantiles(one.probabilities, one.rule) for one in made]
    contributions = np.hstack([values.reshape(len(values), -1) for values in replicated])
    engine = design.engine
    jackknife = isinstance(engine, ReplicateEngine) and engine.kind.startswith("JK")
    method = f"{engine.method}, not consistent for quantiles" if jackknife else ""
    return replace(
        plain, vcov=engine.covariance(contributions), engine=engine, contributions=contributions, method=method
    )


def _keys(outcomes: Outcomes, probabilities: Floats, cells: Cells) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"term": name, "level": f"{p:g}", **by}
            for name in outcomes.names
            for p in probabilities
            for by in cells.keys.to_dict("records")
        ]
    )
