"""What is known to be true: of a population that a survey holds as a whole, or of a synthetic city.

Estimates never read this. It is for the box "known truth" and the open diamonds in figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from evaluation import project, wording
from evaluation.errors import EstimationError
from evaluation.estimation.means import survey_mean
from evaluation.results import Estimates, Provenance, frame_html
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


def known_policy_effects(study: str, effects: Estimates) -> pd.DataFrame | None:
    """Return the true effects of the synthetic roll-out for the rows of an estimate.

    Parameters
    ----------
    study : str
        Study id.
    effects : Estimates
        From ``att_gt``, or from ``aggregate``: there the true effects of the same cohorts and times are summed up with
        the weights of the estimate, row ``overall`` included.

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
    outcome = str(effects.fit.get("outcome", effects.keys["term"].iloc[-1]))
    if known is None or outcome != POLICY_ITEM:
        return None
    cells = pd.DataFrame(known["rollout"]["by_district_cohort"]).rename(
        columns={"district_cohort": "cohort", "year": "time", "effect": "truth"}
    )
    if "cell_weights" in effects.fit:
        return _summed(effects, cells)
    if not {"cohort", "time"} <= set(effects.keys):
        raise EstimationError(
            f"known_policy_effects: expected rows with cohort and time, or an aggregate of them, got "
            f"{list(effects.keys)}."
        )
    return effects.keys.astype({"cohort": int, "time": int}).merge(cells[["cohort", "time", "truth"]], how="inner")


def _summed(effects: Estimates, cells: pd.DataFrame) -> pd.DataFrame:
    """Sum true effects with the weights that the estimate gave each cohort and time."""
    columns = (cells[name].tolist() for name in ("cohort", "time", "truth"))
    true = {f"{cohort},{time}": effect for cohort, time, effect in zip(*columns, strict=True)}
    weights = effects.fit["cell_weights"]
    by = [name for name in effects.keys if name != "term"]
    rows = []
    for row in effects.keys.to_dict("records"):
        label = next((f"{int(row[name])}" for name in by if not pd.isna(row[name])), "overall")
        shares = weights.get(label, {})
        if shares and set(shares) <= set(true):
            rows.append({**row, "truth": sum(share * true[cell] for cell, share in shares.items())})
    return pd.DataFrame(rows, columns=[*effects.keys, "truth"])


@dataclass(frozen=True, eq=False)
class AgainstTruth:
    """Estimates beside what is known to be true.

    Attributes
    ----------
    rows : pandas.DataFrame
        Keys of the estimates, ``estimate``, ``std_error``, ``truth``, ``missed_by`` (estimate less truth) and
        ``is_covered`` (whether the interval holds the truth).
    provenance : Provenance
        For captions and manifests.
    """

    rows: pd.DataFrame
    provenance: Provenance

    def tidy(self) -> pd.DataFrame:
        """Return one row per estimate whose truth is known."""
        return self.rows.copy()

    def __repr__(self) -> str:
        if self.rows.empty:
            return wording.term("no_truth")
        return self.rows.to_string(index=False, float_format=lambda value: f"{value:.4f}")

    def _repr_html_(self) -> str:
        return f"<p>{wording.term('no_truth')}</p>" if self.rows.empty else frame_html(self.rows)


def against_truth(result: Estimates, known: pd.DataFrame | None) -> AgainstTruth:
    """Put estimates beside what is known to be true: the box "known truth" of a synthetic city.

    Parameters
    ----------
    result : Estimates
        Any estimates.
    known : pandas.DataFrame or None
        From ``known_truth``, ``known_effects`` or ``known_policy_effects``: keys and a column ``truth``.
        None, where nothing is known, gives no rows.

    Returns
    -------
    AgainstTruth

    Raises
    ------
    EstimationError
        Estimates and truth have no key in common.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> mean = survey_mean(survey_design(pd.DataFrame({"y": [1.0, 2.0, 3.0]})), "y")
    >>> against_truth(mean, pd.DataFrame({"term": ["y"], "truth": [2.5]})).tidy()["missed_by"].tolist()
    [-0.5]
    """
    names = [str(name) for name in result.keys]
    columns = [*names, "estimate", "std_error", "truth", "missed_by", "is_covered"]
    if known is None:
        return AgainstTruth(pd.DataFrame(columns=columns), result.provenance)
    shared = [name for name in names if name in known]
    if not shared:
        raise EstimationError(
            f"against_truth: the estimates are told apart by {names}, the truth by "
            f"{[name for name in known if name != 'truth']}; they have no key in common."
        )
    own = result.tidy()[[*names, "estimate", "std_error", "conf_low", "conf_high"]]
    left = own.astype(dict.fromkeys(shared, object))
    rows = left.merge(known[[*shared, "truth"]].astype(dict.fromkeys(shared, object)), on=shared, how="inner")
    rows["truth"] = rows["truth"].astype(float)
    rows["missed_by"] = rows["estimate"] - rows["truth"]
    held = (rows["conf_low"] <= rows["truth"]) & (rows["truth"] <= rows["conf_high"])
    rows["is_covered"] = np.where(held, "yes", "no")
    return AgainstTruth(rows[columns], result.provenance)
