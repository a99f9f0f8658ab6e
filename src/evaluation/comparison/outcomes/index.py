"""An index of several items: how it is put together, how it holds together, how two groups differ in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.comparison.comparability import Comparability
from evaluation.comparison.effects import ADJUSTED, UNADJUSTED, evidence_of
from evaluation.comparison.outcomes.index_scores import IndexScores, Method
from evaluation.comparison.outcomes.influences import smooth_function
from evaluation.comparison.outcomes.items import Items, contrary_items, item_rest, read_items
from evaluation.comparison.outcomes.scales import refuse_reversed_group
from evaluation.comparison.outcomes.standardised import adjustment, unadjusted
from evaluation.design.design import Design, require_design
from evaluation.design.variance import TaylorEngine
from evaluation.errors import ColumnError, EstimationError, require_flag
from evaluation.estimation.arguments import column_name, column_names, require_choice
from evaluation.estimation.diagnostic_frames import hidden, marks_of
from evaluation.estimation.groups import Groups, groups_of
from evaluation.estimation.moments import survey_covariance
from evaluation.results import NOISE, Estimates, VarianceEngine

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Missing = Literal["complete", "answered"]


@dataclass(frozen=True, eq=False, repr=False)
class OutcomeIndex(Estimates):
    """Difference of two groups in an index, with what the index is made of.

    Attributes
    ----------
    items : pandas.DataFrame
        One row per item: ``item``, ``is_reversed``, ``weight`` in units of its standard deviation, ``mean`` and ``sd``
        in the comparison group, ``item_rest`` (correlation with the sum of the others), ``is_contrary``, ``n_obs``;
        of an item that too few of the comparison group answered otherwise no number, and ``mark`` says why.
    scored : Design
        The design with the index as a further column, for other verbs, whose errors take the index as given.
    """

    items: pd.DataFrame = field(default_factory=pd.DataFrame, kw_only=True)
    scored: Design | None = field(default=None, kw_only=True)


def outcome_index(
    design: Design,
    items: Sequence[str],
    *,
    treatment: str,
    method: Method = "kling_liebman_katz",
    reversed: Sequence[str] | None = None,
    missing: Missing = "complete",
    minimum: int | None = None,
    rescale: bool | None = None,
    name: str = "index",
    comparability: Comparability | None = None,
    conf_level: float = 0.95,
) -> OutcomeIndex:
    """Estimate how participants and others differ in an index of several items.

    On a design with balancing weights the means are those of the balanced groups; the items are standardised by the
    comparison group as it was before, so that raw and adjusted differences are in one unit.

    Parameters
    ----------
    design : Design
        Any design; its domain is where the groups are compared.
    items : list of str
        Two numeric columns or more that measure one thing.
    treatment : str
        Two values: 0/1, boolean, or text whose second level stands for participants.
    method : {"kling_liebman_katz", "anderson", "mean"}, default "kling_liebman_katz"
        Mean of the items in standard deviations of the comparison group; the same weighted by the row sums of the
        inverse of their covariances among everybody, so that items that say the same count less; or the plain mean of
        the codes.
    reversed : sequence of str, optional
        Items of which a higher code means less; they are turned round. Default: as the codebook declares.
    missing : {"complete", "answered"}, default "complete"
        Who has a score: those who answered every item; or those who answered ``minimum`` of them, whose score is the
        weighted mean of the items they answered.
    minimum : int, optional
        For "answered": fewest items, default half of them, rounded up.
    rescale : bool, optional
        Divide the index by its own standard deviation in the comparison group, so that a difference of one is that
        spread. Default: for "anderson" only, as published.
    name : str, default "index"
        What the index is called in results, and the column of ``scored``.
    comparability : Comparability, optional
        Declared comparison; a refused one raises.
    conf_level : float, default 0.95
        Of the t interval.

    Returns
    -------
    OutcomeIndex
        Row 0 is the difference; then the means of participants and of the comparison group. ``items`` says how it is
        made; ``fit`` who is left out (``n_left_out``), and the rule for missing items.

    Raises
    ------
    ColumnError
        An unknown column or item, a direction against the codebook's, codes that are no answers, a name that is taken.
    EstimationError
        Nobody of a group has a score.
    IdentificationError
        An item does not vary, items are collinear, or a scale is reversed between the two groups.

    Warns
    -----
    ContraryItemWarning
        An item runs against the others and is not declared as reversed.

    Notes
    -----
    The error counts that means, standard deviations and covariances of the comparison group are estimated: with
    moments :math:`\\phi` the influence of a group's mean is
    :math:`IF_{\\bar s} + (\\partial \\bar s / \\partial \\phi)' IF_\\phi`, derivatives exact. An index that
    was made into a column before (``scored``) is taken as given by every other verb.

    References
    ----------
    Kling, Liebman and Katz (2007), Econometrica 75, 83-119; Anderson (2008), JASA 103, 1481-1495, section 3.2.1.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"a": [1, 2, 3, 2, 4, 3], "b": [1, 3, 2, 3, 3, 4], "joined": [0, 0, 0, 1, 1, 1]})
    >>> outcome_index(survey_design(respondents), ["a", "b"], treatment="joined").estimate.round(6).tolist()
    [1.428869, 1.428869, 0.0]
    """
    verb = "outcome_index"
    require_design(design, verb)
    items = column_names(items, f"{verb}: items", "'trust'")
    name = column_name(name, f"{verb}: name", "'trust_index'")
    _require_options(method, missing, minimum, len(items), name, design, verb)
    if treatment in items:
        raise ColumnError(f"{verb}: '{treatment}' is the treatment and cannot be an item too. Leave it out of items.")
    if rescale is not None:
        require_flag(rescale, f"{verb}: rescale", EstimationError)
    adjusted_by = adjustment(design)
    evidence = evidence_of(comparability, ADJUSTED if adjusted_by else UNADJUSTED, verb, name)
    base = unadjusted(design)
    read = read_items(base, items, reversed, verb)
    least = len(read.names) if missing == "complete" else minimum or -(-len(read.names) // 2)
    used = read.answered.sum(axis=1) >= least
    groups = groups_of(replace(base, inside=used & base.present), treatment=treatment, verb=verb)
    masks = {groups.levels[0]: groups.members(0), groups.levels[1]: groups.members(1)}
    values = np.where(read.answered, read.values, np.nan)
    refuse_reversed_group(values, read.names, base.domain_weights, masks, verb, base.data)
    is_rescaled = method == "anderson" if rescale is None else rescale
    index = IndexScores(read, groups.members(0), groups.used, method, is_rescaled)
    made = _difference(design, base, index, groups, name, conf_level)
    moments, _ = index.moments(base.domain_weights)
    table = _items_table(index, base, moments, verb)
    record = {
        "treatment": treatment,
        "participants": groups.levels[1],
        "comparison": groups.levels[0],
        "items": list(read.names),
        "reversed": list(read.turned),
        "method": method,
        "rescaled": is_rescaled,
        "missing_items": missing,
        "minimum_items": least,
        "contrary": table.loc[table["is_contrary"], "item"].tolist(),
        "n_left_out": int(base.present.sum()) - int(groups.used.sum()),
    }
    scored = _scored(design, base, index, moments, name)
    return replace(made, fit={**record, **adjusted_by, **evidence}, items=table, scored=scored)


def _require_options(
    method: str, missing: str, minimum: int | None, n_items: int, name: str, design: Design, verb: str
) -> None:
    require_choice(method, get_args(Method), f"{verb}: method")
    require_choice(missing, get_args(Missing), f"{verb}: missing")
    if minimum is not None and missing != "answered":
        raise EstimationError(f"{verb}: minimum={minimum!r} belongs to missing='answered'. Leave it out, or say so.")
    whole = isinstance(minimum, (int, np.integer)) and not isinstance(minimum, bool)
    if minimum is not None and not (whole and 1 <= minimum <= n_items):
        raise EstimationError(f"{verb}: minimum must be a number of items, 1 to {n_items}, got {minimum!r}.")
    if name in design.data.columns:
        raise ColumnError(
            f"{verb}: the data have a column '{name}' already. Call the index something else: name='...'."
        )


def _difference(
    design: Design, base: Design, index: IndexScores, groups: Groups, name: str, conf_level: float
) -> OutcomeIndex:
    members = [groups.members(1), groups.members(0)]
    others, participants = groups.counts()
    matrix = np.array([[1.0, -1.0], [1.0, 0.0], [0.0, 1.0]])
    moved = index.means(base.domain_weights, design.domain_weights, members, derive=True)
    engine: VarianceEngine
    if design.replicates is None:
        engine, contributions = _contributions(design, base, moved.before @ matrix.T, moved.after @ matrix.T)
    else:
        engine, contributions = design.engine, _refitted(design, base, index, members) @ matrix.T
    estimate, vcov = matrix @ moved.value, engine.covariance(contributions)
    # The comparison group's mean is zero whatever the weights: what is left of it is the noise of floating point.
    certain = (np.sqrt(np.diag(vcov)) < NOISE) & (np.abs(estimate) < NOISE)
    estimate, contributions = np.where(certain, 0.0, estimate), np.where(certain, 0.0, contributions)
    return OutcomeIndex(
        verb="outcome_index",
        keys=pd.DataFrame({"term": name, "quantity": ["difference", "mean_participants", "mean_comparison"]}),
        estimate=estimate,
        vcov=engine.covariance(contributions),
        df=np.full(3, float(design.degrees_of_freedom(groups.used))),
        n_obs=np.array([others + participants, participants, others]),
        bases=np.array([min(others, participants), participants, others]),
        cell_counts=np.full(3, index.rarest(members)),
        provenance=design.provenance,
        engine=engine,
        contributions=contributions,
        influence_of=lambda: (base.influence(moved.before) + design.influence(moved.after)) @ matrix.T,
        conf_level=conf_level,
    )


def _contributions(design: Design, base: Design, before: Floats, after: Floats) -> tuple[VarianceEngine, Floats]:
    """Return sums per sampling unit of what moves through the weights before and after balancing."""
    if design is base:
        return design.engine, design.contributions(before + after)
    engines = [one.engine for one in (base, design)]
    parts = [base.contributions(before), design.contributions(after)]
    first = engines[0]
    if not isinstance(first, TaylorEngine):
        raise EstimationError("outcome_index: a design without replicates must be linearized.")
    engine, rows = first.joined([one for one in engines if isinstance(one, TaylorEngine)], parts)
    k = before.shape[1]
    return engine, np.asarray(rows[:, :k] + rows[:, k:])


def _refitted(design: Design, base: Design, index: IndexScores, members: list[Mask]) -> Floats:
    """Return both groups' means on every replicate and, last, on the full sample, shape (R + 1, 2)."""
    rows = []
    for before, after in zip(base.replicate_weights(), design.replicate_weights(), strict=True):
        missing = np.full(2, np.nan)
        try:
            lost = np.isnan(before).any() or np.isnan(after).any()
            rows.append(missing if lost else index.means(before, after, members, derive=False).value)
        except EstimationError:
            rows.append(missing)
    full = index.means(base.domain_weights, design.domain_weights, members, derive=False).value
    return np.vstack([*rows, full])


