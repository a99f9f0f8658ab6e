"""Calibration: the smallest change of the weights that reproduces known totals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.design import Design, require_design
from evaluation.errors import CalibrationError, ColumnError, WeightingError
from evaluation.survey.margins import Margins
from evaluation.weighting.raking import adjustment_factor, as_margins, code_margins

Floats = NDArray[np.float64]
Distance = Literal["linear", "raking"]

#: Totals are met to this precision, relative to the sum of absolute contributions.
TOLERANCE = 1e-10
MAXIMUM_STEPS = 100


@dataclass(frozen=True, eq=False)
class CalibrationStep:
    """Weights multiplied by a function of auxiliaries so that their totals are met.

    Attributes
    ----------
    auxiliaries : ndarray, shape (n, q)
        Indicators of categorical margins and columns of numeric ones.
    totals : ndarray, shape (q,)
        Population totals.
    names : tuple of str
        What each column is.
    distance : {"linear", "raking"}
        Adjustment ``1 + x'b`` or ``exp(x'b)``.
    margins : tuple of str
        Margins as the user named them.
    """

    auxiliaries: Floats
    totals: Floats
    names: tuple[str, ...]
    distance: Distance
    margins: tuple[str, ...]
    verb: str = "calibrate"

    @property
    def arguments(self) -> Mapping[str, Any]:
        """Margins and distance."""
        return {"margins": list(self.margins), "distance": self.distance}

    def replay(self, weights: Floats) -> Floats:
        """Calibrate other weights, shape (n,), to the same totals."""
        x, multiplier = self.auxiliaries, np.zeros(len(self.totals))
        scale = np.abs(x).T @ weights + np.abs(self.totals)
        for _ in range(MAXIMUM_STEPS):
            adjusted = weights * self._factor(x @ multiplier)
            short = self.totals - x.T @ adjusted
            if (np.abs(short) <= TOLERANCE * scale).all():
                return adjusted
            multiplier = multiplier + solve_moments(x, self._slope_weights(weights, adjusted), short[:, None])[:, 0]
            if not np.isfinite(multiplier).all() or (self.distance == "raking" and (x @ multiplier).max() > 700):
                break
        raise self._unmet(weights, short)

    def _factor(self, u: Floats) -> Floats:
        return 1 + u if self.distance == "linear" else np.exp(u)

    def _slope_weights(self, weights_in: Floats, weights_out: Floats) -> Floats:
        return weights_in if self.distance == "linear" else weights_out

    def _unmet(self, weights: Floats, short: Floats) -> CalibrationError:
        before = self.auxiliaries.T @ weights
        table = pd.DataFrame({"total": self.names, "target": self.totals, "before": before, "still_missing": short})
        table = table.sort_values("still_missing", key=lambda miss: -miss.abs() / (table["target"].abs() + 1))
        worst = table.iloc[0]
        return CalibrationError(
            f"calibration cannot meet its totals: '{worst['total']}' misses its target {worst['target']:,.10g} by "
            f"{worst['still_missing']:,.6g} (before calibration {worst['before']:,.10g}). The totals contradict each "
            f"other or lie out of reach of this sample. Check the target's unit and population, or drop it.",
            failures=table,
        )

    def pull_back(self, z: Floats, weights_in: Floats, weights_out: Floats) -> Floats:
        """Residualise ``z`` on the auxiliaries with the derivative weights, times the adjustment factor."""
        slope = self._slope_weights(weights_in, weights_out)
        residual = z - self.auxiliaries @ solve_moments(
            self.auxiliaries, slope, self.auxiliaries.T @ (slope[:, None] * z)
        )
        return residual * adjustment_factor(weights_in, weights_out)[:, None]

    def residualise(self, x: Floats, weights_in: Floats, weights_out: Floats) -> Floats:
        """Residualise weighted influence with the input weights, as R survey does."""
        z = np.divide(x, weights_out[:, None], out=np.zeros_like(x), where=weights_out[:, None] != 0)
        moments = self.auxiliaries.T @ (weights_in[:, None] * z)
        return (z - self.auxiliaries @ solve_moments(self.auxiliaries, weights_in, moments)) * weights_out[:, None]


def solve_moments(x: Floats, weights: Floats, moments: Floats) -> Floats:
    """Solve ``(x' W x) b = moments`` for b, shape (q, k); redundant columns share their coefficient."""
    norm = np.sqrt((weights[:, None] * x**2).sum(axis=0))
    norm[norm == 0] = 1.0
    scaled = x / norm
    inverse = np.linalg.pinv(scaled.T @ (weights[:, None] * scaled), rcond=1e-13, hermitian=True)
    return np.asarray((inverse @ (moments / norm[:, None])) / norm[:, None])


def calibrate(design: Design, margins: Margins | Mapping[str, Any], *, distance: Distance = "linear") -> Design:
    """Adjust the weights as little as possible so that the sample reproduces known totals.

    Parameters
    ----------
    design : Design
        Any design.
    margins : Margins or mapping
        Counts of levels (``{"stype": {"E": 4421, ...}}``), totals of numeric columns
        (``{"api99": 3914069}``) and the population size (``{"total": 6194}``).
    distance : {"linear", "raking"}, default "linear"
        Linear is the generalised regression estimator; its weights may be negative. Raking keeps
        them positive.

    Returns
    -------
    Design
        Totals are met to 1e-10; the variance knows the step.

    Raises
    ------
    MarginError
        Levels stand on one side only.
    ColumnError
        An auxiliary is missing for some respondents or not numeric.
    CalibrationError
        The totals cannot be met.

    Notes
    -----
    :math:`w_i' = w_i F(x_i'b)` with b such that :math:`\\sum_i w_i' x_i = T`.

    References
    ----------
    Deville and Särndal (1992), JASA 87, 376-382, equations (2.1)-(2.6). R twin: ``survey::calibrate``
    with ``calfun = "linear"`` or ``"raking"``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"rooms": [1.0, 2.0, 3.0]})
    >>> calibrate(survey_design(respondents), {"total": 6, "rooms": 14}).weights.round(6).tolist()
    [1.0, 2.0, 3.0]
    """
    require_design(design, "calibrate")
    if distance not in ("linear", "raking"):
        raise WeightingError(f"distance must be 'linear' or 'raking', got {distance!r}.")
    x, totals, names = auxiliaries_of(design, as_margins(margins))
    step = CalibrationStep(x, totals, names, distance, as_margins(margins).names)
    return design.adjusted(step)


def auxiliaries_of(design: Design, margins: Margins) -> tuple[Floats, Floats, tuple[str, ...]]:
    """Return auxiliaries (n, q), their totals (q,) and names: a column per level and per numeric total.

    Raises
    ------
    WeightingError
        There is no margin.
    ColumnError, MarginError
        As ``calibrate``.
    """
    blocks: list[Floats] = []
    totals: list[float] = []
    names: list[str] = []
    for coded in code_margins(design, margins):
        blocks.append(np.eye(len(coded.targets))[coded.codes])
        totals += list(coded.targets)
        names += [f"{coded.name}={level}" for level in coded.levels]
    for name, value in margins.totals.items():
        blocks.append(np.ones((len(design), 1)) if name == "total" else _numeric(design, name)[:, None])
        totals.append(value)
        names.append(name)
    if not blocks:
        raise WeightingError("calibrate needs at least one margin or total; none was given.")
    return np.hstack(blocks), np.array(totals), tuple(names)


def _numeric(design: Design, name: str) -> Floats:
    column = design.column(name)
    if not pd.api.types.is_numeric_dtype(column):
        raise ColumnError(
            f"calibration total '{name}': the column is text, expected numbers. Give counts of its levels."
        )
    values = column.to_numpy(dtype=float, na_value=np.nan)
    missing = np.isnan(values)
    if missing.any():
        raise ColumnError(
            f"calibration total '{name}' is missing for {int(missing.sum())} of {len(values)} respondents; the whole "
            f"sample must have it. Impute it, or choose a total that everybody answered.",
            failures=design.data.loc[missing],
        )
    return values
