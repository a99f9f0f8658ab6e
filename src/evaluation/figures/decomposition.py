"""A gap and the parts that it is made of, one below the other; what only has bounds is an open bar."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation import wording
from evaluation.figures.canvas import Figure
from evaluation.figures.ladder import HIGH, LOW, arranged, drawn
from evaluation.results import Estimates, Labels

#: Parts that rest on covariates.
_ADJUSTED = frozenset({"selection", "effect", "unexplained", "coefficients", "interaction"})
#: What stands before a covariate whose share a row is.
_EXPLAINED_BY = "explained:"


def draw_decomposition(
    result: Estimates,
    *,
    title: str | None = None,
    lang: str | None = None,
    reference: Mapping[Any, float] | pd.DataFrame | None = None,
    reference_label: str | None = None,
) -> Figure:
    """Draw a gap and its parts one below the other, a panel per item.

    Parameters
    ----------
    result : Estimates
        Keys ``term`` and ``part`` (``decompose_gap``, ``decompose_published``, ``oaxaca_blinder``).
    title, lang, reference, reference_label
        As in ``plot``.

    Returns
    -------
    Figure
        What is not identified keeps its row and says so; bounds stand right below what they bound.
    """
    result = result.take(_order(result))
    words = wording.label_keys(result.keys.reset_index(drop=True), result.provenance.labels, lang)
    parts = result.keys["part"].astype(str)
    said = words["part"].tolist()
    words["term"] = _panels(result, words, lang)
    rows = arranged(
        result,
        words,
        labels=[_label(part, word, result.provenance.labels, lang) for part, word in zip(parts, said, strict=True)],
        stages=[_stage(part) for part in parts],
        reference=reference,
        lang=lang,
    )
    notes = [f"{wording.term('estimand', lang)}: {result.fit['estimand']}"] if "estimand" in result.fit else []
    one_scale = not parts.str.startswith(_EXPLAINED_BY).any()
    return drawn(
        result, rows, notes=notes, title=title, lang=lang, known=(reference, reference_label), one_scale=one_scale
    )


def _panels(result: Estimates, words: pd.DataFrame, lang: str | None) -> list[str]:
    """Return the panel of each row: the shares of covariates are small and have a scale of their own."""
    parts, terms = result.keys["part"].astype(str), result.keys["term"].astype(str)
    several = terms.nunique() > 1
    name = wording.term("explained_by_covariate", lang)
    return [
        (f"{word}: {name}" if several else name) if part.startswith(_EXPLAINED_BY) else str(word)
        for part, word in zip(parts, words["term"], strict=True)
    ]


def _order(result: Estimates) -> NDArray[np.int64]:
    """Return the rows so that what composition explains, and bounds, stand behind the part they belong to."""
    parts, terms = result.keys["part"].astype(str).tolist(), result.keys["term"].astype(str).tolist()
    behind = dict.fromkeys(("selection_low", "selection_high", "explained"), "selection")
    behind |= dict.fromkeys(("effect_low", "effect_high"), "effect")

    def place(row: int) -> tuple[int, int, int]:
        owner = behind.get(parts[row], parts[row])
        first = parts.index(owner) if owner in parts else row
        return terms.index(terms[row]), first, row if parts[row] != "explained" else len(parts)

    return np.array(sorted(range(len(parts)), key=place), dtype=np.int64)


def _stage(part: str) -> str:
    if part.endswith((LOW, HIGH)):
        return "bounds"
    if part.startswith("explained"):
        return "explained"
    return "adjusted" if part in _ADJUSTED else "unadjusted"


def _label(part: str, word: str, labels: Labels, lang: str | None) -> str:
    if part.startswith(_EXPLAINED_BY):
        return wording.term_label(part.removeprefix(_EXPLAINED_BY), labels, lang)
    if _stage(part) != "bounds":
        return word
    owner = part.removesuffix(LOW).removesuffix(HIGH)
    return wording.term("part_bounds_of", lang).format(part=wording.term(f"part_{owner}", lang))
