"""Raking with every weight kept within bounds of its own: the dual problem, solved by a damped Newton method."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evaluation.design.collapse import Floats
from evaluation.design.columns import Columns

#: Totals are met to this precision, relative to their size.
TOLERANCE = 1e-11
MAXIMUM_STEPS = 300
#: Damping of the first step, in units of the squares of the auxiliaries, and how it falls and rises.
DAMPING, LESS, MORE = 1e-4, 0.2, 5.0
#: Beyond this the multiplier has run away: no weights within the bounds meet the totals.
LARGEST_MULTIPLIER = 1e6
LARGEST_DAMPING = 1e15


def raked_within(x: Columns, weights: Floats, totals: Floats, lower: float, upper: float) -> Floats | None:
    """Return the weights within bounds that meet totals and are nearest by the raking distance, shape (n,).

    Parameters
    ----------
    x : Columns, n rows, q columns
        Auxiliaries.
    weights : ndarray, shape (n,), zero and above
        Those of zero stay zero.
    totals : ndarray, shape (q,)
    lower, upper : float
        Bounds of the weights that are not zero; infinite ``upper`` for none.

    Returns
    -------
    ndarray or None
        None where no weights within the bounds meet the totals.

    Notes
    -----
    The weights are :math:`w_i(b) = \\min(\\max(w_i e^{x_i'b}, l), u)` with b the minimum of the convex function
    :math:`\\sum_i \\int^{x_i'b} w_i - T'b`, which has none where bounds and totals exclude each other.
    """
    scale = np.sqrt(np.diag(x.gram(weights)))
    scale = np.where(scale > 0, scale, 1.0)
    size = np.maximum(np.abs(totals), scale * np.sqrt(weights.sum()) * 1e-2)
    problem = _Dual(x, weights, totals, lower, upper)
    problem = _Dual(x, weights, totals, lower, upper)
    b, damping = np.zeros(len(totals)), DAMPING
    value, reached, short = problem.at(b)
    for _ in range(MAXIMUM_STEPS):
        miss = float(np.max(np.abs(short) / size))
        if miss <= TOLERANCE:
            return reached
        inside = np.where((reached > lower) & (reached < upper), reached, 0.0)
        gram = x.gram(inside) / np.outer(scale, scale)
        move = np.linalg.lstsq(gram + damping * np.eye(len(b)), short / scale, rcond=None)[0] / scale
        tried = problem.at(b + move)
        # Close to the minimum the value no longer tells steps apart, the miss of the totals still does.
        if tried[0] < value or np.max(np.abs(tried[2]) / size) < miss:
            b, damping = b + move, damping * LESS
            value, reached, short = tried
        else:
            damping *= MORE
        if np.max(np.abs(b)) > LARGEST_MULTIPLIER or damping > LARGEST_DAMPING:
            return None
    return None


@dataclass(frozen=True, eq=False)
class _Dual:
    x: Columns
    weights: Floats
    totals: Floats
    lower: float
    upper: float

    def at(self, b: Floats) -> tuple[float, Floats, Floats]:
        """Return the value of the dual function at ``b``, the weights there, shape (n,), and what totals miss."""
        u = self.x.times(b[:, None])[:, 0]
        some = self.weights > 0
        w, u = self.weights[some], u[some]
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            free = w * np.exp(np.minimum(u, 300.0))
            low, high = np.log(self.lower / w), np.log(self.upper / w)
            below, above = free < self.lower, free > self.upper
            value = np.where(below, self.lower * (1 + u - low), np.where(above, self.upper * (1 + u - high), free))
        found = np.zeros(len(self.weights))
        found[some] = np.clip(free, self.lower, self.upper)
        short = self.totals - self.x.moments(found[:, None])[:, 0]
        return float(value.sum() - self.totals @ b), found, short
