"""Few clusters: bootstraps and orders of the roll-out against dense refits, invariance, refusals, words and figures."""

import itertools
import json
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import (
    EstimationError,
    FewClustersError,
    FewClustersWarning,
    IdentificationError,
    PublishError,
)
from evaluation.impact.clusters.draws import Draws, invert, p_values
from evaluation.impact.clusters.orders import number_of_orders, orders

SIGNS = np.array(list(itertools.product([-1.0, 1.0], repeat=6)))
EXACT = 1e-9


def persons(n_clusters=6, n_times=4, seed=3, treated=3):
    """A few persons in each district and year; the first districts are treated from the third year on."""
    rng = np.random.default_rng(seed)
    cells = pd.DataFrame(
        list(itertools.product(range(n_clusters), range(2014, 2014 + n_times))), columns=["gu", "year"]
    )
    frame = cells.loc[cells.index.repeat(rng.integers(2, 5, len(cells)))].reset_index(drop=True)
    shock = rng.normal(size=(n_clusters, n_times))
    frame["dong"] = frame["gu"] * 2 + rng.integers(0, 2, len(frame))
    frame["x"] = rng.normal(size=len(frame))
    frame["w"] = rng.uniform(0.5, 2.0, len(frame))
    frame["d"] = ((frame["gu"] < treated) & (frame["year"] >= 2016)).astype(float)
    frame["first"] = np.where(frame["gu"] < treated, 2016, 0)
    frame["y"] = 0.4 * frame["d"] + frame["x"] + shock[frame["gu"], frame["year"] - 2014] + rng.normal(size=len(frame))
    return frame


