"""Weights of the wild bootstrap: every combination of signs where they are few, else seeded draws."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evaluation.errors import EstimationError, did_you_mean

Floats = NDArray[np.float64]
Weights = Literal["rademacher", "webb"]

#: Values that a cluster's weight takes, each as likely.
VALUES = {
    "rademacher": np.array([-1.0, 1.0]),
    "webb": np.array([-np.sqrt(1.5), -1.0, -np.sqrt(0.5), np.sqrt(0.5), 1.0, np.sqrt(1.5)]),
}
#: Combinations made at once; bounds the memory.
BLOCK = 1 << 16
#: Most combinations that are enumerated.
MOST = 1 << 22


def number_of_draws(weights: str, n_clusters: int, draws: object, verb: str) -> tuple[int, bool]:
    """Return how many draws there will be, and whether they are all there are.

    Examples
    --------
    >>> number_of_draws("rademacher", 12, 9999, "wild_cluster_bootstrap")
    (4096, True)
    >>> number_of_draws("webb", 12, 9999, "wild_cluster_bootstrap")
    (9999, False)
    """
    if weights not in VALUES:
        raise EstimationError(f"{verb}: no weights {weights!r}. {did_you_mean(weights, VALUES)}")
    every = len(VALUES[weights]) ** n_clusters
    if draws == "all":
        if every > MOST:
            raise EstimationError(
                f"{verb}: draws='all' would be {every:,} combinations of {n_clusters} clusters, more than {MOST:,}. "
                f"Name a number, such as draws=9999, and a seed."
            )
        return every, True
    if isinstance(draws, bool) or not isinstance(draws, (int, np.integer)) or not 99 <= int(draws) <= MOST:
        raise EstimationError(f"{verb}: draws must be 'all' or a number from 99 to {MOST:,}, got {draws!r}.")
    return (every, True) if every <= int(draws) else (int(draws), False)


def multipliers(
    weights: str, n_clusters: int, n_draws: int, seed: int | None, *, all_of_them: bool
) -> Iterator[Floats]:
    """Give the weights of the clusters in blocks of draws, each of shape (b, G).

    Examples
    --------
    >>> next(multipliers("rademacher", 2, 4, None, all_of_them=True)).tolist()
    [[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]]
    """
    values, random = VALUES[weights], np.random.default_rng(seed)
    power = len(values) ** np.arange(n_clusters if all_of_them else 0, dtype=np.int64)
    for first, last in pairwise([*range(0, n_draws, BLOCK), n_draws]):
        if all_of_them:
            yield values[np.arange(first, last)[:, None] // power % len(values)]
        else:
            yield values[random.integers(0, len(values), size=(last - first, n_clusters))]
