"""Synthetic controls: hand-computable weights, properties, refusals."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import optimize

import evaluation as ev
from evaluation import project
from evaluation.errors import ColumnError, EstimationError, IdentificationError, PublishError
from evaluation.impact.synthetic_control.simplex import frank_wolfe, ridge_on_simplex, simplex_least_squares


def cities(n=10, waves=8, first=(6,), seed=0, effect=2.0):
    """A panel of cities with a common factor; the last ones are treated from the waves in ``first``."""
    rng = np.random.default_rng(seed)
    factor, load = rng.normal(size=waves).cumsum(), rng.uniform(0.2, 1.0, n)
    y = load[:, None] * factor + rng.normal(0, 0.3, (n, waves)) + 3 * rng.normal(size=(n, 1))
    start = np.r_[np.zeros(n - len(first)), first]
    time = np.arange(1, waves + 1)
    y = y + effect * ((time >= start[:, None]) & (start[:, None] > 0))
    frame = pd.DataFrame(
        {
            "city": np.repeat([f"c{i}" for i in range(n)], waves),
            "year": np.tile(time, n),
            "y": y.ravel(),
            "x": rng.normal(size=n * waves),
            "first": np.repeat(start, waves),
        }
    )
    return frame.assign(on=((frame["first"] > 0) & (frame["year"] >= frame["first"])).astype(int))


def over_time(frame, **options):
    return ev.panel(ev.survey_design(frame, psu="city"), unit="city", time="year", **options)


def test_weights_are_those_computed_by_hand():
    # target 1 between 0 and 4: three quarters and a quarter
    assert simplex_least_squares(np.array([[0.0, 4.0]]), np.array([1.0])).tolist() == [0.75, 0.25]
    assert simplex_least_squares(np.array([[2.0, 4.0]]), np.array([1.0])).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("seed", range(6))
def test_the_exact_minimum_holds_its_conditions_and_beats_a_general_solver(seed):
    rng = np.random.default_rng(seed)
    m, n = rng.integers(2, 15), rng.integers(2, 30)
    columns, target, zeta = rng.normal(size=(m, n)), rng.normal(size=m), rng.choice([0.0, 0.3])
    columns[:, -1] = columns[:, 0]

    def objective(w):
        return np.mean((columns @ w - target) ** 2) + zeta**2 * w @ w

    w = ridge_on_simplex(columns, target, zeta)
    assert w.min() >= 0
    assert w.sum() == pytest.approx(1, abs=1e-12)
    gradient = columns.T @ (columns @ w - target) / m + zeta**2 * w
    assert (gradient >= gradient @ w - 1e-10).all()
    rival = optimize.minimize(
        objective, np.full(n, 1 / n), method="SLSQP", bounds=[(0, 1)] * n,
        constraints={"type": "eq", "fun": lambda v: v.sum() - 1}, options={"ftol": 1e-13, "maxiter": 500},
    )  # fmt: skip
    assert objective(w) <= rival.fun + 1e-9
    assert objective(w) <= objective(frank_wolfe(columns, target, zeta, 1e-6)) + 1e-12


def test_a_place_inside_its_donors_is_met_exactly_and_the_gap_is_the_effect():
    frame = cities(effect=0.0)
    donors = frame[frame["city"].isin(["c0", "c1"])].pivot(index="year", columns="city", values="y")
    treated = frame["city"] == "c9"
    frame.loc[treated, "y"] = (0.25 * donors["c0"] + 0.75 * donors["c1"]).to_numpy()
    frame.loc[treated & (frame["year"] >= 6), "y"] += 2.0
    effects = ev.synthetic_control(over_time(frame), outcome="y", cohort="first")
    np.testing.assert_allclose(effects.paths()["gap"], [0] * 5 + [2] * 3, atol=1e-8)
    weights = effects.weights().query("part == 'donor'").set_index("name")["weight"]
    np.testing.assert_allclose(weights[["c0", "c1"]], [0.25, 0.75], atol=1e-7)
    assert effects.estimate[0] == pytest.approx(2, abs=1e-8)


def test_a_column_of_treatment_and_a_column_of_starts_say_the_same():
    panel = over_time(cities(first=(6, 6, 7)))
    for verb in (ev.synthetic_control, ev.synthetic_did):
        one, other = verb(panel, outcome="y", cohort="first"), verb(panel, outcome="y", treated="on")
        np.testing.assert_allclose(one.estimate, other.estimate, rtol=1e-12)


@pytest.mark.parametrize("verb", [ev.synthetic_control, ev.synthetic_did])
def test_order_of_rows_and_scale_of_the_outcome_change_nothing_else(verb):
    frame = cities(first=(5, 6, 6), seed=3)
    plain = verb(over_time(frame), outcome="y", cohort="first", vcov="none")
    mixed = verb(over_time(frame.sample(frac=1, random_state=1)), outcome="y", cohort="first", vcov="none")
    np.testing.assert_allclose(mixed.estimate, plain.estimate, rtol=1e-9, atol=1e-10)
    scaled = verb(over_time(frame.assign(y=10 * frame["y"])), outcome="y", cohort="first", vcov="none")
    np.testing.assert_allclose(scaled.estimate, 10 * plain.estimate, rtol=1e-6, atol=1e-8)


def test_synthetic_did_ignores_levels_of_places_and_waves():
    frame = cities(first=(6, 6), seed=5)
    level = frame["city"].map({f"c{i}": i**2 for i in range(10)}) + frame["year"] ** 2
    one = ev.synthetic_did(over_time(frame), outcome="y", cohort="first", vcov="none")
    other = ev.synthetic_did(over_time(frame.assign(y=frame["y"] + level)), outcome="y", cohort="first", vcov="none")
    # the penalty is scaled by changes between waves, which the common trend leaves alone only up to its spread
    fixed = ev.synthetic_did(over_time(frame), outcome="y", cohort="first", vcov="none", regularisation=0.0)
    moved = ev.synthetic_did(
        over_time(frame.assign(y=frame["y"] + level)), outcome="y", cohort="first", vcov="none", regularisation=0.0
    )
    np.testing.assert_allclose(moved.estimate, fixed.estimate, atol=1e-5)
    assert one.estimate[1] == pytest.approx(other.estimate[1], abs=1e-9)


def test_cohorts_weigh_by_treated_place_waves():
    frame = cities(first=(5, 7, 7), seed=2)
    effects = ev.synthetic_did(over_time(frame), outcome="y", cohort="first", vcov="none")
    parts = effects.cohorts()
    share = parts["n_places"] * parts["n_waves"]
    assert effects.estimate[0] == pytest.approx(np.average(parts["estimate"], weights=share))
    alone = ev.synthetic_did(over_time(frame[frame["first"] != 5]), outcome="y", cohort="first", vcov="none")
    assert parts["estimate"].iloc[1] == pytest.approx(alone.estimate[0])


def test_covariates_that_explain_all_are_taken_out():
    frame = cities(first=(6, 6), seed=4)
    spoiled = frame.assign(y=frame["y"] + 5 * frame["x"])
    clean = ev.synthetic_did(over_time(frame), outcome="y", covariates=["x"], cohort="first", vcov="none")
    with_it = ev.synthetic_did(over_time(spoiled), outcome="y", covariates=["x"], cohort="first", vcov="none")
    np.testing.assert_allclose(with_it.estimate, clean.estimate, atol=1e-8)


def test_the_jackknife_is_refused_for_one_treated_place_and_for_placebos_with_too_few_donors():
    one = over_time(cities())
    with pytest.raises(IdentificationError, match="two treated places in every cohort"):
        ev.synthetic_did(one, outcome="y", cohort="first", vcov="jackknife")
    many = over_time(cities(first=(6,) * 6))
    with pytest.raises(IdentificationError, match=r"more donors than treated.*vcov='jackknife'"):
        ev.synthetic_did(many, outcome="y", cohort="first", vcov="placebo")
    assert ev.synthetic_did(many, outcome="y", cohort="first").variance_method.startswith("CV3J jackknife")


def test_sets_of_donors_are_enumerated_where_they_are_few_and_drawn_by_seed_where_they_are_many():
    panel = over_time(cities(first=(6, 6)))
    few = ev.synthetic_did(panel, outcome="y", cohort="first", vcov="placebo")
    assert few.variance_method == "placebo, all 28 sets of 2 donors"
    drawn = ev.synthetic_did(panel, outcome="y", cohort="first", vcov="placebo", draws=20, seed=3)
    again = ev.synthetic_did(panel, outcome="y", cohort="first", vcov="placebo", draws=20, seed=3)
    assert drawn.variance_method == "placebo, 20 drawn sets of 2 donors"
    np.testing.assert_array_equal(drawn.vcov, again.vcov)


def test_the_rank_p_value_counts_the_treated_itself():
    effects = ev.synthetic_control(over_time(cities(effect=30.0)), outcome="y", cohort="first")
    placebos = ev.donor_placebos(effects)
    rows = placebos.tidy()
    assert rows["is_treated"].tolist() == [True] + [False] * 9
    assert placebos.p_value == pytest.approx((rows["ratio"] >= rows["ratio"].iloc[0]).mean())
    assert placebos.p_value_effect == pytest.approx(0.1)
    rank = round(10 * placebos.p_value)
    assert f"{rank} of 10" in placebos.statement("en")
    assert f"10개 가운데 {rank}개" in placebos.statement("ko")
    worst = rows["rmspe_before"].max() / rows["rmspe_before"].iloc[0]
    kept = ev.donor_placebos(effects, most_misfit=0.99 * worst)
    assert kept.n_left_out == 1
    assert set(kept.gaps["places"]) == set(kept.tidy()["places"])


def test_what_another_order_of_starts_gives_is_what_a_new_panel_gives():
    frame = cities(first=(6, 7), seed=8)
    effects = ev.synthetic_did(over_time(frame), outcome="y", cohort="first", vcov="none")
    clusters = effects.refit.clusters
    np.testing.assert_allclose(effects.refit.reordered(clusters.cohort[None])[0], effects.estimate, rtol=1e-10)
    moved = np.roll(clusters.cohort, 3)
    starts = {place: 0 if np.isinf(first) else first for place, first in zip(clusters.levels, moved, strict=True)}
    other = ev.synthetic_did(
        over_time(frame.assign(first=frame["city"].map(starts))), outcome="y", cohort="first", vcov="none"
    )
    np.testing.assert_allclose(effects.refit.reordered(moved[None])[0], other.estimate, rtol=1e-8)


def test_weights_of_zero_leave_a_place_out():
    frame = cities(first=(6, 6), seed=9)
    effects = ev.synthetic_did(over_time(frame), outcome="y", cohort="first", vcov="none")
    again = effects.refit.again((frame["city"] != "c3").to_numpy(dtype=float))
    without = ev.synthetic_did(over_time(frame[frame["city"] != "c3"]), outcome="y", cohort="first", vcov="none")
    np.testing.assert_allclose(again, without.estimate, rtol=1e-8)


def test_respondents_need_their_places_and_cell_means_carry_the_errors_of_the_design():
    rng = np.random.default_rng(1)
    people = cities(first=(6, 6)).loc[lambda d: d.index.repeat(6)].reset_index(drop=True)
    people["y"] += rng.normal(size=len(people))
    panel = ev.panel(ev.survey_design(people), time="year")
    with pytest.raises(EstimationError, match="place='district'"):
        ev.synthetic_did(panel, outcome="y", cohort="first")
    effects = ev.synthetic_did(panel, outcome="y", cohort="first", place="city")
    cells = effects.cell_means().tidy()
    assert len(cells) == 80
    assert (cells["std_error"] > 0).all()
    assert effects.fit["sampling_error"] == "through places"
    notes = ev.plot(effects, lang="en").caption
    assert "sampling error of places' means" in notes


def _spoiled(change):
    frame = cities(first=(6, 6))
    return change(frame)


@pytest.mark.parametrize(
    ("change", "options", "error", "said"),
    [
        (lambda f: f.assign(first=f["first"].where(f["first"] == 0, 1)), {}, IdentificationError, "first wave on"),
        (lambda f: f.assign(first=0), {}, IdentificationError, "nobody|no place is treated"),
        (lambda f: f, {"donors": ["c0", "c9"]}, IdentificationError, r"treated themselves: c9 \(6\)"),
        (lambda f: f, {"donors": ["c0", "c0x"]}, EstimationError, "Did you mean 'c0'"),
        (lambda f: f, {"donors": "c0"}, EstimationError, "donors must be a list"),
        (lambda f: f, {"donors": ["c0"]}, IdentificationError, "1 donors.*at least two"),
        (lambda f: f.assign(y=f["y"].where(f.index != 11)), {}, ColumnError, r"no answer in 1 of 80.*c1 in 4"),
        (lambda f: f, {"cohort": None}, EstimationError, "either cohort=.*or treated="),
        (lambda f: f, {"treated": "on"}, EstimationError, "either cohort=.*or treated="),
        (lambda f: f, {"cohort": None, "treated": "x"}, ColumnError, "must be 0 or 1"),
        (
            lambda f: f.assign(on=f["on"].where(f["year"] < 8, 0)),
            {"cohort": None, "treated": "on"},
            ColumnError,
            r"switches off in 2 places \(c8, c9\)",
        ),
        (lambda f: f, {"solver": "newton"}, EstimationError, "'exact' or 'frank_wolfe'"),
        (lambda f: f, {"vcov": "bootstrap"}, EstimationError, "'placebo', 'jackknife' or 'none'"),
        (lambda f: f, {"outcome": "yy"}, ColumnError, "Did you mean 'y'"),
    ],
)
def test_what_cannot_be_estimated_is_refused_with_the_next_move(change, options, error, said):
    arguments = {"outcome": "y", "cohort": "first"} | options
    with pytest.raises(error, match=said):
        ev.synthetic_control(over_time(_spoiled(change)), **arguments)


def test_an_unbalanced_panel_and_a_cohort_that_differs_within_a_place_are_refused():
    frame = cities(first=(6, 6))
    with pytest.raises(ColumnError, match="every 'city' in every 'year'"):
        over_time(frame.drop(index=3))
    panel = ev.panel(ev.survey_design(frame.assign(first=frame["first"].where(frame.index != 75, 7))), time="year")
    with pytest.raises(ColumnError, match="differs within 1 of 10 places") as caught:
        ev.synthetic_control(panel, outcome="y", cohort="first", place="city")
    assert set(caught.value.failures.columns) == {"city", "first"}


def test_synthetic_did_needs_two_waves_before_and_nested_its_predictors():
    with pytest.raises(IdentificationError, match=r"one wave before.*ev.synthetic_control"):
        ev.synthetic_did(over_time(cities(first=(2,))), outcome="y", cohort="first")
    panel = over_time(cities())
    with pytest.raises(EstimationError, match="predictors belong to method='nested'"):
        ev.synthetic_control(panel, outcome="y", cohort="first", predictors={"x": [1]})
    with pytest.raises(EstimationError, match="needs predictors="):
        ev.synthetic_control(panel, outcome="y", cohort="first", method="nested")
    with pytest.raises(EstimationError, match=r"waves before the first start \(6\), got 7"):
        ev.synthetic_control(panel, outcome="y", cohort="first", method="nested", covariates=["x"], fit_waves=[5, 7])


def test_nested_weights_meet_the_outcome_no_worse_than_equal_weights_of_predictors():
    panel = over_time(cities(n=12, seed=6))
    options = {"outcome": "y", "cohort": "first", "method": "nested"}
    predictors = {"x": [1, 2, 3], "y": [1, 5]}
    sought = ev.synthetic_control(panel, predictors=predictors, **options)
    equal = ev.synthetic_control(panel, predictors=predictors, predictor_weights=[1, 1], **options)
    assert sought.cohorts()["loss_outcome"].iloc[0] <= equal.cohorts()["loss_outcome"].iloc[0] + 1e-12
    assert np.isnan(sought.std_error).all()
    assert np.isnan(sought.tidy()["p_value"]).all()


@pytest.mark.parametrize(("lang", "words"), [("ko", "합성 비교 지역"), ("en", "synthetic")])
def test_figures_and_tables_speak_both_languages(lang, words):
    effects = ev.synthetic_control(over_time(cities()), outcome="y", cohort="first")
    placebos = ev.donor_placebos(effects)
    for figure in (ev.plot(effects, lang=lang), ev.plot(effects, kind="weights", lang=lang)):
        assert figure.png()[:4] == b"\x89PNG"
    assert words in ev.plot(effects, lang=lang).title
    assert ev.plot(placebos, lang=lang).data["is_treated"].sum() == 1
    table = ev.table(effects, lang=lang)
    assert ("이중차분" if lang == "ko" else "difference-in-differences") in repr(table)
    assert len(ev.table(placebos, lang=lang).frame) == 10
    with pytest.raises(PublishError, match="'path' or 'weights'"):
        ev.plot(effects, kind="map")


def test_a_synthetic_control_can_be_published(tmp_path, monkeypatch):
    monkeypatch.setenv("EVALUATION_RUN", str(tmp_path))
    effects = ev.synthetic_did(over_time(cities()), outcome="y", cohort="first")
    assert "estimates/sdid.json" in ev.publish("sdid", effects).files
    assert "tables/placebos.csv" in ev.publish("placebos", ev.donor_placebos(effects)).files


@pytest.fixture(scope="module")
def seoul():
    """Waves to 2016, within which the seven districts that started later are donors."""
    waves = ev.survey_design(ev.read_survey("seoul_2016", sample="citizens_waves"))
    return ev.panel(ev.domain(waves, {"year": list(range(2010, 2017))}), time="year")


def test_synthetic_seoul_gives_back_the_effect_on_started_districts(seoul):
    """Estimand: intention to treat by district cohort, each started district and wave counting once."""
    effects = ev.synthetic_did(seoul, outcome="knows_center", cohort="district_cohort", place="district")
    truth = json.loads((project.survey_folder("seoul_2016") / "truth.json").read_text(encoding="utf-8"))
    cells = pd.DataFrame(truth["rollout"]["by_district"])
    first = cells[cells["dose"] > 0].groupby("district")["year"].min()
    since = cells["year"] - cells["district"].map(first)
    reached = (since >= 0) & (cells["year"] <= 2016)
    known = [cells.loc[reached, "effect"].mean(), *(cells.loc[reached & (since == e), "effect"].mean() for e in (0, 1))]
    rows = effects.tidy().set_index("event_time", drop=False)
    told = effects.tidy().iloc[[0]]
    later = rows[rows["event_time"].isin([0, 1])]
    estimate, error = (np.r_[told[name], later[name]] for name in ("estimate", "std_error"))
    assert (np.abs(estimate - known) <= 2 * error).all()
    leads = rows[rows["event_time"].notna() & (rows["event_time"].astype(float) < 0)]
    assert (np.abs(leads["estimate"]) <= 3 * leads["std_error"]).all()


def test_where_all_districts_start_the_next_move_is_outside_donors_or_fewer_waves():
    waves = ev.survey_design(ev.read_survey("seoul_2016", sample="citizens_waves"))
    with pytest.raises(IdentificationError, match=r"0 donors.*outside the programme.*before the last places start"):
        ev.synthetic_did(
            ev.panel(waves, time="year"), outcome="knows_center", cohort="district_cohort", place="district"
        )


def test_a_rank_that_rounding_would_decide_is_refused():
    frame = cities(n=12, waves=8, first=(4,), effect=1.0)
    near = ev.donor_placebos(ev.synthetic_control(over_time(frame), outcome="y", cohort="first"))
    assert np.isfinite(near.p_value)
    exact = frame.copy()
    before = exact["year"] < exact.loc[exact["first"] > 0, "first"].min()
    exact.loc[before, "y"] = exact.loc[before, "year"] * 0.1 + 1 / 3
    found = ev.donor_placebos(ev.synthetic_control(over_time(exact), outcome="y", cohort="first"))
    assert np.isnan(found.p_value)
    assert np.isfinite(found.p_value_effect)
    assert "hang on rounding" in found.statement("en")
    assert "반올림" in found.statement("ko")
