"""Two-way fixed effects of a treatment that starts at different times in different places."""

from __future__ import annotations

from collections.abc import Sequence

from evaluation.design.design import Design, require_design
from evaluation.errors import EstimationError, require_flag
from evaluation.estimation.arguments import require_arguments
from evaluation.impact.absorbed.coefficients import AbsorbedEffects
from evaluation.impact.absorbed.fixed_effects import Roles, read_columns
from evaluation.impact.absorbed.regression import estimated
from evaluation.impact.absorbed.rules import DegreesOfFreedom, RegressionVcov, SmallSample, read_rule
from evaluation.impact.dose_range import heed_range


def twfe(
    design: Design,
    *,
    outcome: str,
    treatment: str | Sequence[str],
    unit: str,
    time: str,
    covariates: str | Sequence[str] = (),
    cluster: str | Sequence[str] | None = None,
    trends: bool = False,
    vcov: RegressionVcov | None = None,
    small_sample: SmallSample = "nonnested",
    df: DegreesOfFreedom | None = None,
    lags: int | None = None,
    coordinates: tuple[str, str] | None = None,
    cutoff: float | None = None,
    conf_level: float = 0.95,
) -> AbsorbedEffects:
    """Estimate the coefficient of a treatment in a linear regression with unit and time effects.

    The two-way front of ``fe_regression``, which takes any number of effects and counts and shares too.

    Parameters
    ----------
    design : Design
        Panel or repeated cross-sections, one row per respondent (or unit) and time; its weights weigh.
    outcome : str
        Numeric column.
    treatment : str or list of str
        Numeric columns such as a 0/1 treatment, a dose, or event-time dummies; ``"a:b"`` is the product of two.
    unit, time : str
        Columns whose levels have an effect each.
    covariates : str or list of str
        Further columns, as in ``survey_glm``: names (text becomes levels), products ``"a:b"``, or a formula.
    cluster : str or list of str, optional
        Column whose values share shocks, as a rule where treatment was assigned; two for two-way clusters.
    trends : bool, default False
        Give each unit a linear trend of its own; ``time`` must then be numeric.
    vcov, small_sample, df, lags, coordinates, cutoff
        Rule of the errors, as in ``fe_regression``: by default the jackknife over clusters (CV3) with t on clusters
        less 1, or the sampling design where no cluster is named.
    conf_level : float, default 0.95
        Of the t interval.

    Returns
    -------
    AbsorbedEffects
        One row per coefficient, treatments first. With a cluster the column ``effective_clusters`` says on how
        many of them each coefficient rests (one over the sum of squared partial leverages), and
        ``ev.leave_one_out`` shows each.

    Raises
    ------
    ColumnError
        A column does not exist or is not numeric.
    IdentificationError
        A column does not vary once the effects are taken out, or is a combination of others; or no treatment's
        coefficient exists without some cluster.
    EstimationError
        A rule lacks what it needs, fewer than three clusters are there, or no degrees of freedom are left.

    Warns
    -----
    FewClustersWarning
        Fewer than 6 clusters are treated, or fewer than 6 are there to compare with.
    SharedTreatmentWarning
        "iid" or "HC1" where all respondents of a cell share the treatment, or where it stays on in a unit.
    DoseWarning
        A treatment that is zero somewhere is below 0 elsewhere, or its shares are mixed with values above 1.

    Notes
    -----
    With tilde for residuals from the effects, :math:`b = (\\tilde X'W\\tilde X)^{-1}\\tilde X'W\\tilde y` and the
    influence of a respondent is :math:`(\\tilde X'W\\tilde X)^{-1}\\tilde x_i \\tilde e_i`. The factor of CR1 is
    :math:`\\frac{n-1}{n-K}\\frac{G}{G-1}`, where K leaves out effects nested in the cluster; packages that count
    them report errors 3 to 5 per cent larger. Where effects differ by cohort, or grow, the coefficient is a weighted
    sum of them in which weights can be negative: see ``ev.twfe_weights``. Rows with a missing value are left out.

    References
    ----------
    MacKinnon, Nielsen and Webb (2023), Journal of Applied Econometrics 38, 671-694. R twins: ``fixest::feols``
    with ``ssc(K.fixef="nonnested")``, ``summclust``; Stata: ``reghdfe``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> import pandas as pd
    >>> panel = pd.DataFrame({"gu": [1, 1, 2, 2, 3, 3], "year": [0, 1] * 3, "y": [1, 4, 2, 3, 1, 3.0]})
    >>> panel["d"] = [0, 1, 0, 0, 0, 0]
    >>> twfe(survey_design(panel), outcome="y", treatment="d", unit="gu", time="year").estimate.round(6).tolist()
    [1.5]
    """
    require_arguments(twfe, locals())
    require_design(design, "twfe")
    design.require_no_negative_weights("twfe")
    require_flag(trends, "twfe: trends", EstimationError)
    rule = read_rule(
        "twfe",
        vcov,
        cluster,
        small_sample=small_sample,
        df=df,
        lags=lags,
        coordinates=coordinates,
        cutoff=cutoff,
        time=time,
    )
    roles = Roles({"unit": unit, "time": time}, rule.clusters, {}, "unit" if trends else None)
    regression = read_columns(design, outcome, treatment, covariates, roles)
    for name, values in zip(regression.terms[: regression.n_treatments], regression.columns[1:], strict=False):
        if ":" not in name:
            heed_range("twfe", name, values)
    told = {
        "outcome": regression.outcome,
        "treatment": ", ".join(regression.terms[: regression.n_treatments]),
        "unit": unit,
        "time": time,
        "trends": trends,
        "n_units": len(regression.labels["unit"]),
        "n_times": len(regression.labels["time"]),
    }
    return estimated("twfe", design, regression, rule, conf_level=conf_level, told=told)
