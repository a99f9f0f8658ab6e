"""What a kernel reads and imports, noted while it runs, so that nobody has to declare it.

The runner starts it by a silent request before the first cell and asks for the record after the last
one (``start_code``, ``RECORD``, ``record_from``). In any other process nothing is noted.

Seen are: files that Python opens, sqlite files, modules wherever they lie but for installed packages,
folders that are listed, files that are asked for and are not there. Not seen is what other libraries
open by themselves, unless ``read`` names it. What another process or the network gave nobody can know: that
they were reached is noted, and such a step is never taken from the cache.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import importlib.machinery
import importlib.util
import itertools
import json
import os
import pkgutil
import stat as kinds
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

#: Version of what ``record`` returns.
VERSION = 2
#: Expression by which the runner asks a kernel for its record (``user_expressions`` of a silent request).
RECORD = "__import__('evaluation.recording').recording.record_text()"
#: A file changed this short a time ago (in ns) may change again without its time showing it.
UNSETTLED_NS = 2_000_000_000

#: Below the project, never part of what a step is made from.
_NEVER = frozenset({".venv", ".git", "__pycache__", ".ipynb_checkpoints"})
_NEVER_BELOW = ("outputs/.cache/", "outputs/.staging/")
#: Where installed packages lie, whatever the Python.
_PACKAGES = frozenset({"site-packages", "dist-packages"})
_DATA_MAY_LIE = ("/dev/shm/", "/run/media/")
_SYSTEM = ("/proc", "/sys", "/dev", "/etc", "/usr", "/lib", "/lib64", "/run", "/System", "/Library")
_OF_PROGRAMS = (".cache", ".config", ".ipython", ".jupyter", ".local", ".matplotlib", "AppData", "Library")
#: Files that other libraries open by themselves: whoever asks for one is taken to read it.
_OPENED_UNSEEN = (
    *(".parquet", ".feather", ".arrow", ".orc", ".sav", ".zsav", ".por", ".dta", ".sas7bdat", ".xpt"),
    *(".rds", ".rdata", ".h5", ".hdf5", ".db", ".duckdb", ".sqlite"),
)
#: Events by which a process asks another one, or the network, for something.
_BEYOND = frozenset(
    (
        *("os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "os.startfile", "os.exec"),
        *("subprocess.Popen", "socket.connect", "urllib.Request"),
    )
)

#: Programs that libraries ask about the machine and its fonts.
_OF_MACHINE = frozenset({"fc-list", "system_profiler", "uname", "ldconfig", "sw_vers"})
_SOURCE_AND_BYTECODE = (*importlib.machinery.SOURCE_SUFFIXES, *importlib.machinery.BYTECODE_SUFFIXES)
#: Where folders are listed to find modules and packages.
_IMPORTING = ("<frozen importlib", str(Path(importlib.util.__file__).parent) + os.sep, str(Path(pkgutil.__file__)))
#: The workbench counts wherever it is installed.
_WORKBENCH = str(Path(__file__).parent) + os.sep

_recording: _Recording | None = None


def start_code(root: Path, run: Path) -> str:
    """Return the Python source that starts the recording in a kernel; it leaves no name behind.

    Examples
    --------
    >>> start_code(Path("p"), Path("r"))
    "__import__('evaluation.recording').recording.start('p', 'r')"
    """
    return f"__import__('evaluation.recording').recording.start({str(root)!r}, {str(run)!r})"


def start(root: str, run: str) -> None:
    """Note from now on what this process reads.

    Parameters
    ----------
    root : str
        The project's folder; files below it are noted relative to it.
    run : str
        The run folder; what is read there is noted apart.
    """
    global _recording
    if _recording is None:
        _recording = _Recording(root, run)
        _recording.install()


def read(path: str | os.PathLike[str]) -> None:
    """Note that a file is about to be read by a library that opens it unseen, such as pyarrow.

    Costs nothing where nothing is noted.

    Parameters
    ----------
    path : str or path
        The file; it may be absent.
    """
    if _recording is not None:
        _recording.opened(path, os.O_RDONLY)


def record() -> dict[str, Any]:
    """Return what was noted, as plain data.

    Returns
    -------
    dict
        ``modules`` and ``inputs``: file to ``[size, mtime_ns, sha256, ctime_ns, inode]`` when first read, the hash
        only where the file was just made; ``absent``, ``present``: asked for and not read; ``listings``:
        folder to hash of its names; ``asked`` and ``found``: names that imports looked for in folders of
        the project, and what they found; ``written``; ``of_run`` and ``left``: files of the run folder that
        were read, and written; ``removed`` and ``taken``: files and folders of the project, and of the run
        folder, that others made and this process removed or moved away; ``beyond``: processes and network that
        were reached; ``peak_memory_bytes``.

    Raises
    ------
    RuntimeError
        Where nothing was started.
    """
    if _recording is None:
        raise RuntimeError("no recording was started in this process. Call start() first.")
    return _recording.content()


def record_text() -> str:
    """Return the record as JSON."""
    return json.dumps(record(), separators=(",", ":"))


def record_from(reply: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the record in a kernel's answer to ``user_expressions={"record": RECORD}``.

    Parameters
    ----------
    reply : mapping or None
        The ``execute_reply`` message, or its content.

    Returns
    -------
    dict or None
        None where the kernel gave none: it died, or cannot import the workbench.

    Examples
    --------
    >>> text = json.dumps({"version": VERSION, "inputs": {}})
    >>> record_from({"user_expressions": {"record": {"data": {"text/plain": repr(text)}}}})["inputs"]
    {}
    """
    try:
        content = (reply or {}).get("content", reply)
        text = content["user_expressions"]["record"]["data"]["text/plain"]
        found = json.loads(ast.literal_eval(text))
    except (KeyError, TypeError, ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return found if isinstance(found, dict) and found.get("version") == VERSION else None


def resolved(folder: str | os.PathLike[str], names: Collection[str]) -> dict[str, str]:
    """Return which file of a folder each name would be imported from; names that it does not have are left out.

    Packages come before modules of the same name, and compiled modules before source, as Python has it.
    """
    try:
        entries = set(os.listdir(folder))
    except OSError:
        return {}
    stems = {entry.partition(".")[0] for entry in entries}
    endings = (*importlib.machinery.EXTENSION_SUFFIXES, *_SOURCE_AND_BYTECODE)
    found = {}
    for name in stems.intersection(names):
        inside = [f"{name}/__init__{end}" for end in endings] if name in entries else []
        beside = [name + end for end in endings if name + end in entries]
        packages = (file for file in inside if os.path.isfile(os.path.join(folder, file)))
        file = next(itertools.chain(packages, beside), None)
        if file is not None:
            found[name] = file
    return found


def names_digest(folder: str | os.PathLike[str]) -> str:
    """Return the hash of the names in a folder, hidden and backup files aside; empty where it is none."""
    try:
        names = os.listdir(folder)
    except OSError:
        return ""
    told = sorted(name for name in names if not name.startswith(".") and not name.endswith("~") and name not in _NEVER)
    return hashlib.sha256("\0".join(told).encode("utf-8", "surrogatepass")).hexdigest()


class _AskedNames:
    """A finder that finds nothing: it notes which names imports look for, and where."""

    def __init__(self) -> None:
        self.tops: set[str] = set()
        self.places: set[str] = set()
        self.inside: dict[str, set[str]] = {}

    def find_spec(self, name: str, path: Iterable[str] | None = None, target: object = None) -> None:
        if path is None:
            self.tops.add(name)
            self.places.update(sys.path)
        else:
            for place in path:
                self.inside.setdefault(str(place), set()).add(name.rpartition(".")[2])


class _Recording:
    """What one process has read so far."""

    def __init__(self, root: str, run: str) -> None:
        self.root, self.run = os.path.realpath(root), os.path.realpath(run)
        # Where a folder is reached through a link, files bear either name.
        spelt = {os.path.abspath(run): self.run, os.path.abspath(root): self.root}
        self._links = [(given, real) for given, real in spelt.items() if given != real]
        self.reads: dict[str, list[Any]] = {}
        self.code: set[str] = set()
        self.absent: set[str] = set()
        self.present: set[str] = set()
        self.written: set[str] = set()
        self.of_run: set[str] = set()
        self.made: set[str] = set()
        self.removed: set[str] = set()
        self.listings: dict[str, str] = {}
        self.beyond: set[str] = set()
        self.asked = _AskedNames()
        self._stat = os.stat
        self._own = threading.local()
        self._libraries = _libraries(self.root)
        self._elsewhere = _elsewhere()

    def install(self) -> None:
        for file in _module_files():
            self._note_module(file)
        self.opened(os.path.join(self.root, "matplotlibrc"), os.O_RDONLY)
        loaded = dict(sys.modules)
        for name in loaded:
            if path := getattr(loaded.get(name.rpartition(".")[0]), "__path__", None):
                self.asked.find_spec(name, list(path))
        self.asked.tops.update(name.partition(".")[0] for name in loaded)
        self.asked.places.update(sys.path)
        sys.meta_path.insert(0, self.asked)
        self._watch_stat()
        self._watch_spawning()
        sys.addaudithook(self._hear)

    def _watch_stat(self) -> None:
        original = os.stat

        @functools.wraps(original)
        def stat(path: Any, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> os.stat_result:
            try:
                answer = original(path, dir_fd=dir_fd, follow_symlinks=follow_symlinks)
            except (FileNotFoundError, NotADirectoryError):
                if dir_fd is None:
                    self._asked_for(path, self.absent)
                raise
            if dir_fd is None and not isinstance(path, int):
                self._asked_for(path, self.present)
            return answer

        os.stat = stat
        for able in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks):
            if original in able:
                able.add(stat)

    def _watch_spawning(self) -> None:
        """Note processes that multiprocessing starts: of these no event tells."""
        try:
            # Who is imported before keeps the original: subprocess tells of itself what it starts.
            import _posixsubprocess
            import subprocess  # noqa: F401
        except ImportError:
            return
        original = _posixsubprocess.fork_exec

        def fork_exec(*arguments: Any) -> int:
            self.beyond.add("multiprocessing")
            return int(original(*arguments))

        _posixsubprocess.fork_exec = fork_exec

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            self.opened(arguments[0], arguments[2])
        elif event in ("os.listdir", "os.scandir"):
            if not sys._getframe(1).f_code.co_filename.startswith(_IMPORTING):
                self._listed(arguments[0])
        elif event == "os.rename":
            self._removed(arguments[0])
            self._renamed(arguments[1])
        elif event == "os.truncate":
            self._renamed(arguments[0])
        elif event == "os.mkdir":
            self._made(arguments[0])
        elif event == "shutil.rmtree" or (event in ("os.remove", "os.rmdir") and arguments[1] == -1):
            # What lies in a folder that is removed as a whole is told by its name in there, which says nothing.
            self._removed(arguments[0])
        elif event == "sqlite3.connect":
            self.opened(arguments[0], os.O_RDONLY)
        elif event in _BEYOND and not (event == "subprocess.Popen" and Path(str(arguments[0])).stem in _OF_MACHINE):
            self.beyond.add(event)

    def opened(self, path: Any, flags: int) -> None:
        """Note that a file is opened; who writes it afresh does not read it."""
        if getattr(self._own, "busy", False):
            return
        file = _absolute(path)
        if file is None:
            return
        if file.endswith(".pyc"):
            with contextlib.suppress(ValueError, NotImplementedError):
                file = importlib.util.source_from_cache(file)
        name = self._name(file)
        if name is None or name in self.reads or name in self.written:
            return
        if flags & os.O_WRONLY or flags & os.O_TRUNC:
            self.written.add(name)
        elif name.startswith("run:"):
            self.of_run.add(name[4:])
        else:
            self._first_read(file, name)

    def _first_read(self, file: str, name: str) -> None:
        try:
            found = self._stat(file)
        except OSError:
            self.absent.add(name)
            return
        if not kinds.S_ISREG(found.st_mode):
            return
        digest = ""
        if abs(time.time_ns() - found.st_mtime_ns) < UNSETTLED_NS or found.st_mtime_ns > time.time_ns():
            digest = self._hash(file)
        # The last two nobody can put back, unlike size and time.
        self.reads[name] = [found.st_size, found.st_mtime_ns, digest, found.st_ctime_ns, found.st_ino]

    def _hash(self, file: str) -> str:
        try:
            with self._unheard(), open(file, "rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError:
            return ""

    @contextlib.contextmanager
    def _unheard(self) -> Iterator[None]:
        """What the recording itself reads is not noted."""
        self._own.busy = True
        try:
            yield
        finally:
            self._own.busy = False

    def _asked_for(self, path: Any, where: set[str]) -> None:
        if getattr(self._own, "busy", False):
            return
        file = _absolute(path)
        name = None if file is None else self._name(file)
        if file is None or name is None or name in self.reads:
            return
        if file.lower().endswith(_OPENED_UNSEEN):
            self.opened(file, os.O_RDONLY)
        elif not name.startswith("run:"):
            where.add(name)

    def _listed(self, path: Any) -> None:
        if getattr(self._own, "busy", False):
            return
        folder = _absolute(path or ".")
        name = None if folder is None else self._name(folder)
        if folder is None or name is None or name.startswith("run:") or name in self.listings:
            return
        with self._unheard():
            self.listings[name] = names_digest(folder)

    def _renamed(self, path: Any) -> None:
        file = _absolute(path)
        name = None if file is None else self._name(file)
        if name is not None and name not in self.reads:
            self.written.add(name)

    def _made(self, path: Any) -> None:
        folder = _absolute(path)
        name = None if folder is None else self._name(folder)
        if folder is not None and name is not None and not os.path.lexists(folder):
            self.made.add(name)

    def _removed(self, path: Any) -> None:
        """Note that something is removed or moved away, unless this process made it."""
        place = _absolute(path)
        name = None if place is None else self._name(place)
        if place is None or name is None or os.path.isabs(name) or not os.path.lexists(place):
            return
        if name not in self.written and name not in self.made and name not in self.absent:
            self.removed.add(name)

    def _name(self, file: str) -> str | None:
        """Return what a file is called in the record; None where it does not count."""
        file = self._unlinked(file)
        if file == self.run or file.startswith(self.run + os.sep):
            return "run:" + file[len(self.run) + 1 :].replace(os.sep, "/")
        if file == self.root:
            return "."
        name = self._module_name(file)
        if name is None or os.path.isabs(name):
            own = file.startswith((*_DATA_MAY_LIE, _WORKBENCH))
            return None if file.startswith(self._elsewhere) and not own else name
        parts = name.split("/")
        skipped = not _NEVER.isdisjoint(parts) or name.startswith(_NEVER_BELOW) or _is_generated(parts)
        return None if skipped and not file.startswith(_WORKBENCH) else name

    def _unlinked(self, file: str) -> str:
        for given, real in self._links:
            if file == given or file.startswith(given + os.sep):
                return real + file[len(given) :]
        return file

    def _note_module(self, file: str) -> None:
        name = self._module_name(file)
        if name is not None:
            self.code.add(name)
            if name not in self.reads:
                self._first_read(file, name)

    def _module_name(self, file: str) -> str | None:
        """Return what a module's file is called in the record; None for those of Python and of installed packages."""
        file = self._unlinked(file)
        installed = (file + os.sep).startswith(self._libraries) or not _PACKAGES.isdisjoint(file.split(os.sep))
        if installed and not file.startswith(_WORKBENCH):
            return None
        return file.removeprefix(self.root + os.sep).replace(os.sep, "/")

    def content(self) -> dict[str, Any]:
        for file in _module_files():
            self._note_module(file)
        reads = dict(sorted(self.reads.items()))
        code = self.code | {name for name in reads if name.endswith(".py")}
        with self._unheard():
            asked, found = self._imports()
        seen = reads.keys() | self.written
        return {
            "version": VERSION,
            "modules": {name: read for name, read in reads.items() if name in code},
            "inputs": {name: read for name, read in reads.items() if name not in code},
            "absent": sorted(self.absent - seen),
            "present": sorted(self.present - seen - self.absent),
            "listings": dict(sorted(self.listings.items())),
            "asked": asked,
            "found": found,
            "written": sorted(name for name in self.written if not name.startswith("run:")),
            "of_run": sorted(name for name in self.of_run if f"run:{name}" not in self.written),
            "left": sorted(name[4:] for name in self.written if name.startswith("run:")),
            "removed": sorted(name for name in self.removed if not name.startswith("run:")),
            "taken": sorted(name[4:] for name in self.removed if name.startswith("run:")),
            "beyond": sorted(self.beyond),
            "peak_memory_bytes": _peak_memory(),
        }

    def _imports(self) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
        """Return, for each folder that is searched, the names looked for (blanks between) and what was found."""
        wanted: dict[str, set[str]] = {}
        for place in self.asked.places:
            wanted.setdefault(place or os.getcwd(), set()).update(self.asked.tops)
        for place, names in self.asked.inside.items():
            wanted.setdefault(place, set()).update(names)
        asked, found = {}, {}
        for place, names in sorted(wanted.items()):
            folder = _absolute(place)
            name = None if folder is None else self._module_name(folder + os.sep)
            if folder is None or name is None or not os.path.isdir(folder):
                continue
            label = name.rstrip("/") or "."
            asked[label] = " ".join(sorted(names))
            found[label] = resolved(folder, names)
        return asked, found


def _module_files() -> list[str]:
    """Return the files of all modules that are loaded now."""
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return [os.path.abspath(file) for file in files if isinstance(file, str) and os.path.isabs(file)]


def _absolute(path: Any) -> str | None:
    if isinstance(path, int) or not path:
        return None
    try:
        return os.path.abspath(os.fsdecode(path))
    except (TypeError, ValueError, OSError):
        return None


def _is_generated(parts: list[str]) -> bool:
    """Tell whether a file is a survey's generated one: it counts by what survey.yml declares of it."""
    return len(parts) > 2 and parts[0] == "surveys" and parts[2] == "generated"


def _libraries(root: str) -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    folders = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders.add(os.path.dirname(paths["stdlib"]))
    if sys.prefix != sys.base_prefix:
        folders.add(sys.prefix)
    # What is installed above the project must not hide the project itself.
    own = {folder.rstrip(os.sep) + os.sep for folder in folders}
    return tuple(folder for folder in own if not (root + os.sep).startswith(folder))


def _elsewhere() -> tuple[str, ...]:
    """Return where programs keep what is theirs: no data of a study lies there."""
    home, temporary = os.path.expanduser("~"), tempfile.gettempdir()
    named = [os.environ.get(name) for name in ("SystemRoot", "ProgramFiles", "MPLCONFIGDIR", "IPYTHONDIR")]
    folders = [*_SYSTEM, *(os.path.join(home, name) for name in _OF_PROGRAMS), *filter(None, named)]
    passing = [os.path.join(temporary, beginning) for beginning in ("matplotlib-", "ipykernel_")]
    return (*(folder.rstrip(os.sep) + os.sep for folder in folders), *passing)


def _peak_memory() -> int:
    """Return the most memory this process had, in bytes; 0 where the system does not say."""
    try:
        import resource
    except ImportError:
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(most if sys.platform == "darwin" else most * 1024)
