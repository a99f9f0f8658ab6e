"""An event study as one path: leads, the period that they are measured from, and effects since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.errors import EstimationError, IdentificationError
from evaluation.estimation.arguments import came, require_arguments, require_number
from evaluation.results import Estimates, Provenance, card_html

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Window = tuple[float | None, float | None]
Target = str | float | Mapping[float, float] | Sequence[float]

#: A covariance is singular when its smallest eigenvalue, of the correlation, is below this.
SINGULAR = 1e-10


@dataclass(frozen=True, eq=False, repr=False)
class EventPath:
    """Effects by event time, all measured from one reference period.

    Attributes
    ----------
    estimate : ndarray, shape (k,)
        Leads, then effects since treatment, without the reference period.
    vcov : ndarray, shape (k, k)
    times : ndarray, shape (k,)
        Event times, ascending.
    reference : float
        Event time of the period that all are measured from.
    outcome : str
    provenance : Provenance
    conf_level : float
    n_clusters : int or None
        Places behind a clustered error.
    vcov_rule : str
        "jackknife", "cluster", "design", or empty.
    mark : str
        Why the numbers may not be shown, empty where they may.
    """

    estimate: Floats
    vcov: Floats
    times: Floats
    reference: float
    outcome: str = "effect"
    provenance: Provenance = field(default_factory=Provenance)
    conf_level: float = 0.95
    n_clusters: int | None = None
    vcov_rule: str = ""
    mark: str = ""

    @property
    def n_pre(self) -> int:
        """Number of leads."""
        return int((self.times < self.reference).sum())

    @property
    def n_post(self) -> int:
        """Number of effects after the reference period."""
        return len(self.times) - self.n_pre

    @property
    def std_error(self) -> Floats:
        """Standard errors, shape (k,)."""
        return np.asarray(np.sqrt(np.diag(self.vcov)))

    @property
    def steps(self) -> Floats:
        """Periods from the reference, shape (k,): -n_pre to -1, then 1 to n_post."""
        return np.concatenate([np.arange(-self.n_pre, 0.0), np.arange(1.0, self.n_post + 1)])

    def within(self, window: Window) -> EventPath:
        """Return the path between two event times; the reference stays what it is."""
        low, high = window
        kept = np.flatnonzero(
            (self.times >= (-np.inf if low is None else low)) & (self.times <= (np.inf if high is None else high))
        )
        vcov = self.vcov[np.ix_(kept, kept)]
        return replace(self, estimate=self.estimate[kept], vcov=vcov, times=self.times[kept])

    def weights(self, target: Target) -> tuple[Floats, str]:
        """Return the weights of the effects in a target, shape (n_post,), and its name."""
        return _weights(self, target)

    def _card(self) -> list[tuple[str, str]]:
        leads, effects = self.times[: self.n_pre], self.times[self.n_pre :]
        rows = [("outcome", self.outcome), ("leads", _listed(leads)), ("reference", f"{self.reference:g}")]
        rows.append(("effects", _listed(effects)))
        return [*rows, ("clusters", f"{self.n_clusters}")] if self.n_clusters else rows

    def __repr__(self) -> str:
        return "\n".join(f"{head}: {text}" for head, text in self._card())

    def _repr_html_(self) -> str:
        return card_html(self._card())


def event_path(
    estimate: Sequence[float] | Floats,
    vcov: Sequence[Sequence[float]] | Floats,
    event_times: Sequence[float] | Floats,
    *,
    reference: float = -1,
    outcome: str = "effect",
    conf_level: float = 0.95,
) -> EventPath:
    """Take an event study that somebody else estimated or printed, for ``honest_did`` and ``pretrend_power``.

    Parameters
    ----------
    estimate : sequence of float, length k
        Leads and effects, all measured from the reference period, which is not among them.
    vcov : matrix, shape (k, k)
        Their covariance; errors alone are not enough.
    event_times : sequence of float, length k
        When each is: periods since treatment, or years. Evenly spaced once the reference stands among them.
    reference : float, default -1
        Event time of the reference period.
    outcome : str
        What the effects are of.
    conf_level : float, default 0.95

    Returns
    -------
    EventPath

    Raises
    ------
    EstimationError
        Shapes that do not fit, missing or negative variances, a singular covariance, uneven times.
    IdentificationError
        There is no lead, or no effect after the reference.

    Examples
    --------
    >>> event_path([0.1, 1.0], [[0.04, 0.01], [0.01, 0.09]], [-2, 0])
    outcome: effect
    leads: -2
    reference: -1
    effects: 0
    """
    require_arguments(event_path, locals())
    b, times = _floats(estimate, "event_path: estimate"), _floats(event_times, "event_path: event_times")
    v = _floats(vcov, "event_path: vcov")
    if b.ndim != 1 or times.shape != b.shape or v.shape != (len(b), len(b)):
        raise EstimationError(
            f"event_path: k estimates, a k by k covariance and k event times are needed, got shapes {b.shape}, "
            f"{v.shape} and {times.shape}."
        )
    order = np.argsort(times, kind="stable")
    base = require_number(reference, "event_path: reference")
    path = EventPath(b[order], v[np.ix_(order, order)], times[order], base, outcome, conf_level=conf_level)
    return checked("event_path", path)


def path_of(verb: str, effects: Any, window: Window = (None, None)) -> EventPath:
    """Return the path of an event study that an impact verb estimated, or the path itself.

    Parameters
    ----------
    verb : str
        For messages.
    effects : ImpactEffects, Estimates with key ``event_time``, or EventPath
    window : pair of float or None
        First and last event time that count.

    Raises
    ------
    EstimationError, IdentificationError
        As ``event_path``; also leads that are measured from several periods.
    """
    if isinstance(effects, EventPath):
        return checked(verb, effects.within(window))
    if not isinstance(effects, Estimates) or "event_time" not in effects.keys:
        raise EstimationError(
            f"{verb} needs effects by event time, got {_said(effects)}. Pass what ev.event_study or ev.sun_abraham "
            f"returned, or ev.event_path(estimates, covariance, event_times) for numbers from elsewhere."
        )
    if effects.fit.get("base_period") == "varying":
        raise EstimationError(
            f"{verb}: base_period='varying' measures every lead from the period before it and every effect from the "
            f"last period untreated, so that steps before and after treatment are not the same thing. Estimate with "
            f"base_period='universal'."
        )
    if bases := effects.fit.get("uneven_bases"):
        raise EstimationError(
            f"{verb}: waves are unevenly spaced, so cohorts are measured from different times since their start "
            f"({_listed(bases)}), and effects at one event time stand for steps of different length. Take waves that "
            f"are evenly spaced, or one cohort at a time."
        )
    times = pd.to_numeric(effects.keys["event_time"], errors="coerce").to_numpy(dtype=float)
    own = np.flatnonzero(np.isfinite(times))
    rows, times = effects.take(own), times[own]
    if rows.keys["term"].nunique() > 1:
        raise EstimationError(f"{verb}: one outcome at a time, got {sorted(set(map(str, rows.keys['term'])))}.")
    is_base = (rows.estimate == 0) & (np.diag(rows.vcov) == 0)
    reference = _reference(verb, times, is_base, effects.verb)
    keep = np.flatnonzero(times != reference)
    order = keep[np.argsort(times[keep], kind="stable")]
    path = EventPath(
        rows.estimate[order],
        rows.vcov[np.ix_(order, order)],
        times[order],
        reference,
        str(rows.keys["term"].iloc[0]),
        effects.provenance,
        effects.conf_level,
        effects.fit.get("n_clusters"),
        str(effects.fit.get("vcov", "")),
        next((mark for mark in rows.take(order).marks if mark), ""),
    )
    return checked(verb, path.within(window))


def _reference(verb: str, times: Floats, is_base: NDArray[np.bool_], made_by: str) -> float:
    """Return the event time from which the others are measured: a row of zeros, or the one that is absent."""
    if is_base.sum() == 1:
        return float(times[is_base][0])
    if is_base.sum() > 1:
        raise EstimationError(
            f"{verb}: {int(is_base.sum())} event times are exactly zero without error "
            f"({_listed(times[is_base])}), expected one reference period."
        )
    ordered = np.unique(times)
    gaps = np.diff(ordered)
    wide = np.flatnonzero(gaps > gaps.min() * 1.5) if len(gaps) else np.array([], dtype=int)
    if len(wide) == 1 and np.isclose(gaps[wide[0]], 2 * gaps.min()) and ordered[wide[0]] < 0:
        return float(ordered[wide[0]] + gaps.min())
    raise EstimationError(
        f"{verb}: no reference period among event times {_listed(ordered)} of {made_by}. Leads and effects must be "
        f"measured from one period; those of an imputation are not, since its leads come from another regression than "
        f"its effects. Use ev.event_study(base_period='universal') or ev.sun_abraham."
    )


def checked(verb: str, path: EventPath) -> EventPath:
    """Return a path that can be worked with.

    Raises
    ------
    EstimationError
        Missing or negative variances, a singular covariance, uneven times.
    IdentificationError
        There is no lead, or no effect after the reference.
    """
    times, variance = path.times, np.diag(path.vcov)
    if path.n_pre == 0 or path.n_post == 0:
        gone, move = ("lead", "The data begin too late") if path.n_pre == 0 else ("effect", "The data end too early")
        raise IdentificationError(
            f"{verb}: event times {_listed(times)} hold no {gone} {'before' if gone == 'lead' else 'after'} the "
            f"reference {path.reference:g}. {move}, or min_e and max_e cut them off."
        )
    bad = ~(np.isfinite(path.estimate) & np.isfinite(variance) & (variance > 0))
    if bad.any():
        raise EstimationError(
            f"{verb}: {int(bad.sum())} event times have no positive variance ({_listed(times[bad])}). An effect that "
            f"hangs on a single cluster has no jackknife error: leave those out with min_e and max_e.",
            failures=pd.DataFrame(
                {"event_time": times[bad], "estimate": path.estimate[bad], "variance": variance[bad]}
            ),
        )
    gaps = np.diff(np.unique(np.append(times, path.reference)))
    if not np.allclose(gaps, gaps[0]) or len(np.unique(times)) < len(times):
        raise EstimationError(
            f"{verb}: event times must be evenly spaced, without gaps and each once, the reference among them; got "
            f"{_listed(times)} and reference {path.reference:g}. Cut them with min_e and max_e."
        )
    _require_regular(verb, path)
    return path


def _require_regular(verb: str, path: EventPath) -> None:
    matrix, error = path.vcov, path.std_error
    if not np.isfinite(matrix).all() or not np.allclose(matrix, matrix.T, rtol=1e-8, atol=1e-12 * matrix.max()):
        raise EstimationError(f"{verb}: the covariance of the effects is not symmetric, or has missing entries.")
    smallest = float(np.linalg.eigvalsh(matrix / np.outer(error, error))[0])
    if smallest < SINGULAR:
        places = f" from {path.n_clusters} clusters" if path.n_clusters else ""
        raise EstimationError(
            f"{verb}: the covariance of {len(error)} effects{places} is singular (smallest eigenvalue of the "
            f"correlation {smallest:.1e}). Ask for fewer event times with min_e and max_e, or more clusters."
        )


def _weights(path: EventPath, target: Target) -> tuple[Floats, str]:
    effects = path.times[path.n_pre :]
    if isinstance(target, str):
        if target not in ("first", "average"):
            raise EstimationError(
                f"target must be 'first', 'average', an event time, or weights of event times, got {target!r}."
            )
        started = effects >= 0 if path.reference < 0 else np.ones(len(effects), dtype=bool)
        if target == "average":
            return started / started.sum(), target
        return np.eye(len(effects))[int(np.flatnonzero(started)[0])], target
    if isinstance(target, Real) and not isinstance(target, bool):
        return _of_times(effects, {float(target): 1.0}), f"{float(target):g}"
    if isinstance(target, Mapping):
        return _of_times(
            effects, dict(zip(*(_floats(list(each), "target") for each in (target, target.values())), strict=True))
        ), "weights"
    values = _floats(target, "target")
    if values.shape != effects.shape or not np.isfinite(values).all() or not values.any():
        raise EstimationError(
            f"target: {len(effects)} weights are needed, one for each event time {_listed(effects)}, got {target!r}."
        )
    return values, "weights"


def _of_times(effects: Floats, given: Mapping[float, float]) -> Floats:
    weights = np.zeros(len(effects))
    for time, weight in given.items():
        at = np.flatnonzero(effects == time)
        if not len(at) or not np.isfinite(weight):
            raise EstimationError(f"target: event time {time:g} is not among the effects {_listed(effects)}.")
        weights[at[0]] = weight
    if not weights.any():
        raise EstimationError("target: all weights are zero.")
    return weights


def _floats(value: object, what: str) -> Floats:
    """Return numbers as an array; an EstimationError for anything else."""
    try:
        return np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise EstimationError(f"{what} must hold numbers, got {came(value)}.") from None


def _listed(times: Floats) -> str:
    return ", ".join(f"{time:g}" for time in times)


def _said(effects: object) -> str:
    return f"estimates of {effects.verb}" if isinstance(effects, Estimates) else type(effects).__name__
