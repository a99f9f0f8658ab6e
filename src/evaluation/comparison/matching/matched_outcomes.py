"""Differences between matched participants and others, with errors that know how they were matched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.comparison.adjustment.propensity import effective_number
from evaluation.comparison.comparability import Comparability
from evaluation.comparison.differences import ADJUSTED, Measure, estimate_difference, evidence_of
from evaluation.comparison.matching.matched import Matched
from evaluation.comparison.matching.nearest import Candidates, Pairing, nearest_by_covariates, nearest_with_replacement
from evaluation.comparison.matching.subclasses import among
from evaluation.design.collapse import Codes, crossed, mass_by, sum_by
from evaluation.design.design import Design
from evaluation.design.sampling import Sampling, Stage
from evaluation.design.variance import TaylorEngine
from evaluation.errors import EstimationError, did_you_mean
from evaluation.estimation.arguments import came
from evaluation.estimation.groups import Groups, groups_of
from evaluation.regression.families import Family
from evaluation.results import Estimates

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
StdError = Literal["pairs", "HC1", "abadie_imbens"]

VERB = "matched_difference"
STD_ERRORS = ("pairs", "HC1", "abadie_imbens")


def matched_difference(
    matched: Matched,
    *,
    outcome: str,
    measure: Measure = "difference",
    std_error: StdError | None = None,
    neighbours: int = 1,
    comparability: Comparability | None = None,
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate the difference between participants and the others who were matched to them.

    Parameters
    ----------
    matched : Matched
        From ``match``.
    outcome : str
        Numeric, 0/1, or text with two levels.
    measure : {"difference", "log_risk_ratio", "log_odds_ratio"}
        Scale of row 0.
    std_error : {"pairs", "HC1", "abadie_imbens"}, optional
        Pairs or matched sets as clusters (with replacement: all to whom one partner is matched); matched respondents
        as independent, weights as given; the variance of matching estimators with partners' variances estimated among
        their own kind. Default: "pairs" for nearest neighbours and full matching; "abadie_imbens" with replacement
        where respondents are independent; "HC1" where there are no pairs, and for cells and classes.
    neighbours : int, default 1
        For "abadie_imbens": how many of the same group an answer is compared with.
    comparability : Comparability, optional
        Declared comparison; a refused one raises. Its grade, at most 2 here, and what differs stand in ``fit``.
    conf_level : float, default 0.95
        Of the t interval.

    Returns
    -------
    Estimates
        Row 0 is the difference; then the two means. ``influence`` is None, since matching has none; a contrast with
        another result raises. ``variance_method`` names the error.

    Raises
    ------
    EstimationError
        An error that the matching does not have, a group without answers, a result that is no matching.
    ColumnError
        An unknown outcome.
    IdentificationError
        The item asks about a change.

    Notes
    -----
    Who misses the outcome leaves the pair or set, whose shares are made anew; a pair that loses a side leaves.

    In a simple random sample the errors are those of a weighted regression of the outcome on participation, with n
    respondents, G clusters: :math:`G/(G-1) (n-1)/(n-2) \\sum_g (\\sum_{i \\in g} z_i)^2`. In a design with strata,
    sampling units, a finite population, a weighting chain or replicates, "HC1" is the design's own variance with
    matched weights as given, and "pairs" adds to it the products of partners' contributions where the two belong to
    different sampling units: clusters in two ways, of which pairs inside a unit add nothing. Joining units by their
    pairs instead would leave few clusters or a single one. Where that sum is not positive, the design's variance
    stands, and ``variance_method`` says so.

    "abadie_imbens" is for nearest neighbours among independent respondents:
    :math:`V = [\\sum_t w_t^2 (y_t - \\hat y_t - \\tau)^2 + \\sum_c ((\\sum_t w_t a_{tc})^2 - \\sum_t w_t^2 a_{tc}^2)
    \\hat\\sigma_c^2] / (\\sum_t w_t)^2` with shares :math:`a_{tc}` of partner c; it takes the score as known. "HC1"
    does not know that partners resemble each other, so that it is too wide where matching explains the outcome. The
    bootstrap is not valid for matching with replacement.

    References
    ----------
    Abadie and Imbens (2006), Econometrica 74, 235-267, theorem 7; Abadie and Spiess (2022), JASA 117, 983-995;
    Cameron, Gelbach and Miller (2011), JBES 29, 238-249. R twin: ``lm(weights)`` with ``sandwich::vcovCL(type =
    "HC1")``.

    Examples
    --------
    >>> from evaluation.comparison.matching.matching import match
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame(
    ...     {"joined": [1, 1, 1, 0, 0, 0, 0], "age": [30, 40, 50, 31, 42, 49, 70], "y": [5.0, 7, 6, 4, 4, 5, 9]}
    ... )
    >>> pairs = match(survey_design(respondents), treatment="joined", covariates=["age"], distance="age")
    >>> matched_difference(pairs, outcome="y").estimate.round(6).tolist()
    [1.666667, 6.0, 4.333333]
    """
    if not isinstance(matched, Matched):
        raise EstimationError(
            f"{VERB} needs a matching, got {type(matched).__name__}. Match first: ev.match(design, treatment=..., "
            f"covariates=[...])."
        )
    if isinstance(neighbours, bool) or not isinstance(neighbours, (int, np.integer)) or neighbours < 1:
        raise EstimationError(f"{VERB}: neighbours must be a whole number of 1 or more, got {came(neighbours)}.")
    evidence = evidence_of(comparability, ADJUSTED, VERB, outcome, matched.design)
    kind = _kind(matched, std_error)
    everybody = groups_with(matched, outcome, VERB)
    answered = everybody.used & matched.groups.used
    weights = matched.weights_among(answered)
    if not (weights > 0).any():
        raise EstimationError(
            f"{VERB}: in no pair or matched set have both sides an answer to '{outcome}'. Was it asked "
            f"of one group only?"
        )
    design = matched.weighted(weights)
    groups = _among(everybody, weights > 0)
    made = estimate_difference(
        design, groups, verb=VERB, method="difference", outcome=outcome, treatment=matched.treatment, measure=measure,
        conf_level=conf_level,
    )  # fmt: skip
    if kind == "abadie_imbens":
        vcov, df, method = _by_neighbours(matched, made, answered, everybody.outcome, measure, neighbours)
    else:
        vcov, df, method = _by_clusters(matched, design, made, groups.used, kind)
    lost = int(((matched.weights > 0) & (weights == 0)).sum())
    return replace(
        made,
        vcov=vcov,
        df=df,
        engine=None,
        contributions=None,
        influence_of=None,
        method=method,
        fit={**made.fit, **_fit_record(matched, weights, lost), **evidence},
    )


