"""Minimum detectable effects of roll-outs against the closed form, and against the estimators they plan for."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import evaluation as ev

known = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("impact_data.py"))))

ESTIMATE = 1e-10

CASES = known.cases("mde")


def planned(case):
    args = case["args"]
    waves = range(2016 - args["Tpre"], 2016 + args["Tpost"])
    names = {name: args[name] for name in ("icc", "cac", "alpha", "power")}
    schedule = {2016: args["JT"], 0: args["JC"]}
    return ev.rollout_mde(schedule, waves=waves, persons=args["m"], std_dev=args["sd"], method="means", **names)


@pytest.mark.parametrize("case", CASES)
def test_the_smallest_detectable_effect_of_one_date_is_that_of_the_closed_form(case):
    row, expected = planned(CASES[case]).tidy().iloc[0], CASES[case]
    known.close(row["std_error"], expected["se"], ESTIMATE)
    known.close(row["effect"], expected["mde_t"], ESTIMATE)
    known.close(row["effect_normal"], expected["mde_z"], ESTIMATE)
    known.close(row["power_noncentral"], expected["power_at_mde_noncentral_t"], ESTIMATE)
    assert planned(expected).df == expected["df"]


def test_a_staged_schedule_has_the_variance_of_the_simple_estimator():
    """The formula against the estimator's own coefficients, read off ev.att_gt on a part of the district panel."""
    whole = known.data("seoul_gu_panel.csv")
    panel = whole[(whole["gu"] % 3 == 0) & whole["year"].between(2014, 2018)].reset_index(drop=True)
    schedule = panel.groupby("gu")["g"].first()
    waves = sorted(panel["year"].unique())

    def simple(frame):
        over_time = ev.panel(ev.survey_design(frame), time="year")
        return ev.aggregate(ev.att_gt(over_time, outcome="u", cohort="g")).estimate[0]

    # the estimate is linear in the answers: its variance is the sum of squares of what each cell of one adds
    zero = panel.assign(u=0.0)
    cells = [simple(zero.assign(u=(zero.index == row).astype(float))) for row in range(len(panel))]
    found = ev.rollout_mde(schedule, waves=waves, persons=1, icc=0.0, cac=0.0, std_dev=1.0, method="att_gt")
    known.close(found.std_error, np.sqrt(np.sum(np.square(cells))), ESTIMATE)
