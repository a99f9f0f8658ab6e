"""Power of a test of leads: which trend it would have found, and what is left of one that it let pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, stats

from evaluation import wording
from evaluation.errors import EstimationError
from evaluation.estimation.arguments import require_arguments, require_number, require_numbers
from evaluation.impact.credibility.event_path import EventPath, path_of
from evaluation.results import Estimates, Provenance, frame_html, plain

Floats = NDArray[np.float64]
PreTest = Literal["individual", "wald"]
TESTS: tuple[PreTest, ...] = ("individual", "wald")

#: Powers for which the slope is sought unless said otherwise.
POWERS = (0.5, 0.8)


@dataclass(frozen=True, eq=False, repr=False)
class PretrendPower:
    """Trends that a test of leads finds with some probability, and the bias that is left where it does not.

    Attributes
    ----------
    frame : pandas.DataFrame
        As ``tidy``.
    events : pandas.DataFrame
        Columns ``pretest, slope, event_time, estimate, std_error, conf_low, conf_high, violation,
        mean_after_passing``; the reference period has zeros.
    path : EventPath
    alpha : float
        Level of the test of leads.
    """

    frame: pd.DataFrame
    events: pd.DataFrame
    path: EventPath
    alpha: float

    @property
    def provenance(self) -> Provenance:
        """Where the numbers come from."""
        return self.path.provenance

    def tidy(self) -> pd.DataFrame:
        """Return one row per test and trend.

        Columns ``term, pretest`` ("individual": no lead significant; "wald": all leads jointly), ``slope`` per period,
        ``power``, ``bayes_factor`` (probability to pass under the trend over that under none),
        ``likelihood_ratio`` (of the leads as estimated), ``event_time`` (the first treated), ``violation`` (its bias)
        and ``mean_after_passing`` (its mean bias where the test passed).
        """
        if not self.path.mark:
            return self.frame.copy()
        hidden = self.frame.drop(columns=["term", "pretest"]).columns
        return self.frame.assign(**dict.fromkeys(hidden, np.nan), mark=self.path.mark)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record at full precision."""
        return {
            "verb": "pretrend_power",
            "alpha": self.alpha,
            "provenance": self.provenance.to_dict(),
            "rows": [{str(k): plain(v) for k, v in row.items()} for row in self.tidy().to_dict("records")],
            "events": []
            if self.path.mark
            else [{str(k): plain(v) for k, v in row.items()} for row in self.events.to_dict("records")],
        }

    def layout(self, lang: str) -> tuple[dict[str, list[str]], list[str]]:
        """Return the columns of a table as text, and its notes."""
        frame = self.tidy()
        columns = {"pretest": [wording.term(f"pretest_{test}", lang) for test in frame["pretest"]]}
        for name in ("slope", "power", "bayes_factor", "likelihood_ratio", "violation", "mean_after_passing"):
            columns[name] = [wording.plain_number(float(value)) for value in frame[name]]
        said = [wording.term("pretrend_power_note", lang), wording.term("bayes_factor_note", lang)]
        return {wording.term(name, lang): cells for name, cells in columns.items()}, [*map(wording.capital, said)]

    def text(self, lang: str | None = None) -> str:
        """Say which trend would have been found, and that passing is no proof; in Korean or English."""
        chosen = wording.language_of(lang)
        own = self.tidy().query("pretest == 'individual'").iloc[-1]
        return wording.term("said_pretrend_power", chosen).format(
            slope=wording.plain_number(float(own["slope"])),
            power=f"{100 * float(own['power']):.0f}%",
            left=wording.plain_number(float(own["mean_after_passing"])),
            time=f"{float(own['event_time']):g}",
        )

    def __repr__(self) -> str:
        return f"{self.text()}\n{self.tidy().to_string(index=False, float_format=lambda value: f'{value:.6g}')}"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.text())}</p>{frame_html(self.tidy())}"


