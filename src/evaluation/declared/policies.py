"""The policy questions that a study fixed before outcomes were read, with design, cohorts and estimator."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

from evaluation import project, wording
from evaluation.comparison.comparability import Comparability, Diagnostic, Measurement, assess_comparability
from evaluation.design.design import Design
from evaluation.errors import EstimationError
from evaluation.impact.rollout.schedule import ScheduleCheck
from evaluation.prespecification import PolicyPlan, read_prespecification
from evaluation.results import Estimates, TestResult, card_html
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


#: With fewer clusters the jackknife no longer keeps its level.
FEWEST_CLUSTERS = 12
#: A joint test of the leads below this level counts as a pre-trend.
LEVEL = 0.05
#: The most that may be written once the staggered design does not hold, by what is left of its grade.
_WEAKENED = {
    1: (
        "파일에 시행된 것으로 적힌 구가 다른 구보다 {gap} 더 달라졌다고만 쓸 수 있음. 정책과 관련짓지 않음",
        "may only say that districts which the file counts as reached changed by {gap} more than others; nothing is "
        "ascribed to the policy",
    ),
    2: (
        "먼저 시행된 구가 아직 시행되지 않은 구보다 {gap} 더 달라졌다고만 쓸 수 있음. 정책과 관련짓지 않음",
        "may only say that districts reached early changed by {gap} more than those not yet reached; nothing is "
        "ascribed to the policy",
    ),
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
    """

    name: str
    plan: PolicyPlan
    design: Design = field(repr=False)

    @property
    def outcome(self) -> str:
        """The outcome's column."""
        return self.plan.outcome

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

    def _card(self) -> list[tuple[str, str]]:
        lang = project.language()
        k = 0 if lang == "ko" else 1
        plan, labels = self.plan, self.design.provenance.labels
        heads = (
            ("정책 질문", "등록", "결과", "시행 집단", "비교", "추정", "군집"),
            ("policy question", "registered", "outcome", "cohorts", "compared with", "estimator", "clusters"),
        )[k]
        known = ("결과를 읽기 전", "before outcomes were read")[k]
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
    plan = read_prespecification(study).policy(name)
    return DeclaredPolicy(name, plan, study_design(study, plan.design, **parameters))


