"""Declaring a design: which columns say how respondents were drawn and weighted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from evaluation.design.design import Design, Floats, Linearization
from evaluation.design.sampling import Sampling, code_sampling, require_column
from evaluation.errors import ColumnError, DesignError
from evaluation.results import Provenance
from evaluation.survey.reading import Survey
from evaluation.survey.values import strays


def survey_design(
    data: Survey | pd.DataFrame,
    *,
    weights: str | None = None,
    strata: str | None = None,
    psu: str | Sequence[str] | None = None,
    fpc: str | float | Sequence[str | float] | None = None,
    nested: bool = False,
    linearization: Linearization = "exact",
) -> Design:
    """Declare how respondents were drawn and weighted.

    Parameters
    ----------
    data : Survey or pandas.DataFrame
        One row per respondent. A Survey brings its own design; naming any design column here
        replaces all of it.
    weights : str, optional
        Column of design weights (inverse selection probabilities), zero allowed. Without it the
        weights are the inverse sampling fractions of ``fpc``; without either, all are 1.
    strata : str, optional
        Column of first-stage strata.
    psu : str or list of str, optional
        Sampling units, first stage first. Without it each respondent is a unit.
    fpc : str, float or list of them, optional
        Per stage, the column with the population count in the stratum (at later stages in the unit
        before) or with the sampling fraction, or one number that holds everywhere; a stage without
        one counts as drawn with replacement.
    nested : bool, default False
        True where PSU ids start afresh in every stratum; False refuses an id in two strata.
    linearization : {"exact", "r"}
        How weighting steps enter the variance: the exact derivative, or the convention of R survey.

    Returns
    -------
    Design

    Raises
    ------
    ColumnError
        A column is absent, incomplete, not numeric, or stands twice.
    DesignError
        Weights are negative or not finite, a PSU stands in two strata, an fpc is smaller than the
        sample, a stratum holds a single PSU.

    References
    ----------
    R twin: ``survey::svydesign``.

    Examples
    --------
    >>> respondents = pd.DataFrame({"w": [2.0, 2.0, 3.0, 3.0], "area": ["a", "a", "b", "b"]})
    >>> survey_design(respondents, weights="w", strata="area")
    survey: data frame, n = 4
    sampling: 4 PSUs (one respondent each), 2 strata (area)
    weights: w, sum 10
    variance: taylor linearization, degrees of freedom 2
    """
    frame, declared = _frame_and_design(data, weights, strata, psu, fpc, nested)
    if frame.empty:
        raise DesignError("the data have no rows, so there is no sample to declare. Check what was read or filtered.")
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()].tolist()
        raise ColumnError(f"columns stand twice in the data: {twice}. Rename or drop one of each.")
    frame = frame.reset_index(drop=True)
    sampling = code_sampling(frame, strata=declared.strata, psu=declared.psu, fpc=declared.fpc, nested=declared.nested)
    base, named = _weights(frame, declared.weights, sampling)
    plain = Provenance(n=len(frame), weight=named)
    provenance = data.provenance(weight=named) if isinstance(data, Survey) else plain
    return Design(frame, sampling, base, base, provenance, linearization=linearization)


@dataclass(frozen=True)
class _Declared:
    weights: str | None
    strata: str | None
    psu: tuple[str, ...]
    fpc: tuple[str | float, ...]
    nested: bool


def _frame_and_design(
    data: Survey | pd.DataFrame,
    weights: str | None,
    strata: str | None,
    psu: str | Sequence[str] | None,
    fpc: str | float | Sequence[str | float] | None,
    nested: bool,
) -> tuple[pd.DataFrame, _Declared]:
    given = _Declared(weights, strata, _names(psu), _fpc(fpc), nested)
    if isinstance(data, pd.DataFrame):
        return data, given
    if not isinstance(data, Survey):
        raise DesignError(
            f"survey_design needs a Survey or a DataFrame, got {type(data).__name__}. Read the data first, "
            f"with ev.read_survey(...) or ev.read_survey_file(...)."
        )
    if given == _Declared(None, None, (), (), False):
        own = data.design
        given = _Declared(
            own.get("weights"),
            own.get("strata"),
            _names(own.get("psu")),
            _fpc(own.get("fpc")),
            own.get("nested", False),
        )
    return data.data, given


def _names(columns: str | Sequence[str] | None) -> tuple[str, ...]:
    if columns is None:
        return ()
    return (columns,) if isinstance(columns, str) else tuple(columns)


def _fpc(given: str | float | Sequence[str | float] | None) -> tuple[str | float, ...]:
    if given is None:
        return ()
    if isinstance(given, str):
        return (given,)
    return tuple(given) if isinstance(given, Sequence) else (given,)


def _weights(frame: pd.DataFrame, name: str | None, sampling: Sampling) -> tuple[Floats, str]:
    if name is None:
        return _implied_weights(frame, sampling)
    require_column(frame, name)
    if not pd.api.types.is_numeric_dtype(frame[name]):
        rows, told = strays(frame[name])
        raise ColumnError(
            f"weights '{name}' are {frame[name].dtype}, expected numbers{': ' if told else ''}{told}. Correct them, "
            f"then convert the column with pandas.to_numeric.",
            failures=frame.loc[rows] if told else None,
        )
    values = frame[name].to_numpy(dtype=float, na_value=np.nan)
    wrong = ~np.isfinite(values) | (values < 0)
    if wrong.any():
        raise DesignError(
            f"weights '{name}' are missing, negative or not finite in {int(wrong.sum())} of {len(values)} rows "
            f"(first: data row {int(np.flatnonzero(wrong)[0]) + 1:,}, {values[wrong][0]:g}). "
            f"Every respondent needs one; zero is allowed.",
            failures=frame.loc[wrong],
        )
    first = sampling.stages[0]
    empty = np.bincount(first.stratum[first.unit], weights=values, minlength=first.n_strata) == 0
    if empty.any():
        raise DesignError(
            f"weights '{name}' are all zero in {int(empty.sum())} of {first.n_strata} strata. Leave those strata out, "
            f"or correct the weights.",
            failures=frame.loc[empty[first.stratum[first.unit]]],
        )
    return values, name


def _implied_weights(frame: pd.DataFrame, sampling: Sampling) -> tuple[Floats, str]:
    if not sampling.fpc:
        return np.ones(len(frame)), "unweighted"
    inverse = np.ones(len(frame))
    for stage in sampling.stages:
        fraction = stage.fraction[stage.stratum[stage.unit]]
        if (fraction == 0).any():
            raise DesignError(
                "weights=None takes the inverse sampling fractions of fpc, but a stage has none. "
                "Name the weight column, or give an fpc for every stage."
            )
        inverse = inverse / fraction
    if (inverse == 1).all():
        return inverse, "census"
    return inverse, f"1/fraction({', '.join(map(str, sampling.fpc))})"
