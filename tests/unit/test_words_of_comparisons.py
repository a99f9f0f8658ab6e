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


def words_of(figure):
    return {text.get_text() for text in figure.figure.findobj(lambda artist: hasattr(artist, "get_text"))}


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
    article = {"log_risk_ratio": "A", "log_odds_ratio": "An"}[measure]
    assert f"{name[0]} {shown[0]} (95% 신뢰구간 {shown[1]}–{shown[2]}, n = 500)" in korean
    assert f"비참여자와 비교해도 {name[0]} {shown[0]}의 차이가 남는다" in korean
    assert f"{name[1]} {shown[0]} (95% interval {shown[1]} to {shown[2]}; n = 500)" in english
    assert re.search(rf"^{article} {name[1]} of {re.escape(shown[0])} remains", english, re.MULTILINE)
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


def test_one_negative_control_is_one_outcome(smokers):
    one = ev.negative_controls(smokers, outcomes=["height"], **GIVEN)
    two = ev.negative_controls(smokers, outcomes=["height", "joy"], **GIVEN)
    assert "One outcome that the programme cannot move" in one.text("en")
    assert "2 outcomes that" in two.text("en")
    assert "개의" not in one.text("ko")
    assert "결과 2개의" in two.text("ko")


@pytest.mark.parametrize(
    ("outcome", "measure", "korean", "english"),
    [
        ("gained", "log_risk_ratio", "5 kg 넘게 늘어남, 비율비 ", "Gained more than 5 kg, risk ratio "),
        ("gained", "log_odds_ratio", "의 제곱근인 비율비 ", "(its square root)"),
        ("weight", "smd", "체중 변화, 표준화 차이 ", "Weight gained, standardised difference "),
    ],
)
def test_an_e_value_names_its_outcome_and_what_its_ratio_was_made_of(smokers, outcome, measure, korean, english):
    estimate = ev.aipw(smokers, outcome=outcome, measure=measure, **GIVEN)
    made = ev.e_value(estimate)
    given = float(estimate.estimate[0]) if measure == "smd" else float(np.exp(estimate.estimate[0]))
    assert made.given == pytest.approx(given)
    assert korean in made.text("ko")
    assert english in made.text("en")
    for lang in LANGUAGES:
        assert f"{given:.2f}" in made.text(lang)
        table = ev.table(made, lang=lang)
        assert not {"point", "low", "high", "null", "scale"} & set(table.frame.columns)
        assert f"{made.point:.2f}" in table.frame.iloc[0].tolist()
        assert said(made, lang) == made.text(lang)
    assert list(ev.table(made, lang="ko").frame.columns)[-2:] == ["E값 (신뢰한계)", "옮겨 갈 값"]


def test_an_e_value_of_a_number_has_no_outcome():
    made = ev.e_value(1.2, low=0.95, high=1.5)
    assert made.text("en").startswith("Risk ratio 1.20: ")
    assert made.text("ko").startswith("비율비 1.20: ")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_tables_of_sensitivity_have_the_digits_of_their_errors(smokers, lang):
    given = {"outcome": "gained", **GIVEN}
    curve = ev.sensitivity_curve(smokers, **given)
    places = wording.common_decimals(curve.bounds.std_error.tolist())
    cells = ev.table(curve, lang=lang).frame.iloc[:, 1:].to_numpy().ravel()
    assert {len(cell.partition(".")[2]) for cell in cells} == {places}
    benchmarks = ev.table(ev.sensitivity_benchmarks(smokers, **given), lang=lang).frame
    for column in benchmarks.columns[1:]:
        assert len({len(cell.partition(".")[2]) for cell in benchmarks[column]}) == 1, column


@pytest.mark.parametrize("lang", LANGUAGES)
def test_p_values_of_matched_pairs_are_printed_as_probabilities(smokers, lang):
    bounds = ev.rosenbaum_bounds(ev.match(smokers, **GIVEN), outcome="weight", gamma=[1, 1.2, 2])
    shown = ev.table(bounds, lang=lang).frame
    for column in (wording.term("p_low", lang), wording.term("p_high", lang)):
        assert all(re.fullmatch(r"<0\.001|[01]\.\d{3}", cell) for cell in shown[column])
    assert "효과" not in repr(ev.table(bounds, lang="ko"))
    assert not re.search(r"\de-\d", repr(bounds))
    assert "weight" not in repr(bounds).splitlines()[0]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_groups_are_participants_and_others_in_every_table(smokers, lang):
    names = [wording.term(name, lang) for name in ("participants", "others")]
    for result in (ev.overlap(smokers, **GIVEN), ev.match(smokers, **GIVEN)):
        shown = ev.table(result, lang=lang).frame
        assert shown[wording.term("by", lang)].tolist() == names
        assert "group" not in (shown.columns if lang == "ko" else [])


