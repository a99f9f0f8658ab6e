"""Subgroups: one difference in every level of some columns, whether it is the same in all, and what many tests cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from inspect import signature
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.comparison.adjustment.balancing import balancing_of, refuse_balanced
from evaluation.comparison.comparability import Comparability
from evaluation.comparison.effects import (
    ADJUSTED,
    UNADJUSTED,
    Measure,
    aipw,
    evidence_of,
    g_computation,
    group_difference,
    ipw,
    ipwra,
    regression_adjusted,
)
from evaluation.design.design import Design, domain, require_design
from evaluation.errors import ColumnError, EstimationError, IdentificationError, did_you_mean
from evaluation.estimation.arguments import column_names, require_choice, require_number
from evaluation.estimation.contrasts import joined
from evaluation.estimation.counterfactual import WITH_OUTCOME_MODEL, Estimand
from evaluation.estimation.domains import code_levels, is_text, levels_of, names_of
from evaluation.estimation.heterogeneity import OVERALL, RAW, can_be_held, equal_rows
from evaluation.estimation.multiplicity import adjusted, draws_asked, families_of, hypotheses, romano_wolf
from evaluation.estimation.small_counts import companion_of, fewest
from evaluation.regression.formula import variables_of, without
from evaluation.results import Estimates
from evaluation.survey.codebook import Codebook

Floats = NDArray[np.float64]
Names = str | Sequence[str]
Method = Literal["raw", "regression_adjusted", "g_computation", "ipw", "aipw", "ipwra"]
Families = Literal["all", "outcome", "subgroup"]

_VERBS: Mapping[str, Callable[..., Estimates]] = {
    "regression_adjusted": regression_adjusted,
    "g_computation": g_computation,
    "ipw": ipw,
    "aipw": aipw,
    "ipwra": ipwra,
}
#: What rows are called after a balancing step.
_BALANCED = {"propensity_weights": "ipw", "entropy_balance": "entropy", "cbps": "cbps"}
#: Key columns of which every combination is a family of tests; raw and adjusted rows never are one.
_WITHIN: Mapping[str, list[str]] = {
    "all": ["method"],
    "outcome": ["method", "term"],
    "subgroup": ["method", "term", "subgroup"],
}
#: Why a row has no estimate.
NO_PARTICIPANTS, NO_OTHERS, NOBODY = "nobody takes part", "everybody takes part", "no respondents"
ALIKE = "the outcome does not vary"
TOO_FEW, NOT_IDENTIFIED = "too few in a group", "the adjustment is not identified"
#: Why a row has an estimate but no test: its respondents lie in one sampling unit of each stratum.
NO_ERROR = "no sampling error can be estimated"


@dataclass(frozen=True, eq=False)
class _Asked:
    """What is estimated in every subgroup."""

    outcome: str
    treatment: str
    covariates: Names
    method: str
    plain: str
    estimand: Estimand
    measure: Measure
    conf_level: float
    minimum: int
    options: Mapping[str, Any]


def subgroup_effects(
    design: Design,
    *,
    outcome: Names,
    treatment: str,
    by: Names,
    covariates: Names = (),
    method: Method | None = None,
    estimand: Estimand = "ATT",
    measure: Measure = "difference",
    families: Families = "all",
    minimum: int = 10,
    replicates: int = 9_999,
    seed: int = 1,
    comparability: Comparability | None = None,
    conf_level: float = 0.95,
    **options: Any,
) -> Estimates:
    """Estimate a difference between participants and others in every subgroup, as it is and adjusted.

    Parameters
    ----------
    design : Design
        Any design. After a balancing step (``entropy_balance`` and the like) the differences are those of the balanced
        groups; what is balanced overall need not be so within a subgroup.
    outcome : str or list of str
        One or several.
    treatment : str
        As in ``group_difference``.
    by : str or list of str
        Columns whose levels are the subgroups, one column after the other; fixed before participation.
    covariates : str or list of str
        To adjust for; in a subgroup without its own column and without what is constant there.
    method : {"aipw", "ipwra", "ipw", "g_computation", "regression_adjusted", "raw"}, optional
        Of the adjusted rows, with all its models fitted within the subgroup; "raw" leaves the unadjusted rows alone.
        Default "aipw"; without covariates, and on a balanced design, "raw", which is all there is to do.
    estimand, measure
        As in ``ipw``.
    families : {"all", "outcome", "subgroup"}, default "all"
        Which tests are counted together: all of one method, those of one outcome, or those of one column.
    minimum : int, default 10
        A subgroup in which fewer take part, or fewer do not, keeps its row but has no estimate.
    replicates, seed : int
        Of the Romano-Wolf draws, as in ``stepdown``.
    comparability : Comparability, optional
        Declared comparison; a refused one raises.
    conf_level : float, default 0.95
        Of the intervals, each for itself.
    **options
        Further arguments of the method, such as ``family`` and ``missing``; unadjusted rows have no use for them.

    Returns
    -------
    Estimates
        Keys ``term``, ``subgroup`` (the column, or "overall" for everybody), ``level`` and ``method`` ("raw" or the
        method; of a balanced design "ipw", "entropy" or "cbps"). Columns ``n_participants``, ``n_comparison``;
        ``p_holm`` (to lead with), ``p_bh`` (to explore) and ``p_romano_wolf``, counted over the subgroups of a family
        and not over the overall rows; ``p_heterogeneity``, whether the levels of the column differ at all
        (``heterogeneity_test``); ``reason``, why a row has no estimate or no error, else empty. ``fit["refused"]`` has
        the whole reason by address.

    Raises
    ------
    ColumnError
        ``by`` names treatment, outcome, or a column that does not exist.
    IdentificationError
        The codebook says of a column of ``by`` that it was measured after participation.
    EstimationError
        A column of ``by`` has one level, no subgroup has an estimate, or the overall difference has none.

    Notes
    -----
    Subgroups are domains of one design: their influence values are zero outside them, but all keep every sampling
    unit, so estimates in the same units are not taken as independent. Degrees of freedom are those of the units that
    the subgroup reaches. That one subgroup is significant and another is not says nothing of their difference: look
    at ``p_heterogeneity``.

    References
    ----------
    Assmann, Pocock, Enos and Kasten (2000), Lancet 355, 1064-1069. R twin: ``survey::svyby`` with ``covmat = TRUE``,
    and ``p.adjust``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> answers = pd.DataFrame({"y": [1.0, 2, 3, 5, 1, 2, 6, 9], "joined": [0, 0, 1, 1, 0, 0, 1, 1],
    ...                         "sex": ["f", "f", "f", "f", "m", "m", "m", "m"]})
    >>> found = subgroup_effects(survey_design(answers), outcome="y", treatment="joined", by="sex", method="raw",
    ...                          minimum=2)
    >>> found.keys["level"].tolist(), found.estimate.tolist()
    (['', 'f', 'm'], [4.25, 2.5, 6.0])
    """
    verb = "subgroup_effects"
    require_design(design, verb)
    plain = _unadjusted(design, treatment)
    method = _method(method, plain, covariates)
    if method != RAW:
        refuse_balanced(design, treatment, f"{verb} with method='{method}'")
    ceiling = UNADJUSTED if method == plain == RAW else ADJUSTED
    evidence = evidence_of(comparability, ceiling, verb, outcome, design)
    require_choice(families, tuple(_WITHIN), f"{verb}: families")
    count, chosen = draws_asked(replicates, seed, verb)
    require_number(minimum, f"{verb}: minimum", least=1, move="It is a number of respondents.")
    outcomes, columns = names_of(outcome, verb), _columns_of(design, by, treatment, outcome, verb)
    _refuse_options(method, options)
    _refuse_covariates(covariates, method)
    levels = {name: _levels_of(design, name) for name in columns}
    asked = _Asked("", treatment, covariates, method, plain, estimand, measure, conf_level, int(minimum), options)
    whole, refused = _estimate_all(design, asked, outcomes, levels)
    fit = {
        **_told(asked),
        "families": families,
        "stepdown_replicates": count,
        "stepdown_seed": chosen,
        "n_without_subgroup": {name: _missing(design, name) for name in columns},
        "refused": refused,
        "of_shares": all(_is_share(design, name) for name in outcomes),
        **evidence,
    }
    whole = replace(whole, verb=verb, provenance=design.provenance, fit=fit)
    return _with_companions(_with_p_values(whole, families, count, chosen))


def _told(asked: _Asked) -> dict[str, object]:
    """Return what the result says of how it was made."""
    adjusted_for = {"estimand": asked.estimand, "covariates": list(variables_of(asked.covariates))}
    return {
        "treatment": asked.treatment,
        "adjusted_by": asked.plain if asked.method == RAW else asked.method,
        **({} if asked.method == RAW else adjusted_for),
        "measure": asked.measure,
        "minimum": asked.minimum,
    }


def _estimate_all(
    design: Design, asked: _Asked, outcomes: Sequence[str], levels: Mapping[str, list[Any]]
) -> tuple[Estimates, dict[str, str]]:
    """Return the rows of all outcomes with their joint covariance, and why rows have no estimate."""
    rows: list[Estimates] = []
    refused: dict[str, str] = {}
    for name in outcomes:
        for row, told in _of_outcome(design, replace(asked, outcome=name), levels):
            rows.append(row)
            refused |= {row.addresses()[0]: told} if told else {}
    whole = joined(rows)
    if not np.isfinite(whole.estimate[(whole.keys["subgroup"] != OVERALL).to_numpy()]).any():
        raise EstimationError(
            f"subgroup_effects: no subgroup of {', '.join(levels)} has an estimate. The first: "
            f"{next(iter(refused.values()))}"
        )
    return whole, refused


def _unadjusted(design: Design, treatment: str) -> str:
    """Return what rows are called in which no model is fitted: "raw", or how the groups were balanced before."""
    step = balancing_of(design)
    return RAW if step is None or step.treatment != treatment else _BALANCED[step.verb]


def _method(method: Method | None, plain: str, covariates: Names) -> Method:
    if method is None:
        return "aipw" if plain == RAW and len(variables_of(covariates)) else "raw"
    require_choice(method, (RAW, *_VERBS), "subgroup_effects: method")
    return method


def _columns_of(design: Design, by: Names, treatment: str, outcome: Names, verb: str) -> tuple[str, ...]:
    columns = column_names(by, f"{verb}: by", "'sex'")
    if not columns:
        raise ColumnError(
            f"{verb}: by names no column, so there are no subgroups. Write by='sex' or by=['sex', 'age']."
        )
    roles = {treatment: "treatment"} | dict.fromkeys(names_of(outcome, verb), "an outcome")
    for name in columns:
        if name in roles:
            raise ColumnError(
                f"{verb}: '{name}' is {roles[name].replace('treatment', 'the treatment')} and cannot make subgroups "
                f"too: within its levels there is nothing to compare. Leave it out of by."
            )
        design.column(name)
    book = design.provenance.labels
    later = [name for name in columns if isinstance(book, Codebook) and name in book and book[name].timing == "after"]
    if later:
        raise IdentificationError(
            f"{verb}: subgroups must be fixed before participation, but {book.place} says timing 'after' of "  # type: ignore[attr-defined]
            f"{', '.join(map(repr, later))}. Participation may have moved people between them: leave it out of by."
        )
    return columns


def _refuse_options(method: str, options: Mapping[str, Any]) -> None:
    taken = {"comparability", "conf_level", "measure", "estimand"}
    verbs = _VERBS.values() if method == RAW else [_VERBS[method]]
    known = {name for verb in verbs for name in signature(verb).parameters} - taken
    known -= {"design", "outcome", "treatment", "covariates"}
    for name in options:
        if name not in known:
            raise EstimationError(f"subgroup_effects: {method} has no argument '{name}'. {did_you_mean(name, known)}")


def _refuse_covariates(covariates: Names, method: str) -> None:
    named = variables_of(covariates)
    if method != RAW and not named:
        raise EstimationError(
            f"subgroup_effects: method='{method}' adjusts for covariates, but none are named. Name them, or write "
            f"method='raw' for differences as they are."
        )


def _levels_of(design: Design, name: str) -> list[Any]:
    levels = levels_of(design, name, "subgroup_effects")[0]
    here = code_levels(design.column(name), design.present)[0]
    if len(here) < 2:
        raise EstimationError(
            f"subgroup_effects: '{name}' has one level among respondents who count ({here[0]}), so there are no "
            f"subgroups to compare. Leave it out of by; ev.aipw gives the overall difference."
        )
    return levels


def _is_share(design: Design, name: str) -> bool:
    """Tell whether an outcome's means are shares, 0 to 1."""
    column = design.column(name)
    return is_text(column) or bool(column.dropna().between(0, 1).all())


