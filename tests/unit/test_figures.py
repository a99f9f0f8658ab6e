import hashlib
import io
import logging
import os
import re
import runpy
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from evaluation.errors import ColumnError, PublishError
from evaluation.figures.canvas import theme, wrapped
from evaluation.figures.comparison import draw_margins
from evaluation.figures.distributions import draw_weights
from evaluation.figures.plotting import plot

HANDMADE = Path(__file__).with_name("handmade_results.py")
made = SimpleNamespace(**runpy.run_path(str(HANDMADE)))
kinds = SimpleNamespace(**runpy.run_path(str(HANDMADE.with_name("handmade_figures.py"))))
WEIGHTS = np.linspace(10.0, 60.0, 183)


def drawn(kind, lang):
    if kind == "weights":
        return draw_weights(np.full(183, 33.8), WEIGHTS, made.PROVENANCE, upper=55.0, lang=lang)
    if kind == "margins":
        return draw_margins(made.MARGINS, made.PROVENANCE, lang=lang)
    return plot({**made.ALL, **kinds.ALL}[kind], lang=lang)


KINDS = [*sorted(made.ALL), *sorted(kinds.ALL), "weights", "margins"]
WITHOUT_INTERVAL = {"weights", "margins"} | kinds.WITHOUT_INTERVAL


def ink_at_the_border(png):
    """Whether anything but background touches the edge of the picture."""
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("L"))
    return bool((pixels[[0, 1, -2, -1], :] < 250).any() or (pixels[:, [0, 1, -2, -1]] < 250).any())


