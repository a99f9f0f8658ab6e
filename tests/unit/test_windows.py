"""Windows of waves that all studies publish of a rare group: no difference of them is a single wave."""

import numpy as np

import evaluation as ev
from evaluation.specification import read_study
from evaluation.study.plan import plan_study

STUDIES = ("seoul_2016", "seoul_2017")
ITEMS = ["stay", "live_in_seoul", "rely", "happy"]
DISTRICTS = (110, 350, 680)


def windows(study):
    """Return district, item and the waves together of every row with a number, in each year of the study."""
    plan = plan_study(read_study(study, resolved=False))
    design = ev.study_design(study, "waves", variables=[*ITEMS, "participant", "district", "year"])
    found = []
    for step in plan.steps:
        if step.notebook != "60_district" or step.values["district"] not in DISTRICTS:
            continue
        given = {**{name: entry.default for name, entry in step.declared.items()}, **step.given}
        here = ev.survey_area(design, {"district": given["district"]}, wave={"year": given["year"]})
        group = ev.area_group(
            here, ITEMS, group={given["group"]: 1}, waves=given["waves"], newest=given["newest"],
            minimum_n=given["fewest"],
        )  # fmt: skip
        rows = group.masked().tidy()
        shown = rows[rows["estimate"].notna()]
        found += [
            (given["district"], term, tuple(map(int, waves.split(", "))))
            for term, waves in zip(shown["term"], shown["waves_pooled"], strict=True)
        ]
    return found


def single(published):
    """Return the waves that some combination of the published windows gives by itself."""
    waves = sorted({wave for window in published for wave in window})
    rows = np.array([[wave in window for wave in waves] for window in published], dtype=float)
    alone = np.eye(len(waves))
    left = alone - alone @ np.linalg.pinv(rows) @ rows
    return [wave for wave, rest in zip(waves, left, strict=True) if np.abs(rest).max() < 1e-9]


def test_windows_that_overlap_by_all_but_one_would_be_found():
    assert single([(2015, 2016), (2015, 2016, 2017)]) == [2017]
    assert single([(2014, 2015, 2016), (2015, 2016)]) == [2014]
    assert single([(2014, 2015, 2016), (2015, 2016, 2017)]) == []


def test_no_combination_of_published_windows_is_a_single_wave():
    published = {}
    for study in STUDIES:
        for district, item, waves in windows(study):
            published.setdefault((district, item), []).append(waves)
    assert sorted({waves for own in published.values() for waves in own}) == [(2014, 2015, 2016), (2015, 2016, 2017)]
    assert sum(len(own) == len(STUDIES) for own in published.values()) >= 5
    assert {key: single(own) for key, own in published.items() if single(own)} == {}
