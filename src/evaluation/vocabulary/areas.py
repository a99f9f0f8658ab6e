"""Words of areas: one district in one wave, funnel plots, maps, and what instances of a step published."""

from __future__ import annotations

#: Words by key: (Korean, English).
TERMS: dict[str, tuple[str, str]] = {
    # steps and their instances
    "step_district": ("자치구", "District"),
    "step_districts": ("자치구 모음", "All districts"),
    # who was asked
    "Area": ("누구에게 물었는가", "Who was asked"),
    "area_n_obs": ("응답자", "Respondents"),
    "area_n_psu": ("조사구 (추출단위)", "Sampling units"),
    "area_sum": ("대표하는 주민 (도시 전체에서의 비중)", "Residents they stand for (share of the city)"),
    "area_n_eff": ("유효 표본크기 (가중치만 볼 때)", "Effective sample size (by weights alone)"),
    "share_of_sum": ("전체에서의 비중 (0–1)", "share of all (0–1)"),
    "n_effective": ("유효 응답수", "effective n"),
    "mean_here": ("이곳의 값", "value here"),
    "mean_elsewhere": ("나머지의 값", "value elsewhere"),
    "wave_before": ("비교한 조사", "wave before"),
    "waves_pooled": ("합친 조사 연도", "waves together"),
    "no earlier wave in this file": ("이 파일에 앞선 조사가 없음", "no earlier wave in this file"),
    "asked in other words in the wave before": (
        "앞선 조사에서는 다른 문구로 물음",
        "asked in other words in the wave before",
    ),
    "nobody of this group was met": ("이 집단의 응답자가 없음", "nobody of this group was met"),
    "part of the window of {wave}": ("{wave}년까지 합친 조사에 들어 있음", "part of the window of {wave}"),
    "given for the window of {wave} alone": (
        "{wave}년까지 합친 조사로만 제시함",
        "given for the window of {wave} alone",
    ),
    # gathering
    "Refusals": ("제시하지 않는 값과 그 까닭", "What is not given, and why"),
    "nothing was published": ("공표된 것이 없음", "nothing was published"),
    "too few respondents or answers to be shown": (
        "응답자나 한 응답을 고른 사람이 적어 표시하지 않음",
        "too few respondents, or too few who gave one of the answers",
    ),
    "model alone: the direct estimate is refused": (
        "모형만: 직접추정값은 제시하지 않음",
        "model alone: the direct estimate is refused",
    ),
    "no value: too few gave one of the answers": (
        "값 없음: 한 응답을 고른 사람이 너무 적음",
        "no value: too few gave one of the answers",
    ),
    # funnel plots
    "Funnel": ("도시 값의 한계와 자치구", "Districts against the limits round the city's value"),
    "funnel_title": (
        "자치구와 도시의 값, 유효 응답수별",
        "Districts round the city's value, by effective sample size",
    ),
    "funnel_target": ("도시의 값", "the city's value"),
    "funnel_inner": ("95% 한계", "95% limits"),
    "funnel_outer": ("99.8% 한계", "99.8% limits"),
    "funnel_inside": ("한계 안", "within the limits"),
    "funnel_outside_inner": ("95% 한계 밖", "beyond the 95% limits"),
    "funnel_outside_outer": ("99.8% 한계 밖", "beyond the 99.8% limits"),
    "funnel_scale": ("유효 응답수", "effective number of respondents"),
    "funnel_note": (
        "순위표가 아님. 우연만으로도 20곳 가운데 1곳쯤은 95% 한계를, 500곳 가운데 1곳쯤은 99.8% 한계를 벗어남",
        "not a ranking: by chance alone about 1 area in 20 lies beyond the 95% limits, and 1 in 500 beyond the 99.8% "
        "limits",
    ),
    "funnel_note_additive": (
        "한계에 지역 간 표준편차를 더함",
        "limits widened by the standard deviation between areas",
    ),
    "funnel_left_out": ("수가 없어 그리지 않음: {n}곳", "not drawn, without a number: {n}"),
    "n_areas": ("지역 수", "areas"),
    "n_outside_inner": ("95% 한계 밖 (지역 수)", "beyond 95% limits (areas)"),
    "n_outside_outer": ("99.8% 한계 밖 (지역 수)", "beyond 99.8% limits (areas)"),
    "target_value": ("도시의 값", "the city's value"),
    "dispersion": ("산포비 (1이면 우연만)", "dispersion (1: chance alone)"),
    "between_sd": ("지역 간 표준편차", "std. deviation between areas"),
    "beyond": ("한계 밖", "beyond limits"),
    "FunnelSpread": ("지역 사이의 차이가 우연을 넘는가", "Do districts differ by more than chance?"),
    # small areas
    "root_mse": ("평균제곱근오차", "root mean squared error"),
    "model_variance_zero": (
        "지역 간 분산이 0으로 추정되어 모든 지역이 모형의 예측값만 가짐",
        "the variance between areas is estimated as zero: every area has the model's prediction alone",
    ),
    # maps
    "area_map_title": ("{what} (자치구 타일 지도)", "{what}: a tile per district"),
    "area_map_note": (
        "타일 크기는 면적이나 인구와 무관함",
        "tiles are of one size, whatever the area or population",
    ),
    "area_map_funnel": ("도시 값의 한계와 비교함", "against the limits round the city's value"),
    "area_map_none": ("수 없음", "no number"),
    "above_outer": ("99.8% 한계 위", "above 99.8%"),
    "above_inner": ("95% 한계 위", "above 95%"),
    "within_limits": ("한계 안", "within limits"),
    "below_inner": ("95% 한계 아래", "below 95%"),
    "below_outer": ("99.8% 한계 아래", "below 99.8%"),
}
