"""Data and expected numbers of the reference cases of comparisons, and what agreement with them means."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

import evaluation as ev

#: Closed forms agree to this; where a reference's Jacobian is numeric, its README states 1e-6.
ESTIMATE = 1e-8
ERROR = 1e-6
STACKED = 1e-6
FLOOR = 1e-9

FOLDER = Path(__file__).parent / "comparison"
LALONDE_COVARIATES = ["age", "educ", "race", "married", "nodegree", "re74", "re75"]
SURVEY_COVARIATES = ["age", "female", "origin", "educ", "years", "urban", "employed", "german"]
NHANES_COVARIATES = ["race", "agecat", "female"]
NHEFS_FORMULA = (
    "~ C(sex) + C(race) + C(education) + C(exercise) + C(active) + age + {age**2} + smokeintensity"
    " + {smokeintensity**2} + smokeyrs + {smokeyrs**2} + wt71 + {wt71**2}"
)


def cases(name):
    """Return the expected numbers of ``lalonde``, ``nhanes``, ``nhefs`` or ``integration`` by id of the case."""
    found = json.loads((FOLDER / f"{name}_expected.json").read_text(encoding="utf-8"))["cases"]
    return {case["id"]: case["expected"] for case in found}


def table(name):
    """Return a data file as it is, e.g. ``lalonde_expected_rows``."""
    return pd.read_csv(FOLDER / f"{name}.csv")


def lalonde():
    """Return the Lalonde extract as a simple random sample."""
    frame = table("lalonde")
    frame["above5k"] = frame["above5k"].astype(int)
    return ev.survey_design(frame)


def nhanes():
    """Return NHANES with its strata, units and weights."""
    frame = table("nhanes")
    frame["female"] = (frame["RIAGENDR"] == 2).astype(int)
    frame["race"], frame["agecat"] = frame["race"].astype(str), frame["agecat"].astype(str)
    return ev.survey_design(frame, weights="WTMEC2YR", strata="SDMVSTRA", psu="SDMVPSU", nested=True)


def nhefs():
    """Return the complete cases of NHEFS as a simple random sample."""
    frame = table("nhefs")
    frame["gain5"] = (frame["wt82_71"] > 5).astype(int)
    return ev.survey_design(frame)


def survey():
    """Return the synthetic survey with its strata, units and weights."""
    return ev.survey_design(table("integration_survey"), weights="weight", strata="stratum", psu="psu", nested=True)


def close(ours, expected, tolerance):
    """Hold numbers against a reference."""
    np.testing.assert_allclose(ours, expected, rtol=tolerance, atol=FLOOR)


def iid(n):
    """Return the ratio of a design's error to the plain sandwich's where every row is a unit."""
    return np.sqrt(n / (n - 1))


def agree(result, expected, *, estimate=ESTIMATE, error=ERROR, factor=1.0):
    """Hold row 0 and the two means against a reference; ``factor`` turns its error into that of a design."""
    tidy = result.tidy()
    close(tidy["estimate"][0], expected["diff"], estimate)
    if "se_diff" in expected:
        close(tidy["std_error"][0], expected["se_diff"] * factor, error)
    if "mean_participants" in expected:
        close(tidy["estimate"][1:], [expected["mean_participants"], expected["mean_comparison"]], estimate)


def agree_in_ratios(verb, expected, factor=1.0, **arguments):
    """Hold the risk ratio and the odds ratio of a verb against a reference."""
    for measure, name in (("log_risk_ratio", "rr"), ("log_odds_ratio", "or")):
        tidy = verb(measure=measure, **arguments).tidy()
        close(np.exp(tidy["estimate"][0]), expected[name], STACKED)
        close(tidy["std_error"][0], expected[f"se_log_{name}"] * factor, ERROR)
