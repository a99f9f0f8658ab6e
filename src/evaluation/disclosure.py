"""What may not be shown: numbers that rest on too few respondents, marked in every place where a result appears.

A result knows its marks (``Estimates.marks``), because its own repr must keep to them; here is what tables, figures
and publishing need of them. The limits come from the survey: ``min_cell`` and ``min_base`` in its survey.yml.
"""

from __future__ import annotations

from collections.abc import Iterable

from evaluation import wording
from evaluation.results import SMALL_BASE, SMALL_CELL, Estimates, Provenance
from evaluation.specification import Text

#: What the marks mean, for the note below a table or figure.
_MEANINGS = {
    SMALL_CELL: Text(
        ko="[c]: 응답자나 한 응답을 고른 사람이 {n}명 미만이라 표시하지 않음",
        en="[c]: not shown, fewer than {n} respondents, or fewer than {n} who gave one of the answers",
    ),
    SMALL_BASE: Text(
        ko="[u]: 응답자 {n}명 미만에 근거하여 표시하지 않음", en="[u]: not shown, fewer than {n} respondents"
    ),
}


def marks(estimates: Estimates) -> list[str]:
    """Return why each row may not be shown: ``[c]`` a small cell, ``[u]`` a small base, empty where it may.

    Parameters
    ----------
    estimates : Estimates
        Its provenance holds the limits of the survey; those of a plain data frame suppress nothing.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from evaluation.results import Provenance
    >>> areas, sizes = pd.DataFrame({"term": "y", "area": ["a", "b", "c"]}), np.array([200, 22, 3])
    >>> limits = Provenance(min_cell=5, min_base=30)
    >>> by_area = Estimates("survey_mean", areas, np.array([0.5, 0.9, 0.2]), np.eye(3), np.ones(3), sizes, limits)
    >>> marks(by_area)
    ['', '[u]', '[c]']
    """
    return estimates.marks


def shown(estimates: Estimates) -> Estimates:
    """Return the estimates as they may leave: marked rows not a number, their marks in the column ``mark``.

    A result without marked rows comes back as it is.
    """
    return estimates.masked()


def counts(estimates: Estimates) -> list[str]:
    """Return the number of respondents of each row as it may be shown: ``<5`` where it is too small itself."""
    limits = {SMALL_CELL: estimates.provenance.min_cell, SMALL_BASE: estimates.provenance.min_base}
    masked = shown(estimates)
    texts = []
    for mark, n, left in zip(masked.marks, estimates.n_obs, masked.n_obs, strict=True):
        hidden, limit = mark != "" and left == 0, limits.get(mark, 0)
        texts.append((f"<{limit}" if 0 < n < limit else mark) if hidden else f"{int(n):,}" if n else wording.ABSENT)
    return texts


def meanings(results: Iterable[Estimates], lang: str) -> tuple[str, ...]:
    """Return one line for each mark that occurs, for the notes of a table or the caption of a figure.

    Parameters
    ----------
    results : iterable of Estimates
        What is shown together.
    lang : {"ko", "en"}
        Language of the lines.
    """
    found: dict[str, int] = {}
    for result in results:
        limits = {SMALL_CELL: result.provenance.min_cell, SMALL_BASE: result.provenance.min_base}
        found |= {mark: max(found.get(mark, 0), limits[mark]) for mark in result.marks if mark}
    return tuple(_meaning(mark, found[mark], lang) for mark in _MEANINGS if mark in found)


def meaning_of(mark: str, provenance: Provenance, lang: str | None = None) -> str:
    """Return what a mark means under the limits of a survey, for results that are no estimates.

    Examples
    --------
    >>> from evaluation.results import Provenance
    >>> meaning_of("[u]", Provenance(min_base=30), "en")
    '[u]: not shown, fewer than 30 respondents'
    """
    limit = {SMALL_CELL: provenance.min_cell, SMALL_BASE: provenance.min_base}[mark]
    return _meaning(mark, limit, wording.language_of(lang))


def _meaning(mark: str, limit: int, lang: str) -> str:
    text = _MEANINGS[mark].in_language(lang)
    if limit > 1:
        return text.format(n=limit)
    # read from a published file, which holds marks but not the limits
    return {"ko": f"{mark}: 응답자가 적어 표시하지 않음", "en": f"{mark}: not shown, too few respondents"}[lang]
