"""Sets under violations of parallel trends: against programmes solved one by one, in coverage, and on bad input."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

import evaluation as ev
from evaluation.errors import EstimationError, IdentificationError, PublishError

BETA = np.array([0.02, 0.05, -0.03, 0.20, 0.31, 0.24])
TIMES = [-4, -3, -2, 0, 1, 2]
#: Ends of sets are found to 1e-7 standard errors.
END = 1e-5


def covariance(seed=1, k=6, size=0.04):
    drawn = np.random.default_rng(seed).standard_normal((60, k)) + np.random.default_rng(seed + 1).standard_normal(
        (60, 1)
    )
    return size**2 * np.cov(drawn.T)


def path(beta=BETA, vcov=None, times=TIMES, **options):
    return ev.event_path(beta, covariance(k=len(beta)) if vcov is None else vcov, times, **options)


def ends(made):
    return made.tidy()[["conf_low", "conf_high"]].to_numpy()


# One test at a time, each a linear programme: what corners of the dual must agree with.


def steps_matrix():
    whole = np.diff(np.eye(7), axis=0)
    return np.delete(whole, 3, axis=1)


def pieces(size, sign=None, shape=None):
    first = steps_matrix()
    after, further = first[3:], np.zeros((0, 6))
    if sign == "positive":
        further = -np.eye(6)[3:]
    if shape == "decreasing":
        further = np.vstack([further, after])
    return [
        np.vstack([after - size * s * lead, -after - size * s * lead, further]) for lead in first[:3] for s in (1, -1)
    ]


def program(y, spread, nuisance):
    """Return the largest g'y over g >= 0, g'spread = 1, g'nuisance = 0, and its g."""
    equal = np.vstack([spread, nuisance.T])
    made = optimize.linprog(-y, A_eq=equal, b_eq=np.append(1.0, np.zeros(nuisance.shape[1])), method="highs-ds")
    assert made.status == 0
    return -made.fun, made.x


def accepted_by_programme(matrix, vcov, target, weights, alpha):
    after = matrix[:, 3:]
    nuisance = after @ np.linalg.svd(weights[None, :])[2][1:].T
    y = matrix @ BETA - after @ weights / (weights @ weights) * target
    sigma = matrix @ vcov @ matrix.T
    spread = np.sqrt(np.diag(sigma))
    top, corner = program(y, spread, nuisance)
    variance = corner @ sigma @ corner
    direction = sigma @ corner / variance
    rest = y - direction * top

    def is_same(value):
        return program(rest + direction * value, spread, nuisance)[0] <= value + 1e-9

    low, high = edge(is_same, top, -1), edge(is_same, top, 1)
    sd = np.sqrt(variance)
    bound = stats.truncnorm.ppf(1 - alpha, low / sd, high / sd)
    return top / sd <= max(0.0, bound)


def edge(is_same, inside, direction):
    step = 1e-3
    while is_same(inside + direction * step):
        step *= 4
        if step > 50:
            return direction * np.inf
    near, far = 0.0, step
    for _ in range(30):
        middle = (near + far) / 2
        near, far = (middle, far) if is_same(inside + direction * middle) else (near, middle)
    return inside + direction * near


@pytest.mark.parametrize("assumed", [{}, {"sign": "positive"}, {"sign": "positive", "shape": "decreasing"}])
def test_sets_end_where_programmes_solved_one_by_one_begin_to_reject(assumed):
    vcov, weights = covariance(), np.array([0.5, 0.25, 0.25])
    made = ev.honest_did(
        path(vcov=vcov), bounds=1, target=weights, method="Conditional", breakdown=False, conf_level=0.9, **assumed
    )
    low, high = ends(made)[1]
    tests = pieces(1.0, **assumed)
    for inside, outside in ((low + END, low - END), (high - END, high + END)):
        assert any(accepted_by_programme(matrix, vcov, inside, weights, 0.1) for matrix in tests)
        assert not any(accepted_by_programme(matrix, vcov, outside, weights, 0.1) for matrix in tests)


