"""Chains of weighting steps both ways: in R's convention against R as it runs, exact against numerical derivatives."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from answers.designs import FOLDER
from answers.rscript import told, why_not

import evaluation as ev
from evaluation.design.steps import replayed

ESTIMATE = 1e-8
ERROR = 1e-6
SCRIPT = Path(__file__).with_name("chains.R")
STYPE = {"stype": {"E": 4421, "H": 755, "M": 1018}}
SCHOOL_WIDE = {"sch.wide": {"No": 1072, "Yes": 5122}}
IMPROVED = {"comp.imp": {"No": 1712, "Yes": 4482}}
API99 = {"api99": 3914069}
#: Standard errors of the total of api00 that were derived by hand: R's, and the exact ones.
BY_HAND = {"post, post": (146720.97, 147240.81), "rake": (146820.20, 147066.14)}
POST = ev.poststratify


def rake(design):
    return ev.rake(design, STYPE | SCHOOL_WIDE)


def linear(design, **options):
    return ev.calibrate(design, STYPE | API99, **options)


def trim(design, upper):
    return ev.trim_weights(design, upper=upper, relative_to="none")


CHAINS = {
    "post": lambda d: POST(d, STYPE),
    "rake": rake,
    "post, post": lambda d: POST(POST(d, STYPE), SCHOOL_WIDE),
    "post, post, post": lambda d: POST(POST(POST(d, STYPE), SCHOOL_WIDE), IMPROVED),
    "rake, linear": lambda d: linear(rake(d)),
    "post, rake, linear": lambda d: linear(rake(POST(d, IMPROVED))),
    "linear, exponential, post": lambda d: POST(linear(linear(d), distance="raking"), STYPE),
    "bounded, logit": lambda d: linear(linear(d, bounds=(0.5, 2)), distance="logit", bounds=(0.5, 2)),
    "rake, trim": lambda d: trim(rake(d), 60),
    "rake, trim, rake": lambda d: rake(trim(rake(d), 60)),
    "post, trim, linear": lambda d: linear(trim(POST(d, STYPE), 50)),
    "by cluster, post": lambda d: POST(linear(d, cluster="dnum"), SCHOOL_WIDE),
}


@cache
def sample():
    return pd.read_csv(FOLDER / "apiclus1.csv")


def weighted(name, linearization):
    return CHAINS[name](ev.survey_design(sample(), weights="pw", psu="dnum", fpc="fpc", linearization=linearization))


def total_and_mean(design):
    total, mean = ev.survey_total(design, "api00"), ev.survey_mean(design, "api00")
    return np.concatenate([total.estimate, total.std_error, mean.estimate, mean.std_error])


@cache
def of_r():
    """Total, its error, mean, its error of each chain, as R computes them."""
    lines = (line.split("\t") for line in told(SCRIPT, FOLDER / "apiclus1.csv").splitlines())
    return {name: np.array(values, dtype=float) for name, *values in lines}


@pytest.mark.skipif(bool(why_not()), reason=why_not() or "R answers")
@pytest.mark.parametrize("name", CHAINS)
def test_rs_convention_is_what_r_does(name):
    expected = of_r()
    assert sorted(expected) == sorted(CHAINS)
    ours = total_and_mean(weighted(name, "r"))
    np.testing.assert_allclose(ours[[0, 2]], expected[name][[0, 2]], rtol=ESTIMATE)
    np.testing.assert_allclose(ours[[1, 3]], expected[name][[1, 3]], rtol=ERROR)


@pytest.mark.parametrize("name", BY_HAND)
def test_both_ways_give_the_numbers_derived_by_hand(name):
    found = [total_and_mean(weighted(name, convention))[1] for convention in ("r", "exact")]
    np.testing.assert_allclose(found, BY_HAND[name], atol=0.005)


@pytest.mark.parametrize("name", CHAINS)
def test_the_exact_way_is_the_numerical_derivative(name):
    """Move all design weights of a PSU by a little, replay the chain: the total moves by what its contribution says.

    A trimming step keeps its cuts while weights move, and a cut weight is the bound times what the PSU's move by.
    """
    design = weighted(name, "exact")
    values = sample()["api00"].to_numpy()
    contributions = ev.survey_total(design, "api00").contributions[:, 0]
    step, numerical = 1e-4, []
    for unit in range(design.sampling.n_units):
        moved = np.where(design.sampling.unit == unit, step, 0.0)
        up, down = (_replayed(design, design.base_weights * (1 + sign * moved)) @ values for sign in (1, -1))
        numerical.append((up - down) / (2 * step))
    np.testing.assert_allclose(contributions, numerical, rtol=1e-6, atol=1e-6 * np.abs(numerical).max())


def _replayed(design, weights):
    multiplicity = weights / design.base_weights
    for applied in design.steps:
        weights = replayed(applied.step, weights, multiplicity)
    return weights


LAST = {
    "post": lambda d: POST(d, STYPE),
    "rake": rake,
    "post, post": lambda d: POST(d, SCHOOL_WIDE),
    "post, rake, linear": linear,
    "rake, trim, rake": rake,
    "by cluster, post": lambda d: POST(d, SCHOOL_WIDE),
}


@pytest.mark.parametrize("name", LAST)
def test_a_last_step_done_again_changes_no_exact_error(name):
    design = weighted(name, "exact")
    again = LAST[name](design)
    assert len(again.steps) == len(design.steps) + 1
    np.testing.assert_allclose(total_and_mean(again), total_and_mean(design), rtol=1e-9)
