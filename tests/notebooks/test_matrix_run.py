"""A step that a matrix fans out, run for real: one notebook, one log and one set of files for each instance."""

import json
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

from evaluation.study.manifest import read_manifest
from evaluation.study.run import run_study

made = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "handmade_projects.py")))
STEPS = (
    "district: {notebook: 60_district, matrix: {district: [680, 110], lang: [ko]}, published: {district: [110]}}",
    "aside: {notebook: 65_aside}",
    "districts: {notebook: 70_districts, needs: [district]}",
)
DISTRICT = "district: int = 680"
PUBLISH = """
import pandas as pd
from evaluation.publication import publish
publish("items", pd.DataFrame({"district": [district]}))
"""
ASIDE = """
import pandas as pd
from evaluation.publication import publish
publish("aside", pd.DataFrame({"a": [1]}))
"""
GATHER = """
import os
from pathlib import Path
from evaluation.publication import read_items
print([(item.step, item.name) for item in read_items(Path(os.environ["EVALUATION_RUN"]))])
"""


@pytest.fixture
def root(tmp_path, monkeypatch):
    root = made.lay_out(tmp_path / "project with {braces}")
    made.save_study(root, STEPS)
    made.save_notebook(root, "60_district", [PUBLISH], DISTRICT)
    made.save_notebook(root, "65_aside", [ASIDE])
    made.save_notebook(root, "70_districts", [GATHER])
    monkeypatch.setenv("EVALUATION_PROJECT", str(root))
    monkeypatch.setenv("EVALUATION_INSTANCE", "left_over")
    monkeypatch.delenv("EVALUATION_RUN", raising=False)
    return root


def test_instances_run_publish_and_are_gathered(root):
    report = run_study("small", jobs=1)
    assert {outcome.step: (outcome.state, outcome.notebook) for outcome in report.outcomes} == {
        "district/680_ko": ("ok", "60_district/680_ko"),
        "district/110_ko": ("ok", "60_district/110_ko"),
        "aside": ("ok", "65_aside"),
        "districts": ("ok", "70_districts"),
    }
    notebooks = report.folder / "notebooks"
    assert sorted(path.relative_to(notebooks).as_posix() for path in notebooks.rglob("*.ipynb")) == [
        "60_district/110_ko.ipynb",
        "60_district/680_ko.ipynb",
        "65_aside.ipynb",
        "70_districts.ipynb",
    ]
    assert (report.folder / "tables" / "items__110_ko.csv").read_text(encoding="utf-8-sig") == "district\n110\n"
    assert (report.folder / "tables" / "aside.csv").is_file()
    printed = made.executed(report.folder, "70_districts").cells[-1].outputs[0].text
    assert printed.strip() == repr([("district/680_ko", "items__680_ko"), ("district/110_ko", "items__110_ko")]), (
        "the step aside is finished, and is not among the needs"
    )
    steps = read_manifest(report.folder)["steps"]
    assert [output["file"] for output in steps["district/110_ko"]["outputs"]] == ["tables/items__110_ko.csv"]
    assert steps["district/110_ko"]["parameters"] == {"study": "small", "lang": "ko", "district": 110}
    assert read_manifest(report.folder)["unattributed"] == []
    assert json.loads((report.folder / "study.json").read_text(encoding="utf-8"))["steps"]["district"]["published"] == {
        "district": [110]
    }


def test_an_instance_that_fails_blocks_those_who_gather_and_leaves_the_others(root):
    made.save_notebook(root, "60_district", [f"{PUBLISH}\nassert district != 110"], DISTRICT)
    report = run_study("small", jobs=1)
    assert made.states(report) == {
        "district/680_ko": "ok",
        "district/110_ko": "failed",
        "aside": "ok",
        "districts": "blocked",
    }
    blocked = next(outcome for outcome in report.outcomes if outcome.step == "districts")
    assert blocked.blocked_by == ("district/110_ko",)
    only = run_study("small", only=["district/680_*"], jobs=1)
    assert [(outcome.step, outcome.state) for outcome in only.outcomes] in (
        [("district/680_ko", "ok")],
        [("district/680_ko", "cached")],
    )
    assert only.folder == root / "outputs" / "partial" / "small"
