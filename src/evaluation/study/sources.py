"""What a kernel read, imported and asked for, with hashes, and what of it is different now, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.study.hashes import FileHashes, Inputs

#: Files of one kind that are named; the others are counted.
TOLD = 8

_PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Sources:
    """What a step's result rests on beside its notebook and its study.

    Attributes
    ----------
    modules, inputs, written : mapping of str to str
        Files, relative to the project or absolute, each with its SHA-256.
    absent, present : list of str
        What was asked for and was not there, and what was there and was not read.
    listings : mapping of str to str
        Folders, each with the hash of the names in it.
    asked, found : mapping
        By folder of the project: the names that imports looked for, and what each was imported from.
    """

    modules: Mapping[str, str]
    inputs: Mapping[str, str]
    written: Mapping[str, str]
    absent: list[str]
    present: list[str]
    listings: Mapping[str, str]
    asked: Mapping[str, str]
    found: Mapping[str, Mapping[str, str]]

    def differences(self, hashes: FileHashes) -> list[str]:
        """Return what is no longer as it was, in words; empty where all is."""
        code = [*_changed(self.modules, hashes), *self._shadows(hashes)]
        data = _changed(self.inputs, hashes)
        other = [f"{_place(name)} is new" for name in self.absent if hashes.exists(name)]
        other += [f"{_place(name)} is gone" for name in self.present if not hashes.exists(name)]
        other += [
            f"files in {_place(folder)}/ came or went"
            for folder, digest in self.listings.items()
            if hashes.names(folder) != digest
        ]
        other += _changed(self.written, hashes, ", which it wrote, changed")
        return [*_folded(code, "modules"), *_folded(data, "files"), *_folded(other, "files")]

    def _shadows(self, hashes: FileHashes) -> Iterator[str]:
        """Yield files that an import would now find in place of what it found."""
        for folder, names in self.asked.items():
            now, then = hashes.imports(folder, names), self.found[folder]
            for name in now:
                if now[name] != then.get(name):
                    place = now[name] if folder == "." else f"{folder}/{now[name]}"
                    yield f"{_place(place)} is new and would be imported as {name}"
            for name in then:
                place = then[name] if folder == "." else f"{folder}/{then[name]}"
                if name not in now and place not in self.modules:
                    yield f"{_place(place)} is gone"


def sources_of(record: Mapping[str, Any], inputs: Inputs) -> Sources:
    """Return what a kernel noted, with the hashes of what it read.

    Raises
    ------
    ValueError
        Where a file has gone since.
    """
    written = set(record["written"])
    read = {file: digest for file, digest in _hashes(record["inputs"], inputs).items() if file not in written}
    left = {file: digest for file in written if (digest := inputs.of(file)) is not None}
    return Sources(
        modules=_hashes(record["modules"], inputs),
        inputs=read,
        written=dict(sorted(left.items())),
        **{name: record[name] for name in ("absent", "present", "listings", "asked", "found")},
    )


def _hashes(files: Mapping[str, Any], inputs: Inputs) -> dict[str, str]:
    hashes = {}
    for file in files:
        digest = inputs.of(file)
        if digest is None:
            raise ValueError(f"{file} went while it ran")
        hashes[file] = digest
    return hashes


def _changed(files: Mapping[str, str], hashes: FileHashes, fate: str = " changed") -> list[str]:
    told = []
    for file, digest in files.items():
        now = hashes.of(file)
        if now != digest:
            told.append(_place(file) + (" is gone" if now is None else fate))
    return told


def _folded(told: list[str], kind: str) -> list[str]:
    more = len(told) - TOLD
    return told if more <= 1 else [*told[:TOLD], f"and {more} more {kind}"]


def _place(file: str) -> str:
    """Return how a file is called in a reason: the workbench's own by its place in the package."""
    package = _PACKAGE.as_posix() + "/"
    return f"{_PACKAGE.name}/{file.removeprefix(package)}" if file.startswith(package) else file


def upstream_differences(then: Mapping[str, Any], now: Mapping[str, str], owners: Mapping[str, str]) -> list[str]:
    """Return what the steps before one publish in another way than then, in words.

    Parameters
    ----------
    then : mapping of str to (sha256, step)
        What a kept result rests on.
    now : mapping of str to str
        Files with their SHA-256.
    owners : mapping of str to str
        Which step published a file.
    """
    changed: dict[tuple[str, str], list[str]] = {}
    for file in {**now, **then}:
        old, step = then.get(file, (None, ""))
        new = now.get(file)
        if old != new:
            folder, _, name = file.partition("/")
            fate = " (new)" if old is None else " (gone)" if new is None else ""
            changed.setdefault((owners.get(file) or step, folder), []).append(name.rpartition(".")[0] + fate)
    told = []
    for (step, folder), names in changed.items():
        # A table of the same name as an estimate says the same once more, and so does the log of both.
        said = set(changed.get((step, "estimates"), ()) if folder == "tables" else ())
        shown = [name for name in dict.fromkeys(names) if name not in said]
        of = f" of {step}" if step else ""
        if folder == "published":
            if not any(owner == step and kind != folder for owner, kind in changed):
                told.append(f"titles{of} changed")
        elif shown:
            more = f" and {len(shown) - 3} more" if len(shown) > 4 else ""
            told.append(f"{folder}{of} changed: {', '.join(shown[: 3 if more else 4])}{more}")
    return told if len(told) <= TOLD + 1 else [*told[:TOLD], f"and {len(told) - TOLD} more steps before it changed"]
