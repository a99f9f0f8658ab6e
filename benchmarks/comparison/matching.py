"""Processor seconds of every way to match, on the people of this benchmark.

Run as ``OPENBLAS_NUM_THREADS=1 python benchmarks/comparison/matching.py [n]``; n is a million unless told. Full
matching and Mahalanobis distance take a tenth of it.
"""

from __future__ import annotations

import sys
import time

from people import COVARIATES, respondents

import evaluation as ev

WAYS = {
    "nearest, without replacement": {},
    "nearest, caliper 0.2 SD of the logit": {"distance": "logit", "caliper": 0.2},
    "nearest, two each": {"ratio": 2, "caliper": 0.2},
    "nearest, with replacement": {"replacement": True},
    "nearest, with replacement, ties shared": {"replacement": True, "average_ties": True},
    "subclassification": {"method": "subclass"},
    "coarsened exact": {"method": "cem", "cutpoints": 3},
    "full": {"method": "full"},
    "Mahalanobis, with replacement": {"distance": "mahalanobis", "covariates": ["x1", "x2", "x3", "x4"],
                                      "replacement": True},
    "Mahalanobis, without replacement": {"distance": "mahalanobis", "covariates": ["x1", "x2", "x3", "x4"]},
}  # fmt: skip
TENTH = ("full", "Mahalanobis, with replacement", "Mahalanobis, without replacement")


def main(n: int) -> None:
    """Print one line per way: n, seconds of ``match``, seconds of ``matched_difference``, the difference."""
    frame = respondents(n)
    whole, tenth = ev.survey_design(frame), ev.survey_design(frame[: n // 10])
    ev.match(ev.survey_design(frame[:5000]), treatment="joined", covariates=list(COVARIATES))
    for name, options in WAYS.items():
        design = tenth if name in TENTH else whole
        begun = time.process_time()
        made = ev.match(design, **{"treatment": "joined", "covariates": list(COVARIATES), **options})
        matched = time.process_time()
        effect = ev.matched_difference(made, outcome="days")
        ended = time.process_time()
        seconds = f"{matched - begun:7.2f} {ended - matched:7.2f}"
        print(f"{name:40s} {len(design):9,d} {seconds} {effect.estimate[0]:8.4f} ({effect.std_error[0]:.4f})")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
