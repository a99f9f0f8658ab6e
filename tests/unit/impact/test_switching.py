"""Switching treatments: by hand, by brute force, against the authors' package, and under other weights and orders."""

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, EstimationError, IdentificationError

DERIVATIVE = 2e-6
#: The package prints its results from float64; we hold the six digits that were noted.
NOTED = 5e-7


def places(seed=4, n=40, waves=7):
    """Places whose treatment (0, 1, 2) may change in every wave, with weights 1 to 4."""
    rng = np.random.default_rng(seed)
    rows = []
    for g in range(n):
        levels = [rng.choice([0, 0, 1])]
        for _ in range(1, waves):
            levels.append(levels[-1] if rng.random() < 0.75 else rng.choice([0, 1, 2]))
        rows += [(g, 2010 + t, d, g * 0.3 + t * 0.5 + 1.5 * d + rng.normal()) for t, d in enumerate(levels)]
    table = pd.DataFrame(rows, columns=["place", "year", "d", "y"])
    return table.assign(w=np.random.default_rng(9).integers(1, 5, len(table)).astype(float))


def estimated(table, weights="w", **options):
    design = ev.survey_design(table, weights=weights, psu="place")
    return ev.switching_did(ev.panel(design, unit="place", time="year"), outcome="y", treatment="d", **options)


