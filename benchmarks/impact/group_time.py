"""Group-time effects against the least work that numpy could do for them, as ratios of processor time.

Run ``python benchmarks/impact/group_time.py [rows]``. The limit of the collapsed case is one pass that sums weights and
answers by district, cohort, wave and covariate pattern; that of the case by row is one weighted Gram matrix of the
covariates per effect, for each of the propensity's Newton steps and the four regressions. Ratios are medians of
three runs; the estimates with and without collapsing are checked to agree first.
"""

import sys
import time

import numpy as np
import pandas as pd

import evaluation as ev

COVARIATES = [f"x{j}" for j in range(10)]
NEWTON_STEPS = 5


def respondents(n):
    """25 districts, eight waves, three cohorts and one never treated, ten continuous covariates and two codes."""
    rng = np.random.default_rng(1)
    district, year = rng.integers(0, 25, n), rng.integers(2012, 2020, n)
    first = np.array([2015, 2016, 2017, 0])[district % 4]
    x = rng.normal(0, 1, (n, 10))
    y = x @ np.linspace(-0.3, 0.3, 10) + ((first > 0) & (year >= first)) + rng.normal(0, 1, n)
    frame = pd.DataFrame(dict(zip(COVARIATES, x.T, strict=True)))
    frame = frame.assign(district=district, year=year, first=first, y=y, w=rng.uniform(0.5, 2, n))
    return frame.assign(sex=rng.integers(0, 2, n).astype(str), age_group=rng.integers(0, 7, n).astype(str))


def processor_seconds(work):
    """Median of three runs."""
    spent = []
    for _ in range(3):
        start = time.process_time()
        work()
        spent.append(time.process_time() - start)
    return float(np.median(spent))


def one_pass(frame):
    """Sum weights and answers by every code, the codes made from the columns."""
    code = np.zeros(len(frame), dtype=np.int64)
    for name in ("district", "first", "year", "sex", "age_group"):
        own, levels = pd.factorize(frame[name])
        code = code * len(levels) + own
    weight = frame["w"].to_numpy()
    np.bincount(code, weights=weight)
    np.bincount(code, weights=weight * frame["y"].to_numpy())


def gram_matrices(frame):
    """Form the weighted cross-products that 21 effects need."""
    x, weight = frame[COVARIATES].to_numpy(), frame["w"].to_numpy()
    first, year = frame["first"].to_numpy(), frame["year"].to_numpy()
    for cohort in (2015, 2016, 2017):
        for wave in range(2013, 2020):
            base = cohort - 1 if wave >= cohort else wave - 1
            rows = np.isin(first, (cohort, 0)) & np.isin(year, (wave, base))
            own, w = x[rows], weight[rows, None]
            for _ in range(NEWTON_STEPS + 1):
                own.T @ (w * own)


def main(n):
    """Print one line per case: processor seconds, seconds of the limit, ratio."""
    frame = respondents(n)
    waves = ev.panel(ev.survey_design(frame, weights="w", psu="district"), time="year")
    asked = {"outcome": "y", "cohort": "first", "control_group": "nevertreated"}
    by_code = ["sex", "age_group"]
    full = ev.att_gt(waves, **asked, covariates=by_code)
    named = ev.att_gt(waves, **asked, covariates=by_code, cluster="district")
    np.testing.assert_allclose(full.estimate, named.estimate, rtol=1e-9)
    cases = [
        ("two codes, design error", {"covariates": by_code}, one_pass),
        ("two codes, 25 districts left out", {"covariates": by_code, "cluster": "district"}, one_pass),
        ("ten numbers, design error", {"covariates": COVARIATES}, gram_matrices),
        ("ten numbers, 25 districts left out", {"covariates": COVARIATES, "cluster": "district"}, gram_matrices),
    ]
    print(f"{n:,} respondents, 21 effects, doubly robust")
    for label, arguments, limit in cases:
        ours = processor_seconds(lambda arguments=arguments: ev.att_gt(waves, **asked, **arguments))
        least = processor_seconds(lambda limit=limit: limit(frame))
        print(f"{label:36} {ours:8.2f} s {least:8.3f} s  ratio {ours / least:6.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
