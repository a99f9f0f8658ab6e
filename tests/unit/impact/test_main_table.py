"""The main table: each row is its verb's own answer, and where there is none the row says why."""

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import EstimationError, FewClustersWarning, IdentificationError

EXACT = 1e-12


def people(cohorts=(2015, 2016, 0), districts=18, seed=5, waves=range(2012, 2019)):
    rng = np.random.default_rng(seed)
    n = 5000
    frame = pd.DataFrame({"gu": rng.integers(0, districts, n), "year": rng.choice(list(waves), n)})
    frame["dong"] = frame["gu"] * 10 + rng.integers(0, 4, n)
    frame["first"] = np.array(cohorts)[frame["gu"] % len(cohorts)]
    started = (frame["first"] > 0) & (frame["year"] >= frame["first"])
    frame["w"], frame["y"] = rng.uniform(0.5, 2, n), rng.normal(0.4 * started)
    return ev.panel(ev.survey_design(frame, weights="w"), time="year")


ASKED = {"outcome": "y", "cohort": "first", "cluster": "gu"}


@pytest.fixture(scope="module")
def waves():
    return people()


@pytest.fixture(scope="module")
def table(waves):
    return ev.impact_table(waves, **ASKED, counted=["dong"], draws=99)


def row(table, method):
    return table.tidy().set_index("method").loc[method]


def test_every_row_is_its_verbs_own_answer(waves, table):
    own = {
        "group_time": ev.aggregate(ev.att_gt(waves, **ASKED)),
        "imputation": ev.imputation_did(waves, **ASKED, place="gu"),
        "two_stage": ev.two_stage_did(waves, **ASKED, place="gu"),
        "sun_abraham": ev.sun_abraham(waves, **ASKED, place="gu", type="simple"),
        "extended_twfe": ev.extended_twfe(waves, **ASKED, place="gu"),
    }
    for method, result in own.items():
        found = row(table, method)
        np.testing.assert_allclose(found["estimate"], result.estimate[0], rtol=EXACT)
        np.testing.assert_allclose(found["std_error"], result.std_error[0], rtol=1e-9)
        np.testing.assert_allclose(found["p_jackknife"], result.tidy()["p_value"][0], rtol=1e-9)
    frame = waves.design.data.assign(d=lambda f: ((f["first"] > 0) & (f["year"] >= f["first"])) * 1.0)
    two_way = ev.twfe(
        ev.survey_design(frame, weights="w"), outcome="y", treatment="d", unit="gu", time="year", cluster="gu"
    )
    np.testing.assert_allclose(row(table, "twfe")["estimate"], two_way.estimate[0], rtol=EXACT)


def test_rows_share_clusters_so_that_their_difference_has_an_error(table):
    apart = ev.contrast(table, {"apart": {"y | method=imputation": 1, "y | method=twfe": -1}})
    rows = [list(table.keys["method"]).index(name) for name in ("imputation", "twfe")]
    part = table.vcov[np.ix_(rows, rows)]
    np.testing.assert_allclose(apart.std_error[0] ** 2, part[0, 0] + part[1, 1] - 2 * part[0, 1], rtol=1e-9)
    assert apart.std_error[0] < table.std_error[rows].max()


def test_it_counts_people_places_and_clusters(waves, table):
    tidy = table.tidy()
    assert (tidy["n_dong"] == waves.design.data["dong"].nunique()).all()
    assert (tidy["n_clusters"] == 18).all()
    assert set(tidy["n_treated_clusters"]) == {12}
    staggered = tidy["method"] != "twfe"
    assert set(tidy.loc[staggered, "n_control_clusters"]) == {6}
    assert set(tidy.loc[~staggered, "n_control_clusters"]) == {12}
    assert ((tidy["p_randomization"] > 0) & (tidy["p_randomization"] <= 1)).all()


def test_waves_that_hang_on_one_place_are_left_to_a_number_of_their_own():
    one_left = people(cohorts=(2015, 2015, 2015, 2015, 2015, 2017), districts=12)
    frame = one_left.design.data
    alone = frame.assign(first=np.where(frame["gu"] == 5, 2018, frame["first"]))
    with pytest.warns(FewClustersWarning):
        found = ev.impact_table(
            ev.panel(ev.survey_design(alone), time="year"), **ASKED, estimators=["imputation", "twfe"], draws=49
        )
    assert set(found.tidy()["until"]) == {"2016"}
    assert np.isfinite(found.std_error).all()


def test_an_estimator_without_an_answer_keeps_its_row_and_says_so(waves):
    missing = waves.design.data.assign(z=lambda f: f["y"].where((f["gu"] != 3) | (f["year"] != 2014)))
    holes = ev.panel(ev.survey_design(missing, weights="w"), time="year")
    asked = ASKED | {"outcome": "z"}
    found = ev.impact_table(holes, **asked, estimators=["group_time", "synthetic_did"], draws=49)
    gap = row(found, "synthetic_did")
    assert np.isnan(gap["estimate"])
    assert gap["reason"] == "not_available"
    assert "synthetic_did" in found.fit["not_available"]
    assert np.isfinite(row(found, "group_time")["estimate"])


def test_wrong_names_and_empty_waves_are_refused(waves):
    with pytest.raises(EstimationError, match="Did you mean 'imputation'"):
        ev.impact_table(waves, **ASKED, estimators=["imputaton"])
    all_at_once = people(cohorts=(2012,))
    with pytest.raises((IdentificationError, EstimationError)):
        ev.impact_table(all_at_once, **ASKED)
