"""Funnel limits by hand and under chance alone; one area beside the rest, the wave before, and its rare group."""

import io
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import stats

import evaluation as ev
from evaluation.errors import ColumnError, EstimationError, PublishError
from evaluation.results import Estimates, PlainLabels, Provenance

#: Hand computations.
TIGHT = {"rel": 1e-12}
WAVES = (2014, 2015, 2016)


def shares(values, n, *, df=np.inf, term="y", **columns):
    values, n = np.array(values, dtype=float), np.broadcast_to(np.array(n, dtype=float), len(values))
    keys = pd.DataFrame({"term": term, "district": list(range(len(values)))})
    variance = np.diag(values * (1 - values) / n)
    more = {"n_effective": n.copy(), **columns}
    return Estimates(
        "area_means", keys, values, variance, np.full(len(values), df), n.astype(int), Provenance(), columns=more
    )


def test_limits_are_the_targets_own_error_and_quantile():
    made = ev.funnel(shares([0.5, 0.6, 0.4], [100, 400, 100], df=20), target=0.5)
    inner = made.limits[made.limits["level"] == 0.95]
    half = stats.t.ppf(0.975, 20) * np.sqrt(0.25 / inner["n_effective"])
    np.testing.assert_allclose(inner["high"], 0.5 + half, rtol=1e-12)
    np.testing.assert_allclose(inner["low"], 0.5 - half, rtol=1e-12)
    assert made.points["statistic"].tolist() == pytest.approx([0, 4, -2], **TIGHT)
    assert made.points["beyond"].tolist() == ["", "0.998", ""]
    spread = made.spread.tidy().iloc[0]
    assert (spread["statistic"], spread["df"]) == (pytest.approx(20), 3)
    assert spread["p_value"] == pytest.approx(stats.chi2.sf(20, 3), **TIGHT)
    assert (spread["n_outside_inner"], spread["n_outside_outer"]) == (1, 1)


def test_points_keep_the_order_of_the_estimates_and_what_lies_below_has_a_sign():
    made = ev.funnel(shares([0.2, 0.5, 0.9, 0.5], 200), target=0.5)
    assert made.points["district"].tolist() == [0, 1, 2, 3]
    assert made.points["beyond"].tolist() == ["-0.998", "", "0.998", ""]


def test_chance_alone_leaves_as_many_outside_as_the_limits_say():
    rng = np.random.default_rng(4)
    values = rng.binomial(900, 0.7, size=20_000) / 900
    spread = ev.funnel(shares(values, 900), target=0.7).spread.tidy().iloc[0]
    assert spread["n_outside_inner"] / 20_000 == pytest.approx(0.05, abs=0.006)
    assert spread["n_outside_outer"] / 20_000 == pytest.approx(0.002, abs=0.001)
    assert spread["statistic"] / spread["df"] == pytest.approx(1, abs=0.03)
    assert spread["between_sd"] < 0.004


@pytest.mark.parametrize(
    ("areas", "df", "target"), [(25, np.inf, 0.0), (25, 31.0, 0.0), (25, np.inf, None), (7, 12.0, 0.0)]
)
def test_dispersion_is_one_on_average_where_there_is_chance_alone(areas, df, target):
    """Drawing outer areas in makes squares smaller; what is published is held against that."""
    rng = np.random.default_rng(6)
    drawn = rng.standard_t(df, size=(100, areas)) if np.isfinite(df) else rng.normal(size=(100, areas))
    keys = pd.DataFrame({"term": "y", "district": range(areas)})
    n = np.full(areas, 100.0)
    found = [
        ev.funnel(
            Estimates("area_means", keys, row / 10, np.eye(areas) / 100, np.full(areas, df), n.astype(int),
                      Provenance(), columns={"n_effective": n}),
            target=target,
        ).spread.frame["dispersion"].iloc[0]
        for row in drawn
    ]  # fmt: skip
    assert np.mean(found) == pytest.approx(1, abs=0.12)


