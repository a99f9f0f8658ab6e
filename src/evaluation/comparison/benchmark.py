"""A figure published elsewhere, held against an estimate: with its sampling error, or conditional on it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation import wording
from evaluation.comparison.comparability import Comparability, require_comparability, require_item
from evaluation.comparison.spoken import Spoken, shown_number, written
from evaluation.errors import EstimationError, did_you_mean
from evaluation.estimation.arguments import came, require_choice, require_number
from evaluation.results import Estimates

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class BenchmarkDifference(Spoken):
    """A difference from a published figure that says on what it is conditional, and when it would be gone."""

    estimated = (
        *("break_even_std_error", "break_even_n", "df_satterthwaite"),
        *("implied_mean_of_others", "implied_std_error"),
    )

    def _said(self, lang: str) -> str:
        if np.isnan(self.estimate[0]):
            return f"{wording.verb_name(self.verb, lang)}: {wording.ABSENT} {self.marks[0]}".rstrip()
        numbers = written([*self.estimate, *self.confidence_interval()[0]], float(self.std_error[0]))
        gap, mean, figure, *limits = numbers
        interval, fit = wording.interval_name(self.conf_level, lang), self.fit
        even, n = float(fit["break_even_std_error"]), float(fit["break_even_n"])
        k = 0 if lang == "ko" else 1
        lines = [
            (
                f"참여자 {mean}, 공표된 수치 {figure}: 차이 {gap} ({interval} {limits[0]}–{limits[1]}).",
                f"Participants {mean}, published figure {figure}: difference {gap} ({interval} {limits[0]} to "
                f"{limits[1]}).",
            )[k]
        ]
        if fit["conditional_on_benchmark"]:
            lines.append(_CONDITIONAL[k])
        if np.isfinite(even):
            alike = (f" (단순임의표본 {n:,.0f}명의 오차)", f" (that of a simple random sample of {n:,.0f})")[k]
            lines.append(_BREAK_EVEN[k].format(error=shown_number(even), n=alike if np.isfinite(n) else ""))
        else:
            lines.append(_NO_DIFFERENCE[k])
        if "implied_mean_of_others" in fit:
            others = shown_number(float(fit["implied_mean_of_others"]))
            possible = "implied" if fit["implied_is_possible"] else "impossible"
            share = wording.number(100 * float(fit["participant_share"]), 1)
            lines.append(_IMPLIED[possible][k].format(others=others, share=share))
        return " ".join(lines)


_CONDITIONAL = (
    "수치의 오차가 알려지지 않아 그 수치를 조건으로 한 차이이다.",
    "The figure's error is not known, so the difference is conditional on it.",
)
_BREAK_EVEN = (
    "수치의 표준오차가 {error}{n}이면 구간이 0에 닿는다.",
    "With a standard error of the figure of {error}{n} the interval would reach 0.",
)
_NO_DIFFERENCE = (
    "수치에 오차가 없다고 보아도 구간이 0을 담는다.",
    "Even if the figure had no error the interval would hold 0.",
)
_IMPLIED = {
    "implied": (
        "수치의 모집단에 참여자가 {share}% 들어 있다면 나머지는 {others}이다.",
        "If {share}% of the figure's population take part, the others have {others}.",
    ),
    "impossible": (
        "수치의 모집단에 참여자가 {share}% 들어 있다면 나머지는 {others}여야 하는데, 있을 수 없는 값이다. "
        "모집단이나 문항이 다르다.",
        "If {share}% of the figure's population took part, the others would have {others}, which cannot be: the "
        "population or the item is another one.",
    ),
}


def benchmark_difference(
    result: Estimates,
    benchmark: float,
    *,
    comparability: Comparability,
    row: str | None = None,
    std_error: float | None = None,
    n: int | None = None,
    deff: float = 1.0,
    participant_share: float | None = None,
    interval: Literal["t", "logit"] = "t",
    conf_level: float = 0.95,
) -> BenchmarkDifference:
    """Estimate how far a mean lies from a figure that was published elsewhere.

    Parameters
    ----------
    result : Estimates
        A mean or share of participants.
    benchmark : float
        The figure, in the units of the estimate: 0.758, not 75.8, for a share.
    comparability : Comparability
        What the two have in common, from ``assess_comparability``; a refused comparison raises.
    row : str, optional
        Address of the estimate where ``result`` has several rows.
    std_error : float, optional
        Standard error of the figure.
    n : int, optional
        Instead of it, the sample size behind a share, with its design effect ``deff``.
    deff : float, default 1.0
        Design effect of the figure; with ``n``.
    participant_share : float, optional
        Part of the comparator's population that participates; gives what the figure implies for the others.
    interval : {"t", "logit"}, default "t"
        "logit" is symmetric in the log odds of the share, for a figure that is taken as exact.
    conf_level : float, default 0.95
        Of the t interval on the survey's degrees of freedom.

    Returns
    -------
    BenchmarkDifference
        Rows ``difference``, ``mean_participants``, ``benchmark``. Without ``std_error`` and ``n`` the error is
        conditional on the figure: ``fit["conditional_on_benchmark"]``. ``fit`` also has the standard error of
        the figure at which the difference would just reach zero (``break_even_std_error``), the simple random sample
        with that error (``break_even_n``, shares only), the evidence grade and what differs. With
        ``participant_share`` also ``implied_mean_of_others`` and its ``implied_std_error``; ``implied_is_possible`` is
        False where no share of others can make the figure, so one of the three is not what it is taken for.

    Raises
    ------
    IdentificationError
        The item asks about a change.
    EstimationError
        Several rows, units that cannot be the same, an error that is not positive, a comparison that was declared for
        another item.

    Notes
    -----
    :math:`t = (p - B) / \\sqrt{se^2 + se_B^2}`; the two samples are taken as independent. A whole population
    contains participants: with share s the others have :math:`(B - s p) / (1 - s)`.

    Examples
    --------
    >>> from evaluation.comparison.comparability import Measurement, assess_comparability
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.estimation.means import survey_mean
    >>> same = Measurement("help", "Someone to rely on", "Korea, 15+", "telephone", 2016)
    >>> verdict = assess_comparability(same, same, contains_participants=True)
    >>> share = survey_mean(survey_design(pd.DataFrame({"help": [1, 1, 1, 1, 0]})), "help")
    >>> benchmark_difference(share, 0.758, comparability=verdict).tidy()["estimate"].round(3).tolist()
    [0.042, 0.8, 0.758]
    """
    comparability = require_comparability(comparability, "benchmark_difference")
    benchmark = require_number(benchmark, "benchmark_difference: benchmark", move="It is the published figure.")
    one = _single(result, row)
    require_item(comparability, str(one.keys["term"].iloc[0]), "benchmark_difference", one.provenance.labels)
    p = float(one.estimate[0])
    own = float(one.vcov[0, 0])
    is_share = 0 <= p <= 1 and 0 <= benchmark <= 1
    require_choice(interval, ("t", "logit"), "benchmark_difference: interval")
    _refuse_other_units(p, benchmark, result)
    error = _benchmark_error(benchmark, std_error, n, deff, is_share)
    other = error**2
    df = float(one.df[0])
    conditional = error == 0
    contributions = None if one.contributions is None else _three(one.contributions)
    influence_of = one.influence_of if conditional else None
    limits = None if interval == "t" else _logit_limits(one, benchmark, error, conf_level)
    return BenchmarkDifference(
        verb="benchmark_difference",
        keys=pd.DataFrame(
            {"term": one.keys["term"].iloc[0], "quantity": ["difference", "mean_participants", "benchmark"]}
        ),
        estimate=np.array([p - benchmark, p, benchmark]),
        vcov=np.array([[own + other, own, -other], [own, own, 0.0], [-other, 0.0, other]]),
        df=np.array([df, df, np.inf]),
        n_obs=np.array([int(one.n_obs[0]), int(one.n_obs[0]), n or 0]),
        bases=np.array([int(one.base_sizes[0])] * 2 + [0]),
        cell_counts=None if one.cell_counts is None else np.array([int(one.cell_counts[0])] * 2 + [0]),
        provenance=one.provenance,
        engine=one.engine if conditional else None,
        contributions=contributions if conditional else None,
        influence_of=None if influence_of is None else lambda: influence_of() * np.array([1.0, 1.0, 0.0]),
        conf_level=conf_level,
        interval=limits,
        interval_method=interval,
        method=one.variance_method if conditional else f"{one.variance_method} + benchmark",
        fit=_record(one, p, benchmark, own, error, is_share, conf_level)
        | _others(p, benchmark, participant_share, own, error, is_share)
        | {
            "evidence_grade": comparability.grade,
            "differs_in": [difference.aspect for difference in comparability.differences],
        },
    )


def _three(contributions: Floats) -> Floats:
    """Return the columns of difference, estimate and figure; the figure is constant, so it moves nothing."""
    return np.hstack([contributions, contributions, np.zeros_like(contributions)])


def _single(result: object, row: str | None) -> Estimates:
    if not isinstance(result, Estimates):
        raise EstimationError(
            f"benchmark_difference needs an estimate, such as ev.survey_mean(design, 'trust'), got {came(result)}."
        )
    addresses = result.addresses()
    if row is None and len(addresses) == 1:
        return result
    if row is None or addresses.count(row) != 1:
        hint = did_you_mean(row, addresses) if row else f"Known: {', '.join(addresses[:6])}."
        raise EstimationError(
            f"benchmark_difference compares one estimate, of {len(addresses)}: name it in row=. {hint}"
        )
    return result.take(np.array([addresses.index(row)]))


def _refuse_other_units(p: float, benchmark: float, result: Estimates) -> None:
    if not np.isfinite(benchmark):
        raise EstimationError(f"benchmark_difference: the figure must be a number, got {benchmark}.")
    if 0 <= p <= 1 and 1 < benchmark <= 100:
        raise EstimationError(
            f"benchmark_difference: {result.verb} gives {p:.4g} and the figure is {benchmark:g}, so one is a share and "
            f"one a per cent. Shares are 0 to 1 here: write {benchmark / 100:g}."
        )


def _benchmark_error(benchmark: float, std_error: float | None, n: int | None, deff: float, is_share: bool) -> float:
    if std_error is not None and n is not None:
        raise EstimationError("benchmark_difference: give std_error or n of the figure, not both.")
    if std_error is not None:
        return require_number(std_error, "benchmark_difference: std_error", above=0, move="Leave it out if unknown.")
    if n is None:
        return 0.0
    require_number(n, "benchmark_difference: n", least=1, move="It counts the respondents behind the figure.")
    require_number(deff, "benchmark_difference: deff", above=0, move="A simple random sample has 1.")
    if not is_share:
        raise EstimationError("benchmark_difference: n gives an error for shares only. Give std_error of the figure.")
    return float(np.sqrt(deff * benchmark * (1 - benchmark) / n))


def _record(
    one: Estimates, p: float, benchmark: float, own: float, error: float, is_share: bool, conf_level: float
) -> dict[str, Any]:
    df = float(one.df[0])
    reach = (p - benchmark) / float(replace(one, conf_level=conf_level).critical_value[0])
    room = reach**2 - own
    even = float(np.sqrt(room)) if room > 0 else np.nan
    satterthwaite = (own + error**2) ** 2 / (own**2 / df) if own > 0 and df > 0 else np.nan
    return {
        "benchmark": benchmark,
        "benchmark_std_error": error if error > 0 else None,
        "conditional_on_benchmark": error == 0,
        "break_even_std_error": even,
        "break_even_n": benchmark * (1 - benchmark) / even**2 if is_share and even > 0 else np.nan,
        "df_satterthwaite": satterthwaite,
    }


def _logit_limits(one: Estimates, benchmark: float, error: float, conf_level: float) -> Floats:
    """Return limits of difference, estimate and figure, shape (3, 2), from the log odds of the estimate."""
    p = float(one.estimate[0])
    if error > 0 or not 0 < p < 1:
        raise EstimationError(
            f"benchmark_difference: interval='logit' is for a share between 0 and 1 against a figure taken as exact, "
            f"got {p:.4g} and a figure with standard error {error:.4g}. Use interval='t'."
        )
    reach = float(replace(one, conf_level=conf_level).critical_value[0]) * float(one.std_error[0]) / (p * (1 - p))
    low, high = (1 / (1 + np.exp(-(np.log(p / (1 - p)) + side * reach))) for side in (-1, 1))
    return np.array([[low - benchmark, high - benchmark], [low, high], [benchmark, benchmark]])


def _others(
    p: float, benchmark: float, share: float | None, own: float, error: float, is_share: bool
) -> dict[str, Any]:
    if share is None:
        return {}
    share = require_number(share, "benchmark_difference: participant_share", least=0, move="It is a part of 1.")
    if share >= 1:
        raise EstimationError(
            f"benchmark_difference: participant_share is a part of 1, got {share:g}, which leaves no others. Per cent "
            f"are written {share / 100:g}."
        )
    implied = (benchmark - share * p) / (1 - share)
    return {
        "participant_share": share,
        "implied_mean_of_others": implied,
        "implied_std_error": float(np.sqrt(share**2 * own + error**2)) / (1 - share),
        "implied_is_possible": not is_share or 0 <= implied <= 1,
    }
