"""Equations that balancing weights solve, their coefficients, and how each respondent moves these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.columns import Columns
from evaluation.errors import EstimationError, IdentificationError, SeparationError
from evaluation.estimation.groups import Groups
from evaluation.regression.families import Kind, inverse_link
from evaluation.regression.fitting import climb, fit
from evaluation.regression.model import Model
from evaluation.regression.separation import refuse_separation
from evaluation.weighting.distances import Adjustment
from evaluation.weighting.feasibility import explain_edge, explain_infeasible
from evaluation.weighting.newton import Equations, Solution, inverse, solve

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Largest difference in means that balanced groups may keep, in standard deviations of the covariate.
IMBALANCE = 1e-9
#: A balancing weight below this share of its group's mean may be one of zero.
VANISHING = 1e-8
#: In larger groups the solution is first sought among about this many, spread over all rows.
SOUGHT_AMONG = 25_000
#: Covariates that a message spells out.
SHOWN = 3
LOGIT = Kind("binomial", "logit")
_MOVES = (
    "Leave out a covariate or merge its levels, compare only where the groups overlap (ev.trim_propensity), or weight "
    "by ev.propensity_weights, which asks for less."
)


@dataclass(frozen=True, eq=False)
class Coefficients:
    """Estimated coefficients of a linear predictor, and how each respondent moves them.

    The equations are ``sum_i w_i score_i x_i = 0``.

    Attributes
    ----------
    values : ndarray, shape (p,)
    x : ndarray, shape (n, p)
        Zero where a respondent is not used.
    score : ndarray, shape (n,)
        What respondents contribute to the equations, per unit of their weight and of ``x``.
    inverse : ndarray, shape (p, p)
        Of minus the derivative of the equations in the coefficients.
    through : pair of ndarray, shape (n,), and Coefficients, or None
        Derivative of the equations, per unit of ``x``, in the linear predictor of earlier coefficients.
    """

    values: Floats
    x: Floats
    score: Floats
    inverse: Floats
    through: tuple[Floats, Coefficients] | None = None

    def moved(self, slope: Floats) -> Floats:
        """Return the derivative, in each respondent's weight, of what has ``slope`` in the linear predictors, (n,)."""
        return self.moved_along(slope @ self.x)

    def moved_along(self, direction: Floats) -> Floats:
        """Return the same of what has the derivative ``direction`` in the coefficients, shape (p,)."""
        along = self.x @ (self.inverse @ direction)
        moved = self.score * along
        if self.through is not None:
            values, earlier = self.through
            moved += earlier.moved(values * along)
        return np.asarray(moved)


def arm_weights(
    groups: Groups, weights: Floats, group: int, target: Floats, start: Floats | None = None
) -> tuple[Coefficients, Floats]:
    """Return exponential weights with which a group's means are those of a target population.

    Parameters
    ----------
    groups : Groups
    weights : ndarray, shape (n,)
        Survey weights.
    group : {0, 1}
        Who is weighted.
    target : ndarray, shape (n,)
        Part of each respondent in the target population.
    start : ndarray, shape (p,), optional
        Coefficients to begin with.

    Returns
    -------
    Coefficients
    ndarray, shape (n,)
        ``exp(x' values)`` in the group, zero outside; the weighted group adds up to the target.

    Raises
    ------
    IdentificationError
        No weights of zero and above meet the target: its means lie outside what the group spans.

    Notes
    -----
    :math:`\\sum_{i \\in a} w_i e^{x_i'\\lambda} x_i = \\sum_i w_i h_i x_i`, which is raking of the group to totals that
    are themselves estimated from the sample. R twins: ``WeightIt(method = "ebal")``, ``ebal::ebalance``.
    """
    x, own = groups.balanced, groups.members(group) & (weights > 0)
    totals = (weights * target) @ x
    known = np.zeros(x.shape[1]) if start is None else start
    rows = np.flatnonzero(own)
    columns, mass = Columns(len(rows), dense=tuple(column[rows] for column in x.T)), weights[rows]
    if start is None:
        known[0] = np.log(totals[0] / mass.sum())
        known += _sought_among_some(columns, mass, totals)
    first = np.exp(columns.times(known[:, None])[:, 0])
    found = solve(Equations(columns, mass * first, totals, Adjustment("raking")))
    factor = np.zeros(len(weights))
    factor[rows] = first * found.factor
    _refuse_imbalance(groups, weights, group, target, factor, found)
    if start is None:
        _refuse_edge(groups, weights, group, target, factor)
    values = known + found.multiplier
    score = target - factor
    return Coefficients(values, x, score, inverse(columns.gram(mass * factor[rows]))), factor


