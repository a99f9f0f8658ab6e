"""Which inference stands beside an effect: the jackknife, or randomization where it cannot be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import stats

from evaluation.errors import EstimationError
from evaluation.estimation.arguments import require_arguments
from evaluation.impact.clusters.randomization import randomization_inference
from evaluation.impact.clusters.resampled import (
    ResampledTest,
    interval_text,
    is_reference,
    key_of,
    method_words,
    named,
    outcome_of,
    require_impact,
    row_of,
    shown_row,
)
from evaluation.impact.clusters.sides import Sides, sides_of
from evaluation.impact.clusters.wild_bootstrap import contributions_of, require_clusters
from evaluation.impact.effects import ImpactEffects
from evaluation.results import Provenance, card_html, plain
from evaluation.wording import ABSENT, interval_name, language_of, probability, term

VERB = "headline_inference"
#: With fewer treated, or fewer comparison, clusters the jackknife is not trusted.
FEW = 6


@dataclass(frozen=True, eq=False, repr=False)
class Headline:
    """The inference that stands beside an effect, and why this one.

    Attributes
    ----------
    key : mapping
        Keys of the row.
    method : {"cv3", "ri_coefficient", "none"}
        Jackknife over clusters, randomization over roll-out orders, or neither.
    estimate, std_error, statistic, df, p_value, conf_low, conf_high, conf_level : float
        NaN where there is none.
    reason : str
        Code of why: a key of the workbench's words.
    sides : Sides
        Clusters behind the effect.
    n_obs : int
    provenance : Provenance
    test : ResampledTest or None
        The randomization behind it.
    facts : mapping
        What the words leave open.
    mark : str
        Why the estimate may not be shown, empty where it may.
    """

    key: Mapping[str, Any]
    method: Literal["cv3", "ri_coefficient", "none"]
    estimate: float
    std_error: float
    statistic: float
    df: float
    p_value: float
    conf_low: float
    conf_high: float
    conf_level: float
    reason: str
    sides: Sides
    n_obs: int
    provenance: Provenance
    test: ResampledTest | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    mark: str = ""

    @property
    def rule(self) -> str:
        """The rule in a few words, in the language of the project."""
        lang = language_of(None)
        if self.test is not None:
            return method_words(self.test.method, self.test.facts, lang)
        return self.convention(lang)

    def why(self, lang: str | None = None) -> str:
        """Return in words why this inference was chosen.

        Parameters
        ----------
        lang : {"ko", "en"}, optional
            Default: the language of the project.
        """
        lang, sides = language_of(lang), self.sides
        words = {"treated": sides.treated, "control": sides.control, "g": sides.clusters, "few": FEW}
        return term(self.reason, lang).format(**words)

    def convention(self, lang: str | None = None) -> str:
        """Return in words how the p-value was made."""
        lang = language_of(lang)
        if self.test is not None:
            return self.test.convention(lang)
        return method_words(self.method, self.facts, lang) if self.method == "cv3" else term("p_none", lang)

    def tidy(self) -> pd.DataFrame:
        """Return one row: keys, ``method reason estimate std_error`` ... ``n_clusters n_treated n_control n_obs``."""
        names = ("method", "reason", "estimate", "std_error", "statistic", "df", "p_value", "conf_low", "conf_high")
        counts = {"n_clusters": self.sides.clusters, "n_treated": self.sides.treated, "n_control": self.sides.control}
        row = {**self.key, **{name: getattr(self, name) for name in names}, **counts, "n_obs": self.n_obs}
        return shown_row(row, self.mark)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record at full precision."""
        return {
            "verb": VERB,
            "method": self.method,
            "why": {lang: self.why(lang) for lang in ("ko", "en")},
            "convention": {lang: self.convention(lang) for lang in ("ko", "en")},
            "conf_level": self.conf_level,
            "provenance": self.provenance.to_dict(),
            "rows": [{str(name): plain(value) for name, value in self.tidy().iloc[0].items()}],
        }

    def layout(self, lang: str) -> tuple[dict[str, list[str]], list[str]]:
        """Return the columns of a table in text, and its notes."""
        columns = {
            term("term", lang): [named(self.key, self.provenance, lang, str(self.facts.get("outcome", "")))],
            term("method", lang): [term(f"p_{self.method}", lang)],
            term("estimate", lang): [self.mark or f"{self.estimate:.4g}"],
            term("std_error", lang): [self.mark or (ABSENT if np.isnan(self.std_error) else f"{self.std_error:.4g}")],
            term("p_value", lang): [probability(self.p_value)],
            interval_name(self.conf_level, lang): [self.mark or interval_text(self.conf_low, self.conf_high)],
        }
        return columns, [self.why(lang), self.convention(lang)]

    def card(self, lang: str | None = None) -> list[tuple[str, str]]:
        """Return headings and texts of what a reader needs."""
        lang = language_of(lang)
        lines = [
            (term("term", lang), named(self.key, self.provenance, lang, str(self.facts.get("outcome", "")))),
            (term("estimate", lang), f"{self.estimate:.6g}"),
        ]
        if np.isfinite(self.std_error):
            lines.append((term("std_error", lang), f"{self.std_error:.6g}"))
        lines.append((term("p_value", lang), probability(self.p_value)))
        if not np.isnan(self.conf_low) and not self.mark:
            lines.append((interval_name(self.conf_level, lang), interval_text(self.conf_low, self.conf_high)))
        return [
            *lines,
            (term("convention", lang), self.convention(lang)),
            (term("chosen_because", lang), self.why(lang)),
        ]

    def summary(self) -> str:
        """Return the inference as text."""
        return "\n".join(f"{head}: {text}" for head, text in self.card())

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return card_html(self.card())


