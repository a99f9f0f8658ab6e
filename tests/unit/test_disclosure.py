"""Numbers on too few respondents: in no table, file, figure, sentence or repr, and not to be worked out either."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation import disclosure
from evaluation.design.declaration import survey_design
from evaluation.publication import publish, read_published
from evaluation.results import Provenance
from evaluation.tables import table

LIMITS = Provenance("made", min_cell=5, min_base=30, n=282)


@pytest.fixture
def design():
    """Three areas of 200, 40 and 22 respondents and one of 3; in each some are happy, some take part."""
    rng = np.random.default_rng(7)
    sizes = {"big": 200, "middle": 40, "small": 22, "tiny": 3}
    people = pd.DataFrame({"area": [area for area, n in sizes.items() for _ in range(n)]})
    people["happy"] = rng.integers(0, 2, len(people))
    people["income"] = rng.normal(size=len(people)) + 0.123456
    people["joined"] = [1] * 22 + [0] * (len(people) - 22)
    people["kind"] = ["rare"] * 3 + ["few"] * 60 + ["most"] * (len(people) - 63)
    made = survey_design(people)
    return replace(made, provenance=replace(LIMITS, n=len(people)))


def six_digits(result, row):
    """What a number would look like wherever it was printed or written at full precision."""
    return f"{float(result.estimate[row]):.6g}", repr(float(result.estimate[row]))


def test_each_row_is_marked_by_the_respondents_behind_it(design):
    means = ev.survey_mean(design, "income", by="area")
    assert disclosure.marks(means) == ["", "", "[u]", "[c]"]
    assert disclosure.counts(means) == ["200", "40", "<30", "<5"]
    assert disclosure.marks(ev.survey_mean(survey_design(design.data), "income", by="area")) == [""] * 4


def test_a_count_that_is_shown_beside_a_hidden_one_must_not_give_it_away(design):
    """With 22 beside the hidden cell and the total known, the hidden count would be what is left."""
    means = ev.survey_mean(design, "income", by="area")
    alone = ev.survey_mean(ev.domain(design, {"area": ["big", "middle", "small"]}), "income", by="area")
    assert disclosure.counts(means)[2] == "<30"
    assert disclosure.counts(alone)[2] == "22"


def test_a_result_without_marked_rows_comes_back_as_it_is(design):
    means = ev.survey_mean(design, "income")
    assert disclosure.shown(means) is means
    assert "mark" not in table(means).data


def test_marked_numbers_stand_in_no_table_repr_sentence_or_figure(design):
    means = ev.survey_mean(design, "income", by="area", deff=True)
    shown = table(means, lang="en")
    figure = ev.plot(means, lang="en")
    places = [repr(shown), shown._repr_html_(), repr(means), means._repr_html_(), repr(ev.statement(means))]
    places += [figure.data.to_csv(), table({"one": means}, title="t", source="s").data.to_csv(), shown.data.to_csv()]
    for text in places:
        for row in (2, 3):
            assert not any(digits in text for digits in six_digits(means, row)), text
        assert "[u]" in text
        assert "[c]" in text
    for row in (0, 1):
        assert six_digits(means, row)[0] in repr(means)
    assert shown.frame.iloc[2].tolist()[1:5] == ["[u]", "[u]", "[u]", "<30"]
    assert shown.frame.iloc[3].tolist()[1:5] == ["[c]", "[c]", "[c]", "<5"]
    assert "[u]: not shown, fewer than 30 respondents" in shown.caption
    assert "[c]: 응답자나 한 응답을 고른 사람이 5명 미만이라 표시하지 않음" in table(means, lang="ko").caption
    assert figure.data["estimate"].isna().tolist() == [False, False, True, True]
    assert "fewer than 30 respondents" in figure.caption


def test_a_figure_of_nothing_but_marked_rows_is_still_a_figure(design):
    few = ev.survey_mean(ev.domain(design, {"area": "small"}), "income")
    assert ev.plot(few, lang="ko").png().startswith(b"\x89PNG")


def test_published_files_hold_blanks_and_marks_and_are_read_back(design, tmp_path, monkeypatch):
    monkeypatch.setenv("EVALUATION_RUN", str(tmp_path))
    monkeypatch.setenv("EVALUATION_STEP", "profile")
    means = ev.survey_mean(design, "income", by="area")
    publish("by_area", means)
    publish("by_area_figure", ev.plot(means, lang="en"))
    content = json.loads((tmp_path / "estimates" / "by_area.json").read_text(encoding="utf-8"))
    assert [row["mark"] for row in content["rows"]] == ["", "", "[u]", "[c]"]
    assert [row["estimate"] is None for row in content["rows"]] == [False, False, True, True]
    assert [row["n_obs"] for row in content["rows"]] == [200, 40, None, None]
    vcov = np.array(content["vcov"], dtype=float)
    assert np.isnan(vcov).tolist() == [[False, False, True, True]] * 2 + [[True] * 4] * 2
    rows = pd.read_csv(tmp_path / "tables" / "by_area.csv")
    assert rows["mark"].fillna("").tolist() == ["", "", "[u]", "[c]"]
    assert rows.loc[2:, ["estimate", "std_error", "p_value", "conf_low", "conf_high"]].isna().all().all()
    for file in tmp_path.rglob("*.*"):
        if file.suffix in (".csv", ".json", ".svg"):
            text = file.read_text(encoding="utf-8")
            assert not any(digits in text for row in (2, 3) for digits in six_digits(means, row)), file.name
    again = read_published(tmp_path)["by_area"]
    assert disclosure.marks(again) == ["", "", "[u]", "[c]"]
    assert math.isnan(again.estimate[2])
    assert again.estimate[0] == means.estimate[0]
    assert "[u]" in repr(table(again, lang="en"))


def test_what_has_no_marked_row_is_published_with_the_same_bytes_as_before(design, tmp_path, monkeypatch):
    monkeypatch.setenv("EVALUATION_RUN", str(tmp_path))
    whole = ev.survey_mean(design, "income")
    publish("whole", whole)
    unlimited = replace(whole, provenance=replace(whole.provenance, min_cell=1, min_base=1))
    first = (tmp_path / "estimates" / "whole.json").read_bytes(), (tmp_path / "tables" / "whole.csv").read_bytes()
    publish("whole", unlimited)
    assert first == (
        (tmp_path / "estimates" / "whole.json").read_bytes(),
        (tmp_path / "tables" / "whole.csv").read_bytes(),
    )


def test_a_difference_goes_with_the_group_that_is_too_small(design):
    gap = ev.group_difference(design, outcome="income", treatment="joined")
    assert disclosure.marks(gap) == ["[u]", "[u]", ""]
    adjusted = ev.g_computation(design, outcome="income", treatment="joined", covariates=["happy"])
    assert disclosure.marks(adjusted) == ["[u]", "[u]", ""]


def test_of_a_comparison_with_a_tiny_group_neither_mean_nor_size_is_shown(design):
    rare = replace(design, data=design.data.assign(rare=(design.data["kind"] == "rare").astype(int)))
    gap = ev.group_difference(rare, outcome="income", treatment="rare")
    assert disclosure.marks(gap) == ["[c]", "[c]", "[c]"]
    assert disclosure.counts(gap) == ["[c]", "<5", "[c]"]
    assert disclosure.shown(gap).tidy()["n_obs"].isna().all()


def test_a_contrast_and_a_selection_keep_the_smallest_group_behind_them(design):
    means = ev.survey_mean(design, "income", by="area")
    rows = means.addresses()
    assert disclosure.marks(ev.contrast(means, {"b - m": {rows[0]: 1, rows[1]: -1}})) == [""]
    assert disclosure.marks(ev.contrast(means, {"b - s": {rows[0]: 1, rows[2]: -1}})) == ["[u]"]
    gap = ev.group_difference(design, outcome="income", treatment="joined")
    assert disclosure.marks(gap.take(np.array([0]))) == ["[u]"]


def test_a_rare_answer_is_a_small_cell_and_the_other_shares_do_not_give_it_away(design):
    shares = ev.survey_prop(design, "kind")
    counted = dict(zip(shares.keys["level"], disclosure.marks(shares), strict=True))
    assert counted == {"few": "[c]", "most": "", "rare": "[c]"}
    assert disclosure.counts(shares) == ["265"] * 3
    rare = replace(design, data=design.data.assign(rare=(design.data["kind"] == "rare").astype(int)))
    assert disclosure.marks(ev.survey_mean(rare, "rare")) == ["[c]"]
    assert disclosure.marks(ev.survey_mean(design, "happy")) == [""]


def test_nothing_is_withheld_of_public_records():
    survey = ev.read_survey("api_2000", sample="apiclus1")
    by_county = ev.survey_mean(ev.survey_design(survey), "api00", by="cname")
    assert by_county.n_obs.min() < 5
    assert set(disclosure.marks(by_county)) == {""}
