"""The policy questions that a study fixed before outcomes were read, with design, cohorts and estimator."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from evaluation import project
from evaluation.design.design import Design
from evaluation.prespecification import PolicyPlan, read_prespecification
from evaluation.results import card_html
from evaluation.weighting.chain import study_design

_ESTIMATORS = {
    "dr": ("이중강건", "doubly robust"),
    "ipw": ("성향점수 가중", "propensity weighting"),
    "reg": ("결과 회귀", "outcome regression"),
}
_CONTROLS = {
    "notyettreated": ("아직 시행되지 않은 집단", "those not yet reached"),
    "nevertreated": ("끝까지 시행되지 않은 집단", "those never reached"),
}


@dataclass(frozen=True, eq=False)
class DeclaredPolicy:
    """One policy question, ready for the verbs.

    Attributes
    ----------
    name : str
        In the pre-specification.
    plan : PolicyPlan
        Outcome, time, cohort, cluster, covariates, estimator, control group, anticipation.
    design : Design
        Of the study, with its whole weighting chain.
    unmoved : tuple of str
        Outcomes that the policy cannot move: its own, else the study's negative controls that the design has.
    """

    name: str
    plan: PolicyPlan
    design: Design = field(repr=False)
    unmoved: tuple[str, ...] = ()

    @property
    def outcome(self) -> str:
        """The outcome's column."""
        return self.plan.outcome

    @property
    def is_share(self) -> bool:
        """Whether the outcome is yes or no, so that its mean is a share."""
        values = self.design.data.loc[self.design.present, self.outcome].dropna()
        return bool(values.isin((0, 1)).all())

    @property
    def effects(self) -> dict[str, Any]:
        """The arguments of ``att_gt`` that were fixed beforehand."""
        plan = self.plan
        return {
            "outcome": plan.outcome,
            "cohort": plan.cohort,
            "covariates": list(plan.covariates),
            "estimator": plan.estimator,
            "control_group": plan.control_group,
            "anticipation": plan.anticipation,
            "cluster": plan.cluster,
        }

    @property
    def cells(self) -> dict[str, Any]:
        """The arguments of verbs that read no outcome, such as ``identified_cells``."""
        return {name: self.effects[name] for name in ("cohort", "control_group", "anticipation", "cluster")}

    @property
    def alike(self) -> dict[str, Any]:
        """The arguments of ``cluster_correlations``."""
        return {name: self.effects[name] for name in ("outcome", "cohort", "cluster")}

    @property
    def table(self) -> dict[str, Any]:
        """The arguments of ``impact_table``: all of ``effects`` but the estimator."""
        return {name: value for name, value in self.effects.items() if name != "estimator"}

    @property
    def twofold(self) -> dict[str, Any]:
        """The arguments of ``goodman_bacon``: new respondents are summed up by place."""
        asked: dict[str, Any] = {"outcome": self.outcome, "cohort": self.plan.cohort}
        return asked if self.plan.unit is not None else asked | {"place": self.plan.cluster, "cells": "means"}

    @property
    def unanswered(self) -> dict[str, Any]:
        """The arguments of ``missing_outcome_bounds``: the ends of the scale are those of the answers."""
        answers = self.design.data.loc[self.design.present, self.outcome]
        ends = {"lowest": float(answers.min()), "highest": float(answers.max())}
        return {"outcome": self.outcome, **ends, **self.cells}

    @property
    def placebos(self) -> dict[str, Any]:
        """The arguments of ``placebo_outcomes``: outcomes that the policy cannot move."""
        return {name: value for name, value in self.effects.items() if name != "outcome"} | {"outcomes": self.unmoved}

    def _card(self) -> list[tuple[str, str]]:
        lang = project.language()
        k = 0 if lang == "ko" else 1
        plan, labels = self.plan, self.design.provenance.labels
        heads = (
            ("정책 질문", "등록", "결과", "시행 집단", "비교", "추정", "군집"),
            ("policy question", "registered", "outcome", "cohorts", "compared with", "estimator", "clusters"),
        )[k]
        known = ("이 연구가 결과를 읽기 전", "before this study read outcomes")[k]
        covariates = ", ".join(labels.variable(name, lang) for name in plan.covariates)
        adjusted = f" ({covariates})" if covariates else ""
        return [
            (heads[0], plan.title.in_language(lang)),
            (heads[1], known if plan.added is None else f"{plan.added} {('추가', 'added later')[k]}"),
            (heads[2], labels.variable(plan.outcome, lang)),
            (heads[3], labels.variable(plan.cohort, lang)),
            (heads[4], _CONTROLS[plan.control_group][k]),
            (heads[5], _ESTIMATORS[plan.estimator][k] + adjusted),
            (heads[6], labels.variable(plan.cluster, lang)),
        ]

    def __repr__(self) -> str:
        return "\n".join(f"{head}: {text}" for head, text in self._card())

    def _repr_html_(self) -> str:
        return card_html(self._card())


def declared_policy(study: str, name: str, **parameters: Any) -> DeclaredPolicy:
    """Open a policy question that the study fixed beforehand; nothing of the outcome is computed.

    Parameters
    ----------
    study : str
        Study id.
    name : str
        A policy in ``params/prespecification/<study>.yml``.
    **parameters
        As for ``study_design``.

    Returns
    -------
    DeclaredPolicy

    Raises
    ------
    StudyError
        There is no such policy question, or no such design.
    """
    registered = read_prespecification(study)
    plan = registered.policy(name)
    design = study_design(study, plan.design, **parameters)
    controls = [each for entry in registered.content.negative_controls.values() for each in entry.outcomes]
    unmoved = plan.placebo_outcomes or [each for each in controls if each in design.data.columns]
    return DeclaredPolicy(name, plan, design, tuple(dict.fromkeys(unmoved)))
