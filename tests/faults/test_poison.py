"""Data and names that were made to do harm: pickles posing as data, paths that lead elsewhere, braces and quotes."""

import ast
import os
import pickle
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from evaluation import cli
from evaluation.errors import PublishError, SourceError, SurveyError
from evaluation.publication import publish
from evaluation.survey.reading import read_survey, read_survey_file

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (open, (str(self.marker), "w"))


@pytest.fixture
def marker(tmp_path):
    return tmp_path / "it was unpickled"


@pytest.fixture
def payload(marker):
    """A pickle that makes the marker; loading it once here shows that it would."""
    poison = pickle.dumps(Payload(marker))
    pickle.loads(poison).close()
    assert marker.exists()
    marker.unlink()
    return poison


@pytest.fixture
def at_home(project, monkeypatch):
    """The project, for what is read in this process."""
    monkeypatch.setenv("EVALUATION_PROJECT", str(project.root))
    monkeypatch.delenv("EVALUATION_RUN", raising=False)
    return project


def plain(payload, path):
    path.write_bytes(payload)


def with_beginning(beginning):
    return lambda payload, path: path.write_bytes(beginning + payload)


def zipped(payload, path):
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("[Content_Types].xml", "xl/workbook.xml", "data.pkl", "arr_0.npy"):
            archive.writestr(name, payload)


def object_array(payload, path):
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + payload)


def extension_type(payload, path):
    """A Parquet file whose stored schema asks for a Python type that is made by unpickling."""
    metadata = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": payload}
    field = pa.field("person", pa.string(), metadata=metadata)
    table = pa.table([pa.array(["001", "002"])], schema=pa.schema([field], metadata={b"pandas": payload}))
    pyarrow.parquet.write_table(table, path)


def object_column(payload, path):
    pd.DataFrame({"person": ["001"], "region": [payload], "age": [34]}).to_parquet(path)


POISONED = {
    "csv": (plain, "data.csv"),
    "tsv": (plain, "data.tsv"),
    "txt": (plain, "data.txt"),
    "sav": (plain, "data.sav"),
    "sav that begins well": (with_beginning(b"$FL2"), "data.sav"),
    "zsav that begins well": (with_beginning(b"$FL3"), "data.zsav"),
    "dta": (plain, "data.dta"),
    "dta that begins well": (with_beginning(b"<stata_dta>"), "data.dta"),
    "old dta": (with_beginning(bytes([114])), "data.dta"),
    "parquet": (plain, "data.parquet"),
    "parquet that begins well": (with_beginning(b"PAR1"), "data.parquet"),
    "xlsx": (plain, "data.xlsx"),
    "zip as xlsx": (zipped, "data.xlsx"),
    "pickle": (plain, "data.pkl"),
    "npy": (object_array, "data.npy"),
    "npy as csv": (object_array, "data.csv"),
    "npz": (zipped, "data.npz"),
    "npz as csv": (zipped, "data.csv"),
    "joblib": (plain, "data.joblib"),
}


@pytest.mark.parametrize("kind", POISONED)
def test_a_pickle_posing_as_data_is_refused_by_name_and_never_unpickled(at_home, tmp_path, payload, marker, kind):
    write, name = POISONED[kind]
    path = at_home.root / "surveys" / "small" / name
    write(payload, path)
    at_home.survey(name, content=path.read_bytes())
    for read in (lambda: read_survey("small"), lambda: read_survey_file(path)):
        with pytest.raises(SourceError) as caught:
            read()
        message = str(caught.value)
        assert name in message
        assert str(tmp_path) not in message
        assert any(move in message for move in ("opy it again", "Give it the suffix", "Rename the file", "UTF-8"))
    assert not marker.exists()


@pytest.mark.parametrize("write", [extension_type, object_column])
def test_a_pickle_inside_a_real_parquet_file_stays_bytes(at_home, payload, marker, write):
    path = at_home.root / "surveys" / "small" / "data.parquet"
    write(payload, path)
    survey = read_survey_file(path)
    assert "001" in set(survey.data["person"])
    assert not marker.exists()


UNPICKLING = {
    "pickle",
    "_pickle",
    "cPickle",
    "cloudpickle",
    "dill",
    "joblib",
    "shelve",
    "marshal",
    "yaml",
    "jsonpickle",
}
READERS = {"read_pickle", "to_pickle", "read_hdf", "unsafe_load", "full_load"}


