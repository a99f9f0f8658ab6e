"""What is wrong with a study or a notebook is told by the command in one message, before anything is written."""

import json
import sys
import time

import pytest

from evaluation import cli

SMALL = ("profile: {notebook: 10_profile}", "weighting: {notebook: 20_weighting, needs: [profile]}")
DECLARED = ["draws: int = 5  # orders drawn, in [1, 20]", 'label: str = "none"', "upper: float = 5.0"]


@pytest.fixture
def planned(project, capfd, monkeypatch):
    """A project of two steps, and what the command says of it: refused with one message, nothing written."""
    monkeypatch.setenv("EVALUATION_PROJECT", str(project.root))
    monkeypatch.delenv("EVALUATION_RUN", raising=False)
    project.notebook("10_profile", "1")
    project.notebook("20_weighting", "1", declared=DECLARED)
    project.study(*SMALL)

    def refusal(*arguments):
        before = project.files()
        monkeypatch.setattr(sys, "argv", ["evaluation", "run", "small", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capfd.readouterr()
        assert (ended.value.code, told.out) == (2, ""), told
        assert "Traceback" not in told.err
        assert str(project.root) not in told.err
        assert project.files() == before
        return " ".join(told.err.split())

    project.refusal = refusal
    return project


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("drawz: 5", "step 'weighting': unknown parameter 'drawz'. Did you mean 'draws'?"),
        ("draws: five", "'draws' must be a whole number (int), got the text 'five'"),
        ("draws: NO", "'draws' must be a whole number (int), got the text 'NO'"),
        ("draws: 1e6", "'draws' must be a whole number (int), got 1000000.0"),
        ("draws: 21", "'draws' must be in [1, 20], got 21"),
        ("label: 011", "'label' must be text (str), got 11 (quotation marks make it text)"),
        ("label: 1e6", "'label' must be text (str), got 1000000.0 (quotation marks make it text)"),
        ("draws: 5, draws: 6", 'small.yml, line 10: found duplicate key "draws" with value "6" (original value: "5")'),
    ],
)
def test_a_wrong_parameter_in_the_study_is_told_with_what_was_expected_and_what_came(planned, given, message):
    planned.study(f"weighting: {{notebook: 20_weighting, parameters: {{{given}}}}}")
    assert message in planned.refusal()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("drawz=5", "unknown parameter 'drawz'. Did you mean 'draws'?"),
        ("draws=1e6", "'draws' must be a whole number (int), got the text '1e6'"),
        ("draws=NO", "'draws' must be a whole number (int), got the text 'NO'"),
        ("draws=0", "'draws' must be in [1, 20], got 0"),
        ("upper=five", "'upper' must be a number (float), got the text 'five'"),
        ("draws", "-p draws: expected NAME=VALUE"),
    ],
)
def test_a_wrong_parameter_of_the_command_is_told_with_what_was_expected_and_what_came(planned, given, message):
    assert message in planned.refusal("-p", given)
    assert "'draws' is given twice" in planned.refusal("-p", "draws=5", "-p", "draws=6")


def test_needs_that_go_in_a_circle_are_told_with_the_circle(planned):
    planned.study("profile: {notebook: 10_profile, needs: [weighting]}", SMALL[1])
    assert "'needs' goes in a circle: profile -> weighting -> profile" in planned.refusal()


def test_a_notebook_without_parameters_is_told_by_name_with_what_to_tag(planned):
    planned.notebook("10_profile", "1", tags=())
    assert planned.refusal() == (
        "StudyError: params/small.yml, step 'profile': notebooks/10_profile.ipynb must have one code cell tagged "
        "'parameters', found 0. Tag the cell that holds 'study: str = ...' and 'lang: str = ...'."
    )


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("params/small.yml", LAUGHS, "with its aliases written out it has more than 100,000 values"),
        ("params/small.yml", "a: " + "[" * 50_000, "nested deeper than 40 levels"),
        ("params/small.yml", "a: " + "x" * 1_000_001, "at most 1 MB are read"),
        ("params/small.yml", "a: !!python/object/apply:os.system ['touch gone off']", "not valid YAML"),
        ("notebooks/10_profile.ipynb", '{"cells": ' + "[" * 100_000, "is nested deeper than 100 levels"),
        (
            "notebooks/10_profile.ipynb",
            '{"cells": [' + " " * 20_000_000 + "]}",
            "has 20.0 MB, a template at most",
        ),
    ],
)
def test_bombs_are_refused_before_they_go_off(planned, file, text, message):
    planned.write(file, text)
    begin = time.process_time()
    assert message in planned.refusal()
    assert time.process_time() - begin < 5
    assert not list(planned.root.rglob("gone off"))


def test_ten_thousand_steps_with_notebooks_of_their_own_are_planned_in_under_five_seconds(project, monkeypatch):
    from evaluation.specification import read_study
    from evaluation.study.cache import Cache
    from evaluation.study.plan import plan_study

    monkeypatch.setenv("EVALUATION_PROJECT", str(project.root))
    project.notebook("10_s0", "1")
    text = (project.root / "notebooks" / "10_s0.ipynb").read_bytes()
    for number in range(1, 10_000):
        (project.root / "notebooks" / f"10_s{number}.ipynb").write_bytes(text)
    needs = [json.dumps([f"s{number - 1}"] if number % 10 else []) for number in range(10_000)]
    project.study(*(f"s{number}: {{notebook: 10_s{number}, needs: {need}}}" for number, need in enumerate(needs)))
    specification = read_study("small", resolved=False)
    begin = time.process_time()
    plan = plan_study(specification)
    previews = Cache(project.outputs / ".cache" / "small", plan).preview()
    seconds = time.process_time() - begin
    assert len(plan.steps) == len(previews) == 10_000
    assert plan.by_name["s9999"].needs == ("s9998",)
    assert seconds < 5, f"{seconds:.1f} s of processor time"
