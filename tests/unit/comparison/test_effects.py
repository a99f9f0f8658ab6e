"""Adjusted differences: worked by hand, their influence by numerical derivative, and what is refused."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, EstimationError, IdentificationError

DERIVATIVE = 1e-6
STEP = 1e-5
SAME = 1e-8
COVARIATES = ["age", "sex", "district"]

ADJUSTED = {
    "ipw": ev.ipw,
    "aipw": ev.aipw,
    "ipwra": ev.ipwra,
    "g_computation": ev.g_computation,
    "regression_adjusted": ev.regression_adjusted,
}
WITH_MODEL = [name for name in ADJUSTED if name != "ipw"]
CASES = [
    (name, estimand, outcome)
    for name in ADJUSTED
    for estimand in ("ATT", "ATE", "ATC", "ATO")
    for outcome in ("trust", "stays")
    if not (estimand == "ATO" and name in ("g_computation", "regression_adjusted"))
]


def design_of(frame):
    return ev.survey_design(frame, weights="w", strata="stratum", psu="psu")


def adjusted(name, design, outcome="trust", **options):
    return ADJUSTED[name](design, outcome=outcome, treatment="joined", **{"covariates": COVARIATES, **options})


def raked(frame):
    size = frame["w"].sum()
    targets = {"sex": {"f": 0.55 * size, "m": 0.45 * size}, "district": dict.fromkeys("abc", size / 3)}
    return ev.rake(design_of(frame), targets)


def reweighted(design, base):
    weights = base
    for applied in design.steps:
        weights = applied.step.replay(weights)
    return replace(design, weights=weights)


@pytest.mark.parametrize(("name", "estimand", "outcome"), CASES)
def test_influence_is_the_numerical_derivative_through_models_and_weighting(respondents, name, estimand, outcome):
    design = raked(respondents)
    measure = "log_odds_ratio" if outcome == "stays" else "difference"
    options = {"outcome": outcome, "estimand": estimand, "measure": measure}
    influence = adjusted(name, design, **options).influence
    scale = np.abs(influence).max(axis=0)
    for i in (0, 77, 141, 238):
        moved = []
        for sign in (1, -1):
            base = design.base_weights.copy()
            base[i] *= 1 + sign * STEP
            moved.append(adjusted(name, reweighted(design, base), **options).estimate)
        numerical = (moved[0] - moved[1]) / (2 * STEP)
        np.testing.assert_allclose(influence[i] / scale, numerical / scale, atol=DERIVATIVE)


@pytest.mark.parametrize("against", ["others", "all"])
def test_influence_of_the_raw_difference_is_the_numerical_derivative(respondents, against):
    design = raked(respondents)
    arguments = {"outcome": "stays", "treatment": "joined", "against": against, "measure": "log_risk_ratio"}
    influence = ev.group_difference(design, **arguments).influence
    for i in (3, 120, 200):
        moved = []
        for sign in (1, -1):
            base = design.base_weights.copy()
            base[i] *= 1 + sign * STEP
            moved.append(ev.group_difference(reweighted(design, base), **arguments).estimate)
        np.testing.assert_allclose(influence[i], (moved[0] - moved[1]) / (2 * STEP), atol=DERIVATIVE)


def test_raw_difference_is_the_contrast_of_two_means(respondents):
    design = raked(respondents)
    result = ev.group_difference(design, outcome="trust", treatment="joined")
    means = ev.survey_mean(design, "trust", by="joined")
    gap = ev.contrast(means, {"gap": {"trust | joined=1": 1, "trust | joined=0": -1}})
    np.testing.assert_allclose(result.estimate[0], gap.estimate[0], rtol=SAME)
    np.testing.assert_allclose(result.std_error[0], gap.std_error[0], rtol=SAME)
    np.testing.assert_allclose(result.estimate[[2, 1]], means.estimate, rtol=SAME)


def test_one_binary_covariate_is_worked_by_hand():
    frame = pd.DataFrame(
        {
            "y": [1.0, 2, 3, 4, 3, 5, 7, 6],
            "joined": [0, 0, 0, 0, 1, 1, 1, 1],
            "sex": ["f", "f", "m", "m", "f", "m", "m", "m"],
        }
    )
    # Participants: a quarter f, three quarters m. Others: f 1.5, m 3.5, so 3.0 at the participants' composition.
    for name in ("ipw", "g_computation", "aipw", "ipwra"):
        result = adjusted(name, ev.survey_design(frame), outcome="y", covariates=["sex"])
        np.testing.assert_allclose(result.estimate, [2.25, 5.25, 3.0], rtol=SAME)


def test_row_zero_is_the_difference_and_then_come_the_means(respondents):
    result = adjusted("aipw", design_of(respondents))
    assert result.keys["quantity"].tolist() == ["difference", "mean_participants", "mean_comparison"]
    np.testing.assert_allclose(result.estimate[0], result.estimate[1] - result.estimate[2], rtol=SAME)
    assert result.addresses()[0] == "trust | quantity=difference"
    assert result.n_obs.tolist() == [240, int(respondents["joined"].sum()), int((respondents["joined"] == 0).sum())]
    assert result.df[0] == 38
    assert result.fit["estimand"] == "ATT"


@pytest.mark.parametrize("name", list(ADJUSTED))
def test_scales_and_order_and_coding_change_nothing(respondents, name):
    ours = adjusted(name, design_of(respondents), outcome="stays")
    other = respondents.assign(
        w=respondents["w"] * 1e6,
        age=respondents["age"] * 1e5 + 3e6,
        joined=np.where(respondents["joined"] == 1, "yes", "no"),
        stays=respondents["stays"].astype(bool),
        sex=respondents["sex"].map({"f": "z", "m": "m"}),
    ).sample(frac=1, random_state=4)
    again = adjusted(name, design_of(other), outcome="stays")
    np.testing.assert_allclose(again.estimate, ours.estimate, rtol=SAME)
    np.testing.assert_allclose(again.std_error, ours.std_error, rtol=SAME)
    assert again.fit["participants"] == "yes"


@pytest.mark.parametrize("name", list(ADJUSTED))
def test_jackknife_that_fits_everything_again_is_near_linearization(respondents, name):
    taylor = adjusted(name, raked(respondents))
    jackknife = adjusted(name, ev.as_replicates(raked(respondents), kind="JKn"))
    np.testing.assert_allclose(jackknife.estimate, taylor.estimate, rtol=SAME)
    np.testing.assert_allclose(jackknife.std_error, taylor.std_error, rtol=0.15)


def test_results_of_one_design_can_be_contrasted(respondents):
    design = design_of(respondents)
    raw = ev.group_difference(design, outcome="trust", treatment="joined").take(np.array([0]))
    weighted = adjusted("ipw", design, outcome="stays").take(np.array([0]))
    apart = ev.contrast(
        [raw, weighted], {"apart": {"trust | quantity=difference": 1, "stays | quantity=difference": -1}}
    )
    np.testing.assert_allclose(apart.estimate, raw.estimate - weighted.estimate)


def test_a_domain_keeps_the_design_and_leaves_others_out(respondents):
    result = adjusted("aipw", ev.domain(design_of(respondents), {"district": ["a", "b"]}), covariates=["age", "sex"])
    inside = respondents["district"].isin(["a", "b"])
    assert result.n_obs[0] == inside.sum()
    zero = respondents.assign(w=respondents["w"] * inside)
    same = adjusted("aipw", design_of(zero), covariates=["age", "sex"])
    np.testing.assert_allclose(result.estimate, same.estimate, rtol=SAME)
    np.testing.assert_allclose(result.std_error, same.std_error, rtol=SAME)


def test_who_misses_a_value_is_left_out_and_counted(respondents):
    gaps = respondents.assign(
        trust=respondents["trust"].where(respondents.index % 10 != 0),
        age=respondents["age"].where(respondents.index % 10 != 1),
    )
    result = adjusted("aipw", design_of(gaps), missing="complete_cases")
    assert result.fit["n_left_out"] == 48
    assert result.n_obs[0] == 192
    complete = gaps["trust"].notna() & gaps["age"].notna()
    same = adjusted("aipw", design_of(respondents.assign(w=respondents["w"] * complete)))
    np.testing.assert_allclose(result.estimate, same.estimate, rtol=SAME)


def test_a_formula_without_covariates_gives_the_raw_difference(respondents):
    design = design_of(respondents)
    raw = ev.group_difference(design, outcome="trust", treatment="joined")
    for name in ADJUSTED:
        result = adjusted(name, design, covariates="~ 1", estimand="ATE")
        np.testing.assert_allclose(result.estimate, raw.estimate, rtol=SAME)
        np.testing.assert_allclose(result.std_error, raw.std_error, rtol=SAME)


def test_an_adjustment_undoes_a_composition_that_alone_makes_the_gap():
    rng = np.random.default_rng(5)
    n = 4000
    age = rng.normal(0, 1, n)
    joined = (rng.uniform(size=n) < 1 / (1 + np.exp(-age))).astype(int)
    frame = pd.DataFrame({"age": age, "joined": joined, "y": 2 * age + rng.normal(0, 0.1, n)})
    design = ev.survey_design(frame)
    assert ev.group_difference(design, outcome="y", treatment="joined").estimate[0] > 1
    for name in ADJUSTED:
        result = adjusted(name, design, outcome="y", covariates=["age"])
        assert abs(result.estimate[0]) < 0.2 * (1 if name == "ipw" else 0.1)


# --- what is refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (lambda f: f["district"], "has 3 .a, b, c."),
        (lambda f: np.ones(len(f)), "has 1 .1.0."),
        (lambda f: f["joined"] + 1, "holds 1, 2. Recode it to 1 for participants"),
        (lambda f: np.full(len(f), np.nan), "all missing"),
        (lambda f: f["age"], "has 240"),
    ],
)
def test_a_treatment_has_two_values(respondents, values, message):
    with pytest.raises(ColumnError, match=message):
        adjusted("aipw", design_of(respondents.assign(joined=values(respondents))))


def test_unknown_columns_are_answered_with_the_nearest(respondents):
    design = design_of(respondents)
    with pytest.raises(ColumnError, match="Did you mean 'district'"):
        adjusted("aipw", design, covariates=["distric"])
    with pytest.raises(ColumnError, match="Did you mean 'trust'"):
        adjusted("aipw", design, outcome="trst")
    with pytest.raises(ColumnError, match="Did you mean 'joined'"):
        ev.ipw(design, outcome="trust", treatment="joind", covariates=COVARIATES)


@pytest.mark.parametrize("twice", ["joined", "trust"])
def test_one_column_has_one_role(respondents, twice):
    with pytest.raises(ColumnError, match="cannot be a covariate too"):
        adjusted("ipw", design_of(respondents), covariates=["age", twice])
    with pytest.raises(ColumnError, match="as treatment and as outcome"):
        adjusted("ipw", design_of(respondents), outcome="joined")


def test_a_question_asked_of_one_group_is_refused_with_who_misses_it(respondents):
    asked = respondents.assign(trust=respondents["trust"].where(respondents["joined"] == 1))
    for ask in (
        lambda design: adjusted("aipw", design),
        lambda design: ev.group_difference(design, outcome="trust", treatment="joined"),
    ):
        with pytest.raises(EstimationError, match=r"joined = 0 .*asked of one group only") as caught:
            ask(design_of(asked))
        assert len(caught.value.failures) == (respondents["joined"] == 0).sum()


def test_a_covariate_missing_for_a_whole_group_is_refused(respondents):
    empty = respondents.assign(age=respondents["age"].where(respondents["joined"] == 0))
    with pytest.raises(EstimationError, match="joined = 1 has a value of all of"):
        adjusted("ipw", design_of(empty), missing="complete_cases")


def test_a_covariate_that_tells_the_groups_apart_leaves_no_overlap(respondents):
    apart = respondents.assign(age=respondents["age"] + 100 * respondents["joined"])
    for name in ("ipw", "aipw", "ipwra"):
        with pytest.raises(IdentificationError, match=r"'age' tells for certain who participates"):
            adjusted(name, design_of(apart))


def test_a_level_that_only_participants_have_leaves_no_overlap(respondents):
    own = respondents["district"].where((respondents["district"] != "c") | (respondents["joined"] == 1), "a")
    with pytest.raises(IdentificationError, match="do not overlap"):
        adjusted("aipw", design_of(respondents.assign(district=own)))
    with pytest.raises(IdentificationError, match=r"model of the outcome in the comparison group \(0\): .*district"):
        adjusted("g_computation", design_of(respondents.assign(district=own)))


def test_collinear_covariates_and_groups_too_small_for_a_model_are_refused(respondents):
    twice = respondents.assign(months=respondents["age"] * 12)
    with pytest.raises(IdentificationError, match="combination of the covariates"):
        adjusted("ipw", design_of(twice), covariates=["age", "months"])
    few = respondents.assign(joined=0)
    few.loc[:2, "joined"] = 1
    with pytest.raises(IdentificationError, match=r"3 respondents, .* 5 coefficients to adjust for"):
        adjusted("g_computation", design_of(few))


@pytest.mark.parametrize("name", ["aipw", "g_computation", "ipwra"])
def test_an_outcome_without_variation_in_a_group_has_no_logistic_model(respondents, name):
    sure = respondents.assign(stays=np.where(respondents["joined"] == 1, 1, respondents["stays"]))
    with pytest.raises(IdentificationError, match=r"participants \(1\): all .* answers are 1"):
        adjusted(name, design_of(sure), outcome="stays")
    assert adjusted(name, design_of(sure), outcome="stays", family="gaussian").estimate[1] == pytest.approx(1)


def test_options_are_checked(respondents):
    design = design_of(respondents)
    with pytest.raises(EstimationError, match="estimand must be one of"):
        adjusted("ipw", design, estimand="LATE")
    with pytest.raises(EstimationError, match="Use ipw, aipw or ipwra"):
        adjusted("g_computation", design, estimand="ATO")
    with pytest.raises(EstimationError, match="family must be"):
        adjusted("aipw", design, family="gamma")
    with pytest.raises(EstimationError, match="measure must be"):
        adjusted("aipw", design, measure="ratio")
    with pytest.raises(EstimationError, match="against must be"):
        ev.group_difference(design, outcome="trust", treatment="joined", against="everybody")
    with pytest.raises(EstimationError, match="between 0 and 1"):
        adjusted("aipw", design, measure="log_odds_ratio")
    with pytest.raises(ColumnError, match="expected numbers"):
        adjusted("aipw", design, outcome="district", covariates=["age"])


def test_a_refused_comparison_computes_nothing(respondents):
    grown = ev.Measurement("lean_on_more", "Neighbours to lean on have increased", "15+", "web", 2016)
    verdict = ev.assess_comparability(grown, grown, contains_participants=False)
    with pytest.raises(IdentificationError, match="asks whether something has changed"):
        ev.group_difference(design_of(respondents), outcome="trust", treatment="joined", comparability=verdict)


def test_sentences_name_each_row_and_ascribe_nothing(respondents):
    result = adjusted("aipw", design_of(respondents))
    english, korean = (ev.statement(result, lang).sentences for lang in ("en", "ko"))
    assert re.match(
        r"Trust: mean of participants \S+, mean of the comparison group \S+; adjusted difference \(doubly robust\) \S+ "
        r"\(95% interval \S+ to \S+; n = 240\)\.",
        english[0],
    )
    assert korean[0].startswith("trust: 참여자 평균 ")
    for word in ("caus", "effect", "impact", "효과", "영향"):
        assert word not in " ".join([*english, *korean])
