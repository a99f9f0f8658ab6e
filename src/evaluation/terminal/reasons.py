"""Why notebooks run, told once for all that it holds for."""

from __future__ import annotations

from collections import Counter
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
    """Put items together that have the same reasons, so that each stands once and the numbers add up.

    Parameters
    ----------
    items : iterable of (item, reasons)
        In the order of the plan.

    Returns
    -------
    list of (reasons, items)
        The largest group comes first, and in each the reason that the fewest have, which is what tells it from
        the others. Items without a reason are left out.

    Examples
    --------
    >>> shared_reasons([("x", ["a", "b"]), ("y", ["b", "a", "c"]), ("z", ["never run"]), ("w", ["b", "a"])])
    [(('a', 'b'), ['x', 'w']), (('c', 'a', 'b'), ['y']), (('never run',), ['z'])]
    """
    groups: dict[frozenset[str], list[Item]] = {}
    number: Counter[str] = Counter()
    for item, why in items:
        number.update(dict.fromkeys(why, 1))
        if why:
            groups.setdefault(frozenset(why), []).append(item)
    first = {reason: place for place, reason in enumerate(number)}
    ordered = sorted(groups.items(), key=lambda pair: -len(pair[1]))
    return [(tuple(sorted(why, key=lambda one: (number[one], first[one]))), found) for why, found in ordered]
