"""Funnel plots of areas: which lie further from one value for all than chance takes areas of their size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from evaluation.errors import ColumnError, EstimationError, did_you_mean
from evaluation.estimation.arguments import require_number
from evaluation.estimation.diagnostic_frames import DiagnosticFrame
from evaluation.results import Estimates, Provenance, frame_html, plain

Floats = NDArray[np.float64]
Overdispersion = Literal["ignored", "additive"]

#: Shares of areas that chance leaves within the limits.
LEVELS = (0.95, 0.998)
#: Share of areas at each end whose distance is drawn in before their mean square is taken.
WINSORISED = 0.1
#: Points of a limit's curve.
CURVE = 60
#: Points at which an expectation over order statistics is summed.
GRID = 4000


class FunnelSpread(DiagnosticFrame):
    """Per term, whether areas differ by more than chance; columns as in ``Funnel.spread``."""


@dataclass(frozen=True, eq=False)
class Funnel:
    """Areas against the limits that sampling alone would keep them in.

    Attributes
    ----------
    points : pandas.DataFrame
        One row per estimate, in their order: key columns, ``estimate, std_error, n_obs, n_effective, target_value,
        statistic, beyond``. ``statistic`` is the distance from the target in standard errors at the target;
        ``beyond`` is "", or the widest limits the area lies outside of: "0.95", "0.998", with "-" before it below.
    limits : pandas.DataFrame
        Per term, along the effective sample size: ``term, n_effective, level, low, high``.
    spread : FunnelSpread
        Per term ``n_areas``, ``target_value``, ``n_outside_inner``, ``n_outside_outer``, Q (``statistic``, ``df``,
        ``p_value``) of no difference but chance, ``dispersion`` (1 on average by chance alone) and ``between_sd``.
    area : str
        Key column of the areas.
    levels : tuple of float
    overdispersion : {"ignored", "additive"}
    provenance : Provenance
    fit : dict
        ``left_out``: addresses of rows without a number.
    """

    points: pd.DataFrame
    limits: pd.DataFrame
    spread: FunnelSpread
    area: str
    levels: tuple[float, float]
    overdispersion: Overdispersion
    provenance: Provenance
    fit: Mapping[str, Any]

    def tidy(self) -> pd.DataFrame:
        """Return one row per area and term, in the order of the estimates."""
        return self.points.copy()

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        rows = [{str(name): plain(value) for name, value in row.items()} for row in self.points.to_dict("records")]
        return {"verb": "funnel", "provenance": self.provenance.to_dict(), "fit": plain(dict(self.fit)), "rows": rows}

    def __repr__(self) -> str:
        return self.spread.summary()

    def _repr_html_(self) -> str:
        return frame_html(self.spread.frame)


def funnel(
    estimates: Estimates,
    *,
    target: Estimates | Mapping[str, float] | float | None = None,
    area: str = "district",
    levels: Sequence[float] = LEVELS,
    overdispersion: Overdispersion = "ignored",
) -> Funnel:
    """Hold each area's estimate against limits round one value for all, by effective sample size.

    Parameters
    ----------
    estimates : Estimates
        One row per area (and term), with a column ``n_effective``, such as ``area_means`` has, or ``deff``.
    target : Estimates, mapping of term to float, or float, optional
        The value that all areas would have: the city's. Default: the mean of the areas, by effective sample size.
    area : str, default "district"
        Key column of the areas; the other keys hold one value per term.
    levels : two floats, default (0.95, 0.998)
        Shares of areas that chance alone leaves within the inner and the outer limits.
    overdispersion : {"ignored", "additive"}, default "ignored"
        "additive" widens the limits by the variance between areas, for areas that are known to differ: then only
        those are outside that lie apart from the others' spread.

    Returns
    -------
    Funnel

    Raises
    ------
    ColumnError
        No such area column, or no effective sample size.
    EstimationError
        Several rows of one area for one term, fewer than three areas, or a target that is missing.

    Notes
    -----
    Limits are :math:`\\theta_0 \\pm t \\sqrt{\\sigma_0^2 / n_e}`; for shares :math:`\\sigma_0^2 = \\theta_0 (1 -
    \\theta_0)`, else the pooled variance of a respondent; t on the areas' median degrees of freedom. A given target is
    taken as known. Q is the sum of squared distances. ``dispersion`` is their mean square, a tenth of the areas at each
    end drawn in to the next one, divided by what that is expected to be where areas differ by chance alone (order
    statistics of as many draws of that t; over m - 1 where the target is the areas' own mean): 1 on average then, less
    than that without the division. ``between_sd`` is DerSimonian and Laird's.

    References
    ----------
    Spiegelhalter (2005), Statistics in Medicine 24, 1185-1202 (sections 2, 5); Spiegelhalter et al. (2012), JRSS A
    175, 1-47.

    Examples
    --------
    >>> from evaluation.results import Provenance
    >>> keys = pd.DataFrame({"term": "y", "district": list("abcd")})
    >>> shares, n = np.array([0.50, 0.52, 0.47, 0.80]), np.full(4, 100)
    >>> made = Estimates("survey_mean", keys, shares, np.diag(shares * (1 - shares) / n), np.full(4, np.inf), n,
    ...     Provenance(), columns={"n_effective": n.astype(float)})
    >>> funnel(made, target=0.5).tidy()["beyond"].tolist()
    ['', '', '', '0.998']
    """
    if not isinstance(estimates, Estimates):
        raise EstimationError(f"funnel needs estimates by area, got {type(estimates).__name__}.")
    inner, outer = _levels(levels)
    if overdispersion not in get_args(Overdispersion):
        raise EstimationError(f"funnel: overdispersion must be 'ignored' or 'additive', got {overdispersion!r}.")
    frame = _rows(estimates, area)
    targets = _targets(frame, target)
    parts = [
        _of_term(own, term, targets[str(term)], (inner, outer), (overdispersion, target is not None))
        for term, own in frame[frame["is_drawn"]].groupby("term", sort=False)
    ]
    if not parts:
        raise EstimationError("funnel: no area has a number and an effective sample size. There is nothing to draw.")
    points = pd.concat([points for points, _, _ in parts])
    spread = pd.DataFrame([row for _, _, row in parts])
    left = [address for address, drawn in zip(estimates.addresses(), frame["is_drawn"], strict=True) if not drawn]
    return Funnel(
        points.sort_index().reset_index(drop=True),
        pd.concat([limits for _, limits, _ in parts], ignore_index=True),
        FunnelSpread("funnel", spread, estimates.provenance),
        area,
        (inner, outer),
        overdispersion,
        estimates.provenance,
        {"left_out": left, "target": "given" if target is not None else "mean of the areas"},
    )


def _levels(levels: Sequence[float]) -> tuple[float, float]:
    given = list(levels) if isinstance(levels, Sequence) and not isinstance(levels, str) else []
    if (
        len(given) != 2
        or not all(isinstance(level, float) and 0 < level < 1 for level in given)
        or not given[0] < given[1]
    ):
        raise EstimationError(f"funnel: levels are two shares, the inner first, got {levels!r}. Write (0.95, 0.998).")
    return given[0], given[1]


def _rows(estimates: Estimates, area: str) -> pd.DataFrame:
    """Return the shown estimates with their effective sample sizes; rows without a number are not drawn."""
    if area not in estimates.keys:
        raise ColumnError(f"funnel: no key column '{area}'. {did_you_mean(area, list(map(str, estimates.keys)))}")
    shown = estimates.masked()
    columns = shown.columns
    if "n_effective" in columns:
        effective = columns["n_effective"].astype(float)
    elif "deff" in columns:
        effective = shown.n_obs / columns["deff"].astype(float)
    else:
        raise ColumnError(
            "funnel: the estimates have no effective sample size. Make them with ev.area_means, or with "
            "ev.survey_mean(..., deff='replace')."
        )
    frame = shown.keys.reset_index(drop=True).assign(
        estimate=shown.estimate, std_error=shown.std_error, n_obs=shown.n_obs, n_effective=effective, own_df=shown.df
    )
    frame["is_drawn"] = np.isfinite(shown.estimate) & np.isfinite(effective) & (effective > 0)
    twice = frame.duplicated(["term", area], keep=False)
    if twice.any():
        others = [str(name) for name in estimates.keys if name not in ("term", area) and frame[name].nunique() > 1]
        raise EstimationError(
            f"funnel: '{area}' stands more than once for one term: the rows differ in {', '.join(others)}. "
            f"Take one: ev.gather(..., where={{'{others[0] if others else 'year'}': ...}}).",
            failures=frame[twice],
        )
    return frame


def _targets(frame: pd.DataFrame, target: object) -> dict[str, float]:
    terms = [str(term) for term in dict.fromkeys(frame["term"])]
    drawn = frame[frame["is_drawn"]]
    if target is None:
        weighted = (drawn["estimate"] * drawn["n_effective"]).groupby(drawn["term"]).sum()
        mean = weighted / drawn["n_effective"].groupby(drawn["term"]).sum()
        return {str(term): float(value) for term, value in mean.items()}
    if isinstance(target, Estimates):
        found = dict(zip(map(str, target.keys["term"]), target.estimate, strict=True))
        if len(found) < len(target):
            raise EstimationError("funnel: the target has several rows for one term. Take one row per term.")
    elif isinstance(target, Mapping):
        found = {str(name): value for name, value in target.items()}
    else:
        found = dict.fromkeys(terms, target)
    for term in terms:
        if term not in found:
            raise EstimationError(f"funnel: the target has no row '{term}'. {did_you_mean(term, found)}")
        require_number(found[term], f"funnel: the target of '{term}'")
    return {term: float(found[term]) for term in terms}


def _of_term(
    own: pd.DataFrame, term: object, target: float, levels: tuple[float, float], how: tuple[Overdispersion, bool]
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Return points, limits and the spread of one term."""
    overdispersion, is_given = how
    if len(own) < 3:
        raise EstimationError(f"funnel: '{term}' has {len(own)} areas with a number; at least 3 are needed.")
    n = own["n_effective"].to_numpy(dtype=float)
    estimate = own["estimate"].to_numpy(dtype=float)
    if ((estimate >= 0) & (estimate <= 1)).all() and not -1 <= target <= 2:
        raise EstimationError(
            f"funnel: the target of '{term}' is {target:g}, but all areas lie between 0 and 1. Give it as a share, "
            f"such as 0.77 for 77 per cent."
        )
    each = _variance_of_one(own, target)
    distance = (estimate - target) / np.sqrt(each / n)
    between = _between_variance(estimate, n / each)
    added = between if overdispersion == "additive" else 0.0
    statistic = (estimate - target) / np.sqrt(each / n + added)
    quantiles = _quantiles(own["own_df"].to_numpy(dtype=float), levels)
    reached = (np.abs(statistic)[:, None] > quantiles).sum(axis=1)
    names = np.array(["", *map(str, levels)], dtype=object)[reached]
    beyond = np.where((reached > 0) & (statistic < 0), "-" + names, names)
    points = own.drop(columns=["own_df", "is_drawn"]).assign(
        target_value=target, statistic=statistic, beyond=beyond.astype(object)
    )
    q, df = float(distance @ distance), len(own) - (not is_given)
    spread = {
        "term": term,
        "n_areas": len(own),
        "target_value": target,
        "n_outside_inner": int((np.abs(statistic) > quantiles[0]).sum()),
        "n_outside_outer": int((np.abs(statistic) > quantiles[1]).sum()),
        "statistic": q,
        "df": df,
        "p_value": float(stats.chi2.sf(q, df)),
        "dispersion": _dispersion(distance, _median_df(own["own_df"].to_numpy(dtype=float)), df),
        "between_sd": float(np.sqrt(between)),
    }
    return points, _curves(term, n, target, each, added, dict(zip(levels, quantiles, strict=True))), spread


def _variance_of_one(own: pd.DataFrame, target: float) -> float:
    """Return the variance of one respondent at the target: of a share from the target, else pooled over areas."""
    estimate, error = own["estimate"].to_numpy(dtype=float), own["std_error"].to_numpy(dtype=float)
    n = own["n_effective"].to_numpy(dtype=float)
    own_variance = error**2 * n
    shares = bool(((estimate >= 0) & (estimate <= 1)).all()) and 0 < target < 1
    if shares and np.allclose(own_variance, estimate * (1 - estimate), rtol=0.05, atol=1e-6):
        return target * (1 - target)
    return float(np.average(own_variance, weights=n))


def _quantiles(df: Floats, levels: tuple[float, float]) -> Floats:
    return np.asarray(stats.t.ppf([(1 + level) / 2 for level in levels], _median_df(df)))


def _median_df(df: Floats) -> float:
    usable = df[df > 0]
    return float(np.median(usable)) if len(usable) else np.inf


def _dispersion(distance: Floats, t_df: float, df: int) -> float:
    """Return the mean square of winsorised distances over what chance alone makes of it: 1 on average."""
    m = len(distance)
    tenth = int(WINSORISED * m)
    ordered = np.sort(distance)
    drawn_in = np.clip(ordered, ordered[tenth], ordered[m - 1 - tenth])
    return float(drawn_in @ drawn_in / df / _square_by_chance(m, tenth, t_df))


def _square_by_chance(m: int, tenth: int, df: float) -> float:
    """Return the mean square of m independent draws of t, the outer ones drawn in to the next: by order statistics."""
    if tenth == 0:
        return df / (df - 2) if np.isfinite(df) and df > 2 else 1.0 if np.isinf(df) else np.nan
    share = (np.arange(GRID) + 0.5) / GRID
    rank = np.arange(tenth + 1, m - tenth + 1)
    times = np.where((rank == rank[0]) | (rank == rank[-1]), tenth + 1, 1)
    density = (times[:, None] * stats.beta.pdf(share, rank[:, None], m + 1 - rank[:, None])).sum(axis=0)
    return float(np.mean(density * stats.t.ppf(share, df) ** 2) / m)


def _between_variance(estimate: Floats, precision: Floats) -> float:
    """Return DerSimonian and Laird's variance between areas, zero or above."""
    mean = precision @ estimate / precision.sum()
    q = precision @ (estimate - mean) ** 2
    scale = precision.sum() - (precision @ precision) / precision.sum()
    return max(0.0, float((q - (len(estimate) - 1)) / scale))


def _curves(
    term: object, n: Floats, target: float, each: float, added: float, quantiles: Mapping[float, float]
) -> pd.DataFrame:
    along = np.geomspace(n.min() * 0.85, n.max() * 1.1, CURVE)
    parts = []
    for level, quantile in quantiles.items():
        half = quantile * np.sqrt(each / along + added)
        parts.append(
            pd.DataFrame(
                {"term": term, "n_effective": along, "level": level, "low": target - half, "high": target + half}
            )
        )
    return pd.concat(parts, ignore_index=True)
