"""Trimming: no weight beyond a bound, with the total kept or the margins met again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from evaluation.design.columns import Columns
from evaluation.design.design import Design, require_design
from evaluation.design.steps import Derivative
from evaluation.errors import CalibrationError, WeightingError, require_flag
from evaluation.survey.margins import Margins
from evaluation.weighting.auxiliaries import auxiliaries_of
from evaluation.weighting.calibration import CalibrationStep
from evaluation.weighting.cells import as_written, require_known
from evaluation.weighting.newton import inverse
from evaluation.weighting.raking import adjustment_factor, as_margins
from evaluation.weighting.within import raked_within

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Reference = Literal["median", "mean", "none"]

VERB = "trim_weights"
MAXIMUM_CYCLES = 200
#: A weight is beyond its bound where it is so by more than this, relative to the bound.
TOLERANCE = 1e-12


@dataclass(frozen=True, eq=False)
class Cut:
    """One pass: some weights are held at a bound, what they lose is spread evenly over the others.

    Attributes
    ----------
    rows : ndarray of bool, shape (n,)
        Which weights are cut (or raised to the lower bound).
    factor : ndarray, shape (n,)
        Output over input weight where a weight is cut, 1 elsewhere.
    held : ndarray, shape (n,)
        Output weight where a weight is cut, 0 elsewhere.
    """

    rows: Mask
    factor: Floats
    held: Floats

    def replay(self, weights: Floats) -> Floats:
        """Cut the same weights by the same factors, shape (n,)."""
        shed = (weights * (1 - self.factor))[self.rows].sum()
        others = self._others(weights)
        spread = others * (shed / max(float(others.sum()), 1.0))
        return np.asarray(np.where(self.rows, weights * self.factor, weights + spread))

    def replay_multiplied(self, weights: Floats, multiplicity: Floats) -> Floats:
        """Hold the same weights where they are and spread the rest, each as often as its respondent counts."""
        held = self.held * multiplicity
        others = self._others(weights) * multiplicity
        among = float(others.sum())
        shed = (weights - held)[self.rows].sum() if among else 0.0
        return np.asarray(np.where(self.rows, held, weights + others * (shed / (among or 1.0))))

    def derivative(self, weights: Floats) -> Derivative:
        """Return how the output weights move with the input weights: what a cut weight gains goes to the others."""
        n = len(weights)
        lost = Columns(n, dense=(np.where(self.rows, -1.0, 0.0),))
        return Derivative(np.where(self.rows, 0.0, 1.0), (lost,), (self._mean(weights),), np.ones((1, 1)))

    def direct(self, weights: Floats) -> Derivative:
        """Return how the output weights move with the multiplicities: held weights do, and shares of the spread."""
        spread = self._others(weights) * (self.replay(weights) - weights)
        own = self.held + spread
        return Derivative(own, (Columns(len(weights), dense=(own,)),), (self._mean(weights),), np.ones((1, 1)))

    def _mean(self, weights: Floats) -> Columns:
        """Return the column that takes the mean over the weights that are not cut."""
        others = self._others(weights)
        return Columns(len(weights), dense=(others / others.sum(),))

    def _others(self, weights: Floats) -> Floats:
        return np.asarray(~self.rows & (weights != 0), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class TrimmingStep:
    """Weights cut at bounds; what is cut off is spread over the others, or the margins are met again.

    Which weights are cut, and at what bound, is found once from the original weights. Variance and
    replicates take both as given: a held weight is the bound times how often its respondent was drawn.
    It moves with that alone, and not with the coefficients of the steps before.

    Attributes
    ----------
    cuts : tuple of Cut
        One after the other; none where no weight was beyond a bound.
    asked, arguments : mapping
        The verb's arguments as given, and as a study file writes them.
    calibration : CalibrationStep or None
        Margins to be met again, after the only cut, by the weights that are not cut.
    """

    cuts: tuple[Cut, ...]
    asked: Mapping[str, Any]
    arguments: Mapping[str, Any]
    calibration: CalibrationStep | None = None
    verb: str = VERB

    @property
    def cut(self) -> Mask | None:
        """Which weights are cut in any pass, shape (n,); None where none is."""
        return np.logical_or.reduce([cut.rows for cut in self.cuts]) if self.cuts else None

    def replay(self, weights: Floats) -> Floats:
        """Trim other weights, shape (n,): the same ones, by the same factors."""
        if self.calibration is None or not self.cuts:
            for cut in self.cuts:
                weights = cut.replay(weights)
            return weights
        (cut,) = self.cuts
        return _met_again(weights, np.where(cut.rows, weights * cut.factor, 0.0), cut, self.calibration)

    def replay_multiplied(self, weights: Floats, multiplicity: Floats) -> Floats:
        """Trim the weights of a replicate, shape (n,): the same ones, at the same bound times ``multiplicity``."""
        if self.calibration is None or not self.cuts:
            for cut in self.cuts:
                weights = cut.replay_multiplied(weights, multiplicity)
            return weights
        (cut,) = self.cuts
        return _met_again(weights, cut.held * multiplicity, cut, self.calibration)

    def derivative(self, weights_in: Floats, weights_out: Floats) -> Derivative:
        """Return how the output weights move with the input weights: those that are held do not."""
        if self.calibration is None or not self.cuts:
            whole, weights = Derivative(np.ones(len(weights_in))), weights_in
            for cut in self.cuts:
                whole, weights = cut.derivative(weights).after(whole), cut.replay(weights)
            return whole
        factor = np.where(self.cuts[0].rows, 0.0, adjustment_factor(weights_in, weights_out))
        return self._residual(factor, weights_out, self.calibration.auxiliaries)

    def direct(self, weights_in: Floats, weights_out: Floats) -> Derivative | None:
        """Return how the output weights move with how often respondents were drawn; None where none is held."""
        if not self.cuts:
            return None
        if self.calibration is not None:
            return self._residual(self.cuts[0].held, weights_out, self.calibration.auxiliaries)
        first, *rest = self.cuts
        whole, weights = first.direct(weights_in), first.replay(weights_in)
        for cut in rest:
            whole = cut.derivative(weights).after(whole).plus(cut.direct(weights))
            weights = cut.replay(weights)
        return whole

    def _residual(self, factor: Floats, weights_out: Floats, x: Columns) -> Derivative:
        """Return ``factor`` times the residual of the regression, among the weights that are free, on the margins."""
        free = np.where(self.cuts[0].rows, 0.0, weights_out)
        return Derivative(factor, (x.scaled(factor),), (x.scaled(free),), inverse(x.gram(free)))

    def residualise(self, x: Floats, weights_in: Floats, weights_out: Floats) -> Floats:
        """R survey knows no variance of trimming; with margins it sees the calibration that follows."""
        if self.calibration is None or not self.cuts:
            return x
        return self.calibration.residualise(x, weights_in, weights_out)


def _met_again(weights: Floats, held: Floats, cut: Cut, calibration: CalibrationStep) -> Floats:
    left = calibration.totals - calibration.auxiliaries.moments(held[:, None])[:, 0]
    return np.asarray(held + replace(calibration, totals=left).replay(np.where(cut.rows, 0.0, weights)))


def trim_weights(
    design: Design,
    *,
    upper: float | None = None,
    lower: float | None = None,
    relative_to: Reference = "median",
    strict: bool = True,
    margins: Margins | Mapping[str, Any] | None = None,
) -> Design:
    """Cut the weights at an upper and a lower bound, then meet the total or the margins again.

    Parameters
    ----------
    design : Design
        Any design; weights of zero stay zero.
    upper, lower : float, optional
        Bounds, as multiples of ``relative_to``; at least one of them.
    relative_to : {"median", "mean", "none"}, default "median"
        Of the weights above zero; "none" takes the bounds as weights.
    strict : bool, default True
        What is spread over the others may push some of them beyond a bound; True repeats until none is. False does
        one pass, as R does by default.
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
        There is no bound, one is not positive, or they cross.
    CalibrationError
        Bounds and margins exclude each other; the message says where.

    Notes
    -----
    A cut weight is the bound, as often as its respondent was drawn: the variance and replicates let it move with
    that alone, not with what earlier steps estimated, and share out what is cut off in proportion to how often each
    other respondent was drawn. What they take as given is which weights are cut, and the median or mean that the
    bounds are multiples of: how these move from sample to sample is not in the standard error, which can be a tenth
    too small where a quarter of the weights is cut, and a fifth where two in five are. R survey sees no variance of
    the step.

    References
    ----------
    Potter (1990), Proceedings of the ASA Survey Research Methods Section, 225-230. R twin of the form
    without margins: ``survey::trimWeights``.

    Examples
    --------
    >>> import pandas as pd
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"w": [1.0, 1.0, 1.0, 5.0]})
    >>> trim_weights(survey_design(respondents, weights="w"), upper=2.0).weights.tolist()
    [2.0, 2.0, 2.0, 2.0]
    """
    require_design(design, VERB)
    require_known(f"{VERB}: relative_to", relative_to, get_args(Reference))
    require_flag(strict, f"{VERB}: strict", WeightingError)
    bounds = _bounds(design, upper, lower, relative_to)
    asked: dict[str, Any] = {"upper": upper, "lower": lower, "relative_to": relative_to}
    if not strict:
        asked["strict"] = False
    written = dict(asked)
    calibration = None
    if margins is not None:
        if not strict:
            raise WeightingError(
                f"{VERB}: margins are met again until the bounds hold too, so strict=False is no part."
            )
        given = as_margins(margins)
        asked["margins"], written["margins"] = margins, list(given.names)
        known = auxiliaries_of(design, given)
        calibration = CalibrationStep(known.x, known.totals, known.names, distance="raking", verb=VERB)
    cuts = _cuts(design.weights, bounds, strict, calibration)
    return design.adjusted(TrimmingStep(cuts, asked, as_written(**written), calibration))


@dataclass(frozen=True)
class _Bounds:
    lower: float
    upper: float

    def outside(self, weights: Floats, tolerance: float = 0.0) -> Mask:
        """Return which weights are beyond a bound; those of zero take no part."""
        above = weights > self.upper * (1 + tolerance)
        below = weights < self.lower - tolerance * abs(self.lower) if np.isfinite(self.lower) else np.zeros_like(above)
        return np.asarray((above | below) & (weights != 0))

    def at(self, weights: Floats, rows: Mask) -> Floats:
        """Return the factors that bring the weights in ``rows`` to their bound, shape (n,); 1 elsewhere."""
        bound = np.clip(weights, self.lower, self.upper)
        return np.divide(bound, weights, out=np.ones_like(weights), where=rows)


def _bounds(design: Design, upper: float | None, lower: float | None, relative_to: Reference) -> _Bounds:
    if upper is None and lower is None:
        raise WeightingError(f"{VERB} needs a bound: upper, lower or both.")
    for name, bound in (("upper", upper), ("lower", lower)):
        number = isinstance(bound, (int, float, np.integer, np.floating)) and not isinstance(bound, bool)
        if bound is not None and (not number or not bound > 0):
            what = "a weight" if relative_to == "none" else f"a multiple of the {relative_to} weight"
            raise WeightingError(f"{VERB}: {name} must be above zero, got {bound!r}: a number, {what}.")
    if upper is not None and lower is not None and lower >= upper:
        raise WeightingError(f"{VERB}: lower ({lower:g}) must be below upper ({upper:g}).")
    positive = design.weights[design.weights > 0]
    unit = {"median": float(np.median(positive)), "mean": float(positive.mean()), "none": 1.0}[relative_to]
    return _Bounds(-np.inf if lower is None else lower * unit, np.inf if upper is None else upper * unit)


def _cuts(weights: Floats, bounds: _Bounds, strict: bool, calibration: CalibrationStep | None) -> tuple[Cut, ...]:
    """Find which weights are cut: in one pass, until one cut holds them all, or pass after pass."""
    outside = bounds.outside(weights)
    if not outside.any():
        return ()
    if not strict:
        return (_one_pass(weights, bounds, outside),)
    both = (weights[outside] > bounds.upper).any() and (weights[outside] < bounds.lower).any()
    if both and calibration is None:
        return _passes(weights, bounds)
    return _one_cut(weights, bounds, calibration)


def _one_pass(weights: Floats, bounds: _Bounds, outside: Mask) -> Cut:
    if not (~outside & (weights != 0)).any():
        raise _too_tight(bounds, "every weight would be cut.")
    return _cut(outside, bounds.at(weights, outside), weights)


def _cut(rows: Mask, factor: Floats, weights: Floats) -> Cut:
    return Cut(rows, factor, np.where(rows, weights * factor, 0.0))


def _one_cut(weights: Floats, bounds: _Bounds, calibration: CalibrationStep | None) -> tuple[Cut, ...]:
    """Cut what lies beyond a bound, adjust the rest, and again with what lies beyond then, until nothing does."""
    rows, moved = bounds.outside(weights), weights
    factor = np.ones(len(weights))
    cut = _cut(rows, factor, weights)
    for _ in range(MAXIMUM_CYCLES):
        target = np.clip(moved, bounds.lower, bounds.upper)
        factor = np.where(rows & (factor == 1), np.divide(target, weights, out=factor.copy(), where=rows), factor)
        cut = _cut(rows, factor, weights)
        every = not (~rows & (weights > 0)).any()
        if every and calibration is None:
            raise _too_tight(bounds, "every weight would be cut.")
        after = None if every else _adjusted(weights, bounds, cut, calibration)
        if after is None:
            return _best_cut(weights, bounds, cut, calibration)
        moved = after
        beyond = ~rows & bounds.outside(moved, TOLERANCE)
        if not beyond.any():
            return (cut,)
        rows = rows | beyond
    return _best_cut(weights, bounds, cut, calibration)


def _adjusted(weights: Floats, bounds: _Bounds, cut: Cut, calibration: CalibrationStep | None) -> Floats | None:
    """Return the weights after a cut, shape (n,); None where the others cannot meet the margins alone."""
    if calibration is None:
        return cut.replay(weights)
    try:
        return _met_again(weights, cut.held, cut, calibration)
    except CalibrationError:
        return None


def _best_cut(weights: Floats, bounds: _Bounds, cut: Cut, calibration: CalibrationStep | None) -> tuple[Cut, ...]:
    """Find the weights at a bound in the least change that meets bounds and margins at once."""
    if calibration is None or (weights < 0).any():
        raise _too_tight(bounds, "cutting and adjusting do not settle.")
    best = raked_within(calibration.auxiliaries, weights, calibration.totals, max(bounds.lower, 0.0), bounds.upper)
    if best is not None:
        rows = (weights != 0) & ((best <= bounds.lower * (1 + TOLERANCE)) | (best >= bounds.upper * (1 - TOLERANCE)))
        found = _cut(rows, np.divide(best, weights, out=np.ones(len(weights)), where=rows), weights)
        if _adjusted(weights, bounds, found, calibration) is not None:
            return (found,)
    try:
        _met_again(weights, cut.held, cut, calibration)
    except CalibrationError as error:
        raise _too_tight(bounds, f"with the cut weights held there, {_missed(error)}.") from error
    raise _too_tight(bounds, "cutting and adjusting do not settle.")


def _missed(error: CalibrationError) -> str:
    if error.failures is None or "total" not in error.failures:
        return "the margins cannot be met"
    names = [f"'{name}'" for name in error.failures["total"].iloc[:3]]
    return f"{' and '.join(names)} cannot reach {'its target' if len(names) == 1 else 'their targets'}"


def _passes(weights: Floats, bounds: _Bounds) -> tuple[Cut, ...]:
    cuts: list[Cut] = []
    while (outside := bounds.outside(weights, TOLERANCE)).any():
        if len(cuts) == MAXIMUM_CYCLES:
            raise _too_tight(bounds, "cutting and adjusting do not settle.")
        cuts.append(_one_pass(weights, bounds, outside))
        weights = cuts[-1].replay(weights)
    return tuple(cuts)


def _too_tight(bounds: _Bounds, why: str) -> CalibrationError:
    given = [bound for bound in (bounds.lower, bounds.upper) if np.isfinite(bound)]
    told = " and ".join(f"{bound:,.6g}" for bound in given)
    return CalibrationError(
        f"trimming at {told} cannot be done: {why} Move the bounds apart (a higher upper, a smaller lower), or merge "
        f"levels with few respondents."
    )
