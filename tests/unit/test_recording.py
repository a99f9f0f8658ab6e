"""What a process reads is noted; each case runs in a process of its own, because what listens cannot be taken out."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from evaluation import recording

BEGIN = """
import os, sys
from pathlib import Path
from evaluation import recording
recording.start(sys.argv[1], sys.argv[2])
"""
END = """
print(); print(recording.record_text())
"""


@pytest.fixture
def place(tmp_path):
    """A project with a data file of an hour ago and a run folder."""
    root = tmp_path / "project"
    for folder in ("data", "src", "outputs/.staging/s/tables", "outputs/.cache", ".venv", "surveys/x/generated"):
        (root / folder).mkdir(parents=True)
    old(root / "data" / "a.csv", "a\n1\n")
    return root


def old(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    os.utime(path, (path.stat().st_mtime - 3600, path.stat().st_mtime - 3600))


def noted(root, code, *, path=()):
    """What a process that runs ``code`` in the project notes."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"PYTHONPATH": os.pathsep.join([*path, str(Path(recording.__file__).parents[1])])}
    arguments = [sys.executable, "-c", BEGIN + code + END, str(root), str(root / "outputs" / ".staging" / "s")]
    done = subprocess.run(arguments, cwd=root, env=environment, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_files_that_are_opened_are_inputs_with_size_and_time(place):
    old(place / "data" / "b.txt", "b")
    old(place / "data" / "c.txt", "c")
    code = """
open("data/a.csv", encoding="utf-8").read()
Path("data/b.txt").resolve().read_bytes()
os.close(os.open("data/../data/c.txt", os.O_RDONLY))
"""
    record = noted(place, code)
    assert list(record["inputs"]) == ["data/a.csv", "data/b.txt", "data/c.txt"]
    found = (place / "data" / "a.csv").stat()
    assert record["inputs"]["data/a.csv"] == [found.st_size, found.st_mtime_ns, "", found.st_ctime_ns, found.st_ino]
    assert record["peak_memory_bytes"] > 1_000_000


def test_files_that_other_libraries_open_count_where_they_are_named_or_asked_for(place):
    for name in ("named.bin", "asked.parquet", "kept.db", "other.txt"):
        old(place / "data" / name, "x")
    code = """
recording.read("data/named.bin"); recording.read(Path("data/none.bin"))
assert Path("data/asked.parquet").is_file() and os.path.exists("data/other.txt")
import sqlite3; sqlite3.connect("data/kept.db").close()
"""
    record = noted(place, code)
    assert list(record["inputs"]) == ["data/asked.parquet", "data/kept.db", "data/named.bin"]
    assert "data/none.bin" in record["absent"]
    assert record["present"] == ["data/other.txt"]


def test_what_was_asked_for_and_is_not_there_is_noted(place):
    code = """
Path("data/margins.csv").is_file(); os.path.exists("data/tiles.csv"); Path("data/none/x.csv").exists()
try: open("data/facts.csv")
except FileNotFoundError: pass
"""
    record = noted(place, code)
    expected = ["data/facts.csv", "data/margins.csv", "data/none/x.csv", "data/tiles.csv", "matplotlibrc"]
    assert record["absent"] == expected
    assert record["inputs"] == {}


def test_what_a_process_writes_it_does_not_read(place):
    code = """
Path("data/made.csv").write_text("x"); Path("data/made.csv").read_text()
Path("data/.part").write_text("x"); os.replace("data/.part", "data/moved.csv"); Path("data/moved.csv").read_text()
run = Path(sys.argv[2])
(run / "tables" / "t.csv").write_text("x"); (run / "tables" / "t.csv").read_text()
"""
    record = noted(place, code)
    assert record["inputs"] == {}
    assert record["written"] == ["data/.part", "data/made.csv", "data/moved.csv"]
    assert (record["left"], record["of_run"]) == (["tables/t.csv"], [])


def test_what_a_process_removes_that_it_did_not_make_is_noted(place):
    for name in ("b", "moved", "kept"):
        old(place / "data" / f"{name}.csv", "x")
    old(place / "folder" / "deep" / "c.csv", "x")
    old(place / "outputs" / ".staging" / "s" / "tables" / "t.csv", "x")
    code = """
import shutil, tempfile
run = Path(sys.argv[2])
os.remove("data/b.csv"); Path("data/moved.csv").rename("data/elsewhere.csv"); shutil.rmtree("folder")
(run / "tables" / "t.csv").unlink()
Path("data/own.csv").write_text("x"); Path("data/own.csv").unlink(); Path("data/elsewhere.csv").unlink()
(run / "own").mkdir(); (run / "own" / "x").write_text("x"); shutil.rmtree(run / "own")
with tempfile.TemporaryDirectory(dir="data") as folder: Path(folder, "x").write_text("x")
tempfile.NamedTemporaryFile(dir="data").close()
Path("data/none.csv").unlink(missing_ok=True)
"""
    record = noted(place, code)
    assert record["removed"] == ["data/b.csv", "data/moved.csv", "folder"]
    assert record["taken"] == ["tables/t.csv"]
    assert (place / "data" / "kept.csv").exists()


def test_the_run_folder_is_apart_and_what_is_nobodys_input_is_left_out(place):
    for file in ("outputs/.staging/s/tables/t.csv", "outputs/.cache/x", ".venv/x.cfg", "surveys/x/generated/d.csv"):
        old(place / file, "x")
    old(place / "outputs" / "reference" / "s" / "n.json", "{}")
    files = "outputs/.staging/s/tables/t.csv outputs/.cache/x .venv/x.cfg surveys/x/generated/d.csv"
    code = f"""
for file in "{files} outputs/reference/s/n.json".split(): Path(file).read_text()
Path("outputs/.staging/s/tables/none.csv").exists(); Path("surveys/x/generated/none.csv").exists()
Path("/etc/hostname").exists() and Path("/etc/hostname").read_text()
"""
    record = noted(place, code)
    assert list(record["inputs"]) == ["outputs/reference/s/n.json"]
    assert record["of_run"] == ["tables/t.csv"]
    assert record["absent"] == ["matplotlibrc"]


def test_data_outside_the_project_count_by_their_whole_path(place, tmp_path):
    old(tmp_path / "elsewhere" / "d.csv", "x")
    record = noted(place, "Path('../elsewhere/d.csv').read_text()")
    assert list(record["inputs"]) == [(tmp_path / "elsewhere" / "d.csv").as_posix()]


def test_a_file_that_was_just_made_is_noted_with_its_hash(place):
    (place / "data" / "new.csv").write_text("new", encoding="utf-8")
    future = (place / "data" / "ahead.csv").resolve()
    old(future, "ahead")
    os.utime(future, (4e9, 4e9))
    record = noted(place, "Path('data/new.csv').read_text(); Path('data/ahead.csv').read_text()")
    assert record["inputs"]["data/new.csv"][2] == "11507a0e2f5e69d5dfa40a62a1bd7b6ee57e6bcd85c67c9b8431b36fff21c437"
    assert len(record["inputs"]["data/ahead.csv"][2]) == 64


def test_modules_are_noted_however_and_whenever_they_are_imported(place):
    for name in ("lazy", "gone", "compiled"):
        old(place / "src" / f"{name}.py", "x = 1\n")
    old(place / "src" / "room" / "__init__.py", "")
    old(place / "src" / "room" / "inner.py", "def f():\n    import lazy\n    return lazy.x\n")
    old(place / "src" / "room" / "words.json", "{}")
    code = """
import importlib, pkgutil
from room.inner import f
f(); importlib.import_module("gone"); del sys.modules["gone"]; pkgutil.get_data("room", "words.json")
import compiled
"""
    path = [str(place / "src")]
    first, second = noted(place, code, path=path), noted(place, code, path=path)
    own = ["src/compiled.py", "src/gone.py", "src/lazy.py", "src/room/__init__.py", "src/room/inner.py"]
    assert list((place / "src" / "__pycache__").glob("compiled.*.pyc"))
    for record in (first, second):
        assert [name for name in record["modules"] if name.startswith("src/")] == own
        assert any(name.endswith("evaluation/recording.py") for name in record["modules"])
        assert list(record["inputs"]) == ["src/room/words.json"]
        assert not any("site-packages" in name or "/lib/python" in name for name in record["modules"])
        assert record["listings"] == {}


def test_names_that_imports_look_for_are_noted_with_what_they_found(place):
    old(place / "src" / "room" / "__init__.py", "")
    old(place / "src" / "room" / "inner.py", "")
    code = """
import room.inner
try: import room.none
except ImportError: pass
try: import nowhere
except ImportError: pass
"""
    record = noted(place, code, path=[str(place / "src")])
    assert record["found"]["src"] == {"room": "room/__init__.py"}
    assert record["found"]["src/room"] == {"inner": "inner.py"}
    assert {"none", "inner"} == set(record["asked"]["src/room"].split())
    assert {"nowhere", "json", "room"} <= set(record["asked"]["src"].split())
    folder, names = place / "src", record["asked"]["src"].split()
    assert recording.resolved(folder, names) == record["found"]["src"]
    old(folder / "json.py", "")
    (folder / "room.py").write_text("", encoding="utf-8")
    (folder / "nowhere").mkdir()
    assert recording.resolved(folder, names) == {"room": "room/__init__.py", "json": "json.py"}
    old(folder / "nowhere" / "__init__.py", "")
    assert recording.resolved(folder, names)["nowhere"] == "nowhere/__init__.py"
    assert recording.resolved(folder / "none", names) == {}


def test_folders_that_are_listed_are_noted_but_not_where_python_looks_for_modules(place):
    code = """
sorted(Path("data").glob("*.csv")); os.listdir("surveys")
import importlib, importlib.metadata, json.tool
sys.path.insert(0, "src"); importlib.invalidate_caches()
try: importlib.metadata.version("no-such-package")
except importlib.metadata.PackageNotFoundError: pass
"""
    record = noted(place, code)
    assert list(record["listings"]) == ["data", "surveys"]
    assert record["listings"]["data"] == recording.names_digest(place / "data")
    (place / "data" / ".a.csv.swp").write_text("x", encoding="utf-8")
    assert record["listings"]["data"] == recording.names_digest(place / "data")
    (place / "data" / "b.csv").write_text("x", encoding="utf-8")
    assert record["listings"]["data"] != recording.names_digest(place / "data")


@pytest.mark.parametrize(
    ("code", "event"),
    [
        ("import subprocess; subprocess.run([sys.executable, '-c', ''])", "subprocess.Popen"),
        ("os.system('exit 0')", "os.system"),
        ("import socket\ntry: socket.create_connection(('127.0.0.1', 9), 0.2)\nexcept OSError: pass", "socket.connect"),
        pytest.param(
            "child = os.fork()\nif child == 0: os._exit(0)\nos.waitpid(child, 0)",
            "os.fork",
            marks=pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here"),
        ),
    ],
)
def test_other_processes_and_the_network_are_noted(place, code, event):
    assert noted(place, code)["beyond"] == [event]


def test_asking_for_the_machine_and_its_fonts_is_no_other_process(place):
    code = """
import contextlib, subprocess
for program in ("fc-list", "/sbin/ldconfig"):
    with contextlib.suppress(OSError): subprocess.run([program, "--version"], capture_output=True)
"""
    assert noted(place, code)["beyond"] == []


def test_reads_of_other_threads_are_noted_and_files_still_behave(place):
    code = """
import shutil, threading
os.symlink("a.csv", "data/link.csv"); os.symlink("none", "data/broken")
shutil.copytree("data", "copy", symlinks=True)
shutil.copystat("data/link.csv", "copy/link.csv", follow_symlinks=False)
assert os.path.islink("copy/broken") and not os.path.exists("copy/broken") and os.stat in os.supports_dir_fd
folder = os.open("data", os.O_RDONLY)
assert os.stat("a.csv", dir_fd=folder).st_size == 4 and os.stat(folder)
shutil.rmtree("copy")
thread = threading.Thread(target=lambda: Path("data/a.csv").read_text())
thread.start(); thread.join()
try: os.stat("data/none")
except FileNotFoundError as error: assert error.filename == "data/none"
"""
    record = noted(place, code)
    assert "data/a.csv" in record["inputs"]
    assert "data/none" in record["absent"]


def test_a_second_start_changes_nothing_and_leaves_no_name(place):
    code = """
Path("data/a.csv").read_text()
names = set(globals())
exec(recording.start_code(Path(sys.argv[1]), Path(sys.argv[2])))
assert set(globals()) - names == {"names"}
assert json.loads(eval(recording.RECORD))["version"] == recording.VERSION
"""
    assert list(noted(place, "import json" + code)["inputs"]) == ["data/a.csv"]


def test_nothing_is_noted_where_nothing_was_started():
    recording.read("none.csv")
    with pytest.raises(RuntimeError, match="no recording was started"):
        recording.record()


@pytest.mark.parametrize(
    "reply",
    [
        None,
        {},
        {"content": {"status": "error"}},
        {"content": {"user_expressions": {"record": {"status": "error", "ename": "ModuleNotFoundError"}}}},
        {"user_expressions": {"record": {"data": {"text/plain": "no text"}}}},
        {"user_expressions": {"record": {"data": {"text/plain": "'no json'"}}}},
        {"user_expressions": {"record": {"data": {"text/plain": "'[1]'"}}}},
        {"user_expressions": {"record": {"data": {"text/plain": "'{\"version\": 0}'"}}}},
    ],
)
def test_an_answer_without_a_record_gives_none(reply):
    assert recording.record_from(reply) is None


def test_a_record_comes_through_a_kernels_answer():
    text = json.dumps({"version": recording.VERSION, "inputs": {"자료 'x'.csv": [1, 2, ""]}})
    reply = {"content": {"user_expressions": {"record": {"status": "ok", "data": {"text/plain": repr(text)}}}}}
    assert recording.record_from(reply) == json.loads(text)


def test_a_run_folder_and_a_project_behind_links_are_known_by_either_name(place, tmp_path):
    disk = tmp_path / "disk"
    shutil.move(place / "outputs", disk)
    (place / "outputs").symlink_to(disk)
    old(disk / ".staging" / "s" / "tables" / "t.csv", "t")
    (tmp_path / "link").symlink_to(place)
    code = """
run = Path(sys.argv[2])
(run / "tables" / "t.csv").read_text(); (run / "extra.txt").write_text("x")
(run.resolve() / "more.txt").write_text("x")
Path("data/a.csv").read_text()
"""
    for root in (place, tmp_path / "link"):
        record = noted(root, code)
        assert (record["of_run"], record["left"]) == (["tables/t.csv"], ["extra.txt", "more.txt"])
        assert list(record["inputs"]) == ["data/a.csv"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="spawning goes another way elsewhere")
def test_processes_of_multiprocessing_are_noted(place):
    code = "import multiprocessing as m; p = m.get_context('spawn').Process(target=print); p.start(); p.join()"
    assert "multiprocessing" in noted(place, code)["beyond"]


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="no memory disk here")
def test_data_on_a_memory_disk_count(place):
    with tempfile.NamedTemporaryFile(dir="/dev/shm", suffix=".csv") as file:
        assert file.name in noted(place, f"open({file.name!r}).read()")["inputs"]
