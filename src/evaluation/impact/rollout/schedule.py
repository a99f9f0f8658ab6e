"""A survey beside the roll-out: which schedule its file follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from evaluation import project
from evaluation.design.design import Design
from evaluation.errors import ColumnError, EstimationError, SurveyError, did_you_mean
from evaluation.estimation.arguments import came, require_arguments
from evaluation.impact.rollout.table import Rollout, Schedule, require_rollout
from evaluation.results import Provenance, card_html, frame_html
from evaluation.survey.codebook import code_text
from evaluation.survey.reading import Survey

#: Doses in files are rounded to six decimals.
ROUNDING = 1e-5


@dataclass(frozen=True, eq=False)
class ScheduleCheck:
    """Which of two schedules a file follows.

    Attributes
    ----------
    frame : pandas.DataFrame, one row per district
        ``district, split, first_wave_in_file, first_wave, first_wave_planned``, ``dose_gap_realised`` and
        ``dose_gap_planned`` (largest difference in dose in any wave, 0 to 1), ``agrees_with`` ("realised",
        "planned", "both" or "neither").
    follows : {"realised", "planned", "neither"}
        Of the file as a whole; "realised" where nothing in it tells the two apart.
    is_distinguishable : bool
        Whether any district of the file tells the two apart.
    provenance : Provenance
        Of the roll-out.
    """

    frame: pd.DataFrame
    follows: Literal["realised", "planned", "neither"]
    is_distinguishable: bool
    provenance: Provenance

    @property
    def differing(self) -> pd.DataFrame:
        """The districts whose file entry is not the realised schedule."""
        return self.frame[~self.frame["agrees_with"].isin(["realised", "both"])].reset_index(drop=True)

    def statement(self, lang: str | None = None) -> str:
        """Return in one or two sentences which schedule the file follows, and which districts differ."""
        lang = lang or project.language()
        korean, english = self._verdict()
        names = ", ".join(self.provenance.labels.value("district", code, lang) for code in self.differing["district"])
        if lang == "ko":
            return korean + (f" 실제 일정과 다른 구: {names}." if names else "")
        return english + (f" Districts that differ from what happened: {names}." if names else "")

    def _verdict(self) -> tuple[str, str]:
        n = len(self.frame)
        if self.follows == "realised" and not self.is_distinguishable:
            return (
                f"파일의 시행 일정은 {n}개 구 모두 실제와 일치하나, 이 파일의 연도로는 계획과 구별되지 않음.",
                f"The file agrees with the realised roll-out in all {n} districts, but cannot tell it from the plan.",
            )
        if self.follows == "realised":
            return (
                f"파일의 시행 일정은 {n}개 구 모두 실제 일정과 일치함.",
                f"The file carries the realised roll-out in all {n} districts.",
            )
        if self.follows == "planned":
            return (
                "파일의 시행 일정은 실제가 아니라 계획임. 이 일정으로는 시행되지 않은 동이 시행된 것으로 계산됨.",
                "The file carries the plan, not what happened: it counts dongs as covered that were not.",
            )
        return (
            "파일의 시행 일정은 실제와도 계획과도 일치하지 않음.",
            "The file carries neither the realised roll-out nor the plan.",
        )

    def tidy(self) -> pd.DataFrame:
        """Return one row per district."""
        return self.frame.copy()

    def __repr__(self) -> str:
        parts = [self.statement()]
        if len(self.differing):
            parts.append(self.differing.to_string(index=False, float_format=lambda value: f"{value:.3g}"))
        return "\n".join(parts)

    def _repr_html_(self) -> str:
        return card_html([("", self.statement())]) + (frame_html(self.differing) if len(self.differing) else "")


def check_schedule(
    rollout: Rollout,
    data: Design | Survey | pd.DataFrame,
    *,
    district: str = "district",
    time: str = "year",
    cohort: str = "district_cohort",
    dose: str | None = "district_dose",
) -> ScheduleCheck:
    """Compare the roll-out that a survey file carries with what happened and with the plan.

    Parameters
    ----------
    rollout : Rollout
        From ``read_rollout``.
    data : Design, Survey or pandas.DataFrame
        One row per respondent.
    district, time : str
        Columns with the district's code and the year of the survey.
    cohort : str
        Column with the district's first wave; 0 or blank where it has none.
    dose : str, optional
        Column with the share of the district's dongs covered that year, 0 to 1; None leaves it out.

    Returns
    -------
    ScheduleCheck

    Raises
    ------
    ColumnError
        A column does not exist or is not numeric.
    SurveyError
        A district is unknown to the roll-out, or the file says two things about one district and year.
    """
    require_arguments(check_schedule, locals())
    require_rollout(rollout, "check_schedule")
    if not isinstance(data, (pd.DataFrame, Design, Survey)):
        raise EstimationError(f"check_schedule needs a design, a survey or a frame, got {came(data)}.")
    frame = data if isinstance(data, pd.DataFrame) else data.data
    carried = _carried(frame, [district, time, cohort, *([] if dose is None else [dose])])
    carried.columns = pd.Index(["district", "time", "cohort", *([] if dose is None else ["dose"])])
    refuse_unknown(rollout, carried["district"], ())
    table = _by_district(rollout, carried)
    told = table["agrees_with"]
    follows: Literal["realised", "planned", "neither"] = "neither"
    if told.isin(["realised", "both"]).all():
        follows = "realised"
    elif told.isin(["planned", "both"]).all():
        follows = "planned"
    return ScheduleCheck(table, follows, bool((told != "both").any()), rollout.provenance)


def _carried(frame: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return what the file says of each district and year, once."""
    for name in names:
        if name not in frame.columns:
            raise ColumnError(f"check_schedule: no column '{name}'. {did_you_mean(name, frame.columns)}")
    first, *numbers = names
    once = frame[names].drop_duplicates().reset_index(drop=True)
    carried = pd.DataFrame({first: codes_of(once[first])} | {name: numbers_of(once[name]) for name in numbers})
    carried = carried.drop_duplicates().reset_index(drop=True)
    twice = carried.duplicated([first, numbers[0]], keep=False)
    if twice.any():
        raise SurveyError(
            f"check_schedule: {int(twice.sum())} entries contradict each other within one {first} and {numbers[0]}. "
            f"A district has one schedule; correct {', '.join(names[2:])}.",
            failures=carried[twice],
        )
    return carried


