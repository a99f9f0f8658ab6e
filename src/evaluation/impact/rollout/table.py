"""A staged roll-out as data: which district had how many covered neighbourhoods when, realised and as planned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from evaluation import project
from evaluation.errors import EstimationError, SurveyError, did_you_mean
from evaluation.results import Labels, PlainLabels, Provenance, card_html, frame_html
from evaluation.survey.codebook import code_text
from evaluation.survey.formats import read_table
from evaluation.survey.source import read_description

Schedule = Literal["realised", "planned"]

FILE, STAGES, DISTRICTS = "rollout.csv", "rollout_stages.csv", "districts.csv"
CELL_COLUMNS = ("date", "wave", "district", "dongs_covered", "dongs_planned", "dongs", "split", "source")
STAGE_COLUMNS = ("stage", "from", "to", "districts", "dongs", "status", "source")
DISTRICT_COLUMNS = ("district", "name_ko", "name_en", "dongs", "split")
#: How well the number of dongs of a district is known.
SPLITS = ("verified", "stage_verified", "illustrative")
#: The survey is in the field in October: what has started by the first of it counts in that year's wave.
SURVEY_MONTH = 10
PILOT, REAL, PLAN = "pilot", "real", "plan not realised"
_COLUMN = {"realised": "dongs_covered", "planned": "dongs_planned"}

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
    """

    names: Mapping[str, tuple[str, str]]
    base: Labels = field(default_factory=PlainLabels)

    def variable(self, name: str, lang: str) -> str:
        """Return the label of a column."""
        known = self.base.variable(name, lang)
        if known != name or (name not in _WORDS and not name.startswith("covered_")):
            return known
        if name.startswith("covered_"):
            return f"{name.removeprefix('covered_')}{'년 시행 동' if lang == 'ko' else ', dongs covered'}"
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
    """

    cells: pd.DataFrame
    stages: pd.DataFrame
    districts: pd.DataFrame
    provenance: Provenance

    @property
    def waves(self) -> list[int]:
        """Survey waves in which coverage changes, ascending."""
        return sorted(self.cells["wave"].unique().tolist())

    def cohorts(self, schedule: Schedule = "realised") -> pd.DataFrame:
        """Return ``district, first_wave, split``: the first wave with a covered dong, 0 where there is none.

        Units that have started by the first of October count in that year's wave, which is in the field then.
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

    def dose(self, schedule: Schedule = "realised") -> pd.DataFrame:
        """Return the share of each district's dongs that is covered: districts by waves, 0 to 1."""
        stocks = self._stocks(schedule)
        return stocks.div(self.districts.set_index("district")["dongs"].loc[stocks.index], axis=0)

    def _stocks(self, schedule: Schedule) -> pd.DataFrame:
        """Covered dongs, districts by waves: the last stock of each wave."""
        if schedule not in get_args(Schedule):
            raise EstimationError(f"roll-out: no schedule {schedule!r}. {did_you_mean(schedule, get_args(Schedule))}")
        return self.cells.pivot_table(index="district", columns="wave", values=_COLUMN[schedule], aggfunc="max")

    def share_at(self, years: pd.Series[Any], districts: pd.Series[Any], schedule: Schedule = "realised") -> pd.Series:
        """Return the dose of each pair of year and district: 0 before the first wave, the last stock after the last."""
        dose = self.dose(schedule)
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
        for stage in self.stages.query("status == @REAL").to_dict("records"):
            cells = self.cells[self.cells["date"] == stage["from"]]
            plan = np.nan if cells.empty else int(cells["dongs_planned"].sum())
            places = np.nan if cells.empty else int((cells["dongs_planned"] > 0).sum())
            rows.append(
                {
                    "stage": stage["stage"],
                    "date": stage["from"].date().isoformat(),
                    "wave": str(wave_of(stage["from"])),
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
            ("note", notice_of(self.provenance)),
        ]


def notice_of(provenance: Provenance) -> str:
    """Return the notice in the language of the project."""
    return provenance.notice.get(project.language(), "")


def wave_of(date: pd.Timestamp) -> int:
    """Return the first survey wave that counts what started on a date: that year's, if it started by 1 October.

    Examples
    --------
    >>> wave_of(pd.Timestamp("2017-07-18")), wave_of(pd.Timestamp("2017-10-02"))
    (2017, 2018)
    """
    return int(date.year) + int((date.month, date.day) > (SURVEY_MONTH, 1))


def read_rollout(survey_id: str) -> Rollout:
    """Read and check the roll-out table of a survey.

    Parameters
    ----------
    survey_id : str
        Folder in ``surveys/`` with ``rollout.csv`` (district by date), ``rollout_stages.csv`` (published totals)
        and ``districts.csv`` (names, dongs, how well the split is known).

    Returns
    -------
    Rollout

    Raises
    ------
    SourceError
        A file is missing.
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
    folder = project.survey_folder(survey_id)
    faults = _Faults(survey_id)
    districts = _typed(folder / DISTRICTS, DISTRICT_COLUMNS, faults, whole=("dongs",))
    cells = _typed(
        folder / FILE, CELL_COLUMNS, faults, whole=("wave", "dongs_covered", "dongs_planned", "dongs"), dates=("date",)
    )
    stages = _typed(
        folder / STAGES,
        STAGE_COLUMNS,
        faults,
        whole=("districts", "dongs"),
        dates=("from", "to"),
        blank=("districts", "to"),
    )
    faults.give_up()
    _check_cells(cells, districts, faults)
    _check_order(cells, faults)
    _check_stages(cells, stages, faults)
    faults.give_up()
    return Rollout(cells, stages, districts, _provenance(survey_id, districts))


def _provenance(survey_id: str, districts: pd.DataFrame) -> Provenance:
    title = read_description(survey_id).title
    names = {row["district"]: (row["name_ko"], row["name_en"]) for row in districts.to_dict("records")}
    titles = {
        lang: f"{title.in_language(lang)}: {'시행 일정' if lang == 'ko' else 'roll-out'}" for lang in ("ko", "en")
    }
    return Provenance(survey_id, titles, notice=split_notice(districts), labels=RolloutLabels(names))


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


class _Faults:
    """What is wrong in the files, collected so that all of it is said at once."""

    def __init__(self, survey_id: str) -> None:
        self.survey_id = survey_id
        self.rows: list[dict[str, Any]] = []

    def add(self, file: str, row: int | str, text: str) -> None:
        """Note a fault; ``row`` is the line of the file, its heading being line 1."""
        self.rows.append({"file": file, "row": row, "fault": text})

    def give_up(self) -> None:
        """Raise a SurveyError if there was any fault."""
        if not self.rows:
            return
        lines = [f"{fault['file']}, row {fault['row']}: {fault['fault']}" for fault in self.rows[:10]]
        more = [f"and {len(self.rows) - 10} more."] if len(self.rows) > 10 else []
        told = "\n  ".join([*lines, *more])
        raise SurveyError(
            f"the roll-out in surveys/{self.survey_id} contradicts itself ({len(self.rows)} faults):\n  {told}\n"
            f"  Correct the files; no figure is made from a roll-out that does not add up.",
            failures=pd.DataFrame(self.rows),
        )


def _typed(
    path: Path,
    columns: tuple[str, ...],
    faults: _Faults,
    *,
    whole: tuple[str, ...],
    dates: tuple[str, ...] = (),
    blank: tuple[str, ...] = (),
) -> pd.DataFrame:
    """Read a file with these columns; note values that are no whole number or no date."""
    raw = read_table(path).frame
    absent = [name for name in columns if name not in raw]
    if absent:
        faults.add(path.name, 1, f"expected the columns {', '.join(columns)}; missing {', '.join(absent)}")
        faults.give_up()
    frame = raw.astype(object).where(raw.notna(), "")
    for name in (*whole, *dates):
        empty = (frame[name] == "").to_numpy()
        values: pd.Series[Any]
        if name in dates:
            values = pd.to_datetime(frame[name].where(~empty), format="%Y-%m-%d", errors="coerce")
            kind = "a date such as 2017-07-18"
        else:
            values = pd.to_numeric(frame[name].where(~empty), errors="coerce")
            values = values.where((values >= 0) & (values == values.round()))
            kind = "a whole number"
        wrong = values.isna().to_numpy() & ~(empty & (name in blank))
        for at in np.flatnonzero(wrong):
            faults.add(path.name, int(at) + 2, f"{name} is '{frame[name].iloc[at]}', expected {kind}")
        frame[name] = values if name in dates else values.astype("Int64")
    if "district" in frame:
        frame["district"] = frame["district"].map(code_text)
    if not faults.rows:
        frame = frame.astype({name: np.int64 for name in whole if name not in blank})
    return frame


def _check_cells(cells: pd.DataFrame, districts: pd.DataFrame, faults: _Faults) -> None:
    total = districts.set_index("district")["dongs"]
    for at, row in enumerate(cells.to_dict("records"), start=2):
        if row["district"] not in total.index:
            faults.add(FILE, at, f"district {row['district']} does not stand in {DISTRICTS}")
        elif row["dongs"] != total[row["district"]]:
            faults.add(FILE, at, f"dongs is {row['dongs']}, but {DISTRICTS} says {total[row['district']]}")
        for name in ("dongs_covered", "dongs_planned"):
            if row[name] > row["dongs"]:
                faults.add(FILE, at, f"{name} is {row[name]} of {row['dongs']} dongs")
        if row["wave"] != wave_of(row["date"]):
            faults.add(
                FILE, at, f"wave is {row['wave']}, but the wave of {row['date'].date()} is {wave_of(row['date'])}"
            )
        if row["split"] not in SPLITS:
            faults.add(FILE, at, f"split is '{row['split']}'. {did_you_mean(row['split'], SPLITS)}")
    for second in np.flatnonzero(cells.duplicated(["district", "date"]).to_numpy()):
        faults.add(FILE, int(second) + 2, f"district {cells['district'].iloc[second]} stands twice on that date")
    counts = cells.groupby("date")["district"].nunique()
    for date, number in counts[counts < len(districts)].items():
        faults.add(FILE, "-", f"{pd.Timestamp(str(date)).date()} has {number} of {len(districts)} districts")


def _check_order(cells: pd.DataFrame, faults: _Faults) -> None:
    ordered = cells.assign(row=np.arange(2, len(cells) + 2)).sort_values(["district", "date"])
    for name in ("dongs_covered", "dongs_planned"):
        fallen = ordered.groupby("district")[name].diff() < 0
        for row in ordered[fallen].to_dict("records"):
            faults.add(FILE, row["row"], f"{name} of district {row['district']} falls to {row[name]}")


def _check_stages(cells: pd.DataFrame, stages: pd.DataFrame, faults: _Faults) -> None:
    for at, stage in enumerate(stages.to_dict("records"), start=2):
        if pd.notna(stage["to"]) and stage["to"] < stage["from"]:
            faults.add(STAGES, at, f"ends on {stage['to'].date()}, before it begins")
        if stage["stage"] == PILOT:
            continue
        if stage["status"] not in (REAL, PLAN):
            faults.add(STAGES, at, f"status is '{stage['status']}'. {did_you_mean(stage['status'], (REAL, PLAN))}")
            continue
        column = "dongs_covered" if stage["status"] == REAL else "dongs_planned"
        same = cells["date"] == stage["from"] if stage["status"] == REAL else cells["wave"] == wave_of(stage["from"])
        found = cells[same]
        reached = (int((found[column] > 0).sum()), int(found[column].sum()))
        if reached != (stage["districts"], stage["dongs"]):
            faults.add(
                STAGES,
                at,
                f"stage '{stage['stage']}' has {stage['dongs']} dongs in {stage['districts']} districts, but {FILE} "
                f"adds up to {reached[1]} in {reached[0]} on {stage['from'].date()}",
            )
    real = stages.loc[stages["status"] == REAL, "from"]
    for date in sorted(set(cells["date"]) - set(real)):
        faults.add(FILE, "-", f"{date.date()} begins no stage of {STAGES}")
