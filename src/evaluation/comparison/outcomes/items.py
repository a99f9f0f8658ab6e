"""Items that are put together: read, turned to one direction, and held against each other."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.comparison.outcomes.scales import entries_of, is_negative, rest_correlations
from evaluation.design.design import Design
from evaluation.errors import ColumnError, ContraryItemWarning, EstimationError, did_you_mean
from evaluation.estimation.arguments import column_names
from evaluation.estimation.domains import outcomes_of
from evaluation.regression.categories import title_of

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Items:
    """Items of one battery, all of which count upwards.

    Attributes
    ----------
    names : tuple of str, p of them
    values : ndarray, shape (n, p)
        Turned where an item runs the other way; zero where missing.
    answered : ndarray of bool, shape (n, p)
    turned : tuple of str
        Items that were turned.
    """

    names: tuple[str, ...]
    values: Floats
    answered: Mask
    turned: tuple[str, ...]

    @property
    def complete(self) -> Mask:
        """Respondents who answered every item, shape (n,)."""
        return np.asarray(self.answered.all(axis=1))


def read_items(design: Design, items: Sequence[str], reversed_items: Sequence[str] | None, verb: str) -> Items:
    """Read items and turn those that are declared to run the other way.

    Parameters
    ----------
    design : Design
    items : sequence of str
        Two numeric columns or more.
    reversed_items : sequence of str, optional
        Items of which a higher code means less. Default: as the codebook declares them (``scale_direction``,
        ``reverse_worded``); none without one.
    verb : str
        For messages.

    Raises
    ------
    ColumnError
        Fewer than two items, an item reversed that is none, another direction than the codebook's, or codes that
        are no answers.
    EstimationError
        An item that nobody answered.
    """
    names = tuple(column_names(items, f"{verb}: items", "'trust'"))
    if len(names) < 2:
        raise ColumnError(f"{verb} needs at least two items, got {items!r}. Write ['a', 'b'].")
    turned = _turned(design, names, reversed_items, verb)
    outcomes = outcomes_of(design, names, listwise=False, verb=verb)
    answered = outcomes.answered & design.present[:, None]
    values = np.where(answered, outcomes.values, 0.0)
    for place, name in enumerate(names):
        own = answered[:, place]
        low, high = _ends(design, name, values[own, place], verb, own)
        if name in turned:
            values[:, place] = np.where(own, low + high - values[:, place], 0.0)
    return Items(names, values, np.asarray(answered, dtype=bool), turned)


def _turned(design: Design, names: tuple[str, ...], asked: Sequence[str] | None, verb: str) -> tuple[str, ...]:
    declared = {}
    for name in names:
        entry = next(iter(entries_of(design, name)), None)
        if entry is not None and (entry.direction or entry.reverse_worded):
            declared[name] = (entry.direction == "higher_is_less") != entry.reverse_worded
    if asked is None:
        return tuple(name for name in names if declared.get(name, False))
    wanted = column_names(asked, f"{verb}: reversed", "'trust'")
    for name in wanted:
        if name not in names:
            raise ColumnError(f"{verb}: reversed names '{name}', which is no item. {did_you_mean(name, names)}")
    against = [name for name, turned in declared.items() if turned != (name in wanted)]
    if against:
        raise ColumnError(
            f"{verb}: the codebook declares of {', '.join(map(repr, against))} another direction than "
            f"reversed={list(wanted)} does. Leave reversed out, or correct scale_direction and reverse_worded there."
        )
    return tuple(name for name in names if name in wanted)


def _ends(design: Design, name: str, values: Floats, verb: str, own: Mask) -> tuple[float, float]:
    """Return the ends of an item's scale: the codebook's, else those seen; refuse codes that are no answers."""
    codes = next((entry.numeric_codes for entry in entries_of(design, name) if entry.numeric_codes), None)
    seen = np.unique(values)
    if codes is not None:
        strange = ~np.isin(seen, codes)
        scale = ", ".join(map(str, sorted(codes)))
    else:
        # 9 behind 1 to 5, or 99 behind 1 to 10: what stands apart at the top of a scale is hardly an answer.
        apart = len(seen) > 2 and seen[-1] in (8, 9, 88, 98, 99, 888, 998, 999) and seen[-1] - seen[-2] > 1
        strange = (seen == seen[-1]) if apart else np.zeros(len(seen), dtype=bool)
        scale = ", ".join(f"{value:g}" for value in seen[~strange])
    if strange.any():
        rows = np.flatnonzero(own)[np.isin(values, seen[strange])]
        raise ColumnError(
            f"{verb}: '{name}' holds {', '.join(title_of(float(code)) for code in seen[strange])} in {len(rows)} rows, "
            f"which is not on its scale ({scale}). Make codes that are no answers missing, or declare them under "
            f"missing_codes in codebook.csv.",
            failures=pd.DataFrame(design.data.iloc[rows]),
        )
    return (float(min(codes)), float(max(codes))) if codes else (float(seen[0]), float(seen[-1]))


def item_rest(items: Items, rows: Mask, weights: Floats) -> Floats:
    """Return each item's correlation with the sum of the others among some respondents, shape (p,)."""
    own = rows & items.complete & (weights > 0)
    if own.sum() < 2:
        raise EstimationError(
            f"items {', '.join(items.names)}: fewer than two respondents answered all of them. Leave out the item that "
            f"most miss: {', '.join(f'{n} {int(a.sum())}' for n, a in zip(items.names, items.answered.T, strict=True))}"
            f" answers."
        )
    return rest_correlations(items.values[own], weights[own])


def contrary_items(items: Items, correlations: Floats, n: int, verb: str) -> list[str]:
    """Return undeclared items that run clearly against the others, with a warning that names them."""
    found = [name for name, r in zip(items.names, correlations, strict=True) if is_negative(float(r), n)]
    if found:
        told = ", ".join(f"'{name}' ({correlations[items.names.index(name)]:.2f})" for name in found)
        declared = f"; turned are {list(items.turned)}" if items.turned else ""
        warnings.warn(
            f"{verb}: {told} runs against the rest of the items (correlation with the sum of the others){declared}. "
            f"If a higher code means less there, say so: reversed={[*items.turned, *found]}.",
            ContraryItemWarning,
            stacklevel=4,
        )
    return found
