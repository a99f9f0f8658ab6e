"""Waves at uneven distances: zeros by construction stay out of leads, and who rests on one base refuses."""

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import EstimationError

ASKED = {"outcome": "y", "cohort": "first", "cluster": "gu"}


def drifting(waves):
    """Cohorts 2014 and 2016 that rise by one a year before their start, among eight that do not."""
    starts = [2014] * 8 + [2016] * 7 + [0] * 8
    rows = [(gu, year, start, e) for gu, start in enumerate(starts) for year in waves for e in (-0.5, 0.5)]
    frame = pd.DataFrame(rows, columns=["gu", "year", "first", "e"])
    lead = np.where(frame["first"] > 0, np.minimum(frame["year"] - frame["first"], 0), 0)
    noise = np.random.default_rng(9).normal(0, 0.1, size=(len(starts), 20))
    frame["y"] = -lead + frame["e"] + noise[frame["gu"], frame["year"] - 2005]
    return ev.panel(ev.survey_design(frame), time="year")


EVEN, UNEVEN = range(2010, 2019), [year for year in range(2010, 2019) if year != 2015]


def test_a_reference_of_one_cohort_does_not_water_down_the_lead_of_another():
    asked = ASKED | {"control_group": "nevertreated"}
    whole, gap = (ev.event_study(drifting(waves), **asked).tidy().set_index("event_time") for waves in (EVEN, UNEVEN))
    assert np.isclose(whole.loc[-2, "estimate"], 1, atol=0.15)
    assert np.isclose(gap.loc[-2, "estimate"], 1, atol=0.15)
    assert whole.loc[-1, "estimate"] == gap.loc[-1, "estimate"] == 0


@pytest.mark.parametrize("verb", ["event_study", "sun_abraham"])
def test_effects_from_different_bases_are_told_and_no_path(verb):
    even, uneven = (getattr(ev, verb)(drifting(waves), **ASKED) for waves in (EVEN, UNEVEN))
    assert "uneven_bases" not in even.fit
    assert uneven.fit["uneven_bases"] == [-2, -1]
    ev.honest_did(even, bounds=[1])
    for question in (lambda: ev.honest_did(uneven, bounds=[1]), lambda: ev.pretrend_power(uneven)):
        with pytest.raises(EstimationError, match="cohorts are measured from different times since their start"):
            question()
    if verb == "event_study":
        assert "since their start: -2, -1" in ev.table(uneven, lang="en").caption
        assert "시행 시점에서 -2, -1" in ev.table(uneven, lang="ko").caption
