"""Whether a column of treatment can be that of a staged roll-out: one report of all that contradicts it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation import project
from evaluation.design.design import Design
from evaluation.design.sampling import require_column
from evaluation.errors import ColumnError, EstimationError, EvaluationError, IdentificationError, require_flag
from evaluation.estimation.arguments import column_names, require_arguments
from evaluation.impact.panel import Panel, misread_cohort
from evaluation.results import Provenance, card_html, frame_html, plain
from evaluation.wording import term as word

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
_DATES = (pd.DatetimeTZDtype, pd.PeriodDtype)

#: Faults in the order in which they are told, and the error that each raises on refusal.
FAULTS: dict[str, type[EvaluationError]] = {
    "not_a_date": ColumnError,
    "not_a_number": ColumnError,
    "not_a_period": ColumnError,
    "missing_values": ColumnError,
    "duplicated": ColumnError,
    "unbalanced": ColumnError,
    "treatment_not_binary": ColumnError,
    "dose_outside": ColumnError,
    "differs_within": ColumnError,
    "changes_cohort": IdentificationError,
    "switches_off": IdentificationError,
    "contradicts_cohort": IdentificationError,
    "starts_before": IdentificationError,
}
#: What is told without being a fault.
NOTES = ("not_sampled", "starts_after", "never_treated_none")


@dataclass(frozen=True, eq=False)
class TreatmentCheck:
    """What contradicts a staged roll-out in the columns of treatment.

    Attributes
    ----------
    frame : pandas.DataFrame
        One row per kind: ``problem`` (code), ``is_fault``, ``n_units``, ``n_rows``, ``first`` (an example).
    rows : pandas.DataFrame
        The rows behind them: ``problem``, the unit, the time, and the columns that were checked.
    checked : tuple of str
        Columns that were looked at.
    provenance : Provenance
    """

    frame: pd.DataFrame
    rows: pd.DataFrame
    checked: tuple[str, ...]
    provenance: Provenance

    @property
    def is_clean(self) -> bool:
        """Whether there is no fault."""
        return not bool(self.frame["is_fault"].any())

    def tidy(self) -> pd.DataFrame:
        """Return one row per kind of problem."""
        return self.frame.copy()

    def layout(self, lang: str) -> tuple[dict[str, list[str]], list[str]]:
        """Return problem in words, units, rows and an example, and what it means where there is none."""
        rows = self.frame
        columns = {
            word("problem", lang): [word("treatment_" + name, lang) for name in rows["problem"]],
            word("n_units", lang): [f"{n:,}" for n in rows["n_units"]],
            word("n_rows", lang): [f"{n:,}" for n in rows["n_rows"]],
            word("first", lang): [str(text) for text in rows["first"]],
        }
        return columns, [word("treatment_clean", lang)] if self.is_clean else []

    def statement(self, lang: str | None = None) -> str:
        """Return what was found and what to do about it, a line for each."""
        lang = lang or project.language()
        lines = [
            f"{word('treatment_' + row['problem'], lang)} ({word('n_units', lang)} {row['n_units']:,}, "
            f"{word('n_rows', lang)} {row['n_rows']:,}; {word('first_example', lang)} {row['first']})"
            for row in self.frame.to_dict("records")
        ]
        if self.is_clean:
            lines.insert(0, word("treatment_clean", lang))
        return "\n".join(lines)

    def refuse(self) -> None:
        """Raise an error where there is a fault: ColumnError of the data, IdentificationError of the roll-out."""
        faults = self.frame[self.frame["is_fault"]]
        if not len(faults):
            return
        first = str(faults["problem"].iloc[0])
        told = "\n  ".join(
            f"{word('treatment_' + row['problem'], 'en')} ({row['n_units']:,} units, {row['n_rows']:,} rows; first "
            f"{row['first']})"
            for row in faults.to_dict("records")
        )
        raise FAULTS[first](
            f"check_treatment: the columns {', '.join(self.checked)} are not those of a staged roll-out:\n  {told}",
            failures=self.rows[self.rows["problem"].isin(faults["problem"])],
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record, without rows of respondents."""
        rows = [{str(name): plain(value) for name, value in row.items()} for row in self.frame.to_dict("records")]
        about = {"verb": "check_treatment", "checked": list(self.checked), "is_clean": self.is_clean}
        return {**about, "provenance": self.provenance.to_dict(), "rows": rows}

    def __repr__(self) -> str:
        return self.statement()

    def _repr_html_(self) -> str:
        said = card_html([("", line) for line in self.statement().split("\n")])
        return said + (frame_html(self.frame) if len(self.frame) else "")


