"""Results made by hand for the tests of figures: one of each kind."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

plain = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("handmade_results.py"))))
PROVENANCE = plain.PROVENANCE

METHODS = ["benchmark", "unweighted", "raw", "regression_adjusted", "g_computation", "ipw", "aipw"]
LADDER = plain.made(
    "effect_ladder",
    {"term": ["api00"] * 7 + ["enroll"] * 7, "method": METHODS * 2},
    [30.0, 24.0, 22.0, 11.0, 10.5, 10.2, 9.9, 70.0, 60.0, 58.0, 20.0, 21.0, 19.0, 18.0],
    [0.0, 6.0, 7.0, 6.5, 6.4, 6.6, 6.7, 0.0, 26.0, 27.0, 25.0, 24.0, 26.0, 27.0],
    fit={"estimand": "ATT"},
)
PARTS = plain.made(
    "decompose_gap",
    {"term": ["api00"] * 4, "part": ["gap", "item_mismatch", "selection", "effect"]},
    [0.25, np.nan, 0.1, 0.05],
    [0.02, np.nan, 0.03, 0.03],
    columns={"identified": np.array(["yes", "not identified: why", "assumed: what", "assumed: what"], dtype=object)},
)
SINCE = [-4, -3, -2, -1, 0, 1, 2, 3]
EVENTS = plain.made(
    "aggregate",
    {"term": ["overall"] + ["att"] * 8, "event_time": pd.Series([None, *SINCE], dtype=object)},
    [12.0, 1.0, -2.0, 1.5, 0.0, 5.0, 11.0, 14.0, 18.0],
    [3.0, 4.0, 4.0, 3.5, 0.0, 4.0, 4.5, 5.0, 6.0],
    fit={"outcome": "api00"},
)
COHORTS = [(cohort, year) for cohort in (2015, 2016, 2018) for year in range(2012, 2019)]
GROUP_TIME = plain.made(
    "att_gt",
    {"term": ["api00"] * 21, "cohort": [c for c, _ in COHORTS], "time": [y for _, y in COHORTS]},
    [0.0 if y == c - 1 else (6.0 if y >= c else 0.5) for c, y in COHORTS],
    [0.0 if y == c - 1 else 3.0 for c, y in COHORTS],
    fit={"outcome": "api00", "not_identified": [{"cohort": 2019, "time": 2019, "reason": "no_comparison"}]},
)
YEARS = list(range(2010, 2020))
TREND_KEYS = {
    "term": ["api00"] * 30 + ["target"] * 30,
    "year": YEARS * 6,
    "stype": [t for t in "EHM" for _ in YEARS] * 2,
}
TREND_VALUES = [600 + 4 * at + 3 * group for group in range(3) for at in range(10)] + [
    0.5 + 0.01 * at + 0.001 * group for group in range(3) for at in range(10)
]
TREND = plain.made("survey_mean", TREND_KEYS, TREND_VALUES, [8.0] * 30 + [0.02] * 30)
DECLARED = [
    {"term": "target", "time": 2016, "ko": "문항의 보기가 넷에서 다섯으로 바뀜", "en": "five answers instead of four"}
]
TREND_DECLARED = plain.made(
    "survey_trend", TREND_KEYS, TREND_VALUES, [8.0] * 30 + [0.02] * 30,
    fit={"time": "year", "by": ["stype"], "breaks": DECLARED},
)  # fmt: skip

BALANCE = SimpleNamespace(
    tidy=lambda: pd.DataFrame(
        {
            "covariate": ["stype", "stype", "stype", "enroll"],
            "level": ["E", "H", "M", ""],
            "smd_raw": [0.45, -0.2, -0.31, 0.02],
            "smd_weighted": [0.01, -0.03, 0.0, 0.12],
            "denominator": ["participants"] * 4,
        }
    ),
    estimand="ATT",
    provenance=PROVENANCE,
)
_BINS = {"score_low": [0.0, 0.1, 0.2, 0.4], "score_high": [0.1, 0.2, 0.4, 0.5]}
_SCORED = pd.DataFrame({"group": ["1", "0"], "n_obs": [60, 123], "ess": [58.0, 71.4]})
OVERLAP = SimpleNamespace(
    groups=_SCORED,
    tidy=_SCORED.copy,
    histogram=pd.concat(
        [
            pd.DataFrame({"group": "1", **_BINS, "n_obs": [0, 20, 30, 10], "share": [0.0, 0.3, 0.5, 0.2]}).assign(
                share_balanced=[0.0, 0.3, 0.5, 0.2]
            ),
            pd.DataFrame({"group": "0", **_BINS, "n_obs": [60, 40, 18, 5], "share": [0.5, 0.3, 0.15, 0.05]}).assign(
                share_balanced=[0.1, 0.3, 0.4, 0.2]
            ),
        ],
        ignore_index=True,
    ),
    estimand="ATT",
    provenance=PROVENANCE,
)

ALL = {
    "ladder": LADDER,
    "parts": PARTS,
    "events": EVENTS,
    "group_time": GROUP_TIME,
    "trend": TREND_DECLARED,
    "balance": BALANCE,
    "overlap": OVERLAP,
}
#: Kinds without an interval.
WITHOUT_INTERVAL = {"balance", "overlap"}
