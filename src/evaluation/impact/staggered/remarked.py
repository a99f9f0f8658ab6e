"""Effects that say what stands behind them: what the overall row is, what is left out, what has no error."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from evaluation.impact.effects import ImpactEffects
from evaluation.impact.staggered.remarks import remarks, rows_without_error
from evaluation.wording import term


@dataclass(frozen=True, eq=False, repr=False)
class RemarkedEffects(ImpactEffects):
    """Effects of a policy with remarks, below their table and in a notebook."""

    def remarks(self, lang: str | None = None) -> tuple[str, ...]:
        """Return what a reader needs beside the rows, in the language of the run or the one named."""
        fit = self.fit
        lines = [term(str(name), lang) for name in fit.get("assumes", ())]
        if "overall_is" in fit:
            lines.append(f"{term('overall', lang)}: {term(str(fit['overall_is']), lang)}")
        lines += remarks(replace(self, fit={**fit, "without_error": ()}), lang)
        if fit.get("n_not_imputed"):
            told = term("not_imputed", lang)
            lines.append(told.format(n=f"{fit['n_not_imputed']:,}", places=f"{fit['n_places_without_untreated']:,}"))
        if fit.get("n_without_answers"):
            lines.append(term("cells_without_answers", lang).format(n=f"{fit['n_without_answers']:,}"))
        if fit.get("n_places_left_out"):
            lines.append(term("places_left_out", lang).format(places=f"{fit['n_places_left_out']:,}"))
        return (*lines, *rows_without_error(self, lang))

    def _groups_told(self) -> list[str]:
        return [*super()._groups_told(), *self.remarks()]


def remarked(made: ImpactEffects) -> RemarkedEffects:
    """Return effects as such that say what stands behind them."""
    return RemarkedEffects(**{entry.name: getattr(made, entry.name) for entry in fields(made)})
