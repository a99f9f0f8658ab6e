"""Who moves an estimate and its error: against leaving out for good, shares that add up, and what may be shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import EstimationError, PublishError
from evaluation.results import Provenance, holds_records

TIGHT = 1e-10


def answers(n: int = 240, seed: int = 5) -> pd.DataFrame:
    """Respondents in blocks within strata, one of whom is far off."""
    rng = np.random.default_rng(seed)
    block = np.arange(n) // 8
    y = rng.normal(10, 2, n) + rng.normal(0, 1, n // 8)[block]
    y[100] = 60.0
    return pd.DataFrame(
        {
            "row": np.arange(n),
            "y": y,
            "x": rng.normal(size=n),
            "w": rng.uniform(1, 4, n),
            "block": block,
            "district": block // 6,
            "sex": rng.choice(["f", "m"], n),
        }
    )


def design_of(data: pd.DataFrame, **changed) -> ev.Design:
    return ev.survey_design(data, **({"weights": "w", "strata": "district", "psu": "block"} | changed))


def left_out(design: ev.Design, column: str, value) -> ev.Design:
    """The design's domain without those who have a value."""
    return ev.domain(design, {column: [other for other in design.data[column].unique() if other != value]})


def test_the_change_of_a_mean_is_that_of_leaving_out_for_good() -> None:
    design = design_of(answers())
    mean = ev.survey_mean(design, "y")
    found = ev.respondent_influence(mean, top=5, design=design).tidy()
    assert found["row"].iloc[0] == 100
    assert found["change"].abs().is_monotonic_decreasing
    total = design.weights.sum()
    for _, line in found.iterrows():
        without = ev.survey_mean(left_out(design, "row", line["row"]), "y")
        exact = without.estimate[0] - mean.estimate[0]
        assert line["weight"] == design.weights[int(line["row"])]
        assert line["change"] * total / (total - line["weight"]) == pytest.approx(exact, rel=TIGHT)
        assert line["change_in_errors"] == pytest.approx(line["change"] / mean.std_error[0], rel=TIGHT)
        assert line["std_error_change"] == pytest.approx(without.std_error[0] / mean.std_error[0] - 1, abs=0.01)


def test_of_a_total_leaving_out_is_exact_for_estimate_and_error() -> None:
    design = design_of(answers())
    total = ev.survey_total(design, "y")
    for unit, column in (("respondent", "row"), ("psu", "block")):
        found = ev.respondent_influence(total, top=4, unit=unit).tidy()
        for _, line in found.iterrows():
            value = int(line["row" if unit == "respondent" else "psu"])
            without = ev.survey_total(left_out(design, column, value), "y")
            assert line["change"] == pytest.approx(without.estimate[0] - total.estimate[0], rel=TIGHT)
            assert 1 + line["std_error_change"] == pytest.approx(without.std_error[0] / total.std_error[0], rel=TIGHT)


def test_of_a_raked_mean_one_step_comes_near_to_raking_without_the_respondent() -> None:
    data = answers()
    margins = {"sex": {"f": 300, "m": 280}}
    mean = ev.survey_mean(ev.rake(design_of(data), margins), "y")
    line = ev.respondent_influence(mean, top=1).tidy().iloc[0]
    assert line["row"] == 100
    rest = data.drop(index=100).reset_index(drop=True)
    exact = ev.survey_mean(ev.rake(design_of(rest), margins), "y").estimate[0] - mean.estimate[0]
    assert line["change"] == pytest.approx(exact, rel=0.03)


def test_coefficients_bring_their_weights_and_their_dfbetas() -> None:
    design = design_of(answers())
    fit = ev.survey_glm(design, outcome="y", covariates="~ x")
    found = ev.respondent_influence(fit, top=1).tidy()
    assert found["term"].tolist() == ["(Intercept)", "x"]
    line = found.iloc[1]
    without = ev.survey_glm(left_out(design, "row", line["row"]), outcome="y", covariates="~ x")
    assert line["weight"] == design.weights[int(line["row"])]
    assert line["change"] == pytest.approx(without.estimate[1] - fit.estimate[1], rel=0.1)