def test_dispersion_of_shares_draws_in_one_tenth_at_each_end():
    values = 0.5 + np.array([-9, -2, -1, -1, 0, 0, 1, 1, 2, 9]) / 20
    spread = ev.funnel(shares(values, 100), target=0.5).spread.tidy().iloc[0]
    drawn_in = np.array([-2, -2, -1, -1, 0, 0, 1, 1, 2, 2])
    # 0.7005: mean square of ten normal draws whose outermost are drawn in, by 2 million simulated tens.
    assert spread["dispersion"] == pytest.approx(np.mean(drawn_in**2) / 0.7005, rel=2e-3)


def test_a_spread_between_areas_is_found_and_widens_the_limits_where_asked():
    rng = np.random.default_rng(5)
    truth = 0.6 + rng.normal(size=2_000) * 0.05
    made = shares(rng.binomial(500, truth) / 500, 500)
    plain, wide = (ev.funnel(made, target=0.6, overdispersion=how) for how in ("ignored", "additive"))
    assert plain.spread.tidy()["between_sd"][0] == pytest.approx(0.05, rel=0.05)
    assert plain.spread.tidy()["n_outside_inner"][0] > 3 * wide.spread.tidy()["n_outside_inner"][0]
    assert wide.spread.tidy()["n_outside_inner"][0] / 2_000 == pytest.approx(0.05, abs=0.015)


def test_without_a_target_it_is_the_mean_by_effective_size_and_costs_a_degree_of_freedom():
    made = ev.funnel(shares([0.4, 0.5, 0.7], [100, 200, 100]))
    assert made.points["target_value"].unique().tolist() == pytest.approx([(40 + 100 + 70) / 400], **TIGHT)
    assert made.spread.tidy()["df"].tolist() == [2]


def test_numbers_that_are_no_shares_have_the_pooled_variance_of_a_respondent():
    values, n = np.array([10.0, 12.0, 17.0]), np.array([50.0, 100.0, 50.0])
    keys = pd.DataFrame({"term": "y", "district": ["a", "b", "c"]})
    variance = np.array([8.0, 4.0, 12.0]) / n
    made = Estimates("area_means", keys, values, np.diag(variance), np.full(3, np.inf), n.astype(int), Provenance(),
                     columns={"n_effective": n})  # fmt: skip
    points = ev.funnel(made, target=12.0).points
    pooled = (8 * 50 + 4 * 100 + 12 * 50) / 200
    assert points["statistic"].tolist() == pytest.approx(((values - 12) / np.sqrt(pooled / n)).tolist(), **TIGHT)


def test_rows_without_a_number_are_left_out_and_counted():
    made = shares([0.5, np.nan, 0.6, 0.55], 100)
    drawn = ev.funnel(made, target=0.5)
    assert drawn.points["district"].tolist() == [0, 2, 3]
    assert drawn.fit["left_out"] == ["y | district=1"]
    assert "not drawn, without a number: 1" in ev.plot(drawn, lang="en").caption


def test_what_cannot_be_a_funnel_is_refused_in_words():
    made = shares([0.5, 0.6, 0.4], 100)
    with pytest.raises(ColumnError, match=r"no key column 'gu'\. Known: term, district"):
        ev.funnel(made, area="gu")
    with pytest.raises(ColumnError, match="no effective sample size"):
        ev.funnel(replace(made, columns={}))
    with pytest.raises(EstimationError, match="the target has no row 'y'"):
        ev.funnel(made, target={"x": 0.5})
    with pytest.raises(EstimationError, match="at least 3 are needed"):
        ev.funnel(made.take(np.array([0, 1])))
    with pytest.raises(EstimationError, match="the inner first"):
        ev.funnel(made, levels=(0.998, 0.95))
    with pytest.raises(EstimationError, match="the inner first"):
        ev.funnel(made, levels=(0.95, 0.95))
    with pytest.raises(EstimationError, match="Give it as a share"):
        ev.funnel(made, target=77.0)
    twice = replace(made, keys=made.keys.assign(district=[1, 1, 2], year=[2015, 2016, 2016]))
    with pytest.raises(EstimationError, match="the rows differ in year"):
        ev.funnel(twice)


# Figures


