"""Outcome rates of a survey: response, cooperation, refusal and contact as AAPOR defines them, with their errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.declaration import survey_design
from evaluation.design.design import Design, require_design
from evaluation.errors import EstimationError, require_flag
from evaluation.estimation.domains import Cells, cells_by, counts, degrees_of_freedom
from evaluation.estimation.totals import domain_totals
from evaluation.results import Estimates
from evaluation.survey.dispositions import CATEGORIES, read_dispositions
from evaluation.survey.reading import Survey

Floats = NDArray[np.float64]
Eligibility = Literal["cases"] | float | None

VERB = "response_rates"
#: Numerator, denominator, and how those of unknown eligibility count in the denominator: in full, by e, or not.
RATES: dict[str, tuple[str, str, Literal["all", "e", "none"]]] = {
    "RR1": ("I", "I P R NC O", "all"),
    "RR2": ("I P", "I P R NC O", "all"),
    "RR3": ("I", "I P R NC O", "e"),
    "RR4": ("I P", "I P R NC O", "e"),
    "RR5": ("I", "I P R NC O", "none"),
    "RR6": ("I P", "I P R NC O", "none"),
    "COOP1": ("I", "I P R O", "none"),
    "COOP2": ("I P", "I P R O", "none"),
    "COOP3": ("I", "I P R", "none"),
    "COOP4": ("I P", "I P R", "none"),
    "REF1": ("R", "I P R NC O", "all"),
    "REF2": ("R", "I P R NC O", "e"),
    "REF3": ("R", "I P R NC O", "none"),
    "CON1": ("I P R O", "I P R NC O", "all"),
    "CON2": ("I P R O", "I P R NC O", "e"),
    "CON3": ("I P R O", "I P R NC O", "none"),
}
_UNKNOWN = "UH UO"
_ELIGIBLE = "I P R NC O"


def response_rates(
    sample: Design | Survey | pd.DataFrame,
    *,
    disposition: str,
    codes: Mapping[Any, str] | None = None,
    by: str | Sequence[str] | None = None,
    weighted: bool = True,
    e: Eligibility = "cases",
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate response, cooperation, refusal and contact rates from final dispositions.

    Parameters
    ----------
    sample : Design, Survey or pandas.DataFrame
        All who were drawn. A Survey brings its own design; of a data frame every row is a unit of equal weight.
    disposition : str
        Column of final dispositions.
    codes : mapping of code to meaning, optional
        Meanings are AAPOR's categories (``"I"`` interview, ``"P"`` partial, ``"R"`` refusal and break-off, ``"NC"``
        non-contact, ``"O"`` other, ``"UH"`` unknown if household, ``"UO"`` unknown, other, ``"NE"`` not eligible),
        their words (``"complete"``, ``"partial"``, ``"refusal"``, ``"noncontact"``, ``"other"``, ``"unknown"``,
        ``"unknown other"``, ``"ineligible"``) or code numbers. Without it the column holds these; AAPOR's own codes
        (1.1, 2.12, 3.10, 4.5 ...) are understood. A code without a meaning is refused.
    by : str or list of str, optional
        Columns whose combinations are the groups.
    weighted : bool, default True
        By the weights of the design; False counts cases, with the standard error of the design all the same.
    e : "cases", float or None, default "cases"
        Share of those of unknown eligibility who count as eligible. "cases": what it is among the known of the group
        (proportional allocation, CASRO), estimated with the rates. None leaves out the rates that need it.
    conf_level : float, default 0.95
        Of the t interval.

    Returns
    -------
    Estimates
        One row per rate (``term``: RR1 to RR6, COOP1 to COOP4, REF1 to REF3, CON1 to CON3) and group, 0 to 1; NaN
        where its denominator is empty. Column ``e`` holds the share behind RR3, RR4, REF2 and CON2. ``fit`` counts
        the cases of each category.

    Raises
    ------
    ColumnError
        A disposition is missing or has no meaning; the rows are in ``failures``.
    EstimationError
        ``e`` is no share, or cases have lost their weight in a step before.

    Notes
    -----
    With the sums of weights of the categories, RR1 = I / (I + P + R + NC + O + UH + UO), RR2 counts partial interviews
    as responses, RR3 and RR4 count e of UH + UO, RR5 and RR6 none. COOP1 and COOP2 leave out non-contacts, COOP3 and
    COOP4 also others; refusal and contact rates have R and I + P + R + O above. Errors are those of ratios, and of e.

    References
    ----------
    AAPOR (2016), Standard Definitions: Final Dispositions of Case Codes and Outcome Rates for Surveys, 9th edition,
    section on calculating outcome rates. R twin: ``outcomerate``.

    Examples
    --------
    >>> cases = pd.DataFrame({"result": [1.1] * 5 + [1.2] + [2.1] * 2 + [2.2] + [3.1] * 2 + [4.0]})
    >>> rates = response_rates(cases, disposition="result").tidy().set_index("term")["estimate"]
    >>> rates[["RR1", "RR2", "RR3", "RR6", "COOP1", "REF1", "CON3"]].round(4).tolist()
    [0.4545, 0.5455, 0.463, 0.6667, 0.625, 0.1818, 0.8889]
    """
    design = survey_design(sample) if isinstance(sample, (Survey, pd.DataFrame)) else sample
    require_design(design, VERB)
    _refuse_share(e)
    require_flag(weighted, f"{VERB}: weighted", EstimationError)
    design = _of_all_drawn(design, weighted)
    place, meanings = read_dispositions(design.column(disposition), codes, design.present, VERB)
    indicators = np.array([[meaning == category for category in CATEGORIES] for meaning in meanings], dtype=float)[
        place
    ]
    cells = cells_by(design, by)
    kinds = _Rates.of([name for name, rate in RATES.items() if e is not None or rate[2] != "e"], e)
    totals = domain_totals(design, indicators, cells)
    sums = totals.estimate.reshape(len(cells), -1)
    slopes = kinds.slopes(sums)
    by_unit = totals.contributions.reshape(len(totals.contributions), *sums.shape)
    moved = _carried(by_unit, slopes) if design.replicates is None else kinds.at(by_unit)
    contributions = moved.reshape(len(by_unit), -1)
    every = np.arange(len(totals.estimate))
    result = Estimates(
        verb=VERB,
        keys=_keys(kinds.names, cells),
        estimate=kinds.at(sums).ravel(),
        vcov=design.engine.covariance(contributions),
        df=np.repeat(degrees_of_freedom(design, cells, design.present), len(kinds.names)).astype(float),
        n_obs=np.repeat(counts(design, cells, design.present), len(kinds.names)),
        provenance=design.provenance,
        engine=design.engine,
        contributions=contributions,
        influence_of=lambda: _carried(totals.influence(every).reshape(-1, *sums.shape), slopes).reshape(
            len(design), -1
        ),
        conf_level=conf_level,
        columns={} if e is None else {"e": kinds.share_column(sums)},
        fit={"disposition": disposition, "weighted": weighted}
        | {f"n_{category}": int(count) for category, count in zip(CATEGORIES, indicators.sum(axis=0), strict=True)},
    )
    order = np.arange(len(result)).reshape(len(cells), -1).T.ravel()
    return result.take(order)


