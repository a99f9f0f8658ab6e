"""Each cohort beside its clean comparisons in one window, the stacks weighted so that they average what they should."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.collapse import sum_by
from evaluation.errors import EstimationError, IdentificationError
from evaluation.estimation.arguments import require_arguments
from evaluation.impact.effects import ImpactEffects, Refit
from evaluation.impact.identification import NO_ANSWERS, NO_COMPARISON
from evaluation.impact.panel import Panel, exact
from evaluation.impact.staggered.cohort_effects import LinearForm
from evaluation.impact.staggered.cohort_errors import Vcov, result_of
from evaluation.impact.staggered.cohort_moments import (
    CohortRows,
    arranged,
    memberships,
    raw_moments,
    read_rows,
    scores_by_cluster,
)
from evaluation.impact.staggered.cohort_regression import effective, solved

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]
ControlGroup = Literal["notyettreated", "nevertreated"]
Weights = Literal["wing", "none"]

VERB = "stacked_did"
#: Why a cohort has no stack.
OUTSIDE_WINDOW = "outside_window"


def stacked_did(
    panel: Panel,
    *,
    outcome: str,
    cohort: str,
    window: tuple[float, float],
    weights: Weights = "wing",
    control_group: ControlGroup = "notyettreated",
    covariates: str | Sequence[str] = (),
    cluster: str | None = None,
    vcov: Vcov | None = None,
    conf_level: float = 0.95,
) -> ImpactEffects:
    """Estimate effects by time since treatment from stacks: each cohort beside those untreated in its whole window.

    Parameters
    ----------
    panel : Panel
        From ``ev.panel``: the same units again, or repeated cross-sections.
    outcome : str
        Numeric column.
    cohort : str
        Column of the first treated period; 0 or missing means never.
    window : (pre, post)
        Time before and after treatment that each stack spans, such as ``(3, 2)``. Cohorts without a wave at each of
        these times are trimmed, and so are those without a comparison: ``fit["trimmed"]`` lists them.
    weights : {"wing", "none"}, default "wing"
        "wing" weighs the comparisons of each stack so that stacks have the same share among them as among the
        treated; without, the regression answers no question of interest.
    control_group : {"notyettreated", "nevertreated"}
        Comparisons: those not treated until the window ends, or never.
    covariates : str or list of str
        Further columns, as in ``survey_glm``.
    cluster : str, optional
        Column of the treated places. A row stands in several stacks, so errors by clusters of original places, which
        hold all copies of a row, are needed.
    vcov : {"jackknife", "cluster", "design", "CR0", "CR1", "CR2", "CR3", "CV3J"}, optional
        As of ``ev.att_gt``; the others as of ``ev.fe_regression``, which take the weights of
        comparisons as known: far too wide where outcomes differ from wave to wave.
    conf_level : float, default 0.95

    Returns
    -------
    ImpactEffects
        Row 0 is the mean over times from 0 on; then one row per ``event_time``, 0 at the last before treatment.
        ``fit["stack_weights"]`` holds the weight of the comparisons of each stack. These are estimated: the wild
        bootstrap redraws scores that count it, since the regression alone would not.

    Raises
    ------
    ColumnError
        A column is absent or cannot serve.
    IdentificationError
        No cohort has a whole window and a comparison.
    EstimationError
        An option is unknown, the window is empty on one side, or fewer than three clusters.

    Notes
    -----
    :math:`y` on treated, time since treatment, and their products. With N treated and comparison observations of a
    stack and of all, comparisons weigh :math:`(N_s^D / N^D) / (N_s^C / N^C)`, each N a sum of survey weights.

    References
    ----------
    Wing, Freedman and Hollingsworth (2024), NBER working paper 32054, section 4.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.impact.panel import panel
    >>> answers = pd.DataFrame({"gu": [1, 1, 2, 2], "year": [2015, 2016] * 2, "y": [1.0, 5, 2, 3]})
    >>> answers["first"] = [2016, 2016, 0, 0]
    >>> waves = panel(survey_design(answers, psu="gu"), unit="gu", time="year")
    >>> stacked_did(waves, outcome="y", cohort="first", window=(1, 0)).estimate.round(6).tolist()
    [3.0, 0.0, 3.0]
    """
    require_arguments(stacked_did, locals())
    _check(weights, control_group, window)
    asked = partial(
        read_rows, verb=VERB, outcome=outcome, cohort=cohort, covariates=covariates, cluster=cluster, by_cohort=True,
        needs_comparison=False, needs_start=False,
    )  # fmt: skip
    edges = (float(window[0]), float(window[1]))
    rows = asked(panel)
    fit = _stacked(rows, edges, weights, control_group)
    idle = ~np.isin(np.arange(len(rows.cohorts)), fit.stacks) & ~fit.controls.any(axis=0)
    if idle[rows.cohort].any():
        # Cohorts in no stack: their places would count among the clusters.
        period = panel.period.copy()
        period[rows.at[idle[rows.cohort]]] = -1
        rows = asked(replace(panel, period=period))
        fit = replace(_stacked(rows, edges, weights, control_group), trimmed=fit.trimmed)
    record = {
        "type": "dynamic",
        "window": [exact(edge) for edge in window],
        "weights": weights,
        "control_group": control_group,
        "overall": "mean over times since treatment",
        "n_stacked": fit.n_rows,
        "trimmed": list(fit.trimmed),
        "not_identified": list(fit.trimmed),
        "stack_weights": [
            {"cohort": exact(rows.cohorts[g]), "weight": float(q)}
            for g, q in zip(fit.stacks, fit.control_weights[0], strict=True)
        ],
    }
    return result_of(fit, VERB, vcov, conf_level, record)


def _check(weights: str, control_group: str, window: tuple[float, float]) -> None:
    if weights not in ("wing", "none"):
        raise EstimationError(f"{VERB}: weights must be 'wing' or 'none', got {weights!r}.")
    if control_group not in ("notyettreated", "nevertreated"):
        raise EstimationError(f"control_group must be 'notyettreated' or 'nevertreated', got {control_group!r}.")
    pair = isinstance(window, Sequence) and len(window) == 2
    if not pair or not all(isinstance(edge, (int, float)) for edge in window) or window[0] <= 0 or window[1] < 0:
        raise EstimationError(
            f"{VERB}: window must be (pre, post), time before (above 0) and after (0 or more) treatment, as (3, 2); "
            f"got {window!r}."
        )


def _weighty(rows: CohortRows) -> Mask:
    """Return the cohorts and waves with answers of some weight, shape (C, T)."""
    c, t = len(rows.cohorts), len(rows.times)
    w = rows.over_time.design.domain_weights[rows.at]
    return np.asarray(np.bincount(rows.cohort * t + rows.period, w, minlength=c * t).reshape(c, t) > 0)


def _stacked(rows: CohortRows, window: tuple[float, float], weights: str, control_group: str) -> StackedFit:
    pre, post = window
    since = rows.since
    inside = (since >= -pre) & (since <= post) & np.isfinite(since)
    times = np.unique(since[inside])
    times = times[(times >= -pre) & (times <= post)]
    stacks, controls, waves, trimmed, there = [], [], [], [], _weighty(rows)
    for g, first in enumerate(rows.cohorts):
        if np.isinf(first):
            continue
        own = np.flatnonzero(inside[g])
        clean = np.isinf(rows.cohorts) | ((rows.cohorts > first + post) & (control_group == "notyettreated"))
        whole = rows.times[0] <= first - pre and rows.times[-1] >= first + post and len(own) == len(times)
        silent = whole and not (there[g, own].all() and there[clean][:, own].any(axis=0).all())
        if not whole or not clean.any() or silent:
            reason = NO_COMPARISON if not clean.any() else NO_ANSWERS
            trimmed.append({"cohort": exact(first), "reason": reason if whole else OUTSIDE_WINDOW})
            continue
        stacks.append(g)
        controls.append(clean)
        waves.append(own)
    if not stacks or not (times < 0).any() or not (times >= 0).any():
        raise IdentificationError(
            f"{VERB}: no cohort has a wave at each time from {-pre:g} to {post:g} since treatment and somebody "
            f"untreated until then. Waves run from {rows.times[0]:g} to {rows.times[-1]:g}, cohorts from "
            f"{rows.cohorts[0]:g}: choose a shorter window.",
            failures=pd.DataFrame(trimmed),
        )
    return StackedFit(
        rows, times, np.array(stacks), np.stack(controls), np.stack(waves), weights == "wing", tuple(trimmed)
    )


@dataclass(frozen=True, eq=False)
class StackedFit:
    """Stacks of a roll-out, fitted.

    Attributes
    ----------
    rows : CohortRows
    times : ndarray, shape (E,)
        Times since treatment in the window.
    stacks : ndarray of int, shape (S,)
        Cohorts with a stack.
    controls : ndarray of bool, shape (S, C)
        Cohorts that serve for comparison in each.
    waves : ndarray of int, shape (S, E)
        Waves of each stack.
    corrective : bool
        Whether comparisons are weighted.
    trimmed : tuple of dict
        Cohorts without a stack, and why.
    """

    rows: CohortRows
    times: Floats
    stacks: Codes
    controls: Mask
    waves: Codes
    corrective: bool
    trimmed: tuple[dict[str, Any], ...]

    @property
    def keys(self) -> pd.DataFrame:
        """Overall, then the times since treatment."""
        times = pd.Series([None, *(exact(e) for e in self.times)], dtype=object)
        return pd.DataFrame({"term": ["overall"] + [self.rows.names["outcome"]] * len(self.times), "event_time": times})

    @property
    def cells(self) -> Mask:
        """Cohorts and waves that each row averages, shape (r, C, T)."""
        made = np.zeros((1 + len(self.times), len(self.rows.cohorts), len(self.rows.times)), dtype=bool)
        for g, waves in zip(self.stacks, self.waves, strict=True):
            made[1 + np.arange(len(self.times)), g, waves] = True
        made[0] = made[1:][self.times >= 0].any(axis=0)
        return made

    def serves(self, never: bool) -> Mask:
        """Return which cohorts a cohort is compared with in a wave, shape (C, T, C): those of its stack."""
        c, t = len(self.rows.cohorts), len(self.rows.times)
        made = np.zeros((c, t, c), dtype=bool)
        made[self.stacks] = self.controls[:, None, :]
        return made

    @cached_property
    def table(self) -> Floats:
        """Columns by group (comparison, treated), shape (K, 2, q): effects, covariates, then the dummies."""
        e, width = len(self.times), len(self.rows.u)
        base = int(np.flatnonzero(self.times < 0)[-1])
        others = [s for s in range(e) if s != base]
        made = np.zeros((2 * len(others) + 2 + width - 1, 2, e, width))
        for k, s in enumerate(others):
            made[k, 1, s, 0] = 1.0
            made[len(others) + width - 1 + k, :, s, 0] = 1.0
        for j in range(1, width):
            made[len(others) + j - 1, :, :, j] = 1.0
        made[-2, :, :, 0], made[-1, 1, :, 0] = 1.0, 1.0
        return made.reshape(len(made), 2, -1)

    @cached_property
    def combine(self) -> Floats:
        """Weight of each coefficient in each row, shape (r, K)."""
        e = len(self.times)
        base = int(np.flatnonzero(self.times < 0)[-1])
        weights = np.zeros((1 + e, len(self.table)))
        for k, s in enumerate(s for s in range(e) if s != base):
            weights[1 + s, k] = 1.0
        after = np.flatnonzero(self.times >= 0)
        weights[0] = weights[1 + after].mean(axis=0)
        return weights

    @cached_property
    def moments(self) -> Floats:
        """Moments by block and wave, shape (B, T, p + 2, p + 2)."""
        return raw_moments(self.rows, self.rows.over_time.design.domain_weights[self.rows.at])

    @cached_property
    def summed(self) -> Floats:
        """Moments by cohort and wave, shape (1, C, T, p + 2, p + 2)."""
        return self._by_cohort(self.moments)[None]

    def _again(self, weights: Floats) -> Floats:
        """Return the estimates under other final weights, shape (n,)."""
        moments = self._by_cohort(raw_moments(self.rows, weights[self.rows.at]))
        return np.asarray(self.estimates(moments[None])[0])

    def _by_cohort(self, moments: Floats) -> Floats:
        whole = np.zeros((len(self.rows.cohorts), *moments.shape[1:]))
        np.add.at(whole, self.rows.block_cohort, moments)
        return whole

    def groups(self, moments: Floats) -> tuple[Floats, Floats]:
        """Return moments of treated and of comparisons in each stack, shape (D, S, E, p + 2, p + 2)."""
        treated = moments[:, self.stacks[:, None], self.waves]
        pairs = zip(self.controls, self.waves, strict=True)
        controls = [np.einsum("dgeij,g->deij", moments[:, :, own], clean * 1.0) for clean, own in pairs]
        return treated, np.stack(controls, axis=1)

    def weights_of(self, treated: Floats, controls: Floats) -> Floats:
        """Return the weight of the comparisons of each stack, shape (D, S)."""
        of_treated, of_controls = treated[..., 0, 0].sum(axis=2), controls[..., 0, 0].sum(axis=2)
        if not self.corrective:
            return np.ones_like(of_treated)
        with np.errstate(invalid="ignore", divide="ignore"):
            share = of_controls / of_controls.sum(axis=1, keepdims=True)
            return np.asarray(of_treated / of_treated.sum(axis=1, keepdims=True) / share)

    @cached_property
    def control_weights(self) -> Floats:
        """Weight of the comparisons of each stack, shape (1, S)."""
        return self.weights_of(*self.groups(self.summed))

    def _products(self, moments: Floats) -> tuple[Floats, Mask]:
        """Return moments of comparison and treated group, shape (D, 2, q + 1, q + 1), and which exist."""
        treated, controls = self.groups(moments)
        least = 1e-12 * self.summed[0, ..., 0, 0].max()
        whole = (treated[..., 0, 0] > least).all(axis=(1, 2)) & (controls[..., 0, 0] > least).all(axis=(1, 2))
        q = np.where(whole[:, None], self.weights_of(treated, controls), 0.0)
        weighted = np.einsum("ds,dseij->deij", q, controls)
        both = np.stack([weighted, treated.sum(axis=1)], axis=1)
        made = np.stack([arranged(one) for one in both])
        return made, whole

    def estimates(self, moments: Floats) -> Floats:
        """Return the estimates for several sets of moments by cohort, shape (D, r); NaN where they do not exist."""
        products, whole = self._products(moments)
        _, coefficients, determined, _ = solved(self.table, products)
        hangs = np.einsum("rk,dk->dr", (self.combine != 0) * 1.0, (~determined) * 1.0) > 0
        return np.where(hangs | ~whole[:, None], np.nan, coefficients @ self.combine.T)

    @cached_property
    def estimate(self) -> Floats:
        """Estimates, shape (r,)."""
        return np.asarray(self.estimates(self.summed)[0])

    @cached_property
    def copies(self) -> list[tuple[int, bool, Codes, Codes]]:
        """Stack, whether treated, places among the rows, and time since treatment of every copy."""
        rows, made = self.rows, []
        for s, (g, clean, waves) in enumerate(zip(self.stacks, self.controls, self.waves, strict=True)):
            at_time = np.full(len(rows.times), -1)
            at_time[waves] = np.arange(len(waves))
            time = at_time[rows.period]
            for is_treated, mask in ((True, rows.cohort == g), (False, clean[rows.cohort])):
                own = np.flatnonzero(mask & (time >= 0))
                made.append((s, is_treated, own, time[own]))
        return made

    @property
    def n_rows(self) -> int:
        """Rows of all stacks."""
        return sum(len(own) for _, _, own, _ in self.copies)

    @property
    def bases(self) -> Codes:
        """Treated rows at each time since treatment, those from 0 on first, shape (r,)."""
        treated = [time for _, is_treated, _, time in self.copies if is_treated]
        count = np.bincount(np.concatenate(treated), minlength=len(self.times))
        return np.concatenate([[count[self.times >= 0].sum()], count])

    @property
    def n_parameters(self) -> int:
        """Columns of the regression."""
        return len(self.table)

    def influence(self, *, fixed: bool = False) -> Floats:
        """Return the derivative in each final weight, shape (n, r); ``fixed`` holds the weights of comparisons."""
        rows, q = self.rows, self.control_weights[0]
        products, _ = self._products(self.summed)
        solver, coefficients, _, _ = solved(self.table, products)
        shape = (2, len(self.times), len(rows.u))
        loads = (self.combine @ solver[0] @ self.table.reshape(len(self.table), -1)).reshape(-1, *shape)
        fitted = (coefficients[0] @ self.table.reshape(len(self.table), -1)).reshape(shape)
        own_weights = rows.over_time.design.domain_weights[rows.at]
        z = np.zeros((len(rows.at), len(self.combine)))
        sums, parts = np.zeros((len(q), len(self.combine))), self.copies
        for s, treated, own, time in parts:
            d = int(treated)
            x = rows.u[:, own]
            residual = rows.y[own] - (fitted[d, time] * x.T).sum(axis=1)
            score = np.stack([(load[d, time] * x.T).sum(axis=1) for load in loads], axis=1) * residual[:, None]
            z[own] += score if treated else q[s] * score
            if not treated:
                sums[s] = q[s] * own_weights[own] @ score
        if self.corrective and not fixed:
            mass = {(s, treated): float(own_weights[own].sum()) for s, treated, own, _ in parts}
            total = {kind: sum(m for (_, treated), m in mass.items() if treated == kind) for kind in (True, False)}
            for s, treated, own, _ in parts:
                sign = 1.0 if treated else -1.0
                z[own] += sign * (sums[s] / mass[s, treated] - sums.sum(axis=0) / total[treated])
        whole = np.zeros((len(rows.over_time.design), len(self.combine)))
        whole[rows.at] = z
        return whole

    def scores(self) -> Floats:
        """Return weighted influence summed per cluster, weights of comparisons held, shape (G, r)."""
        return scores_by_cluster(self.rows, self.influence(fixed=True))

    @cached_property
    def effective_clusters(self) -> Floats | None:
        """One over the sum of squared shares of the clusters in what each estimate rests on, shape (r,)."""
        clusters, q = self.rows.clusters, self.control_weights[0]
        if clusters is None:
            return None
        solver = solved(self.table, self._products(self.summed)[0])[0][0]
        loads = (self.combine @ solver @ self.table.reshape(len(self.table), -1)).reshape(
            -1, 2, len(self.times), len(self.rows.u)
        )
        squares = np.zeros((len(clusters), len(self.combine)))
        for s, treated, own, time in self.copies:
            at = self.rows.at[own]
            weights = self.rows.over_time.design.domain_weights[at] * (1.0 if treated else q[s])
            load = np.einsum("rnu,un->nr", loads[:, int(treated), time], self.rows.u[:, own])
            squares += sum_by(clusters.code[at], len(clusters), weights[:, None] * load**2)
        return effective(squares)

    @property
    def has_known_weights(self) -> bool:
        """Not where weights of comparisons are estimated."""
        return not self.corrective

    def form(self) -> LinearForm:
        """Return the stacked regression row by row."""
        rows, e, width = self.rows, len(self.times), len(self.rows.u)
        treated = np.concatenate([np.full(len(own), int(is_treated)) for _, is_treated, own, _ in self.copies])
        at, time = (np.concatenate([copy[place] for copy in self.copies]) for place in (2, 3))
        weights = np.concatenate(
            [
                np.full(len(own), 1.0 if is_treated else self.control_weights[0][s])
                for s, is_treated, own, _ in self.copies
            ]
        )
        k = e - 1
        table = self.table.reshape(-1, 2, e, width)[: k + width - 1]
        terms = [f"event time {t:g}" for t in np.delete(self.times, int(np.flatnonzero(self.times < 0)[-1]))]
        return LinearForm(
            rows,
            at,
            lambda: np.einsum("knu,un->kn", table[:, treated, time], rows.u[:, at]),
            (*terms, *rows.terms),
            k,
            (treated, f"treated in the stack of {rows.names['cohort']}"),
            (time, "event_time"),
            weights,
            self.combine[:, : k + width - 1],
        )

    def refit(self) -> Refit:
        """Return the means to ask the estimator again."""
        clusters = self.rows.clusters
        can_move = clusters is not None and clusters.cohort is not None
        return Refit(
            self.rows.over_time.design,
            clusters,
            self.estimate,
            self.influence,
            self._again,
            None if clusters is None else self._without,
            self._reordered if can_move else None,
        )

    def _without(self) -> Floats:
        g = 0 if self.rows.clusters is None else len(self.rows.clusters)
        moments = np.tile(self.summed, (g, 1, 1, 1, 1))
        np.subtract.at(moments, (self.rows.block_cluster, self.rows.block_cohort), self.moments)
        return self.estimates(moments)

    def _reordered(self, cohorts: Floats) -> Floats:
        belongs, fits = memberships(self.rows, cohorts)
        made = np.full((len(fits), len(self.combine)), np.nan)
        order = np.argsort(self.rows.block_cluster)
        made[fits] = self.estimates(np.tensordot(belongs, self.moments[order], axes=(2, 0)))
        return made
