"""Designs whose variance is carried by replicate weights, made here or given with the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.declaration import survey_design
from evaluation.design.design import Design, require_design
from evaluation.design.given import GivenKind, GivenSampling, ReplicateColumns, given_replicates
from evaluation.design.replicates import Kind, make_replicates
from evaluation.errors import DesignError
from evaluation.survey.reading import Survey


def as_replicates(
    design: Design,
    *,
    kind: Kind,
    replicates: int | None = None,
    seed: int | None = None,
    rho: float | None = None,
    mse: bool | None = None,
) -> Design:
    """Carry the variance by replicates instead of linearization.

    Parameters
    ----------
    design : Design
        Its whole weighting chain is repeated on every replicate, so it does not matter whether replicates are
        made before or after weighting.
    kind : {"JK1", "JKn", "BRR", "Fay", "SDR", "bootstrap", "preston"}
        - ``"JK1"``, ``"JKn"``: delete one PSU at a time, in designs without strata, or within strata.
        - ``"BRR"``: balanced half-samples of two PSUs per stratum; ``"Fay"``: the same with weights times
          ``2 - rho`` and ``rho`` instead of 2 and 0.
        - ``"SDR"``: successive differences of PSUs in the order of the data (systematic samples), as in the
          American Community Survey; the last PSU of a stratum is the first one's neighbour.
        - ``"bootstrap"``: Rao-Wu-Yue, n - 1 of n units drawn with replacement at every stage that bears variance.
        - ``"preston"``: half of the units drawn without replacement at every stage that bears variance.
    replicates : int, optional
        How many; needed for ``"bootstrap"`` and ``"preston"``. For ``"BRR"``, ``"Fay"`` and ``"SDR"`` the order of a
        Hadamard matrix; default the smallest that balances all strata (all PSUs for ``"SDR"``).
    seed : int, optional
        Needed where chance draws; the method's text repeats it.
    rho : float, optional
        Needed for ``"Fay"``, 0 to below 1.
    mse : bool, optional
        Take deviations from the full sample's estimate instead of the replicates' mean; default True for
        ``"SDR"``, else False.

    Returns
    -------
    Design

    Raises
    ------
    DesignError
        JK1 of a stratified design, half-samples of strata without two PSUs, a kind that resamples the first stage
        only where later ones bear variance, an argument that is missing or has no meaning for the kind, or a
        design that was given by replicates.

    Notes
    -----
    Finite populations enter every kind: the jackknife through the scale of a replicate, all others by drawing
    factors towards 1 by :math:`\\sqrt{1 - f}`. Scales are R's: (n - 1)/n for a jackknife, 1/R for half-samples
    (:math:`1/(R (1 - \\rho)^2)` for Fay's), 4/R for successive differences, 1/(R - 1) for the bootstraps.
    Replicates of a quantile are not consistent under a jackknife; ``survey_quantile`` inverts an interval instead.

    References
    ----------
    Wolter (2007), Introduction to Variance Estimation, chapters 3 and 4; Judkins (1990), Journal of Official
    Statistics 6, 223-239; Fay and Train (1995), Proceedings of the Section on Government Statistics, ASA; Rao, Wu
    and Yue (1992), Survey Methodology 18, 209-217; Preston (2009), Survey Methodology 35, 227-234. R twins:
    ``survey::as.svrepdesign``, ``svrep::as_bootstrap_design``. R refuses to make replicates after calibration, drops
    the finite population from half-samples, and has no factors for later stages but Preston's.

    Examples
    --------
    >>> import pandas as pd
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"w": [2.0, 2.0, 3.0, 3.0]})
    >>> as_replicates(survey_design(respondents, weights="w"), kind="JK1").engine.method
    'replicates (JK1)'
    >>> as_replicates(survey_design(respondents), kind="bootstrap", replicates=500, seed=1).engine.method
    'replicates (bootstrap, 500, seed 1)'
    """
    require_design(design, "as_replicates")
    if isinstance(design.sampling, GivenSampling):
        raise DesignError(
            "this design was given by replicate weights; they do not tell strata and PSUs, so no others can be made "
            "from it. Declare the sampling with ev.survey_design, if you know it."
        )
    if design.sources[0]:
        raise DesignError(
            "as_replicates: the weights were calibrated to totals that another sample estimated. Replicates repeat the "
            "calibration to fixed totals, so they would leave out the error of the estimated ones. Stay with "
            "linearization."
        )
    made = make_replicates(design.sampling, kind, replicates=replicates, seed=seed, rho=rho, mse=mse)
    return replace(design, replicates=made)


def replicate_design(
    data: Survey | pd.DataFrame,
    *,
    weights: str,
    replicate_weights: ReplicateColumns,
    kind: GivenKind,
    combined: bool = True,
    scale: float | None = None,
    rscales: Sequence[float] | NDArray[np.float64] | None = None,
    rho: float | None = None,
    mse: bool = False,
) -> Design:
    """Declare a design by the replicate weights that came with the data.

    Parameters
    ----------
    data : Survey or pandas.DataFrame
        One row per respondent.
    weights : str
        Column of the full sample's weights.
    replicate_weights : list of str, str, DataFrame or ndarray of shape (n, R)
        Columns of replicate weights; one string stands for all columns whose names start so (a prefix such as
        ``"brr_"``, or a regular expression such as ``"PWGTP[0-9]+"``), in the order of the data.
    kind : {"BRR", "Fay", "JK1", "JKn", "JK2", "bootstrap", "SDR", "ACS", "successive-difference", "other"}
        How they were made; it fixes the default of ``scale``.
    combined : bool, default True
        True where replicate weights contain the full sample's weight, False where they are factors of about 1.
    scale : float, optional
        Factor of the sum of squared deviations; default 1/R for BRR, :math:`1/(R (1 - \\rho)^2)` for Fay,
        (R - 1)/R for JK1, 1 for JKn and JK2, 1/(R - 1) for the bootstrap, 4/R for successive differences. Needed
        for ``"other"``.
    rscales : sequence of float, optional
        Factor of each replicate, default 1. Needed for ``"JKn"``.
    rho : float, optional
        Needed for ``"Fay"``.
    mse : bool, default False
        Take deviations from the full sample's estimate instead of the replicates' mean, as the documentation of
        most public files asks (the American Community Survey's does).

    Returns
    -------
    Design
        Degrees of freedom are the rank of the replicate weights less one, in a domain that of its rows.

    Raises
    ------
    ColumnError
        A column is absent or not numeric.
    DesignError
        Weights are missing, negative or not finite; rows or ``rscales`` do not match; ``combined`` contradicts the
        size of the replicate weights; a replicate is zero for everybody, or all are the same; ``rho``,
        ``scale`` or ``rscales`` are missing where they are needed.

    References
    ----------
    R twin: ``survey::svrepdesign``, with its defaults (there ``combined.weights``).

    Examples
    --------
    >>> respondents = pd.DataFrame({"w": [2.0, 2.0, 3.0], "rep1": [4.0, 0.0, 3.0], "rep2": [0.0, 4.0, 3.0]})
    >>> replicate_design(respondents, weights="w", replicate_weights="rep", kind="BRR")
    survey: data frame, n = 3
    sampling: 2 given replicates, 3 distinct rows of factors
    weights: w, sum 7
    variance: replicates (BRR, given, 2), degrees of freedom 1
    """
    if not isinstance(weights, str):
        raise DesignError(f"replicate_design: weights must name the full sample's weights, got {weights!r}.")
    plain = survey_design(data, weights=weights)
    given = given_replicates(
        plain.data,
        weights,
        replicate_weights,
        kind,
        combined=combined,
        scale=scale,
        rscales=rscales,
        rho=rho,
        mse=mse,
    )
    return replace(plain, sampling=given.engine.sampling, replicates=given)
