"""Two-way fixed effects of a treatment that starts at different times in different places."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.design import Design, each_replicate, require_design
from evaluation.errors import (
    ColumnError,
    EstimationError,
    FewClustersWarning,
    IdentificationError,
    SharedTreatmentWarning,
    did_you_mean,
)
from evaluation.impact.few_clusters import (
    ClusterSums,
    LeftOut,
    cluster_jackknife,
    cluster_sampling,
    leave_out_clusters,
)
from evaluation.regression.absorb import TwoWay, two_way
from evaluation.regression.glm import read_model, read_outcome
from evaluation.results import Estimates, VarianceEngine

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]
Inference = Literal["jackknife", "CV3J", "CR1", "CR0", "design", "HC1", "iid"]

INFERENCE = ("jackknife", "CV3J", "CR1", "CR0", "design", "HC1", "iid")
#: Rules that need a cluster.
CLUSTERED = frozenset({"jackknife", "CV3J", "CR1", "CR0"})
#: Below this share of its own variation a column is a combination of effects and other columns.
NOTHING_LEFT = 1e-11
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
    inference: Inference | None = None,
    conf_level: float = 0.95,
) -> Estimates:
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
    inference : {"jackknife", "CV3J", "CR1", "CR0", "design", "HC1", "iid"}, optional
        Default "jackknife" where a cluster is named, else "design". "jackknife" leaves out one cluster at a
        time (CV3; "CV3J" centres at the mean); "CR1" is the sandwich with fixest's small-sample factor, "CR0"
        without; all with t on clusters less 1. "design" uses the sampling design alone. "HC1" and "iid"
        take rows as independent, with t on rows less coefficients.
    conf_level : float, default 0.95
        Of the t interval.

    Returns
    -------
    Estimates
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
    >>> from evaluation.design.design import survey_design
    >>> panel = pd.DataFrame({"gu": [1, 1, 2, 2, 3, 3], "year": [0, 1] * 3, "y": [1, 4, 2, 3, 1, 3.0]})
    >>> panel["d"] = [0, 1, 0, 0, 0, 0]
    >>> twfe(survey_design(panel), outcome="y", treatment="d", unit="gu", time="year").estimate.round(6).tolist()
    [1.5]
    """
    require_design(design, "twfe")
    design.require_no_negative_weights("twfe")
    rule = _rule(inference, cluster)
    regression = _read(design, outcome, treatment, covariates, unit, time, cluster, trends)
    solved = _solve(regression)
    _heed_shared_treatment(regression, rule)
    if cluster is not None:
        _heed_few_clusters(regression)
    n_used, k = len(regression.rows), len(regression.terms)
    plain = Estimates(
        verb="twfe",
        keys=pd.DataFrame({"term": regression.terms}),
        estimate=solved.coefficients,
        vcov=np.full((k, k), np.nan),
        df=np.full(k, np.nan),
        n_obs=np.full(k, n_used),
        provenance=design.provenance,
        influence_of=lambda: design.influence(_influence(design, regression, solved)),
        conf_level=conf_level,
        fit=_described(regression, solved, int(design.present.sum())),
    )
    return _with_errors(plain, design, regression, solved, rule)


@dataclass(frozen=True, eq=False)
class _Regression:
    """Rows that are used, ordered by cluster, and their columns; ``columns[0]`` is the outcome."""

    outcome: str
    terms: list[str]
    n_treatments: int
    rows: Codes
    columns: Floats
    weights: Floats
    levels: dict[str, Codes]
    names: dict[str, str]
    labels: dict[str, pd.Index[Any]]
    trend: Floats | None

    @property
    def unit_first(self) -> bool:
        """Whether units are eliminated first and times solved for: always with trends or units within clusters."""
        more_units = len(self.labels["unit"]) >= len(self.labels["time"])
        return more_units or self.trend is not None or self.is_nested("unit")

    def is_nested(self, effect: str) -> bool:
        """Tell whether each level of an effect lies in one cluster."""
        if "cluster" not in self.levels:
            return False
        cluster, level = self.levels["cluster"], self.levels[effect]
        one = np.zeros(len(self.labels[effect]), dtype=np.int64)
        one[level] = cluster
        return bool((one[level] == cluster).all())

    def effects(self, weights: Floats) -> TwoWay:
        """Return the two sets of effects under these weights."""
        unit, time = self.levels["unit"], self.levels["time"]
        return two_way(unit, time, weights, self.trend) if self.unit_first else two_way(time, unit, weights)


