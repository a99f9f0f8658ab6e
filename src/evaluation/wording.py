"""Korean and English words for columns, verbs and captions, and how a number is written.

Numbers are rounded to what their standard error supports: two significant digits of the error.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from evaluation import project
from evaluation.errors import ProjectError
from evaluation.results import Estimates, Labels, Provenance

#: Most decimals ever shown; full precision stands in the CSV and JSON files.
MOST_DECIMALS = 6
#: What stands where there is no number.
ABSENT = "–"
#: What stands between a weight and the steps it went through.
ARROW = " → "
#: What stands between the variables, and the codes, of a crossed margin.
CROSS = ":"

_TERMS: dict[str, tuple[str, str]] = {
    # columns of tidy results
    "term": ("항목", "item"),
    "level": ("범주", "category"),
    "quantile": ("분위", "quantile"),
    "interval": ("신뢰구간", "interval"),
    "estimate": ("추정값", "estimate"),
    "std_error": ("표준오차", "std. error"),
    "statistic": ("검정통계량", "test statistic"),
    "df": ("자유도", "df"),
    "p_value": ("p값", "p-value"),
    "conf_low": ("신뢰하한", "lower limit"),
    "conf_high": ("신뢰상한", "upper limit"),
    "n_obs": ("응답수 (n)", "n"),
    "deff": ("설계효과", "design effect"),
    "cv": ("변동계수", "coef. of variation"),
    "reference": ("기준값", "reference value"),
    "truth": ("모집단의 참값", "true value in the population"),
    "missed_by": ("추정값 − 참값", "estimate less truth"),
    "is_covered": ("구간이 참값을 담음", "interval holds the truth"),
    "AgainstTruth": ("알려진 참값과의 대조", "Estimates beside the known truth"),
    # further columns and titles
    "name": ("이름", "name"),
    "row": ("행", "row"),
    "by": ("집단", "group"),
    "variable": ("변수", "variable"),
    "code": ("코드", "code"),
    "reason": ("까닭", "reason"),
    "design": ("가중", "weighting"),
    "DeclaredEstimates": ("선언된 추정값", "Declared estimates"),
    "missing_values": ("응답이 아닌 값", "Values that are no answers"),
    "published_estimates": ("공표한 추정값", "Published estimates"),
    "published": ("공표", "Published"),
    "not_of_record": (
        "기록이 아님 (임시 폴더). 기록은 'evaluation run'이 남김",
        "not of record (scratch folder); 'evaluation run' makes the record",
    ),
    # claims
    "claims": ("인쇄된 수와 다시 계산한 수", "Printed numbers and recomputed ones"),
    "claim": ("주장", "claim"),
    "printed": ("인쇄된 수", "printed"),
    "recomputed": ("다시 계산한 수", "recomputed"),
    "verdict": ("판정", "verdict"),
    "reproduced": ("재현됨", "reproduced"),
    "last digit differs": ("끝자리가 다름", "last digit differs"),
    "differs": ("다름", "differs"),
    "not computable": ("계산할 수 없음", "not computable"),
    "not marked reproducible": ("재현 대상이 아님", "not marked reproducible"),
    # comparison
    "quantity": ("값", "quantity"),
    "mean_participants": ("참여자 평균", "mean of participants"),
    "mean_comparison": ("비교집단 평균", "mean of the comparison group"),
    "log_risk_ratio": ("로그 비율비", "log risk ratio"),
    "log_odds_ratio": ("로그 오즈비", "log odds ratio"),
    "benchmark": ("외부 수치", "external figure"),
    "BalanceTable": ("공변량의 균형", "Covariate balance"),
    "Overlap": ("성향점수의 겹침", "Overlap of propensity scores"),
    "EValue": ("E값", "E-value"),
    "covariate": ("공변량", "covariate"),
    "smd_raw": ("표준화 차이 (보정 전)", "std. difference, raw"),
    "smd_weighted": ("표준화 차이 (보정 후)", "std. difference, weighted"),
    "denominator": ("표준화 분모", "standardised by"),
    "variance_ratio_raw": ("분산비 (보정 전)", "variance ratio, raw"),
    "variance_ratio_weighted": ("분산비 (보정 후)", "variance ratio, weighted"),
    "ess": ("유효표본수", "effective n"),
    "mean_participants_raw": ("참여자 평균 (보정 전)", "mean of participants, raw"),
    "mean_comparison_raw": ("비교집단 평균 (보정 전)", "mean of comparison group, raw"),
    "mean_participants_weighted": ("참여자 평균 (보정 후)", "mean of participants, weighted"),
    "mean_comparison_weighted": ("비교집단 평균 (보정 후)", "mean of comparison group, weighted"),
    "ks_raw": ("분포 거리 KS (보정 전)", "KS distance, raw"),
    "ks_weighted": ("분포 거리 KS (보정 후)", "KS distance, weighted"),
    "ess_raw": ("유효표본수 (조사 가중)", "effective n, survey weights"),
    "n_outside": ("상대 집단 범위 밖 응답수", "n outside the other group's range"),
    "share_outside": ("범위 밖 비율", "share outside the range"),
    "largest_weight_share": ("한 응답의 최대 가중 몫", "largest weight share"),
    "risk_ratio": ("비율비", "risk ratio"),
    # decomposition, ladder, bounds
    "part": ("구성", "part"),
    "part_gap": ("격차", "the gap"),
    "part_item_mismatch": ("문항이 다름", "another question"),
    "part_others_against_all": ("비참여자와 전체의 차이", "others against everybody"),
    "part_selection_and_effect": ("같은 문항, 참여자와 비참여자", "participants against others, one question"),
    "part_selection": ("누가 참여하는가 (관측된 특성)", "who takes part, by what was observed"),
    "part_effect": ("보정한 뒤 남는 차이", "what remains after adjustment"),
    "part_remainder": ("나머지 (응답 누락)", "remainder (missing answers)"),
    "identified": ("식별", "identified"),
    "yes": ("예", "yes"),
    "assumed: nothing unobserved moves both participation and the answer": (
        "가정: 관측되지 않은 어떤 것도 참여와 응답을 함께 움직이지 않음",
        "assumed: nothing unobserved moves both participation and the answer",
    ),
    "not identified: the two items were never asked of the same people": (
        "식별되지 않음: 두 문항을 같은 사람에게 물은 적이 없음",
        "not identified: the two items were never asked of the same people",
    ),
    "method": ("방법", "method"),
    "method_benchmark": ("외부 수치와의 차이", "gap to an outside figure"),
    "method_unweighted": ("가중 없음", "unweighted"),
    "method_raw": ("조사 가중, 보정 없음", "survey weights, not adjusted"),
    "method_regression_adjusted": ("회귀", "regression"),
    "method_g_computation": ("집단별 회귀", "a regression per group"),
    "method_ipw": ("성향점수 가중", "propensity weighting"),
    "method_aipw": ("이중강건", "doubly robust"),
    "method_ipwra": ("가중 회귀", "weighted regression"),
    "n_participants": ("참여자 수", "participants"),
    "n_comparison": ("비교집단 수", "comparison group"),
    "mean_participants_without": ("참여하지 않았을 때의 참여자 평균", "mean of participants, had they not joined"),
    "mean_others": ("비참여자 평균", "mean of others"),
    "mean_all": ("전체 평균", "mean of everybody"),
    "ate": ("효과 (전체 평균)", "effect on everybody"),
    "selection_observed": ("원래의 차이, 관측된 특성", "selection by what is observed"),
    "selection_unobserved": ("원래의 차이, 관측되지 않은 특성", "selection by what is not observed"),
    "bound_low": ("하한", "lower bound"),
    "bound_high": ("상한", "upper bound"),
    "lambda": ("Λ (참여 승산이 벗어나는 배수)", "Λ (factor by which the odds of taking part are off)"),
    # impact
    "effective_clusters": ("유효 군집 수", "effective clusters"),
    "Rollout": ("자치구별 시행", "The roll-out by district"),
    "RolloutTable": ("계획한 시행과 실제 시행", "The roll-out, planned and realised"),
    "TreatmentWeights": ("이원고정효과 계수의 칸별 가중치", "Weights of cells in the two-way fixed-effects coefficient"),
    "ScheduleCheck": ("파일의 시행 일정 점검", "Which schedule the file follows"),
    "LeaveOneOut": ("군집을 하나씩 뺀 추정값", "Estimates without each cluster"),
    "leverage": ("지렛대값", "leverage"),
    "partial_leverage": ("부분 지렛대값", "partial leverage"),
    # figures of comparison
    "participants": ("참여자", "participants"),
    "others": ("비참여자", "others"),
    "love_title": ("가중 전후 공변량의 차이", "Differences in covariates before and after weighting"),
    "abs_smd": ("표준화 차이의 절댓값", "absolute standardised difference"),
    "raw": ("보정 전", "raw"),
    "balanced": ("균형 가중 후", "balancing weights"),
    "smd_limit": ("기준 0.1", "limit 0.1"),
    "denominator_participants": ("참여자의 표준편차로 나눔", "divided by the standard deviation of participants"),
    "denominator_comparison": ("비교집단의 표준편차로 나눔", "divided by the standard deviation of the others"),
    "denominator_pooled": ("두 집단의 평균 분산으로 나눔", "divided by the pooled standard deviation"),
    "estimand": ("추정 대상", "estimand"),
    "overlap_title": ("성향점수의 겹침: 참여자와 비참여자", "Overlap of propensity scores: participants and others"),
    "propensity": ("성향점수 (참여할 확률)", "propensity score (probability of taking part)"),
    "group_share": ("집단 안의 비율 (0–1)", "share of the group (0–1)"),
    "unadjusted": ("보정하지 않음", "not adjusted"),
    "adjusted": ("보정함", "adjusted"),
    "identified_not": ("식별되지 않음", "not identified"),
    "identified_assumed": ("가정 아래", "assumed"),
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
    "overall": ("전체 평균", "overall"),
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
    # response and mode
    "ResponseTable": ("표본과 응답", "Sample and response"),
    "n_drawn": ("추출", "drawn"),
    "n_complete": ("응답 완료", "responded"),
    "n_partial": ("부분 응답", "responded in part"),
    "n_ineligible": ("부적격", "not eligible"),
    "n_mode": ("응답수 (방식별)", "n of the mode"),
    "response_rate": ("응답률 (0–1)", "response rate (0–1)"),
    "response_rate_partial": ("응답률, 부분 응답 포함 (0–1)", "response rate, in part included (0–1)"),
    "response_rate_weighted": ("가중 응답률 (0–1)", "weighted response rate (0–1)"),
    "mean_respondents": ("응답자 평균", "mean of respondents"),
    "mean_drawn": ("추출된 전체의 평균", "mean of all drawn"),
    "smd": ("표준화 차이", "std. difference"),
    "mean_first_sample": ("첫째 표본의 값", "value in the first sample"),
    "mean_second_sample": ("둘째 표본의 값", "value in the second sample"),
    "mean_mode": ("이 방식의 평균", "mean in this mode"),
    "mean_reference": ("기준 방식의 평균", "mean in the reference mode"),
    # steps of a study, as the report's navigation calls them
    "step_profile": ("프로파일", "Profile"),
    "step_weighting": ("가중", "Weighting"),
    "step_comparison": ("비교", "Comparison"),
    "step_impact": ("영향", "Impact"),
    "step_report": ("보고서", "Report"),
    "step_review": ("검토", "Review"),
    # steps of weighting
    "design weights": ("설계 가중치", "design weights"),
    "adjust_nonresponse": ("무응답 조정", "adjusted for nonresponse"),
    "poststratify": ("사후층화", "post-stratified"),
    "rake": ("레이킹", "raked"),
    "calibrate": ("보정", "calibrated"),
    "trim_weights": ("절사", "trimmed"),
    # a design in words
    "survey": ("조사", "survey"),
    "sampling": ("표본추출", "sampling"),
    "weights": ("가중치", "weights"),
    "variance": ("분산", "variance"),
    "psu": ("PSU", "PSUs"),
    "stratum": ("층", "strata"),
    "one_respondent_each": ("응답자마다 하나", "one respondent each"),
    "taylor": ("테일러 선형화", "taylor linearization"),
    "census": ("전수", "census"),
    "unweighted": ("가중 없음", "unweighted"),
    "weight_by_row": ("행마다 다름", "as each row says"),
    "degrees_of_freedom": ("자유도", "degrees of freedom"),
    "domain": ("부분모집단", "domain"),
    # why a value is no answer
    "dont_know": ("모름", "don't know"),
    "refused": ("거절", "refused"),
    "no_answer": ("무응답", "no answer"),
    "not_applicable": ("해당 없음", "not applicable"),
    "not_asked": ("묻지 않음", "not asked"),
    "blank": ("빈칸", "blank"),
    # weighting history and margins
    "step": ("단계", "step"),
    "arguments": ("인자", "arguments"),
    "n": ("응답수 (n)", "n"),
    "sum": ("합계", "sum"),
    "minimum": ("최솟값", "minimum"),
    "median": ("중앙값", "median"),
    "mean": ("평균", "mean"),
    "maximum": ("최댓값", "maximum"),
    "kish_deff": ("가중치 설계효과", "weighting effect (Kish)"),
    "n_eff": ("유효표본수", "effective n"),
    "margin": ("주변 분포", "margin"),
    "target": ("모집단", "population"),
    "before": ("조정 전", "before"),
    "after": ("조정 후", "after"),
    # words in captions, axes and notes
    "source": ("출처", "Source"),
    "note": ("주", "Note"),
    "weight": ("가중치", "weight"),
    "no_weight": ("없음", "none"),
    "population": ("모집단", "population"),
    "bars": ("막대", "bars"),
    "difference": ("차이", "difference"),
    "share": ("비율 (0–1)", "proportion (0–1)"),
    "respondents": ("응답자 수", "respondents"),
    "weight_scale": ("가중치 (응답 1건이 대표하는 모집단 수)", "weight (population units one response stands for)"),
    "weights_title": ("조정 전후 가중치의 분포", "Weights before and after adjustment"),
    "WeightSummary": ("단계별 가중치", "Weights, step by step"),
    "MarginComparison": ("조정 전후 표본과 모집단의 구성", "Sample before and after weighting, and population"),
    "margins_title": ("조정 전후 표본과 모집단의 구성", "Sample before and after weighting, and population"),
    "sample": ("표본 (설계 가중)", "sample, design weights"),
    "sample_title": ("설계 가중 표본과 모집단의 구성", "Sample under design weights, and population"),
    "limit": ("상한", "upper limit"),
    "intercept": ("절편", "intercept"),
    "true": ("예", "yes"),
    "false": ("아니요", "no"),
    # effects by cohort and time
    "IdentifiedCells": ("식별되는 효과", "Effects that the roll-out identifies"),
    "base_time": ("비교 시점", "compared with"),
    "is_identified": ("식별됨", "identified"),
    "n_treated": ("대상 응답수", "n treated"),
    "n_control": ("비교 응답수", "n of comparison"),
    "n_treated_clusters": ("대상 지역 수", "places treated"),
    "n_control_clusters": ("비교 지역 수", "places of comparison"),
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
        "자릿수는 표준오차의 유효숫자 두 자리에 맞춤. 반올림하지 않은 값은 CSV에 있음.",
        "Decimals follow two significant digits of the standard errors; the CSV holds unrounded values.",
    ),
}

_VERBS: dict[str, tuple[str, str]] = {
    "survey_mean": ("평균", "mean"),
    "survey_total": ("총계", "total"),
    "survey_prop": ("비율", "proportion"),
    "survey_ratio": ("비(比)", "ratio"),
    "survey_quantile": ("분위수", "quantile"),
    "survey_glm": ("회귀계수", "coefficient"),
    "group_difference": ("집단 간 차이", "group difference"),
    "ipw": ("보정한 차이 (성향점수 가중)", "adjusted difference (propensity weighting)"),
    "g_computation": ("보정한 차이 (집단별 회귀)", "adjusted difference (a regression per group)"),
    "regression_adjusted": ("보정한 차이 (회귀)", "adjusted difference (regression)"),
    "aipw": ("보정한 차이 (이중강건)", "adjusted difference (doubly robust)"),
    "ipwra": ("보정한 차이 (가중 회귀)", "adjusted difference (weighted regression)"),
    "benchmark_difference": ("외부 수치와의 차이", "difference from an external figure"),
    "decompose_gap": ("격차의 구성", "part of the gap"),
    "effect_ladder": ("참여자와 비참여자의 차이", "difference between participants and others"),
    "sensitivity_bounds": ("보정한 차이의 범위", "bound of the adjusted difference"),
    "twfe": ("이원고정효과 계수", "two-way fixed-effects coefficient"),
    "survey_trend": ("조사 연도별 평균", "mean by wave"),
    "trend_change": ("조사 연도 사이의 변화", "change between waves"),
    "response_contrast": ("응답자와 추출된 전체의 차이", "difference of respondents from all drawn"),
    "independent_difference": ("독립 표본 사이의 차이", "difference between independent samples"),
    "mode_contrast": ("조사 방식 사이의 차이", "difference between modes"),
    "att_gt": ("정책 효과", "policy effect"),
    "aggregate": ("정책 효과", "policy effect"),
    "event_study": ("정책 효과", "policy effect"),
    "contrast": ("대비", "contrast"),
    "contrasts": ("대비", "contrast"),
    "difference": ("차이", "difference"),
}

#: Verbs whose estimates are compared with zero.
AGAINST_ZERO = frozenset(
    {"survey_glm", "twfe", "att_gt", "aggregate", "event_study", "contrast", "contrasts", "difference"}
    | {"trend_change", "response_contrast"}
)

_DUMMY = re.compile(r"^(?P<variable>.+)\[(?:T\.)?(?P<value>[^\[\]]*)\]$")


def term(key: str, lang: str | None = None) -> str:
    """Return a word of the workbench in the language; an unknown one stands for itself.

    Examples
    --------
    >>> term("std_error", "ko"), term("std_error", "en"), term("api00", "en")
    ('표준오차', 'std. error', 'api00')
    """
    korean, english = _TERMS.get(key, (key, key))
    return korean if _language(lang) == "ko" else english


def knows(key: str) -> bool:
    """Tell whether ``term`` has a word for this column."""
    return key in _TERMS


def verb_name(verb: str, lang: str | None = None) -> str:
    """Return what a verb estimates: ``survey_mean`` is "mean" or "평균".

    Examples
    --------
    >>> verb_name("survey_mean", "ko"), verb_name("survey_mean", "en")
    ('평균', 'mean')
    """
    korean, english = _VERBS.get(verb, (verb, verb))
    return korean if _language(lang) == "ko" else english


def interval_name(conf_level: float, lang: str | None = None) -> str:
    """Return the name of an interval, such as "95% interval" or "95% 신뢰구간".

    Examples
    --------
    >>> interval_name(0.95, "ko"), interval_name(0.999, "en")
    ('95% 신뢰구간', '99.9% interval')
    """
    level = f"{100 * conf_level:.6g}%"
    return f"{level} 신뢰구간" if _language(lang) == "ko" else f"{level} interval"


def survey_name(provenance: Provenance, lang: str | None = None) -> str:
    """Return the survey's title with its id behind it, or the id alone."""
    title = provenance.title.get(_language(lang), "")
    return f"{title} ({provenance.survey})" if title else provenance.survey


