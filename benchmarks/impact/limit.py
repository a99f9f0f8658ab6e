"""What numpy must do at least for the tasks of the impact benchmark: arrays given, nothing checked or labelled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import measure
import numpy as np
from numpy.typing import NDArray
from persons import COVARIATES, DISTRICTS, DONGS, DRAWS, WAVES, columns_of

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Flags = NDArray[np.bool_]
BLOCK, YEARS, NUMBERS = 1 << 13, len(WAVES), len(COVARIATES) + 1
COHORTS = (2015, 2016, 2017)


@dataclass
class Ready:
    """Numbers one column each (treatment or ones first), weights, outcome, dong, year from 0, first year."""

    x: Floats
    w: Floats
    y: Floats
    dong: Codes
    year: Codes
    first: Codes


def prepare(folder: Path, task: str) -> Ready:
    """Read the columns into arrays."""
    given = {name: np.load(folder / f"{name}.npy") for name in columns_of(task)}
    n = len(given["y"])
    x = np.empty((NUMBERS, n))
    x[0] = given.get("d", 1.0)
    for place, name in enumerate(COVARIATES, 1):
        x[place] = given[name]
    weights = np.ones(n) if task == "wild" else given["w"]
    return Ready(x, weights, given["y"], given["dong"], given["year"] - WAVES[0], given.get("first", given["dong"]))


def _sums(ready: Ready, v: Floats) -> Floats:
    """Return sums by district of v times every regressor: numbers, dummies of dongs, of years but the first."""
    by_cell = np.bincount(ready.dong * YEARS + ready.year, v, minlength=DONGS * YEARS).reshape(DONGS, YEARS)
    district = np.arange(DONGS) % DISTRICTS
    found = np.zeros((DISTRICTS, NUMBERS + DONGS + YEARS - 1))
    person = ready.dong % DISTRICTS
    for j in range(NUMBERS):
        found[:, j] = np.bincount(person, v * ready.x[j], minlength=DISTRICTS)
    found[district, NUMBERS + np.arange(DONGS)] = by_cell.sum(axis=1)
    np.add.at(found[:, NUMBERS + DONGS :], district, by_cell[:, 1:])
    return found


def _normal_equations(ready: Ready) -> tuple[Floats, Floats]:
    """Return the cross-products of all regressors, dummies too, and of these with the outcome."""
    cell, k = ready.dong * YEARS + ready.year, NUMBERS + DONGS + YEARS - 1
    gram, right = np.zeros((k, k)), np.zeros(k)
    for columns, place in ((ready.w, None), *((ready.w * x, j) for j, x in enumerate(ready.x))):
        cells = np.bincount(cell, columns, minlength=DONGS * YEARS).reshape(DONGS, YEARS)
        if place is None:
            gram[range(NUMBERS, NUMBERS + DONGS), range(NUMBERS, NUMBERS + DONGS)] = cells.sum(axis=1)
            later = range(NUMBERS + DONGS, k)
            gram[later, later] = cells.sum(axis=0)[1:]
            gram[NUMBERS : NUMBERS + DONGS, NUMBERS + DONGS :] = cells[:, 1:]
            gram[NUMBERS + DONGS :, NUMBERS : NUMBERS + DONGS] = cells[:, 1:].T
        else:
            gram[place, NUMBERS:] = gram[NUMBERS:, place] = [*cells.sum(axis=1), *cells.sum(axis=0)[1:]]
            right[place] = columns @ ready.y
    for start in range(0, ready.x.shape[1], BLOCK):
        part = ready.x[:, start : start + BLOCK]
        gram[:NUMBERS, :NUMBERS] += (part * ready.w[start : start + BLOCK]) @ part.T
    by_cell = np.bincount(cell, ready.w * ready.y, minlength=DONGS * YEARS).reshape(DONGS, YEARS)
    right[NUMBERS:] = [*by_cell.sum(axis=1), *by_cell.sum(axis=0)[1:]]
    return gram, right


def _fitted(ready: Ready, b: Floats) -> Floats:
    cells = b[NUMBERS : NUMBERS + DONGS, None] + np.concatenate([[0.0], b[NUMBERS + DONGS :]])
    return b[:NUMBERS] @ ready.x + cells.ravel()[ready.dong * YEARS + ready.year]


def _factor(n: int) -> float:
    """Return the factor of CR1; dongs lie within districts and are not counted."""
    return (n - 1) / (n - NUMBERS - YEARS) * DISTRICTS / (DISTRICTS - 1)


def two_way(ready: Ready) -> Floats:
    """Return coefficient and CR1 error from the normal equations and one pass over the residuals."""
    gram, right = _normal_equations(ready)
    inverse = np.linalg.inv(gram)
    b = inverse @ right
    scores = _sums(ready, ready.w * (ready.y - _fitted(ready, b))) @ inverse[:, 0]
    return np.array([b[0], np.sqrt(_factor(len(ready.y)) * (scores @ scores))])


def wild(ready: Ready) -> Floats:
    """Return t and p of the wild cluster bootstrap under the null: two passes, then districts by districts."""
    gram, right = _normal_equations(ready)
    inverse = np.linalg.inv(gram)
    b = inverse @ right
    null = b - inverse[:, 0] * b[0] / inverse[0, 0]
    free, held = (_sums(ready, ready.w * (ready.y - _fitted(ready, each))) for each in (b, null))
    own = free @ inverse[:, 0]
    t = b[0] / np.sqrt(_factor(len(ready.y)) * (own @ own))
    of_row = _fitted(ready, inverse[:, 0])
    pulled = held @ inverse
    across = _sums(ready, ready.w * of_row) @ pulled.T
    signs = np.random.default_rng(1).choice([-1.0, 1.0], (DRAWS["wild"], DISTRICTS))
    scores = signs * (held @ inverse[:, 0]) - signs @ across.T
    drawn = (signs @ pulled[:, 0]) / np.sqrt(_factor(len(ready.y)) * (scores**2).sum(axis=1))
    return np.array([t, np.mean(np.abs(drawn) > abs(t))])


def _gram(x: Floats, v: Floats) -> Floats:
    return (x * v) @ x.T


def _logit(x: Floats, w: Floats, treated: Floats, start: Floats) -> Floats:
    """Return the coefficients of a logit by Newton's steps."""
    b = start.copy()
    for _ in range(25):
        p = 1 / (1 + np.exp(-(b @ x)))
        step = np.linalg.solve(_gram(x, w * p * (1 - p)), x @ (w * (treated - p)))
        b += step
        if np.abs(step).max() < 1e-9:
            break
    return b


