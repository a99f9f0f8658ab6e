"""Replicates that are made: their factors by hand, the variance they must reproduce, and what they refuse."""

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.design.hadamard import balanced_signs, can_be_made, order_from
from evaluation.errors import DesignError, EstimationError, ReplicateWarning

HAND = 1e-12
# Monte Carlo error of a variance from so many replicates is about sqrt(2 / MANY), 0.7 %.
MANY, CLOSE = 40_000, 0.04


def frame(pairs=5, seed=1):
    """Two PSUs of three respondents in each stratum."""
    rng = np.random.default_rng(seed)
    stratum, psu = np.repeat(np.arange(pairs), 6), np.repeat(np.arange(2 * pairs), 3)
    return pd.DataFrame(
        {
            "stratum": stratum,
            "psu": psu,
            "person": np.tile([1, 2, 3], 2 * pairs),
            "w": rng.uniform(1, 3, 6 * pairs),
            "y": psu + rng.normal(0, 2, 6 * pairs),
            "x": rng.gamma(2, 3, 6 * pairs),
            "sex": rng.choice(["f", "m"], 6 * pairs),
            "n_psu": np.repeat(rng.integers(4, 9, pairs), 6),
            "n_person": np.repeat(rng.integers(5, 9, 2 * pairs), 3),
        }
    )


def paired(data=None, **more):
    return ev.survey_design(frame() if data is None else data, weights="w", strata="stratum", psu="psu", **more)


def staged():
    return ev.survey_design(frame(), weights="w", strata="stratum", psu=["psu", "person"], fpc=["n_psu", "n_person"])


def variance_of_total(design):
    return ev.survey_total(design, "y").vcov[0, 0]


# --- half-samples ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [n for n in range(4, 208, 4) if can_be_made(n)])
def test_signs_are_balanced_and_none_is_constant(order):
    signs = balanced_signs(order - 1, order)
    assert set(np.unique(signs)) == {-1.0, 1.0}
    assert np.array_equal(signs.T @ signs, order * np.eye(order - 1))
    assert (signs.sum(axis=0) == 0).all()


def test_few_orders_are_out_of_reach():
    assert [order for order in range(4, 150, 4) if not can_be_made(order)] == [52, 92, 100, 116]
    assert order_from(50) == 56


@pytest.mark.parametrize("fpc", [None, "n_psu"])
@pytest.mark.parametrize("kind", [{"kind": "BRR"}, {"kind": "Fay", "rho": 0.3}, {"kind": "BRR", "replicates": 24}])
def test_balanced_half_samples_give_the_variance_of_a_total_exactly(fpc, kind):
    design = paired(fpc=fpc)
    made = ev.as_replicates(design, **kind)
    assert made.replicates.count == kind.get("replicates", 8)
    assert variance_of_total(made) == pytest.approx(variance_of_total(design), rel=HAND)
    assert made.degrees_of_freedom() == design.degrees_of_freedom() == 5


def test_half_samples_double_one_unit_of_each_pair_and_drop_the_other():
    factors = ev.as_replicates(paired(), kind="BRR").replicates.factors
    assert np.array_equal(np.unique(factors), [0, 2])
    assert (factors[0::2] + factors[1::2] == 2).all()
    assert not (factors == factors[:, :1]).all(axis=1).any()


def test_fays_factors_are_rho_and_two_less_rho():
    made = ev.as_replicates(paired(), kind="Fay", rho=0.3)
    assert np.unique(made.replicates.factors) == pytest.approx([0.3, 1.7], rel=HAND)
    assert made.engine.scale == pytest.approx(1 / (8 * 0.49), rel=HAND)
    assert made.engine.method == "replicates (Fay, rho 0.3)"


def test_half_samples_of_three_units_are_refused_with_the_stratum():
    data = frame().query("psu != 3 or person == 1").assign(psu=lambda d: d.psu.where(d.person > 1, d.psu + 100))
    with pytest.raises(DesignError, match=r"5 of 5 strata have others \(first: 0 with 4\).*'JKn'") as caught:
        ev.as_replicates(paired(data), kind="BRR")
    assert len(caught.value.failures) == len(data)


def test_an_order_without_a_matrix_is_refused_with_the_next():
    with pytest.raises(DesignError, match=r"replicates=52 cannot be balanced.*56"):
        ev.as_replicates(paired(), kind="SDR", replicates=52)


