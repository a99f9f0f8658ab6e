"""Two layers of the variance of an effect: sampling of persons, and shocks of places that no sample averages out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from evaluation import wording
from evaluation.design.design import Design
from evaluation.errors import EstimationError
from evaluation.estimation.arguments import require_arguments, require_conf_level, require_numbers
from evaluation.impact.effects import Clusters, ImpactEffects, covariance, errors_of
from evaluation.results import Provenance, plain

Floats = NDArray[np.float64]

VERB = "variance_layers"
TOTAL, SAMPLING, SHOCKS = "total", "sampling", "shocks"


@dataclass(frozen=True, eq=False)
class VarianceLayers:
    """Variances of the same estimates by where they come from, and what larger samples would leave.

    Attributes
    ----------
    frame : pandas.DataFrame
        Per estimate a row for each layer (``total``, ``sampling``, ``shocks``) and for each multiple of the sample:
        keys of the estimate, ``layer sample variance share std_error low high``. ``sample`` is 1 for today's, and
        infinite for the last. ``std_error`` is missing where the variance is negative.
    cluster : str
        Column of the places.
    n_clusters : int
    conf_level : float
        Of ``low`` and ``high``, the limits of variances.
    provenance : Provenance
    """

    frame: pd.DataFrame
    cluster: str
    n_clusters: int
    conf_level: float
    provenance: Provenance

    def tidy(self) -> pd.DataFrame:
        """Return one row per estimate and layer."""
        return self.frame.copy()

    @property
    def is_negative(self) -> bool:
        """Whether some difference of the two variances is below zero."""
        shocks = self.frame.loc[self.frame["layer"] == SHOCKS, "variance"]
        return bool((shocks < 0).any())

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        rows = [{str(name): plain(value) for name, value in row.items()} for row in self.frame.to_dict("records")]
        fit = {"cluster": self.cluster, "n_clusters": self.n_clusters, "conf_level": self.conf_level}
        return {"verb": VERB, "provenance": self.provenance.to_dict(), "fit": fit, "rows": rows}

    def layout(self, lang: str) -> tuple[dict[str, list[str]], list[str]]:
        """Return the columns of a table as text, and its notes."""
        keys = [name for name in self.frame.columns if name not in _OWN]
        words = wording.label_keys(self.frame[keys], self.provenance.labels, lang)
        columns = {
            wording.heading(name, self.provenance.labels, lang): words[name].tolist()
            for name in keys
            if (words[name] != "").any()
        }
        columns[wording.term("variance_layer", lang)] = [self._name(row, lang) for row in self._rows()]
        columns[wording.term("component", lang)] = [f"{row['variance']:.4g}" for row in self._rows()]
        columns[wording.term("layer_share", lang)] = [_share(row["share"]) for row in self._rows()]
        columns[wording.term("std_error", lang)] = [wording.plain_number(row["std_error"]) for row in self._rows()]
        return columns, self.notes(lang)

    def notes(self, lang: str | None = None) -> list[str]:
        """Return how to read the layers, and what a negative difference means."""
        told = [wording.term("layers_note", lang).format(g=self.n_clusters)]
        return [*told, wording.term("layers_negative", lang)] if self.is_negative else told

    def _rows(self) -> list[dict[str, Any]]:
        return [{str(name): value for name, value in row.items()} for row in self.frame.to_dict("records")]

    def _name(self, row: dict[str, Any], lang: str | None) -> str:
        if row["layer"] != "larger":
            return wording.term(f"layer_{row['layer']}", lang)
        if np.isinf(row["sample"]):
            return wording.term("layer_infinite", lang)
        return wording.term("layer_larger", lang).format(times=f"{row['sample']:g}")

    def text(self, lang: str | None = None) -> str:
        """Say for the first estimate what more sample would buy, in Korean or English."""
        first = self._rows()[: len(self.frame) // int((self.frame["layer"] == TOTAL).sum())]
        by = {(row["layer"], row["sample"]): row for row in reversed(first)}
        total, sampling, shocks = (by[layer, 1.0] for layer in (TOTAL, SAMPLING, SHOCKS))
        last = by["larger", np.inf]
        line = wording.term("said_layers", lang).format(
            error=wording.plain_number(total["std_error"]),
            sampling=_share(sampling["share"]),
            shocks=_share(shocks["share"]),
            variance=f"{shocks['variance']:.4g}",
            low=f"{shocks['low']:.4g}",
            high=f"{shocks['high']:.4g}",
        )
        if np.isnan(last["std_error"]):
            return f"{line} {wording.term('layers_negative', lang)}"
        return f"{line} {wording.term('said_layers_floor', lang).format(floor=wording.plain_number(last['std_error']))}"

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.text())}</p>"


_OWN = ("layer", "sample", "variance", "share", "std_error", "low", "high")


def _share(value: float) -> str:
    return wording.ABSENT if np.isnan(value) else f"{100 * value:.1f}%"


def variance_layers(
    effects: ImpactEffects, *, samples: float | Sequence[float] = (2.0, 4.0), conf_level: float = 0.95
) -> VarianceLayers:
    """Split the variance of effects into sampling of persons and shocks of places.

    Parameters
    ----------
    effects : ImpactEffects
        From an estimator with ``cluster=``; whatever its own errors are, both layers are made anew.
    samples : float or list of float, default (2, 4)
        Multiples of today's sample whose errors are projected, above 1; an infinite sample is always added.
    conf_level : float, default 0.95
        Of the limits of variances.

    Returns
    -------
    VarianceLayers
        ``total``: leave-one-place-out jackknife, which holds both. ``sampling``: the sampling design (strata, sampling
        units, weighting chain). ``shocks``: their difference, below zero where it comes out so.

    Raises
    ------
    EstimationError
        No effects, no cluster, sampling units that are the places or contain them, or an effect that does not exist
        without some place.

    Notes
    -----
    With m times the persons in the same sampling units' number times m, sampling variance is divided by m and shocks
    stay: :math:`V(m) = V_{jackknife} - (1 - 1/m) V_{design}`. Limits take the jackknife variance as
    :math:`\\chi^2_{G-1}` about its mean and the design's as known; with few places they are wide, and a difference
    below zero says that shocks are too small to be told from sampling, not that they help. Shocks hold whatever makes
    places differ beyond their persons: years that were good or bad for one place, and effects of different size.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.impact.panel import panel
    >>> from evaluation.impact.staggered.group_time import att_gt
    >>> rows = [(g, t, 2 * (g < 3), 2.0 * g * t + e) for g in range(6) for t in (1, 2) for e in (-1.0, 0.0, 1.0)]
    >>> answers = pd.DataFrame(rows, columns=["place", "year", "first", "y"])
    >>> found = att_gt(panel(survey_design(answers), time="year"), outcome="y", cohort="first", cluster="place")
    >>> variance_layers(found).tidy()["layer"].tolist()
    ['total', 'sampling', 'shocks', 'larger', 'larger', 'larger']
    """
    require_arguments(variance_layers, locals())
    if not isinstance(effects, ImpactEffects) or effects.refit is None:
        raise EstimationError(
            f"{VERB} needs effects of a policy, e.g. of ev.aggregate or ev.twfe, got {type(effects).__name__}."
        )
    refit = effects.refit
    if refit.clusters is None:
        raise EstimationError(
            f"{VERB}: the effects name no places whose shocks could be told from sampling. Estimate with cluster=..."
        )
    _refuse_sampled_places(refit.design, refit.clusters)
    multiples = require_numbers(samples, f"{VERB}: samples", least=1.0)
    level = require_conf_level(conf_level, VERB)
    total = _variances(effects, "jackknife")
    if np.isnan(total).all():
        raise EstimationError(
            f"{VERB}: every effect hangs on a single place, so it has no jackknife variance. Use supported_only=True, "
            f"or another sum of effects."
        )
    sampling = _variances(effects, "design")
    g = len(refit.clusters)
    frames = [
        _layers(effects.keys.iloc[[row]], total[row], sampling[row], g - 1, [*multiples, np.inf], level)
        for row in range(len(effects))
        if not (total[row] == 0 and sampling[row] == 0)
    ]
    frame = pd.concat(frames, ignore_index=True)
    return VarianceLayers(frame, refit.clusters.name, g, level, effects.provenance)


def _refuse_sampled_places(design: Design, clusters: Clusters) -> None:
    """Raise an EstimationError where the sampling units are the places or contain them."""
    if design.replicates is not None or not design.sampling.psu:
        return
    counted = clusters.code >= 0
    unit, place = design.sampling.stages[0].unit[counted], clusters.code[counted]
    if len(np.unique(np.column_stack([unit, place]), axis=0)) == len(np.unique(place)):
        raise EstimationError(
            f"{VERB}: the design samples '{clusters.name}' as a whole (psu: {', '.join(design.sampling.psu)}), so the "
            f"error of the sampling design holds the shocks of places already, and the two cannot be told apart. If "
            f"the places themselves are no sample, declare the units drawn within them: ev.survey_design(..., psu=..., "
            f"strata='{clusters.name}')."
        )


def _variances(effects: ImpactEffects, rule: str) -> Floats:
    if effects.refit is None:
        return np.full(len(effects), np.nan)
    engine, contributions = errors_of(effects.refit, rule)  # type: ignore[arg-type]
    return np.asarray(np.diag(covariance(engine, contributions)))


def _layers(
    keys: pd.DataFrame, total: float, sampling: float, df: int, multiples: Sequence[float], level: float
) -> pd.DataFrame:
    shocks = total - sampling
    low, high = (total * df / float(stats.chi2.ppf(tail, df)) for tail in ((1 + level) / 2, (1 - level) / 2))
    rows = [
        (TOTAL, 1.0, total, low, high),
        (SAMPLING, 1.0, sampling, np.nan, np.nan),
        (SHOCKS, 1.0, shocks, low - sampling, high - sampling),
        *(("larger", m, shocks + sampling / m, np.nan, np.nan) for m in multiples),
    ]
    frame = pd.DataFrame(rows, columns=["layer", "sample", "variance", "low", "high"])
    frame["share"] = frame["variance"] / total
    with np.errstate(invalid="ignore"):
        frame["std_error"] = np.sqrt(frame["variance"].to_numpy())
    named = {str(name): [keys[name].iloc[0]] * len(frame) for name in keys}
    return pd.concat([pd.DataFrame(named), frame[list(_OWN)]], axis=1)
