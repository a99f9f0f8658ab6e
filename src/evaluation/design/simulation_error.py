"""How much of a bootstrap standard error is chance of the bootstrap itself."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from evaluation.design.variance import ReplicateEngine
from evaluation.errors import EstimationError
from evaluation.results import Estimates


def replicates_needed(estimates: Estimates, *, cv: float = 0.05) -> pd.DataFrame:
    """Say how many bootstrap replicates bring the chance in standard errors down to a coefficient of variation.

    Parameters
    ----------
    estimates : Estimates
        Of a design with bootstrap replicates.
    cv : float, default 0.05
        Coefficient of variation of a standard error over repeated bootstraps of the same sample.

    Returns
    -------
    pandas.DataFrame
        A row per estimate: its keys, ``replicates`` that gave an estimate, ``cv_std_error`` with these, and
        ``replicates_needed`` for ``cv``.

    Raises
    ------
    EstimationError
        The estimates do not come from a bootstrap, or ``cv`` is not above 0.

    Notes
    -----
    A variance of R independent replicates with kurtosis :math:`\\kappa` has the coefficient of variation
    :math:`\\sqrt{(\\kappa - 1)/R}`, its square root half of that; normal replicates (:math:`\\kappa = 3`) take
    :math:`R = 1/(2 cv^2)`, 200 for 0.05.

    References
    ----------
    Beaumont and Patak (2012), International Statistical Review 80, 127-148, section 6. R twin:
    ``svrep::estimate_boot_reps_for_target_cv``, whose coefficient of variation is that of the variance.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.design.replication import as_replicates
    >>> from evaluation.estimation.means import survey_mean
    >>> respondents = pd.DataFrame({"y": np.arange(40.0)})
    >>> design = as_replicates(survey_design(respondents), kind="bootstrap", replicates=100, seed=1)
    >>> replicates_needed(survey_mean(design, "y")).columns.tolist()
    ['term', 'replicates', 'cv_std_error', 'replicates_needed']
    """
    if not isinstance(estimates, Estimates):
        raise EstimationError(
            f"replicates_needed needs estimates of a design with bootstrap replicates, got "
            f"{type(estimates).__name__}. Pass what ev.survey_mean(design, ...) or another verb returned."
        )
    engine, contributions = estimates.engine, estimates.contributions
    drawn = isinstance(engine, ReplicateEngine) and engine.kind in ("bootstrap", "preston")
    if contributions is None or not drawn:
        raise EstimationError(
            f"replicates_needed: {estimates.verb} has no bootstrap replicates ({estimates.variance_method}); only "
            f"those are drawn by chance. Make them with ev.as_replicates(..., kind='bootstrap')."
        )
    if isinstance(cv, bool) or not isinstance(cv, (int, float)) or not 0 < cv < math.inf:
        raise EstimationError(f"replicates_needed: cv must be a number above 0, e.g. 0.05, got {cv!r}.")
    replicates = np.where(np.isfinite(contributions[:-1]), contributions[:-1], np.nan)
    exist = np.isfinite(replicates).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = (replicates - np.nansum(replicates, axis=0) / exist) ** 2
        second, fourth = (np.nansum(squares**power, axis=0) / exist for power in (1, 2))
        excess = fourth / second**2 - 1
    needed = pd.array([pd.NA if np.isnan(one) else math.ceil(one / (4 * cv**2)) for one in excess], dtype="Int64")
    return estimates.keys.assign(
        replicates=exist, cv_std_error=np.sqrt(excess / exist) / 2, replicates_needed=needed
    ).reset_index(drop=True)
