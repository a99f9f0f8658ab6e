"""Balancing weights, trimming and adjusted differences against stacked estimating equations made in R."""

import sys
from pathlib import Path

import numpy as np
import pytest

import evaluation as ev
from evaluation.errors import SeparationError

sys.path.insert(0, str(Path(__file__).parent))
import comparison_data as known

LALONDE, NHANES, NHEFS, SURVEY = (known.cases(name) for name in ("lalonde", "nhanes", "nhefs", "integration"))
WHO = {"treatment": "treat", "covariates": known.LALONDE_COVARIATES}
#: The references of covariate balancing scores state this.
CBPS = 1e-5


def effective(weights):
    return weights.sum() ** 2 / (weights**2).sum()


def of_comparison(design, treatment="treat"):
    return design.weights[(design.data[treatment] == 0).to_numpy()]


@pytest.mark.parametrize("outcome", ["re78", "above5k"])
@pytest.mark.parametrize("moments", [1, 2])
@pytest.mark.parametrize("estimand", ["ATT", "ATE"])
def test_lalonde_entropy_balancing(estimand, moments, outcome):
    expected = LALONDE[f"lalonde-ebal-{estimand}-m{moments}"]
    squares = ["age", "educ", "re74", "re75"] if moments == 2 else None
    balanced = ev.entropy_balance(known.lalonde(), **WHO, estimand=estimand, moments=moments, squares=squares)
    result = ev.group_difference(balanced, outcome=outcome, treatment="treat")
    known.agree(result, expected[outcome], estimate=known.STACKED, factor=known.iid(614))
    others = of_comparison(balanced)
    known.close(effective(others), expected["ess_control"], known.STACKED)
    known.close(others.max() / others.mean(), expected["max_weight_control"], known.STACKED)
    if outcome == "above5k":
        arguments = {"outcome": outcome, "treatment": "treat"}
        known.agree_in_ratios(ev.group_difference, expected[outcome], known.iid(614), design=balanced, **arguments)


@pytest.mark.parametrize("outcome", ["re78", "above5k"])
@pytest.mark.parametrize("estimand", ["ATT", "ATE"])
def test_lalonde_covariate_balancing_score(estimand, outcome):
    expected = LALONDE[f"lalonde-cbps-{estimand}"]
    balanced = ev.cbps(known.lalonde(), **WHO, estimand=estimand)
    result = ev.group_difference(balanced, outcome=outcome, treatment="treat")
    known.agree(result, expected[outcome], estimate=CBPS, error=CBPS, factor=known.iid(614))
    known.close(effective(of_comparison(balanced)), expected["ess_control"], CBPS)


@pytest.mark.parametrize("outcome", ["re78", "above5k"])
@pytest.mark.parametrize("estimand", ["ATE", "ATT", "ATC", "ATO", "ATM"])
def test_lalonde_propensity_weights_are_those_of_ipw(estimand, outcome):
    expected = LALONDE[f"lalonde-ipw-{estimand}"]
    balanced = ev.propensity_weights(known.lalonde(), **WHO, estimand=estimand)
    result = ev.group_difference(balanced, outcome=outcome, treatment="treat")
    known.agree(result, expected[outcome], factor=known.iid(614))
    known.close(effective(of_comparison(balanced)), expected["ess_control"], known.STACKED)
    direct = ev.ipw(known.lalonde(), outcome=outcome, **WHO, estimand=estimand)
    np.testing.assert_allclose(result.estimate, direct.estimate, rtol=1e-12)
    np.testing.assert_allclose(result.std_error, direct.std_error, rtol=1e-12)