def counted(key: str, count: int, lang: str | None = None) -> str:
    """Return a count of sampling units or strata in words.

    Examples
    --------
    >>> counted("psu", 15, "en"), counted("stratum", 3, "en"), counted("psu", 15, "ko")
    ('15 PSUs', '3 strata', 'PSU 15개')
    """
    lang = _language(lang)
    return f"{term(key, lang)} {count:,}개" if lang == "ko" else f"{count:,} {term(key, lang)}"


def weight_name(weight: str, lang: str | None = None) -> str:
    """Return a weight and the steps it went through in words.

    Examples
    --------
    >>> weight_name("pw → calibrate → trim_weights", "ko"), weight_name("pw → calibrate → trim_weights", "en")
    ('pw → 보정 → 절사', 'pw → calibrated → trimmed')
    """
    first, *steps = weight.split(ARROW)
    return ARROW.join([term(first, lang), *(term(step, lang) for step in steps)])


def caption(
    provenance: Provenance,
    conf_level: float | None = None,
    lang: str | None = None,
    *,
    marks: str = "bars",
    notes: Iterable[str] = (),
) -> str:
    """Return what stands below every figure and table: survey, n, weight, interval, notice.

    Parameters
    ----------
    provenance : Provenance
        Where the numbers come from.
    conf_level : float, optional
        Level of the intervals shown, 0 to 1; without it no interval is named.
    lang : {"ko", "en"}, optional
        Default: the language of the project.
    marks : str, default "bars"
        What draws the interval: a word known to ``term``, or empty for none (in a table).
    notes : iterable of str, optional
        What else this figure needs to be read, before the notice.

    Examples
    --------
    >>> schools = Provenance("apiclus1", {"en": "California schools 2000"}, n=183, weight="pw")
    >>> caption(schools, 0.95, "en")
    'California schools 2000 (apiclus1), n = 183; weight: pw; bars: 95% intervals'
    """
    lang = _language(lang)
    size = f", n = {provenance.n:,}" if provenance.n else ""
    parts = [f"{survey_name(provenance, lang)}{size}"]
    if provenance.weight:
        parts.append(f"{term('weight', lang)}: {weight_name(provenance.weight, lang)}")
    if conf_level is not None:
        interval = interval_name(conf_level, lang) + ("s" if lang == "en" else "")
        parts.append(f"{term(marks, lang)}: {interval}" if marks else interval)
    parts += notes
    notice = provenance.notice.get(lang) or next(filter(None, provenance.notice.values()), "")
    return "; ".join(parts) + (f". {notice}" if notice else "")


