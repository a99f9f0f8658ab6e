"""What parallel trends may be off by: sets of violations as linear inequalities.

A violation is the path of bias delta over the event times, zero in the reference period. Each set is a union of
polyhedra ``matrix @ delta <= bound``; only inequalities in which an effect after the reference takes part are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from evaluation.errors import EstimationError, IdentificationError
from evaluation.impact.credibility.event_path import EventPath

Floats = NDArray[np.float64]
Restriction = Literal["relative_magnitudes", "smoothness"]
Sign = Literal["positive", "negative"]
Shape = Literal["increasing", "decreasing"]
RESTRICTIONS = ("relative_magnitudes", "smoothness")


@dataclass(frozen=True)
class Assumption:
    """What is assumed of violations, but for how large they are.

    Attributes
    ----------
    restriction : {"relative_magnitudes", "smoothness"}
    sign : {"positive", "negative"} or None
        Of the bias after the reference.
    shape : {"increasing", "decreasing"} or None
        Of the bias over time.
    linear_trend : bool
        Relative magnitudes of departures from a linear trend, not of steps.
    """

    restriction: Restriction = "relative_magnitudes"
    sign: Sign | None = None
    shape: Shape | None = None
    linear_trend: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether neither sign nor shape is assumed."""
        return self.sign is None and self.shape is None


def check_assumption(verb: str, assumption: Assumption, path: EventPath) -> None:
    """Refuse what is unknown, or needs more leads than there are.

    Raises
    ------
    EstimationError
        An option is unknown, or does not go with the restriction.
    IdentificationError
        Departures from a trend need two leads.
    """
    known: tuple[tuple[str, object, tuple[object, ...]], ...] = (
        ("restriction", assumption.restriction, RESTRICTIONS),
        ("sign", assumption.sign, (None, "positive", "negative")),
        ("shape", assumption.shape, (None, "increasing", "decreasing")),
        ("linear_trend", assumption.linear_trend, (True, False)),
    )
    for name, value, options in known:
        if value not in options:
            raise EstimationError(f"{verb}: {name} must be one of {list(options)}, got {value!r}.")
    if assumption.linear_trend and assumption.restriction == "smoothness":
        raise EstimationError(
            f"{verb}: smoothness bounds departures from a linear trend already. Leave linear_trend out, or use "
            f"restriction='relative_magnitudes'."
        )
    if assumption.linear_trend and path.n_pre < 2:
        raise IdentificationError(
            f"{verb}: linear_trend=True compares with departures from a trend before treatment, which needs two leads; "
            f"there is {path.n_pre}. Use linear_trend=False."
        )


def steps(path: EventPath) -> tuple[Floats, Floats]:
    """Return first differences of a path before and after the reference, shapes (n_pre, k) and (n_post, k)."""
    k, n_pre = len(path.times), path.n_pre
    whole = np.eye(k, k + 1, 1) - np.eye(k, k + 1)
    own = np.delete(whole, n_pre, axis=1)
    return own[:n_pre], own[n_pre:]


def bends(path: EventPath) -> tuple[Floats, Floats]:
    """Return second differences up to the reference and with later effects, shapes (n_pre - 1, k) and (n_post, k)."""
    k, n_pre = len(path.times), path.n_pre
    whole = np.eye(k - 1, k + 1) - 2 * np.eye(k - 1, k + 1, 1) + np.eye(k - 1, k + 1, 2)
    own = np.delete(whole, n_pre, axis=1)
    return own[: n_pre - 1], own[n_pre - 1 :]


def violation_sets(path: EventPath, assumption: Assumption, size: float) -> list[tuple[Floats, Floats]]:
    """Return the polyhedra of a set of violations as pairs of matrix, (m, k), and bound, (m,).

    Parameters
    ----------
    path : EventPath
    assumption : Assumption
    size : float
        Mbar: violations after the reference at most so many times the largest before; or M: the slope changes by no
        more than this from period to period.

    Notes
    -----
    Rambachan and Roth (2023), sections 2.4.1 to 2.4.3. The largest violation before the reference is one of finitely
    many, with either sign: a union over these. That an other one is smaller need not be written, since the union is
    the same without.
    """
    further = _signs(path, assumption)
    if assumption.restriction == "smoothness":
        after = bends(path)[1]
        matrix, bound = np.vstack([after, -after]), np.full(2 * path.n_post, size)
        return [(np.vstack([matrix, further]), np.append(bound, np.zeros(len(further))))]
    before, after = bends(path) if assumption.linear_trend else steps(path)
    pieces = []
    for largest in before:
        for direction in (1.0, -1.0):
            room = size * direction * largest
            matrix = np.vstack([after - room, -after - room, further])
            pieces.append((matrix, np.zeros(len(matrix))))
    return pieces


def _signs(path: EventPath, assumption: Assumption) -> Floats:
    k = len(path.times)
    rows = np.zeros((0, k))
    if assumption.sign is not None:
        after = np.eye(k)[path.n_pre :]
        rows = np.vstack([rows, -after if assumption.sign == "positive" else after])
    if assumption.shape is not None:
        after = steps(path)[1]
        rows = np.vstack([rows, -after if assumption.shape == "increasing" else after])
    return rows


def largest_bend_before(path: EventPath, level: float = 0.95) -> float:
    """Return the upper limit of the largest change of slope among the leads, a natural size for M.

    Parameters
    ----------
    path : EventPath
    level : float
        Of the one-sided limit of each change of slope.

    Returns
    -------
    float
        NaN with a single lead.
    """
    before = bends(path)[0]
    if not len(before):
        return float("nan")
    moved = before @ path.estimate
    error = np.sqrt(np.einsum("ij,jk,ik->i", before, path.vcov, before))
    return float((np.abs(moved) + stats.norm.ppf(level) * error).max())
