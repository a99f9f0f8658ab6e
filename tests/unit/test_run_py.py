"""``run.py`` before anything is installed: what it needs, what it does first, and what it says where it cannot."""

import ast
import hashlib
import importlib.util
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUN_PY = ROOT / "run.py"


def load():
    specification = importlib.util.spec_from_file_location("run_py", RUN_PY)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


class Recorder:
    """Stands for the programs that run.py starts: notes each, and answers with the code that was told for it."""

    def __init__(self, venv):
        self.venv, self.commands, self.environments, self.codes = venv, [], [], {}

    def __call__(self, command, **options):
        words = [str(part) for part in command]
        self.commands.append(" ".join(words).replace(str(self.venv), ".venv"))
        self.environments.append(options.get("env"))
        return next((code for part, code in self.codes.items() if part in " ".join(words)), 0)

    def started(self, part):
        return [command for command in self.commands if part in command]


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """The module run.py at work in an empty folder, with a recorder in place of what it would start."""
    module = load()
    module.ROOT, module.VENV = tmp_path, tmp_path / ".venv"
    module.LOCK, module.SETTINGS = tmp_path / "requirements.lock", tmp_path / "pyproject.toml"
    module.LOCK.write_text("numpy==2.2.0\n", encoding="utf-8")
    module.SETTINGS.write_text("[project]\n", encoding="utf-8")
    recorder = Recorder(module.VENV)
    monkeypatch.setattr(module, "run", recorder)
    monkeypatch.setattr(module, "works", lambda interpreter: True)
    monkeypatch.setattr(module, "pip_settings", dict)
    module.recorder = recorder
    return module


def test_only_the_standard_library_is_imported():
    tree = ast.parse(RUN_PY.read_text(encoding="utf-8"))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
            assert node.level == 0
    assert names
    assert names <= sys.stdlib_module_names


def test_an_older_python_can_read_it_as_far_as_the_message(bench, monkeypatch, capsys):
    ast.parse(RUN_PY.read_text(encoding="utf-8"), feature_version=(3, 7))
    monkeypatch.setattr(bench, "MINIMUM", (4, 0))
    with pytest.raises(SystemExit) as stopped:
        bench.require_python()
    assert stopped.value.code == 2
    assert "needs Python 4.0 or newer; this is 3." in capsys.readouterr().err
    assert load().MINIMUM == (3, 11)