def term_label(name: object, labels: Labels, lang: str | None = None) -> str:
    """Return the label of an estimated term: a column, a ratio, a coefficient of a model.

    Examples
    --------
    >>> from evaluation.results import PlainLabels
    >>> [term_label(name, PlainLabels(), "en") for name in ("api00", "a/b", "stype[T.H]", "(Intercept)", "x:z")]
    ['api00', 'a / b', 'stype = H', 'intercept', 'x × z']
    """
    lang, text = _language(lang), str(name)
    if text.strip("()").lower() in {"intercept", "const"}:
        return term("intercept", lang)
    known = labels.variable(text, lang)
    if known != text:
        return known
    dummy = _DUMMY.match(text)
    if CROSS in text:
        return " × ".join(term_label(part, labels, lang) for part in text.split(CROSS))
    if dummy:
        variable, value = dummy["variable"], dummy["value"]
        return f"{labels.variable(variable, lang)} = {labels.value(variable, value, lang)}"
    if "/" in text:
        return " / ".join(term_label(part.strip(), labels, lang) for part in text.split("/"))
    return known


def value_label(variable: object, value: object, labels: Labels, lang: str | None = None) -> str:
    """Return the label of a code; of a crossed margin's code, the label of each part.

    Examples
    --------
    >>> from evaluation.results import PlainLabels
    >>> value_label("stype:sch.wide", "E:No", PlainLabels(), "en"), value_label("stype", "E", PlainLabels(), "en")
    ('E · No', 'E')
    """
    lang, name, code = _language(lang), str(variable), str(value)
    known = labels.value(name, value, lang)
    variables, codes = name.split(CROSS), code.split(CROSS)
    if known != code or len(variables) == 1 or len(variables) != len(codes):
        return known
    return " · ".join(labels.value(part, own, lang) for part, own in zip(variables, codes, strict=True))


