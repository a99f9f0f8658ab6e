"""The comparison on copies of the published runs: what is planted in them is found, and nothing else."""

import csv
import shutil
from pathlib import Path

import pytest

from evaluation.errors import ProjectError
from evaluation.releases.compare import compare_studies
from evaluation.releases.errata import corrections, require_reason

ROOT = Path(__file__).parents[3]
STUDIES = sorted(path.name for path in (ROOT / "outputs" / "reference").glob("*") if (path / "manifest.json").is_file())
LEFT_OUT = shutil.ignore_patterns("generated", "*.png", "*.svg", "*.ipynb", "*.parquet")


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A project that holds the published runs."""
    root = tmp_path / "project"
    shutil.copytree(ROOT / "params", root / "params")
    shutil.copytree(ROOT / "surveys", root / "surveys", ignore=LEFT_OUT)
    shutil.copytree(ROOT / "outputs" / "reference", root / "outputs" / "reference", ignore=LEFT_OUT)
    (root / "pyproject.toml").write_text("[tool.evaluation]\n", encoding="utf-8")
    monkeypatch.setenv("EVALUATION_PROJECT", str(root))
    monkeypatch.delenv("EVALUATION_RUN", raising=False)
    return root


def edit(file, change):
    """Rewrite a table row by row; ``change`` gets each row with its number."""
    with file.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        columns, rows = list(reader.fieldnames), list(reader)
    for number, row in enumerate(rows):
        change(number, row)
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize("study", STUDIES)
def test_a_published_run_compared_with_itself_is_the_same_in_every_cell(published, study):
    comparison = compare_studies(study, study)
    assert set(comparison.cells["kind"]) == {"same"}
    assert len(comparison.cells) > 100
    assert comparison.cells["address"].is_unique
    assert comparison.exit_code == 0


def test_what_is_planted_in_a_copy_is_found_and_nothing_else(published):
    place, run = published / "outputs" / "reference" / "seoul_2016", published / "outputs" / "seoul_2016"
    shutil.copytree(place, run)

    def move(number, row):
        if row["term"] == "rely":
            row["estimate"] = repr(float(row["estimate"]) + 1e-6)

    def hide(number, row):
        if number == 2 and row["mark"] == "":
            row.update(
                dict.fromkeys(("estimate", "std_error", "statistic", "df", "p_value", "conf_low", "conf_high"), "")
            )
            row["mark"] = "[u]"

    edit(run / "tables" / "final_items.csv", move)
    edit(run / "tables" / "outcome_by_district.csv", hide)
    (run / "tables" / "coverage.csv").unlink()
    found = corrections("seoul_2016", place, run)
    told = {(cell.row.table.name, cell.kind, cell.note) for cell in found}
    assert told == {
        ("final_items", "revised", ""),
        ("outcome_by_district", "suppressed", "same_period_hidden"),
        ("coverage", "gone", "no_table_now"),
    }
    moved = [cell for cell in found if cell.kind == "revised"]
    assert [cell.address for cell in moved] == ["final_items | rely |  | estimate"]
    assert moved[0].difference == pytest.approx(1e-6, rel=1e-3)
    with pytest.raises(
        ProjectError, match=r"coverage \| residents_covered/population \|  \| covered: 6859417"
    ) as refusal:
        require_reason("seoul_2016", found, " ")
    assert str(refusal.value).count("coverage |") == 3
    assert len(refusal.value.failures) == len(found)
