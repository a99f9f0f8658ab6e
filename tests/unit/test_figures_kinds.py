"""Each kind of figure shows what it must, refuses what it cannot show, and is the same bytes twice."""

import dataclasses
import io
import itertools
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import evaluation as ev
from evaluation.errors import ColumnError, PublishError, SourceError
from evaluation.figures.canvas import WIDTH, inches, theme
from evaluation.figures.plotting import plot
from evaluation.figures.tiles import class_of, read_layout, short_name
from evaluation.impact.rollout.table import read_rollout

kinds = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("handmade_figures.py"))))

#: Districts that share a boundary on land, or face each other across the river.
NEIGHBOURS = {
    "Dobong": "Gangbuk Nowon",
    "Gangbuk": "Nowon Seongbuk",
    "Nowon": "Seongbuk Jungnang",
    "Seongbuk": "Jongno Dongdaemun Jungnang",
    "Jungnang": "Dongdaemun Gwangjin",
    "Dongdaemun": "Seongdong Gwangjin Jung",
    "Seongdong": "Gwangjin Jung Yongsan",
    "Jung": "Jongno Yongsan Seodaemun",
    "Jongno": "Seodaemun Eunpyeong",
    "Seodaemun": "Eunpyeong Mapo",
    "Mapo": "Eunpyeong Yongsan",
    "Gangseo": "Yangcheon Mapo",
    "Yangcheon": "Guro Yeongdeungpo",
    "Guro": "Geumcheon Yeongdeungpo",
    "Yeongdeungpo": "Dongjak Mapo",
    "Geumcheon": "Gwanak",
    "Dongjak": "Gwanak Seocho Yongsan",
    "Gwanak": "Seocho",
    "Seocho": "Gangnam Yongsan",
    "Gangnam": "Songpa Seongdong",
    "Songpa": "Gangdong Gwangjin",
}
#: Centres in degrees, rounded to two decimals: east, north.
CENTRES = {
    "Dobong": (127.03, 37.67), "Nowon": (127.08, 37.65), "Gangbuk": (127.01, 37.64), "Eunpyeong": (126.93, 37.62),
    "Jongno": (126.98, 37.59), "Jungnang": (127.09, 37.60), "Dongdaemun": (127.06, 37.58), "Seodaemun": (126.94, 37.58),
    "Jung": (127.00, 37.56), "Mapo": (126.91, 37.56), "Gwangjin": (127.09, 37.55), "Yongsan": (126.98, 37.53),
    "Gangseo": (126.82, 37.56), "Yangcheon": (126.86, 37.52), "Yeongdeungpo": (126.91, 37.52), "Guro": (126.86, 37.49),
    "Geumcheon": (126.90, 37.46), "Gwanak": (126.95, 37.47), "Dongjak": (126.95, 37.50), "Seocho": (127.03, 37.47),
    "Gangnam": (127.06, 37.50), "Songpa": (127.12, 37.50), "Gangdong": (127.15, 37.55), "Seongdong": (127.04, 37.55),
    "Seongbuk": (127.02, 37.61),
}  # fmt: skip


@pytest.fixture(scope="module")
def rollout():
    return read_rollout("seoul_2016")


@pytest.fixture(scope="module")
def tiles(rollout):
    layout = read_layout("seoul_2016")
    names = [short_name(rollout.provenance.labels, code, "en") for code in layout.tiles["district"]]
    return layout.tiles.assign(name=names).set_index("name")


def legend(figure):
    return [text.get_text() for box in figure.figure.legends for text in box.get_texts()]


def written(figure):
    """Every word in the picture."""
    texts = [*figure.figure.texts, *(text for axes in figure.figure.axes for text in axes.texts)]
    ticks = [label for axes in figure.figure.axes for label in axes.get_yticklabels()]
    return [text.get_text().replace("\n", " ") for text in [*texts, *ticks]]


@pytest.mark.parametrize("lang", ["ko", "en"])
@pytest.mark.parametrize("kind", [*sorted(kinds.ALL), "map", "timeline"])
def test_a_figure_drawn_twice_is_the_same_bytes_at_the_usual_width(kind, lang, rollout):
    def draw():
        if kind in kinds.ALL:
            return plot(kinds.ALL[kind], lang=lang)
        return plot(rollout, kind=kind, lang=lang)

    one, two = draw(), draw()
    assert (one.png(), one.svg()) == (two.png(), two.svg())
    assert one.figure.get_size_inches()[0] == WIDTH


