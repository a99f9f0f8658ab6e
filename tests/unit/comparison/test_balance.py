"""Balance and overlap: worked by hand, the denominator named, and what is refused."""

import json

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, EstimationError, IdentificationError

COVARIATES = ["age", "sex", "district"]


def design_of(frame):
    return ev.survey_design(frame, weights="w", strata="stratum", psu="psu")


def balance(frame, **options):
    return ev.balance_table(design_of(frame), treatment="joined", **{"covariates": COVARIATES, **options})


def test_a_share_is_standardised_by_the_named_spread():
    frame = pd.DataFrame({"joined": [0] * 4 + [1] * 4, "owner": [0, 0, 0, 1, 0, 0, 1, 1]})
    variances = {"participants": 0.25, "comparison": 0.1875, "pooled": (0.25 + 0.1875) / 2}
    for denominator, variance in variances.items():
        row = (
            ev.balance_table(ev.survey_design(frame), treatment="joined", covariates=["owner"], denominator=denominator)
            .tidy()
            .iloc[0]
        )
        assert row["denominator"] == denominator
        np.testing.assert_allclose(row["smd_raw"], 0.25 / np.sqrt(variance))
        np.testing.assert_allclose(row["smd_weighted"], 0, atol=1e-9)
        assert np.isnan(row["variance_ratio_raw"])


def test_raw_means_are_the_survey_means(respondents):
    table = balance(respondents).tidy().set_index(["covariate", "level"])
    means = ev.survey_mean(design_of(respondents), "age", by="joined").estimate
    np.testing.assert_allclose(
        table.loc[("age", ""), ["mean_comparison_raw", "mean_participants_raw"]].to_numpy(dtype=float), means
    )
    assert table.loc["district"].index.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("estimand", ["ATT", "ATE", "ATC", "ATO"])
def test_weighting_brings_the_groups_together(respondents, estimand):
    table = balance(respondents, estimand=estimand).tidy()
    assert table["smd_weighted"].abs().max() < table["smd_raw"].abs().max() / 2
    if estimand == "ATO":
        np.testing.assert_allclose(table["smd_weighted"], 0, atol=1e-8)
    if estimand == "ATT":
        np.testing.assert_allclose(table["mean_participants_weighted"], table["mean_participants_raw"])


def test_a_formula_shows_the_columns_of_the_model(respondents):
    table = balance(respondents, covariates="~ age + {age**2} + sex").tidy()
    assert table["covariate"].tolist() == ["age", "age ** 2", "sex[T.m]"]


def test_balance_does_not_depend_on_the_scale_of_weights_or_covariates(respondents):
    ours = balance(respondents).tidy()
    moved = balance(respondents.assign(w=respondents["w"] * 1e6, age=respondents["age"] * 1e4 - 7)).tidy()
    for column in ("smd_raw", "smd_weighted", "variance_ratio_raw", "variance_ratio_weighted", "ks_weighted"):
        np.testing.assert_allclose(moved[column], ours[column], rtol=1e-8, atol=1e-9)


def test_a_record_of_balance_is_json(respondents):
    result = balance(respondents)
    record = json.loads(json.dumps(result.to_dict()))
    assert record["fit"]["estimand"] == "ATT"
    assert len(record["rows"]) == 6
    assert repr(result).startswith("balance_table: data frame, estimand ATT, 0 left out")


def test_overlap_counts_who_lies_outside_and_what_is_left():
    age = np.array([1.0, 2, 3, 4, 5, 3, 4, 5, 6, 7])
    frame = pd.DataFrame({"joined": [0] * 5 + [1] * 5, "age": age})
    result = ev.overlap(ev.survey_design(frame), treatment="joined", covariates=["age"])
    participants, others = result.tidy().to_dict("records")
    assert (participants["n_outside"], others["n_outside"]) == (2, 2)
    assert participants["share_outside"] == pytest.approx(0.4)
    assert participants["ess"] == pytest.approx(5)
    assert others["ess"] < 5
    np.testing.assert_allclose(result.histogram.groupby("group")["share"].sum(), 1)
    assert "scores" not in json.dumps(result.to_dict())


def test_who_misses_a_covariate_has_no_score_and_is_counted(respondents):
    gaps = respondents.assign(age=respondents["age"].where(respondents.index % 10 != 0))
    result = ev.overlap(design_of(gaps), treatment="joined", covariates=COVARIATES)
    assert result.n_left_out == 24
    assert np.isnan(result.scores[::10]).all()
    assert balance(gaps).n_left_out == 24


def test_what_cannot_be_balanced_is_refused(respondents):
    with pytest.raises(EstimationError, match="estimand must be one of"):
        balance(respondents, estimand="ITT")
    with pytest.raises(EstimationError, match="estimand must be one of"):
        ev.overlap(design_of(respondents), treatment="joined", covariates=COVARIATES, estimand="ITT")
    with pytest.raises(EstimationError, match="denominator must be"):
        balance(respondents, denominator="all")
    with pytest.raises(ColumnError, match="Did you mean 'age'"):
        balance(respondents, covariates=["ages"])
    apart = respondents.assign(age=respondents["age"] + 100 * respondents["joined"])
    with pytest.raises(IdentificationError, match="tells for certain who participates"):
        ev.overlap(design_of(apart), treatment="joined", covariates=COVARIATES)


