"""Nonlinear contrasts: against R and by hand, derivatives, replicates, several kinds of results, refusals."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import EstimationError, ReplicateWarning
from evaluation.estimation.nonlinear import nonlinear_contrast

TIGHT = 1e-12
ESTIMATE = 1e-8
ERROR = 1e-6

REFERENCE = Path(__file__).parents[1] / "reference" / "survey"
DECLARED = {
    "dstrat": ("apistrat.csv", {"strata": "stype", "weights": "pw", "fpc": "fpc"}),
    "dclus1": ("apiclus1.csv", {"psu": "dnum", "weights": "pw", "fpc": "fpc"}),
    "dsc": ("own_strat2psu.csv", {"psu": "dnum", "strata": "stratum", "weights": "wt", "nested": True}),
}


def reference_frame(name):
    return pd.read_csv(REFERENCE / DECLARED[name][0], keep_default_na=False, na_values=[""])


def reference_design(name, frame=None):
    return ev.survey_design(reference_frame(name) if frame is None else frame, **DECLARED[name][1])


def reference_items(capability):
    known = json.loads((REFERENCE / "expected.json").read_text(encoding="utf-8"))["items"]
    return [item for item in known if item["capability"] == capability]


def sample(n=90, seed=8):
    rng = np.random.default_rng(seed)
    columns = {
        "psu": np.repeat(np.arange(n // 6), 6),
        "w": rng.uniform(1, 5, n),
        "x": rng.lognormal(0, 0.4, n),
        "y": rng.lognormal(1, 0.4, n),
        "area": rng.choice(["a", "b"], n),
    }
    return pd.DataFrame(columns)


def design(frame=None):
    return ev.survey_design(sample() if frame is None else frame, weights="w", psu="psu")


@pytest.mark.parametrize("item", reference_items("contrast_nonlinear"), ids=lambda item: item["id"])
def test_a_ratio_of_two_means_is_that_of_r(item):
    means = ev.survey_mean(reference_design(item["design"]), ["api00", "api.stu"])
    found = nonlinear_contrast(means, {"ratio": "api00 / `api.stu`"})
    assert found.estimate == pytest.approx(item["expect"]["estimate"], rel=ESTIMATE)
    assert found.std_error == pytest.approx(item["expect"]["se"], rel=ERROR)


def test_a_correlation_from_five_means_is_that_of_r():
    (item,) = reference_items("covariance_correlation")
    frame = reference_frame("dstrat")
    moments = {"xx": frame["api00"] ** 2, "yy": frame["api99"] ** 2, "xy": frame["api00"] * frame["api99"]}
    means = ev.survey_mean(reference_design("dstrat", frame.assign(**moments)), ["api00", "api99", "xx", "yy", "xy"])
    text = "(xy - x * y) / sqrt((xx - x**2) * (yy - y**2))"
    found = nonlinear_contrast(means, {"correlation": text}, names={"x": "api00", "y": "api99"})
    assert found.estimate == pytest.approx(item["expect"]["estimate"], rel=ESTIMATE)
    assert found.std_error == pytest.approx(item["expect"]["se"], rel=ERROR)


@pytest.mark.parametrize("item", reference_items("contrast_coefficients"), ids=lambda item: item["id"])
def test_a_difference_of_coefficients_is_that_of_r(item):
    fit = ev.survey_glm(
        reference_design(item["design"]), outcome="api00", covariates=["ell", "meals", "mobility", "stype"]
    )
    found = nonlinear_contrast(fit, {"gap": "ell - meals"})
    assert found.estimate == pytest.approx(item["expect"]["estimate"], rel=ESTIMATE)
    assert found.std_error == pytest.approx(item["expect"]["se"], rel=ERROR)


@pytest.mark.parametrize("item", reference_items("contrast_domain_difference"), ids=lambda item: item["id"])
def test_a_difference_of_domains_is_that_of_r(item):
    means = ev.survey_mean(reference_design(item["design"]), "api00", by="comp.imp")
    found = nonlinear_contrast(means, {"gap": "`api00 | comp.imp=Yes` - `api00 | comp.imp=No`"})
    assert found.estimate == pytest.approx(item["expect"]["estimate"], rel=ESTIMATE)
    assert found.std_error == pytest.approx(item["expect"]["se"], rel=ERROR)


def test_a_linear_expression_is_a_contrast():
    means = ev.survey_mean(design(), "y", by="area")
    linear = ev.contrast(means, {"gap": {"y | area=b": 2, "y | area=a": -1}}).tidy()
    found = nonlinear_contrast(means, {"gap": "2 * b - a"}, names={"a": "y | area=a", "b": "y | area=b"}).tidy()
    pd.testing.assert_frame_equal(linear, found)


def test_the_ratio_of_two_totals_is_the_ratio_estimator():
    totals = ev.survey_total(design(), ["y", "x"])
    found, ratio = nonlinear_contrast(totals, {"y/x": "y / x"}), ev.survey_ratio(design(), "y", "x")
    assert found.estimate == pytest.approx(ratio.estimate, rel=TIGHT)
    assert found.std_error == pytest.approx(ratio.std_error, rel=1e-10)


EXPRESSIONS = [
    "x + y - 2 * x * y / 3",
    "-x / (y + 1) ** 2",
    "log(y / x)",
    "exp(-x) * sqrt(y)",
    "x ** y",
    "x ** -0.5 + 2 ** y",
    "+x ** 2 / 1e3",
]


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_influence_is_the_derivative_in_the_weights(text):
    frame = sample(n=24)

    def estimate(data):
        return nonlinear_contrast(ev.survey_mean(design(data), ["x", "y"]), {"f": text})

    found = estimate(frame)
    for i in (0, 11):
        moved = []
        for step in (1e-5, -1e-5):
            w = frame["w"].to_numpy().copy()
            w[i] *= 1 + step
            moved.append(estimate(frame.assign(w=w)).estimate[0])
        assert found.influence[i, 0] == pytest.approx((moved[0] - moved[1]) / 2e-5, rel=1e-6)
    values = dict(zip(("x", "y"), ev.survey_mean(design(frame), ["x", "y"]).estimate, strict=True))
    known = {"log": np.log, "exp": np.exp, "sqrt": np.sqrt, **values}
    assert found.estimate[0] == pytest.approx(eval(text, known), rel=TIGHT)


def test_replicates_evaluate_the_expression_each():
    one = ev.as_replicates(design(), kind="JK1")
    means = ev.survey_mean(one, ["x", "y"])
    found = nonlinear_contrast(means, {"ratio": "y / x"})
    assert found.contributions[:, 0] == pytest.approx(means.contributions[:, 1] / means.contributions[:, 0], rel=TIGHT)
    each = found.contributions[:-1, 0]
    n = len(each)
    assert found.std_error[0] ** 2 == pytest.approx((n - 1) / n * ((each - each.mean()) ** 2).sum(), rel=TIGHT)
    delta = nonlinear_contrast(means, {"ratio": "y / x"}, replicates="delta")
    x, y = means.estimate
    gradient = np.array([-y / x**2, 1 / x])
    assert delta.std_error[0] ** 2 == pytest.approx(gradient @ means.vcov @ gradient, rel=1e-10)
    assert 0 < abs(delta.std_error[0] / found.std_error[0] - 1) < 0.05


def test_replicates_are_as_in_r_with_and_without_them():
    # R 4.2.2, survey 4.1-1, rep_jk1: svycontrast(svymean(~api00 + api.stu, rep_jk1, return.replicates = ...),
    # quote(api00 / api.stu)).
    means = ev.survey_mean(ev.as_replicates(reference_design("dclus1"), kind="JK1"), ["api00", "api.stu"])
    found = [
        nonlinear_contrast(means, {"ratio": "api00 / `api.stu`"}, replicates=kind).std_error[0]
        for kind in ("evaluate", "delta")
    ]
    assert found == pytest.approx([0.18497460133283, 0.17593548416699], rel=ERROR)


def test_results_of_different_kinds_are_combined_with_their_covariance():
    one = design()
    parts = [
        ev.survey_mean(one, "x"),
        ev.survey_glm(one, outcome="y", covariates=["x"]),
        ev.survey_variance(one, "y"),
    ]
    rows = {"m": parts[0], "b": parts[1], "v": parts[2]}
    found = nonlinear_contrast(rows, {"share explained": "`b | x` * m / sqrt(v)"})
    slope, mean, spread = parts[1].estimate[1], parts[0].estimate[0], parts[2].estimate[0]
    assert found.estimate[0] == pytest.approx(slope * mean / np.sqrt(spread), rel=TIGHT)
    influence = (
        mean / np.sqrt(spread) * parts[1].influence[:, 1]
        + slope / np.sqrt(spread) * parts[0].influence[:, 0]
        - slope * mean / (2 * spread**1.5) * parts[2].influence[:, 0]
    )
    np.testing.assert_allclose(found.influence[:, 0], influence, rtol=1e-8, atol=1e-12)


def test_results_of_two_domains_of_one_design_go_by_their_names():
    one = design()
    waves = {area: ev.survey_mean(ev.domain(one, {"area": area}), "y") for area in "ab"}
    found = nonlinear_contrast(waves, {"growth": "b / a - 1", "again": "`b | y` / `a | y` - 1"})
    by = ev.survey_mean(one, "y", by="area")
    wanted = nonlinear_contrast(by, {"growth": "`y | area=b` / `y | area=a` - 1"})
    assert found.estimate == pytest.approx(np.repeat(wanted.estimate, 2), rel=TIGHT)
    assert found.std_error == pytest.approx(np.repeat(wanted.std_error, 2), rel=1e-10)


def test_a_nonlinear_contrast_is_a_result_like_any_other():
    means = ev.survey_mean(design(), ["x", "y"])
    ratio = nonlinear_contrast(means, {"ratio": "y / x"})
    assert ratio.df.tolist() == means.df[:1].tolist()
    assert ratio.n_obs.tolist() == [90]
    logs = nonlinear_contrast(ratio, {"log": "log(ratio)"})
    direct = nonlinear_contrast(means, {"log": "log(y / x)"})
    assert logs.std_error == pytest.approx(direct.std_error, rel=1e-10)
    assert ev.contrast([ratio, means], {"gap": {"ratio": 1, "x": -1}}).std_error[0] > 0


def test_a_row_whose_derivative_is_zero_still_counts_for_the_degrees_of_freedom():
    frame = pd.DataFrame({"y": [1.0, 3.0, 2.0, 2.0, 1.0, 3.0], "area": list("aabbbb")})
    means = ev.survey_mean(ev.survey_design(frame), "y", by="area")
    found = nonlinear_contrast(means, {"square": "(a - b) ** 2"}, names={"a": "y | area=a", "b": "y | area=b"})
    assert (found.estimate[0], found.std_error[0]) == (0.0, 0.0)
    assert found.df.tolist() == [means.df.min()]
    assert found.n_obs.tolist() == [6]


@pytest.mark.parametrize(
    ("contrasts", "names", "message"),
    [
        ({"f": "x / z"}, None, r"contrast 'f': 'z' is neither a row nor one of names"),
        ({"f": "x / yy"}, {"yyy": "y"}, r"Did you mean 'yyy'\?"),
        ({"f": "`x | a`"}, None, r"no row 'x \| a'"),
        ({"f": "x +"}, None, r"'x \+' is no arithmetic"),
        ({"f": "__import__('os').system('ls')"}, None, r"names no row|not arithmetic"),
        ({"f": "x.real"}, None, r"'x.real' is not arithmetic"),
        ({"f": "x if y else 1"}, None, r"is not arithmetic"),
        ({"f": "x % y"}, None, r"is not arithmetic"),
        ({"f": "True * x"}, None, r"'True' is not arithmetic"),
        ({"f": "sqrt(x, y)"}, None, r"sqrt takes one number"),
        ({"f": "sin(x)"}, None, r"'sin\(x\)' is not arithmetic"),
        ({"f": "1 + 1"}, None, r"names no row"),
        ({"f": "x / (y - y)"}, None, r"no value or no derivative.*division by zero"),
        ({"f": "log(x - 10 * x)"}, None, r"no value or no derivative"),
        ({"f": "+".join(["x"] * 300)}, None, r"longer than 500 characters"),
        ({"f": {"x": 1}}, None, r"expected an expression such as 'a / b - 1'"),
        ({"f": "a"}, {"a b": "x"}, r"names holds 'a b', expected plain words"),
        ({"f": "log"}, {"log": "x"}, r"names holds 'log'"),
        ({}, None, r"at least one result and one expression"),
        (["x"], None, r"expected a mapping of label to expression, got \['x'\]"),
    ],
)
def test_what_is_no_arithmetic_on_rows_is_refused(contrasts, names, message):
    with pytest.raises(EstimationError, match=message):
        nonlinear_contrast(ev.survey_mean(design(), ["x", "y"]), contrasts, names=names)


def test_a_replicate_without_a_value_is_named_and_the_derivative_offered():
    frame = pd.DataFrame({"y": [1.0, -2.0, 3.0, -1.0], "psu": [1, 1, 2, 2]})
    means = ev.survey_mean(ev.as_replicates(ev.survey_design(frame, psu="psu"), kind="JK1"), "y")
    with pytest.raises(EstimationError, match=r"in replicate 2.*replicates='delta'"):
        nonlinear_contrast(means, {"log": "log(y)"})
    assert nonlinear_contrast(means, {"log": "log(y)"}, replicates="delta").std_error[0] > 0


def test_results_without_influence_or_of_other_samples_are_refused():
    one = design()
    with pytest.raises(EstimationError, match=r"no influence function"):
        nonlinear_contrast(ev.survey_quantile(one, "y", probabilities=0.5), {"f": "`y | level=0.5` + 1"})
    other = ev.survey_mean(design(sample(seed=9)), "y")
    with pytest.raises(EstimationError, match=r"different designs"):
        nonlinear_contrast({"a": ev.survey_mean(one, "y"), "b": other}, {"f": "a / b"})
    for nothing in (None, [], {}):
        with pytest.raises(EstimationError, match=r"at least one result"):
            nonlinear_contrast(nothing, {"f": "y"})
    with pytest.raises(EstimationError, match=r"such as those of ev.survey_mean, got Design"):
        nonlinear_contrast([one], {"f": "y"})
    with pytest.raises(EstimationError, match=r"replicates must be 'evaluate' or 'delta'"):
        nonlinear_contrast(other, {"f": "y"}, replicates="each")


def test_a_replicate_without_estimates_stays_without_a_value():
    frame = pd.DataFrame({"y": np.arange(1.0, 13.0), "psu": np.repeat(np.arange(6), 2), "area": list("aaaabbbbbbbb")})
    one = ev.as_replicates(ev.survey_design(frame, psu="psu"), kind="bootstrap", replicates=60, seed=1)
    with pytest.warns(ReplicateWarning, match="replicates give no estimate"):
        means = ev.survey_mean(one, "y", by="area")
    lost = np.isnan(means.contributions).any(axis=1)
    assert 0 < lost.sum() < 20
    with pytest.warns(ReplicateWarning, match="replicates give no estimate"):
        found = nonlinear_contrast(means, {"ratio": "b / a"}, names={"a": "y | area=a", "b": "y | area=b"})
    assert np.isnan(found.contributions[:, 0]).tolist() == lost.tolist()
    assert found.std_error[0] > 0
