"""Participants and others under the weights that are to make them alike: a design, a balanced one, or matched pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from evaluation import wording
from evaluation.comparison.adjustment.balancing import BalancingStep, balancing_of
from evaluation.design.design import Design, require_design
from evaluation.errors import EstimationError
from evaluation.estimation.group_checks import covariates_named, refuse_later
from evaluation.estimation.groups import Groups, groups_of
from evaluation.estimation.tilts import Estimand, require_estimand, tilt_of
from evaluation.results import Provenance

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Names = str | Sequence[str]


@runtime_checkable
class MatchedPairs(Protocol):
    """What a matching brings along: survey weights times how often each respondent stands in a match."""

    @property
    def design(self) -> Design:
        """As it was before matching."""
        ...

    @property
    def groups(self) -> Groups:
        """Participants and others with every value."""
        ...

    @property
    def weights(self) -> Floats:
        """Survey weights times what matching makes of them, shape (n,)."""
        ...

    @property
    def treatment(self) -> str:
        """Column of participation."""
        ...

    @property
    def covariates(self) -> Names:
        """What was matched on."""
        ...

    @property
    def estimand(self) -> Estimand:
        """Whose composition is aimed at."""
        ...

    @property
    def method(self) -> str:
        """How it was matched."""
        ...


@dataclass(frozen=True, eq=False)
class WeightedGroups:
    """Two groups with their weights before and after balancing.

    Attributes
    ----------
    design : Design
        Whose respondents they are.
    groups : Groups
        Who takes part, and who is in use.
    survey, final : ndarray, shape (n,)
        Survey weights, and those times the balancing weights; zero where not in use.
    scores : ndarray, shape (n,), or None
        Fitted probability of participation, where there is one.
    method : str
        What made the weights.
    treatment : str
    covariates : str or list of str
    estimand : str
        Whose composition is aimed at.
    """

    design: Design
    groups: Groups
    survey: Floats
    final: Floats
    scores: Floats | None
    method: str
    treatment: str
    covariates: Names
    estimand: Estimand

    @cached_property
    def used(self) -> Mask:
        """Respondents in use: in the domain, with a survey weight and every value, shape (n,)."""
        mask: Mask = self.groups.used & (self.survey != 0)
        return mask

    @property
    def provenance(self) -> Provenance:
        """Where the respondents come from, with their weight before balancing."""
        step, own = balancing_of(self.design), self.design.provenance
        if step is None:
            return own
        place = next(at for at, applied in enumerate(self.design.steps) if applied.step is step)
        return replace(own, weight=wording.ARROW.join(own.weight.split(wording.ARROW)[: place + 1]))

    def members(self, group: int) -> Mask:
        """Return who in use is of the comparison group (0) or takes part (1), shape (n,)."""
        return self.used & self.groups.members(group)


def weighted_groups(
    compared: Any,
    *,
    treatment: str | None,
    covariates: Names | None,
    estimand: Estimand | None,
    verb: str,
    propensity: bool = True,
) -> WeightedGroups:
    """Read the groups of a design, a balanced design or a matching.

    Parameters
    ----------
    compared : Design or Matched
        A design whose last step balances brings treatment, covariates and estimand; another one is weighted by its
        propensity scores.
    treatment, covariates, estimand
        Needed where ``compared`` does not know them (estimand: ATT); where it does, covariates may be others.
    verb : str
        For messages.
    propensity : bool, default True
        Whether a design without balancing weights gets those of the propensity score.

    Raises
    ------
    EstimationError
        Treatment or covariates are not known, or contradict those that the weights were made for.
    """
    if estimand is not None:
        require_estimand(estimand)
    of_design = compared.design if isinstance(compared, MatchedPairs) else compared
    covariates = None if covariates is None else covariates_named(covariates, verb)
    if covariates is not None and isinstance(of_design, Design):
        refuse_later(of_design, covariates, verb)
    if isinstance(compared, MatchedPairs):
        return _of_matching(compared, treatment, covariates, estimand, verb)
    require_design(compared, verb)
    step = balancing_of(compared)
    if step is not None:
        _refuse_other(step, treatment, estimand, verb)
        survey = _within(compared, _weights_before(compared, step))
        return WeightedGroups(
            compared, step.groups, survey, compared.domain_weights, step.scores, step.verb, step.treatment,
            step.covariates if covariates is None else covariates, step.estimand,
        )  # fmt: skip
    if treatment is None or covariates is None:
        raise EstimationError(
            f"{verb}: the design has no balancing weights that say what is compared. Name treatment= and covariates=, "
            f"or balance it first, e.g. ev.entropy_balance(design, treatment=..., covariates=[...])."
        )
    groups = groups_of(compared, treatment=treatment, covariates=covariates, verb=verb)
    survey, wanted = compared.domain_weights, estimand or "ATT"
    final = survey * tilt_of(groups, survey, wanted).balancing.sum(axis=1) if propensity else survey
    return WeightedGroups(compared, groups, survey, final, None, "propensity_weights", treatment, covariates, wanted)


def _weights_before(design: Design, step: BalancingStep) -> Floats:
    return next(applied.weights_in for applied in design.steps if applied.step is step)


def _of_matching(
    matched: MatchedPairs, treatment: str | None, covariates: Names | None, estimand: Estimand | None, verb: str
) -> WeightedGroups:
    _refuse_other(matched, treatment, estimand, verb)
    design, wanted = matched.design, matched.covariates if covariates is None else covariates
    final = _within(design, matched.weights)
    return WeightedGroups(
        design, matched.groups, design.domain_weights, final, None, f"match_{matched.method}", matched.treatment,
        wanted, matched.estimand,
    )  # fmt: skip


def _within(design: Design, weights: Floats) -> Floats:
    return weights if design.inside is None else np.where(design.inside, weights, 0.0)


def _refuse_other(
    made: BalancingStep | MatchedPairs, treatment: str | None, estimand: Estimand | None, verb: str
) -> None:
    for name, asked in (("treatment", treatment), ("estimand", estimand)):
        own = getattr(made, name)
        if asked is not None and asked != own:
            raise EstimationError(
                f"{verb}: {name}={asked!r} was asked, but the weights were made for {name}={own!r}. Leave {name} out, "
                f"or balance the design for {asked!r}."
            )
