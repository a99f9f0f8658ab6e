"""A comparison is declared before it is computed; what differs is said, and a question about change is refused."""

import dataclasses

import pytest

import evaluation as ev
from evaluation.errors import EstimationError, IdentificationError, ProjectError

STAY = ev.Measurement("stay", "I want to stay in this neighbourhood", "residents 15+", "face_to_face", 2016)
SEOUL = ev.Measurement("live_in_seoul", "Will you live in Seoul in ten years?", "residents 15+", "face_to_face", 2016)


def same(**changes):
    return ev.assess_comparability(
        STAY, dataclasses.replace(STAY, **changes), contains_participants=False, evidence="adjusted"
    )


def test_equal_sides_differ_in_nothing_and_keep_the_grade_of_the_design():
    verdict = same()
    assert verdict.differences == ()
    assert verdict.grade == 2
    assert verdict.tidy().empty
    verdict.require()


@pytest.mark.parametrize(
    ("aspect", "value"), [("population", "all of Korea"), ("mode", "web"), ("year", 2017), ("wording", "Stay?")]
)
def test_each_aspect_that_differs_is_named(aspect, value):
    verdict = same(**{aspect: value})
    assert verdict.tidy()["aspect"].tolist() == [aspect]
    assert str(value) in verdict.text("en")


def test_another_item_leaves_grade_one_whatever_the_design():
    for evidence in ("adjusted", "staggered", "randomised"):
        verdict = ev.assess_comparability(STAY, SEOUL, contains_participants=True, evidence=evidence)
        assert verdict.grade == 1
        assert "another item" in verdict.text("en")
        assert "문항이 다름" in verdict.text("ko")


def test_what_is_not_known_is_printed_as_unknown_and_does_not_pass_for_equal():
    verdict = ev.assess_comparability(
        dataclasses.replace(STAY, mode="", year=None), dataclasses.replace(STAY, mode=""), contains_participants=None
    )
    assert verdict.tidy().set_index("aspect")["is_unknown"].to_dict() == {"mode": True, "year": True, "overlap": True}
    assert "mode: unknown / unknown" in verdict.text("en")


def test_a_whole_population_contains_participants_and_says_so():
    verdict = ev.assess_comparability(STAY, STAY, contains_participants=True)
    assert verdict.text("ko").splitlines()[-1] == "비교 대상에 참여자 포함: 아니요 ≠ 예"


@pytest.mark.parametrize(
    "wording",
    [
        "Neighbours I can lean on have increased",
        "의지할 이웃이 늘었다",
        "Is trust better than before?",
        "전보다 신뢰한다",
    ],
)
def test_a_question_about_change_is_refused(wording):
    item = dataclasses.replace(STAY, wording=wording)
    verdict = ev.assess_comparability(item, item, contains_participants=False, evidence="randomised")
    assert verdict.is_refused
    assert verdict.grade == 0
    assert "no comparison" in verdict.strongest_sentence("9 points", "en")
    with pytest.raises(IdentificationError, match="asks whether something has changed"):
        verdict.require()


def test_a_declaration_outweighs_the_reading_of_the_words():
    growing = dataclasses.replace(STAY, wording="Prices have increased too fast", asks_change=False)
    assert not ev.assess_comparability(growing, growing, contains_participants=False).is_refused
    silent = dataclasses.replace(STAY, asks_change=True)
    assert ev.assess_comparability(STAY, silent, contains_participants=False).is_refused


def test_diagnostics_lower_a_grade_and_never_raise_it():
    lowered = ev.assess_comparability(
        STAY, STAY, contains_participants=False, evidence="staggered", failed=["pre_trend"]
    )
    assert lowered.grade == 2
    assert "pre-trend" in lowered.text("en")
    benchmark = ev.assess_comparability(STAY, STAY, contains_participants=False, failed=["pre_trend"])
    assert benchmark.grade == 1


@pytest.mark.parametrize("lang", ["ko", "en"])
def test_no_sentence_below_grade_five_ascribes_the_gap(lang):
    designs = ["benchmark", "adjusted", "difference_in_differences", "staggered"]
    for evidence in designs:
        verdict = ev.assess_comparability(STAY, STAY, contains_participants=False, evidence=evidence)
        sentence = verdict.strongest_sentence("4.0%p", lang)
        assert "4.0%p" in sentence
        for word in ("caus", "effect", "impact", "brought about", "raised", "효과", "영향", "때문", "낳"):
            assert word not in sentence


def test_unknown_words_are_answered_with_the_nearest():
    with pytest.raises(EstimationError, match="Did you mean 'adjusted'"):
        ev.assess_comparability(STAY, STAY, contains_participants=False, evidence="adjustd")
    with pytest.raises(EstimationError, match="Did you mean 'balance'"):
        ev.assess_comparability(STAY, STAY, contains_participants=False, failed=["balanse"])
    with pytest.raises(ProjectError, match="'ko' or 'en'"):
        ev.assess_comparability(STAY, STAY, contains_participants=False).text("fr")


def test_the_verdict_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        same().evidence = "randomised"
