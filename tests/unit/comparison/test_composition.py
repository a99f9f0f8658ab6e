"""Composition standardised to published margins: equal to calibrating the group alone, counted in the error."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import CalibrationError, ColumnError, DesignError, EstimationError, MarginError

SHARES = {"sex": {"f": 0.6, "m": 0.4}, "age": 45.0}


def design_of(frame, **options):
    return ev.survey_design(frame, weights="w", strata="stratum", psu="psu", **options)


def participants(frame):
    return ev.domain(design_of(frame), {"joined": 1})


def test_the_group_gets_the_composition_and_keeps_its_sum(respondents):
    before = participants(respondents)
    after = ev.standardise_composition(before, SHARES)
    assert ev.survey_prop(after, "sex").estimate.tolist() == pytest.approx([0.6, 0.4])
    assert ev.survey_mean(after, "age").estimate[0] == pytest.approx(45.0)
    assert after.weights.sum() == pytest.approx(before.domain_weights.sum())
    assert (after.weights[(respondents["joined"] == 0).to_numpy()] == 0).all()
    assert np.array_equal(after.present, before.present)


def test_it_is_raking_of_the_group_alone(respondents):
    """Where every sampling unit has a member of the group, the group is a sample of its own."""
    respondents = respondents.assign(psu=respondents["psu"] // 4)
    alone = respondents[respondents["joined"] == 1]
    assert set(alone["psu"]) == set(respondents["psu"])
    n = float(alone["w"].sum())
    margins = {"sex": {"f": 0.6 * n, "m": 0.4 * n}, "age": 45.0 * n}
    theirs = ev.survey_mean(ev.calibrate(design_of(alone), margins, distance="raking"), "trust")
    ours = ev.survey_mean(ev.standardise_composition(participants(respondents), SHARES), "trust")
    np.testing.assert_allclose(ours.estimate, theirs.estimate, rtol=1e-10)
    np.testing.assert_allclose(ours.std_error, theirs.std_error, rtol=1e-8)


def test_its_error_counts_the_estimated_weights(respondents):
    """The influence is the derivative of the mean in a respondent's design weight, the step repeated."""
    result = ev.survey_mean(ev.standardise_composition(participants(respondents), SHARES), "trust")
    for row in (3, 50, 117):
        moved = []
        for factor in (1 + 1e-5, 1 - 1e-5):
            frame = respondents.copy()
            frame.loc[frame.index[row], "w"] *= factor
            moved.append(ev.survey_mean(ev.standardise_composition(participants(frame), SHARES), "trust").estimate[0])
        assert result.influence[row, 0] == pytest.approx((moved[0] - moved[1]) / 2e-5, rel=1e-4, abs=1e-9)


def test_replicates_standardise_anew(respondents):
    whole = ev.as_replicates(design_of(respondents), kind="JKn")
    group = ev.standardise_composition(ev.domain(whole, {"joined": 1}), SHARES)
    assert ev.survey_mean(group, "age").std_error[0] == pytest.approx(0, abs=1e-10)
    linear = ev.survey_mean(ev.standardise_composition(participants(respondents), SHARES), "trust").std_error[0]
    assert ev.survey_mean(group, "trust").std_error[0] == pytest.approx(linear, rel=0.25)


def test_shares_per_cents_counts_and_margins_are_one_composition(respondents):
    wanted = ev.standardise_composition(participants(respondents), SHARES).weights
    for margins in (
        {"sex": {"f": 60, "m": 40}, "age": 45.0},
        {"sex": {"f": 600_000, "m": 400_000}, "age": 45_000_000},
        {"total": 1, "sex": {"f": 0.6, "m": 0.4}, "age": 45.0},
        ev.margins({"sex": {"f": 600_000, "m": 400_000}, "age": 45_000_000}),
    ):
        np.testing.assert_allclose(ev.standardise_composition(participants(respondents), margins).weights, wanted)
    heavy = respondents.assign(w=respondents["w"] * 1e-7)
    np.testing.assert_allclose(ev.standardise_composition(participants(heavy), SHARES).weights, wanted * 1e-7)


def test_it_is_a_step_of_the_chain_with_what_it_costs(respondents):
    after = ev.standardise_composition(participants(respondents), SHARES)
    last = after.history.iloc[-1]
    assert last["step"] == "standardise_composition"
    own = after.weights[after.weights > 0]
    assert last["n_eff"] == pytest.approx(own.sum() ** 2 / (own**2).sum())


def test_a_mean_alone_needs_no_levels(respondents):
    after = ev.standardise_composition(participants(respondents), {"total": 1, "age": 42.0})
    assert ev.survey_mean(after, "age").estimate[0] == pytest.approx(42.0)


def test_what_no_weights_reach_is_refused(respondents):
    group = participants(respondents)
    with pytest.raises(CalibrationError, match=r"the mean of 'age' is to be 450, but in the group it runs"):
        ev.standardise_composition(group, {"total": 1, "age": 450.0})
    with pytest.raises(MarginError, match="lacks levels of the sample"):
        ev.standardise_composition(group, {"sex": {"f": 1.0}})
    with pytest.raises(MarginError, match="Add 'total': 1 beside means"):
        ev.standardise_composition(group, {"age": 45.0})
    with pytest.raises(MarginError, match="expected shares by level"):
        ev.standardise_composition(group, {})
    with pytest.raises(MarginError, match="add up to 0"):
        ev.standardise_composition(group, {"sex": {"f": 0, "m": 0}})
    with pytest.raises(ColumnError, match="Did you mean 'sex'"):
        ev.standardise_composition(group, {"sexx": {"f": 0.5, "m": 0.5}})
    with pytest.raises(DesignError, match="needs a design"):
        ev.standardise_composition(respondents, SHARES)
    alike = respondents.assign(older=(respondents["age"] > respondents["age"].median()).map({True: "yes", False: "no"}))
    with pytest.raises(CalibrationError, match="compare with a figure of a population that it overlaps with"):
        ev.standardise_composition(participants(alike), {"older": {"yes": 0.01, "no": 0.99}, "age": 60.0})


