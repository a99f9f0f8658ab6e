"""Every reference call asked of R and of us on data perturbed at random: answers, weights, levels, replicates."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from answers.comparing import differences
from answers.designs import FOLDER, Setting
from answers.items import ANSWERS, ITEMS, ON_PURPOSE
from answers.rscript import told, why_not

SCRIPT = Path(__file__).with_name("every_call.R")
SEEDS = (31,)
#: R's names of the samples.
SAMPLES = {
    "apistrat_": "apistrat",
    "apiclus1_": "apiclus1",
    "s2": "own_strat2psu",
    "bw": "own_strat2psu_brr",
    "fw": "own_strat2psu_fay03",
    "ow": "apiclus1_bootstrap",
    "mu": "mu284",
    "fpcd": "fpc",
    "yr": "yrbs",
    "epps": "election_pps",
    "scd_": "scd",
    "lo": "own_lonely",
    "mi_": "apistrat_imputed",
}
WEIGHTS = {
    "apistrat": "pw",
    "apiclus1": "pw",
    "own_strat2psu": "wt",
    "own_lonely": "wt",
    "apistrat_imputed": "pw",
    "yrbs": "weight",
    "election_pps": "wt",
}
CLUSTERED = ("apiclus1", "own_strat2psu", "own_lonely")
#: Replicate weights move with the weights that they are multiples of.
OF_WEIGHTS = {
    "own_strat2psu_brr": "own_strat2psu",
    "own_strat2psu_fay03": "own_strat2psu",
    "apiclus1_bootstrap": "apiclus1",
}
MEASURED = ("api00", "api99", "meals", "ell", "mobility", "enroll", "api.stu", "avg.ed", "x", "y1", "Bush", "Kerry")
TURNED = ("comp.imp", "sch.wide")
IMPUTED = """svydesign(id = ~1, strata = ~stype, weights = ~pw, fpc = ~fpc, data = imputationList(lapply(1:5,
    function(i) { x <- mi_; x$acs <- x[[paste0("acs_core_", i)]]; x })))""".replace("\n", " ")


def is_asked(item):
    """Leave out what survey 4.1 has not, or has otherwise than 4.5."""
    return "survey 4.5" not in item.note and item.id not in ON_PURPOSE


ASKED = [item for item in ITEMS if is_asked(item)]
CAPABILITIES = sorted({item.capability for item in ASKED})


def perturbed(name, rng, factors):
    """Return a sample with other measurements, weights and answers; what its design rests on stays."""
    frame = pd.read_csv(FOLDER / f"{name}.csv")
    if name in OF_WEIGHTS:
        return frame.mul(factors[OF_WEIGHTS[name]], axis=0)
    for column in frame.columns.intersection(MEASURED):
        frame[column] = frame[column] * rng.uniform(0.95, 1.05, len(frame))
    if {"meals", "stype"} <= set(frame):
        frame["meals"] = frame["meals"].clip(0, 100)
    for column in frame.columns.intersection(TURNED):
        turned = rng.uniform(size=len(frame)) < 0.06
        frame[column] = frame[column].where(~turned, frame[column].map({"No": "Yes", "Yes": "No"}))
    if name in WEIGHTS:
        # One factor for each district: calibration by cluster takes weights that are alike in it.
        cluster = pd.factorize(frame["dnum"])[0] if name in CLUSTERED else np.arange(len(frame))
        factors[name] = rng.uniform(0.85, 1.15, len(frame))[cluster]
        frame[WEIGHTS[name]] = frame[WEIGHTS[name]] * factors[name]
    return frame


def write(folder, seed):
    """Write everything that the script reads."""
    rng, factors = np.random.default_rng(seed), {}
    for name in sorted(SAMPLES.values(), key=lambda name: (name in OF_WEIGHTS, name)):
        perturbed(name, rng, factors).to_csv(folder / f"{name}.csv", index=False, float_format="%.17g")
    designs = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))["designs"]
    expressions = {name: design["R"] for name, design in designs.items()} | {"dmi": IMPUTED}
    lines = {
        "samples.txt": SAMPLES.items(),
        "designs.txt": expressions.items(),
        "calls.txt": [(item.id, item.R_call.replace(") svyolr(", "); svyolr(")) for item in ASKED],
    }
    for name, pairs in lines.items():
        (folder / name).write_text("".join(f"{one}\t{two}\n" for one, two in pairs), encoding="utf-8")


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """The folder and R's answers by seed; R is started once for each."""
    if why_not():
        pytest.skip(why_not())
    known = {}

    def ask(seed):
        if seed not in known:
            folder = tmp_path_factory.mktemp(f"seed_{seed}")
            write(folder, seed)
            told(SCRIPT, folder)
            known[seed] = (folder, json.loads((folder / "answers.json").read_text(encoding="utf-8")))
        return known[seed]

    return ask


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("capability", CAPABILITIES)
def test_r_says_the_same_of_other_data(asked, seed, capability):
    folder, answers = asked(seed)
    for item in (item for item in ASKED if item.capability == capability):
        theirs = answers[item.id]
        if set(item.expect) != {"error"}:
            assert "error" not in theirs, (item.R_call, theirs)
        ours = ANSWERS[item.function](item.call, Setting(item.call, folder=folder))
        found = differences(ours, theirs if "error" not in theirs else item.expect, item.looser[0])
        assert found
        assert [str(each) for each in found if each.is_too_large] == [], item.R_call