SEOUL = [110, 140, 170, 200, 215]
NAMES = {110: "Jongno-gu", 140: "Jung-gu", 170: "Yongsan-gu", 200: "Seongdong-gu", 215: "Gwangjin-gu"}


def of_seoul(values, n, **more):
    class Book(PlainLabels):
        def value(self, name, value, lang):
            return NAMES.get(value, str(value))

    made = shares(values, n, **more)
    provenance = Provenance("seoul_2016", notice={"en": "Synthetic data", "ko": "합성 자료"}, labels=Book())
    return replace(made, keys=made.keys.assign(district=SEOUL[: len(made)]), provenance=provenance)


def test_only_areas_beyond_a_limit_are_named_and_the_notice_stands_below():
    figure = ev.plot(ev.funnel(of_seoul([0.5, 0.51, 0.9, 0.49, 0.1], 100), target=0.5), lang="en")
    written = {text.get_text() for axes in figure.figure.axes for text in axes.texts}
    assert written == {"Yongsan", "Gwangjin"}
    assert "not a ranking" in figure.caption.casefold()
    assert figure.caption.endswith("Synthetic data")
    assert figure.data["beyond"].tolist() == ["", "", "0.998", "", "-0.998"]
    assert figure.png() == ev.plot(ev.funnel(of_seoul([0.5, 0.51, 0.9, 0.49, 0.1], 100), target=0.5), lang="en").png()


def test_the_lines_of_a_funnel_are_told_apart_without_colour_and_its_title_names_its_scale():
    funnel = ev.funnel(of_seoul([0.5, 0.51, 0.9], 100), target=0.5)
    figure = ev.plot(funnel, lang="ko")
    drawn = {line.get_linestyle() for line in figure.figure.axes[0].lines if len(line.get_xdata()) > 1}
    assert {"-", "-."} < drawn
    assert len(drawn - {"None"}) == 3
    assert "유효 응답수" in figure.title
    assert "유효 응답수" in {text.get_text() for text in figure.figure.findobj(lambda part: hasattr(part, "get_text"))}


def test_names_do_not_lie_on_each_other():
    values = [0.9, 0.905, 0.91, 0.1, 0.105]
    figure = ev.plot(ev.funnel(of_seoul(values, [100, 101, 102, 100, 101]), target=0.5), lang="en")
    renderer = figure.figure.canvas.get_renderer()
    boxes = [text.get_window_extent(renderer) for axes in figure.figure.axes for text in axes.texts]
    assert len(boxes) == 5
    lapping = [(one, other) for at, one in enumerate(boxes) for other in boxes[at + 1 :] if one.overlaps(other)]
    assert lapping == []


@pytest.mark.parametrize("lang", ["ko", "en"])
def test_a_map_has_a_tile_per_district_with_its_number_or_mark(lang):
    made = of_seoul([0.51, 0.6, 0.7, np.nan, 0.55], 100)
    few = replace(made, provenance=replace(made.provenance, min_base=50), n_obs=np.array([100, 100, 100, 0, 20]))
    figure = ev.plot(few, kind="map", lang=lang)
    words = [text.get_text() for text in figure.figure.axes[0].texts]
    tiles = [word for word in words if "\n" in word]
    assert [tile.split("\n")[1] for tile in tiles] == ["51.0", "60.0", "70.0", "–", "[u]"]
    assert {"ko": "수 없음", "en": "no number"}[lang] in words
    picture = Image.open(io.BytesIO(figure.png()))
    assert picture.size[0] == 1120


def test_a_map_of_a_funnel_colours_only_what_lies_beyond_the_limits():
    figure = ev.plot(ev.funnel(of_seoul([0.5, 0.51, 0.9, 0.49, 0.1], 100), target=0.5), kind="map", lang="en")
    assert figure.data["side"].tolist() == [0, 0, 2, 0, -2]
    assert {"above 99.8%", "below 99.8%", "within limits"} <= {t.get_text() for t in figure.figure.axes[0].texts}


