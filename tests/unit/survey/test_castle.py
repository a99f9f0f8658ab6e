"""The file of the states is the extract that the package holds, and its two dates are what its README says."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evaluation as ev

ROOT = Path(__file__).resolve().parents[3]


def states():
    return pd.read_csv(ROOT / "surveys" / "castle_doctrine" / "castle.csv")


def test_the_file_is_the_packages_extract():
    package = pytest.importorskip("causaldata", reason="causaldata is not installed (extra 'demo')")
    theirs = package.castle.load_pandas().data.sort_values(["sid", "year"], ignore_index=True)
    ours = states()
    assert len(ours) == 550
    same = {"state": "sid", "year": "year", "full_year": "post", "population": "popwt"}
    same |= {name: name for name in ("l_homicide", "homicide", "l_police", "l_income", "unemployrt", "poverty")}
    for name, other in same.items():
        np.testing.assert_allclose(ours[name], theirs[other].astype(float), atol=1e-8)
    for name, other in (("l_larceny", "larceny"), ("l_motor", "motor"), ("l_robbery", "robbery")):
        np.testing.assert_allclose(ours[name], np.log(theirs[other].astype(float)), atol=1e-8)


def test_the_first_full_year_comes_after_the_law():
    frame = states()
    assert ((frame["first_full_year"] - 1).where(frame["first_full_year"] > 0, 0) == frame["law_year"]).all()
    for first, indicator in (("law_year", "in_force"), ("first_full_year", "full_year")):
        started = (frame[first] > 0) & (frame["year"] >= frame[first])
        assert (started.astype(int) == frame[indicator]).all()
    starts = frame.groupby("state")["law_year"].first().value_counts().to_dict()
    assert starts == {0: 29, 2006: 13, 2007: 4, 2008: 2, 2005: 1, 2009: 1}


def test_the_two_dates_give_the_two_printed_coefficients():
    design = ev.study_design("castle_doctrine", "states")
    asked = {"outcome": "l_homicide", "unit": "state", "time": "year", "cluster": "state"}
    found = [ev.twfe(design, **asked, treatment=name).estimate[0] for name in ("in_force", "full_year")]
    assert [round(value, 3) for value in found] == [0.082, 0.069]
