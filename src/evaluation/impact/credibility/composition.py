"""Composition: whether the mix of people among the treated changes beside that of the others, once treatment begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as entry
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.errors import ColumnError, EstimationError
from evaluation.estimation.arguments import column_names, require_arguments
from evaluation.estimation.domains import code_levels, is_text
from evaluation.estimation.multiplicity import draws_asked
from evaluation.impact.credibility.overall import (
    Asked,
    joint_record,
    joint_zero,
    overall_effect,
    under_one_another,
    with_data,
)
from evaluation.impact.credibility.placebo import adjusted_columns
from evaluation.impact.effects import Vcov
from evaluation.impact.identification import ControlGroup
from evaluation.impact.panel import Panel, require_panel
from evaluation.impact.staggered.cohort_sizes import Weights
from evaluation.results import Estimates, TestResult

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

VERB = "composition_test"
#: Levels of a text column beyond which it is no covariate.
MOST_LEVELS = 50


@dataclass(frozen=True, eq=False, repr=False)
class CompositionTest(Estimates):
    """Changes of the mix of people.

    Attributes
    ----------
    joint : TestResult or None
        Test that no covariate's mix changed; None where it cannot be made.
    """

    joint: TestResult | None = entry(default=None, kw_only=True)

    def summary(self) -> str:
        """Return the changes and their joint test as text."""
        told = "no joint test" if self.joint is None else self.joint.summary()
        return f"{super().summary()}\n{told}"


def composition_test(
    panel: Panel,
    *,
    covariates: str | Sequence[str],
    cohort: str,
    control_group: ControlGroup = "notyettreated",
    anticipation: float = 0.0,
    cluster: str | None = None,
    vcov: Vcov | None = None,
    weights: Weights = "sample",
    supported_only: bool = False,
    conf_level: float = 0.95,
    replicates: int = 9_999,
    seed: int = 1,
) -> CompositionTest:
    """Test whether the mix of people among the treated changed beside that of the others when treatment began.

    Parameters
    ----------
    panel : Panel
        Repeated cross-sections from ``ev.panel``.
    covariates : str or list of str
        Columns that the policy cannot move: numeric, or text, each of whose levels is a row.
    cohort, control_group, anticipation, cluster, vcov, conf_level
        As in ``ev.att_gt``.
    weights, supported_only
        As in ``ev.aggregate``.
    replicates, seed : int
        Draws behind Romano and Wolf's p-values, and their seed.

    Returns
    -------
    CompositionTest
        One row per covariate, and ``level`` of text: the difference-in-differences of its mean, in its unit (shares 0
        to 1), with columns ``spread`` (standard deviation among those who count), ``standardised``, ``p_holm`` and
        ``p_romano_wolf``; ``joint`` tests all rows together.

    Raises
    ------
    ColumnError
        A covariate is absent, constant, missing for somebody, or has too many levels.
    EstimationError
        A panel of units, whose composition cannot change, or a wrong argument.
    IdentificationError
        As ``ev.att_gt``.

    Notes
    -----
    Effects from repeated cross-sections rest on a mix of covariates that is stable over the waves. Where it is not,
    ``ev.hold_composition`` gives every wave the mix of one of them. No significant change does not show a stable mix:
    hold ``standardised`` and its interval against what would matter.

    References
    ----------
    Hong (2013), Journal of Applied Econometrics 28, 297-324; Sant'Anna and Xu (2023), arXiv:2304.13925.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.impact.panel import panel
    >>> old = {(1, 2): 1, (2, 2): 3, (1, 0): 2, (2, 0): 2}
    >>> rows = [(t, g, float(i < old[t, g])) for t in (1, 2) for g in (2, 0) for i in range(4)]
    >>> answers = pd.DataFrame(rows, columns=["year", "first", "old"])
    >>> over_time = panel(survey_design(answers), time="year")
    >>> composition_test(over_time, covariates="old", cohort="first").estimate.tolist()
    [0.5]
    """
    require_arguments(composition_test, locals())
    require_panel(panel, VERB)
    if panel.rows is not None:
        raise EstimationError(
            f"{VERB}: the same units ('{panel.unit}') come in every wave, so their mix cannot change. It is for "
            f"repeated cross-sections: leave unit out of ev.panel."
        )
    names = column_names(covariates, f"{VERB}: covariates", "'age'")
    if not names:
        raise EstimationError(f"{VERB} needs at least one covariate that the policy cannot move; none was given.")
    count, chosen = draws_asked(replicates, seed, VERB)
    columns = [column for name in names for column in _columns(panel, name)]
    over_time = with_data(panel, panel.design.data.assign(**{label: values for _, _, label, values in columns}))
    asked = Asked(
        cohort,
        control_group=control_group,
        anticipation=anticipation,
        cluster=cluster,
        vcov=vcov,
        weights=weights,
        supported_only=supported_only,
        conf_level=conf_level,
        verb=VERB,
    )
    parts = [overall_effect(over_time, label, asked) for _, _, label, _ in columns]
    keys = pd.DataFrame({"term": [name for name, *_ in columns]})
    if any(level is not None for _, level, *_ in columns):
        keys["level"] = pd.Series([level for _, level, *_ in columns], dtype=object)
    whole = under_one_another(parts, keys, over_time, asked, VERB)
    spread = np.array([_spread(panel, values) for *_, values in columns])
    joint = joint_zero(whole, "Wald test of composition", "no change of composition with treatment")
    extra = {"spread": spread, "standardised": whole.estimate / spread, **adjusted_columns(whole, count, chosen)}
    own = {name: getattr(whole, name) for name in whole.__dataclass_fields__}
    fit = {**asked.record(), **joint_record(joint), "stepdown_replicates": count, "stepdown_seed": chosen}
    return CompositionTest(**{**own, "columns": extra, "fit": fit}, joint=joint)


def _columns(over_time: Panel, name: Any) -> list[tuple[Any, Any, str, Floats]]:
    """Return name, level, name of the column, and values of each row that a covariate has."""
    column, counted = over_time.design.column(name), over_time.period >= 0
    missing = column.isna().to_numpy() & counted
    if missing.any():
        raise ColumnError(
            f"{VERB}: '{name}' is missing in {int(missing.sum())} rows that count. Give the missing a level of their "
            f"own: whether an answer is there is part of the composition.",
            failures=over_time.design.data.loc[missing],
        )
    if not is_text(column):
        values = column.to_numpy(dtype=float, na_value=np.nan)
        if np.ptp(values[counted]) == 0:
            raise ColumnError(f"{VERB}: '{name}' is the same for everybody ({values[counted][0]:g}). Leave it out.")
        return [(name, None, str(name), values)]
    levels, code = code_levels(column, counted)
    if not 2 <= len(levels) <= MOST_LEVELS:
        raise ColumnError(
            f"{VERB}: '{name}' has {len(levels)} levels; two to {MOST_LEVELS} can be compared. Merge levels first."
        )
    return [(name, level, f"{name}[T.{level}]", (code == place).astype(float)) for place, level in enumerate(levels)]


def _spread(over_time: Panel, values: Floats) -> float:
    counted = over_time.period >= 0
    weight, own = over_time.design.weights[counted], values[counted]
    return float(np.sqrt(np.average((own - np.average(own, weights=weight)) ** 2, weights=weight)))
