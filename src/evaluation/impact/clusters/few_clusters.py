"""Every p-value that can be had for one estimate, side by side, each with the convention behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from evaluation.errors import EstimationError
from evaluation.estimation.arguments import require_arguments
from evaluation.impact.absorbed.coefficients import AbsorbedEffects
from evaluation.impact.absorbed.rules import Rule
from evaluation.impact.absorbed.sandwich import uncertainty
from evaluation.impact.clusters.multipliers import Weights, number_of_draws
from evaluation.impact.clusters.randomization import (
    Statistic,
    reorder_estimator,
    reorder_regression,
    starts_of,
)
from evaluation.impact.clusters.resampled import (
    ResampledTest,
    key_of,
    method_words,
    named,
    none_rejected,
    outcome_of,
    refuse_reference,
    require_impact,
    row_of,
    shown_row,
)
from evaluation.impact.clusters.scores import ClusterScores, cluster_scores
from evaluation.impact.clusters.sides import Sides, sides_of
from evaluation.impact.clusters.wild_bootstrap import Options, contributions_of, is_linear, redraw, require_clusters
from evaluation.impact.effects import ImpactEffects, Refit, errors_of
from evaluation.results import Provenance, frame_html, plain
from evaluation.wording import ABSENT, capital, language_of, method_name, number, probability, term

Floats = NDArray[np.float64]

VERB = "few_cluster_table"
BOOTSTRAPS: tuple[Literal["11", "13", "31", "33"], ...] = ("11", "13", "31", "33")


@dataclass(frozen=True)
class Line:
    """One p-value.

    Attributes
    ----------
    method : str
        Code: a key of the workbench's words.
    level : str
        Column of the clusters, or "design".
    small_sample : str
        Factor of the variance, or how draws were made.
    df, std_error, statistic, p_value, conf_low, conf_high : float
        NaN where there is none.
    reason : str
        Code of why there is no p-value; empty where there is one.
    facts : mapping
        What the words of the method leave open.
    """

    method: str
    level: str
    small_sample: str = ""
    df: float = float("nan")
    std_error: float = float("nan")
    statistic: float = float("nan")
    p_value: float = float("nan")
    conf_low: float = float("nan")
    conf_high: float = float("nan")
    reason: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, eq=False, repr=False)
class FewClusterTable:
    """One estimate with every p-value that can be had for it.

    Attributes
    ----------
    key : mapping
        Keys of the row.
    estimate : float
    n_obs : int
    sides : Sides
        Clusters, treated and to compare with, effective, and the largest leverage.
    lines : tuple of Line
    conf_level : float
    provenance : Provenance
    mark : str
        Why the estimate may not be shown, empty where it may.
    outcome : str
        Column of the outcome, for titles.
    idle : int
        Clusters without which the estimate is the same.
    """

    key: Mapping[str, Any]
    estimate: float
    n_obs: int
    sides: Sides
    lines: tuple[Line, ...]
    conf_level: float
    provenance: Provenance
    mark: str = ""
    outcome: str = ""
    idle: int = 0

    def subject(self, lang: str) -> str:
        """Return what the estimate is of, for a title."""
        return named(self.key, self.provenance, lang, self.outcome)

    def tidy(self) -> pd.DataFrame:
        """Return one row per method: keys, ``method level small_sample`` ... ``p_value`` ... ``reason``, words."""
        names = ("df", "std_error", "statistic", "p_value", "conf_low", "conf_high", "reason")
        rows = []
        for line in self.lines:
            head = {"method": line.method, "level": line.level, "small_sample": line.small_sample}
            rows.append(
                {**self.key, **head, "estimate": self.estimate, **{name: getattr(line, name) for name in names}}
            )
        return pd.concat([shown_row(row, self.mark) for row in rows], ignore_index=True)

    def convention(self, method: str, lang: str | None = None) -> str:
        """Return in words how one of the p-values was made, or why there is none."""
        found = [line for line in self.lines if line.method == method]
        if not found:
            raise EstimationError(f"no method {method!r}; there are {', '.join(line.method for line in self.lines)}.")
        return _words(found[0], language_of(lang))

    def counts(self, lang: str | None = None) -> list[str]:
        """Return who stands behind the estimate, as sentences."""
        lang, sides = language_of(lang), self.sides
        told = [term("few_people", lang).format(n=f"{self.n_obs:,}", g=sides.clusters, cluster=self.lines[0].level)]
        if self.idle:
            told.append(term("few_idle", lang).format(n=self.idle))
        if sides.treated is not None and sides.control is not None:
            told.append(term("few_sides", lang).format(treated=sides.treated, control=sides.control))
        if np.isfinite(sides.effective):
            words = {"effective": f"{sides.effective:.1f}", "largest": f"{sides.largest:.2f}"}
            told.append(term("few_leverage", lang).format(**words, cluster=sides.largest_cluster))
        return told

    def layout(self, lang: str) -> tuple[dict[str, list[str]], list[str]]:
        """Return the table's columns of text, and its notes, which say what cannot be had."""
        lines = [line for line in self.lines if not line.reason or np.isfinite(line.std_error)]
        columns = {
            term("method", lang): [term(f"p_{line.method}", lang) for line in lines],
            term("few_how", lang): [_rule(line, lang) for line in lines],
            term("std_error", lang): [self.mark or _shown(line.std_error, 4) for line in lines],
            term("df", lang): [_shown(line.df, int(line.df % 1 > 0)) for line in lines],
            term("p_value", lang): [probability(line.p_value) for line in lines],
            term("interval", lang): [self.mark or _interval(line) for line in lines],
        }
        return columns, [
            f"{term('estimate', lang)} {self.mark or f'{self.estimate:.4g}'}",
            *self.counts(lang),
            *self._notes(lang),
        ]

    def _notes(self, lang: str) -> list[str]:
        """Return how to read the rows, and which of them cannot be had."""
        notes, facts = [], [line.facts for line in self.lines if "weights" in line.facts]
        methods = {line.method for line in self.lines if not line.reason}
        if "wcr_11" in methods:
            notes.append(term("few_note_wild", lang).format(weights=term(f"weights_{facts[0]['weights']}", lang)))
        found = {"score": "score_", "ri": "ri_", "design": "design_"}
        for name, start in found.items():
            if any(method.startswith(start) for method in methods):
                notes.append(term(f"few_note_{name}", lang))
        held = [term(f"p_{line.method}", lang) for line in self.lines if line.facts.get("shares_held")]
        if held:
            notes.append(term("few_note_shares", lang).format(methods=" · ".join(held)))
        never = next((line for line in self.lines if line.facts.get("none_rejected")), None)
        if never is not None:
            notes.append(none_rejected(never.facts, self.conf_level, lang))
        for reason in dict.fromkeys(line.reason for line in self.lines if line.reason):
            lacking = " · ".join(term(f"p_{line.method}", lang) for line in self.lines if line.reason == reason)
            notes.append(f"{lacking}: {term('not_available', lang)}, {term(reason, lang)}")
        return [*notes, term("few_read", lang)]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record at full precision."""
        rows = [{str(name): plain(value) for name, value in row.items()} for row in self.tidy().to_dict("records")]
        for row, line in zip(rows, self.lines, strict=True):
            row["convention"] = {lang: _words(line, lang) for lang in ("ko", "en")}
        return {
            "verb": VERB,
            "estimate": None if self.mark else self.estimate,
            "conf_level": self.conf_level,
            "n_obs": self.n_obs,
            "clusters": plain(vars(self.sides)),
            "provenance": self.provenance.to_dict(),
            "rows": rows,
        }

    def summary(self) -> str:
        """Return the table as text."""
        columns, notes = self.layout(language_of(None))
        return "\n".join([pd.DataFrame(columns).to_string(index=False), *notes])

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        columns, notes = self.layout(language_of(None))
        return frame_html(pd.DataFrame(columns)) + "".join(f"<p>{note}</p>" for note in notes)


def _shown(value: float, places: int) -> str:
    return ABSENT if np.isnan(value) else number(value, places)


def _rule(line: Line, lang: str) -> str:
    """Return the small-sample rule, how many draws were made, or how the design's variance was, in a few words."""
    if "draws" in line.facts:
        seed = term("no_seed", lang) if line.facts["seed"] is None else line.facts["seed"]
        kind = "draws_every" if line.facts["is_all"] else "draws_seeded"
        return term(kind, lang).format(n=f"{line.facts['draws']:,}", seed=seed)
    if line.method == "design_alone":
        return capital(method_name(line.small_sample, lang))
    return term(line.small_sample, lang) if line.small_sample else ABSENT


