"""Arithmetic on printed numbers: the counts behind a share, and what a published gap would need to mean something."""

from __future__ import annotations

import math
from fractions import Fraction
from statistics import NormalDist

from evaluation.errors import ClaimError
from evaluation.printed import parse_printed


def counts_behind(printed: str, base: int) -> range:
    """Return the counts that, out of a base, print as a share.

    Parameters
    ----------
    printed : str
        A share as it was printed, in per cent with or without the sign, e.g. ``"61.3%"``.
    base : int
        Of how many items or persons.

    Returns
    -------
    range
        Of length 1 where the count is unique, longer where several fit, and empty where no count of that base
        prints so. A share exactly between two prints counts for both, since rounding rules differ.

    Raises
    ------
    ClaimError
        Where the base is no positive number, or the print is no share between 0 and 100 per cent.

    Examples
    --------
    >>> counts_behind("61.3%", 235), counts_behind("50.6", 235)
    (range(144, 145), range(119, 120))
    >>> list(counts_behind("33.4%", 9)), list(counts_behind("50%", 300))
    ([], [149, 150, 151])
    """
    if isinstance(base, bool) or not isinstance(base, int) or base < 1:
        raise ClaimError(f"a share needs a base of at least 1, got {base!r}.")
    share = parse_printed(printed)
    if share.unit == "points" or not 0 <= share.value <= 100:
        raise ClaimError(f"'{printed}' is no share: expected a number from 0 to 100 per cent.")
    half = Fraction(share.unit_in_last_place) / 2
    low, high = ((Fraction(share.value) + side) * base / 100 for side in (-half, half))
    return range(max(0, math.ceil(low)), min(base, math.floor(high)) + 1)


def needed_sample_size(share: float, benchmark: float, deff: float = 1.0, conf_level: float = 0.95) -> int:
    """Return how many respondents put a share's interval clear of a fixed figure.

    Parameters
    ----------
    share, benchmark : float
        What was measured, and the figure it is held against, each from 0 to 1.
    deff : float
        Design effect: the variance relative to a simple random sample of the same size.
    conf_level : float
        Of the interval.

    Returns
    -------
    int
        The smallest n at which ``share`` plus and minus its margin of error leaves ``benchmark`` outside.

    Raises
    ------
    ClaimError
        Where the two are equal, or an argument lies outside its range.

    Notes
    -----
    ``n >= deff * z^2 * p (1 - p) / (p - B)^2``: the benchmark's own error, its question and its population are
    taken as beyond doubt. It answers one objection only, that the gap could be chance.

    Examples
    --------
    >>> needed_sample_size(0.814, 0.758), needed_sample_size(0.814, 0.758, deff=1.5)
    (186, 279)
    >>> needed_sample_size(0.847, 0.594), needed_sample_size(0.847, 0.594, deff=1.5)
    (8, 12)
    """
    if not 0 < share < 1 or not 0 <= benchmark <= 1:
        raise ClaimError(f"shares lie between 0 and 1, got share {share:g} and benchmark {benchmark:g}.")
    if not (deff > 0 and 0 < conf_level < 1):
        raise ClaimError(f"expected deff above 0 and conf_level between 0 and 1, got {deff:g} and {conf_level:g}.")
    if share == benchmark:
        raise ClaimError("share and benchmark are equal: no sample size tells them apart.")
    z = NormalDist().inv_cdf((1 + conf_level) / 2)
    return max(1, math.ceil(deff * z**2 * share * (1 - share) / (share - benchmark) ** 2 - 1e-9))


def share_of_others(share: float, benchmark: float, participants: float) -> float:
    """Return what a whole population's figure says of those who did not take part.

    Parameters
    ----------
    share, benchmark : float
        The participants' share, and that of the whole population, participants included.
    participants : float
        Which part of the population took part, from 0 up to but without 1.

    Returns
    -------
    float
        ``(B - s P) / (1 - s)``, in the unit of the two shares.

    Raises
    ------
    ClaimError
        Where everybody took part.

    Examples
    --------
    >>> round(share_of_others(84.7, 59.4, 0.013), 2), round(share_of_others(84.7, 59.4, 0.10), 2)
    (59.07, 56.59)
    """
    if not 0 <= participants < 1:
        raise ClaimError(f"the part that took part lies between 0 and below 1, got {participants:g}.")
    return (benchmark - participants * share) / (1 - participants)
