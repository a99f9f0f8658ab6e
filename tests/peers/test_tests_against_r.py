"""Tests and R's survey package on samples drawn at random: missing answers, a domain, raked weights, replicates."""

import json
import runpy
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import evaluation as ev

TOLERANCE = 1e-6
SADDLEPOINT = 1e-4  # R's own root stops there
SEEDS = (51, 52)
SCRIPT = Path(__file__).with_name("tests_against_r.R")
SAMPLES = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("test_against_r.py"))))


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Sample, targets and R's answers by seed; R is asked once per seed."""
    if SAMPLES.why_not():
        pytest.skip(SAMPLES.why_not())
    known = {}

    def ask(seed):
        if seed not in known:
            folder = tmp_path_factory.mktemp(f"tests_{seed}")
            frame = SAMPLES.drawn(seed)
            targets = {name: SAMPLES.targets_of(frame, seed)[name] for name in ("sex", "age", "region", "x")}
            SAMPLES.write(folder, frame, targets)
            done = subprocess.run(
                ["Rscript", "--vanilla", str(SCRIPT), str(folder)], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            known[seed] = (frame, targets, json.loads((folder / "expected.json").read_text(encoding="utf-8")))
        return known[seed]

    return ask


def designs(frame, targets):
    plain = ev.survey_design(frame, weights="w", strata="stratum", psu="psu", fpc="fpc", nested=True, linearization="r")
    return {
        "plain": plain,
        "domain": ev.domain(plain, {"region": ["r2", "r3", "r4"]}),
        "raked": ev.rake(plain, {name: targets[name] for name in ("sex", "age")}),
        "jackknife": ev.as_replicates(plain, kind="JKn"),
    }


def t_numbers(test, *, shift=True):
    return [test.estimate, test.statistic, test.df, test.p_value, *([test.conf_low, test.conf_high] if shift else [])]


def ours(design, name):
    """Return our numbers of one of R's answers, in its order."""
    if name in ("F", "Chisq", "Wald", "adjWald", "saddlepoint"):
        test = ev.survey_chisq(design, "cat", "age", statistic=name)
        return [test.p_value] if name in ("Chisq", "saddlepoint") else [test.statistic, test.p_value]
    if name == "two":
        return t_numbers(ev.survey_ttest(design, "z", by="sex"))
    if name == "one":
        return t_numbers(ev.survey_ttest(design, "y", mu=620))
    if name == "several":
        test = ev.survey_ranktest(design, "z", "age", test="KruskalWallis")
        return [test.statistic * test.ndf, test.p_value]
    if name in ("wilcoxon", "vanderWaerden", "median"):
        return t_numbers(ev.survey_ranktest(design, "z", "sex", test=name), shift=False)
    fit = ev.survey_glm(design, outcome="b", covariates=["x", "age"], family="binomial")
    test = ev.term_test(fit, "age", method=name.removeprefix("term "))
    return [test.statistic, *test.weights, test.p_value]


@pytest.mark.parametrize("label", ["plain", "domain", "raked", "jackknife"])
@pytest.mark.parametrize("seed", SEEDS)
def test_every_test_is_that_of_r(asked, seed, label):
    frame, targets, expected = asked(seed)
    design = designs(frame, targets)[label]
    mine = {name.split(" ", 1)[1]: want for name, want in expected.items() if name.startswith(f"{label} ")}
    assert len(mine) == (7 if label == "jackknife" else 14)
    for name, want in mine.items():
        tolerance = SADDLEPOINT if name in ("saddlepoint", "term working_wald", "term LRT") else TOLERANCE
        given = np.array(ours(design, name), dtype=float)
        assert given == pytest.approx(np.array(want, dtype=float), rel=tolerance, abs=1e-12), name
