"""The estimates a study declares in its file, before anybody looks at an outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd

from evaluation.comparison.effects import aipw, g_computation, group_difference, ipw, ipwra, regression_adjusted
from evaluation.design.design import Design, domain
from evaluation.design.replicates import require_arguments_of
from evaluation.design.replication import as_replicates
from evaluation.errors import DesignError, EvaluationError, StudyError, did_you_mean
from evaluation.estimation.change import survey_change
from evaluation.estimation.inequality import survey_arop, survey_gini, survey_qsr
from evaluation.estimation.means import survey_mean, survey_prop, survey_ratio, survey_total
from evaluation.estimation.moments import survey_correlation, survey_covariance, survey_variance
from evaluation.estimation.quantiles import survey_quantile
from evaluation.impact.absorbed.twfe import twfe
from evaluation.impact.panel import panel
from evaluation.impact.staggered.bacon import goodman_bacon
from evaluation.regression.families import GlmFamily
from evaluation.regression.glm import survey_glm
from evaluation.regression.margins import marginal_effects
from evaluation.regression.multinomial import survey_multinomial
from evaluation.regression.ordinal import survey_ordinal
from evaluation.results import Estimates, Labels, Provenance, frame_html
from evaluation.specification import EstimateSpecification, Text, read_study, require_arguments
from evaluation.weighting.chain import study_design


def _marginal_effects(
    design: Design,
    outcome: str,
    covariates: str | Sequence[str],
    variables: str | Sequence[str] | None = None,
    family: GlmFamily = "gaussian",
) -> Estimates:
    """Estimate average marginal effects of a regression that is fitted on the way."""
    return marginal_effects(survey_glm(design, outcome=outcome, covariates=covariates, family=family), variables)


def _goodman_bacon(design: Design, outcome: str, cohort: str, unit: str, time: str) -> Estimates:
    """Return the two-by-two comparisons behind a two-way coefficient, summed by kind, with their weights."""
    parts = goodman_bacon(panel(design, unit=unit, time=time), outcome=outcome, cohort=cohort)
    rows = parts.by_type()
    k = len(rows)
    return Estimates(
        verb="goodman_bacon",
        keys=pd.DataFrame({"term": outcome, "comparison": rows["type"]}),
        estimate=rows["estimate"].to_numpy(),
        vcov=np.full((k, k), np.nan),
        df=np.full(k, np.nan),
        n_obs=np.full(k, int(design.present.sum())),
        provenance=design.provenance,
        method="diagnosis without errors",
        columns={"bacon_weight": rows["weight"].to_numpy()},
    )


VERBS: dict[str, Callable[..., Estimates]] = {
    "survey_mean": survey_mean,
    "survey_total": survey_total,
    "survey_prop": survey_prop,
    "survey_ratio": survey_ratio,
    "survey_quantile": survey_quantile,
    "survey_variance": survey_variance,
    "survey_covariance": survey_covariance,
    "survey_correlation": survey_correlation,
    "survey_gini": survey_gini,
    "survey_arop": survey_arop,
    "survey_qsr": survey_qsr,
    "survey_change": survey_change,
    "survey_glm": survey_glm,
    "survey_ordinal": survey_ordinal,
    "survey_multinomial": survey_multinomial,
    "marginal_effects": _marginal_effects,
    "group_difference": group_difference,
    "regression_adjusted": regression_adjusted,
    "g_computation": g_computation,
    "ipw": ipw,
    "aipw": aipw,
    "ipwra": ipwra,
    "twfe": twfe,
    "goodman_bacon": _goodman_bacon,
}

#: Key of a declared estimate that asks for replicates; all others are the verb's own arguments.
REPLICATES = "replicates"
#: Likeness from which a name is taken for a misspelt verb, and not for another verb that makes no estimates.
NEAR = 0.8


class TitledLabels:
    """Labels of a survey, and the study's titles for the codes of one further column."""

    def __init__(self, labels: Labels, column: str, titles: Mapping[str, Text | None]) -> None:
        self.labels = labels
        self.column = column
        self.titles = titles

    def variable(self, name: str, lang: str) -> str:
        """Return the label of a column."""
        return self.labels.variable(name, lang)

    def value(self, name: str, value: object, lang: str) -> str:
        """Return the label of a code; for the titled column, the study's title."""
        title = self.titles.get(str(value)) if name == self.column else None
        return title.in_language(lang) if title is not None else self.labels.value(name, value, lang)


@dataclass(frozen=True, eq=False)
class DeclaredEstimates(Mapping[str, Estimates]):
    """Estimates by name, in the order of the study file.

    Attributes
    ----------
    estimates : dict of str to Estimates
    titles : dict of str to Text
        Titles by name.
    """

    estimates: Mapping[str, Estimates]
    titles: Mapping[str, Text | None]

    @property
    def provenance(self) -> Provenance:
        """The survey, with n and weight where all estimates share them."""
        each = [estimates.provenance for estimates in self.estimates.values()] or [Provenance()]
        n, weights = {one.n for one in each}, {one.weight for one in each}
        return replace(
            each[0],
            title=each[0].title if len(n) == 1 else {},
            n=each[0].n if len(n) == 1 else 0,
            weight=each[0].weight if len(weights) == 1 else "",
            labels=TitledLabels(each[0].labels, "name", self.titles),
        )

    def __getitem__(self, name: str) -> Estimates:
        if name not in self.estimates:
            raise StudyError(f"no declared estimate '{name}'. {did_you_mean(name, self.estimates)}")
        return self.estimates[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.estimates)

    def __len__(self) -> int:
        return len(self.estimates)

    def tidy(self) -> pd.DataFrame:
        """Return all rows under each other: name, row address, estimate, error, interval, n."""
        return _rows(self.estimates)

    def _shown(self) -> pd.DataFrame:
        """Return what may be displayed of ``tidy()``: numbers on too few respondents are blank."""
        return _rows({name: estimates.masked() for name, estimates in self.estimates.items()})

    def __repr__(self) -> str:
        return self._shown().to_string(index=False, float_format=lambda value: f"{value:.6g}")

    def _repr_html_(self) -> str:
        return frame_html(self._shown())


