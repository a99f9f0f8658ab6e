"""Means and variances of propensities, overall and between and within cells, with their derivatives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.design.collapse import mass_by

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: A variance of propensities below this is the noise of floating point: there all propensities are equal.
NOISE = 1e-20


@dataclass(frozen=True, eq=False)
class Moment:
    """A function of weights and propensities, with its derivatives.

    Attributes
    ----------
    value : float
    in_weights, in_propensities : ndarray, shape (n,)
        Derivatives in each respondent's weight, the propensities being held, and in each propensity.
    """

    value: float
    in_weights: Floats
    in_propensities: Floats

    def root(self) -> Moment:
        """Return the square root; without derivatives at zero, where it has none."""
        if self.value <= NOISE:
            return Moment(0.0, np.full_like(self.in_weights, np.nan), self.in_propensities)
        value = float(np.sqrt(self.value))
        return Moment(value, self.in_weights / (2 * value), self.in_propensities / (2 * value))

    def over(self, other: Moment) -> Moment:
        """Return the ratio to another one."""
        ratio = self.value / other.value
        return Moment(
            ratio,
            (self.in_weights - ratio * other.in_weights) / other.value,
            (self.in_propensities - ratio * other.in_propensities) / other.value,
        )

    def times_complement(self) -> Moment:
        """Return it times one less it."""
        slope = 1 - 2 * self.value
        return Moment(self.value * (1 - self.value), slope * self.in_weights, slope * self.in_propensities)

    def scaled(self, factor: float, shift: float = 0.0) -> Moment:
        """Return ``shift + factor`` times it."""
        return Moment(shift + factor * self.value, factor * self.in_weights, factor * self.in_propensities)


def mean_of(p: Floats, w: Floats) -> Moment:
    """Return the weighted mean of the propensities ``p`` under weights ``w``, each shape (n,)."""
    total = w.sum()
    mean = float(w @ p / total)
    return Moment(mean, (p - mean) / total, w / total)


def variance_of(p: Floats, w: Floats) -> Moment:
    """Return the weighted variance of ``p``."""
    total = w.sum()
    deviation = p - float(w @ p / total)
    value = float(w @ deviation**2 / total)
    return Moment(value, (deviation**2 - value) / total, 2 * w * deviation / total)


def within(p: Floats, w: Floats, cell: Codes) -> Moment:
    """Return the mean squared deviation of ``p`` from its mean in each cell, shape (n,)."""
    total = w.sum()
    deviation = p - _cell_means(p, w, cell)[cell]
    value = float(w @ deviation**2 / total)
    return Moment(value, (deviation**2 - value) / total, 2 * w * deviation / total)


def between(p: Floats, w: Floats, cell: Codes) -> Moment:
    """Return the variance of the cells' means of ``p``."""
    total, mean = w.sum(), float(w @ p / w.sum())
    means = _cell_means(p, w, cell)[cell]
    gap = means - mean
    value = float(w @ gap**2 / total)
    return Moment(value, (gap**2 + 2 * gap * (p - means) - value) / total, 2 * w * gap / total)


def category_between(p: Floats, w: Floats, inside: Mask) -> Moment:
    """Return the root of a category's share times its mean of ``p`` less that of all."""
    total, own = w.sum(), np.where(inside, w, 0.0)
    size = own.sum()
    share, mean, all_mean = size / total, float(own @ p / size), float(w @ p / total)
    root, gap = float(np.sqrt(share)), mean - all_mean
    moved = np.where(inside, (p - mean) / size, 0.0) - (p - all_mean) / total
    in_weights = (inside - share) / total * gap / (2 * root) + root * moved
    return Moment(root * gap, in_weights, root * (own / size - w / total))


def category_within(p: Floats, w: Floats, inside: Mask, cell: Codes) -> Moment:
    """Return the part of ``within`` that the members of a category make up."""
    total, mass = w.sum(), mass_by(cell, int(cell.max()) + 1, w)
    deviation = p - _cell_means(p, w, cell)[cell]
    own = np.where(inside, w, 0.0)
    value = float(own @ deviation**2 / total)
    with np.errstate(divide="ignore", invalid="ignore"):
        pull = np.where(mass > 0, mass_by(cell, len(mass), own * deviation) / mass, 0.0)[cell]
    in_weights = (np.where(inside, deviation**2, 0.0) - value - 2 * pull * deviation) / total
    return Moment(value, in_weights, (2 * own * deviation - 2 * w * pull) / total)


def _cell_means(p: Floats, w: Floats, cell: Codes) -> Floats:
    n_cells = int(cell.max()) + 1
    with np.errstate(divide="ignore", invalid="ignore"):
        means = mass_by(cell, n_cells, w * p) / mass_by(cell, n_cells, w)
    return np.where(np.isfinite(means), means, 0.0)