def _effect(x: Floats, w: Floats, y: Floats, treated: Flags, later: Flags, start: Floats) -> tuple[float, Floats]:
    """Return the doubly robust effect, outcomes of both groups modelled in both waves, and the logit."""
    b, fits = _logit(x, w, treated.astype(float), start), {}
    for group in (False, True):
        for wave in (False, True):
            rows = (treated == group) & (later == wave)
            part, own = x[:, rows], w[rows]
            fits[group, wave] = np.linalg.solve(_gram(part, own), part @ (own * y[rows])) @ x
    weight = np.where(treated, w, w * np.exp(b @ x))
    change = 0.0
    for wave, sign in ((True, 1), (False, -1)):
        left = y - fits[False, wave]
        for group, side in ((True, 1), (False, -1)):
            rows = (treated == group) & (later == wave)
            change += sign * side * np.average(left[rows], weights=weight[rows])
        gap = (fits[True, wave] - fits[False, wave])[treated]
        at = later[treated] == wave
        change += sign * (np.average(gap, weights=w[treated]) - np.average(gap[at], weights=w[treated][at]))
    return change, b


def _comparisons(ready: Ready) -> Iterator[tuple[Floats, Floats, Floats, Flags, Flags, Codes]]:
    """Give the rows of three cohorts in seven years and their districts."""
    order = np.lexsort([ready.year, ready.first])
    given = (ready.x, ready.w, ready.y, ready.first, ready.year, ready.dong % DISTRICTS)
    x, w, y, first, year, district = (part[..., order] for part in given)
    for cohort in COHORTS:
        for t in range(1, YEARS):
            base = cohort - 1 - WAVES[0] if t >= cohort - WAVES[0] else t - 1
            rows = np.flatnonzero(((first == cohort) | (first == 0)) & ((year == t) | (year == base)))
            yield x[:, rows], w[rows], y[rows], first[rows] == cohort, year[rows] == t, district[rows]


def group_time(ready: Ready) -> Floats:
    """Return the effects of cohorts by year; errors and bands are left out."""
    return np.array([_effect(*part, np.zeros(NUMBERS))[0] for *part, _ in _comparisons(ready)])


def group_time_left_out(ready: Ready) -> Floats:
    """Return jackknife errors: every fit without a district is made anew, its logit from where the full one ended."""
    found = []
    for x, *parts, district in _comparisons(ready):
        full, b = _effect(x, *parts, np.zeros(NUMBERS))
        apart = 0.0
        for left in np.unique(district):
            kept = np.flatnonzero(district != left)
            apart += (_effect(x[:, kept], *(part[kept] for part in parts), b)[0] - full) ** 2
        found.append(np.sqrt((DISTRICTS - 1) / DISTRICTS * apart))
    return np.array(found)


TASKS = {"two_way": two_way, "wild": wild, "group_time": group_time, "group_time_left_out": group_time_left_out}

if __name__ == "__main__":
    measure.run(prepare, TASKS)
