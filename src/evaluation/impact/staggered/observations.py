"""Who enters an estimate of a staged policy, by place and wave, and their sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.design.collapse import compact
from evaluation.errors import ColumnError, EstimationError
from evaluation.estimation.arguments import names_any
from evaluation.estimation.domains import code_levels, outcomes_of
from evaluation.impact.effects import Clusters, cohort_by_cluster
from evaluation.impact.panel import Panel, cluster_codes, exact, read_cohorts, require_panel
from evaluation.impact.sharing import told_of_sampling
from evaluation.regression.model import read_model

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Fewer clusters carry no error.
LEAST_CLUSTERS = 3


@dataclass(frozen=True, eq=False)
class Observations:
    """Rows with outcome and covariates.

    Attributes
    ----------
    over_time : Panel
    rows : ndarray of int, shape (m,)
        Their places in the data.
    outcome : ndarray, shape (m,)
    x : ndarray, shape (m, p)
        Covariates less their means, over their standard deviations.
    terms : tuple of str, p
    place : ndarray of int, shape (m,)
        Place that has an effect of its own.
    places : str
        Column of the places.
    n_places : int
    period : ndarray of int, shape (m,)
    first : ndarray, shape (m,)
        First treated period, infinite for never.
    clusters : Clusters or None
    n_left_out : int
        Rows that count but miss outcome or covariates.
    """

    over_time: Panel
    rows: Codes
    outcome: Floats
    x: Floats
    terms: tuple[str, ...]
    place: Codes
    places: str
    n_places: int
    period: Codes
    first: Floats
    clusters: Clusters | None
    n_left_out: int

    @property
    def cluster(self) -> Codes:
        """Cluster of each row, shape (m,); zero where none was named."""
        return np.zeros(len(self.rows), dtype=np.int64) if self.clusters is None else self.clusters.code[self.rows]

    @property
    def n_clusters(self) -> int:
        """Number of clusters; 1 where none was named."""
        return 1 if self.clusters is None else len(self.clusters)

    @property
    def time(self) -> Floats:
        """Wave of each row, shape (m,)."""
        return np.asarray(self.over_time.times[self.period])

    @property
    def is_whole_panel(self) -> bool:
        """Whether places are units that answered in every wave and weigh the same in each."""
        panel = self.over_time
        if panel.rows is None or self.places != panel.unit or len(self.rows) != panel.rows.size:
            return False
        w = panel.design.domain_weights[panel.rows]
        return bool((w == w[:, :1]).all())

    def weights(self, weights: Floats | None = None) -> Floats:
        """Return the weights of the rows, shape (m,), out of those of all respondents."""
        return np.asarray((self.over_time.design.domain_weights if weights is None else weights)[self.rows])

    def spread(self, z: Floats) -> Floats:
        """Return influence of all respondents, shape (n, k), from that of the rows, shape (m, k)."""
        whole = np.zeros((len(self.over_time.design), z.shape[1]))
        whole[self.rows] = z
        return whole

    def silent_cells(self) -> list[tuple[float, float]]:
        """Return cohorts and waves from their start on in which nobody of them has an answer and a weight."""
        times, there = self.over_time.times, self.weights() > 0
        seen = set(zip(self.first[there].tolist(), self.time[there].tolist(), strict=True))
        starts = np.unique(self.first[there & np.isfinite(self.first)])
        return [(exact(g), exact(t)) for g in starts for t in times[times >= g] if (float(g), float(t)) not in seen]

    def told_of_sampling(self, vcov: str) -> dict[str, Any]:
        """Return what ``fit`` says of errors of the sampling design alone."""
        n = len(self.over_time.design)
        first, place = np.full(n, np.inf), np.full(n, -1, dtype=np.int64)
        first[self.rows], place[self.rows] = self.first, self.place
        cohort = first if np.isfinite(self.first).any() else None
        return told_of_sampling(self.over_time, vcov, clusters=self.clusters, cohort=cohort, place=place)

    def mask(self, rows: Mask) -> Mask:
        """Return which respondents these rows are, shape (n,) or (n, k)."""
        whole = np.zeros((len(self.over_time.design), *rows.shape[1:]), dtype=bool)
        whole[self.rows] = rows
        return whole


def read_observations(
    panel: Panel,
    verb: str,
    *,
    outcome: str,
    cohort: str | None,
    covariates: str | Sequence[str] = (),
    place: str | None = None,
    cluster: str | None = None,
) -> Observations:
    """Read the rows of a panel that have outcome and covariates.

    Parameters
    ----------
    panel : Panel
    verb : str
        For messages.
    outcome, covariates, cluster
        As everywhere.
    cohort : str or None
        Column of the first treated period; None where treatment is told otherwise.
    place : str, optional
        Column of the places with an effect each; by default the unit of a panel, else the cluster, else the cohort.

    Raises
    ------
    ColumnError, EstimationError
        A column cannot serve; fewer than three clusters.
    """
    require_panel(panel, verb)
    design = panel.design
    answers = outcomes_of(design, outcome, listwise=False, verb=verb)
    counted = panel.period >= 0
    used = answers.answered[:, 0] & counted
    x, terms = np.zeros((len(design), 0)), tuple[str, ...]()
    if names_any(covariates):
        x, terms, used = _covariates(panel, outcome, covariates, used)
    rows = np.flatnonzero(used)
    first = np.full(len(design), np.inf)
    if cohort is not None:
        cohorts = read_cohorts(panel, cohort)
        first = np.where(cohorts.code >= 0, cohorts.values[cohorts.code], np.inf)
    name = place or panel.unit or cluster
    if name is not None:
        code, n_places = _places(panel, name, used, verb)
    elif cohort is not None:
        name, n_places = cohort, len(cohorts.values)
        code = cohorts.code
    else:
        raise EstimationError(f"{verb}: place=... is needed, the column of the places that are followed.")
    return Observations(
        panel,
        rows,
        answers.values[:, 0][rows],
        x[rows],
        terms,
        code[rows],
        name,
        n_places,
        panel.period[rows],
        first[rows],
        None if cluster is None else _clusters(panel, cluster, used, first, verb),
        int((counted & ~used).sum()),
    )


def _covariates(
    panel: Panel, outcome: str, covariates: str | Sequence[str], used: Mask
) -> tuple[Floats, tuple[str, ...], Mask]:
    model = read_model(panel.design, outcome, covariates, "gaussian", among=used)
    kept = [j for j, term in enumerate(model.terms) if term != "(Intercept)"]
    x = model.x[:, kept]
    centre, scale = x[model.used].mean(axis=0), x[model.used].std(axis=0)
    return (x - centre) / np.where(scale > 0, scale, 1.0), tuple(model.terms[j] for j in kept), model.used


def _places(panel: Panel, name: str, used: Mask, verb: str) -> tuple[Codes, int]:
    levels, code = code_levels(panel.design.column(name), used)
    gone = used & (code < 0)
    if gone.any():
        raise ColumnError(
            f"{verb}: place '{name}' is missing in {int(gone.sum())} rows that count. Fill it in, or take a domain "
            f"without them.",
            failures=panel.design.data.loc[gone],
        )
    if len(levels) < 2:
        raise EstimationError(f"{verb}: place '{name}' has a single value; places are compared with each other.")
    return code, len(levels)


def _clusters(panel: Panel, name: str, used: Mask, first: Floats, verb: str) -> Clusters:
    every, code = cluster_codes(panel, name)
    seen, kept = compact(code[used], len(every))
    whole = np.full(len(code), -1, dtype=np.int64)
    whole[used] = seen
    if len(kept) < LEAST_CLUSTERS:
        raise EstimationError(
            f"{verb}: cluster '{name}' has {len(kept)} values among rows with an outcome; an error needs at least "
            f"{LEAST_CLUSTERS} clusters. Leave cluster out for the sampling error alone."
        )
    return Clusters(name, tuple(every[i] for i in kept), whole, cohort_by_cluster(first, whole, len(kept)))
