"""Nonresponse: respondents carry the weight of those who were drawn, eligible, and did not answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.collapse import Codes, Floats, mass_by
from evaluation.design.columns import Columns
from evaluation.design.design import Design, require_design
from evaluation.design.steps import Derivative
from evaluation.errors import ColumnError, EvaluationError, WeightingError
from evaluation.regression.fitting import fit, mean_and_information
from evaluation.regression.formula import variables_of
from evaluation.regression.matrix import Coded
from evaluation.regression.model import Model, model_of
from evaluation.survey.dispositions import read_dispositions
from evaluation.weighting.cells import (
    GIVES,
    KEEPS,
    LOSES,
    TAKES,
    CellFactors,
    Groups,
    applied,
    as_written,
    groups_by,
    require_known,
    transfer_step,
)

Mask = NDArray[np.bool_]
T = TypeVar("T")
Method = Literal["cells", "propensity_classes", "inverse_propensity"]
ClassRate = Literal["response_rate", "mean_propensity"]
Ineligible = Literal["drop", "keep"]

VERB = "adjust_nonresponse"
#: Defaults, which a study file need not say.
USUAL: dict[str, Any] = {"method": "cells", "classes": 5, "class_rate": "response_rate", "ineligible": "drop"}
#: Words of this verb beside the dispositions.
RESPONSES = {"respondent": "I", "nonrespondent": "O"}
_ROLES = {"I": TAKES, "P": TAKES, "R": GIVES, "NC": GIVES, "O": GIVES, "NE": LOSES, "": LOSES}


def adjust_nonresponse(
    design: Design,
    *,
    response: str,
    by: str | Sequence[str] | None = None,
    covariates: str | Sequence[str] | None = None,
    method: Method = "cells",
    classes: int = 5,
    class_rate: ClassRate = "response_rate",
    codes: Mapping[Any, str] | None = None,
    ineligible: Ineligible = "drop",
) -> Design:
    """Let respondents carry the weight of the eligible who did not respond.

    Parameters
    ----------
    design : Design
        All who were drawn, with their weights so far; who has weight zero takes no part.
    response : str
        Column of 1 (responded) and 0, or of final dispositions.
    by : str or list of str, optional
        For "cells": columns known of everybody eligible whose combinations are the cells; without it one cell.
    covariates : str or list of str, optional
        For the propensity methods: columns known of everybody eligible, or a one-sided formula.
    method : {"cells", "propensity_classes", "inverse_propensity"}, default "cells"
        "cells": in each cell the factor is the inverse of the weighted response rate. "propensity_classes": the same in
        classes of equal weight of a response propensity (logit, weighted). "inverse_propensity": the factor is one
        over the respondent's own propensity.
    classes : int, default 5
        Number of propensity classes.
    class_rate : {"response_rate", "mean_propensity"}, default "response_rate"
        Whether a class's factor is the inverse of its weighted response rate, which keeps its sum of weights, or of
        its weighted mean propensity.
    codes : mapping of code to meaning, optional
        ``"respondent"``, ``"nonrespondent"``, ``"ineligible"`` or a disposition (see ``adjust_unknown_eligibility``),
        of which complete and partial interviews are respondents. A code without a meaning is refused.
    ineligible : {"drop", "keep"}, default "drop"
        Ineligible cases get weight zero, for they are not of the population; "keep" leaves them theirs.

    Returns
    -------
    Design
        Nonrespondents have weight zero, so that they count in no n.

    Raises
    ------
    ColumnError
        A column does not exist or is missing for somebody eligible; a code has no meaning.
    WeightingError
        Arguments do not go with the method, nobody responded, somebody's eligibility is unknown, a cell has no
        respondents (with the cell to merge it with).
    IdentificationError
        A covariate separates respondents from the others, or covariates are collinear.

    Notes
    -----
    The exact variance is that of the stacked estimating equations: :math:`w_i' = w_i / p_i(\\hat\\beta)` with
    :math:`\\sum_i w_i x_i (r_i - p_i) = 0` moves with every respondent's and nonrespondent's weight through
    :math:`\\hat\\beta` too. Replicates estimate the propensity again. Who is in which propensity class is taken as
    given by both. R survey sees weights as given.

    References
    ----------
    Valliant, Dever and Kreuter (2018), Practical Tools for Designing and Weighting Survey Samples, 2nd edition,
    section 13.5. Kim and Kim (2007), Canadian Journal of Statistics 35, 501-514.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> drawn = pd.DataFrame({"answered": [1, 0, 1, 1], "area": ["a", "a", "b", "b"]})
    >>> adjust_nonresponse(survey_design(drawn), response="answered", by="area").weights.tolist()
    [2.0, 0.0, 1.0, 1.0]
    """
    require_design(design, VERB)
    asked = {
        "response": response,
        "by": by,
        "covariates": covariates,
        "method": method,
        "classes": classes,
        "class_rate": class_rate,
        "codes": codes,
        "ineligible": ineligible,
    }
    _refuse_mismatch(by, covariates, method, classes, class_rate, ineligible)
    counted = design.weights != 0
    role = _roles(design, response, codes, counted)
    outside = KEEPS if ineligible == "keep" else LOSES
    eligible = (role == TAKES) | (role == GIVES)
    role = np.where(eligible, role, outside)
    if method == "cells":
        groups = groups_by(design, by, counted & eligible, VERB)
        return applied(design, _in_cells(asked, groups, role, counted))
    if not (role == GIVES).any():
        return applied(design, _in_cells(asked, groups_by(design, None, counted, VERB), role, counted))
    design.require_no_negative_weights(f"{VERB}, method={method!r},")
    model = _model(design, role == TAKES, eligible, covariates or ())
    keeps = np.where(role == KEEPS, 1.0, 0.0)
    if method == "inverse_propensity":
        return applied(
            design, PropensityStep(asked, _written(asked), model, role == TAKES, keeps, _start(model, design))
        )
    return applied(design, _in_classes(asked, design, model, role, counted, classes, class_rate))


def _refuse_mismatch(
    by: object, covariates: object, method: str, classes: object, class_rate: str, ineligible: str
) -> None:
    require_known(f"{VERB}: method", method, get_args(Method))
    require_known(f"{VERB}: class_rate", class_rate, get_args(ClassRate))
    require_known(f"{VERB}: ineligible", ineligible, get_args(Ineligible))
    if method == "cells" and covariates:
        raise WeightingError(
            f"{VERB}: covariates go with method='propensity_classes' or 'inverse_propensity', but the method is "
            f"'cells'. Name one of those, or give the columns as by."
        )
    if method != "cells" and by:
        raise WeightingError(f"{VERB}: by goes with method='cells', but the method is '{method}'. Use covariates.")
    if method != "cells" and not covariates:
        raise WeightingError(
            f"{VERB}: method='{method}' needs covariates: columns that are known of everybody eligible."
        )
    if isinstance(classes, bool) or not isinstance(classes, (int, np.integer)) or classes < 2:
        raise WeightingError(f"{VERB}: classes must be a whole number of two and more, got {classes!r}.")
    unused = [
        f"{name}={value!r}"
        for name, value in (("classes", classes), ("class_rate", class_rate))
        if method != "propensity_classes" and value != USUAL[name]
    ]
    if unused:
        raise WeightingError(
            f"{VERB}: {unused[0]} goes with method='propensity_classes', but the method is '{method}'. Name that "
            f"method, or leave it out."
        )


def _written(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a study file needs to say: defaults are left out."""
    return as_written(**{name: value for name, value in asked.items() if USUAL.get(name) != value})


