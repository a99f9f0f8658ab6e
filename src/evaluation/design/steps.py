"""What a weighting step must offer so that the variance knows it and replicates can repeat it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class WeightingStep(Protocol):
    """One adjustment of the weights.

    A step maps input weights ``w`` of shape (n,) to output weights. With ``z`` the derivative of
    the final estimate in the output weights, ``pull_back`` returns its derivative in the input
    weights; that is all the variance needs of a step.
    """

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

    def pull_back(self, z: Floats, weights_in: Floats, weights_out: Floats) -> Floats:
        """Return the derivative in the input weights, shape (n, k), from that in the output weights."""
        ...

    def residualise(self, x: Floats, weights_in: Floats, weights_out: Floats) -> Floats:
        """Return weighted influence ``x`` of shape (n, k) as R survey treats it at this step."""
        ...


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
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def weighted_influence(z: Floats, steps: tuple[AppliedStep, ...], weights: Floats, linearization: str) -> Floats:
    """Carry influence back through the whole weighting chain.

    Parameters
    ----------
    z : ndarray, shape (n, k)
        Derivative of each estimate in the final weights.
    steps : tuple of AppliedStep
        The chain, first step first.
    weights : ndarray, shape (n,)
        Design weights, before the first step.
    linearization : {"exact", "r"}
        ``"exact"``: derivative of the estimate in the design weights, last step first, each with its
        own derivative weights. ``"r"``: the order and weights of R survey (first step first, input
        weights), equal for a single linear step.

    Returns
    -------
    ndarray, shape (n, k)
        Change of the estimate per proportional change of a respondent's design weight.
    """
    if linearization == "exact":
        for applied in reversed(steps):
            z = applied.step.pull_back(z, applied.weights_in, applied.weights_out)
        return z * weights[:, None]
    x = z * (steps[-1].weights_out if steps else weights)[:, None]
    for applied in steps:
        x = applied.step.residualise(x, applied.weights_in, applied.weights_out)
    return x
