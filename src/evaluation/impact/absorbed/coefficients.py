"""What a regression with absorbed effects returns: linear combinations of its coefficients, and the fit behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from dataclasses import field as entry
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.design import Design
from evaluation.errors import EstimationError
from evaluation.impact.absorbed.fixed_effects import Regression, Solved
from evaluation.impact.absorbed.iteration import refitted
from evaluation.impact.absorbed.leaving_out import clusters_left_out
from evaluation.impact.absorbed.reordering import clusters_of, reordering
from evaluation.impact.absorbed.rules import Rule, Uncertainty
from evaluation.impact.absorbed.sandwich import influence_of, uncertainty
from evaluation.impact.clusters.jackknife import partial_leverage
from evaluation.impact.effects import COUNTED, ImpactEffects, Refit, covariance

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class AbsorbedEffects(ImpactEffects):
    """Linear combinations of the coefficients of a regression with absorbed effects.

    Attributes
    ----------
    regression : Regression
        Rows, ordered by cluster, and columns.
    solved : Solved
        Residuals from the effects, and coefficients.
    combine : ndarray, shape (r, k)
        ``estimate`` is ``combine @ solved.coefficients``; the identity for the coefficients themselves.
    rule : Rule
        Of the errors.
    uncertain : Uncertainty
        Of the coefficients, under that rule.
    """

    regression: Regression = entry(kw_only=True)
    solved: Solved = entry(kw_only=True)
    combine: Floats = entry(kw_only=True)
    rule: Rule = entry(kw_only=True)
    uncertain: Uncertainty = entry(kw_only=True)

    def holds_shares(self, row: int) -> bool:
        """Tell whether errors of the regression take as known what a row's average estimates; ``refit`` does not."""
        return False

    def take(self, rows: NDArray[np.int64]) -> AbsorbedEffects:
        """Return the estimates at ``rows``, in that order, with their covariances and the means to refit them."""
        taken = super().take(rows)
        if not isinstance(taken, AbsorbedEffects) or self.refit is None or len(self.combine) != len(self):
            return replace(taken, refit=None)  # type: ignore[return-value]
        combine = self.combine[rows]
        return replace(taken, combine=combine, refit=refit_of(self.refit.design, self.regression, self.solved, combine))

    def _groups_told(self) -> list[str]:
        """Return besides what every result tells: who was left out, and what may not be relied on, as lines."""
        lines, fit = super()._groups_told(), self.fit
        if fit.get("n_separated"):
            levels = ", ".join(f"{number} of {name}" for name, number in fit["separated"].items())
            lines.append(f"left out: {fit['n_separated']:,} rows whose outcome does not vary within a level ({levels})")
        lines += [f"{name}: {why}" for name, why in dict(fit.get("without_error_because", {})).items()]
        return [*lines, str(fit["refused_because"])] if fit.get("refused_in_claims") else lines


def absorbed_effects(
    verb: str,
    design: Design,
    regression: Regression,
    solved: Solved,
    rule: Rule,
    *,
    keys: pd.DataFrame | None = None,
    combine: Floats | None = None,
    conf_level: float = 0.95,
    fit: Mapping[str, Any] | None = None,
) -> AbsorbedEffects:
    """Return the coefficients of a regression, or combinations of them, with errors of a rule.

    Parameters
    ----------
    verb : str
        Public verb that made them.
    design : Design
    regression, solved
        As of ``fit``.
    rule : Rule
        As of ``read_rule``.
    keys : pandas.DataFrame, r rows, optional
        Default: ``term``, the columns' names.
    combine : ndarray, shape (r, k), optional
        Default the identity.
    conf_level : float
    fit : mapping, optional
        Entries of ``fit``, before those of the rule.
    """
    rows = np.eye(len(regression.terms)) if combine is None else np.asarray(combine, dtype=float)
    keys = pd.DataFrame({"term": regression.terms}) if keys is None else keys.reset_index(drop=True)
    uncertain = uncertainty(verb, design, regression, solved, rule)
    return _made(verb, design, regression, solved, rule, uncertain, keys, rows, conf_level, dict(fit or {}))