@dataclass(frozen=True, eq=False)
class _Solved:
    """Residuals of all columns from the effects, and what follows from them."""

    effects: TwoWay
    within: Floats
    gram: Floats
    coefficients: Floats
    residual: Floats

    @property
    def inverse(self) -> Floats:
        """Inverse of the regressors' weighted squares, shape (k, k)."""
        return np.asarray(np.linalg.inv(self.gram[1:, 1:]))


def _rule(inference: str | None, cluster: str | None) -> str:
    rule = inference or ("design" if cluster is None else "jackknife")
    if rule not in INFERENCE:
        raise EstimationError(f"twfe: no inference {inference!r}. {did_you_mean(inference, INFERENCE)}")
    if rule in CLUSTERED and cluster is None:
        raise EstimationError(
            f"twfe: inference='{rule}' needs a cluster, the column within which shocks are shared. Name the one where "
            f"treatment was assigned, such as cluster='district'."
        )
    return rule


def _read(
    design: Design,
    outcome: str,
    treatment: str | Sequence[str],
    covariates: str | Sequence[str],
    unit: str,
    time: str,
    cluster: str | None,
    trends: bool,
) -> _Regression:
    names = {"unit": unit, "time": time} | ({} if cluster is None else {"cluster": cluster})
    coded = {role: pd.factorize(design.column(name), sort=True) for role, name in names.items()}
    treatments = [treatment] if isinstance(treatment, str) else list(treatment)
    if not treatments:
        raise ColumnError("twfe: no treatment was named. Name a numeric column, such as treatment='district_dose'.")
    y, _ = read_outcome(design, outcome, "gaussian")
    columns = {outcome: y} | {f"{name}": product(design, name) for name in treatments}
    used = design.present & np.logical_and.reduce([codes >= 0 for codes, _ in coded.values()])
    used &= np.logical_and.reduce([~np.isnan(values) for values in columns.values()])
    more, used = _covariates(design, outcome, covariates, used)
    twice = [name for name in more if name in columns]
    if twice or len(columns) != len(treatments) + 1:
        raise ColumnError(
            f"twfe: a column was named twice among outcome, treatment and covariates: {twice or treatments}."
        )
    if not used.any():
        raise EstimationError(f"twfe: no respondent has a value of '{outcome}', the treatment and all covariates.")
    rows = np.flatnonzero(used)
    if cluster is not None:
        rows = rows[np.argsort(coded["cluster"][0][rows], kind="stable")]
    found = {role: pd.factorize(codes[rows], sort=True) for role, (codes, _) in coded.items()}
    labels = {role: pd.Index(coded[role][1])[seen] for role, (_, seen) in found.items()}
    return _Regression(
        outcome,
        [*treatments, *more],
        len(treatments),
        rows,
        np.stack([values[rows] for values in (columns | more).values()]),
        design.weights[rows],
        {role: np.asarray(codes, dtype=np.int64) for role, (codes, _) in found.items()},
        names,
        labels,
        _times(labels["time"], time) if trends else None,
    )


def product(design: Design, name: str) -> Floats:
    """Return a numeric column, or the product of several (``"a:b"``), shape (n,), NaN where missing."""
    parts = [name] if name in design.data.columns else name.split(":")
    values = np.ones(len(design))
    for part in parts:
        column = design.column(part)
        if not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)):
            raise ColumnError(
                f"twfe: '{part}' is {column.dtype}, expected numbers (0/1, a dose). Make a 0/1 column of it first."
            )
        values = values * column.to_numpy(dtype=float, na_value=np.nan)
    return values


def _covariates(
    design: Design, outcome: str, covariates: str | Sequence[str], used: Mask
) -> tuple[dict[str, Floats], Mask]:
    """Return the columns of covariates by term, and who of ``used`` has them all."""
    if isinstance(covariates, str) and covariates.lstrip().startswith("~"):
        model = read_model(design, outcome, covariates, "gaussian", among=used)
        pairs = zip(model.terms, model.x.T, strict=True)
        return {term: column for term, column in pairs if term != "(Intercept)"}, model.used
    columns: dict[str, Floats] = {}
    for name in [covariates] if isinstance(covariates, str) else covariates:
        if name in design.data.columns and not _is_numeric(design.data[name]):
            columns |= _levels(design.data[name], name, used)
        else:
            columns[name] = product(design, name)
    for values in columns.values():
        used = used & ~np.isnan(values)
    return columns, used


