"""Hashes of files, and whether a file is still the one that a run first read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Change:
    """A file that changed while a run read it.

    Attributes
    ----------
    file : str
        Relative to the project.
    first : str
        The step that read it first.
    """

    file: str
    first: str

    @property
    def message(self) -> str:
        """What the step that read it later fails with."""
        return (
            f"{self.file} changed while the study ran (step {self.first} read it before). "
            "Nothing of this step is taken for good. Run again."
        )


class Inputs:
    """What the steps of one run read: the content of each file when it was first seen. Safe for threads."""

    def check(self, step: str, record: Mapping[str, Any] | None) -> list[Change]:
        """Return the files of a step's record that are not what this run read of them first."""
        raise NotImplementedError
