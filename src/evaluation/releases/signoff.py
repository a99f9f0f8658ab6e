"""Who checked what in a run, when, and against which manifest: ``signoff.yml``, only ever appended to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

#: File in a run folder.
SIGNOFF = "signoff.yml"


@dataclass(frozen=True)
class SignOff:
    """One sign-off.

    Attributes
    ----------
    name, role : str
        Who signed, and as what.
    checked : tuple of str
        What was checked.
    note : str
        May be empty.
    date : str
        ISO date.
    manifest : str
        ``manifest_hash`` of the run that was checked.
    """

    name: str
    role: str
    checked: tuple[str, ...]
    note: str
    date: str
    manifest: str


def manifest_hash(manifest: Mapping[str, Any]) -> str:
    """Return the SHA-256 of what a run's manifest and that of the same run, published, have in common."""
    raise NotImplementedError


def sign_off(
    study: str, *, name: str, role: str, checked: Sequence[str], note: str = "", on: date | None = None
) -> SignOff:
    """Record that somebody checked the last good run of a study."""
    raise NotImplementedError


def read_signoffs(run: Path) -> tuple[SignOff, ...]:
    """Return the sign-offs of a run folder, in the order in which they were given."""
    raise NotImplementedError
