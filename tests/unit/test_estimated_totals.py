"""Calibration to totals that another sample estimated: what their error adds, by hand, by simulation, by contrast."""

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import DesignError, WeightingError

EXACT = 1e-9


def people(seed=4, n=200, mean=50.0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "psu": np.arange(n) // 4,
            "sex": rng.choice(["f", "m"], n),
            "area": rng.choice(["a", "b"], n),
            "x": rng.normal(mean, 10, n),
            "w": rng.uniform(8, 12, n),
        }
    )
    frame["y"] = 2 + 0.5 * frame["x"] + 3 * (frame["sex"] == "f") + rng.normal(0, 4, n)
    return frame


def small():
    return ev.survey_design(people(), weights="w", psu="psu")


def large():
    frame = people(seed=9, n=1200, mean=51.0)
    return ev.survey_design(frame.assign(w=frame["w"] / 6), weights="w", psu="psu")


def test_the_variance_grows_by_the_totals_own_error():
    benchmark = ev.survey_total(large(), "x")
    design = ev.calibrate(small(), totals_from=benchmark)
    fixed = ev.calibrate(small(), {"x": benchmark.estimate[0]})
    np.testing.assert_allclose(design.weights, fixed.weights, rtol=1e-14)
    ours, known = (ev.survey_total(one, "y") for one in (design, fixed))
    # A ratio-like estimator with one auxiliary: the slope of y on x carries the benchmark's error.
    frame = people()
    slope = (frame["w"] * frame["x"] * frame["y"]).sum() / (frame["w"] * frame["x"] ** 2).sum()
    expected = known.vcov[0, 0] + slope**2 * benchmark.vcov[0, 0]
    assert ours.vcov[0, 0] == pytest.approx(expected, rel=EXACT)
    assert ours.std_error[0] > 1.05 * known.std_error[0]


def test_the_estimated_total_itself_has_its_own_error_and_nothing_else():
    benchmark = ev.survey_total(large(), ["sex"])
    design = ev.calibrate(small(), totals_from=benchmark)
    again = ev.survey_total(design, "sex")
    np.testing.assert_allclose(again.estimate, benchmark.estimate, rtol=1e-12)
    np.testing.assert_allclose(again.vcov, benchmark.vcov, rtol=1e-8)


@pytest.mark.parametrize("distance", ["linear", "raking"])
def test_its_derivative_in_the_totals_is_the_numerical_one(distance):
    frame = people()
    totals = {"total": frame["w"].sum() * 1.02, "x": (frame["w"] * frame["x"]).sum() * 1.04}
    vcov = pd.DataFrame([[400.0, 9000.0], [9000.0, 1e6]], index=["total", "x"], columns=["total", "x"])

    def moved(**changes):
        design = ev.calibrate(small(), {**totals, **changes}, distance=distance)
        return ev.survey_mean(design, ["y"], by="sex").estimate

    step = {"total": 1.0, "x": 50.0}
    slopes = np.column_stack(
        [(moved(**{name: totals[name] + h}) - moved(**{name: totals[name] - h})) / (2 * h) for name, h in step.items()]
    )
    known = ev.survey_mean(ev.calibrate(small(), totals, distance=distance), "y", by="sex")
    ours = ev.survey_mean(ev.calibrate(small(), totals, distance=distance, vcov=vcov), "y", by="sex")
    np.testing.assert_allclose(ours.vcov - known.vcov, slopes @ vcov.to_numpy() @ slopes.T, rtol=1e-5)


def test_the_error_goes_through_the_steps_that_follow():
    frame = people()
    size = frame["w"].sum()
    benchmark = ev.survey_total(large(), "x")
    sex = {"sex": {"f": 0.55 * size, "m": 0.45 * size}}

    def chain(value=None):
        first = ev.calibrate(small(), totals_from=benchmark) if value is None else ev.calibrate(small(), {"x": value})
        return ev.calibrate(ev.rake(first, sex), {"total": size, "area": {"a": 0.4 * size, "b": 0.6 * size}}, ridge=2.0)

    h = benchmark.estimate[0] * 1e-5
    above, below = (ev.survey_mean(chain(benchmark.estimate[0] + move), "y").estimate for move in (h, -h))
    slope = (above - below) / (2 * h)
    ours, known = ev.survey_mean(chain(), "y"), ev.survey_mean(chain(benchmark.estimate[0]), "y")
    np.testing.assert_allclose(ours.vcov - known.vcov, slope**2 * benchmark.vcov, rtol=1e-4)