def _missing(design: Design, name: str) -> int:
    return int((design.present & design.column(name).isna().to_numpy(dtype=bool)).sum())


def _of_outcome(design: Design, asked: _Asked, levels: Mapping[str, list[Any]]) -> Iterator[tuple[Estimates, str]]:
    """Yield the rows of one outcome, each with why it has no estimate; what is wrong with all of them raises."""
    yield _row(_raw(design, asked), asked, (OVERALL, "", asked.plain)), ""
    if asked.method != RAW:
        whole = _adjusted(design, asked, ())
        yield _row(whole, asked, (OVERALL, "", asked.method)), ""
        if asked.method in WITH_OUTCOME_MODEL and "family" not in asked.options:
            # What is seen within a subgroup must not change the model: a level may hold zeros alone.
            asked = replace(asked, options={**asked.options, "family": whole.fit["family"]})
    for column, codes in levels.items():
        for level in codes:
            yield from _within(design, asked, column, level)


def _within(design: Design, asked: _Asked, column: str, level: Any) -> Iterator[tuple[Estimates, str]]:
    """Yield the rows of one subgroup: as it is, then adjusted."""
    there = design.present & (design.column(column) == level).fillna(False).to_numpy(dtype=bool)
    counts = _arms(design, asked, there)
    reason = _reason(counts, there, asked.minimum) or _alike(design, asked, there)
    told = f"{column}={level}: {reason}" + (f", minimum {asked.minimum}." if reason == TOO_FEW else ".")
    raw = (column, level, asked.plain)
    yield (
        (_refused(design, asked, raw, counts, reason), told)
        if reason
        else (
            _row(_raw(domain(design, {column: level}), asked), asked, raw),
            "",
        )
    )
    if asked.method == RAW:
        return
    key = (column, level, asked.method)
    if reason:
        yield _refused(design, asked, key, counts, reason), told
        return
    inside = domain(design, {column: level})
    try:
        made = _adjusted(inside, asked, _constant(inside, asked.covariates, column))
    except EstimationError as error:
        # The message may count respondents, which a small cell does not allow.
        told = f"{column}={level}: {error if min(counts) >= design.provenance.min_cell else NOT_IDENTIFIED}"
        yield _refused(design, asked, key, counts, NOT_IDENTIFIED), told
        return
    yield _row(made, asked, key), ""