# --- jackknife ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fpc", [None, "n_psu"])
def test_the_jackknife_gives_the_variance_of_a_total_exactly(fpc):
    design = paired(fpc=fpc)
    assert variance_of_total(ev.as_replicates(design, kind="JKn")) == pytest.approx(variance_of_total(design), rel=HAND)


def test_jackknife_scales_are_those_of_r():
    data = frame()
    made = ev.as_replicates(ev.survey_design(data, weights="w", psu="psu", fpc=40), kind="JK1")
    assert made.engine.scale == pytest.approx(9 / 10 * (1 - 10 / 40), rel=HAND)
    assert (made.engine.rscales == 1).all()
    within = ev.as_replicates(paired(fpc="n_psu"), kind="JKn")
    assert within.engine.scale == 1
    assert within.engine.rscales[0] == pytest.approx(0.5 * (1 - 2 / data.n_psu[0]), rel=HAND)


def test_replicates_stand_in_the_order_of_the_data():
    data = frame(pairs=2).iloc[::-1].reset_index(drop=True)
    factors = np.array([w / data.w for w in ev.as_replicates(paired(data), kind="JKn").replicate_weights()])
    assert [int(np.flatnonzero(row == 0)[0]) for row in factors] == [0, 3, 6, 9]


def test_deviations_from_the_full_sample_are_larger_than_from_the_mean():
    from_mean, from_full = (ev.survey_ratio(ev.as_replicates(paired(), kind="JKn", mse=m), "y", "x") for m in (0, 1))
    assert from_full.std_error[0] > from_mean.std_error[0]
    assert from_full.std_error[0] == pytest.approx(from_mean.std_error[0], rel=0.1)


# --- successive differences -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shuffled", [False, True])
def test_successive_differences_are_half_the_squares_between_neighbours_in_the_data(shuffled):
    data = frame().drop(columns="stratum").groupby("psu", sort=False).head(1).reset_index(drop=True)
    if shuffled:
        data = data.sample(frac=1, random_state=3).reset_index(drop=True)
    design = ev.survey_design(data, weights="w", psu="psu")
    t = (data.w * data.y).to_numpy()
    made = ev.as_replicates(design, kind="SDR")
    assert made.replicates.count == 12
    assert variance_of_total(made) == pytest.approx(((t - np.roll(t, 1)) ** 2).sum() / 2, rel=HAND)
    assert made.engine.mse
    assert made.engine.scale == pytest.approx(4 / 12)


def test_successive_differences_of_pairs_are_the_stratified_variance():
    design = paired(fpc="n_psu")
    made = ev.as_replicates(design, kind="SDR")
    assert variance_of_total(made) == pytest.approx(variance_of_total(design), rel=HAND)
    assert made.degrees_of_freedom() == 5


def test_few_replicates_of_many_units_come_near_successive_differences():
    rng = np.random.default_rng(5)
    t = 50 + np.cumsum(rng.normal(0, 1, 1000))
    design = ev.as_replicates(ev.survey_design(pd.DataFrame({"y": t})), kind="SDR", replicates=80)
    assert design.replicates.factors.shape == (1000, 80)
    assert design.replicates.factors.min() > 0.29
    simple = ev.survey_design(pd.DataFrame({"y": t}))
    by_hand = ((t - np.roll(t, 1)) ** 2).sum() / 2
    # eighty replicates leave the noise of a variance with some 79 degrees of freedom, but nothing of the trend
    assert variance_of_total(design) == pytest.approx(by_hand, rel=0.5)
    assert by_hand < 0.1 * variance_of_total(simple)


# --- bootstraps -----------------------------------------------------------------------------------------------


def test_rao_wu_draws_one_less_than_there_are():
    made = ev.as_replicates(paired(frame(pairs=3)), kind="bootstrap", replicates=50, seed=1).replicates
    # of two units one is drawn: it counts twice
    assert np.unique(made.factors).tolist() == [0, 2]
    assert (made.factors[0::2] + made.factors[1::2] == 2).all()
    unstratified = ev.survey_design(frame(pairs=3), weights="w", psu="psu")
    drawn = ev.as_replicates(unstratified, kind="bootstrap", replicates=50, seed=1).replicates.factors * 5 / 6
    assert np.allclose(drawn, drawn.round())
    assert np.allclose(drawn.sum(axis=0), 5)