def test_no_committed_set_up_file_names_a_package_index():
    for name in ("run.py", "pyproject.toml", "environment.yml", ".ci/run"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert not re.search(r"https?://|file://.*simple|--(extra-)?index-url|--find-links", text), name
    with (ROOT / "requirements.lock").open(encoding="utf-8") as lock:
        lines = [line.strip() for line in lock]
    options = [line for line in lines if line.startswith("-") and not line.startswith("--hash=sha256:")]
    assert options == []
    assert not [line for line in lines if "://" in line.split(" #")[0] and not line.startswith("#")]
    assert not (ROOT / "uv.lock").exists()


@pytest.mark.parametrize("absent", ["venv", "ensurepip"])
def test_a_python_without_venv_is_told_what_to_install(bench, monkeypatch, capsys, absent):
    monkeypatch.setattr(bench, "works", lambda interpreter: False)
    monkeypatch.setattr(bench.importlib.util, "find_spec", lambda name: None if name == absent else object())
    with pytest.raises(SystemExit) as stopped:
        bench.set_up()
    told = capsys.readouterr().err
    assert stopped.value.code == 2
    assert f"sudo apt install python{sys.version_info.major}.{sys.version_info.minor}-venv" in told
    assert "Then start run.py again." in told
    assert bench.recorder.commands == []


def test_setting_up_installs_the_lock_by_uv_then_the_package_then_stamps(bench):
    bench.set_up()
    python = bench.recorder.commands[0].split(" ")[0]
    sync = f"{bench.program('uv')} pip sync -q --compile-bytecode --require-hashes --python {bench.python()}"
    assert bench.recorder.commands == [
        f"{python} -m pip install -q {bench.UV}",
        f"{sync} {bench.LOCK}".replace(str(bench.VENV), ".venv"),
        f"{python} -m pip install -q --no-deps --no-build-isolation -e {bench.ROOT}",
        f"{python} -m compileall -q {bench.ROOT / 'src'}",
    ]
    assert re.fullmatch(r"uv==\d+\.\d+\.\d+", bench.UV)
    assert (bench.VENV / "workbench.stamp").is_file()
    assert '"fetchNews": "false"' in next(bench.VENV.rglob("overrides.json")).read_text(encoding="utf-8")


def test_while_the_stamp_holds_nothing_is_installed(bench):
    bench.set_up()
    bench.recorder.commands.clear()
    bench.set_up()
    assert bench.recorder.commands == []


@pytest.mark.parametrize("name", ["LOCK", "SETTINGS"])
def test_a_changed_lock_or_pyproject_installs_again(bench, name):
    bench.set_up()
    bench.recorder.commands.clear()
    with getattr(bench, name).open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    bench.set_up()
    assert bench.recorder.started("pip sync")
    assert bench.recorder.started(" -e ")


def test_a_moved_folder_installs_the_package_again_since_it_is_installed_by_its_path(bench, tmp_path):
    bench.set_up()
    bench.recorder.commands.clear()
    bench.ROOT = tmp_path / "elsewhere"
    bench.set_up()
    assert bench.recorder.started(f"-e {tmp_path / 'elsewhere'}")


def test_a_venv_whose_python_is_gone_is_made_anew(bench, monkeypatch):
    bench.set_up()
    bench.recorder.commands.clear()
    leftover = bench.VENV / "leftover"
    leftover.touch()
    monkeypatch.setattr(bench, "works", load().works)
    monkeypatch.setattr(bench, "sync_with_uv", lambda: True)
    bench.set_up()
    assert bench.recorder.commands[0] == f"{sys.executable} -m venv .venv"
    assert not leftover.exists()


def test_what_is_no_python_does_not_work(bench, tmp_path):
    works = load().works
    assert works(Path(sys.executable))
    broken = tmp_path / "python"
    assert not works(broken)
    broken.write_bytes(b"\x00\x01")
    broken.chmod(0o755)
    assert not works(broken)


def test_where_uv_is_not_to_be_had_pip_installs_the_same_lock_with_its_hashes(bench, capsys):
    bench.recorder.codes = {"uv==": 1}
    bench.set_up()
    assert not bench.recorder.started("pip sync")
    assert bench.recorder.started(f"-m pip install -q --require-hashes -r {bench.LOCK}")
    assert bench.recorder.commands[-2].endswith(f"-e {bench.ROOT}")
    assert "uv is not to be had; pip installs instead" in capsys.readouterr().out
    assert (bench.VENV / "workbench.stamp").is_file()


def test_where_uv_fails_pip_tries_and_where_both_fail_nothing_is_stamped(bench, capsys):
    bench.recorder.codes = {"pip sync": 2}
    bench.set_up()
    assert bench.recorder.started("--require-hashes -r")
    bench.LOCK.write_text("numpy==2.3.0\n", encoding="utf-8")
    bench.recorder.codes = {"pip sync": 2, "--require-hashes -r": 1}
    with pytest.raises(SystemExit) as stopped:
        bench.set_up()
    assert stopped.value.code == 2
    assert "could not be installed" in capsys.readouterr().err
    assert not (bench.VENV / "workbench.stamp").exists()


def test_uv_is_told_pips_index_but_of_no_folder_that_does_not_exist(bench, tmp_path, monkeypatch):
    for name in list(os.environ):
        if name.startswith("UV_") or name in ("SSL_CERT_FILE", "HTTPS_PROXY"):
            monkeypatch.delenv(name)
    wheels, simple = tmp_path / "wheels", tmp_path / "an index"
    wheels.mkdir()
    simple.mkdir()
    told = {
        "index-url": "https://index.example/simple",
        "extra-index-url": f"https://other.example/simple\n{simple.as_uri()} file:///nowhere/simple",
        "find-links": f"{wheels}\n{tmp_path / 'nowhere'}",
        "cert": "/etc/ours.pem",
        "trusted-host": "index.example",
        "default-timeout": "180",
        "no-index": "true",
    }
    monkeypatch.setattr(bench, "pip_settings", lambda: told)
    monkeypatch.setenv("UV_LINK_MODE", "hardlink")
    bench.set_up()
    [number] = [place for place, command in enumerate(bench.recorder.commands) if "pip sync" in command]
    environment = bench.recorder.environments[number]
    expected = {
        "UV_DEFAULT_INDEX": "https://index.example/simple",
        "UV_INDEX": f"https://other.example/simple {simple.as_uri()}",
        "UV_FIND_LINKS": str(wheels),
        "UV_INSECURE_HOST": "index.example",
        "UV_HTTP_TIMEOUT": "180",
        "SSL_CERT_FILE": "/etc/ours.pem",
        "UV_LINK_MODE": "hardlink",
    }
    assert {name: environment.get(name) for name in expected} == expected
    assert environment["PATH"] == os.environ["PATH"]
    assert bench.recorder.commands[number].endswith("--no-index")
    assert "HTTPS_PROXY" not in bench.uv_settings(told)


def test_pips_settings_are_those_of_pip_itself_and_the_environment_has_the_last_word(bench, tmp_path, monkeypatch):
    settings = tmp_path / "pip.conf"
    settings.write_text(
        "[global]\nindex-url = https://files.example/simple\ncert = C:\\certs\\한국.pem\n"
        "extra-index-url =\n    https://one.example/simple\n    https://two.example/simple\n"
        "[install]\ntimeout = 7\n[freeze]\ntimeout = 99\n",
        encoding="utf-8",
    )
    for name in list(os.environ):
        if name.startswith("PIP_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(settings))
    monkeypatch.setenv("PIP_INDEX_URL", "https://environment.example/simple")
    monkeypatch.setenv("PYTHONUTF8", "1")
    monkeypatch.setattr(bench, "python", lambda: Path(sys.executable))
    told = load_pip_settings(bench)
    assert told["index-url"] == "https://environment.example/simple"
    assert told["cert"] == "C:\\certs\\한국.pem"
    assert told["extra-index-url"].split() == ["https://one.example/simple", "https://two.example/simple"]
    assert told["timeout"] == "7"


def load_pip_settings(bench):
    """The real function, asking the pip beside this Python."""
    fresh = load()
    fresh.python = bench.python
    return fresh.pip_settings()


def test_programs_lie_where_each_system_puts_them(bench):
    assert bench.program("python", windows=True) == bench.VENV / "Scripts" / "python.exe"
    assert bench.program("uv", windows=True) == bench.VENV / "Scripts" / "uv.exe"
    assert bench.program("python", windows=False) == bench.VENV / "bin" / "python"
    assert bench.python() == bench.program("python", windows=os.name == "nt")


@pytest.mark.parametrize(
    ("arguments", "forwarded"),
    [
        ([], "run"),
        (["run", "api_2000", "-p", "lang=ko"], "run api_2000 -p lang=ko"),
        (["review", "api_2000"], "review api_2000"),
        (["no-such-thing"], "no-such-thing"),
        (["--help"], "--help"),
    ],
)
def test_what_is_not_its_own_is_forwarded_to_the_evaluation_command(bench, monkeypatch, capsys, arguments, forwarded):
    monkeypatch.setattr(bench, "set_up", lambda: None)
    bench.recorder.codes = {"evaluation.cli": 7}
    assert bench.main(arguments) == 7
    [command] = bench.recorder.commands
    assert command.endswith(f"-m evaluation.cli {forwarded}")
    assert ("python3 run.py test" in capsys.readouterr().out) is (arguments == ["--help"])


@pytest.fixture
def beside(bench, monkeypatch):
    """What run.py starts beside the tests: noted like the rest, and ended with the code that was told for it."""
    commands = []

    class Program:
        def __init__(self, words, *, stdout, **options):
            commands.append(words)
            stdout.write(f"said by {Path(words[-1]).name}\n".encode())
            self.returncode = next((code for part, code in bench.recorder.codes.items() if part in words[-1]), 0)

        def wait(self):
            return self.returncode

        def poll(self):
            return self.returncode

    monkeypatch.setattr(bench.subprocess, "Popen", Program)
    for study in ("one", "two"):
        folder = bench.ROOT / "outputs" / "reference" / study
        folder.mkdir(parents=True)
        (folder / "conftest.py").touch()
    return commands


def test_testing_runs_everything_published_under_nbval_with_options_too_but_a_path_only_itself(
    bench, beside, monkeypatch, capsys
):
    monkeypatch.setattr(bench, "set_up", lambda: None)
    for options in ([], ["-rs"]):
        bench.recorder.commands.clear()
        beside.clear()
        assert bench.main(["test", *options]) == 0
        assert [command.split("-m pytest -q")[1].split() for command in bench.recorder.commands] == [
            [*options, "--ignore=tests/notebooks"]
        ]
        assert [words[4:] for words in beside] == [
            *([*options, "--nbval", str(bench.ROOT / "outputs" / "reference" / study)] for study in ("one", "two")),
            [*options, "tests/notebooks"],
        ]
    assert "said by one\n" in capsys.readouterr().out
    bench.recorder.commands.clear()
    beside.clear()
    bench.main(["test", "tests/unit", "-x"])
    assert (len(bench.recorder.commands), beside) == (1, [])
    bench.recorder.codes = {"two": 1}
    assert bench.main(["test"]) == 1
    assert "nbval outputs/reference/two: FAILED (exit 1)" in capsys.readouterr().out


def test_checking_fails_where_one_check_fails(bench, monkeypatch):
    monkeypatch.setattr(bench, "set_up", lambda: None)
    assert bench.main(["check"]) == 0
    assert len(bench.recorder.commands) == 4
    bench.recorder.codes = {"mypy": 1}
    assert bench.main(["check"]) == 1
    assert len(bench.recorder.commands) == 8, "the others still run"


DRIVER = """
import importlib.util, sys
specification = importlib.util.spec_from_file_location("run_py", {run_py!r})
bench = importlib.util.module_from_spec(specification)
specification.loader.exec_module(bench)
"""


def drive(tmp_path, code):
    script = tmp_path / "driver.py"
    script.write_text(DRIVER.format(run_py=str(RUN_PY)) + textwrap.dedent(code), encoding="utf-8")
    return [sys.executable, str(script)]


def test_korean_is_written_as_utf_8_whatever_the_console_speaks(tmp_path):
    code = """
        bench.speak_utf8()
        bench.say("학교 −")  # the minus sign is not in CP949
        sys.exit(bench.run([sys.executable, "-c", "import sys; print(sys.flags.utf8_mode, '학교 −')"]))
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUTF8"}
    ended = subprocess.run(
        drive(tmp_path, code), env={**environment, "PYTHONIOENCODING": "cp949:strict"}, capture_output=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.decode("utf-8").splitlines() == ["run.py: 학교 −", "1 학교 −"]


@pytest.mark.skipif(os.name == "nt", reason="sends the signals of a POSIX terminal")
@pytest.mark.parametrize(("number", "whole_group"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_a_stopped_program_may_put_its_things_in_order(tmp_path, number, whole_group):
    """Ctrl-C reaches the program too; run.py waits for it and does not go on to what comes next."""
    slow = f"""
        import signal, sys, time
        from pathlib import Path
        def stopped(*_):
            time.sleep(1)
            Path({str(tmp_path / "orderly")!r}).touch()
            sys.exit(130)
        signal.signal(signal.SIGINT, stopped)
        signal.signal(signal.SIGTERM, stopped)
        Path({str(tmp_path / "ready")!r}).touch()
        time.sleep(60)
    """
    child = tmp_path / "child.py"
    child.write_text(textwrap.dedent(slow), encoding="utf-8")
    code = f"code = bench.run([sys.executable, {str(child)!r}])\nprint('went on')\nsys.exit(code)"
    process = subprocess.Popen(drive(tmp_path, code), stdout=subprocess.PIPE, start_new_session=True, encoding="utf-8")
    end = time.monotonic() + 30
    while not (tmp_path / "ready").exists() and time.monotonic() < end:
        time.sleep(0.05)
    if whole_group:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert (tmp_path / "orderly").exists()
    assert ("went on" in out) is not whole_group


def test_the_stamp_is_of_lock_pyproject_and_place(bench):
    bench.set_up()
    parts = bench.LOCK.read_bytes() + bench.SETTINGS.read_bytes() + str(bench.ROOT).encode()
    assert (bench.VENV / "workbench.stamp").read_text(encoding="utf-8") == hashlib.sha256(parts).hexdigest()
