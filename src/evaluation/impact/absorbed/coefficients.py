"""What a regression with absorbed effects returns: linear combinations of its coefficients, and the fit behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from dataclasses import field as entry
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.design import Design
from evaluation.errors import EstimationError
from evaluation.impact.absorbed.fixed_effects import Regression, Solved, refitted
from evaluation.impact.clusters.jackknife import leave_out_clusters, partial_leverage
from evaluation.impact.effects import Clusters, ImpactEffects, Refit

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False, repr=False)
class AbsorbedEffects(ImpactEffects):
    """Linear combinations of the coefficients of a regression with absorbed effects.

    Attributes
    ----------
    regression : Regression
        Rows, ordered by cluster, and columns.
    solved : Solved
        Residuals from the effects, and coefficients.
    combine : ndarray, shape (r, k)
        ``estimate`` is ``combine @ solved.coefficients``; the identity for the coefficients themselves.
    """

    regression: Regression = entry(kw_only=True)
    solved: Solved = entry(kw_only=True)
    combine: Floats = entry(kw_only=True)

    def take(self, rows: NDArray[np.int64]) -> AbsorbedEffects:
        """Return the estimates at ``rows``, in that order, with their covariances and the means to refit them."""
        taken = super().take(rows)
        if not isinstance(taken, AbsorbedEffects) or self.refit is None or len(self.combine) != len(self):
            return replace(taken, refit=None)  # type: ignore[return-value, call-arg]
        combine = self.combine[rows]
        return replace(taken, combine=combine, refit=refit_of(self.refit.design, self.regression, self.solved, combine))


def combined(
    result: AbsorbedEffects,
    matrix: Floats,
    keys: pd.DataFrame,
    *,
    verb: str | None = None,
    n_obs: NDArray[np.int64] | None = None,
    fit: Mapping[str, Any] | None = None,
) -> AbsorbedEffects:
    """Return linear combinations of the rows of a result, with the same rule of errors and their own refits.

    Parameters
    ----------
    result : AbsorbedEffects
        With r rows.
    matrix : ndarray, shape (m, r)
        Weight of each row in each combination.
    keys : pandas.DataFrame, m rows
        ``term`` and, where they apply, ``event_time``, ``cohort``, ``time``.
    verb : str, optional
        Public verb that made it; default that of ``result``.
    n_obs : ndarray of int, shape (m,), optional
        Respondents behind each combination; default those of the regression.
    fit : mapping, optional
        Entries added to those of ``result``.

    Returns
    -------
    AbsorbedEffects
    """
    weights = np.asarray(matrix, dtype=float)
    if weights.ndim != 2 or weights.shape != (len(keys), len(result)):
        raise EstimationError(
            f"combined: a matrix of shape ({len(keys)}, {len(result)}) is needed for {len(keys)} keys and "
            f"{len(result)} rows, got {weights.shape}."
        )
    if result.refit is None:
        raise EstimationError("combined: the result cannot be fitted again, so its rows cannot be combined.")
    combine, regression, solved, design = (
        weights @ result.combine,
        result.regression,
        result.solved,
        result.refit.design,
    )
    contributions, influence_of = result.contributions, result.influence_of
    return replace(
        result,
        verb=result.verb if verb is None else verb,
        keys=keys.reset_index(drop=True),
        estimate=combine @ solved.coefficients,
        vcov=weighted(weights, weighted(weights, result.vcov).T),
        df=np.full(len(keys), float(result.df.min())),
        n_obs=np.full(len(keys), len(regression.rows)) if n_obs is None else np.asarray(n_obs),
        contributions=None if contributions is None else weighted(weights, contributions.T).T,
        influence_of=None if influence_of is None else (lambda: influence_of() @ weights.T),
        columns=effective_clusters(regression, solved, combine),
        fit={**result.fit, **(fit or {})},
        refit=refit_of(design, regression, solved, combine),
        combine=combine,
    )


def weighted(matrix: Floats, values: Floats) -> Floats:
    """Return ``matrix @ values`` where nothing times NaN is nothing.

    Parameters
    ----------
    matrix : ndarray, shape (m, r)
    values : ndarray, shape (r, c)
    """
    gone = np.isnan(values)
    product = matrix @ np.where(gone, 0.0, values)
    return np.asarray(np.where((matrix != 0).astype(float) @ gone > 0, np.nan, product))


def effective_clusters(regression: Regression, solved: Solved, combine: Floats) -> dict[str, NDArray[Any]]:
    """Return the column ``effective_clusters``: one over the sum of squared partial leverages; none without clusters.

    Parameters
    ----------
    regression, solved
    combine : ndarray, shape (r, k)
    """
    if "cluster" not in regression.levels:
        return {}
    g = len(regression.labels["cluster"])
    leverage = partial_leverage(
        solved.within, regression.weights, regression.levels["cluster"], g, solved.gram, combine
    )
    return {"effective_clusters": 1 / (leverage**2).sum(axis=0)}


def refit_of(design: Design, regression: Regression, solved: Solved, combine: Floats) -> Refit:
    """Return the means to ask a regression again for combinations of its coefficients.

    Parameters
    ----------
    design : Design
    regression, solved
    combine : ndarray, shape (r, k)
    """
    clusters = clusters_of(design, regression)

    def again(weights: Floats) -> Floats:
        return np.asarray(combine @ refitted(regression, weights))

    def influence() -> Floats:
        z = np.zeros((len(design), len(combine)))
        z[regression.rows] = (combine @ solved.inverse @ (solved.within[1:] * solved.residual)).T
        return z

    def without() -> Floats:
        codes, g, trend = regression.levels["cluster"], len(regression.labels["cluster"]), regression.trend
        left = leave_out_clusters(solved.within, regression.weights, solved.effects, codes, g, trend, solved.gram)
        return weighted(combine, np.where(left.identified, left.coefficients, np.nan).T).T

    return Refit(
        design,
        clusters,
        np.asarray(combine @ solved.coefficients),
        influence,
        again,
        None if clusters is None else without,
    )


def clusters_of(design: Design, regression: Regression) -> Clusters | None:
    """Return the places of a regression that are treated as wholes; None where no cluster was named."""
    if "cluster" not in regression.levels:
        return None
    code = np.full(len(design), -1, dtype=np.int64)
    code[regression.rows] = regression.levels["cluster"]
    return Clusters(regression.names["cluster"], tuple(regression.labels["cluster"].tolist()), code)