ITEM = ev.Measurement("stays", "", "residents", "", 2016)
VERDICT = ev.assess_comparability(ITEM, ITEM, contains_participants=True)


def held(frame, figure=0.35, **options):
    group = ev.domain(design_of(frame), {"joined": 1})
    return ev.benchmark_difference(ev.survey_mean(group, "stays"), figure, comparability=VERDICT, **options)


def test_the_others_implied_carry_an_error_and_can_be_impossible(respondents):
    made = held(respondents, 0.4, participant_share=0.3, std_error=0.02)
    p, error = made.estimate[1], made.std_error[1]
    assert made.fit["implied_mean_of_others"] == pytest.approx((0.4 - 0.3 * p) / 0.7)
    assert made.fit["implied_std_error"] == pytest.approx(np.hypot(0.3 * error, 0.02) / 0.7)
    assert made.fit["implied_is_possible"]
    assert not held(respondents, 0.05, participant_share=0.9).fit["implied_is_possible"]


def test_the_logit_interval_is_for_a_figure_taken_as_exact(respondents):
    made = held(respondents, interval="logit")
    low, high = made.confidence_interval()[1]
    p = made.estimate[1]
    assert np.log(high / (1 - high)) + np.log(low / (1 - low)) == pytest.approx(2 * np.log(p / (1 - p)))
    np.testing.assert_allclose(made.confidence_interval()[0], [low - 0.35, high - 0.35])
    with pytest.raises(EstimationError, match="Use interval='t'"):
        held(respondents, interval="logit", std_error=0.01)


def test_it_says_what_it_is_conditional_on_and_when_it_would_be_gone(respondents):
    made = held(respondents, participant_share=0.2)
    even = made.fit["break_even_std_error"]
    assert "conditional on it" in made.text("en")
    assert f"{even:.3g}" in made.text("en")
    assert f"(that of a simple random sample of {made.fit['break_even_n']:,.0f})" in made.text("en")
    assert "참여자가 20.0% 들어 있다면" in made.text("ko")
    near = held(respondents, float(made.estimate[1]), std_error=0.02)
    assert "Even if the figure had no error the interval would hold 0." in near.text("en")
    assert "conditional" not in near.text("en")
    assert "which cannot be" in held(respondents, 0.05, participant_share=0.9).text("en")
    small = dataclasses.replace(made, provenance=dataclasses.replace(made.provenance, min_base=10_000))
    assert small.text("en").casefold() == "difference from an external figure: – [u]"


@pytest.mark.parametrize(("lang", "words"), [("en", "is not drawn because none is possible"), ("ko", "그리지 않음")])
def test_the_panel_draws_no_impossible_share_and_says_so(respondents, lang, words):
    impossible, possible = held(respondents, 0.05, participant_share=0.9), held(respondents, participant_share=0.1)
    assert impossible.fit["implied_mean_of_others"] < 0 < possible.fit["implied_mean_of_others"]
    figure = ev.plot({"impossible": impossible, "possible": possible}, lang=lang)
    assert figure.data["implied_others"].isna().tolist() == [True, False]
    assert words in figure.caption
    drawn = np.concatenate([np.ravel(line.get_xdata()) for line in figure.figure.axes[0].lines]).astype(float)
    assert np.nanmin(drawn) > impossible.fit["implied_mean_of_others"]
    assert words not in ev.plot(possible, lang=lang).caption


def test_the_panel_marks_conditional_figures_and_draws_the_break_even(respondents):
    results = {
        "exact": held(respondents, participant_share=0.2),
        "sample": held(respondents, n=900),
        "near": held(respondents, float(held(respondents).estimate[1])),
    }
    figure = ev.plot(results, lang="en")
    data = figure.data.set_index("name")
    assert data["conditional"].tolist() == [True, False, True]
    even = data.loc["exact", "break_even_std_error"]
    assert data.loc["exact", "break_even_high"] - 0.35 == pytest.approx(1.959964 * even, rel=1e-6)
    assert np.isnan(data.loc["near", "break_even_low"])
    assert data.loc["sample", "benchmark_high"] - 0.35 == pytest.approx(1.959964 * np.sqrt(0.35 * 0.65 / 900))
    legend = [text.get_text() for part in figure.figure.legends for text in part.get_texts()]
    assert legend == [
        "participants", "others, as the figure implies", "published figure with its interval",
        "published figure, taken as exact", "break-even interval",
    ]  # fmt: skip
    assert "conditional on that figure" in figure.caption
    assert ev.plot(results["exact"], lang="ko").title == "참여자와 다른 곳에 공표된 수치"


def test_the_panel_hides_what_may_not_be_shown(respondents):
    made = held(respondents)
    small = dataclasses.replace(made, provenance=dataclasses.replace(made.provenance, min_base=10_000))
    figure = ev.plot({"few": small}, lang="en")
    assert figure.data[["estimate", "difference", "break_even_low"]].isna().all().all()
    assert "[u]" in figure.data["row"].iloc[0]
    assert isinstance(figure.data, pd.DataFrame)
