"""Direct standardisation: groups are compared as if each had the same composition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from evaluation.design.collapse import Floats, crossed, mass_by
from evaluation.design.design import Design, require_design
from evaluation.errors import MarginError, WeightingError, did_you_mean
from evaluation.survey.codebook import code_text
from evaluation.weighting.cells import CellFactors, Composition, Groups, Mask, applied, as_written, groups_by

VERB = "standardise"


def standardise(
    design: Design,
    *,
    by: str | Sequence[str],
    population: Mapping[str, float],
    over: str | Sequence[str] | None = None,
    excluding_missing: str | Sequence[str] | None = None,
) -> Design:
    """Give every group the same composition, so that what is left between groups is not their composition.

    Parameters
    ----------
    design : Design
        Any design.
    by : str or list of str
        Columns of the composition, e.g. age groups.
    population : mapping of level to share or count
        The standard population; only proportions matter. Levels of several columns are joined by ``:``
        (``{"f:old": 2, "f:young": 3, ...}``).
    over : str or list of str, optional
        Columns of the groups to be compared; without it the whole sample is one group.
    excluding_missing : str or list of str, optional
        Respondents with a missing value in one of these columns get weight zero, so that those who are left have
        the composition.

    Returns
    -------
    Design
        Within each group the weights of ``by`` have the shares of ``population``; each group keeps its sum.

    Raises
    ------
    ColumnError
        A column does not exist or is missing for somebody with a weight.
    MarginError
        A level stands on one side only, or a share is not above zero.
    WeightingError
        A group has nobody at a level.

    Notes
    -----
    In group o and level b, :math:`w_i' = w_i \\pi_b W_o / W_{ob}`. The exact variance knows that :math:`W_o` is
    estimated, which only totals feel; ``linearization="r"`` is R's: a post-stratification to known counts. Where a
    group has nobody at a level R leaves the level out of that group, so that its composition is another; here this
    is an error.

    References
    ----------
    Fleiss, Levin and Paik (2003), Statistical Methods for Rates and Proportions, chapter 19. R twin:
    ``survey::svystandardize``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"area": ["a", "a", "a", "b", "b"], "age": ["old", "old", "young", "old", "young"]})
    >>> equal = standardise(survey_design(respondents), by="age", over="area", population={"old": 1, "young": 1})
    >>> equal.weights.tolist()
    [0.75, 0.75, 1.5, 1.0, 1.0]
    """
    require_design(design, VERB)
    counted = (design.weights != 0) & _complete(design, excluding_missing)
    levels, areas = groups_by(design, by, counted, VERB), groups_by(design, over, counted, VERB)
    if not len(levels.keys.columns):
        raise WeightingError(f"{VERB}: by must name at least one column whose composition is to be the standard.")
    shares = _shares(design, levels, population, counted)
    _refuse_empty(areas, levels, counted, design.weights)
    outside = len(areas) * len(levels)
    key = np.where(counted, areas.code * len(levels) + levels.code, outside)
    code, cells = crossed([key], [outside + 1])
    area, level = np.divmod(cells[:, 0], len(levels))
    inside = cells[:, 0] < outside
    rule = Composition(
        np.where(inside, area, -1),
        len(areas),
        np.where(inside, shares[np.where(inside, level, 0)], 0.0),
        tuple(_cell_name(areas, levels, a, b) if ok else "" for a, b, ok in zip(area, level, inside, strict=True)),
    )
    asked = {"by": by, "population": population, "over": over, "excluding_missing": excluding_missing}
    return applied(
        design, CellFactors(VERB, asked, as_written(**asked), code, len(cells), rule, r_convention="poststratified")
    )


def _complete(design: Design, columns: str | Sequence[str] | None) -> Mask:
    complete = np.ones(len(design), dtype=bool)
    for name in [columns] if isinstance(columns, (str, int)) else list(columns or []):
        complete &= design.column(name).notna().to_numpy()
    if not (complete & (design.weights != 0)).any():
        raise WeightingError(f"{VERB}: nobody with a weight has a value in every one of {columns}.")
    return complete


def _shares(design: Design, levels: Groups, population: Mapping[str, float], counted: Mask) -> Floats:
    """Return the standard's share of each level, shape (L,)."""
    if not isinstance(population, Mapping) or not population:
        raise MarginError(f"{VERB}: population must be a mapping of level to share, got {population!r}.")
    for level, share in population.items():
        if isinstance(share, (str, bool)) or not isinstance(share, (int, float, np.integer, np.floating)):
            raise MarginError(f"{VERB}: the share of '{code_text(level)}' must be a number, got {share!r}.")
    given = {code_text(level): float(share) for level, share in population.items()}
    wrong = [level for level, share in given.items() if not (share > 0 and np.isfinite(share))]
    if wrong:
        raise MarginError(f"{VERB}: the share of '{wrong[0]}' is {given[wrong[0]]:g}; shares must be above zero.")
    names = [":".join(map(code_text, row)) for row in levels.keys.itertuples(index=False, name=None)]
    by = ":".join(levels.keys.columns)
    for level in given:
        if level not in names:
            raise MarginError(f"{VERB}: no respondent has {by} = '{level}'. {did_you_mean(level, names)}")
    for place, name in enumerate(names):
        if name not in given:
            rows = counted & (levels.code == place)
            raise MarginError(
                f"{VERB}: {int(rows.sum()):,} respondents have {by} = '{name}', which population does not name. "
                f"{did_you_mean(name, given)}",
                failures=design.data.loc[rows],
            )
    shares = np.array([given[name] for name in names])
    return np.asarray(shares / shares.sum())


def _cell_name(areas: Groups, levels: Groups, area: int, level: int) -> str:
    return ", ".join(filter(None, [areas.name(area) if len(areas.keys.columns) else "", levels.name(level)]))


def _refuse_empty(areas: Groups, levels: Groups, counted: Mask, weights: Floats) -> None:
    size = len(areas) * len(levels)
    key = areas.code * len(levels) + levels.code
    empty = np.flatnonzero(mass_by(key[counted], size, weights[counted]) <= 0)
    if len(empty):
        names = [_cell_name(areas, levels, *divmod(int(cell), len(levels))) for cell in empty]
        more = f" (and {len(names) - 1} more such cells)" if len(names) > 1 else ""
        raise WeightingError(
            f"{VERB}: nobody with a weight is in the cell {names[0]}{more}, so it cannot be given its share. Merge the "
            f"level with a similar one in by and population, or leave the group out.",
            failures=pd.DataFrame({"cell": names}),
        )
