"""Rosenbaum bounds: how strongly something unobserved would have to decide who of a pair participates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, stats

from evaluation import wording
from evaluation.comparison.matching.matched import Matched
from evaluation.comparison.matching.matched_outcomes import groups_with
from evaluation.comparison.matching.nearest import Pairing
from evaluation.errors import EstimationError, did_you_mean
from evaluation.estimation.arguments import came, is_number, require_numbers
from evaluation.estimation.diagnostic_frames import hidden
from evaluation.estimation.small_counts import fewest, is_small, shown_count
from evaluation.results import SMALL_BASE, SMALL_CELL, Provenance, frame_html, plain

Floats = NDArray[np.float64]
Alternative = Literal["greater", "less"]
Test = Literal["signed_rank", "mcnemar"]

VERB = "rosenbaum_bounds"
#: Gammas shown.
GRID = (1.0, 1.1, 1.2, 1.5, 2.0)
#: Beyond this no bias is looked for.
LARGEST_GAMMA = 1e6
#: Numbers of pairs that differ by less are equal, and shifts are found to this, relative to their size.
AT_ONCE, PRECISION = 1e-6, 1e-12


@dataclass(frozen=True, eq=False)
class RosenbaumBounds:
    """p-values between which the truth lies if partners' odds of participation differ by a factor of at most Gamma.

    Attributes
    ----------
    rows : pandas.DataFrame
        One row per ``gamma``: ``p_low``, ``p_high``, and for the signed rank test ``shift_low`` and ``shift_high``,
        between which the Hodges-Lehmann estimate of a constant effect lies.
    outcome : str
    test : {"signed_rank", "mcnemar"}
    alternative : {"greater", "less"}
    statistic : float
        Sum of the ranks of positive differences, or the number of discordant pairs in which the participant has it.
    n_pairs, n_informative : int
        Pairs with both answers, and those that differ.
    gamma_star : float
        Gamma at which ``p_high`` reaches ``alpha``; NaN where it is above at Gamma 1 already.
    alpha : float
    provenance : Provenance
        For captions and manifests.
    """

    rows: pd.DataFrame
    outcome: str
    test: Test
    alternative: Alternative
    statistic: float
    n_pairs: int
    n_informative: int
    gamma_star: float
    alpha: float
    provenance: Provenance

    @property
    def mark(self) -> str:
        """Why no number may be shown: too few pairs, or an answer that few gave; empty where all may."""
        counts = [self.n_pairs, self.n_informative]
        if self.test == "mcnemar":
            counts += [int(self.statistic), self.n_informative - int(self.statistic)]
        if is_small(fewest(counts), self.provenance):
            return SMALL_CELL
        return SMALL_BASE if 0 < self.n_pairs < self.provenance.min_base else ""

    def tidy(self) -> pd.DataFrame:
        """Return one row per Gamma; without numbers, and with a ``mark``, where they may not be shown."""
        return hidden(self.rows, ["gamma"], [self.mark] * len(self.rows))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        fit = {
            name: plain(getattr(self, name))
            for name in ("test", "alternative", "statistic", "n_pairs", "n_informative", "gamma_star", "alpha")
        }
        fit |= dict(zip(("n_pairs", "n_informative"), self._counts(), strict=True))
        if self.mark:
            fit |= dict.fromkeys(("statistic", "gamma_star"))
        return {
            "verb": VERB,
            "provenance": self.provenance.to_dict(),
            "fit": {"outcome": self.outcome, **fit},
            "rows": [{str(k): plain(v) for k, v in row.items()} for row in self.tidy().to_dict("records")],
        }

    def _counts(self) -> tuple[int | str | None, int | str | None]:
        """Return pairs and those that differ as they may be shown; few others would be counted by both."""
        if self.mark == SMALL_CELL:
            return shown_count(self.n_pairs, self.provenance), None
        alike = is_small(self.n_pairs - self.n_informative, self.provenance)
        return self.n_pairs, None if alike else self.n_informative

    def text(self, lang: str | None = None) -> str:
        """Return the finding as a sentence in Korean ("ko") or English ("en")."""
        is_korean = wording.language_of(lang) == "ko"
        if self.mark:
            return f"{wording.capital(wording.term(VERB, wording.language_of(lang)))}: {wording.ABSENT} {self.mark}"
        if np.isnan(self.gamma_star):
            if is_korean:
                return f"숨은 요인이 없다고 해도(감마 1) p가 {self.alpha:g}보다 커서, 차이가 뚜렷하지 않음."
            return f"Even without hidden bias (Gamma 1) p is above {self.alpha:g}: no clear difference to explain."
        if is_korean:
            return (
                f"짝지은 두 사람의 참여 오즈가 관찰되지 않은 요인 때문에 {self.gamma_star:.2f}배 다를 수 있다면 "
                f"p가 {self.alpha:g}에 이름."
            )
        return (
            f"If something unobserved made one partner's odds of participation {self.gamma_star:.2f} times the "
            f"other's, p could reach {self.alpha:g}."
        )

    def __repr__(self) -> str:
        word = wording.term
        pairs, informative = (
            wording.ABSENT if n is None else f"{n:,}" if isinstance(n, int) else n for n in self._counts()
        )
        head = (
            f"{word(VERB)}: {wording.term_label(self.outcome, self.provenance.labels)}, {word(self.test)}, "
            f"{word(self.alternative)}, {word('n_pairs')} {pairs}, {word('n_informative')} {informative}"
        )
        rows = self._in_words()
        return f"{head}\n{rows.to_string(index=False, float_format=lambda value: f'{value:.6g}')}\n{self.text()}"

    def _repr_html_(self) -> str:
        return frame_html(self._in_words())

    def _in_words(self) -> pd.DataFrame:
        """Return ``tidy()`` with headings in the project's language and p-values as they are printed."""
        rows = self.tidy()
        made = {name: rows[name].map(wording.probability) for name in ("p_low", "p_high")}
        return rows.assign(**made).rename(columns=lambda name: wording.term(str(name)))


