"""Scripts that we write for R are run by R: it must come to our numbers, from data perturbed at random."""

import numpy as np
import pandas as pd
import pytest
from answers.designs import FOLDER
from answers.rscript import told, why_not

import evaluation as ev

ESTIMATE = 1e-8
ERROR = 1e-6
SEED = 41
STYPE = {"stype": {"E": 4421, "H": 755, "M": 1018}}
SCHOOL_WIDE = {"sch.wide": {"No": 1072, "Yes": 5122}}
CROSSED = {
    "stype:comp.imp": {
        ("E", "No"): 885,
        ("H", "No"): 438,
        ("M", "No"): 389,
        ("E", "Yes"): 3536,
        ("H", "Yes"): 317,
        ("M", "Yes"): 629,
    }
}
API99 = {"api99": 3914069}

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "R answers")


def sample(name):
    rng = np.random.default_rng(SEED)
    frame = pd.read_csv(FOLDER / f"{name}.csv")
    for column in ("api00", "api99", "enroll", "api.stu", "ell"):
        frame[column] = frame[column] * rng.uniform(0.95, 1.05, len(frame))
    frame["구"] = rng.choice(["강남", "강북", 'say "x", y', None], len(frame))
    frame["score 1"] = np.where(rng.uniform(size=len(frame)) < 0.1, np.nan, rng.integers(1, 6, len(frame)))
    frame["grade"] = rng.integers(1, 4, len(frame)).astype(float)
    frame["visits"] = rng.poisson(2, len(frame)).astype(float)
    return frame


def clus1(**options):
    return ev.survey_design(sample("apiclus1"), weights="pw", psu="dnum", fpc="fpc", linearization="r", **options)


def strat():
    return ev.survey_design(sample("apistrat"), weights="pw", strata="stype", fpc="fpc", linearization="r")


def two_stages():
    frame = sample("own_strat2psu")
    return ev.survey_design(
        frame,
        weights="wt",
        strata="stratum",
        psu=["dnum", "snum"],
        fpc=["Nh", "Mi"],
        nested=True,
        linearization="r",
    )


def lonely(rule, domains):
    frame = sample("own_lonely")
    return ev.survey_design(
        frame,
        weights="wt",
        strata="stratum",
        psu="dnum",
        nested=True,
        lonely_psu=rule,
        lonely_domains=domains,
        linearization="r",
    )


def linear(design, **options):
    return ev.calibrate(design, STYPE | API99, **options)


def raked(design):
    return ev.rake(design, STYPE | SCHOOL_WIDE)


def nonresponse(design):
    return ev.normalise_weights(design, to="n")


def jackknifed():
    return ev.poststratify(ev.as_replicates(clus1(), kind="JK1"), STYPE)


def half_sampled():
    frame = sample("own_strat2psu")
    design = ev.survey_design(frame, weights="wt", strata="stratum", psu="dnum", nested=True, linearization="r")
    return raked(ev.as_replicates(design, kind="BRR"))


DESIGNS = {
    "strata": strat,
    "clusters": clus1,
    "two stages": two_stages,
    "lonely centred": lambda: ev.poststratify(lonely("centre", True), STYPE),
    "lonely averaged": lambda: lonely("average", False),
    "post-stratified, crossed": lambda: ev.poststratify(clus1(), CROSSED),
    "raked, trimmed, raked": lambda: raked(ev.trim_weights(raked(clus1()), upper=60, relative_to="none")),
    "post-stratified, calibrated": lambda: linear(ev.poststratify(clus1(), SCHOOL_WIDE)),
    "bounded": lambda: linear(clus1(), bounds=(0.5, 2)),
    "logit": lambda: linear(clus1(), distance="logit", bounds=(0.5, 2)),
    "exponential": lambda: ev.calibrate(clus1(), {"total": 6194} | API99, distance="raking"),
    "by cluster": lambda: linear(clus1(), distance="raking", cluster="dnum"),
    "trimmed twice": lambda: ev.trim_weights(strat(), upper=1.3, lower=0.6),
    "domain of a raked design": lambda: ev.domain(raked(clus1()), {"stype": ["E", "M"]}),
    "jackknife": lambda: ev.as_replicates(clus1(), kind="JK1"),
    "jackknife, post-stratified": jackknifed,
    "half-samples, raked": half_sampled,
}


