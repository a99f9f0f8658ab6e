"""Normalising: the sum of weights is brought to a number, the relation between weights stays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import numpy as np

from evaluation.design.collapse import Floats, crossed, mass_by
from evaluation.design.design import Design, require_design
from evaluation.errors import WeightingError
from evaluation.weighting.cells import CellFactors, Groups, Mask, Scaling, applied, as_written, groups_by

VERB = "normalise_weights"


def normalise_weights(
    design: Design, *, to: Literal["n", "population"] | float = "n", by: str | Sequence[str] | None = None
) -> Design:
    """Multiply the weights by one factor so that they sum to n, to the population, or to a number.

    Parameters
    ----------
    design : Design
        Any design.
    to : {"n", "population"} or float, default "n"
        "n": the number of respondents with a weight other than zero, so that the mean weight is 1. "population": what
        the design weights summed to before the first step. A number: that sum.
    by : str or list of str, optional
        Do so in every combination of these columns, for "n" or a number, which is then the sum of each.

    Returns
    -------
    Design
        Without ``by``, means, shares, ratios and regressions keep their estimates and their standard errors. Totals
        are multiples of means from here on, since the sum of weights is taken to be known; where it is no population
        size, totals mean nothing.

    Raises
    ------
    ColumnError
        A column does not exist or is missing for somebody with a weight.
    WeightingError
        ``to`` is not above zero, "population" was asked by group, or a group's weights sum to zero or less.

    Notes
    -----
    :math:`w_i' = w_i T / \\sum w`, with T a constant for the variance and for replicates.

    Examples
    --------
    >>> import pandas as pd
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"w": [10.0, 30.0]})
    >>> normalise_weights(survey_design(respondents, weights="w")).weights.tolist()
    [0.5, 1.5]
    """
    require_design(design, VERB)
    counted = design.weights != 0
    groups = groups_by(design, by, counted, VERB)
    targets = _targets(design, to, groups, counted)
    sums = mass_by(groups.code, len(groups), design.weights)
    if (sums <= 0).any():
        raise WeightingError(
            f"{VERB}: the weights of {groups.name(int(np.argmin(sums)))} sum to {sums.min():g}, so no factor brings "
            f"them to {targets[np.argmin(sums)]:g}. Check for negative weights."
        )
    code, cells = crossed([groups.code], [len(groups)])
    step = CellFactors(
        VERB, {"to": to, "by": by}, as_written(to=to, by=by), code, len(cells), Scaling(cells[:, 0], targets)
    )
    return applied(design, step)


def _targets(design: Design, to: object, groups: Groups, counted: Mask) -> Floats:
    if to == "n":
        return mass_by(groups.code, len(groups), counted.astype(float))
    if to == "population":
        if len(groups.keys.columns):
            raise WeightingError(
                f"{VERB}: to='population' is one sum for the whole sample, so by does not go with it. Use "
                f"ev.poststratify with the population counts of the groups."
            )
        return np.array([design.base_weights.sum()])
    number = isinstance(to, (int, float, np.integer, np.floating)) and not isinstance(to, bool)
    if not number or not 0 < cast(float, to) < np.inf:
        raise WeightingError(f"{VERB}: to must be 'n', 'population' or a number above zero, got {to!r}.")
    return np.full(len(groups), float(cast(float, to)))