@pytest.mark.parametrize(("name", "arguments"), [
    ("isurvey", {"outcome": "settle_high", "covariates": known.SURVEY_COVARIATES}),
    ("nhanes", {"outcome": "HI_CHOL", "covariates": known.NHANES_COVARIATES}),
])  # fmt: skip
def test_surveys_entropy_balancing(name, arguments):
    cases, design = {"isurvey": (SURVEY, known.survey()), "nhanes": (NHANES, known.nhanes())}[name]
    expected = cases[f"{name}-adjusted-ATT"]["ebal"]
    covariates, outcome = arguments["covariates"], arguments["outcome"]
    seen = design if name == "isurvey" else ev.domain(design, {outcome: [0, 1]})
    balanced = ev.entropy_balance(seen, treatment="participant", covariates=covariates)
    result = ev.group_difference(balanced, outcome=outcome, treatment="participant")
    known.agree(result, expected)
    assert result.df[0] == expected["df"]
    refitted = ev.entropy_balance(
        ev.domain(ev.as_replicates(design, kind="JKn"), {outcome: [0, 1]}),
        treatment="participant",
        covariates=covariates,
    )
    again = ev.group_difference(refitted, outcome=outcome, treatment="participant")
    known.close(again.estimate[0], expected["diff"], known.ESTIMATE)
    known.close(again.std_error[0], expected["se_diff_replicates"], 1e-3)


@pytest.mark.parametrize("estimand", ["ATE", "ATT", "ATO"])
def test_survey_unweighted_propensity(estimand):
    expected = SURVEY[f"isurvey-adjusted-{estimand}"]
    balanced = ev.propensity_weights(
        known.survey(),
        treatment="participant",
        covariates=known.SURVEY_COVARIATES,
        estimand=estimand,
        propensity="unweighted",
    )
    result = ev.group_difference(balanced, outcome="settle_high", treatment="participant")
    known.close(result.estimate[0], expected["ipw_unweighted_ps"]["diff"], known.ESTIMATE)


@pytest.mark.parametrize("rule", ["fixed", "crump"])
def test_lalonde_trimming(rule):
    names = {"fixed": "0.1-0.9", "crump": "crump"}
    refitted, kept = (LALONDE[f"lalonde-trim-{names[rule]}-{how}"] for how in ("refit", "norefit"))
    trimmed = ev.trim_propensity(known.lalonde(), **WHO, rule=rule)
    assert int(trimmed.present.sum()) == refitted["n_kept"]
    assert int((trimmed.present & (trimmed.data["treat"] == 1)).sum()) == refitted["n_kept_treated"]
    known.close(trimmed.steps[-1].step.limits[0], refitted["alpha"], known.STACKED)
    again = ev.ipw(trimmed, outcome="re78", **WHO, estimand="ATE")
    known.agree(again, refitted, factor=known.iid(614))
    balanced = ev.propensity_weights(known.lalonde(), **WHO, estimand="ATE")
    as_it_was = ev.trim_propensity(balanced, rule=rule)
    known.agree(ev.group_difference(as_it_was, outcome="re78", treatment="treat"), kept)


def test_lalonde_propensity_model():
    expected = LALONDE["lalonde-ps"]
    design = known.lalonde()
    model = ev.survey_glm(design, outcome="treat", covariates=known.LALONDE_COVARIATES, family="binomial").tidy()
    names = model["term"].str.replace("[T.", "", regex=False).str.replace("]", "", regex=False)
    known.close(model["estimate"], [expected["coef"][name] for name in names], known.ERROR)
    frame = design.data
    e = ev.overlap(design, **WHO).scores
    t = frame["treat"].to_numpy()
    # The errors of R's glm are those of the model, not of a design: the inverse information at these scores.
    x = np.column_stack(
        [np.ones(614), *(frame[name] for name in ("age", "educ")), frame["race"] == "hispan", frame["race"] == "white"]
        + [frame[name] for name in ("married", "nodegree", "re74", "re75")]
    ).astype(float)
    size = np.abs(x).max(axis=0)
    information = (x / size).T @ ((x / size) * (e * (1 - e))[:, None])
    order = ["(Intercept)", "age", "educ", "racehispan", "racewhite", "married", "nodegree", "re74", "re75"]
    errors = np.sqrt(np.diag(np.linalg.inv(information))) / size
    known.close(errors, [expected["se"][name] for name in order], known.ERROR)
    known.close(np.log(np.where(t == 1, e, 1 - e)).sum(), expected["logLik"], known.ESTIMATE)
    above = e[t == 1][:, None] - e[t == 0][None, :]
    known.close((above > 0).mean() + (above == 0).mean() / 2, expected["auc"], known.ESTIMATE)