def groups_with(matched: Matched, outcome: str, verb: str) -> Groups:
    """Return participants and others who answered; numbers are taken as they are, without looking for two levels."""
    column = matched.design.column(outcome)
    is_number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    family: Family | None = "gaussian" if is_number else None
    return groups_of(matched.design, treatment=matched.treatment, outcome=outcome, family=family, verb=verb)


def _among(groups: Groups, used: Mask) -> Groups:
    """Return the groups with some of their members only."""
    own = groups.participation
    changed = own.changed(np.where(used[:, None], own.x, 0.0), y=np.where(used, own.y, 0.0), used=used)
    return replace(groups, participation=changed, outcome=np.where(used, groups.outcome, 0.0))


def _kind(matched: Matched, asked: str | None) -> StdError:
    paired = matched.method in ("nearest", "full") and bool((matched.subclass >= 0).any())
    if asked is None:
        if matched.has_replacement and not _without_abadie_imbens(matched):
            return "abadie_imbens"
        return "pairs" if paired else "HC1"
    if asked not in STD_ERRORS:
        raise EstimationError(
            f"{VERB}: std_error must be one of {list(STD_ERRORS)}, got {asked!r}. {did_you_mean(asked, STD_ERRORS)}"
        )
    if asked == "pairs" and not (matched.subclass >= 0).any():
        raise EstimationError(
            f"{VERB}: std_error='pairs' needs sets that share nobody, but with replacement and several partners for "
            f"one everybody hangs together. Use std_error='abadie_imbens' or 'HC1', or match with ratio=1 and without "
            f"ties."
        )
    reason = _without_abadie_imbens(matched) if asked == "abadie_imbens" else ""
    if reason:
        raise EstimationError(f"{VERB}: std_error='abadie_imbens' {reason}")
    return cast(StdError, asked)


