"""Comparing only where the groups overlap: respondents of extreme propensity scores are set aside, by a named rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.comparison.adjustment.balancing import balancing_of
from evaluation.design.design import Design, require_design
from evaluation.design.steps import AppliedStep, Derivative
from evaluation.errors import ColumnError, EstimationError, did_you_mean
from evaluation.estimation.groups import Groups, groups_of
from evaluation.estimation.missing_covariates import Missing
from evaluation.estimation.tilts import fitted_propensity
from evaluation.weighting.cells import as_written

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Rule = Literal["fixed", "crump", "percentile"]

VERB = "trim_propensity"
#: Bounds of the rules that take some, where none are given.
BOUNDS = {"fixed": (0.1, 0.9), "percentile": (0.05, 0.95)}


@dataclass(frozen=True, eq=False)
class OverlapStep:
    """Respondents kept whose propensity score lies within limits; who they are is taken as given by every error.

    Attributes
    ----------
    asked, arguments : mapping
        The verb's arguments as given, and as a study file writes them.
    kept : ndarray of bool, shape (n,)
    limits : (float, float)
        Lowest and highest score that was kept.
    scores : ndarray, shape (n,)
        Propensity scores; NaN for who is in neither group.
    n_dropped : (int, int)
        Of the comparison group and of participants.
    """

    asked: Mapping[str, Any]
    arguments: Mapping[str, Any]
    kept: Mask
    limits: tuple[float, float]
    scores: Floats
    n_dropped: tuple[int, int]
    verb: str = VERB

    def replay(self, weights: Floats) -> Floats:
        """Keep the same respondents under other weights, shape (n,)."""
        return np.where(self.kept, weights, 0.0)

    def derivative(self, weights_in: Floats, weights_out: Floats) -> Derivative:
        """Return how the output weights move with the input weights: those that are kept, one to one."""
        return Derivative(self.kept.astype(float))

    def residualise(self, x: Floats, weights_in: Floats, weights_out: Floats) -> Floats:
        """R survey sees a domain: weighted influence stays as it is."""
        return x


def trim_propensity(
    design: Design,
    *,
    treatment: str | None = None,
    covariates: str | Sequence[str] | None = None,
    rule: Rule = "fixed",
    bounds: tuple[float, float] | None = None,
    missing: Missing = "refuse",
) -> Design:
    """Restrict a comparison to respondents whose propensity score is not extreme.

    Parameters
    ----------
    design : Design
        Any design. One that was balanced keeps its scores and weights, so the trimmed groups are no longer balanced
        exactly; on any other what follows estimates scores and weights anew, among those who are kept.
    treatment, covariates : str, and str or list of str
        As in ``ipw``; not needed on a balanced design.
    rule : {"fixed", "crump", "percentile"}, default "fixed"
        "fixed": scores within ``bounds``. "crump": within (a, 1 - a), a being what makes the average effect most
        precise if outcomes vary alike everywhere. "percentile": from the lower percentile of participants' scores to
        the upper one of the others'.
    bounds : (float, float), optional
        For "fixed" scores, default (0.1, 0.9); for "percentile" shares, default (0.05, 0.95).
    missing : {"refuse", "complete_cases", "indicator"}, default "refuse"
        As in ``ipw``; on a balanced design as it was there.

    Returns
    -------
    Design
        A domain, with all sampling units kept for the variance. Its population is a new one, and depends on the
        scores. ``history`` shows how many are left.

    Raises
    ------
    ColumnError
        Treatment or covariates are not named, or not as ``ipw`` needs them.
    EstimationError
        An unknown rule, impossible bounds, or nobody of a group is left.

    Notes
    -----
    Crump: with :math:`k = 1 / (e (1 - e))`, :math:`a = 1/2 - \\sqrt{1/4 - 1/\\gamma}` for
    :math:`\\gamma = 2 E[k | k \\le \\gamma]`, everybody where :math:`\\max k \\le 2 E k`; expectations are
    survey-weighted. The limits are taken as known by errors.

    References
    ----------
    Crump, Hotz, Imbens and Mitnik (2009), Biometrika 96, 187-199; Stürmer et al. (2010), American Journal of
    Epidemiology 172, 843-854 (percentiles). R twins: ``PSweight::PStrim``, ``WeightIt::trim``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"joined": [0, 0, 0, 0, 0, 1, 0, 1], "sex": list("mmmmmmff")})
    >>> kept = trim_propensity(survey_design(respondents), treatment="joined", covariates=["sex"], bounds=(0.2, 0.8))
    >>> kept.weights.tolist()
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]
    """
    require_design(design, VERB)
    given = _bounds(rule, bounds)
    step = balancing_of(design)
    groups, scores = _scored(design, treatment, covariates, missing)
    weights = design.domain_weights if step is None else np.where(groups.used, _before(design), 0.0)
    limits = _limits(rule, given, groups, scores, weights)
    kept: Mask = groups.used & (scores >= limits[0]) & (scores <= limits[1])
    dropped = (int((groups.members(0) & ~kept).sum()), int((groups.members(1) & ~kept).sum()))
    _refuse_nobody(design, groups, kept, limits)
    asked = {"treatment": treatment, "covariates": covariates, "rule": rule, "bounds": bounds, "missing": missing}
    told = as_written(**{name: value for name, value in asked.items() if (name, value) != ("missing", "refuse")})
    trimming = OverlapStep(asked, told, kept, limits, np.where(groups.used, scores, np.nan), dropped)
    return _kept(design, trimming)


def trimming_of(design: Design) -> OverlapStep | None:
    """Return the step that restricted a design to overlap last; None where none did."""
    steps = [applied.step for applied in design.steps if isinstance(applied.step, OverlapStep)]
    return steps[-1] if steps else None


def _kept(design: Design, step: OverlapStep) -> Design:
    weights = step.replay(design.weights)
    provenance = replace(design.provenance, weight=f"{design.provenance.weight} → {VERB}")
    applied = AppliedStep(step, design.weights, weights)
    inside = step.kept if design.inside is None else step.kept & design.inside
    return replace(design, weights=weights, steps=(*design.steps, applied), inside=inside, provenance=provenance)


def _before(design: Design) -> Floats:
    """Return the survey weights that the last balancing step multiplied, shape (n,)."""
    step = balancing_of(design)
    return next(applied.weights_in for applied in reversed(design.steps) if applied.step is step)


def _scored(
    design: Design, treatment: str | None, covariates: str | Sequence[str] | None, missing: Missing
) -> tuple[Groups, Floats]:
    """Return the groups and everybody's score, shape (n,): those of a balanced design, or fitted here."""
    step = balancing_of(design)
    if step is not None:
        if treatment not in (None, step.treatment) or covariates is not None:
            raise ColumnError(
                f"{VERB}: the design was balanced by {step.verb} and keeps its own scores, so treatment and covariates "
                f"are left out. To estimate scores anew, trim the design before it is balanced."
            )
        if step.scores is not None:
            return step.groups, np.where(step.groups.used, step.scores, 0.0)
        return step.groups, fitted_propensity(step.groups, np.where(step.groups.used, _before(design), 0.0))[0]
    if treatment is None or covariates is None:
        raise ColumnError(
            f"{VERB}: name treatment and covariates, of which the propensity score is made; only a design that was "
            f"balanced (ev.propensity_weights, ev.entropy_balance, ev.cbps) brings its own."
        )
    groups = groups_of(design, treatment=treatment, covariates=covariates, verb=VERB, missing=missing)
    return groups, fitted_propensity(groups, design.domain_weights)[0]


