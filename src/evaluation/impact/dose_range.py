"""Treatments with values that neither a 0/1 treatment nor a share can have."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from evaluation.errors import DoseWarning

Floats = NDArray[np.float64]
#: Shares may miss 1 by rounding.
ROUNDING = 1e-9


def heed_range(verb: str, name: str, values: Floats) -> None:
    """Warn of a treatment that is zero somewhere and below zero elsewhere, or of shares mixed with values above 1.

    Whole numbers (persons, nurses) and values that all lie above 1 (per cent) have one unit and pass.

    Parameters
    ----------
    verb, name : str
        Public verb and column, for the message.
    values : ndarray
        Finite values of the rows used.

    Warns
    -----
    DoseWarning

    Examples
    --------
    >>> heed_range("twfe", "share", np.array([0, 0.5, 1.0]))
    >>> heed_range("twfe", "nurses", np.array([0, 1.0, 2.0, 3.0]))
    """
    if not (values == 0).any():
        return
    below, above = values < 0, values > 1 + ROUNDING
    shares = (values > 0) & ~above
    is_mixed = above.any() and shares.any() and bool((values != np.round(values)).any())
    if not below.any() and not is_mixed:
        return
    wrong = values[below] if below.any() else values[above]
    far = float(wrong[np.argmax(np.abs(wrong))])
    what = "below 0" if below.any() else "above 1 where others are shares"
    warnings.warn(
        f"{verb}: treatment '{name}' is {what} in {len(wrong):,} rows (as far as {far:g}), of {len(values):,}. A share "
        f"lies between 0 and 1: correct these rows, or give all of them one unit. ev.check_treatment names them.",
        DoseWarning,
        stacklevel=3,
    )
