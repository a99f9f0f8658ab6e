"""Sample against population before and after weighting: by hand, from margins, totals and registers; and its figure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, DesignError, EstimationError, MarginError
from evaluation.results import Provenance

TIGHT = 1e-12
POPULATION = {"sex": {"f": 500, "m": 500}, "area": {"n": 200, "s": 300, "w": 500}, "age": 45_000.0}


def respondents() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    sex = rng.choice(["f", "m"], 300, p=[0.6, 0.4])
    return pd.DataFrame(
        {
            "sex": sex,
            "area": rng.choice(["n", "s", "w"], 300),
            "age": 40 + 5 * (sex == "m") + rng.normal(0, 8, 300),
            "w": rng.uniform(1, 3, 300),
        }
    )


def test_shares_and_means_are_standardised_by_hand() -> None:
    design = ev.survey_design(respondents(), weights="w")
    raked = ev.rake(design, {name: POPULATION[name] for name in ("sex", "area")})
    rows = ev.sample_balance(raked, POPULATION).tidy().set_index(["covariate", "level"])
    data = respondents()
    share = data.loc[data["area"] == "w", "w"].sum() / data["w"].sum()
    row = rows.loc[("area", "w")]
    assert (row["population"], row["denominator"]) == (0.5, "population")
    assert row["sample_before"] == pytest.approx(share, rel=TIGHT)
    assert row["smd_raw"] == pytest.approx((share - 0.5) / 0.5, rel=TIGHT)
    assert row["n_obs"] == (data["area"] == "w").sum()
    np.testing.assert_allclose(rows.loc[["sex", "area"], "smd_weighted"], 0, atol=1e-7)
    age = rows.loc[("age", "")]
    mean = np.average(data["age"], weights=data["w"])
    spread = np.sqrt(np.average((data["age"] - mean) ** 2, weights=data["w"]))
    assert age["denominator"] == "sample"
    assert age["smd_raw"] == pytest.approx((mean - 45) / spread, rel=1e-10)
    after = np.average(data["age"], weights=raked.weights)
    assert age["smd_weighted"] == pytest.approx((after - 45) / spread, rel=1e-10)


def test_the_distance_of_two_levels_is_the_squared_standardised_difference() -> None:
    found = ev.sample_balance(ev.survey_design(respondents(), weights="w"), POPULATION, variables=["sex", "area"])
    distance = found.distances.set_index("covariate")
    rows = found.tidy()
    assert distance.loc["sex", "chi_square_before"] == pytest.approx(rows["smd_raw"].iloc[0] ** 2, rel=1e-10)
    area = rows[rows["covariate"] == "area"]
    by_hand = ((area["sample_before"] - area["population"]) ** 2 / area["population"]).sum()
    assert distance.loc["area", "chi_square_before"] == pytest.approx(by_hand, rel=TIGHT)
    assert distance.loc["area", "largest_smd_before"] == pytest.approx(area["smd_raw"].abs().max(), rel=TIGHT)


def test_a_register_stands_for_the_population_with_its_own_spread() -> None:
    rng = np.random.default_rng(2)
    register = pd.DataFrame({"sex": rng.choice(["f", "m"], 5000), "age": rng.normal(45, 12, 5000)})
    found = ev.sample_balance(ev.survey_design(respondents(), weights="w"), register, variables=["sex", "age"]).tidy()
    assert found["denominator"].unique().tolist() == ["population"]
    age = found.iloc[-1]
    assert age["population"] == pytest.approx(register["age"].mean(), rel=TIGHT)
    assert age["smd_raw"] == pytest.approx(
        (age["sample_before"] - age["population"]) / register["age"].std(ddof=0), rel=1e-10
    )
    assert found["population"].iloc[0] == pytest.approx((register["sex"] == "f").mean(), rel=TIGHT)
    weighted = ev.survey_design(register.assign(v=np.where(register["sex"] == "f", 3.0, 1.0)), weights="v")
    share = ev.sample_balance(ev.survey_design(respondents()), weighted, variables="sex").tidy()["population"].iloc[0]
    f = (register["sex"] == "f").sum()
    assert share == pytest.approx(3 * f / (3 * f + 5000 - f), rel=TIGHT)


def test_nonrespondents_do_not_count_before_either() -> None:
    data = pd.DataFrame({"sex": list("ffffmmmm"), "answered": [1, 1, 1, 1, 1, 0, 0, 0]})
    adjusted = ev.adjust_nonresponse(ev.survey_design(data), response="answered", by="sex")
    row = ev.sample_balance(adjusted, {"sex": {"f": 1, "m": 1}}).tidy().iloc[0]
    assert (row["n_obs"], row["sample_before"], row["sample_after"]) == (4, 0.8, 0.5)


def test_a_domain_is_compared_by_its_members() -> None:
    design = ev.domain(ev.survey_design(respondents(), weights="w"), {"area": "n"})
    rows = ev.sample_balance(design, {"sex": {"f": 100, "m": 100}}).tidy()
    data = respondents()
    own = data[data["area"] == "n"]
    assert rows["sample_before"].iloc[0] == pytest.approx(
        own.loc[own["sex"] == "f", "w"].sum() / own["w"].sum(), rel=TIGHT
    )


def test_levels_of_few_respondents_are_hidden_with_the_next_smallest() -> None:
    data = pd.DataFrame({"area": ["n"] * 20 + ["s"] * 9 + ["w"] * 2})
    design = ev.survey_design(data)
    design = replace(design, provenance=Provenance(n=31, min_cell=5))
    rows = ev.sample_balance(design, {"area": {"n": 10, "s": 10, "w": 10}}).tidy()
    assert rows["mark"].tolist() == ["", "[c]", "[c]"]
    assert rows.loc[1:, ["sample_before", "sample_after", "smd_raw", "n_obs"]].isna().all().all()
    assert rows["population"].notna().all()


@pytest.mark.parametrize(("lang", "word"), [("en", "Sample less population"), ("ko", "표본과 모집단의 차이")])
def test_the_love_plot_is_drawn_in_both_languages(lang: str, word: str) -> None:
    raked = ev.rake(ev.survey_design(respondents(), weights="w"), {"sex": POPULATION["sex"]})
    found = ev.sample_balance(raked, POPULATION)
    figure = ev.plot(found, lang=lang)
    assert word in figure.title
    np.testing.assert_allclose(figure.data["abs_smd_raw"], found.tidy()["smd_raw"].abs(), rtol=TIGHT)
    assert len(ev.table(found, lang=lang).frame) == 6
    assert repr(found) == repr(ev.sample_balance(raked, POPULATION))
    assert found._repr_html_().count("<table") == 2
    assert {row["covariate"] for row in found.to_dict()["distances"]} == {"sex", "area", "age"}


def test_a_variable_of_very_many_levels_is_named_and_not_drawn() -> None:
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"sex": rng.choice(["f", "m"], 900), "block": [f"b{i % 45:02d}" for i in range(900)]})
    population = {"sex": {"f": 45, "m": 45}, "block": {f"b{i:02d}": 2 for i in range(45)}}
    figure = ev.plot(ev.sample_balance(ev.survey_design(data), population), lang="en")
    assert figure.data["covariate"].unique().tolist() == ["sex"]
    assert "block" in figure.caption


def test_what_cannot_be_compared_is_refused_in_words() -> None:
    design = ev.survey_design(respondents(), weights="w")
    with pytest.raises(MarginError, match="how large the population is"):
        ev.sample_balance(design, {"age": 45_000.0})
    with pytest.raises(EstimationError, match="variables="):
        ev.sample_balance(design, respondents())
    with pytest.raises(MarginError, match="absent from the sample"):
        ev.sample_balance(design, {"sex": {"f": 1, "m": 1, "x": 1}})
    with pytest.raises(MarginError, match="no margin 'sx'"):
        ev.sample_balance(design, POPULATION, variables="sx")
    with pytest.raises(ColumnError, match="agee"):
        ev.sample_balance(design, respondents(), variables="agee")
    with pytest.raises(DesignError):
        ev.sample_balance(respondents(), POPULATION)


def test_a_table_shows_shares_and_means_as_they_are() -> None:
    found = ev.sample_balance(ev.survey_design(respondents(), weights="w"), POPULATION)
    shown = ev.table(found, lang="en").frame
    assert shown.iloc[-1].tolist()[2:4] == ["300", "45"]
    assert shown.iloc[0].tolist()[3] == "0.5"
