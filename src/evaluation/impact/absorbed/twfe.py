"""Two-way fixed effects of a treatment that starts at different times in different places."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.collapse import mass_by
from evaluation.design.design import Design, each_replicate, require_design
from evaluation.errors import (
    EstimationError,
    FewClustersWarning,
    IdentificationError,
    SharedTreatmentWarning,
    did_you_mean,
)
from evaluation.impact.absorbed.coefficients import AbsorbedEffects, refit_of
from evaluation.impact.absorbed.fixed_effects import Regression, Solved, read_regression, refitted, solve
from evaluation.impact.clusters.jackknife import (
    ClusterSums,
    LeftOut,
    cluster_jackknife,
    cluster_sampling,
    leave_out_clusters,
    partial_leverage,
)
from evaluation.impact.effects import Refit
from evaluation.results import VarianceEngine

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Vcov = Literal["jackknife", "CV3J", "CR1", "CR0", "design", "HC1", "iid"]

INFERENCE = ("jackknife", "CV3J", "CR1", "CR0", "design", "HC1", "iid")
#: Rules that need a cluster.
CLUSTERED = frozenset({"jackknife", "CV3J", "CR1", "CR0"})
#: With fewer treated, or fewer comparison, clusters a warning is given.
FEW = 6


def twfe(
    design: Design,
    *,
    outcome: str,
    treatment: str | Sequence[str],
    unit: str,
    time: str,
    covariates: str | Sequence[str] = (),
    cluster: str | None = None,
    trends: bool = False,
    vcov: Vcov | None = None,
    conf_level: float = 0.95,
) -> AbsorbedEffects:
    """Estimate the coefficient of a treatment in a regression with unit and time effects.

    Parameters
    ----------
    design : Design
        Panel or repeated cross-sections, one row per respondent (or unit) and time; its weights weigh.
    outcome : str
        Numeric column.
    treatment : str or list of str
        Numeric columns such as a 0/1 treatment, a dose, or event-time dummies; ``"a:b"`` is the product of two.
    unit, time : str
        Columns whose levels have an effect each.
    covariates : str or list of str
        Further columns, as in ``survey_glm``: names (text becomes levels), products ``"a:b"``, or a formula.
    cluster : str, optional
        Column whose values share shocks, as a rule where treatment was assigned.
    trends : bool, default False
        Give each unit a linear trend of its own; ``time`` must then be numeric.
    vcov : {"jackknife", "CV3J", "CR1", "CR0", "design", "HC1", "iid"}, optional
        Default "jackknife" where a cluster is named, else "design". "jackknife" leaves out one cluster at a
        time (CV3; "CV3J" centres at the mean); "CR1" is the sandwich with fixest's small-sample factor, "CR0"
        without; all with t on clusters less 1. "design" uses the sampling design alone. "HC1" and "iid"
        take rows as independent, with t on rows less coefficients.
    conf_level : float, default 0.95
        Of the t interval.

    Returns
    -------
    AbsorbedEffects
        One row per coefficient, treatments first. With a cluster the column ``effective_clusters`` says on how
        many of them each coefficient rests (one over the sum of squared partial leverages), and
        ``ev.leave_one_out`` shows each.

    Raises
    ------
    ColumnError
        A column does not exist or is not numeric.
    IdentificationError
        A column does not vary once the effects are taken out, or is a combination of others; or a treatment's
        coefficient does not exist without some cluster.
    EstimationError
        A rule that needs a cluster has none; "iid" where all respondents of a cell share the treatment.

    Warns
    -----
    FewClustersWarning
        Fewer than 6 clusters are treated, or fewer than 6 are there to compare with.
    SharedTreatmentWarning
        "HC1" where all respondents of a cell share the treatment.

    Notes
    -----
    With tilde for residuals from the effects, :math:`b = (\\tilde X'W\\tilde X)^{-1}\\tilde X'W\\tilde y` and the
    influence of a respondent is :math:`(\\tilde X'W\\tilde X)^{-1}\\tilde x_i \\tilde e_i`. The factor of CR1 is
    :math:`\\frac{n-1}{n-K}\\frac{G}{G-1}`, where K leaves out effects nested in the cluster; packages that count
    them report errors 3 to 5 per cent larger. Where effects differ by cohort, or grow, the coefficient is a weighted
    sum of them in which weights can be negative: see ``ev.twfe_weights``. Rows with a missing value are left out.

    References
    ----------
    MacKinnon, Nielsen and Webb (2023), Journal of Applied Econometrics 38, 671-694. R twins: ``fixest::feols``
    with ``ssc(K.fixef="nonnested")``, ``summclust``; Stata: ``reghdfe``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> panel = pd.DataFrame({"gu": [1, 1, 2, 2, 3, 3], "year": [0, 1] * 3, "y": [1, 4, 2, 3, 1, 3.0]})
    >>> panel["d"] = [0, 1, 0, 0, 0, 0]
    >>> twfe(survey_design(panel), outcome="y", treatment="d", unit="gu", time="year").estimate.round(6).tolist()
    [1.5]
    """
    require_design(design, "twfe")
    design.require_no_negative_weights("twfe")
    rule = _rule(vcov, cluster)
    regression = read_regression(design, outcome, treatment, covariates, unit, time, cluster, trends)
    solved = solve(regression)
    _heed_shared_treatment(regression, rule)
    n_used, k = len(regression.rows), len(regression.terms)
    combine = np.eye(k)
    refit = refit_of(design, regression, solved, combine)
    influence = cast("Callable[[], Floats]", refit.influence)
    plain = AbsorbedEffects(
        verb="twfe",
        keys=pd.DataFrame({"term": regression.terms}),
        estimate=solved.coefficients,
        vcov=np.full((k, k), np.nan),
        df=np.full(k, np.nan),
        n_obs=np.full(k, n_used),
        provenance=design.provenance,
        influence_of=lambda: design.influence(influence()),
        conf_level=conf_level,
        fit=_described(regression, solved, int(design.present.sum())),
        refit=refit,
        regression=regression,
        solved=solved,
        combine=combine,
    )
    result = _with_errors(plain, design, regression, solved, rule)
    if cluster is not None:
        _heed_few_clusters(regression)
    return result


def _rule(vcov: str | None, cluster: str | None) -> str:
    rule = vcov or ("design" if cluster is None else "jackknife")
    if rule not in INFERENCE:
        raise EstimationError(f"twfe: no vcov {vcov!r}. {did_you_mean(vcov, INFERENCE)}")
    if rule in CLUSTERED and cluster is None:
        raise EstimationError(
            f"twfe: vcov='{rule}' needs a cluster, the column within which shocks are shared. Name the one where "
            f"treatment was assigned, such as cluster='district'."
        )
    return rule


def _described(regression: Regression, solved: Solved, n_present: int) -> dict[str, Any]:
    explained = float(solved.coefficients @ solved.gram[1:, 0] / solved.gram[0, 0]) if solved.gram[0, 0] > 0 else 1.0
    return {
        "outcome": regression.outcome,
        "treatment": ", ".join(regression.terms[: regression.n_treatments]),
        "unit": regression.names["unit"],
        "time": regression.names["time"],
        "trends": regression.trend is not None,
        "n_used": len(regression.rows),
        "n_left_out": n_present - len(regression.rows),
        "n_units": len(regression.labels["unit"]),
        "n_times": len(regression.labels["time"]),
        "r2_within": explained,
    }


def _with_errors(
    plain: AbsorbedEffects, design: Design, regression: Regression, solved: Solved, rule: str
) -> AbsorbedEffects:
    if rule == "design":
        return _design_errors(plain, design, regression, solved)
    if rule in {"HC1", "iid"}:
        return _independent_errors(plain, regression, solved, rule)
    return _cluster_errors(plain, design, regression, solved, rule)


def _design_errors(plain: AbsorbedEffects, design: Design, regression: Regression, solved: Solved) -> AbsorbedEffects:
    if design.replicates is None:
        contributions = design.contributions(cast("Callable[[], Floats]", cast(Refit, plain.refit).influence)())
    else:
        contributions = each_replicate(design, lambda weights: refitted(regression, weights))
    used = np.zeros(len(design), dtype=bool)
    used[regression.rows] = True
    df = design.degrees_of_freedom(used) + 1 - len(regression.terms) - solved.effects.rank
    return _filled(plain, design.engine, contributions, df, {"rule": "design"})


def _independent_errors(plain: AbsorbedEffects, regression: Regression, solved: Solved, rule: str) -> AbsorbedEffects:
    n, weights = len(regression.rows), regression.weights
    left = n - len(regression.terms) - solved.effects.rank
    if left <= 0:
        raise EstimationError(f"twfe: {n} rows leave no degrees of freedom beside the effects and coefficients.")
    if rule == "iid":
        vcov = solved.inverse * float(weights @ solved.residual**2) / left
    else:
        scores = solved.inverse @ (solved.within[1:] * (weights * solved.residual))
        vcov = n / left * scores @ scores.T
    k = len(plain)
    return replace(plain, vcov=vcov, df=np.full(k, float(left)), method=rule, fit={**plain.fit, "rule": rule})


def _cluster_errors(
    plain: AbsorbedEffects, design: Design, regression: Regression, solved: Solved, rule: str
) -> AbsorbedEffects:
    labels, cluster = regression.labels["cluster"], regression.names["cluster"]
    g = len(labels)
    if g < 2:
        raise EstimationError(f"twfe: cluster '{cluster}' has {g} value, and an error needs at least two clusters.")
    every = np.asarray(labels.get_indexer(pd.Index(design.data[cluster])), dtype=np.int64)
    errors = _jackknife_errors if rule in {"jackknife", "CV3J"} else _sandwich_errors
    engine, contributions, leverage, small = errors(plain, design, regression, solved, rule, every)
    fit = {
        "rule": "CV3" if rule == "jackknife" else rule,
        "cluster": cluster,
        "n_clusters": g,
        "small_sample": small,
        "largest_leverage_cluster": labels[int(np.argmax(leverage[:, 0]))],
        "largest_leverage": float(leverage[:, 0].max()),
    }
    made = _filled(plain, engine, contributions, g - 1, fit)
    return replace(made, columns={"effective_clusters": 1 / (leverage**2).sum(axis=0)})


def _jackknife_errors(
    plain: AbsorbedEffects, design: Design, regression: Regression, solved: Solved, rule: str, every: Codes
) -> tuple[VarianceEngine, Floats, Floats, str]:
    """Return engine, leave-one-out deviations, partial leverage and the small-sample rule in words."""
    labels, cluster = list(regression.labels["cluster"]), regression.names["cluster"]
    codes, trend = regression.levels["cluster"], regression.trend
    left = leave_out_clusters(solved.within, regression.weights, solved.effects, codes, len(labels), trend, solved.gram)
    _refuse_unidentified_without(regression, left)
    centre: Literal["estimate", "mean"] = "mean" if rule == "CV3J" else "estimate"
    engine = cluster_jackknife(design.data, cluster, every, len(labels), centre=centre, labels=labels, left_out=left)
    return engine, left.coefficients - plain.estimate, left.partial_leverage, "(G-1)/G"


def _sandwich_errors(
    plain: AbsorbedEffects, design: Design, regression: Regression, solved: Solved, rule: str, every: Codes
) -> tuple[VarianceEngine, Floats, Floats, str]:
    """Return engine, scaled scores per cluster, partial leverage and the small-sample rule in words."""
    codes, g, cluster = regression.levels["cluster"], len(regression.labels["cluster"]), regression.names["cluster"]
    factor, small = _small_sample(regression, g) if rule == "CR1" else (1.0, "none")
    scores = solved.inverse @ (solved.within[1:] * (regression.weights * solved.residual))
    sums = np.stack([mass_by(codes, g, row) for row in scores], axis=1)
    engine = ClusterSums(cluster_sampling(design.data, cluster, every, g), rule=rule, cluster=cluster)
    leverage = partial_leverage(solved.within, regression.weights, codes, g, solved.gram)
    return engine, sums * np.sqrt(factor), leverage, small


def _small_sample(regression: Regression, g: int) -> tuple[float, str]:
    """Return fixest's factor: effects nested in the cluster do not count as parameters, trends always do."""
    sizes = [len(regression.labels[role]) for role in ("unit", "time") if not regression.is_nested(role)]
    k = len(regression.terms) + (sum(sizes) - len(sizes) + 1 if sizes else 1)
    if regression.trend is not None:
        k += len(regression.labels["unit"])
    n = len(regression.rows)
    if n <= k:
        raise EstimationError(f"twfe: {n} rows leave no degrees of freedom for CR1 beside {k} parameters.")
    return (n - 1) / (n - k) * g / (g - 1), f"(n-1)/(n-{k}) G/(G-1), effects nested in the cluster not counted"


