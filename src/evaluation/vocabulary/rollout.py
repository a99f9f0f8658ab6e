"""Words of a roll-out: its map, its dates, the checks of a treatment, administrative figures and trends."""

from __future__ import annotations

#: Words by key: (Korean, English).
TERMS: dict[str, tuple[str, str]] = {
    # figures of a roll-out
    "dongs": ("동 수", "dongs"),
    "map_title": ("구별 시행 동의 비율", "Share of dongs covered, by district and date"),
    "map_key": ("구 이름과 동 수", "Districts and their number of dongs"),
    "map_share": ("시행 동의 비율 (%)", "share of dongs covered (%)"),
    "tile_note": (
        "칸은 구를 이웃 관계에 따라 배열한 것으로 실제 경계가 아님",
        "tiles place districts beside their neighbours and are no boundaries",
    ),
    "river": ("한강", "Han river"),
    "split_verified": ("확인됨", "verified"),
    "split_stage_verified": ("단계만 확인됨", "stage verified"),
    "split_illustrative": ("예시 (확인되지 않음)", "illustrative, not verified"),
    "timeline_title": ("시행 동의 수: 계획과 실제", "Dongs covered: planned and realised"),
    "rollout_realised": ("실제", "realised"),
    "rollout_planned": ("계획", "planned"),
    "stage_pilot": ("시범", "pilot"),
    "stage_final": ("완료", "complete"),
    "stage_number": ("{stage}단계", "stage {stage}"),
    "district_count": ("{n}개 구", "{n} districts"),
    # administrative figures
    "IndicatorResult": ("행정 수치의 산술", "Arithmetic on administrative figures"),
    "Indicators": ("공표된 행정 수치", "Published administrative figures"),
    "period": ("기간", "period"),
    "period_from": ("시작", "from"),
    "period_to": ("날짜·끝", "date or end"),
    "from": ("시작", "from"),
    "to": ("끝", "to"),
    "value": ("값", "value"),
    "unit": ("단위", "unit"),
    "measure": ("종류", "kind"),
    "status": ("구분", "status"),
    "status_from": ("시작의 구분", "status at first"),
    "status_to": ("끝의 구분", "status at last"),
    "value_from": ("시작의 값", "first value"),
    "value_to": ("끝의 값", "last value"),
    "change": ("변화", "change"),
    "relative_change": ("변화율 (비율)", "relative change (proportion)"),
    "cost": ("금액", "money"),
    "units": ("수", "number"),
    "units_date": ("수의 날짜", "date of the number"),
    "unit_cost": ("하나당 금액", "money per unit"),
    "covered": ("해당하는 수", "covered"),
    "population_date": ("모집단의 날짜", "date of the population"),
    "measure_stock": ("시점 값", "stock"),
    "measure_flow": ("기간 값", "flow"),
    "status_actual": ("실제", "actual"),
    "status_plan": ("계획", "plan"),
    "unit_persons": ("명", "persons"),
    "unit_households": ("가구", "households"),
    "unit_districts": ("자치구", "districts"),
    "unit_dongs": ("동", "dongs"),
    "unit_centers": ("센터", "centers"),
    "unit_organizations": ("기관", "organizations"),
    "unit_projects": ("사업", "projects"),
    "unit_plans": ("의제", "plans"),
    "unit_shops": ("가게", "shops"),
    "unit_sessions": ("회", "sessions"),
    "unit_gatherings": ("모임", "gatherings"),
    "unit_participations": ("참여 (연인원)", "participations"),
    "unit_percent": ("퍼센트", "per cent"),
    "unit_billion_krw": ("십억 원", "billion KRW"),
    "unit_recipients_per_worker": ("명 (공무원 1인당)", "recipients per worker"),
    "unit_persons_per_center": ("명 (센터당)", "persons per center"),
    # trends
    "segment": ("문항 구간", "wording segment"),
    "break": ("문항 변경", "wording changed"),
    "jump": ("급변", "jump"),
    "n_groups": ("집단 수", "groups"),
    "p_groups_alike": ("p값 (집단이 같음)", "p-value, groups alike"),
    "jump_unreached": ("급변 (미시행 집단)", "jump where not yet reached"),
    "p_unreached": ("p값 (미시행 집단)", "p-value where not yet reached"),
    "BreakTable": ("조사 연도에 따른 수준의 급변", "Levels that jump at one wave"),
    "no_breaks": ("표집오차를 넘는 급변 없음", "no jump beyond sampling error"),
    "break_declared": (
        "{what}: {wave}년에 {size}{unit} 급변, 문항 변경이 신고된 해",
        "{what}: the level jumps by {size}{unit} in {wave}, where a new wording is declared.",
    ),
    "break_unreached": (
        "{what}: {wave}년에 {size}{unit} 급변이 정책이 아직 닿지 않은 곳까지 모든 집단에서 나타남. 문항을 확인할 것",
        "{what}: the level jumps by {size}{unit} in {wave} in all groups at once, those that the policy had not "
        "reached included; check the wording.",
    ),
    "break_everywhere": (
        "{what}: {wave}년에 {size}{unit} 급변이 모든 집단에서 한꺼번에 나타남. 문항을 확인할 것",
        "{what}: the level jumps by {size}{unit} in {wave} in all groups at once; check the wording.",
    ),
    "break_alone": (
        "{what}: {wave}년에 {size}{unit} 급변. 문항을 확인할 것",
        "{what}: the level jumps by {size}{unit} in {wave}; check the wording.",
    ),
    "break_all_reached": (
        "{what}: {wave}년에 {size}{unit} 급변. 모든 집단에 정책이 닿은 뒤라 문항 탓인지 정책 탓인지 가릴 수 없음",
        "{what}: the level jumps by {size}{unit} in {wave}, when the policy had reached all groups: a new wording and "
        "the policy cannot be told apart.",
    ),
    "break_some_groups": (
        "{what}: {wave}년에 {size}{unit} 급변이 일부 집단에서만 나타남. 그 집단에 무슨 일이 있었는지 확인할 것",
        "{what}: the level jumps by {size}{unit} in {wave} in some groups only; check what happened to those.",
    ),
    # treatment checked, and districts by waves
    "TreatmentCheck": ("처치 변수의 점검", "Check of the treatment"),
    "problem": ("문제", "problem"),
    "is_fault": ("오류", "fault"),
    "n_units": ("단위 수", "units"),
    "n_rows": ("행 수", "rows"),
    "first_example": ("예:", "first:"),
    "first": ("예", "first"),
    "treatment_clean": (
        "처치 변수에서 단계적 시행과 어긋나는 것이 없음",
        "Nothing in the treatment contradicts a staged roll-out",
    ),
    "treatment_not_a_date": (
        "날짜가 아닌 값: 2017-07-18과 같이 적고, 조사 연도는 숫자로 적을 것",
        "values that are no dates: write days such as 2017-07-18, and waves as numbers",
    ),
    "treatment_not_a_number": (
        "숫자 열에 글자가 있음: 고치거나 빈칸으로 둘 것",
        "text where numbers are expected: correct it or leave it blank",
    ),
    "treatment_not_a_period": (
        "조사 연도나 처음 시행된 연도가 수가 아님(예/아니오, 0/1, 날짜, 연월, 음수): 2015처럼 조사와 같은 단위로 적고, "
        "시행되지 않은 곳은 0",
        "a wave or first treated period that is no number of the waves' kind (yes or no, 0/1, a date, year and month, "
        "below zero): write it as the waves are written, such as 2015, and 0 for never",
    ),
    "treatment_missing_values": (
        "단위, 조사 연도 또는 처치가 빠진 행: 채우거나 제외할 것",
        "rows without a unit, wave or treatment: fill them in or leave them out",
    ),
    "treatment_duplicated": (
        "같은 단위와 조사 연도가 두 번 이상 있음: 하나만 남기거나, 응답자 자료라면 respondents=True로 둘 것",
        "unit and wave stand more than once: keep one, or pass respondents=True where rows are respondents",
    ),
    "treatment_unbalanced": (
        "일부 조사 연도가 빠진 단위: 행을 채우거나, ev.panel에서 incomplete='restrict'로 제외할 것",
        "units that lack a wave: add the rows, or leave those units out with incomplete='restrict' in ev.panel",
    ),
    "treatment_not_sampled": (
        "일부 조사 연도에 응답자가 없는 단위",
        "units without a respondent in some wave",
    ),
    "treatment_treatment_not_binary": (
        "처치가 0이나 1이 아님: 정도라면 dose로 지정할 것",
        "treatment is neither 0 nor 1: name it as dose where it is one",
    ),
    "treatment_dose_outside": (
        "정도가 0과 1 사이를 벗어남: 백분율은 100으로 나눌 것",
        "dose outside 0 to 1: divide per cent by 100",
    ),
    "treatment_differs_within": (
        "같은 단위, 같은 조사 연도 안에서 처치가 다름: 더 작은 단위를 쓸 것",
        "treatment differs within a unit and wave: name the smaller unit that is treated",
    ),
    "treatment_changes_cohort": (
        "첫 시행 조사 연도가 바뀌는 단위: 단위마다 하나로 둘 것",
        "units whose first treated wave changes: give each one only",
    ),
    "treatment_switches_off": (
        "시행되었다가 중단된 단위: 단계적 시행의 추정량은 쓸 수 없으며 ev.switching_did를 볼 것",
        "units that switch off: estimators of a staged roll-out do not hold; see ev.switching_did",
    ),
    "treatment_contradicts_cohort": (
        "처치가 첫 시행 조사 연도와 어긋남: 둘 중 하나를 고칠 것",
        "treatment contradicts the first treated wave: correct one of them",
    ),
    "treatment_starts_before": (
        "첫 조사부터 이미 시행된 단위: 이전 조사를 더하거나 제외할 것",
        "units treated from the first wave on: add earlier waves or leave them out",
    ),
    "treatment_starts_after": (
        "마지막 조사 뒤에 시행되는 단위: 자료 안에서는 미시행으로 쓰임",
        "units treated after the last wave: within the data they serve as not treated",
    ),
    "treatment_never_treated_none": (
        "미시행 단위가 없음: 마지막 시행 집단은 비교 대상으로만 쓰임",
        "nobody is never treated: the last cohort serves for comparison only",
    ),
    "heatmap_title": ("자치구와 조사 연도별 시행 동 비율", "Share of dongs covered, by district and wave"),
    "heatmap_title_residents": (
        "자치구와 조사 연도별 시행 동 주민 비율",
        "Share of residents in covered dongs, by district and wave",
    ),
    "heatmap_planned": ("계획이 더 앞섬", "the plan was further"),
    "heatmap_note": (
        "숫자는 시행 비율(%), 칸 안의 주황 테두리는 계획이 실제보다 앞선 곳, 시작한 순서로 정렬",
        "numbers: per cent covered; orange frame: the plan was further than what happened; ordered by the start",
    ),
    "layer_times_short": ("지금의 {times}배", "{times} times"),
    "layer_infinite_short": ("무한히 큼", "infinite"),
    "sample_size": ("표본 크기", "size of the sample"),
    "bounds_of_missing": ("효과의 범위", "bounds of the effect"),
    "layer_today_short": ("지금", "today's"),
}
