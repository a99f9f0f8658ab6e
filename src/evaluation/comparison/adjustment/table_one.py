"""Table 1: who takes part and who does not, described by survey weights before any outcome is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation import wording
from evaluation.comparison.adjustment.covariate_columns import (
    MISSING,
    CovariateColumn,
    GroupGap,
    behind,
    by_group,
    covariate_columns,
    fewest_behind,
    gaps,
    marks_of_covariates,
    weighted_mean,
    weighted_variance,
    without_missing,
)
from evaluation.design.design import Design, require_design
from evaluation.errors import EstimationError, require_flag
from evaluation.estimation.arguments import column_names
from evaluation.estimation.diagnostic_frames import hidden
from evaluation.estimation.group_checks import refuse_later, refuse_two_roles
from evaluation.estimation.groups import groups_of
from evaluation.estimation.small_counts import fewest, is_small, shown_count, written_count
from evaluation.estimation.tests import survey_chisq
from evaluation.estimation.ttests import survey_ttest
from evaluation.results import SMALL_CELL, Provenance, frame_html, plain

Floats = NDArray[np.float64]
Names = str | Sequence[str]
Denominator = Literal["participants", "comparison", "pooled"]

VERB = "table_one"
#: The three columns of the table.
GROUPS = ("participants", "comparison", "everybody")


@dataclass(frozen=True, eq=False)
class TableOne:
    """Participants, others and everybody in every covariate.

    Attributes
    ----------
    rows : pandas.DataFrame
        One row per number, yes-or-no column (share of 1), level, and covariate that somebody misses (level
        "missing"): ``covariate``, ``level``, ``kind`` ("number", "share", "level", "missing"), for each of
        ``participants``, ``comparison``, ``everybody`` the mean or share (0 to 1) and ``sd_...``, respondents
        ``n_participants`` and ``n_comparison``, ``smd`` and its ``denominator``; on request ``p_value``. Where
        respondents are too few to be shown, the row is empty and ``mark`` says why.
    sizes : pandas.DataFrame
        One row per group: ``group``, ``n_obs``, ``weighted_n``, ``share`` of everybody's weight; of both groups empty,
        with a ``mark``, where one is too small to be shown.
    treatment : str
    denominator : str
        Whose standard deviation divides the differences.
    n_left_out : int
        Respondents who count but miss the treatment.
    provenance : Provenance
        For captions and manifests.
    """

    rows: pd.DataFrame
    sizes: pd.DataFrame
    treatment: str
    denominator: Denominator
    n_left_out: int
    provenance: Provenance

    def tidy(self) -> pd.DataFrame:
        """Return one row per number, share or level."""
        return self.rows.copy()

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        return {
            "verb": VERB,
            "provenance": self.provenance.to_dict(),
            "fit": {"treatment": self.treatment, "denominator": self.denominator}
            | {"n_left_out": shown_count(self.n_left_out, self.provenance)},
            "sizes": [{str(k): plain(v) for k, v in row.items()} for row in self.sizes.to_dict("records")],
            "rows": [{str(k): plain(v) for k, v in row.items()} for row in self.rows.to_dict("records")],
        }

    def layout(self, lang: str) -> tuple[dict[str, list[str]], list[str]]:
        """Return the table in words: columns of text, the first one names; and notes."""
        names = {group: wording.term("others" if group == "comparison" else group, lang) for group in GROUPS}
        columns: dict[str, list[str]] = {wording.term("characteristic", lang): self._first(lang)}
        for group, name in names.items():
            size = self.sizes.loc[self.sizes["group"] == group].iloc[0]
            head = [wording.number(size["n_obs"]), wording.number(size["weighted_n"])]
            head = [_or_mark(size.to_dict(), cell) for cell in (*head, wording.number(100 * size["share"], 1))]
            columns[name] = [*head, *(self._cell(row, group) for row in self.rows.to_dict("records"))]
        smd = wording.term("smd", lang)
        blank = [""] * 3
        columns[smd] = [*blank, *(_or_mark(row, wording.number(row["smd"], 3)) for row in self.rows.to_dict("records"))]
        if "p_value" in self.rows:
            columns[wording.term("p_value", lang)] = [
                *blank, *("" if np.isnan(value) else wording.probability(value) for value in self.rows["p_value"])
            ]  # fmt: skip
        divided = f"{smd}: {wording.term(f'denominator_{self.denominator}', lang)}"
        plain = wording.is_unweighted(self.provenance)
        notes = [wording.term("table_one_plain_cells" if plain else "table_one_cells", lang), divided]
        if self.n_left_out:
            notes.append(
                wording.term("table_one_left_out", lang).format(n=written_count(self.n_left_out, self.provenance))
            )
        if plain:  # a row of weighted numbers would repeat the respondents
            columns = {name: [cells[0], *cells[2:]] for name, cells in columns.items()}
        return columns, notes

    def _first(self, lang: str) -> list[str]:
        share = "plain_share" if wording.is_unweighted(self.provenance) else "weighted_share"
        head = [wording.term(key, lang) for key in ("n_obs", "weighted_n", share)]
        labels, made = self.provenance.labels, []
        for row in self.rows.to_dict("records"):
            name = wording.term_label(row["covariate"], labels, lang)
            if row["kind"] == "number":
                unit = getattr(labels, "unit", lambda *_: "")(row["covariate"], lang)
                made.append(f"{name}{f' ({unit})' if unit else ''}, {wording.term('mean_and_sd', lang)}")
            elif row["kind"] == "share":
                made.append(f"{name}, %")
            else:
                level = wording.value_label(row["covariate"], row["level"], labels, lang)
                made.append(f"{name}: {level}, %")
        return [*head, *made]

    @staticmethod
    def _cell(row: dict[Any, Any], group: str) -> str:
        if row["kind"] != "number":
            return _or_mark(row, wording.number(100 * row[group], 1))
        spread = row[f"sd_{group}"]
        places = max(1, 1 - int(np.floor(np.log10(spread)))) if spread > 0 else 1
        return _or_mark(row, f"{wording.number(row[group], places)} ({wording.number(spread, places)})")

    def __repr__(self) -> str:
        left_out = shown_count(self.n_left_out, self.provenance)
        head = f"{VERB}: {self.provenance.survey}, by {self.treatment}, {left_out} left out"
        return "\n".join([head, _text(self.sizes), _text(self.rows)])

    def _repr_html_(self) -> str:
        return frame_html(self.sizes) + frame_html(self.rows)


def table_one(
    design: Design,
    *,
    treatment: str,
    covariates: Names,
    denominator: Denominator = "participants",
    in_levels: Names = (),
    p_values: bool = False,
) -> TableOne:
    """Describe participants, others and everybody in the covariates, by survey weights.

    Parameters
    ----------
    design : Design
        Any design; its domain is described.
    treatment : str
        Two values: 0/1, boolean, or text whose second level stands for participants.
    covariates : str or list of str
        Columns that were fixed before participation: numbers give mean and standard deviation, 0/1 the share of 1,
        text the share of every level.
    denominator : {"participants", "comparison", "pooled"}, default "participants"
        Whose standard deviation divides the standardised differences; as ``balance_table`` for ATT, ATC and ATE.
    in_levels : str or list of str, optional
        Numeric covariates, such as codes of education, that are shown by level.
    p_values : bool, default False
        Design-based tests of no difference: t for numbers, Rao-Scott for shares. Off, because they answer another
        question: with many respondents a difference that matters to nobody is significant, with few one that
        confounds is not.

    Returns
    -------
    TableOne
        ``ev.table`` lays it out with labels of the codebook. Who misses a covariate stands in a row of his own, and
        not in that covariate's mean or shares.

    Raises
    ------
    ColumnError
        An unknown column, a treatment with other than two values, a covariate with too many levels.
    EstimationError
        A group is empty.
    IdentificationError
        The codebook says of a covariate that it was measured after participation.

    References
    ----------
    Stuart (2010), Statistical Science 25, 1-21; Imai, King and Stuart (2008), JRSS A 171, 481-502, on tests of
    balance. R twin: ``tableone::svyCreateTableOne``, which divides by the pooled standard deviation.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> people = pd.DataFrame({"joined": [0, 0, 0, 1], "age": [20.0, 30.0, 40.0, 50.0], "w": [1.0, 1.0, 2.0, 4.0]})
    >>> made = table_one(survey_design(people, weights="w"), treatment="joined", covariates=["age"])
    >>> made.rows[["participants", "comparison", "everybody"]].iloc[0].tolist()
    [50.0, 32.5, 41.25]
    """
    require_design(design, VERB)
    require_flag(p_values, f"{VERB}: p_values", EstimationError)
    if denominator not in ("participants", "comparison", "pooled"):
        raise EstimationError(
            f"{VERB}: denominator must be 'participants', 'comparison' or 'pooled', got {denominator!r}."
        )
    if isinstance(covariates, str) and covariates.lstrip().startswith("~"):
        raise EstimationError(f"{VERB}: covariates are names of columns here, got the formula {covariates!r}.")
    names = list(column_names(covariates, f"{VERB}: covariates", "'age'"))
    if not names:
        raise EstimationError(f"{VERB}: covariates names no column, so there is nothing to describe.")
    refuse_two_roles(treatment, names, False, VERB)
    refuse_later(design, names, VERB)
    groups = groups_of(design, treatment=treatment, verb=VERB)
    shown = _with_levels(design, column_names(in_levels, f"{VERB}: in_levels", "'education'"), names)
    at, split = by_group((groups.members(0), groups.members(1)))
    weights = design.domain_weights[at]
    rows = []
    for column in covariate_columns(shown, treatment, names, at):
        rows += _rows(column, split, weights, denominator)
        if column.known is not None:
            rows += _rows(without_missing(column), split, weights, denominator, MISSING)
    frame = _masked(pd.DataFrame(rows), design.provenance)
    if p_values:
        frame.insert(list(frame.columns).index("denominator") + 1, "p_value", _p_values(shown, treatment, frame))
    return TableOne(
        frame, _sizes(split, weights, design.provenance), treatment, denominator, groups.n_left_out,
        design.provenance,
    )  # fmt: skip


def _with_levels(design: Design, in_levels: Sequence[str], covariates: Sequence[str]) -> Design:
    """Return the design with some numbers as categories, in their order."""
    for name in in_levels:
        if name not in covariates:
            raise EstimationError(f"{VERB}: in_levels names '{name}', which is no covariate. Add it to covariates.")
    if not in_levels:
        return design
    return replace(design, data=design.data.assign(**{name: _as_levels(design.column(name)) for name in in_levels}))


def _as_levels(column: pd.Series) -> pd.Series:
    return column if isinstance(column.dtype, pd.CategoricalDtype) else column.astype("category")


def _rows(
    column: CovariateColumn, split: int, weights: Floats, denominator: Denominator, missing: str = ""
) -> list[dict[str, Any]]:
    (found,) = gaps(column, split, weights[None, :])
    everybody = zip(weighted_mean(column, weights), weighted_variance(column, weights), strict=True)
    kind = missing or ("level" if column.levels else "share" if column.is_binary else "number")
    rows = []
    levels = zip(column.levels or (missing,), found, everybody, strict=True)
    for place, (level, gap, (mean, variance)) in enumerate(levels):
        counted = behind(column, place)
        few = fewest_behind(column, place, split)
        spread = _spread(gap, denominator)
        rows.append(
            {"covariate": column.name, "level": level, "kind": kind}
            | {"participants": gap.mean[1], "sd_participants": np.sqrt(gap.variance[1])}
            | {"comparison": gap.mean[0], "sd_comparison": np.sqrt(gap.variance[0])}
            | {"everybody": mean, "sd_everybody": np.sqrt(variance)}
            | {"n_participants": int(counted[split:].sum()), "n_comparison": int(counted[:split].sum())}
            | {"smd": gap.standardised(spread), "denominator": denominator, "few": few}
        )
    return rows


def _spread(gap: GroupGap, denominator: Denominator) -> float:
    others, participants = gap.variance
    return {"participants": participants, "comparison": others, "pooled": (participants + others) / 2}[denominator]


def _sizes(split: int, weights: Floats, provenance: Provenance) -> pd.DataFrame:
    """Return the sizes of the groups; where one is small, everybody's alone, of which the other would leave it."""
    whole = float(weights.sum())
    parts = {"participants": weights[split:], "comparison": weights[:split], "everybody": weights}
    rows = [
        {"group": name, "n_obs": len(own), "weighted_n": float(own.sum()), "share": float(own.sum()) / whole}
        for name, own in parts.items()
    ]
    few = is_small(fewest([split, len(weights) - split]), provenance)
    marks = [SMALL_CELL if few and name != "everybody" else "" for name in parts]
    return hidden(pd.DataFrame(rows), ["group"], marks)


