"""Contributions kept in factors give what the whole table of them gives."""

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.design import contributions
from evaluation.design.contributions import DomainContributions

EXACT = 1e-12


def respondents(seed, n=600):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "s": rng.integers(0, 7, n),
            "w": rng.uniform(5, 15, n),
            "d": rng.choice(list("abcdef"), n),
            "sex": rng.choice(["f", "m"], n),
            "age": rng.choice(["old", "young", "middle"], n),
            "x": rng.normal(50, 10, n),
            "answer": rng.choice(["no", "perhaps", "yes"], n),
            "part": rng.choice(["in", "out"], n, p=[0.8, 0.2]),
            "y": rng.normal(1e3, 1, n),
        }
    )
    frame["z"] = frame["x"] + rng.normal(0, 3, n)
    frame["size"] = frame["s"].map(lambda s: 200.0 + 50 * s)
    frame.loc[rng.uniform(size=n) < 0.1, "z"] = np.nan
    frame.loc[rng.uniform(size=n) < 0.1, "answer"] = None
    frame.loc[rng.uniform(size=n) < 0.05, "d"] = None
    frame["id"] = rng.permutation(n)
    return frame


def chained(design, frame):
    size = frame["w"].sum() * 1.1
    shares = {"sex": {"f": 0.52, "m": 0.48}, "age": {"middle": 0.4, "old": 0.27, "young": 0.33}}
    margins = {name: {level: size * part for level, part in levels.items()} for name, levels in shares.items()}
    return ev.calibrate(ev.rake(design, margins), {"total": size, "x": size * 50.2})


DESIGNS = {
    "respondents": {},
    "strata": {"strata": "s"},
    "fpc": {"strata": "s", "fpc": "size"},
    "ids": {"strata": "s", "psu": "id"},
}
VERBS = {
    "mean": lambda d: ev.survey_mean(d, ["y", "x", "z"], by="d"),
    "mean of those who answered all": lambda d: ev.survey_mean(d, ["y", "z"], by=["d", "sex"], listwise=True),
    "total": lambda d: ev.survey_total(d, ["y", "z"], by="d"),
    "count": lambda d: ev.survey_total(d, "answer", by="d"),
    "share": lambda d: ev.survey_prop(d, ["answer", "sex"], by="d"),
    "ratio": lambda d: ev.survey_ratio(d, "z", "x", by="d"),
    "quantile": lambda d: ev.survey_quantile(d, ["x"], probabilities=[0.25, 0.5], by="d"),
    "variance": lambda d: ev.survey_variance(d, ["x", "z"], by="d"),
    "gini": lambda d: ev.survey_gini(d, "y", by="d"),
    "deff": lambda d: ev.survey_mean(d, ["y", "z"], by="d", deff=True),
    "one number less another": lambda d: ev.contrast(
        [ev.survey_mean(d, ["x", "z"], by="d"), ev.survey_total(d, "y", by="d")],
        {"gap": {"x | d=a": 1, "z | d=b": -1}} | {"both": {"y | d=c": 1, "x | d=a": -2}},
    ),
}


def design_of(kind, chain, part, seed):
    frame = respondents(seed)
    design = ev.survey_design(frame, weights="w", **DESIGNS[kind])
    design = chained(design, frame) if chain else design
    return ev.domain(design, {"part": "in"}) if part else design


def both(monkeypatch, make):
    dense = make()
    monkeypatch.setattr(contributions, "LARGE", 0)
    return dense, make()


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("chain", [False, True], ids=["design weights", "chain"])
@pytest.mark.parametrize("kind", DESIGNS)
def test_factors_give_what_the_whole_table_gives(monkeypatch, kind, chain, verb):
    part = verb in ("mean", "share", "ratio")
    design = design_of(kind, chain, part, seed=len(kind) + len(verb))
    dense, factored = both(monkeypatch, lambda: VERBS[verb](design))
    spread = np.sqrt(np.diag(dense.vcov))
    assert factored.keys.equals(dense.keys)
    np.testing.assert_allclose(factored.estimate, dense.estimate, rtol=EXACT)
    np.testing.assert_allclose(factored.vcov, dense.vcov, rtol=EXACT, atol=EXACT * np.outer(spread, spread).max())
    np.testing.assert_allclose(
        factored.vcov / np.outer(spread, spread), dense.vcov / np.outer(spread, spread), atol=EXACT
    )
    if dense.contributions is not None:
        table = np.asarray(dense.contributions)
        atol = EXACT * np.abs(table).max()
        np.testing.assert_allclose(np.asarray(factored.contributions), table, rtol=EXACT, atol=atol)
    for name, column in dense.columns.items():
        np.testing.assert_allclose(factored.columns[name], column, rtol=1e-11)


