"""Matching: others who resemble participants, found without looking at any outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.comparison.adjustment.balancing import refuse_balanced
from evaluation.comparison.matching.coarsening import (
    Cells,
    Cutpoints,
    Rule,
    coarsened_cells,
    described,
    exact_cells,
    numbers_of,
)
from evaluation.comparison.matching.full_matching import full_sets
from evaluation.comparison.matching.matched import Matched, Method
from evaluation.comparison.matching.nearest import (
    ORDERS,
    Candidates,
    Order,
    Pairing,
    nearest_by_covariates,
    nearest_with_replacement,
    nearest_without_replacement,
    tied_scores,
)
from evaluation.comparison.matching.subclasses import SurveyWeights, Target, pair_weights, quantile_classes, set_weights
from evaluation.design.design import Design, require_design
from evaluation.errors import EstimationError, did_you_mean, require_flag
from evaluation.estimation.arguments import require_seed
from evaluation.estimation.group_checks import refuse_later, refuse_two_roles
from evaluation.estimation.groups import Groups, groups_of
from evaluation.estimation.missing_covariates import Missing, any_missing, refuse_missing_covariates, with_indicators
from evaluation.estimation.tilts import fitted_propensity
from evaluation.regression.formula import variables_of

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]
Names = str | Sequence[str]

SCORES = ("propensity", "logit")
METHODS = ("nearest", "exact", "cem", "subclass", "full")
#: Options that belong to some methods alone, and what leaves them out.
_OPTIONS: Mapping[str, tuple[tuple[str, ...], Any]] = {
    "replacement": (("nearest",), False),
    "ratio": (("nearest",), 1),
    "caliper": (("nearest",), None),
    "order": (("nearest",), "largest"),
    "average_ties": (("nearest",), False),
    "cutpoints": (("cem",), None),
    "subclasses": (("subclass",), 6),
    "exact": (("nearest", "cem", "full"), None),
}


def match(
    design: Design,
    *,
    treatment: str,
    covariates: Names,
    method: Method = "nearest",
    estimand: Target = "ATT",
    distance: str = "propensity",
    propensity: Literal["weighted", "unweighted"] = "weighted",
    replacement: bool = False,
    ratio: int = 1,
    caliper: float | None = None,
    std_caliper: bool = True,
    exact: Names | None = None,
    order: Order = "largest",
    average_ties: bool = False,
    cutpoints: Cutpoints | Rule | None = None,
    subclasses: int = 6,
    weights: SurveyWeights = "participant",
    missing: Missing = "refuse",
    seed: int | None = None,
) -> Matched:
    """Match others to participants by what was fixed before participation; no outcome is read.

    Parameters
    ----------
    design : Design
        Any design; its domain is where the groups are matched.
    treatment : str
        Two values: 0/1, boolean, or text whose second level stands for participants.
    covariates : str or list of str
        Names or a one-sided formula; for "exact" and "cem" names.
    method : {"nearest", "exact", "cem", "subclass", "full"}, default "nearest"
        The nearest of the others; all with equal values; all between the same cutpoints (coarsened exact matching);
        classes by quantiles of the score; sets of one and several, everybody in one, at the least total distance.
    estimand : {"ATT", "ATC", "ATE"}, default "ATT"
        Partners are sought for participants, or for the others ("ATC"). "ATE" is for matched sets.
    distance : {"propensity", "logit", "mahalanobis"} or str, default "propensity"
        By the fitted probability of participation, its log odds, several covariates at once in units of their
        pooled covariance within groups ("nearest" only), or a numeric column of that name.
    propensity : {"weighted", "unweighted"}, default "weighted"
        Whether survey weights enter the participation model.
    replacement : bool, default False
        Whether one of the others may serve several participants.
    ratio : int, default 1
        Partners for each. Without replacement everybody gets a first before anybody a second.
    caliper : float, optional
        Largest distance between partners, inclusive: in standard deviations of the distance measure over all who are
        used, or with ``std_caliper=False`` in its own units, as Mahalanobis distance needs.
    exact : str or list of str, optional
        Partners have equal values of these; for "cem" columns that are not coarsened.
    order : {"largest", "smallest", "data", "random"}, default "largest"
        Who chooses first without replacement: the largest score, the smallest, the first row, a lot with ``seed``.
        Mahalanobis distance has no largest: rows choose in their order, or by lot.
    average_ties : bool, default False
        With replacement, take all who are equally near, with equal shares: the result then does not depend on the
        order of rows.
    cutpoints : mapping of column to rule, or one rule, optional
        For "cem": a list of cutpoints, a number of equally wide bins, "sturges" (default), "scott", "fd", "q4" for
        quarters. A value on a cutpoint belongs to the higher bin.
    subclasses : int, default 6
        Classes of equally many members of the target group.
    weights : {"participant", "own"}, default "participant"
        Which survey weight matched others carry: that of those whom they stand for, or their own.
    missing : {"refuse", "complete_cases", "indicator"}, default "refuse"
        What to do with respondents who miss a covariate: say so, leave them out, or match on that it is missing.
    seed : int, optional
        Of ``order="random"``, which needs one.

    Returns
    -------
    Matched

    Raises
    ------
    ColumnError
        An unknown column, a missing covariate, a treatment without exactly two values.
    EstimationError
        Nobody within the caliper, too few others without replacement, an exact cell without others, no cell with
        both groups, negative weights, an option of another method.
    IdentificationError
        Covariates are collinear or tell the groups apart without overlap, or one was measured after participation.

    Notes
    -----
    On a score, nearest neighbours are found by sorting, and without replacement by links past those taken: about
    n log n steps, with the same pairs as going through all of them. Equally near: without ``average_ties`` the lower
    score, then the row that is nearest in the order of scores and rows. Mahalanobis distance uses a tree. Full
    matching needs a score; on a line its optimum is exact for any n. Calipers and limits to the size of sets are not
    offered for it.

    References
    ----------
    Stuart (2010), Statistical Science 25, 1-21; Iacus, King and Porro (2012), Political Analysis 20, 1-24; survey
    weights: Austin, Jembere and Chiu (2018), Statistical Methods in Medical Research 27, 1240-1257; Lenis, Nguyen,
    Dong and Stuart (2019), Biostatistics 20, 147-163. R twin: ``MatchIt::matchit``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"joined": [1, 1, 0, 0, 0], "age": [30, 50, 31, 45, 70]})
    >>> made = match(survey_design(respondents), treatment="joined", covariates=["age"], distance="age")
    >>> made.pairs[["participant", "comparison", "distance"]].values.tolist()
    [[0.0, 2.0, 1.0], [1.0, 3.0, 5.0]]
    """
    require_design(design, "match")
    refuse_balanced(design, treatment, "match")
    given = {
        "replacement": replacement, "ratio": ratio, "caliper": caliper, "order": order, "average_ties": average_ties,
        "cutpoints": cutpoints, "subclasses": subclasses, "exact": exact, "seed": seed,
    }  # fmt: skip
    _refuse_options(method, estimand, distance, propensity, weights, given)
    same = [] if exact is None else [exact] if isinstance(exact, str) else list(exact)
    groups, names = _groups(design, treatment, covariates, method, distance, same, missing)
    cells = _cells(groups, names, method, cutpoints, same)
    made = Matched(
        design, treatment, covariates, estimand, method, groups, None, np.full(len(design), -1, dtype=np.int64),
        np.zeros(len(design)), np.zeros(len(design), dtype=bool), None, None, weights, {}, design.provenance,
    )  # fmt: skip
    if method in ("exact", "cem"):
        settings: dict[str, Any] = {"cutpoints": cells.cuts} if method == "cem" else {}
        return _in_sets(replace(made, settings=settings), _filled(cells, groups))
    made = _measured(made, distance, propensity)
    if method == "subclass":
        return _in_classes(made, subclasses)
    _refuse_lonely_cells(design, groups, cells, made)
    if method == "full":
        settings = {**made.settings, "exact": same or None}
        return _in_sets(
            replace(made, settings=settings), full_sets(_candidates(made, cells), cast(Floats, made.scores))
        )
    options = {
        "replacement": replacement, "ratio": ratio, "order": None if replacement else order, "exact": same or None,
        "average_ties": average_ties, "seed": seed if order == "random" else None, "caliper": caliper,
    }  # fmt: skip
    return _in_pairs(replace(made, settings={**made.settings, **options}), cells, std_caliper)


def _refuse_options(
    method: str, estimand: str, distance: str, propensity: str, weights: str, given: Mapping[str, Any]
) -> None:
    for name, value, known in (
        ("method", method, METHODS),
        ("estimand", estimand, ("ATT", "ATC", "ATE")),
        ("propensity", propensity, ("weighted", "unweighted")),
        ("weights", weights, ("participant", "own")),
        ("order", given["order"], ORDERS),
    ):
        if value not in known:
            raise EstimationError(
                f"match: {name} must be one of {list(known)}, got {value!r}. {did_you_mean(value, known)}"
            )
    for name, (methods, absent) in _OPTIONS.items():
        value = given[name]
        if method not in methods and not (value is absent or (np.isscalar(value) and value == absent)):
            raise EstimationError(
                f"match: {name} belongs to method={' or '.join(map(repr, methods))}, but the method is '{method}'. "
                f"Leave {name} out."
            )
    for name in ("replacement", "average_ties"):
        require_flag(given[name], f"match: {name}", EstimationError)
    for name in ("ratio", "subclasses"):
        if isinstance(given[name], bool) or not isinstance(given[name], (int, np.integer)) or given[name] < 1:
            raise EstimationError(f"match: {name} must be a whole number of 1 or more, got {given[name]!r}.")
    if given["order"] == "random" and given["seed"] is None:
        raise EstimationError("match: order='random' draws lots, so that it needs a seed to give the same pairs again.")
    require_seed(given["seed"], "match")
    if given["average_ties"] and not given["replacement"]:
        raise EstimationError("match: average_ties needs replacement=True: without it each of the others serves once.")
    if estimand == "ATE" and method == "nearest":
        raise EstimationError(
            "match: nearest neighbours are sought for one group, so estimand='ATE' is not offered. Use 'ATT' or 'ATC', "
            "or method='full' or 'subclass'."
        )
    if distance == "mahalanobis" and method != "nearest":
        raise EstimationError(f"match: distance='mahalanobis' is for method='nearest'; '{method}' needs a score.")


def _groups(
    design: Design,
    treatment: str,
    covariates: Names,
    method: str,
    distance: str,
    exact: list[str],
    missing: Missing,
) -> tuple[Groups, list[str]]:
    """Return both groups with every value, and the columns whose values are compared one by one.

    Cells and columns need no model, in which collinear covariates would be refused.
    """
    named = variables_of(covariates)
    if not named:
        raise EstimationError("match: covariates name nothing to match on. Name what was fixed before participation.")
    if method in ("exact", "cem") and isinstance(covariates, str) and covariates.lstrip().startswith("~"):
        raise EstimationError(f"match: method='{method}' takes names of columns, got the formula {covariates!r}.")
    has_model = method not in ("exact", "cem") and distance in (*SCORES, "mahalanobis")
    by_value = [*named, *exact] if method in ("exact", "cem") else exact
    read = by_value if has_model or method in ("exact", "cem") else [*named, *by_value, distance]
    for names in (named, _once([*by_value, *read])):
        refuse_two_roles(treatment, names, False, "match")
        refuse_later(design, names, "match")
    asked: Names | Literal[False] = covariates if has_model else False
    groups = groups_of(design, treatment=treatment, covariates=asked, verb="match", missing=missing)
    if missing == "indicator":
        data, changed = with_indicators(groups.source, _once(by_value), groups.used)
        return replace(groups, source=replace(groups.source, data=data)), list(changed)
    if missing == "refuse":
        refuse_missing_covariates(design, _once(read), groups.used, "match")
    lost = any_missing(design, _once(read), groups.used)
    if lost.any():
        kept = replace(design, inside=groups.used & ~lost)
        groups = groups_of(kept, treatment=treatment, covariates=asked, verb="match")
        groups = replace(groups, n_left_out=int(design.present.sum() - groups.used.sum()), source=design)
    return groups, _once(by_value)


def _once(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _cells(
    groups: Groups, names: list[str], method: str, cutpoints: Cutpoints | Rule | None, exact: list[str]
) -> Cells:
    """Return the cells within which partners are sought: all of one where nothing is to be equal."""
    if method == "cem":
        return coarsened_cells(groups.source, names, groups.used, cutpoints, exact)
    return exact_cells(groups.source, names, groups.used)


def _filled(cells: Cells, groups: Groups) -> Codes:
    """Return the cells that hold both groups, numbered from 0, -1 for the others."""
    size = int(cells.code.max()) + 1
    both = np.logical_and(*(np.bincount(cells.code[groups.members(g)], minlength=size) > 0 for g in (0, 1)))
    if not both.any():
        raise EstimationError(
            f"match: no combination of {', '.join(cells.names)} holds participants and others, so nobody can be "
            f"matched. Use fewer covariates, wider cutpoints, or method='nearest'."
        )
    number = np.where(both, np.cumsum(both) - 1, -1)
    return np.where(groups.used, number[cells.code], -1)


def _measured(made: Matched, distance: str, propensity: str) -> Matched:
    """Return the matching with its distance measure."""
    design, used = made.design, made.groups.used
    settings: dict[str, Any] = {"distance": distance}
    if distance == "mahalanobis":
        return replace(made, points=_points(made.groups), settings=settings)
    if distance in SCORES:
        base = design.domain_weights if propensity == "weighted" else used.astype(float)
        scores = fitted_propensity(made.groups, base)[0]
        if distance == "logit":
            with np.errstate(divide="ignore"):
                scores = np.log(scores) - np.log1p(-scores)
        settings["formula"] = made.groups.participation.formula
    else:
        scores = numbers_of(design, distance, used)
    return replace(made, scores=np.where(used, tied_scores(scores, used), np.nan), settings=settings)


def _points(groups: Groups) -> Floats:
    """Return covariates whose plain distance is Mahalanobis distance by the pooled covariance within groups."""
    x = groups.participation.x
    columns = x[:, 1:] if groups.participation.terms[0] == "(Intercept)" else x
    centred = np.zeros_like(columns)
    for group in (0, 1):
        own = groups.members(group)
        centred[own] = columns[own] - columns[own].mean(axis=0)
    covariance = centred.T @ centred / max(int(groups.used.sum()) - 2, 1)
    values, vectors = np.linalg.eigh(covariance)
    if values[0] <= 1e-12 * values[-1]:
        raise EstimationError(
            "match: within the groups a covariate does not vary, or follows from the others, so that it has no "
            "Mahalanobis distance. Leave it out, or match on it with exact."
        )
    return np.asarray(columns @ (vectors / np.sqrt(values)))


def _candidates(made: Matched, cells: Cells) -> Candidates:
    focal = 0 if made.estimand == "ATC" else 1
    ours, theirs = (np.flatnonzero(made.groups.members(group)) for group in (focal, 1 - focal))
    return Candidates(ours, theirs, cells.code)


def _refuse_lonely_cells(design: Design, groups: Groups, cells: Cells, made: Matched) -> None:
    candidates = _candidates(made, cells)
    has_others = np.zeros(int(cells.code.max()) + 1, dtype=bool)
    has_others[cells.code[candidates.others]] = True
    alone = candidates.focal[~has_others[cells.code[candidates.focal]]]
    if len(alone):
        raise EstimationError(
            f"match: {len(alone):,} of {len(candidates.focal):,} have nobody of the other group in their cell of "
            f"exact={list(cells.names)}: {described(design, cells, alone)}. Merge levels, take a domain without these "
            f"cells with ev.domain, or take a column out of exact.",
            failures=pd.DataFrame(design.data.iloc[alone]),
        )


def _in_sets(made: Matched, sets: Codes) -> Matched:
    part, used = made.groups.members(1), made.groups.used
    weights = set_weights(sets, part, made.design.domain_weights, used, made.estimand, made.option)
    target = {"ATT": part, "ATC": used & ~part, "ATE": used}[made.estimand]
    return replace(made, subclass=np.where(weights > 0, sets, -1), weights=weights, discarded=target & (weights == 0))


def _in_classes(made: Matched, number: int) -> Matched:
    used, part, scores = made.groups.used, made.groups.members(1), cast(Floats, made.scores)
    target = {"ATT": part, "ATC": used & ~part, "ATE": used}[made.estimand]
    classes, bounds = quantile_classes(scores, target, used, number)
    return _in_sets(
        replace(made, settings={**made.settings, "subclasses": number, "cutpoints": bounds.tolist()}), classes
    )


def _in_pairs(made: Matched, cells: Cells, std_caliper: bool) -> Matched:
    settings = dict(made.settings)
    width = _width(made, settings["caliper"], std_caliper)
    settings["caliper_width"] = None if np.isinf(width) else width
    candidates = _candidates(made, cells)
    _refuse_too_few(made, candidates, np.isinf(width) and not cells.names)
    ratio = int(settings["ratio"])
    if made.points is not None:
        if settings["order"] == "largest":
            settings["order"] = "data"
        pairing = nearest_by_covariates(
            candidates, made.points, ratio=ratio, caliper=width, replacement=made.has_replacement,
            average_ties=settings["average_ties"], order=settings["order"] or "data",
            seed=settings["seed"],
        )  # fmt: skip
    elif made.has_replacement:
        pairing = nearest_with_replacement(
            candidates, cast(Floats, made.scores), ratio=ratio, caliper=width, average_ties=settings["average_ties"]
        )
    else:
        pairing = nearest_without_replacement(
            candidates, cast(Floats, made.scores), ratio=ratio, caliper=width,
            order=settings["order"], seed=settings["seed"],
        )  # fmt: skip
    if not len(pairing.focal):
        raise _nobody(made, candidates, width)
    weights = pair_weights(pairing, made.design.domain_weights, made.option)
    discarded = np.zeros(len(weights), dtype=bool)
    discarded[candidates.focal] = True
    discarded[pairing.focal] = False
    return replace(
        made,
        pairing=pairing,
        subclass=_sets_of(pairing, len(weights), made.has_replacement),
        weights=weights,
        discarded=discarded,
        settings=settings,
    )


def _sets_of(pairing: Pairing, n: int, has_replacement: bool) -> Codes:
    """Return the set of each row, shape (n,): who is matched to one member, or all to whom one partner is matched.

    There are none where members have several partners who serve others too.
    """
    sets = np.full(n, -1, dtype=np.int64)
    centre = pairing.focal
    if has_replacement:
        if np.bincount(pairing.focal, minlength=n).max() > 1:
            return sets
        centre = pairing.partner
    code = np.unique(centre, return_inverse=True)[1]
    sets[pairing.focal] = code
    sets[pairing.partner] = code
    return sets


def _width(made: Matched, caliper: float | None, std_caliper: bool) -> float:
    """Return the largest distance between partners, infinite for none."""
    require_flag(std_caliper, "match: std_caliper", EstimationError)
    if caliper is None:
        return np.inf
    if isinstance(caliper, bool) or not isinstance(caliper, (int, float, np.number)) or not 0 < float(caliper) < np.inf:
        raise EstimationError(f"match: caliper must be a number above zero, got {caliper!r}.")
    if not std_caliper:
        return float(caliper)
    if made.scores is None:
        raise EstimationError(
            "match: a Mahalanobis distance has no standard deviation of its own. Give the caliper in its units with "
            "std_caliper=False."
        )
    return float(caliper) * float(np.std(made.scores[made.groups.used], ddof=1))


def _refuse_too_few(made: Matched, candidates: Candidates, must_suffice: bool) -> None:
    wanted, there = len(candidates.focal) * int(made.settings["ratio"]), len(candidates.others)
    if made.has_replacement or not must_suffice or wanted <= there:
        return
    who = "others" if made.estimand == "ATC" else "participants"
    raise EstimationError(
        f"match: {len(candidates.focal):,} {who} want {made.settings['ratio']} partner(s) each, but there are "
        f"{there:,} to choose from ({there / len(candidates.focal):.2f} for each). Without replacement each serves "
        f"once: use replacement=True, method='full', a caliper that leaves out who has no counterpart, a smaller "
        f"ratio, or estimand='{'ATT' if made.estimand == 'ATC' else 'ATC'}'."
    )


def _nobody(made: Matched, candidates: Candidates, width: float) -> EstimationError:
    least = ""
    if made.scores is not None:
        closest = nearest_with_replacement(candidates, made.scores, ratio=1, caliper=np.inf, average_ties=False)
        least = f" The closest two are {closest.distance.min():.6g} apart."
    return EstimationError(
        f"match: nobody is within the caliper of {width:.6g}, so no pair is left.{least} Widen the caliper, or say "
        f"that the groups do not overlap."
    )
