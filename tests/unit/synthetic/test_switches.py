"""Each switch changes what it is about, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from evaluation.synthetic.outcomes import ITEMS
from evaluation.synthetic.population import City, potential_policy_answers, synthesize
from evaluation.synthetic.rollout import WAVES
from evaluation.synthetic.sampling import VISIT, WEB, citizen_survey, participant_roster
from evaluation.synthetic.switches import STREAMS, stream
from evaluation.synthetic.truth import rollout_cells, truth_of

Coarse = Callable[..., City]
BEFORE = ["district", "sex", "age_group", "age_years", "education", "owner", "tenure_years", "children", "income_band"]
AFTER = [f"{item}_{end}" for item in ITEMS for end in ("without", "with")]


def differing(one: pd.DataFrame, other: pd.DataFrame) -> set[str]:
    """Columns in which two tables of the same people differ."""
    assert list(one.columns) == list(other.columns)
    assert len(one) == len(other)
    return {str(name) for name in one.columns if not one[name].equals(other[name])}


def two_way(city: City, years: list[int]) -> float:
    """The coefficient of a covered dong with dong and year effects, as a naive reader would get it."""
    cells = rollout_cells(city)
    cells = cells[cells["year"].isin(years)]
    shape, weight = (len(years), -1), cells["residents"].to_numpy(float)
    outcome = (cells["with"] / cells["residents"]).to_numpy().reshape(shape)
    covered = (cells["dong_cohort"] <= cells["year"]).to_numpy(float).reshape(shape)
    size = weight.reshape(shape)[0]

    def within(values: np.ndarray) -> np.ndarray:
        values = values - values.mean(axis=0)
        return values - np.average(values, axis=1, weights=size)[:, None]

    rest = within(covered)
    return float((size * rest * outcome).sum() / (size * rest * covered).sum())


def test_the_same_seed_gives_the_same_city_and_another_seed_another(coarse: Coarse) -> None:
    again = synthesize(2016, one_in=50)
    assert differing(coarse().residents, again.residents) == set()
    assert differing(citizen_survey(coarse()), citizen_survey(again)) == set()
    other = synthesize(7, one_in=50).residents
    assert not other["sociability"].equals(again.residents["sociability"])
    assert (other["district"] == again.residents["district"]).all()


def test_streams_do_not_repeat_each_other() -> None:
    first = {float(stream(3, name, *numbers).random()) for name in STREAMS for numbers in ((), (0,), (1,), (0, 1))}
    assert len(first) == 4 * len(STREAMS)


def test_without_the_trait_people_and_places_stay_and_others_take_part(coarse: Coarse) -> None:
    on, off = coarse().residents, coarse(unobserved_trait=False).residents
    assert differing(on[[*BEFORE, "sociability"]], off[[*BEFORE, "sociability"]]) == set()
    assert on["participant"].sum() == off["participant"].sum()
    assert on.loc[on["participant"] == 1, "sociability"].mean() > 0.25
    assert off.loc[off["participant"] == 1, "sociability"].mean() == pytest.approx(0, abs=0.07)


def test_without_the_trait_adjusting_for_what_is_measured_is_enough(coarse: Coarse) -> None:
    told = truth_of(coarse(unobserved_trait=False))["items"]["stay"]
    assert told["selection_unobserved"] == pytest.approx(0, abs=0.006)  # finite city: spread 0.002
    assert told["selection_observed"] > 0.01
    assert told["att"] == pytest.approx(0.04, abs=0.0005)
    assert told["participants"] == pytest.approx(0.847, abs=0.0005)


def test_without_overlap_in_place_only_taking_part_and_what_follows_changes(coarse: Coarse) -> None:
    on, off = coarse(), coarse(overlap_in_place=False)
    assert differing(on.residents[BEFORE], off.residents[BEFORE]) == set()
    assert differing(on.dongs, off.dongs) == set()
    early = on.dongs["village_plan"].to_numpy()[on.dong_place] > 0
    assert on.residents["participant"][early].mean() > 1.5 * off.residents["participant"][early].mean()


@pytest.mark.parametrize(
    "turned",
    [{"pre_trend": 0.5}, {"anticipation": True}, {"spillover": True}, {"growing_effects": True}],
    ids=lambda turned: next(iter(turned)),
)
def test_switches_of_the_roll_out_leave_people_and_their_own_questions_alone(
    coarse: Coarse, turned: dict[str, float]
) -> None:
    plain, changed = coarse(), coarse(**turned)
    assert differing(plain.residents, changed.residents) == set()
    assert differing(citizen_survey(plain), citizen_survey(changed)) <= {"knows_center"}


def test_the_pre_trend_moves_untreated_answers_of_early_dongs_before_anything_happened(coarse: Coarse) -> None:
    def drift(city: City) -> float:
        cells = rollout_cells(city)
        rates = cells.groupby(["dong_cohort", "year"])[["without", "residents"]].sum()
        share = rates["without"] / rates["residents"]
        return float((share[2015, 2014] - share[2015, 2010]) - (share[2017, 2014] - share[2017, 2010]))

    assert drift(coarse(pre_trend=1.0)) - drift(coarse()) == pytest.approx(4 * 0.01 * 0.5, abs=0.003)
    assert truth_of(coarse(pre_trend=1.0))["rollout"]["on_covered"] == pytest.approx(
        truth_of(coarse())["rollout"]["on_covered"], abs=0.002
    )


def test_anticipation_shows_in_the_wave_before(coarse: Coarse) -> None:
    for city, expected in ((coarse(), 0.0), (coarse(anticipation=True), 0.0105)):
        rows = truth_of(city)["rollout"]["by_dong_cohort"]
        lead = [row["effect"] for row in rows if (row["dong_cohort"], row["year"]) == (2016, 2015)]
        assert lead == [pytest.approx(expected, abs=0.002)]


def test_spillover_shows_on_dongs_not_yet_covered(coarse: Coarse) -> None:
    without, with_ = potential_policy_answers(coarse(spillover=True), 2016)
    wave = coarse().dongs["covered_wave"].to_numpy()[coarse().dong_place]
    gain = (with_.astype(int) - without.astype(int))[wave > 2016]
    assert 0 < gain.mean() < 0.02
    without, with_ = potential_policy_answers(coarse(), 2016)
    assert (without == with_)[wave > 2016].all()


def test_without_heterogeneity_all_cohorts_gain_alike(coarse: Coarse) -> None:
    rows = truth_of(coarse(heterogeneous_effects=False))["rollout"]["by_dong_cohort"]
    settled = [row["effect"] for row in rows if row["year"] == 2019 and row["dong_cohort"] < 2019]
    assert settled == [pytest.approx(0.06, abs=0.004)] * 4
    told = truth_of(coarse(heterogeneous_effects=False))["items"]["stay"]
    assert told["att"] == pytest.approx(0.04, abs=0.0005)


def test_two_way_fixed_effects_understate_and_with_growing_effects_get_the_sign_wrong(coarse: Coarse) -> None:
    city = coarse()
    assert two_way(city, list(WAVES)) < 0.75 * truth_of(city)["rollout"]["on_covered"]
    growing = coarse(growing_effects=True)
    assert truth_of(growing)["rollout"]["on_covered"] > 0.09
    assert two_way(growing, [2015, 2016, 2017, 2018, 2019]) < -0.03


def test_informative_nonresponse_changes_who_answers_and_no_truth(coarse: Coarse) -> None:
    on, off = coarse(), coarse(informative_nonresponse=False)
    assert differing(on.residents, off.residents) == set()

    def sociable(city: City) -> float:
        gaps = []
        for seed in range(12):
            roster = participant_roster(city, seed=seed)
            answered = roster[roster["responded"] == 1]
            gaps.append(float(answered.loc[answered["stay"] < 9, "stay"].mean()))
        return float(np.mean(gaps))

    assert sociable(on) - sociable(off) > 0.005
    assert sociable(off) == pytest.approx(0.847, abs=0.02)


def test_an_interviewer_turns_some_no_into_yes_and_the_web_none(coarse: Coarse) -> None:
    plain, moved = citizen_survey(coarse()), citizen_survey(coarse(mode_effect=True))
    assert differing(plain, moved) == {*ITEMS, "knows_center"}
    web = plain["mode"] == WEB
    assert differing(plain[web], moved[web]) == set()
    visited = (plain["mode"] == VISIT) & (plain["stay"] == 0)
    assert (moved.loc[visited, "stay"] == 1).mean() == pytest.approx(0.15, abs=0.02)
    assert (moved.loc[plain["stay"] == 1, "stay"] == 1).all()


def test_new_wording_raises_two_questions_from_2015_on(coarse: Coarse) -> None:
    for year, expected in ((2014, set()), (2015, {"rely", "knows_center"}), (2016, {"rely", "knows_center"})):
        plain, moved = citizen_survey(coarse(), year), citizen_survey(coarse(wording_break=True), year)
        assert differing(plain, moved) == expected
    assert moved["rely"].eq(1).mean() - plain["rely"].eq(1).mean() == pytest.approx(0.12 * 0.24, abs=0.008)


def test_the_planned_schedule_changes_what_files_say_of_coverage_and_no_answer(coarse: Coarse) -> None:
    plain, planned = citizen_survey(coarse(), 2017), citizen_survey(coarse(planned_schedule=True), 2017)
    expected = {"district_dose", "dong_cohort", "dong_covered", "district_cohort"}
    assert differing(plain, planned) == expected
    assert (planned["district_dose"] == 1).all()
    assert plain["district_dose"].mean() < 0.9
    assert differing(coarse().dongs, coarse(planned_schedule=True).dongs) == set()


def test_answers_of_the_city_are_stored_for_the_year_of_the_published_figures(coarse: Coarse) -> None:
    assert set(AFTER) <= set(coarse().residents)
    assert coarse().residents[AFTER].isin([0, 1]).all(axis=None)
