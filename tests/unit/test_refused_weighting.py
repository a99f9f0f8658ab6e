"""Weighting arguments that were silently ignored or broke: each is refused with what came and the next move."""

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import CalibrationError, ColumnError, MarginError, WeightingError

PEOPLE = pd.DataFrame(
    {
        "sex": list("ffmmfm"),
        "x": [1.0, 2, 3, 4, 6, 9],
        "answered": [1, 0, 1, 1, 1, 0],
        "age": [30.0, 40, 50, 60, 35, 45],
    }
)
PEOPLE["double"] = 2 * PEOPLE["x"]
PEOPLE["woman"] = (PEOPLE["sex"] == "f").astype(float)
PEOPLE["man"] = 1 - PEOPLE["woman"]
PEOPLE["sizes"] = 1 + PEOPLE["woman"]


def people():
    return ev.survey_design(PEOPLE)


def test_totals_that_say_the_same_twice_are_named():
    with pytest.raises(CalibrationError, match=r"'double' is a combination of 'x' in every respondent.*Leave 'double'"):
        ev.calibrate(people(), {"total": 6, "x": 27, "double": 54})


@pytest.mark.parametrize("options", [{}, {"distance": "raking"}, {"bounds": (0.2, 3)}])
def test_a_number_made_of_levels_is_redundant_beside_their_margin(options):
    with pytest.raises(CalibrationError, match="'sizes' is a combination of 'sex=f', 'sex=m'"):
        ev.calibrate(people(), {"sex": {"f": 3.2, "m": 2.8}, "sizes": 9.2}, **options)


@pytest.mark.parametrize(
    "margins", [{"sex": {"f": 3.2, "m": 2.8}, "woman": 3.2}, {"total": 6, "woman": 3.2, "man": 2.8}]
)
def test_columns_of_one_and_zero_are_counts_by_hand(margins):
    assert ev.calibrate(people(), margins).weights @ PEOPLE["woman"] == pytest.approx(3.2)


def test_margins_and_the_population_size_are_redundant_by_nature():
    weighted = ev.calibrate(people(), {"sex": {"f": 3.2, "m": 2.8}, "total": 6, "x": 26})
    assert weighted.weights @ PEOPLE["x"] == pytest.approx(26)


def test_nearly_the_same_number_is_not_the_same():
    near = ev.survey_design(PEOPLE.assign(near=PEOPLE["x"] + 1e-4 * np.array([1, -1, 0, 1, 0, -1])))
    assert len(ev.calibrate(near, {"x": 25, "near": 25})) == 6


@pytest.mark.parametrize("method", ["cells", "inverse_propensity"])
@pytest.mark.parametrize(("name", "value"), [("classes", 3), ("class_rate", "mean_propensity")])
def test_what_only_classes_use_is_refused_elsewhere(method, name, value):
    covariates = None if method == "cells" else ["age"]
    with pytest.raises(WeightingError, match=rf"{name}=.*goes with method='propensity_classes'.*'{method}'"):
        ev.adjust_nonresponse(people(), response="answered", method=method, covariates=covariates, **{name: value})


def test_classes_may_be_a_number_of_numpy():
    ways = [
        ev.adjust_nonresponse(
            people(), response="answered", method="propensity_classes", covariates=["age"], classes=count
        ).weights.tolist()
        for count in (2, np.int64(2))
    ]
    assert ways[0] == ways[1]


@pytest.mark.parametrize("value", ["no", None, []])
def test_strict_is_no_text(value):
    with pytest.raises(WeightingError, match="trim_weights: strict must be True or False, got"):
        ev.trim_weights(people(), upper=3.0, strict=value)


@pytest.mark.parametrize("bound", [[], "3", {}, True, float("nan"), 0])
@pytest.mark.parametrize("name", ["upper", "lower"])
def test_a_bound_is_a_number(name, bound):
    with pytest.raises(WeightingError, match=f"trim_weights: {name} must be above zero, got"):
        ev.trim_weights(people(), **{name: bound})


@pytest.mark.parametrize("shares", [{"f": 0.515, "m": 0.485}, {"f": 51.5, "m": 48.5}, {"f": 0.333, "m": 0.666}])
def test_shares_are_no_counts(shares):
    with pytest.raises(MarginError, match=r"margin 'sex' adds up to.*these are shares.*Multiply each") as raised:
        ev.rake(people(), {"sex": shares})
    assert raised.value.failures["level"].tolist() == ["f", "m"]


