"""What weighting did: to the weights, and to the sample's likeness with the population."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.design import Design, require_design
from evaluation.results import Provenance, frame_html
from evaluation.survey.margins import Margins
from evaluation.weighting.raking import as_margins, code_margins

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class WeightSummary:
    """The weights before and after the chain, and each step's cost in precision.

    Attributes
    ----------
    weights_before, weights_after : ndarray, shape (n,)
        Design weights and final weights.
    history : pandas.DataFrame
        One row per step, see ``Design.history``.
    provenance : Provenance
        For captions.
    """

    weights_before: Floats
    weights_after: Floats
    history: pd.DataFrame
    provenance: Provenance

    def tidy(self) -> pd.DataFrame:
        """Return one row per step: n, sum, minimum, median, maximum, Kish design effect, effective n."""
        return self.history

    def __repr__(self) -> str:
        return self.history.to_string(index=False, float_format=lambda value: f"{value:.6g}")

    def _repr_html_(self) -> str:
        return frame_html(self.history)


def weight_summary(design: Design) -> WeightSummary:
    """Summarise the weights before, after, and through every step of the chain.

    Parameters
    ----------
    design : Design
        Any design.

    Returns
    -------
    WeightSummary
        ``kish_deff`` is Kish's :math:`n \\sum w^2 / (\\sum w)^2`, ``n_eff`` is n over it; both say what unequal
        weights alone cost an estimate unrelated to them.

    References
    ----------
    Kish (1992), Journal of Official Statistics 8, 183-200.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> design = survey_design(pd.DataFrame({"w": [1.0, 3.0]}), weights="w")
    >>> weight_summary(design).tidy()["kish_deff"].tolist()
    [1.25]
    """
    require_design(design, "weight_summary")
    return WeightSummary(design.base_weights, design.weights, design.history, design.provenance)


@dataclass(frozen=True, eq=False)
class MarginComparison:
    """Sample against population at every level of every margin, before and after weighting.

    Attributes
    ----------
    frame : pandas.DataFrame
        Columns margin, level, n_obs, target, before, after; the last three are shares, 0 to 1.
    provenance : Provenance
        For captions.
    """

    frame: pd.DataFrame
    provenance: Provenance

    def tidy(self) -> pd.DataFrame:
        """Return one row per margin and level."""
        return self.frame

    def __repr__(self) -> str:
        return self.frame.to_string(index=False, float_format=lambda value: f"{value:.6g}")

    def _repr_html_(self) -> str:
        return frame_html(self.frame)


def margin_comparison(design: Design, margins: Margins | Mapping[str, Any]) -> MarginComparison:
    """Compare the sample with the population at every categorical margin, weighted and not yet.

    Parameters
    ----------
    design : Design
        Its design weights are "before", its final weights "after".
    margins : Margins or mapping
        Population counts; a margin that weighting did not use is a check from outside.

    Returns
    -------
    MarginComparison

    Raises
    ------
    MarginError
        A level stands on one side only.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"sex": ["f", "f", "m"]})
    >>> margin_comparison(survey_design(respondents), {"sex": {"f": 5, "m": 5}}).tidy()["before"].round(3).tolist()
    [0.667, 0.333]
    """
    require_design(design, "margin_comparison")
    given = as_margins(margins)
    rows = []
    for margin in code_margins(design, given):
        size = len(margin.targets)
        before, after = (
            np.bincount(margin.codes, weights=w, minlength=size) for w in (design.base_weights, design.weights)
        )
        shares = zip(margin.targets / margin.targets.sum(), before / before.sum(), after / after.sum(), strict=True)
        counts = np.bincount(margin.codes, minlength=size)
        for level, count, (target, first, last) in zip(margin.levels, counts, shares, strict=True):
            rows.append((margin.name, level, int(count), target, first, last))
    frame = pd.DataFrame(rows, columns=["margin", "level", "n_obs", "target", "before", "after"])
    return MarginComparison(frame, design.provenance)
