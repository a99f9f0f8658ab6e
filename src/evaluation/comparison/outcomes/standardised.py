"""Differences in units of a spread: the standardised difference of an outcome, raw or adjusted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.comparison.adjustment.balancing import BalancingStep, balancing_of
from evaluation.comparison.outcomes.influences import estimates_of_weights, smooth_function
from evaluation.design.design import Design, require_design
from evaluation.errors import EstimationError
from evaluation.estimation.arguments import require_choice
from evaluation.estimation.contrasts import joined
from evaluation.estimation.groups import Groups, groups_of
from evaluation.results import NOISE, Estimates

Floats = NDArray[np.float64]
Denominator = Literal["participants", "comparison", "pooled", "everybody"]

DENOMINATORS = ("participants", "comparison", "pooled", "everybody")
#: Whose spread standardises the difference of each estimand; without one the pooled.
BY_ESTIMAND: dict[str, Denominator] = {"ATT": "participants", "ATC": "comparison"}
#: Measures whose row 0 is a difference of the two means behind it.
_DIFFERENCES = frozenset({"difference", "mean_difference"})


def standardised_difference(effect: Estimates, design: Design, *, denominator: Denominator | None = None) -> Estimates:
    """Estimate a difference of means in units of a standard deviation of the sample as it was before adjustment.

    Parameters
    ----------
    effect : Estimates
        From ``group_difference``, ``ipw``, ``aipw`` and so on with ``measure="difference"``, of one outcome.
    design : Design
        The design it was made from; balancing weights are left out of the spread.
    denominator : {"participants", "comparison", "pooled", "everybody"}, optional
        Whose standard deviation divides. Default: participants for ATT, comparison for ATC, else pooled,
        :math:`\\sqrt{(s_1^2 + s_0^2)/2}`.

    Returns
    -------
    Estimates
        Row 0 is the standardised difference (``quantity`` "smd"); then the two means. ``fit`` names the denominator
        and holds the standard deviation that divided (``sd``) and those of both groups.

    Raises
    ------
    EstimationError
        No difference of means, another design, or an outcome that does not vary.

    Notes
    -----
    Variances are survey-weighted with divisor :math:`\\sum w`. Their estimation is part of the influence: with effect
    :math:`\\Delta` and spread :math:`s`, :math:`(IF_\\Delta - \\Delta / s \\cdot IF_s) / s`.

    References
    ----------
    Austin (2011), Multivariate Behavioral Research 46, 399-424.

    Examples
    --------
    >>> from evaluation.comparison.effects import group_difference
    >>> from evaluation.design.declaration import survey_design
    >>> design = survey_design(pd.DataFrame({"y": [1.0, 3.0, 4.0, 6.0], "joined": [0, 0, 1, 1]}))
    >>> effect = group_difference(design, outcome="y", treatment="joined")
    >>> standardised_difference(effect, design).estimate.tolist()
    [3.0, 5.0, 2.0]
    """
    verb = "standardised_difference"
    require_design(design, verb)
    outcome, treatment = _of_means(effect, verb)
    estimand = effect.fit.get("estimand") or adjustment(design).get("estimand", "")
    chosen = denominator or BY_ESTIMAND.get(str(estimand), "pooled")
    require_choice(chosen, DENOMINATORS, f"{verb}: denominator")
    plain = unadjusted(design)
    groups = groups_of(plain, treatment=treatment, outcome=outcome, verb=verb)
    variances = _variances(plain, groups, verb)
    n = len(effect)
    both = joined([_bare(effect), variances])

    def divided(x: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate([[x[0] / np.sqrt(_spread(x[n:], chosen))], x[1:n]])

    keys = effect.keys.assign(quantity=["smd", *effect.keys["quantity"].iloc[1:]])
    made = smooth_function(both, divided, verb=effect.verb, keys=keys)
    sd = np.sqrt(variances.estimate)
    record = {
        "denominator": chosen,
        "sd": float(np.sqrt(_spread(variances.estimate, chosen))),
        "sd_participants": float(sd[1]),
        "sd_comparison": float(sd[0]),
    }
    return replace(
        made,
        df=effect.df,
        n_obs=effect.n_obs,
        bases=effect.bases,
        cell_counts=effect.cell_counts,
        conf_level=effect.conf_level,
        fit={**effect.fit, **record},
    )


def _of_means(effect: Estimates, verb: str) -> tuple[str, str]:
    """Return outcome and treatment of a difference of two means."""
    quantity = list(effect.keys["quantity"]) if "quantity" in effect.keys else []
    if not quantity or quantity[0] not in _DIFFERENCES or "treatment" not in effect.fit:
        raise EstimationError(
            f"{verb} needs a difference of two means, got rows {quantity or effect.addresses()[:3]} of {effect.verb}. "
            f"Pass what ev.group_difference or ev.aipw returned with measure='difference'."
        )
    return str(effect.keys["term"].iloc[0]), str(effect.fit["treatment"])


def _bare(effect: Estimates) -> Estimates:
    """Return an effect without what only its verb knows, so that other rows can stand under it."""
    return replace(effect, interval=None, columns={}, bases=None, cell_counts=None)


def _variances(design: Design, groups: Groups, verb: str) -> Estimates:
    """Return the weighted variance of the outcome among others, participants and everybody."""
    members = [groups.members(0), groups.members(1), groups.used]
    y = groups.outcome

    def evaluate(weights: Floats) -> tuple[Floats, Floats]:
        found, columns = [], []
        for rows in members:
            own = np.where(rows, weights, 0.0)
            size = own.sum()
            if not size > 0:
                raise EstimationError(f"{verb}: nobody is in one of the groups.")
            square = np.where(rows, (y - own @ y / size) ** 2, 0.0)
            found.append(own @ square / size)
            columns.append((square - rows * found[-1]) / size)
        return np.array(found), np.column_stack(columns)

    keys = pd.DataFrame({"term": ["comparison", "participants", "everybody"], "quantity": "variance"})
    n_obs = np.array([int(rows.sum()) for rows in members])
    made = estimates_of_weights(design, evaluate, verb=verb, keys=keys, n_obs=n_obs, df=np.inf)
    noise = (NOISE * np.abs(y).max()) ** 2
    flat = [name for name, value in zip(keys["term"], made.estimate, strict=True) if not value > noise]
    if "everybody" in flat or len(flat) > 1:
        raise EstimationError(f"{verb}: the outcome does not vary among {flat[0]}, so there is no unit to divide by.")
    return made


def _spread(variances: NDArray[Any], denominator: str) -> Any:
    comparison, participants, everybody = variances
    return {
        "participants": participants,
        "comparison": comparison,
        "pooled": (participants + comparison) / 2,
        "everybody": everybody,
    }[denominator]


def unadjusted(design: Design) -> Design:
    """Return a design as it was before balancing weights; the same one where there are none."""
    at = next((place for place, applied in enumerate(design.steps) if isinstance(applied.step, BalancingStep)), None)
    if at is None:
        return design
    weight = " → ".join(design.provenance.weight.split(" → ")[: at + 1])
    return replace(
        design,
        weights=design.steps[at].weights_in,
        steps=design.steps[:at],
        provenance=replace(design.provenance, weight=weight),
    )


def adjustment(design: Design) -> dict[str, str]:
    """Return what a balanced design adds to ``fit``: verb, estimand; nothing of any other design."""
    step = balancing_of(design)
    return {} if step is None else {"adjusted_by": step.verb, "estimand": step.estimand}