def label_keys(keys: pd.DataFrame, labels: Labels, lang: str | None = None) -> pd.DataFrame:
    """Return the key columns of a result as words, in the same columns; missing keys are empty.

    Parameters
    ----------
    keys : pandas.DataFrame
        ``term``, ``level``, and columns by which was grouped.
    labels : Labels
        Words for columns and codes.
    lang : {"ko", "en"}, optional
        Default: the language of the project.
    """
    lang = _language(lang)
    terms = keys["term"] if "term" in keys else pd.Series([""] * len(keys), index=keys.index)
    words = {
        str(column): [
            _key_label(str(column), value, owner, labels, lang)
            for value, owner in zip(keys[column], terms, strict=True)
        ]
        for column in keys
    }
    return pd.DataFrame(words, index=keys.index, dtype=object)


def _key_label(column: str, value: object, owner: object, labels: Labels, lang: str) -> str:
    if is_absent(value):
        return ""
    if column == "term":
        return term_label(value, labels, lang)
    if column == "quantity":
        return term(str(value), lang)
    if column in {"part", "method"} and knows(f"{column}_{value}"):
        return term(f"{column}_{value}", lang)
    if column == "lambda":
        return f"Λ = {float(str(value)):.4g}"
    if column in {"quantile", "probability"}:
        return f"{value:g}" if isinstance(value, (float, np.floating)) else str(value)
    return value_label(owner if column == "level" else column, value, labels, lang)


