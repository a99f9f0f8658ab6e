"""How the respondents were drawn: strata, sampling units of each stage, and finite populations."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation import wording
from evaluation.design.pps import PairForm, PairVariance
from evaluation.errors import ColumnError, DesignError, did_you_mean

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
LonelyRule = Literal["fail", "remove", "centre", "average"]
PpsMethod = Literal["brewer", "hartley_rao", "joint"]


@dataclass(frozen=True, eq=False)
class Stage:
    """One stage of selection.

    Attributes
    ----------
    unit : ndarray of int, shape (n,)
        Sampling unit of each respondent, 0 to ``n_units - 1``.
    stratum : ndarray of int, shape (n_units,)
        Stratum of each unit; at later stages the unit of the stage before.
    n_strata : int
        Number of strata.
    fraction : ndarray, shape (n_strata,)
        Sampling fraction n/N in each stratum; 0 where units count as drawn with replacement, NaN where
        units of one stratum have probabilities of their own.
    inclusion : ndarray, shape (n_units,), or None
        Inclusion probability of each unit where they differ within strata.
    pairs : PairForm or None
        The variance of this stage where pairs of units have joint probabilities.
    """

    unit: Codes
    stratum: Codes
    n_strata: int
    fraction: Floats
    inclusion: Floats | None = field(default=None, kw_only=True)
    pairs: PairForm | None = field(default=None, kw_only=True)

    @property
    def n_units(self) -> int:
        """Number of units in the sample."""
        return len(self.stratum)

    @property
    def units_per_stratum(self) -> Codes:
        """Number of sampled units in each stratum, shape (n_strata,)."""
        return np.bincount(self.stratum, minlength=self.n_strata)

    @property
    def unit_fraction(self) -> Floats:
        """Probability with which each unit was drawn, 0 where it counts as drawn with replacement, shape (n_units,)."""
        return self.fraction[self.stratum] if self.inclusion is None else self.inclusion

    @property
    def lonely(self) -> NDArray[np.bool_]:
        """Strata in which one unit, not taken with certainty, carries the whole variance, shape (n_strata,)."""
        drawn = np.bincount(self.stratum[self.unit_fraction < 1], minlength=self.n_strata)
        alone: NDArray[np.bool_] = drawn == 1
        return alone if self.pairs is not None else alone & (self.units_per_stratum == 1)


@dataclass(frozen=True, kw_only=True)
class VarianceRules:
    """What the variance does where the sample alone does not say.

    Attributes
    ----------
    lonely_psu : {"fail", "remove", "centre", "average"}
        Strata with one PSU: refused; without variance; that unit about the mean of all units; the mean
        variance of the other strata.
    lonely_domains : bool
        The rule holds too where one PSU of a stratum has respondents in a domain.
    pps : {"brewer", "hartley_rao", "joint"} or None
        First stage with unequal probabilities without replacement.
    pps_variance : {"horvitz_thompson", "yates_grundy"}
        Estimator where pairs have joint probabilities.
    """

    lonely_psu: LonelyRule = "fail"
    lonely_domains: bool = False
    pps: PpsMethod | None = None
    pps_variance: PairVariance = "horvitz_thompson"

    @property
    def name(self) -> str:
        """What a method's name says of it; empty for a plain design."""
        if self.pps in (None, "brewer"):
            return self.pps or ""
        return f"{self.pps}, {self.pps_variance}"

    def texts(self, lang: str | None = None) -> list[str]:
        """Return what the card says, in a language or in the project's; nothing for a plain design."""
        said = [] if self.pps is None else [wording.term(f"pps_{self.pps}", lang)]
        if self.pps in ("hartley_rao", "joint"):
            said[0] += f" ({wording.term(self.pps_variance, lang)})"
        if self.lonely_psu != "fail":
            within = f" ({wording.term('lonely_domains', lang)})" if self.lonely_domains else ""
            said.append(wording.term(f"lonely_{self.lonely_psu}", lang) + within)
        return said


