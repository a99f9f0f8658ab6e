"""How far an estimated policy effect carries, and the most that may be written about it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from evaluation import project, wording
from evaluation.comparison.comparability import Comparability, Diagnostic, Measurement, assess_comparability
from evaluation.declared.policies import DeclaredPolicy
from evaluation.errors import EstimationError
from evaluation.impact.clusters.headline import Headline
from evaluation.impact.credibility.robust_sets import Breakdown
from evaluation.impact.rollout.schedule import ScheduleCheck
from evaluation.results import REFUSED_IN_CLAIMS, Estimates, TestResult, card_html

#: With fewer clusters no rule of the house keeps its level for every roll-out.
FEWEST_CLUSTERS = 12
#: A joint test below this level counts as failed.
LEVEL = 0.05
#: The most that may be written once the staggered design does not hold, by what is left of its grade.
_WEAKENED = {
    1: (
        "파일에 시행된 것으로 적힌 {places}의 변화가 다른 곳과 {gap} 달랐다고만 쓸 수 있음. 정책과 관련짓지 않음",
        "may only say that the change in {places} which the file counts as reached differed by {gap} from that in "
        "others; nothing is ascribed to the policy",
    ),
    2: (
        "먼저 시행된 {places}의 변화가 비교한 곳과 {gap} 달랐다고만 쓸 수 있음. 정책과 관련짓지 않음",
        "may only say that the change in {places} reached early differed by {gap} from that in those they were "
        "compared with; nothing is ascribed to the policy",
    ),
}


@dataclass(frozen=True, eq=False)
class PolicyEvidence:
    """How far an estimated policy effect carries: grade, what lowered it, and the most that may be written.

    Attributes
    ----------
    comparability : Comparability
        A staggered design, less the diagnostics that failed.
    question : DeclaredPolicy
        What was fixed beforehand.
    effect, low, high, p_value : float
        The overall effect with interval and p-value of the rule in charge; NaN where it has none.
    rule : str
        That rule, in the language of the project.
    leads : TestResult
        Joint test that nothing happened before the start.
    schedule : ScheduleCheck or None
        Which schedule the file carries; None where there is no roll-out file to hold it against.
    composition : TestResult or None
        Test that the people asked did not change differently.
    breakdown : float or None
        How many times the largest break of parallel trends before the start could be repeated after it, before zero
        could not be excluded any more.
    placebos : tuple of Estimates
        Effects where there should be none.
    early : Estimates or None
        The overall effect with a wave of anticipation allowed.
    n_unsupported : int
        Effects of the overall kind that were left out because they hang on one cluster.
    estimated : Estimates
        The overall effect as it was summed up.
    """

    comparability: Comparability
    question: DeclaredPolicy
    effect: float
    low: float
    high: float
    p_value: float
    rule: str
    leads: TestResult
    schedule: ScheduleCheck | None
    composition: TestResult | None
    breakdown: float | None
    placebos: tuple[Estimates, ...]
    early: Estimates | None
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
            ("근거 등급", "범위", "오차", "시행 전", "쓸 수 있는 말"),
            ("evidence", "scope", "error", "before the start", "what may be written"),
        )[k]
        before = (
            ("시행 전에 이미 움직임: 추세가 평행하지 않거나 미리 반응함",
             "it moved before the start: trends were not parallel, or people responded early"),
            ("시행 전 효과를 찾지 못함", "no effect found before the start"),
        )[self.leads.p_value >= LEVEL][k]  # fmt: skip
        test = f"F = {self.leads.statistic:.2f}, p = {self.leads.p_value:.3f}"
        return [
            (heads[0], "; ".join(self.comparability.text().splitlines())),
            (heads[1], self._scope(k)),
            (heads[2], f"{self.rule}, p = {self.p_value:.3f}" if np.isfinite(self.p_value) else self.rule),
            (heads[3], f"{before} ({test})"),
            *self._further(k),
            (heads[4], self._sentence(k)),
        ]

    def _further(self, k: int) -> list[tuple[str, str]]:
        places, lines = self.question.plan.places.in_language(("ko", "en")[k]), []
        if self.schedule is not None:
            lines.append((("시행 일정", "schedule")[k], repr(self.schedule).splitlines()[0]))
        if self.composition is not None:
            changed = self.composition.p_value < LEVEL
            said = (
                ("조사한 사람의 구성이 다르게 달라졌다는 증거를 찾지 못함", "no sign that the people asked changed"),
                ("조사한 사람의 구성이 다르게 달라짐", "the people asked changed differently"),
            )[changed][k]
            lines.append((("구성", "composition")[k], f"{said} (p = {self.composition.p_value:.3f})"))
        if self.breakdown is not None:
            lines.append((("평행추세 위반", "if trends were not parallel")[k], self._broken(k)))
        for placebo in self.placebos:
            lines += [(wording.verb_name(placebo.verb, ("ko", "en")[k]), _rows(placebo, k))]
        if self.early is not None:
            lines.append(
                (("한 해의 사전 반응을 허용하면", "with a wave of anticipation allowed")[k], _rows(self.early, k))
            )
        if self.n_unsupported:
            left_out = (
                f"시행 뒤의 효과 {self.n_unsupported}개: {places} 하나에 달려 있어 오차를 구할 수 없음",
                f"{self.n_unsupported} effects after the start, without an error because they hang on a single one of "
                f"the {places}",
            )[k]
            lines.append((("빠진 효과", "left out")[k], left_out))
        return lines

    def _broken(self, k: int) -> str:
        if not self.breakdown:
            return (
                "추세가 평행했다고 해도 0을 배제하지 못함",
                "zero is not excluded even if trends were parallel",
            )[k]
        if np.isinf(self.breakdown):
            return ("찾은 범위에서는 0을 배제함", "zero stays excluded over the whole range looked at")[k]
        return (
            f"시행 전에 본 가장 큰 어긋남의 {self.breakdown:.2f}배가 시행 뒤에 되풀이되면 0을 배제하지 못함",
            f"a break of {self.breakdown:.2f} times the largest one seen before the start is enough for zero to be "
            f"no longer excluded",
        )[k]

    def _sentence(self, k: int) -> str:
        if self.grade in _WEAKENED:
            places = self.question.plan.places.in_language(("ko", "en")[k])
            return _WEAKENED[self.grade][k].format(gap=self._gap(k), places=places)
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
        places = self.question.plan.places.in_language(("ko", "en")[k])
        people = (
            "; 부분 시행 동 포함 구 전체 주민",
            "; all their residents, whether or not their own dong was covered",
        )[k]
        return (
            f"{cohorts}년에 시작한 {places}만, 시작한 해부터 {longest}년 뒤까지",
            f"{places} that began in {cohorts} only, up to {longest} year{'s' * (longest != 1)} after their start",
        )[k] + (people if self.schedule is not None else "")

    def _gap(self, k: int) -> str:
        labels, lang = self.question.design.provenance.labels, ("ko", "en")[k]
        if self.question.is_share:
            effect, low, high = (wording.plain_number(round(100 * value, 1)) for value in self._values)
            limits = self._limits(low, high, k)
            return (f"{effect}%p({limits})", f"{effect} percentage points ({limits})")[k]
        spread = self.high - self.low if np.isfinite(self.high - self.low) else abs(self.effect)
        places = max(0, 1 - int(np.floor(np.log10(max(spread, 1e-12)))))
        effect, low, high = (f"{value:.{places}f}".replace("-", "−" if k else "-") for value in self._values)
        what, limits = labels.variable(self.question.outcome, lang), self._limits(low, high, k)
        return (f"{what} {effect}({limits})", f"{effect} ({limits}) in {what[:1].lower() + what[1:]}")[k]

    @property
    def _values(self) -> tuple[float, float, float]:
        """Effect and limits; the effect again where the rule in charge has no interval."""
        if np.isfinite(self.high - self.low):
            return self.effect, self.low, self.high
        return self.effect, self.effect, self.effect

    def _limits(self, low: str, high: str, k: int) -> str:
        """Return the interval of the rule in charge, or say that it has none."""
        if np.isfinite(self.high - self.low):
            return (f"{low}~{high}", f"{low} to {high}")[k]
        if np.isfinite(self.p_value):
            p_value = f"p\u00a0=\u00a0{self.p_value:.3f}"
            return (f"{p_value}, 신뢰구간 없음", f"{p_value}, no interval")[k]
        return ("오차를 구할 수 없음", "no error can be had")[k]

    def __repr__(self) -> str:
        *reasons, (_, sentence) = self._card()
        said = (f"{wording.capital(head)}: {text.rstrip('.')}." for head, text in reasons)
        return "\n".join([f"{_as_written(sentence)}.", *said])

    def _repr_html_(self) -> str:
        return card_html(self._card())


def policy_evidence(
    question: DeclaredPolicy,
    overall: Estimates,
    *,
    leads: TestResult,
    schedule: ScheduleCheck | None = None,
    headline: Headline | None = None,
    composition: TestResult | None = None,
    breakdown: Breakdown | None = None,
    placebos: Sequence[Estimates] = (),
    early: Estimates | None = None,
) -> PolicyEvidence:
    """Grade an estimated policy effect by its design and by the diagnostics that failed.

    Parameters
    ----------
    question : DeclaredPolicy
        What was fixed beforehand.
    overall : Estimates
        From ``aggregate``: row 0 is the overall effect.
    leads : TestResult
        From ``pretrend_test``.
    schedule : ScheduleCheck, optional
        From ``check_schedule``. Another schedule than the realised one leaves grade 1.
    headline : Headline, optional
        From ``headline_inference``: which rule is in charge, with its p-value and interval. Default: that of
        ``overall``.
    composition : TestResult, optional
        From ``composition_test``: a failed one leaves grade 2.
    breakdown : Breakdown, optional
        From ``breakdown_value`` with relative magnitudes.
    placebos : sequence of Estimates
        From ``placebo_dates`` and ``placebo_outcomes``: an effect in one of them, Holm over its rows, leaves grade 2.
    early : Estimates, optional
        The overall effect with anticipation allowed, shown beside.

    Returns
    -------
    PolicyEvidence

    Raises
    ------
    EstimationError
        The overall effect has no interval, or its error takes respondents of one cluster as independent.
    """
    if overall.fit.get(REFUSED_IN_CLAIMS) or overall.fit.get("sampling_error_alone"):
        raise EstimationError(
            f"policy_evidence: the error ({overall.variance_method}) takes respondents of one place as independent, "
            f"which no claim may rest on. Name the cluster and use vcov='jackknife'."
        )
    low, high = overall.confidence_interval()[0]
    if not low <= high:
        raise EstimationError(
            "policy_evidence: the overall effect has no interval. Sum up with ev.aggregate(..., supported_only=True)."
        )
    checks: list[tuple[Diagnostic, bool]] = [
        ("pre_trend", not leads.p_value >= LEVEL),
        ("schedule", schedule is not None and schedule.follows != "realised"),
        ("few_clusters", int(overall.fit.get("n_clusters", 0)) < FEWEST_CLUSTERS or _has_none(headline)),
        ("placebo", any(_finds(placebo) for placebo in placebos)),
        ("attrition", composition is not None and composition.p_value < LEVEL),
    ]
    same = Measurement(question.outcome, question.outcome, "residents", "as asked", 0)
    comparability = assess_comparability(
        same,
        same,
        contains_participants=False,
        evidence="staggered",
        failed=[name for name, has_failed in checks if has_failed],
    )
    p_value, rule = float(overall.tidy()["p_value"].iloc[0]), overall.variance_method
    if headline is not None:
        p_value, rule, low, high = headline.p_value, headline.rule, headline.conf_low, headline.conf_high
    unsupported = overall.fit.get("without_error", [])
    return PolicyEvidence(
        comparability=comparability,
        question=question,
        effect=float(overall.estimate[0]),
        low=float(low),
        high=float(high),
        p_value=p_value,
        rule=rule,
        leads=leads,
        schedule=schedule,
        composition=composition,
        breakdown=None if breakdown is None else breakdown.value,
        placebos=tuple(placebos),
        early=early,
        n_unsupported=_after(unsupported),
        estimated=overall,
    )


def _finds(placebo: Estimates) -> bool:
    """Tell whether an effect was found where there should be none, with Holm's correction over the rows."""
    p_values = placebo.tidy()["p_value"].dropna()
    return bool(len(p_values)) and float(p_values.min()) * len(p_values) < LEVEL


def _rows(found: Estimates, k: int) -> str:
    """Return each row of a result as estimate and p-value."""
    labels, lang, said = found.provenance.labels, ("ko", "en")[k], []
    for row in found.tidy().to_dict("records"):
        name = row["term"] if row["term"] != "overall" else found.fit.get("outcome", row["term"])
        shift = f" (−{row['shift']:g})" if "shift" in row else ""
        p_value = "–" if np.isnan(row["p_value"]) else f"{row['p_value']:.3f}"
        said.append(f"{labels.variable(str(name), lang)}{shift} {row['estimate']:.3g}, p = {p_value}")
    return "; ".join(said)


def _has_none(headline: Headline | None) -> bool:
    """Tell whether no rule can say how sure the effect is."""
    return headline is not None and headline.method == "none"


def _as_written(permission: str) -> str:
    """Return the sentence that a permission ("may say that ...") allows."""
    return wording.capital(re.sub(r"^may (only )?say that ", "", permission))


def _after(cells: Any) -> int:
    """Count the effects at or after the start among the cells that have no error."""
    return sum(1 for cell in cells if cell.get("time") is not None and cell["time"] >= cell["cohort"])