# Fixed length.


@pytest.mark.parametrize("size", [0.0, 0.01, 0.05, 0.5])
def test_fixed_length_interval_is_as_short_as_any_combination_of_leads(size):
    vcov = covariance(4)
    made = ends(ev.honest_did(path(vcov=vcov), restriction="smoothness", bounds=size, target=1, breakdown=False))[1]
    bends = np.delete(np.diff(np.eye(7), n=2, axis=0), 3, axis=1)

    def half(two):
        whole = np.array([two[0], two[1], 2 - 3 * two[0] - 2 * two[1], 0, 1, 0])  # takes a linear trend out
        assert whole @ np.array([-3, -2, -1, 1, 2, 3]) == pytest.approx(0, abs=1e-9)
        weight = np.linalg.lstsq(bends.T, whole, rcond=None)[0]
        bias, error = size * np.abs(weight).sum(), np.sqrt(whole @ vcov @ whole)
        return error * np.sqrt(stats.ncx2.ppf(0.95, 1, (bias / error) ** 2)) if bias else error * stats.norm.ppf(0.975)

    best = min(
        optimize.minimize(
            half, start, method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-13, "maxiter": 8000}
        ).fun
        for start in ([0, 0], [0.5, -0.5], [-0.5, 1])
    )
    ours = (made[1] - made[0]) / 2
    assert ours == pytest.approx(best, rel=1e-6)


def test_a_trend_in_everything_moves_no_fixed_length_interval_but_does_move_the_others():
    trend = 0.1 * np.array([-3, -2, -1, 1, 2, 3])
    plain, bent = ({"restriction": "smoothness", "bounds": 0.02, "breakdown": False} for _ in range(2))
    np.testing.assert_allclose(
        ends(ev.honest_did(path(BETA + trend), **bent))[1], ends(ev.honest_did(path(), **plain))[1]
    )
    assert not np.allclose(ends(ev.honest_did(path(BETA + trend)))[1:], ends(ev.honest_did(path()))[1:])


# What must hold of any sets.


def test_without_violations_the_set_is_the_original_interval():
    made = ends(ev.honest_did(path(), bounds=0, breakdown=False))
    error = np.sqrt(covariance()[3, 3])
    np.testing.assert_allclose(made[1], made[0], atol=2e-3 * error)
    np.testing.assert_allclose(made[0], BETA[3] + stats.norm.ppf([0.025, 0.975]) * error)


@pytest.mark.parametrize("options", [{}, {"linear_trend": True}, {"restriction": "smoothness"}])
def test_sets_grow_with_the_violations_allowed(options):
    made = ends(ev.honest_did(path(), bounds=[0.1, 0.2, 0.5, 1, 2, 4], breakdown=False, **options))[1:]
    assert (np.diff(made[:, 0]) <= END).all()
    assert (np.diff(made[:, 1]) >= -END).all()


@pytest.mark.parametrize("options", [{}, {"restriction": "smoothness"}, {"sign": "negative"}])
def test_the_unit_of_the_outcome_and_the_order_of_rows_change_nothing(options):
    sizes = np.array([0.0, 0.3, 1.0])
    smooth = options.get("restriction") == "smoothness"
    here = ends(ev.honest_did(path(), bounds=sizes, breakdown=False, **options))
    turned = np.array([5, 2, 0, 4, 1, 3])
    there = ev.event_path(1000 * BETA[turned], 1e6 * covariance()[np.ix_(turned, turned)], np.array(TIMES)[turned])
    scaled = ends(ev.honest_did(there, bounds=1000 * sizes if smooth else sizes, breakdown=False, **options))
    np.testing.assert_allclose(scaled / 1000, here, atol=1e-6)


