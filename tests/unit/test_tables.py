import csv
import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from evaluation.errors import PublishError
from evaluation.results import Provenance
from evaluation.specification import Text
from evaluation.tables import long_frame, table

made = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("handmade_results.py"))))


def test_shares_are_per_cent_in_the_table_and_stay_shares_in_the_file():
    shares = table(made.SHARES, lang="ko")
    assert shares.frame["비율 (%)"].tolist() == ["78.7", "7.6", "13.7"]
    assert shares.frame["표준오차 (%p)"].tolist() == ["4.6", "2.7", "3.0"]
    assert shares.data["estimate"].tolist() == [0.787, 0.0765, 0.1366]
    assert "std. error (points)" in table(made.SHARES, lang="en").frame


def test_every_estimate_has_error_interval_and_n_beside_it():
    frame = table(made.MEANS, lang="en").frame
    assert frame.columns.tolist() == ["item", "Mean", "std. error", "95% interval", "n"]
    assert frame.iloc[0].tolist() == ["API 2000", "644", "24", "[594, 695]", "183"]


def test_each_term_is_rounded_by_its_own_error():
    assert table(made.MIXED, lang="en").frame["Mean"].tolist() == ["644", "550", "0.850"]
    assert table(made.TOTAL, lang="en").frame.iloc[0, 1:3].tolist() == ["3,400,000", "930,000"]


def test_labels_stand_in_the_table_and_codes_with_both_languages_in_the_file():
    assert table(made.BY_TYPE, lang="ko").frame["학교급"].tolist() == ["초등학교", "고등학교", "중학교"]
    assert long_frame(made.BY_TYPE).columns.tolist()[:6] == [
        "term", "term_label_ko", "term_label_en", "stype", "stype_label_ko", "stype_label_en",
    ]  # fmt: skip
    assert long_frame(made.BY_TYPE)["stype"].tolist() == ["E", "H", "M"]


def test_the_file_gives_every_number_back_in_full(tmp_path):
    file = tmp_path / "means.csv"
    table(made.MEANS, lang="ko").to_csv(file)
    with file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for column in ("estimate", "std_error", "conf_low", "p_value"):
        assert [float(row[column]) for row in rows] == made.MEANS.tidy()[column].tolist()
    assert rows[0]["term_label_ko"] == "2000년 학업성취지수"
    assert b"\r" not in file.read_bytes()


def test_the_file_does_not_depend_on_the_language_of_the_table():
    pd.testing.assert_frame_equal(table(made.SHARES, lang="ko").data, table(made.SHARES, lang="en").data)


@pytest.mark.parametrize("lang", ["ko", "en"])
@pytest.mark.parametrize("name", sorted(made.ALL))
def test_source_population_and_notice_are_part_of_the_table(name, lang):
    shown = table(made.ALL[name], lang=lang)
    page = shown._repr_html_()
    for part in ("api_2000", "n = 183", "pw", "95%", made.PROVENANCE.population[lang]):
        assert part in page
        assert part in repr(shown)


def test_html_has_no_ids_no_style_block_and_escapes_what_it_is_given():
    nasty = Provenance("a<b", n=2, labels=made.Book())
    page = table(made.made("survey_mean", {"term": ["x<script>"]}, [1.0], [0.5], provenance=nasty))._repr_html_()
    assert "id=" not in page
    assert "<style" not in page
    assert "<script>" not in page
    assert "a&lt;b" in page


def test_a_row_without_an_error_shows_a_dash_and_not_a_zero_or_nan():
    certain = made.made("survey_mean", {"term": ["api00"]}, [644.25], [np.nan])
    row = table(certain, lang="en").frame.iloc[0].tolist()
    assert row == ["API 2000", "644.2", "–", "–", "183"]


def test_two_columns_with_the_same_label_are_both_kept():
    class Same(made.Book):
        def variable(self, name, lang):
            return "Mean"

    keys = {"term": ["a", "a"], "g": ["1", "2"]}
    result = made.made("survey_mean", keys, [1.0, 2.0], [0.1, 0.1], provenance=Provenance(n=3, labels=Same()))
    assert table(result, lang="en").frame.shape == (2, 5)


