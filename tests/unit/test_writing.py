"""Weights written back to SPSS and Stata files."""

import numpy as np
import pandas as pd
import pyreadstat
import pytest
from pandas.testing import assert_frame_equal

import evaluation as ev
from evaluation import project
from evaluation.errors import DesignError, ProjectError, SourceError, SurveyError

SEX = {1: "남자", 2: "여자"}
TRUST = {1: "전혀 신뢰하지 않는다", 2: "별로", 3: "어느 정도", 4: "매우 신뢰한다", 8: "모르겠다", 9: "무응답"}
COLUMNS = {"id": "일련번호", "성별": "성별", "trust": "이웃에 대한 신뢰", "note": "기타 의견", "day": "조사일"}


def respondents():
    return pd.DataFrame(
        {
            "id": [11.0, 12.0, 13.0, 14.0, 15.0, 16.0],
            "성별": [1.0, 2.0, 2.0, 1.0, 2.0, 1.0],
            "trust": [1.0, 4.0, 8.0, 9.0, 3.0, np.nan],
            "note": ["좋아요", None, "a,b", "", "끝", None],
            "day": pd.to_datetime(["2016-01-02", "2016-01-03", None, "2016-02-01", "2016-02-02", "2016-02-03"]),
            "w": [1.0, 2.0, 1.5, 1.0, 2.0, 1.0],
        }
    )


@pytest.fixture
def spss(tmp_path):
    path = tmp_path / "raw.sav"
    pyreadstat.write_sav(
        respondents(),
        str(path),
        column_labels=COLUMNS,
        variable_value_labels={"성별": SEX, "trust": TRUST},
        missing_ranges={"trust": [8, 9]},
        variable_measure={"trust": "ordinal", "성별": "nominal"},
    )
    return path


def stata_respondents():
    frame = respondents()
    frame["trust"] = frame["trust"].astype(object).replace({8.0: "a", 9.0: "b"})
    return frame


@pytest.fixture
def stata(tmp_path):
    path = tmp_path / "raw.dta"
    labels = {code: text for code, text in TRUST.items() if code < 8} | {"a": "모르겠다", "b": "무응답"}
    pyreadstat.write_dta(
        stata_respondents(),
        str(path),
        column_labels=COLUMNS,
        variable_value_labels={"성별": SEX, "trust": labels},
        missing_user_values={"trust": ["a", "b"]},
    )
    return path


def weighted(path):
    design = ev.survey_design(ev.read_survey_file(path), weights="w")
    return ev.poststratify(design, {"성별": {1: 40, 2: 60}})


def same(written, raw, design):
    """Read both with the reader of surveys: every column, label and missing code is there, and the weight."""
    ours, theirs = ev.read_survey_file(written), ev.read_survey_file(raw)
    assert list(ours.data) == [*theirs.data, "weight"]
    assert_frame_equal(ours.data.drop(columns="weight"), theirs.data)
    assert_frame_equal(ours.missing, theirs.missing)
    np.testing.assert_array_equal(ours.data["weight"], design.weights)
    for name, variable in theirs.codebook.variables.items():
        assert ours.codebook[name] == variable
    return ours


def test_spss_comes_back_as_it_was_with_the_weight_beside_it(spss, tmp_path):
    design = weighted(spss)
    ev.write_survey(design, tmp_path / "out.sav", original=spss)
    ours = same(tmp_path / "out.sav", spss, design)
    assert ours.codebook.variable("weight", "en") == "weight: w → post-stratified"
    assert set(ours.missing["code"]) == {"8", "9", ""}
    raw = pyreadstat.read_sav(str(tmp_path / "out.sav"), user_missing=True)
    assert raw[0]["trust"].tolist()[:5] == [1.0, 4.0, 8.0, 9.0, 3.0]
    assert raw[1].missing_ranges["trust"] == [{"lo": 8.0, "hi": 8.0}, {"lo": 9.0, "hi": 9.0}]
    assert raw[0]["day"].isna().tolist() == [False, False, True, False, False, False]


def test_stata_comes_back_as_it_was_with_the_weight_beside_it(stata, tmp_path):
    design = weighted(stata)
    ev.write_survey(design, tmp_path / "out.dta", original=stata)
    same(tmp_path / "out.dta", stata, design)


def test_missing_codes_of_spss_become_letters_in_stata_and_keep_their_labels(spss, tmp_path):
    design = weighted(spss)
    ev.write_survey(design, tmp_path / "out.dta", original=spss)
    frame, meta = pyreadstat.read_dta(str(tmp_path / "out.dta"), user_missing=True)
    assert frame["trust"].tolist()[:5] == [1.0, 4.0, "a", "b", 3.0]
    assert meta.variable_value_labels["trust"]["a"] == "모르겠다"
    ours, theirs = ev.read_survey_file(tmp_path / "out.dta"), ev.read_survey_file(spss)
    assert_frame_equal(ours.data.drop(columns="weight"), theirs.data)


