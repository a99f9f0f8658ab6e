"""Who was drawn and who answered: response rates, how those who answer differ, and two samples side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.declaration import survey_design
from evaluation.design.design import Design, domain, require_design
from evaluation.design.variance import ReplicateEngine, TaylorEngine
from evaluation.errors import EstimationError, IdentificationError
from evaluation.estimation.contrasts import bases_of, joined
from evaluation.estimation.domains import is_text, names_of
from evaluation.estimation.means import survey_mean, survey_prop
from evaluation.estimation.propensity_moments import variance_of
from evaluation.estimation.representativity import propensities_of, require_response
from evaluation.results import Estimates, Provenance, frame_html, plain
from evaluation.survey.dispositions import read_dispositions
from evaluation.survey.reading import Survey

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Names = str | Sequence[str]
Disposition = Literal["complete", "partial", "refusal", "noncontact", "other", "unknown", "ineligible"]

#: Columns that stand in for complete and partial interviews while rates are estimated.
_COMPLETE, _ANY = "evaluation_complete", "evaluation_complete_or_partial"
#: Our words for AAPOR's categories.
_OWN_WORDS: dict[str, Disposition] = {
    "I": "complete",
    "P": "partial",
    "R": "refusal",
    "NC": "noncontact",
    "O": "other",
    "UH": "unknown",
    "UO": "unknown",
    "NE": "ineligible",
}
_COUNTS = ("n_complete", "n_partial", "n_ineligible")


@dataclass(frozen=True, eq=False)
class ResponseTable:
    """Sample and response by disposition.

    Attributes
    ----------
    rows : pandas.DataFrame
        First all, then every level of each ``by`` column: ``term``, ``level``, ``n_drawn``, ``n_complete``, with
        declared codes also ``n_partial`` and ``n_ineligible``; ``response_rate`` (unweighted), with partial
        interviews also ``response_rate_partial``; ``response_rate_weighted`` with ``std_error``, ``conf_low``,
        ``conf_high``. Rates are 0 to 1.
    disposition : str
        Column of the disposition.
    provenance : Provenance
        For captions and manifests.
    """

    rows: pd.DataFrame
    disposition: str
    provenance: Provenance

    def tidy(self) -> pd.DataFrame:
        """Return one row per group."""
        return self.rows.copy()

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        rows = [{str(name): plain(value) for name, value in row.items()} for row in self.rows.to_dict("records")]
        return {"verb": "response_table", "provenance": self.provenance.to_dict(), "rows": rows}

    def __repr__(self) -> str:
        body = self.rows.to_string(index=False, float_format=lambda value: f"{value:.6g}")
        return f"response_table: {self.provenance.survey}, by {self.disposition}\n{body}"

    def _repr_html_(self) -> str:
        return frame_html(self.rows)


def response_table(
    sample: Design | Survey,
    *,
    disposition: str,
    codes: Mapping[Any, str] | None = None,
    by: Names | None = None,
    conf_level: float = 0.95,
) -> ResponseTable:
    """Count who was drawn and who responded, with unweighted and weighted rates.

    Parameters
    ----------
    sample : Design or Survey
        All who were drawn, nonrespondents with their design weights; a Survey brings its own design.
    disposition : str
        Column of 0 (no answer) and 1 (responded), of AAPOR's code numbers, or of codes that ``codes`` explains.
    codes : mapping of code to disposition, optional
        "complete", "partial", "refusal", "noncontact", "other", "unknown" (eligibility not known) or "ineligible";
        all that ``response_rates``, which has every rate of AAPOR's, understands.
    by : str or list of str, optional
        Columns whose levels follow one under another, not crossed.
    conf_level : float, default 0.95
        Of the t interval of the weighted rate.

    Returns
    -------
    ResponseTable

    Raises
    ------
    ColumnError
        A column does not exist, a disposition is missing or has no meaning.
    EstimationError
        Nonrespondents bear no weight, so that every weighted rate would be 1.

    Notes
    -----
    Rates are complete interviews, or complete and partial ones, over all drawn but the ineligible; who might be
    ineligible counts as eligible. These are RR1 and RR2, the most cautious.

    References
    ----------
    AAPOR (2016), Standard Definitions, 9th edition.

    Examples
    --------
    >>> drawn = pd.DataFrame({"responded": [1, 0, 1, 1], "kind": ["a", "a", "b", "b"]})
    >>> table = response_table(survey_design(drawn), disposition="responded", by="kind").tidy()
    >>> table[["level", "n_drawn", "n_complete", "response_rate"]].to_numpy().tolist()
    [['', 4, 3, 0.75], ['a', 2, 1, 0.5], ['b', 2, 2, 1.0]]
    """
    design = survey_design(sample) if isinstance(sample, Survey) else sample
    require_design(design, "response_table")
    meaning = _meaning(design, disposition, codes)
    drawn = np.ones(len(design), dtype=bool) if design.inside is None else design.inside
    unweighted = drawn & (design.weights == 0) & (meaning != "complete")
    if unweighted.any() and not (design.present & (meaning != "complete")).any():
        raise EstimationError(
            f"response_table: none of the {int(unweighted.sum()):,} nonrespondents has a weight, so every weighted "
            f"rate would be 1. Declare the design with the design weights of all who were drawn."
        )
    eligible = meaning != "ineligible"
    flags = {_COMPLETE: meaning == "complete", _ANY: np.isin(meaning, ("complete", "partial"))}
    extended = design.data.assign(**{name: np.where(eligible, flag, np.nan) for name, flag in flags.items()})
    design = replace(design, data=extended)
    parts = [_rates(design, disposition, None, meaning, drawn, conf_level)]
    for name in names_of(by, "response_table") if by else ():
        parts.append(_rates(design, disposition, name, meaning, drawn, conf_level))
    rows = pd.concat(parts, ignore_index=True)
    if codes is None:
        rows = rows.drop(columns=["n_partial", "n_ineligible", "response_rate_partial"])
    return ResponseTable(rows, disposition, design.provenance)


def _meaning(design: Design, name: str, codes: Mapping[Any, str] | None) -> NDArray[np.object_]:
    """Return the disposition of each row as one of our words; nonrespondents of a 0/1 column are "other"."""
    column = design.column(name)
    if codes is None and not is_text(column) and column.dropna().isin([0, 1]).all() and not column.isna().any():
        return np.where(column.to_numpy(dtype=float) == 1, "complete", "other").astype(object)
    place, meanings = read_dispositions(column, codes, np.ones(len(design), dtype=bool), "response_table")
    return np.array([_OWN_WORDS.get(meaning, "") for meaning in meanings], dtype=object)[place]


def _rates(
    design: Design, disposition: str, by: str | None, meaning: NDArray[np.object_], drawn: Mask, conf_level: float
) -> pd.DataFrame:
    rate = survey_mean(design, [_COMPLETE, _ANY], by=by, conf_level=conf_level)
    own = np.flatnonzero((rate.keys["term"] == _COMPLETE).to_numpy())
    levels: list[Any] = [""] if by is None else rate.keys[by].iloc[own].tolist()
    code = np.zeros(len(design), dtype=np.int64) if by is None else _places(design.column(by), levels)
    counted = {"n_drawn": drawn} | {name: drawn & (meaning == name[2:]) for name in _COUNTS}
    counts = {
        name: np.bincount(code[rows & (code >= 0)], minlength=len(levels)).astype(np.int64)
        for name, rows in counted.items()
    }
    with np.errstate(divide="ignore", invalid="ignore"):
        eligible = (counts["n_drawn"] - counts["n_ineligible"]).astype(float)
        complete, partial = counts["n_complete"] / eligible, counts["n_partial"] / eligible
    limits = rate.confidence_interval()[own]
    return pd.DataFrame(
        {
            "term": disposition if by is None else by,
            "level": pd.Series([str(level) for level in levels], dtype=object),
            **counts,
            "response_rate": complete,
            "response_rate_partial": complete + partial,
            "response_rate_weighted": rate.estimate[own],
            "std_error": rate.std_error[own],
            "conf_low": limits[:, 0],
            "conf_high": limits[:, 1],
        }
    )


def _places(column: pd.Series, levels: list[Any]) -> NDArray[np.int64]:
    return np.asarray(pd.Index(levels).get_indexer(pd.Index(column.tolist())), dtype=np.int64)


def response_contrast(design: Design, *, responded: str, variables: Names, conf_level: float = 0.95) -> Estimates:
    """Estimate how respondents differ from all who were drawn, on what the frame knows of everybody.

    Parameters
    ----------
    design : Design
        All who were drawn, with design weights; unadjusted for nonresponse.
    responded : str
        Column of 1 (responded) and 0.
    variables : str or list of str
        Columns known for all: numbers give a mean, others the share of each level.
    conf_level : float, default 0.95
        Of the t interval.

    Returns
    -------
    Estimates
        One row per variable or level: the mean of respondents less that of all drawn. Both are of one sample and
        share people, so the error is that of the difference. Columns ``mean_respondents``, ``mean_drawn``, ``smd``
        (difference over the standard deviation among all drawn). ``fit["r_indicator"]`` is 1 less twice the
        standard deviation of the fitted response probabilities: 1 where the variables say nothing of who answers;
        missing where no model exists.

    Raises
    ------
    ColumnError
        A column does not exist or is no 0/1.
    EstimationError
        A variable is missing for somebody drawn, or nobody or everybody responded.

    Notes
    -----
    A small difference here is no proof that answers are unbiased: what moves response may stand in no frame.

    References
    ----------
    Schouten, Cobben and Bethlehem (2009), Survey Methodology 35, 101-113 (R-indicator).

    Examples
    --------
    >>> drawn = pd.DataFrame({"responded": [1, 0, 1, 0], "age": [20.0, 30.0, 40.0, 50.0]})
    >>> response_contrast(survey_design(drawn), responded="responded", variables="age").estimate.tolist()
    [-5.0]
    """
    require_design(design, "response_contrast")
    names = list(names_of(variables, "response_contrast"))
    require_response(design, responded, names, "response_contrast")
    inside = domain(design, {responded: 1})
    pairs = [(_composition(inside, name), _composition(design, name)) for name in names]
    answered, drawn = (joined([pair[side] for pair in pairs]) for side in (0, 1))
    if answered.contributions is None or drawn.contributions is None or drawn.engine is None:
        raise EstimationError("response_contrast: the means have no influence function, so their difference has none.")
    contributions = answered.contributions - drawn.contributions
    upper, lower = answered.influence_of, drawn.influence_of
    spread = np.concatenate([_spread(design, name) for name in names])
    difference = answered.estimate - drawn.estimate
    with np.errstate(divide="ignore", invalid="ignore"):
        smd = np.where(spread > 0, difference / spread, np.where(difference == 0, 0.0, np.nan))
    return Estimates(
        verb="response_contrast",
        keys=drawn.keys,
        estimate=difference,
        vcov=drawn.engine.covariance(contributions),
        df=drawn.df,
        n_obs=answered.n_obs,
        provenance=design.provenance,
        engine=drawn.engine,
        contributions=contributions,
        influence_of=None if upper is None or lower is None else lambda: upper() - lower(),
        conf_level=conf_level,
        bases=answered.base_sizes,
        cell_counts=answered.cell_counts,
        columns={"mean_respondents": answered.estimate, "mean_drawn": drawn.estimate, "smd": smd},
        fit={"responded": responded, "n_drawn": int(design.present.sum()), "n_respondents": int(inside.present.sum())}
        | _r_indicator(design, responded, names),
    )


def _composition(design: Design, name: str) -> Estimates:
    text = is_text(design.column(name))
    found = survey_prop(design, name, interval="t") if text else survey_mean(design, name)
    keys = found.keys if text else found.keys.assign(level=None)
    return replace(found, keys=keys[["term", "level"]])


def _spread(design: Design, name: str) -> Floats:
    """Return the weighted standard deviation of a number, or of each level's indicator."""
    weights, column = design.domain_weights, design.column(name)
    if is_text(column):
        shares = survey_prop(design, name, interval="t").estimate
        return np.asarray(np.sqrt(shares * (1 - shares)))
    values = np.where(design.present, column.to_numpy(dtype=float, na_value=np.nan), 0.0)
    mean = weights @ values / weights.sum()
    return np.array([np.sqrt(weights @ (values - mean) ** 2 / weights.sum())])


