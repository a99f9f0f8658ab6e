"""What people pass to comparisons by mistake: every verb says what was expected, what came and the next move."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import (
    ColumnError,
    ContraryItemWarning,
    DesignError,
    EstimationError,
    EvaluationError,
    IdentificationError,
)
from evaluation.estimation.group_checks import refuse_later
from evaluation.estimation.groups import groups_of
from evaluation.survey.codebook import Codebook, Variable

ADJUSTING = ("aipw", "ipw", "ipwra", "g_computation", "regression_adjusted")
BALANCING = ("propensity_weights", "entropy_balance", "cbps")
COVARIATES = ["age", "sex"]


def frame(n=400):
    rng = np.random.default_rng(11)
    age, sex = rng.integers(20, 70, n).astype(float), rng.choice(["f", "m"], n)
    joined = (rng.random(n) < 1 / (1 + np.exp(-(-0.5 + 0.02 * (age - 45) + 0.4 * (sex == "m"))))).astype(int)
    answer = np.clip(np.round(3 + 0.3 * joined + rng.normal(size=n)), 1, 5)
    return pd.DataFrame(
        {
            "age": age,
            "sex": sex,
            "joined": joined,
            "y": (rng.random(n) < 0.4 + 0.15 * joined).astype(int),
            "trust": answer,
            "ties": np.clip(answer + rng.integers(-1, 2, n), 1, 5),
            "three": rng.integers(1, 4, n),
            "same": 1,
            "score": 50 + 3 * joined + rng.normal(size=n) * 8,
            "times": np.where(joined == 1, rng.integers(1, 4, n), 0),
            "district": rng.choice(["a", "b", "c"], n),
            "w": rng.uniform(0.5, 2, n),
        }
    )


DATA = frame()
DESIGN = ev.survey_design(DATA, weights="w")
GIVEN = {"outcome": "y", "treatment": "joined"}
ITEM = ev.Measurement("y", "How?", "Seoul, 15+", "telephone", 2016)
SAME = ev.assess_comparability(ITEM, ITEM, contains_participants=False)


def adjusted(verb="aipw", design=DESIGN, **options):
    return getattr(ev, verb)(design, **{**GIVEN, "covariates": COVARIATES, **options})


def matched(**options):
    return ev.match(DESIGN, treatment="joined", covariates=COVARIATES, **options)


def effect(**options):
    return adjusted(**options)


# --- columns --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "verb", [*ADJUSTING, "sensitivity_bounds", "robustness_value", "oster_delta", "oaxaca_blinder"]
)
@pytest.mark.parametrize("outcome", [None, ["y", "trust"], DATA["y"].to_numpy(), "", True])
def test_an_outcome_is_the_name_of_one_column(verb, outcome):
    with pytest.raises(ColumnError, match=f"{verb}: outcome must be the name of one column, got "):
        adjusted(verb, outcome=outcome)


@pytest.mark.parametrize("treatment", [None, ["joined"], DATA["joined"]])
def test_a_treatment_is_the_name_of_one_column(treatment):
    with pytest.raises(ColumnError, match="treatment must be the name of one column, got "):
        ev.group_difference(DESIGN, outcome="y", treatment=treatment)


@pytest.mark.parametrize(
    ("covariates", "message"),
    [
        (None, "must be names of columns, got None"),
        ([], "must name at least one column, got \\[\\]: that adjusts for nothing"),
        ((), "must name at least one column"),
        ({"age": 1}, "got a dict, which is no list. Write them in order: \\['age'\\]"),
        ({"age", "sex"}, "got a set, which is no list. Write them in order: \\['age', 'sex'\\]"),
        (["age", "age"], "names 'age' twice"),
        (DATA[["age", "sex"]], "got a DataFrame of shape \\(400, 2\\). Name its columns: \\['age', 'sex'\\]"),
        (DATA["age"], "got values, shape \\(400,\\). Put them into the data first"),
        (DATA[["age"]].to_numpy(), "got values, shape \\(400, 1\\)"),
        ([1, 2], "Columns that are called by numbers need a name here"),
        ("", "must be names of columns"),
    ],
)
@pytest.mark.parametrize("verb", [*ADJUSTING, *BALANCING])
def test_covariates_are_names_in_order(verb, covariates, message):
    given = {"treatment": "joined"} if verb in BALANCING else GIVEN
    with pytest.raises(ColumnError, match=f"{verb}: .*{message}"):
        getattr(ev, verb)(DESIGN, **given, covariates=covariates)


@pytest.mark.parametrize(
    "covariates", [np.array(COVARIATES), pd.Index(COVARIATES), pd.Series(COVARIATES), ("age", "sex")]
)
def test_an_array_of_names_is_a_list_of_names(covariates):
    assert adjusted(covariates=covariates).estimate.tolist() == adjusted().estimate.tolist()
    balanced = ev.entropy_balance(DESIGN, treatment="joined", covariates=covariates)
    assert ev.balancing_of(balanced).covariates == COVARIATES


@pytest.mark.parametrize("verb", [*ADJUSTING, *BALANCING, "group_difference", "balance_table", "balancing_of"])
@pytest.mark.parametrize("design", [DATA, None])
def test_data_are_no_design(verb, design):
    given = {"outcome": "y"} if verb in (*ADJUSTING, "group_difference") else {}
    given |= {} if verb in ("group_difference", "balancing_of") else {"covariates": COVARIATES}
    given |= {} if verb == "balancing_of" else {"treatment": "joined"}
    with pytest.raises(DesignError, match=f"{verb} needs a design, got"):
        getattr(ev, verb)(design, **given)


def test_the_method_without_weights_is_named():
    weighted = ev.propensity_weights(DESIGN, treatment="joined", covariates=COVARIATES)
    with pytest.raises(EstimationError, match="balance_table, 'raw': the design has no balancing weights"):
        ev.balance_table({"scores": weighted, "raw": DESIGN})


def test_squares_are_shown_as_they_were_given():
    with pytest.raises(EstimationError, match="squares='age' goes with moments=2"):
        ev.entropy_balance(DESIGN, treatment="joined", covariates=COVARIATES, squares="age")


# --- who takes part, and answers that do not vary ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("others", "participants"),
    [
        ("not attended", "attended"),
        ("참여 안 함", "참여"),
        ("참여하지 않음", "참여"),
        ("untreated", "treated"),
        ("others", "members"),
        ("never", "ever"),
        ("didn't go", "came"),
    ],
)
def test_sorted_text_does_not_make_participants_of_the_others(others, participants):
    texts = np.where(DATA["joined"] == 1, participants, others)
    asked = ev.survey_design(DATA.assign(part=texts), weights="w")
    with pytest.raises(ColumnError, match=f"'{others}' does not look like them. Say who takes part: make it 1"):
        ev.group_difference(asked, outcome="y", treatment="part")
    ordered = ev.survey_design(DATA.assign(part=pd.Categorical(texts, [others, participants])), weights="w")
    made = ev.group_difference(ordered, outcome="y", treatment="part")
    assert made.estimate.tolist() == ev.group_difference(DESIGN, **GIVEN).estimate.tolist()
    assert f"part: participants {participants}, comparison {others}" in repr(made)


@pytest.mark.parametrize(
    "levels", [("no", "yes"), ("아니요", "예"), ("비참여", "참여"), ("control", "treated"), ("a", "b")]
)
def test_text_whose_second_level_takes_part_is_taken_and_said(levels):
    asked = ev.survey_design(DATA.assign(part=np.where(DATA["joined"] == 1, levels[1], levels[0])), weights="w")
    made = ev.group_difference(asked, outcome="y", treatment="part")
    assert made.fit["participants"] == levels[1]
    said = f"part: participants {levels[1]}, comparison {levels[0]}"
    assert said in repr(made)
    assert f"<p>{said}</p>" in made._repr_html_()
    assert made.glance()[["participants", "comparison"]].to_numpy().tolist() == [[levels[1], levels[0]]]


@pytest.mark.parametrize(
    "verb", [*ADJUSTING, "sensitivity_bounds", "robustness_value", "oster_delta", "oaxaca_blinder", "effect_ladder"]
)
def test_an_outcome_that_does_not_vary_has_no_difference(verb):
    with pytest.raises(EstimationError, match=f"{verb}: outcome 'same' does not vary: it is 1 for all 400"):
        adjusted(verb, outcome="same")


@pytest.mark.parametrize(
    "made",
    [
        lambda: ev.group_difference(DESIGN, outcome="same", treatment="joined"),
        lambda: ev.manski_bounds(DESIGN, outcome="same", treatment="joined"),
        lambda: ev.matched_difference(matched(), outcome="same"),
        lambda: ev.negative_controls(DESIGN, outcomes=["same"], treatment="joined", covariates=COVARIATES),
        lambda: ev.likert_difference(DESIGN, outcome="same", treatment="joined"),
    ],
)
def test_no_verb_makes_a_result_of_a_constant(made):
    with pytest.raises(EvaluationError, match=r"does not vary|answers"):
        made()


def test_a_subgroup_of_one_answer_says_so_and_the_others_stand():
    data = DATA.assign(y=np.where(DATA["district"] == "c", 0, DATA["y"]))
    rows = ev.subgroup_effects(ev.survey_design(data), **GIVEN, by="district", method="raw").tidy().set_index("level")
    assert rows.loc["c", "reason"] == "the outcome does not vary"
    assert np.isnan(rows.loc["c", "estimate"])
    assert np.isfinite(rows.loc[["a", "b"], "estimate"].astype(float)).all()


def test_who_has_no_weight_does_not_decide_what_an_outcome_is():
    data = DATA.assign(y=np.where(DATA.index < 3, 9, DATA["y"]), w=np.where(DATA.index < 3, 0.0, DATA["w"]))
    without = ev.survey_design(DATA.iloc[3:], weights="w")
    made = adjusted(design=ev.survey_design(data, weights="w"))
    np.testing.assert_allclose(made.estimate, adjusted(design=without).estimate, rtol=1e-9)
    assert groups_of(ev.survey_design(data, weights="w"), **GIVEN, verb="aipw").family == "binomial"


# --- declared comparisons, figures printed elsewhere ----------------------------------------------------------------


@pytest.mark.parametrize(
    "made",
    [
        lambda: ev.group_difference(DESIGN, **GIVEN, comparability="ok"),
        lambda: adjusted(comparability=ITEM),
        lambda: ev.benchmark_difference(ev.survey_mean(DESIGN, "y"), 0.5, comparability=None),
        lambda: ev.decompose_published(0.8, 0.6, comparability=None),
        lambda: ev.sample_difference(DESIGN, DESIGN, outcome="y", comparability=None),
    ],
)
def test_a_declared_comparison_is_one(made):
    with pytest.raises(EstimationError, match=r"comparability must be what ev\.assess_comparability"):
        made()


@pytest.mark.parametrize(
    ("sides", "options", "message"),
    [
        ((None, ITEM), {}, "participants must be an ev.Measurement, got None"),
        ((ITEM, "y"), {}, "comparator must be an ev.Measurement, got 'y'"),
        ((ev.Measurement(None), ITEM), {}, "item of participants must be text, got None"),
        ((ITEM, ev.Measurement("y", year="2016")), {}, "year of comparator must be a whole number or None, got '2016'"),
        ((ITEM, ITEM), {"contains_participants": "no"}, "must be True, False, or None where it is not known, got 'no'"),
        ((ITEM, ITEM), {"failed": "overlap"}, "failed lists diagnostics, got 'overlap'"),
        ((ITEM, ITEM), {"evidence": None}, "evidence must be one of"),
    ],
)
def test_a_measurement_has_its_types(sides, options, message):
    with pytest.raises(EstimationError, match=message):
        ev.assess_comparability(*sides, **{"contains_participants": False, **options})


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        ((84.7, 59.4), "look like per cent"),
        ((0.847, 59.4), "looks like a share"),
        ((-0.2, 0.5), "number of 0 or more, got -0.2"),
        ((0.8, None), "comparator must be a number of 0 or more, got None"),
    ],
)
def test_published_figures_are_shares(figures, message):
    with pytest.raises(EstimationError, match=message):
        ev.decompose_published(*figures, comparability=SAME)


@pytest.mark.parametrize(
    ("result", "figure", "options", "message"),
    [
        (DATA, 0.5, {}, "needs an estimate, such as ev.survey_mean"),
        (None, "0.5", {}, "benchmark must be a number, got '0.5'"),
        (None, 0.5, {"participant_share": 40}, "leaves no others. Per cent are written 0.4"),
        (None, 0.5, {"n": "1000"}, "n must be a number of 1 or more"),
        (None, 0.5, {"std_error": -1}, "std_error must be a number above 0"),
    ],
)
def test_a_benchmark_is_a_number_beside_an_estimate(result, figure, options, message):
    result = ev.survey_mean(DESIGN, "y") if result is None else result
    with pytest.raises(EstimationError, match=message):
        ev.benchmark_difference(result, figure, comparability=SAME, **options)


@pytest.mark.parametrize(
    ("comparator", "message"),
    [
        ("score", "would mix a share with per cent or points"),
        ("joined", "is the treatment too"),
        (None, "comparator_outcome must be the name of one column"),
    ],
)
def test_the_item_of_the_comparator_is_another_in_the_same_unit(comparator, message):
    with pytest.raises(EvaluationError, match=message):
        ev.decompose_gap(DESIGN, **GIVEN, comparator_outcome=comparator, covariates=COVARIATES)


# --- differences held against margins, and held against each other --------------------------------------------------


@pytest.mark.parametrize("verb", ["equivalence_test", "non_inferiority_test", "superiority_test"])
def test_a_mean_is_no_difference(verb):
    with pytest.raises(EstimationError, match=f"{verb} holds differences against a margin, but 1 rows of survey_mean"):
        getattr(ev, verb)(ev.survey_mean(DESIGN, "y"), margin=0.1)
    with pytest.raises(EstimationError, match="are levels"):
        getattr(ev, verb)(effect(), margin=0.1, row="y | quantity=mean_participants")


def test_a_margin_of_a_ratio_says_that_it_is_on_the_log_scale():
    made = ev.superiority_test(effect(measure="log_risk_ratio"), margin=0.1)
    assert "log scale; as a ratio " in made.text("en")
    assert "margin 1.11" in made.text("en")
    assert "로그 척도" in made.text("ko")
    assert "log scale" not in ev.superiority_test(effect(), margin=0.1).text("en")


def test_only_subgroups_are_held_against_each_other():
    with pytest.raises(EstimationError, match=r"3 rows of aipw that are no subgroups \(difference, mean_participants"):
        ev.heterogeneity_test(effect())
    with pytest.raises(EstimationError, match=r"that are no subgroups \(y, trust"):
        ev.heterogeneity_test(ev.survey_mean(DESIGN, ["y", "trust"]))


def test_a_tipping_point_is_that_of_a_difference():
    with pytest.raises(EstimationError, match="row 0 of survey_mean is a level, expected a difference"):
        ev.tipping_point(ev.survey_mean(DESIGN, "y"), strength=0.3)


# --- Likert boxes, items, doses, indices -----------------------------------------------------------------------------


def test_default_boxes_do_not_share_an_answer():
    made = ev.likert_difference(DESIGN, outcome="three", treatment="joined")
    assert (made.fit["top"], made.fit["bottom"]) == (1, 1)
    assert ev.likert_difference(DESIGN, outcome="trust", treatment="joined").fit["top"] == 2
    one = ev.likert_difference(DESIGN, outcome="three", treatment="joined", top=2)
    assert (one.fit["top"], one.fit["bottom"]) == (2, 1)


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ({"top": 3, "bottom": 3}, "3 highest and the 3 lowest of 5 answers share 1"),
        ({"top": "2"}, "top is how many answers make the box, 1 to 4 on this scale, got '2'"),
        ({"bottom": 0}, "bottom is how many answers"),
    ],
)
def test_boxes_fit_the_scale(boxes, message):
    with pytest.raises(EstimationError, match=message):
        ev.likert_difference(DESIGN, outcome="trust", treatment="joined", **boxes)


def test_an_item_that_runs_against_the_others_is_in_the_result_too():
    with pytest.warns(ContraryItemWarning, match="runs against the rest"):
        made = ev.cronbach_alpha(DESIGN, ["trust", "ties"], reversed=["ties"])
    assert "against the other items: trust, ties" in repr(made)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: ev.dose_response(DESIGN, outcome="y", dose="times", foo=1), "difference has no argument 'foo'"),
        (lambda: ev.dose_response(DESIGN, outcome="y", dose="times", covariates=None), "must be names of columns"),
        (lambda: ev.outcome_index(DESIGN, ["trust", "ties"], treatment="joined", name=None), "name must be the name"),
        (lambda: ev.manski_bounds(DESIGN, **GIVEN, bounds=1), "smallest and largest possible answer, got 1"),
        (lambda: matched(order="random", seed="a"), "match: seed must be a whole number of 0 or more, got 'a'"),
        (lambda: ev.matched_difference(matched(), outcome="y", neighbours=0), "neighbours must be a whole number"),
        (
            lambda: ev.rosenbaum_bounds(matched(), outcome="y", gamma="2"),
            "gamma must be a number of 1 or more, got '2'",
        ),
        (lambda: adjusted("sensitivity_bounds", lambda_="2"), "lambda_ must be a number of 1 or more, got '2'"),
        (lambda: ev.stepdown_p_values("ab", np.zeros((9, 2))), "must be numbers, got 'ab'"),
        (lambda: adjusted("judge_comparison", limits="x"), "limits must be ev.Limits"),
        (lambda: adjusted("effect_ladder", benchmark=0.5), "benchmark must be what ev.benchmark_difference"),
        (lambda: ev.methods_text(DESIGN, None), "methods_text needs what ev.declared_comparison returned"),
        (lambda: ev.e_value(1e300), "no risk ratio that people have"),
        (lambda: ev.e_value(DESIGN), "must be a number or an estimated ratio, got a Design. Write"),
        (lambda: ev.e_value(1.4, low="1.2"), "low must be a number, got '1.2'"),
    ],
)
def test_no_argument_ends_in_an_error_of_the_language(made, message):
    with pytest.raises(EvaluationError, match=message):
        made()


def test_subgroups_without_covariates_are_adjusted_for_nothing():
    made = ev.subgroup_effects(DESIGN, **GIVEN, by="district")
    assert set(made.keys["method"]) == {"raw"}


def test_small_effects_are_not_printed_as_none():
    assert "0.0 percentage points" not in ev.sample_size_of_difference(effect=1e-4, share=0.5).text("en")


def test_published_figures_have_no_sample_to_print():
    said = repr(ev.decompose_published(0.8, 0.6, comparability=SAME))
    assert said.startswith("decompose_gap: published\n")


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: ev.minimum_detectable_effect(effect(measure="log_risk_ratio")), "got the logarithm of a ratio"),
        (lambda: ev.minimum_detectable_effect(ev.survey_mean(DESIGN, "y")), "got a level and no difference"),
        (
            lambda: ev.minimum_detectable_effect(share=0.5, n_participants=1e12, n_comparison=9),
            "more people than there",
        ),
        (lambda: ev.sample_size_of_difference(effect=1e-9, share=0.5), "more people than there are. Is the effect in"),
    ],
)
def test_what_is_planned_is_a_difference_among_people(made, message):
    with pytest.raises(EstimationError, match=message):
        made()


def test_dates_are_no_covariates():
    dated = DATA.assign(born=pd.Timestamp("1980-01-01") + pd.to_timedelta(np.arange(len(DATA)) % 50, unit="D"))
    with pytest.raises(ColumnError, match="aipw: covariate 'born' holds dates, which would each be a level"):
        adjusted(design=ev.survey_design(dated, weights="w"), covariates=["born", "age"])


@pytest.mark.parametrize(
    ("roster", "message"),
    [
        ({"trust": 2 * DATA["trust"]}, "runs from 2 to 10 among participants and from 1 to 5 in the comparator"),
        ({"sex": DATA["sex"].map({"f": "여", "m": "남"})}, "no level is in both"),
    ],
)
def test_two_samples_are_on_one_scale(roster, message):
    other = ev.survey_design(DATA.assign(**roster).iloc[:200], weights="w")
    with pytest.raises(IdentificationError, match=message):
        ev.join_samples(other, ev.survey_design(DATA.iloc[200:], weights="w"), columns=list(roster))


def test_an_adjustment_for_what_came_later_alone_has_a_next_move():
    with pytest.raises(IdentificationError, match=r"Name covariates that were fixed before it; ev\.group_difference"):
        refuse_later(with_book(), ["age"], "aipw")


def with_book():
    """Return the design with a codebook in which age was asked after participation."""
    book = Codebook({"age": Variable("age", "numeric", "나이", "Age", timing="after")})
    return dataclasses.replace(DESIGN, provenance=dataclasses.replace(DESIGN.provenance, labels=book))
