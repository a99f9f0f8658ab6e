"""Reference cases of subgroups, multiplicity, margins, power and imputation, each by public verbs."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

import evaluation as ev

data = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("comparison_data.py"))))
ERROR, ESTIMATE, STACKED, close = data.ERROR, data.ESTIMATE, data.STACKED, data.close
SURVEY = data.cases("integration")
#: What the cases of p-values are held to.
EXACT = 1e-12
METHODS = ["holm", "hochberg", "bh", "by", "bonferroni"]
GROUPS = {"outcome": "settle_high", "treatment": "participant"}


def test_p_adjust():
    given = [0.001, 0.008, 0.012, 0.03, 0.04, 0.2, None, 0.5]
    for method in METHODS:
        expected = [np.nan if p is None else p for p in SURVEY["p-adjust"][method]]
        close(ev.adjust_p_values(given, method=method), expected, EXACT)


def test_stepdown():
    null = data.table("stepdown_null")
    found = ev.stepdown_p_values([3.1, 2.4, 2.2, 1.1, 0.4], null)
    close(found, SURVEY["stepdown"]["p_adjusted"], EXACT)
    shuffled = [3, 0, 4, 2, 1]
    again = ev.stepdown_p_values(np.array([3.1, 2.4, 2.2, 1.1, 0.4])[shuffled], null.iloc[:, shuffled])
    close(again, np.array(SURVEY["stepdown"]["p_adjusted"])[shuffled], EXACT)


def test_isurvey_subgroups():
    expected = SURVEY["isurvey-subgroups"]
    found = ev.subgroup_effects(data.survey(), **GROUPS, by="origin", method="raw")
    rows = found.tidy().query("subgroup == 'origin'").reset_index(drop=True)
    wanted = pd.DataFrame(expected["subgroups"])
    assert rows["level"].tolist() == wanted["group"].tolist()
    assert rows["n_obs"].tolist() == wanted["n"].tolist()
    close(rows["estimate"], wanted["diff"], ESTIMATE)
    close(rows["std_error"], wanted["se"], ERROR)
    np.testing.assert_allclose(rows["p_value"], wanted["p"], rtol=ERROR)
    assert set(rows["df"]) == {60}
    for column, name in (("p_holm", "holm"), ("p_bh", "bh")):
        np.testing.assert_allclose(rows[column], expected[name], rtol=ERROR)
    for method in METHODS:
        again = ev.adjust_p_values(found, method=method).tidy()[f"p_{method}"]
        np.testing.assert_allclose(again[1:], expected[method], rtol=ERROR)
        assert np.isnan(again[0])
    test = ev.heterogeneity_test(found)
    close(test.statistic * test.ndf, expected["heterogeneity_chi2"], ERROR)
    close(test.statistic, expected["heterogeneity_F"], ERROR)
    close(test.p_value, expected["heterogeneity_p"], ERROR)
    assert (test.ndf, test.ddf) == (3, 60)
    close(rows["p_heterogeneity"], np.full(4, expected["heterogeneity_p"]), ERROR)


def imputed():
    frame = data.table("integration_survey")
    drawn = pd.read_csv(data.FOLDER / "integration_imputations.csv").set_index("id")
    completed = [
        frame.assign(income=frame["income_mis"].fillna(frame["id"].map(drawn[name]))) for name in drawn.columns
    ]
    return ev.imputed_designs(completed, weights="weight", strata="stratum", psu="psu", nested=True)


def agree_after_imputation(result, expected):
    row = result.tidy().iloc[0]
    close(row["estimate"], expected["estimate"], STACKED)
    close([row["within"], row["between"]], [expected["within"], expected["between"]], STACKED)
    close(result.vcov[0, 0], expected["total"], STACKED)
    close((1 + 1 / 5) * row["between"] / result.vcov[0, 0], expected["lambda"], STACKED)
    close(row["df"], expected["df_barnard_rubin"], STACKED)
    close([row["conf_low"], row["conf_high"]], expected["ci"], STACKED)


def test_isurvey_mi():
    expected = SURVEY["isurvey-mi"]
    designs = imputed()
    roles = {"outcome": "income", "treatment": "participant"}
    raw = [ev.group_difference(design, **roles) for design in designs]
    close([one.estimate[0] for one in raw], expected["per_imputation"]["estimate"], STACKED)
    close([one.vcov[0, 0] for one in raw], expected["per_imputation"]["variance"], STACKED)
    agree_after_imputation(ev.combine_imputations(raw), expected)
    adjusted = ev.with_imputations(designs, lambda design: ev.aipw(design, **roles, covariates=data.SURVEY_COVARIATES))
    agree_after_imputation(adjusted, expected["aipw_att"])
    complete = ev.group_difference(data.survey(), outcome="income_mis", treatment="participant")
    close(complete.estimate[0], expected["complete_case"]["diff"], STACKED)
    close(complete.std_error[0], expected["complete_case"]["se"], STACKED)
    assert 3015 - complete.n_obs[0] == expected["n_missing"]


def test_isurvey_tost():
    expected = SURVEY["isurvey-tost"]
    raw = ev.group_difference(data.survey(), **GROUPS)
    row = ev.equivalence_test(raw, margin=expected["margin"]).tidy().iloc[0]
    np.testing.assert_allclose([row["p_lower"], row["p_upper"]], [expected["p_lower"], expected["p_upper"]], rtol=ERROR)
    close(row["p_value"], expected["p_tost"], ERROR)
    close([row["conf_low"], row["conf_high"]], expected["ci90"], ESTIMATE)
    assert row["conclusion"] == "shown"
    again = ev.equivalence_test(raw, lower=-0.25, upper=0.25).tidy().iloc[0]
    assert again["p_value"] == row["p_value"]


def test_isurvey_superiority_margin():
    expected = SURVEY["isurvey-superiority-margin"]
    raw = ev.group_difference(data.survey(), **GROUPS)
    superior, not_inferior = ev.superiority_test(raw, margin=0.1), ev.non_inferiority_test(raw, margin=0.05)
    np.testing.assert_allclose(superior.tidy()["p_value"], expected["p_superiority"], rtol=ERROR)
    np.testing.assert_allclose(not_inferior.tidy()["p_value"], expected["p_noninferiority"], rtol=ERROR)


def test_mde():
    expected = SURVEY["mde"]
    case = {"share": 0.594, "n_participants": 620, "n_comparison": 980, "deff": 1.8}
    found = ev.minimum_detectable_effect(**case)
    # The README allows 1e-7 on top: R's number counts significant results in the wrong direction as found.
    np.testing.assert_allclose(found.effect, expected["mde"], rtol=STACKED, atol=1e-7)
    close(found.effect_equal_variance, expected["mde_simple_2.8"], STACKED)
    close(ev.power_of_difference(**case, effect=0.1).power, expected["power_at_10_points"], STACKED)
    needed = ev.sample_size_of_difference(effect=0.1, share=0.594, variance="pooled")
    close([needed.n_participants, needed.n_comparison], [expected["n_per_group_for_10_points"]] * 2, STACKED)
