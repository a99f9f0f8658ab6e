"""Comparisons that cannot be made say so, with rows and the next move; missing covariates are never silent."""

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, DesignError, EstimationError, IdentificationError, SeparationError
from evaluation.regression import fitting

COVARIATES = ["age", "income", "sex", "district"]
WHO = {"treatment": "joined", "covariates": COVARIATES}
BALANCERS = [ev.propensity_weights, ev.entropy_balance, ev.cbps]
EFFECTS = [ev.ipw, ev.aipw, ev.ipwra, ev.g_computation, ev.regression_adjusted]


@pytest.fixture(scope="module")
def respondents():
    rng = np.random.default_rng(5)
    n = 400
    frame = pd.DataFrame(
        {
            "age": rng.normal(45, 12, n).round(),
            "income": rng.lognormal(5, 0.4, n),
            "sex": rng.choice(["f", "m"], n),
            "district": rng.choice(["north", "south", "west"], n),
        }
    )
    frame["joined"] = (rng.uniform(size=n) < 1 / (1 + np.exp(-0.04 * (frame["age"] - 45)))).astype(int)
    frame["trust"] = 3 + 0.02 * frame["age"] + 0.4 * frame["joined"] + rng.normal(0, 1, n)
    frame["stays"] = rng.integers(0, 2, n)
    return frame


def every_verb(frame, outcome="trust", **options):
    """Return a call of every verb that adjusts."""
    design, arguments = ev.survey_design(frame), {**WHO, **options}
    calls = [lambda verb=verb: verb(design, **arguments) for verb in BALANCERS]
    return [*calls, *(lambda verb=verb: verb(design, outcome=outcome, **arguments) for verb in EFFECTS)]


# --- covariates that cannot serve -----------------------------------------------------------------------------

DISGUISES = {
    "a copy": (lambda frame: frame.assign(sex=frame["joined"]), "'sex' is the treatment in disguise"),
    "its opposite in words": (
        lambda frame: frame.assign(sex=np.where(frame["joined"] == 1, "b", "c")),
        "'sex' is the treatment in disguise",
    ),
    "levels of one group each": (
        lambda frame: frame.assign(district=np.where(frame["joined"] == 1, "north", frame["sex"])),
        "'district' tells for certain who participates",
    ),
    "numbers apart": (
        lambda frame: frame.assign(age=frame["age"] + 500 * frame["joined"]),
        "'age' tells for certain who participates",
    ),
    "one level": (lambda frame: frame.assign(district="north"), "'district' is north for all 400 respondents"),
    "one number": (lambda frame: frame.assign(age=7.0), "'age' is 7 for all 400 respondents"),
}


@pytest.mark.parametrize("name", list(DISGUISES))
def test_a_covariate_that_is_the_treatment_or_says_nothing_is_refused(respondents, name):
    change, message = DISGUISES[name]
    for call in every_verb(change(respondents)):
        with pytest.raises(IdentificationError, match=message):
            call()


def test_the_treatment_is_no_covariate_of_a_formula_either(respondents):
    for call in every_verb(respondents, covariates="~ age + log(income) * joined"):
        with pytest.raises(ColumnError, match="'joined' is the treatment and cannot be a covariate too"):
            call()


def test_collinear_covariates_are_named(respondents):
    for call in every_verb(respondents.assign(months=respondents["age"] * 12), covariates=["age", "months"]):
        with pytest.raises(IdentificationError, match=": months is constant or a combination of the covariates before"):
            call()


