"""What is wrong with a formula, said without the words of the library that reads it."""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from formulaic.transforms import TRANSFORMS
from numpy.typing import NDArray

from evaluation.errors import ColumnError, did_you_mean

Mask = NDArray[np.bool_]

#: What people write who come from elsewhere, and what does it here.
_ELSEWHERE = {
    **{name: f"np.{name}(...)" for name in ("sqrt", "abs", "round", "floor", "ceil", "minimum", "maximum", "log1p")},
    "pmin": "np.minimum(...)",
    "pmax": "np.maximum(...)",
    "factor": "C(...)",
    "ns": "cr(..., df=...), a natural cubic spline",
}
#: The beginnings of formulaic's messages, and ours.
_SYNTAX = (
    (
        r"Missing operator between `(.+?)` and `(.+?)`",
        r"no operator stands between '\1' and '\2'. A column whose name holds a blank goes between backticks: `\1 \2`.",
    ),
    (r"Operator `(.+?)` has insuff", r"'\1' has nothing on one of its sides. Complete it, or take it out."),
    (r"(?:Could not find matching|Formula ended before)", r"a parenthesis or backtick has no partner. Close it."),
    (r"Unknown operator '(.+?)'", r"'\1' is no operator here; there are + - : * and ^."),
    (r"The right-hand argument of `\*\*`", r"after ** or ^ stands a whole number; a power of a number is I(x**2)."),
    (r"The `\.` operator", r"'.' for all columns is not known here. Name each: '~ age + sex'."),
    (r"Numeric literals other", r"a number alone can only be 0 or 1; arithmetic goes into I(...), as in I(x + 1.5)."),
)


def unreadable(text: str, error: Exception, aliases: Mapping[str, str]) -> ColumnError:
    """Return the error for a formula that cannot be read or computed.

    Parameters
    ----------
    text : str
        The right-hand side as it was written.
    error : Exception
        What the library raised.
    aliases : dict of str to str
        Column behind each name that the library saw instead.
    """
    start = f"the formula '~ {text}' cannot be read: "
    if isinstance(error, SyntaxError):
        words = [word for word in re.findall(r"\w+", re.sub(r"`[^`]*`", "", text)) if keyword.iskeyword(word)]
        move = f" '{words[0]}' is a word of Python: write `{words[0]}` between backticks." if words else ""
        return ColumnError(f"{start}{error.msg}.{move}")
    reason = _spoken(re.sub(r"\x1b\[[0-9;]*m|[⧛⧚]", "", str(error)).split("\n\n")[0], aliases)
    for pattern, ours in _SYNTAX:
        found = re.match(pattern, reason)
        if found:
            return ColumnError(start + found.expand(ours))
    return ColumnError(start + " ".join(reason.split()))


def not_computed(text: str, error: Exception, frame: pd.DataFrame, aliases: Mapping[str, str]) -> ColumnError:
    """Return the error for a term that cannot be computed of the columns it names."""
    found = re.search(r"Unable to evaluate factor `(.+?)`\. \[(\w+): (.*)\]", str(error), flags=re.DOTALL)
    if not found:
        return unreadable(text, error, aliases)
    term = _spoken(found[1], aliases)
    named = [name for name in frame if re.search(rf"\b{re.escape(str(name))}\b", found[1])]
    texts = [aliases.get(str(name), str(name)) for name in named if not pd.api.types.is_numeric_dtype(frame[name])]
    if texts:
        return ColumnError(
            f"the formula '~ {text}': '{term}' needs numbers, but '{texts[0]}' is text. Name the column alone to take "
            f"its levels, or make numbers of it first."
        )
    move = " A power is written x**2." if "^" in found[1] else ""
    return ColumnError(f"the formula '~ {text}': '{term}' cannot be computed ({_spoken(found[3], aliases)}).{move}")


def _spoken(text: str, aliases: Mapping[str, str]) -> str:
    for alias, name in aliases.items():
        text = re.sub(rf"\b{alias}\b", f"`{name}`".replace("\\", "\\\\"), text)
    return text


def variables_in(expressions: Iterable[str], text: str, aliases: Mapping[str, str]) -> set[str]:
    """Return the names in the terms of a formula; a ColumnError where one calls a function that is none here.

    Examples
    --------
    >>> sorted(variables_in(["1", "age", "poly(income, 2)", "np.sqrt(size)"], "", {}))
    ['age', 'income', 'size']
    """
    names: set[str] = set()
    for expression in expressions:
        try:
            tree = ast.parse(expression, mode="eval")
        except SyntaxError as error:
            raise unreadable(text, error, aliases) from None
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id not in TRANSFORMS:
                raise _no_function(node.func.id, text)
            if isinstance(node, ast.Attribute) and not _is_library(node):
                whole = _spoken(ast.unparse(node), aliases)
                raise ColumnError(
                    f"the formula '~ {text}' holds '{whole}', which is neither a column nor a function. A column whose "
                    f"name holds a dot goes between backticks: `{whole}`."
                )
            if isinstance(node, ast.Name) and node.id not in TRANSFORMS:
                names.add(node.id)
    return names