def _refuse_share(e: object) -> None:
    if e is None or e == "cases":
        return
    if isinstance(e, (bool, str)) or not isinstance(e, (int, float)) or not 0 <= e <= 1:
        raise EstimationError(f"{VERB}: e must be 'cases', a share from 0 to 1, or None, got {e!r}.")


def _of_all_drawn(design: Design, weighted: bool) -> Design:
    """Return the design with the weights that rates are taken with; refuse one that has lost its nonrespondents."""
    if not weighted:
        ones = np.where(design.base_weights != 0, 1.0, 0.0)
        return replace(design, weights=ones, base_weights=ones, steps=())
    lost = (design.weights == 0) & (design.base_weights != 0)
    if lost.any():
        step = next(own.step.verb for own in design.steps if (own.weights_out == 0)[lost].any())
        raise EstimationError(
            f"{VERB}: {int(lost.sum()):,} cases have lost their weight in {step}, but rates are of all who were drawn. "
            f"Use the design as it was before that step.",
            failures=design.data.loc[lost],
        )
    return design


def _keys(names: Sequence[str], cells: Cells) -> pd.DataFrame:
    return pd.DataFrame([{"term": name, **row} for row in cells.keys.to_dict("records") for name in names])


@dataclass(frozen=True, eq=False)
class _Rates:
    """Rates as functions of the categories' totals, which stand in the last axis.

    ``above``, ``below`` and ``partly`` have shape (8, k): what is in numerators, in denominators, and in denominators
    by the share e.
    """

    names: tuple[str, ...]
    above: Floats
    below: Floats
    partly: Floats
    e: Eligibility

    @classmethod
    def of(cls, names: Sequence[str], e: Eligibility) -> _Rates:
        given = [RATES[name] for name in names]
        counted = {"all": _UNKNOWN, "e": "", "none": ""}
        return cls(
            tuple(names),
            np.column_stack([_flags(upper) for upper, _, _ in given]),
            np.column_stack([_flags(f"{lower} {counted[unknown]}") for _, lower, unknown in given]),
            np.column_stack([_flags(_UNKNOWN if unknown == "e" else "") for _, _, unknown in given]),
            e,
        )

    def share(self, totals: Floats) -> Floats:
        """Return e, shape (...,)."""
        if self.e != "cases":
            return np.full(totals.shape[:-1], 0.0 if self.e is None else float(self.e))
        eligible = totals @ _flags(_ELIGIBLE)
        known = eligible + totals @ _flags("NE")
        return np.divide(eligible, known, out=np.full_like(known, np.nan), where=known > 0)

    def share_column(self, totals: Floats) -> Floats:
        """Return e where a rate uses it, domain by domain, NaN elsewhere."""
        return np.where(self.partly.any(axis=0), self.share(totals)[:, None], np.nan).ravel()

    def _denominators(self, totals: Floats) -> Floats:
        unknown = totals @ self.partly
        return totals @ self.below + np.where(unknown == 0, 0.0, self.share(totals)[..., None] * unknown)

    def at(self, totals: Floats) -> Floats:
        """Return the rates, shape (..., k)."""
        upper, lower = totals @ self.above, self._denominators(totals)
        return np.divide(upper, lower, out=np.full_like(lower, np.nan), where=lower > 0)

    def slopes(self, totals: Floats) -> Floats:
        """Return the derivative of each domain's rates in its totals, shape (D, 8, k)."""
        rates, lower = self.at(totals), self._denominators(totals)
        share = np.nan_to_num(self.share(totals))
        moved = self._share_slopes(totals, share)
        unknown = totals @ self.partly
        below = self.below + share[:, None, None] * self.partly + moved[:, :, None] * unknown[:, None, :]
        lower = np.where(lower > 0, lower, np.nan)
        return np.asarray((self.above - rates[:, None, :] * below) / lower[:, None, :])

    def _share_slopes(self, totals: Floats, share: Floats) -> Floats:
        if self.e != "cases":
            return np.zeros_like(totals)
        eligible, other = _flags(_ELIGIBLE), _flags("NE")
        known = totals @ (eligible + other)
        slope = eligible - share[:, None] * (eligible + other)
        return np.asarray(slope / np.where(known > 0, known, 1.0)[:, None])


def _carried(values: Floats, slopes: Floats) -> Floats:
    """Return values of shape (m, D, 8) times slopes of shape (D, 8, k), shape (m, D, k)."""
    return np.asarray(np.einsum("mdq,dqk->mdk", values, slopes, optimize=True))


def _flags(categories: str) -> Floats:
    named = categories.split()
    return np.array([float(category in named) for category in CATEGORIES])
