"""Effects before treatment, which should be zero, and bands that hold a whole event study at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from evaluation.errors import EstimationError
from evaluation.estimation.arguments import require_arguments
from evaluation.impact.clusters.jackknife import ClusterJackknife, ClusterSums
from evaluation.impact.clusters.multipliers import multipliers, number_of_draws
from evaluation.results import Estimates, TestResult

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Method = Literal["t", "multiplier"]
Weights = Literal["rademacher", "mammen", "webb"]

#: Draws of each method where no number is given.
DRAWS = {"t": 20_000, "multiplier": 999}


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


def simultaneous_bands(
    effects: Estimates,
    *,
    seed: int,
    method: Method = "t",
    weights: Weights = "rademacher",
    draws: int | None = None,
) -> Estimates:
    """Add bands that hold all rows at once with the confidence of the result.

    Parameters
    ----------
    effects : Estimates
        From ``ev.att_gt``, ``ev.event_study``, ``ev.aggregate`` or another estimator of effects; the overall row stands
        outside.
    seed : int
        Of the draws.
    method : {"t", "multiplier"}, default "t"
        ``t``: a multivariate t with the rows' correlation. ``multiplier``: every cluster's part in the estimates
        multiplied by a random weight, for errors by cluster only.
    weights : {"rademacher", "mammen", "webb"}, default "rademacher"
        Of the multipliers. Combinations of Rademacher or Webb weights are enumerated where there are no more of them
        than draws.
    draws : int, optional
        Their number: 20,000 of the t, 999 of multipliers where none is given.

    Returns
    -------
    Estimates
        With columns ``band_low`` and ``band_high``; ``fit`` names ``band_method``, the multiplier of the standard
        errors ``band_critical_value``, ``band_draws`` and ``band_seed``, of multipliers ``band_weights`` and
        ``band_enumerated`` too.

    Raises
    ------
    EstimationError
        No row has an error, too few draws, or multipliers of errors that are not by cluster.

    Notes
    -----
    ``t``: quantile of the largest absolute t with the smallest degrees of freedom of the rows. ``multiplier``: with
    :math:`\\psi_g` the influence summed over cluster g, or its leave-one-out deviation times
    :math:`\\sqrt{(G-1)/G}`, and weights of mean 0 and variance 1, the quantile of
    :math:`\\max_j |\\sum_g v_g \\psi_{gj}| / s_j`, where s is the standard error itself (R ``did`` takes the spread of
    the draws). The tail is that of the draws, without a factor for few clusters: with few of them the t is wider. A
    band is never narrower than the intervals: where the draws would have it so, t stands and
    ``fit["band_drawn_value"]`` keeps what was drawn.

    References
    ----------
    Montiel Olea and Plagborg-Møller (2019), Journal of Applied Econometrics 34, 1-17; Callaway and Sant'Anna (2021),
    Journal of Econometrics 225, algorithm 1. R twin: ``did::mboot``.
    """
    require_arguments(simultaneous_bands, locals())
    if not isinstance(effects, Estimates):
        raise EstimationError(f"simultaneous_bands needs estimates, got {effects.__class__.__name__}.")
    if method not in DRAWS:
        raise EstimationError(f"simultaneous_bands: method must be 't' or 'multiplier', got {method!r}.")
    number = DRAWS[method] if draws is None else draws
    if number < 100:
        raise EstimationError(f"simultaneous_bands: at least 100 draws are needed, got {draws}.")
    error = effects.std_error
    rows = np.flatnonzero((error > 0) & (effects.keys["term"] != "overall").to_numpy())
    if not len(rows):
        raise EstimationError("simultaneous_bands: no row but the overall has a standard error.")
    record: dict[str, object] = {"band_method": method}
    if method == "t":
        largest = _largest_t(effects, rows, number, seed)
    else:
        largest, enumerated = _largest_multiplied(effects, rows, number, seed, weights)
        record |= {"band_weights": weights, "band_enumerated": enumerated}
    critical = float(np.quantile(largest, effects.conf_level, method="linear" if method == "t" else "higher"))
    single = float(effects.critical_value[rows].max())
    record |= {"band_critical_value": max(critical, single), "band_draws": len(largest), "band_seed": seed}
    if critical < single:
        record["band_drawn_value"], critical = critical, single
    half = np.full(len(effects), np.nan)
    half[rows] = critical * error[rows]
    bands = {"band_low": effects.estimate - half, "band_high": effects.estimate + half}
    return replace(effects, columns={**effects.columns, **bands}, fit={**effects.fit, **record})


def _largest_t(effects: Estimates, rows: Codes, draws: int, seed: int) -> Floats:
    error = effects.std_error[rows]
    correlation = effects.vcov[np.ix_(rows, rows)] / np.outer(error, error)
    size, direction = np.linalg.eigh(correlation)
    rng = np.random.default_rng(seed)
    drawn = rng.standard_normal((draws, len(rows))) @ (direction * np.sqrt(np.clip(size, 0, None))).T
    df = float(effects.df[rows].min())
    if np.isfinite(df):
        drawn /= np.sqrt(rng.chisquare(df, draws) / df)[:, None]
    return np.asarray(np.abs(drawn).max(axis=1))


def _largest_multiplied(effects: Estimates, rows: Codes, draws: int, seed: int, weights: str) -> tuple[Floats, bool]:
    """Return the largest absolute t of every draw, shape (B,), and whether the draws are all there are."""
    engine, made = effects.engine, effects.contributions
    if not isinstance(engine, (ClusterSums, ClusterJackknife)) or made is None:
        raise EstimationError(
            "simultaneous_bands: multipliers are drawn per cluster, but these errors are not by cluster "
            f"({effects.variance_method}). Use method='t', or name cluster=... with vcov='cluster' or 'jackknife'."
        )
    parts = made[:, rows]
    if isinstance(engine, ClusterJackknife):
        centre = parts.mean(axis=0) if engine.centre == "mean" else 0.0
        parts = np.sqrt((len(parts) - 1) / len(parts)) * (parts - centre)
    multiplied, enumerated = _multipliers(weights, len(parts), draws, seed)
    return np.asarray((np.abs(multiplied @ parts) / effects.std_error[rows]).max(axis=1)), enumerated


def _multipliers(weights: str, n_clusters: int, draws: int, seed: int) -> tuple[Floats, bool]:
    """Return weights of mean 0 and variance 1, shape (B, G), and whether they are all there are."""
    if weights == "mammen":
        root = np.sqrt(5.0)
        low = np.random.default_rng(seed).random((draws, n_clusters)) < (root + 1) / (2 * root)
        return np.where(low, (1 - root) / 2, (1 + root) / 2), False
    number, enumerated = number_of_draws(weights, n_clusters, draws, "simultaneous_bands")
    blocks = multipliers(weights, n_clusters, number, seed, all_of_them=enumerated)
    return np.concatenate(list(blocks)), enumerated
