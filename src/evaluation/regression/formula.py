"""One-sided formulas: which columns they name, and the model matrix they make of respondents old and new."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import formulaic
import numpy as np
import pandas as pd
from formulaic.errors import FormulaicError
from formulaic.model_spec import ModelSpec
from formulaic.parser.types import Term
from numpy.typing import NDArray

from evaluation.design.collapse import Codes
from evaluation.design.columns import Columns
from evaluation.errors import ColumnError, did_you_mean
from evaluation.regression.formula_errors import (
    names_given,
    no_column,
    not_computed,
    not_finite,
    unreadable,
    variables_in,
)
from evaluation.regression.matrix import Coded, Dense, Matrix

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: More cells of the categorical covariates than this, and the model matrix is built in full.
MAXIMUM_CELLS = 20_000
#: Up to this many possible cells, those that occur are found by counting.
MAXIMUM_KEYS = 1 << 22


@dataclass(frozen=True, eq=False)
class Formula:
    """A right-hand side, with names in backticks replaced by plain identifiers.

    Attributes
    ----------
    text : str
        As it was written, or made from a list of names.
    safe : str
        As formulaic reads it.
    aliases : dict of str to str
        Column behind each replaced name.
    names : list of str
        Variables, as ``safe`` calls them.
    parsed : list of Term
        Its terms.
    """

    text: str
    safe: str
    aliases: Mapping[str, str]
    names: list[str]
    parsed: list[Term]

    def column_of(self, name: str) -> str:
        """Return the column that a variable stands for."""
        return self.aliases.get(name, name)

    def spoken(self, term: str) -> str:
        """Return a term with the columns' own names; the intercept as R calls it."""
        if term in ("Intercept", "1"):
            return "(Intercept)"
        return re.sub(r"\bcolumn_+\d+\b", lambda found: self.aliases.get(found[0], found[0]), term)

    @property
    def columns(self) -> dict[str, str]:
        """Columns by the name that ``safe`` has for them."""
        return {name: self.column_of(name) for name in self.names}


def read_formula(covariates: str | Sequence[str]) -> Formula:
    """Read a list of names or a one-sided formula; a ColumnError where it cannot be read."""
    text = _text(covariates)
    names = dict.fromkeys(re.findall(r"`([^`]+)`", text))
    stem = "column_"
    while stem in re.sub(r"`[^`]+`", "", text):
        stem += "_"
    aliases = {f"{stem}{number}": name for number, name in enumerate(names)}
    safe = text
    for alias, name in aliases.items():
        safe = safe.replace(f"`{name}`", alias)
    try:
        parsed = formulaic.Formula(safe)
        required = {str(name) for name in parsed.required_variables}
    except (FormulaicError, SyntaxError, TypeError, ValueError) as error:
        raise unreadable(text, error, aliases) from None
    if not isinstance(parsed, formulaic.SimpleFormula):
        raise ColumnError(
            f"the formula '~ {text}' has several sides or parts, expected one right-hand side. Take '~' and '|' out of "
            f"it: the outcome is an argument of its own."
        )
    terms = list(parsed)
    called = variables_in([str(factor.expr) for term in terms for factor in term.factors], text, aliases)
    return Formula(text, safe, aliases, sorted(required | called), terms)


def variables_of(covariates: str | Sequence[str]) -> list[str]:
    """Return the columns that covariates name, be they a list or a one-sided formula.

    Examples
    --------
    >>> variables_of(["age", "sex"]), variables_of("~ log(age) * C(`the.sex`)")
    (['age', 'sex'], ['age', 'the.sex'])
    """
    if isinstance(covariates, str) and not covariates:
        return []
    if not isinstance(covariates, str):
        names = names_given(covariates, "covariates")
        if not names:
            return []
        covariates = names
    formula = read_formula(covariates)
    return [formula.column_of(name) for name in formula.names]


