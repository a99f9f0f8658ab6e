"""Words of how far an effect can be trusted: few clusters, violated trends, power."""

from __future__ import annotations

#: Words by key: (Korean, English).
TERMS: dict[str, tuple[str, str]] = {
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
}
