"""Designs and R's survey package on samples drawn at random: lonely PSUs, stages, unequal probabilities."""

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
SEEDS = (31, 32, 33)
SCRIPT = Path(__file__).with_name("designs_against_r.R")
LONELY = {"remove": "remove", "adjust": "centre", "average": "average"}
STAGES = {"strata": "stratum", "psu": ["psu", "home"], "nested": True}
PLANS = {
    "counts": {**STAGES, "fpc": ["n_psu", "n_home"]},
    "fractions": {**STAGES, "fpc": ["f_psu", "f_home"]},
    "weighted": {**STAGES, "fpc": ["n_psu", "n_home"], "weights": "w"},
    "endless": {**STAGES, "fpc": "n_psu", "weights": "w"},
    "first": {**STAGES, "psu": "psu", "fpc": "n_psu", "weights": "w"},
    "brewer_stages": {**STAGES, "fpc": ["p", "f_home"], "pps": "brewer"},
}
UNEQUAL = {
    "brewer": {"strata": "stratum", "pps": "brewer"},
    "hartley_rao": {"strata": "stratum", "pps": "hartley_rao"},
    "hartley_rao_yg": {"strata": "stratum", "pps": "hartley_rao", "pps_variance": "yates_grundy"},
}


@cache
def why_not():
    """Say why R cannot be asked here; empty where it can."""
    if shutil.which("Rscript") is None:
        return "Rscript is not installed"
    asked = subprocess.run(["Rscript", "-e", "library(survey)"], capture_output=True, text=True, check=False)
    return "" if asked.returncode == 0 else "the R package survey is not installed"


def answers(frame, rng):
    n = len(frame)
    frame["x"] = rng.gamma(4, 10, n)
    frame["y"] = 500 + 3 * frame["x"] + rng.normal(0, 60, n)
    frame["group"] = rng.choice(["g1", "g2", "g3"], n, p=[0.2, 0.4, 0.4])
    return frame


def strata_with_few_units(rng):
    """8 strata of one to four PSUs: some lonely, and more so in a small group."""
    counts = np.concatenate([[1, 1, 2], rng.integers(2, 5, 5)])
    units = [(stratum, psu) for stratum, many in enumerate(counts, start=1) for psu in range(many)]
    rows = [unit for unit in units for _ in range(int(rng.integers(3, 8)))]
    frame = pd.DataFrame(rows, columns=["stratum", "psu"])
    return answers(frame.assign(w=rng.lognormal(3, 0.5, len(rows))), rng)


def units_in_stages(rng):
    rows = []
    for stratum in range(1, 5):
        psus = int(rng.integers(2, 6))
        n_psu = psus + int(rng.integers(0, 12))
        for psu in range(psus):
            homes = int(rng.integers(2, 6))
            n_home, p = homes + int(rng.integers(0, 9)), rng.uniform(0.1, 0.6)
            for home in range(homes):
                rows += [(stratum, psu, home, n_psu, n_home, psus / n_psu, homes / n_home, p)] * int(rng.integers(1, 4))
    columns = ["stratum", "psu", "home", "n_psu", "n_home", "f_psu", "f_home", "p"]
    frame = pd.DataFrame(rows, columns=columns)
    return answers(frame.assign(endless=np.inf, w=rng.lognormal(3, 0.4, len(rows))), rng)


def unequal_units(rng):
    n = int(rng.integers(25, 40))
    frame = pd.DataFrame({"stratum": np.sort(rng.integers(1, 3, n)), "p": rng.uniform(0.05, 0.45, n)})
    return answers(frame, rng)


def joint_probabilities(p, rng):
    """A fixed-size design's kind of matrix, jittered: somewhat below the product for every pair."""
    joint = np.outer(p, p) * (1 - np.triu(rng.uniform(0.01, 0.03, (len(p), len(p))), 1))
    joint = np.triu(joint, 1) + np.triu(joint, 1).T
    np.fill_diagonal(joint, p)
    return joint


@pytest.fixture(scope="module", params=SEEDS)
def sample(request, tmp_path_factory):
    if why_not():
        pytest.skip(why_not())
    rng, folder = np.random.default_rng(request.param), tmp_path_factory.mktemp("r")
    drawn = {"strata": strata_with_few_units(rng), "stages": units_in_stages(rng), "unequal": unequal_units(rng)}
    for name, frame in drawn.items():
        frame.replace(np.inf, "Inf").to_csv(folder / f"{name}.csv", index=False)
    joint = joint_probabilities(drawn["unequal"]["p"].to_numpy(), rng)
    np.savetxt(folder / "joint.csv", joint, delimiter=",", fmt="%.17g")
    run = subprocess.run(["Rscript", str(SCRIPT), str(folder)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return drawn, joint, json.loads((folder / "expected.json").read_text(encoding="utf-8"))


def compare(design, expected, *, totals=True):
    means = ev.survey_mean(design, ["y", "x"])
    inside = ev.domain(design, {"group": "g1"})
    assert (design.degrees_of_freedom(), inside.degrees_of_freedom()) == (expected["df"][0], expected["df_inside"][0])
    assert design.weights == pytest.approx(expected["weights"], rel=ESTIMATE)
    assert means.estimate == pytest.approx(expected["mean"], rel=ESTIMATE)
    assert means.vcov.ravel() == pytest.approx(expected["mean_vcov"], rel=ERROR)
    if totals:
        assert ev.survey_total(design, ["y", "x"]).std_error == pytest.approx(expected["total_se"], rel=ERROR)
    assert ev.survey_mean(inside, "y").std_error == pytest.approx(expected["inside_se"], rel=ERROR)
    assert ev.survey_ratio(design, "y", "x").std_error == pytest.approx(expected["ratio_se"], rel=ERROR)
    if expected["by_se"]:
        assert ev.survey_mean(design, "y", by="group").std_error == pytest.approx(expected["by_se"], rel=ERROR)
        model = ev.survey_glm(design, outcome="y", covariates=["x", "group"])
        assert model.std_error == pytest.approx(expected["glm_se"], rel=ERROR)


@pytest.mark.parametrize("domains", [False, True])
@pytest.mark.parametrize("rule", LONELY)
def test_lonely_units(sample, rule, domains):
    drawn, _, expected = sample
    design = ev.survey_design(
        drawn["strata"],
        weights="w",
        strata="stratum",
        psu="psu",
        nested=True,
        lonely_psu=LONELY[rule],
        lonely_domains=domains,
    )
    compare(design, expected[rule + ("_domains" if domains else "")], totals=rule != "adjust")


@pytest.mark.parametrize("plan", PLANS)
def test_stages(sample, plan):
    drawn, _, expected = sample
    compare(ev.survey_design(drawn["stages"], **PLANS[plan]), expected[plan])


@pytest.mark.parametrize("plan", UNEQUAL)
def test_unequal_probabilities(sample, plan):
    drawn, _, expected = sample
    compare(ev.survey_design(drawn["unequal"], fpc="p", **UNEQUAL[plan]), expected[plan])


@pytest.mark.parametrize("variance", ["horvitz_thompson", "yates_grundy"])
def test_joint_probabilities(sample, variance):
    drawn, joint, expected = sample
    design = ev.survey_design(drawn["unequal"], pps=joint, pps_variance=variance)
    compare(design, expected["joint" if variance == "horvitz_thompson" else "joint_yg"])