@dataclass(frozen=True, eq=False)
class _Columns:
    """What is checked, one value per row that counts."""

    unit: pd.Series[Any]
    time: Floats
    values: dict[str, Floats]
    shown: pd.DataFrame


def check_treatment(
    data: Panel | Design | pd.DataFrame,
    *,
    unit: str | None = None,
    time: str | None = None,
    treatment: str | None = None,
    cohort: str | None = None,
    dose: str | None = None,
    dates: Sequence[str] = (),
    respondents: bool | None = None,
    refuse: bool = False,
) -> TreatmentCheck:
    """Look for all that contradicts a staged roll-out, before anything is estimated; reads no outcome.

    Parameters
    ----------
    data : Panel, Design or pandas.DataFrame
    unit : str, optional
        Column of the persons or places that are treated; default the panel's unit.
    time : str, optional
        Column of the waves; default the panel's.
    treatment : str, optional
        0/1 column: treated in that wave.
    cohort : str, optional
        First treated wave; 0 or missing for never.
    dose : str, optional
        Column that must lie between 0 and 1.
    dates : list of str, optional
        Columns that must hold days such as 2017-07-18; blank is allowed.
    respondents : bool, optional
        Rows are respondents who stand for units, so several per unit and wave are expected. Default: of a panel of
        repeated cross-sections yes, else no.
    refuse : bool, default False
        Raise where there is a fault, instead of reporting it.

    Returns
    -------
    TreatmentCheck
        Faults: dates that are none, text among numbers, missing values, duplicated and lacking unit-waves, treatments
        other than 0 and 1, doses outside 0 to 1, values that differ within a unit and wave, units that change cohort,
        units that switch off, cohorts that contradict the treatment, cohorts from the first wave on. Notes: cohorts
        after the last wave, nobody never treated, and units of respondents without one in some wave.

    Raises
    ------
    ColumnError, IdentificationError
        With ``refuse=True``; ColumnError also where a column does not exist.
    EstimationError
        Nothing to check was named.

    Examples
    --------
    >>> frame = pd.DataFrame({"gu": [1, 1, 2, 2], "year": [2015, 2016] * 2, "d": [1, 0, 0, 0]})
    >>> found = check_treatment(frame, unit="gu", time="year", treatment="d")
    >>> found.tidy()[["problem", "n_units", "first"]].values.tolist()
    [['switches_off', 1, '1 in 2016'], ['starts_before', 1, '1 in 2015']]
    """
    require_arguments(check_treatment, locals())
    require_flag(refuse, "check_treatment: refuse", EstimationError)
    dates = list(column_names(dates, "check_treatment: dates", "'start'"))
    over_time = data if isinstance(data, Panel) else None
    design = data.design if isinstance(data, Panel) else data if isinstance(data, Design) else None
    frame = data if isinstance(data, pd.DataFrame) else design.data[design.present] if design is not None else None
    if frame is None:
        raise EstimationError(f"check_treatment needs a panel, a design or a frame, got {type(data).__name__}.")
    unit = unit or (over_time.unit if over_time is not None else None)
    time = time or (over_time.time if over_time is not None else None)
    if unit is None or time is None:
        lacking = [
            told for told, name in (("unit=..., what is treated", unit), ("time=..., the wave", time)) if not name
        ]
        raise EstimationError(f"check_treatment: name {' and '.join(lacking)}.")
    named = [name for name in (treatment, cohort, dose) if name is not None]
    if not named and not dates:
        raise EstimationError("check_treatment: name treatment=..., cohort=..., dose=... or dates=[...] to check.")
    if respondents is None:
        respondents = over_time is not None and over_time.unit is None
    found = _Report(frame, unit, time)
    columns = _read(found, named, (time, cohort), list(dates))
    _check_rows(found, columns, respondents)
    _check_values(found, columns, treatment, cohort, dose)
    provenance = design.provenance if design is not None else Provenance(n=len(frame))
    check = found.report((unit, time, *named, *dates), provenance)
    if refuse:
        check.refuse()
    return check


