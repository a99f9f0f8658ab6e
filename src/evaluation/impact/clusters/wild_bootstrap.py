"""The wild cluster bootstrap in sums per cluster: no row is touched twice, however many draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard, cast

import numpy as np
from numpy.typing import NDArray

from evaluation.errors import EstimationError, FewClustersError, IdentificationError, did_you_mean
from evaluation.estimation.arguments import require_arguments
from evaluation.impact.absorbed.coefficients import AbsorbedEffects
from evaluation.impact.clusters.draws import Draws, invert, p_values
from evaluation.impact.clusters.jackknife import ClusterJackknife, ClusterSums
from evaluation.impact.clusters.multipliers import VALUES, Weights, multipliers, number_of_draws
from evaluation.impact.clusters.resampled import (
    ResampledTest,
    key_of,
    outcome_of,
    refuse_reference,
    require_impact,
    row_of,
)
from evaluation.impact.clusters.scores import ClusterScores, cluster_scores, cr1_factor, pseudo_inverse
from evaluation.impact.effects import Clusters, ImpactEffects, Refit, Vcov, errors_of

Floats = NDArray[np.float64]
Bootstrap = Literal["11", "13", "31", "33"]

VERB = "wild_cluster_bootstrap"
BOOTSTRAPS = ("11", "13", "31", "33")


def wild_cluster_bootstrap(
    result: ImpactEffects,
    *,
    term: str | None = None,
    row: int | str | dict[str, Any] = 0,
    bootstrap: Bootstrap = "11",
    weights: Weights = "rademacher",
    null: float = 0.0,
    impose_null: bool = True,
    draws: int | Literal["all"] = 9999,
    small_sample: Literal["both", "observed"] = "both",
    seed: int | None = None,
    conf_level: float | None = None,
) -> ResampledTest:
    """Test an effect by giving every cluster's residuals random signs, again and again.

    Parameters
    ----------
    result : ImpactEffects
        From a regression with ``cluster=`` (``ev.twfe``, ``ev.fe_regression``, ``ev.sun_abraham`` ...), or from any
        other impact estimator: then scores are redrawn, which is no wild cluster bootstrap and said so.
    term : str, optional
        Row by its term; as ``row="..."``.
    row : int, str or dict, default 0
        Row by number, address, or keys such as ``{"event_time": 2}``.
    bootstrap : {"11", "13", "31", "33"}, default "11"
        First digit: residuals of the full fit (1), or of fits without the cluster (3). Second: standard error from
        cluster sums (1), or from leaving clusters out (3).
    weights : {"rademacher", "webb"}
        Two values with equal chance, or six; six where clusters are ten or fewer.
    null : float, default 0
        Value that is tested.
    impose_null : bool, default True
        Draw under the null (WCR) or from the unrestricted fit (WCU).
    draws : int or "all", default 9999
        All combinations are enumerated where they are no more than this.
    small_sample : {"both", "observed"}
        Where the small-sample factor of CR1 stands. In "both" statistics it cancels. R fwildclusterboot 0.13 has it in
        the "observed" one alone for "13" and "33", all effects counted, which makes p larger.
    seed : int, optional
        Of the draws where they are not enumerated.
    conf_level : float, optional
        Of the interval by inversion; default that of the result.

    Returns
    -------
    ResampledTest
        ``p_value`` counts draws with \\|t*\\| > \\|t\\| (``p_strict``); where all are enumerated the identity
        ties, and ``p_weak`` counts ties. Equal means within 1e-9 of the size. Of random draws ``p_value`` counts the
        observed one as a draw. Two of all combinations are always of one size, so ``p_value`` is never below
        their share, ``facts["least"]``: 2 / 2**G with Rademacher weights. Where that is above 1 - conf_level nothing
        can be rejected, ``convention()`` says so, and the interval has no end.

    Raises
    ------
    EstimationError
        No cluster was named, or an option is unknown or one that scores do not have (``bootstrap``, ``impose_null``
        and ``small_sample`` are for linear regressions).
    FewClustersError
        There are fewer than three clusters.
    IdentificationError
        "31", "13" or "33", but the effect does not exist without some cluster.

    Notes
    -----
    With columns and outcome freed of effects within clusters, let :math:`s_g` be cluster sums of scores at the
    residuals drawn from and :math:`H` the inverse of all squares. A draw v has numerator :math:`\\sum_g v_g c'Hs_g`
    and cluster scores :math:`v_g c'Hs_g - c'HS_gH\\sum_h v_h s_h`: a G by G matrix. Under another null both move
    linearly, so the interval, the boundary of the values whose strict p exceeds 1 - conf_level, needs no further draw.

    References
    ----------
    Cameron, Gelbach and Miller (2008), Review of Economics and Statistics 90, 414-427; Roodman, MacKinnon, Nielsen and
    Webb (2019), Stata Journal 19, 4-60; MacKinnon, Nielsen and Webb (2023), Journal of Applied Econometrics 38,
    671-694; Kline and Santos (2012), Journal of Econometric Methods 1, 23-41. R twin: ``fwildclusterboot::boottest``.

    Examples
    --------
    >>> import pandas as pd
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.impact.absorbed.twfe import twfe
    >>> places = pd.DataFrame({"gu": np.repeat(np.arange(14), 2), "year": [0, 1] * 14})
    >>> places["d"] = places["year"] * (places["gu"] < 7)
    >>> places["y"] = places["d"] + np.sin(np.arange(28) ** 2)
    >>> fitted = twfe(survey_design(places), outcome="y", treatment="d", unit="gu", time="year", cluster="gu")
    >>> found = wild_cluster_bootstrap(fitted, draws="all")
    >>> found.n_draws, found.is_enumerated, found.p_value < found.p_weak
    (16384, True, True)
    """
    require_arguments(wild_cluster_bootstrap, locals())
    result = require_impact(result, VERB)
    if bootstrap not in BOOTSTRAPS:
        raise EstimationError(f"{VERB}: no bootstrap {bootstrap!r}. {did_you_mean(bootstrap, BOOTSTRAPS)}")
    if small_sample not in ("both", "observed"):
        raise EstimationError(f"{VERB}: small_sample must be 'both' or 'observed', got {small_sample!r}.")
    if not np.isfinite(null):
        raise EstimationError(f"{VERB}: null must be a number, got {null!r}.")
    place = row_of(result, row if term is None else term, VERB)
    refuse_reference(result, place, VERB)
    clusters = require_clusters(result, VERB)
    g = len(clusters)
    n_draws, is_all = number_of_draws(weights, g, draws, VERB)
    options = Options(bootstrap, weights, float(null), impose_null, small_sample, None if is_all else seed)
    scores = cluster_scores(result.regression, result.solved) if is_linear(result) else None
    if scores is None:
        _refuse_for_scores(result, options)
    return redraw(result, place, scores, options, n_draws, is_all, conf_level)


def _refuse_for_scores(result: ImpactEffects, options: Options) -> None:
    """Raise an EstimationError for what was asked of the bootstrap that scores do not have."""
    plain = Options()
    for name in ("bootstrap", "impose_null", "small_sample"):
        if (asked := getattr(options, name)) != getattr(plain, name):
            family = result.regression.family if isinstance(result, AbsorbedEffects) else ""
            of = f"a {family} regression" if family else f"ev.{result.verb}"
            raise EstimationError(
                f"{VERB}: {name}={asked!r} is for linear regressions, whose residuals are redrawn. Of {of} the "
                f"scores of the clusters are redrawn, without a null imposed: leave {name} out."
            )


@dataclass(frozen=True, eq=False)
class Options:
    """What was asked for, as the arguments of ``wild_cluster_bootstrap``."""

    bootstrap: Bootstrap = "11"
    weights: Weights = "rademacher"
    null: float = 0.0
    impose_null: bool = True
    small_sample: str = "both"
    seed: int | None = None


def is_linear(result: ImpactEffects) -> TypeGuard[AbsorbedEffects]:
    """Tell whether a result is a linear regression, whose residuals can be redrawn."""
    return isinstance(result, AbsorbedEffects) and result.regression.family == "gaussian"


def redraw(
    result: ImpactEffects,
    place: int,
    scores: ClusterScores | None,
    options: Options,
    n_draws: int,
    is_all: bool,
    conf_level: float | None = None,
) -> ResampledTest:
    """Return the bootstrap test of one row.

    Parameters
    ----------
    result : ImpactEffects
    place : int
        Row.
    scores : ClusterScores or None
        Of a linear regression; else contributions of the clusters are redrawn.
    options : Options
    n_draws, is_all
        From ``number_of_draws``.
    conf_level : float, optional
    """
    clusters, factor = require_clusters(result, VERB), 1.0
    g = len(clusters)
    if scores is not None and is_linear(result):
        redrawn = _regression(scores, result.combine[place], options.bootstrap, options.impose_null)
        factor = cr1_factor(result.regression, "nonnested" if options.small_sample == "both" else "all")[0]
    else:
        redrawn = _contributions(result, place)
    draws = multipliers(options.weights, g, n_draws, options.seed, all_of_them=is_all)
    drawn = Draws(*(np.concatenate(parts, axis=-1) for parts in zip(*map(redrawn.draw, draws), strict=True)))
    held = {"shares_held": True} if isinstance(result, AbsorbedEffects) and result.holds_shares(place) else {}
    held = held if scores is not None else {}
    facts = {
        **held,
        **vars(options),
        "ties": "strict",
        "is_all": is_all,
        "g": g,
        "cluster": clusters.name,
        "factor": factor,
    }
    divisor = factor if options.small_sample == "observed" else 1.0
    return _tested(result, place, redrawn, drawn, divisor, facts, is_all, conf_level)


@dataclass(frozen=True, eq=False)
class Redrawn:
    """What a draw needs: numerators and cluster scores, linear in the weights of the clusters.

    Attributes
    ----------
    estimate, std_error : float
        As the statistic uses them, without a small-sample factor.
    numerator : ndarray, shape (2, G)
        Constant, and slope in the estimate less the null.
    scores : ndarray, shape (2, G, G)
        Likewise: of each cluster in the weights of all.
    scale : float
        Of the squared denominator.
    method : str
        Code of the convention.
    """

    estimate: float
    std_error: float
    numerator: Floats
    scores: Floats
    scale: float
    method: str

    def draw(self, v: Floats) -> tuple[Floats, Floats, Floats]:
        """Return constants, slopes and squares of draws with weights ``v``, shape (b, G)."""
        first, second = v @ self.scores[0].T, v @ self.scores[1].T
        squares = [np.einsum("bg,bg->b", a, b) for a, b in ((first, first), (first, second), (second, second))]
        return v @ self.numerator[0], v @ self.numerator[1], self.scale * np.stack(squares)


def _regression(scores: ClusterScores, combine: Floats, bootstrap: str, impose_null: bool) -> Redrawn:
    c, inverse, residual = scores.direction(combine), scores.inverse, scores.residual_scores
    total, g = scores.squares.sum(axis=0), len(scores)
    reach = inverse @ c
    rest = c @ reach
    estimate = float(c @ inverse @ scores.products.sum(axis=0))
    shift = (scores.squares @ reach) / rest if impose_null else np.zeros_like(residual)
    pair = np.stack([residual, shift])
    without = pseudo_inverse(total - scores.squares) if bootstrap != "11" else np.zeros((0, 0, 0))
    if bootstrap != "11":
        _refuse_unidentified_without(total - scores.squares, without, c)
    if bootstrap[1] == "3":
        left = without @ c
        std_error = float(np.sqrt((g - 1) / g * (np.einsum("gp,gp->g", residual, left) ** 2).sum()))
    else:
        std_error = float(np.sqrt(((residual @ reach) ** 2).sum()))
    if bootstrap[0] == "3":
        leaving = _restricted(total - scores.squares, c) if impose_null else without
        pair = pair + (scores.squares @ (leaving @ pair[..., None]))[..., 0]
    numerator = pair @ reach
    if bootstrap[1] == "3":
        own = left @ pair.transpose(0, 2, 1)
        own[:, np.arange(g), np.arange(g)] = 0.0
        per_cluster, scale = own - numerator[:, None, :], (g - 1) / g
    else:
        across = (scores.squares @ reach @ inverse) @ pair.transpose(0, 2, 1)
        per_cluster, scale = np.eye(g) * numerator[:, None, :] - across, 1.0
    kind = "wcr" if impose_null else "wcu"
    return Redrawn(estimate, std_error, numerator, per_cluster, scale, f"{kind}_{bootstrap}")


def _restricted(left: Floats, c: Floats) -> Floats:
    """Return the inverses of squares where coefficients move along c'b = constant only, shape (G, p, p)."""
    basis = np.linalg.svd(c[None, :])[2][1:].T
    return np.asarray(basis @ pseudo_inverse(basis.T @ left @ basis) @ basis.T)


