"""Who was matched with whom, and the weights that it makes: judged by their balance before an outcome is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation import wording
from evaluation.comparison.adjustment.propensity import effective_number
from evaluation.comparison.matching.nearest import Pairing
from evaluation.comparison.matching.subclasses import SurveyWeights, Target, among, pair_weights, set_weights
from evaluation.design.design import Design
from evaluation.design.steps import AppliedStep, Derivative
from evaluation.estimation.diagnostic_frames import hidden
from evaluation.estimation.groups import Groups
from evaluation.estimation.small_counts import fewest, is_small, shown_count, written_count
from evaluation.results import SMALL_CELL, Provenance, frame_html, plain

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]
Names = str | Sequence[str]
Method = Literal["nearest", "exact", "cem", "subclass", "full"]


@dataclass(frozen=True, eq=False)
class MatchingStep:
    """Weights as matching made them, taken as given: each is a fixed multiple of the survey weight.

    Attributes
    ----------
    factor : ndarray, shape (n,)
        Zero for who is not matched.
    arguments : dict
        As a study file would write them.
    """

    factor: Floats
    arguments: Mapping[str, Any] = field(default_factory=dict)
    verb: str = "match"

    def replay(self, weights: Floats) -> Floats:
        """Multiply other weights, shape (n,)."""
        return weights * self.factor

    def derivative(self, weights_in: Floats, weights_out: Floats) -> Derivative:
        """Return how the output weights move with the input weights."""
        return Derivative(self.factor)

    def residualise(self, x: Floats, weights_in: Floats, weights_out: Floats) -> Floats:
        """R survey sees weights as given: weighted influence stays as it is."""
        return x


@dataclass(frozen=True, eq=False)
class Matched:
    """Who was matched with whom.

    Attributes
    ----------
    design : Design
        As it was before matching.
    treatment : str
    covariates : str or list of str
    estimand : {"ATT", "ATC", "ATE"}
        Whose composition the weights aim at, less the ``discarded``.
    method : {"nearest", "exact", "cem", "subclass", "full"}
    groups : Groups
        Participants and others with every value.
    pairing : Pairing or None
        Of nearest neighbours.
    subclass : ndarray of int, shape (n,)
        Pair or matched set of each respondent, -1 for none. With replacement all to whom one partner is matched, and
        -1 throughout where members have several partners.
    weights : ndarray, shape (n,)
        Survey weights times what matching makes of them; zero where not matched.
    discarded : ndarray of bool, shape (n,)
        Members of the target group(s) for whom there was nobody.
    scores : ndarray, shape (n,), or None
        Distance measure on a line: the propensity score, its logit, or a column; NaN where not used.
    points : ndarray, shape (n, p), or None
        Covariates in units of Mahalanobis distance.
    option : {"participant", "own"}
        Which survey weight matched others carry.
    settings : dict
        What was asked, and widths and cutpoints that came of it.
    provenance : Provenance
        For captions and manifests.
    """

    design: Design
    treatment: str
    covariates: Names
    estimand: Target
    method: Method
    groups: Groups
    pairing: Pairing | None
    subclass: Codes
    weights: Floats
    discarded: Mask
    scores: Floats | None
    points: Floats | None
    option: SurveyWeights
    settings: Mapping[str, Any]
    provenance: Provenance

    @property
    def n_unmatched(self) -> int:
        """Number of members of the target group(s) for whom there was nobody."""
        return int(self.discarded.sum())

    @property
    def has_replacement(self) -> bool:
        """Whether one of the others may serve several participants."""
        return bool(self.settings.get("replacement", False))

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """One row per pair, positions of rows of the data: ``participant``, ``comparison``, ``share``, ``distance``.

        Empty where sets were matched instead of pairs.
        """
        made = self.pairing or Pairing(*(np.array([], dtype=kind) for kind in (np.int64, np.int64, float, float)))
        sides = (made.partner, made.focal) if self.estimand == "ATC" else (made.focal, made.partner)
        return pd.DataFrame(
            {"participant": sides[0], "comparison": sides[1], "share": made.share, "distance": made.distance}
        )

    @property
    def matched_design(self) -> Design:
        """The design with matched weights as its last step, which further estimates take as given."""
        return self.weighted(self.weights)

    def weights_among(self, counted: Mask) -> Floats:
        """Return the weights where only some respondents can be used, shape (n,): pairs and sets without them."""
        survey = self.design.domain_weights
        if self.pairing is not None:
            return pair_weights(among(self.pairing, counted), survey, self.option)
        used, part = self.groups.used & counted, self.groups.members(1)
        return set_weights(self.subclass, part, survey, used, self.estimand, self.option)

    def weighted(self, weights: Floats) -> Design:
        """Return the design with weights, shape (n,), that matching made."""
        before = self.design.weights
        factor = np.divide(weights, before, out=np.zeros_like(weights), where=before != 0)
        step = MatchingStep(factor, {"method": self.method, "estimand": self.estimand, "weights": self.option})
        return replace(
            self.design,
            weights=weights,
            steps=(*self.design.steps, AppliedStep(step, before, weights)),
            provenance=replace(self.provenance, weight=f"{self.provenance.weight} → match"),
        )

    def tidy(self) -> pd.DataFrame:
        """Return one row per group: respondents, how many are matched and not, and how many they are worth.

        Where the survey lets no such small number be shown: unmatched ones are counted as "<5" and the sizes of both
        groups are empty, since what is matched would tell them; of a group or of matches that are few, both rows are
        empty. ``mark`` says why.
        """
        rows = []
        for group in (1, 0):
            own = self.groups.members(group)
            kept = self.weights[own & (self.weights > 0)]
            rows.append(
                {
                    "group": self.groups.levels[group],
                    "n_obs": int(own.sum()),
                    "n_matched": len(kept),
                    "n_unmatched": int(own.sum()) - len(kept),
                    "ess": effective_number(kept),
                    "largest_weight_share": float(kept.max() / kept.sum()),
                }
            )
        return _shown(pd.DataFrame(rows), self.provenance)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record without anyone's partner."""
        return {
            "verb": "match",
            "provenance": self.provenance.to_dict(),
            "fit": {
                "method": self.method,
                "estimand": self.estimand,
                "n_unmatched": shown_count(self.n_unmatched, self.provenance),
                "n_left_out": shown_count(self.groups.n_left_out, self.provenance),
                **{name: plain(value) for name, value in self.settings.items()},
            },
            "rows": [{str(k): plain(v) for k, v in row.items()} for row in self.tidy().to_dict("records")],
        }

    def __repr__(self) -> str:
        word = wording.term
        head = f"{word('match')}: {wording.survey_id(self.provenance.survey)}, {word(f'match_{self.method}')}"
        told = "; ".join(f"{_worded(name)} {_short(value)}" for name, value in self.settings.items() if _is_told(value))
        unmatched = written_count(self.n_unmatched, self.provenance)
        left = f"{word('estimand')} {self.estimand}, {word('n_discarded')} {unmatched}"
        rows = self._in_words()
        return f"{head}\n{left}{'; ' if told else ''}{told}\n{rows.to_string(index=False, float_format=_six_digits)}"

    def _repr_html_(self) -> str:
        return frame_html(self._in_words())

    def _in_words(self) -> pd.DataFrame:
        """Return ``tidy()`` with groups and headings in the project's language."""
        names = [wording.term(group) for group in ("participants", "others")]
        rows = self.tidy().assign(group=names)
        return rows.rename(columns=lambda name: wording.term("by" if name == "group" else str(name)))


def _shown(rows: pd.DataFrame, provenance: Provenance) -> pd.DataFrame:
    """Return the rows of both groups as they may be shown."""
    if is_small(fewest([*rows["n_obs"], *rows["n_matched"]]), provenance):
        return hidden(rows, ["group"], [SMALL_CELL] * len(rows))
    few = [is_small(int(n), provenance) for n in rows["n_unmatched"]]
    if not any(few):
        return rows
    said = [shown_count(int(n), provenance) if own else "" for n, own in zip(rows["n_unmatched"], few, strict=True)]
    return rows.assign(n_obs=np.nan, n_unmatched=said, mark=SMALL_CELL)


def _is_told(value: object) -> bool:
    return not isinstance(value, (Mapping, list)) and value not in (None, False)


def _worded(name: str) -> str:
    """Return the word of a setting, or of what it is set to; its own name where there is none."""
    return wording.term(f"matching_{name}") if wording.knows(f"matching_{name}") else name


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else _worded(str(value))


def _six_digits(value: float) -> str:
    return f"{value:.6g}"
