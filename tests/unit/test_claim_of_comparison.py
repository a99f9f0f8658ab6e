"""What may be written of a comparison: no combination of failing checks lets a sentence say more than its level."""

import itertools
import json
import re
import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.comparison.claim_levels import CAPS, CHECKS, GRADE_OF, LEVELS, Check, Facts, level_of, sentences_of
from evaluation.errors import ColumnError, EstimationError, IdentificationError

made = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("handmade_participants.py"))))

CAUSAL = re.compile(
    r"\bcaus|\brais(ed|es|ing)\b|\bled to\b|\bleads to\b|\beffects? of\b|\bimpact|\bbecause\b|\bdue to\b|\bthanks to\b"
    r"|\bincreas|\bimprov|\bproduced\b|덕분|때문|높였|높인|효과|영향|향상|증가시",
    re.IGNORECASE,
)
REMAINS = {"en": "remains between participants and others alike in", "ko": "차이가 남는다"}
APPEARS = {"en": "there is a difference of", "ko": "사이에는"}
UNLESS = {"en": "unless a hidden trait", "ko": "않는 한 차이는 0이 되지 않는다"}
FACTS = Facts(
    item="item",
    participants="82%",
    others="61%",
    raw=("21 points", "17", "24"),
    adjusted=("11 points", "8", "14"),
    interval="95% interval",
    covariates=("age", "sex"),
    breakdown="1.80",
    strongest="age",
    factor="1.30",
    n="400",
)
GIVEN = {"outcome": "stays", "treatment": "joined", "covariates": ["age", "sex"]}


def text_of(level, checks, lang):
    return " ".join(sentences_of(level, checks, FACTS, lang))


def checks_with(verdicts):
    return [Check(name, verdict=verdict) for name, verdict in zip(CAPS, verdicts, strict=True)]


