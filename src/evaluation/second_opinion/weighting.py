"""The weighting chain as R survey repeats it, and what of it R has no words for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.design.design import Design
from evaluation.design.steps import AppliedStep
from evaluation.second_opinion.sheet import Sheet, level_text, number, quoted, texts, vector
from evaluation.survey.margins import Margins
from evaluation.weighting.raking import MarginCodes, RakingStep, as_margins, code_margins

Floats = NDArray[np.float64]

#: What R's standard errors are to ours.
_NOTES = {
    "exact": (
        "# Variance: ours is the exact derivative of each estimate in the design weights. R takes the steps in another",
        "# order and with other weights; after raking or several steps standard errors differ by up to a few per cent.",
        '# A design declared with linearization = "r" gives those of R.',
    ),
    "replicates": (
        "# Replicates: R takes the rank of the weighted replicates for degrees of freedom, ours are those of the",
        "# design; p-values and the errors of quantiles differ by that.",
    ),
    "r": ("# Variance: in the convention of R survey, so that standard errors should be the same.",),
}


def weighted(design: Design, sheet: Sheet) -> tuple[Floats, list[str]]:
    """Return the weights that R starts from, shape (n,), and the lines of the steps that it repeats.

    R starts behind the last step that it has no words for, with the weights as they are there.
    """
    said = [_step(applied, design, sheet) for applied in design.steps]
    unsaid = [place for place, lines in enumerate(said) if lines is None]
    first = unsaid[-1] + 1 if unsaid else 0
    lines = _unsaid(design.steps[:first])
    if design.steps:
        lines += _NOTES[design.linearization if design.replicates is None else "replicates"]
    for applied, own in zip(design.steps[first:], said[first:], strict=True):
        lines += [f"# {applied.step.verb} ({applied.arguments_text()})", *(own or [])]
    return (design.steps[first - 1].weights_out if first else design.base_weights), lines


def _unsaid(steps: Sequence[AppliedStep]) -> list[str]:
    if not steps:
        return []
    told = "; ".join(f"{applied.step.verb} ({applied.arguments_text()})" for applied in steps)
    return [
        f"# Not repeated here: {told}.",
        "# R survey has no such step, or does it otherwise for such a design. The weights after it are taken as given,",
        "# so R's standard errors leave out what it adds or takes away; estimates must still be the same.",
    ]


def _step(applied: AppliedStep, design: Design, sheet: Sheet) -> list[str] | None:
    writers: Mapping[str, Callable[[AppliedStep, Design, Sheet], list[str] | None]] = {
        "poststratify": _post_stratified,
        "rake": _raked,
        "calibrate": _calibrated,
        "trim_weights": _trimmed,
        "standardise": _standardised,
    }
    writer = writers.get(applied.step.verb)
    return None if writer is None else writer(applied, design, sheet)


def _asked(applied: AppliedStep) -> Mapping[str, Any]:
    return getattr(applied.step, "asked", None) or applied.step.arguments


def _margin(coded: MarginCodes, design: Design, sheet: Sheet) -> str:
    """Return the R name of a margin's column: the data's own where it says the same."""
    levels = [level_text(level) for level in coded.levels]
    if coded.name in design.data.columns:
        own = sheet.category(coded.name)
        if set(sheet.levels[own]) == set(levels):
            return own
    return sheet.factor(coded.name.replace(":", "_by_"), levels, coded.codes, f"margin {coded.name}")


def _counts(name: str, coded: MarginCodes) -> str:
    levels = texts([level_text(level) for level in coded.levels])
    return f"data.frame({name} = {levels}, Freq = {vector(coded.targets)})"


def _post_stratified(applied: AppliedStep, design: Design, sheet: Sheet) -> list[str] | None:
    if not isinstance(applied.step, RakingStep):
        return None
    (coded,) = applied.step.margins
    name = _margin(coded, design, sheet)
    return [f"d <- postStratify(d, ~{name}, {_counts(name, coded)})"]


def _raked(applied: AppliedStep, design: Design, sheet: Sheet) -> list[str] | None:
    if not isinstance(applied.step, RakingStep):
        return None
    names = [_margin(coded, design, sheet) for coded in applied.step.margins]
    counts = [_counts(name, coded) for name, coded in zip(names, applied.step.margins, strict=True)]
    return [
        f"d <- rake(d, list({', '.join('~' + name for name in names)}),",
        f"  list({', '.join(counts)}),",
        "  control = list(maxit = 2000, epsilon = 1e-13))",
    ]


def _calibrated(applied: AppliedStep, design: Design, sheet: Sheet) -> list[str] | None:
    asked = dict(_asked(applied))
    stage = _stage(design, asked.get("cluster"))
    unsaid = any(asked.get(name) is not None for name in ("ridge", "variance", "totals_from", "vcov"))
    unsaid |= bool((applied.weights_in == 0).any())  # R's calibrate stops at rows without weight
    if unsaid or stage is None or asked.get("margins") is None:
        return None
    formula, population = _totals(as_margins(asked["margins"]), design, sheet)
    options = [f'calfun = "{asked.get("distance", "linear")}"']
    if asked.get("bounds") is not None:
        options.append(f"bounds = {vector(asked['bounds'])}")
    options += [stage] if stage else []
    # R replicates weights row by row here; compressed ones lose digits.
    options += ["compress = FALSE"] if design.replicates is not None else []
    return [
        f"d <- calibrate(d, {formula},",
        f"  {population},",
        f"  {', '.join(options)}, epsilon = 1e-12, maxit = 500)",
    ]


def _stage(design: Design, cluster: Any) -> str | None:
    """Return R's way to one weight per cluster; empty where none was asked for, None where R has no such stage."""
    if cluster is None:
        return ""
    psu = design.sampling.psu
    return f"aggregate.stage = {psu.index(cluster) + 1}" if cluster in psu and design.replicates is None else None


