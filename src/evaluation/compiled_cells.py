"""The file that a kernel compiles a cell as: taken out of what a notebook shows, in time that grows with the text."""

from __future__ import annotations

import re

#: What stands for a file that a cell was compiled as.
CELL = "cell"

_TEMPORARY_CELL = re.compile(r"ipykernel_\d+[/\\]\d+\.py")
#: What a path can no longer stand before.
_END_OF_PATH = re.compile(r"[\s\"'<>]")


def without_temporary_files(text: str) -> str:
    """Return a text in which no path of a file shows that a kernel compiled a cell as.

    Examples
    --------
    >>> without_temporary_files("/tmp/ipykernel_123/456.py:1: UserWarning: few units")
    'cell:1: UserWarning: few units'
    """
    if "ipykernel_" not in text:
        return text
    parts: list[str] = []
    end = 0
    for found in _TEMPORARY_CELL.finditer(text):
        begin = found.start()
        while begin > end and not _END_OF_PATH.match(text[begin - 1]):
            begin -= 1
        parts += [text[end:begin], CELL]
        end = found.end()
    return "".join([*parts, text[end:]])
