"""Data that invite a silent wrong number: empty domains, odd columns, negative weights, look-alike samples."""

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, DesignError, EstimationError, IdentificationError

N = 120


def respondents():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "y": rng.normal(10, 2, N),
            "x": rng.normal(size=N),
            "group": rng.choice(["a", "b", "c"], N),
            "half": rng.choice(["u", "v"], N),
            "psu": np.repeat(np.arange(24), 5),
            "age": pd.Categorical(rng.choice(["young", "middle", "old"], N), ["young", "middle", "old", "unheard"]),
            "flag": rng.uniform(size=N) < 0.4,
        }
    )
    frame.loc[frame["group"] == "c", "half"] = "u"
    frame["asked"] = frame["y"].where(frame["group"] != "c")
    return frame


def design(frame=None, **options):
    return ev.survey_design(respondents() if frame is None else frame, psu="psu", **options)


def negative():
    """A linear calibration so far off that weights turn negative."""
    made = ev.calibrate(design(), {"total": 130, "x": 195})
    assert (made.weights < 0).any()
    return made


# --- domains and levels ---------------------------------------------------------------------------------------


def test_a_level_outside_the_domain_is_no_row_of_the_table():
    inside = ev.survey_chisq(ev.domain(design(), {"group": ["a", "b"]}), "group", "half")
    frame = respondents()
    zeroed = design(frame.assign(w=(frame["group"] != "c").astype(float)), weights="w")
    assert inside.statistic > 0
    assert inside.ndf == pytest.approx(1)
    assert ev.survey_chisq(zeroed, "group", "half").p_value == pytest.approx(inside.p_value, rel=1e-10)


def test_a_domain_of_one_respondent_has_no_error_and_no_statistic():
    frame = respondents().assign(alone=["one"] + ["rest"] * (N - 1))
    raked = ev.rake(design(frame), {"group": {"a": 400, "b": 300, "c": 500}, "half": {"u": 800, "v": 400}})
    means = ev.survey_mean(raked, "y", by="alone")
    assert means.std_error[0] == 0
    assert means.std_error[1] > 0
    assert means.tidy()[["statistic", "p_value", "conf_low", "conf_high"]].iloc[0].isna().all()


def test_domains_come_in_the_order_of_categories():
    assert ev.survey_mean(design(), "y", by="age").keys["age"].tolist() == ["young", "middle", "old"]
    assert ev.survey_prop(design(), "age").keys["level"].tolist() == ["young", "middle", "old"]


def test_a_column_that_mixes_numbers_and_text_has_levels_all_the_same():
    frame = respondents()
    frame["code"] = pd.Series([1, "other", 2, 1] * 30, dtype=object)
    assert ev.survey_prop(design(frame), "code").keys["level"].tolist() == [1, 2, "other"]
    assert ev.survey_mean(design(frame), "y", by="code").keys["code"].tolist() == [1, 2, "other"]


@pytest.mark.parametrize("name", ["level", "term", "estimate", "n_obs"])
def test_a_domain_column_cannot_overwrite_a_column_of_the_result(name):
    frame = respondents().assign(**{name: respondents()["half"]})
    with pytest.raises(ColumnError, match=f"called '{name}' already"):
        ev.survey_prop(design(frame), "group", by=name)


def test_a_domain_column_is_named_once():
    with pytest.raises(ColumnError, match="twice"):
        ev.survey_mean(design(), "y", by=["group", "group"])


def test_a_domain_in_which_nobody_was_asked_has_no_number_and_spoils_no_other():
    one = design()
    for result in (
        ev.survey_mean(one, "asked", by="group"),
        ev.survey_ratio(one, "asked", "x", by="group"),
        ev.survey_quantile(one, "asked", by="group", probabilities=[0.5]),
    ):
        tidy = result.tidy().set_index("group")
        assert np.isnan(tidy.loc["c", "estimate"])
        assert tidy.loc["c", "n_obs"] == 0
        assert np.isfinite(tidy.loc[["a", "b"], ["estimate", "std_error"]].to_numpy()).all()