def _raw(design: Design, asked: _Asked) -> Estimates:
    return group_difference(
        design,
        outcome=asked.outcome,
        treatment=asked.treatment,
        measure=asked.measure,
        conf_level=asked.conf_level,
    )


def _adjusted(design: Design, asked: _Asked, left_out: Sequence[str]) -> Estimates:
    covariates = without(asked.covariates, left_out) if left_out else asked.covariates
    return _VERBS[asked.method](
        design,
        outcome=asked.outcome,
        treatment=asked.treatment,
        covariates=covariates,
        estimand=asked.estimand,
        measure=asked.measure,
        conf_level=asked.conf_level,
        **asked.options,
    )


def _constant(inside: Design, covariates: Names, column: str) -> list[str]:
    """Return covariates that say nothing within a subgroup: its own column, and what is the same for all."""
    return [
        name
        for name in variables_of(covariates)
        if name == column or inside.column(name)[inside.present].nunique(dropna=False) == 1
    ]


def _arms(design: Design, asked: _Asked, there: NDArray[np.bool_]) -> tuple[int, int]:
    """Count the others and the participants who answered, among the rows ``there``."""
    levels, code = code_levels(design.column(asked.treatment), design.present)
    answered = there & design.column(asked.outcome).notna().to_numpy(dtype=bool)
    last = len(levels) - 1
    return int((answered & (code == 0)).sum()), int((answered & (code == last)).sum())


