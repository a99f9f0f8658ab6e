"""The one variance engine: contributions per sampling unit in, covariance out.

Whatever the estimator, its influence function arrives here summed per unit of the last
variance-bearing stage (Taylor linearization), or as one estimate per replicate.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evaluation.design.collapse import sum_by
from evaluation.design.lonely import stage_covariance
from evaluation.design.sampling import Sampling

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TaylorEngine:
    """Linearization variance of a stratified multistage design.

    Notes
    -----
    With :math:`t_{hi}` the contribution of unit i in stratum h, :math:`f_h = n_h / N_h`,

    .. math:: V = \\sum_h (1 - f_h) \\frac{n_h}{n_h - 1} \\sum_i (t_{hi} - \\bar t_h)(t_{hi} - \\bar t_h)'
              + \\sum_h f_h \\sum_i V_{hi}

    where :math:`V_{hi}` is the same expression one stage further down, inside unit i. Where units of a first
    stage have probabilities of their own, :math:`f_h` is each unit's (Brewer), or the first line is the quadratic
    form of their joint probabilities.

    References
    ----------
    Särndal, Swensson and Wretman (1992), Model Assisted Survey Sampling, result 4.3.1. Brewer (2002), Combined
    Survey Sampling Inference, chapter 9. R twin: ``survey::svyrecvar``.
    """

    sampling: Sampling
    chain: str = "exact"

    @property
    def method(self) -> str:
        """Name of the method, with unequal probabilities and the convention by which weighting steps enter it."""
        chain = "" if self.chain == "exact" else f"{self.chain} chain"
        said = ", ".join(filter(None, (self.sampling.rules.name, chain)))
        return f"taylor ({said})" if said else "taylor"

    def covariance(self, contributions: Floats) -> Floats:
        """Return the ``(k, k)`` covariance of contributions of shape ``(n_units, k)``."""
        stages, rules = self.sampling.stages, self.sampling.rules
        totals = [contributions]
        for upper, lower in zip(stages[-2::-1], stages[:0:-1], strict=True):
            totals.insert(0, sum_by(lower.stratum, upper.n_units, totals[0]))
        k = contributions.shape[1]
        covariance = np.zeros((k, k))
        inherited = np.ones(stages[0].n_strata)
        for stage, sums in zip(stages, totals, strict=True):
            covariance += stage_covariance(stage, sums, inherited, rules, first=stage is stages[0])
            inherited = inherited[stage.stratum] * stage.unit_fraction
        return covariance


@dataclass(frozen=True, eq=False)
class ReplicateEngine:
    """Variance of replicate estimates.

    Attributes
    ----------
    kind : str
        Which replicates, e.g. ``"JK1"``.
    scale : float
        Factor of the whole sum.
    rscales : ndarray, shape (R,)
        Factor of each replicate.
    sampling : Sampling
        What they were made from.
    mse : bool
        Deviations are taken from the full sample's estimate instead of the mean of the replicates.
    """

    kind: str
    scale: float
    rscales: Floats
    sampling: Sampling
    mse: bool = field(default=False, kw_only=True)

    @property
    def method(self) -> str:
        """Name of the method."""
        return f"replicates ({self.kind})"

    def covariance(self, contributions: Floats) -> Floats:
        """Return the ``(k, k)`` covariance of replicate estimates, the full sample's last, shape (R + 1, k).

        Centred at the mean of the replicates that count, or with ``mse`` at the full sample's estimate.
        """
        replicates, full = contributions[:-1], contributions[-1]
        centred = replicates - (full if self.mse else replicates[self.rscales > 0].mean(axis=0))
        return np.asarray(self.scale * (centred * self.rscales[:, None]).T @ centred)
