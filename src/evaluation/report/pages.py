"""The executed notebooks of a run as pages; the instances of one step stand together, by their districts and years."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbconvert import HTMLExporter
from traitlets.config import Config

from evaluation import project, wording
from evaluation.specification import StudySpecification
from evaluation.survey.codebook import Codebook, read_codebook

TEMPLATES = Path(__file__).parent / "templates"
#: Tag of the cells whose words stand first on the start page.
HEADLINE = "headline"

_NUMBERED = re.compile(r"^\d+_")
_HEADING = re.compile(r"^#\s+(.+)$", re.MULTILINE)
_LANGUAGES = {"ko": "한국어", "en": "English"}


@dataclass(frozen=True)
class Page:
    """One executed notebook.

    Attributes
    ----------
    step, file, title, short : str
        Its step, its file in ``notebooks/`` without the ending, its first heading, and its name in the navigation.
    state : str
        What became of it, where a manifest says so.
    lead : tuple of str
        What the cells tagged ``headline`` say.
    body : str
        Its cells as HTML.
    instance : str
        For what it ran, in words ("Jongno-gu, 2016"), where its step runs for many; else empty.
    """

    step: str
    file: str
    title: str
    short: str
    state: str
    lead: tuple[str, ...]
    body: str
    instance: str = ""

    @property
    def up(self) -> str:
        """Way from the page to the start page's folder."""
        return "../" * (1 + self.file.count("/"))


@dataclass(frozen=True)
class Entry:
    """One line of the navigation: a notebook, or all instances of a step.

    Attributes
    ----------
    file, short, title : str
        File in ``notebooks/`` without the ending, name in the navigation, heading.
    pages : tuple of Page
        The notebook alone, or the instances.
    """

    file: str
    short: str
    title: str
    pages: tuple[Page, ...]

    @property
    def is_group(self) -> bool:
        """Whether these are the instances of a step."""
        return bool(self.pages[0].instance)

    @property
    def state(self) -> str:
        """What became of it: ``ok`` where every instance is."""
        return next((page.state for page in self.pages if page.state and page.state != "ok"), self.pages[0].state)


def read_pages(run: Path, study: StudySpecification, lang: str, manifest: Mapping[str, Any]) -> list[Page]:
    """Return the executed notebooks of a run as HTML, in the order of the study's steps.

    Parameters
    ----------
    run : Path
        A run folder with ``notebooks/``; those of a step with a matrix lie in a folder named as its template.
    study : StudySpecification
    lang : {"ko", "en"}
    manifest : mapping
        Empty where there is none.
    """
    folder = run / "notebooks"
    files = {
        file.relative_to(folder).as_posix().removesuffix(".ipynb"): file for file in sorted(folder.rglob("*.ipynb"))
    }
    steps = {specification.notebook: step for step, specification in study.steps.items()}
    records = {
        record["notebook"].removeprefix("notebooks/").removesuffix(".ipynb"): record
        for record in manifest.get("steps", {}).values()
        if "notebook" in record
    }
    recorded = [stem for stem in records if stem in files]
    known = [stem for template in steps for stem in dict.fromkeys([*recorded, *files]) if _template(stem) == template]
    exporter, book = _exporter(), _codebook(study)
    return [
        _page(files[stem], stem, study, steps, records.get(stem, {}), lang, exporter, book)
        for stem in dict.fromkeys([*known, *files])
    ]


def _template(stem: str) -> str:
    return stem.partition("/")[0]


def _page(
    file: Path,
    stem: str,
    study: StudySpecification,
    steps: Mapping[str, str],
    record: Mapping[str, Any],
    lang: str,
    exporter: HTMLExporter,
    book: Codebook | None,
) -> Page:
    notebook = nbformat.read(file, as_version=4)  # type: ignore[no-untyped-call]
    words = {"code_word": "코드" if lang == "ko" else "Code"}
    body, _ = exporter.from_notebook_node(notebook, resources=words)
    template, label = _template(stem), stem.partition("/")[2]
    step = steps.get(template, _NUMBERED.sub("", template))
    title = _first_heading(notebook) or template
    names = study.steps[step].matrix if step in study.steps else {}
    values = {name: record.get("parameters", {}).get(name) for name in names}
    instance = _in_words(values, book, lang) if label and values and record else label
    short = _short_name(step, title, lang)
    return Page(step, stem, title, short, str(record.get("state", "")), _lead(notebook), body, instance)


def _in_words(values: Mapping[str, Any], book: Codebook | None, lang: str) -> str:
    def word(name: str, value: object) -> str:
        if name == "lang":
            return _LANGUAGES.get(str(value), str(value))
        return book.value(name, value, lang) if book is not None and name in book else str(value)

    return ", ".join(word(name, value) for name, value in values.items())


def _codebook(study: StudySpecification) -> Codebook | None:
    """Return the labels of a matrix's values; None where no step has one, or the survey has no codebook here."""
    if not any(step.matrix for step in study.steps.values()):
        return None
    file = project.project_root() / "surveys" / study.survey / "codebook.csv"
    return read_codebook(file) if file.is_file() else None


def entries_of(pages: list[Page]) -> list[Entry]:
    """Return the lines of the navigation: the instances of a step count as one."""
    groups: dict[str, list[Page]] = {}
    for page in pages:
        groups.setdefault(_template(page.file) if page.instance else page.file, []).append(page)
    return [
        Entry(f"{file}/index" if members[0].instance else file, members[0].short, members[0].title, tuple(members))
        for file, members in groups.items()
    ]


def _short_name(step: str, title: str, lang: str) -> str:
    """Return what the navigation calls a step: our word for it, or its heading up to a colon."""
    key = f"step_{step}"
    return wording.term(key, lang) if wording.knows(key) else title.partition(":")[0].strip()


def _lead(notebook: Any) -> tuple[str, ...]:
    """Return the text of the cells that say what the notebook found."""
    return tuple(
        line
        for output in _headline_outputs(notebook)
        for line in output.data.get("text/plain", "").splitlines()
        if line
    )


def _headline_outputs(notebook: Any) -> Iterator[Any]:
    for cell in notebook.cells:
        if cell.cell_type == "code" and HEADLINE in cell.metadata.get("tags", []):
            yield from (output for output in cell.outputs if output.output_type == "execute_result")


def _exporter() -> HTMLExporter:
    config = Config()
    config.NbConvertBase.display_data_priority = [
        "text/html",
        "image/svg+xml",
        "image/png",
        "image/jpeg",
        "text/markdown",
        "text/plain",
    ]
    return HTMLExporter(  # type: ignore[no-untyped-call]
        config=config,
        template_name="workbench",
        extra_template_basedirs=[str(TEMPLATES)],
        embed_images=True,
        exclude_anchor_links=True,
        mathjax_url="",
        require_js_url="",
        mermaid_js_url="",
    )


def _first_heading(notebook: Any) -> str:
    for cell in notebook.cells:
        found = _HEADING.search(cell.source) if cell.cell_type == "markdown" else None
        if found:
            return re.sub(r"[*_`]", "", found[1]).strip()
    return ""