def test_domain_contrasts_share_the_error_of_the_totals():
    benchmark = ev.survey_total(large(), "x")
    design = ev.calibrate(small(), totals_from=benchmark)
    means = ev.survey_mean(design, "y", by="sex")
    gap = ev.contrast(means, {"gap": {"y | sex=f": 1, "y | sex=m": -1}})
    assert gap.vcov[0, 0] == pytest.approx(np.array([1, -1]) @ means.vcov @ np.array([1, -1]), rel=EXACT)
    apart = [ev.survey_mean(ev.domain(design, {"sex": sex}), "y") for sex in ("f", "m")]
    joint = ev.contrast([means, *apart[:1]], {"none": {"y": 1, "y | sex=f": -1}})
    assert joint.std_error[0] == pytest.approx(0, abs=1e-12)


def test_contrasts_of_designs_with_and_without_estimated_totals():
    benchmark = ev.survey_total(large(), "x")
    plain, design = small(), ev.calibrate(small(), totals_from=benchmark)
    twice = ev.calibrate(small(), {"total": 2000.0}, totals_from=benchmark)
    one, two, three = (ev.survey_total(each, "y") for each in (plain, design, twice))
    named = [ev.survey_total(each, "y", by=by) for each, by in ((plain, "sex"), (design, "area"))]
    both = ev.contrast(named, {"change": {"y | area=a": 1, "y | area=b": 1, "y | sex=f": -1, "y | sex=m": -1}})
    covariance = two.contributions[:50].T @ one.contributions
    centred = covariance - two.contributions[:50].sum(axis=0) * one.contributions.sum(axis=0) / 50
    expected = two.vcov + one.vcov - 2 * centred * 50 / 49
    np.testing.assert_allclose(both.vcov, expected, rtol=1e-9)
    # The same source of error in two designs is shared, not counted as two.
    assert len(three.contributions) == len(two.contributions) == 51
    again = ev.contrast(
        [named[1], ev.survey_total(ev.calibrate(small(), totals_from=benchmark), "y", by="sex")],
        {"none": {"y | area=a": 1, "y | area=b": 1, "y | sex=f": -1, "y | sex=m": -1}},
    )
    assert again.std_error[0] == pytest.approx(0, abs=1e-6 * two.std_error[0])


def test_two_sources_are_independent():
    first = ev.survey_total(large(), "x")
    frame = people(seed=21, n=800)
    second = ev.survey_total(ev.survey_design(frame.assign(w=frame["w"] / 4), weights="w"), "sex")
    design = ev.calibrate(ev.calibrate(small(), totals_from=second), totals_from=first)
    known = ev.calibrate(
        ev.calibrate(small(), {"sex": dict(zip(["f", "m"], second.estimate, strict=True))}), {"x": first.estimate[0]}
    )
    result, sure = ev.survey_total(design, "y"), ev.survey_total(known, "y")
    assert len(result.contributions) == 50 + 3
    outside = result.contributions[50:]
    assert result.vcov[0, 0] == pytest.approx(sure.vcov[0, 0] + float((outside**2).sum()), rel=EXACT)


def test_a_repeated_calibration_to_estimated_totals_changes_no_error():
    benchmark = ev.survey_total(large(), "x")
    once = ev.calibrate(small(), totals_from=benchmark)
    again = ev.calibrate(once, totals_from=benchmark)
    first, second = (ev.survey_mean(each, "y", by="sex").vcov for each in (once, again))
    np.testing.assert_allclose(second, first, rtol=1e-9)


def test_r_convention_carries_the_error_too():
    benchmark = ev.survey_total(large(), "x")
    exact = ev.survey_total(ev.calibrate(small(), totals_from=benchmark), "y")
    convention = ev.survey_design(people(), weights="w", psu="psu", linearization="r")
    ours = ev.survey_total(ev.calibrate(convention, totals_from=benchmark), "y")
    np.testing.assert_allclose(ours.vcov, exact.vcov, rtol=1e-9)


