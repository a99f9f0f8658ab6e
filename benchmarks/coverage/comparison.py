"""How often intervals of adjusted comparisons hold the truth, in 4,000 seeded samples of synthetic Seoul.

Run ``python benchmarks/coverage/comparison.py``; it writes ``comparison.csv`` and ``bounds.csv`` beside itself. With
``--samples 200`` it is a quick look that writes nothing; ``--processes 4`` runs the settings side by side.
With ``--cities`` it asks everybody in 20 cities of other seeds instead, and writes ``cities.csv``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from designs import Study, covered
from numpy.typing import NDArray
from scipy.special import expit

import evaluation as ev
from evaluation.comparison.differences import estimate_difference
from evaluation.estimation.counterfactual import potential_outcome_means
from evaluation.estimation.groups import groups_of
from evaluation.results import Estimates
from evaluation.synthetic.participation import age_class, odds_bounds
from evaluation.synthetic.population import City, synthesize
from evaluation.synthetic.switches import Switches

Floats = NDArray[np.float64]

SAMPLES, SEED, CITIES = 4_000, 2016, 20
HERE = Path(__file__).resolve().parent
#: Draws of dongs in each of 25 districts, and who is asked in each: participants from the roster, and others.
DRAWS, PARTICIPANTS, OTHERS = 4, 12, 24
#: What moves participation where the trait does not. Sexes differ by age among the old only, so that they alone get
#: an interaction: there are too few young men among participants for a logit of their own.
RIGHT = ("age_class", "sex", "old_woman", "children", "owner", "tenure_years")
#: The same with age as a straight line, though most participants are in their thirties and forties.
STRAIGHT_AGE = ("sex", "age_years", "children", "owner", "tenure_years")
#: Each method's kernel and what makes its balancing weights. ``ev.ipw`` and its like end in the same two calls.
HOW: Mapping[str, tuple[Any, Any]] = {
    "difference": ("difference", "propensity"),
    "g-computation": ("g_computation", "propensity"),
    "ipw": ("ipw", "propensity"),
    "entropy balancing": ("ipw", "entropy"),
    "aipw": ("aipw", "propensity"),
    "aipw, predictions averaged by the fitted score": ("aipw", "fitted"),
    "ipw, weights taken as given": ("ipw", "as given"),
}
KEPT = ("district", "dong", "sex", "age_years", "children", "owner", "tenure_years", "participant")


@dataclass(frozen=True)
class Setting:
    """What is compared, with which covariates, by which verbs; and whether the trait moves participation."""

    outcome: Callable[[City, pd.DataFrame], tuple[Floats, Floats]]
    covariates: Sequence[str]
    methods: Sequence[str]
    family: str | None = None
    trait: bool = False


def stay(city: City, people: pd.DataFrame) -> tuple[Floats, Floats]:
    """Return the city's own answers to whether one wants to stay, without and with taking part."""
    without, with_ = (city.residents[f"stay_{end}"].to_numpy(float) for end in ("without", "with"))
    return without, with_


def halls(city: City, people: pd.DataFrame) -> tuple[Floats, Floats]:
    """Return who goes to a hall for the old: a logit that is linear in age, rising late."""
    random = np.random.default_rng(SEED)
    block = 0.2 * random.standard_normal(len(city.blocks))[city.residents["block"]]
    odds = 0.12 * (people["age_years"] - 62) + 0.3 * (people["sex"] == 2) - 0.2 * people["children"] + block
    numbers = random.random(len(people))
    return (numbers < expit(odds)).astype(float), (numbers < expit(odds + 0.4)).astype(float)


def visits(city: City, people: pd.DataFrame) -> tuple[Floats, Floats]:
    """Return visits to neighbours: more for mothers than for fathers and women without children together."""
    random = np.random.default_rng(SEED)
    block = 0.5 * random.standard_normal(len(city.blocks))[city.residents["block"]]
    mothers = ((people["sex"] == 2) & (people["children"] == 1)).to_numpy(float)
    without = 10 + 6 * mothers + (people["tenure_years"].to_numpy() - 15) ** 2 / 30 + block
    without = without + 3 * random.standard_normal(len(people))
    return without, without + 1


