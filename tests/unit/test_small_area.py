"""Small areas: the model by brute force and simulation, waves put together, and what is refused."""

from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import optimize

import evaluation as ev
from evaluation import wording
from evaluation.errors import ColumnError, EstimationError, IdentificationError
from evaluation.estimation.area_model import fit_area_model
from evaluation.results import Estimates, Provenance

AREAS = 25
SAE_TOLERANCE = 1e-5  # R's sae stops Fisher scoring at 1e-4 and prints seven digits
MILK = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("milk_expenditure.py"))))


def likelihood(variance, y, x, sampling, residual):
    total = variance + sampling
    cross = x.T @ (x / total[:, None])
    left = y - x @ np.linalg.solve(cross, x.T @ (y / total))
    value = np.log(total).sum() + (left**2 / total).sum()
    return -0.5 * (value + (np.linalg.slogdet(cross)[1] if residual else 0.0))


def areas_with_truth(seed, m=30, variance=1.0):
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(m), np.linspace(-1, 1, m)])
    sampling = np.linspace(0.3, 2, m)
    truth = x @ [1.0, 2.0] + rng.normal(size=m) * np.sqrt(variance)
    return truth, truth + rng.normal(size=m) * np.sqrt(sampling), x, sampling


@pytest.mark.parametrize("method", ["REML", "ML", "FH"])
def test_the_published_example_is_that_of_r_sae(method):
    estimate, error = np.array(MILK.DIRECT).T
    direct = Estimates(
        verb="survey_mean",
        keys=pd.DataFrame({"term": "expenditure", "area": range(1, 44)}),
        estimate=estimate,
        vcov=np.diag(error**2),
        df=np.full(43, np.inf),
        n_obs=np.full(43, 200),
        provenance=Provenance(),
    )
    covariates = pd.DataFrame({"area": range(1, 44)})
    for major in (2, 3, 4):
        covariates[f"major_{major}"] = (np.array(MILK.MAJOR) == major).astype(float)
    result = ev.fay_herriot(direct, covariates, method=method)
    assert result.estimate[MILK.AREAS] == pytest.approx(MILK.EBLUP[method], rel=SAE_TOLERANCE)
    assert result.std_error[MILK.AREAS] ** 2 == pytest.approx(MILK.ERROR[method], rel=SAE_TOLERANCE)
    if method == "REML":
        assert list(result.fit["coefficients"].values()) == pytest.approx(MILK.COEFFICIENTS, rel=SAE_TOLERANCE)
        errors = list(result.fit["coefficient_errors"].values())
        assert errors == pytest.approx(MILK.COEFFICIENT_ERRORS, rel=SAE_TOLERANCE)


@pytest.mark.parametrize("method", ["REML", "ML"])
@pytest.mark.parametrize("seed", range(5))
def test_the_variance_between_areas_is_the_likeliest(method, seed):
    _, y, x, sampling = areas_with_truth(seed)
    found = optimize.minimize_scalar(
        lambda a: -likelihood(a, y, x, sampling, method == "REML"),
        bounds=(0, 20),
        method="bounded",
        options={"xatol": 1e-10},
    )
    assert fit_area_model(y, x, sampling, method).variance == pytest.approx(found.x, rel=1e-6, abs=1e-8)


def test_the_moment_equation_is_met():
    for seed in range(5):
        _, y, x, sampling = areas_with_truth(seed)
        model = fit_area_model(y, x, sampling, "FH")
        left = y - x @ model.coefficients
        assert (left**2 / (model.variance + sampling)).sum() == pytest.approx(28, rel=1e-9)


def test_equal_sampling_variances_by_hand():
    y, x, sampling = np.array([1.0, 4.0, 2.0, 7.0]), np.ones((4, 1)), np.full(4, 0.5)
    spread = y.var(ddof=1)  # 7
    for method, variance in (("REML", spread - 0.5), ("ML", spread * 3 / 4 - 0.5), ("FH", spread - 0.5)):
        model = fit_area_model(y, x, sampling, method)
        assert model.variance == pytest.approx(variance, rel=1e-9)
        kept = variance / (variance + 0.5)
        assert model.predicted(y, x, sampling)[0] == pytest.approx(kept * y + (1 - kept) * 3.5)
    model = fit_area_model(y, x, sampling, "REML")
    total, share = spread, 0.5 / spread
    by_hand = 6.5 * share + share**2 * total / 4 + 2 * share**2 / total * (2 * total**2 / 4)
    assert model.predicted(y, x, sampling)[1] == pytest.approx(np.full(4, by_hand))


