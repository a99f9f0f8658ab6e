"""Propensity scores before any outcome is read: who resembles whom, and how many respondents that leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.comparison.adjustment.weighted_groups import WeightedGroups, weighted_groups
from evaluation.design.design import Design
from evaluation.estimation.diagnostic_frames import hidden
from evaluation.estimation.small_counts import fewest, is_small, shown_count
from evaluation.estimation.tilts import Estimand, fitted_propensity
from evaluation.results import SMALL_CELL, Provenance, frame_html, plain

Floats = NDArray[np.float64]

#: Bins of the mirrored histogram of scores, from 0 to the first of these that no score exceeds.
BINS = 20
UPPER = (0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
#: Neighbouring bins are merged until each stands for nobody or for this many respondents.
LEAST = 5


@dataclass(frozen=True, eq=False)
class Overlap:
    """How far participants and others overlap in their propensity scores.

    Attributes
    ----------
    groups : pandas.DataFrame, two rows
        Per group: respondents, effective number under survey weights and under survey times balancing
        weights, range and median of the scores, respondents and weighted share outside the other
        group's range, largest share that one respondent has of the balancing weight. As they are, for the researcher
        at hand; ``tidy()`` and all that is shown keep to the survey's limits.
    histogram : pandas.DataFrame
        Shares of each group in bins of the score: ``group``, ``score_low``, ``score_high``, ``n_obs``, ``share``
        (survey weights), ``share_balanced`` (survey times balancing weights). A bin holds nobody or at least
        five respondents: sparse neighbours are merged, and all where a group is too small to be shown.
    scores : ndarray, shape (n,)
        Fitted probability of participation; NaN for who is left out.
    estimand : str
        Whose composition the balancing weights aim at.
    n_left_out : int
        Respondents who count but miss the treatment or a covariate.
    provenance : Provenance
        For captions and manifests.
    ends : pandas.DataFrame, two rows
        Per group ``minimum`` and ``maximum`` as they may be shown, and ``n_unused``, members without a weight.
    """

    groups: pd.DataFrame
    histogram: pd.DataFrame
    scores: Floats
    estimand: Estimand
    n_left_out: int
    provenance: Provenance
    ends: pd.DataFrame = field(default_factory=pd.DataFrame)

    def tidy(self) -> pd.DataFrame:
        """Return one row per group, as it may be shown.

        Of a survey with a smallest cell, ``score_from`` and ``score_to`` stand in place of ``minimum`` and ``maximum``:
        scores that at least as many respondents do not exceed, or reach. Few who are outside are counted as "<5",
        without their share. Where a group itself is small, both rows are empty and ``mark`` says why.
        """
        return _shown(self.groups, self.ends, self.provenance)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record without anyone's score."""
        return {
            "verb": "overlap",
            "provenance": self.provenance.to_dict(),
            "fit": {"estimand": self.estimand, "n_left_out": shown_count(self.n_left_out, self.provenance)},
            "rows": [{str(k): plain(v) for k, v in row.items()} for row in self.tidy().to_dict("records")],
        }

    def __repr__(self) -> str:
        left_out = shown_count(self.n_left_out, self.provenance)
        head = f"overlap: {self.provenance.survey}, estimand {self.estimand}, {left_out} left out"
        return f"{head}\n{self.tidy().to_string(index=False, float_format=lambda value: f'{value:.6g}')}"

    def _repr_html_(self) -> str:
        return frame_html(self.tidy())


def overlap(
    design: Design | Any,
    *,
    treatment: str | None = None,
    covariates: str | Sequence[str] | None = None,
    estimand: Estimand | None = None,
) -> Overlap:
    """Fit the survey-weighted propensity score and summarise how far the groups overlap in it.

    Parameters
    ----------
    design : Design or Matched
        Its domain is where the groups are compared. A design whose last step balances and a matching bring
        treatment, covariates, estimand and their own weights; any other design is weighted by its propensity scores.
    treatment : str, optional
        Column with two values; needed where ``design`` does not know it.
    covariates : str or list of str, optional
        Names or a one-sided formula; needed where ``design`` does not know them.
    estimand : {"ATT", "ATE", "ATC", "ATO", "ATM"}, optional
        Whose composition the balancing weights aim at, default "ATT"; a balanced design has its own.

    Returns
    -------
    Overlap

    Raises
    ------
    ColumnError, EstimationError, IdentificationError
        As ``ipw``.

    Notes
    -----
    Weights that know no propensity score (entropy balancing, exact matching) are shown over the survey-weighted logit
    of the same covariates.

    References
    ----------
    Kish (1965) for the effective number, :math:`(\\sum w)^2 / \\sum w^2`.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"joined": [0, 0, 0, 1, 1, 1], "sex": ["f", "f", "m", "f", "m", "m"]})
    >>> overlap(survey_design(respondents), treatment="joined", covariates=["sex"]).tidy()["ess"].round(3).tolist()
    [3.0, 2.0]
    """
    found = weighted_groups(design, treatment=treatment, covariates=covariates, estimand=estimand, verb="overlap")
    scores = found.scores
    if scores is None:
        scores, _ = fitted_propensity(found.groups, np.where(found.used, found.survey, 0.0))
    rows = [_row(found, group, scores) for group in (1, 0)]
    highest = scores[found.used].max()
    edges = np.linspace(0.0, next((upper for upper in UPPER if upper >= highest), 1.0), BINS + 1)
    histogram = [_histogram(found, group, scores, edges) for group in (1, 0)]
    return Overlap(
        pd.DataFrame(rows),
        pd.concat(histogram, ignore_index=True),
        np.where(found.used, scores, np.nan),
        found.estimand,
        found.groups.n_left_out,
        found.provenance,
        pd.DataFrame([_ends(found, group, scores) for group in (1, 0)]),
    )


