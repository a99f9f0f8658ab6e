"""The published gap taken apart: the parts add up, each by other arithmetic, and what is not identified says so."""

import json
import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, EstimationError, IdentificationError
from evaluation.publication import read_published

made = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("handmade_participants.py"))))

SAME = 1e-12
DERIVATIVE = 1e-6
STEP = 1e-5
PARTS = ["gap", "item_mismatch", "others_against_all", "selection_and_effect", "selection", "effect", "remainder"]
EXPLAINED = ["explained", "explained:age", "explained:sex"]
BOUNDS = ["selection_low", "selection_high", "effect_low", "effect_high"]
ADDED = ["item_mismatch", "others_against_all", "selection", "effect", "remainder"]


@pytest.fixture
def respondents():
    return made.respondents()


def decomposed(design, **options):
    given = {"outcome": "stays", "comparator_outcome": "city", "treatment": "joined", "covariates": ["age", "sex"]}
    given["missing"] = "complete_cases"
    return ev.decompose_gap(design, **{**given, **options})


def by_part(result, column="estimate"):
    return dict(zip(result.keys["part"], result.tidy()[column], strict=True))


def test_the_parts_are_means_of_those_who_answered(respondents):
    parts = by_part(decomposed(made.design_of(respondents)))
    assert list(parts) == [*PARTS, *EXPLAINED, *BOUNDS]
    w, joined = respondents["w"], respondents["joined"] == 1
    stays, city = respondents["stays"], respondents["city"]

    def mean(values, rows=slice(None)):
        return np.average(values[rows], weights=w[rows])

    assert parts["gap"] == pytest.approx(mean(stays, joined) - mean(city), abs=SAME)
    assert parts["item_mismatch"] == pytest.approx(mean(stays) - mean(city), abs=SAME)
    assert parts["others_against_all"] == pytest.approx(mean(stays, ~joined) - mean(stays), abs=SAME)
    assert parts["selection_and_effect"] == pytest.approx(mean(stays, joined) - mean(stays, ~joined), abs=SAME)


@pytest.mark.parametrize("estimator", ["aipw", "ipwra", "ipw", "g_computation", "regression_adjusted"])
def test_the_effect_is_the_adjusted_difference_with_its_own_error(respondents, estimator):
    design = made.design_of(respondents)
    parts = decomposed(design, estimator=estimator)
    verb = getattr(ev, estimator)
    alone = verb(design, outcome="stays", treatment="joined", covariates=["age", "sex"])
    assert by_part(parts)["effect"] == pytest.approx(alone.estimate[0], abs=SAME)
    assert by_part(parts, "std_error")["effect"] == pytest.approx(alone.std_error[0], rel=1e-9)
    raw = ev.group_difference(design, outcome="stays", treatment="joined")
    assert by_part(parts)["selection"] == pytest.approx(raw.estimate[0] - alone.estimate[0], abs=SAME)


def test_without_missing_answers_the_parts_add_up_and_nothing_remains(respondents):
    result = decomposed(made.design_of(respondents))
    parts = by_part(result)
    assert sum(parts[name] for name in ADDED) == pytest.approx(parts["gap"], abs=SAME)
    assert parts["selection"] + parts["effect"] == pytest.approx(parts["selection_and_effect"], abs=SAME)
    assert parts["remainder"] == 0.0
    assert by_part(result, "std_error")["remainder"] == 0.0


def test_missing_answers_leave_a_remainder_that_is_printed(respondents):
    respondents.loc[::7, "city"] = np.nan
    respondents.loc[::11, "age"] = np.nan
    result = decomposed(made.design_of(respondents))
    parts = by_part(result)
    assert abs(parts["remainder"]) > 1e-4
    assert by_part(result, "std_error")["remainder"] > 0
    assert sum(parts[name] for name in ADDED) == pytest.approx(parts["gap"], abs=SAME)


def test_all_parts_have_one_covariance(respondents):
    respondents.loc[::7, "city"] = np.nan
    result = decomposed(made.design_of(respondents))
    sums = np.zeros(len(result))
    sums[: len(PARTS)] = [1.0, -1, -1, 0, -1, -1, -1]
    assert sums @ result.vcov @ sums == pytest.approx(0, abs=1e-16)
    summed = ev.contrast(result, {"both": {"stays | part=selection": 1, "stays | part=effect": 1}})
    assert summed.std_error[0] == pytest.approx(by_part(result, "std_error")["selection_and_effect"], rel=1e-9)


