"""The files of a roll-out: read, typed, and held against each other, every fault with file, row and column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evaluation.errors import SurveyError, did_you_mean
from evaluation.impact.rollout.timing import wave_of
from evaluation.survey.codebook import code_text
from evaluation.survey.formats import read_table

FILE, STAGES, DISTRICTS = "rollout.csv", "rollout_stages.csv", "districts.csv"
DONGS, NEIGHBOURS = "rollout_dongs.csv", "neighbours.csv"
CELL_COLUMNS = ("date", "wave", "district", "dongs_covered", "dongs_planned", "dongs", "split", "source")
STAGE_COLUMNS = ("stage", "from", "to", "districts", "dongs", "status", "source")
DISTRICT_COLUMNS = ("district", "name_ko", "name_en", "dongs", "split")
DONG_COLUMNS = ("dong", "district", "date_planned", "date_realised", "is_pilot", "residents")
NEIGHBOUR_COLUMNS = ("district", "neighbour")
#: How well the number of dongs of a district is known.
SPLITS = ("verified", "stage_verified", "illustrative")
PILOT, REAL, PLAN = "pilot", "real", "plan not realised"


class Faults:
    """What is wrong in the files, collected so that all of it is said at once."""

    def __init__(self, survey_id: str) -> None:
        self.survey_id = survey_id
        self.rows: list[dict[str, Any]] = []

    def add(self, file: str, row: int | str, text: str, column: str = "-") -> None:
        """Note a fault; ``row`` is the line of the file, its heading being line 1."""
        self.rows.append({"file": file, "row": row, "column": column, "fault": text})

    def give_up(self) -> None:
        """Raise a SurveyError if there was any fault."""
        if not self.rows:
            return
        lines = [f"{fault['file']}, row {fault['row']}: {fault['fault']}" for fault in self.rows[:10]]
        more = [f"and {len(self.rows) - 10} more."] if len(self.rows) > 10 else []
        told = "\n  ".join([*lines, *more])
        number = f"{len(self.rows)} fault{'' if len(self.rows) == 1 else 's'}"
        raise SurveyError(
            f"the roll-out in surveys/{self.survey_id} contradicts itself ({number}):\n  {told}\n"
            f"  Correct the files; no figure is made from a roll-out that does not add up.",
            failures=pd.DataFrame(self.rows),
        )


def typed(
    path: Path,
    columns: tuple[str, ...],
    faults: Faults,
    *,
    whole: tuple[str, ...] = (),
    dates: tuple[str, ...] = (),
    blank: tuple[str, ...] = (),
) -> pd.DataFrame:
    """Read a file with these columns; note values that are no whole number or no date."""
    raw = read_table(path).frame
    absent = [name for name in columns if name not in raw]
    if absent:
        faults.add(path.name, 1, f"expected the columns {', '.join(columns)}; missing {', '.join(absent)}", absent[0])
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
            faults.add(path.name, int(at) + 2, f"{name} is '{frame[name].iloc[at]}', expected {kind}", name)
        frame[name] = values if name in dates else values.astype("Int64")
    for name in ("district", "dong", "neighbour"):
        if name in frame:
            frame[name] = frame[name].map(code_text)
    if not faults.rows:
        frame = frame.astype({name: np.int64 for name in whole if name not in blank})
    return frame


def check_cells(cells: pd.DataFrame, districts: pd.DataFrame, faults: Faults) -> None:
    """Hold the numbers of each district and date against the district's dongs, and the October rule."""
    total = districts.drop_duplicates("district").set_index("district")["dongs"]
    for at, row in enumerate(cells.to_dict("records"), start=2):
        if row["district"] not in total.index:
            faults.add(FILE, at, f"district {row['district']} does not stand in {DISTRICTS}", "district")
        elif row["dongs"] != total[row["district"]]:
            faults.add(FILE, at, f"dongs is {row['dongs']}, but {DISTRICTS} says {total[row['district']]}", "dongs")
        for name in ("dongs_covered", "dongs_planned"):
            if row[name] > row["dongs"]:
                faults.add(FILE, at, f"{name} is {row[name]} of {row['dongs']} dongs", name)
        if row["wave"] != wave_of(row["date"]):
            told = f"wave is {row['wave']}, but the wave of {row['date'].date()} is {wave_of(row['date'])}"
            faults.add(FILE, at, told, "wave")
        if row["split"] not in SPLITS:
            faults.add(FILE, at, f"split is '{row['split']}'. {did_you_mean(row['split'], SPLITS)}", "split")
    for second in np.flatnonzero(cells.duplicated(["district", "date"]).to_numpy()):
        told = f"district {cells['district'].iloc[second]} stands twice on that date"
        faults.add(FILE, int(second) + 2, told, "district")
    for second in np.flatnonzero(districts.duplicated("district").to_numpy()):
        faults.add(
            DISTRICTS, int(second) + 2, f"district {districts['district'].iloc[second]} stands twice", "district"
        )
    counts = cells.groupby("date")["district"].nunique()
    for date, number in counts[counts < len(total)].items():
        told = f"{pd.Timestamp(str(date)).date()} has {number} of {len(total)} districts"
        faults.add(FILE, "-", told, "district")


