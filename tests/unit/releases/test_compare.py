"""Two studies held against each other, cell by cell: which kind each is, and what must be explained."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from evaluation.errors import ProjectError, StudyError, SurveyError
from evaluation.releases.compare import COLUMNS, compare_studies

EXPLAINED = """
compared_with:
  study: city_2016
  threshold: {threshold}
  explained:
    - {{address: "{address}", reason: {{ko: 이유, en: the margins are those of 2017}}}}
"""


def compared(old="city_2016", new="city_2017"):
    return compare_studies(old, new)


def cell(comparison, address):
    found = comparison.cells[(comparison.cells["address"] == address) | (comparison.cells["old_address"] == address)]
    assert len(found) == 1, f"{len(found)} cells have the address {address}"
    return found.iloc[0]


def kinds(comparison):
    told = comparison.cells[~comparison.cells["goes_along"]]
    return dict(told["kind"].value_counts())


def test_a_study_compared_with_itself_is_the_same_everywhere(city):
    city.write_old({"items": city.means({"stay": 0.5, "rely": math.nan}, [0.1, math.nan])})
    comparison = compared("city_2016", "city_2016")
    assert set(comparison.cells["kind"]) == {"same"}
    assert comparison.exit_code == 0
    assert not comparison.cells["difference"].notna().any()


def test_a_change_between_two_years_has_the_error_of_two_independent_samples(city):
    city.write_old({"items": city.means({"stay": 0.5}, 0.03, df=40.0)})
    city.write_new({"items": city.means({"stay": 0.62}, 0.04, df=60.0)})
    found = cell(compared(), "items | stay |  | estimate")
    assert found["kind"] == "changed"
    assert found["difference"] == pytest.approx(0.12)
    assert found["std_error"] == pytest.approx(0.05)
    assert found["in_std_errors"] == pytest.approx(2.4)
    assert found["df"] == pytest.approx(0.05**4 / (0.03**4 / 40 + 0.04**4 / 60))
    assert not found["is_unexplained"]


def test_a_change_beyond_the_threshold_must_be_explained_and_the_threshold_is_the_studys(city):
    city.write_old({"items": city.means({"stay": 0.5}, 0.03)})
    city.write_new({"items": city.means({"stay": 0.62}, 0.04)})
    city.declare(compared_with=EXPLAINED.format(threshold=2.3, address="other | *"))
    comparison = compared()
    assert comparison.exit_code == 1
    assert comparison.threshold == 2.3
    assert comparison.unused == ("other | *",)
    assert list(comparison.cells.loc[comparison.cells["is_unexplained"], "column"]) == ["estimate"]
    told = comparison.summary().splitlines()
    assert told[0] == "outputs/city_2016 -> outputs/city_2017: changed 1."
    assert told[2] == "  changed: items | stay |  | estimate: 0.5 -> 0.62, 2.4 standard errors"


@pytest.mark.parametrize("address", ["items | stay |  | estimate", "items | *", "it?ms | *", "items |  stay | | *"])
def test_a_declared_reason_explains_what_its_address_fits(city, address):
    city.write_old({"items": city.means({"stay": 0.5}, 0.01)})
    city.write_new({"items": city.means({"stay": 0.62}, 0.01)})
    city.declare(compared_with=EXPLAINED.format(threshold=3.0, address=address))
    comparison = compared()
    assert comparison.exit_code == 0
    found = cell(comparison, "items | stay |  | estimate")
    assert (found["reason_ko"], found["reason_en"]) == ("이유", "the margins are those of 2017")
    assert comparison.unused == ()


def test_reasons_declared_for_another_study_do_not_count_but_the_threshold_does(city):
    city.write_old({"items": city.means({"stay": 0.5}, 0.01)})
    city.write_new({"items": city.means({"stay": 0.62}, 0.01)})
    words = EXPLAINED.format(threshold=2.0, address="items | *").replace("study: city_2016", "study: city_2015")
    city.declare(compared_with=words)
    comparison = compared()
    assert (comparison.exit_code, comparison.threshold) == (1, 2.0)
    page = (comparison.folder / "compare.html").read_text(encoding="utf-8")
    assert "params/city_2017.yml does not name city_2016 under compared_with" in page


def test_numbers_of_one_period_are_revised_and_those_of_two_years_changed(city):
    labels = {"district_items__110_2016": 0.50, "district_items__680_2016": 0.60}
    city.write_old({name: city.means({"stay": value}, 0.02) for name, value in labels.items()})
    labels = {"district_items__110_2016": 0.51, "district_items__680_2016": 0.60}
    labels |= {"district_items__110_2017": 0.52, "district_items__680_2017": 0.62, "district_items__110_2015": 0.4}
    city.write_new({name: city.means({"stay": value}, 0.02) for name, value in labels.items()})
    comparison = compared()
    cells = comparison.cells[comparison.cells["column"] == "estimate"].set_index(["old_address", "address"])
    at = "district_items__{} | stay |  | estimate".format
    revised = cells.loc[(at("110_2016"), at("110_2016"))]
    assert (revised["kind"], revised["period"], revised["is_unexplained"]) == ("revised", "2016", True)
    assert math.isnan(revised["std_error"])
    assert revised["row_label_en"] == "Jongno-gu · 2016 · Wants to stay"
    assert revised["row_label_ko"] == "종로구 · 2016 · 정주 의사"
    assert cells.loc[(at("680_2016"), at("680_2016"))]["kind"] == "same"
    changed = cells.loc[(at("110_2016"), at("110_2017"))]
    assert (changed["kind"], changed["difference"]) == ("changed", pytest.approx(0.02))
    assert cells.loc[("", at("110_2015"))]["kind"] == "new"
    assert kinds(comparison) == {"changed": 2, "revised": 1, "new": 1, "same": 1}
    assert comparison.exit_code == 1


def test_a_revision_is_explained_by_the_survey_for_its_variable_and_period_alone(city):
    old = {"items__2015": {"stay": 0.4}, "items__2016": {"stay": 0.5, "rely": 0.7}}
    new = {"items__2015": {"stay": 0.41}, "items__2016": {"stay": 0.51, "rely": 0.71}, "items__2017": {"stay": 0.5}}
    city.write_old({name: city.means(values, 0.02) for name, values in old.items()})
    city.write_new({name: city.means(values, 0.02) for name, values in new.items()})
    city.declare(changes="2017,stay,revised,city_2016,2016,입력 오류,a coding error\n")
    comparison = compared()
    open_cells = comparison.cells[comparison.cells["is_unexplained"] & (comparison.cells["kind"] == "revised")]
    assert list(open_cells["address"]) == ["items__2015 | stay |  | estimate", "items__2016 | rely |  | estimate"]
    both = comparison.cells.set_index(["old_address", "address"])
    at = "items__2016 | stay |  | estimate"
    assert both.loc[(at, at)]["reason_en"] == "a coding error"


def test_years_in_a_key_column_are_periods_too(city):
    keys = {"term": ["stay"] * 2, "year": [2015, 2016]}
    city.write_old({"trend": city.means([0.4, 0.5], 0.02, keys=keys)})
    keys = {"term": ["stay"] * 3, "year": [2015, 2016, 2017]}
    city.write_new({"trend": city.means([0.4, 0.49, 0.53], 0.02, keys=keys)})
    cells = compared().cells
    cells = cells[cells["column"] == "estimate"]
    told = {(row.old_address[-20:-11], row.address[-20:-11]): row.kind for row in cells.itertuples()}
    assert told == {
        ("year=2015", "year=2015"): "same",
        ("year=2016", "year=2016"): "revised",
        ("year=2016", "year=2017"): "changed",
    }


def test_an_estimate_of_last_year_without_one_of_this_year_is_gone_and_must_be_explained(city):
    city.write_old({f"items__{code}_2016": city.means({"stay": 0.5}, 0.02) for code in (110, 680)})
    city.write_new(
        {f"items__{label}": city.means({"stay": 0.5}, 0.02) for label in ("110_2016", "680_2016", "110_2017")}
    )
    cells = compared().cells
    gone = cells[(cells["kind"] == "gone") & ~cells["goes_along"]]
    assert list(gone["old_address"]) == ["items__680_2016 | stay |  | estimate"]
    assert list(gone["note"]) == ["no_own_year"]
    assert gone["is_unexplained"].all()


def test_a_reworded_item_shows_both_values_and_no_difference(city):
    city.write_old({"items": city.means({"rely": 0.5, "stay": 0.5}, 0.001)})
    city.write_new({"items": city.means({"rely": 0.9, "stay": 0.5}, 0.001)})
    city.declare(changes="2017,rely,reworded,city_2016,,문구 추가,family was added\n")
    comparison = compared()
    found = cell(comparison, "items | rely |  | estimate")
    assert (found["kind"], found["old"], found["new"]) == ("wording", "0.5", "0.9")
    assert math.isnan(found["difference"])
    assert math.isnan(found["std_error"])
    assert found["reason_en"] == "family was added"
    assert comparison.exit_code == 0
    assert "+0.4" not in (comparison.folder / "compare.html").read_text(encoding="utf-8")


def test_a_reworded_item_that_has_no_number_any_more_is_not_gone(city):
    city.write_old({"change": city.means({"rely": 0.5}, 0.01)})
    city.write_new({"change": city.means({"rely": math.nan}, math.nan)})
    city.declare(changes="2017,rely,reworded,city_2016,,문구 추가,family was added\n")
    found = cell(compared(), "change | rely |  | estimate")
    assert (found["kind"], found["old"], found["new"], found["is_unexplained"]) == ("wording", "0.5", "", False)


def test_a_domain_or_outcome_that_was_reworded_breaks_the_numbers_that_rest_on_it(city):
    keys = {"term": ["stay", "stay"], "rely": [0, 1]}
    items = {
        "by_rely": city.means([0.5, 0.6], 0.02, keys=keys),
        "effect": city.means([0.1], 0.02, keys={"term": ["rely"], "quantity": ["difference"]}),
        "model": city.means([0.1], 0.02, keys={"term": ["sex"]}, fit={"outcome": "rely"}),
        "other": city.means({"stay": 0.5}, 0.02),
    }
    city.write_old(items)
    city.write_new(items)
    city.declare(changes="2017,rely,reworded,city_2016,,문구 추가,family was added\n")
    cells = compared().cells
    told = cells[cells["column"] == "estimate"].groupby("table")["kind"].agg(set)
    assert told.to_dict() == {"by_rely": {"wording"}, "effect": {"wording"}, "model": {"wording"}, "other": {"same"}}


def test_a_wording_that_changed_later_or_earlier_breaks_nothing(city):
    city.write_old({"items": city.means({"rely": 0.5}, 0.02)})
    city.write_new({"items": city.means({"rely": 0.51}, 0.02)})
    city.declare(changes="2016,rely,reworded,city_2016,,문구 추가,family was added\n")
    assert kinds(compared()) == {"changed": 1}


def test_a_renamed_variable_is_matched_under_its_new_name(city):
    keys = {"term": ["settle", "stay:settle"], "settle": ["1", "1"]}
    city.write_old({"items": city.means([0.5, 0.6], 0.02, keys=keys)})
    keys = {"term": ["happy", "stay:happy"], "happy": ["1", "1"]}
    city.write_new({"items": city.means([0.51, 0.6], 0.02, keys=keys)})
    city.declare(changes="2017,happy,renamed,settle,,새 이름,named anew\n")
    comparison = compared()
    found = cell(comparison, "items | happy | happy=1 | estimate")
    assert (found["kind"], found["old_address"]) == ("changed", "items | settle | settle=1 | estimate")
    assert cell(comparison, "items | stay:happy | happy=1 | estimate")["kind"] == "same"
    assert comparison.exit_code == 0


def test_a_number_that_is_hidden_on_one_side_has_no_difference(city):
    city.write_old({"items": city.means({"stay": 0.5, "rely": 0.25}, 0.02, n=[400, 20], min_base=30)})
    city.write_new({"items": city.means({"stay": 0.75, "rely": 0.5}, 0.02, n=[20, 400], min_base=30)})
    comparison = compared()
    now, then = (cell(comparison, f"items | {term} |  | estimate") for term in ("stay", "rely"))
    assert (now["kind"], now["note"], now["old"], now["new"]) == ("suppressed", "suppressed_now", "0.5", "")
    assert (then["kind"], then["note"], then["old"], then["new"]) == ("suppressed", "suppressed_then", "", "0.5")
    hidden = comparison.cells[comparison.cells["kind"] == "suppressed"]
    assert hidden["difference"].isna().all()
    assert hidden["std_error"].isna().all()
    assert comparison.exit_code == 0


def test_what_is_hidden_both_times_is_the_same(city):
    items = {"items": city.means({"stay": 0.5}, 0.02, n=20, min_base=30)}
    city.write_old(items)
    city.write_new(items)
    assert set(compared().cells["kind"]) == {"same"}


def test_of_one_period_a_hidden_number_is_not_given_away_by_the_other_side(city):
    """The same number, published last year and suppressed since: nothing of the comparison may hold it."""
    city.write_old({"items__2016": city.means({"stay": 0.512345}, 0.0223344, n=400, min_base=30)})
    hidden = city.means({"stay": 0.512345}, 0.0223344, n=20, min_base=30)
    city.write_new({"items__2016": hidden, "items__2017": city.means({"stay": 0.6}, 0.02)})
    comparison = compared()
    estimates = comparison.cells[comparison.cells["column"] == "estimate"].set_index("address")
    assert estimates.loc["items__2016 | stay |  | estimate", "note"] == "same_period_hidden"
    assert estimates.loc["items__2017 | stay |  | estimate", "note"] == "suppressed_since"
    for file in ("compare.html", "compare.csv"):
        text = (comparison.folder / file).read_text(encoding="utf-8")
        assert "0.512" not in text
        assert "0.0223" not in text


def test_rows_columns_and_tables_that_are_new_or_gone_are_told_once(city):
    city.write_old({"items": city.means({"stay": 0.5, "rely": 0.5}, 0.02), "past": city.means({"stay": 0.5}, 0.02)})
    city.write_new({"items": city.means({"stay": 0.5, "happy": 0.5}, 0.02), "next": city.means({"stay": 0.5}, 0.02)})
    comparison = compared()
    told = comparison.cells[~comparison.cells["goes_along"] & (comparison.cells["kind"] != "same")]
    rows = told[["table", "kind", "note", "is_unexplained"]].values.tolist()
    assert sorted(rows) == [
        ["items", "gone", "no_row_now", True],
        ["items", "new", "no_row_then", False],
        ["next", "new", "no_table_then", False],
        ["past", "gone", "no_table_now", True],
    ]
    assert comparison.exit_code == 1
    assert "  gone: past | *: the whole table, 1 row" in comparison.summary().splitlines()


def test_a_value_that_is_empty_on_one_side_is_new_or_gone(city):
    city.write_old({"items": city.means({"stay": 0.5, "rely": math.nan}, 0.02)})
    city.write_new({"items": city.means({"stay": math.nan, "rely": 0.5}, 0.02)})
    comparison = compared()
    gone, new = (cell(comparison, f"items | {term} |  | estimate") for term in ("stay", "rely"))
    assert (gone["kind"], gone["note"], gone["is_unexplained"]) == ("gone", "no_value_now", True)
    assert (new["kind"], new["note"], new["is_unexplained"]) == ("new", "no_value_then", False)


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"verb": "survey_total"}, "other_verb"),
        ({"population": {"ko": "19세 이상 주민", "en": "residents aged 19 and over"}}, "other_base"),
    ],
)
def test_numbers_of_another_quantity_or_base_have_no_difference_and_must_be_explained(city, change, note):
    city.write_old({"items": city.means({"stay": 0.5}, 0.02)})
    city.write_new({"items": city.means({"stay": 0.5}, 0.02, **change)})
    found = cell(compared(), "items | stay |  | estimate")
    assert (found["kind"], found["note"], found["is_unexplained"]) == ("changed", note, True)
    assert math.isnan(found["difference"])


def test_a_population_that_differs_by_its_year_alone_is_the_same_base(city):
    city.write_old({"items": city.means({"stay": 0.5}, 0.02)})
    later = {
        "ko": "15세 이상 주민 (2017년)",
        "en": "residents aged 15 and over (8,829,111 by the totals of October 2017)",
    }
    city.write_new({"items": city.means({"stay": 0.51}, 0.02, population=later)})
    assert kinds(compared()) == {"changed": 1}


def test_shares_held_against_per_cents_have_no_difference(city):
    city.write_old({"shares": pd.DataFrame({"item": ["a", "b"], "share": [0.412, 0.588]})})
    city.write_new({"shares": pd.DataFrame({"item": ["a", "b"], "share": [42.0, 58.0]})})
    cells = compared().cells
    assert set(cells["note"]) == {"other_scale"}
    assert cells["difference"].isna().all()
    assert cells["is_unexplained"].all()


def test_a_unit_that_differs_leaves_no_difference(city):
    old = pd.DataFrame({"term": ["budget"], "value": [12.0], "unit": ["million won"]})
    city.write_old({"costs": old})
    city.write_new({"costs": old.assign(value=12.5, unit="billion won")})
    found = cell(compared(), "costs | budget |  | value")
    assert (found["note"], found["is_unexplained"]) == ("other_unit", True)
    assert math.isnan(found["difference"])


def test_text_cells_are_told_without_a_difference(city):
    frame = pd.DataFrame({"check": ["gate", "power"], "verdict": ["passes", "fails"], "value": [1.5, 2.5]})
    city.write_old({"claim": frame})
    city.write_new({"claim": frame.assign(verdict=["fails", "fails"])})
    comparison = compared()
    found = cell(comparison, "claim |  | check=gate | verdict")
    assert (found["kind"], found["note"], found["old"], found["new"]) == ("changed", "text", "passes", "fails")
    assert kinds(comparison) == {"changed": 1, "same": 3}
    assert comparison.exit_code == 0


def test_tables_without_estimates_are_matched_by_the_columns_that_tell_their_rows_apart(city):
    frame = pd.DataFrame(
        {"stage": ["a", "a", "b"], "wave": [1, 2, 1], "dongs": [80, 283, 13], "share": [0.1, 0.5, 0.2]}
    )
    city.write_old({"stages": frame})
    city.write_new({"stages": frame.iloc[::-1].assign(dongs=[13, 290, 80])})
    comparison = compared()
    found = cell(comparison, "stages |  | stage=a,wave=2 | dongs")
    assert (found["kind"], found["difference"]) == ("changed", 7.0)
    assert kinds(comparison) == {"changed": 1, "same": 5}


def test_rows_that_nothing_tells_apart_are_matched_in_their_order(city):
    frame = pd.DataFrame({"method": ["x", "x"], "m": [0.5, 1.5], "estimate": [1.0, 2.0]})
    city.write_old({"bounds": frame})
    city.write_new({"bounds": frame.assign(estimate=[1.0, 2.5])})
    found = cell(compared(), "bounds |  | method=x,row=2 | estimate")
    assert (found["kind"], found["difference"]) == ("changed", 0.5)


def test_estimates_whose_record_is_missing_are_compared_by_their_table(city):
    items = {"items": city.means({"stay": 0.5, "rely": 0.5}, 0.02)}
    city.write_old(items)
    (city.old / "estimates" / "items.json").unlink()
    city.write_new({"items": city.means({"stay": 0.5, "rely": 0.6}, 0.02)})
    comparison = compared()
    assert kinds(comparison) == {"same": 1, "changed": 1}
    assert comparison.exit_code == 1


def test_a_number_without_an_error_is_told_but_no_threshold_applies(city):
    city.write_old({"items": city.means({"stay": 0.5}, math.nan)})
    city.write_new({"items": city.means({"stay": 0.9}, math.nan)})
    found = cell(compared(), "items | stay |  | estimate")
    assert (found["kind"], found["note"], found["is_unexplained"]) == ("changed", "no_error", False)
    assert compared().summary().splitlines()[1:] == [
        "Every change is explained, within the threshold, or has no standard error.",
        "1 change has no standard error: no threshold applies, and only reading shows whether it is large.",
    ]


def test_numbers_of_tables_without_errors_are_counted_as_not_measured_unless_a_reason_is_declared(city):
    frame = pd.DataFrame({"covariate": ["age", "sex"], "smd": [0.1, 0.2]})
    city.write_old({"balance": frame})
    city.write_new({"balance": frame.assign(smd=[0.9, 0.8])})
    comparison = compared()
    assert comparison.unmeasured() == 2
    assert set(comparison.cells["note"]) == {"no_error"}
    assert "2 changes have no standard error" in comparison.summary()
    page = (comparison.folder / "compare.html").read_text(encoding="utf-8")
    assert "2 changes have no standard error" in page
    assert "Every change is explained, or within the threshold." not in page
    city.declare(compared_with=EXPLAINED.format(threshold=3, address="balance | * | covariate=age | *"))
    assert compared().unmeasured() == 1


@pytest.mark.parametrize(("n", "is_told"), [(2000, False), (1500, False), (900, True), (9000, True)])
def test_a_sample_that_changed_by_more_than_a_third_must_be_explained(city, n, is_told):
    city.write_old({"items": city.means({"stay": 0.5}, 0.02, n=2000)})
    city.write_new({"items": city.means({"stay": 0.51}, 0.02, n=n)})
    comparison = compared()
    found = cell(comparison, "items | stay |  | n_obs")
    assert (found["note"] == "other_size", found["is_unexplained"], not found["goes_along"]) == (is_told,) * 3
    assert comparison.exit_code == is_told


def test_a_few_respondents_more_or_less_are_no_other_sample(city):
    city.write_old({"items": city.means({"stay": 0.5}, 0.1, n=20)})
    city.write_new({"items": city.means({"stay": 0.51}, 0.1, n=11)})
    assert compared().exit_code == 0


WAVES = """
compared_with:
  study: city_2016
  threshold: 3
  explained:
    - {address: "pooled__*_2016 | *", reason: {ko: 두 조사, en: two waves instead of three}}
