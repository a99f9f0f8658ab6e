from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation import tables, wording
from evaluation.declared.estimates import VERBS as DECLARED
from evaluation.errors import ColumnError, EstimationError, FewClustersWarning, IdentificationError
from evaluation.results import PlainLabels, Provenance

WAVES = range(2012, 2019)
STARTS = {2015: 8, 2017: 8, 0: 9}


def places(seed: int = 3, jump: float = 1.0) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    first = np.repeat(list(STARTS), list(STARTS.values()))
    rows = [
        (g, start, year, draw.normal() + jump * (0 < start <= year)) for g, start in enumerate(first) for year in WAVES
    ]
    return pd.DataFrame(rows, columns=["place", "first", "year", "y"])


@pytest.fixture(scope="module")
def panel() -> ev.Panel:
    return ev.panel(ev.survey_design(places(), psu="place"), unit="place", time="year")


@pytest.fixture(scope="module")
def effects(panel):
    asked = {"outcome": "y", "cohort": "first", "cluster": "place", "base_period": "universal"}
    return ev.att_gt(panel, **asked)


def test_kinds_of_comparison_stand_in_words_and_in_few_decimals():
    design = ev.survey_design(places(), psu="place")
    made = DECLARED["goodman_bacon"](design, outcome="y", cohort="first", unit="place", time="year")
    for lang, first in (("ko", "시행 − 미시행"), ("en", "treated − never treated")):
        frame = ev.table(made, lang=lang).frame
        assert first in frame.iloc[:, 0].tolist()
        assert not frame.astype(str).stack().str.contains("_vs_").any()
    estimates = ev.table(made, lang="en").frame["Two-by-two comparison"]
    assert all(len(cell.partition(".")[2]) <= 4 for cell in estimates)


def test_an_event_study_names_its_reference_and_prints_bands_as_intervals(panel):
    path = ev.event_study(panel, outcome="y", cohort="first", cluster="place", base_period="universal")
    path = ev.simultaneous_bands(path, draws=199, seed=1)
    frame = ev.table(path, lang="en").frame
    assert "item" not in frame
    assert frame.iloc[0, 0] == "overall"
    row = frame[frame["years since the start"] == "-1"].iloc[0]
    assert row["Policy effect"] == "0"
    assert row["std. error"] == wording.ABSENT
    assert row["95% interval"] == "reference period"
    later = frame[frame["years since the start"] == "1"].iloc[0]
    ends = [later[name].strip("[]").split(", ") for name in ("95% interval", "simultaneous band")]
    assert {len(end.partition(".")[2]) for pair in ends for end in pair} == {2}
    assert {"band_low", "band_high"} <= set(tables.long_frame(path).columns)


def test_an_axis_of_policy_effects_is_called_effect(panel):
    table = ev.impact_table(
        panel, outcome="y", cohort="first", cluster="place", estimators=["group_time", "twfe"], draws=19
    )
    drawn = ev.plot(table, lang="en")
    assert [axes.get_xlabel() for axes in drawn.figure.axes if axes.get_xlabel()] == ["effect"]


def people(seed: int = 5) -> pd.DataFrame:
    draw, frame = np.random.default_rng(seed), places()
    rows = frame.loc[frame.index.repeat(4)].reset_index(drop=True)
    rows["y"] = (rows["y"] + draw.normal(size=len(rows)) > 0).astype(float)
    rows["age"] = draw.integers(20, 80, len(rows)).astype(float)
    return rows.assign(sex=draw.choice(["f", "m"], len(rows)))


@pytest.fixture(scope="module")
def waves() -> ev.Panel:
    return ev.panel(ev.survey_design(people()), time="year")


def test_subgroups_count_who_is_treated_and_name_the_adjustment(waves):
    asked = {"outcome": "y", "cohort": "first", "by": "sex", "cluster": "place", "replicates": 99}
    made = ev.subgroup_impacts(waves, **asked)
    frame = waves.design.data
    treated = ((frame["first"] > 0) & (frame["first"] <= frame["year"])).sum()
    assert made.columns["n_treated"][0] == treated
    assert made.columns["n_treated"][0] + made.columns["n_control"][0] == len(frame)
    assert "n_participants" not in made.columns
    adjusted = ev.subgroup_impacts(waves, **asked, covariates="age")
    assert set(adjusted.keys["method"]) == {"aipw"}
    assert "doubly robust" in ev.table(adjusted, lang="en").frame["method"].tolist()


