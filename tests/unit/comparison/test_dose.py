"""Classes of participation against none: worked by hand, their covariance, trend and equality, and what is refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, EstimationError, IdentificationError

COVARIATES = ["age", "sex"]


@pytest.fixture
def visitors(respondents):
    rng = np.random.default_rng(4)
    times = np.where(respondents["joined"] == 1, rng.integers(1, 8, len(respondents)), 0)
    trust = respondents["trust"] + 0.2 * times
    return respondents.assign(times=times, trust=trust, asked=np.where(times > 0, times, np.nan))


def design_of(frame):
    return ev.survey_design(frame, weights="w", strata="stratum", psu="psu")


def dose(design, **options):
    return ev.dose_response(design, **{"outcome": "trust", "dose": "times", "breaks": [1, 2, 3, 5], **options})


def test_means_by_class_and_the_slope_are_worked_by_hand():
    frame = pd.DataFrame({"trust": [1.0, 2, 3, 4, 5, 6, 7, 6], "times": [0, 0, 1, 1, 2, 2, 2, 0]})
    made = dose(ev.survey_design(frame), breaks=None)
    assert made.keys["times"].tolist() == ["1"] * 3 + ["2"] * 3
    np.testing.assert_allclose(made.estimate, [0.5, 3.5, 3, 3, 6, 3])
    # Differences 0, 0.5, 3 at 0, 1, 2: slope (3 - 0) / 2.
    np.testing.assert_allclose(made.trend.estimate, [1.5])


def test_breaks_make_classes_with_their_ranges(visitors):
    made = dose(design_of(visitors))
    assert list(dict.fromkeys(made.keys["times"])) == ["1", "2", "3-4", "5+"]
    assert made.fit["scores"] == [1, 2, 3, 5]
    counts = made.tidy().query("quantity == 'mean_participants'")["n_obs"].tolist()
    assert counts == [int(((visitors["times"] >= low) & (visitors["times"] < high)).sum())
                      for low, high in ((1, 2), (2, 3), (3, 5), (5, 99))]  # fmt: skip


def test_classes_share_the_comparison_group_in_one_covariance(visitors):
    made = dose(design_of(visitors))
    kinds = np.array(["0", "1", "2", "3-4", "5+"])[np.digitize(visitors["times"], [1, 2, 3, 5])]
    means = ev.survey_mean(design_of(visitors.assign(kind=kinds)), "trust", by="kind")
    gap = ev.contrast(means, {"gap": {"trust | kind=3-4": 1, "trust | kind=1": -1}})
    own = ev.contrast(
        made, {"gap": {"trust | times=3-4,quantity=difference": 1, "trust | times=1,quantity=difference": -1}}
    )
    np.testing.assert_allclose(own.estimate, gap.estimate, rtol=1e-10)
    np.testing.assert_allclose(own.std_error, gap.std_error, rtol=1e-10)


@pytest.mark.parametrize("estimand", ["ATT", "ATC"])
@pytest.mark.parametrize("method", ["aipw", "ipw"])
def test_each_class_is_the_verb_on_that_class_and_none(visitors, method, estimand):
    made = dose(design_of(visitors), covariates=COVARIATES, method=method, estimand=estimand)
    own = visitors.assign(often=np.where(visitors["times"] >= 5, 1.0, np.where(visitors["times"] == 0, 0.0, np.nan)))
    design = ev.domain(design_of(own), {"often": [0.0, 1.0]})
    verb = {"aipw": ev.aipw, "ipw": ev.ipw}[method]
    alone = verb(design, outcome="trust", treatment="often", covariates=COVARIATES, estimand=estimand)
    np.testing.assert_allclose(made.estimate[-3:], alone.estimate, rtol=1e-12)
    np.testing.assert_allclose(made.std_error[-3:], alone.std_error, rtol=1e-12)
    assert made.fit["estimand"] == estimand


def test_trend_and_equality_rest_on_the_joint_covariance(visitors):
    made = dose(design_of(visitors))
    effects, vcov = made.estimate[::3], made.vcov[::3, ::3]
    scores = np.array([0.0, 1, 2, 3, 5])
    line = (scores - scores.mean())[1:] / ((scores - scores.mean()) ** 2).sum()
    np.testing.assert_allclose(made.trend.estimate, [line @ effects], rtol=1e-12)
    np.testing.assert_allclose(made.trend.std_error, [np.sqrt(line @ vcov @ line)], rtol=1e-10)
    apart = np.hstack([-np.ones((3, 1)), np.eye(3)])
    wald = (apart @ effects) @ np.linalg.solve(apart @ vcov @ apart.T, apart @ effects) / 3
    np.testing.assert_allclose(made.equality.statistic, wald, rtol=1e-10)
    assert (made.equality.ndf, made.equality.ddf) == (3, made.df[0])
    other = dose(design_of(visitors), scores=[1, 2, 3.5, 6]).trend
    assert other.estimate[0] != made.trend.estimate[0]


def test_replicates_agree(visitors):
    options = {"covariates": COVARIATES, "method": "ipw", "breaks": [1, 4]}
    linear = dose(design_of(visitors), **options)
    replicated = dose(ev.as_replicates(design_of(visitors), kind="JKn"), **options)
    np.testing.assert_allclose(replicated.std_error, linear.std_error, rtol=0.15)


def test_who_never_took_part_need_not_have_been_asked_how_often(visitors):
    asked = dose(design_of(visitors), dose="asked", treatment="joined")
    np.testing.assert_allclose(asked.estimate, dose(design_of(visitors)).estimate, rtol=1e-12)
    visitors.loc[visitors.index[visitors["joined"] == 1][:3], "asked"] = np.nan
    assert dose(design_of(visitors), dose="asked", treatment="joined").fit["n_dose_unknown"] == 3
    visitors.loc[visitors.index[visitors["joined"] == 0][:2], "asked"] = 4
    with pytest.raises(ColumnError, match="2 respondents with joined = 0 have a value of 'asked'") as refused:
        dose(design_of(visitors), dose="asked", treatment="joined")
    assert len(refused.value.failures) == 2


def test_a_class_too_small_to_be_shown_keeps_its_rows_without_a_number(visitors):
    few = visitors.assign(times=visitors["times"].where(visitors["times"] < 5, 4))
    few.loc[few.index[few["times"] == 4][:6], "times"] = 9
    design = design_of(few)
    design = replace(design, provenance=replace(design.provenance, min_cell=5, min_base=10))
    made = dose(design)
    shown = made.masked().tidy().set_index("times")
    assert shown.loc["5+", "estimate"].isna().all()
    assert set(shown.loc["5+", "mark"]) == {"[u]"}
    assert np.isfinite(shown.loc[["1", "2", "3-4"], "estimate"]).all()
    assert made.fit["not_estimated"] == ["5+"]
    assert made.equality.ndf == 2
    assert np.isfinite(made.trend.std_error[0])


def test_an_error_names_the_class(visitors):
    visitors.loc[visitors["times"] >= 5, "sex"] = "f"
    visitors.loc[visitors["times"] == 0, "sex"] = "m"
    with pytest.raises(IdentificationError, match=r"class \S+ of 'times' against 0"):
        dose(design_of(visitors), covariates=COVARIATES)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"breaks": [3, 2]}, ColumnError, "rising whole numbers"),
        ({"breaks": [2, 3]}, ColumnError, "below the first break 2"),
        ({"breaks": [1]}, EstimationError, "1 class beside none"),
        ({"breaks": 3}, ColumnError, "rising whole numbers"),
        ({"scores": ["a", "b", "c", "d"]}, EstimationError, "4 rising numbers"),
        ({"least": "ten"}, EstimationError, "least must be a number"),
        ({"scores": [1, 2]}, EstimationError, "4 rising numbers"),
        ({"dose": "trust", "outcome": "trust"}, EstimationError, "different columns"),
        ({"dose": "district", "breaks": None}, ColumnError, "order is not known"),
        ({"dose": "age", "breaks": None}, ColumnError, "too many for classes"),
        ({"method": "aipw"}, EstimationError, "do not go together"),
        ({"method": "difference", "covariates": COVARIATES}, EstimationError, "do not go together"),
        ({"method": "matching"}, EstimationError, "method must be one of"),
        ({"least": 500}, EstimationError, "fewer than two classes"),
        ({"treatment": "district"}, ColumnError, "two values"),
    ],
)
def test_what_is_refused(visitors, options, error, message):
    with pytest.raises(error, match=message):
        dose(design_of(visitors), **options)
