"""The estimates a study declares in its file, before anybody looks at an outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from evaluation.design.design import Design, as_replicates, domain
from evaluation.errors import EstimationError, StudyError, did_you_mean
from evaluation.estimation.means import survey_mean, survey_prop, survey_ratio, survey_total
from evaluation.estimation.quantiles import survey_quantile
from evaluation.regression.glm import survey_glm
from evaluation.results import Estimates, frame_html
from evaluation.specification import EstimateSpecification, read_study
from evaluation.weighting.chain import study_design

VERBS: dict[str, Callable[..., Estimates]] = {
    "survey_mean": survey_mean,
    "survey_total": survey_total,
    "survey_prop": survey_prop,
    "survey_ratio": survey_ratio,
    "survey_quantile": survey_quantile,
    "survey_glm": survey_glm,
}


@dataclass(frozen=True, eq=False)
class DeclaredEstimates(Mapping[str, Estimates]):
    """Estimates by name, in the order of the study file.

    Attributes
    ----------
    estimates : dict of str to Estimates
    titles : dict of str to dict of str to str
        Titles by name and language.
    """

    estimates: Mapping[str, Estimates]
    titles: Mapping[str, Mapping[str, str]]

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
        columns = ["estimate", "std_error", "conf_low", "conf_high", "df", "n_obs"]
        parts = []
        for name, estimates in self.estimates.items():
            frame = estimates.tidy()[columns]
            frame.insert(0, "row", estimates.addresses())
            frame.insert(0, "name", name)
            parts.append(frame)
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["name", "row", *columns])

    def __repr__(self) -> str:
        return self.tidy().to_string(index=False, float_format=lambda value: f"{value:.6g}")

    def _repr_html_(self) -> str:
        return frame_html(self.tidy())


def declared_estimates(study: str, step: str, **parameters: Any) -> DeclaredEstimates:
    """Make the estimates that a study declares for one of its steps.

    Parameters
    ----------
    study : str
        Study id.
    step : str
        A key of ``estimates:`` in the study file; a step without declared estimates has none.
    **parameters
        As for ``study_design``.

    Returns
    -------
    DeclaredEstimates
        A mapping of name to Estimates.

    Raises
    ------
    StudyError
        An estimate names an unknown verb or argument.
    EvaluationError
        Whatever the verb raises, with the estimate's name in front.

    Examples
    --------
    >>> list(declared_estimates("api_2000", "profile"))[:1]
    ['clus1_mean_api00']
    """
    specification = read_study(study)
    designs: dict[str, Design] = {}
    made: dict[str, Estimates] = {}
    declared = specification.estimates.get(step, {})
    for name, estimate in declared.items():
        if estimate.design not in designs:
            designs[estimate.design] = study_design(study, estimate.design, **parameters)
        made[name] = _make(designs[estimate.design], estimate, f"params/{study}.yml, estimate '{name}'")
    titles = {name: e.title.model_dump() for name, e in declared.items() if e.title is not None}
    return DeclaredEstimates(made, titles)


def _make(design: Design, estimate: EstimateSpecification, place: str) -> Estimates:
    if estimate.verb not in VERBS:
        raise StudyError(f"{place}: unknown verb '{estimate.verb}'. {did_you_mean(estimate.verb, VERBS)}")
    arguments = estimate.arguments
    kind = arguments.pop("replicates", None)
    if kind is not None:
        design = as_replicates(design, kind=kind)
    if estimate.where:
        design = domain(design, estimate.where)
    try:
        return VERBS[estimate.verb](design, **arguments)
    except TypeError as error:
        raise StudyError(f"{place}: {error}. Its arguments are documented in help(ev.{estimate.verb}).") from None
    except EstimationError as error:
        raise type(error)(f"{place}: {error}", failures=error.failures) from None