def test_a_table_in_factors_is_what_these_verbs_keep(monkeypatch):
    monkeypatch.setattr(contributions, "LARGE", 0)
    design = design_of("strata", chain=True, part=False, seed=1)
    for verb in ("mean", "total", "share", "count", "ratio"):
        assert isinstance(VERBS[verb](design).contributions, DomainContributions)


@pytest.mark.parametrize("chain", [False, True], ids=["design weights", "chain"])
def test_columns_and_products_are_those_of_the_whole_table(monkeypatch, chain):
    monkeypatch.setattr(contributions, "LARGE", 0)
    made = VERBS["mean"](design_of("fpc", chain, part=False, seed=3)).contributions
    whole, rng = np.asarray(made), np.random.default_rng(1)
    matrix, at = rng.normal(size=(whole.shape[1], 3)), np.array([4, 1, 4, 17])
    atol = 1e-12 * np.abs(whole).max()
    assert made.shape == whole.shape
    assert len(made) == len(whole)
    np.testing.assert_allclose(made @ matrix, whole @ matrix, atol=100 * atol)
    np.testing.assert_allclose(made @ matrix[:, 0], whole @ matrix[:, 0], atol=100 * atol)
    np.testing.assert_allclose(made[:, at], whole[:, at], atol=atol)
    np.testing.assert_allclose(made[:, 2], whole[:, 2], atol=atol)
    np.testing.assert_allclose(made[:, 2:5], whole[:, 2:5], atol=atol)
    np.testing.assert_array_equal(made[3:9], whole[3:9])
    np.testing.assert_array_equal(made * 2 - whole, whole)


def test_what_the_design_or_the_chain_fixes_has_no_error(monkeypatch):
    frame = respondents(5)
    frame["w"] = 10.0 + frame["s"] / 3
    frame["one"] = 1.0
    monkeypatch.setattr(contributions, "LARGE", 0)
    design = ev.survey_design(frame, weights="w", strata="s")
    counts = ev.survey_total(design, "one", by="s")
    assert isinstance(counts.contributions, DomainContributions)
    assert counts.std_error.tolist() == [0.0] * 7
    means = ev.survey_mean(chained(design, frame), "one", by="d")
    assert means.std_error.tolist() == [0.0] * 6
    counts = ev.survey_total(chained(design, frame.drop(columns="d")), "one", by="age")
    # The last step calibrates other totals, so that those of ages are no longer fixed; after raking alone they are.
    assert (counts.std_error > 1).all()
    size = frame["w"].sum()
    ages = {"age": {"middle": size * 0.4, "old": size * 0.27, "young": size * 0.33}}
    raked = ev.rake(design, ages | {"sex": {"f": size * 0.52, "m": size * 0.48}})
    counts = ev.survey_total(raked, "one", by="age")
    assert isinstance(counts.contributions, DomainContributions)
    assert (np.sqrt(np.diag(counts.vcov)) < 1e-10 * counts.estimate).all()


def test_domains_in_which_nobody_answered_have_no_variance_and_leave_the_others_theirs(monkeypatch):
    frame = respondents(6)
    frame.loc[frame["d"] == "b", "z"] = np.nan
    design = ev.survey_design(frame, weights="w", strata="s")
    dense, factored = both(monkeypatch, lambda: ev.survey_mean(design, ["x", "z"], by="d"))
    assert isinstance(factored.contributions, DomainContributions)
    assert np.isnan(dense.vcov).any()
    np.testing.assert_allclose(factored.vcov, dense.vcov, rtol=EXACT, atol=EXACT * np.nanmax(dense.vcov))
    np.testing.assert_array_equal(np.isnan(np.asarray(factored.contributions)), np.isnan(dense.contributions))


@pytest.mark.parametrize("rows", [5, 40])
def test_pieces_of_any_size_give_the_same(monkeypatch, rows):
    design = design_of("fpc", chain=True, part=False, seed=9)
    dense = VERBS["mean"](design)
    for name, size in (("LARGE", 0), ("ROWS", rows), ("MEANS", 6)):
        monkeypatch.setattr(contributions, name, size)
    factored = VERBS["mean"](design)
    np.testing.assert_allclose(factored.vcov, dense.vcov, rtol=EXACT, atol=EXACT * np.abs(dense.vcov).max())


@pytest.mark.parametrize("rule", ["remove", "centre", "average"])
def test_strata_with_one_respondent_are_treated_as_in_the_whole_table(monkeypatch, rule):
    frame = respondents(8)
    frame.loc[0, "s"] = 99
    design = ev.survey_design(frame, weights="w", strata="s", lonely_psu=rule)
    dense, factored = both(monkeypatch, lambda: VERBS["mean"](design))
    np.testing.assert_allclose(factored.vcov, dense.vcov, rtol=EXACT, atol=EXACT * np.abs(dense.vcov).max())
