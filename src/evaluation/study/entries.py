"""Kept results on disk: a folder each, complete or not there at all, checked before use.

``<cache>/<step>/<number>-<hash>/`` holds ``entry.json``, whose SHA-256 the folder's name begins with, and
``files/``, each with its SHA-256 in ``entry.json``. So a flipped bit, a file that is cut off or missing
and a folder that a killed process left behind are all seen. Nothing is unpickled, no link is followed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import stat as kinds
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from evaluation.errors import CacheDamage

#: Entries that are kept of each step, the newest.
KEPT = 5

_ENTRY = "entry.json"
#: Folder of an entry that holds the files of the run.
FILES = "files"
_PIECE = 1 << 20
#: An entry that is larger says nothing sensible.
_MOST_BYTES = 50_000_000
_NAME = re.compile(r"(\d{6,12})-([0-9a-f]{32})")
_UNFINISHED = ".new-"


@dataclass(frozen=True)
class Entry:
    """One kept result of a step.

    Attributes
    ----------
    step : str
        Name of the step.
    folder : Path
        Where it lies.
    number : int
        Higher is newer.
    version : int
        Of how its parts were made.
    parts : dict
        What it was made from.
    files : dict of str to str
        Files of the run folder, each with its SHA-256.
    outcome : dict
        What became of the step then, as a manifest records it.
    """

    step: str
    folder: Path
    number: int
    version: int
    parts: Mapping[str, Any]
    files: Mapping[str, str]
    outcome: Mapping[str, Any]


def entry_folders(cache: Path, step: str) -> list[tuple[int, Path]]:
    """Return the numbers and folders of what is kept of a step, newest first; none is looked into."""
    try:
        names = os.listdir(cache / step)
    except OSError:
        return []
    found = ((match, name) for name in names if (match := _NAME.fullmatch(name)))
    return sorted(((int(match[1]), cache / step / name) for match, name in found), reverse=True)


def load_entry(step: str, folder: Path) -> Entry:
    """Read ``entry.json`` of a kept result.

    Raises
    ------
    CacheDamage
        Where it is missing, cut off, changed, or says what no entry says.
    """
    match = _NAME.fullmatch(folder.name)
    try:
        content = b"".join(_pieces(folder, _ENTRY))
    except OSError as error:
        raise _damage(step, f"{_ENTRY} cannot be read ({error.strerror})") from None
    if match is None or not hashlib.sha256(content).hexdigest().startswith(match[2]):
        raise _damage(step, f"{_ENTRY} is not what was written")
    try:
        said = json.loads(content)
        files, parts, outcome = (dict(said[name]) for name in ("files", "parts", "outcome"))
        version = int(said["version"])
        if not all(_is_safe(file) and _is_hash(digest) for file, digest in files.items()):
            raise ValueError("a path or a hash that is none")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damage(step, f"{_ENTRY} is no entry ({type(error).__name__})") from None
    return Entry(step, folder, int(match[1]), version, parts, files, outcome)


def write_entry(
    cache: Path, step: str, version: int, run: Path, files: Mapping[str, str], content: dict[str, Any]
) -> Path:
    """Keep files of a run with what they were made from; afterwards the entry is there, or nothing is.

    Parameters
    ----------
    cache : Path
        Folder of the study's entries.
    step : str
        Name of the step.
    version : int
        Of how the parts were made.
    run : Path
        The run folder.
    files : mapping of str to str
        Files of the run folder, each with the SHA-256 that it must have.
    content : dict
        ``parts`` and ``outcome``.

    Raises
    ------
    OSError
        Where the disk is full or may not be written.
    CacheDamage
        Where a file of the run is not the one that was hashed.
    """
    place = cache / step
    place.mkdir(parents=True, exist_ok=True)
    beside = place / f"{_UNFINISHED}{os.getpid()}"
    shutil.rmtree(beside, ignore_errors=True)
    try:
        for file, digest in files.items():
            _take(step, run, file, digest, beside / FILES / file, fsync=True)
        said = {"version": version, "files": dict(files), **content}
        text = json.dumps(said, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8")
        beside.mkdir(parents=True, exist_ok=True)
        with open(beside / _ENTRY, "wb") as stream:
            _write(stream, text, fsync=True)
        number = max((number for number, _ in entry_folders(cache, step)), default=0) + 1
        target = place / f"{number:06d}-{hashlib.sha256(text).hexdigest()[:32]}"
        for folder in [*(path for path in beside.rglob("*") if path.is_dir()), beside]:
            _sync_folder(folder)
        os.replace(beside, target)
        _sync_folder(place)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return target


def restore_entry(entry: Entry, run: Path) -> None:
    """Put the files of an entry into a run: all of them, or none.

    Raises
    ------
    CacheDamage
        Where a file is missing, is a link, or is not what was kept.
    OSError
        Where the run folder cannot be written.
    """
    beside = run / f".kept-{os.getpid()}-{entry.folder.name}"
    try:
        for file, digest in entry.files.items():
            _take(entry.step, entry.folder / FILES, file, digest, beside / file)
        for file in entry.files:
            (run / file).parent.mkdir(parents=True, exist_ok=True)
            os.replace(beside / file, run / file)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def remove_entry(folder: Path) -> None:
    """Remove a kept result; one that is half removed is no entry any more."""
    with contextlib.suppress(OSError):
        (folder / _ENTRY).unlink()
    if folder.is_symlink():
        with contextlib.suppress(OSError):
            folder.unlink()
    shutil.rmtree(folder, ignore_errors=True)


def prune(cache: Path, step: str) -> None:
    """Remove all but the newest entries of a step, and what a killed process left unfinished."""
    for _, folder in entry_folders(cache, step)[KEPT:]:
        remove_entry(folder)
    for left in (cache / step).glob(f"{_UNFINISHED}*"):
        shutil.rmtree(left, ignore_errors=True)


def sweep(cache: Path, steps: Collection[str]) -> None:
    """Remove what is kept of steps that a study has no more."""
    found = []
    for place, folders, _ in os.walk(cache):
        kept = [name for name in folders if _NAME.fullmatch(name) or name.startswith(_UNFINISHED)]
        folders[:] = [name for name in folders if name not in kept]
        if kept and Path(place).relative_to(cache).as_posix() not in steps:
            found += [Path(place) / name for name in kept]
    for folder in found:
        remove_entry(folder)
        for parent in [folder.parent, *folder.parent.parents]:
            if parent == cache:
                break
            with contextlib.suppress(OSError):
                parent.rmdir()


def make_newest(cache: Path, entry: Entry) -> None:
    """Give an entry that served again the highest number, so that others are removed before it."""
    newest = max((number for number, _ in entry_folders(cache, entry.step)), default=0)
    if entry.number < newest:
        with contextlib.suppress(OSError):
            os.replace(entry.folder, entry.folder.with_name(f"{newest + 1:06d}-{entry.folder.name.split('-')[1]}"))


def _take(step: str, source: Path, file: str, expected: str, target: Path, *, fsync: bool = False) -> None:
    """Copy a file, and require that it is the one that was hashed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, pieces = hashlib.sha256(), _pieces(source, file)
    with open(target, "wb") as stream:
        while True:
            try:
                piece = next(pieces, b"")
            except OSError as error:
                raise _damage(step, f"{file} cannot be read ({error.strerror})") from None
            if not piece:
                break
            digest.update(piece)
            stream.write(piece)
        _write(stream, b"", fsync=fsync)
    if digest.hexdigest() != expected:
        raise _damage(step, f"{file} is not what was kept")


