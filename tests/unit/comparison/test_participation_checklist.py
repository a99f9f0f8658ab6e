"""The checklist of participation: what is answered, assumed and open, in both languages; listings shared out."""

import json

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, EstimationError


@pytest.fixture
def people(respondents):
    rng = np.random.default_rng(8)
    joined = respondents["joined"] == 1
    return respondents.assign(
        project=np.where(joined, "p" + (respondents["psu"] // 4).astype(str), None),
        projects=np.where(joined, rng.integers(1, 4, len(respondents)), np.nan),
        said=np.where(rng.random(len(respondents)) < 0.1, 1 - respondents["joined"], respondents["joined"]),
        recent=np.where(rng.random(len(respondents)) < 0.5, respondents["joined"], 0),
        pilot=np.where(rng.random(len(respondents)) < 0.2 + 0.4 * joined, "pilot", "other"),
    )


def design_of(frame, **options):
    return ev.survey_design(frame, **{"weights": "w", "strata": "stratum", "psu": "psu", **options})


def rows_of(design, **options):
    return ev.participation_checklist(design, treatment="joined", **options).tidy().set_index("item")


def test_without_a_word_everything_is_open(people):
    made = ev.participation_checklist(design_of(people), treatment="joined")
    assert made.open_items == made.rows["item"].tolist()
    assert len(made.rows) == 6


def test_each_answer_closes_its_item(people):
    design = design_of(people)
    rows = rows_of(
        design,
        agreement=ev.participation_agreement(design, reported="said", recorded="joined"),
        windows=ev.participation_windows(design, ever="joined", recent="recent"),
        project="project",
        listings="projects",
        place="district",
        exposure="pilot",
        covariates=["age", "pilot"],
    )
    assert rows["status"].to_dict() == {
        "definition": "answered", "self_report": "answered", "several_projects": "assumed", "nesting": "open",
        "interference": "assumed", "rollout": "answered",
    }  # fmt: skip
    own = people[people["joined"] == 1]
    assert rows.loc["several_projects", "value"] == pytest.approx(
        own.loc[own["projects"] > 1, "w"].sum() / own["w"].sum()
    )
    assert rows.loc["nesting", "value"] == own["project"].nunique()
    assert "psu='project'" in rows.loc["nesting", "text_en"]
    assert rows.loc["interference", "value"] == 1.0


def test_the_roster_alone_tells_half(people):
    roster = design_of(people[people["joined"] == 1])
    rows = rows_of(design_of(people), agreement=ev.participation_agreement(roster, reported="said", recorded="joined"))
    assert rows.loc["self_report", "status"] == "answered"
    assert "how others answer is not known" in rows.loc["self_report", "text_en"]


def test_projects_that_are_sampling_units_need_no_more(people):
    roster = people[people["joined"] == 1].assign(joined=1)
    citizens = people.assign(project=None)
    joined = ev.join_samples(
        design_of(roster, strata=None, psu="project"), design_of(citizens), columns="trust", participant="joined"
    )
    made = ev.participation_checklist(joined, treatment="sample", project="project")
    assert made.rows.set_index("item").loc["nesting", "status"] == "answered"


def test_a_roll_out_that_is_no_covariate_is_named_with_its_imbalance(people):
    rows = rows_of(design_of(people), exposure="pilot", covariates=["age"])
    balance = ev.balance_table(
        design_of(people), treatment="joined", covariates=["pilot"], estimand="ATE", denominator="pooled"
    ).tidy()
    assert rows.loc["rollout", "status"] == "open"
    assert abs(rows.loc["rollout", "value"]) == pytest.approx(balance["smd_raw"].abs().max())
    assert "add it to covariates" in rows.loc["rollout", "text_en"]


def test_the_roll_out_of_synthetic_seoul_is_a_covariate_there():
    survey = ev.read_survey("seoul_2016")
    design = ev.survey_design(survey, weights="weight", strata="district", psu="block_draw")
    made = ev.participation_checklist(
        design, treatment="participant", covariates=["sex", "village_plan"], exposure="village_plan", place="dong"
    )
    rows = made.rows.set_index("item")
    assert rows.loc["rollout", "status"] == "answered"
    assert "마을계획 시범 동" in rows.loc["rollout", "text_ko"]
    assert 0 < rows.loc["interference", "value"] < 1


def test_neighbours_are_counted_by_weight():
    frame = pd.DataFrame({"joined": [1, 0, 0, 0], "village": ["a", "a", "b", None], "w": [1.0, 2.0, 3.0, 5.0]})
    rows = rows_of(ev.survey_design(frame, weights="w"), place="village")
    assert rows.loc["interference", "value"] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("lang", "words"), [("en", "does it reach neighbours? [open]"), ("ko", "이웃에게 번지는가 [미확인]")]
)
def test_it_prints_itself(people, lang, words):
    made = ev.participation_checklist(design_of(people), treatment="joined")
    assert words in made.text(lang)
    table = ev.table(made, lang=lang)
    assert len(table.frame) == 6
    assert json.loads(json.dumps(made.to_dict()))["verb"] == "participation_checklist"


def test_results_of_other_verbs_are_refused(people):
    design = design_of(people)
    with pytest.raises(EstimationError, match=r"agreement must come from ev\.participation_agreement, got survey_mean"):
        rows_of(design, agreement=ev.survey_mean(design, "trust"))


def test_memberships_become_people(people):
    roster = people[people["joined"] == 1]
    design = design_of(roster)
    shared = ev.share_listings(design, listings="projects")
    np.testing.assert_allclose(shared.weights, roster["w"] / roster["projects"])
    by_hand = design_of(roster.assign(w=roster["w"] / roster["projects"]))
    ours, theirs = (ev.survey_mean(each, "trust") for each in (shared, by_hand))
    np.testing.assert_allclose([ours.estimate, ours.std_error], [theirs.estimate, theirs.std_error], rtol=1e-12)
    rows = ev.participation_checklist(
        ev.share_listings(design_of(people.fillna({"projects": 1})), listings="projects"),
        treatment="joined", listings="projects",
    ).rows.set_index("item")  # fmt: skip
    assert rows.loc["several_projects", "status"] == "answered"


def test_a_listing_below_one_is_refused(people):
    with pytest.raises(ColumnError, match="missing or below 1 in") as caught:
        ev.share_listings(design_of(people), listings="projects")
    assert (caught.value.failures["joined"] == 0).all()
