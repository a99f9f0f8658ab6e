"""What a variable is set to in predictive margins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

import numpy as np

from evaluation.errors import ColumnError, EstimationError, did_you_mean


def given_values(name: str, at: object, known: list[Any] | None) -> list[Any]:
    """Return the values of ``at``: levels that are known, or finite numbers; refuse anything else.

    Parameters
    ----------
    name : str
        The variable.
    at : sequence
        As the user gave it.
    known : list or None
        Levels of the variable; None where it is a number.

    Raises
    ------
    ColumnError
        A level is unknown.
    EstimationError
        ``at`` is no list, is empty, names a value twice, or holds what is no finite number.

    Examples
    --------
    >>> given_values("area", ["a", "b"], ["a", "b", "c"]), given_values("age", [30, 60], None)
    (['a', 'b'], [30, 60])
    """
    if isinstance(at, (str, bytes, Mapping)) or not isinstance(at, Iterable):
        raise EstimationError(
            f"predictive_margins: at must list what '{name}' is set to, got {at!r} ({type(at).__name__}). Write "
            f"at=[{at!r}]."
        )
    values = list(at)
    if not values:
        raise EstimationError("predictive_margins: at=[] names no value. Leave it out, or give at least one.")
    for place, value in enumerate(values):
        if known is not None and value not in known:
            raise ColumnError(
                f"predictive_margins: nobody in the regression has {name} = {value!r}. {did_you_mean(value, known)}"
            )
        if known is None and not (isinstance(value, (Real, np.bool_)) and np.isfinite(float(value))):
            raise EstimationError(
                f"predictive_margins: '{name}' is a number in the regression, and at holds {value!r}. Give finite "
                f"numbers, such as at=[0, 1]."
            )
        if value in values[:place]:
            raise EstimationError(f"predictive_margins: at names {value!r} twice. Name it once.")
    return values
