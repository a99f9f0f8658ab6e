"""Input that cannot serve group-time effects: every message says what was expected, what came, and what to do."""

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, EstimationError, IdentificationError


def answers(seed=1, n_places=16, per_wave=10, waves=(2013, 2014, 2015, 2016, 2017)):
    rng = np.random.default_rng(seed)
    place = np.repeat(np.arange(n_places), per_wave * len(waves))
    year = np.tile(np.repeat(waves, per_wave), n_places)
    first = np.array([2015, 2016, 2017, 0])[place % 4]
    gain = np.where((first > 0) & (year >= first), 1.0, 0.0)
    frame = pd.DataFrame({"place": place, "year": year, "first": first, "w": rng.uniform(0.5, 2, len(place))})
    frame["id"] = place * per_wave + np.tile(np.arange(per_wave), n_places * len(waves))
    return frame.assign(woman=rng.integers(0, 2, len(place)), y=gain + rng.normal(0, 1, len(place)))


def effects(frame, unit=None, **arguments):
    design = ev.survey_design(frame, weights="w", psu=unit)
    asked = {"outcome": "y", "cohort": "first", **arguments}
    return ev.att_gt(ev.panel(design, unit=unit, time="year"), **asked)


def refused(error, frame, **arguments):
    with pytest.raises(error) as raised:
        effects(frame, **arguments)
    return str(raised.value)


def reason(made, cohort, time):
    return {(row["cohort"], row["time"]): row["reason"] for row in made.fit["not_identified"]}.get((cohort, time))


# dates and other periods


def test_dates_are_answered_with_how_to_make_years_of_them():
    frame = answers()
    dates = pd.to_datetime(frame["year"].astype(str) + "-07-01")
    assert refused(ColumnError, frame.assign(year=dates)) == (
        "time 'year' holds dates (2013-07-01, 2014-07-01, 2015-07-01), expected the wave as a number, such as a year. "
        "Make one with data['year'].dt.year; the middle of a year may be 2015.5."
    )
    starts = pd.to_datetime(frame["first"].where(frame["first"] > 0).astype("Int64").astype(str), errors="coerce")
    told = refused(ColumnError, frame.assign(first=starts))
    assert told.startswith("cohort 'first' holds dates (2015-01-01, 2016-01-01, 2017-01-01)")
    assert "Make one with data['first'].dt.year, and 0 for never" in told
    assert "holds dates" in refused(ColumnError, frame.assign(year=pd.PeriodIndex(frame["year"].astype(str), freq="Y")))


def test_text_that_holds_years_or_dates_is_told_apart_from_other_text():
    frame = answers()
    assert "pandas.to_numeric(data['year'])" in refused(ColumnError, frame.assign(year=frame["year"].astype(str)))
    dates = frame["year"].astype(str) + "-07-01"
    assert "pandas.to_datetime(data['year']).dt.year" in refused(ColumnError, frame.assign(year=dates))
    told = refused(ColumnError, frame.assign(first="stage 1"))
    assert "Put the period that each stands for in a column of its own" in told


def test_dates_that_are_no_dates_are_counted_and_shown():
    frame = answers()
    dates = (frame["year"].astype(str) + "-07-01").where(frame.index != 7, "2013-02-30")
    with pytest.raises(ColumnError, match=r"rows that hold no date: 1 \(first: '2013-02-30'\)") as raised:
        effects(frame.assign(year=dates))
    assert raised.value.failures.index.tolist() == [7]
    assert "no date: 800" in refused(ColumnError, frame.assign(year=frame["year"].astype(str) + "-13-01"))


def test_year_and_month_and_yes_or_no_are_no_waves():
    frame = answers()
    months = frame["first"].where(frame["first"] == 0, frame["first"] * 100 + 7)
    assert "looks like year and month (201507)" in refused(ColumnError, frame.assign(first=months))
    assert "is yes or no" in refused(ColumnError, frame.assign(year=frame["year"] > 2015))


@pytest.mark.parametrize("unit", [None, "id"])
def test_a_treatment_that_tells_whether_not_when_is_answered(unit):
    frame = answers()
    treated = ((frame["first"] > 0) & (frame["year"] >= frame["first"])).astype(int)
    told = refused(ColumnError, frame.assign(first=treated), unit=unit)
    assert "holds 0 and 1 only, which tells whether somebody is treated, not from when" in told