def without(covariates: str | Sequence[str], columns: Sequence[str]) -> str | list[str]:
    """Return covariates without some columns; a ColumnError where a term ties one of these to others.

    Examples
    --------
    >>> without(["sex", "age"], ["sex"]), without("~ sex + age + {age**2}", ["age"])
    (['age'], '~ sex')
    """
    if not (isinstance(covariates, str) and covariates.lstrip().startswith("~")):
        return [name for name in names_given(covariates, "covariates") if name not in columns]
    kept = []
    for part in _parts(_text(covariates)):
        named = set(variables_of(f"~ {part}"))
        if named and named <= set(columns):
            continue
        if named & set(columns):
            column = sorted(named & set(columns))[0]
            raise ColumnError(
                f"the term '{part}' of the formula ties '{column}' to other columns, and '{column}' is constant here. "
                f"Write its part for '{column}' as a term of its own, or leave it out."
            )
        kept.append(part)
    return f"~ {' + '.join(kept) or '1'}"


def _parts(text: str) -> list[str]:
    """Split a formula where a plus stands outside of brackets and backticks."""
    parts, depth, quoted, start = [], 0, False, 0
    for place, letter in enumerate(text):
        quoted ^= letter == "`"
        depth += 0 if quoted else (letter in "([{") - (letter in ")]}")
        if letter == "+" and depth == 0 and not quoted:
            parts.append(text[start:place].strip())
            start = place + 1
    return [*parts, text[start:].strip()]


def _text(covariates: str | Sequence[str]) -> str:
    if isinstance(covariates, str) and covariates.lstrip().startswith("~"):
        return covariates.strip().removeprefix("~").strip()
    return " + ".join(["1", *(f"`{name}`" for name in names_given(covariates, "covariates", once=True))])


def columns_of(formula: Formula, data: pd.DataFrame, where: str = "the data") -> dict[str, pd.Series]:
    """Return the variables of a formula as numbers or levels; a ColumnError with the nearest name where one is not."""
    for name in formula.names:
        column = formula.column_of(name)
        if column not in data.columns:
            raise no_column(formula.text, column, data, where)
    return {name: _plain(data[formula.column_of(name)]) for name in formula.names}


def _plain(column: pd.Series) -> pd.Series:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.infer_dtype(column, skipna=True) == "boolean":
        return pd.Series(column.to_numpy(dtype=float, na_value=np.nan), index=column.index)
    return column.astype(object).where(column.notna(), None)


