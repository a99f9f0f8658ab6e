"""Quantiles: R's twelve rules and its intervals, replicates, domains, and what is refused."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, EstimationError
from evaluation.estimation.curves import RULES

TIGHT = 1e-12
ERROR = 1e-6

REFERENCE = Path(__file__).parents[1] / "reference" / "survey"
DECLARED = {
    "dstrat": ("apistrat.csv", {"strata": "stype", "weights": "pw", "fpc": "fpc"}),
    "dclus1": ("apiclus1.csv", {"psu": "dnum", "weights": "pw", "fpc": "fpc"}),
    "dsc": ("own_strat2psu.csv", {"psu": "dnum", "strata": "stratum", "weights": "wt", "nested": True}),
}


def reference_design(name):
    file, columns = DECLARED[{"rep_jkn": "dstrat", "rep_jk1": "dclus1"}.get(name, name)]
    design = ev.survey_design(pd.read_csv(REFERENCE / file, keep_default_na=False, na_values=[""]), **columns)
    return ev.as_replicates(design, kind="JKn" if name == "rep_jkn" else "JK1") if name.startswith("rep_") else design


def reference_items(*capabilities):
    known = json.loads((REFERENCE / "expected.json").read_text(encoding="utf-8"))["items"]
    made = (*DECLARED, "rep_jkn", "rep_jk1")
    return [item for item in known if item["capability"] in capabilities and item["design"] in made]


def argument(call, name, default):
    found = re.search(rf'{name} = "(\w+)"', call)
    return found.group(1) if found else default


def sample(n=400, seed=3):
    rng = np.random.default_rng(seed)
    columns = {
        "psu": np.repeat(np.arange(n // 10), 10),
        "w": rng.uniform(1, 9, n),
        "y": rng.lognormal(0, 1, n).round(2),
        "area": rng.choice(["a", "b", "c"], n),
    }
    return pd.DataFrame(columns)


@pytest.mark.parametrize("item", reference_items("quantile_rules"), ids=lambda item: item["id"])
def test_every_rule_gives_what_r_gives(item):
    rule, design = argument(item["R_call"], "qrule", "math"), reference_design(item["design"])
    # The item's headings are those of an interval; its four numbers are the first four quantiles.
    expected = [item["expect"]["api00"][name][0] for name in ("quantile", "lower", "upper", "se")]
    found = ev.survey_quantile(design, "api00", probabilities=[0.1, 0.25, 0.5, 0.75], rule=rule)
    assert found.estimate == pytest.approx(expected, rel=TIGHT)


@pytest.mark.parametrize("item", reference_items("quantile_ci", "replicate_quantile"), ids=lambda item: item["id"])
def test_every_interval_gives_what_r_gives(item):
    rule, interval = argument(item["R_call"], "qrule", "math"), argument(item["R_call"], "interval.type", "mean")
    expected = {
        name: [np.nan if value is None else float(value) for value in values]
        for name, values in item["expect"]["api00"].items()
    }
    found = ev.survey_quantile(
        reference_design(item["design"]), "api00", probabilities=expected["prob"], rule=rule, interval=interval
    ).tidy()
    assert found["estimate"].to_numpy() == pytest.approx(expected["quantile"], rel=1e-8)
    assert found["conf_low"].to_numpy() == pytest.approx(expected["lower"], rel=ERROR, nan_ok=True)
    assert found["conf_high"].to_numpy() == pytest.approx(expected["upper"], rel=ERROR, nan_ok=True)
    assert found["std_error"].to_numpy() == pytest.approx(expected["se"], rel=ERROR, abs=TIGHT, nan_ok=True)


@pytest.mark.parametrize("item", reference_items("quantile_by"), ids=lambda item: item["id"])
def test_medians_of_groups_are_those_of_r(item):
    table = item["expect"]["table"]
    found = ev.survey_quantile(reference_design(item["design"]), "api00", probabilities=0.5, by="comp.imp")
    assert found.keys["comp.imp"].tolist() == table["comp.imp"]
    assert found.estimate == pytest.approx(table["api00"], rel=1e-8)
    assert found.std_error == pytest.approx(table["se.api00"], rel=ERROR)


@pytest.mark.parametrize(
    ("rule", "method"),
    [
        ("math", "inverted_cdf"),
        ("hf1", "inverted_cdf"),
        ("school", "averaged_inverted_cdf"),
        ("hf2", "averaged_inverted_cdf"),
        ("hf4", "interpolated_inverted_cdf"),
        ("hf5", "hazen"),
        ("hf6", "weibull"),
        ("hf7", "linear"),
        ("hf8", "median_unbiased"),
        ("hf9", "normal_unbiased"),
    ],
)
def test_with_equal_weights_a_rule_is_that_of_hyndman_and_fan(rule, method):
    respondents = sample().assign(w=7.3)
    asked = [0.01, 0.1, 0.25, 0.5, 0.7, 0.999]
    found = ev.survey_quantile(ev.survey_design(respondents, weights="w"), "y", probabilities=asked, rule=rule)
    assert found.estimate == pytest.approx(np.quantile(respondents["y"], asked, method=method), rel=1e-10)


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "shahvaish"])
def test_the_scale_of_the_weights_does_not_matter(rule):
    respondents = sample()
    one, other = (
        ev.survey_quantile(ev.survey_design(data, weights="w", psu="psu"), "y", rule=rule).tidy().drop(columns="level")
        for data in (respondents, respondents.assign(w=respondents["w"] * 1000 / 3))
    )
    np.testing.assert_allclose(one.iloc[:, 1:].astype(float), other.iloc[:, 1:].astype(float), rtol=1e-10)


def test_a_weight_of_two_is_two_respondents():
    respondents = pd.DataFrame({"y": [1.0, 4.0, 6.0, 9.0], "w": [1.0, 2.0, 1.0, 2.0]})
    twice = ev.survey_design(pd.DataFrame({"y": np.repeat(respondents["y"], [1, 2, 1, 2])}))
    asked = [0.1, 1 / 6, 0.5, 2 / 3, 0.9]
    for rule in ("math", "school", "hf1", "hf2"):
        found = ev.survey_quantile(ev.survey_design(respondents, weights="w"), "y", probabilities=asked, rule=rule)
        assert (
            found.estimate.tolist() == ev.survey_quantile(twice, "y", probabilities=asked, rule=rule).estimate.tolist()
        )


def test_a_probability_hit_exactly_is_hit_in_spite_of_rounding():
    design = ev.survey_design(pd.DataFrame({"y": np.arange(1.0, 11.0), "w": 0.1}), weights="w")
    asked = [0.1, 0.3, 0.7]
    assert ev.survey_quantile(design, "y", probabilities=asked).estimate.tolist() == [1.0, 3.0, 7.0]
    assert ev.survey_quantile(design, "y", probabilities=asked, rule="school").estimate.tolist() == [1.5, 3.5, 7.5]


@pytest.mark.parametrize("rule", RULES)
def test_one_respondent_is_every_quantile(rule):
    respondents = pd.DataFrame({"y": [5.0, 1.0, 2.0], "area": ["a", "b", "b"]})
    found = ev.survey_quantile(ev.survey_design(respondents), "y", by="area", probabilities=[0.2, 0.9], rule=rule)
    assert found.take(np.array([0, 2])).estimate.tolist() == [5.0, 5.0]


@pytest.mark.parametrize("interval", ["mean", "beta", "xlogit", "asin", "score", "score_roots"])
def test_a_domain_is_the_same_by_itself_and_among_others(interval):
    design = ev.survey_design(sample(), weights="w", psu="psu")
    among = ev.survey_quantile(design, "y", by="area", interval=interval).tidy().query("area == 'b'")
    alone = ev.survey_quantile(ev.domain(design, {"area": "b"}), "y", interval=interval).tidy()
    numbers = ["estimate", "std_error", "conf_low", "conf_high", "df", "n_obs"]
    np.testing.assert_allclose(among[numbers], alone[numbers], rtol=1e-12)


@pytest.mark.parametrize("interval", ["mean", "beta", "xlogit", "asin", "score_roots"])
def test_a_rising_function_of_the_answers_carries_estimate_and_limits_along(interval):
    respondents = sample()
    design = ev.survey_design(respondents.assign(log=np.log(respondents["y"])), weights="w", psu="psu")
    plain, logs = (ev.survey_quantile(design, name, interval=interval).tidy() for name in ("y", "log"))
    for name in ("estimate", "conf_low", "conf_high"):
        np.testing.assert_allclose(np.log(plain[name]), logs[name], rtol=1e-12)


def test_score_roots_are_where_the_score_test_changes_its_verdict():
    design = ev.survey_design(sample(), weights="w", psu="psu")
    row = ev.survey_quantile(design, "y", probabilities=0.3, interval="score_roots").tidy().iloc[0]
    y = design.data["y"]
    bound = ev.survey_mean(design, "w").critical_value[0]
    for limit, sign in ((row["conf_low"], 1), (row["conf_high"], -1)):
        scores = []
        for value in (y[y < limit].max(), limit):
            share = ev.survey_mean(
                ev.survey_design(design.data.assign(under=(y <= value) * 1.0), weights="w", psu="psu"), "under"
            )
            scores.append((0.3 - share.estimate[0]) / share.std_error[0])
        assert scores[0] > sign * bound >= scores[1]


def test_replicate_quantiles_are_those_of_each_replicates_weights():
    respondents = sample(n=3000)
    design = ev.as_replicates(ev.survey_design(respondents, weights="w", psu="psu"), kind="JK1")
    asked = [0.05, 0.5, 0.95]
    found = ev.survey_quantile(design, "y", probabilities=asked, by="area", interval="quantile")
    for r, weights in enumerate(design.replicate_weights()):
        if r % 60 == 0:
            alone = ev.survey_design(respondents.assign(w=weights), weights="w", psu="psu")
            each = ev.survey_quantile(alone, "y", probabilities=asked, by="area").estimate
            assert found.contributions[r].tolist() == each.tolist()
    assert found.contributions[-1].tolist() == found.estimate.tolist()


def test_other_rules_and_weighted_replicates_take_the_same_road_to_the_same_numbers():
    respondents = sample(n=600)
    design = ev.as_replicates(ev.survey_design(respondents, weights="w", psu="psu"), kind="JK1")
    raked = ev.poststratify(design, {"area": {"a": 500.0, "b": 900.0, "c": 700.0}})
    for one, rule in ((design, "hf7"), (raked, "math")):
        found = ev.survey_quantile(one, "y", probabilities=0.5, rule=rule, interval="quantile")
        weights = list(one.replicate_weights())[7]
        alone = ev.survey_design(respondents.assign(w=weights), weights="w", psu="psu")
        assert found.contributions[7] == pytest.approx(
            ev.survey_quantile(alone, "y", probabilities=0.5, rule=rule).estimate, rel=TIGHT
        )


def test_medians_of_two_groups_can_be_contrasted_by_their_replicates():
    design = ev.as_replicates(ev.survey_design(sample(), weights="w", psu="psu"), kind="JK1")
    medians = ev.survey_quantile(design, "y", probabilities=0.5, by="area", interval="quantile")
    rows = {"y | level=0.5,area=a": 1, "y | level=0.5,area=b": -1}
    gap = ev.contrast(medians, {"a - b": rows})
    assert gap.estimate == pytest.approx(medians.estimate[0] - medians.estimate[1])
    v = medians.vcov
    assert gap.std_error == pytest.approx(np.sqrt(v[0, 0] + v[1, 1] - 2 * v[0, 1]), rel=TIGHT)


def test_given_degrees_of_freedom_take_the_place_of_the_domains():
    design = ev.survey_design(sample(), weights="w", psu="psu")
    narrow, wide = (ev.survey_quantile(design, "y", df=df).tidy() for df in (np.inf, 2))
    assert wide["df"].tolist() == [2.0] * 3
    assert (wide["conf_high"] > narrow["conf_high"]).all()


def test_a_limit_beyond_the_data_is_not_a_number():
    respondents = pd.DataFrame({"y": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]})
    row = ev.survey_quantile(ev.survey_design(respondents), "y", probabilities=0.95).tidy().iloc[0]
    assert row["estimate"] == 6.0
    assert np.isnan([row["conf_high"], row["std_error"]]).all()


def test_a_domain_where_nobody_answered_has_no_quantile():
    respondents = pd.DataFrame({"y": [1.0, 2.0, 3.0, np.nan, np.nan], "area": list("aaabb")})
    for interval in ("mean", "beta", "score", "score_roots"):
        rows = ev.survey_quantile(ev.survey_design(respondents), "y", by="area", interval=interval).tidy()
        assert rows.query("area == 'b'")[["estimate", "conf_low", "conf_high"]].isna().all(axis=None)
        assert rows.query("area == 'b'")["n_obs"].tolist() == [0, 0, 0]


def test_equal_answers_are_every_quantile_and_have_no_error():
    row = ev.survey_quantile(ev.survey_design(pd.DataFrame({"y": [4.0] * 5})), "y", probabilities=0.5).tidy().iloc[0]
    assert row["estimate"] == 4.0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda d: ev.survey_quantile(d, "y", rule="hf77"), EstimationError, r"rule must be .* Did you mean 'hf7'"),
        (lambda d: ev.survey_quantile(d, "y", interval="woodruff"), EstimationError, r"interval must be one of mean"),
        (
            lambda d: ev.survey_quantile(d, "y", interval="quantile"),
            EstimationError,
            r"replicates, but this design has",
        ),
        (
            lambda d: ev.survey_quantile(ev.as_replicates(d, kind="JK1"), "y", interval="score"),
            EstimationError,
            r"without replicates",
        ),
        (lambda d: ev.survey_quantile(d, "y", probabilities=[0.5, 1.0]), EstimationError, r"between 0 and 1"),
        (lambda d: ev.survey_quantile(d, "y", df="many"), EstimationError, r"df must be a number .* got 'many'"),
        (lambda d: ev.survey_quantile(d, "area"), ColumnError, r"'area' is text"),
        (lambda d: ev.survey_quantile(d, "yy"), ColumnError, r"Did you mean"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call(ev.survey_design(sample(), weights="w", psu="psu"))
