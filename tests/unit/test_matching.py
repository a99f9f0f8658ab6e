"""What match returns, which weights matched respondents carry, and how it refuses."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, EstimationError, IdentificationError

BY_AGE = {"treatment": "joined", "covariates": ["age"], "distance": "age"}


def people(n=400, seed=9):
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({"age": random.integers(20, 70, n), "sex": random.choice(["f", "m"], n)})
    frame["income"] = random.gamma(2.0, 100.0, n)
    odds = 0.04 * (frame["age"] - 45) + 0.5 * (frame["sex"] == "f") - 1
    frame["joined"] = (random.uniform(size=n) < 1 / (1 + np.exp(-odds))).astype(int)
    frame["w"] = random.uniform(50, 150, n)
    frame["y"] = 0.1 * frame["age"] + frame["joined"] + random.normal(size=n)
    frame["block"] = random.integers(0, 40, n)
    frame["district"] = frame["block"] // 10
    return frame


def three_pairs(**columns):
    frame = pd.DataFrame(
        {"joined": [1, 1, 1, 0, 0, 0, 0], "age": [30, 40, 50, 31, 42, 49, 70], "w": [1.0, 2, 4, 8, 16, 32, 64]}
    )
    return frame.assign(**columns)


def weighted(frame, **options):
    return ev.match(ev.survey_design(frame, weights="w"), **BY_AGE, **options)


def test_matched_others_carry_the_survey_weight_of_those_they_stand_for_or_their_own():
    assert weighted(three_pairs()).weights.tolist() == [1, 2, 4, 1, 2, 4, 0]
    assert weighted(three_pairs(), weights="own").weights.tolist() == [1, 2, 4, 8, 16, 32, 0]


def test_who_serves_several_carries_the_sum_of_their_weights_or_the_own_one_as_often():
    frame = three_pairs(age=[30, 31, 50, 31, 90, 49, 90])
    assert weighted(frame, replacement=True).weights.tolist() == [1, 2, 4, 3, 0, 4, 0]
    assert weighted(frame, replacement=True, weights="own").weights.tolist() == [1, 2, 4, 16, 0, 32, 0]


def test_within_a_set_others_share_the_participants_mass_equally_or_by_their_own_weights():
    frame = pd.DataFrame({"joined": [1, 1, 0, 0, 0], "sex": list("ffffm"), "w": [1.0, 2, 1, 3, 5]})
    design = ev.survey_design(frame, weights="w")
    call = {"treatment": "joined", "covariates": ["sex"], "method": "exact"}
    assert ev.match(design, **call).weights.tolist() == [1, 2, 1.5, 1.5, 0]
    assert ev.match(design, **call, weights="own").weights.tolist() == [1, 2, 0.75, 2.25, 0]
    both = ev.match(design, **call, estimand="ATE").weights
    np.testing.assert_allclose(both, [7 / 3, 14 / 3, 7 / 4, 21 / 4, 0])


@pytest.mark.parametrize("option", ["participant", "own"])
@pytest.mark.parametrize("estimand", ["ATT", "ATC", "ATE"])
@pytest.mark.parametrize("method", ["cem", "subclass", "full"])
def test_in_matched_sets_both_groups_have_the_target_s_mass(method, estimand, option):
    frame = people()
    design = ev.survey_design(frame, weights="w")
    made = ev.match(
        design, treatment="joined", covariates=["age", "sex"], method=method, estimand=estimand, weights=option
    )
    joined, inside = frame["joined"].to_numpy() == 1, made.subclass >= 0
    target = {"ATT": inside & joined, "ATC": inside & ~joined, "ATE": inside}[estimand]
    for number in np.unique(made.subclass[inside]):
        here = made.subclass == number
        aim = frame["w"][here & target].sum()
        np.testing.assert_allclose([made.weights[here & joined].sum(), made.weights[here & ~joined].sum()], aim)


def test_coarsening_puts_a_value_on_a_cutpoint_into_the_higher_bin():
    frame = pd.DataFrame({"joined": [1, 0, 0], "age": [30.0, 29.0, 31.0]})
    made = ev.match(
        ev.survey_design(frame), treatment="joined", covariates=["age"], method="cem", cutpoints={"age": [30]}
    )
    assert made.subclass.tolist() == [0, -1, 0]
    assert made.settings["cutpoints"] == {"age": [30.0]}


def test_bins_are_equally_wide_and_as_many_as_sturges_says_or_parts_of_the_distribution():
    frame = pd.DataFrame({"joined": [0, 1] * 50, "age": np.arange(100.0)})
    design, call = ev.survey_design(frame), {"treatment": "joined", "covariates": ["age"], "method": "cem"}
    # Sturges: ceil(log2(100) + 1) = 8 bins.
    np.testing.assert_allclose(ev.match(design, **call).settings["cutpoints"]["age"], 99 / 8 * np.arange(1, 8))
    assert ev.match(design, **call, cutpoints="q4").settings["cutpoints"]["age"] == [24.75, 49.5, 74.25]
    assert ev.match(design, **call, cutpoints={"age": 2}).settings["cutpoints"]["age"] == [49.5]
    # R 4.2: nclass.scott(0:99) is 5, nclass.FD(0:99) is 5.
    assert len(ev.match(design, **call, cutpoints="scott").settings["cutpoints"]["age"]) == 4
    assert len(ev.match(design, **call, cutpoints="fd").settings["cutpoints"]["age"]) == 4


def test_only_the_domain_is_matched():
    frame = people()
    inside = ev.domain(ev.survey_design(frame), {"sex": "f"})
    made = ev.match(inside, treatment="joined", covariates=["age", "income"])
    alone = ev.match(ev.survey_design(frame[frame["sex"] == "f"]), treatment="joined", covariates=["age", "income"])
    np.testing.assert_array_equal(made.weights[frame["sex"] == "f"], alone.weights)
    assert not made.weights[frame["sex"] == "m"].any()


def test_the_matched_design_serves_other_verbs():
    made = ev.match(ev.survey_design(people()), treatment="joined", covariates=["age", "sex"])
    means = ev.survey_mean(made.matched_design, "y", by="joined").estimate
    effect = ev.matched_difference(made, outcome="y").estimate
    np.testing.assert_allclose([means[1] - means[0], means[1], means[0]], effect)
    assert made.matched_design.history["step"].tolist() == ["design weights", "match"]


def test_balance_and_overlap_look_at_a_matching():
    made = ev.match(ev.survey_design(people()), treatment="joined", covariates=["age", "sex"])
    rows = ev.balance_table(made).tidy()
    assert (rows["smd_weighted"].abs() <= rows["smd_raw"].abs()).all()


def test_what_is_printed_is_the_same_on_every_run_and_in_both_languages():
    texts = {repr(weighted(three_pairs())) for _ in range(2)}
    assert len(texts) == 1
    table = ev.table(weighted(three_pairs()), lang="ko")
    assert "짝지어진 수" in repr(table)
    assert "unmatched" in repr(ev.table(weighted(three_pairs()), lang="en"))
    record = weighted(three_pairs()).to_dict()
    assert record["fit"]["n_unmatched"] == 0
    assert record["rows"][0]["n_matched"] == 3


def test_missing_covariates_are_refused_left_out_or_matched_on():
    frame = people()
    rows = [*frame.index[frame["joined"] == 1][:6], *frame.index[frame["joined"] == 0][:6]]
    frame.loc[rows[::2], "income"] = np.nan
    frame.loc[rows[1::2], "sex"] = None
    design = ev.survey_design(frame)
    for method, covariates in (("nearest", ["age", "income", "sex"]), ("cem", ["age", "income", "sex"])):
        call = {"treatment": "joined", "covariates": covariates, "method": method}
        with pytest.raises(ColumnError, match=r"'income' for 6.*'sex' for 6") as told:
            ev.match(design, **call)
        assert len(told.value.failures) == 12
        left = ev.match(design, **call, missing="complete_cases")
        assert not left.weights[rows].any()
        assert left.groups.n_left_out == 12
        assert ev.match(design, **call, missing="indicator").groups.n_left_out == 0
    with pytest.raises(ColumnError, match="'sex' for 6"):
        ev.match(design, treatment="joined", covariates=["age"], exact="sex")
    exact = ev.match(design, treatment="joined", covariates=["age"], exact="sex", missing="complete_cases")
    assert exact.weights[rows[1]] == 0
    with pytest.raises(ColumnError, match="'income' for 6"):
        ev.match(design, treatment="joined", covariates=["age"], distance="income")


def test_nobody_within_the_caliper_says_how_near_the_nearest_are():
    with pytest.raises(EstimationError, match=r"nobody is within the caliper of 0\.5.*closest two are 1 apart"):
        weighted(three_pairs(), caliper=0.5, std_caliper=False)


def test_too_few_others_without_replacement_say_the_ratio_and_the_next_move():
    frame = pd.DataFrame({"joined": [1, 1, 1, 0, 0], "age": [1, 2, 3, 4, 5]})
    with pytest.raises(EstimationError, match=r"3 participants want 1 .* 2 to choose from \(0\.67 .*replacement=True"):
        ev.match(ev.survey_design(frame), **BY_AGE)
    assert ev.match(ev.survey_design(frame), **BY_AGE, replacement=True).n_unmatched == 0
    assert ev.match(ev.survey_design(frame), **BY_AGE, caliper=10, std_caliper=False).n_unmatched == 1


def test_an_exact_cell_without_others_is_named():
    frame = three_pairs(area=list("abbbbbb"))
    with pytest.raises(EstimationError, match=r"1 of 3 have nobody .*area=a \(1 respondents\)") as told:
        weighted(frame, exact="area")
    assert told.value.failures["age"].tolist() == [30]


def test_a_cell_with_fewer_others_leaves_some_unmatched_and_counts_them():
    made = weighted(three_pairs(area=list("aabaabb")), exact="area", order="data")
    assert made.n_unmatched == 0
    made = weighted(three_pairs(area=list("aaabbab")), exact="area")
    assert made.n_unmatched == 2
    assert made.discarded.tolist() == [True, True, False, False, False, False, False]


def test_no_cell_with_both_groups_is_refused():
    with pytest.raises(EstimationError, match="no combination of age holds participants and others"):
        ev.match(ev.survey_design(three_pairs()), treatment="joined", covariates=["age"], method="exact")


def test_what_was_measured_after_participation_is_no_ground_for_matching():
    design = ev.study_design("seoul_2016", "citizens_final")
    book = design.provenance.labels
    later = [name for name in design.data if name in book and book[name].timing == "after"]
    for options in ({"method": "exact"}, {}, {"exact": later[0]}):
        covariates = ["age_group"] if "exact" in options else [later[0]]
        with pytest.raises(IdentificationError, match="fixed before participation"):
            ev.match(design, treatment="participant", covariates=covariates, **options)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"method": "nearst"}, EstimationError, "Did you mean 'nearest'"),
        ({"estimand": "ATE"}, EstimationError, "sought for one group"),
        ({"method": "cem", "caliper": 0.2}, EstimationError, "caliper belongs to method='nearest'"),
        ({"cutpoints": 3}, EstimationError, "cutpoints belongs to method='cem'"),
        ({"method": "full", "distance": "mahalanobis"}, EstimationError, "needs a score"),
        ({"distance": "mahalanobis", "caliper": 1.0}, EstimationError, "std_caliper=False"),
        ({"distance": "mahalanobis", "order": "smallest"}, EstimationError, "order='data'"),
        ({"caliper": 0}, EstimationError, "caliper must be a number above zero"),
        ({"caliper": "0.2"}, EstimationError, "caliper must be a number above zero"),
        ({"ratio": 0}, EstimationError, "whole number of 1 or more"),
        ({"replacement": "no"}, EstimationError, "without quotes"),
        ({"order": "random"}, EstimationError, "needs a seed"),
        ({"average_ties": True}, EstimationError, "needs replacement=True"),
        ({"covariates": []}, EstimationError, "nothing to match on"),
        ({"covariates": ["agee"]}, ColumnError, "Did you mean 'age'"),
        ({"covariates": ["joined"]}, ColumnError, "is the treatment"),
        ({"exact": "joined"}, ColumnError, "is the treatment"),
        ({"distance": "sex"}, ColumnError, "is text"),
        ({"distance": "scoer"}, ColumnError, "scoer"),
        ({"method": "cem", "cutpoints": {"sex": [1]}, "covariates": ["age", "sex"]}, ColumnError, "has no cutpoints"),
        ({"method": "cem", "cutpoints": {"agee": [1]}}, ColumnError, "not among the covariates"),
        ({"method": "cem", "cutpoints": {"age": "sturgess"}}, EstimationError, "'sturges'"),
        ({"method": "cem", "cutpoints": {"age": 0}}, EstimationError, "1 or more"),
        ({"method": "exact", "covariates": "~ age + sex"}, EstimationError, "names of columns"),
        ({"weights": "theirs"}, EstimationError, "weights must be one of"),
        ({"missing": "drop"}, EstimationError, "missing must be one of"),
    ],
)
def test_wrong_arguments_are_refused_with_the_next_move(options, error, words):
    with pytest.raises(error, match=words):
        ev.match(ev.survey_design(people()), **{"treatment": "joined", "covariates": ["age"], **options})


def test_negative_weights_are_refused():
    design = ev.survey_design(people(), weights="w")
    calibrated = replace(design, weights=np.where(np.arange(len(design)) == 3, -1.0, design.weights))
    with pytest.raises(EstimationError, match="negative"):
        ev.match(calibrated, treatment="joined", covariates=["age"])


def test_a_table_is_no_design():
    with pytest.raises(ev.errors.DesignError, match="needs a design"):
        ev.match(people(), treatment="joined", covariates=["age"])
