"""The ladder: one difference between participants and others, from the answers as they came to doubly robust."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.comparison.comparability import Comparability
from evaluation.comparison.effects import ADJUSTED, estimate_difference, evidence_of
from evaluation.design.design import Design, require_design
from evaluation.errors import EstimationError, did_you_mean
from evaluation.estimation.contrasts import joined
from evaluation.estimation.counterfactual import Estimand, Groups, Method, groups_of
from evaluation.estimation.domains import names_of
from evaluation.regression.families import Family
from evaluation.results import Estimates

Floats = NDArray[np.float64]
Rung = Literal["unweighted", "raw", "regression_adjusted", "g_computation", "ipw", "aipw", "ipwra"]

RUNGS: tuple[Rung, ...] = ("unweighted", "raw", "regression_adjusted", "g_computation", "ipw", "aipw", "ipwra")
#: Rungs that are shown unless others are named.
SHOWN: tuple[Rung, ...] = RUNGS[:-1]
BENCHMARK = "benchmark"


def effect_ladder(
    design: Design,
    *,
    outcome: str | Sequence[str],
    treatment: str,
    covariates: str | Sequence[str],
    estimand: Estimand = "ATT",
    methods: Sequence[Rung] = SHOWN,
    family: Family | None = None,
    benchmark: Estimates | Mapping[str, Estimates] | None = None,
    comparability: Comparability | None = None,
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate one difference between participants and others by several methods, each taking more into account.

    Parameters
    ----------
    design : Design
        Any design.
    outcome : str or list of str
        One ladder each.
    treatment, covariates : str, str or list of str
        As in ``aipw``.
    estimand : {"ATT", "ATE", "ATC", "ATO"}, default "ATT"
        Of the adjusted rungs; "ATO" leaves ``ipw``, ``aipw`` and ``ipwra``.
    methods : sequence of str
        In this order: ``unweighted`` (every respondent counts once), ``raw`` (survey weights),
        ``regression_adjusted``, ``g_computation``, ``ipw``, ``aipw``, ``ipwra``.
    family : {"gaussian", "binomial"}, optional
        Of the outcome models; default: binomial where the outcome has two values.
    benchmark : Estimates, or mapping of outcome to Estimates, optional
        A gap to an outside figure that becomes the first rung, called ``benchmark``: row 0 of
        ``benchmark_difference`` or ``decompose_published``.
    comparability : Comparability, optional
        Declared comparison; a refused one raises. Its grade, at most 2 here, and what differs stand in ``fit``.
    conf_level : float, default 0.95
        Of the t intervals.

    Returns
    -------
    Estimates
        Keys ``term, method``; columns ``n_participants`` and ``n_comparison``. All rungs of an outcome rest on the
        same respondents, those with treatment, outcome and every covariate, and all rows have one joint
        covariance by their influence. A benchmark of another sample, or with an error of its own, keeps its
        variance; its covariance with the rest is missing, and then the result has no influence function.

    Raises
    ------
    ColumnError, EstimationError, IdentificationError
        As ``aipw``; also an unknown rung, or a benchmark that belongs to none of several outcomes.

    Notes
    -----
    Strata and PSUs enter the error of ``unweighted`` too; its weights are one wherever a respondent counts.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"y": [1.0, 2, 3, 4, 3, 5, 7, 6], "joined": [0, 0, 0, 0, 1, 1, 1, 1],
    ...                             "sex": ["f", "f", "m", "m", "f", "m", "m", "m"]})
    >>> ladder = effect_ladder(survey_design(respondents), outcome="y", treatment="joined", covariates=["sex"],
    ...                        methods=["raw", "ipw", "aipw"])
    >>> dict(zip(ladder.keys["method"], ladder.estimate.round(3).tolist()))
    {'raw': 2.75, 'ipw': 2.25, 'aipw': 2.25}
    """
    require_design(design, "effect_ladder")
    evidence = evidence_of(comparability, ADJUSTED)
    outcomes = names_of(outcome, "effect_ladder")
    rungs = _known(methods)
    gaps = _benchmarks(benchmark, outcomes)
    parts: list[Estimates] = []
    records: dict[str, int] = {}
    for name in outcomes:
        groups = groups_of(
            design, treatment=treatment, covariates=covariates, outcome=name, family=family, verb="effect_ladder"
        )
        records[name] = groups.n_left_out
        if name in gaps:
            parts.append(_rung(gaps[name], name, BENCHMARK))
        for method, made in _climbed(design, groups, rungs, name, treatment, estimand, conf_level):
            parts.append(_rung(made, name, method))
    fit = {
        "treatment": treatment,
        "participants": groups.levels[1],
        "comparison": groups.levels[0],
        "estimand": estimand,
        "formula": groups.participation.formula,
        "n_left_out": records if len(outcomes) > 1 else records[outcomes[0]],
        **evidence,
    }
    whole = _stacked(parts)
    return replace(whole, verb="effect_ladder", provenance=design.provenance, conf_level=conf_level, fit=fit)


