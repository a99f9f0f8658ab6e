"""Robustness value, Oster's delta, tipping point, Manski bounds, negative controls, E-value of a risk difference."""

import json
import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import evaluation as ev
from evaluation.errors import ColumnError, DesignError, EstimationError, IdentificationError, WeightingError

made = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("handmade_participants.py"))))

SAME = 1e-10
DERIVATIVE = 1e-5
STEP = 1e-5
GIVEN = {"outcome": "stays", "treatment": "joined", "covariates": ["age", "sex"]}
RAW = {"outcome": "stays", "treatment": "joined"}
CAUSAL = ("caus", "effect", "impact", "효과", "영향")


@pytest.fixture
def respondents():
    frame = made.respondents()
    rng = np.random.default_rng(5)
    frame["trust"] = np.round(3 + 0.4 * frame["stays"] + 0.6 * frame["joined"] + rng.normal(0, 1, len(frame)), 2)
    frame["height"] = rng.normal(170, 8, len(frame))
    return frame


VERBS = {
    "robustness_value": lambda design, **o: ev.robustness_value(design, **{**GIVEN, **o}),
    "oster_delta": lambda design, **o: ev.oster_delta(design, **{**GIVEN, **o}),
    "manski_bounds": lambda design, **o: ev.manski_bounds(design, **{**RAW, **o}),
    "negative_controls": lambda design, **o: ev.negative_controls(
        design, **{"outcomes": ["height", "city"], "treatment": "joined", "covariates": ["age", "sex"], **o}
    ),
}


# --- what all have in common --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(VERBS))
def test_the_influence_is_the_numerical_derivative(respondents, name):
    options = {"manski_bounds": {"selection": "positive"}, "oster_delta": {"delta": 0.5, "r2_max": 0.4}}.get(name, {})
    influence = VERBS[name](made.design_of(respondents), **options).influence
    for row in (0, 9, 40):
        ends = []
        for step in (STEP, -STEP):
            moved = respondents.copy()
            moved.loc[row, "w"] *= 1 + step
            ends.append(VERBS[name](made.design_of(moved), **options).estimate)
        slope = (ends[0] - ends[1]) / (2 * STEP)
        assert influence[row] == pytest.approx(slope, abs=DERIVATIVE * np.abs(influence).max())


@pytest.mark.parametrize("name", list(VERBS))
def test_replicates_and_a_weighting_chain_carry_it_too(respondents, name):
    size = respondents["w"].sum()
    design = ev.rake(made.design_of(respondents), {"sex": {"f": 0.55 * size, "m": 0.45 * size}})
    linear, jackknife = VERBS[name](design), VERBS[name](ev.as_replicates(design, kind="JKn"))
    np.testing.assert_allclose(jackknife.estimate, linear.estimate, rtol=SAME)
    ratio = jackknife.std_error[linear.std_error > 0] / linear.std_error[linear.std_error > 0]
    assert np.all(np.abs(ratio - 1) < (0.5 if name == "oster_delta" else 0.2))


@pytest.mark.parametrize("name", list(VERBS))
def test_weights_of_zero_scale_and_order_change_nothing(respondents, name):
    reference = VERBS[name](made.design_of(respondents))
    mixed = pd.concat([respondents, respondents.iloc[:20].assign(w=0.0, age=900.0, height=-5.0)])
    mixed = mixed.assign(w=1e6 * mixed["w"]).sample(frac=1, random_state=5).reset_index(drop=True)
    ours = VERBS[name](made.design_of(mixed))
    np.testing.assert_allclose(ours.estimate, reference.estimate, rtol=1e-8)
    np.testing.assert_allclose(ours.std_error, reference.std_error, rtol=1e-6)
    assert ours.n_obs.tolist() == reference.n_obs.tolist()


@pytest.mark.parametrize("name", list(VERBS))
@pytest.mark.parametrize("lang", ["ko", "en"])
def test_texts_tables_and_figures_in_both_languages(respondents, name, lang):
    result = VERBS[name](made.design_of(respondents))
    text = result.text(lang)
    assert len(text) > 40
    assert not any(word in text for word in CAUSAL)
    words = ev.table(result, lang=lang).frame.to_string()
    assert not any(f" {key}" in words for key in ("oster_", "bound_", "partial_r2", "difference_"))
    assert ev.plot(result, lang=lang).png() == ev.plot(result, lang=lang).png()
    assert json.loads(json.dumps(result.to_dict()))["verb"] == name
    hidden = replace(result, provenance=replace(result.provenance, min_base=1000))
    assert "[u]" in hidden.text(lang)
    assert not any(figure in hidden.text(lang) for figure in "123456789")


