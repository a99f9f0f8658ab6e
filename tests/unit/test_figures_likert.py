"""Diverging bars and dots of doses: what is drawn where, in both languages, and what is not drawn."""

import io
import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import evaluation as ev
from evaluation.errors import PublishError
from evaluation.survey.codebook import Codebook, Variable

WORDS = [
    ("전혀 믿지 않는다", "Do not trust them at all"),
    ("별로 믿지 않는다", "Do not trust them much"),
    ("보통이다", "Neither"),
    ("어느 정도 믿는다", "Trust them somewhat"),
    ("매우 믿는다", "Trust them very much"),
]
CODES = {str(code): words for code, words in enumerate(WORDS, 1)}
BOOK = Codebook(
    {
        name: Variable(name, "ordinal", ko, en, codes=CODES, direction="higher_is_more")
        for name, ko, en in (("trust", "이웃에 대한 신뢰", "Trust in neighbours"), ("help", "도움", "Help"))
    }
)


def design_of(n=500, **limits):
    rng = np.random.default_rng(6)
    frame = pd.DataFrame({"joined": rng.integers(0, 2, n), "age": rng.normal(40, 10, n)})
    for name, shift in (("trust", 0.5), ("help", 0.1)):
        latent = 3.2 + shift * frame["joined"] + 0.03 * (frame["age"] - 40)
        frame[name] = np.clip(np.round(latent + rng.normal(0, 0.9, n)), 1, 5).astype(int)
    frame["times"] = np.where(frame["joined"] == 1, rng.integers(1, 7, n), 0)
    design = ev.survey_design(frame)
    return replace(design, provenance=replace(design.provenance, labels=BOOK, **limits))


@pytest.fixture(scope="module")
def both():
    design = design_of()
    balanced = ev.propensity_weights(design, treatment="joined", covariates=["age"])
    options = {"outcome": "trust", "treatment": "joined"}
    return {"raw": ev.likert_difference(design, **options), "adjusted": ev.likert_difference(balanced, **options)}


def written(figure):
    figure.png()
    return [text for axes in figure.figure.axes for text in axes.texts]


def nothing_overlaps(figure):
    texts = [*written(figure), *[label for axes in figure.figure.axes for label in axes.get_yticklabels()]]
    renderer = figure.figure.canvas.get_renderer()
    boxes = [text.get_window_extent(renderer) for text in texts]
    return not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


@pytest.mark.parametrize("lang", ["ko", "en"])
def test_three_bars_meet_at_the_middle_of_the_scale(both, lang):
    figure = ev.plot(both, lang=lang)
    bars = figure.data.groupby("bar", sort=False)
    assert len(bars) == 3, "participants under ATT are the same before and after"
    for _, bar in bars:
        np.testing.assert_allclose(bar["share"].sum(), 1)
        middle = bar.iloc[2]
        np.testing.assert_allclose(middle["start"] + middle["end"], 0, atol=1e-12)
    texts = [text.get_text() for legend in figure.figure.legends for text in legend.get_texts()]
    assert texts == [words[lang == "en"] for words in WORDS]
    labels = [label.get_text().replace("\n", " ") for label in figure.figure.axes[0].get_yticklabels()]
    expected = {"ko": ["참여자", "비참여자, 보정 전", "비참여자, 보정함"],
                "en": ["participants", "others, raw", "others, adjusted"]}[lang]  # fmt: skip
    assert [label.partition(" (n")[0] for label in labels] == expected
    assert {"ko": "신뢰구간", "en": "95% interval"}[lang] in figure.caption
    assert "n = 500" in figure.caption
    assert "ATT" in figure.caption


@pytest.mark.parametrize("lang", ["ko", "en"])
def test_per_cents_are_readable_and_nothing_is_cut_off(both, lang):
    figure = ev.plot(both, lang=lang)
    assert nothing_overlaps(figure)
    pixels = np.asarray(Image.open(io.BytesIO(figure.png())).convert("L"))
    assert (pixels[[0, 1, -2, -1], :] >= 250).all()
    assert (pixels[:, [0, 1, -2, -1]] >= 250).all()
    shares = figure.data["share"].to_numpy()
    wide = sorted(f"{100 * share:.0f}" for share in shares if share > 0.08)
    assert not set(wide) - {text.get_text() for text in written(figure)}
    assert figure.png() == ev.plot(both, lang=lang).png()


def test_several_items_stand_in_panels_of_their_own():
    design = design_of()
    results = {name: ev.likert_difference(design, outcome=name, treatment="joined") for name in ("trust", "help")}
    figure = ev.plot(results, lang="en")
    assert [axes.get_title(loc="left") for axes in figure.figure.axes] == ["Trust in neighbours", "Help"]
    assert all(bar.partition(" (n")[0] in ("participants", "others") for bar in figure.data["bar"])


def test_a_scale_without_a_middle_meets_between_the_answers():
    frame = pd.DataFrame({"item": [1, 2, 3, 4] * 20, "joined": [0, 1] * 40})
    frame.loc[:9, "item"] = 4
    data = ev.plot(ev.likert_difference(ev.survey_design(frame), outcome="item", treatment="joined")).data
    for _, bar in data.groupby("bar"):
        np.testing.assert_allclose([bar["end"].iloc[1], bar["start"].iloc[2]], 0, atol=1e-12)


def test_a_group_with_an_answer_too_small_to_show_is_not_drawn():
    design = design_of(min_cell=200)
    figure = ev.plot(ev.likert_difference(design, outcome="trust", treatment="joined"), lang="en")
    assert "not drawn" in figure.caption
    assert written(figure) == []


def test_what_is_no_ordered_item_is_refused(both):
    design = design_of()
    with pytest.raises(PublishError, match="likert_difference"):
        ev.plot({"a": ev.survey_mean(design, "trust"), **both})
    three = design.data.assign(short=np.minimum(design.data["trust"], 3))
    short = ev.likert_difference(ev.survey_design(three), outcome="short", treatment="joined", levels=[1, 2, 3])
    with pytest.raises(PublishError, match="different answers"):
        ev.plot({"long": both["raw"], "short": short})


@pytest.mark.parametrize("lang", ["ko", "en"])
def test_table_of_an_item_says_answers_in_words(both, lang):
    table = ev.table(both["adjusted"], lang=lang)
    cells = set(table.frame.to_numpy().ravel())
    assert {words[lang == "en"] for words in WORDS} <= cells
    assert not any("_" in str(cell) for cell in cells)
    assert {"quantity_label_ko", "quantity_label_en", "level_label_ko"} <= set(table.data.columns)


@pytest.mark.parametrize("lang", ["ko", "en"])
def test_doses_stand_below_none_with_trend_and_test_in_the_caption(lang):
    made = ev.dose_response(
        design_of(min_base=30), outcome="trust", dose="times", breaks=[1, 2, 3, 6], least=1, covariates=["age"]
    )
    figure = ev.plot(made, lang=lang)
    labels = [label.get_text() for label in figure.figure.axes[0].get_yticklabels()]
    assert len(labels) == 5
    assert {"ko": "추세", "en": "trend"}[lang] in figure.caption
    assert "95%" in figure.caption
    assert nothing_overlaps(figure)
    assert figure.data["quantity"].unique().tolist() == ["difference"]
    assert ev.table(made.equality, lang=lang).frame.shape[0] == 1
