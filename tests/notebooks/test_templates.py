"""The templates in ``notebooks/``: how they are written, and that each runs as it is by the tools people have."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import nbformat
import pytest
from nbclient import NotebookClient

from evaluation.specification import Section
from evaluation.study.parameters import declared_parameters

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted((ROOT / "notebooks").glob("*.ipynb"))
COPIED = ("pyproject.toml", "notebooks", "params", "surveys")
LANGUAGES = ("en", "ko")

#: A notebook is an argument: a sentence, a call, a display. What is longer belongs into the package.
FEWEST_CELLS, MOST_CELLS, MOST_LINES = 5, 20, 5
#: An annual report and a comparison that shows its diagnostics first are longer; most of their cells only publish.
LONGER = {"30_comparison": 46, "40_impact": 67, "50_report": 56}
#: Syntax that has no place in a template; imports are looked at apart.
REFUSED = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.For, ast.While, ast.If, ast.With, ast.Try),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Assert, ast.Global, ast.Delete),
)
#: Calls that a template leaves to the package.
REFUSED_NAMES = {"print", "display", "open", "exec", "eval", "groupby", "filterwarnings", "simplefilter"}

each = pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def code_of(node):
    return [cell for cell in node.cells if cell.cell_type == "code"]


def tags_of(cell):
    return cell.metadata.get("tags", [])


def test_there_is_a_template_per_step():
    expected = {"10_profile", "20_weighting", "30_comparison", "40_impact", "50_report", "60_district", "70_districts"}
    assert expected | {"90_review"} <= {path.stem for path in TEMPLATES}


@each
def test_a_template_is_stripped_and_valid(path):
    node = read(path)
    nbformat.validate(node)
    assert (node.nbformat, node.nbformat_minor) == (4, 5)
    assert node.metadata.kernelspec.name == "python3"
    assert set(node.metadata) <= {"kernelspec", "language_info"}
    assert "version" not in node.metadata.get("language_info", {})
    for cell in code_of(node):
        assert (cell.outputs, cell.execution_count) == ([], None)
    for cell in node.cells:
        assert set(cell.metadata) <= {"tags"}, f"cell {cell.id} carries metadata of an execution or of an editor"
        assert cell.source.strip(), f"cell {cell.id} is empty"
    assert path.read_bytes().endswith(b"}\n")
    assert b"\r" not in path.read_bytes()


@each
def test_cell_ids_are_fixed_and_say_where_the_cell_stands(path):
    ids = [cell.id for cell in read(path).cells]
    assert len(set(ids)) == len(ids)
    number = path.stem.split("_")[0]
    for name in ids:
        assert re.fullmatch(rf"{number}-\d\d(-en|-ko)?", name), name
    assert [name[:5] for name in ids] == sorted(name[:5] for name in ids)


@each
def test_parameters_are_typed_literals_with_a_comment(path):
    node = read(path)
    [cell] = [cell for cell in node.cells if "parameters" in tags_of(cell)]
    assert cell is code_of(node)[0]
    for line in cell.source.splitlines():
        assert re.fullmatch(r"[a-z][a-z0-9_]*: (str|int|float|bool) = \S.*  # \S.*", line), line
    declared = declared_parameters(path.stem)
    assert len(declared) == len(cell.source.splitlines())
    assert declared["study"].type == "str"
    assert (declared["lang"].type, declared["lang"].default) == ("str", "en")
    assert all(parameter.help for parameter in declared.values())


@each
def test_code_is_a_few_short_cells_of_plain_calls(path):
    cells = code_of(read(path))
    assert FEWEST_CELLS <= len(cells) <= LONGER.get(path.stem, MOST_CELLS)
    for cell in cells:
        if "parameters" in tags_of(cell):
            continue
        assert 1 <= len(cell.source.splitlines()) <= MOST_LINES, cell.source
        for node in ast.walk(ast.parse(cell.source)):
            assert not isinstance(node, REFUSED), f"{cell.id}: {type(node).__name__}"
            name = getattr(node, "id", None) or getattr(node, "attr", None)
            assert name not in REFUSED_NAMES, f"{cell.id}: {name}"
            assert not (
                isinstance(node, ast.Constant) and isinstance(node.value, str) and re.search(r"[/\\]", node.value)
            )
        assert not re.search(r"^\s*[%!]", cell.source, re.MULTILINE), "no magics"


@each
def test_the_package_is_all_that_is_imported(path):
    lines = [line for cell in code_of(read(path)) for line in cell.source.splitlines()]
    assert [line for line in lines if re.search(r"\bimport\b", line)] == ["import evaluation as ev"]


@each
def test_every_text_stands_in_english_and_in_korean(path):
    cells = read(path).cells
    texts = [cell for cell in cells if cell.cell_type == "markdown"]
    assert texts
    assert len(texts) + len(code_of(read(path))) == len(cells), "text and code only"
    for english, korean in zip(texts[::2], texts[1::2], strict=True):
        assert (tags_of(english)[0], tags_of(korean)[0]) == ("lang-en", "lang-ko")
        assert tags_of(english)[1:] == tags_of(korean)[1:]
        assert all(tag.removeprefix("if-") in get_args(Section) for tag in tags_of(english)[1:])
        assert english.id.removesuffix("-en") == korean.id.removesuffix("-ko")
        assert cells.index(korean) == cells.index(english) + 1
        assert not re.search(r"[가-힣]", english.source), english.id
        assert len(re.findall(r"[가-힣]", korean.source)) >= 2, korean.id
        for mark in (r"^#+ ", r"\*\*"):
            counts = [len(re.findall(mark, cell.source, re.MULTILINE)) for cell in (english, korean)]
            assert counts[0] == counts[1], f"{english.id}: headings and emphasis differ between the languages"


@each
def test_no_number_is_typed_in_a_text(path):
    for cell in read(path).cells:
        if cell.cell_type == "markdown":
            # A hash function's name is no number.
            assert not re.search(r"\d", cell.source.replace("SHA-256", "")), f"{cell.id}: {cell.source}"


@each
def test_a_template_opens_with_question_and_parameters_and_ends_with_publish_and_limits(path):
    node = read(path)
    first = node.cells[0].source
    assert first.startswith("# ")
    assert "**Question.**" in first
    assert "parameters" in tags_of(node.cells[2])
    assert code_of(node)[1].source == "import evaluation as ev\n\nopened = ev.open_study(study, lang=lang)\nopened"
    english, korean = node.cells[-2:]
    assert (english.source.split("\n")[0], korean.source.split("\n")[0]) == ("## Limits", "## 한계")
    sources = [cell.source for cell in code_of(node)]
    assert any(source.startswith("ev.publish(") for source in sources)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A copy of the project without outputs, so that what opens by hand writes nowhere else."""
    root = tmp_path / "a project"
    root.mkdir()
    for name in COPIED:
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile)(ROOT / name, root / name)
    for name in [name for name in os.environ if name.startswith("EVALUATION_")]:
        monkeypatch.delenv(name)
    return root