def test_a_mirrored_path_has_mirrored_sets():
    here = ends(ev.honest_did(path(), sign="positive", breakdown=False))
    there = ends(ev.honest_did(path(-BETA), sign="negative", breakdown=False))
    np.testing.assert_allclose(here, -there[:, ::-1], atol=END)


def test_assuming_the_sign_of_the_bias_leaves_no_larger_set():
    """Not at every size: where it adds little, a further inequality costs more than it tells."""
    free, signed = (ends(ev.honest_did(path(), bounds=[1, 2], sign=s, breakdown=False))[1:] for s in (None, "positive"))
    assert (np.diff(signed) < np.diff(free)).all()


def test_one_lead_and_one_effect_are_enough():
    made = ev.honest_did(path([0.1, 1.0], [[0.04, 0.01], [0.01, 0.09]], [-2, 0]), bounds=[0, 1])
    assert (np.diff(ends(made)[1:, 1] - ends(made)[1:, 0]) > 0).all()


def test_wide_sets_widen_the_search_instead_of_touching_it():
    loud = path([3.0, -3.0, 2.0, 0.2, 0.3, 0.2], 1e-4 * np.eye(6))
    low, high = ends(ev.honest_did(loud, bounds=20, breakdown=False))[1]
    assert high - low > 2 * 20 * 5.9
    assert np.isfinite([low, high]).all()


def test_sets_hold_the_truth_where_violations_are_as_large_as_allowed():
    """At the edge of what Mbar = 1 allows: the set covers in at least its share of samples, the original does not."""
    bias = 0.06 * np.array([-1.0, 0.0, 1.0, -1.0, -2.0, -3.0]) * np.array([1, 1, -1, -1, -1, -1])
    truth, vcov = np.array([0, 0, 0, 0.3, 0.3, 0.3]), covariance(3, size=0.03)
    draws = np.random.default_rng(7).multivariate_normal(truth + bias, vcov, size=300)
    held = np.array([ends(ev.honest_did(path(b, vcov), bounds=1, breakdown=False)) for b in draws])
    covers = ((held[:, :, 0] <= 0.3) & (held[:, :, 1] >= 0.3)).mean(axis=0)
    assert covers[1] >= 0.95 - 2 * np.sqrt(0.95 * 0.05 / 300)
    assert covers[0] < 0.9


def test_a_set_is_empty_where_the_leads_contradict_the_assumption():
    """A straight line through a falling lead falls on, which a bias that never falls cannot."""
    falling = path([1.0, 0.5], 1e-3 * np.eye(2), [-2, 0])
    made = ev.honest_did(falling, restriction="smoothness", shape="increasing", bounds=0, breakdown=False)
    row = made.tidy().iloc[1]
    assert np.isnan([row["conf_low"], row["conf_high"]]).all()
    assert (row["parts"], row["holds_null"]) == (0, False)
    assert "the data reject the assumption" in repr(ev.table(made, lang="en"))


# Breakdown.


@pytest.mark.parametrize("options", [{}, {"restriction": "smoothness"}, {"target": "average"}])
def test_breakdown_value_parts_sets_without_zero_from_sets_with_it(options):
    found = ev.breakdown_value(path(), **options)
    made = ev.honest_did(path(), bounds=[found.low, found.high], breakdown=False, **options).tidy()
    assert made["holds_null"].tolist()[1:] == [False, True]
    assert 0 < found.high - found.low <= 1e-4 * found.high
    assert ev.honest_did(path(), **options).breakdown.value == found.value


def test_breakdown_value_of_no_effect_is_zero_and_of_a_huge_one_infinite():
    none = ev.breakdown_value(path(BETA * np.array([1, 1, 1, 0.1, 0.1, 0.1])))
    assert (none.value, none.low) == (0, 0)
    assert "without any violation" in none.text("en")
    huge = ev.breakdown_value(path(np.append(BETA[:3], [900.0, 900, 900])))
    assert np.isinf(huge.value)
    assert np.isinf(huge.high)
    assert huge.shown() == "> 32"
    assert "32" in huge.text("ko")