def test_letters_of_stata_are_refused_by_spss(stata, tmp_path):
    with pytest.raises(SurveyError, match=r"extended missing values \(.a, .b\)"):
        ev.write_survey(weighted(stata), tmp_path / "out.sav", original=stata)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw.dta"]


def test_the_chain_is_told_in_the_language_of_the_project(spss, tmp_path):
    design = weighted(spss)
    project.use_language("ko")
    try:
        ev.write_survey(design, tmp_path / "out.sav")
    finally:
        project.use_language("en")
    assert pyreadstat.read_sav(str(tmp_path / "out.sav"))[1].column_names_to_labels["weight"].startswith("가중치: w → ")


def test_without_the_original_the_columns_of_the_design_are_written(spss, tmp_path):
    design = weighted(spss)
    ev.write_survey(design, tmp_path / "out.sav", weight="w_final")
    ours = ev.read_survey_file(tmp_path / "out.sav")
    assert ours.codebook.value("trust", 4, "ko") == "매우 신뢰한다"
    assert ours.data["trust"].isna().sum() == 3
    np.testing.assert_array_equal(ours.data["w_final"], design.weights)


def test_a_survey_is_written_as_it_was_read(spss, tmp_path):
    survey = ev.read_survey_file(spss)
    ev.write_survey(survey, tmp_path / "out.sav", original=spss)
    assert_frame_equal(ev.read_survey_file(tmp_path / "out.sav").data, survey.data)


def test_the_survey_of_a_csv_takes_labels_from_its_codebook(tmp_path):
    survey = ev.read_survey("api_2000", sample="apistrat")
    design = ev.survey_design(survey, weights="pw", strata="stype", fpc="fpc")
    ev.write_survey(design, tmp_path / "out.sav")
    frame, meta = pyreadstat.read_sav(str(tmp_path / "out.sav"))
    assert len(frame) == 200
    assert meta.variable_value_labels["stype"]["H"] == "High school"
    assert meta.column_names_to_labels["weight"] == "weight: pw"


def test_a_file_is_never_replaced_unless_asked(spss, tmp_path):
    design = weighted(spss)
    before = spss.read_bytes()
    with pytest.raises(SurveyError, match=r"raw\.sav exists already"):
        ev.write_survey(design, spss, original=spss)
    assert spss.read_bytes() == before
    ev.write_survey(design, spss, original=spss, overwrite=True)
    np.testing.assert_array_equal(ev.read_survey_file(spss).data["weight"], design.weights)


def test_another_file_than_the_one_that_was_read_is_refused(spss, tmp_path):
    design = weighted(spss)
    turned, short = tmp_path / "turned.sav", tmp_path / "short.sav"
    pyreadstat.write_sav(respondents().iloc[::-1].reset_index(drop=True), str(turned))
    pyreadstat.write_sav(respondents().head(4), str(short))
    with pytest.raises(SurveyError, match=r"rows are in another order: 'id' in data row 1 is 16 there and 11 here"):
        ev.write_survey(design, tmp_path / "out.sav", original=turned)
    with pytest.raises(SurveyError, match="holds 4 rows, the design 6 respondents"):
        ev.write_survey(design, tmp_path / "out.sav", original=short)