def test_fewer_participants_than_covariates(respondents):
    few = respondents.assign(joined=(respondents.index < 5).astype(int))
    for call in every_verb(few):
        with pytest.raises(IdentificationError, match=r"participants \(1\) are 5 respondents, .* 6 coeff") as caught:
            call()
        assert len(caught.value.failures) == 5


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (lambda frame: frame.index % 3, r"must have two values .* has 3 \(0, 1, 2\)"),
        (lambda frame: np.zeros(len(frame), dtype=int), r"must have two values .* has 1 \(0\)"),
        (lambda frame: frame["joined"] + 1, r"holds 1, 2\. Recode it to 1 for participants"),
        (lambda frame: np.full(len(frame), np.nan), "all missing"),
    ],
)
def test_a_treatment_without_two_values_is_refused(respondents, values, message):
    for call in every_verb(respondents.assign(joined=values(respondents))):
        with pytest.raises(ColumnError, match=message):
            call()


# --- no overlap -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def without_others_in_the_west(respondents):
    moved = (respondents["district"] == "west") & (respondents["joined"] == 0)
    return respondents.assign(district=respondents["district"].where(~moved, "north"))


def test_separation_names_the_column_and_whose_participation_is_certain(without_others_in_the_west):
    frame = without_others_in_the_west
    design = ev.survey_design(frame)
    for call in (
        lambda: ev.propensity_weights(design, **WHO),
        lambda: ev.cbps(design, **WHO, estimand="ATE"),
        lambda: ev.aipw(design, outcome="trust", **WHO),
    ):
        with pytest.raises(SeparationError, match=r"'district\[T.west\]' separates participants .* overlap") as caught:
            call()
        assert set(caught.value.failures["district"]) == {"west"}
        assert len(caught.value.failures) == (frame["district"] == "west").sum()


def test_a_level_that_a_group_does_not_have_cannot_be_balanced(without_others_in_the_west):
    design = ev.survey_design(without_others_in_the_west)
    for verb in (ev.entropy_balance, ev.cbps):
        with pytest.raises(
            IdentificationError, match=r"'district\[T.west\]' is the same for everybody in the comparison group \(0\)"
        ):
            verb(design, **WHO)


def test_a_level_that_the_target_does_not_have_leaves_weights_of_nothing(without_others_in_the_west):
    frame = without_others_in_the_west
    with pytest.raises(IdentificationError, match=r"participants \(1\) meets .* weigh nothing .*west") as caught:
        ev.entropy_balance(ev.survey_design(frame), **WHO, estimand="ATC")
    assert set(caught.value.failures["district"]) == {"west"}
    inside = ev.domain(ev.survey_design(frame), {"district": ["north", "south"]})
    assert ev.entropy_balance(inside, **WHO, estimand="ATC").weights[frame["district"] == "west"].sum() == 0


def test_participants_outside_what_the_others_span_are_proved_and_explained(respondents):
    apart = respondents.assign(age=respondents["age"] + 25 * respondents["joined"])
    for verb in (ev.entropy_balance, ev.cbps):
        with pytest.raises(
            IdentificationError, match=r"no weights of zero and above .*'age' has mean .* reached"
        ) as caught:
            verb(ev.survey_design(apart), **WHO)
        row = caught.value.failures.set_index("covariate").loc["age"]
        assert not row["lowest"] <= row["target"] <= row["highest"]
    with pytest.raises(IdentificationError, match="no weights of zero and above"):
        ev.aipw(ev.survey_design(apart), outcome="trust", **WHO, balancing="entropy")


def test_an_outcome_model_that_does_not_exist_names_group_and_column(respondents, without_others_in_the_west):
    west = (respondents["joined"] == 1) & (respondents["district"] == "west")
    sure = respondents.assign(stays=respondents["stays"].where(~west, 1))
    for verb in (ev.aipw, ev.ipwra, ev.g_computation):
        with pytest.raises(
            SeparationError, match=r"participants \(1\): 'district\[T.west\]' separates .*gaussian"
        ) as caught:
            verb(ev.survey_design(sure), outcome="stays", **WHO)
        assert caught.value.failures.index.tolist() == respondents.index[west].tolist()
    with pytest.raises(IdentificationError, match=r"comparison group \(0\): district\[T.west\] is constant or"):
        ev.g_computation(ev.survey_design(without_others_in_the_west), outcome="trust", **WHO)


