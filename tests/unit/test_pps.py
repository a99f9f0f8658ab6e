"""Unequal probabilities without replacement: Brewer, Hartley-Rao and given joint probabilities."""

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import DesignError, EstimationError

HAND = 1e-10
ESTIMATE, ERROR = 1e-8, 1e-6
REFERENCE = Path(__file__).parents[1] / "reference" / "survey"
VOTES = ["Bush", "Kerry", "Nader"]


def pps_items():
    items = json.loads((REFERENCE / "expected.json").read_text(encoding="utf-8"))["items"]
    return [item for item in items if item["design"].startswith("dpps_")]


@pytest.fixture(scope="module")
def counties():
    return pd.read_csv(REFERENCE / "election_pps.csv")


@pytest.mark.parametrize("item", pps_items(), ids=lambda item: item["id"])
def test_pps_is_that_of_r(item, counties):
    own = {
        "dpps_brewer": {"fpc": "p", "pps": "brewer"},
        "dpps_hr": {"fpc": "p", "pps": "hartley_rao"},
        "dpps_wr": {"weights": "wt"},
    }
    design, expected = ev.survey_design(counties, **own[item["design"]]), item["expect"]
    if item["capability"] == "pps_ratio":
        ratio = ev.survey_ratio(design, "Bush", "votes")
        assert ratio.estimate[0] == pytest.approx(expected["ratio"], rel=ESTIMATE)
        assert ratio.std_error[0] == pytest.approx(expected["se"], rel=ERROR)
        return
    total = ev.survey_total(design, VOTES)
    assert total.estimate == pytest.approx(list(expected["estimate"].values()), rel=ESTIMATE)
    assert total.vcov == pytest.approx(np.array(expected["vcov"]["values"]), rel=ERROR)


@pytest.mark.parametrize(
    ("variance", "expected"),
    [
        ("horvitz_thompson", [2472752.962788688, 2426842.197931107, 102595.343522668]),
        ("yates_grundy", [2447628.888656149, 2450786.539082405, 102420.243515406]),
    ],
)
def test_hartley_rao_has_both_estimators_of_r(counties, variance, expected):
    """R survey 4.1-1: svytotal(~Bush+Kerry+Nader, svydesign(id=~1, fpc=~p, data, pps=HR(), variance=))."""
    design = ev.survey_design(counties, fpc="p", pps="hartley_rao", pps_variance=variance)
    assert ev.survey_total(design, VOTES).std_error == pytest.approx(expected, rel=ERROR)


def hartley_rao(inclusion):
    """Joint probabilities as Hartley and Rao approximate them, written out."""
    n, mean = len(inclusion), inclusion.mean()
    pairs = np.add.outer(inclusion, inclusion)
    joint = np.outer(inclusion, inclusion) * (n - 1) / (n - pairs + mean)
    np.fill_diagonal(joint, inclusion)
    return joint


@pytest.mark.parametrize("variance", ["horvitz_thompson", "yates_grundy"])
def test_hartley_rao_without_a_matrix_is_the_matrix_written_out(counties, variance):
    sums = ev.survey_design(counties, fpc="p", pps="hartley_rao", pps_variance=variance)
    written = ev.survey_design(counties, pps=hartley_rao(counties["p"].to_numpy()), pps_variance=variance)
    assert ev.survey_total(sums, VOTES).vcov == pytest.approx(ev.survey_total(written, VOTES).vcov, rel=1e-9)


def three():
    return pd.DataFrame({"id": ["x", "y", "z"], "p": [0.5, 0.4, 0.6], "v": [2.0, 3.0, 1.0]})


JOINT = np.array([[0.5, 0.2, 0.25], [0.2, 0.4, 0.15], [0.25, 0.15, 0.6]])


def by_hand(variance):
    t, p = three()["v"].to_numpy() / three()["p"].to_numpy(), np.diag(JOINT)
    found = 0.0
    for i, j in combinations(range(3), 2):
        delta = (JOINT[i, j] - p[i] * p[j]) / JOINT[i, j]
        found += 2 * delta * t[i] * t[j] if variance == "horvitz_thompson" else -delta * (t[i] - t[j]) ** 2
    return found + ((1 - p) * t**2).sum() if variance == "horvitz_thompson" else found


@pytest.mark.parametrize("variance", ["horvitz_thompson", "yates_grundy"])
def test_joint_probabilities_by_hand(variance):
    design = ev.survey_design(three(), psu="id", pps=JOINT, pps_variance=variance)
    assert design.weights == pytest.approx([2, 2.5, 1 / 0.6])
    assert ev.survey_total(design, "v").vcov[0, 0] == pytest.approx(by_hand(variance), rel=HAND)


