"""All words of the workbench together."""

from __future__ import annotations

from evaluation.vocabulary import areas, comparison, evidence, impact, results, robustness, rollout, surveys
from evaluation.vocabulary.verbs import VERBS

__all__ = ["TERMS", "VERBS"]

#: Words by key: (Korean, English).
TERMS: dict[str, tuple[str, str]] = {
    **results.TERMS,
    **areas.TERMS,
    **comparison.TERMS,
    **evidence.TERMS,
    **impact.TERMS,
    **rollout.TERMS,
    **robustness.TERMS,
    **surveys.TERMS,
}
