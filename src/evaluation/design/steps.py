"""What a weighting step must offer so that the variance knows it and replicates can repeat it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from evaluation.design.collapse import Codes, Floats
from evaluation.design.columns import Columns


@dataclass(frozen=True, eq=False)
class Derivative:
    """Transposed derivative of output weights in input weights: a diagonal minus a matrix of low rank.

    With ``z`` the derivative of an estimate in the output weights, ``factor * z - left @ middle @ (right' z)`` is
    its derivative in the input weights.

    Attributes
    ----------
    factor : ndarray, shape (n,)
    left, right : tuple of Columns
        Side by side, matrices of shape (n, q) and (n, p).
    middle : ndarray, shape (q, p)
    outside : tuple of ndarray or None
        Beside each part of ``left``: the root of the covariance of its totals, where they are themselves estimates
        from another sample, shape (q of the part, r). Empty means that all totals are known.
    """

    factor: Floats
    left: tuple[Columns, ...] = ()
    right: tuple[Columns, ...] = ()
    middle: Floats | None = None
    outside: tuple[Floats | None, ...] = ()

    def pull_back(self, z: Floats) -> Floats:
        """Return the derivative in the input weights, shape (n, k), from that in the output weights."""
        result = self.factor[:, None] * z
        if self.middle is not None:
            coefficients = self.middle @ np.vstack([part.moments(z) for part in self.right])
            for part, own in zip(self.left, _parted(coefficients, self.left), strict=True):
                result -= part.times(own)
        return np.asarray(result)

    def after(self, earlier: Derivative) -> Derivative:
        """Return the derivative of two steps, this one being done after ``earlier``."""
        first, second = earlier, self
        if first.middle is None or second.middle is None:
            return Derivative(
                first.factor * second.factor,
                (*first.left, *(part.scaled(first.factor) for part in second.left)),
                (*(part.scaled(second.factor) for part in first.right), *second.right),
                second.middle if first.middle is None else first.middle,
                (*first.roots(), *second.roots()),
            )
        cross = np.vstack([np.hstack([mine.cross(theirs) for theirs in second.left]) for mine in first.right])
        corner = np.zeros((second.middle.shape[0], first.middle.shape[1]))
        return Derivative(
            first.factor * second.factor,
            (*first.left, *(part.scaled(first.factor) for part in second.left)),
            (*(part.scaled(second.factor) for part in first.right), *second.right),
            np.block([[first.middle, -first.middle @ cross @ second.middle], [corner, second.middle]]),
            (*first.roots(), *second.roots()),
        )

    def plus(self, other: Derivative) -> Derivative:
        """Return the sum of two derivatives of the same weights."""
        blocks = [part.middle for part in (self, other) if part.middle is not None]
        middle = blocks[0] if len(blocks) == 1 else None
        if len(blocks) == 2:
            one, two = blocks
            middle = np.block([[one, np.zeros((len(one), two.shape[1]))], [np.zeros((len(two), one.shape[1])), two]])
        return Derivative(
            self.factor + other.factor,
            (*self.left, *other.left),
            (*self.right, *other.right),
            middle,
            (*self.roots(), *other.roots()),
        )

    def roots(self) -> tuple[Floats | None, ...]:
        """Return ``outside`` with an entry for each part of ``left``."""
        return self.outside or (None,) * len(self.left)

    def sources(self) -> tuple[tuple[Floats, ...], Floats]:
        """Return the different roots of estimated totals, and how coefficients carry their errors, shape (r, q).

        Steps that use the same estimated totals share one source of error.
        """
        found: list[Floats] = []
        rows: list[Floats] = []
        start, width = 0, sum(part.width for part in self.left)
        for part, root in zip(self.left, self.roots(), strict=True):
            if root is not None:
                place = next((i for i, known in enumerate(found) if np.array_equal(known, root)), len(found))
                if place == len(found):
                    found.append(root)
                    rows.append(np.zeros((root.shape[1], width)))
                rows[place][:, start : start + part.width] += root.T
            start += part.width
        return tuple(found), np.vstack([np.zeros((0, width)), *rows])


def _parted(coefficients: Floats, parts: Sequence[Columns]) -> list[Floats]:
    return np.split(coefficients, np.cumsum([part.width for part in parts])[:-1])


class WeightingStep(Protocol):
    """One adjustment of the weights: it maps input weights of shape (n,) to output weights."""

    @property
    def verb(self) -> str:
        """Public verb that made the step."""
        ...

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The verb's arguments, as a study file would write them."""
        ...

    def replay(self, weights: Floats) -> Floats:
        """Repeat the step on other input weights, shape (n,)."""
        ...

    def derivative(self, weights_in: Floats, weights_out: Floats) -> Derivative:
        """Return how the output weights move with the input weights; all that the variance needs of a step."""
        ...

    def residualise(self, x: Floats, weights_in: Floats, weights_out: Floats) -> Floats:
        """Return weighted influence ``x`` of shape (n, k) as R survey treats it at this step."""
        ...


@runtime_checkable
class CellStep(Protocol):
    """A step that multiplies all weights of a cell by one factor, which depends on the cells' sums alone."""

    @property
    def cells(self) -> tuple[Codes, int]:
        """Cell of each respondent, shape (n,), and their number."""
        ...

    def replay_cells(self, masses: Floats) -> Floats:
        """Return the multipliers of cells for sums of input weights by cell, both of shape (R, n_cells)."""
        ...


@runtime_checkable
class HoldingStep(Protocol):
    """A step that holds some weights at a value of its own, whatever earlier steps made of them.

    Such a weight moves with nothing but how often its respondent was drawn: the multiplicity, which is one in the
    sample and a replicate's factor in a replicate.
    """

    def replay_multiplied(self, weights: Floats, multiplicity: Floats) -> Floats:
        """Repeat the step on the weights of a replicate and the multiplicity of each respondent, both shape (n,)."""
        ...

    def direct(self, weights_in: Floats, weights_out: Floats) -> Derivative | None:
        """Return how the output weights move with the multiplicities; None where they do not.

        ``derivative`` of the step is then with the multiplicities fixed.
        """
        ...


def replayed(step: WeightingStep, weights: Floats, multiplicity: Floats) -> Floats:
    """Repeat a step in a replicate.

    Parameters
    ----------
    step : WeightingStep
    weights : ndarray, shape (n,)
        The replicate's weights before the step.
    multiplicity : ndarray, shape (n,)
        What the replicate multiplies each design weight by.

    Returns
    -------
    ndarray, shape (n,)
    """
    return step.replay_multiplied(weights, multiplicity) if isinstance(step, HoldingStep) else step.replay(weights)


@dataclass(frozen=True, eq=False)
class AppliedStep:
    """A step with the weights before and after it, each of shape (n,)."""

    step: WeightingStep
    weights_in: Floats
    weights_out: Floats

    def arguments_text(self) -> str:
        """Return the step's arguments in one line, e.g. ``margins: stype, sch.wide; distance: raking``."""
        return "; ".join(f"{name}: {_argument(value)}" for name, value in self.step.arguments.items())


def _argument(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_argument(part)}" for name, part in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def chain_derivative(steps: Sequence[AppliedStep], weights: Floats) -> Derivative:
    """Return the derivative of the final weights per proportional change of each design weight.

    Parameters
    ----------
    steps : sequence of AppliedStep
        The chain, first step first.
    weights : ndarray, shape (n,)
        Design weights, before the first step.
    """
    whole = Derivative(weights)
    for applied in steps:
        step, before, after = applied.step, applied.weights_in, applied.weights_out
        whole = step.derivative(before, after).after(whole)
        direct = step.direct(before, after) if isinstance(step, HoldingStep) else None
        whole = whole if direct is None else whole.plus(direct)
    return whole


def residualised(z: Floats, steps: Sequence[AppliedStep], weights: Floats) -> Floats:
    """Carry influence through the chain in the order and with the weights of R survey: first step first, input weights.

    Equal to the derivative for a single linear step. Shapes as in :func:`chain_derivative`, ``z`` (n, k).
    """
    x = z * (steps[-1].weights_out if steps else weights)[:, None]
    for applied in steps:
        x = applied.step.residualise(x, applied.weights_in, applied.weights_out)
    return x
