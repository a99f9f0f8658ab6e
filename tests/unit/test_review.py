"""A reviewer's run in a clean place, and how a run becomes the published one; real kernels, a tiny study."""

import csv
import hashlib
import json
import os
import subprocess
import sys
from datetime import date
from types import SimpleNamespace

import nbformat
import pytest

from evaluation.claims.register import REGISTER_COLUMNS
from evaluation.claims.report import check_claims
from evaluation.errors import ClaimError, ProjectError
from evaluation.review import Review, accept_run, review_study
from evaluation.study.run import run_study

STUDY = """
study: small
title: {ko: 작은 연구, en: A small study}
question: {ko: 얼마인가?, en: How much?}
survey: small
headline: main
designs:
  main: {sample: all}
steps:
  estimate: {notebook: 10_estimate}
"""
PARAMETERS = 'study: str = "none"\nlang: str = "en"'
FACTS = """
import json, os
from pathlib import Path
facts = json.loads(Path(os.environ["EVALUATION_PROJECT"], "surveys/small/facts.json").read_text(encoding="utf-8"))
print(*sorted(path.name for path in Path(os.environ["EVALUATION_PROJECT"]).glob("*")))
"""
PUBLISH = """
run, step = Path(os.environ["EVALUATION_RUN"]), os.environ["EVALUATION_STEP"]
rows = [{"term": "trust", "estimate": facts["mean"], "n_obs": 9}]
files = {
    "estimates/mean.json": json.dumps({"name": "mean", "rows": rows}),
    "tables/mean.csv": "term,estimate\\ntrust,1.25\\n",
    "restricted/mean.csv": "term,estimate\\ntrust,1.2512345\\n",
}
for folder in ("estimates", "tables", "restricted", "published"):
    (run / folder).mkdir(exist_ok=True)
for file, text in files.items():
    (run / file).write_text(text, encoding="utf-8")
line = json.dumps({"name": "mean", "files": list(files)})
(run / "published" / f"{step}.jsonl").write_text(line + "\\n", encoding="utf-8")
facts["mean"]
"""


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A project with one study of one notebook and two claims."""
    root = tmp_path / "project"
    for folder in ("notebooks", "params/claims", "surveys/small/generated", "outputs/scratch/small"):
        (root / folder).mkdir(parents=True)
    (root / "pyproject.toml").write_text("[tool.evaluation]\n", encoding="utf-8")
    (root / "requirements.lock").write_text("", encoding="utf-8")
    (root / "params" / "small.yml").write_text(STUDY, encoding="utf-8")
    (root / "surveys" / "small" / "survey.yml").write_text("id: small\n", encoding="utf-8")
    (root / "surveys" / "small" / "generated" / "old.csv").write_text("1\n", encoding="utf-8")
    monkeypatch.setenv("EVALUATION_PROJECT", str(root))
    monkeypatch.delenv("EVALUATION_RUN", raising=False)
    small = SimpleNamespace(root=root, good=root / "outputs" / "small", out=tmp_path / "review")
    small.published = root / "outputs" / "reference" / "small"
    say_facts(root, 1.2512345)
    save_notebook(root, FACTS, PUBLISH)
    register(root, "1.25", "1.251")
    return small


def say_facts(root, mean):
    (root / "surveys" / "small" / "facts.json").write_text(json.dumps({"mean": mean}), encoding="utf-8")


def save_notebook(root, *cells):
    first = nbformat.v4.new_code_cell(PARAMETERS, id="declared", metadata={"tags": ["parameters"]})
    code = [nbformat.v4.new_code_cell(source.strip(), id=f"code-{number}") for number, source in enumerate(cells)]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = nbformat.v4.new_notebook(cells=[first, *code], metadata=metadata)
    (root / "notebooks" / "10_estimate.ipynb").write_text(nbformat.writes(notebook), encoding="utf-8")


def register(root, *printed):
    with (root / "params" / "claims" / "small.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(REGISTER_COLUMNS)
        for number, text in enumerate(printed):
            row = [f"claim_{number}", text, "number", "p. 1", "mean", "trust", "", "estimate", "yes", ""]
            writer.writerow(row)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_review_recomputes_in_a_clean_place_and_leaves_the_outputs_alone(study, capfd):
    before = contents(study.root)
    review = review_study("small", out=study.out)
    assert review.exit_code == 0, review.summary()
    assert contents(study.root) == before
    assert "claim_1   1.251      1.251 reproduced    0.0005" in review.summary()
    assert "Steps: estimate ok." in review.summary()
    assert review.summary().endswith("All 2 claims marked as reproducible are reproduced.")

    record = json.loads((study.out / "review.json").read_text(encoding="utf-8"))
    assert record["counts"] == {"reproduced": 2}
    assert record["exit_code"] == 0
    assert [claim["address"] for claim in record["claims"]] == ["mean | trust |  | estimate"] * 2
    assert (study.out / "review.csv").read_text(encoding="utf-8").count("reproduced") == 3
    executed = nbformat.read(study.out / "run" / "notebooks" / "10_estimate.ipynb", as_version=4)
    seen = executed.cells[-2].outputs[0].text
    assert seen == "notebooks outputs params pyproject.toml requirements.lock surveys\n"
    assert not (study.out / "run" / "scratch").exists()
    everything = b"".join(contents(study.out).values()).decode("utf-8", "replace")
    assert str(study.root) not in everything
    assert "evaluation-review-" not in everything

    register(study.root, "1.25", "1.4")
    again = Review("small", check_claims("small", study.out / "run"), {"estimate": "ok"}, "", study.out)
    assert again.exit_code == 1
    assert again.summary().endswith("NOT reproduced: 1 of 2 claims marked as reproducible: claim_1")
    assert Review("small", review.claims, {}, "The run failed.", study.out).exit_code == 1


def test_a_study_that_fails_in_the_clean_place_is_not_reproduced_and_says_why(study, capfd):
    save_notebook(study.root, "raise ValueError('no answer in 강남')", PUBLISH)
    review = review_study("small")
    folder = study.root / "outputs" / "review" / "small"
    assert review.exit_code == 1
    assert review.claims.counts() == {"not computable": 2}
    assert "The run failed: step 'estimate' failed: ValueError: no answer in 강남." in review.summary()
    assert "no answer in 강남" in (folder / "run" / "notebooks" / "10_estimate.ipynb").read_text(encoding="utf-8")
    assert not study.good.exists()


def test_a_study_that_cannot_start_says_so(study, capfd):
    (study.root / "notebooks" / "10_estimate.ipynb").unlink()
    review = review_study("small", out=study.out)
    assert review.exit_code == 1
    assert "The run did not start (exit code 2)" in review.summary()
    assert "no notebook 'notebooks/10_estimate.ipynb'" in capfd.readouterr().err


def test_nothing_is_run_without_claims_or_into_a_folder_of_something_else(study):
    study.out.mkdir()
    (study.out / "thesis.docx").write_bytes(b"years of work")
    with pytest.raises(ProjectError, match="holds something else"):
        review_study("small", out=study.out)
    (study.root / "params" / "claims" / "small.csv").unlink()
    with pytest.raises(ClaimError, match="no register of claims"):
        review_study("small")
    with pytest.raises(ProjectError, match=r"Did you mean 'small'\?"):
        review_study("smal")
    assert list(contents(study.out)) == ["thesis.docx"]
    assert not (study.root / "outputs" / "review").exists()


def test_a_good_run_becomes_the_published_one_and_passes_its_own_check(study):
    assert run_study("small").exit_code == 0
    told = accept_run("small")
    assert told.splitlines() == [
        "small: published for the first time, 2 numbers.",
        "2 claims: 2 reproduced. None remains open.",
    ]
    assert sorted(contents(study.published)) == [
        *("conftest.py", "estimates/mean.json", "manifest.json", "notebooks/10_estimate.ipynb"),
        *("study.json", "tables/mean.csv"),
    ]
    manifest = (study.published / "manifest.json").read_text(encoding="utf-8")
    assert "duration" not in manifest
    assert "restricted" not in manifest
    unchanged = checked(study)
    assert unchanged.returncode == 0, unchanged.stdout

    accepted = contents(study.published)
    assert accept_run("small").splitlines()[0] == "small: 0 of 2 numbers differ from those published before."
    assert contents(study.published) == accepted

    say_facts(study.root, 1.2499)
    changed = checked(study)
    assert changed.returncode == 1
    assert "estimates/mean.json: rows[0: trust].estimate: published 1.2512345, now 1.2499" in changed.stdout


def checked(study):
    """Run pytest in the project as a reader of the README does."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("EVALUATION", "PYTEST"))}
    command = [sys.executable, "-m", "pytest", "-q", "--nbval", "outputs/reference/small", "-p", "no:cacheprovider"]
    return subprocess.run(command, cwd=study.root, env=environment, capture_output=True, encoding="utf-8", check=False)


