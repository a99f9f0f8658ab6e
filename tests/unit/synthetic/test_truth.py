"""The truth: published figures to 0.05 points, and every number again by other arithmetic."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluation import project
from evaluation.synthetic.files import TRUTH_FILE, rounded
from evaluation.synthetic.outcomes import ITEMS
from evaluation.synthetic.population import City, potential_answers, potential_policy_answers
from evaluation.synthetic.truth import rollout_cells

#: Published figures are met to 0.05 points.
PUBLISHED = 0.0005


@pytest.mark.parametrize(
    ("item", "share", "published"),
    [
        ("stay", "participants", 0.847),
        ("stay", "others", 0.762),
        ("stay", "participants_without", 0.807),
        ("rely", "participants", 0.814),
        ("rely", "others", 0.760),
        ("happy", "participants", 0.836),
        ("live_in_seoul", "all", 0.594),
    ],
)
def test_published_shares_are_met(truth: dict[str, Any], item: str, share: str, published: float) -> None:
    assert truth["items"][item][share] == pytest.approx(published, abs=PUBLISHED)


def test_the_young_want_to_live_in_seoul_as_published(truth: dict[str, Any]) -> None:
    by_age = truth["items"]["live_in_seoul"]["by_age_group"]
    assert by_age["1"] == pytest.approx(0.685, abs=PUBLISHED)
    assert by_age["2"] == pytest.approx(0.667, abs=PUBLISHED)


@pytest.mark.parametrize(("item", "effect"), [("stay", 0.04), ("rely", 0.03), ("happy", 0), ("live_in_seoul", 0)])
def test_effects_are_the_stated_ones(truth: dict[str, Any], item: str, effect: float) -> None:
    assert truth["items"][item]["att"] == pytest.approx(effect, abs=PUBLISHED)


def test_a_change_is_asked_of_participants_alone(city: City, truth: dict[str, Any]) -> None:
    assert truth["lean_on_more"]["participants"] == pytest.approx(0.80, abs=PUBLISHED)
    assert ((city.residents["lean_on_more"] == -1) == (city.residents["participant"] == 0)).all()


def test_trust_is_a_scale_that_taking_part_only_raises(city: City, truth: dict[str, Any]) -> None:
    without, with_ = city.residents["trust_neighbours_without"], city.residents["trust_neighbours_with"]
    assert sorted(without.unique()) == [1, 2, 3, 4, 5]
    assert (with_ >= without).all()
    told, members = truth["trust_neighbours"], city.residents["participant"] == 1
    assert told["att"] == pytest.approx((with_[members].sum() - without[members].sum()) / members.sum())
    assert 0.08 < told["att"] < 0.2
    assert told["participants_without"] - told["others"] > 0.1


def test_the_gap_falls_into_its_four_parts(truth: dict[str, Any]) -> None:
    parts = dict(truth["decomposition"])
    gap = parts.pop("gap")
    assert gap == pytest.approx(0.253, abs=PUBLISHED)
    assert sum(parts.values()) == pytest.approx(gap, abs=1e-12)
    expected = {"item_mismatch": 0.169, "others_against_all": -0.001, "selection": 0.045, "effect": 0.040}
    assert parts == pytest.approx(expected, abs=PUBLISHED)


def test_the_truth_is_what_the_stored_answers_say(city: City, truth: dict[str, Any]) -> None:
    for item in ITEMS:
        sums = city.residents.groupby("participant")[[f"{item}_without", f"{item}_with"]].sum()
        others, members = city.residents["participant"].value_counts()[[0, 1]]
        without, with_ = sums[f"{item}_without"].tolist(), sums[f"{item}_with"].tolist()
        told = truth["items"][item]
        assert told["participants"] == pytest.approx(with_[1] / members)
        assert told["others"] == pytest.approx(without[0] / others)
        assert told["all"] == pytest.approx((without[0] + with_[1]) / (others + members))
        assert told["att"] == pytest.approx((with_[1] - without[1]) / members)
        assert told["ate"] == pytest.approx((sum(with_) - sum(without)) / (others + members))


def test_taking_part_never_turns_a_yes_into_a_no(city: City) -> None:
    for item in ITEMS:
        for year in (2014, 2016):
            without, with_ = potential_answers(city, item, year)
            assert not (without & ~with_).any()


def test_effects_on_groups_average_to_the_effect_on_all(city: City, truth: dict[str, Any]) -> None:
    members = city.residents[city.residents["participant"] == 1]
    told = truth["items"]["stay"]
    for name, group in (("sex", members["sex"]), ("intensity", members["intensity"])):
        shares = group.value_counts(normalize=True)
        mean = sum(told["att_by"][name][str(level)] * share for level, share in shares.items())
        assert mean == pytest.approx(told["att"], abs=1e-12)


def test_adjusting_for_all_that_is_measured_leaves_the_trait(truth: dict[str, Any]) -> None:
    told = truth["items"]["stay"]
    assert told["selection_observed"] + told["selection_unobserved"] == pytest.approx(0.045, abs=PUBLISHED)
    assert told["selection_unobserved"] == pytest.approx(0.026, abs=0.002)


def test_the_roll_out_counted_again_person_by_person(city: City, truth: dict[str, Any]) -> None:
    own = city.dongs.set_index("dong")["covered_wave"].loc[city.residents["dong"]].to_numpy()
    first = pd.Series(own).groupby(city.residents["district"]).transform("min").to_numpy()
    for year in (2014, 2015, 2017, 2019):
        without, with_ = potential_policy_answers(city, year)
        gain = with_.astype(int) - without.astype(int)
        for name, cohort in (("by_dong_cohort", own), ("by_district_cohort", first)):
            key = name.removeprefix("by_")
            told = {row[key]: row["effect"] for row in truth["rollout"][name] if row["year"] == year}
            counted = pd.Series(gain).groupby(cohort).mean()
            assert told == pytest.approx(counted.to_dict(), abs=1e-12)
        assert (gain[own > year] == 0).all()


def test_the_roll_out_adds_six_points_reached_over_two_years(city: City, truth: dict[str, Any]) -> None:
    cells = rollout_cells(city)
    settled = cells[(cells["year"] == 2019) & (cells["dong_cohort"] < 2019)]
    effect = (settled["with"].sum() - settled["without"].sum()) / settled["residents"].sum()
    assert effect == pytest.approx(0.0606, abs=0.001)  # the mean over cohorts but the last, which gain 2.4
    since = {row["since"]: row["effect"] for row in truth["rollout"]["by_years_since"]}
    assert since[0] == pytest.approx(0.03, abs=0.001)
    assert since[1] == pytest.approx(0.06, abs=0.002)
    early = [row["effect"] for row in truth["rollout"]["by_dong_cohort"] if row["year"] == 2019]
    assert (np.diff(early) < 0).all()


def test_the_committed_truth_is_that_of_the_city(truth: dict[str, Any]) -> None:
    path = project.survey_folder("seoul_2016") / TRUTH_FILE
    committed = json.loads(path.read_text(encoding="utf-8"))
    assert committed == json.loads(json.dumps(rounded(truth)))
    assert committed["note"].startswith("synthetic")
