"""Designs that were silently taken for something else: each is refused with what came and the next move."""

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, DesignError, EstimationError

SCHOOLS = pd.DataFrame(
    {"w": [3.0, 3.0, 3.0, 5.0, 5.0, 5.0], "area": list("aaabbb"), "unit": [1, 2, 3, 4, 5, 6], "y": [1.0, 2, 4, 3, 5, 9]}
)
HALVES = np.array([[2.0, 0.0], [0.0, 2.0]] * 3)


@pytest.mark.parametrize(
    ("given", "told"),
    [("R", "Did you mean 'r'"), ("exakt", "Did you mean 'exact'"), (None, "got None"), ([], r"got \[\]")],
)
def test_an_unknown_linearization_is_refused(given, told):
    with pytest.raises(DesignError, match=rf"linearization must be one of 'exact', 'r', got .*{told}|{told}"):
        ev.survey_design(SCHOOLS, linearization=given)


@pytest.mark.parametrize("fpc", [1, 1.0, "ones"])
def test_an_fpc_of_ones_for_several_units_is_ambiguous(fpc):
    with pytest.raises(DesignError, match=r"fpc '1.*|fpc 'ones' is 1 everywhere.*population count \(3\)") as raised:
        ev.survey_design(SCHOOLS.assign(ones=1), strata="area", fpc=fpc)
    assert len(raised.value.failures) == 6


def test_a_census_is_declared_by_its_count():
    assert ev.survey_mean(ev.survey_design(SCHOOLS, fpc=6), "y").std_error[0] == 0


def test_a_first_stage_taken_whole_before_a_sampled_one_is_no_riddle():
    halves = SCHOOLS.assign(whole=1, persons=3)
    assert ev.survey_mean(ev.survey_design(halves, psu=["area", "unit"], fpc=["whole", "persons"], nested=True), "y")


def test_an_fpc_of_one_for_a_single_unit_is_no_riddle():
    alone = SCHOOLS.assign(unit=1, persons=6)
    assert len(ev.survey_design(alone, psu=["unit", "w"], fpc=[1, 6])) == 6


@pytest.mark.parametrize("argument", ["nested", "lonely_domains"])
@pytest.mark.parametrize("value", ["no", "False", 2, None])
def test_a_flag_is_no_text(argument, value):
    with pytest.raises(DesignError, match=f"{argument} must be True or False, got"):
        ev.survey_design(SCHOOLS, **{argument: value})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"strata": ""}, "strata must name a column, got ''"),
        ({"strata": []}, "expected the name of one column, got list"),
        ({"psu": []}, r"psu must name columns of sampling units, got \[\]"),
        ({"psu": [None]}, r"psu must name columns of sampling units, got \[None\]"),
        ({"psu": " "}, "psu must name a column"),
        ({"psu": ["unit", "unit"]}, "psu names 'unit' twice"),
        ({"psu": {"unit": 1}}, "psu must name a column, or a list of them.*got dict"),
    ],
)
def test_design_columns_that_name_nothing_are_refused(given, told):
    with pytest.raises(ColumnError, match=told):
        ev.survey_design(SCHOOLS, **given)


def test_a_column_called_zero_is_a_column():
    numbered = SCHOOLS.rename(columns={"area": 0, "unit": 1})
    assert ev.survey_design(numbered, strata=0, psu=1).degrees_of_freedom() == 4


@pytest.mark.parametrize("rho", ["0.5", True, 1, None])
def test_fays_rho_is_a_number_below_one(rho):
    pairs = ev.survey_design(SCHOOLS.iloc[[0, 1, 3, 4]], strata="area")
    with pytest.raises(DesignError, match="kind='Fay' needs rho"):
        ev.as_replicates(pairs, kind="Fay", rho=rho)
    with pytest.raises(DesignError, match="kind='Fay' needs the rho"):
        ev.replicate_design(
            SCHOOLS, weights="w", replicate_weights=HALVES * SCHOOLS[["w"]].to_numpy(), kind="Fay", rho=rho
        )


def test_a_kind_that_is_no_text_is_refused():
    with pytest.raises(DesignError, match="kind must be one of JK1"):
        ev.as_replicates(ev.survey_design(SCHOOLS), kind=[])


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_factors_are_not_taken_for_replicate_weights(scale):
    """Weights that average 1.3 to 4: sums alone would let the smaller ones pass."""
    small = SCHOOLS.assign(w=SCHOOLS["w"] * scale * 0.65)
    with pytest.raises(DesignError, match=r"look like factors.*combined=False"):
        ev.replicate_design(small, weights="w", replicate_weights=HALVES, kind="BRR")
    assert ev.replicate_design(small, weights="w", replicate_weights=HALVES, kind="BRR", combined=False)
    whole = HALVES * small[["w"]].to_numpy()
    assert ev.replicate_design(small, weights="w", replicate_weights=whole, kind="BRR")
    with pytest.raises(DesignError, match="the weight is in them already"):
        ev.replicate_design(small, weights="w", replicate_weights=whole, kind="BRR", combined=False)


def test_replicates_that_fit_neither_reading_are_refused():
    with pytest.raises(DesignError, match=r"sum to 12\.\d* times the weight 'w'.*belong together"):
        ev.replicate_design(SCHOOLS, weights="w", replicate_weights=50 * HALVES, kind="BRR")


def test_a_replicate_of_nobody_is_named():
    table = pd.DataFrame(HALVES * SCHOOLS[["w"]].to_numpy(), columns=["r1", "r2"]).assign(r3=0.0)
    with pytest.raises(DesignError, match=r"1 of 3 columns of replicate weights are zero for everybody \('r3'\)"):
        ev.replicate_design(SCHOOLS, weights="w", replicate_weights=table, kind="BRR")


def test_replicates_that_are_all_alike_are_refused():
    with pytest.raises(DesignError, match="all 3 columns of replicate weights are the same"):
        ev.replicate_design(SCHOOLS, weights="w", replicate_weights=np.ones((6, 3)), kind="BRR")


@pytest.mark.parametrize("flag", ["combined", "mse"])
def test_flags_of_replicates_are_no_text(flag):
    with pytest.raises(DesignError, match=f"replicate_design: {flag} must be True or False, got 'no'"):
        ev.replicate_design(SCHOOLS, weights="w", replicate_weights=HALVES, kind="BRR", **{flag: "no"})
    with pytest.raises(DesignError, match="as_replicates: mse must be True or False, got 'no'"):
        ev.as_replicates(ev.survey_design(SCHOOLS), kind="JK1", mse="no")


def test_a_domain_without_columns_is_refused():
    with pytest.raises(EstimationError, match="where names no column"):
        ev.domain(ev.survey_design(SCHOOLS), {})


@pytest.mark.parametrize("frame", [None, "", 3])
def test_the_column_of_frames_has_a_name(frame):
    two = {"roster": ev.survey_design(SCHOOLS), "citizens": ev.survey_design(SCHOOLS)}
    with pytest.raises(DesignError, match="frame names the new column"):
        ev.join_frames(two, overlap=False, frame=frame)


def test_replicates_needed_says_that_it_wants_estimates():
    with pytest.raises(EstimationError, match="needs estimates of a design with bootstrap replicates, got Design"):
        ev.replicates_needed(ev.survey_design(SCHOOLS))


def test_an_fpc_handed_in_as_values_is_put_into_the_data_first():
    with pytest.raises(DesignError, match=r"got Series\. Put several values into a column of the data"):
        ev.survey_design(SCHOOLS, fpc=pd.Series([100] * 6))
    assert ev.survey_design(SCHOOLS, fpc=np.int64(12)).weights.tolist() == [2.0] * 6
