"""What cells wrote to their streams: put together, as shown, in time that grows with its length and not its square."""

from __future__ import annotations

from collections.abc import Iterable

from nbformat import NotebookNode


def coalesced(outputs: Iterable[NotebookNode]) -> list[NotebookNode]:
    """Return outputs with one entry per stream, standard output before errors, as a terminal would show them.

    What ``nbclient`` does when it is asked to coalesce streams, but for its time on long lines.

    Parameters
    ----------
    outputs : iterable of NotebookNode
        Of one cell.
    """
    kept: list[NotebookNode] = []
    streams: dict[str, tuple[NotebookNode, list[str]]] = {}
    for output in outputs:
        if output.output_type != "stream":
            kept.append(output)
        elif output.name in streams:
            streams[output.name][1].append(output.text)
        else:
            kept.append(output)
            streams[output.name] = output, [output.text]
    for output, parts in streams.values():
        output.text = as_shown("".join(parts))
    for place, output in enumerate(kept[:-1]):
        following = kept[place + 1]
        if (output.get("name"), following.get("name")) == ("stderr", "stdout"):
            kept[place], kept[place + 1] = following, output
    return kept


def as_shown(text: str) -> str:
    r"""Return what a terminal shows: of a line that was written over, the last version.

    Examples
    --------
    >>> as_shown("10 %\r20 %\rdone\nnext\r\n")
    'done\nnext\r\n'
    """
    if "\r" not in text:
        return text
    lines = text.split("\n")
    return "\n".join(line[line.rfind("\r", 0, len(line) - 1) + 1 :] for line in lines)
