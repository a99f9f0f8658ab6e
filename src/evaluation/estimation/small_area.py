"""Rare groups in many areas: direct estimates and area-level covariates combined, with mean squared errors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.errors import ColumnError, EstimationError, IdentificationError
from evaluation.estimation.area_model import AreaMethod, AreaModel, fit_area_model
from evaluation.estimation.arguments import require_number
from evaluation.estimation.pooled_waves import NO_ERROR
from evaluation.results import SMALL_CELL, Estimates, Provenance

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Smoothing = Literal["none", "pooled"]

#: How a row came about; keys of the vocabulary.
COMBINED = "direct and model"
NO_SAMPLE = "model alone: no respondents"
NO_VARIANCE = "model alone: no reliable sampling variance"
TOO_FEW = "model alone: too few respondents"
REFUSED = "model alone: the direct estimate is refused"
BY_ANSWERS = "no value: too few gave one of the answers"


def fay_herriot(
    direct: Estimates,
    covariates: pd.DataFrame,
    *,
    method: AreaMethod = "REML",
    variance_smoothing: Smoothing = "none",
    minimum_df: float = 3,
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate a small group's mean in every area from its direct estimates and what is known of the areas.

    Parameters
    ----------
    direct : Estimates
        One row per area, e.g. ``survey_mean(domain(design, {"participant": 1}), "trust", by="district")``, or from
        ``pooled_waves``. Of ``survey_prop`` take the rows of one level first.
    covariates : pandas.DataFrame
        One row per area of the population: a column named as the area's in ``direct``, and numeric columns known
        without sampling error (registers, a census), none missing. An intercept is added.
    method : {"REML", "ML", "FH", "AREML"}, default "REML"
        How the variance between areas is estimated; "FH" is Fay and Herriot's moment equation, "AREML" the residual
        likelihood adjusted so that the variance is never estimated as zero, for few areas and imprecise ones.
    variance_smoothing : {"none", "pooled"}, default "none"
        Sampling variances of few respondents are unstable, and zero where all gave one answer. "pooled" takes one
        variance per respondent for all areas (mean by degrees of freedom of n times the variance), so that areas
        with one sampling unit, or a variance of zero, keep their direct estimate.
    minimum_df : float, default 3
        Fewest degrees of freedom on which a sampling variance of its own is believed: on fewer, two answers that
        happen to agree would look exact. Does not matter to "pooled", which weighs by degrees of freedom.
    conf_level : float, default 0.95
        Of the normal interval.

    Returns
    -------
    Estimates
        One row per area of ``covariates``. ``std_error`` is the root of the mean squared error; covariances between
        areas are not estimated. Further columns: ``direct`` and ``direct_error`` beside it (empty where the survey's
        minimum forbids to show them), ``shrinkage`` (weight of the direct estimate, 0 to 1), ``n_area``, and
        ``basis``: areas without respondents, with fewer than the survey's smallest cell, or without a reliable
        sampling variance, have the model's prediction alone. Areas whose direct estimate is hidden because too few
        gave one of the answers have no value: they are hidden for being high or low, which no prediction from the
        others makes up for. ``areas_refused`` counts them.
        ``glance()`` has the model's variance and coefficients, and ``largest_correlation`` between direct estimates.

    Raises
    ------
    ColumnError
        Covariates lack the area column, are text, are missing or not finite.
    EstimationError
        Several rows per area, or an area that has no covariates.
    IdentificationError
        Too few areas for the covariates, or collinear ones.

    Notes
    -----
    :math:`\\hat y_d = x_d' \\beta + u_d + e_d`, :math:`u_d \\sim (0, A)`, :math:`e_d \\sim (0, \\psi_d)` independent
    with :math:`\\psi_d` known: correlations of areas that share sampling units are left out, and the error of
    :math:`\\psi_d` is not counted. MSE = g1 + g2 + 2 g3, less the bias term for all but "REML". Where A is estimated
    as zero every area has the model's prediction, which is said in ``variance_method``; its MSE is then too small.
    The model knows no bounds: shares may leave 0 to 1 (``outside_0_1`` counts them); their limits are cut there.

    References
    ----------
    Fay and Herriot (1979), JASA 74, 269-277; Prasad and Rao (1990), JASA 85, 163-171; Datta and Lahiri (2000),
    Statistica Sinica 10, 613-627; Rao and Molina (2015), Small Area Estimation, sections 6.1-6.2.
    R twin: ``sae::mseFH``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.estimation.means import survey_mean
    >>> rng = np.random.default_rng(1)
    >>> respondents = pd.DataFrame({"gu": np.repeat(range(12), 6), "y": rng.normal(size=72)})
    >>> respondents["y"] += respondents["gu"]
    >>> direct = survey_mean(survey_design(respondents), "y", by="gu")
    >>> result = fay_herriot(direct, pd.DataFrame({"gu": range(13), "income": range(13)}))
    >>> len(result), result.columns["basis"][12]
    (13, 'model alone: no respondents')
    """
    if method not in get_args(AreaMethod):
        raise EstimationError(f"fay_herriot: method must be one of REML, ML, FH, AREML, got {method!r}.")
    if variance_smoothing not in get_args(Smoothing):
        raise EstimationError(
            f"fay_herriot: variance_smoothing must be 'none' or 'pooled', got {variance_smoothing!r}."
        )
    require_number(minimum_df, "fay_herriot: minimum_df", least=0)
    area = _area_column(direct)
    covariates = _named(covariates)
    x, names = _read_covariates(covariates, area)
    areas = _on_areas(direct, covariates[area], area)
    sampling = _sampling_variances(areas, variance_smoothing, minimum_df)
    used = np.isfinite(sampling) & np.isfinite(areas.estimate) & (areas.n >= direct.provenance.min_cell)
    _refuse_unidentified(x, used, names)
    model = fit_area_model(areas.estimate[used], x[used], sampling[used], method)
    return _result(direct, covariates[area], areas, (x, sampling, used), model, (method, names), conf_level)


