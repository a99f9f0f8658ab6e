"""Survey seoul_2017: the wave after, made on first use, with its rename, its new wording and its correction."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation import project
from evaluation.errors import SourceError
from evaluation.specification import ExplainedChange, read_study
from evaluation.survey.reading import read_survey
from evaluation.survey.source import read_description
from evaluation.synthetic.files import FILES, SURVEYS, generate, generate_file, values_sha256
from evaluation.synthetic.population import City, true_answers
from evaluation.synthetic.sampling import DONT_KNOW, WORDING_SHIFT, citizen_survey, pooled
from evaluation.synthetic.wave_2017 import PUBLISHED_WAVES, UNKNOWN_YET, citizens_2017, waves_to_2017

FILES_2017 = SURVEYS["seoul_2017"]


@pytest.fixture(scope="module")
def wave(city: City) -> pd.DataFrame:
    """The survey of 2017 as its file has it."""
    return citizens_2017(city)


@pytest.fixture(scope="module")
def waves(city: City) -> pd.DataFrame:
    """The three waves as their file of 2017 has them."""
    return waves_to_2017(city)


@pytest.fixture(scope="module")
def before(city: City) -> pd.DataFrame:
    """The same three waves as survey seoul_2016 has them, under its names."""
    return pooled([citizen_survey(city, year) for year in PUBLISHED_WAVES])


def share(sample: pd.DataFrame, item: str) -> float:
    """Weighted share of yes among those who answered, in per cent."""
    answered = sample[sample[item] != DONT_KNOW]
    return 100 * float(np.average(answered[item], weights=answered["weight_design"]))


@pytest.mark.parametrize("name", FILES_2017)
def test_what_is_generated_has_the_values_that_survey_yml_states(
    wave: pd.DataFrame, waves: pd.DataFrame, name: str
) -> None:
    frame = wave if name == "citizens_2017.parquet" else waves
    (stated,) = [s for s in read_description("seoul_2017").samples.values() if s.file == f"generated/{name}"]
    assert values_sha256(frame) == stated.sha256
    assert len(frame) == stated.rows
    assert (frame["data"] == "synthetic").all()


def test_each_survey_makes_its_own_files_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for survey in SURVEYS:
        ignored = shutil.ignore_patterns("generated")
        shutil.copytree(project.survey_folder(survey), tmp_path / "surveys" / survey, ignore=ignored)
    monkeypatch.setenv(project.PROJECT_VARIABLE, str(tmp_path))
    assert len(read_survey("seoul_2017")) == 38_373
    made = sorted(path.name for path in (tmp_path / "surveys" / "seoul_2017" / "generated").iterdir())
    assert made == sorted(FILES_2017)
    assert not (tmp_path / "surveys" / "seoul_2016" / "generated").exists()


def test_a_file_name_tells_its_survey() -> None:
    assert SURVEYS["seoul_2016"] is FILES
    assert all(not set(ours) & set(others) for ours, others in pairwise(SURVEYS.values()))


def test_a_survey_that_is_not_generated_or_a_file_nobody_makes_is_told(tmp_path: Path, city: City) -> None:
    with pytest.raises(SourceError, match=r"'seoul_2071' has no generated files\. Did you mean 'seoul_2017'"):
        generate(tmp_path, city, survey="seoul_2071")
    with pytest.raises(SourceError, match=r"no way to make citizens_207\.parquet\. Did you mean 'citizens_2017"):
        generate_file(tmp_path / "citizens_207.parquet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sample", ["citizens", "waves"])
def test_every_sample_keeps_to_its_codebook(sample: str) -> None:
    survey = read_survey("seoul_2017", sample=sample)
    assert survey.not_read == ()
    assert set(survey.missing["reason"]) <= {"dont_know", "not_asked"}
    every = survey.codebook.variables.values()
    assert [variable.name for variable in every if not (variable.label_ko and variable.label_en)] == []
    assert not {"sociability", "stay_with", *UNKNOWN_YET} & {*survey.data.columns}
    assert "Synthetic data, no real respondents" in repr(survey)


def test_names_and_codes_are_those_of_the_year_before() -> None:
    then, now = (read_survey(survey, sample="citizens") for survey in ("seoul_2016", "seoul_2017"))
    assert set(then.data.columns) - set(now.data.columns) == set(UNKNOWN_YET)
    assert set(now.data.columns) <= set(then.data.columns)
    for name, variable in now.codebook.variables.items():
        former = then.codebook.variables[name]
        assert (variable.kind, variable.label_ko, variable.label_en) == (former.kind, former.label_ko, former.label_en)
        codes = {code: text for code, text in former.codes.items() if (name, code) != ("mode", "3")}
        assert variable.codes == codes
    folders = [project.survey_folder(survey) for survey in ("seoul_2016", "seoul_2017")]
    for file in ("margins.csv", "tiles.csv"):
        assert (folders[0] / file).read_bytes() == (folders[1] / file).read_bytes()


def test_the_renamed_column_is_read_under_its_old_name(waves: pd.DataFrame, before: pd.DataFrame) -> None:
    assert "happy" not in waves
    assert waves["Q15A1"].tolist() == before["happy"].tolist()
    survey = read_survey("seoul_2017", sample="waves")
    assert "Q15A1" not in survey.data
    assert survey.codebook.variables["happy"].column == "Q15A1"
    assert survey.data["happy"].fillna(DONT_KNOW).astype(int).tolist() == before["happy"].tolist()
    (change,) = [change for change in ev.read_changes("seoul_2017") if change.kind == "renamed"]
    assert (change.variable, change.previous, change.since) == ("happy", "happy", 2017)
    assert "Q15A1" in change.reason.ko
    assert "Q15A1" in change.reason.en


def test_the_new_wording_turns_twelve_in_a_hundred_noes_and_nothing_else(
    waves: pd.DataFrame, before: pd.DataFrame
) -> None:
    last = waves["year"] == 2017
    assert waves.loc[~last, "rely"].tolist() == before.loc[~last, "rely"].tolist()
    asked_anew, as_before = waves.loc[last, "rely"], before.loc[last, "rely"]
    moved = asked_anew != as_before
    assert set(as_before[moved]) == {0}
    assert set(asked_anew[moved]) == {1}
    would_say_no = int((as_before == 0).sum())
    assert abs(moved.sum() / would_say_no - WORDING_SHIFT) < 4 * np.sqrt(WORDING_SHIFT * 0.88 / would_say_no)
    assert round(share(before[last], "rely"), 1) == 76.1
    assert round(share(waves[last], "rely"), 1) == 79.1
    (change,) = [change for change in ev.read_changes("seoul_2017") if change.kind == "reworded"]
    assert (change.variable, change.since) == ("rely", 2017)
    for text in (change.reason.ko, change.reason.en):
        assert f"{100 * WORDING_SHIFT:.0f}" in text


def test_the_correction_gives_true_answers_for_dont_knows_of_one_item_in_one_wave(
    city: City, waves: pd.DataFrame, before: pd.DataFrame
) -> None:
    differs = waves["stay"] != before["stay"]
    assert differs.sum() == 611
    assert set(waves.loc[differs, "year"]) == {2016}
    assert set(before.loc[differs, "stay"]) == {DONT_KNOW}
    assert not (waves.loc[waves["year"] == 2016, "stay"] == DONT_KNOW).any()
    corrected = citizen_survey(city, 2016, reread=("stay",))
    assert corrected["stay"].tolist() == waves.loc[waves["year"] == 2016, "stay"].tolist()
    truth = 100 * float(true_answers(city, 2016)["stay"].mean())
    old, new = (share(frame[frame["year"] == 2016], "stay") for frame in (before, waves))
    assert abs(new - truth) < abs(old - truth)
    assert (round(old, 2), round(new, 2)) == (77.0, 76.94)
    there = (waves["year"] == 2016) & (waves["district"] == 110)
    assert (round(share(before[there], "stay"), 1), round(share(waves[there], "stay"), 1)) == (73.2, 72.8)
    (change,) = [change for change in ev.read_changes("seoul_2017") if change.kind == "revised"]
    assert (change.variable, change.period, change.previous) == ("stay", 2016, "seoul_2016")
    assert "611" in change.reason.ko
    assert "611" in change.reason.en


def test_nothing_else_differs_from_the_waves_as_they_were(waves: pd.DataFrame, before: pd.DataFrame) -> None:
    same = [name for name in waves.columns if name not in ("Q15A1", "rely", "stay")]
    pd.testing.assert_frame_equal(waves[same], before[same])


def test_the_wave_alone_is_the_one_of_the_pooled_file(wave: pd.DataFrame, waves: pd.DataFrame) -> None:
    last = waves[waves["year"] == 2017].drop(columns="stratum").reset_index(drop=True)
    pd.testing.assert_frame_equal(last, wave)


def test_the_truth_of_a_district_that_two_samples_show_apart_is_what_the_study_says(city: City) -> None:
    there = city.residents["district"].to_numpy() == 560
    truth = [round(100 * float(true_answers(city, year)["happy"][there].mean()), 1) for year in (2016, 2017)]
    (reason,) = {entry.reason.en for entry in _explained() if "560_2017" in entry.address}
    assert reason.endswith(f"{truth[0]} in 2016 and {truth[1]} in 2017")


def _explained() -> list[ExplainedChange]:
    compared = read_study("seoul_2017").compared_with
    return [] if compared is None else compared.explained


def test_published_numbers_of_2016_are_revised_by_what_the_readme_says() -> None:
    old = read_survey("seoul_2016", sample="citizens_waves")
    new = read_survey("seoul_2017", sample="waves")
    means = {}
    for survey in (old, new):
        year = ev.domain(ev.survey_design(survey, **survey.design), {"year": 2016})
        means[survey.id] = (ev.survey_mean(year, "stay"), ev.survey_mean(year, "happy"))
    first, corrected = means["seoul_2016"][0], means["seoul_2017"][0]
    assert (first.n_obs[0], corrected.n_obs[0]) == (37_584, 38_195)
    assert 0 < abs(corrected.estimate[0] - first.estimate[0]) < first.std_error[0]
    assert means["seoul_2016"][1].estimate[0] == means["seoul_2017"][1].estimate[0]
    readme = (project.survey_folder("seoul_2017") / "README.md").read_text(encoding="utf-8")
    assert f"{100 * first.estimate[0]:.1f} as first published, {100 * corrected.estimate[0]:.1f} as corrected" in readme
