"""Multiple imputation: one design per completed data set, and one result out of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from inspect import signature
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special, stats

from evaluation.design.declaration import survey_design
from evaluation.design.design import Design, require_design
from evaluation.design.sampling import Sampling
from evaluation.design.variance import ReplicateEngine, TaylorEngine
from evaluation.errors import ColumnError, DesignError, EstimationError, did_you_mean
from evaluation.estimation.arguments import is_number
from evaluation.results import NOISE, Estimates
from evaluation.survey.reading import Survey

Floats = NDArray[np.float64]
Rule = Literal["barnard_rubin", "mitools"]
METHOD = "imputation (Rubin, Barnard-Rubin df)"


def imputed_designs(
    data: Survey | pd.DataFrame | Sequence[pd.DataFrame],
    columns: Mapping[str, Sequence[str]] | None = None,
    **design: Any,
) -> list[Design]:
    """Declare one design per imputation.

    Parameters
    ----------
    data : Survey, DataFrame, or list of DataFrames
        One frame whose imputations stand in columns beside one another, or one completed frame per imputation with
        the same respondents in the same order.
    columns : mapping of name to list of columns, optional
        For one frame: the variable that each design shall have, and the columns its imputations stand in,
        e.g. ``{"income": ["income_1", "income_2", "income_3"]}``. Every variable has the same number of them.
    **design
        As for ``survey_design``: weights, strata, psu, fpc and so on.

    Returns
    -------
    list of Design
        To be weighted one by one where weighting is wanted, then handed to ``with_imputations``.

    Raises
    ------
    DesignError
        Fewer than two imputations, other numbers of them, or frames of other respondents.
    ColumnError
        A column does not exist, or an imputation still has missing values.

    Examples
    --------
    >>> frame = pd.DataFrame({"w": [1.0, 2.0], "age_1": [30, 41], "age_2": [30, 47]})
    >>> designs = imputed_designs(frame, {"age": ["age_1", "age_2"]}, weights="w")
    >>> [design.data["age"].tolist() for design in designs]
    [[30, 41], [30, 47]]
    """
    _refuse_unknown(design)
    if isinstance(data, (Survey, pd.DataFrame)):
        completed = _from_columns(data, columns or {})
    else:
        if columns is not None:
            raise DesignError("imputed_designs: columns= belong to one frame; several frames are completed already.")
        _refuse_other_respondents(data)
        completed = data
    if len(completed) < 2:
        raise DesignError(
            f"imputed_designs needs two imputations and more, got {len(completed)}: what differs between them is what "
            f"is not known."
        )
    return [survey_design(frame, **design) for frame in completed]


def _refuse_unknown(arguments: Mapping[str, Any]) -> None:
    known = list(signature(survey_design).parameters)[1:]
    unknown = [name for name in arguments if name not in known]
    if unknown:
        raise DesignError(
            f"imputed_designs: survey_design has no argument '{unknown[0]}'. {did_you_mean(unknown[0], known)}"
        )


def _from_columns(data: Survey | pd.DataFrame, columns: Mapping[str, Sequence[str]]) -> Sequence[Survey | pd.DataFrame]:
    frame = data.data if isinstance(data, Survey) else data
    if not isinstance(columns, Mapping):
        raise DesignError(
            f"imputed_designs: columns must map names to lists of columns, got {columns!r}. {_AS_WRITTEN}"
        )
    for name, sources in columns.items():
        if isinstance(sources, str) or not isinstance(sources, Iterable):
            raise DesignError(
                f"imputed_designs: expected a list of columns for '{name}', one per imputation, got {sources!r}. "
                f"{_AS_WRITTEN}"
            )
    columns = {name: list(sources) for name, sources in columns.items()}
    counts = {name: len(sources) for name, sources in columns.items()}
    if not counts:
        raise DesignError(
            "imputed_designs: name the imputed columns of the frame, {'income': ['income_1', 'income_2', ...]}, "
            "or pass one completed frame per imputation."
        )
    if len(set(counts.values())) > 1:
        raise DesignError(f"imputed_designs: every variable needs the same number of imputations, got {counts}.")
    for source in (source for sources in columns.values() for source in sources):
        if source not in frame.columns:
            raise ColumnError(f"no column '{source}' in the data. {did_you_mean(source, frame.columns)}")
        missing = frame[source].isna()
        if missing.any():
            raise ColumnError(
                f"imputed_designs: '{source}' is still missing in {int(missing.sum())} of {len(frame)} rows, so it is "
                f"no completed imputation.",
                failures=frame.loc[missing],
            )
    drawn = [
        frame.assign(**{name: frame[sources[i]] for name, sources in columns.items()})
        for i in range(next(iter(counts.values())))
    ]
    return [replace(data, data=one) for one in drawn] if isinstance(data, Survey) else drawn


_AS_WRITTEN = "Write {'income': ['income_1', 'income_2']}."


def _refuse_other_respondents(frames: Sequence[pd.DataFrame]) -> None:
    if isinstance(frames, (str, Mapping)) or not isinstance(frames, Sequence):
        raise DesignError(
            f"imputed_designs needs one frame with columns=, or a list of completed frames, got "
            f"{type(frames).__name__}."
        )
    for number, frame in enumerate(frames, start=1):
        if not isinstance(frame, pd.DataFrame):
            raise DesignError(
                f"imputed_designs: imputation {number} is a {type(frame).__name__}, expected a DataFrame."
            )
        if len(frame) != len(frames[0]) or set(frame.columns) != set(frames[0].columns):
            raise DesignError(
                f"imputed_designs: imputation {number} has {len(frame)} rows and {frame.shape[1]} columns, the first "
                f"{len(frames[0])} and {frames[0].shape[1]}. They must be the same respondents and columns."
            )


def with_imputations(
    designs: Sequence[Design],
    estimate: Callable[[Design], Estimates],
    *,
    complete_df: float | None = None,
    rule: Rule | None = None,
) -> Estimates:
    """Estimate on every imputation, and combine.

    Parameters
    ----------
    designs : list of Design
        From ``imputed_designs``.
    estimate : function of Design
        Makes the result, e.g. ``lambda design: ev.survey_mean(design, "income", by="district")``.
    complete_df, rule
        As in ``combine_imputations``.

    Returns
    -------
    Estimates

    Notes
    -----
    Whatever hangs on an imputed value belongs into the function: weighting, balancing weights, propensity scores and
    outcome models are then made anew in each imputation, and what differs between them is counted. Weights that are
    made once, from one imputation or from an average, leave that out. Adjusted p-values come last:
    ``ev.adjust_p_values(with_imputations(...))``.

    References
    ----------
    Barnard and Rubin (1999), Biometrika 86, 948-955; Leyrat et al. (2019), Statistical Methods in Medical Research 28,
    3-19 (propensity scores within imputations). R twins: ``mitools::with.imputationList`` and ``mitools::MIcombine``,
    ``MatchThem::weightthem``.

    Examples
    --------
    >>> from evaluation.estimation.means import survey_ratio
    >>> frame = pd.DataFrame({"cost_1": [2.0, 4.0, 6.0], "cost_2": [2.0, 4.0, 9.0], "hours": [1.0, 2.0, 2.0]})
    >>> designs = imputed_designs(frame, {"cost": ["cost_1", "cost_2"]})
    >>> with_imputations(designs, lambda design: survey_ratio(design, "cost", "hours")).estimate.tolist()
    [2.7]
    """
    if isinstance(designs, Design) or not isinstance(designs, Iterable):
        raise DesignError(
            f"with_imputations needs a list of designs, one per imputation, got {type(designs).__name__}. Make them "
            f"with ev.imputed_designs."
        )
    designs = list(designs)
    for design in designs:
        require_design(design, "with_imputations")
    if not callable(estimate):
        raise EstimationError(
            f"with_imputations: estimate must be a function of a design, got {type(estimate).__name__}. Write "
            f"lambda design: ev.survey_mean(design, 'income')."
        )
    weights = [design.base_weights for design in designs]
    _refuse_other_samples([design.sampling for design in designs], "with_imputations: design", weights)
    return combine_imputations([estimate(design) for design in designs], complete_df=complete_df, rule=rule)


def combine_imputations(
    results: Sequence[Estimates], *, complete_df: float | None = None, rule: Rule | None = None
) -> Estimates:
    """Combine the estimates of several imputations into one, with what imputation leaves unknown in its errors.

    Parameters
    ----------
    results : list of Estimates
        The same rows from each imputation: means, shares, coefficients, contrasts.
    complete_df : float, optional
        Degrees of freedom that complete data would have. Default: each row's own, those of the design; ``inf`` for
        Rubin's of 1987, which is what R's ``MIcombine`` takes unless told otherwise.
    rule : {"barnard_rubin", "mitools"}, optional
        How complete degrees of freedom shrink: by the paper's share :math:`1 - \\lambda` (default), or by
        :math:`W / (W + B)` as R's mitools, which is more (default for designs with ``linearization="r"``).

    Returns
    -------
    Estimates
        Further columns: variance ``within`` and ``between`` imputations, and ``missing_information``, the share of
        information that is missing (0 to 1). A row that an imputation refused, saying its ``reason``, is missing. No
        influence function: make contrasts within each imputation, and combine those.

    Raises
    ------
    EstimationError
        Fewer than two results, other rows, or standard errors that do not exist.

    Notes
    -----
    With m imputations, variances W within and B between, :math:`T = W + (1 + 1/m) B`, and :math:`\\lambda` the
    share of :math:`(1 + 1/m) B` in T: :math:`1/\\nu = \\lambda^2 / (m - 1) + 1 / \\nu_o` with
    :math:`\\nu_o = (1 - \\lambda)\\, \\nu_c (\\nu_c + 1) / (\\nu_c + 3)`.

    References
    ----------
    Rubin (1987), Multiple Imputation for Nonresponse in Surveys, section 3.3; Barnard and Rubin (1999), Biometrika
    86, 948-955. R twin: ``mitools::MIcombine(df.complete = )``; Stata: ``mi estimate: svy:``.

    Examples
    --------
    >>> frame = pd.DataFrame({"a_1": [1.0, 2.0, 3.0, 4.0], "a_2": [1.0, 2.0, 3.0, 6.0]})
    >>> from evaluation.estimation.means import survey_mean
    >>> designs = imputed_designs(frame, {"a": ["a_1", "a_2"]})
    >>> with_imputations(designs, lambda design: survey_mean(design, "a")).estimate.tolist()
    [2.75]
    """
    if isinstance(results, Estimates) or not isinstance(results, Iterable):
        raise EstimationError(
            f"combine_imputations needs a list of results, one per imputation, got {type(results).__name__}."
        )
    parts = list(results)
    _refuse_uncombinable(parts)
    if complete_df is not None and not (is_number(complete_df) and complete_df > 0):
        raise EstimationError(
            f"combine_imputations: complete_df must be above 0, got {complete_df!r}. Leave it out for those of the "
            f"design, or write a number."
        )
    rule = rule or ("mitools" if getattr(parts[0].engine, "chain", "exact") == "r" else "barnard_rubin")
    if rule not in ("barnard_rubin", "mitools"):
        raise EstimationError(f"combine_imputations: rule must be 'barnard_rubin' or 'mitools', got {rule!r}.")
    draws = np.vstack([part.estimate for part in parts])
    within = np.mean([part.vcov for part in parts], axis=0)
    between = np.atleast_2d(np.cov(np.where(np.ptp(draws, axis=0) > NOISE * np.abs(draws[0]), draws, draws[0]).T))
    own = np.min([part.df for part in parts], axis=0)
    complete = own if complete_df is None else np.full(len(own), float(complete_df))
    made = _rules(np.diag(within), np.diag(between), len(parts), complete, rule)
    first = parts[0]
    combined = Estimates(
        verb=first.verb,
        keys=first.keys.reset_index(drop=True),
        estimate=draws.mean(axis=0),
        vcov=within + (1 + 1 / len(parts)) * between,
        df=made.df,
        n_obs=np.min([part.n_obs for part in parts], axis=0),
        provenance=first.provenance,
        conf_level=first.conf_level,
        method=METHOD,
        columns={
            "within": np.diag(within),
            "between": np.diag(between),
            "missing_information": made.missing_information,
            **_reason_columns(parts),
        },
        fit={**_common(parts), "imputations": len(parts), "complete_data_variance": first.variance_method},
        bases=np.min([part.base_sizes for part in parts], axis=0),
        cell_counts=_fewest(parts),
    )
    return _with_logit_limits(combined) if first.interval_method == "logit" else combined


def _refuse_other_samples(samplings: Sequence[Sampling], what: str, weights: Sequence[Floats] = ()) -> None:
    """Raise an EstimationError where imputations are not those of one sample, whose errors alone can be combined."""
    for number, sampling in enumerate(samplings[1:], start=2):
        alike = _drawn_alike(sampling, samplings[0])
        if not alike or (weights and not np.array_equal(weights[number - 1], weights[0])):
            raise EstimationError(
                f"{what} {number} is of another sample than the first (other respondents, strata, sampling "
                f"units or design weights), so they are no imputations of one data set. Numbers of two "
                f"samples are compared with ev.independent_difference."
            )


def _drawn_alike(one: Sampling, other: Sampling) -> bool:
    """Tell whether two samplings are the same units of the same respondents, whose answers may differ."""
    names = [name for name in (one.strata, *one.psu) if name is not None]
    if (one.rules, one.strata, one.psu, len(one.stages)) != (other.rules, other.strata, other.psu, len(other.stages)):
        return False
    return (
        one.data.index.equals(other.data.index)
        and one.data[names].equals(other.data[names])
        and all(np.array_equal(mine.unit, own.unit) for mine, own in zip(one.stages, other.stages, strict=True))
    )


def _refuse_uncombinable(parts: Sequence[Estimates]) -> None:
    if len(parts) < 2:
        raise EstimationError(f"combine_imputations needs two results and more, got {len(parts)}.")
    for number, part in enumerate(parts, start=1):
        if not isinstance(part, Estimates):
            raise EstimationError(f"combine_imputations: result {number} is a {type(part).__name__}, not estimates.")
        if part.verb != parts[0].verb or part.addresses() != parts[0].addresses():
            strange = sorted(set(part.addresses()) ^ set(parts[0].addresses()))
            raise EstimationError(
                f"combine_imputations: result {number} has other rows than the first: {strange[:4] or part.verb}. Make "
                f"all of them with the same call; a level that one imputation lacks must be a category of the column."
            )
        if part.conf_level != parts[0].conf_level:
            raise EstimationError(
                f"combine_imputations: conf_level is {parts[0].conf_level} in the first result and {part.conf_level} "
                f"in result {number}. Make them with one level."
            )
    engines = [part.engine for part in parts if isinstance(part.engine, (TaylorEngine, ReplicateEngine))]
    _refuse_other_samples([engine.sampling for engine in engines], "combine_imputations: result")
    for number, part in enumerate(parts, start=1):
        without = np.isnan(np.diag(part.vcov)) & (_reasons(part) == "")
        if without.any():
            at = part.addresses()[int(np.flatnonzero(without)[0])]
            raise EstimationError(f"combine_imputations: '{at}' has no standard error in result {number}.")


def _reasons(part: Estimates) -> NDArray[np.object_]:
    """Return why rows of a result have no estimate, empty where they have one or it does not say, shape (k,)."""
    return np.asarray(part.columns.get("reason", np.full(len(part), "", dtype=object)), dtype=object)


def _reason_columns(parts: Sequence[Estimates]) -> dict[str, NDArray[np.object_]]:
    """Return the first reason that some imputation has for leaving a row out; nothing where results give none."""
    if not any("reason" in part.columns for part in parts):
        return {}
    found = zip(*(_reasons(part) for part in parts), strict=True)
    return {"reason": np.array([next(filter(None, own), "") for own in found], dtype=object)}


def _common(parts: Sequence[Estimates]) -> dict[str, Any]:
    """Return what ``glance()`` says alike of every imputation."""
    first, *others = (part.fit for part in parts)
    return {name: value for name, value in first.items() if all(str(other.get(name)) == str(value) for other in others)}


def _fewest(parts: Sequence[Estimates]) -> NDArray[np.int64] | None:
    counts = [part.cell_counts for part in parts if part.cell_counts is not None]
    return np.min(counts, axis=0) if len(counts) == len(parts) else None


@dataclass(frozen=True, eq=False)
class _Rules:
    """Degrees of freedom and share of missing information of each row, shape (k,)."""

    df: Floats
    missing_information: Floats


def _rules(within: Floats, between: Floats, m: int, complete: Floats, rule: Rule) -> _Rules:
    added = (1 + 1 / m) * between
    total = within + added
    share = np.divide(added, total, out=np.zeros_like(total), where=total > 0)
    counted = share if rule == "barnard_rubin" else share / (share + (1 - share) * (1 + 1 / m))
    with np.errstate(divide="ignore", invalid="ignore"):
        rubin = np.where(share > 0, (m - 1) / share**2, np.inf)
        rate = np.where(np.isinf(complete), 1.0, (complete + 1) / (complete + 3))
        observed = np.where(share < 1, rate * complete * (1 - counted), 0.0)
        df = np.where(observed > 0, 1 / (1 / rubin + 1 / observed), np.minimum(observed, 0.0))
        increase = share / (1 - share)
        known = np.where(np.isinf(increase), 1.0, (increase + 2 / (df + 3)) / (increase + 1))
    return _Rules(df, np.where(share > 0, known, 0.0))


def _with_logit_limits(combined: Estimates) -> Estimates:
    """Return shares with limits on the logit scale, as each imputation had them."""
    p, inner = combined.estimate, (combined.estimate > 0) & (combined.estimate < 1)
    safe = np.where(inner, p, 0.5)
    usable = np.where(combined.df > 0, combined.df, np.nan)
    half = stats.t.ppf((1 + combined.conf_level) / 2, usable) * combined.std_error / (safe * (1 - safe))
    centre = special.logit(safe)
    limits = np.column_stack([special.expit(centre - half), special.expit(centre + half)])
    return replace(combined, interval=np.where(inner[:, None], limits, np.nan), interval_method="logit")
