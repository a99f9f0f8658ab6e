"""Replicate weights in factor form: one multiplier per PSU and replicate, never an (n, R) matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evaluation.design.sampling import Sampling
from evaluation.design.variance import ReplicateEngine
from evaluation.errors import DesignError

Floats = NDArray[np.float64]

#: Factors take 8 bytes per PSU and replicate.
MAXIMUM_UNITS = 5_000


@dataclass(frozen=True, eq=False)
class Replicates:
    """Replicates of a design.

    Attributes
    ----------
    factors : ndarray, shape (n_psus, R)
        Multiplier of the design weight of each first-stage unit in each replicate.
    unit : ndarray of int, shape (n,)
        First-stage unit of each respondent.
    engine : ReplicateEngine
        Scales and the covariance.
    """

    factors: Floats
    unit: NDArray[np.int64]
    engine: ReplicateEngine

    @property
    def count(self) -> int:
        """Number of replicates R."""
        return int(self.factors.shape[1])

    def row_factors(self, r: int) -> Floats:
        """Return the multipliers of replicate ``r`` for each respondent, shape (n,)."""
        return np.asarray(self.factors[self.unit, r])

    def degrees_of_freedom(self, present: NDArray[np.bool_]) -> int:
        """Return the rank, less one, of the factors of the units with a row in ``present``.

        R survey takes the rank after weighting, which grows with every margin; the design's own stays.
        """
        units = np.unique(self.unit[present])
        return int(np.linalg.matrix_rank(self.factors[units])) - 1


def make_replicates(sampling: Sampling, weights: Floats, kind: Literal["JK1", "JKn"]) -> Replicates:
    """Make delete-one-PSU jackknife replicates.

    Parameters
    ----------
    sampling : Sampling
        Only its first stage is used.
    weights : ndarray, shape (n,)
        Design weights; a PSU without any still counts.
    kind : {"JK1", "JKn"}
        Without or within strata.

    Returns
    -------
    Replicates

    Raises
    ------
    DesignError
        JK1 of a stratified design, an unknown kind, or more PSUs than replicates are practical for.

    References
    ----------
    Wolter (2007), Introduction to Variance Estimation, chapter 4. R twin: ``survey::as.svrepdesign``.
    """
    first = sampling.stages[0]
    if kind not in ("JK1", "JKn"):
        raise DesignError(f"kind must be 'JK1' or 'JKn', got {kind!r}.")
    if kind == "JK1" and first.n_strata > 1:
        raise DesignError(f"kind='JK1' deletes PSUs across strata, but this design has {first.n_strata}. Use 'JKn'.")
    if first.n_units > MAXIMUM_UNITS:
        raise DesignError(
            f"a jackknife would make one replicate for each of {first.n_units:,} PSUs, expected at most "
            f"{MAXIMUM_UNITS:,}. Keep linearization, which gives the same standard errors at that size."
        )
    n = first.units_per_stratum[first.stratum].astype(float)
    same = first.stratum[:, None] == first.stratum[None, :]
    factors = np.where(same, (n / np.maximum(n - 1, 1))[None, :], 1.0)
    np.fill_diagonal(factors, 0.0)
    deleted = n > 1
    rscales = ((n - 1) / n * (1 - first.fraction[first.stratum]))[deleted]
    return Replicates(factors[:, deleted], first.unit, ReplicateEngine(kind, 1.0, rscales, sampling))
