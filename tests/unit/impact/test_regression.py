"""Regressions with absorbed effects: against plain dummies, against refits, by hand, and what is refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

import evaluation as ev
from evaluation.errors import (
    ColumnError,
    EstimationError,
    FewClustersWarning,
    IdentificationError,
    SharedTreatmentWarning,
)
from evaluation.impact.absorbed import many_effects
from evaluation.impact.absorbed.coefficients import combined

MODEL = {"outcome": "y", "regressors": "d", "covariates": ["x"]}
TWO = {**MODEL, "effects": ["dong", "year"], "time": "year", "cluster": "district"}


def people(seed=1, n=1_500, districts=14):
    """Persons in dongs of districts, in age groups and jobs; treatment starts district by district, some never."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({"district": random.integers(0, districts, n), "year": random.integers(2012, 2018, n)})
    frame["dong"] = frame["district"] * 10 + random.integers(0, 4, n)
    frame["start"] = np.where(np.arange(districts) % 2, 2014 + np.arange(districts) % 3, 0)[frame["district"]]
    frame["d"] = ((frame["year"] >= frame["start"]) & (frame["start"] > 0)).astype(int)
    frame["dose"] = frame["d"] * (1 + frame["district"] % 4 / 4)
    frame["x"], frame["w"] = random.normal(50, 5, n), random.uniform(0.5, 3.0, n)
    frame["age"], frame["job"] = random.choice(["young", "middle", "old"], n), random.integers(0, 9, n)
    frame["low"] = random.integers(0, 2, n)
    frame["lat"], frame["lon"] = 37.4 + frame["dong"] / 1000, 126.8 + frame["district"] / 100
    shock = random.normal(0, 0.5, (districts, 6))[frame["district"], frame["year"] - 2012]
    frame["y"] = 2 * frame["d"] + 0.3 * frame["x"] + frame["dong"] % 7 + frame["year"] % 5 + shock + frame["job"] % 3
    frame["y"] += random.normal(0, 1, n)
    rate = np.exp(0.2 + 0.3 * frame["d"] + 0.01 * (frame["x"] - 50) + 0.1 * (frame["dong"] % 3))
    frame["count"] = random.poisson(rate)
    frame["yes"] = (random.uniform(size=n) < rate / (1 + rate)).astype(int)
    return frame


def survey(frame, **declared):
    return ev.survey_design(frame, weights="w", **declared)


def dummies(frame, effects, slopes=None):
    parts = [pd.get_dummies(frame[name].astype(str), dtype=float).to_numpy() for name in effects]
    if slopes is not None:
        levels = pd.get_dummies(frame[slopes].astype(str), dtype=float).to_numpy()
        parts.append(levels * (frame["year"].to_numpy()[:, None] - 2014.5))
    return np.hstack(parts)


def least_squares(frame, effects, columns=("d", "x"), slopes=None):
    """Coefficients from least squares on all dummies."""
    matrix = np.hstack([frame[list(columns)].to_numpy(float), dummies(frame, effects, slopes)])
    root = np.sqrt(frame["w"].to_numpy())
    return np.linalg.lstsq(matrix * root[:, None], frame["y"].to_numpy() * root, rcond=1e-12)[0][: len(columns)]


def close(ours, expected, tolerance=1e-9, floor=1e-12):
    np.testing.assert_allclose(ours, expected, rtol=tolerance, atol=floor)


@pytest.mark.parametrize(
    "effects",
    [[], ["dong"], ["dong", "year"], ["dong", "year", "job"], ["dong", "year", "job", "age"], ["dong", "age:year"]],
)
def test_any_number_of_effects_equals_a_regression_with_dummies(effects):
    frame = people()
    frame["age:year"] = frame["age"] + ":" + frame["year"].astype(str)
    expected = least_squares(frame, effects or ["one"]) if effects else least_squares(frame.assign(one=1), ["one"])
    result = ev.fe_regression(survey(frame.drop(columns="age:year")), **MODEL, effects=effects)
    close(result.estimate, expected, 1e-8)
    assert result.keys["term"].tolist() == ["d", "x"]


@pytest.mark.parametrize(
    ("effects", "slopes"),
    [(["dong", "year"], "dong"), (["dong", "year"], "district"), (["dong", "year", "job"], "age"), (["dong"], "dong")],
)
def test_any_effect_may_have_its_own_trends(effects, slopes):
    frame = people()
    result = ev.fe_regression(survey(frame), **MODEL, effects=effects, trends=slopes, time="year")
    close(result.estimate, least_squares(frame, [*effects, slopes], slopes=slopes), 1e-7)


