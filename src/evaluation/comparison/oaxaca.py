"""The raw gap taken apart by a linear regression: what composition explains, covariate by covariate, and the rest."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.comparison.adjustment.balancing import refuse_balanced
from evaluation.comparison.comparability import Comparability
from evaluation.comparison.effects import ADJUSTED, evidence_of
from evaluation.design.design import Design, each_replicate, require_design
from evaluation.errors import EstimationError, IdentificationError, did_you_mean
from evaluation.estimation.groups import Groups, groups_of
from evaluation.estimation.missing_covariates import Missing
from evaluation.estimation.small_counts import rarer_of
from evaluation.regression.fitting import fit, influence
from evaluation.regression.model import Model, read_model, refuse_collinear
from evaluation.results import Estimates

Floats = NDArray[np.float64]
Reference = Literal["comparison", "participants", "pooled", "omega", "average"]

REFERENCES = ("comparison", "participants", "pooled", "omega", "average")
#: What stands before a covariate where a row is its share of the explained part.
EXPLAINED_BY = "explained:"
_CATEGORICAL = re.compile(r"^C\((.*)\)$")


def oaxaca_blinder(
    design: Design,
    *,
    outcome: str,
    treatment: str,
    covariates: str | Sequence[str],
    reference: Reference = "comparison",
    threefold: bool = False,
    by_covariate: bool = True,
    missing: Missing = "refuse",
    comparability: Comparability | None = None,
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate how much of the raw gap between participants and others their composition explains.

    Parameters
    ----------
    design : Design
        Any design; survey weights enter means and regressions.
    outcome : str
        Numeric, 0/1, or text with two levels, explained by a linear regression (of two levels: a linear probability).
    treatment : str
        Two values, as in ``group_difference``.
    covariates : str or list of str
        Names or a one-sided formula; only what was fixed before participation.
    reference : {"comparison", "participants", "pooled", "omega", "average"}, default "comparison"
        Whose coefficients value the difference in composition: those of the others, of participants, of one
        regression of both groups with participation in it, or without it, or the plain mean of both groups'.
    threefold : bool, default False
        Also part what is not explained: differing coefficients at the others' composition, and the interaction.
        Valued by the others' coefficients, so ``reference`` stays "comparison".
    by_covariate : bool, default True
        Show the share of each covariate in the explained part; a covariate of several columns (the levels of a text
        column) is one row, so that the choice of its reference level changes nothing.
    missing : {"refuse", "complete_cases", "indicator"}, default "refuse"
        What missing covariates mean, as in ``aipw``.
    comparability : Comparability, optional
        Declared comparison; a refused one raises. Its grade, at most 2 here, and what differs stand in ``fit``.
    conf_level : float, default 0.95
        Of the t intervals.

    Returns
    -------
    Estimates
        Keys ``term, part``: ``gap``, ``explained``, ``explained:<covariate>`` ..., ``unexplained``; with
        ``threefold`` also ``coefficients`` and ``interaction``, which add up to ``unexplained``. One joint covariance.

    Raises
    ------
    ColumnError, EstimationError, IdentificationError
        As ``g_computation``; also an unknown reference.

    Notes
    -----
    With the groups' weighted means :math:`\\bar x_1, \\bar x_0` and least-squares coefficients
    :math:`b_1, b_0`: explained :math:`(\\bar x_1 - \\bar x_0)' b_*`, unexplained
    :math:`\\bar x_1'(b_1 - b_*) + \\bar x_0'(b_* - b_0)`. With :math:`b_* = b_0` the unexplained part is the effect on
    participants of ``g_computation(family="gaussian")``, estimate and error (Kline 2011). Means and coefficients
    both are estimated, and both are part of the influence. The unexplained part is not parted by covariate: those
    shares depend on where a covariate has its zero and which level is the reference.

    References
    ----------
    Kitagawa (1955), JASA 50; Oaxaca (1973); Blinder (1973); Oaxaca and Ransom (1994); Jann (2008), Stata Journal 8,
    453-479; Kline (2011), American Economic Review 101, 532-537. Stata twin: ``oaxaca``, whose default errors hold
    the covariates fixed only with the option ``fixed``; here they are never fixed.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"y": [1.0, 2, 3, 4, 3, 5, 7, 6], "joined": [0, 0, 0, 0, 1, 1, 1, 1],
    ...                             "sex": ["f", "f", "m", "m", "f", "m", "m", "m"]})
    >>> parts = oaxaca_blinder(survey_design(respondents), outcome="y", treatment="joined", covariates=["sex"])
    >>> dict(zip(parts.keys["part"], parts.estimate.round(3).tolist()))
    {'gap': 2.75, 'explained': 0.5, 'explained:sex': 0.5, 'unexplained': 2.25}
    """
    require_design(design, "oaxaca_blinder")
    refuse_balanced(design, treatment, "oaxaca_blinder")
    _refuse_reference(reference, threefold)
    evidence = evidence_of(comparability, ADJUSTED, "oaxaca_blinder", outcome, design)
    groups = groups_of(
        design,
        treatment=treatment,
        covariates=covariates,
        outcome=outcome,
        verb="oaxaca_blinder",
        missing=missing,
    )
    made = decompose_linearly(design, groups, outcome=outcome, treatment=treatment, reference=reference)
    parts = ["gap", "explained", *([EXPLAINED_BY + name for name in made.names] if by_covariate else []), "unexplained"]
    parts += ["coefficients", "interaction"] if threefold else []
    record = {
        "treatment": treatment,
        "participants": groups.levels[1],
        "comparison": groups.levels[0],
        "reference": reference,
        "formula": groups.participation.formula,
        "n_left_out": groups.n_left_out,
    }
    return made.estimates(parts, "oaxaca_blinder", conf_level, {**record, **evidence})


