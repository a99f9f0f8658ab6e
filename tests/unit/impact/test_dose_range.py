"""Treatments with values that neither a 0/1 treatment nor a share can have are told."""

import warnings

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import DoseWarning


def places(values):
    """Nine places, the first three treated from 2014 on with these values."""
    rows = [(gu, year) for gu in range(9) for year in range(2012, 2017)]
    frame = pd.DataFrame(rows, columns=["gu", "year"])
    frame["share"] = [values[gu] if gu < 3 and year >= 2014 else 0.0 for gu, year in rows]
    frame["y"] = np.random.default_rng(5).normal(size=len(frame))
    return ev.survey_design(frame, psu="gu")


VERBS = {
    "switching_did": lambda design: ev.switching_did(
        ev.panel(design, time="year"), outcome="y", treatment="share", place="gu"
    ),
    "twfe": lambda design: ev.twfe(design, outcome="y", treatment="share", unit="gu", time="year"),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((0.5, 1.0, -0.2), "treatment 'share' is below 0 in 3 rows \\(as far as -0.2\\), of 45"),
        ((0.5, 1.0, 1.7), "is above 1 where others are shares in 3 rows \\(as far as 1.7\\)"),
        ((0.5, 0.4, 40.0), "as far as 40"),
    ],
)
def test_a_dose_of_another_unit_or_below_zero_is_told(verb, values, said):
    with pytest.warns(DoseWarning, match=f"{verb}: .*{said}"):
        VERBS[verb](places(values))


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("values", [(1.0, 1.0, 1.0), (0.5, 0.25, 1.0), (1.0, 2.0, 3.0), (12.5, 40.0, 80.0)])
def test_shares_counts_and_per_cent_pass(verb, values):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        VERBS[verb](places(values))