@pytest.mark.parametrize("name", list(VERBS))
def test_a_frame_is_no_design(respondents, name):
    with pytest.raises(DesignError, match=f"{name} needs a design"):
        VERBS[name](respondents)


@pytest.mark.parametrize("name", [*VERBS, "sensitivity_bounds"])
def test_a_design_that_was_balanced_already_is_not_balanced_twice(respondents, name):
    design = made.design_of(respondents)
    balanced = ev.propensity_weights(design, treatment="joined", covariates=["age", "sex"])
    verb = VERBS.get(name, lambda it: ev.sensitivity_bounds(it, **GIVEN))
    with pytest.raises(WeightingError, match="before propensity_weights"):
        verb(balanced)
    plain = ev.negative_controls(
        balanced, outcomes="height", treatment="joined", covariates=["age", "sex"], estimator="difference"
    )
    weighted = ev.negative_controls(
        design, outcomes="height", treatment="joined", covariates=["age", "sex"], estimator="ipw"
    )
    assert plain.estimate[0] == pytest.approx(weighted.estimate[0], rel=1e-8)
    assert plain.fit["p_value"] == pytest.approx(weighted.fit["p_value"], rel=1e-6)


# --- robustness value ---------------------------------------------------------------------------------------------


def test_the_difference_is_the_coefficient_of_a_survey_regression(respondents):
    design = made.design_of(respondents)
    result = ev.robustness_value(design, **GIVEN)
    fit = ev.survey_glm(design, outcome="stays", covariates=["age", "sex", "joined"])
    assert result.estimate[0] == pytest.approx(fit.estimate[-1], rel=SAME)
    assert result.std_error[0] == pytest.approx(fit.std_error[-1], rel=1e-8)


def test_a_trait_as_strong_as_the_robustness_value_leaves_nothing(respondents):
    for error in ("design", "model"):
        result = ev.robustness_value(made.design_of(respondents), **GIVEN, std_error=error, q=1.0)
        value = float(result.estimate[2])
        assert result.adjusted(value, value)[0] == pytest.approx(0, abs=1e-12)
        needed = result.fit["robustness_value_interval"]
        left, left_error = result.adjusted(needed, needed)
        if needed > 0:
            assert left / left_error == pytest.approx(stats.t.ppf(0.975, result.error_df))
        assert needed < value
    half = ev.robustness_value(made.design_of(respondents), **GIVEN, q=0.5)
    value = float(half.estimate[2])
    assert half.adjusted(value, value)[0] == pytest.approx(half.estimate[0] / 2)


def test_a_dropped_covariate_is_a_trait_as_strong_as_itself(respondents):
    """The bias formula is exact: leaving out a covariate moves the coefficient by what its partial R2 say."""
    design = made.design_of(respondents)
    full, short = (ev.robustness_value(design, **{**GIVEN, "covariates": names}) for names in (["age", "sex"], ["sex"]))
    age = full.traits.tidy().query("covariate == 'age' and times == 1").iloc[0]
    moved = abs(full.estimate[0] - short.estimate[0])
    x = respondents.assign(one=1.0, sex=(respondents["sex"] == "m").astype(float))
    w = respondents["w"].to_numpy()

    def left(target, others):
        root = np.sqrt(w)[:, None]
        a, b = x[others].to_numpy() * root, x[target].to_numpy() * root[:, 0]
        return float(((b - a @ np.linalg.lstsq(a, b, rcond=None)[0]) ** 2).sum())

    r2_d = 1 - left("joined", ["one", "sex", "age"]) / left("joined", ["one", "sex"])
    r2_y = 1 - left("stays", ["one", "sex", "age", "joined"]) / left("stays", ["one", "sex", "joined"])
    assert age["r2_treatment"] == pytest.approx(r2_d / (1 - r2_d))
    assert abs(short.estimate[0] - short.adjusted(r2_d, r2_y)[0]) == pytest.approx(moved)