def combined(
    result: AbsorbedEffects,
    matrix: Floats,
    keys: pd.DataFrame,
    *,
    verb: str | None = None,
    n_obs: NDArray[np.int64] | None = None,
    fit: Mapping[str, Any] | None = None,
) -> AbsorbedEffects:
    """Return linear combinations of the rows of a result, with the same rule of errors and their own refits.

    Parameters
    ----------
    result : AbsorbedEffects
        With r rows.
    matrix : ndarray, shape (m, r)
        Weight of each row in each combination.
    keys : pandas.DataFrame, m rows
        ``term`` and, where they apply, ``event_time``, ``cohort``, ``time``.
    verb : str, optional
        Public verb that made it; default that of ``result``.
    n_obs : ndarray of int, shape (m,), optional
        Respondents behind each combination; default those of the regression.
    fit : mapping, optional
        Entries added to those of ``result``.

    Returns
    -------
    AbsorbedEffects
        Degrees of freedom are those of the combinations (Satterthwaite's anew); a combination of something that
        does not exist without some cluster has no error under the jackknife.
    """
    weights = np.asarray(matrix, dtype=float)
    if weights.ndim != 2 or weights.shape != (len(keys), len(result)):
        raise EstimationError(
            f"combined: a matrix of shape ({len(keys)}, {len(result)}) is needed for {len(keys)} keys and "
            f"{len(result)} rows, got {weights.shape}."
        )
    if result.refit is None:
        raise EstimationError("combined: the result cannot be fitted again, so its rows cannot be combined.")
    made = _made(
        result.verb if verb is None else verb,
        result.refit.design,
        result.regression,
        result.solved,
        result.rule,
        result.uncertain,
        keys.reset_index(drop=True),
        weights @ result.combine,
        result.conf_level,
        {**{name: value for name, value in result.fit.items() if name not in COUNTED}, **(fit or {})},
    )
    return made if n_obs is None else replace(made, n_obs=np.asarray(n_obs))


def _made(
    verb: str,
    design: Design,
    regression: Regression,
    solved: Solved,
    rule: Rule,
    uncertain: Uncertainty,
    keys: pd.DataFrame,
    combine: Floats,
    conf_level: float,
    fit: dict[str, Any],
) -> AbsorbedEffects:
    contributions, engine = uncertain.contributions, uncertain.engine
    refit = refit_of(design, regression, solved, combine)
    vcov, reasons = _covariance(uncertain, combine), {}
    if contributions is not None:
        contributions = weighted(combine, contributions.T).T
    if rule.kind in ("jackknife", "CV3J") and engine is not None and contributions is not None:
        vcov = covariance(engine, contributions)
        reasons = _unidentified(contributions, keys, regression)
    columns, told = _leverage(regression, solved, combine)
    df = uncertain.df(combine)
    record = {**fit, **_described(rule, regression), **uncertain.told, **told, "df": float(df[0])}
    if reasons or rule.kind in ("jackknife", "CV3J"):
        record["without_error"] = [
            row for place, row in enumerate(keys.to_dict("records")) if np.isnan(vcov[place, place])
        ]
        record["without_error_because"] = reasons
    return AbsorbedEffects(
        verb=verb,
        keys=keys,
        estimate=np.asarray(combine @ solved.coefficients),
        vcov=vcov,
        df=df,
        n_obs=np.full(len(keys), len(regression.rows)),
        provenance=design.provenance,
        engine=engine,
        contributions=contributions,
        influence_of=lambda: design.influence(influence_of(design, regression, solved, combine)),
        conf_level=conf_level,
        method=uncertain.method,
        columns=columns,
        fit=record,
        refit=refit,
        regression=regression,
        solved=solved,
        combine=combine,
        rule=rule,
        uncertain=uncertain,
    )


