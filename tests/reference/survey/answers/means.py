"""Means, totals, ratios, by domain, and what is made of them."""

from dataclasses import replace

import numpy as np
import pandas as pd

import evaluation as ev
from answers.designs import design_of, named, terms
from answers.distributions import quantiles_by
from answers.language import Call, Name
from answers.regression import fitted


def _is_text(design, names):
    return not all(pd.api.types.is_numeric_dtype(design.data[name]) for name in names)


def labelled(result, values):
    """Return values by R's names: the term, and behind it the level."""
    keys = result.keys["term"] + result.keys["level"].astype(str) if "level" in result.keys else result.keys["term"]
    return dict(zip(keys, values, strict=True))


def limits(result, df):
    """Return 95 % limits with another reference distribution."""
    low, high = replace(result, df=np.full(len(result), float(df)), interval=None).confidence_interval().T
    return {"lower": labelled(result, low), "upper": labelled(result, high)}


def estimated(call, setting):
    """svymean, svytotal: the result itself; R leaves out whoever lacks one of the variables."""
    names, design = terms(call.given[0]), design_of(call.argument("design", 1), setting)
    deff = call.options.get("deff", False)
    if _is_text(design, names):
        verb = ev.survey_prop if call.function == "svymean" else ev.survey_total
        return design, verb(design, names)
    verb = ev.survey_mean if call.function == "svymean" else ev.survey_total
    return design, verb(design, names, deff=deff, listwise=True)


def estimates(call, setting):
    """svymean(~a + b, d), svytotal(~a, d)."""
    design, result = estimated(call, setting)
    made = {"estimate": labelled(result, result.estimate), "se": labelled(result, result.std_error)}
    if "deff" in result.columns:
        made["deff"] = labelled(result, result.columns["deff"])
    df = design.degrees_of_freedom()
    normal, design_based = limits(result, np.inf), limits(result, df)
    return made | {"vcov": result.vcov, "design_df": df, "ci95_normal": normal, "ci95_t_design_df": design_based}


def ratio(call, setting):
    """svyratio(~y, ~x, d)."""
    design = design_of(call.given[2], setting)
    result = ev.survey_ratio(design, *terms(call.given[0]), *terms(call.given[1]))
    df = design.degrees_of_freedom()
    intervals = {
        name: np.ravel(replace(result, df=np.array([float(of)])).confidence_interval())
        for name, of in (("ci95_normal", np.inf), ("ci95_t", df))
    }
    return {"ratio": result.estimate, "se": result.std_error, "design_df": df, **intervals}


def _in_r_order(result, by):
    """R lets the first grouping variable run fastest."""
    order = result.keys.reset_index().sort_values([*reversed(by)], kind="stable")["index"]
    return result.take(order.to_numpy())


def by_groups(call, setting):
    """svyby(~y, ~a + b, d, svymean)."""
    if call.argument("FUN", 3).name == "svyquantile":
        return quantiles_by(call, setting)
    result, by, (variable,) = grouped(call, setting)
    columns = {name: [_level(value) for value in result.keys[name]] for name in by}
    return {"table": {**columns, variable: result.estimate, "se": result.std_error}, "vcov": result.vcov}


def _level(value):
    """Return a group as R prints it: conditions are TRUE or FALSE."""
    return {0.0: "FALSE", 1.0: "TRUE"}.get(value, value)


def grouped(call, setting):
    """Return the estimates of a svyby call in R's order, the groups and the variables."""
    names, by = terms(call.given[0]), terms(call.given[1])
    design = design_of(call.given[2], setting)
    verb = {"svymean": ev.survey_mean, "svytotal": ev.survey_total}[call.argument("FUN", 3).name]
    return _in_r_order(verb(design, names, by=by), by), by, names


def group_limits(call, setting):
    """confint(svyby(...), df = degf(d))."""
    result, _, _ = grouped(call.given[0], setting)
    df = design_of(call.options["df"].given[0], setting).degrees_of_freedom()
    return {"values": replace(result, df=np.full(len(result), float(df))).confidence_interval()}


def degrees_of_freedom(call, setting):
    """c(degf = degf(d), degf_full = degf(other))."""
    return {name: design_of(of.given[0], setting).degrees_of_freedom() for name, of in call.options.items()}


def under_rule(call, setting):
    """lonely(rule, call, domain = TRUE): R's options for strata with one PSU."""
    rules = {"remove": "remove", "certainty": "remove", "adjust": "centre", "average": "average"}
    lonely = {"lonely_psu": rules[call.given[0]], "lonely_domains": call.options["domain"]}
    return estimates(call.given[1], replace(setting, lonely=lonely))


def counts(call, setting):
    """svytable(~a + b, d)."""
    rows, columns = terms(call.given[0])
    result = ev.survey_total(design_of(call.given[1], setting), rows, by=columns)
    return {"values": result.tidy().pivot(index="level", columns=columns, values="estimate")}


def contrasted(call, setting):
    """svycontrast(estimates, weights or an expression)."""
    inner, asked = call.given
    if asked.function == "quote":
        _, result = estimated(inner, setting)
        made = ev.nonlinear_contrast(result, {"made": _said(asked.given[0])})
    else:
        result, weights = _to_combine(inner, setting), named(asked)
        rows = {_address(result, name): weight for name, weight in weights.items()}
        made = ev.contrast(result, {"made": rows})
    return {"estimate": made.estimate, "se": made.std_error}


def _to_combine(inner, setting):
    if inner.function == "svyby":
        return grouped(inner, setting)[0]
    return fitted(inner, setting)


def _address(result, name):
    """Return the row that R names by its group, or by its term alone."""
    (found,) = [address for address in result.addresses() if address == name or address.endswith(f"={name}")]
    return found


def _said(node):
    """Return an expression of estimates as nonlinear_contrast reads it."""
    if isinstance(node, Name):
        return f"`{node.name}`"
    if not isinstance(node, Call):
        return f"{node:g}"
    parts = [_said(part) for part in node.given]
    if node.function == "sqrt":
        return f"sqrt({parts[0]})"
    return f"({parts[0]} {'**' if node.function == '^' else node.function} {parts[1]})"


def variance(call, setting):
    """svyvar(~a, d), svyvar(~a + b, d)."""
    names, design = terms(call.given[0]), design_of(call.given[1], setting)
    if len(names) == 1:
        result = ev.survey_variance(design, names)
        return {"variance": result.estimate, "se": result.std_error}
    result = ev.survey_covariance(design, names)
    square = [0, 1, 1, 2]
    return {"matrix": np.reshape(result.estimate[square], (2, 2)), "se": result.std_error[square]}


ANSWERS = {
    "svymean": estimates,
    "svytotal": estimates,
    "svyratio": ratio,
    "svyby": by_groups,
    "confint": group_limits,
    "c": degrees_of_freedom,
    "svytable": counts,
    "lonely": under_rule,
    "svycontrast": contrasted,
    "svyvar": variance,
}
