"""Population margins: how many there are of each kind, from an official source named row by row."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation import project
from evaluation.errors import MarginError, SourceError, did_you_mean
from evaluation.survey.codebook import code_text
from evaluation.survey.formats import TEXT, read_table
from evaluation.survey.values import code_levels, distinct

Codes = NDArray[np.int64]

#: Name of the population size among the totals.
TOTAL = "total"
#: Between the variables of a crossed margin, and between their levels.
CROSS = ":"
MARGIN_COLUMNS = ("margin", "level", "value", "unit", "source")


@dataclass(frozen=True, eq=False)
class Margins:
    """Population counts by level, and population totals of numbers.

    Attributes
    ----------
    categorical : mapping of str to pandas.Series
        Margin to counts, indexed by level (text). A crossed margin is called ``a:b``, its levels ``x:y``.
    totals : mapping of str to float
        Column to population total; ``total`` is the population size.
    units, sources : mapping of str to str
        By margin.
    place : str
        What errors call them.
    """

    categorical: Mapping[str, pd.Series]
    totals: Mapping[str, float]
    units: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    place: str = "margins"

    @property
    def names(self) -> tuple[str, ...]:
        """All margins, categorical ones first."""
        return (*self.categorical, *self.totals)

    @property
    def population(self) -> float | None:
        """The population size: ``total``, or what a categorical margin adds up to."""
        if TOTAL in self.totals:
            return self.totals[TOTAL]
        return next((float(counts.sum()) for counts in self.categorical.values()), None)

    def variables(self, name: str) -> tuple[str, ...]:
        """Return the columns that a margin is about: two and more for a crossed one, none for ``total``."""
        self._require(name)
        return () if name == TOTAL else tuple(name.split(CROSS))

    def select(self, names: Iterable[str]) -> Margins:
        """Return only the named margins, in that order.

        Raises
        ------
        MarginError
            A name is unknown.
        """
        if not isinstance(names, Iterable) or isinstance(names, Mapping):
            raise MarginError(
                f"margins are chosen by a list of their names, got {names!r}. Known in {self.place}: "
                f"{', '.join(self.names)}."
            )
        chosen = [names] if isinstance(names, str) else list(names)
        for name in chosen:
            self._require(name)
        return Margins(
            {name: self.categorical[name] for name in chosen if name in self.categorical},
            {name: self.totals[name] for name in chosen if name in self.totals},
            {name: self.units.get(name, "") for name in chosen},
            {name: self.sources.get(name, "") for name in chosen},
            self.place,
        )

    def _require(self, name: str) -> None:
        if name not in self.names:
            raise MarginError(f"no margin '{name}' in {self.place}. {did_you_mean(name, self.names)}")

    def match(self, name: str, values: pd.Series | pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Assign respondents to the levels of a categorical margin.

        Parameters
        ----------
        name : str
            A categorical margin.
        values : Series or DataFrame, n rows
            The margin's column; for a crossed margin a frame that holds its columns.

        Returns
        -------
        codes : ndarray of int, shape (n,)
            Level of each respondent, 0 to k - 1.
        targets : ndarray, shape (k,)
            Population count of each level. Levels with neither target nor respondents are left out.

        Raises
        ------
        MarginError
            Respondents without a value, levels that only the sample or only the margin has.
        """
        counts = self._counts(name)
        codes, texts = self._coded(name, values)
        blank = codes < 0
        if blank.any():
            raise MarginError(
                f"margin '{name}': {int(blank.sum()):,} of {len(codes):,} respondents have no value of "
                f"{' and '.join(self.variables(name))}, first in data rows {_first_rows(blank)}. "
                "Impute or recode them before weighting, or drop the margin.",
                failures=pd.DataFrame({"row": np.flatnonzero(blank)}),
            )
        respondents: dict[str, int] = {}
        for text, number in zip(texts, np.bincount(codes, minlength=len(texts)).tolist(), strict=True):
            if number:
                respondents[text] = respondents.get(text, 0) + number
        targets = dict(zip(counts.index.tolist(), counts.to_numpy(dtype=np.float64).tolist(), strict=True))
        if any(not targets.get(level) for level in respondents):
            self._refuse_sample_levels(name, counts, respondents)
        kept = {level: target for level, target in targets.items() if target > 0 or level in respondents}
        if len(kept) > len(respondents):
            self._refuse_margin_levels(name, counts[list(kept)], pd.Index(list(respondents)))
        place = {level: number for number, level in enumerate(kept)}
        places = np.array([place.get(text, -1) for text in texts], dtype=np.int64)
        return places[codes], np.array(list(kept.values()))

    def _counts(self, name: str) -> pd.Series:
        self._require(name)
        if name not in self.categorical:
            raise MarginError(f"'{name}' is a total of a number, not a margin with levels. Use it in calibrate.")
        return self.categorical[name]

    def _coded(self, name: str, values: pd.Series | pd.DataFrame) -> tuple[Codes, list[str]]:
        """Return each respondent's level (-1 where a value is blank) and the levels' texts, crossed ones joined."""
        if isinstance(values, pd.Series):
            return code_levels(values)
        columns = self.variables(name)
        absent = [column for column in columns if column not in values]
        if absent:
            raise MarginError(f"margin '{name}': no column '{absent[0]}'. {did_you_mean(absent[0], values.columns)}")
        codes, texts = code_levels(values[columns[0]])
        for column in columns[1:]:
            own, own_texts = code_levels(values[column])
            key = np.where((codes < 0) | (own < 0), -1, codes * len(own_texts) + own)
            codes, found = distinct(pd.Series(key))
            codes = np.where(key < 0, -1, codes)
            texts = [
                "" if at < 0 else CROSS.join([texts[at // len(own_texts)], own_texts[at % len(own_texts)]])
                for at in found.tolist()
            ]
        return codes, texts

    def _refuse_sample_levels(self, name: str, counts: pd.Series, respondents: Mapping[str, int]) -> None:
        extra = [level for level in respondents if level not in counts.index]
        if extra:
            raise MarginError(
                f"margin '{name}' lacks levels of the sample: {extra} ({sum(respondents[x] for x in extra):,} "
                f"respondents). {did_you_mean(extra[0], counts.index)} Add them to {self.place}, or recode the column.",
                failures=pd.DataFrame({"level": extra, "respondents": [respondents[x] for x in extra]}),
            )
        impossible = [level for level in respondents if counts[level] == 0]
        if impossible:
            raise MarginError(
                f"margin '{name}' has target 0 for levels that the sample holds: {impossible} "
                f"({sum(respondents[x] for x in impossible):,} respondents). Correct {self.place}, or recode.",
                failures=pd.DataFrame({"level": impossible, "respondents": [respondents[x] for x in impossible]}),
            )

    def _refuse_margin_levels(self, name: str, counts: pd.Series, present: pd.Index) -> None:
        absent = [level for level in counts.index if level not in present]
        if not absent:
            return
        unit = self.units.get(name) or "units"
        place = list(counts.index).index(absent[0])
        neighbours = [*counts.index[:place][::-1], *counts.index[place + 1 :]]
        merge = next((level for level in neighbours if level in present), None)
        move = f"Merge it with '{merge}' in {self.place}, or drop the margin." if merge else "Drop the margin."
        raise MarginError(
            f"margin '{name}' has levels absent from the sample: {absent} (target "
            f"{sum(counts[level] for level in absent):,.10g} {unit}, 0 respondents).\n  {move}",
            failures=pd.DataFrame({"level": absent, "target": [float(counts[level]) for level in absent]}),
        )

    def table(self) -> pd.DataFrame:
        """Return ``margin, level, value, unit, source``, one row per count or total."""
        rows = [
            (name, level, float(value)) for name, counts in self.categorical.items() for level, value in counts.items()
        ] + [(name, "", value) for name, value in self.totals.items()]
        frame = pd.DataFrame(rows, columns=["margin", "level", "value"])
        return frame.assign(
            unit=[self.units.get(name, "") for name in frame["margin"]],
            source=[self.sources.get(name, "") for name in frame["margin"]],
        )

    def __repr__(self) -> str:
        return "\n".join(
            [
                *(f"{name}: {len(counts)} levels, {counts.sum():,.10g}" for name, counts in self.categorical.items()),
                *(f"{name}: {value:,.10g}" for name, value in self.totals.items()),
            ]
        )


def _first_rows(rows: NDArray[np.bool_]) -> str:
    return ", ".join(str(number + 1) for number in np.flatnonzero(rows)[:5]) + (", ..." if rows.sum() > 5 else "")


def read_margins(survey_id: str) -> Margins:
    """Read and check ``surveys/<survey_id>/margins.csv``.

    Parameters
    ----------
    survey_id : str
        Folder in ``surveys/``.

    Returns
    -------
    Margins
        From the columns ``margin, level, value, unit, source``: a row with a level is a count, one
        without is the population total of a number; the margin ``total`` is the population size.

    Raises
    ------
    MarginError
        A value is missing, negative or no number; a level stands twice; a source is not named; margins
        add up to different totals.
    SourceError
        There is no such file, or it cannot be read.

    Examples
    --------
    >>> read_margins("api_2000").categorical["stype"].to_dict()
    {'E': 4421.0, 'H': 755.0, 'M': 1018.0}
    """
    path = project.survey_folder(survey_id) / "margins.csv"
    if not path.is_file():
        raise SourceError(
            f"surveys/{survey_id}/margins.csv is not there. Write {', '.join(MARGIN_COLUMNS)}, or use ev.margins."
        )
    return _from_file(path, f"surveys/{survey_id}/margins.csv")


def _from_file(path: Path, place: str) -> Margins:
    frame = read_table(path).frame
    absent = [column for column in MARGIN_COLUMNS if column not in frame]
    if absent:
        raise MarginError(f"{place}: expected the columns {list(MARGIN_COLUMNS)}, missing {absent}. Add them.")
    frame = frame.reindex(columns=list(MARGIN_COLUMNS)).astype(TEXT).fillna("")
    rows = [tuple(str(value).strip() for value in row) for row in frame.itertuples(index=False)]
    unnamed = [line for line, row in enumerate(rows, start=2) if not row[4]]
    if unnamed:
        raise MarginError(f"{place}, line {unnamed[0]}: no source. Name the official source in every row.")
    return _build([(name, level, value) for name, level, value, _, _ in rows], place, rows)


def margins(
    targets: Mapping[str, float | Mapping[object, float] | pd.Series], *, unit: str = "", source: str = ""
) -> Margins:
    """Make margins from a mapping.

    Parameters
    ----------
    targets : mapping
        Column to counts by level (a mapping or a Series), or column to the population total of a number.
        ``total`` is the population size. A crossed margin is called ``a:b``; its levels are ``"x:y"`` or
        tuples.
    unit, source : str, optional
        Of all of them.

    Returns
    -------
    Margins

    Raises
    ------
    MarginError
        As ``read_margins``.

    Examples
    --------
    >>> margins({"stype": {"E": 4421, "H": 755, "M": 1018}, "total": 6194, "api99": 3914069})
    stype: 3 levels, 6,194
    total: 6,194
    api99: 3,914,069
    """
    if not isinstance(targets, Mapping):
        raise MarginError(
            f"margins are made from a mapping of column to counts by level, got {type(targets).__name__}. "
            f"Write {{'sex': {{'f': 515000, 'm': 485000}}}}."
        )
    rows: list[tuple[str, str, object]] = []
    for name, target in targets.items():
        if isinstance(target, (Mapping, pd.Series)):
            if not len(target):
                raise MarginError(
                    f"the margins: margin '{name}' has no levels, expected counts by level. Write "
                    f"{{'{name}': {{'level': count, ...}}}}, or leave it out."
                )
            rows.extend((str(name), _level_text(level), value) for level, value in target.items())
        else:
            rows.append((str(name), "", target))
    return _build(rows, "the margins", [(name, "", "", unit, source) for name, _, _ in rows])


def _level_text(level: object) -> str:
    return CROSS.join(code_text(part) for part in level) if isinstance(level, tuple) else code_text(level)


def _build(rows: Sequence[tuple[str, str, object]], place: str, described: Sequence[tuple[str, ...]]) -> Margins:
    faults: list[str] = []
    categorical: dict[str, dict[str, float]] = {}
    totals: dict[str, float] = {}
    for name, level, value in rows:
        level = _level_text(level) if CROSS not in name else _level_text(tuple(level.split(CROSS)))
        number = _amount(value, f"margin '{name}'" + (f", level '{level}'" if level else ""), bool(level), faults)
        known = categorical.setdefault(name, {}) if level else totals
        if (level or name) in known:
            faults.append(f"margin '{name}'" + (f" has level '{level}' twice" if level else " stands twice"))
        known[level or name] = number
    both = sorted(set(categorical) & set(totals))
    faults.extend(f"margin '{name}' has both levels and a total without level" for name in both)
    if not rows:
        faults.append("there is no margin")
    if faults:
        raise MarginError(f"{place}: " + "; ".join(faults) + ". Correct them.")
    result = Margins(
        {name: pd.Series(counts, dtype=np.float64, name=name) for name, counts in categorical.items()},
        totals,
        {row[0]: row[3] for row in described},
        {row[0]: row[4] for row in described},
        place,
    )
    _check_totals(result)
    _check_crossed(result)
    return result


def _amount(value: object, where: str, is_count: bool, faults: list[str]) -> float:
    try:
        number = float(str(value).strip() or "nan")
    except ValueError:
        faults.append(f"{where}: expected a number, got '{value}'")
        return math.nan
    if math.isinf(number):
        faults.append(f"{where}: expected a finite number, got {number}")
    elif math.isnan(number):
        faults.append(f"{where}: the value is missing")
    elif is_count and number < 0:
        faults.append(f"{where}: a count cannot be negative, got {number:,.10g}")
    return number


def _agree(first: float, second: float) -> bool:
    """Tell whether two totals are one, but for the rounding of their parts."""
    size = max(abs(first), abs(second))
    return abs(first - second) <= max(1e-9 * size, min(0.5, 1e-3 * size))


def _check_totals(result: Margins) -> None:
    sums = {name: float(counts.sum()) for name, counts in result.categorical.items()}
    if TOTAL in result.totals:
        sums = {TOTAL: result.totals[TOTAL], **sums}
    for (first, one), (second, other) in combinations(sums.items(), 2):
        if not _agree(one, other):
            raise MarginError(
                f"{result.place}: margins must share one total, but '{first}' adds up to {one:,.10g} and '{second}' to "
                f"{other:,.10g} (difference {other - one:,.10g}). Take both from the same population and date.",
                failures=pd.DataFrame({"margin": list(sums), "total": list(sums.values())}),
            )
    if any(total <= 0 for total in sums.values()):
        empty = next(name for name, total in sums.items() if total <= 0)
        raise MarginError(f"{result.place}: margin '{empty}' adds up to {sums[empty]:,.10g}. Give population counts.")
    _refuse_shares(result, sums)


def _refuse_shares(result: Margins, sums: Mapping[str, float]) -> None:
    """Refuse shares and percentages in place of counts: the weights would sum to 1 or 100."""
    for name, total in sums.items():
        counts = result.categorical.get(name)
        broken = counts is not None and bool((counts % 1 != 0).any())
        if broken and (abs(total - 1) < 5e-3 or abs(total - 100) < 0.15):
            raise MarginError(
                f"{result.place}: margin '{name}' adds up to {total:,.10g}, so these are shares, expected population "
                f"counts. Multiply each by the population size over {1 if total < 50 else 100}.",
                failures=pd.DataFrame({"level": list(counts.index), "value": counts.to_numpy()}),  # type: ignore[union-attr]
            )


def _check_crossed(result: Margins) -> None:
    for name, counts in result.categorical.items():
        columns = name.split(CROSS)
        wrong = [
            str(level) for level in counts.index if len(columns) > 1 and str(level).count(CROSS) + 1 != len(columns)
        ]
        if wrong:
            raise MarginError(
                f"{result.place}: margin '{name}' crosses {len(columns)} columns, but level '{wrong[0]}' names "
                f"{wrong[0].count(CROSS) + 1}. Write levels as 'x{CROSS}y'."
            )
        for place, column in enumerate(columns if len(columns) > 1 else []):
            if column not in result.categorical:
                continue
            one_way = counts.groupby([str(level).split(CROSS)[place] for level in counts.index]).sum()
            expected = result.categorical[column]
            _check_levels_alike(result.place, name, one_way, column, expected)
            for level in expected.index.union(one_way.index):
                if not _agree(float(one_way.get(level, 0.0)), float(expected.get(level, 0.0))):
                    raise MarginError(
                        f"{result.place}: '{name}' adds up to {one_way.get(level, 0.0):,.10g} for {column} = '{level}' "
                        f"but margin '{column}' says {expected.get(level, 0.0):,.10g}. Take both from the same source."
                    )


def _check_levels_alike(place: str, crossed: str, inside: pd.Series, column: str, alone: pd.Series) -> None:
    only = {
        crossed: [str(level) for level in inside.index.difference(alone.index) if inside[level] > 0],
        column: [str(level) for level in alone.index.difference(inside.index) if alone[level] > 0],
    }
    if any(only.values()):
        told = ", ".join(f"{levels} only in '{name}'" for name, levels in only.items() if levels)
        raise MarginError(
            f"{place}: margins '{column}' and '{crossed}' name different levels of {column}: {told}. "
            "Name each level alike in both, as the data do."
        )
