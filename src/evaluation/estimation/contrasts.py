"""Contrasts: linear combinations of any numbers of one design, with their covariance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.variance import ReplicateEngine, TaylorEngine
from evaluation.errors import EstimationError, did_you_mean
from evaluation.estimation.arguments import require_number
from evaluation.results import Combination, Estimates, VarianceEngine

Floats = NDArray[np.float64]


def contrast(results: Estimates | Sequence[Estimates], contrasts: Mapping[str, Mapping[str, float]]) -> Estimates:
    """Estimate linear combinations of estimates of one design.

    Parameters
    ----------
    results : Estimates or list of Estimates
        Made from the same design, so that their covariance is known.
    contrasts : mapping of label to mapping of row to coefficient
        Rows are named as in ``Estimates.addresses()``, e.g. ``{"gap": {"y | group=a": 1, "y | group=b": -1}}``.

    Returns
    -------
    Estimates
        One row per contrast. Its degrees of freedom are the smallest of the rows it combines.

    Raises
    ------
    EstimationError
        A row that is unknown or named twice, results of different samples, or without an influence function.

    Notes
    -----
    The variance is that of the combined influence, so what two groups share (PSUs, calibration) is
    counted once; it is not the sum of two variances.

    References
    ----------
    R twin: ``survey::svycontrast``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.estimation.means import survey_mean
    >>> respondents = pd.DataFrame({"y": [1.0, 3.0, 4.0, 8.0], "group": ["a", "a", "b", "b"]})
    >>> means = survey_mean(survey_design(respondents), "y", by="group")
    >>> contrast(means, {"b - a": {"y | group=b": 1, "y | group=a": -1}}).estimate.tolist()
    [4.0]
    """
    parts = results_in(results, "contrast")
    if not parts or not contrasts:
        raise EstimationError("contrast needs at least one result and one contrast; nothing was given.")
    whole = joined(parts)
    require_contrasts(contrasts)
    addresses = [address for part in parts for address in part.addresses()]
    matrix = np.zeros((len(contrasts), len(addresses)))
    for row, (label, coefficients) in enumerate(contrasts.items()):
        for address, coefficient in coefficients.items():
            matrix[row, row_called(address, addresses, label)] = coefficient
    used = np.flatnonzero((matrix != 0).any(axis=0))
    made = combined(whole.take(used), matrix[:, used], list(contrasts))
    return replace(made, combination=Combination(tuple(parts), _in_words(matrix, contrasts), True))


def _in_words(matrix: Floats, labels: Iterable[str]) -> dict[str, tuple[str, dict[str, int]]]:
    """Return each linear combination as arithmetic in words, and the row that each word stands for."""
    found = {}
    for label, coefficients in zip(labels, matrix, strict=True):
        rows = [int(row) for row in np.flatnonzero(coefficients)]
        text = " + ".join(f"{float(coefficients[row])!r} * row_{row}" for row in rows)
        found[label] = (text, {f"row_{row}": row for row in rows})
    return found


def results_in(results: object, verb: str) -> list[Estimates]:
    """Return one result, or several, as a list, empty for None; an EstimationError where one is no estimate."""
    single = isinstance(results, pd.DataFrame) or not isinstance(results, Iterable)
    several = [] if results is None else [results] if single else list(cast(Iterable[object], results))
    strange = [type(part).__name__ for part in several if not isinstance(part, Estimates)]
    if strange:
        raise EstimationError(f"{verb} combines results such as those of ev.survey_mean, got {strange[0]}.")
    return cast(list[Estimates], several)


def require_contrasts(contrasts: object) -> None:
    """Raise an EstimationError unless contrasts map labels to mappings of row to a number."""
    if not isinstance(contrasts, Mapping):
        raise EstimationError(
            f"contrast: expected a mapping of label to coefficients, got {contrasts!r}. {_AS_WRITTEN}"
        )
    for label, coefficients in contrasts.items():
        require_label(label, "contrast")
        if not isinstance(coefficients, Mapping):
            raise EstimationError(
                f"contrast '{label}': expected a mapping of row to coefficient, got {coefficients!r}. {_AS_WRITTEN}"
            )
        if not coefficients:
            raise EstimationError(f"contrast '{label}' names no row, so there is nothing to estimate. {_AS_WRITTEN}")
        for address, coefficient in coefficients.items():
            require_number(coefficient, f"contrast '{label}': the coefficient of '{address}'", move=_AS_WRITTEN)


def require_label(label: object, verb: str) -> None:
    """Raise an EstimationError unless a contrast is called something."""
    if not isinstance(label, str) or not label.strip():
        raise EstimationError(
            f"{verb}: expected a label for every contrast, got {label!r}. It is what the row of the result is called: "
            f"write {{'gap': ...}}."
        )


_AS_WRITTEN = "Write {'label': {'row': 1, 'other row': -1}}."


def row_called(address: str, addresses: Sequence[str], label: str) -> int:
    """Return the place of a row by its address; an EstimationError where there is none, or several."""
    found = addresses.count(address)
    if found == 0:
        raise EstimationError(f"contrast '{label}': no row '{address}'. {did_you_mean(address, addresses)}")
    if found > 1:
        raise EstimationError(
            f"contrast '{label}': {found} rows are called '{address}', so it is not clear which is meant. Leave one "
            f"result out, or make both numbers in one call (by=..., several variables), where their names differ."
        )
    return addresses.index(address)


def combined(rows: Estimates, matrix: Floats, labels: list[str], used: NDArray[np.bool_] | None = None) -> Estimates:
    """Return linear combinations of rows.

    Parameters
    ----------
    rows : Estimates
        With their influence.
    matrix : ndarray, shape (m, k)
        Coefficients of each combination.
    labels : list of str
        What the m combinations are called.
    used : ndarray of bool, shape (m, k), optional
        Rows that stand behind each combination; default those whose coefficient is not zero.

    Raises
    ------
    EstimationError
        The rows have no influence function.
    """
    engine, contributions, influence_of = rows.engine, rows.contributions, rows.influence_of
    if engine is None or contributions is None:
        raise EstimationError("the results have no influence function, so their covariance is not known.")
    together = contributions @ matrix.T
    used = matrix != 0 if used is None else used
    return Estimates(
        verb="contrast",
        keys=pd.DataFrame({"term": labels}),
        estimate=matrix @ rows.estimate,
        vcov=engine.covariance(together),
        df=np.array([rows.df[row].min(initial=np.inf) for row in used]),
        n_obs=np.array([_respondents(rows, np.flatnonzero(row)) for row in used]),
        provenance=rows.provenance,
        engine=engine,
        contributions=together,
        influence_of=None if influence_of is None else lambda: influence_of() @ matrix.T,
        conf_level=rows.conf_level,
        bases=np.array([_smallest(rows, np.flatnonzero(row)) for row in used]),
    )


def _smallest(rows: Estimates, at: NDArray[np.int64]) -> int:
    """Count the respondents behind the smallest of the rows that are combined; a cell too small to show counts."""
    bases = bases_of(rows)[at]
    return int(bases[bases > 0].min(initial=np.iinfo(np.int64).max)) if (bases > 0).any() else 0


def _respondents(rows: Estimates, at: NDArray[np.int64]) -> int:
    """Count the respondents behind rows: those of one domain once, those of several domains together."""
    by = [name for name in rows.keys.columns if name not in ("term", "level")]
    by_kind: dict[frozenset[str], dict[tuple[object, ...], int]] = {}
    for row in at:
        own = {name: rows.keys[name].iloc[row] for name in by if not pd.isna(rows.keys[name].iloc[row])}
        domains = by_kind.setdefault(frozenset(own), {})
        domains[tuple(own.values())] = max(domains.get(tuple(own.values()), 0), int(rows.n_obs[row]))
    return max((sum(domains.values()) for domains in by_kind.values()), default=0)


def bases_of(rows: Estimates) -> NDArray[np.int64]:
    """Return the respondents that each row's disclosure hangs on: its base, or the rarer answer where that is small."""
    bases, cells = rows.base_sizes, rows.cell_counts
    if cells is None:
        return bases
    return np.where((cells > 0) & (cells < rows.provenance.min_cell), cells, bases)