def answers(seed=2):
    """Persons in districts that were asked anew in every wave; the covered share of the district is its dose."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        [(g, 2012 + t) for g in range(10) for t in range(5) for _ in range(rng.integers(2, 6))],
        columns=["district", "year"],
    )
    start = np.array([2014, 2014, 2015, 2015, 2016, 0, 0, 0, 2014, 0])[table["district"]]
    dose = np.where((start > 0) & (table["year"] >= start), 0.3 + 0.1 * (table["district"] % 3), 0.0)
    table = table.assign(first=start, d=dose, w=rng.uniform(1, 3, len(table)))
    return table.assign(y=table["district"] + 4.0 * table["d"] + rng.normal(size=len(table)))


def over_time(table):
    return ev.panel(ev.survey_design(table, weights="w"), time="year")


def test_one_place_that_joins_and_one_that_leaves_by_hand():
    table = pd.DataFrame(
        {
            "place": list("aaabbbcccddd"),
            "year": [1, 2, 3] * 4,
            "d": [0, 0, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1],
            "y": [1.0, 2, 9, 4, 6, 3, 1, 3, 4, 2, 5, 9],
        }
    ).assign(w=1.0)
    made = estimated(table, type="instant")
    # a joins: 7 against 1 of c; b leaves: -3 against 4 of d, turned; waves before: 1 - 2 and -(2 - 3)
    assert made.keys["term"].tolist() == ["overall", "joiners", "leavers", "placebo"]
    np.testing.assert_allclose(made.estimate, [(6 + 7) / 2, 6.0, 7.0, (-1 + 1) / 2])
    dynamic = estimated(table)
    # placebos from wave 2 back to wave 1: -1 against -2, and -2 against -3 turned
    np.testing.assert_allclose(dynamic.estimate, [6.5, (1 - 1) / 2, 6.5])


def test_effects_meet_the_authors_package():
    # py_did_multiplegt_dyn 0.1.9, effects=5, placebo=3
    made = estimated(places(), weights=None, effects=5)
    expected = [1.4215607, 0.656346, 0.187346, -0.125422, 2.421378, 1.650669, 1.037028, 1.367646, 1.222020]
    np.testing.assert_allclose(made.estimate, expected, atol=NOTED)
    assert made.keys["event_time"].tolist() == [None, -4, -3, -2, 0, 1, 2, 3, 4]
    made = estimated(places(), weights=None, effects=5, normalized=True)
    expected = [1.4215607, 0.145855, 0.062449, -0.091216, 1.745644, 0.604470, 0.273502, 0.294982, 0.223254]
    np.testing.assert_allclose(made.estimate, expected, atol=NOTED)
    made = estimated(places(), weights=None, effects=5, switchers="in")
    expected = [1.4816483, 0.779849, -0.183126, 0.022519, 2.633268, 1.888810, 1.100553, 1.347332, 1.255776]
    np.testing.assert_allclose(made.estimate, expected, atol=NOTED)


def test_weighted_effects_meet_the_authors_package():
    made = estimated(places(), effects=5)
    expected = [1.413385, 0.556691, 0.309217, -0.248155, 2.348077, 1.693725, 0.935337, 1.458932, 1.269489]
    np.testing.assert_allclose(made.estimate, expected, atol=NOTED)


def test_instant_effects_equal_brute_force():
    table = places()
    y, d, w = (table.pivot(index="place", columns="year", values=name).to_numpy() for name in ("y", "d", "w"))
    top, bottom = 0.0, 0.0
    for t in range(1, y.shape[1]):
        for g in range(len(y)):
            same = [h for h in range(len(y)) if d[h, t - 1] == d[h, t] == d[g, t - 1]]
            if d[g, t] == d[g, t - 1] or not same:
                continue
            others = sum(w[h, t] * (y[h, t] - y[h, t - 1]) for h in same) / sum(w[h, t] for h in same)
            top += np.sign(d[g, t] - d[g, t - 1]) * w[g, t] * (y[g, t] - y[g, t - 1] - others)
            bottom += w[g, t]
    np.testing.assert_allclose(estimated(table, type="instant").estimate[0], top / bottom)


@pytest.mark.parametrize("options", [{}, {"normalized": True}, {"type": "instant"}, {"switchers": "out"}])
def test_influence_is_the_derivative_in_the_weights(options):
    table = places(n=25)
    made = estimated(table, **options)
    w, step = table["w"].to_numpy(), 1e-5
    for i in (0, 3, 40, 77, 120):
        up, down = w.copy(), w.copy()
        up[i], down[i] = w[i] + step, w[i] - step
        slope = (made.refit.again(up) - made.refit.again(down)) / (2 * step)
        np.testing.assert_allclose(made.influence[i] / w[i], slope, rtol=DERIVATIVE, atol=1e-9)


def test_influence_of_cross_sections_is_the_derivative():
    table = answers()
    made = ev.switching_did(over_time(table), outcome="y", treatment="d", normalized=True, place="district")
    w, step = table["w"].to_numpy(), 1e-5
    for i in (0, 20, 50, 90):
        up, down = w.copy(), w.copy()
        up[i], down[i] = w[i] + step, w[i] - step
        slope = (made.refit.again(up) - made.refit.again(down)) / (2 * step)
        np.testing.assert_allclose(made.influence[i] / w[i], slope, rtol=DERIVATIVE, atol=1e-9)


def test_leaving_a_district_out_equals_estimating_without_it():
    table = answers()
    options = {"outcome": "y", "treatment": "d", "place": "district"}
    made = ev.switching_did(over_time(table), **options, cluster="district")
    for district in (0, 2, 5):
        rest = ev.switching_did(over_time(table[table["district"] != district]), **options)
        np.testing.assert_allclose(made.refit.left_out()[district], rest.estimate)
    assert made.fit["vcov"] == "jackknife"
    np.testing.assert_allclose(made.df, 9)


def test_another_order_equals_estimating_under_it():
    table = answers()
    table["d"] = ((table["first"] > 0) & (table["year"] >= table["first"])).astype(float)
    options = {"outcome": "y", "treatment": "d", "cluster": "district"}
    made = ev.switching_did(over_time(table), **options)
    order = np.array([np.inf, 2014, 2014, 2015, 2016, 2014, np.inf, np.inf, 2015, np.inf])
    moved = table.assign(d=(table["year"] >= order[table["district"]]).astype(float))
    theirs = ev.switching_did(over_time(moved), **options)
    assert theirs.keys.equals(made.keys)
    np.testing.assert_allclose(made.refit.reordered(order[None])[0], theirs.estimate)


def test_a_dose_cannot_be_put_into_another_order():
    made = ev.switching_did(over_time(answers()), outcome="y", treatment="d", cluster="district")
    assert made.refit.reordered is None


def test_a_known_effect_per_unit_of_dose_is_found():
    table = answers()
    table["y"] = table["district"] + 0.5 * table["year"] + 4.0 * table["d"]
    made = ev.switching_did(over_time(table), outcome="y", treatment="d", normalized=True, place="district")
    after = made.keys["event_time"].map(lambda e: e is None or e == 0)
    np.testing.assert_allclose(made.estimate[after], 4.0)


def test_two_groups_and_two_waves_equal_the_regression():
    table = answers()
    table = table[table["year"].isin([2013, 2014])].assign(w=1.0)
    table["treated"] = (table["d"] > 0).astype(float)
    means = table.groupby(["district", "year"], as_index=False)[["y", "treated", "w"]].mean()
    design = ev.survey_design(means, psu="district")
    ours = ev.switching_did(ev.panel(design, unit="district", time="year"), outcome="y", treatment="treated")
    theirs = ev.twfe(design, outcome="y", treatment="treated", unit="district", time="year")
    np.testing.assert_allclose(ours.estimate[0], theirs.estimate[0])


def test_switches_without_a_comparison_are_named():
    table = places(n=40)
    table.loc[(table["place"] == 0), "d"] = 5 + (table["year"] >= 2013)[table["place"] == 0]
    made = estimated(table)
    assert {"cohort": 2013, "time": 2013, "reason": "no_comparison"} in made.fit["not_identified"]


def test_placebos_are_tested_together():
    test = ev.pretrend_test(estimated(places(), placebos=2, cluster="place", vcov="cluster"))
    assert test.ndf == 2


def test_a_treatment_that_differs_within_a_place_and_wave_is_refused():
    table = answers()
    table.loc[0, "d"] = 0.1
    with pytest.raises(ColumnError, match="differs among respondents of one district and year") as error:
        ev.switching_did(over_time(table), outcome="y", treatment="d", place="district")
    assert set(error.value.failures.columns) == {"district", "year", "d"}


def test_a_treatment_that_never_switches_is_refused():
    with pytest.raises(IdentificationError, match="does not switch"):
        estimated(places().assign(d=1.0))


def test_switches_that_all_lack_a_comparison_are_refused():
    table = places()
    with pytest.raises(IdentificationError, match="no switch has a comparison"):
        estimated(table.assign(d=table["place"] + (table["year"] > 2013)))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"type": "dynamc"}, "dynamic"),
        ({"switchers": "up"}, "switchers must be"),
        ({"effects": 0}, "effects must be"),
        ({"placebos": True}, "placebos must be"),
        ({"normalized": 1}, "normalized must be"),
    ],
)
def test_options_that_do_not_exist_are_refused(wrong, told):
    with pytest.raises(EstimationError, match=told):
        estimated(places(), **wrong)


def test_fewer_than_three_clusters_are_refused():
    table = answers()
    with pytest.raises(EstimationError, match="at least 3 clusters"):
        ev.switching_did(
            over_time(table[table["district"].isin([0, 5])]), outcome="y", treatment="d", cluster="district"
        )


def test_a_place_in_several_clusters_is_refused():
    table = answers().assign(area=lambda t: np.arange(len(t)) % 4)
    with pytest.raises(ColumnError, match="lie in several clusters"):
        ev.switching_did(over_time(table), outcome="y", treatment="d", place="district", cluster="area")


def test_missing_treatment_is_refused():
    table = answers()
    table.loc[3, "d"] = np.nan
    with pytest.raises(ColumnError, match="'d' is missing in 1 rows"):
        ev.switching_did(over_time(table), outcome="y", treatment="d", place="district")


def test_rows_that_hang_on_one_cluster_have_no_error_unless_their_comparisons_are_left_out():
    whole = estimated(places(), cluster="place")
    lost = np.isnan(whole.std_error)
    assert lost.any()
    assert any("hangs on a single place (place)" in line for line in whole.remarks("en"))
    supported = estimated(places(), cluster="place", supported_only=True)
    assert np.isnan(supported.std_error).sum() < lost.sum()
    assert {row["reason"] for row in supported.fit["not_identified"]} == {"single_comparison"}


def test_replicates_of_the_sample_carry_a_dose():
    design = ev.survey_design(answers(), weights="w", psu="district")
    options = {"outcome": "y", "treatment": "d", "place": "district", "effects": 2}
    taylor = ev.switching_did(ev.panel(design, time="year"), **options)
    replicated = ev.switching_did(ev.panel(ev.as_replicates(design, kind="JK1"), time="year"), **options)
    np.testing.assert_allclose(taylor.estimate, replicated.estimate)
    np.testing.assert_allclose(taylor.std_error[0], replicated.std_error[0], rtol=0.25)


def test_units_with_one_path_are_taken_together_without_a_trace():
    table = places(n=60, waves=5).assign(w=1.0)
    table["area"] = table["place"] % 6
    options = {"outcome": "y", "treatment": "d", "cluster": "area", "vcov": "cluster"}
    design = ev.survey_design(table, psu="area")
    units = ev.switching_did(ev.panel(design, unit="place", time="year"), **options)
    apart = ev.switching_did(ev.panel(design, time="year"), place="place", **options)
    np.testing.assert_allclose(units.estimate, apart.estimate)
    np.testing.assert_allclose(units.std_error, apart.std_error)
    np.testing.assert_allclose(units.refit.left_out(), apart.refit.left_out())
    assert units.fit["n_switchers"] == apart.fit["n_switchers"]
    assert len(units.refit.again(np.ones(len(table)))) == len(units)


def test_places_without_answers_in_a_wave_are_counted():
    table = answers()
    table = table[~((table["district"] == 0) & (table["year"] == 2013))]
    made = ev.switching_did(over_time(table), outcome="y", treatment="d", place="district")
    assert made.fit["n_without_answers"] == 3  # district 0 in 2014, 2015 and 2016, against 2013
    assert any("has no answers: 3" in line for line in made.remarks("en"))
    rest = ev.switching_did(over_time(table[table["district"] != 0]), outcome="y", treatment="d", place="district")
    np.testing.assert_allclose(made.estimate[0], rest.estimate[0])
