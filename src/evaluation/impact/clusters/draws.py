"""What a statistic would have been: draws as a function of the null, p-values with ties, an interval by inversion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Statistics nearer to each other than this share of their size are equal: rounding differs, the draws do not.
TIE = 1e-9
#: A variance below this share of the largest is none.
NO_VARIANCE = 1e-18
#: Bisections of a limit; each halves what is left of it.
HALVINGS = 60
#: So many standard errors away an interval is taken to have no end.
FARTHEST = 1e6


@dataclass(frozen=True, eq=False)
class PValues:
    """Shares of draws beyond what was observed.

    Attributes
    ----------
    strict, weak : float
        Two-sided, draws as large as the observed one not counted and counted.
    equal_tailed : float
        Twice the smaller tail, ties not counted.
    lower, upper : float
        Of draws that are as small or smaller, and as large or larger, than the observed one.
    n_ties, n_missing : int
        Draws as large as the observed one, and draws without a statistic.
    """

    strict: float
    weak: float
    equal_tailed: float
    lower: float
    upper: float
    n_ties: int
    n_missing: int


@dataclass(frozen=True, eq=False)
class Draws:
    """Statistics of B draws as a function of ``a``, the estimate less the value under the null.

    Attributes
    ----------
    constant, slope : ndarray, shape (B,)
        The numerator is ``constant + a * slope``.
    squares : ndarray, shape (3, B), or None
        The squared denominator is ``squares[0] + 2 a squares[1] + a**2 squares[2]``; None for 1.
    """

    constant: Floats
    slope: Floats
    squares: Floats | None = None

    def at(self, a: float) -> Floats:
        """Return the statistics, shape (B,); NaN where there is none."""
        numerator = self.constant + a * self.slope
        if self.squares is None:
            return numerator
        square = self.squares[0] + 2 * a * self.squares[1] + a * a * self.squares[2]
        none = square <= NO_VARIANCE * float(np.nanmax(square, initial=0.0))
        return np.where(none, np.nan, numerator / np.sqrt(np.where(none, 1.0, square)))


def p_values(observed: float, draws: Floats) -> PValues:
    """Return the shares of draws beyond an observed statistic.

    Parameters
    ----------
    observed : float
    draws : ndarray, shape (B,)
        NaN is left out.

    Examples
    --------
    >>> found = p_values(2.0, np.array([-2.0, 1.0, 2.0 + 1e-15, 3.0]))
    >>> found.strict, found.weak, found.upper, found.n_ties
    (0.25, 0.75, 0.5, 2)
    """
    there = draws[np.isfinite(draws)]
    missing = len(draws) - len(there)
    if not len(there) or not np.isfinite(observed):
        nothing = float("nan")
        return PValues(nothing, nothing, nothing, nothing, nothing, 0, missing)
    near = TIE * max(abs(observed), float(np.median(np.abs(there))))
    distance, size = there - observed, np.abs(there) - abs(observed)
    above, below = float((distance > near).mean()), float((distance < -near).mean())
    tied = np.abs(size) <= near
    strict = float((size > near).mean())
    return PValues(
        strict,
        float((size >= -near).mean()),
        min(1.0, 2 * min(above, below)),
        float((distance <= near).mean()),
        float((distance >= -near).mean()),
        int(tied.sum()),
        missing,
    )


def invert(accepted: Callable[[float], bool], estimate: float, step: float) -> tuple[float, float]:
    """Return the ends of the values around an estimate that a test does not reject.

    Parameters
    ----------
    accepted : callable
        Whether a value is not rejected; true at the estimate.
    estimate : float
    step : float
        Positive; a fraction of the standard error.

    Returns
    -------
    tuple of float
        Infinite where no value is rejected on that side; NaN twice where the estimate itself is.

    Notes
    -----
    From the estimate outward until a value is rejected, then halved: the boundary of the connected part around the
    estimate.

    Examples
    --------
    >>> [round(end, 6) for end in invert(lambda value: abs(value - 1) < 2, 1.0, 0.1)]
    [-1.0, 3.0]
    """
    if not accepted(estimate) or not step > 0:
        return float("nan"), float("nan")
    return _end(accepted, estimate, -step), _end(accepted, estimate, step)


def _end(accepted: Callable[[float], bool], inside: float, step: float) -> float:
    start, outside = inside, inside + step
    while accepted(outside):
        if abs(outside - start) > FARTHEST * abs(step):
            return float(np.inf * np.sign(step))
        inside, outside = outside, outside + max(abs(step), 0.1 * abs(outside - start)) * np.sign(step)
    for _ in range(HALVINGS):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if accepted(middle) else (inside, middle)
    return float((inside + outside) / 2)
