"""Nonlinear contrasts: arithmetic on any numbers of one design, with exact derivatives and joint covariance."""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evaluation.design.variance import ReplicateEngine
from evaluation.errors import EstimationError, did_you_mean
from evaluation.estimation.contrasts import combined, joined, require_label, results_in, row_called
from evaluation.results import Combination, Estimates

Floats = NDArray[np.float64]
Results = Estimates | Sequence[Estimates] | Mapping[str, Estimates]

#: An expression is a few lines, addresses between backticks not counted; longer ones are refused.
LONGEST = 500
_QUOTED = re.compile(r"`([^`]*)`")


@dataclass(frozen=True, eq=False)
class Dual:
    """Numbers with their derivatives: arithmetic on them carries both along.

    Attributes
    ----------
    value : ndarray, shape (m,)
        The same quantity m times over, such as once per replicate.
    gradient : ndarray, shape (m, q)
        Its derivatives in q inputs; q may be zero.
    """

    value: Floats
    gradient: Floats

    def __add__(self, other: Dual) -> Dual:
        return Dual(self.value + other.value, self.gradient + other.gradient)

    def __sub__(self, other: Dual) -> Dual:
        return Dual(self.value - other.value, self.gradient - other.gradient)

    def __mul__(self, other: Dual) -> Dual:
        value = self.value * other.value
        return Dual(value, self.gradient * other.value[:, None] + other.gradient * self.value[:, None])

    def __truediv__(self, other: Dual) -> Dual:
        value = self.value / other.value
        return Dual(value, (self.gradient - value[:, None] * other.gradient) / other.value[:, None])

    def __neg__(self) -> Dual:
        return Dual(-self.value, -self.gradient)

    def __pow__(self, other: Dual) -> Dual:
        value = self.value**other.value
        gradient = np.zeros_like(self.gradient)
        if self.gradient.any():
            gradient = gradient + (other.value * self.value ** (other.value - 1))[:, None] * self.gradient
        if other.gradient.any():
            gradient = gradient + (value * np.log(self.value))[:, None] * other.gradient
        return Dual(value, gradient)

    def log(self) -> Dual:
        """Return the natural logarithm."""
        return Dual(np.log(self.value), self.gradient / self.value[:, None])

    def exp(self) -> Dual:
        """Return the exponential."""
        value = np.exp(self.value)
        return Dual(value, value[:, None] * self.gradient)

    def sqrt(self) -> Dual:
        """Return the square root."""
        value = np.sqrt(self.value)
        return Dual(value, self.gradient / (2 * value[:, None]))


_OPERATIONS: dict[type[ast.operator], Callable[[Dual, Dual], Dual]] = {
    ast.Add: Dual.__add__,
    ast.Sub: Dual.__sub__,
    ast.Mult: Dual.__mul__,
    ast.Div: Dual.__truediv__,
    ast.Pow: Dual.__pow__,
}
_FUNCTIONS: dict[str, Callable[[Dual], Dual]] = {"log": Dual.log, "exp": Dual.exp, "sqrt": Dual.sqrt}


