"""Replicate weights in factor form: one multiplier per sampling unit and replicate, never an (n, R) matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from evaluation.design.bootstrap import bearing_stages, preston, rao_wu
from evaluation.design.hadamard import balanced_signs, can_be_made, order_from
from evaluation.design.sampling import Sampling, Stage
from evaluation.design.variance import ReplicateEngine
from evaluation.errors import DesignError, did_you_mean, require_flag

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Kind = Literal["JK1", "JKn", "BRR", "Fay", "SDR", "bootstrap", "preston"]

#: A jackknife makes a replicate of every first-stage unit.
MAXIMUM_UNITS = 5_000

#: Largest table of factors, in bytes; 500 replicates of 1,000 units take 4 million.
MAXIMUM_BYTES = 2_000_000_000

#: A replicate whose factors the others give to this relative precision adds no degree of freedom; as in R.
COLLINEAR = 1e-5

#: Kinds that are drawn by chance.
RANDOM = ("bootstrap", "preston")


@dataclass(frozen=True, eq=False)
class Replicates:
    """Replicates of a design.

    Attributes
    ----------
    factors : ndarray, shape (n_units, R), C-contiguous
        Multiplier of the design weight of each unit in each replicate.
    unit : ndarray of int, shape (n,)
        Unit of each respondent: of the first stage, of the last that bears variance where every stage is
        resampled, or a set of rows whose given factors are equal.
    engine : ReplicateEngine
        Scales and the covariance.
    strata : ndarray of int, shape (n_units,), or None
        Stratum of each unit where every replicate leaves one of its units out; None elsewhere.
    """

    factors: Floats
    unit: NDArray[np.int64]
    engine: ReplicateEngine
    strata: NDArray[np.int64] | None = None
    _known: dict[bytes, int] = field(default_factory=dict, init=False, repr=False)

    @property
    def count(self) -> int:
        """Number of replicates R."""
        return int(self.factors.shape[1])

    def row_factors(self, r: int) -> Floats:
        """Return the multipliers of replicate ``r`` for each respondent, shape (n,)."""
        return np.asarray(self.factors[:, r][self.unit])

    def degrees_of_freedom(self, present: Mask) -> int:
        """Return the rank, less one, of the factors of the units with a row in ``present``, shape (n,).

        R survey takes the rank after weighting, which grows with every margin; the design's own stays.
        """
        occupied = np.zeros(len(self.factors), dtype=bool)
        occupied[self.unit[present]] = True
        return self.degrees_of_freedom_of_units(occupied)

    def degrees_of_freedom_of_units(self, occupied: Mask) -> int:
        """Return the rank, less one, of the factors of the units in ``occupied``, shape (n_units,)."""
        key = np.packbits(occupied).tobytes()
        if key not in self._known:
            made = _rank(self.factors[occupied]) if self.strata is None else _jackknife_rank(self.strata, occupied)
            self._known[key] = made - 1
        return self._known[key]


def _jackknife_rank(strata: NDArray[np.int64], occupied: Mask) -> int:
    """Return the rank of jackknife factors: rows are independent, but those of a whole stratum sum to a constant."""
    here = np.bincount(strata[occupied], minlength=int(strata.max()) + 1)
    whole = int(((here > 0) & (here == np.bincount(strata))).sum())
    return int(here.sum()) - max(whole - 1, 0)


def _rank(factors: Floats) -> int:
    """Return the numerical rank of factors, by their inner products on the smaller side."""
    tall = factors if factors.shape[0] >= factors.shape[1] else factors.T
    length = np.sqrt((tall**2).sum(axis=0))
    scaled = tall[:, length > 0] / length[length > 0]
    if scaled.size == 0:
        return 0
    _, _, rank, _ = lapack.dpstrf(scaled.T @ scaled, tol=COLLINEAR**2)
    return int(rank)


def make_replicates(
    sampling: Sampling,
    kind: Kind,
    *,
    replicates: int | None = None,
    seed: int | None = None,
    rho: float | None = None,
    mse: bool | None = None,
) -> Replicates:
    """Make replicates of a sampling design.

    Parameters
    ----------
    sampling : Sampling
        Its first stage, or with ``"bootstrap"`` and ``"preston"`` every stage that bears variance.
    kind : {"JK1", "JKn", "BRR", "Fay", "SDR", "bootstrap", "preston"}
        How.
    replicates, seed, rho, mse
        As in :func:`~evaluation.design.replication.as_replicates`.

    Returns
    -------
    Replicates

    Raises
    ------
    DesignError
        The design does not allow this kind, or an argument is missing or has no meaning for it.

    Notes
    -----
    A stratum with one PSU, taken with certainty or under the rule ``"remove"``, keeps its weights in every replicate.
    """
    require_arguments_of(kind, replicates=replicates, seed=seed, rho=rho, mse=mse)
    sampling.require_replicable(f"as_replicates(kind='{kind}')")
    if kind in RANDOM:
        return _random(sampling, kind, replicates or 0, seed or 0, bool(mse))
    _refuse_later_stages(sampling, kind)
    makers: dict[str, Callable[[Sampling], tuple[Floats, float, Floats]]] = {
        "JK1": _unstratified_jackknife,
        "JKn": _jackknife,
        "BRR": partial(_half_samples, rho=0.0, order=replicates),
        "Fay": partial(_half_samples, rho=rho or 0.0, order=replicates),
        "SDR": partial(_successive_differences, order=replicates),
    }
    factors, scale, rscales = makers[kind](sampling)
    centred_at_full = kind == "SDR" if mse is None else mse
    note = f"rho {rho:g}" if kind == "Fay" else ""
    engine = ReplicateEngine(kind, scale, rscales, sampling, mse=centred_at_full, note=note)
    first = sampling.stages[0]
    strata = first.stratum if kind in ("JK1", "JKn") else None
    return Replicates(np.ascontiguousarray(factors), first.unit, engine, strata)


def require_arguments_of(
    kind: object,
    *,
    replicates: int | None = None,
    seed: int | None = None,
    rho: float | None = None,
    mse: bool | None = None,
) -> None:
    """Raise a DesignError unless arguments of ``as_replicates`` go with its kind; no data are needed to tell."""
    if not isinstance(kind, str) or kind not in get_args(Kind):
        raise DesignError(
            f"kind must be one of {', '.join(get_args(Kind))}, got {kind!r}. {did_you_mean(kind, get_args(Kind))}"
        )
    if mse is not None:
        require_flag(mse, "as_replicates: mse", DesignError)
    if kind in RANDOM and (replicates is None or seed is None):
        raise DesignError(
            f"kind='{kind}' draws by chance and needs replicates=... (say 500) and seed=...: without a seed nobody, "
            f"you included, could get these standard errors again."
        )
    if kind not in RANDOM and seed is not None:
        raise DesignError(f"kind='{kind}' draws nothing by chance, so seed={seed!r} has no meaning. Leave it out.")
    if kind in ("JK1", "JKn") and replicates is not None:
        raise DesignError(
            f"kind='{kind}' makes one replicate for each PSU, so replicates={replicates!r} has no meaning. Leave "
            f"it out."
        )
    if replicates is not None and (not _is_whole(replicates) or replicates < 2):
        raise DesignError(f"replicates must be a whole number of at least 2, got {replicates!r}.")
    if seed is not None and (not _is_whole(seed) or seed < 0):
        raise DesignError(f"seed must be a whole number of at least 0, got {seed!r}.")
    if kind == "Fay" and not is_rho(rho):
        raise DesignError(
            f"kind='Fay' needs rho, 0 to below 1: half-samples get weights times 1 - rho more or less. Common are 0.3 "
            f"and 0.5; got {rho!r}."
        )
    if kind != "Fay" and rho is not None:
        raise DesignError(f"rho belongs to kind='Fay'; kind='{kind}' has none. Leave it out, or use kind='Fay'.")


def is_rho(rho: object) -> bool:
    """Tell whether a value can be Fay's rho: a number from 0 to below 1."""
    number = isinstance(rho, (int, float, np.integer, np.floating)) and not isinstance(rho, bool)
    return number and 0 <= cast(float, rho) < 1