"""


def pooled(city, value, year, waves):
    found = city.means([value], 0.02, keys={"term": ["stay"], "year": [year]})
    return replace(found, columns={"waves_pooled": np.array([waves], dtype=object)})


def test_means_over_other_waves_are_no_revision_and_the_reason_of_their_address_is_told(city):
    city.write_old({"pooled__110_2016": pooled(city, 0.5, 2016, "2014, 2015, 2016")})
    city.write_new({"pooled__110_2016": pooled(city, 0.52, 2016, "2015, 2016")})
    revised = "2017,stay,revised,city_2016,2016,정정,611 answers were put right\n"
    city.declare(changes=revised)
    found = cell(compared(), "pooled__110_2016 | stay | year=2016 | estimate")
    assert (found["kind"], found["note"], found["is_unexplained"]) == ("changed", "other_waves", True)
    assert math.isnan(found["difference"])
    city.declare(changes=revised, compared_with=WAVES)
    comparison = compared()
    found = cell(comparison, "pooled__110_2016 | stay | year=2016 | estimate")
    assert (found["reason_en"], comparison.exit_code) == ("two waves instead of three", 0)


def test_of_a_revised_number_the_reason_of_its_address_goes_before_that_of_its_variable(city):
    city.write_old({"pooled__110_2016": city.means({"stay": 0.5}, 0.02)})
    city.write_new({"pooled__110_2016": city.means({"stay": 0.52}, 0.02)})
    city.declare(changes="2017,stay,revised,city_2016,2016,정정,611 answers were put right\n", compared_with=WAVES)
    found = cell(compared(), "pooled__110_2016 | stay |  | estimate")
    assert (found["kind"], found["reason_en"]) == ("revised", "two waves instead of three")


def test_means_over_as_many_waves_a_year_later_are_compared_with_what_they_share(city):
    city.write_old({"pooled__110_2016": pooled(city, 0.5, 2016, "2015, 2016")})
    city.write_new({"pooled__110_2017": pooled(city, 0.52, 2017, "2016, 2017")})
    found = cell(compared(), "pooled__110_2017 | stay | year=2017 | estimate")
    assert (found["kind"], found["note"]) == ("changed", "shared_waves")
    assert found["std_error"] == pytest.approx(0.02)  # 0.02 * sqrt(2), less what the wave of 2016 takes from both


def test_changes_that_follow_each_other_share_a_wave_with_opposite_signs(city):
    # Waves of error s: (w2017 - w2016) - (w2016 - w2015) has the variance 6 s^2, not the 4 s^2 of independent changes.
    def change(value, year):
        found = city.means([value], 0.02, keys={"term": ["stay"], "year": [year]}, verb="area_change")
        return replace(found, columns={"wave_before": np.array([str(year - 1)], dtype=object)})

    city.write_old({"moved__110_2016": change(-0.05, 2016)})
    city.write_new({"moved__110_2017": change(0.05, 2017)})
    found = cell(compared(), "moved__110_2017 | stay | year=2017 | estimate")
    assert found["std_error"] == pytest.approx(0.02 / math.sqrt(2) * math.sqrt(6))
    assert (found["note"], found["in_std_errors"] < 3, found["is_unexplained"]) == ("shared_waves", True, False)


def test_p_values_are_no_shares_and_one_odd_row_makes_no_column_a_share(city):
    frame = pd.DataFrame({"item": ["a", "b"], "p_value": [1.8e-5, 9e-6], "value": [0.4, 0.001]})
    city.write_old({"tests": frame})
    city.write_new({"tests": frame.assign(p_value=[1.8e-3, 9e-4], value=[0.41, 40.0])})
    assert set(compared().cells["note"]) == {"no_error"}


def test_the_year_of_a_table_is_no_number_to_be_compared(city):
    city.write_old({"sample__110_2016": pd.DataFrame({"district": [110], "year": [2016], "sum": [5.5]})})
    city.write_new({"sample__110_2017": pd.DataFrame({"district": [110], "year": [2017], "sum": [5.5]})})
    assert set(compared().cells["column"]) == {"sum"}


def test_a_number_without_sampling_error_that_moved_must_be_explained(city):
    city.write_old({"items": city.means({"stay": 100.0}, 0.0, verb="survey_total")})
    city.write_new({"items": city.means({"stay": 101.0}, 0.0, verb="survey_total")})
    found = cell(compared(), "items | stay |  | estimate")
    assert (found["in_std_errors"], found["is_unexplained"]) == (math.inf, True)


def test_an_error_that_was_revised_alone_is_told_and_must_be_explained(city):
    city.write_old({"items__2016": city.means({"stay": 0.5}, 0.02)})
    city.write_new({"items__2016": city.means({"stay": 0.5}, 0.03), "items__2017": city.means({"stay": 0.5}, 0.03)})
    cells = compared().cells
    told = cells[(cells["kind"] == "revised") & ~cells["goes_along"]]
    assert list(told["column"]) == ["std_error"]
    assert told["is_unexplained"].all()


def test_two_studies_of_one_survey_are_of_one_period(city):
    city.write_old({"items": city.means({"stay": 0.5}, 0.02)})
    city.write_new({"items": city.means({"stay": 0.501}, 0.02)})
    study = json.loads((city.new / "study.json").read_text(encoding="utf-8"))
    (city.new / "study.json").write_text(json.dumps(study | {"survey": "city_2016"}), encoding="utf-8")
    assert cell(compared(), "items | stay |  | estimate")["kind"] == "revised"


def test_the_good_run_is_read_and_where_there_is_none_the_published_one(city):
    city.write_run(city.published / "city_2016", {"items": city.means({"stay": 0.5}, 0.02)})
    city.write_new({"items": city.means({"stay": 0.5}, 0.02)})
    assert kinds(compared()) == {"same": 1}
    city.write_old({"items": city.means({"stay": 0.4}, 0.02)})
    assert kinds(compared()) == {"changed": 1}
    city.write_old({"items": city.means({"stay": 0.3}, 0.02)}, state="failed")
    assert kinds(compared()) == {"same": 1}


def test_without_a_good_run_the_next_move_is_told(city):
    with pytest.raises(ProjectError, match=r"'city_2016' has no good run to read: .* evaluation run city_2016"):
        compared()
    with pytest.raises(ProjectError, match=r"Did you mean 'city_201[67]'\?"):
        compared("city_201")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"term,estimate\nstay,0.5,7\n", "line 2 has another number of cells"),
        (b"term,term\nstay,0.5\n", "a column stands there twice"),
        (b"\xff\xfe\x00", "is no table that a run writes"),
    ],
)
def test_a_damaged_table_is_refused_by_name(city, content, message):
    items = {"items": city.means({"stay": 0.5}, 0.02)}
    city.write_old(items)
    city.write_new(items)
    (city.new / "tables" / "items.csv").write_bytes(content)
    with pytest.raises(ProjectError, match=message):
        compared()


def test_faults_of_the_declarations_are_the_readers_own(city):
    items = {"items": city.means({"stay": 0.5}, 0.02)}
    city.write_old(items)
    city.write_new(items)
    city.declare(changes="2017,rely,rewordet,city_2016,,가,a\n")
    with pytest.raises(SurveyError, match="kind 'rewordet'"):
        compared()
    city.declare(compared_with="compared_with: {study: city_2016, treshold: 2.0}")
    with pytest.raises(StudyError, match="Did you mean 'threshold'"):
        compared()


def test_the_csv_holds_every_cell_in_utf8_and_is_the_same_every_time(city):
    city.write_old({"items": city.means({"stay": 0.5}, 0.02)})
    city.write_new({"items": city.means({"stay": 0.6}, 0.02)})
    comparison = compared()
    first = (comparison.folder / "compare.csv").read_bytes()
    page = (comparison.folder / "compare.html").read_bytes()
    assert tuple(first.decode("utf-8").splitlines()[0].split(",")) == COLUMNS
    assert len(city.rows_of(comparison.folder / "compare.csv")) == len(comparison.cells) == 8
    again = compared()
    assert comparison.folder == city.root / "outputs" / "compare" / "city_2016--city_2017"
    assert (again.folder / "compare.csv").read_bytes() == first
    assert (again.folder / "compare.html").read_bytes() == page


def test_a_folder_that_cannot_be_written_is_told(city):
    items = {"items": city.means({"stay": 0.5}, 0.02)}
    city.write_old(items)
    city.write_new(items)
    (city.root / "taken").write_text("a file", encoding="utf-8")
    with pytest.raises(ProjectError, match=r"taken/compare\.html cannot be written"):
        compare_studies("city_2016", "city_2017", out=city.root / "taken")
