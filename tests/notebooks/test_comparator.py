"""The check of a published run: what must pass, and each thing that must fail, with nbval and real kernels."""

import base64
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace

import nbclient
import nbformat
import pytest
from PIL import Image, ImageDraw

from evaluation.comparator.differences import (
    Tolerance,
    file_differences,
    picture_difference,
    table_differences,
    text_difference,
    value_differences,
)
from evaluation.comparator.reference import ReferenceFolder

EXACT = Tolerance()
CONFTEST = """
from pathlib import Path
from evaluation.comparator.reference import ReferenceFolder

def pytest_configure(config):
    ReferenceFolder(Path(__file__).parent).register(config)
"""

# One cell per thing that is compared; the last cells publish. Plain Python, so that a kernel starts fast.
ESTIMATE = {
    "parameters": 'study: str = "none"',
    "injected-parameters": 'study = "demo"',
    "stream": "import json, os, sys, warnings\nfrom pathlib import Path\n"
    "run = Path(os.environ['EVALUATION_RUN'])\nprint(f'mean {0.53449:.3f}  n = 1,204')",
    "html": "from IPython.display import HTML\n"
    "HTML('<table>\\n<tr><td>E</td><td>0.534</td></tr>\\n<tr><td>H</td><td>-12.50</td></tr>\\n</table>')",
    "full": "1 / 3",
    "picture": "from PIL import Image, ImageDraw\npicture = Image.new('RGB', (480, 320), 'white')\n"
    "ImageDraw.Draw(picture).text((200, 150), '0.53', fill='black')\npicture",
    "paths": "print(run / 'tables', Path(os.__file__), os.environ['EVALUATION_STEP'], os.environ['OMP_NUM_THREADS'])\n"
    "warnings.warn('few units')",
    "quiet": "answer = 42",
    "blank": "",
    "publish": "for folder in ('estimates', 'tables', 'figures'):\n    (run / folder).mkdir(exist_ok=True)\n"
    "mean = {'name': 'mean', 'rows': [{'term': 'api00', 'level': 'E', 'estimate': 1 / 3, 'n_obs': 12}],\n"
    "        'vcov': [[4e10, 1e-7], [1e-7, 1e-4]], 'df': 'Infinity'}\n"
    "(run / 'estimates' / 'mean.json').write_text(json.dumps(mean), encoding='utf-8')\n"
    "table = 'level,estimate,n\\nE,0.3333333333333333,12\\nH,0.25,9\\n'\n"
    "(run / 'tables' / 'levels.csv').write_text(table, encoding='utf-8')\n"
    "drawing = '<svg><path d=\"M 0 1.500000 L 2 3.250000\"/></svg>'\n"
    "(run / 'figures' / 'bars.svg').write_text(drawing, encoding='utf-8')\n"
    "picture.save(run / 'figures' / 'bars.png')\nprint('published')",
}
REPORT = {
    "parameters": 'study: str = "none"',
    "read": "import json, os\nfrom pathlib import Path\nrun = Path(os.environ['EVALUATION_RUN'])\n"
    "mean = json.loads((run / 'estimates' / 'mean.json').read_text(encoding='utf-8'))\nmean['rows'][0]['estimate']",
    "publish": "(run / 'tables').mkdir(exist_ok=True)\n"
    "(run / 'tables' / 'report.csv').write_text('estimate\\n0.5\\n', encoding='utf-8')",
}
PUBLISHED = {
    "10_estimate": ["estimates/mean.json", "figures/bars.png", "figures/bars.svg", "tables/levels.csv"],
    "20_report": ["tables/report.csv"],
}


class Published:
    """One folder ``outputs/reference/<name>`` that a test tampers with."""

    def __init__(self, folder):
        self.folder = folder

    def edit(self, relative, old, new):
        path = self.folder / relative
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{relative} does not hold {old}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def notebook(self, change, name="10_estimate"):
        path = self.folder / "notebooks" / f"{name}.ipynb"
        notebook = nbformat.read(path, as_version=4)
        change({cell.metadata["tags"][0]: cell for cell in notebook.cells if cell.cell_type == "code"})
        nbformat.write(notebook, path)

    def manifest(self, change):
        path = self.folder / "manifest.json"
        manifest = json.loads(path.read_text(encoding="utf-8"))
        change(manifest["steps"])
        path.write_text(json.dumps(manifest), encoding="utf-8")


