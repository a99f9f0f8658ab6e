"""Trimming: no weight above a bound, with the total kept or the margins met again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evaluation.design.design import Design, require_design
from evaluation.errors import CalibrationError, WeightingError
from evaluation.survey.margins import Margins
from evaluation.weighting.calibration import CalibrationStep, auxiliaries_of, solve_moments
from evaluation.weighting.raking import adjustment_factor, as_margins

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Reference = Literal["median", "mean", "none"]

MAXIMUM_CYCLES = 200


@dataclass(frozen=True, eq=False)
class TrimmingStep:
    """Weights cut at a bound; what is cut off is spread over the others, or the margins are met again.

    Which weights are cut, and by what factor, is found once from the original weights. Variance and
    replicates take both as given: a weight held at the bound itself would not move with its
    respondent's chance of selection, and its respondent would seem to carry no sampling error.

    Attributes
    ----------
    factor : ndarray, shape (n,)
        Output over input weight where a weight is cut, 1 elsewhere.
    cut : ndarray of bool, shape (n,)
        Which weights are cut.
    asked : mapping
        Arguments as the user gave them.
    calibration : CalibrationStep or None
        Margins to be met again by the weights that are not cut.
    """

    factor: Floats
    cut: Mask
    asked: Mapping[str, Any]
    calibration: CalibrationStep | None = None
    verb: str = "trim_weights"

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What the user asked for."""
        return self.asked

    def replay(self, weights: Floats) -> Floats:
        """Trim other weights, shape (n,): the same ones, by the same factor."""
        if not self.cut.any():
            return weights
        held = np.where(self.cut, weights * self.factor, 0.0)
        free = np.where(self.cut, 0.0, weights)
        if self.calibration is None:
            others = free != 0
            return held + np.where(others, free + (weights - held)[self.cut].sum() / others.sum(), 0.0)
        totals = self.calibration.totals - self.calibration.auxiliaries.T @ held
        return held + replace(self.calibration, totals=totals).replay(free)

    def pull_back(self, z: Floats, weights_in: Floats, weights_out: Floats) -> Floats:
        """Return the derivative in the input weights: what a cut weight gains, the others make up for."""
        if not self.cut.any():
            return z
        if self.calibration is not None:
            x, free = self.calibration.auxiliaries, np.where(self.cut, 0.0, weights_out)
            residual = z - x @ solve_moments(x, free, x.T @ (free[:, None] * z))
            return residual * adjustment_factor(weights_in, weights_out)[:, None]
        others = z[~self.cut & (weights_in != 0)].mean(axis=0)
        factor = self.factor[:, None]
        return np.where(self.cut[:, None], factor * z + (1 - factor) * others, z)

    def residualise(self, x: Floats, weights_in: Floats, weights_out: Floats) -> Floats:
        """R survey knows no variance of trimming; with margins it sees the calibration that follows."""
        if self.calibration is None or not self.cut.any():
            return x
        return self.calibration.residualise(x, weights_in, weights_out)


def _find_cut(
    weights: Floats, bound: float, asked: Mapping[str, Any], calibration: CalibrationStep | None
) -> TrimmingStep:
    """Cut what lies above the bound, adjust the rest, and again, until nothing lies above it."""
    cut = weights > bound
    for _ in range(MAXIMUM_CYCLES):
        factor = np.where(cut, bound / np.where(cut, weights, 1.0), 1.0)
        step = TrimmingStep(factor, cut, asked, calibration)
        if not (~cut & (weights > 0)).any():
            raise _too_tight(bound, "every weight would be cut.")
        try:
            trimmed = step.replay(weights)
        except CalibrationError as error:
            missed = "" if error.failures is None else error.failures.iloc[0]["total"]
            raise _too_tight(bound, f"with the cut weights held there, '{missed}' cannot reach its target.") from error
        above = ~cut & (trimmed > bound * (1 + 1e-12))
        if not above.any():
            return step
        cut = cut | above
    raise _too_tight(bound, "cutting and adjusting do not settle.")


def _too_tight(bound: float, why: str) -> CalibrationError:
    return CalibrationError(
        f"trimming at {bound:,.6g} cannot be done: {why} Raise upper, or merge levels with few respondents."
    )


def trim_weights(
    design: Design,
    *,
    upper: float,
    relative_to: Reference = "median",
    margins: Margins | Mapping[str, Any] | None = None,
) -> Design:
    """Cut the weights at an upper bound, then meet the total or the margins again.

    Parameters
    ----------
    design : Design
        Any design.
    upper : float
        Bound, as a multiple of ``relative_to``.
    relative_to : {"median", "mean", "none"}, default "median"
        Of the weights above zero; "none" takes ``upper`` as a weight.
    margins : Margins or mapping, optional
        Margins to meet again: cut weights stay at the bound, the others are calibrated (raking
        distance) until bound and margins both hold. Without it the weight cut off is spread evenly
        over the others, so that the total stays.

    Returns
    -------
    Design

    Raises
    ------
    WeightingError
        ``upper`` is not positive.
    CalibrationError
        Bound and margins exclude each other; the message says where.

    References
    ----------
    Potter (1990), Proceedings of the ASA Survey Research Methods Section, 225-230. R twin of the form
    without margins: ``survey::trimWeights(strict = TRUE)``.

    Examples
    --------
    >>> import pandas as pd
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"w": [1.0, 1.0, 1.0, 5.0]})
    >>> trim_weights(survey_design(respondents, weights="w"), upper=2.0).weights.tolist()
    [2.0, 2.0, 2.0, 2.0]
    """
    require_design(design, "trim_weights")
    if isinstance(upper, str) or not upper > 0:
        raise WeightingError(f"upper must be above zero, got {upper!r}: a multiple of the {relative_to} weight.")
    positive = design.weights[design.weights > 0]
    units = {"median": float(np.median(positive)), "mean": float(positive.mean()), "none": 1.0}
    if relative_to not in units:
        raise WeightingError(f"relative_to must be one of {', '.join(units)}, got {relative_to!r}.")
    asked: dict[str, Any] = {"upper": upper, "relative_to": relative_to}
    calibration = None
    if margins is not None:
        given = as_margins(margins)
        asked["margins"] = list(given.names)
        calibration = CalibrationStep(*auxiliaries_of(design, given), "raking", given.names)
    return design.adjusted(_find_cut(design.weights, upper * units[relative_to], asked, calibration))
