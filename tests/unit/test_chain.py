"""Weighting chains written down and done again: on other data, from YAML, from study files."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

import evaluation as ev
from evaluation.errors import ColumnError, MarginError, StudyError, WeightingError
from evaluation.weighting.chain import VERBS

ROOT = Path(__file__).parents[2]
TIGHT = 1e-12


def frame(seed=2, n=300):
    rng = np.random.default_rng(seed)
    codes = rng.choice([1.1, 1.2, 2.1, 2.2, 3.1, 4.1], n, p=[0.5, 0.1, 0.15, 0.1, 0.1, 0.05])
    return pd.DataFrame(
        {
            "result": codes,
            "own": pd.Series(codes).map({1.1: 11, 1.2: 12, 2.1: 21, 2.2: 22, 3.1: 31, 4.1: 41}),
            "area": rng.choice(["north", "south"], n),
            "sex": rng.choice(["f", "m"], n),
            "age": rng.choice(["old", "young"], n),
            "x": rng.normal(size=n),
            "w": rng.uniform(1, 5, n),
            "psu": np.repeat(np.arange(n // 5), 5),
        }
    )


MARGINS = {"sex": {"f": 510, "m": 490}, "age": {"old": 470, "young": 530}}
CODES = {11: "I", 12: "P", 21: "refusal", 22: 2.2, 31: "unknown", 41: "ineligible"}


def declared(data):
    return ev.survey_design(data, weights="w", psu="psu")


def whole_chain(design):
    known = ev.adjust_unknown_eligibility(design, status="own", by="area", codes=CODES)
    answered = ev.adjust_nonresponse(known, response="own", by=("area", "sex"), codes=CODES)
    raked = ev.rake(answered, MARGINS)
    trimmed = ev.trim_weights(raked, upper=1.6, lower=0.5, margins=MARGINS)
    return ev.normalise_weights(ev.standardise(trimmed, by="age", over="sex", population={"old": 0.4, "young": 0.6}))


CHAINS = {
    "whole": whole_chain,
    "propensity": lambda d: ev.calibrate(
        ev.adjust_nonresponse(
            ev.adjust_unknown_eligibility(d, status="result"),
            response="result",
            covariates=["x", "area"],
            method="propensity_classes",
            classes=3,
            class_rate="mean_propensity",
        ),
        MARGINS,
        distance="logit",
        bounds=(0.3, 3.0),
    ),
    "inverse": lambda d: ev.trim_weights(
        ev.poststratify(
            ev.adjust_nonresponse(
                ev.adjust_unknown_eligibility(d, status="result"),
                response="result",
                covariates="~ x * area",
                method="inverse_propensity",
            ),
            {"sex": MARGINS["sex"]},
        ),
        upper=1.5,
        strict=False,
    ),
}


def written_and_read(chain):
    yaml = YAML(typ="safe", pure=True)
    stream = io.StringIO()
    yaml.dump(chain, stream)
    return yaml.load(stream.getvalue())


@pytest.mark.parametrize("name", sorted(CHAINS))
def test_a_chain_survives_yaml(name):
    design = CHAINS[name](declared(frame()))
    chain = design.chain()
    assert written_and_read(chain) == chain
    again = ev.replay_chain(declared(frame()), written_and_read(chain), margins=MARGINS)
    np.testing.assert_allclose(again.weights, design.weights, rtol=TIGHT)
    assert again.chain() == chain
    mean, same = (ev.survey_mean(one, "x", by="sex") for one in (design, again))
    np.testing.assert_allclose(same.std_error, mean.std_error, rtol=1e-9)


@pytest.mark.parametrize("kind", [bool, float, str])
def test_codes_mean_the_same_once_a_run_has_written_them_as_json(kind):
    data = frame().assign(said=lambda rows: (rows["result"] < 2).astype(kind))
    codes = {kind(True): "respondent", kind(False): "nonrespondent"}
    if kind is str:
        codes = {"True": "respondent", "False": "nonrespondent"}
    design = ev.adjust_nonresponse(declared(data), response="said", codes=codes)
    again = ev.replay_chain(declared(data), json.loads(json.dumps(design.chain())))
    np.testing.assert_allclose(again.weights, design.weights, rtol=TIGHT)


@pytest.mark.parametrize("name", sorted(CHAINS))
def test_a_design_is_a_chain_for_other_data(name):
    design = CHAINS[name](declared(frame()))
    fresh = declared(frame(seed=9))
    np.testing.assert_allclose(
        ev.replay_chain(fresh, design).weights, CHAINS[name](declared(frame(seed=9))).weights, rtol=TIGHT
    )
    new = {"sex": {"f": 520, "m": 580}, "age": {"old": 540, "young": 560}}
    with_new = ev.replay_chain(declared(frame()), design, margins=new)
    if name == "inverse":
        np.testing.assert_allclose(with_new.weights.sum(), 1100, rtol=TIGHT)
    if name == "propensity":
        reached = pd.Series(with_new.weights).groupby(frame()["age"]).sum()
        assert reached.to_dict() == pytest.approx(new["age"], rel=1e-9)


def test_a_chain_starts_from_where_the_design_stands():
    once = ev.rake(declared(frame()), MARGINS)
    twice = ev.replay_chain(once, [{"normalise_weights": None}, {"poststratify": {"margins": "sex"}}], margins=MARGINS)
    assert [applied.step.verb for applied in twice.steps] == ["rake", "normalise_weights", "poststratify"]
    np.testing.assert_allclose(twice.weights, once.weights, rtol=1e-9)


def test_every_weighting_verb_can_be_replayed():
    chain = [
        {"adjust_unknown_eligibility": {"status": "result"}},
        {"adjust_nonresponse": {"response": "result"}},
        {"poststratify": {"margins": ["sex"]}},
        {"rake": {"margins": ["sex", "age"]}},
        {"calibrate": {"margins": ["sex"], "distance": "raking"}},
        {"trim_weights": {"upper": 3.0}},
        {"standardise": {"by": "age", "population": {"old": 1, "young": 1}}},
        {"hold_composition": {"time": "age", "to": "old", "covariates": ["sex"]}},
        {"normalise_weights": {"to": 100}},
    ]
    done = ev.replay_chain(declared(frame()), chain, margins=ev.margins(MARGINS))
    assert sorted(applied.step.verb for applied in done.steps) == sorted(VERBS)
    assert done.history["step"].tolist()[1:] == [verb for step in chain for verb in step]
    assert done.weights.sum() == pytest.approx(100, rel=TIGHT)


@pytest.mark.parametrize(
    ("chain", "error", "message"),
    [
        ([{"rakee": {}}], WeightingError, r"step 1 'rakee': unknown weighting verb 'rakee'\. Did you mean 'rake'"),
        ([{"normalise_weights": {"too": 1}}], WeightingError, r"unknown argument 'too'\. Did you mean 'to'"),
        ([{"adjust_nonresponse": {}}], WeightingError, "the argument 'response' is missing"),
        (
            [{"normalise_weights": {}}, {"rake": {"margins": ["sexx"]}}],
            MarginError,
            r"step 2|no margin 'sexx'",
        ),
        (
            [{"adjust_nonresponse": {"response": "rsult"}}],
            ColumnError,
            "step 1 'adjust_nonresponse': no column 'rsult'",
        ),
        ([{"rake": {}, "calibrate": {}}], WeightingError, "step 1 must be one 'verb: {arguments}'"),
        ([{"rake": ["sex"]}], WeightingError, "step 1 'rake' must map arguments to values"),
        ("rake", WeightingError, "chain must be a design or a list of steps, got str"),
        ({"rake": {}}, WeightingError, "chain must be a design or a list of steps, got dict"),
    ],
)
def test_a_step_that_cannot_be_done_says_which(chain, error, message):
    with pytest.raises(error, match=message):
        ev.replay_chain(declared(frame()), chain, margins=MARGINS)


def test_named_margins_need_their_counts():
    with pytest.raises(WeightingError, match=r"step 1 'rake' names margins \(sex, age\) without their counts"):
        ev.replay_chain(declared(frame()), [{"rake": {"margins": ["sex", "age"]}}])
    inline = ev.replay_chain(declared(frame()), [{"rake": {"margins": MARGINS}}])
    np.testing.assert_allclose(inline.weights, ev.rake(declared(frame()), MARGINS).weights, rtol=TIGHT)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A copy of the project's surveys and params that a test may change."""
    for name in ("pyproject.toml", "params", "surveys"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    monkeypatch.setenv("EVALUATION_PROJECT", str(tmp_path))
    monkeypatch.delenv("EVALUATION_RUN", raising=False)
    return tmp_path


STUDIED = """  clus1_answered:
    title: {en: awarded schools for all, ko: 수상 학교로 대표}
    from: clus1
    chain:
      - adjust_unknown_eligibility: {status: awards, by: [sch.wide], codes: {Yes: I, No: R}}
      - adjust_nonresponse:
          response: awards
          codes: {Yes: $met, No: nonrespondent}
          covariates: [api99]
          method: propensity_classes
          classes: 3
      - rake: {margins: [stype]}
      - trim_weights: {upper: $trim_upper, lower: 0.2}
      - standardise: {by: stype, population: {E: $share_of_e, H: 0.2, M: 0.3}}
      - normalise_weights: {to: n}
"""


def with_chain(project, chain=STUDIED):
    path = project / "params" / "api_2000.yml"
    text = path.read_text(encoding="utf-8")
    text = text.replace("  population:\n", chain + "  population:\n", 1)
    text = text.replace("  trim_upper: 2.0", "  met: respondent\n  share_of_e: 0.5\n  trim_upper: 2.0", 1)
    path.write_text(text, encoding="utf-8")


def test_a_study_file_declares_every_step_with_parameters_wherever_they_stand(project):
    with_chain(project)
    design = ev.study_design("api_2000", "clus1_answered")
    data = design.data
    assert [next(iter(step)) for step in design.chain()] == [
        "adjust_unknown_eligibility",
        "adjust_nonresponse",
        "rake",
        "trim_weights",
        "standardise",
        "normalise_weights",
    ]
    assert (design.weights[data["awards"] == "No"] == 0).all()
    shares = pd.Series(design.weights).groupby(data["stype"]).sum() / design.weights.sum()
    np.testing.assert_allclose(shares, [0.5, 0.2, 0.3], rtol=1e-9)
    other = ev.study_design("api_2000", "clus1_answered", share_of_e=1.5)
    shares = pd.Series(other.weights).groupby(data["stype"]).sum() / other.weights.sum()
    np.testing.assert_allclose(shares, [0.75, 0.1, 0.15], rtol=1e-9)


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        (
            "- normalise_weights: {to: n}",
            "- normalize_weights: {to: n}",
            StudyError,
            "Did you mean 'normalise_weights'",
        ),
        ("classes: 3", "class: 3", StudyError, r"unknown argument 'class'\. Did you mean 'classes'"),
        ("{Yes: $met,", "{Yes: $mett,", StudyError, r"'\$mett' names no parameter of the study\. Did you mean 'met'"),
        (
            "No: nonrespondent",
            "Noo: nonrespondent",
            ColumnError,
            r"step 'adjust_nonresponse': .*'No' \(\d+ rows\).*Did you mean 'Noo'",
        ),
    ],
)
def test_a_declared_step_that_cannot_be_done_says_where(project, old, new, error, message):
    assert STUDIED.count(old) == 1
    with_chain(project, STUDIED.replace(old, new))
    with pytest.raises(error, match=r"params/api_2000.yml, design 'clus1_answered'.*" + message):
        ev.study_design("api_2000", "clus1_answered")
