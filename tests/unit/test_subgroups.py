"""Differences within subgroups: as domains, kept where refused, with joint tests, and what is refused."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, EstimationError, IdentificationError, WeightingError
from evaluation.results import Provenance

ROLES = {"outcome": "stays", "treatment": "joined"}
COVARIATES = ["age", "sex", "district"]


def respondents(n=600, seed=4):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "psu": np.repeat(np.arange(n // 10), 10),
            "stratum": np.repeat(["s", "t", "u"], n // 3),
            "w": rng.uniform(5, 15, n),
            "age": rng.normal(45, 12, n).round(),
            "sex": rng.choice(["f", "m"], n),
            "district": rng.choice(["a", "b", "c"], n),
        }
    )
    frame["joined"] = (rng.uniform(size=n) < 0.3 + 0.2 * (frame["sex"] == "f")).astype(int)
    p = 0.35 + 0.25 * frame["joined"] * (frame["sex"] == "f") + 0.002 * frame["age"]
    frame["stays"] = (rng.uniform(size=n) < p).astype(int)
    frame["trust"] = 4 + frame["joined"] + rng.normal(0, 2, n)
    return frame


def design_of(frame):
    return ev.survey_design(frame, weights="w", strata="stratum", psu="psu")


def effects(frame=None, **more):
    options = {"by": ["sex", "district"], "covariates": COVARIATES, **ROLES, **more}
    return ev.subgroup_effects(design_of(respondents() if frame is None else frame), **options)


@pytest.fixture(scope="module")
def found():
    return effects()


def rows_of(result, subgroup, method):
    return result.tidy().query("subgroup == @subgroup and method == @method").reset_index(drop=True)


def test_a_subgroup_is_a_domain_of_the_whole_design(found):
    design = design_of(respondents())
    women = ev.domain(design, {"sex": "f"})
    raw = ev.group_difference(women, **ROLES).tidy().iloc[0]
    adjusted = ev.aipw(women, **ROLES, covariates=["age", "district"]).tidy().iloc[0]
    for method, expected in (("raw", raw), ("aipw", adjusted)):
        row = rows_of(found, "sex", method).iloc[0]
        for name in ("estimate", "std_error", "df", "p_value", "conf_low"):
            assert row[name] == pytest.approx(expected[name], rel=1e-12)
    overall = ev.aipw(design, **ROLES, covariates=COVARIATES)
    assert rows_of(found, "overall", "aipw")["estimate"][0] == pytest.approx(overall.estimate[0], rel=1e-12)


def test_levels_share_units_so_their_covariance_is_counted(found):
    at = np.flatnonzero(((found.keys["subgroup"] == "sex") & (found.keys["method"] == "raw")).to_numpy())
    covariance = found.vcov[np.ix_(at, at)]
    assert covariance[0, 1] != 0
    gap = ev.contrast(found, {"f - m": dict(zip(np.array(found.addresses())[at], [1, -1], strict=True))})
    assert gap.vcov[0, 0] == pytest.approx(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1], rel=1e-12)
    test = ev.heterogeneity_test(found, by="sex", method="raw")
    assert test.statistic == pytest.approx((gap.estimate[0] / gap.std_error[0]) ** 2, rel=1e-9)
    assert rows_of(found, "sex", "raw")["p_heterogeneity"].tolist() == pytest.approx([test.p_value] * 2)


def test_heterogeneity_is_the_interaction_of_a_saturated_regression():
    design = design_of(respondents())
    found = ev.subgroup_effects(design, **ROLES, by="district", method="raw")
    model = ev.survey_glm(design, outcome="stays", covariates="~ joined * district")
    names = [name for name in model.keys["term"] if "joined" in name and "district" in name]
    wald = ev.term_test(model, names, df=57)
    assert ev.heterogeneity_test(found).statistic == pytest.approx(wald.statistic, rel=1e-8)


def test_families_count_what_they_say():
    for families, count in (("all", 5), ("subgroup", None)):
        result = effects(families=families)
        for subgroup, levels in (("sex", 2), ("district", 3)):
            rows = rows_of(result, subgroup, "raw")
            own = count or levels
            smallest = rows["p_value"].idxmin()
            if families == "subgroup":
                assert rows["p_holm"][smallest] == pytest.approx(min(1, own * rows["p_value"][smallest]))
        family = result.tidy().query("method == 'aipw' and subgroup != 'overall'")
        if families == "all":
            np.testing.assert_allclose(family["p_holm"], ev.adjust_p_values(family["p_value"].to_numpy()))
    assert rows_of(result, "overall", "raw")[["p_holm", "p_bh", "p_romano_wolf"]].isna().all().all()


def test_several_outcomes_stand_under_each_other_with_their_own_models():
    result = effects(outcome=["stays", "trust"], by="sex")
    assert result.keys["term"].unique().tolist() == ["stays", "trust"]
    assert len(result) == 12
    with pytest.raises(EstimationError, match="say which in outcome="):
        ev.heterogeneity_test(result, by="sex")
    assert ev.heterogeneity_test(result, by="sex", outcome="trust").ndf == 1


def test_a_subgroup_too_small_keeps_its_row_with_the_reason():
    frame = respondents()
    few = frame.index[(frame["district"] == "c") & (frame["joined"] == 1)][3:]
    frame.loc[few, "district"] = "a"
    frame.loc[frame.index[frame["joined"] == 0][:12], "district"] = "d"
    result = effects(frame, by="district", covariates=["age", "sex"])
    rows = rows_of(result, "district", "aipw").set_index("level")
    assert rows["reason"].to_dict() == {"a": "", "b": "", "c": "too few in a group", "d": "nobody takes part"}
    assert rows["estimate"].isna().tolist() == [False, False, True, True]
    assert rows.loc["d", ["n_participants", "n_comparison"]].tolist() == [0, 12]
    assert "minimum 10" in result.fit["refused"]["stays | subgroup=district,level=c,method=aipw"]
    assert ev.heterogeneity_test(result).ndf == 1
    family = result.tidy().query("method == 'raw' and subgroup == 'district'")
    np.testing.assert_allclose(family["p_holm"].dropna(), ev.adjust_p_values(family["p_value"].dropna().to_numpy()))
    assert "한 집단의 응답자가 너무 적음" in repr(ev.table(result, lang="ko"))
    json.dumps(result.to_dict(), allow_nan=False)


def test_an_adjustment_that_fails_in_one_subgroup_leaves_the_raw_difference_there():
    frame = respondents()
    frame["same"] = np.where(frame["district"] == "c", frame["age"], frame["w"].round())
    result = effects(frame, by="district", covariates=["age", "same"])
    reasons = rows_of(result, "district", "aipw")["reason"].tolist()
    assert reasons == ["", "", "the adjustment is not identified"]
    assert rows_of(result, "district", "raw")["estimate"].notna().all()
    assert any("combination of the covariates" in told for told in result.fit["refused"].values())


def test_what_is_constant_within_a_subgroup_is_left_out_there():
    frame = respondents()
    frame["region"] = np.where(frame["district"] == "a", "north", np.where(frame["age"] > 45, "south", "west"))
    result = effects(frame, by="district", covariates=["age", "region"])
    alone = ev.aipw(ev.domain(design_of(frame), {"district": "a"}), **ROLES, covariates=["age"])
    assert rows_of(result, "district", "aipw")["estimate"][0] == pytest.approx(alone.estimate[0], rel=1e-12)


def test_the_model_of_the_outcome_is_the_same_in_all_subgroups():
    frame = respondents()
    frame.loc[frame["district"] == "c", "stays"] = 0
    result = effects(frame, by="district", covariates=["age", "sex"])
    assert rows_of(result, "district", "aipw")["reason"].tolist() == ["", "", "the outcome does not vary"]
    assert np.isnan(rows_of(result, "district", "raw")["estimate"][2])


def test_small_subgroups_are_not_shown_and_the_note_says_why():
    design = design_of(respondents())
    careful = ev.subgroup_effects(
        replace(design, provenance=Provenance(min_cell=5, min_base=75)), **ROLES, by="district", method="raw"
    )
    shown = careful.masked().tidy()
    hidden = shown["mark"] != ""
    assert shown.loc[hidden, "level"].tolist() == ["b"]
    assert shown.loc[hidden, ["estimate", "p_holm"]].isna().all().all()


def test_replicates_and_linearisation_tell_the_same_story(found):
    design = ev.as_replicates(design_of(respondents()), kind="JKn")
    replicated = ev.subgroup_effects(design, **ROLES, by=["sex", "district"], covariates=COVARIATES, method="ipw")
    linear = effects(method="ipw")
    np.testing.assert_allclose(replicated.estimate, linear.estimate, rtol=1e-9)
    np.testing.assert_allclose(replicated.std_error, linear.std_error, rtol=0.15)


def test_respondents_without_a_subgroup_are_counted():
    frame = respondents()
    frame.loc[:6, "district"] = None
    result = effects(frame, by="district", covariates=["age", "sex"])
    assert result.fit["n_without_subgroup"] == {"district": 7}


def test_row_order_and_the_scale_of_weights_change_nothing(found):
    shuffled = respondents().sample(frac=1, random_state=3)
    shuffled["w"] *= 1e6
    again = effects(shuffled)
    np.testing.assert_allclose(again.estimate, found.estimate, rtol=1e-9)
    np.testing.assert_allclose(again.std_error, found.std_error, rtol=1e-9)
    np.testing.assert_allclose(again.columns["p_romano_wolf"], found.columns["p_romano_wolf"], atol=1e-3)


def test_after_a_balancing_step_the_groups_are_the_balanced_ones():
    design = design_of(respondents())
    balanced = ev.entropy_balance(design, treatment="joined", covariates=COVARIATES)
    result = ev.subgroup_effects(balanced, **ROLES, by="sex")
    assert set(result.keys["method"]) == {"entropy"}
    women = ev.group_difference(ev.domain(balanced, {"sex": "f"}), **ROLES)
    row = rows_of(result, "sex", "entropy").iloc[0]
    assert row[["estimate", "std_error"]].tolist() == pytest.approx([women.estimate[0], women.std_error[0]])
    assert "엔트로피 균형" in repr(ev.table(result, lang="ko"))
    with pytest.raises(WeightingError, match="method='aipw': the design was balanced by entropy_balance already"):
        ev.subgroup_effects(balanced, **ROLES, by="sex", method="aipw", covariates=COVARIATES)


def test_a_formula_loses_what_is_constant_within_a_subgroup():
    listed, written = effects(by="sex"), effects(by="sex", covariates="~ age + sex + district")
    np.testing.assert_allclose(written.estimate, listed.estimate, rtol=1e-9)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"by": "joined"}, ColumnError, "'joined' is the treatment and cannot make subgroups"),
        ({"by": "stays"}, ColumnError, "'stays' is an outcome"),
        ({"by": []}, ColumnError, "by names no column"),
        ({"by": "sexx"}, ColumnError, "Did you mean 'sex'"),
        ({"covariates": [], "method": "aipw"}, EstimationError, "method='raw' for differences as they are"),
        ({"method": "aipv"}, EstimationError, "Did you mean 'aipw'"),
        ({"families": "each"}, EstimationError, "families must be one of"),
        ({"minimum": 0}, EstimationError, "minimum must be a number of 1 or more"),
        ({"minimum": 5_000}, EstimationError, "no subgroup of sex, district has an estimate"),
        ({"famly": "gaussian"}, EstimationError, "aipw has no argument 'famly'. Did you mean 'family'"),
        ({"replicates": 10}, EstimationError, "subgroup_effects: replicates must be a whole number from 99"),
        ({"conf_level": 95}, EstimationError, "conf_level must lie between 0 and 1"),
    ],
)
def test_what_cannot_be_asked_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        effects(**options)


def test_arguments_of_a_model_do_no_harm_where_none_is_fitted():
    plain, told = effects(method="raw"), effects(method="raw", missing="indicator", family="gaussian")
    assert (told.estimate == plain.estimate).all()


def test_missing_covariates_are_named_or_given_a_level_as_asked():
    frame = respondents()
    frame.loc[frame.index[:30], "age"] = np.nan
    with pytest.raises(ColumnError, match="'age' for 30"):
        effects(frame, by="sex")
    left_out, indicated = (effects(frame, by="sex", missing=way) for way in ("complete_cases", "indicator"))
    for result, lost in ((left_out, 30), (indicated, 0)):
        rows = result.tidy().query("subgroup == 'overall'").set_index("method")
        assert rows.loc["raw", "n_obs"] - rows.loc["aipw", "n_obs"] == lost


def test_a_subgroup_in_one_unit_has_an_estimate_but_no_error_and_leaves_the_others_their_tests():
    frame = respondents()
    here = frame["psu"] == 7
    frame["place"] = np.where(here, "island", frame["district"])
    frame.loc[frame.index[here], "joined"] = [0, 1] * 5
    result = effects(frame, by="place", method="raw", minimum=5)
    rows = rows_of(result, "place", "raw").set_index("level")
    assert rows.loc["island", "reason"] == "no sampling error can be estimated"
    assert np.isfinite(rows.loc["island", "estimate"])
    assert np.isnan(rows.loc["island", "p_holm"])
    assert rows.drop(index="island")["p_holm"].notna().all()
    assert ev.heterogeneity_test(result).ndf == 2
    assert "no sampling error" in ev.plot(result, lang="en").data["row"].str.cat()


def test_one_subgroup_alone_is_refused():
    frame = respondents()
    frame["all"] = "everybody"
    with pytest.raises(EstimationError, match=r"one level among respondents who count \(everybody\)"):
        effects(frame, by="all")


def test_a_subgroup_measured_after_participation_is_refused(tmp_path):
    design = ev.study_design("seoul_2016", "citizens_final")
    book = design.provenance.labels
    later = [name for name in design.data if name in book and book[name].timing == "after"]
    if not later:
        pytest.skip("no column of the survey is declared as measured after participation")
    other = next(name for name in later if name != "stay")
    with pytest.raises(IdentificationError, match="fixed before participation"):
        ev.subgroup_effects(design, outcome="stay", treatment="participant", by=other, method="raw")


def test_no_heterogeneity_of_one_level_or_without_joint_covariance():
    design = design_of(respondents())
    with pytest.raises(EstimationError, match="fewer than two levels"):
        ev.heterogeneity_test(ev.survey_mean(design, "trust"))
    medians = ev.survey_quantile(design, "trust", probabilities=0.5, by="sex")
    with pytest.raises(EstimationError, match="joint covariance"):
        ev.heterogeneity_test(medians)
