"""Robust sets and breakdown values as results: frames with a table and a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from evaluation import wording
from evaluation.impact.credibility.event_path import EventPath
from evaluation.impact.credibility.restrictions import Assumption
from evaluation.results import Provenance, frame_html, plain

#: Column that holds how large violations may be, by restriction.
SIZE = {"relative_magnitudes": "mbar", "smoothness": "m"}
#: Columns with numbers that a small base hides.
_NUMBERS = ("estimate", "conf_low", "conf_high", "holds_null", "parts")


@dataclass(frozen=True, eq=False, repr=False)
class Breakdown:
    """Smallest size of violations at which the set holds the null value.

    Attributes
    ----------
    value : float
        Between ``low`` and ``high``; 0 where the set holds the null value without any violation, infinite where it
        does not up to ``low``.
    low, high : float
        Largest size tried without the null value in the set, and smallest with it.
    null : float
    target : str
        "first", "average", an event time, or "weights".
    method : str
    path : EventPath
    assumption : Assumption
    conf_level : float
    """

    value: float
    low: float
    high: float
    null: float
    target: str
    method: str
    path: EventPath
    assumption: Assumption
    conf_level: float

    @property
    def provenance(self) -> Provenance:
        """Where the numbers come from."""
        return self.path.provenance

    @property
    def size_name(self) -> str:
        """Name of the size of violations: "mbar" or "m"."""
        return SIZE[self.assumption.restriction]

    def tidy(self) -> pd.DataFrame:
        """Return one row: what was asked, and columns ``breakdown, breakdown_low, breakdown_high``."""
        row = {
            "term": self.path.outcome,
            "effect_of": self.target,
            "restriction": self.assumption.restriction,
            "method": self.method,
            "null": self.null,
            "breakdown": self.value,
            "breakdown_low": self.low,
            "breakdown_high": self.high,
            "conf_level": self.conf_level,
        }
        if self.path.mark:
            row |= dict.fromkeys(("breakdown", "breakdown_low", "breakdown_high"), np.nan) | {"mark": self.path.mark}
        return pd.DataFrame([row])

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record at full precision."""
        return _record("breakdown_value", self.tidy(), self.path, self.assumption)

    def layout(self, lang: str) -> tuple[dict[str, list[str]], list[str]]:
        """Return the columns of a table as text, and its notes."""
        columns = {
            wording.term("effect_of", lang): [target_name(self.target, lang)],
            wording.term("restriction", lang): [assumption_name(self.assumption, lang)],
            wording.term("breakdown", lang): [self.shown()],
        }
        notes = assumption_notes(self.path, self.assumption, self.method, lang)
        return columns, [wording.capital(note) for note in notes]

    def shown(self) -> str:
        """Return the value as it is printed."""
        if self.path.mark:
            return self.path.mark
        if np.isinf(self.value):
            return f"> {wording.plain_number(self.low)}"
        return f"{float(f'{self.value:.3g}'):g}"

    def text(self, lang: str | None = None) -> str:
        """Say up to which violations the conclusion holds, in Korean or English."""
        chosen = wording.language_of(lang)
        kind = "none" if self.value == 0 else "never" if np.isinf(self.value) else "at"
        said = wording.term(f"said_breakdown_{kind}", chosen).format(
            size=f"{_symbol(self.size_name)} = {self.shown().removeprefix('> ')}",
            null=wording.plain_number(self.null),
            interval=wording.interval_name(self.conf_level, chosen),
            effect=target_name(self.target, chosen),
        )
        return wording.capital(said)

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.text())}</p>"


