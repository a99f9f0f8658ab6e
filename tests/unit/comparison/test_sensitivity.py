"""E-values and differences from external figures: printed cases, units, and what is refused."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import EstimationError, IdentificationError, ProjectError

SAME = 1e-10
STAY = ev.Measurement("stays", "I want to stay", "residents 15+", "face_to_face", 2016)


def verdict(item=STAY, **options):
    return ev.assess_comparability(item, item, **{"contains_participants": True, **options})


def design_of(frame):
    return ev.survey_design(frame, weights="w", strata="stratum", psu="psu")


def share(frame):
    return ev.survey_mean(ev.domain(design_of(frame), {"joined": 1}), "stays")


# --- E-values -------------------------------------------------------------------------------------------------


def e(ratio, **options):
    return ev.e_value(ratio, **options)


def test_e_value_of_a_ratio_and_its_mirror_are_one_number():
    assert e(1.25).point == pytest.approx(e(0.8).point, rel=SAME)
    assert e(1.0).point == 1.0


def test_an_interval_that_holds_the_null_needs_nothing_to_be_moved():
    assert e(1.2, low=0.95, high=1.5).limit == 1.0
    assert e(0.9, low=0.7, high=1.1).limit == 1.0
    assert np.isnan(e(1.2).limit)


def test_e_value_reads_an_estimated_ratio_with_its_limits(respondents):
    arguments = {"outcome": "stays", "treatment": "joined", "covariates": ["age", "sex"]}
    result = ev.aipw(design_of(respondents), measure="log_risk_ratio", **arguments)
    ours = ev.e_value(result)
    low, high = np.exp(result.confidence_interval()[0])
    by_hand = e(float(np.exp(result.estimate[0])), low=low, high=high)
    assert (ours.point, ours.limit) == (by_hand.point, by_hand.limit)
    odds = ev.aipw(design_of(respondents), measure="log_odds_ratio", **arguments)
    assert ev.e_value(odds).scale == "odds_ratio"
    with pytest.raises(EstimationError, match="measure='log_risk_ratio'"):
        ev.e_value(ev.aipw(design_of(respondents), **arguments))
    with pytest.raises(EstimationError, match="no ratio"):
        ev.e_value(share(respondents))


def test_an_e_value_says_what_it_means_in_both_languages():
    result = e(84.7 / 59.4, low=1.21, high=1.68)
    assert "2.21" in result.text("ko")
    assert "1.71배" in result.text("ko")
    assert "risk ratios of 2.21 each" in result.text("en")
    assert json.loads(json.dumps(result.to_dict()))["rows"][0]["scale"] == "risk_ratio"
    for word in ("caus", "effect", "impact", "효과", "영향"):
        assert word not in result.text("ko") + result.text("en")
    with pytest.raises(ProjectError):
        result.text("de")


def test_impossible_ratios_are_refused():
    with pytest.raises(EstimationError, match="Is it a difference, or a log"):
        e(-0.3)
    with pytest.raises(EstimationError, match="Were they exchanged"):
        e(1.4, low=1.7, high=1.2)
    with pytest.raises(EstimationError, match="scale must be"):
        e(1.4, scale="hazard")
    with pytest.raises(EstimationError, match="estimate must be a number, got nan"):
        e(float("nan"))


# --- external figures -----------------------------------------------------------------------------------------


def test_without_its_error_a_figure_is_taken_as_exact_and_says_so(respondents):
    own = share(respondents)
    result = ev.benchmark_difference(own, 0.5, comparability=verdict())
    np.testing.assert_allclose(result.estimate, [own.estimate[0] - 0.5, own.estimate[0], 0.5])
    np.testing.assert_allclose(result.std_error, [own.std_error[0], own.std_error[0], 0])
    np.testing.assert_allclose(result.engine.covariance(result.contributions), result.vcov, atol=1e-14)
    assert result.fit["conditional_on_benchmark"] is True
    assert result.fit["evidence_grade"] == 1
    assert result.fit["differs_in"] == ["overlap"]
    assert result.influence.shape == (240, 3)


def test_at_the_break_even_error_the_interval_just_reaches_zero(respondents):
    own = share(respondents)
    fixed = ev.benchmark_difference(own, 0.35, comparability=verdict())
    even = fixed.fit["break_even_std_error"]
    at = ev.benchmark_difference(own, 0.35, comparability=verdict(), std_error=even)
    np.testing.assert_allclose(at.confidence_interval()[0, 0], 0, atol=1e-12)
    np.testing.assert_allclose(fixed.fit["break_even_n"], 0.35 * 0.65 / even**2)
    near = ev.benchmark_difference(own, float(own.estimate[0]), comparability=verdict())
    assert np.isnan(near.fit["break_even_std_error"])


def test_a_sample_size_gives_the_error_of_a_share(respondents):
    by_n = ev.benchmark_difference(share(respondents), 0.35, comparability=verdict(), n=1500, deff=1.5)
    error = np.sqrt(1.5 * 0.35 * 0.65 / 1500)
    by_error = ev.benchmark_difference(share(respondents), 0.35, comparability=verdict(), std_error=error)
    np.testing.assert_allclose(by_n.vcov, by_error.vcov)
    assert by_n.fit["conditional_on_benchmark"] is False
    assert by_n.variance_method == f"{share(respondents).variance_method} + benchmark"
    with pytest.raises(EstimationError, match="no influence function"):
        ev.contrast(by_n, {"gap": {"stays | quantity=difference": 1}})


def test_a_population_that_contains_participants_implies_less_for_the_others():
    frame = pd.DataFrame({"stays": [1] * 847 + [0] * 153})
    result = ev.benchmark_difference(
        ev.survey_mean(ev.survey_design(frame), "stays"), 0.594, comparability=verdict(), participant_share=0.10
    )
    assert result.fit["implied_mean_of_others"] == pytest.approx((0.594 - 0.0847) / 0.9)


def test_replicates_carry_the_difference_too(respondents):
    own = ev.survey_mean(ev.domain(ev.as_replicates(design_of(respondents), kind="JKn"), {"joined": 1}), "stays")
    result = ev.benchmark_difference(own, 0.5, comparability=verdict())
    np.testing.assert_allclose(result.engine.covariance(result.contributions), result.vcov, atol=1e-14)


def test_a_question_about_change_meets_no_figure(respondents):
    grown = ev.Measurement("lean_on_more", "의지할 이웃이 늘었다", "15+", "web", 2016)
    refused = ev.assess_comparability(grown, STAY, contains_participants=True)
    with pytest.raises(IdentificationError, match="asks whether something has changed"):
        ev.benchmark_difference(share(respondents), 0.5, comparability=refused)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"benchmark": 59.4}, "write 0.594"),
        ({"benchmark": float("nan")}, "must be a number"),
        ({"std_error": 0.01, "n": 100}, "not both"),
        ({"std_error": 0.0}, "must be a number above 0"),
        ({"n": 0}, "must be a number of 1 or more"),
        ({"participant_share": 1.2}, "a part of 1"),
    ],
)
def test_impossible_figures_are_refused(respondents, options, message):
    with pytest.raises(EstimationError, match=message):
        ev.benchmark_difference(share(respondents), **{"benchmark": 0.5, "comparability": verdict(), **options})


def test_one_estimate_is_compared_and_it_is_named(respondents):
    by_sex = ev.survey_mean(design_of(respondents), "stays", by="sex")
    with pytest.raises(EstimationError, match="name it in row="):
        ev.benchmark_difference(by_sex, 0.5, comparability=verdict())
    with pytest.raises(EstimationError, match=r"Did you mean 'stays \| sex=m'"):
        ev.benchmark_difference(by_sex, 0.5, comparability=verdict(), row="stays | sex=n")
    one = ev.benchmark_difference(by_sex, 0.5, comparability=verdict(), row="stays | sex=f")
    assert one.estimate[1] == by_sex.estimate[0]
    mean = ev.survey_mean(design_of(respondents), "trust")
    with pytest.raises(EstimationError, match="for shares only"):
        ev.benchmark_difference(mean, 6.0, comparability=verdict(replace(STAY, item="trust")), n=100)
