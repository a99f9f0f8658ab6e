"""What few clusters cannot say, and how tables of few-cluster inference tell it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import EstimationError, FewClustersWarning


def noise(n_clusters: int, seed: int) -> pd.DataFrame:
    """Districts of noise over four years, half of them treated in the last two."""
    random = np.random.default_rng(seed)
    cells = [(g, year) for g in range(n_clusters) for year in range(4)]
    places = pd.DataFrame(cells, columns=["gu", "year"])
    places["y"] = random.normal(size=len(places))
    places["d"] = ((places["gu"] < n_clusters // 2) & (places["year"] >= 2)).astype(float)
    return places


def regressed(places: pd.DataFrame) -> Any:
    """The two-way regression of districts, too few as they are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewClustersWarning)
        design = ev.survey_design(places, psu="gu")
        return ev.twfe(design, outcome="y", treatment="d", unit="gu", time="year", cluster="gu")


def fitted(n_clusters: int, seed: int) -> Any:
    """The same of noise."""
    return regressed(noise(n_clusters, seed))


def staged() -> pd.DataFrame:
    """People in 24 districts of which 8 start in 2015 and 6 in 2016; the later effect is larger."""
    random = np.random.default_rng(3)
    starts = np.array([2015] * 8 + [2016] * 6 + [0] * 10)
    cells = [(g, year) for g in range(24) for year in range(2013, 2019) for _ in range(int(random.integers(3, 25)))]
    people = pd.DataFrame(cells, columns=["gu", "year"])
    people["start"] = starts[people["gu"]]
    shocks = 0.5 * random.normal(size=(24, 6))
    people["y"] = random.normal(size=len(people)) + shocks[people["gu"], people["year"] - 2013]
    on = (people["start"] > 0) & (people["year"] >= people["start"])
    people["y"] += on * (1 + 2 * (people["start"] == 2016))
    return people


@pytest.mark.parametrize(
    "options", [{"bootstrap": kind} for kind in ("11", "13", "31", "33")] + [{"impose_null": False}]
)
@pytest.mark.parametrize("n_clusters", [3, 4, 5])
def test_all_combinations_of_few_signs_reject_nothing(n_clusters: int, options: dict[str, Any]) -> None:
    found = []
    for seed in range(12):
        made = fitted(n_clusters, seed)
        try:
            found.append(ev.wild_cluster_bootstrap(made, draws="all", **options))
        except EstimationError:
            continue
    least = 2 / 2**n_clusters
    for test in found:
        assert test.p_value >= least > 0.05
        assert (test.conf_low, test.conf_high) == (-np.inf, np.inf)
        assert "nothing can be rejected at the 0.05 level" in test.convention("en")
        assert "기각할 수 없음" in test.convention("ko")
    assert n_clusters == 3 or len(found) > 6


def test_with_eight_clusters_the_least_p_value_is_two_of_256() -> None:
    places = noise(8, 1)
    places["y"] += 40 * places["d"]
    made = regressed(places)
    found = ev.wild_cluster_bootstrap(made, draws="all")
    assert found.p_strict == 0.0
    assert found.p_value == found.p_weak == 2 / 256
    assert "rejected" not in found.convention("en")
    assert ev.wild_cluster_bootstrap(made, draws="all", bootstrap="33").p_value == 2 / 256


def test_the_table_of_few_clusters_says_that_nothing_can_be_rejected() -> None:
    shown = str(ev.table(ev.few_cluster_table(fitted(4, 1)), lang="en"))
    assert "With 4 clusters no p-value can be below 0.125" in shown
    assert "no p-value can be" not in str(ev.table(ev.few_cluster_table(fitted(8, 1)), lang="en"))


def test_scores_of_a_regression_that_is_not_linear_have_no_kinds_of_residuals() -> None:
    people = staged()
    people["visits"] = np.random.default_rng(1).poisson(np.exp(0.2 * people["y"]))
    people["d"] = ((people["start"] > 0) & (people["year"] >= people["start"])).astype(float)
    made = ev.fe_regression(
        ev.survey_design(people, psu="gu"), outcome="visits", regressors="d", effects=["gu", "year"],
        family="poisson", cluster="gu", time="year",
    )  # fmt: skip
    found = ev.wild_cluster_bootstrap(made, draws=199, seed=1)
    assert found.method == "score_jackknife"
    assert "no wild cluster bootstrap" in found.convention("en")
    for asked in ({"bootstrap": "33"}, {"impose_null": False}, {"small_sample": "observed"}):
        with pytest.raises(EstimationError, match=r"is for linear regressions.*poisson"):
            ev.wild_cluster_bootstrap(made, draws=199, seed=1, **asked)


