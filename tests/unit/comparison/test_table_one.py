"""Table 1: worked by hand, missing values shown, small cells hidden, laid out in both languages."""

import json

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, EstimationError, IdentificationError

PEOPLE = pd.DataFrame(
    {
        "joined": [0, 0, 0, 0, 1, 1],
        "age": [20.0, 30.0, 40.0, np.nan, 50.0, 60.0],
        "sex": ["f", "m", "f", "f", "m", None],
        "owner": [0, 1, 1, 0, 1, 1],
        "w": [1.0, 1.0, 2.0, 4.0, 1.0, 3.0],
    }
)


def made(frame=PEOPLE, **options):
    design = ev.survey_design(frame, weights="w")
    return ev.table_one(design, treatment="joined", **{"covariates": ["age", "sex", "owner"], **options})


def test_means_shares_and_missing_values_by_hand():
    rows = made().tidy().set_index(["covariate", "level"])
    assert rows["kind"].tolist() == ["number", "missing", "level", "level", "missing", "share"]
    age = rows.loc[("age", "")]
    assert age[["participants", "comparison", "everybody"]].tolist() == pytest.approx([57.5, 32.5, 45.0])
    # Weighted variance with divisor W - sum(w^2)/W: of 50 and 60 with weights 1 and 3.
    assert age["sd_participants"] == pytest.approx(np.sqrt((1 * 7.5**2 + 3 * 2.5**2) / (4 - 10 / 4)))
    assert age["smd"] == pytest.approx(25.0 / age["sd_participants"])
    assert rows.loc[("age", "missing"), ["participants", "comparison"]].tolist() == pytest.approx([0.0, 0.5])
    assert rows.loc[("sex", "m"), ["participants", "comparison", "everybody"]].tolist() == pytest.approx(
        [1.0, 1 / 8, 2 / 9]
    )
    assert rows.loc[("sex", "missing"), ["participants", "everybody"]].tolist() == pytest.approx([0.75, 0.25])
    assert rows.loc[("owner", ""), ["n_participants", "n_comparison"]].tolist() == [2, 2]


def test_sizes_are_counts_weighted_counts_and_shares():
    sizes = made().sizes.set_index("group")
    assert sizes["n_obs"].tolist() == [2, 4, 6]
    assert sizes["weighted_n"].tolist() == [4.0, 8.0, 12.0]
    np.testing.assert_allclose(sizes["share"], [1 / 3, 2 / 3, 1])


def test_its_differences_are_the_raw_ones_of_balance(respondents):
    design = ev.survey_design(respondents, weights="w", strata="stratum", psu="psu")
    groups = {"treatment": "joined", "covariates": ["age", "sex", "district"]}
    for denominator, estimand in (("participants", "ATT"), ("comparison", "ATC"), ("pooled", "ATE")):
        rows = ev.table_one(design, **groups, denominator=denominator).tidy()
        balance = ev.balance_table(design, **groups, estimand=estimand).tidy()
        np.testing.assert_allclose(rows["smd"], balance["smd_raw"], rtol=1e-12)
        assert rows["denominator"].unique().tolist() == [denominator]


def test_tests_are_those_of_the_survey_and_only_on_request(respondents):
    design = ev.survey_design(respondents, weights="w", strata="stratum", psu="psu")
    groups = {"treatment": "joined", "covariates": ["age", "sex"]}
    assert "p_value" not in ev.table_one(design, **groups).tidy()
    rows = ev.table_one(design, **groups, p_values=True).tidy()
    assert rows["p_value"].iloc[0] == ev.survey_ttest(design, "age", by="joined").p_value
    assert rows["p_value"].iloc[1] == ev.survey_chisq(design, "sex", "joined").p_value
    assert np.isnan(rows["p_value"].iloc[2])


def test_numbers_can_be_shown_by_level():
    rows = made(covariates=["owner"], in_levels="owner").tidy()
    assert rows["level"].tolist() == ["0", "1"]
    assert rows["participants"].tolist() == [0.0, 1.0]


def test_small_cells_are_hidden_with_a_second_one_beside_them():
    survey = ev.read_survey("seoul_2016")
    design = ev.survey_design(survey, weights="weight", strata="district", psu="block_draw")
    rows = ev.table_one(design, treatment="participant", covariates=["sex", "age_class"]).tidy()
    hidden = rows[rows["mark"] != ""]
    assert len(hidden) >= 2
    assert set(hidden["covariate"]) == {"age_class"}
    assert hidden[["participants", "comparison", "everybody", "smd", "n_participants"]].isna().all().all()
    shown = rows[rows["mark"] == ""]
    assert (shown["n_participants"] >= 5).all()


@pytest.mark.parametrize(("lang", "words"), [("en", ("Women", "mean (SD)")), ("ko", ("여성", "평균 (표준편차)"))])
def test_it_is_laid_out_in_the_words_of_the_codebook(lang, words):
    survey = ev.read_survey("seoul_2016")
    design = ev.survey_design(survey, weights="weight", strata="district", psu="block_draw")
    table = ev.table(ev.table_one(design, treatment="participant", covariates=["sex", "age_years"]), lang=lang)
    text = repr(table)
    assert all(word in text for word in words)
    assert "4,932" in text
    denominator = {"en": "divided by the standard deviation of participants", "ko": "참여자의 표준편차로 나눔"}
    assert denominator[lang] in text
    assert {"participants", "comparison", "smd", "denominator"} <= set(table.data.columns)


def test_a_record_is_json_without_respondents():
    record = json.loads(json.dumps(made().to_dict()))
    assert record["verb"] == "table_one"
    assert len(record["rows"]) == 6


def test_what_cannot_be_described_is_refused():
    with pytest.raises(ColumnError, match="Did you mean 'age'"):
        made(covariates=["ages"])
    with pytest.raises(ColumnError, match="cannot be a covariate too"):
        made(covariates=["joined"])
    with pytest.raises(EstimationError, match="names no column"):
        made(covariates=[])
    with pytest.raises(EstimationError, match="denominator must be"):
        made(denominator="balanced")
    with pytest.raises(EstimationError, match="which is no covariate"):
        made(in_levels=["w"])
    with pytest.raises(EstimationError, match="names of columns here"):
        made(covariates="~ age")
    with pytest.raises(ColumnError, match="missing for all 6 respondents"):
        made(PEOPLE.assign(age=np.nan))
    with pytest.raises(ColumnError, match="infinite in 1 rows") as caught:
        made(PEOPLE.assign(age=[np.inf, 1, 2, 3, 4, 5]))
    assert len(caught.value.failures) == 1
    with pytest.raises(EstimationError, match="p_values must be True or False"):
        made(p_values="no")
    survey = ev.read_survey("seoul_2016")
    design = ev.survey_design(survey, weights="weight", strata="district", psu="block_draw")
    with pytest.raises(IdentificationError, match="timing 'after' of 'happy'"):
        ev.table_one(design, treatment="participant", covariates=["sex", "happy"])
