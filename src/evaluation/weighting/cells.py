"""Weighting steps that give every cell one factor, which depends on the sums of weights by cell alone.

Because of that they are exact and fast: the derivative of the factors in the sums is a small table, and replicates
are re-weighted on sums by cell, never on rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.collapse import Codes, Floats, crossed, mass_by, sum_by
from evaluation.design.columns import Columns
from evaluation.design.design import Design
from evaluation.design.steps import Derivative, WeightingStep
from evaluation.errors import ColumnError, WeightingError, did_you_mean

Mask = NDArray[np.bool_]

#: What a cell does with its weight: keeps it, takes over what others of its group give, gives it away, loses it.
KEEPS, TAKES, GIVES, LOSES = range(4)


class Rule(Protocol):
    """Factors of cells, as a function of the sums of input weights by cell."""

    def multipliers(self, masses: Floats) -> Floats:
        """Return the factors for each row of sums, both of shape (R, n_cells)."""
        ...

    def slopes(self, masses: Floats) -> tuple[Floats, Floats, Floats]:
        """Return left (n_cells, q), middle (q, p) and right (n_cells, p).

        ``-left @ middle @ right.T`` is the derivative of the factors (across) in the sums (down), shape
        (n_cells, n_cells).
        """
        ...


@dataclass(frozen=True, eq=False)
class CellFactors:
    """A weighting step of one factor per cell.

    Attributes
    ----------
    verb : str
        Public verb that made it.
    asked : mapping
        The verb's arguments as they were given.
    arguments : mapping
        The same, as a study file writes them.
    code : ndarray of int, shape (n,)
        Cell of each respondent.
    rule : Rule
        How factors come from sums.
    r_convention : {"unseen", "poststratified"}
        R survey sees no variance of the step, or that of a post-stratification to the same cells.
    """

    verb: str
    asked: Mapping[str, Any]
    arguments: Mapping[str, Any]
    code: Codes
    n_cells: int
    rule: Rule
    r_convention: Literal["unseen", "poststratified"] = "unseen"

    @property
    def cells(self) -> tuple[Codes, int]:
        """Cell of each respondent, shape (n,), and their number."""
        return self.code, self.n_cells

    def replay(self, weights: Floats) -> Floats:
        """Do the same to other weights, shape (n,)."""
        masses = mass_by(self.code, self.n_cells, weights)
        return np.asarray(weights * self.rule.multipliers(masses[None, :])[0][self.code])

    def replay_cells(self, masses: Floats) -> Floats:
        """Return the factors for sums of input weights by cell, both of shape (R, n_cells)."""
        return self.rule.multipliers(masses)

    def derivative(self, weights_in: Floats, weights_out: Floats) -> Derivative:
        """Return how the output weights move with the input weights."""
        masses = mass_by(self.code, self.n_cells, weights_in)
        factor = self.rule.multipliers(masses[None, :])[0][self.code]
        left, middle, right = self.rule.slopes(masses)
        n = len(self.code)
        return Derivative(
            factor, (Columns(n, self.code, left),), (Columns(n, self.code, right).scaled(weights_in),), middle
        )

    def residualise(self, x: Floats, weights_in: Floats, weights_out: Floats) -> Floats:
        """Return weighted influence as R survey treats it: untouched, or less its mean in each cell."""
        if self.r_convention == "unseen":
            return x
        inside = weights_out != 0
        z = np.divide(x, weights_out[:, None], out=np.zeros_like(x), where=inside[:, None])
        kept = np.where(inside, weights_in, 0.0)
        sums, mass = sum_by(self.code, self.n_cells, z * kept[:, None]), mass_by(self.code, self.n_cells, kept)
        means = sums / np.where(mass == 0, 1.0, mass)[:, None]
        return np.asarray(x - weights_out[:, None] * means[self.code])


@dataclass(frozen=True, eq=False)
class Groups:
    """Groups that columns span: every combination that a respondent who counts has.

    Attributes
    ----------
    code : ndarray of int, shape (n,)
        Group of each respondent; one of the groups also for rows that do not count.
    keys : pandas.DataFrame, G rows
        Values of the columns in each group; no columns where there is one group.
    rank : ndarray of int, shape (G, m)
        Place of each value among its column's sorted values.
    move : str
        What to do about an empty group, where merging it is not in the user's hands.
    """

    code: Codes
    keys: pd.DataFrame
    rank: Codes
    move: str = ""

    def __len__(self) -> int:
        return len(self.keys)

    def name(self, group: int) -> str:
        """Return what a group is, e.g. ``"district=A, age=old"``; ``"the whole sample"`` where there is one."""
        pairs = [f"{column}={value}" for column, value in self.keys.iloc[group].items()]
        return ", ".join(pairs) or "the whole sample"

    def neighbour(self, group: int, usable: Sequence[int]) -> int | None:
        """Return the usable group that differs in the fewest columns, and there by the fewest places."""
        others = [other for other in usable if other != group]
        if not others:
            return None
        apart = np.abs(self.rank[others] - self.rank[group])
        order = np.lexsort([apart.sum(axis=1), (apart > 0).sum(axis=1)])
        return others[int(order[0])]

    @cached_property
    def indicators(self) -> Floats:
        """Identity of the groups, shape (G, G)."""
        return np.eye(len(self))


def groups_by(design: Design, by: str | Sequence[str] | None, counted: Mask, verb: str) -> Groups:
    """Code the groups that ``by`` spans among the rows that are ``counted``.

    Raises
    ------
    ColumnError
        A column does not exist, is named twice, or is missing for somebody who counts.
    """
    if by is not None and not isinstance(by, Iterable | int):
        raise ColumnError(f"{verb}: groups must be the name of a column or a list of names, got {by!r}.")
    names = [by] if isinstance(by, (str, int)) else [] if by is None else list(by)
    n = len(design)
    if len(set(names)) < len(names):
        raise ColumnError(f"{verb}: by={names} names a column twice. Name each once.")
    if not names:
        whole = np.zeros(n, dtype=np.int64)
        return Groups(whole, pd.DataFrame(index=range(1)), np.zeros((1, 0), dtype=np.int64))
    codes, levels = [], []
    for name in names:
        code, values = _sorted_levels(design.column(name), counted, name, verb)
        codes.append(np.where(counted, code, 0))
        levels.append(values)
    group, rank = crossed([code[counted] for code in codes], [len(values) for values in levels])
    whole = np.zeros(n, dtype=np.int64)
    whole[counted] = group
    keys = {name: [values[i] for i in rank[:, j]] for j, (name, values) in enumerate(zip(names, levels, strict=True))}
    return Groups(whole, pd.DataFrame(keys), rank)


def _sorted_levels(column: pd.Series, counted: Mask, name: str, verb: str) -> tuple[Codes, list[Any]]:
    missing = column.isna().to_numpy() & counted
    if missing.any():
        raise ColumnError(
            f"{verb}: '{name}' is missing for {int(missing.sum()):,} of {int(counted.sum()):,} who have a weight "
            f"(first: data row {int(np.flatnonzero(missing)[0]) + 1:,}). Give them a value, e.g. a level 'unknown', "
            f"or take a column that is known of everybody.",
            failures=column[missing].to_frame(),
        )
    if isinstance(column.dtype, pd.CategoricalDtype):
        return np.asarray(column.cat.codes, dtype=np.int64), list(column.cat.categories)
    code, values = pd.factorize(column, sort=True)
    return np.asarray(code, dtype=np.int64), pd.Index(values).tolist()


@dataclass(frozen=True, eq=False)
class Transfer:
    """Weight that some cells of a group give is taken over by others of the group, in proportion to their weight.

    Attributes
    ----------
    verb : str
        For errors.
    groups : Groups
        What cells lie in.
    group, role : ndarray of int, shape (n_cells,)
        Group of each cell, and what it does with its weight.
    giver, taker : str
        What the two kinds of respondents are called in errors, several and one.
    """

    verb: str
    groups: Groups
    group: Codes
    role: Codes
    giver: str
    taker: str

    def _indicator(self, role: int) -> Floats:
        return np.asarray(self.groups.indicators[self.group] * (self.role == role)[:, None])

    def multipliers(self, masses: Floats) -> Floats:
        """Return the factors of cells, shape (R, n_cells); WeightingError where a group has nobody to take over."""
        given, taken = masses @ self._indicator(GIVES), masses @ self._indicator(TAKES)
        short = (taken <= 0) & (given != 0)
        if short.any():
            self._refuse(short, taken)
        factor = 1 + np.divide(given, taken, out=np.zeros_like(given), where=taken > 0)
        found = np.where(self.role == KEEPS, 1.0, 0.0) * np.ones_like(masses)
        return np.asarray(np.where(self.role == TAKES, factor[:, self.group], found))

    def slopes(self, masses: Floats) -> tuple[Floats, Floats, Floats]:
        """Return left, middle and right of the factors' derivative."""
        takers = self._indicator(TAKES)
        taken = masses @ takers
        gain = self.multipliers(masses[None, :])[0] - 1
        left = takers * gain[:, None] - self._indicator(GIVES)
        return left, np.diag(np.divide(1.0, taken, out=np.zeros_like(taken), where=taken > 0)), takers

    def _refuse(self, short: Mask, taken: Floats) -> None:
        row = int(np.flatnonzero(short.any(axis=1))[0])
        empty = np.flatnonzero(short[row])
        usable = np.flatnonzero(taken[row] > 0).tolist()
        first = int(empty[0])
        neighbour = self.groups.neighbour(first, usable)
        more = f" (and {len(empty) - 1:,} more)" if len(empty) > 1 else ""
        if neighbour is None:
            move = f"There is no {self.taker} anywhere, so nothing can be adjusted."
        else:
            other = self.groups.name(neighbour)
            move = self.groups.move or f"Merge it with {other}, or leave out a column of by."
        raise WeightingError(
            f"{self.verb}: {self.groups.name(first)}{more} has {self.giver} with a weight, but no {self.taker} who "
            f"could carry it. {move}",
            failures=self.groups.keys.iloc[empty],
        )


