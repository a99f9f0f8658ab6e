#!/usr/bin/env python3
"""Set the workbench up and run it; needs nothing but Python 3.11+ with pip and venv.

python3 run.py            set up, run every study, print where the reports lie
python3 run.py test       set up, run every test, the published notebooks under nbval included
python3 run.py check      formatting, lint, types, architecture
python3 run.py lab        JupyterLab on the notebooks
python3 run.py X ...      anything else goes to the `evaluation` command (python3 run.py --help names its commands)
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.lock"
SETTINGS = ROOT / "pyproject.toml"
UV = "uv==0.13.9"
MINIMUM = (3, 11)
INTERRUPTED = 130

# JupyterLab asks for news and updates from the network on first start; both are switched off.
LAB_SETTINGS = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}


def main(arguments: list[str]) -> int:
    speak_utf8()
    require_python()
    command, rest = (arguments[0], arguments[1:]) if arguments else ("run", [])
    if command in ("-h", "--help", "help"):
        command = "--help"
        print(__doc__, flush=True)
    set_up()
    own = {"test": run_tests, "check": run_checks, "lab": run_lab}
    return own[command](rest) if command in own else run([python(), "-m", "evaluation.cli", command, *rest])


def python() -> Path:
    return program("python")


def program(name: str, windows: bool = os.name == "nt") -> Path:
    return VENV / "Scripts" / f"{name}.exe" if windows else VENV / "bin" / name


def speak_utf8() -> None:
    os.environ.update(PYTHONUTF8="1", PYTHONIOENCODING="utf-8")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8")


def require_python() -> None:
    if sys.version_info < MINIMUM:
        stop(f"The workbench needs Python {'.'.join(map(str, MINIMUM))} or newer; this is {sys.version.split()[0]}.",
             "Install a newer Python and start run.py with it, for example: python3.12 run.py")  # fmt: skip


def set_up() -> None:
    # The place counts too: src/ is installed by its path, which a moved or copied folder has no more.
    stamp = hashlib.sha256(LOCK.read_bytes() + SETTINGS.read_bytes() + str(ROOT).encode()).hexdigest()
    stamped = VENV / "workbench.stamp"
    if stamped.is_file() and stamped.read_text(encoding="utf-8") == stamp and works(python()):
        return
    stamped.unlink(missing_ok=True)
    make_venv()
    say("installing the packages of requirements.lock into .venv (once)")
    if not (sync_with_uv() or sync_with_pip()):
        stop("The packages of requirements.lock could not be installed (see above).",
             "Check the network and pip's settings (pip config list), then start run.py again.")  # fmt: skip
    if run([python(), "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "-e", ROOT]) != 0:
        stop("The package 'evaluation' could not be installed from src/ (see above).")
    # Where Python is told to keep no compiled files, every kernel would compile its packages again.
    run([python(), "-m", "compileall", "-q", ROOT / "src"])
    settings = VENV / "share" / "jupyter" / "lab" / "settings" / "overrides.json"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(json.dumps(LAB_SETTINGS), encoding="utf-8")
    stamped.write_text(stamp, encoding="utf-8")


def works(interpreter: Path) -> bool:
    try:
        return subprocess.run([str(interpreter), "-c", "import pip"], capture_output=True).returncode == 0
    except OSError:
        return False


def make_venv() -> None:
    if works(python()):
        return
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        stop("This Python comes without venv and ensurepip, so no .venv can be made.",
             f"Debian, Ubuntu: sudo apt install python{version}-venv   Fedora: sudo dnf install python3-pip",
             "Then start run.py again.")  # fmt: skip
    if VENV.exists():
        try:
            shutil.rmtree(VENV)
        except OSError as error:
            stop(f"The broken .venv cannot be removed ({error.strerror}: {error.filename}).",
                 "Close the programs that use it, remove the folder .venv, then start run.py again.")  # fmt: skip
    say(f"making .venv with Python {sys.version.split()[0]}")
    if run([sys.executable, "-m", "venv", VENV]) != 0:
        stop("The virtual environment .venv could not be made (see above).")


def sync_with_uv() -> bool:
    if run([python(), "-m", "pip", "install", "-q", UV]) != 0:
        say("uv is not to be had; pip installs instead (slower)")
        return False
    told = pip_settings()
    sync = [program("uv"), "pip", "sync", "-q", "--compile-bytecode", "--require-hashes", "--python", python(), LOCK]
    if told.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        sync.append("--no-index")
    if run(sync, env={**os.environ, **uv_settings(told)}) == 0 and works(python()):
        return True
    say("uv could not install the lock; pip tries (slower)")
    return False


def sync_with_pip() -> bool:
    run([python(), "-m", "ensurepip"], stdout=subprocess.DEVNULL)
    return run([python(), "-m", "pip", "install", "-q", "--require-hashes", "-r", LOCK]) == 0


def pip_settings() -> dict[str, str]:
    """What pip is told by its files and by the environment, which has the last word."""
    listing = subprocess.run([str(python()), "-m", "pip", "config", "list"], capture_output=True, encoding="utf-8")
    sections: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in listing.stdout.splitlines():
        key, _, quoted = line.partition("=")
        section, _, name = key.rpartition(".")
        sections.get(section, {})[name] = ast.literal_eval(quoted)
    return {**sections["global"], **sections["install"], **sections[":env:"]}


def uv_settings(told: dict[str, str]) -> dict[str, str]:
    """The same in uv's words; what the environment already tells uv stays. Hashes hold whichever index answers."""
    settings = {
        "UV_DEFAULT_INDEX": told.get("index-url", ""),
        "UV_INDEX": within_reach(told.get("extra-index-url", "")),
        "UV_FIND_LINKS": within_reach(told.get("find-links", "")),
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_INSECURE_HOST": told.get("trusted-host", ""),
        "UV_HTTP_TIMEOUT": told.get("default-timeout", told.get("timeout", "")),
        "HTTPS_PROXY": told.get("proxy", ""),
        "SSL_CERT_FILE": told.get("cert", ""),
        "UV_LINK_MODE": "copy",
    }
    return {name: value for name, value in settings.items() if value and name not in os.environ}


