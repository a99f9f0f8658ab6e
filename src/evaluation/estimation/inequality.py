"""Inequality and poverty of a numeric variable, such as income: Gini, quintile share ratio, at-risk-of-poverty rate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.collapse import mass_by
from evaluation.design.design import Design, require_design
from evaluation.errors import EstimationError
from evaluation.estimation.arguments import is_number, require_number
from evaluation.estimation.curves import Curve, SortedAnswers
from evaluation.estimation.domains import Cells, cells_by, counts, degrees_of_freedom, outcomes_of
from evaluation.estimation.totals import DomainTotals, domain_totals
from evaluation.results import Estimates

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Names = str | list[str] | tuple[str, ...]

#: Width of the interquartile range of the normal distribution, in standard deviations.
NORMAL_RANGE = 1.349
#: The fifths that are compared.
POOREST, RICHEST = 0.2, 0.8


def survey_gini(design: Design, variable: str, *, by: Names | None = None, conf_level: float = 0.95) -> Estimates:
    """Estimate the Gini index of a variable: 0 where all have the same, towards 1 where one has all.

    Parameters
    ----------
    design : Design
        Any design.
    variable : str
        Numeric column, such as income; not below zero.
    by : str or list of str, optional
        Columns whose combinations are the domains, each with its own index.
    conf_level : float, default 0.95
        Of the t interval.

    Returns
    -------
    Estimates
        One row per domain.

    Raises
    ------
    ColumnError
        The column does not exist or is text.
    EstimationError
        Nobody answered, values or weights below zero, or a domain in which all values are zero.

    Notes
    -----
    :math:`G = \\sum_i \\sum_j w_i w_j |y_i - y_j| / (2 \\hat N \\hat Y)`. Its influence is the exact derivative,
    :math:`w_i \\{ \\sum_j w_j |y_i - y_j| / (\\hat N \\hat Y) - G (1 / \\hat N + y_i / \\hat Y) \\}`.

    References
    ----------
    Deville (1999), Survey Methodology 25, 193-203. Langel and Tillé (2013), Journal of the Royal Statistical Society A
    176, 521-540. R twin: ``convey::svygini``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> survey_gini(survey_design(pd.DataFrame({"income": [1.0, 2.0, 3.0, 4.0]})), "income").estimate.tolist()
    [0.25]
    """
    answers = _Answers.of(design, variable, by, "survey_gini")
    return answers.by_curve("survey_gini", _gini, _gini_slope, conf_level)


def survey_qsr(design: Design, variable: str, *, by: Names | None = None, conf_level: float = 0.95) -> Estimates:
    """Estimate the quintile share ratio: what the richest fifth has in all, over what the poorest fifth has (S80/S20).

    Parameters
    ----------
    design : Design
        Any design.
    variable : str
        Numeric column, such as income; not below zero.
    by : str or list of str, optional
        Columns whose combinations are the domains, each with its own fifths.
    conf_level : float, default 0.95
        Of the t interval.

    Returns
    -------
    Estimates
        One row per domain.

    Raises
    ------
    ColumnError
        The column does not exist or is text.
    EstimationError
        Nobody answered, values or weights below zero, or a poorest fifth that has nothing.

    Notes
    -----
    :math:`(\\hat Y - L_{80}) / L_{20}` with :math:`L_p = \\sum w_i y_i 1(y_i \\le q_p) - q_p \\{ \\sum w_i
    1(y_i \\le q_p) - p \\hat N \\}`, what the poorest share p of persons has: of those whose answer is the quantile
    itself as many count as fill the share, so that ties, such as a top-coded income, do not leave the richest fifth
    empty. R's ``convey`` counts them whole in the poorer part. The influence of :math:`L_p`,
    :math:`y_i 1(y_i \\le q_p) - q_p \\{ 1(y_i \\le q_p) - p \\}` per unit of weight, is exact and needs no density.

    References
    ----------
    Osier (2009), Survey Research Methods 3, 167-195. R twin: ``convey::svyqsr``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> survey_qsr(survey_design(pd.DataFrame({"income": [1.0, 2.0, 3.0, 4.0, 9.0]})), "income").estimate.tolist()
    [9.0]
    """
    answers = _Answers.of(design, variable, by, "survey_qsr")
    return answers.by_curve("survey_qsr", _share_ratio, _share_ratio_slope, conf_level)


def survey_arop(
    design: Design,
    variable: str,
    *,
    quantile: float = 0.5,
    share: float = 0.6,
    by: Names | None = None,
    bandwidth: float | None = None,
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate the at-risk-of-poverty rate: the share of persons at or below a share of an estimated quantile.

    Parameters
    ----------
    design : Design
        Any design; the threshold is that of all its respondents, also for the rates of domains. A part taken by
        ``ev.domain`` has a threshold of its own.
    variable : str
        Numeric column, such as equivalised household income.
    quantile : float, default 0.5
        Between 0 and 1; the quantile of which the threshold is a share, by default the median.
    share : float, default 0.6
        Above 0, at most 1; the threshold over the quantile.
    by : str or list of str, optional
        Columns whose combinations are the domains.
    bandwidth : float, optional
        Of the Gaussian kernel that estimates the density at threshold and quantile, in units of the variable; default
        Silverman's :math:`0.9 \\min(s, R / 1.349) n^{-1/5}`, with weighted standard deviation and interquartile range.
        ``convey`` takes :math:`s \\hat N^{-1/5}`, which changes when all weights are multiplied by a constant.
    conf_level : float, default 0.95
        Of the t interval.

    Returns
    -------
    Estimates
        One row per domain, 0 to 1; column ``threshold``.

    Raises
    ------
    ColumnError
        The column does not exist or is text.
    EstimationError
        Nobody answered, weights below zero, a quantile outside 0 to 1, a share outside 0 to 1, a threshold that is
        not above zero, or a variable that does not vary.

    Notes
    -----
    With threshold :math:`t = c\\, q_p` the influence of respondent i per unit of weight on the rate of domain d is
    :math:`\\{1(y_i \\le t) - R_d\\} 1_d(i) / \\hat N_d - c\\, f_d(t) / f(q_p) \\{1(y_i \\le q_p) - p\\} / \\hat N`: the
    second part is the threshold's own error. Where incomes are heaped at round numbers no density is good; replicates
    by bootstrap estimate the threshold anew each time and need none.

    References
    ----------
    Deville (1999), Survey Methodology 25, 193-203. Osier (2009), Survey Research Methods 3, 167-195. R twin:
    ``convey::svyarpr``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> found = survey_arop(survey_design(pd.DataFrame({"income": [2.0, 5.0, 10.0, 11.0, 30.0]})), "income")
    >>> found.tidy()[["estimate", "threshold"]].to_numpy().tolist()
    [[0.4, 6.0]]
    """
    answers = _Answers.of(design, variable, by, "survey_arop", signed=True)
    if not (is_number(quantile) and is_number(share) and 0 < quantile < 1 and 0 < share <= 1):
        raise EstimationError(
            f"survey_arop: quantile must lie between 0 and 1, share above 0 and not above 1, got quantile={quantile!r} "
            f"and share={share!r}. Sixty per cent of the median are quantile=0.5, share=0.6."
        )
    if bandwidth is not None:
        bandwidth = require_number(bandwidth, "survey_arop: bandwidth, in units of the variable,", above=0)
    poverty = _Poverty.of(answers, quantile, share)
    below, totals, slopes = poverty.linearised(bandwidth)
    contributions = below.contributions - totals.contributions * slopes
    if design.replicates is not None:
        contributions = poverty.replicated_rates()
    d = len(answers.cells)
    return answers.estimates(
        "survey_arop",
        poverty.rates,
        contributions,
        lambda: below.influence(np.arange(d)) - totals.influence(np.zeros(1, dtype=np.int64)) * slopes,
        conf_level,
        columns={"threshold": np.full(d, poverty.threshold)},
        cell_counts=poverty.rarer(),
    )


