"""Comparisons in words, in both languages: units, ratios, standard deviations, paragraphs with their grade."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation import wording
from evaluation.amounts import adds_up, unit_of, with_unit
from evaluation.results import Provenance

LANGUAGES = ("ko", "en")
NAMES = {
    "weight": ("체중 변화", "Weight gained"),
    "gained": ("5 kg 넘게 늘어남", "Gained more than 5 kg"),
    "height": ("키", "Height"),
    "quit": ("금연", "Quit smoking"),
    "cigarettes": ("하루 흡연량", "Cigarettes a day"),
    "age": ("나이", "Age"),
    "sex": ("성별", "Sex"),
    "joy": ("즐거움", "Enjoyment"),
}
UNITS = {"weight": ("kg", "kg"), "height": ("cm", "cm"), "age": ("세", "years")}
POPULATION = {"ko": "흡연하던 성인", "en": "adults who smoked"}
RAW_NAMES = re.compile(r"\b(weight|gained|quit|cigarettes|sex|height)\b")


class Book:
    def variable(self, name, lang):
        return NAMES[name][lang == "en"] if name in NAMES else name

    def value(self, name, value, lang):
        words = {"f": ("여성", "women"), "m": ("남성", "men")}.get(str(value)) if name == "sex" else None
        return words[lang == "en"] if words else str(value)

    def unit(self, name, lang):
        return UNITS[name][lang == "en"] if name in UNITS else ""


@pytest.fixture(scope="module")
def smokers():
    rng, n = np.random.default_rng(5), 500
    age, cigarettes, sex = rng.normal(45, 12, n), rng.poisson(20, n).astype(float), rng.choice(["f", "m"], n)
    quit_smoking = (rng.random(n) < 1 / (1 + np.exp(1 - 0.03 * (age - 45)))).astype(int)
    weight = 2 + 3 * quit_smoking - 0.1 * (age - 45) + rng.normal(0, 7, n)
    frame = pd.DataFrame(
        {"age": age, "cigarettes": cigarettes, "sex": sex, "quit": quit_smoking, "weight": weight}
    ).assign(
        gained=(weight > 5).astype(int),
        height=170 + rng.normal(0, 9, n),
        joy=np.clip(np.round(3 + 0.4 * quit_smoking + rng.normal(size=n)), 1, 5).astype(int),
    )
    drawn = ev.survey_design(frame)
    where = Provenance("smokers", n=n, weight="unweighted", labels=Book(), population=POPULATION)
    return replace(drawn, provenance=where)


GIVEN = {"treatment": "quit", "covariates": ["age", "sex", "cigarettes"]}


def said(result, lang):
    return repr(ev.statement(result, lang))


def test_amounts_carry_the_unit_of_the_codebook_and_shares_of_it_none():
    assert unit_of("weight", Book(), "ko") == "kg"
    assert unit_of("gained", Book(), "ko") == ""
    assert with_unit("3.4", "kg", "ko") == "3.4 kg"
    assert with_unit("3.4", "점", "ko") == "3.4점"
    assert with_unit("3.4", "%", "ko", is_difference=True) == "3.4%p"


def test_a_difference_that_does_not_follow_from_the_printed_means_says_so(smokers):
    result = ev.group_difference(smokers, outcome="weight", treatment="quit")
    shifted = replace(result, estimate=np.array([2.5406, 4.5251, 1.9845]), vcov=np.diag([0.24, 0.1, 0.1]))
    assert not adds_up(2.5406, 4.5251, 1.9845, 2)
    assert "차이는 반올림하지 않은 값에서" in said(shifted, "ko")
    assert "difference of the unrounded values" in said(shifted, "en")
    exact = replace(shifted, estimate=np.array([2.54, 4.53, 1.99]))
    assert "반올림" not in said(exact, "ko")
    assert "unrounded" not in said(exact, "en")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_comparison_of_amounts_names_their_unit(smokers, lang):
    text = said(ev.aipw(smokers, outcome="weight", **GIVEN), lang)
    assert len(re.findall(r"\d\.\d+ kg\b", text)) == 4
    assert not re.search(r"\d\.\d+ kg\b", said(ev.aipw(smokers, outcome="gained", **GIVEN), lang))


@pytest.mark.parametrize("measure", ["log_risk_ratio", "log_odds_ratio"])
def test_logs_are_said_as_the_ratios_they_are(smokers, measure):
    result = ev.aipw(smokers, outcome="gained", measure=measure, **GIVEN)
    ratio, (low, high) = np.exp(result.estimate[0]), np.exp(result.confidence_interval()[0])
    name = {"log_risk_ratio": ("비율비", "risk ratio"), "log_odds_ratio": ("오즈비", "odds ratio")}[measure]
    places = wording.common_decimals([ratio * result.std_error[0]])
    shown = [wording.number(value, places) for value in (ratio, low, high)]
    korean, english = said(result, "ko"), said(result, "en")
    assert f"{name[0]} {shown[0]} (95% 신뢰구간 {shown[1]}–{shown[2]}, n = 500)" in korean
    assert f"비참여자와 비교해도 {name[0]} {shown[0]}의 차이가 남는다" in korean
    assert f"{name[1]} {shown[0]} (95% interval {shown[1]} to {shown[2]}; n = 500)" in english
    assert re.search(rf"^An? {name[1]} of {re.escape(shown[0])} remains", english, re.MULTILINE)
    assert "로그" not in korean
    assert "log" not in english.lower()


def test_a_standardised_difference_is_said_in_standard_deviations(smokers):
    result = ev.aipw(smokers, outcome="weight", measure="smd", **GIVEN)
    value = wording.number(result.estimate[0], wording.common_decimals([result.std_error[0]]))
    assert f"표준편차의 {value}배 차이가 남는다" in said(result, "ko")
    assert f"A difference of {value} standard deviations remains" in said(result, "en")
    raw = ev.group_difference(smokers, outcome="weight", treatment="quit", measure="smd")
    assert "표준편차의" in ev.statement(raw, "ko").sentences[-1]
    assert "standard deviations; nothing is ascribed" in ev.statement(raw, "en").sentences[-1]


def everything(smokers):
    share = {"outcome": "gained", **GIVEN}
    return {
        "ladder": ev.effect_ladder(smokers, outcome="weight", **GIVEN),
        "subgroups": ev.subgroup_effects(smokers, by=["sex"], **share),
        "sensitivity": ev.sensitivity_bounds(smokers, **share),
        "manski": ev.manski_bounds(smokers, outcome="gained", treatment="quit"),
        "oster": ev.oster_delta(smokers, outcome="weight", **GIVEN),
        "robustness": ev.robustness_value(smokers, **share),
        "controls": ev.negative_controls(smokers, outcomes=["height"], **GIVEN),
        "likert": ev.likert_difference(smokers, outcome="joy", treatment="quit", levels=[1, 2, 3, 4, 5]),
    }


@pytest.mark.parametrize("lang", LANGUAGES)
def test_rows_that_belong_together_are_one_paragraph_with_the_population_once(smokers, lang):
    for name, result in everything(smokers).items():
        first, *rest = ev.statement(result, lang).sentences
        text = repr(ev.statement(result, lang))
        assert text.count(POPULATION[lang]) == 1, name
        assert len(rest) <= 1, name
        assert RAW_NAMES.search(text) is None or lang == "en", name
        assert "quit" not in first, name
        assert not re.search(r"–-|\(\)|, ,|nan|=None", text), name


def test_paragraphs_end_with_what_their_grade_allows(smokers):
    made = everything(smokers)
    for name in ("ladder", "subgroups"):
        assert "관측되지 않은 특성은 배제되지 않는다." in said(made[name], "ko")
        assert "what was not observed is not ruled out." in said(made[name], "en")
    for name in ("sensitivity", "oster", "robustness", "controls"):
        assert ev.statement(made[name], "ko").sentences[-1].startswith("근거 2등급")
        assert ev.statement(made[name], "en").sentences[-1].startswith("Evidence grade 2")
    assert ev.statement(made["manski"], "en").sentences[-1].startswith("Where between these bounds")
    plain = ev.subgroup_effects(smokers, outcome="gained", treatment="quit", by=["sex"], covariates=[], method="raw")
    assert "nothing is ascribed to the programme" in said(plain, "en")
    assert "관측된 특성이 같은" not in said(plain, "ko")


def test_an_unweighted_sample_has_no_row_that_claims_weights(smokers):
    ladder = ev.effect_ladder(smokers, outcome="weight", **GIVEN)
    assert "조사 가중" not in repr(ev.table(ladder, lang="ko")) + said(ladder, "ko")
    assert "survey weights" not in repr(ev.table(ladder, lang="en")) + said(ladder, "en")
    weighted = replace(ladder, provenance=replace(ladder.provenance, weight="w"))
    assert "조사 가중, 보정 없음" in repr(ev.table(weighted, lang="ko"))


@pytest.mark.parametrize(
    ("term", "korean"),
    [
        ("cigarettes - 5", "하루 흡연량 − 5"),
        ("{cigarettes - 5}", "하루 흡연량 − 5"),
        ("I(age + 2.5)", "나이 + 2.5"),
        ("quit:cigarettes - 40", "금연 × (하루 흡연량 − 40)"),
        ("quit:{cigarettes - 40}", "금연 × (하루 흡연량 − 40)"),
        ("difference", "차이"),
    ],
)
def test_shifted_covariates_have_their_label_and_the_number(term, korean):
    assert wording.term_label(term, Book(), "ko") == korean
