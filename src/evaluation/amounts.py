"""An amount as a sentence writes it: with its unit, and with a word where rounded numbers do not add up."""

from __future__ import annotations

from evaluation import wording
from evaluation.results import Estimates, Labels

#: Verbs whose differences are effects of a policy.
_EFFECTS = frozenset({"impact_table", "subgroup_impacts"})


def unit_of(name: object, labels: Labels, lang: str) -> str:
    """Return the unit that the codebook gives a variable, empty where it gives none.

    Examples
    --------
    >>> from evaluation.results import PlainLabels
    >>> unit_of("weight", PlainLabels(), "en")
    ''
    """
    unit = getattr(labels, "unit", None)
    return str(unit(str(name), lang)) if callable(unit) else ""


def scale_of_differences(result: Estimates, lang: str | None = None) -> str:
    """Return what an axis of differences is called: the measure, with the unit that all outcomes share.

    Parameters
    ----------
    result : Estimates
        Differences, such as those of ``effect_ladder``; ``fit["measure"]`` says whether they are logs of ratios.
    lang : {"ko", "en"}, optional
        Default: the language of the project.
    """
    chosen, measure = wording.language_of(lang), str(result.fit.get("measure", "difference"))
    units = {unit_of(name, result.provenance.labels, chosen) for name in result.keys["term"]}
    unit = next(iter(units)) if len(units) == 1 and measure == "difference" else ""
    name = "effect" if measure == "difference" and result.verb in _EFFECTS else measure
    return f"{wording.term(name, chosen)} ({unit})" if unit else wording.term(name, chosen)


def with_unit(amount: str, unit: str, lang: str, *, is_difference: bool = False) -> str:
    """Return a written number with its unit; a difference of per cents is one of points.

    Examples
    --------
    >>> with_unit("3.37", "kg", "en"), with_unit("7.1", "점", "ko"), with_unit("1.2", "%", "en", is_difference=True)
    ('3.37 kg', '7.1점', '1.2 points')
    """
    if unit == "%" and is_difference:
        unit = wording.percentage_point_unit(lang)
    if not unit:
        return amount
    is_close = unit.startswith("%") or "가" <= unit[0] <= "힣"
    return f"{amount}{unit}" if is_close else f"{amount} {unit}"


def adds_up(difference: float, first: float, second: float, places: int) -> bool:
    """Tell whether a difference and its two sides still agree once all three are rounded.

    Examples
    --------
    >>> adds_up(2.5406, 4.5251, 1.9845, 2), adds_up(2.5406, 4.5251, 1.9845, 4)
    (False, True)
    """
    printed = round(round(first, places) - round(second, places), places)
    return abs(printed - round(difference, places)) < 0.5 * 10.0**-places
