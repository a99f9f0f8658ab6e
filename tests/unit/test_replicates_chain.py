"""Replicates of a weighting chain: nonresponse, calibration and trimming are done again on each of them."""

import numpy as np
import pandas as pd
import pytest

import evaluation as ev

HAND = 1e-12
KINDS = [
    {"kind": "JKn"},
    {"kind": "BRR"},
    {"kind": "Fay", "rho": 0.5},
    {"kind": "SDR"},
    {"kind": "bootstrap", "replicates": 24, "seed": 3},
    {"kind": "preston", "replicates": 24, "seed": 3},
]


def drawn(pairs=20, size=10, seed=2):
    """Everybody drawn, in two PSUs per stratum; who answers depends on age and on the PSU, and so does y."""
    rng = np.random.default_rng(seed)
    n = 2 * pairs * size
    psu = np.repeat(np.arange(2 * pairs), size)
    level = rng.normal(0, 0.5, 2 * pairs)[psu]
    young = rng.uniform(size=n) < 0.4
    x = rng.normal(0, 1, n) + level
    answers = rng.uniform(size=n) < 1 / (1 + np.exp(-(0.8 - 1.2 * young + 0.5 * x)))
    y = 10 + 3 * young + 2 * x + 2 * level + rng.normal(0, 1, n)
    return pd.DataFrame(
        {
            "stratum": psu // 2,
            "psu": psu,
            "w": rng.uniform(1, 2, n),
            "age": np.where(young, "young", "old"),
            "sex": rng.choice(["f", "m"], n),
            "x": x,
            "answered": answers.astype(int),
            "y": np.where(answers, y, np.nan),
        }
    )


def sampled(frame=None):
    return ev.survey_design(drawn() if frame is None else frame, weights="w", strata="stratum", psu="psu")


def margins(frame):
    size = frame["w"].sum()
    return ev.margins({"sex": {"f": 0.5 * size, "m": 0.5 * size}, "age": {"old": 0.6 * size, "young": 0.4 * size}})


CHAINS = {
    "cells": lambda d: ev.adjust_nonresponse(d, response="answered", by="age"),
    "classes": lambda d: ev.adjust_nonresponse(
        d, response="answered", covariates="~ age + x", method="propensity_classes", classes=4
    ),
    "inverse": lambda d: ev.adjust_nonresponse(
        d, response="answered", covariates="~ age + x", method="inverse_propensity"
    ),
    "whole": lambda d: ev.normalise_weights(
        ev.trim_weights(
            ev.rake(ev.adjust_nonresponse(d, response="answered", by="age"), margins(d.data)),
            upper=2.0,
            margins=margins(d.data),
        )
    ),
}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind["kind"])
@pytest.mark.parametrize("chain", CHAINS)
def test_replicates_may_come_before_the_chain_or_after(chain, kind):
    before = CHAINS[chain](ev.as_replicates(sampled(), **kind))
    after = ev.as_replicates(CHAINS[chain](sampled()), **kind)
    one, other = ev.survey_mean(before, "y", by="sex"), ev.survey_mean(after, "y", by="sex")
    assert other.vcov.ravel() == pytest.approx(one.vcov.ravel(), rel=1e-10)
    assert before.degrees_of_freedom() == after.degrees_of_freedom()


def test_each_replicate_estimates_response_again():
    design = CHAINS["cells"](ev.as_replicates(sampled(), kind="JKn"))
    frame, made = design.data, design.replicates
    answered = frame["answered"].to_numpy() == 1
    for r, weights in enumerate(design.replicate_weights()):
        base = frame["w"].to_numpy() * made.row_factors(r)
        for age in ("old", "young"):
            cell = (frame["age"] == age).to_numpy()
            rate = base[cell & answered].sum() / base[cell].sum()
            assert weights[cell & answered] == pytest.approx(base[cell & answered] / rate, rel=HAND)
            assert (weights[cell & ~answered] == 0).all()


def test_replicates_of_the_final_weight_alone_would_say_something_else():
    made = ev.as_replicates(sampled(), kind="JKn")
    adjusted = CHAINS["cells"](made)
    frozen = ev.as_replicates(sampled(adjusted.data.assign(w=adjusted.weights)), kind="JKn")
    assert ev.survey_mean(frozen, "y").estimate == pytest.approx(ev.survey_mean(adjusted, "y").estimate, rel=HAND)
    assert ev.survey_total(frozen, "y").std_error[0] > 1.05 * ev.survey_total(adjusted, "y").std_error[0]


@pytest.mark.parametrize("chain", ["cells", "inverse", "whole"])
def test_replicates_and_the_exact_derivative_agree_on_the_whole_chain(chain):
    linear = CHAINS[chain](sampled(drawn(pairs=60)))
    exact = ev.survey_mean(linear, ["y", "x"]).std_error
    # a smooth function of 120 units: the jackknife is near; 1,000 bootstrap replicates leave 2 % of noise
    jackknife = ev.survey_mean(ev.as_replicates(linear, kind="JKn"), ["y", "x"]).std_error
    assert jackknife == pytest.approx(exact, rel=0.03)
    if chain != "whole":
        bootstrap = ev.as_replicates(linear, kind="bootstrap", replicates=1000, seed=1)
        assert ev.survey_mean(bootstrap, ["y", "x"]).std_error == pytest.approx(exact, rel=0.08)


def joined():
    """A two-stage sample without replacement, and one of people with replacement, weighted together."""
    people = drawn(pairs=12, seed=5).assign(n_psu=5, person=lambda d: d.groupby("psu").cumcount(), n_person=16)
    staged = ev.survey_design(people, weights="w", strata="stratum", psu=["psu", "person"], fpc=["n_psu", "n_person"])
    adjusted = ev.adjust_nonresponse(staged, response="answered", by="age")
    simple = ev.survey_design(drawn(pairs=10, seed=6).assign(y=lambda d: d.x), weights="w")
    both = ev.join_frames({"roster": adjusted, "citizens": simple}, overlap=False)
    return ev.poststratify(both, ev.margins({"sex": {"f": 500.0, "m": 480.0}}))


@pytest.mark.parametrize("kind", ["bootstrap", "preston"])
def test_two_frames_are_resampled_each_in_its_own_way(kind):
    made = ev.as_replicates(joined(), kind=kind, replicates=1500, seed=2)
    units = 12 * 2 * 10 + 10 * 2 * 10
    assert made.replicates.factors.shape == (units, 1500)
    ours, exact = (ev.survey_mean(design, "y", by="frame") for design in (made, joined()))
    assert ours.estimate == pytest.approx(exact.estimate, rel=HAND)
    assert ours.std_error == pytest.approx(exact.std_error, rel=0.08)
    gap = {"gap": {"y | frame=roster": 1, "y | frame=citizens": -1}}
    assert ev.contrast(ours, gap).std_error == pytest.approx(ev.contrast(exact, gap).std_error, rel=0.08)


def test_jackknife_replicates_of_a_quantile_say_that_they_are_not_consistent():
    asked = {"probabilities": [0.5], "interval": "quantile"}
    jackknife = ev.survey_quantile(ev.as_replicates(sampled(), kind="JKn"), "x", **asked)
    assert jackknife.variance_method == "replicates (JKn), not consistent for quantiles"
    halves = ev.survey_quantile(ev.as_replicates(sampled(), kind="BRR"), "x", **asked)
    assert halves.variance_method == "replicates (BRR)"
