"""Regressions of the four families: hand-computed cases, R's numbers, properties, and calls that are refused."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.design.design import each_replicate
from evaluation.errors import ColumnError, EstimationError, IdentificationError, ReplicateWarning
from evaluation.regression.families import kind_of
from evaluation.regression.fitting import solve
from evaluation.regression.formula import encode, read_formula
from evaluation.regression.glm import derivative
from evaluation.regression.matrix import Coded, Dense

ESTIMATE, ERROR = 1e-8, 1e-6
R = Path(__file__).parents[1] / "reference" / "survey"


def expected(item):
    items = json.loads((R / "expected.json").read_text(encoding="utf-8"))["items"]
    return next(one["expect"] for one in items if one["id"] == item)


def apistrat(**changes):
    data = pd.read_csv(R / "apistrat.csv")
    return ev.survey_design(data.assign(**changes), weights="pw", strata="stype", fpc="fpc", linearization="r")


def counts(n=300, seed=3):
    """Counts, positive amounts and shares that follow a linear predictor, in 30 sampling units."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"x": rng.normal(size=n), "group": rng.choice(["a", "b", "c"], n), "psu": np.arange(n) % 30})
    mean = np.exp(0.5 + 0.4 * frame["x"] + (frame["group"] == "b") * 0.3)
    frame = frame.assign(count=rng.poisson(mean), amount=rng.gamma(2, mean / 2), share=rng.beta(2, 2, n))
    return frame.assign(log_time=rng.normal(scale=0.2, size=n), w=rng.uniform(0.5, 3, n))


def design(frame=None, **arguments):
    return ev.survey_design(counts() if frame is None else frame, weights="w", psu="psu", **arguments)


def by_name(fit):
    return [term.replace("[T.", "").replace("]", "") for term in fit.keys["term"]]


def test_a_poisson_regression_with_offset_and_its_glance_are_those_of_r():
    fit = ev.survey_glm(
        apistrat(), outcome="api.stu", covariates=["stype", "meals"], family="poisson", offset="~ log(enroll)"
    )
    numbers = expected("dev_065")
    assert by_name(fit) == list(numbers["coef"])
    assert fit.estimate == pytest.approx(list(numbers["coef"].values()), rel=ESTIMATE)
    assert fit.std_error == pytest.approx(list(numbers["se"].values()), rel=ERROR)
    row = fit.glance().iloc[0]
    for name in ("deviance", "null_deviance", "dispersion", "df_residual"):
        assert row[name] == pytest.approx(numbers[name], rel=ESTIMATE), name


def test_a_logistic_regression_and_its_covariance_are_those_of_r():
    fit = ev.survey_glm(apistrat(), outcome="comp.imp", covariates=["api99", "meals", "stype"], family="binomial")
    numbers = expected("dev_064")
    assert fit.estimate == pytest.approx(list(numbers["coef"].values()), rel=ESTIMATE)
    assert fit.vcov.ravel() == pytest.approx(np.ravel(numbers["vcov"]["values"]), rel=ERROR)
    assert fit.tidy()["p_value"].tolist() == pytest.approx(list(numbers["p_value"].values()), rel=ERROR)


def test_an_offset_may_be_a_column_or_a_formula():
    frame = counts().assign(exposure=lambda f: np.exp(f["log_time"]))
    column, formula = (
        ev.survey_glm(design(frame), outcome="count", covariates="x", family="poisson", offset=offset)
        for offset in ("log_time", "~ log(exposure)")
    )
    assert column.estimate == pytest.approx(formula.estimate, rel=1e-12)
    assert column.vcov == pytest.approx(formula.vcov, rel=1e-10)


def test_poisson_without_covariates_is_the_log_of_a_ratio():
    fit = ev.survey_glm(design(), outcome="count", covariates="~ 1", family="poisson", offset="log_time")
    frame = counts().assign(time=lambda f: np.exp(f["log_time"]))
    ratio = ev.survey_ratio(design(frame), "count", "time")
    assert fit.estimate[0] == pytest.approx(np.log(ratio.estimate[0]), rel=ESTIMATE)
    assert fit.std_error[0] == pytest.approx(ratio.std_error[0] / ratio.estimate[0], rel=ERROR)