# units over time


def test_a_unit_that_changes_cohort_or_whose_treatment_ends_is_shown():
    frame = answers()
    ended = frame.assign(first=np.where((frame["year"] == 2017) & (frame["place"] == 0), 0, frame["first"]))
    with pytest.raises(ColumnError, match="changes within 10 of 160 units of 'id'") as raised:
        effects(ended, unit="id")
    assert "switches off and on, ask ev.switching_did" in str(raised.value)
    assert len(raised.value.failures) == 50


def test_unbalanced_and_doubled_units_are_shown():
    frame = answers()
    told = refused(ColumnError, frame.drop(index=5).reset_index(drop=True), unit="id")
    assert "1 rows are missing, of 1 of 160 units" in told
    assert "incomplete='restrict'" in told
    told = refused(ColumnError, pd.concat([frame, frame.iloc[[0]]], ignore_index=True), unit="id")
    assert "unit 'id' × time 'year' must be unique, but 1 pairs stand more than once (first: 0 in 2013)" in told


# who is treated before the first wave, after the last, always


def test_a_cohort_before_the_first_wave_is_left_out_and_counted():
    early = answers().assign(first=lambda d: d["first"].replace(2015, 2012))
    made = effects(early)
    assert made.fit["treated_throughout"] == [2012]
    assert "Treated from the first wave on and left out on both sides: start 2012 (200 records)" in made.remarks("en")
    assert "2012 (응답 200건)" in " ".join(made.remarks("ko"))
    assert reason(made, 2012, 2015) == "no_period_before"
    without = effects(early[early["first"] != 2012].reset_index(drop=True))
    np.testing.assert_allclose(made.estimate, without.estimate, rtol=1e-12)
    told = refused(IdentificationError, early.assign(first=np.where(early["first"] > 0, 2010, 0)))
    assert "everybody treated was so before the first wave" in told
    assert "add earlier waves" in told


def test_a_cohort_after_the_last_wave_counts_as_never_treated_and_is_said():
    made = effects(answers().assign(first=lambda d: d["first"].replace(2017, 2030)))
    assert made.fit["treated_later"] == [2030]
    assert "counted as never treated: start 2030 (200 records)" in " ".join(made.remarks("en"))


def test_all_treated_and_nevertreated_asked_shows_the_way_out():
    told = refused(IdentificationError, answers().query("first > 0"), control_group="nevertreated")
    assert 'Use control_group="notyettreated"; ATT(g, t) is then available up to 2016.' in told


def test_cells_without_comparison_are_printed():
    made = effects(answers().query("first > 0").reset_index(drop=True))
    assert reason(made, 2015, 2017) == "no_comparison"
    assert "nobody left who is not treated yet 4" in repr(made)
    assert "nobody left who is not treated yet 4" in " ".join(ev.table(made, lang="en").notes)


# weights, answers, waves that are not there


def test_weights_of_zero_in_a_cell_are_the_reason():
    frame = answers()
    gone = (frame["first"] == 2016) & (frame["year"] == 2017)
    made = effects(frame.assign(w=frame["w"].where(~gone, 0.0)))
    assert reason(made, 2016, 2017) == "weightless"
    assert reason(made, 2016, 2016) is None
    whole = effects(frame.assign(w=frame["w"].where(frame["first"] != 2016, 0.0)))
    assert {reason(whole, 2016, time) for time in (2014, 2015, 2016, 2017)} == {"weightless"}
    assert "all weights of a group are zero in a wave" in repr(whole)
    told = ev.identified_cells(
        ev.panel(ev.survey_design(frame.assign(w=frame["w"].where(~gone, 0.0)), weights="w"), time="year"),
        cohort="first",
    ).tidy()
    assert told.loc[told["reason"] == "weightless", ["cohort", "time"]].values.tolist() == [[2016, 2017]]
    everybody = frame.assign(w=frame["w"].where(frame["first"] == 0, 0.0))
    assert "whose weights are all zero" in refused(IdentificationError, everybody)


