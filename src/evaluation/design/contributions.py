"""Contributions of a table of domains where every respondent is a sampling unit: kept as columns beside a domain code.

A respondent's row is zero outside the own domain, but for what a weighting chain takes off it, which is of low rank.
So a table of D domains and q columns needs q numbers per respondent instead of D * q.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray

from evaluation.design.collapse import Codes, Floats, sum_by
from evaluation.design.sampling import Sampling, Stage

#: Numbers in a table of contributions from which on it is kept in factors.
LARGE = 10_000_000
#: Rows worked on at once; no power of two, which would put all their columns in one place of the cache.
ROWS = 6_000
#: Numbers in a matrix from which on linear algebra calls for several threads, at a cost that small ones do not repay.
THREADED = 8_000
#: Strata by domains whose means are spread over all columns at once.
MEANS = 1 << 12


@dataclass(frozen=True, eq=False)
class Divided:
    """Ratios of columns: ``(values[:, upper] - slope[domain] * values[:, lower]) / by[domain]``.

    Attributes
    ----------
    upper, lower : ndarray of int, shape (s,)
    slope, by : ndarray, shape (n_domains, s)
    """

    upper: Codes
    lower: Codes
    slope: Floats
    by: Floats


@dataclass(frozen=True, eq=False)
class DomainContributions(NDArrayOperatorsMixin):
    """A table of contributions, shape (n, k): ``rows[i, slot[j]] * (code[i] == domain[j]) - (chain @ taken)[i, j]``.

    It stands wherever an array of that shape does, and becomes one where more is asked than columns, products with a
    matrix and the covariance.

    Attributes
    ----------
    values : ndarray, shape (n, q)
        Of which ``rows`` are made: themselves, or ratios of them.
    code : ndarray of int, shape (n,)
        Domain of each unit, 0 to ``n_domains``; ``n_domains`` means none.
    n_domains : int
    domain, slot : ndarray of int, shape (k,)
        Where each column stands.
    ratio : Divided or None
        What ``rows``, shape (n, s), are; None: the values.
    chain : ndarray, shape (n, p), or None
        What a weighting chain takes off each contribution per unit of its coefficients.
    taken : ndarray, shape (p, k)
        Those coefficients.
    missing : ndarray of bool, shape (k,), or None
        Columns without an estimate: NaN throughout.
    """

    values: Floats
    code: Codes
    n_domains: int
    domain: Codes
    slot: Codes
    ratio: Divided | None = None
    chain: Floats | None = None
    taken: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    missing: NDArray[np.bool_] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Units and columns."""
        return len(self.code), len(self.domain)

    def __len__(self) -> int:
        return len(self.code)

    @property
    def n_slots(self) -> int:
        """Number of columns of one domain."""
        return self.values.shape[1] if self.ratio is None else len(self.ratio.upper)

    def reshape(self, *shape: Any) -> Floats:
        """Return the table as an array of another shape."""
        return np.asarray(self).reshape(*shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self.columns(np.arange(len(self.domain))).astype(np.float64 if dtype is None else dtype, copy=False)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **arguments: Any) -> Any:
        if ufunc is np.matmul and method == "__call__" and inputs[0] is self and not arguments:
            return self.times(np.asarray(inputs[1]))
        plain = [np.asarray(one) if isinstance(one, DomainContributions) else one for one in inputs]
        return getattr(ufunc, method)(*plain, **arguments)

    def __getitem__(self, key: Any) -> Any:
        """Return columns; in factors where the table of them is large. Other keys are those of an array."""
        if not (isinstance(key, tuple) and len(key) == 2 and isinstance(key[0], slice) and key[0] == slice(None)):
            return np.asarray(self)[key]
        at = np.arange(len(self.domain))[key[1]]
        if np.ndim(at) != 1:
            return self.columns(np.atleast_1d(at))[:, 0] if np.ndim(at) == 0 else np.asarray(self)[key]
        return self._taken(at) if len(at) * len(self) > LARGE else self.columns(at)

    def _taken(self, at: Codes) -> DomainContributions:
        return replace(
            self,
            domain=self.domain[at],
            slot=self.slot[at],
            taken=self.taken if self.chain is None else self.taken[:, at],
            missing=None if self.missing is None else self.missing[at],
        )

    def columns(self, at: Codes) -> Floats:
        """Return columns as an array, shape (n, len(at))."""
        made = np.zeros((len(self), len(at))) if self.chain is None else self.chain @ -self.taken[:, at]
        for place, column in enumerate(at):
            rows = np.flatnonzero(self.code == self.domain[column])
            made[rows, place] += self._own(rows, self.domain[column], self.slot[column : column + 1])[0]
        if self.missing is not None:
            made[:, self.missing[at]] = np.nan
        return made

    def times(self, matrix: Floats) -> Floats:
        """Return the table times a matrix of shape (k, m), shape (n, m)."""
        if matrix.ndim != 2:
            return np.asarray(self.times(matrix[:, None])[:, 0])
        if self.missing is not None and self.missing.any():
            return np.full((len(self), matrix.shape[1]), np.nan)
        product = np.zeros((len(self), matrix.shape[1]))
        if self.chain is not None:
            product -= self.chain @ (self.taken @ matrix)
        for own in np.unique(self.domain[matrix.any(axis=1)]):
            at, rows = np.flatnonzero(self.domain == own), np.flatnonzero(self.code == own)
            product[rows] += self._own(rows, own, self.slot[at]).T @ matrix[at]
        return product

    def _own(self, rows: Codes, own: int, slot: Codes | slice = slice(None)) -> Floats:
        """Return what rows of one domain contribute to its own columns, shape (s, len(rows))."""
        raw, ratio = np.take(self.values, rows, axis=0).T, self.ratio
        if ratio is None:
            return np.array(raw[slot])
        made = raw[ratio.lower[slot]]
        made *= -ratio.slope[own, slot, None]
        made += raw[ratio.upper[slot]]
        made /= ratio.by[own, slot, None]
        return np.asarray(made)

    def over(self, numerator: Codes, below: DomainContributions, denominator: Codes, slope: Floats, by: Floats) -> Any:
        """Return ``(self[:, numerator] - slope * below[:, denominator]) / by``; None where domains differ.

        Parameters
        ----------
        numerator, denominator : ndarray of int, shape (k,)
        below : DomainContributions
            Of the same domains and the same chain.
        slope, by : ndarray, shape (k,)
        """
        domain = self.domain[numerator]
        plain = self.ratio is None and below.ratio is None and self._is_beside(below)
        if not plain or not np.array_equal(domain, below.domain[denominator]):
            return None
        pairs, slot = np.unique(
            np.column_stack([self.slot[numerator], below.slot[denominator]]), axis=0, return_inverse=True
        )
        slot = np.asarray(slot, dtype=np.int64).ravel()
        gone = ~np.isfinite(slope) | (by == 0)
        slope, by = np.where(gone, 0.0, slope), np.where(gone, 1.0, by)
        upper, lower = pairs.T
        values = self.values
        if below.values is not values:
            values, lower = np.hstack([values, below.values]), lower + values.shape[1]
        slopes, divisors = np.zeros((self.n_domains, len(pairs))), np.ones((self.n_domains, len(pairs)))
        slopes[domain, slot], divisors[domain, slot] = slope, by
        ratio = Divided(upper, lower, slopes, divisors)
        taken = self.taken
        if self.chain is not None:
            taken = (self.taken[:, numerator] - slope * below.taken[:, denominator]) / by
        missing = gone if gone.any() else None
        return replace(self, values=values, domain=domain, slot=slot, ratio=ratio, taken=taken, missing=missing)

    def _is_beside(self, other: DomainContributions) -> bool:
        same = self.code is other.code or np.array_equal(self.code, other.code)
        return same and self.n_domains == other.n_domains and self.chain is other.chain

    def covariance(self, stage: Stage) -> Floats:
        """Return the covariance under a stratified sample of respondents, shape (k, k).

        Notes
        -----
        Rows of one stratum and domain are their mean and deviations from it. Deviations are added up within
        domains: as squares and products, or after a chain as triangular factors, in which what is small stays
        small although what the chain takes off is large. Means stand for their rows between domains.
        """
        factor = np.where(stage.units_per_stratum > 1, 1.0, 0.0) * (1 - stage.fraction)
        factor *= stage.units_per_stratum / np.maximum(stage.units_per_stratum - 1, 1)
        covariance = np.zeros((len(self.domain), len(self.domain)))
        means, where, rest = [], [], dict[int, list[Floats]]()
        for own, block, starts, strata in self._blocks(stage):
            size = np.diff(starts, append=block.shape[1])
            mean = np.add.reduceat(block, starts, axis=1) / size
            block -= np.repeat(mean, size, axis=1)
            block *= np.repeat(np.sqrt(factor[strata]), size)
            if self.chain is not None:
                rest.setdefault(own, []).append(_triangle(block).T)
            elif own < self.n_domains:
                self._add_deviations(covariance, own, block)
            means.append(mean)
            where.append(np.column_stack([np.full(len(size), own), strata, size]))
        for own, triangles in rest.items():
            spread = self._spread(_triangle(np.hstack(triangles)), own)
            covariance += spread.T @ spread
        self._add_means(covariance, np.hstack(means), np.vstack(where), stage, factor)
        if self.missing is not None:
            covariance[self.missing[:, None] | self.missing[None, :]] = np.nan
        return covariance

    def _blocks(self, stage: Stage) -> Iterator[tuple[int, Floats, Codes, Codes]]:
        """Yield rows of one domain: values with the chain below, where each stratum starts, and which it is."""
        key = self.code * stage.n_strata + stage.stratum
        small = (self.n_domains + 1) * stage.n_strata <= np.iinfo(np.uint16).max
        order = np.argsort(key.astype(np.uint16) if small else key, kind="stable")
        ends = np.cumsum(np.bincount(self.code, minlength=self.n_domains + 1))
        s, p = self.n_slots, 0 if self.chain is None else self.chain.shape[1]
        for own, end in enumerate(ends):
            for start in range(ends[own - 1] if own else 0, end, ROWS):
                rows = order[start : min(start + ROWS, end)]
                block = np.zeros((s + p, len(rows)))
                if own < self.n_domains:
                    block[:s] = self._own(rows, own)
                if self.chain is not None:
                    block[s:] = self.chain[rows].T
                strata = stage.stratum[rows]
                starts = np.flatnonzero(np.diff(strata, prepend=-1))
                yield own, block, starts, strata[starts]

    def _add_deviations(self, covariance: Floats, own: int, block: Floats) -> None:
        at = np.flatnonzero(self.domain == own)
        gram = block @ block.T
        covariance[np.ix_(at, at)] += gram[np.ix_(self.slot[at], self.slot[at])]

    def _spread(self, rows: Floats, own: int) -> Floats:
        """Return rows of one domain, shape (r, s + p), as they stand in all columns, shape (r, k)."""
        s, at = self.n_slots, np.flatnonzero(self.domain == own)
        spread = np.zeros((len(rows), len(self.domain))) if self.chain is None else rows[:, s:] @ -self.taken
        spread[:, at] += rows[:, self.slot[at]]
        return spread

    def _add_means(self, covariance: Floats, means: Floats, where: Codes, stage: Stage, factor: Floats) -> None:
        order = np.argsort(where[:, 1], kind="stable")
        means, where, n = means[:, order], where[order], stage.units_per_stratum
        first, start = np.searchsorted(where[:, 1], np.arange(stage.n_strata + 1)), 0
        while start < stage.n_strata:
            stop = max(int(np.searchsorted(first, first[start] + MEANS, side="right")) - 1, start + 1)
            part = slice(first[start], first[stop])
            domain, stratum, size = where[part].T
            spread = np.empty((len(domain), len(self.domain)))
            for own in np.unique(domain):
                spread[domain == own] = self._spread(means[:, part][:, domain == own].T, own)
            centre = sum_by(stratum - start, stop - start, spread * size[:, None]) / n[start:stop, None]
            spread -= centre[stratum - start]
            spread *= np.sqrt(size * factor[stratum])[:, None]
            covariance += spread.T @ spread
            start = stop


