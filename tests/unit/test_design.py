"""Designs: what they accept, what they refuse, and a variance that can be checked by hand."""

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, DesignError, EstimationError

HAND = 1e-12


def frame(**changes):
    columns = {
        "stratum": ["a", "a", "a", "a", "b", "b", "b", "b"],
        "psu": [1, 1, 2, 2, 3, 3, 4, 4],
        "person": [1, 2, 1, 2, 1, 2, 1, 2],
        "w": [10.0, 10.0, 10.0, 10.0, 20.0, 20.0, 20.0, 20.0],
        "y": [1.0, 3.0, 5.0, 7.0, 2.0, 2.0, 6.0, 8.0],
        "n_psu": [4, 4, 4, 4, 8, 8, 8, 8],
        "n_person": [5, 5, 5, 5, 4, 4, 4, 4],
    }
    return pd.DataFrame({**columns, **changes})


def test_stratified_cluster_total_by_hand():
    design = ev.survey_design(frame(), weights="w", strata="stratum", psu="psu")
    total = ev.survey_total(design, "y")
    # PSU totals 40, 120 in a; 80, 280 in b: n/(n-1) * sum of squares = 2*(40²+40²) and 2*(100²+100²)
    assert total.estimate[0] == pytest.approx(520, rel=HAND)
    assert total.vcov[0, 0] == pytest.approx(6400 + 40000, rel=HAND)
    assert total.df[0] == 2


def test_two_stage_variance_by_hand():
    design = ev.survey_design(frame(), strata="stratum", psu=["psu", "person"], fpc=["n_psu", "n_person"])
    # weights: stratum a 4/2 * 5/2 = 5, stratum b 8/2 * 4/2 = 8
    assert design.weights.tolist() == [5.0] * 4 + [8.0] * 4
    first = (1 - 0.5) * 2 * (20**2 + 20**2) + (1 - 0.25) * 2 * (40**2 + 40**2)
    second_a = 0.5 * (1 - 0.4) * 2 * (5**2 + 5**2 + 5**2 + 5**2)
    second_b = 0.25 * (1 - 0.5) * 2 * (8**2 + 8**2)
    assert ev.survey_total(design, "y").vcov[0, 0] == pytest.approx(first + second_a + second_b, rel=HAND)


def test_fpc_as_fraction_equals_fpc_as_count():
    counts = ev.survey_design(frame(), weights="w", strata="stratum", psu="psu", fpc="n_psu")
    fractions = ev.survey_design(frame(f=[0.5] * 4 + [0.25] * 4), weights="w", strata="stratum", psu="psu", fpc="f")
    assert ev.survey_mean(counts, "y").std_error == pytest.approx(ev.survey_mean(fractions, "y").std_error, rel=HAND)


STAGES = {"strata": "stratum", "psu": ["psu", "person"]}


@pytest.mark.parametrize(
    ("changes", "fpc", "fractions"),
    [
        ({}, ["n_psu", "n_person"], [[0.5, 0.25], [0.4, 0.4, 0.5, 0.5]]),
        ({"f": 0.5}, ["n_psu", "f"], [[0.5, 0.25], [0.5] * 4]),
        ({"f": 0.5}, ["f", "n_person"], [[0.5, 0.5], [0.4, 0.4, 0.5, 0.5]]),
        ({}, ["n_psu", 4], [[0.5, 0.25], [0.5] * 4]),
        ({}, [0.5, "n_person"], [[0.5, 0.5], [0.4, 0.4, 0.5, 0.5]]),
        ({"f": [0.5] * 4 + [1.0] * 4}, ["f", "n_person"], [[0.5, 1.0], [0.4, 0.4, 0.5, 0.5]]),
        ({"f": 1}, ["f", "n_person"], [[1.0, 1.0], [0.4, 0.4, 0.5, 0.5]]),
        ({"f": [2] * 4 + [8] * 4}, ["f", "n_person"], [[1.0, 0.25], [0.4, 0.4, 0.5, 0.5]]),
        ({"f": [4.0] * 4 + [np.inf] * 4}, ["f", "n_person"], [[0.5, 0.0], [0.4, 0.4, 0.5, 0.5]]),
        ({}, ["n_psu"], [[0.5, 0.25], [0.0] * 4]),
    ],
)
def test_each_stage_reads_its_fpc_on_its_own(changes, fpc, fractions):
    design = ev.survey_design(frame(**changes), weights="w", **STAGES, fpc=fpc)
    assert [stage.fraction.tolist() for stage in design.sampling.stages] == fractions