def _items_table(index: IndexScores, base: Design, moments: Floats, verb: str) -> pd.DataFrame:
    read, weights = index.items, base.domain_weights
    correlations = item_rest(read, index.used, weights)
    contrary = contrary_items(read, correlations, int((index.used & read.complete).sum()), verb)
    means, spreads = [], []
    for place in range(len(read.names)):
        rows = index.reference & index.used & read.answered[:, place]
        own, y = weights[rows] / weights[rows].sum(), read.values[rows, place]
        means.append(own @ y)
        spreads.append(np.sqrt(own @ (y - own @ y) ** 2))
    frame = pd.DataFrame(
        {
            "item": read.names,
            "is_reversed": [name in read.turned for name in read.names],
            "weight": index.weights_of_items(moments),
            "mean": means,
            "sd": spreads,
            "item_rest": correlations,
            "is_contrary": [name in contrary for name in read.names],
            "n_obs": [int((index.used & answered).sum()) for answered in read.answered.T],
        }
    )
    few = np.array([index.rarest([index.reference & index.used], place) for place in range(len(read.names))])
    return hidden(frame, ["item", "is_reversed", "is_contrary"], marks_of(few, base.provenance, bases=False))


def _scored(design: Design, base: Design, index: IndexScores, moments: Floats, name: str) -> Design:
    """Return the design with everybody's score as a column, missing where there is none."""
    raw = index.scores(moments)
    if index.is_rescaled:
        rows = index.reference & index.used
        own = base.domain_weights[rows] / base.domain_weights[rows].sum()
        level = own @ raw[rows]
        raw = (raw - level) / np.sqrt(own @ (raw[rows] - level) ** 2)
    return replace(design, data=design.data.assign(**{name: np.where(index.used, raw, np.nan)}))


