"""Tests against a margin: by hand, with their interval, in words, and what is refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import evaluation as ev
from evaluation.errors import EstimationError
from evaluation.results import Provenance


def design(n=240, seed=9):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"psu": np.repeat(np.arange(n // 6), 6), "joined": rng.integers(0, 2, n)})
    frame["place"] = np.repeat(["north", "south"], n // 2)
    frame["stays"] = (rng.uniform(size=n) < 0.5 + 0.1 * frame["joined"]).astype(int)
    frame["trust"] = 5 + 0.3 * frame["joined"] + rng.normal(size=n)
    return ev.survey_design(frame, psu="psu")


def difference(outcome="trust", **more):
    return ev.group_difference(design(), outcome=outcome, treatment="joined", **more)


def test_two_one_sided_tests_by_hand():
    gap = difference()
    row = ev.equivalence_test(gap, lower=-0.2, upper=0.6).tidy().iloc[0]
    estimate, error, df = gap.estimate[0], gap.std_error[0], gap.df[0]
    assert row["p_lower"] == pytest.approx(stats.t.sf((estimate + 0.2) / error, df))
    assert row["p_upper"] == pytest.approx(stats.t.cdf((estimate - 0.6) / error, df))
    assert row["p_value"] == max(row["p_lower"], row["p_upper"])


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
@pytest.mark.parametrize("margin", np.linspace(0.05, 1.2, 24))
def test_equivalence_is_shown_where_the_interval_lies_within_the_margins(margin, alpha):
    row = ev.equivalence_test(difference(), margin=margin, alpha=alpha).tidy().iloc[0]
    inside = -margin < row["conf_low"] and row["conf_high"] < margin
    assert (row["conclusion"] == "shown") == inside == (row["p_value"] < alpha)


def test_superiority_without_a_margin_is_half_of_the_two_sided_test():
    gap = difference()
    p = ev.superiority_test(gap, margin=0).tidy()["p_value"][0]
    assert 2 * p == pytest.approx(gap.tidy()["p_value"][0])


def test_non_inferiority_is_superiority_with_the_margin_on_the_other_side():
    gap = difference()
    estimate, error, df = gap.estimate[0], gap.std_error[0], gap.df[0]
    p = ev.non_inferiority_test(gap, margin=0.1).tidy()["p_value"][0]
    assert p == pytest.approx(stats.t.sf((estimate + 0.1) / error, df))


def test_where_low_values_are_good_everything_is_mirrored():
    gap = difference()
    mirrored = replace(gap, estimate=-gap.estimate)
    for test in (ev.superiority_test, ev.non_inferiority_test):
        up = test(gap, margin=0.1).tidy().iloc[0]
        down = test(mirrored, margin=0.1, higher_is_better=False).tidy().iloc[0]
        assert up["p_value"] == pytest.approx(down["p_value"])
        assert up["margin_low"] == -down["margin_high"]


def test_every_difference_is_tested_and_no_mean():
    found = ev.subgroup_effects(design(), outcome="trust", treatment="joined", by="place", method="raw")
    tested = ev.equivalence_test(found, margin=1).tidy()
    assert tested["subgroup"].tolist() == ["overall", "place", "place"]
    assert len(ev.equivalence_test(difference(), margin=1).tidy()) == 1
    one = ev.equivalence_test(found, margin=1, row="trust | subgroup=place,level=south,method=raw")
    assert one.tidy()["level"].tolist() == ["south"]


def test_an_estimate_without_influence_can_be_tested():
    item = ev.Measurement("trust", "Trust", "residents", "web", 2016)
    same = ev.assess_comparability(item, item, contains_participants=False)
    mean = ev.survey_mean(design(), "trust")
    gap = ev.benchmark_difference(mean, float(mean.estimate[0]) - 3, comparability=same, std_error=0.1)
    assert gap.contributions is None
    assert ev.superiority_test(gap, margin=2).tidy()["conclusion"].tolist() == ["shown"]


def test_it_is_said_in_both_languages_and_laid_out():
    test = ev.equivalence_test(difference("stays"), margin=0.5)
    assert test.text("en").startswith("stays: equivalence within (-0.5, 0.5) is shown: p < 0.001, difference")
    assert "90% 신뢰구간" in test.text("ko")
    assert "보임" in test.text("ko")
    table = ev.table(test, lang="ko")
    assert "유의하지 않다는 것은 동등하다는 증거가 아님" in repr(table)
    assert "conclusion" in table.data
    assert test.to_dict()["verb"] == "equivalence_test"


def test_what_may_not_be_shown_is_not_shown():
    careful = replace(difference(), provenance=Provenance(min_base=150))
    test = ev.equivalence_test(careful, margin=1)
    assert test.tidy()["estimate"].isna().all()
    assert test.text("en") == "trust: [u]"
    assert "[u]" in repr(ev.table(test, lang="en"))


@pytest.mark.parametrize(
    ("outcome", "arguments", "message"),
    [
        ("stays", {"margin": 5}, r"differences of shares, 0 to 1, and the margin is 5.*Write 0.05 for 5 percentage"),
        ("stays", {"lower": -5, "upper": 5}, "Write 0.05"),
        ("trust", {"margin": -0.1}, "margin must be above zero, got -0.1. Write its size, margin=0.1"),
        ("trust", {"margin": 0}, "How much matters"),
        ("trust", {"margin": np.nan}, "must be a number"),
        ("trust", {"margin": "wide"}, "must be a number"),
        ("trust", {}, "needs margin="),
        ("trust", {"lower": -0.1}, "needs margin="),
        ("trust", {"margin": 0.1, "upper": 0.2}, "not both"),
        ("trust", {"lower": 0.1, "upper": 0.2}, "lower must be below 0 and upper above it"),
        ("trust", {"margin": 0.1, "alpha": 5}, r"5 per cent is alpha=0.05"),
        ("trust", {"margin": 0.1, "alpha": 0.5}, "between 0 and 0.5"),
        ("trust", {"margin": 0.1, "alpha": True}, "between 0 and 0.5"),
        ("trust", {"margin": 0.1, "row": "trusts"}, "no row 'trusts'"),
    ],
)
def test_what_cannot_be_asked_is_refused(outcome, arguments, message):
    with pytest.raises(EstimationError, match=message):
        ev.equivalence_test(difference(outcome), **arguments)


def test_a_ratio_where_a_logarithm_belongs_is_refused():
    ratio = difference("stays", measure="log_risk_ratio")
    with pytest.raises(EstimationError, match=r"write lower=np.log\(0.8\), upper=np.log\(1.25\)"):
        ev.equivalence_test(ratio, lower=0.8, upper=1.25)
    with pytest.raises(EstimationError, match=r"1.25 is a ratio of 3.49"):
        ev.equivalence_test(ratio, margin=1.25)
    assert ev.equivalence_test(ratio, lower=np.log(0.5), upper=np.log(2)).tidy()["margin_high"][0] == np.log(2)


def test_the_margins_of_superiority_and_non_inferiority_know_their_sign():
    gap = difference("stays")
    with pytest.raises(EstimationError, match=r"zero or more, got -0.1"):
        ev.superiority_test(gap, margin=-0.1)
    with pytest.raises(EstimationError, match="above zero, got 0"):
        ev.non_inferiority_test(gap, margin=0)
    with pytest.raises(EstimationError, match="higher_is_better must be True or False"):
        ev.superiority_test(gap, margin=0.1, higher_is_better="yes")
    with pytest.raises(EstimationError, match=r"Write 0.1 for 10 percentage points"):
        ev.non_inferiority_test(gap, margin=10)
    with pytest.raises(EstimationError, match="needs estimates"):
        ev.superiority_test(0.3, margin=0.1)


def test_percentage_points_are_refused_in_subgroups_too():
    found = ev.subgroup_effects(design(), outcome="stays", treatment="joined", by="place", method="raw")
    with pytest.raises(EstimationError, match=r"Write 0.05 for 5 percentage points"):
        ev.equivalence_test(found, margin=5)