def _interval(line: Line) -> str:
    low, high = line.conf_low, line.conf_high
    return ABSENT if np.isnan(low) else f"[{number(low, 3)}, {number(high, 3)}]"


def _words(line: Line, lang: str) -> str:
    if line.reason:
        return f"{term('not_available', lang)}: {term(line.reason, lang)}"
    words = {"small_sample": line.small_sample, "cluster": line.level, **line.facts}
    held = f". {term('shares_held', lang)}" if line.facts.get("shares_held") else ""
    return method_words(line.method, words, lang) + held


def few_cluster_table(
    result: ImpactEffects,
    *,
    row: int | str | dict[str, Any] = 0,
    draws: int | Literal["all"] = 9999,
    orders: int | Literal["all"] = 999,
    weights: Weights = "rademacher",
    seed: int | None = None,
    conf_level: float | None = None,
) -> FewClusterTable:
    """Put every p-value of one effect side by side: cluster errors, jackknife, bootstraps, randomization, design.

    Parameters
    ----------
    result : ImpactEffects
        Estimated with ``cluster=``.
    row : int, str or dict, default 0
        Row by number, term, address, or keys such as ``{"event_time": 2}``.
    draws : int or "all", default 9999
        Of the wild cluster bootstrap.
    orders : int or "all", default 999
        Of randomization inference.
    weights : {"rademacher", "webb"}
        Of the bootstrap.
    seed : int, optional
        Where draws or orders are not enumerated.
    conf_level : float, optional
        Default that of the result.

    Returns
    -------
    FewClusterTable
        A row per method; where there is no p-value, ``reason`` says why.

    Raises
    ------
    EstimationError
        No cluster was named, or an option is unknown.
    FewClustersError
        There are fewer than three clusters.

    Notes
    -----
    Where p-values disagree, believe those that keep their size with few clusters: jackknife, randomization, WCR. With
    fewer than six treated or comparison clusters see ``ev.headline_inference``.

    References
    ----------
    MacKinnon, Nielsen and Webb (2023), Journal of Econometrics 232, 272-299.
    """
    require_arguments(few_cluster_table, locals())
    result = require_impact(result, VERB)
    place, clusters = row_of(result, row, VERB), require_clusters(result, VERB)
    refuse_reference(result, place, VERB)
    level = result.conf_level if conf_level is None else conf_level
    if not 0 < level < 1:
        raise EstimationError(f"{VERB}: conf_level must lie between 0 and 1, got {level!r}.")
    n_draws, is_all = number_of_draws(weights, len(clusters), draws, VERB)
    scores = cluster_scores(result.regression, result.solved) if is_linear(result) else None
    ask = _Asker(result, place, level, clusters.name, len(clusters), scores)
    lines = [*ask.sandwich(), ask.jackknife()]
    options = Options(weights=weights, seed=None if is_all else seed)
    lines += ask.bootstraps(options, n_draws, is_all)
    lines += ask.randomizations(orders, seed)
    lines.append(ask.design())
    estimate = float(result.estimate[place])
    key, n_obs = key_of(result, place), int(result.n_obs[place])
    return FewClusterTable(
        key=key,
        estimate=estimate,
        n_obs=n_obs,
        sides=sides_of(result, place),
        lines=tuple(lines),
        conf_level=level,
        provenance=result.provenance,
        mark=result.marks[place],
        outcome=outcome_of(result),
        idle=ask.idle(),
    )


