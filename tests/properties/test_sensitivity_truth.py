"""A city with a hidden trait whose strength is known: what bounds and negative controls make of it."""

import functools
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import evaluation as ev
from evaluation.synthetic.participation import odds_bounds
from evaluation.synthetic.population import potential_answers
from evaluation.synthetic.sampling import DONT_KNOW, citizen_survey

known = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("test_known_truth.py"))))

SEEDS = range(1, 4)
#: The programme does not move these: participants would answer so anyway.
UNMOVED = ["happy", "live_in_seoul"]


@functools.cache
def survey_of(trait, seed):
    sample = citizen_survey(known.city_with(trait), seed=seed)
    answers = sample[["stay", *UNMOVED]]
    sample = sample.assign(**answers.where(answers != DONT_KNOW))
    nominal = {name: sample[name].astype(str) for name in ("sex", "age_group", "village_plan")}
    return ev.survey_design(sample.assign(**nominal), weights="weight_design", strata="district", psu="block_draw")


@functools.cache
def truth_of(item):
    city = known.city_with(True)
    without, with_ = potential_answers(city, item)
    members = city.residents["participant"].to_numpy() == 1
    return float(with_[members].mean() - without[members].mean())


def asked(item):
    return {"outcome": item, "treatment": "participant", "covariates": known.COVARIATES}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("item", ["stay", "happy"])
def test_samples_of_the_city_hold_the_truth_at_the_exact_lambda(item, seed):
    city = known.city_with(True)
    marginal = odds_bounds(city.odds, city.switches)[1]
    result = ev.sensitivity_bounds(survey_of(True, seed), **asked(item), lambda_=[marginal])
    low, high = result.estimate
    assert low < truth_of(item) < high


def test_bootstrap_percentiles_hold_it_too():
    city = known.city_with(True)
    marginal = odds_bounds(city.odds, city.switches)[1]
    options = {"lambda_": [marginal], "interval": "bootstrap", "replicates": 30, "seed": 1}
    result = ev.sensitivity_bounds(survey_of(True, 1), **asked("stay"), **options)
    limits = result.confidence_interval()
    assert limits[0, 0] < result.estimate[0] < truth_of("stay") < result.estimate[1] < limits[1, 1]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_worst_case_holds_the_truth(seed):
    given = {"outcome": "stay", "treatment": "participant", "estimand": "ATT"}
    for options in ({}, {"response": "increasing", "selection": "positive"}):
        limits = ev.manski_bounds(survey_of(True, seed), **given, **options).confidence_interval()
        assert limits[0, 0] < truth_of("stay") < limits[1, 1]


def test_outcomes_that_the_programme_does_not_move_show_up_the_trait_and_only_it():
    given = {"outcomes": UNMOVED, "treatment": "participant", "covariates": known.COVARIATES}
    with_trait = ev.negative_controls(known.design_with(True), **given)
    without = ev.negative_controls(known.design_with(False), **given)
    assert not with_trait.passes
    assert without.passes
    assert np.abs(with_trait.estimate).max() > 5 * np.abs(without.estimate).max()