@pytest.fixture
def run(study):
    """The small study with a finished run, written as the runner writes it but without a kernel."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1", id="one", execution_count=1)])
    study.estimate = lambda mean: finish(study.good, nbformat.writes(notebook), mean)
    study.estimate(1.25)
    return study


def finish(folder, notebook, mean, state="ok", complete=True, unattributed=()):
    rows = [{"term": "trust", "level": level, "estimate": value, "std_error": None} for level, value in mean_rows(mean)]
    table = "".join(f"trust,{level},{value}\n" for level, value in mean_rows(mean))
    files = {"estimates/mean.json": json.dumps({"rows": rows}), "tables/mean.csv": f"term,level,estimate\n{table}"}
    for file, text in {**files, "notebooks/10_estimate.ipynb": notebook, "study.json": "{}"}.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(text.encode("utf-8"))
    outputs = [
        {"name": "mean", "file": file, "sha256": hashlib.sha256(text.encode("utf-8")).hexdigest()}
        for file, text in files.items()
    ]
    step = {"state": state, "notebook": "notebooks/10_estimate.ipynb", "outputs": outputs}
    manifest = {"state": state, "complete": complete, "steps": {"estimate": step}, "unattributed": list(unattributed)}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def mean_rows(mean):
    return [("all", mean), ("E", 2.0)]


def test_accepting_tells_each_number_that_changed_with_its_address(run):
    accept_run("small")
    (run.published / "README.md").write_text("kept\n", encoding="utf-8")
    (run.published / "conftest.py").write_text("# own tolerances\n", encoding="utf-8")
    run.estimate(1.5)
    told = accept_run("small", reason="an answer was coded wrongly", by="Kim Hana", on=date(2017, 12, 1))
    assert told.splitlines()[:5] == [
        "small: 1 of 4 numbers differ from those published before.",
        "  mean | trust | level=all | estimate: 1.25 -> 1.5",
        "1 file differs:",
        "  tables/mean.csv",
        "Old numbers kept in errata.csv: 1.",
    ]
    assert (run.published / "errata.csv").read_text(encoding="utf-8").splitlines() == [
        "date,address,old,new,reason,by",
        "2017-12-01,mean | trust | level=all | estimate,1.25,1.5,an answer was coded wrongly,Kim Hana",
    ]
    assert (run.published / "README.md").read_text(encoding="utf-8") == "kept\n"
    assert (run.published / "conftest.py").read_text(encoding="utf-8") == "# own tolerances\n"
    assert not list(run.published.parent.glob(".*"))


def test_of_many_new_numbers_the_first_are_named_and_the_others_counted(run, monkeypatch):
    accept_run("small")
    many = [("all", 1.25), ("E", 2.0), *((f"L{number}", 3.0) for number in range(30))]
    monkeypatch.setitem(globals(), "mean_rows", lambda mean: many)
    run.estimate(1.25)
    told = accept_run("small").splitlines()
    listed = [line for line in told if ": none -> " in line]
    assert len(listed) == 20
    new = int(told[0].split()[1])
    assert f"  and {new - 20:,} more that are new" in told


def test_published_files_that_were_altered_are_not_kept_as_the_old_numbers(run):
    accept_run("small")
    table = run.published / "tables" / "mean.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("1.25", "1.26"), encoding="utf-8")
    before = contents(run.published)
    run.estimate(1.5)
    message = (
        r"is not what was published: tables/mean\.csv was changed after the run.*git restore outputs/reference/small"
    )
    with pytest.raises(ProjectError, match=message):
        accept_run("small", reason="an answer was coded wrongly")
    assert contents(run.published) == before


def test_a_published_number_is_not_replaced_without_a_reason(run):
    accept_run("small")
    before = contents(run.published)
    run.estimate(1.5)
    with pytest.raises(
        ProjectError, match=r"1 published number changes or goes in 'small', and no reason is given"
    ) as refusal:
        accept_run("small")
    assert "mean | trust | level=all | estimate: 1.25 -> 1.5" in str(refusal.value)
    assert "evaluation accept small --reason TEXT" in str(refusal.value)
    assert refusal.value.failures.to_dict("records") == [
        {"address": "mean | trust | level=all | estimate", "old": "1.25", "new": "1.5"}
    ]
    assert contents(run.published) == before
    assert not list(run.published.parent.glob(".*"))


def test_accepting_tells_numbers_that_are_new_or_gone_and_claims_that_no_longer_hold(run, monkeypatch):
    accept_run("small")
    monkeypatch.setattr(sys.modules[__name__], "mean_rows", lambda mean: [("all", mean), ("H", 3.0)])
    run.estimate(1.25 + 1e-12)
    told = accept_run("small", reason="schools are reported by type")
    assert "  mean | trust | level=E | estimate: 2 -> none" in told
    assert "  mean | trust | level=H | estimate: none -> 3" in told
    assert "level=all" not in told
    assert "2 claims: 2 not computable. Open: claim_0, claim_1." in told


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ({"state": "failed"}, "its run is 'failed'"),
        ({"complete": False}, "holds only some steps"),
    ],
)
def test_only_a_complete_good_run_is_accepted(run, spoil, message):
    accept_run("small")
    before = contents(run.published)
    finish(run.good, "{}", 9.0, **spoil)
    with pytest.raises(ProjectError, match=message):
        accept_run("small")
    assert contents(run.published) == before


def test_a_run_that_was_edited_by_hand_is_not_accepted(run):
    (run.good / "tables" / "mean.csv").write_text("estimate\n9\n", encoding="utf-8")
    with pytest.raises(ProjectError, match=r"tables/mean\.csv was changed after the run\. Run the study again"):
        accept_run("small")
    (run.good / "tables" / "mean.csv").unlink()
    with pytest.raises(ProjectError, match=r"tables/mean\.csv is missing"):
        accept_run("small")
    assert not run.published.exists()
    assert not list((run.root / "outputs").glob("reference/.*"))


def test_a_file_that_no_step_published_is_left_out_and_told(run):
    (run.good / "tables" / "stray.csv").write_text("a\n", encoding="utf-8")
    manifest = json.loads((run.good / "manifest.json").read_text(encoding="utf-8"))
    manifest["unattributed"] = ["tables/stray.csv", "report/index.html"]
    (run.good / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    told = accept_run("small")
    assert "left out, published by no step: tables/stray.csv" in told
    assert "report/index.html" not in told
    assert not (run.published / "tables" / "stray.csv").exists()


def test_of_the_instances_that_are_not_kept_only_numbers_are_published(run):
    manifest = json.loads((run.good / "manifest.json").read_text(encoding="utf-8"))
    for label, published in (("110_2016", False), ("680_2016", True)):
        record = {"state": "ok", "notebook": f"notebooks/60_district/{label}.ipynb", "published": published}
        record |= {"step": "district", "values": {"district": label[:3], "year": 2016}, "outputs": []}
        for folder, ending in (("estimates", "json"), ("tables", "csv"), ("figures", "png")):
            file = f"{folder}/items__{label}.{ending}"
            content = b'{"rows": []}' if ending == "json" else b"content\n"
            (run.good / folder).mkdir(exist_ok=True)
            (run.good / file).write_bytes(content)
            record["outputs"].append({"name": "items", "file": file, "sha256": hashlib.sha256(content).hexdigest()})
        (run.good / record["notebook"]).parent.mkdir(exist_ok=True)
        (run.good / record["notebook"]).write_text("{}", encoding="utf-8")
        manifest["steps"][f"district/{label}"] = record
    (run.good / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    accept_run("small")
    files = sorted(file for file in contents(run.published) if "2016" in file)
    assert files == [
        "estimates/items__110_2016.json",
        "estimates/items__680_2016.json",
        "figures/items__680_2016.png",
        "notebooks/60_district/680_2016.ipynb",
        "tables/items__110_2016.csv",
        "tables/items__680_2016.csv",
    ]
    steps = json.loads((run.published / "manifest.json").read_text(encoding="utf-8"))["steps"]
    listed = {output["file"] for step in steps.values() for output in step["outputs"]}
    assert set(files) - {"notebooks/60_district/680_2016.ipynb"} <= listed
    assert "figures/items__110_2016.png" not in listed


def test_without_a_run_there_is_nothing_to_accept(study):
    with pytest.raises(ProjectError, match="no run of 'small' yet"):
        accept_run("small")
