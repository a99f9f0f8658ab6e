"""Results of regressions and tests in words: labels for codes, names for verbs, hypotheses in both languages."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation import project, wording
from evaluation.errors import PublishError
from evaluation.publication import read_published
from evaluation.results import Estimates, Provenance
from evaluation.tables import long_frame, table

NAMES = {
    "y": ("만족도", "satisfaction"),
    "sex": ("성별", "sex"),
    "age": ("나이", "age"),
    "won": ("가구소득", "income"),
    "job": ("직업", "occupation"),
    "area": ("자치구", "district"),
    "responded": ("응답 여부", "responded"),
    "result": ("처리 결과", "disposition"),
}
CODES = {
    "y": {"1": ("불만", "bad"), "2": ("보통", "fair"), "3": ("만족", "good")},
    "sex": {"1": ("남성", "male"), "2": ("여성", "female")},
    "job": {"a": ("사무직", "office"), "b": ("생산직", "manual"), "c": ("무직", "none")},
    "area": {"1": ("종로구", "Jongno"), "2": ("중구", "Jung"), "3": ("용산구", "Yongsan"), "4": ("마포구", "Mapo")},
}


class Book:
    def variable(self, name, lang):
        return NAMES[name][lang == "en"] if name in NAMES else name

    def value(self, name, value, lang):
        words = CODES.get(name, {}).get(str(value))
        return words[lang == "en"] if words else str(value)


@pytest.fixture(scope="module")
def design():
    rng, n = np.random.default_rng(1), 400
    sex = rng.integers(1, 3, n)
    frame = pd.DataFrame(
        {
            "sex": sex,
            "age": rng.normal(45, 12, n).round(),
            "area": rng.integers(1, 5, n),
            "job": rng.choice(list("abc"), n),
            "psu": np.arange(n) // 10,
            "w": rng.uniform(1, 3, n),
            "won": np.exp(rng.normal(5, 0.6, n)),
            "y": 1 + (rng.normal(size=n) + 0.4 * sex > 0.3).astype(int) + (rng.normal(size=n) > 0.5),
            "result": rng.choice(["I", "P", "R", "NC"], n),
            "responded": (rng.random(n) < 0.6).astype(int),
        }
    )
    frame["sex_as_float"] = frame["sex"].astype(float)
    drawn = ev.survey_design(frame, weights="w", psu="psu")
    return replace(drawn, provenance=Provenance("answers", n=n, weight="w", labels=Book(), population={"ko": "시민"}))


@pytest.fixture(scope="module")
def ordinal(design):
    return ev.survey_ordinal(design, outcome="y", covariates="~ C(sex) + age")


@pytest.fixture(scope="module")
def everything(design, ordinal):
    several = ev.survey_multinomial(design, outcome="job", covariates="~ C(sex) + age")
    line = ev.survey_glm(design, outcome="won", covariates="~ C(sex) + age")
    rows = pd.DataFrame({"sex": [1, 2], "age": [30.0, 40.0]})
    covariates = pd.DataFrame({"area": [1, 2, 3, 4], "x": [1.0, 2.0, 1.0, 4.0]})
    return {
        "ordinal": ordinal,
        "multinomial": several,
        "effects": ev.marginal_effects(ordinal),
        "margins": ev.predictive_margins(ordinal, "sex"),
        "predictions": ev.predictions(ordinal, rows),
        "arop": ev.survey_arop(design, "won", by="sex"),
        "rates": ev.response_rates(design, disposition="result"),
        "areas": ev.fay_herriot(ev.survey_mean(design, "won", by="area"), covariates),
        "ttest": ev.survey_ttest(design, "won", by="sex"),
        "pairs": ev.survey_ttest(design, "won", paired_with="age"),
        "one": ev.survey_ttest(design, "age", mu=40),
        "chisq": ev.survey_chisq(design, "sex", "y", statistic="lincom"),
        "ranks": ev.survey_ranktest(design, "won", "sex"),
        "terms": ev.term_test(line, ["C(sex)", "age"]),
        "slopes": ev.parallel_slopes_test(ordinal),
    }


@pytest.mark.parametrize("name", ["effects", "margins", "predictions"])
def test_categories_of_the_outcome_bear_its_labels_and_not_those_of_the_covariate(name, everything):
    result = everything[name]
    assert set(table(result, lang="ko").frame["범주"]) == {"불만", "보통", "만족"}
    assert set(long_frame(result)["level_label_en"]) == {"bad", "fair", "good"}
    assert "불만" in repr(ev.statement(result, "ko"))
    assert {"1", "2", "3"} == set(long_frame(result)["level"])


def test_categories_of_a_multinomial_outcome_bear_their_labels(everything):
    assert set(table(everything["multinomial"], lang="ko").frame["범주"]) == {"생산직", "무직"}


def test_values_and_compared_codes_of_covariates_bear_labels(everything):
    margins = table(everything["margins"], lang="ko")
    assert margins.frame["성별"].tolist() == ["남성"] * 3 + ["여성"] * 3
    assert margins.title == "조정 평균 (예측 마진): 만족도 (성별)"
    effects = table(everything["effects"], lang="en").frame
    assert effects["compared"].tolist() == ["per unit (slope)"] * 3 + ["female − male"] * 3


def test_thresholds_are_named_by_the_answers_they_part(everything):
    terms = table(everything["ordinal"], lang="ko").frame["항목"].tolist()
    assert terms == ["성별 = 여성", "나이", "문턱 불만|보통", "문턱 보통|만족"]


def test_codes_read_as_floats_are_shown_as_whole_numbers_with_their_labels(design):
    shown = table(ev.survey_prop(design, "sex_as_float"), lang="ko").frame
    assert shown["범주"].tolist() == ["1", "2"]
    assert wording.value_label("sex", 2.0, Book(), "ko") == "여성"
    assert wording.value_label("sex", 2.5, Book(), "ko") == "2.5"


@pytest.mark.parametrize("lang", ["ko", "en"])
def test_no_verb_and_no_test_of_the_package_stands_raw_in_a_table_a_sentence_or_a_figure(everything, lang):
    for name, result in everything.items():
        shown = repr(table(result, lang=lang)) + repr(ev.statement(result, lang))
        if isinstance(result, Estimates):
            figure = ev.plot(result, lang=lang)
            shown += " ".join([figure.title, figure.caption, *figure.data["panel"], *figure.data["row"]])
        assert not re.search(r"[a-z]_[a-z]|C\(|dY/dX|Rao-Scott", shown), name
        if lang == "ko":
            assert not re.search(r"\b(mean of|independent|distributed|coefficients|slopes|chi-squared)\b", shown), name


def test_figures_of_regressions_leave_out_constants_and_compare_categories_on_one_scale(everything):
    ordinal = ev.plot(everything["ordinal"], lang="ko")
    assert ordinal.data["row"].tolist() == ["성별 = 여성", "나이"]
    assert "문턱은 그림에 없음" in ordinal.caption
    assert "절편은 그림에 없음" in ev.plot(everything["multinomial"], lang="ko").caption
    effects = ev.plot(everything["effects"], lang="ko").data
    assert effects["panel"].unique().tolist() == ["나이: 한 단위 늘 때 (기울기)", "성별: 여성 − 남성"]
    assert effects["row"].tolist() == ["불만", "보통", "만족"] * 2
    margins = ev.plot(everything["margins"], lang="ko")
    assert margins.data["panel"].unique().tolist() == ["만족도: 불만", "만족도: 보통", "만족도: 만족"]
    assert len({axes.get_xlim() for axes in margins.figure.axes}) == 1


HYPOTHESES = {
    "ttest": "가구소득의 평균 차이(성별: 여성 − 남성)는 0",
    "pairs": "가구소득 − 나이의 평균은 0",
    "one": "나이의 평균은 40",
    "chisq": "두 변수(성별, 만족도)는 서로 독립",
    "ranks": "가구소득의 분포는 성별에 따라 다르지 않음",
    "terms": "성별, 나이의 계수는 모두 0",
    "slopes": "기울기는 모든 문턱(2개)에서 같음",
}


@pytest.mark.parametrize("name", HYPOTHESES)
def test_hypotheses_are_said_in_korean_with_labels_and_stay_english_in_the_repr(name, everything):
    test = everything[name]
    shown = table(test, lang="ko")
    assert shown.frame["귀무가설"].tolist() == [HYPOTHESES[name]]
    assert shown.data["term"].tolist() == [test.hypothesis]
    assert shown.data["term_label_ko"].tolist() == [HYPOTHESES[name]]
    assert not re.search("[가-힣]", repr(test))
    said = repr(ev.statement(test, "ko"))
    assert HYPOTHESES[name] in said
    assert wording.probability(test.p_value).lstrip("<") in said


def test_what_has_no_sentence_is_refused_with_the_next_move(design):
    with pytest.raises(PublishError, match=r"got DesignEffects. ev.table"):
        ev.statement(ev.design_effects(design, "won"))
    with pytest.raises(PublishError, match="got DataFrame"):
        ev.statement(pd.DataFrame({"n": [1]}))


def test_shares_are_per_cent_in_sentences_as_in_tables(everything):
    for name in ("arop", "rates"):
        shown = table(everything[name], lang="en").frame.iloc[0]
        places = wording.common_decimals([100 * float(everything[name].std_error[0])])
        assert f"estimated at {100 * everything[name].estimate[0]:.{places}f}%" in repr(
            ev.statement(everything[name], "en")
        )
        assert any("(%)" in column for column in shown.index)


def test_a_small_area_is_said_with_its_own_respondents(everything, design):
    counts = design.data["area"].value_counts().sort_index()
    said = ev.statement(everything["areas"], "ko").sentences
    assert [int(re.search(r"n = (\d+)", sentence)[1]) for sentence in said] == counts.tolist()
    assert "모형에 쓰인 응답수 (n)" in table(everything["areas"], lang="ko").frame


def test_the_covariance_of_a_variable_with_itself_is_called_its_variance(design):
    result = ev.survey_covariance(design, ["won", "age"])
    assert table(result, lang="en").frame["item"].tolist() == ["income (variance)", "income × age", "age (variance)"]
    first, second, _ = ev.statement(result, "en").sentences
    assert first.startswith("Income: the variance")
    assert second.startswith("Income × age: the covariance")


def test_partial_r_indicators_say_what_they_are(design):
    found = ev.partial_r_indicators(design, responded="responded", covariates="sex")
    assert "시민의 성별, 여성 단독 부분 R-지표는" in repr(ev.statement(found, "ko"))


def test_groups_of_diagnostics_bear_the_labels_of_their_codes(design):
    for result in (ev.design_effects(design, "won", by="sex"), ev.weight_distribution(design, by="sex")):
        shown = table(result, lang="ko")
        assert shown.frame["성별"].tolist() == ["남성", "여성"]
        assert "성별" not in shown.numeric


def test_a_card_in_korean_names_replicates_and_a_nameless_survey_in_korean(design):
    nameless = replace(ev.as_replicates(design, kind="bootstrap", replicates=20, seed=7), provenance=Provenance(n=400))
    project.use_language("ko")
    try:
        shown = repr(nameless)
    finally:
        project.use_language("en")
    assert "반복가중 (붓스트랩, 20벌, 시드 7)" in shown
    assert "데이터프레임, n = 400" in shown
    assert "replicates (bootstrap, 20, seed 7)" in repr(nameless)
    assert wording.caption(Provenance(n=4), lang="ko") == "데이터프레임, n = 4"


def test_a_test_of_few_respondents_shows_its_mark_and_says_what_it_means(everything):
    few = replace(everything["ttest"], provenance=replace(everything["ttest"].provenance, min_base=1000))
    shown = table(few, lang="ko")
    assert shown.frame["추정값"].tolist() == [wording.ABSENT]
    assert shown.frame["표시"].tolist() == ["[u]"]
    assert "[u]: 응답자 1000명 미만" in shown.caption


def test_a_survey_or_a_weight_called_like_a_distribution_keeps_its_name():
    assert wording.caption(Provenance("t", n=4, weight="F"), lang="ko") == "t, n = 4; 가중치: F"


@pytest.mark.parametrize("name", ["ordinal", "multinomial", "effects", "margins", "predictions"])
def test_what_was_published_and_read_again_bears_the_same_words(name, everything, tmp_path, monkeypatch):
    monkeypatch.setenv("EVALUATION_RUN", str(tmp_path))
    monkeypatch.setenv("EVALUATION_STEP", "impact")
    ev.publish(name, everything[name])
    again = read_published(tmp_path)[name]
    for lang in ("ko", "en"):
        was, now = (wording.result_keys(result, lang) for result in (everything[name], again))
        pd.testing.assert_frame_equal(now, was)
