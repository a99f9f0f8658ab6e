"""The one variance engine: contributions per sampling unit in, covariance out.

Whatever the estimator, its influence function arrives here summed per unit of the last
variance-bearing stage (Taylor linearization), or as one estimate per replicate.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from evaluation.design.collapse import sum_by
from evaluation.design.contributions import DomainContributions, is_plain, side_by_side
from evaluation.design.lonely import stage_covariance
from evaluation.design.sampling import Sampling
from evaluation.errors import ReplicateWarning

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
    form of their joint probabilities. Frames that were drawn independently add up.

    With totals of covariance :math:`V_T` that another sample estimated, :math:`\\beta' V_T \\beta` is added,
    :math:`\\beta` being the derivative of the estimate in the totals; ``outside`` holds roots of :math:`V_T`.

    References
    ----------
    Särndal, Swensson and Wretman (1992), Model Assisted Survey Sampling, result 4.3.1. Brewer (2002), Combined
    Survey Sampling Inference, chapter 9. R twin: ``survey::svyrecvar``.
    """

    sampling: Sampling
    chain: str = "exact"
    outside: tuple[Floats, ...] = field(default=(), kw_only=True)

    @property
    def method(self) -> str:
        """Name of the method, with unequal probabilities and the convention by which weighting steps enter it."""
        chain = "" if self.chain == "exact" else f"{self.chain} chain"
        said = ", ".join(filter(None, (self.sampling.rules.name, chain)))
        return f"taylor ({said})" if said else "taylor"

    def covariance(self, contributions: Floats | DomainContributions) -> Floats:
        """Return the ``(k, k)`` covariance of contributions of shape ``(n_units, k)``.

        Further rows are contributions of totals that other samples estimated, each of variance 1 and independent.
        """
        if isinstance(contributions, DomainContributions):
            if len(contributions) == self.sampling.n_units and is_plain(self.sampling):
                return contributions.covariance(self.sampling.stages[0])
            contributions = np.asarray(contributions)
        own, others = np.split(contributions, [self.sampling.n_units])
        covariance = _covariance(self.sampling, own)
        return covariance + others.T @ others if len(others) else covariance

    def joined(self, engines: Sequence[TaylorEngine], contributions: Sequence[Floats]) -> tuple[TaylorEngine, Floats]:
        """Put contributions of engines of one sample side by side, with a common engine.

        Rows of totals that were estimated elsewhere are matched by their source, shape (n_units + rows, k).
        """
        if not any(engine.outside for engine in engines):
            return self, side_by_side(contributions)
        sources: list[Floats] = []
        for engine in engines:
            sources += [own for own in engine.outside if not any(np.array_equal(own, known) for known in sources)]
        n, blocks = self.sampling.n_units, []
        for engine, rows in zip(engines, contributions, strict=True):
            split = np.split(rows, n + np.cumsum([0, *(own.shape[1] for own in engine.outside)]))
            by_source = [
                next(
                    (part for own, part in zip(engine.outside, split[1:-1], strict=True) if np.array_equal(own, known)),
                    np.zeros((known.shape[1], rows.shape[1])),
                )
                for known in sources
            ]
            blocks.append(np.vstack([split[0], *by_source]))
        return replace(self, outside=tuple(sources)), np.hstack(blocks)


def _covariance(sampling: Sampling, contributions: Floats) -> Floats:
    k = contributions.shape[1]
    covariance = np.zeros((k, k))
    if sampling.parts:
        for part in sampling.parts:
            covariance += _covariance(part.sampling, contributions[part.units])
        return covariance
    stages, rules = sampling.stages, sampling.rules
    totals = [contributions]
    for upper, lower in zip(stages[-2::-1], stages[:0:-1], strict=True):
        totals.insert(0, sum_by(lower.stratum, upper.n_units, totals[0]))
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
    note : str
        What else must be known to get the same replicates again, e.g. ``"500, seed 1"``.

    Notes
    -----
    With estimates :math:`\\theta_r` and centre c, :math:`V = s \\sum_r s_r (\\theta_r - c)(\\theta_r - c)'`.
    A replicate without an estimate (a small domain can be empty in it) is left out, and the sum raised by
    :math:`\\sum_r s_r` over that of the rest, with a warning. There is no variance where no more than half are left,
    nor under a jackknife: an estimate that hangs on one unit has no jackknife error. R leaves such replicates out
    and raises nothing.
    """

    kind: str
    scale: float
    rscales: Floats
    sampling: Sampling
    mse: bool = field(default=False, kw_only=True)
    note: str = field(default="", kw_only=True)

    @property
    def method(self) -> str:
        """Name of the method."""
        return f"replicates ({self.kind}{', ' if self.note else ''}{self.note})"

    def covariance(self, contributions: Floats) -> Floats:
        """Return the ``(k, k)`` covariance of replicate estimates, the full sample's last, shape (R + 1, k).

        Centred at the mean of the replicates that count, or with ``mse`` at the full sample's estimate.
        """
        replicates, full = contributions[:-1], contributions[-1]
        exists = np.isfinite(replicates)
        if not exists.all() and not self.kind.startswith("JK"):
            return self._covariance_of_those_that_exist(replicates, full, exists)
        centred = replicates - (full if self.mse else replicates[self.rscales > 0].mean(axis=0))
        return np.asarray(self.scale * (centred * self.rscales[:, None]).T @ centred)

    def _covariance_of_those_that_exist(self, replicates: Floats, full: Floats, exists: NDArray[np.bool_]) -> Floats:
        counted = exists & (self.rscales > 0)[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.where(counted, replicates, 0.0).sum(axis=0) / counted.sum(axis=0)
            centred = np.where(exists, replicates - (full if self.mse else mean), 0.0)
            left = (exists * self.rscales[:, None]).T @ exists / self.rscales.sum()
            sums = self.scale * (centred * self.rscales[:, None]).T @ centred
            covariance = np.where(left > 0.5, sums / left, np.nan)
        thinned = ~exists.all(axis=0) & (np.diag(left) > 0.5)
        if thinned.any():
            warnings.warn(
                f"{int((~exists[:, thinned]).any(axis=1).sum())} of {len(exists)} replicates give no estimate for "
                f"{int(thinned.sum())} of {len(full)} numbers (a domain is empty in them); variances rest on the other "
                f"replicates. Merge small domains.",
                ReplicateWarning,
                stacklevel=2,
            )
        return np.asarray(covariance)
