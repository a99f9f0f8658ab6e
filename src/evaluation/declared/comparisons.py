"""The comparisons that a study fixed before outcomes were read, with the design and covariates they use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from evaluation import project
from evaluation.comparison.adjustment.balancing import entropy_balance, propensity_weights
from evaluation.comparison.benchmark import benchmark_difference
from evaluation.comparison.comparability import Comparability, Measurement, assess_comparability
from evaluation.comparison.effects import aipw, group_difference
from evaluation.declared.estimates import DeclaredEstimates
from evaluation.design.design import Design, domain
from evaluation.errors import EvaluationError, StudyError
from evaluation.estimation.domains import levels_of
from evaluation.estimation.means import survey_mean
from evaluation.prespecification import ComparisonPlan, MeasurementPlan, Missing, read_prespecification
from evaluation.regression.formula import variables_of
from evaluation.results import Estimates, card_html
from evaluation.specification import Text, read_study
from evaluation.survey.benchmarks import Benchmark, read_benchmarks
from evaluation.weighting.chain import study_design


@dataclass(frozen=True, eq=False)
class DeclaredComparison:
    """One comparison, ready for the verbs.

    Attributes
    ----------
    name : str
        In the pre-specification.
    title : Text
        In both languages.
    design : Design
        Of the study, with its whole weighting chain.
    outcome, treatment : str
        Columns.
    covariates : list of str, or str
        Columns to adjust for, or a one-sided formula of them.
    subgroups : list of str
        Columns within whose levels the comparison is repeated.
    comparability : Comparability
        What the two sides have in common, and the most that may be written.
    comparator_outcome : str or None
        The other question, where the comparator answered another one.
    benchmark : Benchmark or None
        The published figure, where the comparator is one.
    printed : float or None
        What was published of participants.
    added : str or None
        Date, where the comparison was not among those registered.
    missing : {"refuse", "complete_cases", "indicator"}
        What a missing covariate means.
    controls : list of str
        Outcomes that, by the study's own word, taking part cannot move.
    """

    name: str
    title: Text
    design: Design = field(repr=False)
    outcome: str
    treatment: str
    covariates: list[str] | str
    subgroups: list[str]
    comparability: Comparability
    comparator_outcome: str | None
    benchmark: Benchmark | None
    printed: float | None
    added: str | None
    missing: Missing = "refuse"
    controls: list[str] = field(default_factory=list)

    @property
    def groups(self) -> dict[str, Any]:
        """What balance and effects are asked with: ``treatment`` and ``covariates``."""
        return {"treatment": self.treatment, "covariates": self.covariates}

    @property
    def effects(self) -> dict[str, Any]:
        """The same with the ``outcome``, and ``missing`` where missing covariates are not refused."""
        told = {} if self.missing == "refuse" else {"missing": self.missing}
        return {"outcome": self.outcome, **self.groups, **told}

    @property
    def variables(self) -> list[str]:
        """Columns that the covariates are made of."""
        return variables_of(self.covariates)

    @property
    def balanced(self) -> dict[str, Design]:
        """The design under each kind of balancing, by the verb that makes it; no outcome is read."""
        return {
            "propensity_weights": propensity_weights(self.design, **self.groups),
            "entropy_balance": entropy_balance(self.design, **self.groups),
        }

    @property
    def scale(self) -> Literal["log_risk_ratio", "smd"]:
        """The scale on which a hidden trait is weighed: ratios of shares, standard deviations of numbers."""
        answers = self.design.column(self.outcome)[self.design.present].dropna()
        return "log_risk_ratio" if answers.nunique() == 2 else "smd"

    def _card(self) -> list[tuple[str, str]]:
        lang = project.language()
        k = 0 if lang == "ko" else 1
        heads = (("비교", "등록", "문항", "비교 가능성", "쓸 수 있는 말"),
                 ("comparison", "registered", "question", "comparability", "what may be written"))[k]  # fmt: skip
        sides = (self.comparability.participants, self.comparability.comparator)
        wordings = list(dict.fromkeys(side.wording or side.item for side in sides))
        known = ("결과를 읽기 전", "before outcomes were read")[k]
        later = f"{self.added} {('추가', 'added later')[k]}"
        return [
            (heads[0], self.title.in_language(lang)),
            (heads[1], known if self.added is None else later),
            (heads[2], " / ".join(wordings)),
            (heads[3], "; ".join(self.comparability.text().splitlines())),
            (heads[4], self.comparability.strongest_sentence(("아래만큼", "the difference below")[k])),
        ]

    def __repr__(self) -> str:
        return "\n".join(f"{head}: {text}" for head, text in self._card())

    def _repr_html_(self) -> str:
        return card_html(self._card())


def declared_comparison(study: str, name: str, **parameters: Any) -> DeclaredComparison:
    """Open a comparison that the study fixed beforehand; nothing of the outcome is computed.

    Parameters
    ----------
    study : str
        Study id.
    name : str
        A comparison in ``params/prespecification/<study>.yml``.
    **parameters
        As for ``study_design``.

    Returns
    -------
    DeclaredComparison

    Raises
    ------
    StudyError
        There is no such comparison, design or published figure.
    """
    plan = read_prespecification(study)
    declared = plan.comparison(name)
    return DeclaredComparison(
        name,
        declared.title,
        study_design(study, plan.content.design, **parameters),
        declared.outcome,
        declared.treatment or plan.content.treatment,
        declared.covariates or plan.content.covariates,
        list(declared.subgroups),
        _comparability(declared),
        declared.comparator_outcome,
        _benchmark(study, name, declared),
        declared.printed,
        declared.added,
        declared.missing or plan.content.missing,
        [
            outcome
            for control in plan.content.negative_controls.values()
            if (control.treatment or plan.content.treatment) == (declared.treatment or plan.content.treatment)
            for outcome in control.outcomes
        ],
    )


def _comparability(declared: ComparisonPlan) -> Comparability:
    return assess_comparability(
        _measurement(declared.participants),
        _measurement(declared.comparator),
        contains_participants=declared.contains_participants,
        evidence=declared.evidence,
    )


def _measurement(declared: MeasurementPlan) -> Measurement:
    lang = project.language()
    wording = declared.wording.in_language(lang) if declared.wording is not None else ""
    population = declared.population.in_language(lang)
    return Measurement(declared.item, wording, population, declared.mode, declared.year, declared.asks_change)


def _benchmark(study: str, name: str, declared: ComparisonPlan) -> Benchmark | None:
    if declared.benchmark is None:
        return None
    survey = read_study(study).survey
    known = read_benchmarks(survey)
    if declared.benchmark not in known:
        raise StudyError(
            f"params/prespecification/{study}.yml, comparison '{name}': no figure '{declared.benchmark}' in "
            f"surveys/{survey}/benchmarks.csv. It has: {', '.join(known)}."
        )
    return known[declared.benchmark]


def declared_differences(study: str, **parameters: Any) -> DeclaredEstimates:
    """Estimate every group comparison that the study fixed: as it is, and doubly robust.

    Parameters
    ----------
    study : str
        Study id.
    **parameters
        As for ``study_design``.

    Returns
    -------
    DeclaredEstimates
        ``raw_<comparison>`` and ``adjusted_<comparison>``: the difference and both means; titles carry the grade.
        Comparisons with a published figure are left to ``benchmark_differences``; one whose item asks about a change
        is refused and left out.

    Raises
    ------
    EvaluationError
        Whatever the verb raises, with the comparison's name in front.
    """
    plan = read_prespecification(study)
    made: dict[str, Estimates] = {}
    titles: dict[str, Text | None] = {}
    for name, declared in plan.content.comparisons.items():
        comparison = declared_comparison(study, name, **parameters)
        if comparison.benchmark is not None or comparison.comparability.is_refused:
            continue
        made[f"raw_{name}"] = _named(study, comparison, _raw)
        made[f"adjusted_{name}"] = _named(study, comparison, _adjusted)
        titles[f"raw_{name}"] = _graded(declared.title, "그대로", "as they are", made[f"raw_{name}"])
        titles[f"adjusted_{name}"] = _graded(declared.title, "보정", "adjusted", made[f"adjusted_{name}"])
    return DeclaredEstimates(made, titles)


def _raw(comparison: DeclaredComparison) -> Estimates:
    return group_difference(
        comparison.design,
        outcome=comparison.outcome,
        treatment=comparison.treatment,
        comparability=comparison.comparability,
    )


def _adjusted(comparison: DeclaredComparison) -> Estimates:
    return aipw(comparison.design, **comparison.effects, comparability=comparison.comparability)


def _graded(title: Text, korean: str, english: str, result: Estimates) -> Text:
    """Return the title with the comparability mark: the evidence grade that the comparison reaches."""
    grade = result.fit["evidence_grade"]
    return _titled(title, f"{korean}, 근거 {grade}등급", f"{english}; evidence grade {grade}")


def _titled(title: Text, korean: str, english: str) -> Text:
    return Text(ko=f"{title.ko} ({korean})", en=f"{title.en} ({english})")


def _named(study: str, comparison: DeclaredComparison, make: Callable[[DeclaredComparison], Estimates]) -> Estimates:
    try:
        return make(comparison)
    except EvaluationError as error:
        place = f"params/prespecification/{study}.yml, comparison '{comparison.name}'"
        raise type(error)(f"{place}: {error}", failures=error.failures) from None


def benchmark_differences(study: str, **parameters: Any) -> DeclaredEstimates:
    """Hold participants' means against the figures published elsewhere that the study named beforehand.

    Parameters
    ----------
    study : str
        Study id.
    **parameters
        As for ``study_design``.

    Returns
    -------
    DeclaredEstimates
        One per comparison with a published figure: the difference, the participants' mean, the figure. Where the
        figure has a standard error, published or assumed, a second one (``..._exact``) takes it as exact: the interval
        is then that of the mean alone, and ``fit`` says so.
    """
    plan = read_prespecification(study)
    made: dict[str, Estimates] = {}
    titles: dict[str, Text | None] = {}
    for name, declared in plan.content.comparisons.items():
        if declared.benchmark is not None:
            comparison = declared_comparison(study, name, **parameters)
            made[f"benchmark_{name}"] = _named(study, comparison, _held_against)
            titles[f"benchmark_{name}"] = declared.title
            if comparison.benchmark is not None and comparison.benchmark.std_error is not None:
                made[f"benchmark_{name}_exact"] = _named(study, comparison, _held_against_exact)
                titles[f"benchmark_{name}"] = _titled(
                    declared.title, "수치의 오차를 가정", "the figure's error assumed"
                )
                titles[f"benchmark_{name}_exact"] = _titled(
                    declared.title, "수치를 오차 없는 값으로", "the figure taken as exact"
                )
    return DeclaredEstimates(made, titles)


def _held_against_exact(comparison: DeclaredComparison) -> Estimates:
    return _held_against(comparison, with_error=False)


def _held_against(comparison: DeclaredComparison, *, with_error: bool = True) -> Estimates:
    figure, design = comparison.benchmark, comparison.design
    if figure is None:
        raise StudyError(f"comparison '{comparison.name}' names no published figure.")
    levels = levels_of(design, comparison.treatment, "benchmark_differences")[0]
    participants = domain(design, {comparison.treatment: levels[-1]})
    share = float((design.domain_weights * participants.present).sum() / design.domain_weights.sum())
    return benchmark_difference(
        survey_mean(participants, comparison.outcome),
        figure.value,
        comparability=comparison.comparability,
        std_error=figure.std_error if with_error else None,
        participant_share=share if figure.contains_participants else None,
    )
