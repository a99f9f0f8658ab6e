"""Few-cluster inference against enumerated references: every combination of signs, every order of the roll-out."""

import numpy as np
import pytest
from tests.reference.impact_data import cases, close, data

import evaluation as ev
from evaluation.errors import FewClustersWarning

EXPECTED = cases("few_cluster")
#: Statistics of R and ours differ in the order of summation only.
STATISTIC = 1e-9
#: R stops its bisection of limits at this distance from the boundary.
R_LIMIT = 5e-5
ROWS = {
    "gu in 1,2,3,6,7,8": lambda frame: frame["gu"].isin([1, 2, 3, 6, 7, 8]),
    "gu not in 2..5 (one treated cluster of 8)": lambda frame: ~frame["gu"].isin([2, 3, 4, 5]),
}


def named(*starts):
    return [name for name in EXPECTED if name.startswith(starts)]


@pytest.fixture(scope="module")
def people():
    return data("seoul_few.csv")


def fitted(people, case):
    kept = people[ROWS[case["rows"]](people)] if "rows" in case else people
    design = ev.survey_design(kept.reset_index(drop=True), weights=case.get("obs_weights"))
    with pytest.warns(FewClustersWarning):
        return ev.twfe(
            design, outcome="y", treatment="d", covariates="x", unit="gu", time="year", cluster="gu", vcov="CR1"
        )


@pytest.mark.parametrize("name", named("few", "one"))
def test_the_enumerated_bootstrap_is_the_reference_to_the_draw(people, name):
    case = EXPECTED[name]
    found = ev.wild_cluster_bootstrap(
        fitted(people, case),
        weights="webb" if "Webb" in case["weights_dist"] else "rademacher",
        impose_null=case["null_imposed"],
        null=case.get("r", 0.0),
        draws="all",
    )
    close(found.estimate, case["coef"], STATISTIC)
    close(found.statistic * np.sqrt(found.facts["factor"]), case["t_no_small_sample"], STATISTIC)
    assert (found.n_draws, found.n_ties, found.is_enumerated) == (case["n_draws"], case["n_ties"], True)
    for ours, theirs in (
        (found.p_strict, "p_two_tailed_strict"),
        (found.p_weak, "p_two_tailed_weak"),
        (found.p_equal_tailed, "p_equal_tailed_strict"),
        (found.p_lower, "p_lower_weak"),
        (found.p_upper, "p_upper_weak"),
    ):
        assert round(ours * case["n_draws"]) == pytest.approx(case[theirs] * case["n_draws"], abs=1e-6), theirs
        close(ours, case[theirs], 1e-12)
    levels = {share: float(share.rstrip("%")) / 100 for share in case["t_star_quantiles"]}
    quantiles = np.quantile(found.distribution, list(levels.values()), method="inverted_cdf")
    close(quantiles, list(case["t_star_quantiles"].values()), STATISTIC)
    if "ci95" in case:
        close([found.conf_low, found.conf_high], [case["ci95"]["lo"], case["ci95"]["hi"]], STATISTIC)


@pytest.mark.parametrize("name", named("fwildclusterboot"))
def test_the_four_bootstraps_are_those_of_fwildclusterboot(people, name):
    case, kind = EXPECTED[name], EXPECTED[name]["bootstrap_type"][-2:]
    result = fitted(people, case)
    found = ev.wild_cluster_bootstrap(
        result, bootstrap=kind, impose_null=case["impose_null"], draws="all", small_sample="observed"
    )
    close(found.statistic, case["t"], STATISTIC)
    if kind[1] == "1":  # it has its factor in all statistics here, where it cancels
        found = ev.wild_cluster_bootstrap(result, bootstrap=kind, impose_null=case["impose_null"], draws="all")
    assert found.n_draws == case["n_draws"]
    # Type "11" counts ties or not as rounding has it: with the null imposed it counted them.
    assert case["p"] in (found.p_strict, found.p_weak)
    if case["ci"] is not None:
        np.testing.assert_allclose([found.conf_low, found.conf_high], case["ci"], atol=R_LIMIT)


@pytest.mark.parametrize("name", named("randomization"))
def test_randomization_over_all_orders_is_the_reference_to_the_order(people, name):
    case = EXPECTED[name]
    result = fitted(people, case)
    coefficient = ev.randomization_inference(result)
    by_t = ev.randomization_inference(result, statistic="t")
    assert coefficient.n_draws == by_t.n_draws == case["n_assignments"]
    assert coefficient.is_enumerated
    close(coefficient.estimate, case["observed_coef"], STATISTIC)
    close(by_t.statistic * np.sqrt(ev.wild_cluster_bootstrap(result).facts["factor"]), case["observed_t"], STATISTIC)
    close(coefficient.p_value, case["p_coef_two_sided"], 1e-12)
    close(coefficient.p_upper, case["p_coef_upper"], 1e-12)
    close(by_t.p_value, case["p_t_two_sided"], 1e-12)
    close(coefficient.distribution.std(ddof=1), case["null_coef_sd"], STATISTIC)


def test_every_case_of_the_file_is_reached():
    assert set(named("few", "one", "fwildclusterboot", "randomization")) == set(EXPECTED)
