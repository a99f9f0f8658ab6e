"""Who moves a number: respondents, sampling units and strata, by their influence on an estimate and on its error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.collapse import mass_by
from evaluation.design.design import Design, require_design
from evaluation.design.sampling import Sampling
from evaluation.design.variance import ReplicateEngine, TaylorEngine
from evaluation.errors import EstimationError, did_you_mean
from evaluation.estimation.diagnostic_frames import DiagnosticFrame, hidden, marks_of
from evaluation.results import NOISE, RECORDS, Estimates

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Unit = Literal["respondent", "psu", "stratum"]
Moves = Literal["estimate", "std_error"]
VERB = "respondent_influence"

#: Errors are worked out for this many more than are shown, those that a quick score puts first.
SPARE = 50
#: Columns whose covariance is taken at once.
BLOCK = 256


class RespondentInfluence(DiagnosticFrame):
    """Who moves an estimate and its error most; columns as in ``respondent_influence``.

    Of respondents the frame is marked as made from their records: it may be looked at, but not be published.
    """


def respondent_influence(
    result: Estimates,
    *,
    top: int = 10,
    unit: Unit = "respondent",
    moves: Moves = "estimate",
    design: Design | None = None,
) -> RespondentInfluence:
    """Find the respondents, sampling units or strata that move each estimate, or its standard error, most.

    Parameters
    ----------
    result : Estimates
        With an influence function: means, totals, shares, ratios, coefficients, contrasts of them.
    top : int, default 10
        How many to show for each estimate.
    unit : {"respondent", "psu", "stratum"}, default "respondent"
        Who is left out.
    moves : {"estimate", "std_error"}, default "estimate"
        By what they are ordered; strata are ordered by their share of the variance.
    design : Design, optional
        Whose weights are shown beside respondents; known already of regressions.

    Returns
    -------
    RespondentInfluence
        For each estimate (its key columns) the first ``top``:

        - respondents: ``row`` (position in the data, from 0), ``weight``, ``change``, ``change_in_errors``,
          ``std_error_change``;
        - PSUs: ``stratum`` (where there are strata), ``psu``, ``n_obs``, the same changes, ``share_of_variance``;
        - strata: ``stratum``, ``n_psu``, ``n_obs``, ``share_of_variance``.

        ``change`` is the estimate without them less the estimate, ``change_in_errors`` the same in standard errors,
        ``std_error_change`` the standard error without them over the standard error, less 1 (missing with
        replicates). No answer of a respondent is shown. Respondents' rows cannot be published; those of units with
        fewer than the survey's ``min_cell`` respondents are blank.

    Raises
    ------
    EstimationError
        The result has no influence function; the design has no PSUs or strata; ``top`` is below 1.

    Notes
    -----
    One step: influence is the change per proportional change of a weight, so leaving out is taken for minus the
    influence, with the sampling units as they are (as in a domain without them). Exact for totals; of a mean the exact
    change is larger by the factor :math:`W / (W - w)`.

    A PSU's share of the variance is what its deviation from the mean of its stratum adds; shares sum to one in
    designs of one and two stages, joint probabilities apart. They are missing with replicates, and where the rule
    for lonely PSUs looks at domains.

    References
    ----------
    Deville (1999), Survey Methodology 25, 193-203 (influence of a unit). Belsley, Kuh and Welsch (1980), Regression
    Diagnostics, chapter 2 (DFBETAS, which ``change_in_errors`` is with the sign turned).

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.estimation.means import survey_total
    >>> answers = pd.DataFrame({"y": [1.0, 2.0, 9.0], "w": [1.0, 1.0, 2.0]})
    >>> found = respondent_influence(survey_total(survey_design(answers, weights="w"), "y"), top=1)
    >>> found.tidy()[["term", "row", "change"]].to_numpy().tolist()
    [['y', 2, -18.0]]
    """
    sampling = _refuse(result, top, unit, moves)
    influence = result.influence
    if influence is None:
        raise EstimationError(_NO_INFLUENCE.format(verb=result.verb, method=result.variance_method))
    weights = _weights(result, sampling, design)
    frames, marks = [], []
    for place, mark in enumerate(result.marks):
        own = influence[:, place]
        noise = np.abs(own) <= NOISE * np.abs(result.estimate[place])
        one = _One(result.take(np.array([place])), np.where(noise, 0.0, own), sampling)
        found = _listed(one, unit, top, moves, weights)
        few = [""] * len(found)
        if "n_obs" in found:
            few = marks_of(found["n_obs"].to_numpy(dtype=np.int64), result.provenance, bases=False)
        marks += [mark or own_mark for own_mark in few]
        keys = result.keys.iloc[np.full(len(found), place)].reset_index(drop=True)
        frames.append(pd.concat([keys, found.rename(columns=lambda name: _free(name, result.keys))], axis=1))
    frame = hidden(pd.concat(frames, ignore_index=True), list(result.keys.columns), marks)
    if unit == "respondent":
        frame.attrs[RECORDS] = True
    return RespondentInfluence(VERB, frame, result.provenance)


def _listed(one: _One, unit: Unit, top: int, moves: Moves, weights: Floats | None) -> pd.DataFrame:
    if unit == "respondent":
        return _respondents(one, top, moves, weights)
    return _units(one, top, moves) if unit == "psu" else _strata(one, top)


def _free(name: str, keys: pd.DataFrame) -> str:
    """Return a column name that no key column has."""
    return f"{name}_left_out" if name in keys.columns else name


_NO_INFLUENCE = (
    VERB + ": {verb} has no influence function ({method}), so it is not known who moves it. Take means, totals, "
    "shares, ratios, coefficients or contrasts of them."
)


def _refuse(result: Estimates, top: int, unit: str, moves: str) -> Sampling:
    """Return how the respondents of a result were drawn; refuse what has no answer."""
    if not isinstance(result, Estimates):
        raise EstimationError(
            f"{VERB} needs estimates, got {type(result).__name__}. Pass what ev.survey_mean returned."
        )
    if isinstance(top, bool) or not isinstance(top, int) or top < 1:
        raise EstimationError(f"{VERB}: top must be a whole number from 1, got {top!r}.")
    for name, given, options in (
        ("unit", unit, ("respondent", "psu", "stratum")),
        ("moves", moves, ("estimate", "std_error")),
    ):
        if given not in options:
            raise EstimationError(f"{VERB}: unknown {name} {given!r}. {did_you_mean(given, options)}")
    engine = result.engine
    if result.influence_of is None or not isinstance(engine, (TaylorEngine, ReplicateEngine)):
        raise EstimationError(_NO_INFLUENCE.format(verb=result.verb, method=result.variance_method))
    sampling = engine.sampling
    if unit == "psu" and not any(own.psu for own in (sampling, *(part.sampling for part in sampling.parts))):
        raise EstimationError(f"{VERB}: the design names no PSUs; every respondent is one. Ask for unit='respondent'.")
    if unit == "stratum" and sampling.strata is None:
        raise EstimationError(f"{VERB}: the design names no strata. Ask for unit='psu' or unit='respondent'.")
    return sampling


def _weights(result: Estimates, sampling: Sampling, design: Design | None) -> Floats | None:
    given = getattr(result, "design", None) if design is None else design
    if given is None:
        return None
    require_design(given, VERB)
    if not given.sampling.is_same_sample(sampling):
        raise EstimationError(f"{VERB}: the estimates were made from another design than the one given. Give theirs.")
    return np.asarray(given.weights)


@dataclass(frozen=True, eq=False)
class _One:
    """One estimate: itself, its influence of shape (n,), and how respondents were drawn."""

    result: Estimates
    influence: Floats
    sampling: Sampling

    @property
    def variance(self) -> float:
        """The variance of the estimate."""
        return float(self.result.vcov[0, 0])

    @property
    def contributions(self) -> Floats | None:
        """Contributions of the units of the last stage, shape (rows,); None with replicates."""
        made = self.result.contributions
        return made[:, 0] if isinstance(self.result.engine, TaylorEngine) and made is not None else None

    def covariances(self, column: Floats, others: Floats) -> Floats:
        """Return the covariance of a column of contributions with each of the others, shape (k,)."""
        found = np.empty(others.shape[1])
        for start in range(0, others.shape[1], BLOCK):
            block = others[:, start : start + BLOCK]
            found[start : start + BLOCK] = self._covariance(np.column_stack([column, block]))[0, 1:]
        return found

    def variances_without(self, taken: Floats) -> Floats:
        """Return the variance where each column of ``taken`` is taken off the contributions, shape (k,)."""
        own = self.contributions
        if own is None:
            return np.full(taken.shape[1], np.nan)
        return np.asarray(np.diag(self._covariance(own[:, None] - taken)))

    def _covariance(self, contributions: Floats) -> Floats:
        engine = self.result.engine
        return np.zeros((0, 0)) if engine is None else engine.covariance(contributions)

    def changes(self, change: Floats, taken: Floats) -> dict[str, Floats]:
        """Return what leaving out does: to the estimate, in standard errors, and to the standard error."""
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.sqrt(np.clip(self.variances_without(taken), 0.0, None))
            before = self.result.std_error[0] if self.result.std_error[0] > 0 else np.nan
            return {"change": change, "change_in_errors": change / before, "std_error_change": error / before - 1}

    def has_shares(self) -> bool:
        """Tell whether the variance is a quadratic form that can be shared out."""
        rules = self.sampling.rules
        usual = rules.lonely_psu != "average" and not rules.lonely_domains
        return usual and self.contributions is not None and self.variance > 0


def _first(score: Floats, count: int) -> Codes:
    """Return the places of the largest scores, in order; of equal ones the first."""
    return np.argsort(-score, kind="stable")[:count]


def _ordered(found: pd.DataFrame, top: int, moves: Moves) -> pd.DataFrame:
    by = "change" if moves == "estimate" or found["std_error_change"].isna().all() else "std_error_change"
    return found.iloc[_first(found[by].abs().fillna(0.0).to_numpy(), top)].reset_index(drop=True)


def _respondents(one: _One, top: int, moves: Moves, weights: Floats | None) -> pd.DataFrame:
    unit, influence = one.sampling.unit, one.influence
    score = np.abs(influence)
    if moves == "std_error" and one.contributions is not None:
        score = np.abs(influence * (2 * _centred(one, one.contributions)[unit] - influence))
    at = _first(score, min(int((influence != 0).sum()), top + (SPARE if moves == "std_error" else 0)))
    taken = np.zeros((1 if one.contributions is None else len(one.contributions), len(at)))
    if one.contributions is not None:
        taken[unit[at], np.arange(len(at))] = influence[at]
    found: dict[str, Any] = {"row": at} if weights is None else {"row": at, "weight": weights[at]}
    return _ordered(pd.DataFrame(found | one.changes(-influence[at], taken)), top, moves)


def _centred(one: _One, contributions: Floats) -> Floats:
    """Return contributions of last-stage units less their share of the stratum's mean PSU, shape (n_units,)."""
    stages, own = one.sampling.stages, contributions[: one.sampling.n_units]
    first = stages[0]
    totals = mass_by(_first_unit(one.sampling), first.n_units, own)
    level = (mass_by(first.stratum, first.n_strata, totals) / first.units_per_stratum)[first.stratum]
    for stage in stages[1:]:
        level = (level / stage.units_per_stratum)[stage.stratum]
    return np.asarray(own - level)


