"""Ordered items, doses and negative controls that a study fixed, by name."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, StudyError
from evaluation.results import Estimates

ROOT = Path(__file__).resolve().parents[2]
DOSES = """
doses:
  weight_by_smoking:
    title: {ko: 흡연량별, en: By how much was smoked}
    added: "2026-11-22"
    outcome: wt82_71
    dose: age_class
    covariates: [sex]
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A copy of the project whose pre-specification may be changed."""
    for name in ("pyproject.toml", "params", "surveys"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    monkeypatch.setenv("EVALUATION_PROJECT", str(tmp_path))
    monkeypatch.delenv("EVALUATION_RUN", raising=False)
    return tmp_path


def add(project, text):
    path = project / "params" / "prespecification" / "nhefs_1982.yml"
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def test_negative_controls_equal_the_verb_called_by_hand():
    compared = ev.declared_comparison("nhefs_1982", "wt82_71")
    by_hand = ev.negative_controls(compared.design, outcomes=["ht", "hayfever"], **compared.groups)
    declared = ev.declared_controls("nhefs_1982")["settled_before"]
    np.testing.assert_array_equal(declared.estimate, by_hand.estimate)
    assert declared.passes


def test_scales_stand_raw_and_with_others_brought_to_one_composition(project):
    add(
        project,
        '\nscales:\n  active:\n    title: {ko: 활동, en: Activity}\n    added: "2026-11-22"\n    outcome: active\n',
    )
    path = project / "surveys" / "nhefs_1982" / "codebook.csv"
    text = path.read_text(encoding="utf-8-sig").replace("\nactive,categorical,", "\nactive,ordinal,")
    head, *rest = text.splitlines()
    lines = [f"{head},scale_direction", *(f"{line},{'higher_is_less' * line.startswith('active,')}" for line in rest)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(ColumnError, match=r"scales, 'active'.*'active'"):
        ev.declared_scales("nhefs_1982")  # a covariate of the adjustment cannot be what is compared
    prespecified = project / "params" / "prespecification" / "nhefs_1982.yml"
    changed = prespecified.read_text(encoding="utf-8").replace(
        "    outcome: active\n", "    outcome: active\n    covariates: [sex, age]\n"
    )
    prespecified.write_text(changed, encoding="utf-8")
    found = ev.declared_scales("nhefs_1982")
    assert list(found) == ["raw_active", "adjusted_active"]
    design = ev.entropy_balance(ev.study_design("nhefs_1982"), treatment="qsmk", covariates=["sex", "age"])
    by_hand = ev.likert_difference(design, outcome="active", treatment="qsmk")
    np.testing.assert_array_equal(found["adjusted_active"].estimate, by_hand.estimate)


def test_a_study_that_fixed_none_says_so():
    for verb, kind in ((ev.declared_scales, "scales"), (ev.declared_doses, "doses")):
        with pytest.raises(StudyError, match=rf"nhefs_1982.yml fixes no {kind}. Write them down"):
            verb("nhefs_1982")


def test_what_a_verb_refuses_names_the_question(project):
    add(project, DOSES.replace("dose: age_class", "dose: how_often"))
    with pytest.raises(ColumnError, match=r"nhefs_1982.yml, doses, 'weight_by_smoking': .*'how_often'"):
        ev.declared_doses("nhefs_1982")


def test_a_study_may_declare_comparisons_among_its_estimates():
    found = ev.declared_estimates("nhefs_1982", "comparison")
    assert all(isinstance(estimate, Estimates) for estimate in found.values())
    assert found["weighted_everybody"].estimate[0] == pytest.approx(3.4405, abs=5e-5)
    assert found["standardised_everybody"].estimate[0] == pytest.approx(3.5174, abs=5e-5)
