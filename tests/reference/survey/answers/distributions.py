"""Intervals of shares, and quantiles by every rule and interval."""

import numpy as np

import evaluation as ev
from answers.designs import design_of, numbers, terms
from answers.language import Call

# R's names of intervals that bear another here.
INTERVALS = {"mean": "t"}


def _without_domain(node):
    return node.given[0] if isinstance(node, Call) and node.function == "subset" else node


def share(call, setting):
    """svyciprop(~I(a == "Yes"), d, method, level): R counts the PSUs of everybody, whoever answered."""
    (name,) = terms(call.given[0])
    design, method = design_of(call.given[1], setting), call.options["method"]
    df = design.degrees_of_freedom()
    whole = design_of(_without_domain(call.given[1]), setting).degrees_of_freedom()
    level = call.options.get("level", 0.95)
    result = ev.survey_prop(design, name, interval=INTERVALS.get(method, method), df=df, conf_level=level)
    yes = result.take(np.flatnonzero(result.keys["level"] == 1.0))
    return {"estimate": yes.estimate, "se": yes.std_error, "ci95": yes.confidence_interval()[0], "design_df": whole}


def quantiles(call, setting):
    """svyquantile(~y, d, probabilities, qrule, interval.type)."""
    (variable,) = terms(call.given[0])
    design = design_of(call.given[1], setting)
    options = {"rule": call.options.get("qrule", "math"), "interval": call.options.get("interval.type", "mean")}
    probabilities = numbers(call.given[2])
    result = ev.survey_quantile(
        design, variable, probabilities=probabilities, df=design.degrees_of_freedom(), **options
    )
    if call.options.get("ci") is False:
        # Without intervals R returns a row of quantiles; the items hold the first four under these headings.
        headings = ("quantile", "lower", "upper", "se")
        return {variable: dict(zip(headings, result.estimate[:4].tolist(), strict=True))}
    low, high = result.confidence_interval().T
    columns = {"prob": [f"{p:g}" for p in probabilities], "quantile": result.estimate, "lower": low, "upper": high}
    return {variable: {**columns, "se": result.std_error}}


def quantiles_by(call, setting):
    """svyby(~y, ~a, d, svyquantile, quantiles = p): R takes the degrees of freedom of each group."""
    (variable,), (by,) = terms(call.given[0]), terms(call.given[1])
    result = ev.survey_quantile(
        design_of(call.given[2], setting), variable, probabilities=[call.options["quantiles"]], by=by
    )
    groups = result.keys[by].tolist()
    return {"table": {by: groups, variable: result.estimate, f"se.{variable}": result.std_error}}


ANSWERS = {"svyciprop": share, "svyquantile": quantiles}
