"""Final dispositions and AAPOR's outcome rates."""

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, EstimationError
from evaluation.estimation.dispositions import RATES
from evaluation.survey.dispositions import CATEGORIES, aapor_category

TIGHT = 1e-12
#: Central differences.
DERIVATIVE = 1e-6
COUNTS = {"I": 4, "P": 2, "R": 1, "NC": 1, "O": 1, "UH": 1, "UO": 1, "NE": 1}
CODES = {"I": 1.1, "P": 1.2, "R": 2.11, "NC": 2.2, "O": 2.31, "UH": 3.1, "UO": 3.9, "NE": 4.7}


def cases(counts=COUNTS):
    return pd.DataFrame({"result": np.repeat(list(counts), list(counts.values()))})


def rates(sample, **options):
    return ev.response_rates(sample, disposition="result", **options).tidy().set_index("term")["estimate"]


def test_rates_are_those_of_the_definitions():
    by_hand = {
        "RR1": 4 / 11,
        "RR2": 6 / 11,
        "RR3": 4 / (9 + 0.9 * 2),
        "RR4": 6 / (9 + 0.9 * 2),
        "RR5": 4 / 9,
        "RR6": 6 / 9,
        "COOP1": 4 / 8,
        "COOP2": 6 / 8,
        "COOP3": 4 / 7,
        "COOP4": 6 / 7,
        "REF1": 1 / 11,
        "REF2": 1 / (9 + 0.9 * 2),
        "REF3": 1 / 9,
        "CON1": 8 / 11,
        "CON2": 8 / (9 + 0.9 * 2),
        "CON3": 8 / 9,
    }
    found = rates(cases())
    assert found.index.tolist() == list(RATES)
    assert found.to_dict() == pytest.approx(by_hand, rel=TIGHT)


def test_rates_agree_with_a_published_run_of_outcomerate():
    published = "0.364 0.545 0.370 0.556 0.444 0.667 0.500 0.750 0.571 0.857 0.091 0.093 0.111 0.727 0.741 0.889"
    assert [f"{rate:.3f}" for rate in rates(cases())] == published.split()
    weighted = pd.DataFrame({"result": ["I", "P", "I", "UO", "R", "I", "NC", "I", "O", "P", "UH"]})
    weighted["w"] = [1.3] * 6 + [2.5] * 5
    found = rates(ev.survey_design(weighted, weights="w"))
    assert (round(found["RR2"], 2), round(found["CON1"], 2)) == (0.50, 0.69)


@pytest.mark.parametrize("form", [float, lambda code: f"{code:.2f}", lambda code: f"{code:.1f}" if code < 2 else code])
def test_the_code_numbers_of_aapor_are_understood(form):
    data = cases()
    coded = data.assign(result=[form(CODES[category]) for category in data["result"]])
    pd.testing.assert_series_equal(rates(coded), rates(data))


def test_every_code_number_lies_in_a_category():
    assert [aapor_category(code) for code in (1.1, "1.10", 1.2, 2.1, 2.12, "2.112", 2.2, 2.3, 2.9)] == (
        ["I", "I", "P", "R", "R", "R", "NC", "O", "O"]
    )
    assert {aapor_category(code) for code in (3.2, 3.3, 3.4, 3.9)} == {"UO"}
    assert {aapor_category(code) for code in (4, 4.1, "4.50", 4.9)} == {"NE"}
    assert {aapor_category(code) for code in (0, 1, 2, 3, 5.1, 2.5, 1.9, "x", "11", None)} == {None}


def test_codes_of_ones_own_are_explained():
    data = cases()
    numbers = {category: place for place, category in enumerate(CATEGORIES, start=10)}
    words = ["complete", "partial", "refusal", "noncontact", "other", "unknown", "unknown other", "ineligible"]
    own = data.assign(result=data["result"].map(numbers))
    for meanings in (CATEGORIES, words, [CODES[category] for category in CATEGORIES]):
        codes = dict(zip(numbers.values(), meanings, strict=True))
        pd.testing.assert_series_equal(rates(own, codes=codes), rates(data))


def test_the_share_of_the_eligible_is_given_estimated_or_left_out():
    assert rates(cases(), e=1.0)["RR3"] == rates(cases())["RR1"]
    assert rates(cases(), e=0.0)["RR3"] == rates(cases())["RR5"]
    assert rates(cases(), e=0.5)["REF2"] == pytest.approx(1 / 10, rel=TIGHT)
    without = ev.response_rates(cases(), disposition="result", e=None)
    assert without.keys["term"].tolist() == [name for name in RATES if name not in ("RR3", "RR4", "REF2", "CON2")]
    shares = ev.response_rates(cases(), disposition="result").tidy().set_index("term")["e"]
    assert shares["RR3"] == pytest.approx(0.9, rel=TIGHT)
    assert np.isnan(shares["RR1"])


