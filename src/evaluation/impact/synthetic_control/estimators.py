"""Synthetic control and synthetic difference-in-differences: one treated place, or few, against weighted donors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from evaluation.errors import EstimationError, require_flag
from evaluation.estimation.arguments import column_names, names_any, require_arguments
from evaluation.impact.panel import Panel
from evaluation.impact.synthetic_control.model import Model
from evaluation.impact.synthetic_control.nested import Predictors, read_predictors
from evaluation.impact.synthetic_control.places import Places, Roles, read_places, require_whole, roles_of
from evaluation.impact.synthetic_control.result import SyntheticEffects, Variance, effects_of_model
from evaluation.impact.synthetic_control.weighting import Rule, Solver, refuse_no_change

Method = Literal["outcome_only", "nested"]


def synthetic_control(
    panel: Panel,
    *,
    outcome: str,
    treated: str | None = None,
    cohort: str | None = None,
    place: str | None = None,
    donors: Sequence[object] | None = None,
    method: Method = "outcome_only",
    predictors: Predictors | None = None,
    covariates: Sequence[str] = (),
    fit_waves: Sequence[float] | None = None,
    predictor_weights: Sequence[float] | None = None,
    solver: Solver = "exact",
    vcov: Variance | None = None,
    draws: int = 200,
    seed: int = 1,
    conf_level: float = 0.95,
) -> SyntheticEffects:
    """Estimate the effect on a treated place, or few, against donors weighted to follow the same path before.

    Parameters
    ----------
    panel : Panel
        From ``ev.panel``: of places (``unit=``), or of respondents, who are averaged by place and wave with their
        weights.
    outcome : str
        Numeric column.
    treated, cohort : str
        One of them: a 0/1 column of place and wave, or the first treated wave (0 or missing: never).
    place : str, optional
        Column of the places; default the panel's unit.
    donors : list, optional
        Places that may be donors, such as districts outside the programme; default all never treated within the waves.
    method : {"outcome_only", "nested"}
        What the weights of donors match: the outcome in every wave before, or predictors, whose own weights are
        sought so that the outcome before is met.
    predictors : mapping or list of pairs, optional
        Of ``nested``: column to the waves over which it is averaged, such as ``{"income": range(1964, 1970)}``; a list
        of pairs where a column comes more than once.
    covariates : list of str, optional
        Of ``nested``: further predictors, averaged over all waves before.
    fit_waves : list, optional
        Of ``nested``: waves in which the outcome is to be met; default all before.
    predictor_weights : list, optional
        Of ``nested``: weights of predictors, instead of seeking them.
    solver : {"exact", "frank_wolfe"}
        Exact minimum, or the steps of R's ``synthdid`` with its rule to end early.
    vcov : {"placebo", "jackknife", "none"}, optional
        Default placebo where donors outnumber the treated, else the jackknife (which rests on few donors here);
        "none" for ``nested``, where each placebo is a search of its own.
    draws, seed : int
        Sets of donors for placebo errors of several treated places.
    conf_level : float, default 0.95

    Returns
    -------
    SyntheticEffects
        Rows "overall", "did" (plain difference-in-differences with the same donors), and the gap by time since the
        start. ``paths()``, ``weights()``, ``cohorts()`` and ``cell_means()`` hold what is behind them;
        ``ev.donor_placebos`` gives the p-value by rank.

    Raises
    ------
    ColumnError
        A column is absent, differs within a place, or a place has no answer in a wave.
    IdentificationError
        Nobody is treated, no wave before, fewer than two donors, treated donors, placebo errors with too few donors.
    EstimationError
        Options that do not fit together.

    Notes
    -----
    Weights are not negative and sum to one, so the synthetic place never leaves the range of its donors. Places that
    start together are averaged; cohorts weigh by treated place-waves.

    References
    ----------
    Abadie, Diamond and Hainmueller (2010), Journal of the American Statistical Association 105, 493-505. R twins:
    ``Synth::synth`` (nested), ``synthdid::sc_estimate`` (outcome only, ``solver="frank_wolfe"``).

    Examples
    --------
    >>> import pandas as pd
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.impact.panel import panel
    >>> rows = {"city": list("aaabbbccc"), "year": [1, 2, 3] * 3, "y": [2, 3, 9, 1, 2, 3, 3, 4, 5.0]}
    >>> cities = pd.DataFrame(rows).assign(first=lambda d: (d["city"] == "a") * 3)
    >>> over_time = panel(survey_design(cities, psu="city"), unit="city", time="year")
    >>> effects = synthetic_control(over_time, outcome="y", cohort="first")
    >>> effects.estimate[:2].round(6).tolist(), effects.weights()["weight"][:2].round(6).tolist()
    ([5.0, 5.0], [0.5, 0.5])
    """
    require_arguments(synthetic_control, locals())
    verb = "synthetic_control"
    _check(verb, solver, draws)
    if method not in ("outcome_only", "nested"):
        raise EstimationError(f"{verb}: method must be 'outcome_only' or 'nested', got {method!r}.")
    asked = {
        "predictors": predictors,
        "covariates": covariates,
        "fit_waves": fit_waves,
        "predictor_weights": predictor_weights,
    }
    given = [name for name, value in asked.items() if names_any(value)]
    if method == "outcome_only" and given:
        raise EstimationError(
            f"{verb}: {', '.join(given)} belong to method='nested'; outcome_only matches the outcome in every wave. "
            f"To take covariates out of the outcome, use ev.synthetic_did."
        )
    read = read_predictors(predictors, covariates, verb) if method == "nested" else []
    places, roles = _read(panel, verb, outcome, place, cohort, treated, donors, [name for name, _ in read])
    model = Model(
        places,
        roles,
        Rule("synthetic_control", solver),
        predictors=tuple(read),
        fit_waves=_waves(places, verb, fit_waves),
        predictor_weights=_given_weights(predictor_weights, len(read), verb),
    )
    require_whole(places, model.outcome, roles.members, verb)
    return effects_of_model(model, verb, vcov, draws, seed, conf_level)


def synthetic_did(
    panel: Panel,
    *,
    outcome: str,
    treated: str | None = None,
    cohort: str | None = None,
    place: str | None = None,
    donors: Sequence[object] | None = None,
    covariates: Sequence[str] = (),
    regularisation: float | None = None,
    solver: Solver = "exact",
    sparsify: bool = True,
    vcov: Variance | None = None,
    draws: int = 200,
    seed: int = 1,
    conf_level: float = 0.95,
) -> SyntheticEffects:
    """Estimate the effect on treated places by a difference-in-differences with weighted donors and weighted waves.

    Parameters
    ----------
    panel, outcome, treated, cohort, place, donors
        As in ``ev.synthetic_control``.
    covariates : list of str, optional
        Columns that vary over time: what they explain among cells not treated yet, beside effects of places and
        waves, is taken out of the outcome first.
    regularisation : float, optional
        Factor of the donors' standard deviation from wave to wave in the penalty on donor weights; default the fourth
        root of treated places times treated waves.
    solver : {"exact", "frank_wolfe"}
        Exact minimum, or the steps of R's ``synthdid``, which end early.
    sparsify : bool, default True
        Of ``frank_wolfe``: set weights up to a quarter of the largest to zero after 100 steps, and go on from there.
    vcov : {"placebo", "jackknife", "none"}, optional
        Default the jackknife where every cohort has two treated places (weights kept, t with places less 1), else
        placebo, which needs more donors than treated places.
    draws, seed, conf_level
        As in ``ev.synthetic_control``.

    Returns
    -------
    SyntheticEffects
        As in ``ev.synthetic_control``.

    Raises
    ------
    ColumnError, IdentificationError, EstimationError
        As in ``ev.synthetic_control``; also where there is one wave before, so that the penalty has no scale.

    Notes
    -----
    .. math:: \\hat\\tau = \\frac{1}{T_1}\\sum_{t > T_0} (\\bar y_{1t} - \\omega' y_{0t})
              - \\sum_{t \\le T_0} \\lambda_t (\\bar y_{1t} - \\omega' y_{0t})

    A staged roll-out is estimated cohort by cohort against the never treated, and summed up by treated place-waves.

    References
    ----------
    Arkhangelsky, Athey, Hirshberg, Imbens and Wager (2021), American Economic Review 111, 4088-4118, algorithms 1, 3
    and 4. Clarke, Pailanir, Athey and Imbens (2023) for staged adoption. R twin: ``synthdid::synthdid_estimate``.
    """
    require_arguments(synthetic_did, locals())
    verb = "synthetic_did"
    _check(verb, solver, draws)
    require_flag(sparsify, f"{verb}: sparsify", EstimationError)
    if regularisation is not None and not 0 <= regularisation < np.inf:
        raise EstimationError(f"{verb}: regularisation must be zero or above, got {regularisation!r}.")
    covariates = column_names(covariates, f"{verb}: covariates", "'income'")
    places, roles = _read(panel, verb, outcome, place, cohort, treated, donors, covariates)
    model = Model(places, roles, Rule("synthetic_did", solver, sparsify, regularisation), covariates=tuple(covariates))
    require_whole(places, model.outcome, roles.members, verb)
    first = int(np.searchsorted(places.times, places.cohort[roles.treated].min()))
    refuse_no_change(model.outcome[model.donors, :first], verb)
    return effects_of_model(model, verb, vcov, draws, seed, conf_level)


def _check(verb: str, solver: str, draws: int) -> None:
    if solver not in ("exact", "frank_wolfe"):
        raise EstimationError(f"{verb}: solver must be 'exact' or 'frank_wolfe', got {solver!r}.")
    if not isinstance(draws, int) or draws < 2:
        raise EstimationError(f"{verb}: draws must be a whole number from 2, got {draws!r}.")


def _read(
    panel: Panel,
    verb: str,
    outcome: str,
    place: str | None,
    cohort: str | None,
    treated: str | None,
    donors: Sequence[object] | None,
    columns: Sequence[str],
) -> tuple[Places, Roles]:
    places = read_places(panel, verb, outcome=outcome, place=place, cohort=cohort, treated=treated, columns=columns)
    return places, roles_of(places, verb, donors)


def _waves(places: Places, verb: str, waves: Sequence[float] | None) -> tuple[float, ...] | None:
    if waves is None:
        return None
    asked, start = [float(wave) for wave in waves], float(places.cohort[np.isfinite(places.cohort)].min())
    wrong = [f"{wave:g}" for wave in asked if wave not in places.times or wave >= start]
    if wrong or not asked:
        raise EstimationError(
            f"{verb}: fit_waves must be waves before the first start ({start:g}), got {', '.join(wrong) or 'none'}."
        )
    return tuple(asked)


def _given_weights(weights: Sequence[float] | None, n: int, verb: str) -> tuple[float, ...] | None:
    if weights is None:
        return None
    values = np.asarray(weights, dtype=float)
    if values.shape != (n,) or not np.isfinite(values).all() or (values < 0).any() or not values.sum() > 0:
        raise EstimationError(f"{verb}: predictor_weights must be {n} numbers from zero, one for each predictor.")
    return tuple(values.tolist())