def rosenbaum_bounds(
    matched: Matched,
    *,
    outcome: str,
    gamma: float | Sequence[float] = GRID,
    test: Test | None = None,
    alternative: Alternative = "greater",
    alpha: float = 0.05,
) -> RosenbaumBounds:
    """Bound the p-value of matched pairs if something unobserved moved participation within them.

    Parameters
    ----------
    matched : Matched
        Nearest neighbours, one for each participant, without replacement.
    outcome : str
        Numeric, 0/1, or text with two levels.
    gamma : float or sequence of float, default (1, 1.1, 1.2, 1.5, 2)
        By what factor, 1 and above, the odds of participation of two partners may differ.
    test : {"signed_rank", "mcnemar"}, optional
        Wilcoxon's signed rank test by its normal approximation (zero differences dropped, average ranks), or
        McNemar's exact test. Default: "mcnemar" where the outcome has two levels.
    alternative : {"greater", "less"}, default "greater"
        Whether participants are held to have more, or less.
    alpha : float, default 0.05
        The p-value that ``gamma_star`` is about.

    Returns
    -------
    RosenbaumBounds

    Raises
    ------
    EstimationError
        No pairs, several partners for one, no pair that differs, a Gamma below 1, answers that the test does not take.

    Notes
    -----
    With :math:`p^+ = \\Gamma / (1 + \\Gamma)` the sum of signed ranks :math:`q_s` has at most the mean
    :math:`p^+ \\sum q_s` and the variance :math:`p^+ (1 - p^+) \\sum q_s^2`; discordant pairs are at most binomial
    with :math:`p^+`. Exchanging :math:`p^+` and :math:`1 - p^+` gives the other bound. The shifts are those after
    which the statistic of all pairs equals its largest and smallest mean. Pairs count alike: survey weights and the
    sampling design do not enter, since the inference is about who participates within each pair.

    References
    ----------
    Rosenbaum (2002), Observational Studies, chapter 4. R twins: ``rbounds::psens``, ``binarysens``, ``hlsens``.

    Examples
    --------
    >>> from evaluation.comparison.matching.matching import match
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame(
    ...     {"joined": [1] * 5 + [0] * 5, "age": [30, 40, 50, 60, 70] * 2, "y": [5.0, 7, 6, 8, 9, 4, 5, 3, 4, 4]}
    ... )
    >>> pairs = match(survey_design(respondents), treatment="joined", covariates=["age"], distance="age")
    >>> rosenbaum_bounds(pairs, outcome="y", gamma=[1, 2]).tidy()["p_high"].round(4).tolist()
    [0.0216, 0.0763]
    """
    gammas = _refuse_arguments(matched, gamma, test, alternative, alpha)
    difference, is_binary = _differences(matched, outcome)
    chosen: Test = test or ("mcnemar" if is_binary else "signed_rank")
    if chosen == "mcnemar" and not is_binary:
        raise EstimationError(
            f"{VERB}: test='mcnemar' needs an outcome with two levels, but '{outcome}' has more. Use "
            f"test='signed_rank'."
        )
    if alternative == "less":
        difference = -difference
    informative = difference[difference != 0]
    if not len(informative):
        raise EstimationError(
            f"{VERB}: in all {len(difference):,} pairs both have the same '{outcome}', so there is nothing to test."
        )
    ranks = stats.rankdata(np.abs(informative)) if chosen == "signed_rank" else np.ones(len(informative))
    statistic = float(ranks[informative > 0].sum())
    chance = (
        _signed_rank_chance(statistic, ranks) if chosen == "signed_rank" else _binomial_chance(statistic, len(ranks))
    )
    rows = [_row(value, chance, np.sort(difference), chosen, alternative) for value in gammas]
    return RosenbaumBounds(
        pd.DataFrame(rows),
        outcome,
        chosen,
        alternative,
        statistic,
        len(difference),
        len(informative),
        _passing(chance, alpha),
        alpha,
        matched.provenance,
    )