def test_a_table_of_joint_probabilities_is_read_by_ids_in_any_order():
    table = pd.DataFrame(JOINT, index=list("xyz"), columns=list("xyz")).loc[list("zxy"), list("yzx")]
    named = ev.survey_design(three().iloc[::-1], psu="id", pps=table)
    plain = ev.survey_design(three(), psu="id", pps=JOINT)
    assert ev.survey_total(named, "v").vcov == pytest.approx(ev.survey_total(plain, "v").vcov, rel=HAND)


def test_an_array_follows_the_order_in_which_units_appear():
    backwards = ev.survey_design(three().iloc[::-1], psu="id", pps=JOINT[::-1, ::-1])
    plain = ev.survey_design(three(), psu="id", pps=JOINT)
    assert ev.survey_total(backwards, "v").vcov == pytest.approx(ev.survey_total(plain, "v").vcov, rel=HAND)


def draws_of_two(p):
    """Every sample of two of a population with its probability (Sampford's for n = 2), and the joint matrix."""
    load = p / (1 - p)
    chance = {(i, j): load[i] * load[j] * (2 - p[i] - p[j]) for i, j in combinations(range(len(p)), 2)}
    whole = sum(chance.values())
    chance = {pair: value / whole for pair, value in chance.items()}
    joint = np.zeros((len(p), len(p)))
    for (i, j), value in chance.items():
        joint[i, j] = joint[j, i] = value
    np.fill_diagonal(joint, joint.sum(axis=1))
    return chance, joint


@pytest.mark.parametrize("variance", ["horvitz_thompson", "yates_grundy"])
def test_over_all_samples_the_variance_is_the_true_one(variance):
    y = np.array([5.0, 9.0, 4.0, 12.0, 7.0])
    chance, joint = draws_of_two(np.array([0.3, 0.45, 0.25, 0.6, 0.4]))
    inclusion = np.diag(joint)
    true = sum(value * (y[list(pair)] / inclusion[list(pair)]).sum() ** 2 for pair, value in chance.items())
    true -= y.sum() ** 2
    expected = 0.0
    for pair, value in chance.items():
        rows = list(pair)
        design = ev.survey_design(pd.DataFrame({"y": y[rows]}), pps=joint[np.ix_(rows, rows)], pps_variance=variance)
        contributions = design.contributions(design.column("y").to_numpy()[:, None])
        form = design.sampling.stages[0].pairs
        expected += value * float((contributions.T @ form.matrix @ contributions)[0, 0])
    assert expected == pytest.approx(true, rel=1e-9)


def test_a_negative_variance_is_said_not_shown():
    joint = np.array([[0.9, 0.82], [0.82, 0.9]])
    design = ev.survey_design(pd.DataFrame({"v": [1.0, 5.0]}), pps=joint, pps_variance="yates_grundy")
    with pytest.raises(EstimationError, match=r"Yates-Grundy variance is negative for 1 of 1 .* pps_variance='horv"):
        ev.survey_total(design, "v")


def test_two_stages_of_which_the_first_is_brewers():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"psu": np.repeat(range(5), 3), "person": range(15), "y": rng.normal(5, 2, 15)})
    p = np.array([0.1, 0.2, 0.15, 0.3, 0.12])
    size = np.array([5, 8, 6, 9, 7])
    frame = frame.assign(p1=p[frame["psu"]], n2=size[frame["psu"]])
    design = ev.survey_design(frame, psu=["psu", "person"], fpc=["p1", "n2"], pps="brewer")
    inner = frame.groupby("psu")["y"]
    total = inner.sum().to_numpy() * size / 3 / p
    first = ((1 - p) * 5 / 4 * (total - total.mean()) ** 2).sum()
    within = (size**2 * (1 - 3 / size) * inner.var().to_numpy() / 3 / p).sum()
    assert ev.survey_total(design, "y").vcov[0, 0] == pytest.approx(first + within, rel=HAND)
    # with joint probabilities the later stage is the same
    joint = ev.survey_design(frame, psu=["psu", "person"], fpc=["p1", "n2"], pps=hartley_rao(p))
    x = total @ (1 - np.outer(p, p) / hartley_rao(p)) @ total
    assert ev.survey_total(joint, "y").vcov[0, 0] == pytest.approx(x + within, rel=HAND)


def test_equal_probabilities_are_simple_random_sampling(counties):
    frame = counties.assign(f=0.25)
    simple = ev.survey_total(ev.survey_design(frame, fpc="f"), VOTES).vcov
    for method in ("brewer", "hartley_rao"):
        design = ev.survey_design(frame, fpc="f", pps=method)
        assert ev.survey_total(design, VOTES).vcov == pytest.approx(simple, rel=1e-9)