def _refuse_reference(reference: str, threefold: bool) -> None:
    if reference not in REFERENCES:
        raise EstimationError(
            f"oaxaca_blinder: reference must be one of {list(REFERENCES)}, got {reference!r}. "
            f"{did_you_mean(str(reference), REFERENCES)}"
        )
    if threefold and reference != "comparison":
        raise EstimationError(
            f"oaxaca_blinder: the threefold decomposition values composition by the others' coefficients, got "
            f"reference={reference!r}. Leave reference out, or threefold=False."
        )


@dataclass(frozen=True, eq=False)
class LinearParts:
    """A gap in linear parts, before the variance is made.

    Attributes
    ----------
    design : Design
        Of the estimate.
    groups : Groups
        The respondents.
    outcome : str
        Of the keys.
    names : list of str
        Covariates, in the order of the formula.
    value : dict of str to float
        Every part by name.
    z : dict of str to ndarray, shape (n,)
        Its derivative in the final weights.
    replicated : ndarray, shape (replicates, parts), or None
        The parts under each set of replicate weights, in the order of ``value``.
    """

    design: Design
    groups: Groups
    outcome: str
    names: list[str]
    value: dict[str, float]
    z: dict[str, Floats]
    replicated: Floats | None

    def estimates(self, parts: Sequence[str], verb: str, conf_level: float, fit: dict[str, object]) -> Estimates:
        """Return some of the parts as estimates with their covariance."""
        design, k = self.design, len(parts)
        z = np.column_stack([self.z[part] for part in parts])
        order = list(self.value)
        contributions = (
            design.contributions(z)
            if self.replicated is None
            else self.replicated[:, [order.index(part) for part in parts]]
        )
        others, participants = self.groups.counts()
        return Estimates(
            verb=verb,
            keys=pd.DataFrame({"term": self.outcome, "part": list(parts)}),
            estimate=np.array([self.value[part] for part in parts]),
            vcov=design.engine.covariance(contributions),
            df=np.full(k, float(design.degrees_of_freedom(self.groups.used))),
            n_obs=np.full(k, others + participants),
            bases=np.full(k, min(others, participants)),
            cell_counts=np.full(k, rarer_of(self.groups)),
            provenance=design.provenance,
            engine=design.engine,
            contributions=contributions,
            influence_of=lambda: design.influence(z),
            conf_level=conf_level,
            fit=fit,
        )


def decompose_linearly(
    design: Design,
    groups: Groups,
    *,
    outcome: str,
    treatment: str,
    reference: Reference = "comparison",
) -> LinearParts:
    """Return the gap between groups that were read already in linear parts, for verbs that take several of them.

    Parameters
    ----------
    design : Design
        Its weights and variance.
    groups : Groups
        From ``groups_of``, on this design or one that differs in its weights alone.
    outcome, treatment, reference
        As in ``oaxaca_blinder``.

    Raises
    ------
    IdentificationError
        A group cannot carry its own regression.
    """
    names, columns = _covariates_of(groups, treatment)
    value, z = _parts(groups, design.domain_weights, columns, names, reference)
    replicated = None
    if design.replicates is not None:
        replicated = each_replicate(
            design,
            lambda weights: np.array(list(_parts(groups, weights, columns, names, reference)[0].values())),
        )
    return LinearParts(design, groups, outcome, names, value, z, replicated)


