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
    with pytest.raises(IdentificationError, match="do not overlap"):
        ev.overlap(design_of(apart), treatment="joined", covariates=COVARIATES)