def joined(parts: Sequence[Estimates]) -> Estimates:
    """Put results of one design under each other, with the covariances between them.

    Parameters
    ----------
    parts : sequence of Estimates
        At least one, each with its influence function.

    Raises
    ------
    EstimationError
        They come from different samples, or one has no influence function.
    """
    first = parts[0]
    _refuse_unjoinable(parts)
    if len(parts) == 1 or first.engine is None:
        return first
    engine, contributions = _together(parts)
    makers = [part.influence_of for part in parts if part.influence_of is not None]
    shared = set(first.columns).intersection(*(part.columns for part in parts))
    return replace(
        first,
        keys=pd.concat([part.keys for part in parts], ignore_index=True),
        estimate=np.concatenate([part.estimate for part in parts]),
        vcov=engine.covariance(contributions),
        df=np.concatenate([part.df for part in parts]),
        n_obs=np.concatenate([part.n_obs for part in parts]),
        engine=engine,
        contributions=contributions,
        influence_of=(lambda: np.hstack([make() for make in makers])) if len(makers) == len(parts) else None,
        interval=None,
        columns={name: np.concatenate([part.columns[name] for part in parts]) for name in sorted(shared)},
        bases=np.concatenate([part.base_sizes for part in parts]),
        cell_counts=np.concatenate([_cell_counts(part) for part in parts]),
    )


def _together(parts: Sequence[Estimates]) -> tuple[VarianceEngine, Floats]:
    """Return the contributions side by side, and the engine that knows the sources of all of them."""
    contributions = [part.contributions for part in parts if part.contributions is not None]
    engines = [part.engine for part in parts if isinstance(part.engine, TaylorEngine)]
    if len(engines) == len(parts):
        return engines[0].joined(engines, contributions)
    return cast(VarianceEngine, parts[0].engine), np.hstack(contributions)


def _cell_counts(part: Estimates) -> NDArray[np.int64]:
    return np.zeros(len(part), dtype=np.int64) if part.cell_counts is None else part.cell_counts


def _refuse_unjoinable(parts: Sequence[Estimates]) -> None:
    engines = []
    for part in parts:
        if part.contributions is None or not isinstance(part.engine, (TaylorEngine, ReplicateEngine)):
            raise EstimationError(
                f"{part.verb} has no influence function ({part.variance_method}), so its covariance with other numbers "
                f"is not known. Contrast means, shares, ratios or coefficients instead."
            )
        engines.append(part.engine)
    first = engines[0]
    for engine in engines[1:]:
        if engine.method != first.method or not engine.sampling.is_same_sample(first.sampling):
            raise EstimationError(
                "the results come from different designs (other respondents, or another variance method), so their "
                "covariance is not known. Make them from designs of one data set."
            )
