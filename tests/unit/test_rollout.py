"""The roll-out as data, and a survey file beside it."""

import shutil

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation import project
from evaluation.errors import ColumnError, EstimationError, SurveyError
from evaluation.impact.rollout.table import wave_of
from evaluation.synthetic.population import synthesize
from evaluation.synthetic.sampling import citizen_survey
from evaluation.synthetic.switches import Switches

FILES = ("survey.yml", "rollout.csv", "rollout_stages.csv", "districts.csv")


@pytest.fixture
def rollout():
    return ev.read_rollout("seoul_2016")


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A project of its own, whose roll-out a test may spoil: edit(file, old, new)."""
    source = project.survey_folder("seoul_2016")
    folder = tmp_path / "surveys" / "seoul_2016"
    folder.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[tool.evaluation]\n", encoding="utf-8")
    for name in FILES:
        shutil.copy(source / name, folder / name)
    monkeypatch.setenv("EVALUATION_PROJECT", str(tmp_path))

    def edit(file, old, new):
        text = (folder / file).read_text(encoding="utf-8")
        assert old in text
        (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")

    return edit


def test_plan_and_what_happened_stand_side_by_side(rollout):
    stages = rollout.compare().tidy().set_index("stage")
    assert stages["dongs_realised"].to_dict() == {"pilot": 4, "1": 80, "2": 283, "3": 342, "4": 408, "final": 424}
    assert stages["districts_realised"].tolist()[1:] == [13, 18, 24, 25, 25]
    assert stages.loc["3", "dongs_planned"] == 424
    assert stages.loc["3", "difference"] == -82
    assert stages.loc["4", "share_realised"] == pytest.approx(408 / 424)
    assert np.isnan(stages.loc["pilot", "dongs_planned"])


def test_cohorts_follow_the_half_year_rule(rollout):
    realised, planned = (rollout.cohorts(kind).set_index("district")["first_wave"] for kind in ("realised", "planned"))
    assert realised.value_counts().to_dict() == {2015: 13, 2016: 5, 2017: 6, 2018: 1}
    assert (realised["680"], planned["680"]) == (2018, 2017)
    assert wave_of(pd.Timestamp("2017-10-01")) == 2017
    assert wave_of(pd.Timestamp("2017-10-02")) == 2018


def test_dong_cohorts_add_up_to_the_city(rollout):
    assert rollout.dong_cohorts().groupby("first_wave")["dongs"].sum().to_dict() == {
        2015: 80,
        2016: 203,
        2017: 59,
        2018: 66,
        2019: 16,
    }
    assert rollout.dong_cohorts("planned").groupby("first_wave")["dongs"].sum().to_dict() == {
        2015: 80,
        2016: 203,
        2017: 141,
    }


def test_doses_are_shares_of_a_districts_dongs_before_between_and_after_the_waves(rollout):
    assert rollout.dose().loc["140"].to_dict() == {2015: 0, 2016: 0, 2017: 4 / 15, 2018: 1, 2019: 1}
    assert rollout.dose("planned").loc["140", 2017] == 1
    years, districts = pd.Series([2010, 2017, 2023, 2019]), pd.Series(["140", "140", "140", "999"])
    assert rollout.share_at(years, districts).tolist() == [0, 4 / 15, 1, 0]


def test_an_unknown_schedule_is_answered_with_the_known_ones(rollout):
    with pytest.raises(EstimationError, match="Did you mean 'planned'"):
        rollout.dose("plannd")


@pytest.mark.parametrize(("lang", "words"), [("ko", ("예시", "강남구")), ("en", ("illustrative", "Gangnam-gu"))])
def test_every_table_says_what_is_illustrative(rollout, lang, words):
    by_district, stages = ev.table(rollout, lang=lang), ev.table(rollout.compare(), lang=lang)
    assert words[0] in by_district.source
    assert words[0] in stages.source
    assert words[1] in repr(by_district)
    assert by_district.data["split"].value_counts().to_dict() == {
        "illustrative": 16,
        "verified": 5,
        "stage_verified": 4,
    }


def test_a_roll_out_can_be_published(rollout, tmp_path, monkeypatch):
    monkeypatch.setenv("EVALUATION_RUN", str(tmp_path))
    published = ev.publish("rollout", rollout.compare())
    assert "tables/rollout.csv" in published.files


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        (
            "rollout.csv",
            "2016-07-01,2016,200,17",
            "2016-07-01,2016,200,16",
            "row 30: dongs_covered of district 200 falls",
        ),
        (
            "rollout.csv",
            "2015-07-01,2015,110,3,3,17",
            "2015-07-01,2015,110,18,3,17",
            "row 2: dongs_covered is 18 of 17",
        ),
        (
            "rollout.csv",
            "2015-07-01,2015,110",
            "2015-07-01,2016,110",
            "row 2: wave is 2016, but the wave of 2015-07-01",
        ),
        ("rollout.csv", "2015-07-01,2015,110", "1 July 2015,2015,110", "row 2: date is '1 July 2015', expected a date"),
        ("rollout.csv", "2015,110,3,3,17", "2015,110,three,3,17", "row 2: dongs_covered is 'three'"),
        ("rollout.csv", "110,3,3,17,illustrative", "110,3,3,17,ilustrative", "Did you mean 'illustrative'"),
        ("rollout.csv", "2015-07-01,2015,110,", "2015-07-01,2015,111,", "district 111 does not stand in districts.csv"),
        ("rollout_stages.csv", "13,80,real", "13,81,real", "row 3: stage '1' has 81 dongs in 13 districts"),
        ("rollout_stages.csv", "25,424,plan", "25,423,plan", "stage 'plan of 2016' has 423 dongs"),
        ("rollout_stages.csv", "2018-05-01,2019-07-17", "2018-05-01,2018-04-17", "row 6: ends on 2018-04-17, before"),
        ("districts.csv", "72654,17,", "72654,18,", "dongs is 17, but districts.csv says 18"),
        ("districts.csv", "name_en", "name", "missing name_en"),
    ],
)
def test_a_roll_out_that_does_not_add_up_is_refused_with_file_and_row(copied, file, old, new, said):
    copied(file, old, new)
    with pytest.raises(SurveyError) as caught:
        ev.read_rollout("seoul_2016")
    assert said in str(caught.value)
    assert set(caught.value.failures) == {"file", "row", "column", "fault"}
    assert {row["file"] for row in caught.value.failures.to_dict("records")} <= set(FILES)


def test_where_all_districts_are_verified_there_is_no_notice(copied):
    folder = project.survey_folder("seoul_2016")
    for name in ("rollout.csv", "districts.csv"):
        text = (folder / name).read_text(encoding="utf-8")
        for kind in ("illustrative,", "stage_verified,"):
            text = text.replace(f",{kind}", ",verified,")
        (folder / name).write_text(text, encoding="utf-8")
    assert ev.read_rollout("seoul_2016").provenance.notice == {}


def test_the_survey_follows_what_happened(rollout):
    check = ev.check_schedule(rollout, ev.read_survey("seoul_2016"))
    assert check.follows == "realised"
    assert check.is_distinguishable
    assert check.differing.empty
    assert "realised roll-out in all 25 districts" in check.statement("en")


@pytest.fixture(scope="module")
def planned_city():
    return synthesize(switches=Switches(planned_schedule=True))


@pytest.mark.parametrize(("year", "districts"), [(2016, 1), (2017, 6)])
def test_a_file_that_carries_the_plan_is_caught(rollout, planned_city, year, districts):
    check = ev.check_schedule(rollout, citizen_survey(planned_city, year))
    assert check.follows == "planned"
    assert len(check.differing) == districts
    assert "The file carries the plan, not what happened" in check.statement("en")
    assert "Gangnam-gu" in check.statement("en")
    assert "강남구" in check.statement("ko")
    assert "계획" in check.statement("ko")


def test_a_file_that_carries_neither_schedule_is_caught(rollout):
    wrong = pd.DataFrame({"district": [110, 680], "year": 2017, "district_cohort": [2016, 2018]})
    wrong["district_dose"] = [1.0, 0.0]
    check = ev.check_schedule(rollout, wrong)
    assert check.follows == "neither"
    assert check.differing["district"].tolist() == ["110"]


def test_a_file_that_cannot_tell_the_schedules_apart_says_so(rollout):
    early = pd.DataFrame({"district": [110], "year": [2016], "district_cohort": [2015]})
    check = ev.check_schedule(rollout, early, dose=None)
    assert (check.follows, check.is_distinguishable) == ("realised", False)
    assert "cannot tell it from the plan" in check.statement("en")


def test_a_file_that_contradicts_itself_is_refused(rollout):
    twice = pd.DataFrame({"district": [110, 110], "year": 2016, "district_cohort": [2015, 2016]})
    with pytest.raises(SurveyError, match="contradict each other within one district and year"):
        ev.check_schedule(rollout, twice, dose=None)
    with pytest.raises(ColumnError, match="Did you mean 'district_cohort'"):
        ev.check_schedule(rollout, twice, cohort="district_cohrt", dose=None)
    with pytest.raises(SurveyError, match="do not stand in the roll-out: 11110"):
        ev.check_schedule(rollout, twice.assign(district=11110)[:1], dose=None)


def test_exposure_repeats_what_the_file_carries_and_adds_the_spillover_column(rollout):
    survey = ev.read_survey("seoul_2016")
    design = ev.exposure(ev.survey_design(survey), rollout)
    data = design.data
    assert (data["first_wave"] == data["district_cohort"]).all()
    np.testing.assert_allclose(data["dose"], data["district_dose"], atol=1e-6)
    expected = (data["district_dose"] > 0) & (data["dong_covered"] == 0)
    assert (data["uncovered_neighbour"] == expected).all()
    assert 0 < expected.sum() < len(data)
    assert "illustrative for 16" in design.provenance.notice["en"]
    assert "Synthetic data" in design.provenance.notice["en"]
    mean = ev.survey_mean(design, "happy", by="is_started")
    assert "illustrative for 16" in ev.table(mean, lang="en").source


def test_exposure_by_the_plan_is_another_one(rollout):
    frame = pd.DataFrame({"district": [680, 680, 999], "year": [2017, 2016, 2017]})
    design = ev.survey_design(frame)
    planned = ev.exposure(design, rollout, schedule="planned", covered=None, outside=[999]).data
    realised = ev.exposure(design, rollout, covered=None, outside=[999]).data
    assert planned[["first_wave", "dose", "is_started"]].to_numpy().tolist() == [[2017, 1, 1], [2017, 0, 0], [0, 0, 0]]
    assert realised[["first_wave", "dose"]].to_numpy().tolist() == [[2018, 0], [2018, 0], [0, 0]]
    assert "uncovered_neighbour" not in realised


def test_exposure_refuses_unknown_districts_and_taken_names(rollout):
    frame = pd.DataFrame({"district": [680, 999], "year": 2017, "dong_covered": 0})
    with pytest.raises(SurveyError, match="outside="):
        ev.exposure(ev.survey_design(frame), rollout)
    with pytest.raises(ColumnError, match="already have dose"):
        ev.exposure(ev.survey_design(frame.assign(dose=1.0)), rollout)
    with pytest.raises(ColumnError, match="expected numbers"):
        ev.exposure(ev.survey_design(frame.assign(year="last")), rollout, outside=[999])


@pytest.mark.parametrize(
    ("file", "row", "told"),
    [
        ("districts.csv", "140,11140,", "district 140 stands twice"),
        ("rollout_stages.csv", "1,2015-07-01,", "stage 1 stands twice"),
    ],
)
def test_a_row_that_stands_twice_is_told(copied, file, row, told):
    text = (project.survey_folder("seoul_2016") / file).read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith(row))
    copied(file, line, f"{line}\n{line}")
    with pytest.raises(SurveyError, match=rf"(?s)\(1 fault\).*{told}"):
        ev.read_rollout("seoul_2016")
