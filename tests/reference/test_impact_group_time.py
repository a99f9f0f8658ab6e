"""Group-time effects against R did and exact influence functions, and the sums the authors printed."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import EstimationError

# R stops its logit at 1e-8 relative deviance, so what rests on a propensity agrees to 1e-9 at best.
ESTIMATE = 1e-7
ERROR = 1e-6
FLOOR = 1e-9
# The critical value is simulated on both sides.
SIMULATED = 0.01

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent / "impact"
#: Data of the R package did (GPL), which this repository does not hold.
MPDTA = ROOT.parent / "shared" / "reference" / "impact" / "data" / "mpdta.csv"

CASES = json.loads((FOLDER / "callaway_santanna.json").read_text(encoding="utf-8"))["cases"]
PUBLISHED = json.loads((FOLDER / "published.json").read_text(encoding="utf-8"))["cases"]
WITH_R = [name for name, case in CASES.items() if "group" in case]
DESIGN_BASED = [name for name in CASES if name.endswith("design_based")]
LEFT_OUT = [name for name in CASES if name.endswith("leave_one_district_out")]


def mpdta():
    if not MPDTA.exists():
        pytest.skip("mpdta.csv is data of the R package did (GPL); put it where the test looks to run this")
    frame = pd.read_csv(MPDTA)
    return frame.merge(pd.read_csv(FOLDER / "mpdta_weights_clusters.csv"), on="countyreal")


def data_of(case):
    described = case["data"]
    name = described.split()[0]
    frame = mpdta() if name == "mpdta.csv" else pd.read_csv(FOLDER / name)
    if "first_treat>0" in described:
        frame = frame[frame["first_treat"] > 0]
    if "city==1" in described:
        frame = frame[frame["city"] == 1]
    if "age" in frame:
        frame["age10"] = frame["age"] / 10
    return frame.assign(row_id=np.arange(len(frame))).reset_index(drop=True)


def covariates(case):
    formula = case["args"]["xformla"]
    return () if formula in (None, "~1") else formula


def panel_of(case, **declared):
    arguments = case["args"]
    unit = arguments.get("idname")
    if unit is not None:
        declared.setdefault("psu", unit)
    design = ev.survey_design(data_of(case), weights=arguments["weightsname"], **declared)
    return ev.panel(design, unit=unit, time=arguments["tname"])


def effects_of(case, panel, **arguments):
    args = case["args"]
    return ev.att_gt(
        panel,
        outcome=args["yname"],
        cohort=args["gname"],
        covariates=covariates(case),
        estimator=args["est_method"],
        control_group=args["control_group"],
        base_period=args["base_period"],
        anticipation=args["anticipation"],
        **arguments,
    )


def as_r(case):
    """Every unit, or the named places, summed without a small-sample factor."""
    cluster = case["args"]["clustervars"] or case["args"].get("idname") or "row_id"
    return effects_of(case, panel_of(case), cluster=cluster, vcov="cluster")


def close(ours, expected, tolerance):
    np.testing.assert_allclose(ours, expected, rtol=tolerance, atol=FLOOR)


def errors(expected):
    """A reference period has no error in R and the error zero here."""
    return np.array([0.0 if value is None else value for value in expected])


@pytest.fixture(scope="module", params=WITH_R)
def fitted(request):
    case = CASES[request.param]
    return case, as_r(case)


def test_every_cohort_and_time_has_the_effect_and_error_of_r(fitted):
    case, effects = fitted
    tidy = effects.tidy()
    assert tidy[["cohort", "time"]].values.tolist() == [
        list(pair) for pair in zip(case["group"], case["t"], strict=True)
    ]
    close(tidy["estimate"], np.array(case["att"], dtype=float), ESTIMATE)
    close(tidy["std_error"], errors(case["se"]), ERROR)


AGGREGATES = {
    "simple": ({}, None),
    "group_agg": ({"type": "group"}, "cohort"),
    "dynamic": ({"type": "dynamic"}, "event_time"),
    "calendar": ({"type": "calendar"}, "time"),
    "dynamic_balance_e1": ({"type": "dynamic", "balance_e": 1}, "event_time"),
    "dynamic_min_e_m2_max_e_1": ({"type": "dynamic", "min_e": -2, "max_e": 1}, "event_time"),
}


@pytest.mark.parametrize("kind", AGGREGATES)
def test_sums_have_the_effect_and_error_of_r(fitted, kind):
    case, effects = fitted
    if kind not in case:
        assert kind.startswith("dynamic_")
        return
    arguments, key = AGGREGATES[kind]
    tidy = ev.aggregate(effects, **arguments).tidy()
    assert tidy["term"][0] == "overall"
    close(tidy["estimate"][0], case[kind]["overall"]["att"], ESTIMATE)
    close(tidy["std_error"][0], case[kind]["overall"]["se"], ERROR)
    if key is not None:
        assert tidy[key].tolist()[1:] == case[kind]["egt"]
        close(tidy["estimate"][1:], case[kind]["att"], ESTIMATE)
        close(tidy["std_error"][1:], errors(case[kind]["se"]), ERROR)


def test_event_times_have_the_covariance_and_the_band_of_r(fitted):
    case, effects = fitted
    if "dynamic_V" not in case:
        assert "dynamic_supt_crit_95_gaussian" not in case
        return
    made = ev.aggregate(effects, type="dynamic")
    np.testing.assert_allclose(made.vcov[1:, 1:], case["dynamic_V"], rtol=ERROR, atol=1e-15)
    band = ev.simultaneous_bands(made, seed=1, draws=100_000)
    close(band.fit["band_critical_value"], case["dynamic_supt_crit_95_gaussian"], SIMULATED)


def test_leads_have_the_wald_statistic_of_r(fitted):
    case, effects = fitted
    if case["wald_W"] is None or case["args"]["anticipation"] > 0:
        return  # did counts the periods of anticipation among its leads, which are no leads
    leads = effects.keys["time"] < effects.keys["cohort"]
    if int((leads & (effects.std_error > 0)).sum()) >= effects.df[0]:
        with pytest.raises(EstimationError, match="degrees of freedom"):
            ev.pretrend_test(effects)
        return
    test = ev.pretrend_test(effects)
    wald = test.statistic * test.ndf * effects.df[0] / test.ddf
    close(wald, case["wald_W"], ERROR)


@pytest.mark.parametrize("name", DESIGN_BASED)
@pytest.mark.parametrize(
    ("declared", "column"),
    [
        ({"strata": "stratum", "psu": "psu"}, "se_strata_psu"),
        ({"psu": "psu"}, "se_psu_only"),
        ({"psu": "gu"}, "se_gu_G_over_Gm1"),
    ],
)
def test_strata_and_sampling_units_enter_the_error(name, declared, column):
    case = CASES[name]
    case["args"].setdefault("clustervars", None)
    effects = effects_of(case, panel_of(case, **declared))
    expected = pd.DataFrame(case["cells"])
    assert effects.keys[["cohort", "time"]].values.tolist() == expected[["group", "t"]].values.tolist()
    close(effects.estimate, expected["att"], ESTIMATE)
    close(effects.std_error, expected[column], ERROR)
    whole = ev.aggregate(effects)
    close(whole.estimate, [case["simple"]["att"]], ESTIMATE)
    close(whole.std_error, [case["simple"][column]], ERROR)


@pytest.mark.parametrize("name", LEFT_OUT)
def test_leaving_each_district_out_gives_every_reference_value(name):
    case = CASES[name]
    effects = effects_of(case, panel_of(case), cluster="gu")
    whole = ev.aggregate(effects)
    close(whole.estimate, [case["simple_att"]], ESTIMATE)
    close(whole.contributions[:, 0] + whole.estimate, list(case["loo"].values()), ESTIMATE)
    close(whole.std_error, [case["CV3_se"]], ERROR)
    assert whole.df.tolist() == [case["df"]]


@pytest.mark.parametrize("name", LEFT_OUT)
def test_the_district_error_by_influence_agrees_too(name):
    case = CASES[name]
    whole = ev.aggregate(effects_of(case, panel_of(case), cluster="gu", vcov="cluster"))
    close(whole.std_error, [case["se_influence_function_cluster"]], ERROR)


def published_effects():
    design = ev.survey_design(mpdta(), psu="countyreal")
    panel = ev.panel(design, unit="countyreal", time="year")
    return ev.att_gt(panel, outcome="lemp", cohort="first_treat", control_group="nevertreated")


def test_the_authors_printed_effects_are_met():
    effects = published_effects()
    printed = PUBLISHED["did_mpdta_nocov_att_gt"]["att"]
    ours = {
        f"{g},{t}": b for g, t, b in zip(effects.keys["cohort"], effects.keys["time"], effects.estimate, strict=True)
    }
    assert {key: round(ours[key], 4) for key in printed} == printed


@pytest.mark.parametrize(
    ("name", "kind", "key"),
    [("did_mpdta_nocov_dynamic", "dynamic", "event_time"), ("did_mpdta_nocov_group", "group", "cohort")],
)
def test_the_authors_printed_sums_are_met(name, kind, key):
    tidy = ev.aggregate(published_effects(), type=kind).tidy()
    assert round(tidy["estimate"][0], 4) == PUBLISHED[name]["overall"]
    ours = {str(value): round(b, 4) for value, b in zip(tidy[key][1:], tidy["estimate"][1:], strict=True)}
    assert {value: ours[value] for value in PUBLISHED[name]["egt"]} == PUBLISHED[name]["egt"]