def transfer_step(
    verb: str,
    asked: Mapping[str, Any],
    groups: Groups,
    role: Codes,
    counted: Mask,
    giver: str,
    taker: str,
) -> CellFactors:
    """Return the step in which weight goes, within groups, from those who give to those who take.

    Parameters
    ----------
    verb, asked
        What made it, and with which arguments.
    groups : Groups
        Cells of the user.
    role : ndarray of int, shape (n,)
        ``KEEPS``, ``TAKES``, ``GIVES`` or ``LOSES``.
    counted : ndarray of bool, shape (n,)
        Rows with a weight; the others keep none.
    giver, taker : str
        What the two are called in errors, several and one.
    """
    code, cells = crossed([groups.code, np.where(counted, role, LOSES)], [len(groups), LOSES + 1])
    rule = Transfer(verb, groups, cells[:, 0], cells[:, 1], giver, taker)
    return CellFactors(verb, dict(asked), as_written(**asked), code, len(cells), rule)


@dataclass(frozen=True, eq=False)
class Scaling:
    """Weights of each group are multiplied until they sum to a number that is known.

    Attributes
    ----------
    group : ndarray of int, shape (n_cells,)
        Group of each cell.
    targets : ndarray, shape (G,)
    """

    group: Codes
    targets: Floats

    @cached_property
    def _indicators(self) -> Floats:
        return np.eye(len(self.targets))[self.group]

    def multipliers(self, masses: Floats) -> Floats:
        """Return the factors of cells, shape (R, n_cells); a group without weight keeps none."""
        sums = masses @ self._indicators
        factor = np.divide(self.targets, sums, out=np.zeros_like(sums), where=sums != 0)
        return np.asarray(factor[:, self.group])

    def slopes(self, masses: Floats) -> tuple[Floats, Floats, Floats]:
        """Return left, middle and right of the factors' derivative."""
        sums = masses @ self._indicators
        factor = self.multipliers(masses[None, :])[0]
        middle = np.diag(np.divide(1.0, sums, out=np.zeros_like(sums), where=sums != 0))
        return self._indicators * factor[:, None], middle, self._indicators


