"""Who is a participant: what people say against what was recorded, and ever against recently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.comparison.outcomes.influences import estimates_of_weights, smooth_function
from evaluation.design.design import Design, require_design
from evaluation.errors import ColumnError, EstimationError, IdentificationError
from evaluation.results import Estimates

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Rows of an agreement, and which recorded or reported group stands behind each (None: everybody).
_RATES = ("sensitivity", "specificity", "positive_predictive", "negative_predictive")
_SHARES = ("share_reported", "share_recorded", "share_agreeing")


def participation_agreement(design: Design, *, reported: str, recorded: str, conf_level: float = 0.95) -> Estimates:
    """Estimate how far what people say of their participation agrees with what was recorded.

    Parameters
    ----------
    design : Design
        Respondents for whom both are known; a sample drawn from the roster has recorded participants alone, which
        tells the sensitivity and nothing else.
    reported, recorded : str
        Columns of 0 and 1: the answer, and the roster or register it is held against.
    conf_level : float, default 0.95
        Of the intervals: by log odds for shares, t for kappa.

    Returns
    -------
    Estimates
        Keys ``term`` (the answer), ``quantity``: ``sensitivity`` (share of the recorded who say so), ``specificity``
        (share of the not recorded who say no), ``positive_predictive``, ``negative_predictive`` (share of the answers
        that are true), ``kappa``, ``share_reported``, ``share_recorded``, ``share_agreeing``. Rows that a sample does
        not identify are left out. ``fit["n_left_out"]`` counts who misses one of the two.

    Raises
    ------
    ColumnError
        A column does not exist, or is no 0/1.
    EstimationError
        Nobody has both, or nobody is recorded.

    Notes
    -----
    The record is taken as true. Rates are ratios of the four cells' weighted shares, their errors those of the design.
    :math:`\\kappa = (p_o - p_e) / (1 - p_e)`.

    References
    ----------
    Cohen (1960), Educational and Psychological Measurement 20, 37-46; Bound, Brown and Mathiowetz (2001), Handbook
    of Econometrics 5, chapter 59.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> people = pd.DataFrame({"said": [1, 1, 0, 0, 0, 1], "roster": [1, 1, 1, 0, 0, 0]})
    >>> found = participation_agreement(survey_design(people), reported="said", recorded="roster").tidy()
    >>> found["quantity"].tolist()[:2], found["estimate"].round(4).tolist()[:2]
    (['sensitivity', 'specificity'], [0.6667, 0.6667])
    """
    verb = "participation_agreement"
    require_design(design, verb)
    says, is_on = (_yes_no(design, name, verb) for name in (reported, recorded))
    used = design.present & ~np.isnan(says) & ~np.isnan(is_on)
    cells = _cells(design, says, is_on, used, reported, recorded, verb)
    counts = {(a, b): int((used & (says == a) & (is_on == b)).sum()) for a in (0, 1) for b in (0, 1)}
    kinds = _identified(counts, recorded, verb)
    keys = pd.DataFrame({"term": reported, "quantity": kinds})
    made = smooth_function(cells, lambda shares: np.array([_quantity(kind, shares) for kind in kinds]), verb=verb,
                           keys=keys)  # fmt: skip
    bases = np.array([_base(kind, counts) for kind in kinds])
    rarer = np.array([_rarer(kind, counts) for kind in kinds])
    made = replace(made, conf_level=conf_level, n_obs=bases, bases=bases, cell_counts=rarer)
    left_out = int(design.present.sum()) - int(used.sum())
    return replace(
        made,
        interval=_limits(made, kinds),
        interval_method="logit, kappa by t",
        fit={"reported": reported, "recorded": recorded, "n_left_out": left_out},
    )


def participation_windows(design: Design, *, ever: str, recent: str, conf_level: float = 0.95) -> Estimates:
    """Estimate how many took part ever, recently, and no longer, which are three definitions of a participant.

    Parameters
    ----------
    design : Design
        Any design.
    ever, recent : str
        Columns of 0 and 1: took part at any time, and within the recent window, such as the past year.
    conf_level : float, default 0.95
        Of the intervals, by log odds.

    Returns
    -------
    Estimates
        Keys ``term``, ``quantity``: ``share_ever``, ``share_recent``, ``share_lapsed`` (ever, but not recently),
        ``recent_among_ever``.

    Raises
    ------
    ColumnError
        A column is no 0/1, or somebody took part recently but never (``failures``).
    EstimationError
        Nobody has both, or nobody ever took part.

    Notes
    -----
    Who lapsed counts among participants by the one definition and among the others by the other; a difference by one
    is no estimate of that by the other. Estimate both, or leave the lapsed out of both groups.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> people = pd.DataFrame({"ever": [1, 1, 1, 0], "past_year": [1, 0, 0, 0]})
    >>> participation_windows(survey_design(people), ever="ever", recent="past_year").estimate.round(4).tolist()
    [0.75, 0.25, 0.5, 0.3333]
    """
    verb = "participation_windows"
    require_design(design, verb)
    lately, once = (_yes_no(design, name, verb) for name in (recent, ever))
    used = design.present & ~np.isnan(lately) & ~np.isnan(once)
    wrong = used & (lately == 1) & (once == 0)
    if wrong.any():
        raise ColumnError(
            f"{verb}: {int(wrong.sum())} respondents have {recent} = 1 but {ever} = 0, who took part recently and "
            f"never. Correct these rows, or check which column is which.",
            failures=design.data.loc[wrong],
        )
    if not (used & (once == 1)).any():
        raise EstimationError(f"{verb}: nobody with both answers has {ever} = 1. Is it coded 0 and 1?")
    cells = _cells(design, lately, once, used, recent, ever, verb)
    kinds = ["share_ever", "share_recent", "share_lapsed", "recent_among_ever"]

    def shares_of(cell: NDArray[Any]) -> NDArray[Any]:
        _, lapsed, _, both = cell
        return np.array([lapsed + both, both, lapsed, both / (lapsed + both)])

    keys = pd.DataFrame({"term": ever, "quantity": kinds})
    made = smooth_function(cells, shares_of, verb=verb, keys=keys)
    n, n_ever = int(used.sum()), int((used & (once == 1)).sum())
    n_recent = int((used & (lately == 1)).sum())
    made = replace(
        made,
        conf_level=conf_level,
        n_obs=np.array([n, n, n, n_ever]),
        bases=np.array([n, n, n, n_ever]),
        cell_counts=np.array([min(n_ever, n - n_ever), min(n_recent, n - n_recent), n_ever - n_recent, n_recent]),
    )
    return replace(
        made,
        interval=_limits(made, kinds),
        interval_method="logit",
        fit={"ever": ever, "recent": recent, "n_left_out": int(design.present.sum()) - n},
    )


def _yes_no(design: Design, name: str, verb: str) -> Floats:
    """Return a column of 0 and 1, NaN where missing; a ColumnError shows what else it holds."""
    column = design.column(name)
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    strange = design.present & (column.notna().to_numpy() & ~np.isin(numbers, (0.0, 1.0)))
    if strange.any():
        held = ", ".join(map(str, pd.unique(column[strange])[:4]))
        raise ColumnError(
            f"{verb}: '{name}' must hold 0 and 1, but holds {held} in {int(strange.sum())} rows. Recode it: 1 for who "
            f"took part, 0 for who did not, missing for who is not known.",
            failures=design.data.loc[strange],
        )
    return np.where(np.isin(numbers, (0.0, 1.0)), numbers, np.nan)


def _cells(design: Design, first: Floats, second: Floats, used: Mask, one: str, other: str, verb: str) -> Estimates:
    """Return the weighted shares of (0, 0), (0, 1), (1, 0), (1, 1) in the two columns, with their covariance."""
    if one == other:
        raise ColumnError(f"{verb}: '{one}' is named twice, and agrees with itself. Name two columns.")
    if not used.any():
        raise IdentificationError(
            f"{verb}: nobody who counts has a value of both '{one}' and '{other}', so nothing can be compared. Link "
            f"the roster to the respondents first."
        )
    inside = np.column_stack([used & (first == a) & (second == b) for a in (0, 1) for b in (0, 1)]).astype(float)

    def evaluate(weights: Floats) -> tuple[Floats, Floats]:
        size = float(weights @ used)
        shares = weights @ inside / size
        return shares, (inside - used[:, None] * shares) / size

    return estimates_of_weights(
        design,
        evaluate,
        verb=verb,
        keys=pd.DataFrame({"term": one, "quantity": ["no_no", "no_yes", "yes_no", "yes_yes"]}),
        n_obs=np.full(4, int(used.sum())),
        df=float(design.degrees_of_freedom(used)),
    )


def _identified(counts: dict[tuple[int, int], int], recorded: str, verb: str) -> list[str]:
    """Return the rows that the sample identifies."""
    on, off = counts[0, 1] + counts[1, 1], counts[0, 0] + counts[1, 0]
    if not on:
        raise EstimationError(
            f"{verb}: nobody with both has {recorded} = 1, so there is no participant whose answer could be checked."
        )
    if not off:
        return ["sensitivity", "share_reported"]
    kinds = ["sensitivity", "specificity"]
    kinds += ["positive_predictive"] if counts[1, 0] + counts[1, 1] else []
    kinds += ["negative_predictive"] if counts[0, 0] + counts[0, 1] else []
    return [*kinds, "kappa", *_SHARES]


def _quantity(kind: str, shares: Sequence[Any] | NDArray[Any]) -> Any:
    """Return a number of the four cells: said no or yes, recorded no or yes."""
    no_no, no_yes, yes_no, yes_yes = shares
    says, on = yes_no + yes_yes, no_yes + yes_yes
    agreeing = no_no + yes_yes
    if kind == "kappa":
        chance = says * on + (1 - says) * (1 - on)
        return (agreeing - chance) / (1 - chance)
    of = {
        "sensitivity": (yes_yes, on),
        "specificity": (no_no, 1 - on),
        "positive_predictive": (yes_yes, says),
        "negative_predictive": (no_no, 1 - says),
        "share_reported": (says, 1.0),
        "share_recorded": (on, 1.0),
        "share_agreeing": (agreeing, 1.0),
    }
    part, whole = of[kind]
    return part / whole


def _base(kind: str, counts: dict[tuple[int, int], int]) -> int:
    """Return the respondents behind a number of the four cells."""
    behind = {
        "sensitivity": ((0, 1), (1, 1)),
        "specificity": ((0, 0), (1, 0)),
        "positive_predictive": ((1, 0), (1, 1)),
        "negative_predictive": ((0, 0), (0, 1)),
    }
    return sum(counts[cell] for cell in behind.get(kind, tuple(counts)))


def _rarer(kind: str, counts: dict[tuple[int, int], int]) -> int:
    """Return the respondents behind the rarer of the two answers that a share shows; 0 for kappa."""
    if kind == "kappa":
        return 0
    part = {
        "sensitivity": ((1, 1),),
        "specificity": ((0, 0),),
        "positive_predictive": ((1, 1),),
        "negative_predictive": ((0, 0),),
        "share_reported": ((1, 0), (1, 1)),
        "share_recorded": ((0, 1), (1, 1)),
        "share_agreeing": ((0, 0), (1, 1)),
    }
    own = sum(counts[cell] for cell in part[kind])
    return min(own, _base(kind, counts) - own)


def _limits(made: Estimates, kinds: Sequence[str]) -> Floats:
    """Return limits by log odds, for kappa by t, shape (k, 2); shares of 0 or 1 have exact ones."""
    p, half = made.estimate, made.critical_value * made.std_error
    limits = np.column_stack([p - half, p + half])
    with np.errstate(divide="ignore", invalid="ignore"):
        odds, reach = np.log(p / (1 - p)), half / (p * (1 - p))
        by_odds = np.column_stack([1 / (1 + np.exp(-(odds - reach))), 1 / (1 + np.exp(-(odds + reach)))])
    is_share = np.array([kind != "kappa" for kind in kinds])
    found = np.where((is_share & (p > 0) & (p < 1))[:, None], by_odds, limits)
    # Clopper and Pearson (1934) of the respondents behind the share.
    reached = ((1 - made.conf_level) / 2) ** (1 / np.maximum(made.n_obs, 1))
    found[is_share & (p >= 1)] = np.column_stack([reached, np.ones_like(reached)])[is_share & (p >= 1)]
    found[is_share & (p <= 0)] = np.column_stack([np.zeros_like(reached), 1 - reached])[is_share & (p <= 0)]
    return found
