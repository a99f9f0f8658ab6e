"""Strata with one PSU: what each rule does, in whole samples, in domains and at later stages."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation import project
from evaluation.errors import DesignError, EstimationError, StudyError

HAND = 1e-12
ESTIMATE, ERROR = 1e-8, 1e-6
ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "tests" / "reference" / "survey"
RULES = {"remove": "remove", "certainty": "remove", "adjust": "centre", "average": "average"}


def lonely_items():
    items = json.loads((REFERENCE / "expected.json").read_text(encoding="utf-8"))["items"]
    return [item for item in items if item["capability"].startswith("lonely_psu_")]


@pytest.fixture(scope="module")
def districts():
    return pd.read_csv(REFERENCE / "own_lonely.csv")


def people():
    """Two PSUs in a and b, one in c; totals 10, 30 | 20, 60 | 50 of y with weight 1."""
    return pd.DataFrame(
        {
            "stratum": list("aabbc"),
            "psu": [1, 2, 3, 4, 5],
            "w": 1.0,
            "y": [10.0, 30, 20, 60, 50],
            "kind": list("uvuuu"),
        }
    )


def declared(frame=None, **rules):
    return ev.survey_design(people() if frame is None else frame, weights="w", strata="stratum", psu="psu", **rules)


def asked(design, call):
    if "subset" in call:
        return ev.survey_mean(ev.domain(design, {"stype": "H"}), "api00")
    return ev.survey_total(design, "api.stu") if "svytotal" in call else ev.survey_mean(design, ["api00", "meals"])


@pytest.mark.parametrize("item", lonely_items(), ids=lambda item: item["id"])
def test_the_rules_are_those_of_r(item, districts):
    rule = RULES[item["capability"].removeprefix("lonely_psu_")]
    design = ev.survey_design(
        districts,
        weights="wt",
        strata="stratum",
        psu="dnum",
        nested=True,
        lonely_psu=rule,
        lonely_domains="domain = TRUE" in item["R_call"],
    )
    found, expected = asked(design, item["R_call"]), item["expect"]
    assert found.estimate == pytest.approx(list(expected["estimate"].values()), rel=ESTIMATE)
    assert found.std_error == pytest.approx(list(expected["se"].values()), rel=ERROR)
    if "vcov" in expected:
        assert found.vcov == pytest.approx(np.array(expected["vcov"]["values"]), rel=ERROR)


def test_all_reference_items_are_there():
    assert len(lonely_items()) == 24


def test_without_a_rule_they_are_refused_by_name_and_the_rules_are_told():
    with pytest.raises(DesignError, match=r"1 strata of 'stratum' have .* \(c\).* lonely_psu='remove'") as caught:
        declared()
    assert caught.value.failures.index.tolist() == [4]


@pytest.mark.parametrize(
    ("rule", "variance"),
    [
        # a: 2 * (10² + 10²), b: 2 * (20² + 20²); c about the mean 34 of all PSUs; c as the mean of a and b
        ("remove", 400 + 1600),
        ("centre", 400 + 1600 + (50 - 34) ** 2),
        ("average", (400 + 1600) * 3 / 2),
    ],
)
def test_each_rule_by_hand(rule, variance):
    total = ev.survey_total(declared(lonely_psu=rule), "y")
    assert total.vcov[0, 0] == pytest.approx(variance, rel=HAND)
    assert total.df[0] == 2


@pytest.mark.parametrize(
    ("rule", "within", "variance"),
    [
        # of a, one PSU has somebody in u: total 10 and 0 as before, or under the rule
        ("centre", False, 2 * (5**2 + 5**2) + 1600 + (50 - 28) ** 2),
        ("centre", True, 2 * ((10 - 28) ** 2 + 28**2) + 1600 + (50 - 28) ** 2),
        ("average", False, (100 + 1600) * 3 / 2),
        ("average", True, 1600 * 3 / 1),
        ("remove", True, 100 + 1600),
    ],
)
def test_domains_follow_the_rule_if_asked_to(rule, within, variance):
    design = declared(lonely_psu=rule, lonely_domains=within)
    by_domain = ev.survey_total(ev.domain(design, {"kind": "u"}), "y")
    by_group = ev.survey_total(design, "y", by="kind")
    assert by_domain.vcov[0, 0] == pytest.approx(variance, rel=HAND)
    assert by_group.vcov[0, 0] == pytest.approx(variance, rel=HAND)


def test_where_every_stratum_is_alone_there_is_no_average_to_take():
    alone = people().drop_duplicates("stratum")
    assert np.isnan(ev.survey_total(declared(alone, lonely_psu="average"), "y").std_error[0])


def test_certainty_is_never_lonely():
    frame = people().assign(population=[10, 10, 10, 10, 1])
    plain = declared(frame, fpc="population")
    ruled = declared(frame, fpc="population", lonely_psu="centre")
    assert ev.survey_total(plain, "y").vcov[0, 0] == pytest.approx(0.8 * 2000, rel=HAND)
    assert ev.survey_total(ruled, "y").vcov == pytest.approx(ev.survey_total(plain, "y").vcov, rel=HAND)


def two_stages(**rules):
    frame = pd.DataFrame(
        {
            "psu": [1, 1, 2, 2, 3],
            "person": range(5),
            "w": 1.0,
            "y": [1.0, 3, 2, 8, 6],
            "n_psu": 6,
            "n_person": 4,
        }
    )
    return ev.survey_design(frame, weights="w", psu=["psu", "person"], fpc=["n_psu", "n_person"], **rules)


def test_a_lonely_unit_of_a_later_stage_is_refused_too():
    with pytest.raises(DesignError, match="1 stage-1 units have a single sampled unit"):
        two_stages()


@pytest.mark.parametrize(
    ("rule", "later"),
    [
        # half of the PSUs were drawn; within them 2 of 4, 2 of 4 and 1 of 4 people; the mean of all y is 4
        ("remove", 0.5 * (0.5 * 2 * 2 + 0.5 * 2 * 18)),
        ("centre", 0.5 * (0.5 * 2 * 2 + 0.5 * 2 * 18 + 0.75 * (6 - 4) ** 2)),
        ("average", 0.5 * (0.5 * 2 * 2 + 0.5 * 2 * 18) * 3 / 2),
    ],
)
def test_rules_hold_at_later_stages(rule, later):
    totals = np.array([4.0, 10, 6])
    first = 0.5 * 3 / 2 * ((totals - totals.mean()) ** 2).sum()
    found = ev.survey_total(two_stages(lonely_psu=rule), "y")
    assert found.vcov[0, 0] == pytest.approx(first + later, rel=HAND)


def test_contrasts_and_models_rest_on_the_rule(districts):
    def design(rule):
        return ev.survey_design(districts, weights="wt", strata="stratum", psu="dnum", nested=True, lonely_psu=rule)

    by_rule = {}
    for rule in ("remove", "average"):
        means = ev.survey_mean(design(rule), "api00", by="stype")
        difference = ev.contrast(means, {"gap": {"api00 | stype=H": 1, "api00 | stype=E": -1}})
        model = ev.survey_glm(design(rule), outcome="api00", covariates="meals")
        by_rule[rule] = (difference.std_error[0], model.std_error[1])
    assert by_rule["average"][0] > by_rule["remove"][0]
    assert by_rule["average"][1] == pytest.approx(by_rule["remove"][1] * np.sqrt(12 / 10), rel=1e-9)


def test_results_of_two_rules_are_not_joined(districts):
    def mean(rule, variable):
        design = ev.survey_design(districts, weights="wt", strata="stratum", psu="dnum", nested=True, lonely_psu=rule)
        return ev.survey_mean(design, variable)

    with pytest.raises(EstimationError, match="different designs"):
        ev.contrast([mean("remove", "api00"), mean("centre", "api99")], {"change": {"api00": 1, "api99": -1}})


def test_the_rule_stands_on_the_card_in_both_languages(monkeypatch):
    design = declared(lonely_psu="centre", lonely_domains=True)
    assert "strata with one PSU: about the mean of all PSUs (in domains too)" in design.summary()
    monkeypatch.setattr(project, "_language", "ko")
    assert "PSU가 하나인 층: 전체 PSU 평균 기준 (부분모집단에도 적용)" in design.summary()


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"lonely_psu": "center"}, r"got 'center'\. Did you mean 'centre'\?"),
        ({"lonely_domains": True}, r"lonely_psu='fail' is none"),
    ],
)
def test_rules_that_do_not_exist_are_refused(rules, message):
    with pytest.raises(DesignError, match=message):
        declared(**rules)


@pytest.mark.parametrize("rule", ["centre", "average"])
def test_replicates_cannot_carry_what_they_do_not_know(rule):
    with pytest.raises(DesignError, match=f"lonely_psu='{rule}'"):
        ev.as_replicates(declared(lonely_psu=rule), kind="JKn")


def test_replicates_without_those_strata_agree_with_removing_them():
    design = declared(lonely_psu="remove")
    replicated = ev.survey_total(ev.as_replicates(design, kind="JKn"), "y")
    assert replicated.std_error == pytest.approx(ev.survey_total(design, "y").std_error, rel=HAND)


@pytest.fixture
def project_copy(tmp_path, monkeypatch):
    for name in ("pyproject.toml", "params", "surveys"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    monkeypatch.setenv("EVALUATION_PROJECT", str(tmp_path))
    monkeypatch.delenv("EVALUATION_RUN", raising=False)
    return tmp_path


def rewrite(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_a_study_declares_the_rule(project_copy):
    counties = "\n  by_county: {sample: apiclus1, weights: pw, strata: cname, psu: dnum, "
    rewrite(project_copy / "params" / "api_2000.yml", "\ndesigns:", "\ndesigns:" + counties + "lonely_psu: average}")
    design = ev.study_design("api_2000", "by_county")
    survey = ev.read_survey("api_2000", sample="apiclus1")
    by_hand = ev.survey_design(survey, weights="pw", strata="cname", psu="dnum", lonely_psu="average")
    assert ev.survey_mean(design, "api00").std_error == ev.survey_mean(by_hand, "api00").std_error
    rewrite(project_copy / "params" / "api_2000.yml", "lonely_psu: average", "lonely_psu: fail")
    with pytest.raises(DesignError, match=r"design 'by_county': \d+ strata of 'cname' have a single"):
        ev.study_design("api_2000", "by_county")
    rewrite(project_copy / "params" / "api_2000.yml", "lonely_psu: fail", "lonely_psu: mean")
    with pytest.raises(StudyError, match="lonely_psu"):
        ev.study_design("api_2000", "by_county")


def test_a_survey_file_declares_the_rule_and_the_call_overrides_it(project_copy):
    file = project_copy / "surveys" / "api_2000" / "survey.yml"
    rewrite(file, "{weights: pw, psu: dnum, fpc: fpc}", "{weights: pw, strata: cname, psu: dnum, lonely_psu: remove}")
    survey = ev.read_survey("api_2000", sample="apiclus1")
    assert ev.survey_design(survey).sampling.rules.lonely_psu == "remove"
    assert ev.survey_design(survey, lonely_psu="centre").sampling.rules.lonely_psu == "centre"
    assert ev.survey_design(survey, weights="pw", psu="dnum").sampling.rules.lonely_psu == "fail"


def test_a_study_declares_unequal_probabilities(project_copy):
    unequal = "\n  unequal: {sample: apiclus1, weights: pw, psu: dnum, fpc: 0.2, pps: hartley_rao, "
    rewrite(
        project_copy / "params" / "api_2000.yml", "\ndesigns:", "\ndesigns:" + unequal + "pps_variance: yates_grundy}"
    )
    rules = ev.study_design("api_2000", "unequal").sampling.rules
    assert (rules.pps, rules.pps_variance) == ("hartley_rao", "yates_grundy")


def test_a_design_that_continues_another_cannot_change_its_rule(project_copy):
    rewrite(
        project_copy / "params" / "api_2000.yml",
        "\ndesigns:",
        "\ndesigns:\n  changed: {from: clus1, lonely_psu: centre}",
    )
    with pytest.raises(StudyError, match=r"continues another design; \['lonely_psu'\] belong to that one"):
        ev.study_design("api_2000", "changed")