def test_certainty_units_add_nothing(counties):
    largest = counties["p"] == counties["p"].max()
    frame = counties.assign(p=counties["p"].where(~largest, 1.0))
    rest = ev.survey_design(frame[~largest], fpc="p", pps="hartley_rao")
    whole = ev.survey_design(frame, fpc="p", pps="hartley_rao")
    assert ev.survey_total(whole, VOTES).vcov == pytest.approx(ev.survey_total(rest, VOTES).vcov, rel=1e-9)


def test_domains_contrasts_models_and_calibration_go_on_working(counties):
    frame = counties.assign(large=np.where(counties["votes"] > 60000, "yes", "no"))
    for method in ("brewer", "hartley_rao"):
        design = ev.survey_design(frame, fpc="p", pps=method)
        by_size = ev.survey_total(design, "Bush", by="large")
        alone = ev.survey_total(ev.domain(design, {"large": "yes"}), "Bush")
        assert by_size.vcov[1, 1] == pytest.approx(alone.vcov[0, 0], rel=HAND)
        both = ev.contrast(by_size, {"sum": {"Bush | large=no": 1, "Bush | large=yes": 1}})
        assert both.std_error == pytest.approx(ev.survey_total(design, "Bush").std_error, rel=HAND)
        model = ev.survey_glm(design, outcome="Bush", covariates="votes")
        assert np.isfinite(model.std_error).all()
        known = ev.margins({"large": {"no": 5000.0, "yes": 10000.0}})
        calibrated = ev.poststratify(design, known)
        assert ev.survey_total(calibrated, "large").std_error == pytest.approx([0, 0], abs=1e-6)


def test_the_method_and_the_card_say_it(counties):
    design = ev.survey_design(counties, fpc="p", pps="hartley_rao", pps_variance="yates_grundy")
    assert ev.survey_total(design, "Bush").variance_method == "taylor (hartley_rao, yates_grundy)"
    assert "unequal probabilities without replacement, Hartley–Rao (Yates–Grundy variance)" in design.summary()
    assert ev.survey_design(counties, fpc="p", pps="brewer").engine.method == "taylor (brewer)"


def test_no_replicates_of_joint_probabilities(counties):
    with pytest.raises(DesignError, match="no replicates carry its joint probabilities"):
        ev.as_replicates(ev.survey_design(counties, fpc="p", pps="hartley_rao"), kind="JK1")


@pytest.mark.parametrize(
    ("changes", "arguments", "message"),
    [
        ({}, {"pps": "brewer"}, r"name their column as the first fpc"),
        ({"p": [2.0, 0.4, 0.6]}, {"pps": "brewer", "fpc": "p"}, r"above 1 \(2\) in 1 rows"),
        ({}, {"pps": "brewr", "fpc": "p"}, r"Did you mean 'brewer'\?"),
        ({}, {"pps": 3, "fpc": "p"}, r"got int"),
        ({}, {"pps": np.eye(2)}, r"expected a 3 by 3 matrix .* got shape \(2, 2\)"),
        ({}, {"pps": np.eye(3) * 0.5}, r"6 joint probabilities cannot be .* units 'x' and 'y', 0 with 0.5 and 0.5"),
        ({}, {"pps": JOINT + np.triu(np.full((3, 3), 0.05), 1)}, r"symmetric"),
        ({}, {"pps": np.full((3, 3), np.nan)}, r"cannot be"),
        ({}, {"pps": JOINT.astype(str)}, r"must be numbers"),
        ({"p": [0.5, 0.4, 0.7]}, {"pps": JOINT, "fpc": "p"}, r"differ for 1 of 3 units \(first: 0.7 and 0.6\)"),
        ({}, {"pps": pd.DataFrame(JOINT, index=list("xyw"), columns=list("xyw"))}, r"rows .* lack 1 .*\['z'\]"),
        ({}, {"pps": "brewer", "fpc": "p", "pps_variance": "yates_grundy"}, r"needs joint probabilities"),
        ({}, {"pps": JOINT, "pps_variance": "yates"}, r"one of 'horvitz_thompson', 'yates_grundy', got 'yates'"),
        ({}, {"pps": JOINT, "lonely_psu": "average"}, r"not defined where pairs of PSUs"),
        ({"p": [0.5, 1.0, 1.0]}, {"pps": "hartley_rao", "fpc": "p"}, r"single sampled unit"),
    ],
)
def test_what_cannot_be_is_refused(changes, arguments, message):
    with pytest.raises(DesignError, match=message):
        ev.survey_design(three().assign(**changes), psu="id", **arguments)