@dataclass(frozen=True, eq=False)
class _Answers:
    """One variable, sorted within every domain.

    Attributes
    ----------
    name : str
    column : ndarray, shape (n,)
    answered : ndarray of bool, shape (n,)
    """

    design: Design
    name: str
    column: Floats
    answered: Mask
    cells: Cells
    answers: SortedAnswers

    @classmethod
    def of(cls, design: Design, variable: str, by: Names | None, verb: str, *, signed: bool = False) -> _Answers:
        require_design(design, verb)
        if not isinstance(variable, str):
            raise EstimationError(f"{verb} takes one variable, got {variable!r}. Ask for them one call each.")
        design.require_no_negative_weights(verb)
        outcomes = outcomes_of(design, variable, listwise=False, verb=verb)
        cells = cells_by(design, by)
        column, answered = outcomes.values[:, 0], outcomes.answered[:, 0]
        below = answered & design.present & (column < 0)
        if below.any() and not signed:
            raise EstimationError(
                f"{verb}: '{variable}' is below zero in {int(below.sum())} of {int(answered.sum())} rows, and shares "
                f"of a total are not defined with debts among them. Set them to zero or make them missing.",
                failures=design.data.loc[below],
            )
        return cls(design, variable, column, answered, cells, SortedAnswers.of(design, column, answered, cells))

    def by_curve(
        self, verb: str, index: Callable[[Curve], float], slope_of: Callable[[Curve, float], Floats], conf_level: float
    ) -> Estimates:
        """Return an index that hangs on one domain's curve; ``slope_of`` gives its derivative in each weight."""
        design, d = self.design, len(self.cells)
        curves = self.answers.curves(self.answers.weights)
        estimate, slope = np.empty(d), np.zeros(len(design))
        for place, (part, curve) in enumerate(zip(self.answers.slices(), curves, strict=True)):
            self._refuse_nothing(verb, curve, place)
            estimate[place] = index(curve)
            if curve.values.size:
                slope[self.answers.rows[part]] = slope_of(curve, estimate[place])
        totals = domain_totals(design, slope[:, None], self.cells)
        contributions = totals.contributions
        if design.replicates is not None:
            replicated = self.answers.replicated_weights()
            each = [[index(curve) for curve in self.answers.curves(weights)] for weights in replicated]
            contributions = np.array([*each, estimate])
        return self.estimates(
            *(verb, estimate, contributions),
            lambda: totals.influence(np.arange(d)),
            conf_level,
        )

    def _refuse_nothing(self, verb: str, curve: Curve, place: int) -> None:
        if not curve.values.size:
            return
        where = f" in domain {self.cells.name(place)}" if self.cells.name(place) else ""
        if curve.values[-1] == 0:
            raise EstimationError(f"{verb}: '{self.name}' is zero for everybody{where}, so there is nothing to share.")
        if verb == "survey_qsr" and curve.quantiles(np.array([POOREST]))[0] == 0:
            raise EstimationError(
                f"{verb}: the poorest fifth has nothing of '{self.name}'{where}, so the ratio has no value. Take "
                f"ev.survey_gini, or leave out those who have none."
            )

    def estimates(
        self,
        verb: str,
        estimate: Floats,
        contributions: Floats,
        influence_of: Callable[[], Floats],
        conf_level: float,
        columns: dict[str, Floats] | None = None,
        cell_counts: NDArray[np.int64] | None = None,
    ) -> Estimates:
        """Return one row per domain."""
        design, cells = self.design, self.cells
        contributions = np.where(np.isnan(estimate), np.nan, contributions)
        keys = pd.concat([pd.DataFrame({"term": [self.name] * len(cells)}), cells.keys], axis=1)
        return Estimates(
            verb=verb,
            keys=keys,
            estimate=estimate,
            vcov=design.engine.covariance(contributions),
            df=degrees_of_freedom(design, cells, self.answered).astype(float),
            n_obs=counts(design, cells, self.answered),
            provenance=design.provenance,
            engine=design.engine,
            contributions=contributions,
            influence_of=influence_of,
            conf_level=conf_level,
            columns=columns or {},
            cell_counts=cell_counts,
        )