def _p_values(design: Design, treatment: str, frame: pd.DataFrame) -> Floats:
    """Return a p-value in the first row of each covariate; not a number elsewhere, and where there is no test."""
    found = np.full(len(frame), np.nan)
    first = ~frame.duplicated("covariate").to_numpy()
    if "mark" in frame:
        first &= (frame.groupby("covariate")["mark"].transform("max") == "").to_numpy()
    for row in np.flatnonzero(first):
        name, kind = str(frame["covariate"].iloc[row]), frame["kind"].iloc[row]
        try:
            test = (
                survey_ttest(design, name, by=treatment) if kind == "number" else survey_chisq(design, name, treatment)
            )
        except EstimationError:
            continue
        found[row] = test.p_value
    return found


def _masked(frame: pd.DataFrame, provenance: Provenance) -> pd.DataFrame:
    """Blank rows that rest on too few respondents of one group, and one more where a single one would be left."""
    marks = marks_of_covariates(frame["covariate"], frame["few"].to_numpy(dtype=np.int64), provenance)
    return hidden(frame.drop(columns="few"), ["covariate", "level", "kind", "denominator"], marks)


def _or_mark(row: dict[Any, Any], cell: str) -> str:
    return str(row.get("mark") or cell)


def _text(frame: pd.DataFrame) -> str:
    return frame.to_string(index=False, float_format=lambda value: f"{value:.6g}")