def _totals(margins: Margins, design: Design, sheet: Sheet) -> tuple[str, str]:
    """Return R's formula and totals: an intercept, all levels but each factor's first, and numeric columns."""
    terms: list[str] = []
    totals: dict[str, float] = {}
    sized = {name: value for name, value in margins.totals.items() if name == "total"}
    coded = code_margins(design, margins)
    if coded or sized:
        totals["(Intercept)"] = float(coded[0].targets.sum()) if coded else sized["total"]
    for margin in coded:
        name = _margin(margin, design, sheet)
        targets = dict(zip(map(level_text, margin.levels), margin.targets, strict=True))
        terms.append(name)
        totals |= {f"{name}{level}": float(targets[level]) for level in sheet.levels[name][1:]}
    for total, value in margins.totals.items():
        if total != "total":
            name = sheet.number(total)
            terms.append(name)
            totals[name] = float(value)
    formula = "~" + (" + ".join(terms) or "1") + ("" if coded or sized else " - 1")
    return formula, f"c({', '.join(f'{quoted(name)} = {number(value)}' for name, value in totals.items())})"


def _trimmed(applied: AppliedStep, design: Design, sheet: Sheet) -> list[str] | None:
    asked = dict(_asked(applied))
    # R 4.1 recycles the bounds wrongly over replicates, and trims rows without weight
    if asked.get("margins") is not None or design.replicates is not None or (applied.weights_in == 0).any():
        return None
    positive = applied.weights_in[applied.weights_in > 0]
    units = {"median": float(np.median(positive)), "mean": float(positive.mean()), "none": 1.0}
    unit = units[asked.get("relative_to", "median")]
    bounds = [f"{name} = {number(asked[name] * unit)}" for name in ("upper", "lower") if asked.get(name) is not None]
    return [f"d <- trimWeights(d, {', '.join(bounds)}, strict = {str(asked.get('strict', True)).upper()})"]


def _standardised(applied: AppliedStep, design: Design, sheet: Sheet) -> list[str] | None:
    asked = dict(_asked(applied))
    by, over = ([names] if isinstance(names, str) else list(names or []) for names in (asked["by"], asked.get("over")))
    if len(by) != 1 or len(over) != 1 or asked.get("excluding_missing") is not None or design.replicates is not None:
        return None
    shares = {level_text(level): share for level, share in asked["population"].items()}
    name = sheet.category(by[0])
    population = vector([shares[level] for level in sheet.levels[name]])
    return [f"d <- svystandardize(d, by = ~{name}, over = ~{sheet.category(over[0])}, population = {population})"]