def test_breakdown_value_of_another_null_is_smaller_when_that_is_nearer():
    assert ev.breakdown_value(path(), null=0.08).value < ev.breakdown_value(path()).value


# Targets.


def test_targets_by_name_time_and_weight_are_the_same_effect():
    one = [ends(ev.honest_did(path(), target=t, breakdown=False)) for t in ("first", 0, {0: 1.0}, [1, 0, 0])]
    for other in one[1:]:
        np.testing.assert_array_equal(one[0], other)
    average = [ends(ev.honest_did(path(), target=t, breakdown=False)) for t in ("average", [1 / 3] * 3)]
    np.testing.assert_allclose(*average)


def test_with_anticipation_the_first_treated_period_is_event_time_zero():
    made = ev.honest_did(path(times=[-5, -4, -3, -1, 0, 1], reference=-2), breakdown=False)
    assert made.tidy().loc[0, "estimate"] == pytest.approx(BETA[4])


# Power of the test of leads.


def test_power_with_independent_leads_is_a_product():
    vcov, slope = np.diag(covariance().diagonal()), 0.03
    made = ev.pretrend_power(path(vcov=vcov), slope=slope).tidy().query("pretest == 'individual'").iloc[0]
    shift = slope * np.array([3, 2, 1]) / np.sqrt(vcov.diagonal()[:3])
    passing = stats.norm.cdf(stats.norm.ppf(0.975) - shift) - stats.norm.cdf(stats.norm.ppf(0.025) - shift)
    assert made["power"] == pytest.approx(1 - passing.prod(), abs=1e-4)
    assert made["bayes_factor"] == pytest.approx(passing.prod() / 0.95**3, rel=1e-3)


@pytest.mark.parametrize("pretest", ["individual", "wald"])
def test_means_after_passing_are_those_of_simulated_paths(pretest):
    made = ev.pretrend_power(path(), power=0.6)
    events = made.events.query("pretest == @pretest and event_time != -1")
    vcov, delta = covariance(), events["violation"].to_numpy()
    draws = np.random.default_rng(2).multivariate_normal(delta, vcov, size=200_000)
    leads = draws[:, :3]
    if pretest == "individual":
        passed = (np.abs(leads) <= stats.norm.ppf(0.975) * np.sqrt(vcov.diagonal()[:3])).all(axis=1)
    else:
        wald = np.einsum("ij,jk,ik->i", leads, np.linalg.inv(vcov[:3, :3]), leads)
        passed = wald <= stats.chi2.ppf(0.95, 3)
    assert passed.mean() == pytest.approx(0.4, abs=0.005)
    error = np.sqrt(vcov.diagonal() / passed.sum())
    assert (np.abs(draws[passed].mean(axis=0) - events["mean_after_passing"]) < 5 * error).all()


# From people to sets.


@pytest.fixture(scope="module")
def people():
    rng, rows = np.random.default_rng(5), []
    for place in range(16):
        first = 2014 if place < 8 else 0
        for year in range(2010, 2017):
            shock = 0.15 * rng.standard_normal()
            y = shock + 0.4 * (0 < first <= year) + rng.standard_normal(12)
            rows.append(pd.DataFrame({"place": place, "year": year, "first": first, "y": y}))
    answers = pd.concat(rows, ignore_index=True)
    return ev.panel(ev.survey_design(answers, weights=None), time="year")


def test_event_study_of_people_gives_sets_with_its_jackknife_covariance(people):
    effects = ev.event_study(people, outcome="y", cohort="first", cluster="place")
    made = ev.honest_did(effects)
    assert made.path.times.tolist() == [-4, -3, -2, 0, 1, 2]
    assert (made.path.reference, made.path.n_clusters, made.path.vcov_rule) == (-1, 16, "jackknife")
    first = effects.take(np.flatnonzero(effects.keys["event_time"] == 0))
    normal = first.estimate[0] + stats.norm.ppf([0.025, 0.975]) * first.std_error[0]
    np.testing.assert_allclose(ends(made)[0], normal)
    assert "16" in " ".join(made.layout("en")[1])
    assert ev.pretrend_power(effects).tidy()["slope"].gt(0).all()
    assert ev.breakdown_value(effects, target="average").path.outcome == "y"


