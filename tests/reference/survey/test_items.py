"""Every number that R survey gave, asked of the public verbs."""

import copy
import math

import pytest
from answers.comparing import differences
from answers.items import ANSWERS, ITEMS, ON_PURPOSE


def test_all_items_are_asked():
    assert len(ITEMS) == len({item.id for item in ITEMS}) == 465
    assert {item.function for item in ITEMS} <= set(ANSWERS)


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.id)
def test_r_is_reproduced(item):
    assert item.differences
    assert [str(each) for each in item.differences if each.is_too_large] == [], item.R_call


@pytest.mark.parametrize("id", sorted(ON_PURPOSE))
def test_an_answer_that_is_another_on_purpose_is_another(id):
    (item,) = [item for item in ITEMS if item.id == id]
    part, reason = ON_PURPOSE[id]
    assert reason
    assert any(each.is_too_large for each in differences({part: item.answer[part]}, {part: item.expect[part]}))


def test_a_number_that_is_off_or_absent_is_found():
    (item,) = [item for item in ITEMS if item.id == "dev_010"]
    for place, factor in ((("table", "api00"), 1 + 1e-7), (("table", "se"), 1 + 1e-5), (("vcov", "values"), math.nan)):
        wrong = copy.deepcopy(item.expect)
        wrong[place[0]][place[1]] = _scaled(wrong[place[0]][place[1]], factor)
        assert any(each.is_too_large for each in differences(item.answer, wrong))
    without = {name: value for name, value in item.answer.items() if name != "vcov"}
    assert any(each.is_too_large for each in differences(without, item.expect))


def _scaled(values, factor):
    return [_scaled(value, factor) if isinstance(value, list) else value * factor for value in values]


def test_small_p_values_are_compared_by_their_logarithms():
    (near,) = differences({"p_value": 1.001e-30}, {"p_value": 1e-30})
    (far,) = differences({"p_value": 2e-30}, {"p_value": 1e-30})
    assert near.relative == pytest.approx(math.log(1.001) / math.log(1e30))
    assert far.is_too_large
