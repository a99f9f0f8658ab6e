"""A test against redrawn or reordered data: what it says, and by which convention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.errors import EstimationError
from evaluation.estimation.arguments import came
from evaluation.impact.effects import ImpactEffects
from evaluation.results import Provenance, card_html, plain
from evaluation.wording import ABSENT, heading, interval_name, label_keys, language_of, probability, term

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class ResampledTest:
    """One estimate held against what it would have been in other draws.

    Attributes
    ----------
    verb : str
    key : mapping
        Keys of the row that was tested.
    estimate, null, statistic : float
        The estimate, the value it is tested against, and the statistic as printed.
    p_value : float
        Two-sided, by the tie rule of the verb.
    p_strict, p_weak, p_equal_tailed, p_lower, p_upper : float
        Shares of the draws alone (``p_value`` of random draws counts the observed one as a draw too): as extreme as the
        observed one not counted, counted; twice the smaller tail (ties not counted); one-sided, ties counted.
    conf_low, conf_high, conf_level : float
        Interval by inversion; NaN where there is none, infinite where it has no end.
    n_draws : int
    is_enumerated : bool
        Whether these are all draws there are.
    n_ties, n_missing : int
        Draws as extreme as the observed one, and draws without a statistic.
    distribution : ndarray, shape (B,)
        The statistic in each draw, at the null.
    method : str
        Code of the convention: a key of the workbench's words.
    n_obs : int
    provenance : Provenance
    facts : mapping
        What the convention's words leave open, and further entries of ``to_dict``.
    mark : str
        Why the estimate may not be shown, empty where it may.
    """

    verb: str
    key: Mapping[str, Any]
    estimate: float
    null: float
    statistic: float
    p_value: float
    p_strict: float
    p_weak: float
    p_equal_tailed: float
    p_lower: float
    p_upper: float
    conf_low: float
    conf_high: float
    conf_level: float
    n_draws: int
    is_enumerated: bool
    n_ties: int
    n_missing: int
    distribution: Floats = field(repr=False)
    method: str
    n_obs: int
    provenance: Provenance
    facts: Mapping[str, Any] = field(default_factory=dict)
    mark: str = ""

    def subject(self, lang: str) -> str:
        """Return what the estimate is of, for a title."""
        return named(self.key, self.provenance, lang, str(self.facts.get("outcome", "")))

    def convention(self, lang: str | None = None) -> str:
        """Return in words how the p-value was made.

        Parameters
        ----------
        lang : {"ko", "en"}, optional
            Default: the language of the project.
        """
        lang = language_of(lang)
        how = "draws_enumerated" if self.is_enumerated else "draws_drawn"
        seed = self.facts.get("seed")
        told = term(how, lang).format(n=f"{self.n_draws:,}", seed=term("no_seed", lang) if seed is None else seed)
        parts = [method_words(self.method, self.facts, lang), told]
        parts += [term(f"ties_{self.facts['ties']}", lang).format(n=self.n_ties)]
        if self.facts.get("none_rejected"):
            parts.append(none_rejected(self.facts, self.conf_level, lang))
        if self.facts.get("start_unseen"):
            parts.append(term("start_unseen", lang).format(n=self.facts["start_unseen"]))
        if self.facts.get("shares_held"):
            parts.append(term("shares_held", lang))
        if self.n_missing:
            parts.append(term("draws_missing", lang).format(n=f"{self.n_missing:,}"))
        if np.isnan(self.conf_low) and self.facts.get("no_interval"):
            parts.append(term(str(self.facts["no_interval"]), lang))
        return ". ".join(part.rstrip(".") for part in parts) + "."

    def tidy(self) -> pd.DataFrame:
        """Return one row: keys, ``estimate null statistic p_value p_strict p_weak`` ... ``n_draws n_ties n_obs``."""
        names = ("estimate", "null", "statistic", "p_value", "p_strict", "p_weak", "p_equal_tailed", "p_lower")
        more = ("p_upper", "conf_low", "conf_high", "n_draws", "is_enumerated", "n_ties", "n_missing", "n_obs")
        return shown_row({**self.key, **{name: getattr(self, name) for name in (*names, *more)}}, self.mark)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record at full precision, the draws left out."""
        row = {name: plain(value) for name, value in self.tidy().iloc[0].items()}
        return {
            "verb": self.verb,
            "method": self.method,
            "convention": {lang: self.convention(lang) for lang in ("ko", "en")},
            "conf_level": self.conf_level,
            "facts": plain(self.facts),
            "provenance": self.provenance.to_dict(),
            "rows": [row],
        }

    def layout(self, lang: str) -> tuple[dict[str, list[str]], list[str]]:
        """Return the columns of a table in text, and its notes."""
        columns = {
            term("term", lang): [named(self.key, self.provenance, lang, str(self.facts.get("outcome", "")))],
            term("estimate", lang): [self.mark or f"{self.estimate:.4g}"],
            term("statistic", lang): [self.mark or f"{self.statistic:.4g}"],
            term("p_value", lang): [probability(self.p_value)],
            interval_name(self.conf_level, lang): [self.mark or interval_text(self.conf_low, self.conf_high)],
            term("number_of_draws", lang): [f"{self.n_draws:,}"],
        }
        return columns, [self.convention(lang)]

    def card(self, lang: str | None = None) -> list[tuple[str, str]]:
        """Return headings and texts of what a reader needs."""
        lang = language_of(lang)
        name = named(self.key, self.provenance, lang, str(self.facts.get("outcome", "")))
        lines = [(term("term", lang), name), (term("estimate", lang), self.mark or f"{self.estimate:.6g}")]
        if self.null:
            lines.append((term("null_value", lang), f"{self.null:.6g}"))
        lines.append((term("statistic", lang), self.mark or f"{self.statistic:.6g}"))
        lines.append((term("p_value", lang), probability(self.p_value)))
        if self.p_strict != self.p_weak:
            lines += [(term(name, lang), f"{getattr(self, name):.6g}") for name in ("p_strict", "p_weak")]
        if not np.isnan(self.conf_low):
            limits = self.mark or interval_text(self.conf_low, self.conf_high)
            lines.append((interval_name(self.conf_level, lang), limits))
        return [*lines, (term("convention", lang), self.convention(lang))]

    def summary(self) -> str:
        """Return the test as text."""
        return "\n".join(f"{head}: {text}" for head, text in self.card())

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return card_html(self.card())


