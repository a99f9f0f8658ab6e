"""Balance as a table to read: a row per covariate, a column per way of weighting, the verdict below."""

from __future__ import annotations

import numpy as np
import pandas as pd

from evaluation import wording
from evaluation.results import Labels

#: Names that methods have of themselves.
_OWN_NAMES = frozenset({"unweighted", "survey_weighted", "propensity_weights", "entropy_balance", "cbps"})


def method_name(method: str, lang: str | None = None) -> str:
    """Return what a way of weighting is called; a name that the caller gave stands for itself."""
    return wording.term(method, lang) if method in _OWN_NAMES else method


def row_name(covariate: str, level: str, labels: Labels, lang: str | None = None) -> str:
    """Return a covariate, or one of its levels, in words.

    Examples
    --------
    >>> from evaluation.results import PlainLabels
    >>> row_name("age:age", "", PlainLabels(), "en"), row_name("sex", "f", PlainLabels(), "en")
    ('age²', 'sex: f')
    """
    name = wording.term_label(covariate, labels, lang)
    return f"{name}: {wording.value_label(covariate, level, labels, lang)}" if level else name


def layout(
    by_method: pd.DataFrame, verdicts: pd.DataFrame, labels: Labels, lang: str
) -> tuple[dict[str, list[str]], list[str]]:
    """Return standardised differences by method in words, with what they sum up to.

    Parameters
    ----------
    by_method, verdicts : pandas.DataFrame
        As in ``BalanceComparison``.
    labels : Labels
        Of the covariates.
    lang : {"ko", "en"}
    """
    keys = by_method[["covariate", "level"]].drop_duplicates()
    names = [row_name(str(name), str(level), labels, lang) for name, level in keys.itertuples(index=False, name=None)]
    foot = ("largest_smd", "variance_ratio", "ess_participants", "ess_comparison", "is_balanced")
    columns = {wording.term("covariate", lang): [*names, *(wording.term(f"balance_{key}", lang) for key in foot)]}
    for verdict in verdicts.to_dict("records"):
        own = by_method[by_method["method"] == verdict["method"]]
        ratios = [verdict["variance_ratio_low"], verdict["variance_ratio_high"]]
        columns[method_name(str(verdict["method"]), lang)] = [
            *(_written(value, mark) for value, mark in zip(own["smd"], own.get("mark", [""] * len(own)), strict=True)),
            wording.number(verdict["largest_smd"], 3),
            wording.ABSENT if np.isnan(ratios[0]) else "–".join(wording.number(ratio, 2) for ratio in ratios),
            wording.number(verdict["ess_participants"]),
            wording.number(verdict["ess_comparison"]),
            wording.term("yes" if verdict["is_balanced"] else "no", lang),
        ]
    divisors = by_method["denominator"].unique()
    notes = [f"{wording.term('smd', lang)}: {wording.term(f'denominator_{divisor}', lang)}" for divisor in divisors]
    return columns, [*notes, wording.term("balance_rule", lang)]


def _written(smd: float, mark: str) -> str:
    """Return a difference to three decimals; to the one that it has where its level is marked."""
    return f"{wording.number(smd, 1)} {mark}" if mark else wording.number(smd, 3)
