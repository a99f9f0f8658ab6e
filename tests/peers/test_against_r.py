"""Our verbs and R's survey package on samples drawn at random: same designs, same gaps, same weights, same numbers."""

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import evaluation as ev

ESTIMATE = 1e-8
ERROR = 1e-6
FLOOR = 1e-12
SEEDS = (11, 12, 13)
SCRIPT = Path(__file__).with_name("against_r.R")


@cache
def why_not():
    """Say why R cannot be asked here; empty where it can."""
    if shutil.which("Rscript") is None:
        return "Rscript is not installed"
    asked = subprocess.run(["Rscript", "-e", "library(survey)"], capture_output=True, text=True, check=False)
    return "" if asked.returncode == 0 else "the R package survey is not installed"


# --- samples ----------------------------------------------------------------------------------------------------


def drawn(seed):
    """Draw a sample of 2 to 4 strata, PSUs that start afresh in each, households in PSUs, people in households."""
    rng = np.random.default_rng(seed)
    rows = []
    for stratum in range(int(rng.integers(2, 5))):
        n_psus = int(rng.integers(4, 8))
        fpc = n_psus + int(rng.integers(1, 30))
        for psu in range(n_psus):
            households = int(rng.integers(3, 7))
            fpc2 = households + int(rng.integers(1, 15))
            level = rng.normal(0, 40)
            for household in range(households):
                size = int(rng.integers(1, 4))
                rows += [(f"s{stratum}", psu, f"{stratum}-{psu}", household, fpc, fpc2, level)] * size
    frame = pd.DataFrame(rows, columns=["stratum", "psu", "psuid", "household", "fpc", "fpc2", "level"])
    return answered(frame, rng)


def answered(frame, rng):
    n = len(frame)
    frame["all"] = frame["psuid"].nunique() + int(rng.integers(5, 50))
    frame["w"] = rng.lognormal(3, 0.5, n)
    frame["wz"] = np.where(rng.uniform(size=n) < 0.15, 0.0, frame["w"])
    frame["sex"] = rng.choice(["f", "m"], n)
    frame["age"] = rng.choice(["middle", "old", "young"], n, p=[0.5, 0.2, 0.3])
    frame["region"] = rng.choice(["r1", "r2", "r3", "r4"], n)
    frame["group"] = rng.choice(["g1", "g2", "g3", None], n, p=[0.4, 0.3, 0.25, 0.05])
    frame["cat"] = rng.choice(["a", "b", "c", None], n, p=[0.5, 0.3, 0.1, 0.1])
    frame["x"] = rng.gamma(4, 10, n)
    frame["y"] = 600 + frame["level"] + 0.8 * frame["x"] + 10 * (frame["sex"] == "f") + rng.normal(0, 60, n)
    gap = rng.uniform(size=n) < 0.12
    frame["z"] = np.where(gap, np.nan, (0.3 * frame["y"] + rng.normal(0, 20, n)).round(0))
    frame["b"] = (rng.uniform(size=n) < 1 / (1 + np.exp(-(frame["x"] - 40) / 25))).astype(int)
    return frame.drop(columns="level")


