"""The sample against its population, before and after weighting: shares and means, standardised, and their distance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.collapse import mass_by
from evaluation.design.declaration import survey_design
from evaluation.design.design import Design, require_design
from evaluation.errors import EstimationError, MarginError
from evaluation.estimation.diagnostic_frames import DiagnosticFrame, hidden, marks_of_parts
from evaluation.estimation.domains import is_text, levels_of, names_of, outcomes_of
from evaluation.results import frame_html, plain
from evaluation.survey.margins import TOTAL, Margins, margins
from evaluation.weighting.raking import as_margins, code_margins

Floats = NDArray[np.float64]
Reference = Margins | Mapping[str, Any] | Design | pd.DataFrame
Names = str | Sequence[str]
VERB = "sample_balance"


@dataclass(frozen=True, eq=False, repr=False)
class SampleBalance(DiagnosticFrame):
    """Sample and population, level by level and mean by mean; columns as in ``sample_balance``.

    Attributes
    ----------
    distances : pandas.DataFrame
        One row per variable: ``covariate``, ``chi_square_before``, ``chi_square_after``, ``largest_smd_before``,
        ``largest_smd_after``.
    """

    distances: pd.DataFrame = field(default_factory=pd.DataFrame)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        rows = [{str(name): plain(value) for name, value in row.items()} for row in self.distances.to_dict("records")]
        return {**super().to_dict(), "distances": rows}

    def summary(self) -> str:
        """Return rows and distances as text, six significant digits."""
        below = self.distances.to_string(index=False, float_format=lambda value: f"{value:.6g}")
        return f"{super().summary()}\n{below}"

    def _repr_html_(self) -> str:
        return frame_html(self.frame) + frame_html(self.distances)


@dataclass(frozen=True, eq=False)
class _Compared:
    """One variable: its levels (or an empty one of a number), respondents, and what stands on each side."""

    name: str
    levels: Sequence[str]
    n_obs: NDArray[np.int64]
    target: Floats
    before: Floats
    after: Floats
    spread: Floats
    denominator: str

    def standardised(self, found: Floats) -> Floats:
        """Return differences from the population over the standard deviation; zero where neither is."""
        gap = found - self.target
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.spread > 0, gap / self.spread, np.where(gap == 0, 0.0, np.nan))

    def distance(self, found: Floats) -> float:
        """Return the chi-square distance from the population."""
        if len(self.levels) == 1:
            return float(self.standardised(found)[0] ** 2)
        return float(((found - self.target) ** 2 / self.target).sum())

    def rows(self) -> pd.DataFrame:
        """Return one row per level."""
        return pd.DataFrame(
            {
                "covariate": self.name,
                "level": list(self.levels),
                "n_obs": self.n_obs,
                "population": self.target,
                "sample_before": self.before,
                "sample_after": self.after,
                "smd_raw": self.standardised(self.before),
                "smd_weighted": self.standardised(self.after),
                "denominator": self.denominator,
            }
        )


def sample_balance(design: Design, reference: Reference, *, variables: Names | None = None) -> SampleBalance:
    """Compare the sample with its population, before and after weighting.

    Parameters
    ----------
    design : Design
        Respondents; of a domain only its members. "Before" are their design weights, "after" their final ones.
    reference : Margins, mapping, Design or pandas.DataFrame
        The population: counts by level and totals of numbers as ``margins`` reads them (a total needs the population
        size, ``total`` or a margin with levels), or another survey or register with the same columns.
    variables : str or list of str, optional
        Which of the margins, default all; of a survey or register the columns, which must be named.

    Returns
    -------
    SampleBalance
        One row per level, or number: ``covariate``, ``level`` (empty for a number), ``n_obs``, ``population``
        (share 0 to 1, or mean), ``sample_before``, ``sample_after``, ``smd_raw``, ``smd_weighted`` (sample less
        population, standardised), ``denominator``: what standardises. That is "population",
        :math:`\\sqrt{p (1 - p)}` of the population's share or the standard deviation in the reference data, or
        "sample", the standard deviation under the design weights, where only a total is known. ``distances`` has for
        each variable the chi-square distance :math:`\\sum (s - t)^2 / t` of sample shares s from population shares
        t, for a number the squared standardised difference, to which it comes down for two levels.

    Raises
    ------
    MarginError
        A level stands on one side only, or a total has no population size.
    ColumnError
        A column does not exist, or is no number.
    EstimationError
        A survey or register is given without ``variables``.

    Notes
    -----
    What weighting has used is met by construction; what tells are variables that it has not. Respondents with a
    missing number are left out of its means. Sampling alone makes standardised differences of about
    :math:`\\sqrt{deff / n}`.

    References
    ----------
    Austin (2011), Multivariate Behavioral Research 46, 399-424 (standardised differences).

    Examples
    --------
    >>> answers = pd.DataFrame({"sex": ["f", "f", "f", "m"]})
    >>> found = sample_balance(survey_design(answers), {"sex": {"f": 50, "m": 50}})
    >>> found.tidy()[["level", "population", "sample_before", "smd_raw"]].to_numpy().tolist()
    [['f', 0.5, 0.75, 0.5], ['m', 0.5, 0.25, -0.5]]
    >>> found.distances["chi_square_before"].tolist()
    [0.25]
    """
    require_design(design, VERB)
    if isinstance(reference, pd.DataFrame):
        reference = survey_design(reference)
    if isinstance(reference, Design):
        if variables is None:
            raise EstimationError(f"{VERB}: name the columns to compare with the survey or register: variables=[...].")
        found = [_with_data(design, reference, name) for name in names_of(variables, VERB)]
    else:
        given = as_margins(reference)
        found = list(_with_margins(design, given if variables is None else given.select(names_of(variables, VERB))))
    frame = pd.concat([each.rows() for each in found], ignore_index=True)
    distances = pd.DataFrame([_distances(each) for each in found])
    marks = _marks(found, design)
    shown = hidden(frame, ["covariate", "level", "population", "denominator"], marks)
    return SampleBalance(VERB, shown, design.provenance, distances)


def _distances(each: _Compared) -> dict[str, Any]:
    row: dict[str, Any] = {"covariate": each.name}
    sides = {"before": each.before, "after": each.after}
    row |= {f"chi_square_{side}": each.distance(found) for side, found in sides.items()}
    return row | {f"largest_smd_{side}": float(np.abs(each.standardised(found)).max()) for side, found in sides.items()}


def _marks(found: Sequence[_Compared], design: Design) -> list[str]:
    """Return why rows may not be shown; one alone of a variable takes the next smallest with it."""
    return [mark for each in found for mark in marks_of_parts(each.n_obs, design.provenance)]


def _with_margins(design: Design, given: Margins) -> Iterator[_Compared]:
    for name in given.categorical:
        yield _categorical(design, given.select(name))
    size = given.population
    for name, total in given.totals.items():
        if name == TOTAL:
            continue
        if size is None:
            raise MarginError(
                f"{VERB}: '{name}' is a total of {total:,.10g}, but nothing says how large the population is. Add "
                f"'{TOTAL}', or a margin with levels."
            )
        yield _number(design, name, total / size, None)


def _with_data(design: Design, reference: Design, name: str) -> _Compared:
    if not is_text(reference.column(name)):
        outcome = outcomes_of(reference, name, listwise=False, verb=VERB)
        known = reference.present & outcome.answered[:, 0]
        mean, spread = _mean_and_spread(outcome.columns[0][known], reference.weights[known])
        return _number(design, name, mean, spread)
    levels, code = levels_of(reference, name, VERB)
    inside = reference.present & (code >= 0)
    counts = mass_by(code[inside], len(levels), reference.weights[inside])
    named: dict[object, float] = {
        str(level): count for level, count in zip(levels, counts.tolist(), strict=True) if count > 0
    }
    return _categorical(design, margins({name: named}))


def _categorical(design: Design, given: Margins) -> _Compared:
    (margin,) = code_margins(design, given, counted=design.present)
    size, present = len(margin.targets), design.present
    before, after = (
        mass_by(margin.codes[present], size, weights[present]) for weights in (design.base_weights, design.weights)
    )
    target = margin.targets / margin.targets.sum()
    return _Compared(
        margin.name,
        margin.levels,
        np.bincount(margin.codes[present], minlength=size),
        target,
        before / before.sum(),
        after / after.sum(),
        np.sqrt(target * (1 - target)),
        "population",
    )


def _number(design: Design, name: str, target: float, spread: float | None) -> _Compared:
    outcome = outcomes_of(design, name, listwise=False, verb=VERB)
    known = design.present & outcome.answered[:, 0]
    values = outcome.columns[0][known]
    before, own = _mean_and_spread(values, design.base_weights[known])
    after, _ = _mean_and_spread(values, design.weights[known])
    one = [np.array([number]) for number in (target, before, after, own if spread is None else spread)]
    denominator = "sample" if spread is None else "population"
    return _Compared(name, [""], np.array([int(known.sum())]), one[0], one[1], one[2], one[3], denominator)


def _mean_and_spread(values: Floats, weights: Floats) -> tuple[float, float]:
    total = weights.sum()
    mean = float(weights @ values / total)
    return mean, float(np.sqrt(weights @ (values - mean) ** 2 / total))
