"""Two-way fixed effects: by hand, against plain dummies, and what is refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import (
    ColumnError,
    DesignError,
    EstimationError,
    FewClustersWarning,
    IdentificationError,
    SharedTreatmentWarning,
)

TIGHT = 1e-9
MODEL = {"outcome": "y", "treatment": "d", "covariates": ["x"], "unit": "dong", "time": "year"}


def people(seed=1, n=1_500, districts=14):
    """Persons in dongs of districts; treatment starts district by district, some never."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({"district": random.integers(0, districts, n), "year": random.integers(2012, 2018, n)})
    frame["dong"] = frame["district"] * 10 + random.integers(0, 4, n)
    start = np.where(np.arange(districts) % 2, 2014 + np.arange(districts) % 3, 9999)[frame["district"]]
    frame["d"] = (frame["year"] >= start).astype(int)
    frame["x"], frame["w"] = random.normal(50, 5, n), random.uniform(0.5, 3.0, n)
    frame["group"] = random.choice(["a", "b", "c"], n)
    shock = random.normal(0, 0.5, (districts, 6))[frame["district"], frame["year"] - 2012]
    frame["y"] = 2 * frame["d"] + 0.3 * frame["x"] + frame["dong"] % 7 + frame["year"] % 5 + shock
    frame["y"] += random.normal(0, 1, n)
    return frame


def with_dummies(frame, columns, *, trends=False, weights="w"):
    """Coefficients of ``columns`` from least squares on all dummies."""
    parts = [frame[columns].to_numpy(float)]
    unit = pd.get_dummies(frame["dong"], dtype=float).to_numpy()
    parts += [unit, pd.get_dummies(frame["year"], dtype=float).to_numpy()]
    if trends:
        parts.append(unit * (frame["year"].to_numpy()[:, None] - 2015))
    matrix, weight = np.hstack(parts), frame[weights].to_numpy()[:, None]
    matrix[:, : len(columns)] -= matrix[:, : len(columns)].mean(axis=0)
    inverse = np.linalg.pinv(matrix.T @ (weight * matrix), rcond=1e-10, hermitian=True)
    return (inverse @ (matrix.T @ (weight[:, 0] * frame["y"].to_numpy())))[: len(columns)]


def left_out(frame, cluster, columns, **kinds):
    return np.stack([with_dummies(frame[frame[cluster] != g], columns, **kinds) for g in np.unique(frame[cluster])])


def close(ours, expected, tolerance=TIGHT):
    np.testing.assert_allclose(ours, expected, rtol=tolerance, atol=1e-12)


def test_a_difference_in_differences_by_hand():
    panel = pd.DataFrame({"gu": [1, 1, 2, 2, 3, 3], "year": [0, 1] * 3, "y": [1, 4, 2, 3, 1, 3.0]})
    panel["d"] = [0, 1, 0, 0, 0, 0]
    result = ev.twfe(ev.survey_design(panel), outcome="y", treatment="d", unit="gu", time="year")
    close(result.estimate, [3 - (1 + 2) / 2])
    assert result.fit["rule"] == "design"


@pytest.mark.parametrize("trends", [False, True])
def test_the_coefficients_are_those_of_a_regression_with_dummies(trends):
    frame = people()
    result = ev.twfe(ev.survey_design(frame, weights="w"), **MODEL, cluster="district", trends=trends)
    close(result.estimate, with_dummies(frame, ["d", "x"], trends=trends), 1e-8)