def _roles(design: Design, response: str, codes: Mapping[Any, str] | None, counted: Mask) -> Codes:
    column = design.column(response)
    own = dict(RESPONSES)
    if codes is None and column[counted].dropna().isin([0, 1]).all():
        own |= {"1": "I", "0": "O", "true": "I", "false": "O"}
    place, meanings = read_dispositions(column, codes, counted, VERB, own=own)
    unknown = np.isin(meanings, ("UH", "UO"))[place]
    if unknown.any():
        raise WeightingError(
            f"{VERB}: {int(unknown.sum()):,} cases of unknown eligibility have a weight (first: data row "
            f"{int(np.flatnonzero(unknown)[0]) + 1:,}). Spread it first with ev.adjust_unknown_eligibility, or say by "
            f"codes whether they count as eligible.",
            failures=design.data.loc[unknown],
        )
    role = np.array([_ROLES.get(meaning, LOSES) for meaning in meanings], dtype=np.int64)[place]
    if not (role == TAKES).any():
        raise WeightingError(f"{VERB}: '{response}' says that nobody responded, so there is nobody to carry weight.")
    return role


def _in_cells(asked: Mapping[str, Any], groups: Groups, role: Codes, counted: Mask) -> CellFactors:
    step = transfer_step(VERB, asked, groups, role, counted, "nonrespondents", "respondent")
    return replace(step, arguments=_written(asked))