def _without_abadie_imbens(matched: Matched) -> str:
    """Return why a matching has no variance by Abadie and Imbens, and what it has; empty where it has one."""
    if matched.pairing is None:
        return (
            f"is for nearest neighbours, but the method is '{matched.method}'. Use std_error='pairs' (matched sets as "
            f"clusters) or 'HC1'."
        )
    if not _is_simple(matched.design):
        return (
            "takes respondents as independent, but the design has strata, sampling units, a finite population, "
            "weighting steps or replicates. Use std_error='pairs' or 'HC1', which count them."
        )
    if matched.option == "own" and np.ptp(matched.design.domain_weights[matched.groups.used]) > 0:
        return (
            "needs partners with the survey weight of those they stand for. Match with weights='participant', or use "
            "std_error='HC1'."
        )
    return ""


def _is_simple(design: Design) -> bool:
    """Tell whether every respondent is a sampling unit of its own, drawn with replacement from one stratum."""
    sampling = design.sampling
    first = sampling.stages[0]
    plain = len(sampling.stages) == 1 and first.n_strata == 1 and first.n_units == len(design) and not sampling.parts
    return plain and not design.steps and design.replicates is None and not first.unit_fraction.any()


def _by_clusters(
    matched: Matched, design: Design, made: Estimates, used: Mask, kind: StdError
) -> tuple[Floats, Floats, str]:
    """Return covariance, degrees of freedom and name of the error, by respondents or by pairs and sets."""
    contributions = cast(Callable[[], Floats], made.influence_of)()[used]
    cluster = np.unique(matched.subclass[used], return_inverse=True)[1] if kind == "pairs" else np.arange(used.sum())
    size = int(cluster.max()) + 1
    if kind == "pairs" and size < 2:
        raise EstimationError(
            f"{VERB}: one matched set alone gives no error by sets. Use std_error='HC1', or match in more sets."
        )
    if _is_simple(matched.design):
        n = len(contributions)
        if n < 3:
            raise EstimationError(f"{VERB}: {n} matched respondents give no standard error. Widen the caliper.")
        vcov = _among_clusters(contributions, cluster, size, design) * (n - 1) / (n - 2)
        name = "matched pairs (CR1)" if kind == "pairs" else "matched weights (HC1)"
        return vcov, np.full(3, float(size - 1 if kind == "pairs" else n - 2)), name
    name = f"{made.variance_method}, matched weights"
    if kind == "HC1":
        return made.vcov, made.df, name
    unit = design.sampling.stages[0].unit[used]
    cells, levels = crossed([cluster, unit], [size, int(unit.max()) + 1])
    partners = _among_clusters(contributions, cluster, size, design) - _among_clusters(
        contributions, cells, len(levels), design
    )
    whole = made.vcov + partners
    if (np.diag(whole) <= 0).any():
        return made.vcov, made.df, name
    return whole, made.df, f"{made.variance_method}, matched pairs"


def _among_clusters(contributions: Floats, cluster: Codes, size: int, design: Design) -> Floats:
    """Return the covariance of contributions by clusters of one stratum, drawn with replacement."""
    stage = Stage(cluster, np.zeros(size, dtype=np.int64), 1, np.zeros(1))
    engine = TaylorEngine(Sampling((stage,), design.data))
    return engine.covariance(sum_by(cluster, size, contributions))