@pytest.mark.parametrize(
    ("cluster", "trends"),
    [("district", False), ("district", True), ("group", False), ("group", True), ("dong", False)],
)
def test_leaving_out_a_cluster_equals_refitting_without_its_rows(cluster, trends):
    frame = people(districts=12)
    design = ev.survey_design(frame, weights="w")
    if cluster == "group":
        with pytest.warns(FewClustersWarning):
            result = ev.twfe(design, **MODEL, cluster=cluster, trends=trends)
    else:
        result = ev.twfe(design, **MODEL, cluster=cluster, trends=trends)
    refitted = left_out(frame, cluster, ["d", "x"], trends=trends)
    without = ev.leave_one_out(result).tidy()
    for place, term in enumerate(["d", "x"]):
        close(without.loc[without["term"] == term, "estimate"], refitted[:, place], 1e-7)
    g = frame[cluster].nunique()
    expected = (g - 1) / g * ((refitted - result.estimate) ** 2).sum(axis=0)
    close(np.diag(result.vcov), expected, 1e-5)
    assert result.df.tolist() == [g - 1, g - 1]
    assert result.variance_method == f"CV3 jackknife, {g} clusters ({cluster})"


def test_clusters_that_cut_across_units_and_times_are_left_out_too():
    frame = people(districts=6)
    frame["wave"] = frame["year"]
    with pytest.warns(FewClustersWarning):
        result = ev.twfe(
            ev.survey_design(frame, weights="w"), **MODEL | {"treatment": "x", "covariates": []}, cluster="wave"
        )
    close(ev.leave_one_out(result).tidy()["estimate"], left_out(frame, "wave", ["x"])[:, 0], 1e-7)


def test_partial_leverages_add_up_and_give_the_effective_number_of_clusters():
    result = ev.twfe(ev.survey_design(people(), weights="w"), **MODEL, cluster="district")
    without = ev.leave_one_out(result).tidy().query("term == 'd'")
    close(without["partial_leverage"].sum(), 1.0)
    close(result.tidy()["effective_clusters"][0], 1 / (without["partial_leverage"] ** 2).sum())
    assert result.fit["largest_leverage"] == without["partial_leverage"].max()
    assert result.fit["n_clusters"] == 14


def test_scale_of_weights_and_order_of_rows_change_nothing():
    frame = people()
    again = frame.assign(w=frame["w"] * 1000).sample(frac=1, random_state=3)
    for vcov in ("jackknife", "CR1"):
        first, second = (
            ev.twfe(ev.survey_design(each, weights="w"), **MODEL, cluster="district", vcov=vcov)
            for each in (frame, again)
        )
        close(first.estimate, second.estimate)
        close(first.vcov, second.vcov, 1e-7)


def test_influence_is_the_derivative_in_the_weights():
    frame = people()
    result = ev.twfe(ev.survey_design(frame, weights="w"), **MODEL)
    step = 1e-5
    moved = frame.copy()
    moved.loc[7, "w"] *= 1 + step
    changed = ev.twfe(ev.survey_design(moved, weights="w"), **MODEL).estimate - result.estimate
    np.testing.assert_allclose(changed / step, result.influence[7], rtol=1e-3, atol=1e-8)


def test_design_errors_by_linearization_and_by_replicates_are_close():
    design = ev.survey_design(people(), weights="w", psu="dong")
    linear = ev.twfe(design, **MODEL)
    replicated = ev.twfe(ev.as_replicates(design, kind="JK1"), **MODEL)
    close(linear.estimate, replicated.estimate)
    np.testing.assert_allclose(replicated.std_error, linear.std_error, rtol=0.1)
    assert replicated.variance_method == "replicates (JK1)"


@pytest.mark.parametrize("vcov", ["jackknife", "CR1"])
def test_numbers_of_two_outcomes_can_be_contrasted(vcov):
    frame = people()
    frame["z"] = 2 * frame["y"] - 1
    design = ev.survey_design(frame, weights="w")
    first, second = (ev.twfe(design, **MODEL | {"outcome": name}, cluster="district", vcov=vcov) for name in ("y", "z"))
    named = [replace(each, keys=each.keys + f" on {name}") for each, name in ((first, "y"), (second, "z"))]
    gap = ev.contrast(named, {"z - y": {"d on z": 1, "d on y": -1}})
    close(gap.estimate, first.estimate[:1], 1e-8)
    close(gap.std_error, first.std_error[:1], 1e-8)
    frame.loc[:20, "z"] = np.nan
    part = ev.twfe(ev.survey_design(frame, weights="w"), **MODEL | {"outcome": "z"}, cluster="district", vcov=vcov)
    assert ev.contrast(part, {"twice": {"d": 2}}).std_error[0] == pytest.approx(2 * part.std_error[0])