def test_influence_is_the_numerical_derivative_of_every_part(respondents):
    respondents.loc[::7, "city"] = np.nan
    result = decomposed(made.design_of(respondents))
    influence = result.influence
    for row in (0, 5, 7, 20, 33):
        ends = []
        for step in (STEP, -STEP):
            moved = respondents.copy()
            moved.loc[row, "w"] *= 1 + step
            ends.append(decomposed(made.design_of(moved)).estimate)
        slope = (ends[0] - ends[1]) / (2 * STEP)
        assert influence[row] == pytest.approx(slope, abs=DERIVATIVE * np.abs(influence).max())


def test_replicates_give_nearly_the_same_errors(respondents):
    design = made.design_of(respondents)
    taylor = by_part(decomposed(design), "std_error")
    jackknife = by_part(decomposed(ev.as_replicates(design, kind="JKn")), "std_error")
    for part in PARTS[:-1]:
        assert jackknife[part] == pytest.approx(taylor[part], rel=0.15)


def test_each_part_says_whether_the_data_know_it(respondents):
    said = by_part(decomposed(made.design_of(respondents)), "identified")
    assert {part for part, how in said.items() if how == "yes"} == {
        *("gap", "item_mismatch", "others_against_all", "selection_and_effect", "remainder", *EXPLAINED)
    }
    assert {said[part] for part in BOUNDS} == {"Λ = 1.5"}
    assert said["selection"] == said["effect"]
    assert said["effect"] == "assumed: nothing unobserved moves both participation and the answer"


def test_further_rows_leave_those_before_them_as_they_are(respondents):
    design = made.design_of(respondents)
    short, long = decomposed(design, by_covariate=False, lambda_=None), decomposed(design)
    assert short.keys["part"].tolist() == PARTS
    rows = np.arange(len(PARTS))
    assert long.take(rows).addresses() == short.addresses()
    assert long.estimate[rows] == pytest.approx(short.estimate, abs=SAME)
    assert long.vcov[np.ix_(rows, rows)] == pytest.approx(short.vcov, abs=1e-16)


def test_observed_selection_is_that_of_the_linear_decomposition_by_covariate(respondents):
    design = made.design_of(respondents)
    result = decomposed(design, estimator="g_computation", family="gaussian")
    parts, errors = by_part(result), by_part(result, "std_error")
    alone = ev.oaxaca_blinder(design, outcome="stays", treatment="joined", covariates=["age", "sex"])
    own, own_errors = by_part(alone), by_part(alone, "std_error")
    for name in EXPLAINED:
        assert parts[name] == pytest.approx(own[name], abs=SAME)
        assert errors[name] == pytest.approx(own_errors[name], rel=1e-9)
    assert parts["explained:age"] + parts["explained:sex"] == pytest.approx(parts["explained"], abs=SAME)
    assert parts["selection"] == pytest.approx(parts["explained"], abs=1e-10)


def test_the_bounds_are_those_of_the_marginal_sensitivity_model_and_leave_each_other_the_rest(respondents):
    design = made.design_of(respondents)
    parts = by_part(decomposed(design, lambda_=1.7))
    bounds = ev.sensitivity_bounds(
        design, outcome="stays", treatment="joined", covariates=["age", "sex"], lambda_=[1.7]
    )
    assert [parts["effect_low"], parts["effect_high"]] == pytest.approx(bounds.estimate.tolist(), abs=SAME)
    whole = parts["selection_and_effect"]
    assert parts["selection_low"] + parts["effect_high"] == pytest.approx(whole, abs=SAME)
    assert parts["selection_high"] + parts["effect_low"] == pytest.approx(whole, abs=SAME)
    assert parts["selection_low"] < parts["selection"] < parts["selection_high"]
    none = by_part(decomposed(design, lambda_=1.0, estimator="ipw"))
    assert none["effect_low"] == pytest.approx(none["effect"], abs=SAME)
    assert none["selection_high"] == pytest.approx(none["selection"], abs=SAME)


def test_rows_that_the_data_do_not_identify_can_be_left_out(respondents):
    respondents["hall"] = np.where(respondents["joined"] == 1, respondents["age"].round(), 40.0)
    design = made.design_of(respondents)
    given = {"covariates": ["hall"], "estimator": "regression_adjusted"}
    with pytest.raises(IdentificationError, match=r"explained part: .*by_covariate=False\.$"):
        decomposed(design, **given)
    apart = respondents.assign(
        hall=respondents["age"].round().where(respondents["joined"] == (respondents["age"] > 40), 40.0)
    )
    with pytest.raises(IdentificationError, match=r"bounds: .*lambda_=None\.$"):
        decomposed(made.design_of(apart), **given)
    left = decomposed(design, **given, by_covariate=False, lambda_=None)
    assert left.keys["part"].tolist() == PARTS
    with pytest.raises(EstimationError, match="1 or more"):
        decomposed(made.design_of(respondents), lambda_=0.5)