def test_impossible_strengths_say_so_and_are_not_drawn(respondents):
    respondents["nearly"] = respondents["joined"] + np.random.default_rng(1).normal(0, 0.3, len(respondents))
    result = ev.robustness_value(made.design_of(respondents), **{**GIVEN, "covariates": ["age", "nearly"]})
    rows = result.traits.tidy().set_index(["covariate", "times"])
    assert rows.loc[("nearly", 3.0), "bound"] == "impossible"
    assert np.isnan(rows.loc[("nearly", 3.0), "estimate"])
    assert rows.loc[("age", 3.0), "bound"] == ""
    assert "불가능" in ev.table(result.traits, lang="ko").frame.to_string()
    assert len(ev.plot(result).data) == 7


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"q": 0}, EstimationError, "q must be a number above 0"),
        ({"times": [0]}, EstimationError, "times must be a number above 0"),
        ({"std_error": "robust"}, EstimationError, "must be 'design' or 'model'"),
        ({"benchmarks": "sx"}, ColumnError, "'sx' is no covariate of the model.*Did you mean 'sex'"),
        ({"covariates": ["age", "joined"]}, ColumnError, "is the treatment"),
    ],
)
def test_wrong_questions_of_robustness_are_refused(respondents, options, error, message):
    with pytest.raises(error, match=message):
        ev.robustness_value(made.design_of(respondents), **{**GIVEN, **options})


def test_an_r2_out_of_range_is_refused(respondents):
    result = ev.robustness_value(made.design_of(respondents), **GIVEN)
    for strengths in ((1.0, 0.5), (-0.1, 0.5), (0.5, 1.2), (float("nan"), 0.1)):
        with pytest.raises(EstimationError, match="r2_"):
            result.adjusted(*strengths)


# --- Oster --------------------------------------------------------------------------------------------------------


def test_delta_and_beta_answer_each_other(respondents):
    design = made.design_of(respondents)
    at_one = ev.oster_delta(design, **GIVEN, r2_max=0.3)
    back = ev.oster_delta(design, **GIVEN, r2_max=0.3, beta=float(at_one.estimate[1]))
    assert back.estimate[0] == pytest.approx(1.0, rel=1e-8)
    half = ev.oster_delta(design, **GIVEN, r2_max=0.3, delta=0.5)
    back = ev.oster_delta(design, **GIVEN, r2_max=0.3, beta=float(half.estimate[1]))
    assert back.estimate[0] == pytest.approx(0.5, rel=1e-8)
    none = ev.oster_delta(design, **GIVEN, r2_max=0.3, delta=0.0)
    assert none.estimate[1] == pytest.approx(none.estimate[2], abs=1e-10)


def test_what_always_stands_is_taken_out_of_everything(respondents):
    design = made.design_of(respondents)
    result = ev.oster_delta(design, **{**GIVEN, "always": "sex"}, r2_max=0.3)
    own = ev.survey_glm(design, outcome="stays", covariates=["sex", "joined"])
    assert result.estimate[3] == pytest.approx(own.estimate[-1], rel=SAME)
    with pytest.raises(ColumnError, match="nothing observed is left"):
        ev.oster_delta(design, **GIVEN, always=["age", "sex"])


def test_the_usual_r2_is_a_multiple_and_wrong_ones_are_refused(respondents):
    design = made.design_of(respondents)
    usual = ev.oster_delta(design, **GIVEN)
    assert usual.fit["r2_max"] == pytest.approx(1.3 * usual.fit["r2_controlled"])
    for wrong, message in ((1.2, "up to 1"), (0.0, "above 0"), (1e-6, "must be above the R2"), ("high", "a number")):
        with pytest.raises(EstimationError, match=message):
            ev.oster_delta(design, **GIVEN, r2_max=wrong)


# --- tipping point ------------------------------------------------------------------------------------------------


def test_sixty_points_need_a_gap_of_forty_two_for_the_published_pair():
    result = ev.tipping_point(0.847 - 0.594, strength=[0.6, 0.2])
    assert result.estimate == pytest.approx([0.253 / 0.6, 0.253 / 0.2])
    assert result.columns["possible"].tolist() == ["yes", "no"]
    assert result.influence is None
    assert result.variance_method == "none (a printed number)"
    assert "42.2" in result.text("en")
    assert "42.2" in result.text("ko")
    assert "모자라" in result.text("ko")