def _reason(counts: tuple[int, int], there: NDArray[np.bool_], minimum: int) -> str:
    others, participants = counts
    if not there.any() or others + participants == 0:
        return NOBODY
    if not participants or not others:
        return NO_OTHERS if participants else NO_PARTICIPANTS
    return TOO_FEW if min(counts) < minimum else ""


def _alike(design: Design, asked: _Asked, there: NDArray[np.bool_]) -> str:
    """Tell where everybody among the rows ``there`` gave one answer, so that a difference would be rounding."""
    return ALIKE if design.column(asked.outcome)[there].nunique() == 1 else ""


def _row(made: Estimates, asked: _Asked, key: tuple[str, Any, str]) -> Estimates:
    """Return row 0 of a difference as a row of the subgroups."""
    row = made.take(np.array([0]))
    return replace(
        row,
        keys=_keys(asked, key),
        interval=None,
        columns=_columns(int(made.n_obs[2]), int(made.n_obs[1]), "" if row.df[0] > 0 else NO_ERROR),
        fit={},
    )


def _refused(
    design: Design, asked: _Asked, key: tuple[str, Any, str], counts: tuple[int, int], reason: str
) -> Estimates:
    """Return a row without an estimate, which tells why."""
    units = design.n_contributions if design.replicates is None else design.replicates.count + 1
    return Estimates(
        verb="subgroup_effects",
        keys=_keys(asked, key),
        estimate=np.array([np.nan]),
        vcov=np.array([[np.nan]]),
        df=np.array([np.nan]),
        n_obs=np.array([sum(counts)]),
        provenance=design.provenance,
        engine=design.engine,
        contributions=np.full((units, 1), np.nan),
        influence_of=lambda: np.full((len(design), 1), np.nan),
        conf_level=asked.conf_level,
        columns=_columns(*counts, reason),
        bases=np.array([min((count for count in counts if count), default=0)]),
    )