def _model(design: Design, responded: Mask, eligible: Mask, covariates: str | Sequence[str]) -> Model:
    for name in variables_of(covariates):
        missing = design.column(name).isna().to_numpy() & eligible
        if missing.any():
            raise ColumnError(
                f"{VERB}: covariate '{name}' is missing for {int(missing.sum()):,} of {int(eligible.sum()):,} eligible "
                f"cases, {int((missing & ~responded).sum()):,} of them nonrespondents. A propensity needs columns that "
                f"are known of everybody: take one from the frame, or give the missing a level of their own.",
                failures=design.data.loc[missing],
            )
    return _told(lambda: model_of(design, responded.astype(float), "response", covariates, among=eligible))


def _start(model: Model, design: Design) -> Floats:
    return np.asarray(_told(lambda: fit(model, np.where(model.used, design.weights, 0.0), "binomial")))


def _told(attempt: Callable[[], T]) -> T:
    """Run a part of the regression; its errors say which verb wanted it."""
    try:
        return attempt()
    except EvaluationError as error:
        text = str(error).replace("the outcome's levels", "respondents from nonrespondents")
        raise type(error)(f"{VERB}: {text}", failures=error.failures) from None


@dataclass(frozen=True, eq=False)
class PropensityStep:
    """Weights of respondents divided by their estimated propensity to respond, or by the mean of it in their class.

    Attributes
    ----------
    asked, arguments : mapping
        The verb's arguments as given, and as a study file writes them.
    model : Model
        Response on covariates among the eligible.
    responded : ndarray of bool, shape (n,)
    others : ndarray, shape (n,)
        Factor of those who are not eligible; zero for the eligible.
    start : ndarray, shape (p,)
        Coefficients from which a fit to other weights starts.
    code, n_classes
        Propensity class of each eligible case, shape (n,), where there are classes.
    """

    asked: Mapping[str, Any]
    arguments: Mapping[str, Any]
    model: Model
    responded: Mask
    others: Floats
    start: Floats
    code: Codes | None = None
    n_classes: int = 0
    verb: str = VERB

    def propensity(self, weights: Floats) -> tuple[Floats, Floats]:
        """Return the propensities under ``weights``, shape (n,), and the information of their model, shape (p, p)."""
        own = np.where(self.model.used, weights, 0.0)
        coefficients = _told(lambda: fit(self.model, own, "binomial", start=self.start))
        return mean_and_information(self.model, own, coefficients, "binomial")

    def replay(self, weights: Floats) -> Floats:
        """Estimate the propensity from other weights, shape (n,), and divide by it."""
        return weights * self._factor(weights, self.propensity(weights)[0])

    def _factor(self, weights: Floats, propensity: Floats) -> Floats:
        if self.code is None:
            return np.divide(1.0, propensity, out=self.others.copy(), where=self.responded)
        mass, expected = self._class_sums(self.code, weights, propensity)
        return np.where(self.responded, (mass / expected)[self.code], self.others)

    def _class_sums(self, code: Codes, weights: Floats, propensity: Floats) -> tuple[Floats, Floats]:
        own = np.where(self.model.used, weights, 0.0)
        mass, expected = (mass_by(code, self.n_classes, own * part) for part in (1.0, propensity))
        return mass, np.where(expected > 0, expected, 1.0)

    def derivative(self, weights_in: Floats, weights_out: Floats) -> Derivative:
        """Return how the output weights move with the input weights, directly and through the propensity."""
        propensity, information = self.propensity(weights_in)
        factor = self._factor(weights_in, propensity)
        x, inverse = _columns(self.model, information)
        score = x.scaled(np.where(self.model.used, self.model.y - propensity, 0.0))
        if self.code is None:
            slope = np.where(self.responded, weights_in * (1 - propensity) * factor, 0.0)
            return Derivative(factor, (score,), (x.scaled(slope),), inverse)
        return self._class_derivative(self.code, weights_in, propensity, factor, x, score, inverse)

    def _class_derivative(
        self,
        code: Codes,
        weights: Floats,
        propensity: Floats,
        factor: Floats,
        x: Columns,
        score: Columns,
        inverse: Floats,
    ) -> Derivative:
        n, each = len(factor), np.eye(self.n_classes)
        mass, expected = self._class_sums(code, weights, propensity)
        ratio = mass / expected
        own = np.where(self.model.used, weights, 0.0)
        moved = x.scaled(own * propensity * (1 - propensity)).sums_by(code, self.n_classes)
        direct = Columns(n, code, each).scaled(np.where(self.model.used, ratio[code] * propensity - 1, 0.0))
        carried = Columns(n, code, each).scaled(np.where(self.responded, weights, 0.0))
        middle = np.vstack([np.diag(1 / expected), inverse @ moved.T @ np.diag(ratio / expected)])
        return Derivative(factor, (direct, score), (carried,), middle)

    def residualise(self, x: Floats, weights_in: Floats, weights_out: Floats) -> Floats:
        """R survey sees weights as given: weighted influence stays as it is."""
        return x


