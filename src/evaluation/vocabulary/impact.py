"""Words of a roll-out and its effects, of administrative figures and trends."""

from __future__ import annotations

#: Words by key: (Korean, English).
TERMS: dict[str, tuple[str, str]] = {
    # impact
    "effective_clusters": ("유효 군집 수", "effective clusters"),
    "Rollout": ("자치구별 시행", "The roll-out by district"),
    "RolloutTable": ("계획한 시행과 실제 시행", "The roll-out, planned and realised"),
    "TreatmentWeights": (
        "이원고정효과 계수의 칸별 가중치",
        "Weights of cells in the two-way fixed-effects coefficient",
    ),
    "ScheduleCheck": ("파일의 시행 일정 점검", "Which schedule the file follows"),
    "LeaveOneOut": ("군집을 하나씩 뺀 추정값", "Estimates without each cluster"),
    "leverage": ("지렛대값", "leverage"),
    "partial_leverage": ("부분 지렛대값", "partial leverage"),
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
    # figures of impact
    "line_broken": ("문항이 바뀐 곳에서 선을 끊음", "lines stop where the wording changed"),
    "event_time": ("시작한 해로부터의 햇수", "years since the start"),
    "cohort": ("시작한 해", "year of the start"),
    "time": ("연도", "year"),
    "before_start": ("시작 전", "before the start"),
    "since_start": ("시작 이후", "since the start"),
    "reference_period": ("비교 기준 시점", "reference period"),
    "simultaneous_band": ("가는 선: 동시 신뢰대", "thin bars: simultaneous band"),
    "no_bar": ("막대 없는 점은 표준오차를 구할 수 없음", "points without a bar have no standard error"),
    "no_standard_error": ("표준오차 없음", "no standard error"),
    "overall": ("전체", "overall"),
    "not_identified_cells": ("식별되지 않아 그리지 않은 시점", "periods not identified and not drawn"),
    "not_identified_for": ("식별되지 않은 시작 연도", "not identified for the start in"),
    "started_in": ("{year}년 시작", "start in {year}"),
    "effect": ("효과", "effect"),
    "least_bin": ("막대마다 응답자 {least}명 이상 또는 0명", "each bar: {least} or more respondents, or none"),
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
    # effects by cohort and time
    "IdentifiedCells": ("식별되는 효과", "Effects that the roll-out identifies"),
    "base_time": ("비교 시점", "compared with"),
    "is_identified": ("식별됨", "identified"),
    "n_treated": ("대상 응답수", "n treated"),
    "n_control": ("비교 응답수", "n of comparison"),
    "n_treated_clusters": ("대상 지역 수", "places treated"),
    "n_control_clusters": ("비교 지역 수", "places of comparison"),
    "band": ("동시 신뢰대", "simultaneous band"),
    "band_low": ("동시 신뢰하한", "lower limit of the band"),
    "band_high": ("동시 신뢰상한", "upper limit of the band"),
    "no_period_before": ("시행 전 조사가 없음", "no wave before treatment"),
    "no_comparison": ("아직 시행되지 않은 비교 대상이 없음", "nobody left who is not treated yet"),
    "last_cohort": ("마지막 시행 집단은 비교 대상으로만 쓰임", "the last cohort serves for comparison only"),
    "no_answers": ("한 집단에 응답이 없음", "a group has no answers in a wave"),
    "no_overlap": ("공변량이 두 집단을 갈라 겹치지 않음", "covariates separate the groups: no overlap"),
    "no_model": ("비교 집단에 없는 공변량 값", "covariate values that the comparison group does not have"),
    "no_intercept": ("절편은 그림에 없음", "intercept not drawn"),
    "rounding": (
        "자릿수는 표준오차의 유효숫자 두 자리에 맞추되 같은 항목에서는 같게 둠. 반올림하지 않은 값은 CSV에 있음.",
        "Decimals follow two significant digits of the standard errors, alike within an item; the CSV holds unrounded "
        "values.",
    ),
    # credibility and planning
    "component_icc": ("지역 내 상관 (ICC)", "intra-cluster correlation (ICC)"),
    "component_cac": ("지역의 조사 간 상관 (CAC)", "cluster autocorrelation (CAC)"),
    "component_std_dev": ("한 조사의 표준편차", "standard deviation within a wave"),
    "component_var_place": ("분산: 지속되는 지역 차이", "variance: lasting differences between places"),
    "component_var_place_wave": ("분산: 지역의 그해 충격", "variance: shocks of a place and wave"),
    "component_var_person": ("분산: 사람", "variance: persons"),
    "RolloutPower": ("단계적 시행에서 찾아낼 수 있는 최소 효과", "Minimum detectable effect of the roll-out"),
    "RolloutSimulation": ("모의실험으로 본 검정력과 오류율", "Power and size of the roll-out by simulation"),
    "persons_per_cell": ("지역·조사당 응답자", "persons per place and wave"),
    "infinitely_many": ("무한히 많음", "infinitely many"),
    "never_treated": ("시행 안 함", "never treated"),
    "share_shocks": ("분산 중 지역 충격 몫 (%)", "share of shocks in the variance (%)"),
    "mde_means": ("시행 전후 평균의 차이", "means before and after"),
    "mde_att_gt": ("집단·시점별 효과의 평균 (CS)", "group-time effects (CS)"),
    "mde_twfe": ("이원고정효과", "two-way fixed effects"),
    "mde_gls": ("일반화최소제곱", "generalised least squares"),
    "said_rollout_mde": (
        "지역 {places}곳, 지역·조사당 {persons}명이면 {effect} 이상의 효과를 {power} 확률로 찾아냄 "
        "(양측 {alpha}, 추정 방법: {method}). 응답자를 아무리 늘려도 {floor} 아래로는 내려가지 않음",
        "{places} places with {persons} persons each per wave find an effect of {effect} or more with probability "
        "{power} (two-sided {alpha}, estimator: {method}). However many persons are asked, it does not fall below "
        "{floor}.",
    ),
    "rollout_mde_setting": (
        "{method}; ICC {icc}, CAC {cac}, 표준편차 {sd}; t 자유도 {df}, 양측 {alpha}, 검정력 {power}; "
        "시작 조사별 지역 수 {places}",
        "{method}; ICC {icc}, CAC {cac}, standard deviation {sd}; t on {df} df, two-sided {alpha}, power {power}; "
        "places by first wave {places}",
    ),
    "mde_title": ("찾아낼 수 있는 최소 효과와 응답자 수", "Minimum detectable effect and sample size"),
    "mde_curve": ("찾아낼 수 있는 최소 효과", "minimum detectable effect"),
    "mde_floor": ("응답자가 무한히 많을 때", "with infinitely many persons"),
    "mde_asked": ("계획한 응답자 수", "numbers asked for"),
    "test": ("검정", "test"),
    "test_jackknife": ("지역을 하나씩 뺀 잭나이프 (CV3, t)", "jackknife over places (CV3, t)"),
    "test_randomization": ("무작위화 추론", "randomization inference"),
    "rejected": ("기각 비율 (%)", "rejected (%)"),
    "mc_error": ("모의실험 오차 (%p)", "simulation error (points)"),
    "sd_estimate": ("추정값의 표준편차", "standard deviation of estimates"),
    "hangs_on_one_place": ("한 곳을 빼면 추정할 수 없어 계산하지 않음", "refused: hangs on a single place"),
    "rollout_power_setting": (
        "{method}; 모의 시행 {draws}회 (난수 {seed}), 지역·조사당 {persons}명, ICC {icc}, CAC {cac}, 표준편차 {sd}, "
        "양측 {alpha}",
        "{method}; {draws} simulated roll-outs (seed {seed}), {persons} persons per place and wave, ICC {icc}, CAC "
        "{cac}, standard deviation {sd}, two-sided {alpha}",
    ),
    "CityPower": ("합성 도시에서의 모의 시행 검정력", "Power on samples of the synthetic city"),
    "city_power_setting": (
        "합성 도시에서 뽑은 조사 {draws}벌 (난수 {seed}), 문항 {outcome}, 지역·조사당 평균 {persons}명, "
        "지역의 그해 충격 표준편차 {shocks}%p, 양측 {alpha}",
        "{draws} sets of surveys of the synthetic city (seed {seed}), item {outcome}, {persons} persons per place and "
        "wave on average, shocks of places with a standard deviation of {shocks} points, two-sided {alpha}",
    ),
    "said_rollout_power": ("효과 {effect}, {test}: 기각 {share}", "effect {effect}, {test}: rejected {share}"),
    "said_rollout_none": ("효과 {effect}, {test}: {reason}", "effect {effect}, {test}: {reason}"),
    # inference with few clusters
    "ResampledTest": ("재추출 검정", "Test against other draws"),
    "null_value": ("검정하는 값", "value tested"),
    "p_strict": ("동률 제외 p값", "p, ties not counted"),
    "p_weak": ("동률 포함 p값", "p, ties counted"),
    "p_equal_tailed": ("양쪽 꼬리 같은 p값", "p, equal-tailed"),
    "convention": ("계산 규칙", "convention"),
    "no_seed": ("없음", "none"),
    "draws_enumerated": ("가능한 {n}가지를 모두 계산", "All {n} combinations were computed"),
    "draws_drawn": (
        "{n}번 무작위 추출(시드 {seed}), 관측값도 하나로 셈",
        "{n} random draws (seed {seed}), the observed one counted as one",
    ),
    "draws_missing": ("{n}번은 추정값이 없어 제외", "{n} draws without an estimate are left out"),
    "ties_strict": (
        "관측값보다 큰 경우만 셈(같은 {n}번은 제외)",
        "Draws beyond the observed one count ({n} ties do not)",
    ),
    "ties_weak": ("관측값과 같은 경우도 셈({n}번)", "Draws as large as the observed one count ({n} ties)"),
    "weights_rademacher": ("라데마허", "Rademacher"),
    "weights_webb": ("웹 6점", "Webb's six-point"),
    "wild_bootstrap": (
        "와일드 군집 부트스트랩 {name}: {residuals}, {errors}, {weights} 가중치, 군집 {g}개({cluster})",
        "Wild cluster bootstrap {name}: {residuals}, {errors}, {weights} weights, {g} clusters ({cluster})",
    ),
    "residuals_wcr_1": ("귀무가설 아래 전체 적합의 잔차", "residuals of the full fit under the null"),
    "residuals_wcr_3": (
        "귀무가설 아래 해당 군집을 뺀 적합의 잔차",
        "residuals of fits without the cluster under the null",
    ),
    "residuals_wcu_1": ("제약 없는 전체 적합의 잔차", "residuals of the unrestricted fit"),
    "residuals_wcu_3": ("해당 군집을 뺀 제약 없는 적합의 잔차", "residuals of unrestricted fits without the cluster"),
    "errors_1": ("군집합 표준오차", "errors from cluster sums"),
    "errors_3": ("잭나이프 표준오차", "jackknife errors"),
    "ri_coefficient": (
        "무작위화 추론: 시행 순서가 교환 가능하다는 전제 아래 시행 시점을 다른 군집({cluster}, {g}개)에 주고 "
        "추정값을 비교",
        "Randomization inference under exchangeable roll-out order: dates given to other clusters ({cluster}, {g}), "
        "estimates compared",
    ),
    "ri_t": (
        "무작위화 추론: 시행 순서가 교환 가능하다는 전제 아래 시행 시점을 다른 군집({cluster}, {g}개)에 주고 "
        "t값(CR1)을 비교",
        "Randomization inference under exchangeable roll-out order: dates given to other clusters ({cluster}, {g}), "
        "t (CR1) compared",
    ),
    "ri_no_interval": (
        "이 추정량은 순서와 효과마다 다시 추정해야 하므로 신뢰구간을 내지 않음",
        "No interval: this estimator would have to be estimated anew for every order and effect",
    ),
    "score_cluster": (
        "점수 부트스트랩: 영향함수의 군집합에 {weights} 가중치를 곱함(군집 {g}개, {cluster}). 귀무가설을 부과하지 "
        "않으며 와일드 군집 부트스트랩이 아님",
        "Score bootstrap: cluster sums of the influence function times {weights} weights, {g} clusters ({cluster}). "
        "The null is not imposed; this is no wild cluster bootstrap",
    ),
    "score_jackknife": (
        "점수 부트스트랩: 군집을 뺐을 때의 변화에 {weights} 가중치를 곱함(군집 {g}개, {cluster}). 귀무가설을 "
        "부과하지 않으며 와일드 군집 부트스트랩이 아님",
        "Score bootstrap: changes without each cluster times {weights} weights, {g} clusters ({cluster}). The null "
        "is not imposed; this is no wild cluster bootstrap",
    ),
    "FewClusterTable": ("군집이 적을 때의 p값 비교", "Every p-value, with few clusters"),
    "Headline": ("대표 추론", "Inference that stands beside the effect"),
    "cr1_normal": (
        "군집합 샌드위치 CR1({small_sample}), 정규분포, 군집 {g}개({cluster})",
        "Sandwich of cluster sums, CR1 ({small_sample}), normal, {g} clusters ({cluster})",
    ),
    "cr1_t": (
        "군집합 샌드위치 CR1({small_sample}), t(G-1), 군집 {g}개({cluster})",
        "Sandwich of cluster sums, CR1 ({small_sample}), t(G-1), {g} clusters ({cluster})",
    ),
    "cr2": (
        "지렛대 보정 샌드위치 CR2, 새터스웨이트 자유도, 군집 {g}개({cluster})",
        "Sandwich corrected for leverage, CR2, Satterthwaite's df, {g} clusters ({cluster})",
    ),
    "cr3": (
        "지렛대 보정 샌드위치 CR3, 새터스웨이트 자유도, 군집 {g}개({cluster})",
        "Sandwich corrected for leverage, CR3, Satterthwaite's df, {g} clusters ({cluster})",
    ),
    "cv3": (
        "군집을 하나씩 뺀 잭나이프 CV3, 배율 {small_sample}, t(G-1), 군집 {g}개({cluster})",
        "Jackknife leaving out one cluster at a time, CV3, factor {small_sample}, t(G-1), {g} clusters ({cluster})",
    ),
    "sums_normal": (
        "영향함수의 군집합, 보정 없음, 정규분포, 군집 {g}개({cluster})",
        "Cluster sums of the influence function, no factor, normal, {g} clusters ({cluster})",
    ),
    "sums_t": (
        "영향함수의 군집합, 배율 {small_sample}, t(G-1), 군집 {g}개({cluster})",
        "Cluster sums of the influence function, factor {small_sample}, t(G-1), {g} clusters ({cluster})",
    ),
    "design_alone": (
        "표본설계만 반영({small_sample}): 군집이 함께 겪는 충격은 빠짐",
        "Sampling design alone ({small_sample}): shocks that clusters share are left out",
    ),
    "p_cr1_normal": ("CR1, 정규", "CR1, normal"),
    "p_cr1_t": ("CR1, t분포(G-1)", "CR1, t(G-1)"),
    "p_cr2": ("CR2, 새터스웨이트", "CR2, Satterthwaite"),
    "p_cr3": ("CR3, 새터스웨이트", "CR3, Satterthwaite"),
    "p_cv3": ("잭나이프 CV3, t(G-1)", "Jackknife CV3, t(G-1)"),
    "p_sums_normal": ("군집합, 정규", "Cluster sums, normal"),
    "p_sums_t": ("군집합, t(G-1)", "Cluster sums, t(G-1)"),
    "p_wcr_11": ("와일드 WCR-11", "Wild WCR-11"),
    "p_wcr_13": ("와일드 WCR-13", "Wild WCR-13"),
    "p_wcr_31": ("와일드 WCR-31", "Wild WCR-31"),
    "p_wcr_33": ("와일드 WCR-33", "Wild WCR-33"),
    "p_wcu_11": ("와일드 WCU-11", "Wild WCU-11"),
    "p_score": ("점수 부트스트랩", "Score bootstrap"),
    "p_score_cluster": ("점수 부트스트랩", "Score bootstrap"),
    "p_score_jackknife": ("점수 부트스트랩", "Score bootstrap"),
    "p_ri_coefficient": ("무작위화, 추정값", "Randomization, estimate"),
    "p_ri_t": ("무작위화, t", "Randomization, t"),
    "p_design_alone": ("표본설계만", "Sampling design alone"),
    "p_none": ("p값 없음", "no p-value"),
    "not_available": ("제시할 수 없음", "not available"),
    "no_estimate_without": ("어떤 군집을 빼면 추정값이 없음", "the estimate does not exist without some cluster"),
    "no_df": ("자유도가 남지 않음", "no degrees of freedom are left"),
    "no_error": ("표준오차가 0", "the standard error is zero"),
    "no_influence": ("영향함수가 없음", "there is no influence function"),
    "needs_regression": ("회귀에만 있음", "for regressions only"),
    "needs_linear": ("선형회귀에만 있음", "for linear regressions only"),
    "too_many_effects": (
        "군집을 가로지르는 고정효과가 너무 많거나 자유도가 없음",
        "too many effects lie across clusters, or no degrees of freedom are left",
    ),
    "no_orders": (
        "이 추정량은 다른 시행 순서로 다시 계산할 수 없음",
        "this estimator cannot be asked for another order of the roll-out",
    ),
    "cohort_within": (
        "군집 안에서 시행 시점이 달라 다른 군집에 줄 수 없음. 군집의 시행 시점을 쓸 것",
        "treatment starts at different times within clusters; use the cohort of the cluster",
    ),
    "no_t_by_order": ("순서마다의 표준오차가 없음", "there is no error for every order"),
    "few_people": ("n = {n}, 군집 {g}개({cluster})", "n = {n}, {g} clusters ({cluster})"),
    "few_idle": ("군집 {n}개는 이 추정에 쓰이지 않음", "{n} of the clusters have no part in this estimate"),
    "few_how": ("보정 또는 추출", "correction or draws"),
    "few_sides": (
        "대상 군집 {treated}개, 비교 군집 {control}개",
        "{treated} clusters treated, {control} to compare with",
    ),
    "few_leverage": (
        "유효 군집 수 {effective}, 가장 큰 부분 지렛대값 {largest}({cluster})",
        "{effective} effective clusters, largest partial leverage {largest} ({cluster})",
    ),
    "few_read": (
        "p값이 서로 다르면 잭나이프, 무작위화, WCR을 우선함",
        "Where p-values disagree, jackknife, randomization and WCR keep their size best",
    ),
    "chosen_because": ("이 추론을 쓴 까닭", "why this one"),
    "chosen_jackknife": (
        "대상 군집 {treated}개와 비교 군집 {control}개가 모두 {few}개 이상이므로 군집 잭나이프와 t(G-1)를 씀",
        "{treated} clusters are treated and {control} stand to compare with, both {few} or more: the jackknife over "
        "clusters with t(G-1)",
    ),
    "chosen_jackknife_unknown": (
        "대상 군집과 비교 군집의 수를 알 수 없어 기본인 군집 잭나이프와 t(G-1)를 씀",
        "how many clusters are treated is not known: the jackknife over clusters with t(G-1), as by default",
    ),
    "chosen_ri_few": (
        "대상 군집이 {treated}개, 비교 군집이 {control}개로 한쪽이 {few}개보다 적어 잭나이프를 믿기 어려우므로 "
        "무작위화 추론을 씀",
        "{treated} clusters are treated and {control} stand to compare with; below {few} on either side the "
        "jackknife rejects too often: randomization inference",
    ),
    "chosen_ri_refused": (
        "어떤 군집을 빼면 추정값이 없어 잭나이프를 쓸 수 없으므로 무작위화 추론을 씀",
        "the estimate does not exist without some cluster, so there is no jackknife: randomization inference",
    ),
    "chosen_none_few": (
        "대상 군집이 {treated}개, 비교 군집이 {control}개로 한쪽이 {few}개보다 적고 무작위화 추론도 할 수 없어 "
        "p값을 제시하지 않음",
        "{treated} clusters are treated and {control} stand to compare with, fewer than {few} on a side, and "
        "randomization inference cannot be had: no p-value",
    ),
    "chosen_none_refused": (
        "어떤 군집을 빼면 추정값이 없고 무작위화 추론도 할 수 없어 p값을 제시하지 않음",
        "the estimate does not exist without some cluster, and randomization inference cannot be had: no p-value",
    ),
    "orders_title": ("시행 순서를 바꾸어 본 추정: {term}", "Other orders of the roll-out: {term}"),
    "orders_note": (
        "시행 순서가 교환 가능하다는 전제 아래 {n}가지 순서, p = {p}",
        "{n} orders, p = {p} under exchangeable roll-out order",
    ),
    "orders_all": ("다른 순서", "other orders"),
    "orders_beyond": ("관측값만큼 큰 순서", "as large as the actual one"),
    "orders_count": ("순서 수", "orders"),
    "redraws_title": ("부트스트랩 추출: {term}", "Bootstrap draws: {term}"),
    "redraws_note": ("{n}번 추출, p = {p}", "{n} draws, p = {p}"),
    "redraws_all": ("추출값", "draws"),
    "redraws_beyond": ("관측값만큼 큰 추출값", "as large as the observed one"),
    "redraws_count": ("추출 수", "draws"),
    "observed": ("관측값", "observed"),
    "draws_at_ends": ("축을 벗어난 값은 양 끝 막대에 넣음", "draws beyond the axis stand in the last bars"),
    "left_out_title": ("군집을 하나씩 뺀 추정값: {term}", "Without each cluster: {term}"),
    "left_out_note": ("전체 추정값 {all}, 군집 {n}개", "{all} from all, {n} clusters"),
    "left_out_gone": ("다음을 빼면 추정값이 없음: {clusters}", "no estimate without {clusters}"),
    "without_cluster": ("{cluster} 제외", "without one {cluster}"),
    "farthest": ("가장 큰 변화", "largest change"),
    "from_all": ("전체", "from all"),
    "cr3_t": (
        "지렛대 보정 샌드위치 CR3, t(G-1), 군집 {g}개({cluster})",
        "Sandwich corrected for leverage, CR3, t(G-1), {g} clusters ({cluster})",
    ),
    "p_cr3_t": ("CR3, t분포(G-1)", "CR3, t(G-1)"),
    "small_sample": ("소표본 보정", "small-sample rule"),
    "few_note_wild": (
        "와일드 군집 부트스트랩: R은 귀무가설을 부과, U는 부과하지 않음. 첫 숫자는 잔차(1 전체 적합, 3 군집을 뺀 "
        "적합), 둘째는 표준오차(1 군집합, 3 잭나이프). {weights} 가중치, 관측값과 같은 추출은 세지 않음",
        "Wild cluster bootstrap: R imposes the null, U does not. First digit: residuals (1 full fit, 3 fits without "
        "the cluster); second: errors (1 cluster sums, 3 jackknife). {weights} weights, ties not counted",
    ),
    "few_note_score": (
        "점수 부트스트랩은 군집의 기여에 부호를 곱한 것으로 와일드 군집 부트스트랩이 아님",
        "The score bootstrap gives clusters' contributions random signs; it is no wild cluster bootstrap",
    ),
    "few_note_ri": (
        "무작위화 추론은 시행 순서가 교환 가능하다는 전제 아래의 것으로, 관측값과 같은 순서도 셈",
        "Randomization is under exchangeable roll-out order, ties counted",
    ),
    "few_note_design": (
        "표본설계만 쓴 오차에는 군집이 함께 겪는 충격이 빠짐",
        "Sampling design alone leaves out shocks that clusters share",
    ),
    "draws_every": ("{n}가지 전부", "all {n}"),
    "draws_seeded": ("{n}번(시드 {seed})", "{n} (seed {seed})"),
    "leverage of clusters": ("군집 지렛대값", "leverage of clusters"),
    "number_of_draws": ("추출 수", "draws"),
    "none_rejected": (
        "군집 {g}개로는 p값이 {least}보다 작을 수 없으므로 {alpha} 수준에서는 아무것도 기각할 수 없음",
        "With {g} clusters no p-value can be below {least}, so nothing can be rejected at the {alpha} level",
    ),
    "shares_held": ("집단의 비중을 아는 것으로 봄", "Cohort shares are held fixed"),
    "few_note_shares": (
        "{methods}: 집단의 비중을 아는 것으로 봄. 다른 줄은 비중을 추정한 오차를 포함함",
        "{methods}: cohort shares held fixed; the other rows hold that they are estimated",
    ),
    "chosen_none_reference": (
        "다른 시점과 견주는 기준으로 0으로 정한 값이므로 검정할 것이 없음",
        "this row is the reference that the others are measured against, 0 by construction: there is nothing to test",
    ),
    "start_unseen": (
        "처음 시행된 조사 바로 앞 조사에 응답이 없는 군집 {n}개: 시행 시점을 있는 응답에서 읽음",
        "Clusters without rows in the wave before their first treated one: {n}; dates are read from the rows there are",
    ),
    # end of inference with few clusters
    "rejected_share": ("기각 비율", "share rejected"),
    # violations of parallel trends
    "RobustSets": ("평행추세가 어긋날 때의 효과", "Effects if trends are not parallel"),
    "Breakdown": ("효과가 0과 구별되지 않게 되는 추세 차이", "Violation at which the set holds zero"),
    "PretrendPower": ("사전 추세 검정이 찾아낼 수 있는 추세 차이", "Trends that a test of the leads would find"),
    "mbar": ("Mbar (시행 전 최대 어긋남의 배수)", "Mbar (times the largest break before)"),
    "m": ("M (기울기 변화의 한계)", "M (bound on changes of slope)"),
    "mbar_axis": (
        "Mbar: 시행 후 어긋남이 시행 전 최대 어긋남의 몇 배까지인가",
        "Mbar: violations since treatment ÷ largest before",
    ),
    "m_axis": (
        "M: 추세 차이의 기울기가 한 기간에 변하는 최대 폭",
        "M: largest change of the violation's slope per period",
    ),
    "effect_of": ("대상 효과", "effect"),
    "restriction": ("가정", "assumption"),
    "breakdown": ("한계값", "breakdown value"),
    "breakdown_at": ("한계값 {value}", "breakdown value {value}"),
    "breakdown_low": ("한계값 아래 끝", "breakdown, lower end"),
    "breakdown_high": ("한계값 위 끝", "breakdown, upper end"),
    "holds_null": ("0을 담음", "holds zero"),
    "parts": ("구간 수", "intervals"),
    "original_interval": ("평행추세", "parallel trends"),
    "robust_set": ("어긋남을 허용한 집합", "set that allows for violations"),
    "set_empty": ("없음 (자료가 가정을 기각)", "empty: the data reject the assumption"),
    "target_first": ("시행 첫 기간", "first treated period"),
    "target_average": ("시행 후 평균", "mean since treatment"),
    "target_weights": ("시행 후 가중평균", "weighted mean since treatment"),
    "target_event_time": ("시점 {time}", "event time {time}"),
    "restriction_relative_magnitudes": (
        "시행 후 평행추세에서 어긋나는 폭이 한 기간에 시행 전 최대 폭의 Mbar배를 넘지 않음",
        "steps away from parallel trends after treatment are at most Mbar times the largest step before",
    ),
    "restriction_linear_trend": (
        "시행 후 선형 추세에서 벗어나는 폭이 시행 전 최대 폭의 Mbar배를 넘지 않음",
        "departures from a linear trend after treatment are at most Mbar times the largest before",
    ),
    "restriction_smoothness": (
        "추세 차이의 기울기가 한 기간에 M 넘게 변하지 않음 (M = 0: 선형 추세)",
        "the slope of the violation changes by at most M from period to period (M = 0: a linear trend)",
    ),
    "bias_positive": ("편향이 음수가 아님", "the bias is not negative"),
    "bias_negative": ("편향이 양수가 아님", "the bias is not positive"),
    "bias_increasing": ("편향이 줄지 않음", "the bias does not fall"),
    "bias_decreasing": ("편향이 늘지 않음", "the bias does not rise"),
    "set_C-LF": (
        "조건부 검정과 최소유리 임계값 (C-LF)",
        "conditional tests with a least favourable first stage (C-LF)",
    ),
    "set_Conditional": ("조건부 검정", "conditional tests"),
    "set_FLCI": ("길이가 고정된 최단 구간 (FLCI)", "shortest interval of fixed length (FLCI)"),
    "normal_critical_values": (
        "임계값은 정규분포, 사전 계수의 표집오차를 포함",
        "critical values are normal; the sampling error of the leads is part of the sets",
    ),
    "sets_of_few_clusters": (
        "공분산은 지역 {n}개에서 나옴. 지역이 적으면 집합이 너무 좁을 수 있음",
        "the covariance comes from {n} clusters; with few, the sets may be too narrow",
    ),
    "said_breakdown_at": (
        "{effect}: {interval}은 {size}에서 처음으로 {null}을 담음. 추세가 그만큼 어긋났는지는 자료로 알 수 없음",
        "{effect}: the {interval} first holds {null} at {size}. Whether trends were violated so much, the data "
        "cannot tell.",
    ),
    "said_breakdown_none": (
        "{effect}: {interval}은 추세가 어긋나지 않아도 {null}을 담음",
        "{effect}: the {interval} holds {null} without any violation.",
    ),
    "said_breakdown_never": (
        "{effect}: {interval}은 {size}까지 {null}을 담지 않음",
        "{effect}: the {interval} leaves {null} out up to {size}.",
    ),
    "said_sets": ("{effect}: {assumption}", "{effect}: {assumption}."),
    "pretest": ("사전 검정", "test of the leads"),
    "pretest_individual": ("계수마다 따로", "each lead by itself"),
    "pretest_wald": ("모든 사전 계수를 함께", "all leads jointly"),
    "slope": ("기간당 추세 차이", "trend per period"),
    "bayes_factor": ("통과의 베이즈 인수", "Bayes factor of passing"),
    "likelihood_ratio": ("사전 계수의 우도비", "likelihood ratio of the leads"),
    "violation": ("첫 기간의 편향", "bias in the first treated period"),
    "mean_after_passing": ("통과했을 때 그 평균", "its mean after passing"),
    "violation_line": ("추세 차이 (검정력 {power})", "trend found with power {power}"),
    "violation_given": ("주어진 추세 차이 (검정력 {power})", "trend given (power {power})"),
    "passing_line": ("검정을 통과했을 때 평균", "its mean where the test passes"),
    "pretrend_power_note": (
        "효과가 없고 추세가 선형으로 어긋날 때; 임계값은 정규분포",
        "if there is no effect and the trend is violated linearly; critical values are normal",
    ),
    "bayes_factor_note": (
        "베이즈 인수: 추세가 어긋날 때 통과할 확률을 평행추세일 때로 나눈 값. 1에 가까우면 통과가 말해 주는 것이 없음",
        "Bayes factor: probability to pass under the trend over that under parallel trends; near 1, passing says "
        "nothing",
    ),
    "said_pretrend_power": (
        "기간당 {slope}의 추세 차이는 {power}의 확률로 찾아냄. 그런 차이가 있는데 검정을 통과하면 "
        "시점 {time}의 추정값은 평균 {left}만큼 어긋남",
        "A trend of {slope} per period would be found with probability {power}. Where it is there and the test passes, "
        "the estimate at event time {time} is off by {left} on average.",
    ),
    # one treated place, or few
    "did": ("이중차분 (가중치 없음)", "difference-in-differences, unweighted"),
    "treated_place": ("시행 지역", "treated"),
    "synthetic_place": ("합성 비교 지역", "synthetic"),
    "synthetic_gap": ("시행 지역 − 합성 비교 지역", "treated − synthetic"),
    "placebo_gap": ("비교 지역의 위약 격차", "placebo gaps of donors"),
    "paths_title": ("시행 지역과 합성 비교 지역", "Treated and synthetic"),
    "shading": ("음영", "shading"),
    "synthetic_weights_title": ("합성 비교 지역의 가중치", "Weights of the synthetic place"),
    "donor_weights": ("비교 지역 가중치 (0–1)", "weights of donors (0–1)"),
    "wave_weights": ("시행 전 조사 가중치 (0–1)", "weights of waves before (0–1)"),
    "predictor_weights": ("예측 변수 가중치 (0–1)", "weights of predictors (0–1)"),
    "zero_weights": ("가중치 0인 {n}곳은 그림에 없음", "{n} with weight zero not drawn"),
    "synthetic_effect": ("효과 {estimate} ({method})", "effect {estimate} ({method})"),
    "synthetic_moved": (
        "합성 비교 지역은 시행 전 가중 평균 차이만큼 옮겨 그림",
        "the synthetic line is moved by the weighted difference before",
    ),
    "synthetic_sampling": (
        "지역 평균의 표본오차는 지역 사이의 흩어짐으로만 반영됨",
        "the sampling error of places' means enters only through the spread over places",
    ),
    "DonorPlacebos": ("위약 검정: 비교 지역을 시행 지역으로 놓음", "Placebos: donors in the place of the treated"),
    "placebos_title": ("시행 지역과 위약의 격차", "Gaps of the treated and of placebos"),
    "placebo_statement": (
        "시행 후와 전의 격차 비가 시행 지역 이상인 곳은 시행 지역을 포함한 {n}개 가운데 {rank}개 (순위에 따른 p = {p}, "
        "효과 크기로는 p = {p_effect}). 시행 지역이 이 가운데 임의로 정해졌다면 성립하는 p값임.",
        "Gaps after the start relative to before are at least as large as for the treated in {rank} of {n} cases, the "
        "treated included (p by rank = {p}; by size of the effect p = {p_effect}). The p-value holds if any of them "
        "might as well have been treated.",
    ),
    "places": ("지역", "places"),
    "is_treated": ("시행 여부", "treated"),
    "estimate_did": ("이중차분", "difference-in-differences"),
    "rmspe_before": ("격차 제곱평균근 (시행 전)", "root mean square gap before"),
    "rmspe_after": ("격차 제곱평균근 (시행 후)", "root mean square gap after"),
    "ratio": ("시행 후/전 비", "ratio after / before"),
    # stacking
    "BaconDecomposition": ("이원고정효과 계수의 2×2 분해", "Two-by-two comparisons in the two-way coefficient"),
    "bacon_comparison": ("비교 (시행 연도)", "comparison (year of the start)"),
    "bacon_never": ("미시행", "never treated"),
    "bacon_type": ("비교의 종류", "kind of comparison"),
    "bacon_estimate": ("2×2 추정값", "2×2 estimate"),
    "bacon_weight": ("가중치", "weight"),
    "bacon_twfe": ("이원고정효과 계수", "two-way coefficient"),
    "treated_vs_untreated": ("시행 − 미시행", "treated − never treated"),
    "earlier_vs_later": ("먼저 − 나중 (시행 전)", "earlier − later, not treated yet"),
    "later_vs_earlier": ("나중 − 먼저 (이미 시행)", "later − earlier, treated already"),
    "later_vs_always_treated": ("나중 − 처음부터 시행", "later − always treated"),
    "bacon_note": (
        "빈 표식의 비교 대상은 이미 시행된 집단. 진단일 뿐이며 표준오차가 없음",
        "hollow: compared with a group that is treated already; a diagnosis without standard errors",
    ),
    "outside_window": ("창의 모든 시점에 조사가 있지 않음", "no wave at some time of the window"),
    # main table
    "method_group_time": ("시행 집단·연도별 (Callaway–Sant'Anna)", "group-time (Callaway and Sant'Anna)"),
    "method_imputation": ("대체 추정 (Borusyak–Jaravel–Spiess)", "imputation (Borusyak, Jaravel, Spiess)"),
    "method_two_stage": ("2단계 이중차분 (Gardner)", "two-stage (Gardner)"),
    "method_sun_abraham": ("상호작용 가중 (Sun–Abraham)", "interaction-weighted (Sun and Abraham)"),
    "method_extended_twfe": ("확장 이원고정효과 (Wooldridge)", "extended two-way (Wooldridge)"),
    "method_stacked": ("적층 이중차분 (Wing 외)", "stacked (Wing and others)"),
    "method_efficient": (
        "무작위 시점 효율 추정 (Roth–Sant'Anna)",
        "efficient under random timing (Roth and Sant'Anna)",
    ),
    "method_synthetic_did": ("합성 이중차분", "synthetic difference-in-differences"),
    "method_twfe": ("이원고정효과 (비교용)", "two-way fixed effects (for comparison)"),
    "p_jackknife": ("p (잭나이프)", "p (jackknife)"),
    "until": ("마지막 조사", "last wave"),
    "p_randomization": ("p (무작위화)", "p (randomization)"),
    "p_wild": ("p (부트스트랩)", "p (bootstrap)"),
    "n_clusters": ("군집 수", "clusters"),
    "placebo_error": ("오차는 비교 지역을 가짜 시행 지역으로 삼아 구함", "error from donors taken as if treated"),
    "no_jackknife": ("군집 하나에 달려 있어 오차 없음", "no error, as it hangs on a single cluster"),
    "supported_part": ("오차가 있는 효과만 합함", "sum of those effects only that have an error"),
    "takes_no_anticipation": ("선행 반응을 둘 수 없어 제시하지 않음", "not given, as it allows no anticipation"),
    "takes_no_covariates": ("공변량을 쓰지 않음", "not adjusted for covariates"),
    "compares_all_untreated": (
        "끝까지 미시행인 곳만이 아니라 아직 미시행인 곳도 비교에 쓰임",
        "compared with those not yet treated too",
    ),
    "waves_left_out": (
        "{until} 뒤의 조사 {n}회는 미시행 지역이 둘보다 적어 쓰지 않음",
        "Later waves ({n}) are left out: fewer than two places are untreated after {until}",
    ),
    "counts_observations": ("n은 지역과 조사의 짝 수", "n counts observations: a place in a wave"),
    "three_p_values": (
        "p값: 지역을 하나씩 뺀 잭나이프와 t(G-1), 시행 순서의 무작위화, 와일드 군집 부트스트랩 (회귀가 아닌 행은 점수 "
        "부트스트랩)",
        "p-values: jackknife over places with t(G-1), randomization of the order of the roll-out, wild "
        "cluster bootstrap (of scores in rows that are no regression)",
    ),
    "counts_answers": ("n은 응답 수", "n counts answers"),
    "VarianceLayers": ("분산의 두 층: 표본과 지역 충격", "Two layers of the variance: sampling and shocks of places"),
    "variance_layer": ("층", "layer"),
    "component": ("분산", "variance"),
    "layer_share": ("지금 분산 대비", "share of today's variance"),
    "layer_total": ("전체 (지역을 하나씩 뺀 잭나이프)", "total (jackknife over places)"),
    "layer_sampling": ("표본 (층·조사구·가중치)", "sampling (strata, units, weights)"),
    "layer_shocks": ("지역 충격 (차이)", "shocks of places (difference)"),
    "layer_larger": ("표본이 {times}배라면", "with {times} times the sample"),
    "layer_infinite": ("표본이 무한히 크다면", "with an infinite sample"),
    "layers_note": (
        "지역 {g}곳을 하나씩 뺀 분산에서 표본설계의 분산을 뺀 것이 지역 충격. 표본을 늘려도 줄지 않음",
        "Shocks are what leaving out each of {g} places adds to the variance of the sampling design. No sample reduces "
        "them",
    ),
    "layers_negative": (
        "차이가 음수: 지역 충격이 표본 오차와 구별되지 않을 만큼 작음. 0으로 바꾸지 않고 그대로 보임.",
        "The difference is negative: shocks are too small to be told from sampling. It is shown as it is, not set to "
        "zero.",
    ),
    "said_layers": (
        "표준오차 {error}: 분산의 {sampling}는 표본, {shocks}는 지역 충격 (충격의 분산 {variance}, {low}에서 {high}).",
        "Standard error {error}: {sampling} of the variance is sampling, {shocks} shocks of places (their variance "
        "{variance}, {low} to {high}).",
    ),
    "said_layers_floor": (
        "표본을 아무리 늘려도 표준오차는 {floor} 아래로 내려가지 않음.",
        "However large the sample, the standard error does not fall below {floor}.",
    ),
    # group-time effects
    "weightless": ("한 집단의 가중치가 모두 0", "all weights of a group are zero in a wave"),
    "start_in_time": ("{cohort}년 시작의 {time}년", "start {cohort} in {time}"),
    "list_and_more": ("{shown} 외 {n}개", "{shown} and {n} more"),
    "cells_not_identified": ("식별되지 않은 칸 {n}개: {reasons}", "Cells not identified: {n} ({reasons})"),
    "cohorts_by_sample": (
        "시행 집단의 가중: 쓰인 모든 조사의 가중치 합",
        "Cohorts weigh by the sum of weights over all waves used",
    ),
    "cohorts_by_population_pre": (
        "시행 집단의 가중: 첫 시행 전 조사의 가중치 합",
        "Cohorts weigh by the sum of weights over the waves before the first start",
    ),
    "cohorts_by_clusters": ("시행 집단의 가중: 군집 수", "Cohorts weigh by their number of clusters"),
    "leads_varying": (
        "시행 전 값은 바로 앞 조사와의 차이 (varying base): 마지막 미시행 조사와 견준 값(universal)과 비교할 수 없고, "
        "이어 그린 추세도 아님",
        "Before the start every wave is compared with the one before it (varying base): not comparable with leads "
        "against the last untreated wave (universal), and no path",
    ),
    "leads_varying_drawn": (
        "시작 전 점: 바로 앞 조사와의 차이 (varying base)",
        "before the start: each wave against the one before it (varying base)",
    ),
    "leads_universal": (
        "시행 전 값도 마지막 미시행 조사와의 차이 (universal base)",
        "Before the start too every wave is compared with the last untreated one (universal base)",
    ),
    "treated_throughout": (
        "첫 조사 때 이미 시행된 집단은 어느 쪽에도 쓰이지 않음: {cohorts} (응답 {n}건)",
        "Treated from the first wave on and left out on both sides: start {cohorts} ({n} records)",
    ),
    "treated_later": (
        "마지막 조사 뒤에 시행되는 집단은 미시행으로 셈: {cohorts} (응답 {n}건)",
        "Treated after the last wave and counted as never treated: start {cohorts} ({n} records)",
    ),
    "collinear_cells": (
        "다른 공변량으로 정해져 뺀 공변량: {covariates} ({cells})",
        "Covariates left out as combinations of others: {covariates} ({cells})",
    ),
    "jackknife_refused": (
        "잭나이프 오차 없음: {rows}. 한 곳에만 달려 있는 효과가 들어 있음 ({cluster}: {places}; {cells})",
        "No jackknife error for {rows}: some effects in it hang on a single place ({cluster}: {places}; {cells})",
    ),
    "jackknife_refused_cells": (
        "잭나이프 오차 없음: {rows}. 한 곳에만 달려 있음 ({cluster}: {places})",
        "No jackknife error for {rows}: each hangs on a single place ({cluster}: {places})",
    ),
    "jackknife_refused_read": (
        "대신 무작위화 추론 (시행 순서가 바뀔 수 있었다는 가정), 외부 비교 집단, 오차가 있는 효과만의 합을 쓸 수 있음",
        "Randomization inference (under exchangeable roll-out order), outside controls, or the sum of effects that "
        "have an error may serve instead",
    ),
    "anticipation_allowed": (
        "시행보다 {n}기간 앞선 때부터 효과가 나타날 수 있다고 둠 (선행 반응 허용)",
        "Effects may begin {n} before the start, in the unit of time (anticipation allowed)",
    ),
    "jackknife_refused_move": (
        "대신 ev.randomization_inference (시행 순서가 바뀔 수 있었다는 가정), 외부 비교 집단, 또는 오차가 있는 칸만의 "
        "합 (supported_only=True)을 볼 것",
        "Look at ev.randomization_inference (under exchangeable roll-out order), at outside controls, or at the sum of "
        "cells that have an error (supported_only=True)",
    ),
    "shift": ("앞당긴 기간", "shift in time"),
    "placebo_too_early": ("그 앞의 조사가 없음", "no wave before the earlier date"),
    "standardised": ("표준편차 대비", "in standard deviations"),
    "spread": ("표준편차", "standard deviation"),
    "hold_composition": ("한 조사의 구성으로 맞춤", "composition held"),
    "MissingOutcomeBounds": ("응답하지 않은 답에 따른 효과의 범위", "Bounds of the effect under missing answers"),
    "assumption": ("가정", "assumption"),
    "bound_lower": ("하한", "lower bound"),
    "bound_upper": ("상한", "upper bound"),
    "missing_answered": ("응답한 사람과 같음", "those missing are like those who answered"),
    "missing_worst_case": ("{low}에서 {high} 사이 어디든", "missing answers lie anywhere from {low} to {high}"),
    "missing_shift": (
        "응답한 사람과 평균 차이 {shift} 이내",
        "the mean of missing answers differs by no more than {shift}",
    ),
    "missing_shares": ("응답 비율 {low}–{high}.", "Shares of answers {low} to {high}."),
    "missing_breakdown": (
        "응답하지 않은 사람의 평균이 {shift}만큼 다르면 효과가 0일 수 있음.",
        "Zero is possible once the mean of missing answers differs by {shift}.",
    ),
    "missing_never": (
        "척도 안에서는 어떤 답이어도 추정한 효과가 0이 되지 않음.",
        "No answers within the scale make the estimate zero.",
    ),
    "missing_never_but_interval": (
        "척도 안에서는 어떤 답이어도 추정한 효과가 0이 되지 않으나, 표집오차까지 더한 구간은 0을 담음.",
        "No answers within the scale make the estimate zero, but with sampling error the interval holds zero.",
    ),
    "missing_interval": ("신뢰구간은 임벤스·만스키 방식", "Intervals are those of Imbens and Manski"),
    "said_missing": (
        "{assumption}: {lower}에서 {upper} (신뢰구간 {low}에서 {high})",
        "{assumption}: {lower} to {upper} (interval {low} to {high})",
    ),
    # imputation, switching and dose
    "mean_of_treated": ("시행된 모든 응답의 평균", "mean over all treated observations"),
    "effect_per_unit": ("시행 한 단위당 전체 효과", "total effect per unit of treatment"),
    "effect_of_switches": ("시행이 바뀐 모든 곳의 평균", "mean over all switches"),
    "joiners": ("시행이 늘어난 곳", "treatment rises"),
    "placebo": ("바뀌기 전 (위약)", "before the switch (placebo)"),
    "leavers": ("시행이 줄어든 곳", "treatment falls"),
    "beta": ("조정 계수", "adjustment"),
    "dose": ("시행 정도", "dose"),
    "att_at_dose": ("그 정도에서의 효과 (미시행 대비)", "effect at the dose, against none"),
    "acrt_at_dose": ("시행을 더 늘릴 때의 효과 (한 단위당)", "response to more of it, per unit"),
    "acrt_overall": ("시행을 더 늘릴 때의 평균 효과 (한 단위당)", "mean response to more of it, per unit"),
    "dose_overall": ("받은 정도의 평균 효과", "mean effect of the doses received"),
    "dose_strong_trends": (
        "정도가 다른 곳을 견주는 것은 강한 평행추세 가정 아래에서만 성립",
        "Comparing doses holds under strong parallel trends only",
    ),
    "random_timing": (
        "어느 곳이 언제 시작하는지가 무작위라는 가정 (평행추세보다 강한 가정)",
        "Assumes that which places start when is as good as random, which is more than parallel trends",
    ),
    "not_imputed": (
        "미시행 결과를 추정할 수 없어 뺀 시행 응답 {n}건 (미시행 응답이 없는 곳 {places}개)",
        "Treated observations left out because their outcome without treatment is not identified: {n} ({places} places "
        "have no untreated observation)",
    ),
    "places_left_out": (
        "비교에서 뺀 곳 {places}개: 첫 조사 때 이미 시행, 같은 해에 시작한 곳이 하나뿐, 또는 응답이 없는 조사가 있음",
        "Places not compared: {places}. They are treated from the first wave on, the only ones of their start, or "
        "without answers in a wave",
    ),
    "rows_without_error": (
        "잭나이프 오차 없음: {rows}. 한 곳에만 달려 있음 ({cluster})",
        "No jackknife error for {rows}: it hangs on a single place ({cluster})",
    ),
    "cells_without_answers": (
        "비교할 조사 가운데 응답이 없는 때가 있어 뺀 지역·조사 {n}개",
        "Places and waves since the start left out because one of the waves compared has no answers: {n}",
    ),
    "single_treated": ("시행 지역이 한 곳뿐임", "a single treated place"),
    "single_comparison": ("비교 지역이 한 곳뿐임", "a single place to compare with"),
    "dose_varies_note": (
        "시행 정도가 해마다 바뀜: 효과는 그 해의 정도에만 달려 있다고 가정",
        "Doses change over the waves: the effect is taken to depend on the wave's own dose",
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
        "적고, 시행되지 않은 곳은 0",
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
    "uneven_bases": (
        "조사 간격이 고르지 않아 집단마다 비교 기준 시점이 다름 (시행 시점에서 {bases}): 같은 경과 시점의 효과라도 기준이 다름",
        "Waves are unevenly spaced, so cohorts are measured from different times (since their start: {bases})",
    ),
    # Errors that are too small.
    "sampling_error_alone": (
        "표본오차만 들어 있음: 지역 전체가 함께 겪는 충격은 빠져 있어 오차가 지나치게 작을 수 있음. "
        "시행 단위 열을 cluster=로 지정할 것",
        "Sampling error alone: shocks of whole places are not in it, so it may be far too small. Name cluster=, the "
        "column of the treated places",
    ),
}
