"""Weighting: targets by hand, margins that do not fit, bounds that cannot hold."""

import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import CalibrationError, ColumnError, DesignError, MarginError, WeightingError


def design(**changes):
    columns = {
        "sex": ["f", "f", "m", "m"],
        "age": ["old", "young", "old", "young"],
        "rooms": [1.0, 2.0, 3.0, 4.0],
        "w": [1.0, 1.0, 1.0, 3.0],
    }
    return ev.survey_design(pd.DataFrame({**columns, **changes}), weights="w")


def test_poststratified_weights_by_hand():
    weights = ev.poststratify(design(), {"sex": {"f": 8, "m": 8}}).weights
    assert weights.tolist() == [4.0, 4.0, 2.0, 6.0]


def test_crossed_margins_poststratify_every_cell():
    cells = {"sex:age": {"f:old": 1, "f:young": 2, "m:old": 3, "m:young": 4}}
    assert ev.poststratify(design(), cells).weights.tolist() == [1.0, 2.0, 3.0, 4.0]


def test_raking_starts_from_the_weights_not_from_one():
    raked = ev.rake(design(), {"sex": {"f": 4, "m": 6}, "age": {"old": 4, "young": 6}}).weights
    odds = raked[0] * raked[3] / (raked[1] * raked[2])
    assert odds == pytest.approx(3.0, rel=1e-9)


def test_history_tells_every_step():
    targets = {"sex": {"f": 8, "m": 8}}
    history = ev.trim_weights(ev.rake(design(), targets), upper=1.4).history
    assert history["step"].tolist() == ["design weights", "rake", "trim_weights"]
    assert history["sum"].round(9).tolist() == [6.0, 16.0, 16.0]
    assert (history["n_eff"] <= history["n"]).all()


def test_a_design_is_never_changed_in_place():
    before = design()
    kept = before.weights.copy()
    ev.rake(before, {"sex": {"f": 8, "m": 8}})
    assert (before.weights == kept).all()
    assert before.steps == ()


def test_the_chain_can_be_written_down():
    final = ev.trim_weights(ev.rake(design(), {"sex": {"f": 8, "m": 8}}), upper=1.4)
    assert final.chain() == [
        {"rake": {"margins": ["sex"]}},
        {"trim_weights": {"upper": 1.4, "relative_to": "median"}},
    ]


def test_linear_weights_may_be_negative_and_raking_distance_keeps_them_positive():
    targets = {"total": 6, "rooms": 7.5}
    linear, raking = (ev.calibrate(design(), targets, distance=d) for d in ("linear", "raking"))
    assert linear.weights.min() < 0 < raking.weights.min()
    for one in (linear, raking):
        assert (one.weights * one.data["rooms"]).sum() == pytest.approx(7.5, rel=1e-9)


@pytest.mark.parametrize(
    ("verb", "margins", "error", "message"),
    [
        ("rake", {"sex": {"f": 8, "m": 8}, "age": {"old": 5, "young": 6}}, MarginError, r"share one total"),
        ("rake", {"sex": {"f": 8, "m": 4, "x": 4}}, MarginError, r"absent from the sample: \['x'\]"),
        ("rake", {"sex": {"f": 8}}, MarginError, r"lacks levels of the sample: \['m'\]"),
        ("rake", {"rooms": 10.0}, WeightingError, r"Use ev\.calibrate"),
        ("rake", {"gender": {"f": 8, "m": 8}}, ColumnError, r"no column 'gender'"),
        ("rake", {"sex": {"f": -8, "m": 8}}, MarginError, r"cannot be negative"),
        ("poststratify", {"sex": {"f": 8, "m": 8}, "age": {"old": 8, "young": 8}}, WeightingError, r"exactly one"),
        ("calibrate", {"sex": 4.0}, ColumnError, r"is text"),
        (
            "calibrate",
            {"total": 6, "rooms": -5.0},
            CalibrationError,
            r"no weights of zero and above reach 'rooms' = -5",
        ),
    ],
)
def test_margins_that_do_not_fit_say_so(verb, margins, error, message):
    options = {"distance": "raking"} if error is CalibrationError else {}
    with pytest.raises(error, match=message):
        getattr(ev, verb)(design(), margins, **options)


def test_margins_that_contradict_each_other_in_the_sample_are_refused():
    empty_cell = design(sex=["f", "f", "m", "m"], age=["old", "old", "young", "young"])
    with pytest.raises(CalibrationError, match=r"rake cannot meet its totals") as caught:
        ev.rake(empty_cell, {"sex": {"f": 4, "m": 6}, "age": {"old": 6, "young": 4}})
    assert "'age=old' is 'sex=f', so its total must be 4, but the target is 6" in str(caught.value)
    assert caught.value.failures["total"].tolist() == ["age=old", "sex=f"]


def test_collinear_totals_are_named_whether_they_agree_or_not():
    doubled = design(double=[2.0, 4.0, 6.0, 8.0])
    with pytest.raises(CalibrationError, match="'double' is a combination of 'rooms'"):
        ev.calibrate(doubled, {"rooms": 20.0, "double": 40.0})
    with pytest.raises(CalibrationError, match="contradict"):
        ev.calibrate(doubled, {"rooms": 20.0, "double": 44.0})


def test_a_missing_auxiliary_is_refused_with_its_rows():
    with pytest.raises(ColumnError, match=r"missing for 1 of 4") as caught:
        ev.calibrate(design(rooms=[1.0, None, 3.0, 4.0]), {"rooms": 10.0})
    assert caught.value.failures.index.tolist() == [1]


def test_a_bound_that_excludes_the_margins_is_refused():
    targets = {"sex": {"f": 2, "m": 10}}
    with pytest.raises(CalibrationError, match=r"trimming at 3 cannot be done.* 'sex=m' cannot reach its target"):
        ev.trim_weights(ev.rake(design(), targets), upper=3.0, relative_to="none", margins=targets)
    with pytest.raises(WeightingError, match="above zero"):
        ev.trim_weights(design(), upper=0)


def test_weights_are_adjusted_for_the_sample_not_for_a_domain():
    with pytest.raises(DesignError, match="Adjust first"):
        ev.rake(ev.domain(design(), {"sex": "f"}), {"sex": {"f": 8, "m": 8}})


def test_margins_that_differ_by_rounding_are_met_together():
    targets = {"sex": {"f": 5000.2, "m": 5000.2}, "age": {"old": 4000, "young": 6000}}
    raked = ev.rake(design(), targets)
    assert raked.weights.sum() == pytest.approx(10000.4, rel=1e-12)
    with pytest.raises(MarginError, match="share one total"):
        ev.rake(design(), {"sex": {"f": 0.5, "m": 0.5}, "age": {"old": 0.4, "young": 0.95}})


def test_levels_that_differ_in_blanks_only_are_refused():
    with pytest.raises(MarginError, match=r"column 'sex' has blanks around 'm ' in 1 rows"):
        ev.rake(design(sex=["f", "f", "m", "m "]), {"sex": {"f": 8, "m": 8}})