def test_a_second_stage_with_replacement_by_hand():
    design = ev.survey_design(frame(), weights="w", **STAGES, fpc="n_psu")
    first = (1 - 0.5) * 2 * (40**2 + 40**2) + (1 - 0.25) * 2 * (100**2 + 100**2)
    second = 0.5 * 2 * 10**2 * (1 + 1 + 1 + 1) + 0.25 * 2 * 20**2 * (1 + 1)
    assert ev.survey_total(design, "y").vcov[0, 0] == pytest.approx(first + second, rel=HAND)


def test_an_infinite_population_is_drawn_with_replacement():
    endless = ev.survey_design(frame(), weights="w", strata="stratum", psu="psu", fpc=np.inf)
    plain = ev.survey_design(frame(), weights="w", strata="stratum", psu="psu")
    assert ev.survey_total(endless, "y").vcov == pytest.approx(ev.survey_total(plain, "y").vcov, rel=HAND)


def test_three_stages_by_hand():
    data = pd.DataFrame(
        {
            "town": np.repeat([1, 2], 8),
            "block": np.tile(np.repeat([1, 2], 4), 2),
            "home": np.tile(np.repeat([1, 2], 2), 4),
            "y": [1.0, 2, 4, 3, 6, 2, 1, 5, 8, 8, 9, 7, 3, 4, 4, 1],
            "towns": 10,
            "blocks": 4,
            "homes": 0.5,
        }
    )
    design = ev.survey_design(data, psu=["town", "block", "home"], fpc=["towns", "blocks", "homes"])
    assert design.weights.tolist() == [5 * 2 * 2] * 16
    z = 20 * data["y"].to_numpy()
    homes, blocks, towns = z.reshape(2, 2, 2, 2).sum(3), z.reshape(2, 2, 4).sum(2), z.reshape(2, 8).sum(1)

    def spread(totals):
        return 2 * ((totals - totals.mean(-1, keepdims=True)) ** 2).sum()

    expected = 0.8 * spread(towns) + 0.2 * 0.5 * spread(blocks) + 0.2 * 0.5 * 0.5 * spread(homes)
    assert ev.survey_total(design, "y").vcov[0, 0] == pytest.approx(expected, rel=HAND)


def test_weights_come_from_probabilities_of_every_stage_or_not_at_all():
    with pytest.raises(DesignError, match=r"stage 2 has none in 8 of 8 rows: it is drawn with replacement"):
        ev.survey_design(frame(), **STAGES, fpc="n_psu")


@pytest.mark.parametrize("kind", ["category", "str", "object", "float64", "boolean"])
def test_columns_of_any_kind_are_the_same_strata_and_units(kind):
    data = frame(stratum=[0, 0, 0, 0, 1, 1, 1, 1])
    coded = data.astype({"stratum": kind} if kind == "boolean" else {"stratum": kind, "psu": kind})
    plain = ev.survey_design(data, weights="w", strata="stratum", psu="psu")
    other = ev.survey_design(coded, weights="w", strata="stratum", psu="psu")
    assert other.sampling.unit.tolist() == plain.sampling.unit.tolist()
    assert other.sampling.stages[0].stratum.tolist() == [0, 0, 1, 1]


def test_unused_categories_and_far_apart_ids_make_no_units():
    data = frame(
        stratum=pd.Categorical(list("aaaabbbb"), categories=list("zbax")), psu=[-(10**12), -(10**12), 5, 5, 7, 7, 9, 9]
    )
    design = ev.survey_design(data, weights="w", strata="stratum", psu="psu")
    assert (design.sampling.n_units, design.sampling.stages[0].n_strata) == (4, 2)


def test_order_of_rows_changes_nothing():
    data = frame()
    mixed = data.sample(frac=1, random_state=4)
    here, there = (
        ev.survey_mean(ev.survey_design(d, **STAGES, fpc=["n_psu", "n_person"]), "y").std_error for d in (data, mixed)
    )
    assert here == pytest.approx(there, rel=HAND)


def test_a_census_has_no_sampling_error():
    design = ev.survey_design(frame(), fpc=8)
    assert design.provenance.weight == "census"
    assert ev.survey_mean(design, "y").std_error[0] == 0


def test_a_domain_keeps_units_without_respondents_in_it():
    whole = ev.survey_design(frame(kind=list("uuvvuuvv")), weights="w", strata="stratum", psu="psu")
    part = ev.domain(whole, {"kind": "u"})
    # totals of PSUs are 40, 0 and 80, 0: the empty ones count
    assert ev.survey_total(part, "y").vcov[0, 0] == pytest.approx(2 * (20**2 * 2) + 2 * (40**2 * 2), rel=HAND)
    assert ev.survey_total(part, "y").vcov == pytest.approx(
        ev.survey_total(whole, "y", by="kind").vcov[:1, :1], rel=HAND
    )