@pytest.mark.parametrize("link", ["log", "inverse"])
def test_gamma_without_covariates_is_the_mean_under_its_link(link):
    fit = ev.survey_glm(design(), outcome="amount", covariates="~ 1", family="gamma", link=link)
    mean = ev.survey_mean(design(), "amount")
    value, slope = {"log": (np.log, 1 / mean.estimate[0]), "inverse": (lambda m: 1 / m, 1 / mean.estimate[0] ** 2)}[
        link
    ]
    assert fit.estimate[0] == pytest.approx(value(mean.estimate[0]), rel=ESTIMATE)
    assert fit.std_error[0] == pytest.approx(mean.std_error[0] * slope, rel=ERROR)


def test_shares_are_regressed_as_r_does_with_quasibinomial():
    fit = ev.survey_glm(design(), outcome="share", covariates="group", family="binomial")
    means = ev.survey_mean(design(), "share", by="group").estimate
    odds = np.log(means / (1 - means))
    assert fit.estimate == pytest.approx([odds[0], odds[1] - odds[0], odds[2] - odds[0]], rel=ESTIMATE)


@pytest.mark.parametrize(
    ("outcome", "family", "link"),
    [("x", "gaussian", None), ("share", "binomial", None), ("count", "poisson", None)]
    + [("amount", "gamma", link) for link in ("log", "inverse")],
)
def test_the_influence_is_the_numerical_derivative_in_the_weights(outcome, family, link):
    one = design()
    covariates = ["group"] if outcome == "x" else ["x", "group"]
    fit = ev.survey_glm(one, outcome=outcome, covariates=covariates, family=family, link=link)
    exact = derivative(one, fit.model, fit.kind, fit.coefficients)
    for row in (0, 17, 250):
        step = np.zeros(len(one))
        step[row] = 1e-3 * one.weights[row]
        up, down = (solve(fit.model, one.weights + sign * step, fit.kind, fit.coefficients) for sign in (1, -1))
        assert (up - down) / (2 * step[row]) == pytest.approx(exact[row], rel=1e-5, abs=1e-9)


def test_gamma_with_log_link_takes_the_expected_information_under_rs_convention():
    exact, expectation = (
        ev.survey_glm(design(linearization=kind), outcome="amount", covariates="x", family="gamma")
        for kind in ("exact", "r")
    )
    assert exact.estimate.tolist() == expectation.estimate.tolist()
    assert exact.std_error != pytest.approx(expectation.std_error, rel=1e-4)


def test_replicates_refit_the_regression_each_time():
    jackknife = ev.as_replicates(design(), kind="JK1")
    fit = ev.survey_glm(jackknife, outcome="count", covariates=["x", "group"], family="poisson")
    again = each_replicate(jackknife, lambda weights: solve(fit.model, weights, fit.kind))
    assert fit.contributions == pytest.approx(again, rel=1e-9)
    linear = ev.survey_glm(design(), outcome="count", covariates=["x", "group"], family="poisson")
    assert fit.std_error == pytest.approx(linear.std_error, rel=0.1)


def test_replicates_that_separate_the_outcome_show_in_the_error_as_in_r_and_are_told():
    factors = pd.read_csv(R / "apiclus1_bootstrap.csv")
    one = ev.replicate_design(
        pd.read_csv(R / "apiclus1.csv"),
        weights="pw",
        replicate_weights=factors,
        kind="bootstrap",
        scale=1 / 40,
        mse=True,
    )
    with pytest.warns(ReplicateWarning, match=r"in 1 of 40 replicates 'stype\[T.H\]' separates the outcome's levels"):
        fit = ev.survey_glm(one, outcome="comp.imp", covariates=["api99", "meals", "stype"], family="binomial")
    numbers = expected("dev_388")
    assert fit.estimate == pytest.approx(list(numbers["coef"].values()), rel=ESTIMATE)
    assert fit.std_error == pytest.approx(list(numbers["se"].values()), rel=ERROR)