def method_words(method: str, facts: Mapping[str, Any], lang: str) -> str:
    """Return in words what a method's code stands for, such as "wcr_13".

    Parameters
    ----------
    method : str
    facts : mapping
        ``weights``, ``g`` and ``cluster``, where the method has such.
    lang : {"ko", "en"}
    """
    words = {**facts, "weights": term(f"weights_{facts['weights']}", lang) if "weights" in facts else ""}
    kind, _, digits = method.partition("_")
    if kind not in ("wcr", "wcu"):
        return term(method, lang).format(**words)
    of, errors = term(f"residuals_{kind}_{digits[0]}", lang), term(f"errors_{digits[1]}", lang)
    name = f"{kind.upper()}-{digits}"
    return term("wild_bootstrap", lang).format(name=name, residuals=of, errors=errors, **words)


def none_rejected(facts: Mapping[str, Any], level: float, lang: str) -> str:
    """Return in words that so few combinations exist that no p-value can be small."""
    words = {"least": probability(float(facts["least"])), "alpha": f"{1 - level:.3g}", "g": facts["g"]}
    return term("none_rejected", lang).format(**words)


def is_reference(result: ImpactEffects, row: int) -> bool:
    """Tell whether a row is one that others are measured against, 0 by construction."""
    return bool(result.estimate[row] == 0 and result.vcov[row, row] == 0)


def refuse_reference(result: ImpactEffects, row: int, verb: str) -> None:
    """Raise an EstimationError for a row that is 0 by construction."""
    if is_reference(result, row):
        raise EstimationError(
            f"{verb}: row {result.addresses()[row]!r} is the reference that the others are measured against, 0 by "
            f"construction: there is nothing to test. Name another row."
        )


