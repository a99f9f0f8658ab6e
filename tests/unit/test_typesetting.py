"""Tables leave as HTML, LaTeX and Word: what they say is in each, the same bytes each time."""

import docx
import pandas as pd
import pytest

import evaluation as ev
from evaluation.typesetting import escaped


@pytest.fixture(params=["en", "ko"])
def table(request):
    frame = pd.DataFrame({"group_name": ["a", "a", "b_%", "b_%"], "y": [1.0, 2.0, 3.0, 5.0]})
    return ev.table(ev.survey_mean(ev.survey_design(frame), "y", by="group_name"), lang=request.param)


def test_word_holds_the_cells_title_and_notes(table, tmp_path):
    table.to_word(tmp_path / "t.docx")
    document = docx.Document(tmp_path / "t.docx")
    written = [[cell.text for cell in row.cells] for row in document.tables[0].rows]
    assert written == [list(table.frame.columns), *table.frame.to_numpy().tolist()]
    paragraphs = [paragraph.text for paragraph in document.paragraphs]
    assert paragraphs == [table.title, *table.caption.split("\n")]


def test_latex_holds_every_row_with_its_signs_escaped(table, tmp_path):
    table.to_latex(tmp_path / "t.tex")
    text = (tmp_path / "t.tex").read_text(encoding="utf-8")
    for row in table.frame.itertuples(index=False, name=None):
        assert " & ".join(map(escaped, row)) + r" \\" in text
    assert escaped(table.title) in text
    assert "b_%" not in text


def test_html_is_what_is_displayed(table, tmp_path):
    table.to_html(tmp_path / "t.html")
    assert (tmp_path / "t.html").read_text(encoding="utf-8") == table._repr_html_() + "\n"


def test_the_same_table_is_the_same_file(table, tmp_path):
    for name in ("one.docx", "two.docx"):
        table.to_word(tmp_path / name)
    assert (tmp_path / "one.docx").read_bytes() == (tmp_path / "two.docx").read_bytes()
