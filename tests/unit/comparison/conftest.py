"""Respondents of whom some take part, with a design that has everything: strata, PSUs, weights."""

import numpy as np
import pandas as pd
import pytest


def made_respondents(seed=11, n=240):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "psu": np.repeat(np.arange(n // 6), 6),
            "stratum": np.repeat(["s", "t"], n // 2),
            "w": rng.uniform(5, 15, n),
            "age": rng.normal(45, 12, n),
            "sex": rng.choice(["f", "m"], n),
            "district": rng.choice(["a", "b", "c"], n),
        }
    )
    log_odds = -0.6 + 0.03 * (frame["age"] - 45) + 0.7 * (frame["sex"] == "f")
    frame["joined"] = (rng.uniform(size=n) < 1 / (1 + np.exp(-log_odds))).astype(int)
    frame["trust"] = 4 + 0.05 * frame["age"] + 0.5 * frame["joined"] + rng.normal(0, 1.5, n)
    stay = -1 + 0.02 * frame["age"] + 0.6 * frame["joined"]
    frame["stays"] = (rng.uniform(size=n) < 1 / (1 + np.exp(-stay))).astype(int)
    return frame


@pytest.fixture
def respondents():
    return made_respondents()
