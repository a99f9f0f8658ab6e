"""What instances of a matrix publish, and what a step may read of it: only what it needs."""

import json
import os
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

from evaluation import project
from evaluation.errors import PublishError
from evaluation.figures import plotting
from evaluation.publication import publish, read_estimates, read_items, read_published
from evaluation.specification import StudySpecification
from evaluation.study.manifest import published_files
from evaluation.tables import table

made = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("handmade_results.py"))))

STUDY = StudySpecification.model_validate(
    {
        "study": "demo",
        "title": {"ko": "ㄱ", "en": "a"},
        "question": {"ko": "ㄱ", "en": "a"},
        "survey": "demo",
        "headline": "main",
        "designs": {"main": {"sample": "all"}},
        "steps": {
            "profile": {"notebook": "10_profile"},
            "weighting": {"notebook": "20_weighting", "needs": ["profile"]},
            "district": {
                "notebook": "60_district",
                "needs": ["weighting"],
                "matrix": {"district": [680, 110], "year": [2015, 2016]},
            },
            "trend": {"notebook": "65_trend", "needs": ["district"], "matrix": {"year": [2015, 2016]}},
            "districts": {"notebook": "70_districts", "needs": ["district"]},
            "report": {"notebook": "50_report", "needs": ["weighting"]},
        },
    }
)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run folder with the resolved study in it."""
    monkeypatch.setenv("EVALUATION_RUN", str(tmp_path))
    (tmp_path / "study.json").write_text(STUDY.model_dump_json(by_alias=True), encoding="utf-8")
    return tmp_path


@pytest.fixture
def stand(monkeypatch):
    """Return a function that says which instance the kernel is."""

    def stand_in(step):
        monkeypatch.setenv(project.STEP_VARIABLE, step)
        monkeypatch.setenv(project.INSTANCE_VARIABLE, step.partition("/")[2])

    return stand_in


def written(run):
    return sorted(file.relative_to(run).as_posix() for file in run.rglob("*") if file.is_file())


def publish_all(stand, steps):
    for step in steps:
        stand(step)
        publish(f"{step.partition('/')[0]}_items", made.MEANS)


STEPS = ("weighting", "district/680_2015", "district/680_2016", "district/110_2015", "district/110_2016", "profile")


def test_an_instance_publishes_under_its_label_and_logs_in_the_folder_of_its_step(run, stand):
    stand("district/110_2016")
    said = publish("items", made.MEANS)
    publish("shares", table(made.SHARES))
    publish("picture", plotting.plot(made.MEANS, lang="ko"))
    assert written(run) == [
        "estimates/items__110_2016.json",
        "figures/picture__110_2016.csv",
        "figures/picture__110_2016.png",
        "figures/picture__110_2016.svg",
        "published/district/110_2016.jsonl",
        "study.json",
        "tables/items__110_2016.csv",
        "tables/shares__110_2016.csv",
    ]
    assert repr(said) == "published items__110_2016: estimates/items__110_2016.json, tables/items__110_2016.csv"
    assert json.loads((run / "estimates/items__110_2016.json").read_text(encoding="utf-8"))["name"] == "items__110_2016"
    assert [item.name for item in read_items(run)] == ["items__110_2016", "shares__110_2016", "picture__110_2016"]
    assert {item.step for item in read_items(run)} == {"district/110_2016"}


def test_members_of_a_group_carry_the_label_too(run, stand):
    stand("district/110_2016")
    said = publish("all", {"a": made.MEANS, "b": made.SHARES})
    assert said.names == ("a__110_2016", "b__110_2016")
    assert "estimates/b__110_2016.json" in written(run)
    assert set(published_files(run, "district/110_2016")) == set(said.files)


def test_instances_do_not_take_each_others_names_and_others_cannot_take_theirs(run, stand):
    publish_all(stand, ["district/110_2015", "district/110_2016"])
    stand("report")
    with pytest.raises(
        PublishError, match=r"'district_items__110_2016' was already published by step 'district/110_2016'"
    ):
        publish("district_items__110_2016", made.MEANS)
    with pytest.raises(PublishError, match="by step 'district/110_2015'"):
        publish("DISTRICT_items__110_2015", made.MEANS)


def test_an_instance_with_a_korean_label_publishes_under_it(run, stand):
    stand("district/강남구")
    publish("items", made.MEANS)
    assert "estimates/items__강남구.json" in written(run)
    stand("")
    assert list(read_estimates(run)) == ["items__강남구"]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("report", ["profile_items", "weighting_items"]),
        ("weighting", ["profile_items", "weighting_items"]),
        ("profile", ["profile_items"]),
        ("district/110_2016", ["profile_items", "weighting_items", "district_items__110_2016"]),
        (
            "trend/2015",
            ["profile_items", "weighting_items", "district_items__680_2015", "district_items__110_2015"],
        ),
        (
            "districts",
            [
                "profile_items",
                "weighting_items",
                *(f"district_items__{code}_{year}" for code in (680, 110) for year in (2015, 2016)),
            ],
        ),
    ],
)
def test_a_step_reads_what_it_needs_in_the_order_of_the_study_and_nothing_else(run, stand, step, expected):
    publish_all(stand, STEPS)
    (run / "estimates" / "stray.json").write_text(json.dumps({"name": "stray", "rows": []}), encoding="utf-8")
    stand(step)
    assert [item.name for item in read_items(run)] == expected
    assert list(read_estimates(run)) == expected
    assert list(read_published(run)) == expected


def test_what_a_step_reads_does_not_depend_on_what_else_is_finished(run, stand):
    publish_all(stand, ("weighting",))
    stand("report")
    early = {name: item.to_dict() for name, item in read_published(run).items()}
    publish_all(stand, ("district/110_2016", "district/680_2015"))
    stand("report")
    assert {name: item.to_dict() for name, item in read_published(run).items()} == early


def test_who_reads_from_outside_sees_all(run, stand, monkeypatch, tmp_path_factory):
    publish_all(stand, STEPS)
    stand("report")
    monkeypatch.setenv(project.RUN_VARIABLE, str(tmp_path_factory.mktemp("another")))
    assert len(read_items(run)) == len(read_estimates(run)) == len(STEPS)
    monkeypatch.delenv(project.RUN_VARIABLE)
    assert len(read_items(run)) == len(read_estimates(run)) == len(STEPS)
    monkeypatch.setenv(project.RUN_VARIABLE, str(run))
    monkeypatch.delenv(project.STEP_VARIABLE)
    assert len(read_items(run)) == len(read_estimates(run)) == len(STEPS)


def test_a_step_that_the_study_does_not_name_reads_all(run, stand):
    publish_all(stand, ("weighting",))
    stand("by_hand")
    assert list(read_published(run)) == ["weighting_items"]
    (run / "study.json").unlink()
    stand("report")
    assert list(read_published(run)) == ["weighting_items"]


def test_without_a_matrix_names_stay_as_they_are(run, stand, monkeypatch):
    stand("weighting")
    assert os.environ[project.INSTANCE_VARIABLE] == ""
    publish("means", made.MEANS)
    monkeypatch.delenv(project.INSTANCE_VARIABLE)
    publish("shares", made.SHARES)
    assert list(read_estimates(run)) == ["means", "shares"]