def test_a_search_that_does_not_end_is_an_error(respondents, monkeypatch):
    monkeypatch.setattr(fitting, "MAXIMUM_STEPS", 2)
    with pytest.raises(EstimationError, match="propensity_weights: participation: the regression did not converge"):
        ev.propensity_weights(ev.survey_design(respondents), **WHO)
    with pytest.raises(EstimationError, match="cbps: participation: the regression did not converge"):
        ev.cbps(ev.survey_design(respondents), **WHO, estimand="ATE")


def test_weights_of_zero_are_nobody_and_negative_ones_are_refused(respondents):
    halved = respondents.assign(w=np.where(respondents.index % 2 == 0, 2.0, 0.0))
    for verb in BALANCERS:
        made = verb(ev.survey_design(halved, weights="w"), **WHO)
        alone = verb(ev.survey_design(halved[halved["w"] > 0], weights="w"), **WHO)
        np.testing.assert_allclose(made.weights[::2], alone.weights, rtol=1e-9)
        assert (made.weights[1::2] == 0).all()
    below = ev.calibrate(ev.survey_design(respondents), {"total": 400, "income": respondents["income"].sum() * 2.2})
    assert below.weights.min() < 0
    for verb in BALANCERS:
        with pytest.raises(EstimationError, match="needs weights of zero and above"):
            verb(below, **WHO)


# --- missing values -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gaps(respondents):
    return respondents.assign(
        age=respondents["age"].where(respondents.index % 10 != 0),
        district=respondents["district"].where(respondents.index % 16 != 3),
    )


def test_missing_covariates_are_refused_with_columns_rows_and_three_ways_out(gaps):
    lost = gaps["age"].isna() | gaps["district"].isna()
    for call in every_verb(gaps):
        with pytest.raises(ColumnError, match=r"'age' for 40, 'district' for 25; first: data row 1") as caught:
            call()
        for way in ("missing='indicator'", "missing='complete_cases'", "with_imputations", "16.2 %"):
            assert way in str(caught.value)
        assert caught.value.failures.index.tolist() == gaps.index[lost].tolist()


def test_complete_cases_are_those_who_have_everything_and_the_rest_is_counted(gaps):
    whole = gaps.dropna()
    for verb in EFFECTS:
        made = verb(ev.survey_design(gaps), outcome="trust", **WHO, missing="complete_cases")
        alone = verb(ev.survey_design(whole), outcome="trust", **WHO)
        np.testing.assert_allclose(made.estimate, alone.estimate, rtol=1e-9)
        assert made.fit["n_left_out"] == len(gaps) - len(whole)
        assert made.fit["missing"] == "complete_cases"
    for verb in BALANCERS:
        made = verb(ev.survey_design(gaps), **WHO, missing="complete_cases")
        alone = verb(ev.survey_design(whole), **WHO)
        np.testing.assert_allclose(made.weights[made.weights != 0], alone.weights, rtol=1e-9)
        assert ev.balancing_of(made).groups.n_left_out == len(gaps) - len(whole)


def test_an_indicator_keeps_everybody_and_is_what_one_would_make_by_hand(gaps):
    by_hand = gaps.assign(
        age=gaps["age"].fillna(0.0), no_age=gaps["age"].isna().astype(int), district=gaps["district"].fillna("unknown")
    )
    covariates = ["age", "no_age", "income", "sex", "district"]
    for verb in EFFECTS:
        made = verb(ev.survey_design(gaps), outcome="trust", **WHO, missing="indicator")
        other = verb(ev.survey_design(by_hand), outcome="trust", treatment="joined", covariates=covariates)
        np.testing.assert_allclose(made.estimate, other.estimate, rtol=1e-9)
        np.testing.assert_allclose(made.std_error, other.std_error, rtol=1e-7)
        assert made.fit["n_left_out"] == 0
    for verb in BALANCERS:
        made = verb(ev.survey_design(gaps), **WHO, missing="indicator")
        other = verb(ev.survey_design(by_hand), treatment="joined", covariates=covariates)
        np.testing.assert_allclose(made.weights, other.weights, rtol=1e-8)
        formula = verb(
            ev.survey_design(gaps),
            treatment="joined",
            covariates="~ age + income + sex + district",
            missing="indicator",
        )
        np.testing.assert_allclose(formula.weights, made.weights, rtol=1e-8)


