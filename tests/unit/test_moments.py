"""Variances, covariances and correlations: by hand, against R, by their derivatives, on replicates, and refused."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, EstimationError
from evaluation.estimation.moments import survey_correlation, survey_covariance, survey_variance

TIGHT = 1e-12
ESTIMATE = 1e-8
ERROR = 1e-6

REFERENCE = Path(__file__).parents[1] / "reference" / "survey"
DECLARED = {
    "dstrat": ("apistrat.csv", {"strata": "stype", "weights": "pw", "fpc": "fpc"}),
    "dclus1": ("apiclus1.csv", {"psu": "dnum", "weights": "pw", "fpc": "fpc"}),
    "dsc": ("own_strat2psu.csv", {"psu": "dnum", "strata": "stratum", "weights": "wt", "nested": True}),
}


def reference_design(name):
    file, columns = DECLARED[name]
    return ev.survey_design(pd.read_csv(REFERENCE / file, keep_default_na=False, na_values=[""]), **columns)


def reference_items(capability):
    known = json.loads((REFERENCE / "expected.json").read_text(encoding="utf-8"))["items"]
    return [item for item in known if item["capability"] == capability]


def sample(n=120, seed=4):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    columns = {
        "psu": np.repeat(np.arange(n // 6), 6),
        "w": rng.uniform(1, 5, n),
        "x": x,
        "y": 2 * x + rng.normal(size=n) + 100,
        "area": rng.choice(["a", "b"], n),
    }
    return pd.DataFrame(columns)


def design(frame=None, **options):
    return ev.survey_design(sample() if frame is None else frame, weights="w", psu="psu", **options)


@pytest.mark.parametrize("item", reference_items("variance"), ids=lambda item: item["id"])
def test_variances_are_those_of_r(item):
    found = survey_variance(reference_design(item["design"]), "api00")
    assert found.estimate == pytest.approx(item["expect"]["variance"], rel=ESTIMATE)
    assert found.std_error == pytest.approx(item["expect"]["se"], rel=ERROR)


@pytest.mark.parametrize("item", reference_items("covariance"), ids=lambda item: item["id"])
def test_covariances_are_those_of_r(item):
    found = survey_covariance(reference_design(item["design"]), ["api00", "api.stu"]).tidy().set_index("term")
    matrix, errors = np.array(item["expect"]["matrix"]["values"]), np.reshape(item["expect"]["se"], (2, 2))
    for term, at in (("api00", (0, 0)), ("api00:api.stu", (0, 1)), ("api.stu", (1, 1))):
        assert found.loc[term, "estimate"] == pytest.approx(matrix[at], rel=ESTIMATE)
        assert found.loc[term, "std_error"] == pytest.approx(errors[at], rel=ERROR)


def test_the_correlation_is_that_of_r():
    (item,) = reference_items("covariance_correlation")
    found = survey_correlation(reference_design(item["design"]), ["api00", "api99"])
    assert found.estimate == pytest.approx(item["expect"]["estimate"], rel=ESTIMATE)
    assert found.std_error == pytest.approx(item["expect"]["se"], rel=ERROR)


@pytest.mark.parametrize(
    ("kind", "base", "variances", "by_group"),
    [
        # R 4.2.2, survey 4.1-1: svyvar on as.svrepdesign(dstrat, type = "JKn") and (dclus1, type = "JK1").
        ("JKn", "dstrat", (1263.8379804237, 2773.9358401454, 19223.2921451091), (2127.6285572252, 1486.8462161963)),
        ("JK1", "dclus1", (1738.6698552833, 4341.5834148360, 32767.4242992632), (2789.9329451039, 1609.8138825377)),
    ],
)
def test_each_replicate_takes_its_own_mean_as_in_r(kind, base, variances, by_group):
    replicated = ev.as_replicates(reference_design(base), kind=kind)
    found = survey_covariance(replicated, ["api00", "api.stu"])
    assert found.std_error == pytest.approx(variances, rel=ERROR)
    assert survey_variance(replicated, "api00", by="comp.imp").std_error == pytest.approx(by_group, rel=ERROR)


def test_unweighted_moments_are_those_of_numpy():
    frame = sample()
    one = ev.survey_design(frame)
    matrix = np.cov(frame["x"], frame["y"])
    found = survey_covariance(one, ["x", "y"]).estimate
    assert found == pytest.approx([matrix[0, 0], matrix[0, 1], matrix[1, 1]], rel=TIGHT)
    assert survey_correlation(one, ["x", "y"]).estimate == pytest.approx(np.corrcoef(frame["x"], frame["y"])[0, 1])


@pytest.mark.parametrize("verb", [survey_variance, survey_covariance, survey_correlation])
def test_influence_is_the_derivative_in_the_weights(verb):
    frame = sample(n=24)
    found = verb(design(frame), ["x", "y"], by="area")
    for i in (0, 7, 20):
        moved = []
        for step in (1e-5, -1e-5):
            w = frame["w"].to_numpy().copy()
            w[i] *= 1 + step
            moved.append(verb(design(frame.assign(w=w)), ["x", "y"], by="area").estimate)
        np.testing.assert_allclose(found.influence[i], (moved[0] - moved[1]) / 2e-5, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("verb", [survey_variance, survey_covariance, survey_correlation])
def test_contributions_are_the_influence_summed_by_sampling_unit(verb):
    one = design()
    found = verb(one, ["x", "y"], by="area")
    sums = pd.DataFrame(found.influence).groupby(one.data["psu"].to_numpy()).sum().to_numpy()
    np.testing.assert_allclose(found.contributions, sums, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("verb", [survey_variance, survey_covariance, survey_correlation])
def test_domains_among_others_are_the_domains_alone(verb):
    among = verb(design(), ["x", "y"], by="area").tidy().query("area == 'b'")
    alone = verb(ev.domain(design(), {"area": "b"}), ["x", "y"]).tidy()
    numbers = ["estimate", "std_error", "df", "n_obs"]
    np.testing.assert_allclose(among[numbers], alone[numbers], rtol=1e-10)


def test_the_difference_of_two_groups_variances_counts_what_they_share():
    found = survey_variance(design(), "y", by="area")
    gap = ev.contrast(found, {"b - a": {"y | area=b": 1, "y | area=a": -1}})
    v = found.vcov
    assert gap.std_error == pytest.approx(np.sqrt(v[0, 0] + v[1, 1] - 2 * v[0, 1]), rel=1e-10)


def test_a_shift_changes_nothing_and_a_scale_is_squared():
    frame = sample()
    plain = survey_covariance(design(frame), ["x", "y"])
    moved = survey_covariance(design(frame.assign(x=1000 * frame["x"], y=frame["y"] + 1e6)), ["x", "y"])
    np.testing.assert_allclose(moved.estimate, plain.estimate * [1e6, 1e3, 1], rtol=1e-8)
    np.testing.assert_allclose(moved.std_error, plain.std_error * [1e6, 1e3, 1], rtol=1e-7)


def test_missing_answers_leave_a_respondent_out_of_one_variable_or_of_all():
    frame = sample()
    frame.loc[:9, "x"] = np.nan
    kept = frame.iloc[10:]
    assert survey_variance(ev.survey_design(frame), ["x", "y"]).estimate == pytest.approx(
        [kept["x"].var(), frame["y"].var()], rel=TIGHT
    )
    assert survey_variance(ev.survey_design(frame), ["x", "y"], listwise=True).estimate == pytest.approx(
        [kept["x"].var(), kept["y"].var()], rel=TIGHT
    )
    pairwise = survey_covariance(ev.survey_design(frame), ["x", "y"], listwise=False)
    assert pairwise.estimate[[0, 2]] == pytest.approx([kept["x"].var(), frame["y"].var()], rel=TIGHT)
    assert pairwise.n_obs.tolist() == [110, 110, 120]


def test_one_respondent_has_no_variance_and_constant_answers_have_none_to_speak_of():
    frame = pd.DataFrame({"y": [3.0, 1.0, 1.0, 1.0], "x": [1.0, 2.0, 3.0, 5.0], "area": list("abbb")})
    rows = survey_variance(ev.survey_design(frame), "y", by="area").tidy()
    assert np.isnan(rows["estimate"][0])
    assert rows.loc[1, ["estimate", "std_error"]].tolist() == [0.0, 0.0]
    assert survey_correlation(ev.survey_design(frame), ["x", "y"], by="area").tidy()["estimate"].isna().all()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda d: survey_covariance(d, "y"), EstimationError, r"at least two variables, got 'y'"),
        (lambda d: survey_covariance(d, None), EstimationError, r"at least two variables, got None"),
        (lambda d: survey_correlation(d, ["y", "y"]), ColumnError, r"names 'y' twice"),
        (lambda d: survey_correlation(d, ["y", "one"]), EstimationError, r"'one' is 7 for all 120 respondents"),
        (lambda d: survey_variance(d, "none"), EstimationError, r"'none' is missing for every respondent"),
        (lambda d: survey_variance(d, "area"), ColumnError, r"'area' is text"),
        (lambda d: survey_variance(d, "yy"), ColumnError, r"Did you mean 'y'"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call(design(sample().assign(one=7.0, none=np.nan)))
