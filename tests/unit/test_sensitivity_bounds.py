"""The marginal sensitivity model: every estimand, both intervals, and what the observed covariates do to the odds."""

import json
import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.comparison.sensitivity.marginal_sensitivity import balancing, extreme_mean
from evaluation.errors import ColumnError, DesignError, EstimationError, ProjectError, PublishError

made = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("handmade_participants.py"))))

SAME = 1e-10
DERIVATIVE = 1e-5
STEP = 1e-5
ESTIMANDS = ["ATT", "ATE", "ATC", "ATO", "ATM"]
GIVEN = {"outcome": "stays", "treatment": "joined", "covariates": ["age", "sex"]}
CAUSAL = ("caus", "effect", "impact", "효과", "영향", "때문에 바뀌")


@pytest.fixture
def respondents():
    return made.respondents()


def bounds(frame, **options):
    return ev.sensitivity_bounds(made.design_of(frame), **{**GIVEN, **options})


# --- bounds -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimand", ESTIMANDS)
def test_nothing_unobserved_is_ipw_with_its_error(respondents, estimand):
    ours = bounds(respondents, estimand=estimand, lambda_=[1.0])
    theirs = ev.ipw(made.design_of(respondents), **GIVEN, estimand=estimand)
    np.testing.assert_allclose(ours.estimate, theirs.estimate[0], rtol=SAME)
    np.testing.assert_allclose(ours.std_error, theirs.std_error[0], rtol=SAME)
    assert ours.fit["estimand"] == estimand


@pytest.mark.parametrize("estimand", ["ATE", "ATC", "ATO"])
def test_the_influence_of_every_estimand_is_its_numerical_derivative(respondents, estimand):
    options = {"estimand": estimand, "lambda_": [1.0, 1.7]}
    influence = bounds(respondents, **options).influence
    for row in (0, 9, 40):
        ends = []
        for step in (STEP, -STEP):
            moved = respondents.copy()
            moved.loc[row, "w"] *= 1 + step
            ends.append(bounds(moved, **options).estimate)
        slope = (ends[0] - ends[1]) / (2 * STEP)
        assert influence[row] == pytest.approx(slope, abs=DERIVATIVE * np.abs(influence).max())


@pytest.mark.parametrize("estimand", ["ATE", "ATO", "ATM"])
@pytest.mark.parametrize("seed", range(3))
def test_no_odds_within_lambda_go_beyond_the_bounds(estimand, seed):
    rng = np.random.default_rng(seed)
    y, w, q = np.sort(np.round(rng.normal(size=8), 1))[::-1], rng.uniform(0.2, 3, 8), rng.uniform(0.2, 4, 8)
    corners = 1.8 ** (2.0 * ((np.arange(2**8)[:, None] >> np.arange(8)) & 1) - 1)
    weights = w * balancing(q * corners, estimand, 0)
    high, low = (w * balancing(q * factor, estimand, 0) for factor in (1.8, 1 / 1.8))
    every = weights @ y / weights.sum(axis=1)
    assert extreme_mean(y, high, low)[0] == pytest.approx(every.max(), abs=SAME)
    assert extreme_mean(y[::-1], high[::-1], low[::-1], largest=False)[0] == pytest.approx(every.min(), abs=SAME)


def test_ties_weights_of_zero_and_the_order_of_rows_change_nothing(respondents):
    reference = bounds(respondents, estimand="ATE")
    strange = respondents.iloc[:20].assign(w=0.0, age=900.0, stays=1.0)
    mixed = pd.concat([respondents, strange]).sample(frac=1, random_state=5).reset_index(drop=True)
    ours = bounds(mixed, estimand="ATE")
    np.testing.assert_allclose(ours.estimate, reference.estimate, rtol=SAME)
    np.testing.assert_allclose(ours.std_error, reference.std_error, rtol=1e-8)
    assert ours.n_obs.tolist() == reference.n_obs.tolist()
    assert ours.fit["breakdown_lambda"] == pytest.approx(reference.fit["breakdown_lambda"], rel=1e-6)


def test_large_weights_change_nothing(respondents):
    heavy = bounds(respondents.assign(w=1e6 * respondents["w"]))
    np.testing.assert_allclose(heavy.estimate, bounds(respondents).estimate, rtol=SAME)
    np.testing.assert_allclose(heavy.std_error, bounds(respondents).std_error, rtol=1e-8)