def test_the_gap_has_the_interval_of_the_difference(respondents):
    effect = ev.aipw(made.design_of(respondents), **GIVEN)
    result = ev.tipping_point(effect, strength=0.5, null=0.01)
    assert result.estimate[0] == pytest.approx((effect.estimate[0] - 0.01) / 0.5)
    assert result.std_error[0] == pytest.approx(effect.std_error[0] / 0.5)
    assert result.influence[:, 0] == pytest.approx(effect.influence[:, 0] / 0.5)
    assert ev.table(result, lang="ko").frame.iloc[0, -1] == "예"
    with pytest.raises(EstimationError, match=r"ev\.e_value"):
        ev.tipping_point(ev.aipw(made.design_of(respondents), **GIVEN, measure="log_risk_ratio"))
    for wrong in (0, [], [0.2, 0.0]):
        with pytest.raises(EstimationError, match="not 0"):
            ev.tipping_point(0.2, strength=wrong)
    with pytest.raises(EstimationError, match="must be a number"):
        ev.tipping_point("0.2")


# --- Manski -------------------------------------------------------------------------------------------------------


def test_worst_cases_by_hand_with_and_without_assumptions(respondents):
    design = made.design_of(respondents)
    raw = ev.group_difference(design, **RAW)
    gap, m1, m0 = raw.estimate
    share = float(ev.survey_mean(design, "joined").estimate[0])

    def ends(**options):
        return ev.manski_bounds(design, **RAW, **options).estimate.tolist()

    assert ends(estimand="ATT") == pytest.approx([m1 - 1, m1])
    assert ends(estimand="ATC") == pytest.approx([-m0, 1 - m0])
    assert ends() == pytest.approx([share * (m1 - 1) - (1 - share) * m0, share * m1 + (1 - share) * (1 - m0)])
    assert ends(estimand="ATT", response="increasing") == pytest.approx([0, m1])
    assert ends(estimand="ATT", response="decreasing") == pytest.approx([m1 - 1, 0])
    assert ends(selection="positive")[1] == pytest.approx(gap)
    assert ends(selection="negative")[0] == pytest.approx(gap)
    assert ends(response="increasing", selection="positive") == pytest.approx([0, gap])


def test_bounds_that_meet_have_the_error_of_what_they_bound(respondents):
    """With both assumptions in opposite directions only the difference itself is left, with its own interval."""
    design = made.design_of(respondents)
    positive = ev.manski_bounds(design, **RAW, selection="positive")
    raw = ev.group_difference(design, **RAW)
    assert positive.std_error[1] == pytest.approx(raw.std_error[0], rel=1e-8)
    one_sided = (positive.confidence_interval()[1, 1] - positive.estimate[1]) / positive.std_error[1]
    two_sided = (raw.confidence_interval()[0, 1] - raw.estimate[0]) / raw.std_error[0]
    assert 1.6 < one_sided < 1.7 < two_sided


def test_the_interval_holds_the_effect_as_often_as_it_says(respondents):
    result = ev.manski_bounds(made.design_of(respondents), **RAW, estimand="ATT")
    c = (result.estimate[0] - result.confidence_interval()[0, 0]) / result.std_error[0]
    width = (result.estimate[1] - result.estimate[0]) / result.std_error.max()
    held = stats.t.cdf(c + width, result.df[0]) - stats.t.cdf(-c, result.df[0])
    assert held == pytest.approx(0.95, abs=1e-9)


def test_an_outcome_without_bounds_needs_them(respondents):
    design = made.design_of(respondents)
    with pytest.raises(EstimationError, match=r"Say what .* bounds=\(1, 5\)"):
        ev.manski_bounds(design, outcome="trust", treatment="joined")
    with pytest.raises(EstimationError, match="lie beyond") as caught:
        ev.manski_bounds(design, outcome="trust", treatment="joined", bounds=(0, 4))
    assert (caught.value.failures["trust"] > 4).all()
    result = ev.manski_bounds(design, outcome="trust", treatment="joined", bounds=(-5, 15))
    assert result.estimate[1] - result.estimate[0] == pytest.approx(20)


