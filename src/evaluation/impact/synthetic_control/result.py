"""What synthetic controls return: effects with the paths, weights and fit behind them."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as entry
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.variance import ReplicateEngine
from evaluation.errors import EstimationError, IdentificationError
from evaluation.estimation.means import survey_mean
from evaluation.impact.clusters.jackknife import ClusterJackknife, cluster_jackknife
from evaluation.impact.effects import ImpactEffects, Refit, covariance
from evaluation.impact.panel import exact
from evaluation.impact.synthetic_control.model import Model
from evaluation.impact.synthetic_control.placebo import draw_sets, placebo_engine, placebo_estimates
from evaluation.results import Estimates

Floats = NDArray[np.float64]
Variance = Literal["placebo", "jackknife", "none"]
VARIANCES = ("placebo", "jackknife", "none")


@dataclass(frozen=True, eq=False, repr=False)
class SyntheticEffects(ImpactEffects):
    """Effects against weighted donors: "overall", plain "did" beside it, then the gap by time since the start.

    ``influence`` is None: weights that stop at zero have no derivative there.

    Attributes
    ----------
    model : Model
        Places, roles and weights.
    """

    model: Model | None = entry(default=None, kw_only=True)

    def _model(self) -> Model:
        if self.model is None:
            raise EstimationError(f"{self.verb}: these rows carry no synthetic control.")
        return self.model

    def paths(self) -> pd.DataFrame:
        """Return ``cohort time event_time treated synthetic gap``, a row per cohort and wave.

        ``synthetic`` of synthetic difference-in-differences is moved by the difference over the weighted waves before.
        """
        model, parts = self._model(), []
        for cohort, path in zip(model.cohorts, model.paths, strict=True):
            times = model.places.times
            columns: dict[str, Any] = {
                "cohort": exact(model.cohort[cohort.treated[0]]),
                "time": [exact(time) for time in times],
                "event_time": [exact(time - times[path.start]) for time in times],
                "treated": path.treated,
                "synthetic": path.synthetic,
                "gap": path.gap,
            }
            parts.append(pd.DataFrame(columns))
        return pd.concat(parts, ignore_index=True)

    def weights(self) -> pd.DataFrame:
        """Return ``cohort part name weight``: of donors, of waves before, and of predictors where there are any."""
        model, parts = self._model(), []
        nested = model.full_rule.nested
        for cohort in model.cohorts:
            times = [str(exact(time)) for time in model.places.times[: cohort.start]]
            sets = {
                "donor": (model.places.names(model.roles.donors), cohort.weights.donors),
                "wave": (times, cohort.weights.waves),
            }
            if nested is not None and cohort.weights.predictors is not None:
                sets["predictor"] = (list(nested.names), cohort.weights.predictors)
            first = exact(model.cohort[cohort.treated[0]])
            for part, (names, values) in sets.items():
                parts.append(pd.DataFrame({"cohort": first, "part": part, "name": names, "weight": values}))
        return pd.concat(parts, ignore_index=True)

    def cohorts(self) -> pd.DataFrame:
        """Return a row per cohort: effect, size, fit before the start, effective donors, penalties, losses."""
        model, rows = self._model(), []
        nested = model.full_rule.nested
        for cohort, path in zip(model.cohorts, model.paths, strict=True):
            omega = cohort.weights.donors
            fitted = (
                path.gap[: path.start] if nested is None or nested.fit_columns is None else path.gap[nested.fit_columns]
            )
            rows.append(
                {
                    "cohort": exact(model.cohort[cohort.treated[0]]),
                    "estimate": path.effect,
                    "n_places": len(cohort.treated),
                    "n_waves": len(model.places.times) - cohort.start,
                    "rmspe_before": path.rmspe(after=False),
                    "rmspe_after": path.rmspe(after=True),
                    "effective_donors": float(1 / (omega @ omega)),
                    "zeta_donors": cohort.weights.zeta_donors,
                    "zeta_waves": cohort.weights.zeta_waves,
                    "loss_outcome": float(np.mean(fitted**2)),
                    "loss_predictors": cohort.weights.loss_predictors,
                }
            )
        return pd.DataFrame(rows)

    def cell_means(self) -> Estimates:
        """Return the means of places by wave with the errors of the sampling design.

        The errors of effects count this sampling error only so far as placebos, or places left out, vary by it.
        """
        places = self._model().places
        return survey_mean(places.over_time.design, places.outcome, by=[places.place, places.over_time.time])


def chosen_variance(model: Model, verb: str, vcov: str | None) -> Variance:
    """Return how errors are made: one treated place by placebo, several by the jackknife, where that can be.

    Raises
    ------
    EstimationError
        Unknown rule.
    IdentificationError
        Placebos need more donors than treated places; the jackknife two treated places in every cohort.
    """
    if vcov is not None and vcov not in VARIANCES:
        raise EstimationError(f"{verb}: vcov must be 'placebo', 'jackknife' or 'none', got {vcov!r}.")
    treated, donors = len(model.roles.treated), len(model.donors)
    least = min(len(cohort.treated) for cohort in model.cohorts)
    if vcov == "jackknife" and least < 2:
        raise IdentificationError(
            f"{verb}: leaving places out one at a time needs two treated places in every cohort; one has {least}. "
            f"{'Use vcov=' + repr('placebo') if donors > treated else 'Use vcov=' + repr('none')}."
        )
    if vcov is not None:
        return vcov  # type: ignore[return-value]
    if model.full_rule.nested is not None:
        return "none"
    if verb == "synthetic_did" and treated > 1 and least > 1:
        return "jackknife"
    if donors > treated:
        return "placebo"
    return "jackknife" if least > 1 else "none"


def effects_of_model(
    model: Model, verb: str, vcov: str | None, draws: int, seed: int, conf_level: float
) -> SyntheticEffects:
    """Return the effects with their errors."""
    rule = chosen_variance(model, verb, vcov)
    estimate, k = model.estimate, model.layout.n_rows
    engine: ReplicateEngine | ClusterJackknife | None = None
    contributions: Floats | None = None
    df = np.full(k, np.inf)
    if rule == "placebo":
        drawn = draw_sets(len(model.donors), model.cohort[len(model.donors) :], draws, seed)
        engine = placebo_engine(model, drawn)
        contributions = np.vstack([placebo_estimates(model, drawn), estimate])
    elif rule == "jackknife":
        clusters = model.clusters
        data, g = model.places.over_time.design.data, len(clusters)
        engine = cluster_jackknife(data, clusters.name, clusters.code, g, centre="mean", labels=clusters.levels)
        contributions, df = model.without() - estimate, np.full(k, g - 1.0)
    vcov_matrix = np.full((k, k), np.nan) if engine is None else covariance(engine, contributions)  # type: ignore[arg-type]
    if engine is None:
        df = np.zeros(k)
    outcome = model.places.outcome
    terms = ["overall", "did", *[outcome] * (k - 2)]
    since = [None, None, *(exact(value) for value in model.layout.event_times)]
    keys = pd.DataFrame({"term": terms, "event_time": pd.Series(since, dtype=object)})
    return SyntheticEffects(
        verb=verb,
        keys=keys,
        estimate=estimate,
        vcov=vcov_matrix,
        df=df,
        n_obs=np.full(k, _n_rows(model)),
        provenance=model.places.over_time.design.provenance,
        engine=engine,
        contributions=contributions,
        conf_level=conf_level,
        fit=_record(model, rule),
        refit=_refit(model),
        model=model,
    )


def _n_rows(model: Model) -> int:
    told = np.isfinite(model.places.values[model.places.outcome])
    return int(((model.clusters.code >= 0) & told & (model.weights > 0)).sum())


def _refit(model: Model) -> Refit:
    return Refit(
        design=model.places.over_time.design,
        clusters=model.clusters,
        estimate=model.estimate,
        influence=None,
        again=model.again,
        without=model.without,
        reordered=model.reordered,
    )


def _behind(model: Model) -> dict[str, list[int]]:
    """Count for each row the places of its cohorts, and the donors."""
    whole, treated = len(model.roles.treated), []
    for since in model.layout.event_times:
        at = [
            len(cohort.treated)
            for cohort in model.cohorts
            if np.isclose(model.places.times - model.places.times[cohort.start], since).any()
        ]
        treated.append(sum(at))
    rows = [whole, whole, *treated]
    return {"treated_clusters": rows, "control_clusters": [len(model.donors)] * len(rows)}


def _record(model: Model, rule: str) -> dict[str, Any]:
    fits = [path.rmspe(after=False) for path in model.paths]
    return {
        "outcome": model.places.outcome,
        "time": model.places.over_time.time,
        "vcov": rule,
        "cluster": model.places.place,
        "n_clusters": len(model.clusters),
        "n_treated_places": len(model.roles.treated),
        "n_donors": len(model.donors),
        **_behind(model),
        "rmspe_before": max(fits),
        "solver": model.rule.solver,
        "of_respondents": bool((model.places.counts()[model.roles.members] > 1).any()),
        "sampling_error": "through placebos"
        if rule == "placebo"
        else "through places"
        if rule == "jackknife"
        else "none",
    }
