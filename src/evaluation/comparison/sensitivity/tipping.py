"""Tipping point: how unevenly a hidden trait of given strength must be spread to explain a difference away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.comparison.spoken import Spoken, shown_number, spoken
from evaluation.errors import EstimationError
from evaluation.estimation.arguments import require_number, require_numbers
from evaluation.estimation.contrasts import combined
from evaluation.estimation.multiplicity import are_differences
from evaluation.results import Estimates, Provenance

Floats = NDArray[np.float64]

#: Strengths shown unless said otherwise: points by which the trait raises a share.
STRENGTHS = (0.2, 0.4, 0.6)


@dataclass(frozen=True, eq=False, repr=False)
class TippingPoint(Spoken):
    """Gap in the prevalence of a hidden trait that explains the difference, a row for each strength."""

    def _said(self, lang: str) -> str:
        parts = []
        for row, strength in enumerate(self.keys["strength"]):
            gap, enough = float(self.estimate[row]), self.columns["possible"][row] == "yes"
            shift, points = shown_number(float(strength)), shown_number(100 * abs(gap))
            if lang == "ko":
                need = f"{points}%p 차이 나야 하고" if enough else "아무리 달라도 모자라고"
                parts.append(f"결과를 {shift}만큼 바꾸는 특성은 비율이 {need}")
            else:
                need = f"{points} points" if enough else "more than all and nobody"
                parts.append(f"{need} for one that shifts the outcome by {shift}")
        left = float(self.fit["null"])
        value, null = shown_number(float(self.estimate[0] * self.keys["strength"].iloc[0]) + left), shown_number(left)
        if lang == "ko":
            listed = ", ".join(parts).removesuffix("하고").removesuffix("모자라고")
            ending = "한다" if parts[-1].endswith("하고") else "모자라다"
            return (
                f"차이 {value} 대신 {null}만 남으려면 숨은 특성이 두 집단에서 달라야 한다: {listed}{ending}. 그런 "
                f"특성이 있는지는 알 수 없다."
            )
        return (
            f"For {null} to be left of the difference of {value}, the prevalence of a hidden trait would have to "
            f"differ between the groups by {'; by '.join(parts)}. Whether there is such a trait is not known."
        )


def tipping_point(
    estimate: Estimates | float,
    *,
    strength: float | Sequence[float] = STRENGTHS,
    null: float = 0.0,
) -> TippingPoint:
    """Compute how much more common a hidden trait must be among participants to explain a difference away.

    Parameters
    ----------
    estimate : Estimates or float
        A difference (row 0), adjusted or not, or a number.
    strength : float or sequence of float, default (0.2, 0.4, 0.6)
        By how much the trait moves the outcome, in its units: 0.6 is 60 points of a share. Not 0.
    null : float, default 0
        What is to be left of the difference.

    Returns
    -------
    TippingPoint
        Keys ``term, strength``; the estimate is the gap in prevalence, participants less others, its interval that
        of the difference; ``possible`` says "no" where no gap is so wide (1 is the widest). A plain
        number has no error.

    Raises
    ------
    EstimationError
        A ratio, or a strength of 0.

    Notes
    -----
    A trait that moves the outcome by :math:`\\gamma` and is by :math:`\\delta` more common among participants
    makes a difference of :math:`\\gamma \\delta`; so :math:`\\delta = (\\hat\\theta - \\theta_0) / \\gamma`.

    References
    ----------
    Lin, Psaty and Kronmal (1998), Biometrics 54, 948-963; VanderWeele and Arah (2011), Epidemiology 22, 42-52.
    R twin: package ``tipr``.

    Examples
    --------
    >>> round(float(tipping_point(0.253, strength=0.6).estimate[0]), 3)
    0.422
    >>> print(tipping_point(0.253, strength=0.6).text("en"))
    For 0 to be left of the difference of 0.253, the prevalence of a hidden trait would have to differ between the
    groups by 42.2 points for one that shifts the outcome by 0.6. Whether there is such a trait is not known.
    """
    strengths = _strengths(strength)
    null = require_number(null, "tipping_point: null")
    if isinstance(estimate, Estimates):
        value, made = float(estimate.estimate[0]), _of_estimates(estimate, strengths)
    else:
        value = require_number(estimate, "tipping_point: estimate", move="Give a difference, estimated or printed.")
        made = _plain(value, strengths)
    gap = (value - null) / strengths
    return spoken(
        TippingPoint,
        made,
        estimate=gap,
        columns={"possible": np.where(np.abs(gap) <= 1, "yes", "no").astype(object)},
        fit={"null": null},
    )


def _strengths(given: float | Sequence[float]) -> Floats:
    values = require_numbers(given, "tipping_point: strength", move="It is what a hidden trait moves, and not 0.")
    numbers = np.array(values, dtype=float)
    if (numbers == 0).any():
        raise EstimationError(
            f"tipping_point: strength is by how much a hidden trait moves the outcome, and not 0, got {values}. "
            f"60 points of a share is 0.6."
        )
    return numbers


def _of_estimates(result: Estimates, strengths: Floats) -> Estimates:
    quantity = str(result.keys["quantity"].iloc[0]) if "quantity" in result.keys else "difference"
    if not are_differences(result)[0]:
        raise EstimationError(
            f"tipping_point: row 0 of {result.verb} is a level, expected a difference between participants and others. "
            f"Pass what ev.group_difference or ev.aipw returned."
        )
    if quantity != "difference":
        raise EstimationError(
            f"tipping_point: row 0 of {result.verb} is {quantity}, expected a difference. Estimate it with "
            f"measure='difference'; for a ratio there is ev.e_value."
        )
    first = result.take(np.array([0]))
    term = str(result.keys["term"].iloc[0])
    keys = pd.DataFrame({"term": term, "strength": strengths})
    if first.engine is None or first.contributions is None:
        vcov = np.outer(1 / strengths, 1 / strengths) * first.vcov[0, 0]
        made = Estimates(
            verb="tipping_point", keys=keys, estimate=first.estimate[0] / strengths, vcov=vcov,
            df=np.full(len(strengths), first.df[0]), n_obs=np.full(len(strengths), first.n_obs[0]),
            provenance=result.provenance, conf_level=result.conf_level, method=result.variance_method,
            bases=np.full(len(strengths), first.base_sizes[0]),
            cell_counts=None if first.cell_counts is None else np.full(len(strengths), first.cell_counts[0]),
        )  # fmt: skip
    else:
        made = combined(first, (1 / strengths)[:, None], [term] * len(strengths))
    return replace(made, verb="tipping_point", keys=keys)


def _plain(value: float, strengths: Floats) -> Estimates:
    k = len(strengths)
    return Estimates(
        verb="tipping_point",
        keys=pd.DataFrame({"term": "difference", "strength": strengths}),
        estimate=value / strengths,
        vcov=np.full((k, k), np.nan),
        df=np.full(k, np.nan),
        n_obs=np.zeros(k, dtype=np.int64),
        provenance=Provenance(),
        method="none (a printed number)",
    )
