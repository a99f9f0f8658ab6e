import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from evaluation import sentences, wording
from evaluation.errors import ProjectError
from evaluation.results import Provenance
from evaluation.vocabulary import areas, comparison, evidence, impact, results, robustness, rollout, surveys, words

made = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("handmade_results.py"))))

SCHOOLS = Provenance(
    "api_2000",
    title={"ko": "캘리포니아 학교 2000", "en": "California schools 2000"},
    n=1183,
    weight="pw, raked",
)


def test_a_caption_names_survey_n_weight_and_interval_in_both_languages():
    assert (
        wording.caption(SCHOOLS, 0.95, "en")
        == "California schools 2000 (api_2000), n = 1,183; weight: pw, raked; bars: 95% intervals"
    )
    assert (
        wording.caption(SCHOOLS, 0.9, "ko")
        == "캘리포니아 학교 2000 (api_2000), n = 1,183; 가중치: pw, raked; 막대: 90% 신뢰구간"
    )


def test_a_caption_always_carries_the_notice_even_if_it_exists_in_one_language_only():
    made_up = Provenance("seoul", notice={"ko": "합성 자료"}, n=10)
    assert wording.caption(made_up, None, "ko").endswith("합성 자료")
    assert wording.caption(made_up, None, "en").endswith("합성 자료")


def test_a_caption_of_several_weights_names_none_of_them():
    assert wording.caption(Provenance(n=5), 0.95, "en") == "data frame, n = 5; bars: 95% intervals"


def test_a_caption_says_the_weighting_steps_in_its_language():
    assert "가중치: pw → 사후층화 → 절사" in wording.caption(
        Provenance(weight="pw → poststratify → trim_weights"), None, "ko"
    )


def test_the_code_of_a_crossed_margin_is_said_part_by_part():
    class Types:
        def variable(self, name, lang):
            return name

        def value(self, name, value, lang):
            return {("stype", "E"): "초등학교", ("met", "No"): "아니요"}.get((name, value), str(value))

    assert wording.value_label("stype:met", "E:No", Types(), "ko") == "초등학교 · 아니요"
    assert wording.value_label("stype:met", "E:No:Yes", Types(), "ko") == "E:No:Yes"
    keys = pd.DataFrame({"term": ["stype:met"], "level": ["E:No"]})
    assert wording.label_keys(keys, Types(), "ko").iloc[0].tolist() == ["stype × met", "초등학교 · 아니요"]


@pytest.mark.parametrize(
    ("error", "places"), [(23.54, 0), (0.0278, 3), (900323.0, -4), (1.0, 1), (9.96, 1), (1e-12, wording.MOST_DECIMALS)]
)
def test_two_significant_digits_of_the_error_decide_the_decimals(error, places):
    assert wording.decimals(error) == places


def test_one_tiny_error_does_not_lend_its_digits_to_the_whole_column():
    assert wording.common_decimals([20.0, 23.0, 25.0, 0.00001]) == 1
    assert wording.common_decimals([0.0, float("nan")]) is None


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [
        (3989986.4, -4, "3,990,000"),
        (-0.0004, 2, "0.00"),
        (float("nan"), 1, "–"),
        (-1234.5, 1, "-1,234.5"),
        (np.inf, 0, "∞"),
    ],
)
def test_numbers_have_commas_no_negative_zero_and_a_sign_for_nothing(value, places, text):
    assert wording.number(value, places) == text


def test_a_p_value_is_never_shown_as_zero():
    assert wording.probability(0.00049) == "<0.001"
    assert wording.probability(0.0) == "<0.001"
    assert wording.probability(0.0501) == "0.050"


def test_every_word_exists_in_both_languages_and_the_korean_one_is_korean_where_the_english_is_not_a_symbol():
    for own in (words.TERMS, words.VERBS):
        for korean, english in own.values():
            assert korean.strip()
            assert english.strip()
            assert korean != english


def test_no_word_stands_in_two_modules():
    rooms = (
        results.TERMS,
        areas.TERMS,
        comparison.TERMS,
        evidence.TERMS,
        impact.TERMS,
        rollout.TERMS,
        robustness.TERMS,
        surveys.TERMS,
    )
    assert len(words.TERMS) == sum(map(len, rooms))


def test_keys_become_labels_and_missing_keys_stay_empty():
    class Book:
        def variable(self, name, lang):
            return {"stype": "학교급", "api00": "성취지수"}.get(name, name)

        def value(self, name, value, lang):
            return {("stype", "E"): "초등학교"}.get((name, value), str(value))

    keys = pd.DataFrame({"term": ["stype", "api00", "stype[T.E]:api00"], "level": ["E", None, float("nan")]})
    shown = wording.label_keys(keys, Book(), "ko")
    assert shown["term"].tolist() == ["학교급", "성취지수", "학교급 = 초등학교 × 성취지수"]
    assert shown["level"].tolist() == ["초등학교", "", ""]


def test_an_unknown_language_is_refused():
    with pytest.raises(ProjectError, match="'ko' or 'en'"):
        wording.term("n", "fr")


@pytest.mark.parametrize(
    ("verb", "estimate", "error", "said"),
    [
        ("survey_mean", 663.91, 2.8, "평균은 663.9로"),
        ("survey_mean", 660.04, 2.8, "평균은 660.0으로"),
        ("survey_total", 3404940.0, 932235.0, "총계는 3,400,000으로"),
        ("survey_ratio", 0.8497, 0.0084, "비(比)는 0.8497로"),
        ("survey_prop", 0.143, 0.02, "비율은 14.3%로"),
    ],
)
def test_korean_particles_fit_the_word_before_them(verb, estimate, error, said):
    result = made.made(verb, {"term": ["api00"]}, [estimate], [error])
    assert said in sentences.statement(result, "ko").sentences[0]
