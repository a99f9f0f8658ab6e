"""Rows in words, with what their table is an instance of: a district by its name, and the year."""

from __future__ import annotations

from collections.abc import Callable

from evaluation import project
from evaluation.errors import EvaluationError
from evaluation.releases.cells import PublishedTable, Release
from evaluation.releases.matching import PERIOD_KEYS, Row
from evaluation.survey.codebook import Codebook, read_codebook


def row_words(release: Release, lang: str) -> Callable[[Row], str]:
    """Return a function that says a row in words, such as "Jongno-gu · 2016 · Wants to stay".

    Parameters
    ----------
    release : Release
        The new study: its steps say what an instance stands for, its codebook what that is called.
    lang : {"ko", "en"}
        Language of the words.
    """
    codebook = codebook_of(release)
    named: dict[tuple[str, str], str] = {}

    def words(row: Row) -> str:
        place = (row.table.template, row.table.instance)
        if place not in named:
            named[place] = _instance_words(release, codebook, row.table, lang)
        year = row.table.year or next((value for key, value in row.keys if key in PERIOD_KEYS), "")
        said = row.words(lang)
        parts = [*(part for part in (named[place], year) if part not in said), said]
        return " · ".join(filter(None, parts))

    return words


def codebook_of(release: Release) -> Codebook | None:
    """Return the codebook of a release's survey; None where it cannot be read."""
    try:
        return read_codebook(project.survey_folder(release.survey) / "codebook.csv") if release.survey else None
    except EvaluationError:
        return None  # words are a courtesy: the codes stand for themselves


def _instance_words(release: Release, codebook: Codebook | None, table: PublishedTable, lang: str) -> str:
    if not table.instance or codebook is None or release.specification is None:
        return table.instance
    parts = table.instance.split("_")
    for step in release.specification.steps.values():
        names = [name for name in step.matrix if name not in PERIOD_KEYS]
        if len(names) == len(parts) and all(name in codebook for name in names):
            return " · ".join(codebook.value(name, part, lang) for name, part in zip(names, parts, strict=True))
    return table.instance
