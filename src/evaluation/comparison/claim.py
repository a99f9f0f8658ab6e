"""The claim that a comparison bears: every check with its number, the level they leave, one graded sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from evaluation import wording
from evaluation.amounts import adds_up, unit_of, with_unit
from evaluation.comparison.adjustment.balancing import refuse_balanced
from evaluation.comparison.claim_evidence import (
    ASSUMES,
    HEADLINE,
    Case,
    Declared,
    Limits,
    agreement,
    alike,
    asked_of,
    controls_of,
    distances,
    gate,
    is_yardstick,
    methods_side_by_side,
    odds_of_covariates,
    sensitivity,
)
from evaluation.comparison.claim_levels import (
    CAPS,
    GRADE_OF,
    Check,
    Facts,
    Level,
    level_of,
    sentences_of,
    shown_threshold,
    shown_value,
)
from evaluation.comparison.comparability import Comparability
from evaluation.comparison.differences import evidence_of
from evaluation.comparison.sensitivity.marginal_sensitivity import LARGEST
from evaluation.comparison.sensitivity.odds_benchmarks import OddsBenchmarks
from evaluation.design.design import Design
from evaluation.errors import EstimationError
from evaluation.estimation.arguments import came
from evaluation.estimation.contrasts import combined
from evaluation.estimation.groups import Groups
from evaluation.estimation.missing_covariates import Missing
from evaluation.estimation.tilts import Estimand, require_estimand
from evaluation.regression.families import Family
from evaluation.regression.formula import variables_of
from evaluation.results import Estimates, Provenance, plain, shown_record


@dataclass(frozen=True, eq=False)
class ComparisonClaim:
    """What may be written of a comparison, and why no more.

    Attributes
    ----------
    level : {"refused", "D", "A", "B", "C"}
        D describes, A states the raw difference, B also what remains between people alike in what was observed, C also
        what a hidden trait would have to be like.
    evidence_grade : int
        0 to 2: a cross-section bears no more.
    checks : tuple of Check
    facts : Facts by language
        The numbers as they are written.
    ladder : Estimates or None
        The differences behind the claim, with one covariance; None where the comparison is refused.
    provenance : Provenance
    record : dict
        Columns, estimand and what was left out.
    """

    level: Level
    evidence_grade: int
    checks: tuple[Check, ...]
    facts: Mapping[str, Facts]
    ladder: Estimates | None
    provenance: Provenance
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the checks that do not pass."""
        return tuple(check.name for check in self.checks if check.verdict != "passes")

    def sentences(self, lang: str | None = None) -> tuple[str, ...]:
        """Return the most that may be written, in Korean or English."""
        chosen = wording.language_of(lang)
        if self.ladder is not None and any(self.ladder.marks):
            mark = next(mark for mark in self.ladder.marks if mark)
            return (f"{self.facts[chosen].item}: {wording.ABSENT} {mark}",)
        return sentences_of(self.level, self.checks, self.facts[chosen], chosen, self.provenance.labels)

    def text(self, lang: str | None = None) -> str:
        """Return level and sentences as one text."""
        chosen = wording.language_of(lang)
        return "\n".join([_level_name(self.level, chosen), *self.sentences(chosen)])

    def tidy(self) -> pd.DataFrame:
        """Return one row per check: ``check, value, threshold, side, verdict, detail``; no value where marked."""
        hidden = self.ladder is not None and any(self.ladder.marks)
        names = ("name", "value", "threshold", "side", "verdict", "detail")
        rows = pd.DataFrame([{name: getattr(check, name) for name in names} for check in self.checks], columns=names)
        rows = rows.rename(columns={"name": "check"})
        return rows.assign(value=np.nan, mark=self.ladder.marks[0]) if hidden and self.ladder else rows

    def layout(self, lang: str) -> tuple[dict[str, list[str]], list[str]]:
        """Return the checks as columns of text, and the level with its sentences as notes."""
        hidden = self.ladder is not None and any(self.ladder.marks)
        columns = {
            wording.term("check", lang): [check.label(lang) for check in self.checks],
            wording.term("value", lang): [wording.ABSENT if hidden else shown_value(check) for check in self.checks],
            wording.term("required", lang): [shown_threshold(check) for check in self.checks],
            wording.term("verdict", lang): [wording.term(check.verdict, lang) for check in self.checks],
        }
        return columns, [_level_name(self.level, lang), *self.sentences(lang)]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        rows = [{str(name): plain(value) for name, value in row.items()} for row in self.tidy().to_dict("records")]
        said = {f"sentences_{lang}": list(self.sentences(lang)) for lang in ("ko", "en")}
        record = shown_record(self.record, self.provenance)
        fit = {"level": self.level, "evidence_grade": self.evidence_grade, **record, **said}
        return {"verb": "judge_comparison", "provenance": self.provenance.to_dict(), "fit": fit, "rows": rows}

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return "".join(f"<p>{escape(line)}</p>" for line in self.text().splitlines())


def _level_name(level: Level, lang: str) -> str:
    return wording.term(f"claim_level_{level}", lang)