def _is_numeric(column: pd.Series[Any]) -> bool:
    return bool(pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column))


def _levels(column: pd.Series[Any], name: str, used: Mask) -> dict[str, Floats]:
    codes, levels = pd.factorize(column, sort=True)
    seen = [code for code in range(len(levels)) if (codes[used] == code).any()]
    blank = np.where(codes < 0, np.nan, 0.0)
    return {f"{name}[T.{levels[code]}]": np.where(codes == code, 1.0, blank) for code in seen[1:]}


def _times(labels: pd.Index[Any], time: str) -> Floats:
    try:
        values = np.asarray(labels, dtype=float)
    except (TypeError, ValueError):
        raise ColumnError(f"twfe: trends=True needs a numeric time, but '{time}' is not. Use the year.") from None
    return np.asarray(values - values.mean())


def _solve(regression: _Regression, weights: Floats | None = None) -> _Solved:
    weights = regression.weights if weights is None else weights
    effects = regression.effects(weights)
    within = np.stack([effects.sweep(column) for column in regression.columns])
    gram = np.asarray((within * weights) @ within.T)
    _refuse_unidentified(regression, weights, gram)
    coefficients = np.asarray(np.linalg.solve(gram[1:, 1:], gram[1:, 0]), dtype=np.float64)
    return _Solved(effects, within, gram, coefficients, within[0] - coefficients @ within[1:])


def _refuse_unidentified(regression: _Regression, weights: Floats, gram: Floats) -> None:
    columns = regression.columns[1:]
    centre = (columns @ weights) / weights.sum()
    own = (columns**2) @ weights - centre**2 * weights.sum()
    left, names = gram[1:, 1:].copy(), regression.names
    for j, term in enumerate(regression.terms):
        if left[j, j] <= NOTHING_LEFT * max(own[j], gram[1 + j, 1 + j]) or gram[1 + j, 1 + j] <= NOTHING_LEFT * own[j]:
            effects = f"effects of {names['unit']} and {names['time']}" + (
                " and a trend of each unit" if regression.trend is not None else ""
            )
            alone = gram[1 + j, 1 + j] <= NOTHING_LEFT * own[j]
            why = f"{effects} take up all its variation" if alone else f"{effects} and the columns before it make it up"
            raise IdentificationError(
                f"twfe: the coefficient of '{term}' is not identified, because {why}. Leave it out, or use a "
                f"treatment that starts at different times in different units."
            )
        left = left - np.outer(left[:, j], left[j]) / left[j, j]


def _influence(design: Design, regression: _Regression, solved: _Solved) -> Floats:
    """Return the coefficients' derivative in each respondent's weight, shape (n, k)."""
    z = np.zeros((len(design), len(regression.terms)))
    z[regression.rows] = (solved.inverse @ (solved.within[1:] * solved.residual)).T
    return z


def _described(regression: _Regression, solved: _Solved, n_present: int) -> dict[str, Any]:
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


def _with_errors(plain: Estimates, design: Design, regression: _Regression, solved: _Solved, rule: str) -> Estimates:
    if rule == "design":
        return _design_errors(plain, design, regression, solved)
    if rule in {"HC1", "iid"}:
        return _independent_errors(plain, regression, solved, rule)
    return _cluster_errors(plain, design, regression, solved, rule)


def _design_errors(plain: Estimates, design: Design, regression: _Regression, solved: _Solved) -> Estimates:
    if design.replicates is None:
        contributions = design.contributions(_influence(design, regression, solved))
    else:
        contributions = each_replicate(design, lambda weights: _refitted(regression, weights))
    used = np.zeros(len(design), dtype=bool)
    used[regression.rows] = True
    df = design.degrees_of_freedom(used) + 1 - len(regression.terms) - solved.effects.rank
    return _filled(plain, design.engine, contributions, df, {"rule": "design"})


