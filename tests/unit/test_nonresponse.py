"""Unknown eligibility, nonresponse, normalising and standardising: weights by hand, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import (
    ColumnError,
    DesignError,
    EstimationError,
    IdentificationError,
    MarginError,
    WeightingError,
)

REFERENCE = Path(__file__).parents[1] / "reference" / "survey"
TIGHT = 1e-12
ESTIMATE, ERROR = 1e-8, 1e-6
STANDARD = {"E": 0.7, "H": 0.12, "M": 0.18}


def declared(frame, **options):
    return ev.survey_design(frame, weights="w" if "w" in frame else None, **options)


def drawn():
    return pd.DataFrame(
        {
            "area": ["a"] * 6 + ["b"] * 4,
            "result": [
                *("complete", "complete", "refusal", "unknown", "ineligible", "noncontact"),
                *("partial", "complete", "unknown", "refusal"),
            ],
            "w": [2.0, 4.0, 6.0, 3.0, 5.0, 4.0, 1.0, 3.0, 4.0, 2.0],
        }
    )


def test_unknown_eligibility_goes_to_the_known_of_the_cell():
    adjusted = ev.adjust_unknown_eligibility(declared(drawn()), status="result", by="area")
    a, b = 24 / 21, 10 / 6
    by_hand = [2 * a, 4 * a, 6 * a, 0, 5 * a, 4 * a, b, 3 * b, 0, 2 * b]
    np.testing.assert_allclose(adjusted.weights, by_hand, rtol=TIGHT)
    assert adjusted.provenance.n == 8
    whole = ev.adjust_unknown_eligibility(declared(drawn()), status="result")
    assert whole.weights.sum() == pytest.approx(34.0, rel=TIGHT)


def test_respondents_carry_nonrespondents_and_the_ineligible_leave():
    known = ev.adjust_unknown_eligibility(declared(drawn()), status="result", by="area")
    adjusted = ev.adjust_nonresponse(known, response="result", by="area")
    a, b = 24 / 21 * 16 / 6, 10 / 6 * 6 / 4
    np.testing.assert_allclose(adjusted.weights, [2 * a, 4 * a, 0, 0, 0, 0, b, 3 * b, 0, 0], rtol=TIGHT)
    kept = ev.adjust_nonresponse(known, response="result", by="area", ineligible="keep")
    np.testing.assert_allclose(kept.weights[4], 5 * 24 / 21, rtol=TIGHT)
    assert kept.weights.sum() == pytest.approx(34.0, rel=TIGHT)
    assert adjusted.provenance.n == 4


@pytest.mark.parametrize("codes", [None, {1: "respondent", 0: "nonrespondent"}, {1: "complete", 0: "refusal"}])
@pytest.mark.parametrize("kind", [int, bool, float, "boolean"])
def test_a_column_of_yes_and_no_is_understood(codes, kind):
    if codes is not None and kind in (bool, "boolean"):
        codes = {bool(code): word for code, word in codes.items()}
    frame = pd.DataFrame({"answered": pd.Series([1, 0, 1, 1]).astype(kind), "w": [1.0, 2.0, 1.0, 4.0]})
    adjusted = ev.adjust_nonresponse(declared(frame), response="answered", codes=codes)
    np.testing.assert_allclose(adjusted.weights, [4 / 3, 0, 4 / 3, 16 / 3], rtol=TIGHT)


def test_rows_without_weight_take_no_part():
    frame = pd.DataFrame({"answered": [1, 0, np.nan], "area": ["a", "a", None], "w": [1.0, 2.0, 0.0]})
    adjusted = ev.adjust_nonresponse(declared(frame), response="answered", by="area")
    assert adjusted.weights.tolist() == [3.0, 0.0, 0.0]


def sample(seed=1, n=600):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {"w": rng.uniform(1, 4, n), "age": rng.normal(45, 15, n), "sex": rng.choice(["f", "m"], n), "text": "x"}
    )
    chance = 1 / (1 + np.exp(-(-1.2 + 0.03 * frame["age"] + 0.4 * (frame["sex"] == "f"))))
    frame["answered"] = (rng.uniform(size=n) < chance).astype(int)
    return frame


def test_inverse_propensity_is_that_of_the_weighted_logit():
    frame = sample()
    adjusted = ev.adjust_nonresponse(
        declared(frame), response="answered", covariates=["age", "sex"], method="inverse_propensity"
    )
    logit = ev.survey_glm(declared(frame), outcome="answered", covariates=["age", "sex"], family="binomial")
    x = np.column_stack([np.ones(len(frame)), frame["age"], frame["sex"] == "m"]).astype(float)
    propensity = 1 / (1 + np.exp(-x @ logit.estimate))
    np.testing.assert_allclose(adjusted.weights, frame["w"] * frame["answered"] / propensity, rtol=1e-9)


def test_a_propensity_of_cells_is_the_response_rate_of_cells():
    frame = sample()
    cells = ev.adjust_nonresponse(declared(frame), response="answered", by="sex")
    for method in ("inverse_propensity", "propensity_classes"):
        logit = ev.adjust_nonresponse(declared(frame), response="answered", covariates="sex", method=method)
        np.testing.assert_allclose(logit.weights, cells.weights, rtol=1e-9)


def test_propensity_classes_have_about_equal_weight_and_keep_it():
    frame = sample()
    adjusted = ev.adjust_nonresponse(
        declared(frame), response="answered", covariates=["age", "sex"], method="propensity_classes", classes=5
    )
    logit = ev.survey_glm(declared(frame), outcome="answered", covariates=["age", "sex"], family="binomial")
    x = np.column_stack([np.ones(len(frame)), frame["age"], frame["sex"] == "m"]).astype(float)
    order = np.argsort(x @ logit.estimate)
    share = np.cumsum(frame["w"].to_numpy()[order]) / frame["w"].sum()
    factor = (adjusted.weights / frame["w"])[order][frame["answered"].to_numpy()[order] == 1].round(9)
    assert factor.nunique() == 5
    assert (factor.diff().dropna() != 0).sum() == 4
    last = pd.Series(share[frame["answered"].to_numpy()[order] == 1]).groupby(factor.to_numpy()).max().sort_values()
    np.testing.assert_allclose(last.iloc[:-1], [0.2, 0.4, 0.6, 0.8], atol=0.01)
    assert adjusted.weights.sum() == pytest.approx(frame["w"].sum(), rel=TIGHT)


def test_the_mean_propensity_of_a_class_is_close_to_its_response_rate():
    frame = sample()
    rate, mean = (
        ev.adjust_nonresponse(
            declared(frame), response="answered", covariates="age", method="propensity_classes", class_rate=kind
        )
        for kind in ("response_rate", "mean_propensity")
    )
    answered = frame["answered"] == 1
    ratio = mean.weights[answered] / rate.weights[answered]
    assert 0.8 < ratio.min() < ratio.max() < 1.2
    assert len(np.unique(ratio.round(9))) == 5


def test_adjusting_removes_the_bias_of_response_that_depends_on_the_covariate():
    frame = sample(n=20_000).assign(y=lambda rows: rows["age"])
    plain = ev.survey_mean(ev.domain(declared(frame), {"answered": 1}), "y").estimate[0]
    truth = ev.survey_mean(declared(frame), "y").estimate[0]
    for method in ("inverse_propensity", "propensity_classes"):
        adjusted = ev.adjust_nonresponse(declared(frame), response="answered", covariates="age", method=method)
        assert abs(ev.survey_mean(adjusted, "y").estimate[0] - truth) < 0.15 * abs(plain - truth)


def test_history_shows_what_each_step_costs():
    known = ev.adjust_unknown_eligibility(declared(drawn()), status="result", by="area")
    design = ev.normalise_weights(ev.adjust_nonresponse(known, response="result", by=["area"]))
    history = design.history
    assert history["step"].tolist() == [
        "design weights",
        "adjust_unknown_eligibility",
        "adjust_nonresponse",
        "normalise_weights",
    ]
    assert history["n"].tolist() == [10, 8, 4, 4]
    assert history["arguments"].tolist()[1:] == ["status: result; by: area", "response: result; by: area", "to: n"]
    assert history["sum"].tolist() == pytest.approx([34.0, 34.0, 34 - 5 * 24 / 21, 4.0])
    assert (history["kish_deff"] >= 1).all()


def test_a_cell_without_respondents_is_named_with_its_neighbour():
    frame = pd.DataFrame(
        {
            "area": ["a", "a", "a", "b", "b", "b"],
            "age": ["20-39", "40-59", "60+"] * 2,
            "answered": [1, 1, 0, 1, 0, 1],
        }
    )
    with pytest.raises(WeightingError, match=r"area=a, age=60\+ \(and 1 more\) has nonrespondents") as caught:
        ev.adjust_nonresponse(declared(frame), response="answered", by=["area", "age"])
    assert "Merge it with area=a, age=40-59" in str(caught.value)
    assert caught.value.failures["area"].tolist() == ["a", "b"]
    with pytest.raises(WeightingError, match=r"area=b has cases of unknown eligibility .* Merge it with area=a"):
        ev.adjust_unknown_eligibility(
            declared(frame.assign(status=["I", "R", "I", "UH", "UO", "UH"])), status="status", by="area"
        )


def test_a_propensity_class_without_respondents_is_named():
    frame = pd.DataFrame({"x": [1.0, 2, 3, 4, 5, 6, 7, 8], "answered": [0, 0, 0, 1, 0, 1, 1, 1]})
    with pytest.raises(WeightingError, match=r"propensity=\S+ to \S+ has nonrespondents .* Take fewer classes"):
        ev.adjust_nonresponse(
            declared(frame), response="answered", covariates="x", method="propensity_classes", classes=4
        )


def test_a_replicate_that_loses_the_respondents_of_a_cell_says_so():
    frame = pd.DataFrame({"psu": [1, 1, 2, 2, 3, 3], "area": list("ababab"), "answered": [1, 1, 1, 0, 1, 0]})
    design = ev.adjust_nonresponse(ev.survey_design(frame, psu="psu"), response="answered", by="area")
    with pytest.raises(WeightingError, match="area=b has nonrespondents with a weight, but no respondent"):
        ev.survey_mean(ev.as_replicates(design, kind="JK1"), "answered")


def test_codes_that_are_neither_are_refused():
    frame = drawn().assign(code=[1, 1, 2, 2, 2, 2, 1, 1, 3, 9])
    with pytest.raises(ColumnError, match=r"3 \(1 rows\), 9 \(1 rows\); first in data rows 9, 10") as caught:
        ev.adjust_nonresponse(declared(frame), response="code", codes={1: "respondent", 2: "nonrespondent"})
    assert caught.value.failures["code"].tolist() == [3, 9]
    with pytest.raises(ColumnError, match=r"1 \(4 rows\), 2 \(4 rows\).*Say what they mean"):
        ev.adjust_nonresponse(declared(frame), response="code")
    with pytest.raises(ColumnError, match="Say what they mean"):
        ev.adjust_unknown_eligibility(declared(frame), status="code")


ANSWERS = {"answered": [1, 0, 1, 0, 1, 1], "x": [1.0, 2, 3, 2, 3, 1], "g": list("aabbab")}


@pytest.mark.parametrize(
    ("changed", "arguments", "error", "message"),
    [
        ({}, {"method": "cell"}, WeightingError, "method must be 'cells' or"),
        ({}, {"covariates": "x"}, WeightingError, "covariates go with method="),
        ({}, {"by": "g", "method": "inverse_propensity"}, WeightingError, "by goes with method='cells'"),
        ({}, {"method": "propensity_classes"}, WeightingError, "needs covariates"),
        (
            {},
            {"method": "propensity_classes", "covariates": "x", "classes": 1},
            WeightingError,
            "classes must be a whole number",
        ),
        ({}, {"class_rate": "median"}, WeightingError, "class_rate must be"),
        ({}, {"ineligible": "zero"}, WeightingError, "ineligible must be"),
        ({"answered": [0] * 6}, {}, WeightingError, "nobody responded"),
        ({"answered": [1, 0, None, 0, 1, 1]}, {}, ColumnError, r"missing in 1 of 6 .* data row 3"),
        ({"g": ["a", None, "b", "b", "a", "b"]}, {"by": "g"}, ColumnError, r"'g' is missing for 1 of 6 .* row 2"),
        ({}, {"by": ["g", "g"]}, ColumnError, "names a column twice"),
        ({}, {"by": "gg"}, ColumnError, "no column 'gg'"),
        (
            {"x": [1.0, None, 3, None, 3, 1]},
            {"covariates": "x", "method": "inverse_propensity"},
            ColumnError,
            "'x' is missing for 2 of 6 eligible cases, 2 of them nonrespondents",
        ),
        (
            {"x": [1.0, 5, 1, 5, 1, 1]},
            {"covariates": "x", "method": "inverse_propensity"},
            IdentificationError,
            "adjust_nonresponse: 'x' separates respondents from nonrespondents",
        ),
        (
            {"x": [2.0] * 6},
            {"covariates": "x", "method": "inverse_propensity"},
            IdentificationError,
            "adjust_nonresponse: x is constant",
        ),
        ({"answered": ["I", "UH", "R", "R", "I", "P"]}, {}, WeightingError, r"1 cases of unknown .* data row 2"),
    ],
)
def test_what_cannot_be_adjusted_is_refused(changed, arguments, error, message):
    frame = pd.DataFrame(ANSWERS | changed)
    with pytest.raises(error, match=message):
        ev.adjust_nonresponse(declared(frame), response="answered", **arguments)


def test_a_domain_is_not_adjusted_on_its_own():
    design = ev.domain(declared(pd.DataFrame(ANSWERS)), {"g": "a"})
    with pytest.raises(DesignError, match="asked of a domain"):
        ev.adjust_nonresponse(design, response="answered")


def test_normalising_brings_the_sum_to_n_the_population_or_a_number():
    frame = drawn().assign(answered=[1, 1, 0, 0, 1, 0, 1, 1, 0, 1])
    design = ev.adjust_nonresponse(declared(frame), response="answered")
    assert ev.normalise_weights(design).weights.sum() == pytest.approx(6.0, rel=TIGHT)
    assert ev.normalise_weights(design, to="population").weights.sum() == pytest.approx(34.0, rel=TIGHT)
    assert ev.normalise_weights(design, to=500).weights.sum() == pytest.approx(500.0, rel=TIGHT)
    grouped = ev.normalise_weights(design, by="area").weights
    assert pd.Series(grouped).groupby(frame["area"]).sum().tolist() == pytest.approx([3.0, 3.0], rel=TIGHT)
    for wrong in (0, -1, "N", True, np.inf):
        with pytest.raises(WeightingError, match="to must be 'n', 'population' or a number above zero"):
            ev.normalise_weights(design, to=wrong)
    with pytest.raises(WeightingError, match=r"Use ev\.poststratify"):
        ev.normalise_weights(design, to="population", by="area")


def items(capability):
    whole = json.loads((REFERENCE / "expected.json").read_text(encoding="utf-8"))
    return [item for item in whole["items"] if item["capability"] == capability]


def reference_design(name, linearization):
    read = lambda file: pd.read_csv(REFERENCE / file)  # noqa: E731
    if name == "dstrat":
        return ev.survey_design(
            read("apistrat.csv"), strata="stype", weights="pw", fpc="fpc", linearization=linearization
        )
    if name == "dclus1":
        return ev.survey_design(read("apiclus1.csv"), psu="dnum", weights="pw", fpc="fpc", linearization=linearization)
    return ev.survey_design(
        read("own_strat2psu.csv"), strata="stratum", psu="dnum", weights="wt", nested=True, linearization=linearization
    )


@pytest.mark.parametrize("linearization", ["exact", "r"])
@pytest.mark.parametrize("item", items("standardize"), ids=lambda item: item["id"])
def test_standardised_means_are_those_of_r(item, linearization):
    design = reference_design(item["design"], linearization)
    means = ev.survey_mean(
        ev.standardise(design, by="stype", over="comp.imp", population=STANDARD), "api00", by="comp.imp"
    )
    expected = item["expect"]["table"]
    assert means.keys["comp.imp"].tolist() == expected["comp.imp"]
    np.testing.assert_allclose(means.estimate, expected["api00"], rtol=ESTIMATE)
    np.testing.assert_allclose(means.std_error, expected["se"], rtol=ERROR)


def test_standardised_groups_have_the_standards_composition_and_their_own_sum():
    frame = pd.read_csv(REFERENCE / "apistrat.csv")
    design = ev.survey_design(frame, strata="stype", weights="pw")
    weights = ev.standardise(design, by="stype", over="comp.imp", population={"E": 70, "H": 12, "M": 18}).weights
    whole = pd.Series(weights).groupby(frame["comp.imp"]).sum()
    np.testing.assert_allclose(whole, pd.Series(design.weights).groupby(frame["comp.imp"]).sum(), rtol=TIGHT)
    cells = pd.Series(weights).groupby([frame["comp.imp"], frame["stype"]]).sum().unstack()
    np.testing.assert_allclose(cells.div(whole, axis=0).to_numpy(), [[0.7, 0.12, 0.18]] * 2, rtol=TIGHT)
    alone = ev.standardise(design, by="stype", population=STANDARD)
    shares = ev.survey_prop(alone, "stype").estimate
    np.testing.assert_allclose(shares, [0.7, 0.12, 0.18], rtol=TIGHT)


def test_crossed_standards_are_named_with_colons():
    frame = pd.DataFrame({"sex": list("ffmmff"), "age": ["old", "young"] * 3})
    standard = {"f:old": 1, "f:young": 2, "m:old": 3, "m:young": 4}
    weights = ev.standardise(declared(frame), by=["sex", "age"], population=standard).weights
    np.testing.assert_allclose(weights * 10 / 6, [0.5, 1, 3, 4, 0.5, 1], rtol=TIGHT)


def test_those_with_a_missing_answer_can_be_left_out_of_the_standard():
    frame = pd.DataFrame({"age": ["old", "old", "young", "young"], "y": [1.0, 2.0, np.nan, 4.0]})
    equal = {"old": 1, "young": 1}
    kept = ev.standardise(declared(frame), by="age", population=equal, excluding_missing="y")
    np.testing.assert_allclose(kept.weights, [0.75, 0.75, 0, 1.5], rtol=TIGHT)
    assert ev.survey_mean(kept, "y").estimate[0] == pytest.approx(2.75, rel=TIGHT)
    assert ev.survey_mean(ev.standardise(declared(frame), by="age", population=equal), "y").estimate[0] < 2.4


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"population": {"old": 1, "yung": 1}}, MarginError, r"no respondent has age = 'yung'\. Did you mean 'young'"),
        ({"population": {"old": 1}}, MarginError, "2 respondents have age = 'young', which population does not name"),
        ({"population": {"old": 1, "young": 0}}, MarginError, "the share of 'young' is 0"),
        ({"population": [1, 1]}, MarginError, "must be a mapping"),
        ({"by": []}, WeightingError, "by must name at least one column"),
        ({"over": "area"}, WeightingError, "nobody with a weight is in the cell area=b, age=young"),
        ({"by": "hole"}, ColumnError, "'hole' is missing for 1 of 4"),
        ({"excluding_missing": "none"}, WeightingError, "nobody with a weight has a value"),
    ],
)
def test_a_standard_that_does_not_fit_is_refused(arguments, error, message):
    frame = pd.DataFrame(
        {
            "age": ["old", "old", "young", "young"],
            "area": ["a", "b", "a", "a"],
            "hole": ["old", None, "young", "young"],
            "none": [np.nan] * 4,
        }
    )
    given = {"by": "age", "population": {"old": 1, "young": 1}} | arguments
    with pytest.raises(error, match=message):
        ev.standardise(declared(frame), **given)


def test_margins_need_no_value_of_nonrespondents():
    frame = pd.DataFrame(
        {
            "answered": [1, 1, 1, 0, 0, 1],
            "sex": ["f", "m", "f", None, "x", "m"],
            "rooms": [1.0, 2.0, 4.0, np.nan, 9.0, 3.0],
        }
    )
    adjusted = ev.adjust_nonresponse(declared(frame), response="answered")
    raked = ev.rake(adjusted, {"sex": {"f": 6, "m": 4}})
    np.testing.assert_allclose(raked.weights, [3, 2, 3, 0, 0, 2], rtol=TIGHT)
    calibrated = ev.calibrate(adjusted, {"sex": {"f": 6, "m": 4}, "rooms": 26})
    assert calibrated.weights[[3, 4]].tolist() == [0, 0]
    assert calibrated.weights @ frame["rooms"].fillna(0) == pytest.approx(26, rel=1e-9)
    for design in (raked, calibrated):
        assert np.isfinite(ev.survey_mean(design, "rooms").std_error).all()
    with pytest.raises(MarginError, match="1 of 6 respondents have no value of sex"):
        ev.rake(declared(frame), {"sex": {"f": 6, "m": 4}})


def test_propensities_are_not_fitted_with_negative_weights():
    random = np.random.default_rng(2)
    frame = pd.DataFrame({"x": random.normal(size=200), "answered": random.integers(0, 2, 200)})
    calibrated = ev.calibrate(ev.survey_design(frame), {"total": 200, "x": 400.0})
    assert (calibrated.weights < 0).any()
    for method in ("inverse_propensity", "propensity_classes"):
        with pytest.raises(EstimationError, match="needs weights of zero and above"):
            ev.adjust_nonresponse(calibrated, response="answered", covariates=["x"], method=method)