def _r_indicator(design: Design, responded: str, names: list[str]) -> dict[str, Any]:
    try:
        found = propensities_of(design, responded, names)
    except (IdentificationError, EstimationError) as error:
        return {"r_indicator": np.nan, "r_indicator_missing": str(error)}
    variance = variance_of(found.fitted(found.coefficients), design.domain_weights[found.model.used])
    return {"r_indicator": 1 - 2 * variance.root().value}


def independent_difference(one: Estimates, other: Estimates, *, conf_level: float = 0.95) -> Estimates:
    """Estimate the difference between numbers of two samples that were drawn independently.

    Parameters
    ----------
    one, other : Estimates
        The same rows (or one row each) from two samples without common sampling units. For numbers of one sample
        use ``contrast``, which knows their covariance.
    conf_level : float, default 0.95
        Of the t interval.

    Returns
    -------
    Estimates
        For each row the difference ``one - other``, the first and the second (column ``quantity``).
        Degrees of freedom of the difference after Satterthwaite.

    Raises
    ------
    EstimationError
        The samples are one, or share sampling units; the rows differ.

    Notes
    -----
    The variance is the sum of the two; that the samples are independent is the caller's word, checked only as far
    as the names of the sampling units tell.

    Examples
    --------
    >>> from evaluation.estimation.means import survey_mean
    >>> here, there = (survey_design(pd.DataFrame({"y": y})) for y in ([1.0, 2.0, 3.0], [4.0, 4.0, 7.0]))
    >>> independent_difference(survey_mean(here, "y"), survey_mean(there, "y")).estimate.tolist()
    [-3.0, 2.0, 5.0]
    """
    _refuse_common_units(one, other)
    other = _aligned(one, other)
    k = len(one)
    matrix = np.vstack([np.hstack([np.eye(k), -np.eye(k)]), np.eye(2 * k)])
    both = np.zeros((2 * k, 2 * k))
    both[:k, :k], both[k:, k:] = one.vcov, other.vcov
    first, second = np.diag(one.vcov), np.diag(other.vcov)
    with np.errstate(divide="ignore", invalid="ignore"):
        df = (first + second) ** 2 / (first**2 / one.df + second**2 / other.df)
    order = (np.arange(3 * k).reshape(3, k).T).ravel()
    quantities = np.repeat(["difference", "mean_first_sample", "mean_second_sample"], k)
    keys = pd.concat([one.keys] * 3, ignore_index=True).assign(quantity=quantities)
    result = Estimates(
        verb="independent_difference",
        keys=keys,
        estimate=matrix @ np.concatenate([one.estimate, other.estimate]),
        vcov=matrix @ both @ matrix.T,
        df=np.concatenate([df, one.df, other.df]),
        n_obs=np.concatenate([one.n_obs + other.n_obs, one.n_obs, other.n_obs]),
        bases=np.concatenate([np.minimum(bases_of(one), bases_of(other)), bases_of(one), bases_of(other)]),
        provenance=_both(one.provenance, other.provenance),
        conf_level=conf_level,
        method=f"{one.variance_method} + {other.variance_method}, independent samples",
        fit={"first": dict(one.provenance.title), "second": dict(other.provenance.title)},
    )
    return result.take(order)


