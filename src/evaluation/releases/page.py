"""The comparison of two studies as one HTML page: both languages, no script, nothing loaded from anywhere."""

from __future__ import annotations

import base64
import contextlib
import html
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jinja2
from scipy import stats

from evaluation import project, wording
from evaluation.errors import EvaluationError
from evaluation.figures.font_subsets import FAMILY, font_subset
from evaluation.figures.fonts import font_files
from evaluation.publication import read_published
from evaluation.releases.cells import PublishedTable, Release, is_empty, number
from evaluation.releases.changes import KnownChanges
from evaluation.releases.instances import codebook_of
from evaluation.releases.matching import Row
from evaluation.releases.verdicts import Cell
from evaluation.releases.words import KINDS, NOTES
from evaluation.results import Estimates
from evaluation.specification import Text
from evaluation.survey.codebook import Codebook

#: Rows of one table that the page shows; the CSV holds all.
MOST_ROWS = 150
#: Letters up to which a cell stands in one line.
_SHORT = 16
#: Letters of a text cell that the page shows.
_LETTERS = 90
#: Kinds in the order in which a table's rows are shown.
_RANK = {kind: place for place, kind in enumerate(KINDS)}
#: Where the template leaves room for the two fonts.
_FONT_PLACES = ("FONT_REGULAR", "FONT_BOLD")
_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Subject:
    """What a page is about.

    Attributes
    ----------
    old, new : Release
        The two releases.
    known : KnownChanges
        Threshold and reasons.
    counts : dict of str to int
        Numbers of each kind.
    unused : tuple of str
        Declared addresses that fit no difference.
    words : dict of str to callable
        Rows in words, by language.
    unmeasured : int
        Changes between two years that have neither a standard error nor a reason.
    """

    old: Release
    new: Release
    known: KnownChanges
    counts: Mapping[str, int]
    unused: tuple[str, ...]
    words: Mapping[str, Callable[[Row], str]]
    unmeasured: int


@dataclass(frozen=True)
class Line:
    """One line of a table on the page; ``count`` rows that are told as one have no numbers."""

    label: str
    address: str
    kind: str
    kind_word: str
    old: str
    new: str
    difference: str
    error: str
    note: str
    reason: str
    is_open: bool
    is_text: bool
    rank: tuple[int, int]


@dataclass(frozen=True)
class Group:
    """The lines of one published table, or of all its instances."""

    name: str
    title: str
    lines: Sequence[Line]
    left_out: int
    counts: str
    open: int


