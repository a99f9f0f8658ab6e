"""Estimates: refusals, contrasts, intervals, and results that keep their promises."""

import json

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, EstimationError, IdentificationError
from evaluation.results import TIDY_COLUMNS


def design(**changes):
    rng = np.random.default_rng(5)
    columns = {
        "psu": np.repeat(np.arange(20), 5),
        "w": rng.uniform(1, 3, 100),
        "y": rng.normal(10, 2, 100),
        "x": rng.normal(size=100),
        "group": rng.choice(["a", "b"], 100),
        "answer": rng.choice(["no", "yes"], 100),
        "weird.name with space": rng.normal(size=100),
    }
    return ev.survey_design(pd.DataFrame({**columns, **changes}), weights="w", psu="psu")


def every_kind():
    one = design()
    return [
        ev.survey_mean(one, ["y", "x"], by="group"),
        ev.survey_total(one, "answer"),
        ev.survey_prop(one, "answer", by="group"),
        ev.survey_ratio(one, "y", "w"),
        ev.survey_quantile(one, "y", by="group"),
        ev.survey_glm(one, outcome="answer", covariates="~ x + group", family="binomial"),
        ev.contrast(ev.survey_mean(one, "y", by="group"), {"gap": {"y | group=a": 1, "y | group=b": -1}}),
    ]


@pytest.mark.parametrize("result", every_kind(), ids=lambda result: result.verb)
def test_every_result_keeps_the_promises_of_results(result):
    tidy = result.tidy()
    assert tidy.columns[0] == "term"
    assert [name for name in tidy.columns if name in TIDY_COLUMNS] == list(TIDY_COLUMNS)
    assert (tidy["conf_low"] <= tidy["estimate"]).all()
    assert (tidy["estimate"] <= tidy["conf_high"]).all()
    assert len(result.glance()) == 1
    assert result.vcov.shape == (len(result), len(result))
    again = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert [row["estimate"] for row in again["rows"]] == tidy["estimate"].tolist()
    assert repr(result) == result.summary()
    if result.influence is not None:
        assert result.influence.shape == (100, len(result))


def test_shares_of_one_variable_sum_to_one_in_each_group():
    tidy = ev.survey_prop(design(), "answer", by="group").tidy()
    np.testing.assert_allclose(tidy.groupby("group")["estimate"].sum(), 1.0)


def test_a_share_is_the_mean_of_its_indicator():
    one = design()
    indicator = design(yes=(one.data["answer"] == "yes").astype(float))
    share = ev.survey_prop(one, "answer", interval="t").tidy().set_index("level").loc["yes"]
    mean = ev.survey_mean(indicator, "yes").tidy().loc[0]
    for column in ("estimate", "std_error", "conf_low", "conf_high", "df"):
        assert share[column] == pytest.approx(mean[column], rel=1e-10)


def test_a_share_of_one_has_no_logit_interval():
    tidy = ev.survey_prop(design(answer=["yes"] * 100), "answer").tidy()
    assert tidy["estimate"].tolist() == [1.0]
    assert tidy[["conf_low", "conf_high"]].isna().all(axis=None)


def test_regression_on_a_group_is_the_contrast_of_its_means():
    one = design()
    means = ev.survey_mean(one, "y", by="group")
    gap = ev.contrast(means, {"b - a": {"y | group=b": 1, "y | group=a": -1}})
    slope = ev.survey_glm(one, outcome="y", covariates=["group"]).tidy().iloc[1]
    assert gap.estimate[0] == pytest.approx(slope["estimate"], rel=1e-10)
    assert gap.std_error[0] == pytest.approx(slope["std_error"], rel=1e-10)


def test_contrasts_reach_across_verbs():
    one = design()
    by_group, total = ev.survey_mean(one, "y", by="group"), ev.survey_total(one, "y")
    mixed = ev.contrast([by_group, total], {"a": {"y | group=a": 2, "y": 1}})
    assert mixed.estimate[0] == pytest.approx(2 * by_group.estimate[0] + total.estimate[0])
    assert mixed.n_obs[0] == total.n_obs[0]


