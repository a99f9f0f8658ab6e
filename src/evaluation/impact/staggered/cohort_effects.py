"""Averages of a regression by cohort that know the regression behind them, written out only when it is asked for."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.impact.absorbed.coefficients import AbsorbedEffects
from evaluation.impact.absorbed.fixed_effects import Regression, Solved, solve
from evaluation.impact.absorbed.rules import Rule, Uncertainty
from evaluation.impact.absorbed.sandwich import uncertainty
from evaluation.impact.effects import ImpactEffects
from evaluation.impact.staggered.cohort_moments import CohortRows
from evaluation.impact.staggered.remarks import rows_without_error
from evaluation.wording import term

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LinearForm:
    """A linear regression row by row, of which averages are combinations.

    Attributes
    ----------
    rows : CohortRows
    at : ndarray of int, shape (N,)
        Place of each row among those of ``rows``; stacks hold one several times.
    columns : callable
        Returns them, shape (k, N).
    terms : tuple of str, k
    n_effects : int
        Columns that are effects, the first ones.
    unit, time : (ndarray of int, str)
        Levels that have an effect each, with their column.
    multiplier : ndarray, shape (N,), or None
        By what final weights are multiplied.
    combine : ndarray, shape (r, k)
    """

    rows: CohortRows
    at: Codes
    columns: Callable[[], Floats]
    terms: tuple[str, ...]
    n_effects: int
    unit: tuple[Codes, str]
    time: tuple[Codes, str]
    multiplier: Floats | None
    combine: Floats

    def regression(self) -> Regression:
        """Return the regression with its rows ordered by cluster."""
        rows, clusters = self.rows, self.rows.clusters
        own = np.zeros(len(self.at), dtype=np.int64) if clusters is None else clusters.code[rows.at[self.at]]
        order = np.argsort(own, kind="stable")
        levels, labels, names = {}, {}, {}
        for role, (codes, name) in (("unit", self.unit), ("time", self.time)):
            level, found = pd.factorize(codes[order], sort=True)
            levels[role], labels[role], names[role] = np.asarray(level, dtype=np.int64), pd.Index(found), name
        if clusters is not None:
            levels["cluster"], labels["cluster"] = own[order], pd.Index(list(clusters.levels))
            names["cluster"] = clusters.name
        at = rows.at[self.at[order]]
        weights = rows.over_time.design.domain_weights[at]
        multiplier = None if self.multiplier is None else self.multiplier[order]
        return Regression(
            rows.names["outcome"],
            list(self.terms),
            self.n_effects,
            at,
            np.vstack([rows.y[self.at[order]], self.columns()[:, order]]),
            weights if multiplier is None else weights * multiplier,
            levels,
            names,
            labels,
            None,
            multiplier=multiplier,
        )


class _Later:
    """An attribute that is made when it is first asked for."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, result: Any, owner: type | None = None) -> Any:
        value = result.__dict__[self.name]
        if isinstance(value, _Made):
            value = result.__dict__[self.name] = value.make()
        return value

    def __set__(self, result: Any, value: Any) -> None:
        result.__dict__[self.name] = value


@dataclass(frozen=True)
class _Made:
    make: Callable[[], Any]


class AveragedEffects(ImpactEffects):
    """Averages of effects by cohort that are no combinations of coefficients with known weights."""

    def _groups_told(self) -> list[str]:
        """Return besides what every result tells: what was left out and why."""
        return [*super()._groups_told(), *left_out_lines(self.fit), *self.remarks()]

    def remarks(self, lang: str | None = None) -> tuple[str, ...]:
        """Return which rows have no error and why, in the language of the run or the one named."""
        return rows_without_error(self, lang)


class CohortEffects(AbsorbedEffects):
    """Averages of the effects of a regression by cohort.

    ``regression``, ``solved`` and ``uncertain`` are as wide as the rows of the data and made on request.
    """

    regression: Regression = _Later()  # type: ignore[assignment]
    solved: Solved = _Later()  # type: ignore[assignment]
    uncertain: Uncertainty = _Later()  # type: ignore[assignment]

    def holds_shares(self, row: int) -> bool:
        """Tell whether a row averages several cells by shares, which errors of the regression take as known."""
        return self.fit.get("weights") != "none" and int(np.count_nonzero(self.combine[row])) > 1

    def _groups_told(self) -> list[str]:
        """Return besides what every regression tells: what was left out and why, and what rows are mixed of."""
        told = [*super()._groups_told(), *left_out_lines(self.fit), *self.remarks()]
        return [*told, str(self.fit["contaminated"])] if "contaminated" in self.fit else told

    def remarks(self, lang: str | None = None) -> tuple[str, ...]:
        """Return which rows have no error and why, in the language of the run or the one named."""
        return rows_without_error(self, lang)

    def take(self, rows: NDArray[np.int64]) -> CohortEffects:
        """Return the estimates at ``rows``, in that order, with their covariances and the means to refit them."""
        taken = ImpactEffects.take(self, rows)
        return replace(taken, combine=self.combine[rows])  # type: ignore[return-value, call-arg]


def left_out_lines(fit: Mapping[str, Any]) -> list[str]:
    """Return what is not identified, by reason and cohort, as lines.

    Examples
    --------
    >>> left_out_lines({"not_identified": [{"cohort": 2016, "time": 2012, "reason": "no_answers"}]})
    ['not identified, a group has no answers in a wave: cohort 2016 (2012)']
    """
    found: dict[str, dict[Any, list[str]]] = {}
    for row in fit.get("not_identified", ()):
        times = found.setdefault(str(row["reason"]), {}).setdefault(row["cohort"], [])
        times += [str(row["time"])] if "time" in row else []
    lines = []
    for reason, cohorts in found.items():
        named = [f"{cohort} ({', '.join(times)})" if times else f"{cohort}" for cohort, times in cohorts.items()]
        lines.append(f"not identified, {term(reason, 'en')}: cohort {', '.join(named)}")
    return lines


def averaged_effects(made: ImpactEffects) -> AveragedEffects:
    """Return averages that print what was left out."""
    return AveragedEffects(**{field.name: getattr(made, field.name) for field in fields(made)})


def cohort_effects(made: ImpactEffects, form: LinearForm, rule: Rule) -> CohortEffects:
    """Return averages with the regression behind them, which is written out on request.

    Parameters
    ----------
    made : ImpactEffects
        Averages with errors of a rule.
    form : LinearForm
    rule : Rule
    """
    design = form.rows.over_time.design
    written = functools.cache(form.regression)
    answered = functools.cache(lambda: solve(written()))
    later: dict[str, Any] = {
        "regression": _Made(written),
        "solved": _Made(answered),
        "uncertain": _Made(lambda: uncertainty(made.verb, design, written(), answered(), rule)),
    }
    own = {field.name: getattr(made, field.name) for field in fields(made)}
    return CohortEffects(**own, **later, combine=form.combine, rule=rule)