def test_regressions_know_the_error():
    benchmark = ev.survey_total(large(), "sex")
    ours = ev.survey_glm(ev.calibrate(small(), totals_from=benchmark), outcome="y", covariates=["x"])
    known = ev.survey_glm(
        ev.calibrate(small(), {"sex": dict(zip(["f", "m"], benchmark.estimate, strict=True))}),
        outcome="y",
        covariates=["x"],
    )
    grown = np.diag(ours.vcov) - np.diag(known.vcov)
    assert (grown > 0).all()


def test_by_simulation_the_error_is_the_spread_over_both_samples():
    rng = np.random.default_rng(2)
    n, m, population = 150, 400, 30_000
    x = rng.normal(50, 10, population)
    y = 5 + 0.8 * x + rng.normal(0, 3, population)
    found, claimed = [], []
    for _ in range(300):
        first, second = rng.choice(population, n, replace=False), rng.choice(population, m, replace=False)
        frame = pd.DataFrame({"x": x[first], "y": y[first], "w": population / n})
        other = pd.DataFrame({"x": x[second], "w": population / m})
        benchmark = ev.survey_total(ev.survey_design(other, weights="w"), "x")
        design = ev.calibrate(ev.survey_design(frame, weights="w"), {"total": population}, totals_from=benchmark)
        total = ev.survey_total(design, "y")
        found.append(total.estimate[0])
        claimed.append(total.vcov[0, 0])
    assert np.mean(claimed) == pytest.approx(np.var(found, ddof=1), rel=0.15)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"totals_from": 3}, r"must be estimated totals of another sample, got int"),
        ({"margins": {"x": 3.0}, "vcov": {"z": {"z": 1.0}}}, r"vcov: 'z' is none of the totals"),
        ({"margins": {"x": 3.0}, "vcov": {"x": {"x": -1.0}}}, r"negative variance"),
        ({"margins": {"x": 3.0}, "vcov": {"x": {"y": 1.0}}}, r"same names as rows and as columns"),
    ],
)
def test_what_is_no_estimated_total_is_refused(options, message):
    with pytest.raises(WeightingError, match=message):
        ev.calibrate(small(), **options)


def test_totals_stand_in_one_place_only_and_numbers_by_domain_are_no_margin():
    benchmark = ev.survey_total(large(), "x")
    with pytest.raises(WeightingError, match="'x' stands among the margins and in totals_from"):
        ev.calibrate(small(), {"x": 3.0}, totals_from=benchmark)
    with pytest.raises(WeightingError, match="not both"):
        ev.calibrate(small(), totals_from=benchmark, vcov={"x": {"x": 1.0}})
    with pytest.raises(WeightingError, match="totals of numbers by sex are no margin"):
        ev.calibrate(small(), totals_from=ev.survey_total(large(), "x", by="sex"))
    with pytest.raises(WeightingError, match="got survey_mean"):
        ev.calibrate(small(), totals_from=ev.survey_mean(large(), "x"))


def test_crossed_counts_of_another_sample_are_a_crossed_margin():
    benchmark = ev.survey_total(large(), "sex", by="area")
    design = ev.calibrate(small(), totals_from=benchmark)
    again = ev.survey_total(design, "sex", by="area")
    np.testing.assert_allclose(again.estimate, benchmark.estimate, rtol=1e-10)
    np.testing.assert_allclose(again.vcov, benchmark.vcov, rtol=1e-7)


def test_replicates_cannot_repeat_what_they_do_not_draw():
    benchmark = ev.survey_total(large(), "x")
    with pytest.raises(DesignError, match="error of estimated ones"):
        ev.calibrate(ev.as_replicates(small(), kind="JK1"), totals_from=benchmark)
    with pytest.raises(DesignError, match="that another sample estimated"):
        ev.as_replicates(ev.calibrate(small(), totals_from=benchmark), kind="JK1")


def test_the_covariance_is_written_down_and_replayed():
    frame = people()
    totals = {"total": frame["w"].sum(), "x": (frame["w"] * frame["x"]).sum() * 1.01}
    vcov = {"x": {"x": 250_000.0}}
    design = ev.calibrate(small(), totals, vcov=vcov)
    ((_, arguments),) = design.chain()[0].items()
    assert arguments == {"margins": totals, "distance": "linear", "vcov": vcov}
    again = ev.calibrate(small(), **{**arguments, "margins": totals})
    one, other = (ev.survey_mean(each, "y").std_error for each in (design, again))
    assert one == other
