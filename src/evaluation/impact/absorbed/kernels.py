"""Scores that are correlated across clusters, places or time: two-way clusters, Conley, Newey-West, Driscoll-Kraay."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.design.collapse import compact, sum_by
from evaluation.design.contributions import DomainContributions
from evaluation.design.design import Design
from evaluation.design.variance import TaylorEngine
from evaluation.errors import ColumnError, EstimationError
from evaluation.impact.absorbed.fixed_effects import Regression
from evaluation.impact.absorbed.rules import Rule, Uncertainty, constant, parameters, require_clusters
from evaluation.impact.clusters.jackknife import cluster_sampling

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

#: Kilometres per degree of latitude.
DEGREE_KM = 111.0
#: Places between which distances are held.
MOST_PLACES = 6_000


@dataclass(frozen=True, eq=False)
class ScoreSums(TaylorEngine):
    """Variance engine of scores summed per group, some of which are correlated.

    Attributes
    ----------
    rule : str
        Name and arguments of the rule.
    kernel : ndarray, shape (P, P) or (P,)
        Weight of each pair of groups, or of each group with itself.
    lags : int or None
        Groups are times in order, of ``waves`` each: pairs at most so far apart count, the nearer the more.
    waves : int
    """

    rule: str = ""
    kernel: Floats = field(default_factory=lambda: np.ones(1), repr=False)
    lags: int | None = None
    waves: int = 1

    @property
    def method(self) -> str:
        """Name of the rule."""
        return self.rule

    def plain(self, contributions: Floats | DomainContributions) -> Floats:
        """Return the covariance before negative eigenvalues are set to zero."""
        scores = np.asarray(contributions, dtype=float)
        if self.lags is not None:
            return _serial(scores, self.lags, self.waves)
        product = self.kernel @ scores if self.kernel.ndim == 2 else self.kernel[:, None] * scores
        return np.asarray(scores.T @ product)

    def covariance(self, contributions: Floats | DomainContributions) -> Floats:
        """Return the ``(k, k)`` covariance of ``(P, k)`` scores, negative eigenvalues set to zero."""
        return repaired(self.plain(contributions))


def repaired(matrix: Floats) -> Floats:
    """Return a symmetric matrix with its negative eigenvalues set to zero; unchanged where there are none."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    if (values >= 0).all():
        return matrix
    return np.asarray((vectors * np.maximum(values, 0.0)) @ vectors.T)


def _serial(scores: Floats, lags: int, waves: int) -> Floats:
    """Return Bartlett-weighted squares of scores, rows being units by waves."""
    table = scores.reshape(-1, waves, scores.shape[1])
    total = np.einsum("utj,utk->jk", table, table, optimize=True)
    for lag in range(1, min(lags, waves - 1) + 1):
        crossed = np.einsum("utj,utk->jk", table[:, lag:], table[:, :-lag], optimize=True)
        total = total + (1 - lag / (lags + 1)) * (crossed + crossed.T)
    return np.asarray(total)


def _told(engine: ScoreSums, contributions: Floats) -> dict[str, Any]:
    """Return what is said of a repair: how many eigenvalues, and the errors without it (None where not a number)."""
    plain = engine.plain(contributions)
    negative = int((np.linalg.eigvalsh((plain + plain.T) / 2) < 0).sum())
    variances = np.diag(plain)
    errors = [float(np.sqrt(value)) if value >= 0 else float("nan") for value in variances]
    told: dict[str, Any] = {"n_eigenvalues_repaired": negative, "std_error_unrepaired": errors}
    if (variances < 0).any():
        told["without_error_unrepaired"] = "variance below zero: the matrix is indefinite"
    return told


def _placed(design: Design, regression: Regression, codes: Codes) -> Codes:
    every = np.full(len(design), -1, dtype=np.int64)
    every[regression.rows] = codes
    return every


def _uncertain(engine: ScoreSums, contributions: Floats, df: float, told: dict[str, Any]) -> Uncertainty:
    vcov = engine.covariance(contributions)
    return Uncertainty(vcov, engine, contributions, constant(df), told={**told, **_told(engine, contributions)})


