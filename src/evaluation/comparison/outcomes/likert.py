"""An ordered item in two groups: shares of its answers, boxes, mean, probability of superiority, common odds ratio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from evaluation.comparison.adjustment.balancing import refuse_balanced
from evaluation.comparison.comparability import Comparability
from evaluation.comparison.effects import ADJUSTED, UNADJUSTED, evidence_of
from evaluation.comparison.outcomes.influences import estimates_of_weights, smooth_function
from evaluation.comparison.outcomes.scales import Scale, entries_of, read_scale, refuse_reversed_group
from evaluation.comparison.outcomes.standardised import adjustment
from evaluation.design.design import Design, require_design
from evaluation.errors import ColumnError, EstimationError, require_flag
from evaluation.estimation.arguments import came, column_names, require_choice
from evaluation.estimation.contrasts import joined
from evaluation.estimation.groups import Groups, groups_of
from evaluation.estimation.proportion_intervals import proportion_limits
from evaluation.regression.ordinal import survey_ordinal
from evaluation.results import SMALL_BASE, SMALL_CELL, Estimates

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Mask = NDArray[np.bool_]
Against = Literal["others", "all"]

#: Rows of the result that are shares or probabilities, whose intervals stay within 0 and 1.
_PROBABILITIES = ("share_", "top_box_p", "top_box_c", "bottom_box_p", "bottom_box_c", "probability_superiority")
_GROUPS = ("participants", "comparison")


@dataclass(frozen=True, eq=False, repr=False)
class LikertDifference(Estimates):
    """Distribution of an ordered item in two groups and what tells them apart, with their joint covariance.

    The probability of superiority is tested against one half, every other row against zero. Where one answer was
    given by too few, another answer of that group is hidden with it, and so is all from which both could be worked out.
    """

    def tidy(self) -> pd.DataFrame:
        """Return one row per quantity, as every result does."""
        frame, error = super().tidy(), self.std_error
        rows = (self.keys["quantity"] == "probability_superiority").to_numpy() & (error > 0)
        if rows.any():
            statistic = (self.estimate[rows] - 0.5) / error[rows]
            frame.loc[rows, "statistic"] = statistic
            df = np.where(self.df[rows] > 0, self.df[rows], np.nan)
            frame.loc[rows, "p_value"] = 2 * stats.t.sf(np.abs(statistic), df)
        return frame

    @property
    def marks(self) -> list[str]:
        """Why each row may not be shown, empty where it may."""
        if "mark" in self.columns or "levels" not in self.fit:
            return super().marks
        # No row is the difference of one answer's shares, so that a group keeps what the other may not show.
        bases, cells, limits = self.base_sizes, self.cell_counts, self.provenance
        few = (bases > 0) & (bases < limits.min_cell)
        if cells is not None:
            few |= (cells > 0) & (cells < limits.min_cell)
        small = (bases > 0) & (bases < limits.min_base)
        marks = [SMALL_CELL if cell else SMALL_BASE if base else "" for cell, base in zip(few, small, strict=True)]
        quantity, level = self.keys["quantity"].to_numpy(), self.keys["level"].to_numpy()
        for group in _GROUPS:
            _hide_what_tells(marks, quantity, level, group, self.fit)
        return marks


def _hide_what_tells(marks: list[str], quantity: NDArray[Any], level: NDArray[Any], group: str, fit: Any) -> None:
    """Mark a second answer of a group beside a marked one, and the rows that give both away."""
    levels = list(fit["levels"])
    rows = {str(level[row]): int(row) for row in np.flatnonzero(quantity == f"share_{group}")}
    hidden = {name for name, row in rows.items() if marks[row] == SMALL_CELL}
    if not hidden or len(hidden) == len(rows):
        return
    boxes = {"top_box": levels[-int(fit["top"]) :], "bottom_box": levels[: int(fit["bottom"])]}
    if len(hidden) == 1:
        only = levels.index(next(iter(hidden)))
        own = next((box for box in boxes.values() if levels[only] in box and len(box) > 1), levels)
        hidden.add(min((name for name in own if name != levels[only]), key=lambda name: abs(levels.index(name) - only)))
    split = [name for name, box in boxes.items() if hidden & set(box) and not hidden <= set(box)]
    gone = {f"mean_{group}", "mean_difference", "probability_superiority", "somers_d", "log_common_odds_ratio"}
    gone |= {f"{name}_{kind}" for name in split for kind in (group, "difference")}
    for row, name in enumerate(quantity):
        if str(name) in gone or (name == f"share_{group}" and str(level[row]) in hidden):
            marks[row] = marks[row] or SMALL_CELL


def likert_difference(
    design: Design,
    *,
    outcome: str,
    treatment: str,
    against: Against = "others",
    top: int | None = None,
    bottom: int | None = None,
    levels: Sequence[Any] | None = None,
    battery: Sequence[str] | None = None,
    odds_ratio: bool = True,
    comparability: Comparability | None = None,
    conf_level: float = 0.95,
) -> LikertDifference:
    """Estimate how the answers of participants and others to an ordered item differ, in every way they are read.

    On a design with balancing weights (``propensity_weights``, ``entropy_balance``, ``cbps``) every number is the
    adjusted one, and its error counts the estimated weights.

    Parameters
    ----------
    design : Design
        Any design; its domain is where the groups are compared.
    outcome : str
        Numbers or ordered categories, three to eleven answers. With a codebook its codes are the scale and its
        ``scale_direction`` says which end is more; else whole numbers without a gap, more upwards.
    treatment : str
        Two values: 0/1, boolean, or text whose second level stands for participants.
    against : {"others", "all"}, default "others"
        Compare with those who do not participate, or with everybody, participants included.
    top, bottom : int, optional
        How many of the highest, and of the lowest, answers make a box; no answer can be in both. Default 2, of three
        answers 1; each as large as the other where one is given.
    levels : sequence, optional
        Answers from least to most, instead of those of codebook and data.
    battery : sequence of str, optional
        Further items of the same battery and direction, by which a scale reversed in one group is found. Default:
        those of the codebook with the same ``scale``; none without one.
    odds_ratio : bool, default True
        Fit the proportional-odds model of participation alone; never against "all".
    comparability : Comparability, optional
        Declared comparison; a refused one raises.
    conf_level : float, default 0.95
        Of the intervals: logit for shares and probabilities, t for the others.

    Returns
    -------
    LikertDifference
        Column ``quantity``: ``top_box_difference`` (row 0), ``bottom_box_difference``, ``mean_difference``,
        ``probability_superiority`` (P(Y1 > Y0) + P(tie) / 2, tested against one half), ``somers_d`` (twice that less
        one), ``log_common_odds_ratio`` (positive: participants give higher answers); then boxes, means and the share
        of every answer (column ``level``) of ``_participants`` and ``_comparison``.

    Raises
    ------
    ColumnError
        No order is known, or codes outside the scale, such as "don't know".
    EstimationError
        Boxes that do not fit the scale, or a group without answers.
    IdentificationError
        The scale runs the other way in one group or frame; or participation tells the answers for certain.

    Notes
    -----
    All but the odds ratio are functions of the two groups' weighted shares :math:`p_{gk}`:
    :math:`P = \\sum_k p_{1k} (\\sum_{j<k} p_{0j} + p_{0k} / 2)`. Against "all" it is the mean ridit of participants.
    Errors are of the shares' influence, by the chain rule, and the covariance between all rows is kept.

    References
    ----------
    Agresti (2010), Analysis of Ordinal Categorical Data, sections 2.1 and 3.3; Bross (1958), Biometrics 14, 18-38;
    McCullagh (1980). R twins: ``survey::svyolr``, ``survey::svyranktest`` (whose error takes the ranks as given).

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"y": [1, 2, 3, 2, 3, 3, 1, 2], "joined": [0, 0, 0, 1, 1, 1, 1, 0]})
    >>> made = likert_difference(survey_design(respondents), outcome="y", treatment="joined", top=1)
    >>> made.tidy().set_index("quantity").loc[["top_box_difference", "probability_superiority"], "estimate"].tolist()
    [0.25, 0.59375]
    """
    verb = "likert_difference"
    require_design(design, verb)
    if against == "all":
        refuse_balanced(design, treatment, f"{verb}, against='all',")
    require_choice(against, ("others", "all"), f"{verb}: against")
    require_flag(odds_ratio, f"{verb}: odds_ratio", EstimationError)
    if outcome == treatment:
        raise ColumnError(f"{verb}: '{outcome}' is named as outcome and as treatment. They are two columns.")
    adjusted_by = adjustment(design)
    evidence = evidence_of(comparability, ADJUSTED if adjusted_by else UNADJUSTED, verb, outcome, design)
    scale = read_scale(design, outcome, levels, verb=verb, groups=design.column(treatment))
    top, bottom = _boxes(top, bottom, len(scale.answers), verb)
    answered = design.present & (scale.place >= 0)
    groups = groups_of(replace(design, inside=answered), treatment=treatment, verb=verb)
    _refuse_reversed(design, outcome, battery, scale, groups, verb)
    made = _compared(design, groups, scale, (top, bottom), outcome, treatment, against, odds_ratio, conf_level)
    record = {
        "outcome": outcome,
        "treatment": treatment,
        "participants": groups.levels[1],
        "comparison": "all" if against == "all" else groups.levels[0],
        "levels": scale.titles,
        "top": top,
        "bottom": bottom,
        "scale_turned": scale.is_turned,
        "n_left_out": int(design.present.sum()) - int(groups.used.sum()),
    }
    return replace(made, fit={**record, **adjusted_by, **evidence})


def _boxes(top: int | None, bottom: int | None, n_answers: int, verb: str) -> tuple[int, int]:
    """Return how many answers make each box; an EstimationError where a size is none, or one answer is in both."""
    for name, size in (("top", top), ("bottom", bottom)):
        whole = isinstance(size, (int, np.integer)) and not isinstance(size, bool)
        if size is not None and not (whole and 1 <= size < n_answers):
            raise EstimationError(
                f"{verb}: {name} is how many answers make the box, 1 to {n_answers - 1} on this scale, got "
                f"{came(size)}."
            )
    usual, half = min(2, n_answers // 2), max(n_answers // 2, 1)
    if top is None:
        top = usual if bottom is None else min(bottom, n_answers - bottom)
    if bottom is None:
        bottom = min(top, n_answers - top, half)
    if top + bottom > n_answers:
        raise EstimationError(
            f"{verb}: the boxes of the {top} highest and the {bottom} lowest of {n_answers} answers share "
            f"{top + bottom - n_answers}, so one respondent would count as both. Write "
            f"top={half}, bottom={half} or less."
        )
    return int(top), int(bottom)


def _refuse_reversed(
    design: Design, outcome: str, battery: Sequence[str] | None, scale: Scale, groups: Groups, verb: str
) -> None:
    """Refuse an item whose scale is reversed in one group, where other items of its battery can tell."""
    entries = entries_of(design, outcome)
    if battery is None and entries and entries[0].scale:
        books = getattr(design.provenance.labels, "variables", {})
        alike = [name for name, entry in books.items() if entry.scale == entries[0].scale and name != outcome]
        battery = [name for name in alike if name in design.data]
    battery = column_names(battery, f"{verb}: battery", "'trust'")
    columns = [np.where(scale.place >= 0, scale.place, np.nan).astype(float)]
    for name in battery:
        values = pd.to_numeric(design.column(name), errors="coerce").to_numpy(dtype=float, na_value=np.nan)
        other = entries_of(design, name)
        columns.append(-values if other and other[0].direction == "higher_is_less" else values)
    masks = {groups.levels[0]: groups.members(0), groups.levels[1]: groups.members(1)}
    names = [outcome, *battery]
    refuse_reversed_group(np.column_stack(columns), names, design.domain_weights, masks, verb, design.data)


def _compared(
    design: Design,
    groups: Groups,
    scale: Scale,
    boxes: tuple[int, int],
    outcome: str,
    treatment: str,
    against: Against,
    odds_ratio: bool,
    conf_level: float,
) -> LikertDifference:
    members = [groups.members(1), groups.used if against == "all" else groups.members(0)]
    rows = [_shares(design, members, scale, float(design.degrees_of_freedom(groups.used)))]
    if odds_ratio and against == "others":
        inside = replace(design, inside=groups.used)
        fitted = survey_ordinal(inside, outcome=outcome, covariates=[treatment], levels=scale.answers)
        rows.append(fitted.take(np.array([0])))
    keys, function = _quantities(outcome, scale, boxes, has_odds=len(rows) > 1)
    made = smooth_function(joined(rows), function, verb="likert_difference", keys=keys)
    df = made.df if len(rows) == 1 else np.where(keys["quantity"] == "log_common_odds_ratio", rows[1].df, rows[0].df[0])
    counts = np.array([int(rows.sum()) for rows in (members[0], members[1], groups.used)])
    n_obs, bases, cells = _sizes(keys, scale, members, counts, boxes)
    made = replace(made, df=df, n_obs=n_obs, bases=bases, cell_counts=cells, conf_level=conf_level)
    shares = keys["quantity"].str.startswith(_PROBABILITIES).to_numpy()
    limits = made.confidence_interval()
    bounded = proportion_limits(made.estimate, made.std_error, made.df, n_obs.astype(float), conf_level=conf_level)
    limits = np.where(shares[:, None], bounded, limits)
    fields = {name: getattr(made, name) for name in Estimates.__dataclass_fields__}
    return LikertDifference(**{**fields, "interval": limits, "interval_method": "logit, t"})


def _shares(design: Design, members: list[Mask], scale: Scale, df: float) -> Estimates:
    """Return the share of each answer in both groups, participants first, shape (2 K,)."""
    k = len(scale.answers)
    chosen = scale.place[:, None] == np.arange(k)

    def evaluate(weights: Floats) -> tuple[Floats, Floats]:
        found, columns = [], []
        for rows in members:
            size = float(weights[rows].sum())
            if not size > 0:
                raise EstimationError("likert_difference: nobody of one group has a weight above zero.")
            share = np.bincount(scale.place[rows], weights[rows], minlength=k) / size
            found.append(share)
            columns.append(rows[:, None] * (chosen - share) / size)
        return np.concatenate(found), np.hstack(columns)

    keys = pd.DataFrame({"term": [f"{group} {name}" for group in _GROUPS for name in scale.titles]})
    n_obs = np.repeat([int(rows.sum()) for rows in members], k)
    return estimates_of_weights(design, evaluate, verb="likert_difference", keys=keys, n_obs=n_obs, df=df)


def _quantities(outcome: str, scale: Scale, boxes: tuple[int, int], *, has_odds: bool) -> tuple[pd.DataFrame, Any]:
    """Return the keys of the result and the function that makes its rows of shares and the log odds ratio."""
    k, (top, bottom) = len(scale.answers), boxes
    is_top, is_bottom = np.arange(k) >= k - top, np.arange(k) < bottom
    earlier = np.tril(np.ones((k, k)), -1) + np.eye(k) / 2
    measures = ["top_box", "bottom_box", "mean"]
    names = [f"{measure}_difference" for measure in measures] + ["probability_superiority", "somers_d"]
    names += ["log_common_odds_ratio"] if has_odds else []
    names += [f"{measure}_{group}" for measure in measures for group in _GROUPS]
    levels = [""] * len(names) + scale.titles * 2
    names += [f"share_{group}" for group in _GROUPS for _ in range(k)]
    keys = pd.DataFrame({"term": outcome, "quantity": names, "level": levels})

    def function(x: NDArray[Any]) -> NDArray[Any]:
        one, other = x[:k], x[k : 2 * k]
        by_measure = [(p[is_top].sum(), p[is_bottom].sum(), p @ scale.scores) for p in (one, other)]
        superiority = one @ (earlier @ other)
        rows = [mine - theirs for mine, theirs in zip(*by_measure, strict=True)]
        rows += [superiority, 2 * superiority - 1, *x[2 * k :]]
        rows += [value for pair in zip(*by_measure, strict=True) for value in pair]
        return np.concatenate([rows, one, other])

    return keys, function


def _sizes(
    keys: pd.DataFrame, scale: Scale, members: list[Mask], counts: Counts, boxes: tuple[int, int]
) -> tuple[Counts, Counts, Counts]:
    """Return respondents, respondents of the smallest group, and those who gave the rarer answer, of each row."""
    k, (top, bottom) = len(scale.answers), boxes
    given = [np.bincount(scale.place[rows], minlength=k) for rows in members]
    by_group = dict(zip(_GROUPS, range(2), strict=True))
    n_obs, bases, cells = [], [], []
    for quantity, level in zip(keys["quantity"], keys["level"], strict=True):
        measure, _, group = str(quantity).rpartition("_")
        place = by_group.get(group)
        n_obs.append(counts[2] if place is None else counts[place])
        bases.append(min(counts[:2]) if place is None else counts[place])
        chosen = 0
        if place is not None and measure != "mean":
            own = given[place]
            chosen = {"top_box": own[k - top :].sum(), "bottom_box": own[:bottom].sum()}.get(measure, 0)
            chosen = own[scale.titles.index(level)] if measure == "share" else chosen
            chosen = min(chosen, counts[place] - chosen)
        cells.append(chosen)
    return cast(tuple[Counts, Counts, Counts], tuple(np.array(c, dtype=np.int64) for c in (n_obs, bases, cells)))