class _Report:
    """Collects problems with their rows."""

    def __init__(self, frame: pd.DataFrame, unit: str, time: str) -> None:
        self.frame, self.unit, self.time = frame, unit, time
        self.found: dict[str, pd.DataFrame] = {}

    def add(self, problem: str, mask: Mask, names: Sequence[str] = ()) -> None:
        """Note a problem in some rows."""
        if mask.any():
            columns = list(dict.fromkeys([self.unit, self.time, *names]))
            self.add_rows(problem, self.frame.loc[mask, columns])

    def add_rows(self, problem: str, rows: pd.DataFrame) -> None:
        """Note a problem with rows of its own."""
        marked = rows.assign(problem=problem)
        self.found[problem] = pd.concat([self.found[problem], marked]) if problem in self.found else marked

    def report(self, checked: Sequence[str], provenance: Provenance) -> TreatmentCheck:
        """Return all of it, in the order in which it is told."""
        order = [name for name in (*FAULTS, *NOTES) if name in self.found]
        records = []
        for name in order:
            rows = self.found[name]
            first = rows.iloc[0]
            shown = f"{first[self.unit]} in {_short(first[self.time])}" if self.unit in rows else "–"
            n_units = int(rows[self.unit].nunique(dropna=False)) if self.unit in rows else 0
            record = {"problem": name, "is_fault": name in FAULTS, "n_units": n_units, "n_rows": len(rows)}
            records.append({**record, "first": shown})
        columns = ["problem", "is_fault", "n_units", "n_rows", "first"]
        rows = pd.concat([self.found[name] for name in order]) if order else pd.DataFrame({"problem": []})
        rows = rows[["problem", *(name for name in rows.columns if name != "problem")]]
        return TreatmentCheck(pd.DataFrame(records, columns=columns), rows, tuple(checked), provenance)


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, (float, np.floating)) else str(value)


def _read(found: _Report, named: list[str], waves: Sequence[str | None], dates: list[str]) -> _Columns:
    """Read the columns; note what is no number and no date."""
    frame = found.frame
    for name in (found.unit, found.time, *named, *dates):
        require_column(frame, name)
        if isinstance(frame[name], pd.DataFrame):
            raise ColumnError(
                f"check_treatment: the data have {frame[name].shape[1]} columns called '{name}'. Rename or drop "
                f"all but one of them."
            )
    values = {name: _numbers(found, name, is_wave=name in waves) for name in (found.time, *named)}
    for name in dates:
        column = frame[name]
        days = pd.to_datetime(column.astype("string"), format="%Y-%m-%d", errors="coerce")
        wrong = (days.isna() & column.notna() & (column.astype("string").str.strip() != "")).fillna(False)
        found.add("not_a_date", wrong.to_numpy(dtype=bool), [name])
    found.add("missing_values", frame[found.unit].isna().to_numpy() | np.isnan(values[found.time]))
    return _Columns(frame[found.unit], values.pop(found.time), values, frame)


def _numbers(found: _Report, name: str, *, is_wave: bool) -> Floats:
    column = found.frame[name]
    if is_wave and (pd.api.types.is_bool_dtype(column) or isinstance(column.dtype, _DATES) or column.dtype.kind == "M"):
        found.add("not_a_period", column.notna().to_numpy(), [name])
        return np.full(len(column), np.nan)
    if pd.api.types.is_bool_dtype(column):
        return column.to_numpy(dtype=float)
    numbers = pd.to_numeric(column, errors="coerce")
    text = (numbers.isna() & column.notna()).to_numpy()
    found.add("not_a_date" if is_wave else "not_a_number", text, [name])
    return numbers.to_numpy(dtype=float, na_value=np.nan)


def _check_rows(found: _Report, columns: _Columns, respondents: bool) -> None:
    """Note unit-waves that stand twice, or lack."""
    keys = pd.DataFrame({"unit": columns.unit.to_numpy(), "time": columns.time})
    usable = keys.notna().all(axis=1).to_numpy()
    if not respondents:
        found.add("duplicated", usable & keys.duplicated(keep=False).to_numpy())
    pairs = keys[usable].drop_duplicates()
    units, times = pairs["unit"].unique(), np.sort(pairs["time"].unique())
    if len(pairs) < len(units) * len(times):
        whole = pd.MultiIndex.from_product([units, times], names=[found.unit, found.time])
        lacking = whole.difference(pd.MultiIndex.from_frame(pairs), sort=False).to_frame(index=False)
        lacking.columns = pd.Index([found.unit, found.time])
        found.add_rows("not_sampled" if respondents else "unbalanced", lacking)


