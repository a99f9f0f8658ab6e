"""Estimates made of weights or of other estimates: value and exact influence, whatever the function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.design import Design, each_replicate
from evaluation.design.variance import ReplicateEngine
from evaluation.errors import EstimationError
from evaluation.results import Estimates

Floats = NDArray[np.float64]
#: Of weights, shape (n,): estimates, shape (k,), and their derivative in each respondent's weight, shape (n, k).
OfWeights = Callable[[Floats], tuple[Floats, Floats]]
#: Of estimates, shape (q,), real or complex: further numbers, shape (k,).
OfEstimates = Callable[[NDArray[Any]], NDArray[Any]]

#: Imaginary step: its square vanishes beside one, so that no digit of a derivative is lost to a difference.
STEP = 1e-30


def estimates_of_weights(
    design: Design, evaluate: OfWeights, *, verb: str, keys: pd.DataFrame, n_obs: NDArray[np.int64], df: float
) -> Estimates:
    """Return estimates that are functions of the weights, with the covariance of the design.

    Parameters
    ----------
    design : Design
        Linearized, or with replicates, on each of which ``evaluate`` is repeated.
    evaluate : callable
        From weights, shape (n,), to estimates, shape (k,), and their derivative in the weights, shape (n, k).
    verb : str
        What the result is called.
    keys : pandas.DataFrame, k rows
    n_obs : ndarray of int, shape (k,)
    df : float
    """
    estimate, z = evaluate(design.domain_weights)
    if design.replicates is None:
        contributions = design.contributions(z)
    else:
        contributions = each_replicate(design, lambda weights: evaluate(weights)[0])
    return Estimates(
        verb=verb,
        keys=keys,
        estimate=estimate,
        vcov=design.engine.covariance(contributions),
        df=np.full(len(estimate), float(df)),
        n_obs=n_obs,
        provenance=design.provenance,
        engine=design.engine,
        contributions=contributions,
        influence_of=lambda: design.influence(z),
    )


def gradient(function: OfEstimates, at: Floats) -> Floats:
    """Return the derivatives of a function of several numbers, shape (k, q), by steps along the imaginary axis.

    Examples
    --------
    >>> gradient(lambda x: np.array([x[0] * x[1], np.log(x[1])]), np.array([3.0, 2.0])).tolist()
    [[2.0, 3.0], [0.0, 0.5]]
    """
    steps = at[None, :] + 1j * STEP * np.eye(len(at))
    return np.column_stack([np.imag(function(row)) / STEP for row in steps])


def smooth_function(rows: Estimates, function: OfEstimates, *, verb: str, keys: pd.DataFrame) -> Estimates:
    """Return numbers made of estimates of one design, with their joint covariance.

    Parameters
    ----------
    rows : Estimates
        q of them, with contributions.
    function : callable
        From the estimates, shape (q,), to k numbers, shape (k,); it must take complex numbers.
    verb : str
        What the result is called.
    keys : pandas.DataFrame, k rows

    Returns
    -------
    Estimates
        Row by row the smallest degrees of freedom and the most respondents of ``rows``; callers that know better
        replace them. With replicates the function is evaluated on each.

    Raises
    ------
    EstimationError
        The rows have no influence function.
    """
    engine, contributions, influence_of = rows.engine, rows.contributions, rows.influence_of
    if engine is None or contributions is None:
        raise EstimationError(f"{verb}: the results have no influence function, so their covariance is not known.")
    slopes = gradient(function, rows.estimate)
    if isinstance(engine, ReplicateEngine):
        made = np.vstack([np.real(function(line)) for line in np.asarray(contributions)])
    else:
        made = contributions @ slopes.T
    k = len(slopes)
    return Estimates(
        verb=verb,
        keys=keys,
        estimate=np.real(function(rows.estimate)),
        vcov=engine.covariance(made),
        df=np.full(k, rows.df.min()),
        n_obs=np.full(k, rows.n_obs.max()),
        provenance=rows.provenance,
        engine=engine,
        contributions=made,
        influence_of=None if influence_of is None else lambda: influence_of() @ slopes.T,
        conf_level=rows.conf_level,
    )
