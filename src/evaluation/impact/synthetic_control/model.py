"""A synthetic control with its data, to be asked again under other weights, without a place, for other starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from evaluation.errors import EstimationError
from evaluation.impact.effects import Clusters
from evaluation.impact.synthetic_control.nested import Nested
from evaluation.impact.synthetic_control.places import Places, Roles
from evaluation.impact.synthetic_control.weighting import (
    Cohort,
    Layout,
    Path,
    Rule,
    cohorts_of,
    layout_of,
    path_of,
    sum_up,
    without_place,
)

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Model:
    """Places in their roles, and how weights are found.

    Attributes
    ----------
    places : Places
    roles : Roles
    rule : Rule
        Its ``nested`` is filled in from the predictors.
    covariates : tuple of str
        Taken out of the outcome beforehand.
    predictors : tuple of (str, list of float or None)
        Columns and the waves over which they are averaged.
    fit_waves : tuple of float or None
    predictor_weights : tuple of float or None
    """

    places: Places
    roles: Roles
    rule: Rule
    covariates: tuple[str, ...] = ()
    predictors: tuple[tuple[str, list[float] | None], ...] = ()
    fit_waves: tuple[float, ...] | None = None
    predictor_weights: tuple[float, ...] | None = None

    @property
    def donors(self) -> Codes:
        """Rows of donors among the members, who come first."""
        return np.arange(len(self.roles.donors))

    @property
    def cohort(self) -> Floats:
        """First treated wave of each member, infinite for donors, shape (M,)."""
        first = self.places.cohort[self.roles.members].copy()
        first[: len(self.roles.donors)] = np.inf
        return np.asarray(first)

    @cached_property
    def layout(self) -> Layout:
        """Rows of the result."""
        return layout_of(self.places.times, self.cohort)

    @cached_property
    def clusters(self) -> Clusters:
        """The members as clusters of rows."""
        members = self.roles.members
        at = np.full(len(self.places.levels) + 1, -1, dtype=np.int64)
        at[members] = np.arange(len(members))
        code = at[self.places.place_of_rows()]
        return Clusters(self.places.place, tuple(self.places.levels[i] for i in members), code, self.cohort)

    @cached_property
    def weights(self) -> Floats:
        """Weights of the rows, shape (n,)."""
        return self.places.over_time.design.domain_weights

    @cached_property
    def outcome(self) -> Floats:
        """Means of the members by wave, less what covariates explain, shape (M, T)."""
        return self.outcome_under(self.weights)

    def outcome_under(self, weights: Floats) -> Floats:
        """Return the means under other weights of the rows."""
        members = self.roles.members
        y = self.places.means(self.places.outcome, weights)[members]
        if not self.covariates:
            return y
        x = np.stack([self.places.means(name, weights)[members] for name in self.covariates])
        return np.asarray(y - np.tensordot(self._slopes(y, x), x, axes=1))

    def _slopes(self, y: Floats, x: Floats) -> Floats:
        """Return what covariates explain among cells not treated yet, beside effects of places and waves."""
        untreated = (self.places.times[None, :] < self.cohort[:, None]) & np.isfinite(y) & np.isfinite(x).all(axis=0)
        place, wave = np.nonzero(untreated)
        effects = np.hstack([np.eye(y.shape[0])[place], np.eye(y.shape[1])[wave]])
        columns = np.hstack([x[:, untreated].T, effects])
        return np.asarray(np.linalg.lstsq(columns, y[untreated], rcond=None)[0][: len(x)])

    @cached_property
    def full_rule(self) -> Rule:
        """The rule with its predictors."""
        return self.rule_under(self.weights)

    def rule_under(self, weights: Floats) -> Rule:
        """Return the rule with predictors under other weights of the rows.

        Raises
        ------
        EstimationError
            A place has no value of a predictor in its waves.
        """
        if not self.predictors:
            return self.rule
        members, times = self.roles.members, self.places.times
        until = float(self.cohort[np.isfinite(self.cohort)].min())
        rows = []
        for name, waves in self.predictors:
            part = np.isin(times, waves) if waves is not None else times < until
            table = self.places.means(name, weights)[members][:, part]
            told = np.isfinite(table)
            if not told.any(axis=1).all():
                lacking = self.places.names(members[~told.any(axis=1)])
                raise EstimationError(
                    f"synthetic_control: predictor '{name}' has no value in its waves for {len(lacking)} places "
                    f"({', '.join(lacking[:5])}). Give it other waves, or leave it or those places out."
                )
            rows.append(np.where(told, table, 0.0).sum(axis=1) / told.sum(axis=1))
        fitted = None if self.fit_waves is None else np.flatnonzero(np.isin(times, self.fit_waves))
        given = None if self.predictor_weights is None else np.array(self.predictor_weights)
        names = tuple(name for name, _ in self.predictors)
        return replace(self.rule, nested=Nested(names, np.stack(rows), fitted, given))

    @cached_property
    def cohorts(self) -> list[Cohort]:
        """Cohorts with their weights."""
        return cohorts_of(self.outcome, self.cohort, self.donors, self.places.times, self.full_rule)

    @cached_property
    def paths(self) -> list[Path]:
        """Path of each cohort."""
        return [path_of(self.outcome, self.donors, c.treated, c.start, c.weights) for c in self.cohorts]

    @cached_property
    def estimate(self) -> Floats:
        """Estimates in the order of the layout, shape (k,)."""
        return sum_up(self.outcome, self.donors, self.cohorts, self.layout)

    def without(self) -> Floats:
        """Return the estimates without each place, weights kept, shape (M, k)."""
        rows = range(len(self.cohort))
        return np.stack([without_place(self.outcome, self.donors, self.cohorts, self.layout, row) for row in rows])

    def again(self, weights: Floats) -> Floats:
        """Return the estimates under other weights of the rows, shape (k,); places without a row are left out."""
        outcome = self.outcome_under(weights)
        whole = np.isfinite(outcome).all(axis=1)
        if (np.isfinite(outcome).any(axis=1) != whole).any():
            raise EstimationError("synthetic control: a place has no answer in some wave under these weights.")
        rule, cohort = self.rule_under(weights) if whole.all() else self.full_rule, self.cohort
        return self._estimates(outcome, cohort, np.flatnonzero(whole), rule)

    def reordered(self, cohorts: Floats) -> Floats:
        """Return the estimates had the members been treated from other waves on, shape (B, k)."""
        everyone = np.arange(len(self.cohort))
        return np.stack([self._estimates(self.outcome, row, everyone, self.full_rule) for row in cohorts])

    def in_roles(self, treated: Sequence[int], first: Sequence[float]) -> Floats:
        """Return the estimates had some donors been treated and the treated not been there, shape (k,)."""
        cohort = np.full(len(self.cohort), np.inf)
        cohort[list(treated)] = first
        return self._estimates(self.outcome, cohort, self.donors, self.full_rule)

    def _estimates(self, outcome: Floats, cohort: Floats, rows: Codes, rule: Rule) -> Floats:
        own = np.where(cohort[rows] > self.places.times[-1], np.inf, cohort[rows])
        donors = np.flatnonzero(np.isinf(own))
        if len(donors) < 1 or not np.isfinite(own).any() or (own <= self.places.times[0]).any():
            return np.full(self.layout.n_rows, np.nan)
        if rule.nested is not None:
            rule = replace(rule, nested=replace(rule.nested, values=rule.nested.values[:, rows]))
        made = cohorts_of(outcome[rows], own, donors, self.places.times, rule)
        return sum_up(outcome[rows], donors, made, self.layout)
