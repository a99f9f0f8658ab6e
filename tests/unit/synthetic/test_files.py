"""Survey seoul_2016: made on first use, known by its values, read in both languages."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation import project
from evaluation.errors import SourceError
from evaluation.survey.margins import read_margins
from evaluation.survey.reading import read_survey
from evaluation.survey.source import read_description
from evaluation.synthetic.files import (
    FILES,
    SMALL_FILE,
    generate,
    generate_file,
    read_truth,
    values_sha256,
    write_committed,
)
from evaluation.synthetic.population import City, synthesize

SURVEY = project.survey_folder("seoul_2016")
SAMPLES = ["citizens_small", "citizens", "citizens_public", "citizens_waves", "roster", "module"]


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The survey alone in a project of its own, nothing generated yet."""
    folder = tmp_path / "surveys" / "seoul_2016"
    shutil.copytree(SURVEY, folder, ignore=shutil.ignore_patterns("generated"))
    monkeypatch.setenv(project.PROJECT_VARIABLE, str(tmp_path))
    return folder


@pytest.fixture(scope="session")
def generated(city: City, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generated")
    generate(folder, city)
    return folder


@pytest.mark.parametrize("name", FILES)
def test_what_is_generated_has_the_values_that_survey_yml_states(generated: Path, name: str) -> None:
    frame = pd.read_parquet(generated / name)
    (stated,) = [s for s in read_description("seoul_2016").samples.values() if s.file == f"generated/{name}"]
    assert values_sha256(frame) == stated.sha256
    assert len(frame) == stated.rows
    assert (frame["data"] == "synthetic").all()


def test_the_committed_files_are_those_of_the_city(city: City, tmp_path: Path) -> None:
    write_committed(tmp_path, city)
    assert (tmp_path / SMALL_FILE).read_bytes() == (SURVEY / SMALL_FILE).read_bytes()
    assert (tmp_path / "truth.json").read_bytes() == (SURVEY / "truth.json").read_bytes()


def test_the_first_read_makes_all_files_and_the_second_none(copy: Path) -> None:
    survey = read_survey("seoul_2016", sample="roster")
    assert len(survey) == 1_200
    made = sorted(path.name for path in (copy / "generated").iterdir())
    assert made == sorted(FILES)
    stamps = {path.name: path.stat().st_mtime_ns for path in (copy / "generated").iterdir()}
    read_survey("seoul_2016", sample="module")
    assert stamps == {path.name: path.stat().st_mtime_ns for path in (copy / "generated").iterdir()}


def test_a_changed_value_is_found(copy: Path, generated: Path) -> None:
    (copy / "generated").mkdir()
    frame = pd.read_parquet(generated / "module_2016.parquet")
    path = copy / "generated" / "module_2016.parquet"
    frame.to_parquet(path, index=False, compression="gzip")
    assert len(read_survey("seoul_2016", sample="module")) == 5_000  # other bytes, same values
    frame.loc[17, "stay"] = 1 - frame.loc[17, "stay"]
    frame.to_parquet(path, index=False)
    with pytest.raises(SourceError, match=r"does not hold the values that survey\.yml describes.*Delete the file"):
        read_survey("seoul_2016", sample="module")


def test_the_small_file_is_known_by_its_bytes(copy: Path) -> None:
    path = copy / SMALL_FILE
    path.write_bytes(path.read_bytes().replace(b"synthetic", b"real", 1))
    with pytest.raises(SourceError, match=r"is not the file that survey\.yml describes"):
        read_survey("seoul_2016")


def test_a_file_that_nobody_can_make_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        SourceError, match=r"no way to make rooster_2016\.parquet\. Did you mean 'roster_2016\.parquet'"
    ):
        generate_file(tmp_path / "rooster_2016.parquet")


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_sample_keeps_to_its_codebook(sample: str) -> None:
    survey = read_survey("seoul_2016", sample=sample)
    assert survey.not_read == ()
    assert set(survey.missing["reason"]) <= {"dont_know", "not_asked"}
    for name in (survey.design[role] for role in ("weights", "strata", "psu")):
        assert name is None or name in survey.data
    answered = survey.data["stay"].dropna()
    assert set(answered.unique()) == {0, 1}
    # No file holds the trait, or an answer that was not given.
    assert not {"sociability", "stay_with", "stay_without"} & {*survey.data.columns, *survey.not_read}


def test_it_says_synthetic_in_both_languages(language: Callable[[str], None]) -> None:
    survey = read_survey("seoul_2016")
    assert "Synthetic data, no real respondents" in repr(survey)
    assert survey.codebook.value("district", 110, "en") == "Jongno-gu"
    assert survey.codebook.variable("stay", "en") == "Wants to stay in the neighbourhood"
    language("ko")
    assert "합성(synthetic) 자료" in repr(survey)
    assert survey.codebook.value("district", 110, "ko") == "종로구"
    assert survey.codebook.variable("stay", "ko") == "동네 정주 의사"
    every = [
        variable for variable in survey.codebook.variables.values() if not (variable.label_ko and variable.label_en)
    ]
    assert every == []


def test_margins_are_official_figures_with_their_source() -> None:
    margins = read_margins("seoul_2016")
    assert margins.population == 8_832_952
    assert all(source.startswith("KOSIS DT_1B04005N, December 2016") for source in margins.sources.values())
    assert len(margins.categorical["district:sex:age_group"]) == 350
    survey = read_survey("seoul_2016")
    codes, targets = margins.match("district", survey.data["district"])
    assert np.bincount(codes).tolist() == [200] * 25
    assert targets.sum() == 8_832_952


def test_the_hash_is_of_values_and_order() -> None:
    frame = pd.DataFrame({"a": [1.0, np.nan], "b": ["x", None]})
    assert values_sha256(frame) == values_sha256(frame.astype({"a": "Float64"}))
    for changed in (frame[::-1], frame[["b", "a"]], frame.fillna({"a": 0.0}), frame.fillna({"b": "y"})):
        assert values_sha256(changed) != values_sha256(frame)


def test_a_fresh_city_gives_the_same_bytes(tmp_path: Path) -> None:
    write_committed(tmp_path, synthesize())
    assert (tmp_path / SMALL_FILE).read_bytes() == (SURVEY / SMALL_FILE).read_bytes()


def test_a_survey_without_known_truth_says_so() -> None:
    with pytest.raises(SourceError, match="only a synthetic survey has a known truth"):
        read_truth("api_2000")
