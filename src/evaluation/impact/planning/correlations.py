"""How alike people of one place are, and how lasting that is: from waves before the policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation import wording
from evaluation.design.collapse import mass_by
from evaluation.errors import EstimationError, IdentificationError
from evaluation.estimation.arguments import column_name, require_arguments, require_choice, require_conf_level
from evaluation.estimation.domains import outcomes_of
from evaluation.estimation.means import survey_mean
from evaluation.impact.clusters.jackknife import cluster_jackknife
from evaluation.impact.panel import Panel, cluster_codes, exact, read_cohorts, require_panel
from evaluation.results import Estimates, Labels, PlainLabels

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Noise = Literal["design", "persons"]

VERB = "cluster_correlations"
TERMS = ("icc", "cac", "std_dev", "var_place", "var_place_wave", "var_person")


@dataclass(frozen=True, eq=False)
class ComponentLabels:
    """Words for parts of a variance; for all else those of ``base``."""

    base: Labels = field(default_factory=PlainLabels)

    def variable(self, name: str, lang: str) -> str:
        """Return the label of a column or part."""
        known = self.base.variable(name, lang)
        return wording.term(f"component_{name}", lang) if known == name and name in TERMS else known

    def value(self, name: str, value: object, lang: str) -> str:
        """Return the label of a code."""
        return self.base.value(name, value, lang)


@dataclass(frozen=True, eq=False)
class _Cells:
    """Sums by place and wave, each shape (G, T): weights, their squares, weighted answers and squares, noise."""

    weight: Floats
    squares: Floats
    answers: Floats
    products: Floats
    noise: Floats | None

    def without(self, place: int) -> _Cells:
        """Return the cells of all places but one."""
        kept = np.arange(len(self.weight)) != place
        noise = None if self.noise is None else self.noise[kept]
        return _Cells(self.weight[kept], self.squares[kept], self.answers[kept], self.products[kept], noise)


def cluster_correlations(
    panel: Panel,
    *,
    outcome: str,
    cluster: str,
    cohort: str | None = None,
    noise: Noise | None = None,
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate how alike people of one place are, and how far a place's shocks last from wave to wave.

    Parameters
    ----------
    panel : Panel
        Repeated cross-sections from ``ev.panel``; its weights weigh.
    outcome : str
        Numeric or 0/1; missing answers are left out.
    cluster : str
        Column of the places that will be treated as wholes.
    cohort : str, optional
        Column of the first treated period: then only waves before anybody is treated count. Default: all waves.
    noise : {"design", "persons"}, optional
        What sampling makes a place's mean in a wave vary by: the variance of the sampling design (default where it
        has strata or sampling units), or that of persons drawn one by one, with their weights (default else).
    conf_level : float, default 0.95
        Of the t intervals of the jackknife.

    Returns
    -------
    Estimates
        Rows ``icc`` (share of the variance within a wave that lies between places), ``cac`` (correlation of a place's
        mean between waves, sampling aside; missing with one wave), ``std_dev`` (persons of all places in one wave),
        and the variances ``var_place`` (lasting), ``var_place_wave`` (of one wave), ``var_person``. Errors leave out
        each place once (CV3, t with G - 1). Negative variances are shown as they come.

    Raises
    ------
    ColumnError
        A column is absent or cannot serve.
    EstimationError
        A panel of units, unknown options.
    IdentificationError
        Fewer than three places with answers in every wave, or nobody to tell persons of a place apart by.

    Notes
    -----
    For the means :math:`\\bar y_{gt}` of G places in T waves, with :math:`MS_g` between places and :math:`MS_{gt}`
    what is left after places and waves, both per place and wave, and :math:`\\bar s` the mean sampling variance:
    :math:`\\sigma_{gt}^2 = MS_{gt} - \\bar s`, :math:`\\sigma_g^2 = (MS_g - MS_{gt}) / T`. Unbiased whatever the
    sizes of cells; on balanced data the analysis of variance. Every place counts the same.

    References
    ----------
    Hooper, Teerenstra, de Hoop and Eldridge (2016), Statistics in Medicine 35, 4718-4728; Searle, Casella and
    McCulloch (1992), Variance Components, chapter 4.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.impact.panel import panel
    >>> rows = [(g, t, 3 * g + g % 2 * t + e) for g in range(4) for t in (1, 2) for e in (-1.0, 1.0)]
    >>> answers = pd.DataFrame(rows, columns=["place", "year", "y"])
    >>> found = cluster_correlations(panel(survey_design(answers), time="year"), outcome="y", cluster="place")
    >>> found.tidy().set_index("term")["estimate"].round(3).to_dict()["var_person"]
    2.0
    """
    require_arguments(cluster_correlations, locals())
    require_panel(panel, VERB)
    require_conf_level(conf_level, VERB)
    if panel.rows is not None:
        raise EstimationError(
            f"{VERB} tells places from persons in repeated cross-sections, but the panel has units ('{panel.unit}'). "
            f"Leave unit out of ev.panel."
        )
    name = column_name(outcome, f"{VERB}: outcome")
    chosen = _noise(panel, noise)
    levels, code = cluster_codes(panel, cluster)
    waves = _waves(panel, cohort)
    cells, whole = _cells(panel, name, cluster, (levels, code), waves, chosen)
    estimate = _components(cells)
    without = np.array([_components(cells.without(place)) for place in range(len(cells.weight))])
    there = np.flatnonzero(np.isfinite(without).all(axis=0) & np.isfinite(estimate))
    kept = np.full(len(levels), -1, dtype=np.int64)
    kept[whole] = np.arange(len(whole))
    own = np.where(code >= 0, kept[code], -1)
    engine = cluster_jackknife(
        panel.design.data, cluster, own, len(whole), labels=tuple(levels[place] for place in whole)
    )
    vcov = np.full((len(TERMS),) * 2, np.nan)
    vcov[np.ix_(there, there)] = engine.covariance((without - estimate)[:, there])
    counted = _answered(panel, name) & np.isin(panel.period, waves) & (own >= 0)
    provenance = replace(panel.design.provenance, labels=ComponentLabels(panel.design.provenance.labels))
    return Estimates(
        verb=VERB,
        keys=pd.DataFrame({"term": list(TERMS)}),
        estimate=estimate,
        vcov=vcov,
        df=np.full(len(TERMS), len(whole) - 1.0),
        n_obs=np.full(len(TERMS), int(counted.sum())),
        provenance=provenance,
        engine=engine,
        contributions=without - estimate,
        conf_level=conf_level,
        fit=_told(panel, name, cluster, waves, whole, len(levels), chosen),
    )


