"""Questions that a study fixed beside its comparisons: ordered items, how often people took part, negative controls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from evaluation.comparison.adjustment.balancing import entropy_balance
from evaluation.comparison.outcomes.dose import DoseResponse, dose_response
from evaluation.comparison.outcomes.likert import likert_difference
from evaluation.comparison.sensitivity.negative_controls import NegativeControls, negative_controls
from evaluation.declared.estimates import DeclaredEstimates
from evaluation.errors import ColumnError, EvaluationError, StudyError
from evaluation.prespecification import (
    ControlPlan,
    DosePlan,
    Prespecification,
    Question,
    read_prespecification,
)
from evaluation.regression.formula import variables_of
from evaluation.results import Estimates
from evaluation.specification import Text
from evaluation.weighting.chain import study_design

Plan = TypeVar("Plan", bound=Question)
Result = TypeVar("Result")

_READINGS = (("raw", "그대로", "as they are"), ("adjusted", "보정", "adjusted"))


def declared_scales(study: str, **parameters: Any) -> DeclaredEstimates:
    """Estimate how participants and others answer the ordered items that the study fixed.

    Parameters
    ----------
    study : str
        Study id.
    **parameters
        As for ``study_design``.

    Returns
    -------
    DeclaredEstimates
        ``raw_<item>`` and ``adjusted_<item>``, each a ``LikertDifference``: as they answered, and with others brought
        to participants' composition by entropy balancing.

    Raises
    ------
    StudyError
        The study fixed none.
    EvaluationError
        Whatever the verb raises, with the question's name in front.
    """
    plan = read_prespecification(study)
    design = study_design(study, plan.content.design, **parameters)
    made: dict[str, Estimates] = {}
    titles: dict[str, Text | None] = {}
    for name, asked in _required(plan, "scales", plan.content.scales).items():
        treatment = asked.treatment or plan.content.treatment
        covariates = asked.covariates or plan.content.covariates
        if asked.outcome in variables_of(covariates):
            raise ColumnError(
                f"params/prespecification/{study}.yml, scales, '{name}': '{asked.outcome}' is the item and cannot be a "
                f"covariate too. Give this scale covariates of its own, without '{asked.outcome}'."
            )
        balance = partial(entropy_balance, design, treatment=treatment, covariates=covariates)
        alike = _told(study, "scales", name, balance)
        for (key, korean, english), own in zip(_READINGS, (design, alike), strict=True):
            compare = partial(likert_difference, own, outcome=asked.outcome, treatment=treatment, top=asked.top)
            made[f"{key}_{name}"] = _told(study, "scales", name, compare)
            titles[f"{key}_{name}"] = Text(ko=f"{asked.title.ko} ({korean})", en=f"{asked.title.en} ({english})")
    return DeclaredEstimates(made, titles)


def declared_doses(study: str, **parameters: Any) -> DeclaredEstimates:
    """Estimate the outcome by how often somebody took part, as the study fixed it.

    Parameters
    ----------
    study : str
        Study id.
    **parameters
        As for ``study_design``.

    Returns
    -------
    DeclaredEstimates
        One ``DoseResponse`` per question.

    Raises
    ------
    StudyError
        The study fixed none.
    EvaluationError
        Whatever the verb raises, with the question's name in front.
    """
    plan = read_prespecification(study)

    def made(asked: DosePlan) -> DoseResponse:
        return dose_response(
            study_design(study, asked.design or plan.content.design, **parameters),
            outcome=asked.outcome,
            dose=asked.dose,
            treatment=asked.treatment,
            breaks=asked.breaks,
            method=asked.method,
            covariates=asked.covariates or plan.content.covariates,
        )

    asked_for = _required(plan, "doses", plan.content.doses)
    return _each(study, "doses", asked_for, made)


def declared_controls(study: str, **parameters: Any) -> DeclaredEstimates:
    """Estimate adjusted differences in outcomes that, by the study's own word, taking part cannot have moved.

    Parameters
    ----------
    study : str
        Study id.
    **parameters
        As for ``study_design``.

    Returns
    -------
    DeclaredEstimates
        One ``NegativeControls`` per question.

    Raises
    ------
    StudyError
        The study fixed none.
    EvaluationError
        Whatever the verb raises, with the question's name in front.
    """
    plan = read_prespecification(study)
    design = study_design(study, plan.content.design, **parameters)

    def made(asked: ControlPlan) -> NegativeControls:
        return negative_controls(
            design,
            outcomes=asked.outcomes,
            treatment=asked.treatment or plan.content.treatment,
            covariates=asked.covariates or plan.content.covariates,
        )

    asked_for = _required(plan, "negative_controls", plan.content.negative_controls)
    return _each(study, "negative_controls", asked_for, made)


def _required(plan: Prespecification, kind: str, entries: Mapping[str, Plan]) -> Mapping[str, Plan]:
    if not entries:
        study = plan.content.study
        raise StudyError(
            f"params/prespecification/{study}.yml fixes no {kind}. Write them down before outcomes are read, or leave "
            f"'{kind}' out of the sections of params/{study}.yml."
        )
    return entries


def _each(study: str, kind: str, entries: Mapping[str, Plan], make: Callable[[Plan], Estimates]) -> DeclaredEstimates:
    made = {name: _told(study, kind, name, partial(make, asked)) for name, asked in entries.items()}
    return DeclaredEstimates(made, {name: asked.title for name, asked in entries.items()})


def _told(study: str, kind: str, name: str, make: Callable[[], Result]) -> Result:
    try:
        return make()
    except EvaluationError as error:
        place = f"params/prespecification/{study}.yml, {kind}, '{name}'"
        raise type(error)(f"{place}: {error}", failures=error.failures) from None