def _covariance(uncertain: Uncertainty, combine: Floats) -> Floats:
    """Return the covariance of combinations; a variance below zero is not a number."""
    vcov = weighted(combine, weighted(combine, uncertain.vcov).T)
    negative = np.diag(vcov) < -1e-14 * np.abs(vcov).max(initial=0.0)
    return np.where(negative[:, None] | negative[None, :], np.nan, vcov)


def _unidentified(contributions: Floats, keys: pd.DataFrame, regression: Regression) -> dict[str, str]:
    """Return, by row, without which cluster a combination does not exist."""
    told, cluster = {}, regression.names["cluster"]
    for row, values in enumerate(contributions.T):
        gone = np.flatnonzero(np.isnan(values))
        if len(gone):
            shown = ", ".join(str(regression.labels["cluster"][g]) for g in gone[:3]) + (", …" if len(gone) > 3 else "")
            key = " | ".join(str(value) for value in keys.iloc[row] if not pd.isna(value))
            told[key] = f"no jackknife error, it does not exist without {cluster} {shown}"
    return told


def _described(rule: Rule, regression: Regression) -> dict[str, Any]:
    named = "CV3" if rule.kind == "jackknife" else rule.kind
    told: dict[str, Any] = {"rule": named, "vcov": rule.kind, "df_rule": rule.df}
    if "cluster" in regression.levels:
        told |= {"cluster": regression.names["cluster"], "n_clusters": len(regression.labels["cluster"])}
    return told


def _leverage(
    regression: Regression, solved: Solved, combine: Floats
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Return the column ``effective_clusters``, one over the sum of squared partial leverages, and the largest."""
    if "cluster" not in regression.levels:
        return {}, {}
    labels, codes = regression.labels["cluster"], regression.levels["cluster"]
    share = partial_leverage(solved.within, regression.weights, codes, len(labels), solved.gram, combine)
    told = {
        "largest_leverage_cluster": labels[int(np.argmax(share[:, 0]))],
        "largest_leverage": float(share[:, 0].max()),
    }
    return {"effective_clusters": 1 / (share**2).sum(axis=0)}, told


def weighted(matrix: Floats, values: Floats) -> Floats:
    """Return ``matrix @ values`` where nothing times NaN is nothing.

    Parameters
    ----------
    matrix : ndarray, shape (m, r)
    values : ndarray, shape (r, c)
    """
    gone = np.isnan(values)
    product = matrix @ np.where(gone, 0.0, values)
    return np.asarray(np.where((matrix != 0).astype(float) @ gone > 0, np.nan, product))


def refit_of(design: Design, regression: Regression, solved: Solved, combine: Floats) -> Refit:
    """Return the means to ask a regression again for combinations of its coefficients.

    Parameters
    ----------
    design : Design
    regression, solved
    combine : ndarray, shape (r, k)

    Notes
    -----
    Leaving out clusters uses sums per cluster, another order of the roll-out sums per cluster and time: neither
    passes over the rows again (two linear effects; else each cluster left out is a fit).
    """
    clusters = clusters_of(design, regression)

    def again(weights: Floats) -> Floats:
        return weighted(combine, refitted(regression, weights)[:, None])[:, 0]

    def without() -> Floats:
        left = clusters_left_out(regression, solved)
        return weighted(combine, np.where(left.identified, left.coefficients, np.nan).T).T

    def redrawn(cohorts: Floats) -> Floats:
        return weighted(combine, reordering(regression, solved)(cohorts).T).T

    return Refit(
        design,
        clusters,
        np.asarray(combine @ solved.coefficients),
        lambda: influence_of(design, regression, solved, combine),
        again,
        None if clusters is None else without,
        None if clusters is None or clusters.cohort is None else redrawn,
    )
