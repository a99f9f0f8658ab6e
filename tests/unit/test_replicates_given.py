"""Replicate weights that came with the data: factor form, scales, degrees of freedom, and what is refused."""

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, DesignError, EstimationError

HAND = 1e-12
PAIRS = 6


def paired():
    rng = np.random.default_rng(8)
    stratum, psu = np.repeat(np.arange(PAIRS), 10), np.repeat(np.arange(2 * PAIRS), 5)
    frame = pd.DataFrame({"stratum": stratum, "psu": psu, "w": rng.uniform(1, 40, 10 * PAIRS)})
    return frame.assign(y=psu + rng.normal(0, 3, len(frame)), sex=rng.choice(["f", "m"], len(frame)))


def made(**kind):
    return ev.as_replicates(
        ev.survey_design(paired(), weights="w", strata="stratum", psu="psu"), **(kind or {"kind": "BRR"})
    )


def table(design):
    """Replicate weights of a design as columns, shape (n, R)."""
    return np.column_stack(list(design.replicate_weights()))


def with_columns(values=None):
    frame = paired()
    values = table(made()) if values is None else values
    return frame.assign(**{f"rep_{r + 1}": values[:, r] for r in range(values.shape[1])})


def given(frame=None, **more):
    arguments = {"weights": "w", "replicate_weights": "rep_", "kind": "BRR"}
    return ev.replicate_design(with_columns() if frame is None else frame, **{**arguments, **more})


@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        ({"kind": "BRR"}, {"kind": "BRR"}),
        ({"kind": "Fay", "rho": 0.3}, {"kind": "Fay", "rho": 0.3}),
        ({"kind": "JKn"}, {"kind": "JKn", "rscales": np.full(2 * PAIRS, 0.5)}),
        ({"kind": "SDR"}, {"kind": "ACS", "mse": True}),
        ({"kind": "bootstrap", "replicates": 30, "seed": 1}, {"kind": "bootstrap"}),
    ],
    ids=lambda value: value["kind"],
)
def test_replicates_written_out_and_read_again_are_the_same_design(kind, asked):
    before = made(**kind)
    after = given(with_columns(table(before)), **asked)
    assert after.replicates.factors.shape == (2 * PAIRS, before.replicates.count)
    assert after.replicates.factors.flags.c_contiguous
    assert after.degrees_of_freedom() == before.degrees_of_freedom() == PAIRS
    for verb in (ev.survey_mean, ev.survey_total):
        one, other = verb(before, "y", by="sex"), verb(after, "y", by="sex")
        assert other.estimate == pytest.approx(one.estimate, rel=HAND)
        assert other.vcov.ravel() == pytest.approx(one.vcov.ravel(), rel=1e-10)


def test_factors_and_weights_times_factors_are_one_design():
    frame = paired()
    factors = table(made()) / frame["w"].to_numpy()[:, None]
    combined, apart = given(), given(with_columns(factors), combined=False)
    assert ev.survey_mean(apart, "y").vcov[0, 0] == pytest.approx(ev.survey_mean(combined, "y").vcov[0, 0], rel=HAND)
    assert apart.replicates.factors.shape == (2 * PAIRS, 8)


@pytest.mark.parametrize(
    "columns",
    [
        [f"rep_{r}" for r in range(1, 9)],
        "rep_",
        r"rep_\d+",
        table(made()),
        pd.DataFrame(table(made())),
    ],
    ids=["names", "prefix", "pattern", "array", "frame"],
)
def test_replicates_are_named_in_several_ways(columns):
    assert np.array_equal(given(replicate_weights=columns).replicates.factors, given().replicates.factors)


def test_a_prefix_may_hold_what_means_something_in_a_pattern():
    frame = paired()
    frame = frame.assign(**{f"w(rep){r}": column for r, column in enumerate(table(made()).T)})
    assert given(frame, replicate_weights="w(rep)").replicates.count == 8


def test_the_weight_is_no_replicate_of_itself():
    frame = with_columns().rename(columns=lambda name: name.replace("rep_", "w"))
    assert given(frame, replicate_weights="w").replicates.count == 8


@pytest.mark.parametrize(
    ("kind", "scale"),
    [
        ({"kind": "BRR"}, 1 / 8),
        ({"kind": "Fay", "rho": 0.5}, 4 / 8),
        ({"kind": "JK1"}, 7 / 8),
        ({"kind": "JK2"}, 1),
        ({"kind": "bootstrap"}, 1 / 7),
        ({"kind": "SDR"}, 4 / 8),
        ({"kind": "ACS"}, 4 / 8),
        ({"kind": "successive-difference"}, 4 / 8),
        ({"kind": "other", "scale": 0.25}, 0.25),
        ({"kind": "bootstrap", "scale": 0.1}, 0.1),
    ],
    ids=str,
)
def test_default_scales_are_those_of_r(kind, scale):
    engine = given(**kind).engine
    assert engine.scale == pytest.approx(scale, rel=HAND)
    assert engine.rscales.tolist() == [1.0] * 8
    assert not engine.mse


def test_rows_without_weight_count_nowhere():
    frame = with_columns()
    none = frame.assign(**dict.fromkeys(["w", *(f"rep_{r}" for r in range(1, 9))], 0.0))
    both = pd.concat([none.head(7), frame], ignore_index=True)
    assert given(both).replicates.factors.shape == (2 * PAIRS, 8)
    assert given(both).degrees_of_freedom() == PAIRS
    ours = ev.survey_mean(given(both), "y")
    assert ours.n_obs[0] == len(frame)
    assert ours.std_error[0] == pytest.approx(ev.survey_mean(given(frame), "y").std_error[0], rel=HAND)


