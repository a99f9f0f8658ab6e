"""The smallest effect of a staged roll-out that a survey can find, by formula."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from evaluation import wording
from evaluation.errors import EstimationError
from evaluation.estimation.arguments import came, require_arguments, require_choice, require_number, require_numbers
from evaluation.impact.identification import ControlGroup
from evaluation.impact.planning.correlations import VERB as CORRELATIONS
from evaluation.impact.planning.timetable import (
    METHODS,
    Decay,
    Floats,
    Method,
    Timetable,
    coefficients,
    place_covariance,
    read_timetable,
    variance_of,
)
from evaluation.results import Estimates, Provenance, plain

VERB = "rollout_mde"
#: What stands in captions where no data were read.
PLANNED = Provenance("planning", title={"ko": "계획", "en": "Plan"})
#: Points of a curve.
POINTS = 41


@dataclass(frozen=True)
class Correlations:
    """How outcomes vary: between places and waves, and between persons.

    Attributes
    ----------
    icc : float
        Share of the variance that people of one place and wave have in common, 0 to 1.
    cac : float
        Correlation of a place's shocks between waves, 0 to 1.
    std_dev : float
        Of the outcome among persons of all places in one wave.
    autocorrelation : {"constant", "ar1"}
        Between any two waves alike, or by the power of the waves between them.
    """

    icc: float
    cac: float
    std_dev: float
    autocorrelation: Decay = "constant"

    def cac_text(self) -> str:
        """Return the correlation between waves, with the way it decays where it does."""
        return f"{self.cac:.3g}" + (" AR(1)" if self.autocorrelation == "ar1" else "")


def read_correlations(
    correlations: Estimates | None,
    icc: float | None,
    cac: float | None,
    std_dev: float | None,
    autocorrelation: Decay,
    verb: str,
) -> Correlations:
    """Return icc, cac and standard deviation, from an estimate or as given; given numbers go first.

    Raises
    ------
    EstimationError
        One is missing or out of its range.
    """
    found: dict[str, float] = {}
    if correlations is not None:
        if not isinstance(correlations, Estimates) or correlations.verb != CORRELATIONS:
            raise EstimationError(
                f"{verb}: correlations must come from ev.cluster_correlations, got {came(correlations)}."
            )
        found = dict(zip(correlations.keys["term"], correlations.estimate, strict=True))
    given = {"icc": icc, "cac": cac, "std_dev": std_dev}
    values = {name: found.get(name) if value is None else value for name, value in given.items()}
    lacking = [
        name for name, value in values.items() if value is None or (isinstance(value, float) and np.isnan(value))
    ]
    if lacking:
        raise EstimationError(
            f"{verb}: {', '.join(lacking)} missing. Give numbers, or correlations=ev.cluster_correlations(panel, ...) "
            f"from two waves before the roll-out and more."
        )
    for name in ("icc", "cac"):
        value = require_number(values[name], f"{verb}: {name}")
        if given[name] is None:
            # An estimate of no correlation may fall below zero; a plan has no use for that.
            values[name] = min(max(value, 0.0), 1.0)
        elif not 0 <= value <= 1:
            raise EstimationError(f"{verb}: {name} is a share or correlation from 0 to 1, got {value:g}.")
    spread = require_number(values["std_dev"], f"{verb}: std_dev", above=0.0)
    require_choice(autocorrelation, ("constant", "ar1"), f"{verb}: autocorrelation")
    return Correlations(float(values["icc"] or 0.0), float(values["cac"] or 0.0), spread, autocorrelation)


@dataclass(frozen=True, eq=False)
class RolloutPower:
    """The smallest effects that a roll-out can show, by persons per place and wave.

    Attributes
    ----------
    frame : pandas.DataFrame
        One row per number of persons asked for: ``persons std_error effect effect_normal power_noncentral
        share_shocks``; the last row, persons infinite, is what no sample goes below.
    curve : pandas.DataFrame
        ``persons`` and ``effect`` over a range of persons.
    power_curve : pandas.DataFrame
        ``effect`` and ``power`` with the first number of persons.
    df, alpha, power : float
        Degrees of freedom of the test, its level, the probability asked for.
    places : dict
        Number of places by first treated wave.
    method : str
        Whose variance it is.
    correlations : Correlations
    provenance : Provenance
    """

    frame: pd.DataFrame
    curve: pd.DataFrame = field(repr=False)
    power_curve: pd.DataFrame = field(repr=False)
    df: float
    alpha: float
    power: float
    places: dict[str, int]
    method: str
    correlations: Correlations
    provenance: Provenance = PLANNED

    @property
    def effect(self) -> float:
        """Smallest detectable effect with the first number of persons, in the unit of the outcome."""
        return float(self.frame["effect"].iloc[0])

    @property
    def std_error(self) -> float:
        """Standard error of the effect with the first number of persons."""
        return float(self.frame["std_error"].iloc[0])

    def tidy(self) -> pd.DataFrame:
        """Return one row per number of persons, the last for infinitely many."""
        return self.frame.copy()

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        rows = [{str(name): plain(value) for name, value in row.items()} for row in self.frame.to_dict("records")]
        c = self.correlations
        setting: dict[str, Any] = {
            "icc": c.icc,
            "cac": c.cac,
            "std_dev": c.std_dev,
            "autocorrelation": c.autocorrelation,
        }
        setting |= {"alpha": self.alpha, "power": self.power}
        return {
            "verb": VERB,
            "provenance": self.provenance.to_dict(),
            "fit": {
                **setting,
                "alpha": self.alpha,
                "power": self.power,
                "df": plain(self.df),
                "method": self.method,
                "places": self.places,
            },
            "rows": rows,
        }

    def text(self, lang: str | None = None) -> str:
        """Say what can be found, in Korean or English."""
        first, last = self.frame.iloc[0], self.frame.iloc[-1]
        return wording.term("said_rollout_mde", lang).format(
            persons=wording.number(first["persons"]),
            effect=wording.plain_number(first["effect"]),
            floor=wording.plain_number(last["effect"]),
            power=f"{100 * self.power:g}%",
            alpha=f"{100 * self.alpha:g}%",
            places=sum(self.places.values()),
            method=wording.term(f"mde_{self.method}", lang),
        )

    def layout(self, lang: str) -> tuple[dict[str, list[str]], list[str]]:
        """Return the columns of a table as text, and its notes."""
        frame = self.frame
        columns = {
            wording.term("persons_per_cell", lang): [
                wording.term("infinitely_many", lang) if np.isinf(value) else wording.number(value)
                for value in frame["persons"]
            ],
            wording.term("mde_curve", lang): [wording.plain_number(value) for value in frame["effect"]],
            wording.term("std_error", lang): [wording.plain_number(value) for value in frame["std_error"]],
            wording.term("share_shocks", lang): [f"{100 * value:.1f}" for value in frame["share_shocks"]],
        }
        return columns, [self.setting_text(lang)]

    def setting_text(self, lang: str | None = None) -> str:
        """Return assumptions and test as one line."""
        c = self.correlations
        shown = ", ".join(
            f"{wording.term('never_treated', lang) if wave == 'never' else wave}: {count}"
            for wave, count in self.places.items()
        )
        return wording.term("rollout_mde_setting", lang).format(
            icc=f"{c.icc:.3g}",
            cac=c.cac_text(),
            sd=f"{c.std_dev:.4g}",
            df=f"{self.df:.4g}",
            alpha=f"{100 * self.alpha:g}%",
            power=f"{100 * self.power:g}%",
            places=shown,
            method=wording.term(f"mde_{self.method}", lang),
        )

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.text())}</p>"


def rollout_mde(
    schedule: object,
    *,
    persons: float | Sequence[float],
    waves: Sequence[float] | None = None,
    correlations: Estimates | None = None,
    icc: float | None = None,
    cac: float | None = None,
    std_dev: float | None = None,
    method: Method = "att_gt",
    autocorrelation: Decay = "constant",
    control_group: ControlGroup = "notyettreated",
    anticipation: float = 0.0,
    supported_only: bool = False,
    alpha: float = 0.05,
    power: float = 0.8,
    df: float | None = None,
) -> RolloutPower:
    """Compute the smallest effect of a roll-out that is found with a given probability, from its schedule.

    Parameters
    ----------
    schedule : Rollout, pandas.Series, or mapping
        From ``ev.read_rollout``; the first treated wave of each place (0 or missing for never); or number of places
        by first treated wave, e.g. ``{2016: 13, 0: 12}``.
    persons : float or list of float
        Respondents per place and wave (effective, where weights differ); several make several rows.
    waves : sequence of float, optional
        All waves of the survey; default those of the roll-out and one before.
    correlations : Estimates, optional
        From ``ev.cluster_correlations``; ``icc``, ``cac`` and ``std_dev`` replace single values.
    icc, cac : float, optional
        Share of the variance within a wave that people of one place have in common; correlation of a place's shocks
        between waves; 0 to 1.
    std_dev : float, optional
        Of the outcome among persons in one wave; 1 makes effects standardised.
    method : {"att_gt", "means", "twfe", "gls"}, default "att_gt"
        Whose variance: group-time effects summed up by cohort size as ``ev.aggregate`` does, each against the last
        wave before; mean of all waves after less before, treated less never treated (one date); two-way fixed
        effects; generalised least squares with these correlations, below which no linear estimator of a constant
        effect goes. ``ev.rollout_power`` has the same default.
    autocorrelation : {"constant", "ar1"}, default "constant"
        Shocks of any two waves correlate by ``cac``, or by its power of the waves between them.
    control_group, anticipation, supported_only
        Of "att_gt", as in ``ev.att_gt`` and ``ev.aggregate``.
    alpha, power : float
        Level of the two-sided test and probability asked for.
    df : float, optional
        Of the test. Default places less 2 for "means", else places less 1 as the jackknife has; ``inf`` for normal.

    Returns
    -------
    RolloutPower
        ``effect`` is the smallest detectable effect; ``tidy()`` has a row per number of persons and one for
        infinitely many, ``effect_normal`` by the normal instead of t, ``power_noncentral`` the probability that
        the test rejects at ``effect``, by the noncentral t.

    Raises
    ------
    EstimationError
        A number is missing or out of range, the schedule cannot be read.
    IdentificationError
        The method gives no estimate for this schedule.

    Notes
    -----
    With coefficients :math:`a_{gt}` of the place-wave means, :math:`V = \\sum_g a_g' \\Sigma a_g` and
    :math:`\\Sigma = \\sigma^2 (\\rho R + (1 - \\rho) I / m)`, R having ``cac`` off its diagonal; the answer is
    :math:`\\sqrt V (t_{1 - \\alpha/2} + t_{power})`. For one date, "means" is
    :math:`\\sigma^2 (\\rho (1 - c) + (1 - \\rho) / m) (1/T_0 + 1/T_1) (1/G_1 + 1/G_0)`.

    References
    ----------
    Bloom (1995), Evaluation Review 19, 547-556; Hooper, Teerenstra, de Hoop and Eldridge (2016), Statistics in
    Medicine 35, 4718-4728 (icc and cac); Hussey and Hughes (2007), Contemporary Clinical Trials 28, 182-191.

    Examples
    --------
    >>> found = rollout_mde({2016: 13, 0: 12}, waves=[2015, 2016], persons=40, icc=0.05, cac=0.7, std_dev=1.0)
    >>> round(found.effect, 4), round(found.std_error, 4), found.df
    (0.3255, 0.1114, 24.0)
    """
    require_arguments(rollout_mde, locals())
    timetable = read_timetable(schedule, waves, VERB)
    many = require_numbers(persons, f"{VERB}: persons", least=1.0)
    known = read_correlations(correlations, icc, cac, std_dev, autocorrelation, VERB)
    require_choice(method, METHODS, f"{VERB}: method")
    level = _probability(alpha, "alpha")
    target = _probability(power, "power")
    if target <= level:
        raise EstimationError(f"{VERB}: power must be above alpha ({level:g}), got {target:g}.")
    options = {"control_group": control_group, "anticipation": anticipation, "supported_only": supported_only}
    usual = timetable.n_places - (2.0 if method == "means" else 1.0)
    degrees = usual if df is None else require_number(df, f"{VERB}: df", above=0.0, infinite=True)
    setting = _Setting(timetable, method, known, options, degrees, level, target)
    where = PLANNED if correlations is None else correlations.provenance
    grid = np.geomspace(max(1.0, min(many) / 4), 8 * max(many), POINTS)
    effects = np.linspace(0.0, 2 * setting.effect(many[0]), POINTS)
    return RolloutPower(
        frame=pd.DataFrame([setting.row(m) for m in [*many, np.inf]]),
        curve=pd.DataFrame({"persons": grid, "effect": [setting.effect(m) for m in grid]}),
        power_curve=pd.DataFrame({"effect": effects, "power": [setting.found(x, many[0]) for x in effects]}),
        df=degrees,
        alpha=level,
        power=target,
        places=timetable.sizes(),
        method=method,
        correlations=known,
        provenance=where,
    )


def _probability(value: object, name: str) -> float:
    number = require_number(value, f"{VERB}: {name}")
    if not 0 < number < 1:
        raise EstimationError(f"{VERB}: {name} must lie between 0 and 1, got {number:g}. 5 % is 0.05.")
    return number


@dataclass(frozen=True, eq=False)
class _Setting:
    """A schedule, what varies, and a test."""

    timetable: Timetable
    method: Method
    known: Correlations
    options: dict[str, Any]
    df: float
    alpha: float
    power: float

    def covariance(self, persons: float) -> Floats:
        """Return the covariance of a place's wave means."""
        c, times = self.known, self.timetable.times
        return place_covariance(len(times), persons, c.icc, c.cac, c.std_dev, c.autocorrelation, times)

    def variance(self, persons: float) -> float:
        """Return the variance of the effect."""
        own = self.covariance(persons)
        if self.method == "gls" and np.isinf(persons):
            # Shocks alone may be perfectly correlated: the limit is approached, not inverted.
            own = self.covariance(1e9)
        return variance_of(coefficients(self.timetable, self.method, covariance=own, **self.options), own)

    def multiplier(self, df: float) -> float:
        """Return the sum of the two quantiles by which the standard error is multiplied."""
        return float(stats.t.ppf(1 - self.alpha / 2, df) + stats.t.ppf(self.power, df))

    def effect(self, persons: float) -> float:
        """Return the smallest detectable effect."""
        return float(np.sqrt(self.variance(persons)) * self.multiplier(self.df))

    def found(self, effect: float, persons: float) -> float:
        """Return the probability that the two-sided test rejects."""
        error = float(np.sqrt(self.variance(persons)))
        if error == 0:
            return 1.0
        bound, shift = stats.t.ppf(1 - self.alpha / 2, self.df), effect / error
        if np.isinf(self.df):
            return float(stats.norm.sf(bound - shift) + stats.norm.sf(bound + shift))
        # scipy's noncentral t has no shift of exactly zero.
        shift = shift or 1e-12
        return float(stats.nct.sf(bound, self.df, shift) + stats.nct.sf(bound, self.df, -shift))

    def row(self, persons: float) -> dict[str, float]:
        """Return the row of one number of persons."""
        variance = self.variance(persons)
        effect = self.effect(persons)
        return {
            "persons": persons,
            "std_error": float(np.sqrt(variance)),
            "effect": effect,
            "effect_normal": float(np.sqrt(variance) * self.multiplier(np.inf)),
            "power_noncentral": self.found(effect, persons),
            "share_shocks": self._shocks(persons) / variance if variance > 0 else np.nan,
        }

    def _shocks(self, persons: float) -> float:
        """Return the part of the variance that the estimator's own coefficients leave to shocks of places."""
        own = self.covariance(1e9 if self.method == "gls" and np.isinf(persons) else persons)
        a = coefficients(self.timetable, self.method, covariance=own, **self.options)
        return variance_of(a, self.covariance(np.inf))
