"""The ladder: one difference between participants and others, from the answers as they came to what bounds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation import wording
from evaluation.comparison.adjustment.balancing import entropy_balance, refuse_balanced
from evaluation.comparison.adjustment.propensity import effective_number
from evaluation.comparison.comparability import Comparability, names_the_same
from evaluation.comparison.effects import ADJUSTED, estimate_difference, evidence_of
from evaluation.comparison.oaxaca import Reference, decompose_linearly
from evaluation.comparison.sensitivity.bounded import bounds_at
from evaluation.design.design import Design, require_design
from evaluation.errors import EstimationError, did_you_mean
from evaluation.estimation.arguments import came
from evaluation.estimation.contrasts import joined
from evaluation.estimation.counterfactual import Estimand, Groups, Method, groups_of
from evaluation.estimation.domains import names_of
from evaluation.estimation.missing_covariates import Missing
from evaluation.estimation.small_counts import rarer_of
from evaluation.regression.families import Family
from evaluation.results import Estimates, Labels

Floats = NDArray[np.float64]
Rung = Literal[
    "unweighted",
    "raw",
    "explained",
    "regression_adjusted",
    "g_computation",
    "entropy",
    "ipw",
    "aipw",
    "ipwra",
    "overlap",
    "bounds",
]

RUNGS: tuple[Rung, ...] = (
    "unweighted",
    "raw",
    "explained",
    "regression_adjusted",
    "g_computation",
    "entropy",
    "ipw",
    "aipw",
    "ipwra",
    "overlap",
    "bounds",
)
#: Rungs that are shown unless others are named.
SHOWN: tuple[Rung, ...] = tuple(rung for rung in RUNGS if rung != "ipwra")
#: Rungs that estimate one difference; of the others, one is a part of it, one has another population, one is bounds.
AIMED: tuple[Rung, ...] = tuple(rung for rung in RUNGS if rung not in ("explained", "overlap", "bounds"))
#: Rungs that an estimand leaves out.
_WITHOUT: Mapping[str, frozenset[str]] = {
    "ATO": frozenset({"explained", "regression_adjusted", "g_computation", "entropy", "overlap"}),
    "ATM": frozenset({"explained", "regression_adjusted", "g_computation", "entropy"}),
}
#: Whose coefficients value the composition, so that what is not explained has the composition of the estimand.
_VALUED_BY: Mapping[str, Reference] = {"ATT": "comparison", "ATC": "participants", "ATE": "pooled"}
#: Lambda of the bounds that are shown last.
LAMBDA = 1.5
BENCHMARK = "benchmark"
BOUND_ROWS = ("bound_low", "bound_high")
_COLUMNS = ("estimand", "n_participants", "n_comparison", "ess_participants", "ess_comparison")
#: In the column ``estimand`` of a row that compares the groups as they are.
DESCRIBED = "as they are"


def effect_ladder(
    design: Design,
    *,
    outcome: str | Sequence[str],
    treatment: str,
    covariates: str | Sequence[str],
    estimand: Estimand = "ATT",
    methods: Sequence[Rung] | None = None,
    family: Family | None = None,
    lambda_: float = LAMBDA,
    missing: Missing = "refuse",
    benchmark: Estimates | Mapping[str, Estimates] | None = None,
    comparability: Comparability | None = None,
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate one difference between participants and others by several methods, each taking more into account.

    Parameters
    ----------
    design : Design
        Any design.
    outcome : str or list of str
        One ladder each.
    treatment, covariates : str, str or list of str
        As in ``aipw``.
    estimand : {"ATT", "ATE", "ATC", "ATO", "ATM"}, default "ATT"
        Of the adjusted rungs. "ATO" and "ATM" have those that need a propensity score.
    methods : sequence of str, optional
        In this order; default all but ``ipwra``, as far as the estimand has them: ``unweighted`` (every respondent
        counts once), ``raw`` (survey weights), ``explained`` (the part of raw that composition explains
        in a linear regression, ``oaxaca_blinder``), ``regression_adjusted``, ``g_computation``, ``entropy`` (after
        ``entropy_balance``), ``ipw``, ``aipw``, ``ipwra``, ``overlap`` (``aipw`` among those who overlap, "ATO"),
        ``bounds`` (``sensitivity_bounds``).
    family : {"gaussian", "binomial"}, optional
        Of the outcome models; default: binomial where the outcome has two values.
    lambda_ : float, default 1.5
        By which factor the odds of taking part may be off in the bounds.
    missing : {"refuse", "complete_cases", "indicator"}, default "refuse"
        What missing covariates mean, as in ``aipw``.
    benchmark : Estimates, or mapping of outcome to Estimates, optional
        A gap to an outside figure that becomes the first rung, called ``benchmark``: row 0 of
        ``benchmark_difference`` or ``decompose_published``.
    comparability : Comparability, optional
        Declared comparison; a refused one raises. Its grade, at most 2 here, and what differs stand in ``fit``.
    conf_level : float, default 0.95
        Of the t intervals.

    Returns
    -------
    Estimates
        Keys ``term, method``, of which ``bounds`` has two, ``bound_low`` and ``bound_high``. Columns ``estimand``
        (whom the row is about), ``n_participants``, ``n_comparison``, and the effective numbers ``ess_participants``
        and ``ess_comparison`` under the row's weights, missing where it has none of its own. All rungs of an outcome
        rest on the same respondents, those with treatment, outcome and every covariate, and all rows have one joint
        covariance by their influence. A benchmark of another sample, or with an error of its own, keeps its
        variance; its covariance with the rest is missing, and then the result has no influence function.

    Raises
    ------
    ColumnError, EstimationError, IdentificationError, WeightingError
        As ``aipw``; a design that was balanced already; an unknown rung, one that the estimand does not have, or a
        benchmark that belongs to none of several outcomes.

    Notes
    -----
    Strata and PSUs enter the error of ``unweighted`` too; its weights are one wherever a respondent counts.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"y": [1.0, 2, 3, 4, 3, 5, 7, 6], "joined": [0, 0, 0, 0, 1, 1, 1, 1],
    ...                             "sex": ["f", "f", "m", "m", "f", "m", "m", "m"]})
    >>> ladder = effect_ladder(survey_design(respondents), outcome="y", treatment="joined", covariates=["sex"],
    ...                        methods=["raw", "ipw", "aipw"])
    >>> dict(zip(ladder.keys["method"], ladder.estimate.round(3).tolist()))
    {'raw': 2.75, 'ipw': 2.25, 'aipw': 2.25}
    """
    require_design(design, "effect_ladder")
    refuse_balanced(design, treatment, "effect_ladder")
    evidence = evidence_of(comparability, ADJUSTED, "effect_ladder", outcome, design)
    outcomes = names_of(outcome, "effect_ladder")
    rungs = _known(methods, estimand)
    gaps = _benchmarks(benchmark, outcomes, design.provenance.labels)
    parts: list[Estimates] = []
    records: dict[str, int] = {}
    for name in outcomes:
        groups = groups_of(
            design,
            treatment=treatment,
            covariates=covariates,
            outcome=name,
            family=family,
            verb="effect_ladder",
            missing=missing,
        )
        records[name] = groups.n_left_out
        if name in gaps:
            parts.append(_rung(gaps[name], name, BENCHMARK))
        ladder = _Ladder(design, groups, name, treatment, covariates, estimand, lambda_, missing, conf_level)
        parts += [row for rung in rungs for row in ladder.rows(rung)]
    fit = {
        "treatment": treatment,
        "participants": groups.levels[1],
        "comparison": groups.levels[0],
        "estimand": estimand,
        "formula": groups.participation.formula,
        "n_left_out": records if len(outcomes) > 1 else records[outcomes[0]],
        **({"lambda": float(lambda_)} if "bounds" in rungs else {}),
        **evidence,
    }
    whole = _stacked(parts)
    return replace(
        whole,
        verb="effect_ladder",
        provenance=design.provenance,
        conf_level=conf_level,
        columns={name: whole.columns[name] for name in _COLUMNS},
        fit=fit,
    )