@dataclass(frozen=True, eq=False, repr=False)
class RobustSets:
    """Confidence sets for an effect that hold under violations of parallel trends up to a size.

    Attributes
    ----------
    frame : pandas.DataFrame
        As ``tidy``.
    path : EventPath
    assumption : Assumption
    target : str
    method : {"C-LF", "Conditional", "FLCI"}
    conf_level : float
    breakdown : Breakdown or None
    """

    frame: pd.DataFrame
    path: EventPath
    assumption: Assumption
    target: str
    method: str
    conf_level: float
    breakdown: Breakdown | None

    @property
    def provenance(self) -> Provenance:
        """Where the numbers come from."""
        return self.path.provenance

    @property
    def size_name(self) -> str:
        """Name of the size of violations: "mbar" or "m"."""
        return SIZE[self.assumption.restriction]

    def tidy(self) -> pd.DataFrame:
        """Return the original interval in row 0, then one row per size of violations.

        Columns ``term, effect_of, restriction, mbar`` (or ``m``; missing in row 0), ``method, estimate`` (centre, where
        the set has one), ``conf_low, conf_high`` (ends of the set, missing where it is empty), ``holds_null``, and
        ``parts``: of how many intervals the set consists, 0 where the data reject the assumption itself.
        """
        if not self.path.mark:
            return self.frame.copy()
        return self.frame.assign(**dict.fromkeys(_NUMBERS, np.nan), mark=self.path.mark)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record at full precision."""
        record = _record("honest_did", self.tidy(), self.path, self.assumption)
        return record | {
            "conf_level": self.conf_level,
            "breakdown": None if self.breakdown is None else self.breakdown.to_dict()["rows"][0],
        }

    def layout(self, lang: str) -> tuple[dict[str, list[str]], list[str]]:
        """Return the columns of a table as text, and its notes."""
        frame, error = self.tidy(), float(np.nanmin(self.frame["conf_high"] - self.frame["conf_low"])) / 4
        places = wording.common_decimals([error]) or 3
        limits = zip(frame["conf_low"], frame["conf_high"], frame["parts"], strict=True)
        sets = [self._cell(low, high, parts, places, lang) for low, high, parts in limits]
        sizes = [self._size(value, lang) for value in frame[self.size_name]]
        holds = ["" if np.isnan(float(v)) else wording.term("yes" if v else "no", lang) for v in frame["holds_null"]]
        columns = {
            f"{wording.term(self.size_name, lang)}": sizes,
            wording.interval_name(self.conf_level, lang): sets,
            wording.term("holds_null", lang): holds,
        }
        return columns, [wording.capital(note) for note in self.notes(lang)]

    def notes(self, lang: str | None = None) -> list[str]:
        """Return which effect, what is assumed, how it was made, and the breakdown value, in words."""
        chosen = wording.language_of(lang)
        said = [] if self.breakdown is None else [self.breakdown.text(chosen).rstrip(".")]
        about = f"{wording.term('effect_of', chosen)}: {target_name(self.target, chosen)}"
        return [about, *assumption_notes(self.path, self.assumption, self.method, chosen), *said]

    def _size(self, value: float, lang: str) -> str:
        return wording.term("original_interval", lang) if np.isnan(value) else f"{float(f'{value:.3g}'):g}"

    def _cell(self, low: float, high: float, parts: float, places: int, lang: str) -> str:
        if self.path.mark:
            return self.path.mark
        if parts == 0:
            return wording.term("set_empty", lang)
        return f"[{wording.number(low, places)}, {wording.number(high, places)}]"

    def text(self, lang: str | None = None) -> str:
        """Say up to which violations the conclusion holds, in Korean or English."""
        if self.breakdown is not None:
            return self.breakdown.text(lang)
        chosen = wording.language_of(lang)
        names = (assumption_name(self.assumption, chosen), target_name(self.target, chosen))
        return wording.capital(wording.term("said_sets", chosen).format(assumption=names[0], effect=names[1]))

    def __repr__(self) -> str:
        shown = self.tidy().to_string(index=False, float_format=lambda value: f"{value:.6g}")
        return f"{self.text()}\n{shown}"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.text())}</p>{frame_html(self.tidy())}"


def _symbol(size_name: str) -> str:
    return "M" if size_name == "m" else "Mbar"


def _record(verb: str, frame: pd.DataFrame, path: EventPath, assumption: Assumption) -> dict[str, Any]:
    return {
        "verb": verb,
        "provenance": path.provenance.to_dict(),
        "assumption": {name: getattr(assumption, name) for name in ("restriction", "sign", "shape", "linear_trend")},
        "n_clusters": path.n_clusters,
        "vcov": path.vcov_rule,
        "rows": [{str(name): plain(value) for name, value in row.items()} for row in frame.to_dict("records")],
    }


def target_name(target: str, lang: str | None = None) -> str:
    """Return which effect is meant, in words."""
    if target in ("first", "average", "weights"):
        return wording.term(f"target_{target}", lang)
    return wording.term("target_event_time", lang).format(time=target)


def assumption_name(assumption: Assumption, lang: str | None = None) -> str:
    """Return what is assumed of violations, in words."""
    name = "linear_trend" if assumption.linear_trend else assumption.restriction
    parts = [wording.term(f"restriction_{name}", lang)]
    if assumption.sign is not None:
        parts.append(wording.term(f"bias_{assumption.sign}", lang))
    if assumption.shape is not None:
        parts.append(wording.term(f"bias_{assumption.shape}", lang))
    return "; ".join(parts)


def assumption_notes(path: EventPath, assumption: Assumption, method: str, lang: str | None = None) -> list[str]:
    """Return what is assumed, how the sets were made, and what their errors rest on, in words."""
    notes = [
        assumption_name(assumption, lang),
        f"{wording.term('method', lang)}: {wording.term(f'set_{method}', lang)}",
    ]
    notes.append(wording.term("normal_critical_values", lang))
    if path.n_clusters:
        notes.append(wording.term("sets_of_few_clusters", lang).format(n=path.n_clusters))
    return notes