def two_way_clusters(
    verb: str, design: Design, regression: Regression, scores: Floats, rule: Rule, residual_df: float
) -> Uncertainty:
    """Return the uncertainty under clusters of two kinds.

    Parameters
    ----------
    scores : ndarray, shape (n, k)

    Notes
    -----
    Squares of sums by either cluster less those by both, times G/(G-1) of the smaller number G of clusters, with t
    on G - 1 degrees of freedom (Cameron, Gelbach and Miller 2011; the convention of ``fixest``).
    """
    first, second = regression.levels["cluster"], regression.beside["cluster 2"]
    labels = [regression.labels["cluster"], regression.beside_labels["cluster 2"]]
    for name, each in zip(rule.clusters, labels, strict=True):
        require_clusters(verb, name, each)
    sizes = [len(each) for each in labels]
    both, found = compact(first * sizes[1] + second, sizes[0] * sizes[1])
    least, factor, small = min(sizes), 1.0, "none"
    if rule.kind == "CR1":
        factor = least / (least - 1)
        small = f"min(G)/(min(G)-1), min(G) = {least}"
        if rule.small_sample != "clusters":
            n, k = len(regression.rows), parameters(regression, rule.small_sample, [first, second])
            factor *= _rows_factor(verb, n, k)
            counted = "all effects counted" if rule.small_sample == "all" else "effects nested in a cluster not counted"
            small = f"(n-1)/(n-{k}) {small}, {counted}"
    sums = [sum_by(code, size, scores) for code, size in ((first, sizes[0]), (second, sizes[1]), (both, len(found)))]
    sign = np.repeat([1.0, 1.0, -1.0], [len(each) for each in sums])
    named = f"{rule.kind}, two-way clusters ({', '.join(rule.clusters)}: {sizes[0]} and {sizes[1]})"
    sampling = cluster_sampling(design.data, ", ".join(rule.clusters), _placed(design, regression, both), len(found))
    engine = ScoreSums(sampling, rule=named, kernel=sign)
    told = {
        "cluster": ", ".join(rule.clusters),
        "n_clusters": least,
        "n_clusters_each": dict(zip(rule.clusters, sizes, strict=True)),
        "small_sample": small,
    }
    df = {"clusters": least - 1.0, "residual": residual_df, "normal": np.inf}[rule.df]
    return _uncertain(engine, np.vstack(sums) * np.sqrt(factor), df, told)


def _rows_factor(verb: str, n: int, k: int) -> float:
    if n <= k:
        raise EstimationError(f"{verb}: {n} rows leave no degrees of freedom beside {k} parameters.")
    return (n - 1) / (n - k)


def serial(
    verb: str, design: Design, regression: Regression, scores: Floats, rule: Rule, residual_df: float
) -> Uncertainty:
    """Return the uncertainty under errors correlated over time, within units (Newey-West) or across (Driscoll-Kraay).

    Notes
    -----
    Bartlett weights 1 - l/(L+1); rows of one unit and wave are summed first; waves follow each other whatever the
    years between them. Factor (n-1)/(n-K) T/(T-1) with all effects counted, t on T - 1 (``fixest``).
    """
    found = regression.codes("time")
    units = regression.codes("unit")
    if found is None or (rule.kind == "newey_west" and units is None):
        raise EstimationError(f"{verb}: vcov='newey_west' needs unit=..., the column whose rows follow each other.")
    time, waves = found[0], len(found[1])
    if waves < FEWEST_WAVES:
        raise EstimationError(f"{verb}: vcov='{rule.kind}' needs at least {FEWEST_WAVES} waves, got {waves}.")
    if int(rule.lags or 0) >= waves:
        raise EstimationError(
            f"{verb}: vcov='{rule.kind}' with lags={rule.lags}, but '{regression.names['time']}' has {waves} waves: "
            f"lags from 0 to {waves - 1} can be counted, and far fewer than that should."
        )
    own, n_units = (np.zeros(len(time), dtype=np.int64), 1)
    if rule.kind == "newey_west" and units is not None:
        own, n_units = units[0], len(units[1])
    n, k = len(regression.rows), parameters(regression, "all", [])
    factor = _rows_factor(verb, n, k) * waves / (waves - 1)
    lags = int(rule.lags or 0)
    sums = sum_by(own * waves + time, n_units * waves, scores) * np.sqrt(factor)
    named = "Newey-West" if rule.kind == "newey_west" else "Driscoll-Kraay"
    cell = _placed(design, regression, own * waves + time)
    sampling = cluster_sampling(design.data, rule.kind, cell, n_units * waves)
    engine = ScoreSums(sampling, rule=f"{named}, {lags} lags", lags=lags, waves=waves)
    told = {"small_sample": f"(n-1)/(n-{k}) T/(T-1), T = {waves}, all effects counted", "lags": lags, "n_waves": waves}
    df = {"clusters": waves - 1.0, "residual": residual_df, "normal": np.inf}[rule.df]
    return _uncertain(engine, sums, df, told)


