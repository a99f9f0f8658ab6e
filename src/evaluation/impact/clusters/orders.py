"""Other orders in which the same places could have been reached: all of them where they are few, else seeded draws."""

from __future__ import annotations

from math import factorial, prod

import numpy as np
from numpy.typing import NDArray

from evaluation.errors import EstimationError, IdentificationError

Floats = NDArray[np.float64]

#: Most orders that are enumerated.
MOST = 200_000


def number_of_orders(cohorts: Floats) -> int:
    """Return in how many ways the same dates can fall on other places.

    Parameters
    ----------
    cohorts : ndarray, shape (G,)
        First treated period of each place, infinite for never.

    Examples
    --------
    >>> number_of_orders(np.array([2015.0, 2015.0, 2016.0, np.inf]))
    12
    """
    _, sizes = np.unique(cohorts, return_counts=True)
    return factorial(len(cohorts)) // prod(map(factorial, sizes.tolist()))


def orders(cohorts: Floats, draws: object, seed: int | None, verb: str) -> tuple[Floats, bool]:
    """Return orders of a roll-out, shape (B, G), the actual one first, and whether they are all there are.

    Parameters
    ----------
    cohorts : ndarray, shape (G,)
    draws : int or "all"
        All orders are enumerated where they are no more than this; else so many are drawn beside the actual one.
    seed : int or None
    verb : str

    Examples
    --------
    >>> made, is_all = orders(np.array([1.0, 2.0, 2.0]), 99, None, "randomization_inference")
    >>> made.tolist(), is_all
    ([[1.0, 2.0, 2.0], [2.0, 1.0, 2.0], [2.0, 2.0, 1.0]], True)
    """
    every = number_of_orders(cohorts)
    if every < 2:
        raise IdentificationError(f"{verb}: all places are treated from the same period, so there is no other order.")
    if draws != "all" and (isinstance(draws, bool) or not isinstance(draws, (int, np.integer)) or int(draws) < 99):
        raise EstimationError(f"{verb}: draws must be 'all' or a number of at least 99, got {draws!r}.")
    if draws == "all" and every > MOST:
        raise EstimationError(
            f"{verb}: draws='all' would be {every:,} orders of {len(cohorts)} places, more than {MOST:,}. Name a "
            f"number, such as draws=999, and a seed."
        )
    if draws == "all" or every <= int(draws):
        return _every(cohorts), True
    random = np.random.default_rng(seed)
    drawn = random.permuted(np.tile(cohorts, (int(draws), 1)), axis=1)
    return np.concatenate([cohorts[None, :], drawn]), False


def _every(cohorts: Floats) -> Floats:
    """Return all orders, the actual one first, the others sorted."""
    values, code = np.unique(cohorts, return_inverse=True)
    partial, left = np.zeros((1, 0), dtype=np.int64), np.bincount(code)[None, :]
    for _ in range(len(cohorts)):
        at, value = np.nonzero(left > 0)
        partial = np.concatenate([partial[at], value[:, None]], axis=1)
        left = left[at].copy()
        left[np.arange(len(at)), value] -= 1
    own = (partial == code).all(axis=1)
    return np.asarray(values[np.concatenate([partial[own], partial[~own]])])
