"""An ordered item in two groups: worked by hand, adjusted without further code, and what is refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, EstimationError, IdentificationError
from evaluation.survey.codebook import Codebook, Variable

SAME = 1e-12
DERIVATIVE = 1e-6
STEP = 1e-5
COVARIATES = ["age", "sex", "district"]
SCALE = {str(code): (f"답 {code}", f"answer {code}") for code in range(1, 6)}


@pytest.fixture
def answers(respondents):
    rng = np.random.default_rng(5)
    latent = 2.6 + 0.02 * (respondents["age"] - 45) + 0.5 * respondents["joined"]
    return respondents.assign(item=np.clip(np.round(latent + rng.normal(0, 1.1, len(respondents))), 1, 5).astype(int))


def design_of(frame):
    return ev.survey_design(frame, weights="w", strata="stratum", psu="psu")


def with_book(design, **variables):
    return replace(design, provenance=replace(design.provenance, labels=Codebook(variables)))


def item(name="item", **facts):
    return Variable(name, "ordinal", label_ko="문항", label_en="Item", codes=SCALE, **facts)


def likert(design, **options):
    return ev.likert_difference(design, **{"outcome": "item", "treatment": "joined", **options})


def rows(result):
    return result.tidy().set_index("quantity")


def test_eight_respondents_are_worked_by_hand():
    frame = pd.DataFrame({"item": [1, 1, 2, 3, 1, 2, 3, 3], "joined": [0] * 4 + [1] * 4})
    found = rows(likert(ev.survey_design(frame), top=1))
    assert found.loc["share_participants", "estimate"].tolist() == [0.25, 0.25, 0.5]
    assert found.loc["share_comparison", "estimate"].tolist() == [0.5, 0.25, 0.25]
    assert found.loc["top_box_difference", "estimate"] == 0.25
    assert found.loc["bottom_box_difference", "estimate"] == -0.25
    assert found.loc["mean_difference", "estimate"] == 0.5
    # 1 ties with two of four; 2 beats two and ties with one; 3 (twice) beats three and ties with one.
    assert found.loc["probability_superiority", "estimate"] == (1 / 4 + 2.5 / 4 + 2 * 3.5 / 4) / 4
    assert found.index[0] == "top_box_difference"


def test_superiority_is_tested_against_one_half(answers):
    found = rows(likert(design_of(answers)))
    superiority, somers = found.loc["probability_superiority"], found.loc["somers_d"]
    np.testing.assert_allclose(superiority["statistic"], somers["statistic"], rtol=SAME)
    np.testing.assert_allclose(superiority["p_value"], somers["p_value"], rtol=1e-10)
    assert 0 < superiority["conf_low"] < superiority["estimate"] < superiority["conf_high"] < 1


def test_boxes_and_means_are_those_of_group_difference(answers):
    design = design_of(answers.assign(high=(answers["item"] >= 4).astype(int)))
    found = rows(likert(design))
    for quantity, outcome in (("top_box_difference", "high"), ("mean_difference", "item")):
        other = ev.group_difference(design, outcome=outcome, treatment="joined")
        np.testing.assert_allclose(found.loc[quantity, "estimate"], other.estimate[0], rtol=SAME)
        np.testing.assert_allclose(found.loc[quantity, "std_error"], other.std_error[0], rtol=SAME)


@pytest.mark.parametrize("estimand", ["ATT", "ATE", "ATO"])
def test_on_a_balanced_design_the_boxes_are_those_of_ipw_with_its_error(answers, estimand):
    design = design_of(answers.assign(high=(answers["item"] >= 4).astype(int)))
    balanced = ev.propensity_weights(design, treatment="joined", covariates=COVARIATES, estimand=estimand)
    made = likert(balanced)
    found = rows(made)
    for quantity, outcome in (("top_box_difference", "high"), ("mean_difference", "item")):
        other = ev.ipw(design, outcome=outcome, treatment="joined", covariates=COVARIATES, estimand=estimand)
        np.testing.assert_allclose(found.loc[quantity, "estimate"], other.estimate[0], rtol=1e-10)
        np.testing.assert_allclose(found.loc[quantity, "std_error"], other.std_error[0], rtol=1e-10)
    assert (made.fit["adjusted_by"], made.fit["estimand"]) == ("propensity_weights", estimand)


def reweighted(design, base):
    weights = base
    for applied in design.steps:
        weights = applied.step.replay(weights)
    return replace(design, weights=weights)


@pytest.mark.parametrize("balanced", [False, True])
def test_influence_is_the_numerical_derivative(answers, balanced):
    design = design_of(answers)
    if balanced:
        design = ev.entropy_balance(design, treatment="joined", covariates=COVARIATES)
    influence = likert(design).influence
    scale = np.abs(influence).max(axis=0)
    for i in (0, 77, 141, 238):
        moved = []
        for sign in (1, -1):
            base = design.base_weights.copy()
            base[i] *= 1 + sign * STEP
            moved.append(likert(reweighted(design, base)).estimate)
        numerical = (moved[0] - moved[1]) / (2 * STEP)
        np.testing.assert_allclose(influence[i] / scale, numerical / scale, atol=DERIVATIVE)


def test_replicates_that_balance_anew_agree_with_linearization(answers):
    design = ev.entropy_balance(design_of(answers), treatment="joined", covariates=COVARIATES)
    replicated = ev.entropy_balance(
        ev.as_replicates(design_of(answers), kind="JKn"), treatment="joined", covariates=COVARIATES
    )
    ratio = likert(replicated).std_error[:6] / likert(design).std_error[:6]
    assert (np.abs(ratio - 1) < 0.15).all()


def test_neither_the_scale_of_weights_nor_the_order_of_rows_matters(answers):
    first = likert(design_of(answers))
    other = likert(design_of(answers.assign(w=1e6 * answers["w"]).sample(frac=1, random_state=3)))
    np.testing.assert_allclose(other.estimate, first.estimate, rtol=1e-9)
    np.testing.assert_allclose(other.std_error, first.std_error, rtol=1e-7)


def test_rows_share_one_covariance(answers):
    made = likert(design_of(answers))
    shares = {address: 1.0 for address in made.addresses() if "share_participants" in address}
    total = ev.contrast(made, {"all answers": shares})
    np.testing.assert_allclose(total.estimate, 1, rtol=SAME)
    assert total.std_error[0] < SAME


def test_against_everybody_has_no_odds_ratio_and_is_smaller(answers):
    others, everybody = rows(likert(design_of(answers))), rows(likert(design_of(answers), against="all"))
    assert "log_common_odds_ratio" in others.index
    assert "log_common_odds_ratio" not in everybody.index
    assert 0 < everybody.loc["mean_difference", "estimate"] < others.loc["mean_difference", "estimate"]


def test_a_scale_on_which_higher_means_less_is_turned(answers):
    turned = answers.assign(item=6 - answers["item"])
    plain = likert(with_book(design_of(answers), item=item(direction="higher_is_more")))
    made = likert(with_book(design_of(turned), item=item(direction="higher_is_less")))
    np.testing.assert_allclose(made.estimate, plain.estimate, rtol=1e-9, atol=1e-12)
    assert made.fit["levels"] == ["5", "4", "3", "2", "1"]
    assert made.fit["scale_turned"]


def test_dont_know_is_refused_with_its_rows(answers):
    answers.loc[[3, 8, 20], "item"] = 9
    for design in (with_book(design_of(answers), item=item(direction="higher_is_more")), design_of(answers)):
        with pytest.raises(ColumnError, match=r"9.*3 rows.*missing") as refused:
            likert(design)
        assert set(refused.value.failures.index) == {3, 8, 20}


def test_an_answer_that_nobody_gave_is_listed_by_hand(answers):
    answers["item"] = answers["item"].replace(3, 4)
    with pytest.raises(ColumnError, match=r"nothing at 3.*levels=\[1, 2, 3, 4, 5\]"):
        likert(design_of(answers))
    found = rows(likert(design_of(answers), levels=[1, 2, 3, 4, 5]))
    assert found.loc["share_participants", "estimate"].tolist()[2] == 0


def test_frames_that_code_the_item_in_opposite_directions_are_refused(answers):
    halves = {
        name: with_book(design_of(answers[answers["joined"] == value].reset_index(drop=True)), item=item(direction=way))
        for name, value, way in (("roster", 1, "higher_is_less"), ("citizens", 0, "higher_is_more"))
    }
    together = ev.join_frames(halves, overlap=False)
    with pytest.raises(IdentificationError, match=r"higher_is_more in one frame.*reverse_scale") as refused:
        likert(together)
    assert list(refused.value.failures["scale_direction"]) == ["higher_is_less", "higher_is_more"]


def test_a_scale_reversed_in_one_group_is_found_by_its_battery(answers):
    rng = np.random.default_rng(8)
    others = {f"other{j}": np.clip(answers["item"] + rng.integers(-1, 2, len(answers)), 1, 5) for j in range(2)}
    frame = answers.assign(**others)
    assert len(likert(design_of(frame), battery=list(others)))
    frame["item"] = np.where(frame["joined"] == 1, 6 - frame["item"], frame["item"])
    with pytest.raises(IdentificationError, match="reversed between the two groups") as refused:
        likert(design_of(frame), battery=list(others))
    assert len(refused.value.failures) == int((frame["joined"] == 1).sum())
    book = {name: item(name, direction="higher_is_more", scale="trust") for name in ("item", *others)}
    with pytest.raises(IdentificationError, match="reversed between"):
        likert(with_book(design_of(frame), **book))


def test_categories_need_an_order(answers):
    words = np.array(["never", "seldom", "often", "mostly", "always"])
    frame = answers.assign(word=words[answers["item"] - 1])
    with pytest.raises(ColumnError, match="order is not known"):
        likert(design_of(frame), outcome="word")
    ordered = frame.assign(word=pd.Categorical(frame["word"], words, ordered=True))
    expected = likert(design_of(frame)).estimate
    for design, levels in ((design_of(ordered), None), (design_of(frame), list(words))):
        np.testing.assert_allclose(likert(design, outcome="word", levels=levels).estimate, expected, rtol=SAME)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"top": 5}, EstimationError, "1 to 4"),
        ({"bottom": 0}, EstimationError, "bottom is how many"),
        ({"against": "none"}, EstimationError, "against must be"),
        ({"outcome": "stays"}, ColumnError, "2 answers"),
        ({"outcome": "age"}, ColumnError, "whole numbers"),
        ({"outcome": "itme"}, ColumnError, "item"),
        ({"treatment": "district"}, ColumnError, "two values"),
        ({"treatment": "item"}, ColumnError, "two columns"),
        ({"levels": "12345"}, ColumnError, "list each answer once"),
        ({"levels": [1, 2, 2, 3]}, ColumnError, "list each answer once"),
        ({"levels": [1, 2, 3]}, ColumnError, "not on its scale"),
        ({"battery": ["trust", "nobody"]}, ColumnError, "nobody"),
        ({"odds_ratio": "no"}, EstimationError, "odds_ratio"),
    ],
)
def test_what_is_refused(answers, options, error, message):
    with pytest.raises(error, match=message):
        likert(design_of(answers), **options)


def test_a_group_without_answers_is_refused(answers):
    with pytest.raises((EstimationError, ColumnError), match="joined"):
        likert(design_of(answers.assign(item=answers["item"].where(answers["joined"] == 0))))


def test_a_hidden_answer_takes_all_with_it_from_which_it_could_be_worked_out(answers):
    frame = answers.copy()
    frame.loc[frame["joined"] == 1, "item"] = frame.loc[frame["joined"] == 1, "item"].clip(2)
    frame.loc[frame.index[frame["joined"] == 1][:3], "item"] = 1
    design = design_of(frame)
    made = likert(replace(design, provenance=replace(design.provenance, min_cell=5)))
    shown = made.masked().tidy().set_index("quantity")
    hidden = shown.index[shown["estimate"].isna()]
    assert list(hidden).count("share_participants") == 2
    assert "share_comparison" not in hidden
    for quantity in ("mean_participants", "mean_difference", "probability_superiority", "log_common_odds_ratio"):
        assert quantity in hidden
    assert shown.loc["bottom_box_participants", "estimate"] > 0, "both hidden answers lie in that box"


def test_the_rate_ratio_of_a_count_is_that_of_poisson_regression(answers):
    rng = np.random.default_rng(2)
    design = design_of(answers.assign(visits=rng.poisson(1 + answers["joined"])))
    ratio = ev.group_difference(design, outcome="visits", treatment="joined", measure="log_risk_ratio")
    poisson = ev.survey_glm(design, outcome="visits", covariates=["joined"], family="poisson")
    np.testing.assert_allclose(ratio.estimate[0], poisson.estimate[1], rtol=1e-9)
    np.testing.assert_allclose(ratio.std_error[0], poisson.std_error[1], rtol=1e-9)
