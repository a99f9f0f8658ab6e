"""Errors of matched differences by hand, and in designs with sampling units, weights and replicates."""

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import EstimationError

ESTIMATE = 1e-10

BY_AGE = {"treatment": "joined", "covariates": ["age"], "distance": "age"}


def close(ours, expected):
    np.testing.assert_allclose(ours, expected, rtol=ESTIMATE, atol=1e-12)


def four_pairs(**columns):
    frame = pd.DataFrame(
        {
            "joined": [1, 1, 1, 1, 0, 0, 0, 0, 0],
            "age": [30, 40, 50, 60, 31, 41, 51, 61, 90],
            "y": [5.0, 7, 6, 9, 4, 4, 5, 6, 50],
            "w": [1.0, 2, 3, 4, 9, 9, 9, 9, 9],
        }
    )
    return frame.assign(**columns)


def sample(seed=3, n=600):
    random = np.random.default_rng(seed)
    block = random.integers(0, 60, n)
    frame = pd.DataFrame({"block": block, "district": block // 15, "w": random.uniform(50, 150, n)})
    frame["age"] = random.normal(45, 10, n) + random.normal(0, 3, 60)[block]
    frame["joined"] = (random.uniform(size=n) < 1 / (1 + np.exp(1.2 - 0.04 * (frame["age"] - 45)))).astype(int)
    frame["y"] = 0.1 * frame["age"] + frame["joined"] + random.normal(0, 1, 60)[block] + random.normal(size=n)
    return frame


def test_pairs_are_clusters():
    effect = ev.matched_difference(ev.match(ev.survey_design(four_pairs()), **BY_AGE), outcome="y")
    difference = np.array([1.0, 3, 1, 3])
    # Of pairs, z sums to (d - mean) / 4: G/(G-1) (n-1)/(n-2) sum z^2, with G = 4 and n = 8.
    close(effect.std_error[0] ** 2, 4 / 3 * 7 / 6 * (((difference - 2) / 4) ** 2).sum())
    close(effect.estimate, [2, 6.75, 4.75])
    assert effect.df[0] == 3
    assert effect.variance_method == "matched pairs (CR1)"


def test_the_error_by_pairs_is_that_of_the_mean_difference_up_to_the_small_sample_factor():
    frame = sample()
    made = ev.match(ev.survey_design(frame), **BY_AGE)
    difference = frame["y"].to_numpy()[made.pairs["participant"]] - frame["y"].to_numpy()[made.pairs["comparison"]]
    n = 2 * len(difference)
    effect = ev.matched_difference(made, outcome="y")
    close(effect.estimate[0], difference.mean())
    close(effect.std_error[0], np.sqrt(difference.var(ddof=1) / len(difference) * (n - 1) / (n - 2)))


def test_abadie_and_imbens_by_hand():
    frame = pd.DataFrame(
        {"joined": [1, 1, 1, 0, 0, 0], "age": [30, 31, 50, 31, 52, 60], "y": [5.0, 8.0, 6.0, 4.0, 3.0, 9.0]}
    )
    made = ev.match(ev.survey_design(frame), **BY_AGE, replacement=True)
    # Partners: 3, 3, 4; effects 1, 4, 3 with mean 8/3. Row 3 serves twice: K(K-1) = 2 times its variance, from its
    # neighbour of the same group, row 4: (4 - 3)^2 / 2.
    expected = ((np.array([1.0, 4, 3]) - 8 / 3) ** 2).sum() + 2 * 0.5
    effect = ev.matched_difference(made, outcome="y")
    assert effect.variance_method == "Abadie-Imbens"
    close(effect.std_error[0] ** 2, expected / 9)
    close(effect.estimate[0], 8 / 3)
    # Two neighbours of row 3: rows 4 and 5, with mean 6: 2/3 (4 - 6)^2.
    two = ev.matched_difference(made, outcome="y", neighbours=2)
    close(two.std_error[0] ** 2, (((np.array([1.0, 4, 3]) - 8 / 3) ** 2).sum() + 2 * 2 / 3 * 4) / 9)


def test_abadie_and_imbens_without_replacement_is_the_variance_of_the_mean_difference():
    made = ev.match(ev.survey_design(four_pairs()), **BY_AGE)
    effect = ev.matched_difference(made, outcome="y", std_error="abadie_imbens")
    close(effect.std_error[0] ** 2, 4 * 1.0 / 16)


def test_abadie_and_imbens_count_survey_weights_and_ratios():
    made = ev.match(ev.survey_design(four_pairs(), weights="w"), **BY_AGE)
    effect = ev.matched_difference(made, outcome="y", std_error="abadie_imbens")
    weights, difference = np.array([1.0, 2, 3, 4]), np.array([1.0, 3, 1, 3])
    mean = np.average(difference, weights=weights)
    close(effect.estimate[0], mean)
    close(effect.std_error[0] ** 2, (weights**2 * (difference - mean) ** 2).sum() / 100)
    ratio = ev.matched_difference(made, outcome="y", measure="log_risk_ratio", std_error="abadie_imbens")
    ours, theirs = np.array([5.0, 7, 6, 9]), np.array([4.0, 4, 5, 6])
    means = np.average(ours, weights=weights), np.average(theirs, weights=weights)
    moved = (ours - means[0]) / means[0] - (theirs - means[1]) / means[1]
    close(ratio.std_error[0] ** 2, (weights**2 * moved**2).sum() / 100)
    close(ratio.estimate[0], np.log(means[0] / means[1]))


def test_with_replacement_the_default_error_covers_where_hc1_is_too_wide():
    random = np.random.default_rng(5)
    found = []
    for _ in range(60):
        x = random.normal(size=300)
        joined = (random.uniform(size=300) < 1 / (1 + np.exp(1 - 0.8 * x))).astype(int)
        frame = pd.DataFrame({"age": x, "joined": joined, "y": 2 * x + joined + random.normal(size=300)})
        made = ev.match(ev.survey_design(frame), **BY_AGE, replacement=True)
        default, plain = (ev.matched_difference(made, outcome="y", std_error=kind) for kind in (None, "HC1"))
        found.append([default.estimate[0], default.std_error[0], plain.std_error[0]])
    estimate, default, plain = np.array(found).T
    assert 0.75 < default.mean() / estimate.std(ddof=1) < 1.3
    assert plain.mean() > 1.4 * default.mean()


def test_where_every_respondent_is_a_unit_of_a_stratum_pairs_replace_respondents():
    frame = sample()
    made = ev.match(ev.survey_design(frame, strata="district"), **BY_AGE)
    own = ev.matched_difference(made, outcome="y", std_error="HC1")
    by_pairs = ev.matched_difference(made, outcome="y")
    plain = ev.match(ev.survey_design(frame), **BY_AGE)
    clustered = ev.matched_difference(plain, outcome="y").std_error[0]
    independent = ev.matched_difference(plain, outcome="y", std_error="HC1").std_error[0]
    assert by_pairs.variance_method == "taylor, matched pairs"
    # What pairs add does not depend on the strata, but for factors of n/(n-1).
    added = by_pairs.std_error[0] ** 2 - own.std_error[0] ** 2
    np.testing.assert_allclose(added, clustered**2 - independent**2, rtol=0.02)


def test_pairs_inside_sampling_units_add_nothing_to_the_design_s_variance():
    frame = sample()
    design = ev.survey_design(frame, weights="w", strata="district", psu="block", nested=True)
    inside = frame["joined"].groupby(frame["block"]).transform(lambda own: own.mean() < 0.5 and own.sum() > 0)
    kept = ev.domain(design, {"block": frame.loc[inside.astype(bool), "block"].unique().tolist()})
    made = ev.match(kept, **BY_AGE, exact="block")
    pairs, own = (ev.matched_difference(made, outcome="y", std_error=kind) for kind in ("pairs", "HC1"))
    close(pairs.vcov, own.vcov)
    assert pairs.df[0] == own.df[0]


def test_in_a_clustered_sample_pairs_give_the_spread_that_repeated_samples_have():
    found = []
    for seed in range(40):
        design = ev.survey_design(sample(seed), weights="w", strata="district", psu="block", nested=True)
        row = []
        for options in ({"caliper": 0.2}, {"replacement": True}):
            made = ev.match(design, **BY_AGE, **options)
            row += [ev.matched_difference(made, outcome="y").estimate[0]]
            row += [ev.matched_difference(made, outcome="y", std_error=kind).std_error[0] for kind in ("pairs", "HC1")]
        found.append(row)
    table = np.array(found)
    for first in (0, 3):
        spread, pairs, own = table[:, first].std(ddof=1), table[:, first + 1].mean(), table[:, first + 2].mean()
        assert 0.75 < pairs / spread < 1.3
        assert own > 1.2 * pairs


def test_with_replacement_all_who_share_a_partner_are_a_cluster():
    frame = pd.DataFrame({"joined": [1, 1, 1, 0, 0], "age": [30, 32, 50, 31, 52], "y": [5.0, 8.0, 6.0, 4.0, 3.0]})
    made = ev.match(ev.survey_design(frame), **BY_AGE, replacement=True)
    assert made.subclass.tolist() == [0, 0, 1, 0, 1]
    effect = ev.matched_difference(made, outcome="y", std_error="pairs")
    # Clusters sum effects less their mean: (1 + 4) - 2 * 8/3 and 3 - 8/3, over three participants; n = 5.
    close(effect.std_error[0] ** 2, 2 * 4 / 3 * ((1 / 3) ** 2 + (1 / 3) ** 2) / 9)


def test_the_design_s_variance_is_that_of_the_matched_weights():
    frame = sample()
    design = ev.survey_design(frame, weights="w", strata="district", psu="block", nested=True)
    made = ev.match(design, **BY_AGE)
    own = ev.matched_difference(made, outcome="y", std_error="HC1")
    plain = ev.survey_design(
        frame.assign(matched=made.weights), weights="matched", strata="district", psu="block", nested=True
    )
    expected = ev.group_difference(plain, outcome="y", treatment="joined")
    close(own.estimate, expected.estimate)
    close(own.vcov, expected.vcov)


def test_replicates_keep_the_matching_and_move_its_weights():
    frame = sample()
    design = ev.survey_design(frame, weights="w", strata="district", psu="block", nested=True)
    taylor = ev.matched_difference(ev.match(design, **BY_AGE), outcome="y", std_error="HC1")
    jackknife = ev.as_replicates(design, kind="JKn")
    refitted = ev.matched_difference(ev.match(jackknife, **BY_AGE), outcome="y", std_error="HC1")
    close(refitted.estimate, taylor.estimate)
    np.testing.assert_allclose(refitted.std_error, taylor.std_error, rtol=0.05)


def test_who_misses_the_outcome_leaves_with_the_partner():
    frame = four_pairs(y=[5.0, 7, 6, np.nan, 4, 4, 5, 6, 50])
    effect = ev.matched_difference(ev.match(ev.survey_design(frame), **BY_AGE), outcome="y")
    alone = ev.matched_difference(ev.match(ev.survey_design(frame.drop([3, 7])), **BY_AGE), outcome="y")
    close(effect.estimate, alone.estimate)
    close(effect.std_error, alone.std_error)
    assert effect.fit["n_left_out"] == 2
    assert effect.n_obs.tolist() == [6, 3, 3]


def test_of_several_partners_the_others_take_the_share_of_who_misses_the_outcome():
    frame = pd.DataFrame({"joined": [1, 0, 0], "age": [30, 31, 32], "y": [5.0, np.nan, 3.0]})
    design = ev.survey_design(pd.concat([frame, frame.assign(y=[6.0, 2.0, 1.0], age=[60, 61, 62])], ignore_index=True))
    effect = ev.matched_difference(ev.match(design, **BY_AGE, ratio=2), outcome="y")
    close(effect.estimate, [5.5 - (3 + 1.5) / 2, 5.5, 2.25])


def test_matching_has_no_influence_and_cannot_be_contrasted_with_others():
    design = ev.survey_design(sample())
    matched = ev.matched_difference(ev.match(design, **BY_AGE), outcome="y")
    raw = ev.group_difference(design, outcome="y", treatment="joined")
    assert matched.influence is None
    with pytest.raises(EstimationError):
        ev.contrast([matched, raw], {"gap": {matched.addresses()[0]: 1, raw.addresses()[0]: -1}})


def test_a_saturated_exact_matching_is_the_weighting_by_propensity():
    frame = sample()
    frame["old"] = (frame["age"] > 45).astype(int)
    design = ev.survey_design(frame, weights="w")
    made = ev.match(design, treatment="joined", covariates=["old"], method="exact", weights="own")
    weighting = ev.ipw(design, outcome="y", treatment="joined", covariates=["old"])
    np.testing.assert_allclose(ev.matched_difference(made, outcome="y").estimate, weighting.estimate, rtol=1e-8)


@pytest.mark.parametrize(
    ("matching", "options", "words"),
    [
        ({"replacement": True, "ratio": 2}, {"std_error": "pairs"}, "sets that share nobody"),
        ({"method": "full"}, {"std_error": "abadie_imbens"}, "for nearest neighbours"),
        ({}, {"std_error": "robust"}, "must be one of"),
        ({}, {"std_error": "abadie_imbens", "neighbours": 0}, "whole number of 1 or more"),
        ({"replacement": True}, {"neighbours": 10_000}, "too few for 10000 neighbours"),
        ({}, {"measure": "ratio"}, "measure"),
    ],
)
def test_errors_that_a_matching_does_not_have_are_refused(matching, options, words):
    made = ev.match(ev.survey_design(sample()), **BY_AGE, **matching)
    with pytest.raises(EstimationError, match=words):
        ev.matched_difference(made, outcome="y", **options)


def test_abadie_and_imbens_refuse_designs_whose_respondents_are_not_independent():
    design = ev.survey_design(sample(), weights="w", strata="district", psu="block", nested=True)
    with pytest.raises(EstimationError, match="takes respondents as independent"):
        ev.matched_difference(ev.match(design, **BY_AGE), outcome="y", std_error="abadie_imbens")
    own = ev.match(ev.survey_design(sample(), weights="w"), **BY_AGE, weights="own")
    with pytest.raises(EstimationError, match="weights='participant'"):
        ev.matched_difference(own, outcome="y", std_error="abadie_imbens")


def test_an_outcome_of_one_group_only_is_refused():
    frame = four_pairs(y=[5.0, 7, 6, 9] + [np.nan] * 5)
    with pytest.raises(EstimationError, match="asked of one group only"):
        ev.matched_difference(ev.match(ev.survey_design(frame), **BY_AGE), outcome="y")
    apart = four_pairs(y=[5.0, np.nan, np.nan, np.nan, np.nan, 4, 5, 6, 50])
    with pytest.raises(EstimationError, match="in no pair or matched set"):
        ev.matched_difference(ev.match(ev.survey_design(apart), **BY_AGE), outcome="y")


def test_a_design_is_no_matching():
    with pytest.raises(EstimationError, match=r"Match first: ev\.match"):
        ev.matched_difference(ev.survey_design(sample()), outcome="y")


def test_a_matched_difference_reads_in_both_languages():
    made = ev.matched_difference(ev.match(ev.survey_design(four_pairs()), **BY_AGE), outcome="y")
    assert "짝지은 집단의 차이" in repr(ev.table(made, lang="ko"))
    assert "Difference of matched groups" in repr(ev.table(made, lang="en"))


@pytest.mark.parametrize("options", [{}, {"replacement": True}, {"method": "full"}, {"method": "subclass"}])
def test_scale_of_weights_units_of_covariates_and_coding_of_participation_change_nothing(options):
    frame = sample().assign(sex=lambda data: np.where(data["block"] % 2 == 0, "f", "m"))
    call = {"covariates": ["age", "sex"], "distance": "logit", **options}
    plain = ev.match(ev.survey_design(frame, weights="w"), treatment="joined", **call)
    changed = frame.assign(
        w=frame["w"] * 1e6,
        age=frame["age"] * 1000 - 7,
        sex=frame["sex"].map({"f": "x", "m": "a"}),
        took_part=frame["joined"].map({0: "no", 1: "yes"}),
    )
    other = ev.match(ev.survey_design(changed, weights="w"), treatment="took_part", **call)
    np.testing.assert_allclose(other.weights, plain.weights * 1e6, rtol=1e-9)
    ours, theirs = (ev.matched_difference(made, outcome="y") for made in (plain, other))
    np.testing.assert_allclose(theirs.estimate, ours.estimate, rtol=1e-9)
    np.testing.assert_allclose(theirs.std_error, ours.std_error, rtol=1e-8)