def test_domain_takes_values_from_arrays_and_refuses_none_at_all():
    one = design()
    wanted = ev.domain(one, {"group": ["a", "b"]}).present
    for values in (np.array(["a", "b"]), pd.Series(["a", "b"]), {"a", "b"}):
        assert (ev.domain(one, {"group": values}).present == wanted).all()
    with pytest.raises(EstimationError, match="no value of group"):
        ev.domain(one, {"group": []})


def test_yes_and_no_with_gaps_are_numbers():
    frame = respondents()
    gap = np.arange(N) % 10 == 0
    frame["told"] = frame["flag"].astype(object).where(~gap, None)
    result = ev.survey_mean(design(frame), "told")
    assert result.n_obs[0] == N - gap.sum()
    assert result.estimate[0] == pytest.approx(frame.loc[~gap, "flag"].mean())
    slope = ev.survey_glm(design(frame), outcome="y", covariates=["told"])
    assert slope.keys["term"].tolist() == ["(Intercept)", "told"]


def test_infinite_answers_are_refused():
    frame = respondents().assign(rate=np.inf)
    with pytest.raises(ColumnError, match="infinite in 120 rows"):
        ev.survey_mean(design(frame), "rate")


def test_columns_that_stand_twice_are_refused():
    frame = respondents()
    with pytest.raises(ColumnError, match=r"stand twice in the data: \['y'\]"):
        design(pd.concat([frame, frame[["y"]]], axis=1))


@pytest.mark.parametrize("level", [95, 0, 1, -0.5])
def test_a_confidence_level_in_percent_is_refused(level):
    for call in (ev.survey_mean, ev.survey_quantile):
        with pytest.raises(EstimationError, match=r"conf_level=0\.95"):
            call(design(), "y", conf_level=level)


# --- contrasts ------------------------------------------------------------------------------------------------


def test_a_row_without_number_spoils_no_contrast_of_others():
    means = ev.survey_mean(design(), "asked", by="group")
    gap = ev.contrast(means, {"a - b": {"asked | group=a": 1, "asked | group=b": -1}})
    assert gap.estimate[0] == pytest.approx(means.estimate[0] - means.estimate[1])
    assert gap.std_error[0] > 0
    assert gap.influence.shape == (N, 1)


def test_contrasts_count_each_respondent_once():
    one = design()
    change = ev.contrast(ev.survey_mean(one, ["y", "x"]), {"d": {"y": 1, "x": -1}})
    assert change.n_obs[0] == N
    means = ev.survey_mean(one, "y", by="group")
    gap = ev.contrast(means, {"d": {"y | group=a": 1, "y | group=b": -1}})
    assert gap.n_obs[0] == means.n_obs[:2].sum()
    slopes = ev.survey_glm(one, outcome="y", covariates=["x", "flag"])
    assert ev.contrast(slopes, {"d": {"x": 1, "flag": -1}}).n_obs[0] == N


def test_samples_that_look_alike_have_no_common_covariance():
    frame = respondents()
    other = frame.assign(y=frame["y"].to_numpy()[::-1])
    first, second = ev.survey_mean(design(frame), "y"), ev.survey_mean(design(other), "x")
    with pytest.raises(EstimationError, match="different designs"):
        ev.contrast([first, second], {"d": {"y": 1, "x": -1}})
    again = ev.survey_mean(design(frame.copy()), "x")
    assert ev.contrast([first, again], {"d": {"y": 1, "x": -1}}).std_error[0] > 0


def test_a_row_that_two_results_have_is_not_guessed():
    one = design()
    with pytest.raises(EstimationError, match="2 rows are called 'y'"):
        ev.contrast([ev.survey_mean(one, "y"), ev.survey_total(one, "y")], {"d": {"y": 1}})


