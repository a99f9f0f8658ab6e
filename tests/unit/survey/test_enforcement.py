"""Each contradiction between data and codebook, planted in real files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from evaluation.errors import CodebookError

if TYPE_CHECKING:
    from conftest import SurveyProject


def refused(trial: SurveyProject, **changes: str) -> CodebookError:
    with pytest.raises(CodebookError) as caught:
        trial.read(**changes)
    return caught.value


def with_data(trial: SurveyProject, old: str, new: str) -> str:
    assert old in trial.data
    return trial.data.replace(old, new)


def with_codebook(trial: SurveyProject, old: str, new: str) -> str:
    assert old in trial.codebook
    return trial.codebook.replace(old, new)


def test_columns_come_out_as_the_codebook_declares_them(trial: SurveyProject, respondents: pd.DataFrame) -> None:
    survey = trial.read()
    pd.testing.assert_frame_equal(survey.data, respondents.astype({"person": survey.data["person"].dtype}))


def test_every_value_that_is_no_answer_is_counted_by_its_reason(trial: SurveyProject) -> None:
    missing = trial.read().missing
    assert missing.to_dict("records") == [
        {"variable": "age", "code": "-8", "reason": "dont_know", "n": 1},
        {"variable": "volunteered", "code": "-8", "reason": "dont_know", "n": 1},
        {"variable": "hours", "code": "-1", "reason": "not_applicable", "n": 1},
        {"variable": "hours", "code": "", "reason": "not_asked", "n": 1},
        {"variable": "hours", "code": "", "reason": "blank", "n": 1},
        {"variable": "helped", "code": "", "reason": "blank", "n": 1},
        {"variable": "care", "code": "-8", "reason": "dont_know", "n": 1},
    ]


def test_an_undeclared_code_is_refused_with_column_code_rows_and_next_move(trial: SurveyProject) -> None:
    error = refused(trial, data=with_data(trial, "003,2,70,2,-1,,5,4", "003,2,70,2,-1,,9,4"))
    assert str(error) == (
        "surveys/trial/data.csv: 'care' holds value 9 (1 row: person 003), not in its codebook "
        "[1..5, -8='dont_know']. Add the code to codes.csv, or list 9 under missing_codes in codebook.csv."
    )
    assert error.failures is not None
    assert error.failures.to_dict("records") == [
        {"variable": "care", "code": "9", "rows": 1, "respondents": "person 003"}
    ]


def test_no_more_than_five_respondents_are_named(trial: SurveyProject) -> None:
    rows = "".join(f"1{number:02d},7,30,2,,,1,1,1\n" for number in range(8))
    assert "(8 rows: person 100, 101, 102, 103, 104, ...)" in str(refused(trial, data=trial.data + rows))


@pytest.mark.parametrize(("age", "bound"), [("18", "minimum 19, as far as 18"), ("111", "maximum 110, as far as 111")])
def test_a_number_beyond_its_bounds_is_refused(trial: SurveyProject, age: str, bound: str) -> None:
    error = refused(trial, data=with_data(trial, "005,1,50", f"005,1,{age}"))
    assert f"'age' holds values beyond its declared {bound} (1 row: person 005)" in str(error)


def test_text_in_a_number_is_refused(trial: SurveyProject) -> None:
    error = refused(trial, data=with_data(trial, "005,1,50", "005,1,fifty"))
    assert "'age' is numeric but holds 'fifty' (1 row: person 005)" in str(error)


@pytest.mark.parametrize("label", ["모르겠다/무응답,", ",Don't know", ",DK/Refusal", "응답 거절,", ",Not applicable"])
def test_a_dont_know_inside_a_scale_is_refused(trial: SurveyProject, label: str) -> None:
    error = refused(
        trial,
        codes=trial.codes + f"agree,8,{label}\n",
        data=with_data(trial, "005,1,50,1,0,2,3,3", "005,1,50,1,0,2,8,3"),
    )
    assert "'care' has code 8, labelled" in str(error)
    assert "inside its scale (1 row: person 005): it would count as an answer" in str(error)
    assert "List 8=dont_know" in str(error)


def test_a_nine_without_a_label_above_a_scale_is_refused(trial: SurveyProject) -> None:
    error = refused(trial, codes=trial.codes + "agree,9,9,9\n")
    assert "'care' has code 9, labelled '9', inside its scale (0 rows)" in str(error)


def test_a_dont_know_listed_as_missing_is_counted_and_keeps_its_label(trial: SurveyProject) -> None:
    survey = trial.read(
        codes=trial.codes + "agree,8,모르겠다,Don't know\n",
        codebook=with_codebook(trial, "agree,-8=dont_know", "agree,-8=dont_know; 8=dont_know"),
        data=with_data(trial, "005,1,50,1,0,2,3,3", "005,1,50,1,0,2,8,3"),
    )
    assert survey.data["care"].isna().sum() == 2
    assert survey.codebook.value("care", 8, "ko") == "모르겠다"


def test_a_code_that_only_sounds_like_no_answer_can_be_declared_valid(trial: SurveyProject) -> None:
    survey = trial.read(
        codes=trial.codes + "region,20,모르는 곳,Not applicable town\n",
        codebook=with_codebook(trial, "Region,,region,,", "Region,,region,20=valid,"),
        data=with_data(trial, "003,2", "003,20"),
    )
    assert survey.data["region"].tolist() == [1, 11, 20, 1, 1]


def test_a_lone_999_in_a_number_without_maximum_is_refused(trial: SurveyProject) -> None:
    codebook = with_codebook(trial, "-8=dont_know,,,,19,110,,", "-8=dont_know,,,,19,,,")
    error = refused(trial, codebook=codebook, data=with_data(trial, "005,1,50", "005,1,999"))
    assert "'age' holds 999 (1 row: person 005), far from all other values" in str(error)


def test_a_scale_without_direction_is_refused(trial: SurveyProject) -> None:
    codebook = with_codebook(
        trial,
        "Neighbours care,POLPAR05,agree,-8=dont_know,neighbours,higher_is_less",
        "Neighbours care,POLPAR05,agree,-8=dont_know,neighbours,",
    )
    assert "'care' is ordinal but declares no scale_direction" in str(refused(trial, codebook=codebook))


def test_labels_that_run_against_the_declared_direction_are_refused(trial: SurveyProject) -> None:
    error = refused(trial, codebook=trial.codebook.replace("higher_is_less", "higher_is_more"))
    assert (
        "'care' declares higher_is_more, but its labels say higher_is_less "
        "(1='전적으로 동의' ... 5='전적으로 반대'). Correct scale_direction"
    ) in str(error)


def test_labels_that_run_opposite_ways_in_the_two_languages_are_refused(trial: SurveyProject) -> None:
    codes = trial.codes.replace("전적으로 동의,Strongly agree", "전적으로 반대,Strongly agree")
    codes = codes.replace("전적으로 반대,Strongly disagree", "전적으로 동의,Strongly disagree")
    assert "'care' has labels that run opposite ways" in str(refused(trial, codes=codes))


def many(reverse: bool) -> str:
    """Eighty respondents whose two neighbour items agree; optionally one is coded the other way round."""
    rng = np.random.default_rng(3)
    care = rng.integers(1, 6, size=80)
    help_ = np.clip(care + rng.integers(-1, 2, size=80), 1, 5)
    if reverse:
        help_ = 6 - help_
    rows = [f"{i:03d},1,40,2,,,{a},{b},1\n" for i, (a, b) in enumerate(zip(care, help_, strict=True))]
    return "ID,region,age,PUBPAR1,hours,helped,POLPAR05,POLPAR06,weight\n" + "".join(rows)


def test_an_item_whose_answers_run_against_its_battery_is_refused(trial: SurveyProject) -> None:
    trial.read(data=many(reverse=False))
    error = refused(trial, data=many(reverse=True))
    assert "'help' runs against the other items of the scale 'neighbours' (correlation -0." in str(error)
    declared = "Neighbours help,POLPAR06,agree,-8=dont_know,neighbours,higher_is_less,"
    survey = trial.read(codebook=with_codebook(trial, declared, declared + "yes"), data=many(reverse=True))
    assert survey.codebook["help"].reverse_worded


def test_a_blank_on_the_gate_is_refused(trial: SurveyProject) -> None:
    error = refused(trial, data=with_data(trial, "005,1,50,1,0,2", "005,1,50,1,0,"))
    assert "'helped' is blank (1 row: person 005) where its gate 'volunteered == 1' says it was asked" in str(error)
    survey = trial.read(codebook=with_codebook(trial, "Helped,,yes_no,,", "Helped,,yes_no,blank=refused,"))
    assert survey.missing.query("variable == 'helped'").to_dict("records") == [
        {"variable": "helped", "code": "", "reason": "refused", "n": 2}
    ]


def test_a_value_off_the_gate_is_refused(trial: SurveyProject) -> None:
    error = refused(trial, data=with_data(trial, "002,11,-8,2,,,", "002,11,-8,2,3,1,"))
    assert "'hours' holds values (1 row: person 002) where its gate 'volunteered == 1' says it was not asked" in str(
        error
    )
    assert "'helped' holds values (1 row: person 002)" in str(error)
    assert "contradicts its codebook in 2 points" in str(error)


def test_not_applicable_on_the_gate_is_refused(trial: SurveyProject) -> None:
    error = refused(trial, data=with_data(trial, "001,1,34,1,5", "001,1,34,1,-1"))
    assert "'hours' is 'not applicable' (1 row: person 001) where its gate" in str(error)


def test_a_blank_off_the_gate_becomes_the_declared_code_and_off_an_unanswered_gate_stays_open(
    trial: SurveyProject,
) -> None:
    helped = trial.read().data["helped"]
    assert helped.tolist()[1:3] == [2, 2]
    assert pd.isna(helped[3])


def test_a_gate_may_compare_numbers_and_name_several_conditions(trial: SurveyProject) -> None:
    codebook = with_codebook(trial, "0,100,volunteered == 1,", '0,100,"age >= 20 and region in (1, 2)",')
    survey = trial.read(codebook=codebook, data=with_data(trial, "003,2,70,2,-1", "003,2,70,2,4"))
    assert survey.data["hours"].dropna().tolist() == [5.0, 4.0, 0.0]
    assert "'hours' is blank (1 row: person 003)" in str(
        refused(trial, data=trial.data.replace("003,2,70,2,4", "003,2,70,2,"))
    )


def test_a_yes_no_column_with_one_answer_and_blanks_asks_what_the_blanks_mean(trial: SurveyProject) -> None:
    data = with_data(trial, ",1,34,1,5,1,", ",1,34,2,,,").replace("50,1,0,2", "50,,,").replace("19,-8", "19,")
    error = refused(trial, data=data)
    assert (
        "'volunteered' holds only 2 and blanks (2 rows: person 004, 005): do the blanks mean the other answer?"
        in str(error)
    )
    codebook = with_codebook(trial, "-8=dont_know; 8=refused,,,,,,,", "-8=dont_know; 8=refused,,,,,,,1").replace(
        "volunteered == 1,2", "volunteered == 1,"
    )
    codebook = codebook.replace("0,100,volunteered == 1,", "0,100,,").replace(",,volunteered == 1,\n", ",,,2\n")
    assert trial.read(codebook=codebook, data=data).data["volunteered"].tolist() == [2, 2, 2, 1, 1]


def test_doubled_and_blank_ids_are_refused(trial: SurveyProject) -> None:
    error = refused(trial, data=with_data(trial, "004,1,19", "001,1,19").replace("005,1", ",1"))
    assert "'person' tells respondents apart but is blank (1 row" in str(error)
    assert "1 of its values stand more than once (2 rows: person 001, 001)" in str(error)


def test_an_absent_column_is_named_with_its_nearest_neighbour(trial: SurveyProject) -> None:
    error = refused(trial, data=with_data(trial, "POLPAR05", "POLPAR5"))
    assert "'care' expects the column 'POLPAR05', which the file lacks. Did you mean 'POLPAR" in str(error)


def test_all_contradictions_of_a_file_come_in_one_error(trial: SurveyProject) -> None:
    data = with_data(trial, "001,1,34", "001,3,12").replace("004,1", "003,1")
    error = refused(trial, data=data)
    assert error.failures is not None
    assert error.failures["variable"].tolist() == ["region", "age", "person"]
    assert str(error).count("\n- ") == 3


def test_a_scale_labelled_at_its_ends_takes_all_codes_between_its_bounds(trial: SurveyProject) -> None:
    codebook = with_codebook(
        trial,
        "care,POLPAR05,agree,-8=dont_know,neighbours,higher_is_less,,,",
        "care,POLPAR05,ends,-8=dont_know,,higher_is_more,,1,10",
    ).replace("neighbours,higher", ",higher")
    codes = trial.codes + "ends,1,최하층,Bottom\nends,10,최상층,Top\n"
    data = with_data(trial, "003,2,70,2,-1,,5", "003,2,70,2,-1,,7")
    assert trial.read(codebook=codebook, codes=codes, data=data).data["care"].tolist()[2] == 7
    error = refused(trial, data=data.replace(",,7,", ",,11,"))
    assert "'care' holds value 11 (1 row: person 003), not in its codebook [1..10, -8='dont_know']" in str(error)