def _keys(asked: _Asked, key: tuple[str, Any, str]) -> pd.DataFrame:
    column, level, method = key
    keys = {"term": [asked.outcome], "subgroup": [column], "level": [level], "method": [method]}
    return pd.DataFrame(keys, dtype=object)


def _columns(others: int, participants: int, reason: str) -> dict[str, NDArray[Any]]:
    return {
        "n_participants": np.array([participants], dtype=np.int64),
        "n_comparison": np.array([others], dtype=np.int64),
        "reason": np.array([reason], dtype=object),
    }


def _with_p_values(whole: Estimates, families: Families, replicates: int, seed: int) -> Estimates:
    tests, family = hypotheses(whole), families_of(whole, _WITHIN[families], "subgroup_effects")
    raw = np.where(tests, whole.tidy()["p_value"], np.nan)
    made = {name: np.full(len(whole), np.nan) for name in ("p_holm", "p_bh")}
    for own in np.unique(family[tests]):
        for name in made:
            made[name][family == own] = adjusted(raw[family == own], name.removeprefix("p_"))
    made["p_romano_wolf"] = romano_wolf(whole, tests, family, replicates, seed)
    made["p_heterogeneity"] = _heterogeneities(whole)
    ordered = {name: values for name, values in whole.columns.items() if name != "reason"}
    return replace(whole, columns={**ordered, **made, "reason": whole.columns["reason"]})


def _with_companions(whole: Estimates) -> Estimates:
    """Hide a second level beside the only one of a column whose group is small: everybody less the others tell it."""
    cells = np.zeros(len(whole), dtype=np.int64) if whole.cell_counts is None else whole.cell_counts.copy()
    inside = whole.keys[whole.keys["subgroup"] != OVERALL]
    for rows in inside.groupby(["term", "subgroup", "method"], sort=False).groups.values():
        at = np.asarray(rows, dtype=np.int64)
        for name in ("n_participants", "n_comparison"):
            counts = whole.columns[name][at]
            place = companion_of(counts.tolist(), whole.provenance)
            if place is not None:
                cells[at[place]] = fewest([int(counts.min(where=counts > 0, initial=counts.max())), cells[at[place]]])
    return replace(whole, cell_counts=cells)


def _heterogeneities(whole: Estimates) -> Floats:
    """Return the p-value of equal differences for every row of a column's levels; missing where it cannot be."""
    made = np.full(len(whole), np.nan)
    columns = ["term", "subgroup", "method"]
    for key, rows in whole.keys[whole.keys["subgroup"] != OVERALL].groupby(columns, sort=False).groups.items():
        at = np.asarray(rows, dtype=np.int64)
        known = at[can_be_held(whole)[at]]
        if len(known) > 1:
            try:
                made[at] = equal_rows(whole.take(known), key[1]).p_value  # type: ignore[index]
            except EstimationError:
                continue
    return made