def contrasts(design, made):
    """Combine what stands: groups, variables, coefficients, shares; linearly and not."""
    first, second, *_ = made["by"].addresses()
    asked = {
        "gap": ev.contrast(made["by"], {"gap": {first: 1, second: -1}, "구 중간": {first: 0.5, second: 0.5}}),
        "gain": ev.contrast(ev.survey_mean(design, ["api00", "api99"]), {"gain": {"api00": 1, "api99": -1}}),
        "slopes": ev.contrast(made["counted"], {"at two": {"(Intercept)": 1, "grade": 2}}),
    }
    if design.replicates is None:
        words = {"a": first, "b": second}
        asked["relative"] = ev.nonlinear_contrast(made["by"], {"growth": "(a / b) ** 2 - log(a)"}, names=words)
    return asked


def results(design):
    """Ask of a design whatever a script can say."""
    made = {
        "means": ev.survey_mean(design, ["api00", "score 1"]),
        "listwise": ev.survey_mean(design, ["api00", "score 1"], listwise=True),
        "by": ev.survey_mean(design, "score 1", by="구"),
        "totals": ev.survey_total(design, ["enroll", "api.stu"], by="grade"),
        "counts": ev.survey_total(design, "구"),
        "shares": ev.survey_prop(design, "구"),
        "shares by": ev.survey_prop(design, "grade", by="comp.imp"),
        "ratio": ev.survey_ratio(design, "api.stu", "enroll"),
        "ratio by": ev.survey_ratio(design, "api.stu", "enroll", by="comp.imp"),
        "variance": ev.survey_variance(design, "api00"),
        "median": ev.survey_quantile(design, "api00", probabilities=[0.5, 0.6]),
        "quartile": ev.survey_quantile(design, "api00", probabilities=[0.25], rule="hf7", interval="xlogit"),
        "linear": ev.survey_glm(design, outcome="api00", covariates="~ ell * C(grade)"),
        "logistic": ev.survey_glm(design, outcome="comp.imp", covariates=["api99", "ell"], family="binomial"),
        "counted": ev.survey_glm(design, outcome="visits", covariates=["grade"], family="poisson"),
        "inverse": ev.survey_glm(design, outcome="enroll", covariates=["ell"], family="gamma", link="inverse"),
        "t": ev.survey_ttest(design, "api00", by="comp.imp"),
        "chisq": ev.survey_chisq(design, "comp.imp", "grade"),
    }
    made |= contrasts(design, made)
    if design.sampling.rules.lonely_psu != "fail":
        # In a small group R applies the rule for lonely PSUs to the strata of all groups, ours to those of the group.
        return {name: made[name] for name in ("means", "listwise", "ratio", "linear", "logistic", "t")}
    if design.replicates is not None and design.steps:
        # R's degrees of freedom rise with weighting; p-values and errors of quantiles depend on them.
        return {name: answer for name, answer in made.items() if name not in ("median", "quartile", "t", "chisq")}
    if design.replicates is not None:
        # R knows one interval of quantiles under replicates, whatever it is asked for.
        made["quartile"] = ev.survey_quantile(design, "api00", probabilities=[0.25], rule="hf7")
    else:
        made["by two"] = ev.survey_mean(design, "score 1", by=["구", "grade"])
        made["ranks"] = ev.survey_ranktest(design, "api00", "comp.imp")
    return made


def compared(folder, design, asked):
    ev.write_r_script(design, asked, folder)
    told("script.R", folder=folder)
    return _table(folder)


def _table(folder):
    return pd.read_csv(folder / "compared.csv", encoding="utf-8", na_values=["NA", "NaN"])


