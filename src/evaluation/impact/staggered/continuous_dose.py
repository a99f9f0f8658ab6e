"""Effects of a policy that reaches places to different degrees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.errors import ColumnError, EstimationError, IdentificationError
from evaluation.estimation.arguments import require_arguments
from evaluation.impact.clusters.behind import compared_places
from evaluation.impact.effects import ImpactEffects, Refit, Vcov, chosen_vcov, effects_of
from evaluation.impact.identification import NO_COMPARISON, NO_PERIOD_BEFORE, ControlGroup
from evaluation.impact.panel import Panel, exact
from evaluation.impact.staggered.dose_curve import Curve, class_curve, spline_curve
from evaluation.impact.staggered.observations import Observations, read_observations
from evaluation.impact.staggered.place_table import (
    ALIKE,
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


def dose_did(
    panel: Panel,
    *,
    outcome: str,
    dose: str,
    cohort: str | None = None,
    degree: int = 3,
    knots: int = 0,
    bins: Sequence[float] | None = None,
    doses: Sequence[float] | None = None,
    scale: float | None = None,
    control_group: ControlGroup = "notyettreated",
    place: str | None = None,
    cluster: str | None = None,
    vcov: Vcov | None = None,
    conf_level: float = 0.95,
) -> ImpactEffects:
    """Estimate the effect of a policy by its dose, and the response to a little more of it.

    Effects at a dose need parallel trends between places of that dose and untreated ones. *Comparing* doses, and so
    the causal response, needs strong parallel trends: places of other doses would have followed the same path at this
    dose. Where places chose their dose by what they expected of it, slopes mix effect and choice.

    Parameters
    ----------
    panel : Panel
        From ``ev.panel``: units that come again, or repeated cross-sections of places.
    outcome : str
        Numeric column.
    dose : str
        Numeric column, the same for all respondents of a place and wave: 0 before treatment and for the never treated,
        a share up to 1 afterwards, such as the share of residents covered. It may rise over the waves; each wave's
        effect is then taken to depend on its own dose alone, which ``fit["dose_varies"]`` tells.
    cohort : str, optional
        Column of the first treated period. Default: the first wave with a dose.
    degree, knots : int, default 3 and 0
        Of the spline over doses, knots at quantiles.
    bins : list of float, optional
        Classes of dose instead of a spline, by their limits, e.g. ``[0, 0.5, 1]``: above the first, up to the second.
    doses : list of float, optional
        Where the spline is told. Default: deciles of the treated doses.
    scale : float, optional
        Unit of a dose that is no share, by which it is divided: ``scale=1`` for nurses per dong, ``scale=100`` for per
        cent.
    control_group : {"notyettreated", "nevertreated"}
        Who serves for comparison; "nevertreated" are the places without any dose.
    place, cluster, vcov, conf_level
        As in ``ev.switching_did``.

    Returns
    -------
    ImpactEffects
        Keys ``term dose``. Row 0 ``overall``: mean effect of the doses received against none; row 1 ``acrt_overall``:
        mean causal response per unit of dose; then ``att_at_dose`` and ``acrt_at_dose`` (middle of the class with
        ``bins``, where the response is the step from the class below, the first from no dose).

    Raises
    ------
    ColumnError
        A column cannot serve; doses below 0, or above 1 without ``scale``; a dose that falls back to 0, or that comes
        before the first treated period.
    EstimationError
        An option is unknown, or fewer than three clusters.
    IdentificationError
        Nobody treated or nobody to compare with, or too few different doses for the curve.

    Notes
    -----
    For a place treated from g with dose d, in wave t from g on, :math:`\\tau = Y_t - Y_{g-1}` less the mean of that
    change among places not treated by t. The curve is the weighted regression of :math:`\\tau` on
    :math:`\\psi(d)`: :math:`ATT(d|d) = \\psi(d)'\\beta`, :math:`ACRT(d|d) = \\psi'(d)'\\beta`, weighed by respondents.
    One curve is drawn through all cohorts and waves; R ``contdid`` fits one for each and averages them, the same for a
    single date. The error of the mean response holds the doses as sampled too, not as fixed.

    References
    ----------
    Callaway, Goodman-Bacon and Sant'Anna (2024), NBER working paper 32117, sections 3 and 4. R twin: ``contdid``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.impact.panel import panel
    >>> places = pd.DataFrame({"gu": [1, 1, 2, 2, 3, 3], "year": [2015, 2016] * 3, "y": [1.0, 4, 2, 8, 1, 2]})
    >>> places["share"] = [0, 0.5, 0, 1.0, 0, 0]
    >>> over_time = panel(survey_design(places), time="year")
    >>> dose_did(over_time, outcome="y", dose="share", place="gu", degree=1, doses=[0.5, 1]).estimate.round(6).tolist()
    [3.5, 6.0, 2.0, 5.0, 6.0, 6.0]
    """
    require_arguments(dose_did, locals())
    _check(degree, knots, scale, control_group)
    seen = read_observations(panel, "dose_did", outcome=outcome, cohort=cohort, place=place, cluster=cluster)
    require_nested(seen, "dose_did")
    path = read_path(seen, dose, "dose", "dose_did")
    _refuse_range(seen, path, dose, scale)
    path = path / (1.0 if scale is None else float(scale))
    start = _start(seen, path, dose, cohort)
    rule = chosen_vcov("dose_did", panel.design, vcov, cluster)
    told = seen.told_of_sampling(rule)
    seen, path, units = merge_alike(seen, path)
    start = start if len(start) == len(path) else _start(seen, path, dose, cohort)
    table = place_table(seen)
    asked, lost = _comparisons(table, start, control_group)
    treated = np.concatenate([path[made.comparison.movers, made.comparison.after] for made in asked])
    curve = spline_curve(treated, degree, knots, doses) if bins is None else class_curve(treated, bins)
    dosed = _Dosed(table, path, [made.comparison for made in asked], curve)
    used, bases = dosed.respondents()
    steady = all(np.ptp(row[first:]) <= ALIKE for row, first in zip(path, start, strict=True) if first < len(row))
    made = effects_of(
        dosed.refit(),
        rule,
        verb="dose_did",
        keys=_keys(curve),
        used=seen.mask(np.broadcast_to(used[:, None], (len(used), curve.n_rows))),
        conf_level=conf_level,
        fit={
            "outcome": outcome,
            "dose": dose,
            "place": seen.places,
            "curve": f"spline of degree {degree}, {knots} knots" if bins is None else "classes",
            "control_group": control_group,
            "dose_varies": not steady,
            "overall_is": "dose_overall",
            "assumes": ["dose_strong_trends", *([] if steady else ["dose_varies_note"])],
            **told,
            "n_left_out": seen.n_left_out + panel.n_left_out,
            "n_places_treated": int(units[np.unique(np.concatenate([made.comparison.movers for made in asked]))].sum()),
            "n_without_answers": sum(int((~made.kept).sum()) for made in asked),
            "not_identified": lost,
            **_behind(table, asked, curve.n_rows),
        },
    )
    return remarked(replace(made, bases=np.full(curve.n_rows, bases)))


def _check(degree: object, knots: object, scale: object, control_group: str) -> None:
    for name, value, least in (("degree", degree, 1), ("knots", knots, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise EstimationError(f"dose_did: {name} must be a whole number from {least} on, got {value!r}.")
    if scale is not None and (isinstance(scale, bool) or not isinstance(scale, (int, float)) or not 0 < scale < np.inf):
        raise EstimationError(f"dose_did: scale must be a positive number, got {scale!r}.")
    if control_group not in ("notyettreated", "nevertreated"):
        raise EstimationError(
            f"dose_did: control_group must be 'notyettreated' or 'nevertreated', got {control_group!r}."
        )


def _cells(seen: Observations, wrong: Mask, column: str) -> pd.DataFrame:
    """Return the rows of the places and waves that are wrong."""
    at = wrong[seen.place, seen.period]
    names = list(dict.fromkeys([seen.places, seen.over_time.time, column]))
    return seen.over_time.design.data.iloc[seen.rows[at]][names].drop_duplicates()


def _refuse_range(seen: Observations, path: Floats, dose: str, scale: float | None) -> None:
    wrong = path < 0 if scale is not None else (path < 0) | (path > 1 + ALIKE)
    if not wrong.any():
        return
    far = float(path[wrong][np.argmax(np.abs(path[wrong]))])
    move = "Correct it." if (path < 0).any() else "If it is no share, say its unit: scale=100 for per cent."
    raise ColumnError(
        f"dose_did: dose '{dose}' lies outside 0 to 1 in {int(wrong.sum())} places and waves (as far as {far:g}). "
        f"{move}",
        failures=_cells(seen, wrong, dose),
    )


def _start(seen: Observations, path: Floats, dose: str, cohort: str | None) -> Codes:
    """Return the first wave with a dose of each place, T for none; refuse doses that stop or come before their date."""
    n_times = path.shape[1]
    has = path > 0
    start = np.where(has.any(axis=1), has.argmax(axis=1), n_times)
    if not has.any():
        raise IdentificationError(f"dose_did: dose '{dose}' is 0 everywhere, so nobody was treated.")
    stopped = ~has & (np.arange(n_times) > start[:, None])
    if stopped.any():
        raise ColumnError(
            f"dose_did: dose '{dose}' falls back to 0 in {int(stopped.any(axis=1).sum())} places ({seen.places}) after "
            f"treatment began. A treatment that switches off is for ev.switching_did.",
            failures=_cells(seen, stopped, dose),
        )
    if cohort is not None:
        due = seen.time >= seen.first
        wrong = np.zeros(path.shape, dtype=bool)
        at = has[seen.place, seen.period] != due
        wrong[seen.place[at], seen.period[at]] = True
        if wrong.any():
            raise ColumnError(
                f"dose_did: dose '{dose}' and cohort '{cohort}' disagree in {int(wrong.sum())} places and waves: a "
                f"dose before the first treated period, or none from it on. Correct one of them, or leave cohort out.",
                failures=_cells(seen, wrong, dose),
            )
    return np.asarray(start, dtype=np.int64)


def _comparisons(
    table: PlaceTable, start: Codes, control_group: ControlGroup
) -> tuple[list[Change], list[dict[str, Any]]]:
    """Return the changes of each cohort in each wave since its start, and what has no comparison."""
    times, n_times = table.seen.over_time.times, table.mass.shape[1]
    made, lost = [], []
    for f in np.unique(start[start < n_times]):
        movers = np.flatnonzero(start == f)
        for t in range(f, n_times):
            later = start == n_times if control_group == "nevertreated" else start > t
            found = change(table, Comparison(movers, np.flatnonzero(later), t, t, max(f - 1, 0)))
            if f > 0 and found.stayers_mass > 0:
                if len(found.size):
                    made.append(found)
                continue
            reason = NO_PERIOD_BEFORE if f == 0 else NO_COMPARISON
            lost.append({"cohort": exact(times[f]), "time": exact(times[t]), "reason": reason})
    if not made:
        raise IdentificationError(
            "dose_did: no effect is identified: a treated place needs a wave before its treatment, and other places "
            "without a dose in both waves."
        )
    return made, lost


def _behind(table: PlaceTable, asked: list[Change], n_rows: int) -> dict[str, list[int]]:
    """Count the clusters behind the rows, the same for all; nothing where none were named."""
    if table.seen.clusters is None:
        return {}
    pairs = [(table.cluster[made.comparison.movers], table.cluster[made.comparison.stayers]) for made in asked]
    return {name: counts * n_rows for name, counts in compared_places([pairs]).items()}


def _keys(curve: Curve) -> pd.DataFrame:
    at = [exact(dose) for dose in curve.doses]
    terms = ["overall", "acrt_overall", *["att_at_dose"] * len(at), *["acrt_at_dose"] * len(at)]
    return pd.DataFrame({"term": terms, "dose": pd.Series([None, None, *at, *at], dtype=object)})


@dataclass(frozen=True, eq=False)
class _Dosed:
    """The estimator with its data."""

    table: PlaceTable
    path: Floats
    asked: list[Comparison]
    curve: Curve

    def _effects(self, table: PlaceTable) -> tuple[list[Change], Floats, Floats, Floats]:
        changes = [change(table, each) for each in self.asked]
        dose = [self.path[made.comparison.movers, made.comparison.after] for made in changes]
        sizes, effects = [made.size for made in changes], [made.effect for made in changes]
        return changes, np.concatenate(dose), np.concatenate(sizes), np.concatenate(effects)

    def estimates(self, table: PlaceTable) -> Floats:
        """Return every row, shape (k,); NaN where one does not exist."""
        _, dose, size, effect = self._effects(table)
        if not len(size):
            return np.full(self.curve.n_rows, np.nan)
        return self.curve.fit(dose, size, effect).value

    @cached_property
    def estimate(self) -> Floats:
        """Every row, shape (k,)."""
        return self.estimates(self.table)

    def influence(self) -> Floats:
        """Return the derivative of the rows in the weights, shape (n, k)."""
        changes, dose, size, effect = self._effects(self.table)
        rows = self.curve.fit(dose, size, effect)
        shape = (self.curve.n_rows, *self.table.mass.shape)
        by_mean, by_mass = np.zeros(shape), np.zeros(shape)
        ends = np.cumsum([0, *(len(made.size) for made in changes)])
        for made, low, high in zip(changes, ends[:-1], ends[1:], strict=True):
            for row in range(len(rows.value)):
                made.add_gradient(rows.slope[row, low:high], rows.own[row, low:high], by_mean[row], by_mass[row])
        return self.table.spread(by_mean, by_mass)

    def left_out(self) -> Floats:
        """Return the rows without each cluster, shape (G, k)."""
        return np.stack([self.estimates(self.table.without(g)) for g in range(self.table.seen.n_clusters)])

    def refit(self) -> Refit:
        """Return the estimator to be asked again; doses have no other order."""
        seen = self.table.seen
        return Refit(
            seen.over_time.design,
            seen.clusters,
            self.estimate,
            self.influence,
            lambda weights: self.estimates(self.table.reweighted(weights)),
            None if seen.clusters is None else self.left_out,
        )

    def respondents(self) -> tuple[Mask, int]:
        """Return who is behind the rows, shape (m,), and how many in the smallest group and wave."""
        used, cell, sizes = np.zeros(self.table.mass.shape, dtype=bool), self.table.cell, []
        asked = np.bincount(cell, minlength=used.size).reshape(used.shape)
        for each in self.asked:
            at = change(self.table, each).comparison
            for wave in (at.after, at.before):
                used[at.movers, wave] = used[at.stayers, wave] = True
                sizes += [int(asked[group, wave].sum()) for group in (at.movers, at.stayers) if len(group)]
        return used.ravel()[cell], min(sizes, default=0)