def _by_neighbours(
    matched: Matched, made: Estimates, answered: Mask, y: Floats, measure: Measure, neighbours: int
) -> tuple[Floats, Floats, str]:
    """Return covariance, degrees of freedom and name of the error of Abadie and Imbens."""
    pairing = among(cast(Pairing, matched.pairing), answered)
    focal, n = np.unique(pairing.focal), len(y)
    weights = matched.design.domain_weights
    imputed = mass_by(pairing.focal, n, pairing.share * y[pairing.partner])
    deviations = weights[focal, None] * np.column_stack([y[focal], imputed[focal]])
    deviations -= weights[focal, None] * np.average(
        np.column_stack([y[focal], imputed[focal]]), axis=0, weights=weights[focal]
    )
    carried = pairing.share * weights[pairing.focal]
    repeated = mass_by(pairing.partner, n, carried) ** 2 - mass_by(pairing.partner, n, carried**2)
    among_means = deviations.T @ deviations
    variance = _own_variance(matched, answered, y, np.flatnonzero(repeated > 0), int(neighbours))
    among_means[1, 1] += repeated[repeated > 0] @ variance
    order = [1, 0] if matched.estimand != "ATC" else [0, 1]
    slope = _slope(made.estimate[2], made.estimate[1], measure)
    vcov = slope @ among_means[np.ix_(order, order)] @ slope.T / weights[focal].sum() ** 2
    return vcov, np.full(3, np.inf), "Abadie-Imbens"


def _slope(others: float, participants: float, measure: Measure) -> Floats:
    """Return the derivative of row 0 and the two means in the means of others and of participants, shape (3, 2)."""
    # Means of which a logarithm does not exist were refused before.
    with np.errstate(divide="ignore"):
        odds = [float(np.divide(1.0, mean * (1 - mean))) for mean in (others, participants)]
        ratios = [float(np.divide(1.0, mean)) for mean in (others, participants)]
    slopes = {
        "difference": (-1.0, 1.0),
        "log_risk_ratio": (-ratios[0], ratios[1]),
        "log_odds_ratio": (-odds[0], odds[1]),
    }
    if measure not in slopes:
        raise EstimationError(
            f"{VERB}: std_error='abadie_imbens' is for {list(slopes)}, but measure is {measure!r}. Use "
            f"std_error='pairs' or 'HC1'."
        )
    return np.array([slopes[measure], (0.0, 1.0), (1.0, 0.0)])


def _own_variance(matched: Matched, answered: Mask, y: Floats, rows: Codes, neighbours: int) -> Floats:
    """Return the variance of the answers of ``rows`` given what they were matched on, from the nearest of their kind.

    Who is as near as the last neighbour counts too, so that the order of rows does not matter.
    """
    if not len(rows):
        return np.zeros(0)
    kind = np.flatnonzero(matched.groups.members(1 if matched.estimand == "ATC" else 0) & answered)
    if len(kind) <= neighbours:
        raise EstimationError(
            f"{VERB}: {len(kind)} of the same group are too few for {neighbours} neighbours each. Use fewer neighbours."
        )
    # Everybody stands twice: as who looks, and as who is found; each finds oneself too, at distance zero.
    both = np.concatenate([rows, kind])
    sides = Candidates(np.arange(len(rows)), np.arange(len(rows), len(both)), np.zeros(len(both), dtype=np.int64))
    if matched.points is not None:
        found = nearest_by_covariates(
            sides, matched.points[both], ratio=neighbours + 1, caliper=np.inf, replacement=True, average_ties=True,
            order="data", seed=None,
        )  # fmt: skip
    else:
        scores = cast(Floats, matched.scores)[both]
        found = nearest_with_replacement(sides, scores, ratio=neighbours + 1, caliper=np.inf, average_ties=True)
    others = both[found.partner] != both[found.focal]
    who, near = found.focal[others], both[found.partner[others]]
    count = np.bincount(who, minlength=len(rows))
    mean = np.bincount(who, weights=y[near], minlength=len(rows)) / count
    return np.asarray(count / (count + 1) * (y[rows] - mean) ** 2)


def _fit_record(matched: Matched, weights: Floats, lost: int) -> dict[str, object]:
    record: dict[str, object] = {
        "estimand": matched.estimand,
        "matching": matched.method,
        "distance": matched.settings.get("distance"),
        "n_unmatched": matched.n_unmatched,
        "n_left_out": matched.groups.n_left_out + lost,
        "survey_weights": matched.option,
    }
    for name, group in (("participants", 1), ("comparison", 0)):
        own = weights[matched.groups.members(group) & (weights > 0)]
        record[f"ess_{name}"] = effective_number(own)
        record[f"largest_weight_share_{name}"] = float(own.max() / own.sum())
    return record