def heading(column: str, labels: Labels, lang: str | None = None) -> str:
    """Return the heading of a column: our own word for ours, the codebook's label for the survey's."""
    label = labels.variable(column, _language(lang))
    return label if label != column else term(column, lang)


def estimates_title(result: Estimates, lang: str | None = None) -> str:
    """Return a title such as "Mean: API 2000, by school type"; the caller may always say it better."""
    lang, labels = _language(lang), result.provenance.labels
    terms = [result.fit["outcome"]] if "outcome" in result.fit else result.keys["term"]
    names = list(dict.fromkeys(term_label(name, labels, lang) for name in terms))
    groups = [
        heading(str(column), labels, lang)
        for column in result.keys
        if column not in {"term", "level", "quantile", "quantity", "part", "method", "lambda"}
    ]
    what = verb_name(result.verb, lang)
    subject = f"{what}: {', '.join(names[:4])}" + (" …" if len(names) > 4 else "")
    if not groups:
        return subject if lang == "ko" else _capital(subject)
    return f"{subject} ({', '.join(groups)}별)" if lang == "ko" else f"{_capital(subject)}, by {', '.join(groups)}"


@dataclass(frozen=True)
class Statement:
    """Sentences about estimates, shown as text.

    Attributes
    ----------
    sentences : tuple of str
        One per estimate.
    """

    sentences: tuple[str, ...]

    def __repr__(self) -> str:
        return "\n".join(self.sentences)

    def _repr_markdown_(self) -> str:
        return "\n\n".join(self.sentences)


