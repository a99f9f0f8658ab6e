"""Participants from a roster, others from a citizen survey: two samples made one comparison, scales checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.comparison.comparability import Comparability, require_comparability
from evaluation.comparison.effects import UNADJUSTED, Measure, evidence_of, group_difference
from evaluation.design.design import Design, domain, require_design
from evaluation.design.frames import join_frames
from evaluation.errors import EstimationError, IdentificationError
from evaluation.estimation.arguments import column_names
from evaluation.estimation.domains import is_text
from evaluation.results import Estimates
from evaluation.survey.codebook import Codebook, Variable, code_text

Mask = NDArray[np.bool_]
Names = str | Sequence[str]

#: What the two samples are called in the joined design.
PARTICIPANTS, COMPARATOR = "participants", "comparator"
#: Column of the joined design that says which sample a respondent is of.
SAMPLE = "sample"

#: A column of whole numbers with more values than this is a number, not a scale of answers.
MOST_ANSWERS = 11


def join_samples(
    participants: Design,
    comparator: Design,
    *,
    columns: Names,
    participant: str | None = None,
    sample: str = SAMPLE,
) -> Design:
    """Put a sample of participants and one of other people together, so that every verb can compare them.

    Parameters
    ----------
    participants : Design
        Of participants alone, such as a sample from the roster.
    comparator : Design
        Of other people, or of everybody.
    columns : str or list of str
        What is to be compared or adjusted for: it must be coded alike on both sides.
    participant : str, optional
        Column of the comparator that is 1 for participants it met; they are left out. Without it they stay.
    sample : str, default "sample"
        New column: "comparator", or "participants"; the treatment of every verb that compares.

    Returns
    -------
    Design
        Each sample keeps its strata, units and weighting chain; they share nobody's draw. Its weights are those of two
        populations, so totals over both mean nothing.

    Raises
    ------
    ColumnError
        A column is missing on one side, or of another kind there.
    IdentificationError
        A scale runs the other way in one sample, or has other codes there; both are one sample.
    DesignError
        As ``join_frames``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> roster = survey_design(pd.DataFrame({"y": [1.0, 3.0]}))
    >>> citizens = survey_design(pd.DataFrame({"y": [1.0, 1.0, 4.0], "took_part": [0, 0, 1]}))
    >>> joined = join_samples(roster, citizens, columns="y", participant="took_part")
    >>> group_difference(joined, outcome="y", treatment="sample").estimate.tolist()
    [1.0, 2.0, 1.0]
    """
    verb = "join_samples"
    for design in (participants, comparator):
        require_design(design, verb)
    names = column_names(columns, f"{verb}: columns", "'trust'")
    if not names:
        raise EstimationError(f"{verb}: columns names nothing to compare. Name the outcome and the covariates.")
    _refuse_same_people(participants, comparator, verb)
    for name in names:
        _require_alike(participants, comparator, name)
    others = comparator if participant is None else domain(comparator, {participant: 0})
    return join_frames({COMPARATOR: others, PARTICIPANTS: participants}, overlap=False, frame=sample)


def sample_difference(
    participants: Design,
    comparator: Design,
    *,
    outcome: str,
    comparability: Comparability,
    participant: str | None = None,
    measure: Measure = "difference",
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate the difference between a sample of participants and one of other people, as they are.

    Parameters
    ----------
    participants, comparator, participant
        As in ``join_samples``.
    outcome : str
        Column of both.
    comparability : Comparability
        What the two have in common, from ``assess_comparability``; a refused comparison raises.
    measure : {"difference", "log_risk_ratio", "log_odds_ratio"}
        Scale of row 0.
    conf_level : float, default 0.95
        Of the t interval.

    Returns
    -------
    Estimates
        Row 0 is the difference, then the mean of participants and of the comparator. Degrees of freedom of row 0 after
        Satterthwaite. ``fit`` has the evidence grade, at most 1, and what differs, in words.

    Raises
    ------
    ColumnError, DesignError
        As ``join_samples``.
    IdentificationError
        The item asks about a change, or its scale runs the other way in one sample.

    Notes
    -----
    To adjust, take the joined design: ``ev.aipw(ev.join_samples(...), treatment="sample", ...)``. Where the comparator
    contains participants (no ``participant``), the difference is one from everybody; say so in
    ``assess_comparability(contains_participants=True)``.

    Examples
    --------
    >>> from evaluation.comparison.comparability import Measurement, assess_comparability
    >>> from evaluation.design.declaration import survey_design
    >>> roster, citizens = (survey_design(pd.DataFrame({"y": y})) for y in ([4.0, 4.0, 7.0], [1.0, 2.0, 3.0]))
    >>> item = Measurement("y", "How much?", "Seoul, 15+", "telephone", 2016)
    >>> verdict = assess_comparability(item, item, contains_participants=False)
    >>> sample_difference(roster, citizens, outcome="y", comparability=verdict).estimate.tolist()
    [3.0, 5.0, 2.0]
    """
    verb = "sample_difference"
    comparability = require_comparability(comparability, verb)
    evidence = evidence_of(comparability, UNADJUSTED, verb, outcome, participants)
    _refuse_contradiction(comparability, participant, verb)
    joined = join_samples(participants, comparator, columns=outcome, participant=participant)
    made = group_difference(joined, outcome=outcome, treatment=SAMPLE, measure=measure, conf_level=conf_level)
    sides = _degrees_of_freedom(joined, outcome)
    variances, slopes = np.diag(made.vcov)[1:], _slopes(made, measure)
    parts = slopes**2 * variances
    whole = float(parts.sum() ** 2 / (parts**2 / np.array(sides)).sum()) if parts.sum() > 0 else float(min(sides))
    fit = {**made.fit, **evidence, "differences": [found.text("en") for found in comparability.differences]}
    return replace(made, verb=verb, df=np.array([whole, *map(float, sides)]), fit=fit)


