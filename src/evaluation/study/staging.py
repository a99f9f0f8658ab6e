"""Where a run is written until it is finished, and how it then takes its place in one move."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Literal

from evaluation.errors import StudyError
from evaluation.study.events import EVENTS

Kind = Literal["ok", "partial", "failed", "skipped"]


#: Files that people add to a run in its place; the next run that takes the place takes them over.
KEPT = ("signoff.yml", "errata.csv")


class Staging:
    """The folder ``outputs/.staging/<study>`` of one run. Whoever uses it holds the lock of the study.

    Parameters
    ----------
    study : str
        Id of the study.
    outputs : Path
        The project's ``outputs`` folder.
    """

    def __init__(self, study: str, outputs: Path) -> None:
        self.study, self.outputs = study, outputs
        self.folder = outputs / ".staging" / study

    def open(self) -> None:
        """Make the folder, empty but for the events of a run that was killed; what else that left there goes.

        A run that was set aside by a process that then died is put back.

        Raises
        ------
        StudyError
            Where ``outputs/`` cannot be written, or a program holds a file of the folder open.
        """
        try:
            for kind in ("ok", "partial", "failed", "skipped"):
                aside, place = self._aside(kind), self._place(kind)
                if aside.exists() and not place.exists():
                    os.replace(aside, place)
                shutil.rmtree(aside, ignore_errors=True)
            self.folder.mkdir(parents=True, exist_ok=True)
            for left in self.folder.iterdir():
                # The number of the run that was killed is known until that of the new one is written in its place.
                if left.name == EVENTS:
                    continue
                shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
        except OSError as error:
            raise StudyError(
                f"a run of '{self.study}' cannot begin: {error.strerror} (outputs/.staging/{self.study}). Close what "
                "has a file of it open, make outputs/ writable, or free some space, then run again."
            ) from None

    def _place(self, kind: Kind) -> Path:
        return self.outputs / self.study if kind == "ok" else self.outputs / kind / self.study

    def _aside(self, kind: Kind) -> Path:
        return self.folder.with_name(f"{self.study}.{kind}.aside")

    def close(self, kind: Kind) -> Path:
        """Move the run to ``outputs/<study>`` (ok), or to ``<study>`` in ``outputs/partial``, ``failed``, ``skipped``.

        What stood there is set aside first, and put back should the move fail.

        Raises
        ------
        StudyError
            Where what stands there cannot be moved, for instance because a program holds a file of it open.
        """
        place, aside = self._place(kind), self._aside(kind)
        if not self.folder.exists():
            return place
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(aside, ignore_errors=True)
            for name in KEPT:
                with contextlib.suppress(FileNotFoundError):
                    shutil.copy2(place / name, self.folder / name)
            if place.exists():
                os.replace(place, aside)
            self._replace(place, aside)
        except OSError as error:
            raise StudyError(
                f"the run of '{self.study}' cannot take its place ({error.strerror}). The outputs that stood there "
                "are as they were. Close what has a file of them open, then run again."
            ) from None
        shutil.rmtree(aside, ignore_errors=True)
        return place

    def _replace(self, place: Path, aside: Path) -> None:
        try:
            os.replace(self.folder, place)
        except OSError:
            if aside.exists():
                os.replace(aside, place)
            raise

    def hand_over(self, place: Path) -> Path:
        """Move the run to a folder of the caller's, which ``require_free`` found free."""
        if place.exists():
            place.rmdir()
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(self.folder, place)
        return place


def require_free(place: Path) -> None:
    """Refuse a folder that holds something.

    Raises
    ------
    StudyError
        Where ``place`` is a file or a folder that is not empty.
    """
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise StudyError(f"the folder for the run is not empty: {place}. Name a new one.")