def _refitted(regression: _Regression, weights: Floats) -> Floats:
    """Return the coefficients under replicate weights, some of which are zero."""
    kept = weights[regression.rows] != 0
    rows = {role: pd.factorize(codes[kept], sort=True) for role, codes in regression.levels.items()}
    part = replace(
        regression,
        rows=regression.rows[kept],
        columns=regression.columns[:, kept],
        weights=weights[regression.rows[kept]],
        levels={role: np.asarray(codes, dtype=np.int64) for role, (codes, _) in rows.items()},
        labels={role: regression.labels[role][seen] for role, (_, seen) in rows.items()},
        trend=None if regression.trend is None else regression.trend[rows["time"][1]],
    )
    return _solve(part).coefficients


def _independent_errors(plain: Estimates, regression: _Regression, solved: _Solved, rule: str) -> Estimates:
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


def _cluster_errors(plain: Estimates, design: Design, regression: _Regression, solved: _Solved, rule: str) -> Estimates:
    codes, labels = regression.levels["cluster"], regression.labels["cluster"]
    cluster, g = regression.names["cluster"], len(labels)
    if g < 2:
        raise EstimationError(f"twfe: cluster '{cluster}' has {g} value, and an error needs at least two clusters.")
    every = np.full(len(design), -1, dtype=np.int64)
    every[regression.rows] = codes
    left_out = leave_out_clusters(
        solved.within, regression.weights, solved.effects, codes, g, regression.trend, solved.gram
    )
    engine: VarianceEngine
    if rule in {"jackknife", "CV3J"}:
        _refuse_unidentified_without(regression, left_out)
        centre: Literal["estimate", "mean"] = "mean" if rule == "CV3J" else "estimate"
        engine = cluster_jackknife(
            design.data, cluster, every, g, centre=centre, labels=list(labels), left_out=left_out
        )
        contributions, small = left_out.coefficients - plain.estimate, "(G-1)/G"
    else:
        factor, small = _small_sample(regression, g) if rule == "CR1" else (1.0, "none")
        scores = solved.inverse @ (solved.within[1:] * (regression.weights * solved.residual))
        sums = np.stack([np.bincount(codes, row, minlength=g) for row in scores], axis=1)
        engine = ClusterSums(cluster_sampling(design.data, cluster, every, g), rule=rule, cluster=cluster)
        contributions = sums * np.sqrt(factor)
    fit = {
        "rule": "CV3" if rule == "jackknife" else rule,
        "cluster": cluster,
        "n_clusters": g,
        "small_sample": small,
        "largest_leverage_cluster": labels[int(np.argmax(left_out.partial_leverage[:, 0]))],
        "largest_leverage": float(left_out.partial_leverage[:, 0].max()),
    }
    made = _filled(plain, engine, contributions, g - 1, fit)
    return replace(made, columns={"effective_clusters": 1 / (left_out.partial_leverage**2).sum(axis=0)})


def _small_sample(regression: _Regression, g: int) -> tuple[float, str]:
    """Return fixest's factor: effects nested in the cluster do not count as parameters, trends always do."""
    sizes = [len(regression.labels[role]) for role in ("unit", "time") if not regression.is_nested(role)]
    k = len(regression.terms) + (sum(sizes) - len(sizes) + 1 if sizes else 1)
    if regression.trend is not None:
        k += len(regression.labels["unit"])
    n = len(regression.rows)
    if n <= k:
        raise EstimationError(f"twfe: {n} rows leave no degrees of freedom for CR1 beside {k} parameters.")
    return (n - 1) / (n - k) * g / (g - 1), f"(n-1)/(n-{k}) G/(G-1), effects nested in the cluster not counted"


def _refuse_unidentified_without(regression: _Regression, left_out: LeftOut) -> None:
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
    plain: Estimates, engine: VarianceEngine, contributions: Floats, df: float, fit: dict[str, Any]
) -> Estimates:
    return replace(
        plain,
        vcov=engine.covariance(contributions),
        df=np.full(len(plain), float(df)),
        engine=engine,
        contributions=contributions,
        fit={**plain.fit, **fit, "df": df},
    )


def _heed_shared_treatment(regression: _Regression, rule: str) -> None:
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


def _heed_few_clusters(regression: _Regression) -> None:
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
