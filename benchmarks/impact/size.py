"""How often each error rejects a true null: seeded roll-outs without any effect, person rows, public verbs.

Run ``python benchmarks/impact/size.py``; it writes ``size.csv`` beside itself, a row per design and rule. ``--design``,
``--estimator`` and ``--rollouts`` restrict it. Districts have yearly shocks (sd 0.6, autocorrelation 0.5), persons a
spread of 6; which district starts when is drawn anew each time. The estimate is the average effect after the start,
against districts not started yet, without covariates; beside it effects by imputation, and the coefficient of two-way
fixed effects. Where the last district to start is alone, effects that hang on it have no jackknife error: the rules are
then held for the average of the others, and imputation for the waves before.
"""

from __future__ import annotations

import argparse
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

import evaluation as ev

LEVEL = 0.05
SHOCK, PERSISTENCE, PERSON = 0.6, 0.5, 6.0
WAVES = np.arange(2012, 2020)
ASKED = {"outcome": "y", "cohort": "first"}
#: With so many rows CR2 is left out: its time grows with the rows of a cluster, its size does not.
MANY = 50_000
FILE = Path(__file__).with_suffix(".csv")
#: A rule that rejects a true null less often than this is called conservative, more often than the other too often.
CONSERVATIVE, LIBERAL = 0.035, 0.065


@dataclass(frozen=True)
class Rollouts:
    """A design: how many districts start when (0: never), and how many persons answer per district and wave."""

    starts: dict[int, int]
    persons: int = 40

    def draw(self, seed: list[int]) -> pd.DataFrame:
        """Return person rows of one roll-out."""
        random = np.random.default_rng(seed)
        first = random.permutation(np.repeat(list(self.starts), list(self.starts.values())))
        shocks = np.empty((len(first), len(WAVES)))
        shocks[:, 0] = random.normal(0, SHOCK, len(first))
        for wave in range(1, len(WAVES)):
            fresh = random.normal(0, SHOCK * np.sqrt(1 - PERSISTENCE**2), len(first))
            shocks[:, wave] = PERSISTENCE * shocks[:, wave - 1] + fresh
        district, wave = (codes.ravel() for codes in np.indices(shocks.shape))
        district, wave = np.repeat(district, self.persons), np.repeat(wave, self.persons)
        frame = pd.DataFrame({"district": district, "year": WAVES[wave], "first": first[district]})
        frame["started"] = ((frame["first"] > 0) & (frame["year"] >= frame["first"])).astype(float)
        frame["y"] = shocks[district, wave] + random.normal(0, PERSON, len(frame))
        return frame


STAGGERED = {2015: 7, 2016: 6, 2017: 6, 2018: 6}
DESIGNS = {
    "13 against 12, one date": Rollouts({2015: 13, 0: 12}),
    "25 staggered, not yet started": Rollouts(STAGGERED),
    "25 staggered, 12 outside": Rollouts(STAGGERED | {0: 12}),
    "25 staggered, 4 outside": Rollouts(STAGGERED | {0: 4}),
    "25 staggered, 12 outside, 400 persons": Rollouts(STAGGERED | {0: 12}, persons=400),
    "25 staggered, not yet started, 400 persons": Rollouts(STAGGERED, persons=400),
    "5 against 7, one date": Rollouts({2015: 5, 0: 7}),
    "2 against 10, one date": Rollouts({2015: 2, 0: 10}),
    "Seoul: 13, 5, 6 and 1": Rollouts({2015: 13, 2016: 5, 2017: 6, 2018: 1}),
}


def p_values(frame: pd.DataFrame, seed: int) -> dict[str, float]:
    """Return the p-value of the house's two rules for one roll-out; NaN where a rule gives none."""
    waves = ev.panel(ev.survey_design(frame), time="year")
    overall = ev.aggregate(ev.att_gt(waves, **ASKED, cluster="district"), supported_only=True)
    return {
        "group-time, district jackknife, t(G-1)": overall.tidy()["p_value"][0],
        "group-time, randomization of the order": ev.randomization_inference(overall, draws=999, seed=seed).p_value,
    }


