"""A small part of benchmarks/coverage/comparison.py: adjusted differences hold the truth where one model is right."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

import evaluation as ev

SAMPLES, SEED = 100, 2016
FOLDER = Path(__file__).parents[2] / "benchmarks" / "coverage"
#: Four standard errors of a share of 95 % in that many samples.
SLACK = 4 * np.sqrt(0.95 * 0.05 / SAMPLES)


@pytest.fixture(scope="module")
def study():
    """The module of the benchmark, and beside it the one that it imports as a script does."""
    made = {}
    for name in ("designs", "comparison"):
        specification = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
        made[name] = importlib.util.module_from_spec(specification)
        sys.modules[name] = made[name]
        specification.loader.exec_module(made[name])
    yield made["comparison"]
    for name in made:
        del sys.modules[name]


@pytest.fixture(scope="module")
def counted(study):
    """Bias in true standard errors, and coverage, by setting and method."""
    found = {}
    for name, setting in study.SETTINGS.items():
        if not setting.trait:
            drawn, _, _ = study.study_of(setting, one_in=10)
            groups = study.covered(drawn, SAMPLES, SEED).groupby("estimate")
            truth = next(iter(drawn.truth.values()))
            bias = (groups["value"].mean() - truth) / groups["value"].std()
            found[name] = (bias, groups["covers"].mean())
    return found


@pytest.mark.parametrize("setting", ["both models right", "participation model wrong", "outcome model wrong"])
def test_aipw_covers_where_one_of_its_models_is_right(counted, setting):
    bias, coverage = counted[setting]
    assert abs(coverage["aipw"] - 0.95) <= SLACK
    assert abs(bias["aipw"]) < 0.5


def test_each_single_model_misses_where_it_is_wrong(counted):
    bias, coverage = counted["participation model wrong"]
    assert bias["ipw"] < -1
    assert coverage["ipw"] < 0.95 - SLACK
    bias, _ = counted["outcome model wrong"]
    assert bias["g-computation"] > bias["aipw"] + 0.5


def test_the_difference_as_it_is_misses(counted):
    bias, coverage = counted["both models right"]
    assert bias["difference"] > 0.5
    assert coverage["difference"] < coverage["aipw"]


def test_methods_of_the_study_are_the_public_verbs(study):
    setting = study.SETTINGS["both models right"]
    drawn, _, _ = study.study_of(setting, one_in=40)
    sample = drawn.draw(np.random.default_rng(SEED))
    found = drawn.estimate(sample)
    asked = {"treatment": "participant", "covariates": list(setting.covariates)}
    design = study.declared(sample)
    public = {
        "aipw": ev.aipw(design, outcome="answer", **asked),
        "ipw": ev.ipw(design, outcome="answer", **asked),
        "g-computation": ev.g_computation(design, outcome="answer", **asked),
        "entropy balancing": ev.group_difference(
            ev.entropy_balance(design, **asked), outcome="answer", treatment="participant"
        ),
    }
    for method, result in public.items():
        np.testing.assert_allclose(found[method].estimate, result.estimate, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found[method].std_error, result.std_error, rtol=1e-9)


def test_bounds_at_the_trait_s_own_strength_hold_the_truth(study):
    drawn, city, _ = study.study_of(study.SETTINGS["a trait moves participation"], one_in=40)
    found = study.bounded(drawn, city, 10, SEED)
    assert found["inside"].all()
    assert (found["low"] < found["high"]).all()
    assert found["lambda"].min() > 2