def statement(result: Estimates, lang: str | None = None) -> Statement:
    """Say estimates in sentences that describe and never explain: value, interval, n, population.

    Parameters
    ----------
    result : Estimates
        Means, totals, shares, ratios or quantiles.
    lang : {"ko", "en"}, optional
        Default: the language of the project.

    Returns
    -------
    Statement
        One sentence per row; shares in per cent, each with its interval.
    """
    lang = _language(lang)
    result = result.masked()
    scale, unit = (100.0, "%") if result.verb == "survey_prop" else (1.0, "")
    words = label_keys(result.keys, result.provenance.labels, lang)
    limits = scale * result.confidence_interval()
    sentences = []
    for row in range(len(result)):
        named = [str(words[column].iloc[row]) for column in words if column != "quantity"]
        what = ", ".join(word for word in named if word)
        if not math.isfinite(result.std_error[row]):
            sentences.append(_without_error(result, lang, what, row))
            continue
        places = common_decimals([scale * float(result.std_error[row])]) or 0
        value, low, high = (f"{number(float(x), places)}{unit}" for x in (scale * result.estimate[row], *limits[row]))
        sentences.append(_sentence(result, lang, what, _kind(result, row, lang), (value, low, high), row))
    return Statement((*sentences, *_ascribed(result, lang)))