def _is_whole(number: object) -> bool:
    return isinstance(number, (int, np.integer)) and not isinstance(number, bool)


def _refuse_later_stages(sampling: Sampling, kind: str) -> None:
    stages = bearing_stages(sampling.stages)
    if len(stages) > 1:
        raise DesignError(
            f"kind='{kind}' resamples first-stage units only, but stage {len(stages)} of this design bears variance "
            f"too, because fpc counts the first stage as drawn without replacement. Use kind='bootstrap' or 'preston', "
            f"which resample every stage, or declare the design without fpc (errors then come out slightly too large)."
        )


def _refuse_size(units: int, replicates: int) -> None:
    size = 8 * units * replicates
    if size > MAXIMUM_BYTES:
        raise DesignError(
            f"{replicates:,} replicates of {units:,} sampling units would take {size / 1e9:.1f} GB, expected at most "
            f"{MAXIMUM_BYTES / 1e9:g}. Make fewer replicates, or keep linearization."
        )


def _random(sampling: Sampling, kind: str, replicates: int, seed: int, mse: bool) -> Replicates:
    stages = bearing_stages(sampling.stages)
    _refuse_size(stages[-1].n_units, replicates)
    draw = rao_wu if kind == "bootstrap" else preston
    factors = draw(stages, replicates, np.random.default_rng(seed))
    note = f"{replicates}, seed {seed}"
    engine = ReplicateEngine(kind, 1 / (replicates - 1), np.ones(replicates), sampling, mse=mse, note=note)
    return Replicates(factors, stages[-1].unit, engine)