def cronbach_alpha(
    design: Design,
    items: Sequence[str],
    *,
    reversed: Sequence[str] | None = None,
    name: str = "index",
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate how well items hold together: Cronbach's alpha, standardised, and without each item.

    Parameters
    ----------
    design : Design
        Any design; respondents who miss an item are left out.
    items : list of str
        Two numeric columns or more.
    reversed : sequence of str, optional
        Items of which a higher code means less. Default: as the codebook declares.
    name : str, default "index"
        What the items together are called.
    conf_level : float, default 0.95
        Of the t interval.

    Returns
    -------
    Estimates
        ``quantity`` "alpha" and "alpha_standardised" (of the correlations), then "alpha_without" with the item as
        ``term`` (three items or more). The column ``unweighted`` is the same of the respondents, each counted once.

    Raises
    ------
    ColumnError
        Fewer than two items, or a direction against the codebook's.
    EstimationError
        Nobody answered all items, or none varies.

    Warns
    -----
    ContraryItemWarning
        An item runs against the others and is not declared as reversed.

    Notes
    -----
    With p items of covariance :math:`C`: :math:`\\alpha = \\frac{p}{p-1} (1 - \\mathrm{tr}\\, C / 1'C1)`. Its error
    is the delta method's, on the design's covariance of :math:`C`.

    References
    ----------
    Cronbach (1951), Psychometrika 16, 297-334. R twins: ``psych::alpha``, ``survey::svycralpha``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> answers = pd.DataFrame({"a": [1, 2, 3, 4], "b": [2, 1, 4, 3], "c": [1, 2, 4, 4]})
    >>> cronbach_alpha(survey_design(answers), ["a", "b", "c"]).estimate.round(4).tolist()
    [0.9123, 0.9112, 0.8675, 0.967, 0.75]
    """
    verb = "cronbach_alpha"
    require_design(design, verb)
    name = column_name(name, f"{verb}: name", "'trust_index'")
    read = read_items(design, items, reversed, verb)
    correlations = item_rest(read, design.present, design.domain_weights)
    contrary = contrary_items(read, correlations, int((read.complete & design.present).sum()), verb)
    turned = replace(design, data=design.data.assign(**_columns(read)))
    covariance = survey_covariance(turned, list(read.names), conf_level=conf_level)
    flat = [term for term, value in zip(covariance.keys["term"], covariance.estimate, strict=True) if value == 0]
    if set(flat) & set(read.names):
        raise EstimationError(f"{verb}: {', '.join(map(repr, flat))} does not vary. Leave it out.")
    p = len(read.names)
    without = list(range(p)) if p > 2 else []

    def function(x: NDArray[Any]) -> NDArray[Any]:
        matrix = _matrix(x, p)
        spread = np.sqrt(np.diag(matrix))
        found = [_alpha(matrix), _alpha(matrix / np.outer(spread, spread))]
        found += [_alpha(np.delete(np.delete(matrix, j, axis=0), j, axis=1)) for j in without]
        return np.array(found)

    keys = pd.DataFrame(
        {
            "term": [name, name, *(read.names[j] for j in without)],
            "quantity": ["alpha", "alpha_standardised", *["alpha_without"] * len(without)],
        }
    )
    made = smooth_function(covariance, function, verb=verb, keys=keys)
    rows = read.values[read.complete & design.present]
    plain = function(np.cov(rows, rowvar=False)[np.triu_indices(p)])
    record = {
        "outcome": name,
        "items": list(read.names),
        "reversed": list(read.turned),
        "contrary": contrary,
        "n_left_out": int(design.present.sum()) - len(rows),
    }
    return replace(made, columns={"unweighted": np.asarray(plain, dtype=float)}, fit=record)


def _columns(read: Items) -> dict[str, Floats]:
    values = np.where(read.answered, read.values, np.nan)
    return dict(zip(read.names, values.T, strict=True))


def _matrix(upper: NDArray[Any], p: int) -> NDArray[Any]:
    matrix = np.zeros((p, p), dtype=upper.dtype)
    rows, columns = np.triu_indices(p)
    matrix[rows, columns] = upper
    matrix[columns, rows] = upper
    return matrix


def _alpha(matrix: NDArray[Any]) -> Any:
    p = len(matrix)
    return p / (p - 1) * (1 - np.trace(matrix) / matrix.sum())
