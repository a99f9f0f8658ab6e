"""Event-time regressions, Sun-Abraham, extended two-way, stacks and the Bacon decomposition against R packages."""

import numpy as np
import pandas as pd
import pytest
from tests.reference.impact_data import cases, close, data

import evaluation as ev

ESTIMATE = 1e-8
ERROR = 1e-6
#: etwfe's errors come from numerical derivatives, and its CR1 counts one collinear slope more.
ERROR_ETWFE = 5e-4
#: Comparisons add up to the coefficient.
IDENTITY = 1e-10

DID = cases("did_estimators")
PUBLISHED = cases("published")
ROLLOUTS = {
    "base_stagg": ("base_stagg.csv", "id", {"outcome": "y", "cohort": "year_treated", "covariates": ["x1"]}),
    "mpdta": ("mpdta.csv", "countyreal", {"outcome": "lemp", "cohort": "first_treat"}),
    "gu_panel": ("seoul_gu_panel.csv", "gu", {"outcome": "y", "cohort": "g"}),
}
KINDS = {
    "Treated vs Untreated": "treated_vs_untreated",
    "Earlier vs Later Treated": "earlier_vs_later",
    "Later vs Earlier Treated": "later_vs_earlier",
}


def waves(file, unit, time="year"):
    return ev.panel(ev.survey_design(data(file), psu=unit), unit=unit, time=time)


def agree(result, expected, key):
    """Hold every row of one key that the reference has."""
    rows = result.tidy().set_index(key)
    for name, values in expected.items():
        if name == "x1":
            continue
        own = rows.loc[int(name.split("::")[1].split(":")[0])]
        close(own["estimate"], values["coef"], ESTIMATE, 1e-11)
        close(own["std_error"], values["se"], ERROR)
        close(own["conf_low"], values["lo"], ERROR, 1e-9)
        if values["p"] > 1e-9:
            close(own["p_value"], values["p"], 1e-5)


@pytest.mark.parametrize("name", ROLLOUTS)
def test_event_time_dummies_are_those_of_fixest(name):
    file, unit, model = ROLLOUTS[name]
    expected = DID[f"es_twfe_{name}"]
    result = ev.event_study_twfe(waves(file, unit), **model, cluster=unit, vcov="CR1")
    agree(result, expected["event_time"], "event_time")
    if "V" in expected:
        since = [int(term.split("::")[1]) for term in expected["order"]]
        rows = [list(result.keys["event_time"]).index(e) for e in since]
        close(result.vcov[np.ix_(rows, rows)], expected["V"], ERROR, 1e-14)
    if "pre_wald" in expected:
        test, wald = ev.pretrend_test(result), expected["pre_wald"]
        df = result.df[0]
        assert test.ndf == wald["df1"]
        close(test.statistic * df / (df - test.ndf + 1), wald["stat"], ERROR)


@pytest.mark.parametrize("name", ROLLOUTS)
def test_sun_and_abraham_is_that_of_fixest(name):
    file, unit, model = ROLLOUTS[name]
    expected = DID[f"sunab_{name}"]
    panel = waves(file, unit)
    result = ev.sun_abraham(panel, **model, cluster=unit, vcov="CR1")
    agree(result, expected["event_time"], "event_time")
    close(result.estimate[0], expected["att"]["ATT"]["coef"], ESTIMATE)
    close(result.std_error[0], expected["att"]["ATT"]["se"], ERROR)
    agree(ev.sun_abraham(panel, **model, type="group", cluster=unit, vcov="CR1"), expected["cohort"], "cohort")
    if "n_cohort_period" in expected:
        cells = ev.sun_abraham(panel, **model, type="cells", cluster=unit, vcov="CR1").tidy().iloc[1:]
        assert (cells["std_error"] > 0).sum() + 1 == expected["n_cohort_period"]


@pytest.mark.parametrize("control_group", ["notyettreated", "nevertreated"])
@pytest.mark.parametrize("kind", ["simple", "group", "calendar", "dynamic"])
def test_the_extended_regression_is_that_of_etwfe(control_group, kind):
    expected = DID[f"etwfe_mpdta_lpop_{control_group.removesuffix('treated')}"]
    file, unit, model = ROLLOUTS["mpdta"]
    result = ev.extended_twfe(
        waves(file, unit),
        **model,
        covariates=["lpop"],
        control_group=control_group,
        type=kind,
        cluster=unit,
        vcov="CR1",
    )
    rows = result.tidy() if kind == "simple" else result.tidy().iloc[1:]
    wanted = expected["event" if kind == "dynamic" else kind]
    if kind != "simple":
        assert rows.iloc[:, 1].tolist() == wanted["key"]
    errors = [0.0 if error is None else error for error in np.atleast_1d(np.array(wanted["se"], dtype=object))]
    close(rows["estimate"], np.atleast_1d(wanted["estimate"]), ESTIMATE)
    close(rows["std_error"], errors, ERROR_ETWFE)


