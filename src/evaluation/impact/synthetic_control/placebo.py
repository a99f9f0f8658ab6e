"""Donors in the place of the treated: how large effects look where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation import project
from evaluation.design.variance import ReplicateEngine
from evaluation.errors import EstimationError, IdentificationError
from evaluation.estimation.arguments import require_arguments
from evaluation.impact.clusters.jackknife import cluster_sampling
from evaluation.impact.panel import exact
from evaluation.impact.synthetic_control.model import Model
from evaluation.results import Provenance, frame_html, plain
from evaluation.wording import term as word

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]


#: Gaps before the start smaller than this share of the largest outcome are the noise of floating point.
EXACT = 1e-9


@dataclass(frozen=True, eq=False)
class PlaceboEngine(ReplicateEngine):
    """Variance of the effects that donors seem to have; contributions as of replicates, the full estimates last."""

    @property
    def method(self) -> str:
        """Name of the rule, and how many placebos."""
        return f"placebo, {self.note}"


@dataclass(frozen=True, eq=False)
class Draws:
    """Sets of donors that take the place of the treated.

    Attributes
    ----------
    sets : ndarray of int, shape (R, N)
        Rows of donors.
    first : ndarray, shape (N,)
        First treated wave of each in a set.
    is_complete : bool
        Whether these are all sets there are.
    """

    sets: Codes
    first: Floats
    is_complete: bool

    def told(self) -> str:
        """Return in words what was drawn."""
        r, size = self.sets.shape
        if size == 1:
            return f"each of {r} donors in turn"
        return f"all {r:,} sets of {size} donors" if self.is_complete else f"{r:,} drawn sets of {size} donors"


def draw_sets(n_donors: int, first: Floats, draws: int, seed: int) -> Draws:
    """Return sets of donors with the starts of the treated; all of them where there are no more than ``draws``.

    Parameters
    ----------
    n_donors : int
    first : ndarray, shape (N,)
        Starts of the treated.
    draws, seed : int

    Raises
    ------
    IdentificationError
        There are not more donors than treated places.
    """
    size = len(first)
    if n_donors <= size:
        raise IdentificationError(
            f"placebo errors put {size} donors in the place of {size} treated, which needs more donors than treated "
            f"places; there are {n_donors}. Use vcov='jackknife', or add donors outside the programme."
        )
    if size == 1:
        return Draws(np.arange(n_donors)[:, None], first, True)
    if len(np.unique(first)) == 1 and comb(n_donors, size) <= draws:
        return Draws(np.array(list(combinations(range(n_donors), size))), first, True)
    rng = np.random.default_rng(seed)
    return Draws(np.stack([rng.permutation(n_donors)[:size] for _ in range(draws)]), first, False)


def placebo_estimates(model: Model, drawn: Draws) -> Floats:
    """Return the estimates of each set, shape (R, k)."""
    return np.stack([model.in_roles(members.tolist(), drawn.first.tolist()) for members in drawn.sets])


def placebo_engine(model: Model, drawn: Draws) -> PlaceboEngine:
    """Return the engine of the variance over sets: mean squares about their mean."""
    clusters, r = model.clusters, len(drawn.sets)
    sampling = cluster_sampling(model.places.over_time.design.data, clusters.name, clusters.code, len(clusters))
    return PlaceboEngine("placebo", 1 / r, np.ones(r), sampling, note=drawn.told())


@dataclass(frozen=True, eq=False)
class DonorPlacebos:
    """The treated beside donors that were not.

    Attributes
    ----------
    frame : pandas.DataFrame
        One row per set, the treated first: ``places, is_treated, estimate, estimate_did, rmspe_before,
        rmspe_after, ratio``.
    gaps : pandas.DataFrame
        ``places, is_treated, event_time, gap``.
    p_value, p_value_effect : float
        Share of all sets, the treated included, whose ratio (whose effect in size) is at least that of the treated.
        Where the treated fit exactly before the start ``p_value`` is not a number: rounding would rank them.
    std_error : float
        Of the overall effect: the spread of the placebos.
    told : str
        Which sets.
    n_left_out : int
        Sets left out because they fit too badly before the start.
    provenance : Provenance
    """

    frame: pd.DataFrame
    gaps: pd.DataFrame
    p_value: float
    p_value_effect: float
    std_error: float
    told: str
    n_left_out: int
    provenance: Provenance

    def tidy(self) -> pd.DataFrame:
        """Return one row per set, the treated first."""
        return self.frame.copy()

    def statement(self, lang: str | None = None) -> str:
        """Return in a sentence how the treated stand among the placebos."""
        n = len(self.frame)
        if np.isnan(self.p_value):
            exact_fits, p_effect = int(np.isinf(self.frame["ratio"]).sum()), f"{self.p_value_effect:.3f}"
            text = word("placebo_no_ratio", lang or project.language())
            return text.format(exact=exact_fits, n=n, p_effect=p_effect)
        text = word("placebo_statement", lang or project.language())
        rank = round(self.p_value * n)
        return text.format(rank=rank, n=n, p=f"{self.p_value:.3f}", p_effect=f"{self.p_value_effect:.3f}")

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        facts = {"p_value": self.p_value, "p_value_effect": self.p_value_effect, "std_error": self.std_error}
        rows = [{str(name): plain(value) for name, value in row.items()} for row in self.frame.to_dict("records")]
        about = {"verb": "donor_placebos", "sets": self.told, "n_left_out": self.n_left_out}
        return {**about, "provenance": self.provenance.to_dict(), "fit": facts, "rows": rows}

    def __repr__(self) -> str:
        shown = self.frame.to_string(index=False, float_format=lambda value: f"{value:.6g}")
        return f"{self.statement()}\n{shown}"

    def _repr_html_(self) -> str:
        return f"<p>{self.statement()}</p>{frame_html(self.frame)}"


def donor_placebos(
    result: Any, *, size: int | None = None, draws: int = 999, seed: int = 1, most_misfit: float | None = None
) -> DonorPlacebos:
    """Put donors in the place of the treated, and see how often as large an effect appears where there is none.

    Parameters
    ----------
    result : SyntheticEffects
        From ``ev.synthetic_control`` or ``ev.synthetic_did``.
    size : int, optional
        Donors in a set; default as many as there are treated places. 1 looks at each donor alone.
    draws : int, default 999
        Sets drawn where there are more; a single donor, and a number of sets up to this, are taken in turn.
    seed : int, default 1
    most_misfit : float, optional
        Leave out sets whose root mean square gap before the start is more than this many times that of the treated.

    Returns
    -------
    DonorPlacebos
        The p-value is that of the ratio of root mean square gaps after and before, by rank, without a t distribution;
        ties count as at least as large.

    Raises
    ------
    EstimationError
        No synthetic control was given.
    IdentificationError
        There are not more donors than places in a set.

    Notes
    -----
    The p-value is exact if the treated might as well have been any of the donors. Places that volunteered are no such
    draw; then it says how unusual the treated are, not how likely chance is. The sampling error of means of
    respondents enters through the spread of the placebos alone.

    References
    ----------
    Abadie, Diamond and Hainmueller (2010), Journal of the American Statistical Association 105, 493-505.
    Arkhangelsky et al. (2021), American Economic Review 111, algorithm 4.
    """
    require_arguments(donor_placebos, locals())
    model = getattr(result, "model", None)
    if not isinstance(model, Model):
        raise EstimationError(
            f"donor_placebos needs what ev.synthetic_control or ev.synthetic_did returned, got {type(result).__name__}."
        )
    drawn = draw_sets(len(model.donors), _starts(model, size), draws, seed)
    own, others = model.estimate, placebo_estimates(model, drawn)
    since = model.layout.event_times
    names = [", ".join(model.places.names(model.roles.donors[members])) for members in drawn.sets]
    treated = ", ".join(model.places.names(model.roles.treated))
    frame = _frame([treated, *names], np.vstack([own, others]), since, float(np.nanmax(np.abs(model.outcome))))
    kept = np.ones(len(frame), dtype=bool)
    if most_misfit is not None:
        misfit = frame["rmspe_before"].to_numpy()
        kept = (misfit <= most_misfit * misfit[0]) | frame["is_treated"].to_numpy()
    spread = placebo_engine(model, drawn).covariance(np.vstack([others[:, :1], own[None, :1]]))
    gaps = _gaps([treated, *names], np.vstack([own, others])[:, 2:], since)
    shown = frame[kept].reset_index(drop=True)
    return DonorPlacebos(
        shown,
        gaps[gaps["places"].isin(shown["places"])].reset_index(drop=True),
        _rank_of(shown["ratio"].to_numpy()),
        _share_at_least(shown["estimate"].abs().to_numpy()),
        float(np.sqrt(spread[0, 0])),
        drawn.told(),
        int((~kept).sum()),
        result.provenance,
    )


def _starts(model: Model, size: int | None) -> Floats:
    first = model.cohort[len(model.donors) :]
    if size is None or size == len(first):
        return first
    if not isinstance(size, int) or size < 1 or len(np.unique(first)) > 1:
        raise EstimationError(
            f"donor_placebos: size must be a number of places that start together, got {size!r} for treated places "
            f"with {len(np.unique(first))} starts."
        )
    return np.full(size, first[0])


def _frame(names: Sequence[str], estimates: Floats, since: Floats, scale: float) -> pd.DataFrame:
    gaps = estimates[:, 2:]
    before = np.sqrt(np.mean(gaps[:, since < 0] ** 2, axis=1))
    after = np.sqrt(np.mean(gaps[:, since >= 0] ** 2, axis=1))
    # A gap that is rounding alone would rank sets by chance: such a fit is exact.
    fits = before > EXACT * scale
    ratio = np.where(fits, after / np.where(fits, before, 1.0), np.inf)
    return pd.DataFrame(
        {
            "places": names,
            "is_treated": [True] + [False] * (len(names) - 1),
            "estimate": estimates[:, 0],
            "estimate_did": estimates[:, 1],
            "rmspe_before": before,
            "rmspe_after": after,
            "ratio": ratio,
        }
    )


def _gaps(names: Sequence[str], gaps: Floats, since: Floats) -> pd.DataFrame:
    n = len(since)
    return pd.DataFrame(
        {
            "places": np.repeat(np.asarray(names, dtype=object), n),
            "is_treated": np.repeat([True] + [False] * (len(names) - 1), n),
            "event_time": [exact(value) for value in np.tile(since, len(names))],
            "gap": gaps.ravel(),
        }
    )


def _rank_of(ratios: Floats) -> float:
    """Return the share of ratios at least that of the treated; not a number where the treated fit exactly before."""
    return float("nan") if np.isinf(ratios[0]) else _share_at_least(ratios)


def _share_at_least(values: Floats) -> float:
    return float(np.mean(values >= values[0] * (1 - 1e-9)))
