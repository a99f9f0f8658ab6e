"""Separation: covariates that tell some outcomes for certain, so that their coefficients run away."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from evaluation.errors import SeparationError
from evaluation.regression.families import Kind
from evaluation.regression.model import Model

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Beyond this the fitted log odds mean that a covariate separates the answers.
SEPARATION = 30.0
#: Up to this many different respondents, separation is proved by a linear programme; beyond, seen in the log odds.
MAXIMUM_ROWS = 20_000


def refuse_separation(model: Model, kind: Kind, coefficients: Floats) -> None:
    """Raise a SeparationError where coefficients run away because a covariate tells some outcomes for certain."""
    if kind.family not in ("binomial", "poisson"):
        return
    x, y = model.x[model.used], model.y[model.used]
    certain = (y == 0) | (y == 1) if kind.family == "binomial" else y == 0
    rows = np.where(y == 0, -1.0, 1.0)[:, None] * x
    far = bool(np.abs(model.matrix.times(coefficients)[model.used]).max() > SEPARATION)
    what = "the outcome's levels" if kind.family == "binomial" else "zeros from other counts"
    refuse_direction(rows, certain, far, coefficients, model.terms, what)


def refuse_direction(
    rows: Floats, certain: Mask, far: bool, coefficients: Floats, terms: Sequence[str], what: str
) -> None:
    """Raise a SeparationError where a likelihood rises for ever.

    Parameters
    ----------
    rows : ndarray, shape (m, k)
        Directions in which a respondent's outcome becomes certain, times the coefficients.
    certain : ndarray of bool, shape (m,)
        False where the outcome can become no more certain, whatever the direction.
    far : bool
        Whether the coefficients are further out than estimates ever are.
    coefficients : ndarray, shape (k,)
        Where they have run so far.
    terms : sequence of str
        Names of the k coefficients.
    what : str
        What is separated, for the message.
    """
    distinct, certain = _distinct(rows, certain)
    direction = separating_direction(distinct, certain) if len(distinct) <= MAXIMUM_ROWS else None
    if direction is None and not far:
        return
    running = coefficients if direction is None else direction
    reach = np.abs(running) * np.where(np.ptp(rows, axis=0) > 0, np.abs(rows).max(axis=0), 0.0)
    reach[[term == "(Intercept)" for term in terms]] *= 1e-6
    told = "(or nearly)" if direction is None else ""
    raise SeparationError(
        f"'{terms[int(np.argmax(reach))]}' separates {what}{' ' if told else ''}{told}: its coefficient runs away, and "
        f"no estimate exists. Merge its levels, or leave it out."
    )


def separating_direction(rows: Floats, certain: Mask) -> Floats | None:
    """Return coefficients along which no respondent's outcome becomes less likely and some become certain, shape (k,).

    Notes
    -----
    The linear programme maximises :math:`\\sum_i r_i'd` subject to :math:`0 \\le r_i'd \\le 1`, with
    :math:`r_i'd = 0` where the outcome cannot become certain.

    References
    ----------
    Albert and Anderson (1984), Biometrika 71, 1-10; Correia, Guimarães and Zylkin (2021), arXiv 1903.01633.

    Examples
    --------
    >>> separating_direction(np.array([[-1.0, 0.0], [1.0, 1.0], [1.0, 2.0]]), np.ones(3, dtype=bool)) is None
    False
    >>> separating_direction(np.array([[-1.0], [1.0]]), np.ones(2, dtype=bool)) is None
    True
    """
    if not certain.any():
        return None
    size = np.abs(rows).max(axis=0)
    scaled = rows / np.where(size > 0, size, 1.0)
    free, bound = scaled[certain], scaled[~certain]
    found = optimize.linprog(
        -free.sum(axis=0),
        A_ub=np.vstack([free, -free]),
        b_ub=np.concatenate([np.ones(len(free)), np.zeros(len(free))]),
        A_eq=bound if len(bound) else None,
        b_eq=np.zeros(len(bound)) if len(bound) else None,
        bounds=(None, None),
    )
    if found.x is None or free.sum(axis=0) @ found.x < 0.5:
        return None
    return np.asarray(found.x / np.where(size > 0, size, 1.0))


def _distinct(rows: Floats, certain: Mask) -> tuple[Floats, Mask]:
    marked = np.unique(np.column_stack([rows, certain]), axis=0)
    return marked[:, :-1], marked[:, -1].astype(bool)
