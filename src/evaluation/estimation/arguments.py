"""Arguments as they come: names of columns, numbers, choices; each refused in words where it is something else."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from numbers import Integral, Real
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import pandas as pd

from evaluation.errors import ColumnError, EstimationError, EvaluationError, did_you_mean


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


def names_any(names: object) -> bool:
    """Tell whether columns were named at all: None and an empty list name none.

    Examples
    --------
    >>> names_any("~ age + sex"), names_any(["age"]), names_any(()), names_any(None)
    (True, True, False, False)
    """
    return names is not None and (not isinstance(names, Iterable) or isinstance(names, str) or any(True for _ in names))


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


@contextmanager
def called_as(verb: str, *inner: str) -> Iterator[None]:
    """Let an error of a verb that another one calls name the one that was called.

    Examples
    --------
    >>> with called_as("event_study", "att_gt"):
    ...     raise EstimationError("att_gt: no effect could be estimated.")
    Traceback (most recent call last):
    evaluation.errors.EstimationError: event_study: no effect could be estimated.
    """
    try:
        yield
    except EvaluationError as error:
        said = str(error)
        for name in inner:
            if said.startswith((f"{name}:", f"{name} ")):
                error.args = (verb + said[len(name) :],)
                break
        raise


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


def require_arguments(verb: Callable[..., Any], given: Mapping[str, object]) -> None:
    """Hold the arguments of a verb against the types it declares; the message names verb and argument.

    The first line of a verb, so that a wrong kind of value is refused before anything is computed with it. What a
    verb declares as a class (a panel, estimates) it checks itself.

    Parameters
    ----------
    verb : callable
        The verb itself; ``Literal`` is a choice, ``str`` a column, ``Sequence`` a list, and so on.
    given : mapping
        Its ``locals()``.

    Raises
    ------
    EstimationError
        A number, a choice, a flag or a list that is something else.
    ColumnError
        The name of a column that is something else.

    Examples
    --------
    >>> def effect(outcome: str, type: Literal["simple", "group"] = "simple") -> None: ...
    >>> require_arguments(effect, {"outcome": 1.5, "type": "group"})
    Traceback (most recent call last):
    evaluation.errors.ColumnError: effect: outcome must be the name of one column, got 1.5. Write outcome='trust'.
    """
    for name, members, default in _declared(verb):
        value = given[name]
        if value is default or (value is None and (type(None) in members or default == ())):
            continue
        if name == "conf_level":
            require_conf_level(value, verb.__name__)
        elif name == "seed":
            require_seed(value, verb.__name__)
            _require_kind(value, members, f"{verb.__name__}: {name}")
        else:
            _require_kind(value, members, f"{verb.__name__}: {name}")


@cache
def _declared(verb: Callable[..., Any]) -> tuple[tuple[str, tuple[Any, ...], Any], ...]:
    """Name, declared kinds and default of every argument whose kinds are all plain ones."""
    hints = get_type_hints(verb)
    found = []
    for name, argument in inspect.signature(verb).parameters.items():
        hint = hints[name]
        members = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
        default = None if argument.default is None else argument.default
        if all(_is_plain(member) for member in members):
            found.append((name, members, default))
    return tuple(found)


def _is_plain(member: Any) -> bool:
    return member in (str, int, float, bool, type(None)) or get_origin(member) in (Literal, Sequence, tuple)


def _require_kind(value: object, members: tuple[Any, ...], what: str) -> None:
    members = tuple(member for member in members if member is not type(None))
    if any(_is_of(value, member) for member in members):
        return
    if members == (str,):
        column_name(value, what)
    if members == (float,):
        require_number(value, what, infinite=True)
    if str in members and not isinstance(value, (pd.DataFrame, pd.Series)):
        column_names(value, what)
    options = [str(option) for member in members if get_origin(member) is Literal for option in get_args(member)]
    if options and all(get_origin(member) is Literal for member in members):
        require_choice(value, options, what)
    near = f" {did_you_mean(value, options)}" if options and isinstance(value, str) else ""
    expected = " or ".join(_described(member) for member in members)
    raise EstimationError(f"{what} must be {expected}, got {came(value)}.{near}")


def _is_of(value: object, member: Any) -> bool:
    origin, inner = get_origin(member), get_args(member)
    if origin is Literal:
        # Which text it is, the verb tells better: it knows why a choice of other verbs is none of its own.
        if isinstance(value, str):
            return any(isinstance(option, str) for option in inner)
        return isinstance(value, (int, float)) and any(value == option for option in inner)
    if origin is not None:
        if not isinstance(value, Iterable) or isinstance(value, (str, bytes, Mapping, pd.DataFrame)):
            return False
        several = list(value)
        if origin is tuple:
            return len(several) == len(inner) and all(
                _is_of(one, kind) for one, kind in zip(several, inner, strict=True)
            )
        return all(_is_of(one, inner[0]) for one in several)
    if member is object:
        return True
    if isinstance(value, (bool, np.bool_)):
        return member is bool
    if member is str:
        return isinstance(value, (str, int, np.integer)) and value != ""
    if member is int:
        return isinstance(value, Integral)
    return member is float and isinstance(value, Real) and not np.isnan(float(value))


def _described(member: Any) -> str:
    origin, inner = get_origin(member), get_args(member)
    if origin is Literal:
        return "one of " + ", ".join(map(str, inner)) if len(inner) > 1 else repr(inner[0])
    if origin is tuple:
        return (
            f"{len(inner)} of these: {_described(inner[0])}"
            if len(set(inner)) > 1
            else f"a pair, each {_described(inner[0])}"
        )
    if origin is not None:
        return "a list of " + {str: "names", int: "whole numbers", float: "numbers"}.get(inner[0], "values")
    return {str: "a name", int: "a whole number", float: "a number", bool: "True or False"}.get(member, "a value")