def _all_alike(curve: Curve) -> bool:
    return bool(curve.values[0] == curve.values[-1])


def _gini(curve: Curve) -> float:
    mass = curve.weights * curve.values
    total = mass.sum()
    if not total:
        return float("nan")
    if _all_alike(curve):
        return 0.0
    return float((2 * mass @ curve.cumulated - mass @ curve.weights) / (curve.cumulated[-1] * total) - 1)


def _gini_slope(curve: Curve, index: float) -> Floats:
    if _all_alike(curve):
        return np.zeros(len(curve.values))
    y, reached = curve.values, curve.cumulated
    amount = np.cumsum(curve.weights * y)
    persons, total = reached[-1], amount[-1]
    distance = y * (2 * reached - persons) + total - 2 * amount
    return np.asarray(distance / (persons * total) - index * (1 / persons + y / total))


def _share_ratio(curve: Curve) -> float:
    low, high = curve.quantiles(np.array([POOREST, RICHEST]))
    if not curve.values.size:
        return float("nan")
    poorest, rest = _amount_up_to(curve, low, POOREST), _amount_up_to(curve, high, RICHEST)
    return float((curve.weights @ curve.values - rest) / poorest) if poorest else float("nan")


def _amount_up_to(curve: Curve, quantile: float, share: float) -> float:
    """Return what the poorest ``share`` of persons has; of those at the quantile as many count as fill it."""
    end = int(np.searchsorted(curve.values, quantile, side="right"))
    persons, beyond = curve.cumulated[-1], curve.cumulated[end - 1]
    return float(curve.weights[:end] @ curve.values[:end] - quantile * (beyond - share * persons))


def _share_ratio_slope(curve: Curve, index: float) -> Floats:
    y = curve.values
    low, high = curve.quantiles(np.array([POOREST, RICHEST]))
    poor, up_to = y <= low, y <= high
    poorest = y * poor - low * (poor - POOREST)
    richest = y * ~up_to + high * (up_to - RICHEST)
    return np.asarray((richest - index * poorest) / _amount_up_to(curve, low, POOREST))


