"""Randomization inference: the estimate held against those of other orders of the same roll-out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from evaluation.errors import EstimationError, IdentificationError
from evaluation.estimation.arguments import require_arguments
from evaluation.impact.absorbed.coefficients import AbsorbedEffects
from evaluation.impact.absorbed.fixed_effects import Regression
from evaluation.impact.clusters.draws import Draws, invert, p_values
from evaluation.impact.clusters.orders import number_of_orders, orders
from evaluation.impact.clusters.resampled import (
    ResampledTest,
    key_of,
    outcome_of,
    refuse_reference,
    require_impact,
    row_of,
)
from evaluation.impact.clusters.scores import ClusterScores, cluster_scores, cr1_factor, pseudo_inverse
from evaluation.impact.clusters.wild_bootstrap import require_clusters
from evaluation.impact.effects import Clusters, ImpactEffects, Refit

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Statistic = Literal["coefficient", "t"]

VERB = "randomization_inference"
#: Orders asked of an estimator at once; bounds the memory.
BLOCK = 256
#: A treatment that keeps less than this share of its own variation is not identified in an order.
NOTHING_LEFT = 1e-10
#: What the actual order must give again, relative.
SAME = 1e-6


def randomization_inference(
    result: ImpactEffects,
    *,
    row: int | str | dict[str, Any] = 0,
    draws: int | Literal["all"] = 999,
    statistic: Statistic = "coefficient",
    null: float = 0.0,
    seed: int | None = None,
    conf_level: float | None = None,
) -> ResampledTest:
    """Test an effect by giving the dates of the roll-out to other places, under exchangeable roll-out order.

    Parameters
    ----------
    result : ImpactEffects
        Estimated with ``cluster=``, all rows of a cluster treated from the same period on.
    row : int, str or dict, default 0
        Row by number, term, address, or keys such as ``{"event_time": 2}``.
    draws : int or "all", default 999
        All distinct orders are enumerated where they are no more than this; else so many are drawn, and the actual
        order stands beside them.
    statistic : {"coefficient", "t"}
        What is compared: the estimate, or it over its cluster error (regressions on one treatment only).
    null : float, default 0
        Effect that is tested, the same for everybody; other than 0 for regressions only.
    seed : int, optional
        Of the draws where they are not enumerated.
    conf_level : float, optional
        Of the interval by inversion under a constant effect, for regressions on one treatment; default the result's.

    Returns
    -------
    ResampledTest
        ``p_value`` counts orders as extreme as the actual one, which is among them (``p_weak``).

    Raises
    ------
    EstimationError
        No cluster was named, treatment starts at different times within clusters, or an option is unknown.
    FewClustersError
        There are fewer than three clusters.
    IdentificationError
        All places are treated from the same period on.

    Notes
    -----
    The p-value is exact where every order was as likely as every other. Places that volunteered were not drawn by
    lot: the wording is always "under exchangeable roll-out order". Orders in which the estimate does not exist are left
    out and counted.

    References
    ----------
    Fisher (1935); Rosenbaum (2002), Observational Studies, chapter 2; MacKinnon and Webb (2020), Journal of
    Econometrics 218, 435-450, who compare the coefficient with t. R twin: ``ri2``.

    Examples
    --------
    >>> import pandas as pd
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.impact.absorbed.twfe import twfe
    >>> places = pd.DataFrame({"gu": np.repeat(np.arange(12), 2), "year": [0, 1] * 12})
    >>> places["d"] = places["year"] * (places["gu"] < 6)
    >>> places["y"] = places["d"] + np.sin(np.arange(24) ** 2)
    >>> fitted = twfe(survey_design(places), outcome="y", treatment="d", unit="gu", time="year", cluster="gu")
    >>> found = randomization_inference(fitted, draws="all")
    >>> found.n_draws, found.p_value >= 2 / 924
    (924, True)
    """
    require_arguments(randomization_inference, locals())
    result = require_impact(result, VERB)
    place = row_of(result, row, VERB)
    refuse_reference(result, place, VERB)
    if statistic not in ("coefficient", "t"):
        raise EstimationError(f"{VERB}: statistic must be 'coefficient' or 't', got {statistic!r}.")
    level = result.conf_level if conf_level is None else conf_level
    if not 0 < level < 1:
        raise EstimationError(f"{VERB}: conf_level must lie between 0 and 1, got {level!r}.")
    require_clusters(result, VERB)
    start = starts_of(result, place)
    if start is not None and isinstance(result, AbsorbedEffects):
        scores = cluster_scores(result.regression, result.solved)
        return reorder_regression(result, place, scores, start, draws, statistic, float(null), seed, level)
    if statistic == "t" or null:
        what = "statistic='t'" if statistic == "t" else f"null={null:g}"
        raise EstimationError(
            f"{VERB}: {what} needs an error for every order, which only regressions on one 0/1 treatment that starts "
            f"in whole clusters have. Use statistic='coefficient' and null=0."
        )
    return reorder_estimator(result, place, draws, seed, level)


def reorder_regression(
    result: AbsorbedEffects,
    place: int,
    scores: ClusterScores,
    start: Codes,
    draws: int | str,
    statistic: Statistic,
    null: float,
    seed: int | None,
    level: float,
) -> ResampledTest:
    """Return the test of a regression on one treatment.

    Parameters
    ----------
    result, place, draws, statistic, null, seed, level
        As of ``randomization_inference``.
    scores : ClusterScores
    start : ndarray of int, shape (G,)
        From ``starts_of``.
    """
    made, is_all = orders(start.astype(float), draws, seed, VERB)
    drawn = _by_regression(result, place, scores, made, statistic)
    facts = {**_facts(result, statistic, is_all, seed), "start_unseen": _starts_unseen(result.regression, start)}
    return _tested(result, place, drawn, null, level, facts)


def reorder_estimator(
    result: ImpactEffects, place: int, draws: int | str, seed: int | None, level: float
) -> ResampledTest:
    """Return the test of an estimator that is asked for every order; arguments as of ``randomization_inference``."""
    made, is_all = orders(_cohorts(result, require_clusters(result, VERB)), draws, seed, VERB)
    drawn = _Statistics(Draws(_again(result, place, made), np.zeros(len(made))), 1.0, float(result.estimate[place]))
    facts = {**_facts(result, "coefficient", is_all, seed), "no_interval": "ri_no_interval"}
    return _tested(result, place, drawn, 0.0, level, facts)


def _facts(result: ImpactEffects, statistic: str, is_all: bool, seed: int | None) -> dict[str, Any]:
    clusters = require_clusters(result, VERB)
    seed = None if is_all else seed
    return {
        "cluster": clusters.name,
        "g": len(clusters),
        "statistic": statistic,
        "seed": seed,
        "ties": "weak",
        "is_all": is_all,
    }


def distinct_orders(result: ImpactEffects, row: int = 0) -> int:
    """Return how many distinct orders the roll-out behind a row has; 0 where they are not known."""
    start = starts_of(result, row)
    if start is not None:
        return number_of_orders(start.astype(float))
    clusters = None if result.refit is None else result.refit.clusters
    return 0 if clusters is None or clusters.cohort is None else number_of_orders(clusters.cohort)


def _cohorts(result: ImpactEffects, clusters: Clusters) -> Floats:
    if isinstance(result, AbsorbedEffects) and result.regression.family != "gaussian":
        raise EstimationError(
            f"{VERB}: a regression with family='{result.regression.family}' cannot be asked for another order of the "
            f"roll-out. Use family='gaussian', or ev.att_gt."
        )
    if clusters.cohort is None:
        raise EstimationError(
            f"{VERB}: places of one '{clusters.name}' are treated from different periods on, so its date cannot be "
            f"given to another. Estimate with the cohort of the {clusters.name} (its first treated place), such as "
            f"g_district of ev.exposure."
        )
    if cast(Refit, result.refit).reordered is None:
        raise EstimationError(
            f"{VERB}: ev.{result.verb} cannot be asked for another order of the roll-out. Use ev.att_gt, or a "
            f"regression on one 0/1 treatment that starts in whole clusters."
        )
    return clusters.cohort


def _again(result: ImpactEffects, place: int, made: Floats) -> Floats:
    """Return the estimate in each order, shape (B,)."""
    reordered = cast(Any, result.refit).reordered
    parts = [reordered(made[first : first + BLOCK])[:, place] for first in range(0, len(made), BLOCK)]
    drawn = np.concatenate(parts)
    if not np.isclose(drawn[0], result.estimate[place], rtol=SAME, atol=SAME * np.nanstd(drawn)):
        raise EstimationError(
            f"{VERB}: the actual order gives {drawn[0]:.6g}, not the estimate {result.estimate[place]:.6g}; orders of "
            f"this estimator cannot be compared with it."
        )
    return drawn


def starts_of(result: ImpactEffects, place: int) -> Codes | None:
    """Return the period from which each cluster is treated (T for never), shape (G,).

    None unless the row is the coefficient of the only treatment of a linear regression, and that is 0 before and 1 from
    one period on in each cluster.
    """
    if not isinstance(result, AbsorbedEffects) or result.regression.n_treatments != 1:
        return None
    regression, combine = result.regression, result.combine[place]
    crossed = any(regression.terms[0] in term.split(":") for term in regression.terms[1:])
    if combine[0] != 1 or combine[1:].any() or crossed or regression.family != "gaussian":
        return None
    if "time" not in regression.levels or regression.is_nested("time"):
        return None
    return _starts(regression)


def _starts(regression: Regression) -> Codes | None:
    cluster, time, treated = regression.levels["cluster"], regression.levels["time"], regression.columns[1]
    g, t = len(regression.labels["cluster"]), len(regression.labels["time"])
    if not ((treated == 0) | (treated == 1)).all():
        return None
    cell = cluster * t + time
    on = np.bincount(cell, treated, minlength=g * t).reshape(g, t)
    there = np.bincount(cell, minlength=g * t).reshape(g, t)
    start = np.where(on > 0, np.arange(t), t).min(axis=1)
    expected = np.where(np.arange(t) >= start[:, None], there, 0)
    return start if bool((on == expected).all()) else None


def _starts_unseen(regression: Regression, start: Codes) -> int:
    """Return how many clusters have no row in the wave before their first treated one, so may have started earlier."""
    g, t = len(regression.labels["cluster"]), len(regression.labels["time"])
    there = np.bincount(regression.levels["cluster"] * t + regression.levels["time"], minlength=g * t).reshape(g, t)
    moved = np.flatnonzero((start > 0) & (start < t))
    return int((there[moved, start[moved] - 1] == 0).sum())


@dataclass(frozen=True, eq=False)
class _Statistics:
    """Draws, the divisor between the statistic as printed and as drawn, and the estimate."""

    draws: Draws
    divisor: float
    estimate: float


def _by_regression(
    result: AbsorbedEffects, place: int, scores: ClusterScores, made: Floats, statistic: str
) -> _Statistics:
    estimate = float(result.estimate[place])
    period = np.arange(len(result.regression.labels["time"]))
    parts = []
    reorder = _Reorder(scores, (period >= made[0][:, None]).astype(float), estimate)
    for first in range(0, len(made), 8 * BLOCK):
        parts.append(reorder.draws((period >= made[first : first + 8 * BLOCK, :, None]).astype(float)))
    constant, slope, squares = (np.concatenate(part, axis=-1) for part in zip(*parts, strict=True))
    if statistic == "coefficient":
        return _Statistics(Draws(constant, slope), 1.0, estimate)
    return _Statistics(Draws(constant, slope, squares), np.sqrt(cr1_factor(result.regression)[0]), estimate)


class _Reorder:
    """A regression without its treatment, in sums per cluster, to which treatments of whole cells are added."""

    def __init__(self, scores: ClusterScores, treated: Floats, estimate: float) -> None:
        p = scores.squares.shape[1]
        self.rest, times = np.arange(1, p), np.arange(p)[scores.times]
        self.length = scores.scale[scores.times]
        others = scores.squares[:, 1:, 1:]
        inverse = pseudo_inverse(others.sum(axis=0))
        self.others, self.inverse = others, inverse
        self.cross = scores.squares[:, 1:][:, :, times]
        self.cells = scores.squares[:, times][:, :, times]
        self.times, self.estimate = times - 1, estimate
        outcome = scores.products[:, 1:]
        self.outcome = outcome - others @ (inverse @ outcome.sum(axis=0))
        own = np.einsum("gps,gs->gp", self.cross, treated * self.length)
        self.treated = own - others @ (inverse @ own.sum(axis=0))

    def draws(self, treated: Floats) -> tuple[Floats, Floats, Floats]:
        """Return constants, slopes and squares of treatments, shape (b, G, S), as ``Draws`` has them."""
        cells = treated * self.length
        across = np.einsum("gps,bgs->bgp", self.cross, cells)
        fitted = across.sum(axis=1) @ self.inverse
        own = np.einsum("bgs,gst,bgt->bg", cells, self.cells, cells, optimize=True)
        square = (
            own
            - 2 * np.einsum("bgp,bp->bg", across, fitted)
            + np.einsum("bp,gpq,bq->bg", fitted, self.others, fitted, optimize=True)
        )
        total = square.sum(axis=1)
        total = np.where(total > NOTHING_LEFT * own.sum(axis=1), total, np.nan)
        on_outcome = self._products(self.outcome, cells, fitted)
        on_treated = self._products(self.treated, cells, fitted)
        slope = on_treated.sum(axis=1) / total
        constant = on_outcome.sum(axis=1) / total - self.estimate * slope
        first = on_outcome - self.estimate * on_treated - constant[:, None] * square
        second = on_treated - slope[:, None] * square
        squares = np.stack([(first**2).sum(axis=1), (first * second).sum(axis=1), (second**2).sum(axis=1)])
        return constant, slope, squares / total**2

    def _products(self, residual: Floats, cells: Floats, fitted: Floats) -> Floats:
        """Return products of each cluster's treatment, less what the others make of it, with a residual, (b, G)."""
        return np.asarray(np.einsum("bgs,gs->bg", cells, residual[:, self.times]) - fitted @ residual.T)