def codes_of(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return codes as text, empty where missing."""
    numbers, values = pd.factorize(column)
    texts = np.array([*map(code_text, values), ""], dtype=object)
    return pd.Series(texts[numbers], index=column.index)


def numbers_of(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return numbers, 0 where missing; a ColumnError where there is text."""
    places, values = pd.factorize(column)
    numbers = pd.to_numeric(pd.Series(list(values), dtype=object), errors="coerce").to_numpy(dtype=float)
    if np.isnan(numbers).any():
        raise ColumnError(f"'{column.name}' holds text, expected numbers.")
    return pd.Series(np.append(numbers, 0.0)[places], index=column.index)


def _by_district(rollout: Rollout, carried: pd.DataFrame) -> pd.DataFrame:
    """Return one row per district: what the file says, and how far that is from either schedule."""
    rows, kinds = carried.groupby("district"), get_args(Schedule)
    found = pd.DataFrame({"low": rows["cohort"].min(), "high": rows["cohort"].max()}).astype(np.int64)
    split = rollout.districts.set_index("district")["split"].loc[found.index]
    said = np.where(found["low"] == found["high"], found["low"].astype(str), found["low"].astype(str) + ", ...")
    table = pd.DataFrame({"district": found.index, "split": split.to_numpy(), "first_wave_in_file": said})
    agrees = {}
    for kind, column in zip(kinds, ("first_wave", "first_wave_planned"), strict=True):
        first = rollout.cohorts(kind).set_index("district")["first_wave"].loc[found.index]
        gap = pd.Series(0.0, index=found.index)
        if "dose" in carried:
            apart = (carried["dose"] - rollout.share_at(carried["time"], carried["district"], kind)).abs()
            gap = apart.groupby(carried["district"]).max().loc[found.index]
        table[column] = first.astype(str).to_numpy()
        table[f"dose_gap_{kind}"] = gap.where(gap > ROUNDING, 0.0).to_numpy()
        agrees[kind] = ((found["low"] == first) & (found["high"] == first) & (gap <= ROUNDING)).to_numpy()
    realised, planned = (agrees[kind] for kind in kinds)
    table["agrees_with"] = np.select(
        [realised & planned, realised, planned], ["both", "realised", "planned"], default="neither"
    )
    return table


def refuse_unknown(rollout: Rollout, codes: pd.Series[Any], outside: Sequence[object]) -> None:
    """Raise a SurveyError for districts that stand neither in the roll-out nor among those outside it."""
    known = {*rollout.districts["district"], *map(code_text, outside)}
    unknown = sorted(set(codes) - known)
    if unknown:
        raise SurveyError(
            f"{len(unknown)} districts do not stand in the roll-out: {', '.join(unknown[:5])}. "
            f"{did_you_mean(unknown[0], rollout.districts['district'])} "
            f"Districts outside the programme are named with outside=[...]."
        )