def _bounds(rule: str, bounds: tuple[float, float] | None) -> tuple[float, float]:
    if rule not in get_args(Rule):
        raise EstimationError(
            f"{VERB}: rule must be one of {list(get_args(Rule))}, got {rule!r}. {did_you_mean(rule, get_args(Rule))}"
        )
    if rule == "crump":
        if bounds is not None:
            raise EstimationError(f"{VERB}: rule='crump' finds its own bounds. Leave bounds out, or use rule='fixed'.")
        return (0.0, 1.0)
    if bounds is None:
        return BOUNDS[rule]
    try:
        low, high = (float(bound) for bound in bounds)
    except (TypeError, ValueError):
        raise EstimationError(f"{VERB}: bounds must be two numbers such as {BOUNDS[rule]}, got {bounds!r}.") from None
    if not 0 <= low < high <= 1:
        raise EstimationError(
            f"{VERB}: bounds must rise within 0 and 1, got ({low:g}, {high:g}). Usual: {BOUNDS[rule]}."
        )
    return low, high


def _limits(
    rule: str, bounds: tuple[float, float], groups: Groups, scores: Floats, weights: Floats
) -> tuple[float, float]:
    if rule == "fixed":
        return bounds
    if rule == "crump":
        used = groups.used & (weights > 0)
        alpha = crump_alpha(scores[used], weights[used])
        return alpha, 1 - alpha
    ends = [
        _percentile(scores[groups.members(group)], weights[groups.members(group)], share)
        for group, share in ((1, bounds[0]), (0, bounds[1]))
    ]
    return ends[0], ends[1]


def crump_alpha(scores: Floats, weights: Floats) -> float:
    """Return the distance from 0 and 1 beyond which scores make an average effect less precise.

    Parameters
    ----------
    scores, weights : ndarray, shape (n,)
        Weights above zero.

    Examples
    --------
    >>> crump_alpha(np.array([0.3, 0.5, 0.6]), np.ones(3))
    0.0
    >>> round(crump_alpha(np.array([0.01, 0.3, 0.4, 0.5, 0.6, 0.7]), np.ones(6)), 4)
    0.1317
    """
    k = 1 / (scores * (1 - scores))
    order = np.argsort(k)
    k, mass = k[order], np.cumsum(weights[order])
    twice = 2 * np.cumsum(weights[order] * k) / mass
    if k[-1] <= twice[-1]:
        return 0.0
    last = int(np.flatnonzero(k <= twice)[-1])
    return float(0.5 - np.sqrt(0.25 - 1 / twice[last]))


def _percentile(values: Floats, weights: Floats, share: float) -> float:
    """Return the smallest value up to which lies at least ``share`` of the weight."""
    order = np.argsort(values, kind="stable")
    mass = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(mass, share * mass[-1] * (1 - 1e-12))])


def _refuse_nobody(design: Design, groups: Groups, kept: Mask, limits: tuple[float, float]) -> None:
    for group, who in ((1, "participants"), (0, "the comparison group")):
        own = groups.members(group)
        if not (own & kept).any():
            raise EstimationError(
                f"{VERB}: nobody of {who} ({groups.levels[group]}) has a propensity score between {limits[0]:.4g} and "
                f"{limits[1]:.4g}, so there is no overlap to compare in. Widen the bounds, or ask for covariates that "
                f"part the groups less.",
                failures=pd.DataFrame(design.data.loc[own]),
            )
