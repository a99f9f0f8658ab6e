"""One group-time effect without each place at once: places' sums are taken away, propensities start at the full one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import special

from evaluation.impact.staggered.difference import LARGEST_LOG_ODDS, RANK, Comparison, Estimator

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Newton steps end when the coefficients move by less than this, relative to their size.
SETTLED = 1e-11
MAXIMUM_STEPS = 12
#: After a step shorter than this the second derivative of the last one will do.
SHORT_STEP = 1e-3
#: Rows gone through at once, so that what is computed of them stays in the processor's cache.
BLOCK = 4096


def effects_without(
    comparison: Comparison, cluster: Codes, estimator: Estimator, log_odds: Floats | None
) -> tuple[Codes, Floats]:
    """Return the places of a comparison, shape (K,), and its effect without each, shape (K,).

    Parameters
    ----------
    comparison : Comparison
    cluster : ndarray of int, shape (J,)
        Place of each row.
    estimator : {"dr", "ipw", "reg"}
    log_odds : ndarray, shape (p,), or None
        Coefficients of the propensity from all places.

    Returns
    -------
    tuple of ndarray
        NaN where the quick way does not hold (without a place a group is empty, or covariates are collinear or
        separate the groups): ask ``effect`` for those.

    Notes
    -----
    Regressions are solved from the sums of squares of the other places. The logit's first Newton step comes from
    sums per place at the full solution; the next ones go through the rows once for all places.
    """
    order = np.argsort(cluster, kind="stable")
    places, start = np.unique(cluster[order], return_index=True)
    parts = _Parts.of(comparison, order, np.append(start, len(order)))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        usable = parts.full_rank()
        odds = None
        if log_odds is not None:
            if len(log_odds) != parts.x.shape[1]:
                return places, np.full(len(places), np.nan)
            odds, settled = _odds_sums(parts, log_odds)
            usable &= settled
        made = combined(parts.squares, odds, estimator, usable)
    return places, np.where(usable, made, np.nan)


@dataclass(frozen=True, eq=False)
class _Parts:
    """Rows of a comparison ordered by place, and the sums of the other places.

    Attributes
    ----------
    x : ndarray, shape (J, p)
    y, weight, treated : ndarray, shape (J,)
    arms : tuple of ndarray of bool, shape (J,) each
        Period of a row: later, then earlier; a single one of a panel.
    slices : list of slice, K
        Rows of each place.
    squares : ndarray, shape (2, S, K, p + 1, p + 1)
        Weighted squares of covariates and outcome, by control or treated and period, without each place.
    plain : ndarray, shape (K, p, p)
        Squares of all covariates without weights, without each place.
    """

    x: Floats
    y: Floats
    weight: Floats
    treated: Mask
    arms: tuple[Mask, ...]
    slices: list[slice]
    squares: Floats
    plain: Floats

    @classmethod
    def of(cls, comparison: Comparison, order: Codes, bounds: Codes) -> _Parts:
        x, y, weight = comparison.x[order], comparison.outcome[order], comparison.weight[order]
        treated, slices = comparison.treated[order], [slice(a, b) for a, b in pairwise(bounds)]
        arms = tuple(inside[order] for _, inside in comparison.periods())
        p = x.shape[1]
        own, plain = np.zeros((2, len(arms), len(slices), p + 1, p + 1)), np.zeros((len(slices), p, p))
        for k, rows in enumerate(slices):
            z, w = np.column_stack([x[rows], y[rows]]), weight[rows]
            plain[k] = z[:, :p].T @ z[:, :p]
            for d in (0, 1):
                for s, inside in enumerate(arms):
                    at = np.flatnonzero(inside[rows] & (treated[rows] == bool(d)))
                    if len(at):
                        part = z[at]
                        own[d, s, k] = part.T @ (w[at, None] * part)
        others = 1.0 - np.eye(len(slices))
        return cls(
            x,
            y,
            weight,
            treated,
            arms,
            slices,
            np.einsum("lk,dskij->dslij", others, own, optimize=True),
            np.einsum("lk,kij->lij", others, plain, optimize=True),
        )

    def full_rank(self) -> Mask:
        """Return without which places both groups are there in every period and no covariate is redundant."""
        return full_rank(self.squares, self.plain)


def full_rank(squares: Floats, plain: Floats) -> Mask:
    """Return which comparisons have both groups in every period and covariates that are apart in all of them, (K,).

    Regressions that are not determined are left to ``effect``, which asks where they reach.
    """
    p = plain.shape[-1]
    there = (squares[..., 0, 0] > 0).all(axis=(0, 1))
    size, weighted = np.linalg.eigvalsh(plain), np.linalg.eigvalsh(squares[..., :p, :p])
    solid = (weighted[..., 0] > RANK * weighted[..., -1]).all(axis=(0, 1))
    return np.asarray(there & (size[:, 0] > RANK * size[:, -1]) & solid)


def combined(squares: Floats, odds: Floats | None, estimator: Estimator, usable: Mask) -> Floats:
    """Put means and regressions together to K effects, shape (K,).

    Parameters
    ----------
    squares : ndarray, shape (2, S, K, p + 1, p + 1)
        Weighted squares of covariates and outcome, by control or treated and period.
    odds : ndarray, shape (S, K, p + 1), or None
        Sums over the comparison group of weights times odds times covariates and outcome.
    estimator : {"dr", "ipw", "reg"}
    usable : ndarray of bool, shape (K,)
        Whose squares can be inverted.
    """
    n_periods, n, p = squares.shape[1], squares.shape[2], squares.shape[-1] - 1
    fitted = np.zeros((2, n_periods, n, p))
    if estimator != "ipw":
        at = np.flatnonzero(usable)
        fitted[:, :, at] = np.linalg.solve(squares[:, :, at, :p, :p], squares[:, :, at, :p, p:])[..., 0]
    treated = squares[1, :, :, 0, :p].sum(axis=0)
    everybody = treated / treated[:, :1]
    total = np.zeros(n)
    for s, sign in enumerate((1.0, -1.0)[:n_periods]):
        own, mean = squares[1, s, :, 0], fitted[1, s]
        if estimator == "dr" and n_periods == 2:
            total += sign * (everybody * mean).sum(axis=1)
            total += sign * (own[:, p] - (own[:, :p] * mean).sum(axis=1)) / own[:, 0]
        else:
            total += sign * own[:, p] / own[:, 0]
        model = fitted[0, s]
        if estimator != "ipw":
            total -= sign * (everybody * model).sum(axis=1)
        if odds is not None:
            total -= sign * (odds[s, :, p] - (odds[s, :, :p] * model).sum(axis=1)) / odds[s, :, 0]
    return total


def _odds_sums(parts: _Parts, start: Floats) -> tuple[Floats, Mask]:
    """Return the comparison group's sums of odds times covariates and outcome, (S, K, p + 1), and whether settled."""
    beta, information, settled = _first_step(parts, start)
    short = np.zeros(len(beta), dtype=bool)
    for _ in range(MAXIMUM_STEPS):
        going = np.flatnonzero(~settled & np.isfinite(beta).all(axis=1))
        if not len(going):
            break
        gradient, again = _slopes(parts, beta[going], going, going[~short[going]])
        information[going[~short[going]]] = again
        move = _solved(information[going], gradient)
        beta[going] += move
        moved = np.abs(move).max(axis=1) / np.maximum(1.0, np.abs(beta[going]).max(axis=1))
        settled[going] = moved <= SETTLED
        short[going] = moved < SHORT_STEP
    return _sums_at(parts, beta, settled)