@pytest.fixture(scope="module")
def opinions(tmp_path_factory):
    """What was asked and R's table by design; R is started once for all scripts."""
    asked, folders = {}, {}
    for name, make in DESIGNS.items():
        design = make()
        asked[name], folders[name] = results(design), tmp_path_factory.mktemp("opinion")
        ev.write_r_script(design, asked[name], folders[name])
    paths = ", ".join(f'"{folder.as_posix()}/script.R"' for folder in folders.values())
    told("-e", f'for (path in c({paths})) source(path, local = new.env(), chdir = TRUE, encoding = "UTF-8")')
    return {name: (asked[name], _table(folders[name])) for name in DESIGNS}


@pytest.mark.parametrize("name", DESIGNS)
def test_r_comes_to_the_same_numbers(name, opinions):
    asked, table = opinions[name]
    assert len(table) == sum(len(made) if hasattr(made, "addresses") else 2 for made in asked.values())
    assert set(table["result"]) == set(asked)
    assert table["R"].notna().all(), table[table["R"].isna()]
    off = (table["difference"].abs() > ESTIMATE) | (table["difference_se"].abs() > ERROR)
    off |= table["ours_se"].notna() & (table["ours_se"] > 0) & table["R_se"].isna()
    assert table[off].to_dict("records") == []


def test_estimates_agree_where_r_does_not_know_a_step(tmp_path):
    """Nonresponse is no step of R's: its estimates must agree, its standard errors leave the step out."""
    frame = sample("apistrat").assign(answered=lambda frame: (frame["api00"] > 450).astype(int))
    design = ev.survey_design(frame, weights="pw", strata="stype", linearization="r")
    final = ev.poststratify(ev.adjust_nonresponse(design, response="answered", by="stype"), STYPE)
    table = compared(tmp_path, final, {"mean": ev.survey_mean(final, "api00", by="comp.imp")})
    assert table["difference"].abs().max() < ESTIMATE


def test_the_exact_variance_is_near_rs_and_is_not_it(tmp_path):
    frame = sample("apiclus1")
    design = raked(ev.survey_design(frame, weights="pw", psu="dnum"))
    table = compared(tmp_path, design, {"total": ev.survey_total(design, "api00")})
    assert table["difference"].abs().max() < ESTIMATE
    assert 1e-5 < table["difference_se"].abs().max() < 0.05


def test_a_gamma_regression_agrees_as_far_as_rs_search_goes(tmp_path):
    """R stops where the deviance stands still to 1e-14 of itself, which is the square root of that for coefficients."""
    design = clus1()
    fit = ev.survey_glm(design, outcome="enroll", covariates=["ell", "comp.imp"], family="gamma")
    table = compared(tmp_path, design, {"fit": fit})
    assert table["difference"].abs().max() < 1e-6
    assert table["difference_se"].abs().max() < 1e-6


def test_an_ordinal_regression_agrees_as_far_as_rs_search_goes(tmp_path):
    design = clus1()
    fit = ev.survey_ordinal(design, outcome="grade", covariates=["ell", "comp.imp"])
    table = compared(tmp_path, design, {"fit": fit})
    assert table["R"].notna().all()
    assert table["difference"].abs().max() < 1e-3
    assert table["difference_se"].abs().max() < 1e-3


@pytest.mark.parametrize(
    "drawn", [{"pps": "brewer"}, {"pps": "hartley_rao"}, {"pps": "hartley_rao", "pps_variance": "yates_grundy"}]
)
def test_unequal_probabilities_reach_r(drawn, tmp_path):
    design = ev.survey_design(pd.read_csv(FOLDER / "election_pps.csv"), fpc="p", **drawn)
    asked = {"total": ev.survey_total(design, ["Bush", "Kerry"]), "share": ev.survey_ratio(design, "Bush", "votes")}
    table = compared(tmp_path, design, asked)
    assert table["difference"].abs().max() < ESTIMATE
    assert table["difference_se"].abs().max() < ERROR