def _refuse_common_units(one: Estimates, other: Estimates) -> None:
    engines = [result.engine for result in (one, other)]
    first, second = (engine.sampling if isinstance(engine, TaylorEngine | ReplicateEngine) else None
                     for engine in engines)  # fmt: skip
    if first is None or second is None:
        return
    if first.is_same_sample(second):
        raise EstimationError(
            "independent_difference: both numbers are of one sample, so they are not independent. Use ev.contrast, "
            "which knows their covariance."
        )
    common = [name for name in first.psu if name in second.psu]
    for name in common:
        shared = set(first.data[name]) & set(second.data[name])
        if shared:
            raise EstimationError(
                f"independent_difference: the two samples share {len(shared):,} units of '{name}', so they are not "
                f"independent. Take samples that were drawn apart, or rename units that only look alike."
            )


def _aligned(one: Estimates, other: Estimates) -> Estimates:
    """Return the rows of the second result in the order of the first."""
    if len(one) == len(other) == 1:
        return other
    addresses, wanted = other.addresses(), one.addresses()
    if sorted(addresses) != sorted(wanted) or len(set(wanted)) < len(wanted):
        only = sorted(set(wanted) ^ set(addresses))[:4]
        raise EstimationError(
            f"independent_difference: the two results must have the same rows, but {len(one)} and {len(other)} differ "
            f"in {only or 'order of doubled rows'}. Estimate the same variables and groups from both."
        )
    return other.take(np.array([addresses.index(address) for address in wanted]))


def _both(one: Provenance, other: Provenance) -> Provenance:
    """Return what a caption says of two samples."""

    def texts(first: Mapping[str, str], second: Mapping[str, str], mark: str) -> dict[str, str]:
        return {
            lang: mark.join(dict.fromkeys(filter(None, (first.get(lang), second.get(lang)))))
            for lang in dict.fromkeys([*first, *second])
        }

    return replace(
        one,
        survey=" / ".join(dict.fromkeys([one.survey, other.survey])),
        title=texts(one.title, other.title, " / "),
        population=texts(one.population, other.population, " / "),
        notice=texts(one.notice, other.notice, ". "),
        n=one.n + other.n,
        weight=one.weight if one.weight == other.weight else f"{one.weight} / {other.weight}",
        min_cell=max(one.min_cell, other.min_cell),
        min_base=max(one.min_base, other.min_base),
    )