def test_effects_solved_by_steps_are_those_solved_at_once(monkeypatch):
    design = survey(people())
    asked = {**MODEL, "effects": ["dong", "year", "job"], "cluster": "district", "vcov": "CR1"}
    direct = ev.fe_regression(design, **asked)
    monkeypatch.setattr(many_effects, "DENSE_LEVELS", 0)
    stepped = ev.fe_regression(design, **asked)
    close(stepped.estimate, direct.estimate, 1e-10)
    close(stepped.vcov, direct.vcov, 1e-8)


def test_columns_out_of_which_effects_cannot_be_taken_are_named(monkeypatch):
    monkeypatch.setattr(many_effects, "DENSE_LEVELS", 0)
    monkeypatch.setattr(many_effects, "STEPS", 2)
    with pytest.raises(
        EstimationError, match="effects of dong and year and job could not be taken out of 'y', 'd', 'x'"
    ):
        ev.fe_regression(survey(people()), **MODEL, effects=["dong", "year", "job"])


@pytest.mark.parametrize(("family", "outcome"), [("poisson", "count"), ("binomial", "yes")])
def test_counts_and_shares_equal_a_fit_with_dummies(family, outcome):
    frame = people()
    asked = {"outcome": outcome, "regressors": "d", "covariates": ["x"], "effects": ["dong", "year"], "family": family}
    result = ev.fe_regression(survey(frame), **asked)
    matrix = np.hstack([frame[["d", "x"]].to_numpy(float), dummies(frame, ["dong", "year"])[:, :-1]])
    kind = sm.families.Poisson() if family == "poisson" else sm.families.Binomial()
    fit = sm.GLM(frame[outcome], matrix, family=kind, freq_weights=frame["w"]).fit(tol=1e-12, maxiter=50)
    close(result.estimate, fit.params[:2], 1e-6)
    assert result.fit["n_separated"] == 0
    step, moved = 1e-5, frame.copy()
    moved.loc[7, "w"] *= 1 + step
    change = ev.fe_regression(survey(moved), **asked).estimate - result.estimate
    np.testing.assert_allclose(change / step, result.influence[7], rtol=1e-3, atol=1e-8)


@pytest.mark.parametrize(("family", "outcome"), [("poisson", "count"), ("binomial", "yes")])
def test_leaving_out_a_cluster_refits_counts_and_shares(family, outcome):
    frame = people(districts=12)
    asked = {"outcome": outcome, "regressors": "d", "effects": ["dong", "year"], "family": family}
    result = ev.fe_regression(survey(frame), **asked, cluster="district", time="year")
    without = ev.leave_one_out(result).tidy()
    part = ev.fe_regression(survey(frame[frame["district"] != 5]), **asked)
    close(without["estimate"][5], part.estimate[0], 1e-8)


@pytest.mark.parametrize(
    ("effects", "trends"),
    [(["dong", "year", "job"], None), (["dong"], None), ([], None), (["dong", "job"], "district")],
)
def test_leaving_out_a_cluster_from_sums_equals_a_refit(effects, trends):
    frame = people()
    asked = TWO | {"effects": effects, "trends": trends}
    without = ev.leave_one_out(ev.fe_regression(survey(frame), **asked)).tidy().query("term == 'd'")["estimate"]
    for district in (0, 8):
        part = survey(frame[frame["district"] != district])
        close(without.iloc[district], ev.fe_regression(part, **asked, vcov="CR1").estimate[0], 1e-7)


def test_levels_without_variation_are_left_out_and_told():
    frame = people()
    frame.loc[frame["dong"] == 20, "count"] = 0
    frame.loc[frame["dong"].isin([20, 31]), "yes"] = 1
    asked = {"regressors": "d", "effects": ["dong", "year"]}
    counts = ev.fe_regression(survey(frame), outcome="count", family="poisson", **asked)
    assert counts.fit["separated"] == {"dong": 1}
    assert counts.fit["n_separated"] == int((frame["dong"] == 20).sum())
    part = ev.fe_regression(survey(frame[frame["dong"] != 20]), outcome="count", family="poisson", **asked)
    close(counts.estimate, part.estimate, 1e-9)
    shares = ev.fe_regression(survey(frame), outcome="yes", family="binomial", **asked)
    assert shares.fit["separated"] == {"dong": 2}
    assert "rows whose outcome does not vary within a level (2 of dong)" in shares.summary()


