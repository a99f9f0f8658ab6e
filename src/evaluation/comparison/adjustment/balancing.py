"""Balancing as a weighting step: after it every estimator of the house compares groups of one composition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from evaluation.design.columns import Columns
from evaluation.design.design import Design, require_design
from evaluation.design.steps import AppliedStep, Derivative
from evaluation.errors import EstimationError, WeightingError
from evaluation.estimation.group_checks import covariates_named
from evaluation.estimation.groups import Groups, groups_of, with_squares
from evaluation.estimation.missing_covariates import Missing
from evaluation.estimation.tilts import Balancing, Estimand, Start, Tilt, require_estimand, tilt_of
from evaluation.weighting.cells import as_written

Floats = NDArray[np.float64]
Names = str | Sequence[str]
Propensity = Literal["weighted", "unweighted"]

#: What a study file need not say.
USUAL: dict[str, Any] = {"propensity": "weighted", "moments": 1, "squares": None, "missing": "refuse"}


@dataclass(frozen=True, eq=False)
class BalancingStep:
    """Weights multiplied by what brings participants and others to one composition.

    Attributes
    ----------
    verb : str
        Public verb that made it.
    asked, arguments : mapping
        The verb's arguments as given, and as a study file writes them.
    treatment : str
    covariates : str or list of str
    estimand : {"ATT", "ATE", "ATC", "ATO", "ATM"}
        Whose composition.
    groups : Groups
        Participants and others; who is in neither has weight zero after the step.
    balancing : {"propensity", "entropy", "cbps"}
    propensity : {"weighted", "unweighted"}
        Whether survey weights enter the propensity score.
    scores : ndarray, shape (n,), or None
        Fitted probability of participation, NaN for who is left out; None where weights come without one.
    start : pair of ndarray or None
        Coefficients from which a fit to other weights starts.
    """

    verb: str
    asked: Mapping[str, Any]
    arguments: Mapping[str, Any]
    treatment: str
    covariates: Names
    estimand: Estimand
    groups: Groups
    balancing: Balancing
    propensity: Propensity = "weighted"
    scores: Floats | None = None
    start: Start | None = None
    _known: dict[str, Any] = field(default_factory=dict, repr=False)

    def tilt(self, weights: Floats, multiplicity: Floats | None = None) -> Tilt:
        """Return the composition and balancing weights under other weights, shape (n,).

        ``multiplicity`` is how often each respondent was drawn, which an unweighted propensity score counts; None
        means once.
        """
        if multiplicity is None and self._known.get("weights") is weights:
            made: Tilt = self._known["tilt"]
            return made
        used = self.groups.used
        if self.propensity == "unweighted":
            drawn = np.ones(len(weights)) if multiplicity is None else multiplicity
            weights = np.where(weights != 0, drawn, 0.0)
        return tilt_of(self.groups, np.where(used, weights, 0.0), self.estimand, self.balancing, self.start)

    def replay(self, weights: Floats) -> Floats:
        """Balance other weights, shape (n,)."""
        return np.asarray(weights * self.tilt(weights).balancing.sum(axis=1))

    def replay_multiplied(self, weights: Floats, multiplicity: Floats) -> Floats:
        """Balance the weights of a replicate, in which each respondent was drawn ``multiplicity`` times, both (n,)."""
        return np.asarray(weights * self.tilt(weights, multiplicity).balancing.sum(axis=1))

    def derivative(self, weights_in: Floats, weights_out: Floats) -> Derivative:
        """Return how the output weights move with the input weights, directly and through the coefficients."""
        tilt = self.tilt(weights_in)
        factor = Derivative(tilt.balancing.sum(axis=1))
        return factor if self.propensity == "unweighted" else self._through(tilt, weights_in, factor.factor)

    def direct(self, weights_in: Floats, weights_out: Floats) -> Derivative | None:
        """Return how the output weights move with the multiplicities: through an unweighted score, or not at all."""
        if self.propensity == "weighted":
            return None
        return self._through(self.tilt(weights_in), weights_in, np.zeros(len(weights_in)))

    def _through(self, tilt: Tilt, weights: Floats, factor: Floats) -> Derivative:
        others, participants = tilt.behind
        if others is participants and others is not None:
            parts = [(others, tilt.balancing_slope.sum(axis=1))]
        else:
            both = zip(tilt.behind, tilt.balancing_slope.T, strict=True)
            parts = [(behind, slope) for behind, slope in both if behind is not None]
        left, right = [], []
        for behind, slope in parts:
            x = Columns(len(weights), dense=tuple(np.ascontiguousarray(behind.x.T)))
            left.append(x.scaled(behind.score))
            right.append(x.scaled(weights * slope))
        return Derivative(factor, tuple(left), tuple(right), _diagonal([-behind.inverse for behind, _ in parts]))

    def residualise(self, x: Floats, weights_in: Floats, weights_out: Floats) -> Floats:
        """R survey sees weights as given: weighted influence stays as it is."""
        return x


def _diagonal(blocks: Sequence[Floats]) -> Floats:
    sizes = [len(block) for block in blocks]
    whole = np.zeros((sum(sizes), sum(sizes)))
    for block, start in zip(blocks, np.cumsum([0, *sizes]), strict=False):
        whole[start : start + len(block), start : start + len(block)] = block
    return whole


def balancing_of(design: Design) -> BalancingStep | None:
    """Return the step that balanced a design last; None where none did.

    Examples
    --------
    >>> import pandas as pd
    >>> from evaluation.design.declaration import survey_design
    >>> balancing_of(survey_design(pd.DataFrame({"joined": [0, 1]}))) is None
    True
    """
    require_design(design, "balancing_of")
    steps = [applied.step for applied in design.steps if isinstance(applied.step, BalancingStep)]
    return steps[-1] if steps else None


def refuse_balanced(design: Design, treatment: str, verb: str) -> None:
    """Raise a WeightingError where the groups of a treatment were balanced already, which a verb does itself."""
    step = balancing_of(design)
    if step is not None and step.treatment == treatment:
        raise WeightingError(
            f"{verb}: the design was balanced by {step.verb} already, so nothing is as it came and everything would be "
            f"balanced twice. Give the design from before {step.verb}."
        )


def propensity_weights(
    design: Design,
    *,
    treatment: str,
    covariates: Names,
    estimand: Estimand = "ATT",
    propensity: Propensity = "weighted",
    missing: Missing = "refuse",
) -> Design:
    """Weight participants and others to one composition by a logit of participation.

    Parameters
    ----------
    design : Design
        Any design; its domain is where the groups are compared.
    treatment : str
        Two values: 0/1, boolean, or text whose second level stands for participants.
    covariates : str or list of str
        Names or a one-sided formula; only what was fixed before participation.
    estimand : {"ATT", "ATE", "ATC", "ATO", "ATM"}, default "ATT"
        Composition of participants, of everybody, of the others, of those who overlap (smoothly, or as pairs would).
    propensity : {"weighted", "unweighted"}, default "weighted"
        Whether survey weights enter the propensity score. Without them it describes this sample, and the weight may
        be one of the covariates. They multiply the balancing weights either way.
    missing : {"refuse", "complete_cases", "indicator"}, default "refuse"
        What a missing covariate means: an error; the respondent is left out; a level of its own, or the mean with an
        indicator beside it.

    Returns
    -------
    Design
        Every estimator on it counts survey weights, sampling design and the estimated balancing weights in its error;
        replicates estimate them again. Who is in neither group has weight zero.

    Raises
    ------
    ColumnError
        An unknown column, a treatment without exactly two values, a covariate that is missing for some.
    EstimationError
        A group is empty, an argument is unknown.
    IdentificationError
        Covariates are collinear or tell the groups apart without overlap, or one was measured after participation.

    Notes
    -----
    ATE :math:`t/e + (1-t)/(1-e)`, ATT :math:`t + (1-t) e/(1-e)`, ATC :math:`t (1-e)/e + (1-t)`, ATO
    :math:`t (1-e) + (1-t) e`, ATM :math:`\\min(e, 1-e) / (t e + (1-t)(1-e))`, times the survey weight.

    References
    ----------
    Survey-weighted score: Ridgeway et al. (2015), Journal of Causal Inference 3, 237-249; Zeng, Li and Tong (2025).
    Unweighted: DuGoff, Schuler and Stuart (2014), Health Services Research 49, 284-303. ATM: Li and Greene (2013),
    International Journal of Biostatistics 9, 215-234. R twin: ``WeightIt::weightit(method = "glm")``.

    Examples
    --------
    >>> import pandas as pd
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"joined": [0, 0, 0, 1, 1, 1], "sex": ["f", "f", "m", "f", "m", "m"]})
    >>> propensity_weights(survey_design(respondents), treatment="joined", covariates=["sex"]).weights.round(6).tolist()
    [0.5, 0.5, 2.0, 1.0, 1.0, 1.0]
    """
    if propensity not in get_args(Propensity):
        raise EstimationError(f"propensity_weights: propensity must be 'weighted' or 'unweighted', got {propensity!r}.")
    require_design(design, "propensity_weights")
    refuse_balanced(design, treatment, "propensity_weights")
    covariates = covariates_named(covariates, "propensity_weights")
    require_estimand(estimand)
    groups = groups_of(design, treatment=treatment, covariates=covariates, verb="propensity_weights", missing=missing)
    asked = {
        "treatment": treatment,
        "covariates": covariates,
        "estimand": estimand,
        "propensity": propensity,
        "missing": missing,
    }
    return _balanced(design, groups, "propensity_weights", "propensity", asked)


def entropy_balance(
    design: Design,
    *,
    treatment: str,
    covariates: Names,
    estimand: Estimand = "ATT",
    moments: Literal[1, 2] = 1,
    squares: Sequence[str] | None = None,
    missing: Missing = "refuse",
) -> Design:
    """Weight groups so that their covariates have exactly the means of the target population, at least cost in entropy.

    Parameters
    ----------
    design, treatment, covariates, missing
        As in ``propensity_weights``.
    estimand : {"ATT", "ATE", "ATC"}, default "ATT"
        Whose composition: of participants, of everybody, of the others.
    moments : {1, 2}, default 1
        Means; or means and second moments of numeric covariates.
    squares : list of str, optional
        With ``moments=2``: the numeric covariates whose second moment counts. Default: all that have more than two
        values.

    Returns
    -------
    Design
        As ``propensity_weights``. Means agree to 1e-9 standard deviations.

    Raises
    ------
    ColumnError, EstimationError
        As ``propensity_weights``.
    IdentificationError
        No weights make a group's means those of the target: the message names the covariates and what can be reached.

    Notes
    -----
    In each group a that is not the target itself the balancing weights are :math:`e^{x'\\lambda_a}` with
    :math:`\\sum_{i \\in a} w_i e^{x_i'\\lambda_a} x_i = \\sum_i w_i h_i x_i`, h being 1 for who belongs to the target:
    raking to totals that are themselves estimated. The error counts that estimation too. Estimates are doubly robust.

    References
    ----------
    Hainmueller (2012), Political Analysis 20, 25-46; Zhao and Percival (2017), Journal of Causal Inference 5. R twins:
    ``WeightIt::weightit(method = "ebal")`` from version 1.7.0 on, ``ebal::ebalance``.

    Examples
    --------
    >>> import pandas as pd
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"joined": [0, 0, 0, 1, 1], "age": [20.0, 40.0, 60.0, 50.0, 40.0]})
    >>> entropy_balance(survey_design(respondents), treatment="joined", covariates=["age"]).weights.round(4).tolist()
    [0.4325, 0.635, 0.9325, 1.0, 1.0]
    """
    require_design(design, "entropy_balance")
    refuse_balanced(design, treatment, "entropy_balance")
    covariates = covariates_named(covariates, "entropy_balance")
    require_estimand(estimand, "entropy")
    groups = groups_of(design, treatment=treatment, covariates=covariates, verb="entropy_balance", missing=missing)
    groups = with_squares(groups, covariates, moments, squares, "entropy_balance")
    asked = {
        "treatment": treatment,
        "covariates": covariates,
        "estimand": estimand,
        "moments": moments,
        "squares": squares,
        "missing": missing,
    }
    return _balanced(design, groups, "entropy_balance", "entropy", asked)


def cbps(
    design: Design,
    *,
    treatment: str,
    covariates: Names,
    estimand: Estimand = "ATT",
    missing: Missing = "refuse",
) -> Design:
    """Weight groups by a propensity score that is fitted to balance the covariates' means exactly.

    Parameters
    ----------
    design, treatment, covariates, missing
        As in ``propensity_weights``.
    estimand : {"ATT", "ATE", "ATC"}, default "ATT"
        Whose composition. For "ATT" and "ATC" these are the weights of ``entropy_balance``; for "ATE" both groups get
        the same means, which need not be everybody's.

    Returns
    -------
    Design
        As ``entropy_balance``.

    Raises
    ------
    ColumnError, EstimationError, IdentificationError
        As ``entropy_balance``.

    Notes
    -----
    Just-identified: :math:`\\sum_i w_i (t_i/e_i - (1-t_i)/(1-e_i)) x_i = 0` for ATE,
    :math:`\\sum_i w_i (t_i - (1-t_i) e_i/(1-e_i)) x_i = 0` for ATT, e the logit's probability.

    References
    ----------
    Imai and Ratkovic (2014), Journal of the Royal Statistical Society B 76, 243-263. R twins:
    ``CBPS::CBPS(method = "exact")``, ``WeightIt::weightit(method = "cbps", over = FALSE)``.

    Examples
    --------
    >>> import pandas as pd
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"joined": [0, 0, 0, 1, 1], "age": [20.0, 40.0, 60.0, 50.0, 40.0]})
    >>> cbps(survey_design(respondents), treatment="joined", covariates=["age"]).weights.round(4).tolist()
    [0.4325, 0.635, 0.9325, 1.0, 1.0]
    """
    require_design(design, "cbps")
    refuse_balanced(design, treatment, "cbps")
    covariates = covariates_named(covariates, "cbps")
    require_estimand(estimand, "cbps")
    groups = groups_of(design, treatment=treatment, covariates=covariates, verb="cbps", missing=missing)
    asked = {"treatment": treatment, "covariates": covariates, "estimand": estimand, "missing": missing}
    return _balanced(design, groups, "cbps", "cbps", asked)


def _balanced(design: Design, groups: Groups, verb: str, balancing: Balancing, asked: Mapping[str, Any]) -> Design:
    """Return the design after balancing, its domain kept: weights outside it are zero."""
    told = as_written(**{name: value for name, value in asked.items() if USUAL.get(name, ...) != value})
    step = BalancingStep(
        verb,
        asked,
        told,
        asked["treatment"],
        asked["covariates"],
        asked["estimand"],
        groups,
        balancing,
        asked.get("propensity", "weighted"),
    )
    tilt = step.tilt(design.weights)
    scores = None if tilt.scores is None else np.where(groups.used, tilt.scores, np.nan)
    step = replace(step, scores=scores, start=tilt.start, _known={"weights": design.weights, "tilt": tilt})
    weights = design.weights * tilt.balancing.sum(axis=1)
    applied = AppliedStep(step, design.weights, weights)
    provenance = replace(design.provenance, weight=f"{design.provenance.weight} → {verb}")
    return replace(design, weights=weights, steps=(*design.steps, applied), provenance=provenance)
