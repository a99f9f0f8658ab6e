"""Ladder and decomposition as figures: one row per step, bounds as one open bar, words in both languages."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Rectangle

import evaluation as ev

made = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("handmade_participants.py"))))

GIVEN = {"outcome": "stays", "treatment": "joined", "covariates": ["age", "sex"]}


@pytest.fixture
def design():
    return made.design_of(made.respondents())


def labels_of(axes):
    return [label.get_text().replace("\n", " ") for label in axes.get_yticklabels()]


def open_bars(axes):
    return [patch for patch in axes.patches if isinstance(patch, Rectangle)]


def legend(figure):
    return [text.get_text() for each in figure.figure.legends for text in each.get_texts()]


def inside(figure):
    """Tell whether every text lies on the sheet."""
    figure.png()
    renderer = figure.figure.canvas.get_renderer()
    width, height = figure.figure.bbox.width, figure.figure.bbox.height
    labels = [label for axes in figure.figure.axes for label in axes.get_yticklabels()]
    boxes = [text.get_window_extent(renderer) for text in [*labels, *figure.figure.texts]]
    return all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height for box in boxes)


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_the_bounds_are_one_open_bar_below_the_rungs(design, lang):
    result = ev.effect_ladder(design, **GIVEN)
    figure = ev.plot(result, lang=lang)
    axes = figure.figure.axes[0]
    assert len(labels_of(axes)) == len(result) - 1
    assert labels_of(axes)[-1] == {"en": "sensitivity bounds", "ko": "민감도 범위"}[lang]
    (bar,) = open_bars(axes)
    assert [bar.get_x(), bar.get_x() + bar.get_width()] == pytest.approx(result.estimate[-2:].tolist())
    assert bar.get_y() + bar.get_height() / 2 == pytest.approx(len(result) - 2)
    low, high = axes.get_xlim()
    limits = result.confidence_interval()
    assert low < limits[-2, 0]
    assert limits[-1, 1] < high
    assert any("Λ = 1.5" in words for words in legend(figure))
    assert len(figure.data) == len(result)
    assert inside(figure)


def test_each_kind_of_rung_has_its_own_mark(design):
    figure = ev.plot(ev.effect_ladder(design, **GIVEN), lang="en")
    stages = dict(zip(figure.data["method"], figure.data["stage"], strict=True))
    assert stages["explained"] == "explained"
    assert stages["overlap"] == "other_people"
    assert stages["entropy"] == stages["aipw"] == "adjusted"
    assert stages["raw"] == stages["unweighted"] == "unadjusted"
    assert len(legend(figure)) == 5


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_a_decomposition_has_bounds_behind_what_they_bound_and_covariates_in_a_panel_of_their_own(design, lang):
    result = ev.decompose_gap(design, comparator_outcome="city", **GIVEN)
    figure = ev.plot(result, lang=lang)
    first, second = figure.figure.axes
    main = figure.data[~figure.data["part"].str.startswith("explained:")]
    assert main["part"].tolist() == [
        *("gap", "item_mismatch", "others_against_all", "selection_and_effect"),
        *("selection", "selection_low", "selection_high", "explained", "effect", "effect_low", "effect_high"),
        "remainder",
    ]
    assert labels_of(second) == ["age", "sex"]
    assert len(labels_of(first)) == len(main) - 2
    assert len(open_bars(first)) == 2
    assert not open_bars(second)
    assert second.get_xlim() != first.get_xlim()
    assert inside(figure)


def test_a_published_gap_and_a_linear_decomposition_are_drawn_too(design):
    published = ev.plot(made.published(), lang="en")
    assert len(labels_of(published.figure.axes[0])) == 7
    linear = ev.plot(ev.oaxaca_blinder(design, **GIVEN, threefold=True), lang="en")
    assert labels_of(linear.figure.axes[0]) == [
        *("the gap", "explained by composition (linear regression)", "not explained by composition"),
        *("of which differing coefficients", "of which interaction"),
    ]


def test_known_values_stand_beside_their_parts(design):
    truth = pd.DataFrame({"term": "stays", "part": ["gap", "effect"], "truth": [0.2, 0.1]})
    figure = ev.plot(ev.decompose_gap(design, comparator_outcome="city", **GIVEN), lang="en", reference=truth)
    known = dict(zip(figure.data["part"], figure.data["reference"], strict=True))
    assert (known["gap"], known["effect"]) == (0.2, 0.1)
    assert np.isnan(known["effect_low"])
