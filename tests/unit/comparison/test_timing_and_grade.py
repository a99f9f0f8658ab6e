"""Covariates measured after participation are refused; a declared comparison travels with what it allows."""

from dataclasses import replace

import pytest

import evaluation as ev
from evaluation.errors import IdentificationError
from evaluation.survey.codebook import Codebook, Variable

COVARIATES = ["age", "sex"]
ADJUSTED = [ev.ipw, ev.g_computation, ev.regression_adjusted, ev.aipw, ev.ipwra]


def design_of(frame, **timing):
    design = ev.survey_design(frame, weights="w", strata="stratum", psu="psu")
    book = Codebook({name: Variable(name, "numeric", label_en=name, timing=when) for name, when in timing.items()})
    return replace(design, provenance=replace(design.provenance, labels=book))


def asked(design, verb, covariates):
    return verb(design, outcome="stays", treatment="joined", covariates=covariates)


@pytest.mark.parametrize("verb", ADJUSTED, ids=lambda verb: verb.__name__)
@pytest.mark.parametrize("covariates", [["age", "trust"], "~ age + log(trust)", "~ age * C(`trust`)"])
def test_a_covariate_measured_after_participation_is_refused(respondents, verb, covariates):
    with pytest.raises(IdentificationError, match=r"says timing 'after' of 'trust'.*covariates=\['age'\]"):
        asked(design_of(respondents, trust="after", age="before"), verb, covariates)


def test_so_it_is_before_any_outcome_is_read(respondents):
    design = design_of(respondents, trust="after")
    for verb in (ev.overlap, ev.balance_table):
        with pytest.raises(
            IdentificationError, match=f"{verb.__name__}: covariates must be fixed before participation"
        ):
            verb(design, treatment="joined", covariates=["age", "trust"])


def test_covariates_from_before_or_of_no_declared_time_are_used(respondents):
    plain = ev.survey_design(respondents, weights="w", strata="stratum", psu="psu")
    declared = design_of(respondents, age="before", stays="after")
    assert (asked(declared, ev.aipw, COVARIATES).estimate == asked(plain, ev.aipw, COVARIATES).estimate).all()
    asked(plain, ev.aipw, ["age", "trust"])


def test_the_synthetic_citizens_do_not_adjust_one_answer_for_another():
    design = ev.survey_design(ev.read_survey("seoul_2016"))
    with pytest.raises(IdentificationError, match=r"surveys/seoul_2016/codebook\.csv says timing 'after' of 'happy'"):
        ev.aipw(design, outcome="stay", treatment="participant", covariates=["sex", "happy"])


def declared(evidence="adjusted", item="stays", **options):
    ours = ev.Measurement("stays", "I want to stay", "residents 15+", "web", 2016)
    other = replace(ours, item=item, mode="telephone")
    return ev.assess_comparability(ours, other, contains_participants=False, evidence=evidence, **options)


@pytest.mark.parametrize(
    ("verdict", "grade"),
    [
        (declared(), 2),
        (declared("randomised"), 2),
        (declared("benchmark"), 1),
        (declared(item="lives"), 1),
        (declared(failed=["overlap"]), 1),
    ],
)
def test_an_adjusted_difference_carries_its_grade_and_what_differs(respondents, verdict, grade):
    for verb in ADJUSTED:
        result = verb(
            design_of(respondents), outcome="stays", treatment="joined", covariates=COVARIATES, comparability=verdict
        )
        assert result.fit["evidence_grade"] == grade
        assert "mode" in result.fit["differs_in"]


def test_a_difference_as_it_is_never_exceeds_grade_one(respondents):
    result = ev.group_difference(
        design_of(respondents), outcome="stays", treatment="joined", comparability=declared("randomised")
    )
    assert result.fit["evidence_grade"] == 1
    assert "evidence_grade" not in ev.group_difference(design_of(respondents), outcome="stays", treatment="joined").fit


@pytest.mark.parametrize("verb", ADJUSTED, ids=lambda verb: verb.__name__)
def test_a_refused_comparison_is_not_adjusted_either(respondents, verb):
    verdict = declared(item="stays_more_than_before")
    with pytest.raises(IdentificationError, match="asks whether something has changed"):
        verb(design_of(respondents), outcome="no such column", treatment="joined", covariates=[], comparability=verdict)
