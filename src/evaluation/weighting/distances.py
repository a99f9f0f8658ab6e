"""Distances of calibration: by what function of its auxiliaries a weight is multiplied, within which bounds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from evaluation.design.collapse import Floats
from evaluation.errors import WeightingError, did_you_mean

Distance = Literal["linear", "raking", "logit"]
Bounds = tuple[float, float]

#: exp() is cut off here, far beyond any use, so that nothing overflows.
LARGEST_EXPONENT = 300.0
#: A factor this close to a bound, relative to it, lies on it.
ROUNDING = 1e-13


@dataclass(frozen=True)
class Adjustment:
    """The factor ``F(u)`` of a weight as a function of ``u = x'b / v``, and its slope.

    Attributes
    ----------
    distance : {"linear", "raking", "logit"}
        ``1 + u``; ``exp(u)``; or a logistic curve between the bounds.
    bounds : (float, float) or None
        Lowest and highest factor. Linear and raking are cut off there, logit approaches them.

    Notes
    -----
    Logit, with bounds L and U and :math:`A = (U - L) / ((1 - L)(U - 1))`:

    .. math:: F(u) = \\frac{L(U - 1) + U(1 - L) e^{Au}}{(U - 1) + (1 - L) e^{Au}}

    References
    ----------
    Deville and Särndal (1992), JASA 87, 376-382, table 1: cases 1 (linear), 2 (raking), 6 (logit) and 7 (truncated
    linear). R twins: ``survey::cal.linear``, ``cal.raking``, ``cal.logit``.
    """

    distance: Distance = "linear"
    bounds: Bounds | None = None

    @property
    def limits(self) -> Bounds:
        """Lowest and highest factor that the distance can give."""
        if self.bounds is not None:
            return self.bounds
        return (-math.inf, math.inf) if self.distance == "linear" else (0.0, math.inf)

    def factor(self, u: Floats) -> Floats:
        """Return the factors F(u), shape (n,)."""
        if self.distance == "logit":
            low, high = self.limits
            odds = _odds(u, low, high)
            return np.asarray(low + (high - low) * odds / (1 + odds))
        free = 1 + u if self.distance == "linear" else np.exp(np.minimum(u, LARGEST_EXPONENT))
        return free if self.bounds is None else np.clip(free, *self.bounds)

    def slope(self, factor: Floats) -> Floats:
        """Return F'(u) where ``factor`` is F(u), shape (n,); zero for factors that are cut off at a bound."""
        low, high = self.limits
        if self.distance == "logit":
            return np.clip((factor - low) * (high - factor) / ((1 - low) * (high - 1)), 0.0, None)
        free = np.ones_like(factor) if self.distance == "linear" else factor
        if self.bounds is None:
            return free
        # A factor found again by dividing output by input weights is off by rounding.
        inside = (factor - low > ROUNDING * np.abs(factor)) & (high - factor > ROUNDING * np.abs(factor))
        return np.where(inside, free, 0.0)


def _odds(u: Floats, low: float, high: float) -> Floats:
    steep = (high - low) / ((1 - low) * (high - 1))
    return np.asarray((1 - low) / (high - 1) * np.exp(np.clip(steep * u, -LARGEST_EXPONENT, LARGEST_EXPONENT)))


def adjustment(distance: Any, bounds: Any = None) -> Adjustment:
    """Return the adjustment that a distance and bounds stand for.

    Parameters
    ----------
    distance : {"linear", "raking", "logit"}
    bounds : (float, float), optional
        Lowest and highest factor; ``lo < 1 < hi``. Logit needs them.

    Raises
    ------
    WeightingError
        The distance is unknown, or the bounds are no pair around 1.

    Examples
    --------
    >>> adjustment("logit", (0.5, 2)).factor(np.array([-50.0, 0.0, 50.0])).tolist()
    [0.5, 1.0, 2.0]
    """
    if distance not in get_args(Distance):
        raise WeightingError(
            f"distance must be 'linear', 'raking' or 'logit', got {distance!r}. "
            f"{did_you_mean(distance, get_args(Distance))}"
        )
    if bounds is None:
        if distance == "logit":
            raise WeightingError("distance='logit' needs bounds, the lowest and highest factor, e.g. bounds=(0.5, 2).")
        return Adjustment(distance)
    return Adjustment(distance, _checked(bounds, distance))


def _checked(bounds: Any, distance: Distance) -> Bounds:
    try:
        low, high = (float(bound) for bound in bounds)
    except (TypeError, ValueError):
        raise WeightingError(
            f"bounds must be two numbers, the lowest and highest factor of a weight, got {bounds!r}. "
            f"Write bounds=(0.5, 2)."
        ) from None
    if not low < 1 < high:
        raise WeightingError(
            f"bounds must lie around 1, the factor of a weight that stays as it is, got ({low:g}, {high:g}). "
            f"Where all weights have to grow, scale them to the population first with ev.normalise_weights."
        )
    if distance == "raking" and low < 0:
        raise WeightingError(
            f"bounds=({low:g}, {high:g}): the raking distance never gives a factor below 0. Use (0, {high:g})."
        )
    if distance == "logit" and not (math.isfinite(low) and math.isfinite(high)):
        raise WeightingError(f"bounds=({low:g}, {high:g}): the logit distance needs two finite bounds.")
    return low, high
