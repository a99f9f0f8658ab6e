"""Ordered items of a comparison: which answers stand for more, what lies outside, whether two groups mean the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.design import Design
from evaluation.design.frames import FrameLabels
from evaluation.errors import ColumnError, IdentificationError
from evaluation.regression.categories import title_of
from evaluation.survey.codebook import Codebook, Variable

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: An item with more answers than this is a number: its distribution is no picture of bars.
MAXIMUM_ANSWERS = 11
#: Fewest respondents of a group who say anything about the sign of a correlation.
ENOUGH = 30


@dataclass(frozen=True, eq=False)
class Scale:
    """An item whose answers have an order.

    Attributes
    ----------
    answers : list
        As they stand in the data, from least to most of what the item measures.
    scores : ndarray, shape (K,)
        Number of each answer, rising: its code (turned round where the codebook says that a higher code means less),
        else its place from 1.
    place : ndarray of int, shape (n,)
        Where each respondent's answer stands, -1 where there is none.
    is_turned : bool
        Whether a higher code means less.
    """

    answers: list[Any]
    scores: Floats
    place: Codes
    is_turned: bool

    @property
    def titles(self) -> list[str]:
        """The answers as they stand in results."""
        return [title_of(answer) for answer in self.answers]


def entries_of(design: Design, name: str) -> list[Variable]:
    """Return what the codebook says of a variable, or the codebooks of several frames; nothing without one."""
    labels = design.provenance.labels
    books = labels.parts if isinstance(labels, FrameLabels) else (labels,)
    return [book[name] for book in books if isinstance(book, Codebook) and name in book]


def read_scale(design: Design, name: str, levels: Sequence[Any] | None, *, verb: str, groups: pd.Series) -> Scale:
    """Read an ordered item among respondents who count.

    Parameters
    ----------
    design : Design
    name : str
        Numbers, or categories in order; the codebook's codes come first where there is one.
    levels : sequence, optional
        Answers from least to most, which overrule codebook and data; unseen ones may be among them.
    verb : str
        For messages.
    groups : Series, shape (n,)
        What messages count respondents by.

    Raises
    ------
    ColumnError
        No order is known, fewer than three answers or too many, or codes outside the scale.
    IdentificationError
        Two frames code the item in opposite directions.
    """
    _require_levels(levels, verb)
    entries = entries_of(design, name)
    _refuse_opposed_frames(design, name, entries, verb)
    column = design.column(name)
    answered = column[design.present].dropna()
    is_turned = levels is None and any(entry.direction == "higher_is_less" for entry in entries)
    answers = list(levels) if levels is not None else _declared(column, entries, verb) or _seen(column, answered, verb)
    answers = answers[::-1] if is_turned else answers
    if not 3 <= len(answers) <= MAXIMUM_ANSWERS:
        other = "ev.group_difference compares two answers" if len(answers) < 3 else "ev.group_difference compares means"
        raise ColumnError(
            f"{verb}: '{name}' has {len(answers)} answers, expected 3 to {MAXIMUM_ANSWERS} in order; {other}."
        )
    place = np.asarray(pd.Index(answers, dtype=object).get_indexer(pd.Index(column, dtype=object)), dtype=np.int64)
    _refuse_outside(design, column, place, answers, verb, groups)
    return Scale(answers, _scores(answers, is_turned), place, is_turned)


def _require_levels(levels: object, verb: str) -> None:
    """Raise a ColumnError unless levels are None or a list that names each answer once."""
    if levels is None:
        return
    listed = list(levels) if isinstance(levels, (list, tuple, np.ndarray, pd.Index, range)) else []
    twice = [level for place, level in enumerate(listed) if level in listed[:place]]
    if not listed or twice:
        raise ColumnError(
            f"{verb}: levels must list each answer once, from least to most, got {levels!r}. Write levels=[1, 2, 3]."
        )


def _refuse_opposed_frames(design: Design, name: str, entries: list[Variable], verb: str) -> None:
    declared = pd.DataFrame(
        {"variable": name, "label": entry.label_en or entry.label_ko, "scale_direction": entry.direction}
        for entry in entries
    )
    if len({entry.direction for entry in entries if entry.direction}) > 1:
        raise IdentificationError(
            f"{verb}: '{name}' is coded higher_is_more in one frame and higher_is_less in another, so equal codes mean "
            f"opposite answers. Turn one round before the frames are joined: ev.reverse_scale(survey, '{name}').",
            failures=declared,
        )


def _declared(column: pd.Series, entries: list[Variable], verb: str) -> list[Any]:
    """Return the codebook's answers in order of their codes; nothing where it lists none."""
    entry = next((entry for entry in entries if entry.codes), None)
    if entry is None:
        return []
    if entry.kind not in ("ordinal", "numeric"):
        raise ColumnError(
            f"{verb}: the codebook calls '{entry.name}' {entry.kind}, which has no order. Give one with "
            f"levels=['lowest', ..., 'highest'], or compare shares one by one with ev.group_difference."
        )
    if pd.api.types.is_numeric_dtype(column) and entry.numeric_codes is not None:
        return sorted(entry.numeric_codes)
    return list(entry.codes)