def test_covariates_missing_for_the_same_respondents_share_one_indicator(gaps):
    twice = gaps.assign(
        tenure=(gaps["income"] / 10).where(gaps["age"].notna()), sex=gaps["sex"].where(gaps["age"].notna())
    )
    made = ev.entropy_balance(
        ev.survey_design(twice), treatment="joined", covariates=["age", "tenure", "sex"], missing="indicator"
    )
    terms = ev.balancing_of(made).groups.participation.terms
    assert [term for term in terms if "missing" in term] == ["age missing"]
    one = ev.entropy_balance(
        ev.survey_design(twice), treatment="joined", covariates=["sex", "age", "tenure"], missing="indicator"
    )
    np.testing.assert_allclose(one.weights, made.weights, rtol=1e-7)


def test_missing_outcomes_stay_a_domain_and_a_missing_treatment_is_asked_about(respondents):
    some = respondents.assign(trust=respondents["trust"].where(respondents.index % 5 != 0))
    assert ev.aipw(ev.survey_design(some), outcome="trust", **WHO).fit["n_left_out"] == 80
    nobody_knows = respondents.assign(joined=respondents["joined"].where(respondents.index % 4 != 1))
    for missing in ("refuse", "indicator"):
        for call in every_verb(nobody_knows, missing=missing):
            with pytest.raises(ColumnError, match=r"'joined' is missing for 100 of 400 \(25.0 %\) .* data row 2\)"):
                call()
    for call in every_verb(nobody_knows, missing="complete_cases"):
        call()
    inside = ev.domain(ev.survey_design(nobody_knows), {"joined": [0, 1]})
    assert (ev.entropy_balance(inside, **WHO).weights[1::4] == 0).all()


# --- arguments ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "options", "message"),
    [
        (ev.propensity_weights, {"estimand": "LATE"}, "estimand must be one of"),
        (ev.propensity_weights, {"propensity": "plain"}, "propensity must be 'weighted' or 'unweighted'"),
        (ev.entropy_balance, {"estimand": "ATO"}, "'ATO' is defined by the propensity score"),
        (ev.cbps, {"estimand": "ATM"}, "'ATM' is defined by the propensity score"),
        (ev.entropy_balance, {"missing": "drop"}, "missing must be one of"),
        (ev.entropy_balance, {"moments": 3}, "moments must be 1"),
        (ev.entropy_balance, {"squares": ["age"]}, "goes with moments=2"),
        (ev.entropy_balance, {"moments": 2, "squares": ["sex"]}, "no numeric covariate"),
        (ev.entropy_balance, {"moments": 2, "squares": ["agee"]}, "Did you mean 'age'"),
    ],
)
def test_arguments_are_checked(respondents, verb, options, message):
    with pytest.raises((EstimationError, ColumnError), match=message):
        verb(ev.survey_design(respondents), **{**WHO, **options})


def test_ways_to_balance_are_checked(respondents):
    design = ev.survey_design(respondents)
    with pytest.raises(EstimationError, match="balancing must be one of"):
        ev.aipw(design, outcome="trust", **WHO, balancing="ebal")
    with pytest.raises(EstimationError, match="Use balancing='propensity'"):
        ev.ipwra(design, outcome="trust", **WHO, estimand="ATM", balancing="entropy")
    with pytest.raises(EstimationError, match="Use ipw, aipw or ipwra"):
        ev.g_computation(design, outcome="trust", **WHO, estimand="ATM")
    with pytest.raises(DesignError, match="needs a design"):
        ev.entropy_balance(respondents, **WHO)
