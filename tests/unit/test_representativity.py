"""R-indicators and their parts: by hand, against jackknife and numerical derivatives, by domain, and refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, DesignError, EstimationError, IdentificationError
from evaluation.results import Provenance

#: Same arithmetic in another order, after a regression that stops at 1e-9.
TIGHT = 1e-8
#: A delete-one jackknife of 400 units and a linearisation differ by terms of the second order.
SECOND_ORDER = 0.03


def drawn(n: int = 400, seed: int = 3) -> pd.DataFrame:
    """People drawn in two strata with unequal weights; the young and the north answer less."""
    rng = np.random.default_rng(seed)
    age = rng.choice(["old", "middle", "young"], n, p=[0.3, 0.3, 0.4])
    area = rng.choice(["north", "south"], n)
    chance = 0.75 - 0.3 * (age == "young") - 0.15 * (area == "north")
    return pd.DataFrame(
        {
            "answered": (rng.uniform(size=n) < chance).astype(int),
            "age": age,
            "area": area,
            "years": rng.uniform(20, 80, n),
            "w": rng.uniform(1, 4, n),
            "stratum": np.arange(n) % 2,
        }
    )


def design_of(data: pd.DataFrame) -> ev.Design:
    return ev.survey_design(data, weights="w", strata="stratum")


def by_quantity(found) -> dict[str, float]:
    return dict(zip(found.keys["quantity"], found.estimate, strict=True))


def test_one_binary_covariate_by_hand() -> None:
    # 30 of 40 answer in a, 20 of 60 in b: mean 0.5, deviations 0.25 and -1/6
    data = pd.DataFrame({"answered": [1] * 30 + [0] * 10 + [1] * 20 + [0] * 40, "kind": ["a"] * 40 + ["b"] * 60})
    found = ev.r_indicator(ev.survey_design(data), responded="answered", covariates="kind")
    variance = 0.4 * 0.25**2 + 0.6 / 36
    spread = np.sqrt(variance)
    values = by_quantity(found)
    assert values["response_rate"] == pytest.approx(0.5, rel=TIGHT)
    assert values["r_indicator"] == pytest.approx(1 - 2 * spread, rel=TIGHT)
    # each group's rate has the sandwich variance p(1-p)/m, the sample n/(n-1): their mean square about the mean
    va, vb = 0.75 * 0.25 / 40 * 100 / 99, (1 / 3) * (2 / 3) / 60 * 100 / 99
    noise = 0.4 * 0.6 * (va + vb)
    adjusted = np.sqrt(variance - noise + variance / 99)
    assert values["r_indicator_adjusted"] == pytest.approx(1 - 2 * adjusted, rel=1e-7)
    assert values["maximal_bias"] == pytest.approx(adjusted / 0.5, rel=1e-7)
    assert values["maximal_contrast"] == pytest.approx(adjusted / 0.25, rel=1e-7)
    parts = ev.partial_r_indicators(ev.survey_design(data), responded="answered", covariates="kind").tidy()
    own = parts.set_index(["quantity", "level"])["estimate"]
    assert own["unconditional", ""] == pytest.approx(spread, rel=TIGHT)
    assert own["unconditional", "a"] == pytest.approx(np.sqrt(0.4) * 0.25, rel=TIGHT)
    assert own["unconditional", "b"] == pytest.approx(-np.sqrt(0.6) / 6, rel=TIGHT)
    assert own["conditional", ""] == pytest.approx(spread, rel=TIGHT)
    assert own["conditional", "b"] == pytest.approx(np.sqrt(0.6) / 6, rel=TIGHT)


def test_the_error_of_a_binary_covariate_is_that_of_the_difference_of_two_rates() -> None:
    # with one binary covariate S = sqrt(q (1 - q)) |pa - pb|: strata of fixed size leave the difference alone
    data = pd.DataFrame({"answered": [1] * 30 + [0] * 10 + [1] * 20 + [0] * 40, "kind": ["a"] * 40 + ["b"] * 60})
    found = ev.r_indicator(ev.survey_design(data, strata="kind"), responded="answered", covariates="kind")
    error = np.sqrt(0.75 * 0.25 / 39 + (1 / 3) * (2 / 3) / 59)
    assert found.std_error[1] == pytest.approx(2 * np.sqrt(0.4 * 0.6) * error, rel=1e-7)


def test_the_indicator_is_the_one_that_response_contrast_prints() -> None:
    design = design_of(drawn())
    found = ev.r_indicator(design, responded="answered", covariates=["age", "area"])
    printed = ev.response_contrast(design, responded="answered", variables=["age", "area"]).fit["r_indicator"]
    assert by_quantity(found)["r_indicator"] == printed


def test_errors_agree_with_the_jackknife() -> None:
    design = design_of(drawn())
    jackknife = ev.as_replicates(design, kind="JKn")
    for verb in (ev.r_indicator, ev.partial_r_indicators):
        linear, repeated = (verb(one, responded="answered", covariates=["age", "area"]) for one in (design, jackknife))
        exact = ~linear.keys["quantity"].isin(["r_indicator_adjusted", "maximal_bias", "maximal_contrast"])
        np.testing.assert_allclose(linear.estimate[exact], repeated.estimate[exact], rtol=TIGHT)
        sure = np.abs(linear.estimate) > 3 * linear.std_error
        assert sure.sum() >= 5
        np.testing.assert_allclose(linear.std_error[sure], repeated.std_error[sure], rtol=SECOND_ORDER)


@pytest.mark.parametrize("verb", [ev.r_indicator, ev.partial_r_indicators])
def test_influence_is_the_derivative_in_each_weight(verb) -> None:
    data = drawn(120)
    found = verb(design_of(data), responded="answered", covariates=["age", "area"])
    for row in (0, 17, 63):
        moved = []
        for step in (1e-4, -1e-4):
            other = data.copy()
            other.loc[row, "w"] *= 1 + step
            moved.append(verb(design_of(other), responded="answered", covariates=["age", "area"]).estimate)
        slope = (moved[0] - moved[1]) / 2e-4
        known = np.ones(len(slope), dtype=bool)
        if "maximal_bias" in set(found.keys["quantity"]):
            known = (
                ~found.keys["quantity"].isin(["r_indicator_adjusted", "maximal_bias", "maximal_contrast"]).to_numpy()
            )
        np.testing.assert_allclose(found.influence[row][known], slope[known], rtol=1e-4, atol=1e-9)


def test_adjusted_indicators_are_on_target_where_response_hangs_on_nothing() -> None:
    plain, adjusted = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        data = pd.DataFrame({"answered": rng.integers(0, 2, 200), "kind": rng.choice(list("abcdef"), 200)})
        values = by_quantity(ev.r_indicator(ev.survey_design(data), responded="answered", covariates="kind"))
        plain.append((1 - values["r_indicator"]) ** 2 / 4)
        adjusted.append((1 - values["r_indicator_adjusted"]) ** 2 / 4)
    # five free rates of 200 answers leave a variance of 5 * 0.25 / 200 behind
    assert np.mean(plain) == pytest.approx(5 * 0.25 / 200, rel=0.25)
    assert np.mean(adjusted) < 0.5 * np.mean(plain)


def test_the_adjustment_of_a_replicate_design_is_about_that_of_linearisation() -> None:
    design = design_of(drawn())
    one, other = (
        by_quantity(ev.r_indicator(each, responded="answered", covariates=["age", "area"]))["r_indicator_adjusted"]
        for each in (design, ev.as_replicates(design, kind="JKn"))
    )
    assert one == pytest.approx(other, abs=0.002)


def test_squares_of_conditional_categories_add_up_to_their_variable() -> None:
    found = ev.partial_r_indicators(design_of(drawn()), responded="answered", covariates=["age", "area"]).tidy()
    for (quantity, _), rows in found.groupby(["quantity", "term"]):
        whole = rows.loc[rows["level"] == "", "estimate"].iloc[0]
        assert (rows.loc[rows["level"] != "", "estimate"] ** 2).sum() == pytest.approx(whole**2, rel=1e-9), quantity
    total = ev.r_indicator(design_of(drawn()), responded="answered", covariates=["age", "area"])
    spread = (1 - by_quantity(total)["r_indicator"]) / 2
    assert (found.loc[found["level"] == "", "estimate"] <= spread * (1 + 1e-12)).all()


def test_each_domain_has_its_own_model_and_their_covariance_is_known() -> None:
    design = design_of(drawn())
    found = ev.r_indicator(design, responded="answered", covariates="age", by="area")
    assert found.keys["area"].tolist() == ["north"] * 5 + ["south"] * 5
    alone = ev.r_indicator(ev.domain(design, {"area": "south"}), responded="answered", covariates="age")
    np.testing.assert_allclose(found.estimate[5:], alone.estimate, rtol=1e-9)
    np.testing.assert_allclose(found.std_error[5:], alone.std_error, rtol=1e-9)
    gap = ev.contrast(
        found,
        {
            "gap": {
                "answered | quantity=r_indicator,area=south": 1,
                "answered | quantity=r_indicator,area=north": -1,
            }
        },
    )
    assert gap.estimate[0] == pytest.approx(found.estimate[6] - found.estimate[1], rel=1e-12)


def test_weights_that_are_scaled_and_rows_in_another_order_change_nothing() -> None:
    data = drawn()
    asked = {"responded": "answered", "covariates": ["age", "years"]}
    one = ev.r_indicator(design_of(data), **asked)
    other = ev.r_indicator(design_of(data.assign(w=data["w"] * 7).sample(frac=1, random_state=1)), **asked)
    np.testing.assert_allclose(one.estimate, other.estimate, rtol=1e-8)
    np.testing.assert_allclose(one.std_error, other.std_error, rtol=1e-8)


def test_where_response_hangs_on_nothing_at_all_there_is_an_indicator_but_no_error() -> None:
    data = pd.DataFrame({"answered": [1, 0] * 20, "kind": ["a"] * 20 + ["b"] * 20})
    found = ev.r_indicator(ev.survey_design(data), responded="answered", covariates="kind")
    assert found.estimate[1:4].tolist() == [1.0, 1.0, 0.0]
    assert np.isnan(found.std_error[1:4]).all()
    assert found.std_error[0] > 0


def test_indicators_of_few_respondents_are_not_shown() -> None:
    design = design_of(drawn())
    limited = replace(design, provenance=Provenance(n=400, min_cell=5, min_base=150))
    found = ev.partial_r_indicators(limited, responded="answered", covariates=["age", "area"])
    marked = dict(zip(found.keys["level"], found.marks, strict=True))
    assert marked["middle"] == "[u]"
    assert marked["north"] == ""
    assert "nan" in repr(found) or "NaN" in repr(found)
    assert repr(found) == repr(ev.partial_r_indicators(limited, responded="answered", covariates=["age", "area"]))


def test_what_cannot_be_estimated_is_refused_in_words() -> None:
    data = drawn()
    design = design_of(data)
    with pytest.raises(DesignError, match="survey_design"):
        ev.r_indicator(data, responded="answered", covariates="age")
    with pytest.raises(ColumnError, match="answered"):
        ev.r_indicator(design, responded="answerd", covariates="age")
    with pytest.raises(ColumnError, match="must be 1 for respondents"):
        ev.r_indicator(design, responded="age", covariates="area")
    with pytest.raises(EstimationError, match="all who count have answered = 1"):
        ev.r_indicator(ev.domain(design, {"answered": 1}), responded="answered", covariates="age")
    with pytest.raises(EstimationError, match="'age' is missing for 1 of 400"):
        ev.r_indicator(
            design_of(data.assign(age=data["age"].where(data.index != 5))), responded="answered", covariates="age"
        )
    with pytest.raises(ColumnError, match="no categories to compare"):
        ev.partial_r_indicators(design, responded="answered", covariates=["age", "years"])
    with pytest.raises(EstimationError, match="needs at least one variable"):
        ev.r_indicator(design, responded="answered", covariates=[])
    certain = design_of(data.assign(certain=np.where(data["answered"] == 1, "yes", "no")))
    with pytest.raises(IdentificationError, match="r_indicator"):
        ev.r_indicator(certain, responded="answered", covariates="certain")
    nobody = design_of(data.assign(answered=data["answered"].where(data["area"] == "south", 0)))
    with pytest.raises(EstimationError, match="area=north: all who count"):
        ev.r_indicator(nobody, responded="answered", covariates="age", by="area")


@pytest.mark.parametrize(("lang", "panels"), [("en", ["unconditional", "conditional on the other variables"]),
                                              ("ko", ["단독", "조건부 (다른 변수를 고려함)"])])  # fmt: skip
def test_partial_indicators_are_drawn_with_a_panel_for_each_kind(lang: str, panels: list[str]) -> None:
    found = ev.partial_r_indicators(design_of(drawn()), responded="answered", covariates=["age", "area"])
    figure = ev.plot(found, lang=lang)
    assert figure.data["panel"].unique().tolist() == panels
    assert figure.data["row"].tolist()[:3] == ["age", "age: middle", "age: old"]
    assert figure.png() == ev.plot(found, lang=lang).png()
    by_stratum = ev.partial_r_indicators(design_of(drawn()), responded="answered", covariates="age", by="area")
    assert ev.plot(by_stratum, lang=lang).data["row"].iloc[0] == "age · north"


def test_intervals_end_where_the_scale_does() -> None:
    found = ev.r_indicator(design_of(drawn(60)), responded="answered", covariates="years").tidy()
    limits = found[["conf_low", "conf_high"]].to_numpy()[:2]
    assert limits.min() >= 0
    assert limits.max() == 1.0
    mean = found.iloc[0]
    assert mean["conf_high"] - mean["estimate"] == pytest.approx(mean["estimate"] - mean["conf_low"], rel=1e-9)
