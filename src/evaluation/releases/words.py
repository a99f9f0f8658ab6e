"""What the comparison says of a cell, in both languages."""

from __future__ import annotations

from evaluation.specification import Text

#: The kinds, in the order in which they are told.
KINDS = {
    "gone": Text(ko="없어짐", en="gone"),
    "revised": Text(ko="고쳐짐 (같은 기간)", en="revised (same period)"),
    "changed": Text(ko="바뀜", en="changed"),
    "wording": Text(ko="문항이 달라 비교할 수 없음", en="broken by wording"),
    "suppressed": Text(ko="비공개", en="suppressed"),
    "new": Text(ko="새로 생김", en="new"),
    "same": Text(ko="같음", en="same"),
}
#: Why a cell is what it is, where the kind alone does not say it.
NOTES = {
    "": Text(ko="", en=""),
    "suppressed_now": Text(ko="올해 비공개", en="suppressed now, shown then"),
    "suppressed_then": Text(ko="지난번 비공개", en="suppressed then, shown now"),
    "suppressed_both": Text(ko="두 번 모두 비공개, 이유가 다름", en="suppressed both times, for another reason"),
    "same_period_hidden": Text(
        ko="같은 기간의 수치가 한쪽에서 비공개이므로 다른 쪽도 보이지 않음",
        en="the same period is suppressed on one side, so the other is not shown here either",
    ),
    "suppressed_since": Text(
        ko="지난번 수치가 그 뒤 비공개로 바뀌어 보이지 않음",
        en="last time's number has been suppressed since, so it is not shown here",
    ),
    "no_value_now": Text(ko="올해 값이 비어 있음", en="holds no value now"),
    "no_value_then": Text(ko="지난번 값이 비어 있었음", en="held no value then"),
    "no_row_now": Text(ko="올해 표에 이 행이 없음", en="the table no longer has this row"),
    "no_row_then": Text(ko="지난번 표에 이 행이 없었음", en="the table did not have this row"),
    "no_table_now": Text(ko="이제 이 표가 없음", en="the table is no longer published"),
    "no_table_then": Text(ko="지난번에 이 표가 없었음", en="the table was not published"),
    "no_column_now": Text(ko="올해 표에 이 열이 없음", en="the table no longer has this column"),
    "no_column_then": Text(ko="지난번 표에 이 열이 없었음", en="the table did not have this column"),
    "no_own_year": Text(
        ko="지난해의 수치는 있으나 올해의 수치가 없음", en="last year's number stands there, this year's does not"
    ),
    "other_verb": Text(ko="다른 방법으로 구한 수치", en="estimated as something else, so no difference"),
    "other_base": Text(ko="모집단이 다름", en="another population, so no difference"),
    "other_waves": Text(ko="합친 조사 연도가 다름", en="rests on other waves, so no difference"),
    "other_size": Text(ko="응답자 수가 3분의 1 넘게 다름", en="the number of respondents differs by more than a third"),
    "shared_waves": Text(
        ko="함께 쓴 조사를 오차에 반영함", en="both rest on a wave in common, which the error reckons in"
    ),
    "other_unit": Text(ko="단위가 다름", en="another unit, so no difference"),
    "other_scale": Text(
        ko="한쪽은 비율, 다른 쪽은 퍼센트로 보임", en="one side looks like shares, the other like per cent"
    ),
    "text": Text(ko="글자가 다름", en="text differs"),
    "no_error": Text(ko="표준오차가 없어 기준을 적용하지 못함", en="no standard error, so no threshold applies"),
    "wording": Text(ko="두 값을 나란히 보일 뿐 차이를 내지 않음", en="side by side, without a difference"),
}
