"""Power and size of a staged roll-out by simulation: cells with shocks of places, the estimator and its tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import combinations
from math import comb
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from evaluation import wording
from evaluation.errors import EstimationError, IdentificationError
from evaluation.estimation.arguments import (
    column_names,
    require_arguments,
    require_choice,
    require_number,
    require_numbers,
    require_seed,
)
from evaluation.impact.identification import ControlGroup
from evaluation.impact.planning.detectable import PLANNED, Correlations, read_correlations
from evaluation.impact.planning.timetable import (
    Decay,
    Floats,
    Method,
    Timetable,
    coefficients,
    place_covariance,
    read_timetable,
)
from evaluation.results import Estimates, Provenance, plain

VERB = "rollout_power"
Test = Literal["jackknife", "randomization"]
TESTS = ("jackknife", "randomization")
FEWEST = 100
#: Draws worked on at once.
BLOCK = 250
#: Statistics closer than this share are tied.
TIE = 1e-9


@dataclass(frozen=True, eq=False)
class RolloutSimulation:
    """How often a roll-out's effect is found, and a null rejected.

    Attributes
    ----------
    frame : pandas.DataFrame
        One row per effect and test: ``effect test rejected mc_error mean_estimate sd_estimate mean_std_error reason``.
        Effect 0 is the size of the test.
    alpha : float
        Level.
    draws, permutations, seed : int
        Simulated roll-outs, orders of roll-out drawn for randomization inference, and the seed of both.
    persons : float
        Per place and wave.
    places : dict
        Number of places by first treated wave.
    method : str
    correlations : Correlations
    provenance : Provenance
    """

    frame: pd.DataFrame
    alpha: float
    draws: int
    permutations: int
    seed: int
    persons: float
    places: dict[str, int]
    method: str
    correlations: Correlations
    provenance: Provenance = PLANNED

    def tidy(self) -> pd.DataFrame:
        """Return one row per effect and test."""
        return self.frame.copy()

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        rows = [{str(name): plain(value) for name, value in row.items()} for row in self.frame.to_dict("records")]
        names = ("alpha", "draws", "permutations", "seed", "persons", "places", "method")
        c = self.correlations
        fit = {name: plain(getattr(self, name)) for name in names}
        fit |= {"icc": c.icc, "cac": c.cac, "std_dev": c.std_dev, "autocorrelation": c.autocorrelation}
        return {"verb": VERB, "provenance": self.provenance.to_dict(), "fit": fit, "rows": rows}

    def layout(self, lang: str) -> tuple[dict[str, list[str]], list[str]]:
        """Return the columns of a table as text, and its notes."""
        frame = self.frame
        columns = {
            wording.term("effect", lang): [wording.plain_number(value) for value in frame["effect"]],
            wording.term("test", lang): [wording.term(f"test_{name}", lang) for name in frame["test"]],
            wording.term("rejected", lang): [
                wording.term(reason, lang) if reason else f"{100 * share:.1f}"
                for share, reason in zip(frame["rejected"], frame["reason"], strict=True)
            ],
            wording.term("mc_error", lang): [
                wording.ABSENT if np.isnan(value) else f"{100 * value:.1f}" for value in frame["mc_error"]
            ],
            wording.term("sd_estimate", lang): [wording.plain_number(value) for value in frame["sd_estimate"]],
        }
        return columns, [self.setting_text(lang)]

    def setting_text(self, lang: str | None = None) -> str:
        """Return what was simulated as one line."""
        c = self.correlations
        return wording.term("rollout_power_setting", lang).format(
            draws=wording.number(self.draws),
            seed=self.seed,
            persons=wording.number(self.persons),
            icc=f"{c.icc:.3g}",
            cac=c.cac_text(),
            sd=f"{c.std_dev:.4g}",
            alpha=f"{100 * self.alpha:g}%",
            method=wording.term(f"mde_{self.method}", lang),
        )

    def text(self, lang: str | None = None) -> str:
        """Say how often each effect is found, in Korean or English."""
        lines = [self.setting_text(lang)]
        for row in self.frame.to_dict("records"):
            key = "said_rollout_none" if row["reason"] else "said_rollout_power"
            lines.append(
                wording.term(key, lang).format(
                    effect=wording.plain_number(row["effect"]),
                    test=wording.term(f"test_{row['test']}", lang),
                    share=f"{100 * row['rejected']:.1f}%",
                    reason=wording.term(row["reason"], lang) if row["reason"] else "",
                )
            )
        return "\n".join(lines)

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return "".join(f"<p>{escape(line)}</p>" for line in self.text().splitlines())


def rollout_power(
    schedule: object,
    *,
    effect: float | Sequence[float],
    persons: float,
    waves: Sequence[float] | None = None,
    correlations: Estimates | None = None,
    icc: float | None = None,
    cac: float | None = None,
    std_dev: float | None = None,
    method: Literal["att_gt", "twfe", "means"] = "att_gt",
    autocorrelation: Decay = "constant",
    control_group: ControlGroup = "notyettreated",
    anticipation: float = 0.0,
    supported_only: bool = False,
    test: Test | Sequence[Test] = ("jackknife", "randomization"),
    draws: int = 2_000,
    permutations: int = 499,
    alpha: float = 0.05,
    seed: int = 1,
) -> RolloutSimulation:
    """Simulate a roll-out many times: how often its effect is found, and how often an effect of zero is.

    Parameters
    ----------
    schedule, persons, waves, correlations, icc, cac, std_dev, autocorrelation
        As in ``ev.rollout_mde``.
    effect : float or list of float
        True effect in every treated place and wave, in the unit of the outcome; 0 gives the size of the test. Every
        effect meets the same shocks.
    method : {"att_gt", "twfe", "means"}, default "att_gt"
        The estimator, as in ``ev.rollout_mde``.
    control_group, anticipation, supported_only
        Of "att_gt", as in ``ev.att_gt`` and ``ev.aggregate``.
    test : {"jackknife", "randomization"} or list, default both
        Leave-one-place-out errors with t on places less 1; or the estimate held against other orders of the roll-out.
    draws : int, default 2,000
        Simulated roll-outs, 100 and more.
    permutations : int, default 499
        Orders drawn, the same for all roll-outs; 99 and more. All orders are taken where there are no more than that.
    alpha : float, default 0.05
        Level of the two-sided tests.
    seed : int, default 1

    Returns
    -------
    RolloutSimulation

    Raises
    ------
    EstimationError
        A number is missing or out of range, the schedule cannot be read.
    IdentificationError
        The method gives no estimate for this schedule.

    Notes
    -----
    Means of cells are normal: wave effects drop out, shocks of place and wave as in ``ev.rollout_mde``, persons add
    their sampling error. Estimates are linear in the means, so each draw costs a product; without each place the
    whole estimate is made again, cohort sizes too. Where it does not exist without some place the jackknife is refused
    and the row says so.

    Examples
    --------
    >>> found = rollout_power({2016: 4, 0: 4}, waves=[2015, 2016], persons=50, icc=0.05, cac=0.5, std_dev=1.0,
    ...                       effect=[0, 2], method="means", draws=200, permutations=99)
    >>> found.tidy().query("effect == 2")["rejected"].tolist()
    [1.0, 1.0]
    """
    require_arguments(rollout_power, locals())
    timetable = read_timetable(schedule, waves, VERB)
    known = read_correlations(correlations, icc, cac, std_dev, autocorrelation, VERB)
    require_choice(method, ("att_gt", "twfe", "means"), f"{VERB}: method")
    tests = column_names(test, f"{VERB}: test", "'jackknife'")
    for name in tests:
        require_choice(name, TESTS, f"{VERB}: test")
    m, level = require_number(persons, f"{VERB}: persons", least=1.0), require_number(alpha, f"{VERB}: alpha", above=0)
    effects = require_numbers(effect, f"{VERB}: effect")
    _require_draws(draws, permutations, level)
    require_seed(seed, VERB)
    options: dict[str, Any] = {"control_group": control_group, "anticipation": anticipation}
    options |= {"supported_only": supported_only}
    rng = np.random.default_rng(seed)
    a = coefficients(timetable, method, **options)
    own = place_covariance(
        len(timetable.times), m, known.icc, known.cac, known.std_dev, autocorrelation, timetable.times
    )
    noise = _drawn(rng, draws, timetable.n_places, own)
    treated = (timetable.cohort[:, None] <= timetable.times).astype(float)
    statistics = {name: _statistics(name, timetable, a, method, options, permutations, rng) for name in tests}
    rows = []
    for size in effects:
        means = noise + size * treated
        estimate = np.einsum("gt,rgt->r", a, means)
        rows += [_row(size, name, estimate, means, statistics[name], level) for name in tests]
    return RolloutSimulation(
        frame=pd.DataFrame(rows),
        alpha=level,
        draws=draws,
        permutations=permutations,
        seed=seed,
        persons=m,
        places=timetable.sizes(),
        method=method,
        correlations=known,
        provenance=PLANNED if correlations is None else correlations.provenance,
    )


def _require_draws(draws: object, permutations: object, alpha: float) -> None:
    for name, value, least in (("draws", draws, FEWEST), ("permutations", permutations, 99)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
            raise EstimationError(f"{VERB}: {name} must be a whole number of {least} or more, got {value!r}.")
    if not alpha < 1:
        raise EstimationError(f"{VERB}: alpha must lie between 0 and 1, got {alpha:g}. 5 % is 0.05.")


def _drawn(rng: np.random.Generator, draws: int, n_places: int, covariance: Floats) -> Floats:
    size, direction = np.linalg.eigh(covariance)
    root = direction * np.sqrt(np.clip(size, 0.0, None))
    return np.asarray(rng.standard_normal((draws, n_places, len(covariance))) @ root.T)


def _statistics(
    test: str,
    timetable: Timetable,
    a: Floats,
    method: Method,
    options: dict[str, Any],
    permutations: int,
    rng: np.random.Generator,
) -> Floats | None:
    """Return coefficients without each place, (G, G, T), or of other orders, (B, G, T); None where there are none."""
    g = timetable.n_places
    if test == "randomization":
        return a[_orders(timetable, permutations, rng)]
    try:
        kept = ~np.eye(g, dtype=bool)
        return np.stack([coefficients(timetable, method, kept=here, **options) for here in kept])
    except IdentificationError:
        return None


def _orders(timetable: Timetable, permutations: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return places in other orders, shape (B, G): all orders that differ, the own first, or the own and draws."""
    _, code, sizes = np.unique(timetable.cohort, return_inverse=True, return_counts=True)
    places = [np.flatnonzero(code == cohort) for cohort in range(len(sizes))]
    count, left = 1, timetable.n_places
    for size in sizes:
        count *= comb(left, int(size))
        left -= int(size)
    if count > permutations:
        drawn = [rng.permutation(timetable.n_places) for _ in range(permutations)]
        return np.stack([np.arange(timetable.n_places), *drawn])
    found = []
    for groups in _splits(tuple(range(timetable.n_places)), tuple(map(int, sizes))):
        order = np.empty(timetable.n_places, dtype=np.int64)
        for group, own in zip(groups, places, strict=True):
            order[list(group)] = own
        found.append(order)
    return np.stack(found)


