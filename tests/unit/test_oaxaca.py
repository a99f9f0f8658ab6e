"""The linear decomposition of a gap: what it adds up to, what changes nothing, and the effect it is equal to."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, EstimationError, IdentificationError

made = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("handmade_participants.py"))))

SAME = 1e-12
#: Two routes through different linear algebra.
IDENTITY = 1e-10
DERIVATIVE = 1e-6
STEP = 1e-5
REFERENCES = ["comparison", "participants", "pooled", "omega", "average"]
GIVEN = {"outcome": "stays", "treatment": "joined", "covariates": ["age", "sex", "town"]}


@pytest.fixture
def respondents():
    frame = made.respondents()
    frame["town"] = np.random.default_rng(5).choice(["a", "b", "c"], len(frame))
    return frame


def parted(design, **options):
    return ev.oaxaca_blinder(design, **{**GIVEN, **options})


def by_part(result, column="estimate"):
    return dict(zip(result.keys["part"], result.tidy()[column], strict=True))


def columns_of(frame):
    dummies = [frame["sex"] == "m", frame["town"] == "b", frame["town"] == "c"]
    return np.column_stack([np.ones(len(frame)), frame["age"], *dummies]).astype(float)


def least_squares(x, y, w):
    return np.linalg.solve((x * w[:, None]).T @ x, (x * w[:, None]).T @ y)


@pytest.mark.parametrize("reference", REFERENCES)
def test_the_explained_part_is_the_difference_in_means_at_the_reference_coefficients(respondents, reference):
    x, y, w = columns_of(respondents), respondents["stays"].to_numpy(), respondents["w"].to_numpy()
    joined = respondents["joined"].to_numpy() == 1
    own = {g: least_squares(x[joined == g], y[joined == g], w[joined == g]) for g in (False, True)}
    valued = {
        "comparison": own[False],
        "participants": own[True],
        "average": (own[False] + own[True]) / 2,
        "omega": least_squares(x, y, w),
        "pooled": least_squares(np.column_stack([x, joined]), y, w)[:-1],
    }[reference]
    apart = np.average(x[joined], axis=0, weights=w[joined]) - np.average(x[~joined], axis=0, weights=w[~joined])
    parts = by_part(parted(made.design_of(respondents), reference=reference))
    assert parts["explained"] == pytest.approx(apart @ valued, abs=IDENTITY)
    assert parts["explained:age"] == pytest.approx(apart[1] * valued[1], abs=IDENTITY)
    assert parts["explained:town"] == pytest.approx(apart[3:] @ valued[3:], abs=IDENTITY)
    raw = ev.group_difference(made.design_of(respondents), outcome="stays", treatment="joined")
    assert parts["gap"] == pytest.approx(raw.estimate[0], abs=SAME)
    assert parts["explained"] + parts["unexplained"] == pytest.approx(parts["gap"], abs=SAME)


def test_the_gap_has_the_error_of_the_raw_difference(respondents):
    design = made.design_of(respondents)
    raw = ev.group_difference(design, outcome="stays", treatment="joined")
    assert by_part(parted(design), "std_error")["gap"] == pytest.approx(raw.std_error[0], rel=IDENTITY)


@pytest.mark.parametrize("outcome", ["stays", "age"])
def test_what_is_not_explained_is_the_effect_of_linear_g_computation_with_its_error(respondents, outcome):
    covariates = ["sex", "town"]
    design = made.design_of(respondents)
    given = {"outcome": outcome, "treatment": "joined", "covariates": covariates}
    rest = parted(design, **given).take(np.array([len(parted(design, **given)) - 1]))
    alone = ev.g_computation(design, **given, family="gaussian", estimand="ATT")
    assert rest.keys["part"].tolist() == ["unexplained"]
    assert rest.estimate[0] == pytest.approx(alone.estimate[0], abs=IDENTITY)
    assert rest.std_error[0] == pytest.approx(alone.std_error[0], rel=IDENTITY)
    other = by_part(parted(design, **given, reference="participants"))["unexplained"]
    control = ev.g_computation(design, **given, family="gaussian", estimand="ATC")
    assert other == pytest.approx(control.estimate[0], abs=IDENTITY)


def test_the_shares_of_covariates_add_up_with_their_covariance(respondents):
    result = parted(made.design_of(respondents))
    parts = by_part(result)
    shares = [name for name in parts if name.startswith("explained:")]
    assert shares == ["explained:age", "explained:sex", "explained:town"]
    assert sum(parts[name] for name in shares) == pytest.approx(parts["explained"], abs=SAME)
    sums = np.array([0.0, -1, 1, 1, 1, 0])
    assert sums @ result.vcov @ sums == pytest.approx(0, abs=1e-16)


def test_the_reference_level_of_a_covariate_changes_nothing(respondents):
    first = parted(made.design_of(respondents))
    respondents["town"] = respondents["town"].map({"a": "z", "b": "b", "c": "c"})
    last = parted(made.design_of(respondents))
    assert last.estimate == pytest.approx(first.estimate, abs=IDENTITY)
    assert last.std_error == pytest.approx(first.std_error, rel=IDENTITY)


def test_units_order_and_scale_of_the_weights_change_nothing(respondents):
    plain = parted(made.design_of(respondents))
    moved = respondents.assign(age=1e5 * respondents["age"] - 7, w=1e6 * respondents["w"])
    moved = moved.sample(frac=1, random_state=1).reset_index(drop=True)
    again = parted(made.design_of(moved))
    assert again.estimate == pytest.approx(plain.estimate, abs=1e-9)
    assert again.std_error == pytest.approx(plain.std_error, rel=1e-8)


def test_the_three_folds_add_up(respondents):
    result = parted(made.design_of(respondents), threefold=True)
    parts = by_part(result)
    assert parts["coefficients"] + parts["interaction"] == pytest.approx(parts["unexplained"], abs=SAME)
    participants = by_part(parted(made.design_of(respondents), reference="participants"))
    assert parts["interaction"] == pytest.approx(participants["explained"] - parts["explained"], abs=SAME)
    assert parts["coefficients"] == pytest.approx(participants["unexplained"], abs=SAME)


@pytest.mark.parametrize("reference", REFERENCES)
def test_influence_is_the_numerical_derivative_of_every_part(respondents, reference):
    options = {"reference": reference, "threefold": reference == "comparison"}
    result = parted(made.design_of(respondents), **options)
    influence = result.influence
    for row in (0, 9, 40):
        ends = []
        for step in (STEP, -STEP):
            moved = respondents.copy()
            moved.loc[row, "w"] *= 1 + step
            ends.append(parted(made.design_of(moved), **options).estimate)
        slope = (ends[0] - ends[1]) / (2 * STEP)
        assert influence[row] == pytest.approx(slope, abs=DERIVATIVE * np.abs(influence).max())


def test_replicates_give_nearly_the_same_errors(respondents):
    design = made.design_of(respondents)
    jackknife = parted(ev.as_replicates(design, kind="JKn"))
    assert jackknife.std_error == pytest.approx(parted(design).std_error, rel=0.15)


def test_an_answer_in_words_is_the_share_of_its_second_level(respondents):
    numbers = parted(made.design_of(respondents))
    said = respondents.assign(stays=respondents["stays"].map({0.0: "goes", 1.0: "stays"}))
    words = parted(made.design_of(said))
    assert words.estimate == pytest.approx(numbers.estimate, abs=SAME)
    assert words.std_error == pytest.approx(numbers.std_error, rel=1e-9)


def test_errors_go_through_a_weighting_chain(respondents):
    size = respondents["w"].sum()
    raked = ev.rake(made.design_of(respondents), {"sex": {"f": 0.55 * size, "m": 0.45 * size}})
    rest = parted(raked, covariates=["age"])
    alone = ev.g_computation(
        raked, outcome="stays", treatment="joined", covariates=["age"], family="gaussian", estimand="ATT"
    )
    assert rest.estimate[-1] == pytest.approx(alone.estimate[0], abs=IDENTITY)
    assert rest.std_error[-1] == pytest.approx(alone.std_error[0], rel=IDENTITY)
    assert rest.influence.shape == (len(respondents), len(rest))


def test_without_shares_there_are_three_rows(respondents):
    result = parted(made.design_of(respondents), by_covariate=False)
    assert result.keys["part"].tolist() == ["gap", "explained", "unexplained"]


def test_a_formula_names_its_terms(respondents):
    result = parted(made.design_of(respondents), covariates="~ C(town) + age + {age**2}")
    shares = [part for part in result.keys["part"] if part.startswith("explained:")]
    assert len(shares) == 3
    with pytest.raises(IdentificationError, match="with an intercept"):
        parted(made.design_of(respondents), covariates="~ 0 + age")


def test_what_cannot_be_decomposed_is_refused(respondents):
    design = made.design_of(respondents)
    with pytest.raises(EstimationError, match="Did you mean 'pooled'"):
        parted(design, reference="poled")
    with pytest.raises(EstimationError, match="Leave reference out, or threefold=False"):
        parted(design, reference="pooled", threefold=True)
    with pytest.raises(ColumnError, match="'joined' is the treatment"):
        parted(design, covariates=["joined"])
    alone = respondents.assign(rare=np.where(respondents["joined"] == 1, respondents["age"].round(), 40.0))
    with pytest.raises(IdentificationError, match="model of the outcome among 0"):
        parted(made.design_of(alone), covariates=["rare"])


@pytest.mark.parametrize(("lang", "words"), [("en", "of which town"), ("ko", "그중 town")])
def test_tables_say_the_parts_in_words(respondents, lang, words):
    shown = repr(ev.table(parted(made.design_of(respondents)), lang=lang))
    assert words in shown