@pytest.mark.parametrize("lang", ["ko", "en"])
@pytest.mark.parametrize("kind", ["map", "timeline"])
def test_nothing_of_a_roll_out_is_cut_off_and_its_notice_stands_in_the_picture(kind, lang, rollout):
    figure = plot(rollout, kind=kind, lang=lang)
    pixels = np.asarray(Image.open(io.BytesIO(figure.png())).convert("L"))
    assert pixels[[0, 1, -2, -1], :].min() >= 250
    assert pixels[:, [0, 1, -2, -1]].min() >= 250
    assert rollout.provenance.notice[lang] in figure.caption
    assert "illustrative" in figure.caption
    assert any(figure.caption in text for text in written(figure))


def test_the_love_plot_names_covariates_the_limit_and_what_divides():
    figure = plot(kinds.BALANCE, lang="en")
    assert [label.get_text() for label in figure.figure.axes[0].get_yticklabels()] == [
        "school type: elementary", "school type: high", "school type: middle", "students enrolled",
    ]  # fmt: skip
    assert legend(figure) == ["raw", "balancing weights", "limit 0.1"]
    assert "divided by the standard deviation of participants" in figure.caption
    assert figure.data["abs_smd_raw"].tolist() == [0.45, 0.2, 0.31, 0.02]
    limits = [line for line in figure.figure.axes[0].lines if list(line.get_xdata()) == [0.1, 0.1]]
    assert len(limits) == 1


def test_overlap_is_mirrored_and_its_data_hold_no_bin_of_fewer_than_five():
    figure = plot(kinds.OVERLAP, lang="en")
    assert legend(figure) == ["participants", "others", "others, balancing weights"]
    low, high = figure.figure.axes[0].get_ylim()
    assert low < 0 < high
    assert set(figure.data["role"]) == {"participants", "others"}
    assert all(n == 0 or n >= 5 for n in figure.data["n_obs"])
    assert "scores" not in figure.data
    assert "participants 58 / 60, others 71 / 123" in figure.caption


def test_overlap_of_real_answers_holds_bins_and_never_a_score():
    survey = ev.read_survey("seoul_2016")
    design = ev.survey_design(survey, weights="weight", strata="district", psu="block_draw")
    made = ev.overlap(design, treatment="participant", covariates=["sex", "age_years", "owner"])
    data = plot(made, lang="en").data
    assert all(n == 0 or n >= 5 for n in data["n_obs"])
    assert data.groupby("role")["n_obs"].sum().tolist() == made.groups["n_obs"].tolist()[::-1]
    np.testing.assert_allclose(data.groupby("role")["share"].sum(), 1)
    np.testing.assert_allclose(data.groupby("role")["share_balanced"].sum(), 1)


def test_a_ladder_sets_naive_adjusted_and_true_differences_side_by_side():
    truth = pd.DataFrame({"term": ["api00", "enroll"], "truth": [10.0, 20.0]})
    figure = plot(kinds.LADDER, reference=truth, lang="en")
    assert len(figure.figure.axes) == 2
    assert legend(figure) == ["not adjusted", "adjusted", "true value in the population"]
    assert figure.data["stage"].tolist() == (["unadjusted"] * 3 + ["adjusted"] * 4) * 2
    assert figure.data["reference"].tolist() == [10.0] * 7 + [20.0] * 7
    for axes in figure.figure.axes:
        assert [label.get_text() for label in axes.get_yticklabels()][-1] == "doubly robust"
        assert any(list(line.get_xdata()) == [0, 0] for line in axes.lines)
    assert "estimand: ATT" in figure.caption


def test_a_part_that_is_not_identified_keeps_its_row_and_says_so():
    rows = plot(kinds.PARTS, lang="en").data["row"].tolist()
    assert [row.endswith("(not identified)") for row in rows] == [False, True, False, False]
    assert [row.endswith("(assumed)") for row in rows] == [False, False, True, True]
    assert plot(kinds.PARTS, lang="ko").data["row"].iloc[1].endswith("(식별되지 않음)")


def test_an_event_study_tells_before_from_since_and_names_the_overall_effect():
    truth = pd.DataFrame({"event_time": [0, 1, 2, 3], "truth": [6.0, 10.0, 14.0, 18.0]})
    figure = plot(kinds.EVENTS, reference=truth, lang="en")
    assert figure.data["event_time"].tolist() == kinds.SINCE
    assert figure.data["stage"].tolist() == ["before"] * 3 + ["reference"] + ["since"] * 4
    assert figure.data["reference"].tolist()[4:] == [6.0, 10.0, 14.0, 18.0]
    assert legend(figure)[:3] == ["before the start", "since the start", "reference period"]
    assert "plain mean of the years since the start: 12.0 (5.6 – 18.4)" in figure.caption


