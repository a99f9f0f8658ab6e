"""Effects for whom: one overall effect for each level of a column, whether they differ, and what many tests leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.errors import ColumnError, EstimationError, EvaluationError, IdentificationError
from evaluation.estimation.arguments import column_name, column_names, require_arguments, require_choice
from evaluation.estimation.domains import levels_of
from evaluation.estimation.heterogeneity import OVERALL, RAW, can_be_held, equal_rows
from evaluation.estimation.multiplicity import adjusted, draws_asked, romano_wolf
from evaluation.impact.credibility.overall import Asked, can_be_tested, overall_effect, under_one_another
from evaluation.impact.effects import Vcov
from evaluation.impact.identification import ControlGroup
from evaluation.impact.panel import Panel, read_cohorts, require_panel
from evaluation.impact.panel import panel as ordered
from evaluation.impact.staggered.cohort_sizes import Weights
from evaluation.impact.staggered.difference import Estimator
from evaluation.results import Estimates

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Families = Literal["all", "column"]

VERB = "subgroup_impacts"
#: Levels beyond which a column makes no subgroups.
MOST_LEVELS = 50
#: How effects are adjusted for covariates, as methods of comparisons are called.
_METHODS: dict[Estimator, str] = {"dr": "aipw", "ipw": "ipw", "reg": "g_computation"}


def subgroup_impacts(
    panel: Panel,
    *,
    outcome: str,
    cohort: str,
    by: str | Sequence[str],
    covariates: str | Sequence[str] = (),
    estimator: Estimator = "dr",
    control_group: ControlGroup = "notyettreated",
    anticipation: float = 0.0,
    cluster: str | None = None,
    vcov: Vcov | None = None,
    weights: Weights = "sample",
    supported_only: bool = False,
    families: Families = "all",
    conf_level: float = 0.95,
    replicates: int = 9_999,
    seed: int = 1,
) -> Estimates:
    """Estimate the overall effect in every level of a column, test whether it differs, and adjust for many tests.

    Parameters
    ----------
    panel, outcome, cohort, covariates, estimator, control_group, anticipation, cluster, vcov, conf_level
        As in ``ev.att_gt``.
    by : str or list of str
        Columns of subgroups, fixed before the policy; who has no value is in no subgroup.
    weights, supported_only
        As in ``ev.aggregate``.
    families : {"all", "column"}, default "all"
        What p-values are adjusted over: all subgroups, or those of each column.
    replicates, seed : int
        Draws behind Romano and Wolf's p-values, and their seed.

    Returns
    -------
    Estimates
        Row 0 is everybody (``subgroup`` "overall"); then one row per column (``subgroup``) and ``level``, with
        ``n_treated`` (observations since their start) and ``n_control`` (all others), ``p_holm``, ``p_romano_wolf``,
        ``p_heterogeneity`` (all levels of the column have one effect) and the ``reason`` where there is no estimate.

    Raises
    ------
    ColumnError
        A column is absent, has a single level or too many.
    EstimationError, IdentificationError
        As ``ev.att_gt``.

    Notes
    -----
    Levels share places and sampling units; their covariance comes from their joint deviations, so that the test of
    equal effects is of differences within places. A place without anybody of a level changes nothing there.

    References
    ----------
    Romano and Wolf (2005), Econometrica 73, 1237-1282; Holm (1979), Scandinavian Journal of Statistics 6, 65-70.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.impact.panel import panel
    >>> cells = [(t, g, s) for t in (1, 2) for g in (2, 0) for s in "fm"]
    >>> rows = [(t, g, s, e + 2.0 * (s == "f") * (g == t)) for t, g, s in cells for e in (0, 1)]
    >>> answers = pd.DataFrame(rows, columns=["year", "first", "sex", "y"])
    >>> over_time = panel(survey_design(answers), time="year")
    >>> subgroup_impacts(over_time, outcome="y", cohort="first", by="sex").estimate.tolist()
    [1.0, 2.0, 0.0]
    """
    require_arguments(subgroup_impacts, locals())
    require_panel(panel, VERB)
    name, columns = column_name(outcome, f"{VERB}: outcome"), column_names(by, f"{VERB}: by", "'sex'")
    if not columns:
        raise EstimationError(f"{VERB} needs by=..., a column of subgroups; none was given.")
    require_choice(families, ("all", "column"), f"{VERB}: families")
    count, chosen = draws_asked(replicates, seed, VERB)
    asked = Asked(
        cohort, covariates, estimator, control_group, anticipation, cluster, vcov, weights, supported_only, conf_level,
        verb=VERB,
    )  # fmt: skip
    for column in columns:
        _refuse_changing(panel, column)
    rows: list[tuple[Any, Any, Mask]] = [(OVERALL, None, panel.period >= 0)]
    rows += [(column, level, _within(panel, column, level)) for column in columns for level in _levels(panel, column)]
    made = [(overall_effect(panel, name, asked), ""), *(_attempt(panel, own, name, asked) for _, _, own in rows[1:])]
    parts, reasons = [part for part, _ in made], [reason for _, reason in made]
    method = _METHODS[estimator] if asked.covariates else RAW
    keys = pd.DataFrame([(name, column, level, method) for column, level, _ in rows], dtype=object)
    keys.columns = pd.Index(["term", "subgroup", "level", "method"])
    whole = under_one_another(parts, keys, panel, asked, VERB)
    treated, others = np.array([_sides(panel, own, cohort) for _, _, own in rows]).T
    counts = {"n_treated": treated, "n_control": others}
    tests = {**_adjusted(whole, families, count, chosen), "p_heterogeneity": _heterogeneities(whole)}
    fit = {**whole.fit, **asked.record(), "outcome": name, "families": families}
    fit |= {"stepdown_replicates": count, "stepdown_seed": chosen}
    return replace(
        whole,
        columns={**counts, **tests, "reason": np.array(reasons, dtype=object)},
        fit=fit,
        bases=np.minimum(treated, others),
    )


def _levels(over_time: Panel, column: Any) -> list[Any]:
    levels, _ = levels_of(over_time.design, column, VERB)
    if not 2 <= len(levels) <= MOST_LEVELS:
        raise ColumnError(
            f"{VERB}: '{column}' has {len(levels)} levels; two to {MOST_LEVELS} make subgroups. Cut numbers "
            f"into classes first."
        )
    return levels


def _refuse_changing(over_time: Panel, column: Any) -> None:
    """Raise a ColumnError where a unit of a panel changes its subgroup: it would lack waves in either."""
    if over_time.rows is None:
        return
    own = pd.factorize(over_time.design.column(column))[0][over_time.rows]
    moved = (own != own[:, :1]).any(axis=1)
    if moved.any():
        rows = over_time.rows[moved].ravel()
        raise ColumnError(
            f"{VERB}: '{column}' changes within {int(moved.sum())} of {len(own)} units of '{over_time.unit}'. The "
            f"subgroups of a panel stay the same: take the value of the first wave, or leave unit out of ev.panel to "
            f"compare repeated cross-sections.",
            failures=over_time.design.data.iloc[rows][[str(over_time.unit), over_time.time, column]],
        )


def _within(over_time: Panel, column: Any, level: Any) -> Mask:
    inside = (over_time.design.column(column) == level).to_numpy(dtype=bool, na_value=False)
    return np.asarray(inside & (over_time.period >= 0))


def _attempt(over_time: Panel, inside: Mask, outcome: str, asked: Asked) -> tuple[Estimates | None, str]:
    if len(np.unique(over_time.period[inside])) < 2:
        return None, "no_answers"
    try:
        own = ordered(replace(over_time.design, inside=inside), unit=over_time.unit, time=over_time.time)
        return overall_effect(own, outcome, asked), ""
    except IdentificationError:
        return None, "no_comparison"
    except EvaluationError as error:
        said = str(error)
        raise type(error)(said if said.startswith(VERB) else f"{VERB}: {said}", failures=error.failures) from None


def _sides(over_time: Panel, inside: Mask, cohort: str) -> tuple[int, int]:
    """Count the observations of those treated by then, and all others."""
    cohorts = read_cohorts(over_time, cohort)
    start, time = cohorts.values[np.maximum(cohorts.code, 0)], over_time.times[np.maximum(over_time.period, 0)]
    treated = (start <= time) & inside
    return int(treated.sum()), int((inside & ~treated).sum())


def _adjusted(whole: Estimates, families: Families, replicates: int, seed: int) -> dict[str, Floats]:
    tests = can_be_tested(whole) & (whole.keys["subgroup"] != OVERALL).to_numpy(dtype=bool)
    family = np.zeros(len(whole), dtype=np.int64)
    if families == "column":
        family = np.asarray(pd.factorize(whole.keys["subgroup"])[0], dtype=np.int64)
    raw, holm = whole.tidy()["p_value"].to_numpy(dtype=float), np.full(len(whole), np.nan)
    for own in np.unique(family[tests]):
        rows = tests & (family == own)
        holm[rows] = adjusted(raw[rows], "holm")
    return {"p_holm": holm, "p_romano_wolf": romano_wolf(whole, tests, family, replicates, seed)}


def _heterogeneities(whole: Estimates) -> Floats:
    made = np.full(len(whole), np.nan)
    for column in dict.fromkeys(whole.keys["subgroup"]):
        rows = np.flatnonzero((whole.keys["subgroup"] == column).to_numpy() & (column != OVERALL))
        known = rows[can_be_held(whole)[rows]]
        if len(known) > 1:
            try:
                made[rows] = equal_rows(whole.take(known), str(column)).p_value
            except EstimationError:
                continue
    return made
