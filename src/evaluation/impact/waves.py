"""The waves in which a roll-out still leaves places to compare with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evaluation.design.design import domain
from evaluation.errors import IdentificationError
from evaluation.estimation.arguments import require_arguments
from evaluation.impact.panel import Cohorts, Panel, cluster_codes, read_cohorts, require_panel
from evaluation.impact.panel import panel as ordered

#: In each wave at least so many clusters must be untreated, or leaving one out leaves nobody to compare with.
FEWEST_CONTROLS = 2


def comparable_waves(panel: Panel, *, cohort: str, cluster: str, until: float | None = None) -> Panel:
    """Keep the waves in which no single place is all that is left to compare with.

    Parameters
    ----------
    panel : Panel
        From ``ev.panel``.
    cohort, cluster : str
        Columns of the first treated period and of the places.
    until : float, optional
        Last wave that is kept. Default: the last one with two clusters that are not treated yet.

    Returns
    -------
    Panel
        The same respondents, later waves outside its domain; the same panel where nothing is left out. Places that
        start after the last wave count as not treated.

    Raises
    ------
    ColumnError
        A column is absent or cannot serve.
    IdentificationError
        Fewer than two waves are left, or none after a start.

    Notes
    -----
    Estimators that use every wave have no jackknife error where one place alone stands for those not treated yet.
    Group-time effects keep those waves apart (``supported_only``); here they go for every estimator.

    Examples
    --------
    >>> import pandas as pd
    >>> from evaluation.design.declaration import survey_design
    >>> places = pd.DataFrame({"gu": list("abcd") * 3, "year": [1] * 4 + [2] * 4 + [3] * 4, "first": [2, 2, 3, 0] * 3})
    >>> comparable_waves(ordered(survey_design(places), time="year"), cohort="first", cluster="gu").times.tolist()
    [1.0, 2.0]
    """
    require_arguments(comparable_waves, locals())
    require_panel(panel, "comparable_waves")
    if until is None:
        levels, code = cluster_codes(panel, cluster)
        cohorts = read_cohorts(panel, cohort)
        counted = (code >= 0) & (cohorts.code >= 0)
        start = np.full(len(levels), -np.inf)
        np.maximum.at(start, code[counted], cohorts.values[cohorts.code[counted]])
        left = np.array([int((start > time).sum()) for time in panel.times])
        kept = panel.times[left >= FEWEST_CONTROLS]
        if not len(kept):
            raise IdentificationError(
                f"comparable_waves: in no wave are two or more clusters of '{cluster}' untreated (most: "
                f"{int(left.max())}), so nothing can be compared. Add places that are never treated, or earlier waves."
            )
        until = float(kept[-1])
        _refuse_untreated(panel, cohorts, cluster, until, left)
    if until >= panel.times[-1]:
        return panel
    waves = [wave for wave in panel.design.data[panel.time].dropna().unique().tolist() if wave <= until]
    if len(waves) < 2:
        raise IdentificationError(
            f"comparable_waves: up to {until:g} there is {len(waves)} of {len(panel.times)} waves with two clusters "
            f"of '{cluster}' that are not treated yet; a change needs two waves. Add places that are never treated, or "
            f"earlier waves."
        )
    return ordered(domain(panel.design, {panel.time: waves}), unit=panel.unit, time=panel.time)


def _refuse_untreated(panel: Panel, cohorts: Cohorts, cluster: str, until: float, left: NDArray[np.int64]) -> None:
    """Raise an IdentificationError where nobody is treated in the waves that are left."""
    starts = cohorts.values[np.isfinite(cohorts.values)]
    if len(starts) and starts[0] <= until:
        return
    if not len(starts) or starts[0] > panel.times[-1]:
        raise IdentificationError(
            f"comparable_waves: nobody is treated by the last wave ({panel.times[-1]:g}) according to "
            f"'{cohorts.name}', so there is no wave after a start."
        )
    after = panel.times[panel.times >= starts[0]]
    number = int(left[panel.times >= starts[0]].max())
    raise IdentificationError(
        f"comparable_waves: from {after[0]:g} on, the first wave after a start, {number or 'no'} "
        f"cluster{'' if number == 1 else 's'} of '{cluster}' {'is' if number == 1 else 'are'} untreated, so no wave "
        f"after a start can be compared. Add places that are never treated; for single treated places, see "
        f"ev.synthetic_control."
    )