def test_a_codebook_tells_the_bounds_of_its_scales():
    design = ev.survey_design(ev.read_survey("seoul_2016", sample="citizens"))
    result = ev.manski_bounds(design, outcome="trust_neighbours", treatment="participant")
    assert (result.fit["least"], result.fit["most"]) == (1.0, 5.0)
    assert result.estimate[1] - result.estimate[0] == pytest.approx(4.0)


def test_assumptions_that_the_data_contradict_are_refused(respondents):
    design = made.design_of(respondents.assign(stays=1 - respondents["stays"]))
    with pytest.raises(IdentificationError, match="the data contradict"):
        ev.manski_bounds(design, **RAW, response="increasing", selection="positive")
    for options in ({"estimand": "ATO"}, {"response": "up"}, {"selection": "good"}):
        with pytest.raises(EstimationError, match="must be one of"):
            ev.manski_bounds(design, **RAW, **options)


# --- negative controls --------------------------------------------------------------------------------------------


def controls(frame, **options):
    given = {"outcomes": ["height", "city"], "treatment": "joined", "covariates": ["age", "sex"]}
    return ev.negative_controls(made.design_of(frame), **{**given, **options})


def test_each_row_is_the_estimator_and_the_test_is_joint(respondents):
    result = controls(respondents)
    for row, name in enumerate(("height", "city")):
        alone = ev.aipw(made.design_of(respondents), **{**GIVEN, "outcome": name})
        assert result.estimate[row] == pytest.approx(alone.estimate[0], rel=SAME)
        assert result.std_error[row] == pytest.approx(alone.std_error[0], rel=1e-9)
    wald = result.estimate @ np.linalg.solve(result.vcov, result.estimate) / 2
    assert result.fit["statistic"] == pytest.approx(wald)
    assert (result.fit["ndf"], result.fit["ddf"]) == (2.0, 48.0)
    assert result.fit["passes"] is result.passes is True
    limits = np.abs(result.confidence_interval())
    assert result.fit["largest_limit"] == pytest.approx(limits.max())


def test_a_hidden_trait_that_moves_the_controls_is_found(respondents):
    respondents["height"] += 8 * respondents["joined"]
    result = controls(respondents)
    assert result.passes is False
    assert "사업의 몫이라 할 수 없다" in result.text("ko")
    assert "still differ" in result.text("en")


def test_a_margin_asks_for_more_than_no_finding(respondents):
    assert controls(respondents, outcomes="city").passes
    assert not controls(respondents, outcomes="city", margin=0.01).passes
    assert controls(respondents, outcomes="city", margin=0.9).passes
    assert "does not show that there is none" in controls(respondents).text("en")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"outcomes": []}, EstimationError, "at least one"),
        ({"outcomes": ["city", "city"]}, EstimationError, "named twice"),
        ({"outcomes": ["city", "age"]}, ColumnError, "is the outcome and cannot be a covariate"),
        ({"estimator": "matching"}, EstimationError, "estimator must be one of"),
        ({"alpha": 5}, EstimationError, "5 % is alpha=0.05"),
        ({"margin": -1}, EstimationError, "margin must be a number above 0"),
    ],
)
def test_wrong_controls_are_refused(respondents, options, error, message):
    with pytest.raises(error, match=message):
        controls(respondents, **options)


# --- E-value of a risk difference ---------------------------------------------------------------------------------


def test_among_participants_the_risk_difference_has_the_e_value_of_the_ratio(respondents):
    design = made.design_of(respondents)
    difference = ev.aipw(design, **GIVEN)
    ours = ev.e_value(difference, scale="risk_difference")
    ratio = ev.e_value(ev.aipw(design, **GIVEN, measure="log_risk_ratio"))
    assert ours.point == pytest.approx(ratio.point, rel=1e-9)
    assert ours.risk_ratio == pytest.approx(ratio.risk_ratio)
    assert (ours.difference_low, ours.difference_high) == pytest.approx(tuple(difference.confidence_interval()[0]))
    assert (ours.limit == 1.0) == (ours.difference_low <= 0)


