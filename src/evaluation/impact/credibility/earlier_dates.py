"""One earlier date of the roll-out: its effect in waves before the true one, by any estimator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evaluation.errors import EstimationError, IdentificationError
from evaluation.estimation.arguments import called_as
from evaluation.impact.credibility.overall import Asked, overall_effect, with_data
from evaluation.impact.panel import Cohorts, Panel, read_cohorts
from evaluation.impact.panel import panel as ordered
from evaluation.impact.staggered.extended_twfe import extended_twfe
from evaluation.impact.staggered.imputation import imputation_did
from evaluation.impact.staggered.sun_abraham import sun_abraham
from evaluation.impact.staggered.two_stage import two_stage_did
from evaluation.results import Estimates

Floats = NDArray[np.float64]
Method = Literal["att_gt", "imputation_did", "two_stage_did", "sun_abraham", "extended_twfe"]

#: Estimators that are asked on the rows before the true date.
OTHERS: dict[str, Callable[..., Estimates]] = {
    "imputation_did": imputation_did,
    "two_stage_did": two_stage_did,
    "sun_abraham": sun_abraham,
    "extended_twfe": extended_twfe,
}
METHODS = ("att_gt", *OTHERS)
#: Column that holds the earlier dates while they are tried.
EARLIER = "earlier date of {cohort}"
TOO_EARLY = "placebo_too_early"


def earlier_effect(
    over_time: Panel, outcome: str, asked: Asked, shift: float, method: Method
) -> tuple[Estimates | None, str]:
    """Return the effect of dates moved earlier, in waves before the true ones, or why there is none.

    Parameters
    ----------
    over_time : Panel
    outcome : str
    asked : Asked
    shift : float
        By how much earlier, above zero.
    method : str
        One of ``METHODS``.
    """
    cohorts = read_cohorts(over_time, asked.cohort)
    true = cohorts.values[np.maximum(cohorts.code, 0)] - asked.anticipation
    # A date before the first wave is as good as that wave: nothing lies before either.
    moved = np.maximum(true - shift, over_time.times[0])
    name = EARLIER.format(cohort=asked.cohort)
    data = over_time.design.data.assign(**{name: np.where(np.isfinite(moved), moved, 0.0)})
    own = replace(asked, cohort=name, anticipation=0.0)
    try:
        if method == "att_gt":
            return overall_effect(with_data(over_time, data), outcome, own, max_e=shift * (1 - 1e-9)), ""
        before = _rows_before(with_data(over_time, data), cohorts, true, moved)
        with called_as(asked.verb, method):
            return _of(OTHERS[method], before, outcome, own), ""
    except IdentificationError:
        return None, TOO_EARLY
    except EstimationError as error:
        if "no effect after treatment is left" in str(error):
            return None, TOO_EARLY
        raise


def _rows_before(over_time: Panel, cohorts: Cohorts, true: Floats, moved: Floats) -> Panel:
    """Return the panel without rows from the true date on, and without cohorts that have no wave before the other."""
    time = over_time.times[np.maximum(over_time.period, 0)]
    kept = (over_time.period >= 0) & (time < true) & (moved > over_time.times[0])
    if not (kept & np.isfinite(moved)).any() or len(np.unique(time[kept])) < 2:
        raise IdentificationError(f"no wave of '{cohorts.name}' lies before the earlier date.")
    return ordered(replace(over_time.design, inside=kept), time=over_time.time)


def _of(estimator: Callable[..., Estimates], over_time: Panel, outcome: str, asked: Asked) -> Estimates:
    options: dict[str, Any] = {"covariates": asked.covariates, "cluster": asked.cluster, "vcov": asked.vcov}
    made = estimator(over_time, outcome=outcome, cohort=asked.cohort, conf_level=asked.conf_level, **options)
    return made.take(np.array([0]))
