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

INTEGRATION = data.cases("integration")
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


def test_every_rung_of_the_ladder_is_a_reference_case_and_all_have_one_covariance():
    ladder = ev.effect_ladder(data.survey(), **GIVEN)
    adjusted, overlapping = INTEGRATION["isurvey-adjusted-ATT"], INTEGRATION["isurvey-adjusted-ATO"]
    rungs = {
        "raw": INTEGRATION["isurvey-raw"],
        "explained": {
            "diff": EXPECTED["explained_at_comparison_coefficients"],
            "se_diff": EXPECTED["se_explained"],
        },
        "regression_adjusted": INTEGRATION["isurvey-logit-ame-ATT"],
        "g_computation": adjusted["gcomp"],
        "entropy": adjusted["ebal"],
        "ipw": adjusted["ipw"],
        "overlap": overlapping["aipw"],
    }
    rows = ladder.keys["method"].tolist()
    for rung, expected in rungs.items():
        row = rows.index(rung)
        data.close(ladder.estimate[row], expected["diff"], data.STACKED)
        data.close(ladder.std_error[row], expected["se_diff"], data.STACKED)
    # The headline averages predictions over participants; the reference over everybody by the fitted score.
    headline, of_reference = (ev.aipw(data.survey(), **GIVEN, target=target) for target in ("observed", "fitted"))
    row = rows.index("aipw")
    data.close(ladder.estimate[row], headline.estimate[0], 1e-12)
    data.close(ladder.std_error[row], headline.std_error[0], 1e-12)
    data.close(of_reference.estimate[0], adjusted["aipw"]["diff"], data.STACKED)
    data.close(of_reference.std_error[0], adjusted["aipw"]["se_diff"], data.STACKED)
    assert np.isfinite(ladder.vcov).all()
    assert np.all(ladder.df == 60)
    data.close(ladder.columns["ess_comparison"][rows.index("ipw")], adjusted["ipw"]["ess"][1], data.STACKED)
    data.close(ladder.columns["ess_participants"][rows.index("ipw")], adjusted["ipw"]["ess"][0], data.STACKED)
    low, high = (ladder.estimate[rows.index(end)] for end in ("bound_low", "bound_high"))
    assert low < ladder.estimate[rows.index("ipw")] < high


def test_the_claim_of_the_reference_survey_states_the_doubly_robust_number_and_no_cause():
    claim = ev.judge_comparison(data.survey(), **GIVEN)
    assert (claim.level, claim.evidence_grade) == ("B", 2)
    said = " ".join(claim.sentences("en"))
    assert "82.5% among participants, 61.7% among others, 20.8 points apart" in said
    assert "A difference of 10.9 points remains" in said
    assert "(95% interval 7.8 to 14.0)" in said
    assert "caus" not in said