def test_effective_numbers_are_whole(smokers):
    ladder = ev.effect_ladder(smokers, outcome="weight", **GIVEN)
    shown = ev.table(ladder, lang="ko").frame
    for column in ("참여자 유효표본수", "비교집단 유효표본수"):
        assert all(re.fullmatch(r"[\d,]+|–", cell) for cell in shown[column])


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_table_without_rows_says_so(smokers, lang):
    ladder = ev.effect_ladder(smokers, outcome="weight", methods=["raw"], **GIVEN)
    table = ev.table(ev.against_truth(ladder, None), lang=lang)
    assert "Empty DataFrame" not in repr(table) + repr(ev.against_truth(ladder, None))
    for text in (repr(table), table._repr_html_()):
        assert {"ko": "해당하는 행이 없음", "en": "There are no rows to show"}[lang] in text


@pytest.mark.parametrize("lang", LANGUAGES)
def test_an_unweighted_table_of_the_groups_speaks_of_no_weights(smokers, lang):
    people = ev.table_one(smokers, **GIVEN)
    text = repr(ev.table(people, lang=lang))
    assert ("가중 인원" if lang == "ko" else "weighted n") not in text
    assert ("조사 가중" if lang == "ko" else "survey weights") not in text
    weighted = replace(people, provenance=replace(people.provenance, weight="w"))
    assert ("가중 인원" if lang == "ko" else "weighted n") in repr(ev.table(weighted, lang=lang))


def test_a_design_describes_itself_in_the_language_asked_for(smokers):
    assert smokers.sampling.text("ko") == "PSU 500개 (응답자마다 하나)"
    assert smokers.sampling.text("en") == "500 PSUs (one respondent each)"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_claim_writes_amounts_in_their_unit(smokers, lang):
    claim = ev.judge_comparison(smokers, outcome="weight", **GIVEN)
    numbers = re.findall(r"\d\.\d+ kg\b", " ".join(claim.sentences(lang)))
    assert len(numbers) >= 3
    shares = ev.judge_comparison(smokers, outcome="gained", **GIVEN)
    assert not re.findall(r"\d\.\d+ kg\b", " ".join(shares.sentences(lang)))


def test_a_claim_says_where_the_printed_means_do_not_give_the_difference(smokers):
    claim = ev.judge_comparison(smokers, outcome="weight", **GIVEN)
    means = smokers.data.groupby("quit")["weight"].mean()
    places = wording.common_decimals([float(claim.ladder.std_error[0])])
    exact = adds_up(float(claim.ladder.estimate[0]), means[1], means[0], places)
    assert ("반올림" in claim.sentences("ko")[0]) == (not exact)
    assert ("unrounded" in claim.sentences("en")[0]) == (not exact)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_figures_of_an_unweighted_sample_speak_of_no_weights(smokers, lang):
    made = {
        "ladder": ev.effect_ladder(smokers, outcome="weight", **GIVEN),
        "subgroups": ev.subgroup_effects(smokers, outcome="weight", by=["sex"], **GIVEN),
    }
    for name, result in made.items():
        drawn = words_of(ev.plot(result, lang=lang))
        assert ("보정 없음" if lang == "ko" else "not adjusted") in drawn, name
        assert not [word for word in drawn if "조사 가중" in word or "survey weights" in word], name


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("measure", ["log_odds_ratio", "smd"])
def test_means_do_not_stand_on_the_axis_of_a_ratio_or_of_deviations(smokers, measure, lang):
    figure = ev.plot(ev.aipw(smokers, outcome="gained", measure=measure, **GIVEN), lang=lang)
    assert figure.data["quantity"].tolist() == [measure]
    assert wording.term(measure, lang) in words_of(figure)
    assert wording.term("means_not_drawn", lang) in figure.caption
    plain = ev.plot(ev.aipw(smokers, outcome="gained", **GIVEN), lang=lang)
    assert len(plain.data) == 3
    assert wording.term("means_not_drawn", lang) not in plain.caption


@pytest.mark.parametrize("lang", LANGUAGES)
def test_rows_of_a_tipping_point_and_what_a_figure_leaves_out_are_named(smokers, lang):
    tipping = ev.plot(ev.tipping_point(ev.aipw(smokers, outcome="gained", **GIVEN)), lang=lang)
    assert all(row.startswith(wording.term("strength", lang)) for row in tipping.data["row"])
    stability = ev.plot(ev.oster_delta(smokers, outcome="weight", **GIVEN), lang=lang)
    assert wording.term("delta_not_drawn", lang) in stability.caption


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_negative_control_names_its_outcome_in_a_group_of_results(smokers, lang):
    one = ev.negative_controls(smokers, outcomes=["height"], **GIVEN)
    shown = ev.table({"controls": one}, title="outcomes_not_moved", lang=lang).frame
    assert NAMES["height"][lang == "en"] in shown.iloc[0, 0]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_an_axis_of_differences_has_the_unit_of_the_outcome(smokers, lang):
    difference = wording.term("difference", lang)
    drawn = {
        outcome: words_of(
            ev.plot(ev.effect_ladder(smokers, outcome=outcome, methods=["raw", "aipw"], **GIVEN), lang=lang)
        )
        for outcome in ("weight", "gained")
    }
    assert f"{difference} (kg)" in drawn["weight"]
    assert difference in drawn["gained"]
    forest = ev.subgroup_effects(smokers, outcome="weight", by=["sex"], **GIVEN)
    assert f"{difference} (kg)" in words_of(ev.plot(forest, lang=lang))