def _told(
    panel: Panel, outcome: str, cluster: str, waves: Codes, whole: Codes, n_levels: int, noise: Noise
) -> Mapping[str, object]:
    return {
        "outcome": outcome,
        "cluster": cluster,
        "n_clusters": len(whole),
        "n_clusters_left_out": n_levels - len(whole),
        "waves": [exact(time) for time in panel.times[waves]],
        "noise": noise,
    }


def _noise(panel: Panel, noise: Noise | None) -> Noise:
    sampling = panel.design.sampling
    if noise is None:
        return "design" if sampling.strata is not None or sampling.psu else "persons"
    require_choice(noise, ("design", "persons"), f"{VERB}: noise")
    return noise


def _waves(panel: Panel, cohort: str | None) -> Codes:
    if cohort is None:
        return np.arange(len(panel.times))
    values = read_cohorts(panel, cohort).values
    waves = np.flatnonzero(panel.times < values[0])
    if not len(waves):
        raise IdentificationError(
            f"{VERB}: no wave lies before the first treated period in '{cohort}' ({values[0]:g}; first wave "
            f"{panel.times[0]:g}), so no correlation is free of the policy."
        )
    return waves


def _answered(panel: Panel, outcome: str) -> Mask:
    return np.asarray(outcomes_of(panel.design, outcome, listwise=False, verb=VERB).answered[:, 0], dtype=bool)


