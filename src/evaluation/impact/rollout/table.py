"""A staged roll-out as data: which district had how many covered neighbourhoods when, realised and as planned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from evaluation import project
from evaluation.errors import EstimationError, ProjectError, SourceError, did_you_mean
from evaluation.estimation.arguments import came
from evaluation.impact.rollout.files import (
    CELL_COLUMNS,
    DISTRICT_COLUMNS,
    DISTRICTS,
    DONGS,
    FILE,
    NEIGHBOURS,
    REAL,
    SPLITS,
    STAGE_COLUMNS,
    STAGES,
    Faults,
    check_cells,
    check_dongs,
    check_order,
    check_stages,
    read_dongs,
    read_neighbours,
    typed,
)
from evaluation.impact.rollout.timing import OCTOBER, Timing, require_timing, told, wave_of
from evaluation.results import Labels, PlainLabels, Provenance, card_html, frame_html
from evaluation.survey.codebook import code_text
from evaluation.survey.source import read_description

Schedule = Literal["realised", "planned"]
DoseOf = Literal["dongs", "residents"]
Pilots = Literal["count", "leave_out"]

_COLUMN = {"realised": "dongs_covered", "planned": "dongs_planned"}
LEFT_OUT = {"ko": "시범 동 제외", "en": "pilot dongs left out"}
_DATE = {"realised": "date_realised", "planned": "date_planned"}

_WORDS: Mapping[str, tuple[str, str]] = {
    "district": ("자치구", "district"),
    "split": ("구별 배분", "split over districts"),
    "verified": ("확인됨", "verified"),
    "stage_verified": ("단계만 확인됨", "stage verified"),
    "illustrative": ("예시", "illustrative"),
    "stage": ("단계", "stage"),
    "pilot": ("시범", "pilot"),
    "final": ("완료", "final"),
    "date": ("시행일", "date"),
    "wave": ("조사 연도", "survey wave"),
    "dongs": ("동 수", "dongs"),
    "first_wave": ("첫 시행 조사 연도", "first wave"),
    "first_wave_planned": ("첫 시행 조사 연도 (계획)", "first wave, planned"),
    "first_wave_in_file": ("첫 시행 조사 연도 (파일)", "first wave, in the file"),
    "districts_planned": ("자치구 (계획)", "districts planned"),
    "districts_realised": ("자치구 (실제)", "districts realised"),
    "dongs_planned": ("동 (계획)", "dongs planned"),
    "dongs_realised": ("동 (실제)", "dongs realised"),
    "difference": ("차이 (실제 − 계획)", "difference (realised − planned)"),
    "share_realised": ("시행 동의 비율 (0–1)", "share of dongs covered (0–1)"),
    "dose": ("자치구 내 시행 동 비율 (0–1)", "share of the district's dongs covered (0–1)"),
    "dose_of_residents": ("자치구 내 시행 동 주민 비율 (0–1)", "share of the district's residents covered (0–1)"),
    "neighbour_dose": ("인접 자치구의 시행 동 비율 (0–1)", "share of dongs covered in adjoining districts (0–1)"),
    "g_dong": ("거주 동 첫 시행 조사 연도", "first wave with one's own dong covered"),
    "g_district": ("자치구 첫 시행 조사 연도", "first wave with a covered dong in the district"),
    "is_pilot": ("시범 동", "pilot dong"),
    "is_started": ("자치구 시행 시작", "district has started"),
    "uncovered_neighbour": ("시작된 구의 미시행 동", "own dong not covered in a started district"),
    "dose_gap_realised": ("비율의 최대 차이 (실제 일정과)", "largest gap in the share, realised"),
    "dose_gap_planned": ("비율의 최대 차이 (계획과)", "largest gap in the share, planned"),
    "agrees_with": ("일치하는 일정", "agrees with"),
    "realised": ("실제 일정", "realised schedule"),
    "planned": ("계획 일정", "planned schedule"),
    "both": ("둘 다", "both"),
    "neither": ("둘 다 아님", "neither"),
}


@dataclass(frozen=True, eq=False)
class RolloutLabels:
    """Words for districts, stages and columns of a roll-out; for all else those of ``base``.

    Attributes
    ----------
    names : mapping of str to (str, str)
        District code to Korean and English name.
    base : Labels
        What a survey's codebook says.
    dose_of : {"dongs", "residents"}
        What ``dose`` is a share of.
    """

    names: Mapping[str, tuple[str, str]]
    base: Labels = field(default_factory=PlainLabels)
    dose_of: DoseOf = "dongs"

    def variable(self, name: str, lang: str) -> str:
        """Return the label of a column."""
        known = self.base.variable(name, lang)
        if known != name or (name not in _WORDS and not name.startswith("covered_")):
            return known
        if name.startswith("covered_"):
            return f"{name.removeprefix('covered_')}{'년 시행 동' if lang == 'ko' else ', dongs covered'}"
        if name == "dose" and self.dose_of == "residents":
            name = "dose_of_residents"
        return _WORDS[name][0 if lang == "ko" else 1]

    def value(self, name: str, value: object, lang: str) -> str:
        """Return the label of a code of a column."""
        known, code = self.base.value(name, value, lang), code_text(value)
        if known != str(value):
            return known
        if name == "district" and code in self.names:
            return self.names[code][0 if lang == "ko" else 1]
        if name in {"split", "stage", "agrees_with"} and code in _WORDS:
            return _WORDS[code][0 if lang == "ko" else 1]
        return known


@dataclass(frozen=True, eq=False)
class RolloutTable:
    """Rows about a roll-out that know where they come from.

    Attributes
    ----------
    frame : pandas.DataFrame
        One row per stage, or per district.
    provenance : Provenance
        With the notice that says where the split over districts is illustrative.
    """

    frame: pd.DataFrame
    provenance: Provenance

    def tidy(self) -> pd.DataFrame:
        """Return the rows."""
        return self.frame.copy()

    def __repr__(self) -> str:
        return f"{self.frame.to_string(index=False)}\n{notice_of(self.provenance)}"

    def _repr_html_(self) -> str:
        return frame_html(self.frame) + card_html([("", notice_of(self.provenance))])


@dataclass(frozen=True, eq=False)
class Rollout:
    """A staged roll-out by district and date.

    Attributes
    ----------
    cells : pandas.DataFrame
        ``date`` (timestamp), ``wave`` (first survey wave that counts it), ``district`` (code as text),
        ``dongs_covered``, ``dongs_planned`` (stocks on that date), ``dongs``, ``split``, ``source``.
    stages : pandas.DataFrame
        ``stage, from, to, districts, dongs, status, source``: totals as published.
    districts : pandas.DataFrame
        ``district, name_ko, name_en, dongs, split``.
    provenance : Provenance
        With words for districts, and the notice of illustrative splits.
    timing : {"october_wave", "half_year"} or ("month", m)
        Which wave is the first to count what started on a date.
    dongs : pandas.DataFrame or None
        ``dong, district, date_planned, date_realised, is_pilot, residents``, where single dongs are known.
    neighbours : pandas.DataFrame or None
        ``district, neighbour``, each pair both ways round, where it is known which districts adjoin.
    pilots : {"count", "leave_out"}
        Whether pilot dongs count in doses and cohorts.
    """

    cells: pd.DataFrame
    stages: pd.DataFrame
    districts: pd.DataFrame
    provenance: Provenance
    timing: Timing = OCTOBER
    dongs: pd.DataFrame | None = None
    neighbours: pd.DataFrame | None = None
    pilots: Pilots = "count"

    @property
    def waves(self) -> list[int]:
        """Survey waves in which coverage changes, ascending."""
        return sorted(self.cells["wave"].unique().tolist())

    def cohorts(self, schedule: Schedule = "realised") -> pd.DataFrame:
        """Return ``district, first_wave, split``: the first wave with a covered dong, 0 where there is none.

        Which wave counts what started on a date is said by ``timing``.
        """
        dose = self.dose(schedule)
        started = (dose > 0).to_numpy()
        first = np.where(started.any(axis=1), dose.columns.to_numpy()[started.argmax(axis=1)], 0)
        split = self.districts.set_index("district")["split"].loc[dose.index]
        return pd.DataFrame({"district": dose.index, "first_wave": first, "split": split.to_numpy()})

    def dong_cohorts(self, schedule: Schedule = "realised") -> pd.DataFrame:
        """Return ``district, first_wave, dongs, split``: how many of a district's dongs each wave adds.

        Which dong within the district came first is not known; only their number is.
        """
        added = self._stocks(schedule).diff(axis=1).fillna(self._stocks(schedule))
        long = added.reset_index().melt("district", var_name="first_wave", value_name="dongs")
        long = long[long["dongs"] > 0].astype({"dongs": np.int64, "first_wave": np.int64})
        long = long.sort_values(["district", "first_wave"], ignore_index=True)
        return long.merge(self.districts[["district", "split"]], on="district", validate="m:1")

    def dose(self, schedule: Schedule = "realised", dose_of: DoseOf = "dongs") -> pd.DataFrame:
        """Return the share of each district's dongs, or of their residents, covered: districts by waves, 0 to 1.

        Raises
        ------
        EstimationError
            Unknown schedule or kind of share.
        SourceError
            Residents are asked for, but single dongs are not known.
        """
        require_schedule(schedule)
        if dose_of not in get_args(DoseOf):
            raise EstimationError(f"roll-out: no dose_of {dose_of!r}. {did_you_mean(dose_of, get_args(DoseOf))}")
        if dose_of == "dongs" and self.pilots == "count":
            stocks = self._stocks(schedule)
            return stocks.div(self.districts.set_index("district")["dongs"].loc[stocks.index], axis=0)
        own = self.known_dongs("a dose of residents" if dose_of == "residents" else "leaving pilots out")
        if self.pilots == "leave_out":
            own = own[own["is_pilot"] == 0]
        mass = own["residents"] if dose_of == "residents" else pd.Series(1.0, index=own.index)
        first = self.waves_of(own[_DATE[schedule]])
        total = mass.groupby(own["district"]).sum()
        return pd.DataFrame(
            {
                wave: (mass * ((first > 0) & (first <= wave))).groupby(own["district"]).sum() / total
                for wave in self.waves
            }
        )

    def waves_of(self, dates: pd.Series[Any]) -> pd.Series[Any]:
        """Return the first wave that counts each start, 0 where there is no date."""
        found = [0 if pd.isna(date) else wave_of(date, self.timing) for date in dates]
        return pd.Series(found, index=dates.index, dtype=np.int64)

    def known_dongs(self, what: str) -> pd.DataFrame:
        """Return the single dongs; a SourceError says what needs them where they are not known."""
        if self.dongs is None:
            raise SourceError(
                f"{what} needs {DONGS} in surveys/{self.provenance.survey} (dong, district, date_planned, "
                f"date_realised, is_pilot, residents); {FILE} holds numbers by district only."
            )
        return self.dongs

    def neighbour_dose(self, schedule: Schedule = "realised") -> pd.DataFrame:
        """Return the share of dongs covered in the districts that adjoin each district: districts by waves, 0 to 1.

        Raises
        ------
        SourceError
            It is not known which districts adjoin.
        """
        if self.neighbours is None:
            raise SourceError(
                f"coverage next door is not available: surveys/{self.provenance.survey} has no {NEIGHBOURS} (district, "
                f"neighbour). The places of {DISTRICTS} and the layout of a tile map do not say which districts adjoin."
            )
        dose, dongs = self.dose(schedule), self.districts.set_index("district")["dongs"].astype(float)
        own, other = (self.neighbours[name].to_numpy() for name in ("district", "neighbour"))
        size = dongs.loc[other].to_numpy()
        covered = dose.loc[other].mul(size, axis=0).groupby(own).sum()
        shares = covered.div(pd.Series(size).groupby(own).sum(), axis=0)
        return shares.reindex(dose.index)

    def _stocks(self, schedule: Schedule) -> pd.DataFrame:
        """Covered dongs, districts by waves: the last stock of each wave."""
        require_schedule(schedule)
        return self.cells.pivot_table(index="district", columns="wave", values=_COLUMN[schedule], aggfunc="max")

    def share_at(
        self,
        years: pd.Series[Any],
        districts: pd.Series[Any],
        schedule: Schedule = "realised",
        dose_of: DoseOf = "dongs",
    ) -> pd.Series:
        """Return the dose of each pair of year and district: 0 before the first wave, the last stock after the last."""
        return self.at(self.dose(schedule, dose_of), years, districts)

    def at(self, dose: pd.DataFrame, years: pd.Series[Any], districts: pd.Series[Any]) -> pd.Series:
        """Return the value of each pair of year and district from a table by wave, 0 before the first wave."""
        place = np.searchsorted(dose.columns.to_numpy(), years.to_numpy(dtype=float), side="right")
        row = dose.index.get_indexer(pd.Index(districts))
        padded = np.column_stack([np.zeros(len(dose)), dose.to_numpy()])
        return pd.Series(np.where(row >= 0, padded[row, place], 0.0), index=districts.index)

    def compare(self) -> RolloutTable:
        """Return the plan and what happened, one row per stage.

        Returns
        -------
        RolloutTable
            ``stage, date, wave, districts_planned, districts_realised, dongs_planned, dongs_realised,
            difference`` (realised less planned dongs), ``share_realised`` (of all dongs); pilots have no plan.
        """
        total = int(self.districts["dongs"].sum())
        rows = []
        for stage in self.stages[self.stages["status"] == REAL].to_dict("records"):
            cells = self.cells[self.cells["date"] == stage["from"]]
            plan = np.nan if cells.empty else int(cells["dongs_planned"].sum())
            places = np.nan if cells.empty else int((cells["dongs_planned"] > 0).sum())
            rows.append(
                {
                    "stage": stage["stage"],
                    "date": stage["from"].date().isoformat(),
                    "wave": str(wave_of(stage["from"], self.timing)),
                    "districts_planned": places,
                    "districts_realised": stage["districts"],
                    "dongs_planned": plan,
                    "dongs_realised": stage["dongs"],
                    "difference": np.nan if cells.empty else stage["dongs"] - plan,
                    "share_realised": stage["dongs"] / total,
                }
            )
        numbers = ["districts_planned", "districts_realised", "dongs_planned", "dongs_realised", "difference"]
        return RolloutTable(pd.DataFrame(rows).astype(dict.fromkeys(numbers, float)), self.provenance)

    def tidy(self) -> pd.DataFrame:
        """Return one row per district: split, dongs, first wave realised and planned, dongs covered by wave."""
        first, planned = (self.cohorts(kind).set_index("district")["first_wave"] for kind in get_args(Schedule))
        stocks = self._stocks("realised")
        frame = self.districts[["district", "split", "dongs"]].copy()
        frame["first_wave"] = frame["district"].map(first).astype(str)
        frame["first_wave_planned"] = frame["district"].map(planned).astype(str)
        for wave in self.waves:
            frame[f"covered_{wave}"] = frame["district"].map(stocks[wave])
        return frame

    def __repr__(self) -> str:
        return "\n".join(f"{head}: {text}" for head, text in self._card())

    def _repr_html_(self) -> str:
        return card_html(self._card())

    def _card(self) -> list[tuple[str, str]]:
        counts = self.districts["split"].value_counts()
        known = ", ".join(f"{kind} {counts[kind]}" for kind in SPLITS if kind in counts)
        return [
            (
                "roll-out",
                f"{self.provenance.survey}, {len(self.districts)} districts, {self.waves[0]}-{self.waves[-1]}",
            ),
            ("split", known),
            ("timing", told(self.timing, project.language())),
            *([("pilots", LEFT_OUT[project.language()])] if self.pilots == "leave_out" else []),
            ("note", notice_of(self.provenance)),
        ]


def notice_of(provenance: Provenance) -> str:
    """Return the notice in the language of the project."""
    return provenance.notice.get(project.language(), "")


def require_schedule(schedule: str) -> None:
    """Raise an EstimationError unless a schedule is known."""
    if schedule not in get_args(Schedule):
        raise EstimationError(f"roll-out: no schedule {schedule!r}. {did_you_mean(schedule, get_args(Schedule))}")


def require_rollout(rollout: object, verb: str) -> None:
    """Raise an EstimationError unless a verb was given a roll-out."""
    if not isinstance(rollout, Rollout):
        raise EstimationError(f"{verb} needs a roll-out, got {came(rollout)}. Read it first: ev.read_rollout('...').")


def read_rollout(survey_id: str, *, timing: Timing = OCTOBER, pilots: Pilots = "count") -> Rollout:
    """Read and check the roll-out table of a survey.

    Parameters
    ----------
    survey_id : str
        Folder in ``surveys/`` with ``rollout.csv`` (district by date), ``rollout_stages.csv`` (published totals)
        and ``districts.csv`` (names, dongs, how well the split is known). Where they are there, also
        ``rollout_dongs.csv`` (dates, pilot and residents of single dongs) and ``neighbours.csv`` (pairs of adjoining
        districts).
    timing : {"october_wave", "half_year"} or ("month", m), default "october_wave"
        Which yearly wave is the first to count what started on a date. The October wave counts what has started by
        the first of October, ``("month", m)`` what has by the first of month m; ``"half_year"`` takes surveys of July
        to December into the first treated year, the year of the start.
    pilots : {"count", "leave_out"}, default "count"
        Whether pilot dongs count in doses and cohorts; leaving them out needs ``rollout_dongs.csv``.

    Returns
    -------
    Rollout

    Raises
    ------
    SourceError
        A file is missing, or single dongs are, where pilots are to be left out.
    EstimationError
        Unknown timing, or unknown treatment of pilots.
    SurveyError
        A file contradicts itself or another: every fault with file and row, the rows in ``failures``.

    Examples
    --------
    >>> read_rollout("seoul_2016").compare().tidy()[["stage", "dongs_planned", "dongs_realised"]]
       stage  dongs_planned  dongs_realised
    0  pilot            NaN             4.0
    1      1           80.0            80.0
    2      2          283.0           283.0
    3      3          424.0           342.0
    4      4          424.0           408.0
    5  final          424.0           424.0
    """
    require_timing(timing)
    if pilots not in get_args(Pilots):
        raise EstimationError(f"read_rollout: pilots must be 'count' or 'leave_out', got {pilots!r}.")
    if not isinstance(survey_id, str) or not survey_id:
        raise ProjectError(f"read_rollout: survey_id must be the id of a survey, got {came(survey_id)}.")
    folder = project.survey_folder(survey_id)
    faults = Faults(survey_id)
    districts = typed(folder / DISTRICTS, DISTRICT_COLUMNS, faults, whole=("dongs",))
    numbers = ("wave", "dongs_covered", "dongs_planned", "dongs")
    cells = typed(folder / FILE, CELL_COLUMNS, faults, whole=numbers, dates=("date",))
    totals, span = ("districts", "dongs"), ("from", "to")
    stages = typed(folder / STAGES, STAGE_COLUMNS, faults, whole=totals, dates=span, blank=("districts", "to"))
    dongs = read_dongs(folder / DONGS, faults)
    neighbours = read_neighbours(folder, districts, faults)
    faults.give_up()
    check_cells(cells, districts, faults)
    check_order(cells, faults)
    check_stages(cells, stages, faults)
    if dongs is not None:
        check_dongs(dongs, cells, districts, faults)
    faults.give_up()
    cells["wave"] = [wave_of(date, timing) for date in cells["date"]]
    where = _provenance(survey_id, districts, timing, pilots)
    made = Rollout(cells, stages, districts, where, timing, dongs, neighbours, pilots)
    if pilots == "leave_out":
        made.known_dongs("leaving pilots out")
    return made


def _provenance(survey_id: str, districts: pd.DataFrame, timing: Timing, pilots: Pilots) -> Provenance:
    title = read_description(survey_id).title
    names = {row["district"]: (row["name_ko"], row["name_en"]) for row in districts.to_dict("records")}
    titles = {
        lang: f"{title.in_language(lang)}: {'시행 일정' if lang == 'ko' else 'roll-out'}" for lang in ("ko", "en")
    }
    notice = split_notice(districts)
    for lang in ("ko", "en"):
        said = [notice.get(lang, ""), told(timing, lang) if timing != OCTOBER else ""]
        said.append(LEFT_OUT[lang] if pilots == "leave_out" else "")
        notice |= {lang: ". ".join(filter(None, said))} if any(said) else {}
    return Provenance(survey_id, titles, notice=notice, labels=RolloutLabels(names))


def split_notice(districts: pd.DataFrame) -> dict[str, str]:
    """Return what must stand below everything made from the split over districts; empty where all is verified."""
    verified, stage, illustrative = (int((districts["split"] == kind).sum()) for kind in SPLITS)
    if stage + illustrative == 0:
        return {}
    return {
        "ko": f"시 전체 합계는 실제 수치임. 구별 배분은 {verified}개 구는 확인됨, {stage}개 구는 시행 단계만 확인됨, "
        f"{illustrative}개 구는 예시(illustrative)임",
        "en": f"City totals are real; the split over districts is verified for {verified} districts, by stage alone "
        f"for {stage}, and illustrative for {illustrative}",
    }