def test_outcomes_with_other_missing_answers_can_still_be_contrasted():
    frame = people()
    frame["z"] = frame["y"].where(frame.index > 20)
    design = ev.survey_design(frame, weights="w")
    first, second = (ev.twfe(design, **MODEL | {"outcome": name}, cluster="district") for name in ("y", "z"))
    named = [replace(each, keys=each.keys + f" on {name}") for each, name in ((first, "y"), (second, "z"))]
    gap = ev.contrast(named, {"z - y": {"d on z": 1, "d on y": -1}})
    assert 0 < gap.std_error[0] < first.std_error[0] / 2


def test_covariates_by_name_and_by_formula_are_the_same():
    design = ev.survey_design(people(), weights="w")
    model = {**MODEL, "cluster": "district"}
    named = ev.twfe(design, **model | {"covariates": ["x", "group"]})
    formula = ev.twfe(design, **model | {"covariates": "~ x + group"})
    close(named.estimate[0], formula.estimate[0], 1e-8)
    assert named.keys["term"].tolist() == ["d", "x", "group[T.b]", "group[T.c]"]
    product = ev.twfe(design, **model | {"treatment": ["d", "d:x"]})
    assert product.keys["term"].tolist() == ["d", "d:x", "x"]


def test_rows_with_a_missing_value_and_outside_the_domain_are_left_out():
    frame = people()
    frame["half"] = np.where(frame["year"] == 2012, "no", "yes")
    frame.loc[:9, "x"] = np.nan
    frame.loc[10:14, "district"] = np.nan
    part = ev.domain(ev.survey_design(frame, weights="w"), {"half": "yes"})
    result = ev.twfe(part, **MODEL, cluster="district")
    kept = frame[(frame["half"] == "yes") & frame["x"].notna() & frame["district"].notna()]
    close(result.estimate, with_dummies(kept, ["d", "x"]), 1e-8)
    assert result.n_obs.tolist() == [len(kept), len(kept)]
    assert result.fit["n_left_out"] == int((frame["half"] == "yes").sum()) - len(kept)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"treatment": "place"}, "'place' is not identified, because effects of dong and year take up all"),
        ({"treatment": "calendar"}, "'calendar' is not identified"),
        ({"treatment": ["d", "twice"]}, "'twice' is not identified, because effects of dong and year and the columns"),
        ({"treatment": "slope", "trends": True}, "and a trend of each unit take up"),
    ],
)
def test_a_treatment_that_the_effects_take_up_is_named(change, said):
    frame = people()
    frame["place"], frame["calendar"] = frame["dong"] % 2, (frame["year"] > 2014).astype(int)
    frame["twice"], frame["slope"] = 2 * frame["d"] + 1, (frame["year"] - 2010) * (frame["dong"] % 3)
    with pytest.raises(IdentificationError, match=said):
        ev.twfe(ev.survey_design(frame, weights="w"), **MODEL | {"covariates": []} | change)


def test_a_treatment_of_one_cluster_has_no_jackknife():
    frame = people()
    frame["d"] = ((frame["district"] == 3) & (frame["year"] > 2014)).astype(int)
    design = ev.survey_design(frame, weights="w")
    with pytest.raises(IdentificationError, match="without district 3 the coefficient of 'd'") as caught:
        ev.twfe(design, **MODEL, cluster="district")
    assert caught.value.failures["district"].tolist() == [3]
    with pytest.warns(FewClustersWarning, match="1 treated, 13 to compare with"):
        ev.twfe(design, **MODEL, cluster="district", vcov="CR1")


