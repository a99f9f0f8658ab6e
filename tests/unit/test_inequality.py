"""Gini, quintile share ratio and poverty rate: by hand, by their derivatives, by replicates, by simulation, refused."""

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, EstimationError
from evaluation.estimation.inequality import survey_arop, survey_gini, survey_qsr

TIGHT = 1e-12
VERBS = [survey_gini, survey_qsr, survey_arop]


def sample(n=600, seed=11):
    rng = np.random.default_rng(seed)
    columns = {
        "psu": np.repeat(np.arange(n // 10), 10),
        "w": rng.uniform(1, 5, n),
        "income": rng.lognormal(7, 0.7, n),
        "area": rng.choice(["a", "b"], n),
    }
    return pd.DataFrame(columns)


def design(frame=None):
    return ev.survey_design(sample() if frame is None else frame, weights="w", psu="psu")


def test_gini_is_half_the_mean_distance_over_the_mean():
    frame = sample(n=50)
    y, w = frame["income"].to_numpy(), frame["w"].to_numpy()
    distance = (w[:, None] * w * np.abs(y[:, None] - y)).sum() / w.sum() ** 2
    assert survey_gini(design(frame), "income").estimate == pytest.approx(
        distance / (2 * np.average(y, weights=w)), rel=TIGHT
    )


def test_gini_of_one_who_has_all_and_of_equals():
    frame = pd.DataFrame({"income": [0.0] * 9 + [5.0], "same": 3.0})
    assert survey_gini(ev.survey_design(frame), "income").estimate == pytest.approx(0.9, rel=TIGHT)
    equal = survey_gini(ev.survey_design(frame), "same")
    assert (equal.estimate[0], equal.std_error[0]) == pytest.approx((0.0, 0.0), abs=1e-15)


def test_quintile_shares_by_hand():
    frame = pd.DataFrame({"income": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 15.0]})
    assert survey_qsr(ev.survey_design(frame), "income").estimate == pytest.approx((9 + 15) / (1 + 2), rel=TIGHT)


def test_poverty_rate_by_hand_in_domains_at_the_threshold_of_all():
    frame = pd.DataFrame({"income": [1.0, 5.0, 6.0, 10.0, 20.0, 30.0, 40.0], "area": list("abababa")})
    rows = survey_arop(ev.survey_design(frame), "income", by="area").tidy()
    # The median is 10 and the threshold 6: 1 and 6 in a, 5 in b.
    assert rows["threshold"].tolist() == [6.0, 6.0]
    assert rows["estimate"].tolist() == [0.5, 1 / 3]
    assert rows["n_obs"].tolist() == [4, 3]
    other = survey_arop(ev.survey_design(frame), "income", quantile=0.9, share=0.5)
    assert other.tidy().loc[0, ["estimate", "threshold"]].tolist() == [5 / 7, 20.0]


def test_a_part_of_the_population_taken_out_has_a_threshold_of_its_own():
    frame = pd.DataFrame({"income": [1.0, 5.0, 6.0, 10.0, 20.0, 30.0, 40.0], "area": list("abababa")})
    part = ev.domain(ev.survey_design(frame), {"area": "b"})
    assert survey_arop(part, "income").tidy().loc[0, ["estimate", "threshold"]].tolist() == [1 / 3, 6.0]
    assert survey_arop(part, "income", share=0.4).tidy().loc[0, "estimate"] == 0.0


def test_the_influence_of_gini_is_its_derivative_in_the_weights():
    frame = sample(n=40)
    found = survey_gini(design(frame), "income", by="area")
    for i in (0, 9, 31):
        moved = []
        for step in (1e-5, -1e-5):
            w = frame["w"].to_numpy().copy()
            w[i] *= 1 + step
            moved.append(survey_gini(design(frame.assign(w=w)), "income", by="area").estimate)
        np.testing.assert_allclose(found.influence[i], (moved[0] - moved[1]) / 2e-5, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("verb", VERBS)
def test_contributions_are_the_influence_summed_by_sampling_unit(verb):
    one = design()
    found = verb(one, "income", by="area")
    sums = pd.DataFrame(found.influence).groupby(one.data["psu"].to_numpy()).sum().to_numpy()
    np.testing.assert_allclose(found.contributions, sums, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("verb", VERBS)
def test_influence_goes_through_the_weighting_chain(verb):
    frame = sample()
    totals = {"area": {"a": 1000.0, "b": 1400.0}}
    plain, final = design(frame), ev.poststratify(design(frame), totals)
    found, carried = verb(final, "income"), verb(plain, "income")
    assert found.std_error[0] != pytest.approx(carried.std_error[0], rel=1e-9)
    # Post-stratification takes each cell's weighted mean of the derivative off it.
    z = found.influence[:, 0]
    sums = pd.Series(z).groupby(frame["area"].to_numpy()).sum()
    np.testing.assert_allclose(sums, 0.0, atol=1e-12 * np.abs(z).max() * len(z))


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("by", [None, "area"])
def test_linearisation_agrees_with_the_bootstrap(verb, by):
    # The spread of 600 replicates is itself known to about 3 %; a bootstrap of quantiles is near, not equal.
    one = design(sample(n=3000, seed=2))
    linear = verb(one, "income", by=by)
    bootstrap = verb(ev.as_replicates(one, kind="bootstrap", replicates=600, seed=4), "income", by=by)
    assert bootstrap.estimate == pytest.approx(linear.estimate, rel=TIGHT)
    assert bootstrap.std_error == pytest.approx(linear.std_error, rel=0.12)


def test_linearised_gini_agrees_with_deleting_sampling_units():
    one = design(sample(n=2000, seed=2))
    linear, jackknife = (survey_gini(each, "income", by="area") for each in (one, ev.as_replicates(one, kind="JK1")))
    assert jackknife.std_error == pytest.approx(linear.std_error, rel=0.02)


@pytest.mark.parametrize("verb", VERBS)
def test_standard_errors_are_the_spread_over_samples(verb):
    rng = np.random.default_rng(7)
    estimates, errors = [], []
    for _ in range(400):
        income = rng.lognormal(0, 0.6, 500)
        found = verb(ev.survey_design(pd.DataFrame({"income": income})), "income")
        estimates.append(found.estimate[0])
        errors.append(found.std_error[0])
    # The spread of 400 estimates is itself known to about 3.5 %.
    assert np.mean(errors) == pytest.approx(np.std(estimates), rel=0.08)


@pytest.mark.parametrize("verb", VERBS)
def test_units_of_money_weights_and_the_order_of_rows_do_not_matter(verb):
    frame = sample()
    plain = verb(design(frame), "income", by="area")
    changed = frame.assign(income=frame["income"] / 1300, w=frame["w"] * 250).sample(frac=1.0, random_state=3)
    other = verb(design(changed), "income", by="area")
    np.testing.assert_allclose(other.estimate, plain.estimate, rtol=1e-10)
    np.testing.assert_allclose(other.std_error, plain.std_error, rtol=1e-8)


@pytest.mark.parametrize("verb", VERBS)
def test_replicates_are_evaluated_each(verb):
    frame = sample()
    one = ev.as_replicates(design(frame), kind="JK1")
    found = verb(one, "income", by="area")
    for r, weights in enumerate(one.replicate_weights()):
        if r in (0, 33):
            alone = verb(design(frame.assign(w=weights)), "income", by="area")
            assert found.contributions[r] == pytest.approx(alone.estimate, rel=TIGHT)


@pytest.mark.parametrize("verb", VERBS)
def test_numbers_of_two_groups_can_be_contrasted(verb):
    found = verb(design(), "income", by="area")
    gap = ev.contrast(found, {"b - a": {"income | area=b": 1, "income | area=a": -1}})
    v = found.vcov
    assert gap.std_error == pytest.approx(np.sqrt(v[0, 0] + v[1, 1] - 2 * v[0, 1]), rel=1e-9)


@pytest.mark.parametrize("verb", VERBS)
def test_a_domain_where_nobody_answered_has_no_number(verb):
    frame = sample()
    frame.loc[frame["area"] == "b", "income"] = np.nan
    rows = verb(design(frame), "income", by="area").tidy()
    assert rows["estimate"].notna().tolist() == [True, False]
    assert rows["std_error"].notna().tolist() == [True, False]
    assert rows["n_obs"].tolist()[1] == 0


def test_a_bandwidth_may_be_given_and_moves_the_error_only():
    plain, wide = (survey_arop(design(), "income", bandwidth=width) for width in (None, 2000.0))
    assert wide.estimate.tolist() == plain.estimate.tolist()
    assert wide.std_error[0] != plain.std_error[0]


def test_few_poor_are_marked_where_the_survey_shows_no_small_cells():
    frame = pd.DataFrame({"income": [1.0, *[10.0] * 20, 11.0]})
    assert survey_arop(ev.survey_design(frame), "income").cell_counts.tolist() == [1]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({"income": np.nan}, EstimationError, r"missing for every respondent"),
        ({"income": "text"}, ColumnError, r"'income' is text"),
    ],
)
def test_what_cannot_be_an_income_is_refused(verb, columns, error, message):
    with pytest.raises(error, match=message):
        verb(design(sample().assign(**columns)), "income")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: survey_gini(d, ["income", "w"]), r"takes one variable"),
        (lambda d: survey_gini(d, "debt"), r"'debt' is below zero in 600 of 600 rows"),
        (lambda d: survey_gini(d, "zero"), r"'zero' is zero for everybody"),
        (lambda d: survey_qsr(d, "poor"), r"the poorest fifth has nothing of 'poor'"),
        (lambda d: survey_arop(d, "one"), r"'one' is 1 for all 600 respondents"),
        (lambda d: survey_arop(d, "debt"), r"is -1, so a share of it is no threshold"),
        (lambda d: survey_arop(d, "income", quantile=50), r"quantile must lie between 0 and 1"),
        (lambda d: survey_arop(d, "income", share=0), r"share above 0"),
        (lambda d: survey_arop(d, "income", quantile="half"), r"got quantile='half'"),
        (lambda d: survey_arop(d, "income", bandwidth=-1), r"bandwidth, in units of the .* a number above 0, got -1"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(call, message):
    frame = sample()
    half = np.where(np.arange(600) % 2, 0.0, frame["income"])
    with pytest.raises(EstimationError, match=message):
        call(design(frame.assign(debt=-1.0, zero=0.0, one=1.0, poor=half)))


def test_rows_below_zero_are_handed_back():
    frame = sample()
    frame.loc[[3, 5], "income"] = -10.0
    with pytest.raises(EstimationError) as caught:
        survey_gini(design(frame), "income")
    assert caught.value.failures.index.tolist() == [3, 5]