def pretrend_power(
    effects: Estimates | EventPath,
    *,
    power: float | Sequence[float] = POWERS,
    slope: float | Sequence[float] | None = None,
    alpha: float = 0.05,
    min_e: float | None = None,
    max_e: float | None = None,
    seed: int = 0,
) -> PretrendPower:
    """Find the linear trend that a test of the leads would have detected, and what passing the test leaves of it.

    Parameters
    ----------
    effects : ImpactEffects or EventPath
        An event study against one reference period, or ``ev.event_path(...)``.
    power : float or sequence of float, default (0.5, 0.8)
        Probability with which the trend is detected; above the test's size.
    slope : float or sequence of float, optional
        Trends of your own, in units of the outcome per period, instead of those of ``power``.
    alpha : float, default 0.05
        Level of each lead's two-sided test, and of the joint one; normal critical values.
    min_e, max_e : float, optional
        First and last event time that count.
    seed : int, default 0
        Of the integration over more than two leads.

    Returns
    -------
    PretrendPower
        Rows for both tests: no lead significant by itself, and all leads jointly (Wald).

    Raises
    ------
    EstimationError, IdentificationError
        As ``ev.honest_did`` for the effects; a power that the test has without any trend.

    Notes
    -----
    With leads :math:`\\hat\\beta \\sim N(\\delta, \\Sigma)` a test passes in a box or an ellipsoid; what passes has
    mean :math:`\\delta + \\Sigma (F(a) - F(b))` in the box (F: densities at its faces) and
    :math:`\\delta P(\\chi^2_{K+2} \\le c) / P(\\chi^2_K \\le c)` in the ellipsoid. Effects follow by regression on
    the leads.

    References
    ----------
    Roth (2022), American Economic Review: Insights 4, 305-322. R twin: ``pretrends``.

    Examples
    --------
    >>> from evaluation.impact.credibility.event_path import event_path
    >>> made = pretrend_power(event_path([0.1, 1.0], [[0.04, 0.01], [0.01, 0.09]], [-2, 0]), power=0.5)
    >>> made.tidy()[["pretest", "slope"]].round(4).values.tolist()
    [['individual', 0.392], ['wald', 0.392]]
    """
    require_arguments(pretrend_power, locals())
    path = path_of("pretrend_power", effects, (min_e, max_e))
    alpha = require_number(alpha, "pretrend_power: alpha")
    if not 0 < alpha < 1:
        raise EstimationError(f"pretrend_power: alpha must lie between 0 and 1, got {alpha!r}. 5 % is alpha=0.05.")
    rows, events = [], []
    for test in TESTS:
        leads = _Leads(path, alpha, test, seed)
        for value in _slopes(leads, power, slope):
            row, plot = _row(leads, value)
            rows.append(row)
            events.append(plot)
    return PretrendPower(pd.DataFrame(rows), pd.concat(events, ignore_index=True), path, alpha)


def _slopes(leads: _Leads, power: float | Sequence[float], slope: float | Sequence[float] | None) -> list[float]:
    if slope is not None:
        return [float(value) for value in require_numbers(slope, "pretrend_power: slope", move="Per period.")]
    wanted = require_numbers(power, "pretrend_power: power", move="80 % is power=0.8.")
    size = 1 - leads.passing(0.0)
    if not all(size < value < 1 for value in wanted):
        raise EstimationError(
            f"pretrend_power: power must lie between the size of the test, here {size:.3f}, and 1, got {power!r}. 80 % "
            f"is power=0.8."
        )
    return [leads.slope(float(value)) for value in wanted]


