"""A regression to be fitted: outcome, model matrix and who is in it, read from a design."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.design import Design
from evaluation.errors import ColumnError, EstimationError, IdentificationError
from evaluation.regression.families import GlmFamily
from evaluation.regression.formula import Encoding, encode, read_formula, variables_of
from evaluation.regression.matrix import Dense, Matrix

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Above this share of a column's length outside the columns before it, squares and products tell it from zero.
CLEARLY_APART = 1e-8
#: Above this, the square of a number and sums of such squares can no longer be computed.
LARGEST = 1e150


@dataclass(frozen=True, eq=False)
class Model:
    """A regression to be fitted, whatever the weights.

    Attributes
    ----------
    matrix : Matrix, shape (n, p)
        Model matrix.
    y : ndarray, shape (n,)
        Outcome; zero where ``used`` is False.
    used : ndarray of bool, shape (n,)
        Respondents who count and have a value in every column.
    terms : list of str
        Names of the p coefficients.
    formula : str
        Right-hand side.
    reference : str
        Level of the outcome that stands for zero.
    offset : ndarray, shape (n,), or None
        Part of the linear predictor that is known.
    encoding : Encoding or None
        How the matrix was made of the columns; None where it was changed since.
    offset_name : str
        Column or formula of the offset; empty without one.
    """

    matrix: Matrix
    y: Floats
    used: Mask
    terms: list[str]
    formula: str
    reference: str
    offset: Floats | None = None
    encoding: Encoding | None = None
    offset_name: str = ""

    @property
    def x(self) -> Floats:
        """Model matrix in full, shape (n, p); zero where ``used`` is False."""
        return self.matrix.dense

    @property
    def term_of(self) -> tuple[str, ...]:
        """The term of the formula that each coefficient belongs to, p of them."""
        return tuple(self.terms) if self.encoding is None else self.encoding.term_of

    def predictor(self, coefficients: Floats) -> Floats:
        """Return the linear predictor with its offset, shape (n,)."""
        eta = self.matrix.times(coefficients)
        return eta if self.offset is None else eta + self.offset

    def changed(
        self,
        x: Floats,
        *,
        y: Floats | None = None,
        used: Mask | None = None,
        terms: list[str] | None = None,
    ) -> Model:
        """Return the regression with another model matrix, shape (n, q), and what changes with it."""
        return replace(
            self,
            matrix=Dense(x),
            y=self.y if y is None else y,
            used=self.used if used is None else used,
            terms=self.terms if terms is None else terms,
            encoding=None,
        )


def read_model(
    design: Design,
    outcome: str,
    covariates: str | Sequence[str],
    family: GlmFamily,
    among: Mask | None = None,
    *,
    offset: str | None = None,
    shares: bool = False,
) -> Model:
    """Return outcome and model matrix of a regression among the respondents who count (and are ``among`` some)."""
    y, reference = read_outcome(design, outcome, family, shares=shares)
    return model_of(design, y, outcome, covariates, reference=reference, among=among, offset=offset)


def require_other_columns(outcome: str, covariates: str | Sequence[str]) -> None:
    """Raise a ColumnError where an outcome is a covariate of itself."""
    if outcome in variables_of(covariates):
        raise ColumnError(
            f"outcome '{outcome}' is among its own covariates, which it explains without error. Take it out of "
            f"covariates."
        )


def require_degrees(design: Design, model: Model, coefficients: int, verb: str) -> int:
    """Return the degrees of freedom that a regression leaves; an EstimationError where it leaves none."""
    own = design.degrees_of_freedom(model.used)
    df = own + 1 - coefficients
    if df < 0:
        raise no_degrees(coefficients, own, verb)
    return df


def require_errors(df: int, coefficients: int, vcov: Floats, verb: str) -> None:
    """Raise an EstimationError where no degree of freedom is left and the errors of some coefficients vanish."""
    error = np.sqrt(np.clip(np.diag(vcov), 0.0, None))
    if df < 1 and bool((error <= 1e-9 * error.max(initial=1.0)).any()):
        raise no_degrees(coefficients, df - 1 + coefficients, verb)


def no_degrees(coefficients: int, own: int, verb: str) -> EstimationError:
    """Return the error for a regression that leaves nothing to estimate standard errors from."""
    return EstimationError(
        f"{verb}: {coefficients} coefficients, but the design has {own} degrees of freedom among those in the "
        f"regression (sampling units less strata, or replicates less one): no standard error can be estimated. "
        f"Expected at most {own}: use fewer covariates, or merge levels."
    )


def model_of(
    design: Design,
    y: Floats,
    outcome: str,
    covariates: str | Sequence[str],
    *,
    reference: str = "",
    among: Mask | None = None,
    offset: str | None = None,
) -> Model:
    """Return the regression of an outcome that was read already, shape (n,), NaN where missing."""
    formula = read_formula(covariates)
    known = design.present & ~np.isnan(y)
    if among is not None:
        known &= among
    added = None if offset is None else read_offset(design.data, offset, design.present)
    if added is not None:
        known &= ~np.isnan(added)
    encoded = encode(formula, design.data, known)
    if encoded is None:
        asked = ", ".join(formula.columns.values()) or "no covariate"
        raise EstimationError(
            f"no respondent who counts answered '{outcome}' and all of its covariates ({asked}). Look at how many "
            f"values each has, and leave out the column that nobody answered."
        )
    used, terms = encoded.used, encoded.encoding.terms
    _refuse_redundant(encoded.matrix, used, terms)
    return Model(
        encoded.matrix,
        np.where(used, y, 0.0),
        used,
        terms,
        formula.text,
        reference,
        None if added is None else np.where(used, added, 0.0),
        encoded.encoding,
        offset or "",
    )


def read_offset(data: pd.DataFrame, offset: str, among: Mask) -> Floats:
    """Return a column, or a formula such as ``"~ log(enroll)"``, as numbers, shape (n,), NaN where missing."""
    if not isinstance(offset, str) or not offset.strip():
        raise ColumnError(
            f"offset must be the name of one column, or a formula such as '~ log(exposure)', got {offset!r}. To have "
            f"none, leave it out."
        )
    covariates = f"~ 0 + {offset.lstrip()[1:].lstrip()}" if offset.lstrip().startswith("~") else f"~ 0 + `{offset}`"
    try:
        encoded = encode(read_formula(covariates), data, among)
    except ColumnError as error:
        told = str(error).replace("the formula '~ 0 + ", "the offset '~ ")
        raise ColumnError(told if told != str(error) else f"offset {told}", failures=error.failures) from None
    if encoded is None:
        raise EstimationError(f"offset '{offset}' is missing in every row that counts. Leave it out, or fill it in.")
    x = encoded.matrix.dense
    if x.shape[1] != 1 or encoded.encoding.levels:
        raise ColumnError(f"offset '{offset}' must be one numeric column, such as the log of an exposure.")
    return np.where(encoded.used, x[:, 0], np.nan)


def read_outcome(design: Design, outcome: str, family: GlmFamily, *, shares: bool = False) -> tuple[Floats, str]:
    """Return the outcome, shape (n,), NaN where missing, and the level that stands for zero.

    With ``shares`` a binomial outcome may lie anywhere between 0 and 1.
    """
    column = design.column(outcome)
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        values = column.to_numpy(dtype=float, na_value=np.nan)
        _refuse_values(design, outcome, values, family, shares)
        return values, "0" if family == "binomial" else ""
    levels = _levels(column[design.present])
    if not levels:
        raise EstimationError(f"outcome '{outcome}' is missing for every respondent who counts: nothing to explain.")
    if family != "binomial":
        hint = " Did you mean family='binomial'?" if len(levels) == 2 or family == "gaussian" else ""
        raise ColumnError(f"outcome '{outcome}' is text ({', '.join(levels[:4])}), expected numbers.{hint}")
    if len(levels) != 2:
        raise ColumnError(f"outcome '{outcome}' has {len(levels)} levels ({', '.join(levels[:4])}), expected two.")
    second = (column.astype(str) == levels[1]).to_numpy(dtype=float)
    return np.where(column.isna().to_numpy(), np.nan, second), levels[0]


def _refuse_values(design: Design, outcome: str, values: Floats, family: GlmFamily, shares: bool) -> None:
    known = ~np.isnan(values) & design.present
    if family == "binomial" and not shares and not np.isin(values[known], (0.0, 1.0)).all():
        raise ColumnError(f"outcome '{outcome}' of a binomial regression must be 0/1 or have two levels.")
    if family == "gaussian":
        _refuse_beyond(design, outcome, values)
        return
    low, high, words = {
        "binomial": (values < 0, values > 1, "0/1, a share between 0 and 1, or have two levels"),
        "poisson": (values < 0, np.isinf(values), "a count, zero or above"),
        "gamma": (values <= 0, np.isinf(values), "above zero"),
    }[family]
    wrong = known & design.present & (low | high)
    if wrong.any():
        raise ColumnError(
            f"outcome '{outcome}' of a {family} regression must be {words}; {int(wrong.sum())} of "
            f"{int(known.sum())} values are not (first: {values[wrong][0]:g}). Recode it, or choose another family.",
            failures=design.data.loc[wrong],
        )
    _refuse_beyond(design, outcome, values)


def _refuse_beyond(design: Design, outcome: str, values: Floats) -> None:
    """Refuse outcomes that are infinite, or too large to be squared."""
    if max(np.fmax.reduce(values, initial=0.0), -np.fmin.reduce(values, initial=0.0)) < LARGEST:
        return
    beyond = design.present & (np.abs(values) >= LARGEST)
    if not beyond.any():
        return
    row, infinite = int(np.flatnonzero(beyond)[0]), bool(np.isinf(values[beyond]).any())
    what = "infinite" if infinite else f"above {LARGEST:g} in size, too large to be squared,"
    move = "Set it to missing, or recode it." if infinite else "Divide it by its usual size first."
    raise ColumnError(
        f"outcome '{outcome}' is {what} in {int(beyond.sum())} of {len(values)} rows (first: data row {row + 1}, "
        f"{values[row]:g}). {move}",
        failures=design.data.loc[beyond],
    )


def _levels(column: pd.Series) -> list[str]:
    seen = column.dropna().unique()
    if isinstance(column.dtype, pd.CategoricalDtype):
        return [str(level) for level in column.cat.categories if level in set(seen)]
    return sorted(map(str, seen))


def _refuse_redundant(matrix: Matrix, used: Mask, terms: list[str]) -> None:
    """Refuse collinear covariates, by their squares and products where these tell for sure."""
    if not isinstance(matrix, Dense) and used.sum() >= len(terms):
        with np.errstate(over="ignore", invalid="ignore"):
            squares = matrix.gram(used.astype(float))
        norm = np.sqrt(np.diag(squares))
        if (norm > 0).all() and np.isfinite(squares).all():
            try:
                apart = np.diag(np.linalg.cholesky(squares / np.outer(norm, norm))) ** 2
            except np.linalg.LinAlgError:
                apart = np.zeros(1)
            if apart.min() > CLEARLY_APART:
                return
    refuse_collinear(matrix.dense[used], terms)


def refuse_collinear(x: Floats, terms: list[str]) -> None:
    """Raise an IdentificationError where a column is a combination of those before it, or rows are too few."""
    if len(x) < len(terms):
        raise IdentificationError(
            f"{len(x)} respondents cannot identify {len(terms)} coefficients. Use fewer covariates, or merge levels."
        )
    largest = np.abs(x).max(axis=0, initial=0.0)
    if (largest >= LARGEST).any():
        place = int(np.argmax(largest))
        raise ColumnError(
            f"'{terms[place]}' reaches {largest[place]:g}, too large to be squared (expected below {LARGEST:g}). "
            f"Divide it by its usual size first."
        )
    norm = np.sqrt((x**2).sum(axis=0))
    empty = norm == 0
    scaled = x / np.where(empty, 1.0, norm)
    diagonal = np.abs(np.diag(np.linalg.qr(scaled, mode="r")))
    redundant = [term for term, size in zip(terms, diagonal, strict=True) if size < 1e-10]
    if redundant:
        raise IdentificationError(
            f"{redundant[0]} is constant or a combination of the covariates before it, so its coefficient is not "
            f"identified. Drop it, or one of those that make it up."
        )
