"""The official figures that the synthetic city is built on, read from the survey's own tables."""

from __future__ import annotations

import csv
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation import project
from evaluation.errors import SourceError

SURVEY = "seoul_2016"
#: Finest margin of the population: district, sex and age group.
CELLS = "district:sex:age_group"
CELL_VARIABLES = ("district", "sex", "age_group")


@dataclass(frozen=True, eq=False)
class Registers:
    """Official figures by district.

    Attributes
    ----------
    districts : pandas.DataFrame, 25 rows
        ``district`` (code of the Seoul Survey), ``households``, ``dongs``, ``split`` (verified,
        stage_verified or illustrative: what is known of its place in the roll-out).
    population : pandas.DataFrame, 350 rows
        ``district, sex, age_group, persons`` aged 15 and over, December 2016.
    schedule : pandas.DataFrame, 125 rows
        ``date, wave, district, dongs_covered, dongs_planned``: stocks at five dates.
    """

    districts: pd.DataFrame
    population: pd.DataFrame
    schedule: pd.DataFrame

    @property
    def codes(self) -> NDArray[np.int64]:
        """District codes in the order of the tables."""
        return self.districts["district"].to_numpy(dtype=np.int64)


def read_registers() -> Registers:
    """Read ``margins.csv``, ``districts.csv`` and ``rollout.csv`` of survey ``seoul_2016``.

    Returns
    -------
    Registers

    Raises
    ------
    SourceError
        A table is missing or lacks a column.

    Examples
    --------
    >>> registers = read_registers()
    >>> int(registers.population["persons"].sum()), int(registers.districts["dongs"].sum())
    (8832952, 424)
    """
    margins = _rows("margins.csv", ("margin", "level", "value"))
    cells = [(*row["level"].split(":"), row["value"]) for row in margins if row["margin"] == CELLS]
    population = pd.DataFrame(cells, columns=[*CELL_VARIABLES, "persons"]).astype(np.int64)
    districts = pd.DataFrame(_rows("districts.csv", ("district", "households", "dongs", "split")))
    whole = ["district", "households", "dongs"]
    schedule = pd.DataFrame(_rows("rollout.csv", ("date", "wave", "district", "dongs_covered", "dongs_planned")))
    counted = ["wave", "district", "dongs_covered", "dongs_planned"]
    return Registers(
        districts[[*whole, "split"]].astype(dict.fromkeys(whole, np.int64)),
        population.sort_values(list(CELL_VARIABLES), ignore_index=True),
        schedule[["date", *counted]].astype(dict.fromkeys(counted, np.int64)),
    )


def _rows(file: str, needed: tuple[str, ...]) -> list[dict[str, str]]:
    path = project.survey_folder(SURVEY) / file
    if not path.is_file():
        raise SourceError(f"surveys/{SURVEY}/{file} is not there. Restore it from the repository.")
    with path.open(encoding="utf-8-sig", newline="") as text:
        reader = csv.DictReader(text)
        absent = [name for name in needed if name not in (reader.fieldnames or [])]
        if absent:
            raise SourceError(f"surveys/{SURVEY}/{file}: expected the columns {list(needed)}, missing {absent}.")
        return list(reader)


def whole_parts(shares: NDArray[np.float64], total: int) -> NDArray[np.int64]:
    """Return whole numbers in proportion to ``shares`` that add up to ``total`` (largest remainders).

    Examples
    --------
    >>> whole_parts(np.array([1.0, 1.0, 2.0]), 7)
    array([2, 2, 3])
    """
    exact = shares / shares.sum() * total
    parts: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    order = np.argsort(np.round(parts - exact, 9), kind="stable")
    parts[order[: total - int(parts.sum())]] += 1
    return parts
