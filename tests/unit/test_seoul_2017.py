"""Study seoul_2017: what it says against seoul_2016, checked before anything runs."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

import pytest

import evaluation as ev
from evaluation import project
from evaluation.specification import PreviousStudy, read_study
from evaluation.study.plan import plan_study

ROOT = project.project_root()
PUBLISHED = ROOT / "outputs" / "reference" / "seoul_2016" / "tables"


def named_by(notebook: str) -> set[str]:
    """Names under which a template publishes."""
    text = (ROOT / "notebooks" / f"{notebook}.ipynb").read_text(encoding="utf-8")
    return set(re.findall(r'ev\.publish\(\\"(\w+)\\"', text))


@pytest.fixture(scope="module")
def compared() -> PreviousStudy:
    declared = read_study("seoul_2017").compared_with
    assert declared is not None
    return declared


def test_it_is_compared_with_the_year_before_at_three_standard_errors(compared: PreviousStudy) -> None:
    assert (compared.study, compared.threshold) == ("seoul_2016", 3.0)
    assert read_study("seoul_2016").compared_with is None


def test_every_reason_is_about_something_that_either_year_publishes(compared: PreviousStudy) -> None:
    plan = plan_study(read_study("seoul_2017", resolved=False))
    labels = [step.label for step in plan.steps if step.step == "district"]
    names = {path.stem for path in PUBLISHED.glob("*.csv")} | named_by("70_districts")
    names |= {f"{name}__{label}" for name in named_by("60_district") for label in labels}
    assert {"district_items__110_2016", "districts_items", "headline"} <= names
    for entry in compared.explained:
        table = entry.address.split(" | ")[0]
        assert any(fnmatchcase(name, table) for name in names), entry.address
        assert table != "*", "a reason for everything is none"


def test_no_reason_excuses_a_table_that_both_years_publish_as_a_whole(compared: PreviousStudy) -> None:
    declared = read_study("seoul_2017").estimates
    both = {name for estimates in declared.values() for name in estimates}
    both |= {"headline", "trend", "ladder", "raw_stay", "adjusted_stay", "subgroups", "outcome_by_district"}
    whole = [entry.address.split(" | ")[0] for entry in compared.explained if entry.address.endswith(" | *")]
    whole = [table for table in whole if f"{table} | *" in {entry.address for entry in compared.explained}]
    assert not [name for name in both for table in whole if fnmatchcase(name, table)]


def test_designs_and_estimates_bear_the_names_of_the_year_before() -> None:
    then, now = read_study("seoul_2016"), read_study("seoul_2017")
    assert {"citizens", "citizens_final", "waves"} == set(now.designs) <= set(then.designs)
    assert now.designs["citizens_final"] == then.designs["citizens_final"]
    for step, estimates in now.estimates.items():
        for name, estimate in estimates.items():
            assert estimate == then.estimates[step][name]


def test_what_is_compared_was_fixed_and_asks_what_2016_asked() -> None:
    then, now = (ev.read_prespecification(study) for study in ("seoul_2016", "seoul_2017"))
    assert now.is_registered
    assert now.content.covariates == then.content.covariates
    for name, comparison in now.content.comparisons.items():
        former = then.content.comparisons[name]
        assert (comparison.outcome, comparison.subgroups) == (former.outcome, former.subgroups)
        assert comparison.participants.year == 2017
        same_words = comparison.participants.wording == former.participants.wording
        assert same_words == (name not in ev.declared_breaks("seoul_2017"))


def test_the_new_wording_stands_in_the_codebook_too() -> None:
    asked = ev.read_prespecification("seoul_2017").content.comparisons["rely"].participants.wording
    before = ev.read_prespecification("seoul_2016").content.comparisons["rely"].participants.wording
    variable = ev.read_survey("seoul_2017").codebook.variables["rely"]
    assert asked is not None
    assert before is not None
    for wording in (asked, before):
        assert wording.ko in variable.note_ko
        assert wording.en in variable.note_en
    assert re.search("family included", asked.en)


def test_every_district_runs_in_every_wave_and_the_year_gathers_its_own() -> None:
    plan = plan_study(read_study("seoul_2017", resolved=False))
    instances = [step for step in plan.steps if step.step == "district"]
    districts = ev.read_survey("seoul_2017").codebook.variables["district"].codes
    assert {step.label for step in instances} == {f"{code}_{year}" for code in districts for year in (2015, 2016, 2017)}
    assert {step.label for step in instances if step.published} == {"680_2017", "110_2017"}
    (gathering,) = [step for step in plan.steps if step.step == "districts"]
    assert set(gathering.needs) == {step.name for step in instances}
    assert gathering.given["year"] == 2017
