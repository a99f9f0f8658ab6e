"""Who was drawn and who answered: rates, how respondents differ, two samples, modes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from evaluation.design.declaration import survey_design
from evaluation.design.design import Design, domain
from evaluation.design.replication import as_replicates
from evaluation.errors import ColumnError, EstimationError
from evaluation.estimation.means import survey_mean, survey_prop
from evaluation.estimation.modes import mode_contrast, mode_distribution
from evaluation.estimation.response import independent_difference, response_contrast, response_table
from evaluation.synthetic.population import City, synthesize
from evaluation.synthetic.sampling import citizen_survey, participant_roster
from evaluation.synthetic.switches import Switches
from evaluation.tables import table

#: Same arithmetic in another order.
TIGHT = 1e-12
DRAWN = pd.DataFrame(
    {
        "responded": [1, 0, 1, 1, 0, 0],
        "kind": ["a", "a", "a", "b", "b", "b"],
        "age": [20.0, 30.0, 40.0, 50.0, 60.0, 70.0],
        "w": [1.0, 2.0, 3.0, 4.0, 5.0, 5.0],
    }
)


@pytest.fixture(scope="module")
def city_of() -> Callable[..., City]:
    """A city of one resident for 50 persons, with some switches turned."""
    kept: dict[Switches, City] = {}

    def of(**turned: bool) -> City:
        switches = Switches(**turned)
        return kept.setdefault(switches, kept.get(switches) or synthesize(switches=switches, one_in=50))

    return of


def roster_of(city: City) -> Design:
    return survey_design(participant_roster(city), weights="weight_design", strata="project_type", psu="project_draw")


def citizens_of(city: City) -> Design:
    answers = citizen_survey(city).replace({name: {9: np.nan} for name in ("stay", "rely", "happy")})
    return survey_design(answers, weights="weight_design", strata="district", psu="block_draw")


def test_response_is_counted_and_weighted_by_hand() -> None:
    rows = response_table(survey_design(DRAWN, weights="w"), disposition="responded", by="kind").tidy()
    assert rows[["term", "level"]].to_numpy().tolist() == [["responded", ""], ["kind", "a"], ["kind", "b"]]
    assert rows["n_drawn"].tolist() == [6, 3, 3]
    assert rows["n_complete"].tolist() == [3, 2, 1]
    assert rows["response_rate"].tolist() == pytest.approx([3 / 6, 2 / 3, 1 / 3], rel=TIGHT)
    assert rows["response_rate_weighted"].tolist() == pytest.approx([8 / 20, 4 / 6, 4 / 14], rel=TIGHT)
    same = survey_mean(survey_design(DRAWN, weights="w"), "responded").tidy().iloc[0]
    assert rows.iloc[0][["std_error", "conf_low"]].tolist() == pytest.approx(same[["std_error", "conf_low"]].tolist())


def test_dispositions_follow_the_most_cautious_rates() -> None:
    codes = {1: "complete", 2: "partial", 3: "refusal", 4: "unknown", 5: "ineligible"}
    drawn = pd.DataFrame({"code": [1, 1, 1, 2, 3, 3, 4, 5]})
    rows = response_table(survey_design(drawn), disposition="code", codes=codes).tidy()  # type: ignore[arg-type]
    row = rows.iloc[0]
    assert row[["n_drawn", "n_complete", "n_partial", "n_ineligible"]].tolist() == [8, 3, 1, 1]
    assert row[["response_rate", "response_rate_partial"]].tolist() == pytest.approx([3 / 7, 4 / 7], rel=TIGHT)
    assert row["response_rate_weighted"] == pytest.approx(3 / 7, rel=TIGHT)
    with pytest.raises(ColumnError, match=r"without a meaning: 5 \(1 rows\); first in data rows 8\. Add them"):
        response_table(survey_design(drawn), disposition="code", codes={k: codes[k] for k in range(1, 5)})  # type: ignore[misc]
    with pytest.raises(ColumnError, match=r"the meaning 'refused'\. Did you mean 'refusal'"):
        response_table(survey_design(drawn), disposition="code", codes=codes | {3: "refused"})  # type: ignore[arg-type]


def test_a_disposition_that_cannot_be_one_is_refused() -> None:
    with pytest.raises(ColumnError, match=r"'age' holds dispositions without a meaning: 20\.0 .*Say what they mean"):
        response_table(survey_design(DRAWN), disposition="age")
    with pytest.raises(ColumnError, match="'responded' is missing in 1 of 6 rows"):
        response_table(survey_design(DRAWN.assign(responded=[1, 0, None, 1, 0, 0])), disposition="responded")
    adjusted = DRAWN.assign(w=DRAWN["w"] * DRAWN["responded"])
    with pytest.raises(EstimationError, match="none of the 3 nonrespondents has a weight"):
        response_table(survey_design(adjusted, weights="w"), disposition="responded")
    with pytest.raises(EstimationError, match="all who count have responded = 1"):
        response_contrast(survey_design(adjusted, weights="w"), responded="responded", variables="age")


def test_the_roster_answers_at_45_per_cent(city_of: Callable[..., City]) -> None:
    result = response_table(roster_of(city_of()), disposition="responded", by=["project_type", "sex"])
    rows = result.tidy()
    assert rows["n_drawn"].tolist()[0] == 1200
    assert rows.loc[0, "response_rate"] == pytest.approx(0.45, abs=0.05)  # three standard errors
    for name, part in rows.groupby("term"):
        assert part["n_drawn"].sum() == 1200, name
    shown = table(result, lang="ko")
    assert shown.frame.columns.tolist()[2:5] == ["추출", "응답 완료", "응답률 (0–1)"]


def test_respondents_are_held_against_all_drawn() -> None:
    design = survey_design(DRAWN, weights="w")
    result = response_contrast(design, responded="responded", variables=["age", "kind"])
    mean = (DRAWN["w"] * DRAWN["age"]).sum() / 20
    spread = np.sqrt((DRAWN["w"] * (DRAWN["age"] - mean) ** 2).sum() / 20)
    own = (20 + 120 + 200) / 8
    assert result.keys["term"].tolist() == ["age", "kind", "kind"]
    assert result.estimate == pytest.approx([own - mean, 4 / 8 - 6 / 20, 4 / 8 - 14 / 20], rel=TIGHT)
    assert result.columns["smd"][0] == pytest.approx((own - mean) / spread, rel=TIGHT)
    assert result.columns["smd"][1] == pytest.approx(0.2 / np.sqrt(0.3 * 0.7), rel=TIGHT)
    assert result.n_obs.tolist() == [3, 3, 3]
    assert (result.fit["n_drawn"], result.fit["n_respondents"]) == (6, 3)


def test_the_error_of_the_contrast_knows_that_respondents_are_among_the_drawn() -> None:
    design = survey_design(DRAWN, weights="w")
    result = response_contrast(design, responded="responded", variables="age")
    answered, drawn = survey_mean(domain(design, {"responded": 1}), "age"), survey_mean(design, "age")
    assert answered.influence is not None
    assert drawn.influence is not None
    gap = answered.influence[:, 0] - drawn.influence[:, 0]
    assert result.std_error[0] == pytest.approx(np.sqrt(6 / 5 * ((gap - gap.mean()) ** 2).sum()), rel=TIGHT)
    replicated = response_contrast(as_replicates(design, kind="JK1"), responded="responded", variables="age")
    assert replicated.estimate == pytest.approx(result.estimate, rel=TIGHT)
    assert replicated.std_error[0] > 0


def test_where_everybody_responds_alike_the_indicator_is_one() -> None:
    alike = pd.DataFrame({"responded": [1, 0, 1, 0], "sex": ["f", "f", "m", "m"]})
    fit = response_contrast(survey_design(alike), responded="responded", variables="sex").fit
    assert fit["r_indicator"] == pytest.approx(1.0, abs=1e-9)
    # women answer 3 of 4, men 1 of 4: the probabilities have standard deviation 1/4
    apart = pd.DataFrame({"responded": [1, 1, 1, 0, 1, 0, 0, 0], "sex": list("ffffmmmm")})
    fit = response_contrast(survey_design(apart), responded="responded", variables="sex").fit
    assert fit["r_indicator"] == pytest.approx(0.5, abs=1e-9)
    split = pd.DataFrame({"responded": [1, 1, 0, 0], "sex": list("ffmm")})
    fit = response_contrast(survey_design(split), responded="responded", variables="sex").fit
    assert np.isnan(fit["r_indicator"])
    assert fit["r_indicator_missing"]


def test_what_the_frame_does_not_know_of_all_is_refused(city_of: Callable[..., City]) -> None:
    roster = roster_of(city_of())
    with pytest.raises(EstimationError, match=r"'education' is missing for \d+ of 1,200 who were drawn"):
        response_contrast(roster, responded="responded", variables=["sex", "education"])
    result = response_contrast(roster, responded="responded", variables=["sex", "district_dose"])
    assert (np.abs(result.columns["smd"]) < 0.25).all()


def test_independent_samples_add_their_variances() -> None:
    one = survey_mean(survey_design(pd.DataFrame({"y": [1.0, 2.0, 3.0]})), "y")
    other = survey_mean(survey_design(pd.DataFrame({"y": [4.0, 4.0, 7.0, 9.0]})), "y")
    result = independent_difference(one, other)
    variances = np.var([1, 2, 3], ddof=1) / 3, np.var([4, 4, 7, 9], ddof=1) / 4
    assert result.estimate == pytest.approx([-4.0, 2.0, 6.0], rel=TIGHT)
    assert result.std_error[0] == pytest.approx(np.sqrt(sum(variances)), rel=TIGHT)
    welch = sum(variances) ** 2 / (variances[0] ** 2 / 2 + variances[1] ** 2 / 3)
    assert result.df == pytest.approx([welch, 2, 3], rel=TIGHT)
    assert result.keys["quantity"].tolist() == ["difference", "mean_first_sample", "mean_second_sample"]
    assert result.vcov[0, 1] == pytest.approx(variances[0], rel=TIGHT)
    assert result.vcov[1, 2] == 0.0
    assert result.influence is None


def test_rows_of_two_samples_are_paired_by_their_names() -> None:
    here = survey_mean(survey_design(pd.DataFrame({"y": [1.0, 3.0], "z": [2.0, 6.0]})), ["y", "z"])
    there = survey_mean(survey_design(pd.DataFrame({"y": [0.0, 0.0, 3.0], "z": [1.0, 2.0, 0.0]})), ["z", "y"])
    result = independent_difference(here, there)
    assert result.keys["term"].tolist() == ["y", "y", "y", "z", "z", "z"]
    assert result.estimate == pytest.approx([1, 2, 1, 3, 4, 1], rel=TIGHT)
    with pytest.raises(EstimationError, match="must have the same rows"):
        independent_difference(here, there.take(np.array([0])))


def test_one_sample_is_not_two(city_of: Callable[..., City]) -> None:
    design = survey_design(DRAWN, weights="w")
    means = survey_mean(design, "age")
    with pytest.raises(EstimationError, match=r"both numbers are of one sample.*ev\.contrast"):
        independent_difference(means, survey_mean(domain(design, {"kind": "a"}), "age"))
    citizens = citizens_of(city_of())
    part = citizens.data.iloc[::2].reset_index(drop=True)
    half = survey_design(part, weights="weight_design", strata="district", psu="block_draw")
    with pytest.raises(EstimationError, match="share 800 units of 'block_draw'"):
        independent_difference(survey_mean(citizens, "stay"), survey_mean(half, "stay"))


def test_roster_and_citizens_are_two_samples(city_of: Callable[..., City]) -> None:
    city = city_of()
    answers = participant_roster(city).replace({"stay": {9: np.nan}})
    roster = survey_design(answers, weights="weight", strata="project_type", psu="project_draw")
    participants = domain(citizens_of(city), {"participant": 1})
    one, other = survey_mean(roster, "stay"), survey_mean(participants, "stay")
    result = independent_difference(one, other)
    assert result.estimate[0] == pytest.approx(one.estimate[0] - other.estimate[0], rel=TIGHT)
    assert result.std_error[0] == pytest.approx(np.hypot(one.std_error[0], other.std_error[0]), rel=TIGHT)
    titled = replace(one, provenance=replace(one.provenance, title={"en": "roster"}))
    other = replace(other, provenance=replace(other.provenance, title={"en": "citizens"}))
    assert "roster / citizens" in table(independent_difference(titled, other), lang="en").caption


def test_modes_are_shared_out_by_group() -> None:
    answers = pd.DataFrame({"mode": ["web", "visit", "web", "web"], "area": list("xxyy")})
    design = survey_design(answers)
    shares = mode_distribution(design, by="area")
    assert shares.estimate.tolist() == survey_prop(design, "mode", by="area").estimate.tolist()
    assert shares.tidy()[["area", "level", "n_mode"]].to_numpy().tolist() == [
        ["x", "visit", 1], ["x", "web", 1], ["y", "visit", 0], ["y", "web", 2],
    ]  # fmt: skip


def test_a_mode_is_compared_with_the_reference_by_hand() -> None:
    answers = pd.DataFrame({"y": [0, 1, 1, 1, 0, 0], "mode": [1, 1, 2, 2, 3, 3]})
    result = mode_contrast(survey_design(answers), "y", reference=2)
    assert result.tidy()[["mode", "quantity", "estimate"]].to_numpy().tolist() == [
        [1, "difference", -0.5], [1, "mean_mode", 0.5], [1, "mean_reference", 1.0],
        [3, "difference", -1.0], [3, "mean_mode", 0.0], [3, "mean_reference", 1.0],
    ]  # fmt: skip
    assert result.n_obs.tolist() == [4, 2, 2, 4, 2, 2]
    with pytest.raises(ColumnError, match="'mode' has 1, 2, 3"):
        mode_contrast(survey_design(answers), "y", reference=9)
    with pytest.raises(ColumnError, match="There is nothing to compare"):
        mode_contrast(survey_design(answers.assign(mode=1)), "y")


def test_people_of_two_modes_are_brought_to_one_composition() -> None:
    # the old answer yes whatever the mode, and are visited more often: the raw difference is theirs alone
    answers = pd.DataFrame({"mode": [1] * 4 + [2] * 4, "old": list("ooon") + list("onnn")})
    answers["y"] = (answers["old"] == "o").astype(float) + np.tile([0.0, 0.1], 4)
    raw = mode_contrast(survey_design(answers), "y", reference=2).estimate[0]
    adjusted = mode_contrast(survey_design(answers), "y", reference=2, covariates=["old"]).estimate[0]
    assert raw == pytest.approx(0.5, abs=1e-9)
    assert abs(adjusted) < 0.06


@pytest.mark.parametrize("switched", [True, False])
def test_an_interviewer_who_sways_answers_is_seen(city_of: Callable[..., City], switched: bool) -> None:
    design = citizens_of(city_of(mode_effect=switched))
    for item in ("stay", "happy"):
        result = mode_contrast(design, item, reference=2, covariates=["sex", "age_group", "owner"])
        statistic = result.tidy().loc[0, "statistic"]
        assert (statistic > 4) == switched, (item, statistic)
        assert abs(statistic) < 3.3 or switched  # one in a thousand


def test_numbers_on_too_few_respondents_are_marked_here_too() -> None:
    few = pd.DataFrame({"y": [0.0, 1.0, 5.0, 2.0] * 10 + [3.0] * 3, "mode": [1] * 40 + [2] * 3})
    design = survey_design(few)
    design = replace(design, provenance=replace(design.provenance, min_cell=5, min_base=30))
    assert mode_contrast(design, "y").marks == ["[c]"] * 3
    other = survey_design(few.iloc[:40])
    result = independent_difference(survey_mean(domain(design, {"mode": 2}), "y"), survey_mean(other, "y"))
    assert result.provenance.min_cell == 5
    assert result.marks[:2] == ["[c]", "[c]"]
