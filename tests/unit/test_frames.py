"""Two samples as one design: what is kept of each, how people of both frames are shared out, and what is refused."""

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, DesignError

HAND = 1e-12
#: Central differences of a raking that stops at 1e-10.
NUMERICAL = 1e-6


def roster_frame():
    rng = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "office": np.repeat(["n", "s"], 30),
            "w": rng.uniform(1, 3, 60),
            "sex": rng.choice(["f", "m"], 60),
            "age": rng.choice(["old", "young"], 60),
            "trust": rng.normal(6, 2, 60),
            "takes_part": True,
            "n_office": 200,
        }
    )


def citizens_frame():
    rng = np.random.default_rng(8)
    return pd.DataFrame(
        {
            "district": np.repeat(["a", "b", "c"], 40),
            "block": np.repeat(range(12), 10),
            "weight": rng.uniform(5, 20, 120),
            "sex": rng.choice(["f", "m"], 120),
            "age": rng.choice(["old", "young"], 120),
            "trust": rng.normal(5, 2, 120),
            "takes_part": rng.random(120) < 0.3,
        }
    )


def roster():
    return ev.survey_design(roster_frame(), weights="w", strata="office", fpc="n_office")


def citizens():
    return ev.survey_design(citizens_frame(), weights="weight", strata="district", psu="block")


def joined(**how):
    return ev.join_frames({"roster": roster(), "citizens": citizens()}, **how)


def adjusted():
    """Both frames with a chain of their own."""
    office = ev.rake(roster(), ev.margins({"sex": {"f": 70.0, "m": 60.0}, "age": {"old": 50.0, "young": 80.0}}))
    towns = ev.poststratify(citizens(), ev.margins({"sex": {"f": 800.0, "m": 700.0}}))
    towns = ev.calibrate(towns, ev.margins({"sex": {"f": 820.0, "m": 680.0}, "age": {"old": 600.0, "young": 900.0}}))
    return office, towns


def test_every_number_of_a_frame_is_what_its_own_design_says():
    together = joined(overlap=False)
    by_frame = ev.survey_mean(together, "trust", by="frame")
    alone = [ev.survey_mean(design, "trust") for design in (roster(), citizens())]
    assert by_frame.keys["frame"].tolist() == ["roster", "citizens"]
    assert by_frame.estimate == pytest.approx([one.estimate[0] for one in alone], rel=HAND)
    assert by_frame.std_error == pytest.approx([one.std_error[0] for one in alone], rel=HAND)
    assert by_frame.df.tolist() == [one.df[0] for one in alone]
    assert by_frame.vcov[0, 1] == 0


def test_a_contrast_of_frames_is_the_difference_of_independent_samples():
    means = ev.survey_mean(joined(overlap=False), "trust", by="frame")
    gap = ev.contrast(means, {"gap": {"trust | frame=roster": 1, "trust | frame=citizens": -1}})
    apart = ev.independent_difference(ev.survey_mean(roster(), "trust"), ev.survey_mean(citizens(), "trust"))
    assert gap.estimate[0] == pytest.approx(apart.estimate[0], rel=HAND)
    assert gap.std_error[0] == pytest.approx(apart.std_error[0], rel=HAND)


def test_chains_keep_their_variance_exactly():
    office, towns = adjusted()
    together = ev.join_frames({"roster": office, "citizens": towns}, overlap=False)
    by_frame = ev.survey_mean(together, "trust", by="frame")
    alone = [ev.survey_mean(design, "trust").std_error[0] for design in (office, towns)]
    assert by_frame.std_error == pytest.approx(alone, rel=1e-10)
    assert together.history["step"].tolist() == ["design weights", "rake", "poststratify", "calibrate"]
    assert "frame: roster" in together.history["arguments"][1]


@pytest.mark.parametrize("linearization", ["exact", "r"])
def test_both_conventions_of_a_chain_are_kept(linearization):
    office = ev.survey_design(roster_frame(), weights="w", strata="office", fpc="n_office", linearization=linearization)
    office = ev.rake(office, ev.margins({"sex": {"f": 70.0, "m": 60.0}, "age": {"old": 50.0, "young": 80.0}}))
    towns = ev.survey_design(citizens_frame(), weights="weight", psu="block", linearization=linearization)
    together = ev.join_frames({"roster": office, "citizens": towns}, overlap=False)
    by_frame = ev.survey_total(together, "trust", by="frame")
    alone = [ev.survey_total(design, "trust").std_error[0] for design in (office, towns)]
    assert by_frame.std_error == pytest.approx(alone, rel=1e-10)