def test_every_method_stands_in_one_table_with_its_verdict(respondents):
    design, groups = design_of(respondents), {"treatment": "joined", "covariates": COVARIATES}
    methods = {
        "ipw": ev.propensity_weights(design, **groups),
        "entropy": ev.entropy_balance(design, **groups),
    }
    made = ev.balance_table(methods)
    long = made.tidy()
    assert long["method"].unique().tolist() == ["unweighted", "survey_weighted", "ipw", "entropy"]
    exact = long[(long["method"] == "entropy")]
    np.testing.assert_allclose(exact["smd"], 0, atol=1e-8)
    one = ev.balance_table(methods["ipw"]).tidy()
    np.testing.assert_allclose(long.loc[long["method"] == "ipw", "smd"], one["smd_weighted"])
    np.testing.assert_allclose(long.loc[long["method"] == "survey_weighted", "smd"], one["smd_raw"])
    verdicts = made.verdicts.set_index("method")
    assert verdicts.loc["entropy", "largest_smd"] < 1e-8
    assert verdicts.loc["ipw", "largest_smd"] == long.loc[long["method"] == "ipw", "smd"].abs().max()
    own = methods["entropy"].weights[(respondents["joined"] == 0).to_numpy()]
    assert verdicts.loc["entropy", "ess_comparison"] == pytest.approx(own.sum() ** 2 / (own**2).sum())
    assert made.is_balanced["entropy"] == bool(verdicts.loc["entropy", "is_balanced"])


def test_unequal_spreads_fail_the_verdict_although_means_agree():
    frame = pd.DataFrame({"joined": [0, 0, 0, 0, 1, 1, 1, 1], "age": [40.0, 41, 39, 40, 20, 60, 30, 50]})
    made = ev.balance_table(ev.entropy_balance(ev.survey_design(frame), treatment="joined", covariates=["age"]))
    verdict = made.verdicts.iloc[-1]
    assert verdict["largest_smd"] < 1e-8
    assert verdict["variance_ratio_high"] > 2
    assert not made.is_balanced
    assert made.failed == ("balance",)
    assert made.rows["variance_ratio_weighted"].iloc[0] == verdict["variance_ratio_high"]


def test_a_design_that_is_balanced_already_passes():
    frame = pd.DataFrame({"joined": [0, 0, 1, 1], "age": [30.0, 50, 30, 50]})
    made = ev.balance_table(ev.survey_design(frame), treatment="joined", covariates=["age"])
    assert made.is_balanced
    assert made.failed == ()


def test_squares_and_products_are_those_of_the_columns(respondents):
    design = ev.entropy_balance(design_of(respondents), treatment="joined", covariates=COVARIATES)
    made = ev.balance_table(design, squares=True, interactions=True).tidy().set_index(["covariate", "level"])
    product = respondents.assign(z=respondents["age"] * (respondents["sex"] == "f"), q=respondents["age"] ** 2)
    plain = ev.balance_table(
        design_of(product), treatment="joined", covariates=["z", "q"], denominator="participants"
    ).tidy()
    np.testing.assert_allclose(
        made.loc[[("age:sex[f]", ""), ("age:age", "")], "smd_raw"].to_numpy(), plain["smd_raw"], rtol=1e-10
    )
    assert ("sex[f]:district[b]", "") in made.index
    assert ("sex[f]:sex[m]", "") not in made.index


def test_the_distance_of_distributions_is_that_of_every_value():
    """Bins find the same distance as looking at every value, ties and long tails included."""
    rng = np.random.default_rng(5)
    for x in (rng.normal(size=4000), np.exp(3 * rng.normal(size=4000)), np.where(rng.random(4000) < 0.6, 0.0, 9e4)):
        x = x + np.where(rng.random(4000) < 0.1, 0.125, 0.0)
        joined = (rng.random(4000) < 0.3 + 0.1 * (x > np.median(x))).astype(int)
        frame = pd.DataFrame({"x": x, "joined": joined, "w": rng.random(4000) + 0.2})
        made = ev.balance_table(ev.survey_design(frame, weights="w"), treatment="joined", covariates=["x"]).tidy()
        sides = []
        for group in (0, 1):
            own = frame[frame["joined"] == group].sort_values("x")
            below = np.concatenate([[0.0], np.cumsum(own["w"]) / own["w"].sum()])
            sides.append(below[np.searchsorted(own["x"], np.sort(x), side="right")])
        assert made["ks_raw"].iloc[0] == pytest.approx(np.abs(sides[1] - sides[0]).max(), abs=1e-12)