def _known(methods: Sequence[Rung] | None, estimand: Estimand) -> list[Rung]:
    absent = _WITHOUT.get(estimand, frozenset())
    rungs: list[Rung] = [rung for rung in SHOWN if rung not in absent] if methods is None else list(methods)
    strange = [method for method in rungs if method not in RUNGS]
    if strange or not rungs:
        hint = did_you_mean(strange[0], RUNGS) if strange else did_you_mean("", RUNGS)
        raise EstimationError(f"effect_ladder: methods must be rungs of the ladder, got {strange or rungs}. {hint}")
    if len(set(rungs)) < len(rungs):
        raise EstimationError(f"effect_ladder: methods {rungs} name a rung twice. Name each once.")
    barred = [rung for rung in rungs if rung in absent]
    if barred:
        left = [rung for rung in RUNGS if rung not in absent]
        raise EstimationError(
            f"effect_ladder: estimand '{estimand}' has no rung '{barred[0]}'. It has: {', '.join(left)}; or use "
            f"estimand='ATT'."
        )
    return rungs


def _benchmarks(
    given: Estimates | Mapping[str, Estimates] | None, outcomes: Sequence[str], labels: Labels
) -> Mapping[str, Estimates]:
    if given is None:
        return {}
    if isinstance(given, Estimates):
        own = str(given.keys["term"].iloc[0])
        given = {outcomes[0] if len(outcomes) == 1 else own: given}
    if not isinstance(given, Mapping) or not all(isinstance(gap, Estimates) for gap in given.values()):
        raise EstimationError(
            f"effect_ladder: benchmark must be what ev.benchmark_difference or ev.decompose_published returned, got "
            f"{came(given)}. Of several outcomes a mapping, benchmark={{outcome: gap}}."
        )
    strange = [name for name in given if name not in outcomes]
    if strange:
        raise EstimationError(
            f"effect_ladder: the benchmark belongs to '{strange[0]}', which is none of the outcomes "
            f"{', '.join(outcomes)}. Give benchmark={{outcome: gap}}."
        )
    for name, gap in given.items():
        own = str(gap.keys["term"].iloc[0])
        if not names_the_same(own, {name, *(wording.term_label(name, labels, lang) for lang in ("ko", "en"))}):
            raise EstimationError(
                f"effect_ladder: the benchmark is a gap of '{own}' and cannot be a rung of '{name}'. Hold '{name}' "
                f"against its own figure: ev.benchmark_difference(ev.survey_mean(participants, '{name}'), ...)."
            )
    return given