def _refuse_contradiction(comparability: Comparability, participant: str | None, verb: str) -> None:
    """Refuse a declaration that says otherwise of participants in the comparator than the call does."""
    if participant is not None and comparability.contains_participants:
        raise EstimationError(
            f"{verb}: the comparability says that the comparator contains participants, but '{participant}' takes them "
            f"out. Declare contains_participants=False, or leave participant out."
        )


def _slopes(made: Estimates, measure: Measure) -> NDArray[np.float64]:
    """Return the derivative of row 0 in the means of participants and of the comparator."""
    participants, others = (float(value) for value in made.estimate[1:])
    if measure == "log_risk_ratio":
        return np.array([1 / participants, -1 / others])
    if measure == "log_odds_ratio":
        return np.array([1 / (participants * (1 - participants)), -1 / (others * (1 - others))])
    return np.array([1.0, -1.0])


def _degrees_of_freedom(joined: Design, outcome: str) -> list[int]:
    answered = joined.present & joined.column(outcome).notna().to_numpy()
    sample = joined.column(SAMPLE).to_numpy()
    return [joined.degrees_of_freedom(answered & (sample == name)) for name in (PARTICIPANTS, COMPARATOR)]


def _require_alike(participants: Design, comparator: Design, name: str) -> None:
    """Refuse an item whose codes mean something else in the other sample."""
    sides = (participants, comparator)
    columns = [design.column(name) for design in sides]
    entries = [_entry(design, name) for design in sides]
    first, second = entries
    if first is not None and second is not None and first is not second:
        _refuse_reversed(name, first, second)
        _refuse_other_codes(name, first, second)
    first_values, second_values = (column[design.present] for column, design in zip(columns, sides, strict=True))
    if any(is_text(column) for column in columns):
        _refuse_other_levels(name, first_values, second_values)
    else:
        _refuse_other_values(name, first_values, second_values)
        _refuse_other_scale(name, first_values, second_values)


