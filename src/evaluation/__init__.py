"""The workbench: from a survey to a reviewed report.

A notebook writes ``import evaluation as ev`` and nothing else. The flow:

1. ``open_study`` says which study, in which language; ``read_survey``, ``read_margins`` and ``read_indicators`` read
   what it is about, ``read_prespecification`` what it fixed before outcomes were read; ``read_changes`` and
   ``declared_breaks`` say what a wave changed against the one before.
2. ``survey_design`` declares how respondents were drawn, ``replicate_design`` which replicate weights came with them,
   ``join_frames`` puts samples together; ``study_design`` replays what a study declares.
3. ``adjust_unknown_eligibility``, ``adjust_nonresponse``, ``poststratify``, ``rake``, ``calibrate``, ``trim_weights``,
   ``normalise_weights``, ``standardise`` return a new design each; ``replay_chain`` repeats a chain on other data,
   ``weight_summary``, ``design_effects`` and ``sample_balance`` say what it did; ``response_rates``, ``r_indicator``
   and ``partial_r_indicators`` who answered.
4. ``survey_mean``, ``survey_total``, ``survey_prop``, ``survey_ratio``, ``survey_quantile``, ``survey_variance``,
   ``survey_correlation``, ``survey_gini``, ``survey_arop``, ``survey_glm``, ``survey_ordinal``, ``survey_multinomial``
   estimate; ``domain`` restricts, ``contrast`` and ``nonlinear_contrast`` combine, ``predictions``,
   ``marginal_effects`` and ``predictive_margins`` say what a regression means, ``as_replicates`` changes the variance.
   ``survey_trend`` follows waves up to a break, ``survey_change`` compares two; ``response_table`` says who answered,
   ``independent_difference`` compares two samples. ``survey_chisq``, ``survey_ttest``, ``survey_ranktest`` and
   ``term_test`` test, ``small_sample_df`` where sampling units are few; ``with_imputations`` combines imputations;
   ``pooled_waves`` and ``fay_herriot`` (with ``area_shares``) serve rare groups in many areas, ``refuse_small``
   refuses. ``survey_area`` takes one area in one wave, for ``area_means``, ``area_difference``, ``area_change`` and
   ``area_group``; ``funnel`` holds all areas against the limits that chance sets.
   ``write_r_script`` asks R for a second opinion, ``write_survey`` gives the weights back to SPSS and Stata.
5. ``declared_comparison`` opens a comparison that was fixed, ``assess_comparability`` says what may be compared,
   ``participation_checklist`` what must be known of who takes part (``participation_agreement``,
   ``participation_windows``, ``misclassification_bounds``, ``share_listings``); ``join_samples`` puts a roster and a
   citizen survey together.
   Before any outcome: ``table_one``, ``overlap``, ``balance_table``, ``minimum_detectable_effect``.
   ``propensity_weights``, ``entropy_balance`` and ``cbps`` return a balanced design, on which everything in 4 runs;
   ``trim_propensity`` a domain of it; ``match`` pairs, for ``matched_difference`` and ``rosenbaum_bounds``.
   Differences: ``group_difference`` and ``sample_difference`` as they are; ``regression_adjusted``, ``g_computation``,
   ``ipw``, ``aipw``, ``ipwra`` between people alike; ``effect_ladder`` sets them side by side. ``likert_difference``,
   ``outcome_index`` with ``cronbach_alpha``, ``standardised_difference`` and ``dose_response`` take outcomes and
   participation that are more than yes and no; ``subgroup_effects`` with ``heterogeneity_test`` ask for whom,
   ``adjust_p_values`` and ``stepdown`` what many tests leave; ``equivalence_test``, ``superiority_test`` and
   ``non_inferiority_test`` hold a difference against a margin.
   Gaps: ``benchmark_difference`` to a published figure (``standardise_composition`` first), ``decompose_gap`` and
   ``oaxaca_blinder`` into parts.
   Doubt: ``sensitivity_bounds``, ``sensitivity_curve``, ``sensitivity_benchmarks``, ``robustness_value``, ``e_value``,
   ``oster_delta`` and ``tipping_point`` say what a hidden trait would have to be like, ``manski_bounds`` what is left
   without a model, ``negative_controls`` whether outcomes differ that cannot.
   ``judge_comparison`` says what may be written, ``methods_text`` how it was made.
6. ``read_rollout`` reads a staged policy, ``declared_policy`` opens a question about it; ``check_schedule`` tells the
   plan from what happened, ``exposure`` adds it to a design, ``check_treatment`` looks for what contradicts it;
   ``panel``, ``identified_cells`` and ``comparable_waves`` come before any outcome.
   Effects: ``att_gt`` by cohort and time, ``aggregate`` sums up, ``event_study`` with ``simultaneous_bands`` before and
   after; ``imputation_did``, ``two_stage_did``, ``sun_abraham``, ``event_study_twfe``, ``extended_twfe``,
   ``stacked_did``, ``efficient_did`` by other assumptions; ``switching_did`` and ``dose_did`` of treatments that have a
   strength; ``synthetic_control``, ``synthetic_did`` and ``donor_placebos`` of one place or few. ``twfe`` and
   ``fe_regression`` are regressions with fixed effects, ``twfe_weights`` and ``goodman_bacon`` say what such a
   coefficient is made of. ``impact_table`` sets estimators side by side.
   With few places: ``leave_one_out``, ``wild_cluster_bootstrap``, ``randomization_inference``; ``few_cluster_table``
   holds every p-value, ``headline_inference`` chooses by rule.
   Doubt: ``pretrend_test``, ``pretrend_power``, ``honest_did`` and ``breakdown_value`` (``event_path`` for printed
   event studies) ask what if trends were not parallel, ``placebo_dates`` and ``placebo_outcomes`` for effects where
   there can be none, ``composition_test`` and ``hold_composition`` who was asked in each wave,
   ``missing_outcome_bounds`` and ``reweighted_jackknife`` what missing answers leave, ``variance_layers`` what more
   sample would buy, ``subgroup_impacts`` for whom. ``policy_evidence`` says what may be written.
   ``cluster_correlations``, ``rollout_mde``, ``rollout_power`` and ``city_power`` plan the next roll-out.
7. ``table``, ``plot`` and ``statement`` show; ``publish`` is the one door out; ``gather`` puts together what the
   instances of a step published, ``refusals`` lists what they did not give; ``check_claims`` holds what was printed
   against it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_ROOMS = {
    "specification": ("open_study",),
    "survey.reading": ("Survey", "read_survey", "read_survey_file", "reverse_scale"),
    "survey.indicators": ("Indicators", "read_indicators"),
    "survey.indicator_arithmetic": ("coverage", "indicator_change", "unit_cost"),
    "survey.writing": ("write_survey",),
    "survey.margins": ("Margins", "margins", "read_margins"),
    "survey.changes": ("declared_breaks", "read_changes"),
    "design.declaration": ("survey_design",),
    "design.design": ("Design", "domain"),
    "design.frames": ("join_frames",),
    "design.replication": ("as_replicates", "replicate_design"),
    "design.simulation_error": ("replicates_needed",),
    "regression.glm": ("survey_glm",),
    "regression.margins": ("marginal_effects", "predictive_margins"),
    "regression.multinomial": ("survey_multinomial",),
    "regression.ordinal": ("survey_ordinal",),
    "regression.parallel_slopes": ("parallel_slopes_test",),
    "regression.predictions": ("predictions",),
    "weighting.raking": ("poststratify", "rake"),
    "weighting.calibration": ("calibrate", "calibration_totals"),
    "weighting.trimming": ("trim_weights",),
    "weighting.chain": ("replay_chain", "study_design"),
    "weighting.eligibility": ("adjust_unknown_eligibility",),
    "weighting.nonresponse": ("adjust_nonresponse",),
    "weighting.normalising": ("normalise_weights",),
    "weighting.standardising": ("standardise",),
    "weighting.wave_composition": ("hold_composition",),
    "estimation.means": ("survey_mean", "survey_prop", "survey_ratio", "survey_total"),
    "estimation.dispositions": ("response_rates",),
    "estimation.quantiles": ("survey_quantile",),
    "estimation.contrasts": ("contrast",),
    "estimation.nonlinear": ("nonlinear_contrast",),
    "estimation.moments": ("survey_correlation", "survey_covariance", "survey_variance"),
    "estimation.inequality": ("survey_arop", "survey_gini", "survey_qsr"),
    "estimation.change": ("survey_change",),
    "estimation.modes": ("mode_contrast", "mode_distribution"),
    "estimation.response": ("independent_difference", "response_contrast", "response_table"),
    "estimation.trend": ("find_breaks", "survey_trend", "trend_change"),
    "estimation.tests": ("survey_chisq",),
    "estimation.ttests": ("survey_ttest",),
    "estimation.ranktests": ("survey_ranktest",),
    "estimation.small_sample": ("small_sample_df",),
    "estimation.term_tests": ("term_test",),
    "estimation.small_area": ("fay_herriot",),
    "estimation.pooled_waves": ("pooled_waves", "refuse_small"),
    "estimation.area_covariates": ("area_shares",),
    "estimation.areas": (*("area_change", "area_difference", "area_group", "area_means", "survey_area", "wave_means"),),
    "estimation.funnel": ("funnel",),
    "estimation.imputation": ("combine_imputations", "imputed_designs", "with_imputations"),
    "estimation.weight_diagnostics": ("margin_comparison", "step_effects", "weight_distribution", "weight_summary"),
    "estimation.design_effects": ("design_effects",),
    "estimation.representativity": ("partial_r_indicators", "r_indicator"),
    "estimation.respondent_influence": ("respondent_influence",),
    "estimation.sample_balance": ("sample_balance",),
    "prespecification": ("read_prespecification",),
    "declared.estimates": ("declared_estimates", "design_comparison"),
    "declared.truth": ("against_truth", "known_policy_effects", "known_truth"),
    "declared.comparisons": (*("benchmark_differences", "declared_comparison", "declared_differences"),),
    "declared.questions": ("declared_controls", "declared_doses", "declared_scales"),
    "declared.methods": ("methods_text",),
    "declared.policies": ("declared_policy",),
    "declared.policy_claims": ("policy_evidence",),
    "comparison.comparability": ("Comparability", "Measurement", "assess_comparability"),
    "comparison.adjustment.propensity": ("overlap",),
    "comparison.adjustment.trimming": ("trim_propensity",),
    "comparison.adjustment.balancing": ("balancing_of", "cbps", "entropy_balance", "propensity_weights"),
    "comparison.adjustment.balance": ("balance_table",),
    "comparison.adjustment.table_one": ("table_one",),
    "comparison.matching.matching": ("match",),
    "comparison.matching.matched_outcomes": ("matched_difference",),
    "comparison.matching.rosenbaum": ("rosenbaum_bounds",),
    "comparison.benchmark": ("benchmark_difference",),
    "comparison.adjustment.composition": ("standardise_composition",),
    "comparison.participants.two_samples": ("join_samples", "sample_difference"),
    "comparison.participants.participation": ("participation_agreement", "participation_windows"),
    "comparison.participants.misclassification": ("misclassification_bounds",),
    "comparison.participants.listings": ("share_listings",),
    "comparison.participants.participation_checklist": ("participation_checklist",),
    "comparison.sensitivity.e_values": ("e_value",),
    "comparison.sensitivity.marginal_sensitivity": ("sensitivity_bounds",),
    "comparison.sensitivity.odds_benchmarks": ("sensitivity_benchmarks", "sensitivity_curve"),
    "comparison.sensitivity.robustness": ("robustness_value",),
    "comparison.sensitivity.coefficient_stability": ("oster_delta",),
    "comparison.sensitivity.tipping": ("tipping_point",),
    "comparison.sensitivity.partial_identification": ("manski_bounds",),
    "comparison.sensitivity.negative_controls": ("negative_controls",),
    "comparison.decomposition": ("decompose_gap", "decompose_published"),
    "comparison.ladder": ("effect_ladder",),
    "comparison.claim": ("compared_methods", "judge_comparison"),
    "comparison.claim_evidence": ("Limits",),
    "comparison.oaxaca": ("oaxaca_blinder",),
    "comparison.inference.subgroups": ("subgroup_effects",),
    "comparison.inference.power": ("minimum_detectable_effect", "power_of_difference", "sample_size_of_difference"),
    "comparison.inference.equivalence": ("equivalence_test", "non_inferiority_test", "superiority_test"),
    "estimation.heterogeneity": ("heterogeneity_test",),
    "estimation.multiplicity": ("adjust_p_values", "stepdown", "stepdown_p_values"),
    "comparison.truth": ("known_effects",),
    "comparison.outcomes.dose": ("dose_response",),
    "comparison.outcomes.index": ("cronbach_alpha", "outcome_index"),
    "comparison.outcomes.likert": ("likert_difference",),
    "comparison.outcomes.standardised": ("standardised_difference",),
    "comparison.effects": ("aipw", "g_computation", "group_difference", "ipw", "ipwra", "regression_adjusted"),
    "impact.rollout.table": ("read_rollout",),
    "impact.rollout.schedule": ("check_schedule",),
    "impact.rollout.exposure": ("exposure",),
    "impact.rollout.treatment": ("check_treatment",),
    "impact.absorbed.regression": ("fe_regression",),
    "impact.absorbed.twfe": ("twfe",),
    "impact.absorbed.twfe_weights": ("twfe_weights",),
    "impact.clusters.jackknife": ("leave_one_out",),
    "impact.clusters.wild_bootstrap": ("wild_cluster_bootstrap",),
    "impact.clusters.randomization": ("randomization_inference",),
    "impact.clusters.few_clusters": ("few_cluster_table",),
    "impact.clusters.headline": ("headline_inference",),
    "impact.credibility.event_path": ("event_path",),
    "impact.credibility.honest": ("breakdown_value", "honest_did"),
    "impact.credibility.pretrend_power": ("pretrend_power",),
    "impact.main_table": ("impact_table",),
    "impact.waves": ("comparable_waves",),
    "impact.panel": ("Panel", "panel"),
    "impact.identification": ("identified_cells",),
    "impact.synthetic_control.estimators": ("synthetic_control", "synthetic_did"),
    "impact.synthetic_control.placebo": ("donor_placebos",),
    "impact.staggered.group_time": ("att_gt",),
    "impact.staggered.aggregation": ("aggregate", "event_study"),
    "impact.staggered.leads": ("pretrend_test", "simultaneous_bands"),
    "impact.staggered.event_dummies": ("event_study_twfe",),
    "impact.staggered.sun_abraham": ("sun_abraham",),
    "impact.staggered.extended_twfe": ("extended_twfe",),
    "impact.staggered.stacked": ("stacked_did",),
    "impact.staggered.bacon": ("goodman_bacon",),
    "impact.staggered.imputation": ("imputation_did",),
    "impact.staggered.two_stage": ("two_stage_did",),
    "impact.staggered.switching": ("switching_did",),
    "impact.staggered.efficient": ("efficient_did",),
    "impact.staggered.continuous_dose": ("dose_did",),
    "impact.credibility.variance_layers": ("variance_layers",),
    "impact.credibility.placebo": ("placebo_dates", "placebo_outcomes"),
    "impact.credibility.composition": ("composition_test",),
    "impact.credibility.missing_outcomes": ("missing_outcome_bounds",),
    "impact.credibility.repeated_weighting": ("reweighted_jackknife",),
    "impact.credibility.subgroups": ("subgroup_impacts",),
    "impact.planning.correlations": ("cluster_correlations",),
    "impact.planning.detectable": ("rollout_mde",),
    "impact.planning.simulated_power": ("rollout_power",),
    "impact.planning.city_power": ("city_power",),
    "second_opinion.script": ("write_r_script",),
    "tables": ("table",),
    "figures.plotting": ("plot",),
    "sentences": ("statement",),
    "publication": ("publish",),
    "gathering": ("gather", "refusals"),
    "claims.arithmetic": ("counts_behind", "needed_sample_size", "share_of_others"),
    "claims.numbers": ("published_estimates",),
    "claims.report": ("check_claims",),
}
_HOME = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"evaluation has no public name '{name}'")
    value = getattr(import_module(f"evaluation.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
