"""Trends by wave: what may be compared across a new wording, and jumps that no policy explains."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from evaluation import project
from evaluation.design.declaration import survey_design
from evaluation.design.design import Design
from evaluation.errors import EstimationError, IdentificationError
from evaluation.estimation.contrasts import contrast
from evaluation.estimation.means import survey_mean
from evaluation.estimation.trend import find_breaks, survey_trend, trend_change
from evaluation.results import Estimates
from evaluation.specification import Text
from evaluation.synthetic.files import FILES
from evaluation.synthetic.population import synthesize
from evaluation.synthetic.switches import Switches
from evaluation.tables import table

#: Same arithmetic in another order.
TIGHT = 1e-12
#: Trend and search for breaks over 382,000 respondents, seconds; a fifth of it is usual.
SECONDS = 3.0
ITEMS = ["stay", "live_in_seoul", "rely", "happy", "knows_center"]
REWORDED = {"rely": {2015: {"ko": "문항을 바꿈", "en": "asked anew"}}}


def made(levels: dict[str, list[float]], *, spread: float = 0.1) -> Design:
    """Respondents of which each group and wave has four, whose mean is the level and whose error is known."""
    rows = [
        {"year": 2010 + wave, "group": group, "y": level + sign * spread}
        for group, means in levels.items()
        for wave, level in enumerate(means)
        for sign in (-1, -1, 1, 1)
    ]
    return survey_design(pd.DataFrame(rows))


@pytest.fixture(scope="module")
def waves_of() -> Callable[..., Design]:
    """Ten yearly citizen surveys of a city of one resident for 50 persons, with some switches turned."""
    kept: dict[Switches, Design] = {}

    def of(**turned: bool) -> Design:
        switches = Switches(**turned)
        if switches not in kept:
            waves = FILES["citizens_2010_2019.parquet"](synthesize(switches=switches, one_in=50))
            waves[ITEMS] = waves[ITEMS].replace(9, np.nan)
            kept[switches] = survey_design(waves, weights="weight_design", strata="stratum", psu="block_draw")
        return kept[switches]

    return of


def test_a_trend_is_the_means_of_the_waves_with_their_covariance() -> None:
    design = made({"a": [1.0, 2.0, 4.0], "b": [2.0, 2.0, 2.0]})
    trend = survey_trend(design, "y", time="year", by="group")
    means = survey_mean(design, "y", by=["year", "group"])
    pd.testing.assert_frame_equal(trend.keys, means.keys)
    assert trend.estimate == pytest.approx([1, 2, 2, 2, 4, 2], rel=TIGHT)
    np.testing.assert_array_equal(trend.vcov, means.vcov)
    assert trend.fit == {"time": "year", "by": ["group"], "breaks": []}


def test_a_change_is_the_contrast_of_two_waves() -> None:
    design = made({"a": [1.0, 2.0, 4.0], "b": [2.0, 2.0, 2.0]})
    trend = survey_trend(design, "y", time="year", by="group")
    change = trend_change(trend, 2010, 2012)
    assert change.keys.to_numpy().tolist() == [["y", "a"], ["y", "b"]]
    assert change.estimate == pytest.approx([3.0, 0.0], abs=TIGHT)
    again = contrast(trend, {"a": {"y | year=2012,group=a": 1, "y | year=2010,group=a": -1}})
    assert change.std_error[0] == pytest.approx(again.std_error[0], rel=TIGHT)
    assert change.n_obs.tolist() == [8, 8]
    assert change.influence is not None
    assert change.influence.shape == (24, 2)
    assert trend_change(trend, 2012, 2010).estimate == pytest.approx([-3.0, 0.0], abs=TIGHT)


def test_no_change_is_computed_across_a_new_wording() -> None:
    trend = survey_trend(made({"a": [1.0, 2.0, 4.0]}), "y", time="year", breaks={2011: "asked anew"})
    assert trend.columns["segment"].tolist() == [0, 1, 1]
    with pytest.raises(
        IdentificationError, match=r"between 2010 and 2012 the wording changed \('y' in 2011: asked anew"
    ):
        trend_change(trend, 2010, 2012)
    with pytest.raises(IdentificationError, match="between 2012 and 2010"):
        trend_change(trend, 2012, 2010)
    assert trend_change(trend, 2011, 2012).estimate == pytest.approx([2.0])
    marked = trend_change(trend, 2010, 2012, across_breaks="mark")
    assert np.isnan(marked.tidy()[["estimate", "std_error", "p_value"]].to_numpy(dtype=float)).all()
    assert marked.columns["break"].tolist() == ["2011"]
    assert marked.fit["not_comparable"] == [{"term": "y", "time": 2011, "ko": "asked anew", "en": "asked anew"}]
    assert json.loads(json.dumps(marked.to_dict(), allow_nan=False))["rows"][0]["estimate"] is None
    assert table(marked, lang="ko").frame["문항 변경"].tolist() == ["2011"]


def test_a_new_wording_belongs_to_its_variable() -> None:
    data = made({"a": [1.0, 2.0, 4.0]}).data.assign(z=lambda frame: frame["y"])
    text = Text(ko="바꿈", en="asked anew")
    trend = survey_trend(survey_design(data), ["y", "z"], time="year", breaks={"z": {2012: text}})
    assert trend.tidy().groupby("term")["segment"].sum().to_dict() == {"y": 0, "z": 1}
    marked = trend_change(trend, 2010, 2012, across_breaks="mark")
    assert np.isnan(marked.estimate).tolist() == [False, True]
    assert marked.std_error[0] > 0
    assert trend.fit["breaks"] == [{"term": "z", "time": 2012, "ko": "바꿈", "en": "asked anew"}]


@pytest.mark.parametrize(
    ("breaks", "told"),
    [
        ({2010: "x"}, r"a break at 2010 \('y'\).*waves after the first are 2011, 2012"),
        ({2016: "x"}, "a break at 2016"),
        ({"why": {2011: "x"}}, "breaks names 'why', neither a variable nor a wave"),
        ({2011: " "}, "needs a text"),
        ({2011: {"en": "x"}}, "needs a text, or one for ko and one for en"),
    ],
)
def test_a_break_is_named_for_a_wave_and_a_variable_that_exist(breaks: dict[object, object], told: str) -> None:
    with pytest.raises(EstimationError, match=told):
        survey_trend(made({"a": [1.0, 2.0, 4.0]}), "y", time="year", breaks=breaks)  # type: ignore[arg-type]


def test_what_is_no_trend_is_refused() -> None:
    design = made({"a": [1.0, 2.0]})
    with pytest.raises(EstimationError, match="'group' is no number"):
        survey_trend(design, "y", time="group")
    with pytest.raises(EstimationError, match="one wave"):
        survey_trend(survey_design(design.data.assign(year=2010)), "y", time="year")
    with pytest.raises(EstimationError, match=r"trend_change needs what ev.survey_trend returned, got survey_mean"):
        trend_change(survey_mean(design, "y"), 2010, 2011)
    trend = survey_trend(design, "y", time="year", by="group")
    with pytest.raises(EstimationError, match=r"no wave 2013\. Did you mean '2011'"):
        trend_change(trend, 2010, 2013)
    with pytest.raises(EstimationError, match="needs three waves"):
        find_breaks(trend)
    with pytest.raises(EstimationError, match=r"'grup' is no group of the trend. Did you mean 'group'"):
        find_breaks(survey_trend(made({"a": [1, 2, 3]}), "y", time="year", by="group"), cohort="grup")


def test_a_jump_is_what_the_neighbours_do_not_lead_to_expect() -> None:
    steady, jumping = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 2.0, 3.0, 9.0, 10.0, 11.0]
    flat = find_breaks(survey_trend(made({"a": steady}), "y", time="year"))
    assert flat.rows["jump"].tolist() == pytest.approx([0.0] * 5, abs=TIGHT)
    assert flat.flagged.empty
    trend = survey_trend(made({"a": jumping}), "y", time="year")
    found = find_breaks(trend)
    assert found.flagged["year"].tolist() == [2013]
    assert found.sentences("en") == ("y: the level jumps by 5 in 2013; check the wording.",)
    row = found.flagged.iloc[0]
    assert row["jump"] == pytest.approx(5.0, rel=TIGHT)
    # changes at 2013; two before (2012, 2011) and two after (2014, 2015), each side by half
    coefficients = np.array([0.25, 0.0, -1.25, 1.25, 0.0, -0.25])
    assert row["std_error"] == pytest.approx(np.sqrt(coefficients @ trend.vcov @ coefficients), rel=TIGHT)


def test_unequal_distances_between_waves_are_no_jump() -> None:
    data = pd.DataFrame({"year": np.repeat([2010, 2011, 2015, 2016], 4), "y": np.tile([-0.1, -0.1, 0.1, 0.1], 4)})
    data["y"] += data["year"]
    rows = find_breaks(survey_trend(survey_design(data), "y", time="year")).rows
    assert rows["jump"].tolist() == pytest.approx([0.0] * 3, abs=1e-9)


def test_a_jump_of_some_groups_is_told_from_one_of_all() -> None:
    steady = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5]
    jumping = [1.0, 1.1, 1.2, 3.3, 3.4, 3.5]
    for other, verdict in ((steady, "some groups"), (jumping, "everywhere")):
        trend = survey_trend(made({"a": jumping, "b": other}), "y", time="year", by="group")
        found = find_breaks(trend)
        assert found.flagged["verdict"].tolist() == [verdict]
        assert ("some groups only" in found.sentences("en")[0]) == (verdict == "some groups")
    data = made({"a": jumping, "b": steady}).data
    reached = data.assign(cohort=data["group"].map({"a": 2013, "b": 0}))
    table_ = find_breaks(survey_trend(survey_design(reached), "y", time="year", by="cohort"), cohort="cohort").flagged
    assert table_["verdict"].tolist() == ["some groups"]
    assert table_["jump_unreached"].tolist() == pytest.approx([0.0], abs=TIGHT)


def test_a_wording_switched_on_is_found_in_all_groups_at_once(waves_of: Callable[..., Design]) -> None:
    trend = survey_trend(waves_of(wording_break=True), ITEMS, time="year", by="district_cohort")
    found = find_breaks(trend, cohort="district_cohort")
    jumps = found.flagged[found.flagged["verdict"] == "everywhere"]
    assert jumps[["term", "year"]].to_numpy().tolist() == [["rely", 2015], ["knows_center", 2015]]
    assert (jumps["p_unreached"] < 0.01).all()
    told = "in 2015 in all groups at once, those that the policy had not reached included; check the wording"
    assert repr(found).count(told) == 2
    project.use_language("ko")
    try:
        assert "2015년에" in found.sentences()[0]
        assert "문항을 확인할 것" in found.sentences()[0]
    finally:
        project.use_language("en")
    assert table(found, lang="ko").data["year"].tolist()[0] == "2011"


def test_a_declared_wording_is_named_as_declared(waves_of: Callable[..., Design]) -> None:
    trend = survey_trend(waves_of(wording_break=True), ["rely"], time="year", by="district_cohort", breaks=REWORDED)
    found = find_breaks(trend, cohort="district_cohort")
    assert found.flagged["verdict"].tolist() == ["declared"]
    assert "where a new wording is declared" in found.sentences("en")[0]
    with pytest.raises(IdentificationError, match="'rely' in 2015: asked anew"):
        trend_change(trend, 2014, 2019)


def test_without_a_new_wording_the_rollout_alone_raises_no_alarm(waves_of: Callable[..., Design]) -> None:
    design = waves_of()
    started = time.perf_counter()
    trend = survey_trend(design, ITEMS, time="year", by="district_cohort")
    found = find_breaks(trend, cohort="district_cohort")
    took = time.perf_counter() - started
    assert not (found.flagged["verdict"] == "everywhere").any()
    # in this city the roll-out's growth ends in 2019, when it had reached all: no wording can be told from it
    assert found.flagged[["term", "year", "verdict"]].to_numpy().tolist() == [["knows_center", 2019, "all reached"]]
    assert "a new wording and the policy cannot be told apart" in found.sentences("en")[0]
    assert len(trend) == len(ITEMS) * 10 * 4
    assert took < SECONDS


def test_rows_and_weights_in_another_order_or_size_change_nothing() -> None:
    design = made({"a": [1.0, 2.0, 4.0, 4.0], "b": [2.0, 2.0, 2.0, 3.0]})
    shuffled = design.data.sample(frac=1, random_state=1).assign(w=7.0)

    def jumps(of: Design) -> Estimates | pd.DataFrame:
        return find_breaks(survey_trend(of, "y", time="year", by="group")).rows.drop(columns=["term", "verdict"])

    again = jumps(survey_design(shuffled, weights="w"))
    np.testing.assert_allclose(np.asarray(jumps(design), float), np.asarray(again, float), rtol=1e-9, atol=1e-12)


def test_a_change_from_a_wave_of_too_few_respondents_is_marked() -> None:
    design = made({"a": [1.0, 2.0, 4.0]})
    design = replace(design, provenance=replace(design.provenance, min_cell=5))
    assert trend_change(survey_trend(design, "y", time="year"), 2010, 2012).marks == ["[c]"]
