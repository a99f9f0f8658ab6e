"""Who is a participant: answers against records, windows, and differences under misreporting, against brute force."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, EstimationError, IdentificationError

SURVEYED = {"weights": "w", "strata": "stratum", "psu": "psu"}


@pytest.fixture
def linked(respondents):
    """Respondents of whom some say wrongly whether they took part."""
    rng = np.random.default_rng(3)
    wrong = rng.random(len(respondents)) < np.where(respondents["joined"] == 1, 0.15, 0.05)
    return respondents.assign(
        said=np.where(wrong, 1 - respondents["joined"], respondents["joined"]),
        recent=np.where(rng.random(len(respondents)) < 0.5, respondents["joined"], 0),
    )


def design_of(frame):
    return ev.survey_design(frame, **SURVEYED)


def agreement(frame, **options):
    made = ev.participation_agreement(design_of(frame), **{"reported": "said", "recorded": "joined", **options})
    return made, made.tidy().set_index("quantity")


def test_rates_are_the_survey_s_means_in_the_recorded_groups(linked):
    _, rows = agreement(linked)
    on = ev.survey_mean(ev.domain(design_of(linked), {"joined": 1}), "said")
    assert rows.loc["sensitivity", "estimate"] == pytest.approx(on.estimate[0])
    assert rows.loc["sensitivity", "std_error"] == pytest.approx(on.std_error[0], rel=1e-8)
    assert rows.loc["sensitivity", "n_obs"] == on.n_obs[0]
    off = ev.survey_mean(ev.domain(design_of(linked.assign(no=1 - linked["said"])), {"joined": 0}), "no")
    assert rows.loc["specificity", ["estimate", "std_error"]].tolist() == pytest.approx(
        [off.estimate[0], off.std_error[0]], rel=1e-8
    )
    true = ev.survey_mean(ev.domain(design_of(linked), {"said": 1}), "joined")
    assert rows.loc["positive_predictive", "estimate"] == pytest.approx(true.estimate[0])


def test_kappa_by_hand_and_by_replicates(linked):
    made, rows = agreement(linked)
    w = linked["w"] / linked["w"].sum()
    agree = w[linked["said"] == linked["joined"]].sum()
    says, on = (w * linked["said"]).sum(), (w * linked["joined"]).sum()
    chance = says * on + (1 - says) * (1 - on)
    assert rows.loc["kappa", "estimate"] == pytest.approx((agree - chance) / (1 - chance))
    again = ev.participation_agreement(
        ev.as_replicates(design_of(linked), kind="JKn"), reported="said", recorded="joined"
    )
    np.testing.assert_allclose(again.std_error, made.std_error, rtol=0.1)


def test_intervals_of_shares_stay_within_zero_and_one(linked):
    _, rows = agreement(linked)
    shares = rows.drop(index="kappa")
    assert ((shares["conf_low"] > 0) & (shares["conf_high"] < 1)).all()
    assert ((shares["conf_low"] < shares["estimate"]) & (shares["estimate"] < shares["conf_high"])).all()


def test_a_sample_from_the_roster_tells_the_sensitivity_alone(linked):
    _, rows = agreement(linked[linked["joined"] == 1])
    assert rows.index.tolist() == ["sensitivity", "share_reported"]


def test_who_misses_one_answer_is_left_out_and_counted(linked):
    gaps = linked.assign(said=linked["said"].where(linked.index % 8 != 0))
    made, _ = agreement(gaps)
    assert made.fit["n_left_out"] == 30


def test_a_share_that_few_wrong_answers_make_is_hidden(linked):
    design = design_of(linked)
    few = dataclasses.replace(design, provenance=dataclasses.replace(design.provenance, min_cell=20))
    made = ev.participation_agreement(few, reported="said", recorded="joined")
    wrong = int(((linked["said"] == 0) & (linked["joined"] == 1)).sum())
    assert wrong < 20
    assert made.marks[made.keys["quantity"].tolist().index("sensitivity")] == "[c]"


def test_what_is_no_yes_or_no_is_refused(linked):
    with pytest.raises(ColumnError, match="must hold 0 and 1, but holds 2"):
        agreement(linked.assign(said=linked["said"] + 1))
    with pytest.raises(ColumnError, match="agrees with itself"):
        agreement(linked, recorded="said")
    with pytest.raises(EstimationError, match="nobody with both has joined = 1"):
        agreement(linked[linked["joined"] == 0])
    with pytest.raises(IdentificationError, match="Link the roster to the respondents first"):
        agreement(linked.assign(said=np.nan))


def test_ever_and_recently_are_three_definitions(linked):
    made = ev.participation_windows(design_of(linked), ever="joined", recent="recent")
    rows = made.tidy().set_index("quantity")["estimate"]
    assert rows["share_ever"] == pytest.approx(ev.survey_mean(design_of(linked), "joined").estimate[0])
    assert rows["share_lapsed"] == pytest.approx(rows["share_ever"] - rows["share_recent"])
    assert rows["recent_among_ever"] == pytest.approx(rows["share_recent"] / rows["share_ever"])
    with pytest.raises(ColumnError, match="recently and never") as caught:
        ev.participation_windows(design_of(linked), ever="recent", recent="joined")
    assert (caught.value.failures["joined"] == 1).all()


# --- misreporting -------------------------------------------------------------------------------------------------


def bounded(frame, **options):
    arguments = {"outcome": "stays", "reported": "said", "sensitivity": (0.8, 0.95), "specificity": (0.9, 1.0)}
    return ev.misclassification_bounds(design_of(frame), **{**arguments, **options})


def test_known_rates_give_back_the_true_difference():
    """In a population that misreports exactly at these rates the true difference comes out exactly."""
    rows = []
    for took_part, mean in ((1, 0.7), (0, 0.4)):
        for said in (1, 0):
            rate = 0.8 if took_part else 0.1
            for y in (1, 0):
                weight = (0.3 if took_part else 0.7) * (rate if said else 1 - rate) * (mean if y else 1 - mean)
                rows.append({"said": said, "y": y, "w": 1000 * weight})
    design = ev.survey_design(pd.DataFrame(rows), weights="w")
    made = ev.misclassification_bounds(design, outcome="y", reported="said", sensitivity=0.8, specificity=0.9)
    np.testing.assert_allclose(made.estimate[:2], 0.3, rtol=1e-10)
    assert abs(made.estimate[2]) < 0.3
    np.testing.assert_allclose(made.fit["share_of_participants"], 0.3, rtol=1e-10)


def by_grid(frame, sensitivity, specificity, outcome, possible):
    """Return the lowest and highest difference, and share, over a fine grid of rates that the answers allow."""
    w = frame["w"] / frame["w"].sum()
    p, m, q = ((w * frame["said"]).sum(), (w * frame[outcome]).sum(), (w * frame["said"] * frame[outcome]).sum())
    found, shares = [], []
    for se in np.linspace(*sensitivity, 401):
        for sp in np.linspace(*specificity, 401):
            share = (p + sp - 1) / (se + sp - 1)
            if not 0 < share < 1:
                continue
            yes = (sp * q - (1 - sp) * (m - q)) / (share * (se + sp - 1))
            no = (se * (m - q) - (1 - se) * q) / ((1 - share) * (se + sp - 1))
            if possible[0] - 1e-12 <= min(yes, no) and max(yes, no) <= possible[1] + 1e-12:
                found.append(yes - no)
                shares.append(share)
    return min(found), max(found), min(shares), max(shares)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(
    ("sensitivity", "specificity"), [((0.8, 0.95), (0.9, 1.0)), ((0.55, 1.0), (0.6, 1.0)), ((0.9, 0.9), (0.85, 1.0))]
)
def test_bounds_are_those_of_every_pair_of_rates(linked, sensitivity, specificity, flip):
    frame = linked.assign(stays=1 - linked["stays"]) if flip else linked
    made = bounded(frame, sensitivity=sensitivity, specificity=specificity)
    low, high, fewest, most = by_grid(frame, sensitivity, specificity, "stays", (0, 1))
    np.testing.assert_allclose(made.estimate[:2], [low, high], atol=0.01)
    assert made.estimate[0] <= low + 1e-9
    assert made.estimate[1] >= high - 1e-9
    np.testing.assert_allclose(made.fit["share_of_participants"], [fewest, most], atol=0.01)


def test_the_share_of_participants_stays_a_share_where_the_lowest_rates_are_impossible(linked):
    half = linked.assign(said=(np.arange(len(linked)) % 2).astype(int))
    made = bounded(half, sensitivity=(0.45, 1.0), specificity=(0.56, 1.0))
    low, high = made.fit["share_of_participants"]
    assert 0 <= low < high <= 1
    *_, fewest, most = by_grid(half, (0.45, 1.0), (0.56, 1.0), "stays", (0, 1))
    np.testing.assert_allclose([low, high], [fewest, most], atol=0.02)


def test_perfect_answers_leave_the_difference_as_it_is(linked):
    made = bounded(linked, sensitivity=1, specificity=1)
    raw = ev.group_difference(design_of(linked), outcome="stays", treatment="said")
    np.testing.assert_allclose(made.estimate, raw.estimate[0])
    np.testing.assert_allclose(made.std_error, raw.std_error[0], rtol=1e-8)
    np.testing.assert_allclose(made.confidence_interval()[0], raw.confidence_interval()[0], rtol=1e-6)


def test_the_interval_is_wider_than_the_bounds_and_narrower_than_both_together(linked):
    made = bounded(linked)
    low, high = made.confidence_interval()[0, 0], made.confidence_interval()[1, 1]
    t = made.critical_value[:2] * made.std_error[:2]
    assert made.estimate[0] - t[0] <= low < made.estimate[0]
    assert made.estimate[1] < high <= made.estimate[1] + t[1]


def test_bounds_agree_with_replicates(linked):
    linear = bounded(linked)
    replicated = ev.misclassification_bounds(
        ev.as_replicates(design_of(linked), kind="JKn"), outcome="stays", reported="said",
        sensitivity=(0.8, 0.95), specificity=(0.9, 1.0),
    )  # fmt: skip
    np.testing.assert_allclose(replicated.estimate, linear.estimate)
    np.testing.assert_allclose(replicated.std_error, linear.std_error, rtol=0.15)


@pytest.mark.parametrize(("lang", "words"), [("en", "unrelated to the outcome"), ("ko", "결과와 무관하다면")])
def test_the_sentence_states_the_assumption(linked, lang, words):
    text = bounded(linked).text(lang)
    assert words in text
    assert "0.8–0.95" in text


def test_rates_that_the_answers_contradict_are_refused(linked):
    says = float((linked["w"] * linked["said"]).sum() / linked["w"].sum())
    with pytest.raises(IdentificationError, match=f"{says:.4g} say yes"):
        bounded(linked, sensitivity=(0.3, says - 0.01), specificity=0.9)
    with pytest.raises(EstimationError, match="add up to no more than 1"):
        bounded(linked, sensitivity=(0.1, 0.95))
    with pytest.raises(EstimationError, match="from a lower to a higher share"):
        bounded(linked, sensitivity=(0.9, 0.8))
    with pytest.raises(EstimationError, match="from a lower to a higher share"):
        bounded(linked, specificity=95)
    with pytest.raises(IdentificationError, match="give bounds= of the outcome"):
        bounded(linked, outcome="trust", sensitivity=(says - 0.01, 0.9), specificity=(0.9, 1))
    with pytest.raises(EstimationError, match="must hold every answer"):
        bounded(linked, outcome="trust", bounds=(0, 1))


def test_a_share_of_one_has_an_exact_limit_and_not_itself():
    people = pd.DataFrame({"says": [1] * 6 + [0] * 5 + [1], "listed": [1] * 6 + [0] * 6})
    found = ev.participation_agreement(ev.survey_design(people), reported="says", recorded="listed").tidy()
    limits = found.set_index("quantity")[["conf_low", "conf_high"]].loc["sensitivity"].tolist()
    assert limits == pytest.approx([0.025 ** (1 / 6), 1.0])
