"""Why notebooks run, told once for all that it holds for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from evaluation.terminal.spelling import counted

Item = TypeVar("Item")


def spelt_reasons(why: Sequence[str], *, full: bool = False, shown: int = 3) -> str:
    """Return why a notebook has to run, in one line.

    Examples
    --------
    >>> spelt_reasons(["a.py changed", "b.py changed", "c.py changed", "d.csv changed", "e.csv changed"])
    'a.py changed; b.py changed; c.py changed and 2 more reasons'
    >>> spelt_reasons(["never run"])
    'never run'
    """
    told = list(dict.fromkeys(why))
    if full or len(told) <= shown:
        return "; ".join(told)
    return f"{'; '.join(told[:shown])} and {counted(len(told) - shown, 'more reason')}"


def shared_reasons(items: Iterable[tuple[Item, Sequence[str]]]) -> list[tuple[tuple[str, ...], list[Item]]]:
    """Return each reason once with all that it holds for; reasons that hold for the same ones stand together.

    Parameters
    ----------
    items : iterable of (item, reasons)
        In the order of the plan.

    Returns
    -------
    list of (reasons, items)
        Those that hold for most come first. An item stands under each of its reasons.

    Examples
    --------
    >>> shared_reasons([("x", ["a", "b"]), ("y", ["b", "a", "c"]), ("z", ["never run"])])
    [(('a', 'b'), ['x', 'y']), (('c',), ['y']), (('never run',), ['z'])]
    """
    known = list(items)
    places: dict[str, list[int]] = {}
    for place, (_, why) in enumerate(known):
        for reason in dict.fromkeys(why):
            places.setdefault(reason, []).append(place)
    together: dict[tuple[int, ...], list[str]] = {}
    for reason, where in places.items():
        together.setdefault(tuple(where), []).append(reason)
    ordered = sorted(together.items(), key=lambda pair: -len(pair[0]))
    return [(tuple(reasons), [known[place][0] for place in where]) for where, reasons in ordered]
