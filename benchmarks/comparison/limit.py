"""What numpy must do at least for the tasks of the comparison benchmark: numbers given, nothing checked or labelled."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path

import measure
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from people import COVARIATES, PSUS_PER_STRATUM, STRATA

Floats = NDArray[np.float64]
BLOCK, UNITS = 1 << 13, STRATA * PSUS_PER_STRATUM


@dataclass
class Ready:
    """Model matrix with a column of ones, weights of mean 1, participation, outcome, unit, factors of replicates."""

    x: Floats
    w: Floats
    t: Floats
    y: Floats
    psu: NDArray[np.int64]
    factors: Floats


def prepare(folder: Path, task: str) -> Ready:
    """Read the sample; the factors of the replicates where the task needs them."""
    frame = pd.read_parquet(folder / "people.parquet")
    x = np.column_stack([np.ones(len(frame)), frame[list(COVARIATES)].to_numpy()])
    w = frame["weight"].to_numpy()
    factors = np.load(folder / "factors.npy") if task == "replicates" else np.zeros((0, 0))
    t, y = frame["joined"].to_numpy(), frame["stays"].to_numpy()
    return Ready(x, w / w.mean(), t, y, frame["psu"].to_numpy(), factors)


def _gram(x: Floats, v: Floats) -> Floats:
    found = np.zeros((x.shape[1],) * 2)
    for start in range(0, len(x), BLOCK):
        rows = slice(start, start + BLOCK)
        found += x[rows].T @ (v[rows, None] * x[rows])
    return found


def _expit(eta: Floats) -> Floats:
    return 1 / (1 + np.exp(-eta))


def _logit(x: Floats, w: Floats, y: Floats, start: Floats | None = None) -> tuple[Floats, Floats]:
    """Return coefficients and information of a logistic regression."""
    b = np.zeros(x.shape[1]) if start is None else start
    for _ in range(30):
        p = _expit(x @ b)
        information = _gram(x, w * p * (1 - p))
        step = np.linalg.solve(information, x.T @ (w * (y - p)))
        b = b + step
        if np.abs(step).max() < 1e-8:
            return b, information
    raise RuntimeError("no convergence")


def _means(ready: Ready, w: Floats, start: list[Floats] | None = None) -> tuple[Floats, list[Floats]]:
    """Return both means of the doubly robust estimate on participants, and the coefficients found."""
    x, t, y = ready.x, ready.t, ready.y
    g, _ = _logit(x, w, t, None if start is None else start[0])
    e = _expit(x @ g)
    means, found = np.empty(2), [g]
    for arm, balancing in ((0, (1 - t) * e / (1 - e)), (1, t)):
        own = t == arm
        b, _ = _logit(x[own], w[own], y[own], None if start is None else start[1 + arm])
        m = _expit(x @ b)
        means[arm] = (w * e) @ m / (w @ e) + (w * balancing) @ (y - m) / (w @ balancing)
        found.append(b)
    return means, found


def aipw(ready: Ready) -> Floats:
    """Return the doubly robust difference on participants and its design-based error, models' estimation included."""
    x, w, t, y = ready.x, ready.w, ready.t, ready.y
    g, h = _logit(x, w, t)
    e = _expit(x @ g)
    mean, z = 0.0, np.zeros(len(w))
    for arm, sign in ((0, -1.0), (1, 1.0)):
        own = t == arm
        b, information = _logit(x[own], w[own], y[own])
        m = _expit(x @ b)
        balancing = t if arm else (1 - t) * e / (1 - e)
        slope = np.zeros(len(w)) if arm else balancing
        size, size_own = w @ e, w @ balancing
        tilted, added = (w * e) @ m / size, (w * balancing) @ (y - m) / size_own
        u = (w * e * (1 - e) * (m - tilted)) @ x / size + (w * slope * (y - m - added)) @ x / size_own
        v = (w * e * m * (1 - m)) @ x / size - (w * balancing * m * (1 - m)) @ x / size_own
        part = e * (m - tilted) / size + balancing * (y - m - added) / size_own
        part += (t - e) * (x @ np.linalg.solve(h, u)) + own * (y - m) * (x @ np.linalg.solve(information, v))
        mean, z = mean + sign * (tilted + added), z + sign * part
    sums = np.bincount(ready.psu, w * z, minlength=UNITS).reshape(STRATA, PSUS_PER_STRATUM)
    spread = sums - sums.mean(axis=1, keepdims=True)
    return np.array([mean, np.sqrt((spread**2).sum() * PSUS_PER_STRATUM / (PSUS_PER_STRATUM - 1))])


def entropy(ready: Ready) -> Floats:
    """Return the weighted mean of the others that are given the participants' means."""
    own = ready.t == 0
    target = ready.w[~own] @ ready.x[~own, 1:] / ready.w[~own].sum()
    z, w = ready.x[own, 1:] - target, ready.w[own]
    dual = np.zeros(z.shape[1])
    for _ in range(30):
        v = w * np.exp(z @ dual)
        gradient = z.T @ v
        step = np.linalg.solve(_gram(z, v), gradient)
        dual = dual - step
        if np.abs(step).max() < 1e-10:
            break
    return np.array([v @ ready.y[own] / v.sum()])


def _free(leads: list[int], place: int) -> int:
    while leads[place] != place:
        leads[place] = leads[leads[place]]
        place = leads[place]
    return place


def nearest(ready: Ready) -> Floats:
    """Return the mean difference of pairs: each participant, largest score first, gets the nearest of those left."""
    g, _ = _logit(ready.x, np.ones(len(ready.w)), ready.t)
    score = _expit(ready.x @ g)
    others, members = np.flatnonzero(ready.t == 0), np.flatnonzero(ready.t == 1)
    others = others[np.argsort(score[others], kind="stable")]
    members = members[np.argsort(-score[members], kind="stable")]
    ordered, n = score[others].tolist(), len(others)
    left, right = list(range(n + 1)), list(range(n + 1))  # left[i] leads to i - 1 if that is free, right[i] to i
    partner = []
    for value in score[members].tolist():
        place = bisect_left(ordered, value)
        below, above = _free(left, place) - 1, _free(right, place)
        if below < 0 and above == n:
            break
        take_above = below < 0 or (above < n and ordered[above] - value < value - ordered[below])
        chosen = above if take_above else below
        left[chosen + 1], right[chosen] = chosen, chosen + 1
        partner.append(chosen)
    matched = others[np.array(partner)]
    return np.array([ready.y[members[: len(partner)]].mean() - ready.y[matched].mean()])


def replicates(ready: Ready) -> Floats:
    """Return estimate and error from replicates that refit all models, each started from the full sample."""
    full, start = _means(ready, ready.w)
    each = np.array(
        [np.diff(_means(ready, ready.w * column[ready.psu], start)[0])[0] for column in ready.factors.T.copy()]
    )
    return np.array([full[1] - full[0], each.std(ddof=1)])


TASKS = {"aipw": aipw, "entropy": entropy, "nearest": nearest, "replicates": replicates}

if __name__ == "__main__":
    measure.run(prepare, TASKS)
