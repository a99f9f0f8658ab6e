"""Curves of an effect over the dose: splines, or means by class of dose, with what they owe to each effect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline

from evaluation.errors import EstimationError, IdentificationError

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]

#: Smallest share of the largest singular value at which a spline is still determined.
DETERMINED = 1e-10


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of a curve and their derivatives.

    Attributes
    ----------
    value : ndarray, shape (k,)
    slope : ndarray, shape (k, I)
        In each effect.
    own : ndarray, shape (k, I)
        In each weight, effects held.
    """

    value: Floats
    slope: Floats
    own: Floats


@dataclass(frozen=True, eq=False)
class Curve:
    """A way to draw effects over doses.

    Attributes
    ----------
    doses : ndarray, shape (q,)
        At which the curve is told.
    fit : callable
        ``fit(dose, weight, effect)``, shapes (I,), returns the ``Rows``: mean effect, mean causal response, effects at
        ``doses``, causal responses at ``doses``.
    """

    doses: Floats
    fit: Callable[[Floats, Floats, Floats], Rows]

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return 2 + 2 * len(self.doses)


def spline_curve(dose: Floats, degree: int, n_knots: int, doses: Sequence[float] | None) -> Curve:
    """Return a B-spline with interior knots at quantiles of the doses.

    Parameters
    ----------
    dose : ndarray, shape (I,)
        Doses that were observed.
    degree : int
        1 linear, 3 cubic.
    n_knots : int
        Interior knots.
    doses : sequence of float, optional
        Where the curve is told; default the nine deciles.

    Raises
    ------
    EstimationError
        A dose lies outside those observed.
    IdentificationError
        There are fewer distinct doses than coefficients.
    """
    low, high, different = float(dose.min()), float(dose.max()), len(np.unique(dose))
    needed = degree + n_knots + 1
    if different < needed:
        lower = f"degree={different - 1} and knots=0, or " if different > 1 else ""
        raise IdentificationError(
            f"dose_did: {different} different doses cannot carry a curve of {needed} coefficients (degree {degree}, "
            f"{n_knots} knots). Use {lower}classes of dose with bins=[...]."
        )
    deciles = np.clip(np.round(np.quantile(dose, np.arange(1, 10) / 10), 3), low, high)
    at = np.unique(deciles) if doses is None else np.asarray(doses, dtype=float)
    if at.ndim != 1 or not len(at) or not ((at >= low) & (at <= high)).all():
        raise EstimationError(
            f"dose_did: doses at which the curve is told must lie among those observed, {low:g} to {high:g}, got "
            f"{doses!r}. Beyond them the curve would be made up."
        )
    inner = np.quantile(dose, np.arange(1, n_knots + 1) / (n_knots + 1))
    knots = np.concatenate([np.repeat(low, degree + 1), inner, np.repeat(high, degree + 1)])
    spline = BSpline(knots, np.eye(needed), degree)
    bend = spline.derivative()

    def fit(d: Floats, n: Floats, effect: Floats) -> Rows:
        return _spline_rows(spline(d), bend(d), np.vstack([spline(at), bend(at)]), n, effect)

    return Curve(at, fit)


def _spline_rows(basis: Floats, bend: Floats, asked: Floats, n: Floats, effect: Floats) -> Rows:
    total = n.sum()
    squares = basis.T @ (n[:, None] * basis)
    scale = np.sqrt(np.clip(squares.diagonal(), 1e-300, None))
    size = np.linalg.eigvalsh(squares / np.outer(scale, scale))
    if size[0] <= DETERMINED * size[-1]:
        nothing = np.full((2 + len(asked), len(n)), np.nan)
        return Rows(np.full(2 + len(asked), np.nan), nothing, nothing)
    inverse = np.linalg.inv(squares)
    beta = inverse @ (basis.T @ (n * effect))
    mean, response = float(n @ effect / total), bend @ beta
    mean_bend = n @ bend / total
    loads = np.vstack([mean_bend, asked]) @ inverse @ basis.T
    slope, own = loads * n, loads * (effect - basis @ beta)
    own[0] += (response - mean_bend @ beta) / total
    return Rows(
        np.concatenate([[mean, mean_bend @ beta], asked @ beta]),
        np.vstack([n / total, slope]),
        np.vstack([(effect - mean) / total, own]),
    )


def class_curve(dose: Floats, bins: Sequence[float]) -> Curve:
    """Return means by class of dose; ``bins`` are the limits, each class above its lower and up to its upper one.

    Raises
    ------
    EstimationError
        Limits do not ascend, or do not hold all doses.
    IdentificationError
        A class has no dose.
    """
    edges = np.asarray(bins, dtype=float)
    if edges.ndim != 1 or len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise EstimationError(f"dose_did: bins are ascending limits such as [0, 0.5, 1], got {bins!r}.")
    if (dose <= edges[0]).any() or (dose > edges[-1]).any():
        raise EstimationError(
            f"dose_did: bins from {edges[0]:g} (exclusive) to {edges[-1]:g} do not hold all doses of treated places, "
            f"{dose.min():g} to {dose.max():g}. Widen them."
        )
    empty = np.bincount(_classes(dose, edges), minlength=len(edges) - 1) == 0
    if empty.any():
        j = int(np.flatnonzero(empty)[0])
        raise IdentificationError(
            f"dose_did: no treated place has a dose above {edges[j]:g} and up to {edges[j + 1]:g}. Merge that class."
        )

    def fit(d: Floats, n: Floats, effect: Floats) -> Rows:
        return _class_rows(_classes(d, edges), len(edges) - 1, d, n, effect)

    return Curve(np.round((edges[1:] + edges[:-1]) / 2, 12), fit)


def _classes(dose: Floats, edges: Floats) -> Codes:
    return np.searchsorted(edges, dose, side="left") - 1


def _class_rows(code: Codes, q: int, dose: Floats, n: Floats, effect: Floats) -> Rows:
    """Return means by class, and steps between neighbouring classes per unit of dose; the first from no dose."""
    member = (code == np.arange(q)[:, None]).astype(float)
    mass, total = member @ n, n.sum()
    if not (mass > 0).all():
        nothing = np.full((2 + 2 * q, len(n)), np.nan)
        return Rows(np.full(2 + 2 * q, np.nan), nothing, nothing)
    mean, level = member @ (n * effect) / mass, member @ (n * dose) / mass
    share = mass / total
    by_effect = member * n / mass[:, None]
    by_mass = member * (effect - mean[:, None]) / mass[:, None]
    level_by_mass = member * (dose - level[:, None]) / mass[:, None]
    share_by_mass = (member - share[:, None]) / total
    gap = np.diff(level, prepend=0.0)
    step = np.diff(mean, prepend=0.0) / gap

    def stepped(rows: Floats) -> Floats:
        return np.asarray(np.diff(rows, axis=0, prepend=np.zeros((1, rows.shape[1]))) / gap[:, None])

    step_effect, step_mass = stepped(by_effect), stepped(by_mass) - step[:, None] * stepped(level_by_mass)
    return Rows(
        np.concatenate([[share @ mean, share @ step], mean, step]),
        np.vstack([share @ by_effect, share @ step_effect, by_effect, step_effect]),
        np.vstack(
            [share @ by_mass + mean @ share_by_mass, share @ step_mass + step @ share_by_mass, by_mass, step_mass]
        ),
    )
