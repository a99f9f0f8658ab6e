"""The numbers of a run, by address."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import dropwhile
from pathlib import Path
from typing import Any

from evaluation import project
from evaluation.claims.register import Address
from evaluation.errors import did_you_mean
from evaluation.publication import PublishedEstimates, read_estimates, read_published
from evaluation.results import TIDY_COLUMNS


def published_estimates(study: str) -> PublishedEstimates:
    """Return every estimate that the steps before this one published.

    Parameters
    ----------
    study : str
        Id of the study.

    Returns
    -------
    PublishedEstimates
        A mapping of name to Estimates, in the order of publication. A notebook opened by hand reads what
        it published itself, and for the rest the last good run or the published one.
    """
    found = [read_published(folder) for folder in _readable(study)]
    estimates = {name: item for part in found for name, item in part.items()}
    return PublishedEstimates(estimates, {name: title for part in found for name, title in part.titles.items()})


def published_contents(study: str) -> dict[str, dict[str, Any]]:
    """Return the same as the contents of their files, by name."""
    return {name: content for folder in _readable(study) for name, content in read_estimates(folder).items()}


def _readable(study: str) -> list[Path]:
    """Return where a notebook may read: in the run itself; by hand, also in earlier runs, the later the better."""
    run = project.run_folder(study)
    outputs = project.project_root() / "outputs"
    return [run] if project.is_of_record() else [outputs / "reference" / study, outputs / study, run]


def read_numbers(run_folder: Path) -> dict[Address, float | None]:
    """Return every number of a run by its address; None where the run holds no value there."""
    numbers: dict[Address, float | None] = {}
    for name, content in read_estimates(run_folder).items():
        for row in content["rows"]:
            keys = _keys(row)
            by = tuple((key, value) for key, value in keys.items() if key != "term")
            values = dropwhile(lambda item: item[0] not in TIDY_COLUMNS, row.items())
            numbers |= {Address(name, keys.get("term", ""), by, column): _number(value) for column, value in values}
    return numbers


def _keys(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the key columns of a row, those before the first column of ``TIDY_COLUMNS``, as text."""
    keys = {}
    for name, value in row.items():
        if name in TIDY_COLUMNS:
            break
        if value is not None:
            keys[name] = f"{value:g}" if isinstance(value, float) else str(value)
    return keys


def _number(value: object) -> float | None:
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if usable else None  # type: ignore[arg-type]


def look_up(address: Address, estimates: Mapping[str, Mapping[str, Any]]) -> tuple[float | None, str]:
    """Return the number at an address, or None with the reason and the nearest name."""
    if address.name not in estimates:
        return None, f"the run published no estimate '{address.name}'. {did_you_mean(address.name, estimates)}".rstrip()
    rows = estimates[address.name]["rows"]
    of_term = [row for row in rows if _keys(row).get("term") == address.term]
    if not of_term:
        terms = dict.fromkeys(_keys(row).get("term", "") for row in rows)
        return None, f"'{address.name}' has no term '{address.term}'. {did_you_mean(address.term, terms)}"
    wanted = set(address.by)
    chosen = [row for row in of_term if wanted <= set(_keys(row).items())]
    if len(chosen) != 1:
        return None, _not_one_row(address, of_term, len(chosen))
    if address.column not in chosen[0]:
        return None, f"'{address.name}' has no column '{address.column}'. {did_you_mean(address.column, chosen[0])}"
    number = _number(chosen[0][address.column])
    return number, "" if number is not None else f"the run holds no value there (column '{address.column}' is empty)"


def _not_one_row(address: Address, rows: list[Mapping[str, Any]], found: int) -> str:
    by = [",".join(f"{key}={value}" for key, value in _keys(row).items() if key != "term") for row in rows]
    asked = ",".join(f"{key}={value}" for key, value in address.by)
    if found:
        return f"{found} rows of '{address.name}' fit '{asked}'; name one of: {', '.join(by)}."
    return f"'{address.name}' has no row '{asked}'. {did_you_mean(asked, by)}"
