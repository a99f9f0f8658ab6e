"""What a two-way fixed-effects coefficient averages: the weight of each treated cell, some of them negative."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from evaluation import project
from evaluation.design.collapse import mass_by
from evaluation.design.design import Design, require_design
from evaluation.errors import EstimationError
from evaluation.estimation.arguments import require_arguments
from evaluation.impact.absorbed.fixed_effects import read_regression, solve
from evaluation.results import Provenance, card_html

#: Weights nearer to zero than this share of the largest are zero.
ZERO = 1e-10


@dataclass(frozen=True, eq=False)
class TreatmentWeights:
    """Weights of the treated cells in a two-way fixed-effects coefficient.

    Attributes
    ----------
    frame : pandas.DataFrame, one row per treated cell
        Unit and time under their columns' names, ``treatment`` (its mean there), ``share`` (of the treated
        population, 0 to 1), ``weight`` (they add up to 1).
    coefficient : float
        The coefficient itself.
    sensitivity : float
        Smallest standard deviation of effects across cells with which the mean effect on the treated could be
        zero all the same, in units of the outcome; infinite where all cells weigh as much as they are large.
    provenance : Provenance
        For captions.
    """

    frame: pd.DataFrame
    coefficient: float
    sensitivity: float
    provenance: Provenance

    @property
    def n_positive(self) -> int:
        """Number of treated cells with a positive weight."""
        return int((self.frame["weight"] > 0).sum())

    @property
    def n_negative(self) -> int:
        """Number of treated cells whose effect is subtracted."""
        return int((self.frame["weight"] < 0).sum())

    @property
    def sum_negative(self) -> float:
        """Sum of the negative weights; zero or below."""
        return float(self.frame["weight"].clip(upper=0).sum())

    def tidy(self) -> pd.DataFrame:
        """Return one row per treated cell."""
        return self.frame.copy()

    def statement(self, lang: str | None = None) -> str:
        """Return in a sentence how many weights are negative, and what that means."""
        n, negative, total = len(self.frame), self.n_negative, self.sum_negative
        if (lang or project.language()) == "ko":
            if not negative:
                return f"이원고정효과 계수에서 시행 칸 {n}개의 가중치는 모두 양수임."
            return (
                f"이원고정효과 계수에서 시행 칸 {n}개 중 {negative}개의 가중치가 음수임 (합 {total:.3f}): "
                f"그 칸의 효과는 더해지지 않고 빼짐."
            )
        if not negative:
            return f"All {n} treated cells have positive weight in the two-way fixed-effects coefficient."
        return (
            f"{negative} of {n} treated cells have negative weight in the two-way fixed-effects coefficient (sum "
            f"{total:.3f}): effects there are subtracted."
        )

    def __repr__(self) -> str:
        return self.statement()

    def _repr_html_(self) -> str:
        return card_html([("", self.statement())])


def twfe_weights(design: Design, *, outcome: str, treatment: str, unit: str, time: str) -> TreatmentWeights:
    """Return the weight of each treated cell's effect in the coefficient that ``twfe`` estimates.

    Parameters
    ----------
    design : Design
        As for ``twfe``.
    outcome : str
        Numeric column; who has no answer is left out.
    treatment : str
        One numeric column, 0 where there is none; with a dose the effects are those per unit of dose.
    unit, time : str
        Columns whose levels have an effect each.

    Returns
    -------
    TreatmentWeights

    Raises
    ------
    EstimationError
        Nobody is treated, or the treatment is below zero somewhere.

    Notes
    -----
    Under parallel trends the coefficient is :math:`\\sum_{g,t} w_{gt} \\Delta_{gt}` over treated cells, with
    :math:`w_{gt} \\propto N_{gt} D_{gt} \\tilde D_{gt}` and N the sum of survey weights in a cell.

    References
    ----------
    De Chaisemartin and D'Haultfœuille (2020), American Economic Review 110, 2964-2996, theorem 1 and corollary 1.
    R twin: ``TwoWayFEWeights::twowayfeweights(type = "feTR")``, whose standard deviation of the weights divides by
    the number of treated cells less one, so that its sensitivity is smaller by that root.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> panel = pd.DataFrame({"gu": [1, 1, 1, 2, 2, 2], "year": [0, 1, 2] * 2, "y": [1.0, 4, 5, 2, 3, 7]})
    >>> panel["d"] = [0, 1, 1, 0, 0, 1]
    >>> weights = twfe_weights(survey_design(panel), outcome="y", treatment="d", unit="gu", time="year")
    >>> weights.frame["weight"].round(6).tolist(), round(weights.sum_negative, 6)
    ([1.0, -0.5, 0.5], -0.5)
    """
    require_arguments(twfe_weights, locals())
    require_design(design, "twfe_weights")
    design.require_no_negative_weights("twfe_weights")
    regression = read_regression(design, outcome, treatment, (), unit, time, None, False)
    solved, treated = solve(regression), regression.columns[1]
    if (treated < 0).any():
        raise EstimationError(
            f"twfe_weights: '{treatment}' is below zero somewhere; a treatment is 0 where there is none."
        )
    times = len(regression.labels["time"])
    cell, size = regression.levels["unit"] * times + regression.levels["time"], len(regression.labels["unit"]) * times
    mass, dose, product = (
        mass_by(cell, size, regression.weights * values)
        for values in (np.ones(len(cell)), treated, solved.within[1] * treated)
    )
    here = np.flatnonzero(dose > 0)
    share, weight = dose[here] / dose.sum(), product[here] / product.sum()
    weight = np.where(np.abs(weight) > ZERO * np.abs(weight).max(), weight, 0.0)
    spread = float(np.sqrt((share * (weight / share - 1) ** 2).sum()))
    coefficient = float(solved.coefficients[0])
    few = np.bincount(cell, minlength=size)[here] < design.provenance.min_cell
    frame = pd.DataFrame(
        {
            unit: regression.labels["unit"][here // times],
            time: regression.labels["time"][here % times],
            "treatment": dose[here] / mass[here],
            "share": np.where(few, np.nan, share),
            "weight": np.where(few, np.nan, weight),
        }
    )
    return TreatmentWeights(frame, coefficient, abs(coefficient) / spread if spread > 0 else np.inf, design.provenance)