def test_leads_may_be_left_out_and_what_is_left_must_still_be_a_path(people):
    effects = ev.event_study(people, outcome="y", cohort="first", cluster="place")
    assert ev.honest_did(effects, min_e=-3, breakdown=False).path.times.tolist() == [-3, -2, 0, 1, 2]
    assert ev.pretrend_power(effects, max_e=0).path.times.tolist() == [-4, -3, -2, 0]
    with pytest.raises(IdentificationError, match="no lead before"):
        ev.breakdown_value(effects, min_e=-1)


def test_effects_by_imputation_are_refused_since_their_leads_have_another_base(people):
    effects = ev.imputation_did(people, outcome="y", cohort="first", type="dynamic", pretrends=2, place="place")
    with pytest.raises(EstimationError, match="those of an imputation are not"):
        ev.honest_did(effects)


def test_small_bases_are_neither_shown_nor_drawn():
    made = ev.honest_did(replace(path(), mark="[u]"))
    assert made.tidy()[["conf_low", "conf_high", "estimate"]].isna().all(axis=None)
    assert set(made.tidy()["mark"]) == {"[u]"}
    assert "[u]" in repr(ev.table(made, lang="en"))
    for result in (made, ev.pretrend_power(replace(path(), mark="[u]"))):
        with pytest.raises(PublishError, match="too few respondents"):
            ev.plot(result)


@pytest.mark.parametrize("lang", ["ko", "en"])
def test_figures_show_sets_breakdown_and_trends_and_are_the_same_every_time(lang):
    made, power = ev.honest_did(path()), ev.pretrend_power(path())
    drawn = ev.plot(made, lang=lang)
    assert drawn.png() == ev.plot(ev.honest_did(path()), lang=lang).png()
    axes = drawn.figure.axes[0]
    dashed = [line for line in axes.lines if line.get_xdata()[0] == made.breakdown.value]
    assert len(dashed) == 1
    segments = np.vstack([bar.get_segments()[0][:, 1] for bar in axes.collections])
    np.testing.assert_allclose(segments, ends(made))
    assert len(drawn.data) == 4
    trends = ev.plot(power, lang=lang)
    lines = [line.get_ydata() for line in trends.figure.axes[0].lines]
    last = power.events.query("pretest == 'individual'").tail(7)
    assert any(len(y) == 7 and np.allclose(y, last["violation"]) for y in lines)
    assert any(len(y) == 7 and np.allclose(y, last["mean_after_passing"]) for y in lines)


def test_varying_base_is_refused_with_the_reason(people):
    effects = ev.event_study(people, outcome="y", cohort="first", cluster="place", base_period="varying")
    with pytest.raises(EstimationError, match="base_period='universal'"):
        ev.honest_did(effects)


def test_effects_that_are_no_event_study_are_refused(people):
    effects = ev.aggregate(ev.att_gt(people, outcome="y", cohort="first"), type="group")
    with pytest.raises(EstimationError, match="by event time, got estimates of aggregate"):
        ev.honest_did(effects)
    with pytest.raises(EstimationError, match="got float"):
        ev.pretrend_power(0.3)


# Bad input.


def test_variances_that_are_missing_or_not_positive_are_named():
    vcov = covariance()
    vcov[5, :] = vcov[:, 5] = np.nan
    with pytest.raises(EstimationError, match=r"no positive variance \(2\)") as caught:
        path(vcov=vcov)
    assert caught.value.failures["event_time"].tolist() == [2]
    vcov = covariance()
    vcov[0, 0] = -1.0
    with pytest.raises(EstimationError, match=r"no positive variance \(-4\)"):
        path(vcov=vcov)


