"""What weighting did: to the weights, and to the sample's likeness with the population."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.design import Design, require_design
from evaluation.design.steps import AppliedStep
from evaluation.errors import EstimationError, MarginError
from evaluation.estimation.diagnostic_frames import DiagnosticFrame, hidden, marks_of, marks_of_parts
from evaluation.estimation.domains import cells_by
from evaluation.results import Provenance, frame_html
from evaluation.survey.margins import Margins
from evaluation.weighting.raking import as_margins, code_margins

Floats = NDArray[np.float64]
Names = str | Sequence[str]

#: A weight counts as moved where a step changed it by more than this factor, up or down.
MOVED = 2.0


@dataclass(frozen=True, eq=False)
class WeightSummary:
    """The weights before and after the chain, and each step's cost in precision.

    Attributes
    ----------
    weights_before, weights_after : ndarray, shape (n,)
        Design weights and final weights.
    history : pandas.DataFrame
        One row per step, see ``Design.history``.
    provenance : Provenance
        For captions.
    """

    weights_before: Floats
    weights_after: Floats
    history: pd.DataFrame
    provenance: Provenance

    def tidy(self) -> pd.DataFrame:
        """Return one row per step: n, sum, minimum, median, maximum, Kish design effect, effective n."""
        return self.history

    def __repr__(self) -> str:
        return self.history.to_string(index=False, float_format=lambda value: f"{value:.6g}")

    def _repr_html_(self) -> str:
        return frame_html(self.history)


def weight_summary(design: Design) -> WeightSummary:
    """Summarise the weights before, after, and through every step of the chain.

    Parameters
    ----------
    design : Design
        Any design.

    Returns
    -------
    WeightSummary
        ``kish_deff`` is Kish's :math:`n \\sum w^2 / (\\sum w)^2`, ``n_eff`` is n over it; both say what unequal
        weights alone cost an estimate unrelated to them.

    References
    ----------
    Kish (1992), Journal of Official Statistics 8, 183-200.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> design = survey_design(pd.DataFrame({"w": [1.0, 3.0]}), weights="w")
    >>> weight_summary(design).tidy()["kish_deff"].tolist()
    [1.25]
    """
    require_design(design, "weight_summary")
    return WeightSummary(design.base_weights, design.weights, design.history, design.provenance)


@dataclass(frozen=True, eq=False)
class MarginComparison:
    """Sample against population at every level of every margin, before and after weighting.

    Attributes
    ----------
    frame : pandas.DataFrame
        Columns margin, level, n_obs, target, before, after; the last three are shares, 0 to 1. Where levels have
        fewer respondents than the survey's smallest cell, what is of the sample is blank, and ``mark`` says why.
    provenance : Provenance
        For captions.
    """

    frame: pd.DataFrame
    provenance: Provenance

    def tidy(self) -> pd.DataFrame:
        """Return one row per margin and level."""
        return self.frame

    def __repr__(self) -> str:
        return self.frame.to_string(index=False, float_format=lambda value: f"{value:.6g}")

    def _repr_html_(self) -> str:
        return frame_html(self.frame)


def margin_comparison(design: Design, margins: Margins | Mapping[str, Any]) -> MarginComparison:
    """Compare the sample with the population at every categorical margin, weighted and not yet.

    Parameters
    ----------
    design : Design
        Its design weights are "before", its final weights "after".
    margins : Margins or mapping
        Population counts by level; a margin that weighting did not use is a check from outside. Totals of numbers are
        left to ``sample_balance``.

    Returns
    -------
    MarginComparison

    Raises
    ------
    MarginError
        A level stands on one side only, or there is no margin with levels.

    Notes
    -----
    Respondents count whose final weight is not zero, so that nonrespondents need no value.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"sex": ["f", "f", "m"]})
    >>> margin_comparison(survey_design(respondents), {"sex": {"f": 5, "m": 5}}).tidy()["before"].round(3).tolist()
    [0.667, 0.333]
    """
    require_design(design, "margin_comparison")
    given = as_margins(margins)
    if not given.categorical:
        raise MarginError(
            f"margin_comparison compares counts by level, but the margins hold only totals of numbers "
            f"({', '.join(given.totals) or 'none'}). Compare means with ev.sample_balance(design, margins)."
        )
    rows, marks, counted = [], list[str](), design.weights != 0
    for margin in code_margins(design, given, counted=counted):
        size, codes = len(margin.targets), margin.codes[counted]
        before, after = (
            np.bincount(codes, weights=w[counted], minlength=size) for w in (design.base_weights, design.weights)
        )
        shares = zip(margin.targets / margin.targets.sum(), before / before.sum(), after / after.sum(), strict=True)
        counts = np.bincount(codes, minlength=size)
        marks += marks_of_parts(counts, design.provenance)
        for level, count, (target, first, last) in zip(margin.levels, counts, shares, strict=True):
            rows.append((margin.name, level, int(count), target, first, last))
    frame = pd.DataFrame(rows, columns=["margin", "level", "n_obs", "target", "before", "after"])
    return MarginComparison(hidden(frame, ["margin", "level", "target"], marks), design.provenance)


class WeightDistribution(DiagnosticFrame):
    """How unequal the weights are, in all and by domain; columns as in ``weight_distribution``."""


def weight_distribution(design: Design, *, by: Names | None = None) -> WeightDistribution:
    """Describe the final weights: quantiles, spread, concentration, Kish design effect and effective n.

    Parameters
    ----------
    design : Design
        Any design; respondents with weight zero do not count.
    by : str or list of str, optional
        Columns whose combinations are the domains.

    Returns
    -------
    WeightDistribution
        One row per domain: ``n_obs``, ``sum``, ``mean``, ``cv`` (standard deviation over mean), ``minimum``, ``q05``,
        ``q25``, ``median``, ``q75``, ``q95``, ``maximum``, ``max_over_min`` (missing where weights are negative),
        ``share_top_1`` and ``share_top_5`` (of the total weight, carried by the heaviest 1 and 5 per cent of
        respondents, rounded up to whole ones), ``kish_deff``, ``n_eff``. Below the survey's ``min_cell`` respondents
        nothing but the domain is shown.

    Notes
    -----
    Kish's :math:`n \\sum w^2 / (\\sum w)^2 = 1 + cv^2` is the loss for an estimate unrelated to the weights;
    :func:`design_effects` has it by outcome.

    References
    ----------
    Kish (1992), Journal of Official Statistics 8, 183-200.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> answers = pd.DataFrame({"w": [1.0, 3.0, 2.0, 2.0], "area": ["a", "a", "b", "b"]})
    >>> found = weight_distribution(survey_design(answers, weights="w"), by="area").tidy()
    >>> found[["area", "cv", "kish_deff", "n_eff"]].to_numpy().tolist()
    [['a', 0.5, 1.25, 1.6], ['b', 0.0, 1.0, 2.0]]
    """
    require_design(design, "weight_distribution")
    cells = cells_by(design, by)
    rows = pd.DataFrame([_distribution(design.weights[cells.code == d]) for d in range(len(cells))])
    frame = pd.concat([cells.keys.reset_index(drop=True), rows], axis=1)
    marks = marks_of(frame["n_obs"].to_numpy(), design.provenance, bases=False)
    shown = hidden(frame, list(cells.keys.columns), marks)
    return WeightDistribution("weight_distribution", shown, design.provenance)


def _distribution(weights: Floats) -> dict[str, Any]:
    n, total = len(weights), float(weights.sum())
    ordered = np.sort(weights)[::-1]
    quantiles = np.quantile(weights, [0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0])
    mean, deff = total / n, kish_effect(weights)
    tops = {f"share_top_{part}": float(ordered[: -(-n * part // 100)].sum()) / total for part in (1, 5)}
    return {
        "n_obs": n,
        "sum": total,
        "mean": mean,
        "cv": float(weights.std()) / mean,
        **dict(zip(("minimum", "q05", "q25", "median", "q75", "q95", "maximum"), quantiles.tolist(), strict=True)),
        "max_over_min": float(quantiles[-1] / quantiles[0]) if quantiles[0] > 0 else np.nan,
        **tops,
        "kish_deff": deff,
        "n_eff": n / deff,
    }


def kish_effect(weights: Floats) -> float:
    """Return Kish's design effect of weights, shape (n,), of which those of zero do not count.

    Examples
    --------
    >>> kish_effect(np.array([1.0, 3.0, 0.0]))
    1.25
    """
    counted = weights[weights != 0]
    return len(counted) * float((counted**2).sum()) / float(counted.sum()) ** 2


class StepEffects(DiagnosticFrame):
    """What each step of the chain did to the weights; columns as in ``step_effects``."""


def step_effects(design: Design) -> StepEffects:
    """Describe each weighting step by its own factor: how unequal it is, whom it moved, what it cost.

    Parameters
    ----------
    design : Design
        With at least one weighting step.

    Returns
    -------
    StepEffects
        One row per step. ``n_before`` and ``n_after`` count weights other than zero; the rest is of the factors
        (weight after over weight before) of those who still count: ``factor`` (total after over total before, the
        part that all share), ``factor_minimum``, ``factor_q05``, ``factor_median``, ``factor_q95``,
        ``factor_maximum``, ``factor_deff`` (Kish's, of the factors), ``correlation`` of factor and weight before
        (missing where one is constant), ``share_moved`` (respondents whose weight moved by more than a factor 2
        relative to ``factor``), ``kish_deff`` after the step, ``deff_ratio`` (after over before, among those who
        still count).

    Raises
    ------
    EstimationError
        The design has no weighting step.

    Notes
    -----
    A step that cuts large weights has a factor that is negatively correlated with them and a ``deff_ratio`` below 1;
    one that is unrelated to the weights multiplies their design effect by about its own.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.weighting.raking import poststratify
    >>> answers = survey_design(pd.DataFrame({"sex": ["f", "f", "f", "m"]}))
    >>> step_effects(poststratify(answers, {"sex": {"f": 6, "m": 6}})).tidy()["factor_deff"].round(6).tolist()
    [1.333333]
    """
    require_design(design, "step_effects")
    if not design.steps:
        raise EstimationError(
            "step_effects: this design has no weighting step. ev.weight_distribution(design) describes its weights."
        )
    frame = pd.DataFrame([_effect(applied) for applied in design.steps])
    return StepEffects("step_effects", frame, design.provenance)


def _effect(applied: AppliedStep) -> dict[str, Any]:
    before, after = applied.weights_in, applied.weights_out
    kept = (before != 0) & (after != 0)
    factor, own = after[kept] / before[kept], before[kept]
    common = float(after[kept].sum() / own.sum())
    relative = factor / common
    low, q05, median, q95, high = np.quantile(factor, [0.0, 0.05, 0.5, 0.95, 1.0]).tolist()
    varies = np.ptp(factor) > 1e-12 * abs(common) and np.ptp(own) > 1e-12 * abs(own).max()
    return {
        "step": applied.step.verb,
        "n_before": int((before != 0).sum()),
        "n_after": int((after != 0).sum()),
        "factor": common,
        "factor_minimum": low,
        "factor_q05": q05,
        "factor_median": median,
        "factor_q95": q95,
        "factor_maximum": high,
        "factor_deff": kish_effect(factor),
        "correlation": float(np.corrcoef(factor, own)[0, 1]) if varies else np.nan,
        "share_moved": float(((relative > MOVED) | (relative < 1 / MOVED)).mean()),
        "kish_deff": kish_effect(after),
        "deff_ratio": kish_effect(after) / kish_effect(own),
    }