def built(cells):
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "some-kernel", "display_name": "Some"}})
    for number, (tag, source) in enumerate(cells.items()):
        notebook.cells.append(nbformat.v4.new_markdown_cell(f"What {tag} shows.", id=f"text-{number}"))
        notebook.cells.append(nbformat.v4.new_code_cell(source, id=f"code-{number}", metadata={"tags": [tag]}))
    return notebook


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A project with one published run, its notebooks executed in real kernels."""
    root = tmp_path_factory.mktemp("project")
    (root / "pyproject.toml").write_text("[tool.evaluation]\n", encoding="utf-8")
    folder = root / "outputs" / "reference" / "original"
    (folder / "notebooks").mkdir(parents=True)
    for name, cells in (("10_estimate", ESTIMATE), ("20_report", REPORT)):
        notebook, step = built(cells), name.partition("_")[2]
        environment = os.environ | {"EVALUATION_RUN": str(folder), "EVALUATION_STEP": step, "OMP_NUM_THREADS": "1"}
        nbclient.NotebookClient(notebook, kernel_name="python3", timeout=60).execute(env=environment)
        text = nbformat.writes(notebook).replace(str(folder), "outputs/original")
        text = text.replace(os.path.dirname(os.__file__), "<python>")
        (folder / "notebooks" / f"{name}.ipynb").write_text(text, encoding="utf-8")
    steps = {
        name.partition("_")[2]: {
            "notebook": f"notebooks/{name}.ipynb",
            "state": "ok",
            "outputs": [{"name": Path(file).stem, "file": file, "sha256": ""} for file in files],
        }
        for name, files in PUBLISHED.items()
    }
    (folder / "manifest.json").write_text(json.dumps({"steps": steps}), encoding="utf-8")
    (folder / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def published(original):
    """Return a function that copies the published run under another name, without its second notebook."""

    def copy(name):
        copied = Published(original.with_name(name))
        shutil.copytree(original, copied.folder)
        copied.notebook(lambda cells: _say(cells["paths"], "outputs/original", f"outputs/{name}"))
        (copied.folder / "notebooks" / "20_report.ipynb").unlink()
        (copied.folder / "tables" / "report.csv").unlink()
        copied.manifest(lambda steps: steps.pop("report"))
        return copied

    return copy


def check(*arguments, cwd):
    """Run pytest as a reviewer does and return its exit code, its text, and each item's fate."""
    report = cwd / "junit.xml"
    command = [sys.executable, "-m", "pytest", "-q", "--nbval", "-p", "no:cacheprovider", f"--junitxml={report}"]
    hidden = ("EVALUATION_", "COLUMNS", "PYTEST_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    done = subprocess.run(
        [*command, *(str(argument) for argument in arguments)],
        cwd=cwd,
        env=environment | {"COLUMNS": "40"},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    fates = {}
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        failure = case.find("failure") if case.find("failure") is not None else case.find("error")
        study = case.get("classname").split("reference.")[-1].split(".")[0]
        fates[study, case.get("name")] = "" if failure is None else f"{failure.get('message')}\n{failure.text}"
    return done.returncode, done.stdout + done.stderr, fates


def _say(cell, old, new):
    """Change what a stored cell shows."""
    text = json.dumps(cell.outputs)
    assert old in text, f"the cell does not show {old}"
    cell.outputs = nbformat.from_dict(json.loads(text.replace(old, new)))


def _repaint(png, text="0.58"):
    """Return the picture with another number in it: a change too small for the mean over all pixels."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((195, 145, 260, 170), fill="white")
    draw.text((200, 150), text, fill="black")
    changed = io.BytesIO()
    picture.save(changed, "PNG")
    return changed.getvalue()


def _tamper_with_cells(cells):
    _say(cells["stream"], "mean 0.534", "mean 0.536")
    _say(cells["html"], "-12.50", "-12.47")
    _say(cells["full"], "0.3333333333333333", "0.3333343333333333")
    data = cells["picture"].outputs[0].data
    data["image/png"] = base64.b64encode(_repaint(base64.b64decode(data["image/png"]))).decode()
    cells["paths"].outputs[0].text = cells["paths"].outputs[0].text.replace("tables", "figures")
    cells["quiet"].execution_count = None
    cells["blank"].metadata.tags.append("nbval-ignore-output")
    cells["publish"].outputs = []


def _within_tolerance(cells):
    _say(cells["stream"], "mean 0.534 ", "mean 0.535")
    _say(cells["html"], "-12.50", "-12.49")
    _say(cells["full"], "0.3333333333333333", "0.33333333333333337")


def _strip(cells):
    for cell in cells.values():
        cell.execution_count, cell.outputs = None, []


def _empty(cells):
    for cell in cells.values():
        cell.outputs = []


@pytest.fixture(scope="module")
def battery(original, published):
    """Every tampered copy, checked in one go beside the untouched one."""
    noise = published("noise")
    noise.notebook(_within_tolerance)
    noise.edit("estimates/mean.json", "0.3333333333333333", "0.33333333333366664")
    noise.edit("estimates/mean.json", "1e-07", "2e-07")
    noise.edit("tables/levels.csv", "0.3333333333333333", "0.33333333333366664")

    published("cells").notebook(_tamper_with_cells)
    published("stripped").notebook(_strip)
    published("emptied").notebook(_empty)

    files = published("files")
    files.edit("estimates/mean.json", "0.3333333333333333", "0.3333336666666667")
    files.edit("estimates/mean.json", '"n_obs": 12', '"n_obs": 13')
    files.edit("tables/levels.csv", "H,0.25,9", "H,0.26,9")
    files.edit("figures/bars.svg", "3.250000", "3.260000")
    picture = files.folder / "figures" / "bars.png"
    picture.write_bytes(_repaint(picture.read_bytes()))

    sets = published("sets")
    (sets.folder / "tables" / "levels.csv").unlink()
    (sets.folder / "tables" / "stray.csv").write_text("a\n1\n", encoding="utf-8")
    (sets.folder / "figures" / "old.csv").write_text("a\n1\n", encoding="utf-8")
    (sets.folder / "figures" / "bars.svg").unlink()
    sets.manifest(lambda steps: _list_other_files(steps["estimate"]["outputs"]))

    shutil.copytree(original, original.with_name("lost"))
    (original.with_name("lost") / "manifest.json").write_text('{"steps": {"estimate": {}}}', encoding="utf-8")
    return check("outputs/reference", "-p", "no:randomly", cwd=original.parents[2])


def _list_other_files(outputs):
    outputs[:] = [output for output in outputs if output["file"] != "tables/levels.csv"]
    outputs.append({"name": "old", "file": "figures/old.csv", "sha256": ""})


def test_an_unchanged_published_run_passes(battery):
    _, text, fates = battery
    mine = {name: fate for (study, name), fate in fates.items() if study == "original"}
    assert set(mine.values()) == {""}, text
    assert [name for name in mine if not name.startswith("Cell")] == [
        *("estimates/mean.json", "figures/bars.png", "figures/bars.svg", "tables/levels.csv", "tables/report.csv"),
        "nothing else",
    ]
    assert len([name for study, name in fates if study == "original"]) == len(mine)


def test_rounding_noise_and_one_displayed_unit_pass(battery):
    _, text, fates = battery
    assert {fate for (study, _), fate in fates.items() if study == "noise"} == {""}, text


@pytest.mark.parametrize(
    ("study", "item", "message"),
    [
        ("cells", "Cell 2", "stdout: published 0.536, now 0.534, in line 1: 'mean 0.536  n = 1,204'"),
        ("cells", "Cell 3", "text/html: published -12.47, now -12.50, in line 3"),
        ("cells", "Cell 4", "published 0.3333343333333333, now 0.3333333333333333"),
        ("cells", "Cell 5", "image/png: the picture changed"),
        ("cells", "Cell 6", "stdout: published 'outputs/cells/figures"),
        ("cells", "Cell 7", "this cell never ran in the published notebook"),
        ("cells", "Cell 8", "'nbval-ignore-output' hides the output of this cell"),
        ("cells", "Cell 9", "stdout: 0 lines published, now 1"),
        ("stripped", "Cell 0", "10_estimate.ipynb shows no output at all: it was stripped"),
        ("emptied", "Cell 9", "10_estimate.ipynb shows no output at all: it was stripped"),
        (
            "files",
            "estimates/mean.json",
            "rows[0: api00, E].estimate: published 0.3333336666666667, now 0.333333333333",
        ),
        ("files", "estimates/mean.json", "rows[0: api00, E].n_obs: published 13, now 12"),
        ("files", "tables/levels.csv", "tables/levels.csv: row 2, column 'estimate': published 0.26, now 0.25"),
        ("files", "figures/bars.png", "figures/bars.png: the picture changed"),
        ("files", "figures/bars.svg", "figures/bars.svg: published 3.260000, now 3.250000"),
        ("sets", "figures/old.csv", "its notebook did not write it this time"),
        ("sets", "figures/bars.svg", "the manifest lists it, and it does not lie in the published run"),
        ("sets", "nothing else", "tables/stray.csv lies in the published run, but its manifest does not list it"),
        ("sets", "nothing else", "tables/levels.csv was written this time and is not in the published run"),
        ("lost", "manifest.json", "manifest.json is not the manifest of a run (KeyError: 'outputs')"),
    ],
)
def test_each_change_fails_and_names_its_place(battery, study, item, message):
    code, text, fates = battery
    assert code == 1
    assert message in fates[study, item], text


def test_every_cell_of_a_stripped_notebook_fails(battery):
    _, _, fates = battery
    for study in ("stripped", "emptied"):
        cells = [fate for (name, item), fate in fates.items() if name == study and item.startswith("Cell")]
        assert len(cells) == len(ESTIMATE)
        assert all(cells)


def test_what_was_not_tampered_with_passes_beside_what_was(battery):
    _, text, fates = battery
    failed = {key for key, fate in fates.items() if fate}
    files = {"estimates/mean.json", "figures/bars.png", "figures/bars.svg", "tables/levels.csv"}
    assert {name for study, name in failed if study == "files"} == files, text
    assert {name for study, name in failed if study == "cells"} == {f"Cell {number}" for number in range(2, 10)}, text
    assert {name for study, name in failed if study in ("stripped", "emptied")} == {f"Cell {n}" for n in range(10)}


def test_one_notebook_alone_finds_what_it_needs_and_leaves_everything_as_it_was(original, tmp_path, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    before = {path: path.read_bytes() for path in original.rglob("*") if path.is_file()}
    notebook = original / "notebooks" / "20_report.ipynb"
    code, text, fates = check(notebook, "--nbval-current-env", cwd=tmp_path)
    assert code == 0, text
    assert [name for _, name in fates] == ["Cell 0", "Cell 1", "Cell 2", "tables/report.csv", "nothing else"]
    after = {path: path.read_bytes() for path in original.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert after == before
    assert not list((tmp_path / "tmp").glob("evaluation-*"))


@pytest.mark.parametrize(
    ("published", "now"),
    [
        ("a  b 0.10", "a b 0.11"),
        ("<td>1,204.5</td>", "<td>1,204.6</td>"),
        ("p = 1.2e-10", "p = 1.3e-10"),
        ("0.5", "0.5000001"),
        ("0.333333333333", "0.333333333334"),
        ("3.40494e+06", "3.40495e+06"),
        ("−0.42", "−0.43"),
        ("--------- 0.5", "---------- 0.5"),
        ("1,204.0명", "1,204.1명"),
    ],
)
def test_displayed_numbers_may_differ_by_one_unit_of_the_last_place(published, now):
    assert text_difference(published, now, EXACT) == ""


@pytest.mark.parametrize(
    ("published", "now"),
    [
        ("0.10", "0.12"),
        ("0.5", "0.5000002 "),
        ("12", "13"),
        ("1,204", "1,205"),
        ("0.42", "−0.42"),
        ("mean 0.5", "mena 0.5"),
        ("0.5", "nan"),
        ("0.5*", "0.5**"),
        ("#112233", "#112234"),
        ("a\nb", "a"),
        ("a", "a\nb"),
        ("a_10", "a_11"),
        ("3.40494e+06", "3.40496e+06"),
    ],
)
def test_more_than_one_displayed_unit_or_another_word_is_a_difference(published, now):
    assert text_difference(published, now, EXACT).startswith(("published", "1 lines", "2 lines"))


def test_a_difference_in_a_long_text_is_found_in_its_line():
    lines = [f"row {number} value {number / 7:.4f}" for number in range(100)]
    changed = [line.replace("row 41 value 5.8571", "row 41 value 5.8574") for line in lines]
    assert text_difference("\n".join(lines), "\n".join(changed), EXACT) == (
        "published 5.8571, now 5.8574, in line 42: 'row 41 value 5.8571'"
    )
    assert "from line 8 on" in text_difference("\n".join(lines), "\n".join(lines[:7] + lines[8:]), EXACT)


@pytest.mark.parametrize(
    ("published", "now", "difference"),
    [
        ({"a": 1.0}, {"a": 1.0 + 1e-10}, []),
        ({"a": 0.0}, {"a": 1e-13}, []),
        ({"a": 1.0}, {"a": 1}, []),
        ({"a": 1.0}, {"a": 1.0 + 1e-8}, ["a: published 1.0, now 1.00000001"]),
        ({"a": 1}, {"a": 2}, ["a: published 1, now 2"]),
        ({"a": 1}, {"a": True}, ["a: published 1, now True"]),
        ({"a": 1.0}, {"a": True}, ["a: published 1.0, now True"]),
        ({"a": None}, {"a": 0.0}, ["a: published None, now 0.0"]),
        ({"a": "x"}, {"a": "y"}, ["a: published 'x', now 'y'"]),
        ({"a": 1}, {"b": 1}, ["a: no longer there", "b: was not published"]),
        ({"a": [1]}, {"a": [1, 2]}, ["a: 1 entries published, now 2"]),
        ({"a": {"b": [0.5]}}, {"a": {"b": [0.6]}}, ["a.b[0]: published 0.5, now 0.6"]),
        ({"vcov": [[4.0, 1e-9], [1e-9, 1.0]]}, {"vcov": [[4.0, -1e-9], [-1e-9, 1.0]]}, []),
        ({"vcov": [[4.0]]}, {"vcov": [[4.001]]}, ["vcov[0][0]: published 4.0, now 4.001"]),
        ({"vcov": [[4.0]]}, {"vcov": [[4.0, 0.0]]}, ["vcov[0]: 1 entries published, now 2"]),
        ({"vcov": [[None]]}, {"vcov": [[None]]}, []),
        ({"vcov": [[None]]}, {"vcov": [[1.0]]}, ["vcov[0][0]: published None, now 1.0"]),
    ],
)
def test_records_are_equal_but_for_rounding_noise(published, now, difference):
    assert list(value_differences(published, now, EXACT)) == difference


@pytest.mark.parametrize(
    ("now", "difference"),
    [
        ("level,n,estimate\nE,12,0.50000000000001\n", []),
        ("level,n,estimate\nE,12,0.5001\n", ["row 1, column 'estimate': published 0.5, now 0.5001"]),
        ("level,n,estimate\nE,13,0.5\n", ["row 1, column 'n': published 12, now 13"]),
        ("level,n,estimate\nH,12,0.5\n", ["row 1, column 'level': published E, now H"]),
        ("level,n,estimate\nE,12,\n", ["row 1, column 'estimate': published 0.5, now "]),
        ("level,n,estimate\nE,12\n", ["row 1, column 'estimate': published 0.5, now nothing"]),
        (
            "level,n,mean\nE,12,0.5\n",
            ["1 rows under ['level', 'n', 'estimate'] published, now 1 under ['level', 'n', 'mean']"],
        ),
    ],
)
def test_tables_are_equal_cell_by_cell(now, difference):
    assert list(table_differences("level,n,estimate\nE,12,0.5\n", now, EXACT)) == difference


def test_pictures_may_differ_by_smoothing_but_not_by_a_digit_or_in_size():
    def picture(text="0.53", size=(480, 320), shade=255):
        image = Image.new("RGB", size, (shade, shade, shade))
        ImageDraw.Draw(image).text((200, 150), text, fill="black")
        file = io.BytesIO()
        image.save(file, "PNG")
        return file.getvalue()

    assert picture_difference(picture(), picture(shade=254), EXACT) == ""
    assert "RMS 1." in picture_difference(picture(), picture("0.58"), EXACT)
    assert "around pixel (208, 1" in picture_difference(picture(), picture("0.58"), EXACT)
    assert "RMS 5.00" in picture_difference(picture(), picture(shade=250), EXACT)
    assert picture_difference(picture(), picture(size=(480, 321)), EXACT) == "published 480 x 320 pixels, now 480 x 321"
    assert "not a readable picture" in picture_difference(picture(), b"PNG", EXACT)


def test_files_of_unknown_kind_must_be_equal_byte_by_byte(tmp_path):
    first, second = tmp_path / "a.parquet", tmp_path / "b.parquet"
    first.write_bytes(b"1")
    second.write_bytes(b"1")
    assert file_differences(first, second, EXACT) == []
    second.write_bytes(b"2")
    assert file_differences(first, second, EXACT) == ["the bytes differ"]
    broken = tmp_path / "a.json"
    broken.write_text("{", encoding="utf-8")
    assert file_differences(broken, broken, EXACT)[0].startswith("not valid JSON")


def test_a_published_run_cannot_be_checked_by_several_processes(tmp_path):
    config = SimpleNamespace(option=SimpleNamespace(numprocesses=2))
    with pytest.raises(pytest.UsageError, match="cannot be checked with -n"):
        ReferenceFolder(tmp_path / "outputs" / "reference" / "demo").register(config)


INSTANCE = {
    "parameters": "district = 0",
    "publish": "import os\nfrom pathlib import Path\n"
    "run, label = (os.environ[f'EVALUATION_{name}'] for name in ('RUN', 'INSTANCE'))\n"
    "Path(run, 'tables').mkdir(exist_ok=True)\n"
    "Path(run, 'tables', f'items__{label}.csv').write_text(f'n\\n{label}\\n', encoding='utf-8')\nlabel",
}
GATHER = {
    "read": "import os\nfrom pathlib import Path\ntables = Path(os.environ['EVALUATION_RUN'], 'tables')\n"
    "[path.read_text(encoding='utf-8').split()[1] for path in sorted(tables.glob('items__*.csv'))]",
}


def test_of_a_step_with_many_instances_some_notebooks_are_published_and_all_that_others_gather(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.evaluation]\n", encoding="utf-8")
    folder = tmp_path / "outputs" / "reference" / "many"
    (folder / "notebooks" / "60_district").mkdir(parents=True)
    steps = {}
    for name, cells in (("district/110", INSTANCE), ("district/680", INSTANCE), ("districts", GATHER)):
        label, notebook = name.partition("/")[2], built(cells)
        environment = os.environ | {"EVALUATION_RUN": str(folder), "EVALUATION_INSTANCE": label}
        nbclient.NotebookClient(notebook, kernel_name="python3", timeout=60).execute(env=environment)
        file = f"60_district/{label}" if label else "70_districts"
        nbformat.write(notebook, folder / "notebooks" / f"{file}.ipynb")
        table = f"tables/items__{label}.csv"
        sha = hashlib.sha256((folder / table).read_bytes()).hexdigest() if label else ""
        steps[name] = {
            "notebook": f"notebooks/{file}.ipynb",
            "published": label != "680",
            "outputs": [{"name": f"items__{label}", "file": table, "sha256": sha}] if label else [],
        }
    (folder / "notebooks" / "60_district" / "680.ipynb").unlink()
    (folder / "manifest.json").write_text(json.dumps({"steps": steps}), encoding="utf-8")
    (folder / "conftest.py").write_text(CONFTEST, encoding="utf-8")

    code, said, fates = check(folder, cwd=tmp_path)
    assert code == 0, said
    names = [name for _, name in fates]
    assert names.count("tables/items__110.csv") == 1
    assert "tables/items__680.csv" not in names
    (folder / "tables" / "items__680.csv").write_text("n\n68\n", encoding="utf-8")
    code, _, fates = check(folder, cwd=tmp_path)
    failed = {name: fault for (_, name), fault in fates.items() if fault}
    assert code == 1
    assert "not what step 'district/680' published" in failed["files of the other instances"]
    assert len(failed) == 2, "the gathering notebook shows another number, too"