@pytest.mark.parametrize("kind", ["bootstrap", "preston"])
@pytest.mark.parametrize("make", [paired, lambda: paired(fpc="n_psu"), staged], ids=["replaced", "fpc", "stages"])
def test_bootstraps_reproduce_the_variance_of_the_design(kind, make):
    design = make()
    made = ev.as_replicates(design, kind=kind, replicates=MANY, seed=4)
    columns = ["y", "x"]
    ours, exact = ev.survey_total(made, columns).vcov, ev.survey_total(design, columns).vcov
    assert np.diag(ours) == pytest.approx(np.diag(exact), rel=CLOSE)
    assert abs(ours[0, 1] - exact[0, 1]) < CLOSE * np.sqrt(exact[0, 0] * exact[1, 1])
    assert made.replicates.factors.mean(axis=1) == pytest.approx(1, abs=0.03)


def test_every_stage_is_resampled_where_every_stage_bears_variance():
    design = staged()
    made = ev.as_replicates(design, kind="bootstrap", replicates=200, seed=2).replicates
    assert made.factors.shape == (30, 200)
    assert made.factors.min() >= 0
    # with replacement, first-stage units carry everything
    without = ev.survey_design(frame(), weights="w", strata="stratum", psu=["psu", "person"])
    assert ev.as_replicates(without, kind="preston", replicates=200, seed=2).replicates.factors.shape == (10, 200)


def test_prestons_factors_by_hand():
    data = pd.DataFrame({"psu": [1, 2, 3, 4], "y": [1.0, 2, 3, 4]})
    made = ev.as_replicates(ev.survey_design(data, psu="psu", fpc=16), kind="preston", replicates=30, seed=1)
    # two of four are drawn; lambda = sqrt(2 * (1 - 1/4) / 2)
    root = np.sqrt(0.75)
    assert np.unique(made.replicates.factors.round(12)) == pytest.approx([1 - root, 1 + root], rel=1e-11)
    assert ((made.replicates.factors > 1).sum(axis=0) == 2).all()


def test_units_taken_with_certainty_keep_their_weight():
    data = frame().assign(n_psu=lambda d: d.n_psu.where(d.stratum > 0, 2))
    for kind in ("bootstrap", "preston"):
        made = ev.as_replicates(paired(data, fpc="n_psu"), kind=kind, replicates=20, seed=1).replicates
        assert (made.factors[:2] == 1).all()
        assert (made.factors[2:] != 1).any()


def test_equal_seeds_give_equal_bytes_and_others_do_not():
    one, again, other = (
        ev.as_replicates(paired(), kind="bootstrap", replicates=40, seed=seed).replicates.factors for seed in (1, 1, 2)
    )
    assert one.tobytes() == again.tobytes() != other.tobytes()


def test_the_seed_is_in_the_method_and_two_seeds_are_not_contrasted():
    one, other = (
        ev.survey_mean(ev.as_replicates(paired(), kind="bootstrap", replicates=40, seed=seed), "y") for seed in (1, 2)
    )
    assert one.variance_method == "replicates (bootstrap, 40, seed 1)"
    with pytest.raises(EstimationError, match="different designs"):
        ev.contrast([one, other], {"gap": {"y": 1}})


def test_factors_stay_small_in_memory():
    data = pd.DataFrame({"psu": np.repeat(np.arange(1000), 50), "y": 1.0})
    made = ev.as_replicates(ev.survey_design(data, psu="psu"), kind="bootstrap", replicates=500, seed=1).replicates
    assert made.factors.nbytes == 4_000_000
    assert made.factors.flags.c_contiguous
    assert made.degrees_of_freedom(np.ones(50_000, dtype=bool)) == 499


def test_too_many_factors_are_refused():
    with pytest.raises(DesignError, match=r"would take 2\.4 GB"):
        ev.as_replicates(
            ev.survey_design(pd.DataFrame({"y": np.arange(300_000.0)})), kind="bootstrap", replicates=1000, seed=1
        )


# --- with the weighting chain ---------------------------------------------------------------------------------

KINDS = [
    {"kind": "JKn"},
    {"kind": "BRR"},
    {"kind": "SDR"},
    {"kind": "Fay", "rho": 0.5},
    {"kind": "bootstrap", "replicates": 30, "seed": 1},
]


def weighted(design):
    margins = ev.margins({"sex": {"f": 30.0, "m": 28.0}, "x": 350.0})
    return ev.calibrate(ev.poststratify(design, ev.margins({"sex": {"f": 30.0, "m": 28.0}})), margins)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind["kind"])