def test_influence_through_both_chains_and_a_common_one_is_the_derivative():
    office, towns = adjusted()
    together = ev.join_frames({"roster": office, "citizens": towns}, overlap="takes_part", share=0.4)
    final = ev.rake(together, ev.margins({"sex": {"f": 750.0, "m": 700.0}, "age": {"old": 650.0, "young": 800.0}}))
    y = final.data["trust"].to_numpy()

    def mean(weights):
        for applied in final.steps:
            weights = applied.step.replay(weights)
        return (weights * y).sum() / weights.sum()

    influence = ev.survey_mean(final, "trust").influence[:, 0]
    for row in (0, 31, 60, 75, 179):
        step = np.zeros(len(final))
        step[row] = 1e-4
        up, down = (mean(final.base_weights * (1 + sign * step)) for sign in (1, -1))
        assert influence[row] == pytest.approx((up - down) / 2e-4, rel=NUMERICAL, abs=1e-9)


def test_replicates_repeat_every_frames_chain_on_its_own_rows():
    office, towns = adjusted()
    together = ev.join_frames({"roster": office, "citizens": towns}, overlap="takes_part", share=0.5)
    replicated = ev.as_replicates(together, kind="bootstrap", replicates=40, seed=3)
    weights = np.array(list(replicated.replicate_weights()))
    own = weights[:, :60] * np.where(together.data["takes_part"][:60], 2.0, 1.0)
    female = (together.data["sex"] == "f").to_numpy()
    assert own[:, female[:60]].sum(axis=1) == pytest.approx(np.full(40, 70.0), rel=1e-8)
    means = ev.survey_mean(replicated, "trust", by="frame")
    by_hand = [(w[60:] * together.data["trust"][60:]).sum() / w[60:].sum() for w in weights]
    assert means.contributions[:-1, 1] == pytest.approx(by_hand, rel=1e-9)


def test_sharing_out_by_hand():
    together = joined(overlap="takes_part", share=0.25)
    flagged = citizens_frame()["takes_part"].to_numpy()
    expected = np.concatenate([roster_frame()["w"] * 0.25, np.where(flagged, 0.75, 1.0) * citizens_frame()["weight"]])
    assert together.weights == pytest.approx(expected, rel=HAND)
    total = ev.survey_total(together, "trust")
    first = ev.survey_total(roster(), "trust").vcov[0, 0] * 0.25**2
    town = citizens_frame().assign(part=lambda d: d["trust"] * np.where(d["takes_part"], 0.75, 1.0))
    second = ev.survey_total(ev.survey_design(town, weights="weight", strata="district", psu="block"), "part").vcov[
        0, 0
    ]
    assert total.vcov[0, 0] == pytest.approx(first + second, rel=HAND)
    assert total.df[0] == 58 + 9


def test_effective_shares_follow_the_effective_sizes_of_the_flagged():
    def effective(weights):
        return weights.sum() ** 2 / (weights**2).sum()

    ours = effective(roster_frame()["w"])
    theirs = effective(citizens_frame().loc[lambda d: d["takes_part"], "weight"])
    together = joined(overlap="takes_part", share="effective")
    assert together.weights[0] / roster_frame()["w"][0] == pytest.approx(ours / (ours + theirs), rel=HAND)


def test_rules_and_stages_of_each_frame_stay_its_own():
    lonely = roster_frame().iloc[:31]
    office = ev.survey_design(lonely, weights="w", strata="office", lonely_psu="centre")
    two = citizens_frame().assign(n_block=20, person=range(120), n_person=50)
    towns = ev.survey_design(two, weights="weight", psu=["block", "person"], fpc=["n_block", "n_person"])
    together = ev.join_frames({"roster": office, "citizens": towns}, overlap=False)
    by_frame = ev.survey_total(together, "trust", by="frame")
    alone = [ev.survey_total(design, "trust").std_error[0] for design in (office, towns)]
    assert by_frame.std_error == pytest.approx(alone, rel=HAND)
    assert together.degrees_of_freedom() == office.degrees_of_freedom() + towns.degrees_of_freedom()


def test_unequal_probabilities_of_one_frame_stay():
    frame = roster_frame().assign(p=np.linspace(0.1, 0.6, 60))
    office = ev.survey_design(frame, fpc="p", pps="hartley_rao")
    together = ev.join_frames({"roster": office, "citizens": citizens()}, overlap=False)
    by_frame = ev.survey_total(together, "trust", by="frame")
    assert by_frame.std_error[0] == pytest.approx(ev.survey_total(office, "trust").std_error[0], rel=HAND)
    with pytest.raises(DesignError, match="no replicates carry"):
        ev.as_replicates(together, kind="bootstrap", replicates=10, seed=1)


def test_domains_of_the_frames_are_kept():
    women = ev.domain(citizens(), {"sex": "f"})
    together = ev.join_frames({"roster": roster(), "citizens": women}, overlap=False)
    by_frame = ev.survey_mean(together, "trust", by="frame")
    assert by_frame.estimate[1] == pytest.approx(ev.survey_mean(women, "trust").estimate[0], rel=HAND)
    assert by_frame.n_obs[1] == int((citizens_frame()["sex"] == "f").sum())


