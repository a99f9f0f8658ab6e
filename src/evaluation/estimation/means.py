"""Means, totals, shares and ratios, by domain, under the design and the whole weighting chain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.contributions import keeps_factors
from evaluation.design.design import Design, require_design
from evaluation.errors import EstimationError
from evaluation.estimation.contrasts import joined
from evaluation.estimation.domains import (
    Cells,
    Outcomes,
    cells_by,
    counting,
    counts,
    degrees_of_freedom,
    is_text,
    levels_of,
    names_of,
    outcomes_of,
)
from evaluation.estimation.proportion_intervals import (
    BY_SIZE,
    Interval,
    require_df,
    require_kind,
    with_proportion_interval,
)
from evaluation.estimation.totals import Centred, Column, Level, Ratios, domain_totals, ratios
from evaluation.results import Estimates

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
DesignEffect = bool | Literal["replace"]
Names = str | Sequence[str]

#: Values looked at before a whole column is searched for anything but 0 and 1.
LOOK_FIRST = 4096


def survey_mean(
    design: Design,
    variables: Names,
    *,
    by: Names | None = None,
    deff: DesignEffect = False,
    listwise: bool = False,
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate population means of numeric variables.

    Parameters
    ----------
    design : Design
        From ``survey_design``, weighted or not.
    variables : str or list of str
        Numeric columns; a missing answer leaves its respondent out of that variable only.
    by : str or list of str, optional
        Columns whose combinations are the domains; the covariance between domains is kept.
    deff : bool or "replace", default False
        Add the design effect against simple random sampling without replacement; "replace": with replacement, which
        is what weights that do not sum to the population call for.
    listwise : bool, default False
        Leave a respondent out of all variables where one is missing, as R does.
    conf_level : float, default 0.95
        Of the t interval on the domain's design degrees of freedom.

    Returns
    -------
    Estimates
        One row per variable and domain.

    Raises
    ------
    ColumnError
        A column does not exist or is text.
    EstimationError
        Nobody who counts answered.

    Notes
    -----
    :math:`\\hat{\\bar y}_d = \\sum_{i \\in d} w_i y_i / \\sum_{i \\in d} w_i`, influence
    :math:`w_i (y_i - \\hat{\\bar y}_d) / \\hat N_d`. A domain is a part of the full design: units without
    a respondent in it still count for the variance.

    References
    ----------
    Särndal, Swensson and Wretman (1992), section 5.7. R twins: ``survey::svymean``, ``survey::svyby``;
    Stata: ``svy: mean``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"y": [1.0, 2.0, 3.0, 6.0], "w": [1.0, 1.0, 1.0, 1.0]})
    >>> survey_mean(survey_design(respondents, weights="w"), "y").std_error.round(6).tolist()
    [1.080123]
    """
    require_design(design, "survey_mean")
    _require_deff(deff, "survey_mean")
    outcomes = outcomes_of(design, variables, listwise=listwise, verb="survey_mean")
    cells = cells_by(design, by)
    made = _means(design, outcomes, cells)
    extra: dict[str, NDArray[Any]] = {}
    if deff:
        extra["deff"] = _design_effect(made, design, outcomes.values, outcomes.answered, cells, deff, of_total=False)
    keys = _keys([(name, None) for name in outcomes.names], cells)
    means = _estimates("survey_mean", design, made, keys, cells, outcomes.masks, conf_level, extra)
    return replace(means, cell_counts=_rarer_answers(design, outcomes, cells))


def _means(design: Design, outcomes: Outcomes, cells: Cells) -> Ratios:
    """Form means by domain from sums about each variable's overall mean, so that large means lose no digits."""
    weights, columns, below = design.domain_weights, [], []
    masks: list[Mask | None] = []
    for values, mask in zip(outcomes.columns, outcomes.masks, strict=True):
        total = weights.sum() if mask is None else weights[mask].sum()
        centre = float(weights @ values / total)
        columns.append(Centred(values, centre, mask))
        if not any(mask is known for known in masks):
            masks.append(mask)
        below.append((next(place for place, known in enumerate(masks) if known is mask), centre))
    p, q, d = len(columns), len(columns) + len(masks), np.arange(len(cells))
    answered = [mask if mask is None else mask.astype(float) for mask in masks]
    totals = domain_totals(design, [*columns, *answered], cells)
    at = np.concatenate([d * q + p + place for place, _ in below])
    return ratios(totals, _positions(len(cells), p, q), at, np.repeat([centre for _, centre in below], len(cells)))


