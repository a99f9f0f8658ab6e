"""Comparisons that were fixed beforehand: what they open, what they refuse, what they estimate."""

import shutil
from pathlib import Path

import pytest

import evaluation as ev
from evaluation import project
from evaluation.declared.comparisons import declared_comparison, declared_differences
from evaluation.declared.policies import declared_policy
from evaluation.errors import IdentificationError, SourceError, StudyError
from evaluation.survey.benchmarks import read_benchmarks

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def in_english():
    ev.open_study("seoul_2016", lang="en")


@pytest.fixture(scope="module")
def differences():
    return declared_differences("seoul_2016")


def test_a_comparison_says_what_may_be_written_before_any_number():
    text = repr(declared_comparison("seoul_2016", "stay"))
    assert "grade 2" in text
    assert "alike in what was observed" in text
    published = declared_comparison("seoul_2016", "stay_and_live_in_seoul")
    assert published.benchmark is not None
    assert published.benchmark.value == pytest.approx(0.594)
    assert published.comparability.grade == 1
    assert "nothing is ascribed to the programme" in repr(published)


def test_both_languages_are_spoken():
    ev.open_study("seoul_2016", lang="ko")
    text = repr(declared_comparison("seoul_2016", "stay_and_live_in_seoul"))
    assert "10년 뒤에도 서울에 살고 싶다" in text
    assert "사업과 관련짓지 않음" in text


def test_an_item_that_asks_about_a_change_is_refused_and_left_out(differences):
    refused = declared_comparison("seoul_2016", "lean_on_more")
    assert refused.comparability.is_refused
    with pytest.raises(IdentificationError, match="asks whether something has changed"):
        ev.subgroup_effects(
            refused.design, by=["sex"], method="raw", comparability=refused.comparability, **refused.effects
        )
    assert not [name for name in differences if "lean_on_more" in name]


def test_every_group_comparison_is_estimated_raw_and_adjusted(differences):
    names = {"stay", "rely", "happy"}
    assert set(differences) == {f"{kind}_{name}" for kind in ("raw", "adjusted") for name in names}
    for name in names:
        raw, adjusted = (differences[f"{kind}_{name}"] for kind in ("raw", "adjusted"))
        assert raw.estimate[0] == pytest.approx(raw.estimate[1] - raw.estimate[2], abs=1e-12)
        assert 0 < adjusted.estimate[0] < raw.estimate[0]


def test_balancing_and_scale_follow_from_the_comparison():
    compared = declared_comparison("seoul_2016", "stay")
    assert list(compared.balanced) == ["propensity_weights", "entropy_balance"]
    assert compared.scale == "log_risk_ratio"
    assert compared.controls == ["live_in_seoul"]
    smokers = declared_comparison("nhefs_1982", "wt82_71")
    assert smokers.scale == "smd"
    assert {"sex", "wt71"} <= set(smokers.variables)


def test_methods_are_told_in_both_languages_without_a_cause():
    compared = declared_comparison("nhefs_1982", "wt82_71")
    claim = ev.judge_comparison(compared, controls=compared.controls)
    english, korean = (" ".join(ev.methods_text(compared, claim, lang).sentences) for lang in ("en", "ko"))
    assert "n = 1,566" in english
    assert "Height in 1971-75" in english
    assert "이중 강건 추정" in korean
    assert "caus" not in english.lower()


def test_a_policy_question_names_cohorts_comparison_and_estimator():
    question = declared_policy("seoul_2016", "knows_center")
    assert question.effects["cohort"] == "district_cohort"
    assert "not yet reached" in repr(question)
    with pytest.raises(StudyError, match="Did you mean 'knows_center'"):
        declared_policy("seoul_2016", "knows_centre")


def test_a_figure_published_elsewhere_is_read_with_all_its_faults_told(tmp_path, monkeypatch):
    folder = tmp_path / "surveys" / "seoul_2016"
    folder.mkdir(parents=True)
    shutil.copyfile(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    text = (ROOT / "surveys" / "seoul_2016" / "benchmarks.csv").read_text(encoding="utf-8")
    (folder / "benchmarks.csv").write_text(text.replace("percent", "per cent").replace("46000", "many"), "utf-8")
    monkeypatch.setenv(project.PROJECT_VARIABLE, str(tmp_path))
    with pytest.raises(SourceError, match=r"line 2: unit 'per cent'.*line 3: .*'n' is no number: many"):
        read_benchmarks("seoul_2016")
    (folder / "benchmarks.csv").unlink()
    with pytest.raises(SourceError, match="is not there"):
        read_benchmarks("seoul_2016")