@dataclass(frozen=True, eq=False)
class Encoding:
    """What it takes to make the model matrix again, of the same respondents or of others.

    Attributes
    ----------
    formula : Formula
        The right-hand side.
    names : list of str
        The p columns of the model matrix, as formulaic calls them.
    owners : list of str
        The term of the formula that each column belongs to.
    levels : dict of str to list
        Levels of each categorical variable that respondents in the regression have.
    sample : pandas.DataFrame
        Rows in which every level occurs, of which formulaic learns how to make columns.
    numeric : tuple of str or None
        Variables that enter as plain numbers where all others enter as levels; None where terms are anything else.
    """

    formula: Formula
    names: list[str]
    owners: list[str]
    levels: Mapping[str, list[Any]]
    sample: pd.DataFrame
    numeric: tuple[str, ...] | None = None
    learned: ModelSpec | None = None

    @cached_property
    def spec(self) -> ModelSpec:
        """Levels and whatever transformations formulaic learned from the respondents."""
        return model_matrix(self.formula, self.sample)[1] if self.learned is None else self.learned

    @property
    def terms(self) -> list[str]:
        """Names of the p coefficients."""
        return [self.formula.spoken(name) for name in self.names]

    @property
    def term_of(self) -> tuple[str, ...]:
        """The term of the formula that each coefficient belongs to, p of them."""
        return tuple(self.formula.spoken(owner) for owner in self.owners)

    def matrix(self, data: pd.DataFrame, where: str = "new_data") -> Floats:
        """Return the model matrix of other data, shape (m, p).

        Raises
        ------
        ColumnError
            A column is absent, misses values, or has a level that the regression does not know.
        """
        columns = columns_of(self.formula, data, where)
        known = {name: _recoded(columns[name], levels) for name, levels in self.levels.items()}
        for name, column in columns.items():
            self._refuse(name, column, known.get(name), data, where)
        if self.numeric is not None:
            x = self._from_cells(columns, known, len(data))
        else:
            x = model_matrix(self.formula, pd.DataFrame({**columns, **known}, index=data.index), self.spec)[0]
        strange = ~np.asarray(np.isfinite(x).all(axis=1))
        if strange.any():
            raise not_finite(self.formula.text, self.formula.columns, data, strange, where)
        return x

    def _from_cells(self, columns: Mapping[str, pd.Series], known: Mapping[str, pd.Categorical], n: int) -> Floats:
        """Make the rows of each combination of levels once, and put the numbers in."""
        key, possible = np.zeros(n, dtype=np.int64), 1
        for category in known.values():
            key = key * len(category.categories) + category.codes
            possible *= len(category.categories)
        present, cell = _places(key, possible)
        first = np.empty(len(present), dtype=np.int64)
        first[cell[::-1]] = np.arange(n)[::-1]
        rows = {name: category[first] for name, category in known.items()}
        numbers = {name: np.ones(len(first)) for name in self.numeric or ()}
        x = model_matrix(self.formula, pd.DataFrame({**rows, **numbers}, index=range(len(first))), self.spec)[0][cell]
        for name in self.numeric or ():
            x[:, self.names.index(name)] = columns[name].to_numpy(dtype=float)
        return np.asarray(x)

    def _refuse(
        self, name: str, column: pd.Series, coded: pd.Categorical | None, data: pd.DataFrame, where: str
    ) -> None:
        title = self.formula.column_of(name)
        if column.isna().any():
            raise ColumnError(
                f"'{title}' is missing in {int(column.isna().sum())} of {len(column)} rows of {where}. "
                f"A prediction needs every covariate: fill it in, or leave those rows out.",
                failures=data.loc[column.isna()],
            )
        if coded is None:
            if not pd.api.types.is_numeric_dtype(column):
                raise ColumnError(
                    f"'{title}' holds text in {where} ({column.iloc[0]!r}), but the regression takes it as a number.",
                    failures=data,
                )
            return
        strange = np.asarray(coded.codes) < 0
        if strange.any():
            first = column[strange].iloc[0]
            raise ColumnError(
                f"'{title}' is {first!r} in {where}, a level that nobody in the regression has. "
                f"{did_you_mean(first, self.levels[name])}",
                failures=data.loc[strange],
            )


def _recoded(column: pd.Series, levels: list[Any]) -> pd.Categorical:
    """Return a column by known levels, missing where it has another."""
    known = pd.Index(levels, dtype=object)
    if isinstance(column.dtype, pd.CategoricalDtype):
        places = np.append(known.get_indexer(pd.Index(column.cat.categories, dtype=object)), -1)
        return pd.Categorical.from_codes(places[column.cat.codes.to_numpy()], categories=known)
    return pd.Categorical.from_codes(known.get_indexer(pd.Index(column, dtype=object)), categories=known)


def model_matrix(formula: Formula, frame: pd.DataFrame, spec: ModelSpec | None = None) -> tuple[Floats, ModelSpec]:
    """Return the model matrix of a frame, shape (m, p), and how it was made."""
    try:
        with np.errstate(all="ignore"):
            if spec is None:
                made = formulaic.model_matrix(formula.safe, frame, na_action="ignore")
            else:
                made = spec.get_model_matrix(frame, na_action="ignore")
    except FormulaicError as error:
        raise not_computed(formula.text, error, frame, formula.aliases) from None
    return np.asarray(made, dtype=float), made.model_spec


@dataclass(frozen=True, eq=False)
class Encoded:
    """A model matrix with the rows it is defined for, shape (n,), and how it was made."""

    matrix: Matrix
    used: Mask
    encoding: Encoding