def judge_comparison(
    comparison: Design | Declared,
    *,
    outcome: str | None = None,
    treatment: str | None = None,
    covariates: str | Sequence[str] | None = None,
    estimand: Estimand = "ATT",
    controls: Sequence[str] = (),
    family: Family | None = None,
    missing: Missing | None = None,
    comparability: Comparability | None = None,
    limits: Limits | None = None,
    conf_level: float = 0.95,
) -> ComparisonClaim:
    """Judge the evidence of a comparison and say the most that may be written of it.

    Parameters
    ----------
    comparison : Design, or what ``declared_comparison`` returned
        A design takes the columns as arguments; a declared comparison brings them.
    outcome, treatment, covariates, estimand, family, missing
        As in ``aipw``.
    controls : list of str
        Outcomes that the programme cannot move; without them no claim rises to C, nor with so few answers that their
        intervals, in standard deviations of their answers, reach beyond the adjusted difference in its own.
    comparability : Comparability, optional
        Whether the sides were asked the same, declared for this outcome; without it no claim rises to C.
    limits : Limits, optional
        Thresholds of the checks.
    conf_level : float, default 0.95
        Of all intervals.

    Returns
    -------
    ComparisonClaim
        ``level``, ``checks``, ``sentences(lang)``; ``ladder`` holds the differences.

    Raises
    ------
    ColumnError, EstimationError, IdentificationError
        As ``aipw``. A model that has no solution in these data, of participation, of the outcome or of the weights, is
        no error: the claim then describes and no more.

    Notes
    -----
    A refused comparison (the item asks about a change) is not estimated. D: balance or overlap fails, or a method has
    no solution. A: the raw difference, all there is without covariates. B: balance and overlap pass, and ``aipw``,
    ``entropy`` and ``regression_adjusted``, which assume different things, all tell the difference from zero on one
    side; the raw difference may hide it or be of the other sign. C: the raw difference shows it too, on the same side;
    the methods agree within a standard error; negative controls with enough answers show nothing; both sides were
    asked the same; and the Lambda at which the interval of ``sensitivity_bounds`` reaches zero is above that of the
    strongest observed covariate, if covariates are a yardstick: one differs between the groups by ``limits.smd`` or
    more, and the participation model has a coefficient whose p-value, times their number, is below 5 %. A check that
    was not made counts as one that does not pass. No level names a cause.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> rng = np.random.default_rng(1)
    >>> people = pd.DataFrame({"joined": np.tile([0, 1], 100), "age": rng.normal(50, 10, 200)})
    >>> people["trust"] = 5 + people["joined"] + rng.normal(0, 1, 200)
    >>> claim = judge_comparison(survey_design(people), outcome="trust", treatment="joined", covariates=["age"])
    >>> claim.level, claim.evidence_grade, claim.failed
    ('B', 2, ('change', 'same_item', 'declared_design', 'negative_controls', 'sensitivity'))
    """
    asked = asked_of(comparison, outcome, treatment, covariates, missing, comparability)
    require_estimand(estimand)
    if limits is not None and not isinstance(limits, Limits):
        raise EstimationError(
            f"judge_comparison: limits must be ev.Limits(...), got {came(limits)}. Write ev.Limits(smd=0.1)."
        )
    refuse_balanced(asked.design, asked.treatment, "judge_comparison")
    asked_first = gate(asked.comparability)
    case = replace(asked, estimand=estimand, family=family, limits=limits or Limits(), conf_level=conf_level)
    if any(check.cap == "refused" for check in asked_first):
        return _claim(case, asked_first, None, None)
    if case.comparability is not None:
        evidence_of(case.comparability, GRADE_OF["C"], "judge_comparison", case.outcome, case.design)
    groups = case.groups()
    case = replace(case, design=replace(case.design, inside=groups.used))
    made, apart = alike(case)
    identified = made[0].verdict == "passes"
    ladder, fitted = methods_side_by_side(case, identified)
    made += [fitted, *distances(ladder), *agreement(ladder, case.limits)]
    beside = odds_of_covariates(case) if identified else None
    made.append(sensitivity(case, beside, has_yardstick=identified and is_yardstick(case, groups, apart)))
    made.append(controls_of(case, controls, ladder, groups) if identified else Check("negative_controls"))
    return _claim(case, [*asked_first, *made], ladder, beside, groups)


def _claim(
    case: Case,
    checks: Sequence[Check],
    ladder: Estimates | None,
    beside: OddsBenchmarks | None,
    groups: Groups | None = None,
) -> ComparisonClaim:
    """Put checks in order, what was not looked at among them, and write the numbers down."""
    made = {check.name: check for check in checks}
    every = tuple(made.get(name, Check(name)) for name in CAPS)
    level = level_of(every)
    ceiling = GRADE_OF[level] if case.comparability is None else min(GRADE_OF[level], case.comparability.grade)
    facts = {lang: _facts(case, ladder, beside, made, groups, lang) for lang in ("ko", "en")}
    record = {
        "outcome": case.outcome,
        "treatment": case.treatment,
        "covariates": variables_of(case.covariates),
        "estimand": case.estimand,
        "missing": case.missing,
        "n_left_out": 0 if groups is None else groups.n_left_out,
    }
    return ComparisonClaim(level, ceiling, every, facts, ladder, case.design.provenance, record)


