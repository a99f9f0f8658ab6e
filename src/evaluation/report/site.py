"""A run as a small site: plain files, no script, nothing loaded from anywhere else.

``report/index.html`` says what the study asked and found and from what it was made;
``report/notebooks/<notebook>.html`` shows each executed notebook with its code folded away.
"""

from __future__ import annotations

import html
import json
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import jinja2
from fontTools.ttLib import TTFont
from PIL import Image

from evaluation import project
from evaluation.errors import ProjectError, PublishError
from evaluation.figures.font_subsets import FAMILY, font_subset
from evaluation.figures.fonts import font_files
from evaluation.project import MANIFEST
from evaluation.publication import Item, read_items
from evaluation.releases.record import record_of
from evaluation.report.pages import TEMPLATES, Page, entries_of, read_pages
from evaluation.specification import RESOLVED, StudySpecification

_HERE = Path(__file__).parent
_STYLE = _HERE / "assets" / "style.css"
_OFL = _HERE / "assets" / "OFL-1.1.txt"

#: Whatever makes a browser fetch something from elsewhere, or run something. A link to click on does not.
_LOADS = re.compile(
    r"""<(?!a\s)[a-z]+\s[^>]*?\b(?:src|href|srcset|data|poster|action)\s*=\s*["']?\s*(?P<address>(?:https?:)?//[^"'\s>]+)"""
    r"""|url\(\s*["']?(?P<style>(?:https?:)?//[^"')\s]+)|(?P<active><script\b|<iframe\b|@import\b)""",
    re.IGNORECASE,
)
_EMBEDDED = re.compile(r"data:[\w/+.-]+;base64,[A-Za-z0-9+/=]+")


def build_site(run_folder: Path) -> Path:
    """Build the site of a run from the files in its folder.

    Parameters
    ----------
    run_folder : Path
        Holds ``study.json`` and ``notebooks/``; where there is a ``manifest.json``, its facts are shown.

    Returns
    -------
    Path
        ``<run_folder>/report/index.html``. A report that was there before is replaced.

    Raises
    ------
    ProjectError
        Where the folder is no run.
    PublishError
        Where a page would load something from elsewhere or run a script.
    """
    run = Path(run_folder)
    study = _read_study(run)
    lang = str(study.parameters.get("lang", project.language()))
    manifest = _read_json(run / MANIFEST)
    pages = read_pages(run, study, lang, manifest)
    written = _render(run, study, lang, manifest, pages, list(read_items(run)))
    for name, text in written.items():
        require_offline(name, text)
    report = run / "report"
    shutil.rmtree(report, ignore_errors=True)
    for name, text in written.items():
        _write(report / name, text.encode("utf-8"))
    _write_assets(report / "assets", written.values())
    return report / "index.html"


def _read_study(run: Path) -> StudySpecification:
    file = run / RESOLVED
    if not file.is_file():
        raise ProjectError(f"'{run.name}' is no run folder: it has no {RESOLVED}. Run the study first: evaluation run")
    return StudySpecification.model_validate_json(file.read_text(encoding="utf-8"))


def _read_json(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}