def test_columns_that_tell_the_outcome_for_certain_are_refused():
    frame = people()
    frame["certain"] = frame["yes"] * 2.0 + 0.1 * frame["low"]
    with pytest.raises(IdentificationError, match="no finite coefficients"):
        ev.fe_regression(survey(frame), outcome="yes", regressors="certain", effects="year", family="binomial")
    with pytest.raises(EstimationError, match="does not vary within any level"):
        ev.fe_regression(
            survey(frame.assign(count=0)), outcome="count", regressors="d", effects="year", family="poisson"
        )


KINDS = [
    {"vcov": "jackknife"},
    {"vcov": "CV3J"},
    {"vcov": "CR0"},
    {"vcov": "CR1"},
    {"vcov": "CR2"},
    {"vcov": "CR3"},
    {"cluster": ["district", "year"]},
    {"cluster": None, "vcov": "design"},
    {"cluster": None, "vcov": "conley", "coordinates": ("lat", "lon"), "cutoff": 2},
    {"cluster": None, "vcov": "driscoll_kraay", "lags": 1},
    {"cluster": None, "vcov": "newey_west", "lags": 1, "unit": "dong"},
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.get("vcov", "two-way")))
def test_a_combination_is_the_coefficient_of_a_regression_in_other_columns(kind):
    frame = people()
    frame["high"], frame["d_high"] = 1 - frame["low"], frame["d"] * (1 - frame["low"])
    design = survey(frame)
    both = ev.fe_regression(design, **(TWO | {"regressors": ["d", "d:low"], "covariates": ["low", "x"]} | kind))
    other = ev.fe_regression(design, **(TWO | {"regressors": ["d", "d_high"], "covariates": ["low", "x"]} | kind))
    matrix = np.array([[1.0, 1.0, 0.0, 0.0]])
    total = combined(both, matrix, pd.DataFrame({"term": ["among low"]}))
    close(total.estimate[0], other.estimate[0], 1e-8)
    close(total.vcov, matrix @ both.vcov @ matrix.T, 1e-8)
    if both.fit.get("n_eigenvalues_repaired", 0) == 0:  # a repair depends on the columns
        close(total.std_error[0], other.std_error[0], 1e-7)
    close(total.df[0], other.df[0], 1e-6)
    weights = design.weights * np.where(frame["age"] == "old", 0.5, 1.0)
    again = both.refit.again(weights)
    close(total.refit.again(weights), again[:1] + again[1:2], 1e-8)
    assert total.verb == "fe_regression"
    part = both.take(np.array([1]))
    close(part.refit.estimate, both.estimate[1:2])


@pytest.mark.parametrize("effects", [["dong", "year"], ["dong", "year", "job"]])
@pytest.mark.parametrize("treatment", ["d", "dose"])
def test_another_order_of_the_roll_out_equals_a_fit_of_that_order(effects, treatment):
    frame = people(districts=12)
    design = survey(frame)
    result = ev.fe_regression(design, **(TWO | {"effects": effects, "regressors": treatment}))
    cohort = result.refit.clusters.cohort
    order = np.random.default_rng(3).permutation(12)
    redrawn = result.refit.reordered(np.stack([cohort, cohort[order]]))
    close(redrawn[0], result.estimate, 1e-8)
    path = frame.groupby(["district", "year"])[treatment].first().unstack().to_numpy()
    moved = frame.assign(**{treatment: path[order[frame["district"]], frame["year"] - 2012]})
    close(
        redrawn[1],
        ev.fe_regression(survey(moved), **(TWO | {"effects": effects, "regressors": treatment})).estimate,
        1e-8,
    )
    if treatment == "d":
        assert set(cohort) == {2014.0, 2015.0, 2016.0, np.inf}
    else:
        nobody = result.refit.clusters.cohort * 0 + result.refit.clusters.cohort[0]
        assert np.isnan(result.refit.reordered(nobody[None])[0, 0])


def test_another_order_of_counts_is_fitted_again():
    frame = people(districts=12)
    asked = TWO | {"outcome": "count", "family": "poisson"}
    result = ev.fe_regression(survey(frame), **asked, vcov="CR1")
    cohort = result.refit.clusters.cohort
    order = np.random.default_rng(3).permutation(12)
    redrawn = result.refit.reordered(np.stack([cohort, cohort[order]]))
    close(redrawn[0], result.estimate, 1e-8)
    start = cohort[order][frame["district"]]
    moved = frame.assign(d=(frame["year"] >= start).astype(int))
    close(redrawn[1], ev.fe_regression(survey(moved), **asked, vcov="CR1").estimate, 1e-8)