#: Said in place of a number that rests on too few respondents.
_NOT_SHOWN = ("응답자가 적어 표시하지 않음", "not shown, too few respondents")


def _without_error(result: Estimates, lang: str, what: str, row: int) -> str:
    """Say a number that has no standard error, or why there is none."""
    if math.isnan(result.estimate[row]) and result.marks[row]:
        return f"{what}: {_NOT_SHOWN[lang != 'ko']} {result.marks[row]}."
    if math.isnan(result.estimate[row]):
        why = term(str(result.columns["identified"][row]), lang) if "identified" in result.columns else ABSENT
        return f"{what}: {why}." if lang == "ko" else f"{_capital(what)}: {why}."
    value = plain_number(float(result.estimate[row]))
    if lang == "ko":
        return f"{what}: {value} (표준오차 없음)."
    return f"{_capital(what)}: {value}, a figure without a standard error."


#: Evidence grade that a verb can reach at most; the graded sentence below its numbers.
CEILINGS = {"group_difference": 1, "benchmark_difference": 1, "effect_ladder": 2, "decompose_gap": 2} | dict.fromkeys(
    ("ipw", "aipw", "ipwra", "g_computation", "regression_adjusted", "sensitivity_bounds"), 2
)
_ASCRIBED = {
    0: ("비교하지 않음.", "Nothing is compared."),
    1: (
        "두 수가 {gap} 다르다고만 쓸 수 있으며, 사업과 관련짓지 않는다.",
        "The two figures differ by {gap}; nothing is ascribed to the programme.",
    ),
    2: (
        "관측된 특성이 같은 비참여자와 비교해도 {gap} 차이가 남는다. 관측되지 않은 특성은 배제되지 않는다.",
        "{gap} remains between participants and others alike in what was observed; what was not observed is not "
        "ruled out.",
    ),
}


def _ascribed(result: Estimates, lang: str) -> list[str]:
    """Return what may be said of a difference, by its evidence grade; no grade here allows a verb of cause."""
    if result.verb not in CEILINGS:
        return []
    grade = min(int(result.fit.get("evidence_grade", CEILINGS[result.verb])), CEILINGS[result.verb])
    sentences = []
    for row in _headlines(result):
        absent = math.isnan(result.estimate[row])
        error = float(result.std_error[row])
        places = common_decimals([error])
        value = float(result.estimate[row])
        gap = plain_number(value) if places is None else number(value, places)
        quantity = str(result.keys["quantity"].iloc[row]) if "quantity" in result.keys else "difference"
        named = f"{term(quantity, lang)} {gap}" if quantity.startswith("log_") else gap
        if not absent:
            sentences.append(_ASCRIBED[grade][0 if lang == "ko" else 1].format(gap=named))
    return sentences


def _headlines(result: Estimates) -> list[int]:
    """Return the rows that a sentence by grade is about: the difference, or the last rung of each ladder."""
    if result.verb == "effect_ladder":
        last = ~result.keys["term"].duplicated(keep="last")
        return [int(row) for row in np.flatnonzero(last)]
    if result.verb == "sensitivity_bounds":
        return []
    if result.verb == "decompose_gap":
        left = np.flatnonzero((result.keys["part"] == "effect") & ~np.isnan(result.estimate))
        return [int(left[0])] if len(left) else [0]
    return [0]