#: With fewer waves nothing is known of correlation over time.
FEWEST_WAVES = 3


def spatial(
    verb: str, design: Design, regression: Regression, scores: Floats, rule: Rule, residual_df: float
) -> Uncertainty:
    """Return the uncertainty under errors correlated within a distance, each pair counting in full (Conley).

    Notes
    -----
    Distances are 111 km times the root of the squared differences of degrees, longitude scaled by the cosine of the
    mean latitude. Factor n/(n-K) with all effects counted; negative eigenvalues are set to zero (``fixest``).
    """
    latitude, longitude = (_degrees(verb, design, name, regression) for name in rule.coordinates or ("", ""))
    points, place = np.unique(np.column_stack([latitude, longitude]), axis=0, return_inverse=True)
    if len(points) > MOST_PLACES:
        raise EstimationError(
            f"{verb}: {len(points):,} different places, expected at most {MOST_PLACES:,}. Round the coordinates "
            f"(0.01 degrees are about 1 km), or use those of the dong."
        )
    n, k = len(regression.rows), parameters(regression, "all", [])
    factor = _rows_factor(verb, n, k) * n / (n - 1)
    apart = distances(points)
    near = apart <= float(rule.cutoff or 0.0)
    if near.all():
        raise EstimationError(
            f"{verb}: vcov='conley' with cutoff={rule.cutoff:g} km, and every place lies within it of every other "
            f"({len(points):,} places, at most {apart.max():.1f} km apart): the scores of all sum to zero, and so "
            f"would the error. Take a smaller cutoff, or vcov='jackknife' with a cluster."
        )
    code = place.ravel().astype(np.int64)
    sums = sum_by(code, len(points), scores) * np.sqrt(factor)
    named = f"Conley, uniform kernel, {rule.cutoff:g} km"
    sampling = cluster_sampling(design.data, "conley", _placed(design, regression, code), len(points))
    engine = ScoreSums(sampling, rule=named, kernel=near.astype(float))
    told = {
        "small_sample": f"n/(n-{k}), all effects counted",
        "cutoff_km": rule.cutoff,
        "n_places": len(points),
        "mean_neighbours": float(near.sum(axis=1).mean() - 1),
    }
    return _uncertain(engine, sums, residual_df if rule.df == "residual" else np.inf, told)


def distances(points: Floats) -> Floats:
    """Return the kilometres between places.

    Parameters
    ----------
    points : ndarray, shape (P, 2)
        Latitude and longitude in degrees.

    Examples
    --------
    >>> distances(np.array([[37.0, 127.0], [38.0, 127.0]])).tolist()
    [[0.0, 111.0], [111.0, 0.0]]
    """
    latitude, longitude = points.T
    north = latitude[:, None] - latitude
    east = (longitude[:, None] - longitude) * np.cos(np.radians((latitude[:, None] + latitude) / 2))
    return np.asarray(DEGREE_KM * np.hypot(north, east))


def _degrees(verb: str, design: Design, name: str, regression: Regression) -> Floats:
    column = design.column(name)
    try:
        values = column.to_numpy(dtype=float, na_value=np.nan)[regression.rows]
    except (TypeError, ValueError):
        raise ColumnError(f"{verb}: coordinate '{name}' is text, expected degrees as numbers.") from None
    wrong = ~(np.abs(values) <= 360)
    if wrong.any():
        raise ColumnError(
            f"{verb}: coordinate '{name}' is missing or beyond 360 degrees in {int(wrong.sum())} rows used. "
            f"Fill it in, or take a domain without them.",
            failures=design.data.iloc[regression.rows[wrong]],
        )
    return values