def test_percentiles_of_bootstrap_samples_are_drawn_by_psu_and_repeat_with_the_seed(respondents):
    ours = bounds(respondents, interval="bootstrap", replicates=200, seed=4)
    again = bounds(respondents, interval="bootstrap", replicates=200, seed=4)
    linear = bounds(respondents)
    assert (ours.confidence_interval() == again.confidence_interval()).all()
    assert ours.fit["breakdown_lambda_interval"] == again.fit["breakdown_lambda_interval"]
    np.testing.assert_allclose(ours.estimate, linear.estimate)
    width = np.diff(ours.confidence_interval()).ravel() / np.diff(linear.confidence_interval()).ravel()
    assert (width > 0.8).all()
    assert (width < 1.25).all()
    assert ours.interval_method == "percentile bootstrap, 200, seed 4"
    drawn = ev.as_replicates(made.design_of(respondents), kind="bootstrap", replicates=200, seed=4)
    given = ev.sensitivity_bounds(drawn, **GIVEN, interval="bootstrap")
    np.testing.assert_allclose(given.confidence_interval(), ours.confidence_interval())


def test_percentiles_repeat_the_whole_weighting_chain(respondents):
    size = respondents["w"].sum()
    raked = ev.rake(made.design_of(respondents), {"sex": {"f": 0.55 * size, "m": 0.45 * size}})
    linear = ev.sensitivity_bounds(raked, **GIVEN)
    ours = ev.sensitivity_bounds(raked, **GIVEN, interval="bootstrap", replicates=100, seed=4)
    width = np.diff(ours.confidence_interval()).ravel() / np.diff(linear.confidence_interval()).ravel()
    assert (width > 0.7).all()
    assert (width < 1.35).all()


def test_the_lambda_of_the_percentile_interval_is_where_its_end_crosses_zero(respondents):
    options = {"outcome": "trust", "interval": "bootstrap", "replicates": 100, "seed": 1}
    respondents["trust"] = 3 + 2 * respondents["joined"] + np.random.default_rng(5).normal(0, 1, len(respondents))
    where = bounds(respondents, **options).fit["breakdown_lambda_interval"]
    assert 1 < where < bounds(respondents, **options).fit["breakdown_lambda"]
    limits = bounds(respondents, **options, lambda_=[where * 0.97, where * 1.03]).confidence_interval()
    assert limits[0, 0] > 0 > limits[2, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lambda_": 0.5}, "1 or more"),
        ({"estimand": "LATE"}, "estimand must be one of"),
        ({"interval": "percentile"}, "interval must be 'linearised' or 'bootstrap'"),
        ({"interval": "bootstrap"}, "Give it a seed"),
    ],
)
def test_impossible_bounds_are_refused(respondents, options, message):
    with pytest.raises(EstimationError, match=message):
        bounds(respondents, **options)


def test_a_jackknife_has_no_percentiles(respondents):
    jackknife = ev.as_replicates(made.design_of(respondents), kind="JKn")
    with pytest.raises(EstimationError, match="Use the design before as_replicates"):
        ev.sensitivity_bounds(jackknife, **GIVEN, interval="bootstrap", seed=1)


def test_missing_covariates_are_not_left_out_in_silence(respondents):
    respondents.loc[::5, "age"] = np.nan
    with pytest.raises(ColumnError, match="missing='indicator'"):
        bounds(respondents)
    assert bounds(respondents, missing="complete_cases").fit["n_left_out"] == len(respondents[::5])
    assert bounds(respondents, missing="indicator").fit["n_left_out"] == 0


def test_bounds_say_what_they_mean_and_no_more(respondents):
    result = bounds(respondents, lambda_=2.0)
    for lang in ("ko", "en"):
        text = result.text(lang)
        assert f"{result.fit['breakdown_lambda']:.2f}" in text
        assert not any(word in text for word in CAUSAL)
    with pytest.raises(ProjectError):
        result.text("de")
    hidden = replace(result, provenance=replace(result.provenance, min_base=1000))
    assert "[u]" in hidden.text("en")
    assert np.isnan(hidden.masked().fit["breakdown_lambda"])


# --- what the observed covariates do ------------------------------------------------------------------------------