def test_ordered_by_the_error_the_first_is_whoever_moves_it_most() -> None:
    design = design_of(answers())
    total = ev.survey_total(design, "y")
    found = ev.respondent_influence(total, top=3, moves="std_error").tidy()
    every = [
        ev.survey_total(left_out(design, "row", row), "y").std_error[0] / total.std_error[0] - 1 for row in range(240)
    ]
    assert found["row"].tolist() == np.argsort(-np.abs(every), kind="stable")[:3].tolist()
    units = ev.respondent_influence(total, top=3, unit="psu", moves="std_error").tidy()
    blocks = [
        ev.survey_total(left_out(design, "block", block), "y").std_error[0] / total.std_error[0] - 1
        for block in range(30)
    ]
    assert units["psu"].astype(int).tolist() == np.argsort(-np.abs(blocks), kind="stable")[:3].tolist()


@pytest.mark.parametrize("staged", [False, True])
def test_shares_of_the_variance_add_up_and_are_those_of_the_deviations(staged: bool) -> None:
    data = answers().assign(n_blocks=60, n_people=40)
    stages = {"psu": ["block", "row"], "fpc": ["n_blocks", "n_people"]} if staged else {}
    design = design_of(data, **stages)
    mean = ev.survey_mean(design, "y")
    units = ev.respondent_influence(mean, top=30, unit="psu").tidy()
    strata = ev.respondent_influence(mean, top=30, unit="stratum").tidy()
    assert units["share_of_variance"].sum() == pytest.approx(1, rel=TIGHT)
    assert strata["share_of_variance"].sum() == pytest.approx(1, rel=TIGHT)
    assert (units["share_of_variance"] >= 0).all()
    together = units.groupby("stratum")["share_of_variance"].sum()
    np.testing.assert_allclose(together[strata["stratum"]], strata["share_of_variance"], rtol=1e-8)
    assert strata[["n_psu", "n_obs"]].to_numpy().tolist() == [[6, 48]] * 5
    if not staged:
        sums = pd.Series(mean.influence[:, 0]).groupby(data["block"]).sum()
        gap = sums - sums.groupby(np.arange(30) // 6).transform("mean")
        by_hand = 6 / 5 * gap**2 / mean.vcov[0, 0]
        np.testing.assert_allclose(units["share_of_variance"], by_hand[units["psu"].astype(int)], rtol=1e-8)


def test_replicates_tell_who_moves_the_estimate_and_nothing_of_the_error() -> None:
    design = design_of(answers())
    one, other = (ev.survey_mean(each, "y") for each in (design, ev.as_replicates(design, kind="JKn")))
    linear, repeated = (ev.respondent_influence(each, top=3, unit="psu").tidy() for each in (one, other))
    assert linear["psu"].tolist() == repeated["psu"].tolist()
    np.testing.assert_allclose(linear["change"], repeated["change"], rtol=TIGHT)
    assert repeated[["std_error_change", "share_of_variance"]].isna().all().all()


def test_each_domain_has_its_own_list_and_others_do_not_move_it() -> None:
    data = answers()
    found = ev.respondent_influence(ev.survey_mean(design_of(data), "y", by="sex"), top=4).tidy()
    assert found.groupby("sex").size().tolist() == [4, 4]
    assert (data["sex"].to_numpy()[found["row"]] == found["sex"]).all()
    by_district = ev.survey_mean(design_of(data.rename(columns={"district": "stratum"}), strata="stratum"), "y",
                                 by="stratum")  # fmt: skip
    units = ev.respondent_influence(by_district, top=2, unit="psu").tidy()
    assert (units["stratum"].astype(str) == units["stratum_left_out"]).all()


def test_rows_of_respondents_are_shown_without_answers_and_cannot_be_published() -> None:
    design = design_of(answers())
    found = ev.respondent_influence(ev.survey_mean(design, "y"), top=3, design=design)
    assert list(found.tidy()) == ["term", "row", "weight", "change", "change_in_errors", "std_error_change"]
    assert holds_records(found.tidy())
    for leave in (lambda: ev.table(found), lambda: ev.publish("moved", found), lambda: ev.publish("m", found.tidy())):
        with pytest.raises(PublishError, match="records"):
            leave()
    units = ev.respondent_influence(ev.survey_mean(design, "y"), top=3, unit="psu")
    assert not holds_records(units.tidy())
    assert len(ev.table(units, lang="ko").frame) == 3


def test_units_of_few_respondents_are_blank_and_so_is_who_moves_a_hidden_number() -> None:
    data = answers().query("block > 0 or row < 3").reset_index(drop=True)
    design = design_of(data)
    design = replace(design, provenance=Provenance(n=len(data), min_cell=5))
    found = ev.respondent_influence(ev.survey_mean(design, "y"), top=30, unit="psu").tidy()
    few = found[found["mark"] == "[c]"]
    assert len(few) == 1
    assert few["psu"].iloc[0] == ""
    assert few[["change", "share_of_variance"]].isna().all().all()
    rare = design_of(data.assign(rare=np.where(data.index < 2, "yes", "no")))
    rare = replace(rare, provenance=Provenance(n=len(data), min_cell=5))
    hidden = ev.respondent_influence(ev.survey_mean(rare, "y", by="rare"), top=2).tidy()
    assert hidden.loc[hidden["rare"] == "yes", "change"].isna().all()


def test_what_has_no_answer_is_refused_in_words() -> None:
    design = design_of(answers())
    mean = ev.survey_mean(design, "y")
    for asked, words in (
        ({"top": 0}, "top must be"),
        ({"unit": "block"}, "unknown unit"),
        ({"moves": "se"}, "unknown moves"),
        ({"design": design_of(answers(seed=6))}, "another design"),
    ):
        with pytest.raises(EstimationError, match=words):
            ev.respondent_influence(mean, **asked)
    with pytest.raises(EstimationError, match="names no PSUs"):
        ev.respondent_influence(ev.survey_mean(design_of(answers(), psu=None), "y"), unit="psu")
    with pytest.raises(EstimationError, match="names no strata"):
        ev.respondent_influence(ev.survey_mean(design_of(answers(), strata=None), "y"), unit="stratum")
    with pytest.raises(EstimationError, match="needs estimates"):
        ev.respondent_influence(design)
    with pytest.raises(EstimationError, match="no influence function"):
        ev.respondent_influence(replace(mean, influence_of=None))


def test_in_joined_frames_units_and_strata_bear_the_name_of_their_frame() -> None:
    one, other = answers(), answers(seed=8)
    joined = ev.join_frames({"roster": design_of(one), "citizens": design_of(other, strata=None)}, overlap=False)
    means = ev.survey_mean(joined, "y", by="frame")
    units = ev.respondent_influence(means, top=2, unit="psu").tidy()
    alone = ev.respondent_influence(ev.survey_mean(design_of(one), "y"), top=2, unit="psu").tidy()
    roster = units[units["frame"] == "roster"]
    assert roster["psu"].tolist() == [f"roster: {name}" for name in alone["psu"]]
    np.testing.assert_allclose(roster["change"], alone["change"], rtol=TIGHT)
    np.testing.assert_allclose(roster["share_of_variance"], alone["share_of_variance"], rtol=1e-8)
    strata = ev.respondent_influence(means, top=9, unit="stratum").tidy()
    shares = strata.groupby("frame")["share_of_variance"].sum()
    np.testing.assert_allclose(shares, 1, rtol=TIGHT)
    assert strata.loc[strata["frame"] == "citizens", "stratum"].tolist() == ["citizens"]


def test_nobody_moves_a_mean_that_calibration_holds() -> None:
    held = ev.calibrate(design_of(answers(), strata=None), {"total": 600, "y": 6000.0})
    assert ev.respondent_influence(ev.survey_mean(held, "y")).tidy().empty


@pytest.mark.parametrize("rule", ["remove", "centre", "average"])
def test_strata_of_one_unit_are_no_obstacle(rule: str) -> None:
    data = answers().assign(district=lambda frame: frame["district"].where(frame["block"] < 29, 9))
    design = design_of(data, lonely_psu=rule)
    total = ev.survey_total(design, "y")
    line = ev.respondent_influence(total, top=1, unit="psu").tidy().iloc[0]
    without = ev.survey_total(left_out(design, "block", int(line["psu"])), "y")
    assert 1 + line["std_error_change"] == pytest.approx(without.std_error[0] / total.std_error[0], rel=TIGHT)
    strata = ev.respondent_influence(total, top=9, unit="stratum").tidy()["share_of_variance"]
    assert strata.isna().all() if rule == "average" else strata.sum() == pytest.approx(1, rel=TIGHT)