def test_a_published_event_study_whose_blanks_came_back_as_none_is_drawn_with_its_band():
    band = {
        name: np.array([None, *[half] * 8], dtype=object) for name, half in (("band_low", -9.0), ("band_high", 9.0))
    }
    figure = plot(dataclasses.replace(kinds.EVENTS, columns=band), lang="en")
    assert "thin bars: simultaneous band" in figure.caption
    assert figure.data["band_high"].tolist() == [9.0] * 8


def test_an_effect_without_an_error_is_no_exact_effect():
    vcov = np.where(np.arange(9)[:, None] == 8, np.nan, kinds.EVENTS.vcov)
    figure = plot(dataclasses.replace(kinds.EVENTS, vcov=vcov), lang="en")
    assert figure.data["stage"].iloc[-1] == "bare"
    assert "no standard error" in legend(figure)


def test_group_time_effects_are_a_panel_per_start_on_one_scale():
    figure = plot(kinds.GROUP_TIME, lang="en")
    assert [axes.get_title(loc="left") for axes in figure.figure.axes] == [
        "start in 2015", "start in 2016", "start in 2018",
    ]  # fmt: skip
    assert len({axes.get_ylim() for axes in figure.figure.axes}) == 1
    assert "periods not identified and not drawn: 1" in figure.caption
    assert (figure.data.loc[figure.data["time"] >= figure.data["cohort"], "stage"] == "since").all()


def test_a_trend_has_a_panel_per_item_and_a_named_line_per_group():
    figure = plot(kinds.TREND, time="year", lang="en")
    assert figure.figure.axes[0].get_title(loc="left") == "API 2000"
    for axes in figure.figure.axes:
        assert {"elementary", "high", "middle"} <= {text.get_text() for text in axes.texts}
    styles = {(line.get_color(), line.get_marker()) for line in figure.figure.axes[0].lines if line.get_marker() != "D"}
    assert len(styles) == 3


def test_a_line_stops_where_the_wording_changed_and_the_picture_says_what():
    figure = plot(kinds.TREND, time="year", breaks={2016: "five answers instead of four"}, lang="en")
    lines = [line for line in figure.figure.axes[0].lines if line.get_marker() == "o"]
    spans = sorted((round(line.get_xdata()[0]), round(line.get_xdata()[-1])) for line in lines)
    assert spans == [(2010, 2015), (2016, 2019)]
    dashed = [line for line in figure.figure.axes[0].lines if list(line.get_xdata()) == [2015.5, 2015.5]]
    assert len(dashed) == 1
    assert any("five answers" in text for text in written(figure))
    assert figure.data.groupby("segment")["year"].agg(["min", "max"]).values.tolist() == [[2010, 2015], [2016, 2019]]
    assert "lines stop where the wording changed" in figure.caption


def test_a_declared_trend_knows_its_time_and_breaks_in_both_languages():
    for lang, words in (("ko", "보기가"), ("en", "five answers")):
        figure = plot(kinds.TREND_DECLARED, lang=lang)
        first, second = figure.figure.axes
        assert not any(words in text.get_text().replace("\n", " ") for text in first.texts)
        assert any(words in text.get_text().replace("\n", " ") for text in second.texts)


def test_names_beside_lines_that_meet_do_not_touch():
    figure = plot(kinds.TREND, time="year", lang="en")
    figure.png()
    renderer = figure.figure.canvas.get_renderer()
    for axes in figure.figure.axes:
        boxes = sorted((text.get_window_extent(renderer) for text in axes.texts), key=lambda box: box.y0)
        assert all(below.y1 <= above.y0 + 1 for below, above in itertools.pairwise(boxes))


