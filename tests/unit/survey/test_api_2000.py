"""The survey api_2000 as committed: five samples, two languages, margins that are the population's."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from evaluation.survey.margins import read_margins
from evaluation.survey.reading import read_survey
from evaluation.survey.source import read_description

SAMPLES = {"apistrat": 200, "apiclus1": 183, "apiclus2": 126, "apisrs": 200, "apipop": 6194}
ROOT = Path(__file__).resolve().parents[3]
EXPORTED = ROOT.parent / "shared" / "data" / "api"


@pytest.mark.parametrize("lang", ["ko", "en"])
@pytest.mark.parametrize("sample", SAMPLES)
def test_every_sample_reads_with_labels_in_both_languages(
    sample: str, lang: str, language: Callable[[str], None]
) -> None:
    language(lang)
    survey = read_survey("api_2000", sample=sample)
    assert len(survey) == SAMPLES[sample]
    assert survey.not_read == ()
    assert survey.data["cds"].str.fullmatch(r"\d{14}").all()
    assert list(survey.data) == list(survey.codebook.variables)
    for name, variable in survey.codebook.variables.items():
        assert variable.label_ko
        assert variable.label_en
        assert survey.codebook.variable(name, lang) != name
        assert all(ko and en for ko, en in variable.codes.values())
    for name in [*filter(None, [survey.design["weights"], survey.design["strata"]])]:
        assert name in survey.data
    assert survey.title[lang] in repr(survey)
    assert f"{len(survey):,}" in repr(survey)
    assert survey.source.sha256[:12] in repr(survey)


def test_designs_are_those_the_samples_were_drawn_by() -> None:
    designs = {name: read_survey("api_2000", sample=name).design for name in SAMPLES}
    assert dict(designs["apistrat"]) == {"weights": "pw", "strata": "stype", "psu": None, "fpc": "fpc", "nested": False}
    assert designs["apiclus1"]["psu"] == "dnum"
    assert (designs["apiclus2"]["psu"], designs["apiclus2"]["fpc"]) == (["dnum", "snum"], ["fpc1", "fpc2"])
    assert designs["apipop"]["weights"] is None
    assert read_survey("api_2000").sample == "apistrat"


def test_text_codes_stay_text_and_numbers_are_numbers() -> None:
    data = read_survey("api_2000").data
    assert sorted(data["stype"].unique()) == ["E", "H", "M"]
    assert sorted(data["sch.wide"].unique()) == ["No", "Yes"]
    assert data["api00"].dtype == "int64"
    assert data["pw"].sum() == pytest.approx(6194, rel=1e-8)
    assert data["acs.core"].isna().sum() == 94


def test_target_is_asked_below_800_points_only() -> None:
    survey = read_survey("api_2000")
    assert (survey.data["target"].isna() == (survey.data["api99"] >= 800)).all()
    assert survey.missing.query("variable == 'target'")[["reason", "n"]].to_numpy().tolist() == [["not_asked", 20]]


def test_margins_are_the_population_counted() -> None:
    population = read_survey("api_2000", sample="apipop").data
    margins = read_margins("api_2000")
    assert margins.population == len(population) == 6194
    assert margins.categorical["stype"].to_dict() == {"E": 4421, "H": 755, "M": 1018}
    assert margins.totals["api99"] == 3914069
    for name, counts in margins.categorical.items():
        joined = population[list(margins.variables(name))].agg(":".join, axis=1)
        assert counts.astype(int).to_dict() == joined.value_counts().to_dict()
        codes, targets = margins.match(name, population)
        assert (pd.Series(codes).value_counts().sort_index() == targets).all()
    for name in set(margins.totals) - {"total"}:
        assert margins.totals[name] == population[name].sum()
    assert all("California Department of Education" in source for source in margins.table()["source"])


def test_committed_samples_are_the_exported_numbers_with_fewer_columns() -> None:
    if not EXPORTED.is_dir():
        pytest.skip("the exported originals (../shared/data/api) are not on this machine")
    description = read_description("api_2000")
    for name, sample in description.samples.items():
        with (EXPORTED / f"{name}.csv").open(encoding="utf-8") as file:
            original = list(csv.DictReader(file))
        with (ROOT / "surveys" / "api_2000" / sample.file).open(encoding="utf-8") as file:
            committed = list(csv.DictReader(file))
        assert committed == [{column: row[column] for column in committed[0]} for row in original]