def test_a_plain_frame_needs_a_title():
    with pytest.raises(PublishError, match="title"):
        table(pd.DataFrame({"n": [1]}))


def test_a_plain_frame_keeps_a_named_index_and_shows_numbers_plainly():
    frame = pd.DataFrame({"sum": [6194.0], "cv": [0.123456]}, index=pd.Index(["rake"], name="step"))
    shown = table(frame, title="가중치", lang="ko", source="표본")
    assert shown.frame.columns.tolist() == ["단계", "합계", "변동계수"]
    assert shown.frame.iloc[0].tolist() == ["레이킹", "6,194", "0.1235"]
    assert "출처: 표본" in repr(shown)


def test_a_margin_comparison_shows_labels_and_per_cent():
    comparison = SimpleNamespace(tidy=lambda: made.MARGINS, provenance=made.PROVENANCE)
    frame = table(comparison, title="Margins", lang="en").frame
    assert frame.columns.tolist() == ["margin", "category", "population (%)", "before (%)", "after (%)"]
    assert frame.iloc[0].tolist() == ["school type", "elementary", "71.4", "78.7", "71.4"]


def test_what_is_no_result_is_refused():
    with pytest.raises(PublishError, match="got list"):
        table([1, 2, 3])


def test_several_results_stand_under_their_titles_with_labels_for_rows():
    class Titled(dict):
        pass

    items = Titled(by_type=made.BY_TYPE, total=made.TOTAL, shares=made.SHARES)
    items.titles = {"by_type": Text(ko="학교급별 지수", en="Index by type"), "total": "Pupils"}
    shown = table(items, title="Everything", lang="en")
    assert shown.groups == (("Index by type", 3), ("Pupils", 1), ("Proportion: school type (%)", 3))
    assert shown.frame.columns.tolist() == ["item", "estimate", "std. error", "95% interval", "n"]
    assert shown.frame["item"].tolist()[:4] == ["elementary", "high", "middle", "students enrolled"]
    assert shown.frame.iloc[4].tolist() == ["elementary", "78.7", "4.6", "[68.8, 88.6]", "183"]
    assert shown._repr_html_().count('scope="rowgroup"') == 3
    assert [line.split()[0] for line in repr(shown).splitlines()[2:4]] == ["Index", "elementary"]
    assert shown.data["row"].tolist()[0] == "api00 | stype=E"
    raked = replace(made.BY_TYPE, provenance=replace(made.PROVENANCE, weight="pw → rake"))
    told = table({"first": made.BY_TYPE, "then": raked}, title="Both", lang="en")
    assert [heading for heading, _ in told.groups] == [
        "Mean: API 2000, by school type · weight: pw",
        "Mean: API 2000, by school type · weight: pw → raked",
    ]
    assert "weight" not in told.source
    assert shown.data["row_label_ko"].tolist()[0] == "초등학교"
    assert shown.data["estimate"].tolist()[4] == 0.787


def test_something_else_among_several_estimates_is_refused():
    with pytest.raises(PublishError, match="'other'"):
        table({"total": made.TOTAL, "other": 1})


def test_values_that_are_no_answers_are_said_in_words():
    missing = pd.DataFrame({"variable": ["api00"], "code": [""], "reason": ["not_asked"], "n": [8]})
    shown = table(missing, title="missing_values", lang="ko", labels=made.Book())
    assert shown.title == "응답이 아닌 값"
    assert shown.frame.columns.tolist() == ["변수", "까닭", "응답수 (n)"]
    assert shown.frame.iloc[0].tolist() == ["2000년 학업성취지수", "묻지 않음", "8"]
    assert shown.data["reason"].tolist() == ["not_asked"]


def test_arguments_of_a_weighting_step_stand_in_the_file_only():
    history = pd.DataFrame({"step": ["design weights", "rake"], "arguments": ["pw", "margins: stype"], "n": [4, 4]})
    shown = table(history, title="weights", lang="en")
    assert shown.frame.iloc[1].tolist() == ["raked", "4"]
    assert shown.data["arguments"].tolist() == ["pw", "margins: stype"]