def nonlinear_contrast(
    results: Results,
    contrasts: Mapping[str, str],
    *,
    names: Mapping[str, str] | None = None,
    replicates: Literal["evaluate", "delta"] = "evaluate",
) -> Estimates:
    """Estimate arithmetic expressions of estimates of one design, such as a ratio of two means.

    Parameters
    ----------
    results : Estimates, list of Estimates, or mapping of name to Estimates
        Made from the same design, of the same kind or not: means, shares, coefficients, variances. In a mapping each
        row's address begins with the result's name, ``"wave_1 | y"``, and a result of one row may be called by its
        name alone.
    contrasts : mapping of label to expression
        Numbers, rows, ``+ - * / **``, parentheses, ``log``, ``exp`` and ``sqrt``. A row stands there by its address
        between backticks, ``"`y | group=a` / `y | group=b` - 1"``, or bare where it is a plain word, or by a name of
        ``names``.
    names : mapping of word to address, optional
        Short names of rows, e.g. ``{"a": "y | group=a"}``.
    replicates : {"evaluate", "delta"}, default "evaluate"
        For designs with replicates: evaluate the expression on each replicate, or carry its derivative at the full
        sample's estimates over all of them.

    Returns
    -------
    Estimates
        One row per expression, with an influence function, so that it can be contrasted in turn. Its degrees of
        freedom are the smallest of the rows it combines.

    Raises
    ------
    EstimationError
        Text that is no such arithmetic, a row that is unknown or named twice, a quantity without a value (division by
        zero, logarithm of what is not positive), results of different designs.

    Notes
    -----
    With :math:`g` the gradient of the expression at the estimates and :math:`V` their joint covariance the variance is
    :math:`g' V g`: that of the influence :math:`g'` times those of the rows. Derivatives are exact, by arithmetic on
    pairs of value and derivative (forward mode), not by differences.

    References
    ----------
    Woodruff (1971), JASA 66, 411-414. R twin: ``survey::svycontrast(stat, quote(...))``, of a replicate design with
    ``return.replicates = TRUE``.

    Examples
    --------
    >>> import pandas as pd
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.estimation.means import survey_mean
    >>> respondents = pd.DataFrame({"y": [1.0, 3.0, 4.0, 8.0], "group": ["a", "a", "b", "b"]})
    >>> means = survey_mean(survey_design(respondents), "y", by="group")
    >>> nonlinear_contrast(means, {"b / a": "`y | group=b` / `y | group=a`"}).estimate.tolist()
    [3.0]
    >>> growth = nonlinear_contrast(means, {"growth": "b / a - 1"}, names={"a": "y | group=a", "b": "y | group=b"})
    >>> growth.estimate.tolist()
    [2.0]
    """
    if replicates not in ("evaluate", "delta"):
        raise EstimationError(f"nonlinear_contrast: replicates must be 'evaluate' or 'delta', got {replicates!r}.")
    parts, addresses, alone = _rows_of(results)
    if not parts or not contrasts:
        raise EstimationError("nonlinear_contrast needs at least one result and one expression; nothing was given.")
    if not isinstance(contrasts, Mapping):
        raise EstimationError(
            f"nonlinear_contrast: expected a mapping of label to expression, got {contrasts!r}. Write "
            f"{{'growth': 'b / a - 1'}}."
        )
    for label in contrasts:
        require_label(label, "nonlinear_contrast")
    known = {**alone, **_checked_names(names or {})}
    expressions = [_Expression.read(label, text, known, addresses) for label, text in contrasts.items()]
    used = np.array(sorted({row for expression in expressions for row in expression.rows.values()}), dtype=np.int64)
    rows = joined(parts).take(used)
    place = {int(row): at for at, row in enumerate(used)}
    at_sample = [expression.value_of(rows.estimate[None, :], place, derive=True) for expression in expressions]
    gradient = np.vstack([dual.gradient for dual in at_sample])
    behind = np.array([[row in expression.rows.values() for row in used] for expression in expressions])
    made = combined(rows, gradient, list(contrasts), behind)
    in_words = {one.label: (ast.unparse(one.tree), one.rows) for one in expressions}
    made = replace(
        made,
        verb="nonlinear_contrast",
        estimate=np.concatenate([dual.value for dual in at_sample]),
        combination=Combination(tuple(parts), in_words, False),
    )
    if replicates == "delta" or not isinstance(made.engine, ReplicateEngine) or rows.contributions is None:
        return made
    table = np.column_stack([one.value_of(rows.contributions, place, derive=False).value for one in expressions])
    return replace(made, contributions=table, vcov=made.engine.covariance(table))


def _rows_of(results: Results) -> tuple[list[Estimates], list[str], dict[str, str]]:
    """Return the results, the addresses of all their rows, and the names of those of one row."""
    if isinstance(results, Estimates):
        return [results], results.addresses(), {}
    parts = results_in(results.values() if isinstance(results, Mapping) else results, "nonlinear_contrast")
    if not isinstance(results, Mapping):
        return parts, [address for part in parts for address in part.addresses()], {}
    addresses = [f"{name} | {address}" for name, part in results.items() for address in part.addresses()]
    alone = {str(name): f"{name} | {part.addresses()[0]}" for name, part in results.items() if len(part) == 1}
    return parts, addresses, alone


def _checked_names(names: Mapping[str, str]) -> Mapping[str, str]:
    if not isinstance(names, Mapping):
        raise EstimationError(
            f"nonlinear_contrast: names must map words to rows, got {names!r}. Write names={{'a': 'y | group=a'}}."
        )
    for name in names:
        if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name) or name in _FUNCTIONS:
            raise EstimationError(
                f"nonlinear_contrast: names holds {name!r}, expected plain words other than {', '.join(_FUNCTIONS)}. "
                f"Write names={{'a': 'y | group=a'}}."
            )
    return names