def test_respondents_without_weight_change_nothing():
    frame = counts()
    padded = pd.concat([frame, frame.head(20).assign(w=0.0, count=99, group="nobody")], ignore_index=True)
    with_them, without = (
        ev.survey_glm(design(one), outcome="count", covariates=["x", "group"], family="poisson")
        for one in (padded, frame)
    )
    assert with_them.keys["term"].tolist() == without.keys["term"].tolist()
    assert with_them.estimate == pytest.approx(without.estimate, rel=1e-12)
    assert with_them.n_obs.tolist() == without.n_obs.tolist()


def test_order_of_rows_and_scale_of_weights_change_nothing():
    frame = counts()
    mixed = frame.sample(frac=1, random_state=1).assign(w=lambda f: f["w"] * 1000)
    one, other = (
        ev.survey_glm(design(f), outcome="amount", covariates=["x", "group"], family="gamma") for f in (frame, mixed)
    )
    assert one.estimate == pytest.approx(other.estimate, rel=1e-9)
    assert one.vcov == pytest.approx(other.vcov, rel=1e-8)


@pytest.mark.parametrize(
    "covariates",
    [
        "~ group + x",
        "~ x + C(level)",
        "~ 0 + group + kind + x",
        "~ group * kind",
        "~ 0 + x",
        "~ group + group:kind + count",
    ],
)
def test_coded_and_full_model_matrices_are_the_same(covariates):
    frame = counts().assign(level=lambda f: f["count"] % 3, kind=lambda f: pd.Categorical(f["psu"] % 2 == 0))
    frame.loc[5, "group"], frame.loc[7, "x"] = None, np.nan
    among = np.arange(len(frame)) != 9
    coded = encode(read_formula(covariates), frame, among)
    full = encode(read_formula(f"{covariates} + I(0 * x)"), frame, among & frame["x"].notna().to_numpy())
    assert isinstance(coded.matrix, Coded)
    assert isinstance(full.matrix, Dense)
    at = [full.encoding.terms.index(term) for term in coded.encoding.terms]
    rows, values = full.used & coded.used, np.linspace(0.1, 2, len(frame))
    assert coded.matrix.dense[rows].tolist() == full.matrix.dense[rows][:, at].tolist()
    assert not coded.matrix.dense[~coded.used].any()
    dense, inside = Dense(coded.matrix.dense), np.where(coded.used, values, 0)
    weights = np.arange(len(coded.encoding.terms)) + 1.0
    assert coded.matrix.times(weights)[coded.used] == pytest.approx(dense.times(weights)[coded.used], rel=1e-12)
    assert coded.matrix.moments(inside) == pytest.approx(dense.moments(inside), rel=1e-12)
    assert coded.matrix.gram(inside) == pytest.approx(dense.gram(inside), rel=1e-12)
    unit = frame["psu"].to_numpy()
    assert coded.matrix.sums_by(unit, 30, inside) == pytest.approx(dense.sums_by(unit, 30, inside), rel=1e-11)


def test_terms_know_their_coefficients():
    fit = ev.survey_glm(design(), outcome="count", covariates=["x", "group"], family="poisson")
    assert fit.model.term_of == ("(Intercept)", "x", "group", "group")


def test_taking_rows_and_contrasts_work_as_with_every_result():
    fit = ev.survey_glm(design(), outcome="count", covariates=["x", "group"], family="poisson")
    two = fit.take(np.array([2, 3]))
    assert two.keys["term"].tolist() == ["group[T.b]", "group[T.c]"]
    difference = ev.contrast(fit, {"b - c": {"group[T.b]": 1, "group[T.c]": -1}})
    assert difference.estimate[0] == pytest.approx(fit.estimate[2] - fit.estimate[3])
    assert difference.std_error[0] ** 2 == pytest.approx(
        fit.vcov[2, 2] + fit.vcov[3, 3] - 2 * fit.vcov[2, 3], rel=1e-10
    )
    assert "glance" not in repr(fit)
    assert set(fit.to_dict()["fit"]) == {
        *("outcome", "family", "formula", "reference", "n_used", "n_left_out", "df_residual"),
    }


