"""Rosenbaum bounds by hand, their properties, and what is refused."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import evaluation as ev
from evaluation.errors import EstimationError


def pairs(ours, theirs):
    n = len(ours)
    age = np.arange(n) * 10
    frame = pd.DataFrame({"joined": [1] * n + [0] * n, "age": np.concatenate([age, age + 1]), "y": [*ours, *theirs]})
    return ev.match(ev.survey_design(frame), treatment="joined", covariates=["age"], distance="age")


DIFFERENCES = np.array([1.5, -0.5, 2.0, 3.0, 0.0, 4.0, -2.5, 2.0, 5.0, 1.0, 6.0, 3.5])


def of_differences(differences=DIFFERENCES):
    return pairs(differences + 10, np.full(len(differences), 10.0))


def test_the_signed_rank_test_drops_zeros_and_gives_ties_their_average():
    bounds = ev.rosenbaum_bounds(of_differences(), outcome="y", gamma=1)
    left = DIFFERENCES[DIFFERENCES != 0]
    ranks = stats.rankdata(np.abs(left))
    statistic = ranks[left > 0].sum()
    assert (bounds.n_pairs, bounds.n_informative, bounds.statistic) == (12, 11, statistic)
    z = (statistic - ranks.sum() / 2) / np.sqrt((ranks**2).sum() / 4)
    np.testing.assert_allclose(bounds.tidy()[["p_low", "p_high"]].to_numpy()[0], stats.norm.sf(z), rtol=1e-12)


def test_without_hidden_bias_the_shift_is_the_median_of_pairwise_means():
    for n in (11, 12):
        row = ev.rosenbaum_bounds(of_differences(DIFFERENCES[:n]), outcome="y", gamma=1).tidy().iloc[0]
        walsh = [(DIFFERENCES[i] + DIFFERENCES[j]) / 2 for i, j in product(range(n), repeat=2) if i <= j]
        np.testing.assert_allclose([row["shift_low"], row["shift_high"]], np.median(walsh), rtol=1e-12)


def test_shifts_of_whole_answers_are_exact():
    rows = ev.rosenbaum_bounds(of_differences(np.array([0.0, 0, 0, 1, 1, -1, 0, 2])), outcome="y").tidy()
    assert set(rows["shift_low"]) | set(rows["shift_high"]) <= {-0.5, 0.0, 0.25, 0.5, 0.75, 1.0}


def test_bounds_widen_with_gamma_and_hold_the_estimate():
    rows = ev.rosenbaum_bounds(of_differences(), outcome="y", gamma=[1, 1.5, 3]).tidy()
    assert (rows["p_low"].diff().dropna() < 0).all()
    assert (rows["p_high"].diff().dropna() > 0).all()
    assert (rows["shift_low"].diff().dropna() < 0).all()
    assert (rows["shift_high"].diff().dropna() > 0).all()


def test_gamma_star_is_where_p_reaches_alpha():
    found = ev.rosenbaum_bounds(of_differences(), outcome="y")
    at = ev.rosenbaum_bounds(of_differences(), outcome="y", gamma=found.gamma_star).tidy()
    np.testing.assert_allclose(at["p_high"], 0.05, rtol=1e-8)
    assert f"{found.gamma_star:.2f}" in found.text("en")
    assert f"{found.gamma_star:.2f}배" in found.text("ko")


def test_where_nothing_is_clear_there_is_no_gamma_star():
    found = ev.rosenbaum_bounds(of_differences(np.array([1.0, -1.5, 2.0, -2.5])), outcome="y")
    assert np.isnan(found.gamma_star)
    assert "no clear difference" in found.text("en")


def test_the_other_alternative_is_the_mirror_image():
    less = ev.rosenbaum_bounds(of_differences(-DIFFERENCES), outcome="y", alternative="less").tidy()
    more = ev.rosenbaum_bounds(of_differences(), outcome="y").tidy()
    np.testing.assert_allclose(less[["p_low", "p_high"]], more[["p_low", "p_high"]])
    np.testing.assert_allclose(less["shift_low"], -more["shift_high"])


def test_mcnemar_counts_discordant_pairs():
    bounds = ev.rosenbaum_bounds(pairs([1, 1, 1, 0, 1, 0, 1], [0, 0, 0, 1, 1, 0, 0]), outcome="y", gamma=[1, 2])
    assert (bounds.test, bounds.statistic, bounds.n_informative) == ("mcnemar", 4, 5)
    expected = [stats.binom.sf(3, 5, p) for p in (1 / 2, 2 / 3)]
    np.testing.assert_allclose(bounds.tidy()["p_high"], expected, rtol=1e-12)


def test_bounds_read_in_both_languages_and_as_a_record():
    bounds = ev.rosenbaum_bounds(of_differences(), outcome="y")
    assert "감마" in repr(ev.table(bounds, lang="ko"))
    assert "highest p" in repr(ev.table(bounds, lang="en"))
    assert bounds.to_dict()["fit"]["n_informative"] == 11
    assert repr(bounds) == repr(ev.rosenbaum_bounds(of_differences(), outcome="y"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"gamma": 0.5}, "gamma must be a number of 1 or more, got 0.5. It is a factor"),
        ({"gamma": []}, "gamma must be a number or a list of numbers"),
        ({"test": "sign"}, "test must be one of"),
        ({"test": "mcnemar"}, "two levels"),
        ({"alternative": "two-sided"}, "alternative must be one of"),
        ({"alpha": 5}, "between 0 and 1"),
    ],
)
def test_wrong_arguments_are_refused(options, words):
    with pytest.raises(EstimationError, match=words):
        ev.rosenbaum_bounds(of_differences(), outcome="y", **options)


def test_matchings_without_plain_pairs_are_refused():
    frame = pd.DataFrame({"joined": [1, 1, 0, 0, 0, 0], "age": [30, 40, 31, 33, 42, 44], "y": [1.0, 2, 3, 4, 5, 6]})
    call = {"treatment": "joined", "covariates": ["age"], "distance": "age"}
    for options in ({"ratio": 2}, {"replacement": True}, {"method": "full"}):
        with pytest.raises(EstimationError, match="pairs of one and one"):
            ev.rosenbaum_bounds(ev.match(ev.survey_design(frame), **call, **options), outcome="y")
    with pytest.raises(EstimationError, match="needs matched pairs"):
        ev.rosenbaum_bounds(ev.survey_design(frame), outcome="y")


def test_pairs_that_never_differ_are_refused():
    with pytest.raises(EstimationError, match="nothing to test"):
        ev.rosenbaum_bounds(pairs([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]), outcome="y")
