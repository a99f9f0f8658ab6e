"""Regressions asked for in ways that cannot be answered: each says what came, where, and what to do."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, EstimationError

N = 200


def people(**columns):
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "y": rng.normal(3, 1, N),
            "x": rng.uniform(0.5, 4, N),
            "group": rng.choice(["a", "b", "c"], N),
            "yes": rng.integers(0, 2, N),
            "rank": rng.choice([1.0, 2.0, 3.0, 4.0], N),
            "집락": (np.arange(N) % 20).astype(str),
            "my var": rng.normal(size=N),
        }
    )
    return frame.assign(**columns)


def design(**columns):
    return ev.survey_design(people(**columns), psu="집락")


def glm(covariates="x", **arguments):
    columns = arguments.pop("data", {})
    return ev.survey_glm(design(**columns), **{"outcome": "y", "covariates": covariates, **arguments})


def one(value, at=5, of="x"):
    return {of: np.where(np.arange(N) == at, value, people()[of])}


@pytest.mark.parametrize(
    ("covariates", "message"),
    [
        ("~ x|group", r"several sides or parts, expected one right-hand side"),
        ("~ y ~ x", r"the outcome is an argument of its own"),
        ("y ~ x", r"begins with a tilde: '~ x'"),
        ("~ my var", r"no operator stands between 'my' and 'var'.*backticks: `my var`\.$"),
        ("~ x +", r"'\+' has nothing on one of its sides"),
        ("~ (x", r"has no partner"),
        ("~ x @ group", r"'@' is no operator"),
        ("~ x + 1.5", r"I\(x \+ 1\.5\)"),
        ("~ sqrt(x)", r"calls sqrt\(\), which is no function here\. Write np\.sqrt\(\.\.\.\)"),
        ("~ factor(group)", r"Write C\(\.\.\.\)"),
        ("~ __import__('os')", r"calls __import__\(\), which is no function here"),
        ("~ __import__('os').system('true')", r"cannot be read|which is no function|neither a column nor a function"),
        ("~ x.values", r"neither a column nor a function.*`x\.values`"),
        ("~ log(group)", r"'log\(group\)' needs numbers, but 'group' is text"),
        ("~ log(`group`)", r"'log\(`group`\)' needs numbers"),
        ("~ I(x^2)", r"A power is written x\*\*2"),
        (None, r"covariates must be names of columns, got None \(NoneType\)"),
        (3, r"covariates must be names of columns, got 3 \(int\)"),
        ([3], r"data\.rename\(columns=\{3: 'name'\}\)"),
        ("", r"covariates must be names of columns, got ''"),
        (["y", "x"], r"outcome 'y' is among its own covariates"),
        ("~ log(y)", r"outcome 'y' is among its own covariates"),
    ],
)
def test_a_formula_that_cannot_be_read_says_why_in_plain_words(covariates, message):
    with pytest.raises(ColumnError, match=message) as raised:
        glm(covariates)
    assert not any(
        word in str(raised.value) for word in ("\x1b", "column_0", "Unable to evaluate", "evaluation context")
    )


def test_splines_and_polynomials_give_the_regression_of_their_columns():
    data = people()
    square = ev.survey_glm(design(square=data["x"] ** 2), outcome="y", covariates="~ x + square")
    curve = glm("~ poly(x, 2)")
    wanted = pd.DataFrame({"x": [1.0, 2.5], "square": [1.0, 6.25]})
    ours, theirs = ev.predictions(curve, wanted[["x"]]), ev.predictions(square, wanted)
    assert ours.estimate == pytest.approx(theirs.estimate, rel=1e-9)
    assert ours.std_error == pytest.approx(theirs.std_error, rel=1e-9)
    slope, wanted_slope = ev.marginal_effects(curve), glm("~ x + I(x**2)")
    assert slope.estimate == pytest.approx(ev.marginal_effects(wanted_slope, "x").estimate, rel=1e-7)
    assert [len(glm(f"~ {term}")) for term in ("bs(x, df=4)", "scale(x)", "center(x)")] == [5, 2, 2]


def test_a_column_called_like_our_own_alias_is_not_mixed_up():
    fit = glm("~ column_0 + `my var`", data={"column_0": people()["x"]})
    assert fit.keys["term"].tolist() == ["(Intercept)", "column_0", "my var"]
    assert fit.estimate == pytest.approx(glm(["x", "my var"]).estimate)


@pytest.mark.parametrize(
    ("columns", "arguments", "message"),
    [
        (one(np.inf), {}, r"'x' is infinite in 1 of 200 rows of the data \(first: data row 6, x = inf\)"),
        (one(0.0), {"covariates": "~ log(x)"}, r"no finite number in 1 of 200 rows.*data row 6, x = 0.*log\(x \+ 1\)"),
        (one(-1.0), {"covariates": "~ np.sqrt(x)"}, r"no finite number in 1 of 200 rows.*x = -1"),
        (one(np.inf, of="y"), {}, r"outcome 'y' is infinite in 1 of 200 rows \(first: data row 6, inf\)"),
        (one(1e200, of="y"), {}, r"too large to be squared"),
        ({"off": np.where(np.arange(N) == 3, np.inf, 0.0)}, {"offset": "off"}, r"offset 'off' is infinite in 1 of 200"),
        (one(0.0), {"covariates": "my var", "offset": "~ log(x)"}, r"the offset '~ log\(x\)' gives no finite number"),
    ],
)
def test_numbers_that_are_infinite_are_named_with_their_row_and_nothing_else_warns(columns, arguments, message):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ColumnError, match=message) as raised:
            glm(**{"covariates": "x", "data": columns, **arguments})
    assert len(raised.value.failures) == 1


def test_an_infinite_number_of_somebody_who_is_not_in_the_regression_does_not_matter():
    missing = {"y": np.where(np.arange(N) == 5, np.nan, people()["y"])}
    assert glm(data={**one(np.inf), **missing}).n_obs[0] == N - 1


def test_covariates_too_large_to_be_squared_are_not_called_constant():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ColumnError, match=r"'x' reaches .*e\+200, too large to be squared"):
            glm(data={"x": people()["x"] * 1e200})


def test_an_outcome_that_nobody_answered_is_missing_and_no_text():
    with pytest.raises(EstimationError, match=r"'y' is missing for every respondent who counts"):
        glm(data={"y": None})


@pytest.mark.parametrize(
    "fit",
    [
        lambda: glm("~ C(집락)"),
        lambda: ev.survey_ordinal(design(), outcome="rank", covariates="~ C(집락)"),
        lambda: ev.survey_multinomial(design(), outcome="group", covariates="~ C(집락) + x"),
    ],
)
def test_as_many_coefficients_as_sampling_units_leave_no_error_to_estimate(fit):
    with pytest.raises(EstimationError, match=r"coefficients, but the design has 19 degrees of freedom.*at most 19"):
        fit()


@pytest.mark.parametrize("offset", [["x"], 3, ""])
def test_an_offset_is_the_name_of_a_column(offset):
    with pytest.raises(ColumnError, match=r"offset must be the name of one column"):
        glm("my var", offset=offset)


@pytest.mark.parametrize(
    ("family", "move"),
    [("quasibinomial", "family='binomial'.*quasibinomial"), ("Gamma", "family='gamma'"), ("normal", "'gaussian'")],
)
def test_families_called_as_elsewhere_are_told_their_name_here(family, move):
    with pytest.raises(EstimationError, match=rf"got '{family}'\. Write .*{move}"):
        glm(outcome="yes", family=family)


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ([1, 1, 2, 3, 4], r"levels names '1' twice"),
        (3, r"levels must list the outcome's values from lowest to highest, got 3"),
        ("1234", r"levels must list the outcome's values"),
        ([[1]], r"single values, got \[1\]"),
        ([1, 2, 3], r"'rank' holds 4, which is not among levels \(1, 2, 3\)\."),
        (["1", "2", "3", "4"], r"write them without quotes, levels=\[1, 2, 3, 4\]"),
    ],
)
def test_levels_of_an_ordered_outcome_are_listed_once_each(levels, message):
    with pytest.raises(ColumnError, match=message) as raised:
        ev.survey_ordinal(design(), outcome="rank", covariates="x", levels=levels)
    assert "float64" not in str(raised.value)


@pytest.mark.parametrize("verb", ["survey_ordinal", "survey_multinomial"])
def test_a_level_that_nobody_has_and_one_outside_the_domain_change_nothing(verb):
    text = people()["rank"].map({1.0: "low", 2.0: "middle", 3.0: "high", 4.0: "other"})
    category = pd.Categorical(text, ["low", "middle", "high", "unused", "other"], ordered=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        part = ev.domain(design(answer=category), {"answer": ["low", "middle", "high"]})
        fit = getattr(ev, verb)(part, outcome="answer", covariates="x")
    assert fit.levels == ("low", "middle", "high")


def test_the_reference_of_numbered_categories_is_named_by_its_number():
    fits = [ev.survey_multinomial(design(), outcome="rank", covariates="x", reference=two) for two in (2, 2.0, "2")]
    assert {fit.levels for fit in fits} == {("2", "1", "3", "4")}


@pytest.mark.parametrize(
    ("at", "message"),
    [
        (3, r"at must list what 'x' is set to, got 3 \(int\)\. Write at=\[3\]"),
        (["a"], r"'x' is a number in the regression, and at holds 'a'"),
        ([np.inf], r"at holds inf"),
        ([1, 1.0], r"at names 1.0 twice"),
        ([], r"names no value"),
    ],
)
def test_predictive_margins_are_set_to_numbers_that_are_listed(at, message):
    with pytest.raises(EstimationError, match=message):
        ev.predictive_margins(glm(["x", "group"]), "x", at=at)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variables": 3}, r"variables must be names of columns, got 3"),
        ({"by": 3}, r"by must be names of columns, got 3"),
        ({"variables": ["x", "x"]}, r"variables names 'x' twice"),
        ({"by": ["group", "group"]}, r"by names 'group' twice"),
    ],
)
def test_marginal_effects_of_what_is_no_name(arguments, message):
    with pytest.raises(ColumnError, match=message):
        ev.marginal_effects(glm(["x", "group"]), **arguments)


@pytest.mark.parametrize("name", ["term", "estimate", "level"])
def test_a_covariate_called_like_a_column_of_results_is_refused_not_lost(name):
    fit = glm(["x", name], data={name: people()["group"]})
    with pytest.raises(ColumnError, match=rf"a column of results is called '{name}' already"):
        ev.predictions(fit, pd.DataFrame({"x": [1.0, 1.0], name: ["a", "b"]}))


def test_predictions_for_rows_that_are_alike_are_told_apart_by_their_number():
    fit, alike = glm(["x", "group"]), pd.DataFrame({"x": [1.0, 1.0], "group": ["a", "a"]})
    assert len(set(ev.predictions(fit, alike).addresses())) == 2
    assert "row" not in ev.predictions(fit, alike.head(1)).keys


def test_new_data_that_give_no_finite_number_are_refused_with_their_rows():
    with pytest.raises(ColumnError, match=r"no finite number in 2 of 3 rows of new_data") as raised:
        ev.predictions(glm("~ log(x)"), pd.DataFrame({"x": [1.0, 0.0, -1.0]}))
    assert len(raised.value.failures) == 2


def limited(**columns):
    it = design(**columns)
    return replace(it, provenance=replace(it.provenance, min_cell=5, min_base=30))


def test_a_prediction_for_a_group_of_four_is_masked_where_it_is_their_own_mean():
    group = np.where(np.arange(N) < 4, "few", np.where(np.arange(N) % 2, "a", "b"))
    fit = ev.survey_glm(limited(group=group), outcome="y", covariates="group")
    found = ev.predictions(fit, pd.DataFrame({"group": ["a", "b", "few"]}))
    assert found.base_sizes.tolist() == [98, 98, 4]
    assert found.marks == ["", "", "[c]"]
    assert np.isnan(found.masked().estimate[2])


def test_a_prediction_rests_on_the_smallest_group_that_a_term_makes():
    few = np.where(np.arange(N) < 6, "few", "many")
    sex = np.where(np.arange(N) % 2, "man", "woman")
    ask = pd.DataFrame({"few": ["few", "many"], "sex": ["man", "man"], "x": [1.0, 1.0]})
    asked = {
        formula: ev.survey_glm(limited(few=few, sex=sex), outcome="y", covariates=formula)
        for formula in ("~ few + sex", "~ few * sex", "~ few * x", "~ x")
    }
    bases = {formula: ev.predictions(fit, ask).base_sizes.tolist() for formula, fit in asked.items()}
    assert bases == {"~ few + sex": [6, 100], "~ few * sex": [3, 97], "~ few * x": [6, 194], "~ x": [200, 200]}


def test_numbers_with_two_values_are_groups_too_and_each_category_rests_on_the_same_people():
    rare = (np.arange(N) < 8).astype(float)
    it = limited(rare=rare)
    line = ev.survey_glm(it, outcome="y", covariates="rare")
    assert ev.predictions(line, pd.DataFrame({"rare": [0.0, 1.0]})).base_sizes.tolist() == [192, 8]
    several = ev.survey_multinomial(it, outcome="group", covariates="rare")
    assert ev.predictions(several, pd.DataFrame({"rare": [1.0]})).marks == ["[u]", "[u]", "[u]"]


def test_predictions_of_the_respondents_themselves_are_masked_alike():
    group = np.where(np.arange(N) < 4, "few", "many")
    found = ev.predictions(ev.survey_glm(limited(group=group), outcome="y", covariates="group"))
    assert [mark != "" for mark in found.marks] == [True] * 4 + [False] * (N - 4)


def test_negative_weights_are_refused():
    negative = replace(design(), weights=np.where(np.arange(N) < 3, -0.5, 1.0))
    for call in (
        lambda: ev.survey_glm(negative, outcome="y", covariates="x"),
        lambda: ev.survey_ordinal(negative, outcome="rank", covariates="x"),
        lambda: ev.survey_multinomial(negative, outcome="group", covariates="x"),
    ):
        with pytest.raises(EstimationError, match=r"3 respondents have negative ones"):
            call()
