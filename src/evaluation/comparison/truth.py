"""What is true of a synthetic city's participants and others, to stand beside what was estimated of them.

Estimates never read this. It is for the box "known truth" and the open diamonds in figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import pandas as pd

from evaluation import project
from evaluation.comparison.decomposition import PARTS
from evaluation.comparison.ladder import AIMED, BENCHMARK
from evaluation.errors import EstimationError
from evaluation.specification import read_study
from evaluation.synthetic.files import TRUTH_FILE, read_truth
from evaluation.synthetic.truth import PUBLISHED_PAIR

Key = Literal["part", "method", "quantity"]

#: Names of the true quantities of an item, and what the truth file calls them.
QUANTITIES: Mapping[str, str] = {
    "mean_participants": "participants",
    "mean_participants_without": "participants_without",
    "mean_others": "others",
    "mean_all": "all",
    "att": "att",
    "ate": "ate",
    "selection_observed": "selection_observed",
    "selection_unobserved": "selection_unobserved",
}
COLUMNS = ("term", "part", "method", "quantity", "truth")


def known_effects(study: str, *, item: str, key: Key | None = None) -> pd.DataFrame | None:
    """Return what is true of participants and others on an item, where it is known.

    Parameters
    ----------
    study : str
        Study id, or survey id.
    item : str
        Question, such as ``"stay"``.
    key : {"part", "method", "quantity"}, optional
        Return the rows of one kind alone, with the columns ``term``, ``key``, ``truth`` that a figure of
        ``decompose_gap`` or ``effect_ladder`` takes as its reference.

    Returns
    -------
    pandas.DataFrame or None
        Columns ``term, part, method, quantity, truth``, of the middle three one filled in each row: parts of the
        published gap (``stay`` alone); the effect on participants beside each rung of the ladder; means, effects
        and what participants differ by anyway. None where no truth is known, which is the rule, or none of the item.

    Raises
    ------
    EstimationError
        ``key`` is unknown.

    Examples
    --------
    >>> truth = known_effects("seoul_2016", item="stay", key="part")
    >>> dict(zip(truth["part"], (100 * truth["truth"]).round(1)))
    {'gap': 25.3, 'item_mismatch': 16.9, 'others_against_all': -0.1, 'selection_and_effect': 8.5, 'selection': 4.5, \
'effect': 4.0, 'remainder': 0.0}
    """
    if key is not None and key not in COLUMNS[1:4]:
        raise EstimationError(f"known_effects: key must be one of {list(COLUMNS[1:4])}, got {key!r}.")
    is_survey = (project.project_root() / "surveys" / study / "survey.yml").is_file()
    survey = study if is_survey else read_study(study).survey
    if not (project.survey_folder(survey) / TRUTH_FILE).is_file():
        return None
    known = read_truth(survey)
    own = known["items"].get(item) or known.get(item)
    if not (isinstance(own, dict) and "att" in own):
        return None
    rows = [*_parts(item, known["decomposition"]), *_rungs(item, own), *_quantities(item, own)]
    blank = dict.fromkeys(COLUMNS, "")
    whole = pd.DataFrame([{**blank, **row} for row in rows], columns=list(COLUMNS))
    if key is None:
        return whole
    return whole.loc[whole[key] != "", ["term", key, "truth"]].reset_index(drop=True)


def _parts(item: str, parts: Mapping[str, float]) -> list[dict[str, Any]]:
    if item != PUBLISHED_PAIR[0]:
        return []
    derived = {"selection_and_effect": parts["selection"] + parts["effect"], "remainder": 0.0}
    return [{"term": item, "part": part, "truth": {**parts, **derived}[part]} for part in PARTS]


def _rungs(item: str, own: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"term": item, "method": method, "truth": own["att"]} for method in (BENCHMARK, *AIMED)]


def _quantities(item: str, own: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"term": item, "quantity": name, "truth": own[entry]} for name, entry in QUANTITIES.items() if entry in own]