@dataclass(frozen=True, eq=False)
class _Areas:
    """Direct estimates set beside all areas, NaN where there are none, shape (m,)."""

    estimate: Floats
    variance: Floats
    df: Floats
    n: NDArray[np.int64]
    row: NDArray[np.int64]


def _area_column(direct: Estimates) -> str:
    if not isinstance(direct, Estimates):
        raise EstimationError(f"fay_herriot needs direct estimates by area, got {type(direct).__name__}.")
    by = [str(name) for name in direct.keys.columns if name not in ("term", "level")]
    if len(by) != 1:
        raise EstimationError(
            f"fay_herriot needs estimates by one column, the area, got by={by}. Take the group as a domain: "
            f"ev.survey_mean(ev.domain(design, {{'group': ...}}), ..., by='district')."
        )
    twice = direct.keys[by[0]].duplicated()
    if twice.any():
        raise EstimationError(
            f"fay_herriot needs one row per area, but {int(twice.sum())} rows of {direct.verb} are further ones "
            f"(first: '{direct.addresses()[int(np.flatnonzero(twice)[0])]}'). Take one variable, and one level, with "
            f"direct.take(rows)."
        )
    return by[0]


def _named(covariates: pd.DataFrame) -> pd.DataFrame:
    """Return the covariates with text for names of columns, as results have them; ColumnError where two are alike."""
    if not isinstance(covariates, pd.DataFrame):
        return covariates
    named = covariates.set_axis([str(name) for name in covariates.columns], axis=1)
    twice = named.columns[named.columns.duplicated()]
    if len(twice):
        raise ColumnError(f"fay_herriot: two columns of covariates are called '{twice[0]}'. Rename one of them.")
    return named


def _read_covariates(covariates: pd.DataFrame, area: str) -> tuple[Floats, list[str]]:
    """Return the model matrix of all areas, shape (m, p), and the names of its columns."""
    if not isinstance(covariates, pd.DataFrame) or area not in covariates.columns:
        raise ColumnError(f"fay_herriot: covariates must be a frame with the area column '{area}', one row per area.")
    twice = covariates[area].duplicated(keep=False)
    if twice.any():
        raise ColumnError(
            f"fay_herriot: {covariates[area][twice].nunique()} areas stand in several rows of the covariates.",
            failures=covariates.loc[twice],
        )
    names = [str(name) for name in covariates.columns if name != area]
    columns = [np.ones(len(covariates))]
    for name in names:
        if not pd.api.types.is_numeric_dtype(covariates[name]):
            raise ColumnError(f"fay_herriot: covariate '{name}' is {covariates[name].dtype}, expected numbers.")
        values = covariates[name].to_numpy(dtype=float, na_value=np.nan)
        if not np.isfinite(values).all():
            raise ColumnError(
                f"fay_herriot: covariate '{name}' is missing or infinite in {int((~np.isfinite(values)).sum())} areas; "
                f"it must be known of all.",
                failures=covariates.loc[~np.isfinite(values)],
            )
        columns.append(values)
    return np.column_stack(columns), ["(Intercept)", *names]