def test_orders_in_which_nobody_or_everybody_is_treated_have_no_estimate():
    result = ev.fe_regression(survey(people()), **TWO)
    never, at_once = np.full((1, 14), np.inf), np.full((1, 14), 2015.0)
    assert np.isnan(result.refit.reordered(np.vstack([never, at_once]))[:, 0]).all()


def test_a_treatment_of_persons_cannot_change_places():
    frame = people()
    result = ev.fe_regression(survey(frame), **(TWO | {"regressors": "low"}))
    assert result.refit.clusters.cohort is None
    assert result.refit.reordered is None


def test_scores_of_waves_by_hand():
    frame = people()
    plain = ev.fe_regression(survey(frame), **TWO, vcov="CR0")
    regression, solved = plain.regression, plain.solved
    scores = (solved.inverse @ (solved.within[1:] * (regression.weights * solved.residual)))[0]
    rows = frame.iloc[regression.rows].assign(score=scores)
    asked = {key: value for key, value in TWO.items() if key != "cluster"}
    n, t, k = len(frame), 6, 2 + frame["dong"].nunique() + 6 - 1
    factor = (n - 1) / (n - k) * t / (t - 1)
    waves = rows.groupby("year")["score"].sum().to_numpy()
    across = (waves**2).sum() + 2 * 0.5 * (waves[1:] * waves[:-1]).sum()
    made = ev.fe_regression(survey(frame), **asked, vcov="driscoll_kraay", lags=1)
    close(made.vcov[0, 0], factor * across, 1e-8)
    assert made.df[0] == t - 1
    table = rows.pivot_table(index="dong", columns="year", values="score", aggfunc="sum").fillna(0).to_numpy()
    within = (table**2).sum() + 2 * 0.5 * (table[:, 1:] * table[:, :-1]).sum()
    made = ev.fe_regression(survey(frame), **asked, vcov="newey_west", lags=1, unit="dong")
    close(made.vcov[0, 0], factor * within, 1e-8)
    assert made.variance_method == "Newey-West, 1 lags"


def test_no_distance_takes_places_as_independent():
    frame = people()
    asked = {key: value for key, value in TWO.items() if key != "cluster"}
    near = ev.fe_regression(survey(frame), **asked, vcov="conley", coordinates=("lat", "lon"), cutoff=1e-6)
    cells = ev.fe_regression(survey(frame), **(TWO | {"cluster": "dong"}), vcov="CR0")
    n, k = len(frame), 2 + frame["dong"].nunique() + 6 - 1
    close(near.std_error, cells.std_error * np.sqrt(n / (n - k)), 1e-8)
    assert near.fit["mean_neighbours"] == 0


def test_leverage_corrections_of_a_single_regressor_by_hand():
    frame = people(n=300, districts=12)
    asked = {"outcome": "y", "regressors": "x", "effects": ["district", "year"], "cluster": "district", "time": "year"}
    model = dummies(frame, ["district", "year"])
    model = np.hstack([frame[["x"]].to_numpy(float), model])
    inverse = np.linalg.pinv(model.T @ model)
    hat, y = model @ inverse @ model.T, frame["y"].to_numpy()
    residual = y - hat @ y
    for kind, power in (("CR2", -0.5), ("CR3", -1.0)):
        total = 0.0
        for district in range(12):
            here = (frame["district"] == district).to_numpy()
            values, vectors = np.linalg.eigh(np.eye(here.sum()) - hat[np.ix_(here, here)])
            root = (vectors * np.where(values > 1e-9, np.maximum(values, 1e-9) ** power, 0.0)) @ vectors.T
            total += float((inverse[0] @ model[here].T @ root @ residual[here]) ** 2)
        result = ev.fe_regression(ev.survey_design(frame), **asked, vcov=kind)
        close(result.vcov[0, 0], total, 1e-7)
        assert 2 < result.df[0] < 12


