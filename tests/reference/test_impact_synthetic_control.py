"""Synthetic control and synthetic DiD against synthdid and Synth, and the numbers their authors printed."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import evaluation as ev

known = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("impact_data.py"))))
cases, close, data = known.cases, known.close, known.data

#: Frank and Wolfe's steps are the reference's own arithmetic; the README grants 1e-4 and 1e-3.
EFFECT, WEIGHT = 1e-8, 1e-8
#: The outer search over predictor weights ends elsewhere: losses and gaps are compared.
NESTED_LOSS, NESTED_GAP = 1e-4, 1e-4

CASES = cases("synthetic")
PUBLISHED = cases("published")
VERBS = {"synthdid": ev.synthetic_did, "sc": ev.synthetic_control}


def prop99():
    states = data("prop99.csv")
    panel = ev.panel(ev.survey_design(states, psu="State"), unit="State", time="Year")
    return panel, {"outcome": "PacksPerCapita", "treated": "treated"}


def districts():
    frame = data("seoul_gu_panel.csv").query("g in (0, 2015)")
    return ev.panel(ev.survey_design(frame, psu="gu"), unit="gu", time="year"), {"outcome": "y", "cohort": "g"}


SAMPLES = {"prop99": prop99, "gu_panel_cohort_2015": districts}
EACH = [(sample, kind) for sample in SAMPLES for kind in VERBS]


def estimated(sample, kind, **options):
    panel, columns = SAMPLES[sample]()
    return VERBS[kind](panel, **columns, solver="frank_wolfe", **options)


@pytest.mark.parametrize(("sample", "kind"), EACH)
def test_effect_weights_and_penalties_are_those_of_synthdid(sample, kind):
    expected, effects = CASES[sample][kind], estimated(sample, kind, vcov="none")
    close(effects.estimate[0], expected["att"], EFFECT)
    weights = effects.weights()
    donors = weights.query("part == 'donor'").set_index("name")["weight"]
    waves = weights.query("part == 'wave'").set_index("name")["weight"]
    close(donors[list(expected["omega"])], list(expected["omega"].values()), WEIGHT, floor=1e-9)
    close(waves[list(expected["lambda"])], list(expected["lambda"].values()), WEIGHT, floor=1e-9)
    fit = effects.cohorts().iloc[0]
    close(fit["zeta_donors"], expected["zeta_omega"], EFFECT)
    close(fit["zeta_waves"], expected["zeta_lambda"], EFFECT)
    assert effects.model.layout.times.size - fit["n_waves"] == CASES[sample]["T0"]
    assert len(donors) == CASES[sample]["N0"]


@pytest.mark.parametrize(("sample", "kind"), EACH)
def test_every_donors_placebo_and_their_spread_are_those_of_synthdid(sample, kind):
    expected = CASES[sample][kind]
    placebos = ev.donor_placebos(estimated(sample, kind, vcov="none"), size=1)
    rows = placebos.tidy().iloc[1:].set_index("places")
    close(
        rows["estimate"][list(expected["placebo_each_control"])],
        list(expected["placebo_each_control"].values()),
        EFFECT,
    )
    close(placebos.std_error, expected["placebo_se_one_treated"], EFFECT)


@pytest.mark.parametrize("sample", SAMPLES)
def test_plain_did_stands_beside_with_its_own_placebos(sample):
    expected, effects = CASES[sample]["did"], estimated(sample, "synthdid", vcov="none")
    assert effects.keys["term"].iloc[1] == "did"
    close(effects.estimate[1], expected["att"], EFFECT)
    rows = ev.donor_placebos(effects, size=1).tidy().iloc[1:].set_index("places")["estimate_did"]
    close(rows[list(expected["placebo_each_control"])], list(expected["placebo_each_control"].values()), EFFECT)
    spread = rows.std(ddof=0)
    close(spread, expected["placebo_se_one_treated"], EFFECT)


@pytest.mark.parametrize("kind", VERBS)
def test_the_jackknife_over_units_keeps_weights_as_synthdid_does(kind):
    effects = estimated("gu_panel_cohort_2015", kind, vcov="jackknife")
    close(effects.std_error[0], CASES["gu_panel_cohort_2015"][kind]["jackknife_se"], EFFECT)
    close(effects.std_error[1], CASES["gu_panel_cohort_2015"]["did"]["jackknife_se"], EFFECT)
    assert effects.df[0] == 24


def test_one_treated_state_has_the_placebo_error_by_default():
    effects = estimated("prop99", "synthdid")
    close(effects.std_error[0], CASES["prop99"]["synthdid"]["placebo_se_one_treated"], EFFECT)
    assert effects.variance_method == "placebo, each of 38 donors in turn"
    assert effects.influence is None


def test_the_printed_effects_of_proposition_99_are_reproduced():
    printed = PUBLISHED["prop99"]
    sdid, sc = (estimated("prop99", kind, vcov="none") for kind in ("synthdid", "sc"))
    assert [round(value, 1) for value in (sdid.estimate[0], sc.estimate[0], sdid.estimate[1])] == [
        printed["sdid"],
        printed["sc"],
        printed["did"],
    ]


@pytest.mark.parametrize(("sample", "kind"), EACH)
def test_the_exact_minimum_is_no_worse_than_the_steps_that_end_early(sample, kind):
    panel, columns = SAMPLES[sample]()
    exact, steps = (VERBS[kind](panel, **columns, solver=name, vcov="none") for name in ("exact", "frank_wolfe"))

    def objective(effects):
        model = effects.model
        cohort = model.cohorts[0]
        gap = model.outcome[cohort.treated].mean(axis=0) - cohort.weights.donors @ model.outcome[model.donors]
        before = gap[: cohort.start] - (gap[: cohort.start].mean() if kind == "synthdid" else 0)
        return np.mean(before**2) + cohort.weights.zeta_donors**2 * np.sum(cohort.weights.donors**2)

    assert objective(exact) <= objective(steps) * (1 + 1e-12)
    close(exact.estimate[0], steps.estimate[0], 6e-3)


SECTORS = ("agriculture", "energy", "industry", "construction", "services.venta", "services.nonventa")
SCHOOLING = ("illit", "prim", "med", "high")


@pytest.fixture(scope="module")
def regions():
    """Regions of Spain; schooling as shares of those over the years 1964 to 1969, as the authors prepared it."""
    frame = data("basque.csv").query("regionno != 1").copy()
    years = frame["year"].between(1964, 1969)
    means = frame[years].groupby("regionno")[[f"school.{level}" for level in (*SCHOOLING, "post.high")]].mean()
    means["school.high"] += means.pop("school.post.high")
    shares = 100 * means.div(means.sum(axis=1), axis=0)
    for name in shares:
        frame[name] = frame["regionno"].map(shares[name])
    frame["first"] = np.where(frame["regionno"] == 17, 1970, 0)
    return ev.panel(ev.survey_design(frame, psu="regionno"), unit="regionno", time="year")


def basque(regions, **options):
    predictors = [(f"school.{level}", [1964]) for level in SCHOOLING]
    predictors += [("invest", range(1964, 1970)), ("gdpcap", range(1960, 1970))]
    predictors += [(f"sec.{sector}", range(1961, 1970, 2)) for sector in SECTORS]
    predictors += [("popdens", [1969])]
    return ev.synthetic_control(
        regions,
        outcome="gdpcap",
        cohort="first",
        method="nested",
        predictors=predictors,
        fit_waves=range(1960, 1970),
        **options,
    )


def test_the_basque_country_is_met_at_least_as_well_as_by_synth(regions):
    expected, effects = CASES["basque_adh2003"], basque(regions)
    assert effects.cohorts()["loss_outcome"].iloc[0] <= expected["loss_v"] * (1 + NESTED_LOSS)
    gap = effects.paths().set_index("time")["gap"]
    np.testing.assert_allclose(gap.loc[1955:1997], list(expected["gap"].values()), atol=NESTED_GAP)
    donors = effects.weights().query("part == 'donor'").set_index("name")["weight"]
    np.testing.assert_allclose(donors[list(expected["w"])], list(expected["w"].values()), atol=1e-3)
    printed = PUBLISHED["basque"]["weights"]
    assert (round(donors["10"], 3), round(donors["14"], 3)) == (
        printed["Cataluna"],
        printed["Madrid (Comunidad De)"],
    )


def test_with_the_predictor_weights_of_synth_both_its_losses_return(regions):
    expected = CASES["basque_adh2003"]
    fit = basque(regions, predictor_weights=expected["v"]).cohorts().iloc[0]
    close(fit["loss_outcome"], expected["loss_v"], NESTED_LOSS)
    close(fit["loss_predictors"], expected["loss_w"], NESTED_LOSS)


def test_persons_collapse_to_the_same_means_as_their_districts():
    persons = data("seoul_rcs.csv")
    means = persons.assign(wy=persons["w"] * persons["y"]).groupby(["gu", "year"])[["w", "wy"]].sum()
    table = (means["wy"] / means["w"]).rename("y").reset_index()
    table["first"] = table["gu"].map(persons.groupby("gu")["g_gu"].first())
    places = ev.panel(ev.survey_design(table, psu="gu"), unit="gu", time="year")
    respondents = ev.panel(ev.survey_design(persons, weights="w", strata="stratum", psu="psu"), time="year")
    for verb in VERBS.values():
        one = verb(places, outcome="y", cohort="first", vcov="jackknife")
        other = verb(respondents, outcome="y", cohort="g_gu", place="gu", vcov="jackknife")
        close(other.estimate, one.estimate, 1e-8)
        close(other.std_error, one.std_error, 1e-8)
    assert set(pd.Series(other.keys["term"])) == {"overall", "did", "y"}
    assert other.fit["of_respondents"]