def _splits(left: tuple[int, ...], sizes: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Yield every way to split places into groups of given sizes."""
    if not sizes:
        yield ()
        return
    for chosen in combinations(left, sizes[0]):
        rest = tuple(place for place in left if place not in chosen)
        for others in _splits(rest, sizes[1:]):
            yield (chosen, *others)


def _row(
    effect: float, test: str, estimate: Floats, means: Floats, others: Floats | None, alpha: float
) -> dict[str, Any]:
    row: dict[str, Any] = {"effect": effect, "test": test, "rejected": np.nan, "mc_error": np.nan}
    row |= {"mean_estimate": float(estimate.mean()), "sd_estimate": float(estimate.std(ddof=1))}
    row |= {"mean_std_error": np.nan, "reason": ""}
    if others is None:
        return row | {"reason": "hangs_on_one_place"}
    flat, table = others.reshape(len(others), -1), means.reshape(len(means), -1)
    found = np.zeros(len(means), dtype=bool)
    for start in range(0, len(means), BLOCK):
        part = slice(start, start + BLOCK)
        again = table[part] @ flat.T
        if test == "jackknife":
            g = len(others)
            error = np.sqrt((g - 1) / g * ((again - estimate[part, None]) ** 2).sum(axis=1))
            found[part] = np.abs(estimate[part]) > stats.t.ppf(1 - alpha / 2, g - 1) * error
            row["mean_std_error"] = np.nansum([row["mean_std_error"], error.sum() / len(means)])
        else:
            beyond = np.abs(again) >= np.abs(estimate[part, None]) * (1 - TIE)
            found[part] = beyond.sum(axis=1) / len(others) <= alpha
    share = float(found.mean())
    return row | {"rejected": share, "mc_error": float(np.sqrt(share * (1 - share) / len(means)))}
