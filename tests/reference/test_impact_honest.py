"""Sets under violations of parallel trends, and power of tests of leads, against R HonestDiD and pretrends."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import evaluation as ev

known = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("impact_data.py"))))
HONEST, POWER, close = known.cases("honest_did"), known.cases("pretrend_power"), known.close
WITH_SETS = ("BC_first_post", "BC_average", "sunab_gu_panel_2012on")
VARIANTS = {
    "BC_RM_monotone_increasing": {"shape": "increasing"},
    "BC_RM_bias_negative": {"sign": "negative"},
    "BC_SDRM": {"linear_trend": True},
}
#: Sets by conditional tests: R knows their ends to one step of its grid.
STEPS = 2.0
#: R's first stage is a quantile of 1,000 draws. At Mbar = 0 the set is the original interval by algebra; R's falls
#: short of it by 2.3 steps here.
STEPS_OF_DRAWS = {("sunab_gu_panel_2012on", 0): 3.0}
#: R simulates the quantile of the folded normal.
FOLDED = 2e-3
MVN = 1e-3


def path_of(name):
    case = HONEST[name]
    before, after = case["numPre"], case["numPost"]
    times = [*range(-before, 0), *range(1, after + 1)]
    return ev.event_path(case["betahat"], case["sigma"], times, reference=0)


def sets_of(path, sizes, **options):
    made = ev.honest_did(path, bounds=sizes, breakdown=False, **options)
    return made.tidy().iloc[1:]


def within_steps(rows, expected, name=""):
    for i, size in enumerate(expected.get("Mbar", expected.get("M"))):
        allowed = STEPS_OF_DRAWS.get((name, size), STEPS) * expected["grid_step"]
        assert abs(rows["conf_low"].iloc[i] - expected["lb"][i]) <= allowed, (name, size)
        assert abs(rows["conf_high"].iloc[i] - expected["ub"][i]) <= allowed, (name, size)


@pytest.mark.parametrize("name", WITH_SETS)
def test_relative_magnitudes(name):
    case = HONEST[name]
    expected = case["relative_magnitudes_CLF"]
    within_steps(sets_of(path_of(name), expected["Mbar"], target=case["l_vec"]), expected, name)


@pytest.mark.parametrize("name", WITH_SETS)
def test_smoothness_by_conditional_tests(name):
    case = HONEST[name]
    expected, options = case["smoothness_CLF"], {"restriction": "smoothness", "method": "C-LF"}
    within_steps(sets_of(path_of(name), expected["M"], target=case["l_vec"], **options), expected, name)


@pytest.mark.parametrize("name", WITH_SETS)
def test_smoothness_by_fixed_length(name):
    case = HONEST[name]
    expected = case["smoothness_FLCI"]
    rows = sets_of(path_of(name), expected["M"], target=case["l_vec"], restriction="smoothness")
    width = np.subtract(expected["ub"], expected["lb"])
    assert set(rows["method"]) == {"FLCI"}
    assert (np.abs(rows["conf_low"] - expected["lb"]) <= FOLDED * width).all()
    assert (np.abs(rows["conf_high"] - expected["ub"]) <= FOLDED * width).all()


@pytest.mark.parametrize("name", WITH_SETS)
def test_original_interval_and_largest_change_of_slope(name):
    case = HONEST[name]
    made = ev.honest_did(path_of(name), restriction="smoothness", target=case["l_vec"], breakdown=False).tidy()
    close(made.loc[0, ["conf_low", "conf_high"]].to_numpy(float), list(case["original"].values()), 1e-8)
    close(made["m"].iloc[-1], case["Mpre_upper"], 1e-8)


@pytest.mark.parametrize("name", VARIANTS)
def test_sign_shape_and_linear_trend(name):
    case = HONEST[name]
    path = path_of("BC_first_post")
    within_steps(sets_of(path, case["Mbar"], **VARIANTS[name]), case, name)


def test_leads_sampling_error_is_part_of_sets_where_a_peer_leaves_it_out():
    """Mbar = 2 on the Sun-Abraham path: a peer prints [0.676, 3.534]; with the leads' error the sign is lost."""
    rows = sets_of(path_of("sunab_gu_panel_2012on"), [2], target=[1, 0, 0])
    assert rows["conf_low"].iloc[0] < 0
    assert bool(rows["holds_null"].iloc[0])
    naive_width = 3.534 - 0.676
    assert rows["conf_high"].iloc[0] - rows["conf_low"].iloc[0] > 1.8 * naive_width


def test_breakdown_lies_between_the_sizes_that_part_r_s_sets():
    made = ev.breakdown_value(path_of("BC_first_post"))
    assert 1.5 < made.low < made.value < made.high < 2


def test_sun_abraham_effects_are_the_path_of_the_reference_case():
    """Estimates as in the case; the covariance is the jackknife's, so that sets are compared above and not here."""
    case = HONEST["sunab_gu_panel_2012on"]
    rows = known.data("seoul_gu_panel.csv").query("year >= 2012")
    panel = ev.panel(ev.survey_design(rows, weights=None, psu="gu"), unit="gu", time="year")
    effects = ev.sun_abraham(panel, outcome="y", cohort="g", cluster="gu")
    made = ev.honest_did(effects, min_e=-4, max_e=2)
    assert made.path.times.tolist() == [-4, -3, -2, 0, 1, 2]
    close(made.path.estimate, case["betahat"], 1e-8)
    assert made.path.n_clusters == 37
    assert made.breakdown.value > 1


def power_path(name):
    case = POWER[name]
    return ev.event_path(case["betahat"], case["sigma"], case["tVec"], reference=case["ref"])


@pytest.mark.parametrize("name", POWER)
def test_slopes_found_with_power(name):
    """R stops its search where its own power is off by up to 5e-4: asked for that power, the slope is the same."""
    case = POWER[name]
    wanted = [case["at_slope_50"]["Power"], 0.8]
    made = ev.pretrend_power(power_path(name), power=wanted).tidy().query("pretest == 'individual'")
    close(made["slope"], [case["slope_50"], case["slope_80"]], MVN)


@pytest.mark.parametrize("name", POWER)
def test_power_bayes_factor_and_likelihood_ratio_of_a_slope(name):
    case = POWER[name]
    made = ev.pretrend_power(power_path(name), slope=case["slope_50"]).tidy().query("pretest == 'individual'").iloc[0]
    expected = case["at_slope_50"]
    close(made["power"], expected["Power"], MVN)
    close(made["bayes_factor"], expected["Bayes.Factor"], MVN)
    close(made["likelihood_ratio"], expected["Likelihood.Ratio"], 1e-8)


@pytest.mark.parametrize("name", POWER)
def test_means_after_passing(name):
    case = POWER[name]
    events = ev.pretrend_power(power_path(name), slope=case["slope_50"]).events.query("pretest == 'individual'")
    plotted = [row for row in case["event_plot"] if row["t"] != case["ref"]]
    ours = events[events["event_time"] != case["ref"]]
    assert events["event_time"].tolist() == [row["t"] for row in case["event_plot"]]
    close(ours["estimate"], [row["betahat"] for row in plotted], 1e-12)
    close(ours["std_error"], [row["se"] for row in plotted], 1e-8)
    close(ours["violation"], [row["deltatrue"] for row in plotted], 1e-8)
    close(ours["mean_after_passing"], [row["meanAfterPretesting"] for row in plotted], MVN)
