import json
import re
import runpy
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from fontTools.ttLib import TTFont
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from evaluation import sentences
from evaluation.errors import ProjectError, PublishError
from evaluation.figures import plotting
from evaluation.publication import publish
from evaluation.report.site import build_site, require_offline

HANDMADE = Path(__file__).with_name("handmade_results.py")
made = SimpleNamespace(**runpy.run_path(str(HANDMADE)))

STUDY = {
    "study": "schools",
    "title": {"ko": "학교 <2000>", "en": "Schools <2000>"},
    "question": {"ko": "무엇을 아는가?", "en": "What is known?"},
    "survey": "api_2000",
    "headline": "main",
    "designs": {"main": {"sample": "apiclus1"}},
    "steps": {"profile": {"notebook": "10_profile"}, "report": {"notebook": "50_report", "needs": ["profile"]}},
}
CELLS = (
    "import runpy\nfrom evaluation import tables\nfrom evaluation.figures import plotting\n"
    f"m = runpy.run_path({str(HANDMADE)!r})"
)


def executed(heading, lang):
    """A notebook as a real kernel leaves it."""
    notebook = new_notebook(
        cells=[
            new_markdown_cell(
                f"# {heading}\n\nA sentence with *weight* and `api00`.\n\n| a | b |\n|---|---|\n| 1 | 2 |"
            ),
            new_code_cell(CELLS),
            new_code_cell(f"# 표\ntables.table(m['SHARES'], lang={lang!r})"),
            new_code_cell(f"plotting.plot(m['MEANS'], lang={lang!r})"),
            new_code_cell("print('힣뷁')"),
            new_code_cell(
                f"from evaluation import sentences\nsentences.statement(m['TOTAL'], {lang!r})",
                metadata={"tags": ["headline"]},
            ),
        ],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    NotebookClient(notebook, timeout=120).execute()
    return notebook


@pytest.fixture(scope="module", params=["ko", "en"])
def run(request, tmp_path_factory):
    """A run folder with two executed notebooks and what one of them published."""
    lang, folder = request.param, tmp_path_factory.mktemp("run")
    (folder / "notebooks").mkdir()
    (folder / "study.json").write_text(json.dumps(STUDY | {"parameters": {"lang": lang}}), encoding="utf-8")
    notebook = executed("보고서의 제목", lang)
    nbformat.write(notebook, folder / "notebooks" / "50_report.ipynb")
    nbformat.write(notebook, folder / "notebooks" / "10_profile.ipynb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVALUATION_RUN", str(folder))
        patch.setenv("EVALUATION_STEP", "report")
        publish("api_means", plotting.plot(made.MEANS, lang=lang))
        publish("means", made.MEANS, title="평균표")
    build_site(folder)
    return folder


class Addresses(HTMLParser):
    """Collects what a page links and loads, and the tags it has."""

    def __init__(self):
        super().__init__()
        self.found, self.tags = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.found += [value for name, value in attributes if name in {"src", "href"}]


def pages_of(run):
    return [run / "report" / "index.html", *sorted((run / "report" / "notebooks").glob("*.html"))]


def test_every_address_in_the_site_is_a_file_of_the_run(run):
    pages = pages_of(run)
    assert len(pages) == 3
    for page in pages:
        reader = Addresses()
        reader.feed(page.read_text(encoding="utf-8"))
        assert "script" not in reader.tags
        assert reader.found
        for address in reader.found:
            assert "://" not in address
            assert address.startswith("data:image/") or (page.parent / address).is_file(), address
    style = (run / "report/assets/style.css").read_text(encoding="utf-8")
    for address in re.findall(r'url\("([^"]+)"\)', style):
        assert (run / "report/assets" / address).is_file()


def test_the_start_page_says_what_was_asked_found_and_read(run):
    lang = json.loads((run / "study.json").read_text(encoding="utf-8"))["parameters"]["lang"]
    page = (run / "report/index.html").read_text(encoding="utf-8")
    assert f'<html lang="{lang}">' in page
    assert STUDY["question"][lang] in page
    assert "학교 &lt;2000&gt;" in page or "Schools &lt;2000&gt;" in page
    assert '<img src="../figures/api_means.png"' in page
    assert "n = 183" in page
    assert "평균표" in page
    said = sentences.statement(made.TOTAL, lang).sentences[0]
    assert page.index(f'<p class="lead">{said}</p>') < page.index(
        '<a class="main-link" href="notebooks/50_report.html">'
    )
    assert page.index("main-link") < page.index("<img")
    assert [name for name in ("프로파일", "보고서", "Profile", "Report") if f">{name}</a>" in page] == (
        ["프로파일", "보고서"] if lang == "ko" else ["Profile", "Report"]
    )
    assert "보고서의 제목" in page


def test_a_notebook_page_folds_code_and_shows_table_figure_and_text(run):
    page = (run / "report/notebooks/50_report.html").read_text(encoding="utf-8")
    assert page.count('<details class="code">') == 5
    assert page.count("data:image/png;base64,") == 1
    assert '<table class="evaluation-table">' in page
    assert "<em>weight</em>" in page
    assert "힣뷁" in page


def test_the_fonts_hold_every_korean_letter_of_the_site_and_not_much_more(run):
    text = "".join(re.sub("base64,[^\"']+", "", page.read_text(encoding="utf-8")) for page in pages_of(run))
    korean = {ord(letter) for letter in text if "가" <= letter <= "힣"}
    fonts = sorted((run / "report/assets").glob("*.woff*"))
    assert len(fonts) == 2
    assert {ord("힣"), ord("뷁")} <= korean
    for font in fonts:
        known = set(TTFont(font).getBestCmap())
        assert korean <= known
        assert len(known) < 600
        assert "Nanum" not in str(TTFont(font)["name"].getDebugName(1))
    assert "SIL OPEN FONT LICENSE" in (run / "report/assets/OFL.txt").read_text(encoding="utf-8")


def test_the_same_run_gives_the_same_site(run):
    files = [file for file in sorted((run / "report").rglob("*")) if file.is_file()]
    before = {file: file.read_bytes() for file in files}
    (run / "report" / "left_over.html").write_text("old", encoding="utf-8")
    assert build_site(run) == run / "report" / "index.html"
    assert {file: file.read_bytes() for file in (run / "report").rglob("*") if file.is_file()} == before


def test_the_facts_of_a_manifest_are_shown(run, tmp_path):
    (tmp_path / "study.json").write_bytes((run / "study.json").read_bytes())
    manifest = {
        "inputs": [{"file": "surveys/api_2000/apiclus1.csv", "sha256": "ab" * 32}],
        "git": {"commit": "c0ffee", "dirty": True},
        "versions": {"python": "3.11.7", "platform": "Linux x86_64"},
        "steps": {"report": {"state": "ok", "outputs": [{"name": "means", "file": "tables/means.csv", "sha256": ""}]}},
    }
    (tmp_path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    page = build_site(tmp_path).read_text(encoding="utf-8")
    for fact in ("surveys/api_2000/apiclus1.csv", "ab" * 32, "c0ffee", "3.11.7", "tables/means.csv"):
        assert fact in page


def test_an_error_in_a_notebook_is_shown(run, tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "study.json").write_bytes((run / "study.json").read_bytes())
    error = new_output("error", ename="E", evalue="v", traceback=["\x1b[31mE\x1b[0m: v"])
    failed = new_code_cell("1 / 0", outputs=[error])
    nbformat.write(new_notebook(cells=[failed]), tmp_path / "notebooks" / "10_profile.ipynb")
    build_site(tmp_path)
    page = (tmp_path / "report/notebooks/10_profile.html").read_text(encoding="utf-8")
    assert '<span class="ansi-red-fg">E</span>: v' in page


def test_a_page_that_would_load_something_is_refused_and_the_old_report_stays(run, tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "report").mkdir()
    (tmp_path / "report/index.html").write_text("old", encoding="utf-8")
    (tmp_path / "study.json").write_bytes((run / "study.json").read_bytes())
    notebook = new_notebook(cells=[new_markdown_cell("![a picture](https://example.org/a.png)")])
    nbformat.write(notebook, tmp_path / "notebooks" / "10_profile.ipynb")
    with pytest.raises(PublishError, match=r"notebooks/10_profile\.html loads https://example\.org/a\.png"):
        build_site(tmp_path)
    assert (tmp_path / "report/index.html").read_text(encoding="utf-8") == "old"


@pytest.mark.parametrize(
    "page",
    [
        '<script src="a.js"></script>',
        "<SCRIPT>1</SCRIPT>",
        "<img src='//example.org/a.png'>",
        '<link rel="stylesheet" href="https://example.org/a.css">',
        '<p style="background: url(https://example.org/a.png)">',
        "<style>@import 'a.css'</style>",
        '<iframe src="a.html"></iframe>',
    ],
)
def test_everything_that_loads_or_runs_is_found(page):
    with pytest.raises(PublishError, match="readable without a network"):
        require_offline("page.html", page)


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(ProjectError, match="no run folder"):
        build_site(tmp_path)


def test_the_instances_of_a_step_stand_on_a_page_of_their_own(run, tmp_path):
    matrix = {"notebook": "60_district", "matrix": {"district": [680, 110], "lang": ["ko", "en"]}}
    study = STUDY | {"survey": "seoul_2016", "steps": STUDY["steps"] | {"district": matrix}}
    (tmp_path / "study.json").write_text(json.dumps(study | {"parameters": {"lang": "en"}}), encoding="utf-8")
    (tmp_path / "notebooks" / "60_district").mkdir(parents=True)
    steps = {}
    for label, state in (("680_ko", "ok"), ("680_en", "ok"), ("110_ko", "failed")):
        notebook = f"notebooks/60_district/{label}.ipynb"
        (tmp_path / notebook).write_bytes((run / "notebooks" / "50_report.ipynb").read_bytes())
        (tmp_path / "tables").mkdir(exist_ok=True)
        (tmp_path / "tables" / f"items__{label}.csv").write_text("a\n1\n", encoding="utf-8")
        code, lang = label.split("_")
        output = {"name": f"items__{label}", "file": f"tables/items__{label}.csv", "sha256": ""}
        steps[f"district/{label}"] = {
            "state": state,
            "notebook": notebook,
            "parameters": {"district": int(code), "lang": lang},
            "outputs": [output],
        }
    (tmp_path / "manifest.json").write_text(json.dumps({"steps": steps}), encoding="utf-8")
    start = build_site(tmp_path)

    page = start.read_text(encoding="utf-8")
    assert '<a href="notebooks/60_district/index.html">보고서의 제목</a> (3) <span class="state">failed</span>' in page
    assert "items__680_ko" not in page
    assert page.count("60_district/") == 2, "navigation and list of notebooks name the group once each"
    group = start.parent / "notebooks" / "60_district" / "index.html"
    listed = group.read_text(encoding="utf-8")
    for name in ("Gangnam-gu, 한국어", "Gangnam-gu, English", "Jongno-gu, 한국어"):
        assert f">{name}</a>" in listed
    assert listed.count('<span class="state">failed</span>') == 1
    instance = (group.parent / "680_en.html").read_text(encoding="utf-8")
    assert "<title>Gangnam-gu, English: " in instance
    for one in (group, group.parent / "680_en.html"):
        reader = Addresses()
        reader.feed(one.read_text(encoding="utf-8"))
        for address in reader.found:
            assert address.startswith("data:image/") or (one.parent / address).is_file(), address
