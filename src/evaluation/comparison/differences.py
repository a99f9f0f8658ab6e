"""The difference of two groups that were read already: scale, error, replicates, and the record of what was done."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.comparison.adjustment.balancing import balancing_of
from evaluation.comparison.comparability import Comparability, require_comparability, require_item
from evaluation.comparison.outcomes.standardised import standardised_difference
from evaluation.design.design import Design, each_replicate
from evaluation.errors import EstimationError
from evaluation.estimation.counterfactual import (
    DOUBLY_ROBUST,
    WITH_PROPENSITY,
    GroupMeans,
    Method,
    potential_outcome_means,
)
from evaluation.estimation.groups import Groups
from evaluation.estimation.refitting import refitted_means
from evaluation.estimation.small_counts import fewest, rarer_answers
from evaluation.estimation.tilts import Balancing, Estimand, Target
from evaluation.results import Estimates

Floats = NDArray[np.float64]
Measure = Literal["difference", "log_risk_ratio", "log_odds_ratio", "smd"]

#: The highest evidence grade of a difference as it is, and of one between groups made alike in what was observed.
UNADJUSTED, ADJUSTED = 1, 2


def evidence_of(
    comparability: Comparability | None,
    ceiling: int,
    verb: str = "comparison",
    outcome: object = (),
    design: Design | None = None,
) -> dict[str, object]:
    """Return what a declared comparison adds to ``fit``: its grade, at most ``ceiling``, and what differs.

    Parameters
    ----------
    comparability : Comparability or None
        None adds nothing.
    ceiling : int
        Highest grade that the verb bears.
    verb : str
        For messages.
    outcome : str or list of str
        What is compared; the declaration must be of that item.
    design : Design, optional
        Whose columns and labels the outcome is one of; what is no column is left to whoever reads it.

    Raises
    ------
    EstimationError
        Something that is no declared comparison, or one of another item.
    IdentificationError
        The comparison is refused.
    """
    if comparability is None:
        return {}
    comparability = require_comparability(comparability, verb)
    names = [outcome] if isinstance(outcome, str) else outcome if isinstance(outcome, (list, tuple)) else []
    for name in names:
        if isinstance(name, str) and (design is None or name in design.data.columns):
            require_item(comparability, name, verb, None if design is None else design.provenance.labels)
    return {
        "evidence_grade": min(ceiling, comparability.grade),
        "differs_in": [difference.aspect for difference in comparability.differences],
    }


def estimate_difference(
    design: Design,
    groups: Groups,
    *,
    verb: str,
    method: Method,
    outcome: str,
    treatment: str,
    estimand: Estimand = "ATT",
    measure: Measure = "difference",
    conf_level: float = 0.95,
    balancing: Balancing = "propensity",
    target: Target = "observed",
) -> Estimates:
    """Estimate the difference of two groups that were read already, for verbs that take several of them.

    Parameters
    ----------
    design : Design
        Its weights and variance.
    groups : Groups
        From ``groups_of``, on this design or one that differs in its weights alone.
    verb : str
        What the result and messages call it.
    method, estimand, balancing, target
        As in ``potential_outcome_means``.
    outcome, treatment : str
        Names for keys and messages.
    measure, conf_level
        As in ``group_difference``.

    Returns
    -------
    Estimates
        Row 0 is the difference; then the means of participants and of the comparison group.
    """
    if measure == "smd":
        plain = estimate_difference(
            design, groups, verb=verb, method=method, outcome=outcome, treatment=treatment, estimand=estimand,
            conf_level=conf_level, balancing=balancing, target=target,
        )  # fmt: skip
        return standardised_difference(plain, design)
    made = potential_outcome_means(groups, design.domain_weights, method, estimand, balancing=balancing, target=target)
    estimate, slope = _measured(made.mean, measure, outcome, verb)
    z = made.influence @ slope.T
    if design.replicates is None:
        contributions = design.contributions(z)
    else:
        means = refitted_means(groups, made, method, estimand, balancing, target)
        contributions = each_replicate(design, lambda weights: _measured(means(weights), measure, outcome, verb)[0])
    n_others, n_participants = groups.counts()
    n_used = n_others + n_participants
    compared = n_used if method == "difference_from_all" else n_others
    return Estimates(
        verb=verb,
        keys=pd.DataFrame({"term": outcome, "quantity": [measure, "mean_participants", "mean_comparison"]}),
        estimate=estimate,
        vcov=design.engine.covariance(contributions),
        df=np.full(3, float(design.degrees_of_freedom(groups.used))),
        n_obs=np.array([n_used, n_participants, compared]),
        bases=np.array([min(n_participants, n_others), n_participants, compared]),
        cell_counts=_rarer(groups, is_with_all=method == "difference_from_all"),
        provenance=design.provenance,
        engine=design.engine,
        contributions=contributions,
        influence_of=lambda: design.influence(z),
        conf_level=conf_level,
        fit=_fit_record(design, groups, made, method, estimand, treatment, balancing, target),
    )


def _rarer(groups: Groups, *, is_with_all: bool) -> NDArray[np.int64]:
    """Count who gave the rarer answer behind each row; the difference and everybody give both groups away."""
    others, participants = rarer_answers(groups.outcome, [groups.members(0), groups.members(1)])
    both = fewest([others, participants])
    return np.array([both, participants, both if is_with_all else others])


def _measured(mean: Floats, measure: Measure, outcome: str, verb: str) -> tuple[Floats, Floats]:
    """Return row 0 on its scale, then the two means, and their derivative in the means, shape (3, 2)."""
    others, participants = mean
    if measure == "difference":
        value, slope = participants - others, [-1.0, 1.0]
    elif measure == "log_risk_ratio":
        _refuse_outside(mean, np.inf, measure, outcome, verb)
        value, slope = np.log(participants / others), [-1 / others, 1 / participants]
    elif measure == "log_odds_ratio":
        _refuse_outside(mean, 1.0, measure, outcome, verb)
        odds = mean / (1 - mean)
        value, slope = (
            np.log(odds[1] / odds[0]),
            [-1 / (others * (1 - others)), 1 / (participants * (1 - participants))],
        )
    else:
        known = "'difference', 'log_risk_ratio', 'log_odds_ratio' or 'smd'"
        raise EstimationError(f"{verb}: measure must be {known}, got {measure!r}.")
    return np.array([value, participants, others]), np.array([slope, [0.0, 1.0], [1.0, 0.0]])


def _refuse_outside(mean: Floats, upper: float, measure: str, outcome: str, verb: str) -> None:
    if (mean <= 0).any() or (mean >= upper).any():
        bounds = "above 0" if np.isinf(upper) else "between 0 and 1"
        raise EstimationError(
            f"{verb}: {measure} needs means {bounds}, but '{outcome}' has {mean[1]:.6g} among participants and "
            f"{mean[0]:.6g} in comparison. Use measure='difference'."
        )


def _fit_record(
    design: Design,
    groups: Groups,
    made: GroupMeans,
    method: Method,
    estimand: Estimand,
    treatment: str,
    balancing: Balancing,
    target: Target,
) -> dict[str, object]:
    record: dict[str, object] = {
        "treatment": treatment,
        "participants": groups.levels[1],
        "comparison": "all" if method == "difference_from_all" else groups.levels[0],
        "n_left_out": groups.n_left_out,
    }
    if method in ("difference", "difference_from_all"):
        return record | _balanced_record(design, groups, treatment)
    record |= {"estimand": estimand, "formula": groups.participation.formula}
    if method != "ipw":
        record["family"] = groups.family
    if method in WITH_PROPENSITY:
        record["balancing"] = balancing
        record |= {"target": target} if method in DOUBLY_ROBUST and estimand in ("ATT", "ATC") else {}
        record |= _spread_of_weights(design.domain_weights * made.balancing, groups)
    return record


def _spread_of_weights(weights: Floats, groups: Groups) -> dict[str, object]:
    record: dict[str, object] = {}
    for name, group in (("participants", 1), ("comparison", 0)):
        own = weights[groups.members(group)]
        record[f"ess_{name}"] = float(own.sum() ** 2 / (own**2).sum())
        record[f"largest_weight_share_{name}"] = float(own.max() / own.sum())
    return record


def _balanced_record(design: Design, groups: Groups, treatment: str) -> dict[str, object]:
    """Return what a balancing step of these two groups adds to the record of their plain difference."""
    step = balancing_of(design)
    if step is None or step.treatment != treatment:
        return {}
    told = {"estimand": step.estimand, "formula": step.groups.participation.formula, "adjusted_by": step.verb}
    return told | _spread_of_weights(design.domain_weights, groups)
