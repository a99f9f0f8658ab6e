"""Estimates that can say in words what they mean, in Korean and English."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self, TypeVar, cast

import numpy as np

from evaluation import wording
from evaluation.results import Estimates

_Kind = TypeVar("_Kind", bound="Spoken")


@dataclass(frozen=True, eq=False, repr=False)
class Spoken(Estimates):
    """Estimates with a sentence or two that say no more than they bear."""

    #: Entries of ``fit`` that are estimated, and blank where the estimates may not be shown.
    estimated: ClassVar[tuple[str, ...]] = ()

    def masked(self) -> Self:
        """Return the estimates with what may not be shown blanked, in ``fit`` too; unchanged where nothing is."""
        made = super().masked()
        if "mark" not in made.columns:
            return cast(Self, made)
        blank = {name: np.nan if name in self.estimated else value for name, value in self.fit.items()}
        return cast(Self, replace(made, fit=blank))

    def text(self, lang: str | None = None) -> str:
        """Say what the numbers mean and what they do not.

        Parameters
        ----------
        lang : {"ko", "en"}, optional
            Default: the language of the project.

        Raises
        ------
        ProjectError
            Another language.
        """
        chosen = wording.language_of(lang)
        shown = self.masked()
        if np.isnan(shown.estimate).all() and len(shown):
            reason = next((mark for mark in shown.marks if mark), "")
            name = wording.capital(wording.verb_name(self.verb, chosen))
            return f"{name}: {wording.ABSENT} {reason}".rstrip()
        return shown._said(chosen)

    @abstractmethod
    def _said(self, lang: str) -> str:
        """Return the text in a language that is known."""


def spoken(kind: type[_Kind], result: Estimates, **changes: Any) -> _Kind:
    """Return estimates as a kind that can speak, with attributes added or changed."""
    own = {field.name: getattr(result, field.name) for field in fields(Estimates)}
    return kind(**{**own, **changes})


def written(values: Iterable[float], error: float) -> list[str]:
    """Write numbers of a sentence with the digits that a standard error bears; three digits where there is none.

    Examples
    --------
    >>> written([-0.173, -0.2306], 0.029), written([0.2534], float("nan"))
    (['-0.173', '-0.231'], ['0.253'])
    """
    places = wording.common_decimals([error])
    return [shown_number(float(value)) if places is None else wording.number(float(value), places) for value in values]


def shown_number(value: float) -> str:
    """Write a number of a sentence: three significant digits.

    Examples
    --------
    >>> shown_number(0.2534), shown_number(1.0), shown_number(float("inf"))
    ('0.253', '1', '∞')
    """
    if np.isfinite(value) and 0 < abs(value) < 1000:
        value = float(f"{value:.3g}")
    return wording.plain_number(value)
