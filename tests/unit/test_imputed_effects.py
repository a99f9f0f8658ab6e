"""Effects after multiple imputation: everything that hangs on an imputed value is made in each imputation."""

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import EstimationError

ROLES = {"outcome": "trust", "treatment": "joined"}
COVARIATES = ["age", "sex", "income"]


def respondents(seed=12, n=480):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "psu": np.repeat(np.arange(n // 8), 8),
            "stratum": np.repeat(["s", "t", "u"], n // 3),
            "w": rng.uniform(1, 4, n),
            "age": rng.normal(45, 12, n),
            "sex": rng.choice(["f", "m"], n, p=[0.3, 0.7]),
        }
    )
    frame["income"] = 2 + 0.03 * frame["age"] + rng.normal(size=n)
    frame["joined"] = (rng.uniform(size=n) < 1 / (1 + np.exp(1 - 0.4 * frame["income"]))).astype(int)
    frame["trust"] = 4 + 0.4 * frame["income"] + 0.5 * frame["joined"] + rng.normal(size=n)
    return frame


def imputed(m=4, missing=100):
    """A covariate of which some values are missing, drawn m times from what age says of it."""
    frame, rng = respondents(), np.random.default_rng(3)
    gone = rng.choice(len(frame), missing, replace=False)
    completed = []
    for _ in range(m):
        own = frame.copy()
        own.loc[gone, "income"] = 2 + 0.03 * own.loc[gone, "age"] + rng.normal(size=missing)
        completed.append(own)
    return ev.imputed_designs(completed, weights="w", strata="stratum", psu="psu")


def rubin(estimates, variances):
    m = len(estimates)
    return np.mean(estimates), np.mean(variances) + (1 + 1 / m) * np.var(estimates, ddof=1)


@pytest.mark.parametrize("verb", [ev.aipw, ev.ipw, ev.ipwra, ev.g_computation, ev.regression_adjusted])
def test_every_effect_is_estimated_in_each_imputation_and_combined_by_rubin(verb):
    designs = imputed()
    each = [verb(design, **ROLES, covariates=COVARIATES) for design in designs]
    combined = ev.with_imputations(designs, lambda design: verb(design, **ROLES, covariates=COVARIATES))
    estimate, variance = rubin([one.estimate[0] for one in each], [one.vcov[0, 0] for one in each])
    assert combined.estimate[0] == pytest.approx(estimate)
    assert combined.vcov[0, 0] == pytest.approx(variance)
    assert combined.df[0] < each[0].df[0] == 57
    assert combined.influence is None


@pytest.mark.parametrize("balance", [ev.entropy_balance, ev.propensity_weights, ev.cbps])
def test_balancing_weights_are_made_within_each_imputation(balance):
    designs = imputed()

    def effect(design):
        return ev.group_difference(balance(design, treatment="joined", covariates=COVARIATES), **ROLES)

    combined = ev.with_imputations(designs, effect)
    weights = [balance(design, treatment="joined", covariates=COVARIATES).weights for design in designs]
    assert not np.allclose(weights[0], weights[1])
    each = [effect(design) for design in designs]
    estimate, variance = rubin([one.estimate[0] for one in each], [one.vcov[0, 0] for one in each])
    assert combined.estimate[0] == pytest.approx(estimate)
    assert combined.vcov[0, 0] == pytest.approx(variance)
    assert combined.columns["between"][0] > 0


def test_weights_made_once_leave_out_what_imputation_leaves_unknown():
    designs = imputed()
    once = ev.entropy_balance(designs[0], treatment="joined", covariates=COVARIATES)
    fixed = ev.group_difference(once, **ROLES)
    combined = ev.with_imputations(
        designs,
        lambda design: ev.group_difference(
            ev.entropy_balance(design, treatment="joined", covariates=COVARIATES), **ROLES
        ),
    )
    assert combined.columns["missing_information"][0] > 0.005
    assert combined.vcov[0, 0] > combined.columns["within"][0]
    assert fixed.estimate[0] != combined.estimate[0]


def test_degrees_of_freedom_never_exceed_those_of_the_design_nor_rubins_own():
    combined = ev.with_imputations(imputed(m=2), lambda design: ev.aipw(design, **ROLES, covariates=COVARIATES))
    share = 1.5 * combined.columns["between"] / np.diag(combined.vcov)
    assert (combined.df <= 57).all()
    assert (combined.df[share > 0] <= 1 / share[share > 0] ** 2).all()


def test_replicates_refit_everything_in_each_imputation():
    designs = [ev.as_replicates(design, kind="JKn") for design in imputed(m=2)]
    combined = ev.with_imputations(designs, lambda design: ev.ipw(design, **ROLES, covariates=COVARIATES))
    linear = ev.with_imputations(imputed(m=2), lambda design: ev.ipw(design, **ROLES, covariates=COVARIATES))
    assert combined.estimate[0] == pytest.approx(linear.estimate[0])
    assert combined.std_error[0] == pytest.approx(linear.std_error[0], rel=0.15)


def subgroups(design, minimum=10):
    return ev.subgroup_effects(design, **ROLES, by="sex", covariates=["age", "income"], minimum=minimum)


def test_subgroups_are_combined_row_by_row_and_their_p_values_adjusted_last():
    combined = ev.with_imputations(imputed(), subgroups)
    adjusted = ev.adjust_p_values(combined, within="method")
    rows = adjusted.tidy().query("method == 'aipw' and subgroup == 'sex'")
    np.testing.assert_allclose(rows["p_holm"], ev.adjust_p_values(rows["p_value"].to_numpy()))
    assert "beside the bars: n and Holm" in ev.plot(adjusted, lang="en").caption
    assert ev.plot(combined, lang="en").caption.count("p-value") == 0
    with pytest.raises(EstimationError, match=r"has none \(imputation.*adjust_p_values"):
        ev.stepdown(combined)
    with pytest.raises(EstimationError, match="joint covariance"):
        ev.heterogeneity_test(combined, method="aipw")


def test_a_subgroup_refused_in_an_imputation_stays_refused_with_its_reason():
    counts = respondents().groupby(["sex", "joined"]).size().groupby("sex").min()
    between, few = int(counts.min()) + 1, counts.idxmin()
    combined = ev.with_imputations(imputed(), lambda design: subgroups(design, minimum=between))
    rows = combined.tidy().query("subgroup == 'sex'").set_index(["level", "method"])
    assert (rows.loc[few, "reason"] == "too few in a group").all()
    assert rows.loc[few, "estimate"].isna().all()
    assert rows.drop(index=few, level="level")["estimate"].notna().all()
    assert "too few" in repr(ev.table(combined, lang="en"))


def test_equivalence_after_imputation_uses_its_degrees_of_freedom():
    combined = ev.with_imputations(imputed(), lambda design: ev.aipw(design, **ROLES, covariates=COVARIATES))
    row = ev.equivalence_test(combined, margin=2).tidy().iloc[0]
    assert row["df"] == combined.df[0]