def _sought_among_some(columns: Columns, mass: Floats, totals: Floats) -> Floats:
    """Return coefficients near the solution, found in a part of a large group; zeros where it has none, shape (p,)."""
    some = slice(None, None, max(1, columns.n // SOUGHT_AMONG))
    if columns.n < 2 * SOUGHT_AMONG:
        return np.zeros(columns.width)
    part = Columns(len(mass[some]), dense=tuple(np.ascontiguousarray(column[some]) for column in columns.dense))
    scaled = mass[some] * (totals[0] / mass[some].sum())
    found = solve(Equations(part, scaled, totals, Adjustment("raking")))
    return found.multiplier if found.converged else np.zeros(columns.width)


def imbalance(groups: Groups, one: Floats, other: Floats) -> Floats:
    """Return differences in means between two weightings, shape (n,), in standard deviations, shape (p,)."""
    x = groups.balanced
    return np.asarray(np.abs(one @ x / one.sum() - other @ x / other.sum()))


def _refuse_imbalance(
    groups: Groups, weights: Floats, group: int, target: Floats, factor: Floats, found: Solution
) -> None:
    if found.converged and imbalance(groups, weights * factor, weights * target).max(initial=0.0) < IMBALANCE:
        return
    raise _explained(groups, weights, group, target, factor)


def _explained(groups: Groups, weights: Floats, group: int, target: Floats, factor: Floats) -> IdentificationError:
    """Return why a group cannot be balanced: means that it cannot reach, proved, or the covariates left unequal."""
    own = groups.members(group) & (weights > 0)
    x, names = groups.in_units(), groups.balanced_terms
    share = weights[own] / weights[own].sum()
    means = (weights * target) @ x / (weights @ target)
    found = explain_infeasible(x[own], share, means, names, (0.0, np.inf), verb="balancing").failures
    if found is not None and "lowest" in found:
        return _out_of_reach(groups, group, found[found["total"] != "(Intercept)"])
    if found is not None and "factor" in found:
        return _fixed_by_others(groups, group, found)
    gap = imbalance(groups, weights * factor, weights * target)
    return unbalanced(groups, f"the {groups.name_of(group)}", gap)


def _refuse_edge(groups: Groups, weights: Floats, group: int, target: Floats, factor: Floats) -> None:
    """Refuse a target that a group meets only where some of its respondents weigh nothing."""
    own = groups.members(group) & (weights > 0)
    vanishing = own & (factor < VANISHING * np.average(factor[own], weights=weights[own]))
    if not vanishing.any():
        return
    share, x = weights[own] / weights[own].sum(), groups.in_units()
    means = (weights * target) @ x / (weights @ target)
    columns = Columns(int(own.sum()), dense=tuple(np.ascontiguousarray(x[own].T)))
    edge = explain_edge(columns, share, means, groups.balanced_terms, verb="balancing")
    if edge is None:
        return
    rows = [] if edge.failures is None else edge.failures["total"].tolist()
    names = ", ".join([f"'{name}'" for name in rows if name != "(Intercept)"][:SHOWN]) or "all covariates together"
    raise IdentificationError(
        f"{groups.verb}: the {groups.name_of(group)} meets the target population only if {int(vanishing.sum()):,} of "
        f"its {int(own.sum()):,} respondents weigh nothing ({names}): nobody in the target population is like them. "
        f"Compare without them (ev.domain), or merge levels.",
        failures=pd.DataFrame(groups.source.data.loc[vanishing]),
    )


def _out_of_reach(groups: Groups, group: int, conflict: pd.DataFrame) -> IdentificationError:
    shown = "; ".join(
        f"'{row.total}' has mean {row.target:.6g} in the target population, where {row.lowest:.6g} to "
        f"{row.highest:.6g} can be reached"
        for row in conflict.head(SHOWN).itertuples()
    )
    together = ", each while the others named are balanced" if len(conflict) > 1 else ""
    return IdentificationError(
        f"{groups.verb}: no weights of zero and above bring the {groups.name_of(group)} to the target population: "
        f"{shown}{together}. Some whom it should stand for have no counterpart in it. {_MOVES}",
        failures=conflict.rename(columns={"total": "covariate"}).reset_index(drop=True),
    )


def _fixed_by_others(groups: Groups, group: int, rows: pd.DataFrame) -> IdentificationError:
    name, wanted = rows["total"].iloc[0], float(rows["target"].iloc[0])
    others = ", ".join(f"'{other}'" for other in rows["total"].iloc[1:][:SHOWN] if other != "(Intercept)")
    what = f"follows from {others} for everybody" if others else "is the same for everybody"
    return IdentificationError(
        f"{groups.verb}: '{name}' {what} in the {groups.name_of(group)}, whatever their weights, but not in the target "
        f"population, where its mean is {wanted:.6g}. {_MOVES}",
        failures=rows.rename(columns={"total": "covariate"}).reset_index(drop=True),
    )


def unbalanced(groups: Groups, who: str, gap: Floats) -> IdentificationError:
    """Return the error for covariates whose means stay apart by ``gap`` standard deviations, shape (p,)."""
    left = pd.DataFrame({"covariate": groups.balanced_terms, "imbalance": gap})
    left = left.sort_values("imbalance", ascending=False)
    worst = ", ".join(f"'{row.covariate}' ({row.imbalance:.2g})" for row in left.head(SHOWN).itertuples())
    return IdentificationError(
        f"{groups.verb}: {who} was not balanced to {IMBALANCE:g} standard deviations: {worst} remain. The target lies "
        f"at the edge of what the group spans, where weights of some respondents vanish. {_MOVES}",
        failures=left.reset_index(drop=True),
    )


def covariate_balancing_score(groups: Groups, weights: Floats, start: Floats | None = None) -> Coefficients:
    """Return coefficients of a logit with which inverse probability weights give both groups everybody's means.

    Notes
    -----
    :math:`\\sum_i w_i (t_i / e_i - (1 - t_i) / (1 - e_i)) x_i = 0`, the gradient of a concave function. R twin:
    ``WeightIt(method = "cbps", over = FALSE)``.
    """
    model = groups.participation
    x, t, used = model.x, model.y, groups.used
    weights = np.where(used, weights, 0.0)

    def slopes(values: Floats, known: Floats | None) -> tuple[Floats, Floats]:
        score, bend = _balancing_score(x @ values, t)
        gradient = (weights * score) @ x
        return gradient, model.matrix.gram(weights * bend) if known is None else known

    def climbed() -> Floats:
        begin = fit(model, weights, "binomial") if start is None else start
        return climb(slopes, begin, lambda values: refuse_separation(model, LOGIT, values), float(weights.sum()))

    values = told(groups, climbed)
    score, bend = _balancing_score(x @ values, t)
    score = np.where(used, score, 0.0)
    chance = inverse_link(x @ values, "binomial")
    gap = imbalance(groups, weights * t / chance, weights * (1 - t) / (1 - chance))
    if gap.max(initial=0.0) >= IMBALANCE:
        raise unbalanced(groups, "participants and comparison group", gap)
    return Coefficients(values, x, score, inverse(model.matrix.gram(weights * bend)))


def told(groups: Groups, attempt: Callable[[], Floats]) -> Floats:
    """Fit a model of participation; its errors say who asked, and whose participation is certain."""
    try:
        return attempt()
    except SeparationError as error:
        text = str(error).replace("the outcome's levels", "participants from the comparison group")
        rows = beyond_the_other_side(groups.participation, groups.source.data, text)
        raise SeparationError(
            f"{groups.verb}: {text} Participants and others do not overlap there, so there is nobody to compare with.",
            failures=rows,
        ) from None
    except EstimationError as error:
        raise type(error)(f"{groups.verb}: participation: {error}", failures=error.failures) from None


def beyond_the_other_side(model: Model, data: pd.DataFrame, text: str) -> pd.DataFrame | None:
    """Return respondents whose value of the column that ``text`` begins with nobody on the other side of 0/1 has."""
    named = [j for j, term in enumerate(model.terms) if text.startswith(f"'{term}'")]
    sides = [model.used & (model.y == side) for side in (0, 1)]
    if not named or not all(side.any() for side in sides):
        return None
    values = model.x[:, named[0]]
    beyond = np.zeros(len(values), dtype=bool)
    for own, other in (sides, sides[::-1]):
        known = values[other]
        beyond |= own & ((values < known.min()) | (values > known.max()))
    return pd.DataFrame(data.loc[beyond])


def _balancing_score(eta: Floats, t: Floats) -> tuple[Floats, Floats]:
    """Return ``t / e - (1 - t) / (1 - e)`` and minus its derivative in the log odds, both shape (n,)."""
    with np.errstate(over="ignore"):
        odds = np.exp(np.where(t == 1, -eta, eta))
    return np.where(t == 1, 1 + odds, -1 - odds), odds