@dataclass(frozen=True, eq=False)
class _Ladder:
    """What every rung of one outcome is made of: the same respondents, the same design."""

    design: Design
    groups: Groups
    outcome: str
    treatment: str
    covariates: str | Sequence[str]
    estimand: Estimand
    lambda_: float
    missing: Missing
    conf_level: float

    def rows(self, rung: Rung) -> list[Estimates]:
        """Return the rows of a rung: one, or two where it is bounds."""
        if rung == "bounds":
            return self._bounds()
        if rung == "explained":
            return [self._row(self._explained(), rung, estimand=DESCRIBED)]
        if rung == "overlap":
            return [self._row(self._difference(self.design, "aipw", "ATO"), rung, estimand="ATO")]
        if rung in ("unweighted", "raw"):
            used = counted_once(self.design) if rung == "unweighted" else self.design
            return [self._weighted(used, rung, DESCRIBED)]
        if rung == "entropy":
            return [self._weighted(self._balanced(), rung, self.estimand)]
        method: Method = rung  # type: ignore[assignment]
        return [self._row(self._difference(self.design, method, self.estimand), rung)]

    def _difference(self, design: Design, method: Method, estimand: Estimand) -> Estimates:
        return estimate_difference(
            design,
            self.groups,
            verb="effect_ladder",
            method=method,
            outcome=self.outcome,
            treatment=self.treatment,
            estimand=estimand,
            conf_level=self.conf_level,
        )

    def _weighted(self, used: Design, rung: Rung, estimand: str) -> Estimates:
        """Return the difference of the groups as a design weights them."""
        effective = [effective_number(used.domain_weights[self.groups.members(group)]) for group in (1, 0)]
        return self._row(self._difference(used, "difference", "ATT"), rung, effective, estimand)

    def _balanced(self) -> Design:
        """Return the design in which both groups have one composition, among those who answered."""
        return entropy_balance(
            replace(self.design, inside=self.groups.used),
            treatment=self.treatment,
            covariates=self.covariates,
            estimand=self.estimand,
            missing=self.missing,
        )

    def _explained(self) -> Estimates:
        linear = decompose_linearly(
            self.design,
            self.groups,
            outcome=self.outcome,
            treatment=self.treatment,
            reference=_VALUED_BY[self.estimand],
        )
        return linear.estimates(["explained"], "effect_ladder", self.conf_level, {})

    def _bounds(self) -> list[Estimates]:
        made = bounds_at(
            self.design,
            self.groups,
            self.lambda_,
            outcome=self.outcome,
            verb="effect_ladder",
            estimand=self.estimand,
            conf_level=self.conf_level,
        )
        return [self._row(made.take(np.array([row])), end) for row, end in enumerate(BOUND_ROWS)]

    def _row(
        self, made: Estimates, method: str, effective: Sequence[float] | None = None, estimand: str | None = None
    ) -> Estimates:
        others, participants = self.groups.counts()
        given = [made.fit.get(f"ess_{name}", np.nan) for name in ("participants", "comparison")]
        return _rung(
            made,
            self.outcome,
            method,
            estimand=estimand or self.estimand,
            counts=(participants, others),
            effective=given if effective is None else effective,
            rarer=rarer_of(self.groups),
        )


