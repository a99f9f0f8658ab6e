"""What stands beside group-time effects: what is not identified, has no error, is compared with what, was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evaluation.results import Estimates
from evaluation.wording import is_absent, language_of, term, term_label, value_label

#: Places, cells or cohorts that a remark names before it counts the rest.
NAMED = 4


def remarks(effects: Estimates, lang: str | None = None) -> tuple[str, ...]:
    """Return the remarks of group-time effects or their sums, in the language of the run.

    Parameters
    ----------
    effects : Estimates
        From ``ev.att_gt``, ``ev.aggregate`` or ``ev.event_study``.
    lang : {"ko", "en"}, optional
    """
    fit = effects.fit
    said = [
        _anticipated(fit, lang),
        _weighted(fit, lang),
        _leads(effects, lang),
        _bases(fit, lang),
        _not_identified(fit.get("not_identified", ()), lang),
        _cohorts("treated_throughout", fit, lang),
        _cohorts("treated_later", fit, lang),
        _collinear(effects, lang),
        *_without_error(effects, lang),
    ]
    return tuple(line for line in said if line)


def _listed(items: Sequence[Any], lang: str | None) -> str:
    shown = ", ".join(map(str, items[:NAMED]))
    return shown if len(items) <= NAMED else term("list_and_more", lang).format(shown=shown, n=len(items) - NAMED)


def _cells(cells: Sequence[Mapping[str, Any]], lang: str | None) -> str:
    return _listed(
        [term("start_in_time", lang).format(cohort=cell["cohort"], time=cell["time"]) for cell in cells], lang
    )


def row_name(effects: Estimates, row: int, lang: str | None = None) -> str:
    """Return a row of effects in words: overall, its cohort and time, or the outcome where it has no other key."""
    keys = effects.keys.iloc[row].to_dict()
    if keys["term"] == "overall":
        return term("overall", lang)
    others = {str(name): value for name, value in keys.items() if name != "term" and not is_absent(value)}
    if set(others) == {"cohort", "time"}:
        return term("start_in_time", lang).format(**others)
    named = ", ".join(f"{term(name, lang)} {value}" for name, value in others.items())
    return named or term_label(keys["term"], effects.provenance.labels, lang)


def rows_without_error(effects: Estimates, lang: str | None = None) -> tuple[str, ...]:
    """Return which rows have no jackknife because they do not exist without some cluster; nothing where all have."""
    lost = np.flatnonzero(np.isnan(np.diag(effects.vcov)) & np.isfinite(effects.estimate))
    if not len(lost) or effects.fit.get("vcov") != "jackknife":
        return ()
    rows = _listed([row_name(effects, int(row), lang) for row in lost], lang)
    cluster = effects.provenance.labels.variable(effects.fit["cluster"], language_of(lang))
    return (term("rows_without_error", lang).format(rows=rows, cluster=cluster),)


def moves(effects: Estimates, lang: str | None = None) -> tuple[str, ...]:
    """Return which verbs help where the jackknife is refused, for who writes code."""
    lost = np.isnan(np.diag(effects.vcov)).any() and effects.fit.get("without_error")
    return (term("jackknife_refused_move", lang),) if lost else ()


def _anticipated(fit: Mapping[str, Any], lang: str | None) -> str:
    ahead = float(fit.get("anticipation") or 0)
    return term("anticipation_allowed", lang).format(n=f"{ahead:g}") if ahead > 0 else ""


def _weighted(fit: Mapping[str, Any], lang: str | None) -> str:
    weights = fit.get("weights")
    return "" if weights is None else term(f"cohorts_by_{weights}", lang)


def _leads(effects: Estimates, lang: str | None) -> str:
    early = "event_time" in effects.keys or {"cohort", "time"} <= set(effects.keys)
    against = str(effects.fit.get("leads_against", ""))
    return term(against, lang) if early and against else ""


def _bases(fit: Mapping[str, Any], lang: str | None) -> str:
    bases = fit.get("uneven_bases", ())
    return term("uneven_bases", lang).format(bases=", ".join(map(str, bases))) if bases else ""


def _not_identified(cells: Sequence[Mapping[str, Any]], lang: str | None) -> str:
    if not cells:
        return ""
    reasons = Counter(cell["reason"] for cell in cells)
    parts = "; ".join(f"{term(reason, lang)} {n}" for reason, n in reasons.items())
    return term("cells_not_identified", lang).format(n=len(cells), reasons=parts)


def _cohorts(name: str, fit: Mapping[str, Any], lang: str | None) -> str:
    values = fit.get(name, ())
    if not values:
        return ""
    n = sum(fit["cohort_sizes"].get(str(value), 0) for value in values)
    return term(name, lang).format(cohorts=_listed(values, lang), n=f"{n:,}")


def _collinear(effects: Estimates, lang: str | None) -> str:
    cells = effects.fit.get("collinear", ())
    if not cells:
        return ""
    found = sorted({name for cell in cells for name in cell["covariates"]})
    names = [term_label(name, effects.provenance.labels, lang) for name in found]
    return term("collinear_cells", lang).format(cells=_cells(cells, lang), covariates=", ".join(names))


def _without_error(effects: Estimates, lang: str | None) -> list[str]:
    lost = np.flatnonzero(np.isnan(np.diag(effects.vcov)))
    fit = effects.fit
    cells = fit.get("without_error", ())
    if not len(lost) or not cells:
        return []
    rows, labels, cluster = (
        [row_name(effects, int(row), lang) for row in lost],
        effects.provenance.labels,
        fit["cluster"],
    )
    found = sorted({place for cell in cells for place in cell.get("hangs_on", ())})
    places = _listed([value_label(cluster, place, labels, lang) for place in found], lang)
    told, listed = _listed(rows, lang), _cells(cells, lang)
    key = "jackknife_refused" if told != listed else "jackknife_refused_cells"
    words = {"rows": told, "cluster": labels.variable(cluster, language_of(lang)), "places": places, "cells": listed}
    return [term(key, lang).format(**words), term("jackknife_refused_read", lang)]
