"""Change between two waves whose samples overlap: what they share is counted once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from evaluation.design.design import Design, domain, require_design
from evaluation.errors import EstimationError
from evaluation.estimation.trend import survey_trend, trend_change
from evaluation.results import Estimates

Names = str | Sequence[str]


def survey_change(
    design: Design,
    variables: Names,
    *,
    wave: str,
    start: float,
    end: float,
    by: Names | None = None,
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate the change of means between two waves of samples that overlap, or share strata and PSUs.

    Parameters
    ----------
    design : Design
        Both waves under each other, one row per respondent and wave. Sampling units that took part in both waves bear
        one id: persons of a panel, ``psu="person_id"``, or districts drawn once, ``psu="district_id"``.
    variables : str or list of str
        Numeric columns; a missing answer leaves its respondent out of that wave only.
    wave : str
        Numeric column of the wave.
    start, end : float
        Waves; the change is that of ``end`` over ``start``.
    by : str or list of str, optional
        Groups within each wave.
    conf_level : float, default 0.95
        Of the t interval.

    Returns
    -------
    Estimates
        One row per variable and group, with columns ``at_start``, ``at_end`` and ``correlation`` of the two waves'
        estimates. A relative change is ``nonlinear_contrast`` of ``survey_mean(design, ..., by=wave)``.

    Raises
    ------
    ColumnError
        A column does not exist or is text.
    EstimationError
        ``start`` and ``end`` are the same wave, nobody was asked in one of them, or waves are not numbers.

    Notes
    -----
    :math:`V(\\bar y_1 - \\bar y_0) = V_0 + V_1 - 2 C_{01}`; the covariance comes from the units that the waves share,
    and is what a sum of two variances leaves out. Units with different ids count as independent. A unit of both waves
    must lie in one stratum; strata that were drawn for one wave only stand beside the others under ids of their own.

    References
    ----------
    Kish (1965), Survey Sampling, section 12.4. R twin: both waves in one ``survey::svydesign``, ``svyby(~y, ~wave,
    design, svymean, covmat = TRUE)``, then ``svycontrast``.

    Examples
    --------
    >>> import pandas as pd
    >>> from evaluation.design.declaration import survey_design
    >>> waves = pd.DataFrame({"id": [1, 2, 3, 1, 2, 3], "wave": [1, 1, 1, 2, 2, 2], "y": [1.0, 4, 7, 2, 5, 8]})
    >>> change = survey_change(survey_design(waves, psu="id"), "y", wave="wave", start=1, end=2)
    >>> change.estimate.tolist(), change.std_error.tolist()
    ([1.0], [0.0])
    """
    require_design(design, "survey_change")
    if start == end:
        raise EstimationError(f"survey_change: start and end are both {start}, so there is no change.")
    both = domain(design, {wave: [start, end]})
    trend = survey_trend(both, variables, time=wave, by=by, conf_level=conf_level)
    change = trend_change(trend, start, end)
    keys = [name for name in trend.keys if name != wave]
    place = {
        (row[:-1], row[-1]): at for at, row in enumerate(trend.keys[[*keys, wave]].itertuples(index=False, name=None))
    }
    wanted = list(change.keys[keys].itertuples(index=False, name=None))
    first, last = (np.array([place[key, time] for key in wanted], dtype=np.int64) for time in (start, end))
    spread = trend.std_error[first] * trend.std_error[last]
    covariance = trend.vcov[first, last]
    shared = np.divide(covariance, spread, out=np.full(len(first), np.nan), where=spread > 0)
    columns = {"at_start": trend.estimate[first], "at_end": trend.estimate[last], "correlation": shared}
    return replace(change, verb="survey_change", columns=columns)
