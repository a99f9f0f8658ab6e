"""Composition over time: every wave weighted to the mix of people of one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from evaluation.design.collapse import Codes, Floats, mass_by
from evaluation.design.columns import Columns
from evaluation.design.design import Design, require_design
from evaluation.design.steps import Derivative
from evaluation.errors import ColumnError, WeightingError, did_you_mean
from evaluation.regression.formula import variables_of
from evaluation.regression.model import model_of
from evaluation.weighting.cells import applied, as_written, groups_by
from evaluation.weighting.distances import Adjustment
from evaluation.weighting.newton import Equations, inverse, solve

VERB = "hold_composition"
#: Largest difference in means that may stay, in standard deviations.
IMBALANCE = 1e-8


@dataclass(frozen=True, eq=False)
class WaveComposition:
    """Weights with which each wave of each group has the covariate means of the group's reference wave.

    Attributes
    ----------
    asked, arguments : mapping
        The verb's arguments as given, and as a study file writes them.
    x : ndarray, shape (P, q)
        Covariates of each pattern that occurs in a cell, ordered by cell; the first column constant, the others
        centred, in standard deviations.
    terms : tuple of str, length q
    pattern : ndarray of int, shape (n,)
        Of each respondent, -1 who does not count.
    bounds : ndarray of int, shape (n_cells + 1,)
        Where the patterns of each cell, a group in a wave, start.
    names : tuple of str
        What each cell is called.
    reference : ndarray of int, shape (n_cells,)
        The cell whose means each has to meet; itself for those that stay.
    """

    asked: Mapping[str, Any]
    arguments: Mapping[str, Any]
    x: Floats
    terms: tuple[str, ...]
    pattern: Codes
    bounds: Codes
    names: tuple[str, ...]
    reference: Codes
    verb: str = VERB

    def _rows(self, cell: int) -> slice:
        return slice(int(self.bounds[cell]), int(self.bounds[cell + 1]))

    def _multipliers(self, weights: Floats) -> tuple[Floats, Floats]:
        """Return sums of weights and factors by pattern, both shape (P,)."""
        inside = self.pattern >= 0
        mass = mass_by(self.pattern[inside], len(self.x), weights[inside])
        factor = np.ones(len(self.x))
        for own in self._moved(mass):
            factor[self._rows(own)] = self._factor(mass, own, int(self.reference[own]))
        return mass, factor

    def _moved(self, mass: Floats) -> list[int]:
        """Return the cells that are not their own reference and have somebody with a weight."""
        return [own for own, wanted in enumerate(self.reference) if own != wanted and bool(mass[self._rows(own)].any())]

    def _factor(self, mass: Floats, own: int, wanted: int) -> Floats:
        rows, target = self._rows(own), self._rows(wanted)
        if not mass[target].any():
            raise WeightingError(f"{VERB}: nobody with a weight is in {self.names[wanted]}, whose mix is to be held.")
        there, weight, x = np.flatnonzero(mass[rows]), mass[rows], self.x[rows]
        totals = weight.sum() * (mass[target] @ self.x[target]) / mass[target].sum()
        columns = Columns(len(there), dense=tuple(np.ascontiguousarray(column) for column in x[there].T))
        found = solve(Equations(columns, weight[there], totals, Adjustment("raking")))
        factor = np.ones(len(weight))
        factor[there] = found.factor
        gap = np.abs((weight * factor) @ x - totals) / weight.sum()
        if not found.converged or gap.max() > IMBALANCE:
            raise self._unmet(weight @ x / weight.sum(), totals / weight.sum(), own, wanted, gap)
        return factor

    def _unmet(self, mean: Floats, target: Floats, own: int, wanted: int, gap: Floats) -> WeightingError:
        means = pd.DataFrame({"covariate": self.terms, "mean": mean, "wanted": target, "missed_by": gap})
        means = means.sort_values("missed_by", ascending=False, ignore_index=True)
        worst = ", ".join(f"'{name}'" for name in means["covariate"][:3])
        return WeightingError(
            f"{VERB}: no weights above zero give {self.names[own]} the mix of {self.names[wanted]}: {worst} cannot be "
            f"brought together (means in standard deviations are in the failures). Merge levels, leave a covariate "
            f"out, or hold the mix within fewer groups.",
            failures=means,
        )

    def replay(self, weights: Floats) -> Floats:
        """Hold the composition under other weights, shape (n,)."""
        factor = self._multipliers(weights)[1]
        inside = self.pattern >= 0
        out = np.array(weights, dtype=float)
        out[inside] *= factor[self.pattern[inside]]
        return out

    def derivative(self, weights_in: Floats, weights_out: Floats) -> Derivative:
        """Return how the output weights move with the input weights, directly and through the multipliers."""
        mass, factor = self._multipliers(weights_in)
        moved, q = self._moved(mass), self.x.shape[1]
        if not moved:
            return Derivative(np.ones(len(weights_in)))
        left, right = np.zeros((len(self.x), len(moved) * q)), np.zeros((len(self.x), len(moved) * q))
        middle = np.zeros((len(moved) * q,) * 2)
        for place, own in enumerate(moved):
            block = slice(place * q, (place + 1) * q)
            rows, others = self._rows(own), self._rows(int(self.reference[own]))
            mean = mass[others] @ self.x[others] / mass[others].sum()
            left[rows, block] = factor[rows, None] * self.x[rows] - mean
            left[others, block] = -mass[rows].sum() / mass[others].sum() * (self.x[others] - mean)
            right[rows, block] = self.x[rows]
            middle[block, block] = inverse(self.x[rows].T @ ((mass * factor)[rows, None] * self.x[rows]))
        inside = self.pattern >= 0
        code = np.where(inside, self.pattern, 0)
        return Derivative(
            np.where(inside, factor[code], 1.0),
            (Columns(len(code), code, left, scale=inside.astype(float)),),
            (Columns(len(code), code, right, scale=np.where(inside, weights_out, 0.0)),),
            middle,
        )

    def residualise(self, x: Floats, weights_in: Floats, weights_out: Floats) -> Floats:
        """R survey sees weights as given: weighted influence stays as it is."""
        return x


def hold_composition(
    design: Design,
    *,
    time: str,
    to: float,
    covariates: str | Sequence[str],
    within: str | Sequence[str] | None = None,
) -> Design:
    """Give every wave the mix of people of one wave, so that what changes over time is not who was asked.

    Parameters
    ----------
    design : Design
        Any design of several waves without negative weights.
    time : str
        Column of the waves.
    to : float
        The wave whose mix is held, as a rule the last before the policy.
    covariates : str or list of str
        Columns, or a one-sided formula, that the policy cannot move; text becomes levels. Their means are held.
    within : str or list of str, optional
        Groups in each of which the mix is held to its own in that wave, e.g. the cohort. Default: everybody together.

    Returns
    -------
    Design
        Every wave of every group keeps its sum of weights.

    Raises
    ------
    ColumnError
        A column is absent, or missing for somebody with a weight.
    WeightingError
        The wave does not exist, a group is not in it, weights are negative, or a mix cannot be reached.

    Notes
    -----
    In each group and wave the weights are multiplied by :math:`e^{x'\\lambda}` such that the weighted mean of x is that
    of the group in wave ``to``: entropy balancing. The variance knows that this mean is itself estimated; replicates
    balance again. Group-time effects of repeated cross-sections assume a stable mix of covariates: on the design
    after this step the assumption holds for these covariates by construction.

    References
    ----------
    Hainmueller (2012), Political Analysis 20, 25-46; Hong (2013), Journal of Applied Econometrics 28, 297-324
    (compositional change in difference-in-differences).

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> answers = pd.DataFrame({"year": [1, 1, 1, 1, 2, 2, 2, 2], "old": [0, 0, 1, 1, 0, 1, 1, 1]})
    >>> hold_composition(survey_design(answers), time="year", to=1, covariates=["old"]).weights.round(3).tolist()
    [1.0, 1.0, 1.0, 1.0, 2.0, 0.667, 0.667, 0.667]
    """
    require_design(design, VERB)
    design.require_no_negative_weights(VERB)
    asked = {"time": time, "to": to, "covariates": covariates, "within": within}
    counted = design.weights != 0
    for name in (time, *variables_of(covariates)):
        _refuse_missing(design, name, counted)
    if not isinstance(to, (str, int, float, np.generic)):
        raise WeightingError(f"{VERB}: to must be one wave of '{time}', got {type(to).__name__}. Write to=2015.")
    waves, groups = groups_by(design, time, counted, VERB), groups_by(design, within, counted, VERB)
    values = list(waves.keys[time])
    place = [row for row, value in enumerate(values) if value == to]
    if not place:
        raise WeightingError(f"{VERB}: no wave {to!r} in '{time}'. {did_you_mean(to, values)}")
    n_waves = len(values)
    cell = groups.code * n_waves + waves.code
    reference = np.arange(len(groups) * n_waves) // n_waves * n_waves + place[0]
    x, pattern, bounds, terms = _patterns(design, covariates, counted, cell, len(reference))
    by = bool(len(groups.keys.columns))
    names = tuple(
        f"{time} {values[row % n_waves]}" + (f", {groups.name(row // n_waves)}" if by else "")
        for row in range(len(reference))
    )
    step = WaveComposition(asked, as_written(**asked), x, terms, pattern, bounds, names, reference)
    return applied(design, step)


def _refuse_missing(design: Design, name: str, counted: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
    missing = design.column(name).isna().to_numpy() & counted
    if missing.any():
        raise ColumnError(
            f"{VERB}: '{name}' is missing for {int(missing.sum()):,} respondents with a weight. A mix can be held only "
            f"of what is known of everybody: give the missing a level of their own, or impute.",
            failures=design.data.loc[missing],
        )


def _patterns(
    design: Design,
    covariates: str | Sequence[str],
    counted: np.ndarray[Any, np.dtype[np.bool_]],
    cell: Codes,
    n_cells: int,
) -> tuple[Floats, Codes, Codes, tuple[str, ...]]:
    """Return the different rows of cell and covariates, each respondent's, where each cell starts, and the terms."""
    model = model_of(design, np.zeros(len(design)), VERB, covariates, among=counted)
    own, weight = model.x[counted], design.weights[counted]
    numeric = [j for j in range(own.shape[1]) if np.ptp(own[:, j]) > 0]
    centred = own[:, numeric] - weight @ own[:, numeric] / weight.sum()
    centred /= np.sqrt(weight @ centred**2 / weight.sum())
    rows, code = np.unique(np.column_stack([cell[counted], centred]), axis=0, return_inverse=True)
    pattern = np.full(len(design), -1, dtype=np.int64)
    pattern[counted] = code.ravel()
    bounds = np.searchsorted(rows[:, 0], np.arange(n_cells + 1))
    terms = ("(Intercept)", *(model.terms[j] for j in numeric))
    return np.column_stack([np.ones(len(rows)), rows[:, 1:]]), pattern, bounds, terms