def _covariates_of(groups: Groups, treatment: str) -> tuple[list[str], NDArray[np.int64]]:
    """Return the covariates, and the place of its covariate for each column of the model matrix (-1: intercept)."""
    terms = groups.participation.terms
    if "(Intercept)" not in terms:
        raise IdentificationError(
            f"a linear decomposition needs regressions with an intercept, or its parts do not add up to the gap; the "
            f"formula is '{groups.participation.formula}'. Take '0 +' or '- 1' out of it."
        )
    formula = groups.participation.formula
    read = read_model(groups.source, treatment, f"~ {formula.lstrip('~ ')}", "binomial", among=groups.used)
    owners = dict(zip(read.terms, read.term_of, strict=True))
    of = [_CATEGORICAL.sub(r"\1", owners.get(term, term)) for term in terms]
    names = list(dict.fromkeys(name for name, term in zip(of, terms, strict=True) if term != "(Intercept)"))
    place = [-1 if term == "(Intercept)" else names.index(name) for name, term in zip(of, terms, strict=True)]
    return names, np.array(place)


def _parts(
    groups: Groups, weights: Floats, columns: NDArray[np.int64], names: Sequence[str], reference: Reference
) -> tuple[dict[str, float], dict[str, Floats]]:
    """Return every part and its derivative in the weights."""
    model = groups.participation
    means, movements = zip(*(_means(groups, weights, group) for group in (0, 1)), strict=True)
    coefficients, moved = zip(*(_regression(groups, weights, group) for group in (0, 1)), strict=True)
    valued, valued_moved = _reference(groups, weights, reference, coefficients, moved)
    apart, apart_moved = means[1] - means[0], movements[1] - movements[0]
    by_column = apart * valued
    by_column_moved = apart_moved * valued + valued_moved * apart
    gap = float(means[1] @ coefficients[1] - means[0] @ coefficients[0])
    gap_moved = _product(means[1], movements[1], coefficients[1], moved[1]) - _product(
        means[0], movements[0], coefficients[0], moved[0]
    )
    differing, differing_moved = coefficients[1] - coefficients[0], moved[1] - moved[0]
    value = {"gap": gap, "explained": float(by_column.sum())}
    z = {"gap": gap_moved, "explained": by_column_moved.sum(axis=1)}
    for place, name in enumerate(names):
        own = columns == place
        value[EXPLAINED_BY + name] = float(by_column[own].sum())
        z[EXPLAINED_BY + name] = by_column_moved[:, own].sum(axis=1)
    value |= {
        "unexplained": gap - value["explained"],
        "coefficients": float(means[0] @ differing),
        "interaction": float(apart @ differing),
    }
    z |= {
        "unexplained": gap_moved - z["explained"],
        "coefficients": _product(means[0], movements[0], differing, differing_moved),
        "interaction": _product(apart, apart_moved, differing, differing_moved),
    }
    return value, {name: np.where(model.used, column, 0.0) for name, column in z.items()}


def _product(one: Floats, one_moved: Floats, other: Floats, other_moved: Floats) -> Floats:
    """Return the derivative of an inner product, shape (n,)."""
    return np.asarray(one_moved @ other + other_moved @ one)


def _means(groups: Groups, weights: Floats, group: int) -> tuple[Floats, Floats]:
    """Return a group's mean of each column, shape (p,), and its derivative, shape (n, p)."""
    own = groups.members(group)
    size = float(weights[own].sum())
    x = groups.participation.x
    mean = (weights * own) @ x / size
    return mean, np.where(own[:, None], x - mean, 0.0) / size


def _regression(groups: Groups, weights: Floats, group: int | None) -> tuple[Floats, Floats]:
    """Return least-squares coefficients of a group, or of both, shape (p,), and their derivative, shape (n, p)."""
    model, own = groups.participation, groups.used if group is None else groups.members(group)
    of_group = model.changed(np.where(own[:, None], model.x, 0.0), y=groups.outcome * own, used=own)
    whom = "participants and others together" if group is None else f"the outcome among {groups.levels[group]}"
    return _solved(of_group, weights * own, whom)


def _solved(model: Model, weights: Floats, whom: str) -> tuple[Floats, Floats]:
    try:
        refuse_collinear(model.x[model.used], model.terms)
        coefficients = fit(model, weights, "gaussian")
    except IdentificationError as error:
        raise IdentificationError(f"model of {whom}: {error}") from None
    return coefficients, influence(model, weights, coefficients, "gaussian")


def _reference(
    groups: Groups,
    weights: Floats,
    reference: Reference,
    coefficients: Sequence[Floats],
    moved: Sequence[Floats],
) -> tuple[Floats, Floats]:
    """Return the coefficients that value a difference in composition, and their derivative."""
    if reference in ("comparison", "participants"):
        group = int(reference == "participants")
        return coefficients[group], moved[group]
    if reference == "average":
        return (coefficients[0] + coefficients[1]) / 2, (moved[0] + moved[1]) / 2
    if reference == "omega":
        return _regression(groups, weights, None)
    model = groups.participation
    x = np.column_stack([model.x, model.y])
    joint = model.changed(x, y=groups.outcome, terms=[*model.terms, "participation"])
    found, influenced = _solved(joint, weights, "participants and others together")
    return found[:-1], influenced[:, :-1]