@dataclass(frozen=True, eq=False)
class _Leads:
    """A test of leads."""

    path: EventPath
    alpha: float
    test: PreTest
    seed: int

    @property
    def vcov(self) -> Floats:
        n = self.path.n_pre
        return self.path.vcov[:n, :n]

    @property
    def trend(self) -> Floats:
        """Distance of each lead from the reference, in event time."""
        return self.path.times[: self.path.n_pre] - self.path.reference

    @property
    def edge(self) -> Floats:
        return np.asarray(stats.norm.isf(self.alpha / 2) * np.sqrt(np.diag(self.vcov)))

    def _shift(self, slope: float) -> float:
        return float(slope**2 * self.trend @ np.linalg.solve(self.vcov, self.trend))

    def passing(self, slope: float) -> float:
        """Return the probability to pass under a trend."""
        if self.test == "individual":
            return box(slope * self.trend, self.vcov, self.edge, self.seed)
        critical = stats.chi2.isf(self.alpha, self.path.n_pre)
        return float(stats.ncx2.cdf(critical, self.path.n_pre, self._shift(slope)))

    def slope(self, power: float) -> float:
        """Return the trend that is detected with this probability."""
        high = float((self.edge / np.abs(self.trend)).min())
        while 1 - self.passing(high) < power:
            high *= 1.5
        return float(optimize.brentq(lambda one: 1 - self.passing(one) - power, 0.0, high, xtol=1e-7 * high))

    def mean(self, slope: float) -> Floats:
        """Return the mean of the leads that pass, under a trend."""
        middle = slope * self.trend
        if self.test == "individual":
            return box_mean(middle, self.vcov, self.edge, self.seed)
        n, shift = self.path.n_pre, self._shift(slope)
        critical = stats.chi2.isf(self.alpha, n)
        return np.asarray(middle * stats.ncx2.cdf(critical, n + 2, shift) / stats.ncx2.cdf(critical, n, shift))


def box(mean: Floats, vcov: Floats, edge: Floats, seed: int) -> float:
    """Return the probability that a normal vector lies between ``-edge`` and ``edge``."""
    rng = np.random.default_rng(seed)
    return float(stats.multivariate_normal.cdf(edge, mean=mean, cov=vcov, lower_limit=-edge, rng=rng))


def box_mean(mean: Floats, vcov: Floats, edge: Floats, seed: int) -> Floats:
    """Return the mean of a normal vector that lies between ``-edge`` and ``edge``, shape (k,)."""
    faces = np.zeros(len(mean))
    for i in range(len(mean)):
        rest = np.arange(len(mean)) != i
        spread = np.sqrt(vcov[i, i])
        slope = vcov[rest, i] / vcov[i, i]
        left = vcov[np.ix_(rest, rest)] - np.outer(slope, vcov[i, rest])
        for side, sign in ((-edge[i], 1.0), (edge[i], -1.0)):
            inside = box(mean[rest] + slope * (side - mean[i]), left, edge[rest], seed) if rest.any() else 1.0
            faces[i] += sign * stats.norm.pdf(side, mean[i], spread) * inside
    return np.asarray(mean + vcov @ faces / box(mean, vcov, edge, seed))


def _row(leads: _Leads, slope: float) -> tuple[dict[str, Any], pd.DataFrame]:
    path, n = leads.path, leads.path.n_pre
    violation = slope * (path.times - path.reference)
    passing, after = leads.passing(slope), leads.mean(slope)
    later = violation[n:] + path.vcov[n:, :n] @ np.linalg.solve(leads.vcov, after - violation[:n])
    mean = np.concatenate([after, later])
    seen, first = path.estimate[:n], int(np.flatnonzero(path.weights("first")[0])[0]) + n
    ratio = stats.multivariate_normal.logpdf(seen, violation[:n], leads.vcov)
    ratio -= stats.multivariate_normal.logpdf(seen, np.zeros(n), leads.vcov)
    row = {
        "term": path.outcome,
        "pretest": leads.test,
        "slope": slope,
        "power": 1 - passing,
        "bayes_factor": passing / leads.passing(0.0),
        "likelihood_ratio": float(np.exp(ratio)),
        "event_time": float(path.times[first]),
        "violation": float(violation[first]),
        "mean_after_passing": float(mean[first]),
    }
    return row, _events(leads, slope, violation, mean)


def _events(leads: _Leads, slope: float, violation: Floats, mean: Floats) -> pd.DataFrame:
    path, at = leads.path, leads.path.n_pre

    def whole(values: Floats) -> Floats:
        return np.insert(values, at, 0.0)

    half = stats.norm.isf((1 - path.conf_level) / 2) * path.std_error
    return pd.DataFrame(
        {
            "pretest": leads.test,
            "slope": slope,
            "event_time": np.insert(path.times, at, path.reference),
            "estimate": whole(path.estimate),
            "std_error": whole(path.std_error),
            "conf_low": whole(path.estimate - half),
            "conf_high": whole(path.estimate + half),
            "violation": whole(violation),
            "mean_after_passing": whole(mean),
        }
    )
