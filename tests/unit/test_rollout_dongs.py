"""A roll-out down to single dongs: own cohorts, residents, pilots, timing rules, coverage next door, the heat map."""

import shutil

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation import project
from evaluation.errors import ColumnError, EstimationError, PublishError, SourceError, SurveyError
from evaluation.impact.rollout.timing import wave_of, wave_of_interviews

FILES = ("survey.yml", "rollout.csv", "rollout_stages.csv", "districts.csv", "tiles.csv")


def dongs_of(cells):
    """Single dongs whose dates add up to the stocks of the districts; the first four covered were pilots."""
    rows = []
    for district, own in cells.sort_values("date").groupby("district"):
        for number in range(1, int(own["dongs"].iloc[0]) + 1):
            dates = {
                name: own.loc[own[stock] >= number, "date"].min()
                for name, stock in (("date_realised", "dongs_covered"), ("date_planned", "dongs_planned"))
            }
            rows.append(
                {"dong": int(district) * 100 + number, "district": district, **dates, "residents": 100 * number}
            )
    dongs = pd.DataFrame(rows)
    dongs["is_pilot"] = 0
    dongs.loc[dongs[dongs["date_realised"] == "2015-07-01"].index[:4], "is_pilot"] = 1
    dongs.loc[dongs["is_pilot"] == 1, "date_realised"] = "2015-03-01"
    return dongs


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A project of its own with single dongs and neighbours."""
    source, made = project.survey_folder("seoul_2016"), tmp_path / "surveys" / "seoul_2016"
    made.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[tool.evaluation]\n", encoding="utf-8")
    for name in FILES:
        shutil.copy(source / name, made / name)
    cells = pd.read_csv(source / "rollout.csv", dtype={"district": str})
    dongs_of(cells).to_csv(made / "rollout_dongs.csv", index=False, encoding="utf-8")
    pairs = pd.DataFrame({"district": [110, 110, 680], "neighbour": [140, 200, 650]})
    pairs.to_csv(made / "neighbours.csv", index=False, encoding="utf-8")
    monkeypatch.setenv("EVALUATION_PROJECT", str(tmp_path))
    return made


def spoil(folder, file, column, row, value):
    """Change one value; ``row`` is the line of the file."""
    frame = pd.read_csv(folder / file, dtype=str)
    frame.loc[row - 2, column] = value
    frame.to_csv(folder / file, index=False, encoding="utf-8")


@pytest.mark.parametrize(
    ("timing", "waves"),
    [
        ("october_wave", [2015, 2017, 2018]),
        ("half_year", [2015, 2017, 2017]),
        (("month", 10), [2015, 2017, 2018]),
        (("month", 6), [2016, 2018, 2018]),
    ],
)
def test_the_first_wave_of_a_date_is_a_rule_that_is_written_down(timing, waves):
    dates = pd.to_datetime(["2015-07-01", "2017-07-18", "2017-10-02"])
    assert [wave_of(date, timing) for date in dates] == waves


def test_interviews_of_spring_belong_to_the_wave_before():
    days = pd.Series(pd.to_datetime(["2015-06-30", "2015-07-01", "2016-02-10", None]))
    assert wave_of_interviews(days, "half_year").tolist()[:3] == [2014, 2015, 2015]
    assert wave_of_interviews(days, ("month", 3)).tolist()[:3] == [2015, 2015, 2015]
    assert np.isnan(wave_of_interviews(days, "half_year").iloc[3])


@pytest.mark.parametrize("timing", ["october", ("month", 13), ("month", "10"), 10])
def test_an_unknown_timing_rule_is_refused(timing):
    with pytest.raises(EstimationError, match="'october_wave', 'half_year' or"):
        ev.read_rollout("seoul_2016", timing=timing)


def test_the_rule_stands_in_what_is_shown():
    october, early = ev.read_rollout("seoul_2016"), ev.read_rollout("seoul_2016", timing=("month", 6))
    assert any(rule in repr(october) for rule in ("by the first of October", "10월 1일까지"))
    assert "first of June" in early.provenance.notice["en"]
    assert "6월 1일" in early.provenance.notice["ko"]
    assert early.cohorts()["first_wave"].value_counts().to_dict() == {2016: 13, 2017: 5, 2018: 7}
    half = ev.read_rollout("seoul_2016", timing="half_year")
    pd.testing.assert_frame_equal(half.cohorts(), october.cohorts())


def test_single_dongs_add_up_to_the_districts(folder):
    rollout = ev.read_rollout("seoul_2016")
    by_dong = rollout.waves_of(rollout.dongs["date_realised"]).value_counts().to_dict()
    assert by_dong == rollout.dong_cohorts().groupby("first_wave")["dongs"].sum().to_dict()
    assert rollout.dongs["is_pilot"].sum() == 4


def test_a_dose_of_residents_weighs_dongs_by_who_lives_there(folder):
    rollout = ev.read_rollout("seoul_2016")
    # four of fifteen dongs of 100, 200, ... residents
    assert rollout.dose(dose_of="residents").loc["140", 2017] == pytest.approx((1 + 2 + 3 + 4) / (15 * 16 / 2))
    assert rollout.dose().loc["140", 2017] == pytest.approx(4 / 15)
    with pytest.raises(EstimationError, match="Did you mean 'residents'"):
        rollout.dose(dose_of="resident")


def test_pilots_count_or_are_left_out_with_their_residents(folder):
    counted, left_out = ev.read_rollout("seoul_2016"), ev.read_rollout("seoul_2016", pilots="leave_out")
    pilots = counted.dongs[counted.dongs["is_pilot"] == 1]
    district = pilots["district"].iloc[0]
    n, total = (pilots["district"] == district).sum(), (counted.dongs["district"] == district).sum()
    covered = counted.dose().loc[district, 2015] * total
    assert left_out.dose().loc[district, 2015] == pytest.approx((covered - n) / (total - n))
    assert "pilot dongs left out" in left_out.provenance.notice["en"]
    people = pd.DataFrame({"dong": counted.dongs["dong"], "district": counted.dongs["district"], "year": 2016})
    with pytest.raises(EstimationError, match="name dong="):
        ev.exposure(ev.survey_design(people), left_out, covered=None)
    design = ev.exposure(ev.survey_design(people), left_out, dong="dong")
    assert design.present.sum() == 424 - 4
    assert design.data["is_pilot"].sum() == 4


def test_own_dong_and_district_have_cohorts_of_their_own(folder):
    rollout = ev.read_rollout("seoul_2016")
    people = pd.DataFrame({"dong": [14001, 14005, 68001, 99], "district": [140, 140, 680, 999], "year": 2017})
    data = ev.exposure(ev.survey_design(people), rollout, dong="dong", outside=[999]).data
    assert data["g_district"].tolist() == [2017, 2017, 2018, 0]
    assert data["g_dong"].tolist() == [2017, 2018, 2018, 0]
    assert data["uncovered_neighbour"].tolist() == [0, 1, 0, 0]
    planned = ev.exposure(ev.survey_design(people), rollout, dong="dong", outside=[999], schedule="planned").data
    assert planned["g_dong"].tolist() == [2017, 2017, 2017, 0]


def test_without_single_dongs_the_files_own_column_serves():
    rollout = ev.read_rollout("seoul_2016")
    survey = ev.read_survey("seoul_2016")
    data = ev.exposure(ev.survey_design(survey), rollout, own_cohort="dong_cohort").data
    assert (data["g_dong"] == data["dong_cohort"]).all()
    assert (data["g_district"] == data["district_cohort"]).all()
    assert (data["g_dong"] >= data["g_district"]).all()
    for needed in ({"dong": "dong"}, {"dose_of": "residents"}):
        with pytest.raises(SourceError, match=r"needs rollout_dongs\.csv in surveys/seoul_2016"):
            ev.exposure(ev.survey_design(survey), rollout, **needed)
    with pytest.raises(SourceError, match=r"needs rollout_dongs\.csv"):
        ev.read_rollout("seoul_2016", pilots="leave_out")
    with pytest.raises(SourceError, match=r"not available.*neighbours\.csv"):
        ev.exposure(ev.survey_design(survey), rollout, neighbours=True)


def test_coverage_next_door_is_that_of_all_adjoining_dongs(folder):
    rollout = ev.read_rollout("seoul_2016")
    next_door = rollout.neighbour_dose()
    # 140 has 15 dongs, none covered in 2015; 200 has 17, all covered
    assert next_door.loc["110", 2015] == pytest.approx(17 / 32)
    assert next_door.loc["140", 2015] == pytest.approx(rollout.dose().loc["110", 2015])
    people = pd.DataFrame({"district": [110, 680, 305], "year": 2015})
    data = ev.exposure(ev.survey_design(people), rollout, covered=None, neighbours=True).data
    assert data["neighbour_dose"].tolist()[:2] == [pytest.approx(17 / 32), 0]
    assert np.isnan(data["neighbour_dose"].iloc[2])


def test_the_day_of_the_interview_decides_the_wave(folder):
    rollout = ev.read_rollout("seoul_2016", timing="half_year")
    days = ["2015-06-30", "2015-07-02", "2016-03-01"]
    people = pd.DataFrame({"district": 200, "dong": 20001, "year": [2015, 2015, 2016], "day": days})
    data = ev.exposure(ev.survey_design(people), rollout, dong="dong", date="day").data
    assert data["wave"].tolist() == [2014, 2015, 2015]
    assert data["is_started"].tolist() == [0, 1, 1]
    spoiled = people.assign(day=["spring", *days[1:]])
    with pytest.raises(ColumnError, match=r"no date in 1 rows \('spring'\)") as caught:
        ev.exposure(ev.survey_design(spoiled), rollout, dong="dong", date="day")
    assert len(caught.value.failures) == 1
    with pytest.raises(ColumnError, match="already have wave"):
        ev.exposure(ev.survey_design(people.assign(wave=1)), rollout, dong="dong", date="day")


def test_dongs_that_are_unknown_or_lie_elsewhere_are_refused(folder):
    rollout = ev.read_rollout("seoul_2016")
    people = pd.DataFrame({"dong": [14001, 14099], "district": 140, "year": 2017})
    with pytest.raises(SurveyError, match=r"1 dongs do not stand in rollout_dongs\.csv: 14099"):
        ev.exposure(ev.survey_design(people), rollout, dong="dong")
    people["dong"] = [14001, 68001]
    with pytest.raises(SurveyError, match="dong 68001 of district 680, respondent in 140"):
        ev.exposure(ev.survey_design(people), rollout, dong="dong")


@pytest.mark.parametrize(
    ("column", "row", "value", "said", "where"),
    [
        ("date_realised", 7, "1 July 2015", "row 7: date_realised is '1 July 2015', expected a date", "date_realised"),
        ("date_realised", 7, "2019-13-01", "row 7: date_realised is '2019-13-01', expected a date", "date_realised"),
        ("residents", 3, "many", "row 3: residents is 'many', expected a whole number", "residents"),
        ("residents", 3, "0", "row 3: dong 11002 has no residents", "residents"),
        ("is_pilot", 5, "2", "row 5: is_pilot is 2, expected 0 or 1", "is_pilot"),
        ("district", 5, "999", "row 5: district 999 does not stand in districts.csv", "district"),
        ("dong", 5, "11001", "row 5: dong 11001 stands twice", "dong"),
        ("district", 5, "140", "district 110 has 16 dongs, but districts.csv says 17", "district"),
        ("date_realised", 12, "2015-07-01", "dongs_covered of district 110 is 3 on 2015-07-01", "dongs_covered"),
        ("date_planned", 2, "2018-01-01", "dongs_planned of district 110 is", "dongs_planned"),
    ],
)
def test_a_file_of_dongs_that_does_not_add_up_is_refused_with_file_row_and_column(
    folder, column, row, value, said, where
):
    spoil(folder, "rollout_dongs.csv", column, row, value)
    with pytest.raises(SurveyError) as caught:
        ev.read_rollout("seoul_2016")
    assert said in str(caught.value)
    assert where in set(caught.value.failures["column"])


def test_neighbours_that_are_unknown_or_adjoin_themselves_are_refused(folder):
    spoil(folder, "neighbours.csv", "neighbour", 2, "999")
    spoil(folder, "neighbours.csv", "neighbour", 4, "680")
    with pytest.raises(SurveyError) as caught:
        ev.read_rollout("seoul_2016")
    assert "neighbours.csv, row 2: neighbour 999 does not stand in districts.csv" in str(caught.value)
    assert "neighbours.csv, row 4: district 680 adjoins itself" in str(caught.value)


@pytest.mark.parametrize(("lang", "words"), [("ko", "자치구와 조사 연도별"), ("en", "by district and wave")])
def test_the_heat_map_is_ordered_by_the_start_and_frames_where_the_plan_was_further(lang, words):
    figure = ev.plot(ev.read_rollout("seoul_2016"), kind="heatmap", lang=lang)
    assert words in figure.title
    assert figure.png()[:4] == b"\x89PNG"
    first = figure.data[figure.data["share"] > 0].groupby("district", sort=False)["wave"].min()
    assert first.is_monotonic_increasing
    ahead = figure.data[figure.data["share_planned"] > figure.data["share"]]
    assert set(ahead["wave"]) == {2017, 2018}
    with pytest.raises(PublishError, match="'heatmap'"):
        ev.plot(ev.read_rollout("seoul_2016"), kind="path")
