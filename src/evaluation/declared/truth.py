"""What is known to be true: of a population that a survey holds as a whole, or of a synthetic city.

Estimates never read this. It is for the box "known truth" and the open diamonds in figures.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from evaluation import project
from evaluation.errors import EstimationError
from evaluation.estimation.means import survey_mean
from evaluation.results import Estimates
from evaluation.specification import read_study
from evaluation.synthetic.files import TRUTH_FILE, read_truth
from evaluation.weighting.chain import study_design

#: The item that the synthetic roll-out moves.
POLICY_ITEM = "knows_center"


def known_truth(study: str, outcome: str, *, by: str | None = None) -> pd.DataFrame | None:
    """Return the population's true means, where they are known.

    Parameters
    ----------
    study : str
        Study id. Known are the means of a design that the study file names under ``truth``, and those of a
        synthetic city.
    outcome : str
        Numeric column.
    by : str, optional
        Column whose levels are the domains.

    Returns
    -------
    pandas.DataFrame or None
        Columns term, ``by``, truth; None where the truth is not known, which is the rule.

    Examples
    --------
    >>> round(float(known_truth("api_2000", "api00").loc[0, "truth"]), 2)
    664.71
    >>> float(known_truth("seoul_2016", "live_in_seoul").loc[0, "truth"])
    0.594
    """
    specification = read_study(study)
    if specification.truth is not None:
        truth = survey_mean(study_design(study, specification.truth), outcome, by=by)
        return truth.keys.assign(truth=truth.estimate)
    known = _of_city(specification.survey)
    return None if known is None else _means(known, outcome, by)


def _of_city(survey: str) -> dict[str, Any] | None:
    return read_truth(survey) if (project.survey_folder(survey) / TRUTH_FILE).is_file() else None


def _means(known: dict[str, Any], outcome: str, by: str | None) -> pd.DataFrame | None:
    item = known["items"].get(outcome) or known.get(outcome)
    if not isinstance(item, dict):
        return None
    if by is None:
        return pd.DataFrame({"term": [outcome], "truth": [item["all"]]}) if "all" in item else None
    if by == "participant":
        return pd.DataFrame({"term": outcome, by: [0, 1], "truth": [item["others"], item["participants"]]})
    levels = item.get(f"by_{by}")
    if levels is None:
        return None
    return pd.DataFrame({"term": outcome, by: [int(code) for code in levels], "truth": list(levels.values())})


def known_policy_effects(study: str, effects: Estimates, *, over: Estimates | None = None) -> pd.DataFrame | None:
    """Return the true effects of the synthetic roll-out for the rows of an estimate.

    Parameters
    ----------
    study : str
        Study id.
    effects : Estimates
        From ``att_gt`` (``cohort`` and ``time``) or from ``aggregate`` (``event_time``, ``cohort`` or ``time``).
    over : Estimates, optional
        The ``att_gt`` result that was aggregated: the truth is then averaged over the same cells, as
        residents are distributed over cohorts. Without it, over all cells of the city.

    Returns
    -------
    pandas.DataFrame or None
        The keys of the rows and ``truth``; None where the truth is not known for the outcome.

    Raises
    ------
    EstimationError
        The estimate has no such keys.
    """
    known = _of_city(read_study(study).survey)
    outcome = str(effects.keys["term"].iloc[-1])
    if known is None or outcome != POLICY_ITEM:
        return None
    cells = pd.DataFrame(known["rollout"]["by_district_cohort"]).rename(
        columns={"district_cohort": "cohort", "year": "time", "effect": "truth"}
    )
    cells["event_time"] = cells["time"] - cells["cohort"]
    if over is not None:
        estimated = over.keys[["cohort", "time"]][~pd.isna(over.estimate)]
        cells = cells.merge(estimated.astype(int).drop_duplicates(), on=["cohort", "time"])
    shared = [name for name in ("cohort", "time", "event_time") if name in effects.keys]
    if not shared:
        raise EstimationError(
            f"known_policy_effects: expected rows with cohort and time, or event_time, got {list(effects.keys)}."
        )
    return _averaged(effects.keys, cells, shared)


def _averaged(keys: pd.DataFrame, cells: pd.DataFrame, shared: list[str]) -> pd.DataFrame:
    weighted = cells.assign(total=cells["truth"] * cells["residents"]).groupby(shared, as_index=False)
    sums = weighted[["total", "residents"]].sum()
    sums["truth"] = sums["total"] / sums["residents"]
    wanted = keys.dropna(subset=shared)
    return wanted.astype(dict.fromkeys(shared, int)).merge(sums[[*shared, "truth"]], on=shared, how="inner")
