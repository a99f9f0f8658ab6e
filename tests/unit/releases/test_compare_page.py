"""The comparison as a page: both languages, the open questions first, nothing loaded, nothing hidden shown."""

import re
from dataclasses import replace

import pandas as pd
import pytest

from evaluation.releases.compare import compare_studies
from evaluation.releases.page import MOST_ROWS
from evaluation.report.site import require_offline


@pytest.fixture
def page(city):
    """The page of two studies with one number of each kind."""
    old = {
        "items": city.means(
            {"stay": 0.5, "rely": 0.5, "happy": 6.0, "sex": 0.5}, 0.01, n=[400, 400, 400, 20], min_base=30
        ),
        "past": city.means({"stay": 0.5}, 0.02),
        "items__110_2016": city.means({"stay": 0.5}, 0.02),
    }
    new = {
        "items": city.means({"stay": 0.6, "rely": 0.9, "happy": 6.01, "sex": 0.5}, 0.01, min_base=30),
        "items__110_2016": city.means({"stay": 0.5004}, 0.02),
        "items__110_2017": city.means({"stay": 0.51}, 0.02),
    }
    city.write_old(old, parameters={"lang": "ko", "trim_upper": 5.0})
    city.write_new(new, parameters={"lang": "ko", "trim_upper": 4.0})
    city.declare(
        changes="2017,rely,reworded,city_2016,,'가족' & 친구,\"<b>family</b> & friends\"\n",
        compared_with="compared_with: {study: city_2016, threshold: 3.0}",
    )
    made = compare_studies("city_2016", "city_2017")
    return (made.folder / "compare.html").read_text(encoding="utf-8")


def section(page, lang):
    return page.split(f'<section lang="{lang}">')[1].split("</section>")[0]


def words_of(text):
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def test_the_page_loads_nothing_and_runs_nothing(page):
    require_offline("compare.html", page)
    assert "http" not in page


def test_both_languages_stand_in_it_and_that_of_the_study_is_shown_first(page):
    assert '<html lang="ko">' in page
    assert re.search(r'id="ko" checked>\s*<input[^>]*id="en">', page)
    assert "설명되지 않은 수치가 3개 있습니다." in section(page, "ko")
    assert "3 numbers changed and nothing explains why." in section(page, "en")
    assert not re.search("[가-힣]", words_of(section(page, "en")).replace("Table", ""))


def test_what_must_be_explained_stands_before_the_tables(page):
    text = words_of(section(page, "en"))
    questions, tables = text.split("What differs, table by table")
    first = questions.split("To be explained")[1]
    assert "items | stay | | estimate" in first
    assert "+0.100" in first
    assert "0.014 (7.1×)" in first
    assert "past | *" in first
    assert "items__110_2016 | stay | | estimate 0.50000 0.50040 +0.00040 revised (same period)" in first
    assert "items | rely | | estimate" not in first
    assert "items | rely | | estimate 0.500 0.900 broken by wording" in tables
    assert "[u]" in tables


def test_words_of_districts_come_from_the_codebook_and_texts_are_escaped(page):
    assert "종로구 · 2016 · 정주 의사" in section(page, "ko")
    assert "Jongno-gu · 2017 · Wants to stay" in section(page, "en")
    assert "<b>family" not in page
    assert "&lt;b&gt;family&lt;/b&gt; &amp; friends" in page


def test_the_notice_of_each_study_stands_on_top_and_in_every_row_of_the_file(city):
    def noted(value, notice):
        found = city.means({"stay": value}, 0.02)
        return {"items": replace(found, provenance=replace(found.provenance, notice=notice))}

    city.write_old(noted(0.5, {"ko": "합성 자료", "en": "Synthetic data"}))
    city.write_new(noted(0.51, {"ko": "합성 자료, 새 문구", "en": "Synthetic data, new wording"}))
    made = compare_studies("city_2016", "city_2017")
    page = (made.folder / "compare.html").read_text(encoding="utf-8")
    assert '<p class="notice">city_2016: Synthetic data</p>' in section(page, "en")
    assert '<p class="notice">city_2017: 합성 자료, 새 문구</p>' in section(page, "ko")
    assert set(made.cells["notice"]) == {
        "합성 자료 / Synthetic data | 합성 자료, 새 문구 / Synthetic data, new wording"
    }


def test_parameters_that_differ_are_told(page):
    assert "trim_upper : 5.0 → 4.0" in words_of(section(page, "en"))
    assert "lang :" not in words_of(section(page, "en"))


def test_a_page_without_open_questions_says_so(city):
    items = {"items": city.means({"stay": 0.5}, 0.01)}
    city.write_old(items)
    city.write_new(items)
    made = compare_studies("city_2016", "city_2017")
    text = words_of((made.folder / "compare.html").read_text(encoding="utf-8"))
    assert "Every change is explained, or within the threshold." in text
    assert "To be explained" not in text
    assert made.summary().endswith("Every change is explained, or within the threshold.")


def test_a_table_of_many_rows_is_cut_on_the_page_and_whole_in_the_file(city):
    frame = pd.DataFrame({"row": [f"r{place}" for place in range(MOST_ROWS + 7)], "count": range(MOST_ROWS + 7)})
    city.write_old({"many": frame})
    city.write_new({"many": frame.assign(count=frame["count"] + 1)})
    made = compare_studies("city_2016", "city_2017")
    assert "7 more rows stand in compare.csv" in (made.folder / "compare.html").read_text(encoding="utf-8")
    assert len(made.cells) == MOST_ROWS + 7