def test_a_covariate_that_is_left_out_changes_the_odds_by_hand():
    frame = pd.DataFrame({"sex": list("fffm" * 3 + "fmmm" * 3), "joined": [0] * 12 + [1] * 12, "stays": [0, 1] * 12})
    result = ev.sensitivity_benchmarks(
        ev.survey_design(frame), outcome="stays", treatment="joined", covariates=["sex"], quantile=0.5
    )
    row = result.tidy().iloc[0]
    # Odds are 1/3 among f and 3 among m, 1 without the covariate.
    assert row["lambda_max"] == pytest.approx(3)
    assert row["lambda_quantile"] == pytest.approx(3)
    raw = ev.group_difference(ev.survey_design(frame), outcome="stays", treatment="joined")
    assert row["estimate_without"] == pytest.approx(raw.estimate[0])
    assert row["change"] == pytest.approx(row["estimate_without"] - result.estimate)


def test_each_covariate_is_the_propensity_score_without_it(respondents):
    design = made.design_of(respondents)
    result = ev.sensitivity_benchmarks(design, **GIVEN).tidy().set_index("covariate")
    full, left = (
        ev.overlap(design, treatment="joined", covariates=names).scores for names in (["age", "sex"], ["sex"])
    )
    ratio = (full / (1 - full)) / (left / (1 - left))
    assert result.loc["age", "lambda_max"] == pytest.approx(max(ratio.max(), 1 / ratio.min()))
    assert 1 <= result.loc["age", "lambda_quantile"] <= result.loc["age", "lambda_max"]
    alone = ev.ipw(design, **{**GIVEN, "covariates": ["sex"]})
    assert result.loc["age", "estimate_without"] == pytest.approx(alone.estimate[0])


def test_a_covariate_goes_with_its_interactions_and_squares(respondents):
    design = made.design_of(respondents)
    formula = ev.sensitivity_benchmarks(design, **{**GIVEN, "covariates": "~ age + {age**2} + sex + age:sex"})
    rows = formula.tidy().set_index("covariate")
    assert set(rows.index) == {"age", "sex"}
    alone = ev.ipw(design, **{**GIVEN, "covariates": ["sex"]})
    assert rows.loc["age", "estimate_without"] == pytest.approx(alone.estimate[0])


@pytest.mark.parametrize("missing", ["complete_cases", "indicator"])
@pytest.mark.parametrize(
    "covariates",
    [["거주 구", "나이 (세)"], "~ `거주 구` * `나이 (세)`", "~ `거주 구` + {`나이 (세)`**2} + `나이 (세)`"],
)
def test_covariates_of_any_name_can_be_left_out(respondents, covariates, missing):
    frame = respondents.rename(columns={"sex": "거주 구", "age": "나이 (세)"})
    frame.loc[::9, "나이 (세)"] = np.nan
    design = made.design_of(frame)
    rows = ev.sensitivity_benchmarks(design, **{**GIVEN, "covariates": covariates}, missing=missing).tidy()
    used = frame if missing == "indicator" else frame.dropna()
    left = ev.ipw(made.design_of(used), **{**GIVEN, "covariates": ["거주 구"]})
    assert rows.set_index("covariate").loc["나이 (세)", "estimate_without"] == pytest.approx(left.estimate[0])


def test_respondents_without_weight_are_no_benchmark(respondents):
    reference = ev.sensitivity_benchmarks(made.design_of(respondents), **GIVEN).tidy()
    strange = pd.concat([respondents, respondents.iloc[:5].assign(w=0.0, age=900.0)], ignore_index=True)
    ours = ev.sensitivity_benchmarks(made.design_of(strange), **GIVEN).tidy()
    np.testing.assert_allclose(ours["lambda_max"], reference["lambda_max"], rtol=1e-8)


def test_wrong_benchmarks_are_refused(respondents):
    design = made.design_of(respondents)
    with pytest.raises(ColumnError, match=r"'agee' is no covariate.*Did you mean 'age'"):
        ev.sensitivity_benchmarks(design, **GIVEN, benchmarks=["agee"])
    with pytest.raises(EstimationError, match="quantile is a share"):
        ev.sensitivity_benchmarks(design, **GIVEN, quantile=95)
    with pytest.raises(DesignError, match="needs a design"):
        ev.sensitivity_benchmarks(respondents, **GIVEN)


# --- the curve ----------------------------------------------------------------------------------------------------