def test_zero_weights_are_legal_and_do_not_count():
    design = ev.survey_design(frame(w=[0.0, 10, 10, 10, 20, 20, 20, 20]), weights="w", strata="stratum", psu="psu")
    assert ev.survey_mean(design, "y").n_obs[0] == 7


def test_missing_outcomes_are_a_domain_of_their_own():
    design = ev.survey_design(frame(y=[np.nan, 3, 5, 7, 2, 2, 6, 8], z=np.arange(8.0)), weights="w", psu="psu")
    result = ev.survey_mean(design, ["y", "z"])
    assert result.n_obs.tolist() == [7, 8]
    listwise = ev.survey_mean(design, ["y", "z"], listwise=True)
    assert listwise.n_obs.tolist() == [7, 7]


def test_ids_that_start_afresh_need_nested():
    again = frame(psu=[1, 1, 2, 2, 1, 1, 2, 2])
    with pytest.raises(DesignError, match=r"2 PSU ids of 'psu' stand in more than one stratum .* pass nested=True"):
        ev.survey_design(again, weights="w", strata="stratum", psu="psu")
    nested = ev.survey_design(again, weights="w", strata="stratum", psu="psu", nested=True)
    plain = ev.survey_design(frame(), weights="w", strata="stratum", psu="psu")
    assert ev.survey_mean(nested, "y").std_error == pytest.approx(ev.survey_mean(plain, "y").std_error, rel=HAND)


@pytest.mark.parametrize(
    ("changes", "arguments", "error", "message"),
    [
        ({"w": [np.nan] + [1.0] * 7}, {"weights": "w"}, DesignError, r"missing, negative or not finite in 1 of 8 rows"),
        ({"w": [-1.0] + [1.0] * 7}, {"weights": "w"}, DesignError, r"first: data row 1, -1"),
        ({"w": [np.inf] + [1.0] * 7}, {"weights": "w"}, DesignError, r"not finite"),
        ({"w": list("abcdefgh")}, {"weights": "w"}, ColumnError, r"expected numbers"),
        (
            {"w": [0.0] * 4 + [1.0] * 4},
            {"weights": "w", "strata": "stratum"},
            DesignError,
            r"all zero in 1 of 2 strata",
        ),
        ({}, {"weights": "weight"}, ColumnError, r"no column 'weight'"),
        ({}, {"weights": "w", "psu": "psuu"}, ColumnError, r"Did you mean 'psu'\?"),
        ({"psu": [1, 1, 2, 2, 3, 3, 3, 3]}, {"weights": "w", "strata": "stratum", "psu": "psu"}, DesignError, r"\(b\)"),
        (
            {"n_psu": [1] * 4 + [8] * 4},
            {"weights": "w", "strata": "stratum", "psu": "psu", "fpc": "n_psu"},
            DesignError,
            r"smaller than the sample in 1 strata \(population 1, sampled 2\)",
        ),
        (
            {"n_psu": [0.5] * 4 + [8] * 4},
            {"weights": "w", "strata": "stratum", "psu": "psu", "fpc": "n_psu"},
            DesignError,
            r"mixes values below 1",
        ),
        (
            {"n_psu": [4, 5, 4, 4, 8, 8, 8, 8]},
            {"weights": "w", "strata": "stratum", "psu": "psu", "fpc": "n_psu"},
            DesignError,
            r"differs within 1 strata",
        ),
        ({"psu": [1, None, 2, 2, 3, 3, 4, 4]}, {"weights": "w", "psu": "psu"}, ColumnError, r"missing in 1 of 8 rows"),
        ({}, {"weights": "w", "fpc": ["n_psu", "n_person"]}, DesignError, r"fpc names 2 stages"),
        ({"w": 0.0}, {"weights": "w"}, DesignError, r"all zero, so nobody counts"),
        ({"w": ["1", "2", "x", "3", "4", "5", "6", "7"]}, {"weights": "w"}, ColumnError, r"'x' in data row 3"),
        ({"n_psu": [0] * 4 + [8] * 4}, {"strata": "stratum", "fpc": "n_psu"}, DesignError, r"4 of 8 .* row 1, 0\)"),
        ({"n_psu": "many"}, {"fpc": "n_psu"}, DesignError, r"8 of 8 rows do not \(first: data row 1, 'many'\)"),
        ({"n_psu": [None] + [8] * 7}, {"fpc": "n_psu"}, ColumnError, r"'n_psu' is missing in 1 of 8 rows"),
        ({}, {"fpc": True}, DesignError, r"got True"),
        ({}, {"fpc": -2}, DesignError, r"got -2"),
        ({}, {"fpc": 3}, DesignError, r"smaller than the sample in 1 strata \(population 3, sampled 8\)"),
        ({"n_psu": [1] * 4 + [8] * 4}, {"strata": "stratum", "fpc": "n_psu"}, DesignError, r"1 is read as a count"),
        (
            {"n_person": [5, 4] * 4},
            {"strata": "stratum", "psu": ["psu", "person"], "fpc": ["n_psu", "n_person"]},
            DesignError,
            r"differs within 4 units of stage 1",
        ),
        (
            {"n_person": 1.5},
            {"strata": "stratum", "psu": ["psu", "person"], "fpc": ["n_psu", "n_person"]},
            DesignError,
            r"smaller than the sample in 4 units of stage 1 \(population 1.5, sampled 2\)",
        ),
    ],
)
def test_a_wrong_design_says_what_is_wrong(changes, arguments, error, message):
    with pytest.raises(error, match=message):
        ev.survey_design(frame(**changes), **arguments)