def test_a_regressor_of_one_cluster_is_shown_without_an_error_beside_others():
    frame = people()
    frame["only"] = ((frame["district"] == 3) & (frame["year"] > 2014)).astype(int)
    with pytest.warns(FewClustersWarning, match="'only' \\(1 treated"):
        result = ev.fe_regression(survey(frame), **(TWO | {"regressors": ["d", "only"]}))
    tidy = result.tidy().set_index("term")
    assert np.isfinite(tidy.loc["only", "estimate"])
    assert np.isnan(tidy.loc["only", "std_error"])
    assert np.isfinite(tidy.loc["d", "std_error"])
    assert result.fit["without_error"] == [{"term": "only"}]
    assert "only: no jackknife error, it does not exist without district 3" in result.summary()
    without = result.refit.left_out()
    assert np.isnan(without[3, 1])
    assert np.isfinite(without[:, 0]).all()


def test_rows_as_independent_are_marked_where_a_cluster_shares_the_treatment():
    frame = people()
    frame["unit"] = np.arange(len(frame))
    for effects in (["dong", "year"], ["year"]):
        with pytest.warns(SharedTreatmentWarning, match="iid takes rows as independent"):
            result = ev.fe_regression(survey(frame), **(TWO | {"effects": effects}), vcov="iid")
        assert result.fit["refused_in_claims"] is True
    persons = ev.fe_regression(survey(frame), **(TWO | {"regressors": "low"}), vcov="iid")
    assert "refused_in_claims" not in persons.fit


def places(**changes):
    """One row per place and year; half of the places treated from 2015 on."""
    frame = pd.DataFrame([(place, year) for place in range(12) for year in range(2012, 2018)], columns=["gu", "year"])
    frame["d"] = ((frame["gu"] < 6) & (frame["year"] >= 2015)).astype(float)
    frame["y"] = np.random.default_rng(3).normal(size=len(frame))
    return frame.assign(**changes)


@pytest.mark.parametrize("vcov", ["iid", "HC1"])
def test_rows_of_a_place_over_time_are_not_independent_where_its_treatment_stays_on(vcov):
    two = {"outcome": "y", "regressors": "d", "vcov": vcov}
    for frame in (places(), places(d=lambda of: of["d"] * (of["year"] - 2014))):
        for asked in ({"effects": ["gu", "year"]}, {"effects": ["year"], "unit": "gu", "time": "year"}):
            with pytest.warns(SharedTreatmentWarning, match="the treatment stays on in a gu") as told:
                result = ev.fe_regression(ev.survey_design(frame), **two, **asked)
            assert "cluster='gu'" in str(told[0].message)
            assert result.fit["refused_in_claims"] is True
    switched = places(d=lambda of: of["gu"] % 3 * (of["year"] + of["gu"]) % 2)
    free = ev.fe_regression(ev.survey_design(switched), effects=["gu", "year"], **two)
    assert "refused_in_claims" not in free.fit


def test_a_regression_with_the_sampling_error_alone_says_so():
    frame = people()
    for design, alone in (
        (survey(frame), True),
        (survey(frame, psu="dong"), True),
        (survey(frame, psu="district"), False),
        (ev.survey_design(places()), True),
        (ev.survey_design(places(), psu="gu"), False),
    ):
        asked = TWO if "dong" in design.data else {"outcome": "y", "regressors": "d", "effects": ["gu", "year"]}
        result = ev.fe_regression(design, **(asked | {"vcov": "design", "covariates": []}))
        assert result.fit.get("sampling_error_alone", False) is alone
        assert ("shocks of whole places are not in it" in result.summary()) is alone
        assert ("지역 전체가 함께 겪는 충격은 빠져" in ev.table(result, lang="ko").caption) is alone


def test_rows_of_weight_zero_are_left_out():
    frame = people()
    frame.loc[(frame["dong"] == 20) & (frame["year"] == 2013), "w"] = 0.0
    result = ev.fe_regression(survey(frame), **TWO, vcov="CR1")
    part = ev.fe_regression(survey(frame[frame["w"] > 0]), **TWO, vcov="CR1")
    close(result.estimate, part.estimate)
    close(result.vcov, part.vcov)
    assert result.fit["n_used"] == int((frame["w"] > 0).sum())


def test_without_degrees_of_freedom_there_is_no_p_value():
    design = survey(people(), psu="district")
    result = ev.fe_regression(design, **MODEL, effects=["dong", "year"])
    assert result.df[0] < 0
    assert np.isnan(result.tidy()["p_value"]).all()
    small = pd.DataFrame({"gu": [1, 1, 2, 2], "year": [0, 1] * 2, "y": [1.0, 4, 2, 3], "x": [0.0, 1, 1, 3]})
    told = pytest.warns(SharedTreatmentWarning, match="stays on in a gu")
    with told, pytest.raises(EstimationError, match="4 rows leave no degrees of freedom"):
        ev.fe_regression(ev.survey_design(small), outcome="y", regressors="x", effects=["gu", "year"], vcov="iid")


