"""Placebos: effects where there can be none, on earlier dates and on outcomes that the policy cannot move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as entry
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.errors import EstimationError
from evaluation.estimation.arguments import (
    column_name,
    column_names,
    require_arguments,
    require_choice,
    require_number,
    require_numbers,
)
from evaluation.estimation.multiplicity import adjusted, draws_asked, romano_wolf
from evaluation.impact.credibility.earlier_dates import METHODS, Method, earlier_effect
from evaluation.impact.credibility.overall import (
    Asked,
    can_be_tested,
    joint_record,
    joint_zero,
    overall_effect,
    under_one_another,
)
from evaluation.impact.effects import Vcov
from evaluation.impact.identification import ControlGroup
from evaluation.impact.panel import Panel, exact, require_panel
from evaluation.impact.staggered.cohort_sizes import Weights
from evaluation.impact.staggered.difference import Estimator
from evaluation.results import Estimates, TestResult

Floats = NDArray[np.float64]

HANGS = "hangs_on_one_place"


@dataclass(frozen=True, eq=False, repr=False)
class PlaceboEffects(Estimates):
    """Effects where there can be none.

    Attributes
    ----------
    joint : TestResult or None
        Test that all of them are zero; None where it cannot be made.
    """

    joint: TestResult | None = entry(default=None, kw_only=True)

    def summary(self) -> str:
        """Return the placebos and their joint test as text."""
        told = "no joint test" if self.joint is None else self.joint.summary()
        return f"{super().summary()}\n{told}"


def placebo_dates(
    panel: Panel,
    *,
    outcome: str,
    cohort: str,
    shifts: float | Sequence[float] = (1.0, 2.0),
    method: Method = "att_gt",
    covariates: str | Sequence[str] = (),
    estimator: Estimator = "dr",
    control_group: ControlGroup = "notyettreated",
    anticipation: float = 0.0,
    cluster: str | None = None,
    vcov: Vcov | None = None,
    weights: Weights = "sample",
    supported_only: bool = False,
    conf_level: float = 0.95,
) -> PlaceboEffects:
    """Move the roll-out earlier and estimate its effect in waves before it truly began, where there is none.

    Parameters
    ----------
    panel, outcome, cohort, covariates, estimator, control_group, cluster, vcov, conf_level
        As in ``ev.att_gt``.
    shifts : float or list of float, default (1, 2)
        By how much earlier, in the unit of time.
    method : {"att_gt", "imputation_did", "two_stage_did", "sun_abraham", "extended_twfe"}, default "att_gt"
        The estimator. Those other than "att_gt" are for repeated cross-sections and take its covariates, cluster and
        errors; they see only rows before the true date.
    anticipation : float, default 0
        Waves so shortly before the true date are not used either; dates move earlier from there.
    weights, supported_only
        As in ``ev.aggregate``.

    Returns
    -------
    PlaceboEffects
        One row per ``shift``: the simple average of the effects from the earlier date up to the true one. ``reason``
        says why a row has no number; ``joint`` tests all rows together.

    Raises
    ------
    EstimationError
        A shift is not above zero, or an argument of ``ev.att_gt`` is wrong.
    IdentificationError
        No shift leaves waves enough.

    Notes
    -----
    No answer from the true date on is used: each difference ends before it, and those who serve for comparison are
    not treated yet by the earlier dates. With shifts of different length rows share waves, which the joint test knows.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.impact.panel import panel
    >>> rows = [(t, g, t + (g > 0) * (t > 3.0) + e) for t in (1, 2, 3, 4) for g in (4, 0) for e in (0, 1)]
    >>> answers = pd.DataFrame(rows, columns=["year", "first", "y"])
    >>> found = placebo_dates(panel(survey_design(answers), time="year"), outcome="y", cohort="first")
    >>> found.tidy()[["shift", "estimate"]].values.tolist()
    [[1, 0.0], [2, 0.0]]
    """
    require_arguments(placebo_dates, locals())
    verb = "placebo_dates"
    require_panel(panel, verb)
    name = column_name(outcome, f"{verb}: outcome")
    sizes = require_numbers(shifts, f"{verb}: shifts", move="Write shifts=[1, 2]: waves earlier.")
    if min(sizes) <= 0 or len(set(sizes)) < len(sizes):
        raise EstimationError(f"{verb}: shifts must be above zero and different, got {shifts!r}. Write shifts=[1, 2].")
    asked = Asked(
        cohort, covariates, estimator, control_group, anticipation, cluster, vcov, weights, supported_only, conf_level,
        verb=verb,
    )  # fmt: skip
    require_choice(method, METHODS, f"{verb}: method")
    require_number(anticipation, f"{verb}: anticipation", least=0)
    _refuse_mismatch(panel, method, asked)
    made = [earlier_effect(panel, name, asked, size, method) for size in sizes]
    keys = pd.DataFrame({"term": name, "shift": pd.Series([exact(size) for size in sizes], dtype=object)})
    whole = under_one_another([part for part, _ in made], keys, panel, asked, verb)
    reasons = [reason for _, reason in made]
    hanging = np.isfinite(whole.estimate) & np.isnan(np.diag(whole.vcov))
    reasons = [HANGS if hangs else reason for hangs, reason in zip(hanging, reasons, strict=True)]
    joint = joint_zero(whole, "Wald test of placebo dates", "no effect at any earlier date")
    made_by = {"method": method} if method != "att_gt" else {}
    return _placebos(whole, {"reason": np.array(reasons, dtype=object)}, asked, joint, {"outcome": name, **made_by})


def _refuse_mismatch(over_time: Panel, method: str, asked: Asked) -> None:
    if method == "att_gt":
        return
    if over_time.rows is not None:
        raise EstimationError(
            f"placebo_dates: method='{method}' needs repeated cross-sections, because waves from the true date on are "
            f"left out. Leave unit out of ev.panel, or use method='att_gt'."
        )
    usual = Asked(asked.cohort)
    for name in ("estimator", "control_group", "weights", "supported_only"):
        if getattr(asked, name) != getattr(usual, name):
            raise EstimationError(f"placebo_dates: {name} goes with method='att_gt', but the method is '{method}'.")


def placebo_outcomes(
    panel: Panel,
    *,
    outcomes: str | Sequence[str],
    cohort: str,
    covariates: str | Sequence[str] = (),
    estimator: Estimator = "dr",
    control_group: ControlGroup = "notyettreated",
    anticipation: float = 0.0,
    cluster: str | None = None,
    vcov: Vcov | None = None,
    weights: Weights = "sample",
    supported_only: bool = False,
    conf_level: float = 0.95,
    replicates: int = 9_999,
    seed: int = 1,
) -> PlaceboEffects:
    """Estimate the same effect on outcomes that the policy cannot move.

    Parameters
    ----------
    panel, cohort, covariates, estimator, control_group, anticipation, cluster, vcov, conf_level
        As in ``ev.att_gt``.
    outcomes : str or list of str
        Numeric columns named beforehand because nothing can change them, e.g. height.
    weights, supported_only
        As in ``ev.aggregate``.
    replicates, seed : int
        Draws behind Romano and Wolf's p-values, and their seed.

    Returns
    -------
    PlaceboEffects
        One row per outcome: the simple average of its effects, with p-values adjusted for their number (``p_holm``,
        ``p_romano_wolf``); ``joint`` tests all together.

    Raises
    ------
    ColumnError, EstimationError, IdentificationError
        As ``ev.att_gt``.

    References
    ----------
    Lipsitch, Tchetgen Tchetgen and Cohen (2010), Epidemiology 21, 383-388; Romano and Wolf (2005), Econometrica 73.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.impact.panel import panel
    >>> rows = [(t, first, e, 2.0 * e) for t in (1, 2) for first in (2, 0) for e in (0.0, 1.0, 5.0)]
    >>> answers = pd.DataFrame(rows, columns=["year", "first", "height", "age"])
    >>> over_time = panel(survey_design(answers), time="year")
    >>> placebo_outcomes(over_time, outcomes=["height", "age"], cohort="first").estimate.tolist()
    [0.0, 0.0]
    """
    require_arguments(placebo_outcomes, locals())
    verb = "placebo_outcomes"
    require_panel(panel, verb)
    names = column_names(outcomes, f"{verb}: outcomes", "'height'")
    if not names:
        raise EstimationError(f"{verb} needs at least one outcome that the policy cannot move; none was given.")
    count, chosen = draws_asked(replicates, seed, verb)
    asked = Asked(
        cohort, covariates, estimator, control_group, anticipation, cluster, vcov, weights, supported_only, conf_level,
        verb=verb,
    )  # fmt: skip
    parts = [overall_effect(panel, name, asked) for name in names]
    whole = under_one_another(parts, pd.DataFrame({"term": list(names)}), panel, asked, verb)
    joint = joint_zero(whole, "Wald test of placebo outcomes", "no effect on any placebo outcome")
    return _placebos(whole, adjusted_columns(whole, count, chosen), asked, joint, {})


def adjusted_columns(whole: Estimates, replicates: int, seed: int) -> dict[str, Floats]:
    """Return p-values of all rows as one family, by Holm and by Romano and Wolf."""
    tests = can_be_tested(whole)
    one = np.zeros(len(whole), dtype=np.int64)
    raw = np.where(tests, whole.tidy()["p_value"].to_numpy(dtype=float), np.nan)
    return {"p_holm": adjusted(raw, "holm"), "p_romano_wolf": romano_wolf(whole, tests, one, replicates, seed)}


def _placebos(
    whole: Estimates, columns: Mapping[str, NDArray[Any]], asked: Asked, joint: TestResult | None, told: dict[str, str]
) -> PlaceboEffects:
    fit = {**whole.fit, **asked.record(), **joint_record(joint), **told}
    parts = {name: getattr(whole, name) for name in whole.__dataclass_fields__}
    return PlaceboEffects(**{**parts, "columns": columns, "fit": fit}, joint=joint)