def _unstratified_jackknife(sampling: Sampling) -> tuple[Floats, float, Floats]:
    first = sampling.stages[0]
    if first.n_strata > 1:
        raise DesignError(f"kind='JK1' deletes PSUs across strata, but this design has {first.n_strata}. Use 'JKn'.")
    factors, _, rscales = _jackknife(sampling)
    n = first.n_units
    return factors, float((n - 1) / n * (1 - first.fraction[0])), np.ones(len(rscales))


def _jackknife(sampling: Sampling) -> tuple[Floats, float, Floats]:
    first = sampling.stages[0]
    if first.n_units > MAXIMUM_UNITS:
        raise DesignError(
            f"a jackknife would make one replicate for each of {first.n_units:,} PSUs, expected at most "
            f"{MAXIMUM_UNITS:,}. Keep linearization, which gives the same standard errors at that size."
        )
    n = first.units_per_stratum[first.stratum].astype(float)
    same = first.stratum[:, None] == first.stratum[None, :]
    factors = np.where(same, (n / np.maximum(n - 1, 1))[None, :], 1.0)
    np.fill_diagonal(factors, 0.0)
    order = np.concatenate(_in_order(first))
    deleted = order[n[order] > 1]
    rscales = ((n - 1) / n * (1 - first.fraction[first.stratum]))[deleted]
    return factors[:, deleted], 1.0, rscales


def _half_samples(sampling: Sampling, *, rho: float, order: int | None) -> tuple[Floats, float, Floats]:
    """Return balanced half-samples: in each, one PSU of every pair gains what the other loses."""
    first = sampling.stages[0]
    n, paired = first.units_per_stratum, np.flatnonzero(first.units_per_stratum == 2)
    odd = (n != 2) & ~((n == 1) | (first.fraction == 1))
    if odd.any():
        which = int(np.flatnonzero(odd)[0])
        raise DesignError(
            f"balanced half-samples need two PSUs in every stratum, but {int(odd.sum())} of {first.n_strata} strata "
            f"have others (first: {_stratum_name(sampling, which)} with {n[which]}). Use kind='JKn' or 'bootstrap', or "
            f"pair the PSUs in a stratum column of their own.",
            failures=sampling.data.loc[odd[first.stratum[first.unit]]],
        )
    if not len(paired):
        raise DesignError(
            "balanced half-samples need strata with two PSUs, but every stratum was taken with certainty."
        )
    signs = balanced_signs(len(paired), _order(first, len(paired) + 1, order, "BRR")).T
    units = np.argsort(first.stratum, kind="stable")
    pairs = units[(n == 2)[first.stratum[units]]].reshape(-1, 2)
    change = (1 - rho) * np.sqrt(1 - first.fraction[paired])[:, None] * signs
    factors = np.ones((first.n_units, signs.shape[1]))
    factors[pairs[:, 0]] += change
    factors[pairs[:, 1]] -= change
    return factors, 1 / (signs.shape[1] * (1 - rho) ** 2), np.ones(signs.shape[1])


