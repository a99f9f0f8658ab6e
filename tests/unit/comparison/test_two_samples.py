"""Two samples made one comparison: errors add up, scales are checked, the joined design adjusts."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, EstimationError, IdentificationError
from evaluation.survey.codebook import Codebook, Variable

ITEM = ev.Measurement("stays", "I want to stay", "residents", "telephone", 2016)
SAME = ev.assess_comparability(ITEM, ITEM, contains_participants=False)
TRUST = ev.Measurement("trust", "I trust neighbours", "residents", "telephone", 2016)
SAME_TRUST = ev.assess_comparability(TRUST, TRUST, contains_participants=False)


@pytest.fixture
def roster(respondents):
    frame = respondents[respondents["joined"] == 1].assign(project=lambda rows: "p" + (rows["psu"] // 2).astype(str))
    return ev.survey_design(frame.drop(columns="joined"), weights="w", psu="project")


@pytest.fixture
def citizens(respondents):
    return ev.survey_design(respondents, weights="w", strata="stratum", psu="psu")


def test_the_difference_is_that_of_independent_samples(roster, citizens):
    ours = ev.sample_difference(roster, citizens, outcome="trust", comparability=SAME_TRUST)
    theirs = ev.independent_difference(ev.survey_mean(roster, "trust"), ev.survey_mean(citizens, "trust"))
    np.testing.assert_allclose(ours.estimate, theirs.estimate, rtol=1e-12)
    np.testing.assert_allclose(ours.std_error, theirs.std_error, rtol=1e-10)
    np.testing.assert_allclose(ours.df, theirs.df, rtol=1e-10)
    assert ours.keys["quantity"].tolist() == ["difference", "mean_participants", "mean_comparison"]


def test_participants_whom_the_citizen_survey_met_can_be_left_out(roster, citizens):
    ours = ev.sample_difference(roster, citizens, outcome="trust", comparability=SAME_TRUST, participant="joined")
    others = ev.survey_mean(ev.domain(citizens, {"joined": 0}), "trust")
    assert ours.estimate[2] == pytest.approx(others.estimate[0])
    assert ours.std_error[2] == pytest.approx(others.std_error[0])
    assert ours.n_obs.tolist() == [len(roster) + others.n_obs[0], len(roster), others.n_obs[0]]


def test_ratios_have_the_degrees_of_freedom_of_their_parts(roster, citizens):
    for measure in ("log_risk_ratio", "log_odds_ratio"):
        made = ev.sample_difference(roster, citizens, outcome="stays", comparability=SAME, measure=measure)
        one, other = made.df[1:]
        assert min(one, other) <= made.df[0] <= one + other


def test_the_gate_stands_in_the_result_and_refuses(roster, citizens):
    other = dataclasses.replace(ITEM, population="participants", mode="web")
    made = ev.sample_difference(
        roster, citizens, outcome="stays",
        comparability=ev.assess_comparability(other, ITEM, contains_participants=True),
    )  # fmt: skip
    assert made.fit["evidence_grade"] == 1
    assert made.fit["differs_in"] == ["population", "mode", "overlap"]
    assert "mode: web ≠ telephone" in made.fit["differences"]
    assert "nothing is ascribed to the programme" in str(ev.statement(made, lang="en"))
    changed = ev.Measurement("more", "I rely on neighbours more than before", "residents", "web", 2016)
    with pytest.raises(IdentificationError, match="asks whether something has changed"):
        ev.sample_difference(
            roster, citizens, outcome="stays",
            comparability=ev.assess_comparability(changed, changed, contains_participants=False),
        )  # fmt: skip
    with pytest.raises(EstimationError, match="Declare contains_participants=False"):
        ev.sample_difference(
            roster, citizens, outcome="stays", participant="joined",
            comparability=ev.assess_comparability(ITEM, ITEM, contains_participants=True),
        )  # fmt: skip


def test_the_joined_design_balances_and_adjusts(roster, citizens):
    joined = ev.join_samples(roster, citizens, columns=["trust", "age", "sex"], participant="joined")
    groups = {"treatment": "sample", "covariates": ["age", "sex"]}
    balanced = ev.entropy_balance(joined, **groups)
    assert ev.balance_table(balanced).verdicts["largest_smd"].iloc[-1] < 1e-8
    adjusted = ev.group_difference(balanced, outcome="trust", treatment="sample")
    assert adjusted.estimate[1] == pytest.approx(ev.survey_mean(roster, "trust").estimate[0])
    assert ev.aipw(joined, outcome="trust", **groups).std_error[0] > 0


def book(codes, direction=""):
    entry = Variable("trust", "ordinal", "신뢰", "Trust", codes=codes, direction=direction)
    return Codebook({"trust": entry})


def labelled(design, codebook):
    return dataclasses.replace(design, provenance=dataclasses.replace(design.provenance, labels=codebook))


UP = {"1": ("없음", "None"), "2": ("조금", "Some"), "3": ("많음", "Much")}
DOWN = {"1": ("많음", "Much"), "2": ("조금", "Some"), "3": ("없음", "None")}


@pytest.mark.parametrize(
    ("mine", "theirs", "told"),
    [
        (book(UP), book(DOWN), r"runs one way among participants \(1 = None ... 3 = Much\) and the other way"),
        (book(UP, "higher_is_more"), book(UP, "higher_is_less"), r"ev.reverse_scale\(survey, \['trust'\]\)"),
        (book(UP), book({**UP, "4": ("매우", "Very much")}), "means are not on one scale"),
    ],
)
def test_a_scale_that_is_another_on_one_side_is_refused(roster, citizens, mine, theirs, told):
    with pytest.raises(IdentificationError, match=told):
        ev.join_samples(labelled(roster, mine), labelled(citizens, theirs), columns="trust")


def test_a_scale_declared_alike_passes(roster, citizens):
    joined = ev.join_samples(
        labelled(roster, book(UP)), labelled(citizens, book(UP, "higher_is_more")), columns="trust"
    )
    assert len(joined) == len(roster) + len(citizens)


def test_yes_and_no_by_other_numbers_are_refused():
    one = ev.survey_design(pd.DataFrame({"y": [1, 2, 2]}))
    other = ev.survey_design(pd.DataFrame({"y": [0, 1, 1]}))
    with pytest.raises(IdentificationError, match="holds 1 and 2 among participants and 0 and 1 in the comparator"):
        ev.join_samples(one, other, columns="y")


def test_columns_must_be_there_on_both_sides(roster, citizens):
    with pytest.raises(ColumnError, match="no column 'joined'"):
        ev.join_samples(roster, citizens, columns="joined")
    with pytest.raises(EstimationError, match="names nothing to compare"):
        ev.join_samples(roster, citizens, columns=[])
