"""Donor weights that look at predictors, and weights of predictors that look at the outcome before the start."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize

from evaluation.errors import EstimationError
from evaluation.estimation.arguments import came, column_names, is_number
from evaluation.impact.synthetic_control.simplex import simplex_least_squares

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Predictors = Mapping[str, Iterable[float]] | Sequence[tuple[str, Iterable[float]]]

#: Least weight of a predictor while weights are sought, as a share of the largest.
_FLOOR = 1e-8
#: Evaluations for each start of the search.
_EVALUATIONS = 4_000


@dataclass(frozen=True, eq=False)
class Nested:
    """Predictors of places, and the waves whose outcome decides how much each counts.

    Attributes
    ----------
    names : tuple of str, P
    values : ndarray, shape (P, G)
    fit_columns : ndarray of int, or None
        Waves of the outcome that the weights of predictors are to fit; None for all before the start.
    given : ndarray, shape (P,), or None
        Weights of predictors, where they are not to be sought.
    """

    names: tuple[str, ...]
    values: Floats
    fit_columns: Codes | None
    given: Floats | None = None


def nested_weights(
    nested: Nested, outcome: Floats, donors: Codes, treated: Codes, start: int
) -> tuple[Floats, Floats, float]:
    """Return donor weights, predictor weights (summing to 1) and the weighted squares between predictors.

    Notes
    -----
    Given V, donor weights minimise :math:`(x_1 - X_0 w)' V (x_1 - X_0 w)` on the simplex, exactly; V minimises the
    mean squares of the outcome between treated and synthetic. The outer search is not convex: it starts from equal
    weights and from those of a regression of the outcome on the predictors, by Nelder and Mead, each three times,
    and the best is kept. Weights of predictors are not unique; losses and gaps are.
    """
    fitted = np.arange(start) if nested.fit_columns is None else nested.fit_columns
    x = nested.values / _spread(nested.values[:, np.concatenate([donors, treated])])[:, None]
    x0, x1 = x[:, donors], x[:, treated].mean(axis=1)
    z0, z1 = outcome[np.ix_(donors, fitted)].T, outcome[np.ix_(treated, fitted)].mean(axis=0)

    def weights(root: Floats) -> Floats:
        return simplex_least_squares(root[:, None] * x0, root * x1)

    def loss(free: Floats) -> float:
        omega = weights(np.sqrt(_normalised(free)))
        return float(np.mean((z1 - z0 @ omega) ** 2))

    v = _normalised(_search(loss, _starts(x0, x1, z0, z1)) if nested.given is None else nested.given)
    omega = weights(np.sqrt(v))
    return omega, v, float(v @ (x1 - x0 @ omega) ** 2)


def _normalised(free: Floats) -> Floats:
    size = np.abs(free)
    size = np.maximum(size, _FLOOR * max(float(size.max()), 1e-300))
    return np.asarray(size / size.sum())


def _spread(values: Floats) -> Floats:
    spread = values.std(axis=1, ddof=1)
    return np.where(spread > 0, spread, 1.0)


def _starts(x0: Floats, x1: Floats, z0: Floats, z1: Floats) -> list[Floats]:
    p = len(x1)
    everyone = np.column_stack([np.ones(x0.shape[1] + 1), np.column_stack([x0, x1]).T])
    slopes = np.linalg.lstsq(everyone, np.vstack([z0.T, z1]), rcond=None)[0][1:]
    by_regression = (slopes**2).sum(axis=1)
    return [np.full(p, 1 / p), by_regression / by_regression.sum()]


def _search(loss: Callable[[Floats], float], starts: list[Floats]) -> Floats:
    found: list[tuple[float, int, Floats]] = []
    for start in starts:
        point = start
        for _ in range(3):
            run = optimize.minimize(
                loss,
                point,
                method="Nelder-Mead",
                options={"maxfev": _EVALUATIONS, "xatol": 1e-7, "fatol": 1e-12, "adaptive": True},
            )
            point = _normalised(run.x)
        found.append((float(run.fun), len(found), point))
    return min(found, key=lambda one: one[:2])[2]


def _are_waves(waves: object) -> bool:
    return isinstance(waves, Iterable) and not isinstance(waves, str) and all(map(is_number, waves))


def read_predictors(
    predictors: Predictors | None, covariates: Sequence[str], verb: str
) -> list[tuple[str, list[float] | None]]:
    """Return each predictor's column and waves (None: all before the first start).

    Raises
    ------
    EstimationError
        There is none, or waves are not given as numbers.
    """
    named = column_names(covariates, f"{verb}: covariates", "'income'")
    read: list[tuple[str, list[float] | None]] = [(name, None) for name in named]
    pairs: Any = predictors.items() if isinstance(predictors, Mapping) else () if predictors is None else predictors
    for pair in pairs if isinstance(pairs, Iterable) and not isinstance(pairs, (str, pd.DataFrame)) else [pairs]:
        if not isinstance(pair, Sequence) or len(pair) != 2 or not _are_waves(pair[1]):
            raise EstimationError(
                f"{verb}: predictors go from a column to the waves over which it is averaged, such as "
                f"{{'income': range(1964, 1970)}}, got {came(pair)}."
            )
        read.append((str(pair[0]), [float(wave) for wave in pair[1]]))
    if not read:
        raise EstimationError(f"{verb}: method='nested' needs predictors={{column: waves}}, or covariates=[...].")
    return read
