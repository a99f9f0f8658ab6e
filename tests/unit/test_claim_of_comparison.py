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
    frame["joined"] = (rng.uniform(size=n) < 1 / (1 + np.exp(0.2 - 0.02 * (frame["age"] - 45)))).astype(int)
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
    assert level_of([check for check in passing if check.name != "largest_smd"]) == "A"


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


# --- what a hostile reader tried -----------------------------------------------------------------------------------


def people_of(seed, n, **columns):
    """Respondents drawn one by one, with a trait that nobody asked about."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=n)
    frame = pd.DataFrame({"hidden": hidden, "shoe": rng.normal(size=n), "height": rng.normal(size=n)})
    frame["joined"] = (rng.uniform(size=n) < 1 / (1 + np.exp(-0.7 * hidden))).astype(int)
    frame["y"] = hidden + rng.normal(size=n)
    return frame.assign(**columns)


def judged_plainly(frame, covariates, **options):
    given = {"comparability": same_item_of("y"), "controls": ["height"], **options}
    return ev.judge_comparison(ev.survey_design(frame), outcome="y", treatment="joined", covariates=covariates, **given)


def same_item_of(name):
    item = ev.Measurement(name, "I want to stay here", "residents", "web", 2016)
    return ev.assess_comparability(item, item, contains_participants=False, evidence="adjusted")


def test_differences_of_opposite_signs_are_never_c_and_the_raw_one_is_not_said_to_remain():
    rng = np.random.default_rng(0)
    x = rng.choice([-1.0, 1.0], (8000, 30))
    joined = (rng.uniform(size=8000) < 1 / (1 + np.exp(-0.22 * x.sum(axis=1)))).astype(int)
    names = [f"x{k}" for k in range(30)]
    frame = pd.DataFrame(x, columns=names).assign(joined=joined, height=rng.normal(size=8000))
    frame["y"] = 0.55 * x.sum(axis=1) - 2 * joined + rng.normal(0, 0.3, 8000)
    claim = judged_plainly(frame, names, limits=ev.Limits(share_outside=0.5, largest_weight_share=0.5, agreement=3.0))
    raw = claim.tidy().set_index("check").loc["raw_difference"]
    assert claim.ladder.estimate[0] > 0 > claim.ladder.estimate[-1]
    assert raw["value"] < -raw["threshold"]
    assert (claim.level, claim.failed) == ("B", ("raw_difference",))
    text = claim.text("en")
    assert "there is a difference of −2.0" in text.replace("-2.0", "−2.0")
    assert "of the other sign" in text
    assert REMAINS["en"] not in text
    assert "is not told apart from zero." not in claim.sentences("en")[0]


@pytest.mark.parametrize("shoe", ["noise", "weak"])
def test_covariates_that_do_not_tell_participants_from_others_are_no_yardstick(shoe):
    frame = people_of(1, 4000)
    frame["shoe"] += 0.0 if shoe == "noise" else 0.04 * frame["joined"]
    claim = judged_plainly(frame, ["shoe"])
    row = claim.tidy().set_index("check").loc["sensitivity"]
    assert row["value"] > row["threshold"]
    assert (claim.level, claim.failed) == ("B", ("sensitivity",))
    assert row["verdict"] == "not checked"
    assert "no observed covariate tells participants from others, so none is a yardstick" in claim.text("en")
    assert "잣대가 되지 못함" in claim.text("ko")


def test_a_covariate_that_goes_with_taking_part_is_a_yardstick():
    frame = people_of(1, 4000)
    frame["shoe"] = (frame["shoe"] < 0.3 * frame["joined"]).astype(float)
    assert judged_plainly(frame, ["shoe"]).level == "C"


def test_noise_of_a_small_sample_is_no_yardstick():
    found = [
        judged_plainly(people_of(seed, 150).assign(y=lambda f: f["y"] + 3 * f["joined"]), ["shoe"]) for seed in range(6)
    ]
    raw = [claim.tidy().set_index("check").loc["sensitivity", "verdict"] for claim in found]
    assert raw == ["not checked"] * 6


def test_a_control_that_few_answered_shows_nothing_by_finding_nothing():
    levels = []
    for seed in range(6):
        frame = people_of(seed, 2000)
        few = judged_plainly(
            frame.assign(shoe=frame["shoe"] + 0.3 * frame["joined"], height=frame["hidden"].where(frame.index < 20)),
            ["shoe"],
        )
        levels.append(few.level)
        check = few.tidy().set_index("check").loc["negative_controls"]
        assert check["verdict"] == ("not checked" if check["value"] > 0.05 else "fails")
        assert few.level == "B"
        if check["verdict"] == "not checked":
            assert "the programme cannot move: p-value (too few answers: their interval reaches" in few.text("en")
    assert len(levels) == 6


def test_the_limit_of_every_control_counts_in_its_own_spread():
    frame = people_of(3, 4000)
    frame["shoe"] += 0.3 * frame["joined"]
    passing = [judged_plainly(frame.assign(height=scale * frame["height"]), ["shoe"]) for scale in (1e-3, 1.0, 1e3)]
    verdicts = [claim.tidy().set_index("check").loc["negative_controls", "verdict"] for claim in passing]
    assert verdicts == ["passes"] * 3
    small = people_of(3, 4000, y=lambda f: 0.04 * f["joined"] + np.random.default_rng(4).normal(size=len(f)))
    small["shoe"] += 0.3 * small["joined"]
    assert (
        judged_plainly(small, ["shoe"]).tidy().set_index("check").loc["negative_controls", "verdict"] == "not checked"
    )


def test_weights_that_cannot_balance_are_described_and_named():
    rng = np.random.default_rng(1)
    x = np.r_[rng.uniform(0, 1, 300), rng.uniform(0, 0.2, 3), rng.uniform(1.1, 4, 200)]
    joined = np.r_[np.zeros(300), np.ones(203)].astype(int)
    frame = pd.DataFrame({"x": x, "joined": joined, "y": joined + rng.normal(size=503), "height": rng.normal(size=503)})
    claim = judged_plainly(frame, ["x"])
    assert (claim.level, claim.evidence_grade) == ("D", 1)
    assert "methods" in claim.failed
    assert "entropy" not in claim.ladder.keys["method"].tolist()
    assert "a method cannot be fitted (entropy balancing)" in claim.text("en")
    assert "적합할 수 없는 방법이 있음" in claim.text("ko")


def test_an_outcome_that_a_covariate_tells_for_certain_is_described():
    rng = np.random.default_rng(5)
    district, joined = rng.choice(list("abc"), 4000), (rng.uniform(size=4000) < 0.4).astype(int)
    y = ((rng.uniform(size=4000) < 0.5) & (district != "a")) | ((joined == 1) & (rng.uniform(size=4000) < 0.2))
    y = np.where((district == "a") & (joined == 0), 0.0, y.astype(float))
    frame = pd.DataFrame({"district": district, "joined": joined, "y": y, "height": rng.normal(size=4000)})
    claim = judged_plainly(frame, ["district"])
    assert claim.level == "D"
    assert "a method cannot be fitted (doubly robust)" in claim.text("en")
    assert "aipw" not in claim.ladder.keys["method"].tolist()
    with pytest.raises(EstimationError, match="no adjusted difference stands behind it"):
        ev.compared_methods(claim)


def test_hardly_any_overlap_is_described_and_no_error():
    rng = np.random.default_rng(1)
    x = rng.normal(size=4000)
    joined = (x + rng.normal(0, 0.1, 4000) > 0).astype(int)
    frame = pd.DataFrame({"x": x, "joined": joined, "y": joined + rng.normal(size=4000)})
    claim = judged_plainly(frame.assign(height=rng.normal(size=4000)), ["x"])
    assert claim.level == "D"
    assert REMAINS["en"] not in claim.text("en")


def test_without_covariates_there_is_the_raw_difference_and_no_more():
    frame = people_of(1, 400)
    claim = judged_plainly(frame, [])
    raw = ev.group_difference(ev.survey_design(frame), outcome="y", treatment="joined")
    assert (claim.level, claim.evidence_grade) == ("A", 1)
    assert claim.ladder.keys["method"].tolist() == ["raw"]
    assert claim.ladder.estimate[0] == raw.estimate[0]
    assert claim.ladder.std_error[0] == raw.std_error[0]
    assert "not checked: participation can be modelled" in claim.text("en")
    assert len(ev.table(claim, lang="ko").frame) == len(CAPS)
