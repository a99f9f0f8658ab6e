"""Sandwich errors corrected for leverage (CR2, CR3), and Satterthwaite's degrees of freedom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from evaluation.errors import EstimationError
from evaluation.impact.absorbed.fixed_effects import Regression, part_of

Floats = NDArray[np.float64]

#: Directions of the model that carry less than this share are not there.
RANK = 1e-12
#: Eigenvalues of a cluster's share of the residual maker below this are zero: the cluster alone determines them.
NOTHING = 1e-9
#: Columns that a cluster's correction may have.
MOST_COLUMNS = 600


@dataclass(frozen=True, eq=False)
class Corrected:
    """Scores per cluster corrected for leverage, and what Satterthwaite's degrees of freedom need.

    Attributes
    ----------
    scores : ndarray, shape (G, k)
    own : ndarray, shape (G, k, k)
        Squares of what multiplies the residuals.
    plain, weighted : ndarray, shape (G, k, q)
        Its products with the model's columns, and with those times the weights.
    solver, middle : ndarray, shape (q, q)
        Inverse of the model's weighted squares, and the same with the squares of the weights in between.
    """

    scores: Floats
    own: Floats
    plain: Floats
    weighted: Floats
    solver: Floats
    middle: Floats

    def degrees_of_freedom(self, combine: Floats) -> Floats:
        """Return Satterthwaite's degrees of freedom of combinations of coefficients, shape (r, k), as shape (r,).

        Notes
        -----
        :math:`(\\mathrm{tr} P)^2 / \\mathrm{tr}(P^2)` with :math:`P_{gh}` the covariance of the corrected scores of
        two clusters where residuals are independent and of equal variance.
        """
        return np.array([self._of(row) for row in combine])

    def _of(self, row: Floats) -> float:
        plain, weighted = (np.einsum("j,gjq->gq", row, each) for each in (self.plain, self.weighted))
        crossed = plain @ self.solver @ weighted.T
        p = np.diag(np.einsum("j,gjl,l->g", row, self.own, row)) - crossed - crossed.T + plain @ self.middle @ plain.T
        squared = float((p**2).sum())
        return float(np.trace(p) ** 2 / squared) if squared > 0 else float("nan")


def corrected(verb: str, regression: Regression, residual: Floats, kind: str, small_sample: str) -> Corrected:
    """Return the scores of a linear regression corrected for leverage.

    Parameters
    ----------
    verb : str
    regression : Regression
        Rows ordered by cluster.
    residual : ndarray, shape (n,)
    kind : {"CR0", "CR1", "CR2", "CR3"}
        The first two correct nothing.
    small_sample : {"nonnested", "all", "clusters"}
        Whether effects nested in the cluster are taken out first, or stand in the model as dummies ("all").

    Returns
    -------
    Corrected

    Raises
    ------
    EstimationError
        Too many effects stand in the model.

    Notes
    -----
    The working model has independent residuals of equal variance, also under weights. CR2 multiplies a cluster's
    residuals by the symmetric root of the pseudo-inverse of their covariance share, CR3 by the inverse of
    :math:`I - H_{gg}`. Both differ from the identity only in the space of the model's columns, so a matrix of the
    size of the cluster is never made.

    References
    ----------
    Bell and McCaffrey (2002), Survey Methodology 28, 169-181; Pustejovsky and Tipton (2018), Journal of Business and
    Economic Statistics 36, 672-683. R twin: ``clubSandwich::vcovCR``, for "nonnested" after the effects were
    projected out.
    """
    nested = [role for role in regression.absorbed if small_sample != "all" and regression.is_nested(role)]
    crossing = [role for role in regression.absorbed if role not in nested]
    k, q = len(regression.terms), len(regression.terms) + sum(len(regression.labels[role]) for role in crossing)
    if q > MOST_COLUMNS:
        raise EstimationError(
            f"{verb}: {q - k:,} effects lie across the clusters of '{regression.names['cluster']}', and a correction "
            f"for leverage takes at most {MOST_COLUMNS - k}. Name a cluster within which units lie, or use "
            f"vcov='jackknife'."
        )
    squares, double = np.zeros((q, q)), np.zeros((q, q))
    for _, weights, columns in _clusters(regression, nested, crossing):
        squares += (columns.T * weights) @ columns
        double += (columns.T * weights**2) @ columns
    solver = _scaled_pseudo_inverse(squares)
    middle = solver @ double @ solver
    parts = []
    for rows, weights, columns in _clusters(regression, nested, crossing):
        parts.append(_one(columns, weights, residual[rows], solver, middle, kind, k))
    scores, own, plain, weighted = (np.stack(each) for each in zip(*parts, strict=True))
    return Corrected(scores, own, plain, weighted, solver, middle)


def _clusters(regression: Regression, nested: list[str], crossing: list[str]) -> Iterator[tuple[slice, Floats, Floats]]:
    """Give rows, weights and model columns, (n_g, q), of each cluster, nested effects taken out."""
    code, g = regression.levels["cluster"], len(regression.labels["cluster"])
    for start, end in pairwise(np.searchsorted(code, np.arange(g + 1))):
        rows = slice(int(start), int(end))
        columns = [regression.columns[1:, rows].T]
        for role in crossing:
            columns.append(
                (regression.levels[role][rows, None] == np.arange(len(regression.labels[role]))).astype(float)
            )
        if regression.trend is not None and regression.sloped in crossing:
            found = regression.codes("time")
            slope = regression.trend[found[0][rows]] if found is not None else np.zeros(end - start)
            at = crossing.index(regression.sloped) + 1
            columns[at] = np.hstack([columns[at], columns[at] * slope[:, None]])
        model = np.hstack(columns)
        yield rows, regression.weights[rows], _less(regression, nested, rows, model) if nested else model


def _less(regression: Regression, nested: list[str], rows: slice, model: Floats) -> Floats:
    """Return a cluster's model columns less its nested effects."""
    here = np.zeros(len(regression.rows), dtype=bool)
    here[rows] = True
    kept = [*nested, "cluster"]
    trend = regression.trend if regression.sloped in nested else None
    beside = dict(regression.beside)
    labels = dict(regression.beside_labels)
    if trend is not None and "time" in regression.levels and "time" not in nested:
        beside["time"], labels["time"] = regression.levels["time"], regression.labels["time"]
    small = replace(
        regression,
        columns=regression.columns[:1],
        terms=[],
        levels={role: regression.levels[role] for role in kept},
        labels={role: regression.labels[role] for role in kept},
        trend=trend,
        beside=beside,
        beside_labels=labels,
    )
    part = part_of(small, here)
    effects = part.effects(part.weights)
    return np.stack([effects.sweep(column) for column in model.T], axis=1)