def _write(stream: IO[bytes], content: bytes, *, fsync: bool) -> None:
    stream.write(content)
    stream.flush()
    if fsync:
        os.fsync(stream.fileno())


def _pieces(folder: Path, file: str) -> Iterator[bytes]:
    """Yield the content of a plain file below a folder; a link on the way to it is an error."""
    place = folder
    for part in ("", *PurePosixPath(file).parts):
        place = place / part
        mode = os.lstat(place).st_mode
        if kinds.S_ISLNK(mode):
            raise OSError(0, "it is a link")
    if not kinds.S_ISREG(mode):
        raise OSError(0, "it is no file")
    if file == _ENTRY and os.lstat(place).st_size > _MOST_BYTES:
        raise OSError(0, "it is too large")
    with open(os.open(place, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)), "rb") as stream:
        while piece := stream.read(_PIECE):
            yield piece


def _is_safe(file: object) -> bool:
    """Tell whether a path stays in the folder that it is put into."""
    if not isinstance(file, str) or not file or "\\" in file or ":" in file or "\0" in file:
        return False
    return not file.startswith("/") and all(part not in ("", ".", "..") for part in file.split("/"))


def _is_hash(digest: object) -> bool:
    return isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest) is not None


def _damage(step: str, fault: str) -> CacheDamage:
    return CacheDamage(f"what was kept of step '{step}' is damaged: {fault}. It is removed, and the step runs.")


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder last; Windows does that by itself."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
