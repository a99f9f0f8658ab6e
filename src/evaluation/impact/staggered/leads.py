"""Effects before treatment, which should be zero, and bands that hold a whole event study at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from evaluation.errors import EstimationError
from evaluation.results import Estimates, TestResult

Codes = NDArray[np.int64]


def pretrend_test(effects: Estimates) -> TestResult:
    """Test whether all effects before treatment are zero.

    Parameters
    ----------
    effects : Estimates
        From ``ev.att_gt``, ``ev.event_study`` or ``ev.aggregate(type="dynamic")``; reference periods do not count.

    Returns
    -------
    TestResult

    Raises
    ------
    EstimationError
        There is no lead, a lead has no error, or there are more leads than degrees of freedom.

    Notes
    -----
    With q leads, Wald statistic W and d degrees of freedom, :math:`F = W (d - q + 1) / (d q)` on q and d - q + 1.
    A high p-value does not show parallel trends: it may lack power.

    References
    ----------
    Korn and Graubard (1990), The American Statistician 44, 270-276. R twin: ``Wpval`` of ``did::att_gt``, W against
    chi-squared.
    """
    if not isinstance(effects, Estimates) or "anticipation" not in effects.fit:
        raise EstimationError(
            f"pretrend_test needs group-time effects or an event study, got {effects.__class__.__name__}."
        )
    leads = _leads(effects)
    rows = effects.take(leads)
    q, df = len(leads), float(rows.df.min(initial=np.inf))
    if q == 0:
        raise EstimationError("pretrend_test: there is no effect before treatment. The data begin too late for leads.")
    if np.isnan(rows.vcov).any():
        raise EstimationError(
            "pretrend_test: a lead has no error, because it does not exist without some cluster. Pass "
            "supported_only=True to ev.aggregate, or vcov='design' to ev.att_gt."
        )
    if q > df:
        raise EstimationError(
            f"pretrend_test: {q} leads cannot be tested on {df:g} degrees of freedom. Test the leads of the event "
            f"study, or fewer of them with min_e."
        )
    wald = float(rows.estimate @ np.linalg.solve(rows.vcov, rows.estimate))
    statistic, ddf = wald * (df - q + 1) / (df * q), df - q + 1
    return TestResult(
        test="Wald test of the leads",
        hypothesis="no effect before treatment",
        statistic=statistic,
        ndf=float(q),
        ddf=ddf,
        p_value=float(stats.f.sf(statistic, q, ddf)),
        n_obs=int(rows.n_obs.max()),
        provenance=effects.provenance,
    )


def _leads(effects: Estimates) -> Codes:
    keys, early = effects.keys, -float(effects.fit["anticipation"])
    if "event_time" in keys:
        since = pd.to_numeric(keys["event_time"], errors="coerce").to_numpy(dtype=float)
    elif {"cohort", "time"} <= set(keys):
        since = keys["time"].to_numpy(dtype=float) - keys["cohort"].to_numpy(dtype=float)
    else:
        raise EstimationError("pretrend_test: sums by cohort or by time hold no leads. Use type='dynamic'.")
    return np.flatnonzero((since < early) & ~(np.diag(effects.vcov) == 0))


def simultaneous_bands(effects: Estimates, *, seed: int, draws: int = 20_000) -> Estimates:
    """Add bands that hold all rows at once with the confidence of the result.

    Parameters
    ----------
    effects : Estimates
        From ``ev.att_gt``, ``ev.event_study`` or ``ev.aggregate``; the overall row stands outside.
    seed : int
        Of the draws.
    draws : int, default 20,000
        Their number.

    Returns
    -------
    Estimates
        With columns ``band_low`` and ``band_high``, and the multiplier in ``fit["band_critical_value"]``.

    Raises
    ------
    EstimationError
        No row has an error, or fewer than 100 draws.

    Notes
    -----
    Quantile of the largest absolute t of a multivariate t with the rows' correlation and smallest degrees of freedom.

    References
    ----------
    Montiel Olea and Plagborg-Møller (2019), Journal of Applied Econometrics 34, 1-17.
    """
    if not isinstance(effects, Estimates):
        raise EstimationError(f"simultaneous_bands needs estimates, got {effects.__class__.__name__}.")
    if draws < 100:
        raise EstimationError(f"simultaneous_bands: at least 100 draws are needed, got {draws}.")
    error = effects.std_error
    rows = np.flatnonzero((error > 0) & (effects.keys["term"] != "overall").to_numpy())
    if not len(rows):
        raise EstimationError("simultaneous_bands: no row but the overall has a standard error.")
    correlation = effects.vcov[np.ix_(rows, rows)] / np.outer(error[rows], error[rows])
    size, direction = np.linalg.eigh(correlation)
    rng = np.random.default_rng(seed)
    drawn = rng.standard_normal((draws, len(rows))) @ (direction * np.sqrt(np.clip(size, 0, None))).T
    df = float(effects.df[rows].min())
    if np.isfinite(df):
        drawn /= np.sqrt(rng.chisquare(df, draws) / df)[:, None]
    critical = float(np.quantile(np.abs(drawn).max(axis=1), effects.conf_level))
    half = np.full(len(effects), np.nan)
    half[rows] = critical * error[rows]
    bands = {"band_low": effects.estimate - half, "band_high": effects.estimate + half}
    return replace(
        effects,
        columns={**effects.columns, **bands},
        fit={**effects.fit, "band_critical_value": critical, "band_draws": draws, "band_seed": seed},
    )