@pytest.mark.parametrize("lang", ["ko", "en"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_letter_has_a_glyph_and_nothing_is_cut_off(kind, lang, caplog):
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        figure = drawn(kind, lang)
        png = figure.png()
    assert caplog.text == ""
    assert not ink_at_the_border(png)
    assert png.startswith(b"\x89PNG")


def test_the_check_for_missing_glyphs_can_fail():
    with pytest.warns(UserWarning, match="Glyph"):
        plot(made.MEANS, title="\U0001f600\u0e01", lang="ko").png()


@pytest.mark.parametrize("lang", ["ko", "en"])
@pytest.mark.parametrize("kind", KINDS)
def test_survey_n_and_weight_stand_inside_the_picture(kind, lang):
    figure = drawn(kind, lang)
    written = " ".join(text.get_text().replace("\n", " ") for text in figure.figure.texts)
    assert figure.caption in written
    for part in (made.PROVENANCE.title[lang], "n = 183", "pw"):
        assert part in figure.caption
    assert ("95%" in figure.caption) == (kind not in WITHOUT_INTERVAL)


def test_all_labels_of_a_figure_lie_inside_it_and_beside_the_panel():
    figure = drawn("mixed", "ko")
    figure.png()
    renderer = figure.figure.canvas.get_renderer()
    width, height = figure.figure.bbox.width, figure.figure.bbox.height
    labels = [label for axes in figure.figure.axes for label in axes.get_yticklabels()]
    assert any("\n" in label.get_text() for label in labels)
    for text in [*labels, *figure.figure.texts]:
        box = text.get_window_extent(renderer)
        assert 0 <= box.x0 < box.x1 <= width
        assert 0 <= box.y0 < box.y1 <= height


def test_lines_break_between_words_but_never_inside_n_equals():
    with theme():
        lines = wrapped("aaaa bbbb n = 183 " + "가" * 60, 1.0, "label")
    assert "n = 183" in [part for line in lines for part in [line[line.find("n") :]]]
    assert "".join(lines).count("가") == 60
    assert len(lines) > 5


def test_two_fresh_processes_draw_the_same_bytes():
    program = (
        "import runpy, hashlib, sys; from evaluation.figures.plotting import plot; "
        "from evaluation.figures.comparison import draw_margins; "
        f"m = runpy.run_path({str(HANDMADE)!r}); "
        "r = [plot(m['MIXED'], lang='ko'), draw_margins(m['MARGINS'], m['PROVENANCE'], lang='ko')]; "
        "print([hashlib.sha256(b).hexdigest() for g in r for b in (g.png(), g.svg(), g.png())])"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", program], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True,
            encoding="utf-8", check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(seen) == 1


def test_a_readers_own_settings_change_neither_the_picture_nor_are_changed_by_it():
    usual = hashlib.sha256(plot(made.MEANS, lang="en").png()).hexdigest()
    with matplotlib.rc_context({"font.size": 20, "lines.linewidth": 9, "font.family": ["DejaVu Serif"]}):
        before = dict(matplotlib.rcParams)
        changed = hashlib.sha256(plot(made.MEANS, lang="en").png()).hexdigest()
        assert dict(matplotlib.rcParams) == before
    assert changed == usual


def test_a_figure_is_unknown_to_pyplot_so_a_notebook_shows_it_once():
    from matplotlib import pyplot

    drawn("means", "en")
    assert pyplot.get_fignums() == []


def test_a_picture_holds_no_date_no_software_and_its_title():
    figure = drawn("means", "ko")
    info = Image.open(io.BytesIO(figure.png())).info
    assert info["Title"] == figure.title
    assert "Software" not in info
    assert not re.search(r"<dc:date>|\d{4}-\d{2}-\d{2}T", figure.svg().decode("utf-8"))
    assert "<text" not in figure.svg().decode("utf-8")


def test_jupyter_gets_the_width_and_words_for_those_who_cannot_see_it():
    data, about = drawn("means", "en")._repr_mimebundle_()
    assert about["image/png"]["width"] == 560
    assert "n = 183" in about["image/png"]["alt"]
    assert Image.open(io.BytesIO(data["image/png"])).width == 2 * 560


def test_a_line_at_zero_is_drawn_for_contrasts_and_coefficients_only():
    def zero_lines(kind):
        lines = [line for axes in drawn(kind, "en").figure.axes for line in axes.lines]
        return [line for line in lines if list(line.get_xdata()) == [0, 0]]

    assert len(zero_lines("gap")) == 1
    assert len(zero_lines("model")) == 2
    assert zero_lines("means") == []


def test_the_intercept_is_left_out_of_the_figure_and_the_caption_says_so():
    figure = drawn("model", "en")
    assert "(Intercept)" not in figure.data["term"].tolist()
    assert "intercept not drawn" in figure.caption


def test_terms_of_one_size_share_a_panel_and_others_get_their_own():
    assert len(drawn("means", "en").figure.axes) == 1
    assert len(drawn("mixed", "en").figure.axes) == 3


def test_known_values_are_drawn_by_address_and_by_frame():
    by_address = plot(made.MEANS, reference={"api00": 664.7}, reference_label="참값", lang="ko")
    assert by_address.data["reference"].tolist()[0] == 664.7
    assert np.isnan(by_address.data["reference"].tolist()[1])
    assert [text.get_text() for text in by_address.figure.legends[0].get_texts()] == ["참값"]
    truth = pd.DataFrame({"stype": ["M", "E"], "value": [655.7, 671.6]})
    assert plot(made.BY_TYPE, reference=truth).data["reference"].fillna(0).tolist() == [671.6, 0, 655.7]


def test_a_known_value_of_something_else_is_refused():
    with pytest.raises(ColumnError, match="Did you mean 'api00'"):
        plot(made.MEANS, reference={"api0": 1.0})
    with pytest.raises(ColumnError, match="expected some of"):
        plot(made.MEANS, reference=pd.DataFrame({"x": [1]}))
    twice = pd.DataFrame({"term": ["api00", "api00"], "value": [1.0, 2.0]})
    with pytest.raises(ColumnError, match="several values") as caught:
        plot(made.MEANS, reference=twice)
    assert len(caught.value.failures) == 2


def test_the_data_of_a_weight_figure_are_counts_and_never_a_respondents_weight():
    data = drawn("weights", "en").data
    assert data.columns.tolist() == ["stage", "bin_low", "bin_high", "n"]
    assert data.groupby("stage")["n"].sum().tolist() == [183, 183]


def test_a_number_beside_weights_is_their_limit_and_beside_estimates_an_error():
    summary = SimpleNamespace(weights_before=WEIGHTS, weights_after=WEIGHTS, provenance=made.PROVENANCE)
    figure = plot(summary, reference=55, lang="en")
    assert figure.figure.legends[0].get_texts()[0].get_text() == "upper limit: 55"
    with pytest.raises(PublishError, match="not one number"):
        plot(made.MEANS, reference=55)
    with pytest.raises(PublishError, match="beside estimates only"):
        plot(summary, reference={"api00": 1.0})


def test_results_are_recognised_by_what_they_offer():
    summary = SimpleNamespace(weights_before=WEIGHTS, weights_after=WEIGHTS, provenance=made.PROVENANCE)
    assert "stage" in plot(summary).data
    comparison = SimpleNamespace(tidy=lambda: made.MARGINS, provenance=made.PROVENANCE)
    assert "target" in plot(comparison).data
    with pytest.raises(PublishError, match="got dict"):
        plot({})


def test_margins_that_no_weighting_changed_are_one_mark_against_the_population():
    unweighted = made.MARGINS.assign(after=made.MARGINS["before"])
    figure = draw_margins(unweighted, made.PROVENANCE, lang="en")
    assert figure.title == "Sample under design weights, and population"
    legend = [text.get_text() for text in figure.figure.legends[0].get_texts()]
    assert legend == ["sample, design weights", "population"]
    weighted = draw_margins(made.MARGINS, made.PROVENANCE, lang="en")
    assert [text.get_text() for text in weighted.figure.legends[0].get_texts()] == ["before", "after", "population"]