def _is_library(node: ast.Attribute) -> bool:
    """Tell whether something is looked up in numpy itself or among the contrasts."""
    return isinstance(node.value, ast.Name) and node.value.id in ("np", "contr") and not node.attr.startswith("_")


def _no_function(name: str, text: str) -> ColumnError:
    known = ("C", "I", "log", "log10", "log2", "exp", "poly", "bs", "cr", "scale", "center", "np.sqrt")
    move = f"Write {_ELSEWHERE[name]}." if name in _ELSEWHERE else did_you_mean(name, known)
    return ColumnError(
        f"the formula '~ {text}' calls {name}(), which is no function here. {move} Anything else: make the column "
        f"first, with data.assign(...)."
    )


def no_column(text: str, column: str, data: pd.DataFrame, where: str) -> ColumnError:
    """Return the error for a formula that names a column which does not exist."""
    start = f"the formula '~ {text}' names '{column}', no column of {where}. "
    if re.search(r"[~+*|()]", column):
        right = column.rpartition("~")[2].strip()
        return ColumnError(f"{start}A formula begins with a tilde: '~ {right}'; the outcome is an argument of its own.")
    return ColumnError(start + did_you_mean(column, data.columns))


def not_finite(text: str, columns: Mapping[str, str], data: pd.DataFrame, rows: Mask, where: str) -> ColumnError:
    """Return the error for rows in which every covariate is known, but a term is infinite or not a number.

    Parameters
    ----------
    text : str
        The right-hand side.
    columns : dict of str to str
        Columns by the name that the formula has for them.
    data : pandas.DataFrame, n rows
    rows : ndarray of bool, shape (n,)
        Where it happens.
    where : str
        What the rows are of, for the message.
    """
    count, first = int(rows.sum()), int(np.flatnonzero(rows)[0])
    numbers = [name for name in columns.values() if pd.api.types.is_numeric_dtype(data[name])]
    values = [(name, float(data[name].iloc[first])) for name in numbers]
    infinite = [name for name, value in values if np.isinf(value)]
    told = f"data row {first + 1}" + "".join(f", {name} = {value:g}" for name, value in values[:3])
    if infinite:
        return ColumnError(
            f"'{infinite[0]}' is infinite in {count} of {len(data)} rows of {where} (first: {told}). Set it to missing "
            f"or recode it.",
            failures=data.loc[rows],
        )
    move = " The logarithm of zero can be avoided by log(x + 1)." if "log" in text else ""
    return ColumnError(
        f"the formula '~ {text}' gives no finite number in {count} of {len(data)} rows of {where} (first: {told}). "
        f"Recode these rows, or set them to missing.{move}",
        failures=data.loc[rows],
    )


def names_given(names: object, role: str, *, once: bool = False) -> list[str]:
    """Return names of columns as they were given, one or several; a ColumnError where they are something else.

    With ``once`` no name may stand there twice.

    Examples
    --------
    >>> names_given("age", "covariates"), names_given(["age", "sex"], "covariates")
    (['age'], ['age', 'sex'])
    >>> names_given(pd.Index(["age", "sex"]), "covariates")
    ['age', 'sex']
    >>> names_given(3, "covariates")
    Traceback (most recent call last):
    evaluation.errors.ColumnError: covariates must be names of columns, got 3 (int). Write covariates=['...'].
    """
    listed: Sequence[Any] | None = None
    unfit = _no_list_of_names(names)
    if unfit:
        raise ColumnError(f"{role} must be names of columns, got {unfit}")
    if isinstance(names, str):
        listed = [names]
    elif isinstance(names, Iterable) and not isinstance(names, bytes):
        listed = list(names)
    wrong = [names] if listed is None else [name for name in listed if not isinstance(name, str) or not name.strip()]
    if listed is None or wrong:
        kind = type(wrong[0]).__name__
        number = isinstance(wrong[0], (int, np.integer)) and listed is not None
        move = (
            f"Columns that are called by numbers need a name here: data.rename(columns={{{wrong[0]}: 'name'}})."
            if number
            else f"Write {role}=['...']."
        )
        raise ColumnError(f"{role} must be names of columns, got {wrong[0]!r} ({kind}). {move}")
    twice = next((name for place, name in enumerate(listed) if name in listed[:place]), None) if once else None
    if twice is not None:
        raise ColumnError(f"{role} names '{twice}' twice. Name it once.")
    return [str(name) for name in listed]


def _no_list_of_names(names: object) -> str:
    """Return what came, and the next move, where it holds values, or names without an order; else nothing."""
    if isinstance(names, pd.DataFrame):
        return f"a DataFrame of shape {names.shape}. Name its columns: {[str(name) for name in names.columns[:4]]}."
    if isinstance(names, (dict, set, frozenset)):
        listed = sorted(map(str, names))[:4]
        return f"a {type(names).__name__}, which is no list. Write them in order: {listed}."
    if isinstance(names, (np.ndarray, pd.Series, pd.Index)) and (
        names.ndim != 1 or not all(isinstance(name, str) for name in names)
    ):
        return (
            f"values, shape {names.shape}. Put them into the data first, data.assign(name=values), and name the "
            f"columns."
        )
    return ""
