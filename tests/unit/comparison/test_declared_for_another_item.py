"""A comparison that was declared for one item bears no other: every verb that takes it refuses, and says which."""

import re
from dataclasses import replace

import pytest

import evaluation as ev
from evaluation.errors import ColumnError, EstimationError, IdentificationError
from evaluation.survey.codebook import Codebook, Variable

COLUMNS = {"treatment": "joined", "covariates": ["age", "sex"]}
STAYS = {"outcome": "stays", **COLUMNS}
VERBS = {
    "group_difference": lambda d, c: ev.group_difference(d, outcome="stays", treatment="joined", comparability=c),
    "aipw": lambda d, c: ev.aipw(d, **STAYS, comparability=c),
    "ipw": lambda d, c: ev.ipw(d, **STAYS, comparability=c),
    "ipwra": lambda d, c: ev.ipwra(d, **STAYS, comparability=c),
    "g_computation": lambda d, c: ev.g_computation(d, **STAYS, comparability=c),
    "regression_adjusted": lambda d, c: ev.regression_adjusted(d, **STAYS, comparability=c),
    "matched_difference": lambda d, c: ev.matched_difference(ev.match(d, **COLUMNS), outcome="stays", comparability=c),
    "effect_ladder": lambda d, c: ev.effect_ladder(d, **STAYS, methods=["raw"], comparability=c),
    "subgroup_effects": lambda d, c: ev.subgroup_effects(d, **STAYS, by="sex", comparability=c),
    "sensitivity_bounds": lambda d, c: ev.sensitivity_bounds(d, **STAYS, comparability=c),
    "robustness_value": lambda d, c: ev.robustness_value(d, **STAYS, comparability=c),
    "oster_delta": lambda d, c: ev.oster_delta(d, **STAYS, comparability=c),
    "manski_bounds": lambda d, c: ev.manski_bounds(d, outcome="stays", treatment="joined", comparability=c),
    "negative_controls": lambda d, c: ev.negative_controls(d, outcomes=["stays"], **COLUMNS, comparability=c),
    "oaxaca_blinder": lambda d, c: ev.oaxaca_blinder(d, **STAYS, comparability=c),
    "likert_difference": lambda d, c: ev.likert_difference(
        d, outcome="answer", treatment="joined", top=1, bottom=1, comparability=c
    ),
    "outcome_index": lambda d, c: ev.outcome_index(
        d, ["answer", "trust"], treatment="joined", name="ties", comparability=c
    ),
    "misclassification_bounds": lambda d, c: ev.misclassification_bounds(
        d, outcome="stays", reported="joined", sensitivity=0.95, specificity=0.95, comparability=c
    ),
    "benchmark_difference": lambda d, c: ev.benchmark_difference(ev.survey_mean(d, "stays"), 0.5, comparability=c),
    "sample_difference": lambda d, c: ev.sample_difference(
        d, ev.survey_design(d.data.iloc[::2].reset_index(drop=True)), outcome="stays", comparability=c
    ),
    "judge_comparison": lambda d, c: ev.judge_comparison(d, **STAYS, comparability=c),
}


def declared(item):
    side = ev.Measurement(item, "", "residents", "web", 2016)
    return ev.assess_comparability(side, side, contains_participants=False, evidence="adjusted")


@pytest.fixture
def design(respondents):
    frame = respondents.assign(answer=(respondents["trust"].rank(pct=True) * 4).round())
    return ev.survey_design(frame, weights="w", strata="stratum", psu="psu")


@pytest.mark.parametrize("verb", VERBS)
def test_a_declaration_of_another_item_is_refused(design, verb):
    own = {"likert_difference": "answer", "outcome_index": "ties"}.get(verb, "stays")
    said = re.escape(f"the comparability was declared for the item 'rely', and says nothing of '{own}'")
    with pytest.raises(EstimationError, match=rf"^{verb}: {said}\. Declare one for it: ev\.assess_comparability"):
        VERBS[verb](design, declared("rely"))
    VERBS[verb](design, declared(own))


def test_an_item_may_be_named_by_its_label_in_either_language(respondents):
    book = Codebook({"stays": Variable("stays", "binary", "계속 살고 싶음", "Wants to stay")})
    plain = ev.survey_design(respondents, weights="w")
    design = replace(plain, provenance=replace(plain.provenance, labels=book))
    for item in ("stays", "Stays", "계속 살고 싶음", "Wants to stay"):
        made = ev.group_difference(design, outcome="stays", treatment="joined", comparability=declared(item))
        assert made.fit["evidence_grade"] == 1


def test_a_declaration_says_nothing_of_a_second_outcome(design):
    with pytest.raises(EstimationError, match="declared for the item 'stays', and says nothing of 'trust'"):
        ev.effect_ladder(design, **{**STAYS, "outcome": ["stays", "trust"]}, comparability=declared("stays"))


def test_a_column_that_does_not_exist_is_named_first(design):
    with pytest.raises(ColumnError, match="Did you mean 'stays'"):
        ev.aipw(design, **{**STAYS, "outcome": "stay"}, comparability=declared("rely"))


def test_one_sample_given_twice_is_no_pair_of_samples(design, respondents):
    given = {"outcome": "stays", "comparability": declared("stays")}
    participants, others = (ev.domain(design, {"joined": value}) for value in (1, 0))
    again = ev.survey_design(respondents.copy(), weights="w")
    same = ev.survey_design(respondents, weights="w")
    for one, other in ((participants, design), (participants, others), (design, design), (again, same)):
        with pytest.raises(IdentificationError, match=r"are respondents of one sample .* ev\.group_difference"):
            ev.sample_difference(one, other, **given)
        with pytest.raises(IdentificationError, match="join_samples: participants and comparator are respondents"):
            ev.join_samples(one, other, columns="stays")
    fresh = ev.survey_design(respondents.assign(stays=1 - respondents["stays"]), weights="w")
    assert len(ev.sample_difference(fresh, design, **given)) == 3
