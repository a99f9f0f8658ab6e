"""What weighting did to the weights, and what weights and clusters cost each outcome."""

from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, DesignError, EstimationError
from evaluation.results import Provenance

made = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("reference_designs.py"))))

#: Same arithmetic in another order.
TIGHT = 1e-12


def unequal(n: int = 400, seed: int = 7) -> pd.DataFrame:
    """Respondents in blocks that are alike, with unequal weights."""
    rng = np.random.default_rng(seed)
    block = np.arange(n) // 8
    return pd.DataFrame(
        {
            "w": rng.uniform(1, 6, n),
            "block": block,
            "area": np.where(block % 3 == 0, "north", "south"),
            "y": rng.normal(size=n) + 0.8 * rng.normal(size=n // 8 + 1)[block],
            "answer": rng.choice(["no", "perhaps", "yes"], n),
        }
    )


def test_the_distribution_of_weights_by_hand() -> None:
    data = pd.DataFrame({"w": [1.0, 2.0, 3.0, 10.0, 0.0], "area": ["a", "a", "a", "a", "b"]})
    row = ev.weight_distribution(ev.survey_design(data, weights="w")).tidy().iloc[0]
    assert (row["n_obs"], row["sum"], row["mean"], row["median"]) == (4, 16.0, 4.0, 2.5)
    assert row["max_over_min"] == 10.0
    assert row["share_top_1"] == row["share_top_5"] == 10 / 16
    assert row["kish_deff"] == pytest.approx(4 * 114 / 256, rel=TIGHT)
    assert row["kish_deff"] == pytest.approx(1 + row["cv"] ** 2, rel=TIGHT)
    assert row["n_eff"] == pytest.approx(256 / 114, rel=TIGHT)


def test_domains_have_their_own_design_effect_and_the_whole_agrees_with_the_summary() -> None:
    design = ev.survey_design(unequal(), weights="w")
    by_area = ev.weight_distribution(design, by="area").tidy()
    assert by_area["area"].tolist() == ["north", "south"]
    assert by_area["sum"].sum() == pytest.approx(design.weights.sum(), rel=TIGHT)
    whole = ev.weight_distribution(design).tidy().iloc[0]
    last = ev.weight_summary(design).tidy().iloc[-1]
    for name in ("kish_deff", "n_eff", "minimum", "median", "maximum", "sum"):
        assert whole[name] == pytest.approx(last[name], rel=TIGHT)
    heaviest = np.sort(design.weights)[::-1][:20].sum() / design.weights.sum()
    assert whole["share_top_5"] == pytest.approx(heaviest, rel=TIGHT)


def test_weights_of_a_domain_with_few_respondents_are_not_shown() -> None:
    data = pd.DataFrame({"w": [1.0, 2.0, 3.0, 4.0], "area": ["a", "a", "a", "b"]})
    design = ev.survey_design(data, weights="w")
    design = replace(design, provenance=Provenance(n=4, min_cell=3))
    rows = ev.weight_distribution(design, by="area")
    assert rows.tidy()["mark"].tolist() == ["", "[c]"]
    assert rows.tidy().loc[1].drop(["area", "mark"]).isna().all()
    assert "4" not in repr(rows).split("\n")[-1]


def test_each_step_is_described_by_its_own_factor() -> None:
    design = ev.survey_design(made.read("apistrat"), weights="pw", strata="stype")
    raked = ev.rake(design, {"stype": {"E": 4421, "H": 755, "M": 1018}, "sch.wide": {"No": 1072, "Yes": 5122}})
    trimmed = ev.trim_weights(raked, upper=1.2)
    rows = ev.step_effects(trimmed).tidy()
    assert rows["step"].tolist() == ["rake", "trim_weights"]
    factor = raked.weights / design.weights
    assert rows["factor_minimum"].iloc[0] == pytest.approx(factor.min(), rel=TIGHT)
    assert rows["factor_deff"].iloc[0] == pytest.approx((factor**2).mean() / factor.mean() ** 2, rel=TIGHT)
    assert rows["correlation"].iloc[0] == pytest.approx(np.corrcoef(factor, design.weights)[0, 1], rel=TIGHT)
    history = ev.weight_summary(trimmed).tidy()["kish_deff"].to_numpy()
    np.testing.assert_allclose(rows["deff_ratio"], history[1:] / history[:-1], rtol=TIGHT)
    assert rows["share_moved"].tolist() == [0.0, 0.0]


def test_a_factor_that_all_share_moves_nobody_and_nonrespondents_are_not_counted_after() -> None:
    data = pd.DataFrame({"w": [1.0, 1.0, 2.0, 2.0, 9.0], "answered": [1, 0, 1, 1, 1]})
    adjusted = ev.adjust_nonresponse(ev.survey_design(data, weights="w"), response="answered")
    row = ev.step_effects(adjusted).tidy().iloc[0]
    assert (row["n_before"], row["n_after"]) == (5, 4)
    assert row["factor"] == pytest.approx(15 / 14, rel=TIGHT)
    assert row["share_moved"] == 0
    assert np.isnan(row["correlation"])
    assert row["deff_ratio"] == pytest.approx(1.0, rel=TIGHT)


def test_a_step_that_triples_some_weights_says_how_many() -> None:
    data = pd.DataFrame({"sex": ["f"] * 9 + ["m"]})
    step = ev.poststratify(ev.survey_design(data), {"sex": {"f": 5, "m": 5}})
    assert ev.step_effects(step).tidy()["share_moved"].iloc[0] == pytest.approx(0.1)


def test_a_design_without_steps_has_no_step_effects() -> None:
    with pytest.raises(EstimationError, match="no weighting step"):
        ev.step_effects(ev.survey_design(unequal(), weights="w"))
    with pytest.raises(DesignError):
        ev.step_effects(unequal())
    with pytest.raises(ColumnError, match="area"):
        ev.weight_distribution(ev.survey_design(unequal(), weights="w"), by="aera")


def test_without_strata_clusters_and_steps_the_weights_are_the_whole_design_effect() -> None:
    design = ev.survey_design(unequal(), weights="w")
    rows = ev.design_effects(design, ["y", "answer"], by="area").tidy()
    assert len(rows) == 2 * (1 + 3)
    n = rows["n_obs"].to_numpy()
    np.testing.assert_allclose(rows["deff"], rows["deff_weighting"] * (400 / 399) * (n - 1) / n, rtol=1e-10)
    assert rows["icc"].isna().all()


def test_the_parts_multiply_to_the_design_effect_of_the_mean() -> None:
    data = unequal()
    design = ev.survey_design(data, weights="w", psu="block")
    row = ev.design_effects(design, "y").tidy().iloc[0]
    expected = ev.survey_mean(design, "y", deff="replace").columns["deff"][0]
    assert row["deff"] == pytest.approx(expected, rel=TIGHT)
    assert row["deff_kish"] * row["deff_clustering"] == pytest.approx(row["deff"], rel=TIGHT)
    assert row["deff_kish"] * (1 + (row["cluster_size"] - 1) * row["icc"]) == pytest.approx(row["deff"], rel=1e-10)
    by_block = data.groupby("block")["w"].sum()
    assert row["cluster_size"] == pytest.approx((by_block**2).sum() / (data["w"] ** 2).sum(), rel=TIGHT)
    assert row["n_eff"] == pytest.approx(400 / row["deff"], rel=TIGHT)
    assert 0.1 < row["icc"] < 0.8


def test_equal_weights_cost_nothing_whatever_the_outcome() -> None:
    rows = ev.design_effects(ev.survey_design(unequal(), psu="block"), ["y"]).tidy()
    assert rows["deff_kish"].iloc[0] == pytest.approx(1.0, rel=TIGHT)
    assert rows["deff_weighting"].iloc[0] == pytest.approx(1.0, rel=TIGHT)


def test_missing_answers_are_a_domain_of_their_own_outcome() -> None:
    data = unequal()
    holes = data.assign(y=data["y"].where(np.arange(400) % 5 > 0))
    row = ev.design_effects(ev.survey_design(holes, weights="w", psu="block"), "y").tidy().iloc[0]
    kept = holes[holes["y"].notna()]
    assert row["n_obs"] == 320
    assert row["deff_kish"] == pytest.approx(320 * (kept["w"] ** 2).sum() / kept["w"].sum() ** 2, rel=TIGHT)


def test_design_effects_of_rows_that_rest_on_few_are_blank_and_printed_alike_twice() -> None:
    design = ev.survey_design(unequal(), weights="w", psu="block")
    limited = replace(design, provenance=replace(design.provenance, min_base=200))
    found = ev.design_effects(limited, "y", by="area")
    assert found.tidy()["mark"].tolist() == ["[u]", ""]
    assert np.isnan(found.tidy()["deff"].iloc[0])
    assert repr(found) == repr(ev.design_effects(limited, "y", by="area"))
    assert found._repr_html_() == ev.design_effects(limited, "y", by="area")._repr_html_()
    assert found.to_dict()["rows"][0]["deff"] is None


def test_design_effects_know_replicates_and_calibration() -> None:
    taylor, replicated = made.api_design("dclus1"), made.api_design("rep_jk1")
    calibrated = ev.calibrate(taylor, {"total": 6194, "api99": 3914069})
    one, other, third = (
        ev.design_effects(design, "api00").tidy().iloc[0] for design in (taylor, replicated, calibrated)
    )
    errors = [ev.survey_mean(design, "api00").std_error[0] for design in (taylor, replicated, calibrated)]
    assert one["deff"] / other["deff"] == pytest.approx((errors[0] / errors[1]) ** 2, rel=1e-10)
    assert third["std_error"] == pytest.approx(errors[2], rel=TIGHT)
    assert third["deff"] < 1 < one["deff"]


@pytest.mark.parametrize(("lang", "word"), [("en", "Design effects by outcome"), ("ko", "문항별 설계효과")])
def test_design_effects_are_drawn_and_what_may_not_be_shown_has_no_dot(lang: str, word: str) -> None:
    design = ev.survey_design(unequal(), weights="w", psu="block")
    limited = replace(design, provenance=replace(design.provenance, min_base=200))
    found = ev.design_effects(limited, ["y", "answer"], by="area")
    figure = ev.plot(found, lang=lang)
    assert figure.title == word
    north = figure.data["area"] == "north"
    assert figure.data.loc[north, "row"].str.endswith("[u]").all()
    assert figure.data.loc[north, "deff"].isna().all()
    assert "[u]" in figure.caption
    assert figure.png() == ev.plot(found, lang=lang).png()