def test_it_does_not_matter_whether_replicates_come_before_weighting_or_after(kind):
    after = ev.survey_mean(ev.as_replicates(weighted(paired()), **kind), ["y", "x"])
    before = ev.survey_mean(weighted(ev.as_replicates(paired(), **kind)), ["y", "x"])
    assert np.array_equal(after.vcov, before.vcov)
    assert after.df.tolist() == before.df.tolist()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind["kind"])
def test_every_replicate_meets_the_margins(kind):
    design = ev.as_replicates(weighted(paired()), **kind)
    f = (design.data["sex"] == "f").to_numpy()
    for weights in design.replicate_weights():
        assert weights[f].sum() == pytest.approx(30, rel=1e-9)
        assert weights @ design.data["x"] == pytest.approx(350, rel=1e-9)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind["kind"] != "SDR"], ids=lambda kind: kind["kind"])
def test_neither_the_order_of_rows_nor_the_unit_of_weights_matters(kind):
    def errors(data):
        return ev.survey_ratio(ev.as_replicates(weighted(paired(data)), **kind), "y", "x").std_error

    as_drawn = errors(frame())
    assert errors(frame().sample(frac=1, random_state=1).reset_index(drop=True)) == pytest.approx(as_drawn, rel=1e-9)
    assert errors(frame().assign(w=lambda d: 1000 * d.w)) == pytest.approx(as_drawn, rel=1e-9)


# --- domains --------------------------------------------------------------------------------------------------


def test_degrees_of_freedom_of_a_domain_are_the_rank_of_its_rows():
    made = ev.as_replicates(ev.survey_design(frame(), weights="w", psu="psu"), kind="JK1")
    assert made.degrees_of_freedom() == 9
    # nine of ten rows are independent, as R counts them
    assert ev.domain(made, {"psu": list(range(9))}).degrees_of_freedom() == 8
    assert ev.domain(made, {"psu": [0]}).degrees_of_freedom() == 0


def test_the_rank_of_a_jackknife_is_known_without_its_factors():
    rng = np.random.default_rng(9)
    data = pd.DataFrame({"stratum": rng.choice(list("abcde"), 40, p=[0.4, 0.3, 0.2, 0.06, 0.04])})
    data["one"] = np.where(data.index == 0, "alone", data["stratum"])
    for design in (
        ev.survey_design(data, strata="one", lonely_psu="remove"),
        ev.survey_design(data.query("stratum == 'a'")),
    ):
        made = ev.as_replicates(design, kind="JKn").replicates
        parts = [rng.uniform(size=len(design)) < share for share in rng.uniform(0.05, 1, 30)]
        for part in [*parts, data["one"].isin(["a", "alone", "c"]).to_numpy()[: len(design)]]:
            rank = np.linalg.matrix_rank(made.factors[part]) if part.any() else 0
            assert made.degrees_of_freedom_of_units(part) == rank - 1


def test_bootstrap_samples_without_a_small_domain_are_left_out_and_said():
    data = frame().assign(small=lambda d: d.psu.isin([0, 2, 5, 7]).map({True: "yes", False: "no"}))
    design = ev.as_replicates(paired(data), kind="bootstrap", replicates=400, seed=1)
    with pytest.warns(ReplicateWarning, match=r"\d+ of 400 replicates give no estimate for 1 of 2 numbers"):
        means = ev.survey_mean(design, "y", by="small")
    assert np.isfinite(means.std_error).all()
    estimates = means.contributions[:-1, 1]
    exists = np.isfinite(estimates)
    assert 0 < (~exists).sum() < 60
    by_hand = ((estimates[exists] - estimates[exists].mean()) ** 2).sum() / 399 * 400 / exists.sum()
    assert means.vcov[1, 1] == pytest.approx(by_hand, rel=1e-10)


def test_a_domain_of_one_unit_has_no_replicate_error():
    data = frame().assign(small=lambda d: d.psu == 3)
    for kind in ({"kind": "JKn"}, {"kind": "BRR"}):
        alone = ev.survey_mean(ev.domain(ev.as_replicates(paired(data), **kind), {"small": True}), "y")
        assert np.isnan(alone.std_error[0])
        assert alone.df[0] == 0