@pytest.mark.parametrize("outcome", ["re78", "above5k"])
@pytest.mark.parametrize("group", ["participants", "comparison"])
def test_lalonde_outcome_models_of_g_computation(group, outcome):
    expected = LALONDE[f"lalonde-gcomp-ATT-{outcome}"][f"coef_{group}"]
    assert expected == LALONDE[f"lalonde-gcomp-ATE-{outcome}"][f"coef_{group}"]
    arm = ev.domain(known.lalonde(), {"treat": 1 if group == "participants" else 0})
    family = "gaussian" if outcome == "re78" else "binomial"
    model = ev.survey_glm(arm, outcome=outcome, covariates=known.LALONDE_COVARIATES, family=family).tidy()
    names = model["term"].str.replace("[T.", "", regex=False).str.replace("]", "", regex=False)
    known.close(model["estimate"], [expected[name] for name in names], known.ERROR)


def test_lalonde_bootstrap_of_weighting():
    replicated = ev.as_replicates(known.lalonde(), kind="bootstrap", replicates=500, seed=1)
    result = ev.ipw(replicated, outcome="re78", **WHO, estimand="ATT")
    np.testing.assert_allclose(result.std_error[0], LALONDE["lalonde-bootstrap"]["se_diff"], rtol=0.15)


def test_nhefs_stabilised_weights():
    expected = NHEFS["nhefs-stabilised"]
    design = known.nhefs()
    balanced = ev.propensity_weights(design, treatment="qsmk", covariates=known.NHEFS_FORMULA, estimand="ATE")
    participates = (design.data["qsmk"] == 1).to_numpy()
    stabilised = balanced.weights * np.where(participates, participates.mean(), 1 - participates.mean())
    known.close([stabilised.mean()], [expected["mean"]], known.STACKED)
    known.close([stabilised.min(), stabilised.max()], expected["range"], known.STACKED)
    # Means of a group do not change when all of its weights are multiplied by one number.
    result = ev.group_difference(balanced, outcome="wt82_71", treatment="qsmk")
    known.close(result.estimate[0], expected["diff"], known.STACKED)


def test_nhefs_standardisation():
    expected = NHEFS["nhefs-standardisation"]
    design = known.nhefs()
    formula = known.NHEFS_FORMULA + " + C(qsmk) * smokeintensity"
    model = ev.survey_glm(design, outcome="wt82_71", covariates=formula)
    margins = ev.predictive_margins(model, "qsmk")
    known.close(margins.estimate, [expected["mean_comparison"], expected["mean_participants"]], known.STACKED)
    gap = ev.contrast(margins, {"gap": {"qsmk | value=0": -1, "qsmk | value=1": 1}})
    known.close(gap.estimate[0], expected["diff"], known.STACKED)
    known.close(gap.std_error[0], expected["se_diff"] * known.iid(1566), known.ERROR)
    row = gap.tidy().iloc[0]
    printed = [round(float(row[name]), 1) for name in ("estimate", "conf_low", "conf_high")]
    assert printed == NHEFS["nhefs-published"]["standardisation"]


def rounded(result):
    tidy = result.tidy().iloc[0]
    return [round(float(tidy[name]), 1) for name in ("estimate", "conf_low", "conf_high")]


def test_nhefs_figures_as_printed():
    printed = NHEFS["nhefs-published"]
    design, arguments = known.nhefs(), {"outcome": "wt82_71", "treatment": "qsmk"}
    balanced = ev.propensity_weights(design, treatment="qsmk", covariates=known.NHEFS_FORMULA, estimand="ATE")
    # The book takes its weights as known, which makes the interval wider than it is.
    as_given = ev.survey_design(design.data.assign(given=balanced.weights), weights="given")
    assert rounded(ev.group_difference(as_given, **arguments)) == printed["ipw"]
    estimated = ev.ipw(design, **arguments, covariates=known.NHEFS_FORMULA, estimand="ATE").tidy().iloc[0]
    assert printed["ipw"][1] < estimated["conf_low"] < estimated["conf_high"] < printed["ipw"][2]


