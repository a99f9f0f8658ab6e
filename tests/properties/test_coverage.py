"""A small part of benchmarks/coverage: 95 % intervals hold the truth about as often as they say."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

SAMPLES, SEED = 100, 2016
DESIGNS = Path(__file__).parents[2] / "benchmarks" / "coverage" / "designs.py"
#: Four standard errors of a share of 95 % in that many samples.
SLACK = 4 * np.sqrt(0.95 * 0.05 / SAMPLES)


@pytest.fixture(scope="module")
def designs():
    specification = importlib.util.spec_from_file_location("coverage_designs", DESIGNS)
    module = importlib.util.module_from_spec(specification)
    sys.modules["coverage_designs"] = module
    specification.loader.exec_module(module)
    yield module
    del sys.modules["coverage_designs"]


def shares(designs, study):
    return designs.covered(study, SAMPLES, SEED).groupby("estimate")["covers"].mean()


@pytest.mark.parametrize("population", ["seoul", "schools"])
def test_intervals_cover_where_there_are_units_enough(designs, population):
    study = designs.seoul(one_in=40) if population == "seoul" else designs.schools()
    for estimate, share in shares(designs, study).items():
        assert abs(share - 0.95) <= SLACK, estimate


def test_no_interval_covers_from_fifteen_clusters_of_very_unequal_size(designs):
    found = shares(designs, designs.districts())
    assert found["total"] < 0.95 - SLACK
    assert found["mean"] < found["mean, Bell-McCaffrey df"]
