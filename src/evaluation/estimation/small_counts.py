"""Counts that are too small to be told: how many gave the rarer answer, and what is written in their place.

Which rows of a result are hidden follows from ``bases`` and ``cell_counts`` of ``Estimates``; here those of groups are
counted, and the counts beside the rows are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from evaluation.estimation.groups import Groups
from evaluation.results import Provenance

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def fewest(counts: Iterable[int]) -> int:
    """Return the smallest count of somebody: nobody needs no protection; 0 where there is nobody at all.

    Examples
    --------
    >>> fewest([12, 0, 3]), fewest([0, 0])
    (3, 0)
    """
    return min((int(count) for count in counts if count > 0), default=0)


def rarer_answers(answers: Floats, groups: Iterable[Mask]) -> list[int]:
    """Count in each group those who gave the rarer of two answers.

    Parameters
    ----------
    answers : ndarray, shape (n,)
        Read only where a group is.
    groups : iterable of ndarray of bool, shape (n,)
        Who counts in each group.

    Returns
    -------
    list of int
        0 where all of a group gave one answer, and throughout where the groups together have more than two answers: a
        mean of many values does not tell how many gave one.

    Examples
    --------
    >>> some = np.array([True, True, True, False]), np.array([False, False, False, True])
    >>> rarer_answers(np.array([1.0, 0.0, 1.0, 0.0]), some), rarer_answers(np.array([1.0, 2.0, 3.0, 1.0]), some)
    ([1, 0], [0, 0])
    """
    parts = [answers[rows] for rows in groups]
    held = [part for part in parts if len(part)]
    if not held:
        return [0] * len(parts)
    low, high = min(part.min() for part in held), max(part.max() for part in held)
    tops = [int((part == high).sum()) for part in parts]
    if any(int((part == low).sum()) + top != len(part) for part, top in zip(parts, tops, strict=True)) or low == high:
        return [0] * len(parts)
    return [min(top, len(part) - top) for part, top in zip(parts, tops, strict=True)]


def rarer_of(groups: Groups) -> int:
    """Return how many gave the rarer of two answers in the group where fewer did; 0 for other outcomes.

    What is made of both groups' answers, such as a bound of their difference, hangs on this count.
    """
    return fewest(rarer_answers(groups.outcome, [groups.members(0), groups.members(1)]))


def smallest_of(groups: Groups, provenance: Provenance) -> int:
    """Return the respondents that what is made of two groups hangs on: a group, or a rarer answer that is small."""
    rarer = rarer_of(groups)
    return rarer if is_small(rarer, provenance) else min(groups.counts())


def companion_of(parts: Sequence[int], provenance: Provenance) -> int | None:
    """Return which part of a whole must be hidden beside the only small one, which is what the others leave of it.

    Parameters
    ----------
    parts : sequence of int
        Respondents in each part.
    provenance : Provenance
        Its ``min_cell`` says what is small.

    Returns
    -------
    int or None
        Place of the smallest of the other parts that hold somebody; None where no part is small, or more than one.

    Examples
    --------
    >>> companion_of([211, 189, 3, 0], Provenance(min_cell=5)), companion_of([2, 3, 9], Provenance(min_cell=5))
    (1, None)
    """
    small = [place for place, count in enumerate(parts) if is_small(count, provenance)]
    others = [place for place, count in enumerate(parts) if count and place not in small]
    return min(others, key=lambda place: parts[place]) if len(small) == 1 and others else None


def is_small(count: int, provenance: Provenance) -> bool:
    """Tell whether a count is of somebody, but of fewer than a survey lets be shown."""
    return 0 < count < provenance.min_cell


def shown_count(count: int, provenance: Provenance) -> int | str:
    """Return a count as it may be shown: itself, or that it is small.

    Examples
    --------
    >>> shown_count(3, Provenance(min_cell=5)), shown_count(0, Provenance(min_cell=5)), shown_count(3, Provenance())
    ('<5', 0, 3)
    """
    return f"<{provenance.min_cell}" if is_small(count, provenance) else int(count)


def written_count(count: int, provenance: Provenance) -> str:
    """Return a count as it stands in a sentence.

    Examples
    --------
    >>> written_count(3, Provenance(min_cell=5)), written_count(1204, Provenance(min_cell=5))
    ('<5', '1,204')
    """
    shown = shown_count(count, provenance)
    return shown if isinstance(shown, str) else f"{shown:,}"