def test_errors_that_take_sharers_of_a_treatment_as_independent_are_marked():
    design = ev.survey_design(people(), weights="w")
    with pytest.warns(SharedTreatmentWarning, match="all respondents of one dong and year share the treatment"):
        result = ev.twfe(design, **MODEL, vcov="iid")
    assert result.fit["refused_in_claims"] is True
    assert "far too small" in result.summary()
    with pytest.warns(SharedTreatmentWarning):
        assert ev.twfe(design, **MODEL, vcov="HC1").variance_method == "HC1"


def test_few_treated_clusters_are_told():
    frame = people(districts=9)
    with pytest.warns(FewClustersWarning, match="of 9 clusters \\(district\\) too few carry 'd' \\(4 treated"):
        ev.twfe(ev.survey_design(frame, weights="w"), **MODEL, cluster="district", vcov="CR1")


@pytest.mark.parametrize(
    ("error", "change", "said"),
    [
        (ColumnError, {"treatment": "dd"}, "Did you mean 'd'"),
        (ColumnError, {"treatment": "group"}, "'group' is str|object, expected numbers"),
        (ColumnError, {"treatment": []}, "no treatment was named"),
        (ColumnError, {"covariates": ["x", "d"]}, "named twice"),
        (ColumnError, {"time": "group", "trends": True}, "needs a numeric time"),
        (EstimationError, {"vcov": "CR1"}, "needs a cluster"),
        (EstimationError, {"vcov": "CR9", "cluster": "district"}, "no vcov 'CR9'"),
        (EstimationError, {"cluster": "one"}, "has 1 value"),
    ],
)
def test_wrong_arguments_are_answered_with_the_next_move(error, change, said):
    design = ev.survey_design(people().assign(one=1), weights="w")
    with pytest.raises(error, match=said):
        ev.twfe(design, **MODEL | change)


def test_only_a_design_is_taken():
    with pytest.raises(DesignError):
        ev.twfe(people(), **MODEL)
    with pytest.raises(EstimationError, match="leave vcov at 'jackknife'"):
        ev.leave_one_out(ev.twfe(ev.survey_design(people()), **MODEL))


def test_late_waves_of_growing_effects_get_negative_weight():
    panel = pd.DataFrame({"gu": np.repeat(range(6), 8), "year": list(range(8)) * 6})
    panel["d"] = (panel["year"] >= np.repeat([2, 2, 2, 5, 5, 5], 8)).astype(int)
    panel["y"] = 1.0 * panel["d"] * (panel["year"] - 1) + panel["gu"]
    design = ev.survey_design(panel)
    weights = ev.twfe_weights(design, outcome="y", treatment="d", unit="gu", time="year")
    assert weights.n_negative == 9
    assert weights.sum_negative < -0.2
    close(weights.frame["weight"].sum(), 1.0)
    coefficient = ev.twfe(design, outcome="y", treatment="d", unit="gu", time="year").estimate[0]
    effects = weights.frame["year"] - 1
    close(coefficient, (weights.frame["weight"] * effects).sum(), 1e-8)
    assert f"{weights.n_negative} of 27 treated cells have negative weight" in weights.statement("en")
    assert "음수" in weights.statement("ko")


def test_a_result_can_be_shown_in_both_languages_and_published(tmp_path, monkeypatch):
    result = ev.twfe(ev.survey_design(people(), weights="w"), **MODEL, cluster="district")
    assert "이원고정효과 계수" in repr(ev.table(result, lang="ko"))
    assert "effective clusters" in repr(ev.table(result, lang="en"))
    monkeypatch.setenv("EVALUATION_RUN", str(tmp_path))
    assert "estimates/effect.json" in ev.publish("effect", result).files
    assert "tables/without.csv" in ev.publish("without", ev.leave_one_out(result)).files