def test_factors_equal_but_for_rounding_are_one_unit():
    values = table(made()) * (1 + 1e-15 * np.random.default_rng(1).integers(-1, 2, (10 * PAIRS, 8)))
    assert given(with_columns(values)).replicates.factors.shape == (2 * PAIRS, 8)


def test_weights_rounded_by_their_publisher_still_give_the_rank():
    values = np.round(table(made(kind="bootstrap", replicates=30, seed=1)), 7)
    design = given(with_columns(values), kind="bootstrap")
    assert design.replicates.factors.shape[0] > 2 * PAIRS
    assert design.degrees_of_freedom() == PAIRS


def test_a_domain_has_the_rank_of_its_rows():
    design = given()
    # three strata are left whole: their rows sum to a constant, the others are not there
    assert ev.domain(design, {"stratum": [0, 1, 2]}).degrees_of_freedom() == 3
    assert ev.domain(design, {"psu": [0, 2]}).degrees_of_freedom() == 1


def test_given_replicates_are_weighted_again_each():
    margins = ev.margins({"sex": {"f": 500.0, "m": 700.0}})
    design = ev.poststratify(given(), margins)
    f = (design.data["sex"] == "f").to_numpy()
    assert [weights[f].sum() for weights in design.replicate_weights()] == pytest.approx([500.0] * 8, rel=HAND)
    assert design.degrees_of_freedom() == PAIRS


def test_two_sets_of_replicates_are_not_contrasted():
    other = given(with_columns(table(made())[:, [1, 0, 2, 3, 4, 5, 6, 7]]))
    with pytest.raises(EstimationError, match="different designs"):
        ev.contrast([ev.survey_mean(given(), "y"), ev.survey_mean(other, "y")], {"gap": {"y": 1}})
    gap = ev.contrast([ev.survey_mean(given(), "y"), ev.survey_ratio(given(), "w", "y")], {"gap": {"y": 1, "w/y": -1}})
    assert gap.std_error[0] > 0


def test_it_says_what_is_known_of_the_sampling_and_no_more():
    assert given().sampling.text() == "8 given replicates, 12 distinct rows of factors"
    with pytest.raises(DesignError, match="do not tell strata and PSUs"):
        ev.as_replicates(given(), kind="JK1")


# --- refused ----------------------------------------------------------------------------------------------------


def spoilt(value, row=4, column="rep_3"):
    frame = with_columns().astype({column: object}) if isinstance(value, str) else with_columns()
    frame.loc[row, column] = value
    return frame


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_a_replicate_weight_that_is_none_is_refused_with_its_row(value):
    with pytest.raises(
        DesignError, match=r"in 1 of 60 rows and 1 of 8 columns \(first: column 'rep_3', data row 5"
    ) as e:
        given(spoilt(value))
    assert e.value.failures.index.tolist() == [4]


def test_text_among_replicate_weights_is_refused_with_its_row():
    with pytest.raises(ColumnError, match=r"'rep_3' are object.*'many' in data row 5") as caught:
        given(spoilt("many"))
    assert len(caught.value.failures) == 1


def test_weights_that_look_like_factors_and_factors_that_look_like_weights_are_refused():
    factors = table(made()) / paired()["w"].to_numpy()[:, None]
    with pytest.raises(DesignError, match=r"they look like factors.*combined=False"):
        given(with_columns(factors))
    with pytest.raises(DesignError, match=r"the weight is in them already.*combined=True"):
        given(combined=False)


def test_a_row_that_lives_in_replicates_only_is_refused():
    frame = with_columns()
    frame.loc[0, "w"] = 0.0
    with pytest.raises(DesignError, match="1 rows have weight zero in 'w' but not in every replicate") as caught:
        given(frame)
    assert caught.value.failures.index.tolist() == [0]


@pytest.mark.parametrize(
    ("more", "error", "told"),
    [
        ({"replicate_weights": ["rep_1", "rep_9"]}, ColumnError, r"no column 'rep_9'.*Did you mean 'rep_"),
        ({"replicate_weights": "brr_"}, ColumnError, "no column starts as"),
        ({"replicate_weights": "rep_(9"}, DesignError, "as a regular expression it cannot be read"),
        ({"replicate_weights": ["rep_1", "rep_1"]}, DesignError, "twice"),
        ({"replicate_weights": ["rep_1", "w"]}, DesignError, "full sample's weight"),
        ({"replicate_weights": ["rep_1"]}, DesignError, "at least 2 replicates"),
        ({"replicate_weights": 8}, DesignError, "got int"),
        ({"replicate_weights": np.ones((5, 8))}, DesignError, "have 5 rows, the data 60"),
        ({"kind": "Brr"}, DesignError, "must be one of BRR"),
        ({"kind": "Fay"}, DesignError, "needs the rho"),
        ({"rho": 0.3}, DesignError, "rho belongs to kind='Fay'"),
        ({"kind": "JKn"}, DesignError, "needs rscales"),
        ({"kind": "other"}, DesignError, "needs scale"),
        ({"rscales": [1.0] * 7}, DesignError, "hold 7 numbers, but there are 8"),
        ({"rscales": [-1.0] * 8}, DesignError, "none below 0"),
        ({"rscales": ["a"] * 8}, DesignError, "must be 8 numbers"),
        ({"scale": 0.0}, DesignError, "above 0"),
        ({"weights": None}, DesignError, "must name the full sample's weights"),
        ({"weights": "ww"}, ColumnError, "no column 'ww'"),
    ],
    ids=str,
)
def test_what_does_not_match_is_refused(more, error, told):
    with pytest.raises(error, match=told):
        given(**more)