def _refuse_unidentified_without(left: Floats, inverse: Floats, c: Floats) -> None:
    lost = np.abs(np.einsum("gij,gjk,k->gi", inverse, left, c) - c).max(axis=1) > 1e-6 * np.abs(c).max()
    if lost.any():
        raise IdentificationError(
            f"{VERB}: the effect does not exist without some clusters ({int(lost.sum())} of {len(lost)}), so '13', "
            f"'31' and '33', which leave clusters out, do not either. Use bootstrap='11' or ev.randomization_inference."
        )


def _contributions(result: ImpactEffects, place: int) -> Redrawn:
    """Return a score bootstrap on what each cluster contributes to the estimate."""
    rule: Vcov = "cluster" if result.fit.get("vcov") == "cluster" else "jackknife"
    parts = contributions_of(result, rule)[:, place]
    if not np.isfinite(parts).all():
        raise IdentificationError(
            f"{VERB}: the estimate does not exist without some clusters ({int((~np.isfinite(parts)).sum())} of "
            f"{len(parts)}), so it has no contributions to redraw. Use ev.randomization_inference."
        )
    g = len(parts)
    parts = parts if rule == "cluster" else -parts * np.sqrt((g - 1) / g)
    centred = np.eye(g) - 1 / g
    std_error = float(np.linalg.norm(centred @ parts))
    zero = np.zeros(g)
    scores = np.stack([centred * parts, np.zeros((g, g))])
    return Redrawn(float(result.estimate[place]), std_error, np.stack([parts, zero]), scores, 1.0, f"score_{rule}")


