"""Words of the effects of a staged policy, by whatever estimator."""

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
    "placebo_no_ratio": (
        "{n}개 중 {exact}개는 시행 전에 오차 없이 맞아 시행 전후 차이의 비가 반올림 오차에 달려 있으므로 순위를 매기지 "
        "않음; 효과 크기로는 p = {p_effect}.",
        "{exact} of {n} fit without error before the start, so the ratio of gaps after and before would hang on "
        "rounding and nothing is ranked by it; by size of the effect p = {p_effect}.",
    ),
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
    # Errors that are too small.
    "sampling_error_alone": (
        "표본오차만 들어 있음: 지역 전체가 함께 겪는 충격은 빠져 있어 오차가 지나치게 작을 수 있음. "
        "시행 단위 열을 cluster=로 지정할 것",
        "Sampling error alone: shocks of whole places are not in it, so it may be far too small. Name cluster=, the "
        "column of the treated places",
    ),
    "uneven_bases": (
        "조사 간격이 고르지 않아 집단마다 비교 기준 시점이 다름 (시행 시점에서 {bases}): 같은 경과 시점의 효과라도 "
        "기준이 다름",
        "Waves are unevenly spaced, so cohorts are measured from different times (since their start: {bases})",
    ),
}