def _rarer_answers(design: Design, outcomes: Outcomes, cells: Cells) -> NDArray[np.int64]:
    """Count those who gave the rarer answer to each 0/1 item by domain; 0 where nobody did, or for other numbers."""
    found = []
    for values, mask in zip(outcomes.columns, outcomes.masks, strict=True):
        rows = counting(design, cells, mask)
        if not (_is_binary(values[:LOOK_FIRST]) and _is_binary(values if rows is None else values[rows])):
            found.append(np.zeros(len(cells), dtype=np.int64))
            continue
        ones = np.bincount(cells.group, values * (True if rows is None else rows), minlength=cells.n_groups)
        zeros = counts(design, cells, mask) - ones[: len(cells)]
        rarer = np.minimum(ones[: len(cells)], zeros)
        found.append(rarer.astype(np.int64))
    return np.concatenate(found)


def _is_binary(values: Floats) -> bool:
    return bool(((values == 0) | (values == 1)).all())


def survey_total(
    design: Design,
    variables: Names,
    *,
    by: Names | None = None,
    deff: DesignEffect = False,
    listwise: bool = False,
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate population totals: sums of numeric variables, counts of the levels of text variables.

    Parameters
    ----------
    design : Design
        Its weights must sum to the population, not to the sample.
    variables : str or list of str
        Numeric columns, or text columns whose levels are counted; not both at once. A missing answer
        adds nothing: the total is that of those who answer.
    by : str or list of str, optional
        Columns whose combinations are the domains.
    deff : bool or "replace", default False
        Add the design effect against simple random sampling without replacement; "replace": with replacement, which
        is what weights that do not sum to the population call for.
    listwise : bool, default False
        Leave a respondent out of all variables where one is missing.
    conf_level : float, default 0.95
        Of the t interval.

    Returns
    -------
    Estimates
        One row per variable (and level) and domain.

    Raises
    ------
    ColumnError
        A column does not exist.
    EstimationError
        Text and numeric columns are mixed, or nobody answered.

    References
    ----------
    Särndal, Swensson and Wretman (1992), result 5.8.1. R twin: ``survey::svytotal``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"y": [1.0, 2.0], "kind": ["a", "b"], "w": [10.0, 20.0]})
    >>> survey_total(survey_design(respondents, weights="w"), "kind").tidy()["estimate"].tolist()
    [10.0, 20.0]
    """
    require_design(design, "survey_total")
    _require_deff(deff, "survey_total")
    names = names_of(variables, "survey_total")
    text = [is_text(design.column(name)) for name in names]
    if any(text) and not all(text):
        raise EstimationError(f"survey_total: {names} mixes text and numeric columns. Ask for them one call each.")
    cells = cells_by(design, by)
    if any(text):
        return _of_levels("survey_total", design, names, cells, conf_level, deff=deff)
    outcomes = outcomes_of(design, names, listwise=listwise, verb="survey_total")
    terms = [(name, None) for name in outcomes.names]
    made = ratios(domain_totals(design, outcomes.columns, cells), _positions(len(cells), len(terms), len(terms)), None)
    extra: dict[str, NDArray[Any]] = {}
    if deff:
        extra["deff"] = _design_effect(made, design, outcomes.values, outcomes.answered, cells, deff, of_total=True)
    return _estimates("survey_total", design, made, _keys(terms, cells), cells, outcomes.masks, conf_level, extra)


def survey_prop(
    design: Design,
    variables: Names,
    *,
    by: Names | None = None,
    interval: Interval = "logit",
    df: float | None = None,
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate shares of the levels of categorical variables, 0 to 1.

    Parameters
    ----------
    design : Design
        Any design.
    variables : str or list of str
        Text, boolean or coded columns; the shares of one variable's levels sum to one in each domain.
    by : str or list of str, optional
        Columns whose combinations are the domains.
    interval : {"logit", "beta", "wilson", "likelihood", "asin", "xlogit", "t"}, default "logit"
        Kind of limits, see ``evaluation.estimation.proportion_intervals``. All but "t" stay within 0 and 1; at a
        share of 0 or 1 only "beta" (Clopper-Pearson), "wilson" and "likelihood" have limits.
    df : float, optional
        Degrees of freedom instead of the design's own, which are those of the units with an answer in the domain.
        R's ``svyciprop`` also counts units in which nobody answered: ``df=design.degrees_of_freedom()``.
    conf_level : float, default 0.95
        Of the interval.

    Returns
    -------
    Estimates
        One row per variable, domain and level.

    Raises
    ------
    EstimationError
        An unknown kind of interval, or nobody answered.

    References
    ----------
    Korn and Graubard (1999), Analysis of Health Surveys, section 3.2. R twins: ``survey::svymean`` of a
    factor, ``survey::svyciprop``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"answer": ["no", "yes", "yes", "yes"]})
    >>> survey_prop(survey_design(respondents), "answer").tidy()["estimate"].tolist()
    [0.25, 0.75]
    """
    require_design(design, "survey_prop")
    require_kind(interval)
    require_df(df, "survey_prop")
    if interval in BY_SIZE:
        design.require_no_negative_weights(f"survey_prop: interval='{interval}'")
    names = names_of(variables, "survey_prop")
    cells = cells_by(design, by)
    estimates = _of_levels("survey_prop", design, names, cells, conf_level)
    if df is not None:
        estimates = replace(estimates, df=np.full(len(estimates), float(df)))
    drawn = np.tile(counts(design, cells, np.ones(len(design), dtype=bool)), len(estimates) // len(cells))
    return _ordered_by_domain(with_proportion_interval(estimates, interval, drawn))


def survey_ratio(
    design: Design,
    numerator: str,
    denominator: str,
    *,
    by: Names | None = None,
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate the ratio of two population totals.

    Parameters
    ----------
    design : Design
        Any design.
    numerator, denominator : str
        Numeric columns; a respondent counts who answered both.
    by : str or list of str, optional
        Columns whose combinations are the domains.
    conf_level : float, default 0.95
        Of the t interval.

    Returns
    -------
    Estimates
        ``term`` is ``"numerator/denominator"``.

    Raises
    ------
    EstimationError
        The denominator's total is zero.

    References
    ----------
    Särndal, Swensson and Wretman (1992), section 5.6. R twin: ``survey::svyratio``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"tested": [8.0, 9.0], "enrolled": [10.0, 10.0]})
    >>> survey_ratio(survey_design(respondents), "tested", "enrolled").tidy()["estimate"].tolist()
    [0.85]
    """
    require_design(design, "survey_ratio")
    if numerator == denominator:
        raise EstimationError(f"survey_ratio: '{numerator}' over itself is 1 whatever was answered. Name two columns.")
    outcomes = outcomes_of(design, [numerator, denominator], listwise=True, verb="survey_ratio")
    cells = cells_by(design, by)
    totals = domain_totals(design, outcomes.columns, cells)
    at = _positions(len(cells), 1, 2)
    zero = (totals.estimate[at + 1] == 0) & (counts(design, cells, outcomes.masks[0]) > 0)
    if zero.any():
        place = cells.name(int(np.flatnonzero(zero)[0]))
        where = f" in domain {place}" if place else ""
        raise EstimationError(f"survey_ratio: the total of '{denominator}' is zero{where}, so there is no ratio.")
    made = ratios(totals, at, at + 1)
    keys = _keys([(f"{numerator}/{denominator}", None)], cells)
    return _estimates("survey_ratio", design, made, keys, cells, outcomes.masks[:1], conf_level, {})


def _positions(n_cells: int, k: int, q: int) -> NDArray[np.int64]:
    return (np.arange(n_cells)[None, :] * q + np.arange(k)[:, None]).ravel()


def _of_levels(
    verb: Literal["survey_total", "survey_prop"],
    design: Design,
    names: Sequence[str],
    cells: Cells,
    conf_level: float,
    *,
    deff: DesignEffect = False,
) -> Estimates:
    """Count the levels of categorical variables by domain, or take their shares; a level is a cell of its own."""
    parts = []
    for name in names:
        levels, code = levels_of(design, name, verb)
        answered = code >= 0
        crossed = np.where((code >= 0) & (cells.code >= 0), cells.code * len(levels) + code, -1)
        at = _positions(len(cells), len(levels), len(levels))
        made = _levels_made(design, code, crossed, len(levels), cells, shares=verb == "survey_prop")
        inside = crossed[(crossed >= 0) & design.present]
        chosen = np.bincount(inside, minlength=len(cells) * len(levels))[at]
        extra: dict[str, NDArray[Any]] = {}
        if deff:
            indicators = (code[:, None] == np.arange(len(levels))).astype(float)
            each = np.repeat(answered[:, None], len(levels), axis=1)
            extra["deff"] = _design_effect(made, design, indicators, each, cells, deff, of_total=True)
        keys = _keys([(name, level) for level in levels], cells)
        part = _estimates(verb, design, made, keys, cells, (answered,), conf_level, extra)
        parts.append(replace(part, cell_counts=chosen))
    return joined(parts)


def _levels_made(design: Design, code: Codes, crossed: Codes, k: int, cells: Cells, *, shares: bool) -> Ratios:
    """Count the k levels by domain, or take their shares: each a cell of its own, a column where tables are large."""
    d, answered = np.arange(len(cells)), (code >= 0).astype(float)
    if design.replicates is None and keeps_factors(design.sampling, len(cells), k + shares):
        columns: list[Column] = [Level(code, level) for level in range(k)]
        totals = domain_totals(design, [*columns, answered] if shares else columns, cells)
        at = _positions(len(cells), k, k + shares)
        return ratios(totals, at, np.tile(d * (k + 1) + k, k) if shares else None)
    totals = domain_totals(design, [None], Cells(crossed, pd.DataFrame(index=range(len(cells) * k))))
    at = _positions(len(cells), k, k)
    if not shares:
        return ratios(totals, at, None)
    return ratios(totals, at, np.tile(d, k), below=domain_totals(design, [answered], cells))


def _keys(terms: Sequence[tuple[str, Any]], cells: Cells) -> pd.DataFrame:
    rows = []
    for term, level in terms:
        for by in cells.keys.to_dict("records"):
            own: dict[str, Any] = {"term": term} if level is None else {"term": term, "level": level}
            rows.append({**own, **{str(name): value for name, value in by.items()}})
    return pd.DataFrame(rows)


def _estimates(
    verb: str,
    design: Design,
    made: Ratios,
    keys: pd.DataFrame,
    cells: Cells,
    masks: Sequence[Mask | None],
    conf_level: float,
    columns: dict[str, NDArray[Any]],
) -> Estimates:
    times = len(keys) // (len(cells) * len(masks))
    distinct = {id(mask): mask for mask in masks}
    sizes = {key: (counts(design, cells, m), degrees_of_freedom(design, cells, m)) for key, m in distinct.items()}
    n_obs = np.tile(np.concatenate([sizes[id(mask)][0] for mask in masks]), times)
    df = np.tile(np.concatenate([sizes[id(mask)][1] for mask in masks]), times)
    return Estimates(
        verb=verb,
        keys=keys,
        estimate=made.estimate,
        vcov=design.engine.covariance(made.contributions),
        df=df.astype(float),
        n_obs=n_obs,
        provenance=design.provenance,
        engine=design.engine,
        contributions=made.contributions,
        influence_of=made.influence,
        conf_level=conf_level,
        columns=columns,
    )


def _require_deff(deff: object, verb: str) -> None:
    if not isinstance(deff, bool) and deff != "replace":
        raise EstimationError(f"{verb}: deff must be True, False or 'replace', got {deff!r}.")


def _design_effect(
    made: Ratios,
    design: Design,
    values: Floats,
    answered: Mask,
    cells: Cells,
    deff: DesignEffect,
    *,
    of_total: bool,
) -> Floats:
    effects = []
    variances = np.diag(design.engine.covariance(made.contributions)).reshape(values.shape[1], len(cells))
    for j in range(values.shape[1]):
        for d in range(len(cells)):
            rows = answered[:, j] & design.present & (cells.code == d)
            w, y, n = design.weights[rows], values[rows, j], int(rows.sum())
            size = w.sum()
            spread = (w * (y - (w * y).sum() / size) ** 2).sum() / size * n / (n - 1) if n > 1 else np.nan
            left = 1.0 if deff == "replace" else 1 - n / size
            simple = spread / n * left * (size**2 if of_total else 1.0)
            effects.append(variances[j, d] / simple if simple > 0 else np.nan)
    return np.array(effects)


def _ordered_by_domain(estimates: Estimates) -> Estimates:
    others = [name for name in estimates.keys.columns if name not in ("term", "level")]
    if not others:
        return estimates
    group = estimates.keys.groupby(["term", *others], sort=False).ngroup()
    first = estimates.keys["term"].map({t: i for i, t in enumerate(estimates.keys["term"].unique())})
    return estimates.take(np.lexsort([group.to_numpy(), first.to_numpy()]))
