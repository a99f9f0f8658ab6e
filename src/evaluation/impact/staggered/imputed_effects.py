"""Outcomes less what they would have been without treatment, averaged; shared by imputation and two-stage effects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.collapse import mass_by
from evaluation.errors import EstimationError, IdentificationError, did_you_mean
from evaluation.impact.clusters.behind import clusters_behind, not_treated_yet
from evaluation.impact.clusters.jackknife import ClusterSums, cluster_sampling
from evaluation.impact.effects import ImpactEffects, Refit, chosen_vcov, effects_of
from evaluation.impact.identification import NO_ANSWERS, NO_COMPARISON, NO_PERIOD_BEFORE
from evaluation.impact.panel import exact
from evaluation.impact.smallest_cells import counts_of, smallest_averaged
from evaluation.impact.staggered.observations import Observations
from evaluation.impact.staggered.remarked import remarked
from evaluation.impact.staggered.untreated_model import (
    CellSums,
    UntreatedModel,
    can_merge,
    fit_untreated,
    sum_cells,
)

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Kind = Literal["simple", "group", "dynamic", "calendar"]

#: Why a cohort and wave is left out on request, as a code that ``wording`` knows in both languages.
SINGLE_TREATED = "single_treated"
#: Key column of the rows of each kind.
KEY = {"simple": None, "group": "cohort", "dynamic": "event_time", "calendar": "time"}


@dataclass(frozen=True, eq=False)
class Question:
    """Which averages are asked for.

    Attributes
    ----------
    kind : str
    anticipation : float
    keys : ndarray
        Values of the rows after the overall one.
    leads : ndarray
        Event times whose leads are fitted on untreated observations (imputation).
    residual_leads : bool
        Whether rows before treatment are means of residuals (two-stage).
    """

    kind: Kind
    anticipation: float
    keys: Floats
    leads: Floats
    residual_leads: bool

    @property
    def n_rows(self) -> int:
        """Rows: the overall, leads, the others."""
        return 1 + len(self.leads) + len(self.keys)

    def untreated(self, cells: CellSums) -> Mask:
        """Cells that the model without treatment is fitted to."""
        return np.asarray(cells.since < -self.anticipation)

    def value(self, cells: CellSums) -> Floats:
        """Key of each cell."""
        return {"dynamic": cells.since, "group": cells.first}.get(self.kind, cells.times[cells.period])

    def targets(self, cells: CellSums, usable: Mask) -> tuple[Mask, Codes]:
        """Return the cells of the overall row, and the place among keys of each cell (-1 in none)."""
        after = usable & (cells.since >= 0)
        if self.kind == "simple":
            return after, np.full(len(usable), -1, dtype=np.int64)
        if self.kind == "dynamic":
            among = usable & np.isfinite(cells.since)
            among &= ~self.untreated(cells) | self.residual_leads
        else:
            among = after
        value = self.value(cells)
        at = np.searchsorted(self.keys, np.where(among, value, 0.0))
        at = np.minimum(at, max(len(self.keys) - 1, 0))
        hit = among & (self.keys[at] == value) if len(self.keys) else np.zeros(len(usable), dtype=bool)
        return after, np.where(hit, at, -1)

    def dummies(self, cells: CellSums) -> Floats:
        """Dummies of the leads, shape (Q, h)."""
        return np.asarray((cells.since[:, None] == self.leads).astype(float))

    def estimates(self, cells: CellSums, *, strict: bool) -> Floats:
        """Return overall, leads and rows, shape (k,); NaN where one does not exist.

        ``strict`` wants every cell identified; otherwise cells that are not stay outside.
        """
        model = fit_untreated(cells, self.untreated(cells))
        found = model.identified
        whole, code = self.targets(cells, np.ones(len(found), dtype=bool) if strict else found)
        mass, sums = cells.mass, model.unexplained()
        lost = ~found & (mass > 0)
        made = np.full(self.n_rows, np.nan)
        h, r = len(self.leads), len(self.keys)
        with np.errstate(invalid="ignore", divide="ignore"):
            made[0] = np.nan if (lost & whole).any() else sums[whole].sum() / mass[whole].sum()
            row = code >= 0
            value = mass_by(code[row], r, sums[row]) / mass_by(code[row], r, mass[row])
        made[1 + h :] = np.where(mass_by(code[row], r, lost[row].astype(float)) > 0, np.nan, value)
        if h:
            led = fit_untreated(cells, self.untreated(cells), self.dummies(cells))
            known = np.abs(led.blind[-h:]).max(axis=1, initial=0.0) < 1e-6
            made[1 : 1 + h] = np.where(known, led.coefficient[-h:], np.nan)
        return made


@dataclass(frozen=True, eq=False)
class Imputed:
    """A model without treatment, its data and what is asked of it.

    Attributes
    ----------
    seen : Observations
    question : Question
    cells : CellSums
    model : UntreatedModel
    """

    seen: Observations
    question: Question
    cells: CellSums
    model: UntreatedModel
    supported_only: bool = False

    @cached_property
    def usable(self) -> Mask:
        """Cells that may be averaged: outcome without treatment identified and, on request, not of one cluster."""
        if not self.supported_only:
            return self.model.identified
        return self.model.identified & (_only_cluster(self.cells) < 0)

    def members(self) -> Mask:
        """Return the observations that each row averages (leads: that bear it), shape (m, k)."""
        return self._averaged()[self.cells.row_of]

    def behind(self) -> dict[str, list[int]]:
        """Count the clusters behind each row; nothing where none were named."""
        if self.seen.clusters is None:
            return {}
        cells = self.cells
        cohorts, code, rows = self._by_cohort()
        there = cells.mass > 0
        serves = not_treated_yet(cohorts, cells.times, anticipation=self.question.anticipation)
        return clusters_behind(cells.cluster[there], code[there], cells.period[there], rows, serves)

    def smallest(self) -> Codes:
        """Return respondents in the smallest cohort and wave behind each row, on either side, now and before."""
        cells, ahead = self.cells, self.question.anticipation
        cohorts, code, rows = self._by_cohort()
        asked = counts_of(code[cells.row_of], cells.period[cells.row_of], rows.shape[1:])
        before = (cells.times[None, :] < cohorts[:, None] - ahead) & np.isfinite(cohorts)[:, None]
        return smallest_averaged(asked, rows, not_treated_yet(cohorts, cells.times, anticipation=ahead), before)

    def _by_cohort(self) -> tuple[Floats, Codes, Mask]:
        """Return cohorts, that of each cell, and the cohorts and waves that each row averages, shape (k, C, T)."""
        cells, averaged = self.cells, self._averaged()
        cohorts, code = np.unique(cells.first, return_inverse=True)
        code = code.ravel()
        rows = np.zeros((averaged.shape[1], len(cohorts), len(cells.times)), dtype=bool)
        at, row = np.nonzero(averaged)
        rows[row, code[at], cells.period[at]] = True
        return cohorts, code, rows

    def _averaged(self) -> Mask:
        """Return the cells that each row averages, shape (Q, k)."""
        whole, code = self.question.targets(self.cells, self.usable)
        h = len(self.question.leads)
        columns = np.zeros((len(self.cells.mass), self.question.n_rows), dtype=bool)
        columns[:, 0] = whole
        columns[:, 1 : 1 + h] = (self.question.dummies(self.cells) > 0) & self.model.untreated[:, None]
        row = np.flatnonzero(code >= 0)
        columns[row, 1 + h + code[row]] = True
        return columns

    def loadings(self) -> tuple[Floats, Floats, Floats]:
        """Return, each of shape (m, k), how much each row owes to an observation.

        First to its own effect (one over the mass of the row, for those averaged), then to its residual of the model;
        last the residuals that go with the latter.
        """
        members, cells, seen = self.members(), self.cells, self.seen
        m, k = members.shape
        own, other, residual = np.zeros((m, k)), np.zeros((m, k)), np.zeros((m, k))
        w, plain = seen.weights(), self.model.residual(seen)
        h = len(self.question.leads)
        for row in [0, *range(1 + h, k)]:
            part = members[:, row] / (members[:, row] @ w)
            by_cell = mass_by(cells.row_of, len(cells.mass), part * w)
            others = np.concatenate([mass_by(cells.period, len(cells.times), by_cell), (part * w) @ seen.x])
            places = mass_by(cells.place, cells.n_places, by_cell)
            own[:, row], other[:, row] = part, -self.model.loading(seen, places, others)
            residual[:, row] = plain
        if h:
            led = fit_untreated(cells, self.model.untreated, self.question.dummies(cells))
            left = led.residual(seen)
            for i in range(h):
                unit = np.zeros(len(led.coefficient))
                unit[len(unit) - h + i] = 1.0
                other[:, 1 + i] = led.loading(seen, np.zeros(cells.n_places), unit)
                residual[:, 1 + i] = left
        return own, other, residual

    def influence(self) -> Floats:
        """Return the derivative of the rows in the weights, shape (n, k)."""
        own, other, residual = self.loadings()
        effect = self.model.residual(self.seen)[:, None]
        return self.seen.spread(own * (effect - self.estimate) + other * residual)

    @cached_property
    def estimate(self) -> Floats:
        """Overall, leads and rows, shape (k,)."""
        return self.question.estimates(self._same(self.cells), strict=True)

    @cached_property
    def small(self) -> CellSums:
        """The cells, places of one cluster and cohort together where that changes nothing."""
        return sum_cells(self.seen, merged=True) if can_merge(self.seen) else self.cells

    def again(self, weights: Floats) -> Floats:
        """Return the rows under other weights, shape (k,)."""
        return self.question.estimates(self._same(sum_cells(self.seen, weights)), strict=True)

    def left_out(self) -> Floats:
        """Return the rows without each cluster, shape (G, k)."""
        cells = self._same(self.small)
        each = np.stack([self.question.estimates(cells.without(g), strict=True) for g in range(self.seen.n_clusters)])
        alone, there = _only_cluster(cells), cells.mass > 0
        whole, code = self.question.targets(cells, there)
        each[alone[whole & (alone >= 0)], 0] = np.nan
        row = (code >= 0) & (alone >= 0)
        each[alone[row], 1 + len(self.question.leads) + code[row]] = np.nan
        return each

    def reordered(self, cohorts: Floats) -> Floats:
        """Return the rows for other orders of the roll-out, shape (B, k)."""
        cells = self.small
        orders = np.atleast_2d(np.asarray(cohorts, dtype=float))
        each = []
        for order in orders:
            moved = replace(cells, first=order[cells.cluster])
            if self.supported_only:
                moved = _dropped(moved, _only_cluster(moved) >= 0)
            each.append(self.question.estimates(moved, strict=False))
        return np.stack(each)

    def _same(self, cells: CellSums) -> CellSums:
        """Leave out treated cells that are not identified in the full data, so that the same are averaged."""
        lost = (~self.usable & ~self.model.untreated)[self.cells.row_of]
        if not lost.any():
            return cells
        gone = np.zeros(len(cells.mass), dtype=bool)
        gone[cells.row_of[lost]] = True
        return _dropped(cells, gone)

    def refit(self) -> Refit:
        """Return the estimator to be asked again."""
        clusters = self.seen.clusters
        movable = clusters is not None and clusters.cohort is not None
        return Refit(
            self.seen.over_time.design,
            clusters,
            self.estimate,
            self.influence,
            self.again,
            None if clusters is None else self.left_out,
            self.reordered if movable else None,
        )


def _dropped(cells: CellSums, gone: Mask) -> CellSums:
    """Return the sums without some treated cells."""
    return replace(cells, mass=np.where(gone, 0.0, cells.mass), sums=np.where(gone[:, None], 0.0, cells.sums))


def _only_cluster(cells: CellSums) -> Codes:
    """Return the cluster of cells that alone holds their cohort and wave, shape (Q,); -1 if several do, or untreated.

    Without that cluster the cohort and wave would not be there, and rows that average it would be others.
    """
    there = (cells.mass > 0) & (cells.since >= 0)
    _, group = np.unique(np.column_stack([cells.first, cells.period]), axis=0, return_inverse=True)
    group, n = group.ravel(), int(group.max(initial=0)) + 1
    low, high = np.full(n, np.iinfo(np.int64).max), np.full(n, -1)
    np.minimum.at(low, group[there], cells.cluster[there])
    np.maximum.at(high, group[there], cells.cluster[there])
    return np.where(there & (low == high)[group], cells.cluster, -1)


def impute(
    seen: Observations,
    verb: str,
    *,
    kind: Kind,
    anticipation: float,
    leads: Floats,
    residual_leads: bool,
    supported_only: bool,
) -> Imputed:
    """Fit the outcomes without treatment and settle which averages are asked for.

    Raises
    ------
    EstimationError
        The kind of average or the anticipation does not exist.
    IdentificationError
        Nobody is treated or nobody untreated; a covariate is made up by the effects; no effect is identified.
    """
    if kind not in KEY:
        raise EstimationError(f"{verb}: no type {kind!r}. {did_you_mean(str(kind), list(KEY))}")
    if isinstance(anticipation, bool) or not isinstance(anticipation, (int, float)) or not 0 <= anticipation < np.inf:
        raise EstimationError(f"{verb}: anticipation must be zero or a positive length of time, got {anticipation!r}.")
    if not isinstance(supported_only, bool):
        raise EstimationError(f"{verb}: supported_only must be True or False, got {supported_only!r}.")
    if supported_only and seen.clusters is None:
        raise EstimationError(f"{verb}: supported_only=True needs cluster=..., the column of the treated places.")
    cells = sum_cells(seen)
    draft = Question(kind, float(anticipation), np.zeros(0), leads, residual_leads)
    untreated = draft.untreated(cells)
    _refuse_nothing(seen, verb, cells, untreated)
    model = fit_untreated(cells, untreated)
    _refuse_collinear(seen, verb, model)
    draft_effects = Imputed(seen, draft, cells, model, supported_only)
    usable = draft_effects.usable
    if not (usable & (cells.since >= 0)).any():
        raise IdentificationError(
            f"{verb}: no outcome without treatment can be imputed: each place ({seen.places}) needs a wave before its "
            f"treatment, and each wave somebody not treated yet."
            f"{' With supported_only=True also two treated clusters.' if supported_only else ''}"
        )
    if kind == "simple":
        return draft_effects
    among = usable & np.isfinite(cells.since) & (cells.since >= 0)
    if kind == "dynamic":
        among = usable & np.isfinite(cells.since) & (~untreated | residual_leads)
    return replace(draft_effects, question=replace(draft, keys=np.unique(draft.value(cells)[among])))


def _refuse_nothing(seen: Observations, verb: str, cells: CellSums, untreated: Mask) -> None:
    times = seen.over_time.times
    if not (cells.since >= 0).any():
        raise IdentificationError(
            f"{verb}: nobody is treated between {times[0]:g} and {times[-1]:g}. Check the column of the first treated "
            f"period: 0 or missing means never."
        )
    if not untreated.any():
        raise IdentificationError(
            f"{verb}: everybody is treated from the first wave ({times[0]:g}) on, so there is nothing to learn the "
            f"outcome without treatment from. Add earlier waves."
        )


def _refuse_collinear(seen: Observations, verb: str, model: UntreatedModel) -> None:
    blind = model.blind_covariates
    if len(blind):
        raise IdentificationError(
            f"{verb}: the coefficient of '{seen.terms[int(blind[0])]}' is not identified among untreated observations, "
            f"because effects of {seen.places} and {seen.over_time.time} and other covariates make it up. Leave it out."
        )


def imputed_result(
    imputed: Imputed,
    verb: str,
    *,
    vcov: str | None,
    conf_level: float,
    fit: dict[str, Any],
    contributions: Callable[[Imputed], Floats] | None = None,
    method: str = "",
) -> ImpactEffects:
    """Return the effects with their errors.

    Parameters
    ----------
    imputed : Imputed
    verb : str
    vcov : str or None
    conf_level : float
    fit : dict
    contributions : callable, optional
        Scores per cluster of a rule of one's own, shape (G, k), called ``method``.
    """
    seen, question = imputed.seen, imputed.question
    rule = chosen_vcov(verb, seen.over_time.design, vcov, None if seen.clusters is None else seen.clusters.name)
    members = imputed.members()
    used = members | (imputed.model.untreated[imputed.cells.row_of])[:, None]
    made = effects_of(
        imputed.refit(),
        rule,
        verb=verb,
        keys=_keys(question, str(fit["outcome"])),
        used=seen.mask(used),
        conf_level=conf_level,
        fit={**fit, **_fit_record(imputed), **imputed.behind(), **seen.told_of_sampling(rule)},
    )
    made = remarked(replace(made, bases=np.minimum(members.sum(axis=0), imputed.smallest())))
    if contributions is None or seen.clusters is None:
        return made
    clusters, scores = seen.clusters, contributions(imputed)
    sampling = cluster_sampling(seen.over_time.design.data, clusters.name, clusters.code, len(clusters))
    engine = ClusterSums(sampling, rule=method, cluster=clusters.name)
    return replace(made, vcov=engine.covariance(scores), engine=engine, contributions=scores)


def _keys(question: Question, outcome: str) -> pd.DataFrame:
    name = KEY[question.kind]
    if name is None:
        return pd.DataFrame({"term": ["overall"]})
    values = [None, *(exact(value) for value in [*question.leads, *question.keys])]
    return pd.DataFrame({"term": ["overall"] + [outcome] * (len(values) - 1), name: pd.Series(values, dtype=object)})


def _fit_record(imputed: Imputed) -> dict[str, Any]:
    seen, cells, question = imputed.seen, imputed.cells, imputed.question
    lost = ~imputed.usable & ~imputed.model.untreated
    at = lost[cells.row_of]
    found = imputed.model.identified
    no_period = imputed.model.place_mass[cells.place] <= 0
    reasons: dict[tuple[float, float], str] = {}
    for q in np.flatnonzero(lost):
        key = (exact(cells.first[q]), exact(cells.times[cells.period[q]]))
        why = SINGLE_TREATED if found[q] else NO_COMPARISON
        reasons[key] = NO_PERIOD_BEFORE if no_period[q] else reasons.get(key, why)
    for g, t in seen.silent_cells():
        reasons.setdefault((g, t), NO_ANSWERS)
    records = [{"cohort": g, "time": t, "reason": reason} for (g, t), reason in sorted(reasons.items())]
    return {
        "type": question.kind,
        "overall_is": "mean_of_treated",
        "place": seen.places,
        "anticipation": exact(question.anticipation),
        "n_left_out": seen.n_left_out + seen.over_time.n_left_out,
        "n_untreated": int(imputed.model.untreated[cells.row_of].sum()),
        "n_treated": int((imputed.usable & (cells.since >= 0))[cells.row_of].sum()),
        "n_not_imputed": int(at.sum()),
        "n_places_without_untreated": len(np.unique(cells.place[lost & no_period])),
        "not_identified": records,
    }
