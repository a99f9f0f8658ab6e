"""Results made by hand for the tests of tables, figures, publishing and the report."""

import numpy as np
import pandas as pd

from evaluation.results import Estimates, Provenance

NAMES = {
    "api00": ("2000년 학업성취지수", "API 2000"),
    "api99": ("1999년 학업성취지수", "API 1999"),
    "enroll": ("재학생 수", "students enrolled"),
    "stype": ("학교급", "school type"),
    "target": (
        "학교 전체 성장목표를 달성하였는지 여부 (모든 하위집단을 포함하여 판정한 것)",
        "met the school-wide growth target (all numerically significant subgroups included)",
    ),
}
CODES = {"E": ("초등학교", "elementary"), "M": ("중학교", "middle"), "H": ("고등학교", "high")}


class Book:
    """A small codebook."""

    def variable(self, name, lang):
        return NAMES[name][lang == "en"] if name in NAMES else name

    def value(self, name, value, lang):
        return CODES[value][lang == "en"] if value in CODES else str(value)


PROVENANCE = Provenance(
    "api_2000",
    title={"ko": "캘리포니아 학업성취지수 2000", "en": "California Academic Performance Index 2000"},
    population={"ko": "캘리포니아 학교 6,194개교", "en": "6,194 California schools"},
    n=183,
    weight="pw",
    labels=Book(),
)


def made(verb, keys, estimate, error, *, provenance=PROVENANCE, **more):
    estimate, error = np.array(estimate, dtype=float), np.array(error, dtype=float)
    k = len(estimate)
    n_obs = np.full(k, provenance.n)
    return Estimates(verb, pd.DataFrame(keys), estimate, np.diag(error**2), np.full(k, 14.0), n_obs, provenance, **more)


MEANS = made("survey_mean", {"term": ["api00", "api99"]}, [644.169, 606.978], [23.5422, 24.2201])
TYPES = ["E", "H", "M"]
SHARES = made("survey_prop", {"term": ["stype"] * 3, "level": TYPES}, [0.787, 0.0765, 0.1366], [0.046, 0.027, 0.03])
BY_TYPE = made("survey_mean", {"term": ["api00"] * 3, "stype": TYPES}, [648.87, 618.57, 631.44], [22.4, 38.0, 31.6])
MIXED = made("survey_mean", {"term": ["api00", "enroll", "target"]}, [644.2, 549.7, 0.85], [23.5, 45.2, 0.028])
MODEL = made("survey_glm", {"term": ["(Intercept)", "api99", "stype[T.H]"]}, [820.9, -0.48, -21.0], [10.5, 0.4, 20.0])
TOTAL = made("survey_total", {"term": ["enroll"]}, [3404940.0], [932235.0])
GAP = made("contrast", {"term": ["E - H"]}, [30.3], [20.1])
ALL = {"means": MEANS, "shares": SHARES, "by": BY_TYPE, "mixed": MIXED, "model": MODEL, "total": TOTAL, "gap": GAP}

MARGINS = pd.DataFrame(
    {
        "margin": ["stype"] * 3,
        "level": ["E", "H", "M"],
        "target": [0.714, 0.122, 0.164],
        "before": [0.787, 0.077, 0.136],
        "after": [0.714, 0.122, 0.164],
    }
)