SETTINGS: Mapping[str, Setting] = {
    "both models right": Setting(
        stay, RIGHT, ("aipw", "ipw", "entropy balancing", "g-computation", "ipw, weights taken as given", "difference")
    ),
    "participation model wrong": Setting(
        halls, STRAIGHT_AGE, ("aipw", "aipw, predictions averaged by the fitted score", "ipw", "g-computation")
    ),
    "outcome model wrong": Setting(visits, RIGHT, ("aipw", "ipw", "g-computation"), family="gaussian"),
    "a trait moves participation": Setting(stay, RIGHT, ("aipw",), trait=True),
}


def residents_of(city: City, setting: Setting) -> tuple[pd.DataFrame, float]:
    """Return the residents with covariates and what they answer, and the true effect on participants."""
    people = city.residents[list(KEPT)].copy()
    people["age_class"] = np.array(["young", "middle", "old"])[age_class(city.residents["age_group"].to_numpy())]
    people["old_woman"] = ((people["age_class"] == "old") & (people["sex"] == 2)).astype(int)
    without, with_ = setting.outcome(city, people)
    took_part = people["participant"].to_numpy() == 1
    people["answer"] = np.where(took_part, with_, without)
    return people, float((with_ - without)[took_part].mean())


def draw_of(people: pd.DataFrame) -> Callable[[np.random.Generator], pd.DataFrame]:
    """Return how a sample is drawn: dongs in proportion to residents, with replacement, and two groups in each."""
    order = np.lexsort((people["participant"], people["dong"]))
    dongs, first, size = np.unique(people["dong"].to_numpy()[order], return_index=True, return_counts=True)
    members = np.bincount(np.searchsorted(dongs, people["dong"]), people["participant"]).astype(np.int64)
    district = people["district"].to_numpy()[order][first]
    columns = {name: people[name].to_numpy()[order] for name in people}

    def draw(random: np.random.Generator) -> pd.DataFrame:
        rows, own = [], []
        for place in np.unique(district):
            inside = np.flatnonzero(district == place)
            chance = size[inside] / size[inside].sum()
            for dong in random.choice(inside, DRAWS, p=chance):
                others = size[dong] - members[dong]
                for start, there, asked in ((0, others, OTHERS), (others, members[dong], PARTICIPANTS)):
                    taken = min(asked, there)
                    rows.append(first[dong] + start + random.choice(there, taken, replace=False))
                    own.append(
                        (len(own) // 2, taken, size[inside].sum() / (DRAWS * size[dong]) * there / max(taken, 1))
                    )
        unit, taken, weight = (np.array(values) for values in zip(*own, strict=True))
        picks = np.concatenate(rows)
        sample = pd.DataFrame({name: values[picks] for name, values in columns.items()})
        return sample.assign(weight=np.repeat(weight, taken), unit=np.repeat(unit, taken))

    return draw


def declared(sample: pd.DataFrame) -> ev.Design:
    """Return the sample with its weights, its strata and its draws of dongs."""
    return ev.survey_design(sample, weights="weight", strata="district", psu="unit")


def estimated(setting: Setting, sample: pd.DataFrame) -> dict[str, Estimates]:
    """Return the effect on participants by every method of a setting, the sample being read once for all of them."""
    design = declared(sample)
    family: Any = setting.family
    names = {"outcome": "answer", "treatment": "participant"}
    groups = groups_of(design, **names, covariates=list(setting.covariates), family=family, verb="coverage")
    found = {}
    for method in setting.methods:
        verb, how = HOW[method]
        if how == "as given":
            balanced = potential_outcome_means(groups, design.domain_weights, verb, "ATT").balancing
            given = declared(sample.assign(weight=sample["weight"] * balanced))
            found[method] = ev.group_difference(given, **names)
        elif how == "fitted":
            found[method] = estimate_difference(design, groups, verb=verb, method=verb, target=how, **names)
        else:
            found[method] = estimate_difference(design, groups, verb=verb, method=verb, balancing=how, **names)
    return found


def study_of(setting: Setting, one_in: int = 5, seed: int = SEED) -> tuple[Study, City, pd.DataFrame]:
    """Return a setting's samples and estimates, the city they come from, and its residents."""
    city = synthesize(seed, switches=Switches(unobserved_trait=setting.trait, overlap_in_place=False), one_in=one_in)
    people, truth = residents_of(city, setting)
    truths = dict.fromkeys(setting.methods, truth)
    return Study(truths, draw_of(people), lambda sample: estimated(setting, sample)), city, people


def in_the_whole_city(setting: Setting, people: pd.DataFrame) -> dict[str, float]:
    """Return what each method finds when everybody is asked: chance imbalance of the city, and wrong models."""
    everybody = people.assign(weight=1.0, unit=np.arange(len(people)))
    return {name: float(result.estimate[0]) for name, result in estimated(setting, everybody).items()}


def bounded(study: Study, city: City, samples: int, seed: int) -> pd.DataFrame:
    """Return, for each sample, whether the truth lies between the bounds at the trait's own Lambda.

    Parameters
    ----------
    study : Study
        Of the setting in which a trait moves participation.
    city : City
        Its switches and odds say how strong the trait is.
    samples, seed : int
        As in ``covered``.
    """
    truth, own = study.truth["aipw"], odds_bounds(city.odds, city.switches)[1]
    rows = []
    for number in range(samples):
        design = declared(study.draw(np.random.default_rng([seed, number])))
        asked: dict[str, Any] = {"outcome": "answer", "treatment": "participant", "covariates": list(RIGHT)}
        found = ev.sensitivity_bounds(design, **asked, lambda_=[1.0, own])
        low, high = found.estimate[2], found.estimate[3]
        limits = found.confidence_interval()
        inside, wide = low <= truth <= high, limits[2, 0] <= truth <= limits[3, 1]
        rows.append({"lambda": own, "low": low, "high": high, "inside": bool(inside), "inside_limits": bool(wide)})
    return pd.DataFrame(rows)


def summed_up(name: str, found: pd.DataFrame, study: Study, city: Mapping[str, float]) -> pd.DataFrame:
    """Return bias with its Monte Carlo error, coverage, and the errors estimated against the true one, by method."""
    groups = found.groupby("estimate", sort=False)
    truth = pd.Series(study.truth)
    spread = groups["value"].std()
    table = pd.DataFrame(
        {
            "setting": name,
            "samples": groups.size(),
            "truth": truth,
            "bias": groups["value"].mean() - truth,
            "bias_error": spread / np.sqrt(groups.size()),
            "bias_of_whole_city": pd.Series(dict(city)) - truth,
            "coverage": groups["covers"].mean(),
            "mean_std_error": groups["std_error"].mean(),
            "true_std_error": spread,
            "median_df": groups["df"].median(),
        }
    )
    return table.loc[list(study.truth)].rename_axis("method").reset_index()


def in_other_cities(name: str) -> pd.DataFrame:
    """Return, over cities of other seeds, the mean of what each method misses when everybody is asked.

    One city's miss is chance: its participants are a few thousand persons. What stays on average is bias.
    """
    setting, rows = SETTINGS[name], []
    for seed in range(1, CITIES + 1):
        study, _, people = study_of(setting, 40, seed)
        found = in_the_whole_city(setting, people)
        rows += [{"method": method, "miss": value - study.truth[method]} for method, value in found.items()]
    groups = pd.DataFrame(rows).groupby("method", sort=False)["miss"]
    table = pd.DataFrame({"setting": name, "cities": CITIES, "bias": groups.mean(), "bias_error": groups.sem()})
    return table.reset_index()


def counted(name: str, samples: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the table of one setting, and how often bounds hold the truth; empty without a trait."""
    setting = SETTINGS[name]
    study, city, people = study_of(setting)
    table = summed_up(name, covered(study, samples, SEED), study, in_the_whole_city(setting, people))
    print(table.to_string(), flush=True)
    if not setting.trait:
        return table, pd.DataFrame()
    bounds = bounded(study, city, samples, SEED).mean().to_frame().T.assign(samples=samples, truth=study.truth["aipw"])
    print(bounds.to_string(), flush=True)
    return table, bounds


def main() -> None:
    """Count coverage in every setting, and how often bounds hold the truth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--cities", action="store_true")
    asked = parser.parse_args()
    with ProcessPoolExecutor(asked.processes) as pool:
        if asked.cities:
            found = pd.concat(pool.map(in_other_cities, SETTINGS)).round({"bias": 6, "bias_error": 6})
            print(found.to_string())
            found.to_csv(HERE / "cities.csv", index=False)
            return
        tables, bounds = zip(*pool.map(partial(counted, samples=asked.samples), SETTINGS), strict=True)
    if asked.samples == SAMPLES:
        whole = pd.concat(tables)
        for column in ("truth", "bias", "bias_error", "bias_of_whole_city", "mean_std_error", "true_std_error"):
            whole[column] = whole[column].map("{:.5f}".format)
        whole.round({"coverage": 4}).to_csv(HERE / "comparison.csv", index=False)
        pd.concat(bounds).round(4).to_csv(HERE / "bounds.csv", index=False)


if __name__ == "__main__":
    main()
