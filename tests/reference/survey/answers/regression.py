"""Regressions and what is asked of them: terms, predictions, margins."""

import warnings

import pandas as pd

import evaluation as ev
from answers.designs import design_of, numbers, terms
from answers.language import Call
from evaluation.errors import ReplicateWarning

# R's names of families that bear another here.
FAMILIES = {"quasibinomial": "binomial", "quasipoisson": "poisson"}


def fitted(call, setting):
    """svyglm(y ~ a + b, design = d, family): the fit."""
    left, right = call.given[0].given
    (outcome,) = terms(left)
    parts = terms(right)
    offsets = [part.removeprefix("offset(").removesuffix(")") for part in parts if part.startswith("offset(")]
    covariates = [part for part in parts if not part.startswith("offset(")]
    family = FAMILIES.get(getattr(call.options.get("family"), "function", ""), "gaussian")
    offset = {"offset": offsets[0]} if offsets else {}
    design = design_of(call.options["design"], setting)
    with warnings.catch_warnings():
        # One of the bootstrap replicates separates the outcome; ours stops there where R does, and says so.
        warnings.simplefilter("ignore", ReplicateWarning)
        return ev.survey_glm(design, outcome=outcome, covariates=covariates, family=family, **offset)


def r_name(term):
    """Return R's name of a coefficient: stypeH for stype[T.H]."""
    return term.replace("[T.", "").removesuffix("]") if "[T." in term else term


def by_name(result, values):
    return dict(zip(map(r_name, result.keys["term"]), values, strict=True))


def coefficients(call, setting):
    """svyglm(...): everything that it prints, and its deviances."""
    result = fitted(call, setting)
    tidy, fit = result.tidy(), result.glance().iloc[0]
    return {
        "coef": by_name(result, result.estimate),
        "se": by_name(result, result.std_error),
        "vcov": result.vcov,
        "df_residual": fit["df_residual"],
        "t": by_name(result, tidy["statistic"]),
        "p_value": by_name(result, tidy["p_value"]),
        "deviance": fit["deviance"],
        "null_deviance": fit["null_deviance"],
        "dispersion": fit["dispersion"],
        "ci95_t": {"lower": by_name(result, tidy["conf_low"]), "upper": by_name(result, tidy["conf_high"])},
    }


def term(call, setting):
    """regTermTest(fit, ~term, method, df)."""
    (name,) = terms(call.given[1])
    methods = {"Wald": "Wald", "WorkingWald": "working_wald", "LRT": "LRT"}
    method = methods[call.options.get("method", "Wald")]
    test = ev.term_test(fitted(call.given[0], setting), name, method=method, df=call.options.get("df"))
    return {
        "p_value": test.p_value,
        "Ftest": test.statistic,
        "chisq": test.statistic,
        "lambda": list(test.weights),
        "df": test.ndf,
        "ddf": test.ddf,
    }


def _column(node):
    """Return the values of c(1, 2) or factor(c("a", "b"))."""
    return numbers(node.given[0] if isinstance(node, Call) and node.function == "factor" else node)


def predicted(call, setting):
    """as.data.frame(predict(fit, newdata = data.frame(...))): on the scale of the linear predictor."""
    inner = call.given[0]
    columns = {name: _column(values) for name, values in inner.options["newdata"].options.items()}
    result = ev.predictions(fitted(inner.given[0], setting), pd.DataFrame(columns), type="link")
    return {"link": result.estimate, "se": result.std_error}


def margins(call, setting):
    """svypredmeans(fit, ~variable): R's levels come in the order of the data."""
    (variable,) = terms(call.given[1])
    fit = fitted(call.given[0], setting)
    levels = fit.design.data[variable].unique().tolist()
    result = ev.predictive_margins(fit, variable, at=levels)
    estimate, se = (dict(zip(levels, values, strict=True)) for values in (result.estimate, result.std_error))
    return {"estimate": estimate, "se": se, "vcov": result.vcov}


def ordinal(call, setting):
    """{ d2 <- update(d, a = cut(...)); svyolr(a ~ b, design = d2) }."""
    update, regression = call.given
    left, right = regression.given[0].given
    design = design_of(update.given[1].given[0], setting)
    result = ev.survey_ordinal(design, outcome=left.name, covariates=terms(right))
    return {"coef": by_name(result, result.estimate), "se": by_name(result, result.std_error)}


ANSWERS = {
    "svyglm": coefficients,
    "regTermTest": term,
    "as.data.frame": predicted,
    "svypredmeans": margins,
    "{": ordinal,
}
