"""Totals that are themselves estimates, from another sample: their error enters the variance of what is calibrated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from evaluation.design.collapse import Floats
from evaluation.design.design import Design
from evaluation.errors import WeightingError
from evaluation.results import Estimates
from evaluation.survey.codebook import code_text
from evaluation.survey.margins import CROSS, TOTAL, Margins
from evaluation.survey.margins import margins as make_margins
from evaluation.weighting.auxiliaries import Auxiliaries


def totals_in(estimates: Estimates) -> tuple[Margins, pd.DataFrame]:
    """Return the margins that estimated totals stand for, and their covariance by name.

    Parameters
    ----------
    estimates : Estimates
        From ``survey_total`` of another sample: of numeric columns, or of text columns whose levels are counted
        (with ``by``, a crossed margin).

    Raises
    ------
    WeightingError
        They are not totals, or numeric ones by domain.
    """
    if not isinstance(estimates, Estimates) or estimates.verb != "survey_total":
        came = estimates.verb if isinstance(estimates, Estimates) else type(estimates).__name__
        raise WeightingError(
            f"totals_from must be estimated totals of another sample, got {came}. "
            f"Make them with ev.survey_total(other_design, [...])."
        )
    by = [name for name in estimates.keys.columns if name not in ("term", "level")]
    if by and "level" not in estimates.keys:
        raise WeightingError(
            f"totals_from: totals of numbers by {', '.join(by)} are no margin. Count levels by domain instead, or make "
            f"a column per domain."
        )
    targets: dict[str, Any] = {}
    names = []
    for key, value in zip(estimates.keys.to_dict("records"), estimates.estimate, strict=True):
        if "level" not in key:
            targets[str(key["term"])] = float(value)
            names.append(str(key["term"]))
            continue
        margin = CROSS.join([str(key["term"]), *by])
        level = CROSS.join(code_text(key[name]) for name in ("level", *by))
        targets.setdefault(margin, {})[level] = float(value)
        names.append(f"{margin}={level}")
    return make_margins(targets), pd.DataFrame(estimates.vcov, index=names, columns=names)


def totals_of(design: Design, variables: str | Sequence[str]) -> tuple[Margins, pd.DataFrame]:
    """Estimate totals of one sample to which another is to be calibrated.

    Parameters
    ----------
    design : Design
        The sample whose totals are taken, without replicates.
    variables : str or list of str
        Numeric columns, columns of levels, and crossed ones (``"sex:age_group"``); ``"total"`` is the population.

    Returns
    -------
    Margins, DataFrame
        The totals, and their covariance by name: what ``calibrate`` takes as ``margins`` and ``vcov``.

    Raises
    ------
    WeightingError
        An answer is missing, so that there is no total; replicates.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> rooms = pd.DataFrame({"rooms": [1.0, 2.0, 3.0], "sex": ["f", "m", "f"]})
    >>> totals, vcov = totals_of(survey_design(rooms), ["rooms", "sex"])
    >>> totals.totals, vcov.shape
    ({'rooms': 6.0}, (3, 3))
    """
    if design.replicates is not None:
        raise WeightingError("totals_from: take totals of a design without replicates.")
    columns: list[Floats] = []
    names: list[str] = []
    targets: dict[str, Any] = {}
    for variable in [variables] if isinstance(variables, str) else variables:
        levels, z = _counted(design, str(variable))
        totals = design.domain_weights @ z
        columns.append(z)
        names += [f"{variable}={level}" for level in levels] or [str(variable)]
        targets[str(variable)] = dict(zip(levels, totals.tolist(), strict=True)) if levels else float(totals[0])
    vcov = design.engine.covariance(design.contributions(np.hstack(columns)))
    return make_margins(targets), pd.DataFrame(vcov, index=names, columns=names)


def _counted(design: Design, variable: str) -> tuple[list[str], Floats]:
    """Return the levels of a variable, none of a number, and what is summed, shape (n, 1 or levels)."""
    counted = design.present.astype(float)
    if variable == TOTAL:
        return [], counted[:, None]
    parts = [design.column(name) for name in variable.split(CROSS)]
    for part in parts:
        missing = part.isna().to_numpy() & design.present
        if missing.any():
            raise WeightingError(
                f"totals_from: '{part.name}' is missing for {int(missing.sum()):,} of {int(design.present.sum()):,} "
                f"respondents, so its total is not known. Take another column, or give the missing a level.",
                failures=design.data.loc[missing],
            )
    if len(parts) == 1 and pd.api.types.is_numeric_dtype(parts[0]) and parts[0].dtype != bool:
        values = parts[0].to_numpy(dtype=float, na_value=np.nan)
        return [], np.where(design.present, values, 0.0)[:, None]
    texts = pd.Series([CROSS.join(map(code_text, row)) for row in zip(*parts, strict=True)])
    code, levels = pd.factorize(texts.where(design.present), sort=True)
    return [str(level) for level in levels], (code[:, None] == np.arange(len(levels))).astype(float)


def joined_margins(margins: Margins | None, estimated: Margins) -> Margins:
    """Return exact and estimated margins together; a WeightingError where one stands in both."""
    if margins is None:
        return estimated
    both = sorted(set(margins.names) & set(estimated.names))
    if both:
        raise WeightingError(
            f"'{both[0]}' stands among the margins and in totals_from. Leave it out of one: margins.select(...)."
        )
    return make_margins({**as_counts(margins), **as_counts(estimated)})


def as_counts(margins: Margins) -> dict[str, Any]:
    """Return margins as a study file writes them with their counts: ``{"sex": {"f": 6.0}, "rooms": 14.0}``."""
    counts = {name: {str(k): float(v) for k, v in own.items()} for name, own in margins.categorical.items()}
    return {**counts, **{name: float(total) for name, total in margins.totals.items()}}


def root_of(vcov: pd.DataFrame | Mapping[str, Mapping[str, float]], auxiliaries: Auxiliaries) -> Floats:
    """Return a root R of the totals' covariance, ``R R' = V``, shape (q, r); rows of exact totals are zero.

    Raises
    ------
    WeightingError
        A name is none of the totals, or the matrix is no covariance.
    """
    nested = isinstance(vcov, Mapping) and all(isinstance(row, (Mapping, pd.Series)) for row in vcov.values())
    if not isinstance(vcov, pd.DataFrame) and not nested:
        raise WeightingError(
            f"vcov must be the covariance of the estimated totals, a DataFrame or a mapping of mappings, got "
            f"{vcov!r:.60}. Write {{'rooms': {{'rooms': 4.0}}}}, a variance for each and covariances between them."
        )
    frame = vcov if isinstance(vcov, pd.DataFrame) else pd.DataFrame(vcov)
    frame = frame.rename(index=str, columns=str)
    if set(frame.index) != set(frame.columns) or len(frame.index) != len(set(frame.index)):
        raise WeightingError("vcov must have the same names as rows and as columns, each once: those of the totals.")
    values = frame.loc[list(frame.index), list(frame.index)].to_numpy(dtype=float)
    scale = np.sqrt(np.abs(np.diag(values)))
    scale[scale == 0] = 1.0
    scaled = values / np.outer(scale, scale)
    if not np.isfinite(values).all() or not np.allclose(scaled, scaled.T, atol=1e-8):
        raise WeightingError("vcov must be a symmetric matrix of numbers, the covariance of the estimated totals.")
    eigenvalues, vectors = np.linalg.eigh((scaled + scaled.T) / 2)
    if eigenvalues.min(initial=0.0) < -1e-8:
        raise WeightingError("vcov is no covariance: some combination of the totals would have a negative variance.")
    kept = eigenvalues > 1e-12 * eigenvalues.max(initial=0.0)
    root = scale[:, None] * vectors[:, kept] * np.sqrt(eigenvalues[kept])
    whole = np.zeros((len(auxiliaries.names), root.shape[1]))
    for name, row in zip(frame.index, root, strict=True):
        places = auxiliaries.places(name, "vcov")
        if len(places) > 1:
            raise WeightingError(f"vcov: '{name}' has {len(places)} levels. Name each, e.g. '{auxiliaries.names[0]}'.")
        whole[places[0]] = row
    return whole