def _first_unit(sampling: Sampling) -> Codes:
    """Return the PSU of each unit of the last stage, shape (n_units,)."""
    found = np.zeros(sampling.n_units, dtype=np.int64)
    found[sampling.unit] = sampling.stages[0].unit
    return found


def _units(one: _One, top: int, moves: Moves) -> pd.DataFrame:
    first = one.sampling.stages[0]
    sums = mass_by(first.unit, first.n_units, one.influence)
    n_obs = np.bincount(first.unit[one.influence != 0], minlength=first.n_units)
    own, owner = one.contributions, _first_unit(one.sampling)
    centred = None if own is None else _centred(one, own)
    score = np.abs(sums)
    if moves == "std_error" and centred is not None:
        score = np.abs(mass_by(owner, first.n_units, centred))
    spare = SPARE if moves == "std_error" else 0
    at = _first(np.where(n_obs > 0, score, -1.0), min(int((n_obs > 0).sum()), top + spare))
    share = np.full(len(at), np.nan)
    taken = np.zeros((1, len(at)))
    if own is not None and centred is not None:
        inside = owner[:, None] == at[None, :]
        taken = np.zeros((len(own), len(at)))
        taken[: len(owner)] = np.where(inside, own[: len(owner), None], 0.0)
        if one.has_shares():
            deviations = np.zeros_like(taken)
            deviations[: len(owner)] = np.where(inside, centred[:, None], 0.0)
            share = one.covariances(own, deviations) / one.variance
    names = _names(one.sampling, at)
    found = pd.DataFrame({**names, "n_obs": n_obs[at], **one.changes(-sums[at], taken), "share_of_variance": share})
    return _ordered(found, top, moves)