def fitted(frame, **more):
    options = {"unit": "gu", "covariates": "x", "cluster": "gu", "treatment": "d", "weights": None} | more
    design = ev.survey_design(frame, weights=options.pop("weights"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewClustersWarning)
        return ev.twfe(design, outcome="y", time="year", **options)


def dense(frame, effects=("gu", "year"), weights=None, trends=False):
    """Columns with dummies, times the root of the weights, and each row's cluster."""
    columns = [frame[["d", "x"]].to_numpy(float)]
    columns += [pd.get_dummies(frame[name]).to_numpy(float) for name in effects]
    if trends:
        columns.append(pd.get_dummies(frame["gu"]).to_numpy(float) * (frame[["year"]].to_numpy(float) - 2015))
    root = np.ones(len(frame)) if weights is None else np.sqrt(frame[weights].to_numpy())
    return np.hstack(columns) * root[:, None], frame["y"].to_numpy() * root


def t_of(x, y, cluster, errors, null=0.0):
    """The coefficient of the first column less a value, over its error from cluster sums or leaving clusters out."""
    inverse = np.linalg.pinv(x.T @ x)
    b = inverse @ x.T @ y
    groups = [cluster == g for g in np.unique(cluster)]
    if errors == "1":
        scores = [(inverse @ x[own].T @ (y - x @ b)[own])[0] for own in groups]
        return (b[0] - null) / np.linalg.norm(scores)
    left = [(np.linalg.pinv(x[~own].T @ x[~own]) @ x[~own].T @ y[~own])[0] for own in groups]
    g = len(groups)
    return (b[0] - null) / (np.sqrt((g - 1) / g) * np.linalg.norm(np.array(left) - b[0]))


def brute(x, y, cluster, kind, impose_null, null):
    """t and its draws from refits of every combination of signs."""
    kept = x[:, 1:] if impose_null else x
    target = y - null * x[:, 0] if impose_null else y
    full = np.linalg.pinv(kept.T @ kept) @ kept.T @ target
    fit = kept @ full + (null * x[:, 0] if impose_null else 0.0)
    residual = y - fit
    if kind[0] == "3":
        for g in np.unique(cluster):
            own = cluster == g
            without = np.linalg.pinv(kept[~own].T @ kept[~own]) @ kept[~own].T @ target[~own]
            residual[own] = target[own] - kept[own] @ without
    centre = null if impose_null else (np.linalg.pinv(x.T @ x) @ x.T @ y)[0]
    code = np.unique(cluster, return_inverse=True)[1]
    drawn = [t_of(x, fit + v[code] * residual, cluster, kind[1], centre) for v in SIGNS]
    return t_of(x, y, cluster, kind[1], null), np.array(drawn)


@pytest.mark.parametrize("impose_null", [True, False])
@pytest.mark.parametrize("kind", ["11", "13", "31", "33"])
def test_each_bootstrap_is_that_of_dense_refits(kind, impose_null):
    frame = persons()
    x, y = dense(frame)
    t, drawn = brute(x, y, frame["gu"].to_numpy(), kind, impose_null, 0.2)
    found = ev.wild_cluster_bootstrap(fitted(frame), bootstrap=kind, impose_null=impose_null, null=0.2, draws="all")
    np.testing.assert_allclose(np.sort(found.distribution), np.sort(drawn), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found.statistic * np.sqrt(found.facts["factor"]), t, rtol=EXACT)
    assert found.p_strict == p_values(t, drawn).strict


@pytest.mark.parametrize(
    ("options", "effects", "cluster"),
    [
        ({"weights": "w"}, ("gu", "year"), "gu"),
        ({"unit": "dong"}, ("dong", "year"), "gu"),
        ({"cluster": "block"}, ("gu", "year"), "block"),
        ({"trends": True}, ("gu", "year"), "gu"),
    ],
)
def test_weights_nested_and_crossing_effects_and_trends_are_those_of_dense_refits(options, effects, cluster):
    frame = persons(seed=5)
    frame["block"] = np.arange(len(frame)) % 6
    x, y = dense(frame, effects, options.get("weights"), options.get("trends", False))
    t, drawn = brute(x, y, frame[cluster].to_numpy(), "11", True, 0.0)
    found = ev.wild_cluster_bootstrap(fitted(frame, **options), draws="all")
    np.testing.assert_allclose(np.sort(found.distribution), np.sort(drawn), rtol=1e-6, atol=1e-8)
    assert (found.p_strict, found.p_weak) == (p_values(t, drawn).strict, p_values(t, drawn).weak)


def test_any_coefficient_can_be_tested_by_its_term():
    frame = persons(seed=8)
    x, y = dense(frame)
    t, drawn = brute(x[:, [1, 0, *range(2, x.shape[1])]], y, frame["gu"].to_numpy(), "11", True, 0.9)
    found = ev.wild_cluster_bootstrap(fitted(frame), term="x", null=0.9, draws="all")
    assert found.p_strict == p_values(t, drawn).strict
    assert found.key == {"term": "x"}


def test_the_interval_holds_what_the_bootstrap_does_not_reject():
    result = fitted(persons(seed=11, n_clusters=9))
    found = ev.wild_cluster_bootstrap(result)
    for end, inward in ((found.conf_low, 1e-6), (found.conf_high, -1e-6)):
        inside = ev.wild_cluster_bootstrap(result, null=end + inward)
        outside = ev.wild_cluster_bootstrap(result, null=end - inward)
        assert inside.p_strict > 0.05 >= outside.p_strict


def test_too_few_combinations_to_reject_leave_an_interval_without_end():
    found = ev.wild_cluster_bootstrap(fitted(persons(n_clusters=4, treated=2)), draws="all")
    assert (found.conf_low, found.conf_high) == (-np.inf, np.inf)


def test_order_of_rows_scale_and_names_of_clusters_change_nothing():
    frame = persons(seed=13, n_clusters=8)
    plain = ev.few_cluster_table(fitted(frame)).tidy()["p_value"]
    mixed = frame.sample(frac=1.0, random_state=1).reset_index(drop=True)
    mixed = mixed.assign(y=1000 * mixed["y"] + 70, gu=mixed["gu"].map(lambda code: f"district {(code * 3) % 8}"))
    again = ev.few_cluster_table(fitted(mixed)).tidy()
    np.testing.assert_allclose(again["p_value"].to_numpy(float), plain.to_numpy(float), rtol=1e-6)


def test_seeded_draws_come_near_the_enumerated_and_repeat():
    result = fitted(persons(n_clusters=12, treated=6, seed=4))
    exact = ev.wild_cluster_bootstrap(result, draws="all").p_value
    drawn = ev.wild_cluster_bootstrap(result, draws=3999, seed=7)
    assert not drawn.is_enumerated
    assert drawn.p_value == ev.wild_cluster_bootstrap(result, draws=3999, seed=7).p_value
    assert abs(drawn.p_value - exact) < 4 * np.sqrt(exact * (1 - exact) / 3999)
    assert "3,999 random draws (seed 7)" in drawn.convention("en")


def test_six_valued_weights_are_enumerated_when_asked():
    assert ev.wild_cluster_bootstrap(fitted(persons(n_clusters=5)), weights="webb", draws="all").n_draws == 6**5


@pytest.mark.parametrize("statistic", ["coefficient", "t"])
@pytest.mark.parametrize("weights", [None, "w"])
def test_orders_of_a_regression_are_those_of_refits(statistic, weights):
    frame = persons(seed=6)
    x, y = dense(frame, weights=weights)
    root = np.ones(len(frame)) if weights is None else np.sqrt(frame[weights].to_numpy())
    drawn = []
    for chosen in itertools.combinations(range(6), 3):
        moved = x.copy()
        moved[:, 0] = root * (frame["gu"].isin(chosen) & (frame["year"] >= 2016))
        b = (np.linalg.pinv(moved.T @ moved) @ moved.T @ y)[0]
        drawn.append(b if statistic == "coefficient" else t_of(moved, y, frame["gu"].to_numpy(), "1"))
    found = ev.randomization_inference(fitted(frame, weights=weights), statistic=statistic, draws="all")
    factor = (
        found.facts["statistic"] == "t" and ev.wild_cluster_bootstrap(fitted(frame, weights=weights)).facts["factor"]
    )
    scale = np.sqrt(factor) if statistic == "t" else 1.0
    np.testing.assert_allclose(np.sort(found.distribution * scale), np.sort(drawn), rtol=1e-7, atol=1e-9)
    assert found.p_value == p_values(drawn[0], np.array(drawn)).weak


def test_a_constant_effect_taken_off_the_outcome_gives_the_ends_of_the_interval():
    frame = persons(n_clusters=8, treated=4, seed=9)
    found = ev.randomization_inference(fitted(frame), draws="all")
    assert found.n_draws == 70
    for end, inward in ((found.conf_low, 1e-6), (found.conf_high, -1e-6)):
        inside, outside = (
            ev.randomization_inference(fitted(frame.assign(y=frame["y"] - value * frame["d"])), draws="all").p_value
            for value in (end + inward, end - inward)
        )
        assert inside > 0.05 >= outside


def test_orders_of_group_time_effects_are_those_of_the_estimator_asked_again():
    frame = persons(n_clusters=5, treated=2, seed=2)
    effects = ev.aggregate(_att(frame))
    found = ev.randomization_inference(effects, draws="all")
    drawn = []
    for chosen in itertools.combinations(range(5), 2):
        moved = frame.assign(first=np.where(frame["gu"].isin(chosen), 2016, 0))
        drawn.append(ev.aggregate(_att(moved)).estimate[0])
    np.testing.assert_allclose(np.sort(found.distribution), np.sort(drawn), rtol=1e-8)
    assert found.n_draws == 10
    assert np.isnan(found.conf_low)
    assert "under exchangeable roll-out order" in found.convention("en")
    assert "No interval" in found.convention("en")


def _att(frame):
    panel = ev.panel(ev.survey_design(frame), time="year")
    return ev.att_gt(panel, outcome="y", cohort="first", cluster="gu")


def test_orders_are_counted_with_multinomials_and_start_with_the_actual_one():
    cohorts = np.array([2.0, 2.0, 3.0, np.inf, np.inf])
    made, is_all = orders(cohorts, "all", None, "verb")
    assert (len(made), is_all) == (number_of_orders(cohorts), True) == (30, True)
    assert made[0].tolist() == cohorts.tolist()
    assert len({tuple(row) for row in made}) == 30
    drawn, is_all = orders(np.r_[np.zeros(13), np.ones(12)], 999, 4, "verb")
    assert (drawn.shape, is_all) == ((1000, 25), False)
    assert (np.sort(drawn, axis=1) == np.sort(drawn[0])).all()


def test_other_estimators_get_a_score_bootstrap_that_is_not_called_wild():
    effects = ev.aggregate(_att(persons(n_clusters=10, treated=5)))
    found = ev.wild_cluster_bootstrap(effects)
    assert found.method == "score_jackknife"
    assert "no wild cluster bootstrap" in found.convention("en")
    assert "와일드 군집 부트스트랩이 아님" in found.convention("ko")
    assert 0 < found.p_value < 1


def test_ties_are_told_apart_by_distance_and_not_by_rounding():
    drawn = np.array([1.0, -1.0 - 1e-14, 1.0 + 1e-14, 2.0, 0.5, np.nan])
    found = p_values(1.0, drawn)
    assert (found.strict, found.weak, found.n_ties, found.n_missing) == (0.2, 0.8, 3, 1)
    assert (found.lower, found.upper, found.equal_tailed) == (0.8, 0.6, 0.4)


def test_draws_without_an_error_have_no_statistic():
    drawn = Draws(np.array([1.0, 1.0]), np.zeros(2), np.array([[4.0, 0.0], [0.0, 0.0], [0.0, 0.0]]))
    np.testing.assert_array_equal(drawn.at(0.0), [0.5, np.nan])
    assert np.isnan(invert(lambda value: False, 0.0, 0.1)).all()


def test_the_table_holds_what_each_verb_says_alone():
    result = fitted(persons(n_clusters=9, treated=4, seed=21))
    table = ev.few_cluster_table(result)
    p = table.tidy().set_index("method")["p_value"]
    assert p["cv3"] == pytest.approx(result.tidy()["p_value"][0], rel=EXACT)
    assert p["wcr_33"] == ev.wild_cluster_bootstrap(result, bootstrap="33").p_value
    assert p["wcu_11"] == ev.wild_cluster_bootstrap(result, impose_null=False).p_value
    assert p["ri_t"] == ev.randomization_inference(result, statistic="t").p_value
    for kind, name in (("CR1", "cr1_t"), ("CR2", "cr2"), ("CR3", "cr3"), ("design", "design_alone")):
        other = fitted(persons(n_clusters=9, treated=4, seed=21), vcov=kind)
        assert p[name] == pytest.approx(other.tidy()["p_value"][0], rel=EXACT), kind
    assert p["cr1_normal"] < p["cr1_t"]
    assert (table.sides.clusters, table.sides.treated, table.sides.control) == (9, 4, 5)
    assert table.sides.effective == pytest.approx(result.columns["effective_clusters"][0])
    assert not table.tidy()["reason"].any()


def test_the_table_says_why_a_p_value_cannot_be_had():
    table = ev.few_cluster_table(ev.aggregate(_att(persons(n_clusters=7, treated=1))))
    reasons = table.tidy().set_index("method")["reason"]
    assert reasons["cv3"] == "no_estimate_without"
    assert reasons["cr2"] == reasons["cr3"] == "needs_regression"
    assert reasons["ri_coefficient"] == ""
    assert reasons["ri_t"] == "no_t_by_order"
    assert "the estimate does not exist without some cluster" in table.convention("cv3", "en")
    shown = ev.table(table, lang="ko")
    assert "무작위화, 추정값" in str(shown)
    assert "어떤 군집을 빼면 추정값이 없음" in str(shown)


def test_a_design_without_degrees_of_freedom_has_no_p_value():
    frame = persons(n_clusters=6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewClustersWarning)
        result = ev.twfe(
            ev.survey_design(frame, psu="gu"),
            outcome="y", treatment="d", unit="gu", time="year", covariates="x", cluster="gu",
        )  # fmt: skip
    line = ev.few_cluster_table(result).tidy().set_index("method").loc["design_alone"]
    assert line["reason"] == "no_df"
    assert line["df"] <= 0
    assert np.isnan(line["p_value"])


def test_cohorts_that_differ_within_clusters_are_sent_to_the_cohort_of_the_cluster():
    frame = persons(n_clusters=8, treated=4)
    frame["first"] = np.where(frame["dong"] % 4 == 1, 2016, frame["first"])
    effects = ev.aggregate(_att(frame))
    with pytest.raises(EstimationError, match="cohort of the gu"):
        ev.randomization_inference(effects)
    reasons = ev.few_cluster_table(effects).tidy().set_index("method")["reason"]
    assert reasons["ri_coefficient"] == reasons["ri_t"] == "cohort_within"


@pytest.mark.parametrize(("treated", "method"), [(6, "cv3"), (5, "ri_coefficient"), (7, "ri_coefficient")])
def test_the_headline_is_the_jackknife_from_six_clusters_on_either_side(treated, method):
    result = fitted(persons(n_clusters=12, treated=treated))
    found = ev.headline_inference(result)
    assert found.method == method
    assert found.estimate == result.estimate[0]
    if method == "cv3":
        assert found.p_value == pytest.approx(result.tidy()["p_value"][0], rel=EXACT)
        assert "both 6 or more" in found.why("en")
    else:
        assert found.p_value == ev.randomization_inference(result).p_value
        assert "무작위화 추론" in found.why("ko")
        assert "exchangeable" in found.convention("en")


def test_the_headline_is_randomization_where_the_jackknife_does_not_exist():
    found = ev.headline_inference(ev.aggregate(_att(persons(n_clusters=7, treated=1))))
    assert (found.method, found.reason) == ("ri_coefficient", "chosen_ri_refused")


def test_the_headline_has_no_p_value_where_neither_can_be_had():
    frame = persons(n_clusters=8, treated=1)
    frame["first"] = np.where((frame["gu"] == 0) & (frame["dong"] % 2 == 0), 2016, 0)
    found = ev.headline_inference(ev.aggregate(_att(frame)))
    assert found.method == "none"
    assert np.isnan(found.p_value)
    assert "p값을 제시하지 않음" in found.why("ko")


def test_fewer_than_three_clusters_are_refused():
    result = fitted(persons(n_clusters=2, treated=1), vcov="design")
    for verb in (
        ev.wild_cluster_bootstrap,
        ev.randomization_inference,
        ev.few_cluster_table,
        ev.headline_inference,
    ):
        with pytest.raises(FewClustersError, match="three are the least"):
            verb(result)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: ev.wild_cluster_bootstrap(r, bootstrap="12"), "no bootstrap '12'"),
        (lambda r: ev.wild_cluster_bootstrap(r, weights="mammen"), "no weights 'mammen'"),
        (lambda r: ev.wild_cluster_bootstrap(r, draws=5), "'all' or a number from 99"),
        (lambda r: ev.wild_cluster_bootstrap(r, draws=True), "draws must be a whole number or 'all'"),
        (lambda r: ev.wild_cluster_bootstrap(r, null=np.nan), "null must be a number"),
        (lambda r: ev.wild_cluster_bootstrap(r, term="z"), "no row is called 'z'. Rows: d, x"),
        (lambda r: ev.wild_cluster_bootstrap(r, row=2), "row must be 0 to 1"),
        (lambda r: ev.wild_cluster_bootstrap(r, row={"event_time": 1}), "no key 'event_time'"),
        (lambda r: ev.wild_cluster_bootstrap(r, conf_level=95), "between 0 and 1"),
        (lambda r: ev.wild_cluster_bootstrap(r, small_sample="none"), "'both' or 'observed'"),
        (lambda r: ev.randomization_inference(r, statistic="z"), "'coefficient' or 't'"),
        (lambda r: ev.randomization_inference(r, draws=0), "at least 99"),
        (lambda r: ev.few_cluster_table(r, conf_level=0), "between 0 and 1"),
        (lambda r: ev.headline_inference(pd.DataFrame()), "result of an impact estimator"),
    ],
)
def test_wrong_input_is_told_with_the_next_move(call, message):
    with pytest.raises(EstimationError, match=message):
        call(fitted(persons()))