def _order(first: Stage, least: int, asked: int | None, kind: str) -> int:
    """Return how many balanced replicates to make: as asked where that can be, else the fewest that balance."""
    if asked is None:
        order = order_from(least)
    elif asked < least and kind != "SDR":
        raise DesignError(
            f"replicates={asked:,} cannot balance {least - 1:,} strata: it takes at least {order_from(least):,}."
        )
    elif can_be_made(asked):
        order = int(asked)
    else:
        raise DesignError(
            f"replicates={asked:,} cannot be balanced: Hadamard matrices have orders that are multiples of four, and "
            f"not every one can be made here. The next that can is {order_from(asked):,}."
        )
    _refuse_size(first.n_units, order)
    return order


def _stratum_name(sampling: Sampling, stratum: int) -> str:
    first = sampling.stages[0]
    row = int(np.flatnonzero(first.stratum[first.unit] == stratum)[0])
    return str(sampling.data[sampling.strata].iloc[row]) if sampling.strata else "all"


def _successive_differences(sampling: Sampling, *, order: int | None) -> tuple[Floats, float, Floats]:
    """Return replicates whose variance is half the sum of squared differences of neighbours, in circles by stratum."""
    first = sampling.stages[0]
    if order is None and first.n_units > MAXIMUM_UNITS:
        raise DesignError(
            f"full balance over {first.n_units:,} PSUs would take as many replicates, expected at most "
            f"{MAXIMUM_UNITS:,}. Name a number, e.g. replicates=80; neighbours stay balanced."
        )
    rows = _order(first, first.n_units + 1, order, "SDR")
    signs = balanced_signs(rows - 1, rows).T
    ahead, behind = _neighbouring_rows(_in_order(first), rows - 1)
    depth = np.sqrt((1 - first.fraction[first.stratum]) / 8)[:, None]
    factors = 1 + depth * (signs[ahead] - signs[behind])
    return factors, 4 / rows, np.ones(rows)


def _in_order(first: Stage) -> list[NDArray[np.int64]]:
    """Return the units of each stratum, and the strata, in the order in which their respondents stand in the data."""
    rows = np.arange(len(first.unit))
    unit_appears, stratum_appears = np.full(first.n_units, len(rows)), np.full(first.n_strata, len(rows))
    np.minimum.at(unit_appears, first.unit, rows)
    np.minimum.at(stratum_appears, first.stratum, unit_appears)
    order = np.lexsort((unit_appears, stratum_appears[first.stratum]))
    sizes = first.units_per_stratum[np.argsort(stratum_appears, kind="stable")]
    return np.split(order, np.cumsum(sizes)[:-1])


def _neighbouring_rows(circles: list[NDArray[np.int64]], rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return two rows of signs for each unit; a unit shares one of them with the unit before, one with that after.

    Rows are handed out in steps of 1, then 2, and so on, as far as steps reach every row, so that pairs of rows
    come back late.
    """
    units = sum(map(len, circles))
    steps = [step for step in range(1, max(rows // 2, 2)) if np.gcd(step, rows) == 1]
    turns = [np.arange(rows) * step % rows for step in steps]
    sequence = np.resize(np.concatenate(turns[: units // rows + 2]), units + 1)
    ahead, behind = np.zeros(units, dtype=np.int64), np.zeros(units, dtype=np.int64)
    start = 0
    for circle in circles:
        own = sequence[start : start + len(circle) + 1].copy()
        own[-1] = own[0]
        if len(circle) > 2 and own[-2] == own[0]:
            own[-2] = next(row for row in (own[0] + np.arange(1, 3)) % rows if row != own[-3])
        ahead[circle], behind[circle] = own[:-1], own[1:]
        start += len(circle)
    return ahead, behind