def test_offending_rows_travel_with_the_error():
    with pytest.raises(DesignError) as caught:
        ev.survey_design(frame(w=[1.0, -2, 1, 1, 1, 1, -1, 1]), weights="w")
    assert caught.value.failures.index.tolist() == [1, 6]


@pytest.mark.parametrize(
    ("changes", "arguments", "rows"),
    [
        ({"psu": [1, 1, 2, 2, 3, 3, 3, 3]}, {"psu": "psu"}, [4, 5, 6, 7]),
        ({"w": [0.0] * 4 + [1.0] * 4}, {}, [0, 1, 2, 3]),
        ({"n_psu": [4] * 4 + [1] * 4}, {"psu": "psu", "fpc": "n_psu"}, [4, 5, 6, 7]),
        ({"n_psu": [0.5] + [8] * 7}, {"psu": "psu", "fpc": "n_psu"}, [0]),
        ({"n_psu": [4] * 7 + [5]}, {"psu": "psu", "fpc": "n_psu"}, [4, 5, 6, 7]),
        ({"w": list("abcdefgh")}, {}, list(range(8))),
        ({"psu": [1, 1, 2, 2, 1, 1, 2, 2]}, {"psu": "psu"}, [0, 2, 4, 6]),
    ],
)
def test_every_refused_design_shows_its_rows(changes, arguments, rows):
    with pytest.raises((DesignError, ColumnError)) as caught:
        ev.survey_design(frame(**changes), weights="w", strata="stratum", **arguments)
    assert caught.value.failures.index.tolist() == rows


def test_an_empty_frame_is_refused():
    with pytest.raises(DesignError, match="no rows"):
        ev.survey_design(frame().iloc[:0], weights="w")


def test_a_domain_that_nobody_is_in_is_refused():
    design = ev.survey_design(frame(), weights="w")
    with pytest.raises(EstimationError, match=r"no respondent has stratum = 'c'"):
        ev.domain(design, {"stratum": "c"})


def test_a_domain_that_weighs_nothing_is_refused_with_its_rows():
    design = ev.survey_design(frame(w=[0.0, 0, 10, 10, 20, 20, 20, 20]), weights="w")
    with pytest.raises(EstimationError, match="all 2 in it weigh nothing") as caught:
        ev.domain(design, {"psu": 1})
    assert caught.value.failures.index.tolist() == [0, 1]


def test_groups_that_weigh_nothing_are_named_not_dropped():
    design = ev.survey_design(frame(w=[0.0, 0, 10, 10, 20, 20, 20, 20], part=list("uuvvuvuv")), weights="w")
    with pytest.raises(EstimationError, match=r"1 domains have weight zero \(first: psu=1\)") as caught:
        ev.survey_mean(design, "y", by="psu")
    assert caught.value.failures.index.tolist() == [0, 1]
    with pytest.raises(EstimationError, match=r"first: psu=1, part=u"):
        ev.survey_mean(design, "y", by=["psu", "part"])
    assert ev.survey_mean(design, "y", by="part").n_obs.tolist() == [2, 4]
    gaps = ev.survey_design(frame(w=[0.0, 10] * 4, part=[None, "u", "u", None] * 2), weights="w")
    with pytest.raises(EstimationError, match=r"first: psu=2, part=u"):
        ev.survey_mean(gaps, "y", by=["psu", "part"])
    others = ev.domain(design, {"psu": [2, 3, 4]})
    assert ev.survey_mean(others, "y", by="psu").n_obs.tolist() == [2, 2, 2]


def test_jk1_of_a_stratified_design_is_refused():
    with pytest.raises(DesignError, match="Use 'JKn'"):
        ev.as_replicates(ev.survey_design(frame(), weights="w", strata="stratum", psu="psu"), kind="JK1")


def test_designs_print_the_same_every_time_and_name_no_address():
    texts = {repr(ev.survey_design(frame(), weights="w", strata="stratum", psu="psu")) for _ in range(3)}
    assert len(texts) == 1
    assert "0x" not in texts.pop()