def assert_ran(node):
    code = code_of(node)
    # papermill puts the parameters that were given into a cell of their own.
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type in ("error", "stream")]
    assert sum("text/html" in output.get("data", {}) for output in outputs) >= 3
    published = [shown(cell) for cell in code if cell.source.startswith("ev.publish(")]
    assert published
    assert all("not of record (scratch folder)" in text for text in published)


def shown(cell):
    return "\n".join(str(output) for output in cell.outputs)


def published_by_hand(root, *runs):
    """What stands in the scratch folder; nothing else may stand in ``outputs`` but runs that were there before."""
    assert {path.name for path in (root / "outputs").iterdir()} == {"scratch", *runs}
    folder = root / "outputs" / "scratch" / "seoul_2016"
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("folder", "template"), [("", "notebooks/10_profile.ipynb"), ("notebooks", "10_profile.ipynb")]
)
def test_plain_papermill_runs_a_template_from_the_root_and_from_its_folder(project, tmp_path, folder, template):
    """papermill's own engine knows nothing of the workbench: what it writes is a draft, not of record."""
    executed = tmp_path / "executed.ipynb"
    ended = subprocess.run(
        [sys.executable, "-m", "papermill", template, str(executed), "-p", "lang", "ko", "--no-progress-bar"],
        cwd=project / folder,
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONUTF8": "1"},
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    node = read(executed)
    assert_ran(node)
    assert {"estimates/participants_total.json", "figures/sample_and_population.png"} <= published_by_hand(project)
    everything = "\n".join(shown(cell) for cell in code_of(node))
    assert "동네 정주 의사" in everything, "the language that was asked for"
    assert "image/png" in everything
    assert str(project) not in everything
    assert (project / "notebooks" / "10_profile.ipynb").read_bytes() == TEMPLATES[0].read_bytes()


#: What the instances of step 'district' publish, as their notebook would, in one process.
DISTRICTS = """
import os
from pathlib import Path
import evaluation as ev
from evaluation.survey.codebook import read_codebook

ev.open_study("seoul_2016")
items = ["stay", "live_in_seoul", "rely", "happy"]
design = ev.study_design("seoul_2016", "waves", variables=[*items, "participant", "district", "year"])
for code in read_codebook(Path(os.environ["CODEBOOK"]))["district"].codes:
    os.environ |= {"EVALUATION_STEP": f"district/{code}_2016", "EVALUATION_INSTANCE": f"{code}_2016"}
    here = ev.survey_area(design, {"district": int(code)}, wave={"year": 2016})
    ev.publish("district_items", ev.area_means(here, [*items, "participant"]))
    ev.publish("district_participants", ev.area_group(here, items, group={"participant": 1}))
"""


def run_districts(root):
    """Leave a run in which every district has published, for the notebook that gathers them."""
    folders = {"EVALUATION_PROJECT": root, "EVALUATION_RUN": root / "outputs" / "seoul_2016",
               "CODEBOOK": root / "surveys" / "seoul_2016" / "codebook.csv"}  # fmt: skip
    subprocess.run(
        [sys.executable, "-c", DISTRICTS],
        env={**os.environ, **{name: str(folder) for name, folder in folders.items()}}, timeout=300, check=True,
    )  # fmt: skip


def test_jupyterlab_runs_the_templates_as_they_are_in_their_own_folder(project):
    """Opened by hand one after the other, the last finds what the ones before it published."""
    run_districts(project)
    for path in TEMPLATES:
        node = read(project / "notebooks" / path.name)
        client = NotebookClient(node, kernel_name="python3", timeout=300, record_timing=False)
        client.execute(cwd=str(project / "notebooks"))
        assert_ran(node)
        assert str(project) not in "\n".join(shown(cell) for cell in code_of(node))
    verdict = shown(next(cell for cell in code_of(node) if "review.verdict()" in cell.source))
    assert "46 claims" in verdict
    assert "All turn out as the register says." in verdict, verdict
    published = published_by_hand(project, "seoul_2016")
    assert {"estimates/district_items.json", "figures/districts_funnel.png"} <= published
    assert {"estimates/headline.json", "estimates/event_study.json", "figures/ladder.png"} <= published
    assert "tables/claims.csv" in published