def test_missing_answers_that_cannot_undo_an_estimate_do_not_hide_that_the_interval_holds_zero():
    rows = people(seed=9)
    rows.loc[rows.index[::97], "y"] = np.nan
    over_time = ev.panel(ev.survey_design(rows), time="year")
    found = ev.missing_outcome_bounds(over_time, outcome="y", cohort="first", cluster="place", lowest=0, highest=1)
    holds = found.frame.assign(conf_low=-0.1, conf_high=0.2)
    never = replace(found, breakdown=np.inf, frame=holds)
    assert "with sampling error the interval holds zero" in never.text("en")
    assert "표집오차까지 더한 구간은 0을 담음" in never.text("ko")
    clear = replace(never, frame=holds.assign(conf_low=0.1))
    assert "interval holds zero" not in clear.text("en")
    assert all(cell.startswith("[") for cell in ev.table(found, lang="en").frame["95% interval"])


def test_a_wave_of_anticipation_is_said_below_the_table(panel):
    asked = {"outcome": "y", "cohort": "first", "cluster": "place"}
    ahead = ev.aggregate(ev.att_gt(panel, **asked, anticipation=1))
    imputed = ev.imputation_did(panel, **asked, anticipation=1)
    for made in (ahead, imputed):
        assert "1 before the start" in ev.table(made, lang="en").caption
        assert "선행 반응 허용" in ev.table(made, lang="ko").caption
    assert "anticipation" not in ev.table(ev.aggregate(ev.att_gt(panel, **asked)), lang="en").caption


def test_notes_of_a_table_hold_labels_and_no_code():
    rows = places()
    rows["first"] = rows["first"].where(rows["place"] != 0, 2014)
    design = ev.survey_design(rows, psu="place")
    named = replace(design.provenance, labels=Named())
    over_time = ev.panel(replace(design, provenance=named), unit="place", time="year")
    made = ev.att_gt(over_time, outcome="y", cohort="first", cluster="place")
    for result in (made, ev.aggregate(made)):
        for lang, word in (("ko", "곳: 도시"), ("en", "Town: City")):
            caption = ev.table(result, lang=lang).caption
            assert word in caption
            assert "ev." not in caption
            assert "supported_only" not in caption
        assert "supported_only=True" in repr(result)


class Named(PlainLabels):
    def variable(self, name, lang):
        return {"ko": "곳", "en": "Town"}[lang] if name == "place" else str(name)

    def value(self, name, code, lang):
        return {"ko": "도시", "en": "City"}[lang] if name == "place" else str(code)


@pytest.fixture(scope="module")
def compared(waves):
    return ev.impact_table(
        waves,
        outcome="y",
        cohort="first",
        cluster="place",
        covariates="age",
        estimators=["group_time", "imputation", "efficient"],
        draws=99,
    )


def test_the_main_table_tells_below_what_all_rows_share_and_its_file_keeps_it(compared):
    shown, shared = ev.table(compared, lang="en"), {"clusters", "places treated", "last wave", "reason"}
    assert shown.title == "Policy effect by estimator: y"
    assert not shared & set(shown.frame.columns)
    assert "Clusters 25, places treated 16" in shown.caption
    assert "last wave 2018" in shown.caption
    assert "Not adjusted for covariates: efficient" in shown.caption
    assert "공변량을 쓰지 않음: 무작위 시점" in ev.table(compared, lang="ko").caption
    assert {"n_clusters", "n_treated_clusters", "until", "reason", "without"} <= set(shown.data.columns)


def test_the_main_table_counts_observations_in_every_row(panel):
    asked = {"outcome": "y", "cohort": "first", "cluster": "place", "draws": 99}
    made = ev.impact_table(panel, **asked, estimators=["group_time", "imputation", "twfe"])
    assert made.n_obs.tolist() == [len(places())] * 3
    assert "a place in a wave" in ev.table(made, lang="en").caption


