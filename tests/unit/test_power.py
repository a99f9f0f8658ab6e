"""Power: by hand, one answer from the other, by simulation, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import evaluation as ev
from evaluation.errors import EstimationError

GROUPS = {"n_participants": 400, "n_comparison": 900}


def answers(n=800, seed=2):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "psu": np.repeat(np.arange(n // 8), 8),
            "stratum": np.repeat(["s", "t"], n // 2),
            "w": rng.uniform(1, 4, n),
            "joined": (rng.uniform(size=n) < 0.35).astype(int),
        }
    )
    town = np.repeat(rng.normal(0, 0.6, n // 8), 8)
    frame["stays"] = (rng.uniform(size=n) < 1 / (1 + np.exp(-town - 0.4 * frame["joined"]))).astype(int)
    frame["trust"] = 5 + town + 0.4 * frame["joined"] + rng.normal(0, 2, n)
    return ev.survey_design(frame, weights="w", strata="stratum", psu="psu")


def test_means_of_equal_groups_by_hand():
    found = ev.minimum_detectable_effect(std_dev=2, n_participants=100, n_comparison=100)
    assert found.effect == pytest.approx((stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * 2 * np.sqrt(2 / 100))
    assert found.std_error == pytest.approx(2 * np.sqrt(2 / 100))


@pytest.mark.parametrize("scale", [{"share": 0.3}, {"share": 0.9}, {"std_dev": (1.5, 2.0)}])
@pytest.mark.parametrize("direction", ["higher", "lower"])
@pytest.mark.parametrize("more", [{}, {"df": 12}, {"deff": (1.2, 2.0)}, {"variance": "pooled"}, {"two_sided": False}])
def test_effect_and_power_are_each_others_inverse(scale, direction, more):
    found = ev.minimum_detectable_effect(**scale, **GROUPS, power=0.9, direction=direction, **more)
    assert (found.effect > 0) == (direction == "higher")
    again = ev.power_of_difference(effect=found.effect, **scale, **GROUPS, **more)
    assert again.power == pytest.approx(0.9, rel=1e-9)
    assert found.power == pytest.approx(0.9, rel=1e-9)


@pytest.mark.parametrize("variance", ["pooled", "unpooled"])
def test_the_sample_size_has_the_power_that_was_asked_for(variance):
    needed = ev.sample_size_of_difference(effect=-0.08, share=0.6, ratio=0.4, deff=1.7, variance=variance)
    assert needed.n_participants == pytest.approx(0.4 * needed.n_comparison)
    groups = {"n_participants": needed.n_participants, "n_comparison": needed.n_comparison}
    again = ev.power_of_difference(effect=-0.08, share=0.6, deff=1.7, variance=variance, **groups)
    assert again.power == pytest.approx(0.8, rel=1e-9)


def test_a_design_effect_is_a_smaller_sample():
    whole = ev.minimum_detectable_effect(share=0.4, n_participants=200, n_comparison=600, deff=2)
    half = ev.minimum_detectable_effect(share=0.4, n_participants=100, n_comparison=300)
    assert whole.effect == pytest.approx(half.effect, rel=1e-12)


def test_few_degrees_of_freedom_cost_power():
    many, few = (ev.power_of_difference(effect=0.08, share=0.4, **GROUPS, df=df).power for df in (np.inf, 6))
    assert few < many - 0.02
    assert ev.power_of_difference(effect=0.08, share=0.4, **GROUPS, df=1e7).power == pytest.approx(many, rel=1e-6)


def test_power_is_the_share_of_significant_samples():
    rng, hits, samples = np.random.default_rng(6), 0, 20_000
    p0, p1, n0, n1 = 0.5, 0.6, 400, 250
    x0, x1 = rng.binomial(n0, p0, samples) / n0, rng.binomial(n1, p1, samples) / n1
    error = np.sqrt(x0 * (1 - x0) / n0 + x1 * (1 - x1) / n1)
    hits = ((x1 - x0) / error > stats.norm.ppf(0.975)).mean()
    found = ev.power_of_difference(effect=0.1, share=0.5, n_participants=n1, n_comparison=n0).power
    assert found == pytest.approx(hits, abs=0.015)


@pytest.mark.parametrize("outcome", ["stays", "trust"])
def test_a_design_gives_the_error_of_its_own_difference(outcome):
    design = answers()
    raw = ev.group_difference(design, outcome=outcome, treatment="joined")
    found = ev.power_of_difference(design, outcome=outcome, treatment="joined", effect=float(raw.estimate[0]))
    assert found.std_error == pytest.approx(raw.std_error[0], rel=1e-9)
    assert found.df == raw.df[0]
    assert [found.n_participants, found.n_comparison] == raw.n_obs[1:].tolist()


def test_before_outcomes_are_read_the_weights_alone_count():
    design = answers()
    found = ev.minimum_detectable_effect(design, treatment="joined", share=0.5)
    weights = design.data.loc[design.data["joined"] == 1, "w"]
    kish = len(weights) * (weights**2).sum() / weights.sum() ** 2
    assert found.deff_participants == pytest.approx(kish)
    assert found.deff_comparison != found.deff_participants
    changed = answers()
    changed.data["stays"] = 1 - changed.data["stays"]
    assert ev.minimum_detectable_effect(changed, treatment="joined", share=0.5).effect == found.effect


def test_an_estimate_brings_its_own_error():
    adjusted = ev.aipw(answers(), outcome="stays", treatment="joined", covariates="w")
    found = ev.minimum_detectable_effect(adjusted)
    assert found.std_error == adjusted.std_error[0]
    assert found.effect == pytest.approx(2.85 * adjusted.std_error[0], rel=0.01)
    assert np.isnan(found.deff_participants)


def test_it_is_said_in_both_languages_with_percentage_points():
    found = ev.minimum_detectable_effect(share=0.594, n_participants=620, n_comparison=980, deff=1.8)
    assert "620 participants and 980 others: a difference of 9.2 points" in found.text("en")
    assert "9.2%p" in found.text("ko")
    assert "9.2%p" in repr(ev.table(found, lang="ko"))
    assert found.to_dict()["rows"][0]["df"] == "Infinity"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"share": 59.4}, r"share must lie between 0 and 1, got 59.4. 59.4 per cent is 0.594"),
        ({"share": 0.5, "std_dev": 1.0}, "not both"),
        ({}, "needs share="),
        ({"share": 0.5, "n_comparison": None}, "n_participants= and n_comparison="),
        ({"share": 0.5, "n_comparison": -3}, "above 0, got -3"),
        ({"share": 0.5, "deff": 0}, "deff must be a number above 0"),
        ({"share": 0.5, "deff": (1, 2, 3)}, "one number, or two"),
        ({"share": 0.5, "alpha": 5}, "5 per cent is 0.05"),
        ({"share": 0.5, "power": 80}, "80 per cent is 0.8"),
        ({"share": 0.5, "power": 0.04}, "between 0.05 and 1"),
        ({"share": 0.5, "two_sided": "no"}, "True or False"),
        ({"share": 0.5, "direction": "up"}, "direction must be one of"),
        ({"share": 0.5, "variance": "pool"}, "Did you mean 'pooled'"),
        ({"share": 0.97, "n_participants": 10, "n_comparison": 10}, "not even a share of 1 is found"),
        ({"std_dev": "wide"}, "std_dev must be a number"),
    ],
)
def test_what_cannot_be_asked_is_refused(arguments, message):
    with pytest.raises(EstimationError, match=message):
        ev.minimum_detectable_effect(**{**GROUPS, **arguments})


@pytest.mark.parametrize(("effect", "message"), [(10, "10 percentage points are 0.1"), (0, "zero"), (0.7, "end at 0")])
def test_an_effect_that_cannot_be_is_refused(effect, message):
    with pytest.raises(EstimationError, match=message):
        ev.power_of_difference(effect=effect, share=0.5, **GROUPS)


def test_a_design_needs_participants_and_an_outcome_that_varies():
    design = answers()
    with pytest.raises(EstimationError, match="treatment="):
        ev.minimum_detectable_effect(design, share=0.5)
    with pytest.raises(EstimationError, match="a design, an estimated difference or nothing"):
        ev.minimum_detectable_effect(design.data, treatment="joined", share=0.5)
    design.data["same"] = 1
    with pytest.raises(EstimationError, match="outcome 'same' does not vary"):
        ev.minimum_detectable_effect(design, outcome="same", treatment="joined")
    with pytest.raises(EstimationError, match="expected one difference"):
        ev.minimum_detectable_effect(ev.survey_mean(design, ["stays", "trust"]))
    with pytest.raises(EstimationError, match="leave out share"):
        ev.minimum_detectable_effect(ev.survey_mean(design, "trust"), share=0.4)


def test_the_curve_passes_through_the_answer_and_ends_where_shares_end():
    found = ev.minimum_detectable_effect(share=0.9, **GROUPS)
    assert found.curve["power"].is_monotonic_increasing
    assert np.interp(found.effect, found.curve["effect"], found.curve["power"]) == pytest.approx(0.8, abs=1e-3)
    assert found.curve["effect"].max() <= 0.1 + 1e-12
    assert found.curve["power"][0] == pytest.approx(0.025)
    lower = ev.minimum_detectable_effect(share=0.9, **GROUPS, direction="lower")
    assert lower.curve["effect"].iloc[-1] == pytest.approx(2 * lower.effect)


@pytest.mark.parametrize("lang", ["ko", "en"])
def test_the_figure_marks_the_answer_in_percentage_points(lang):
    found = ev.minimum_detectable_effect(share=0.594, n_participants=620, n_comparison=980, deff=1.8)
    figure = ev.plot(found, lang=lang)
    axes = figure.figure.axes[0]
    points = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"]
    assert points == pytest.approx([100 * found.effect])
    assert "620" in figure.caption
    assert ("%p" if lang == "ko" else "points") in axes.get_xlabel()
    means = ev.plot(ev.power_of_difference(effect=-0.4, std_dev=2, **GROUPS), lang=lang)
    assert "points" not in means.figure.axes[0].get_xlabel()
