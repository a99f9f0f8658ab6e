"""How a comparison was made, in words that come from what was run."""

from __future__ import annotations

from evaluation import wording
from evaluation.comparison.claim import ComparisonClaim
from evaluation.declared.comparisons import DeclaredComparison
from evaluation.design.design import Design
from evaluation.errors import EstimationError
from evaluation.estimation.arguments import came
from evaluation.estimation.small_counts import is_small
from evaluation.results import Labels
from evaluation.sentences import Statement
from evaluation.survey.codebook import Codebook

#: Who was compared, where so few were not that their number is not told.
ALL = ("전원", "all")


def methods_text(comparison: DeclaredComparison, claim: ComparisonClaim, lang: str | None = None) -> Statement:
    """Write the methods paragraph of a comparison from the design, the declared columns and the claim.

    Parameters
    ----------
    comparison : DeclaredComparison
        From ``declared_comparison``.
    claim : ComparisonClaim
        From ``judge_comparison`` of it.
    lang : {"ko", "en"}, optional
        Default: the language of the project.

    Returns
    -------
    Statement
        Sentences on respondents, estimand, covariates, estimators, errors, what was fixed beforehand.

    Raises
    ------
    EstimationError
        Something else than a declared comparison and its claim, such as a design.
    """
    if not isinstance(comparison, DeclaredComparison) or not isinstance(claim, ComparisonClaim):
        raise EstimationError(
            f"methods_text needs what ev.declared_comparison returned and the claim that ev.judge_comparison made of "
            f"it, got {came(comparison)} and {came(claim)}."
        )
    chosen = wording.language_of(lang)
    said = _korean if chosen == "ko" else _english
    return Statement(tuple(sentence for sentence in said(comparison, claim) if sentence))


def _english(comparison: DeclaredComparison, claim: ComparisonClaim) -> list[str]:
    design, labels = comparison.design, comparison.design.provenance.labels
    compared, left_out = _counts(claim, design, "en")
    timing = _timed(comparison, labels)
    return [
        f"Respondents: {wording.survey_id(design.provenance.survey, 'en')}, n = {int(design.present.sum()):,}; "
        f"{compared} were compared{_left_out_english(left_out, comparison.missing, design.provenance.min_cell)}.",
        f"Weights: {wording.weight_name(design.provenance.weight, 'en')}; sampling: {design.sampling.text('en')}.",
        f"Estimand: the mean difference among participants ({_named(comparison, labels, 'en')}), against others alike "
        "in "
        f"{_listed(comparison, labels, 'en')}"
        f"{', all measured before it as the codebook says' if timing else ''}.",
        f"Estimators: augmented inverse probability weighting with {_if_weighted('survey-weighted ', comparison)}"
        "logistic propensity and outcome models per group (headline); beside it one regression, entropy balancing, "
        "inverse probability weighting, g-computation and overlap weights, all on the same respondents.",
        f"Standard errors: {wording.method_name(design.engine.method, 'en')} over {design.sampling.n_units:,} sampling "
        "units, which counts the estimated weights and models; "
        f"t with {design.degrees_of_freedom()} degrees of freedom.",
        _controls(comparison, labels, "en"),
        "The comparison was fixed before outcomes were read."
        if comparison.added is None
        else f"The comparison was added on {comparison.added}, after others had been fixed.",
    ]


def _korean(comparison: DeclaredComparison, claim: ComparisonClaim) -> list[str]:
    design, labels = comparison.design, comparison.design.provenance.labels
    compared, left_out = _counts(claim, design, "ko")
    timing = _timed(comparison, labels)
    return [
        f"응답자: {wording.survey_id(design.provenance.survey, 'ko')}, n = {int(design.present.sum()):,}, "
        f"비교에 쓴 응답자 {compared}"
        f"{_left_out_korean(left_out, comparison.missing, design.provenance.min_cell)}.",
        f"가중치: {wording.weight_name(design.provenance.weight, 'ko')}; 표본설계: {design.sampling.text('ko')}.",
        f"추정 대상: 참여자({_named(comparison, labels, 'ko')})의 평균 차이. 다음이 같은 그 밖의 사람과 비교: "
        f"{_listed(comparison, labels, 'ko')}{' (코드북에 따르면 모두 참여 전에 정해진 것)' if timing else ''}.",
        f"추정량: {_if_weighted('조사가중 ', comparison)}로지스틱 참여 성향과 집단별 결과 모형을 쓰는 이중 강건 추정"
        "(AIPW, 대표값). "
        "같은 응답자에 대해 회귀 하나, 엔트로피 균형, 역확률 가중, g-계산, 겹침 가중을 함께 보임.",
        f"표준오차: {wording.method_name(design.engine.method, 'ko')}, 추출단위 {design.sampling.n_units:,}개, 추정된 "
        f"가중치와 모형의 불확실성 포함; 자유도 {design.degrees_of_freedom()}의 t.",
        _controls(comparison, labels, "ko"),
        "이 비교는 결과를 읽기 전에 정했음."
        if comparison.added is None
        else f"이 비교는 다른 것을 정한 뒤 {comparison.added}에 더했음.",
    ]


def _if_weighted(word: str, comparison: DeclaredComparison) -> str:
    """Return a word that holds only where respondents bear survey weights."""
    return "" if wording.is_unweighted(comparison.design.provenance) else word


def _counts(claim: ComparisonClaim, design: Design, lang: str) -> tuple[str, int]:
    """Return who was compared, and how many were not: where those are few, no number that would count them."""
    compared = int(claim.ladder.n_obs[0]) if claim.ladder is not None else 0
    left_out = int(design.present.sum()) - compared
    if is_small(left_out, design.provenance):
        return ALL[lang != "ko"], left_out
    return f"{compared:,}{'명' if lang == 'ko' else ''}", left_out


def _left_out_english(left_out: int, missing: str, least: int) -> str:
    if left_out == 0:
        return ""
    count = f"{left_out:,}" if left_out >= least else f"fewer than {least}"
    kept = "; a missing covariate is a level of its own" if missing == "indicator" else ""
    if left_out < least:
        return f" but {count}, who lack an answer or a covariate{kept}"
    return f", {count} lack an answer or a covariate{kept}"


def _left_out_korean(left_out: int, missing: str, least: int) -> str:
    if left_out == 0:
        return ""
    count = f"{left_out:,}명" if left_out >= least else f"{least}명 미만"
    kept = ", 공변량이 없으면 별도 범주로 둠" if missing == "indicator" else ""
    return f" (응답이나 공변량이 없는 사람 {count} 제외{kept})"


def _named(comparison: DeclaredComparison, labels: Labels, lang: str) -> str:
    return labels.variable(comparison.treatment, lang)


def _listed(comparison: DeclaredComparison, labels: Labels, lang: str) -> str:
    return "; ".join(labels.variable(name, lang) for name in comparison.variables)


def _timed(comparison: DeclaredComparison, labels: Labels) -> bool:
    return isinstance(labels, Codebook) and all(
        name in labels and labels[name].timing == "before" for name in comparison.variables
    )


def _controls(comparison: DeclaredComparison, labels: Labels, lang: str) -> str:
    names = "; ".join(labels.variable(name, lang) for name in comparison.controls)
    if lang == "ko":
        return f"음성 대조 결과: {names}." if names else "음성 대조 결과는 정하지 않았음."
    return f"Negative controls: {names}." if names else "No negative control was fixed."
