"""Missing outcomes: what an effect could be whatever those answered who did not, and errors that weigh anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, stats

from evaluation import wording
from evaluation.design.collapse import mass_by
from evaluation.errors import EstimationError, IdentificationError
from evaluation.estimation.arguments import called_as, column_name, require_arguments, require_number
from evaluation.impact.credibility.overall import Asked, overall_effect, under_one_another, with_data
from evaluation.impact.effects import Vcov
from evaluation.impact.identification import ControlGroup, plan_cells
from evaluation.impact.panel import Cohorts, Panel, exact, read_cohorts, require_panel
from evaluation.impact.staggered.aggregation import aggregate
from evaluation.impact.staggered.cohort_sizes import Weights
from evaluation.impact.staggered.group_time import att_gt
from evaluation.results import Estimates, Provenance, plain

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Assumption = Literal["worst_case", "shift"]

VERB = "missing_outcome_bounds"
RULES = ("answered", "worst_case", "shift")
#: Columns that hold filled answers while they are used.
LOWER, UPPER = "lowest answers of {outcome}", "highest answers of {outcome}"


@dataclass(frozen=True, eq=False)
class MissingOutcomeBounds:
    """Limits of an effect whatever the missing answers were.

    Attributes
    ----------
    frame : pandas.DataFrame
        One row per assumption: ``assumption shift lower upper std_error_lower std_error_upper conf_low conf_high``.
        "answered" takes those who answered for all; "worst_case" lets every missing answer lie anywhere in the scale;
        "shift" lets their mean differ from that of those who answered by no more than ``shift``.
    response : pandas.DataFrame
        Share of answers by cohort and wave, weighted: ``cohort time n share``.
    outcome : str
    lowest, highest : float
        Ends of the scale.
    conf_level : float
    breakdown : float
        Smallest shift at which the limits hold zero; infinite where they never do within the scale, zero where
        they do without any.
    provenance : Provenance
    """

    frame: pd.DataFrame
    response: pd.DataFrame
    outcome: str
    lowest: float
    highest: float
    conf_level: float
    breakdown: float
    provenance: Provenance

    def tidy(self) -> pd.DataFrame:
        """Return one row per assumption."""
        return self.frame.copy()

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        rows = [{str(name): plain(value) for name, value in row.items()} for row in self.frame.to_dict("records")]
        names = ("outcome", "lowest", "highest", "conf_level", "breakdown")
        fit = {name: plain(getattr(self, name)) for name in names}
        return {"verb": VERB, "provenance": self.provenance.to_dict(), "fit": fit, "rows": rows}

    def layout(self, lang: str) -> tuple[dict[str, list[str]], list[str]]:
        """Return the columns of a table as text, and its notes."""
        rows = self._rows()
        columns = {
            wording.term("assumption", lang): [self._name(row, lang) for row in rows],
            wording.term("bound_lower", lang): [wording.plain_number(row["lower"]) for row in rows],
            wording.term("bound_upper", lang): [wording.plain_number(row["upper"]) for row in rows],
            wording.interval_name(self.conf_level, lang): [
                f"[{wording.plain_number(row['conf_low'])}, {wording.plain_number(row['conf_high'])}]" for row in rows
            ],
        }
        return columns, [self._note(lang)]

    def _rows(self) -> list[dict[str, Any]]:
        return [{str(name): value for name, value in row.items()} for row in self.frame.to_dict("records")]

    def _name(self, row: Mapping[str, Any], lang: str | None) -> str:
        return wording.term(f"missing_{row['assumption']}", lang).format(
            shift=wording.plain_number(row["shift"]),
            low=wording.plain_number(self.lowest),
            high=wording.plain_number(self.highest),
        )

    def _note(self, lang: str | None) -> str:
        told = "missing_breakdown" if np.isfinite(self.breakdown) else "missing_never"
        widest = self.frame.loc[self.frame["assumption"] == "worst_case"]
        if told == "missing_never" and bool(((widest["conf_low"] <= 0) & (widest["conf_high"] >= 0)).any()):
            told = "missing_never_but_interval"
        share = self.response["share"]
        return " ".join(
            [
                wording.term("missing_shares", lang).format(
                    low=f"{100 * share.min():.0f}%", high=f"{100 * share.max():.0f}%"
                ),
                wording.term(told, lang).format(shift=wording.plain_number(self.breakdown)),
                wording.term("missing_interval", lang),
            ]
        )

    def text(self, lang: str | None = None) -> str:
        """Say the limits, in Korean or English."""
        lines = [
            wording.term("said_missing", lang).format(
                assumption=self._name(row, lang),
                lower=wording.plain_number(row["lower"]),
                upper=wording.plain_number(row["upper"]),
                low=wording.plain_number(row["conf_low"]),
                high=wording.plain_number(row["conf_high"]),
            )
            for row in self._rows()
        ]
        return "\n".join([*lines, self._note(lang)])

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return "".join(f"<p>{escape(line)}</p>" for line in self.text().splitlines())


def missing_outcome_bounds(
    panel: Panel,
    *,
    outcome: str,
    cohort: str,
    lowest: float,
    highest: float,
    shift: float | Sequence[float] | None = None,
    control_group: ControlGroup = "notyettreated",
    anticipation: float = 0.0,
    cluster: str | None = None,
    vcov: Vcov | None = None,
    weights: Weights = "sample",
    supported_only: bool = False,
    conf_level: float = 0.95,
) -> MissingOutcomeBounds:
    """Bound the overall effect whatever those answered who did not.

    Parameters
    ----------
    panel : Panel
        Repeated cross-sections from ``ev.panel``; everybody asked is in it, also who did not answer.
    outcome : str
        Numeric column in which missing answers are missing.
    lowest, highest : float
        Ends of the outcome's scale, e.g. 0 and 1.
    shift : float or list of float, optional
        By how much the mean of missing answers may differ from that of the answers of the same cohort and wave, in
        the unit of the outcome; each is a row. Answers stay within the scale.
    cohort, control_group, anticipation, cluster, vcov, conf_level
        As in ``ev.att_gt``, without covariates.
    weights, supported_only
        As in ``ev.aggregate``.

    Returns
    -------
    MissingOutcomeBounds
        Estimated limits, their errors, and an interval that holds the effect, wherever it lies between the limits.

    Raises
    ------
    ColumnError, IdentificationError
        As ``ev.att_gt``.
    EstimationError
        A panel of units, nothing is missing, an answer outside the scale, a negative shift.

    Notes
    -----
    The simple average of group-time effects is a linear combination of the means of cohorts in waves, with
    coefficients that do not hang on the answers. Missing answers of a cohort and wave are put at the end that raises
    (or lowers) the combination, so no choice of answers lies beyond: the limits are sharp. The interval is that of
    Imbens and Manski: its multiplier c solves :math:`F(c + (U - L)/\\max(s_L, s_U)) - F(-c) = 1 - \\alpha`, F being t.

    References
    ----------
    Manski (1990), American Economic Review 80, 319-323; Imbens and Manski (2004), Econometrica 72, 1845-1857;
    Horowitz and Manski (2000), Journal of the American Statistical Association 95, 77-84.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.impact.panel import panel
    >>> rows = [(t, g, 1.0) for t in (1, 2) for g in (2, 0) for _ in range(3)] + [(2, 2, None)]
    >>> answers = pd.DataFrame(rows, columns=["year", "first", "y"]).astype({"y": float})
    >>> over_time = panel(survey_design(answers), time="year")
    >>> found = missing_outcome_bounds(over_time, outcome="y", cohort="first", lowest=0, highest=1)
    >>> found.tidy()[["lower", "upper"]].values.tolist()
    [[0.0, 0.0], [-0.25, 0.0]]
    """
    require_arguments(missing_outcome_bounds, locals())
    require_panel(panel, VERB)
    if panel.rows is not None:
        raise EstimationError(f"{VERB} is for repeated cross-sections: leave unit out of ev.panel.")
    name = column_name(outcome, f"{VERB}: outcome")
    low = require_number(lowest, f"{VERB}: lowest")
    high = require_number(highest, f"{VERB}: highest", above=low)
    values, missing = _answers(panel, name, low, high)
    shifts = _shifts(shift)
    cohorts = read_cohorts(panel, cohort)
    asked = Asked(
        cohort,
        control_group=control_group,
        anticipation=anticipation,
        cluster=cluster,
        vcov=vcov,
        weights=weights,
        supported_only=supported_only,
        conf_level=conf_level,
        verb=VERB,
    )
    case = _Case(panel, name, values, missing, cohorts, asked, (low, high))
    rows = [case.row("answered", 0.0), case.row("worst_case", np.nan), *(case.row("shift", one) for one in shifts)]
    return MissingOutcomeBounds(
        frame=pd.DataFrame(rows),
        response=case.response(),
        outcome=name,
        lowest=low,
        highest=high,
        conf_level=conf_level,
        breakdown=case.breakdown(),
        provenance=panel.design.provenance,
    )


def _answers(over_time: Panel, outcome: str, low: float, high: float) -> tuple[Floats, Mask]:
    counted = over_time.period >= 0
    column = pd.to_numeric(over_time.design.column(outcome), errors="coerce")
    values = column.to_numpy(dtype=float, na_value=np.nan)
    missing = counted & np.isnan(values)
    if not missing.any():
        raise EstimationError(
            f"{VERB}: '{outcome}' is missing for nobody, so there is nothing to bound. Use ev.att_gt."
        )
    beyond = counted & ((values < low) | (values > high))
    if beyond.any():
        raise EstimationError(
            f"{VERB}: {int(beyond.sum())} answers of '{outcome}' lie outside {low:g} to {high:g} (first: "
            f"{values[beyond][0]:g}). Give the ends of its scale as lowest and highest.",
            failures=over_time.design.data.loc[beyond],
        )
    return values, missing


def _shifts(shift: float | Sequence[float] | None) -> list[float]:
    if shift is None:
        return []
    several = [shift] if isinstance(shift, (int, float)) else list(shift)
    return [require_number(one, f"{VERB}: shift", least=0.0) for one in several]


@dataclass(frozen=True, eq=False)
class _Case:
    """Answers, who did not answer, and what is asked of them."""

    over_time: Panel
    outcome: str
    values: Floats
    missing: Mask
    cohorts: Cohorts
    asked: Asked
    scale: tuple[float, float]

    def response(self) -> pd.DataFrame:
        """Return the weighted share of answers by cohort and wave."""
        mass, answered, n = self._sums()
        times, values = self.over_time.times, self.cohorts.values
        rows = [
            {
                "cohort": "never" if np.isinf(values[h]) else exact(values[h]),
                "time": exact(times[s]),
                "n": int(n[h, s]),
                "share": answered[h, s] / mass[h, s],
            }
            for h in range(len(values))
            for s in range(len(times))
            if mass[h, s] > 0
        ]
        return pd.DataFrame(rows)

    def _place(self) -> NDArray[np.int64]:
        inside = self.over_time.period >= 0
        return np.where(inside, self.cohorts.code * len(self.over_time.times) + self.over_time.period, -1)

    def _sums(self) -> tuple[Floats, Floats, Floats]:
        place, shape = self._place(), (len(self.cohorts.values), len(self.over_time.times))
        inside, w = place >= 0, self.over_time.design.domain_weights
        size = shape[0] * shape[1]
        parts = (w, w * ~self.missing, np.ones(len(w)))
        mass, answered, n = (mass_by(place[inside], size, part[inside]).reshape(shape) for part in parts)
        return mass, answered, n

    @cached_property
    def means(self) -> Floats:
        """Mean answer of each cohort and wave, shape (C, T)."""
        _, answered, _ = self._sums()
        place, w = self._place(), self.over_time.design.domain_weights
        there = (place >= 0) & ~self.missing
        total = np.bincount(place[there], (w * self.values)[there], minlength=answered.size).reshape(answered.shape)
        if (answered[self.coefficients != 0] <= 0).any():
            raise IdentificationError(f"{VERB}: a cohort has no answer at all in a wave that is compared.")
        return np.asarray(total / np.where(answered > 0, answered, 1.0))

    @cached_property
    def coefficients(self) -> Floats:
        """What the overall effect multiplies the mean of each cohort and wave by, shape (C, T)."""
        made = self._aggregated()
        mass = self._sums()[0]
        found = np.zeros(mass.shape)
        share = made.fit["cell_weights"]["overall"]
        values, times, asked = self.cohorts.values, self.over_time.times, self.asked
        for cell in plan_cells(times, values, asked.control_group, "varying", asked.anticipation):
            weight = share.get(f"{exact(values[cell.cohort])},{exact(times[cell.time])}", 0.0)
            if cell.reason or not weight:
                continue
            controls = list(cell.controls)
            for wave, sign in ((cell.time, 1.0), (cell.base, -1.0)):
                found[cell.cohort, wave] += sign * weight
                found[controls, wave] -= sign * weight * mass[controls, wave] / mass[controls, wave].sum()
        return found

    def _aggregated(self) -> Estimates:
        """Return the overall effect with answers of zero for those missing: its weights of cells count everybody."""
        over_time = self._filled({"": np.where(self.missing, self.scale[0], self.values)})
        with called_as(VERB, "att_gt", "aggregate"):
            effects = att_gt(
                over_time,
                outcome=LOWER.format(outcome=self.outcome),
                cohort=self.asked.cohort,
                control_group=self.asked.control_group,
                anticipation=self.asked.anticipation,
                cluster=self.asked.cluster,
                vcov=self.asked.vcov,
            )
            return aggregate(effects, weights=self.asked.weights, supported_only=self.asked.supported_only)

    def _filled(self, columns: Mapping[str, Floats]) -> Panel:
        first = next(iter(columns.values()))
        names = {LOWER.format(outcome=self.outcome): first, UPPER.format(outcome=self.outcome): [*columns.values()][-1]}
        return with_data(self.over_time, self.over_time.design.data.assign(**names))

    def filled(self, rule: str, shift: float) -> tuple[Floats, Floats]:
        """Return values whose mean in each cohort and wave is that of the answers with the lowest and highest effect.

        Notes
        -----
        Where missing answers lie at an end of the scale they are put there. Where they lie ``shift`` from the mean m
        of those who answered, with share q, the mean is :math:`M = m + (1 - q) d`; the values
        :math:`M + r (y - m) / q + d (q - r)` have that mean and its derivative in every weight, r being 1 for answers.
        """
        sign = np.where(self.coefficients > 0, 1.0, -1.0)
        return self._values(rule, shift, -sign), self._values(rule, shift, sign)

    def _values(self, rule: str, shift: float, direction: Floats) -> Floats:
        low, high = self.scale
        end, place = np.where(direction > 0, high, low), np.maximum(self._place(), 0)
        if rule == "worst_case":
            return np.where(self.missing, end.ravel()[place], self.values)
        mass, answered, _ = self._sums()
        mean, q = self.means, answered / np.where(mass > 0, mass, 1.0)
        put = mean + direction * shift
        beyond = (put < low) | (put > high)
        gap = direction * shift
        own_mean, own_q, own_gap = (part.ravel()[place] for part in (mean, np.where(q > 0, q, 1.0), gap))
        answer = np.where(self.missing, 0.0, (self.values - own_mean) / own_q)
        linear = own_mean + (1 - own_q) * own_gap + answer + own_gap * (own_q - ~self.missing)
        ends = np.where(self.missing, end.ravel()[place], self.values)
        return np.where(beyond.ravel()[place], ends, linear)

    def row(self, rule: str, shift: float) -> dict[str, Any]:
        """Return the limits under one assumption."""
        lower, upper = self.filled(rule, shift)
        over_time = self._filled({"lower": lower, "upper": upper})
        names = (LOWER.format(outcome=self.outcome), UPPER.format(outcome=self.outcome))
        parts = [overall_effect(over_time, name, self.asked) for name in names]
        both = under_one_another(parts, pd.DataFrame({"term": list(names)}), over_time, self.asked, VERB)
        error = np.sqrt(np.diag(both.vcov))
        low, high = both.estimate
        half = _multiplier(high - low, float(error.max()), float(both.df.min()), self.asked.conf_level)
        return {
            "assumption": rule,
            "shift": shift,
            "lower": low,
            "upper": high,
            "std_error_lower": error[0],
            "std_error_upper": error[1],
            "conf_low": low - half * error[0],
            "conf_high": high + half * error[1],
        }

    def breakdown(self) -> float:
        """Return the smallest shift at which the limits hold zero."""
        coefficient, mean = self.coefficients, self.means
        mass, answered, _ = self._sums()
        gone = np.where(mass > 0, 1 - answered / np.where(mass > 0, mass, 1.0), 0.0)
        centre = float((coefficient * mean).sum())

        def nearest(shift: float) -> float:
            direction = -np.sign(centre) * np.sign(coefficient)
            moved = np.clip(mean + direction * shift, *self.scale) - mean
            return float((coefficient * gone * moved).sum() + centre) * float(np.sign(centre))

        farthest = self.scale[1] - self.scale[0]
        if centre == 0 or nearest(0.0) <= 0:
            return 0.0
        return float("inf") if nearest(farthest) > 0 else float(optimize.brentq(nearest, 0.0, farthest))


def _multiplier(width: float, error: float, df: float, level: float) -> float:
    """Return the multiplier of Imbens and Manski."""
    if not error > 0 or not df > 0:
        return float("nan")
    reach = width / error

    def short(c: float) -> float:
        return float(stats.t.cdf(c + reach, df) - stats.t.cdf(-c, df) - level)

    return float(optimize.brentq(short, 0.0, float(stats.t.ppf((1 + level) / 2, df)) + 1.0))
