"""What a two-way fixed-effects coefficient averages: all comparisons of two cohorts over two spells, with weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation import project
from evaluation.design.collapse import mass_by
from evaluation.errors import ColumnError, EstimationError, IdentificationError
from evaluation.estimation.arguments import require_arguments
from evaluation.impact.panel import Panel, exact, read_cohorts, require_panel
from evaluation.regression.model import read_outcome
from evaluation.results import Provenance, frame_html, plain
from evaluation.wording import number
from evaluation.wording import term as word

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Cells = Literal["exact", "means"]

VERB = "goodman_bacon"
#: Kinds of comparison, clean ones first.
UNTREATED, EARLIER, LATER, ALWAYS = (
    "treated_vs_untreated",
    "earlier_vs_later",
    "later_vs_earlier",
    "later_vs_always_treated",
)
TYPES = (UNTREATED, EARLIER, LATER, ALWAYS)
#: Kinds whose comparison group is treated already.
FORBIDDEN = (LATER, ALWAYS)
#: Weights of a place may differ between waves by this share and still count as the same.
SAME = 1e-9


@dataclass(frozen=True, eq=False)
class BaconDecomposition:
    """Comparisons that a two-way fixed-effects coefficient averages. A diagnosis: it has no standard errors.

    Attributes
    ----------
    frame : pandas.DataFrame, one row per comparison
        ``treated`` and ``untreated`` (first treated waves; None for never), ``type``, ``estimate`` (difference in
        differences), ``weight`` (they add up to 1).
    coefficient : float
        The two-way fixed-effects coefficient, the weighted mean of the estimates.
    outcome, cells : str
        Column; "exact", or "means" where places were given their mean weight.
    provenance : Provenance
        For captions.
    """

    frame: pd.DataFrame
    coefficient: float
    outcome: str
    cells: str
    provenance: Provenance

    def tidy(self) -> pd.DataFrame:
        """Return one row per comparison."""
        return self.frame.copy()

    def by_type(self) -> pd.DataFrame:
        """Return one row per kind of comparison: ``type n weight estimate`` (weighted mean) and ``contribution``."""
        rows = []
        for kind in TYPES:
            own = self.frame[self.frame["type"] == kind]
            weight, part = float(own["weight"].sum()), float((own["weight"] * own["estimate"]).sum())
            if len(own):
                mean = part / weight if weight > 0 else np.nan
                rows.append({"type": kind, "n": len(own), "weight": weight, "estimate": mean, "contribution": part})
        return pd.DataFrame(rows)

    @property
    def weight_forbidden(self) -> float:
        """Weight of comparisons with a group that is treated already."""
        return float(self.frame.loc[self.frame["type"].isin(FORBIDDEN), "weight"].sum())

    def statement(self, lang: str | None = None) -> str:
        """Return in a sentence how much rests on whom, and that this is a diagnosis and no estimate."""
        total, share = number(self.coefficient, 4), f"{100 * self.weight_forbidden:.1f}"
        if (lang or project.language()) == "ko":
            return (
                f"이원고정효과 계수({total})는 2×2 비교 {len(self.frame)}개의 가중평균이고, 그 가중치의 {share}%는 "
                f"이미 시행된 집단을 비교 대상으로 삼음. 진단일 뿐이라 표준오차가 "
                f"없으며, 효과의 추정값은 따로 제시해야 함."
            )
        return (
            f"The two-way fixed-effects coefficient of {total} is a weighted mean of {len(self.frame)} two-by-two "
            f"comparisons; {share} % of their weight compares with a group that is treated already. This is a "
            f"diagnosis without standard errors: show it beside an estimate of the effect, not instead of one."
        )

    def layout(self, lang: str) -> tuple[dict[str, list[str]], list[str]]:
        """Return the columns of a table, comparisons by weight, and notes."""
        rows = self.frame
        columns = {
            word("bacon_comparison", lang): [comparison(row, lang) for row in rows.to_dict("records")],
            word("bacon_type", lang): [word(kind, lang) for kind in rows["type"]],
            word("bacon_estimate", lang): [number(value, 4) for value in rows["estimate"]],
            word("bacon_weight", lang): [number(value, 4) for value in rows["weight"]],
        }
        return columns, [self.statement(lang)]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        rows = self.frame.astype(object).where(self.frame.notna(), None).to_dict("records")
        return {
            "verb": VERB,
            "coefficient": plain(self.coefficient),
            "outcome": self.outcome,
            "cells": self.cells,
            "provenance": self.provenance.to_dict(),
            "rows": [{str(name): plain(value) for name, value in row.items()} for row in rows],
        }

    def summary(self) -> str:
        """Return the statement and the sums by kind as text."""
        return f"{self.statement()}\n{self._worded().to_string(index=False, float_format=lambda value: f'{value:.6g}')}"

    def _worded(self) -> pd.DataFrame:
        return self.by_type().assign(type=lambda rows: [word(kind) for kind in rows["type"]])

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return f"<p>{self.statement()}</p>{frame_html(self._worded())}"


def comparison(row: dict[Any, Any], lang: str | None = None) -> str:
    """Return who is compared with whom in words."""
    never = row["untreated"] is None or pd.isna(row["untreated"])
    other = word("bacon_never", lang) if never else str(row["untreated"])
    return f"{row['treated']} − {other}"


def goodman_bacon(
    panel: Panel,
    *,
    outcome: str,
    cohort: str | None = None,
    treatment: str | None = None,
    place: str | None = None,
    cells: Cells = "exact",
) -> BaconDecomposition:
    """Take a two-way fixed-effects coefficient apart into comparisons of two cohorts over two spells.

    Parameters
    ----------
    panel : Panel
        From ``ev.panel``: the same units in every wave, or repeated cross-sections.
    outcome : str
        Numeric column.
    cohort : str, optional
        Column of the first treated period; 0 or missing means never. Either this or ``treatment``.
    treatment : str, optional
        0/1 column that switches on once and stays.
    place : str, optional
        For repeated cross-sections: column of the places that have effects, such as the district.
    cells : {"exact", "means"}, default "exact"
        "exact" decomposes the coefficient of the rows, which needs weights of a place that stay the same from wave to
        wave. "means" decomposes the regression of the means by place and wave, each place weighing as in the mean of
        its waves.

    Returns
    -------
    BaconDecomposition

    Raises
    ------
    ColumnError
        A column is absent or cannot serve; a treatment switches off; a place lacks a wave or changes cohort.
    EstimationError
        Neither or both of cohort and treatment; weights that differ between waves under ``cells="exact"``.
    IdentificationError
        All or none are treated at once.

    Notes
    -----
    With shares n of two cohorts, and shares of waves treated D, the weight of a comparison is proportional to the
    squared share of the rows it uses times the variance of its treatment less effects of cohort and spell.

    References
    ----------
    Goodman-Bacon (2021), Journal of Econometrics 225, 254-277, theorem 1. R twin: ``bacondecomp::bacon``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.impact.panel import panel
    >>> answers = pd.DataFrame({"gu": [1, 1, 2, 2], "year": [2015, 2016] * 2, "y": [1.0, 5, 2, 3]})
    >>> answers["first"] = [2016, 2016, 0, 0]
    >>> waves = panel(survey_design(answers, psu="gu"), unit="gu", time="year")
    >>> made = goodman_bacon(waves, outcome="y", cohort="first")
    >>> made.coefficient, made.frame[["treated", "type", "estimate", "weight"]].values.tolist()
    (3.0, [[2016, 'treated_vs_untreated', 3.0, 1.0]])
    """
    require_arguments(goodman_bacon, locals())
    require_panel(panel, VERB)
    if (cohort is None) == (treatment is None):
        raise EstimationError(f"{VERB}: name either cohort=..., the first treated period, or treatment=..., a 0/1 one.")
    if cells not in ("exact", "means"):
        raise EstimationError(f"{VERB}: cells must be 'exact' or 'means', got {cells!r}.")
    grid = _grid(panel, outcome, place)
    start = _first_treated(panel, grid, cohort, treatment)
    weight = _place_weights(panel, grid, cells)
    frame = _comparisons(panel.times, start, weight, grid.mean)
    coefficient = _coefficient(start, weight, grid.mean)
    return BaconDecomposition(frame, coefficient, outcome, cells, panel.design.provenance)


@dataclass(frozen=True, eq=False)
class _Grid:
    """Places by wave: name of the place, rows with their cell, weight and mean outcome, shape (U, T)."""

    name: str
    labels: pd.Index[Any]
    at: Codes
    cell: Codes
    mass: Floats
    mean: Floats


def _grid(panel: Panel, outcome: str, place: str | None) -> _Grid:
    name = place or panel.unit
    if name is None:
        raise EstimationError(
            f"{VERB}: repeated cross-sections need place=..., the column whose levels have effects, such as the "
            f"district: only places come again in every wave."
        )
    y, _ = read_outcome(panel.design, outcome, "gaussian")
    at = np.flatnonzero((panel.period >= 0) & ~np.isnan(y))
    code, labels = pd.factorize(panel.design.column(name).iloc[at], sort=True)
    if (code < 0).any():
        raise ColumnError(
            f"place '{name}' is missing in {int((code < 0).sum())} rows that count.",
            failures=panel.design.data.iloc[at[code < 0]],
        )
    t, weights = len(panel.times), panel.design.domain_weights[at]
    cell = code * t + panel.period[at]
    mass = mass_by(cell, len(labels) * t, weights).reshape(-1, t)
    if (mass <= 0).any():
        lacking = pd.DataFrame(
            {name: labels[np.nonzero(mass <= 0)[0]], panel.time: panel.times[np.nonzero(mass <= 0)[1]]}
        )
        raise ColumnError(
            f"{VERB} needs an answer to '{outcome}' of every '{name}' in every wave, but {len(lacking)} are missing "
            f"(first: {lacking[name].iloc[0]} in {float(lacking[panel.time].iloc[0]):g}). Leave out those "
            f"places or waves.",
            failures=lacking,
        )
    mean = mass_by(cell, mass.size, weights * y[at]).reshape(mass.shape) / mass
    return _Grid(name, pd.Index(labels), at, cell, mass, mean)


def _first_treated(panel: Panel, grid: _Grid, cohort: str | None, treatment: str | None) -> Codes:
    """Return the first treated wave of each place, shape (U,); T for never."""
    t = len(panel.times)
    if cohort is not None:
        cohorts = read_cohorts(panel, cohort)
        wave = np.searchsorted(panel.times, cohorts.values[cohorts.code[grid.at]])
        first = np.zeros(len(grid.labels), dtype=np.int64)
        first[grid.cell // t] = wave
        differs = first[grid.cell // t] != wave
        if differs.any():
            raise ColumnError(
                f"cohort '{cohort}' differs within {grid.name} {grid.labels[grid.cell[differs][0] // t]}. Name a "
                f"smaller place, such as the one where treatment was assigned.",
                failures=panel.design.data.iloc[grid.at[differs]],
            )
        return first
    column = panel.design.column(str(treatment)).iloc[grid.at]
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float)
    if not np.isin(values, (0.0, 1.0)).all():
        wrong = ~np.isin(values, (0.0, 1.0))
        raise ColumnError(
            f"treatment '{treatment}' must be 0 or 1, but {int(wrong.sum())} rows are not (first: "
            f"{column[wrong].iloc[0]}). A dose has no decomposition into two-by-two comparisons; see ev.twfe_weights.",
            failures=panel.design.data.iloc[grid.at[wrong]],
        )
    on = np.bincount(grid.cell, values, minlength=grid.mass.size).reshape(-1, t)
    n = np.bincount(grid.cell, minlength=grid.mass.size).reshape(-1, t)
    if ((on != 0) & (on != n)).any():
        u, w = np.argwhere((on != 0) & (on != n))[0]
        raise ColumnError(
            f"treatment '{treatment}' differs within {grid.name} {grid.labels[u]} in {panel.times[w]:g}. Name a "
            f"smaller place, such as the one where treatment was assigned."
        )
    off = np.asarray(((on[:, :-1] > 0) & (on[:, 1:] == 0)).any(axis=1))
    if off.any():
        raise ColumnError(
            f"treatment '{treatment}' switches off in {int(off.sum())} of {len(off)} '{grid.name}' (first: "
            f"{grid.labels[off][0]}). The decomposition takes treatments that stay; see ev.switching_did.",
            failures=panel.design.data.iloc[grid.at[off[grid.cell // t]]],
        )
    return np.asarray(t - (on > 0).sum(axis=1), dtype=np.int64)


def _place_weights(panel: Panel, grid: _Grid, cells: str) -> Floats:
    mean = grid.mass.mean(axis=1)
    apart = float((np.abs(grid.mass / mean[:, None] - 1)).max())
    if cells == "exact" and apart > SAME:
        worst = np.unravel_index(np.argmax(np.abs(grid.mass / mean[:, None] - 1)), grid.mass.shape)
        u, w = int(worst[0]), int(worst[1])
        raise EstimationError(
            f"{VERB}: {grid.name} {grid.labels[u]} weighs {grid.mass[u, w]:,.6g} in {panel.times[w]:g} and "
            f"{mean[u]:,.6g} in the mean of its waves. The coefficient of such rows is no weighted mean of two-by-two "
            f"comparisons. Pass cells='means' to decompose the regression of the means by {grid.name} and wave."
        )
    return np.asarray(mean / mean.sum())


def _comparisons(times: Floats, start: Codes, weight: Floats, mean: Floats) -> pd.DataFrame:
    t = len(times)
    found = np.unique(start)
    share = np.array([weight[start == g].sum() for g in found])
    path = np.stack([weight[start == g] @ mean[start == g] / weight[start == g].sum() for g in found])
    rows = []
    for k, g in enumerate(found):
        for j, h in enumerate(found):
            if g in (h, t, 0):
                continue
            kind, spell = _spell(int(g), int(h), t)
            after = np.arange(t)[spell] >= g
            pair = path[k, spell] - path[j, spell]
            both, part = share[k] + share[j], share[k] / (share[k] + share[j])
            length, treated = len(pair) / t, after.mean()
            rows.append(
                {
                    "treated": exact(times[g]),
                    "untreated": None if h == t else exact(times[h]),
                    "type": kind,
                    "estimate": float(pair[after].mean() - pair[~after].mean()),
                    "weight": float((both * length) ** 2 * part * (1 - part) * treated * (1 - treated)),
                }
            )
    if not rows:
        raise IdentificationError(
            f"{VERB}: no cohort has a wave before treatment and another to compare with. Add places that were treated "
            f"at another date, or never."
        )
    frame = pd.DataFrame(rows)
    frame = frame.assign(
        weight=frame["weight"] / frame["weight"].sum(),
        untreated=pd.Series([row["untreated"] for row in rows], dtype=object),
    )
    order = [TYPES.index(kind) for kind in frame["type"]]
    return (
        frame.assign(order=order)
        .sort_values(["order", "treated"], kind="stable")
        .drop(columns="order")
        .reset_index(drop=True)
    )


def _spell(g: int, h: int, t: int) -> tuple[str, slice]:
    """Return the kind of a comparison and its waves; the other group does not change its state in them."""
    if h == t:
        return UNTREATED, slice(0, t)
    if h > g:
        return EARLIER, slice(0, h)
    return (ALWAYS if h == 0 else LATER), slice(h, t)


def _coefficient(start: Codes, weight: Floats, mean: Floats) -> float:
    """Return the two-way coefficient of a balanced table of places by wave, each place of one weight."""
    t = mean.shape[1]
    on = (np.arange(t)[None, :] >= start[:, None]).astype(float)
    left = on - on.mean(axis=1, keepdims=True)
    left -= weight @ left
    return float((weight @ (left * mean).sum(axis=1)) / (weight @ (left * on).sum(axis=1)))
