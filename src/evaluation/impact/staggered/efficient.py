"""Effects under random timing: means by cohort, adjusted for differences before treatment as efficiently as can be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.errors import EstimationError, IdentificationError, did_you_mean
from evaluation.estimation.arguments import require_arguments
from evaluation.impact.clusters.behind import clusters_behind
from evaluation.impact.effects import ImpactEffects, Refit, among_used, chosen_vcov, effects_of
from evaluation.impact.identification import LAST_COHORT, NO_COMPARISON, NO_PERIOD_BEFORE
from evaluation.impact.panel import Panel, exact
from evaluation.impact.staggered.imputed_effects import KEY, Kind
from evaluation.impact.staggered.observations import Observations, read_observations
from evaluation.impact.staggered.place_table import PlaceTable, place_table, require_nested
from evaluation.impact.staggered.remarked import RemarkedEffects, remarked

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Beta = Literal["efficient", 0, 1]

RULES = ("randomization", "neyman", "jackknife")


def efficient_did(
    panel: Panel,
    *,
    outcome: str,
    cohort: str,
    type: Kind = "simple",
    beta: Beta = "efficient",
    place: str | None = None,
    cluster: str | None = None,
    vcov: Literal["randomization", "neyman", "jackknife"] | None = None,
    conf_level: float = 0.95,
) -> ImpactEffects:
    """Estimate effects under random timing of treatment, adjusted efficiently for outcomes before it.

    Assumes that *which* places start when is as good as random (stronger than parallel trends). Where places
    volunteered for early stages it does not hold by design; the leads of ``type="dynamic"`` speak to it.

    Parameters
    ----------
    panel : Panel
        From ``ev.panel``: units that come again; or respondents of whom means by ``place`` are taken.
    outcome : str
        Numeric column.
    cohort : str
        Column of the first treated period, the same for a whole place; 0 or missing means never.
    type : {"simple", "dynamic", "group", "calendar"}
        Overall row: effects by cohort and time weighed by cohort size; their plain mean over times since treatment;
        means per cohort weighed by size; means per time, then plain. All but "simple" show the rows as well.
    beta : {"efficient", 0, 1}
        How far to adjust for the cohorts' difference in the last period before treatment: as the data advise, not at
        all (difference in means), or fully (difference-in-differences with not yet treated places).
    place : str, optional
        Column of the places whose timing is taken as random. Default: the unit of a panel, else the cluster.
    cluster : str, optional
        Column of clusters to leave out; default: the places. Where timing is shared within clusters that hold several
        places, name the cluster as ``place``.
    vcov : {"randomization", "neyman", "jackknife"}, optional
        Default: "jackknife" where a cluster is named (each left out once), else "neyman", the authors' conservative
        variance over orders. "randomization" is their smaller one, less what outcomes before treatment explain of the
        variation of effects; both with t on places less 1. Of 336 roll-outs without effect in 37 districts (13, 5 and 7
        starting, 12 never) they rejected 4.5, 5.7 and 7.7 per cent at the 5 per cent level.
    conf_level : float, default 0.95

    Returns
    -------
    ImpactEffects
        Row 0 ``overall``, then rows by ``event_time`` (the last period before treatment is 0 by construction),
        ``cohort`` or ``time``. Column ``beta``: the adjustment used. No influence function: errors come from the order
        of treatment, not from sampling.

    Raises
    ------
    ColumnError
        A column cannot serve, or cohorts differ within a place.
    EstimationError
        Units have unequal weights: random timing counts each place once, so survey weights can only serve to take
        means by ``place``. Or timing is shared within clusters that hold several places.
    IdentificationError
        No effect is identified.

    Notes
    -----
    With cohort means :math:`\\bar Y_g`, :math:`\\hat\\theta = \\sum_g A_{\\theta g} \\bar Y_g - \\hat\\beta \\sum_g
    A_{0g} \\bar Y_g`, where A_0 makes the same comparison in the last period before treatment and
    :math:`\\hat\\beta = \\widehat{Cov}(\\hat X, \\hat\\theta_0) / \\widehat{Var}(\\hat X)` with the cohorts' sample
    covariances over N_g. Comparisons are cohorts treated after the later of the period and the cohort's own start.
    Cohorts treated from the first wave on and those of a single place are left out and named.

    References
    ----------
    Roth and Sant'Anna (2023), Journal of Political Economy Microeconomics 1, 669-709. R twin: ``staggered::staggered``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.impact.panel import panel
    >>> places = pd.DataFrame({"gu": [1, 1, 2, 2, 3, 3, 4, 4], "year": [8, 9] * 4, "first": [9] * 4 + [0] * 4})
    >>> places["y"] = [1.0, 5, 2, 7, 1, 2, 3, 3]
    >>> over_time = panel(survey_design(places, psu="gu"), unit="gu", time="year")
    >>> efficient_did(over_time, outcome="y", cohort="first", beta=1).estimate.tolist()
    [4.0]
    """
    require_arguments(efficient_did, locals())
    _check(type, beta, vcov)
    name = place or panel.unit or cluster if isinstance(panel, Panel) else None
    seen = read_observations(
        panel, "efficient_did", outcome=outcome, cohort=cohort, place=name, cluster=cluster or name
    )
    require_nested(seen, "efficient_did")
    table = place_table(seen)
    random = _timing(type, beta, table)
    record = {"outcome": outcome, "cohort": cohort, "type": type, "place": seen.places, "anticipation": 0}
    return _result(
        random,
        vcov or ("neyman" if cluster is None else "jackknife"),
        conf_level,
        {**record, **random.left_out_record(), **random.behind()},
    )


def _check(kind: str, beta: object, vcov: object) -> None:
    if kind not in KEY:
        raise EstimationError(f"efficient_did: no type {kind!r}. {did_you_mean(str(kind), list(KEY))}")
    if isinstance(beta, bool) or beta not in ("efficient", 0, 1):
        raise EstimationError(f"efficient_did: beta must be 'efficient', 0 or 1, got {beta!r}.")
    if vcov is not None and vcov not in RULES:
        why = " Random timing is no sampling: strata and weights of a survey say nothing about it."
        raise EstimationError(
            f"efficient_did: vcov must be 'randomization', 'neyman' or 'jackknife', got {vcov!r}."
            f"{why if vcov == 'design' else ''}"
        )


@dataclass(frozen=True, eq=False)
class _Moments:
    """Cohorts, their sizes, means, shape (C, T), and covariances, shape (C, T, T)."""

    values: Floats
    size: Floats
    mean: Floats
    covariance: Floats


def _moments(outcome: Floats, first: Floats) -> _Moments:
    values = np.unique(first)
    parts = [outcome[first == value] for value in values]
    return _Moments(
        values,
        np.array([float(len(part)) for part in parts]),
        np.stack([part.mean(axis=0) for part in parts]),
        np.stack([np.atleast_2d(np.cov(part.T)) for part in parts]),
    )


@dataclass(frozen=True, eq=False)
class _Timing:
    """The estimator with its data.

    Attributes
    ----------
    kind, beta
        As asked.
    table : PlaceTable
    first : ndarray, shape (P,)
        First treated period of each place; infinite for never, also within the data.
    kept : ndarray of bool, shape (P,)
        Places that are compared.
    keys : tuple
        Values of the rows.
    """

    kind: Kind
    beta: Beta
    table: PlaceTable
    first: Floats
    kept: Mask
    keys: tuple[float, ...]

    @property
    def times(self) -> Floats:
        return self.table.seen.over_time.times

    def pairs(self, values: Floats) -> dict[float, list[tuple[int, int]]]:
        """Return cohorts and times by key, those with comparison."""
        found: dict[float, list[tuple[int, int]]] = {}
        for c in np.flatnonzero(np.isfinite(values)):
            for t, time in enumerate(self.times):
                is_lead = time < values[c]
                if (is_lead and self.kind != "dynamic") or not (values > max(time, values[c])).any():
                    continue
                key = {"dynamic": time - values[c], "group": values[c], "calendar": time}.get(self.kind, 0.0)
                found.setdefault(float(key), []).append((int(c), t))
        return found

    def combinations(self, values: Floats, size: Floats) -> tuple[Floats, Floats]:
        """Return the weights of cohort means in every row and in its adjustment, shape (k, C, T) each; NaN if none."""
        found = self.pairs(values)
        made: dict[float, tuple[Floats, Floats]] = {}
        for key, pairs in found.items():
            weight = np.ones(len(pairs)) if self.kind == "group" else size[[c for c, _ in pairs]]
            each = [self._comparison(values, size, c, t) for c, t in pairs]
            share = weight / weight.sum()
            made[key] = (
                sum(w * pair[0] for w, pair in zip(share, each, strict=True)),
                sum(w * pair[1] for w, pair in zip(share, each, strict=True)),
            )
        after = [key for key in made if self.kind != "dynamic" or key >= 0]
        part = dict.fromkeys(after, 1.0)
        if self.kind == "group":
            part = {key: float(size[values == key][0]) for key in after}
        total, nothing = sum(part.values()), np.full((len(values), len(self.times)), np.nan)
        overall = [
            sum((part[key] / total * made[key][side] for key in after), np.zeros_like(nothing)) for side in (0, 1)
        ]
        rows = [(overall[0], overall[1]) if after else (nothing, nothing)]
        rows += [made.get(key, (nothing, nothing)) for key in self.keys]
        return np.stack([row[0] for row in rows]), np.stack([row[1] for row in rows])

    def _comparison(self, values: Floats, size: Floats, c: int, t: int) -> tuple[Floats, Floats]:
        before = int(np.flatnonzero(self.times < values[c])[-1])
        others = values > max(self.times[t], values[c])
        share = np.where(others, size, 0.0) / size[others].sum()
        now, then = np.zeros((2, len(values), len(self.times)))
        now[c, t] = then[c, before] = 1.0
        now[:, t] -= share
        then[:, before] -= share
        return now, then

    def adjusted(self, moments: _Moments) -> tuple[Floats, Floats, Floats]:
        """Return the weights of cohort means, less the adjustment, and without it, (k, C, T), and beta, (k,)."""
        theta, before = self.combinations(moments.values, moments.size)
        if self.beta != "efficient":
            beta = np.full(len(theta), float(self.beta))
        else:
            spread = _variance(before, before, moments).diagonal()
            both = _variance(before, theta, moments).diagonal()
            beta = np.divide(both, spread, out=np.zeros(len(theta)), where=~(spread <= 0))
        return theta - beta[:, None, None] * before, theta, beta

    def estimates(self, outcome: Floats, first: Floats) -> Floats:
        """Return every row, shape (k,), for these places."""
        moments = _moments(outcome, first)
        return np.asarray((self.adjusted(moments)[0] * moments.mean).sum(axis=(1, 2)))

    @cached_property
    def moments(self) -> _Moments:
        return _moments(self.table.mean[self.kept], self.first[self.kept])

    def again(self, weights: Floats) -> Floats:
        """Return the rows with means by place under other weights; places without weight are left out."""
        table = self.table.reweighted(weights)
        return self._among(table.mean, self.kept & (table.mass > 0).all(axis=1))

    def _among(self, mean: Floats, places: Mask) -> Floats:
        """Return the rows for some places; NaN where a cohort is left with fewer than two."""
        values, size = np.unique(self.first[places], return_counts=True)
        if len(values) < len(self.moments.values) or (size < 2).any():
            return np.full(1 + len(self.keys), np.nan)
        return self.estimates(mean[places], self.first[places])

    def left_out(self) -> Floats:
        """Return the rows without each cluster, shape (G, k)."""
        table = self.table
        each = [self._among(table.mean, self.kept & (table.cluster != g)) for g in range(table.seen.n_clusters)]
        return np.stack(each)

    def reordered(self, cohorts: Floats) -> Floats:
        """Return the rows for other orders of the roll-out, shape (B, k); each order leaves out its own cohorts of one.

        NaN where no cohort is left to compare.
        """
        whole, made = (self.table.mass > 0).all(axis=1), []
        for order in np.atleast_2d(np.asarray(cohorts, dtype=float)):
            first = _within(order[self.table.cluster], self.times)
            values, size = np.unique(first[whole], return_counts=True)
            usable = values[(size > 1) & (values > self.times[0])]
            if len(usable) < 2:
                made.append(np.full(1 + len(self.keys), np.nan))
                continue
            kept = whole & np.isin(first, usable)
            made.append(self.estimates(self.table.mean[kept], first[kept]))
        return np.stack(made)

    def refit(self) -> Refit:
        """Return the estimator to be asked again."""
        moments, clusters = self.moments, self.table.seen.clusters
        estimate = (self.adjusted(moments)[0] * moments.mean).sum(axis=(1, 2))
        movable = clusters is not None and clusters.cohort is not None
        design = self.table.seen.over_time.design
        return Refit(design, clusters, estimate, None, self.again, self.left_out, self.reordered if movable else None)

    def vcov(self, rule: str) -> Floats:
        """Return the variance over orders, shape (k, k)."""
        moments = self.moments
        combined, theta, _ = self.adjusted(moments)
        neyman = _variance(combined, combined, moments)
        if rule == "neyman":
            return neyman
        early = self.times < moments.values[0]
        own = moments.covariance[:, early][:, :, early]
        slopes = np.zeros((len(theta), int(early.sum())))
        for c in range(len(moments.values)):
            slopes += theta[:, c] @ moments.covariance[c][:, early] @ np.linalg.pinv(own[c], hermitian=True)
        explained = slopes @ own.mean(axis=0) @ slopes.T / moments.size.sum()
        size, direction = np.linalg.eigh(neyman - explained)
        smaller = (neyman - explained).diagonal()
        repaired = (direction * np.clip(size, 0.0, None)) @ direction.T
        np.fill_diagonal(repaired, np.clip(smaller, 0.0, None))
        return np.asarray(repaired)

    def behind(self) -> dict[str, list[int]]:
        """Count the clusters behind each row; nothing where none were named."""
        if self.table.seen.clusters is None:
            return {}
        values, t = self.moments.values, len(self.times)
        rows = np.zeros((1 + len(self.keys), len(values), t), dtype=bool)
        for key, pairs in self.pairs(values).items():
            cohort, wave = np.array(pairs).T
            if self.kind != "dynamic" or key >= 0:
                rows[0, cohort, wave] = True
            if key in self.keys:
                rows[1 + self.keys.index(key), cohort, wave] = True
        places = np.flatnonzero(self.kept)
        cohort = np.searchsorted(values, self.first[places])
        start = np.maximum(values[:, None], self.times[None, :])
        return clusters_behind(
            np.repeat(self.table.cluster[places], t),
            np.repeat(cohort, t),
            np.tile(np.arange(t), len(places)),
            rows,
            values[None, None, :] > np.where(np.isinf(start), np.inf, start)[:, :, None],
        )

    def left_out_record(self) -> dict[str, Any]:
        """Return what is not compared, and why."""
        lost, records = self.first[~self.kept], []
        for value in np.unique(lost):
            reason = NO_PERIOD_BEFORE if value <= self.times[0] else NO_COMPARISON
            records += [
                {"cohort": exact(value) if np.isfinite(value) else 0, "time": exact(t), "reason": reason}
                for t in self.times[self.times >= (value if np.isfinite(value) else self.times[0])]
            ]
        values = self.moments.values
        for value in values[np.isfinite(values)]:
            for t in self.times[self.times >= value]:
                if not (values > t).any():
                    records.append({"cohort": exact(value), "time": exact(t), "reason": LAST_COHORT})
        return {"n_places": int(self.kept.sum()), "n_places_left_out": len(lost), "not_identified": records}


def _variance(one: Floats, other: Floats, moments: _Moments) -> Floats:
    """Return sums of cohort covariances over sizes, shape (k, k)."""
    return np.asarray(np.einsum("kct,cts,lcs->kl", one, moments.covariance / moments.size[:, None, None], other))


def _within(first: Floats, times: Floats) -> Floats:
    return np.where(first > times[-1], np.inf, first)


def _timing(kind: Kind, beta: Beta, table: PlaceTable) -> _Timing:
    seen = table.seen
    first = _within(_first_of_places(seen), seen.over_time.times)
    _refuse_weights(seen)
    _refuse_shared_timing(seen, first, table.cluster)
    whole = (table.mass > 0).all(axis=1)
    values, size = np.unique(first[whole], return_counts=True)
    usable = values[(size > 1) & (values > seen.over_time.times[0])]
    kept = whole & np.isin(first, usable)
    draft = _Timing(kind, beta, table, first, kept, ())
    found = draft.pairs(usable)
    if not any(kind != "dynamic" or key >= 0 for key in found):
        raise IdentificationError(
            "efficient_did: no effect is identified: it needs a cohort of at least two places with a wave before its "
            "treatment, and at least two places that are treated later or never."
        )
    return replace(draft, keys=() if kind == "simple" else tuple(sorted(found)))


def _first_of_places(seen: Observations) -> Floats:
    first = np.full(seen.n_places, np.inf)
    first[seen.place] = seen.first
    differs = first[seen.place] != seen.first
    if differs.any():
        raise EstimationError(
            f"efficient_did: the first treated period differs within {len(np.unique(seen.place[differs]))} places "
            f"({seen.places}). Timing is random by place: name smaller places, or the cohort of the whole place."
        )
    return first


def _refuse_weights(seen: Observations) -> None:
    if seen.places != seen.over_time.unit:
        return
    w = seen.weights()
    if np.ptp(w) > 1e-9 * w.max():
        raise EstimationError(
            "efficient_did: units have unequal weights, but random timing counts every unit once, so a weighted "
            "version of its variance does not exist. Use a design without weights, or name place=..., of which "
            "weighted means are then taken."
        )


def _refuse_shared_timing(seen: Observations, first: Floats, cluster: Codes) -> None:
    clusters = seen.clusters
    if clusters is None or clusters.cohort is None or len(clusters) == seen.n_places:
        return
    raise EstimationError(
        f"efficient_did: all {seen.n_places} places ({seen.places}) of one {clusters.name} start together, so only the "
        f"timing of the {len(clusters)} values of '{clusters.name}' can be random. Use place='{clusters.name}'."
    )


def _result(random: _Timing, rule: str, conf_level: float, record: dict[str, Any]) -> ImpactEffects:
    seen, name = random.table.seen, KEY[random.kind]
    keys = pd.DataFrame({"term": ["overall"]})
    if name is not None:
        values = pd.Series([None, *(exact(key) for key in random.keys)], dtype=object)
        keys = pd.DataFrame({"term": ["overall"] + [record["outcome"]] * len(random.keys), name: values})
    columns = {"beta": random.adjusted(random.moments)[2]}
    used = seen.mask(random.kept[seen.place])
    record["assumes"] = ["random_timing"]
    record["n_left_out"] = seen.n_left_out + seen.over_time.n_left_out
    refit = among_used(random.refit(), used, "efficient_did")
    if rule == "jackknife":
        cluster = None if seen.clusters is None else seen.clusters.name
        chosen = chosen_vcov("efficient_did", refit.design, rule, cluster)
        made = effects_of(
            refit,
            chosen,
            verb="efficient_did",
            keys=keys,
            used=used,
            conf_level=conf_level,
            columns=columns,
            fit=record,
        )
        return remarked(made)
    words = {"randomization": "random timing, adjusted for waves before treatment", "neyman": "random timing, Neyman"}
    k, n = len(keys), int(random.kept.sum())
    return RemarkedEffects(
        verb="efficient_did",
        keys=keys,
        estimate=refit.estimate,
        vcov=random.vcov(rule),
        df=np.full(k, n - 1.0),
        n_obs=np.full(k, int(used.sum())),
        provenance=refit.design.provenance,
        conf_level=conf_level,
        method=f"{words[rule]}, {n} places ({seen.places})",
        columns=columns,
        fit={**record, "vcov": rule},
        refit=refit,
    )