def _refuse_arguments(
    matched: Matched, gamma: float | Sequence[float], test: str | None, alternative: str, alpha: float
) -> list[float]:
    if not isinstance(matched, Matched):
        raise EstimationError(
            f"{VERB} needs matched pairs, got {type(matched).__name__}. Match first: ev.match(design, treatment=..., "
            f"covariates=[...])."
        )
    if matched.pairing is None or matched.has_replacement or matched.settings.get("ratio", 1) != 1:
        raise EstimationError(
            f"{VERB} needs pairs of one and one that share nobody. Match with method='nearest', ratio=1 and "
            f"replacement=False."
        )
    for name, value, known in (
        ("test", test or "signed_rank", ("signed_rank", "mcnemar")),
        ("alternative", alternative, ("greater", "less")),
    ):
        if value not in known:
            raise EstimationError(
                f"{VERB}: {name} must be one of {list(known)}, got {value!r}. {did_you_mean(value, known)}"
            )
    if not (is_number(alpha) and 0 < alpha < 1):
        raise EstimationError(f"{VERB}: alpha must lie between 0 and 1, got {came(alpha)}. 5 % is alpha=0.05.")
    return require_numbers(gamma, f"{VERB}: gamma", least=1, move="It is a factor; 1 means no hidden bias.")


def _differences(matched: Matched, outcome: str) -> tuple[Floats, bool]:
    """Return the participant's answer less the partner's, and whether answers have two levels."""
    groups = groups_with(matched, outcome, VERB)
    pairing = cast(Pairing, matched.pairing)
    both = groups.used[pairing.focal] & groups.used[pairing.partner]
    difference = groups.outcome[pairing.focal[both]] - groups.outcome[pairing.partner[both]]
    seen = groups.outcome[groups.used]
    is_binary = groups.family == "binomial" or bool(((seen == 0) | (seen == 1)).all())
    return -difference if matched.estimand == "ATC" else difference, is_binary


Chance = Callable[[float], float]


def _signed_rank_chance(statistic: float, ranks: Floats) -> Chance:
    """Return the probability of a sum of signed ranks at least as large, by the chance that a rank is positive."""
    total, squares = float(ranks.sum()), float((ranks**2).sum())
    return lambda p: float(stats.norm.sf((statistic - p * total) / np.sqrt(p * (1 - p) * squares)))


def _binomial_chance(statistic: float, number: int) -> Chance:
    return lambda p: float(stats.binom.sf(statistic - 1, number, p))


def _row(gamma: float, chance: Chance, differences: Floats, test: Test, alternative: Alternative) -> dict[str, float]:
    most = gamma / (1 + gamma)
    row = {"gamma": gamma, "p_low": chance(1 - most), "p_high": chance(most)}
    if test == "signed_rank":
        low, high = _shift(differences, most), _shift(differences, 1 - most)
        row |= {"shift_low": low, "shift_high": high} if alternative == "greater" else {
            "shift_low": -high,
            "shift_high": -low,
        }  # fmt: skip
    return row


def _shift(ordered: Floats, p: float) -> float:
    """Return the shift after which the sum of signed ranks equals its mean under a chance p of being positive.

    Shifted differences, ascending, have as their sum of signed ranks the number of pairwise means above the shift;
    where it equals the mean over an interval, its middle.
    """
    n = len(ordered)
    aim = p * n * (n + 1) / 2

    def number_above(shift: float) -> float:
        pairs = n * n - int(np.searchsorted(ordered, 2 * shift - ordered[::-1], side="right").sum())
        return (pairs + n - int(np.searchsorted(ordered, shift, side="right"))) / 2

    ends = []
    for least in (aim + AT_ONCE, aim - AT_ONCE):
        low, high = float(ordered[0]) - 1.0, float(ordered[-1])
        while high - low > PRECISION * max(1.0, abs(low), abs(high)):
            middle = (low + high) / 2
            low, high = (middle, high) if number_above(middle) >= least else (low, middle)
        ends.append(_nearest_mean(ordered, high))
    return sum(ends) / 2


def _nearest_mean(ordered: Floats, shift: float) -> float:
    """Return the mean of two differences that is nearest to a shift which was found to a tolerance."""
    slack = 10 * PRECISION * max(1.0, abs(shift))
    partner = np.searchsorted(ordered, 2 * shift - ordered - slack).clip(0, len(ordered) - 1)
    means = (ordered + ordered[partner]) / 2
    return float(means[np.argmin(np.abs(means - shift))])


def _passing(chance: Chance, alpha: float) -> float:
    """Return the Gamma at which the largest p-value reaches alpha; NaN where it is above at once."""
    if chance(0.5) > alpha:
        return float("nan")
    if chance(LARGEST_GAMMA / (1 + LARGEST_GAMMA)) < alpha:
        return float("inf")
    found = optimize.brentq(lambda log: chance(1 / (1 + np.exp(-log))) - alpha, 0.0, np.log(LARGEST_GAMMA), xtol=1e-12)
    return float(np.exp(found))