def test_large_means_lose_no_digits():
    small = ev.survey_mean(design(), "y")
    shifted = design()
    moved = ev.survey_mean(design(y=shifted.data["y"] + 1e9), "y")
    assert moved.std_error[0] == pytest.approx(small.std_error[0], rel=1e-6)


def test_an_intercept_alone_is_the_mean():
    fit, mean = ev.survey_glm(design(), outcome="y", covariates="~ 1"), ev.survey_mean(design(), "y")
    assert fit.estimate[0] == pytest.approx(mean.estimate[0], rel=1e-12)
    assert fit.std_error[0] == pytest.approx(mean.std_error[0], rel=1e-10)


def test_names_may_be_any_string():
    result = ev.survey_glm(design(), outcome="y", covariates=["weird.name with space"])
    assert result.keys["term"].tolist() == ["(Intercept)", "weird.name with space"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda d: ev.survey_mean(d, "answer"), ColumnError, r"is text .* Use ev\.survey_prop"),
        (lambda d: ev.survey_mean(d, "yy"), ColumnError, r"no column 'yy'"),
        (lambda d: ev.survey_mean(d, []), EstimationError, r"at least one variable"),
        (lambda d: ev.survey_total(d, ["answer", "y"]), EstimationError, r"mixes text and numeric"),
        (
            lambda d: ev.survey_prop(d, "answer", interval="betta"),
            EstimationError,
            r"interval must be one of logit, beta",
        ),
        (lambda d: ev.survey_quantile(d, "y", probabilities=[50]), EstimationError, r"between 0 and 1"),
        (lambda d: ev.survey_glm(d, outcome="answer", covariates=["x"]), ColumnError, r"family='binomial'"),
        (lambda d: ev.survey_glm(d, outcome="y", covariates="~ x + z"), ColumnError, r"'z', no column"),
        (lambda d: ev.survey_glm(d, outcome="y", covariates="~ x +"), ColumnError, r"cannot be read"),
        (lambda d: ev.survey_glm(d, outcome="y", covariates=["x"], family="poison"), EstimationError, r"family"),
        (
            lambda d: ev.contrast(ev.survey_quantile(d, "y"), {"a": {"y": 1}}),
            EstimationError,
            r"no influence function \(woodruff",
        ),
        (
            lambda d: ev.contrast(ev.survey_mean(d, "y", by="group"), {"a": {"y | group=c": 1}}),
            EstimationError,
            r"no row 'y \| group=c'",
        ),
        (
            lambda d: ev.contrast(
                [ev.survey_mean(one, "y") for one in (d, ev.as_replicates(d, kind="JK1"))], {"a": {}}
            ),
            EstimationError,
            r"different designs",
        ),
    ],
)
def test_a_wrong_call_says_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call(design())


def test_an_outcome_nobody_answered_is_refused():
    with pytest.raises(EstimationError, match="missing for every respondent"):
        ev.survey_mean(design(y=[np.nan] * 100), "y")


def test_a_constant_outcome_is_refused():
    with pytest.raises(EstimationError, match="constant"):
        ev.survey_glm(design(y=[1.0] * 100), outcome="y", covariates=["x"])


def test_collinear_covariates_are_named():
    with pytest.raises(IdentificationError, match="twice"):
        ev.survey_glm(design(twice=design().data["x"] * 2), outcome="y", covariates=["x", "twice"])


def test_separation_is_named():
    x = design().data["x"]
    with pytest.raises(IdentificationError, match=r"'x' separates"):
        ev.survey_glm(
            design(answer=np.where(x > 0, "yes", "no")), outcome="answer", covariates=["x"], family="binomial"
        )


def test_few_units_leave_no_p_value():
    two = design(psu=[0] * 50 + [1] * 50)
    with pytest.raises(EstimationError, match="3 coefficients, but the design has 1 degrees of freedom"):
        ev.survey_glm(two, outcome="y", covariates=["x", "group"])
    tidy = ev.survey_glm(two, outcome="y", covariates=["x"]).tidy()
    assert (tidy["df"] <= 0).all()
    assert tidy[["p_value", "conf_low", "conf_high"]].isna().all(axis=None)
