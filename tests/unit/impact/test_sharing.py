"""Whether a result says that its errors hold no shocks of the places that were treated as wholes."""

import numpy as np
import pandas as pd
import pytest

import evaluation as ev


def answers():
    """Eight persons in every wave in twelve places of four parts each: a third never treated, the rest in two steps."""
    rows = [(gu, year, part) for gu in range(12) for year in range(2013, 2018) for part in (0, 1, 2, 3) * 2]
    frame = pd.DataFrame(rows, columns=["gu", "year", "part"])
    frame["dong"] = 4 * frame["gu"] + frame["part"]
    frame["block"] = 10_000 * frame["dong"] + frame["year"]
    frame["first"] = np.select([frame["gu"] < 4, frame["gu"] < 8], [0, 2015], 2016)
    frame["d"] = ((frame["first"] > 0) & (frame["year"] >= frame["first"])).astype(int)
    frame["sex"] = frame["part"] % 2
    frame["y"] = np.random.default_rng(1).normal(size=len(frame))
    return frame


ASKED = {"outcome": "y", "cohort": "first"}
VERBS = {
    "att_gt": lambda panel, **more: ev.att_gt(panel, **ASKED, **more),
    "aggregate": lambda panel, **more: ev.aggregate(ev.att_gt(panel, **ASKED, **more)),
    "event_study": lambda panel, **more: ev.event_study(panel, **ASKED, **more),
    "imputation_did": lambda panel, **more: ev.imputation_did(panel, **ASKED, **more),
    "two_stage_did": lambda panel, **more: ev.two_stage_did(panel, **ASKED, **more),
    "sun_abraham": lambda panel, **more: ev.sun_abraham(panel, **ASKED, **more),
    "extended_twfe": lambda panel, **more: ev.extended_twfe(panel, **ASKED, **more),
    "event_study_twfe": lambda panel, **more: ev.event_study_twfe(panel, **ASKED, **more),
    "stacked_did": lambda panel, **more: ev.stacked_did(panel, **ASKED, window=(1, 1), **more),
    "placebo_dates": lambda panel, **more: ev.placebo_dates(panel, **ASKED, **more),
    "placebo_outcomes": lambda panel, **more: ev.placebo_outcomes(panel, outcomes="y", cohort="first", **more),
    "subgroup_impacts": lambda panel, **more: ev.subgroup_impacts(panel, **ASKED, by="sex", **more),
    "switching_did": lambda panel, **more: ev.switching_did(panel, outcome="y", treatment="d", place="gu", **more),
    "dose_did": lambda panel, **more: ev.dose_did(panel, outcome="y", dose="d", place="gu", bins=[0, 1], **more),
    "twfe": lambda panel, **more: ev.twfe(panel.design, outcome="y", treatment="d", unit="gu", time="year", **more),
}


def over_time(**declared):
    return ev.panel(ev.survey_design(answers(), **declared), time="year")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_says_that_its_errors_are_those_of_sampling_alone(verb):
    result = VERBS[verb](over_time())
    assert result.fit["sampling_error_alone"] is True
    assert "shocks of whole places are not in it" in ev.table(result, lang="en").caption
    assert "지역 전체가 함께 겪는 충격은 빠져" in ev.table(result, lang="ko").caption
    with_places = VERBS[verb](over_time(), cluster="gu")
    assert "sampling_error_alone" not in with_places.fit
    assert "shocks of whole places" not in ev.table(with_places, lang="en").caption


@pytest.mark.parametrize(
    ("declared", "more", "alone"),
    [
        ({}, {"cluster": "gu", "vcov": "design"}, True),
        ({"psu": "block", "strata": "gu"}, {}, True),
        ({"psu": "dong", "strata": "gu"}, {}, True),
        ({"psu": "dong"}, {"cluster": "gu", "vcov": "design"}, True),
        ({"psu": "gu"}, {}, False),
        ({"psu": "gu"}, {"cluster": "gu", "vcov": "design"}, False),
        ({"psu": "gu", "strata": "first"}, {}, False),
        ({}, {"cluster": "gu", "vcov": "cluster"}, False),
    ],
)
def test_sampling_units_as_large_as_places_carry_their_shocks(declared, more, alone):
    for verb in ("att_gt", "imputation_did", "sun_abraham"):
        assert VERBS[verb](over_time(**declared), **more).fit.get("sampling_error_alone", False) is alone


def test_units_that_come_again_carry_their_own_shocks():
    persons = pd.concat([answers().query("year == 2013").assign(year=year) for year in range(2013, 2018)])
    persons["who"] = persons.groupby("year").cumcount()
    persons["y"] = np.random.default_rng(2).normal(size=len(persons))
    for strata, alone in ((None, False), ("gu", True)):
        design = ev.survey_design(persons.reset_index(drop=True), psu="who", strata=strata)
        found = VERBS["att_gt"](ev.panel(design, unit="who", time="year"))
        assert found.fit.get("sampling_error_alone", False) is alone


def test_replicates_carry_the_shocks_of_what_they_leave_out():
    for kind, psu, alone in (("JK1", "gu", False), ("JK1", "block", True)):
        design = ev.as_replicates(ev.survey_design(answers(), psu=psu), kind=kind)
        found = VERBS["imputation_did"](ev.panel(design, time="year"))
        assert found.fit.get("sampling_error_alone", False) is alone
