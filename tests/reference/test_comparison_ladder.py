"""Decomposition and ladder against stacked estimating equations made in R."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import evaluation as ev

data = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("comparison_data.py"))))

GIVEN = {"outcome": "settle_high", "treatment": "participant", "covariates": data.SURVEY_COVARIATES}
#: Two routes through different linear algebra.
IDENTITY = 1e-10

EXPECTED = data.cases("integration")["isurvey-kob"]


def part_of(result, part):
    row = result.keys["part"].tolist().index(part)
    return result.estimate[row], result.std_error[row]


@pytest.mark.parametrize(
    ("reference", "explained", "unexplained", "suffix"),
    [
        ("comparison", "explained_at_comparison_coefficients", "unexplained_at_participant_means", ""),
        ("participants", "explained_at_participant_coefficients", "unexplained_at_comparison_means", "_alt"),
    ],
)
def test_isurvey_kob(reference, explained, unexplained, suffix):
    result = ev.oaxaca_blinder(data.survey(), **GIVEN, reference=reference)
    data.close(part_of(result, "gap")[0], EXPECTED["total"], data.STACKED)
    for part, name in (("explained", explained), ("unexplained", unexplained)):
        estimate, error = part_of(result, part)
        data.close(estimate, EXPECTED[name], data.STACKED)
        data.close(error, EXPECTED[f"se_{part}{suffix}"], data.STACKED)
    assert np.all(result.df == 60)


def test_what_is_not_explained_is_the_linear_effect_on_participants():
    rest = part_of(ev.oaxaca_blinder(data.survey(), **GIVEN), "unexplained")
    alone = ev.g_computation(data.survey(), **GIVEN, family="gaussian", estimand="ATT")
    assert rest[0] == pytest.approx(alone.estimate[0], abs=IDENTITY)
    assert rest[1] == pytest.approx(alone.std_error[0], rel=IDENTITY)
