"""What comparisons may not show: an answer, a group or a remainder of fewer people than the survey lets be shown."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation import wording
from evaluation.declared.methods import _counts, _left_out_english, _left_out_korean
from evaluation.errors import EstimationError, PublishError
from evaluation.estimation.small_counts import companion_of, fewest, rarer_answers, shown_count
from evaluation.results import Estimates, Provenance

N, FEW = 600, 5
WHO = {"treatment": "joined", "covariates": ["age", "sex"]}


@pytest.fixture(scope="module")
def people():
    rng = np.random.default_rng(7)
    age = rng.integers(20, 70, N).astype(float)
    joined = (rng.random(N) < 1 / (1 + np.exp(1 - 0.03 * (age - 45)))).astype(int)
    made = pd.DataFrame(
        {
            "joined": joined,
            "age": age,
            "sex": rng.choice(["f", "m"], N),
            "trust": 5 + joined + rng.normal(0, 1, N),
            "helped": (rng.random(N) < 0.5).astype(int),
        }
    )
    ours, others = np.flatnonzero(joined == 1), np.flatnonzero(joined == 0)
    made["few"] = 0
    made.loc[ours[:3], "few"] = 1
    made["rare"] = 0
    made.loc[[*ours[:2], *others[:100]], "rare"] = 1
    made["nearly_all"] = 1 - made["rare"]
    made["place"] = np.where(np.arange(N) % 2, "a", "b").astype(object)
    made.loc[[*ours[:3], *others[:20]], "place"] = "z"
    made["sex_is_f"] = (made["sex"] == "f").astype(int)
    made["some"] = made["few"]
    made["times"] = np.where(joined == 1, rng.integers(1, 4, N), 0)
    made.loc[ours[:3], "times"] = 9
    made["age_known"] = made["age"].where(~made.index.isin(others[:3]))
    return made


@pytest.fixture(scope="module")
def design(people):
    plain = ev.survey_design(people)
    limits = replace(plain.provenance, survey="test", n=N, min_cell=FEW, min_base=30)
    return replace(plain, provenance=limits)


def shown_of(result):
    """Return everything that leaves: text, what is published, tables in both languages, the figure."""
    published = result.masked() if isinstance(result, Estimates) else result
    parts = [repr(result), json.dumps(published.to_dict())]
    for lang in ("ko", "en"):
        table = ev.table(result, lang=lang)
        parts += [repr(table), table.data.to_csv()]
    return parts


RARE = {
    "group_difference": lambda d, y: ev.group_difference(d, outcome=y, treatment="joined"),
    "against_all": lambda d, y: ev.group_difference(d, outcome=y, treatment="joined", against="all"),
    "log_risk_ratio": lambda d, y: ev.group_difference(d, outcome=y, treatment="joined", measure="log_risk_ratio"),
    "smd": lambda d, y: ev.group_difference(d, outcome=y, treatment="joined", measure="smd"),
    "aipw": lambda d, y: ev.aipw(d, outcome=y, **WHO),
    "ladder": lambda d, y: ev.effect_ladder(d, outcome=y, **WHO),
    "bounds": lambda d, y: ev.sensitivity_bounds(d, outcome=y, **WHO),
    "manski": lambda d, y: ev.manski_bounds(d, outcome=y, treatment="joined"),
    "robustness": lambda d, y: ev.robustness_value(d, outcome=y, **WHO),
    "oster": lambda d, y: ev.oster_delta(d, outcome=y, **WHO),
    "oaxaca": lambda d, y: ev.oaxaca_blinder(d, outcome=y, **WHO),
    "matched": lambda d, y: ev.matched_difference(ev.match(d, **WHO), outcome=y),
    "misclassified": lambda d, y: ev.misclassification_bounds(
        d, outcome=y, reported="joined", sensitivity=(0.95, 1.0), specificity=(0.98, 1.0)
    ),
    "tipping": lambda d, y: ev.tipping_point(ev.group_difference(d, outcome=y, treatment="joined")),
}


@pytest.mark.parametrize("name", RARE)
@pytest.mark.parametrize("outcome", ["rare", "nearly_all"])
def test_an_answer_that_two_participants_gave_is_not_shown(design, name, outcome):
    made = RARE[name](design, outcome)
    assert set(made.marks) == {"[c]"}
    assert np.isfinite(made.tidy()["estimate"]).any()
    assert np.isnan(made.masked().estimate).all()
    for number in made.estimate[np.isfinite(made.estimate)]:
        assert not any(f"{number:.6g}" in part for part in shown_of(made) if abs(number) not in (0, 1))


@pytest.mark.parametrize("name", RARE)
def test_answers_that_many_gave_stay_as_they_are(design, name):
    made = RARE[name](design, "helped")
    assert set(made.marks) == {""}
    assert made.masked() is made


def test_the_record_of_a_hidden_result_holds_no_size_of_a_group(design):
    record = RARE["aipw"](design, "rare").masked().to_dict()["fit"]
    assert record["ess_participants"] is None
    assert record["largest_weight_share_comparison"] is None
    assert RARE["smd"](design, "rare").masked().to_dict()["fit"]["sd_participants"] is None


def test_few_who_are_left_out_are_not_counted(design):
    made = ev.aipw(
        design, outcome="trust", treatment="joined", covariates=["age_known", "sex"], missing="complete_cases"
    )
    assert made.fit["n_left_out"] == 3
    assert made.masked().to_dict()["fit"]["n_left_out"] == "<5"
    assert np.array_equal(made.masked().estimate, made.estimate)
    claim = ev.judge_comparison(
        design, outcome="trust", treatment="joined", covariates=["age_known", "sex"], missing="complete_cases"
    )
    assert claim.to_dict()["fit"]["n_left_out"] == "<5"


def test_the_methods_paragraph_does_not_count_few_who_are_left_out(design):
    claim = ev.judge_comparison(
        design, outcome="trust", treatment="joined", covariates=["age_known", "sex"], missing="complete_cases"
    )
    assert _counts(claim, design, "en") == ("all", 3)
    assert _counts(claim, design, "ko") == ("전원", 3)
    assert _left_out_english(3, "refuse", FEW) == " but fewer than 5, who lack an answer or a covariate"
    assert "5명 미만" in _left_out_korean(3, "refuse", FEW)


def test_table_one_shows_no_size_of_a_group_of_three(design):
    made = ev.table_one(design, treatment="few", covariates=["age", "sex"], p_values=True)
    assert made.sizes["n_obs"].isna().tolist() == [True, True, False]
    assert made.rows["p_value"].isna().all()
    for part in shown_of(made):
        assert "597" not in part
        assert "0.005" not in part
        assert "[c]" in part


@pytest.mark.parametrize("name", ["rare", "nearly_all"])
def test_table_one_hides_yes_and_no_where_one_of_them_is_rare(design, name):
    rows = ev.table_one(design, treatment="joined", covariates=[name, "sex"], p_values=True).tidy()
    hidden = rows["covariate"] == name
    assert set(rows.loc[hidden, "mark"]) == {"[c]"}
    assert rows.loc[hidden, ["participants", "n_participants", "smd", "p_value"]].isna().all(axis=None)
    assert rows.loc[~hidden, "participants"].notna().all()


def test_balance_keeps_one_decimal_of_a_level_that_few_have(design):
    weighted = ev.propensity_weights(design, treatment="joined", covariates=["age", "place"])
    made = ev.balance_table(weighted)
    rows = made.tidy()
    hidden = rows[rows["mark"] != ""]
    assert len(hidden) == 2
    assert hidden[["mean_participants_raw", "mean_comparison_weighted", "ks_raw"]].isna().all(axis=None)
    for side in ("smd_raw", "smd_weighted"):
        assert np.array_equal(hidden[side], hidden[side].round(1))
    assert made.is_balanced
    drawn = ev.plot(made).data
    assert set(drawn["smd_raw"]) == set(rows["smd_raw"])
    for lang in ("ko", "en"):
        assert "[c]" in repr(ev.table(made, lang=lang))


def test_balance_of_two_few_to_show_names_no_number_of_them(design):
    weighted = ev.propensity_weights(design, treatment="few", covariates=["age"])
    made = ev.balance_table(weighted)
    assert made.to_dict()["fit"]["ess_participants"] is None
    assert np.isnan(made.verdicts["n_comparison"]).all()


def test_overlap_shows_nobodys_own_extreme_score(design):
    made = ev.overlap(design, **WHO)
    shown = made.tidy()
    assert not {"minimum", "maximum"} & set(shown)
    for group, row in zip((1, 0), shown.to_dict("records"), strict=True):
        own = made.scores[design.data["joined"] == group]
        assert (own <= row["score_from"]).sum() >= FEW
        assert (own >= row["score_to"]).sum() >= FEW
    text = " ".join([*shown_of(made), ev.plot(made).caption, ev.plot(made).data.to_csv()])
    for extreme in made.groups[["minimum", "maximum"]].to_numpy().ravel():
        assert f"{extreme:.5f}" not in text


def test_few_outside_the_range_are_not_counted_and_their_share_neither(people, design):
    few = people.assign(age=people["age"].where(people.index != people.index[people["joined"] == 1][0], 140.0))
    made = ev.overlap(replace(design, data=few), treatment="joined", covariates=["age"])
    assert made.groups["n_outside"].iloc[0] in range(1, FEW)
    shown = made.tidy()
    assert shown["n_outside"].iloc[0] == "<5"
    assert np.isnan(shown["share_outside"].iloc[0])
    for lang in ("ko", "en"):
        caption = ev.plot(made, lang=lang).caption
        word = wording.term("outside_support", lang)
        assert f"{word}: {wording.term('participants', lang)} n <5" in caption
    claim = ev.judge_comparison(
        replace(design, data=few), outcome="trust", treatment="joined", covariates=["age"]
    ).tidy()
    own = claim.set_index("check").loc["share_outside"]
    assert np.isnan(own["value"])
    assert own["verdict"] == "passes"


def test_overlap_of_three_participants_shows_no_number(design):
    made = ev.overlap(design, treatment="few", covariates=["age"])
    assert made.tidy().drop(columns=["group", "mark"]).isna().all(axis=None)
    assert not any("597" in part for part in [*shown_of(made), made.histogram.to_csv()])
    with pytest.raises(PublishError, match="too few respondents"):
        ev.plot(made)


def test_a_match_of_three_shows_no_number(design):
    made = ev.match(design, treatment="few", covariates=["age"])
    assert made.tidy()["mark"].tolist() == ["[c]", "[c]"]
    assert not any("597" in part for part in shown_of(made))
    bounds = ev.rosenbaum_bounds(made, outcome="trust")
    assert bounds.tidy()[["p_high", "shift_low"]].isna().all(axis=None)
    assert bounds.to_dict()["fit"]["n_pairs"] == "<5"
    for lang in ("ko", "en"):
        assert "[c]" in bounds.text(lang)


def test_few_without_a_partner_are_not_counted_by_what_is_matched(people, design):
    far = people.assign(age=people["age"].where(people.index != people.index[people["joined"] == 1][0], 140.0))
    made = ev.match(replace(design, data=far), treatment="joined", covariates=["age"], distance="age", caliper=1.0)
    assert 0 < made.n_unmatched < FEW
    n, matched = int((far["joined"] == 1).sum()), int((far["joined"] == 1).sum()) - made.n_unmatched
    for part in shown_of(made):
        assert "<5" in part
        assert not (str(n) in part and str(matched) in part)
    balance = ev.balance_table(made).verdicts
    assert np.isnan(balance["n_participants"].iloc[-1])
    assert balance["ess_participants"].iloc[-1] % FEW == 0


def test_pairs_of_which_few_differ_are_not_counted(design):
    bounds = ev.rosenbaum_bounds(ev.match(design, **WHO), outcome="some")
    assert int(bounds.statistic) == 3
    assert bounds.to_dict()["fit"]["statistic"] is None
    assert bounds.tidy()["p_high"].isna().all()


@pytest.mark.parametrize("method", ["raw", "aipw"])
def test_a_level_with_few_participants_takes_another_with_it(design, method):
    covariates = {} if method == "raw" else {"covariates": ["age"]}
    made = ev.subgroup_effects(
        design, outcome="trust", treatment="joined", by=["place", "sex"], method=method, minimum=1, replicates=99,
        **covariates,
    )  # fmt: skip
    shown = made.masked().tidy()
    whole = shown.loc[shown["subgroup"] == "overall", "n_participants"].iloc[0]
    for _, rows in shown[shown["subgroup"] == "place"].groupby("method"):
        assert (rows["mark"] == "[c]").sum() == 2
        assert rows["n_participants"].isna().sum() == 2
        assert whole - rows["n_participants"].sum() > FEW
    assert (shown.loc[shown["subgroup"] == "sex", "mark"] == "").all()


def test_a_class_of_few_takes_another_with_it(design, people):
    made = ev.dose_response(design, outcome="trust", dose="times")
    shown = made.masked().tidy()
    hidden = set(shown.loc[shown["mark"] == "[c]", "times"])
    assert "9" in hidden
    assert len(hidden) == 2
    sizes = shown[(shown["quantity"] == "mean_participants") & (shown["mark"] == "")]["n_obs"]
    assert int((people["joined"] == 1).sum()) - sizes.sum() > FEW
    figure = ev.plot(made)
    assert not any(f"n = {n}" in text for n in (3,) for text in figure.data["row"])


def test_no_trend_is_told_that_would_give_a_hidden_class_back(people, design):
    seldom = people["helped"].where(people["times"] != 2, 0)
    seldom.loc[people.index[people["times"] == 2][:2]] = 1
    made = ev.dose_response(
        replace(design, data=people.assign(seldom=seldom)), outcome="seldom", dose="times", breaks=[1, 2, 3]
    )
    assert np.isfinite(made.fit["trend"])
    record = made.masked().to_dict()
    assert record["fit"]["trend"] is None
    assert record["fit"]["p_trend"] is None
    for lang in ("ko", "en"):
        assert "p = " not in ev.plot(made, lang=lang).caption


def test_a_claim_of_a_rare_answer_states_no_share(design):
    claim = ev.judge_comparison(design, outcome="rare", **WHO)
    for lang in ("ko", "en"):
        assert "[c]" in claim.text(lang)
        assert "%" not in claim.text(lang)
        assert "%" not in " ".join(claim.sentences(lang))
    assert claim.tidy()["value"].isna().all()


def test_what_is_made_of_hidden_numbers_is_hidden_too(design):
    ratio = ev.e_value(ev.group_difference(design, outcome="rare", treatment="joined", measure="log_risk_ratio"))
    assert np.isnan(ratio.tidy()["risk_ratio"].iloc[0])
    assert ratio.to_dict()["rows"][0]["point"] is None
    for lang in ("ko", "en"):
        assert ratio.text(lang).endswith("[c]")
    assert "[c]" not in ev.e_value(
        ev.group_difference(design, outcome="helped", treatment="joined", measure="log_risk_ratio")
    ).text("en")
    with pytest.raises(EstimationError, match="fewer than 5"):
        ev.minimum_detectable_effect(design, outcome="rare", treatment="joined")
    benchmarks = ev.sensitivity_benchmarks(design, outcome="rare", **WHO).tidy()
    assert set(benchmarks["mark"]) == {"[c]"}
    assert benchmarks["estimate_without"].isna().all()


def test_an_index_does_not_give_the_mean_of_a_rare_item_back(design):
    made = ev.outcome_index(design, ["rare", "helped"], treatment="joined", method="mean")
    assert set(made.marks) == {"[c]"}
    for shown in shown_of(made):
        assert not any(f"{number:.6g}" in shown for number in made.estimate)
    assert set(ev.outcome_index(design, ["sex_is_f", "helped"], treatment="joined", method="mean").marks) == {""}


def test_items_that_few_others_answered_otherwise_stand_without_numbers(people, design):
    others = people.index[people["joined"] == 0]
    asked = people.assign(seldom=people["helped"].where(people["joined"] == 1, 0))
    asked.loc[others[:3], "seldom"] = 1
    items = ev.outcome_index(replace(design, data=asked), ["seldom", "helped"], treatment="joined", method="mean").items
    assert items["mark"].tolist() == ["[c]", ""]
    assert items["mean"].isna().tolist() == [True, False]


def test_the_checklist_counts_no_few_people(people, design):
    ours = people.index[people["joined"] == 1]
    asked = people.assign(projects=1)
    asked.loc[ours[:3], "projects"] = 2
    found = ev.participation_checklist(
        replace(design, data=asked), treatment="joined", listings="projects", exposure="rare"
    )
    rows = found.rows.set_index("item")
    assert np.isnan(rows.loc["several_projects", "value"])
    assert rows.loc["rollout", "value"] == round(rows.loc["rollout", "value"], 1)
    for lang in ("ko", "en"):
        assert f"{100 * 3 / len(ours):.1f}" not in found.text(lang)


def test_a_design_does_not_count_a_domain_of_few_or_what_it_leaves(people, design):
    few = ev.domain(design, {"few": 1})
    assert "n < 5" in repr(few)
    assert "n = 3" not in repr(few)
    rest = repr(ev.domain(design, {"few": 0}))
    assert "n > 595" in rest
    assert "597" not in rest
    assert f"n = {int(people['joined'].sum())}" in repr(ev.domain(design, {"joined": 1}))


def test_data_without_limits_show_everything(people):
    plain = ev.survey_design(people)
    assert set(ev.group_difference(plain, outcome="rare", treatment="joined").marks) == {""}
    shown = ev.overlap(plain, **WHO)
    assert shown.tidy().equals(shown.groups)
    assert "mark" not in ev.table_one(plain, treatment="few", covariates=["age"]).sizes


def test_counting_is_of_people_who_are_there():
    assert fewest([0, 7, 3]) == 3
    answers = np.array([1.0, 1.0, 0.0, 2.0, 1.0, 2.0])
    groups = [answers < 2, answers == 2]
    assert rarer_answers(answers, groups) == [0, 0]
    assert rarer_answers(np.where(answers == 2, 1.0, answers), groups) == [1, 0]
    limits = Provenance(min_cell=FEW)
    assert [shown_count(n, limits) for n in (0, 4, 5)] == [0, "<5", 5]
    assert companion_of([0, 3, 20], limits) == 2
    assert all(companion_of(list(pair), limits) is None for pair in pairwise([20, 30, 40]))
