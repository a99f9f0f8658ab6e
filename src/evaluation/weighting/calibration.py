"""Calibration: the smallest change of the weights that reproduces known totals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from evaluation.design.collapse import Codes, Floats
from evaluation.design.columns import Columns
from evaluation.design.design import Design, require_design
from evaluation.design.steps import Derivative
from evaluation.errors import CalibrationError, DesignError, WeightingError
from evaluation.results import Estimates
from evaluation.survey.margins import Margins
from evaluation.weighting.auxiliaries import (
    Auxiliaries,
    auxiliaries_of,
    by_cluster,
    give_of,
    refuse_redundant,
    spread_of,
)
from evaluation.weighting.distances import Adjustment, Bounds, Distance, adjustment
from evaluation.weighting.estimated_totals import as_counts, joined_margins, root_of, totals_in
from evaluation.weighting.feasibility import explain_contradiction, explain_edge, explain_infeasible
from evaluation.weighting.newton import Equations, Solution, inverse, solve
from evaluation.weighting.raking import adjustment_factor, as_margins

#: Cells up to which replicates are calibrated on cells instead of respondents.
MAXIMUM_CELLS = 5_000
#: A factor of the raking distance below this may stand for a weight of zero, which it never reaches.
VANISHING = 1e-8


@dataclass(frozen=True, eq=False)
class CalibrationStep:
    """Weights multiplied by a function of auxiliaries so that their totals are met.

    Attributes
    ----------
    auxiliaries : Columns, n rows, q columns
        Indicators of categorical margins and columns of numeric ones.
    totals : ndarray, shape (q,)
        Population totals.
    names : tuple of str
        What each column is.
    distance : {"linear", "raking", "logit"}
        Which function of ``x'b / v`` a weight is multiplied by.
    margins : tuple of str
        Margins as the user named them.
    bounds : (float, float) or None
        Lowest and highest factor.
    asked : mapping
        Keyword arguments of the verb as they were given.
    written : mapping
        Those beside margins, distance and bounds, as a study file writes them.
    spread : ndarray, shape (n,), or None
        ``1 / v``, one over each respondent's variance.
    give : ndarray, shape (q,), or None
        What a soft total gives way per unit of its multiplier; 0 is exact.
    root : ndarray, shape (q, r), or None
        Root of the covariance of totals that are estimates.
    """

    auxiliaries: Columns
    totals: Floats
    names: tuple[str, ...]
    distance: Distance = "linear"
    margins: tuple[str, ...] = ()
    bounds: Bounds | None = None
    asked: Mapping[str, Any] = field(default_factory=dict)
    written: Mapping[str, Any] = field(default_factory=dict)
    spread: Floats | None = None
    give: Floats | None = None
    root: Floats | None = None
    verb: str = "calibrate"
    _known: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    @property
    def arguments(self) -> Mapping[str, Any]:
        """Margins, distance and what else was asked for."""
        told: dict[str, Any] = {"margins": list(self.margins), "distance": self.distance}
        if self.bounds is not None:
            told["bounds"] = list(self.bounds)
        return {**told, **self.written}

    @property
    def adjustment(self) -> Adjustment:
        """The factor of a weight as a function of its auxiliaries."""
        return Adjustment(self.distance, self.bounds)

    def replay(self, weights: Floats) -> Floats:
        """Calibrate other weights, shape (n,), to the same totals."""
        return weights * self._factor(self.auxiliaries, weights, self.spread)

    def _factor(self, x: Columns, weights: Floats, spread: Floats | None) -> Floats:
        bounded = self.distance != "linear" or self.bounds is not None
        if bounded and (weights < 0).any():
            raise CalibrationError(
                f"{self.verb}: {int((weights < 0).sum())} weights are negative before calibration; only the linear "
                f"distance without bounds can start from those. Keep them positive in the step before."
            )
        solved = solve(Equations(x, weights, self.totals, self.adjustment, spread, self.give))
        if solved.gram is not None and x is self.auxiliaries and not self._known:
            self._known.update(weights=weights, gram=solved.gram)
        if not solved.converged:
            raise self._unmet(x, weights, solved)
        if self.distance == "raking" and solved.factor.min(initial=1.0, where=weights > 0) < VANISHING:
            own = self._exact(x)
            edge = explain_edge(own.x, weights, own.totals, own.names, verb=self.verb)
            if edge is not None:
                raise edge
        return solved.factor

    def _exact(self, x: Columns) -> Auxiliaries:
        exact = np.arange(len(self.names)) if self.give is None else np.flatnonzero(self.give == 0)
        return Auxiliaries(x, self.totals, self.names).only(exact)

    def _unmet(self, x: Columns, weights: Floats, solved: Solution) -> CalibrationError:
        own = self._exact(x)
        if self.adjustment.limits != (-np.inf, np.inf):
            return explain_infeasible(own.x, weights, own.totals, own.names, self.adjustment.limits, verb=self.verb)
        told = explain_contradiction(own.x, weights, own.totals, own.names, verb=self.verb)
        short = pd.DataFrame({"total": self.names, "target": self.totals, "still_missing": solved.short})
        return told or CalibrationError(
            f"{self.verb} does not reach its totals to ten digits: they are nearly redundant, '{own.names[-1]}' "
            f"perhaps. Centre numeric columns, or drop one of the totals that say almost the same.",
            failures=short,
        )

    def derivative(self, weights_in: Floats, weights_out: Floats) -> Derivative:
        """Residualise on the auxiliaries with the derivative weights, times the adjustment factor.

        The derivative weights are ``w F'(u) / v``: zero for factors cut off at a bound.
        """
        x, factor = self.auxiliaries, adjustment_factor(weights_in, weights_out)
        slope = self._spread_out(weights_in * self.adjustment.slope(factor))
        known = self.gram_at(weights_in)
        middle = inverse(x.gram(slope) if known is None else known, self.give)
        return Derivative(factor, (x.scaled(factor),), (x.scaled(slope),), middle, (self.root,))

    def residualise(self, x: Floats, weights_in: Floats, weights_out: Floats) -> Floats:
        """Residualise weighted influence with the input weights, as R survey does."""
        z = np.divide(x, weights_out[:, None], out=np.zeros_like(x), where=weights_out[:, None] != 0)
        own, slope = self.auxiliaries, self._spread_out(weights_in)
        fitted = own.times(inverse(own.gram(slope), self.give) @ own.moments(slope[:, None] * z))
        return np.asarray((z - fitted) * weights_out[:, None])

    def gram_at(self, weights: Floats) -> Floats | None:
        """Return the Gram matrix that solving with ``weights`` ended with, shape (q, q); None where none is kept."""
        return self._known.get("gram") if self._known.get("weights") is weights else None

    def _spread_out(self, weights: Floats) -> Floats:
        return weights if self.spread is None else weights * self.spread


@dataclass(frozen=True, eq=False)
class CellCalibrationStep(CalibrationStep):
    """Calibration to counts of levels alone: all respondents of a cell share one factor."""

    @property
    def cells(self) -> tuple[Codes, int]:
        """Crossing of all margins: cell of each respondent, and their number."""
        x = self.auxiliaries
        return (np.zeros(x.n, dtype=np.int64) if x.code is None else x.code), x.n_cells

    def replay_cells(self, masses: Floats) -> Floats:
        """Return the factor of each cell for several sums of weights by cell, both of shape (R, n_cells)."""
        table = self.auxiliaries.table
        alone = Columns(len(table), np.arange(len(table)), table)
        return np.vstack([self._factor(alone, row, None) for row in masses])


def calibrate(
    design: Design,
    margins: Margins | Mapping[str, Any] | None = None,
    *,
    distance: Distance = "linear",
    bounds: Sequence[float] | None = None,
    ridge: Mapping[str, float] | float | None = None,
    cluster: str | None = None,
    variance: str | None = None,
    totals_from: Estimates | None = None,
    vcov: pd.DataFrame | Mapping[str, Mapping[str, float]] | None = None,
) -> Design:
    """Adjust the weights as little as possible so that the sample reproduces known totals.

    Parameters
    ----------
    design : Design
        Any design.
    margins : Margins or mapping
        Counts of levels (``{"stype": {"E": 4421, ...}}``), totals of numeric columns
        (``{"api99": 3914069}``) and the population size (``{"total": 6194}``).
    distance : {"linear", "raking", "logit"}, default "linear"
        Linear is the generalised regression estimator; without bounds its weights may be negative, which
        ``design.history`` shows as their minimum. Raking keeps them positive. Logit stays between its bounds.
    bounds : (float, float), optional
        Lowest and highest factor by which a weight may change, ``lo < 1 < hi``. Linear and raking are cut off there;
        logit needs them.
    ridge : mapping of name to cost, or float, optional
        Totals that may be missed, at a cost; a number holds for all, infinity means exact, as do totals that are not
        named. A margin's name stands for all its levels. With cost c, missing a total by a share s costs as much as
        changing every weight by ``s * sqrt(c)``.
    cluster : str, optional
        Column of households: all members get one weight. They must start from equal weights.
    variance : str, optional
        Column to which the scatter of outcomes around their prediction is proportional; weights change more where it
        is small. Constant by default.
    totals_from : Estimates, optional
        ``survey_total`` of another, independent sample: totals that are themselves estimates. Their error enters the
        variance of all that is estimated with the new weights.
    vcov : DataFrame or mapping of mappings, optional
        Covariance of totals that are estimates, where only that was published; named by ``"margin=level"`` or column.
        Totals that are not named are exact.

    Returns
    -------
    Design
        Totals are met to 1e-10; the variance knows the step.

    Raises
    ------
    MarginError
        Levels stand on one side only, or margins add up to different totals.
    ColumnError
        An auxiliary is missing for some respondents or not numeric.
    WeightingError
        Distance, bounds, costs or clusters are not as they must be.
    CalibrationError
        The totals cannot be met: the message names a smallest set of them that conflict, what could be reached, and
        the smallest bounds that would do.

    Notes
    -----
    :math:`w_i' = w_i F(x_i'b / v_i)` with b such that :math:`\\sum_i w_i' x_i + \\Lambda b = T`. Linear has
    :math:`F(u) = 1 + u`, raking :math:`e^u`; for logit see ``Adjustment``. Without ridge :math:`\\Lambda = 0`; with
    costs c it minimises :math:`\\sum_i w_i v_i G(F_i) + \\tfrac{1}{2} N \\sum_j c_j (\\sum_i w_i' x_{ij} / T_j - 1)^2`,
    N the sum of the weights, G the distance: :math:`\\Lambda_{jj} = T_j^2 / (N c_j)`.

    Within clusters each member has the mean of the cluster's auxiliaries. With estimated totals of covariance V the
    variance grows by :math:`\\beta' V \\beta`, :math:`\\beta` being the derivative of the estimate in the totals.

    References
    ----------
    Deville and Särndal (1992), JASA 87, 376-382, equations (2.1)-(2.6) and table 1. Ridge: Chambers (1996), Journal of
    Official Statistics 12, 3-32; Rao and Singh (1997), Proceedings of the ASA Survey Research Methods Section, 57-65.
    Households: Lemaître and Dufour (1987), Survey Methodology 13, 199-207. Estimated totals: Dever and Valliant (2010),
    Survey Methodology 36, 45-56; Fuller (1998), Statistica Sinica 8, 1153-1164. R twins: ``survey::calibrate`` with
    ``calfun``, ``bounds``, ``aggregate.stage``, ``variance``; ``svrep::calibrate_to_estimate``; ``icarus`` for costs.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"rooms": [1.0, 2.0, 3.0]})
    >>> calibrate(survey_design(respondents), {"total": 6, "rooms": 14}).weights.round(6).tolist()
    [1.0, 2.0, 3.0]
    >>> calibrate(survey_design(respondents), {"total": 3, "rooms": 6.6}, bounds=(0.8, 1.6)).weights.round(6).tolist()
    [0.8, 0.8, 1.4]
    """
    require_design(design, "calibrate")
    given, estimated = _targets(margins, totals_from, vcov)
    changed = adjustment(distance, bounds)
    auxiliaries, spread = auxiliaries_of(design, given), spread_of(design, variance)
    if cluster is not None:
        auxiliaries, spread = by_cluster(design, auxiliaries, spread, cluster)
    root = None if estimated is None else root_of(estimated, auxiliaries)
    if root is not None and design.replicates is not None:
        raise DesignError(
            "calibrate: replicates repeat a calibration to fixed totals, so they would leave out the error of "
            "estimated ones. Calibrate a design without replicates, or leave out totals_from and vcov."
        )
    made = CellCalibrationStep if _on_cells(auxiliaries, spread, cluster) else CalibrationStep
    options = {"ridge": ridge, "cluster": cluster, "variance": variance}
    step = made(
        *auxiliaries,
        distance=distance,
        margins=given.names,
        bounds=changed.bounds,
        asked={
            "margins": margins,
            "distance": distance,
            "bounds": bounds,
            **options,
            "totals_from": totals_from,
            "vcov": vcov,
        },
        written=_written(options, estimated, given),
        spread=spread,
        give=give_of(auxiliaries, design.weights, ridge),
        root=root,
    )
    calibrated = design.adjusted(step)
    if ridge is None and auxiliaries.x.dense:
        plain = distance == "linear" and bounds is None and spread is None
        refuse_redundant(auxiliaries, step.gram_at(design.weights) if plain else None, design.weights)
    return calibrated


def _targets(
    margins: Margins | Mapping[str, Any] | None, totals_from: Estimates | None, vcov: Any
) -> tuple[Margins, pd.DataFrame | Mapping[str, Mapping[str, float]] | None]:
    exact = None if margins is None else as_margins(margins)
    if totals_from is None:
        if exact is None:
            raise WeightingError("calibrate needs margins or totals_from; neither was given.")
        return exact, vcov
    if vcov is not None:
        raise WeightingError("calibrate takes totals_from, which brings its covariance, or vcov, not both.")
    estimated, own = totals_in(totals_from)
    return joined_margins(exact, estimated), own


def _on_cells(auxiliaries: Auxiliaries, spread: Floats | None, cluster: str | None) -> bool:
    x = auxiliaries.x
    return x.code is not None and not x.dense and spread is None and cluster is None and x.n_cells <= MAXIMUM_CELLS


def _written(options: Mapping[str, Any], vcov: Any, targets: Margins) -> dict[str, Any]:
    told = {name: value for name, value in options.items() if value is not None}
    if isinstance(told.get("ridge"), Mapping):
        told["ridge"] = {str(name): float(cost) for name, cost in told["ridge"].items()}
    if vcov is not None:
        frame = vcov if isinstance(vcov, pd.DataFrame) else pd.DataFrame(vcov)
        told["margins"] = as_counts(targets)
        told["vcov"] = {str(name): {str(k): float(v) for k, v in frame[name].items()} for name in frame.columns}
    return told


def calibration_totals(design: Design) -> pd.DataFrame:
    """Return what each calibration total of a design stands at now, beside its target.

    Parameters
    ----------
    design : Design
        With at least one ``calibrate`` step; later steps count.

    Returns
    -------
    DataFrame
        ``step, total, target, reached, relative_miss``, a row per total of each calibration. Exact totals of the last
        step are met; soft ones, and those of steps before others, may not be.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"rooms": [1.0, 2.0, 3.0]})
    >>> soft = calibrate(survey_design(respondents), {"total": 3, "rooms": 9}, ridge={"rooms": 1.0})
    >>> calibration_totals(soft)["reached"].round(6).tolist()
    [3.0, 6.206897]
    """
    require_design(design, "calibration_totals")
    rows = []
    for number, applied in enumerate(design.steps, start=1):
        if isinstance(applied.step, CalibrationStep):
            own = applied.step
            reached = own.auxiliaries.moments(design.weights[:, None])[:, 0]
            rows += [(number, *row) for row in zip(own.names, own.totals, reached, strict=True)]
    table = pd.DataFrame(rows, columns=["step", "total", "target", "reached"])
    with np.errstate(divide="ignore", invalid="ignore"):
        table["relative_miss"] = table["reached"] / table["target"] - 1
    return table
