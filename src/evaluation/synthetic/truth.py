"""What is true of the synthetic city, counted over the stored potential answers of every resident."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.synthetic.outcomes import ITEMS, YEAR, Answers
from evaluation.synthetic.participation import age_class, odds_bounds, propensity
from evaluation.synthetic.population import City, potential_answers, potential_policy_answers, true_answers
from evaluation.synthetic.rollout import WAVES, district_cohorts, district_doses
from evaluation.synthetic.sampling import VISIT_SHARE, citizen_response, roster_response, shift_of

Floats = NDArray[np.float64]

#: The published pair: among participants; among all residents, to another question.
PUBLISHED_PAIR = ("stay", "live_in_seoul")
NOTE = "synthetic: true of the synthetic city of survey seoul_2016, of no real person; shares from 0 to 1"


def truth_of(city: City) -> dict[str, Any]:
    """Return the known truth, by plain counting.

    Parameters
    ----------
    city : City
        From ``synthesize``.

    Returns
    -------
    dict
        ``population`` (persons, participants), ``items`` (for each question shares of all, participants,
        others, participants had they not taken part; effect on participants, also by sex, age and
        intensity; selection, split into what covariates and what the trait make), ``trust_neighbours`` (means on
        a scale from 1 to 5), ``lean_on_more`` (a change, asked of participants alone), ``decomposition`` of the
        published gap, ``odds_bounds`` of the trait, ``rollout`` (without and with, by district cohort, by
        own dong's cohort, by years since, by dose, by district), ``expectations``. Shares and effects run from 0 to 1.
    """
    residents = city.residents
    gamma, marginal = odds_bounds(city.odds, city.switches)
    return {
        "note": NOTE,
        "seed": city.seed,
        "one_in": city.one_in,
        "switches": {name: getattr(city.switches, name) for name in city.switches.__dataclass_fields__},
        "population": {"residents": len(residents), "participants": int(residents["participant"].sum())},
        "items": {item: _item_truth(city, item) for item in ITEMS},
        "trust_neighbours": _scale_truth(city),
        "lean_on_more": {"participants": float(residents.loc[residents["participant"] == 1, "lean_on_more"].mean())},
        "decomposition": decomposition(city),
        "odds_bounds": {"gamma": gamma, "lambda": marginal},
        "rollout": _rollout_truth(city),
        "expectations": expectations(city),
    }


def _item_truth(city: City, item: str) -> dict[str, Any]:
    residents = city.residents
    without, with_ = potential_answers(city, item, YEAR)
    takes_part = residents["participant"].to_numpy() == 1
    actual = np.where(takes_part, with_, without)
    observed, unobserved = _selection(city, without, takes_part)
    groups = {
        "sex": residents["sex"].to_numpy(),
        "age_class": age_class(residents["age_group"].to_numpy()),
        "intensity": residents["intensity"].to_numpy(),
    }
    return {
        "all": float(actual.mean()),
        "participants": float(with_[takes_part].mean()),
        "participants_without": float(without[takes_part].mean()),
        "others": float(without[~takes_part].mean()),
        "att": _gain(without, with_, takes_part),
        "ate": _gain(without, with_, np.ones(len(actual), dtype=bool)),
        "selection_observed": observed,
        "selection_unobserved": unobserved,
        "by_age_group": _shares(actual, residents["age_group"].to_numpy()),
        "by_sex": _shares(actual, groups["sex"]),
        "by_district": _shares(actual, residents["district"].to_numpy()),
        "att_by": {
            name: {str(k): _gain(without, with_, takes_part & (group == k)) for k in np.unique(group[takes_part])}
            for name, group in groups.items()
        },
    }


def _scale_truth(city: City) -> dict[str, float]:
    """Mean trust on the scale from 1 to 5."""
    takes_part = city.residents["participant"].to_numpy() == 1
    without, with_ = (city.residents[f"trust_neighbours_{end}"].to_numpy(float) for end in ("without", "with"))
    return {
        "all": float(np.where(takes_part, with_, without).mean()),
        "participants": float(with_[takes_part].mean()),
        "participants_without": float(without[takes_part].mean()),
        "others": float(without[~takes_part].mean()),
        "att": float(with_[takes_part].mean() - without[takes_part].mean()),
    }


def _gain(without: Answers, with_: Answers, rows: Answers) -> float:
    return float(with_[rows].mean() - without[rows].mean())


def _shares(actual: Answers, group: NDArray[np.int64]) -> dict[str, float]:
    return {str(k): float(actual[group == k].mean()) for k in np.unique(group)}


def _selection(city: City, without: Answers, takes_part: Answers) -> tuple[float, float]:
    """Split what participants differ by anyway: others made alike in all that is measured stand between."""
    chance = propensity(city.odds, city.switches)[~takes_part]
    alike = float(np.average(without[~takes_part], weights=chance / (1 - chance)))
    return alike - float(without[~takes_part].mean()), float(without[takes_part].mean()) - alike


def decomposition(city: City) -> dict[str, float]:
    """Return the parts of the published gap: participants' wish to stay against all residents' wish for Seoul.

    Returns
    -------
    dict
        ``gap = item_mismatch + others_against_all + selection + effect``: the other question, the other
        population, who takes part, and what taking part does.
    """
    item, other = PUBLISHED_PAIR
    without, with_ = potential_answers(city, item, YEAR)
    takes_part = city.residents["participant"].to_numpy() == 1
    actual = np.where(takes_part, with_, without)
    compared = np.where(takes_part, *reversed(potential_answers(city, other, YEAR)))
    others = without[~takes_part].mean()
    return {
        "gap": float(with_[takes_part].mean() - compared.mean()),
        "item_mismatch": float(actual.mean() - compared.mean()),
        "others_against_all": float(others - actual.mean()),
        "selection": float(without[takes_part].mean() - others),
        "effect": _gain(without, with_, takes_part),
    }


def expectations(city: City) -> dict[str, Any]:
    """Return what the weighted surveys of 2016 show on average: the truth, and who answers, and how they are asked.

    Returns
    -------
    dict
        ``citizens`` (final weights): all, participants and others by question. ``roster`` (final weights):
        participants by question, and the response rate.
    """
    residents = city.residents
    takes_part = residents["participant"].to_numpy() == 1
    answers = true_answers(city, YEAR)
    chance = citizen_response(city, residents)
    weight = chance * _cell_ratio(residents[["district", "sex", "age_group"]], chance)
    members = residents[takes_part]
    called = roster_response(city, members)
    kind = members["project"].map(city.projects.set_index("project")["project_type"])
    weight_called = called * _cell_ratio(pd.DataFrame({"kind": kind, "sex": members["sex"]}), called)
    citizens, roster = {}, {}
    for item, truth in answers.items():
        seen = truth + (1 - truth) * shift_of(city, item, YEAR, np.array(VISIT_SHARE))
        groups = {"all": np.ones(len(truth), dtype=bool), "participants": takes_part, "others": ~takes_part}
        citizens[item] = {name: float(np.average(seen[rows], weights=weight[rows])) for name, rows in groups.items()}
        told = truth[takes_part] + (1 - truth[takes_part]) * shift_of(city, item, YEAR, np.array(1.0))
        roster[item] = float(np.average(told, weights=weight_called))
    return {"citizens": citizens, "roster": {**roster, "response_rate": float(called.mean())}}


def _cell_ratio(cells: pd.DataFrame, chance: Floats) -> Floats:
    """People over expected respondents of each one's weighting cell."""
    rates = pd.Series(chance, index=cells.index).groupby([cells[name] for name in cells]).transform("mean")
    return 1 / rates.to_numpy()


def _rollout_truth(city: City) -> dict[str, Any]:
    cells = rollout_cells(city)
    by_wave = _means(cells, ["year"])
    covered = cells[cells["dong_cohort"] <= cells["year"]]
    cells["dose_class"] = np.select(
        [cells["dose"] == 0, cells["dose"] <= 1 / 3, cells["dose"] <= 2 / 3, cells["dose"] < 1],
        ["0", "to 1/3", "to 2/3", "below 1"],
        "1",
    )
    settled = cells[(cells["dose"] == 1) & (cells["year"] > cells["full_from"])]
    return {
        "by_wave": by_wave.to_dict("records"),
        "by_district_cohort": _means(cells, ["district_cohort", "year"]).to_dict("records"),
        "by_dong_cohort": _means(cells, ["dong_cohort", "year"]).to_dict("records"),
        "by_years_since": _means(covered.assign(since=covered["year"] - covered["dong_cohort"]), ["since"]).to_dict(
            "records"
        ),
        "by_dose": _means(cells, ["dose_class"]).to_dict("records"),
        "by_district": _means(cells, ["district", "year"]).to_dict("records"),
        "on_covered": _overall(covered),
        "at_full_dose": _overall(settled),
    }


def rollout_cells(city: City) -> pd.DataFrame:
    """Return residents' answers to the question of the roll-out, counted by dong and wave.

    Returns
    -------
    pandas.DataFrame, 4,240 rows
        ``dong, district, dong_cohort, district_cohort, year, dose`` (share of the district's dongs
        covered), ``full_from`` (wave from which all of them are), ``residents``, ``without``, ``with``
        (residents who know the service without and with the roll-out).
    """
    dongs, place = city.dongs, city.dong_place
    doses, cohorts = district_doses(dongs), district_cohorts(dongs)
    full_from = dongs.groupby("district")["covered_wave"].max()
    waves = []
    for year in WAVES:
        without, with_ = potential_policy_answers(city, year)
        cells = dongs[["dong", "district"]].copy()
        cells["dong_cohort"], cells["district_cohort"] = dongs["covered_wave"], dongs["district"].map(cohorts)
        cells["year"], cells["dose"] = year, dongs["district"].map(doses[year])
        cells["full_from"], cells["residents"] = dongs["district"].map(full_from), dongs["residents"]
        cells["without"] = np.bincount(place, weights=without, minlength=len(dongs))
        cells["with"] = np.bincount(place, weights=with_, minlength=len(dongs))
        waves.append(cells)
    return pd.concat(waves, ignore_index=True)


def _means(cells: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Shares without and with, their difference, and the mean dose, per resident of each group."""
    weighted = cells.assign(dose=cells["dose"] * cells["residents"])
    sums = weighted.groupby(by)[["residents", "without", "with", "dose"]].sum().reset_index()
    for name in ("without", "with", "dose"):
        sums[name] = sums[name] / sums["residents"]
    return sums.assign(effect=sums["with"] - sums["without"])


def _overall(cells: pd.DataFrame) -> float:
    return float((cells["with"].sum() - cells["without"].sum()) / cells["residents"].sum())