@pytest.mark.parametrize("method", ["REML", "ML", "FH", "AREML"])
def test_mean_squared_errors_are_those_of_a_parametric_bootstrap(method):
    stated, made, plain = 0.0, 0.0, 0.0
    for seed in range(400):
        truth, y, x, sampling = areas_with_truth(1000 + seed)
        predicted, error = fit_area_model(y, x, sampling, method).predicted(y, x, sampling)
        stated += error.mean()
        made += ((predicted - truth) ** 2).mean()
        plain += ((y - truth) ** 2).mean()
    assert stated == pytest.approx(made, rel=0.05)
    assert made < 0.6 * plain


def respondents(seed=0, per_area=14):
    rng = np.random.default_rng(seed)
    area = np.repeat(np.arange(AREAS), per_area)
    income = rng.normal(size=AREAS)
    truth = 3 + income + rng.normal(size=AREAS) * 0.5
    frame = pd.DataFrame({"gu": [f"g{a:02d}" for a in area], "psu": np.arange(len(area)) // 2})
    frame["y"] = truth[area] + rng.normal(size=len(area)) * 2
    frame["yes"] = (rng.random(len(area)) < 0.3 + 0.1 * income.clip(-1, 1)[area]).astype(float)
    covariates = pd.DataFrame({"gu": [f"g{a:02d}" for a in range(AREAS)], "income": income})
    return frame, covariates, truth


def test_predictions_stand_beside_direct_estimates_and_come_nearer_to_the_truth():
    frame, covariates, truth = respondents()
    design = ev.survey_design(frame, psu="psu")
    direct = ev.survey_mean(design, "y", by="gu")
    result = ev.fay_herriot(direct, covariates)
    assert result.columns["direct"] == pytest.approx(direct.estimate)
    assert result.columns["direct_error"] == pytest.approx(direct.std_error)
    assert ((result.estimate - truth) ** 2).mean() < 0.8 * ((direct.estimate - truth) ** 2).mean()
    kept = result.columns["shrinkage"]
    variance = result.fit["model_variance"]
    assert kept == pytest.approx(variance / (variance + direct.std_error**2))
    synthetic = result.fit["coefficients"]["(Intercept)"] + result.fit["coefficients"]["income"] * covariates["income"]
    assert result.estimate == pytest.approx((kept * direct.estimate + (1 - kept) * synthetic).to_numpy())
    assert result.fit["areas_used"] == AREAS
    assert result.fit["largest_correlation"] < 1e-12
    assert (result.confidence_interval()[:, 1] - result.estimate)[0] == pytest.approx(1.959964 * result.std_error[0])


def test_areas_without_respondents_or_variance_have_the_models_prediction_alone():
    frame, covariates, _ = respondents()
    lonely = frame[(frame["gu"] != "g03") & ((frame["gu"] != "g07") | (frame["psu"] == frame["psu"][7 * 14]))]
    direct = ev.survey_mean(ev.survey_design(lonely, psu="psu"), "y", by="gu")
    result = ev.fay_herriot(direct, covariates)
    basis = dict(zip(result.keys["gu"], result.columns["basis"], strict=True))
    assert basis["g03"] == "model alone: no respondents"
    assert basis["g07"] == "model alone: no reliable sampling variance"
    assert basis["g00"] == "direct and model"
    rows = result.tidy().set_index("gu")
    assert rows.loc["g03", "std_error"] ** 2 > result.fit["model_variance"]
    assert np.isnan(rows.loc["g03", "direct"])
    assert rows.loc["g07", "direct"] == pytest.approx(lonely["y"][lonely["gu"] == "g07"].mean())
    pooled = ev.fay_herriot(direct, covariates, variance_smoothing="pooled")
    assert dict(zip(pooled.keys["gu"], pooled.columns["basis"], strict=True))["g07"] == "direct and model"
    assert pooled.columns["shrinkage"][7] < pooled.columns["shrinkage"][8]


def test_a_variance_on_too_few_degrees_of_freedom_is_not_believed():
    frame, covariates, _ = respondents()
    own = frame["gu"] == "g02"
    frame = frame[~own | (frame.groupby("gu").cumcount() < 4)].copy()
    frame.loc[frame["gu"] == "g02", "y"] = [9.0, 9.0, 9.01, 9.01]
    direct = ev.survey_mean(ev.survey_design(frame, psu="psu"), "y", by="gu")
    careful = ev.fay_herriot(direct, covariates)
    assert careful.columns["basis"][2] == "model alone: no reliable sampling variance"
    assert ev.fay_herriot(direct, covariates, minimum_df=1).columns["shrinkage"][2] > 0.999
    assert 0 < ev.fay_herriot(direct, covariates, variance_smoothing="pooled").columns["shrinkage"][2] < 0.9


def test_a_variance_of_zero_is_said():
    frame, covariates, _ = respondents()
    rng = np.random.default_rng(8)
    direct = ev.survey_mean(ev.survey_design(frame.assign(y=rng.normal(size=len(frame)))), "y", by="gu")
    still = replace(direct, estimate=np.full(AREAS, 1.0) + np.linspace(0, 0.01, AREAS))
    result = ev.fay_herriot(still, covariates)
    assert result.fit["model_variance"] == 0
    assert "model variance zero: the model's prediction alone" in repr(result)
    assert (result.columns["shrinkage"] == 0).all()


def test_shares_may_leave_their_bounds_and_their_limits_are_cut():
    frame, covariates, _ = respondents(per_area=8)
    direct = ev.survey_mean(ev.survey_design(frame), "yes", by="gu")
    result = ev.fay_herriot(direct, covariates, variance_smoothing="pooled")
    assert result.fit["outside_0_1"] == 0
    limits = result.confidence_interval()
    assert limits.min() >= 0
    assert limits.max() <= 1
    assert result.interval_method == "normal, cut at 0 and 1"
    far = covariates.assign(income=covariates["income"].where(covariates["gu"] != "g00", 500.0))
    absent = ev.survey_mean(ev.survey_design(frame[frame["gu"] != "g00"]), "yes", by="gu")
    assert ev.fay_herriot(absent, far, variance_smoothing="pooled").fit["outside_0_1"] == 1


def test_direct_estimates_that_may_not_be_shown_are_not_shown_beside():
    frame, covariates, _ = respondents()
    few = frame[(frame["gu"] != "g05") | (frame.index % 14 < 3)]
    direct = ev.survey_mean(ev.survey_design(few), "y", by="gu")
    guarded = replace(direct, provenance=replace(direct.provenance, min_cell=5, min_base=14))
    result = ev.fay_herriot(guarded, covariates)
    row = result.tidy().set_index("gu").loc["g05"]
    assert row["basis"] == "model alone: too few respondents"
    assert row[["direct", "direct_error", "shrinkage", "n_area"]].isna().all()
    assert np.isfinite(row["estimate"])
    assert result.marks == [""] * AREAS


def test_an_area_hidden_for_what_was_answered_there_has_no_value_and_one_hidden_for_its_size_has():
    frame, covariates, _ = respondents()
    place = frame.groupby("gu").cumcount()
    frame["yes"] = (place % 2).astype(float)
    frame.loc[frame["gu"] == "g05", "yes"] = (place > 1).astype(float)
    frame = frame[(frame["gu"] != "g06") | (place < 3)]
    frame = frame[frame["gu"] != "g07"]
    made = ev.survey_mean(ev.survey_design(frame), "yes", by="gu")
    direct = replace(made, provenance=replace(made.provenance, min_cell=5, min_base=5))
    # Once masked, the count of g06 is hidden too, so that nobody can tell why it is.
    for given, gone in ((direct, ["g05"]), (direct.masked(), ["g05", "g06"])):
        result = ev.fay_herriot(given, covariates, variance_smoothing="pooled", method="AREML")
        rows = result.tidy().set_index("gu")
        hidden = rows.loc["g05"]
        assert hidden["basis"] == "no value: too few gave one of the answers"
        assert hidden["mark"] == "[c]"
        assert hidden[["estimate", "std_error", "conf_low", "direct", "shrinkage", "n_area"]].isna().all()
        assert rows.index[rows["estimate"].isna()].tolist() == gone
        assert rows.drop(gone).loc["g06":"g07", "basis"].str.startswith("model alone").all()
        assert (result.fit["areas_refused"], result.fit["areas_by_model_alone"]) == (len(gone), 3 - len(gone))
    assert "값 없음: 한 응답을 고른 사람이 너무 적음" in repr(ev.table(result, lang="ko"))


def test_an_area_where_all_gave_one_answer_has_no_value_after_its_refusal():
    frame, covariates, _ = respondents()
    frame["yes"] = (frame.groupby("gu").cumcount() % 2).astype(float)
    frame.loc[frame["gu"] == "g04", "yes"] = 1.0
    direct = ev.refuse_small(ev.survey_mean(ev.survey_design(frame), "yes", by="gu"), minimum_n=1, minimum_df=1)
    assert direct.columns["refused_because"][4] == "no sampling error can be estimated"
    result = ev.fay_herriot(direct, covariates, variance_smoothing="pooled", method="AREML")
    assert np.flatnonzero(np.isnan(result.estimate)).tolist() == [4]


def test_waves_put_together_are_named_below_the_model_and_in_its_rows():
    frame, covariates, _ = respondents()
    made = ev.survey_mean(ev.survey_design(frame[frame["gu"] != "g03"]), "y", by="gu")
    titled = replace(made.provenance, title={"en": "Ten waves", "ko": "열 조사"})
    told = np.full(len(made), "2014, 2015, 2016", dtype=object)
    result = ev.fay_herriot(replace(made, provenance=titled, columns={"waves_pooled": told}), covariates)
    waves = dict(zip(result.keys["gu"], result.columns["waves_pooled"], strict=True))
    assert (waves["g03"], waves["g04"]) == ("", "2014, 2015, 2016")
    assert "Ten waves: 2014, 2015, 2016" in ev.table(result, lang="en").caption
    mixed = np.where(np.arange(len(made)) < 3, "2014, 2015", told).astype(object)
    several = ev.fay_herriot(replace(made, provenance=titled, columns={"waves_pooled": mixed}), covariates)
    assert several.provenance.title["en"] == "Ten waves"


def test_other_scales_and_orders_of_areas_change_nothing():
    frame, covariates, _ = respondents()
    first = ev.fay_herriot(ev.survey_mean(ev.survey_design(frame), "y", by="gu"), covariates)
    scaled = ev.survey_mean(ev.survey_design(frame.assign(y=frame["y"] * 1000)), "y", by="gu")
    second = ev.fay_herriot(scaled, covariates.iloc[::-1].assign(income=covariates["income"] * 7))
    assert second.estimate[::-1] == pytest.approx(1000 * first.estimate, rel=1e-7)
    assert second.std_error[::-1] == pytest.approx(1000 * first.std_error, rel=1e-7)


def test_what_is_no_area_model_is_refused():
    frame, covariates, _ = respondents()
    design = ev.survey_design(frame)
    direct = ev.survey_mean(design, "y", by="gu")
    with pytest.raises(EstimationError, match="one row per area, but 25 rows"):
        ev.fay_herriot(ev.survey_mean(design, ["y", "yes"], by="gu"), covariates)
    with pytest.raises(EstimationError, match=r"1 areas of the estimates have no covariates: \['g04'\]"):
        ev.fay_herriot(direct, covariates[covariates["gu"] != "g04"])
    with pytest.raises(ColumnError, match="with the area column 'gu'"):
        ev.fay_herriot(direct, covariates.rename(columns={"gu": "district"}))
    with pytest.raises(ColumnError, match="'income' is missing or infinite in 1 areas") as caught:
        ev.fay_herriot(direct, covariates.assign(income=covariates["income"].where(covariates.index > 0)))
    assert caught.value.failures["gu"].tolist() == ["g00"]
    with pytest.raises(ColumnError, match="expected numbers"):
        ev.fay_herriot(direct, covariates.assign(kind="a"))
    with pytest.raises(IdentificationError, match="'twice' is constant or a combination"):
        ev.fay_herriot(direct, covariates.assign(twice=2 * covariates["income"]))
    with pytest.raises(IdentificationError, match=r"3 areas .* cannot identify 2 coefficients"):
        ev.fay_herriot(direct.take(np.arange(3)), covariates)
    with pytest.raises(EstimationError, match="needs estimates by one column"):
        ev.fay_herriot(ev.survey_mean(design, "y"), covariates)
    with pytest.raises(EstimationError, match="method must be one of REML, ML, FH"):
        ev.fay_herriot(direct, covariates, method="reml")


def waves(seed=0, shared=True):
    rng = np.random.default_rng(seed)
    rows = []
    for year in (2014, 2015, 2016):
        for district in "abc":
            for psu in range(6):
                for _ in range({"a": 4, "b": 3, "c": 1}[district]):
                    block = f"{district}{psu}" + ("" if shared else f"-{year}")
                    rows.append((year, district, block, ord(block[1])))
    frame = pd.DataFrame(rows, columns=["year", "district", "psu", "level"])
    frame["y"] = frame["level"] + rng.normal(size=len(frame))
    frame["w"] = rng.uniform(1, 3, len(frame))
    return frame


def test_waves_count_alike_and_their_covariance_is_counted():
    design = ev.survey_design(waves(), weights="w", strata="district", psu="psu")
    result = ev.pooled_waves(design, "y", minimum_n=10)
    means = ev.survey_mean(design, "y", by=["district", "year"])
    third = {f"y | district=a,year={year}": 1 / 3 for year in (2014, 2015, 2016)}
    by_hand = ev.contrast(means, {"a": third})
    assert result.estimate[0] == pytest.approx(by_hand.estimate[0], rel=1e-12)
    assert result.std_error[0] == pytest.approx(by_hand.std_error[0], rel=1e-12)
    separate = np.sqrt(sum(means.std_error[:3] ** 2)) / 3
    assert result.std_error[0] > 1.3 * separate
    assert result.n_obs.tolist() == [72, 54, 18]
    assert result.df.tolist() == [5, 5, 5]
    assert result.fit["assumption"] == "the same level in every wave"


def test_units_of_one_wave_only_bring_degrees_of_freedom_of_their_own():
    design = ev.survey_design(waves(shared=False), weights="w", strata="district", psu="psu")
    assert ev.pooled_waves(design, "y", minimum_n=10).df.tolist() == [17, 17, 17]


def test_a_change_between_waves_is_told():
    frame = waves(seed=3, shared=False)
    frame["y"] += 8 * (frame["year"] == 2016) * (frame["district"] == "a")
    result = ev.pooled_waves(ev.survey_design(frame, weights="w", strata="district", psu="psu"), "y", minimum_n=10)
    assert result.columns["waves_alike"][0] < 0.001
    assert result.columns["waves_alike"][1] > 0.05


def test_too_little_is_refused_in_words_of_both_languages():
    frame = waves()
    frame = frame[(frame["district"] != "b") | (frame["year"] != 2015)]
    design = ev.survey_design(frame, weights="w", strata="district", psu="psu")
    result = ev.pooled_waves(design, "y")
    reasons = result.columns["refused_because"].tolist()
    assert reasons == ["", "nobody in one of the waves", "fewer respondents than the stated minimum"]
    assert result.tidy()[["estimate", "std_error", "conf_low", "waves_alike"]].iloc[1:].isna().all(axis=None)
    assert np.isfinite(result.estimate[0])
    assert result.fit["minimum_n"] == 30
    korean = [wording.term(reason, "ko") for reason in reasons[1:]]
    assert korean == ["응답자가 없는 조사 연도가 있음", "응답자가 정해 둔 최소 인원에 못 미침"]
    assert "응답자가 정해 둔 최소 인원에 못 미침" in repr(ev.table(result, lang="ko"))
    strict = ev.pooled_waves(design, "y", waves=[2014, 2016], minimum_n=10, minimum_df=6)
    assert set(strict.columns["refused_because"]) == {"fewer degrees of freedom than the stated minimum"}


def test_any_estimates_may_be_refused_and_a_refused_number_cannot_be_contrasted():
    design = ev.survey_design(waves(), weights="w", strata="district", psu="psu")
    shares = ev.refuse_small(ev.survey_mean(design, ["y", "w"], by="district"), minimum_n=20)
    assert shares.columns["refused_because"].tolist() == ["", "", "fewer respondents than the stated minimum"] * 2
    gap = ev.contrast(shares, {"gap": {"y | district=a": 1, "y | district=c": -1}})
    assert np.isnan([gap.estimate[0], gap.std_error[0]]).all()
    kept = ev.contrast(shares, {"gap": {"y | district=a": 1, "y | district=b": -1}})
    plain = ev.survey_mean(design, "y", by="district")
    assert kept.std_error == pytest.approx(
        ev.contrast(plain, {"gap": {"y | district=a": 1, "y | district=b": -1}}).std_error
    )


def test_pooled_waves_feed_the_area_model_and_replicates():
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"gu": np.tile([f"g{i:02d}" for i in range(12)], 60), "year": np.repeat([2015, 2016], 360)})
    frame["y"] = rng.normal(size=720)
    design = ev.survey_design(frame)
    pooled = ev.pooled_waves(design, "y", by="gu", minimum_n=2, minimum_df=1)
    covariates = pd.DataFrame({"gu": [f"g{i:02d}" for i in range(13)], "x": rng.normal(size=13)})
    result = ev.fay_herriot(pooled, covariates)
    assert result.columns["basis"].tolist() == ["direct and model"] * 12 + ["model alone: no respondents"]
    replicated = ev.pooled_waves(ev.as_replicates(design, kind="JK1"), "y", by="gu", minimum_n=2, minimum_df=1)
    assert replicated.std_error == pytest.approx(pooled.std_error, rel=0.05)
    assert pooled.influence is not None
    assert pooled.influence.shape == (720, 12)