def test_results_without_clusters_are_sent_back_for_one():
    frame = persons()
    with pytest.raises(EstimationError, match="cluster="):
        ev.wild_cluster_bootstrap(fitted(frame, cluster=None))


def test_a_bootstrap_that_leaves_clusters_out_is_refused_where_the_effect_hangs_on_one():
    result = fitted(persons(treated=1), vcov="CR1")
    with pytest.raises(IdentificationError, match="does not exist without some clusters"):
        ev.wild_cluster_bootstrap(result, bootstrap="33")
    assert 0 < ev.wild_cluster_bootstrap(result, draws="all").p_value <= 1


def test_statistic_t_needs_a_regression():
    effects = ev.aggregate(_att(persons(n_clusters=6)))
    with pytest.raises(EstimationError, match="only regressions on one 0/1 treatment"):
        ev.randomization_inference(effects, statistic="t")


def test_records_are_json_and_say_their_convention_in_both_languages():
    result = fitted(persons(n_clusters=7))
    made = (
        ev.wild_cluster_bootstrap(result),
        ev.randomization_inference(result),
        ev.few_cluster_table(result),
        ev.headline_inference(result),
    )
    for one in made:
        record = json.loads(json.dumps(one.to_dict(), ensure_ascii=False))
        assert record["rows"][0]["term"] == "d"
        assert repr(one) == repr(one) == one.summary()
        assert "0x" not in one._repr_html_()
        assert list(one.tidy()["term"].unique()) == ["d"]
    words = made[0].to_dict()["convention"]
    assert "귀무가설" in words["ko"]
    assert "under the null" in words["en"]


