"""Weights of donors and of waves: synthetic control, synthetic difference-in-differences, plain difference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evaluation.errors import IdentificationError
from evaluation.impact.synthetic_control.nested import Nested, nested_weights
from evaluation.impact.synthetic_control.simplex import frank_wolfe, ridge_on_simplex

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Solver = Literal["exact", "frank_wolfe"]
Kind = Literal["synthetic_control", "synthetic_did", "did"]

#: Penalties as a share of the donors' change from wave to wave: next to none, where weights are unique without.
SLIGHT = 1e-6
#: Frank and Wolfe's steps end at this share of that change.
LEAST_GAIN = 1e-5


@dataclass(frozen=True)
class Rule:
    """How weights are found.

    Attributes
    ----------
    kind : {"synthetic_control", "synthetic_did", "did"}
    solver : {"exact", "frank_wolfe"}
    sparsify : bool
        Of Frank and Wolfe's steps.
    regularisation : float or None
        Factor of the donors' change from wave to wave in the penalty on donor weights; None for the fourth root of
        treated places times treated waves.
    nested : Nested or None
        Predictors, where the weights of donors look at them.
    """

    kind: Kind
    solver: Solver = "exact"
    sparsify: bool = True
    regularisation: float | None = None
    nested: Nested | None = None


@dataclass(frozen=True, eq=False)
class Weights:
    """Weights of one cohort's comparison.

    Attributes
    ----------
    donors : ndarray, shape (D,)
        omega, summing to 1.
    waves : ndarray, shape (S,)
        lambda, over the waves before the start; zero throughout where the level is compared as it is.
    zeta_donors, zeta_waves : float
        Penalties.
    predictors : ndarray, shape (P,), or None
        V, where weights of predictors were sought.
    loss_predictors : float
        Weighted squares between the predictors of treated and synthetic.
    """

    donors: Floats
    waves: Floats
    zeta_donors: float = 0.0
    zeta_waves: float = 0.0
    predictors: Floats | None = None
    loss_predictors: float = float("nan")


def find_weights(outcome: Floats, donors: Codes, treated: Codes, start: int, rule: Rule) -> Weights:
    """Return the weights for places that start together.

    Parameters
    ----------
    outcome : ndarray, shape (G, T)
        Means of places by waves.
    donors, treated : ndarray of int
        Rows.
    start : int
        Column of the first treated wave.
    rule : Rule
    """
    before, target = outcome[donors, :start], outcome[treated].mean(axis=0)
    d, s = before.shape
    if rule.kind == "did":
        return Weights(np.full(d, 1 / d), np.full(s, 1 / s))
    if rule.nested is not None:
        omega, v, loss = nested_weights(rule.nested, outcome, donors, treated, start)
        return Weights(omega, np.zeros(s), predictors=v, loss_predictors=loss)
    noise = change_between_waves(before)
    if rule.kind == "synthetic_control":
        zeta = SLIGHT * noise
        return Weights(_solved(before.T, target[:start], zeta, noise, rule), np.zeros(s), zeta, zeta)
    factor = rule.regularisation
    if factor is None:
        factor = float((len(treated) * (outcome.shape[1] - start)) ** 0.25)
    zeta, slight = factor * noise, SLIGHT * noise
    later = outcome[donors, start:].mean(axis=1)
    omega = _solved(before.T - before.mean(axis=1), target[:start] - target[:start].mean(), zeta, noise, rule)
    waves = _solved(before - before.mean(axis=0), later - later.mean(), slight, noise, rule)
    return Weights(omega, waves, zeta, slight)


def _solved(columns: Floats, target: Floats, zeta: float, noise: float, rule: Rule) -> Floats:
    if rule.solver == "frank_wolfe":
        return frank_wolfe(columns, target, zeta, LEAST_GAIN * noise, sparsify=rule.sparsify)
    return ridge_on_simplex(columns, target, zeta)


def change_between_waves(before: Floats) -> float:
    """Return the standard deviation of the donors' changes from one wave to the next, 0 where there is one wave."""
    changes = np.diff(before, axis=1).ravel()
    return float(changes.std(ddof=1)) if len(changes) > 1 else 0.0


@dataclass(frozen=True, eq=False)
class Path:
    """Treated places of one start beside their synthetic counterpart.

    Attributes
    ----------
    treated, synthetic, gap : ndarray, shape (T,)
        ``gap`` is the effect at each wave: treated less synthetic, less their difference over weighted waves before.
    start : int
        Column of the first treated wave.
    """

    treated: Floats
    synthetic: Floats
    gap: Floats
    start: int

    @property
    def effect(self) -> float:
        """Mean gap over the treated waves."""
        return float(self.gap[self.start :].mean())

    def rmspe(self, *, after: bool) -> float:
        """Return the root mean square gap since the start, or before it."""
        part = self.gap[self.start :] if after else self.gap[: self.start]
        return float(np.sqrt(np.mean(part**2)))