def test_singular_covariances_are_refused():
    drawn = np.random.default_rng(0).standard_normal((4, 6))
    with pytest.raises(EstimationError, match="singular"):
        path(vcov=drawn.T @ drawn)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"times": [-4, -3, -2, 0, 1, 3]}, "evenly spaced"),
        ({"times": [-4, -3, -3, 0, 1, 2]}, "evenly spaced"),
        ({"beta": BETA[:5]}, "shapes"),
        ({"vcov": np.eye(5)}, "shapes"),
        ({"vcov": covariance() + np.triu(np.ones((6, 6)), 1)}, "not symmetric"),
    ],
)
def test_paths_that_contradict_themselves_are_refused(change, message):
    with pytest.raises(EstimationError, match=message):
        path(**{"vcov": covariance(), **change})


def test_paths_without_leads_or_effects_are_refused():
    with pytest.raises(IdentificationError, match="no lead before"):
        path(BETA[:3], times=[0, 1, 2])
    with pytest.raises(IdentificationError, match="no effect after"):
        path(BETA[:3], times=[-4, -3, -2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"restriction": "smooth"}, "restriction must be one of"),
        ({"method": "FLCI"}, "fixed length ignores what the leads say"),
        ({"method": "FLCI", "restriction": "smoothness", "sign": "positive"}, "fixed length"),
        ({"method": "ARP"}, "method must be one of"),
        ({"restriction": "smoothness", "linear_trend": True}, "linear trend already"),
        ({"sign": "up"}, "sign must be one of"),
        ({"shape": 1}, "shape must be one of"),
        ({"bounds": -1}, "0 and above"),
        ({"bounds": "one"}, "bounds must be a number or a list"),
        ({"target": "last"}, "target must be"),
        ({"target": 7}, "event time 7 is not among"),
        ({"target": [1, 2]}, "3 weights are needed"),
        ({"target": [0, 0, 0]}, "3 weights are needed"),
        ({"conf_level": 95}, "between 0 and 1"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(EstimationError, match=message):
        ev.honest_did(path(), **options)


def test_more_corners_than_can_be_tested_are_refused_with_what_to_leave_out():
    many = path(np.full(11, 0.2), np.eye(11), [-4, -3, -2, *range(8)])
    with pytest.raises(EstimationError, match="Use target='first', cut effects with max_e"):
        ev.honest_did(many, target="average", sign="positive", shape="increasing")
    assert len(ends(ev.honest_did(many, sign="positive", shape="increasing", bounds=1, breakdown=False))) == 2


def test_a_trend_needs_two_leads():
    with pytest.raises(IdentificationError, match="two leads"):
        ev.honest_did(path([0.1, 1.0], np.eye(2), [-2, 0]), linear_trend=True)


@pytest.mark.parametrize("power", [0.1, 1.0, 80])
def test_powers_that_no_trend_has_are_refused(power):
    with pytest.raises(EstimationError, match="between the size of the test"):
        ev.pretrend_power(path(), power=power)


# Words.


@pytest.mark.parametrize("lang", ["ko", "en"])
def test_tables_and_sentences_are_in_the_language(lang):
    for made in (ev.honest_did(path()), ev.breakdown_value(path(), sign="positive"), ev.pretrend_power(path())):
        shown = ev.table(made, lang=lang)
        assert not shown.frame.empty
        text = made.text(lang) + shown.title + "".join(map(str, shown.frame.columns))
        assert any("가" <= letter <= "힣" for letter in text) == (lang == "ko")
        assert made.to_dict()["rows"]
        assert "_" not in made.text(lang)


def test_results_read_the_same_every_time():
    for verb in (ev.honest_did, ev.pretrend_power):
        one, other = verb(path()), verb(path())
        assert repr(one) == repr(other)
        assert one._repr_html_() == other._repr_html_()
