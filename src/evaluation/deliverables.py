"""The files that a result becomes when it is published, as bytes."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from typing import Any

import pandas as pd

from evaluation import disclosure, project
from evaluation.errors import EvaluationError, PublishError
from evaluation.figures.canvas import Figure
from evaluation.results import REFUSED_IN_CLAIMS, Estimates, holds_records
from evaluation.specification import read_study
from evaluation.survey.source import read_description
from evaluation.tables import Table, Tabular, Tidy, csv_bytes, long_frame, table, with_index

#: A table or a figure's data with more rows is taken for respondent records.
MOST_ROWS = 2000

Files = dict[str, bytes]


def files_of(name: str, item: Any, title: str | None) -> Files:
    """Return the files that a result becomes.

    Parameters
    ----------
    name : str
        Under which it is published; the stem of its files.
    item : Estimates, Table, Figure, another result with ``tidy()``, or DataFrame
        What is published.
    title : str or None
        Title of a result that is published as its table.

    Returns
    -------
    dict of str to bytes
        Contents by path in the run folder.

    Raises
    ------
    PublishError
        Something that cannot leave: respondents' records, more than 2,000 rows, what is refused in claims.
    """
    if getattr(item, "is_refused", False) or getattr(item, "fit", {}).get(REFUSED_IN_CLAIMS):
        raise PublishError(
            f"'{name}': its errors take respondents of one place as independent, though all of them were treated or "
            f"none; no report may rest on that. Name the cluster (cluster=...) and leave vcov at 'jackknife'."
        )
    if isinstance(item, Estimates):
        content = disclosure.shown(item).to_dict()
        record = json.dumps({"name": name, **content}, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
        rows = _frame_bytes(name, _noticed(long_frame(item), item.provenance.notice.values()))
        return {f"estimates/{name}.json": record.encode("utf-8"), f"tables/{name}.csv": rows}
    if isinstance(item, Figure):
        return {
            f"figures/{name}.png": item.png(),
            f"figures/{name}.svg": item.svg(),
            f"figures/{name}.csv": _frame_bytes(name, _noticed(item.data, _warned(item.caption))),
        }
    if isinstance(item, Table):
        return {f"tables/{name}.csv": _frame_bytes(name, _noticed(item.data, _warned(item.source)))}
    if isinstance(item, pd.DataFrame):
        _frame_bytes(name, item)
        return {f"tables/{name}.csv": _frame_bytes(name, with_index(item))}
    if isinstance(item, Tidy | Tabular):
        return files_of(name, table(item, title=title or name), None)
    raise PublishError(
        f"'{name}': {type(item).__name__} cannot be published. Publish estimates, ev.table(...), ev.plot(...), "
        "a DataFrame of aggregates, or a mapping of names to these."
    )


def _noticed(frame: pd.DataFrame, notices: Iterable[str]) -> pd.DataFrame:
    """Return a frame whose rows carry what a reader of the file alone must know, e.g. that the data are synthetic."""
    said = " / ".join(notices)
    if not said or "notice" in frame or holds_records(frame):
        return frame
    return frame.assign(notice=said)


def _warned(text: str) -> Iterable[str]:
    """Return the notice of the study's survey, in all languages, where a caption carries it in one."""
    study = project.current_study()
    if study is None:
        return ()
    with contextlib.suppress(EvaluationError):
        notices = read_description(read_study(study).survey).notices()
        if any(notice in text for notice in notices.values()):
            return notices.values()
    return ()


def _frame_bytes(name: str, frame: pd.DataFrame) -> bytes:
    if holds_records(frame):
        raise PublishError(
            f"'{name}' was made from respondents' records, which never leave a notebook. Publish what an estimating "
            "verb returned."
        )
    if len(frame) > MOST_ROWS:
        raise PublishError(
            f"'{name}' has {len(frame):,} rows; more than {MOST_ROWS:,} are taken for respondent records, which never "
            "leave a notebook. Publish an aggregate of them."
        )
    return csv_bytes(frame)
