"""Matched sets: quantile classes of a score, and the weights that pairs and sets give to their members."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evaluation.comparison.matching.nearest import Pairing
from evaluation.design.collapse import mass_by

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]
SurveyWeights = Literal["participant", "own"]
Target = Literal["ATT", "ATC", "ATE"]


def quantile_classes(score: Floats, of: Mask, used: Mask, number: int) -> tuple[Codes, Floats]:
    """Return the class of each respondent used, -1 elsewhere, and its bounds, shape (number + 1,).

    Parameters
    ----------
    score : ndarray, shape (n,)
    of : ndarray of bool, shape (n,)
        Those whose quantiles the bounds are (R's type 7). Who lies beyond them belongs to the nearest class.
    used : ndarray of bool, shape (n,)
    number : int
        Of classes.
    """
    bounds = np.quantile(score[of], np.linspace(0.0, 1.0, number + 1))
    classes = np.full(len(score), -1, dtype=np.int64)
    classes[used] = np.clip(np.searchsorted(bounds, score[used], side="right") - 1, 0, number - 1)
    return classes, bounds


def among(pairing: Pairing, counted: Mask) -> Pairing:
    """Return the pairs of which both count, with shares that sum to one for each member again."""
    kept = counted[pairing.focal] & counted[pairing.partner]
    if kept.all():
        return pairing
    focal, share = pairing.focal[kept], pairing.share[kept]
    mass = mass_by(focal, len(counted), share)
    return Pairing(focal, pairing.partner[kept], share / mass[focal], pairing.distance[kept])


def pair_weights(pairing: Pairing, weights: Floats, option: SurveyWeights) -> Floats:
    """Return survey weights times what pairs make of them, zero without a pair, shape (n,).

    Parameters
    ----------
    pairing : Pairing
    weights : ndarray, shape (n,)
        Survey weights.
    option : {"participant", "own"}
        Partners stand with the survey weight of those they are matched to, or with their own as often as they serve.
    """
    n = len(weights)
    served = mass_by(pairing.partner, n, pairing.share)
    if option == "participant":
        made = mass_by(pairing.partner, n, pairing.share * weights[pairing.focal])
    else:
        made = served * weights
    made[pairing.focal] = weights[pairing.focal]
    return made


def set_weights(
    sets: Codes, takes_part: Mask, weights: Floats, counted: Mask, target: Target, option: SurveyWeights
) -> Floats:
    """Return survey weights by which each group has the target's mass in every set, shape (n,).

    Parameters
    ----------
    sets : ndarray of int, shape (n,)
        Matched set of each respondent, -1 for none.
    takes_part, counted : ndarray of bool, shape (n,)
        Who participates, and who is to have a weight. Sets in which a group has nobody left get none.
    weights : ndarray, shape (n,)
        Survey weights.
    target : {"ATT", "ATC", "ATE"}
        Whose mass: of participants, of others, of both.
    option : {"participant", "own"}
        Within a set, members of the group that is brought to the target share its mass equally, or in proportion to
        their own weights. For "ATE" always the latter, since both groups are brought to it.
    """
    inside = counted & (sets >= 0)
    made = np.zeros(len(weights))
    if not inside.any():
        return made
    own, size = sets[inside], int(sets.max()) + 1
    part, w = takes_part[inside], weights[inside]
    mass = [mass_by(own, size, np.where(part == group, w, 0.0)) for group in (False, True)]
    number = [mass_by(own, size, (part == group).astype(float)) for group in (False, True)]
    aim = {"ATT": mass[1], "ATC": mass[0], "ATE": mass[0] + mass[1]}[target]
    aim = np.where((number[0] > 0) & (number[1] > 0), aim, 0.0)
    values = np.zeros(len(own))
    for group in (False, True):
        mine = part == group
        equal = option == "participant" and target == ("ATT" if not group else "ATC")
        base, total = (np.ones(len(own)), number[group]) if equal else (w, mass[group])
        values[mine] = (base * aim[own] / np.where(total > 0, total, 1.0)[own])[mine]
    made[inside] = values
    return made