def test_the_extended_regression_prints_the_published_number():
    file, unit, model = ROLLOUTS["mpdta"]
    result = ev.extended_twfe(waves(file, unit), **model, covariates=["lpop"], cluster=unit, vcov="CR1")
    published = PUBLISHED["etwfe_mpdta_lpop_simple"]
    assert round(result.estimate[0], 4) == published["att"]
    assert round(result.std_error[0], 4) == published["se"]


def test_stacks_are_those_of_the_published_algorithm():
    expected = DID["stacked_gu_panel"]
    file, unit, model = ROLLOUTS["gu_panel"]
    window = (expected["kappa_pre"], expected["kappa_post"])
    result = ev.stacked_did(waves(file, unit), **model, window=window, cluster=unit, vcov="CR1")
    agree(result, expected["event_time"], "event_time")
    assert result.fit["n_stacked"] == expected["nobs"]
    of_comparisons = {row["sub"]: row["q"] for row in expected["Q"] if row["D"] == 0}
    close([row["weight"] for row in result.fit["stack_weights"]], list(of_comparisons.values()), ESTIMATE)


@pytest.mark.parametrize(
    ("name", "file", "unit", "time", "model"),
    [
        ("castle", "castle.csv", "state", "year", {"outcome": "l_homicide", "treatment": "post"}),
        ("math", "math_reform.csv", "state", "class", {"outcome": "incearn_ln", "treatment": "reform_math"}),
        ("math", "math_reform.csv", "state", "class", {"outcome": "incearn_ln", "cohort": "reformyr_math"}),
        ("mpdta", "mpdta.csv", "countyreal", "year", {"outcome": "lemp", "cohort": "first_treat"}),
        ("gu_panel", "seoul_gu_panel.csv", "gu", "year", {"outcome": "y", "cohort": "g"}),
    ],
)
def test_two_by_two_comparisons_are_those_of_bacondecomp(name, file, unit, time, model):
    expected = DID[f"bacon_{name}"]
    result = ev.goodman_bacon(waves(file, unit, time), **model)
    wanted = pd.DataFrame(expected["comparisons"]).replace({"type": KINDS})
    ours = result.tidy().assign(untreated=lambda rows: rows["untreated"].fillna(99999).astype(int))
    both = ours.merge(wanted, on=["treated", "untreated", "type"], suffixes=("", "_r"), validate="1:1")
    assert len(both) == len(ours) == len(wanted)
    close(both["estimate"], both["estimate_r"], ESTIMATE)
    close(both["weight"], both["weight_r"], ESTIMATE)
    close(result.coefficient, expected["twfe"], ESTIMATE)
    close(ours["weight"].sum(), 1.0, IDENTITY)
    close((ours["weight"] * ours["estimate"]).sum(), result.coefficient, IDENTITY)
    sums = result.by_type().set_index("type")
    for row in expected["by_type"]:
        close(sums.loc[KINDS[row["type"]], "weight"], row["weight"], ESTIMATE)
        close(sums.loc[KINDS[row["type"]], "contribution"], row["we"], ESTIMATE)


def test_the_castle_doctrine_coefficient_is_the_published_one():
    frame = data("castle.csv")
    expected = DID["twfe_castle"]["table"]["post"]
    result = ev.twfe(
        ev.survey_design(frame), outcome="l_homicide", treatment="post", unit="state", time="year", cluster="state",
        vcov="CR1",
    )  # fmt: skip
    close(result.estimate[0], expected["coef"], ESTIMATE)
    close(result.std_error[0], expected["se"], ERROR)
    decomposed = ev.goodman_bacon(waves("castle.csv", "state"), outcome="l_homicide", treatment="post")
    close(decomposed.coefficient, result.estimate[0], IDENTITY)
    assert round(decomposed.coefficient, 4) == PUBLISHED["castle_twfe"]["twfe"]