@pytest.mark.parametrize("lang", ["ko", "en"])
def test_figures_show_counts_of_orders_and_one_dot_per_cluster(lang):
    result = fitted(persons(n_clusters=9, treated=4))
    found = ev.randomization_inference(result, draws="all")
    histogram = ev.plot(found, lang=lang)
    assert histogram.data["n"].sum() == found.n_draws == 126
    assert histogram.data["n_beyond"].sum() == round(found.p_weak * 126)
    bars = ev.plot(ev.wild_cluster_bootstrap(result), lang=lang).data
    assert bars["n"].sum() == 512
    dots = ev.plot(ev.leave_one_out(result), lang=lang)
    assert len(dots.data) == 9
    assert dots.data["estimate"].is_monotonic_increasing
    assert dots.png() == ev.plot(ev.leave_one_out(result), lang=lang).png()


@pytest.mark.parametrize(
    ("lang", "words"), [("ko", "시행 순서가 교환 가능"), ("en", "under exchangeable roll-out order")]
)
def test_tables_say_the_estimate_in_text_and_the_file_holds_it_in_full(lang, words):
    result = fitted(persons(n_clusters=9, treated=4))
    for one in (ev.randomization_inference(result), ev.headline_inference(result), ev.few_cluster_table(result)):
        shown = ev.table(one, lang=lang)
        assert words in str(shown)
        assert shown.data["estimate"].iloc[0] == result.estimate[0]
    bootstrap = ev.table(ev.wild_cluster_bootstrap(result), lang=lang)
    assert "WCR-11" in str(bootstrap)


