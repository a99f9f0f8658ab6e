"""Separation: covariates that tell some outcomes for certain, so that their coefficients run away."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evaluation.errors import IdentificationError
from evaluation.regression.families import Kind
from evaluation.regression.model import Model

Floats = NDArray[np.float64]

#: Beyond this the fitted log odds mean that a covariate separates the answers.
SEPARATION = 30.0


def refuse_separation(
    model: Model, weights: Floats | None, coefficients: Floats, move: Floats | None, kind: Kind
) -> None:
    """Raise an IdentificationError where coefficients run away because a covariate tells some outcomes for certain."""
    if kind.family not in ("binomial", "poisson"):
        return
    if np.abs(model.matrix.times(coefficients)[model.used]).max() > SEPARATION:
        x = model.x[model.used]
        reach = np.abs(coefficients) * np.ptp(x, axis=0)
        term = model.terms[int(np.argmax(reach))]
        raise IdentificationError(
            f"'{term}' separates the outcome's levels (or nearly): its coefficient runs away, and no estimate exists. "
            f"Merge its levels, or leave it out."
        )
