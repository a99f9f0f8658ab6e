"""Trimming: no weight above a bound, with the total kept or the margins met again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evaluation.design.design import Design
from evaluation.errors import CalibrationError, WeightingError
from evaluation.survey.margins import Margins
from evaluation.weighting.calibration import CalibrationStep, auxiliaries_of
from evaluation.weighting.raking import as_margins

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Reference = Literal["median", "mean", "none"]

MAXIMUM_CYCLES = 200
#: A weight counts as cut where it reaches the bound to this relative precision.
AT_BOUND = 1e-12


@dataclass(frozen=True, eq=False)
class TrimmingStep:
    """Weights cut at a bound; what is cut off is spread over the others, or the margins are met again.

    The bound is a fixed number, found once from the original weights: variance and replicates take
    it as given.
    """

    bound: float
    asked: Mapping[str, Any]
    calibration: CalibrationStep | None = None
    verb: str = "trim_weights"

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What the user asked for."""
        return self.asked

    def replay(self, weights: Floats) -> Floats:
        """Trim other weights, shape (n,), at the same bound."""
        cut = weights > self.bound
        for _ in range(MAXIMUM_CYCLES):
            if not cut.any():
                return weights
            trimmed = self._spread(weights, cut) if self.calibration is None else self._recalibrate(weights, cut)
            above = trimmed > self.bound * (1 + AT_BOUND)
            if not above.any():
                return trimmed
            cut = cut | above
        raise self._too_tight("cutting and adjusting do not settle.")

    def _spread(self, weights: Floats, cut: Mask) -> Floats:
        free = ~cut & (weights > 0)
        if not free.any():
            raise self._too_tight("every weight would be cut.")
        share = (weights[cut] - self.bound).sum() / free.sum()
        return np.where(cut, self.bound, np.where(free, weights + share, weights))

    def _recalibrate(self, weights: Floats, cut: Mask) -> Floats:
        try:
            return np.where(cut, self.bound, self._of_uncut(cut).replay(np.where(cut, 0.0, weights)))
        except CalibrationError as error:
            missed = "" if error.failures is None else error.failures.iloc[0]["total"]
            raise self._too_tight(f"with the cut weights held there, '{missed}' cannot reach its target.") from error

    def _of_uncut(self, cut: Mask) -> CalibrationStep:
        calibration = self.calibration
        if calibration is None:
            raise WeightingError("this trimming has no margins")
        held = self.bound * calibration.auxiliaries[cut].sum(axis=0)
        return replace(calibration, totals=calibration.totals - held)

    def _too_tight(self, why: str) -> CalibrationError:
        return CalibrationError(
            f"trimming at {self.bound:,.6g} cannot be done: {why} Raise upper, or merge levels with few respondents."
        )

    def _cut(self, weights_in: Floats, weights_out: Floats) -> Mask:
        return (weights_out >= self.bound * (1 - AT_BOUND)) & (weights_in > 0)

    def pull_back(self, z: Floats, weights_in: Floats, weights_out: Floats) -> Floats:
        """Return the derivative in the input weights: a cut weight moves nothing but what it passes on."""
        cut = self._cut(weights_in, weights_out)
        if not cut.any():
            return z
        if self.calibration is None:
            spread = z[~cut & (weights_in > 0)].mean(axis=0)
            return np.where(cut[:, None], spread[None, :], z)
        return self.calibration.pull_back(z, np.where(cut, 0.0, weights_in), np.where(cut, 0.0, weights_out))

    def residualise(self, x: Floats, weights_in: Floats, weights_out: Floats) -> Floats:
        """R survey knows no variance of trimming; with margins it sees the calibration that follows."""
        if self.calibration is None or not self._cut(weights_in, weights_out).any():
            return x
        return self.calibration.residualise(x, weights_in, weights_out)


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
    >>> from evaluation.design.design import survey_design
    >>> respondents = pd.DataFrame({"w": [1.0, 1.0, 1.0, 5.0]})
    >>> trim_weights(survey_design(respondents, weights="w"), upper=2.0).weights.tolist()
    [2.0, 2.0, 2.0, 2.0]
    """
    if not upper > 0:
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
    return design.adjusted(TrimmingStep(upper * units[relative_to], asked, calibration))
