"""Composition: a group weighted to the margins of another population before it is held against its figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.design import Design, require_design
from evaluation.design.steps import AppliedStep, Derivative
from evaluation.errors import CalibrationError, MarginError
from evaluation.estimation.arguments import require_number
from evaluation.survey.margins import TOTAL, Margins
from evaluation.weighting.calibration import CalibrationStep, calibrate
from evaluation.weighting.cells import as_written
from evaluation.weighting.raking import as_margins

Floats = NDArray[np.float64]

VERB = "standardise_composition"


@dataclass(frozen=True, eq=False)
class CompositionStep:
    """Weights of a group brought to a composition; everybody else has none.

    Attributes
    ----------
    calibration : CalibrationStep
        Raking distance, which is entropy balancing to known shares and means.
    inside : ndarray of float, shape (n,)
        1 in the group, else 0.
    asked, arguments : mapping
        The verb's arguments as given, and as a study file writes them.
    """

    calibration: CalibrationStep
    inside: Floats
    asked: Mapping[str, Any] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    verb: str = VERB

    def replay(self, weights: Floats) -> Floats:
        """Bring other weights, shape (n,), to the same composition."""
        return self.calibration.replay(weights * self.inside)

    def derivative(self, weights_in: Floats, weights_out: Floats) -> Derivative:
        """Return how the output weights move with the input weights: those of the group alone."""
        own = self.calibration.derivative(weights_in * self.inside, weights_out)
        left = tuple(part.scaled(self.inside) for part in own.left)
        return Derivative(own.factor * self.inside, left, own.right, own.middle, own.outside)

    def residualise(self, x: Floats, weights_in: Floats, weights_out: Floats) -> Floats:
        """Return weighted influence as R survey treats it after calibrating the group alone."""
        return self.calibration.residualise(x * self.inside[:, None], weights_in * self.inside, weights_out)


def standardise_composition(design: Design, margins: Margins | Mapping[str, Any]) -> Design:
    """Weight a group to a composition published elsewhere, so that what is left against that figure is no composition.

    Parameters
    ----------
    design : Design
        The group, usually a domain: ``ev.domain(design, {"participant": 1})``; of a whole sample everybody.
    margins : Margins or mapping
        What was published of the other population: shares (or per cent) or counts by level,
        ``{"sex": {"f": 0.52, "m": 0.48}}``, crossed ones too. Beside shares a number is a mean,
        ``{"age": 44.1}``; beside counts, or where ``total`` says the population size, it is a total.

    Returns
    -------
    Design
        The same domain with weights that have the composition and keep their sum; everybody else has weight zero.
        Every estimator counts the step in its error, replicates repeat it.

    Raises
    ------
    MarginError
        Levels stand on one side only; a mean comes without the size it goes with.
    ColumnError
        A column does not exist or is missing for somebody in the group.
    CalibrationError
        The group cannot have this composition: the message names a smallest set of margins that conflict.

    Notes
    -----
    :math:`w_i' = w_i \\exp(x_i'\\lambda)` with :math:`\\sum w_i' x_i = \\sum w_i \\, \\bar X`: the least change in
    entropy that meets the published means :math:`\\bar X`, which count as known. The effective number of respondents
    says what it costs: ``design.history``.

    References
    ----------
    Hainmueller (2012), Political Analysis 20, 25-46; Deville and Särndal (1992), JASA 87, 376-382. R twin:
    ``survey::calibrate(subset(design, ...), calfun = "raking")``.

    Examples
    --------
    >>> import pandas as pd
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.design.design import domain
    >>> people = pd.DataFrame({"joined": [1, 1, 1, 0], "sex": ["f", "f", "m", "m"]})
    >>> participants = domain(survey_design(people), {"joined": 1})
    >>> standardise_composition(participants, {"sex": {"f": 0.5, "m": 0.5}}).weights.round(6).tolist()
    [0.75, 0.75, 1.5, 0.0]
    """
    require_design(design, VERB)
    design.require_no_negative_weights(VERB)
    weights = design.domain_weights
    size, n = float(weights.sum()), int(design.present.sum())
    given = _of_size(margins, float(n))
    _refuse_unreachable(design, given, n)
    whole = weights * (n / size)
    alone = replace(design, weights=whole, base_weights=whole, inside=None, steps=(), replicates=None)
    try:
        calibrated = calibrate(alone, given, distance="raking")
    except CalibrationError as error:
        raise CalibrationError(
            f"{VERB}: {error} The group has nobody, or too few, like part of that population: compare with a figure of "
            f"a population that it overlaps with, or leave the margin out and say that it differs.",
            failures=error.failures,
        ) from None
    step = calibrated.steps[-1].step
    if not isinstance(step, CalibrationStep):
        raise CalibrationError(f"{VERB}: expected a calibration, got {type(step).__name__}.")
    step = replace(step, verb=VERB, totals=step.totals * (size / n))
    weighted = calibrated.weights * (size / n)
    own = CompositionStep(step, (weights != 0).astype(float), {"margins": margins}, as_written(margins=given.names))
    applied = AppliedStep(own, design.weights, weighted)
    provenance = replace(design.provenance, weight=f"{design.provenance.weight} → {VERB}")
    return replace(design, weights=weighted, steps=(*design.steps, applied), provenance=provenance)


def _of_size(margins: Margins | Mapping[str, Any], size: float) -> Margins:
    """Return the margins of a population as counts and totals of a group of this size."""
    if isinstance(margins, Margins):
        given: Mapping[str, Any] = {**margins.categorical, **margins.totals}
    elif isinstance(margins, Mapping) and margins:
        given = margins
    else:
        raise MarginError(
            f"{VERB}: expected shares by level, such as {{'sex': {{'f': 0.52, 'm': 0.48}}}}, or margins, got "
            f"{margins!r}."
        )
    levels = {name: _counts(name, value) for name, value in given.items() if isinstance(value, (Mapping, pd.Series))}
    population, numeric = given.get(TOTAL), [name for name in given if name not in levels and name != TOTAL]
    if population is None and levels:
        first = sum(next(iter(levels.values())).values())
        population = 1.0 if _are_shares(first) else first
    if numeric and population is None:
        raise MarginError(
            f"{VERB}: nothing says whether {', '.join(map(repr, numeric))} are means or totals. Add '{TOTAL}': 1 "
            f"beside means, or the size of the population beside totals."
        )
    people = 1.0 if population is None else require_number(population, f"{VERB}: '{TOTAL}'", above=0)
    targets: dict[str, Any] = {
        name: {level: size * count / sum(counts.values()) for level, count in counts.items()}
        for name, counts in levels.items()
    }
    targets |= {name: size * require_number(given[name], f"{VERB}: '{name}'") / people for name in numeric}
    return as_margins(targets if levels else {TOTAL: size, **targets})


def _refuse_unreachable(design: Design, given: Margins, n: int) -> None:
    """Refuse means beyond what anybody in the group has, which no weights reach."""
    for name, total in given.totals.items():
        if name == TOTAL or not pd.api.types.is_numeric_dtype(design.column(name)):
            continue
        own = design.column(name)[design.present]
        low, high, wanted = float(own.min()), float(own.max()), total / n
        if not low < wanted < high:
            raise CalibrationError(
                f"{VERB}: the mean of '{name}' is to be {wanted:.6g}, but in the group it runs from {low:.6g} to "
                f"{high:.6g}, so no weights reach it. Is it a total, or in another unit? Beside counts, or with "
                f"'{TOTAL}', a number is a total; beside shares a mean."
            )


def _counts(name: str, levels: Mapping[Any, Any] | pd.Series[Any]) -> dict[Any, float]:
    counts = {
        level: require_number(value, f"{VERB}: margin '{name}', level '{level}'") for level, value in levels.items()
    }
    if not sum(counts.values()) > 0:
        raise MarginError(f"{VERB}: the shares of margin '{name}' add up to {sum(counts.values()):g}, expected 1.")
    return counts


def _are_shares(whole: float) -> bool:
    """Tell whether numbers that add up to this are shares or per cent, printed with rounding."""
    return abs(whole - 1) < 0.02 or abs(whole - 100) < 2
