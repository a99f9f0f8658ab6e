"""Errors that leave out each place with all its weighting: what was fitted to all places is fitted again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from evaluation.design.steps import replayed
from evaluation.errors import EstimationError, EvaluationError
from evaluation.impact.clusters.jackknife import cluster_jackknife
from evaluation.impact.effects import ImpactEffects, covariance


def reweighted_jackknife(effects: ImpactEffects) -> ImpactEffects:
    """Leave out each place with all its weighting: response models, raking and trimming are made again without it.

    Parameters
    ----------
    effects : ImpactEffects
        From an estimator with ``cluster=``, on a design that was weighted.

    Returns
    -------
    ImpactEffects
        The same estimates; errors are those of the leave-one-place-out jackknife (CV3, t with G - 1) in which every
        weighting step is repeated. A row that does not exist without some place, or whose weights do not, has no error.

    Raises
    ------
    EstimationError
        No effects, no cluster, or no weighting step to repeat.

    Notes
    -----
    The jackknife of ``vcov="jackknife"`` keeps the final weights of those who stay, so that a response model fitted to
    all places stays as it was. Here each place is left out before the first step. ``vcov="design"`` counts the chain
    by its derivative; replicates repeat it.

    Examples
    --------
    >>> import pandas as pd
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.impact.panel import panel
    >>> from evaluation.weighting.nonresponse import adjust_nonresponse
    >>> rows = [(g, t, 2 * (g < 3), g * t + i, float(i < 3)) for g in range(6) for t in (1, 2) for i in range(4)]
    >>> asked = pd.DataFrame(rows, columns=["place", "year", "first", "y", "answered"])
    >>> design = adjust_nonresponse(survey_design(asked), response="answered", by="year")
    >>> from evaluation.impact.staggered.group_time import att_gt
    >>> found = att_gt(panel(design, time="year"), outcome="y", cohort="first", cluster="place")
    >>> bool(np.isclose(reweighted_jackknife(found).std_error[0], found.std_error[0]))
    True
    """
    verb = "reweighted_jackknife"
    if not isinstance(effects, ImpactEffects) or effects.refit is None:
        raise EstimationError(f"{verb} needs effects of a policy, e.g. of ev.aggregate, got {type(effects).__name__}.")
    refit = effects.refit
    design, clusters = refit.design, refit.clusters
    if clusters is None:
        raise EstimationError(f"{verb}: the effects name no places to leave out. Estimate with cluster=...")
    if not design.steps:
        raise EstimationError(
            f"{verb}: the design has no weighting step to repeat, so vcov='jackknife' is the same. Weight it first, "
            f"e.g. with ev.adjust_nonresponse."
        )
    rows = []
    column = design.column(clusters.name)
    for level in clusters.levels:
        # Whoever is of the place, those too who answered nothing and have no weight in the end.
        stays = np.where((column == level).to_numpy(dtype=bool, na_value=False), 0.0, 1.0)
        weights = design.base_weights * stays
        try:
            for step in design.steps:
                weights = replayed(step.step, weights, stays)
            rows.append(refit.again(weights if design.inside is None else np.where(design.inside, weights, 0.0)))
        except EvaluationError:
            rows.append(np.full(len(refit.estimate), np.nan))
    contributions = np.stack(rows) - refit.estimate
    engine = cluster_jackknife(design.data, clusters.name, clusters.code, len(clusters), labels=clusters.levels)
    return replace(
        effects,
        vcov=covariance(engine, contributions),
        df=np.full(len(effects), len(clusters) - 1.0),
        engine=engine,
        contributions=contributions,
        interval=None,
        fit={**effects.fit, "vcov": "jackknife", "weighting": "repeated without each place"},
    )
