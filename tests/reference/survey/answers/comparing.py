"""Our numbers against R's, leaf by leaf."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

ESTIMATE = 1e-8
ERROR = 1e-6
FLOOR = 1e-12
# Below this, p-values are compared by their logarithms.
SMALL = 1e-9
# What is known to the last digit but one; everything else is made of a variance, and known to less.
ESTIMATES = {
    *("estimate", "coef", "ratio", "variance", "matrix", "link", "quantile", "values", "deviance", "null_deviance"),
    *("weights", "sum", "sum_sq", "min", "max", "kish_deff", "scale", "rscale_first", "rscale_last", "nimp"),
    *("degf", "degf_full", "design_df", "df_residual", "dispersion", "table"),
}
# R's names of tests are words, not numbers.
WORDS = {"method"}


@dataclass(frozen=True)
class Difference:
    """One number: where it stands, ours, R's, and how far they are apart."""

    place: str
    ours: object
    expected: object
    relative: float
    tolerance: float

    @property
    def is_too_large(self):
        return not self.relative <= self.tolerance

    def __str__(self):
        return f"{self.place}: ours {self.ours!r}, R {self.expected!r} ({self.relative:.1e} > {self.tolerance:g})"


def differences(ours, expected, looser=0.0):
    """Return the difference at every leaf that R has; a leaf that is missing from ours is an infinite one."""
    mine, theirs = leaves(ours), leaves(expected)
    scales = _scales(theirs)
    return [
        _difference(place, mine.get(place), value, scales.get(place, value), looser)
        for place, value in theirs.items()
        if place[0] not in WORDS
    ]


def leaves(tree, place=()):
    """Return the numbers and words of a tree by their place in it; a list of one is what it holds."""
    if isinstance(tree, (pd.Series, pd.DataFrame, pd.Index)):
        tree = tree.to_numpy()
    if isinstance(tree, np.ndarray):
        tree = tree.tolist()
    if isinstance(tree, list) and len(tree) == 1:
        return leaves(tree[0], place)
    if isinstance(tree, dict) and "values" in tree and set(tree) <= {"rows", "cols", "values"}:
        return leaves(tree["values"], place)
    if isinstance(tree, (dict, list)):
        pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
        return {at: value for key, branch in pairs for at, value in leaves(branch, (*place, key)).items()}
    return {place or ("values",): tree}


def _scales(theirs):
    """Covariances are held against the standard errors of both, not against themselves."""
    covariances = [place for place in theirs if place[0] == "vcov" and len(place) == 3]
    variance = {row: theirs["vcov", row, column] for _, row, column in covariances if row == column}
    return {place: math.sqrt(abs(variance[place[1]] * variance[place[2]])) for place in covariances}


def tolerance_of(place):
    """Return what R's number at this place is good for."""
    if place[0] == "table":
        return ERROR if str(place[1]).startswith("se") else ESTIMATE
    return ESTIMATE if ESTIMATES.intersection(place[:2]) else ERROR


def _difference(place, ours, expected, scale, looser):
    tolerance = max(tolerance_of(place), looser)
    return Difference(".".join(map(str, place)), ours, expected, _relative(place, ours, expected, scale), tolerance)


def _relative(place, ours, expected, scale):
    if isinstance(expected, str) and expected != "Inf":
        return 0.0 if str(ours) == expected else math.inf
    if expected is None:
        return 0.0 if ours is None or math.isnan(ours) else math.inf
    if ours is None or isinstance(ours, str):
        return math.inf
    expected, ours = float(expected), float(ours)
    if place[0] == "p_value" and 0 < expected < SMALL and ours > 0:
        return abs(math.log(ours) - math.log(expected)) / abs(math.log(expected))
    if expected == ours or abs(expected - ours) <= FLOOR:
        return 0.0
    if not math.isfinite(expected) or not math.isfinite(ours):
        return math.inf
    return abs(ours - expected) / abs(float(scale)) if scale else math.inf
