"""Places over time, one mean each and wave: who is treated from when, who may be a donor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.errors import ColumnError, EstimationError, IdentificationError, did_you_mean
from evaluation.estimation.domains import outcomes_of
from evaluation.impact.panel import Panel, cluster_codes, exact, read_cohorts, require_panel
from evaluation.survey.codebook import code_text

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Places:
    """A balanced table of places by waves.

    Attributes
    ----------
    over_time : Panel
    place : str
        Column of the places.
    levels : tuple, G
    times : ndarray, shape (T,)
    code : ndarray of int, shape (n,)
        Cell of each row that counts, place times T plus wave; -1 else.
    cohort : ndarray, shape (G,)
        First treated wave, infinite for never.
    values : dict of str to ndarray, shape (n,)
        Outcome first, then covariates and predictors.
    """

    over_time: Panel
    place: str
    levels: tuple[Any, ...]
    times: Floats
    code: Codes
    cohort: Floats
    values: dict[str, Floats]

    @property
    def outcome(self) -> str:
        """Column of the outcome."""
        return next(iter(self.values))

    def means(self, name: str, weights: Floats) -> Floats:
        """Return the weighted means of a column, shape (G, T); NaN where a cell has no answer."""
        values = self.values[name]
        told = (self.code >= 0) & np.isfinite(values) & (weights > 0)
        size, code = len(self.levels) * len(self.times), self.code[told]
        mass = np.bincount(code, weights[told], minlength=size)
        total = np.bincount(code, weights[told] * values[told], minlength=size)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(mass > 0, total / mass, np.nan).reshape(len(self.levels), -1))

    def counts(self) -> Codes:
        """Return how many answered in each cell, shape (G, T)."""
        told = (self.code >= 0) & np.isfinite(self.values[self.outcome])
        size = len(self.levels) * len(self.times)
        return np.bincount(self.code[told], minlength=size).reshape(len(self.levels), -1)

    def place_of_rows(self) -> Codes:
        """Return the place of each row, -1 where not counted, shape (n,)."""
        return np.where(self.code >= 0, self.code // len(self.times), -1)

    def names(self, members: Sequence[int] | Codes) -> list[str]:
        """Return places as text."""
        return [code_text(self.levels[int(member)]) for member in members]


def read_places(
    over_time: Panel,
    verb: str,
    *,
    outcome: str,
    place: str | None,
    cohort: str | None,
    treated: str | None,
    columns: Sequence[str] = (),
) -> Places:
    """Read a panel of places, or collapse persons to places.

    Parameters
    ----------
    over_time : Panel
    verb : str
        For messages.
    outcome : str
        Numeric column.
    place : str or None
        Column of the places; None for a panel whose units are the places.
    cohort, treated : str or None
        One of them: column of the first treated wave, or of a 0/1 treatment.
    columns : sequence of str
        Covariates and predictors.

    Raises
    ------
    ColumnError
        A column is absent or no number; the cohort differs within a place; a treatment is not 0/1 or switches off.
    EstimationError
        No column of places; both or neither of ``cohort`` and ``treated``; a cell without an answer.
    """
    require_panel(over_time, verb)
    place = place or over_time.unit
    if place is None:
        raise EstimationError(
            f"{verb}: respondents are new in every wave, so name the places they stand for: place='district'."
        )
    if (cohort is None) == (treated is None):
        raise EstimationError(
            f"{verb}: name either cohort=..., the first treated wave, or treated=..., a 0/1 column of place and wave."
        )
    levels, member = cluster_codes(over_time, place)
    counted, n_times = over_time.period >= 0, len(over_time.times)
    code = np.where(counted, member * n_times + over_time.period, -1)
    names = list(dict.fromkeys([outcome, *columns]))
    read = outcomes_of(over_time.design, names, listwise=False, verb=verb)
    told = np.where(read.answered, read.values, np.nan)
    values = {name: np.asarray(column, dtype=float) for name, column in zip(names, told.T, strict=True)}
    first = _by_place(over_time, cohort, place, levels, member) if cohort else np.empty(0)
    made = Places(over_time, place, tuple(levels), over_time.times, code, first, values)
    if treated is not None:
        first = _from_treatment(made, verb, treated)
    first = np.where(first > over_time.times[-1], np.inf, first)
    return Places(over_time, place, tuple(levels), over_time.times, code, first, values)


def _by_place(over_time: Panel, cohort: str, place: str, levels: Sequence[Any], member: Codes) -> Floats:
    """Return the first treated wave of each place."""
    read = read_cohorts(over_time, cohort)
    counted = over_time.period >= 0
    first = np.full(len(levels), np.nan)
    first[member[counted]] = read.values[read.code[counted]]
    differs = counted.copy()
    differs[counted] = first[member[counted]] != read.values[read.code[counted]]
    if differs.any():
        moved = [levels[i] for i in np.unique(member[differs])]
        raise ColumnError(
            f"cohort '{cohort}' differs within {len(moved)} of {len(levels)} places of '{place}' (first: {moved[0]}). "
            f"A synthetic control stands for a place as a whole: use the cohort of the {place}, not of its parts.",
            failures=over_time.design.data.loc[np.isin(member, np.unique(member[differs])), [place, cohort]],
        )
    return first


def _from_treatment(places: Places, verb: str, treated: str) -> Floats:
    """Return the first treated wave of each place from a 0/1 column of place and wave."""
    design = places.over_time.design
    read = outcomes_of(design, [treated], listwise=False, verb=verb)
    column = np.where(read.answered[:, 0], read.values[:, 0], np.nan)
    counted = places.code >= 0
    wrong = counted & ~np.isin(column, (0, 1))
    if wrong.any():
        raise ColumnError(
            f"{verb}: treated '{treated}' must be 0 or 1 in every row, but {int(wrong.sum())} rows hold something "
            f"else. For a dose, use the first wave above zero as cohort=....",
            failures=design.data.loc[wrong, [places.place, places.over_time.time, treated]],
        )
    shape = (len(places.levels), len(places.times))
    rows = np.bincount(places.code[counted], minlength=shape[0] * shape[1]).reshape(shape)
    ones = np.bincount(places.code[counted], column[counted], minlength=shape[0] * shape[1]).reshape(shape)
    mixed, on = (ones > 0) & (ones < rows), ones > 0
    off = (np.diff(on.astype(int), axis=1) < 0).any(axis=1)
    for bad, said in ((mixed.any(axis=1), "differs within a wave of"), (off, "switches off in")):
        if bad.any():
            names = places.names(np.flatnonzero(bad))
            raise ColumnError(
                f"{verb}: treated '{treated}' {said} {len(names)} places ({', '.join(names[:5])}). Treatment starts "
                f"for a place as a whole and stays; ev.check_treatment lists the rows.",
                failures=design.data.loc[np.isin(places.place_of_rows(), np.flatnonzero(bad))],
            )
    return np.asarray(np.where(on.any(axis=1), places.times[on.argmax(axis=1)], np.inf))


@dataclass(frozen=True, eq=False)
class Roles:
    """Who is treated, in order of the start, and who serves as donor.

    Attributes
    ----------
    treated, donors : ndarray of int
        Places.
    """

    treated: Codes
    donors: Codes

    @property
    def members(self) -> Codes:
        """All places that count: donors, then treated."""
        return np.concatenate([self.donors, self.treated])


def roles_of(places: Places, verb: str, donors: Sequence[object] | None) -> Roles:
    """Return who is treated and who may be a donor.

    Parameters
    ----------
    places : Places
    verb : str
    donors : sequence or None
        Places that may be donors; None for all that are never treated within the waves.

    Raises
    ------
    EstimationError
        An unknown donor, or fewer than two.
    IdentificationError
        Nobody is treated, a donor is treated, or a treated place has no wave before.
    """
    treated = np.flatnonzero(np.isfinite(places.cohort))
    treated = treated[np.lexsort((treated, places.cohort[treated]))]
    if not len(treated):
        raise IdentificationError(f"{verb}: no place is treated within the waves, so there is nothing to estimate.")
    early = treated[places.cohort[treated] <= places.times[0]]
    if len(early):
        raise IdentificationError(
            f"{verb}: {len(early)} places are treated from the first wave on ({', '.join(places.names(early)[:5])}; "
            f"first wave {places.times[0]:g}). Without a wave before, no weights can be found: add earlier waves, or "
            f"leave them out with ev.domain.",
            failures=pd.DataFrame({places.place: places.names(early), "cohort": places.cohort[early]}),
        )
    pool = np.flatnonzero(np.isinf(places.cohort))
    if donors is not None:
        pool = _named_donors(places, verb, donors)
    if len(pool) < 2:
        raise IdentificationError(
            f"{verb}: {len(pool)} donors, but weights need at least two places that are never treated within the "
            f"waves. Add places outside the programme, or keep only waves before the last places start (ev.domain)."
        )
    return Roles(treated, pool)


def _named_donors(places: Places, verb: str, donors: Sequence[object]) -> Codes:
    if isinstance(donors, str):
        raise EstimationError(f"{verb}: donors is a list of places of '{places.place}', got the text {donors!r}.")
    known = {code_text(level): number for number, level in enumerate(places.levels)}
    unknown = [code_text(donor) for donor in donors if code_text(donor) not in known]
    if unknown:
        raise EstimationError(
            f"{verb}: {len(unknown)} donors are no places of '{places.place}': {', '.join(unknown[:5])}. "
            f"{did_you_mean(unknown[0], known)}"
        )
    pool = np.unique([known[code_text(donor)] for donor in donors]).astype(np.int64)
    treated = pool[np.isfinite(places.cohort[pool])]
    if len(treated):
        starts = zip(places.names(treated), places.cohort[treated], strict=True)
        shown = ", ".join(f"{name} ({first:g})" for name, first in starts)
        raise IdentificationError(
            f"{verb}: {len(treated)} donors are treated themselves: {shown}. A donor stays untreated in every wave."
        )
    return pool


def require_whole(places: Places, table: Floats, members: Codes, verb: str) -> None:
    """Raise a ColumnError where a place that counts lacks a mean in a wave, with the cells."""
    row, wave = np.nonzero(~np.isfinite(table[members]))
    if not len(row):
        return
    cells = pd.DataFrame({places.place: places.names(members[row]), "time": [exact(places.times[t]) for t in wave]})
    raise ColumnError(
        f"{verb}: '{places.outcome}' has no answer in {len(cells)} of {members.size * len(places.times)} cells of "
        f"{places.place} and wave (first: {cells.iloc[0, 0]!s} in {cells.iloc[0, 1]!s}), or a covariate has none. A "
        f"synthetic control needs every place in every wave: leave out those places or waves with ev.domain, or fill "
        f"the gaps beforehand.",
        failures=cells,
    )
