"""Balancing as a weighting step: means agree, errors are derivatives, and nothing depends on how data are written."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import evaluation as ev

SAME = 1e-9
COVARIATES = ["age", "income", "sex", "district"]
WHO = {"treatment": "joined", "covariates": COVARIATES}
BALANCERS = {
    "propensity_weights": ev.propensity_weights,
    "entropy_balance": ev.entropy_balance,
    "cbps": ev.cbps,
}
CASES = [
    *(("propensity_weights", estimand) for estimand in ("ATT", "ATE", "ATC", "ATO", "ATM")),
    *((name, estimand) for name in ("entropy_balance", "cbps") for estimand in ("ATT", "ATE", "ATC")),
]
EXACT = [case for case in CASES if case[0] != "propensity_weights"]


@pytest.fixture(scope="module")
def respondents():
    rng = np.random.default_rng(11)
    n = 480
    frame = pd.DataFrame(
        {
            "psu": np.repeat(np.arange(n // 8), 8),
            "stratum": np.repeat(["a", "b", "c", "d"], n // 4),
            "w": rng.uniform(1, 5, n),
            "age": rng.normal(45, 12, n),
            "income": rng.lognormal(5, 0.4, n),
            "sex": rng.choice(["f", "m"], n),
            "district": rng.choice(["north", "south", "west"], n, p=[0.5, 0.3, 0.2]),
        }
    )
    slope = 0.05 * (frame["age"] - 45) + 0.7 * (frame["district"] == "south") - 0.4 * (frame["sex"] == "m") - 0.6
    frame["joined"] = (rng.uniform(size=n) < 1 / (1 + np.exp(-slope))).astype(int)
    frame["trust"] = 3 + 0.02 * frame["age"] + 0.5 * frame["joined"] + rng.normal(0, 1, n)
    frame["stays"] = (rng.uniform(size=n) < 1 / (1 + np.exp(-0.3 - 0.5 * frame["joined"]))).astype(int)
    frame["visits"] = rng.poisson(np.exp(0.2 + 0.01 * frame["age"] + 0.3 * frame["joined"]))
    return frame


def design_of(frame):
    return ev.survey_design(frame, weights="w", strata="stratum", psu="psu")


def balanced(name, design, estimand="ATT", **options):
    return BALANCERS[name](design, **{**WHO, "estimand": estimand, **options})


def gap(design, outcome="trust", treatment="joined"):
    return ev.group_difference(design, outcome=outcome, treatment=treatment)


def alike(one, other, tolerance=SAME):
    np.testing.assert_allclose(one.estimate, other.estimate, rtol=tolerance, atol=1e-12)
    np.testing.assert_allclose(one.std_error, other.std_error, rtol=max(tolerance, 1e-7))


def columns_of(frame):
    levels = pd.get_dummies(frame[["sex", "district"]]).astype(float)
    return np.column_stack([frame[["age", "income"]].to_numpy(), levels])


def means(frame, weights, group):
    own = (frame["joined"] == group).to_numpy()
    return weights[own] @ columns_of(frame)[own] / weights[own].sum()


@pytest.mark.parametrize(("name", "estimand"), EXACT)
def test_balanced_groups_have_the_means_of_the_target(respondents, name, estimand):
    design = design_of(respondents)
    made = balanced(name, design, estimand)
    spread = columns_of(respondents).std(axis=0)
    both = [means(respondents, made.weights, group) for group in (0, 1)]
    assert np.max(np.abs(both[0] - both[1]) / spread) < 1e-9
    if (name, estimand) == ("cbps", "ATE"):
        return
    target = {"ATT": respondents["joined"] == 1, "ATC": respondents["joined"] == 0, "ATE": respondents["w"] > 0}
    weights = respondents["w"].to_numpy() * target[estimand].to_numpy()
    wanted = weights @ columns_of(respondents) / weights.sum()
    assert np.max(np.abs(both[0] - wanted) / spread) < 1e-9


def test_two_moments_balance_variances_too(respondents):
    made = ev.entropy_balance(design_of(respondents), **WHO, moments=2)
    one = ev.entropy_balance(design_of(respondents), **WHO)
    for name in ("age", "income"):
        values = respondents[name].to_numpy()
        found = []
        for design in (made, one):
            own = [(design.weights * (respondents["joined"] == group)).to_numpy() for group in (0, 1)]
            found.append([weight @ values**2 / weight.sum() for weight in own])
        assert found[0][0] == pytest.approx(found[0][1], rel=1e-9)
        assert found[1][0] != pytest.approx(found[1][1], rel=1e-6)


@pytest.mark.parametrize(("name", "estimand"), CASES)
def test_influence_is_the_numerical_derivative_of_the_whole_chain(respondents, name, estimand):
    plain = design_of(respondents)
    made = balanced(name, plain, estimand)
    influence = gap(made).influence[:, 0]
    step = made.steps[-1].step
    outcome, joined = respondents["trust"].to_numpy(), respondents["joined"].to_numpy()

    def difference(weights):
        after = step.replay(weights)
        return np.average(outcome, weights=after * joined) - np.average(outcome, weights=after * (1 - joined))

    for row in (0, 101, 333):
        moved = []
        for sign in (1, -1):
            weights = plain.weights.copy()
            weights[row] *= 1 + sign * 1e-5
            moved.append(difference(weights))
        assert influence[row] == pytest.approx((moved[0] - moved[1]) / 2e-5, rel=1e-4, abs=1e-9)


def test_an_unweighted_score_moves_with_how_often_respondents_were_drawn(respondents):
    plain = design_of(respondents)
    made = balanced("propensity_weights", plain, propensity="unweighted")
    influence, step = gap(made).influence[:, 0], made.steps[-1].step
    outcome, joined = respondents["trust"].to_numpy(), respondents["joined"].to_numpy()
    for row in (5, 250):
        moved = []
        for sign in (1, -1):
            drawn = np.ones(len(plain))
            drawn[row] += sign * 1e-5
            after = step.replay_multiplied(plain.weights * drawn, drawn)
            moved.append(
                np.average(outcome, weights=after * joined) - np.average(outcome, weights=after * (1 - joined))
            )
        assert influence[row] == pytest.approx((moved[0] - moved[1]) / 2e-5, rel=1e-4, abs=1e-9)
    weighted = balanced("propensity_weights", plain)
    assert not np.allclose(made.weights, weighted.weights, rtol=1e-3)


@pytest.mark.parametrize("estimand", ["ATT", "ATE", "ATC", "ATO", "ATM"])
@pytest.mark.parametrize("outcome", ["trust", "stays"])
def test_ipw_is_the_plain_difference_after_propensity_weights(respondents, estimand, outcome):
    design = design_of(respondents)
    direct = ev.ipw(design, outcome=outcome, **WHO, estimand=estimand)
    after = gap(balanced("propensity_weights", design, estimand), outcome)
    alike(direct, after, 1e-12)
    np.testing.assert_allclose(direct.vcov, after.vcov, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize(("estimand", "outcome"), [("ATT", "trust"), ("ATC", "stays")])
def test_entropy_balancing_and_the_balancing_score_are_one_where_a_group_is_the_target(respondents, estimand, outcome):
    design = design_of(respondents)
    entropy, score = (balanced(name, design, estimand) for name in ("entropy_balance", "cbps"))
    np.testing.assert_allclose(entropy.weights, score.weights, rtol=SAME)
    alike(gap(entropy, outcome), gap(score, outcome))
    known = ev.balancing_of(score).scores
    odds = known / (1 - known) if estimand == "ATT" else (1 - known) / known
    weighted = respondents["joined"].to_numpy() == (0 if estimand == "ATT" else 1)
    np.testing.assert_allclose((score.weights / design.weights)[weighted], odds[weighted], rtol=SAME)


def test_all_three_are_one_where_the_covariates_are_saturated(respondents):
    design = design_of(respondents)
    found = [
        gap(BALANCERS[name](design, treatment="joined", covariates="~ sex * district", estimand="ATT"))
        for name in BALANCERS
    ]
    for other in found[1:]:
        alike(found[0], other, 1e-8)


def test_all_estimators_agree_on_an_exactly_balanced_table():
    cells = pd.DataFrame([(s, d) for s in "fm" for d in ("x", "y", "z")] * 8, columns=["sex", "district"])
    cells["joined"] = np.repeat([0, 1], 24)
    rng = np.random.default_rng(2)
    cells["y"] = rng.normal(size=48) + cells["joined"]
    cells["yes"] = rng.integers(0, 2, 48)
    design = ev.survey_design(cells)
    for outcome, family in (("y", None), ("yes", "gaussian")):
        plain = ev.group_difference(design, outcome=outcome, treatment="joined").estimate
        arguments = {"outcome": outcome, "treatment": "joined", "covariates": ["sex", "district"]}
        for estimand in ("ATT", "ATE", "ATC"):
            for verb in (ev.g_computation, ev.regression_adjusted, ev.aipw, ev.ipwra):
                made = verb(design, **arguments, estimand=estimand, family=family)
                np.testing.assert_allclose(made.estimate, plain, rtol=1e-9, atol=1e-9)
            for name in BALANCERS:
                after = BALANCERS[name](design, treatment="joined", covariates=["sex", "district"], estimand=estimand)
                made = ev.group_difference(after, outcome=outcome, treatment="joined")
                np.testing.assert_allclose(made.estimate, plain, rtol=1e-9, atol=1e-9)


CHANGES = {
    "weights in millions": lambda frame: frame.assign(w=frame["w"] * 1e6),
    "covariates in other units": lambda frame: frame.assign(
        age=frame["age"] * 1e-4, income=frame["income"] * 1e6 - 7e8
    ),
    "rows in another order": lambda frame: frame.sample(frac=1, random_state=4),
    "treatment in words": lambda frame: frame.assign(joined=np.where(frame["joined"] == 1, "yes", "no")),
    "treatment as decimals": lambda frame: frame.assign(joined=frame["joined"].astype(float)),
    "treatment yes and no": lambda frame: frame.assign(joined=frame["joined"] == 1),
    "another reference level": lambda frame: frame.assign(
        district=pd.Categorical(frame["district"], categories=["west", "south", "north"])
    ),
}


@pytest.mark.parametrize("change", list(CHANGES))
@pytest.mark.parametrize(
    "estimate",
    [
        *(lambda design, case=case: gap(balanced(case[0], design, case[1])) for case in CASES),
        lambda design: ev.aipw(design, outcome="stays", **WHO),
        lambda design: ev.aipw(design, outcome="trust", **WHO, balancing="entropy"),
        lambda design: ev.ipwra(design, outcome="stays", **WHO, estimand="ATM"),
        lambda design: ev.g_computation(design, outcome="visits", **WHO, family="poisson"),
        lambda design: ev.regression_adjusted(design, outcome="stays", **WHO),
    ],
)  # fmt: skip
def test_nothing_depends_on_how_the_data_are_written(respondents, change, estimate):
    alike(estimate(design_of(respondents)), estimate(design_of(CHANGES[change](respondents))), 1e-7)


def test_names_of_columns_do_not_matter(respondents):
    other = respondents.rename(columns={"joined": "(Intercept) x", "age": "participation", "district": "e"})
    arguments = {"treatment": "(Intercept) x", "covariates": ["participation", "income", "sex", "e"]}
    alike(
        ev.aipw(design_of(respondents), outcome="trust", **WHO),
        ev.aipw(design_of(other), outcome="trust", **arguments),
    )
    alike(
        gap(balanced("entropy_balance", design_of(respondents))),
        gap(ev.entropy_balance(design_of(other), **arguments), treatment="(Intercept) x"),
    )


@pytest.mark.parametrize("name", list(BALANCERS))
def test_replicates_balance_again_and_come_close(respondents, name):
    design = design_of(respondents)
    for estimand in ("ATT", "ATE"):
        linear = gap(balanced(name, design, estimand))
        again = gap(balanced(name, ev.as_replicates(design, kind="JKn"), estimand))
        np.testing.assert_allclose(again.estimate, linear.estimate, rtol=1e-10)
        np.testing.assert_allclose(again.std_error, linear.std_error, rtol=0.15)
    one = next(iter(balanced(name, ev.as_replicates(design, kind="JKn")).replicate_weights()))
    first = respondents.assign(w=np.where(respondents["psu"] == 0, 0, 1.0) * 1.0)
    assert one[(first["w"] == 0).to_numpy()].sum() == 0
    fresh = balanced(name, design_of(respondents.assign(w=_first_replicate(design))))
    np.testing.assert_allclose(one, fresh.weights, rtol=1e-8)


def _first_replicate(design):
    return next(iter(ev.as_replicates(design, kind="JKn").replicate_weights()))


def test_an_unweighted_score_is_fitted_again_in_replicates(respondents):
    replicated = ev.as_replicates(design_of(respondents), kind="JKn")
    made = gap(balanced("propensity_weights", replicated, propensity="unweighted"))
    linear = gap(balanced("propensity_weights", design_of(respondents), propensity="unweighted"))
    np.testing.assert_allclose(made.std_error, linear.std_error, rtol=0.15)


@pytest.mark.parametrize("name", list(BALANCERS))
def test_a_domain_is_balanced_by_itself_and_keeps_the_design(respondents, name):
    design = design_of(respondents)
    inside = ev.domain(design, {"stratum": ["a", "c"]})
    made = balanced(name, inside)
    alone = balanced(name, design_of(respondents[respondents["stratum"].isin(["a", "c"])]))
    np.testing.assert_allclose(gap(made).estimate, gap(alone).estimate, rtol=SAME)
    assert (made.weights[~inside.inside] == 0).all()
    assert made.engine.sampling.n_units == design.engine.sampling.n_units
    assert ev.balancing_of(made).verb == name
    again = gap(balanced(name, ev.domain(ev.as_replicates(design, kind="JKn"), {"stratum": ["a", "c"]})))
    np.testing.assert_allclose(again.std_error, gap(made).std_error, rtol=0.15)


def test_the_chain_before_counts_in_the_error(respondents):
    total = respondents["w"].sum()
    raked = ev.rake(design_of(respondents), {"sex": {"f": 0.55 * total, "m": 0.45 * total}})
    linear = gap(balanced("entropy_balance", raked))
    replicated = ev.as_replicates(design_of(respondents), kind="JKn")
    again = ev.rake(replicated, {"sex": {"f": 0.55 * total, "m": 0.45 * total}})
    np.testing.assert_allclose(gap(balanced("entropy_balance", again)).std_error, linear.std_error, rtol=0.15)
    assert [applied.step.verb for applied in balanced("entropy_balance", raked).steps] == ["rake", "entropy_balance"]


def test_every_estimator_of_the_house_reads_a_balanced_design(respondents):
    made = balanced("entropy_balance", design_of(respondents))
    by_group = ev.survey_mean(made, "trust", by="joined")
    row = gap(made)
    np.testing.assert_allclose(by_group.estimate, row.estimate[[2, 1]], rtol=1e-12)
    np.testing.assert_allclose(by_group.std_error, row.std_error[[2, 1]], rtol=1e-9)
    assert ev.survey_prop(made, "district", by="joined").std_error[:3] == pytest.approx(
        ev.survey_prop(made, "district", by="joined").std_error[3:], rel=1e-6
    )


def test_weights_and_a_unit_per_row_give_the_plain_sandwich(respondents):
    n = len(respondents)
    made = ev.entropy_balance(ev.survey_design(respondents), **WHO)
    result = gap(made)
    influence = result.influence[:, 0]
    assert result.std_error[0] == pytest.approx(np.sqrt((influence**2).sum() * n / (n - 1)), rel=1e-9)


def test_doubly_robust_verbs_take_any_balancing(respondents):
    design = design_of(respondents)
    plain = gap(balanced("entropy_balance", design))
    # A linear model says nothing new of groups whose means agree exactly.
    for verb in (ev.aipw, ev.ipwra):
        for balancing in ("entropy", "cbps"):
            made = verb(design, outcome="trust", **WHO, balancing=balancing)
            np.testing.assert_allclose(made.estimate, plain.estimate, rtol=1e-9)
            np.testing.assert_allclose(made.std_error, plain.std_error, rtol=1e-7)
            assert made.fit["balancing"] == balancing
    other = ev.aipw(design, outcome="trust", **WHO, estimand="ATE", balancing="cbps")
    again = ev.aipw(ev.as_replicates(design, kind="JKn"), outcome="trust", **WHO, estimand="ATE", balancing="cbps")
    np.testing.assert_allclose(again.std_error, other.std_error, rtol=0.15)


def test_counts_have_poisson_models(respondents):
    design = design_of(respondents)
    made = ev.g_computation(design, outcome="visits", **WHO, family="poisson", estimand="ATE", measure="log_risk_ratio")
    arms = [
        ev.survey_glm(ev.domain(design, {"joined": group}), outcome="visits", covariates=COVARIATES, family="poisson")
        for group in (0, 1)
    ]
    x = np.column_stack(
        [
            np.ones(len(respondents)),
            respondents["age"],
            respondents["income"],
            respondents["sex"] == "m",
            respondents["district"] == "south",
            respondents["district"] == "west",
        ]
    ).astype(float)
    by_hand = [np.average(np.exp(x @ arm.estimate), weights=respondents["w"]) for arm in arms]
    np.testing.assert_allclose(made.estimate, [np.log(by_hand[1] / by_hand[0]), by_hand[1], by_hand[0]], rtol=1e-9)
    again = ev.aipw(ev.as_replicates(design, kind="JKn"), outcome="visits", **WHO, family="poisson")
    np.testing.assert_allclose(
        again.std_error, ev.aipw(design, outcome="visits", **WHO, family="poisson").std_error, rtol=0.15
    )


def test_the_step_is_written_and_shown_without_anyone(respondents):
    made = ev.entropy_balance(design_of(respondents), **WHO, moments=2, squares=["age"])
    assert made.chain()[-1] == {"entropy_balance": {**WHO, "estimand": "ATT", "moments": 2, "squares": ["age"]}}
    assert made.history["step"].tolist()[-1] == "entropy_balance"
    assert made.provenance.weight == "w → entropy_balance"
    fit = gap(made).fit
    assert [fit["adjusted_by"], fit["estimand"]] == ["entropy_balance", "ATT"]
    assert fit["ess_comparison"] < (respondents["joined"] == 0).sum()


def test_warm_starts_change_nothing(respondents):
    made = balanced("cbps", design_of(respondents), "ATE")
    step = made.steps[-1].step
    cold = replace(step, start=None)
    weights = respondents["w"].to_numpy() * np.linspace(0.5, 1.5, len(respondents))
    np.testing.assert_allclose(step.replay(weights), cold.replay(weights), rtol=1e-9)
