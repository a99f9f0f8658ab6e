"""Which effects by cohort and time a staged roll-out identifies, told before any outcome is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.errors import EstimationError, IdentificationError
from evaluation.estimation.arguments import require_arguments
from evaluation.impact.panel import Cohorts, Panel, cluster_codes, exact, read_cohorts, require_panel
from evaluation.results import Provenance, frame_html
from evaluation.wording import ABSENT, is_absent
from evaluation.wording import term as word

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
ControlGroup = Literal["notyettreated", "nevertreated"]
BasePeriod = Literal["varying", "universal"]

#: Why the data do not identify an effect, as codes that ``wording`` knows in both languages.
NO_PERIOD_BEFORE = "no_period_before"
NO_COMPARISON = "no_comparison"
LAST_COHORT = "last_cohort"
NO_ANSWERS = "no_answers"
ZERO_WEIGHTS = "weightless"


@dataclass(frozen=True)
class Cell:
    """One group-time effect: who, when, against when, against whom.

    Attributes
    ----------
    cohort, time, base : int
        Places among cohorts and times; ``base`` -1 where there is no earlier period.
    controls : tuple of int
        Cohorts not treated yet.
    reason : str
        Code of why it is not identified; empty where it is.
    """

    cohort: int
    time: int
    base: int
    controls: tuple[int, ...]
    reason: str = ""

    @property
    def is_reference(self) -> bool:
        """The period against which a universal base period measures, zero by construction."""
        return self.time == self.base


def plan_cells(
    times: Floats, cohorts: Floats, control_group: ControlGroup, base_period: BasePeriod, anticipation: float
) -> list[Cell]:
    """Return every group-time effect that could be asked for, identified or not.

    Notes
    -----
    The long difference runs from the last period before ``cohort - anticipation``. With a varying base, earlier
    periods are compared with the one before them. Not yet treated at t are cohorts later than the later of t and
    base period plus anticipation; a cohort beyond the last period is one never treated. Where nobody is never
    treated, the last cohort serves for comparison only.
    """
    late = cohorts > times[-1] + anticipation
    has_never = bool(late.any())
    cells = []
    for g in np.flatnonzero(cohorts <= times[-1]):
        before = np.flatnonzero(times < cohorts[g] - anticipation)
        for t in range(0 if base_period == "universal" else 1, len(times)):
            is_long = base_period == "universal" or times[t] >= cohorts[g] - anticipation
            base = (int(before[-1]) if len(before) else -1) if is_long else t - 1
            until = times[max(t, base)] + anticipation
            open_ = late if control_group == "nevertreated" else cohorts > until
            controls = tuple(int(h) for h in np.flatnonzero(open_) if h != g)
            reason = ""
            if base < 0:
                reason = NO_PERIOD_BEFORE
            elif not controls:
                reason = NO_COMPARISON
            elif not has_never and g == len(cohorts) - 1:
                reason = LAST_COHORT
            cells.append(Cell(int(g), t, base, controls, reason))
    return cells


def cells_of(
    over_time: Panel, cohort: str, control_group: ControlGroup, base_period: BasePeriod, anticipation: float
) -> tuple[Cohorts, list[Cell]]:
    """Return the cohorts of a roll-out and every effect that could be asked for, those with nobody in a wave told.

    Cohorts whose weights are all zero stay in the list, so that what is asked of them is told and not dropped.

    Raises
    ------
    ColumnError
        The column cannot serve.
    IdentificationError
        No effect after treatment is identified.
    """
    cohorts = _with_weightless(over_time, read_cohorts(over_time, cohort))
    cells = plan_cells(over_time.times, cohorts.values, control_group, base_period, anticipation)
    if over_time.rows is None:
        cells = _told_empty(over_time, cohorts, cells)
    refuse_none_identified(over_time, cohorts, cells, control_group, anticipation)
    return cohorts, cells


def _weightless(over_time: Panel) -> Mask:
    design = over_time.design
    inside = np.ones(len(design), dtype=bool) if design.inside is None else design.inside
    return np.asarray(inside & (design.weights == 0))


def _with_weightless(over_time: Panel, cohorts: Cohorts) -> Cohorts:
    gone = _weightless(over_time)
    if not gone.any() or over_time.rows is not None:
        return cohorts
    asked = pd.to_numeric(over_time.design.column(cohorts.name)[gone], errors="coerce").to_numpy(dtype=float)
    asked = asked[np.isfinite(asked) & (asked > 0) & (asked <= over_time.times[-1])]
    values = np.union1d(cohorts.values, asked)
    code = np.where(cohorts.code < 0, -1, np.searchsorted(values, cohorts.values)[cohorts.code])
    return Cohorts(cohorts.name, values, code)


def _told_empty(over_time: Panel, cohorts: Cohorts, cells: Sequence[Cell]) -> list[Cell]:
    """Give a reason to cells of cross-sections in which nobody of a group was asked, or all weights are zero."""
    n_times, n_cohorts = len(over_time.times), len(cohorts.values)
    counted = over_time.period >= 0
    key = cohorts.code[counted] * n_times + over_time.period[counted]
    n = np.bincount(key, minlength=n_cohorts * n_times).reshape(n_cohorts, n_times)
    told = []
    for cell in cells:
        waves = [cell.time, cell.base]
        empty = not cell.reason and not (n[cell.cohort, waves].all() and n[list(cell.controls)][:, waves].sum(0).all())
        told.append(replace(cell, reason=_why_empty(over_time, cohorts, cell, n)) if empty else cell)
    return told


def _why_empty(over_time: Panel, cohorts: Cohorts, cell: Cell, n: Codes) -> str:
    design, gone = over_time.design, _weightless(over_time)
    time = design.column(over_time.time).to_numpy(dtype=float, na_value=np.nan)
    own = design.column(cohorts.name).to_numpy(dtype=float, na_value=np.nan)
    own = np.where(np.isnan(own) | (own == 0), np.inf, own)
    for group in ([cell.cohort], list(cell.controls)):
        for wave in (cell.time, cell.base):
            if not n[group, wave].any():
                there = gone & np.isin(own, cohorts.values[group]) & (time == over_time.times[wave])
                return ZERO_WEIGHTS if there.any() else NO_ANSWERS
    return NO_ANSWERS


@dataclass(frozen=True, eq=False)
class IdentifiedCells:
    """Which group-time effects the data identify, told before any outcome is read.

    Attributes
    ----------
    frame : pandas.DataFrame
        One row per cohort and time: ``cohort time base_time is_identified reason n_treated n_control`` and, where a
        cluster was named, ``n_treated_clusters n_control_clusters``. Counts of a side with fewer than ``min_cell``
        respondents in one of its waves are missing, and so are those of its cohort, which would give it away.
    provenance : Provenance
        For captions.
    """

    frame: pd.DataFrame
    provenance: Provenance

    def tidy(self) -> pd.DataFrame:
        """Return one row per cohort and time."""
        return self.frame.copy()

    def summary(self) -> str:
        """Return the table as text, reasons in words."""
        return self._worded().to_string(index=False)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        rows = self.frame.astype(object).where(self.frame.notna(), None).to_dict("records")
        return {"verb": "identified_cells", "provenance": self.provenance.to_dict(), "rows": rows}

    def _worded(self) -> pd.DataFrame:
        counts = {name: _counted(self.frame[name]) for name in ("n_treated", "n_control") if name in self.frame}
        return self.frame.assign(reason=[word(reason) if reason else "" for reason in self.frame["reason"]], **counts)

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return frame_html(self._worded())


def identified_cells(
    panel: Panel,
    *,
    cohort: str,
    control_group: ControlGroup = "notyettreated",
    base_period: BasePeriod = "varying",
    anticipation: float = 0,
    cluster: str | None = None,
) -> IdentifiedCells:
    """Tell which effects by cohort and time the roll-out identifies; reads no outcome.

    Parameters
    ----------
    panel : Panel
        From ``ev.panel``.
    cohort : str
        Column of the first treated period; 0 or missing means never.
    control_group : {"notyettreated", "nevertreated"}
        Who serves for comparison.
    base_period : {"varying", "universal"}
        What periods before treatment are compared with: the period before, or always the last one untreated.
    anticipation : float, default 0
        By how much the policy acts ahead of its date, in the unit of time.
    cluster : str, optional
        Column of the places that were treated; adds how many of them stand on either side.

    Returns
    -------
    IdentifiedCells

    Raises
    ------
    ColumnError
        A column is absent or cannot serve.
    IdentificationError
        No effect after treatment is identified.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.impact.panel import panel
    >>> answers = pd.DataFrame({"year": [2015, 2015, 2016, 2016], "first": [2016, 0, 2016, 0]})
    >>> found = identified_cells(panel(survey_design(answers), time="year"), cohort="first").tidy()
    >>> found[["cohort", "time", "base_time", "is_identified", "n_treated", "n_control"]].values.tolist()
    [[2016, 2016, 2015, True, 2, 2]]
    """
    require_arguments(identified_cells, locals())
    require_panel(panel, "identified_cells")
    check_options(control_group, base_period, anticipation)
    cohorts, cells = cells_of(panel, cohort, control_group, base_period, anticipation)
    clusters = None if cluster is None else cluster_codes(panel, cluster)[1]
    return IdentifiedCells(cell_frame(panel, cohorts, cells, clusters), panel.design.provenance)


def check_options(control_group: str, base_period: str, anticipation: float) -> None:
    """Raise an EstimationError for a comparison, base period or anticipation that does not exist."""
    if control_group not in ("notyettreated", "nevertreated"):
        raise EstimationError(f"control_group must be 'notyettreated' or 'nevertreated', got {control_group!r}.")
    if base_period not in ("varying", "universal"):
        raise EstimationError(f"base_period must be 'varying' or 'universal', got {base_period!r}.")
    if not isinstance(anticipation, (int, float)) or not 0 <= anticipation < np.inf:
        raise EstimationError(f"anticipation must be zero or a positive length of time, got {anticipation!r}.")


def refuse_none_identified(
    over_time: Panel, cohorts: Cohorts, cells: Sequence[Cell], control_group: str, anticipation: float
) -> None:
    """Raise an IdentificationError unless some effect after treatment is identified."""
    times, values = over_time.times, cohorts.values
    if any(not cell.reason and times[cell.time] >= values[cell.cohort] for cell in cells):
        return
    finite = values[np.isfinite(values)]
    known = [cell for cell in cells if times[cell.time] >= values[cell.cohort]]
    if known and all(cell.reason == ZERO_WEIGHTS for cell in known):
        raise IdentificationError(
            "every effect after treatment has a group whose weights are all zero. Look at the column of the weights, "
            "or at the domain."
        )
    if not len(finite):
        raise IdentificationError(f"cohort '{cohorts.name}' is 0 or missing in every row, so nobody was treated.")
    if finite[0] > times[-1]:
        raise IdentificationError(
            f"the first treated period in '{cohorts.name}' is {finite[0]:g}, after the last wave ({times[-1]:g})."
        )
    after = times[(times + anticipation < finite[-1]) & (times >= finite[0])]
    if control_group == "nevertreated" and np.isfinite(values).all() and len(after):
        raise IdentificationError(
            f'control_group="nevertreated", but all {_size(over_time)} are treated by {finite[-1]:g} (first: '
            f'{finite[0]:g}). Use control_group="notyettreated"; ATT(g, t) is then available up to {after[-1]:g}.'
        )
    if finite[-1] <= times[0]:
        raise IdentificationError(
            f"everybody treated was so before the first wave, or in it: '{cohorts.name}' ends with {finite[-1]:g}, the "
            f"waves begin with {times[0]:g}. An effect needs a wave before treatment: add earlier waves."
        )
    shown = ", ".join(f"{value:g}" for value in finite[:6])
    raise IdentificationError(
        f"no effect after treatment is identified: cohorts {shown}{', ...' if len(finite) > 6 else ''}, waves "
        f"{times[0]:g} to {times[-1]:g}. Each needs a wave before treatment, and somebody not treated yet in both."
    )


def _size(over_time: Panel) -> str:
    if over_time.rows is not None:
        return f"{len(over_time.rows):,} {over_time.unit}"
    return f"{int((over_time.period >= 0).sum()):,} respondents"


def cell_frame(over_time: Panel, cohorts: Cohorts, cells: Sequence[Cell], clusters: Codes | None) -> pd.DataFrame:
    """Return one row per cell: what it compares, whether it is identified, and on how many."""
    counted = over_time.period >= 0 if over_time.rows is None else _first_rows(over_time)
    n_times = 1 if over_time.rows is not None else len(over_time.times)
    period = np.zeros(len(counted), dtype=np.int64) if over_time.rows is not None else over_time.period
    code = cohorts.code[counted] * n_times + period[counted]
    n = np.bincount(code, minlength=len(cohorts.values) * n_times).reshape(-1, n_times)
    places = None if clusters is None else _places(code, clusters[counted], len(cohorts.values), n_times)
    records = []
    for cell in cells:
        waves = sorted({cell.time, cell.base} - {-1}) if n_times > 1 else [0]
        controls = list(cell.controls)
        record: dict[str, Any] = {
            "cohort": exact(cohorts.values[cell.cohort]),
            "time": exact(over_time.times[cell.time]),
            "base_time": None if cell.base < 0 else exact(over_time.times[cell.base]),
            "is_identified": not cell.reason,
            "reason": cell.reason,
            "n_treated": int(n[cell.cohort, waves].sum()),
            "n_control": int(n[np.ix_(controls, waves)].sum()),
        }
        if places is not None:
            record["n_treated_clusters"] = int(places[cell.cohort, waves].any(axis=0).sum())
            record["n_control_clusters"] = int(places[np.ix_(controls, waves)].any(axis=(0, 1)).sum())
        records.append(record)
    _hide_few(records, cells, n, over_time.design.provenance.min_cell)
    frame = pd.DataFrame(records)
    dates = {name: pd.Series([r[name] for r in records], dtype=object) for name in ("cohort", "time", "base_time")}
    return frame.assign(**dates)


def _counted(values: pd.Series[Any]) -> list[Any]:
    return [ABSENT if is_absent(value) else int(value) for value in values]


def _hide_few(records: list[dict[str, Any]], cells: Sequence[Cell], n: Codes, least: int) -> None:
    """Take out counts that tell of a wave with fewer than ``least`` respondents.

    Sums of two waves share waves with their neighbours: a cohort with one such wave shows no count at all.
    """
    few: Mask = np.asarray(((n > 0) & (n < least)).any(axis=1))
    for record, cell in zip(records, cells, strict=True):
        if few[cell.cohort]:
            record["n_treated"] = None
        if few[list(cell.controls)].any():
            record["n_control"] = None


def _first_rows(over_time: Panel) -> Mask:
    first: Mask = (over_time.period == 0) & (over_time.unit_of >= 0)
    return first


def _places(code: Codes, clusters: Codes, n_cohorts: int, n_times: int) -> Mask:
    n_clusters = int(clusters.max()) + 1
    marks = np.zeros(n_cohorts * n_times * n_clusters, dtype=bool)
    marks[code * n_clusters + clusters] = True
    shaped: Mask = marks.reshape(n_cohorts, n_times, n_clusters)
    return shaped
