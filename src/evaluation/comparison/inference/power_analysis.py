"""What a power analysis rests on, and its result: two groups, what they vary by, and a test of their difference."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import stats

from evaluation import wording
from evaluation.results import Provenance, plain

#: Points of a power curve.
POINTS = 81
NullVariance = Literal["unpooled", "pooled"]


@dataclass(frozen=True, eq=False)
class PowerAnalysis:
    """A difference, and the probability to find it.

    Attributes
    ----------
    solved_for : {"effect", "power", "sample_size"}
        What was computed; the rest was given.
    effect : float
        Difference of participants from the comparison group, in the unit of the outcome; shares 0 to 1.
    power : float
        Probability of a significant difference in the right direction.
    n_participants, n_comparison : float
        Respondents in each group; whole numbers unless solved for.
    mean_comparison : float
        Share in the comparison group; NaN for means.
    std_dev_participants, std_dev_comparison : float
        Of the outcome, under ``effect``; NaN where an estimate's own error was given.
    deff_participants, deff_comparison : float
        Design effects by which variances are raised.
    std_error : float
        Of the difference, under ``effect``.
    effect_equal_variance : float
        The same effect if participants varied as the comparison group does, the usual approximation; NaN elsewhere.
    alpha : float
        Level of the test.
    two_sided : bool
        Whether differences in both directions would count.
    df : float
        Degrees of freedom of the test; ``inf`` for normal.
    provenance : Provenance
        For captions.
    curve : pandas.DataFrame
        Columns ``effect`` and ``power``: how the one grows with the other, up to twice the effect.
    """

    solved_for: Literal["effect", "power", "sample_size"]
    effect: float
    power: float
    n_participants: float
    n_comparison: float
    mean_comparison: float
    std_dev_participants: float
    std_dev_comparison: float
    deff_participants: float
    deff_comparison: float
    std_error: float
    effect_equal_variance: float
    alpha: float
    two_sided: bool
    df: float
    provenance: Provenance
    curve: pd.DataFrame = field(repr=False)

    def tidy(self) -> pd.DataFrame:
        """Return one row."""
        names = [name for name in self.__dataclass_fields__ if name not in ("provenance", "curve")]
        return pd.DataFrame([{name: getattr(self, name) for name in names}])

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        rows = [{str(name): plain(value) for name, value in self.tidy().iloc[0].items()}]
        return {"verb": "power", "provenance": self.provenance.to_dict(), "rows": rows}

    def layout(self, lang: str) -> tuple[dict[str, list[str]], list[str]]:
        """Return the columns of a table as text, and its notes."""
        rows: dict[str, str] = {
            "detectable_effect" if self.solved_for == "effect" else "difference": self._effect(lang),
            "power": f"{self.power:.3f}",
            "n_participants": wording.number(np.ceil(self.n_participants - 1e-9)),
            "n_comparison": wording.number(np.ceil(self.n_comparison - 1e-9)),
        }
        if not np.isnan(self.mean_comparison):
            rows["mean_comparison"] = wording.plain_number(self.mean_comparison)
        elif not np.isnan(self.std_dev_comparison):
            rows["std_dev"] = f"{self.std_dev_participants:.4g}, {self.std_dev_comparison:.4g}"
        rows["std_error"] = wording.plain_number(self.std_error)
        if not np.isnan(self.deff_participants):
            rows["deff"] = self.design_effects()
        rows["level_of_test"] = f"{self.alpha:g} ({wording.term('two_sided' if self.two_sided else 'one_sided', lang)})"
        if np.isfinite(self.df):
            rows["df"] = wording.plain_number(self.df)
        shown = {name: value for name, value in rows.items() if value != wording.ABSENT}
        names = [wording.term(name, lang) for name in shown]
        return {wording.term("term", lang): names, wording.term("value", lang): list(shown.values())}, [
            wording.capital(wording.term("power_note", lang))
        ]

    def design_effects(self) -> str:
        """Return the design effect as text, of both groups where they differ; empty where an estimate's error holds."""
        both = (self.deff_participants, self.deff_comparison)
        return ", ".join(dict.fromkeys(f"{one:.3g}" for one in both if not np.isnan(one)))

    def _effect(self, lang: str | None) -> str:
        if np.isnan(self.mean_comparison):
            return wording.plain_number(self.effect)
        unit = wording.percentage_point_unit(lang)
        places = 1 if abs(self.effect) >= 0.0005 or self.effect == 0 else 3
        shown = f"{100 * self.effect:.{places}f}" if abs(self.effect) >= 5e-6 else f"{100 * self.effect:.1e}"
        return f"{shown}{'' if unit.startswith('%') else ' '}{unit}"

    def text(self, lang: str | None = None) -> str:
        """Say what can be found, in Korean or English."""
        counts = {"n1": self.n_participants, "n0": self.n_comparison}
        return wording.term(f"said_power_{self.solved_for}", lang).format(
            effect=self._effect(lang),
            power=f"{100 * self.power:.1f}%",
            alpha=f"{100 * self.alpha:g}%",
            sides=wording.term("two_sided" if self.two_sided else "one_sided", lang),
            **{name: wording.number(np.ceil(value - 1e-9)) for name, value in counts.items()},
        )

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.text())}</p>"