# --- arguments ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"kind": "bootstrap", "replicates": 100}, "needs replicates=.*and seed=.*could get these"),
        ({"kind": "preston", "seed": 1}, "needs replicates="),
        ({"kind": "JKn", "seed": 1}, "draws nothing by chance"),
        ({"kind": "JKn", "replicates": 10}, "one replicate for each PSU"),
        ({"kind": "bootstrap", "replicates": 1, "seed": 1}, "at least 2"),
        ({"kind": "bootstrap", "replicates": 10.5, "seed": 1}, "whole number"),
        ({"kind": "bootstrap", "replicates": 10, "seed": -1}, "seed must be"),
        ({"kind": "Fay"}, "needs rho"),
        ({"kind": "Fay", "rho": 1.0}, "needs rho"),
        ({"kind": "BRR", "rho": 0.3}, "rho belongs to kind='Fay'"),
        ({"kind": "BRR", "replicates": 4}, "cannot balance 5 strata: it takes at least 8"),
        ({"kind": "brr"}, "must be one of JK1"),
    ],
    ids=str,
)
def test_an_argument_that_is_missing_or_means_nothing_is_refused(arguments, told):
    with pytest.raises(DesignError, match=told):
        ev.as_replicates(paired(), **arguments)


def test_a_census_of_people_in_each_unit_bears_no_variance():
    data = frame().assign(n_person=3)
    whole = ev.survey_design(data, weights="w", strata="stratum", psu=["psu", "person"], fpc=["n_psu", "n_person"])
    made = ev.as_replicates(whole, kind="JKn")
    assert variance_of_total(made) == pytest.approx(variance_of_total(whole), rel=HAND)
    drawn = ev.as_replicates(whole, kind="bootstrap", replicates=20, seed=1)
    assert drawn.replicates.factors.shape == (10, 20)


@pytest.mark.parametrize("kind", [{"kind": "JKn"}, {"kind": "BRR"}, {"kind": "SDR"}])
def test_kinds_of_one_stage_are_refused_where_two_bear_variance(kind):
    with pytest.raises(DesignError, match="first-stage units only, but stage 2"):
        ev.as_replicates(staged(), **kind)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind["kind"])
def test_strata_with_one_psu_follow_the_rule_or_are_refused(kind):
    data = frame().query("psu != 3")
    removed = ev.as_replicates(paired(data, lonely_psu="remove"), **kind)
    assert (removed.replicates.factors[2] == 1).all()
    assert removed.degrees_of_freedom() == 4
    if kind["kind"] != "bootstrap":
        expected = variance_of_total(paired(data, lonely_psu="remove"))
        assert variance_of_total(removed) == pytest.approx(expected, rel=HAND)
    with pytest.raises(DesignError, match=r"the design's rule is lonely_psu='centre'.*'remove'"):
        ev.as_replicates(paired(data, lonely_psu="centre"), **kind)
    # a rule that meets no such stratum changes nothing
    assert ev.as_replicates(paired(lonely_psu="centre"), **kind).degrees_of_freedom() == 5


def test_unequal_probabilities_without_replacement_have_no_replicates():
    data = frame().assign(p=lambda d: 2 / d.n_psu)
    design = ev.survey_design(data, weights="w", strata="stratum", psu="psu", fpc="p", pps="brewer")
    with pytest.raises(DesignError, match="no replicates carry its joint probabilities"):
        ev.as_replicates(design, kind="JKn")


# --- how many -------------------------------------------------------------------------------------------------


def test_the_chance_in_a_standard_error_is_foretold():
    design = ev.survey_design(frame(pairs=30, seed=4), weights="w", strata="stratum", psu="psu")

    def mean(seed, replicates=100):
        return ev.survey_mean(ev.as_replicates(design, kind="bootstrap", replicates=replicates, seed=seed), "y")

    errors = np.array([mean(seed).std_error[0] for seed in range(300)])
    told = ev.replicates_needed(mean(1, replicates=4000), cv=0.05)
    chance = told["cv_std_error"].item() * np.sqrt(4000 / 100)
    assert errors.std() / errors.mean() == pytest.approx(chance, rel=0.12)
    assert told["replicates_needed"].item() == np.ceil(100 * (chance / 0.05) ** 2)
    # normal replicates would take 200; sums of two outcomes in 30 strata have lighter tails
    assert 120 < told["replicates_needed"].item() < 200
    assert told.columns.tolist() == ["term", "replicates", "cv_std_error", "replicates_needed"]


def test_only_a_bootstrap_is_asked_how_many_replicates_it_needs():
    with pytest.raises(EstimationError, match="only those are drawn by chance"):
        ev.replicates_needed(ev.survey_mean(ev.as_replicates(paired(), kind="BRR"), "y"))
    mean = ev.survey_mean(ev.as_replicates(paired(), kind="bootstrap", replicates=20, seed=1), "y")
    with pytest.raises(EstimationError, match="cv must be a number above 0"):
        ev.replicates_needed(mean, cv=0)
