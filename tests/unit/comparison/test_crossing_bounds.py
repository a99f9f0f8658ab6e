"""Bounds under assumptions that hold cross by chance; only what is beyond chance contradicts them."""

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import IdentificationError

ASSUMED = {"response": "increasing", "selection": "positive"}


def people(difference, seed, n=200):
    rng = np.random.default_rng(seed)
    joined = rng.integers(0, 2, n)
    stays = (rng.random(n) < 0.5 + difference * joined).astype(float)
    return ev.survey_design(pd.DataFrame({"joined": joined, "stays": stays}))


def test_bounds_that_cross_by_chance_stand_as_one_number():
    crossed = 0
    for seed in range(20):
        made = ev.manski_bounds(people(0.0, seed), outcome="stays", treatment="joined", **ASSUMED)
        low, high = made.confidence_interval()[0, 0], made.confidence_interval()[1, 1]
        assert made.estimate[0] <= made.estimate[1]
        crossed += "crossed_by" in made.fit
        if "crossed_by" in made.fit:
            assert low < 0 < high
            assert "cross by less than sampling error" in made.text("en")
            assert "엇갈려" in made.text("ko")
    assert 3 <= crossed <= 17


def test_bounds_that_cross_by_more_are_refused():
    with pytest.raises(IdentificationError, match="further apart than sampling error, so the data contradict them"):
        ev.manski_bounds(people(-0.4, 1), outcome="stays", treatment="joined", **ASSUMED)