def _tested(
    result: ImpactEffects,
    place: int,
    made: _Statistics,
    null: float,
    level: float,
    facts: dict[str, Any],
) -> ResampledTest:
    def p_at(value: float) -> float:
        drawn = made.draws.at(made.estimate - value)
        return p_values(float(drawn[0]), drawn).weak

    drawn = made.draws.at(made.estimate - null)
    if not np.isfinite(drawn[0]):
        raise IdentificationError(f"{VERB}: the statistic does not exist in the actual order.")
    found = p_values(float(drawn[0]), drawn)
    low, high = float("nan"), float("nan")
    if "no_interval" not in facts:
        low, high = invert(
            lambda value: p_at(value) > 1 - level, made.estimate, float(np.nanstd(made.draws.constant)) / 8
        )
    return ResampledTest(
        verb=VERB,
        key=key_of(result, place),
        estimate=made.estimate,
        null=null,
        statistic=float(drawn[0]) / made.divisor,
        p_value=found.weak,
        p_strict=found.strict,
        p_weak=found.weak,
        p_equal_tailed=found.equal_tailed,
        p_lower=found.lower,
        p_upper=found.upper,
        conf_low=low,
        conf_high=high,
        conf_level=level,
        n_draws=len(drawn),
        is_enumerated=bool(facts["is_all"]),
        n_ties=found.n_ties,
        n_missing=found.n_missing,
        distribution=drawn / made.divisor,
        method=f"ri_{facts['statistic']}",
        n_obs=int(result.n_obs[place]),
        provenance=result.provenance,
        mark=result.marks[place],
        facts={**facts, "null": null, "outcome": outcome_of(result)},
    )
