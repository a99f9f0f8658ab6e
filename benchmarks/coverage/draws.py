"""What the draw does for intervals: the same unequal districts drawn with equal chances, and in proportion to size.

Run ``python benchmarks/coverage/draws.py``; it writes ``draws.csv`` beside itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from designs import _schools

import evaluation as ev
from evaluation.design.design import Design
from evaluation.results import Estimates

SAMPLES, SEED = 1_000, 2016
STRATA, TAKE = 5, 6
Draw = Callable[[np.random.Generator, int], Design]


def equal_chances(population: pd.DataFrame) -> Draw:
    """Return a draw of districts with equal chances, all their schools taken."""
    places = list(population.groupby("dnum").indices.values())

    def draw(random: np.random.Generator, units: int) -> Design:
        chosen = random.choice(len(places), units, replace=False)
        sample = population.iloc[np.concatenate([places[i] for i in chosen])].reset_index(drop=True)
        return ev.survey_design(sample.assign(districts=len(places)), psu="dnum", fpc="districts")

    return draw


def by_size(population: pd.DataFrame) -> Draw:
    """Return a draw of districts in proportion to size within five strata of size, up to six schools of each."""
    places = list(population.groupby("dnum").indices.values())
    size = np.array([len(place) for place in places])
    order = np.argsort(size, kind="stable")
    stratum = np.empty(len(size), dtype=int)
    stratum[order] = np.minimum(STRATA * (np.cumsum(size[order]) - 1) // size.sum(), STRATA - 1)

    def draw(random: np.random.Generator, units: int) -> Design:
        parts, each = [], units // STRATA
        for place in range(STRATA):
            inside = np.flatnonzero(stratum == place)
            whole = size[inside].sum()
            for number, i in enumerate(random.choice(inside, each, p=size[inside] / whole)):
                taken = random.choice(places[i], min(TAKE, size[i]), replace=False)
                own = {"draw": place * each + number, "size": place, "weight": whole / (each * len(taken))}
                parts.append(population.iloc[taken].assign(**own))
        sample = pd.concat(parts, ignore_index=True)
        return ev.survey_design(sample, weights="weight", strata="size", psu="draw")

    return draw


def intervals(design: Design, totals: Mapping[str, float]) -> Iterator[tuple[str, Estimates]]:
    """Yield the intervals of the mean that a user may choose from."""
    mean = ev.survey_mean(design, "api00")
    yield "design", mean
    yield "Bell-McCaffrey df", ev.small_sample_df(mean, design)
    yield "Bell-McCaffrey df, errors enlarged", ev.small_sample_df(mean, design, enlarge_errors=True)
    yield "design, calibrated to last year's index", ev.survey_mean(ev.calibrate(design, totals), "api00")


def main() -> None:
    """Count how often the mean of all schools lies inside."""
    population = _schools()
    truth = population["api00"].mean()
    totals = {"total": float(len(population)), "api99": float(population["api99"].sum())}
    kinds = {"equal chances, whole districts": equal_chances, "proportional to size, 5 strata": by_size}
    rows = []
    for name, kind in kinds.items():
        draw = kind(population)
        for units in (15, 50):
            for number in range(SAMPLES):
                design = draw(np.random.default_rng([SEED, number]), units)
                for interval, result in intervals(design, totals):
                    row = result.tidy().iloc[0]
                    covers = bool(row["conf_low"] <= truth <= row["conf_high"])
                    rows.append({"draw": name, "districts": units, "interval": interval, "coverage": covers})
    groups = pd.DataFrame(rows).groupby(["draw", "districts", "interval"], sort=False)["coverage"]
    table = groups.mean().round(3).reset_index().assign(samples=SAMPLES)
    table.to_csv(Path(__file__).resolve().parent / "draws.csv", index=False)
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
