"""Quantiles by domain with Woodruff intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from evaluation.design.collapse import mass_by
from evaluation.design.design import Design, require_design
from evaluation.errors import EstimationError
from evaluation.estimation.domains import Cells, Outcomes, cells_by, counts, degrees_of_freedom, outcomes_of
from evaluation.estimation.totals import Ratios, domain_totals, ratios
from evaluation.results import Estimates

Floats = NDArray[np.float64]


def survey_quantile(
    design: Design,
    variables: str | Sequence[str],
    *,
    probabilities: float | Sequence[float] = (0.25, 0.5, 0.75),
    by: str | Sequence[str] | None = None,
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate population quantiles of numeric variables.

    Parameters
    ----------
    design : Design
        Any design.
    variables : str or list of str
        Numeric columns.
    probabilities : float or sequence of float, default (0.25, 0.5, 0.75)
        Each between 0 and 1.
    by : str or list of str, optional
        Columns whose combinations are the domains.
    conf_level : float, default 0.95
        Of the interval.

    Returns
    -------
    Estimates
        ``level`` holds the probability. Limits need not lie symmetrically; ``std_error`` is the
        interval's length over twice its t quantile. A limit beyond the data is NaN, as is
        the quantile of a domain in which nobody answered. There is no
        influence function, so quantiles cannot be contrasted.

    Raises
    ------
    EstimationError
        A probability outside 0 to 1, nobody answered, or weights below zero.

    Notes
    -----
    The quantile is the smallest value y with :math:`\\hat F(y) \\ge p` (R's default rule "math", no
    interpolation). The interval inverts the same :math:`\\hat F` at the t limits of :math:`\\hat F(\\hat q)`.

    References
    ----------
    Woodruff (1952), JASA 47, 635-646. R twin: ``survey::svyquantile`` (4.1 and later), its defaults.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"y": [1.0, 2.0, 3.0, 4.0, 5.0]})
    >>> survey_quantile(survey_design(respondents), "y", probabilities=[0.5]).estimate.tolist()
    [3.0]
    """
    require_design(design, "survey_quantile")
    asked = np.atleast_1d(np.asarray(probabilities, dtype=float))
    if asked.size == 0 or not ((asked > 0) & (asked < 1)).all():
        raise EstimationError(f"probabilities must lie between 0 and 1, got {asked.tolist()}.")
    design.require_no_negative_weights("survey_quantile")
    outcomes = outcomes_of(design, variables, listwise=False, verb="survey_quantile")
    cells = cells_by(design, by)
    curves = {
        (j, d): _Curve.of(design, outcomes, cells, j, d) for j in range(len(outcomes.names)) for d in range(len(cells))
    }
    values = np.array(
        [[[curves[j, d].invert(p) for d in range(len(cells))] for p in asked] for j in range(len(outcomes.names))]
    )
    below = _shares_below(design, outcomes, cells, values)
    df = np.concatenate(
        [degrees_of_freedom(design, cells, outcomes.answered[:, j]) for j in range(len(outcomes.names))]
    )
    n_obs = np.concatenate([counts(design, cells, outcomes.answered[:, j]) for j in range(len(outcomes.names))])
    shape = (len(outcomes.names), 1, len(cells))
    df_each = np.broadcast_to(df.reshape(shape), values.shape).ravel()
    critical = stats.t.ppf((1 + conf_level) / 2, np.where(df_each > 0, df_each, np.nan))
    half = critical * np.sqrt(np.diag(design.engine.covariance(below.contributions)))
    limits = _limits(curves, values.shape, below.estimate, half)
    length = limits[:, 1] - limits[:, 0]
    error = np.divide(length, 2 * critical, out=np.full(values.size, np.nan), where=critical > 0)
    vcov = np.full((values.size, values.size), np.nan)
    np.fill_diagonal(vcov, error**2)
    return Estimates(
        verb="survey_quantile",
        keys=_keys(outcomes, asked, cells),
        estimate=values.ravel(),
        vcov=vcov,
        df=df_each.astype(float),
        n_obs=np.broadcast_to(n_obs.reshape(shape), values.shape).ravel(),
        provenance=design.provenance,
        conf_level=conf_level,
        interval=limits,
        interval_method="woodruff",
        method=f"woodruff, {design.engine.method}",
    )


def _limits(curves: Mapping[tuple[int, int], _Curve], shape: tuple[int, ...], centre: Floats, half: Floats) -> Floats:
    limits = np.full((len(centre), 2), np.nan)
    for row, (j, _, d) in enumerate(np.ndindex(shape)):
        limits[row] = [curves[j, d].invert(centre[row] + side * half[row]) for side in (-1, 1)]
    return limits


class _Curve:
    """Weighted distribution function of one variable in one domain."""

    def __init__(self, values: Floats, cumulated: Floats) -> None:
        self.values = values
        self.cumulated = cumulated

    @classmethod
    def of(cls, design: Design, outcomes: Outcomes, cells: Cells, j: int, d: int) -> _Curve:
        rows = np.flatnonzero(outcomes.answered[:, j] & design.present & (cells.code == d))
        values, position = np.unique(outcomes.values[rows, j], return_inverse=True)
        mass = np.cumsum(mass_by(position, len(values), design.weights[rows]))
        return cls(values, mass / mass[-1] if mass.size else mass)

    def invert(self, p: float) -> float:
        """Return the smallest value whose share below or at it reaches ``p``; NaN outside 0 to 1 or without values."""
        if not (self.values.size and 0 <= p <= 1):
            return float("nan")
        return float(self.values[min(int(np.searchsorted(self.cumulated, p * (1 - 1e-14))), len(self.values) - 1)])


def _shares_below(design: Design, outcomes: Outcomes, cells: Cells, values: Floats) -> Ratios:
    p, m, n_cells = values.shape
    q = p * m
    columns = np.empty((len(design), q + p))
    own = np.clip(cells.code, 0, None)
    for column, (j, k) in enumerate(np.ndindex(p, m)):
        columns[:, column] = (outcomes.values[:, j] <= values[j, k][own]) & outcomes.answered[:, j]
    columns[:, q:] = outcomes.answered
    totals = domain_totals(design, columns, cells)
    cell, asked = np.arange(n_cells)[None, :], np.arange(q)[:, None]
    return ratios(totals, (cell * (q + p) + asked).ravel(), (cell * (q + p) + q + asked // m).ravel())


def _keys(outcomes: Outcomes, probabilities: Floats, cells: Cells) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"term": name, "level": f"{p:g}", **by}
            for name in outcomes.names
            for p in probabilities
            for by in cells.keys.to_dict("records")
        ]
    )
