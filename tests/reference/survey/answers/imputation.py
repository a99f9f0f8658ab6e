"""Estimates from several imputations, combined."""

import numpy as np

import evaluation as ev
from answers.designs import IMPUTATIONS
from answers.language import Call, Name
from answers.means import estimated, grouped
from answers.regression import fitted


def combined(call, setting):
    """MIcombine(with(designs, estimate), df.complete): without it R takes complete data to have infinitely many."""
    inner = call.given[0].given[1]
    results = [_estimate(inner, Name(f"dmi_{number}"), setting) for number in IMPUTATIONS]
    result = ev.combine_imputations(results, complete_df=call.options.get("df.complete", np.inf))
    rows = result.keys.iloc[:, -1]
    numbers = {
        "coef": result.estimate,
        "se": result.std_error,
        "df": result.df,
        "missing_info": result.columns["missing_information"],
    }
    by_row = {name: dict(zip(rows, values, strict=True)) for name, values in numbers.items()}
    return by_row | {"nimp": len(results)}


def _estimate(call, design, setting):
    """Return one imputation's estimate: R puts the design into the call."""
    if call.function == "svyglm":
        return fitted(Call(call.function, call.given, {**call.options, "design": design}), setting)
    whole = Call(call.function, (*call.given, design), call.options)
    return grouped(whole, setting)[0] if call.function == "svyby" else estimated(whole, setting)[1]


ANSWERS = {"MIcombine": combined}
