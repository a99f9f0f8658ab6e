"""Group-time effects under many orders of the roll-out at once, where respondents share few covariate profiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from evaluation.design.collapse import mass_by
from evaluation.impact.identification import Cell
from evaluation.impact.staggered.cell_table import CellTable
from evaluation.impact.staggered.difference import LARGEST_LOG_ODDS, Estimator
from evaluation.impact.staggered.left_out import MAXIMUM_STEPS, SETTLED, combined, full_rank

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Sums by place, wave and profile that are held at most, and orders gone through at once.
MOST_SUMS, BLOCK = 4_000_000, 128


@dataclass(frozen=True, eq=False)
class ProfileSums:
    """Weights and weighted outcomes by place, wave and covariate profile.

    Attributes
    ----------
    weight : ndarray, shape (G, T, Q), of a panel (G, 1, Q)
    total : ndarray, shape (G, T, Q)
    x : ndarray, shape (T, Q, p)
        Covariates of each profile in each wave.
    is_panel : bool
    """

    weight: Floats
    total: Floats
    x: Floats
    is_panel: bool

    def effects(self, member: Floats, cells: Sequence[Cell], estimator: Estimator) -> Floats:
        """Return the effects for allocations of places to cohorts, shape (B, k) from (B, G, C); NaN where unsure."""
        made = np.full((len(member), len(cells)), np.nan)
        for first in range(0, len(member), BLOCK):
            own = slice(first, first + BLOCK)
            for column, cell in enumerate(cells):
                made[own, column] = 0.0 if cell.is_reference else self._effect(member[own], cell, estimator)
        return made

    def _effect(self, member: Floats, cell: Cell, estimator: Estimator) -> Floats:
        arms = [member[:, :, list(cell.controls)].sum(axis=2), member[:, :, cell.cohort]]
        x = self.x[cell.base]
        if self.is_panel:
            pairs = [(self.weight[:, 0], self.total[:, cell.time] - self.total[:, cell.base])]
        else:
            pairs = [(self.weight[:, wave], self.total[:, wave]) for wave in (cell.time, cell.base)]
        weight = np.stack([[arm @ own for own, _ in pairs] for arm in arms])
        total = np.stack([[arm @ own for _, own in pairs] for arm in arms])
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            squares = _squares(weight, total, x)
            present = (weight.sum(axis=(0, 1)) > 0).astype(float)
            usable = full_rank(squares, _products(present, x))
            odds = None
            if estimator != "reg":
                log_odds, settled = _log_odds(weight.sum(axis=1), x, present > 0)
                usable &= settled
                share = np.exp(np.where(settled[:, None], log_odds, 0.0))
                odds = np.concatenate([(weight[0] * share) @ x, (total[0] * share).sum(axis=2)[..., None]], axis=2)
            made = combined(squares, odds, estimator, usable)
        return np.where(usable, made, np.nan)


def profile_sums(table: CellTable, n_places: int) -> ProfileSums | None:
    """Sum a table by place, wave and profile; None where profiles are too many."""
    records = table.records
    n_waves = len(records.over_time.times)
    profile, x = table.pattern, np.repeat(records.x[None], n_waves, axis=0)
    if records.is_panel:
        paths, profile = np.unique(table.pattern, axis=0, return_inverse=True)
        profile, x = profile.ravel(), records.x[paths].transpose(1, 0, 2)
    n_profiles = x.shape[1]
    if n_places * n_waves * n_profiles > MOST_SUMS or n_profiles * 4 > len(profile):
        return None
    n_held = 1 if records.is_panel else n_waves
    key = (table.cluster * n_held + table.period) * n_profiles + profile
    shape = (n_places, n_held, n_profiles)

    def summed(own: Floats) -> Floats:
        return mass_by(key, n_places * n_held * n_profiles, own).reshape(shape)

    weight = summed(table.weight)
    if not records.is_panel:
        return ProfileSums(weight, summed(table.weight * table.outcome), x, False)
    total = np.concatenate([summed(table.weight * own) for own in table.outcome.T], axis=1)
    return ProfileSums(weight, total, x, True)


def _products(weight: Floats, x: Floats) -> Floats:
    """Return weighted squares of the covariates, shape (..., p, p) from (..., Q)."""
    p = x.shape[1]
    pairs = (x[:, :, None] * x[:, None, :]).reshape(len(x), p * p)
    return np.asarray((weight @ pairs).reshape(*weight.shape[:-1], p, p))


def _squares(weight: Floats, total: Floats, x: Floats) -> Floats:
    """Return squares of covariates and their products with the outcome; the outcome's own are not needed."""
    p = x.shape[1]
    whole = np.zeros((*weight.shape[:-1], p + 1, p + 1))
    whole[..., :p, :p] = _products(weight, x)
    whole[..., :p, p] = whole[..., p, :p] = total @ x
    return whole


def _log_odds(weight: Floats, x: Floats, present: Mask) -> tuple[Floats, Mask]:
    """Return log odds of being treated by profile, shape (B, Q), from weights, (2, B, Q), and whether they settled."""
    everybody = weight.sum(axis=0)
    beta = np.zeros((len(everybody), x.shape[1]))
    settled = np.zeros(len(beta), dtype=bool)
    for _ in range(2 * MAXIMUM_STEPS):
        going = np.flatnonzero(~settled & np.isfinite(beta).all(axis=1))
        if not len(going):
            break
        e = special.expit(beta[going] @ x.T)
        gradient = (weight[1, going] - everybody[going] * e) @ x
        information = _products(everybody[going] * e * (1 - e), x)
        try:
            move = np.linalg.solve(information, gradient[..., None])[..., 0]
        except np.linalg.LinAlgError:
            move = (np.linalg.pinv(information, hermitian=True) @ gradient[..., None])[..., 0]
        beta[going] += move
        size = np.maximum(1.0, np.abs(beta[going]).max(axis=1))
        settled[going] = np.abs(move).max(axis=1) / size <= SETTLED
    log_odds = beta @ x.T
    return log_odds, settled & (np.where(present, log_odds, -np.inf).max(axis=1) <= LARGEST_LOG_ODDS)