def p_values_of_others(frame: pd.DataFrame, seed: int) -> dict[str, float]:
    """Return those of the rules that peers use by default, and of two-way fixed effects."""
    design = ev.survey_design(frame)
    waves = ev.panel(design, time="year")
    peers = ev.aggregate(ev.att_gt(waves, **ASKED, cluster="district", vcov="cluster"))
    sampling = ev.aggregate(ev.att_gt(waves, **ASKED, vcov="design"))
    g = frame["district"].nunique()
    z = peers.estimate[0] / peers.std_error[0]
    model = {"outcome": "y", "treatment": "started", "unit": "district", "time": "year", "cluster": "district"}
    sandwich, jackknife = (ev.twfe(design, **model, vcov=rule) for rule in ("CR1", "jackknife"))
    corrected = ev.twfe(design, **model, vcov="CR2").tidy() if len(frame) < MANY else None
    wild = ev.wild_cluster_bootstrap(sandwich, draws=999, seed=seed)
    return {
        "group-time, influence by district, normal (peers)": 2 * stats.norm.sf(abs(z)),
        "group-time, influence by district, G/(G-1), t(G-1)": 2 * stats.t.sf(abs(z) * np.sqrt((g - 1) / g), g - 1),
        "group-time, sampling error alone": sampling.tidy()["p_value"][0],
        "two-way effects, CR1, normal": 2 * stats.norm.sf(abs(sandwich.tidy()["statistic"][0])),
        "two-way effects, CR1, t(G-1)": sandwich.tidy()["p_value"][0],
        "two-way effects, CR2, Satterthwaite": np.nan if corrected is None else corrected["p_value"][0],
        "two-way effects, CV3, t(G-1)": jackknife.tidy()["p_value"][0],
        "two-way effects, wild bootstrap 11": wild.p_value,
    }


def p_values_of_imputation(frame: pd.DataFrame, seed: int) -> dict[str, float]:
    """Return those of imputation, on the waves that leave two districts to compare with."""
    waves = ev.comparable_waves(ev.panel(ev.survey_design(frame), time="year"), cohort="first", cluster="district")
    effects = ev.imputation_did(waves, outcome="y", cohort="first", cluster="district")
    return {
        "imputation, district jackknife, t(G-1)": effects.tidy()["p_value"][0],
        "imputation, randomization of the order": ev.randomization_inference(effects, draws=999, seed=seed).p_value,
    }


ESTIMATORS = {"group_time": p_values, "others": p_values_of_others, "imputation": p_values_of_imputation}


def one(task: tuple[str, str, int]) -> dict[str, float]:
    """Return the p-values of one seeded roll-out of a design."""
    estimator, name, number = task
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ESTIMATORS[estimator](DESIGNS[name].draw([list(DESIGNS).index(name), number]), seed=number)


def rejections(estimator: str, name: str, rollouts: int, workers: int) -> pd.DataFrame:
    """Return how often each rule rejects in one design."""
    tasks = [(estimator, name, number) for number in range(rollouts)]
    with ProcessPoolExecutor(workers) as pool:
        found = pd.DataFrame(list(pool.map(one, tasks, chunksize=20)))
    rows = []
    for rule in found:
        usable = found[rule].dropna()
        share = float((usable <= LEVEL).mean()) if len(usable) else np.nan
        error = np.sqrt(share * (1 - share) / len(usable)) if len(usable) else np.nan
        verdict = "too often" if share > LIBERAL else "conservative" if share < CONSERVATIVE else "holds"
        rows.append(
            {
                "design": name,
                "rule": rule,
                "rollouts": rollouts,
                "without_p_value": rollouts - len(usable),
                "rejected": round(share, 4),
                "simulation_error": round(error, 4),
                "verdict": verdict if len(usable) else "refused",
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    """Simulate the designs asked for, and put their rows in the place of those in the file."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--design", choices=[*DESIGNS], action="append")
    asked.add_argument("--estimator", choices=[*ESTIMATORS], action="append")
    asked.add_argument("--rollouts", type=int, default=2000)
    asked.add_argument("--workers", type=int, default=1)
    chosen = asked.parse_args()
    for name, estimator in product(chosen.design or DESIGNS, chosen.estimator or ESTIMATORS):
        rows = rejections(estimator, name, chosen.rollouts, chosen.workers)
        print(rows.to_string(index=False), flush=True)
        if FILE.exists():
            before = pd.read_csv(FILE)
            same = (before["design"] == name) & before["rule"].isin(rows["rule"])
            rows = pd.concat([before[~same], rows])
        order = {design: place for place, design in enumerate(DESIGNS)}
        rows = rows.assign(place=rows["design"].map(order)).sort_values(["place", "rule"], ignore_index=True)
        rows = rows.drop(columns="place")
        rows.to_csv(FILE, index=False, lineterminator="\n", encoding="utf-8")


if __name__ == "__main__":
    main()
