"""Figures of subgroups and of tests against margins: every row stands, with what was left out and why."""

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import PublishError
from evaluation.publication import read_published


def found(**more):
    rng = np.random.default_rng(1)
    n = 400
    frame = pd.DataFrame(
        {"psu": np.repeat(np.arange(40), 10), "joined": rng.integers(0, 2, n), "age": rng.normal(size=n)}
    )
    frame["place"] = np.array(["north", "south", "islands"])[np.minimum(np.arange(n) // 195, 2)]
    frame["trust"] = 5 + 0.5 * frame["joined"] + rng.normal(size=n)
    frame["hope"] = 50 + 20 * rng.normal(size=n)
    options = {"outcome": "trust", "treatment": "joined", "by": "place", "covariates": "age", **more}
    return ev.subgroup_effects(ev.survey_design(frame, psu="psu"), **options)


def texts(figure):
    return [text.get_text() for axes in figure.figure.axes for text in axes.texts]


def test_a_forest_has_a_row_for_everybody_and_for_every_subgroup():
    result = found()
    figure = ev.plot(result, lang="en")
    overall, places = figure.figure.axes
    assert [label.get_text() for label in overall.get_yticklabels()] == ["overall"]
    labels = [label.get_text().replace("\n", " ") for label in places.get_yticklabels()]
    assert labels == ["islands (too few in a group)", "north", "south"]
    assert len(figure.data) == len(result)
    drawn = np.concatenate([line.get_xdata() for line in places.lines if line.get_marker() == "o"])
    adjusted = result.tidy().query("subgroup == 'place' and method == 'aipw'")["estimate"]
    np.testing.assert_allclose(drawn, adjusted)


def test_respondents_and_adjusted_p_values_stand_beside_the_bars():
    result = found()
    figure = ev.plot(result, lang="en")
    north = result.tidy().query("level == 'north' and method == 'aipw'").iloc[0]
    assert {"n", "p (Holm)", "195"} <= set(texts(figure))
    assert (f"{north['p_holm']:.3f}" if north["p_holm"] >= 0.001 else "<0.001") in texts(figure)
    assert f"heterogeneity p = {north['p_heterogeneity']:.3f}" in figure.figure.axes[1].get_title(loc="left")
    assert "Holm-adjusted p-value (doubly robust)" in figure.caption


def test_nothing_beside_the_bars_leaves_the_sheet():
    for lang in ("ko", "en"):
        figure = ev.plot(found(), lang=lang).figure
        figure.canvas.draw()
        width = figure.get_size_inches()[0] * figure.dpi
        boxes = [text.get_window_extent() for axes in figure.axes for text in axes.texts]
        assert max(box.x1 for box in boxes) <= width
        assert min(box.x0 for box in boxes) >= max(axes.get_window_extent().x1 for axes in figure.axes)


def test_outcomes_of_other_units_keep_their_own_scale():
    one, both = ev.plot(found()), ev.plot(found(outcome=["trust", "hope"]))
    assert len({axes.get_xlim() for axes in one.figure.axes}) == 1
    assert len({axes.get_xlim() for axes in both.figure.axes}) > 1


def test_the_same_result_gives_the_same_bytes():
    result = found(method="raw")
    assert ev.plot(result, lang="ko").png() == ev.plot(result, lang="ko").png()


def test_known_values_are_refused_in_a_forest():
    with pytest.raises(PublishError, match="no room for known values"):
        ev.plot(found(), reference={"trust": 1.0})


def test_what_is_shown_is_full_and_margins_are_lines():
    figure = ev.plot(ev.equivalence_test(found(method="raw"), margin=0.7), lang="en")
    axes = figure.figure.axes[0]
    assert {line.get_xdata()[0] for line in axes.lines if line.get_color() == "#D55E00"} == {-0.7, 0.7}
    assert "90% intervals" in figure.caption
    assert figure.title == "Differences and the margins of equivalence: trust"
    assert figure.data["row"].tolist() == ["overall", "place · north", "place · south"]
    full = [line for line in axes.lines if line.get_marker() == "o" and line.get_markerfacecolor() == "#0072B2"]
    assert sum(len(line.get_xdata()) for line in full) == (figure.data["conclusion"] == "shown").sum()
    assert "비열등성" in ev.plot(ev.non_inferiority_test(found(), margin=0.1), lang="ko").title


def test_what_was_published_is_drawn_and_laid_out_again(tmp_path, monkeypatch):
    result = found()
    monkeypatch.setenv("EVALUATION_RUN", str(tmp_path))
    monkeypatch.setenv("EVALUATION_STEP", "comparison")
    ev.publish("subgroups", result)
    again = read_published(tmp_path)["subgroups"]
    assert ev.table(again, lang="en").frame.equals(ev.table(result, lang="en").frame)
    assert texts(ev.plot(again, lang="en")) == texts(ev.plot(result, lang="en"))
