"""Why totals cannot be met: which of them conflict, what can be reached instead, and which bounds would do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from evaluation.design.collapse import Floats
from evaluation.design.columns import Columns
from evaluation.errors import CalibrationError
from evaluation.weighting.programme import (
    PRECISION,
    Bounds,
    Index,
    Reach,
    columns_at,
    extreme,
    largest_low,
    least_miss,
    smallest_high,
    smallest_ratio,
)

#: Conflicting totals that a message spells out; all stand in its failures.
SHOWN = 4
#: A factor this far inside its bounds does not lie at them.
INSIDE = 1e-5
#: Two ways to say one total may differ by this much, relative to its parts.
AGREEMENT = 1e-9


def explain_infeasible(
    auxiliaries: Columns | Floats,
    weights: Floats,
    totals: Floats,
    names: Sequence[str],
    bounds: Bounds,
    *,
    verb: str = "calibrate",
) -> CalibrationError:
    """Find out why no factors within bounds make weights meet their totals, and say so in an error.

    Parameters
    ----------
    auxiliaries : Columns or ndarray, shape (n, q)
        Of respondents, or of cells of respondents who are alike.
    weights : ndarray, shape (n,)
        Input weights (of cells: their sums), zero and above.
    totals : ndarray, shape (q,)
        Targets.
    names : sequence of str
        What each total is called.
    bounds : (float, float)
        Lowest and highest factor of a weight; ``(0, inf)`` for distances that keep weights positive.
    verb : str, default "calibrate"
        Who asks.

    Returns
    -------
    CalibrationError
        To be raised. Its ``failures`` hold a row per total of a smallest set that cannot be met together: ``total,
        target, before`` and ``lowest, highest``, what can be reached of it while the others of the set are met.
        Its message names them and the smallest bounds that would do.

    Notes
    -----
    Infeasibility is proved: a linear programme minimises the sum of relative misses, and its dual solution is a
    certificate that is checked against every respondent. The set is made minimal by a deletion filter.

    References
    ----------
    Chinneck and Dravnieks (1991), ORSA Journal on Computing 3, 157-168 (elastic programme, deletion filter).
    R: ``survey::calibrate`` stops with "Calibration failed"; ReGenesees gives ``bounds.hint``.

    Examples
    --------
    >>> rooms = np.array([[1.0, 1.0], [1.0, 2.0], [1.0, 4.0]])
    >>> error = explain_infeasible(rooms, np.ones(3), np.array([3.0, 15.0]), ["total", "rooms"], (0, np.inf))
    >>> error.failures[["total", "target", "lowest", "highest"]].values.tolist()
    [['total', 3.0, 3.75, 15.0], ['rooms', 15.0, 3.0, 12.0]]
    """
    x = auxiliaries if isinstance(auxiliaries, Columns) else _columns(np.asarray(auxiliaries, dtype=float))
    case = _Case(Reach.of(x, weights, totals), totals, tuple(names), bounds, verb)
    contradiction = explain_contradiction(x, weights, totals, names, verb=verb)
    return contradiction or _explained(case)


def _columns(matrix: Floats) -> Columns:
    return Columns(len(matrix), np.arange(len(matrix)), matrix)


@dataclass(frozen=True, eq=False)
class _Case:
    reach: Reach
    totals: Floats
    names: tuple[str, ...]
    bounds: Bounds
    verb: str

    def conflict(self, bounds: Bounds) -> tuple[Index, Reach]:
        """Return a smallest set of totals that cannot be met together, empty where all can."""
        chosen = list(range(len(self.totals)))
        found = least_miss(self.reach, self.totals, chosen, bounds)
        if found.value <= PRECISION:
            return [], found.reach
        support = np.abs(found.multiplier) > 1e-9
        chosen, reach = [j for j in chosen if support[j]], found.reach
        for j in sorted(chosen, key=lambda j: abs(float(found.multiplier[j]))):
            fewer = [i for i in chosen if i != j]
            without = least_miss(reach, self.totals, fewer, bounds)
            reach = without.reach
            if without.value > PRECISION:
                chosen = fewer
        return chosen, reach

    def table(self, conflict: Index, reach: Reach) -> pd.DataFrame:
        """Return a row per conflicting total with what can be reached of it."""
        conflict = sorted(conflict)
        x, totals = columns_at(reach.x, conflict), self.totals[conflict]
        own = Reach.of(x, reach.weights, totals)
        before = x.moments(reach.weights[:, None])[:, 0]
        rows = []
        for j, place in enumerate(conflict):
            others = [i for i in range(len(conflict)) if i != j]
            ends = [extreme(own, totals, others, self.bounds, j, sign).value for sign in (1, -1)]
            rows.append((self.names[place], totals[j], before[j], *ends))
        return pd.DataFrame(rows, columns=["total", "target", "before", "lowest", "highest"])


def _explained(case: _Case) -> CalibrationError:
    conflict, reach = case.conflict(case.bounds)
    if not conflict:
        return _at_the_edge(case) or CalibrationError(
            f"{case.verb} does not converge, though weights {_within(case.bounds)} exist that meet all totals. They "
            f"lie close to the bounds. Widen the bounds, or use distance='linear'.",
            failures=pd.DataFrame({"total": case.names, "target": case.totals}),
        )
    table = case.table(conflict, reach)
    return CalibrationError(
        f"{case.verb} cannot meet its totals: no weights {_within(case.bounds)} reach {_listed(table)}.\n  "
        f"{_reachable(table)} {_moves(case, reach)}",
        failures=table,
    )


def explain_edge(
    auxiliaries: Columns, weights: Floats, totals: Floats, names: Sequence[str], *, verb: str = "calibrate"
) -> CalibrationError | None:
    """Return an error where totals can be met only with weights of zero for some; None where that is not so."""
    bounds = (0.0, math.inf)
    return _at_the_edge(_Case(Reach.of(auxiliaries, weights, totals), totals, tuple(names), bounds, verb))


def _at_the_edge(case: _Case) -> CalibrationError | None:
    """Explain totals that can be met only by factors at their bounds."""
    low, high = case.bounds
    width = INSIDE * ((high - low) if math.isfinite(high) else 1.0)
    conflict, reach = case.conflict((low + width, high - width))
    if not conflict:
        return None
    table = case.table(conflict, reach)
    where = "of zero for some respondents" if low == 0 and math.isinf(high) else "at their bounds"
    return CalibrationError(
        f"{case.verb} cannot meet its totals: only weights {where} reach {_listed(table)}.\n  "
        f"{_reachable(table)} Merge levels, drop one of them, or widen the bounds.",
        failures=table,
    )


def _within(bounds: Bounds) -> str:
    low, high = bounds
    if math.isinf(high):
        return "of zero and above" if low == 0 else f"above {low:g} times the input weights"
    return f"between {low:g} and {high:g} times the input weights"


def _listed(table: pd.DataFrame) -> str:
    told = [f"'{row.total}' = {row.target:,.10g}" for row in table.head(SHOWN).itertuples()]
    if len(table) > SHOWN:
        told.append(f"{len(table) - SHOWN} more")
    return told[0] if len(told) == 1 else f"{', '.join(told[:-1])} and {told[-1]} together"


def _reachable(table: pd.DataFrame) -> str:
    """Say for the total that is furthest off what can be reached of it."""
    target, lowest, highest = (table[name].to_numpy(float) for name in ("target", "lowest", "highest"))
    off = np.maximum(lowest - target, target - highest) / np.maximum(np.abs(target), 1e-300)
    row = table.iloc[int(np.argmin(np.where(np.isfinite(off), off, np.inf)))]
    given = "With the others met, " if len(table) > 1 else ""
    span = (
        f"at least {row['lowest']:,.6g}"
        if math.isinf(row["highest"])
        else f"at most {row['highest']:,.6g}"
        if math.isinf(row["lowest"])
        else f"from {row['lowest']:,.6g} to {row['highest']:,.6g}"
    )
    return f"{given}'{row['total']}' can be {span} (before: {row['before']:,.6g}, target: {row['target']:,.6g})."


def _moves(case: _Case, reach: Reach) -> str:
    low, high = case.bounds
    check = "Check the targets' unit and population, or drop one of them."
    if low <= 0 and math.isinf(high):
        return f"No bounds help. {check}"
    possible = least_miss(reach, case.totals, list(range(len(case.totals))), (min(low, 0.0), math.inf))
    if possible.value > PRECISION:
        return f"No weights of zero and above do, whatever the bounds. {check}"
    return f"{_bounds_that_do(case, possible.reach)} {check}"


def _bounds_that_do(case: _Case, reach: Reach) -> str:
    low, high = case.bounds
    offers = []
    needed = smallest_high(reach, case.totals, low)
    if math.isfinite(needed):
        offers.append(f"({low:g}, {_rounded(needed, 1):g})")
    if math.isfinite(high):
        needed = largest_low(reach, case.totals, high)
        if math.isfinite(needed):
            offers.append(f"({_rounded(needed, -1):g}, {high:g})")
        ratio = smallest_ratio(reach, case.totals, max(high, 1 / low if low > 0 else 1.0))
        if math.isfinite(ratio):
            offers.append(f"({_rounded(1 / ratio, -1):g}, {_rounded(ratio, 1):g})")
    if not offers:
        return "No bounds up to a hundredfold weight would do."
    return f"The smallest bounds that would do: {' or '.join(offers)}."


def _rounded(value: float, away: int) -> float:
    """Return a value to four significant digits, rounded up (1) or down (-1)."""
    if value == 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - 3)
    steps = math.ceil(value / unit) if away > 0 else math.floor(value / unit)
    return round(steps * unit, 12)


def explain_contradiction(
    auxiliaries: Columns, weights: Floats, totals: Floats, names: Sequence[str], *, verb: str = "calibrate"
) -> CalibrationError | None:
    """Return an error where an auxiliary is made of others but its total is not; None where all agree.

    Parameters
    ----------
    auxiliaries : Columns, n rows, q columns
    weights : ndarray, shape (n,)
        Respondents of weight zero do not count.
    totals : ndarray, shape (q,)
    names : sequence of str
    verb : str, default "calibrate"
        Who asks.
    """
    gram = auxiliaries.gram((weights != 0).astype(float))
    scale = np.sqrt(np.diag(gram))
    scale[scale == 0] = 1.0
    gram, scaled = gram / np.outer(scale, scale), totals / scale
    kept: Index = []
    for j in range(len(totals)):
        made = np.linalg.solve(gram[np.ix_(kept, kept)], gram[kept, j]) if kept else np.zeros(0)
        if gram[j, j] - made @ gram[kept, j] > 1e-11:
            kept.append(j)
            continue
        parts = scaled[kept] * made
        if abs(scaled[j] - parts.sum()) > AGREEMENT * (abs(scaled[j]) + np.abs(parts).sum()):
            used = [i for i, share in zip(kept, made, strict=True) if abs(share) > 1e-6]
            factors = [made[kept.index(i)] * scale[j] / scale[i] for i in used]
            return _contradiction(j, used, factors, float(parts.sum() * scale[j]), totals, names, verb)
    return None


def _contradiction(
    j: int, used: Index, factors: Sequence[float], implied: float, totals: Floats, names: Sequence[str], verb: str
) -> CalibrationError:
    table = pd.DataFrame(
        {
            "total": [names[i] for i in (j, *used)],
            "target": [totals[i] for i in (j, *used)],
            "factor": [-1.0, *factors],
        }
    )
    if not used:
        return CalibrationError(
            f"{verb} cannot meet its totals: '{names[j]}' is zero for every respondent who has a weight, but its "
            f"target is {totals[j]:,.10g}. Drop it, or merge it with a level that respondents have.",
            failures=table,
        )
    told = [_term(names[i], factor) for i, factor in zip(used, factors, strict=True)]
    shown = " + ".join(told[:SHOWN]) + (f" + {len(told) - SHOWN} more" if len(told) > SHOWN else "")
    return CalibrationError(
        f"{verb} cannot meet its totals: they contradict each other. For every respondent '{names[j]}' is {shown}, so "
        f"its total must be {implied:,.10g}, but the target is {totals[j]:,.10g}. Correct one of them, or drop it.",
        failures=table,
    )


def _term(name: str, factor: float) -> str:
    return f"'{name}'" if abs(factor - 1) < 1e-6 else f"{factor:.6g} × '{name}'"