def _triangle(block: Floats) -> Floats:
    """Return rows with the squares and products of those of the transposed ``block``, at most as many as columns."""
    rows, width = block.T, len(block)
    height = max(THREADED // width, 2 * width)
    while len(rows) > height:
        whole = len(rows) // height * height
        triangles = np.asarray(np.linalg.qr(rows[:whole].reshape(-1, height, width), mode="r"))
        rows = np.vstack([triangles.reshape(-1, width), rows[whole:]])
    return rows


def keeps_factors(sampling: Sampling, n_domains: int, n_columns: int) -> bool:
    """Tell whether a table of domains is better kept in factors: large, of a plain sample of respondents."""
    if n_domains < 3 or sampling.n_units * n_domains * n_columns <= LARGE:
        return False
    return sampling.n_units == len(sampling.unit) and is_plain(sampling)


def is_plain(sampling: Sampling) -> bool:
    """Tell whether a sample has one stage of stratified units, without anything that the factors do not know."""
    first, rules = sampling.stages[0], sampling.rules
    special = sampling.parts or len(sampling.stages) > 1 or first.inclusion is not None or first.pairs is not None
    lonely = rules.lonely_psu in ("centre", "average") and (rules.lonely_domains or bool(first.lonely.any()))
    return not special and not lonely and rules.pps is None


def side_by_side(tables: Sequence[Any]) -> Any:
    """Return tables of the same units as one: in factors where all are, with the same domains; else an array."""
    first = tables[0]
    alike = [one for one in tables if isinstance(one, DomainContributions) and isinstance(first, DomainContributions)]
    if len(alike) < len(tables) or not all(first._is_beside(one) for one in alike):
        return np.hstack([np.asarray(one) for one in tables])
    ratios = [one.ratio or _undivided(one) for one in alike]
    starts = np.cumsum([0, *(one.n_slots for one in alike)])
    columns = np.cumsum([0, *(one.values.shape[1] for one in alike)])
    divided = Divided(
        np.concatenate([one.upper + start for one, start in zip(ratios, columns, strict=False)]),
        np.concatenate([one.lower + start for one, start in zip(ratios, columns, strict=False)]),
        np.hstack([one.slope for one in ratios]),
        np.hstack([one.by for one in ratios]),
    )
    gone = [np.zeros(one.shape[1], dtype=bool) if one.missing is None else one.missing for one in alike]
    return replace(
        first,
        values=np.hstack([one.values for one in alike]),
        ratio=divided,
        domain=np.concatenate([one.domain for one in alike]),
        slot=np.concatenate([one.slot + start for one, start in zip(alike, starts, strict=False)]),
        taken=first.taken if first.chain is None else np.hstack([one.taken for one in alike]),
        missing=np.concatenate(gone) if any(one.any() for one in gone) else None,
    )


def _undivided(one: DomainContributions) -> Divided:
    own, size = np.arange(one.n_slots), (one.n_domains, one.n_slots)
    return Divided(own, own, np.zeros(size), np.ones(size))