def test_one_item_against_itself_has_no_mismatch(respondents):
    parts = by_part(decomposed(made.design_of(respondents), comparator_outcome="stays"))
    assert parts["item_mismatch"] == 0.0
    assert parts["gap"] == pytest.approx(parts["others_against_all"] + parts["selection_and_effect"], abs=SAME)


def test_what_cannot_be_decomposed_is_refused(respondents):
    design = made.design_of(respondents)
    with pytest.raises(EstimationError, match="estimator must be one of"):
        decomposed(design, estimator="matching")
    with pytest.raises(ColumnError, match="Did you mean 'city'"):
        decomposed(design, comparator_outcome="citty")
    with pytest.raises(ColumnError, match="'sex' is text"):
        decomposed(design, comparator_outcome="sex")


def test_of_the_published_pair_nothing_but_the_gap_is_known():
    tidy = made.published().tidy()
    assert tidy["part"].tolist() == PARTS
    assert tidy.loc[0, "estimate"] == pytest.approx(0.253)
    assert tidy.loc[1:, "estimate"].isna().all()
    assert tidy[["std_error", "conf_low", "conf_high", "p_value"]].isna().all(axis=None)
    assert tidy["identified"].tolist()[0] == "yes"
    assert set(tidy["identified"][1:]) == {"not identified: the two items were never asked of the same people"}
    assert made.published().fit["evidence_grade"] == 1


def test_published_figures_in_two_units_or_about_a_change_are_refused():
    with pytest.raises(EstimationError, match=r"write 0\.594"):
        made.published(comparator=59.4)
    with pytest.raises(EstimationError, match="comparator must be a number of 0 or more, got nan"):
        made.published(comparator=float("nan"))
    with pytest.raises(IdentificationError, match="asks whether something has changed"):
        made.published("has_increased")


def test_what_is_not_identified_is_printed_as_absent_and_stored_as_null(tmp_path, monkeypatch):
    monkeypatch.setenv("EVALUATION_RUN", str(tmp_path))
    shown = ev.table(made.published(), lang="en")
    assert shown.frame.iloc[1:, 1].eq("–").all()
    ev.publish("gap_published", made.published(), title="Gap")
    record = json.loads((tmp_path / "estimates" / "gap_published.json").read_text(encoding="utf-8"))
    assert record["rows"][0]["estimate"] == pytest.approx(0.253)
    assert [row["estimate"] for row in record["rows"][1:]] == [None] * 6
    again = read_published(tmp_path)["gap_published"]
    assert np.isnan(again.estimate[1:]).all()
    assert again.columns["identified"].tolist() == made.published().columns["identified"].tolist()


WORDS_OF_CAUSE = ("because", "caus", "effect of", "due to", "thanks to", "때문", "덕분", "효과로", "영향")


@pytest.mark.parametrize("lang", ["ko", "en"])
def test_no_sentence_exceeds_the_grade(respondents, lang):
    design = made.design_of(respondents)
    given = {"outcome": "stays", "treatment": "joined"}
    adjusted = {**given, "covariates": ["age", "sex"]}
    results = [
        ev.group_difference(design, **given),
        ev.aipw(design, **adjusted),
        ev.aipw(design, measure="log_odds_ratio", **adjusted),
        ev.effect_ladder(design, **adjusted),
        ev.sensitivity_bounds(design, **adjusted),
        decomposed(design),
        made.published(),
    ]
    for result in results:
        text = " ".join(ev.statement(result, lang).sentences).lower()
        assert not [word for word in WORDS_OF_CAUSE if word in text]
        lowered = replace(result, fit={**result.fit, "evidence_grade": 1})
        grade_one = " ".join(ev.statement(lowered, lang).sentences)
        assert ("관측된 특성이 같은" if lang == "ko" else "alike in what was observed") not in grade_one


def test_a_sentence_says_what_its_grade_allows(respondents):
    design = made.design_of(respondents)
    raw = ev.group_difference(design, outcome="stays", treatment="joined")
    parts = decomposed(design)
    assert ev.statement(raw, "en").sentences[-1].endswith("nothing is ascribed to the programme.")
    assert ev.statement(raw, "ko").sentences[-1].endswith("사업과 관련짓지 않는다.")
    last = ev.statement(parts, "en").sentences[-1]
    assert last.endswith("what was not observed is not ruled out.")
    assert last.startswith(f"{by_part(parts)['effect']:.3f}")
    assert "배제되지 않는다" in ev.statement(parts, "ko").sentences[-1]
    raised = replace(raw, fit={**raw.fit, "evidence_grade": 5})
    assert ev.statement(raised, "en").sentences == ev.statement(raw, "en").sentences
    assert "never asked of the same people" in ev.statement(made.published(), "en").sentences[0]
    assert "표준오차 없음" in ev.statement(made.published(), "ko").sentences[0]