def _check_values(
    found: _Report, columns: _Columns, treatment: str | None, cohort: str | None, dose: str | None
) -> None:
    unit, time = pd.factorize(columns.unit)[0], columns.time
    usable = (unit >= 0) & ~np.isnan(time)
    if dose is not None:
        value = columns.values[dose]
        found.add("dose_outside", (value < 0) | (value > 1), [dose])
        found.add("missing_values", usable & columns.shown[dose].isna().to_numpy(), [dose])
    first = None
    if cohort is not None:
        first = _check_cohort(found, columns, cohort, unit, usable)
    if treatment is not None:
        _check_treated(found, columns, treatment, cohort, unit, usable, first)


def _check_cohort(found: _Report, columns: _Columns, cohort: str, unit: NDArray[np.int64], usable: Mask) -> Floats:
    """Note units that change cohort, or start before the first wave; return the cohort, infinite for never."""
    value, time = columns.values[cohort], columns.time
    first = np.where(np.isnan(value) | (value == 0), np.inf, value)
    if not usable.any():
        return first
    misread = misread_cohort(np.unique(first[usable & np.isfinite(first)]), np.unique(time[usable]))
    wrong = usable & ((first < 0) | (np.isfinite(first) & bool(misread)))
    found.add("not_a_period", wrong, [cohort])
    first = np.where(wrong, np.inf, first)
    if wrong.any():
        return first
    groups = pd.Series(first[usable]).groupby(unit[usable])
    changing = np.zeros(len(first), dtype=bool)
    changing[usable] = (groups.transform("min") != groups.transform("max")).to_numpy()
    found.add("changes_cohort", changing, [cohort])
    found.add("starts_before", usable & (first <= time[usable].min()), [cohort])
    found.add("starts_after", usable & np.isfinite(first) & (first > time[usable].max()), [cohort])
    if usable.any() and np.isfinite(first[usable]).all() and (first[usable] <= time[usable].max()).all():
        last = usable & (first == first[usable].max())
        found.add("never_treated_none", last, [cohort])
    return first


def _check_treated(
    found: _Report,
    columns: _Columns,
    treatment: str,
    cohort: str | None,
    unit: NDArray[np.int64],
    usable: Mask,
    first: Floats | None,
) -> None:
    """Note treatments that are not 0/1, differ within a wave, switch off, or contradict the cohort."""
    value, time = columns.values[treatment], columns.time
    found.add("missing_values", np.isnan(value) & usable, [treatment])
    found.add("treatment_not_binary", ~np.isnan(value) & ~np.isin(value, (0, 1)), [treatment])
    told = usable & np.isin(value, (0, 1))
    if not told.any():
        return
    cells = pd.DataFrame({"unit": unit[told], "time": time[told], "value": value[told], "row": np.flatnonzero(told)})
    spread = cells.groupby(["unit", "time"])["value"].transform("nunique").to_numpy()
    differs = np.zeros(len(value), dtype=bool)
    differs[cells["row"]] = spread > 1
    found.add("differs_within", differs, [treatment])
    before = cells.sort_values(["unit", "time"], kind="stable")
    by_wave = before.groupby(["unit", "time"])["value"].max()
    reached = by_wave.groupby(level="unit").cummax()
    off = (by_wave < reached)[lambda flags: flags].index
    switched = np.zeros(len(value), dtype=bool)
    switched[cells["row"]] = pd.MultiIndex.from_frame(cells[["unit", "time"]]).isin(off)
    found.add("switches_off", switched, [treatment])
    start = time[told].min()
    if first is None:
        early = np.zeros(len(value), dtype=bool)
        early[cells["row"]] = ((cells["value"] == 1) & (cells["time"] == start)).to_numpy()
        found.add("starts_before", early, [treatment])
    else:
        against = told & ((value == 1) != (time >= first))
        found.add("contradicts_cohort", against, [treatment, str(cohort)])