def _scaled_pseudo_inverse(squares: Floats) -> Floats:
    diagonal = np.diag(squares)
    scale = 1 / np.sqrt(np.where(diagonal > RANK * diagonal.max(), diagonal, np.inf))
    values, vectors = np.linalg.eigh(scale[:, None] * squares * scale)
    there = values > RANK * len(values)
    root = scale[:, None] * vectors[:, there]
    return np.asarray((root / values[there]) @ root.T)


def _one(
    columns: Floats, weights: Floats, residual: Floats, solver: Floats, middle: Floats, kind: str, k: int
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return scores, (k,), their squares, (k, k), and products with columns, (k, q), of one cluster."""
    scaled = weights[:, None] * columns
    multiplier = solver[:k] @ scaled.T
    if kind in ("CR2", "CR3"):
        multiplier = multiplier + _correction(columns, scaled, multiplier, solver, middle, kind)
    return multiplier @ residual, multiplier @ multiplier.T, multiplier @ columns, multiplier @ scaled


def _orthonormal(columns: Floats) -> Floats:
    """Return an orthonormal basis of columns of length one: from their squares, twice for accuracy."""
    for least in (1e-12, 0.5):
        values, vectors = np.linalg.eigh(columns.T @ columns)
        kept = values > least
        columns = columns @ (vectors[:, kept] / np.sqrt(values[kept]))
    return columns


def _correction(
    columns: Floats, scaled: Floats, multiplier: Floats, solver: Floats, middle: Floats, kind: str
) -> Floats:
    """Return what a cluster's correction adds to what multiplies its residuals, shape (k, n_g)."""
    there = np.flatnonzero((columns != 0).any(axis=0))
    both = np.hstack([columns[:, there], scaled[:, there]])
    length = np.linalg.norm(both, axis=0)
    both /= length
    basis = _orthonormal(both)
    turned = (basis.T @ both) * length
    half = turned[:, : len(there)], turned[:, len(there) :]
    inner_solver, inner_middle = solver[np.ix_(there, there)], middle[np.ix_(there, there)]
    hat = half[0] @ inner_solver @ half[1].T
    if kind == "CR3":
        root = np.linalg.pinv(np.eye(len(hat)) - hat, rcond=NOTHING)
    else:
        share = np.eye(len(hat)) - hat - hat.T + half[0] @ inner_middle @ half[0].T
        values, vectors = np.linalg.eigh((share + share.T) / 2)
        power = np.where(values > NOTHING, 1 / np.sqrt(np.where(values > NOTHING, values, 1.0)), 0.0)
        root = (vectors * power) @ vectors.T
    inside = multiplier @ basis
    return np.asarray((inside @ (root - np.eye(len(root)))) @ basis.T)
