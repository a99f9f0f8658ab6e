"""What is true of the synthetic city is found by cohort and time; what would mislead is seen.

Two kinds of data: every resident's answers counted by dong and wave (a panel of 424 dongs), where only other trends
can mislead, and the surveys of ten waves. Each test names its estimand.
"""

import functools

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.synthetic.population import synthesize
from evaluation.synthetic.rollout import WAVES
from evaluation.synthetic.switches import Switches
from evaluation.synthetic.truth import rollout_cells


@functools.lru_cache(maxsize=6)
def city(**turned):
    """Residents' answers by dong and wave, one resident for 50 persons, with the plan of 2016 beside what happened."""
    made = synthesize(2016, Switches(**turned), one_in=50)
    cells = rollout_cells(made)
    plan = made.dongs.set_index("dong")["planned_wave"]
    share = cells[["with", "without"]].div(cells["residents"], axis=0)
    return cells.assign(y=share["with"], truth=share["with"] - share["without"], planned_cohort=cells["dong"].map(plan))


def effects(cells, cohort="dong_cohort", **arguments):
    design = ev.survey_design(cells, weights="residents", psu="dong")
    panel = ev.panel(design, unit="dong", time="year")
    asked = {"outcome": "y", "cohort": cohort, "base_period": "universal", "cluster": "district", **arguments}
    return ev.att_gt(panel, **asked)


def known(cells, made, cohort="dong_cohort"):
    """True mean effect on residents of each cohort in each year."""
    gain = (cells["truth"] * cells["residents"]).groupby([cells[cohort], cells["year"]]).sum()
    truth = gain / cells["residents"].groupby([cells[cohort], cells["year"]]).sum()
    return truth.loc[list(zip(made.keys["cohort"], made.keys["time"], strict=True))].to_numpy()


def apart(made, truth):
    """Estimate less truth in standard errors, where there is one."""
    there = made.std_error > 0
    return (made.estimate[there] - truth[there]) / made.std_error[there]


def years_since(made, **arguments):
    sums = ev.aggregate(made, type="dynamic", supported_only=True, **arguments)
    return sums, sums.tidy().dropna(subset="event_time").set_index("event_time")


@pytest.mark.parametrize("cohort", ["dong_cohort", "district_cohort"])
@pytest.mark.parametrize("turned", [{}, {"growing_effects": True}], ids=["heterogeneous", "growing"])
def test_each_cohorts_curve_is_recovered_from_all_residents(cohort, turned):
    """Estimands: effect on residents by their own dong's start; by their district's first dong (intention to treat)."""
    cells = city(**turned)
    made = effects(cells, cohort)
    z = apart(made, known(cells, made, cohort))
    assert np.abs(z).max() < 3.5
    assert np.sqrt((z**2).mean()) < 1.4
    sums, rows = years_since(made)
    assert rows["estimate"].loc[[0, 1]].is_monotonic_increasing
    weights = sums.fit["cell_weights"]["1"]
    truth = dict(zip(zip(made.keys["cohort"], made.keys["time"], strict=True), known(cells, made, cohort), strict=True))
    expected = sum(w * truth[tuple(int(part) for part in cell.split(","))] for cell, w in weights.items())
    assert abs(rows.loc[1, "estimate"] - expected) < 3 * rows.loc[1, "std_error"]


def test_leads_centre_on_zero():
    """Estimand: by own dong; nothing happened before the start."""
    sums, rows = years_since(effects(city()))
    leads = rows[(rows.index < 0) & (rows["std_error"] > 0)]
    z = leads["estimate"] / leads["std_error"]
    assert len(z) >= 5
    assert np.sqrt((z**2).mean()) < 1.5
    assert abs(leads["estimate"].mean()) < 0.006
    assert ev.pretrend_test(sums).p_value > 0.05


def test_a_trend_of_early_dongs_before_the_policy_is_found():
    """The dongs of 2015 outgrow the others by up to a point a year without any policy."""
    sums, rows = years_since(effects(city(pre_trend=1.0)))
    assert ev.pretrend_test(sums).p_value < 0.001
    assert rows["estimate"].loc[[-6, -5, -4]].mean() < -0.008
    plain = years_since(effects(city()))[1]
    assert rows.loc[2, "estimate"] > plain.loc[2, "estimate"] + 0.01


def test_an_effect_ahead_of_its_date_needs_anticipation():
    """Estimand: by own dong, against the last wave in which nothing was known."""
    cells = city(anticipation=True)
    naive, told = effects(cells), effects(cells, anticipation=1)
    late = years_since(naive)[1].loc[0, "estimate"]
    rows = years_since(told)[1]
    assert rows.loc[0, "estimate"] > late + 0.008
    assert rows.loc[-1, "estimate"] > 2 * rows.loc[-1, "std_error"]
    first = told.take(np.flatnonzero(told.keys["time"] == told.keys["cohort"]))
    assert np.abs(apart(first, known(cells, first))).max() < 3.5


def test_the_plan_in_place_of_the_roll_out_misleads_and_the_schedule_check_sees_it():
    """Estimand: by own dong. Dongs that the plan calls covered in 2017 and that were not dilute their effect."""
    cells = city()
    right, wrong = effects(cells), effects(cells, "planned_cohort", control_group="notyettreated")
    assert {2018, 2019} <= set(cells["dong_cohort"])
    assert set(wrong.keys["cohort"]) <= {2015, 2016}
    assert {row["cohort"] for row in wrong.fit["not_identified"]} >= {2017}
    assert (2017, 2017) in set(zip(right.keys["cohort"], right.keys["time"], strict=True))
    first = cells.groupby("district").agg(planned=("planned_cohort", "min"), realised=("dong_cohort", "min"))
    carried = pd.DataFrame(
        {"district": first.index, "year": 2017, "district_cohort": first["planned"].to_numpy()}
    ).reset_index(drop=True)
    check = ev.check_schedule(ev.read_rollout("seoul_2016"), carried, dose=None)
    assert check.follows == "planned"
    assert "The file carries the plan, not what happened" in check.statement("en")
    follows = carried.assign(district_cohort=first["realised"].to_numpy())
    assert ev.check_schedule(ev.read_rollout("seoul_2016"), follows, dose=None).follows == "realised"


@pytest.fixture(scope="module")
def waves():
    return ev.panel(ev.survey_design(ev.read_survey("seoul_2016", sample="citizens_waves")), time="year")


def test_own_dongs_curve_is_recovered_from_the_surveys(waves):
    """Estimand: effect on residents of dongs by their own start, from samples; errors by district."""
    cells = rollout_cells(synthesize())
    cells["truth"] = (cells["with"] - cells["without"]) / cells["residents"]
    asked = {"outcome": "knows_center", "cohort": "dong_cohort", "covariates": ["sex", "age_group"]}
    made = ev.att_gt(waves, **asked, cluster="district", base_period="universal")
    z = apart(made, known(cells, made))
    assert len(z) > 20
    assert np.abs(z).max() < 4
    assert np.sqrt((z**2).mean()) < 1.5
    assert ev.pretrend_test(ev.aggregate(made, type="dynamic", supported_only=True)).p_value > 0.01


def test_every_wave_of_the_study_is_there(waves):
    assert waves.times.tolist() == list(WAVES)