def _kind(result: Estimates, row: int, lang: str) -> str:
    """Return what a row estimates; the rows of a comparison differ in that."""
    quantity = str(result.keys["quantity"].iloc[row]) if "quantity" in result.keys else "difference"
    return verb_name(result.verb, lang) if quantity == "difference" else term(quantity, lang)


def _sentence(result: Estimates, lang: str, what: str, verb: str, numbers: tuple[str, str, str], row: int) -> str:
    value, low, high = numbers
    n, interval = int(result.n_obs[row]), interval_name(result.conf_level, lang)
    population = result.provenance.population.get(lang, "")
    notice = result.provenance.notice.get(lang, "")
    if lang == "ko":
        whom = f"{population}의 " if population else ""
        text = (
            f"{whom}{what} {_with_topic(verb)} {_with_direction(value)} 추정된다 ({interval} {low}–{high}, n = {n:,})."
        )
    else:
        whom = f" among {population}" if population else ""
        text = f"{_capital(what)}: the {verb}{whom} is estimated at {value} ({interval} {low} to {high}; n = {n:,})."
    return f"{text} {notice}".strip()


def _with_topic(word: str) -> str:
    """Return a Korean word with the particle that its last syllable asks for."""
    last = next((letter for letter in reversed(word) if "가" <= letter <= "힣"), "가")
    return word + ("은" if (ord(last) - ord("가")) % 28 else "는")


def _with_direction(amount: str) -> str:
    """Return a number with the particle that its last figure asks for, as it is read aloud."""
    return amount + ("으로" if amount[-1:] in tuple("036") else "로")


def decimals(std_error: float) -> int:
    """Return the decimals that leave two significant digits of a standard error; may be negative.

    Examples
    --------
    >>> decimals(23.54), decimals(0.0278), decimals(900323.0)
    (0, 3, -4)
    """
    return min(1 - math.floor(math.log10(std_error)), MOST_DECIMALS)


def common_decimals(std_errors: Iterable[float]) -> int | None:
    """Return decimals for a column of numbers of one kind; None where no error is positive.

    The finest that any row asks for, but at most one more than the middle row: one tiny error does
    not lend its digits to all the others.
    """
    wanted = sorted(decimals(error) for error in std_errors if math.isfinite(error) and error > 0)
    return min(wanted[-1], wanted[len(wanted) // 2] + 1) if wanted else None


def number(value: float, places: int = 0) -> str:
    """Write a number with thousands commas; negative ``places`` round to tens, hundreds and so on.

    Examples
    --------
    >>> number(3989986.4, -4), number(644.169, 1), number(-0.0001, 2), number(float("nan"))
    ('3,990,000', '644.2', '0.00', '–')
    """
    if value is None or math.isnan(value):
        return ABSENT
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    rounded = round(float(value), places) + 0.0
    return f"{rounded:,.{max(places, 0)}f}"


def plain_number(value: float) -> str:
    """Write a number that has no standard error: four significant digits, whole above 1,000.

    Examples
    --------
    >>> plain_number(6194.0), plain_number(0.123456), plain_number(33.847), plain_number(9.25)
    ('6,194', '0.1235', '33.85', '9.25')
    """
    if value is None or math.isnan(value) or math.isinf(value) or abs(value) >= 1000:
        return number(value)
    if value == round(value):
        return f"{value:,.0f}"
    places = 3 - math.floor(math.log10(abs(value)))
    return number(value, min(places, 8)).rstrip("0").rstrip(".")


def probability(value: float) -> str:
    """Write a p-value: three decimals, never "0.000".

    Examples
    --------
    >>> probability(0.04321), probability(1e-9)
    ('0.043', '<0.001')
    """
    if math.isnan(value):
        return ABSENT
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def percentage_point_unit(lang: str | None = None) -> str:
    """Return the unit of differences between per cents: "%p" in Korean, "points" in English."""
    return "%p" if _language(lang) == "ko" else "points"


def is_absent(value: object) -> bool:
    """Tell whether a key or cell holds nothing."""
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def language_of(lang: str | None) -> str:
    """Return the language asked for, or the project's.

    Raises
    ------
    ProjectError
        Neither "ko" nor "en".
    """
    return _language(lang)


def _language(lang: str | None) -> str:
    if lang is None:
        return project.language()
    if lang not in project.LANGUAGES:
        raise ProjectError(f"lang must be 'ko' or 'en', got {lang!r}.")
    return lang