@dataclass(frozen=True, eq=False)
class Composition:
    """Weights of each group are shifted between its cells until these have given shares; the group's sum stays.

    Attributes
    ----------
    group : ndarray of int, shape (n_cells,)
        Group of each cell; -1 for a cell that loses its weight.
    n_groups : int
    shares : ndarray, shape (n_cells,)
        Share of each cell in its group; they sum to one in every group.
    name : callable
        What a cell is called in errors.
    """

    group: Codes
    n_groups: int
    shares: Floats
    names: tuple[str, ...]

    @cached_property
    def _indicators(self) -> Floats:
        inside = self.group >= 0
        return np.asarray(np.eye(self.n_groups)[np.maximum(self.group, 0)] * inside[:, None])

    def multipliers(self, masses: Floats) -> Floats:
        """Return the factors of cells, shape (R, n_cells); WeightingError where a cell has lost its respondents."""
        sums = masses @ self._indicators
        wanted = sums @ self._indicators.T * self.shares
        short = (masses <= 0) & (wanted > 0)
        if short.any():
            cell = int(np.flatnonzero(short.any(axis=0))[0])
            raise WeightingError(
                f"standardise: {self.names[cell]} is to have {self.shares[cell]:.4g} of its group, but nobody there "
                f"has a weight. Merge it with a similar level in by and population."
            )
        return np.divide(wanted, masses, out=np.zeros_like(wanted), where=masses > 0)

    def slopes(self, masses: Floats) -> tuple[Floats, Floats, Floats]:
        """Return left, middle and right of the factors' derivative."""
        factor, sums = self.multipliers(masses[None, :])[0], masses @ self._indicators
        own = np.divide(factor, masses, out=np.zeros_like(factor), where=masses > 0)
        whole = np.divide(1.0, sums, out=np.zeros_like(sums), where=sums > 0)
        left = np.hstack([np.eye(len(masses)), -self._indicators])
        right = np.hstack([np.eye(len(masses)), self._indicators * factor[:, None]])
        return left, np.diag(np.concatenate([own, whole])), right


