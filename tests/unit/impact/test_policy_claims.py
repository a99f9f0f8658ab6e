"""What may be written of a policy: the interval is that of the rule in charge, and what bears no claim is refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation import project
from evaluation.declared.policies import DeclaredPolicy
from evaluation.errors import EstimationError, PublishError, SharedTreatmentWarning
from evaluation.prespecification import PolicyPlan
from evaluation.specification import Text

TITLE = Text(ko="정책", en="policy")
PLAN = PolicyPlan(title=TITLE, outcome="y", design="d", time="year", cohort="first", cluster="gu")


def question(treated=8, districts=20, binary=False, seed=3):
    rng = np.random.default_rng(seed)
    n = 4000
    frame = pd.DataFrame({"gu": rng.integers(0, districts, n), "year": rng.integers(2012, 2018, n)})
    frame["first"] = np.where(frame["gu"] < treated, 2015, 0)
    started = (frame["first"] > 0) & (frame["year"] >= frame["first"])
    frame["y"] = (rng.random(n) < 0.4 + 0.1 * started) * 1.0 if binary else rng.normal(0.5 * started)
    return DeclaredPolicy("p", PLAN, ev.survey_design(frame))


def asked(policy, **changed):
    waves = ev.panel(policy.design, time="year")
    effects = ev.att_gt(waves, **(policy.effects | changed))
    overall = ev.aggregate(effects)
    return overall, ev.pretrend_test(ev.aggregate(effects, type="dynamic"))


@pytest.fixture(autouse=True)
def english(monkeypatch):
    monkeypatch.setattr(project, "language", lambda: "en")


@pytest.mark.parametrize("binary", [False, True])
def test_with_many_districts_the_sentence_holds_the_jackknife_interval(binary):
    policy = question(binary=binary)
    overall, leads = asked(policy)
    evidence = ev.policy_evidence(policy, overall, leads=leads, headline=ev.headline_inference(overall, seed=1))
    assert (evidence.low, evidence.high) == pytest.approx(tuple(overall.confidence_interval()[0]))
    assert " to " in repr(evidence).splitlines()[0]
    assert ("percentage points" in repr(evidence)) == binary


def test_with_few_treated_districts_the_sentence_has_a_p_value_and_no_interval():
    policy = question(treated=3)
    overall, leads = asked(policy)
    headline = ev.headline_inference(overall, draws=99, seed=1)
    assert headline.method == "ri_coefficient"
    evidence = ev.policy_evidence(policy, overall, leads=leads, headline=headline)
    assert np.isnan(evidence.low)
    first = repr(evidence).splitlines()[0]
    assert "no interval" in first
    assert f"{headline.p_value:.3f}" in first
    assert "신뢰구간 없음" in evidence.overall.fit["sentence_ko"]


def test_errors_that_take_people_of_a_district_as_independent_bear_no_claim():
    policy = question()
    overall, leads = asked(policy)
    flagged = replace(overall, fit={**overall.fit, "refused_in_claims": True})
    with pytest.raises(EstimationError, match="no claim may rest on"):
        ev.policy_evidence(policy, flagged, leads=leads)
    waves = ev.panel(policy.design, time="year")
    sampling = ev.aggregate(ev.att_gt(waves, **(policy.effects | {"cluster": None})))
    with pytest.raises(EstimationError, match="no claim may rest on"):
        ev.policy_evidence(policy, sampling, leads=leads)


def test_iid_errors_are_not_published(tmp_path, monkeypatch):
    monkeypatch.setenv("EVALUATION_RUN", str(tmp_path))
    policy = question()
    design = replace(policy.design, data=policy.design.data.assign(d=lambda f: (f["first"] > 0) * (f["year"] >= 2015)))
    with pytest.warns(SharedTreatmentWarning):
        found = ev.twfe(design, outcome="y", treatment="d", unit="gu", time="year", vcov="iid")
    for item in (found, ev.table(found), ev.plot(found)):
        with pytest.raises(PublishError, match="independent"):
            ev.publish("effect", item)