@dataclass(frozen=True, eq=False)
class Sampling:
    """The stages that bear variance, first stage first, and what they were called.

    A later stage bears variance only where the first was drawn without replacement; where it was
    not, the first stage's units carry all of it.

    Attributes
    ----------
    stages : tuple of Stage
    data : pandas.DataFrame, n rows
        The respondents, by whom two samplings are told apart.
    strata, psu, fpc
        As they were named.
    rules : VarianceRules
        For lonely PSUs and unequal probabilities.
    parts : tuple of FramePart
        Where samples of several frames were joined: each one's own sampling, by which its variance is made.
    """

    stages: tuple[Stage, ...]
    data: pd.DataFrame
    strata: str | None = None
    psu: tuple[str, ...] = ()
    fpc: tuple[str | float, ...] = ()
    rules: VarianceRules = field(default=VarianceRules(), kw_only=True)
    parts: tuple[FramePart, ...] = field(default=(), kw_only=True)

    @property
    def unit(self) -> Codes:
        """Unit of the last variance-bearing stage of each respondent, shape (n,)."""
        return self.stages[-1].unit

    @property
    def n_units(self) -> int:
        """Number of units at the last variance-bearing stage."""
        return self.stages[-1].n_units

    def degrees_of_freedom(self, present: NDArray[np.bool_] | None = None) -> int:
        """Return PSUs minus strata, counting only those with a respondent in ``present`` (shape (n,))."""
        first = self.stages[0]
        if present is None:
            return first.n_units - first.n_strata
        units = np.zeros(first.n_units, dtype=bool)
        units[first.unit[present]] = True
        return int(units.sum()) - len(np.unique(first.stratum[units]))

    def is_same_sample(self, other: Sampling) -> bool:
        """Tell whether both are the same units of the same respondents, so that contributions can be added up."""
        if self is other:
            return True
        mine, theirs = ([part.sampling.rules for part in each.parts] for each in (self, other))
        same = self.rules == other.rules and mine == theirs and np.array_equal(self.unit, other.unit)
        return same and self.data.equals(other.data)

    def require_replicable(self, verb: str) -> None:
        """Raise a DesignError where no replicates carry the variance that the rules ask for."""
        for sampling in (self, *(part.sampling for part in self.parts)):
            rules, lonely = sampling.rules, any(stage.lonely.any() for stage in sampling.stages)
            if rules.pps is not None:
                raise DesignError(
                    f"{verb} is not defined for a first stage drawn with unequal probabilities without replacement "
                    f"(pps={rules.pps!r}): no replicates carry its joint probabilities. Stay with linearization, or "
                    f"declare the design without pps and fpc, as if drawn with replacement."
                )
            if rules.lonely_psu in ("centre", "average") and lonely:
                raise DesignError(
                    f"{verb}: replicates give strata with one PSU no variance, but the design's rule is "
                    f"lonely_psu='{rules.lonely_psu}'. Stay with linearization, declare lonely_psu='remove', or merge "
                    f"those strata."
                )

    def text(self, lang: str | None = None) -> str:
        """Return the design in one line, in a language or in the project's."""
        if self.parts:
            return "; ".join(f"{part.name}: {part.sampling.text(lang)}" for part in self.parts)
        first = self.stages[0]
        units = ", ".join(self.psu) or wording.term("one_respondent_each", lang)
        parts = [wording.counted("psu", first.n_units, lang) + f" ({units})"]
        if self.strata:
            parts.append(wording.counted("stratum", first.n_strata, lang) + f" ({self.strata})")
        if self.fpc:
            parts.append(f"fpc ({', '.join(map(str, self.fpc))})")
        return ", ".join([*parts, *self.rules.texts(lang)])


@dataclass(frozen=True, eq=False)
class FramePart:
    """One frame of a joined design.

    Attributes
    ----------
    name : str
        Name of the frame.
    sampling : Sampling
        As its own design has it.
    units : slice
        Where its last-stage units stand among those of the joined design.
    """

    name: str
    sampling: Sampling
    units: slice


def require_column(data: pd.DataFrame, column: str) -> None:
    """Raise a ColumnError with the nearest name unless ``column`` is in ``data``."""
    if not isinstance(column, Hashable):
        raise ColumnError(f"expected the name of one column, got {type(column).__name__}. Put it into the data first.")
    if column not in data.columns:
        raise ColumnError(f"no column '{column}' in the data. {did_you_mean(column, data.columns)}")