def _rows(items: Mapping[str, Estimates]) -> pd.DataFrame:
    columns = ["estimate", "std_error", "conf_low", "conf_high", "df", "n_obs"]
    parts = []
    for name, estimates in items.items():
        frame = estimates.tidy()[columns]
        frame.insert(0, "row", estimates.addresses())
        frame.insert(0, "name", name)
        parts.append(frame)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["name", "row", *columns])


def declared_estimates(study: str, step: str, **parameters: Any) -> DeclaredEstimates:
    """Make the estimates that a study declares for one of its steps.

    Parameters
    ----------
    study : str
        Study id.
    step : str
        A step of the study; one without estimates under ``estimates:`` in the study file has none.
    **parameters
        As for ``study_design``.

    Returns
    -------
    DeclaredEstimates
        A mapping of name to Estimates.

    Raises
    ------
    StudyError
        The study has no such step, or an estimate names an unknown verb or argument.
    EvaluationError
        Whatever the verb raises, with the estimate's name in front.

    Examples
    --------
    >>> list(declared_estimates("api_2000", "profile"))[:1]
    ['clus1_mean_api00']
    """
    specification = read_study(study)
    if step not in specification.steps:
        raise StudyError(f"study '{study}' has no step '{step}'. {did_you_mean(step, specification.steps)}")
    designs: dict[str, Design] = {}
    made: dict[str, Estimates] = {}
    declared = specification.estimates.get(step, {})
    for name, estimate in declared.items():
        if estimate.design not in designs:
            designs[estimate.design] = study_design(study, estimate.design, **parameters)
        made[name] = _make(designs[estimate.design], estimate, f"params/{study}.yml, estimate '{name}'")
    return DeclaredEstimates(made, {name: estimate.title for name, estimate in declared.items()})


def design_comparison(study: str, outcome: str, **parameters: Any) -> Estimates:
    """Estimate one mean under every design that the study declares on the headline design's sample.

    Parameters
    ----------
    study : str
        Study id.
    outcome : str
        Numeric column.
    **parameters
        As for ``study_design``.

    Returns
    -------
    Estimates
        One row per design, in the order of the study file. The rows answer the same question with
        the same respondents, so they are not to be contrasted: there is no joint covariance.

    Examples
    --------
    >>> design_comparison("api_2000", "api00").keys["design"].tolist()[:2]
    ['clus1', 'clus1_poststratified']
    """
    specification = read_study(study)
    wanted = specification.sample_of(specification.headline)
    names = [name for name in specification.designs if specification.sample_of(name) == wanted]
    each = [survey_mean(study_design(study, name, **parameters), outcome) for name in names]
    titles = {name: specification.designs[name].title for name in names}
    first = each[0]
    vcov = np.full((len(each), len(each)), np.nan)
    np.fill_diagonal(vcov, [float(one.vcov[0, 0]) for one in each])
    return Estimates(
        verb="survey_mean",
        keys=pd.DataFrame({"term": outcome, "design": names}),
        estimate=np.concatenate([one.estimate for one in each]),
        vcov=vcov,
        df=np.concatenate([one.df for one in each]),
        n_obs=np.concatenate([one.n_obs for one in each]),
        provenance=replace(
            first.provenance, weight="weight_by_row", labels=TitledLabels(first.provenance.labels, "design", titles)
        ),
        method=first.variance_method,
        conf_level=first.conf_level,
    )


def _make(design: Design, estimate: EstimateSpecification, place: str) -> Estimates:
    verb, arguments = declared_verb(estimate, place)
    asked = replicates_asked(estimate, place)
    try:
        if asked is not None:
            design = as_replicates(design, **asked)
        if estimate.where:
            design = domain(design, estimate.where)
        return verb(design, **arguments)
    except EvaluationError as error:
        raise type(error)(f"{place}: {error}", failures=error.failures) from None


def declared_verb(estimate: EstimateSpecification, place: str) -> tuple[Callable[..., Estimates], dict[str, Any]]:
    """Return the verb of a declared estimate and its arguments; a StudyError where one does not exist."""
    if estimate.verb not in VERBS:
        near = get_close_matches(estimate.verb, VERBS, n=1, cutoff=NEAR)
        move = f"Did you mean '{near[0]}'?" if near else f"A study can declare: {', '.join(VERBS)}."
        raise StudyError(f"{place}: unknown verb '{estimate.verb}'. {move}")
    arguments = {name: value for name, value in estimate.arguments.items() if name != REPLICATES}
    require_arguments(VERBS[estimate.verb], arguments, place)
    return VERBS[estimate.verb], arguments


def replicates_asked(estimate: EstimateSpecification, place: str) -> dict[str, Any] | None:
    """Return what a declared estimate wants of ``as_replicates``, or None; a StudyError where that cannot be."""
    kind = estimate.arguments.get(REPLICATES)
    if kind is None:
        return None
    asked = {str(name): value for name, value in kind.items()} if isinstance(kind, Mapping) else {"kind": kind}
    require_arguments(as_replicates, asked, f"{place}, {REPLICATES}")
    try:
        require_arguments_of(**asked)
    except DesignError as error:
        raise StudyError(f"{place}, {REPLICATES}: {error}") from None
    return asked
