"""Hashes of files, and whether a file is still the one that a run first read."""

from __future__ import annotations

import hashlib
import os
import stat as kinds
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation import project
from evaluation.recording import UNSETTLED_NS, names_digest, resolved

#: Size and time of a file when a kernel first read it, its hash where the time cannot tell, time of change and inode.
Read = list[Any]


@dataclass(frozen=True)
class Change:
    """A file that is not the same for all who read it in a run.

    Attributes
    ----------
    file : str
        Relative to the project.
    first : str
        The step that read it first.
    step : str
        The step that read it now; the file may have changed while this one ran.
    """

    file: str
    first: str
    step: str = ""

    @property
    def message(self) -> str:
        """What the step that read it now fails with.

        Examples
        --------
        >>> Change("surveys/x/y.csv", "profile", "weighting").message.split(". ")[0]
        'surveys/x/y.csv changed while the study ran (step profile read it before)'
        """
        reader = "this step" if self.first == self.step else f"step {self.first}"
        return (
            f"{self.file} changed while the study ran ({reader} read it before). "
            "Nothing of this step is taken for good. Run again."
        )


class FileHashes:
    """SHA-256 of files by content; a file is read again only where its size, times or inode changed.

    Nothing is kept beyond this process, and a file that was changed within the last two seconds is read
    again each time: its time could not show a further change. Safe for threads.

    Parameters
    ----------
    root : Path
        Folder that names are relative to.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[str, tuple[tuple[int, ...], str]] = {}
        self._versions: dict[tuple[str, tuple[int, ...]], str] = {}
        self._lock = threading.Lock()

    def of(self, name: str) -> str | None:
        """Return the hash of a file; None where there is no such file that can be read."""
        place = os.path.join(self.root, name)
        try:
            found = os.stat(place)
            if not kinds.S_ISREG(found.st_mode):
                return None
            signature = _signature(found)
            known = self._known.get(name)
            if known is not None and known[0] == signature:
                return known[1]
            begin = time.time_ns()
            with open(place, "rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except (OSError, ValueError):
            return None
        with self._lock:
            if is_settled(found, begin):
                self._known[name] = signature, digest
                self._versions[name, _seen(found)] = digest
            else:
                self._known.pop(name, None)
        return digest

    def is_as_read(self, name: str, read: Read) -> bool:
        """Tell whether a file still is the one that a kernel saw, by its size, times and inode."""
        try:
            found = os.stat(os.path.join(self.root, name))
        except OSError:
            return False
        return _seen(found) == _told(read)

    def exists(self, name: str) -> bool:
        """Tell whether there is something of that name."""
        return os.path.exists(os.path.join(self.root, name))

    def names(self, folder: str) -> str:
        """Return the hash of the names in a folder."""
        return names_digest(os.path.join(self.root, folder))

    def imports(self, folder: str, names: str) -> dict[str, str]:
        """Return what each of the names (blanks between) would be imported from in a folder."""
        return resolved(os.path.join(self.root, folder), names.split())


class Moment(FileHashes):
    """The files as they are at one moment: each is asked about once, however many steps rest on it.

    Parameters
    ----------
    hashes : FileHashes
        What is asked.
    """

    def __init__(self, hashes: FileHashes) -> None:
        super().__init__(hashes.root)
        self._hashes = hashes
        self._answers: dict[tuple[str, ...], Any] = {}

    def _once(self, *question: str) -> Any:
        if question not in self._answers:
            ask, *about = question
            self._answers[question] = getattr(self._hashes, ask)(*about)
        return self._answers[question]

    def of(self, name: str) -> str | None:
        """Return the hash of a file; None where there is no such file that can be read."""
        digest: str | None = self._once("of", name)
        return digest

    def exists(self, name: str) -> bool:
        """Tell whether there is something of that name."""
        return bool(self._once("exists", name))

    def names(self, folder: str) -> str:
        """Return the hash of the names in a folder."""
        return str(self._once("names", folder))

    def imports(self, folder: str, names: str) -> dict[str, str]:
        """Return what each of the names (blanks between) would be imported from in a folder."""
        return dict(self._once("imports", folder, names))


class Inputs(FileHashes):
    """What the steps of one run read: the content of each file when it was first seen. Safe for threads.

    Parameters
    ----------
    root : Path, optional
        The project's folder; without it, the one that this process is in.
    """

    def __init__(self, root: Path | None = None) -> None:
        super().__init__(project.project_root() if root is None else root)
        self._first: dict[str, tuple[str | None, str]] = {}
        self._code: dict[str, set[str | None]] = {}

    def saw(self, step: str, files: Mapping[str, str], code: Mapping[str, str]) -> None:
        """Remember what data and code a step rests on whose result is taken from the cache."""
        with self._lock:
            for file, digest in files.items():
                self._first.setdefault(file, (digest, step))
            for file, digest in code.items():
                self._code.setdefault(file, set()).add(digest)

    def check(self, step: str, record: Mapping[str, Any] | None) -> list[Change]:
        """Return the data that a step read and that are not what this run read of them first.

        Parameters
        ----------
        step : str
            Name of the step.
        record : mapping or None
            What its kernel noted; nothing is found without.
        """
        if not record:
            return []
        code = {file: self.content_read(file, read, self.of(file)) for file, read in record["modules"].items()}
        with self._lock:
            for file, digest in code.items():
                self._code.setdefault(file, set()).add(digest)
        written = set(record["written"])
        changes = []
        for file, read in record["inputs"].items():
            if file in written:
                continue
            now = self.of(file)
            had = self.content_read(file, read, now)
            with self._lock:
                first, reader = self._first.setdefault(file, (had, step))
            if had is None or had != now or had != first:
                changes.append(Change(file, reader, step))
        return changes

    def mixed_code(self) -> list[str]:
        """Return the modules of which the steps of this run imported more than one version."""
        with self._lock:
            return sorted(file for file, versions in self._code.items() if len(versions) > 1)

    def changed(self) -> list[Change]:
        """Return the data that are no longer what the steps of this run read, each with the step that read it first."""
        with self._lock:
            first = dict(self._first)
        return [Change(file, step, step) for file, (digest, step) in first.items() if self.of(file) != digest]

    def content_read(self, file: str, read: Read, now: str | None) -> str | None:
        """Return the hash of what a kernel read; None where the file changed since and nobody can know."""
        if read[2]:
            return str(read[2])
        return now if self.is_as_read(file, read) else self._versions.get((file, _told(read)))

    def changed_code(self, record: Mapping[str, Any]) -> list[str]:
        """Return the modules that are no longer what a kernel imported."""
        return [
            file
            for file, read in record["modules"].items()
            if (now := self.of(file)) is None or self.content_read(file, read, now) != now
        ]


def is_settled(found: os.stat_result, now: int) -> bool:
    """Tell whether a later change of a file would show in its times."""
    latest = max(found.st_mtime_ns, found.st_ctime_ns)
    return now - latest > UNSETTLED_NS


def _seen(found: os.stat_result) -> tuple[int, ...]:
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def _told(read: Read) -> tuple[int, ...]:
    return read[0], read[1], *read[3:]


def _signature(found: os.stat_result) -> tuple[int, ...]:
    return *_seen(found), found.st_dev


def digest_of(texts: Iterable[str]) -> str:
    """Return one short hash of several texts.

    Examples
    --------
    >>> digest_of(["a", "b"]) == digest_of(["ab"])
    False
    """
    joined = hashlib.sha256()
    for text in texts:
        content = text.encode("utf-8", "surrogatepass")
        joined.update(len(content).to_bytes(8, "big"))
        joined.update(content)
    return joined.hexdigest()[:32]