@pytest.mark.parametrize("verb", ["sun_abraham", "extended_twfe", "event_study_twfe"])
def test_the_table_has_the_errors_of_the_verb_where_shares_of_cohorts_are_estimated(verb: str) -> None:
    people = ev.panel(ev.survey_design(staged(), psu="gu"), time="year")
    named = {"outcome": "y", "cohort": "start", "cluster": "gu"}
    design, sums = (getattr(ev, verb)(people, vcov=rule, **named) for rule in ("design", "cluster"))
    shown = ev.few_cluster_table(getattr(ev, verb)(people, **named), draws=99, orders=99, seed=1)
    rows = shown.tidy().set_index("method")
    assert np.isclose(rows.loc["design_alone", "std_error"], design.std_error[0], rtol=1e-10)
    assert rows.loc["design_alone", "df"] == design.df[0]
    assert np.isclose(rows.loc["sums_normal", "std_error"], sums.std_error[0], rtol=1e-10)
    for method in ("cr2", "cr3", "wcr_11", "wcr_33", "wcu_11"):
        assert "Cohort shares are held fixed" in shown.convention(method, "en")
    for method in ("cv3", "sums_t", "design_alone", "ri_coefficient"):
        assert "held fixed" not in shown.convention(method, "en")
    assert "cohort shares held fixed" in str(ev.table(shown, lang="en"))


def test_a_single_cell_has_no_shares_to_hold() -> None:
    people = ev.panel(ev.survey_design(staged(), psu="gu"), time="year")
    made = ev.sun_abraham(people, outcome="y", cohort="start", type="cells", cluster="gu")
    rows = ev.few_cluster_table(made, row={"cohort": 2016, "time": 2017}, draws=99, orders=99, seed=1)
    assert "cr1_t" in set(rows.tidy()["method"])
    assert "held fixed" not in str(ev.table(rows, lang="en"))


def test_tables_and_figures_of_few_clusters_name_the_outcome() -> None:
    made = fitted(8, 1)
    overall = ev.aggregate(
        ev.att_gt(
            ev.panel(ev.survey_design(staged(), psu="gu"), time="year"), outcome="y", cohort="start", cluster="gu"
        )
    )
    few = ev.table(ev.few_cluster_table(overall, draws=99, orders=99, seed=1), lang="en")
    assert few.title == "Every p-value, with few clusters: y, overall"
    assert "respondents" not in str(few)
    assert "n = " in str(few)
    assert "Taylor linearization" in str(few)
    assert not few.frame.iloc[:, 0].str.startswith("CR2").any()
    assert "CR2, Satterthwaite · CR3, Satterthwaite: not available, for regressions only" in str(few)
    assert ev.table(ev.leave_one_out(overall), lang="en").title.endswith(": y")
    orders = ev.randomization_inference(overall, draws=99, seed=1)
    assert "y, overall" in str(ev.table(orders, lang="en"))
    assert ev.table(ev.few_cluster_table(made), lang="en").title.endswith(": y, d")


def test_clusters_without_a_part_in_an_estimate_are_told() -> None:
    people = staged()
    made = ev.event_study(
        ev.panel(ev.survey_design(people, psu="gu"), time="year"), outcome="y", cohort="start", cluster="gu"
    )
    shown = ev.few_cluster_table(made, row={"event_time": 3}, draws=99, orders=99, seed=1)
    assert (shown.sides.treated, shown.sides.control, shown.idle) == (8, 10, 6)
    assert "6 of the clusters have no part in this estimate" in shown.counts("en")
    assert ev.few_cluster_table(made, draws=99, orders=99, seed=1).idle == 0


def test_a_date_that_is_read_from_the_rows_there_are_is_told() -> None:
    places = noise(8, 1)
    whole = ev.randomization_inference(regressed(places), draws="all")
    assert whole.facts["start_unseen"] == 0
    part = ev.randomization_inference(regressed(places[(places["gu"] != 0) | (places["year"] != 2)]), draws="all")
    assert part.facts["start_unseen"] == 1
    assert "first treated one: 1;" in part.convention("en")
    assert "first treated one" not in whole.convention("en")