@pytest.mark.parametrize(
    ("error", "change", "said"),
    [
        (EstimationError, {"vcov": "CR1", "cluster": "pair"}, "has 2 values \\(0, 1\\), and errors of clusters need"),
        (EstimationError, {"cluster": ["district", "pair"]}, "'pair' has 2 values"),
        (EstimationError, {"cluster": ["district", "year"], "vcov": "CR2"}, "go with 'CR1' or 'CR0'"),
        (EstimationError, {"cluster": ["district", "district"]}, "Two different columns"),
        (EstimationError, {"cluster": None, "vcov": "CR3"}, "needs a cluster"),
        (EstimationError, {"vcov": "cr4"}, "Did you mean"),
        (EstimationError, {"vcov": "conley", "cluster": None}, "needs coordinates=\\(latitude, longitude\\)"),
        (EstimationError, {"cutoff": 3}, "go with vcov='conley'"),
        (EstimationError, {"lags": 3}, "lags goes with"),
        (EstimationError, {"vcov": "driscoll_kraay", "cluster": None}, "needs lags"),
        (EstimationError, {"vcov": "newey_west", "cluster": None, "lags": 1}, "needs unit="),
        (EstimationError, {"vcov": "driscoll_kraay", "cluster": None, "lags": 1, "time": None}, "needs time="),
        (EstimationError, {"df": "satterthwaite"}, "does not go with vcov='jackknife'"),
        (EstimationError, {"df": "t"}, "no df 't'"),
        (EstimationError, {"small_sample": "none"}, "small_sample must be"),
        (EstimationError, {"family": "logit"}, "no family 'logit'"),
        (EstimationError, {"family": "poisson", "outcome": "count", "vcov": "CR2"}, "rests on the linear model"),
        (EstimationError, {"trends": "dong", "time": None}, "needs time="),
        (ColumnError, {"trends": "dong", "time": "wave", "effects": ["dong", "wave"]}, "needs a numeric time"),
        (ColumnError, {"effects": ["dong", "dong"]}, "named twice"),
        (ColumnError, {"effects": ["dongg"]}, "Did you mean 'dong'"),
        (ColumnError, {"vcov": "conley", "cluster": None, "coordinates": ("age", "lon"), "cutoff": 1}, "is text"),
        (ColumnError, {"family": "poisson"}, "a count, zero or above"),
    ],
)
def test_wrong_arguments_are_answered_with_the_next_move(error, change, said):
    frame = people()
    frame["pair"], frame["wave"] = frame["district"] % 2, frame["year"].astype(str)
    frame["y"] -= 20
    with pytest.raises(error, match=said):
        ev.fe_regression(survey(frame), **(TWO | change))


def test_a_result_is_shown_and_published_in_both_languages(tmp_path, monkeypatch):
    result = ev.fe_regression(survey(people()), **TWO, vcov="CR2")
    assert "고정효과 회귀" in repr(ev.table(result, lang="ko"))
    assert "fixed-effects regression" in repr(ev.table(result, lang="en")).lower()
    monkeypatch.setenv("EVALUATION_RUN", str(tmp_path))
    assert "estimates/effect.json" in ev.publish("effect", result).files
    assert replace(result, conf_level=0.9).summary() != result.summary()


def test_lags_beyond_the_waves_are_refused():
    asked = {key: value for key, value in TWO.items() if key != "cluster"}
    for kind, more in (("driscoll_kraay", {}), ("newey_west", {"unit": "dong"})):
        assert ev.fe_regression(survey(people()), **asked, vcov=kind, lags=5, **more).std_error[0] > 0
        with pytest.raises(EstimationError, match="'year' has 6 waves: lags from 0 to 5"):
            ev.fe_regression(survey(people()), **asked, vcov=kind, lags=6, **more)


def test_a_distance_within_which_everybody_lies_is_refused():
    asked = {key: value for key, value in TWO.items() if key != "cluster"}
    with pytest.raises(EstimationError, match=r"every place lies within it of every other .* Take a smaller cutoff"):
        ev.fe_regression(survey(people()), **asked, vcov="conley", coordinates=("lat", "lon"), cutoff=20_000)
