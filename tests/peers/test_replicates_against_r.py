"""Replicate designs and R's survey package on samples drawn at random: R's own replicates, and those that both make."""

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
SEEDS = (21, 22, 23)
SCRIPT = Path(__file__).with_name("replicates_against_r.R")
KINDS = {
    "BRR": {"kind": "BRR"},
    "Fay": {"kind": "Fay", "rho": 0.4},
    "JKn": {"kind": "JKn"},
    "JK1": {"kind": "JK1"},
    "canty": {"kind": "bootstrap"},
    "half": {"kind": "bootstrap"},
    "preston": {"kind": "bootstrap"},
}
#: Kinds whose default scale is R's own; R makes the jackknife with a finite population in its scale.
DEFAULT = ("BRR", "Fay", "half", "preston")


@cache
def why_not():
    """Say why R cannot be asked here; empty where it can."""
    if shutil.which("Rscript") is None:
        return "Rscript is not installed"
    asked = subprocess.run(["Rscript", "-e", "library(survey)"], capture_output=True, text=True, check=False)
    return "" if asked.returncode == 0 else "the R package survey is not installed"


def drawn(seed):
    """Two PSUs in each of 6 to 9 strata, households in PSUs, people in households."""
    rng = np.random.default_rng(seed)
    rows = []
    for stratum in range(int(rng.integers(6, 10))):
        fpc = 2 + int(rng.integers(2, 9))
        for psu in range(2):
            households = int(rng.integers(3, 7))
            fpc2, level = households + int(rng.integers(1, 15)), rng.normal(0, 20)
            for household in range(households):
                size = int(rng.integers(1, 4))
                rows += [(f"s{stratum}", psu, f"{stratum}-{psu}", household, fpc, fpc2, level)] * size
    frame = pd.DataFrame(rows, columns=["stratum", "psu", "psuid", "household", "fpc", "fpc2", "level"])
    n = len(frame)
    frame["all"] = frame["psuid"].nunique() + int(rng.integers(5, 50))
    frame["w"] = rng.lognormal(3, 0.5, n)
    frame["sex"] = rng.choice(["f", "m"], n)
    frame["group"] = rng.choice(["g1", "g2", "g3"], n)
    frame["x"] = rng.gamma(4, 10, n)
    frame["y"] = 600 + frame["level"] + 0.8 * frame["x"] + rng.normal(0, 60, n)
    return frame.drop(columns="level")


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Ask R once for each seed: the sample, R's answers, and the folder with R's replicate weights."""
    if why_not():
        pytest.skip(why_not())
    kept = {}

    def ask(seed):
        if seed not in kept:
            folder = tmp_path_factory.mktemp(f"replicates{seed}")
            drawn(seed).to_csv(folder / "people.csv", index=False, float_format="%.17g")
            subprocess.run(["Rscript", str(SCRIPT), str(folder), str(seed)], check=True, capture_output=True)
            answers = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
            kept[seed] = (pd.read_csv(folder / "people.csv"), answers, folder)
        return kept[seed]

    return ask


def close(ours, theirs, tolerance):
    """Compare with R's numbers; null is a limit beyond the data."""
    wanted = np.array([np.nan if value is None else value for value in theirs], dtype=float)
    np.testing.assert_allclose(np.ravel(ours), wanted, rtol=tolerance, atol=1e-12)


def read(people, label, answers, folder, **more):
    values = pd.read_csv(folder / f"{label}.csv").to_numpy()
    return ev.replicate_design(
        people,
        weights="w",
        replicate_weights=values,
        **KINDS[label.removesuffix("_mse")],
        rscales=answers["rscales"],
        mse=label.endswith("_mse"),
        **more,
    )


def compare(design, expected):
    inside = ev.domain(design, {"group": ["g1", "g2"]})
    means = ev.survey_mean(design, ["y", "x"])
    close(means.estimate, expected["mean"], ESTIMATE)
    close(means.vcov, expected["mean_vcov"], ERROR)
    close(ev.survey_total(design, ["y", "x"]).std_error, expected["total_se"], ERROR)
    close(ev.survey_mean(design, "y", by="group").std_error, expected["by_se"], ERROR)
    close(ev.survey_mean(inside, "y").std_error, expected["inside_se"], ERROR)
    close(ev.survey_ratio(design, "y", "x").std_error, expected["ratio_se"], ERROR)
    close(ev.survey_glm(design, outcome="y", covariates="~ x + sex").std_error, expected["glm_se"], ERROR)
    close([design.degrees_of_freedom(), inside.degrees_of_freedom()], expected["df"] + expected["df_inside"], 0)
    quantiles = ev.survey_quantile(design, "y", probabilities=[0.25, 0.5, 0.9]).tidy()
    for column, theirs in (("estimate", "quantile"), ("conf_low", "low"), ("conf_high", "high")):
        close(quantiles[column], expected[theirs], ESTIMATE)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("label", [name + end for name in KINDS for end in ("", "_mse")])
def test_r_makes_the_same_of_its_own_replicates(asked, seed, label):
    people, answers, folder = asked(seed)
    expected = answers[label]
    compare(read(people, label, expected, folder, scale=expected["scale"][0]), expected)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("label", DEFAULT)
def test_the_default_scale_is_that_of_r(asked, seed, label):
    people, answers, folder = asked(seed)
    expected = answers[label]
    engine = read(people, label, {"rscales": np.ones(len(expected["rscales"]))}, folder).engine
    assert engine.scale == pytest.approx(expected["scale"][0] * expected["rscales"][0], rel=1e-14)


@pytest.mark.parametrize("seed", SEEDS)
def test_both_make_the_same_jackknife(asked, seed):
    people, answers, folder = asked(seed)
    declared = {
        "JKn": ev.survey_design(people, weights="w", strata="stratum", psu="psu", fpc="fpc", nested=True),
        "JK1": ev.survey_design(people, weights="w", psu="psuid", fpc="all"),
    }
    for label, design in declared.items():
        made = ev.as_replicates(design, kind=label)
        theirs = pd.read_csv(folder / f"{label}.csv").to_numpy()
        np.testing.assert_allclose(ordered(np.array(list(made.replicate_weights())).T), ordered(theirs), rtol=1e-12)
        compare(made, answers[label])


def ordered(columns):
    """Sort columns; which replicate comes first says nothing."""
    return columns[:, np.lexsort(columns)]


@pytest.mark.parametrize("seed", SEEDS)
def test_half_samples_agree_on_totals_whatever_the_matrix(asked, seed):
    people, answers, _ = asked(seed)
    design = ev.survey_design(people, weights="w", strata="stratum", psu="psu", nested=True)
    for label in ("BRR", "Fay"):
        made = ev.as_replicates(design, **KINDS[label])
        close(ev.survey_total(made, ["y", "x"]).std_error, answers[label]["total_se"], ERROR)
        assert made.degrees_of_freedom() == answers[label]["df"][0]


@pytest.mark.parametrize("seed", SEEDS)
def test_prestons_factors_take_the_same_values(asked, seed):
    people, _, folder = asked(seed)
    design = ev.survey_design(
        people, weights="w", strata="stratum", psu=["psu", "household"], fpc=["fpc", "fpc2"], nested=True
    )
    made = ev.as_replicates(design, kind="preston", replicates=400, seed=seed).replicates
    theirs = pd.read_csv(folder / "factors.csv").to_numpy()
    for row in range(len(people)):
        ours = np.unique(made.factors[made.unit[row]].round(9))
        np.testing.assert_allclose(ours, np.unique(theirs[row].round(9)), rtol=1e-7)