def _first_step(parts: _Parts, start: Floats) -> tuple[Floats, Floats, Mask]:
    """Newton's first step without each place, from sums per place at the full solution."""
    p, n_places = parts.x.shape[1], len(parts.slices)
    e = special.expit(parts.x @ start)
    score, bend = parts.weight * (parts.treated - e), parts.weight * e * (1 - e)
    gradient, information = np.zeros((n_places, p)), np.zeros((n_places, p, p))
    for k, rows in enumerate(parts.slices):
        x = parts.x[rows]
        gradient[k], information[k] = x.T @ score[rows], x.T @ (bend[rows, None] * x)
    others = 1.0 - np.eye(n_places)
    without = np.einsum("lk,kij->lij", others, information, optimize=True)
    return start + _solved(without, others @ gradient), without, np.zeros(n_places, dtype=bool)


def _solved(information: Floats, gradient: Floats) -> Floats:
    try:
        return np.asarray(np.linalg.solve(information, gradient[..., None])[..., 0])
    except np.linalg.LinAlgError:
        return np.full_like(gradient, np.nan)


def _others(parts: _Parts, rows: slice, places: Codes) -> Mask:
    """Whether a block of rows belongs to other places than each, shape (rows, K)."""
    at = np.arange(rows.start, rows.stop)[:, None]
    first = np.array([parts.slices[k].start for k in places])
    last = np.array([parts.slices[k].stop for k in places])
    return np.asarray((at < first) | (at >= last))


def _blocks(parts: _Parts) -> list[slice]:
    n = len(parts.y)
    return [slice(first, min(first + BLOCK, n)) for first in range(0, n, BLOCK)]


def _slopes(parts: _Parts, beta: Floats, places: Codes, bending: Codes) -> tuple[Floats, Floats]:
    """Return the gradient without each of some places, (K, p), and the information without some of those."""
    p = parts.x.shape[1]
    gradient, information = np.zeros((p, len(places))), np.zeros((len(bending), p, p))
    at = np.searchsorted(places, bending)
    for rows in _blocks(parts):
        x = parts.x[rows]
        weight = parts.weight[rows, None] * _others(parts, rows, places)
        e = special.expit(x @ beta.T)
        gradient += x.T @ (weight * (parts.treated[rows, None] - e))
        if len(bending):
            bend = weight[:, at] * e[:, at] * (1 - e[:, at])
            for j in range(len(bending)):
                information[j] += x.T @ (bend[:, j, None] * x)
    return gradient.T, information


def _sums_at(parts: _Parts, beta: Floats, settled: Mask) -> tuple[Floats, Mask]:
    p, n_places = parts.x.shape[1], len(parts.slices)
    sums, highest = np.zeros((len(parts.arms), p + 1, n_places)), np.full(n_places, -np.inf)
    places = np.arange(n_places)
    for rows in _blocks(parts):
        there = _others(parts, rows, places)
        log_odds = parts.x[rows] @ beta.T
        highest = np.maximum(highest, np.where(there, log_odds, -np.inf).max(axis=0))
        control = there & ~parts.treated[rows, None]
        odds = parts.weight[rows, None] * np.where(control, np.exp(log_odds), 0.0)
        for s, inside in enumerate(parts.arms):
            own = odds * inside[rows, None]
            sums[s, :p] += parts.x[rows].T @ own
            sums[s, p] += parts.y[rows] @ own
    return sums.transpose(0, 2, 1), settled & (highest <= LARGEST_LOG_ODDS)