def test_missing_covariates_of_a_balanced_design_are_a_row_of_their_own(respondents):
    gaps = respondents.assign(age=respondents["age"].where(respondents.index % 10 != 0))
    design = ev.entropy_balance(design_of(gaps), treatment="joined", covariates=["age", "sex"], missing="indicator")
    rows = ev.balance_table(design).tidy().set_index(["covariate", "level"])
    missing = rows.loc[("age", "missing")]
    weights = gaps["w"][gaps["joined"] == 1]
    share = weights[gaps["age"].isna()[gaps["joined"] == 1]].sum() / weights.sum()
    assert missing["mean_participants_raw"] == pytest.approx(share)
    assert abs(missing["smd_weighted"]) < 1e-8


def test_overlap_of_a_balanced_design_shows_its_own_weights(respondents):
    groups = {"treatment": "joined", "covariates": COVARIATES}
    for design in (
        ev.propensity_weights(design_of(respondents), **groups, estimand="ATM"),
        ev.entropy_balance(design_of(respondents), **groups),
    ):
        rows = ev.overlap(design).tidy().set_index("group")
        for group in (0, 1):
            own = design.weights[(respondents["joined"] == group).to_numpy()]
            assert rows.loc[str(group), "ess"] == pytest.approx(own.sum() ** 2 / (own**2).sum())
            assert rows.loc[str(group), "largest_weight_share"] == pytest.approx(own.max() / own.sum())
    plain = ev.overlap(design_of(respondents), **groups, estimand="ATM").tidy()
    again = ev.overlap(ev.propensity_weights(design_of(respondents), **groups, estimand="ATM")).tidy()
    pd.testing.assert_frame_equal(plain, again)


def test_what_cannot_stand_side_by_side_is_refused(respondents):
    design, groups = design_of(respondents), {"treatment": "joined", "covariates": COVARIATES}
    att, ato = ev.entropy_balance(design, **groups), ev.propensity_weights(design, **groups, estimand="ATO")
    with pytest.raises(EstimationError, match="denominator='pooled'"):
        ev.balance_table({"att": att, "ato": ato})
    assert len(ev.balance_table({"att": att, "ato": ato}, denominator="pooled").verdicts) == 4
    with pytest.raises(EstimationError, match="balanced' is another one under each method"):
        ev.balance_table({"att": att, "again": att}, denominator="balanced")
    with pytest.raises(EstimationError, match="the weights were made for estimand='ATT'"):
        ev.balance_table(att, estimand="ATE")
    with pytest.raises(EstimationError, match="Name treatment= and covariates="):
        ev.balance_table(design)
    other = ev.entropy_balance(design_of(respondents.iloc[:200]), **groups)
    with pytest.raises(EstimationError, match="different respondents"):
        ev.balance_table({"all": att, "some": other})
    with pytest.raises(ColumnError, match="covariates must name at least one column"):
        ev.balance_table(design, treatment="joined", covariates=[])
    with pytest.raises(EstimationError, match="names no method"):
        ev.balance_table({})


def test_matched_pairs_stand_beside_weights(respondents):
    design, groups = design_of(respondents), {"treatment": "joined", "covariates": COVARIATES}
    matched = ev.match(design, **groups, method="nearest", replacement=True)
    made = ev.balance_table({"pairs": matched, "scores": ev.propensity_weights(design, **groups)})
    rows = made.tidy().set_index(["covariate", "level", "method"])
    own = respondents["joined"] == 0
    mean = np.average(respondents["age"][own], weights=matched.weights[own])
    assert rows.loc[("age", "", "pairs"), "mean_comparison"] == pytest.approx(mean)
    assert rows.loc[("age", "", "survey_weighted"), "mean_comparison"] == pytest.approx(
        np.average(respondents["age"][own], weights=respondents["w"][own])
    )
    one = ev.balance_table(matched)
    np.testing.assert_allclose(one.tidy()["smd_weighted"], rows.xs("pairs", level="method")["smd"])
    effective = ev.overlap(matched).tidy().set_index("group").loc["0", "ess"]
    kept = matched.weights[own]
    assert effective == pytest.approx(kept.sum() ** 2 / (kept**2).sum())


def test_means_of_levels_that_few_have_are_hidden_and_their_differences_stay():
    survey = ev.read_survey("seoul_2016")
    design = ev.survey_design(survey, weights="weight", strata="district", psu="block_draw")
    groups = {"treatment": "participant", "covariates": ["sex", "age_class"]}
    described = ev.table_one(design, **groups).tidy()
    for made in (
        ev.balance_table(design, **groups),
        ev.balance_table({"entropy": ev.entropy_balance(design, **groups)}),
    ):
        rows = made.tidy()
        few = rows["mark"] != ""
        assert set(rows.loc[few, "level"]) == set(described.loc[described["mark"] != "", "level"])
        means = [name for name in rows if name.startswith("mean_")]
        assert rows.loc[few, means].isna().all().all()
        assert rows.loc[~few, means].notna().all().all()
        assert rows[[name for name in rows if name.startswith("smd")]].notna().all().all()
        assert "[c]" in repr(ev.table(made, lang="en"))