def _names(sampling: Sampling, units: Codes) -> dict[str, list[str]]:
    """Return what PSUs are called, with their strata where there are any."""
    rows = _first_rows(sampling.stages[0].unit, sampling.stages[0].n_units)[units]
    found = {} if sampling.strata is None else {"stratum": [_stratum(sampling, row) for row in rows]}
    return found | {"psu": [_psu(sampling, row) for row in rows]}


def _first_rows(code: Codes, size: int) -> Codes:
    """Return the first row of each group, shape (size,)."""
    found = np.zeros(size, dtype=np.int64)
    found[code[::-1]] = np.arange(len(code))[::-1]
    return found


def _owner(sampling: Sampling, row: int) -> tuple[Sampling, int, str]:
    """Return the sampling by which a row was drawn, its row there, and the name of its frame."""
    for part in sampling.parts:
        if row < len(part.sampling.data):
            return part.sampling, row, part.name
        row -= len(part.sampling.data)
    return sampling, row, ""


def _psu(sampling: Sampling, row: int) -> str:
    own, at, frame = _owner(sampling, row)
    return ": ".join(filter(None, (frame, str(own.data[own.psu[0]].iloc[at]) if own.psu else "")))


def _stratum(sampling: Sampling, row: int) -> str:
    own, at, frame = _owner(sampling, row)
    return ": ".join(filter(None, (frame, "" if own.strata is None else str(own.data[own.strata].iloc[at]))))


def _strata(one: _One, top: int) -> pd.DataFrame:
    first, own = one.sampling.stages[0], one.contributions
    counted = one.influence != 0
    stratum = first.stratum[first.unit]
    rows = _first_rows(stratum, first.n_strata)
    share = np.full(first.n_strata, np.nan)
    if own is not None and one.has_shares():
        of_unit = first.stratum[_first_unit(one.sampling)]
        parts = np.zeros((len(own), first.n_strata))
        parts[np.arange(len(of_unit)), of_unit] = own[: len(of_unit)]
        share = one.covariances(own, parts) / one.variance
    psus = np.bincount(first.stratum[np.unique(first.unit[counted])], minlength=first.n_strata)
    found = pd.DataFrame(
        {
            "stratum": [_stratum(one.sampling, row) for row in rows],
            "n_psu": psus,
            "n_obs": np.bincount(stratum[counted], minlength=first.n_strata),
            "share_of_variance": share,
        }
    )
    order = _first(np.where(np.isnan(share), 0.0, share), first.n_strata)
    found = found.iloc[order]
    return found[found["n_obs"] > 0].head(top).reset_index(drop=True)
