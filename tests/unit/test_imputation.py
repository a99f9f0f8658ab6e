"""Multiple imputation against R's mitools, by hand, and what is refused."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, DesignError, EstimationError

REFERENCE = runpy.run_path(str(Path(__file__).with_name("reference_designs.py")))
read, expected = REFERENCE["read"], REFERENCE["expected"]

ESTIMATE_TOLERANCE = 1e-8
TOLERANCE = 1e-6
IMPUTED = {"acs": [f"acs_core_{i}" for i in range(1, 6)]}
CALLS = {
    "dev_458": (lambda design: ev.survey_mean(design, "acs"), np.inf),
    "dev_459": (lambda design: ev.survey_mean(design, "acs"), 197),
    "dev_460": (lambda design: ev.survey_glm(design, outcome="api00", covariates=["acs", "meals"]), np.inf),
    "dev_461": (lambda design: ev.survey_mean(design, "acs", by="stype"), np.inf),
}


def designs(linearization="r"):
    return ev.imputed_designs(
        read("apistrat_imputed"), IMPUTED, weights="pw", strata="stype", fpc="fpc", linearization=linearization
    )


@pytest.mark.parametrize("item", CALLS)
def test_combined_estimates_are_those_of_mitools(item):
    estimate, complete_df = CALLS[item]
    want = expected()[item]
    result = ev.with_imputations(designs(), estimate, complete_df=complete_df)
    assert result.estimate == pytest.approx(list(want["coef"].values()), rel=ESTIMATE_TOLERANCE)
    assert result.std_error == pytest.approx(list(want["se"].values()), rel=TOLERANCE)
    df = [np.inf if value == ["Inf"] else value for value in want["df"].values()]
    assert result.df == pytest.approx(df, rel=TOLERANCE)
    missing = list(want["missing_info"].values())
    assert result.columns["missing_information"] == pytest.approx(missing, rel=TOLERANCE, abs=1e-12)


def test_the_design_gives_the_degrees_of_freedom_that_complete_data_would_have():
    stated = ev.with_imputations(designs(), CALLS["dev_459"][0], complete_df=197)
    assert ev.with_imputations(designs(), CALLS["dev_459"][0]).df == pytest.approx(stated.df)
    domains = ev.with_imputations(designs(), CALLS["dev_461"][0])
    own = ev.survey_mean(designs()[0], "acs", by="stype").df
    assert (domains.df < own).all()


def combined_by_hand():
    frame = pd.DataFrame({"a_1": [1.0, 2, 3, 4, 5], "a_2": [1.0, 2, 3, 4, 10], "a_3": [1.0, 2, 3, 4, 0]})
    made = ev.imputed_designs(frame, {"a": ["a_1", "a_2", "a_3"]})
    return ev.with_imputations(made, lambda design: ev.survey_mean(design, "a"))


def test_rubins_rules_by_hand_with_barnard_and_rubins_degrees_of_freedom():
    result = combined_by_hand()
    means, within = np.array([3.0, 4.0, 2.0]), np.mean([2.5 / 5, 12.5 / 5, 2.5 / 5])
    between, m, complete = means.var(ddof=1), 3, 4
    total = within + (1 + 1 / m) * between
    share = (1 + 1 / m) * between / total
    observed = (1 - share) * complete * (complete + 1) / (complete + 3)
    assert result.estimate[0] == pytest.approx(3.0)
    assert result.std_error[0] == pytest.approx(np.sqrt(total))
    assert result.df[0] == pytest.approx(1 / (share**2 / (m - 1) + 1 / observed))
    assert [result.columns[name][0] for name in ("within", "between")] == pytest.approx([within, between])
    assert result.variance_method == "imputation (Rubin, Barnard-Rubin df)"
    assert result.glance()["imputations"][0] == 3


def test_the_two_rules_differ_in_degrees_of_freedom_only():
    paper, mitools = (
        ev.with_imputations(designs("exact"), CALLS["dev_459"][0], rule=rule) for rule in ("barnard_rubin", "mitools")
    )
    assert paper.std_error == pytest.approx(mitools.std_error, rel=1e-12)
    assert paper.df[0] < mitools.df[0]
    assert ev.with_imputations(designs("exact"), CALLS["dev_459"][0]).df == pytest.approx(paper.df)


def test_imputations_that_agree_leave_nothing_unknown():
    frame = read("apistrat_imputed")
    same = ev.imputed_designs(frame, {"acs": ["acs_core_1"] * 4}, weights="pw", strata="stype", fpc="fpc")
    result = ev.with_imputations(same, lambda design: ev.survey_mean(design, "acs"))
    alone = ev.survey_mean(same[0], "acs")
    assert result.std_error == pytest.approx(alone.std_error, rel=1e-12)
    assert result.columns["missing_information"].tolist() == [0.0]
    assert result.columns["between"].tolist() == [0.0]


def test_order_of_imputations_changes_nothing():
    parts = [ev.survey_mean(design, "acs", by="stype") for design in designs("exact")]
    first, second = ev.combine_imputations(parts), ev.combine_imputations(parts[::-1])
    assert second.tidy()["p_value"].to_numpy() == pytest.approx(first.tidy()["p_value"].to_numpy(), rel=1e-9)


def test_weighted_designs_and_completed_frames_are_understood():
    frame = read("apistrat_imputed")
    frames = [frame.assign(acs=frame[name]) for name in IMPUTED["acs"]]
    made = ev.imputed_designs(frames, weights="pw", strata="stype", fpc="fpc")
    totals = {"stype": {"E": 4421, "H": 755, "M": 1018}}
    weighted = [ev.poststratify(design, totals) for design in made]
    result = ev.with_imputations(weighted, lambda design: ev.survey_mean(design, "acs"))
    assert result.estimate == pytest.approx(ev.with_imputations(designs(), CALLS["dev_458"][0]).estimate)


def test_shares_keep_limits_within_0_and_1():
    frame = pd.DataFrame({f"b_{i}": ["yes"] * (2 + i) + ["no"] * (30 - i) for i in range(3)})
    made = ev.imputed_designs(frame, {"b": ["b_0", "b_1", "b_2"]})
    result = ev.with_imputations(made, lambda design: ev.survey_prop(design, "b"))
    limits = result.confidence_interval()
    assert result.interval_method == "logit"
    assert ((limits > 0) & (limits < 1)).all()
    assert limits[0] + limits[1][::-1] == pytest.approx([1, 1])


def test_no_influence_function_is_claimed():
    result = combined_by_hand()
    assert result.influence is None
    with pytest.raises(EstimationError, match="has no influence function"):
        ev.contrast(result, {"twice": {"a": 2}})


def test_without_degrees_of_freedom_there_is_no_p_value():
    frame = pd.DataFrame({"psu": [1, 1], "a_1": [1.0, 3.0], "a_2": [2.0, 5.0], "s": [0, 0]})
    frame = pd.concat([frame, frame.assign(psu=2, a_1=[4.0, 5.0])], ignore_index=True)
    made = ev.imputed_designs(frame, {"a": ["a_1", "a_2"]}, psu="psu")
    alone = ev.with_imputations([ev.domain(it, {"psu": 1}) for it in made], lambda it: ev.survey_mean(it, "a"))
    assert alone.df.tolist() == [0.0]
    assert alone.tidy()[["p_value", "conf_low", "conf_high"]].isna().all(axis=None)


def test_what_is_no_set_of_imputations_is_refused():
    frame = read("apistrat_imputed")
    with pytest.raises(DesignError, match="two imputations and more, got 1"):
        ev.imputed_designs(frame, {"acs": ["acs_core_1"]}, weights="pw")
    with pytest.raises(DesignError, match=r"same number of imputations, got \{'acs': 2, 'ell': 1\}"):
        ev.imputed_designs(frame, {"acs": ["acs_core_1", "acs_core_2"], "ell": ["ell"]}, weights="pw")
    with pytest.raises(ColumnError, match=r"no column 'acs_core_9' in the data\. Did you mean 'acs_core_"):
        ev.imputed_designs(frame, {"acs": ["acs_core_1", "acs_core_9"]}, weights="pw")
    holed = frame.assign(acs_core_2=frame["acs_core_2"].where(frame.index > 2))
    with pytest.raises(ColumnError, match="'acs_core_2' is still missing in 3 of 200 rows") as caught:
        ev.imputed_designs(holed, IMPUTED, weights="pw")
    assert len(caught.value.failures) == 3
    with pytest.raises(DesignError, match="imputation 2 has 199 rows"):
        ev.imputed_designs([frame, frame.iloc[1:]], weights="pw")
    with pytest.raises(DesignError, match="name the imputed columns"):
        ev.imputed_designs(frame, weights="pw")


def test_results_that_do_not_belong_together_are_refused():
    first, second, *_ = designs()
    with pytest.raises(EstimationError, match="has other rows than the first"):
        ev.combine_imputations([ev.survey_mean(first, "acs"), ev.survey_mean(second, "ell")])
    with pytest.raises(EstimationError, match="two results and more, got 1"):
        ev.combine_imputations([ev.survey_mean(first, "acs")])
    with pytest.raises(EstimationError, match=r"conf_level is 0\.95 in the first result and 0\.9"):
        ev.combine_imputations([ev.survey_mean(first, "acs"), ev.survey_mean(second, "acs", conf_level=0.9)])
    with pytest.raises(EstimationError, match="complete_df must be above 0"):
        ev.combine_imputations([ev.survey_mean(it, "acs") for it in (first, second)], complete_df=0)