def targets_of(frame, seed):
    """Population counts that differ from the weighted sample by up to a fifth, and a total of x."""
    rng = np.random.default_rng(seed + 1000)
    size = 1.1 * frame["w"].sum()
    made = {}
    for margin in ("sex", "age", "region"):
        shares = frame.groupby(margin)["w"].sum() * rng.uniform(0.8, 1.2, frame[margin].nunique())
        made[margin] = (shares / shares.sum() * size).to_dict()
    made["x"] = float((frame["w"] * frame["x"]).sum() * 1.12)
    return made


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Sample, targets and R's answers by seed; R is asked once per seed."""
    if why_not():
        pytest.skip(why_not())
    known = {}

    def ask(seed):
        if seed not in known:
            folder = tmp_path_factory.mktemp(f"seed_{seed}")
            frame = drawn(seed)
            targets = targets_of(frame, seed)
            write(folder, frame, targets)
            done = subprocess.run(
                ["Rscript", "--vanilla", str(SCRIPT), str(folder)], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
            known[seed] = (frame, targets, expected)
        return known[seed]

    return ask


def write(folder, frame, targets):
    frame.to_csv(folder / "people.csv", index=False, float_format="%.17g", encoding="utf-8")
    rows = [(name, level, value) for name in ("sex", "age", "region") for level, value in targets[name].items()]
    rows.append(("x", "", targets["x"]))
    table = pd.DataFrame(rows, columns=["margin", "level", "value"])
    table.to_csv(folder / "targets.csv", index=False, float_format="%.17g", encoding="utf-8")


# --- our side ---------------------------------------------------------------------------------------------------


def plain(frame, **options):
    def design(**drawing):
        return ev.survey_design(frame, nested=True, linearization="r", **drawing, **options)

    return {
        "strata": lambda: design(weights="w", strata="stratum", psu="psu", fpc="fpc"),
        "replaced": lambda: design(weights="w", strata="stratum", psu="psu"),
        "stages": lambda: design(weights="w", strata="stratum", psu=["psu", "household"], fpc=["fpc", "fpc2"]),
        "implied": lambda: design(strata="stratum", psu=["psu", "household"], fpc=["fpc", "fpc2"]),
        "people": lambda: design(weights="w"),
        "zeros": lambda: design(weights="wz", strata="stratum", psu="psu"),
        "clusters": lambda: design(weights="w", psu="psuid", fpc="all"),
    }


def chains(targets):
    sex, age, region = ({name: targets[name]} for name in ("sex", "age", "region"))
    numeric = {**sex, "x": targets["x"]}

    def post(design, margin):
        return ev.poststratify(design, margin)

    def loop(design):
        return ev.rake(design, {**sex, **age})

    def linear(design, distance="linear"):
        return ev.calibrate(design, numeric, distance=distance)

    return {
        "post": lambda d: post(d, sex),
        "raked": loop,
        "linear": linear,
        "exponential": lambda d: linear(d, "raking"),
        "post post": lambda d: post(post(d, sex), age),
        "raked linear": lambda d: linear(loop(d)),
        "post raked linear": lambda d: linear(loop(post(d, region))),
        "linear exponential post": lambda d: post(linear(linear(d), "raking"), age),
    }


def designs(frame, targets):
    """Makers of every design that R is asked about, by the name it has there."""
    base, steps = plain(frame), chains(targets)
    made = {name: base[name] for name in ("strata", "replaced", "stages", "implied", "people", "zeros")}
    for name in ("strata", "stages"):
        made |= {f"{name} {chain}": lambda n=name, c=chain: steps[c](base[n]()) for chain in steps}
    for name, drawn_as, kind in (("jkn", "strata", "JKn"), ("jk1", "clusters", "JK1")):
        made[name] = lambda n=drawn_as, k=kind: ev.as_replicates(base[n](), kind=k)
        for chain in ("post", "raked", "linear"):
            made[f"{name} {chain}"] = lambda n=drawn_as, k=kind, c=chain: ev.as_replicates(steps[c](base[n]()), kind=k)
    return made


def as_r(result):
    """Estimates with R's names for what a test compares; shares by domain in R's order."""
    others = [name for name in result.keys.columns if name not in ("term", "level")]
    if "level" in result.keys and others:
        result = result.take(result.keys.sort_values(["level", *others]).index.to_numpy())
    low, high = result.confidence_interval().T
    return {
        "estimate": result.estimate,
        "se": result.std_error,
        "low": low,
        "high": high,
        "df": result.df,
        "vcov": result.vcov.ravel(),
    }


def inside(design):
    return ev.domain(design, {"group": ["g1", "g2"]})


MEANS = {
    "mean": lambda d: as_r(ev.survey_mean(d, "y")),
    "mean with gaps": lambda d: as_r(ev.survey_mean(d, "z")),
    "means listwise": lambda d: as_r(ev.survey_mean(d, ["y", "z"], listwise=True)),
    "total with gaps": lambda d: as_r(ev.survey_total(d, "z")),
    "counts": lambda d: as_r(ev.survey_total(d, "cat")),
    "ratio": lambda d: as_r(ev.survey_ratio(d, "z", "x")),
    "mean by": lambda d: as_r(ev.survey_mean(d, "z", by="group")),
    "total by two": lambda d: as_r(ev.survey_total(d, "y", by=["sex", "group"])),
    "ratio by": lambda d: as_r(ev.survey_ratio(d, "y", "x", by="group")),
    "shares": lambda d: as_r(ev.survey_prop(d, "cat")),
    "shares by": lambda d: as_r(ev.survey_prop(d, "cat", by="group")),
    "df by": lambda d: {"df": ev.survey_mean(d, "z", by="group").df},
    "domain": lambda d: as_r(ev.survey_mean(inside(d), "y")),
    "gaussian": lambda d: as_r(ev.survey_glm(d, outcome="z", covariates=["x", "sex"])),
    "logit": lambda d: as_r(ev.survey_glm(d, outcome="b", covariates="~ x + group", family="binomial")),
    "gaussian in domain": lambda d: as_r(ev.survey_glm(inside(d), outcome="y", covariates="x")),
}


def quantiles(design):
    """Quantiles as R 4.1 gives them: where the smallest answer reaches the share asked for, it takes the next."""
    made = as_r(ev.survey_quantile(design, "z", probabilities=[0.1, 0.25, 0.5, 0.75, 0.9]))
    first, second = np.sort(design.data["z"][design.present].dropna())[:2]
    slip = {key: np.where(made[key] == first, second, made[key]) for key in ("estimate", "low", "high")}
    t = stats.t.ppf(0.975, made["df"])
    return {**slip, "se": (slip["high"] - slip["low"]) / (2 * t)}


def chisq(design):
    test = ev.survey_chisq(design, "sex", "cat")
    return {"test": [test.statistic, test.ndf, test.ddf, test.p_value]}


def deff(design):
    results = [ev.survey_mean(design, ["y", "z"], deff=True), ev.survey_total(design, "y", deff=True)]
    results.append(ev.survey_mean(ev.domain(design, {"group": "g1"}), "y", deff=True))
    return {"deff": np.concatenate([result.columns["deff"] for result in results])}


def share(design, level):
    result = ev.survey_prop(design, "cat")
    return as_r(result.take(np.flatnonzero(result.keys["level"] == level)))


MORE = {
    "quantiles": quantiles,
    "quantiles g2": lambda d: quantiles(ev.domain(d, {"group": "g2"})),
    "logit interval a": lambda d: share(d, "a"),
    "logit interval b": lambda d: share(d, "b"),
    "logit interval c": lambda d: share(d, "c"),
    "chisq all": chisq,
    "chisq domain": lambda d: chisq(inside(d)),
    "deff": deff,
}
PLAIN = ("strata", "replaced", "stages", "implied", "people", "zeros")
NAMES = sorted(designs(drawn(SEEDS[0]), targets_of(drawn(SEEDS[0]), SEEDS[0])))


# Weighting raises the rank of the replicate weights, which R then takes for degrees of freedom; ours stay the design's.
OF_RANK = ("df", "low", "high")


def differences(ours, expected, leave_out=()):
    """Say for each number of R whether ours is another."""
    found = []
    for key, wanted in expected.items():
        if key in leave_out:
            continue
        theirs = np.array([np.nan if value is None else value for value in wanted], dtype=float)
        mine = np.asarray(ours[key], dtype=float)
        scale = np.abs(theirs)
        if key == "vcov":
            spread = np.sqrt(np.diag(theirs.reshape(round(theirs.size**0.5), -1)))
            scale = np.outer(spread, spread).ravel()
        tolerance = ESTIMATE if key in ("estimate", "df") else ERROR
        same = (
            mine.shape == theirs.shape
            and ((np.abs(mine - theirs) <= tolerance * scale + FLOOR) | (np.isnan(mine) & np.isnan(theirs))).all()
        )
        if not same:
            found.append(f"{key}: ours {mine.tolist()}, R {theirs.tolist()}")
    return found


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", NAMES)
def test_r_says_the_same(asked, seed, name):
    frame, targets, expected = asked(seed)
    design = designs(frame, targets)[name]()
    verbs = MEANS | MORE if name in PLAIN else MEANS
    assert all(f"{name} {verb}" in expected for verb in verbs)
    leave_out = OF_RANK if design.replicates is not None and design.steps else ()
    wrong = {verb: differences(make(design), expected[f"{name} {verb}"], leave_out) for verb, make in verbs.items()}
    assert not {verb: found for verb, found in wrong.items() if found}


@pytest.mark.parametrize("seed", SEEDS)
def test_r_makes_the_same_weights(asked, seed):
    frame, targets, expected = asked(seed)
    made = designs(frame, targets)
    for name in (name for name in NAMES if f"{name} weights" in expected):
        np.testing.assert_allclose(made[name]().weights, expected[f"{name} weights"]["estimate"], rtol=1e-9)
    trimmed = ev.trim_weights(plain(frame)["people"](), upper=1.2)
    np.testing.assert_allclose(trimmed.weights, expected["people trimmed"]["estimate"], rtol=1e-9)


def test_a_number_that_is_off_is_found():
    right = {"estimate": [1.0, 2.0], "se": [0.5, 0.25]}
    assert differences(right, right) == []
    assert len(differences({"estimate": [1.0, 2.0 + 1e-7], "se": [0.5, 0.25 * (1 + 1e-5)]}, right)) == 2
    assert len(differences({"estimate": [1.0], "se": [0.5, np.nan]}, right)) == 2
