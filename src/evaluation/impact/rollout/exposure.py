"""What the roll-out had done where and when each respondent was asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from evaluation.design.design import Design, domain, require_design
from evaluation.errors import ColumnError, EstimationError, SurveyError, did_you_mean
from evaluation.estimation.arguments import require_arguments
from evaluation.impact.rollout.files import DONGS
from evaluation.impact.rollout.schedule import codes_of, numbers_of, refuse_unknown
from evaluation.impact.rollout.table import DoseOf, Rollout, RolloutLabels, Schedule, require_rollout
from evaluation.impact.rollout.timing import wave_of_interviews
from evaluation.results import Provenance

#: Columns that ``exposure`` may add.
EXPOSURE = ("first_wave", "dose", "is_started", "uncovered_neighbour")
OF_DONGS = ("g_district", "g_dong", "is_pilot")
WAVE, NEIGHBOUR = "wave", "neighbour_dose"


def exposure(
    design: Design,
    rollout: Rollout,
    *,
    schedule: Schedule = "realised",
    district: str = "district",
    time: str = "year",
    covered: str | None = "dong_covered",
    outside: Sequence[object] = (),
    dose_of: DoseOf = "dongs",
    dong: str | None = None,
    own_cohort: str | None = None,
    date: str | None = None,
    neighbours: bool = False,
) -> Design:
    """Add to each respondent what the roll-out had done where and when they were asked.

    Parameters
    ----------
    design : Design
        Any design.
    rollout : Rollout
        From ``read_rollout``; its ``timing`` says which wave is the first to count a start.
    schedule : {"realised", "planned"}, default "realised"
        What happened, or the plan.
    district, time : str
        Columns with the district's code and the year of the survey.
    covered : str, optional
        0/1 column: the respondent's own dong is covered, as the file has it. None leaves ``uncovered_neighbour`` out;
        with ``dong`` it is made from the roll-out.
    outside : list, optional
        Codes of districts outside the programme, never treated.
    dose_of : {"dongs", "residents"}, default "dongs"
        What ``dose`` is a share of; residents need ``rollout_dongs.csv``.
    dong : str, optional
        Column with the dong's code, as in ``rollout_dongs.csv``: adds cohorts of dong and district.
    own_cohort : str, optional
        Column with the first wave of the respondent's own dong, where the file carries it and there is no
        ``rollout_dongs.csv``; 0 or missing for never.
    date : str, optional
        Column with the day of the interview: adds ``wave``, the wave to which it belongs under the timing rule, and
        takes it in place of ``time``.
    neighbours : bool, default False
        Add ``neighbour_dose``; needs ``neighbours.csv``.

    Returns
    -------
    Design
        With ``first_wave`` (of the district; 0 = none within the waves), ``dose`` (share covered in the district,
        0 to 1), ``is_started`` (1 where dose > 0) and ``uncovered_neighbour`` (1 where the district has started but
        the own dong is not covered: effects there are spillover, not control). With ``dong`` or ``own_cohort`` also
        ``g_district`` (first dong of the district: intention to treat) and ``g_dong`` (own dong), with ``dong`` also
        ``is_pilot``; where the roll-out leaves pilots out, their residents leave the domain. Everything made from it
        carries the notice of the roll-out.

    Raises
    ------
    ColumnError
        A column does not exist, one of the new names is taken, or a date is none.
    SourceError
        Residents, single dongs or neighbours are asked for, and no file tells them.
    SurveyError
        A district or dong is unknown to the roll-out, or a dong lies in another district.
    """
    require_arguments(exposure, locals())
    require_design(design, "exposure")
    require_rollout(rollout, "exposure")
    _refuse_taken(design, covered, dong, own_cohort, date, neighbours)
    if rollout.pilots == "leave_out" and dong is None:
        raise EstimationError("exposure: the roll-out leaves pilots out; name dong=..., the column that tells them.")
    codes = codes_of(design.column(district))
    refuse_unknown(rollout, codes, outside)
    years = numbers_of(design.column(time)) if date is None else _waves(design, date, rollout)
    first = codes.map(rollout.cohorts(schedule).set_index("district")["first_wave"]).fillna(0).astype(np.int64)
    dose = rollout.share_at(years, codes, schedule, dose_of)
    columns: dict[str, Any] = {"first_wave": first, "dose": dose, "is_started": (dose > 0).astype(np.int64)}
    if date is not None:
        columns[WAVE] = years.astype(np.int64)
    if dong is not None:
        columns |= _of_dongs(design, rollout, schedule, dong, codes, outside)
        own = ((columns["g_dong"] > 0) & (columns["g_dong"] <= years)).astype(float)
        columns["uncovered_neighbour"] = columns["is_started"] * (own == 0).astype(float)
    elif covered is not None:
        own = _numbers_or_blank(design, covered)
        columns["uncovered_neighbour"] = (columns["is_started"] * (own == 0)).astype(float).where(own.notna())
    if own_cohort is not None and dong is None:
        columns["g_dong"] = numbers_of(design.column(own_cohort)).astype(np.int64)
    if "g_dong" in columns:
        columns["g_district"] = first
    if neighbours:
        columns[NEIGHBOUR] = rollout.at(rollout.neighbour_dose(schedule), years, codes)
    where = _with_notice(design.provenance, rollout, dose_of)
    made = replace(design, data=design.data.assign(**columns), provenance=where)
    return domain(made, {"is_pilot": 0}) if rollout.pilots == "leave_out" else made


def _refuse_taken(
    design: Design, covered: str | None, dong: str | None, own_cohort: str | None, date: str | None, neighbours: bool
) -> None:
    added = [*EXPOSURE[:3], *(EXPOSURE[3:] if covered is not None or dong is not None else ())]
    added += OF_DONGS if dong is not None else OF_DONGS[:2] if own_cohort is not None else ()
    added += [WAVE] * (date is not None) + [NEIGHBOUR] * neighbours
    taken = [name for name in dict.fromkeys((*added, *EXPOSURE)) if name in design.data.columns]
    if taken:
        raise ColumnError(f"exposure: the data already have {', '.join(taken)}. Start from the design without them.")


def _waves(design: Design, date: str, rollout: Rollout) -> pd.Series[Any]:
    """Return the wave of each interview."""
    column = design.column(date)
    days = pd.to_datetime(column.astype("string"), format="mixed", errors="coerce")
    wrong = days.isna() | column.isna()
    if pd.api.types.is_numeric_dtype(column):
        wrong[:] = True
    if wrong.any():
        shown = ", ".join(map(repr, column[wrong].head(3).tolist()))
        raise ColumnError(
            f"exposure: '{date}' is no date in {int(wrong.sum())} rows ({shown}). Expected days such as 2016-10-14.",
            failures=design.data.loc[wrong.to_numpy(), [date]],
        )
    return wave_of_interviews(days, rollout.timing)


def _of_dongs(
    design: Design, rollout: Rollout, schedule: Schedule, dong: str, codes: pd.Series[Any], outside: Sequence[object]
) -> dict[str, Any]:
    """Return the own dong's first wave, and whether it was a pilot; 0 outside the programme."""
    known = rollout.known_dongs("cohorts of dongs").set_index("dong")
    own = codes_of(design.column(dong))
    inside = codes.isin(rollout.districts["district"])
    unknown = inside & ~own.isin(known.index)
    if unknown.any():
        names = sorted(set(own[unknown]))
        raise SurveyError(
            f"exposure: {len(names)} dongs do not stand in {DONGS}: {', '.join(names[:5])}. "
            f"{did_you_mean(names[0], known.index)}",
            failures=design.data.loc[unknown.to_numpy(), [dong]].drop_duplicates(),
        )
    astray = inside & (own.map(known["district"]) != codes)
    if astray.any():
        at = astray.to_numpy().argmax()
        raise SurveyError(
            f"exposure: {int(astray.sum())} respondents live in a dong of another district (first: dong {own.iloc[at]} "
            f"of district {known['district'][own.iloc[at]]}, respondent in {codes.iloc[at]}). Correct '{dong}'.",
            failures=design.data.loc[astray.to_numpy(), [dong]].drop_duplicates(),
        )
    dates = known["date_realised" if schedule == "realised" else "date_planned"]
    first = own.map(rollout.waves_of(dates)).fillna(0).astype(np.int64).where(inside, 0)
    return {"g_dong": first, "is_pilot": own.map(known["is_pilot"]).fillna(0).astype(np.int64).where(inside, 0)}


def _numbers_or_blank(design: Design, name: str) -> pd.Series[Any]:
    column = design.column(name)
    if not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)):
        raise ColumnError(f"exposure: '{name}' is {column.dtype}, expected 0/1. Name another column, or covered=None.")
    return column.astype(float)


def _with_notice(own: Provenance, rollout: Rollout, dose_of: DoseOf) -> Provenance:
    added = rollout.provenance.notice
    notice = {
        lang: ". ".join(filter(None, [own.notice.get(lang, ""), added.get(lang, "")]))
        for lang in dict.fromkeys([*own.notice, *added])
    }
    names = rollout.provenance.labels.names if isinstance(rollout.provenance.labels, RolloutLabels) else {}
    return replace(own, notice=notice, labels=RolloutLabels(names, own.labels, dose_of))