def _facts(
    case: Case,
    ladder: Estimates | None,
    beside: OddsBenchmarks | None,
    checks: Mapping[str, Check],
    groups: Groups | None,
    lang: str,
) -> Facts:
    """Write the numbers in a language: shares of yes or no in per cent, differences in points."""
    labels = case.design.provenance.labels
    item = wording.term_label(case.outcome, labels, lang)
    interval = wording.interval_name(case.conf_level, lang)
    names = tuple(wording.term_label(name, labels, lang) for name in variables_of(case.covariates))
    if ladder is None or groups is None:
        return Facts(item, "", "", ("", "", ""), (), interval, names)
    binary = bool(np.isin(groups.outcome[groups.used], (0.0, 1.0)).all())
    scale = 100.0 if binary else 1.0
    places = wording.common_decimals([scale * float(ladder.std_error[0])]) or 0
    weights = case.design.domain_weights
    means = [
        float(np.average(groups.outcome[groups.members(group)], weights=weights[groups.members(group)]))
        for group in (1, 0)
    ]
    unit = "%" if binary else unit_of(case.outcome, labels, lang)
    participants, others = (with_unit(wording.number(scale * mean, places), unit, lang) for mean in means)
    rows = {method: row for row, method in enumerate(ladder.keys["method"])}

    def written(method: str) -> tuple[str, str, str]:
        row = rows[method]
        low, high = ladder.confidence_interval()[row]
        whole, *ends = (wording.number(scale * float(v), places) for v in (ladder.estimate[row], low, high))
        return with_unit(whole, unit, lang, is_difference=True), ends[0], ends[1]

    is_exact = adds_up(scale * float(ladder.estimate[rows["raw"]]), scale * means[0], scale * means[1], places)
    at = checks.get("sensitivity", Check("sensitivity"))
    return Facts(
        item,
        participants,
        others,
        written("raw"),
        written(HEADLINE) if HEADLINE in rows else (),
        interval,
        names,
        breakdown=wording.number(min(at.value, LARGEST), 2),
        strongest=wording.term_label(at.detail, labels, lang) if beside is not None else "",
        factor="" if beside is None else wording.number(beside.largest, 2),
        n=f"{int(ladder.n_obs[0]):,}",
        exact="" if is_exact else f"; {wording.term('of_unrounded', lang)}",
    )


def compared_methods(claim: ComparisonClaim, lang: str | None = None) -> pd.DataFrame:
    """Return the methods behind a claim with what each takes for granted, and how far each is from the headline.

    Parameters
    ----------
    claim : ComparisonClaim
        Of a comparison that was not refused.
    lang : {"ko", "en"}, optional
        Default: the language of the project.

    Returns
    -------
    pandas.DataFrame
        ``method, assumes, estimate, std_error, apart, apart_std_error``; the last two from the joint covariance.

    Raises
    ------
    EstimationError
        The comparison was refused, or the groups could not be made alike.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> rng = np.random.default_rng(1)
    >>> people = pd.DataFrame({"joined": np.tile([0, 1], 100), "age": rng.normal(50, 10, 200)})
    >>> people["trust"] = 5 + people["joined"] + rng.normal(0, 1, 200)
    >>> claim = judge_comparison(survey_design(people), outcome="trust", treatment="joined", covariates=["age"])
    >>> compared_methods(claim)["method"].tolist()
    ['entropy', 'regression_adjusted', 'aipw']
    """
    chosen, ladder = wording.language_of(lang), claim.ladder
    if ladder is None or HEADLINE not in set(ladder.keys["method"]):
        raise EstimationError(
            f"compared_methods: the claim is at level {claim.level}, and no adjusted difference stands behind it. Look "
            f"at its checks: claim.tidy()."
        )
    shown = ladder.masked()
    methods = ladder.keys["method"].tolist()
    at = methods.index(HEADLINE)
    own = [row for row, method in enumerate(methods) if method != "raw"]
    matrix = np.zeros((len(own), len(methods)))
    matrix[np.arange(len(own)), own] = 1.0
    matrix[:, at] -= 1.0
    apart = combined(ladder, matrix, [methods[row] for row in own])
    hidden = np.isnan(shown.estimate[own])
    return pd.DataFrame(
        {
            "method": [methods[row] for row in own],
            "assumes": _assumptions((methods[row] for row in own), chosen),
            "estimate": shown.estimate[own],
            "std_error": shown.std_error[own],
            "apart": np.where(hidden, np.nan, apart.estimate),
            "apart_std_error": np.where(hidden, np.nan, apart.std_error),
        }
    )


def _assumptions(methods: Iterable[str], lang: str) -> list[str]:
    return [ASSUMES[method][lang != "ko"] for method in methods]
