"""Raking and post-stratification: weights that reproduce population counts.

Both work on cells, the crossing of all margins: respondents in one cell share one factor, so the
iteration and the variance need only sums by cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.collapse import crossed, mass_by, sum_by
from evaluation.design.columns import Columns
from evaluation.design.design import Design, require_design
from evaluation.design.steps import Derivative
from evaluation.errors import CalibrationError, MarginError, WeightingError
from evaluation.survey.margins import Margins
from evaluation.survey.margins import margins as make_margins
from evaluation.survey.values import distinct
from evaluation.weighting.feasibility import explain_infeasible

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Margins are met to this relative precision.
TOLERANCE = 1e-12
MAXIMUM_CYCLES = 10_000
#: Cycles after which replicates are raked one by one.
JOINT_CYCLES = 500
#: Projection cycles with which R survey carries raking into its variance.
R_CYCLES = 10


@dataclass(frozen=True, eq=False)
class MarginCodes:
    """One margin on the sample: level of each respondent (n,), target of each level (L,)."""

    name: str
    codes: Codes
    targets: Floats
    levels: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class RakingStep:
    """Weights multiplied by one factor per level of each margin until every margin is met.

    With one margin this is post-stratification, done in one pass.
    """

    verb: Literal["rake", "poststratify"]
    margins: tuple[MarginCodes, ...]
    asked: Mapping[str, Any] = field(default_factory=dict)

    @property
    def arguments(self) -> Mapping[str, Any]:
        """Names of the margins."""
        return {"margins": [margin.name for margin in self.margins]}

    @cached_property
    def _crossing(self) -> tuple[Codes, NDArray[np.int64]]:
        return crossed([margin.codes for margin in self.margins], [len(margin.targets) for margin in self.margins])

    @property
    def cells(self) -> tuple[Codes, int]:
        """Crossing of all margins: cell of each respondent, and their number."""
        cell, levels = self._crossing
        return cell, len(levels)

    @cached_property
    def auxiliaries(self) -> Columns:
        """Indicators of every level of every margin."""
        cell, levels = self._crossing
        table = np.hstack([np.eye(len(m.targets))[levels[:, j]] for j, m in enumerate(self.margins)])
        return Columns(len(cell), cell, table)

    def replay(self, weights: Floats) -> Floats:
        """Rake other weights, shape (n,), to the same margins."""
        cell, levels = self._crossing
        sums = mass_by(cell, len(levels), weights)
        return weights * rake_cells(sums, levels, self.margins)[cell]

    def replay_cells(self, masses: Floats) -> Floats:
        """Return the factor of each cell for several sums of weights by cell, both of shape (R, n_cells)."""
        return rake_many(masses, self._crossing[1], self.margins)

    def derivative(self, weights_in: Floats, weights_out: Floats) -> Derivative:
        """Residualise on the margins with the output weights, times the adjustment factor."""
        x, factor = self.auxiliaries, adjustment_factor(weights_in, weights_out)
        inverse = np.asarray(np.linalg.pinv(x.gram(weights_out), hermitian=True), dtype=np.float64)
        return Derivative(factor, (x.scaled(factor),), (x.scaled(weights_out),), inverse)

    def residualise(self, x: Floats, weights_in: Floats, weights_out: Floats) -> Floats:
        """Remove margin means from weighted influence the way R survey does."""
        if self.verb == "poststratify":
            return x - weights_out[:, None] * self._means(_ratio(x, weights_out), self.margins[0], weights_in)
        equal = np.ones(len(x))
        for _ in range(R_CYCLES):
            for margin in self.margins:
                x = x - weights_out[:, None] * self._means(_ratio(x, weights_out), margin, equal)
        return x

    @staticmethod
    def _means(values: Floats, margin: MarginCodes, weights: Floats) -> Floats:
        n_levels = len(margin.targets)
        sums = sum_by(margin.codes, n_levels, values * weights[:, None])
        mass = mass_by(margin.codes, n_levels, weights)
        return np.asarray((sums / mass[:, None])[margin.codes])


def _ratio(x: Floats, weights: Floats) -> Floats:
    return np.divide(x, weights[:, None], out=np.zeros_like(x), where=weights[:, None] != 0)


def adjustment_factor(weights_in: Floats, weights_out: Floats) -> Floats:
    """Return output over input weight, shape (n,); zero where the input weight is zero."""
    return np.divide(weights_out, weights_in, out=np.zeros_like(weights_out), where=weights_in != 0)


def rake_cells(sums: Floats, levels: NDArray[np.int64], margins: Sequence[MarginCodes]) -> Floats:
    """Return the factor of each cell that makes cell sums meet every margin.

    Parameters
    ----------
    sums : ndarray, shape (n_cells,)
        Sum of weights in each cell.
    levels : ndarray of int, shape (n_cells, M)
        Level of each cell in each margin.
    margins : sequence of MarginCodes
        The M margins with their targets.

    Returns
    -------
    ndarray, shape (n_cells,)

    Raises
    ------
    CalibrationError
        No factors exist that meet all margins; the message names those still off.

    References
    ----------
    Deming and Stephan (1940), Annals of Mathematical Statistics 11, 427-444. R twin: ``survey::rake``.
    """
    for j, margin in enumerate(margins):
        _refuse_empty_levels(mass_by(levels[:, j], len(margin.targets), sums), margin)
    current = sums.astype(float)
    for _ in range(MAXIMUM_CYCLES):
        off = 0.0
        for j, margin in enumerate(margins):
            reached = mass_by(levels[:, j], len(margin.targets), current)
            off = max(off, float(np.max(np.abs(reached - margin.targets) / margin.targets.sum())))
            factor = np.divide(margin.targets, reached, out=np.zeros_like(reached), where=reached > 0)
            current = current * factor[levels[:, j]]
        if off < TOLERANCE:
            return np.asarray(np.divide(current, sums, out=np.zeros_like(current), where=sums != 0))
    raise _unmet(sums, levels, margins)


def rake_many(masses: Floats, levels: NDArray[np.int64], margins: Sequence[MarginCodes]) -> Floats:
    """Return the factors of :func:`rake_cells` for each row of ``masses``, both of shape (R, n_cells).

    All rows are raked at once; one that has not settled after the cycles that suffice elsewhere is raked alone,
    so that its error says what is wrong.
    """
    indicators = [np.eye(len(margin.targets))[levels[:, j]] for j, margin in enumerate(margins)]
    current = masses.astype(float)
    for _ in range(JOINT_CYCLES):
        off = 0.0
        for margin, indicator in zip(margins, indicators, strict=True):
            reached = current @ indicator
            off = max(off, float(np.max(np.abs(reached - margin.targets) / margin.targets.sum())))
            factor = np.divide(margin.targets, reached, out=np.zeros_like(reached), where=reached > 0)
            current *= factor @ indicator.T
        if off < TOLERANCE:
            return np.asarray(np.divide(current, masses, out=np.zeros_like(current), where=masses != 0))
    return np.vstack([rake_cells(row, levels, margins) for row in masses])


def _refuse_empty_levels(reached: Floats, margin: MarginCodes) -> None:
    empty = (reached <= 0) & (margin.targets > 0)
    if empty.any():
        names = [margin.levels[i] for i in np.flatnonzero(empty)]
        raise MarginError(
            f"margin '{margin.name}': the respondents at level {names[0]!r} carry no weight, but the target is "
            f"{margin.targets[empty][0]:,g}. Merge the level with a similar one in the margins, or drop the margin."
        )


def _unmet(sums: Floats, levels: NDArray[np.int64], margins: Sequence[MarginCodes]) -> CalibrationError:
    """Explain margins that no weights of zero and above in these cells have."""
    indicators = np.hstack([np.eye(len(margin.targets))[levels[:, j]] for j, margin in enumerate(margins)])
    names = [f"{margin.name}={level}" for margin in margins for level in margin.levels]
    targets = np.concatenate([margin.targets for margin in margins])
    return explain_infeasible(indicators, sums, targets, names, (0.0, np.inf), verb="rake")


def as_margins(margins: Margins | Mapping[str, Any]) -> Margins:
    """Return margins as they are, or made from a mapping."""
    if isinstance(margins, Margins):
        return margins
    if not isinstance(margins, Mapping):
        raise MarginError(
            f"expected margins or a mapping of column to counts by level, got {_came(margins)}. "
            f"Write {{'sex': {{'f': 515000, 'm': 485000}}}}, or take ev.read_margins(...).select([...])."
        )
    return make_margins(margins)


def _came(margins: object) -> str:
    return "none" if margins is None else type(margins).__name__


def _refuse_look_alikes(column: pd.Series, margin: str) -> None:
    """Refuse text that differs in blanks only: a margin reads it as one level, ``by`` as two."""
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return
    levels = [level for level in distinct(column)[1] if isinstance(level, str)]
    padded = [level for level in levels if level != level.strip()]
    if padded:
        raise MarginError(
            f"margin '{margin}': column '{column.name}' has blanks around {padded[0]!r} in "
            f"{int(column.isin(padded).sum())} rows. Cut them off first: data['{column.name}'].str.strip().",
            failures=column[column.isin(padded)].to_frame(),
        )


def code_margins(
    design: Design, margins: Margins, *, counted: NDArray[np.bool_] | None = None
) -> tuple[MarginCodes, ...]:
    """Match all categorical margins to the respondents of a design; MarginError where levels differ.

    Totals that differ by the rounding of their parts are brought to the population size, so that all
    margins can be met exactly. Rows that are not ``counted`` (nonrespondents, whose weight is zero) need no value:
    they take that of the first who counts.
    """
    coded = []
    for name, counts in margins.categorical.items():
        columns = [_of_counted(design.column(column), counted) for column in margins.variables(name)]
        for column in columns:
            _refuse_look_alikes(column, name)
        codes, targets = margins.match(name, columns[0] if len(columns) == 1 else pd.concat(columns, axis=1))
        targets = targets * ((margins.population or targets.sum()) / targets.sum())
        coded.append(
            MarginCodes(name, codes, targets, tuple(str(level) for level, count in counts.items() if count > 0))
        )
    return tuple(coded)


def _of_counted(column: pd.Series, counted: NDArray[np.bool_] | None) -> pd.Series:
    if counted is None or counted.all() or not counted.any():
        return column
    place = np.where(counted, np.arange(len(column)), int(np.argmax(counted)))
    return pd.Series(column.array.take(place), index=column.index, name=column.name)


def rake(design: Design, margins: Margins | Mapping[str, Any]) -> Design:
    """Adjust the weights until the sample has the population's count at every level of every margin.

    Parameters
    ----------
    design : Design
        Weights are raked from what they are, never from 1.
    margins : Margins or mapping
        Categorical margins, e.g. ``{"stype": {"E": 4421, "H": 755, "M": 1018}}``; take a part of a
        survey's margins with ``margins.select([...])``. All share one grand total.

    Returns
    -------
    Design
        Margins are met to 1e-12 of the total; the variance knows the step.

    Raises
    ------
    MarginError
        A level stands on one side only, a column is incomplete, or totals differ.
    CalibrationError
        The margins cannot all be met in this sample.

    Notes
    -----
    :math:`w_i' = w_i \\exp(x_i'\\lambda)` with x the indicators of all levels. The exact variance
    residualises on x with the raked weights; ``linearization="r"`` repeats R's projections.

    References
    ----------
    Deville, Särndal and Sautory (1993), JASA 88, 1013-1020. R twin: ``survey::rake`` at full convergence.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"sex": ["f", "f", "m"], "area": ["a", "b", "b"]})
    >>> raked = rake(survey_design(respondents), {"sex": {"f": 6, "m": 4}, "area": {"a": 2, "b": 8}})
    >>> raked.weights.round(6).tolist()
    [2.0, 4.0, 4.0]
    """
    require_design(design, "rake")
    margins = as_margins(margins)
    if margins.totals.keys() - {"total"}:
        numeric = sorted(margins.totals.keys() - {"total"})
        raise WeightingError(
            f"rake adjusts to counts of levels, but {numeric} are numeric totals. Use ev.calibrate for them, "
            f"or margins.select([...]) to leave them out."
        )
    if not margins.categorical:
        raise WeightingError("rake needs at least one categorical margin; the margins given hold none.")
    return design.adjusted(
        RakingStep("rake", code_margins(design, margins, counted=design.weights != 0), {"margins": margins})
    )


def poststratify(design: Design, margins: Margins | Mapping[str, Any]) -> Design:
    """Adjust the weights to the population count of each post-stratum.

    Parameters
    ----------
    design : Design
        Any design.
    margins : Margins or mapping
        One categorical margin; a crossed one is named ``"a:b"`` and has levels ``"x:y"``.

    Returns
    -------
    Design

    Raises
    ------
    WeightingError
        Not exactly one categorical margin.
    MarginError
        A level stands on one side only, or the column is incomplete.

    References
    ----------
    Särndal, Swensson and Wretman (1992), section 7.6. R twin: ``survey::postStratify``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"sex": ["f", "f", "m"]})
    >>> poststratify(survey_design(respondents), {"sex": {"f": 6, "m": 4}}).weights.tolist()
    [3.0, 3.0, 4.0]
    """
    require_design(design, "poststratify")
    margins = as_margins(margins)
    if len(margins.categorical) != 1 or margins.totals.keys() - {"total"}:
        raise WeightingError(
            f"poststratify takes exactly one categorical margin, got {', '.join(margins.names) or 'none'}. "
            f"Choose one with margins.select([...]), or use ev.rake for several."
        )
    return design.adjusted(
        RakingStep("poststratify", code_margins(design, margins, counted=design.weights != 0), {"margins": margins})
    )