def test_the_controls_weights_of_zero_are_the_reason_too():
    frame = answers()
    gone = (frame["first"] == 0) & (frame["year"] == 2017)
    made = effects(frame.assign(w=frame["w"].where(~gone, 0.0)), control_group="nevertreated")
    assert {reason(made, cohort, 2017) for cohort in (2015, 2016, 2017)} == {"weightless"}


def test_a_group_that_a_wave_did_not_ask_is_named_before_and_after_the_outcome_is_read():
    frame = answers().query("first != 2016 or year != 2015").reset_index(drop=True)
    made = effects(frame)
    assert reason(made, 2016, 2016) == "no_answers"
    told = ev.identified_cells(ev.panel(ev.survey_design(frame), time="year"), cohort="first").tidy()
    assert "no_answers" in set(told.loc[told["cohort"] == 2016, "reason"])
    silent = answers().assign(y=lambda d: d["y"].where(d["first"] != 2016))
    assert reason(effects(silent), 2016, 2016) == "no_answers"


# covariates and clusters


def test_covariates_collinear_in_one_cell_are_named_with_the_cell():
    frame = answers()
    rng = np.random.default_rng(2)
    score = np.where(np.isin(frame["first"], (2015, 0)), 2.0 * frame["woman"] - 1, rng.normal(0, 0.5, len(frame)))
    asked = {"covariates": ["woman", "score"], "control_group": "nevertreated", "estimator": "reg"}
    made = effects(frame.assign(score=score), **asked)
    assert made.fit["collinear"][0] == {"cohort": 2015, "time": 2014, "covariates": ["score"]}
    assert {row["cohort"] for row in made.fit["collinear"]} == {2015}
    assert "combinations of others: score (start 2015 in 2014" in repr(made)
    alone = effects(frame, **{**asked, "covariates": ["woman"]})
    at = [row for row, cohort in enumerate(made.keys["cohort"]) if cohort == 2015]
    there = [row for row, cohort in enumerate(alone.keys["cohort"]) if cohort == 2015]
    np.testing.assert_allclose(made.estimate[at], alone.estimate[there], rtol=1e-9)
    told = refused(IdentificationError, frame.assign(double=2 * frame["woman"]), covariates=["woman", "double"])
    assert "double is constant or a combination of the covariates before it" in told


@pytest.mark.parametrize("vcov", ["jackknife", "cluster", None])
def test_fewer_than_three_clusters_are_refused(vcov):
    told = refused(EstimationError, answers().assign(side=lambda d: d["place"] % 2), cluster="side", vcov=vcov)
    assert told == (
        "att_gt: cluster 'side' has 2 values (0, 1), and errors of clusters need at least 3. Cluster at a finer level, "
        "take vcov='design', or compare single places with ev.synthetic_control."
    )


def test_the_jackknife_is_refused_where_a_place_carries_a_cell_and_the_way_out_is_said():
    frame = answers().query("first > 0 and (first < 2017 or place == 2)").reset_index(drop=True)
    made = effects(frame, cluster="place")
    lost = {"cohort": 2015, "time": 2016, "hangs_on": ["2"]}
    assert lost in made.fit["without_error"]
    for type_ in ("simple", "group", "dynamic", "calendar"):
        sums = ev.aggregate(made, type=type_)
        used = {row: set(cells) for row, cells in sums.fit["cell_weights"].items()}
        names = ["overall", *map(str, sums.keys.iloc[1:, -1])] if type_ != "simple" else ["overall"]
        bad = {f"{row['cohort']},{row['time']}" for row in made.fit["without_error"]}
        expected = [bool(used[name] & bad) for name in names]
        assert np.isnan(sums.std_error).tolist() == expected
        assert len(sums.fit["rows_without_error"]) == sum(expected)
        told = " ".join(sums.remarks("en"))
        assert "hang on a single place (place: 2;" in told
        assert "Randomization inference (under exchangeable roll-out order), outside controls" in told
        assert "ev." not in told
        assert "ev.randomization_inference" in repr(sums) or not sum(expected)
        assert "시행 순서가 바뀔 수 있었다는 가정" in " ".join(sums.remarks("ko"))
    whole = ev.aggregate(effects(frame, cluster="place", vcov="cluster"))
    assert np.isfinite(whole.std_error).all()
    assert "refused" not in repr(whole)
