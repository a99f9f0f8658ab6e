"""Declaring a design: which columns say how respondents were drawn and weighted."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from evaluation.design.coding import DesignColumns, code_sampling
from evaluation.design.design import Design, Floats, Linearization
from evaluation.design.pps import PairVariance
from evaluation.design.sampling import LonelyRule, PpsMethod, Sampling, VarianceRules, require_column
from evaluation.errors import ColumnError, DesignError, did_you_mean, require_flag
from evaluation.results import Provenance
from evaluation.survey.reading import Survey
from evaluation.survey.values import strays

Pps = Literal["brewer", "hartley_rao"] | pd.DataFrame | Floats | None


def survey_design(
    data: Survey | pd.DataFrame,
    *,
    weights: str | None = None,
    strata: str | None = None,
    psu: str | Sequence[str] | None = None,
    fpc: str | float | Sequence[str | float] | None = None,
    nested: bool = False,
    pps: Pps = None,
    pps_variance: PairVariance = "horvitz_thompson",
    lonely_psu: LonelyRule = "fail",
    lonely_domains: bool = False,
    linearization: Linearization = "exact",
) -> Design:
    """Declare how respondents were drawn and weighted.

    Parameters
    ----------
    data : Survey or pandas.DataFrame
        One row per respondent. A Survey brings its own design; naming any design column here
        replaces all of it, naming a rule for lonely PSUs or pps replaces the rules alone.
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
        one counts as drawn with replacement, and so do strata with an infinite count. A column is all
        counts (1 and above) or all fractions (1 and below); a census is declared by its count.
    nested : bool, default False
        True where PSU ids start afresh in every stratum; False refuses an id in two strata.
    pps : {"brewer", "hartley_rao"} or matrix of shape (n_psu, n_psu), optional
        First stage drawn with unequal probabilities without replacement; the first ``fpc`` then holds
        each PSU's inclusion probability. ``"brewer"`` needs no joint probabilities, ``"hartley_rao"``
        approximates them from the sample; a matrix gives them: a DataFrame indexed by PSU ids, or an
        array in the order in which PSUs first appear. Later stages are as without it.
    pps_variance : {"horvitz_thompson", "yates_grundy"}
        Estimator where joint probabilities are known; Yates-Grundy needs a fixed sample size.
    lonely_psu : {"fail", "remove", "centre", "average"}
        Strata with one PSU, also at later stages: ``"fail"`` refuses them here, ``"remove"`` gives them
        no variance, ``"centre"`` takes that PSU about the mean of all PSUs, ``"average"`` gives them the
        mean variance of the other strata of the domain.
    lonely_domains : bool, default False
        Apply the rule too to strata of which one PSU has respondents in a domain; changes nothing under
        ``"remove"``.
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
        sample, a stratum holds a single PSU, joint probabilities cannot be.

    Notes
    -----
    For the rules on domains a PSU is in a domain where it contributes to the number, and ``"average"`` counts
    the strata that do: one number has one standard error, whether asked for with ``domain``, by groups or as the
    total of an indicator. R does as it was asked: the total of an indicator counts all strata there.

    References
    ----------
    R twin: ``survey::svydesign``; ``lonely_psu`` is ``options(survey.lonely.psu)`` with ``"centre"`` for
    ``"adjust"``, ``lonely_domains`` is ``options(survey.adjust.domain.lonely)``.

    Examples
    --------
    >>> respondents = pd.DataFrame({"w": [2.0, 2.0, 3.0, 3.0], "area": ["a", "a", "b", "b"]})
    >>> survey_design(respondents, weights="w", strata="area")
    survey: data frame, n = 4
    sampling: 4 PSUs (one respondent each), 2 strata (area)
    weights: w, sum 10
    variance: taylor linearization, degrees of freedom 2
    """
    require_flag(nested, "survey_design: nested", DesignError)
    require_flag(lonely_domains, "survey_design: lonely_domains", DesignError)
    _require_one_of("linearization", linearization, Linearization)
    columns = DesignColumns(_name(strata, "strata"), _names(psu), _fpc(fpc), nested)
    frame, declared = _frame_and_design(
        data, _Declared(weights, columns, pps, pps_variance, lonely_psu, lonely_domains)
    )
    if frame.empty:
        raise DesignError("the data have no rows, so there is no sample to declare. Check what was read or filtered.")
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()].tolist()
        raise ColumnError(f"columns stand twice in the data: {twice}. Rename or drop one of each.")
    frame = frame.reset_index(drop=True)
    joint = None if declared.pps is None or isinstance(declared.pps, str) else declared.pps
    sampling = code_sampling(frame, declared.columns, _rules(declared), joint)
    base, named = _weights(frame, declared.weights, sampling)
    plain = Provenance(n=len(frame), weight=named)
    provenance = data.provenance(weight=named) if isinstance(data, Survey) else plain
    return Design(frame, sampling, base, base, provenance, linearization=linearization)


@dataclass(frozen=True, eq=False)
class _Declared:
    weights: str | None
    columns: DesignColumns
    pps: Pps
    pps_variance: PairVariance
    lonely_psu: LonelyRule
    lonely_domains: bool


def _frame_and_design(data: Survey | pd.DataFrame, given: _Declared) -> tuple[pd.DataFrame, _Declared]:
    if isinstance(data, pd.DataFrame):
        return data, given
    if not isinstance(data, Survey):
        raise DesignError(
            f"survey_design needs a Survey or a DataFrame, got {type(data).__name__}. Read the data first, "
            f"with ev.read_survey(...) or ev.read_survey_file(...)."
        )
    own = data.design
    if given.weights is None and given.columns == DesignColumns():
        columns = DesignColumns(
            own.get("strata"), _names(own.get("psu")), _fpc(own.get("fpc")), own.get("nested", False)
        )
        given = replace(given, weights=own.get("weights"), columns=columns)
        if given.pps is None and given.lonely_psu == "fail" and not given.lonely_domains:
            rules = ("pps", "pps_variance", "lonely_psu", "lonely_domains")
            given = replace(given, **{rule: own[rule] for rule in rules if rule in own})
    return data.data, given


def _rules(given: _Declared) -> VarianceRules:
    pps, lonely_psu = given.pps, given.lonely_psu
    _require_one_of("lonely_psu", lonely_psu, LonelyRule)
    _require_one_of("pps_variance", given.pps_variance, PairVariance)
    if given.lonely_domains and lonely_psu == "fail":
        raise DesignError(
            "lonely_domains=True extends a rule for lonely PSUs to domains, but lonely_psu='fail' is none. Name one: "
            "lonely_psu='centre' or 'average'."
        )
    if isinstance(pps, str):
        _require_one_of("pps", pps, Literal["brewer", "hartley_rao"], " or a matrix of joint probabilities")
    elif pps is not None and not isinstance(pps, (pd.DataFrame, np.ndarray)):
        raise DesignError(
            f"pps must be 'brewer', 'hartley_rao' or a matrix of joint probabilities, got {type(pps).__name__}."
        )
    named: PpsMethod | None = pps if pps is None or isinstance(pps, str) else "joint"
    if given.pps_variance == "yates_grundy" and named in (None, "brewer"):
        raise DesignError(
            "pps_variance='yates_grundy' needs joint probabilities: pps='hartley_rao' or a matrix of them. Brewer's "
            "variance has no such choice."
        )
    if named in ("hartley_rao", "joint") and lonely_psu in ("centre", "average"):
        raise DesignError(
            f"lonely_psu='{lonely_psu}' is not defined where pairs of PSUs have joint probabilities. Use 'remove', "
            f"or pps='brewer'."
        )
    return VarianceRules(
        lonely_psu=lonely_psu, lonely_domains=given.lonely_domains, pps=named, pps_variance=given.pps_variance
    )


def _require_one_of(argument: str, value: object, allowed: Any, more: str = "") -> None:
    names = get_args(allowed)
    if not isinstance(value, str) or value not in names:
        raise DesignError(
            f"{argument} must be one of {', '.join(map(repr, names))}{more}, got {value!r}. "
            f"{did_you_mean(str(value).casefold(), names)}"
        )


def _name(column: Any, argument: str) -> Any:
    """Return the name of a column; a ColumnError where there is none in it."""
    if isinstance(column, str) and not column.strip():
        raise ColumnError(f"{argument} must name a column, got {column!r}. Leave it out where there is none.")
    return column


def _names(columns: Any) -> tuple[str, ...]:
    """Return the columns of sampling units, first stage first."""
    if columns is None:
        return ()
    if isinstance(columns, Hashable) and not isinstance(columns, tuple):
        return (_name(columns, "psu"),)
    if not isinstance(columns, (list, tuple, pd.Index, np.ndarray)):
        raise ColumnError(
            f"psu must name a column, or a list of them, first stage first, got {type(columns).__name__}. Put the "
            f"sampling units into the data and name their column."
        )
    names = tuple(_name(column, "psu") for column in columns)
    if not names or any(name is None for name in names):
        raise ColumnError(
            f"psu must name columns of sampling units, got {list(names)!r}. Leave psu out where each respondent is one."
        )
    twice = [name for place, name in enumerate(names) if name in names[:place]]
    if twice:
        raise ColumnError(f"psu names '{twice[0]}' twice. Each stage has a column of its own, first stage first.")
    return names


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
            failures=frame.loc[rows] if told else frame,
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
    by_unit = np.bincount(first.unit, weights=values, minlength=first.n_units)
    empty = np.bincount(first.stratum, weights=by_unit, minlength=first.n_strata) == 0
    if empty.all():
        raise DesignError(f"weights '{name}' are all zero, so nobody counts. Correct them.", failures=frame)
    if empty.any():
        rows = empty[first.stratum[first.unit]]
        named = ", ".join(map(str, frame.loc[rows, sampling.strata].unique()[:5]))
        raise DesignError(
            f"weights '{name}' are all zero in {int(empty.sum())} of {first.n_strata} strata ({named}). Leave those "
            f"strata out, or correct the weights.",
            failures=frame.loc[rows],
        )
    return values, name


def _implied_weights(frame: pd.DataFrame, sampling: Sampling) -> tuple[Floats, str]:
    if not sampling.fpc and sampling.rules.pps is None:
        return np.ones(len(frame)), "unweighted"
    inverse = np.ones(len(frame))
    for number, stage in enumerate(sampling.stages):
        fraction = stage.unit_fraction[stage.unit]
        if (fraction == 0).any():
            raise DesignError(
                f"weights=None takes the inverse sampling fractions of fpc, but stage {number + 1} has none in "
                f"{int((fraction == 0).sum())} of {len(frame)} rows: it is drawn with replacement. "
                "Name the weight column, or give an fpc for every stage.",
                failures=frame.loc[fraction == 0],
            )
        inverse = inverse / fraction
    if (inverse == 1).all():
        return inverse, "census"
    return inverse, f"1/fraction({', '.join(map(str, sampling.fpc or ('pps',)))})"