def _render(
    run: Path,
    study: StudySpecification,
    lang: str,
    manifest: Mapping[str, Any],
    pages: list[Page],
    items: list[Item],
) -> dict[str, str]:
    """Return every page as HTML, by path in ``report/``."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
    )
    say: Callable[[str, str], str] = lambda ko, en: ko if lang == "ko" else en  # noqa: E731
    report = next((step for step in study.steps if study.steps[step].notebook.endswith("_report")), "")
    entries = entries_of(pages)
    single = [page for page in pages if not page.instance]
    by_step = {page.step: page for page in single}
    frame = {"study": study, "lang": lang, "entries": entries, "say": say, "synthetic": study.data == "synthetic"}
    alone = [item for item in items if "/" not in item.step]
    shown = [item for item in alone if item.step == report] or alone
    steps = manifest.get("steps", {}).values()
    start = environment.get_template("index.html.j2").render(
        **frame,
        here="index",
        up="",
        title=study.title.in_language(lang),
        report=by_step.get(report),
        others=[page for page in single if page.lead and page.step != report],
        names={page.step: page.short for page in single},
        headline={"figures": _figures(run, shown), "tables": _tables(shown)},
        published=alone,
        parameters=dict(study.parameters),
        inputs=manifest.get("inputs", []),
        facts=_facts(manifest, say),
        record=record_of(study.study, run, manifest, lang),
        skipped=next((step["skipped_because"] for step in steps if step.get("skipped_because")), ""),
    )
    page_of, group_of = (environment.get_template(name) for name in ("page.html.j2", "group.html.j2"))
    texts = {
        f"notebooks/{p.file}.html": page_of.render(**frame, here=_place(p), up=p.up, title=_title(p), body=p.body)
        for p in pages
    }
    groups = {
        f"notebooks/{entry.file}.html": group_of.render(
            **frame,
            here=entry.file,
            up="../../",
            title=entry.title,
            entry=entry,
            tables={page.file: _tables_of(page, items) for page in entry.pages},
        )
        for entry in entries
        if entry.is_group
    }
    return {"index.html": start, **texts, **groups}


def _place(page: Page) -> str:
    """Return the line of the navigation that a page belongs to."""
    return f"{page.file.partition('/')[0]}/index" if page.instance else page.file


def _title(page: Page) -> str:
    return f"{page.instance}: {page.title}" if page.instance else page.title


def _tables_of(page: Page, items: Iterable[Item]) -> list[dict[str, str]]:
    """Return the tables that an instance published; their titles need not say again for what it ran."""
    own = [item for item in items if item.step == f"{page.step}/{page.file.partition('/')[2]}"]
    short = {entry["file"]: entry["title"].removeprefix(f"{page.instance}: ") for entry in _tables(own)}
    return [{"file": file, "title": title[:1].upper() + title[1:]} for file, title in short.items()]


def _figures(run: Path, items: Iterable[Item]) -> list[dict[str, str]]:
    figures = []
    for item in items:
        for file in item.files:
            if file.startswith("figures/") and file.endswith(".png") and (run / file).is_file():
                figures.append({"name": item.name, "file": file, "alt": _words_in(run / file)})
    return figures


def _words_in(png: Path) -> str:
    """Title and caption, which a figure carries in its file."""
    with Image.open(png) as image:
        words = [str(image.info.get(key, "")) for key in ("Title", "Description")]
    return ". ".join(filter(None, words))


def _tables(items: Iterable[Item]) -> list[dict[str, str]]:
    return [{"title": item.title, "file": file} for item in items for file in item.files if file.startswith("tables/")]


def _facts(manifest: Mapping[str, Any], say: Callable[[str, str], str]) -> list[str]:
    versions, git = manifest.get("versions") or {}, manifest.get("git") or {}
    facts = [f"Python {versions['python']}, {versions.get('platform', '')}"] if "python" in versions else []
    if manifest.get("workbench"):
        facts.append(f"evaluation {manifest['workbench']}")
    if git.get("commit"):
        changed = say(" (고친 것이 있음)", " (with local changes)") if git.get("dirty") else ""
        facts.append(f"git {git['commit']}{changed}")
    if manifest.get("requirements_lock_sha256"):
        facts.append(f"requirements.lock SHA-256 {manifest['requirements_lock_sha256']}")
    return facts


def require_offline(name: str, text: str) -> None:
    """Raise a PublishError where a page loads anything from elsewhere, or runs a script.

    Examples
    --------
    >>> require_offline("a.html", '<a href="https://example.org">a source</a>')
    >>> require_offline("a.html", '<img src="https://example.org/x.png">')
    Traceback (most recent call last):
    evaluation.errors.PublishError: report page a.html loads https://example.org/x.png. ...
    """
    found = _LOADS.search(_EMBEDDED.sub("", text))
    if found:
        what = found["address"] or found["style"] or html.unescape(found["active"])
        raise PublishError(
            f"report page {name} loads {what}. The report must be readable without a network: "
            "take it out of the notebook, or show a picture made by ev.plot."
        )


def _write_assets(folder: Path, texts: Iterable[str]) -> None:
    """Write style sheet, the fonts cut down to the letters that are used, and their licence."""
    characters = {character for text in texts for character in html.unescape(_EMBEDDED.sub("", text))}
    style = _STYLE.read_text(encoding="utf-8")
    for mark, file in zip(("FONT_REGULAR", "FONT_BOLD"), font_files(), strict=True):
        name, content = font_subset(file, characters)
        _write(folder / name, content)
        style = style.replace(mark, name)
    require_offline("assets/style.css", style)
    _write(folder / "style.css", style.encode("utf-8"))
    _write(folder / "OFL.txt", _licence(font_files()[0]).encode("utf-8"))


def _licence(file: Path) -> str:
    names = TTFont(file)["name"]
    copyright_line = str(names.getDebugName(0)).strip()
    return (
        f"{FAMILY}: letters of {names.getDebugName(4)}, cut down to those in use.\n{copyright_line}\n\n"
        + _OFL.read_text(encoding="utf-8")
    )


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