def test_nhefs_regressions_as_printed():
    printed = NHEFS["nhefs-published"]
    design = known.nhefs()
    moderated = ev.survey_glm(
        design, outcome="wt82_71", covariates=known.NHEFS_FORMULA + " + qsmk + qsmk:smokeintensity"
    )
    found = [
        ev.group_difference(design, outcome="wt82_71", treatment="qsmk"),
        ev.regression_adjusted(
            design, outcome="wt82_71", treatment="qsmk", covariates=known.NHEFS_FORMULA, estimand="ATE"
        ),
        *(ev.contrast(moderated, {"at": {"qsmk": 1, "qsmk:smokeintensity": cigarettes}}) for cigarettes in (5, 40)),
    ]
    book = [
        printed["unadjusted"],
        printed["outcome_regression_no_product_terms"],
        *printed["outcome_regression_with_interaction_at_smokeintensity"].values(),
    ]
    for ours, theirs in zip(found, book, strict=True):
        assert rounded(ours)[0] == theirs[0]
        # The book's intervals here suppose that weight varies alike in both groups; ours do not.
        assert abs((rounded(ours)[2] - rounded(ours)[1]) / (theirs[2] - theirs[1]) - 1) < 0.25


def test_nhanes_regression():
    expected = NHANES["nhanes-svyglm"]
    seen = ev.domain(known.nhanes(), {"HI_CHOL": [0, 1]})
    model = ev.survey_glm(
        seen, outcome="HI_CHOL", covariates=["participant", *known.NHANES_COVARIATES], family="binomial"
    )
    tidy = model.tidy()
    names = tidy["term"].str.replace("[T.", "", regex=False).str.replace("]", "", regex=False)
    known.close(tidy["estimate"], [expected["coef"][name] for name in names], known.ERROR)
    known.close(tidy["std_error"], [expected["se"][name] for name in names], known.ERROR)
    assert (tidy["df"] == expected["df_resid"]).all()


def test_lalonde_quasi_separation_in_one_group_is_no_estimate():
    design = known.lalonde()
    works = ev.survey_design(design.data.assign(works=(design.data["re78"] > 0).astype(int)))
    for verb in (ev.aipw, ev.ipwra, ev.g_computation):
        with pytest.raises(SeparationError, match=r"participants \(1\): 'race\[T.hispan\]' separates") as caught:
            verb(works, outcome="works", **WHO)
        assert set(caught.value.failures["race"]) == {"hispan"}
    assert np.isfinite(ev.ipw(works, outcome="works", **WHO).std_error).all()


def test_lalonde_error_does_not_depend_on_units():
    design = known.lalonde()
    scaled = ev.survey_design(design.data.assign(re74=design.data["re74"] / 1e5, age=design.data["age"] * 1e4 - 3e5))
    for estimand in ("ATO", "ATM", "ATE"):
        one, other = (ev.ipw(own, outcome="re78", **WHO, estimand=estimand) for own in (design, scaled))
        np.testing.assert_allclose(other.std_error, one.std_error, rtol=1e-9)


def test_nhanes_weights_of_a_whole_population_leave_the_effect_adjusted():
    million = known.nhanes().data.assign(
        WTMEC2YR=lambda frame: frame["WTMEC2YR"] * 1e6, took_part=lambda f: f["participant"]
    )
    heavy = ev.survey_design(million, weights="WTMEC2YR", strata="SDMVSTRA", psu="SDMVPSU", nested=True)
    for estimand in ("ATE", "ATT", "ATO"):
        result = ev.ipw(
            heavy, outcome="HI_CHOL", treatment="took_part", covariates=known.NHANES_COVARIATES, estimand=estimand
        )
        known.agree(result, NHANES[f"nhanes-adjusted-{estimand}"]["ipw"])


@pytest.mark.parametrize("estimand", ["ATE", "ATT", "ATO"])
def test_survey_balancing_weights_without_survey_weights_in_the_means(estimand):
    expected = SURVEY[f"isurvey-adjusted-{estimand}"]["ipw_without_survey_weights_in_outcome"]
    design = known.survey()
    balanced = ev.propensity_weights(
        design, treatment="participant", covariates=known.SURVEY_COVARIATES, estimand=estimand
    )
    alone = ev.survey_design(design.data.assign(own=balanced.weights / design.weights), weights="own")
    result = ev.group_difference(alone, outcome="settle_high", treatment="participant")
    known.close(result.estimate[0], expected["diff"], known.ESTIMATE)
