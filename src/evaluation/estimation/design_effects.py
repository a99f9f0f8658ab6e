"""Design effects by outcome, taken apart: what unequal weights cost, and what clustering costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.collapse import compact, mass_by
from evaluation.design.design import Design, require_design
from evaluation.estimation.diagnostic_frames import DiagnosticFrame, hidden
from evaluation.estimation.domains import Cells, cells_by, counting, is_text, levels_of, names_of, outcomes_of
from evaluation.estimation.means import survey_mean
from evaluation.results import Estimates

Floats = NDArray[np.float64]
Names = str | Sequence[str]

#: Columns that stand in for the levels of a text outcome.
_LEVEL = "evaluation_level_{}"


class DesignEffects(DiagnosticFrame):
    """Design effects by outcome and domain; columns as in ``design_effects``."""


@dataclass(frozen=True)
class _Row:
    """One outcome: its column in the data, and what it is called."""

    column: str
    term: str
    level: str | None


def design_effects(design: Design, outcomes: Names, by: Names | None = None) -> DesignEffects:
    """Estimate the design effect of each outcome's mean, and which part of it is owed to weights and to clusters.

    Parameters
    ----------
    design : Design
        Any design.
    outcomes : str or list of str
        Numeric columns; of a text column the share of every level is one outcome.
    by : str or list of str, optional
        Columns whose combinations are the domains.

    Returns
    -------
    DesignEffects
        One row per outcome (and level) and domain: ``n_obs``, ``estimate``, ``std_error``;

        - ``deff``: variance over that of a simple random sample of ``n_obs`` drawn with replacement;
        - ``deff_kish``: :math:`n \\sum w^2 / (\\sum w)^2`, the cost of unequal weights for an outcome unrelated to
          them;
        - ``deff_weighting``: that cost for this outcome,
          :math:`n \\sum w^2 (y - \\bar y)^2 / (\\sum w \\sum w (y - \\bar y)^2)`; lower than Kish's where large
          weights meet typical answers, higher where they meet rare ones;
        - ``deff_clustering``: ``deff / deff_kish``, what is left for clusters, strata and calibration;
        - ``cluster_size``: mean respondents per PSU by weight, :math:`\\sum_c (\\sum w)^2 / \\sum w^2`;
        - ``icc``: correlation within PSUs that ``deff_clustering`` implies,
          :math:`(deff_{clustering} - 1) / (b - 1)`, missing where PSUs hold one respondent; negative where strata
          or calibration gain more than clusters cost;
        - ``n_eff``: ``n_obs / deff``, the size of a simple random sample of the same precision.

        Rows of too few respondents are blank, see ``mark``.

    Raises
    ------
    ColumnError, EstimationError
        As ``survey_mean``.

    Notes
    -----
    For another number of interviews per PSU, b, the effect to expect is
    :math:`deff_{kish} (1 + (b - 1) icc)`: what a further interview in a block buys against a further block.

    References
    ----------
    Kish (1992), Journal of Official Statistics 8, 183-200. Gabler, Häder and Lahiri (1999), Survey Methodology 25,
    105-106 (the product, and the size of clusters). Spencer (2000), Survey Methodology 26, 137-138 (weights that are
    related to the outcome; approximated there by a regression).

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> answers = pd.DataFrame({"y": [1.0, 2.0, 3.0, 1.0, 2.0, 4.0], "block": [1, 1, 2, 2, 3, 3]})
    >>> found = design_effects(survey_design(answers, psu="block"), "y").tidy()
    >>> found[["deff", "deff_kish", "cluster_size", "icc", "n_eff"]].round(6).to_numpy().tolist()
    [[0.853659, 1.0, 2.0, -0.146341, 7.028571]]
    """
    require_design(design, "design_effects")
    design.require_no_negative_weights("design_effects")
    rows, extended = _columns(design, names_of(outcomes, "design_effects"))
    means = survey_mean(extended, [row.column for row in rows], by=by, deff="replace")
    cells = cells_by(design, by)
    keys = _keys(rows, means, len(cells))
    parts = [_parts(extended, row.column, cells) for row in rows]
    kish, weighting, size = (np.concatenate([part[place] for part in parts]) for place in range(3))
    deff = np.asarray(means.columns["deff"], dtype=float)
    clustering = deff / kish
    with np.errstate(divide="ignore", invalid="ignore"):
        numbers = {
            "n_obs": means.n_obs,
            "estimate": means.estimate,
            "std_error": means.std_error,
            "deff": deff,
            "deff_kish": kish,
            "deff_weighting": weighting,
            "deff_clustering": clustering,
            "cluster_size": size,
            "icc": np.where(size > 1 + 1e-9, (clustering - 1) / (size - 1), np.nan),
            "n_eff": np.where(deff > 0, means.n_obs / deff, np.nan),
        }
    frame = pd.concat([keys, pd.DataFrame(numbers)], axis=1)
    return DesignEffects("design_effects", hidden(frame, list(keys.columns), means.marks), design.provenance)


def _columns(design: Design, names: Sequence[str]) -> tuple[list[_Row], Design]:
    """Return the outcomes, one for each level of a text column, and the design with columns for these."""
    rows: list[_Row] = []
    added: dict[str, Floats] = {}
    for name in names:
        if not is_text(design.column(name)):
            rows.append(_Row(name, name, None))
            continue
        levels, code = levels_of(design, name, "design_effects")
        for place, level in enumerate(levels):
            column = _LEVEL.format(len(added))
            added[column] = np.where(code < 0, np.nan, (code == place).astype(float))
            rows.append(_Row(column, name, str(level)))
    return rows, replace(design, data=design.data.assign(**added)) if added else design


def _keys(rows: Sequence[_Row], means: Estimates, n_cells: int) -> pd.DataFrame:
    """Return what each row is called; ``level`` only where an outcome is text."""
    named = {"term": [row.term for row in rows for _ in range(n_cells)]}
    if any(row.level is not None for row in rows):
        named["level"] = [row.level or "" for row in rows for _ in range(n_cells)]
    return pd.concat([pd.DataFrame(named), means.keys.drop(columns="term")], axis=1)


def _parts(design: Design, column: str, cells: Cells) -> tuple[Floats, Floats, Floats]:
    """Return Kish's effect, the outcome's own weighting effect and the size of clusters of each domain, each (D,)."""
    outcome = outcomes_of(design, column, listwise=False, verb="design_effects")
    rows = counting(design, cells, outcome.masks[0])
    inside = np.ones(len(design), dtype=bool) if rows is None else rows
    code, w, y = cells.code[inside], design.weights[inside], outcome.columns[0][inside]
    first = design.sampling.stages[0]

    def sums(values: Floats) -> Floats:
        return mass_by(code, len(cells), values)

    n, mass, squares = sums(np.ones(len(w))), sums(w), sums(w**2)
    with np.errstate(divide="ignore", invalid="ignore"):
        deviation = (y - (sums(w * y) / mass)[code]) ** 2
        kish = n * squares / mass**2
        weighting = n * sums(w**2 * deviation) / (mass * sums(w * deviation))
        key, found = compact(first.unit[inside] * len(cells) + code, first.n_units * len(cells))
        by_unit = mass_by(key, len(found), w)
        size = mass_by(found % len(cells), len(cells), by_unit**2) / squares
    return kish, weighting, size