def contributions_of(result: ImpactEffects, rule: Vcov) -> Floats:
    """Return what each cluster contributes by a rule, shape (G, k); those at hand where the result was made by it."""
    own, engine = result.contributions, result.engine
    is_jackknife = isinstance(engine, ClusterJackknife) and engine.centre == "estimate"
    is_sums = isinstance(engine, ClusterSums) and engine.rule == "CR0"
    if own is not None and ((rule == "jackknife" and is_jackknife) or (rule == "cluster" and is_sums)):
        return own
    return errors_of(cast("Refit", result.refit), rule)[1]


def _tested(
    result: ImpactEffects,
    place: int,
    redrawn: Redrawn,
    drawn: Draws,
    divisor: float,
    facts: dict[str, Any],
    is_all: bool,
    conf_level: float | None,
) -> ResampledTest:
    level = result.conf_level if conf_level is None else conf_level
    if not 0 < level < 1:
        raise EstimationError(f"{VERB}: conf_level must lie between 0 and 1, got {level!r}.")
    if not redrawn.std_error > 0:
        raise EstimationError(f"{VERB}: the clusters' scores are all zero, so there is nothing to redraw.")
    error = redrawn.std_error * np.sqrt(divisor)
    least = _least(redrawn.method, facts, len(drawn.constant))

    def share(value: float) -> float:
        a = redrawn.estimate - value
        return p_values(a / error, drawn.at(a)).strict

    a = redrawn.estimate - float(facts["null"])
    found = p_values(a / error, drawn.at(a))
    low, high = -np.inf, np.inf
    if least <= 1 - level:
        low, high = invert(lambda value: share(value) > 1 - level, redrawn.estimate, redrawn.std_error / 8)
    return ResampledTest(
        verb=VERB,
        key=key_of(result, place),
        estimate=redrawn.estimate,
        null=float(facts["null"]),
        statistic=a / (redrawn.std_error * np.sqrt(float(facts["factor"]))),
        p_value=max(found.strict, least) if facts["is_all"] else _counted_in(found.strict, len(drawn.constant)),
        p_strict=found.strict,
        p_weak=found.weak,
        p_equal_tailed=found.equal_tailed,
        p_lower=found.lower,
        p_upper=found.upper,
        conf_low=low,
        conf_high=high,
        conf_level=level,
        n_draws=len(drawn.constant),
        is_enumerated=is_all,
        n_ties=found.n_ties,
        n_missing=found.n_missing,
        distribution=drawn.at(a),
        method=redrawn.method,
        n_obs=int(result.n_obs[place]),
        provenance=result.provenance,
        mark=result.marks[place],
        facts={**facts, "least": least, "none_rejected": least > 1 - level, "outcome": outcome_of(result)},
    )


def _counted_in(share: float, n_draws: int) -> float:
    """Return the p-value of random draws among which the observed statistic counts as one, so that it is never zero."""
    return (share * n_draws + 1) / (n_draws + 1)


def _least(method: str, facts: Mapping[str, Any], n_draws: int) -> float:
    """Return the share of draws that are of one size whatever the data, below which no p-value can lie.

    A draw and its reverse are; of residuals under the null also those with one weight for all, which are the observed.
    """
    always = len(VALUES[facts["weights"]]) if method.startswith("wcr_1") else 2
    return always / n_draws if facts["is_all"] else 0.0


def require_clusters(result: ImpactEffects, verb: str) -> Clusters:
    """Return the clusters of a result.

    Raises
    ------
    EstimationError
        No cluster was named.
    FewClustersError
        There are fewer than three.
    """
    refit = result.refit
    if refit is None or refit.clusters is None:
        raise EstimationError(f"{verb}: no cluster was named. Estimate with cluster=..., the column of treated places.")
    g = len(refit.clusters)
    if g < 3:
        raise FewClustersError(
            f"{verb}: {g} clusters ('{refit.clusters.name}') cannot say how much clusters differ; three are the least. "
            f"Show the difference without an error, or add places to compare with."
        )
    return refit.clusters