def _known(methods: Sequence[Rung]) -> list[Rung]:
    rungs: list[Rung] = list(methods)
    strange = [method for method in rungs if method not in RUNGS]
    if strange or not rungs:
        hint = did_you_mean(strange[0], RUNGS) if strange else did_you_mean("", RUNGS)
        raise EstimationError(f"effect_ladder: methods must be rungs of the ladder, got {strange or rungs}. {hint}")
    if len(set(rungs)) < len(rungs):
        raise EstimationError(f"effect_ladder: methods {rungs} name a rung twice. Name each once.")
    return rungs


def _benchmarks(given: Estimates | Mapping[str, Estimates] | None, outcomes: Sequence[str]) -> Mapping[str, Estimates]:
    if given is None:
        return {}
    if isinstance(given, Estimates):
        own = str(given.keys["term"].iloc[0])
        given = {outcomes[0] if len(outcomes) == 1 else own: given}
    strange = [name for name in given if name not in outcomes]
    if strange:
        raise EstimationError(
            f"effect_ladder: the benchmark belongs to '{strange[0]}', which is none of the outcomes "
            f"{', '.join(outcomes)}. Give benchmark={{outcome: gap}}."
        )
    return given


def _climbed(
    design: Design,
    groups: Groups,
    rungs: Sequence[Rung],
    outcome: str,
    treatment: str,
    estimand: Estimand,
    conf_level: float,
) -> Iterator[tuple[Rung, Estimates]]:
    """Yield the difference of each rung, all on the same respondents."""
    for rung in rungs:
        method: Method = "difference" if rung in ("unweighted", "raw") else rung  # type: ignore[assignment]
        used = counted_once(design) if rung == "unweighted" else design
        yield (
            rung,
            estimate_difference(
                used,
                groups,
                verb="effect_ladder",
                method=method,
                outcome=outcome,
                treatment=treatment,
                estimand=estimand,
                conf_level=conf_level,
            ),
        )


def counted_once(design: Design) -> Design:
    """Return a design in which every respondent with a weight counts once, and no weighting step is left."""
    ones = (design.weights != 0).astype(float)
    return replace(design, base_weights=ones, weights=ones, steps=())


def _rung(made: Estimates, outcome: str, method: str) -> Estimates:
    """Return row 0 of a difference as a row of the ladder."""
    row = made.take(np.array([0]))
    counts: Any = (made.n_obs[1], made.n_obs[2]) if method != BENCHMARK else (made.n_obs[0], 0)
    return replace(
        row,
        keys=pd.DataFrame({"term": [outcome], "method": [method]}),
        interval=None,
        columns={
            "n_participants": np.array([counts[0]], dtype=np.int64),
            "n_comparison": np.array([counts[1]], dtype=np.int64),
        },
        fit={},
    )


def _stacked(parts: Sequence[Estimates]) -> Estimates:
    """Join what has a joint covariance; keep the variance of what has none, its covariances missing."""
    own = [part for part in parts if part.keys["method"].iloc[0] != BENCHMARK]
    outside = [part for part in parts if part.keys["method"].iloc[0] == BENCHMARK]
    if all(_shares_sample(part, own[0]) for part in outside):
        return joined(parts)
    whole = joined(own)
    order = sorted(range(len(parts)), key=lambda i: parts[i].keys["method"].iloc[0] == BENCHMARK)
    back = np.argsort(order)
    k, n_own = len(parts), len(own)
    vcov = np.full((k, k), np.nan)
    vcov[:n_own, :n_own] = whole.vcov
    for place, part in enumerate(outside, start=n_own):
        vcov[place, place] = part.vcov[0, 0]
    loose = [whole, *outside]
    return replace(
        whole,
        keys=pd.concat([part.keys for part in loose], ignore_index=True).iloc[back].reset_index(drop=True),
        estimate=np.concatenate([part.estimate for part in loose])[back],
        vcov=vcov[np.ix_(back, back)],
        df=np.concatenate([part.df for part in loose])[back],
        n_obs=np.concatenate([part.n_obs for part in loose])[back],
        bases=np.concatenate([part.base_sizes for part in loose])[back],
        cell_counts=None,
        engine=None,
        contributions=None,
        influence_of=None,
        method=f"{whole.variance_method}; benchmark: {outside[0].variance_method}",
        columns={name: np.concatenate([part.columns[name] for part in loose])[back] for name in whole.columns},
    )


def _shares_sample(part: Estimates, own: Estimates) -> bool:
    if part.contributions is None or part.engine is None or own.engine is None:
        return False
    ours, theirs = getattr(own.engine, "sampling", None), getattr(part.engine, "sampling", None)
    return part.engine.method == own.engine.method and theirs is not None and theirs.is_same_sample(ours)
