"""What estimates are not to be asked: each wrong argument has its own words, and none passes in silence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, DesignError, EstimationError, MarginError, did_you_mean
from evaluation.estimation.arguments import require_choice, require_number


def answers(n: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    columns = {
        "y": rng.normal(5, 1, n),
        "x": rng.normal(size=n),
        "g": rng.choice(list("ab"), n),
        "area": rng.choice(list("pqrstu"), n),
        "year": np.repeat([2015, 2016], n // 2),
        "psu": np.arange(n) // 10,
        "w": rng.uniform(1, 2, n),
        "resp": rng.integers(0, 2, n),
    }
    return pd.DataFrame(columns)


FRAME = answers()
DESIGN = ev.survey_design(FRAME, weights="w", psu="psu")
OTHER = ev.survey_design(FRAME.iloc[:100], weights="w", psu="psu")
NEGATIVE = replace(DESIGN, weights=np.where(np.arange(200) < 3, -1.0, 1.5))
MEANS = ev.survey_mean(DESIGN, "y", by="g")
FIT = ev.survey_glm(DESIGN, outcome="y", covariates=["x", "g"])
BY_AREA = ev.survey_mean(DESIGN, "y", by="area")
AREAS = pd.DataFrame({"area": list("pqrstu"), 7: [1.0, 2, 3, 2, 5, 1]})


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ev.survey_mean(DESIGN, 3.5), ColumnError, r"variables must be the name of a column or a list"),
        (lambda: ev.survey_mean(DESIGN, 3), ColumnError, r"no column '3' in the data"),
        (lambda: ev.survey_mean(DESIGN, "y", by=3.5), ColumnError, r"by must be the name of a column.*got 3\.5"),
        (lambda: ev.survey_mean(DESIGN, "y", by=[None]), ColumnError, r"by must list names of columns, got None"),
        (lambda: ev.survey_mean(DESIGN, ["y", "y"]), ColumnError, r"names 'y' twice"),
        (lambda: ev.survey_trend(DESIGN, "y", time="year", by=3.5), ColumnError, r"survey_trend: by must be the name"),
        (lambda: ev.survey_ratio(DESIGN, "y", "y"), EstimationError, r"'y' over itself is 1"),
        (lambda: ev.survey_covariance(DESIGN, ["x", "y", "x"]), ColumnError, r"names 'x' twice"),
        (lambda: ev.r_indicator(DESIGN, responded="resp", covariates=["g", "g"]), ColumnError, r"names 'g' twice"),
        (lambda: ev.pooled_waves(DESIGN, "y", by=None), EstimationError, r"by names no area"),
        (lambda: ev.pooled_waves(DESIGN, "y", by="area", waves=2015), EstimationError, r"waves must list two values"),
        (
            lambda: ev.pooled_waves(DESIGN, "y", by="area", waves=["2015", "2016"]),
            EstimationError,
            r"It has the number 2015, but the text '2015' came",
        ),
        (lambda: ev.pooled_waves(DESIGN, "y", by="area", minimum_n="a"), EstimationError, r"got minimum_n='a'"),
        (lambda: ev.refuse_small(MEANS, minimum_df=None), EstimationError, r"minima must be 0 or above"),
        (lambda: ev.term_test(FIT, None), EstimationError, r"terms must be a term or a list of terms, got None"),
        (lambda: ev.term_test(FIT, 3), EstimationError, r"terms must be a term or a list of terms, got 3"),
        (lambda: ev.term_test(FIT, "g", method=[]), EstimationError, r"no method \[\]"),
        (lambda: ev.term_test(FIT, "g", df="a"), EstimationError, r"term_test: df must be a number above 0, got 'a'"),
        (lambda: ev.term_test(FIT, "g", df=-1), EstimationError, r"df must be a number above 0, got -1"),
        (lambda: ev.survey_prop(DESIGN, "g", df=np.nan), EstimationError, r"df must be a number above 0, got nan"),
        (lambda: ev.survey_quantile(DESIGN, "y", df=0), EstimationError, r"df must be a number above 0, got 0"),
    ],
)
def test_names_and_degrees_of_freedom_of_another_kind_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ev.survey_mean(DESIGN, "y", listwise="no"), r"survey_mean: listwise must be True or False, got 'no'"),
        (lambda: ev.survey_mean(DESIGN, "y", deff="no"), r"survey_mean: deff must be True, False or 'replace'"),
        (lambda: ev.survey_total(DESIGN, "y", deff=0), r"survey_total: deff must be True, False or 'replace'"),
        (lambda: ev.small_sample_df(MEANS, DESIGN, enlarge_errors="no"), r"enlarge_errors must be True or False"),
        (lambda: ev.response_rates(DESIGN, disposition="resp", weighted="no"), r"weighted must be True or False"),
        (lambda: ev.survey_ttest(DESIGN, "y", mu="a"), r"mu must be a number, got 'a'"),
        (lambda: ev.survey_ttest(DESIGN, "y", conf_level="a"), r"conf_level must lie between 0 and 1, got 'a'"),
        (lambda: ev.survey_quantile(DESIGN, "y", probabilities=["a"]), r"between 0 and 1, got \['a'\]"),
        (lambda: ev.survey_quantile(DESIGN, "y", probabilities="half"), r"between 0 and 1, got \['half'\]"),
        (lambda: ev.survey_quantile(DESIGN, "y", probabilities=[0.5, 0.5]), r"holds a number twice"),
        (lambda: ev.survey_quantile(DESIGN, "y", rule=[]), r"rule must be one of math"),
        (lambda: ev.survey_arop(DESIGN, "y", bandwidth="a"), r"bandwidth.* must be a number above 0, got 'a'"),
        (lambda: ev.survey_arop(DESIGN, "y", bandwidth=np.inf), r"bandwidth.* must be a number above 0, got inf"),
        (lambda: ev.survey_arop(DESIGN, "y", share=60), r"not above 1, got quantile=0\.5 and share=60"),
        (lambda: ev.survey_chisq(DESIGN, "g", "area", statistic=[]), r"statistic must be one of F"),
        (lambda: ev.fay_herriot(BY_AREA, AREAS, minimum_df="a"), r"minimum_df must be a number of 0 or more, got 'a'"),
        (lambda: ev.survey_chisq(NEGATIVE, "g", "area"), r"survey_chisq needs weights of zero and above, but 3"),
        (lambda: ev.survey_prop(NEGATIVE, "g", interval="beta"), r"interval='beta' needs weights of zero and above"),
        (lambda: ev.design_effects(NEGATIVE, "y"), r"design_effects needs weights of zero and above, but 3"),
        (lambda: ev.domain(DESIGN, {"year": "2015"}), r"year = '2015'\. It has the number 2015, but the text '2015'"),
        (lambda: ev.domain(DESIGN, {"year": lambda year: year > 2015}), r"expected values of year, got a function"),
    ],
)
def test_flags_numbers_and_weights_of_another_kind_are_refused(call, message):
    with pytest.raises(EstimationError, match=message) as caught:
        call()
    assert " at 0x" not in str(caught.value)


@pytest.mark.parametrize(
    ("contrasts", "message"),
    [
        ({"gap": {}}, r"contrast 'gap' names no row"),
        ({"gap": {"y | g=a": np.nan}}, r"the coefficient of 'y \| g=a' must be a number, got nan"),
        ({"gap": {"y | g=a": "one"}}, r"must be a number, got 'one'"),
        ({"": {"y | g=a": 1}}, r"expected a label for every contrast, got ''"),
        (["gap"], r"expected a mapping of label to coefficients, got \['gap'\]"),
    ],
)
def test_a_contrast_names_rows_with_numbers(contrasts, message):
    with pytest.raises(EstimationError, match=message):
        ev.contrast(MEANS, contrasts)
    with pytest.raises(EstimationError, match=message):
        ev.small_sample_df(MEANS, DESIGN, contrasts=contrasts)


def test_contrasts_combine_results_and_have_labels():
    with pytest.raises(EstimationError, match=r"contrast combines results .* got DataFrame"):
        ev.contrast(MEANS.tidy(), {"gap": {"y | g=a": 1}})
    with pytest.raises(EstimationError, match=r"nonlinear_contrast combines results .* got int"):
        ev.nonlinear_contrast(3, {"gap": "`y | g=a`"})
    with pytest.raises(EstimationError, match="nonlinear_contrast: expected a label"):
        ev.nonlinear_contrast(MEANS, {"": "`y | g=a`"})
    with pytest.raises(EstimationError, match=r"names must map words to rows, got \['b'\]"):
        ev.nonlinear_contrast(MEANS, {"gap": "b"}, names=["b"])


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (lambda rank: np.where(rank > 0.5, np.nan, rank), r"of 200 are missing or infinite \(lowest: at rank 0\.5"),
        (lambda rank: rank[:5], r"200 were given, shape \(5,\) came back"),
        (lambda rank: ["a"] * len(rank), r"but it fails: could not convert"),
        (lambda rank, other: rank, r"but it fails: .*missing 1 required positional argument"),
        ([], r"no test \[\]"),
    ],
)
def test_own_scores_give_every_rank_a_number(score, message):
    with pytest.raises(EstimationError, match=message):
        ev.survey_ranktest(DESIGN, "y", "g", test=score)


def test_small_samples_are_judged_by_the_design_they_were_drawn_with():
    with pytest.raises(DesignError, match="survey_mean was made from another design"):
        ev.small_sample_df(MEANS, OTHER)
    assert len(ev.small_sample_df(MEANS, DESIGN)) == 2


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ev.with_imputations(None, ev.survey_mean), DesignError, r"needs a list of designs.*got NoneType"),
        (lambda: ev.with_imputations(DESIGN, ev.survey_mean), DesignError, r"needs a list of designs.*got Design"),
        (lambda: ev.with_imputations([DESIGN, DESIGN], None), EstimationError, r"must be a function of a design"),
        (
            lambda: ev.with_imputations([DESIGN, OTHER], lambda design: ev.survey_mean(design, "y")),
            EstimationError,
            r"design 2 is of another sample than the first",
        ),
        (
            lambda: ev.combine_imputations([MEANS, ev.survey_mean(OTHER, "y", by="g")]),
            EstimationError,
            r"result 2 is of another sample than the first",
        ),
        (lambda: ev.combine_imputations(None), EstimationError, r"needs a list of results"),
        (lambda: ev.combine_imputations(MEANS), EstimationError, r"needs a list of results"),
        (lambda: ev.combine_imputations([MEANS, MEANS], complete_df="a"), EstimationError, r"above 0, got 'a'"),
        (lambda: ev.imputed_designs([FRAME, FRAME], weight="w"), DesignError, r"'weight'\. Did you mean 'weights'"),
        (lambda: ev.imputed_designs([DESIGN, DESIGN], weights="w"), DesignError, r"is a Design, expected a DataFrame"),
        (lambda: ev.imputed_designs(FRAME, {"y": "y"}), DesignError, r"expected a list of columns for 'y'.*got 'y'"),
        (lambda: ev.imputed_designs(FRAME, ["y"]), DesignError, r"columns must map names to lists"),
        (lambda: ev.imputed_designs(None), DesignError, r"got NoneType"),
    ],
)
def test_imputations_are_of_one_sample_and_come_in_a_list(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_group_is_not_called_like_a_column_of_results():
    named = replace(
        DESIGN, data=FRAME.assign(quantity=FRAME["g"], threshold=FRAME["g"], deff=FRAME["g"], cv=FRAME["g"])
    )
    for verb in (ev.r_indicator, ev.partial_r_indicators):
        with pytest.raises(ColumnError, match="a column of results is called 'quantity' already"):
            verb(named, responded="resp", covariates="g", by="quantity")
    with pytest.raises(ColumnError, match="called 'threshold' already"):
        ev.survey_arop(named, "y", by="threshold")
    with pytest.raises(ColumnError, match="called 'deff' already"):
        ev.survey_mean(named, "y", by="deff", deff=True)
    with pytest.raises(ColumnError, match="called 'cv' already"):
        ev.weight_distribution(named, by="cv")
    assert len(ev.survey_mean(named, "y", by="deff")) == 2


def test_columns_called_by_numbers_are_understood():
    frame = FRAME.rename(columns={"y": 0, "g": 1})
    design = ev.survey_design(frame, weights="w", psu="psu")
    assert ev.survey_mean(design, 0, by=1).estimate.tolist() == MEANS.estimate.tolist()
    fitted = ev.fay_herriot(BY_AREA, AREAS)
    again = ev.fay_herriot(BY_AREA, AREAS.rename(columns={7: "income"}))
    assert fitted.estimate.tolist() == again.estimate.tolist()
    assert list(fitted.fit["coefficients"]) == ["(Intercept)", "7"]
    with pytest.raises(ColumnError, match="two columns of covariates are called '7'"):
        ev.fay_herriot(BY_AREA, AREAS.assign(**{"7": 1.0}))


def test_numbers_of_numpy_are_numbers():
    narrow = ev.survey_mean(DESIGN, "y", conf_level=np.float32(0.9))
    expected = ev.survey_mean(DESIGN, "y", conf_level=0.9)
    assert narrow.confidence_interval() == pytest.approx(expected.confidence_interval(), rel=1e-6)
    assert require_number(np.int64(3), "it", above=0) == 3.0
    for wrong in (True, np.nan, "3", None, 0):
        with pytest.raises(EstimationError, match="it must be a number above 0"):
            require_number(wrong, "it", above=0)
    with pytest.raises(EstimationError, match=r"it must be one of mean, score, got 'means'\. Did you mean 'mean'\?"):
        require_choice("means", ("mean", "score"), "it")


@pytest.mark.parametrize(("method", "name"), [("wald", "Wald"), ("lrt", "LRT"), ("WORKING_LRT", "LRT")])
def test_capitals_do_not_matter_to_the_name_of_a_test(method, name):
    assert ev.term_test(FIT, "g", method=method).p_value == ev.term_test(FIT, "g", method=name).p_value


def test_respondents_without_weight_need_no_value_in_a_margin():
    frame = pd.DataFrame({"sex": ["f", "m", "f", None], "w": [1.0, 2.0, 1.0, 0.0]})
    compared = ev.margin_comparison(ev.survey_design(frame, weights="w"), {"sex": {"f": 5, "m": 5}}).tidy()
    assert compared["before"].tolist() == [0.5, 0.5]
    assert compared["n_obs"].tolist() == [2, 1]


def test_margins_of_few_respondents_are_not_shown_nor_what_would_tell_them():
    frame = pd.DataFrame({"g": ["a"] * 40 + ["b"] * 17 + ["c"] * 3})
    design = ev.survey_design(frame)
    design = replace(design, provenance=replace(design.provenance, min_cell=5))
    compared = ev.margin_comparison(design, {"g": {"a": 50, "b": 30, "c": 20}}).tidy()
    assert compared["mark"].tolist() == ["", "[c]", "[c]"]
    assert compared["target"].tolist() == [0.5, 0.3, 0.2]
    assert compared[["n_obs", "before", "after"]].isna().to_numpy().tolist() == [[False] * 3, [True] * 3, [True] * 3]


def test_totals_of_numbers_have_no_levels_to_compare():
    with pytest.raises(MarginError, match=r"only totals of numbers \(x\)\. Compare means with ev\.sample_balance"):
        ev.margin_comparison(DESIGN, {"x": 100.0})


def test_ties_at_the_limit_of_the_richest_fifth_are_shared_out():
    income = [1.0, 2, 2, 3, 5, 5, 5, 5, 5]
    found = ev.survey_qsr(ev.survey_design(pd.DataFrame({"income": income})), "income")
    # A fifth of nine persons is 1.8: at the top 1.8 times 5, at the bottom 1 and 0.8 times 2.
    assert found.estimate == pytest.approx([9 / 2.6], rel=1e-12)
    assert found.std_error[0] > 0


def test_the_error_of_shared_ties_is_the_derivative_of_the_ratio():
    frame = pd.DataFrame({"income": [1.0, 2, 2, 3, 4, 5, 5, 5, 5, 7], "w": np.linspace(1, 2, 10)})
    found = ev.survey_qsr(ev.survey_design(frame, weights="w"), "income")
    moved = []
    for row in range(10):
        sides = []
        for step in (1e-6, -1e-6):
            changed = frame.assign(w=frame["w"] * np.where(np.arange(10) == row, 1 + step, 1.0))
            sides.append(float(ev.survey_qsr(ev.survey_design(changed, weights="w"), "income").estimate[0]))
        moved.append((sides[0] - sides[1]) / 2e-6)
    assert found.influence[:, 0] == pytest.approx(moved, abs=1e-6)


def test_where_all_have_the_same_nothing_is_unequal_and_nothing_is_tested():
    rows = ev.survey_gini(ev.survey_design(pd.DataFrame({"income": [3.3] * 7})), "income").tidy()
    assert rows.loc[0, ["estimate", "std_error"]].tolist() == [0.0, 0.0]
    assert rows[["statistic", "p_value"]].isna().all(axis=None)


def test_the_nearest_name_is_found_by_the_letters_of_a_syllable():
    assert did_you_mean("성벌", ["연령", "성별", "소득"]) == "Did you mean '성별'?"
    assert did_you_mean("WALD", ["lrt", "Wald"]) == "Did you mean 'Wald'?"
    assert did_you_mean(2015, ["2015", "2016"]) == "It has the text '2015', but the number 2015 came."
    assert did_you_mean("구", ["연령", "성별"]) == "Known: 연령, 성별."