def within_reach(links: str) -> str:
    """Without the folders that do not exist: pip passes over them, uv stops at them."""
    return " ".join(link for link in links.split() if is_reachable(link))


def is_reachable(link: str) -> bool:
    if link.startswith("file:"):
        return Path(url2pathname(urlsplit(link).path)).exists()
    return "://" in link or Path(link).exists()


def run_tests(arguments: list[str]) -> int:
    pytest = [python(), "-m", "pytest", "-q", *arguments]
    if any(not argument.startswith("-") for argument in arguments):
        return run(pytest)
    studies = sorted(path.parent for path in (ROOT / "outputs" / "reference").glob("*/conftest.py"))
    # What starts kernels waits more than it computes: it runs beside the rest, one program at a time.
    kernels = [(f"nbval outputs/reference/{study.name}", [*pytest, "--nbval", study]) for study in studies]
    kernels.append(("tests/notebooks", [*pytest, "tests/notebooks"]))
    for name, _ in kernels:
        say(f"{name}: beside the other tests; its report follows theirs")
    with Beside(kernels) as beside:
        failed = [("tests", run([*pytest, "--ignore=tests/notebooks"])), *beside.results()]
    for name, code in failed:
        say(f"{name}: {'passed' if code == 0 else f'FAILED (exit {code})'}")
    return max(code != 0 for _, code in failed)


class Beside:
    """Programs that run one after the other while another runs, their reports kept until they are asked for."""

    def __init__(self, programs: list) -> None:
        self.programs = programs
        self.started: list = []
        self.reports = contextlib.ExitStack()
        self.stopped = False
        self.worker = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Beside:
        self.worker.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stopped = True
        for _, process, _ in self.started:
            if process.poll() is None:
                process.terminate()
        self.worker.join(timeout=30)
        self.reports.close()

    def results(self) -> list:
        """Wait for all, print what each said, and return name and exit code of each."""
        self.worker.join()
        codes = []
        for name, process, report in self.started:
            report.seek(0)
            say(name)
            print(report.read().decode("utf-8", "replace"), flush=True)
            codes.append((name, process.returncode))
        return codes

    def _work(self) -> None:
        for name, command in self.programs:
            if self.stopped:
                return
            report = self.reports.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
            words = [str(part) for part in command]
            process = subprocess.Popen(words, cwd=ROOT, stdout=report, stderr=subprocess.STDOUT)
            self.started.append((name, process, report))
            process.wait()


def run_checks(arguments: list[str]) -> int:
    checks = {
        "format": ["ruff", "format", "--check", "."],
        "lint": ["ruff", "check", "."],
        "types": ["mypy"],
        "architecture": ["pytest", "-q", "tests/test_architecture.py"],
    }
    codes = {name: run([python(), "-m", *command]) for name, command in checks.items()}
    for name, code in codes.items():
        say(f"{name}: {'clean' if code == 0 else f'NOT clean (exit {code})'}")
    return int(any(codes.values()))


def run_lab(arguments: list[str]) -> int:
    return run([python(), "-m", "jupyter", "lab", f"--notebook-dir={ROOT}", *arguments])


def run(command: list, **options) -> int:
    """Run a program to its end. On Ctrl-C, which the terminal sends to it too, it may still put its things in order."""
    process = subprocess.Popen([str(part) for part in command], cwd=ROOT, **options)
    before = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    interrupted = False
    try:
        while True:
            try:
                code = process.wait()
                break
            except KeyboardInterrupt:
                interrupted = True
    finally:
        signal.signal(signal.SIGTERM, before)
    if interrupted and code != 0:
        raise SystemExit(INTERRUPTED)
    return 128 - code if code < 0 else code


def say(text: str) -> None:
    print(f"run.py: {text}", flush=True)


def stop(*lines: str) -> None:
    print("\n".join(f"run.py: {line}" for line in lines), file=sys.stderr, flush=True)
    raise SystemExit(2)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