@dataclass(frozen=True, eq=False)
class _Expression:
    """One expression: its label and text, the parsed tree, and the row of the results behind each word in it."""

    label: str
    text: str
    tree: ast.expr
    rows: dict[str, int]

    @classmethod
    def read(cls, label: str, text: str, known: Mapping[str, str], addresses: Sequence[str]) -> _Expression:
        if not isinstance(text, str):
            raise EstimationError(
                f"contrast '{label}': expected an expression such as 'a / b - 1', got {text!r}. Linear combinations by "
                f"coefficients are ev.contrast."
            )
        quoted: dict[str, str] = {}
        plain = _QUOTED.sub(lambda found: quoted.setdefault(found[1], f"_row_{len(quoted)}_"), text)
        tree = _parsed(label, plain, text)
        words = {word: address for address, word in quoted.items()}
        called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in called}
        rows = {word: _row(word, words, known, addresses, label) for word in sorted(used)}
        if not rows:
            raise EstimationError(f"contrast '{label}': '{text}' names no row. {did_you_mean('', addresses)}")
        return cls(label, text, tree, rows)

    def value_of(self, table: Floats, place: Mapping[int, int], *, derive: bool) -> Dual:
        """Return the expression of every line of a table of the rows' estimates, shape (m, k)."""
        k = table.shape[1]
        unit = np.eye(k) if derive else np.zeros((k, 0))
        words = {
            word: Dual(table[:, place[row]], np.tile(unit[place[row]], (len(table), 1)))
            for word, row in self.rows.items()
        }
        constant = np.zeros((len(table), unit.shape[1]))
        with np.errstate(all="ignore"):
            dual = self._walk(self.tree, words, constant)
        lost = ~np.isfinite(dual.value) | ~np.isfinite(dual.gradient).all(axis=1)
        if derive or lost.any():
            # A replicate that has no estimates to begin with stays without a value.
            given = np.isfinite(np.column_stack([word.value for word in words.values()])).all(axis=1)
            self._refuse(lost & (given | derive), words, derive)
        return dual

    def _walk(self, node: ast.expr, words: Mapping[str, Dual], constant: Floats) -> Dual:
        if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and type(node.value) is not bool:
            return Dual(np.full(len(constant), float(node.value)), constant)
        if isinstance(node, ast.Name) and node.id in words:
            return words[node.id]
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            inner = self._walk(node.operand, words, constant)
            return -inner if isinstance(node.op, ast.USub) else inner
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
            left, right = self._walk(node.left, words, constant), self._walk(node.right, words, constant)
            return _OPERATIONS[type(node.op)](left, right)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS:
            if len(node.args) == 1 and not node.keywords:
                return _FUNCTIONS[node.func.id](self._walk(node.args[0], words, constant))
            raise EstimationError(f"contrast '{self.label}': {node.func.id} takes one number.")
        raise EstimationError(
            f"contrast '{self.label}': '{ast.unparse(node)}' is not arithmetic. Understood are numbers, rows, "
            f"+ - * / **, parentheses, {', '.join(_FUNCTIONS)}."
        )

    def _refuse(self, lost: NDArray[np.bool_], words: Mapping[str, Dual], derive: bool) -> None:
        if not lost.any():
            return
        line = int(np.flatnonzero(lost)[0])
        values = ", ".join(f"{value.value[line]:g}" for value in words.values())
        where = "" if derive else f" in replicate {line + 1}"
        move = "" if derive else " Or carry the derivative over the replicates, with replicates='delta'."
        raise EstimationError(
            f"contrast '{self.label}': '{self.text}' has no value or no derivative{where}; its rows are {values}: "
            f"a division by zero, or the logarithm or root of what is not positive. Contrast what is far from "
            f"zero.{move}"
        )


def _parsed(label: str, plain: str, text: str) -> ast.expr:
    if len(plain) > LONGEST:
        raise EstimationError(f"contrast '{label}': the expression is longer than {LONGEST} characters. Split it.")
    try:
        return ast.parse(plain.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise EstimationError(
            f"contrast '{label}': '{text}' is no arithmetic. Write it like 'a / b - 1', with names={{'a': ...}}, or "
            f"with the rows' addresses between backticks."
        ) from None


def _row(word: str, quoted: Mapping[str, str], known: Mapping[str, str], addresses: Sequence[str], label: str) -> int:
    address = quoted.get(word) or known.get(word) or word
    if address == word and word not in addresses:
        raise EstimationError(
            f"contrast '{label}': '{word}' is neither a row nor one of names. "
            f"{did_you_mean(word, [*known, *addresses])}"
        )
    return row_called(address, addresses, label)