def clustered(seed=3, n=400):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "psu": np.repeat(np.arange(n // 8), 8),
            "stratum": np.repeat(["s", "t"], n // 2),
            "w": rng.uniform(1, 3, n),
            "area": rng.choice(["north", "south"], n),
            "result": rng.choice(CATEGORIES, n, p=[0.35, 0.05, 0.2, 0.1, 0.05, 0.1, 0.05, 0.1]),
        }
    )


def declared(frame):
    return ev.survey_design(frame, weights="w", psu="psu", strata="stratum")


@pytest.mark.parametrize("e", ["cases", 0.8])
def test_influence_is_the_numerical_derivative(e):
    frame = clustered()
    result = ev.response_rates(declared(frame), disposition="result", by="area", e=e)
    influence = result.influence
    by_unit = pd.DataFrame(influence).groupby(frame["psu"]).sum().to_numpy()
    np.testing.assert_allclose(by_unit, result.contributions, atol=TIGHT)
    for category in CATEGORIES:
        i = int(np.flatnonzero(frame["result"] == category)[0])
        moves = []
        for sign in (1, -1):
            moved = frame.copy()
            moved.loc[i, "w"] *= 1 + sign * 1e-5
            moves.append(ev.response_rates(declared(moved), disposition="result", by="area", e=e).estimate)
        numerical = (moves[0] - moves[1]) / 2e-5
        np.testing.assert_allclose(influence[i], numerical, atol=DERIVATIVE * np.abs(influence).max())


def test_a_rate_is_the_ratio_of_two_totals():
    frame = clustered().assign(i=lambda d: (d["result"] == "I") * 1.0, all=lambda d: (d["result"] != "NE") * 1.0)
    rate = ev.response_rates(declared(frame), disposition="result", by="area").tidy().query("term == 'RR1'")
    ratio = ev.survey_ratio(declared(frame), "i", "all", by="area").tidy()
    for column in ("estimate", "std_error", "df", "conf_low", "n_obs"):
        np.testing.assert_allclose(rate[column], ratio[column], rtol=1e-10)


def test_replicates_estimate_rates_and_share_again():
    plain = declared(clustered())
    taylor, jackknife = (
        ev.response_rates(design, disposition="result", by="area")
        for design in (plain, ev.as_replicates(plain, kind="JKn"))
    )
    np.testing.assert_allclose(jackknife.estimate, taylor.estimate, rtol=TIGHT)
    np.testing.assert_allclose(jackknife.std_error, taylor.std_error, rtol=0.03)


def test_unweighted_rates_count_cases_and_keep_the_design():
    frame = clustered()
    unweighted = ev.response_rates(declared(frame), disposition="result", weighted=False)
    counted = frame["result"].value_counts()
    eligible = counted.drop("NE").sum()
    assert unweighted.estimate[0] == pytest.approx(counted["I"] / eligible, rel=TIGHT)
    assert unweighted.df[0] == 48
    assert unweighted.fit["n_I"] == counted["I"]
    alone = ev.response_rates(frame, disposition="result")
    np.testing.assert_allclose(alone.estimate, unweighted.estimate, rtol=TIGHT)
    assert alone.std_error[0] != pytest.approx(unweighted.std_error[0], rel=1e-3)


def test_groups_can_be_contrasted_with_their_covariance():
    found = ev.response_rates(declared(clustered()), disposition="result", by="area")
    gap = ev.contrast(found, {"gap": {"RR1 | area=north": 1, "RR1 | area=south": -1}})
    variance = found.vcov[0, 0] + found.vcov[1, 1] - 2 * found.vcov[0, 1]
    assert gap.std_error[0] == pytest.approx(np.sqrt(variance), rel=1e-10)


def test_an_empty_denominator_has_no_rate():
    found = rates(cases({"UH": 3, "NE": 1}))
    assert found["RR1"] == 0
    assert np.isnan(found[["RR5", "COOP1", "CON3"]]).all()


def test_codes_without_a_meaning_are_named_with_their_rows():
    data = pd.DataFrame({"result": [1.1, 2.1, 7.5, 7.5, 9.9]})
    with pytest.raises(ColumnError, match=r"7\.5 \(2 rows\), 9\.9 \(1 rows\); first in data rows 3, 4, 5") as caught:
        rates(data)
    assert caught.value.failures["result"].tolist() == [7.5, 7.5, 9.9]
    with pytest.raises(ColumnError, match=r"7\.5 \(2 rows\).*Add them to codes"):
        rates(data, codes={1.1: "I", 2.1: "R", 9.9: "NE"})
    with pytest.raises(ColumnError, match=r"missing in 1 of 3 rows that have a weight \(first: data row 2"):
        rates(pd.DataFrame({"result": ["I", None, "R"]}))
    with pytest.raises(ColumnError, match=r"'refusel'\. Did you mean 'refusal'"):
        rates(data, codes={1.1: "I", 2.1: "refusel"})
    with pytest.raises(ColumnError, match="two meanings"):
        rates(data, codes={1.1: "I", "1.10": "P"})


@pytest.mark.parametrize("e", [1.2, -0.1, True, "casro"])
def test_a_share_that_is_none_is_refused(e):
    with pytest.raises(EstimationError, match="e must be 'cases', a share from 0 to 1, or None"):
        rates(cases(), e=e)


def test_a_design_that_has_lost_its_nonrespondents_has_no_rates():
    codes = {"UH": "NC", "UO": "NC", **{name: name for name in ("I", "P", "R", "NC", "O", "NE")}}
    adjusted = ev.adjust_nonresponse(declared(clustered()), response="result", codes=codes)
    with pytest.raises(EstimationError, match="lost their weight in adjust_nonresponse"):
        rates(adjusted)
