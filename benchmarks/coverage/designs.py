"""Populations whose truth is known, the samples drawn from them, and the intervals whose coverage is counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import evaluation as ev
from evaluation.results import Estimates
from evaluation.synthetic.population import synthesize, true_answers

BLOCKS, RESIDENTS = 4, 20
SCHOOLS = {"E": 100, "H": 50, "M": 50}
DISTRICTS = 15


@dataclass(frozen=True)
class Study:
    """A population, how it is sampled, and what is estimated.

    Attributes
    ----------
    truth : mapping of str to float
        By name of the estimate.
    draw : function of a random generator
        Returns a sample with its design columns.
    estimate : function of a sample
        Returns the estimates by name, with their intervals.
    """

    truth: Mapping[str, float]
    draw: Callable[[np.random.Generator], pd.DataFrame]
    estimate: Callable[[pd.DataFrame], Mapping[str, Estimates]]


def _difference(means: Estimates, high: str, low: str) -> Estimates:
    return ev.contrast(means, {"difference": {high: 1.0, low: -1.0}})


def seoul(one_in: int = 10) -> Study:
    """Return two-stage samples of synthetic Seoul: 25 districts, 4 blocks each, 20 residents a block; 100 PSUs."""
    city = synthesize(one_in=one_in)
    people = city.residents[["district", "block", "sex", "age_group"]].copy()
    people["happy"] = true_answers(city, 2016)["happy"].astype(float)
    people["age"] = people["age_group"].clip(2, 6)
    size = np.bincount(people["block"], minlength=len(city.blocks))
    usable = size >= RESIDENTS
    district = city.blocks["district"].to_numpy()
    people = people[usable[people["block"]]]
    places = {d: np.flatnonzero(usable & (district == d)) for d in np.unique(district)}
    order = np.searchsorted(people["block"], np.arange(len(city.blocks)))
    counts = {name: people[name].value_counts().sort_index().to_dict() for name in ("sex", "age")}

    def draw(random: np.random.Generator) -> pd.DataFrame:
        blocks = np.concatenate([random.choice(place, BLOCKS, replace=False) for place in places.values()])
        picks = [order[b] + random.choice(size[b], RESIDENTS, replace=False) for b in blocks]
        sample = people.iloc[np.concatenate(picks)].reset_index(drop=True)
        sample["n_blocks"] = sample["district"].map({d: len(place) for d, place in places.items()})
        sample["n_residents"] = size[sample["block"]]
        sample["weight"] = sample["n_blocks"] / BLOCKS * sample["n_residents"] / RESIDENTS
        return sample.assign(person=np.arange(len(sample)))

    def estimate(sample: pd.DataFrame) -> Mapping[str, Estimates]:
        design = ev.survey_design(
            sample, weights="weight", strata="district", psu=["block", "person"], fpc=["n_blocks", "n_residents"]
        )
        by_sex = ev.survey_mean(design, "happy", by="sex")
        raked = ev.rake(design, counts)
        return {
            "mean": ev.survey_mean(design, "happy"),
            "difference of the sexes": _difference(by_sex, *(f"happy | sex={sex}" for sex in (2, 1))),
            "raked total": ev.survey_total(raked, "happy"),
        }

    means = people.groupby("sex")["happy"].mean()
    truth = {
        "mean": people["happy"].mean(),
        "difference of the sexes": means[2] - means[1],
        "raked total": people["happy"].sum(),
    }
    return Study({name: float(value) for name, value in truth.items()}, draw, estimate)


def _schools() -> pd.DataFrame:
    return ev.read_survey("api_2000", sample="apipop").data.assign(one=1.0)


def schools(population: pd.DataFrame | None = None) -> Study:
    """Return stratified element samples of all 6,194 schools: 100 elementary, 50 middle, 50 high schools."""
    whole = _schools() if population is None else population
    rows = {kind: np.flatnonzero(whole["stype"] == kind) for kind in SCHOOLS}
    total = {"total": len(whole), "api99": float(whole["api99"].sum())}

    def draw(random: np.random.Generator) -> pd.DataFrame:
        picks = np.concatenate([random.choice(rows[kind], n, replace=False) for kind, n in SCHOOLS.items()])
        sample = whole.iloc[picks].reset_index(drop=True)
        return sample.assign(schools=sample["stype"].map({kind: len(place) for kind, place in rows.items()}))

    def estimate(sample: pd.DataFrame) -> Mapping[str, Estimates]:
        design = ev.survey_design(sample, strata="stype", fpc="schools")
        by_type = ev.survey_mean(design, "api00", by="stype")
        return {
            "mean": ev.survey_mean(design, "api00"),
            "difference of school types": _difference(by_type, "api00 | stype=E", "api00 | stype=H"),
            "calibrated total": ev.survey_total(ev.calibrate(design, total), "api00"),
        }

    means = whole.groupby("stype")["api00"].mean()
    truth = {
        "mean": whole["api00"].mean(),
        "difference of school types": means["E"] - means["H"],
        "calibrated total": whole["api00"].sum(),
    }
    return Study({name: float(value) for name, value in truth.items()}, draw, estimate)


def districts(population: pd.DataFrame | None = None) -> Study:
    """Return cluster samples of all schools in 15 of 757 districts, whose sizes range from 1 to several hundred."""
    whole = _schools() if population is None else population
    numbers = np.unique(whole["dnum"])
    places = whole.groupby("dnum").indices
    by_type = {"stype": {str(kind): int(n) for kind, n in whole["stype"].value_counts().items()}}

    def draw(random: np.random.Generator) -> pd.DataFrame:
        while True:
            chosen = random.choice(numbers, DISTRICTS, replace=False)
            sample = whole.iloc[np.concatenate([places[number] for number in chosen])].reset_index(drop=True)
            if sample["stype"].nunique() == len(by_type["stype"]):
                return sample.assign(districts=len(numbers))

    def estimate(sample: pd.DataFrame) -> Mapping[str, Estimates]:
        design = ev.survey_design(sample, psu="dnum", fpc="districts")
        mean = ev.survey_mean(design, "api00")
        stratified = ev.poststratify(design, by_type)
        return {
            "mean": mean,
            "mean, Bell-McCaffrey df": ev.small_sample_df(mean, design),
            "total": ev.survey_total(design, "api00"),
            "post-stratified total": ev.survey_total(stratified, "api00"),
        }

    mean, total = float(whole["api00"].mean()), float(whole["api00"].sum())
    truth = {"mean": mean, "mean, Bell-McCaffrey df": mean, "total": total, "post-stratified total": total}
    return Study(truth, draw, estimate)


STUDIES: dict[str, Callable[[], Study]] = {
    "synthetic Seoul, 100 blocks in 25 districts": seoul,
    "apipop, 200 schools in 3 strata": schools,
    "apipop, 15 of 757 districts": districts,
}


def covered(study: Study, samples: int, seed: int) -> pd.DataFrame:
    """Return, for each sample and estimate, the estimate, its limits, and whether they hold the truth."""
    rows: list[dict[str, Any]] = []
    for number in range(samples):
        sample = study.draw(np.random.default_rng([seed, number]))
        for name, result in study.estimate(sample).items():
            row = result.tidy().iloc[0]
            inside = row["conf_low"] <= study.truth[name] <= row["conf_high"]
            rows.append(
                {
                    "sample": number,
                    "estimate": name,
                    "value": row["estimate"],
                    "std_error": row["std_error"],
                    "df": row["df"],
                    "covers": bool(inside),
                }
            )
    return pd.DataFrame(rows)
