"""Love plot of several methods and mirrored overlap: what is drawn, what the caption says, what is left out."""

import numpy as np
import pandas as pd
import pytest

import evaluation as ev

COVARIATES = ["age", "sex", "district"]
GROUPS = {"treatment": "joined", "covariates": COVARIATES}


def methods_of(frame):
    design = ev.survey_design(frame, weights="w", strata="stratum", psu="psu")
    return {"by score": ev.propensity_weights(design, **GROUPS), "by entropy": ev.entropy_balance(design, **GROUPS)}


def words(figure):
    axes = figure.figure.axes[0]
    return [label.get_text() for label in axes.get_yticklabels()]


def test_every_method_has_its_marks_and_the_limit_a_line(respondents):
    made = ev.balance_table(methods_of(respondents))
    figure = ev.plot(made, lang="en")
    axes = figure.figure.axes[0]
    assert words(figure) == ["age", "sex: f", "sex: m", "district: a", "district: b", "district: c"]
    legend = [text.get_text() for part in figure.figure.legends for text in part.get_texts()]
    assert legend == ["unweighted", "survey weights", "by score", "by entropy", "limit 0.1"]
    drawn = [line for line in axes.lines if len(line.get_xdata()) == 6]
    for line, method in zip(drawn, made.verdicts["method"], strict=True):
        own = made.by_method[made.by_method["method"] == method]
        np.testing.assert_allclose(line.get_xdata(), own["smd"].abs())
    assert [list(line.get_xdata()) for line in axes.lines].count([0.1, 0.1]) == 1
    assert "divided by the standard deviation of participants" in figure.caption
    ess = made.verdicts.set_index("method").loc["by entropy", "ess_comparison"]
    assert f"by entropy {made.verdicts['ess_participants'].iloc[-1]:.0f} / {ess:.0f}" in figure.caption


def test_of_many_rows_those_that_differ_most_are_drawn_and_the_others_counted(respondents):
    made = ev.balance_table(methods_of(respondents), squares=True, interactions=True)
    many = pd.concat([made.by_method.assign(covariate=made.by_method["covariate"] + mark) for mark in ("", "_2", "_3")])
    size = many.groupby(["covariate", "level"], sort=False)["smd"].agg(lambda own: own.abs().max())
    assert len(size) > 40
    wide = type(made)(many.reset_index(drop=True), made.verdicts, made.estimands, 0, made.provenance)
    figure = ev.plot(wide, lang="ko")
    assert len(words(figure)) == 40
    assert f"{len(size) - 40}행" in figure.caption
    assert len(figure.data) == len(many)
    drawn = figure.data[figure.data["row"].isin(words(figure))]
    left = figure.data[~figure.data["row"].isin(words(figure))]
    assert drawn.groupby("row")["abs_smd"].max().min() >= left["abs_smd"].max() - 1e-12


@pytest.mark.parametrize(("lang", "word"), [("en", "outside the other group's range"), ("ko", "점수 범위 밖")])
def test_the_overlap_says_who_has_no_counterpart_and_the_largest_weight(respondents, lang, word):
    result = ev.overlap(methods_of(respondents)["by entropy"])
    caption = ev.plot(result, lang=lang).caption
    rows = result.groups
    assert word in caption
    assert f"{100 * rows['share_outside'].iloc[1]:.1f}%" in caption
    assert f"{100 * rows['largest_weight_share'].iloc[1]:.1f}%" in caption


def test_pictures_are_the_same_on_every_run(respondents):
    made = ev.balance_table(methods_of(respondents))
    assert ev.plot(made, lang="en").png() == ev.plot(made, lang="en").png()


@pytest.mark.parametrize(("lang", "verdict"), [("en", "balanced"), ("ko", "균형")])
def test_the_table_of_methods_ends_with_their_verdicts(respondents, lang, verdict):
    made = ev.balance_table(methods_of(respondents))
    table = ev.table(made, lang=lang)
    last = table.frame.iloc[-1]
    assert last.iloc[0] == verdict
    yes = {"en": ("yes", "no"), "ko": ("예", "아니요")}[lang]
    assert list(last.iloc[1:]) == [yes[0] if ok else yes[1] for ok in made.verdicts["is_balanced"]]
    assert len(table.frame) == made.by_method[["covariate", "level"]].drop_duplicates().shape[0] + 5
    assert len(table.data) == len(made.by_method)
