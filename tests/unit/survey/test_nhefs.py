"""The file of the smokers is the textbook's extract, as the package that distributes it holds it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import IdentificationError

ROOT = Path(__file__).resolve().parents[3]


def test_the_file_is_the_packages_extract():
    package = pytest.importorskip("causaldata", reason="causaldata is not installed (extra 'demo')")
    theirs = package.nhefs_complete.load_pandas().data
    ours = pd.read_csv(ROOT / "surveys" / "nhefs_1982" / "nhefs.csv")
    assert len(ours) == 1566
    for name in [column for column in ours.columns if column in theirs.columns]:
        np.testing.assert_allclose(ours[name], theirs[name].astype(float), atol=1e-8)
    assert (ours["gained_over_5kg"] == (ours["wt82_71"] > 5)).all()


def test_what_came_after_quitting_is_no_covariate():
    design = ev.study_design("nhefs_1982")
    with pytest.raises(IdentificationError, match="gained_over_5kg"):
        ev.aipw(design, outcome="wt82_71", treatment="qsmk", covariates=["age", "gained_over_5kg"])
