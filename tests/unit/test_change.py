"""Change between waves whose samples overlap: what they share is counted, and only that."""

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import EstimationError
from evaluation.estimation.change import survey_change

TIGHT = 1e-12


def waves(n=200, seed=6):
    """A panel of ``n`` persons in 20 blocks, of whom some take part in the second wave, and others only there."""
    rng = np.random.default_rng(seed)
    person = np.concatenate([np.arange(n), np.arange(n // 4, n + n // 4)])
    level = rng.normal(size=2 * n)[person]
    columns = {
        "person": person,
        "block": person // 10,
        "wave": np.repeat([2014, 2016], n),
        "w": rng.uniform(1, 3, 2 * n)[person],
        "y": level + np.repeat([0.0, 0.3], n) + rng.normal(0, 0.5, 2 * n),
        "area": np.where(person % 2, "a", "b"),
    }
    return pd.DataFrame(columns)


def test_a_panel_of_the_same_persons_is_the_mean_of_their_differences():
    frame = waves()
    both = frame.groupby("person")["wave"].transform("size") == 2
    frame = frame[both].assign(w=1.0)
    found = survey_change(ev.survey_design(frame, psu="person"), "y", wave="wave", start=2014, end=2016)
    wide = frame.pivot(index="person", columns="wave", values="y")
    gaps = pd.DataFrame({"gap": wide[2016] - wide[2014]})
    wanted = ev.survey_mean(ev.survey_design(gaps), "gap")
    assert found.estimate == pytest.approx(wanted.estimate, rel=1e-10)
    assert found.std_error == pytest.approx(wanted.std_error, rel=1e-10)


def test_overlap_makes_a_change_more_certain_than_two_samples():
    frame = waves()
    overlapping = survey_change(
        ev.survey_design(frame, weights="w", psu="person"), "y", wave="wave", start=2014, end=2016
    ).tidy()
    apart = ev.survey_design(frame.assign(row=np.arange(len(frame))), weights="w", psu="row")
    independent = survey_change(apart, "y", wave="wave", start=2014, end=2016).tidy()
    assert overlapping["correlation"][0] > 0.3
    assert independent["correlation"][0] == pytest.approx(0.0, abs=0.01)
    assert overlapping["std_error"][0] < 0.85 * independent["std_error"][0]
    assert overlapping["estimate"].tolist() == independent["estimate"].tolist()


def test_the_variance_is_that_of_both_levels_less_twice_their_covariance():
    design = ev.survey_design(waves(), weights="w", psu="block")
    found = survey_change(design, "y", wave="wave", start=2014, end=2016, by="area").tidy()
    levels = ev.survey_mean(design, "y", by=["wave", "area"])
    v, at = levels.vcov, {address: row for row, address in enumerate(levels.addresses())}
    for row in found.to_dict("records"):
        first, last = (at[f"y | wave={wave},area={row['area']}"] for wave in (2014, 2016))
        variance = v[first, first] + v[last, last] - 2 * v[first, last]
        assert row["std_error"] == pytest.approx(np.sqrt(variance), rel=1e-9)
        assert row["correlation"] == pytest.approx(v[first, last] / np.sqrt(v[first, first] * v[last, last]), rel=1e-9)
        assert row["estimate"] == pytest.approx(row["at_end"] - row["at_start"], rel=TIGHT)


def test_units_of_one_wave_only_still_count_for_the_degrees_of_freedom_of_their_wave():
    frame = waves()
    found = survey_change(ev.survey_design(frame, psu="block"), "y", wave="wave", start=2014, end=2016)
    first, last = (frame.loc[frame["wave"] == wave, "block"].nunique() for wave in (2014, 2016))
    assert found.df.tolist() == [min(first, last) - 1]
    assert found.n_obs.tolist() == [400]


def test_other_waves_do_not_matter():
    frame = waves()
    third = frame[frame["wave"] == 2016].assign(wave=2018, y=99.0)
    more = ev.survey_design(pd.concat([frame, third], ignore_index=True), weights="w", psu="person")
    two = ev.survey_design(frame, weights="w", psu="person")
    found, wanted = (survey_change(one, "y", wave="wave", start=2014, end=2016).estimate for one in (more, two))
    assert found == pytest.approx(wanted, rel=TIGHT)


def test_replicates_give_nearly_the_same_error():
    design = ev.survey_design(waves(), weights="w", psu="block")
    linear, replicated = (
        survey_change(one, "y", wave="wave", start=2014, end=2016).std_error
        for one in (design, ev.as_replicates(design, kind="JK1"))
    )
    assert replicated == pytest.approx(linear, rel=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 2014, "end": 2014}, r"start and end are both 2014"),
        ({"start": 2014, "end": 2015}, r"no respondent has wave = 2015"),
    ],
)
def test_a_change_needs_two_waves(options, message):
    with pytest.raises(EstimationError, match=message):
        survey_change(ev.survey_design(waves(), psu="person"), "y", wave="wave", **options)
