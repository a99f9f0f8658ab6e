"""Administrative figures: what a file of them must say, and arithmetic that knows its dates."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from evaluation.errors import IndicatorError, SourceError
from evaluation.project import PROJECT_VARIABLE
from evaluation.survey.indicator_arithmetic import coverage, indicator_change, unit_cost
from evaluation.survey.indicators import INDICATOR_COLUMNS, Indicators, read_indicators
from evaluation.tables import table

#: Arithmetic of short decimals is exact to the last place of a float.
EXACT = 1e-15
GOOD = {
    "series": "centers",
    "label_ko": "센터",
    "label_en": "Centers",
    "period_from": "",
    "period_to": "2015-07",
    "value": "80",
    "unit": "centers",
    "measure": "stock",
    "status": "actual",
    "area": "Seoul",
    "source": "programme page",
    "note_ko": "",
    "note_en": "",
}
MONEY = GOOD | {
    "series": "budget",
    "label_ko": "예산",
    "label_en": "Budget",
    "period_from": "2015",
    "period_to": "2015",
    "unit": "billion_krw",
    "measure": "flow",
}


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Indicators]:
    """Write rows as the indicators of a survey of its own, and read them."""
    folder = tmp_path / "surveys" / "own"
    folder.mkdir(parents=True)
    monkeypatch.setenv(PROJECT_VARIABLE, str(tmp_path))

    def written(*rows: dict[str, str], columns: tuple[str, ...] = INDICATOR_COLUMNS) -> Indicators:
        with (folder / "indicators.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        return read_indicators("own")

    return written


@pytest.fixture(scope="module")
def seoul() -> Indicators:
    return read_indicators("seoul_2016")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"unit": "center"}, "line 2: unknown unit 'center'. Did you mean 'centers'"),
        ({"measure": "stok"}, "unknown measure 'stok'. Did you mean 'stock'"),
        ({"status": "real"}, "unknown status 'real'. Known: actual, plan"),
        ({"measure": "flow"}, "a flow needs a period: period_from is empty"),
        ({"period_from": "2014"}, "a stock has one date, in period_to"),
        ({"value": "1,941"}, "expected a number as value, got '1,941' .write 1941, not 1,941"),
        ({"value": "nan"}, "expected a number as value, got 'nan'"),
        ({"period_to": "July 2015"}, "'July 2015' is no date"),
        ({"period_to": "2015-13"}, "'2015-13' is no date"),
        ({"period_to": ""}, "no period_to"),
        ({"measure": "flow", "period_from": "2016"}, r"the period ends \(2015-07\) before it begins \(2016\)"),
        ({"source": " "}, "no source"),
        ({"note_en": "a plan"}, "a note stands in one language only"),
    ],
)
def test_every_fault_of_a_row_is_named_with_its_line(
    read: Callable[..., Indicators], change: dict[str, str], told: str
) -> None:
    with pytest.raises(IndicatorError, match=f"surveys/own/indicators.csv: .*{told}") as raised:
        read(GOOD | change)
    assert raised.value.failures["line"].tolist() == [2]


def test_faults_of_several_rows_are_told_at_once(read: Callable[..., Indicators]) -> None:
    with pytest.raises(IndicatorError, match=r"line 2: unknown unit .*; line 3: a flow needs"):
        read(GOOD | {"unit": "moons"}, GOOD | {"series": "b", "measure": "flow"})


def test_one_figure_stands_once_and_a_series_is_of_one_kind(read: Callable[..., Indicators]) -> None:
    with pytest.raises(IndicatorError, match=r"line 3: the same series, dates and status as line 2"):
        read(GOOD, GOOD | {"value": "81"})
    with pytest.raises(IndicatorError, match=r"line 3: series 'centers' has two values of unit: 'dongs' here and"):
        read(GOOD, GOOD | {"period_to": "2016", "unit": "dongs"})


def test_a_plan_stands_beside_what_happened_on_the_same_date(read: Callable[..., Indicators]) -> None:
    both = read(GOOD | {"status": "plan", "value": "100"}, GOOD)
    assert both.tidy()[["status", "value"]].to_numpy().tolist() == [["actual", 80.0], ["plan", 100.0]]
    change = indicator_change(both, "centers", status="both").tidy().iloc[0]
    assert (change["change"], change["status_from"], change["status_to"]) == (20.0, "actual", "plan")


def test_a_file_without_rows_or_columns_or_no_file_is_met(
    read: Callable[..., Indicators], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(IndicatorError, match=r"missing \['source', 'note_ko', 'note_en'\]"):
        read(GOOD, columns=INDICATOR_COLUMNS[:10])
    with pytest.raises(IndicatorError, match=r"there is no figure"):
        read()
    monkeypatch.delenv(PROJECT_VARIABLE)
    with pytest.raises(SourceError, match=r"surveys/api_2000/indicators.csv is not there"):
        read_indicators("api_2000")


def test_the_published_figures_of_seoul_say_that_they_are_real(seoul: Indicators) -> None:
    assert len(seoul) == len(seoul.tidy()) >= 71
    assert (seoul.rows["source"] != "").all()
    for lang, words in (
        ("ko", ["실제 수치", "계획", "찾아가는 동주민센터"]),
        ("en", ["Real figures", "plan", "Plan of 2016"]),
    ):
        shown = repr(table(seoul.series("centers"), lang=lang))
        assert all(word in shown for word in words), shown
    assert "note" in table(seoul.series("centers"), title="x").data
    assert seoul.take(["budget", "caseload"]).names == ("budget", "caseload")
    with pytest.raises(IndicatorError, match=r"no series 'center'.*Did you mean 'centers'"):
        seoul.series("center")


def test_stages_of_the_rollout_are_those_of_the_survey(seoul: Indicators) -> None:
    from evaluation import project

    with (project.survey_folder("seoul_2016") / "rollout_stages.csv").open(encoding="utf-8-sig", newline="") as file:
        stages = [row for row in csv.DictReader(file) if row["stage"] in ("1", "2", "3", "4", "final")]
    for name, column in (("centers", "dongs"), ("dongs_covered", "dongs"), ("districts_reached", "districts")):
        rows = seoul.series(name).rows.query("status == 'actual'")
        assert rows["period_to"].tolist() == [stage["from"] for stage in stages]
        assert rows["value"].tolist() == [float(stage[column]) for stage in stages]


def test_the_caseload_fell_by_a_third_and_nothing_is_said_of_why(seoul: Indicators) -> None:
    result = indicator_change(seoul, "caseload")
    row = result.tidy().iloc[0]
    assert row["change"] == -55.0
    assert row["relative_change"] == pytest.approx(-55 / 170, rel=EXACT)
    assert round(100 * row["relative_change"], 1) == -32.4
    assert "no effect" in repr(result)
    assert "효과가 아님" in table(result, lang="ko").caption


def test_changes_are_formed_of_the_printed_decimals(seoul: Indicators) -> None:
    rows = indicator_change(seoul, "budget").tidy()
    assert rows["change"].tolist() == [35.702, 17.617, 53.319]
    assert rows["relative_change"].round(3).tolist() == [1.906, 0.324, 2.847]
    assert rows[["from", "to"]].to_numpy().tolist() == [["2015", "2016"], ["2016", "2017"], ["2015", "2017"]]


def test_a_plan_is_not_taken_for_what_happened(seoul: Indicators) -> None:
    with pytest.raises(
        IndicatorError, match=r"'sharing_shops' has one date .*plan value \(3,000 in 2018\).*status='both'"
    ):
        indicator_change(seoul, "sharing_shops")
    assert indicator_change(seoul, "sharing_shops", status="both").tidy()["change"].tolist() == [2000.0]
    with pytest.raises(IndicatorError, match=r"'training_persons' is a plan only"):
        coverage(seoul, "training_persons", "population")
    both = indicator_change(seoul, "centers", status="both").tidy().set_index(["status_from", "status_to"])
    assert both.loc[("plan", "actual"), "change"] == -82.0
    assert (indicator_change(seoul, "centers").tidy()[["status_from", "status_to"]] == "actual").all(axis=None)


def test_flows_are_compared_over_equal_periods(seoul: Indicators, read: Callable[..., Indicators]) -> None:
    with pytest.raises(IndicatorError, match=r"\(366 days\) and .* \(603 days\), which overlap"):
        indicator_change(seoul, "households_found")
    halves = read(MONEY, MONEY | {"period_from": "2016", "period_to": "2016-06"})
    with pytest.raises(IndicatorError, match=r"365 days\) and 2016/2016-06 \(182 days\)"):
        indicator_change(halves, "budget")
    from_zero = read(MONEY | {"value": "0"}, MONEY | {"period_from": "2016", "period_to": "2016"})
    assert indicator_change(from_zero, "budget").tidy()["relative_change"].isna().all()


def test_cost_per_center_names_the_date_of_the_centers(seoul: Indicators) -> None:
    rows = unit_cost(seoul, "budget", "centers").tidy()
    assert rows["unit_cost"].tolist() == pytest.approx([18.731 / 80, 54.433 / 283, 72.05 / 342], rel=EXACT)
    assert rows["unit_cost"].round(3).tolist() == [0.234, 0.192, 0.211]
    assert rows["units"].tolist() == [80, 283, 342]
    assert rows["units_date"].tolist() == ["2015-07-01", "2016-07-01", "2017-07-18"]
    assert "십억 원 / 센터" in repr(table(unit_cost(seoul, "budget", "centers"), lang="ko"))


def test_cost_needs_a_flow_over_a_stock_that_stands(seoul: Indicators, read: Callable[..., Indicators]) -> None:
    with pytest.raises(IndicatorError, match=r"'staff_added' is a flow. Name a stock"):
        unit_cost(seoul, "budget", "staff_added")
    with pytest.raises(IndicatorError, match=r"'centers' is a stock. Name a flow"):
        unit_cost(seoul, "centers", "centers")
    with pytest.raises(IndicatorError, match=r"'centers' is known from 2015-07-01 on, but the start of 2015"):
        unit_cost(seoul, "budget", "centers", at="start")
    with pytest.raises(IndicatorError, match=r"'centers' is zero on 2015-07"):
        unit_cost(read(MONEY, GOOD | {"value": "0"}), "budget", "centers")
    second = read(*[MONEY | {"period_from": year, "period_to": year} for year in ("2016", "2017")],
                  GOOD, GOOD | {"period_to": "2016-07", "value": "283"})  # fmt: skip
    assert unit_cost(second, "budget", "centers", at="start").tidy()["units"].tolist() == [80, 283]


def test_coverage_is_a_share_of_the_same_unit_at_a_date(seoul: Indicators) -> None:
    dongs = coverage(seoul, "dongs_covered", "dongs").tidy()
    assert dongs["share"].tolist() == pytest.approx([80 / 424, 283 / 424, 342 / 424, 408 / 424, 1.0], rel=EXACT)
    assert coverage(seoul, "residents_covered", "population").tidy()["share"].round(3).tolist() == [0.691]
    assert coverage(seoul, "participants_least", "population").tidy()["population_date"].tolist() == ["2015-12-31"]
    both = coverage(seoul, ["participants_least", "participants_most"], "population", at="2016-12-31").tidy()
    assert both["share"].round(3).tolist() == [0.013, 0.023]
    with pytest.raises(IndicatorError, match=r"'centers' counts centers and 'dongs' counts dongs"):
        coverage(seoul, "centers", "dongs")
    with pytest.raises(IndicatorError, match=r"235 \(2016\) of 144 .*a part cannot be larger"):
        coverage(seoul, "village_plans", "village_plans_public_concern")
    with pytest.raises(IndicatorError, match=r"no figure dated '2016'. Known: 2015-12-31, 2016-12-31"):
        coverage(seoul, "participants_least", "population", at="2016")


@pytest.mark.parametrize("name", ["village_plans_public_concern", "village_plans_led_by_residents"])
def test_counts_behind_the_shares_of_village_plans_are_the_only_ones(seoul: Indicators, name: str) -> None:
    count = int(seoul.series(name).rows["value"].iloc[0])
    printed = float(seoul.series(f"{name}_share").rows["value"].iloc[0])
    assert [n for n in range(236) if round(100 * n / 235, 1) == printed] == [count]
    assert "derived" in seoul.series(name).rows["note_en"].iloc[0]


def test_parts_of_published_sums_add_up(seoul: Indicators) -> None:
    value = seoul.rows.set_index("series")["value"]
    assert value[["staff_nurses", "staff_enterprise_experts", "staff_welfare_workers"]].sum() == value["staff_added"]
    parts = ["participants_two", "participants_three_four", "participants_five_more"]
    assert value[parts].sum() == value["participants_repeated"]


def test_the_record_is_ready_for_a_file(seoul: Indicators) -> None:
    record = unit_cost(seoul, "budget", "centers").to_dict()
    assert record["verb"] == "unit_cost"
    assert record["rows"][0]["units"] == 80
    assert seoul.series("budget").to_dict()["rows"][0]["value"] == 18.731
