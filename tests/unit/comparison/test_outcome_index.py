"""An index of items: worked by hand, its error through every estimated moment, and what is refused or flagged."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, ContraryItemWarning, EstimationError, IdentificationError
from evaluation.survey.codebook import Codebook, Variable

SAME = 1e-10
DERIVATIVE = 1e-6
STEP = 1e-5
ITEMS = ["a", "b", "c"]
COVARIATES = ["age", "sex", "district"]
METHODS = ("kling_liebman_katz", "anderson", "mean")


@pytest.fixture
def answers(respondents):
    rng = np.random.default_rng(21)
    trait = rng.normal(0.4 * respondents["joined"], 1)
    items = {name: np.clip(np.round(3 + trait + rng.normal(0, 1, len(trait))), 1, 5) for name in ITEMS}
    return respondents.assign(**items)


def design_of(frame):
    return ev.survey_design(frame, weights="w", strata="stratum", psu="psu")


def index(design, **options):
    return ev.outcome_index(design, options.pop("items", ITEMS), **{"treatment": "joined", **options})


def reweighted(design, base):
    weights = base
    for applied in design.steps:
        weights = applied.step.replay(weights)
    # What balancing came from moves with the base weights too.
    steps = tuple(replace(applied, weights_in=base) for applied in design.steps)
    return replace(design, weights=weights, base_weights=base, steps=steps)


def test_two_items_are_worked_by_hand():
    frame = pd.DataFrame({"a": [1, 2, 3, 2, 4, 3], "b": [1, 3, 2, 3, 3, 4], "joined": [0, 0, 0, 1, 1, 1]})
    made = index(ev.survey_design(frame), items=["a", "b"])
    # In the comparison group both items have mean 2 and variance 2/3; participants' means are 3 and 10/3.
    np.testing.assert_allclose(made.estimate, [(1 + 4 / 3) / 2 / np.sqrt(2 / 3)] * 2 + [0], atol=1e-12)
    assert made.std_error[2] == 0


@pytest.mark.parametrize("missing", ["complete", "answered"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("balanced", [False, True])
def test_influence_is_the_numerical_derivative_through_every_moment(answers, method, missing, balanced):
    answers.loc[::17, "b"] = np.nan
    design = design_of(answers)
    if balanced:
        design = ev.propensity_weights(design, treatment="joined", covariates=COVARIATES)
    options = {"method": method, "missing": missing}
    influence = index(design, **options).influence
    for i in (0, 17, 77, 141, 238):
        moved = []
        for sign in (1, -1):
            base = design.base_weights.copy()
            base[i] *= 1 + sign * STEP
            moved.append(index(reweighted(design, base), **options).estimate)
        numerical = (moved[0] - moved[1]) / (2 * STEP)
        np.testing.assert_allclose(influence[i], numerical, atol=DERIVATIVE * np.abs(influence).max())


@pytest.mark.parametrize("method", ["kling_liebman_katz", "anderson"])
def test_the_error_is_that_of_replicates_which_do_everything_anew(answers, method):
    for balance in (lambda design: design, lambda d: ev.cbps(d, treatment="joined", covariates=COVARIATES)):
        linear = index(balance(design_of(answers)), method=method)
        replicated = index(balance(ev.as_replicates(design_of(answers), kind="JKn")), method=method)
        assert abs(replicated.std_error[0] / linear.std_error[0] - 1) < 0.15


@pytest.mark.parametrize("method", ["kling_liebman_katz", "anderson"])
def test_units_of_items_and_of_weights_do_not_matter(answers, method):
    first = index(design_of(answers), method=method)
    other = index(design_of(answers.assign(a=10 * answers["a"] + 3, w=1e6 * answers["w"])), method=method)
    np.testing.assert_allclose(other.estimate, first.estimate, rtol=SAME, atol=1e-9)
    np.testing.assert_allclose(other.std_error, first.std_error, rtol=1e-8)


def test_a_reversed_item_is_turned_and_an_undeclared_one_is_flagged(answers):
    against = answers.assign(c=6 - answers["c"])
    plain = index(design_of(answers))
    made = index(design_of(against), reversed=["c"])
    np.testing.assert_allclose(made.estimate, plain.estimate, rtol=SAME, atol=1e-12)
    with pytest.warns(ContraryItemWarning, match=r"'c' .*reversed=\['c'\]"):
        flagged = index(design_of(against))
    assert flagged.items.set_index("item")["is_contrary"].to_dict() == {"a": False, "b": False, "c": True}
    with pytest.warns(ContraryItemWarning, match="cronbach_alpha"):
        ev.cronbach_alpha(design_of(against), ITEMS)


def test_the_codebook_declares_what_is_reversed(answers):
    codes = {str(code): ("", f"{code}") for code in range(1, 6)}
    ways = {"a": {"direction": "higher_is_more"}, "b": {"direction": "higher_is_more"},
            "c": {"direction": "higher_is_more", "reverse_worded": True}}  # fmt: skip
    book = Codebook({name: Variable(name, "ordinal", label_en=name, codes=codes, **way) for name, way in ways.items()})
    design = design_of(answers.assign(c=6 - answers["c"]))
    design = replace(design, provenance=replace(design.provenance, labels=book))
    assert index(design).fit["reversed"] == ["c"]
    np.testing.assert_allclose(index(design).estimate[0], index(design_of(answers)).estimate[0], rtol=SAME)
    with pytest.raises(ColumnError, match=r"declares of 'a', 'c' another direction"):
        index(design, reversed=["a"])


def test_missing_items_follow_the_rule_that_was_asked_for(answers):
    answers.loc[answers.index[:12], "a"] = np.nan
    answers.loc[answers.index[:5], "b"] = np.nan
    complete = index(design_of(answers))
    assert (complete.fit["n_left_out"], complete.fit["minimum_items"]) == (12, 3)
    two = index(design_of(answers), missing="answered")
    assert (two.fit["n_left_out"], two.fit["minimum_items"]) == (5, 2)
    one = index(design_of(answers), missing="answered", minimum=1)
    assert one.fit["n_left_out"] == 0
    scores = two.scored.data["index"]
    assert scores.isna().sum() == 5
    means = two.items.set_index("item")
    row = answers.iloc[8]
    z = [(row[name] - means.loc[name, "mean"]) / means.loc[name, "sd"] for name in ("b", "c")]
    np.testing.assert_allclose(scores.iloc[8], np.mean(z), rtol=1e-9)


def test_a_rescaled_index_has_mean_zero_and_spread_one_in_the_comparison_group(answers):
    made = index(design_of(answers), rescale=True)
    others = answers["joined"] == 0
    weights, scores = answers["w"][others], made.scored.data["index"][others]
    mean = np.average(scores, weights=weights)
    np.testing.assert_allclose([mean, np.average((scores - mean) ** 2, weights=weights)], [0, 1], atol=1e-12)


def test_raw_and_adjusted_are_in_one_unit(answers):
    balanced = ev.entropy_balance(design_of(answers), treatment="joined", covariates=COVARIATES)
    raw, adjusted = index(design_of(answers)), index(balanced)
    pd.testing.assert_frame_equal(raw.items, adjusted.items)
    np.testing.assert_allclose(raw.estimate[1], adjusted.estimate[1], rtol=1e-9)
    assert adjusted.fit["estimand"] == "ATT"
    assert adjusted.fit["adjusted_by"] == "entropy_balance"


def test_a_scale_reversed_in_one_group_is_refused(answers):
    answers["a"] = np.where(answers["joined"] == 1, 6 - answers["a"], answers["a"])
    with pytest.raises(IdentificationError, match=r"'a' goes against.*reversed between the two groups"):
        index(design_of(answers))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"items": ["a"]}, ColumnError, "at least two items"),
        ({"items": ["a", "a"]}, ColumnError, "twice"),
        ({"items": ["a", "bb"]}, ColumnError, "bb"),
        ({"reversed": ["d"]}, ColumnError, "no item"),
        ({"method": "pca"}, EstimationError, "method must be one of"),
        ({"missing": "impute"}, EstimationError, "missing must be one of"),
        ({"minimum": 2}, EstimationError, "belongs to missing='answered'"),
        ({"missing": "answered", "minimum": 4}, EstimationError, "1 to 3"),
        ({"items": None}, ColumnError, "at least two items"),
        ({"items": ["a", "b", "joined"]}, ColumnError, "is the treatment"),
        ({"rescale": "yes"}, EstimationError, "rescale"),
        ({"name": "age"}, ColumnError, "column 'age' already"),
    ],
)
def test_what_is_refused(answers, options, error, message):
    with pytest.raises(error, match=message):
        index(design_of(answers), **options)


def test_items_that_say_nothing_or_the_same_are_refused(answers):
    flat = answers.assign(a=np.where(answers["joined"] == 1, answers["a"], 3))
    with pytest.raises(IdentificationError, match="'a' does not vary in the comparison group"):
        index(design_of(flat))
    with pytest.raises(IdentificationError, match="collinear"):
        index(design_of(answers.assign(c=answers["a"] + answers["b"])), method="anderson")
    with pytest.raises(ColumnError, match=r"'a' holds 9 in 2 rows"):
        index(design_of(answers.assign(a=answers["a"].where(answers.index > 1, 9))))


def test_alpha_is_the_published_formula(answers):
    found = ev.cronbach_alpha(ev.survey_design(answers), ITEMS).tidy()
    covariance = np.cov(answers[ITEMS].to_numpy(), rowvar=False)
    expected = 1.5 * (1 - np.trace(covariance) / covariance.sum())
    np.testing.assert_allclose(found.loc[0, ["estimate", "unweighted"]].astype(float), expected, rtol=SAME)
    pair = ev.cronbach_alpha(ev.survey_design(answers), ["b", "c"]).tidy()
    without = found[(found["quantity"] == "alpha_without") & (found["term"] == "a")]["estimate"].item()
    np.testing.assert_allclose(pair["estimate"][0], without, rtol=SAME)
    assert pair["quantity"].tolist() == ["alpha", "alpha_standardised"]


def test_alpha_of_replicates_agrees(answers):
    linear = ev.cronbach_alpha(design_of(answers), ITEMS)
    replicated = ev.cronbach_alpha(ev.as_replicates(design_of(answers), kind="JKn"), ITEMS)
    np.testing.assert_allclose(replicated.std_error, linear.std_error, rtol=0.1)
