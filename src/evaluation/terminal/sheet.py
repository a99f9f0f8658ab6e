"""Text for a terminal: wrapped to its width with hanging indents, or unbroken where nobody looks at columns."""

from __future__ import annotations

import io
from collections.abc import Iterable

from rich.console import Console, Group, RenderableType
from rich.text import Text

#: Narrower than this a text is not wrapped: one word per line helps nobody.
NARROWEST = 30
#: A blank at which no line is broken; on the page it is an ordinary one.
GLUE = "\ue000"


class Sheet:
    """A page that is written line by line.

    Parameters
    ----------
    width : int, optional
        Columns of the terminal; without it lines are never broken, so that a log can be searched.
    """

    def __init__(self, width: int | None = None) -> None:
        self.width = width
        self._parts: list[RenderableType] = []
        self._measure = Console(file=io.StringIO(), width=max(width or NARROWEST, NARROWEST), color_system=None)

    def write(self, text: str | Text, *, indent: int = 0, style: str = "", hang: int = 2) -> None:
        """Write a paragraph; lines that go on stand ``hang`` columns further in."""
        for line in (text if isinstance(text, Text) else Text(text, style=style)).split("\n", allow_blank=True):
            self._wrap(line, indent, hang)

    def path(self, text: str, *, indent: int = 0, style: str = "") -> None:
        """Write a line that is never broken: a file or a command to be copied."""
        self._parts.append(Text(" " * indent + text, style=style, no_wrap=True, overflow="ignore"))

    def block(self, part: RenderableType) -> None:
        """Write a table."""
        self._parts.append(part)

    def blank(self) -> None:
        """Leave a line, but never two, and none at the top."""
        if self._parts and not (isinstance(self._parts[-1], Text) and not self._parts[-1].plain):
            self._parts.append(Text(""))

    def heading(self, text: str) -> None:
        """Write a heading with a line left above it."""
        self.blank()
        self.write(text, style="bold")

    def page(self) -> Group:
        """Return the page as one thing to print."""
        return Group(*self._parts)

    def _wrap(self, line: Text, indent: int, hang: int) -> None:
        own = len(line.plain) - len(line.plain.lstrip(" "))
        lead, content = " " * (indent + own), line[own:]
        room = None if self.width is None else self.width - len(lead)
        if room is None or room < NARROWEST or content.cell_len <= room:
            self._add(Text(lead) + content)
            return
        first, rest = _cut(content, room, self._measure)
        self._add(Text(lead) + first)
        further = " " * (len(lead) + hang)
        for piece in rest.wrap(self._measure, room - hang, overflow="fold") if rest.plain else ():
            self._add(Text(further) + piece)

    def _add(self, line: Text) -> None:
        line.rstrip()
        line.plain = line.plain.replace(GLUE, " ")
        line.no_wrap, line.overflow = True, "ignore"
        self._parts.append(line)


def _cut(text: Text, room: int, measure: Console) -> tuple[Text, Text]:
    """Part a text behind the words that fit on its first line."""
    first = text.wrap(measure, room, overflow="fold")[0]
    length = len(first.plain)
    rest = text[length:]
    blanks = len(rest.plain) - len(rest.plain.lstrip(" "))
    return first, rest[blanks:]


def rendered(part: RenderableType, *, width: int = 80, styled: bool = False) -> str:
    """Return what stands on the terminal, as text.

    Parameters
    ----------
    part : renderable
    width : int
        Columns of the terminal.
    styled : bool
        Keep the codes for colours.
    """
    stream = io.StringIO()
    console = Console(
        file=stream,
        width=width,
        force_terminal=styled,
        color_system="standard" if styled else None,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    console.print(part, soft_wrap=True)
    return stream.getvalue()


def glued(text: str) -> str:
    """Return a name that is not broken over two lines of a sheet."""
    return text.replace(" ", GLUE)


def joined(parts: Iterable[tuple[str, str]]) -> Text:
    """Return a line of texts in styles, with commas between them.

    Examples
    --------
    >>> joined([("2 ok", "green"), ("1 failed", "red")]).plain
    '2 ok, 1 failed'
    """
    return Text(", ").join(Text(text, style=style) for text, style in parts)
