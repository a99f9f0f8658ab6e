"""One overall effect for each of several questions, with the covariance between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from evaluation.errors import EstimationError, IdentificationError
from evaluation.estimation.arguments import called_as
from evaluation.estimation.contrasts import joined
from evaluation.impact.clusters.jackknife import ClusterJackknife, cluster_jackknife
from evaluation.impact.effects import Vcov, covariance
from evaluation.impact.identification import ControlGroup
from evaluation.impact.panel import Panel, cluster_codes
from evaluation.impact.staggered.aggregation import aggregate
from evaluation.impact.staggered.cohort_sizes import Weights
from evaluation.impact.staggered.difference import Estimator
from evaluation.impact.staggered.group_time import att_gt
from evaluation.results import SAMPLING_ALONE, Estimates, TestResult

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Asked:
    """How every overall effect is estimated: arguments of ``att_gt`` and ``aggregate``."""

    cohort: str
    covariates: str | Sequence[str] = ()
    estimator: Estimator = "dr"
    control_group: ControlGroup = "notyettreated"
    anticipation: float = 0.0
    cluster: str | None = None
    vcov: Vcov | None = None
    weights: Weights = "sample"
    supported_only: bool = False
    conf_level: float = 0.95
    verb: str = "att_gt"

    def record(self) -> dict[str, Any]:
        """Return what ``fit`` says."""
        told: dict[str, Any] = {"cohort": self.cohort, "estimator": self.estimator, "control_group": self.control_group}
        told |= {"anticipation": self.anticipation, "weights": self.weights}
        return told if self.cluster is None else told | {"cluster": self.cluster}


def overall_effect(over_time: Panel, outcome: str, asked: Asked, max_e: float | None = None) -> Estimates:
    """Return the overall effect after treatment, one row; up to some time since treatment."""
    with called_as(asked.verb, "att_gt", "aggregate"):
        effects = att_gt(
            over_time,
            outcome=outcome,
            cohort=asked.cohort,
            covariates=asked.covariates,
            estimator=asked.estimator,
            control_group=asked.control_group,
            anticipation=asked.anticipation,
            cluster=asked.cluster,
            vcov=asked.vcov,
            conf_level=asked.conf_level,
        )
        made = aggregate(effects, max_e=max_e, weights=asked.weights, supported_only=asked.supported_only)
    return made.take(np.array([0]))


def under_one_another(
    parts: Sequence[Estimates | None], keys: pd.DataFrame, over_time: Panel, asked: Asked, verb: str
) -> Estimates:
    """Put effects of one panel under each other; a row for which there is none (None) has no number.

    Notes
    -----
    Under the jackknife a place that is in no row of a part changes nothing there: its deviation is zero.
    """
    there = np.array([row for row, part in enumerate(parts) if part is not None], dtype=np.int64)
    made = [part for part in parts if part is not None]
    if not made:
        raise IdentificationError(f"{verb}: nothing can be estimated: no row has an effect after treatment.")
    first = made[0]
    if isinstance(first.engine, ClusterJackknife) and asked.cluster is not None:
        engine, contributions = _aligned(made, over_time, asked.cluster)
        block = covariance(engine, contributions)
    else:
        whole = joined(made)
        if whole.engine is None or whole.contributions is None:
            raise EstimationError(f"{verb}: the effects have no influence to be joined by.")
        engine, contributions, block = whole.engine, np.asarray(whole.contributions), whole.vcov  # type: ignore[assignment]
    k = len(parts)
    vcov, all_sums = np.full((k, k), np.nan), np.full((len(contributions), k), np.nan)
    vcov[np.ix_(there, there)] = block
    all_sums[:, there] = contributions
    numbers = {name: np.full(k, np.nan) for name in ("estimate", "df")}
    n_obs = np.zeros(k, dtype=np.int64)
    for row, part in zip(there, made, strict=True):
        numbers["estimate"][row], numbers["df"][row] = part.estimate[0], part.df[0]
        n_obs[row] = part.n_obs[0]
    return Estimates(
        verb=verb,
        keys=keys,
        estimate=numbers["estimate"],
        vcov=vcov,
        df=numbers["df"],
        n_obs=n_obs,
        provenance=over_time.design.provenance,
        engine=engine,
        contributions=all_sums,
        conf_level=asked.conf_level,
        fit={SAMPLING_ALONE: True} if any(part.fit.get(SAMPLING_ALONE) for part in made) else {},
    )


def _aligned(parts: Sequence[Estimates], over_time: Panel, cluster: str) -> tuple[ClusterJackknife, Floats]:
    levels, code = cluster_codes(over_time, cluster)
    place = {level: row for row, level in enumerate(levels)}
    sums = np.zeros((len(levels), len(parts)))
    for column, part in enumerate(parts):
        engine = part.engine
        if not isinstance(engine, ClusterJackknife) or part.contributions is None:
            raise EstimationError("effects whose errors leave out places cannot stand beside others.")
        sums[[place[level] for level in engine.labels], column] = part.contributions[:, 0]
    data = over_time.design.data
    return cluster_jackknife(data, cluster, code, len(levels), labels=tuple(levels)), sums


def can_be_tested(rows: Estimates) -> NDArray[np.bool_]:
    """Tell which rows have an estimate, an error and degrees of freedom, shape (k,)."""
    variance = np.diag(rows.vcov)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.isfinite(rows.estimate) & (variance > 0) & (rows.df > 0))


def joint_zero(rows: Estimates, test: str, hypothesis: str) -> TestResult | None:
    """Return the test that all rows are zero; None where it cannot be made.

    Notes
    -----
    As ``pretrend_test``: with q rows, Wald statistic W and d degrees of freedom, :math:`F = W (d - q + 1) / (d q)`.
    Rows that are combinations of others count once.
    """
    rows = rows.take(np.flatnonzero(can_be_tested(rows)))
    if not len(rows):
        return None
    error = np.sqrt(np.diag(rows.vcov))
    correlation = rows.vcov / np.outer(error, error)
    size, direction = np.linalg.eigh(correlation)
    kept = size > 1e-9 * size[-1]
    q, df = int(kept.sum()), float(rows.df.min())
    if q > df:
        return None
    scores = direction[:, kept].T @ (rows.estimate / error)
    wald = float((scores**2 / size[kept]).sum())
    statistic, ddf = (wald / q, df) if np.isinf(df) else (wald * (df - q + 1) / (df * q), df - q + 1)
    return TestResult(
        test=test,
        hypothesis=hypothesis,
        statistic=statistic,
        ndf=float(q),
        ddf=ddf,
        p_value=float(stats.f.sf(statistic, q, ddf)),
        n_obs=int(rows.n_obs.max()),
        provenance=rows.provenance,
    )


def joint_record(test: TestResult | None) -> dict[str, Any]:
    """Return a joint test as an entry of ``fit``."""
    if test is None:
        return {"joint_statistic": None, "joint_ndf": None, "joint_ddf": None, "joint_p_value": None}
    return {
        "joint_statistic": test.statistic,
        "joint_ndf": test.ndf,
        "joint_ddf": test.ddf,
        "joint_p_value": test.p_value,
    }


def with_data(over_time: Panel, data: pd.DataFrame) -> Panel:
    """Return the panel on a frame with further columns; rows and weights are the same."""
    return replace(over_time, design=replace(over_time.design, data=data))