def test_a_map_shows_one_number_per_district():
    made = of_seoul([0.5, 0.6, 0.7], 100)
    twice = replace(made, keys=made.keys.assign(district=[110, 110, 140], year=[2015, 2016, 2016]))
    with pytest.raises(PublishError, match="rows differ in year"):
        ev.plot(twice, kind="map")
    with pytest.raises(PublishError, match="kind='map' to estimates by 'district'"):
        ev.plot(replace(made, keys=made.keys[["term"]]), kind="map")


# One area


def surveyed(seed=1, per_area=80):
    """Three waves in three areas, of sampling units of four."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        [(year, gu) for year in WAVES for gu in "abc" for _ in range(per_area)], columns=["year", "gu"]
    )
    frame["psu"] = np.arange(len(frame)) // 4
    frame["stratum"] = frame["gu"] + frame["year"].astype(str)
    frame["y"] = rng.normal(size=len(frame)) + frame["gu"].map({"a": 0.0, "b": 0.5, "c": 1.0})
    frame["yes"] = (rng.random(len(frame)) < 0.4).astype(float)
    frame["rare"] = (rng.random(len(frame)) < 0.2).astype(int)
    frame["w"] = rng.uniform(1, 3, len(frame))
    return frame


@pytest.fixture(scope="module")
def design():
    return ev.survey_design(surveyed(), weights="w", strata="stratum", psu="psu")


@pytest.fixture(scope="module")
def here(design):
    return ev.survey_area(design, {"gu": "b"}, wave={"year": 2016})


def test_means_of_an_area_are_those_of_its_domain(design, here):
    ours = ev.area_means(here, ["y", "yes"])
    theirs = ev.survey_mean(ev.domain(design, {"gu": "b", "year": 2016}), ["y", "yes"], deff="replace")
    np.testing.assert_array_equal(ours.vcov, theirs.vcov)
    np.testing.assert_array_equal(ours.columns["n_effective"], theirs.n_obs / theirs.columns["deff"])
    assert ours.addresses() == ["y | gu=b,year=2016", "yes | gu=b,year=2016"]


def test_the_difference_from_the_rest_is_the_contrast_of_two_domains(here):
    frame = surveyed().assign(is_here=lambda data: (data["gu"] == "b").astype(int))
    whole = ev.survey_design(frame, weights="w", strata="stratum", psu="psu")
    means = ev.survey_mean(ev.domain(whole, {"year": 2016}), "y", by="is_here")
    contrast = ev.contrast(means, {"gap": {"y | is_here=1": 1, "y | is_here=0": -1}})
    difference = ev.area_difference(here, "y")
    assert difference.estimate == pytest.approx(contrast.estimate, **TIGHT)
    assert difference.std_error == pytest.approx(contrast.std_error, **TIGHT)
    gap = difference.columns["mean_here"] - difference.columns["mean_elsewhere"]
    assert difference.estimate == pytest.approx(gap, **TIGHT)


def test_an_area_that_shares_sampling_units_with_the_rest_counts_them_once():
    """Units that lie in two areas make their means move together; a sum of two variances would leave that out."""
    frame = surveyed().assign(psu=lambda data: np.arange(len(data)) % 60, stratum="s")
    shared = ev.survey_area(ev.survey_design(frame, weights="w", psu="psu"), {"gu": "b"}, wave={"year": 2016})
    flagged = ev.survey_design(frame.assign(is_here=(frame["gu"] == "b").astype(int)), weights="w", psu="psu")
    means = ev.survey_mean(ev.domain(flagged, {"year": 2016}), "y", by="is_here")
    assert means.vcov[0, 1] != 0
    variance = means.vcov[0, 0] + means.vcov[1, 1] - 2 * means.vcov[0, 1]
    assert ev.area_difference(shared, "y").std_error[0] ** 2 == pytest.approx(variance, **TIGHT)


def test_the_change_is_that_since_the_wave_before_of_one_design(design, here):
    change = ev.area_change(here, "y")
    theirs = ev.survey_change(ev.domain(design, {"gu": "b"}), "y", wave="year", start=2015, end=2016)
    assert change.estimate == pytest.approx(theirs.estimate, **TIGHT)
    assert change.std_error == pytest.approx(theirs.std_error, **TIGHT)
    assert change.columns["wave_before"].tolist() == ["2015"]
    assert change.columns["refused_because"].tolist() == [""]


def test_the_first_wave_has_no_change_and_says_so(design):
    first = ev.survey_area(design, {"gu": "b"}, wave={"year": 2014})
    change = ev.area_change(first, ["y", "yes"])
    assert np.isnan(change.estimate).all()
    assert set(change.columns["refused_because"]) == {"no earlier wave in this file"}
    assert "이 파일에 앞선 조사가 없음" in repr(ev.table(change, lang="ko"))


def test_a_rare_group_is_pooled_over_its_last_waves_or_refused(design, here):
    group = ev.area_group(here, "y", group={"rare": 1}, waves=2, minimum_n=20)
    rare = ev.domain(design, {"gu": "b", "rare": 1, "year": [2015, 2016]})
    pooled = ev.pooled_waves(rare, "y", by="gu", waves=[2015, 2016], minimum_n=20)
    assert group.estimate == pytest.approx(pooled.estimate, **TIGHT)
    assert group.std_error == pytest.approx(pooled.std_error, **TIGHT)
    assert group.columns["waves_pooled"].tolist() == ["2015, 2016"]
    refused = ev.area_group(here, "y", group={"rare": 1}, waves=2, minimum_n=500)
    assert refused.columns["refused_because"].tolist() == ["fewer respondents than the stated minimum"]
    assert np.isnan(refused.estimate).all()


def test_a_rare_group_is_given_for_the_newest_year_alone(design, here):
    last = ev.area_group(here, "y", group={"rare": 1}, waves=2, newest=2016, minimum_n=20)
    assert last.estimate == pytest.approx(ev.area_group(here, "y", group={"rare": 1}, waves=2).estimate, **TIGHT)
    for year, words in ((2015, "part of the window of 2016"), (2014, "given for the window of 2016 alone")):
        before = ev.survey_area(design, {"gu": "b"}, wave={"year": year})
        refused = ev.area_group(before, "y", group={"rare": 1}, waves=2, newest=2016)
        assert refused.columns["refused_because"].tolist() == [words]
        assert np.isnan(refused.estimate).all()
        assert refused.n_obs.tolist() == [0]
        assert words in repr(ev.table(refused, lang="en"))
    assert "2016년까지 합친 조사로만 제시함" in repr(ev.table(refused, lang="ko"))
    with pytest.raises(EstimationError, match=r"got 2015, but the area is of 2016\. Give the last wave of the study"):
        ev.area_group(here, "y", group={"rare": 1}, newest=2015)


def test_a_wave_of_all_areas_names_itself_and_counts_its_own(design):
    titled = replace(design, provenance=replace(design.provenance, title={"en": "Ten waves", "ko": "열 조사"}))
    made = ev.wave_means(titled, ["y", "yes"], wave={"year": 2016})
    plain = ev.survey_mean(ev.domain(design, {"year": 2016}), ["y", "yes"])
    np.testing.assert_array_equal(made.vcov, plain.vcov)
    assert made.provenance.n == (surveyed()["year"] == 2016).sum() < design.provenance.n
    assert "Ten waves: 2016" in ev.table(made, lang="en").caption
    with pytest.raises(EstimationError, match="wave must map one column to a value"):
        ev.wave_means(design, "y", wave={})


def test_a_reworded_item_has_neither_a_change_nor_the_levels_to_subtract(design, monkeypatch):
    monkeypatch.setattr("evaluation.estimation.trend.breaks_of_survey", lambda *_: {"y": {2016: "asked otherwise"}})
    change = ev.area_change(ev.survey_area(design, {"gu": "b"}, wave={"year": 2016}), ["y", "yes"])
    rows = change.tidy().set_index("term")
    assert rows.loc["y", "refused_because"] == "asked in other words in the wave before"
    assert rows.loc["y", ["estimate", "at_start", "at_end"]].isna().all()
    assert rows.loc["yes", ["estimate", "at_start", "at_end"]].notna().all()


def test_a_refused_rare_group_is_not_marked_for_its_answers_too(design):
    strict = replace(design, provenance=replace(design.provenance, min_cell=5, min_base=400))
    here = ev.survey_area(strict, {"gu": "b"}, wave={"year": 2016})
    refused = ev.area_group(here, "yes", group={"rare": 1}, minimum_n=500)
    assert refused.n_obs[0] >= 5
    assert refused.marks == [""]
    assert refused.masked().columns["refused_because"].tolist() == ["fewer respondents than the stated minimum"]
    few = replace(refused.provenance, min_cell=1_000)
    marked = ev.refuse_small(replace(ev.area_means(here, "yes"), provenance=few), minimum_n=500)
    assert marked.marks == ["[c]"]


def test_one_wave_is_enough_and_nobody_is_no_failure(design):
    first = ev.survey_area(design, {"gu": "a"}, wave={"year": 2014})
    alone = ev.area_group(first, "y", group={"rare": 1}, minimum_n=5)
    expected = ev.survey_mean(ev.domain(design, {"gu": "a", "rare": 1, "year": 2014}), "y")
    assert alone.estimate == pytest.approx(expected.estimate, **TIGHT)
    nobody = ev.area_group(first, "y", group={"rare": 7})
    assert nobody.columns["refused_because"].tolist() == ["nobody of this group was met"]
    assert nobody.n_obs.tolist() == [0]


def test_an_area_is_called_by_its_name_and_tells_who_was_asked(here):
    row = here.tidy().iloc[0]
    frame = surveyed().query("gu == 'b' and year == 2016")
    assert (row["n_obs"], row["n_psu"]) == (80, frame["psu"].nunique())
    assert row["sum"] == pytest.approx(frame["w"].sum(), **TIGHT)
    assert row["n_eff"] == pytest.approx(frame["w"].sum() ** 2 / (frame["w"] ** 2).sum(), **TIGHT)
    assert here.name("en") == "b, 2016"
    assert here.provenance.n == 240
    assert ev.table(ev.area_means(here, "y"), lang="en").title == "b, 2016: mean"


def test_areas_that_cannot_be_are_refused_with_the_next_move(design, here):
    with pytest.raises(EstimationError, match="no respondent has gu = 'd'"):
        ev.survey_area(design, {"gu": "d"}, wave={"year": 2016})
    with pytest.raises(ColumnError, match="'gu' is no number"):
        ev.survey_area(design, {"year": 2016}, wave={"gu": "b"})
    with pytest.raises(EstimationError, match="must map a column to a value"):
        ev.survey_area(design, {}, wave={"year": 2016})
    with pytest.raises(EstimationError, match=r"needs what ev\.survey_area returned"):
        ev.area_means(SimpleNamespace(), "y")
    with pytest.raises(EstimationError, match="waves must be 1 or above"):
        ev.area_group(here, "y", group={"rare": 1}, waves=0)
    for group in ("rare", {}):
        with pytest.raises(EstimationError, match="group must map a column to a value"):
            ev.area_group(here, "y", group=group)
    with pytest.raises(EstimationError, match=r"a page is about one wave, a number, got \[2015, 2016\]"):
        ev.survey_area(design, {"gu": "b"}, wave={"year": [2015, 2016]})


def test_nobody_outside_leaves_no_rest_to_compare():
    frame = surveyed().query("gu == 'b'")
    alone = ev.survey_area(ev.survey_design(frame, weights="w"), {"gu": "b"}, wave={"year": 2016})
    with pytest.raises(EstimationError, match="nobody was asked outside this area"):
        ev.area_difference(alone, "y")


def test_a_single_respondent_of_an_area_is_not_told():
    frame = pd.DataFrame({"gu": ["a"] * 40 + ["b"], "year": 2016, "y": 1.0, "psu": range(41)})
    made = ev.survey_design(frame, psu="psu")
    strict = replace(made, provenance=replace(made.provenance, min_cell=5))
    row = ev.survey_area(strict, {"gu": "b"}, wave={"year": 2016})
    assert np.isnan(row.tidy()["n_obs"].iloc[0])
    assert "1" not in repr(row).replace("2016", "")
