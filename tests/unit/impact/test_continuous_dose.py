"""Effects by dose: by hand, against a regression, against the derivative, with known truth."""

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, EstimationError, IdentificationError

DERIVATIVE = 2e-6
OPTIONS = {"outcome": "y", "dose": "share", "place": "district"}


def answers(seed=3, curve=lambda d: 3 * d - d**2, noise=1.0):
    """Persons asked anew in every wave in 16 districts, 10 of them treated from 2014 or 2016 with a fixed dose."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        [(g, 2012 + t) for g in range(16) for t in range(6) for _ in range(rng.integers(2, 5))],
        columns=["district", "year"],
    )
    start = np.where(np.arange(16) < 10, np.where(np.arange(16) % 2, 2014, 2016), 0)[table["district"]]
    dose = np.where((start > 0) & (table["year"] >= start), 0.1 + 0.09 * (table["district"] % 10), 0.0)
    table = table.assign(first=start, share=dose, w=rng.uniform(1, 3, len(table)))
    path = table["district"] + 0.4 * (table["year"] - 2012)
    return table.assign(y=path + np.where(dose > 0, curve(dose), 0) + noise * rng.normal(size=len(table)))


def over_time(table):
    return ev.panel(ev.survey_design(table, weights="w"), time="year")


def estimated(table, **options):
    return ev.dose_did(over_time(table), **OPTIONS, **options)


def test_classes_of_dose_by_hand():
    table = pd.DataFrame(
        {
            "district": [1, 1, 2, 2, 3, 3, 4, 4],
            "year": [2015, 2016] * 4,
            "share": [0, 0.2, 0, 0.4, 0, 0.9, 0, 0],
            "y": [1.0, 3, 2, 6, 4, 11, 1, 2],
            "w": 1.0,
        }
    )
    made = estimated(table, bins=[0, 0.5, 1])
    # changes less the 1 of district 4: 1, 3, 6; classes 2 at mean dose 0.3 and 6 at 0.9
    steps = np.array([2 / 0.3, 4 / 0.6])
    expected = [10 / 3, steps @ [2 / 3, 1 / 3], 2, 6, *steps]
    np.testing.assert_allclose(made.estimate, expected)
    assert made.keys["term"].tolist() == ["overall", "acrt_overall", *["att_at_dose"] * 2, *["acrt_at_dose"] * 2]
    assert made.keys["dose"].tolist() == [None, None, 0.25, 0.75, 0.25, 0.75]


def test_a_known_curve_is_recovered_with_its_slope():
    made = estimated(answers(noise=0.0), degree=2, doses=[0.2, 0.5, 0.8])
    at = np.array([0.2, 0.5, 0.8])
    np.testing.assert_allclose(made.estimate[2:5], 3 * at - at**2)
    np.testing.assert_allclose(made.estimate[5:], 3 - 2 * at)


def test_one_date_equals_the_regression_of_changes_on_the_dose():
    table = answers()
    table = table[table["year"].isin([2015, 2016]) & (table["first"] != 2014)].assign(w=1.0)
    means = table.groupby(["district", "year"], as_index=False)[["y", "share"]].mean().assign(w=1.0)
    made = estimated(means, degree=1, doses=[0.5])
    change = means.pivot(index="district", columns="year", values="y").diff(axis=1)[2016]
    dose = means.groupby("district")["share"].last()
    slope, level = np.polyfit(dose[dose > 0], change[dose > 0] - change[dose == 0].mean(), 1)
    np.testing.assert_allclose(made.estimate[[1, 2, 3]], [slope, level + slope / 2, slope])
    np.testing.assert_allclose(made.estimate[0], change[dose > 0].mean() - change[dose == 0].mean())


def test_the_overall_effect_without_regard_to_dose_equals_two_groups():
    table = answers()
    table = table[table["year"].isin([2015, 2016]) & (table["first"] != 2014)].assign(w=1.0)
    means = table.groupby(["district", "year"], as_index=False)[["y", "share"]].mean().assign(w=1.0)
    design = ev.survey_design(means.assign(d=(means["share"] > 0).astype(float)))
    theirs = ev.twfe(design, outcome="y", treatment="d", unit="district", time="year")
    np.testing.assert_allclose(estimated(means, degree=1).estimate[0], theirs.estimate[0])


@pytest.mark.parametrize(
    "options",
    [{}, {"degree": 1, "knots": 2}, {"bins": [0, 0.3, 0.6, 1]}, {"degree": 2, "control_group": "nevertreated"}],
)
def test_influence_is_the_derivative_in_the_weights(options):
    table = answers()
    made = estimated(table, **options)
    w, step = table["w"].to_numpy(), 1e-5
    for i in (0, 30, 90, 150, 250):
        up, down = w.copy(), w.copy()
        up[i], down[i] = w[i] + step, w[i] - step
        slope = (made.refit.again(up) - made.refit.again(down)) / (2 * step)
        np.testing.assert_allclose(made.influence[i] / w[i], slope, rtol=DERIVATIVE, atol=1e-8)


def test_leaving_a_district_out_keeps_the_curve_and_drops_its_answers():
    table = answers()
    made = estimated(table, degree=1, doses=[0.3, 0.6], cluster="district")
    for district in (2, 13):
        rest = estimated(table[table["district"] != district], degree=1, doses=[0.3, 0.6])
        np.testing.assert_allclose(made.refit.left_out()[district], rest.estimate)
    np.testing.assert_allclose(made.df, 15)
    assert made.refit.reordered is None


def test_a_dose_in_per_cent_needs_its_scale_and_then_changes_nothing():
    table = answers()
    per_cent = table.assign(share=100 * table["share"])
    with pytest.raises(ColumnError, match="outside 0 to 1") as error:
        estimated(per_cent)
    assert set(error.value.failures.columns) == {"district", "year", "share"}
    np.testing.assert_allclose(estimated(per_cent, scale=100).estimate, estimated(table).estimate)


def test_a_dose_that_rises_is_told():
    table = answers()
    table.loc[(table["district"] == 1) & (table["year"] == 2017), "share"] += 0.05
    assert estimated(answers()).fit["dose_varies"] is False
    assert estimated(table).fit["dose_varies"] is True


def test_weights_scaled_and_rows_shuffled_change_nothing():
    table = answers()
    other = table.assign(w=table["w"] * 1e5).sample(frac=1, random_state=1)
    np.testing.assert_allclose(estimated(table).std_error, estimated(other).std_error)


def test_effects_without_a_comparison_are_named():
    table = answers()
    last = table["district"] >= 10
    table.loc[last & (table["year"] == 2017), "share"] = 0.5
    made = estimated(table)
    told = {(row["cohort"], row["time"]) for row in made.fit["not_identified"]}
    assert told == {(2014, 2017), (2016, 2017), (2017, 2017)}


def test_a_dose_that_falls_back_to_none_is_sent_to_switching():
    table = answers()
    table.loc[(table["district"] == 1) & (table["year"] == 2016), "share"] = 0.0
    with pytest.raises(ColumnError, match=r"ev\.switching_did"):
        estimated(table)


def test_a_dose_before_the_first_treated_period_is_refused():
    table = answers()
    assert len(estimated(table, cohort="first"))
    table["first"] = table["first"].replace(2014, 2015)
    with pytest.raises(ColumnError, match="disagree in 5 places and waves"):
        estimated(table, cohort="first")


def test_too_few_doses_for_the_curve_are_refused():
    table = answers()
    with pytest.raises(IdentificationError, match=r"1 different doses cannot carry .* Use classes of dose"):
        estimated(table.assign(share=(table["share"] > 0) * 0.5))
    assert len(estimated(table.assign(share=(table["share"] > 0) * 0.5), bins=[0, 1])) == 4


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"degree": 0}, "degree must be"),
        ({"knots": -1}, "knots must be"),
        ({"scale": 0}, "scale must be"),
        ({"doses": [0.01]}, "made up"),
        ({"bins": [0, 0.5]}, "do not hold all doses"),
        ({"bins": [1, 0]}, "ascending"),
        ({"bins": [0, 0.01, 1]}, "Merge that class"),
        ({"control_group": "other"}, "control_group"),
    ],
)
def test_options_that_cannot_serve_are_refused(wrong, told):
    with pytest.raises(EstimationError, match=told):
        estimated(answers(), **wrong)


def test_nobody_treated_is_refused():
    with pytest.raises(IdentificationError, match="0 everywhere"):
        estimated(answers().assign(share=0.0))


@pytest.mark.parametrize("options", [{"degree": 2}, {"bins": [0, 0.5, 1]}])
def test_the_curve_is_drawn_with_its_assumption(options):
    made = estimated(answers(), **options)
    korean, english = ev.plot(made, lang="ko"), ev.plot(made, lang="en")
    assert "강한 평행추세" in korean.caption
    assert "strong parallel trends" in english.caption
    assert len(english.data) == len(made) - 2
    assert english.data["term"].tolist() == made.keys["term"].tolist()[2:]


def test_one_date_meets_another_package():
    # diff-diff 3.13.0, ContinuousDiD(degree=3, num_knots=1, dvals=[0.3, 0.5, 0.8]), on this panel
    rng = np.random.default_rng(11)
    start, dose, rows = rng.permutation(np.repeat([0, 2013, 2015], 20)), rng.uniform(0.1, 1, 60), []
    for g in range(60):
        for t in range(2010, 2017):
            on = start[g] > 0 and t >= start[g]
            y = g * 0.1 + 0.3 * t + on * (1 + 2 * dose[g] ** 2) + rng.normal()
            rows.append((g, t, start[g], dose[g] * on, y))
    table = pd.DataFrame(rows, columns=["id", "year", "first", "share", "y"])
    table = table[table["year"].isin([2012, 2013]) & (table["first"] != 2015)]
    panel = ev.panel(ev.survey_design(table, psu="id"), unit="id", time="year")
    made = ev.dose_did(panel, outcome="y", dose="share", degree=3, knots=1, doses=[0.3, 0.5, 0.8])
    expected = [1.1236868909931672, 0.7516933752476407, -0.12434716, 0.60936888, 1.89429279]
    np.testing.assert_allclose(made.estimate, [*expected, -0.42629422, 5.21592434, 4.51858887], rtol=1e-7)
    # theirs lacks n/(n-1); the mean response's error leaves out that doses were sampled as well
    errors = np.delete(made.std_error, 1) / np.sqrt(40 / 39)
    theirs = [0.44513616591325184, 0.60467334, 0.51869193, 0.63797124, 2.51385522, 2.77930907, 2.36463599]
    np.testing.assert_allclose(errors, theirs, rtol=1e-6)
