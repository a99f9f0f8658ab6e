"""Funnel plots of areas: which lie further from the city than chance alone takes areas of their size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from evaluation.results import Estimates, Provenance

#: Shares of areas within the limits where nothing but sampling tells them apart.
LEVELS = (0.95, 0.998)


@dataclass(frozen=True, eq=False)
class Funnel:
    """Areas against the limits that sampling alone would keep them in.

    Attributes
    ----------
    points : pandas.DataFrame
        One row per estimate, in the order of the estimates: key columns, ``estimate, std_error, n_obs, n_effective,
        target, statistic, outside``; ``outside`` is "", "95%" or "99.8%".
    limits : pandas.DataFrame
        Per term, along the effective sample size: ``term, n_effective, target`` and lower and upper limits.
    spread : pandas.DataFrame
        Per term: ``term, n_areas, target, statistic, df, p_value, dispersion, between_sd``.
    area : str
        Key column of the areas.
    levels : tuple of float
    provenance : Provenance
    """

    points: pd.DataFrame
    limits: pd.DataFrame
    spread: pd.DataFrame
    area: str
    levels: tuple[float, ...]
    provenance: Provenance


def funnel(
    estimates: Estimates,
    *,
    target: Estimates | Mapping[str, float] | float | None = None,
    area: str = "district",
    levels: Sequence[float] = LEVELS,
    overdispersion: Literal["ignored", "additive"] = "ignored",
) -> Funnel:
    """Hold each area's estimate against the limits round one value for all, by effective sample size."""
    raise NotImplementedError