def test_shares_of_several_variables_keep_their_covariance():
    one = design()
    both = ev.survey_prop(one, ["half", "flag"])
    gap = ev.contrast(both, {"d": {"half | level=u": 1, "flag | level=True": -1}})
    plain = respondents().assign(u=respondents()["half"] == "u")
    means = ev.survey_mean(design(plain), ["u", "flag"])
    expected = ev.contrast(means, {"d": {"u": 1, "flag": -1}})
    assert gap.estimate[0] == pytest.approx(expected.estimate[0], rel=1e-10)
    assert gap.std_error[0] == pytest.approx(expected.std_error[0], rel=1e-10)


# --- weights --------------------------------------------------------------------------------------------------


def test_negative_weights_are_counted_and_shown():
    made = negative()
    assert ev.survey_mean(made, "y").n_obs[0] == N
    last = made.history.iloc[-1]
    assert last["n"] == N
    assert last["minimum"] == pytest.approx(made.weights.min())
    assert last["minimum"] < 0


def test_a_step_after_negative_weights_has_the_exact_derivative():
    made = ev.poststratify(negative(), {"half": {"u": 90, "v": 40}})
    influence = ev.survey_total(made, "y").influence[:, 0]
    row = int(np.argmin(made.weights))
    totals = []
    for sign in (1, -1):
        weights = made.base_weights.copy()
        weights[row] *= 1 + sign * 1e-6
        for applied in made.steps:
            weights = applied.step.replay(weights)
        totals.append((weights * made.data["y"]).sum())
    assert influence[row] == pytest.approx((totals[0] - totals[1]) / 2e-6, rel=1e-5)


def test_regressions_and_quantiles_refuse_negative_weights():
    for call in (
        lambda: ev.survey_glm(negative(), outcome="y", covariates=["x"]),
        lambda: ev.survey_quantile(negative(), "y"),
    ):
        with pytest.raises(EstimationError, match="respondents have negative ones") as caught:
            call()
        assert len(caught.value.failures) == (negative().weights < 0).sum()


def test_a_jackknife_of_very_many_units_is_refused():
    frame = pd.DataFrame({"y": np.arange(6000.0)})
    with pytest.raises(DesignError, match="6,000 PSUs"):
        ev.as_replicates(ev.survey_design(frame), kind="JK1")


# --- regression -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [["a", "b"], ["b", "c"]])
def test_levels_outside_the_domain_are_no_coefficients(kept):
    inside = ev.domain(design(), {"group": kept})
    slope = ev.survey_glm(inside, outcome="y", covariates=["group"])
    assert slope.keys["term"].tolist() == ["(Intercept)", f"group[T.{kept[1]}]"]
    means = ev.survey_mean(inside, "y", by="group")
    gap = ev.contrast(means, {"d": {f"y | group={kept[1]}": 1, f"y | group={kept[0]}": -1}})
    assert slope.estimate[1] == pytest.approx(gap.estimate[0], rel=1e-9)
    assert slope.std_error[1] == pytest.approx(gap.std_error[0], rel=1e-9)


def test_categories_nobody_has_are_no_coefficients():
    terms = ev.survey_glm(design(), outcome="y", covariates=["age"]).keys["term"].tolist()
    assert terms == ["(Intercept)", "age[T.middle]", "age[T.old]"]


def test_steep_curves_are_not_taken_for_separation():
    rng = np.random.default_rng(0)
    z = rng.uniform(0, 100, 400)
    chance = 1 / (1 + np.exp(4 - 0.32 * z + 0.0032 * z**2))
    frame = pd.DataFrame({"z": z, "b": (rng.uniform(size=400) < chance).astype(int)})
    fit = ev.survey_glm(ev.survey_design(frame), outcome="b", covariates="~ z + I(z**2)", family="binomial")
    # statsmodels Logit on the same data
    np.testing.assert_allclose(fit.estimate, [-4.16993933, 0.312377744, -0.00311180930], rtol=1e-7)
    frame["apart"] = (frame["b"] == 1) * 3.0 + rng.uniform(size=400)
    with pytest.raises(IdentificationError, match="'apart' separates"):
        ev.survey_glm(ev.survey_design(frame), outcome="b", covariates=["apart"], family="binomial")