@dataclass(frozen=True, eq=False)
class _Asker:
    """One row of a result, and how each method answers for it."""

    result: ImpactEffects
    place: int
    level: float
    cluster: str
    g: int
    scores: ClusterScores | None

    def line(self, method: str, small_sample: str, std_error: float, df: float, level: str = "") -> Line:
        """Return the p-value of t with its interval; none without degrees of freedom or error."""
        at = level or self.cluster
        facts: dict[str, Any] = {"g": self.g}
        if self.holds_shares and method.startswith(("cr2", "cr3")):
            facts["shares_held"] = True
        if not np.isfinite(std_error):
            return Line(method, at, small_sample, reason="no_estimate_without", facts=facts)
        if not df > 0 or std_error <= 0:
            reason = "no_df" if not df > 0 else "no_error"
            return Line(method, at, small_sample, df, std_error, reason=reason, facts=facts)
        estimate = float(self.result.estimate[self.place])
        half = float(stats.t.ppf((1 + self.level) / 2, df)) * std_error
        t = estimate / std_error
        p = float(2 * stats.t.sf(abs(t), df))
        return Line(method, at, small_sample, df, std_error, t, p, estimate - half, estimate + half, "", facts)

    def sandwich(self) -> list[Line]:
        """Return errors from cluster sums, with the normal distribution and with t; those of regressions corrected."""
        g = self.g
        if isinstance(self.result, AbsorbedEffects):
            one = (
                self.sums()
                if self.holds_shares
                else self.ruled("CR1", "clusters", {"cr1_normal": np.inf, "cr1_t": None})
            )
            if self.scores is None:
                return one + [Line(name, self.cluster, reason="needs_linear") for name in ("cr2", "cr3", "cr3_t")]
            two = self.ruled("CR2", "satterthwaite", {"cr2": None})
            return [*one, *two, *self.ruled("CR3", "satterthwaite", {"cr3": None, "cr3_t": g - 1.0})]
        return [*self.sums(), *(Line(name, self.cluster, reason="needs_regression") for name in ("cr2", "cr3"))]

    @property
    def holds_shares(self) -> bool:
        """Whether errors of the regression behind the result take estimated shares as known."""
        return isinstance(self.result, AbsorbedEffects) and self.result.holds_shares(self.place)

    def sums(self) -> list[Line]:
        """Return errors from influence summed by cluster, with the normal distribution and with t."""
        g = self.g
        try:
            error = float(np.linalg.norm(contributions_of(self.result, "cluster")[:, self.place]))
        except EstimationError:
            return [Line(name, self.cluster, reason="no_influence") for name in ("sums_normal", "sums_t")]
        wide = error * np.sqrt(g / (g - 1))
        return [self.line("sums_normal", "1", error, np.inf), self.line("sums_t", "G/(G-1)", wide, g - 1.0)]

    def ruled(self, kind: str, df: str, methods: Mapping[str, float | None]) -> list[Line]:
        """Return what a rule of errors of regressions says, by degrees of freedom of each method (None: its own)."""
        result = cast(AbsorbedEffects, self.result)
        rule, design = Rule(kind, (self.cluster,), "nonnested", df), cast("Refit", result.refit).design
        try:
            found = uncertainty(VERB, design, result.regression, result.solved, rule)
        except EstimationError:
            return [Line(method, self.cluster, reason="too_many_effects") for method in methods]
        combine = result.combine[[self.place]]
        error = float(np.sqrt(max(float((combine @ found.vcov @ combine.T)[0, 0]), 0.0)))
        small, own = str(found.told["small_sample"]).partition(",")[0], float(found.df(combine)[0])
        return [self.line(method, small, error, own if to is None else to) for method, to in methods.items()]

    @cached_property
    def changes(self) -> Floats:
        """What leaving each cluster out changes, shape (G,); NaN where there is no estimate."""
        try:
            return np.asarray(contributions_of(self.result, "jackknife")[:, self.place])
        except EstimationError:
            return np.full(self.g, np.nan)

    def idle(self) -> int:
        """Return without how many clusters the estimate is the same."""
        size = np.abs(self.changes)
        return int((size <= 1e-12 * np.nanmax(size, initial=0.0)).sum())

    def jackknife(self) -> Line:
        """Return the error of leaving clusters out."""
        parts = self.changes
        error = float(np.sqrt((self.g - 1) / self.g) * np.linalg.norm(parts))
        return self.line("cv3", "(G-1)/G", error, self.g - 1.0)

    def bootstraps(self, options: Options, n_draws: int, is_all: bool) -> list[Line]:
        """Return the wild cluster bootstraps of a regression, or the score bootstrap of others."""

        def drawn(chosen: Options) -> ResampledTest:
            return redraw(self.result, self.place, self.scores, chosen, n_draws, is_all, self.level)

        if self.scores is None:
            return [self.tested("score", lambda: drawn(options))]
        kinds = [(f"wcr_{kind}", kind, True) for kind in BOOTSTRAPS] + [("wcu_11", "11", False)]
        lines = []
        for method, kind, imposed in kinds:
            chosen = Options(cast(Any, kind), options.weights, 0.0, imposed, "both", options.seed)
            lines.append(self.tested(method, lambda chosen=chosen: drawn(chosen)))  # type: ignore[misc]
        return lines

    def tested(self, method: str, test: Callable[[], ResampledTest]) -> Line:
        """Return what a test against draws says."""
        try:
            found = test()
        except EstimationError:
            return Line(method, self.cluster, reason="no_estimate_without")
        how = "all" if found.is_enumerated else f"seed {found.facts['seed']}"
        return Line(
            found.method,
            self.cluster,
            f"{found.n_draws:,} ({how})",
            statistic=found.statistic,
            p_value=found.p_value,
            conf_low=found.conf_low,
            conf_high=found.conf_high,
            facts={**found.facts, "draws": found.n_draws},
        )

    def randomizations(self, draws: int | str, seed: int | None) -> list[Line]:
        """Return randomization inference by estimate and by t."""
        start = starts_of(self.result, self.place)
        if start is None:
            reason = self.no_orders()
            first = Line("ri_coefficient", self.cluster, reason=reason)
            if not reason:
                first = self.tested(
                    "ri_coefficient", lambda: reorder_estimator(self.result, self.place, draws, seed, self.level)
                )
            return [first, Line("ri_t", self.cluster, reason=reason or "no_t_by_order")]
        regression, scores = cast(AbsorbedEffects, self.result), cast(ClusterScores, self.scores)

        def by(statistic: Statistic) -> ResampledTest:
            return reorder_regression(regression, self.place, scores, start, draws, statistic, 0.0, seed, self.level)

        return [self.tested("ri_coefficient", lambda: by("coefficient")), self.tested("ri_t", lambda: by("t"))]

    def no_orders(self) -> str:
        """Return why an estimator cannot be asked for other orders, empty where it can."""
        refit = cast("Refit", self.result.refit)
        if isinstance(self.result, AbsorbedEffects) and self.scores is None:
            return "no_orders"
        if refit.clusters is None or refit.clusters.cohort is None:
            return "cohort_within"
        return "no_orders" if refit.reordered is None else ""

    def design(self) -> Line:
        """Return the error of the sampling design alone."""
        refit, result = cast("Refit", self.result.refit), self.result
        if isinstance(result, AbsorbedEffects) and not self.holds_shares:
            rule, combine = Rule("design", df="design"), result.combine[[self.place]]
            found = uncertainty(VERB, refit.design, result.regression, result.solved, rule)
            error = float(np.sqrt(max(float((combine @ found.vcov @ combine.T)[0, 0]), 0.0)))
            return self.line("design_alone", refit.design.engine.method, error, float(found.df(combine)[0]), "design")
        try:
            engine, parts = errors_of(refit, "design")
        except EstimationError:
            return Line("design_alone", "design", reason="no_influence")
        error = float(np.sqrt(max(float(engine.covariance(parts[:, [self.place]])[0, 0]), 0.0)))
        used = _used(result)
        return self.line("design_alone", engine.method, error, float(refit.design.degrees_of_freedom(used)), "design")


def _used(result: ImpactEffects) -> NDArray[np.bool_]:
    """Return who is behind a result, shape (n,)."""
    if isinstance(result, AbsorbedEffects):
        rows = np.zeros(len(cast("Refit", result.refit).design), dtype=bool)
        rows[result.regression.rows] = True
        return rows
    return np.asarray(cast(Any, cast("Refit", result.refit).clusters).code >= 0)