def compare_page(cells: Sequence[Cell], about: Subject) -> str:
    """Return the page: counts first, then what is not explained, then table by table.

    Parameters
    ----------
    cells : sequence of Cell
        All cells; those that are the same are counted only.
    about : Subject
        The releases, and what is known.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
    )
    told = [cell for cell in cells if cell.kind != "same" and not cell.is_along]
    tested = sum(_is_tested(cell) for cell in cells)
    chance = tested * 2 * float(stats.norm.sf(about.known.threshold))
    languages = [_in_language(lang, told, about) for lang in _languages(about.new)]
    page = environment.get_template("compare.html.j2").render(
        old=about.old.study,
        new=about.new.study,
        threshold=f"{about.known.threshold:g}",
        tested=f"{tested:,}",
        chance=f"{chance:.1f}",
        open=sum(cell.is_unexplained for cell in cells),
        languages=languages,
        about=about,
        differing=_differing(about.old.manifest, about.new.manifest),
        family=FAMILY,
    )
    return _with_fonts(page)


def _with_fonts(page: str) -> str:
    """Return the page with the letters it uses in it: a machine without Korean fonts shows it too."""
    letters = set(html.unescape(page))
    for place, file in zip(_FONT_PLACES, font_files(), strict=True):
        name, content = font_subset(file, letters)
        kind = name.rpartition(".")[2]
        page = page.replace(place, f"data:font/{kind};base64,{base64.b64encode(content).decode('ascii')}")
    return page


def _is_tested(cell: Cell) -> bool:
    """Tell whether a cell is an estimate of two years, held against the threshold."""
    return cell.kind in ("same", "changed") and cell.column == "estimate" and not cell.pair.is_one_period


def _languages(release: Release) -> list[str]:
    """Return both languages, that of the study first."""
    own = str(release.specification.parameters.get("lang", "en")) if release.specification else "en"
    return sorted(project.LANGUAGES, key=lambda lang: lang != own)


def _in_language(lang: str, told: Sequence[Cell], about: Subject) -> dict[str, Any]:
    say: Callable[[str, str], str] = lambda ko, en: ko if lang == "ko" else en  # noqa: E731
    titles = _titles(about, lang)
    return {
        "lang": lang,
        "say": say,
        "title": _title(about, lang),
        "releases": _release_names(about, lang),
        "notices": [(release.study, notice) for release in (about.old, about.new) if (notice := release.notice(lang))],
        "counts": [(kind, KINDS[kind].in_language(lang), count) for kind, count in about.counts.items()],
        "unexplained": _groups([cell for cell in told if cell.is_unexplained], about, titles, lang),
        "groups": _groups(told, about, titles, lang),
        "changes": [_change_line(line, lang) for line in about.known.lines],
    }


def _title(about: Subject, lang: str) -> str:
    titles = [
        release.specification.title.in_language(lang) if release.specification else release.study
        for release in (about.old, about.new)
    ]
    if titles[0] != titles[1]:
        return " → ".join(titles)
    return f"{titles[1]}: {' → '.join(_release_names(about, lang))}"


def _release_names(about: Subject, lang: str) -> list[str]:
    """Return what the two releases are called above their numbers: by their years, where these tell them apart."""
    years = [about.old.year, about.new.year]
    if not all(years) or years[0] == years[1]:
        return [about.old.study, about.new.study]
    return [f"{year}년판" if lang == "ko" else f"{year} release" for year in years]


def _change_line(line: Any, lang: str) -> tuple[str, str, str]:
    kinds = {
        "renamed": Text(ko="이름이 바뀜", en="renamed"),
        "reworded": Text(ko="문항이 바뀜", en="reworded"),
        "revised": Text(ko="고쳐짐", en="revised"),
    }
    period = f" {line.period}" if line.period else ""
    return line.variable, kinds[line.kind].in_language(lang) + period, line.reason.in_language(lang)


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return the parameters of the two runs that are not the same."""
    first, second = old.get("parameters") or {}, new.get("parameters") or {}
    names = [name for name in dict.fromkeys([*first, *second]) if first.get(name) != second.get(name)]
    return [(name, str(first.get(name, wording.ABSENT)), str(second.get(name, wording.ABSENT))) for name in names]


def _titles(about: Subject, lang: str) -> dict[str, str]:
    """Return titles of tables by name; a table is published with one in the language of its run alone."""
    titles: dict[str, str] = {}
    codebooks = {release.study: codebook_of(release) for release in (about.old, about.new)}
    for release in (about.old, about.new):
        titles |= {name: table.title for name, table in release.tables.items()}
        if _languages(release)[0] != lang:
            with contextlib.suppress(EvaluationError):
                estimates = read_published(project.project_root() / release.place)
                titles |= {
                    name: _estimates_title(item, codebooks[release.study], lang)
                    for name, item in estimates.items()
                    if name in release.tables and not _is_instance(release.tables[name])
                }
    return titles


def _estimates_title(item: Estimates, codebook: Codebook | None, lang: str) -> str:
    """Return a title in the words of the codebook, where there is one."""
    if codebook is not None:
        item = replace(item, provenance=replace(item.provenance, labels=codebook))
    return wording.estimates_title(item, lang)


def _groups(cells: Iterable[Cell], about: Subject, titles: Mapping[str, str], lang: str) -> list[Group]:
    """Return the cells table by table, those with open questions first."""
    tables: dict[str, list[Cell]] = {}
    for cell in cells:
        tables.setdefault(cell.row.table.template, []).append(cell)
    groups = [_group(name, part, about, titles, lang) for name, part in tables.items()]
    return sorted(groups, key=lambda group: group.open == 0)


def _group(name: str, cells: list[Cell], about: Subject, titles: Mapping[str, str], lang: str) -> Group:
    whole = [cell for cell in cells if cell.note.startswith("no_table")]
    lines = [_whole_table(name, whole, lang)] if whole else []
    lines += [_line(cell, about, lang) for cell in cells if not cell.note.startswith("no_table")]
    ordered = sorted(lines, key=lambda line: line.rank)
    counted = {kind: sum(cell.kind == kind for cell in cells) for kind in KINDS}
    counts = ", ".join(f"{KINDS[kind].in_language(lang)} {count:,}" for kind, count in counted.items() if count)
    title = name if _is_instance(cells[0].row.table) else titles.get(name, name)
    opened = sum(cell.is_unexplained for cell in cells)
    return Group(name, title, ordered[:MOST_ROWS], max(len(ordered) - MOST_ROWS, 0), counts, opened)


