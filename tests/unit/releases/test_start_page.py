"""The start page of a run: its sign-offs, each for the run it was given for, and the corrections of its numbers."""

import json
import re
from datetime import date

import pytest

from evaluation.releases.record import record_of
from evaluation.releases.signoff import sign_off
from evaluation.report.site import build_site
from evaluation.review import accept_run

STUDY = "city_2016"
NOTEBOOK = {
    "cells": [{"cell_type": "markdown", "id": "one", "metadata": {}, "source": "# All numbers"}],
    "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}


@pytest.fixture
def corrected(city):
    """A run whose published predecessor had other numbers, signed off by two people, one of them before."""

    def run(lang, *numbers):
        for number in numbers:
            city.write_old({"items": city.means({"stay": number, "rely": 0.25}, 0.02)}, parameters={"lang": lang})
            (city.old / "notebooks" / "10_all.ipynb").write_text(json.dumps(NOTEBOOK), encoding="utf-8")
            sign = {"role": "editor", "checked": ["estimates", "wording"], "on": date(2017, 12, int(10 * number))}
            sign_off(STUDY, name=f"<Kim & {number}>", **sign)
            accept_run(STUDY, reason="<b>weights</b> & margins", by="Lee", on=date(2017, 12, int(10 * number)))
        return page_of(city.old)

    return run


def page_of(folder):
    return build_site(folder).read_text(encoding="utf-8")


def words_of(page):
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_corrections_are_shown_with_both_numbers_in_words(corrected):
    page = corrected("en", 0.5, 0.5004)
    text = words_of(page)
    assert "Corrections 2017-12-05 (Lee): &lt;b&gt;weights&lt;/b&gt; &amp; margins" in text
    assert "Table items · Wants to stay items | stay | | estimate 0.5000 0.5004" in text
    assert "Has someone to rely on" not in text
    assert "<b>weights" not in page


def test_corrections_are_shown_in_korean(corrected):
    text = words_of(corrected("ko", 0.5, 0.6))
    assert "고친 수치 2017-12-06 (Lee)" in text
    assert "정주 의사 items | stay | | estimate 0.5 0.6" in text
    assert "전에 공표한 수치와 고친 수치 (1)" in text


def test_the_newest_correction_stands_first(corrected):
    text = words_of(corrected("en", 0.5, 0.6, 0.7))
    assert text.index("2017-12-07 (Lee)") < text.index("2017-12-06 (Lee)")


def test_a_sign_off_says_whether_it_is_for_this_run(corrected, city):
    text = words_of(corrected("en", 0.5, 0.6))
    assert re.search(r"&lt;Kim &amp; 0\.6&gt; , editor, 2017-12-06: estimates; wording this run, SHA-256 \w{12}", text)
    assert re.search(r"&lt;Kim &amp; 0\.5&gt; , editor, 2017-12-05: estimates; wording for an earlier run", text)
    assert "Nobody has signed" not in text
    city.write_old({"items": city.means({"stay": 0.9}, 0.02)}, parameters={"lang": "en"})
    assert "Nobody has signed this run off yet." in words_of(page_of(city.old))


def test_a_run_that_is_just_finishing_shows_what_its_predecessor_holds(corrected, city, tmp_path):
    corrected("en", 0.5, 0.6)
    (city.published / STUDY / "errata.csv").unlink()
    folder = tmp_path / "staging" / STUDY
    city.write_run(folder, {"items": city.means({"stay": 0.6, "rely": 0.25}, 0.02)}, parameters={"lang": "en"})
    (folder / "notebooks" / "10_all.ipynb").write_text(json.dumps(NOTEBOOK), encoding="utf-8")
    text = words_of(page_of(folder))
    assert "2017-12-06 (Lee)" in text
    assert "this run, SHA-256" in text


def test_a_file_that_cannot_be_read_is_shown_and_stops_nothing(corrected, city):
    corrected("en", 0.5, 0.6)
    (city.old / "signoff.yml").write_text("signoffs: 7\n", encoding="utf-8")
    (city.old / "errata.csv").write_text("date\n", encoding="utf-8")
    text = words_of(page_of(city.old))
    assert "signoff.yml of &#39;city_2016&#39;: signoffs: expected a list, got 7" in text
    assert "errata.csv of &#39;city_2016&#39;: expected the columns" in text


def test_without_corrections_the_page_has_no_such_heading(city):
    city.write_old({"items": city.means({"stay": 0.5}, 0.02)}, parameters={"lang": "en"})
    (city.old / "notebooks" / "10_all.ipynb").write_text(json.dumps(NOTEBOOK), encoding="utf-8")
    text = words_of(page_of(city.old))
    assert "Corrections" not in text
    assert "Sign-off Nobody has signed this run off yet." in text


def test_a_number_that_is_withheld_or_gone_is_said_in_words(city):
    city.write_old({"items": city.means({"stay": 0.5, "rely": 0.25, "happy": 6.0}, 0.02)}, parameters={"lang": "en"})
    accept_run(STUDY)
    city.write_old(
        {"items": city.means({"stay": 0.5, "rely": 0.25}, 0.02, n=[400, 20], min_base=30)}, parameters={"lang": "en"}
    )
    accept_run(STUDY, reason="bases", on=date(2017, 12, 1))
    manifest = json.loads((city.old / "manifest.json").read_text(encoding="utf-8"))
    numbers = record_of(STUDY, city.old, manifest, "en").corrections[0].numbers
    assert [(item.address.split(" | ")[1], item.old, item.new) for item in numbers] == [
        ("rely", "withheld", "[u]"),
        ("happy", "6.0", ""),
    ]
    text = words_of(page_of(city.old))
    assert "items | rely | | estimate withheld [u]" in text
    assert "items | happy | | estimate 6.0 no longer published" in text