def path_of(outcome: Floats, donors: Codes, treated: Codes, start: int, weights: Weights) -> Path:
    """Return the path of some treated places and of their weighted donors, arguments as in ``find_weights``."""
    own, others = outcome[treated].mean(axis=0), weights.donors @ outcome[donors]
    difference = own - others
    level = float(difference[:start] @ weights.waves)
    return Path(own, others + level, difference - level, start)


@dataclass(frozen=True, eq=False)
class Layout:
    """Rows of the result: overall, plain difference-in-differences, then waves since the start.

    Attributes
    ----------
    times : ndarray, shape (T,)
    event_times : ndarray, shape (E,)
    """

    times: Floats
    event_times: Floats

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return 2 + len(self.event_times)


def layout_of(times: Floats, cohort: Floats) -> Layout:
    """Return the rows that some cohorts give."""
    starts = np.unique(np.searchsorted(times, cohort[np.isfinite(cohort)]))
    since = np.unique(np.concatenate([times - times[start] for start in starts]))
    return Layout(times, since)


@dataclass(frozen=True, eq=False)
class Cohort:
    """Places that start together, with their weights."""

    treated: Codes
    start: int
    weights: Weights


def cohorts_of(outcome: Floats, cohort: Floats, donors: Codes, times: Floats, rule: Rule) -> list[Cohort]:
    """Return each cohort with its weights.

    Parameters
    ----------
    outcome : ndarray, shape (G, T)
    cohort : ndarray, shape (G,)
        First treated wave; infinite for never.
    donors : ndarray of int
    times : ndarray, shape (T,)
    rule : Rule
    """
    made = []
    for first in np.unique(cohort[np.isfinite(cohort)]):
        treated, start = np.flatnonzero(cohort == first), int(np.searchsorted(times, first))
        made.append(Cohort(treated, start, find_weights(outcome, donors, treated, start, rule)))
    return made


def sum_up(outcome: Floats, donors: Codes, cohorts: list[Cohort], layout: Layout) -> Floats:
    """Return the estimates in the order of the layout, shape (k,); NaN where one does not exist.

    Notes
    -----
    Cohorts weigh by treated place-waves, in a wave since the start by treated places.
    """
    if not cohorts:
        return np.full(layout.n_rows, np.nan)
    places = np.array([len(cohort.treated) for cohort in cohorts], dtype=float)
    waves = np.array([outcome.shape[1] - cohort.start for cohort in cohorts])
    paths = [path_of(outcome, donors, c.treated, c.start, c.weights) for c in cohorts]
    plain = [
        path_of(outcome, donors, c.treated, c.start, find_weights(outcome, donors, c.treated, c.start, Rule("did")))
        for c in cohorts
    ]
    total, mass = np.zeros(len(layout.event_times)), np.zeros(len(layout.event_times))
    for path, size in zip(paths, places, strict=True):
        since_start = layout.times - layout.times[path.start]
        shown = np.isin(since_start, layout.event_times)
        at = np.searchsorted(layout.event_times, since_start[shown])
        total[at] += size * path.gap[shown]
        mass[at] += size
    with np.errstate(invalid="ignore", divide="ignore"):
        since = np.where(mass > 0, total / mass, np.nan)
    share = places * waves / (places * waves).sum()
    return np.array([share @ [p.effect for p in paths], share @ [p.effect for p in plain], *since])


def without_place(outcome: Floats, donors: Codes, cohorts: list[Cohort], layout: Layout, place: int) -> Floats:
    """Return the estimates without a place, weights kept and summing to 1 again, shape (k,).

    NaN where the place was the only one of its cohort, or the only donor with a weight.
    """
    kept, left = donors != place, []
    for cohort in cohorts:
        treated, omega = cohort.treated[cohort.treated != place], cohort.weights.donors[kept]
        if not len(treated) or not omega.sum() > 0:
            return np.full(layout.n_rows, np.nan)
        weights = Weights(omega / omega.sum(), cohort.weights.waves)
        left.append(Cohort(treated, cohort.start, weights))
    return sum_up(outcome, donors[kept], left, layout)


def refuse_no_change(before: Floats, verb: str) -> None:
    """Raise an IdentificationError where synthetic DiD has nothing to scale its penalty by."""
    if before.shape[1] < 2 or change_between_waves(before) == 0:
        raise IdentificationError(
            f"{verb}: the penalty is scaled by how donors change from wave to wave before the start, but "
            f"{'there is one wave before' if before.shape[1] < 2 else 'no donor changes'}. Add earlier waves, or use "
            f"ev.synthetic_control."
        )
