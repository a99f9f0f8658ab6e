"""Balance: how alike participants and others are, before and after weighting, judged apart from any estimate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.comparison.propensity import effective_number
from evaluation.design.design import Design
from evaluation.errors import EstimationError
from evaluation.estimation.counterfactual import ESTIMANDS, Estimand, Groups, groups_of, tilt_of
from evaluation.estimation.domains import code_levels, is_text
from evaluation.regression.model import read_model
from evaluation.results import Provenance, frame_html, plain

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Denominator = Literal["participants", "comparison", "pooled"]

#: Whose spread standardises the differences of each estimand.
DENOMINATORS: dict[str, Denominator] = {
    "ATT": "participants",
    "ATC": "comparison",
    "ATE": "pooled",
    "ATO": "pooled",
}


@dataclass(frozen=True, eq=False)
class BalanceTable:
    """Means and spreads of the covariates in both groups.

    Attributes
    ----------
    rows : pandas.DataFrame
        One row per covariate or level: ``covariate``, ``level``, means, ``smd``, ``variance_ratio`` and
        ``ks``, each ``_raw`` (survey weights) and ``_weighted`` (survey times balancing weights), and
        ``denominator``. A variance ratio of a yes-or-no covariate is missing.
    estimand : str
        Whose composition the balancing weights aim at.
    effective : dict of str to float
        Effective number of respondents in each group under the balancing weights.
    n_left_out : int
        Respondents who count but miss the treatment or a covariate.
    provenance : Provenance
        For captions and manifests.
    """

    rows: pd.DataFrame
    estimand: Estimand
    effective: dict[str, float]
    n_left_out: int
    provenance: Provenance

    def tidy(self) -> pd.DataFrame:
        """Return one row per covariate or level."""
        return self.rows.copy()

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        return {
            "verb": "balance_table",
            "provenance": self.provenance.to_dict(),
            "fit": {"estimand": self.estimand, "n_left_out": self.n_left_out, **self.effective},
            "rows": [{str(k): plain(v) for k, v in row.items()} for row in self.rows.to_dict("records")],
        }

    def __repr__(self) -> str:
        head = f"balance_table: {self.provenance.survey}, estimand {self.estimand}, {self.n_left_out} left out"
        return f"{head}\n{self.rows.to_string(index=False, float_format=lambda value: f'{value:.6g}')}"

    def _repr_html_(self) -> str:
        return frame_html(self.rows)


def balance_table(
    design: Design,
    *,
    treatment: str,
    covariates: str | Sequence[str],
    estimand: Estimand = "ATT",
    denominator: Denominator | None = None,
) -> BalanceTable:
    """Compare the covariates of participants and others, as they are and after propensity weighting.

    Parameters
    ----------
    design : Design
        Any design; raw means are survey-weighted.
    treatment : str
        Column with two values.
    covariates : str or list of str
        Names, of which text columns show every level; or a one-sided formula, of which the columns of
        the model matrix are shown.
    estimand : {"ATT", "ATE", "ATC", "ATO"}, default "ATT"
        Whose composition the balancing weights aim at.
    denominator : {"participants", "comparison", "pooled"}, optional
        Whose standard deviation, before balancing, divides both the raw and the weighted
        difference. Default: participants for ATT, comparison for ATC, else
        :math:`\\sqrt{(s_1^2 + s_0^2)/2}`.

    Returns
    -------
    BalanceTable

    Raises
    ------
    ColumnError, EstimationError, IdentificationError
        As ``ipw``.

    Notes
    -----
    Weighted variance :math:`\\sum w / ((\\sum w)^2 - \\sum w^2) \\sum w (x - \\bar x)^2`; of a yes-or-no covariate
    :math:`p (1 - p)`. ``ks`` is the largest distance of the weighted distribution functions.

    References
    ----------
    Austin (2011), Multivariate Behavioral Research 46, 399-424. R twin: ``cobalt::bal.tab``; it standardises ATO
    by everybody under overlap weights, here by the pooled spread.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"joined": [0, 0, 0, 1, 1, 1], "sex": ["f", "f", "m", "f", "m", "m"]})
    >>> table = balance_table(survey_design(respondents), treatment="joined", covariates=["sex"]).tidy()
    >>> table["smd_raw"].round(4).tolist(), table["smd_weighted"].abs().round(4).tolist()
    ([-0.7071, 0.7071], [0.0, 0.0])
    """
    if estimand not in ESTIMANDS:
        raise EstimationError(f"estimand must be one of {list(ESTIMANDS)}, got {estimand!r}.")
    chosen = denominator or DENOMINATORS[estimand]
    if chosen not in ("participants", "comparison", "pooled"):
        raise EstimationError(f"denominator must be 'participants', 'comparison' or 'pooled', got {chosen!r}.")
    groups = groups_of(design, treatment=treatment, covariates=covariates, verb="balance_table")
    raw = design.domain_weights
    final = raw * tilt_of(groups, raw, estimand).balancing.sum(axis=1)
    rows = []
    for covariate, level, values in _columns(design, groups, treatment, covariates):
        before, after = (_compared(values, weights, groups) for weights in (raw, final))
        spread = {"participants": before["v1"], "comparison": before["v0"], "pooled": (before["v1"] + before["v0"]) / 2}
        rows.append({"covariate": covariate, "level": level} | _row(before, after, spread[chosen], chosen))
    effective = {
        f"ess_{name}": effective_number(final[groups.members(group)])
        for name, group in (("participants", 1), ("comparison", 0))
    }
    return BalanceTable(pd.DataFrame(rows), estimand, effective, groups.n_left_out, design.provenance)


def _columns(
    design: Design, groups: Groups, treatment: str, covariates: str | Sequence[str]
) -> Iterator[tuple[str, str, Floats]]:
    """Yield what is compared: covariate, level (empty for numbers), values of shape (n,), zero where not used."""
    if isinstance(covariates, str) and covariates.lstrip().startswith("~"):
        model = read_model(design, treatment, covariates, "binomial", among=groups.used)
        for term, values in zip(model.terms, model.x.T, strict=True):
            if term != "(Intercept)":
                yield term, "", values
        return
    for name in [covariates] if isinstance(covariates, str) else covariates:
        column = design.column(name)
        if is_text(column):
            levels, code = code_levels(column, groups.used)
            for place, level in enumerate(levels):
                yield name, str(level), (code == place).astype(float)
        else:
            numbers = pd.to_numeric(column.astype("boolean") if column.dtype == object else column)
            yield name, "", np.where(groups.used, numbers.to_numpy(dtype=float, na_value=np.nan), 0.0)


def _compared(values: Floats, weights: Floats, groups: Groups) -> dict[str, float]:
    """Return means, variances and the distance of the distributions of the two groups."""
    binary = bool(np.isin(values[groups.used], (0.0, 1.0)).all())
    found: dict[str, float] = {}
    for group in (0, 1):
        own = groups.members(group)
        x, w = values[own], weights[own]
        mean = float(w @ x / w.sum())
        size = w.sum() - (w**2).sum() / w.sum()
        found[f"m{group}"] = mean
        found[f"v{group}"] = mean * (1 - mean) if binary else float(w @ (x - mean) ** 2 / size) if size > 0 else np.nan
    found["ks"] = abs(found["m1"] - found["m0"]) if binary else _distance(values, weights, groups)
    found["ratio"] = np.nan if binary or not found["v0"] > 0 else found["v1"] / found["v0"]
    return found


def _distance(values: Floats, weights: Floats, groups: Groups) -> float:
    x = values[groups.used]
    levels, at = np.unique(x, return_inverse=True)
    shares = [
        np.bincount(at, weights=np.where(groups.members(group), weights, 0.0)[groups.used], minlength=len(levels))
        for group in (0, 1)
    ]
    gap = np.cumsum(shares[1] / shares[1].sum()) - np.cumsum(shares[0] / shares[0].sum())
    return float(np.abs(gap).max())


def _row(before: dict[str, float], after: dict[str, float], spread: float, denominator: str) -> dict[str, Any]:
    def standardised(found: dict[str, float]) -> float:
        gap = found["m1"] - found["m0"]
        return gap / float(np.sqrt(spread)) if spread > 0 else (0.0 if gap == 0 else np.nan)

    return {
        "mean_participants_raw": before["m1"],
        "mean_comparison_raw": before["m0"],
        "smd_raw": standardised(before),
        "mean_participants_weighted": after["m1"],
        "mean_comparison_weighted": after["m0"],
        "smd_weighted": standardised(after),
        "denominator": denominator,
        "variance_ratio_raw": before["ratio"],
        "variance_ratio_weighted": after["ratio"],
        "ks_raw": before["ks"],
        "ks_weighted": after["ks"],
    }
