"""Trimming: no weight above a bound, with totals kept or margins met again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evaluation.design.design import Design
from evaluation.errors import CalibrationError, MarginError, WeightingError
from evaluation.survey.margins import Margins
from evaluation.weighting.raking import MarginCodes, RakingStep, as_margins, code_margins

Floats = NDArray[np.float64]
Reference = Literal["median", "mean", "none"]

MAXIMUM_CYCLES = 200


@dataclass(frozen=True, eq=False)
class TrimmingStep:
    """Weights cut at a bound; what is cut off is spread over the others, or the margins are met again.

    The bound is a fixed number, found once from the original weights: the variance and the
    replicates take it as given.
    """

    bound: float
    asked: Mapping[str, Any]
    margins: tuple[MarginCodes, ...] = ()
    verb: str = "trim_weights"

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What the user asked for."""
        return self.asked

    def replay(self, weights: Floats) -> Floats:
        """Trim other weights, shape (n,), at the same bound."""
        return self._to_margins(weights) if self.margins else self._to_total(weights)

    def _to_total(self, weights: Floats) -> Floats:
        cut = weights > self.bound
        for _ in range(MAXIMUM_CYCLES):
            free = ~cut & (weights > 0)
            if not free.any():
                raise self._too_tight("every weight would be cut")
            share = (weights[cut] - self.bound).sum() / free.sum()
            trimmed = np.where(cut, self.bound, np.where(free, weights + share, weights))
            above = trimmed > self.bound * (1 + 1e-12)
            if not above.any():
                return trimmed
            cut = cut | above
        raise self._too_tight("the weight cut off does not fit under the bound")

    def _to_margins(self, weights: Floats) -> Floats:
        cut = weights > self.bound
        for _ in range(MAXIMUM_CYCLES):
            trimmed = self._rake_uncut(weights, cut)
            above = trimmed > self.bound * (1 + 1e-12)
            if not above.any():
                return trimmed
            cut = cut | above
        raise self._too_tight("trimming and raking do not settle")

    def _rake_uncut(self, weights: Floats, cut: NDArray[np.bool_]) -> Floats:
        rest = tuple(
            MarginCodes(
                m.name, m.codes, m.targets - self.bound * np.bincount(m.codes[cut], minlength=len(m.targets)), m.levels
            )
            for m in self.margins
        )
        for margin in rest:
            if (margin.targets < 0).any():
                level = margin.levels[int(np.argmin(margin.targets))]
                raise self._too_tight(f"the trimmed weights alone exceed the target of '{margin.name}' at {level!r}")
        try:
            raked = RakingStep("rake", rest).replay(np.where(cut, 0.0, weights))
        except (CalibrationError, MarginError) as error:
            raise self._too_tight(str(error)) from error
        return np.where(cut, self.bound, raked)

    def _too_tight(self, why: str) -> CalibrationError:
        return CalibrationError(
            f"trimming at {self.bound:,.6g} cannot be done: {why}. Raise upper, or merge levels with few respondents."
        )

    def pull_back(self, z: Floats, weights_in: Floats, weights_out: Floats) -> Floats:
        """Return the derivative in the input weights; cut weights pass it on to those not cut."""
        cut = (weights_out >= self.bound * (1 - 1e-12)) & (weights_in > 0)
        if self.margins:
            free = np.where(cut, 0.0, weights_out)
            rest = RakingStep("rake", self.margins).pull_back(z, np.where(cut, 0.0, weights_in), free)
            return np.where(cut[:, None], 0.0, rest)
        spread = z[~cut & (weights_in > 0)].mean(axis=0)
        return np.where(cut[:, None], spread[None, :], z)

    def residualise(self, x: Floats, weights_in: Floats, weights_out: Floats) -> Floats:
        """R survey knows no variance of trimming; with margins it sees the raking that follows."""
        if not self.margins:
            return x
        return RakingStep("rake", self.margins).residualise(x, weights_in, weights_out)


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
        Categorical margins to meet again: cut weights stay at the bound, the others are raked until
        bound and margins both hold. Without it the weight cut off is spread evenly over the others,
        so that the total stays.

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
    coded: tuple[MarginCodes, ...] = ()
    if margins is not None:
        given = as_margins(margins)
        coded = code_margins(design, given)
        asked["margins"] = list(given.categorical)
    return design.adjusted(TrimmingStep(upper * units[relative_to], asked, coded))