def _is_instance(table: PublishedTable) -> bool:
    return bool(table.instance or table.year)


def _whole_table(name: str, cells: list[Cell], lang: str) -> Line:
    first = cells[0]
    rows = f"{len(cells):,}"
    label = f"표 전체 ({rows}행)" if lang == "ko" else f"the whole table ({rows} {'row' if rows == '1' else 'rows'})"
    is_open = any(cell.is_unexplained for cell in cells)
    reason = next((cell.reason.in_language(lang) for cell in cells if cell.reason), "")
    return Line(
        label, f"{name} | *", first.kind, KINDS[first.kind].in_language(lang), "", "", "", "",
        NOTES[first.note].in_language(lang), reason, is_open, False, (not is_open, _RANK[first.kind]),
    )  # fmt: skip


def _line(cell: Cell, about: Subject, lang: str) -> Line:
    label = about.words[lang](cell.row)
    column = "" if cell.column == "estimate" else wording.term(cell.column, lang)
    old, new, difference, error = _numbers(cell, lang)
    return Line(
        label=" · ".join(filter(None, (label, column))) or cell.row.table.name,
        address=cell.address or cell.old_address,
        kind=cell.kind,
        kind_word=KINDS[cell.kind].in_language(lang),
        old=old,
        new=new,
        difference=difference,
        error=error,
        note=NOTES[cell.note].in_language(lang),
        reason=cell.reason.in_language(lang) if cell.reason else "",
        is_open=cell.is_unexplained,
        is_text=max(len(old), len(new)) > _SHORT,
        rank=(not cell.is_unexplained, _RANK[cell.kind]),
    )


def _numbers(cell: Cell, lang: str) -> tuple[str, str, str, str]:
    """Return old, new, difference and its error as they are printed; shares in per cent."""
    pair = cell.pair
    marks = [row.mark if row else "" for row in (pair.old, pair.new)]
    values = [number(cell.old), number(cell.new)]
    is_share = cell.column == "estimate" and cell.row.table.verb in wording.SHARE_VERBS
    scale, unit = (100.0, "%") if is_share else (1.0, "")
    places = _places(cell, scale)
    shown = []
    for text, value, mark in zip((cell.old, cell.new), values, marks, strict=True):
        if is_empty(text):
            shown.append(mark or wording.ABSENT)
        elif value is None:
            shown.append(text if len(text) <= _LETTERS else f"{text[:_LETTERS]}…")
        else:
            shown.append(_number(value * scale, places) + unit)
    if math.isnan(cell.difference):
        return shown[0], shown[1], "", ""
    points = wording.percentage_point_unit(lang) if is_share else ""
    change = _number(cell.difference * scale, places)
    difference = f"{'+' if cell.difference > 0 else ''}{change}{points if lang == 'ko' else f' {points}'.rstrip()}"
    if math.isnan(cell.std_error):
        return shown[0], shown[1], difference, ""
    ratio = f"{cell.in_errors:.1f}" if math.isfinite(cell.in_errors) else "∞"
    return shown[0], shown[1], difference, f"{_number(cell.std_error * scale, places)} ({ratio}×)"


def _number(value: float, places: int | None) -> str:
    return wording.plain_number(value) if places is None else wording.number(value, places)


def _places(cell: Cell, scale: float) -> int | None:
    """Return decimals that an error supports and that show a difference; None for numbers without either."""
    rows = (row for row in (cell.pair.old, cell.pair.new) if row)
    errors = [cell.std_error, *(number(row.line.get("std_error", "")) or math.nan for row in rows)]
    usable = [scale * error for error in errors if math.isfinite(error) and error > 0]
    places = wording.common_decimals(usable) if cell.column in ("estimate", "conf_low", "conf_high") else None
    if cell.difference and math.isfinite(cell.difference):
        needed = 1 - math.floor(math.log10(abs(cell.difference) * scale))
        if cell.kind == "revised" or places is None:
            return max(0, min(max(places or 0, needed), 10))
    return places