def encode(formula: Formula, data: pd.DataFrame, among: Mask) -> Encoded | None:
    """Return the model matrix of the respondents ``among`` whom every covariate is known; None where nobody is left."""
    columns = columns_of(formula, data)
    terms = _simple_terms(formula, columns)
    if terms is not None:
        found = _coded(formula, data, columns, terms, among)
        if found is not None:
            return found
    frame = pd.DataFrame(columns, index=data.index)
    used = among & frame.notna().all(axis=1).to_numpy()
    if not used.any():
        return None
    seen = _with_seen_levels(frame.loc[used])
    made, spec = model_matrix(formula, seen)
    x = np.zeros((len(data), made.shape[1]))
    x[used] = made
    finite = np.asarray(np.isfinite(x).all(axis=1))
    if not finite.all():
        raise not_finite(formula.text, formula.columns, data, ~finite, "the data")
    levels = {str(name): list(_levels(seen[name])) for name in seen if not pd.api.types.is_numeric_dtype(seen[name])}
    encoding = Encoding(formula, *_named(spec), levels, seen.head(0), learned=spec)
    return Encoded(Dense(x), used, encoding) if used.any() else None


def _named(spec: ModelSpec) -> tuple[list[str], list[str]]:
    """Return the columns of a model matrix and the term that each belongs to."""
    owners = [""] * len(spec.column_names)
    for term, places in spec.term_indices.items():
        for place in places:
            owners[place] = str(term)
    return [str(name) for name in spec.column_names], owners


def _levels(column: pd.Series) -> list[Any]:
    return list(pd.Categorical(column).categories)


def _with_seen_levels(frame: pd.DataFrame) -> pd.DataFrame:
    """Drop levels that nobody in the regression has; they would make columns of zeros."""
    categorical = [name for name in frame if isinstance(frame[name].dtype, pd.CategoricalDtype)]
    return frame.assign(**{str(name): frame[name].cat.remove_unused_categories() for name in categorical})


def _simple_terms(formula: Formula, columns: Mapping[str, pd.Series]) -> tuple[list[str], list[str]] | None:
    """Return the variables that enter as levels and as plain numbers; None where a term is anything else."""
    if not formula.parsed:
        return None
    coded: set[str] = set()
    numeric: set[str] = set()
    for term in formula.parsed:
        expressions = [factor.expr for factor in term.factors if factor.expr not in ("1", "0")]
        kinds = set()
        for expression in expressions:
            name = expression[2:-1] if re.fullmatch(r"C\(\w+\)", expression) else expression
            if name not in columns:
                return None
            levels = name != expression or not pd.api.types.is_numeric_dtype(columns[name])
            (coded if levels else numeric).add(name)
            kinds.add(levels)
        if kinds == {False, True} or (kinds == {False} and len(expressions) > 1):
            return None
    return None if coded & numeric else (sorted(coded), sorted(numeric))


def _coded(
    formula: Formula,
    data: pd.DataFrame,
    columns: Mapping[str, pd.Series],
    names: tuple[list[str], list[str]],
    among: Mask,
) -> Encoded | None:
    """Return the model matrix as cells of the categorical covariates beside numeric columns; None where too many."""
    coded, numeric = names
    categories = {name: _categorical(columns[name]) for name in coded}
    values = {name: np.asarray(columns[name], dtype=np.float64) for name in numeric}
    codes = {name: np.asarray(category.codes) for name, category in categories.items()}
    used = among.copy()
    for code in codes.values():
        used &= code >= 0
    for value in values.values():
        used &= ~np.isnan(value)
    for value in values.values():
        infinite = np.isinf(value)
        if infinite.any() and (infinite & used).any():
            raise not_finite(formula.text, formula.columns, data, infinite & used, "the data")
    if not used.any():
        return None
    sizes = [len(categories[name].categories) for name in coded]
    crossed = _crossed(codes, sizes, used)
    if crossed is None:
        return None
    cell, present = crossed
    grid, levels = _grid(categories, sizes, present, numeric)
    table, titles, owners = _table(formula, grid, levels) or _learned_table(formula, grid)
    at_numeric = np.array([titles.index(name) for name in numeric], dtype=np.int64)
    at_table = np.setdiff1d(np.arange(table.shape[1]), at_numeric)
    order = np.empty(table.shape[1], dtype=np.int64)
    order[np.concatenate([at_table, at_numeric])] = np.arange(table.shape[1])
    dense = tuple(value if used.all() else np.where(used, value, 0.0) for value in values.values())
    matrix = Coded(Columns(len(used), cell, table[:, at_table], dense), order, used)
    return Encoded(matrix, used, Encoding(formula, titles, owners, levels, grid, tuple(numeric)))