def headline_inference(
    result: ImpactEffects,
    *,
    row: int | str | dict[str, Any] = 0,
    draws: int | Literal["all"] = 999,
    seed: int | None = None,
    conf_level: float | None = None,
) -> Headline:
    """Choose the inference that stands beside an effect.

    Parameters
    ----------
    result : ImpactEffects
        Estimated with ``cluster=``.
    row : int, str or dict, default 0
        Row by number, term, address, or keys such as ``{"event_time": 2}``.
    draws, seed
        As of ``ev.randomization_inference``.
    conf_level : float, optional
        Default that of the result.

    Returns
    -------
    Headline
        The jackknife over clusters with t(G - 1). With fewer than six treated or comparison clusters, or where the
        estimate does not exist without some cluster, randomization inference instead. Where that cannot be had either,
        no p-value; nor for the reference row of an event study, which is 0 by construction.

    Raises
    ------
    EstimationError
        No cluster was named.
    FewClustersError
        There are fewer than three clusters.

    Notes
    -----
    In simulated roll-outs the jackknife keeps its size down to five treated clusters, randomization always; with two
    treated clusters the jackknife rejects a true null twelve times in a hundred.
    """
    require_arguments(headline_inference, locals())
    result = require_impact(result, VERB)
    place, clusters = row_of(result, row, VERB), require_clusters(result, VERB)
    level = result.conf_level if conf_level is None else conf_level
    if not 0 < level < 1:
        raise EstimationError(f"{VERB}: conf_level must lie between 0 and 1, got {level!r}.")
    sides, g = sides_of(result, place), len(clusters)
    try:
        parts = contributions_of(result, "jackknife")[:, place]
    except EstimationError:
        parts = np.full(g, np.nan)
    error = float(np.sqrt((g - 1) / g) * np.linalg.norm(parts))
    if is_reference(result, place):
        return _nothing(result, place, level, sides, "chosen_none_reference")
    few, refused = sides.fewest is not None and sides.fewest < FEW, not error > 0
    if not few and not refused:
        reason = "chosen_jackknife" if sides.fewest is not None else "chosen_jackknife_unknown"
        return _by_jackknife(result, place, error, level, sides, reason)
    reason = "chosen_ri_refused" if refused else "chosen_ri_few"
    try:
        test = randomization_inference(result, row=place, draws=draws, seed=seed, conf_level=level)
    except EstimationError:
        return _nothing(result, place, level, sides, "chosen_none_refused" if refused else "chosen_none_few")
    return _by_orders(result, place, test, sides, reason)


def _nothing(result: ImpactEffects, place: int, level: float, sides: Sides, reason: str) -> Headline:
    nothing = float("nan")
    return Headline(
        key=key_of(result, place),
        method="none",
        estimate=float(result.estimate[place]),
        std_error=nothing,
        statistic=nothing,
        df=nothing,
        p_value=nothing,
        conf_low=nothing,
        conf_high=nothing,
        conf_level=level,
        reason=reason,
        sides=sides,
        n_obs=int(result.n_obs[place]),
        provenance=result.provenance,
        mark=result.marks[place],
        facts={"outcome": outcome_of(result)},
    )


def _by_jackknife(result: ImpactEffects, place: int, error: float, level: float, sides: Sides, reason: str) -> Headline:
    g, estimate = sides.clusters, float(result.estimate[place])
    half = float(stats.t.ppf((1 + level) / 2, g - 1)) * error
    clusters = result.refit.clusters if result.refit is not None else None
    return Headline(
        key=key_of(result, place),
        method="cv3",
        estimate=estimate,
        std_error=error,
        statistic=estimate / error,
        df=g - 1.0,
        p_value=float(2 * stats.t.sf(abs(estimate / error), g - 1)),
        conf_low=estimate - half,
        conf_high=estimate + half,
        conf_level=level,
        reason=reason,
        sides=sides,
        n_obs=int(result.n_obs[place]),
        provenance=result.provenance,
        mark=result.marks[place],
        facts={"g": g, "cluster": "" if clusters is None else clusters.name, "small_sample": "(G-1)/G"}
        | {"outcome": outcome_of(result)},
    )


def _by_orders(result: ImpactEffects, place: int, test: ResampledTest, sides: Sides, reason: str) -> Headline:
    return Headline(
        key=key_of(result, place),
        method="ri_coefficient",
        estimate=float(result.estimate[place]),
        std_error=float("nan"),
        statistic=test.statistic,
        df=float("nan"),
        p_value=test.p_value,
        conf_low=test.conf_low,
        conf_high=test.conf_high,
        conf_level=test.conf_level,
        reason=reason,
        sides=sides,
        n_obs=int(result.n_obs[place]),
        provenance=result.provenance,
        mark=result.marks[place],
        test=test,
        facts={"outcome": outcome_of(result)},
    )