def loose_ends(tree):
    """Yield what could unpickle: modules, readers, and arguments that allow it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.partition(".")[0] in UNPICKLING)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in UNPICKLING:
            yield node.module
        elif isinstance(node, ast.Attribute) and node.attr in READERS:
            yield node.attr
        elif isinstance(node, ast.Call):
            for argument in node.keywords:
                if argument.arg == "allow_pickle" and getattr(argument.value, "value", True) is not False:
                    yield "allow_pickle"
                if argument.arg == "typ" and getattr(argument.value, "value", "unsafe") not in ("safe", "rt"):
                    yield "unsafe YAML"
            if getattr(node.func, "attr", getattr(node.func, "id", "")) == "YAML" and not node.keywords:
                yield "YAML of an unsaid kind"


def test_nothing_in_the_workbench_unpickles():
    found = [
        f"{path.relative_to(ROOT).as_posix()}: {name}"
        for path in SOURCES
        for name in loose_ends(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []
    assert len(SOURCES) > 100
    bad = "import joblib\nfrom pickle import loads\nnp.load(f, allow_pickle=True)\npd.read_pickle(f)\n"
    bad += "YAML()\nYAML(typ='unsafe')"
    assert len(list(loose_ends(ast.parse(bad)))) == 6


OUTSIDE = "a file of the survey's folder is meant: a relative path with forward slashes, without '..'"


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../../requirements.lock",
        "generated/../../x.csv",
        "a\nb.csv",
        "a\x1b[31m.csv",
        "a\u202eb.csv",
        "C:\\data.csv",
        "\\\\server\\data.csv",
        "data.csv/",
        "./data.csv",
        ".",
        "",
        "data.csv:stream",
    ],
)
@pytest.mark.parametrize("generated", [False, True])
def test_a_file_name_that_leads_out_of_the_survey_is_refused_and_nothing_is_made_there(at_home, name, generated):
    at_home.survey(name, more="generated: true" if generated else "id: person")
    before = at_home.files()
    with pytest.raises(SurveyError) as caught:
        read_survey("small")
    message = str(caught.value)
    assert message.startswith(f"surveys/small/survey.yml: samples.all.file: {OUTSIDE}")
    assert message.isprintable()
    assert at_home.files() == before


def test_a_link_that_leads_out_of_the_survey_is_refused_but_for_files_that_the_user_brings(at_home, tmp_path):
    folder = at_home.root / "surveys" / "small"
    (folder / "data.csv").rename(tmp_path / "elsewhere.csv")
    try:
        (folder / "data.csv").symlink_to(tmp_path / "elsewhere.csv")
    except OSError as error:
        pytest.skip(f"no links can be made here: {error}")
    with pytest.raises(SourceError, match=r"surveys/small/data\.csv is a link that leads out of surveys/small\. Put"):
        read_survey("small")
    at_home.survey(more="provided_by: user")
    assert len(read_survey("small")) == 3


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        pytest.param(os.mkdir, "a folder", id="folder"),
        pytest.param(
            getattr(os, "mkfifo", None),
            r"no ordinary file \(a pipe or a device\)",
            id="pipe",
            marks=pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here"),
        ),
    ],
)
def test_what_is_no_file_is_told_for_what_it_is_and_not_waited_for(at_home, make, kind):
    path = at_home.root / "surveys" / "small" / "data.csv"
    path.unlink()
    make(path)
    with pytest.raises(SourceError, match=rf"surveys/small/data\.csv is {kind}, expected a file with data\. Put"):
        read_survey("small")


STRANGE = "연구 {0} {x!r} {{y}} 'a' $HOME %s %(z)s `id` [bold]b[/] #1 & ;"


PUBLISH = """
import evaluation as ev
import pandas as pd
survey = ev.read_survey("small")
ev.publish("people", pd.DataFrame({"{who}": ["{0} {x!r} %s [bold]"], "n": [1.0]}))
survey
"""


def test_a_project_in_a_folder_with_braces_quotes_and_korean_runs_and_is_looked_at(project_at):
    project = project_at(STRANGE)
    project.make({"profile": [PUBLISH], "broken": ["raise ValueError('{0} {x!r} %s [bold]b[/bold] 가')"]})
    code, told = project.run()
    assert code == 1, told
    assert project.states("failed/small") == {"profile": "ok", "broken": "failed"}
    assert "ValueError: {0} {x!r} %s [bold]b[/bold] 가" in told
    project.make({"profile": [PUBLISH]})
    code, told = project.run()
    assert code == 0, told
    assert "1 cached" in told
    assert (project.outputs / "small" / "report" / "index.html").is_file()
    shown = b"".join(project.files("outputs/small").values())
    assert STRANGE.encode() not in shown, "no output shows where the project lies"
    assert project.tell("status", "small")[0] == 0


@pytest.mark.parametrize("name", ["../people", "a/b", "a\nb", "", "CON", "{people}", "..", "a" * 300])
def test_a_result_with_a_poisoned_name_is_not_published(at_home, monkeypatch, tmp_path, name):
    run = tmp_path / "run"
    run.mkdir()
    monkeypatch.setenv("EVALUATION_RUN", str(run))
    with pytest.raises(PublishError) as caught:
        publish(name, pd.DataFrame({"n": [1.0]}))
    assert "\n" not in str(caught.value)
    assert list(tmp_path.rglob("*people*")) == []
    assert list(run.rglob("*.csv")) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "../small"),
        ("run", "a\nb"),
        ("plan", "/etc/passwd"),
        ("run", "small", "--only", "../profile"),
        ("run", "small", "-p", "../x=1"),
        ("status", "..\\small"),
    ],
)
def test_a_poisoned_word_on_the_command_line_is_refused(at_home, capfd, monkeypatch, arguments):
    at_home.make({"profile": ["1"]})
    before = at_home.files()
    monkeypatch.setattr(sys, "argv", ["evaluation", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    told = capfd.readouterr().err
    assert "Error: " in told
    assert "Traceback" not in told
    assert len(told.splitlines()) == 1
    assert at_home.files() == before