def test_the_limit_is_fiellers_among_participants():
    means, covariance = (0.5, 0.3), np.array([[4e-4, 1e-4], [1e-4, 3e-4]])
    ours = ev.e_value(scale="risk_difference", means=means, covariance=covariance, participant_share=1.0)
    z2 = 1.959963984540054**2
    a, b, c = 0.09 - z2 * 3e-4, -2 * (0.15 - z2 * 1e-4), 0.25 - z2 * 4e-4
    factor = (-b - np.sqrt(b * b - 4 * a * c)) / (2 * a)
    assert ours.limit == pytest.approx(factor + np.sqrt(factor * (factor - 1)), rel=1e-9)


def test_the_share_of_participants_brings_its_covariance(respondents):
    design = made.design_of(respondents)
    raw = ev.group_difference(design, **RAW)
    with pytest.raises(EstimationError, match=r"participant_share=ev\.survey_mean\(design, 'joined'\)"):
        ev.e_value(raw, scale="risk_difference")
    share = ev.survey_mean(design, "joined")
    estimated = ev.e_value(raw, scale="risk_difference", participant_share=share)
    fixed = ev.e_value(raw, scale="risk_difference", participant_share=float(share.estimate[0]))
    assert estimated.point == pytest.approx(fixed.point)
    if estimated.limit > 1:
        assert estimated.limit != fixed.limit
        assert estimated.limit == pytest.approx(fixed.limit, rel=0.05)


def test_a_negative_difference_exchanges_the_groups():
    covariance = np.diag([4e-4, 3e-4, 2e-4])
    up = ev.e_value(scale="risk_difference", means=(0.5, 0.3), covariance=covariance, participant_share=0.3)
    down = ev.e_value(
        scale="risk_difference", means=(0.3, 0.5), covariance=np.diag([3e-4, 4e-4, 2e-4]), participant_share=0.7
    )
    assert (up.point, up.limit) == pytest.approx((down.point, down.limit))
    assert down.difference == pytest.approx(-0.2)
    part = ev.e_value(scale="risk_difference", means=(0.5, 0.3), participant_share=0.3, null=0.1)
    assert 1 < part.point < up.point
    assert np.isnan(part.limit)


def test_a_risk_difference_speaks_and_refuses():
    result = ev.e_value(scale="risk_difference", means=(0.5, 0.3), participant_share=0.3)
    assert "0.200" in result.text("ko")
    assert "Risk difference 0.200" in result.text("en")
    assert list(result.tidy().columns[-3:]) == ["difference", "difference_low", "difference_high"]
    wrong = [
        ({"means": (5.0, 0.3), "participant_share": 0.3}, "shares between 0 and 1"),
        ({"means": (0.5, 0.3), "participant_share": 1.3}, "a part of 1"),
        ({"means": (0.5, 0.3)}, "needs means="),
        ({"means": (0.5, 0.3), "participant_share": 0.3, "null": 0.4}, "null must lie"),
        ({"means": (0.5, 0.3), "participant_share": 0.3, "low": 0.1}, "low has no meaning"),
        ({"means": (0.5, 0.3), "participant_share": 0.3, "covariance": [1.0]}, "shape"),
    ]
    for options, message in wrong:
        with pytest.raises(EstimationError, match=message):
            ev.e_value(scale="risk_difference", **options)
    with pytest.raises(EstimationError, match="means has no meaning for scale 'risk_ratio'"):
        ev.e_value(1.4, means=(0.5, 0.3))


def test_rare_outcomes_and_standardised_differences(respondents):
    assert ev.e_value(2.1, low=1.3, high=3.4, scale="odds_ratio_rare").point == pytest.approx(2.1 + np.sqrt(2.1 * 1.1))
    odds = ev.aipw(made.design_of(respondents), **GIVEN, measure="log_odds_ratio")
    rare, common = ev.e_value(odds, scale="odds_ratio_rare"), ev.e_value(odds)
    ratio = float(np.exp(odds.estimate[0]))
    assert rare.risk_ratio == pytest.approx(ratio)
    assert common.risk_ratio == pytest.approx(np.sqrt(ratio))
    with pytest.raises(EstimationError, match="scale cannot be 'smd'"):
        ev.e_value(odds, scale="smd")