@pytest.mark.parametrize(
    ("name", "suffix", "reason"),
    [
        ("x" * 33, ".dta", "at most 32 characters"),
        ("api.stu", ".dta", "Stata takes no variable called 'api.stu'"),
        ("api stu", ".sav", "SPSS takes no variable called 'api stu'"),
        ("가" * 22, ".sav", "at most 64 bytes"),
        ("with", ".sav", "none of SPSS's own words"),
    ],
)
def test_names_that_a_format_cannot_take_are_named(tmp_path, name, suffix, reason):
    design = ev.survey_design(pd.DataFrame({name: [1.0, 2.0]}))
    with pytest.raises(SurveyError, match=reason):
        ev.write_survey(design, tmp_path / f"out{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_a_long_korean_name_and_label_fit_stata(tmp_path):
    frame = pd.DataFrame({"가" * 32: [1.0, 2.0]})
    ev.write_survey(ev.survey_design(frame), tmp_path / "out.dta")
    assert ev.read_survey_file(tmp_path / "out.dta").data.columns[0] == "가" * 32


def test_columns_suffixes_and_folders_are_checked_first(tmp_path):
    design = ev.survey_design(pd.DataFrame({"weight": [1.0, 2.0]}))
    with pytest.raises(SurveyError, match="have a column 'weight' already"):
        ev.write_survey(design, tmp_path / "out.sav")
    with pytest.raises(SurveyError, match=r"ends in .sav, .zsav, .dta, got '.csv'"):
        ev.write_survey(design, tmp_path / "out.csv")
    with pytest.raises(SourceError, match="no folder absent/"):
        ev.write_survey(design, tmp_path / "absent" / "out.sav", weight="w")


def test_respondents_stay_out_of_a_run_that_others_see(spss, tmp_path, monkeypatch):
    design, run = weighted(spss), tmp_path / "run"
    (run / "restricted").mkdir(parents=True)
    monkeypatch.setenv(project.RUN_VARIABLE, str(run))
    with pytest.raises(ProjectError, match=r"others may see, and out\.sav holds answers of single respondents"):
        ev.write_survey(design, run / "out.sav")
    ev.write_survey(design, run / "restricted" / "out.sav")
    assert [path.name for path in run.iterdir()] == ["restricted"]


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([7, 8, 9, 99], [{"lo": 7.0, "hi": 99.0}]),
        ([-1, 97, 98, 99], [{"lo": 97.0, "hi": 99.0}, {"lo": -1.0, "hi": -1.0}]),
    ],
)
def test_more_missing_codes_than_spss_lists_become_a_range(tmp_path, codes, expected):
    values = [1.0, 2.0, *map(float, codes)]
    book = tmp_path / "codebook.csv"
    book.write_text(
        "variable,kind,label_ko,label_en,codes,missing_codes\nq,binary,질문,Question,yn,"
        + '"'
        + "; ".join(f"{code}=no_answer" for code in codes)
        + '"\n',
        encoding="utf-8",
    )
    (tmp_path / "codes.csv").write_text("list,code,label_ko,label_en\nyn,1,예,Yes\nyn,2,아니요,No\n", encoding="utf-8")
    pd.DataFrame({"q": values}).to_csv(tmp_path / "raw.csv", index=False)
    survey = ev.read_survey_file(tmp_path / "raw.csv", codebook=book)
    ev.write_survey(survey, tmp_path / "out.sav", original=tmp_path / "raw.csv")
    frame, meta = pyreadstat.read_sav(str(tmp_path / "out.sav"), user_missing=True)
    assert frame["q"].tolist() == values
    assert meta.missing_ranges["q"] == expected


def test_categories_of_whole_numbers_with_missing_values_are_written(tmp_path):
    design = ev.study_design("seoul_2016", "roster")
    assert any(isinstance(dtype, pd.CategoricalDtype) for dtype in design.data.dtypes)
    for suffix in ("sav", "dta"):
        ev.write_survey(design, tmp_path / f"roster.{suffix}", weight="weight_final")
        back = ev.read_survey_file(tmp_path / f"roster.{suffix}").data
        assert back["stay"].isna().sum() == design.data["stay"].isna().sum() > 0
        np.testing.assert_array_equal(back["weight_final"], design.weights)


@pytest.mark.parametrize("given", [respondents(), None, "raw.sav"], ids=["DataFrame", "None", "text"])
def test_what_is_no_design_cannot_be_written(tmp_path, given):
    with pytest.raises(DesignError, match=rf"needs a design or a survey, got {type(given).__name__}.*survey_design"):
        ev.write_survey(given, tmp_path / "out.sav")


@pytest.mark.parametrize(
    ("path", "arguments", "message"),
    [
        (None, {}, r"path must be the name of a file that ends in \.sav, \.zsav or \.dta, got None"),
        (3, {}, r"path must be the name of a file .* got 3"),
        ("", {}, r"path must be the name of a file .* got ''"),
        ("folder.sav", {"overwrite": True}, r"folder\.sav is a folder"),
        ("out.sav", {"original": 3}, r"original must be the name of the file that was read, got 3"),
        ("out.sav", {"weight": 3}, r"weight must be the name of the new column, got 3"),
        ("out.sav", {"overwrite": "no"}, r"overwrite must be True or False, got 'no'"),
    ],
)
def test_arguments_that_name_nothing_are_refused_before_anything_is_written(
    spss, tmp_path, monkeypatch, path, arguments, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.sav").mkdir()
    with pytest.raises(SurveyError, match=message):
        ev.write_survey(weighted(spss), path, **arguments)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder.sav", "raw.sav"]


def test_outside_a_project_a_file_is_written_even_with_a_study_open(spss, tmp_path, monkeypatch):
    design = weighted(spss)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EVALUATION_PROJECT", raising=False)
    monkeypatch.setattr(project, "current_study", lambda: "api_2000")
    ev.write_survey(design, "out.sav", weight="weight_again")
    assert (tmp_path / "out.sav").exists()
