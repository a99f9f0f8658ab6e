"""Hadamard matrices: balanced columns of plus and minus one for half-samples."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def balanced_signs(columns: int, order: int | None = None) -> Floats:
    """Return columns of signs that are orthogonal to each other and each sum to zero, shape (order, columns).

    Parameters
    ----------
    columns : int
        How many.
    order : int, optional
        Rows; default the smallest order that can be made. The column of ones is never among them, so
        ``order`` is at least ``columns + 1``.

    Raises
    ------
    ValueError
        No matrix of that order can be made, or it is too small.

    Examples
    --------
    >>> signs = balanced_signs(3)
    >>> (signs.T @ signs).tolist(), signs.sum(axis=0).tolist()
    ([[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]], [0.0, 0.0, 0.0])
    """
    rows = order_from(columns + 1) if order is None else order
    if rows <= columns or not can_be_made(rows):
        raise ValueError(f"no Hadamard matrix of order {rows} for {columns} columns")
    matrix = hadamard(rows)
    return np.ascontiguousarray((matrix * matrix[:, :1])[:, 1 : columns + 1])


def order_from(least: int) -> int:
    """Return the smallest order of at least ``least`` for which a matrix can be made.

    Examples
    --------
    >>> order_from(13), order_from(21), order_from(77), order_from(85)
    (16, 24, 80, 88)
    """
    order = max(least, 1)
    while not can_be_made(order):
        order += 1
    return order


@cache
def can_be_made(order: int) -> bool:
    """Tell whether the constructions here (doubling, Paley's two, and their products) reach an order."""
    if order in (1, 2):
        return True
    if order < 4 or order % 4:
        return False
    return _paley(order) > 0 or _split(order) > 0


def hadamard(order: int) -> Floats:
    """Return a matrix H of signs with ``H' H = order * I``, shape (order, order).

    References
    ----------
    Sylvester (1867), Philosophical Magazine 34, 461-475; Paley (1933), Journal of Mathematics and Physics 12, 311-320.

    Examples
    --------
    >>> matrix = hadamard(12)
    >>> bool((matrix.T @ matrix == 12 * np.eye(12)).all())
    True
    """
    if order == 1:
        return np.ones((1, 1))
    if order == 2:
        return np.array([[1.0, 1.0], [1.0, -1.0]])
    kind = _paley(order)
    if kind == 1:
        return _skew(order - 1) + np.eye(order)
    if kind == 2:
        plus, minus = np.array([[1.0, 1.0], [1.0, -1.0]]), np.array([[1.0, -1.0], [-1.0, -1.0]])
        return np.asarray(np.kron(_symmetric(order // 2 - 1), plus) + np.kron(np.eye(order // 2), minus))
    part = _split(order)
    return np.asarray(np.kron(hadamard(part), hadamard(order // part)))


def _paley(order: int) -> int:
    """Return which of Paley's constructions gives an order: 1, 2, or 0 for neither."""
    if order % 4 == 0 and _is_prime(order - 1):
        return 1
    half = order // 2 - 1
    return 2 if order % 4 == 0 and half % 4 == 1 and _is_prime(half) else 0


def _split(order: int) -> int:
    """Return a factor that makes an order together with its cofactor, or 0."""
    parts = (part for part in range(2, int(order**0.5) + 1) if order % part == 0)
    return next((part for part in parts if can_be_made(part) and can_be_made(order // part)), 0)


def _residues(q: int) -> Floats:
    """Return Jacobsthal's matrix: the quadratic character of i - j in a field of ``q`` elements, ``q`` prime."""
    character = np.full(q, -1.0)
    character[np.unique(np.arange(1, q, dtype=np.int64) ** 2 % q)] = 1.0
    character[0] = 0.0
    index = np.arange(q)
    return np.asarray(character[(index[:, None] - index[None, :]) % q])


def _skew(q: int) -> Floats:
    matrix = np.zeros((q + 1, q + 1))
    matrix[0, 1:], matrix[1:, 0], matrix[1:, 1:] = 1.0, -1.0, _residues(q)
    return matrix


def _symmetric(q: int) -> Floats:
    matrix = np.zeros((q + 1, q + 1))
    matrix[0, 1:], matrix[1:, 0], matrix[1:, 1:] = 1.0, 1.0, _residues(q)
    return matrix


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))