def _learned_table(formula: Formula, grid: pd.DataFrame) -> tuple[Floats, list[str], list[str]]:
    table, spec = model_matrix(formula, grid)
    return table, *_named(spec)


def _table(
    formula: Formula, grid: pd.DataFrame, levels: Mapping[str, list[Any]]
) -> tuple[Floats, list[str], list[str]] | None:
    """Return the model matrix of the grid with the names of its columns; None where there is more than main effects."""
    expressions = [str(term) for term in formula.parsed]
    if expressions[0] != "1" or any(term.degree != 1 for term in formula.parsed[1:]):
        return None
    columns, names, owners = [np.ones(len(grid))], ["Intercept"], ["1"]
    for expression in expressions[1:]:
        name = expression.removeprefix("C(").removesuffix(")")
        if name not in levels:
            columns, names, owners = [*columns, np.ones(len(grid))], [*names, name], [*owners, name]
            continue
        code = grid[name].array.codes
        for place, level in enumerate(levels[name][1:], start=1):
            columns.append((code == place).astype(float))
            names.append(f"{expression}[T.{level}]")
            owners.append(expression)
    return np.column_stack(columns), names, owners


def _categorical(column: pd.Series) -> pd.Categorical:
    values = column.array
    return values if isinstance(values, pd.Categorical) else pd.Categorical(column)


def _crossed(codes: Mapping[str, NDArray[Any]], sizes: list[int], used: Mask) -> tuple[Codes, Codes] | None:
    """Return each row's cell and the keys of the cells that occur; None where they are too many."""
    possible = int(np.prod(sizes, dtype=float))
    if possible > np.iinfo(np.int64).max // 2:
        return None
    key = np.zeros(len(used), dtype=np.int64)
    for code, size in zip(codes.values(), sizes, strict=True):
        key *= size
        key += code
    if not used.all():
        key[~used] = key[np.argmax(used)]
    present, cell = _places(key, possible)
    return None if len(present) > min(MAXIMUM_CELLS, max(50, len(used) // 4)) else (cell, present)


def _places(key: Codes, possible: int) -> tuple[Codes, Codes]:
    """Return the keys that occur, in order, and each row's place among them, shape (n,)."""
    if possible > MAXIMUM_KEYS:
        present, place = np.unique(key, return_inverse=True)
        return present, place
    seen = np.bincount(key, minlength=possible) > 0
    return np.flatnonzero(seen), (np.cumsum(seen) - 1)[key]


def _grid(
    categories: Mapping[str, pd.Categorical], sizes: list[int], present: Codes, numeric: list[str]
) -> tuple[pd.DataFrame, dict[str, list[Any]]]:
    """Return one row per cell that occurs, numbers at one, and the levels that occur."""
    columns: dict[str, Any] = {name: np.ones(len(present)) for name in numeric}
    levels: dict[str, list[Any]] = {}
    rest = present
    for (name, category), size in zip(reversed(list(categories.items())), reversed(sizes), strict=True):
        rest, code = np.divmod(rest, size)
        seen = np.unique(code)
        known = category.categories[seen]
        levels[name] = list(known)
        columns[name] = pd.Categorical.from_codes(np.searchsorted(seen, code), categories=known)
    return pd.DataFrame(columns, index=range(len(present))), levels