def _on_areas(direct: Estimates, areas: pd.Series, area: str) -> _Areas:
    place = {value: at for at, value in enumerate(direct.keys[area].tolist())}
    unknown = [value for value in place if value not in set(areas.tolist())]
    if unknown:
        raise EstimationError(
            f"fay_herriot: {len(unknown)} areas of the estimates have no covariates: {unknown[:5]}. Add their rows, "
            f"and see that both write areas alike."
        )
    row = np.array([place.get(value, -1) for value in areas.tolist()], dtype=np.int64)
    known = row >= 0

    def spread(values: NDArray[Any]) -> Floats:
        return np.where(known, values[row], np.nan).astype(float)

    return _Areas(
        spread(direct.estimate),
        spread(direct.std_error**2),
        spread(direct.df),
        np.where(known, direct.n_obs[row], 0).astype(np.int64),
        row,
    )


def _sampling_variances(areas: _Areas, smoothing: Smoothing, minimum_df: float) -> Floats:
    """Return the sampling variance that the model takes for each area, NaN where there is none."""
    own = np.isfinite(areas.variance) & (areas.variance > 0) & (areas.df > 0)
    if smoothing == "none":
        return np.where(own & (areas.df >= minimum_df), areas.variance, np.nan)
    if not own.any():
        raise EstimationError(
            "fay_herriot: no area has a sampling variance of its own (two sampling units and different answers), so "
            "there is nothing to pool. Take larger areas, or several waves with ev.pooled_waves."
        )
    df = np.where(np.isfinite(areas.df), areas.df, areas.n)[own]
    each = float(np.average(areas.n[own] * areas.variance[own], weights=df))
    return np.where((areas.n > 0) & np.isfinite(areas.estimate), each / np.maximum(areas.n, 1), np.nan)


def _refuse_unidentified(x: Floats, used: Mask, names: list[str]) -> None:
    m, p = int(used.sum()), x.shape[1]
    if m < p + 2:
        raise IdentificationError(
            f"fay_herriot: {m} areas with a direct estimate and its variance cannot identify {p} coefficients and a "
            f"variance between areas; {p + 2} are needed. Use fewer covariates, variance_smoothing='pooled', or a "
            f"lower minimum_df."
        )
    scaled = x[used] / np.sqrt((x[used] ** 2).sum(axis=0).clip(min=1e-300))
    diagonal = np.abs(np.diag(np.linalg.qr(scaled, mode="r")))
    if (diagonal < 1e-10).any():
        raise IdentificationError(
            f"fay_herriot: covariate '{names[int(np.argmin(diagonal))]}' is constant or a combination of others."
        )


def _result(
    direct: Estimates,
    areas: pd.Series,
    found: _Areas,
    inputs: tuple[Floats, Floats, Mask],
    model: AreaModel,
    how: tuple[str, list[str]],
    conf_level: float,
) -> Estimates:
    (x, sampling, used), (method, names) = inputs, how
    estimate, error = model.synthetic(x)
    estimate[used], error[used] = model.predicted(found.estimate[used], x[used], sampling[used])
    refused = _hidden_by_answers(direct, found)
    estimate[refused], error[refused] = np.nan, np.nan
    covariance = np.where(np.eye(len(x), dtype=bool), error[:, None], np.nan)
    n_used = int(found.n[used].sum())
    told = f"Fay-Herriot {method} mean squared error"
    result = Estimates(
        verb="fay_herriot",
        keys=_keys(direct, areas),
        estimate=estimate,
        vcov=covariance,
        df=np.full(len(x), np.inf),
        n_obs=np.full(len(x), n_used, dtype=np.int64),
        provenance=_provenance(direct),
        conf_level=conf_level,
        interval_method="normal",
        method=f"{told}; model variance zero: the model's prediction alone" if model.variance == 0 else told,
        columns=_columns(direct, found, model, sampling, (used, refused)),
        fit={
            "method": method,
            "model_variance": model.variance,
            "model_variance_error": float(np.sqrt(model.uncertainty)),
            "coefficients": dict(zip(names, map(float, model.coefficients), strict=True)),
            "coefficient_errors": dict(zip(names, map(float, np.sqrt(np.diag(model.covariance))), strict=True)),
            "areas_used": int(used.sum()),
            "areas_by_model_alone": int((~used & ~refused).sum()),
            "areas_refused": int(refused.sum()),
            "largest_correlation": _largest_correlation(direct, found.row[used]),
        },
    )
    return _within_bounds(result) if _is_share(direct) else result


