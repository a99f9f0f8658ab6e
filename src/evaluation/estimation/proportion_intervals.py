"""Intervals of shares: seven ways from an estimate, its standard error and its degrees of freedom to limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from evaluation.errors import EstimationError, did_you_mean
from evaluation.estimation.arguments import require_number
from evaluation.results import Estimates

Floats = NDArray[np.float64]
Interval = Literal["logit", "beta", "wilson", "likelihood", "asin", "xlogit", "t"]

#: Halvings by which a limit of the likelihood interval is found: below the spacing of floating-point numbers.
HALVINGS = 100


def proportion_limits(
    share: Floats,
    std_error: Floats,
    df: Floats,
    n: Floats,
    *,
    drawn: Floats | None = None,
    interval: str = "logit",
    conf_level: float = 0.95,
) -> Floats:
    """Return confidence limits of shares.

    Parameters
    ----------
    share, std_error : ndarray, shape (k,)
        Estimates, 0 to 1, and their design-based standard errors.
    df : ndarray, shape (k,)
        Design degrees of freedom; where they are not positive there is no interval.
    n : ndarray, shape (k,)
        Respondents who answered.
    drawn : ndarray, shape (k,), optional
        Respondents of the domain, whether they answered or not; default ``n``.
    interval : {"logit", "beta", "wilson", "likelihood", "asin", "xlogit", "t"}, default "logit"
        Kind of interval, see Notes.
    conf_level : float, default 0.95
        Between 0 and 1.

    Returns
    -------
    ndarray, shape (k, 2)
        NaN where there is no interval.

    Raises
    ------
    EstimationError
        An unknown kind.

    Notes
    -----
    With :math:`t` the quantile of Student's t on ``df`` and :math:`n_e = p(1-p)/V`, V the design variance, so that
    :math:`n_e` is the size of a simple random sample that would know as much:

    - "logit", "xlogit": :math:`\\mathrm{logit}\\, p \\pm t \\sqrt V / (p(1-p))`, carried back. The two differ in how
      R reaches the same number, not in the number.
    - "beta": Clopper and Pearson's with :math:`n_e (t_{m-1} / t_{df})^2`, m those drawn (Korn and Graubard).
    - "wilson": Wilson's with :math:`n_e` and :math:`t` in the place of the normal quantile.
    - "likelihood": all shares whose binomial log likelihood at size :math:`n_e (n-1)/n` lies within :math:`t^2/2` of
      the largest: the profile of the deviance, scaled by the design effect and Pearson's dispersion. R interpolates
      the profile (relative differences about 1e-4); where answers are missing R's dispersion also takes in the
      weights of those who did not answer, unless they are left out by ``subset``.
    - "asin": :math:`\\arcsin \\sqrt p \\pm t \\sqrt V / (2\\sqrt{p(1-p)})`, carried back, and held at 0 and 1.
    - "t": :math:`p \\pm t \\sqrt V`; it may leave 0 to 1.

    At a share of 0 or 1 the variance is zero and says nothing. "beta", "wilson" and "likelihood" then put the number
    of respondents in the place of :math:`n_e`, as if the design cost nothing; the others have no interval.

    References
    ----------
    Korn and Graubard (1998), Survey Methodology 24, 193-201. Wilson (1927), JASA 22, 209-212. Dean and Pagano (2015),
    Journal of Survey Statistics and Methodology 3, 484-503. R twin: ``survey::svyciprop``.

    Examples
    --------
    >>> one = np.ones(1)
    >>> proportion_limits(0.2 * one, 0.05 * one, 30 * one, 100 * one, interval="beta").round(6).tolist()
    [[0.108117, 0.322808]]
    """
    require_kind(interval)
    share, std_error, df, n, drawn = (
        np.asarray(values, dtype=float) for values in (share, std_error, df, n, n if drawn is None else drawn)
    )
    usable = (df > 0) & np.isfinite(share) & np.isfinite(std_error)
    tail = (1 - conf_level) / 2
    critical = np.asarray(stats.t.isf(tail, np.where(usable, df, np.nan)))
    if interval == "t":
        half = critical * std_error
        return np.column_stack([share - half, share + half])
    edge = (share <= 0) | (share >= 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.where(edge, n, share * (1 - share) / std_error**2)
        known = _Known(share, critical, size, size * (stats.t.isf(tail, drawn - 1) / critical) ** 2, n, tail)
        limits = _LIMITS[interval](known)
    certain = (std_error == 0) & ~edge
    limits[certain] = share[certain, None]
    limits[~usable | (edge & (interval in WITHOUT_EDGES))] = np.nan
    return limits


def require_kind(interval: str) -> None:
    """Raise an EstimationError unless ``interval`` is a kind of interval for shares."""
    if interval not in KINDS:
        raise EstimationError(
            f"interval must be one of {', '.join(KINDS)}, got {interval!r}. {did_you_mean(interval, KINDS)}"
        )


def require_df(df: float | None, verb: str) -> None:
    """Raise an EstimationError unless given degrees of freedom are a number above zero, infinity included."""
    if df is not None:
        require_number(df, f"{verb}: df", above=0, infinite=True, move="Leave it out for those of the design.")


def with_proportion_interval(estimates: Estimates, interval: str, drawn: NDArray[np.int64]) -> Estimates:
    """Return estimates of shares with limits of the kind asked for; ``drawn`` counts the respondents of each domain."""
    limits = proportion_limits(
        estimates.estimate,
        estimates.std_error,
        estimates.df,
        estimates.n_obs.astype(float),
        drawn=drawn.astype(float),
        interval=interval,
        conf_level=estimates.conf_level,
    )
    return replace(estimates, interval=None if interval == "t" else limits, interval_method=interval)


@dataclass(frozen=True, eq=False)
class _Known:
    """What limits are made of: share, quantile of t, effective size, the same corrected for df, n, and one tail."""

    share: Floats
    critical: Floats
    size: Floats
    corrected: Floats
    n: Floats
    tail: float


def _logit(known: _Known) -> Floats:
    half = known.critical / np.sqrt(known.size * known.share * (1 - known.share))
    centre = special.logit(known.share)
    return np.column_stack([special.expit(centre - half), special.expit(centre + half)])


def _asin(known: _Known) -> Floats:
    half = known.critical / (2 * np.sqrt(known.size))
    centre = np.arcsin(np.sqrt(known.share))
    angles = np.clip(np.column_stack([centre - half, centre + half]), 0.0, np.pi / 2)
    return np.asarray(np.sin(angles) ** 2)


def _beta(known: _Known) -> Floats:
    ones, zeros = known.corrected * known.share, known.corrected * (1 - known.share)
    low = np.where(ones > 0, special.betaincinv(ones, zeros + 1, known.tail), 0.0)
    high = np.where(zeros > 0, special.betaincinv(ones + 1, zeros, 1 - known.tail), 1.0)
    return np.column_stack([low, high])


def _wilson(known: _Known) -> Floats:
    squared = known.critical**2
    centre = known.size * known.share + squared / 2
    half = known.critical * np.sqrt(known.size * known.share * (1 - known.share) + squared / 4)
    limits = np.column_stack([centre - half, centre + half]) / (known.size + squared)[:, None]
    return np.asarray(np.clip(limits, 0.0, 1.0))


def _likelihood(known: _Known) -> Floats:
    share = known.share
    allowed = known.critical**2 / (2 * known.size) * known.n / (known.n - 1)
    sides = []
    for end in (np.zeros_like(share), np.ones_like(share)):
        inside, outside = share.copy(), end
        for _ in range(HALVINGS):
            middle = (inside + outside) / 2
            near = special.rel_entr(share, middle) + special.rel_entr(1 - share, 1 - middle) <= allowed
            inside, outside = np.where(near, middle, inside), np.where(near, outside, middle)
        sides.append(np.where(share == end, end, inside))
    return np.column_stack(sides)


_LIMITS: dict[str, Callable[[_Known], Floats]] = {
    "logit": _logit,
    "xlogit": _logit,
    "asin": _asin,
    "beta": _beta,
    "wilson": _wilson,
    "likelihood": _likelihood,
}
KINDS: tuple[str, ...] = get_args(Interval)
#: Kinds that rest on a number of respondents, which negative weights leave no sense to.
BY_SIZE = ("beta", "wilson", "likelihood")
#: Kinds that have no limits at a share of 0 or 1.
WITHOUT_EDGES = ("logit", "xlogit", "asin")