def test_rows_that_allow_no_anticipation_give_no_number_where_it_is_asked_for(panel):
    asked = {"outcome": "y", "cohort": "first", "cluster": "place", "draws": 99, "anticipation": 1}
    made = ev.impact_table(panel, **asked, estimators=["group_time", "stacked", "twfe"])
    assert np.isfinite(made.estimate).tolist() == [True, False, False]
    assert made.columns["reason"].tolist() == ["", "takes_no_anticipation", "takes_no_anticipation"]
    assert "1 before the start" in ev.table(made, lang="en").caption


def test_the_main_table_refuses_covariates_that_suit_no_estimator_and_controls_that_are_cut_away(waves):
    rows = waves.design.data
    twice = ev.panel(ev.survey_design(rows.assign(twice=2 * rows["age"])), time="year")
    asked = {"outcome": "y", "cohort": "first", "cluster": "place", "draws": 99}
    with pytest.raises(EstimationError, match="no estimator takes these covariates"):
        ev.impact_table(twice, **asked, covariates=["age", "twice"], estimators=["imputation", "twfe", "efficient"])
    later = rows.assign(first=rows["first"].replace(0, 2018))
    with pytest.raises(IdentificationError, match="everybody is treated by 2018"):
        ev.impact_table(ev.panel(ev.survey_design(later), time="year"), **asked, control_group="nevertreated")


def test_an_error_of_placebos_is_no_jackknife(panel):
    rows = places()
    few = rows[(rows["first"] == 0) | (rows["place"] == 0)].assign(first=lambda f: f["first"].where(f["first"] > 0, 0))
    over_time = ev.panel(ev.survey_design(few, psu="place"), unit="place", time="year")
    asked = {"outcome": "y", "cohort": "first", "cluster": "place", "estimators": ["synthetic_did", "twfe"]}
    with pytest.warns(FewClustersWarning):
        made = ev.impact_table(over_time, **asked, draws=99)
    assert made.columns["reason"][0] == "placebo_error"
    assert np.isnan(made.columns["p_jackknife"][0])
    assert made.df[0] == np.inf


def test_a_trend_by_cohort_says_who_is_never_treated(waves):
    trend = ev.survey_trend(waves.design, "y", time="year", by="first")
    assert "never treated" in ev.table(trend, lang="en").frame.to_numpy()
    assert "시행 안 함" in ev.table(trend, lang="ko").frame.to_numpy()
    assert "시행 안 함" in ev.plot(trend, lang="ko").data["group"].tolist()
    by_sex = ev.survey_trend(
        replace(waves.design, data=waves.design.data.assign(kids=lambda f: (f["sex"] == "f") * 1)),
        "y", time="year", by="kids",
    )  # fmt: skip
    assert set(ev.table(by_sex, lang="en").frame["kids"]) == {"0", "1"}


def test_notes_below_a_figure_are_clauses_until_one_is_a_sentence():
    told = wording.caption(Provenance("s"), None, "en", notes=["bars", "It holds. So it is.", "lines"])
    assert told == "s; bars. It holds. So it is. Lines"


def test_wrong_places_and_numbers_are_refused_by_the_main_table(waves):
    asked = {"outcome": "y", "cohort": "first", "cluster": "place"}
    with pytest.raises(ColumnError, match="nosuch"):
        ev.impact_table(waves, **asked, place="nosuch")
    with pytest.raises(EstimationError, match="0 or more"):
        ev.impact_table(waves, **asked, anticipation=-1)
    with pytest.raises(EstimationError, match="1 or more"):
        ev.impact_table(waves, **asked, draws=-1)


def test_a_sentence_is_about_the_treated_and_rows_before_the_start_are_no_effect(panel):
    path = ev.event_study(panel, outcome="y", cohort="first", cluster="place")
    path = replace(path, provenance=replace(path.provenance, population={"ko": "25개 지역", "en": "the 25 places"}))
    times = path.keys["event_time"].tolist()
    for lang, whom, before, reference in (
        ("en", "among the treated of the 25 places", "before the start, no effect", "0 by construction"),
        ("ko", "25개 지역 중 시행한 곳의", "시행 전 차이 (정책 효과가 아님)", "정의에 따라 0"),
    ):
        said = dict(zip(times, ev.statement(path, lang=lang).sentences, strict=False))
        assert whom in said[None]
        assert whom in said[1]
        assert before not in said[1]
        assert before in said[-2]
        assert reference in said[-1]
        assert "95%" not in said[-1]
