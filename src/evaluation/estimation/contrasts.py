"""Contrasts: linear combinations of any numbers of one design, with their covariance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from evaluation.errors import EstimationError, did_you_mean
from evaluation.results import Estimates


def contrast(results: Estimates | Sequence[Estimates], contrasts: Mapping[str, Mapping[str, float]]) -> Estimates:
    """Estimate linear combinations of estimates of one design.

    Parameters
    ----------
    results : Estimates or list of Estimates
        Made from the same design, so that their covariance is known.
    contrasts : mapping of label to mapping of row to coefficient
        Rows are named as in ``Estimates.addresses()``, e.g. ``{"gap": {"y | group=a": 1, "y | group=b": -1}}``.

    Returns
    -------
    Estimates
        One row per contrast. Its degrees of freedom are the smallest of the rows it combines.

    Raises
    ------
    EstimationError
        An unknown row, results of different designs, or results without an influence function.

    Notes
    -----
    The variance is that of the combined influence, so what two groups share (PSUs, calibration) is
    counted once; it is not the sum of two variances.

    References
    ----------
    R twin: ``survey::svycontrast``.

    Examples
    --------
    >>> from evaluation.design.design import survey_design
    >>> from evaluation.estimation.means import survey_mean
    >>> respondents = pd.DataFrame({"y": [1.0, 3.0, 4.0, 8.0], "group": ["a", "a", "b", "b"]})
    >>> means = survey_mean(survey_design(respondents), "y", by="group")
    >>> contrast(means, {"b - a": {"y | group=b": 1, "y | group=a": -1}}).estimate.tolist()
    [4.0]
    """
    parts = [results] if isinstance(results, Estimates) else list(results)
    _refuse_unjoinable(parts)
    addresses = [address for part in parts for address in part.addresses()]
    matrix = np.zeros((len(contrasts), len(addresses)))
    for row, (label, coefficients) in enumerate(contrasts.items()):
        for address, coefficient in coefficients.items():
            if address not in addresses:
                raise EstimationError(f"contrast '{label}': no row '{address}'. {did_you_mean(address, addresses)}")
            matrix[row, addresses.index(address)] = coefficient
    contributions = np.hstack([part.contributions for part in parts if part.contributions is not None]) @ matrix.T
    used = matrix != 0
    df = np.concatenate([part.df for part in parts])
    n_obs = np.concatenate([part.n_obs for part in parts])
    first = parts[0]
    makers = [part.influence_of for part in parts if part.influence_of is not None]
    return Estimates(
        verb="contrast",
        keys=pd.DataFrame({"term": list(contrasts)}),
        estimate=matrix @ np.concatenate([part.estimate for part in parts]),
        vcov=first.engine.covariance(contributions) if first.engine is not None else np.empty((0, 0)),
        df=np.array([df[row].min() for row in used]),
        n_obs=np.array([n_obs[row].sum() for row in used]),
        provenance=first.provenance,
        engine=first.engine,
        contributions=contributions,
        influence_of=(lambda: np.hstack([make() for make in makers]) @ matrix.T) if len(makers) == len(parts) else None,
        conf_level=first.conf_level,
    )


def _refuse_unjoinable(parts: Sequence[Estimates]) -> None:
    for part in parts:
        if part.contributions is None or part.engine is None:
            raise EstimationError(
                f"{part.verb} has no influence function ({part.variance_method}), so its covariance with other numbers "
                f"is not known. Contrast means, shares, ratios or coefficients instead."
            )
    shapes = {(len(part.contributions), part.variance_method) for part in parts if part.contributions is not None}
    if len(shapes) > 1 or len({part.provenance.survey for part in parts}) > 1:
        raise EstimationError("the results come from different designs, so their covariance is not known.")