@pytest.fixture
def respondents():
    """Participation hangs on age and sex a little, the answers on participation a lot."""
    rng = np.random.default_rng(11)
    n = 1200
    frame = pd.DataFrame(
        {
            "psu": np.repeat(np.arange(n // 8), 8),
            "stratum": np.repeat(["s", "t"], n // 2),
            "w": rng.uniform(5, 15, n),
            "age": rng.normal(45, 12, n),
            "sex": rng.choice(["f", "m"], n),
        }
    )
    frame["joined"] = (rng.uniform(size=n) < 1 / (1 + np.exp(0.2 - 0.004 * (frame["age"] - 45)))).astype(int)
    frame["stays"] = (rng.uniform(size=n) < 0.35 + 0.4 * frame["joined"]).astype(float)
    frame["height"] = rng.normal(165, 8, n)
    return frame


def same_item(**options):
    item = ev.Measurement("stays", "I want to stay here", "residents", "web", 2016)
    return ev.assess_comparability(item, item, contains_participants=False, **{"evidence": "adjusted", **options})


def judged(frame, **options):
    return ev.judge_comparison(made.design_of(frame), **{**GIVEN, **options})


# --- levels: pure -------------------------------------------------------------------------------------------------


def test_no_combination_of_checks_gives_a_causal_sentence_or_one_above_its_level():
    for verdicts in itertools.product(("passes", "fails"), repeat=len(CAPS)):
        checks = checks_with(verdicts)
        level = level_of(checks)
        for lang in ("en", "ko"):
            text = text_of(level, checks, lang)
            assert not CAUSAL.search(text), text
            hidden = checks[list(CAPS).index("raw_difference")].verdict == "fails"
            assert (REMAINS[lang] in text) == (level in ("B", "C") and not hidden)
            assert (APPEARS[lang] in text) == (level == "B" and hidden)
            assert (UNLESS[lang] in text) == (level == "C")
            assert ("11 points" in text) == (level in ("B", "C"))


def test_the_level_never_rises_when_a_check_fails_or_is_not_made():
    place_of = {level: place for place, level in enumerate(LEVELS)}
    every = itertools.product(("passes", "fails"), repeat=len(CAPS))
    level = {verdicts: place_of[level_of(checks_with(verdicts))] for verdicts in every}
    for verdicts, own in level.items():
        for place, verdict in enumerate(verdicts):
            if verdict == "passes":
                assert level[*verdicts[:place], "fails", *verdicts[place + 1 :]] <= own
    rng = np.random.default_rng(1)
    for verdicts in rng.choice(["passes", "fails", "not checked"], (2000, len(CAPS)), p=[0.8, 0.1, 0.1]).tolist():
        own = place_of[level_of(checks_with(verdicts))]
        for place in range(len(CAPS)):
            better = [*verdicts[:place], "passes", *verdicts[place + 1 :]]
            assert place_of[level_of(checks_with(better))] >= own


def test_the_causal_words_would_be_found_if_they_were_there():
    for text in (
        "participation raised trust",
        "led to more trust",
        "the effect of joining",
        "참여 덕분에",
        "신뢰를 높였다",
    ):
        assert CAUSAL.search(text)


def test_every_check_has_words_and_a_cap_and_no_level_passes_grade_two():
    assert set(CHECKS) == set(CAPS)
    assert max(GRADE_OF.values()) == 2
    for name, words in CHECKS.items():
        assert all(word and not CAUSAL.search(word) for pair in words for word in pair), name
    for place, name in enumerate(CAPS):
        verdicts = ["passes"] * len(CAPS)
        verdicts[place] = "fails"
        assert level_of(checks_with(verdicts)) == CAPS[name]


def test_a_check_that_is_left_out_counts_as_not_made():
    passing = checks_with(["passes"] * len(CAPS))
    assert level_of(passing) == "C"
    assert level_of(passing[:-1]) == "B"
    assert level_of([check for check in passing if check.name != "largest_smd"]) == "D"


# --- the verb -----------------------------------------------------------------------------------------------------


def test_with_every_check_passed_the_claim_is_c_and_its_grade_two(respondents):
    claim = judged(respondents, comparability=same_item(), controls=["height"])
    assert claim.failed == ()
    assert (claim.level, claim.evidence_grade) == ("C", 2)
    for lang in ("en", "ko"):
        text = claim.text(lang)
        assert UNLESS[lang] in text
        assert not CAUSAL.search(text)
    rows = claim.tidy().set_index("check")
    assert rows.loc["sensitivity", "value"] > rows.loc["sensitivity", "threshold"] > 1
    assert list(rows.columns) == ["value", "threshold", "side", "verdict", "detail"]


def test_the_numbers_are_those_of_the_verbs(respondents):
    claim = judged(respondents)
    design = made.design_of(respondents)
    alone = ev.aipw(design, **GIVEN)
    raw = ev.group_difference(design, outcome="stays", treatment="joined")
    rows = claim.tidy().set_index("check")["value"]
    assert rows["raw_difference"] == pytest.approx(raw.estimate[0] / raw.std_error[0])
    assert rows["adjusted_difference"] == pytest.approx(alone.estimate[0] / alone.std_error[0])
    bounds = ev.sensitivity_bounds(design, **GIVEN)
    assert rows["sensitivity"] == pytest.approx(bounds.fit["breakdown_lambda_interval"], rel=1e-4)
    table = ev.balance_table(design, treatment="joined", covariates=["age", "sex"])
    assert rows["largest_smd"] == pytest.approx(table.rows["smd_weighted"].abs().max(), abs=1e-9)
    text = " ".join(claim.sentences("en"))
    assert f"{100 * alone.estimate[0]:.1f} points remains" in text
    assert f"{100 * raw.estimate[1]:.1f}% among participants" in text


def test_what_was_not_declared_or_not_tried_keeps_a_claim_at_b_and_says_so(respondents):
    claim = judged(respondents)
    assert claim.level == "B"
    assert claim.failed == ("change", "same_item", "declared_design", "negative_controls")
    assert "not checked: item does not ask about a change, same item in the same words" in claim.text("en")
    assert judged(respondents, comparability=same_item()).failed == ("negative_controls",)


def test_other_questions_and_failed_diagnostics_keep_it_at_a(respondents):
    ours, theirs = ev.Measurement("stays", "stay here"), ev.Measurement("lives", "live in the city")
    other = ev.assess_comparability(ours, theirs, contains_participants=False, evidence="adjusted")
    claim = judged(respondents, comparability=other, controls=["height"])
    assert (claim.level, claim.evidence_grade) == ("A", 1)
    assert "the two sides were not asked the same question (item, wording)" in claim.text("en")
    lowered = judged(respondents, comparability=same_item(failed=["overlap"]), controls=["height"])
    assert (lowered.level, lowered.failed) == ("A", ("declared_design",))
    assert REMAINS["en"] not in claim.text("en") + lowered.text("en")


def test_an_item_about_a_change_is_not_estimated(respondents):
    changed = ev.Measurement("trust has increased")
    verdict = ev.assess_comparability(changed, changed, contains_participants=False)
    claim = judged(respondents, comparability=verdict)
    assert (claim.level, claim.evidence_grade, claim.ladder) == ("refused", 0, None)
    assert claim.sentences("en") == (
        "stays: no comparison. The item asks about a change, so those who did not take part have nothing to answer.",
    )
    assert not re.search(r"\d", claim.sentences("ko")[0])
    with pytest.raises(EstimationError, match="no adjusted difference stands behind it"):
        ev.compared_methods(claim)


def test_poor_overlap_leaves_a_description(respondents):
    apart = respondents.assign(
        age=respondents["age"] + 35 * respondents["joined"] * (np.arange(len(respondents)) % 9 > 0)
    )
    claim = judged(apart, comparability=same_item(), controls=["height"])
    assert (claim.level, claim.evidence_grade) == ("D", 1)
    assert {"share_outside", "effective_share"} & set(claim.failed)
    for lang in ("en", "ko"):
        assert REMAINS[lang] not in claim.text(lang)
    assert "this describes and no more" in claim.text("en")


def test_groups_that_a_covariate_separates_are_described_and_not_refused(respondents):
    hall = respondents["age"].round().where(respondents["joined"] == (respondents["age"] > 45), 45.0)
    claim = judged(respondents.assign(hall=hall), covariates=["hall"])
    assert claim.level == "D"
    assert claim.failed[3] == "propensity"
    assert claim.ladder.keys["method"].tolist() == ["raw"]
    assert "covariates separate the groups" in claim.text("en")


def test_a_difference_that_is_not_told_from_zero_is_not_said_to_remain(respondents):
    noise = np.random.default_rng(2).uniform(size=len(respondents)) < 0.5
    claim = judged(respondents.assign(stays=noise.astype(float)), comparability=same_item(), controls=["height"])
    assert claim.level == "A"
    assert "is not told apart from zero" in claim.sentences("en")[0]
    assert "0과 구별되지 않는다" in claim.sentences("ko")[0]
    assert REMAINS["en"] not in claim.text("en")


def test_controls_that_differ_keep_it_at_b(respondents):
    taller = respondents.assign(height=respondents["height"] + 4 * respondents["joined"])
    claim = judged(taller, comparability=same_item(), controls=["height"])
    assert (claim.level, claim.failed) == ("B", ("negative_controls",))
    assert "the groups differ in what the programme cannot move (height)" in claim.text("en")


def test_methods_that_disagree_are_named_with_what_each_takes_for_granted(respondents):
    strict = ev.Limits(agreement=1e-6)
    claim = judged(respondents, comparability=same_item(), controls=["height"], limits=strict)
    assert (claim.level, claim.failed) == ("B", ("agreement",))
    assert "methods with different assumptions disagree (" in claim.text("en")
    frame = ev.compared_methods(claim, "en")
    assert frame["method"].tolist() == ["entropy", "regression_adjusted", "aipw"]
    assert frame["apart"].iloc[-1] == 0
    parts = claim.ladder.estimate
    assert frame["apart"].tolist() == pytest.approx((parts[1:] - parts[-1]).tolist())
    assert (frame["apart_std_error"].iloc[:2] < frame["std_error"].iloc[:2]).all()
    assert "no outcome model" in frame["assumes"].iloc[0]


@pytest.mark.parametrize("estimand", ["ATE", "ATC", "ATO"])
def test_other_estimands_are_judged_too(respondents, estimand):
    claim = judged(respondents, estimand=estimand)
    assert claim.level == "B"
    assert claim.record["estimand"] == estimand
    assert set(claim.ladder.columns["estimand"]) == {"as they are", estimand}


def test_a_declared_comparison_brings_its_columns(respondents):
    declared = SimpleNamespace(design=made.design_of(respondents), **GIVEN, comparability=same_item(), missing="refuse")
    claim = ev.judge_comparison(declared, controls=["height"])
    assert claim.text("en") == judged(respondents, comparability=same_item(), controls=["height"]).text("en")
    with pytest.raises(EstimationError, match="brings outcome of its own"):
        ev.judge_comparison(declared, outcome="stays")


def test_too_few_respondents_show_no_number(respondents):
    design = made.design_of(respondents)
    hidden = replace(design, provenance=replace(design.provenance, min_base=700))
    claim = ev.judge_comparison(hidden, **GIVEN)
    said = claim.sentences("en")
    assert said == ("stays: – [u]",)
    assert claim.tidy()["value"].isna().all()
    assert "[u]" in repr(ev.table(claim, lang="en"))


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_table_statement_and_record_say_the_same(respondents, lang, tmp_path, monkeypatch):
    claim = judged(respondents, comparability=same_item())
    shown = ev.table(claim, lang=lang)
    assert len(shown.frame) == len(CAPS)
    assert ev.statement(claim, lang).sentences == claim.sentences(lang)
    for sentence in claim.sentences(lang):
        assert sentence.rstrip(".") in shown.caption
    record = json.loads(json.dumps(claim.to_dict(), allow_nan=False))
    assert record["fit"]["level"] == "B"
    assert record["fit"][f"sentences_{lang}"] == list(claim.sentences(lang))
    monkeypatch.setenv("EVALUATION_RUN", str(tmp_path))
    ev.publish("claim", claim, title="Claim")
    assert (tmp_path / "tables" / "claim.csv").is_file()


def test_what_cannot_be_judged_is_refused_with_the_next_move(respondents):
    design = made.design_of(respondents)
    with pytest.raises(EstimationError, match=r"a design needs outcome, treatment, covariates; covariates is missing"):
        ev.judge_comparison(design, outcome="stays", treatment="joined")
    with pytest.raises(ColumnError, match="Did you mean 'joined'"):
        judged(respondents, treatment="joind")
    with pytest.raises(EstimationError, match="cannot be its own control"):
        judged(respondents, controls=["stays"])
    with pytest.raises(EstimationError, match="Limits: smd"):
        ev.Limits(smd=0)
    with pytest.raises(IdentificationError, match="treatment in disguise"):
        judged(respondents.assign(badge=respondents["joined"]), covariates=["badge"])
    with pytest.raises(ColumnError, match="missing='indicator'"):
        judged(respondents.assign(age=respondents["age"].where(respondents.index % 7 > 0)))
