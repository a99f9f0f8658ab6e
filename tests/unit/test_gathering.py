"""Results of many instances put together: real estimates, published under their labels, read again by a later step."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

import evaluation as ev
from evaluation.errors import ColumnError, PublishError
from evaluation.gathering import NOT_PUBLISHED, TOO_FEW
from evaluation.specification import read_study

ROOT = Path(__file__).parents[2]
DISTRICTS = (110, 440, 680)
ITEMS = ["stay", "happy"]
STUDY = {
    "study": "gathered",
    "title": {"ko": "모음", "en": "Gathered"},
    "question": {"ko": "무엇을?", "en": "What?"},
    "survey": "seoul_2016",
    "data": "synthetic",
    "headline": "waves",
    "designs": {"waves": {"sample": "citizens_small", "weights": "weight_design", "strata": "district",
                          "psu": "block_draw"}},
    "steps": {
        "profile": {"notebook": "10_profile"},
        "district": {"notebook": "60_district", "matrix": {"district": [*DISTRICTS], "year": [2016]}},
        "districts": {"notebook": "70_districts", "needs": ["district"]},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A project of its own with the real survey of 5,000, and a study with a matrix."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copytree(ROOT / "surveys" / "seoul_2016", folder / "surveys" / "seoul_2016", ignore=lambda *_: ["generated"])
    (folder / "params").mkdir()
    (folder / "params" / "gathered.yml").write_text(yaml.safe_dump(STUDY, allow_unicode=True), encoding="utf-8")
    return folder


@pytest.fixture
def run(root, tmp_path, monkeypatch):
    """A run of record: its folder with the study as it was resolved; instances publish into it."""
    monkeypatch.setenv("EVALUATION_PROJECT", str(root))
    monkeypatch.setenv("EVALUATION_RUN", str(tmp_path / "run"))
    (tmp_path / "run").mkdir()
    content = read_study("gathered", resolved=False).model_dump(mode="json", by_alias=True)
    (tmp_path / "run" / "study.json").write_text(json.dumps(content), encoding="utf-8")
    ev.open_study("gathered", lang="en")
    return tmp_path / "run"


def step(monkeypatch, name, label=""):
    monkeypatch.setenv("EVALUATION_STEP", name)
    monkeypatch.setenv("EVALUATION_INSTANCE", label)


def area(code, design=None):
    design = ev.study_design("gathered") if design is None else design
    return ev.survey_area(design, {"district": code}, wave={"year": 2016})


def published(monkeypatch, codes=DISTRICTS, **verbs):
    """Publish what each instance of the step would."""
    design = ev.study_design("gathered")
    for code in codes:
        step(monkeypatch, f"district/{code}_2016", f"{code}_2016")
        for name, verb in verbs.items():
            ev.publish(name, verb(area(code, design), ITEMS))
    step(monkeypatch, "districts")


def test_rows_of_all_instances_stand_in_the_order_of_the_matrix_with_their_numbers(run, monkeypatch):
    published(monkeypatch, district_items=ev.area_means)
    assert (run / "estimates" / "district_items__440_2016.json").is_file()
    gathered = ev.gather("district_items")
    assert gathered.keys["district"].tolist() == [110, 110, 440, 440, 680, 680]
    assert gathered.keys["year"].unique().tolist() == [2016]
    for code in DISTRICTS:
        own = ev.area_means(area(code), ITEMS)
        rows = np.flatnonzero(gathered.keys["district"] == code)
        np.testing.assert_array_equal(gathered.estimate[rows], own.estimate)
        np.testing.assert_array_equal(gathered.vcov[np.ix_(rows, rows)], own.vcov)
        np.testing.assert_array_equal(gathered.columns["n_effective"][rows], own.columns["n_effective"])
        np.testing.assert_array_equal(gathered.confidence_interval()[rows], own.confidence_interval())
    assert gathered.fit["missing"] == []
    assert gathered.verb == "area_means"


def test_districts_are_independent_as_one_design_of_all_of_them_says(run, monkeypatch):
    """Zero between districts is no assumption where they are strata: the engine says the same."""
    published(monkeypatch, district_items=ev.area_means)
    together = ev.survey_mean(ev.domain(ev.study_design("gathered"), {"district": list(DISTRICTS)}), ITEMS,
                              by=["district", "year"])  # fmt: skip
    gathered = ev.gather("district_items")
    order = [gathered.addresses().index(address) for address in together.addresses()]
    np.testing.assert_allclose(gathered.take(np.array(order)).vcov, together.vcov, atol=1e-18)


def test_differences_from_the_rest_share_respondents_so_their_covariance_is_not_claimed(run, monkeypatch):
    published(monkeypatch, district_difference=ev.area_difference)
    gathered = ev.gather("district_difference")
    apart = gathered.keys["district"].to_numpy()[:, None] != gathered.keys["district"].to_numpy()[None, :]
    assert np.isnan(gathered.vcov[apart]).all()
    assert np.isfinite(gathered.vcov[~apart]).all()
    assert gathered.fit["independence"] == "not known"


def test_labels_of_districts_are_the_codebooks_in_either_language(run, monkeypatch):
    published(monkeypatch, district_items=ev.area_means)
    gathered = ev.gather("district_items", where={"term": "stay"})
    assert ev.table(gathered, lang="ko").frame.iloc[:, 0].tolist() == ["종로구", "마포구", "강남구"]
    assert ev.table(gathered, lang="en").frame.iloc[:, 0].tolist() == ["Jongno-gu", "Mapo-gu", "Gangnam-gu"]
    written = ev.publish("districts_items", gathered)
    table = (run / written.files[1]).read_text(encoding="utf-8")
    assert "강남구" in table
    assert "Gangnam-gu" in table


def test_an_instance_that_published_nothing_has_rows_that_say_so(run, monkeypatch):
    published(monkeypatch, codes=(110, 680), district_items=ev.area_means)
    gathered = ev.gather("district_items")
    assert gathered.fit["missing"] == ["440_2016"]
    lost = gathered.keys["district"] == 440
    assert np.isnan(gathered.estimate[lost]).all()
    assert gathered.n_obs[lost].tolist() == [0, 0]
    said = ev.refusals(gathered).tidy()
    assert said[["term", "district", "refused_because"]].to_numpy().tolist() == [
        ["stay", 440, NOT_PUBLISHED],
        ["happy", 440, NOT_PUBLISHED],
    ]
    assert "nothing was published" in repr(ev.table(ev.refusals(gathered), lang="en"))
    assert "공표된 것이 없음" in repr(ev.table(ev.refusals(gathered), lang="ko"))


def test_a_rare_group_is_refused_and_its_hidden_count_does_not_come_back(run, monkeypatch):
    published(monkeypatch, district_rare=lambda here, items: ev.area_group(here, items, group={"participant": 1}))
    gathered = ev.gather("district_rare", where={"term": "stay", "year": 2016})
    assert list(gathered.keys) == ["term", "district"]
    assert np.isnan(gathered.estimate).all()
    listed = ev.refusals(gathered).tidy()
    assert set(listed["refused_because"]) == {TOO_FEW}
    assert set(listed["mark"]) <= {"[c]", "[u]"}


def test_what_stands_below_is_of_the_instances_that_are_asked_for(run, monkeypatch):
    def sized(here, items):
        means = ev.area_means(here, items)
        return replace(means, provenance=replace(means.provenance, n=1_000 + here.area["district"]))

    published(monkeypatch, district_items=sized)
    assert ev.gather("district_items").provenance.n == 0
    assert ev.gather("district_items", where={"district": 440}).provenance.n == 1_440
    assert (
        ev.gather("district_items", where={"district": 440}).provenance.labels.value("district", 440, "en") == "Mapo-gu"
    )


def test_wrong_arguments_are_refused_in_words(run, monkeypatch):
    published(monkeypatch, district_items=ev.area_means)
    with pytest.raises(ColumnError, match="where must map columns to values, got 'year=2016'"):
        ev.gather("district_items", where="year=2016")
    with pytest.raises(PublishError, match="refusals looks through estimates, got list"):
        ev.refusals([])


def test_marked_rows_are_listed_with_the_mark(run, monkeypatch):
    def few(here, items):
        means = ev.area_means(here, items)
        return replace(means, provenance=replace(means.provenance, min_base=10_000))

    published(monkeypatch, district_items=few)
    gathered = ev.gather("district_items", where={"term": "stay"})
    assert gathered.marks == ["[u]"] * 3
    listed = ev.refusals(gathered).tidy()
    assert listed["mark"].tolist() == ["[u]"] * 3
    assert set(listed["refused_because"]) == {TOO_FEW}


def test_a_column_that_one_instance_holds_empty_stays_a_column_of_numbers(run, monkeypatch):
    def half_empty(here, items):
        means = ev.area_means(here, items)
        first = here.area["district"] == 110
        deff = np.full(2, np.nan) if first else means.columns["deff"]
        return replace(means, columns={"n_effective": means.columns["n_effective"], "deff": deff})

    published(monkeypatch, district_items=half_empty)
    gathered = ev.gather("district_items")
    assert gathered.columns["deff"].dtype == float
    assert np.isnan(gathered.columns["deff"]).tolist() == [True, True, False, False, False, False]


def test_where_names_what_there_is_or_says_what_is_near(run, monkeypatch):
    published(monkeypatch, district_items=ev.area_means)
    assert len(ev.gather("district_items", where={"district": [110, 680]})) == 4
    with pytest.raises(ColumnError, match=r"no key column 'yaer'\. Did you mean 'year'"):
        ev.gather("district_items", where={"yaer": 2016})
    with pytest.raises(ColumnError, match=r"no row has district = 111\. Did you mean '110'"):
        ev.gather("district_items", where={"district": 111})


def test_a_name_that_no_instance_published_is_refused_with_the_nearest(run, monkeypatch):
    published(monkeypatch, district_items=ev.area_means)
    with pytest.raises(PublishError, match="no instance of a step published an estimate 'district_item'"):
        ev.gather("district_item")


def test_rows_of_another_district_under_an_instances_label_are_refused(run, monkeypatch):
    step(monkeypatch, "district/110_2016", "110_2016")
    ev.publish("district_items", ev.area_means(area(680), ITEMS))
    step(monkeypatch, "districts")
    with pytest.raises(PublishError, match="holds rows of another district than 110"):
        ev.gather("district_items")


def test_by_hand_the_last_good_run_is_read_and_all_districts_of_the_codebook_are_asked_for(root, monkeypatch):
    """A matrix that says 'all' is written out from the codebook; what by hand is absent stands as missing."""
    monkeypatch.setenv("EVALUATION_PROJECT", str(root))
    for name in ("EVALUATION_RUN", "EVALUATION_STEP", "EVALUATION_INSTANCE"):
        monkeypatch.delenv(name, raising=False)
    text = (root / "params" / "gathered.yml").read_text(encoding="utf-8")
    study = yaml.safe_load(text)
    study["steps"]["district"]["matrix"]["district"] = "all"
    (root / "params" / "gathered.yml").write_text(yaml.safe_dump(study, allow_unicode=True), encoding="utf-8")
    folder = root / "outputs" / "gathered"
    try:
        ev.open_study("gathered", lang="ko")
        monkeypatch.setenv("EVALUATION_RUN", str(folder))
        monkeypatch.setenv("EVALUATION_STEP", "district/110_2016")
        monkeypatch.setenv("EVALUATION_INSTANCE", "110_2016")
        ev.publish("district_items", ev.area_means(area(110), ITEMS))
        for name in ("EVALUATION_RUN", "EVALUATION_STEP", "EVALUATION_INSTANCE"):
            monkeypatch.delenv(name)
        gathered = ev.gather("district_items")
        assert len(gathered) == 50
        assert len(gathered.fit["missing"]) == 24
    finally:
        (root / "params" / "gathered.yml").write_text(text, encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        ev.open_study("gathered", lang="en")