@dataclass(frozen=True, eq=False)
class PolicyEvidence:
    """How far an estimated policy effect carries: grade, what lowered it, and the most that may be written.

    Attributes
    ----------
    comparability : Comparability
        A staggered design, less the diagnostics that failed.
    effect, low, high : float
        The overall effect with its interval; a share from 0 to 1 where the outcome is one.
    leads : TestResult
        Joint test that nothing happened before the start.
    schedule : ScheduleCheck
        Which schedule the file carries.
    n_unsupported : int
        Effects of the overall kind that were left out because they hang on one cluster.
    estimated : Estimates
        The overall effect as it was summed up.
    """

    comparability: Comparability
    effect: float
    low: float
    high: float
    leads: TestResult
    schedule: ScheduleCheck
    n_unsupported: int
    estimated: Estimates = field(repr=False)

    @property
    def overall(self) -> Estimates:
        """The overall effect with its grade and the sentence that it bears, for what is published of it."""
        said = {
            "evidence_grade": self.grade,
            "sentence_ko": f"{self._sentence(0)} ({self._scope(0)})",
            "sentence_en": _as_written(self._sentence(1)),
        }
        return replace(self.estimated, fit={**self.estimated.fit, **said})

    @property
    def grade(self) -> int:
        """Evidence grade, 1 to 4."""
        return self.comparability.grade

    def _card(self) -> list[tuple[str, str]]:
        k = 0 if project.language() == "ko" else 1
        heads = (
            ("근거 등급", "범위", "시행 일정", "시행 전", "빠진 효과", "쓸 수 있는 말"),
            ("evidence", "scope", "schedule", "before the start", "left out", "what may be written"),
        )[k]
        is_flat = self.leads.p_value >= LEVEL
        before = (
            ("시행 전 효과를 찾지 못함", "no effect found before the start"),
            ("시행 전에 이미 움직임: 추세가 평행하지 않거나 미리 반응함",
             "it moved before the start: trends were not parallel, or people responded early"),
        )[0 if is_flat else 1][k]  # fmt: skip
        test = f"F = {self.leads.statistic:.2f}, p = {self.leads.p_value:.3f}"
        left_out = (
            f"시행 뒤의 효과 {self.n_unsupported}개: 비교할 구가 하나뿐이어서 오차를 구할 수 없음",
            f"{self.n_unsupported} effects after the start, without an error because they hang on a single district",
        )[k]
        return [
            (heads[0], "; ".join(self.comparability.text().splitlines())),
            (heads[1], self._scope(k)),
            (heads[2], repr(self.schedule).splitlines()[0]),
            (heads[3], f"{before} ({test})"),
            (heads[4], left_out),
            (heads[5], self._sentence(k)),
        ]

    def _sentence(self, k: int) -> str:
        if self.grade in _WEAKENED:
            return _WEAKENED[self.grade][k].format(gap=self._gap(k))
        return self.comparability.strongest_sentence(self._gap(k), ("ko", "en")[k])

    def _scope(self, k: int) -> str:
        """Say which cohorts the effect is about, and how long after their start."""
        cells = [
            tuple(map(int, cell.split(","))) for cell in self.estimated.fit.get("cell_weights", {}).get("overall", {})
        ]
        if not cells:
            return wording.ABSENT
        cohorts = ", ".join(map(str, sorted({cohort for cohort, _ in cells})))
        longest = max(time - cohort for cohort, time in cells)
        return (
            f"{cohorts}년에 시작한 자치구만, 시작한 해부터 {longest}년 뒤까지; 부분 시행 동 포함 구 전체 주민",
            f"districts that began in {cohorts} only, up to {longest} year{'s' * (longest != 1)} after their first "
            "wave; all their residents, whether or not their own dong was covered",
        )[k]

    def _gap(self, k: int) -> str:
        effect, low, high = (
            wording.plain_number(round(100 * value, 1)) for value in (self.effect, self.low, self.high)
        )
        return (f"{effect}%p({low}~{high})", f"{effect} percentage points ({low} to {high})")[k]

    def __repr__(self) -> str:
        *reasons, (_, sentence) = self._card()
        return "\n".join([f"{_as_written(sentence)}.", *(f"{head}: {text.rstrip('.')}." for head, text in reasons)])

    def _repr_html_(self) -> str:
        return card_html(self._card())


def policy_evidence(
    question: DeclaredPolicy, overall: Estimates, *, leads: TestResult, schedule: ScheduleCheck
) -> PolicyEvidence:
    """Grade an estimated policy effect by its design and by the diagnostics that failed.

    Parameters
    ----------
    question : DeclaredPolicy
        What was fixed beforehand.
    overall : Estimates
        From ``aggregate``: row 0 is the overall effect on a share.
    leads : TestResult
        From ``pretrend_test``.
    schedule : ScheduleCheck
        From ``check_schedule``. Another schedule than the realised one leaves grade 1.

    Returns
    -------
    PolicyEvidence

    Raises
    ------
    EstimationError
        The overall effect has no interval.
    """
    low, high = overall.confidence_interval()[0]
    if not low <= high:
        raise EstimationError(
            "policy_evidence: the overall effect has no interval. Sum up with ev.aggregate(..., supported_only=True)."
        )
    checks: list[tuple[Diagnostic, bool]] = [
        ("pre_trend", not leads.p_value >= LEVEL),
        ("schedule", schedule.follows != "realised"),
        ("few_clusters", int(overall.fit.get("n_clusters", 0)) < FEWEST_CLUSTERS),
    ]
    same = Measurement(question.outcome, question.outcome, "residents", "as asked", 0)
    comparability = assess_comparability(
        same,
        same,
        contains_participants=False,
        evidence="staggered",
        failed=[name for name, has_failed in checks if has_failed],
    )
    unsupported = overall.fit.get("without_error", [])
    return PolicyEvidence(
        comparability,
        float(overall.estimate[0]),
        float(low),
        float(high),
        leads,
        schedule,
        _after(unsupported),
        overall,
    )


def _as_written(permission: str) -> str:
    """Return the sentence that a permission ("may say that ...") allows."""
    return wording.capital(re.sub(r"^may (only )?say that ", "", permission))


def _after(cells: Any) -> int:
    """Count the effects at or after the start among the cells that have no error."""
    return sum(1 for cell in cells if cell["time"] >= cell["cohort"])
