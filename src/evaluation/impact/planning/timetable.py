"""A roll-out on paper: places, their first treated waves, and what an estimator makes of the cells they form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.errors import EstimationError, IdentificationError
from evaluation.estimation.arguments import came, is_number
from evaluation.impact.identification import ControlGroup, plan_cells
from evaluation.impact.panel import exact
from evaluation.impact.rollout.table import Rollout

Floats = NDArray[np.float64]
Method = Literal["means", "att_gt", "twfe", "gls"]
Decay = Literal["constant", "ar1"]

METHODS = ("means", "att_gt", "twfe", "gls")
_AS_WRITTEN = "Write {2016: 13, 0: 12}: how many places start in each wave, 0 for never."
#: Singular values of a design below this share of the largest are none.
RANK = 1e-10


@dataclass(frozen=True, eq=False)
class Timetable:
    """Who is treated from when.

    Attributes
    ----------
    cohort : ndarray, shape (G,)
        First treated wave of each place; infinite for never.
    times : ndarray, shape (T,)
        Waves, ascending.
    """

    cohort: Floats
    times: Floats

    @property
    def n_places(self) -> int:
        """Number of places, G."""
        return len(self.cohort)

    def sizes(self) -> dict[str, int]:
        """Return the number of places by first treated wave."""
        values, counts = np.unique(self.cohort, return_counts=True)
        return {
            "never" if np.isinf(value) else str(exact(value)): int(count)
            for value, count in zip(values, counts, strict=True)
        }

    def n_control(self) -> int:
        """Number of places that are never treated within the waves."""
        return int((self.cohort > self.times[-1]).sum())


def read_timetable(schedule: object, waves: Sequence[float] | None, verb: str) -> Timetable:
    """Return a timetable from a roll-out, from the first wave of each place, or from the number of places by wave.

    Parameters
    ----------
    schedule : Rollout, pandas.Series, or mapping
        A roll-out as realised; the first treated wave of each place; or first wave to number of places.
    waves : sequence of float, optional
        Default: those of the roll-out, one before them included.
    verb : str

    Raises
    ------
    EstimationError
        Something else, fewer than two waves, dates that are no numbers, nobody treated.
    """
    if isinstance(schedule, Rollout):
        cohort = schedule.cohorts()["first_wave"].to_numpy(dtype=float)
        waves = [schedule.waves[0] - 1, *schedule.waves] if waves is None else waves
    elif isinstance(schedule, pd.Series):
        cohort = _numbers(schedule.to_numpy(dtype=object), verb)
    elif isinstance(schedule, Mapping) and schedule:
        cohort = _counted(schedule, verb)
    else:
        raise EstimationError(
            f"{verb}: schedule must be a roll-out (ev.read_rollout), a Series of the first wave of each place, or a "
            f"mapping, got {came(schedule)}. {_AS_WRITTEN}"
        )
    times = np.unique(_numbers(np.asarray([] if waves is None else list(waves), dtype=object), f"{verb}: waves"))
    if len(times) < 2:
        raise EstimationError(
            f"{verb}: expected two waves and more, got {came(waves)}. Write waves=[2014, 2015, 2016], all in which the "
            f"survey was or will be in the field."
        )
    cohort = np.where(np.isnan(cohort) | (cohort == 0) | (cohort > times[-1]), np.inf, cohort)
    if not np.isfinite(cohort).any():
        raise IdentificationError(f"{verb}: no place is treated by the last wave ({times[-1]:g}).")
    if len(cohort) < 3:
        raise EstimationError(f"{verb}: {len(cohort)} places; an error over places needs three and more.")
    return Timetable(cohort, times)


def _numbers(values: NDArray[Any], what: str) -> Floats:
    strange = [value for value in values if not is_number(value) and value is not None and value is not pd.NA]
    if strange:
        raise EstimationError(f"{what}: waves are numbers such as 2016, got {came(strange[0])}.")
    return np.array([np.nan if value is None or value is pd.NA else float(value) for value in values])


def _counted(schedule: Mapping[Any, Any], verb: str) -> Floats:
    for wave, count in schedule.items():
        if not is_number(wave) or not is_number(count) or count < 1 or float(count) != int(count):
            raise EstimationError(
                f"{verb}: expected a wave and a whole number of places, got {wave!r}: {count!r}. {_AS_WRITTEN}"
            )
    return np.repeat([float(wave) for wave in schedule], [int(count) for count in schedule.values()])


def coefficients(
    timetable: Timetable,
    method: Method,
    *,
    control_group: ControlGroup = "notyettreated",
    anticipation: float = 0.0,
    covariance: Floats | None = None,
    kept: Floats | None = None,
    supported_only: bool = False,
) -> Floats:
    """Return what an estimator multiplies the mean of each place and wave by, shape (G, T); its sum is the estimate.

    Parameters
    ----------
    timetable : Timetable
    method : {"means", "att_gt", "twfe", "gls"}
        Mean after less mean before, treated less others; the simple average of group-time effects; two-way fixed
        effects; generalised least squares.
    control_group, anticipation
        Of "att_gt".
    covariance : ndarray, shape (T, T)
        Of the means of one place, for "gls".
    kept : ndarray of bool, shape (G,), optional
        Places that are there; default all.
    supported_only : bool, default False
        For "att_gt": only effects that exist without any one place.

    Raises
    ------
    IdentificationError
        The estimate does not exist for this timetable.
    """
    here = np.ones(timetable.n_places, dtype=bool) if kept is None else np.asarray(kept, dtype=bool)
    whole = np.zeros((timetable.n_places, len(timetable.times)))
    if method == "att_gt":
        whole[here] = _simple(timetable, here, control_group, anticipation, supported_only)
    elif method == "means":
        whole[here] = _before_after(Timetable(timetable.cohort[here], timetable.times))
    else:
        own = np.eye(len(timetable.times)) if covariance is None else covariance
        whole[here] = _least_squares(Timetable(timetable.cohort[here], timetable.times), method, own)
    return whole


def _before_after(timetable: Timetable) -> Floats:
    dates = np.unique(timetable.cohort[np.isfinite(timetable.cohort)])
    treated = np.isfinite(timetable.cohort)
    if len(dates) != 1 or treated.all():
        raise IdentificationError(
            "method='means' compares one date with places never treated; this schedule has "
            f"{len(dates)} dates and {int((~treated).sum())} such places. Use method='att_gt', 'twfe' or 'gls'."
        )
    after = timetable.times >= dates[0]
    if after.all() or not after.any():
        raise IdentificationError("method='means' needs a wave before the date and one from it on.")
    change = np.where(after, 1 / after.sum(), -1 / (~after).sum())
    return np.outer(np.where(treated, 1 / max(treated.sum(), 1), -1 / (~treated).sum()), change)


def _simple(
    timetable: Timetable, here: NDArray[np.bool_], control_group: ControlGroup, anticipation: float, supported: bool
) -> Floats:
    values, code = np.unique(timetable.cohort, return_inverse=True)
    full, size = np.bincount(code), np.bincount(code[here], minlength=len(values))
    made, total = np.zeros((int(here.sum()), len(timetable.times))), 0.0
    for cell in plan_cells(timetable.times, values, control_group, "varying", anticipation):
        if cell.reason or timetable.times[cell.time] < values[cell.cohort]:
            continue
        controls = list(cell.controls)
        if supported and (full[cell.cohort] < 2 or full[controls].sum() < 2):
            continue
        if not size[cell.cohort] or not size[controls].sum():
            raise IdentificationError("an effect hangs on a single place, so it does not exist without it.")
        own, others = code[here] == cell.cohort, np.isin(code[here], controls)
        row = own / own.sum() - others / others.sum()
        made[:, cell.time] += size[cell.cohort] * row
        made[:, cell.base] -= size[cell.cohort] * row
        total += size[cell.cohort]
    if not total:
        raise IdentificationError("no effect after treatment is identified: each needs a wave before it and controls.")
    return np.asarray(made / total)


def _least_squares(timetable: Timetable, method: str, covariance: Floats) -> Floats:
    g, t = timetable.n_places, len(timetable.times)
    treated = (timetable.cohort[:, None] <= timetable.times).astype(float)
    if method == "twfe":
        within = treated - treated.mean(axis=0) - treated.mean(axis=1, keepdims=True) + treated.mean()
        size = float((within**2).sum())
        if size < RANK * g * t:
            raise IdentificationError("method='twfe': treatment does not vary beside places and waves.")
        return np.asarray(within / size)
    inverse = np.linalg.inv(covariance)
    centred = treated - treated.mean(axis=0)
    weighted = centred @ inverse
    size = float((weighted * centred).sum())
    if size < RANK * g * t * float(np.trace(inverse)) / t:
        raise IdentificationError("method='gls': treatment does not vary between places in any wave.")
    return np.asarray(weighted / size)


def place_covariance(
    n_times: int, persons: float, icc: float, cac: float, std_dev: float, autocorrelation: Decay, times: Floats
) -> Floats:
    """Return the covariance of the wave means of one place, shape (T, T).

    Notes
    -----
    Shocks of place and wave have variance ``icc * std_dev ** 2`` and correlation ``cac`` between any two waves
    ("constant"), or ``cac ** |t - s|`` ("ar1"); persons add ``(1 - icc) * std_dev ** 2 / persons``.
    """
    apart = np.abs(times[:, None] - times[None, :])
    alike = np.where(apart == 0, 1.0, cac) if autocorrelation == "constant" else np.power(cac, apart)
    return np.asarray(std_dev**2 * (icc * alike + (1 - icc) / persons * np.eye(n_times)))


def variance_of(coefficient: Floats, covariance: Floats) -> float:
    """Return the variance of an estimate with these coefficients, places being independent."""
    return max(float(np.einsum("gt,ts,gs->", coefficient, covariance, coefficient)), 0.0)