def check_order(cells: pd.DataFrame, faults: Faults) -> None:
    """Note stocks that fall."""
    ordered = cells.assign(row=np.arange(2, len(cells) + 2)).sort_values(["district", "date"])
    for name in ("dongs_covered", "dongs_planned"):
        fallen = ordered.groupby("district")[name].diff() < 0
        for row in ordered[fallen].to_dict("records"):
            faults.add(FILE, row["row"], f"{name} of district {row['district']} falls to {row[name]}", name)


def check_stages(cells: pd.DataFrame, stages: pd.DataFrame, faults: Faults) -> None:
    """Hold the published totals against the sums over districts."""
    for second in np.flatnonzero(stages.duplicated("stage").to_numpy()):
        faults.add(STAGES, int(second) + 2, f"stage {stages['stage'].iloc[second]} stands twice", "stage")
    for at, stage in enumerate(stages.to_dict("records"), start=2):
        if pd.notna(stage["to"]) and stage["to"] < stage["from"]:
            faults.add(STAGES, at, f"ends on {stage['to'].date()}, before it begins", "to")
        if stage["stage"] == PILOT:
            continue
        if stage["status"] not in (REAL, PLAN):
            told = f"status is '{stage['status']}'. {did_you_mean(stage['status'], (REAL, PLAN))}"
            faults.add(STAGES, at, told, "status")
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
                "dongs",
            )
    real = stages.loc[stages["status"] == REAL, "from"]
    for date in sorted(set(cells["date"]) - set(real)):
        faults.add(FILE, "-", f"{date.date()} begins no stage of {STAGES}", "date")


def read_dongs(path: Path, faults: Faults) -> pd.DataFrame | None:
    """Read the dates of single dongs; None where there is no such file."""
    if not path.is_file():
        return None
    whole, dates = ("is_pilot", "residents"), ("date_planned", "date_realised")
    return typed(path, DONG_COLUMNS, faults, whole=whole, dates=dates, blank=dates)


def check_dongs(dongs: pd.DataFrame, cells: pd.DataFrame, districts: pd.DataFrame, faults: Faults) -> None:
    """Hold single dongs against the districts' numbers and stocks on every date."""
    total = districts.drop_duplicates("district").set_index("district")["dongs"]
    for at, row in enumerate(dongs.to_dict("records"), start=2):
        if row["district"] not in total.index:
            faults.add(DONGS, at, f"district {row['district']} does not stand in {DISTRICTS}", "district")
        if row["is_pilot"] not in (0, 1):
            faults.add(DONGS, at, f"is_pilot is {row['is_pilot']}, expected 0 or 1", "is_pilot")
        if row["residents"] == 0:
            faults.add(DONGS, at, f"dong {row['dong']} has no residents", "residents")
        if row["is_pilot"] == 1 and pd.isna(row["date_realised"]):
            faults.add(DONGS, at, f"dong {row['dong']} was a pilot, but has no date", "date_realised")
    for second in np.flatnonzero(dongs.duplicated("dong").to_numpy()):
        faults.add(DONGS, int(second) + 2, f"dong {dongs['dong'].iloc[second]} stands twice", "dong")
    counts = dongs["district"].value_counts()
    for district, number in total.items():
        if counts.get(district, 0) != number:
            told = f"district {district} has {counts.get(district, 0)} dongs, but {DISTRICTS} says {number}"
            faults.add(DONGS, "-", told, "district")
    if faults.rows:
        return
    for at, row in enumerate(cells.to_dict("records"), start=2):
        own = dongs[dongs["district"] == row["district"]]
        for name, column in (("dongs_covered", "date_realised"), ("dongs_planned", "date_planned")):
            reached = int((own[column] <= row["date"]).sum())
            if reached != row[name]:
                told = (
                    f"{name} of district {row['district']} is {row[name]} on {row['date'].date()}, but {DONGS} has "
                    f"{reached} dongs with {column} up to then"
                )
                faults.add(FILE, at, told, name)


def read_neighbours(folder: Path, districts: pd.DataFrame, faults: Faults) -> pd.DataFrame | None:
    """Return pairs of adjoining districts, both ways round; None where no file tells them."""
    path = folder / NEIGHBOURS
    if not path.is_file():
        return None
    pairs = typed(path, NEIGHBOUR_COLUMNS, faults)
    known = set(districts["district"])
    for at, row in enumerate(pairs.to_dict("records"), start=2):
        for name in NEIGHBOUR_COLUMNS:
            if row[name] not in known:
                faults.add(NEIGHBOURS, at, f"{name} {row[name]} does not stand in {DISTRICTS}", name)
        if row["district"] == row["neighbour"]:
            faults.add(NEIGHBOURS, at, f"district {row['district']} adjoins itself", "neighbour")
    turned = pairs.rename(columns={"district": "neighbour", "neighbour": "district"})
    return pd.concat([pairs, turned])[list(NEIGHBOUR_COLUMNS)].drop_duplicates(ignore_index=True)
