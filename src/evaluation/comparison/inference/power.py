"""Power: which difference a survey can see, with which probability, and how many respondents it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from scipy import stats
from scipy.optimize import brentq

from evaluation import wording
from evaluation.comparison.effects import group_difference
from evaluation.comparison.inference.power_analysis import NullVariance, PowerAnalysis, Setting
from evaluation.design.design import Design
from evaluation.errors import EstimationError
from evaluation.estimation.arguments import require_choice, require_number
from evaluation.estimation.counterfactual import groups_of
from evaluation.estimation.multiplicity import are_differences, hypotheses, is_logarithm
from evaluation.estimation.small_counts import is_small, smallest_of
from evaluation.results import SMALL_CELL, Estimates, Provenance

Direction = Literal["higher", "lower"]
#: Groups larger than mankind are slips of the hand.
MOST_PEOPLE = 1e10
#: What stands in captions where no data were read.
PLANNED = Provenance("planning", title={"ko": "계획", "en": "Plan"})
Effects = float | tuple[float, float] | Sequence[float]


def minimum_detectable_effect(
    design: Design | Estimates | None = None,
    *,
    outcome: str | None = None,
    treatment: str | None = None,
    share: float | None = None,
    std_dev: Effects | None = None,
    n_participants: float | None = None,
    n_comparison: float | None = None,
    deff: Effects | None = None,
    alpha: float = 0.05,
    power: float = 0.8,
    two_sided: bool = True,
    direction: Direction = "higher",
    variance: NullVariance = "unpooled",
    df: float | None = None,
) -> PowerAnalysis:
    """Compute the smallest difference of participants from others that is found with a given probability.

    Parameters
    ----------
    design : Design or Estimates, optional
        A design, from which group sizes, design effects and degrees of freedom are taken; or an estimated difference,
        whose own standard error then stands for all of it. Without it they are given.
    outcome, treatment : str, optional
        Of a design: with ``outcome`` the share or spread, and the design effect of the difference, are the observed
        ones; without it (before outcomes are read) the design effects are Kish's of the weights in each group, and
        ``share`` or ``std_dev`` is needed.
    share : float, optional
        In the comparison group, 0 to 1.
    std_dev : float or pair of float, optional
        For means: standard deviation, of both groups or of participants and comparison group.
    n_participants, n_comparison : float, optional
        Respondents in each group.
    deff : float or pair of float, optional
        Design effect, of both groups or of participants and comparison group; default 1, or that of the design.
    alpha : float, default 0.05
        Level of the test.
    power : float, default 0.8
        Probability of a significant difference in the right direction.
    two_sided : bool, default True
        Whether the test is two-sided.
    direction : {"higher", "lower"}, default "higher"
        Of a share: whether participants' is expected above or below.
    variance : {"unpooled", "pooled"}, default "unpooled"
        Under the null hypothesis: each group its own, as design-based tests have it, or one for both.
    df : float, optional
        Degrees of freedom; default those of the design, else ``inf``.

    Returns
    -------
    PowerAnalysis
        ``effect`` is the answer; ``effect_equal_variance`` the usual approximation, in which participants vary as the
        comparison group does.

    Raises
    ------
    EstimationError
        Something is missing, out of its range or in per cent, or no difference is large enough.

    Notes
    -----
    With :math:`v(x) = d_1 p_1 (1 - p_1) / n_1 + d_0 p_0 (1 - p_0) / n_0`, :math:`p_1 = p_0 + x`, the answer solves
    :math:`x = (z_{1 - \\alpha/2} + z_{power}) \\sqrt{v(x)}`; with degrees of freedom by the noncentral t. A
    significant result in the wrong direction is no success and not counted.

    References
    ----------
    Cohen (1988), Statistical Power Analysis, chapter 6; Bloom (1995), Evaluation Review 19, 547-556. R twin:
    ``power.prop.test(strict = FALSE)``, without design effects; Stata: ``power twoproportions``.

    Examples
    --------
    >>> found = minimum_detectable_effect(share=0.594, n_participants=620, n_comparison=980, deff=1.8)
    >>> round(found.effect, 4), round(found.effect_equal_variance, 4)
    (0.0916, 0.0947)
    """
    verb = "minimum_detectable_effect"
    given = _Given(outcome, treatment, share, std_dev, n_participants, n_comparison, deff, df)
    setting = _setting(design, given, alpha, two_sided, variance, verb)
    target = _probability(power, f"{verb}: power", above=setting.alpha, example=0.8)
    require_choice(direction, ("higher", "lower"), f"{verb}: direction")
    sign = 1.0 if direction == "higher" else -1.0
    if setting.share is None:
        farthest = 100 * max(setting.errors(0.0)) * (setting.critical + 1)
    else:
        farthest = (1 - setting.share) if sign > 0 else setting.share
    if setting.power(sign * farthest) < target:
        raise EstimationError(
            f"{verb}: with {setting.n[0]:g} participants and {setting.n[1]:g} others not even a share of "
            f"{setting.share + sign * farthest if setting.share is not None else np.nan:g} is found with probability "
            f"{target:g}. It takes more respondents, or a smaller design effect."
        )
    made = setting.answer("effect", sign * _reaching(setting, target, farthest, sign))
    if setting.share is None:
        return made
    spread = setting.spreads(0.0)[1]
    alike = replace(setting, share=None, std_dev=(spread, spread))
    usual = _reaching(alike, target, 100 * alike.errors(0.0)[0] * (alike.critical + 1), sign)
    return replace(made, effect_equal_variance=sign * usual)


def _reaching(setting: Setting, target: float, farthest: float, sign: float) -> float:
    """Return the size of the effect at which the power reaches its target."""
    return float(brentq(lambda x: setting.power(sign * x) - target, 1e-12 * farthest, farthest, xtol=1e-15, rtol=1e-14))


def power_of_difference(
    design: Design | Estimates | None = None,
    *,
    effect: float,
    outcome: str | None = None,
    treatment: str | None = None,
    share: float | None = None,
    std_dev: Effects | None = None,
    n_participants: float | None = None,
    n_comparison: float | None = None,
    deff: Effects | None = None,
    alpha: float = 0.05,
    two_sided: bool = True,
    variance: NullVariance = "unpooled",
    df: float | None = None,
) -> PowerAnalysis:
    """Compute the probability that a given difference is found.

    Parameters
    ----------
    design, outcome, treatment, share, std_dev, n_participants, n_comparison, deff, alpha, two_sided, variance, df
        As in ``minimum_detectable_effect``.
    effect : float
        The difference, in the unit of the outcome: 0.1 is ten percentage points of a share.

    Returns
    -------
    PowerAnalysis
        ``power`` is the answer.

    Raises
    ------
    EstimationError
        As ``minimum_detectable_effect``; also a share beyond 0 to 1.

    Notes
    -----
    Name the effect that would matter. The power of the effect that was observed says no more than its p-value.

    Examples
    --------
    >>> found = power_of_difference(effect=0.1, share=0.594, n_participants=620, n_comparison=980, deff=1.8)
    >>> round(found.power, 4)
    0.867
    """
    verb = "power_of_difference"
    given = _Given(outcome, treatment, share, std_dev, n_participants, n_comparison, deff, df)
    setting = _setting(design, given, alpha, two_sided, variance, verb)
    return setting.answer("power", _effect_asked(effect, setting.share, verb))


def sample_size_of_difference(
    *,
    effect: float,
    share: float | None = None,
    std_dev: Effects | None = None,
    ratio: float = 1.0,
    deff: Effects = 1.0,
    alpha: float = 0.05,
    power: float = 0.8,
    two_sided: bool = True,
    variance: NullVariance = "unpooled",
) -> PowerAnalysis:
    """Compute how many respondents it takes to find a given difference.

    Parameters
    ----------
    effect : float
        The difference, in the unit of the outcome.
    share, std_dev, deff, alpha, power, two_sided, variance
        As in ``minimum_detectable_effect``.
    ratio : float, default 1.0
        Participants per respondent of the comparison group.

    Returns
    -------
    PowerAnalysis
        ``n_participants`` and ``n_comparison`` are the answer, not rounded; the test is taken as normal.

    Raises
    ------
    EstimationError
        As ``power_of_difference``.

    References
    ----------
    Fleiss, Levin and Paik (2003), Statistical Methods for Rates and Proportions, chapter 4. R twin:
    ``power.prop.test`` has ``variance="pooled"``.

    Examples
    --------
    >>> round(sample_size_of_difference(effect=0.1, share=0.594, variance="pooled").n_comparison, 2)
    358.71
    """
    verb = "sample_size_of_difference"
    each = require_number(ratio, f"{verb}: ratio", above=0, move="It is participants per respondent compared with.")
    given = _Given(None, None, share, std_dev, each, 1.0, deff, None)
    setting = _setting(None, given, alpha, two_sided, variance, verb)
    size = _effect_asked(effect, setting.share, verb)
    target = _probability(power, f"{verb}: power", above=setting.alpha, example=0.8)
    null, own = setting.errors(size)
    n = ((setting.critical * null + float(stats.norm.ppf(target)) * own) / size) ** 2
    if max(each, 1) * n > MOST_PEOPLE:
        raise EstimationError(
            f"{verb}: to find a difference of {size:g} would take more people than there are. Is the effect in the "
            f"unit of the outcome? Five percentage points of a share are 0.05."
        )
    return replace(setting, n=(each * n, n)).answer("sample_size", size)


@dataclass(frozen=True)
class _Given:
    """What the caller gave, not yet checked."""

    outcome: str | None
    treatment: str | None
    share: float | None
    std_dev: Effects | None
    n_participants: float | None
    n_comparison: float | None
    deff: Effects | None
    df: float | None


def _setting(
    design: Design | Estimates | None, given: _Given, alpha: float, two_sided: bool, variance: NullVariance, verb: str
) -> Setting:
    level = _probability(alpha, f"{verb}: alpha", above=0, example=0.05)
    require_choice(variance, ("unpooled", "pooled"), f"{verb}: variance")
    if not isinstance(two_sided, (bool, np.bool_)):
        raise EstimationError(f"{verb}: two_sided must be True or False, got {two_sided!r}.")
    setting = Setting(
        n=(np.nan, np.nan),
        deff=(1.0, 1.0),
        share=None,
        std_dev=None,
        error=None,
        alpha=level,
        two_sided=bool(two_sided),
        df=np.inf,
        null=variance,
        provenance=PLANNED,
    )
    if isinstance(design, Estimates):
        return _of_estimate(design, given, setting, verb)
    if given.share is not None and given.std_dev is not None:
        raise EstimationError(f"{verb}: give share (of the comparison group) or std_dev (for means), not both.")
    if design is None and None in (given.n_participants, given.n_comparison):
        raise EstimationError(f"{verb} needs n_participants= and n_comparison=, or a design with treatment=.")
    return _overruled(setting if design is None else _of_design(design, given, setting, verb), given, verb)


def _overruled(setting: Setting, given: _Given, verb: str) -> Setting:
    """Return the setting with whatever the caller gave in place of what a design says."""
    sizes = [
        own if size is None else require_number(size, f"{verb}: group size", above=0, move="It counts respondents.")
        for size, own in zip((given.n_participants, given.n_comparison), setting.n, strict=True)
    ]
    if max(sizes) > MOST_PEOPLE:
        raise EstimationError(
            f"{verb}: a group of {max(sizes):,.0f} is more people than there are. Write how many respondents it has."
        )
    changed = replace(setting, n=(sizes[0], sizes[1]))
    if given.deff is not None:
        changed = replace(changed, deff=_pair(given.deff, f"{verb}: deff"))
    if given.share is not None:
        share = _probability(given.share, f"{verb}: share", above=0, example=0.6)
        changed = replace(changed, share=share, std_dev=None)
    if given.std_dev is not None:
        changed = replace(changed, share=None, std_dev=_pair(given.std_dev, f"{verb}: std_dev"))
    if changed.share is None and changed.std_dev is None:
        raise EstimationError(
            f"{verb} needs share= of the comparison group (0 to 1), or std_dev= for means; of a design, outcome= reads "
            f"it from the data."
        )
    if given.df is not None:
        changed = replace(changed, df=require_number(given.df, f"{verb}: df", above=0, infinite=True))
    return changed


def _of_estimate(result: Estimates, given: _Given, setting: Setting, verb: str) -> Setting:
    """Return the setting of an estimated difference: its own error, whatever it counts."""
    wrong = [name for name, value in vars(given).items() if value is not None and name != "df"]
    if wrong:
        raise EstimationError(f"{verb}: an estimate brings its own error, so leave out {', '.join(wrong)}.")
    tests = np.flatnonzero(hypotheses(result))
    if len(tests) != 1:
        raise EstimationError(
            f"{verb}: expected one difference with a standard error, got {len(tests)}. Take one of the rows first."
        )
    row = result.take(tests)
    quantity = str(row.keys["quantity"].iloc[0]) if "quantity" in row.keys else ""
    if not are_differences(row)[0] or is_logarithm(quantity):
        what = f"the logarithm of a ratio ({quantity})" if is_logarithm(quantity) else "a level and no difference"
        raise EstimationError(
            f"{verb}: expected a difference in the unit of the outcome, got {what} of {result.verb}. Estimate it with "
            f"measure='difference', by ev.group_difference or ev.aipw."
        )
    if SMALL_CELL in result.marks:
        raise EstimationError(_hidden(result.provenance, verb))
    others = result.n_obs[~hypotheses(result)]
    return replace(
        setting,
        n=(float(others[0]), float(others[1])) if len(others) == 2 else (np.nan, np.nan),
        deff=(np.nan, np.nan),
        error=float(row.std_error[0]),
        df=float(row.df[0]) if given.df is None else require_number(given.df, f"{verb}: df", above=0, infinite=True),
        provenance=result.provenance,
    )


def _of_design(design: object, given: _Given, setting: Setting, verb: str) -> Setting:
    """Return the setting of a design: group sizes, design effects and, with an outcome, what it varies by."""
    if not isinstance(design, Design):
        raise EstimationError(
            f"{verb} needs a design, an estimated difference or nothing, got {type(design).__name__}."
        )
    if given.treatment is None:
        raise EstimationError(f"{verb}: name the column of participants, treatment=..., of the design.")
    groups = groups_of(
        design, treatment=given.treatment, outcome=False if given.outcome is None else given.outcome, verb=verb
    )
    if is_small(smallest_of(groups, design.provenance), design.provenance):
        raise EstimationError(_hidden(design.provenance, verb))
    weights = [design.domain_weights[groups.members(group)] for group in (1, 0)]
    n = (float(len(weights[0])), float(len(weights[1])))
    found = replace(setting, n=n, df=float(design.degrees_of_freedom(groups.used)), provenance=design.provenance)
    if given.outcome is None:
        kish = [len(own) * float((own**2).sum()) / float(own.sum()) ** 2 for own in weights]
        return replace(found, deff=(kish[0], kish[1]))
    raw = group_difference(design, outcome=given.outcome, treatment=given.treatment)
    if groups.family == "binomial":
        spread = [float(np.sqrt(mean * (1 - mean))) for mean in raw.estimate[1:]]
    else:
        answers = [groups.outcome[groups.members(group)] for group in (1, 0)]
        spread = [_spread(y, own) for y, own in zip(answers, weights, strict=True)]
    if np.ptp(groups.outcome[groups.used]) == 0:
        raise EstimationError(f"{verb}: '{given.outcome}' is the same for all in both groups, so nothing can be found.")
    deff = float(raw.vcov[0, 0]) / (spread[0] ** 2 / n[0] + spread[1] ** 2 / n[1])
    known: dict[str, Any] = (
        {"share": float(raw.estimate[2])} if groups.family == "binomial" else {"std_dev": (spread[0], spread[1])}
    )
    return replace(found, deff=(deff, deff), **known)


def _hidden(provenance: Provenance, verb: str) -> str:
    """Return why groups cannot be planned with whose sizes or answers may not be shown."""
    return (
        f"{verb}: fewer than {provenance.min_cell} respondents are in a group or gave one of its answers, which "
        f"{wording.survey_id(provenance.survey)} does not let be shown, and a power would tell it. Plan with numbers "
        f"of your own: n_participants=, n_comparison= and share= or std_dev=, without the design."
    )


def _spread(y: Any, weights: Any) -> float:
    mean = float(weights @ y) / float(weights.sum())
    n = len(y)
    return float(np.sqrt(weights @ (y - mean) ** 2 / weights.sum() * n / max(n - 1, 1)))


def _pair(given: Effects, what: str) -> tuple[float, float]:
    """Return one number for both groups, or one for participants and one for the others."""
    both = list(given) if isinstance(given, (tuple, list)) else [given, given]
    if len(both) != 2:
        raise EstimationError(f"{what} must be one number, or two: of participants and of the comparison group.")
    first, second = (require_number(one, what, above=0) for one in both)
    return first, second


def _probability(value: object, what: str, *, above: float, example: float) -> float:
    number = require_number(value, what, move=f"Write {example:g}.")
    if above < number < 1:
        return number
    move = f"{number:g} per cent is {number / 100:g}." if 1 < number < 100 else f"An example is {example:g}."
    raise EstimationError(f"{what} must lie between {above:g} and 1, got {number:g}. {move}")


def _effect_asked(effect: object, share: float | None, verb: str) -> float:
    size = require_number(effect, f"{verb}: effect")
    if size == 0:
        raise EstimationError(f"{verb}: effect must not be zero: name the smallest difference that would matter.")
    if share is not None and not 0 <= share + size <= 1:
        move = f"{size:g} percentage points are {size / 100:g}." if 1 <= abs(size) <= 100 else "Shares end at 0 and 1."
        raise EstimationError(f"{verb}: a share of {share:g} cannot move by {size:g}. {move}")
    return size
