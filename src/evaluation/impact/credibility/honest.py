"""Effects under violations of parallel trends: sets that hold them, and the violation at which nothing is left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from evaluation.errors import EstimationError
from evaluation.estimation.arguments import require_arguments, require_number, require_numbers
from evaluation.impact.credibility.conditional_tests import Accepted, accepted_set, dual_corners, inequalities
from evaluation.impact.credibility.event_path import EventPath, Target, path_of
from evaluation.impact.credibility.fixed_length import fixed_length_interval
from evaluation.impact.credibility.restrictions import (
    Assumption,
    Restriction,
    Shape,
    Sign,
    check_assumption,
    largest_bend_before,
    violation_sets,
)
from evaluation.impact.credibility.robust_sets import SIZE, Breakdown, RobustSets
from evaluation.results import Estimates

Floats = NDArray[np.float64]
Method = Literal["C-LF", "Conditional", "FLCI"]
METHODS = ("C-LF", "Conditional", "FLCI")

#: Sizes of violations that are shown unless said otherwise, relative to the largest before treatment.
RELATIVE = (0.5, 1.0, 2.0)
#: Shares of the largest change of slope among the leads that are shown for smoothness.
SMOOTH = (0.0, 0.25, 0.5, 1.0)
#: Part of the level spent on the first stage of the hybrid test.
FIRST_STAGE = 0.1
#: Where the search for a breakdown value ends: times the largest violation before treatment.
LARGEST = 32.0
#: Sizes tried between the last without and the first with the null value, before halving.
BETWEEN = 4


def honest_did(
    effects: Estimates | EventPath,
    *,
    restriction: Restriction = "relative_magnitudes",
    bounds: float | Sequence[float] | None = None,
    target: Target = "first",
    method: Method | None = None,
    sign: Sign | None = None,
    shape: Shape | None = None,
    linear_trend: bool = False,
    min_e: float | None = None,
    max_e: float | None = None,
    null: float = 0.0,
    breakdown: bool = True,
    conf_level: float | None = None,
    seed: int = 0,
) -> RobustSets:
    """Estimate sets for an effect that hold although parallel trends are violated, up to a stated size.

    Parameters
    ----------
    effects : ImpactEffects or EventPath
        An event study measured from one reference period: ``ev.event_study`` (universal base), ``ev.sun_abraham``,
        ``ev.event_study_twfe``, or ``ev.event_path(...)`` for numbers from elsewhere. Its covariance is used as it is,
        so name a cluster there.
    restriction : {"relative_magnitudes", "smoothness"}
        Violations after treatment are at most Mbar times the largest step between leads; or their slope changes by at
        most M from period to period, so that 0 is a linear trend.
    bounds : float or sequence of float, optional
        Values of Mbar (default 0.5, 1, 2) or of M, in units of the outcome (default 0 and a quarter, a half and all
        of the largest change of slope that the leads do not rule out).
    target : {"first", "average"}, event time, mapping of event time to weight, or one weight per effect
        Which effect; "average" is the plain mean since treatment.
    method : {"C-LF", "Conditional", "FLCI"}, optional
        Conditional tests with a least favourable first stage, without it, or a fixed-length interval (smoothness
        without sign and shape, where it is the default).
    sign : {"positive", "negative"}, optional
        Of the bias after the reference.
    shape : {"increasing", "decreasing"}, optional
        Of the bias over time.
    linear_trend : bool, default False
        Relative magnitudes of departures from a linear trend (changes of slope), not of steps.
    min_e, max_e : float, optional
        First and last event time that count: leads that few cohorts have, or effects without an error, are left out.
    null : float, default 0
        Value that ``holds_null`` and the breakdown value ask for.
    breakdown : bool, default True
        Whether to search the breakdown value, as ``ev.breakdown_value``.
    conf_level : float, optional
        Default: that of the effects.
    seed : int, default 0
        Of the draws behind the first stage's critical value.

    Returns
    -------
    RobustSets
        Row 0 is the original interval with normal critical values.

    Raises
    ------
    EstimationError
        Leads measured from several periods, missing or singular covariances, unknown options, or a set that has no
        end within any range that was searched: no set is ever cut at the range of the search.
    IdentificationError
        There are no leads, or too few for the restriction.

    Notes
    -----
    The sampling error of the leads is part of every set. Tests are those of moment inequalities with nuisance
    parameters; a set is found on a grid that widens itself, then by halving at both ends. Sets by conditional tests
    need not be intervals: their hull is shown, with the number of ``parts``. Critical values are normal.

    References
    ----------
    Rambachan and Roth (2023), Review of Economic Studies 90, 2555-2591; Andrews, Roth and Pakes (2023), Review of
    Economic Studies 90, 2763-2791; Armstrong and Kolesar (2018), Econometrica 86, 655-683. R twin: ``HonestDiD``.

    Examples
    --------
    >>> from evaluation.impact.credibility.event_path import event_path
    >>> path = event_path([0.1, -0.1, 1.0], [[0.02, 0.01, 0], [0.01, 0.02, 0], [0, 0, 0.02]], [-3, -2, 0])
    >>> honest_did(path, bounds=[0, 1], breakdown=False).tidy()[["mbar", "conf_low", "conf_high"]].round(3)
       mbar  conf_low  conf_high
    0   NaN     0.723      1.277
    1   0.0     0.723      1.277
    2   1.0     0.466      1.534
    """
    require_arguments(honest_did, locals())
    path = path_of("honest_did", effects, (min_e, max_e))
    assumption = Assumption(restriction, sign, shape, linear_trend)
    search = _search("honest_did", path, assumption, target, method, conf_level, seed)
    null = require_number(null, "honest_did: null")
    sizes = _sizes(search, bounds)
    low, high = search.original
    frame = pd.DataFrame(
        [
            search.row(np.nan, "original", Accepted(low, high, 1), float((low + high) / 2), null),
            *(search.row(size, search.method, *search.set_at(size), null) for size in sizes),
        ]
    )
    found = _breakdown(search, null) if breakdown else None
    return RobustSets(frame, search.path, search.assumption, search.name, search.method, search.conf_level, found)


def breakdown_value(
    effects: Estimates | EventPath,
    *,
    restriction: Restriction = "relative_magnitudes",
    target: Target = "first",
    method: Method | None = None,
    sign: Sign | None = None,
    shape: Shape | None = None,
    linear_trend: bool = False,
    min_e: float | None = None,
    max_e: float | None = None,
    null: float = 0.0,
    tolerance: float = 1e-4,
    conf_level: float | None = None,
    seed: int = 0,
) -> Breakdown:
    """Find the smallest violation of parallel trends at which the set holds zero.

    Parameters
    ----------
    effects, restriction, target, method, sign, shape, linear_trend, min_e, max_e, null, conf_level, seed
        As in ``ev.honest_did``.
    tolerance : float, default 1e-4
        Width of the bracket at the end, relative to its middle.

    Returns
    -------
    Breakdown
        ``low`` is the largest violation tried whose set leaves the null value out, ``high`` the smallest whose set
        holds it.

    Raises
    ------
    EstimationError, IdentificationError
        As ``ev.honest_did``.

    Examples
    --------
    >>> from evaluation.impact.credibility.event_path import event_path
    >>> path = event_path([0.1, -0.1, 1.0], [[0.02, 0.01, 0], [0.01, 0.02, 0], [0, 0, 0.02]], [-3, -2, 0])
    >>> round(breakdown_value(path).value, 2)
    2.18
    """
    require_arguments(breakdown_value, locals())
    path = path_of("breakdown_value", effects, (min_e, max_e))
    assumption = Assumption(restriction, sign, shape, linear_trend)
    search = _search("breakdown_value", path, assumption, target, method, conf_level, seed)
    tolerance = require_number(tolerance, "breakdown_value: tolerance")
    if not 0 < tolerance < 1:
        raise EstimationError(f"breakdown_value: tolerance must lie between 0 and 1, got {tolerance!r}.")
    return _breakdown(search, require_number(null, "breakdown_value: null"), tolerance)


@dataclass(frozen=True, eq=False)
class _Search:
    """A target of an event study, an assumption, and a method: ready to give the set at any size of violations."""

    path: EventPath
    assumption: Assumption
    weights: Floats
    name: str
    method: Method
    conf_level: float
    seed: int

    @property
    def centre(self) -> float:
        return float(self.weights @ self.path.estimate[self.path.n_pre :])

    @property
    def error(self) -> float:
        n = self.path.n_pre
        return float(np.sqrt(self.weights @ self.path.vcov[n:, n:] @ self.weights))

    @property
    def original(self) -> tuple[float, float]:
        half = float(stats.norm.isf((1 - self.conf_level) / 2)) * self.error
        return self.centre - half, self.centre + half

    @cached_property
    def corners(self) -> Floats:
        """Corners of the dual, the same at every size, since sizes move coefficients on leads and bounds only."""
        matrix = violation_sets(self.path, self.assumption, 1.0)[0][0]
        return dual_corners(matrix[:, self.path.n_pre :], self.weights)

    def set_at(self, size: float) -> tuple[Accepted, float]:
        """Return the set at a size of violations, and its centre where it has one."""
        alpha = 1 - self.conf_level
        if self.method == "FLCI":
            made = fixed_length_interval(self.path, self.weights, size, alpha)
            low, high = made.estimate - made.half_length, made.estimate + made.half_length
            return Accepted(low, high, 1), made.estimate
        tests = [
            inequalities(
                self.path.estimate,
                self.path.vcov,
                matrix,
                bound,
                self.weights,
                alpha=alpha,
                first_stage=FIRST_STAGE * alpha if self.method == "C-LF" else 0.0,
                seed=self.seed,
                corners=self.corners,
            )
            for matrix, bound in violation_sets(self.path, self.assumption, size)
        ]
        return accepted_set(tests, self.centre, self.error), np.nan

    def holds(self, size: float, null: float) -> bool:
        found = self.set_at(size)[0]
        return found.low <= null <= found.high

    def row(self, size: float, method: str, found: Accepted, centre: float, null: float) -> dict[str, object]:
        return {
            "term": self.path.outcome,
            "effect_of": self.name,
            "restriction": self.assumption.restriction,
            SIZE[self.assumption.restriction]: size,
            "method": method,
            "estimate": centre,
            "conf_low": found.low,
            "conf_high": found.high,
            "holds_null": bool(found.low <= null <= found.high),
            "parts": found.parts,
        }


def _search(
    verb: str,
    path: EventPath,
    assumption: Assumption,
    target: Target,
    method: Method | None,
    conf_level: float | None,
    seed: int,
) -> _Search:
    check_assumption(verb, assumption, path)
    level = path.conf_level if conf_level is None else require_number(conf_level, f"{verb}: conf_level")
    if not 0 < level < 1:
        raise EstimationError(f"{verb}: conf_level must lie between 0 and 1, got {conf_level!r}. 95 % is 0.95.")
    weights, name = path.weights(target)
    return _Search(path, assumption, weights, name, _method(verb, assumption, method), level, seed)


def _method(verb: str, assumption: Assumption, method: Method | None) -> Method:
    fixed = assumption.restriction == "smoothness" and assumption.is_plain
    if method is None:
        return "FLCI" if fixed else "C-LF"
    if method not in METHODS:
        raise EstimationError(f"{verb}: method must be one of {list(METHODS)}, got {method!r}.")
    if method == "FLCI" and not fixed:
        raise EstimationError(
            f"{verb}: an interval of fixed length ignores what the leads say about the size of violations, so it is "
            f"for restriction='smoothness' without sign and shape. Use method='C-LF'."
        )
    return method


def _sizes(search: _Search, bounds: float | Sequence[float] | None) -> list[float]:
    smooth = search.assumption.restriction == "smoothness"
    if bounds is None:
        return [float(share * _unit(search)) for share in SMOOTH] if smooth else list(RELATIVE)
    what = "M" if smooth else "Mbar"
    values = require_numbers(bounds, "honest_did: bounds", move=f"They are values of {what}, 0 and above.")
    if not values or min(values) < 0 or not np.isfinite(values).all():
        raise EstimationError(f"honest_did: bounds are values of {what}, 0 and above, got {bounds!r}.")
    return sorted({float(value) for value in values})


def _unit(search: _Search) -> float:
    """Return a natural size of violations: 1 for relative magnitudes, else the largest change of slope before."""
    if search.assumption.restriction == "relative_magnitudes":
        return 1.0
    limit = largest_bend_before(search.path)
    return search.error if np.isnan(limit) else limit


def _breakdown(search: _Search, null: float, tolerance: float = 1e-4) -> Breakdown:
    """Double the size until the set holds the null value, look in between, and halve."""

    def result(value: float, low: float, high: float) -> Breakdown:
        return Breakdown(
            value, low, high, null, search.name, search.method, search.path, search.assumption, search.conf_level
        )

    def holds(size: float) -> bool:
        return search.holds(size, null)

    if holds(0.0):
        return result(0.0, 0.0, 0.0)
    unit = _unit(search)
    low, high = 0.0, unit / 8
    while not holds(high):
        low, high = high, 2 * high
        if high > LARGEST * unit:
            return result(np.inf, low, np.inf)
    low, high = _first_between(holds, low, high)
    while high - low > tolerance * high:
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return result((low + high) / 2, low, high)


def _first_between(holds: Callable[[float], bool], low: float, high: float) -> tuple[float, float]:
    """Return the first cell between two sizes at whose end the set holds the null value."""
    for size in np.linspace(low, high, BETWEEN + 1)[1:-1]:
        if holds(float(size)):
            return low, float(size)
        low = float(size)
    return low, high
