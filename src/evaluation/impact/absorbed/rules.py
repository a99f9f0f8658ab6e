"""How sure the coefficients of an absorbed regression are: which rule, with what, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.errors import EstimationError, did_you_mean
from evaluation.impact.absorbed.fixed_effects import Regression
from evaluation.results import VarianceEngine

Floats = NDArray[np.float64]
RegressionVcov = Literal[
    "jackknife",
    "CV3J",
    "CR0",
    "CR1",
    "CR2",
    "CR3",
    "design",
    "HC1",
    "iid",
    "conley",
    "newey_west",
    "driscoll_kraay",
]
SmallSample = Literal["nonnested", "all", "clusters"]
DegreesOfFreedom = Literal["clusters", "satterthwaite", "residual", "normal"]

RULES = (
    "jackknife",
    "CV3J",
    "CR0",
    "CR1",
    "CR2",
    "CR3",
    "design",
    "HC1",
    "iid",
    "conley",
    "newey_west",
    "driscoll_kraay",
)
#: Rules that need a cluster, those that take two, and those whose degrees of freedom may be Satterthwaite's.
CLUSTERED = frozenset({"jackknife", "CV3J", "CR0", "CR1", "CR2", "CR3"})
TWO_WAY = frozenset({"CR0", "CR1"})
SATTERTHWAITE = frozenset({"CR0", "CR1", "CR2", "CR3"})
#: Rules that need to know the time of each row.
SERIAL = frozenset({"newey_west", "driscoll_kraay"})
#: The usual degrees of freedom of each rule.
USUAL = {
    **dict.fromkeys(("jackknife", "CV3J", "CR0", "CR1", "newey_west", "driscoll_kraay"), "clusters"),
    **dict.fromkeys(("CR2", "CR3"), "satterthwaite"),
    **dict.fromkeys(("HC1", "iid", "conley"), "residual"),
    "design": "design",
}
FEWEST = 3


@dataclass(frozen=True)
class Rule:
    """A rule of errors with its arguments.

    Attributes
    ----------
    kind : str
        One of ``RULES``.
    clusters : tuple of str
        Columns: none, one or two.
    small_sample : {"nonnested", "all", "clusters"}
        Which effects count as parameters.
    df : {"clusters", "satterthwaite", "residual", "normal", "design"}
    lags : int or None
        Of serial rules.
    coordinates : tuple of str or None
        Columns of latitude and longitude in degrees.
    cutoff : float or None
        Kilometres within which errors may be correlated.
    """

    kind: str
    clusters: tuple[str, ...] = ()
    small_sample: str = "nonnested"
    df: str = "clusters"
    lags: int | None = None
    coordinates: tuple[str, str] | None = None
    cutoff: float | None = None


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """What a rule says of k coefficients.

    Attributes
    ----------
    vcov : ndarray, shape (k, k)
    engine : VarianceEngine or None
    contributions : ndarray, shape (units, k), or None
        NaN in the columns of coefficients that do not exist without some cluster.
    df : callable
        Degrees of freedom of combinations of coefficients, shape (r, k), as an array of shape (r,).
    method : str
        Where there is no engine.
    told : dict
        Entries of ``fit``.
    """

    vcov: Floats
    engine: VarianceEngine | None
    contributions: Floats | None
    df: Callable[[Floats], Floats]
    method: str = ""
    told: dict[str, Any] = field(default_factory=dict)


def constant(value: float) -> Callable[[Floats], Floats]:
    """Return degrees of freedom that are the same for every combination."""
    return lambda combine: np.full(len(combine), float(value))


def read_rule(
    verb: str,
    vcov: str | None,
    cluster: str | Sequence[str] | None,
    *,
    family: str = "gaussian",
    small_sample: str = "nonnested",
    df: str | None = None,
    lags: int | None = None,
    coordinates: Sequence[str] | None = None,
    cutoff: float | None = None,
    time: str | None = None,
) -> Rule:
    """Return the rule that arguments of a verb ask for.

    Raises
    ------
    EstimationError
        The rule is unknown, lacks what it needs, or was given what it does not use.
    """
    clusters = () if cluster is None else (cluster,) if isinstance(cluster, (str, int)) else tuple(cluster)
    usual = ("CR1" if len(clusters) > 1 else "jackknife") if clusters else "design"
    kind = vcov or usual
    if kind not in RULES:
        raise EstimationError(f"{verb}: no vcov {vcov!r}. {did_you_mean(vcov, RULES)}")
    if kind in CLUSTERED and not clusters:
        raise EstimationError(
            f"{verb}: vcov='{kind}' needs a cluster, the column within which shocks are shared. Name the one where "
            f"treatment was assigned, such as cluster='district'."
        )
    if len(clusters) > 2 or (len(clusters) == 2 and (kind not in TWO_WAY or clusters[0] == clusters[1])):
        raise EstimationError(
            f"{verb}: cluster={list(clusters)} with vcov='{kind}'. Two different columns go with 'CR1' or 'CR0'; every "
            f"other rule takes one."
        )
    if kind in ("CR2", "CR3") and family != "gaussian":
        raise EstimationError(
            f"{verb}: vcov='{kind}' rests on the linear model, not on family='{family}'. Use vcov='jackknife'."
        )
    _require_words(verb, small_sample, df, kind)
    _require_extras(verb, kind, lags, coordinates, cutoff, time)
    pair = None if coordinates is None else (str(coordinates[0]), str(coordinates[1]))
    return Rule(kind, clusters, small_sample, df or USUAL[kind], lags, pair, cutoff)


def _require_words(verb: str, small_sample: str, df: str | None, kind: str) -> None:
    if small_sample not in ("nonnested", "all", "clusters"):
        raise EstimationError(
            f"{verb}: small_sample must be 'nonnested', 'all' or 'clusters', got {small_sample!r}. "
            f"{did_you_mean(small_sample, ('nonnested', 'all', 'clusters'))}"
        )
    if df is None:
        return
    if df not in ("clusters", "satterthwaite", "residual", "normal"):
        options = ("clusters", "satterthwaite", "residual", "normal")
        raise EstimationError(f"{verb}: no df {df!r}. {did_you_mean(df, options)}")
    wrong = (df == "satterthwaite" and kind not in SATTERTHWAITE) or (
        df == "clusters" and USUAL[kind] in ("residual", "design")
    )
    if wrong:
        raise EstimationError(f"{verb}: df='{df}' does not go with vcov='{kind}'. Leave df out.")


def _require_extras(
    verb: str,
    kind: str,
    lags: int | None,
    coordinates: Sequence[str] | None,
    cutoff: float | None,
    time: str | None,
) -> None:
    if kind == "conley":
        if coordinates is None or isinstance(coordinates, str) or len(coordinates) != 2 or cutoff is None:
            raise EstimationError(
                f"{verb}: vcov='conley' needs coordinates=(latitude, longitude), two columns in degrees, and cutoff=, "
                f"the kilometres within which errors may be correlated."
            )
        if not np.isfinite(cutoff) or cutoff <= 0:
            raise EstimationError(f"{verb}: cutoff must be a distance above 0 km, got {cutoff!r}.")
    elif coordinates is not None or cutoff is not None:
        raise EstimationError(f"{verb}: coordinates and cutoff go with vcov='conley', not with '{kind}'.")
    if kind in SERIAL:
        if time is None:
            raise EstimationError(f"{verb}: vcov='{kind}' needs time=..., the column by which rows follow each other.")
        if isinstance(lags, bool) or not isinstance(lags, (int, np.integer)) or lags < 0:
            raise EstimationError(
                f"{verb}: vcov='{kind}' needs lags=..., the number of waves after which errors are no longer "
                f"correlated (0 and above), got {lags!r}."
            )
    elif lags is not None:
        raise EstimationError(f"{verb}: lags goes with vcov='newey_west' or 'driscoll_kraay', not with '{kind}'.")


def require_clusters(verb: str, name: str, labels: pd.Index[Any]) -> None:
    """Raise an EstimationError where fewer than three clusters are there: no rule can say anything then."""
    if len(labels) < FEWEST:
        number = f"{len(labels)} value" + ("s" if len(labels) != 1 else "")
        raise EstimationError(
            f"{verb}: cluster '{name}' has {number} ({', '.join(map(str, labels))}), and errors of clusters need at "
            f"least {FEWEST}. Cluster at a finer level, or show the estimate without an error."
        )


def parameters(regression: Regression, small_sample: str, within: Sequence[NDArray[np.int64]]) -> int:
    """Return how many parameters a factor counts: effects nested in a cluster do not count unless all do.

    Parameters
    ----------
    regression : Regression
    small_sample : {"nonnested", "all"}
    within : sequence of ndarray of int, shape (n,)
        Clusters in any of which an effect may be nested.
    """
    counted = [
        len(regression.labels[role])
        for role in regression.absorbed
        if small_sample == "all" or not any(regression.is_nested(role, each) for each in within)
    ]
    k = len(regression.terms) + (sum(counted) - len(counted) + 1 if counted else 1)
    return k + (0 if regression.trend is None else len(regression.labels[regression.sloped]))
