"""Replicates that a weighting chain cannot be repeated on."""

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import MarginError, ReplicateWarning


def rare_level(kind, **options):
    random = np.random.default_rng(5)
    frame = pd.DataFrame(
        {"block": np.repeat(np.arange(40), 10), "y": random.normal(size=400), "x": random.uniform(size=400)}
    )
    frame["rare"] = np.where(np.isin(np.arange(400), (3, 45)), "yes", "no")
    return ev.as_replicates(ev.survey_design(frame, psu="block"), kind=kind, **options)


@pytest.mark.parametrize("by_rows", [False, True])
def test_a_bootstrap_goes_on_without_replicates_in_which_a_level_is_missing(by_rows):
    design = rare_level("bootstrap", replicates=60, seed=3)
    weighted = ev.poststratify(design, {"rare": {"no": 360.0, "yes": 40.0}})
    if by_rows:
        weighted = ev.trim_weights(weighted, upper=100.0, relative_to="none")
    missing = np.array([np.isnan(weights).any() for weights in weighted.replicate_weights()])
    assert 0 < missing.sum() < 30
    with pytest.warns(ReplicateWarning, match=f"{missing.sum()} of 60 replicates"):
        found = ev.survey_mean(weighted, "y")
    means = np.array(
        [np.average(design.data["y"], weights=w) for w in weighted.replicate_weights() if not np.isnan(w).any()]
    )
    assert found.std_error[0] == pytest.approx(means.std() * np.sqrt(60 / 59), rel=1e-10)


def test_a_jackknife_says_in_which_replicate_a_level_is_missing():
    frame = rare_level("JK1").data.assign(rare=lambda data: np.where(data.index == 3, "yes", "no"))
    design = ev.as_replicates(ev.survey_design(frame, psu="block"), kind="JK1")
    with pytest.raises(MarginError, match=r"replicate 1 of 40 \(JK1\), in which a sampling unit is left out"):
        ev.survey_mean(ev.poststratify(design, {"rare": {"no": 360.0, "yes": 40.0}}), "y")


def test_medians_go_on_without_them_too():
    design = ev.poststratify(rare_level("bootstrap", replicates=60, seed=3), {"rare": {"no": 360.0, "yes": 40.0}})
    with pytest.warns(ReplicateWarning):
        found = ev.survey_quantile(design, "y", probabilities=[0.5], interval="quantile")
    plain = ev.survey_quantile(
        rare_level("bootstrap", replicates=60, seed=3), "y", probabilities=[0.5], interval="quantile"
    )
    assert found.std_error[0] == pytest.approx(plain.std_error[0], rel=1.0)