def test_every_code_of_a_method_and_a_reason_has_words():
    from evaluation.wording import knows

    methods = ["cr1_normal", "cr1_t", "cr2", "cr3", "cr3_t", "cv3", "sums_normal", "sums_t", "design_alone"]
    drawn = [
        "wcr_11",
        "wcr_13",
        "wcr_31",
        "wcr_33",
        "wcu_11",
        "score_cluster",
        "score_jackknife",
        "ri_coefficient",
        "ri_t",
    ]
    reasons = ["no_estimate_without", "no_df", "no_error", "no_influence", "needs_regression", "needs_linear"]
    reasons += ["too_many_effects", "no_orders", "cohort_within", "no_t_by_order"]
    chosen = ["jackknife", "jackknife_unknown", "ri_few", "ri_refused", "none_few", "none_refused"]
    codes = [*methods, *(f"p_{name}" for name in [*methods, *drawn, "score", "none"]), *reasons]
    assert [code for code in [*codes, *(f"chosen_{name}" for name in chosen)] if not knows(code)] == []


def test_a_regression_that_is_not_linear_is_told_apart():
    frame = persons(n_clusters=8, treated=4)
    frame["visits"] = np.random.default_rng(1).poisson(np.exp(0.3 * frame["d"] + 0.1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewClustersWarning)
        result = ev.fe_regression(
            ev.survey_design(frame), outcome="visits", regressors="d", effects=["gu", "year"], family="poisson",
            cluster="gu", time="year",
        )  # fmt: skip
    reasons = ev.few_cluster_table(result).tidy().set_index("method")["reason"]
    assert reasons["cr2"] == reasons["cr3"] == "needs_linear"
    assert reasons["ri_coefficient"] == "no_orders"
    assert ev.wild_cluster_bootstrap(result).method == "score_jackknife"
    with pytest.raises(EstimationError, match="family='poisson'"):
        ev.randomization_inference(result)


@pytest.mark.parametrize("verb", [ev.sun_abraham, ev.event_study_twfe, ev.extended_twfe])
def test_staggered_regressions_have_a_wild_bootstrap_for_every_row(verb):
    frame = persons(n_clusters=9, treated=5, n_times=5)
    frame["first"] = frame["first"].where(frame["gu"] != 0, 2017)
    panel = ev.panel(ev.survey_design(frame), time="year")
    result = verb(panel, outcome="y", cohort="first", cluster="gu")
    for row in range(len(result)):
        if np.isfinite(result.vcov[row, row]) and result.vcov[row, row] > 0:
            found = ev.wild_cluster_bootstrap(result, row=row, draws="all")
            assert found.method == "wcr_11"
            assert found.estimate == pytest.approx(result.estimate[row], rel=1e-8, abs=1e-10)
            assert found.conf_low < found.estimate < found.conf_high
    moved = ev.randomization_inference(result, draws=99, seed=2)
    assert 0 < moved.p_value <= 1


def test_an_estimate_of_too_few_respondents_is_not_shown_by_any_of_them():
    effects = ev.aggregate(_att(persons(n_clusters=8, treated=4)))
    hidden = replace(effects, provenance=replace(effects.provenance, min_base=10_000))
    test = ev.randomization_inference(hidden, draws="all")
    for one in (test, ev.wild_cluster_bootstrap(hidden), ev.headline_inference(hidden), ev.few_cluster_table(hidden)):
        shown = one.tidy()
        assert shown["mark"].eq("[u]").all()
        assert shown[["estimate", "conf_low", "conf_high"]].isna().all(axis=None)
        assert f"{effects.estimate[0]:.4g}" not in str(ev.table(one, lang="en")) + repr(one) + json.dumps(one.to_dict())
    with pytest.raises(PublishError, match="too few respondents"):
        ev.plot(test)