@dataclass(frozen=True, eq=False)
class _Poverty:
    """A threshold estimated from all respondents, and the rates of the domains."""

    answers: _Answers
    everybody: SortedAnswers
    whole: Cells
    quantile: float
    share: float
    value: float

    @classmethod
    def of(cls, answers: _Answers, quantile: float, share: float) -> _Poverty:
        design = answers.design
        whole = cells_by(design, None)
        everybody = SortedAnswers.of(design, answers.column, answers.answered, whole)
        value = float(everybody.quantiles(np.array([quantile]), "math")[0, 0])
        if not value > 0:
            raise EstimationError(
                f"survey_arop: the {quantile:g} quantile of '{answers.name}' is {value:g}, so a share of it is no "
                f"threshold. It must be above zero."
            )
        if everybody.values[0] == everybody.values[-1]:
            raise EstimationError(
                f"survey_arop: '{answers.name}' is {value:g} for all {len(everybody.values)} respondents who count, so "
                f"nobody is poorer than anybody."
            )
        return cls(answers, everybody, whole, quantile, share, value)

    @property
    def threshold(self) -> float:
        """The value at or below which a person is at risk."""
        return self.share * self.value

    @property
    def rates(self) -> Floats:
        """The rate of each domain, shape (D,)."""
        return self._rates(self.everybody.weights, self.threshold)

    def replicated_rates(self) -> Floats:
        """Return the rates under each replicate, its own threshold in each, and last the full sample's, (R + 1, D)."""
        quantiles = self.everybody.replicated_quantiles(np.array([self.quantile]), "math")[:, 0, 0]
        weights = self.everybody.replicated_weights()
        each = [self._rates(own, self.share * value) for own, value in zip(weights, quantiles[:-1], strict=True)]
        return np.vstack([*each, self.rates])

    def _rates(self, weights: Floats, threshold: float) -> Floats:
        group, size = self.answers.cells.group[self.everybody.rows], self.answers.cells.n_groups
        poor = int(np.searchsorted(self.everybody.values, threshold, side="right"))
        below, persons = mass_by(group[:poor], size, weights[:poor]), mass_by(group, size, weights)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray((below / persons)[: len(self.answers.cells)])

    def rarer(self) -> NDArray[np.int64]:
        """Count those at risk or those not, whichever are fewer, by domain; 0 where nobody is."""
        answers = self.answers.answers
        poor = np.array([int((answers.values[part] <= self.threshold).sum()) for part in answers.slices()])
        rest = np.diff(answers.starts) - poor
        return np.where((poor == 0) | (rest == 0), 0, np.minimum(poor, rest))

    def linearised(self, bandwidth: float | None) -> tuple[DomainTotals, DomainTotals, Floats]:
        """Return rates at a fixed threshold, the share up to the quantile, and the slopes by which that moves rates."""
        design, answers = self.answers.design, self.answers.answers
        curves, whole = answers.curves(answers.weights), self.everybody.curves(self.everybody.weights)[0]
        fixed, up_to = np.zeros(len(design)), np.zeros(len(design))
        rates = self.rates
        slopes = np.zeros(len(curves))
        at_quantile = _density(whole, self.value, _width(whole, whole, bandwidth))
        for d, (part, curve) in enumerate(zip(answers.slices(), curves, strict=True)):
            rows = answers.rows[part]
            if curve.values.size:
                fixed[rows] = ((answers.values[part] <= self.threshold) - rates[d]) / curve.cumulated[-1]
                slopes[d] = self.share * _density(curve, self.threshold, _width(curve, whole, bandwidth)) / at_quantile
        up_to[self.everybody.rows] = (self.everybody.values <= self.value) - self.quantile
        up_to /= whole.cumulated[-1]
        rates_at = domain_totals(design, fixed[:, None], self.answers.cells)
        return rates_at, domain_totals(design, up_to[:, None], self.whole), slopes


def _width(curve: Curve, whole: Curve, bandwidth: float | None) -> float:
    """Return the kernel's bandwidth: the one given, or Silverman's for the domain, or for all where it cannot vary."""
    if bandwidth is not None:
        return bandwidth
    for one in (curve, whole):
        centre = np.average(one.values, weights=one.weights)
        deviation = float(np.sqrt(np.average((one.values - centre) ** 2, weights=one.weights)))
        low, high = one.quantiles(np.array([0.25, 0.75]))
        spreads = [spread for spread in (deviation, float(high - low) / NORMAL_RANGE) if spread > 0]
        if spreads:
            return float(0.9 * min(spreads) * len(one.values) ** -0.2)
    return 1.0


def _density(curve: Curve, at: float, width: float) -> float:
    distance = (at - curve.values) / width
    kernel = np.exp(-(distance**2) / 2) / np.sqrt(2 * np.pi)
    return float((curve.weights * kernel).sum() / (width * curve.cumulated[-1]))