def test_quasi_separation_by_a_level_is_named():
    frame = pd.read_csv(R / "apiclus1.csv")
    one = ev.survey_design(frame, weights="pw", psu="dnum", fpc="fpc")
    with pytest.raises(IdentificationError, match=r"'comp.imp\[T.Yes\]' separates the outcome's levels: "):
        ev.survey_glm(one, outcome="sch.wide", covariates="comp.imp", family="binomial")


def test_a_level_whose_counts_are_all_zero_is_named():
    frame = counts().assign(count=lambda f: f["count"] * (f["group"] != "c"))
    with pytest.raises(IdentificationError, match=r"'group\[T.c\]' separates zeros from other counts"):
        ev.survey_glm(design(frame), outcome="count", covariates=["x", "group"], family="poisson")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"family": "gama"}, EstimationError, r"got 'gama'. Did you mean 'gamma'\?"),
        ({"family": "gamma", "link": "logit"}, EstimationError, r"must be one of \['log', 'inverse'\], got 'logit'"),
        ({"outcome": "count", "family": "gamma"}, ColumnError, r"must be above zero; \d+ of 300 values"),
        ({"outcome": "x", "family": "poisson"}, ColumnError, r"must be a count, zero or above"),
        ({"outcome": "count", "family": "binomial"}, ColumnError, r"must be 0/1, a share between 0 and 1"),
        ({"outcome": "group", "family": "poisson"}, ColumnError, r"'group' is text \(a, b, c\), expected numbers"),
        ({"offset": "log_tme"}, ColumnError, r"'log_tme', no column of the data. Did you mean 'log_time'\?"),
        ({"offset": "group"}, ColumnError, r"offset 'group' must be one numeric column"),
        ({"offset": "nothing"}, EstimationError, r"offset 'nothing' is missing in every row"),
        ({"covariates": "~ x + grop"}, ColumnError, r"names 'grop', no column of the data. Did you mean 'group'\?"),
        ({"outcome": "same"}, EstimationError, r"'same' is constant \(1\)"),
        ({"outcome": "nothing"}, EstimationError, r"no respondent who counts answered 'nothing'"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(arguments, error, message):
    frame = counts().assign(same=1.0, nothing=np.nan)
    with pytest.raises(error, match=message):
        ev.survey_glm(design(frame), **{"outcome": "amount", "covariates": ["x"], **arguments})


def test_the_usual_link_is_taken_where_none_is_named():
    assert [kind_of(name, None, "v").link for name in ("gaussian", "binomial", "poisson", "gamma")] == [
        *("identity", "logit", "log", "log"),
    ]


def test_a_column_called_like_a_word_of_python_is_asked_for_between_backticks():
    design = ev.survey_design(pd.DataFrame({"class": ["a", "b", "a", "b"], "y": [1.0, 2.0, 3.0, 5.0]}))
    with pytest.raises(ColumnError, match="'class' is a word of Python: write `class` between backticks"):
        ev.survey_glm(design, outcome="y", covariates="~ C(class)")
    assert ev.survey_glm(design, outcome="y", covariates="~ C(`class`)").keys["term"].tolist()[1] == "C(class)[T.b]"


def test_an_unreadable_formula_is_told_without_signs_of_a_terminal():
    design = ev.survey_design(pd.DataFrame({"x": [1.0, 2.0, 4.0], "y": [1.0, 2.0, 3.0]}))
    with pytest.raises(ColumnError) as told:
        ev.survey_glm(design, outcome="y", covariates="~ x +")
    assert str(told.value).isascii()