def _keys(direct: Estimates, areas: pd.Series) -> pd.DataFrame:
    columns: dict[str, list[Any]] = {
        str(name): [direct.keys[name].iloc[0]] * len(areas) for name in direct.keys.columns if name in ("term", "level")
    }
    return pd.DataFrame({**columns, str(areas.name): areas.tolist()})


def _columns(
    direct: Estimates, found: _Areas, model: AreaModel, sampling: Floats, which: tuple[Mask, Mask]
) -> dict[str, NDArray[Any]]:
    used, by_answers = which
    hidden = np.array([bool(mark) for mark in direct.marks] or [False], dtype=bool)[found.row] & (found.row >= 0)
    shrinkage = np.where(used, model.shrinkage(np.where(used, sampling, 1.0)), 0.0)
    few = (found.n > 0) & (found.n < direct.provenance.min_cell)
    said = _said(direct, found)
    refused = (hidden | (said != "")) & np.isnan(found.estimate) & (found.row >= 0)
    alone = np.select([refused, np.isnan(found.estimate), few], [REFUSED, NO_SAMPLE, TOO_FEW], NO_VARIANCE)
    basis = np.where(by_answers, BY_ANSWERS, np.where(used, COMBINED, alone))
    hidden |= by_answers
    marks = {"mark": np.where(by_answers, SMALL_CELL, "").astype(object)} if by_answers.any() else {}
    return {
        "direct": np.where(hidden, np.nan, found.estimate),
        "direct_error": np.where(hidden, np.nan, np.sqrt(found.variance)),
        "shrinkage": np.where(hidden, np.nan, shrinkage),
        "n_area": np.where(hidden, np.nan, found.n),
        "basis": basis.astype(object),
        **marks,
        **_waves(direct, found),
    }


def _waves(direct: Estimates, found: _Areas) -> dict[str, NDArray[Any]]:
    """Return the waves that are put together behind each direct estimate, where it says so."""
    if "waves_pooled" not in direct.columns:
        return {}
    return {"waves_pooled": np.array([*direct.columns["waves_pooled"], ""], dtype=object)[found.row]}


def _provenance(direct: Estimates) -> Provenance:
    """Return where the estimates come from; what stands below names the waves, where all areas have the same."""
    told = {str(waves) for waves in direct.columns.get("waves_pooled", ()) if waves}
    if len(told) != 1:
        return direct.provenance
    title = {lang: f"{text}: {next(iter(told))}" for lang, text in direct.provenance.title.items() if text}
    return replace(direct.provenance, title=title)


def _said(direct: Estimates, found: _Areas) -> NDArray[Any]:
    """Return why each area's direct estimate is refused, empty where it is not."""
    return np.array([*direct.columns.get("refused_because", [""] * len(direct)), ""], dtype=object)[found.row]


def _hidden_by_answers(direct: Estimates, found: _Areas) -> Mask:
    """Tell the areas that are hidden for what was answered there, or for a reason that a hidden count does not tell."""
    said = _said(direct, found)
    small_cell = np.array([*(mark == SMALL_CELL for mark in direct.marks), False], dtype=bool)[found.row]
    enough = (found.n >= direct.provenance.min_cell) | (found.n == 0)
    return np.asarray((found.row >= 0) & enough & ((small_cell & (said == "")) | (said == NO_ERROR)))


def _largest_correlation(direct: Estimates, rows: NDArray[np.int64]) -> float:
    """Return the largest correlation between direct estimates, which the model takes as zero."""
    block = direct.vcov[np.ix_(rows, rows)]
    scale = np.sqrt(np.clip(np.diag(block), 0, None))
    apart = np.abs(block) / np.where(np.outer(scale, scale) > 0, np.outer(scale, scale), np.inf)
    np.fill_diagonal(apart, 0.0)
    return float(apart.max(initial=0.0))


def _is_share(direct: Estimates) -> bool:
    known = direct.estimate[np.isfinite(direct.estimate)]
    told = (
        direct.verb == "survey_prop"
        or bool(direct.fit.get("shares"))
        or (direct.cell_counts is not None and bool((direct.cell_counts > 0).any()))
    )
    return told and bool(((known >= 0) & (known <= 1)).all())


def _within_bounds(result: Estimates) -> Estimates:
    """Return shares with their limits cut at 0 and 1, and the number of estimates beyond."""
    outside = int(((result.estimate < 0) | (result.estimate > 1)).sum())
    limits = np.clip(result.confidence_interval(), 0.0, 1.0)
    return replace(
        result, interval=limits, interval_method="normal, cut at 0 and 1", fit={**result.fit, "outside_0_1": outside}
    )