def effective_number(weights: Floats) -> float:
    """Return the number of equally weighted respondents that are worth as much."""
    return float(weights.sum() ** 2 / (weights**2).sum())


def _row(found: WeightedGroups, group: int, scores: Floats) -> dict[str, Any]:
    own, other = found.members(group), scores[found.members(1 - group)]
    outside = own & ((scores < other.min()) | (scores > other.max()))
    weights, final = found.survey, found.final[own]
    return {
        "group": found.groups.levels[group],
        "n_obs": int(own.sum()),
        "ess_raw": effective_number(weights[own]),
        "ess": effective_number(final),
        "minimum": float(scores[own].min()),
        "median": float(np.median(scores[own])),
        "maximum": float(scores[own].max()),
        "n_outside": int(outside.sum()),
        "share_outside": float(weights[outside].sum() / weights[own].sum()),
        "largest_weight_share": float(final.max() / final.sum()),
    }


def _ends(found: WeightedGroups, group: int, scores: Floats) -> dict[str, float]:
    """Return the scores between which a group lies but for fewer than a small cell at either end."""
    own = np.sort(scores[found.members(group)])
    place = min(max(found.provenance.min_cell, 1), len(own)) - 1
    unused = int((found.final[found.members(group)] == 0).sum())
    return {"minimum": float(own[place]), "maximum": float(own[len(own) - 1 - place]), "n_unused": unused}


def _shown(groups: pd.DataFrame, ends: pd.DataFrame, provenance: Provenance) -> pd.DataFrame:
    """Return the rows of the groups as they may be shown."""
    if provenance.min_cell <= 1:
        return groups.copy()
    names = {"minimum": "score_from", "maximum": "score_to"}
    if is_small(fewest(groups["n_obs"]), provenance):
        return hidden(groups.rename(columns=names), ["group"], [SMALL_CELL] * len(groups))
    few = np.array([is_small(int(count), provenance) for count in groups["n_outside"]])
    unused = any(is_small(int(count), provenance) for count in ends["n_unused"])
    least = provenance.min_cell
    shown = groups.assign(
        minimum=ends["minimum"],
        maximum=ends["maximum"],
        ess=np.floor(groups["ess"] / least) * least if unused else groups["ess"],
        share_outside=groups["share_outside"].where(~few),
    )
    if few.any():
        shown = shown.assign(n_outside=[shown_count(int(n), provenance) for n in groups["n_outside"]])
    return shown.rename(columns=names)


def _histogram(found: WeightedGroups, group: int, scores: Floats, edges: Floats) -> pd.DataFrame:
    own = found.members(group)
    if is_small(fewest(found.groups.counts()), found.provenance):
        whole = {"score_low": [edges[0]], "score_high": [edges[-1]], "n_obs": [np.nan]}
        return pd.DataFrame({"group": [found.groups.levels[group]], **whole, "share": [1.0], "share_balanced": [1.0]})
    counts = np.histogram(scores[own], bins=edges)[0]
    starts = whole_bins(counts.tolist(), max(LEAST, found.provenance.min_cell))
    shares = []
    for weight in (found.survey, found.final):
        mass = np.histogram(scores[own], bins=edges, weights=weight[own])[0]
        shares.append(np.add.reduceat(mass, starts) / weight[own].sum())
    return pd.DataFrame(
        {
            "group": found.groups.levels[group],
            "score_low": edges[starts],
            "score_high": edges[[*starts[1:], len(counts)]],
            "n_obs": np.add.reduceat(counts, starts),
            "share": shares[0],
            "share_balanced": shares[1],
        }
    )


def whole_bins(counts: Sequence[int], least: int) -> list[int]:
    """Return where bins begin once sparse ones are merged with their neighbours.

    Parameters
    ----------
    counts : sequence of int
        Respondents in each bin.
    least : int
        Respondents that a bin must hold if it holds any.

    Examples
    --------
    >>> whole_bins([0, 3, 4, 0, 9, 1, 0], 5)
    [0, 1, 3, 4]
    """
    starts: list[int] = []
    held = 0
    for place, count in enumerate(counts):
        if not 0 < held < least:
            starts.append(place)
            held = 0
        held += count
    while len(starts) > 1 and 0 < held < least:
        starts.pop()
        held = sum(counts[starts[-1] :])
    return starts