def _cells(
    panel: Panel, outcome: str, cluster: str, places: tuple[list[object], Codes], waves: Codes, noise: Noise
) -> tuple[_Cells, Codes]:
    """Return the cells of places with an answer in every wave, and which places those are."""
    (levels, code), t = places, len(waves)
    wave = np.full(len(panel.times), -1, dtype=np.int64)
    wave[waves] = np.arange(t)
    y = outcomes_of(panel.design, outcome, listwise=False, verb=VERB).columns[0]
    counted = _answered(panel, outcome) & (panel.period >= 0) & (code >= 0)
    counted &= wave[np.where(panel.period >= 0, panel.period, 0)] >= 0
    at, w = code[counted] * t + wave[panel.period[counted]], panel.design.weights[counted]
    own = y[counted] - np.average(y[counted], weights=w)
    sums = [mass_by(at, len(levels) * t, w * part).reshape(-1, t) for part in (np.ones(len(w)), w, own, own**2)]
    whole = np.flatnonzero((sums[0] > 0).all(axis=1))
    if len(whole) < 3:
        raise IdentificationError(
            f"{VERB}: {len(whole)} of {len(levels)} places of '{cluster}' have answers in each of the {t} waves; three "
            f"are needed. Name larger places, or fewer waves."
        )
    own_noise = None
    if noise == "design":
        inside = np.zeros(len(panel.design), dtype=bool)
        inside[counted] = True
        own_noise = _design_noise(panel, outcome, cluster, inside, (levels, panel.times[waves]))[whole]
    weight, squares, answers, products = (part[whole] for part in sums)
    return _Cells(weight, squares, answers, products, own_noise), whole


def _design_noise(
    panel: Panel, outcome: str, cluster: str, inside: Mask, margins: tuple[list[object], Floats]
) -> Floats:
    """Return the design's variance of each place's mean in each wave, shape (G, T)."""
    made = survey_mean(replace(panel.design, inside=inside), outcome, by=[cluster, panel.time])
    levels, times = margins
    place = {str(level): row for row, level in enumerate(levels)}
    found = np.full((len(levels), len(times)), np.nan)
    rows = [place[str(level)] for level in made.keys[cluster]]
    found[rows, np.searchsorted(times, made.keys[panel.time].to_numpy(dtype=float))] = made.std_error**2
    return found


def _components(cells: _Cells) -> Floats:
    """Return icc, cac, standard deviation, and the three variances."""
    (g, t), weight = cells.weight.shape, cells.weight
    mean = cells.answers / weight
    freedom = float((weight - cells.squares / weight).sum())
    if freedom <= 0:
        raise IdentificationError(
            f"{VERB}: every place has a single answer in each wave, so persons cannot be told from places."
        )
    person = float((cells.products - weight * mean**2).sum()) / freedom
    noise = float(np.mean(person * cells.squares / weight**2 if cells.noise is None else cells.noise))
    row = mean.mean(axis=1)
    between = t * float(((row - row.mean()) ** 2).sum()) / (g - 1)
    if t == 1:
        shocks = between - noise
        return _parts(shocks, np.nan, np.nan, person)
    rest = mean - mean.mean(axis=0) - row[:, None] + mean.mean()
    within = float((rest**2).sum()) / ((g - 1) * (t - 1))
    lasting, passing = (between - within) / t, within - noise
    return _parts(lasting + passing, lasting, passing, person)


def _parts(shocks: float, lasting: float, passing: float, person: float) -> Floats:
    total = shocks + person
    cac = lasting / shocks if shocks > 0 else np.nan
    return np.array([shocks / total, cac, np.sqrt(max(total, 0.0)), lasting, passing, person])
