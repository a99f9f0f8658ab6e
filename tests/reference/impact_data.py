"""Expected numbers and data of the impact references: committed where they may be, else read beside the checkout."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

FOLDER = Path(__file__).parent / "impact"
#: Teaching sets of R packages (GPL), which this repository does not hold.
BESIDE = Path(__file__).parents[3] / "shared" / "reference" / "impact" / "data"


def cases(name):
    """Cases of one file of expected numbers, by their id."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))["cases"]


def data(name):
    """A data file; skips with the reason where it may not be committed and is not there."""
    path = FOLDER / name if (FOLDER / name).exists() else BESIDE / name
    if not path.exists():
        pytest.skip(f"{name} is data of an R package that may not be committed; put it into {BESIDE.name}/ to run this")
    return pd.read_csv(path)


def close(ours, expected, tolerance, floor=1e-12):
    """Hold numbers against expected ones, relative."""
    np.testing.assert_allclose(ours, expected, rtol=tolerance, atol=floor)
