"""Nonresponse, trimming and standardising against R's survey package on cases drawn at random."""

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evaluation as ev

ESTIMATE = 1e-8
ERROR = 1e-6
SEEDS = (51, 52, 53)
SCRIPT = Path(__file__).with_name("nonresponse.R")
SEX = {"f": 2, "m": 3}
#: R lets the first factor run fastest.
CROSSED = {"f:old": 1, "m:old": 2, "f:young": 3, "m:young": 4}


@cache
def why_not():
    """Say why R cannot be asked here; empty where it can."""
    if shutil.which("Rscript") is None:
        return "Rscript is not installed"
    asked = subprocess.run(["Rscript", "-e", "library(survey)"], capture_output=True, text=True, check=False)
    return "" if asked.returncode == 0 else "the R package survey is not installed"


def cases(seed, n=240):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "stratum": np.repeat([1, 2, 3], n // 3),
            "psu": np.tile(np.repeat(np.arange(10), n // 30), 3),
            "w": rng.lognormal(2, 0.5, n),
            "area": rng.choice(["east", "north", "west"], n),
            "sex": rng.choice(["f", "m"], n),
            "age": rng.choice(["old", "young"], n),
            "x": rng.normal(size=n),
        }
    )
    frame["answered"] = (rng.uniform(size=n) < 1 / (1 + np.exp(-0.4 - 0.7 * frame["x"]))).astype(int)
    frame["y"] = 50 + 4 * frame["x"] + rng.normal(0, 5, n)
    frame["half"] = frame["y"].where(frame["x"] > 0)
    return frame


def ours(frame):
    plain = ev.survey_design(frame, weights="w", strata="stratum", psu="psu", nested=True, linearization="r")
    lower, upper = np.quantile(frame["w"], [0.15, 0.9])
    fixed = {"relative_to": "none"}
    logit = {"covariates": ["x", "area"], "method": "inverse_propensity"}
    return {
        "inverse_propensity": lambda: ev.adjust_nonresponse(plain, response="answered", **logit),
        "cells": lambda: ev.adjust_nonresponse(plain, response="answered", by=["area", "sex"]),
        "trimmed_once": lambda: ev.trim_weights(plain, upper=upper, lower=lower, strict=False, **fixed),
        "trimmed": lambda: ev.trim_weights(plain, upper=upper, **fixed),
        "raised": lambda: ev.trim_weights(plain, lower=lower, **fixed),
        "standardised": lambda: ev.standardise(plain, by="sex", over="area", population=SEX),
        "standardised_whole": lambda: ev.standardise(plain, by=["sex", "age"], population=CROSSED),
        "without_missing": lambda: ev.standardise(
            plain, by="sex", over="area", population=SEX, excluding_missing="half"
        ),
    }


NAMES = list(ours(cases(SEEDS[0])))


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    if why_not():
        pytest.skip(why_not())
    found = {}
    for seed in SEEDS:
        folder = tmp_path_factory.mktemp(f"seed_{seed}")
        cases(seed).drop(columns="half").to_csv(folder / "cases.csv", index=False, float_format="%.17g")
        done = subprocess.run(["Rscript", str(SCRIPT), str(folder)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found[seed] = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", NAMES)
def test_weights_and_errors_are_those_of_r(name, seed, expected):
    answer, design = expected[seed][name], ours(cases(seed))[name]()
    np.testing.assert_allclose(design.weights[design.weights != 0], answer["weights"], rtol=ESTIMATE)
    if name == "without_missing":
        return
    mean, by, total = (
        ev.survey_mean(design, "y"),
        ev.survey_mean(design, "y", by="area"),
        ev.survey_total(design, "y"),
    )
    np.testing.assert_allclose(mean.estimate, answer["mean"], rtol=ESTIMATE)
    np.testing.assert_allclose(by.estimate, answer["by"], rtol=ESTIMATE)
    np.testing.assert_allclose(mean.std_error, answer["mean_se"], rtol=ERROR)
    np.testing.assert_allclose(by.std_error, answer["by_se"], rtol=ERROR)
    np.testing.assert_allclose(total.std_error, answer["total_se"], rtol=ERROR)
