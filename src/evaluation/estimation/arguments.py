"""Arguments as they come: names of columns, numbers, choices; each refused in words where it is something else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from evaluation.errors import ColumnError, EstimationError, did_you_mean


def column_names(names: object, what: str, example: str = "'district'") -> tuple[Any, ...]:
    """Return one column's name, or several, as a tuple; empty for None.

    Parameters
    ----------
    names : str, int, sequence of these, or None
        As a caller wrote them; pandas allows whole numbers as names.
    what : str
        Verb and argument, for the message, e.g. ``"survey_mean: by"``.
    example : str, default "'district'"
        What is shown as a column's name.

    Raises
    ------
    ColumnError
        Something else, or a column that is named twice.

    Examples
    --------
    >>> column_names("sex", "by"), column_names(["sex", "age"], "by"), column_names(None, "by")
    (('sex',), ('sex', 'age'), ())
    """
    if names is None:
        return ()
    if isinstance(names, (str, int, np.integer)) and not isinstance(names, bool):
        return (names,)
    if not isinstance(names, Iterable) or isinstance(names, bytes):
        raise ColumnError(
            f"{what} must be the name of a column or a list of names, got {names!r}. Write {example} or [{example}]."
        )
    several = tuple(names)
    for name in several:
        if name is None or isinstance(name, (list, dict, set, np.ndarray)):
            raise ColumnError(f"{what} must list names of columns, got {name!r} among them. Write [{example}].")
        if several.count(name) > 1:
            raise ColumnError(f"{what} names '{name}' twice: {list(several)}. Name each column once.")
    return several


def column_name(name: object, what: str, example: str = "'trust'") -> Any:
    """Return the name of one column; a ColumnError for anything else: none, several, or the values themselves.

    Parameters
    ----------
    name : str or int
        As a caller wrote it.
    what : str
        Verb and argument, for the message, e.g. ``"aipw: outcome"``.
    example : str, default "'trust'"
        What is shown as a column's name.

    Examples
    --------
    >>> column_name("age", "aipw: outcome")
    'age'
    >>> column_name(None, "aipw: outcome")
    Traceback (most recent call last):
    evaluation.errors.ColumnError: aipw: outcome must be the name of one column, got None. Write outcome='trust'.
    """
    if isinstance(name, str) and name.strip():
        return str(name)
    if isinstance(name, (int, np.integer)) and not isinstance(name, (bool, np.bool_)):
        return name
    role = what.rpartition(": ")[2]
    if isinstance(name, (np.ndarray, pd.Series, pd.Index, pd.DataFrame)):
        raise ColumnError(
            f"{what} must be the name of one column, got {came(name)}. Put the values into the data first, "
            f"data.assign(name=values), and declare the design on them."
        )
    several = " One at a time." if isinstance(name, (list, tuple)) and len(name) > 1 else ""
    raise ColumnError(f"{what} must be the name of one column, got {came(name)}.{several} Write {role}={example}.")


def came(value: object) -> str:
    """Return how a message shows what came: short values as they are, the rest by kind and size.

    Examples
    --------
    >>> came("x"), came(np.zeros((3, 2))), came(object())
    ("'x'", 'an array of float64 of shape (3, 2)', 'an object')
    """
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} of shape {value.shape}"
    if isinstance(value, (pd.DataFrame, pd.Series, pd.Index)):
        return f"a {type(value).__name__} of shape {value.shape}"
    if value is None or isinstance(value, (str, bool, Real, list, tuple, set, frozenset, dict)):
        shown = repr(value)
        return shown if len(shown) <= 80 else f"{shown[:77]}..."
    kind = type(value).__name__
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"


def is_number(value: object) -> bool:
    """Tell whether a value is a real number, numpy's included; yes and no are none."""
    return isinstance(value, Real) and not isinstance(value, (bool, np.bool_))


def require_number(
    value: object, what: str, *, above: float = -np.inf, least: float = -np.inf, infinite: bool = False, move: str = ""
) -> float:
    """Return a number that lies where it must; an EstimationError says where that is.

    Parameters
    ----------
    value : object
        What came.
    what : str
        Verb and argument, for the message.
    above, least : float, optional
        The number must be larger than ``above`` and not smaller than ``least``.
    infinite : bool, default False
        Whether infinity will do.
    move : str, optional
        Next move, a sentence.

    Raises
    ------
    EstimationError
        Text, a missing number, or one out of bounds.

    Examples
    --------
    >>> require_number(np.float32(0.5), "survey_arop: bandwidth", above=0)
    0.5
    """
    if isinstance(value, Real) and is_number(value):
        number = float(value)
        if number > above and number >= least and (infinite or abs(number) < np.inf):
            return number
    bound = f" above {above:g}" if above > -np.inf else f" of {least:g} or more" if least > -np.inf else ""
    raise EstimationError(f"{what} must be a number{bound}, got {came(value)}.{' ' + move if move else ''}")


def require_numbers(value: object, what: str, *, least: float = -np.inf, move: str = "") -> list[float]:
    """Return one number or several as a list; an EstimationError for text, nothing, or what is below ``least``.

    Examples
    --------
    >>> require_numbers(2, "rosenbaum_bounds: gamma", least=1), require_numbers(np.array([1, 1.5]), "gamma")
    ([2.0], [1.0, 1.5])
    """
    several = list(value) if isinstance(value, Iterable) and not isinstance(value, (str, bytes, dict)) else [value]
    if not several:
        raise EstimationError(f"{what} must be a number or a list of numbers, got {came(value)}. {move}".rstrip())
    return [require_number(each, what, least=least, move=move) for each in several]


def require_conf_level(conf_level: object, verb: str) -> float:
    """Return a level of confidence; an EstimationError unless it lies between 0 and 1."""
    if isinstance(conf_level, Real) and is_number(conf_level) and 0 < float(conf_level) < 1:
        return float(conf_level)
    raise EstimationError(
        f"{verb}: conf_level must lie between 0 and 1, got {came(conf_level)}. 95 % is conf_level=0.95."
    )


def require_seed(seed: object, verb: str) -> None:
    """Raise an EstimationError unless a seed is a whole number of zero or more, or None."""
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0):
        raise EstimationError(f"{verb}: seed must be a whole number of 0 or more, got {came(seed)}. Write seed=1.")


def require_choice(value: object, options: Sequence[str], what: str) -> str:
    """Return one of ``options``; an EstimationError names the nearest one for anything else, a list included."""
    if isinstance(value, str) and value in options:
        return value
    raise EstimationError(
        f"{what} must be one of {', '.join(options)}, got {came(value)}. {did_you_mean(value, options)}"
    )
