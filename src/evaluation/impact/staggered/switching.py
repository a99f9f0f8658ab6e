"""Effects of a treatment that may switch on and off, or change its strength."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.errors import EstimationError, IdentificationError, did_you_mean
from evaluation.estimation.arguments import require_arguments
from evaluation.impact.clusters.behind import compared_places
from evaluation.impact.dose_range import heed_range
from evaluation.impact.effects import ImpactEffects, Refit, Vcov, chosen_vcov, cohort_by_cluster, effects_of
from evaluation.impact.identification import NO_COMPARISON
from evaluation.impact.panel import Panel, exact
from evaluation.impact.staggered.observations import read_observations
from evaluation.impact.staggered.place_table import (
    Change,
    Comparison,
    PlaceTable,
    change,
    merge_alike,
    place_table,
    read_path,
    require_nested,
)
from evaluation.impact.staggered.remarked import remarked

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Kind = Literal["dynamic", "instant"]
Switchers = Literal["both", "in", "out"]

#: Why a switch is left out on request, as a code that ``wording`` knows in both languages.
SINGLE_COMPARISON = "single_comparison"
TYPES = ("dynamic", "instant")
SWITCHERS = ("both", "in", "out")


def switching_did(
    panel: Panel,
    *,
    outcome: str,
    treatment: str,
    type: Kind = "dynamic",
    normalized: bool = False,
    effects: int | None = None,
    placebos: int | None = None,
    switchers: Switchers = "both",
    supported_only: bool = False,
    place: str | None = None,
    cluster: str | None = None,
    vcov: Vcov | None = None,
    conf_level: float = 0.95,
) -> ImpactEffects:
    """Estimate effects of a treatment that may switch on and off, more than once, or change its strength.

    Parameters
    ----------
    panel : Panel
        From ``ev.panel``: units that come again, or repeated cross-sections of places.
    outcome : str
        Numeric column.
    treatment : str
        Numeric column, the same for all respondents of a place and wave: 0/1, or a strength such as the share of a
        district's residents covered.
    type : {"dynamic", "instant"}
        ``dynamic``: places since their first switch, against places with the same treatment in the first wave that
        have not switched yet. ``instant``: every switch between two waves, against places with the same treatment
        before that keep it; assumes that earlier treatment does not matter any more.
    normalized : bool, default False
        Dynamic: divide each row by the treatment received more since the switch, summed over waves. Instant: by the
        size of the switch. (The overall row always is per unit of treatment.)
    effects : int, optional
        Dynamic: number of waves from the switch on. Default: all that have a comparison.
    placebos : int, optional
        Number of placebo rows (``instant``: 0 or 1). Default: all that have a comparison.
    switchers : {"both", "in", "out"}
        Those whose treatment rises ("in"), falls ("out"), or both.
    supported_only : bool, default False
        True leaves out switches compared with places of a single cluster, without which no jackknife error exists.
    place : str, optional
        Column of the places that switch. Default: the unit of a panel, else the cluster.
    cluster : str, optional
        Column of the places that were treated as wholes; holds whole ``place``; at least three.
    vcov : {"design", "cluster", "jackknife"}, optional
        As in ``ev.att_gt``.
    conf_level : float, default 0.95

    Returns
    -------
    ImpactEffects
        Row 0 ``overall``. ``dynamic``: total effect per unit of treatment, over all switchers and waves since; then one
        row per ``event_time`` (0: the wave of the switch; -1, the wave before, is the reference; from -2 down
        placebos). ``instant``: overall, then the terms ``joiners`` and ``leavers``, and ``placebo``, the change from
        two waves to one wave before the switch. ``fit["not_identified"]`` names switches without
        comparison.

    Raises
    ------
    ColumnError
        A column cannot serve; treatment differs within a place and wave; a place lies in several clusters.
    EstimationError
        An option is unknown, or fewer than three clusters.
    IdentificationError
        No treatment switches, or no switch has a comparison.

    Warns
    -----
    DoseWarning
        A treatment below 0, or shares mixed with values above 1.

    Notes
    -----
    For a place that first switches at F, with treatment d in the first wave,
    :math:`DID_{g,l} = Y_{g,F-1+l} - Y_{g,F-1} - \\sum_h n_h (Y_{h,F-1+l} - Y_{h,F-1}) / \\sum_h n_h` over places h with
    d in the first wave that have not switched by F - 1 + l; falls count with their sign turned. Places weigh by the sum
    of their respondents' weights. Waves after a treatment has been both above and below the first wave's are left out.
    Periods are waves, whatever the distance between them. In the jackknife a place left out is one fewer to average; a
    row has no error where a comparison loses its last place that stays.

    Equal to ``py_did_multiplegt_dyn`` 0.1.9 on the simulated panels of the tests: effects, placebos, normalised
    effects and the average total effect. Its errors count cohorts differently and are not the ones here.

    References
    ----------
    de Chaisemartin and D'Haultfoeuille (2020), American Economic Review 110, 2964-2996, equation 9 (``instant``);
    (2024), Review of Economics and Statistics, equations 6 to 9 (``dynamic``). Stata and R twins:
    ``did_multiplegt_old``, ``did_multiplegt_dyn``.

    Examples
    --------
    >>> import pandas as pd
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.impact.panel import panel
    >>> places = pd.DataFrame({"gu": [1, 1, 2, 2, 3, 3], "year": [0, 1] * 3, "y": [1.0, 5, 2, 3, 4, 6]})
    >>> places["share"] = [0, 0.5, 0, 0, 0, 0]
    >>> made = switching_did(panel(survey_design(places), time="year"), outcome="y", treatment="share", place="gu")
    >>> made.tidy()[["term", "event_time", "estimate"]].values.tolist()
    [['overall', None, 5.0], ['y', 0, 2.5]]
    """
    require_arguments(switching_did, locals())
    _check(type, normalized, effects, placebos, switchers, supported_only)
    seen = read_observations(panel, "switching_did", outcome=outcome, cohort=None, place=place, cluster=cluster)
    require_nested(seen, "switching_did")
    path = read_path(seen, treatment, "treatment", "switching_did")
    heed_range("switching_did", treatment, path[seen.place, seen.period])
    rule = chosen_vcov("switching_did", panel.design, vcov, cluster)
    told = seen.told_of_sampling(rule)
    seen, path, units = merge_alike(seen, path)
    asked = _Asked(type, normalized, effects, placebos, switchers, supported_only)
    table = place_table(seen)
    plan = _plan(asked, table, path)
    switching = _Switching(asked, table, path, plan)
    used, bases = switching.respondents()
    made = effects_of(
        switching.refit(),
        rule,
        verb="switching_did",
        keys=plan.keys(outcome),
        used=seen.mask(used),
        conf_level=conf_level,
        fit={
            "outcome": outcome,
            "treatment": treatment,
            "type": type,
            "overall_is": "effect_per_unit" if type == "dynamic" or normalized else "effect_of_switches",
            "normalized": normalized,
            "switchers": switchers,
            "place": seen.places,
            "anticipation": 0,
            **told,
            "n_left_out": seen.n_left_out + panel.n_left_out,
            "n_switchers": int(units[list(plan.switchers)].sum()),
            "n_without_answers": plan.n_silent,
            "not_identified": plan.lost,
            **switching.behind(),
        },
    )
    return remarked(replace(made, bases=bases))


def _check(
    kind: str, normalized: object, effects: object, placebos: object, switchers: str, supported_only: object
) -> None:
    if kind not in TYPES:
        raise EstimationError(f"switching_did: no type {kind!r}. {did_you_mean(str(kind), TYPES)}")
    if switchers not in SWITCHERS:
        raise EstimationError(f"switching_did: switchers must be 'both', 'in' or 'out', got {switchers!r}.")
    for name, flag in (("normalized", normalized), ("supported_only", supported_only)):
        if not isinstance(flag, bool):
            raise EstimationError(f"switching_did: {name} must be True or False, got {flag!r}.")
    for name, value, least in (("effects", effects, 1), ("placebos", placebos, 0)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise EstimationError(f"switching_did: {name} must be a whole number from {least} on, got {value!r}.")


@dataclass(frozen=True)
class _Asked:
    kind: Kind
    normalized: bool
    effects: int | None
    placebos: int | None
    switchers: Switchers
    supported_only: bool


@dataclass(frozen=True, eq=False)
class _Part:
    """Places that switch together, their sign, and the treatment that a row is divided by."""

    comparison: Comparison
    sign: Floats
    size: Floats


@dataclass(frozen=True, eq=False)
class _Plan:
    """What each row adds up: parts by (term, event time); the overall row first."""

    rows: dict[tuple[str, int | None], list[_Part]]
    lost: list[dict[str, Any]]
    switchers: tuple[int, ...]
    n_silent: int

    def keys(self, outcome: str) -> pd.DataFrame:
        terms = [outcome if term == "effect" else term for term, _ in self.rows]
        if all(time is None for _, time in self.rows):
            return pd.DataFrame({"term": terms})
        times = pd.Series([time for _, time in self.rows], dtype=object)
        return pd.DataFrame({"term": terms, "event_time": times})


def _plan(asked: _Asked, table: PlaceTable, path: Floats, *, moved: bool = False) -> _Plan:
    """Settle the comparisons of every row; ``moved`` for another order, where nothing found is no mistake."""
    lost: dict[tuple[float, float], dict[str, Any]] = {}
    rows: dict[tuple[str, int | None], list[_Part]] = {}
    found = list(_first_switches(asked, path) if asked.kind == "dynamic" else _every_switch(path))
    wanted = {"both": (-1.0, 1.0), "in": (1.0,), "out": (-1.0,)}[asked.switchers]
    switched: set[int] = set()
    n_silent = 0
    for names, part, since, start in found:
        own = np.isin(part.sign, wanted)
        part = _Part(replace(part.comparison, movers=part.comparison.movers[own]), part.sign[own], part.size[own])
        made = change(table, part.comparison)
        n_silent += int((~made.kept).sum()) if ("overall", None) in names else 0
        if not len(made.size):
            continue
        times = table.seen.over_time.times
        if reason := _reason(asked, table, made):
            if since >= 0:
                key = (exact(times[start]), exact(times[part.comparison.after]))
                lost[key] = {"cohort": key[0], "time": key[1], "reason": reason}
            continue
        switched |= set(part.comparison.movers[made.kept].tolist()) if since >= 0 else set()
        for name in names:
            rows.setdefault(name, []).append(part)
    if ("overall", None) not in rows and not moved:
        if not (np.diff(path, axis=1) != 0).any():
            raise IdentificationError("switching_did: the treatment does not switch anywhere, so nothing is compared.")
        raise IdentificationError(
            "switching_did: no switch has a comparison: each needs places with the same treatment before that keep it. "
            "Name larger places, or round the treatment to fewer levels."
        )
    first = {("overall", None): rows.pop(("overall", None), [])}
    order = sorted(rows, key=lambda key: (key[1] if key[1] is not None else -99, key[0]))
    return _Plan(
        first | {key: rows[key] for key in order},
        [lost[key] for key in sorted(lost)],
        tuple(sorted(switched)),
        n_silent,
    )


def _reason(asked: _Asked, table: PlaceTable, made: Change) -> str:
    """Return why places that switch are not compared; empty where they are."""
    if not made.stayers_mass > 0:
        return NO_COMPARISON
    is_single = len(np.unique(table.cluster[made.comparison.stayers])) < 2
    return SINGLE_COMPARISON if asked.supported_only and is_single else ""


Found = Iterator[tuple[list[tuple[str, int | None]], _Part, int, int]]


def _first_switches(asked: _Asked, path: Floats) -> Found:
    """Yield the places of each first treatment and wave of the first switch, by waves since, with their placebos."""
    n_times, base = path.shape[1], path[:, 0]
    away = path != base[:, None]
    start = np.where(away.any(axis=1), away.argmax(axis=1), n_times)
    above, below = np.cumsum(path > base[:, None], axis=1) > 0, np.cumsum(path < base[:, None], axis=1) > 0
    received = np.cumsum(np.abs(path - base[:, None]), axis=1)
    for d in np.unique(base):
        for f in np.unique(start[(base == d) & (start < n_times)]):
            for step in range(1, n_times - f + 1):
                after = f - 1 + step
                movers = np.flatnonzero((base == d) & (start == f) & ~(above & below)[:, after])
                stayers = np.flatnonzero((base == d) & (start > after))
                sign = np.where(above[movers, after], 1.0, -1.0)
                size = received[movers, after] if asked.normalized else np.ones(len(movers))
                each = np.abs(path[movers, after] - d)
                if asked.effects is None or step <= asked.effects:
                    at = Comparison(movers, stayers, after, after, f - 1)
                    yield [("effect", step - 1)], _Part(at, sign, size), step - 1, f
                    yield [("overall", None)], _Part(at, sign, each), step - 1, f
                back = f - 1 - step
                if back >= 0 and (asked.placebos is None or step <= asked.placebos):
                    at = Comparison(movers, stayers, after, back, f - 1)
                    yield [("effect", -1 - step)], _Part(at, sign, size), -1 - step, f


def _every_switch(path: Floats) -> Found:
    """Yield the places of each switch between two waves, and their change a wave before."""
    for t in range(1, path.shape[1]):
        for d in np.unique(path[:, t - 1]):
            same = path[:, t - 1] == d
            movers, stayers = np.flatnonzero(same & (path[:, t] != d)), np.flatnonzero(same & (path[:, t] == d))
            for sign, name in ((1.0, "joiners"), (-1.0, "leavers")):
                own = movers[np.sign(path[movers, t] - d) == sign]
                size = np.abs(path[own, t] - d)
                part = _Part(Comparison(own, stayers, t, t, t - 1), np.full(len(own), sign), size)
                yield [("overall", None), (name, None)], part, 0, t
                if t >= 2:
                    own = own[path[own, t - 2] == d]
                    still = stayers[path[stayers, t - 2] == d]
                    size = np.abs(path[own, t] - d)
                    part = _Part(Comparison(own, still, t, t - 1, t - 2), np.full(len(own), sign), size)
                    yield [("placebo", None)], part, -1, t


@dataclass(frozen=True, eq=False)
class _Switching:
    """The estimator with its data."""

    asked: _Asked
    table: PlaceTable
    path: Floats
    plan: _Plan

    def _size(self, name: tuple[str, int | None], part: _Part) -> Floats:
        """Divisor of each mover: instant rows count places unless normalised."""
        if self.asked.kind == "instant" and not self.asked.normalized:
            return np.ones(len(part.size))
        return part.size

    def _sums(self, table: PlaceTable, plan: _Plan, name: tuple[str, int | None]) -> tuple[float, float, list[Change]]:
        top, bottom, changes = 0.0, 0.0, []
        for part in plan.rows.get(name, []):
            made = change(table, part.comparison)
            if len(made.size):
                top += float((part.sign[made.kept] * made.size) @ made.effect)
                bottom += float(made.size @ self._size(name, part)[made.kept])
            changes.append(made)
        return top, bottom, changes

    def estimates(self, table: PlaceTable, plan: _Plan | None = None) -> Floats:
        """Return every row, shape (k,); NaN where one does not exist."""
        pairs = [self._sums(table, plan or self.plan, name)[:2] for name in self.plan.rows]
        return np.array([top / bottom if bottom > 0 else np.nan for top, bottom in pairs])

    @cached_property
    def estimate(self) -> Floats:
        """Every row, shape (k,)."""
        return self.estimates(self.table)

    def influence(self) -> Floats:
        """Return the derivative of the rows in the weights, shape (n, k)."""
        shape = (len(self.plan.rows), *self.table.mass.shape)
        by_mean, by_mass = np.zeros(shape), np.zeros(shape)
        for row, (name, parts) in enumerate(self.plan.rows.items()):
            top, bottom, changes = self._sums(self.table, self.plan, name)
            for part, made in zip(parts, changes, strict=True):
                sign = part.sign[made.kept]
                own = sign * made.effect - top / bottom * self._size(name, part)[made.kept]
                made.add_gradient(sign * made.size / bottom, own / bottom, by_mean[row], by_mass[row])
        return self.table.spread(by_mean, by_mass)

    def left_out(self) -> Floats:
        """Return the rows without each cluster, shape (G, k)."""
        return np.stack([self.estimates(self.table.without(g)) for g in range(self.table.seen.n_clusters)])

    def reordered(self, cohorts: Floats) -> Floats:
        """Return the rows had clusters been treated from other waves on, shape (B, k)."""
        times = self.table.seen.over_time.times
        made = []
        for order in np.atleast_2d(np.asarray(cohorts, dtype=float)):
            path = (times >= order[self.table.cluster][:, None]).astype(float)
            made.append(self.estimates(self.table, _plan(self.asked, self.table, path, moved=True)))
        return np.stack(made)

    def _first(self) -> Floats | None:
        """Return the wave from which each place is treated; None unless treatment is 0/1 and stays."""
        if not np.isin(self.path, (0.0, 1.0)).all() or (np.diff(self.path, axis=1) < 0).any():
            return None
        times = self.table.seen.over_time.times
        return np.where(self.path.any(axis=1), times[self.path.argmax(axis=1)], np.inf)

    def refit(self) -> Refit:
        """Return the estimator to be asked again."""
        seen, first = self.table.seen, self._first()
        clusters, movable = seen.clusters, False
        if clusters is not None and first is not None:
            whole = np.full(len(clusters.code), np.inf)
            whole[seen.rows] = first[seen.place]
            clusters = replace(clusters, cohort=cohort_by_cluster(whole, clusters.code, len(clusters)))
            movable = clusters.cohort is not None
        return Refit(
            seen.over_time.design,
            clusters,
            self.estimate,
            self.influence,
            lambda weights: self.estimates(self.table.reweighted(weights)),
            None if clusters is None else self.left_out,
            self.reordered if movable else None,
        )

    def behind(self) -> dict[str, list[int]]:
        """Count the clusters behind each row; nothing where none were named."""
        if self.table.seen.clusters is None:
            return {}
        found, home = [], self.table.cluster
        for parts in self.plan.rows.values():
            each = [change(self.table, part.comparison).comparison for part in parts]
            found.append([(home[at.movers], home[at.stayers]) for at in each if len(at.movers)])
        return compared_places(found)

    def respondents(self) -> tuple[Mask, NDArray[np.int64]]:
        """Return who is behind each row, shape (m, k), and how many in its smallest group and wave, shape (k,)."""
        cell, shape = self.table.cell, self.table.mass.shape
        used, bases = np.zeros((len(cell), len(self.plan.rows)), dtype=bool), []
        asked = np.bincount(cell, minlength=self.table.mass.size).reshape(shape)
        for row, parts in enumerate(self.plan.rows.values()):
            all_, sizes = np.zeros(shape, dtype=bool), []
            for part in parts:
                at = change(self.table, part.comparison).comparison
                for wave in (at.after, at.before):
                    all_[at.movers, wave] = all_[at.stayers, wave] = True
                    sizes += [int(asked[group, wave].sum()) for group in (at.movers, at.stayers) if len(group)]
            used[:, row] = all_.ravel()[cell]
            bases.append(min(sizes, default=0))
        return used, np.array(bases, dtype=np.int64)
