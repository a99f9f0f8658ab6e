"""Calls and files as they come on a first day: each error says what came and what to do."""

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, DesignError, EstimationError, MarginError, StudyError, WeightingError

MARGINS = {"성별": {"남": 500, "여": 500}}
VERBS = {
    "survey_mean": lambda it: ev.survey_mean(it, "소득"),
    "survey_total": lambda it: ev.survey_total(it, "소득"),
    "survey_prop": lambda it: ev.survey_prop(it, "성별"),
    "survey_ratio": lambda it: ev.survey_ratio(it, "소득", "소득"),
    "survey_quantile": lambda it: ev.survey_quantile(it, "소득"),
    "survey_chisq": lambda it: ev.survey_chisq(it, "성별", "거주 구"),
    "survey_glm": lambda it: ev.survey_glm(it, outcome="소득", covariates="성별"),
    "rake": lambda it: ev.rake(it, MARGINS),
    "poststratify": lambda it: ev.poststratify(it, MARGINS),
    "calibrate": lambda it: ev.calibrate(it, MARGINS),
    "trim_weights": lambda it: ev.trim_weights(it, upper=2.0),
    "domain": lambda it: ev.domain(it, {"성별": "남"}),
    "as_replicates": lambda it: ev.as_replicates(it, kind="JK1"),
    "weight_summary": lambda it: ev.weight_summary(it),
    "margin_comparison": lambda it: ev.margin_comparison(it, MARGINS),
}


def messy():
    return pd.DataFrame(
        {
            "거주 구": ["마포구", "종로구"] * 4,
            "성별": ["남", "여 ", "여", "남 "] * 2,
            "소득": ["100", "250", "300만원", "400", "150", "220", "", "310"],
            "가중치": ["1.5", "2", "1.2", "1", "2,5", "1", "1", "1"],
        }
    )


def read(tmp_path, frame, encoding="cp949"):
    frame.to_csv(tmp_path / "messy.csv", index=False, encoding=encoding)
    return ev.read_survey_file(tmp_path / "messy.csv")


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("given", [messy(), None], ids=["DataFrame", "None"])
def test_a_verb_that_gets_no_design_says_how_to_make_one(verb, given):
    kind = type(given).__name__
    with pytest.raises(DesignError, match=rf"{verb} needs a design, got {kind}.*ev\.survey_design"):
        VERBS[verb](given)


def test_a_path_instead_of_data_says_how_to_read_it():
    with pytest.raises(DesignError, match=r"got str\. .*read_survey_file"):
        ev.survey_design("messy.csv")


@pytest.mark.parametrize("options", [{"weights": np.ones(8)}, {"strata": ["거주 구", "성별"]}])
def test_a_design_column_is_named_not_handed_in(options):
    with pytest.raises(ColumnError, match="expected the name of one column, got"):
        ev.survey_design(messy(), **options)


def test_a_unit_in_a_column_of_numbers_is_named_with_its_row(tmp_path):
    design = ev.survey_design(read(tmp_path, messy()))
    with pytest.raises(
        ColumnError, match=r"'소득' is read as text.*1 of 7 values is no number.*'300만원' in data row 3"
    ) as raised:
        ev.survey_mean(design, "소득")
    assert raised.value.failures["소득"].tolist() == ["300만원"]


def test_a_comma_in_the_weights_is_named_with_its_row(tmp_path):
    with pytest.raises(ColumnError, match=r"'가중치'.*'2,5' in data row 5") as raised:
        ev.survey_design(read(tmp_path, messy()), weights="가중치")
    assert len(raised.value.failures) == 1


def test_a_missing_weight_is_counted_in_data_rows(tmp_path):
    frame = messy().assign(가중치=["1", "", "1", "1", "1", "1", "1", "1"])
    with pytest.raises(DesignError, match=r"1 of 8 rows \(first: data row 2, nan\)"):
        ev.survey_design(read(tmp_path, frame), weights="가중치")


def test_blanks_around_codes_make_no_second_level(tmp_path):
    raked = ev.rake(ev.survey_design(read(tmp_path, messy())), MARGINS)
    shares = ev.survey_prop(raked, "성별")
    assert shares.keys["level"].tolist() == ["남", "여"]
    assert shares.estimate == pytest.approx([0.5, 0.5])


def test_one_quantile_may_be_asked_without_a_list():
    design = ev.survey_design(pd.DataFrame({"y": [1.0, 2.0, 3.0, 4.0, 5.0]}))
    assert ev.survey_quantile(design, "y", probabilities=0.5).estimate.tolist() == [3.0]
    with pytest.raises(EstimationError, match=r"between 0 and 1, got \[50\]"):
        ev.survey_quantile(design, "y", probabilities=50)


def test_arguments_of_another_shape_show_the_right_one():
    design = ev.survey_design(messy())
    with pytest.raises(EstimationError, match="survey_prop needs at least one variable"):
        ev.survey_prop(design, [])
    with pytest.raises(MarginError, match="mapping of column to counts by level, got list"):
        ev.rake(design, ["성별"])
    with pytest.raises(EstimationError, match="where must be a mapping"):
        ev.domain(design, "성별 == '남'")
    with pytest.raises(WeightingError, match="upper must be above zero, got '5'"):
        ev.trim_weights(design, upper="5")
    with pytest.raises(EstimationError, match="expected a mapping of row to coefficient, got 1"):
        ev.contrast(ev.survey_prop(design, "성별"), {"성별 | level=남": 1})


def test_a_variable_is_not_tested_against_itself():
    with pytest.raises(EstimationError, match="'성별' is both row and column"):
        ev.survey_chisq(ev.survey_design(messy()), "성별", "성별")


def test_a_misspelt_step_is_not_taken_for_one_without_estimates():
    with pytest.raises(StudyError, match=r"'api_2000' has no step 'profil'\. Did you mean 'profile'"):
        ev.declared_estimates("api_2000", "profil")
    assert len(ev.declared_estimates("api_2000", "review")) == 0


def test_one_scale_may_be_turned_round_without_a_list():
    survey = ev.read_survey("api_2000")
    with pytest.raises(ColumnError, match="'stype' is categorical"):
        ev.reverse_scale(survey, "stype")