def test_a_hundred_people_are_no_percentages():
    assert ev.rake(people(), {"sex": {"f": 51, "m": 49}}).weights.sum() == pytest.approx(100)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"sex": {}}, "margin 'sex' has no levels"),
        ({"sex": {"f": float("inf"), "m": 2}}, "level 'f': expected a finite number, got inf"),
        ({"sex": {"f": None, "m": 2}}, "level 'f'"),
    ],
)
def test_margins_without_levels_or_with_infinity_are_refused(given, told):
    with pytest.raises(MarginError, match=told):
        ev.margins(given)


def test_a_target_of_zero_shows_its_levels():
    with pytest.raises(MarginError, match="target 0 for levels that the sample holds") as raised:
        ev.rake(people(), {"sex": {"f": 6, "m": 0}})
    assert raised.value.failures.to_dict("records") == [{"level": "m", "respondents": 3}]


@pytest.mark.parametrize("names", [3, None, {"sex": 1}])
def test_margins_are_chosen_by_names(names):
    with pytest.raises(MarginError, match="chosen by a list of their names"):
        ev.margins({"sex": {"f": 3, "m": 3}}).select(names)


@pytest.mark.parametrize("share", ["a lot", None, True, [1]])
def test_a_standard_population_is_made_of_numbers(share):
    with pytest.raises(MarginError, match="standardise: the share of 'f' must be a number"):
        ev.standardise(people(), by="sex", population={"f": share, "m": 1})


def test_an_unknown_verb_of_a_chain_is_told_before_its_margins():
    with pytest.raises(WeightingError, match=r"step 1 'rak': unknown weighting verb 'rak'\. Did you mean 'rake'"):
        ev.replay_chain(people(), [{"rak": {"margins": ["sex"]}}])


@pytest.mark.parametrize("written", [True, False])
def test_a_chain_of_joined_frames_is_not_repeated_on_one_design(written):
    raked = ev.rake(people(), {"sex": {"f": 6, "m": 4}})
    joined = ev.join_frames({"roster": raked, "citizens": people()}, overlap=False)
    with pytest.raises(WeightingError, match="step 1 'rake' belongs to samples put together"):
        ev.replay_chain(people(), joined.chain() if written else joined)
    flagged = {"a": ev.survey_design(PEOPLE.assign(both=1)), "b": ev.survey_design(PEOPLE.assign(both=1))}
    shared = ev.join_frames(flagged, overlap="both", share=0.5)
    with pytest.raises(WeightingError, match="step 1 'join_frames' belongs to samples put together"):
        ev.replay_chain(people(), shared.chain())


def test_a_written_chain_on_estimated_totals_holds_all_that_it_needs():
    totals = ev.survey_total(people(), "x")
    weighted = ev.calibrate(people(), totals_from=totals)
    for chain in (weighted.chain(), weighted):
        assert ev.replay_chain(people(), chain).weights.tolist() == pytest.approx(weighted.weights.tolist(), rel=1e-12)


def test_a_propensity_class_without_respondents_asks_for_fewer_classes():
    drawn = pd.DataFrame({"r": [1, 0, 1, 1, 0, 1, 0, 1], "x": np.arange(1.0, 9)})
    with pytest.raises(WeightingError, match=r"no respondent who could carry it\. Take fewer classes \(classes=5\)"):
        ev.adjust_nonresponse(
            ev.survey_design(drawn), response="r", method="propensity_classes", covariates="x", classes=6
        )


def test_a_number_in_place_of_columns_is_no_column():
    with pytest.raises(ColumnError, match="no column '3'"):
        ev.adjust_nonresponse(people(), response="answered", by=3)


def test_a_sum_of_weights_may_be_a_number_of_numpy():
    assert ev.normalise_weights(people(), to=np.int64(3)).weights.sum() == pytest.approx(3)


def test_what_codes_may_mean_is_listed_once():
    with pytest.raises(ColumnError, match="Known: ") as raised:
        ev.adjust_unknown_eligibility(people(), status="sex", codes={"f": 3})
    known = str(raised.value).split("Known: ")[1].split(", ...")[0].split(", ")
    assert len(known) == len(set(known))


def test_margins_come_from_a_mapping():
    with pytest.raises(MarginError, match="made from a mapping of column to counts by level, got int"):
        ev.margins(3)


@pytest.mark.parametrize("vcov", [3, {"x": 3}, "x"])
def test_a_covariance_of_totals_is_a_table(vcov):
    with pytest.raises(WeightingError, match="vcov must be the covariance of the estimated totals"):
        ev.calibrate(people(), {"x": 26}, vcov=vcov)


def test_a_missing_value_is_looked_for_in_columns():
    with pytest.raises(ColumnError, match="no column '3'"):
        ev.standardise(people(), by="sex", population={"f": 1, "m": 1}, excluding_missing=3)
