"""Clusters that no estimate rests on add no degrees of freedom, and cells without answers are named."""

import numpy as np
import pandas as pd
import pytest

import evaluation as ev

WAVES = range(2013, 2018)


def answers(starts, seed=2, first_place=0):
    """Four persons in every wave in one place for each start; 0 for never."""
    rows = [(first_place + gu, year, start) for gu, start in enumerate(starts) for year in WAVES for _ in range(4)]
    frame = pd.DataFrame(rows, columns=["gu", "year", "first"])
    draws = np.random.default_rng(seed)
    shocks = draws.normal(size=(len(starts), len(WAVES)))
    frame["y"] = shocks[frame["gu"] - first_place, frame["year"] - WAVES[0]] + draws.normal(size=len(frame))
    frame["d"] = ((frame["first"] > 0) & (frame["year"] >= frame["first"])).astype(float)
    return frame


ASKED = {"outcome": "y", "cohort": "first", "cluster": "gu"}
VERBS = {
    "aggregate": lambda panel: ev.aggregate(ev.att_gt(panel, **ASKED)),
    "event_study": lambda panel: ev.event_study(panel, **ASKED),
    "imputation_did": lambda panel: ev.imputation_did(panel, place="gu", **ASKED),
    "two_stage_did": lambda panel: ev.two_stage_did(panel, place="gu", **ASKED),
    "sun_abraham": lambda panel: ev.sun_abraham(panel, place="gu", **ASKED),
    "extended_twfe": lambda panel: ev.extended_twfe(panel, place="gu", **ASKED),
    "stacked_did": lambda panel: ev.stacked_did(panel, window=(2, 1), **ASKED),
    "efficient_did": lambda panel: ev.efficient_did(panel, place="gu", **ASKED),
    "switching_did": lambda panel: ev.switching_did(panel, outcome="y", treatment="d", place="gu", cluster="gu"),
}


def estimated(verb, frame):
    return VERBS[verb](ev.panel(ev.survey_design(frame), time="year"))


@pytest.mark.parametrize("verb", VERBS)
def test_places_treated_since_before_the_first_wave_are_no_clusters(verb):
    alone = answers([2016, 2016, 2016, 0, 0, 0])
    with_early = pd.concat([alone, answers([2010] * 12, seed=3, first_place=100)], ignore_index=True)
    one, other = estimated(verb, alone), estimated(verb, with_early)
    assert np.allclose(one.estimate, other.estimate, atol=1e-12)
    assert np.allclose(one.std_error, other.std_error, atol=1e-12, equal_nan=True)
    assert one.df.tolist() == other.df.tolist() == [5.0] * len(one)
    assert other.fit["n_clusters"] == 6
    assert other.refit.clusters.levels == one.refit.clusters.levels
    assert ev.headline_inference(other, seed=1).p_value == ev.headline_inference(one, seed=1).p_value


@pytest.mark.parametrize("verb", VERBS)
def test_places_without_an_answer_are_no_clusters(verb):
    whole = answers([2015, 2015, 2015, 2016, 2016, 0, 0, 0, 0, 0, 0, 0])
    silent = whole.assign(y=whole["y"].where(~whole["gu"].isin([1, 9, 10])))
    left, gone = estimated(verb, silent), estimated(verb, silent.dropna().reset_index(drop=True))
    assert left.df.tolist() == gone.df.tolist()
    assert np.allclose(left.std_error, gone.std_error, atol=1e-12, equal_nan=True)


def test_orders_of_random_timing_are_those_of_the_places_compared():
    frame = answers([2015, 2015, 2015, 2016, 2016, 2017, 0, 0, 0])
    made = estimated("efficient_did", frame)
    clusters = made.refit.clusters
    assert 5 not in clusters.levels
    draws = np.random.default_rng(4)
    for _ in range(3):
        moved = draws.permutation(clusters.cohort)
        starts = dict(zip(clusters.levels, np.where(np.isinf(moved), 0, moved), strict=True)) | {5: 2017}
        again = estimated("efficient_did", frame.assign(first=frame["gu"].map(starts)))
        assert np.allclose(made.refit.reordered(moved[None])[0], again.estimate, atol=1e-12)


def test_a_stack_with_a_wave_without_answers_is_left_out_and_named():
    whole = answers([2015] * 5 + [2016] * 4 + [0] * 6)
    silent = (whole["first"] == 2016) & (whole["year"] == 2017)
    light = whole.assign(w=np.where(silent, 0.0, 1.0))
    only_2015 = estimated("stacked_did", whole[whole["first"] != 2016].reset_index(drop=True))
    for frame, weights in ((whole[~silent].reset_index(drop=True), None), (light, "w")):
        panel = ev.panel(ev.survey_design(frame, weights=weights), time="year")
        made = VERBS["stacked_did"](panel)
        assert np.isfinite(made.estimate).all()
        assert np.allclose(made.estimate, only_2015.estimate, atol=1e-12)
        assert np.allclose(made.std_error, only_2015.std_error, atol=1e-12)
        assert made.fit["not_identified"] == [{"cohort": 2016, "reason": "no_answers"}]
        for verb in ("imputation_did", "two_stage_did"):
            told = VERBS[verb](panel).fit["not_identified"]
            assert told == [{"cohort": 2016, "time": 2017, "reason": "no_answers"}]
