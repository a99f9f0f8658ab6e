"""Tests of association, of means and of ranks."""

import evaluation as ev
from answers.designs import design_of, terms


def chi_square(call, setting):
    """svychisq(~a + b, d, statistic)."""
    statistic = call.options.get("statistic", "F")
    test = ev.survey_chisq(design_of(call.given[1], setting), *terms(call.given[0]), statistic=statistic)
    # R reports the first-order statistic before it divides by the design effect, and F under its first name.
    by_name = {"F": test.statistic, "X-squared": test.statistic}
    return {
        "p_value": test.p_value,
        "statistic": by_name,
        "parameter": {"ndf": test.ndf, "ddf": test.ddf, "df": test.ndf},
    }


def t_test(call, setting):
    """svyttest(y ~ group, d), svyttest(I(y - 650) ~ 0, d)."""
    left, right = call.given[0].given
    design = design_of(call.given[1], setting)
    if right == 0.0:
        name = terms(left)[0]
        test = ev.survey_ttest(design, name)
        estimate = {"mean": test.estimate}
    else:
        test = ev.survey_ttest(design, left.name, by=right.name)
        estimate = {"difference in mean": test.estimate}
    return {
        "p_value": test.p_value,
        "statistic": {"t": test.statistic},
        "parameter": {"df": test.ddf},
        "estimate": estimate,
        "conf_int": [test.conf_low, test.conf_high],
    }


def rank_test(call, setting):
    """svyranktest(y ~ group, d, test)."""
    left, right = call.given[0].given
    test = ev.survey_ranktest(design_of(call.given[1], setting), left.name, right.name, test=call.options["test"])
    if test.distribution == "t":
        return {
            "p_value": test.p_value,
            "statistic": {"t": test.statistic},
            "parameter": {"df": test.ddf},
            "estimate": {"difference in mean rank score": test.estimate},
        }
    # With several groups R swaps the two headings, and prints F times its numerator's degrees of freedom.
    return {
        "p_value": test.p_value,
        "statistic": {"df": test.ndf},
        "parameter": {"Chisq": test.statistic * test.ndf},
    }


ANSWERS = {"svychisq": chi_square, "svyttest": t_test, "svyranktest": rank_test}