def _refuse_same_people(participants: Design, comparator: Design, verb: str) -> None:
    """Refuse one sample given twice, whatever domain each side is: its halves are not drawn independently."""
    one, other = participants.data, comparator.data
    shared = [name for name in one.columns if name in other.columns]
    if one is other or (len(one) == len(other) and len(shared) > 1 and one[shared].equals(other[shared])):
        raise IdentificationError(
            f"{verb}: participants and comparator are respondents of one sample ({len(one):,} rows), and their errors "
            f"are not those of two. Compare within it: ev.group_difference(design, outcome=..., treatment=...), with "
            f"against='all' where everybody is the comparison."
        )


def _entry(design: Design, name: str) -> Variable | None:
    book = design.provenance.labels
    return book[name] if isinstance(book, Codebook) and name in book else None


def _refuse_reversed(name: str, first: Variable, second: Variable) -> None:
    directions = {first.direction, second.direction} - {""}
    if len(directions) == 2 or _are_turned_round(first.codes, second.codes):
        raise IdentificationError(
            f"the scale of '{name}' runs one way among participants ({_shown(first)}) and the other way in the "
            f"comparator ({_shown(second)}), so a difference of means would say nothing. Turn one round before its "
            f"design is declared: ev.reverse_scale(survey, ['{name}'])."
        )


def _are_turned_round(one: Mapping[str, tuple[str, str]], other: Mapping[str, tuple[str, str]]) -> bool:
    """Tell whether the same labels stand at the codes in opposite order."""
    if list(one) != list(other) or len(one) < 2:
        return False
    mine, theirs = list(one.values()), list(other.values())
    return mine != theirs and any(
        all(a[k] == b[k] and a[k] for a, b in zip(mine, theirs[::-1], strict=True)) for k in (0, 1)
    )


def _shown(entry: Variable) -> str:
    ends = [f"{code} = {labels[1] or labels[0]}" for code, labels in entry.codes.items()]
    return f"{ends[0]} ... {ends[-1]}" if ends else entry.direction or "direction not declared"


def _refuse_other_codes(name: str, first: Variable, second: Variable) -> None:
    if first.codes and second.codes and set(first.codes) != set(second.codes):
        raise IdentificationError(
            f"'{name}' has the codes {', '.join(first.codes)} among participants and {', '.join(second.codes)} in the "
            f"comparator, so its means are not on one scale. Recode both to one, such as agrees or not."
        )


def _refuse_other_values(name: str, first: pd.Series, second: pd.Series) -> None:
    """Refuse yes-or-no columns that are coded by other numbers, as far as the answers tell."""
    values = [sorted({code_text(value) for value in column.dropna().unique()}) for column in (first, second)]
    if sorted(values) == [["0", "1"], ["1", "2"]]:
        raise IdentificationError(
            f"'{name}' holds {' and '.join(values[0])} among participants and {' and '.join(values[1])} in the "
            f"comparator. Recode one: both must mean the same by a number."
        )


def _refuse_other_levels(name: str, first: pd.Series, second: pd.Series) -> None:
    """Refuse text of which no level occurs in both samples: it was written by two hands."""
    mine, theirs = (sorted(map(str, column.dropna().unique())) for column in (first, second))
    if mine and theirs and not set(mine) & set(theirs):
        raise IdentificationError(
            f"'{name}' holds {', '.join(mine[:4])} among participants and {', '.join(theirs[:4])} in the comparator: "
            f"no level is in both. Write both alike, data['{name}'].map({{...}}), before the designs are declared."
        )


def _refuse_other_scale(name: str, first: pd.Series, second: pd.Series) -> None:
    """Refuse few whole numbers that begin elsewhere and reach twice as far: 1 to 5 here, 2 to 10 or 0 to 10 there."""
    ends = []
    for column in (first, second):
        values = np.unique(column.dropna().to_numpy(dtype=float))
        if not 2 < len(values) <= MOST_ANSWERS or (values != np.round(values)).any():
            return
        ends.append((values[0], values[-1]))
    (low, high), (other_low, other_high) = ends
    if low != other_low and max(high, other_high) >= 2 * min(high, other_high) > 0:
        raise IdentificationError(
            f"'{name}' runs from {low:g} to {high:g} among participants and from {other_low:g} to {other_high:g} in "
            f"the comparator, so its means are not on one scale. Bring both to one before the designs are declared."
        )