def test_what_are_no_waves_is_refused():
    design = ev.survey_design(waves(), weights="w", strata="district", psu="psu")
    with pytest.raises(EstimationError, match=r"nobody in the domain has year = 2017"):
        ev.pooled_waves(design, "y", waves=[2016, 2017])
    with pytest.raises(EstimationError, match="two different waves and more"):
        ev.pooled_waves(design, "y", waves=[2016])
    with pytest.raises(ColumnError, match="cannot be an area too"):
        ev.pooled_waves(design, "y", by=["district", "year"])
    with pytest.raises(EstimationError, match="minima must be 0 or above"):
        ev.pooled_waves(design, "y", minimum_n=-1)


@pytest.mark.parametrize("seed", range(5))
def test_the_adjusted_likelihood_is_largest_above_zero(seed):
    """Li and Lahiri (2010): the residual likelihood times the variance; where the other ends at zero, it does not."""
    _, y, x, sampling = areas_with_truth(seed)
    sampling = sampling * 40
    assert fit_area_model(y, x, sampling, "REML").variance == 0
    found = optimize.minimize_scalar(
        lambda a: -likelihood(a, y, x, sampling, True) - np.log(a),
        bounds=(1e-9, 20),
        method="bounded",
        options={"xatol": 1e-11},
    )
    model = fit_area_model(y, x, sampling, "AREML")
    assert model.variance == pytest.approx(found.x, rel=1e-5)
    assert model.variance > 0
    assert (model.predicted(y, x, sampling)[1] > 0).all()
    assert (model.shrinkage(sampling) > 0).all()


def test_areas_whose_direct_estimate_is_refused_have_the_models_prediction_and_say_so():
    frame, covariates, _ = respondents()
    lost = frame["gu"].isin(["g03", "g07"]) & (frame.groupby("gu").cumcount() > 5)
    direct = ev.survey_mean(ev.survey_design(frame[~lost], psu="psu"), "y", by="gu")
    result = ev.fay_herriot(ev.refuse_small(direct, minimum_n=10, minimum_df=2), covariates)
    basis = dict(zip(result.keys["gu"], result.columns["basis"], strict=True))
    assert {gu for gu, why in basis.items() if why == "model alone: the direct estimate is refused"} == {"g03", "g07"}
    assert np.isfinite(result.estimate).all()
    assert np.isfinite(result.std_error).all()