@dataclass(frozen=True)
class Setting:
    """Two groups and a test of their difference; ``share`` or ``std_dev`` or ``error`` is known."""

    n: tuple[float, float]
    deff: tuple[float, float]
    share: float | None
    std_dev: tuple[float, float] | None
    error: float | None
    alpha: float
    two_sided: bool
    df: float
    null: NullVariance
    provenance: Provenance

    @property
    def critical(self) -> float:
        """Quantile beyond which a difference is significant."""
        tail = self.alpha / 2 if self.two_sided else self.alpha
        return float(stats.t.isf(tail, self.df))

    def spreads(self, effect: float) -> tuple[float, float]:
        """Return the standard deviations of participants and comparison group under an effect."""
        if self.share is not None:
            p1 = min(max(self.share + effect, 0.0), 1.0)
            return float(np.sqrt(p1 * (1 - p1))), float(np.sqrt(self.share * (1 - self.share)))
        return self.std_dev or (np.nan, np.nan)

    def errors(self, effect: float) -> tuple[float, float]:
        """Return the standard errors of the difference under no effect and under an effect."""
        if self.error is not None:
            return self.error, self.error
        variances = [spread**2 for spread in self.spreads(effect)]
        own = float(np.sqrt(sum(d * v / n for d, v, n in zip(self.deff, variances, self.n, strict=True))))
        if self.null == "unpooled":
            return own, own
        if self.share is not None:
            middle = (self.n[0] * (self.share + effect) + self.n[1] * self.share) / sum(self.n)
            pooled = middle * (1 - middle)
        else:
            pooled = float(np.average(variances, weights=self.n))
        return float(np.sqrt(sum(d * pooled / n for d, n in zip(self.deff, self.n, strict=True)))), own

    def power(self, effect: float) -> float:
        """Return the probability of a significant difference in the direction of the effect."""
        null, own = self.errors(effect)
        if own == 0:
            return 1.0
        bound, shift = self.critical * null / own, abs(effect) / own
        return float(stats.norm.sf(bound - shift) if np.isinf(self.df) else stats.nct.sf(bound, self.df, shift))

    def answer(self, solved_for: Literal["effect", "power", "sample_size"], effect: float) -> PowerAnalysis:
        """Return the result at an effect."""
        spreads = self.spreads(effect)
        return PowerAnalysis(
            solved_for=solved_for,
            effect=effect,
            power=self.power(effect),
            n_participants=self.n[0],
            n_comparison=self.n[1],
            mean_comparison=np.nan if self.share is None else self.share,
            std_dev_participants=spreads[0],
            std_dev_comparison=spreads[1],
            deff_participants=self.deff[0],
            deff_comparison=self.deff[1],
            std_error=self.errors(effect)[1],
            effect_equal_variance=np.nan,
            alpha=self.alpha,
            two_sided=self.two_sided,
            df=self.df,
            provenance=self.provenance,
            curve=self.curve(effect),
        )

    def curve(self, effect: float) -> pd.DataFrame:
        """Return the power of effects up to twice the given one, as far as a share can go."""
        farthest = 2 * effect
        if self.share is not None:
            farthest = float(np.clip(farthest, -self.share, 1 - self.share))
        effects = np.linspace(0.0, farthest, POINTS)
        return pd.DataFrame({"effect": effects, "power": [self.power(float(one)) for one in effects]})