def test_the_curve_is_the_bounds_at_each_lambda(respondents):
    design = made.design_of(respondents)
    curve = ev.sensitivity_curve(design, **GIVEN, largest=3.0, points=5)
    rows = curve.tidy()
    assert rows["lambda"].to_numpy() == pytest.approx(np.geomspace(1, 3, 5))
    there = ev.sensitivity_bounds(design, **GIVEN, lambda_=[float(rows["lambda"].iloc[2])])
    assert rows.loc[2, ["bound_low", "bound_high"]].tolist() == pytest.approx(there.estimate.tolist())
    limits = there.confidence_interval()
    assert rows.loc[2, ["conf_low", "conf_high"]].tolist() == pytest.approx([limits[0, 0], limits[1, 1]])
    assert curve.breakdown == there.fit["breakdown_lambda"]
    strongest = curve.benchmarks.tidy()["lambda_max"].max()
    assert curve.exceeds_observed == (curve.breakdown_of_interval > strongest)
    assert json.loads(json.dumps(curve.to_dict()))["benchmarks"][0]["covariate"] in ("age", "sex")


def test_the_curve_compares_with_the_covariates_and_says_no_more(respondents):
    respondents["strong"] = respondents["joined"] * 10.0 + respondents["age"] / 100
    strong = ev.sensitivity_curve(made.design_of(respondents), **{**GIVEN, "outcome": "strong"})
    weak = ev.sensitivity_curve(made.design_of(respondents), **{**GIVEN, "outcome": "city"})
    assert strong.exceeds_observed
    assert not weak.exceeds_observed
    assert "more than any one observed covariate" in strong.text("en")
    assert "no more than any one" in weak.text("en")
    assert "넘지 않는다" in weak.text("ko")
    for text in (strong.text("ko"), strong.text("en"), weak.benchmarks.text("ko"), weak.benchmarks.text("en")):
        assert not any(word in text for word in CAUSAL)


def test_the_curve_is_held_against_the_covariates_by_its_interval(respondents):
    """The bounds reach zero beyond the strongest covariate, their interval before it: that is no more than observed."""
    noise = np.random.default_rng(3).normal(0, 1, len(respondents))
    between = None
    for size in np.linspace(0.2, 1.2, 11):
        frame = respondents.assign(answer=size * respondents["joined"] + noise)
        curve = ev.sensitivity_curve(made.design_of(frame), **{**GIVEN, "outcome": "answer"})
        if curve.breakdown_of_interval < curve.benchmarks.largest < curve.breakdown:
            between = curve
    assert between is not None
    assert not between.exceeds_observed
    assert "The interval's is no more than any one observed covariate" in between.text("en")
    assert "신뢰구간의 배수는 관측된 공변량 하나가" in between.text("ko")


def test_a_curve_needs_a_range(respondents):
    with pytest.raises(EstimationError, match="above 1"):
        ev.sensitivity_curve(made.design_of(respondents), **GIVEN, largest=1.0)
    with pytest.raises(EstimationError, match="2 or more"):
        ev.sensitivity_curve(made.design_of(respondents), **GIVEN, points=1)


@pytest.mark.parametrize("lang", ["ko", "en"])
def test_curve_and_benchmarks_are_shown(respondents, lang):
    curve = ev.sensitivity_curve(made.design_of(respondents), **GIVEN, points=6)
    figure = ev.plot(curve, lang=lang)
    assert len(figure.figure.axes) == 2
    assert figure.png() == ev.plot(curve, lang=lang).png()
    assert f"{curve.breakdown:.2f}" in " ".join(text.get_text() for one in figure.figure.legends for text in one.texts)
    assert "n = 400" in figure.caption
    assert ev.table(curve.benchmarks, lang=lang).frame.shape == (2, 5)
    assert len(ev.table(curve, lang=lang).frame) == 6


def test_what_rests_on_too_few_is_not_shown(respondents):
    design = made.design_of(respondents)
    hidden = replace(design, provenance=replace(design.provenance, min_base=1000))
    curve = ev.sensitivity_curve(hidden, **GIVEN, points=3)
    assert curve.tidy()["bound_low"].isna().all()
    assert curve.benchmarks.tidy()["lambda_max"].isna().all()
    assert "[u]" in curve.benchmarks.text("en")
    with pytest.raises(PublishError, match="too few"):
        ev.plot(curve)