def test_what_a_trend_cannot_show_is_refused_with_the_next_move():
    with pytest.raises(ColumnError, match=r"no key column 'yaer'.*Did you mean 'year'"):
        plot(kinds.TREND, time="yaer")
    with pytest.raises(ColumnError, match="waves that are numbers"):
        plot(kinds.TREND, time="stype")
    with pytest.raises(PublishError, match="outside the waves 2010 to 2019"):
        plot(kinds.TREND, time="year", breaks={2025: "later"})
    keys = {"term": ["api00"] * 16, "year": [1, 2] * 8, "stype": [str(at // 2) for at in range(16)]}
    many = kinds.plain.made("survey_mean", keys, [1.0] * 16, [0.1] * 16)
    with pytest.raises(PublishError, match="at most 7 lines"):
        plot(many, time="year")
    with pytest.raises(PublishError, match="belong to a trend"):
        plot(kinds.BALANCE, time="year")


def test_every_district_has_one_tile_near_its_true_neighbours(tiles):
    assert len(tiles) == 25
    distances = []
    for name, others in NEIGHBOURS.items():
        for other in others.split():
            gap = (tiles.loc[name, ["column", "row"]] - tiles.loc[other, ["column", "row"]]).abs().max()
            distances.append(float(gap))
    assert max(distances) <= 2
    assert np.mean(np.array(distances) <= 1.5) >= 0.95
    assert np.mean(np.array(distances) <= 1) >= 0.7


def test_tiles_do_not_lie_on_each_other(tiles):
    places = tiles[["column", "row"]].to_numpy()
    for at, place in enumerate(places):
        gaps = np.abs(np.delete(places, at, axis=0) - place)
        assert (gaps >= 1).any(axis=1).all()


def test_tiles_lie_east_and_north_as_the_districts_do(tiles):
    east, north = (np.array([CENTRES[name][axis] for name in tiles.index]) for axis in (0, 1))
    assert np.corrcoef(tiles["column"], east)[0, 1] > 0.95
    assert np.corrcoef(tiles["row"], -north)[0, 1] > 0.92


def test_the_map_shows_every_date_with_the_citys_total_and_marks_what_is_illustrative(rollout):
    figure = plot(rollout, lang="en")
    texts = written(figure)
    for total in (80, 283, 342, 408, 424):
        assert any(text.endswith(f": {total} / 424") for text in texts)
    assert figure.data.groupby("date")["dongs_covered"].sum().tolist() == [80, 283, 342, 408, 424]
    hatched = {patch.get_hatch() for patch in figure.figure.axes[0].patches}
    assert {"////", "...."} <= hatched
    illustrative = (rollout.cells["split"] == "illustrative").sum() // 5
    drawn = sum(patch.get_hatch() == "////" for patch in figure.figure.axes[0].patches)
    assert drawn == illustrative * 6 + 1
    assert {"illustrative, not verified", "Han river"} <= set(texts)


@pytest.mark.parametrize("lang", ["ko", "en"])
def test_every_name_fits_its_tile(lang, rollout):
    layout = read_layout("seoul_2016")
    with theme():
        for code in layout.tiles["district"]:
            name = short_name(rollout.provenance.labels, code, lang)
            assert inches(name, "small") < WIDTH / layout.columns - 0.03, name


def test_the_timeline_shows_each_stage_and_the_plan_that_was_not_realised(rollout):
    figure = plot(rollout, kind="timeline", lang="en")
    realised = figure.data[figure.data["series"] == "realised"]
    assert realised["dongs"].tolist() == [4, 80, 283, 342, 408, 424]
    planned = figure.data[figure.data["series"] == "planned"]
    assert planned[["date", "dongs"]].values.tolist()[-1] == ["2017-07-01", 424]
    texts = written(figure)
    assert {"pilot 4", "stage 3 342 24 districts", "planned: 424 (2017-07-01)"} <= set(texts)
    assert legend(figure) == ["realised", "planned"]


def test_classes_of_shares_keep_nothing_and_all_apart():
    assert class_of(0.0) == 0
    assert class_of(1 / 400) == 1
    assert class_of(399 / 400) == 4
    assert class_of(1.0) == 5


def test_a_roll_out_that_lacks_columns_or_tiles_is_refused(rollout):
    bare = SimpleNamespace(cells=rollout.cells.drop(columns="split"), stages=rollout.stages, provenance=None)
    with pytest.raises(ColumnError, match="missing: split"):
        plot(bare)
    with pytest.raises(PublishError, match="'map' or 'timeline'"):
        plot(rollout, kind="chart")
    with pytest.raises(SourceError, match=r"tiles\.csv is not there"):
        read_layout("api_2000")
    with pytest.raises(PublishError, match="kind belongs to a roll-out"):
        plot(kinds.LADDER, kind="map")


def test_differences_by_subgroup_are_rows_of_one_panel_with_a_line_at_zero():
    keys = {"term": ["api00"] * 3, "stype": ["E", "H", "M"], "quantity": ["difference"] * 3}
    figure = plot(kinds.plain.made("group_difference", keys, [5.0, -3.0, 8.0], [4.0, 6.0, 5.0]), lang="en")
    assert len(figure.figure.axes) == 1
    assert [label.get_text() for label in figure.figure.axes[0].get_yticklabels()] == ["elementary", "high", "middle"]
    assert any(list(line.get_xdata()) == [0, 0] for line in figure.figure.axes[0].lines)
