#!/usr/bin/env python3
"""Set the workbench up and run it; needs nothing but Python 3.11+ with pip and venv.

python3 run.py            set up, run every study, print where the reports lie
python3 run.py test       set up, run every test, the published notebooks under nbval included
python3 run.py check      formatting, lint, types, architecture
python3 run.py lab        JupyterLab on the notebooks
python3 run.py X ...      anything else goes to the `evaluation` command (try: python3 run.py --help)
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
LOCK = ROOT / "requirements.lock"
STAMP = VENV / "workbench.stamp"
UV = "uv==0.13.9"
MINIMUM = (3, 11)

# JupyterLab asks for news and updates from the network on first start; both are switched off.
LAB_SETTINGS = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}


def main(arguments: list[str]) -> int:
    speak_utf8()
    require_python()
    set_up()
    command, rest = (arguments[0], arguments[1:]) if arguments else ("run", [])
    own = {"test": run_tests, "check": run_checks, "lab": run_lab}
    return own[command](rest) if command in own else run([PYTHON, "-m", "evaluation.cli", command, *rest])


def speak_utf8() -> None:
    os.environ["PYTHONUTF8"] = "1"
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8")


def require_python() -> None:
    if sys.version_info < MINIMUM:
        stop(f"The workbench needs Python {'.'.join(map(str, MINIMUM))} or newer; this is {sys.version.split()[0]}.",
             "Install a newer Python and start run.py with it, for example: python3.12 run.py")  # fmt: skip


def set_up() -> None:
    stamp = hashlib.sha256(LOCK.read_bytes() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if STAMP.is_file() and STAMP.read_text(encoding="utf-8") == stamp and works(PYTHON):
        return
    make_venv()
    STAMP.unlink(missing_ok=True)
    say("installing the packages of requirements.lock into .venv (once)")
    if not (sync_with_uv() or sync_with_pip()):
        stop("The packages of requirements.lock could not be installed (see above).",
             "Check the network and pip's settings (pip config list), then start run.py again.")  # fmt: skip
    editable = [PYTHON, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "-e", ROOT]
    if run(editable) != 0:
        stop("The package 'evaluation' could not be installed from src/ (see above).")
    settings = VENV / "share" / "jupyter" / "lab" / "settings" / "overrides.json"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(json.dumps(LAB_SETTINGS), encoding="utf-8")
    STAMP.write_text(stamp, encoding="utf-8")


def works(python: Path) -> bool:
    return python.exists() and subprocess.run([python, "-c", "import pip"], capture_output=True).returncode == 0


def make_venv() -> None:
    if works(PYTHON):
        return
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        stop("This Python comes without venv and ensurepip, so no .venv can be made.",
             f"Debian, Ubuntu: sudo apt install python{version}-venv   Fedora: sudo dnf install python3-pip",
             "Then start run.py again.")  # fmt: skip
    if VENV.exists():
        shutil.rmtree(VENV)
    say(f"making .venv with Python {sys.version.split()[0]}")
    if run([sys.executable, "-m", "venv", VENV]) != 0:
        stop("The virtual environment .venv could not be made (see above).")


def sync_with_uv() -> bool:
    if run([PYTHON, "-m", "pip", "install", "-q", UV]) != 0:
        say("uv is not to be had; pip installs instead (slower)")
        return False
    uv = [BIN / ("uv.exe" if os.name == "nt" else "uv"), "pip", "sync", "-q", "--require-hashes"]
    if run([*uv, "--python", PYTHON, LOCK], env=os.environ | uv_settings()) == 0 and works(PYTHON):
        return True
    say("uv could not install the lock; pip tries (slower)")
    return False


def sync_with_pip() -> bool:
    run([PYTHON, "-m", "ensurepip"], stdout=subprocess.DEVNULL)
    return run([PYTHON, "-m", "pip", "install", "-q", "--require-hashes", "-r", LOCK]) == 0


def uv_settings() -> dict[str, str]:
    """What pip is told about its index, in uv's words; hashes hold whichever index answers."""
    listing = subprocess.run([PYTHON, "-m", "pip", "config", "list"], capture_output=True, text=True, encoding="utf-8")
    told = {}
    for line in listing.stdout.splitlines():
        key, _, value = line.partition("=")
        told[key.rpartition(".")[2]] = value.strip("'\"").replace("\\n", " ")
    folders = [link for link in told.get("extra-index-url", "").split() if reachable(link)]
    settings = {
        "UV_DEFAULT_INDEX": told.get("index-url", ""),
        "UV_INDEX": " ".join(folders),
        "UV_FIND_LINKS": " ".join(link for link in told.get("find-links", "").split() if reachable(link)),
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_HTTP_TIMEOUT": told.get("default-timeout", told.get("timeout", "")),
        "SSL_CERT_FILE": told.get("cert", ""),
        "UV_LINK_MODE": "copy",
    }
    return {name: value for name, value in settings.items() if value and name not in os.environ}


def reachable(link: str) -> bool:
    return ("://" in link and not link.startswith("file://")) or Path(link.removeprefix("file://")).exists()


def run_tests(arguments: list[str]) -> int:
    pytest = [PYTHON, "-m", "pytest", "-q"]
    if arguments:
        return run([*pytest, *arguments])
    failed = [("tests", run(pytest))]
    for study in sorted(path.parent for path in (ROOT / "outputs" / "reference").glob("*/conftest.py")):
        say(f"nbval: outputs/reference/{study.name}")
        failed.append((f"outputs/reference/{study.name}", run([*pytest, "--nbval", study])))
    for name, code in failed:
        say(f"{name}: {'passed' if code == 0 else f'FAILED (exit {code})'}")
    return max(code != 0 for _, code in failed)


def run_checks(arguments: list[str]) -> int:
    checks = {
        "format": ["ruff", "format", "--check", "."],
        "lint": ["ruff", "check", "."],
        "types": ["mypy"],
        "architecture": ["pytest", "-q", "tests/test_architecture.py"],
    }
    codes = {name: run([PYTHON, "-m", *command]) for name, command in checks.items()}
    for name, code in codes.items():
        say(f"{name}: {'clean' if code == 0 else f'NOT clean (exit {code})'}")
    return int(any(codes.values()))


def run_lab(arguments: list[str]) -> int:
    return run([PYTHON, "-m", "jupyter", "lab", f"--notebook-dir={ROOT}", *arguments])


def run(command: list, **options) -> int:
    try:
        return subprocess.run([str(part) for part in command], cwd=ROOT, **options).returncode
    except KeyboardInterrupt:
        return 130


def say(text: str) -> None:
    print(f"run.py: {text}", flush=True)


def stop(*lines: str) -> None:
    print("\n".join(f"run.py: {line}" for line in lines), file=sys.stderr, flush=True)
    raise SystemExit(2)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
