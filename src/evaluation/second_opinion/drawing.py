"""How respondents were drawn and replicated, as R survey declares it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.design import Design
from evaluation.design.replicates import Replicates
from evaluation.errors import DesignError
from evaluation.second_opinion.sheet import Sheet, number, vector

Floats = NDArray[np.float64]

_LONELY = {"fail": "fail", "remove": "remove", "centre": "adjust", "average": "average"}


def options_of(design: Design) -> list[str]:
    """Return the lines that give R the design's rule for strata with one PSU."""
    rules = design.sampling.rules
    within = str(rules.lonely_domains).upper()
    lines = [f'options(survey.lonely.psu = "{_LONELY[rules.lonely_psu]}", survey.adjust.domain.lonely = {within})']
    if rules.lonely_psu in ("centre", "average"):
        lines.append(
            "# Strata with one PSU: in groups and in counts of levels R applies the rule to all strata of the sample,\n"
            "# ours to those of the group; and before survey 4.5 R centres totals at zero."
        )
    return lines


def declared(design: Design, sheet: Sheet, weights: Floats) -> list[str]:
    """Return the lines that make ``d`` in R from weights of shape (n,)."""
    weight = sheet.add("weight_given", pd.Series(weights), "weights before the steps below")
    if design.replicates is not None:
        return _replicated(design.replicates, sheet, weight)
    sampling = design.sampling
    if sampling.parts:
        raise DesignError(
            "write_r_script: a design of joined frames is not written, since each frame has a chain and rules of its "
            "own. Write a script for each frame's design; across frames R adds their variances."
        )
    given = [f"ids = ~{' + '.join(_identifiers(design, sheet)) or '1'}"]
    if sampling.strata:
        given.append(f"strata = ~{_plain(sheet, sampling.strata)}")
    if sampling.fpc:
        given.append(f"fpc = ~{' + '.join(_population(design, sheet, fpc) for fpc in sampling.fpc)}")
    given += [f"weights = ~{weight}", *_unequal(design), "nest = TRUE", "data = people"]
    return [f"d <- svydesign({', '.join(given)})"]


def _identifiers(design: Design, sheet: Sheet) -> list[str]:
    return [_plain(sheet, name) for name in design.sampling.psu]


def _plain(sheet: Sheet, name: str) -> str:
    """Return a design column as R takes it: numbers as numbers, all else as text."""
    column = sheet.design.column(name)
    return sheet.number(name) if pd.api.types.is_numeric_dtype(column) else sheet.category(name)


def _population(design: Design, sheet: Sheet, fpc: str | float) -> str:
    if isinstance(fpc, str):
        return sheet.number(fpc)
    return sheet.add("population", pd.Series(np.full(len(design), float(fpc))), f"population count {fpc:g}")


def _unequal(design: Design) -> list[str]:
    rules = design.sampling.rules
    if rules.pps is None:
        return []
    if rules.pps == "joint":
        raise DesignError(
            "write_r_script: joint probabilities given as a matrix are not written. Declare the design with "
            "pps='brewer' or pps='hartley_rao' for a second opinion, and compare the two."
        )
    variance = ', variance = "YG"' if rules.pps_variance == "yates_grundy" else ""
    return ['pps = "brewer"' if rules.pps == "brewer" else f"pps = HR(){variance}"]


def _replicated(replicates: Replicates, sheet: Sheet, weight: str) -> list[str]:
    unit = sheet.add("replicate_unit", pd.Series(replicates.unit + 1), "row of replicates.csv")
    engine = replicates.engine
    return [
        "# replicates.csv: the multiplier of each unit's weight, a column for each replicate",
        'factors <- as.matrix(read.csv("replicates.csv"))',
        "d <- svrepdesign(",
        f"  data = people, weights = ~{weight}, repweights = factors[people${unit}, ], combined.weights = FALSE,",
        f'  type = "other", scale = {number(engine.scale)}, rscales = {vector(engine.rscales)}, '
        f"mse = {str(engine.mse).upper()}",
        ")",
    ]


def restricted(design: Design, sheet: Sheet) -> list[str]:
    """Return the line that restricts ``d`` to the domain under study, if there is one."""
    if design.inside is None:
        return []
    inside = sheet.add("inside", pd.Series(design.inside.astype(int)), "1 in the domain under study")
    return [f"d <- subset(d, {inside} == 1)"]
