"""Respondents of whom some take part, asked two items, and a published pair: what several tests compare."""

import numpy as np
import pandas as pd

import evaluation as ev


def respondents(seed=3, n=400):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "psu": np.repeat(np.arange(n // 8), 8),
            "stratum": np.repeat(["s", "t"], n // 2),
            "w": rng.uniform(5, 15, n),
            "age": rng.normal(45, 12, n),
            "sex": rng.choice(["f", "m"], n),
        }
    )
    frame["joined"] = (rng.uniform(size=n) < 1 / (1 + np.exp(1 - 0.03 * (frame["age"] - 45)))).astype(int)
    chance = 1 / (1 + np.exp(-0.6 - 0.02 * (frame["age"] - 45) - 0.6 * frame["joined"]))
    frame["stays"] = (rng.uniform(size=n) < chance).astype(float)
    frame["city"] = (rng.uniform(size=n) < 0.55).astype(float)
    return frame


def design_of(frame):
    return ev.survey_design(frame, weights="w", strata="stratum", psu="psu")


def published(comparator_item="live_in_seoul", item="stays", **options):
    ours = ev.Measurement(item, "", "participants", "web", 2016)
    theirs = ev.Measurement(comparator_item, "", "residents of Seoul 15+", "face_to_face", 2016)
    verdict = ev.assess_comparability(ours, theirs, contains_participants=True)
    return ev.decompose_published(**{"participants": 0.847, "comparator": 0.594, **options}, comparability=verdict)