def _refuse_unidentified_without(regression: Regression, left_out: LeftOut) -> None:
    lost = ~left_out.identified[:, : regression.n_treatments]
    if not lost.any():
        return
    g, j = (int(place) for place in np.argwhere(lost)[0])
    cluster, label = regression.names["cluster"], regression.labels["cluster"][g]
    raise IdentificationError(
        f"twfe: without {cluster} {label} the coefficient of '{regression.terms[j]}' is not identified: it rests on "
        f"that one cluster ({int(lost[:, j].sum())} such of {len(lost)}), so leaving clusters out gives no error. "
        f"Leave the term out; no rule for clusters can say how sure it is.",
        failures=pd.DataFrame({cluster: regression.labels["cluster"][lost[:, j]]}),
    )


def _filled(
    plain: AbsorbedEffects, engine: VarianceEngine, contributions: Floats, df: float, fit: dict[str, Any]
) -> AbsorbedEffects:
    return replace(
        plain,
        vcov=engine.covariance(contributions),
        df=np.full(len(plain), float(df)),
        engine=engine,
        contributions=contributions,
        fit={**plain.fit, **fit, "df": df},
    )


def _heed_shared_treatment(regression: Regression, rule: str) -> None:
    """Refuse "iid", and warn of "HC1", where respondents of a cell share the treatment."""
    if rule not in {"iid", "HC1"}:
        return
    cell = regression.levels["unit"] * len(regression.labels["time"]) + regression.levels["time"]
    _, first, number = np.unique(cell, return_index=True, return_inverse=True)
    treated = regression.columns[1 : 1 + regression.n_treatments]
    if len(first) == len(cell) or not (treated == treated[:, first][:, number]).all(axis=1).any():
        return
    unit, time = regression.names["unit"], regression.names["time"]
    told = (
        f"twfe: all respondents of one {unit} and {time} share the treatment ({len(cell):,} rows, {len(first):,} cells)"
    )
    if rule == "iid":
        raise EstimationError(
            f"{told}, so errors that take rows as independent are far too small. Name the cluster within which "
            f"treatment was assigned, such as cluster='{unit}'."
        )
    warnings.warn(f"{told}, but HC1 takes rows as independent. Name a cluster.", SharedTreatmentWarning, stacklevel=3)


def _heed_few_clusters(regression: Regression) -> None:
    """Warn where a treatment rests on few clusters, or has few to be compared with."""
    cluster, time = regression.levels["cluster"], regression.levels["time"]
    g, t = len(regression.labels["cluster"]), len(regression.labels["time"])
    few = []
    for term, values in zip(regression.terms[: regression.n_treatments], regression.columns[1:], strict=False):
        on = np.bincount(cluster * t + time, values != 0, minlength=g * t).reshape(g, t) > 0
        off = np.bincount(cluster * t + time, values == 0, minlength=g * t).reshape(g, t) > 0
        elsewhere = on.sum(axis=0) - on > 0
        treated, others = int(on.any(axis=1).sum()), int((off & elsewhere).any(axis=1).sum())
        if min(treated, others) < FEW:
            few.append(f"'{term}' ({treated} treated, {others} to compare with)")
    if few:
        warnings.warn(
            f"twfe: of {g} clusters ({regression.names['cluster']}) too few carry {', '.join(few)}. Below {FEW} on "
            f"either side every rule here may reject too often: show the estimate without a claim of significance.",
            FewClustersWarning,
            stacklevel=3,
        )