def outcome_of(result: ImpactEffects) -> str:
    """Return the column of the outcome, empty where it is not known."""
    return str(result.fit.get("outcome", ""))


def named(key: Mapping[str, Any], provenance: Provenance, lang: str, outcome: str = "") -> str:
    """Return the keys of a row in words, such as "trust, time since treatment 2"; of all rows "trust, overall".

    Parameters
    ----------
    key : mapping
    provenance : Provenance
    lang : {"ko", "en"}
    outcome : str
        Column of the outcome, which a row called otherwise does not name.
    """
    words = label_keys(pd.DataFrame([dict(key)]), provenance.labels, lang).iloc[0]
    others = [name for name in words.index if name != "term" and words[name] not in ("", "None")]
    of = [heading(outcome, provenance.labels, lang)] if outcome and key.get("term") != outcome else []
    return ", ".join(
        [*of, str(words["term"]), *(f"{heading(name, provenance.labels, lang)} {words[name]}" for name in others)]
    )


def shown_row(row: Mapping[str, Any], mark: str) -> pd.DataFrame:
    """Return a row as a frame; where it may not be shown without its estimate, limits and statistic, and marked."""
    if not mark:
        return pd.DataFrame([dict(row)])
    hidden = ("estimate", "std_error", "statistic", "conf_low", "conf_high")
    return pd.DataFrame([{**row, **{name: np.nan for name in hidden if name in row}, "mark": mark}])


def interval_text(low: float, high: float) -> str:
    """Return the limits of an interval as text; a dash where there is none."""
    if np.isnan(low):
        return ABSENT
    shown = ["-∞" if end == -np.inf else "∞" if end == np.inf else f"{end:.4g}" for end in (low, high)]
    return f"[{', '.join(shown)}]"


def require_impact(result: object, verb: str) -> ImpactEffects:
    """Return the result of an impact estimator that can be asked again.

    Raises
    ------
    EstimationError
        It is something else, or cannot be asked again.
    """
    if not isinstance(result, ImpactEffects) or result.refit is None:
        raise EstimationError(
            f"{verb} needs the result of an impact estimator such as ev.twfe or ev.aggregate(ev.att_gt(...)), got "
            f"{type(result).__name__}."
        )
    return result


def row_of(result: ImpactEffects, row: object, verb: str) -> int:
    """Return the place of a row that was named by number, by term, by address, or by its keys.

    Raises
    ------
    EstimationError
        No row, or more than one, is called so.

    Examples
    --------
    Of an event study, ``row=3``, ``row={"event_time": 2}`` and ``row="y | event_time=2"`` may be one.
    """
    k, addresses = len(result), result.addresses()
    if not isinstance(row, (int, np.integer, str, Mapping)):
        raise EstimationError(f"{verb}: row must be a number, an address or a mapping of keys, got {came(row)}.")
    if isinstance(row, (int, np.integer)) and not isinstance(row, bool):
        if not -k <= row < k:
            raise EstimationError(f"{verb}: row must be 0 to {k - 1}, got {row}.")
        return int(row) % k
    if isinstance(row, Mapping):
        unknown = [name for name in row if name not in result.keys]
        if unknown:
            raise EstimationError(f"{verb}: no key {unknown[0]!r}; rows have {', '.join(map(str, result.keys))}.")
        found = [i for i, key in enumerate(result.keys.to_dict("records")) if all(key[n] == v for n, v in row.items())]
    else:
        found = [i for i, address in enumerate(addresses) if address == row]
        found = found or [i for i, name in enumerate(result.keys["term"]) if name == row]
    if len(found) != 1:
        many = f"{len(found)} rows are called" if found else "no row is called"
        raise EstimationError(
            f"{verb}: {many} {row!r}. Rows: {', '.join(addresses[:8])}{' ...' if k > 8 else ''}. Name one by its "
            f"number, address or keys, such as row={{'event_time': 2}}."
        )
    return found[0]


def key_of(result: ImpactEffects, row: int) -> dict[str, Any]:
    """Return the keys of a row as plain values."""
    return {str(name): plain(value) for name, value in result.keys.iloc[row].items()}
