import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from evaluation import project
from evaluation.errors import PublishError
from evaluation.figures import plotting
from evaluation.publication import publish, read_items
from evaluation.tables import table

HANDMADE = Path(__file__).with_name("handmade_results.py")
made = SimpleNamespace(**runpy.run_path(str(HANDMADE)))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run folder as a runner names it."""
    monkeypatch.setenv("EVALUATION_RUN", str(tmp_path))
    monkeypatch.setenv("EVALUATION_STEP", "weighting")
    return tmp_path


def written(run):
    return sorted(file.relative_to(run).as_posix() for file in run.rglob("*") if file.is_file())


def contents(run):
    return {file: (run / file).read_bytes() for file in written(run)}


def test_estimates_become_a_record_in_full_and_a_table(run):
    said = publish("api_means", made.MEANS)
    assert written(run) == ["estimates/api_means.json", "published/weighting.jsonl", "tables/api_means.csv"]
    text = (run / "estimates/api_means.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"name": "api_means", **json.loads(json.dumps(made.MEANS.to_dict()))}
    assert text.startswith('{\n "name": "api_means",\n "verb"')
    assert text.endswith("}\n")
    assert "캘리포니아" in text
    assert repr(said) == "published api_means: estimates/api_means.json, tables/api_means.csv"


def test_a_figure_leaves_with_the_data_behind_it(run):
    figure = plotting.plot(made.MEANS, lang="ko")
    publish("api_means", figure)
    assert (run / "figures/api_means.png").read_bytes() == figure.png()
    assert (run / "figures/api_means.svg").read_bytes() == figure.svg()
    assert "644.169" in (run / "figures/api_means.csv").read_text(encoding="utf-8")


def test_tables_frames_and_other_results_become_csv_files(run):
    publish("shares", table(made.SHARES))
    publish("history", pd.DataFrame({"sum": [6194.0]}, index=pd.Index(["rake"], name="step")))
    publish("balance", SimpleNamespace(tidy=lambda: made.MARGINS, provenance=made.PROVENANCE))
    assert (run / "tables/history.csv").read_text(encoding="utf-8") == "step,sum\nrake,6194.0\n"
    assert (run / "tables/balance.csv").read_text(encoding="utf-8").startswith("margin,margin_label_ko,")
    assert "0.787" in (run / "tables/shares.csv").read_text(encoding="utf-8")


def test_a_group_publishes_each_member_under_its_own_name(run):
    said = publish("means", {"api_means": made.MEANS, "api_by_type": made.BY_TYPE})
    assert (run / "estimates/api_by_type.json").is_file()
    assert repr(said).splitlines()[1] == "published api_by_type: estimates/api_by_type.json, tables/api_by_type.csv"


def test_a_group_with_one_member_that_cannot_leave_publishes_nothing(run):
    with pytest.raises(PublishError, match="cannot be published"):
        publish("means", {"api_means": made.MEANS, "wrong": object()})
    assert written(run) == []


def test_the_log_has_one_line_for_each_name(run):
    publish("api_means", made.MEANS)
    publish("api_means", made.MEANS)
    publish("shares", table(made.SHARES, lang="en"))
    lines = (run / "published/weighting.jsonl").read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    assert [entry["name"] for entry in entries] == ["api_means", "shares"]
    assert entries[0]["files"] == ["estimates/api_means.json", "tables/api_means.csv"]
    assert entries[1]["title"] == "Proportion: school type"


@pytest.mark.parametrize("name", ["API means", "a/b", "", "../x", "평균", "a.json", 7])
def test_a_name_that_is_no_name_is_refused(run, name):
    with pytest.raises(PublishError, match="unaccented letters"):
        publish(name, made.MEANS)
    assert written(run) == []


def test_the_error_about_a_name_proposes_one(run):
    with pytest.raises(PublishError, match="Use 'API_means'"):
        publish("API means", made.MEANS)


@pytest.mark.parametrize("name", ["con", "LPT1", "a" * 101])
def test_a_name_that_cannot_name_a_file_everywhere_is_refused(run, name):
    with pytest.raises(PublishError, match="becomes the name of files"):
        publish(name, made.MEANS)
    assert written(run) == []


def test_a_name_of_another_step_of_the_run_is_refused_and_its_file_is_untouched(run, monkeypatch):
    publish("api_means", made.MEANS)
    before = (run / "estimates/api_means.json").read_bytes()
    monkeypatch.setenv("EVALUATION_STEP", "report")
    with pytest.raises(PublishError, match="by step 'weighting'"):
        publish("api_means", made.BY_TYPE)
    assert (run / "estimates/api_means.json").read_bytes() == before


def test_a_notebook_of_a_run_cannot_publish_two_things_under_one_name(run):
    publish("api_means", made.MEANS)
    with pytest.raises(PublishError, match="as something else"):
        publish("api_means", made.BY_TYPE)


def test_a_cell_run_again_by_hand_overwrites_and_says_that_it_is_not_of_record(tmp_path, monkeypatch):
    monkeypatch.delenv("EVALUATION_RUN", raising=False)
    monkeypatch.delenv("EVALUATION_STEP", raising=False)
    monkeypatch.setattr(project, "run_folder", lambda study=None: tmp_path)
    publish("api_means", made.MEANS)
    said = publish("api_means", made.BY_TYPE)
    assert "not of record" in repr(said)
    assert str(tmp_path) not in repr(said)
    assert json.loads((tmp_path / "estimates/api_means.json").read_text(encoding="utf-8"))["rows"][0]["stype"] == "E"
    assert len((tmp_path / "published/interactive.jsonl").read_text(encoding="utf-8").splitlines()) == 1


def test_more_rows_than_an_aggregate_has_do_not_leave(run):
    with pytest.raises(PublishError, match="2,001 rows"):
        publish("people", pd.DataFrame({"x": range(2001)}))
    assert written(run) == []
    publish("cells", pd.DataFrame({"x": range(2000)}))


@pytest.mark.parametrize("item", [object(), 3.5, "text", [1, 2], None])
def test_what_is_no_result_is_refused(run, item):
    with pytest.raises(PublishError, match="cannot be published"):
        publish("thing", item)


def test_an_empty_group_is_refused(run):
    with pytest.raises(PublishError, match="empty group"):
        publish("nothing", {})


def test_a_write_that_fails_leaves_the_earlier_file_and_no_debris(run, monkeypatch):
    publish("api_means", made.MEANS)
    before = (run / "estimates/api_means.json").read_bytes()

    def full(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="disk full"):
        publish("api_means", made.MEANS)
    assert (run / "estimates/api_means.json").read_bytes() == before
    assert not [file for file in written(run) if file.endswith(".tmp")]


def test_two_fresh_processes_publish_the_same_bytes(tmp_path):
    program = (
        "import runpy; from evaluation.publication import publish; from evaluation.figures import plotting; "
        f"m = runpy.run_path({str(HANDMADE)!r}); "
        "print([publish('a', m['MIXED']), publish('b', plotting.plot(m['SHARES'], lang='ko'))])"
    )
    said = []
    for place in ("one", "two"):
        environment = os.environ | {"EVALUATION_RUN": str(tmp_path / place), "EVALUATION_STEP": "s"}
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
        said.append(done.stdout)
    assert said[0] == said[1]
    one, two = (contents(tmp_path / place) for place in ("one", "two"))
    assert one == two
    assert len(one) == 6


def test_what_was_published_is_one_small_line_in_the_language(run):
    said = publish("means", {"api_means": made.MEANS, "api_by_type": made.BY_TYPE})
    project.use_language("ko")
    shown = said._repr_html_()
    project.use_language("en")
    assert "공표: api_means, api_by_type (json, csv)<" in shown
    assert "<pre" not in shown


def test_the_log_carries_titles_in_the_language_of_the_run(run):
    publish("api_means", made.MEANS)
    publish("by_type", made.BY_TYPE, title="By type")
    publish("picture", plotting.plot(made.MEANS, lang="ko", title="그림"))
    assert [(item.name, item.step, item.title) for item in read_items(run)] == [
        ("api_means", "weighting", "Mean: API 2000, API 1999"),
        ("by_type", "weighting", "By type"),
        ("picture", "weighting", "그림"),
    ]


@pytest.mark.parametrize("derive", [lambda data: data, lambda data: data.head(3), lambda data: data.reset_index()])
def test_respondents_records_never_leave(monkeypatch, tmp_path, derive):
    import evaluation as ev

    monkeypatch.setenv("EVALUATION_RUN", str(tmp_path))
    records = derive(ev.read_survey("api_2000", sample="apiclus1").data)
    for leave in (lambda: publish("records", records), lambda: ev.table(records, title="records")):
        with pytest.raises(PublishError, match="respondents' records"):
            leave()
    assert not (tmp_path / "tables").exists()