def counted_once(design: Design) -> Design:
    """Return a design in which every respondent with a weight counts once, and no weighting step is left."""
    ones = (design.weights != 0).astype(float)
    return replace(design, base_weights=ones, weights=ones, steps=())


def _rung(
    made: Estimates,
    outcome: str,
    method: str,
    *,
    estimand: str = "",
    counts: tuple[int, int] | None = None,
    effective: Sequence[float] = (np.nan, np.nan),
    rarer: int | None = None,
) -> Estimates:
    """Return row 0 of a difference as a row of the ladder; a benchmark's respondents are participants all."""
    row = made.take(np.array([0]))
    n_participants, n_comparison = (int(made.n_obs[0]), 0) if counts is None else counts
    smallest = row.base_sizes if counts is None else np.array([min(counts)])
    return replace(
        row,
        keys=pd.DataFrame({"term": [outcome], "method": [method]}),
        interval=None,
        bases=smallest,
        cell_counts=row.cell_counts if rarer is None else np.array([rarer]),
        columns={
            "estimand": np.array([estimand], dtype=object),
            "n_participants": np.array([n_participants], dtype=np.int64),
            "n_comparison": np.array([n_comparison], dtype=np.int64),
            "ess_participants": np.array([effective[0]], dtype=float),
            "ess_comparison": np.array([effective[1]], dtype=float),
        },
        fit={},
    )


def _stacked(parts: Sequence[Estimates]) -> Estimates:
    """Join what has a joint covariance; keep the variance of what has none, its covariances missing."""
    own = [part for part in parts if part.keys["method"].iloc[0] != BENCHMARK]
    outside = [part for part in parts if part.keys["method"].iloc[0] == BENCHMARK]
    if all(_shares_sample(part, own[0]) for part in outside):
        return joined(parts)
    whole = joined(own)
    order = sorted(range(len(parts)), key=lambda i: parts[i].keys["method"].iloc[0] == BENCHMARK)
    back = np.argsort(order)
    k, n_own = len(parts), len(own)
    vcov = np.full((k, k), np.nan)
    vcov[:n_own, :n_own] = whole.vcov
    for place, part in enumerate(outside, start=n_own):
        vcov[place, place] = part.vcov[0, 0]
    loose = [whole, *outside]
    return replace(
        whole,
        keys=pd.concat([part.keys for part in loose], ignore_index=True).iloc[back].reset_index(drop=True),
        estimate=np.concatenate([part.estimate for part in loose])[back],
        vcov=vcov[np.ix_(back, back)],
        df=np.concatenate([part.df for part in loose])[back],
        n_obs=np.concatenate([part.n_obs for part in loose])[back],
        bases=np.concatenate([part.base_sizes for part in loose])[back],
        cell_counts=np.concatenate([_cells(part) for part in loose])[back],
        engine=None,
        contributions=None,
        influence_of=None,
        method=f"{whole.variance_method}; benchmark: {outside[0].variance_method}",
        columns={name: np.concatenate([part.columns[name] for part in loose])[back] for name in whole.columns},
    )


def _cells(part: Estimates) -> NDArray[np.int64]:
    return np.zeros(len(part), dtype=np.int64) if part.cell_counts is None else part.cell_counts


def _shares_sample(part: Estimates, own: Estimates) -> bool:
    if part.contributions is None or part.engine is None or own.engine is None:
        return False
    ours, theirs = getattr(own.engine, "sampling", None), getattr(part.engine, "sampling", None)
    return part.engine.method == own.engine.method and theirs is not None and theirs.is_same_sample(ours)
