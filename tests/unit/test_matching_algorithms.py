"""Matching found fast against matching found by looking at everybody, on random data with ties."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.spatial.distance import cdist

import evaluation as ev

EXAMPLES = settings(max_examples=60, deadline=None)
# Distances are differences of the same numbers; only their sum is added in another order.
SUM = 1e-9


@st.composite
def two_groups(draw):
    """People with few different scores, so that ties are common, in one to three cells."""
    n = draw(st.integers(6, 40))
    random = np.random.default_rng(draw(st.integers(0, 10_000)))
    joined = random.uniform(size=n) < 0.4
    joined[:2] = True, False
    return pd.DataFrame(
        {
            "joined": joined.astype(int),
            "score": random.integers(0, draw(st.integers(2, 30)), n) / 8,
            "area": np.append(["a", "a"], random.choice(list("aab"), n - 2)),
        }
    )


def served_in_turn(frame, queue, *, ratio, caliper, exact):
    """Return the distances at which each participant finds partners, by looking at everybody who is free."""
    score, area, free = frame["score"].to_numpy(), frame["area"].to_numpy(), set(np.flatnonzero(frame["joined"] == 0))
    found, turn = [], list(queue)
    for _ in range(ratio):
        served = []
        for person in turn:
            allowed = [other for other in free if not exact or area[other] == area[person]]
            gaps = {other: abs(score[other] - score[person]) for other in allowed}
            nearest = min(gaps.values(), default=np.inf)
            if nearest > caliper or nearest == np.inf:
                continue
            equally = [other for other, gap in gaps.items() if gap == nearest]
            lower = [other for other in equally if (score[other], other) < (score[person], person)]
            free.remove(max(lower, key=lambda other: (score[other], other)) if lower else min(equally))
            found.append((person, nearest))
            served.append(person)
        turn = served
    return sorted(found)


def in_order(frame, order, seed):
    people = np.flatnonzero(frame["joined"] == 1)
    score = frame["score"].to_numpy()[people]
    if order == "random":
        return people[np.random.default_rng(seed).permutation(len(people))]
    return people if order == "data" else people[np.argsort(-score if order == "largest" else score, kind="stable")]


@EXAMPLES
@given(two_groups(), st.sampled_from(["largest", "smallest", "data", "random"]), st.integers(1, 3), st.booleans())
def test_without_replacement_the_pairs_are_those_of_looking_at_everybody(frame, order, ratio, exact):
    # A caliper leaves people out, so that too few others are no error.
    caliper = 0.75
    expected = served_in_turn(frame, in_order(frame, order, 3), ratio=ratio, caliper=caliper, exact=exact)
    call = {
        "treatment": "joined", "covariates": ["score"], "distance": "score", "order": order, "ratio": ratio, "seed": 3,
        "caliper": caliper, "std_caliper": False, "exact": "area" if exact else None,
    }  # fmt: skip
    alone = set(frame.loc[frame["joined"] == 1, "area"]) - set(frame.loc[frame["joined"] == 0, "area"])
    if not expected or (exact and alone):
        with pytest.raises(ev.errors.EstimationError):
            ev.match(ev.survey_design(frame), **call)
        return
    pairs = ev.match(ev.survey_design(frame), **call).pairs
    assert sorted(zip(pairs["participant"], pairs["distance"], strict=True)) == expected
    assert pairs["comparison"].is_unique
    if exact:
        assert (frame["area"].to_numpy()[pairs["participant"]] == frame["area"].to_numpy()[pairs["comparison"]]).all()


@EXAMPLES
@given(two_groups(), st.integers(1, 3))
def test_with_replacement_and_ties_all_who_are_as_near_share_equally(frame, ratio):
    pairs = ev.match(
        ev.survey_design(frame), treatment="joined", covariates=["score"], distance="score", replacement=True,
        ratio=ratio, average_ties=True,
    ).pairs  # fmt: skip
    score = frame["score"].to_numpy()
    others = np.flatnonzero(frame["joined"] == 0)
    for person in np.flatnonzero(frame["joined"] == 1):
        gaps = np.abs(score[others] - score[person])
        near = others[gaps <= np.sort(gaps)[min(ratio, len(others)) - 1]]
        own = pairs[pairs["participant"] == person]
        assert set(own["comparison"]) == set(near)
        np.testing.assert_allclose(own["share"], 1 / len(near))


@EXAMPLES
@given(two_groups())
def test_full_matching_has_the_least_total_distance_of_all_sets_of_one_and_several(frame):
    made = ev.match(ev.survey_design(frame), treatment="joined", covariates=["score"], distance="score", method="full")
    score, joined = frame["score"].to_numpy(), frame["joined"].to_numpy() == 1
    total = 0.0
    assert (made.subclass >= 0).all()
    for number in np.unique(made.subclass):
        inside = made.subclass == number
        ours, theirs = score[inside & joined], score[inside & ~joined]
        assert min(len(ours), len(theirs)) == 1
        total += np.abs(ours[:, None] - theirs[None]).sum()
    gaps = np.abs(score[joined][:, None] - score[~joined][None])
    covers = [np.where(np.indices(gaps.shape)[axis] == k, -1.0, 0.0).ravel() for axis in (0, 1)
              for k in range(gaps.shape[axis])]  # fmt: skip
    least = linprog(gaps.ravel(), A_ub=np.array(covers), b_ub=-np.ones(len(covers)), bounds=(0, None)).fun
    np.testing.assert_allclose(total, least, rtol=SUM, atol=SUM)


def people(n=300, seed=4):
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(random.normal(size=(n, 3)), columns=["x", "y", "z"])
    frame["joined"] = (random.uniform(size=n) < 0.3).astype(int)
    return frame


@pytest.mark.parametrize("replacement", [True, False])
def test_mahalanobis_pairs_are_those_of_the_whole_table_of_distances(replacement):
    frame = people()
    made = ev.match(
        ev.survey_design(frame), treatment="joined", covariates=["x", "y", "z"], distance="mahalanobis",
        replacement=replacement,
    )  # fmt: skip
    ours, theirs = (np.flatnonzero(frame["joined"] == group) for group in (1, 0))
    x = frame[["x", "y", "z"]].to_numpy()
    within = sum(np.cov(x[rows].T) * (len(rows) - 1) for rows in (ours, theirs)) / (len(frame) - 2)
    table = cdist(x[ours], x[theirs], "mahalanobis", VI=np.linalg.inv(within))
    expected = {}
    for place, person in enumerate(ours):
        nearest = int(np.argmin(table[place]))
        expected[person] = (theirs[nearest], table[place, nearest])
        if not replacement:
            table[:, nearest] = np.inf
    assert dict(zip(made.pairs["participant"], made.pairs["comparison"], strict=True)) == {
        person: partner for person, (partner, _) in expected.items()
    }
    np.testing.assert_allclose(made.pairs["distance"], [gap for _, gap in expected.values()], rtol=1e-9)


def test_scores_that_differ_by_rounding_alone_are_ties():
    frame = pd.DataFrame({"joined": [1, 0, 0], "score": [0.5, 0.1 + 0.2, 0.3]})
    pairs = ev.match(
        ev.survey_design(frame), treatment="joined", covariates=["score"], distance="score", replacement=True,
        average_ties=True,
    ).pairs  # fmt: skip
    assert sorted(pairs["comparison"]) == [1, 2]


def test_the_order_of_rows_changes_no_pair_where_no_scores_are_equal():
    frame = people()
    frame["id"] = np.arange(len(frame))
    shuffled = frame.sample(frac=1, random_state=1)
    found = []
    for data in (frame, shuffled):
        pairs = ev.match(ev.survey_design(data), treatment="joined", covariates=["x", "y"]).pairs
        ids = data["id"].to_numpy()
        found.append(set(zip(ids[pairs["participant"]], ids[pairs["comparison"]], strict=True)))
    assert found[0] == found[1]


def test_a_second_partner_comes_after_everybody_has_a_first():
    frame = pd.DataFrame({"joined": [1, 1, 0, 0, 0, 0], "score": [5.0, 4.0, 5.1, 5.2, 9.0, 9.5]})
    pairs = ev.match(ev.survey_design(frame), treatment="joined", covariates=["score"], distance="score", ratio=2).pairs
    assert pairs[["participant", "comparison", "share"]].to_numpy().tolist() == [
        [0, 2, 0.5], [0, 4, 0.5], [1, 3, 0.5], [1, 5, 0.5],
    ]  # fmt: skip


def test_partners_are_sought_for_the_others_where_they_are_the_target():
    frame = pd.DataFrame({"joined": [0, 0, 1, 1, 1], "age": [30, 50, 31, 45, 70]})
    made = ev.match(ev.survey_design(frame), treatment="joined", covariates=["age"], distance="age", estimand="ATC")
    assert made.pairs[["participant", "comparison"]].to_numpy().tolist() == [[2, 0], [3, 1]]
    assert made.weights.tolist() == [1, 1, 1, 1, 0]
