"""A small language for checks on printed numbers: ``C2 - C1 == C6``.

Numbers, names of claims (``C2``, their further printed numbers ``D1[1]``, ``D1[2]``), names of facts, ``+ - * /``,
parentheses, comparisons, ``round(x, places)`` and ``rounds_to(x, C2)``. Nothing else is understood, and everything is
computed exactly, in fractions.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from evaluation.errors import ClaimError, did_you_mean

Held = Literal["value", "holds", "fails", "rounds"]

#: A check is one line; longer ones are refused.
LONGEST = 200

_ARITHMETIC: dict[type[ast.operator], tuple[str, Callable[[Fraction, Fraction], Fraction]]] = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("\N{MINUS SIGN}", operator.sub),
    ast.Mult: ("×", operator.mul),
    ast.Div: ("/", operator.truediv),
}
_COMPARED: dict[type[ast.cmpop], tuple[str, str, Callable[[Fraction, Fraction], bool]]] = {
    ast.Eq: ("=", "≠", operator.eq),
    ast.NotEq: ("≠", "=", operator.ne),
    ast.Lt: ("<", "≥", operator.lt),
    ast.LtE: ("≤", ">", operator.le),
    ast.Gt: (">", "≤", operator.gt),
    ast.GtE: ("≥", "<", operator.ge),
}


@dataclass(frozen=True)
class Named:
    """A printed or published number that a check may name.

    Attributes
    ----------
    value : Fraction
        The number itself.
    shown : str
        How it stands in print.
    last_place : Fraction
        What one step of its last printed digit is worth.
    source : tuple of str
        Who says so, in Korean and in English, in a few words.
    """

    value: Fraction
    shown: str
    last_place: Fraction
    source: tuple[str, str]


Names = Mapping[str, tuple[Named, ...]]


@dataclass(frozen=True)
class Checked:
    """What became of one expression.

    Attributes
    ----------
    held : {"value", "holds", "fails", "rounds"}
        "value" where nothing is compared; "rounds" where it holds after rounding as printed.
    text : str
        The expression with its numbers in place, e.g. ``"283 − 80 = 203"``; a failed comparison shows what is true.
    value : Fraction or None
        Of an expression without comparison.
    """

    held: Held
    text: str
    value: Fraction | None = None


@dataclass(frozen=True)
class _Part:
    value: Fraction
    text: str
    is_atom: bool
    is_sum: bool = False
    says_value: bool = False


def evaluate(text: str, names: Names) -> Checked:
    """Evaluate one check.

    Parameters
    ----------
    text : str
        An expression of the language above.
    names : mapping of str to tuple of Named
        Claims and facts by name; the first number of each is what the bare name stands for.

    Returns
    -------
    Checked
        Whether it holds, with the numbers in place.

    Raises
    ------
    ClaimError
        Where the text is no such expression, names what is unknown, or divides by zero.

    Examples
    --------
    >>> evaluate("340 + 67 + 1534 == 1941", {}).text
    '340 + 67 + 1534 = 1941'
    >>> evaluate("432 <= 424", {})
    Checked(held='fails', text='432 > 424', value=None)
    >>> evaluate("(115 - 170) / 170", {}).text
    '(115 − 170) / 170 = −0.324'
    >>> evaluate("__import__('os').system('ls')", {})
    Traceback (most recent call last):
    evaluation.errors.ClaimError: check '__import__('os').system('ls')': ... is not arithmetic. ...
    """
    tree = _parsed(text)
    try:
        return _checked(tree, names)
    except ZeroDivisionError:
        raise ClaimError(f"check '{text}' divides by zero.") from None
    except ClaimError as error:
        raise ClaimError(f"check '{text}': {error}") from None


def names_in(text: str) -> tuple[str, ...]:
    """Return the claims and facts that an expression names, each once, in order.

    Examples
    --------
    >>> names_in("round(D1[2] / C2) == D5")
    ('D1', 'C2', 'D5')
    """
    found = [node for node in ast.walk(_parsed(text)) if isinstance(node, ast.Name)]
    called = {id(node.func) for node in ast.walk(_parsed(text)) if isinstance(node, ast.Call)}
    ordered = sorted((node for node in found if id(node) not in called), key=lambda node: node.col_offset)
    return tuple(dict.fromkeys(node.id for node in ordered if node.id not in ("round", "rounds_to")))


def number_shown(value: Fraction) -> str:
    """Write a computed number: all digits where they are few, else three that count.

    Examples
    --------
    >>> [number_shown(Fraction(value)) for value in ("1941", "2.5", "128743/9930616", "-11/34", "1204.25")]
    ['1,941', '2.5', '0.013', '−0.324', '1,204']
    """
    number = float(value)
    exact = Fraction(f"{number:.4g}") == value
    if value.denominator == 1 or abs(number) >= 1000:
        text = f"{round(value):,}"
    else:
        text = f"{Decimal(f'{number:.{4 if exact else 3}g}'):f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.replace("-", "\N{MINUS SIGN}")


def _parsed(text: str) -> ast.expr:
    if len(text) > LONGEST:
        raise ClaimError(f"check '{text[:40]}...' is longer than {LONGEST} characters. Split it with ';'.")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ClaimError(f"check '{text}' is no arithmetic. Write it like C2 - C1 == C6.") from None


def _checked(tree: ast.expr, names: Names) -> Checked:
    if isinstance(tree, ast.Compare):
        return _compared(tree, names)
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and tree.func.id == "rounds_to":
        return _rounded(tree, names)
    part = _part(tree, names)
    return Checked("value", _with_value(part), part.value)


def _compared(tree: ast.Compare, names: Names) -> Checked:
    parts = [_part(node, names) for node in (tree.left, *tree.comparators)]
    signs = [_sign(node) for node in tree.ops]
    held = [compare(parts[at].value, parts[at + 1].value) for at, (_, _, compare) in enumerate(signs)]
    text = _with_value(parts[0], unless=parts[1] if signs[0][0] == "=" and held[0] else None)
    for part, (sign, otherwise, _), holds in zip(parts[1:], signs, held, strict=True):
        text += f" {sign if holds else otherwise} {_with_value(part)}"
    return Checked("holds" if all(held) else "fails", text)


def _sign(node: ast.cmpop) -> tuple[str, str, Callable[[Fraction, Fraction], bool]]:
    if type(node) not in _COMPARED:
        raise ClaimError(f"'{type(node).__name__}' compares no numbers. Use == != < <= > >=.")
    return _COMPARED[type(node)]


def _with_value(part: _Part, unless: _Part | None = None) -> str:
    """Return a part, and what it comes to where that does not stand beside it anyway."""
    if part.is_atom or part.says_value or (unless is not None and unless.is_atom):
        return part.text
    return f"{part.text} = {number_shown(part.value)}"


def _rounded(tree: ast.Call, names: Names) -> Checked:
    if len(tree.args) != 2 or tree.keywords:
        raise ClaimError("rounds_to takes a number and a claim, like rounds_to(population, B9).")
    part, printed = _part(tree.args[0], names), _named(tree.args[1], names)
    if printed is None:
        raise ClaimError("the second of rounds_to must be a claim, since it says how coarsely it was printed.")
    close = abs(part.value - printed.value) <= printed.last_place / 2
    return Checked("rounds" if close else "fails", f"{part.text} {'≈' if close else '≠'} {printed.shown}")


def _part(node: ast.expr, names: Names) -> _Part:
    if isinstance(node, ast.Constant):
        return _constant(node)
    named = _named(node, names)
    if named is not None:
        return _Part(named.value, named.shown, is_atom=True)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _part(node.operand, names)
        return _Part(-inner.value, f"\N{MINUS SIGN}{_bracketed(inner, not inner.is_atom)}", is_atom=inner.is_atom)
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        return _combined(node, names)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "round":
        return _round(node, names)
    raise ClaimError(f"'{ast.unparse(node)}' is not arithmetic. Understood are numbers, claims, facts, + - * / ( ), "
                     "comparisons, round and rounds_to.")  # fmt: skip


def _constant(node: ast.Constant) -> _Part:
    if type(node.value) not in (int, float):
        raise ClaimError(f"'{ast.unparse(node)}' is not arithmetic. Only numbers may stand there.")
    text = str(node.value)
    try:
        return _Part(Fraction(text), text, is_atom=True)
    except ValueError:
        raise ClaimError(f"'{text}' is no finite number.") from None


def _named(node: ast.expr, names: Names) -> Named | None:
    """Return the number that a name, or a name with its place in brackets, stands for."""
    at, base = 0, node
    if isinstance(node, ast.Subscript):
        base = node.value
        if not (isinstance(node.slice, ast.Constant) and type(node.slice.value) is int):
            raise ClaimError(f"'{ast.unparse(node)}': brackets hold the place of a printed number, like D1[2].")
        at = node.slice.value
    if not isinstance(base, ast.Name):
        return None
    if base.id not in names:
        raise ClaimError(f"no claim or fact '{base.id}'. {did_you_mean(base.id, names)}")
    if not 0 <= at < len(names[base.id]):
        raise ClaimError(f"'{base.id}' holds {len(names[base.id])} printed numbers, there is no [{at}].")
    return names[base.id][at]


def _combined(node: ast.BinOp, names: Names) -> _Part:
    sign, combine = _ARITHMETIC[type(node.op)]
    left, right = _part(node.left, names), _part(node.right, names)
    is_product = sign in ("×", "/")
    first = _bracketed(left, is_product and left.is_sum)
    second = _bracketed(right, right.is_sum if is_product else sign != "+" and right.is_sum)
    if is_product and sign == "/" and not (right.is_atom or right.is_sum):
        second = f"({right.text})"
    return _Part(combine(left.value, right.value), f"{first} {sign} {second}", False, is_sum=not is_product)


def _bracketed(part: _Part, needed: bool) -> str:
    return f"({part.text})" if needed else part.text


def _round(node: ast.Call, names: Names) -> _Part:
    places = node.args[1] if len(node.args) == 2 else ast.Constant(0)
    if not node.args or len(node.args) > 2 or node.keywords or not isinstance(places, ast.Constant):
        raise ClaimError("round takes a number and how many decimals, like round(D1 / C2, 1).")
    if type(places.value) is not int or not 0 <= places.value <= 9:
        raise ClaimError("round goes to 0 to 9 decimals.")
    inner = _part(node.args[0], names)
    scaled = inner.value * 10**places.value
    value = Fraction((2 * abs(scaled) + 1) // 2 * (1 if scaled >= 0 else -1), 10**places.value)
    text = f"{inner.text} ≈ {number_shown(value)}" if value != inner.value else inner.text
    return _Part(value, text, is_atom=False, is_sum=True, says_value=value != inner.value)
