"""Rows of estimators side by side: what all of them share stands below them, and why one lacks a number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.results import Estimates
from evaluation.wording import capital, language_of, term, wave_label

#: Columns that are told below the rows where all rows agree.
SHARED = ("n_clusters", "n_treated_clusters", "n_control_clusters", "effective_clusters", "until")


@dataclass(frozen=True, eq=False, repr=False)
class EstimatorTable(Estimates):
    """One effect by several estimators."""

    @property
    def in_remarks(self) -> frozenset[str]:
        """Columns that the remarks tell, so that a table need not."""
        counted = {f"n_{name}" for name in self.fit.get("counted", {})}
        return frozenset(name for name in SHARED if self._is_shared(name)) | {"reason", "without"} | counted

    def remarks(self, lang: str | None = None) -> tuple[str, ...]:
        """Return what the rows share, what they count, and by reason which of them lack what."""
        lang = language_of(lang)
        lines = [self._shared(lang)]
        if self.fit.get("n_waves_left_out"):
            until = wave_label(self.columns["until"][0])
            lines.append(term("waves_left_out", lang).format(until=until, n=self.fit["n_waves_left_out"]))
        lines.append(term("three_p_values", lang))
        lines.append(term("counts_observations" if self.fit.get("is_panel") else "counts_answers", lang))
        ahead = float(self.fit.get("anticipation") or 0)
        if ahead:
            lines.append(term("anticipation_allowed", lang).format(n=f"{ahead:g}"))
        for name in ("reason", "without"):
            codes = [str(code) for code in self.columns[name] if code]
            for code in dict.fromkeys(codes):
                lines.append(f"{capital(term(code, lang))}: {self._methods(name, code, lang)}")
        return tuple(lines)

    def _shared(self, lang: str) -> str:
        """Return the clusters of all rows, and the last wave."""
        said = [
            f"{term(name, lang)} {wave_label(self.columns[name][0])}"
            for name in SHARED
            if self._is_shared(name) and not _is_nothing(self.columns[name][0])
        ]
        labels = self.provenance.labels
        said += [f"{labels.variable(name, lang)} {n:,}" for name, n in self.fit.get("counted", {}).items()]
        return capital(", ".join(said))

    def _is_shared(self, name: str) -> bool:
        values = self.columns[name]
        return all(_is_nothing(value) or value == values[0] for value in values) and (
            not _is_nothing(values[0]) or all(map(_is_nothing, values))
        )

    def _methods(self, column: str, code: str, lang: str) -> str:
        rows = [row for row, own in enumerate(self.columns[column]) if own == code]
        return ", ".join(_named(self.keys["method"].iloc[rows].tolist(), lang))

    def _groups_told(self) -> list[str]:
        sentences = [f"{name}: {why}" for name, why in self.fit.get("not_available", {}).items()]
        return [*super()._groups_told(), *self.remarks(), *sentences]


def _named(methods: Sequence[str], lang: str) -> list[str]:
    return [term(f"method_{name}", lang) for name in methods]


def _is_nothing(value: object) -> bool:
    return value is None or (isinstance(value, (float, np.floating)) and bool(np.isnan(value)))