def _columns(model: Model, information: Floats) -> tuple[Columns, Floats]:
    """Return the model matrix as columns, and the inverse of the information in their order."""
    matrix, inverse = model.matrix, np.asarray(np.linalg.inv(information), dtype=np.float64)
    if not isinstance(matrix, Coded):
        return Columns(len(model.y), dense=tuple(np.ascontiguousarray(model.x.T))), inverse
    placed = np.empty_like(inverse)
    placed[np.ix_(matrix.order, matrix.order)] = inverse
    return matrix.columns, placed


def _in_classes(
    asked: Mapping[str, Any],
    design: Design,
    model: Model,
    role: Codes,
    counted: Mask,
    classes: int,
    class_rate: ClassRate,
) -> CellFactors | PropensityStep:
    start = _start(model, design)
    keeps = np.where(role == KEEPS, 1.0, 0.0)
    step = PropensityStep(asked, _written(asked), model, role == TAKES, keeps, start)
    propensity = step.propensity(design.weights)[0]
    groups = _propensity_classes(propensity, np.where(model.used, design.weights, 0.0), model.used, classes)
    cells = _in_cells(asked, groups, role, counted)
    cells.replay(design.weights)  # Refuses a class without respondents before anything is made of it.
    if class_rate == "response_rate":
        return cells
    return replace(step, code=groups.code, n_classes=len(groups))


def _propensity_classes(propensity: Floats, weights: Floats, used: Mask, classes: int) -> Groups:
    """Cut propensities into classes of about equal weight; equal propensities stay together."""
    order = np.argsort(propensity[used], kind="stable")
    values, mass = propensity[used][order], np.cumsum(weights[used][order])
    places = np.searchsorted(mass, mass[-1] * np.arange(1, classes) / classes * (1 - 1e-12))
    edges = np.unique(values[places])
    code = np.zeros(len(propensity), dtype=np.int64)
    found, code[used] = np.unique(np.searchsorted(edges, propensity[used], side="left"), return_inverse=True)
    limits = [propensity[used][code[used] == c] for c in range(len(found))]
    keys = pd.DataFrame({"propensity": [f"{own.min():.3f} to {own.max():.3f}" for own in limits]})
    fewer = f"fewer classes (classes={max(len(found) - 1, 2)})" if len(found) > 2 else "method='inverse_propensity'"
    return Groups(code, keys, np.arange(len(found))[:, None], f"Take {fewer}, or covariates that part them less.")