def _seen(column: pd.Series, answered: pd.Series, verb: str) -> list[Any]:
    """Return the answers that data without a codebook show to be a scale."""
    name = str(column.name)
    if isinstance(column.dtype, pd.CategoricalDtype) and column.cat.ordered:
        return list(column.cat.categories)
    if not pd.api.types.is_numeric_dtype(column) or answered.empty:
        shown = ", ".join(map(repr, sorted(map(str, answered.unique()))[:5]))
        raise ColumnError(
            f"{verb}: '{name}' holds {shown or 'no answers'}, whose order is not known. Give it: "
            f"levels=['lowest', ..., 'highest'], or make the column an ordered pandas.Categorical."
        )
    values = np.unique(answered.to_numpy(dtype=float))
    whole = np.arange(values[0], values[-1] + 1) if np.isfinite(values).all() else values
    if (values != np.round(values)).any() or len(whole) > MAXIMUM_ANSWERS:
        raise ColumnError(
            f"{verb}: '{name}' runs from {values[0]:g} to {values[-1]:g} with {len(values)} different numbers, "
            f"expected a scale of at most {MAXIMUM_ANSWERS} whole numbers. Make codes that are no answers missing, or "
            f"group it."
        )
    if len(whole) > len(values):
        gap = next(number for number in whole if number not in values)
        above = answered[answered > gap]
        raise ColumnError(
            f"{verb}: '{name}' holds {', '.join(f'{value:g}' for value in values)}, but nothing at {gap:g}. Is "
            f"{above.min():g} ({len(above)} rows from there) a code for 'don't know'? Then make it missing; if the "
            f"scale goes on, list it: levels=[{', '.join(f'{number:g}' for number in whole)}].",
            failures=above.to_frame(),
        )
    return [int(value) for value in values]


def _refuse_outside(
    design: Design, column: pd.Series, place: Codes, answers: list[Any], verb: str, groups: pd.Series
) -> None:
    outside = design.present & column.notna().to_numpy() & (place < 0)
    if not outside.any():
        return
    codes = ", ".join(title_of(code) for code in dict.fromkeys(column[outside]))
    by_group = ", ".join(f"{group}: {count}" for group, count in groups[outside].value_counts(sort=False).items())
    raise ColumnError(
        f"{verb}: '{column.name}' holds {codes} in {int(outside.sum())} rows ({groups.name} {by_group}), which is "
        f"not on its scale ({', '.join(map(title_of, answers))}). A code such as 'don't know' is no answer: declare "
        f"it under missing_codes in codebook.csv, or make it missing, and compare how often each group gave it.",
        failures=pd.DataFrame(design.data.loc[outside]),
    )


def _scores(answers: list[Any], is_turned: bool) -> Floats:
    numbers = [answer for answer in answers if isinstance(answer, (int, float, np.number))]
    if len(numbers) < len(answers):
        return np.arange(1.0, len(answers) + 1)
    scores = np.array(answers, dtype=float)
    scores = scores.min() + scores.max() - scores if is_turned else scores
    return scores if (np.diff(scores) > 0).all() else np.arange(1.0, len(answers) + 1)


def rest_correlations(items: Floats, weights: Floats) -> Floats:
    """Return the correlation of each item with the sum of the others, each in units of its spread, shape (p,)."""
    centred = items - (weights @ items) / weights.sum()
    spread = np.sqrt(weights @ centred**2 / weights.sum())
    scores = centred / np.where(spread > 0, spread, 1.0)
    rest = scores.sum(axis=1, keepdims=True) - scores
    length = np.sqrt(weights @ rest**2 / weights.sum())
    covariance = weights @ (scores * rest) / weights.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((length > 0) & (spread > 0), covariance / length, np.nan)


def is_negative(correlation: float, n: int) -> bool:
    """Tell whether a correlation lies clearly below zero: by 0.1 and three errors of a simple sample."""
    return bool(n >= ENOUGH and correlation < -max(0.1, 3 / np.sqrt(n)))


def refuse_reversed_group(
    items: Floats, names: Sequence[str], weights: Floats, groups: dict[str, Mask], verb: str, data: pd.DataFrame
) -> None:
    """Raise an IdentificationError where an item goes with the others in one group and against them in the other.

    Parameters
    ----------
    items : ndarray, shape (n, p)
        At least three items, turned to one direction; NaN where missing.
    names : sequence of str, p of them
    weights : ndarray, shape (n,)
    groups : dict of name to mask, shape (n,)
        The two groups.
    verb : str
        For the message.
    data : DataFrame, n rows
        Offending rows are taken from it.
    """
    if len(names) < 3:
        return
    found: dict[str, Floats] = {}
    for group, mask in groups.items():
        rows = mask & np.isfinite(items).all(axis=1) & (weights > 0)
        if rows.sum() < ENOUGH:
            return
        found[group] = rest_correlations(items[rows], weights[rows])
    (one, first), (other, second) = found.items()
    limits = {group: max(0.1, 3 / np.sqrt((mask & (weights > 0)).sum())) for group, mask in groups.items()}
    for place in np.argsort(np.minimum(first, second)):
        name = names[place]
        pair = {one: first[place], other: second[place]}
        for group, against in ((one, other), (other, one)):
            if pair[group] < -limits[group] and pair[against] > limits[against]:
                raise IdentificationError(
                    f"{verb}: '{name}' goes against the other items among {group} (correlation {pair[group]:.2f}) and "
                    f"with them among {against} ({pair[against]:.2f}): its scale is reversed between the two groups. "
                    f"Turn the codes of one group round (low + high - code) before they are compared.",
                    failures=pd.DataFrame(data.loc[groups[group], [name]]),
                )
