"""Regressions with any number of fixed effects: linear, of counts, of shares."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.collapse import compact
from evaluation.design.design import Design, require_design
from evaluation.errors import (
    ColumnError,
    EstimationError,
    FewClustersWarning,
    IdentificationError,
    SharedTreatmentWarning,
    did_you_mean,
)
from evaluation.estimation.arguments import require_arguments
from evaluation.impact.absorbed.coefficients import AbsorbedEffects, absorbed_effects
from evaluation.impact.absorbed.fixed_effects import Regression, Roles, read_columns
from evaluation.impact.absorbed.iteration import fit
from evaluation.impact.absorbed.rules import DegreesOfFreedom, RegressionVcov, Rule, SmallSample, read_rule
from evaluation.impact.clusters.jackknife import ClusterJackknife
from evaluation.impact.sharing import holds_several, is_same_within, sampling_units, stays_on
from evaluation.regression.families import Family
from evaluation.results import SAMPLING_ALONE

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

FAMILIES = ("gaussian", "poisson", "binomial")
#: With fewer treated, or fewer comparison, clusters a warning is given.
FEW = 6


def fe_regression(
    design: Design,
    *,
    outcome: str,
    regressors: str | Sequence[str],
    effects: str | Sequence[str] = (),
    covariates: str | Sequence[str] = (),
    family: Family = "gaussian",
    trends: str | None = None,
    unit: str | None = None,
    time: str | None = None,
    cluster: str | Sequence[str] | None = None,
    vcov: RegressionVcov | None = None,
    small_sample: SmallSample = "nonnested",
    df: DegreesOfFreedom | None = None,
    lags: int | None = None,
    coordinates: tuple[str, str] | None = None,
    cutoff: float | None = None,
    conf_level: float = 0.95,
) -> AbsorbedEffects:
    """Estimate the coefficients of a linear, Poisson or logistic regression with fixed effects.

    Parameters
    ----------
    design : Design
        One row per respondent; its weights weigh, rows of weight zero are left out.
    outcome : str
        Numeric column; for "poisson" zero and above, for "binomial" 0/1 or two levels.
    regressors : str or list of str
        Numeric columns that the regression is about: a 0/1 treatment, a dose, ``"a:b"`` the product of two.
    effects : str or list of str
        Columns whose levels have an effect each; ``"a:b"`` gives each crossing one. None: a constant.
    covariates : str or list of str
        Further columns: names (text becomes levels), products ``"a:b"``, or a formula.
    family : {"gaussian", "poisson", "binomial"}, default "gaussian"
        Identity, log and logit link.
    trends : str, optional
        Column each of whose levels has a linear trend in ``time`` besides its effect.
    unit, time : str, optional
        Columns of units and waves; ``time`` numeric where trends are asked for.
    cluster : str or list of str, optional
        Column whose values share shocks, as a rule where treatment was assigned; two for two-way clusters.
    vcov : str, optional
        Default "jackknife" where one cluster is named, "CR1" where two are, else "design". "jackknife" leaves out
        one cluster at a time (CV3; "CV3J" centres at the mean). "CR0" is the sandwich of sums per cluster, "CR1"
        with a factor; "CR2" and "CR3" correct for leverage. "design" is the sampling design alone (linearised, or
        by its replicates). "conley", "newey_west" and "driscoll_kraay" allow for distance and time. "HC1" and "iid"
        take rows as independent.
    small_sample : {"nonnested", "all", "clusters"}, default "nonnested"
        What the factor of "CR1" counts: (n-1)/(n-K) G/(G-1) with K less the effects nested in a cluster (fixest,
        reghdfe), with all effects (statsmodels, linearmodels: errors 3 to 5 per cent larger), or G/(G-1) alone.
        For "CR2" and "CR3" effects nested in the cluster are projected out, or ("all") are columns of the model,
        which is another number under weights.
    df : {"clusters", "satterthwaite", "residual", "normal"}, optional
        Degrees of freedom of t: the smaller number of clusters less 1 (default of "jackknife", "CR0", "CR1"; waves
        less 1 of the serial rules), Satterthwaite's (default of "CR2" and "CR3"), rows less parameters (default of
        "iid", "HC1", "conley"), none. fixest takes the normal for families other than gaussian.
    lags : int, optional
        Waves after which errors are no longer correlated, of "newey_west" and "driscoll_kraay".
    coordinates : (str, str), optional
        Columns of latitude and longitude in degrees, of "conley".
    cutoff : float, optional
        Kilometres within which errors may be correlated, of "conley": pairs within count in full.
    conf_level : float, default 0.95
        Of the t interval.

    Returns
    -------
    AbsorbedEffects
        One row per coefficient, regressors first. ``fit`` holds the rule with its convention (``small_sample``), what
        was left out because its outcome does not vary within a level (``separated``), and for indefinite matrices
        the errors before their repair (``std_error_unrepaired``).

    Raises
    ------
    ColumnError
        A column does not exist, is not numeric, or plays two parts.
    IdentificationError
        A column does not vary once the effects are taken out, or is a combination of others; no regressor exists
        without some cluster; or columns separate the outcome's levels.
    EstimationError
        A rule lacks what it needs, fewer than three clusters are there, no degrees of freedom are left, or effects
        or steps do not converge.

    Warns
    -----
    FewClustersWarning
        Fewer than 6 clusters are treated, or fewer than 6 are there to compare with.
    SharedTreatmentWarning
        "iid" or "HC1" where all respondents of a cell share a regressor, or one that is zero elsewhere stays on in
        the rows of a unit over time; such a result is refused in claims. Under "design" the same leaves
        ``fit["sampling_error_alone"]``.

    Notes
    -----
    With tilde for residuals from the effects, :math:`b = (\\tilde X'W\\tilde X)^{-1}\\tilde X'W\\tilde y`: one pass
    for up to two effects, a small system for more, conjugate gradients to 1e-10 where that grows large. Poisson and
    logit repeat it with working weights. The working model of "CR2" has independent residuals of equal variance.
    A sum of two-way clusters, and distances that count in full, may be indefinite: negative eigenvalues are set to
    zero. Without degrees of freedom no p-value is given.

    References
    ----------
    Guimarães and Portugal (2010), Stata Journal 10, 628-649; Pustejovsky and Tipton (2018), JBES 36, 672-683; Conley
    (1999), Journal of Econometrics 92, 1-45; Driscoll and Kraay (1998), Review of Economics and Statistics 80,
    549-560. R twins: ``fixest::feols``, ``fepois``, ``feglm``; ``clubSandwich``; ``summclust``. Stata: ``reghdfe``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> panel = pd.DataFrame({"gu": [1, 1, 2, 2, 3, 3], "year": [0, 1] * 3, "y": [1, 4, 2, 3, 1, 3.0]})
    >>> panel["d"] = [0, 1, 0, 0, 0, 0]
    >>> made = fe_regression(survey_design(panel), outcome="y", regressors="d", effects=["gu", "year"])
    >>> made.estimate.round(6).tolist()
    [1.5]
    """
    require_arguments(fe_regression, locals())
    verb = "fe_regression"
    require_design(design, verb)
    design.require_no_negative_weights(verb)
    if family not in FAMILIES:
        raise EstimationError(f"{verb}: no family {family!r}. {did_you_mean(family, FAMILIES)}")
    rule = read_rule(
        verb,
        vcov,
        cluster,
        family=family,
        small_sample=small_sample,
        df=df,
        lags=lags,
        coordinates=coordinates,
        cutoff=cutoff,
        time=time,
    )
    roles = _roles(verb, effects, trends, unit, time, rule)
    regression = read_columns(design, outcome, regressors, covariates, roles, family)
    told: dict[str, Any] = {
        "outcome": outcome,
        "regressors": ", ".join(regression.terms[: regression.n_treatments]),
        "effects": ", ".join(name for role, name in roles.effects.items() if role != "constant"),
        "family": family,
    }
    told |= {} if trends is None else {"trends": trends}
    told["n_levels"] = {
        regression.names[role]: len(regression.labels[role]) for role in roles.effects if role != "constant"
    }
    return estimated(verb, design, regression, rule, conf_level=conf_level, told=told)


def _roles(
    verb: str, effects: str | Sequence[str], trends: str | None, unit: str | None, time: str | None, rule: Rule
) -> Roles:
    names = [effects] if isinstance(effects, (str, int)) else [] if effects is None else list(effects)
    if len(set(names)) < len(names):
        raise ColumnError(f"{verb}: an effect was named twice: {names}.")
    if trends is not None and time is None:
        raise EstimationError(
            f"{verb}: trends='{trends}' needs time=..., the numeric column in which trends are linear."
        )
    if trends is not None and trends not in names:
        names.append(trends)
    known = {name: role for role, name in (("unit", unit), ("time", time)) if name is not None}
    of = {known.get(name, f"effect {place}"): name for place, name in enumerate(names, 1)} or {"constant": ""}
    ordered = {role: of[role] for role in ("unit", *of) if role in of and role != "time"}
    ordered |= {"time": of["time"]} if "time" in of else {}
    sloped = None if trends is None else next(role for role, name in ordered.items() if name == trends)
    return Roles(ordered, rule.clusters, {role: name for name, role in known.items() if role not in ordered}, sloped)


def estimated(
    verb: str,
    design: Design,
    regression: Regression,
    rule: Rule,
    *,
    keys: pd.DataFrame | None = None,
    combine: Floats | None = None,
    conf_level: float = 0.95,
    told: Mapping[str, Any] | None = None,
) -> AbsorbedEffects:
    """Fit a regression that was read, and return its coefficients (or combinations of them) with warnings heeded.

    Parameters
    ----------
    verb : str
        Public verb, for messages and results.
    design : Design
    regression : Regression
        As of ``read_columns`` or built from columns at hand.
    rule : Rule
        As of ``read_rule``.
    keys : pandas.DataFrame, r rows, optional
    combine : ndarray, shape (r, k), optional
    conf_level : float
    told : mapping, optional
        First entries of ``fit``.
    """
    shared = _shared_treatment(verb, design, regression, rule)
    made = fit(regression)
    used, n_present = made.regression, int(design.present.sum())
    record = {**(told or {}), "n_used": len(used.rows), "n_left_out": n_present - used.n_respondents}
    if regression.family == "gaussian":
        gram = made.solved.gram
        explained = float(made.solved.coefficients @ gram[1:, 0] / gram[0, 0]) if gram[0, 0] > 0 else 1.0
        record["r2_within"] = explained
    record |= made.told | shared
    result = absorbed_effects(
        verb, design, used, made.solved, rule, keys=keys, combine=combine, conf_level=conf_level, fit=record
    )
    _refuse_unidentified_without(verb, result)
    if len(rule.clusters) == 1:
        _heed_few_clusters(verb, used)
    return result


def _refuse_unidentified_without(verb: str, result: AbsorbedEffects) -> None:
    """Raise where no treatment's coefficient has a jackknife error; where some have, the others' reasons are told."""
    regression, engine, left = result.regression, result.uncertain.engine, result.uncertain.contributions
    if not isinstance(engine, ClusterJackknife) or left is None:
        return
    lost = np.isnan(left[:, : regression.n_treatments])
    if not lost.any(axis=0).all():
        return
    g, j = (int(place) for place in np.argwhere(lost)[0])
    cluster, label = regression.names["cluster"], regression.labels["cluster"][g]
    raise IdentificationError(
        f"{verb}: without {cluster} {label} the coefficient of '{regression.terms[j]}' is not identified: it rests on "
        f"that one cluster ({int(lost[:, j].sum())} such of {len(lost)}), so leaving clusters out gives no error. "
        f"Leave the term out; no rule for clusters can say how sure it is.",
        failures=pd.DataFrame({cluster: regression.labels["cluster"][lost[:, j]]}),
    )


def _shared_treatment(verb: str, design: Design, regression: Regression, rule: Rule) -> dict[str, Any]:
    """Return what ``fit`` says of a treatment that rows counted as independent share; warn of "iid" and "HC1"."""
    if rule.kind == "design":
        found = _shared(regression, sampling_units(design)[regression.rows])
        return {} if found is None else {SAMPLING_ALONE: True}
    if rule.kind not in {"iid", "HC1"}:
        return {}
    found = _shared(regression, np.arange(len(regression.rows)))
    if found is None:
        return {}
    what, cluster = found
    why = (
        f"{verb}: {what}, but {rule.kind} takes rows as independent: its errors are far too small. Name the cluster "
        f"within which treatment was assigned, such as cluster='{cluster}'."
    )
    warnings.warn(why, SharedTreatmentWarning, stacklevel=4)
    return {"refused_in_claims": True, "refused_because": why}


def _shared(regression: Regression, piece: Codes) -> tuple[str, str] | None:
    """Return what shares a treatment among several independent pieces, in words, and its column; None for nothing."""
    treated = regression.columns[1 : 1 + regression.n_treatments]
    for roles in _cells(regression):
        key, size = np.zeros(len(regression.rows), dtype=np.int64), 1
        for role in roles:
            n_levels = len(regression.labels[role])
            key, kept = compact(key * n_levels + regression.levels[role], size * n_levels)
            size = len(kept)
        if holds_several(key, piece) and any(is_same_within(column, key) for column in treated):
            where = " and ".join(regression.names[role] for role in roles)
            told = f"all respondents of one {where} share the treatment ({len(key):,} rows, {size:,} cells)"
            return told, regression.names[roles[0]]
    for unit, wave in _over_time(regression):
        (code, levels), (at, times) = unit[1], wave[1]
        if holds_several(code, piece) and any(stays_on(column, code, at) for column in treated):
            told = f"the treatment stays on in a {unit[0]}, in which rows follow each other over {wave[0]}"
            return f"{told} ({len(levels):,} of them, {len(times):,} waves)", unit[0]
    return None


Named = tuple[str, tuple[Codes, "pd.Index[Any]"]]


def _over_time(regression: Regression) -> list[tuple[Named, Named]]:
    """Return pairs of a unit and its waves: the role "time" where it was named, else the effect of fewest levels."""
    roles = [role for role in regression.absorbed if role != "constant"]
    roles += [role for role in ("unit", "time") if role in regression.beside]
    roles += ["cluster"] if "cluster" in regression.levels else []
    named: dict[str, Named] = {}
    for role in roles:
        found = regression.codes(role)
        if found is not None:
            named[role] = (regression.names[role], found)
    effects = [role for role in named if role not in ("unit", "cluster")][::-1]
    fewest = sorted(effects, key=lambda role: len(named[role][1][1]))
    waves = ["time"] if "time" in named else fewest[:1]
    return [(named[unit], named[wave]) for unit in named for wave in waves if unit != wave]


def _cells(regression: Regression) -> list[list[str]]:
    """Return crossings within which a treatment may be the same: of all effects, and of the cluster with each."""
    effects = [role for role in regression.absorbed if role != "constant"]
    crossings = [effects] if effects else []
    if "cluster" in regression.levels:
        crossings += [["cluster", role] for role in effects if not regression.is_nested(role)] + [["cluster"]]
    return crossings


def _heed_few_clusters(verb: str, regression: Regression) -> None:
    """Warn where a treatment rests on few clusters, or has few to be compared with."""
    cluster, found = regression.levels["cluster"], regression.codes("time")
    time, t = (np.zeros(len(cluster), dtype=np.int64), 1) if found is None else (found[0], len(found[1]))
    g, few = len(regression.labels["cluster"]), []
    for term, values in zip(regression.terms[: regression.n_treatments], regression.columns[1:], strict=False):
        on = np.bincount(cluster * t + time, values != 0, minlength=g * t).reshape(g, t) > 0
        off = np.bincount(cluster * t + time, values == 0, minlength=g * t).reshape(g, t) > 0
        elsewhere = on.sum(axis=0) - on > 0
        treated, others = int(on.any(axis=1).sum()), int((off & elsewhere).any(axis=1).sum())
        if others and min(treated, others) < FEW:
            few.append(f"'{term}' ({treated} treated, {others} to compare with)")
        elif not others and g < 2 * FEW:
            few.append(f"'{term}' (never zero, {g} clusters in all)")
    if few:
        warnings.warn(
            f"{verb}: of {g} clusters ({regression.names['cluster']}) too few carry {', '.join(few)}. Below {FEW} on "
            f"either side every rule here may reject too often: show the estimate without a claim of significance.",
            FewClustersWarning,
            stacklevel=4,
        )
