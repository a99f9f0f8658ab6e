"""Which waves of a survey a published number rests on: two numbers are of one quantity only where these agree."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from fractions import Fraction

from evaluation.releases.matching import Row

#: Columns that name the waves of a number: those of a mean over several, and the earlier one of a change.
_POOLED, _BEFORE = "waves_pooled", "wave_before"
_YEAR = re.compile(r"(?:19|20)\d\d")


def wave_weights(row: Row) -> dict[int, Fraction]:
    """Return what each wave counts in a number; empty where its row names no waves.

    A mean over three waves counts each a third; a change counts the earlier one -1 and its own year 1.
    """
    pooled = [int(year) for year in _YEAR.findall(row.line.get(_POOLED, ""))]
    if pooled:
        return dict.fromkeys(pooled, Fraction(1, len(pooled)))
    before = _YEAR.fullmatch(row.line.get(_BEFORE, "").strip())
    if before and _YEAR.fullmatch(row.period) and before[0] != row.period:
        return {int(before[0]): Fraction(-1), int(row.period): Fraction(1)}
    return {}


def rests_on_others(old: Row, new: Row, is_one_period: bool) -> bool:
    """Tell whether two numbers rest on waves that do not answer to each other.

    Of one period these must be the same waves; of two years the same ones counted from each number's own year.
    """
    first, second = wave_weights(old), wave_weights(new)
    if not first or not second:
        return False
    return first != second if is_one_period else _from_own(first, old) != _from_own(second, new)


def _from_own(weights: Mapping[int, Fraction], row: Row) -> dict[int, Fraction]:
    own = int(row.period) if _YEAR.fullmatch(row.period) else max(weights)
    return {wave - own: weight for wave, weight in weights.items()}


def shared_factor(old: Row, new: Row) -> float:
    """Return what waves in common make of the error of a difference, as a multiple of that without any.

    Waves count as independent of each other and as equally precise. Two changes that follow each other share a wave
    with opposite signs: 1.22, the root of 1.5. Numbers without a wave in common: 1.
    """
    first, second = wave_weights(old), wave_weights(new)
    if not first.keys() & second.keys():
        return 1.0
    waves = first.keys() | second.keys()
    joint = sum((second.get(wave, Fraction(0)) - first.get(wave, Fraction(0))) ** 2 for wave in waves)
    apart = sum(weight**2 for weight in (*first.values(), *second.values()))
    return math.sqrt(joint / apart)