def applied(design: Design, step: WeightingStep) -> Design:
    """Return the design after a step; who has lost all weight is no longer counted in its provenance."""
    changed = design.adjusted(step)
    return replace(changed, provenance=replace(changed.provenance, n=int((changed.weights != 0).sum())))


def as_written(**given: Any) -> dict[str, Any]:
    """Return arguments as a study file writes them: lists instead of tuples, nothing that was left at None.

    Examples
    --------
    >>> as_written(by=("area", "age"), codes=None, response="answered")
    {'by': ['area', 'age'], 'response': 'answered'}
    """
    found: dict[str, Any] = {}
    for name, value in given.items():
        if isinstance(value, Mapping):
            found[name] = {_plain(key): _plain(own) for key, own in value.items()}
        elif value is not None:
            found[name] = [_plain(own) for own in value] if isinstance(value, (list, tuple)) else _plain(value)
    return found


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def require_known(name: str, value: object, options: Sequence[str]) -> None:
    """Raise a WeightingError unless ``value`` is one of the options."""
    if not isinstance(value, str) or value not in options:
        nearest = did_you_mean(value, options) if isinstance(value, str) else ""
        raise WeightingError(f"{name} must be {' or '.join(map(repr, options))}, got {value!r}. {nearest}".rstrip())
