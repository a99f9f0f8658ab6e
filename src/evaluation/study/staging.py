"""Where a run is written until it is finished, and how it then takes its place in one move."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Literal

from evaluation.errors import StudyError

Kind = Literal["ok", "partial", "failed", "skipped"]


class Staging:
    """The folder ``outputs/.staging/<study>-<pid>`` of one run.

    Parameters
    ----------
    study : str
        Id of the study.
    outputs : Path
        The project's ``outputs`` folder.
    """

    def __init__(self, study: str, outputs: Path) -> None:
        self.study, self.outputs = study, outputs
        self.folder = outputs / ".staging" / f"{study}-{os.getpid()}"

    def open(self) -> None:
        """Make the folder, empty. A good run that was set aside by a process that then died is put back."""
        for aside in sorted(self.folder.parent.glob(f"{self.study}-*.good")):
            if not (self.outputs / self.study).exists():
                os.replace(aside, self.outputs / self.study)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def close(self, kind: Kind) -> Path:
        """Move the run to ``outputs/<study>`` (ok), or to ``<study>`` in ``outputs/partial``, ``failed``, ``skipped``.

        What stood there is set aside first, and put back should the move fail.

        Raises
        ------
        StudyError
            Where what stands there cannot be moved, for instance because a program holds a file of it open.
        """
        place = self.outputs / self.study if kind == "ok" else self.outputs / kind / self.study
        if not self.folder.exists():
            return place
        place.parent.mkdir(parents=True, exist_ok=True)
        aside = self.folder.with_name(f"{self.folder.name}.{'good' if kind == 'ok' else 'worse'}")
        shutil.rmtree(aside, ignore_errors=True)
        try:
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
