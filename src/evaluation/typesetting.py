"""A laid-out table as LaTeX source and as a Word document."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:  # a fifth of a second that only who writes a document should wait for
    from docx.document import Document
    from docx.table import _Cell
    from docx.text.paragraph import Paragraph

#: What LaTeX reads as commands.
_ESCAPES = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "−": r"$-$",
}
#: A document written twice is the same file.
_STAMP = (1980, 1, 1, 0, 0, 0)
_KOREAN = "Malgun Gothic"

Groups = Sequence[tuple[str, pd.DataFrame]]


def escaped(text: object) -> str:
    """Return text that LaTeX prints as it is.

    Examples
    --------
    >>> print(escaped("84.7 % of R&D_1"))
    84.7 \\% of R\\&D\\_1
    """
    return "".join(_ESCAPES.get(letter, letter) for letter in str(text))


def latex(title: str, groups: Groups, numeric: Sequence[str], foot: Sequence[str]) -> str:
    """Return a table as LaTeX source (packages booktabs and threeparttable; Korean needs XeLaTeX or LuaLaTeX).

    Parameters
    ----------
    title : str
    groups : sequence of (str, DataFrame of str)
        Heading of each group of rows, empty for none, and its rows; all have the same columns.
    numeric : sequence of str
        Columns that stand flush right.
    foot : sequence of str
        Lines below the table.
    """
    columns = list(groups[0][1].columns)
    sides = "".join("r" if column in numeric else "l" for column in columns)
    lines = [r"\begin{table}", r"\begin{threeparttable}", rf"\caption{{{escaped(title)}}}"]
    lines += [rf"\begin{{tabular}}{{{sides}}}", r"\toprule", " & ".join(map(escaped, columns)) + r" \\", r"\midrule"]
    for heading, part in groups:
        if heading:
            lines.append(rf"\multicolumn{{{len(columns)}}}{{l}}{{\textit{{{escaped(heading)}}}}} \\")
        lines += [" & ".join(map(escaped, row)) + r" \\" for row in part.itertuples(index=False, name=None)]
    lines += [r"\bottomrule", r"\end{tabular}"]
    if foot:
        lines += [r"\begin{tablenotes}", *(rf"\item {escaped(line)}" for line in foot), r"\end{tablenotes}"]
    return "\n".join([*lines, r"\end{threeparttable}", r"\end{table}", ""])


def word(title: str, groups: Groups, numeric: Sequence[str], foot: Sequence[str], *, lang: str) -> bytes:
    """Return a table as a Word document; arguments as of ``latex``, ``lang`` the language of its text."""
    import docx

    document = docx.Document()
    document.core_properties.author, document.core_properties.title = "", title
    _write(document.add_paragraph(), title, lang, is_bold=True)
    columns = list(groups[0][1].columns)
    grid = document.add_table(rows=1, cols=len(columns))
    grid.style = "Light List"
    for place, column in enumerate(columns):
        _cell(grid.rows[0].cells[place], column, lang, column in numeric, is_bold=True)
    for heading, part in groups:
        if heading:
            cells = grid.add_row().cells
            _cell(cells[0].merge(cells[-1]), heading, lang, False, is_bold=True)
        for row in part.itertuples(index=False, name=None):
            for place, (cell, text) in enumerate(zip(grid.add_row().cells, row, strict=True)):
                _cell(cell, str(text), lang, columns[place] in numeric)
    for line in foot:
        _write(document.add_paragraph(), line, lang)
    return _stamped(document)


def _cell(cell: _Cell, text: str, lang: str, is_number: bool, *, is_bold: bool = False) -> None:
    from docx.enum.text import WD_ALIGN_PARAGRAPH

    paragraph = cell.paragraphs[0]
    if is_number:
        paragraph.alignment = WD_ALIGN_PARAGRAPH.RIGHT
    _write(paragraph, text, lang, is_bold=is_bold)


def _write(paragraph: Paragraph, text: str, lang: str, *, is_bold: bool = False) -> None:
    from docx.oxml.ns import qn
    from docx.shared import Pt

    run = paragraph.add_run(text)
    run.bold, run.font.size = is_bold, Pt(9)
    if lang == "ko":
        run.font.name = _KOREAN
        run._element.get_or_add_rPr().get_or_add_rFonts().set(qn("w:eastAsia"), _KOREAN)


def _stamped(document: Document) -> bytes:
    """Return the file with one date on every part, so that the same table is the same file."""
    written, again = io.BytesIO(), io.BytesIO()
    document.save(written)
    with zipfile.ZipFile(written) as source, zipfile.ZipFile(again, "w", zipfile.ZIP_DEFLATED) as target:
        for name in sorted(source.namelist()):
            part = zipfile.ZipInfo(name, _STAMP)
            part.compress_type, part.create_system = zipfile.ZIP_DEFLATED, 3
            target.writestr(part, source.read(name))
    return again.getvalue()
