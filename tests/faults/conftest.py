"""Small projects on disk that are spoilt and then met through the real command, in processes of their own."""

import hashlib
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

made = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "handmade_projects.py")))
SURVEY = """
id: small
title: {{ko: 작은 조사, en: A small survey}}
population: {{ko: 성인, en: adults}}
data: real
licence: {{ko: 공개, en: open}}
source: {{ko: 시험, en: test}}
citation: none
default_sample: all
samples:
  all:
    file: {file}
    title: {{ko: 전체, en: everybody}}
    sha256: "{sha256}"
    {more}
"""
CODEBOOK = """\
variable,kind,label_ko,label_en,codes,minimum,maximum
person,id,응답자,Respondent,,,
region,categorical,지역,Region,region,,
age,numeric,나이,Age,,19,110
"""
CODES = "list,code,label_ko,label_en\nregion,1,서울,Seoul\nregion,2,경기,Gyeonggi\n"
DATA = "person,region,age\n001,1,34\n002,2,50\n003,1,70\n"


class Project:
    """A project in a folder of its own, its study ``small``, and the command that is started on it."""

    def __init__(self, root):
        self.root = root
        made.lay_out(root)
        self.write("surveys/small/codebook.csv", CODEBOOK)
        self.write("surveys/small/codes.csv", CODES)
        self.write("surveys/small/data.csv", DATA)
        self.survey()

    @property
    def outputs(self):
        return self.root / "outputs"

    def write(self, file, text):
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def survey(self, file="data.csv", *, content=None, more="id: person"):
        """Write survey.yml of a sample in a file of that name, with the SHA-256 of what it is to hold."""
        digest = hashlib.sha256(DATA.encode() if content is None else content).hexdigest()
        text = SURVEY.format(file=json.dumps(file, ensure_ascii=False), sha256=digest, more=more)
        self.write("surveys/small/survey.yml", text)

    def notebook(self, stem, *cells, declared=(), tags=("parameters",)):
        made.save_notebook(self.root, stem, cells, "\n".join(declared), tags)

    def study(self, *steps, more=""):
        return made.save_study(self.root, steps, more=more)

    def make(self, notebooks, needs=None):
        """Write notebooks with their code cells, and the study that runs them."""
        made.make(self.root, notebooks, needs)

    def command(self, *arguments, prefix=(), environment=None, **options):
        """Start ``evaluation`` in a process of its own."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("EVALUATION", "PYTEST"))}
        told = {"EVALUATION_PROJECT": str(self.root), "COLUMNS": "200", **(environment or {})}
        return subprocess.Popen(
            [*prefix, sys.executable, "-m", "evaluation.cli", *arguments],
            cwd=self.root.parent,
            env=inherited | told,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            **options,
        )

    def tell(self, *arguments, seconds=120, **options):
        """Return exit code, standard output and standard error of ``evaluation`` with these arguments."""
        process = self.command(*arguments, **options)
        out, err = process.communicate(timeout=seconds)
        assert "Traceback" not in err, err
        return process.returncode, out, err

    def run(self, *arguments, **options):
        """Run the study, and return exit code and all that was told, on one line."""
        code, out, err = self.tell("run", "small", "--jobs", "2", *arguments, **options)
        return code, " ".join((out + err).split())

    def refused(self, command="plan", *arguments, **options):
        """Require that the command refuses: exit code 2, one message, nothing written; return the message."""
        before = self.files()
        code, out, err = self.tell(command, "small", *arguments, **options)
        assert (code, out) == (2, ""), out + err
        assert re.match(r"\w+(Error|Damage): ", err), err
        assert str(self.root) not in err
        assert self.files() == before
        return err.strip()

    def manifest(self, folder):
        return json.loads((self.outputs / folder / "manifest.json").read_text(encoding="utf-8"))

    def states(self, folder):
        return {name: step["state"] for name, step in self.manifest(folder)["steps"].items()}

    def files(self, folder="."):
        """Every file below a folder with what it holds, but for logs of times."""
        return {
            path.relative_to(self.root).as_posix(): path.read_bytes()
            for path in sorted((self.root / folder).rglob("*"))
            if path.is_file() and not path.is_symlink() and path.name != "events.jsonl"
        }

    def left_behind(self):
        """Processes that work for the project."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("EVALUATION_PROJECT") == str(self.root) and process.pid != os.getpid():
                    found.append(process)
            except psutil.Error:
                continue
        return found


def eventually(condition, seconds=30):
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


@pytest.fixture
def project_at(tmp_path):
    """Make projects in folders of that name; no process may be left of any when the test has ended."""
    made = []

    def make(name):
        made.append(Project(tmp_path / name))
        return made[-1]

    yield make
    for one in made:
        eventually(lambda one=one: not one.left_behind(), 15)


@pytest.fixture
def project(project_at):
    return project_at("project")


# Disks of their own


def pytest_configure(config):
    config.addinivalue_line("markers", "mounts: mounts small disks; run in a namespace of its own where it must be")


def may_mount(folder):
    """Tell whether this process may mount a disk."""
    if (
        not sys.platform.startswith("linux")
        or os.geteuid() != 0
        or not (shutil.which("mount") and shutil.which("umount"))
    ):
        return False
    tried = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True)
    return tried.returncode == 0 and subprocess.run(["umount", folder], capture_output=True).returncode == 0


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Run a test that mounts disks in a namespace of its own, where this process may not mount any."""
    if pyfuncitem.get_closest_marker("mounts") is None:
        return None
    folder = pyfuncitem.funcargs["tmp_path"] / "mounted"
    folder.mkdir()
    if may_mount(folder):
        return None
    reason = "small disks cannot be mounted here: neither as root nor in a namespace (unshare -rm)"
    if "FAULTS_NAMESPACE" in os.environ or not sys.platform.startswith("linux"):
        pytest.skip(reason)
    try:
        subprocess.run(["unshare", "-rm", "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(reason)
    command = ["unshare", "-rm", sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"]
    inside = subprocess.run(
        [*command, f"--basetemp={folder}", pyfuncitem.nodeid],
        cwd=pyfuncitem.config.rootpath,
        env={**os.environ, "FAULTS_NAMESPACE": "1"},
        capture_output=True,
        encoding="utf-8",
    )
    if " skipped" in inside.stdout:
        pytest.skip(reason)
    assert inside.returncode == 0, inside.stdout[-5000:]
    return True


@pytest.fixture
def small_disk(project):
    """``outputs/`` of the project is a disk of 3 MB; ``remount`` changes it."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(project.outputs)]
    mounted = may_mount(project.outputs) and subprocess.run(mount).returncode == 0

    def remount(options):
        subprocess.run(["mount", "-o", f"remount,{options}", str(project.outputs)], check=True)

    yield remount
    if mounted:
        subprocess.run(["umount", "-l", str(project.outputs)], check=True)
