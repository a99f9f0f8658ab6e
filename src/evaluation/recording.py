"""What a kernel reads and imports of the project, noted while it runs, so that nobody has to declare it.

The runner starts it by a silent request before the first cell and asks for the record after the last
(``start_code``, ``RECORD``, ``record_from``). In any other process nothing is noted.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: Expression by which the runner asks a kernel for its record (``user_expressions`` of a silent request).
RECORD = "__import__('evaluation.recording').recording.record_text()"


def start_code(root: Path, run: Path) -> str:
    """Return the Python source that starts the recording in a kernel; it leaves no name behind."""
    return f"__import__('evaluation.recording').recording.start({str(root)!r}, {str(run)!r})"


def start(root: str, run: str) -> None:
    """Note from now on what this process reads below ``root``, except in the run folder."""
    raise NotImplementedError


def read(path: str | os.PathLike[str]) -> None:
    """Note that a file is read by something that Python does not see, such as pyarrow. Cheap where nothing is noted."""


def record() -> dict[str, Any]:
    """Return what was noted, as plain data."""
    raise NotImplementedError


def record_text() -> str:
    """Return the record as JSON."""
    raise NotImplementedError


def record_from(reply: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the record in a kernel's answer to ``{"record": RECORD}``; None where it has none.

    Parameters
    ----------
    reply : mapping or None
        The ``execute_reply`` message, or its content.
    """
    raise NotImplementedError
