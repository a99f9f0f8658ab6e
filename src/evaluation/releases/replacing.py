"""Writes a file whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from evaluation.errors import ProjectError


def replace_file(file: Path, content: bytes) -> None:
    """Write a file beside its place and move it there; its folder is made.

    Raises
    ------
    ProjectError
        Where it cannot be written; what stood there is as it was.
    """
    beside = file.with_name(f".{file.name}.new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(beside, file)
    except OSError as error:
        beside.unlink(missing_ok=True) if beside.parent.is_dir() else None
        raise ProjectError(
            f"{file.parent.name}/{file.name} cannot be written ({error.strerror}); what stood there is as it was. "
            "Make room, make the folder writable, or close the file where a program has it open."
        ) from None
