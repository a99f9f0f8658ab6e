"""Kept results on disk: a folder each, complete or not there at all, checked before use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


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
    parts: Mapping[str, Any]
    files: Mapping[str, str]
    outcome: Mapping[str, Any]
