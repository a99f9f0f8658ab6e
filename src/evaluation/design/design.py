"""The design: respondents, how they were drawn, and the weights with everything done to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation import wording
from evaluation.design.collapse import sum_by
from evaluation.design.replicates import Replicates
from evaluation.design.reweighting import IMPOSSIBLE, CellMultipliers, cell_multipliers, raise_of_jackknife
from evaluation.design.sampling import Sampling, require_column
from evaluation.design.steps import (
    AppliedStep,
    Derivative,
    WeightingStep,
    chain_derivative,
    replayed,
    residualised,
)
from evaluation.design.variance import ReplicateEngine, TaylorEngine
from evaluation.errors import DesignError, EstimationError, did_you_mean
from evaluation.results import Provenance, card_html

Floats = NDArray[np.float64]
Linearization = Literal["exact", "r"]

#: Influence columns carried through a weighting chain at once; bounds the memory of large tables.
BLOCK = 32


@dataclass(frozen=True, eq=False)
class Design:
    """Respondents with their sampling design and weights; every weighting verb returns a new one.

    Attributes
    ----------
    data : pandas.DataFrame, n rows
        One row per respondent.
    sampling : Sampling
        Coded stages.
    base_weights, weights : ndarray, shape (n,)
        Weights before the first and after the last step.
    steps : tuple of AppliedStep
        The weighting chain.
    inside : ndarray of bool, shape (n,), or None
        Rows of the domain under study; None means all.
    replicates : Replicates or None
        Replicate weights in factor form; None means linearization.
    linearization : {"exact", "r"}
        How the chain enters the variance.
    provenance : Provenance
        Survey, population and labels.
    """

    data: pd.DataFrame
    sampling: Sampling
    base_weights: Floats
    weights: Floats
    provenance: Provenance
    steps: tuple[AppliedStep, ...] = ()
    inside: NDArray[np.bool_] | None = None
    replicates: Replicates | None = None
    linearization: Linearization = "exact"

    def __len__(self) -> int:
        return len(self.data)

    @cached_property
    def present(self) -> NDArray[np.bool_]:
        """Rows that count: in the domain and with a weight other than zero, shape (n,)."""
        counted: NDArray[np.bool_] = self.weights != 0
        return counted if self.inside is None else counted & self.inside

    @cached_property
    def domain_weights(self) -> Floats:
        """Weights, zero outside the domain, shape (n,)."""
        return self.weights if self.inside is None else np.where(self.inside, self.weights, 0.0)

    @property
    def engine(self) -> TaylorEngine | ReplicateEngine:
        """What turns contributions into a covariance."""
        if self.replicates is not None:
            return self.replicates.engine
        return TaylorEngine(self.sampling, self.linearization, outside=self.sources[0])

    def degrees_of_freedom(self, present: NDArray[np.bool_] | None = None) -> int:
        """Return the design degrees of freedom of the rows in ``present`` (default: those that count)."""
        rows = self.present if present is None else present
        if self.replicates is not None:
            return self.replicates.degrees_of_freedom(rows)
        return self.sampling.degrees_of_freedom(rows)

    def column(self, name: str) -> pd.Series:
        """Return a column; a ColumnError names the nearest one where it does not exist."""
        require_column(self.data, name)
        return self.data[name]

    def require_no_negative_weights(self, verb: str) -> None:
        """Raise an EstimationError where weights that count are negative."""
        negative = self.present & (self.weights < 0)
        if negative.any():
            raise EstimationError(
                f"{verb} needs weights of zero and above, but {int(negative.sum())} respondents have negative ones: "
                f"linear calibration can do that. Calibrate with distance='raking' instead.",
                failures=self.data.loc[negative],
            )

    @cached_property
    def derivative(self) -> Derivative:
        """How the final weights move per proportional change of each design weight, through the whole chain."""
        return chain_derivative(self.steps, self.base_weights)

    @property
    def collapses(self) -> bool:
        """Whether sums per sampling unit can be carried through the chain instead of rows."""
        return self.linearization == "exact"

    def influence(self, z: Floats) -> Floats:
        """Return ``z``, derivative in the final weights, carried back through the chain, shape (n, k).

        The change of the estimate per proportional change of a respondent's design weight.
        """
        if self.collapses:
            return self.derivative.pull_back(z)
        return residualised(z, self.steps, self.base_weights)

    @cached_property
    def sources(self) -> tuple[tuple[Floats, ...], Floats]:
        """Roots of the covariance of totals that other samples estimated, and what coefficients carry of them."""
        if any(getattr(applied.step, "root", None) is not None for applied in self.steps):
            return self.derivative.sources()
        return (), np.zeros((0, 0))

    @property
    def n_contributions(self) -> int:
        """Rows of ``contributions``: the sampling units, then the errors of totals estimated by other samples."""
        return self.sampling.n_units + len(self.sources[1])

    @cached_property
    def chain_by_unit(self) -> Floats:
        """What the chain takes off each contribution per unit of its coefficients, shape (n_contributions, p)."""
        derivative, sampling = self.derivative, self.sampling
        if derivative.middle is None:
            return np.zeros((sampling.n_units, 0))
        sums = np.hstack([part.sums_by(sampling.unit, sampling.n_units) for part in derivative.left])
        sources, carried = self.sources
        return np.asarray((np.vstack([sums, -carried]) if sources else sums) @ derivative.middle)

    def contributions(self, z: Floats) -> Floats:
        """Return weighted influence summed per sampling unit, shape (n_contributions, k), some columns at a time."""
        sampling, n_units = self.sampling, self.sampling.n_units
        sums = np.zeros((self.n_contributions, z.shape[1]))
        for start in range(0, z.shape[1], BLOCK):
            block = slice(start, start + BLOCK)
            if self.collapses:
                sums[:n_units, block] = sum_by(sampling.unit, n_units, z[:, block] * self.derivative.factor[:, None])
                if self.steps and self.derivative.middle is not None:
                    sums[:, block] -= self.chain_by_unit @ self._moments(z[:, block])
                continue
            sums[:n_units, block] = sum_by(sampling.unit, n_units, self.influence(z[:, block]))
            if len(sums) > n_units:
                sums[n_units:, block] = -self.chain_by_unit[n_units:] @ self._moments(z[:, block])
        return sums

    def _moments(self, z: Floats) -> Floats:
        return np.vstack([part.moments(z) for part in self.derivative.right])

    @cached_property
    def replicate_cells(self) -> CellMultipliers | None:
        """The chain repeated on the cells of every replicate; None where a step needs rows, or there is no chain."""
        if self.replicates is None or not self.steps:
            return None
        return cell_multipliers(self.steps, self.base_weights, self.replicates)

    def replicate_weights(self) -> Iterator[Floats]:
        """Yield the weights of each replicate, shape (n,), the whole chain repeated on each; NaN where it cannot be."""
        if self.replicates is None:
            raise DesignError("this design has no replicates. Make them with ev.as_replicates(design, kind=...).")
        for r in range(self.replicates.count):
            multiplicity = self.replicates.row_factors(r)
            weights = self.base_weights * multiplicity
            if self.replicate_cells is not None:
                weights = weights * self.replicate_cells.multipliers[r][self.replicate_cells.code]
            else:
                try:
                    for applied in self.steps:
                        weights = replayed(applied.step, weights, multiplicity)
                except IMPOSSIBLE as error:
                    raise_of_jackknife(error, self.replicates.engine.kind, r, self.replicates.count)
                    weights = np.full(len(self), np.nan)
            yield weights if self.inside is None else np.where(self.inside, weights, 0.0)

    def adjusted(self, step: WeightingStep) -> Design:
        """Return the design after one more weighting step."""
        if self.inside is not None:
            raise DesignError(
                f"{step.verb} was asked of a domain; weights are adjusted for the whole sample. "
                f"Adjust first, then take the domain with ev.domain(design, ...)."
            )
        applied = AppliedStep(step, self.weights, step.replay(self.weights))
        changed = replace(self, weights=applied.weights_out, steps=(*self.steps, applied))
        return replace(changed, provenance=replace(self.provenance, weight=f"{self.provenance.weight} → {step.verb}"))

    @property
    def history(self) -> pd.DataFrame:
        """One row per step: arguments, sum, range, Kish design effect and effective sample size of the weights."""
        rows = [_weight_row("design weights", self.provenance.weight.split(" → ")[0], self.base_weights)]
        rows += [_weight_row(step.step.verb, step.arguments_text(), step.weights_out) for step in self.steps]
        return pd.DataFrame(rows)

    def chain(self) -> list[dict[str, dict[str, Any]]]:
        """Return the weighting chain as a study file writes it."""
        return [{applied.step.verb: dict(applied.step.arguments)} for applied in self.steps]

    def summary(self) -> str:
        """Return survey, sampling, weights and chain as text."""
        return "\n".join(f"{name}: {text}" for name, text in self._card())

    def _card(self) -> list[tuple[str, str]]:
        word, method = wording.term, wording.method_name(self.engine.method)
        lines = [
            (word("survey"), f"{wording.survey_id(self.provenance.survey)}, n = {int((self.weights != 0).sum()):,}"),
            (word("sampling"), self.sampling.text()),
            (
                word("weights"),
                f"{wording.weight_name(self.provenance.weight)}, {word('sum')} {_sum(self.weights)}",
            ),
            (word("variance"), f"{method}, {word('degrees_of_freedom')} {self.degrees_of_freedom()}"),
        ]
        if self.inside is not None:
            lines.append((word("domain"), self._domain_size()))
        return [
            *lines,
            *(
                (f"{word('step')} {number}", f"{word(applied.step.verb)} ({applied.arguments_text()})")
                for number, applied in enumerate(self.steps, start=1)
            ),
        ]

    def _domain_size(self) -> str:
        """Return how many are in the domain; neither a few, nor a number that the whole would leave a few of."""
        n, least = int(np.sum(self.inside if self.inside is not None else self.present)), self.provenance.min_cell
        if 0 < n < least:
            return f"n < {least}"
        whole = len(self)
        return f"n > {whole - least:,}" if 0 < whole - n < least else f"n = {n:,}"

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return card_html(self._card())


def _weight_row(step: str, arguments: str, weights: Floats) -> dict[str, Any]:
    counted = weights[weights != 0]
    deff = len(counted) * float((counted**2).sum()) / float(counted.sum()) ** 2
    return {
        "step": step,
        "arguments": arguments,
        "n": len(counted),
        "sum": float(weights.sum()),
        "minimum": float(counted.min()),
        "median": float(np.median(counted)),
        "maximum": float(counted.max()),
        "kish_deff": deff,
        "n_eff": len(counted) / deff,
    }


def require_design(design: object, verb: str) -> None:
    """Raise a DesignError unless a verb was given a design."""
    if not isinstance(design, Design):
        raise DesignError(
            f"{verb} needs a design, got {type(design).__name__}. Declare how respondents were drawn first: "
            f"ev.survey_design(data, weights=...)."
        )


def _sum(weights: Floats) -> str:
    total = float(weights.sum())
    return f"{total:,.6g}" if abs(total) < 1e6 else f"{total:,.0f}"


def _told(value: object) -> str:
    """Return how a message shows a wrong argument: functions and objects by their kind, which has no address."""
    return repr(value) if isinstance(value, (str, int, float, list, tuple, set, dict)) else f"a {type(value).__name__}"


def domain(design: Design, where: Mapping[str, Any]) -> Design:
    """Restrict estimation to a part of the population, keeping the whole design for the variance.

    Parameters
    ----------
    design : Design
        Any design; a domain of a domain is their intersection.
    where : mapping of column to value or values
        Respondents stay whose value is among those listed in every column.

    Returns
    -------
    Design

    Raises
    ------
    ColumnError
        A column does not exist.
    EstimationError
        No respondent is left.

    References
    ----------
    R twin: ``subset(design, ...)``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"w": [2.0, 2.0, 3.0, 3.0], "area": ["a", "a", "b", "b"]})
    >>> domain(survey_design(respondents, weights="w"), {"area": "b"}).present.sum()
    np.int64(2)
    """
    require_design(design, "domain")
    if not isinstance(where, Mapping):
        raise EstimationError(
            f"domain: where must be a mapping of column to values, got {_told(where)}. "
            f"Write {{'column': ['value', ...]}}."
        )
    if not where:
        raise EstimationError(
            "domain: where names no column, so the domain would be the whole sample. Write {'column': ['value', ...]}, "
            "or use the design itself."
        )
    inside = np.ones(len(design), dtype=bool) if design.inside is None else design.inside.copy()
    for name, wanted in where.items():
        column = design.column(name)
        several = isinstance(wanted, Iterable) and not isinstance(wanted, (str, bytes))
        values = list(wanted) if several else [wanted]
        if any(callable(value) for value in values):
            raise EstimationError(
                f"domain: expected values of {name}, got a function. Write the values, or put what it says into a "
                f"column of the data first."
            )
        if not values:
            raise EstimationError(f"domain: no value of {name} was given, so nobody would be in it.")
        unknown = [value for value in values if not (column == value).any()]
        if unknown:
            raise EstimationError(
                f"domain: no respondent has {name} = {unknown[0]!r}. "
                f"{did_you_mean(unknown[0], column.dropna().unique())}"
            )
        inside &= column.isin(values).to_numpy(dtype=bool)
    if not (inside & (design.weights != 0)).any():
        raise EstimationError(
            f"domain {dict(where)} holds no respondent whose weight is not zero: all {int(inside.sum())} in it weigh "
            f"nothing. Correct the weights, or widen the domain.",
            failures=design.data.loc[inside],
        )
    return replace(design, inside=inside)


def each_replicate(design: Design, estimate: Callable[[Floats], Floats]) -> Floats:
    """Return ``estimate(weights)`` of shape (k,) for every replicate and, last, for the full sample, shape (R + 1, k).

    The full sample's own row is what replicates with ``mse=True`` are centred at. A replicate that cannot be weighted
    (nobody of a level is in it), or in which no estimate exists, is a row of NaN: the engine leaves it out with a
    warning.
    """
    full = estimate(design.domain_weights)
    rows = []
    for weights in design.replicate_weights():
        missing = np.full_like(full, np.nan)
        try:
            rows.append(missing if np.isnan(weights).any() else estimate(weights))
        except EstimationError:
            rows.append(missing)
    return np.vstack([*rows, full])