def test_columns_of_one_frame_are_missing_in_the_other_and_levels_are_put_together():
    one = roster_frame().assign(kind=pd.Categorical(["x"] * 60))
    other = citizens_frame().assign(kind=pd.Categorical(["y"] * 120))
    together = ev.join_frames(
        {
            "roster": ev.survey_design(one, weights="w"),
            "citizens": ev.survey_design(other, weights="weight"),
        },
        overlap=False,
        frame="source",
    )
    assert together.data["kind"].cat.categories.tolist() == ["x", "y"]
    assert together.data["district"].isna().sum() == 60
    assert together.data["source"].value_counts().to_dict() == {"citizens": 120, "roster": 60}


def test_the_card_tells_the_frames_apart_in_order():
    text = joined(overlap="takes_part", share=0.5).summary()
    assert "roster: 60 PSUs (one respondent each), 2 strata (office), fpc (n_office); citizens: 12 PSUs" in text
    assert "weights: roster: w, citizens: weight → shared out between frames" in text
    assert "step 1: shared out between frames (overlap: takes_part; share: 0.5)" in text


def test_joining_three_frames_that_are_apart():
    frames = {name: ev.survey_design(pd.DataFrame({"y": [1.0, 2, 4 + k]})) for k, name in enumerate("abc")}
    together = ev.join_frames(frames, overlap=False)
    alone = [ev.survey_mean(design, "y").std_error[0] for design in frames.values()]
    assert ev.survey_mean(together, "y", by="frame").std_error == pytest.approx(alone, rel=HAND)
    twice = ev.join_frames({"ab": together, "d": roster()}, overlap=False, frame="source")
    assert ev.survey_mean(twice, "y").std_error == pytest.approx(ev.survey_mean(together, "y").std_error, rel=HAND)


def without(design, **changes):
    return ev.survey_design(design.data.assign(**changes), weights="weight")


@pytest.mark.parametrize(
    ("frames", "how", "error", "message"),
    [
        ({}, {}, DesignError, r"say whether people can be reached through more than one frame"),
        ({}, {"overlap": True}, DesignError, r"say whether people"),
        ({}, {"overlap": "takes_part"}, DesignError, r"60 of 'roster', \d+ of 'citizens'.* Share them out"),
        ({}, {"overlap": False, "share": 0.5}, DesignError, r"overlap=False says none are"),
        (
            {},
            {"overlap": "take_part", "share": 0.5},
            ColumnError,
            r"no column 'take_part' .* Did you mean 'takes_part'",
        ),
        ({}, {"overlap": "takes_part", "share": 1.5}, DesignError, r"between 0 and 1, or be 'effective', got 1.5"),
        ({}, {"overlap": "takes_part", "share": "kish"}, DesignError, r"got 'kish'"),
        ({}, {"overlap": "sex", "share": 0.5}, ColumnError, r"must be true or false .* 60 of 60 .* of 'roster'"),
        ({"citizens": "nobody"}, {"overlap": "takes_part", "share": 0.5}, DesignError, r"nobody of frame 'citizens'"),
        ({"citizens": "replicates"}, {"overlap": False}, DesignError, r"frame 'citizens' carries replicates"),
        ({"citizens": "convention"}, {"overlap": False}, DesignError, r"\{'roster': 'exact', 'citizens': 'r'\}"),
        ({"citizens": "text"}, {"overlap": False}, ColumnError, r"'trust' is numbers in 'roster', text in 'citizens'"),
        ({"citizens": "frame"}, {"overlap": False}, ColumnError, r"have a column 'frame' already"),
        ({"citizens": "none"}, {"overlap": False}, DesignError, r"needs two designs or more"),
        ({"citizens": "data"}, {"overlap": False}, DesignError, r"join_frames needs a design, got DataFrame"),
    ],
)
def test_what_cannot_be_joined_is_refused(frames, how, error, message):
    kinds = {
        "nobody": lambda: without(citizens(), takes_part=False),
        "replicates": lambda: ev.as_replicates(citizens(), kind="JKn"),
        "convention": lambda: ev.survey_design(citizens_frame(), weights="weight", linearization="r"),
        "text": lambda: without(citizens(), trust="much"),
        "frame": lambda: without(citizens(), frame=1),
        "data": citizens_frame,
        "": citizens,
    }
    chosen = frames.get("citizens", "")
    given = {"roster": roster()} if chosen == "none" else {"roster": roster(), "citizens": kinds[chosen]()}
    with pytest.raises(error, match=message):
        ev.join_frames(given, **how)


def test_an_overlap_column_that_shows_none_needs_no_share():
    apart = ev.survey_design(roster_frame().assign(takes_part=0), weights="w")
    none = without(citizens(), takes_part=0)
    together = ev.join_frames({"roster": apart, "citizens": none}, overlap="takes_part")
    assert together.steps == ()
