"""What a study or a notebook may not be: ranges, bombs, and values that YAML or a shell might misread."""

import json
import time

import nbformat
import pytest

from evaluation.errors import EvaluationError, ProjectError, StudyError
from evaluation.project import read_yaml, study_file, survey_folder
from evaluation.specification import read_study
from evaluation.study.parameters import Choices, Interval, declared_parameters
from evaluation.study.plan import plan_study

COMMON = 'study: str = "small"\nlang: str = "en"'


def planned(**options):
    return plan_study(read_study("small", resolved=False), **options)


def refusal(**options):
    with pytest.raises(EvaluationError) as caught:
        planned(**options)
    return str(caught.value)


def declare(project, line):
    project.notebook("10_profile", f"{COMMON}\n{line}")
    return declared_parameters("10_profile")


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ("draws: int = 5  # orders drawn, in [1, 20]", Interval(1, 20)),
        ("draws: int = 5  # in [0, )", Interval(0, float("inf"))),
        ("share: float = .5  # share in (0, 1].", Interval(0, 1, lower_belongs=False)),
        ("share: float = -.5  # in (, 0)", Interval(float("-inf"), 0, upper_belongs=False)),
        ("kind: str = 'mean'  # what is estimated, in {mean, share}", Choices(("mean", "share"))),
        ("kind: str = '011'  # in {'011', NO}", Choices(("011", "NO"))),
        ("draws: int = 9  # in {9, 99}", Choices((9, 99))),
        ("income: float = 1.0  # in (thousand won)", None),
        ("income: float = 1.0  # in [1, 20] thousand won", None),
        ("income: float = 1.0", None),
    ],
)
def test_the_help_of_a_parameter_may_end_in_what_is_allowed(project, line, allowed):
    declared = declare(project, line)
    found = declared[line.partition(":")[0]].allowed
    assert found == allowed
    assert repr(found) == repr(allowed)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("draws: int = 5  # in [1; 20]", "line 3: the range at the end of 'in [1; 20]' cannot be read"),
        ("draws: int = 5  # in [20, 1]", "cannot be read"),
        ("draws: int = 5  # in [1, 20", "cannot be read"),
        ("draws: int = 5  # in [a, b]", "cannot be read"),
        ("draws: int = 5  # in [, ]", "cannot be read"),
        ("kind: str = 'a'  # in [a, b]", "cannot be read"),
        ("kind: str = 'a'  # in {a, }", "cannot be read"),
        ("draws: int = 5  # in {5, many}", "'draws' must be a whole number (int), got the text 'many'"),
        ("draws: int = 0  # in [1, 20]", "the default is not allowed: 'draws' must be in [1, 20], got 0"),
        ("kind: str = 'c'  # in {a, b}", "the default is not allowed: 'kind' must be one of {a, b}, got the text 'c'"),
    ],
)
def test_a_range_that_cannot_hold_is_refused(project, line, message):
    with pytest.raises(StudyError) as caught:
        declare(project, line)
    assert "notebooks/10_profile.ipynb, cell 'parameters', line 3" in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "options", "message"),
    [
        ("lang: ko}", "lang: ko, draws: 21}", {}, "parameters: 'draws' must be in [1, 20], got 21."),
        ("lang: ko}", "lang: ko, draws: 0}", {}, "parameters: 'draws' must be in [1, 20], got 0."),
        (
            "lang: ko}",
            "lang: ko}",
            {"overrides": {"draws": "21"}},
            "-p draws=21 (params/small.yml): 'draws' must be in",
        ),
        ("lang: ko}", "lang: ko}", {"overrides": {"draws": "1e1"}}, "must be a whole number (int), got the text '1e1'"),
        (
            "10_profile}",
            "10_profile, parameters: {kind: men}}",
            {},
            "'kind' must be one of {mean, share}, got the text",
        ),
    ],
)
def test_values_outside_a_range_are_refused_wherever_they_come_from(project, old, new, options, message):
    project.notebook("10_profile", f"{COMMON}\ndraws: int = 5  # in [1, 20]\nkind: str = 'mean'  # in {{mean, share}}")
    project.replaced(old, new)
    assert message in refusal(**options)
    assert refusal(**options).count("must be") == 1


def test_a_shared_value_must_be_allowed_in_every_notebook(project):
    project.notebook("10_profile", f"{COMMON}\ntrim_upper: float = 2.0  # multiple, in [1, 3]")
    assert "params/small.yml, parameters: 'trim_upper' must be in [1, 3], got 4." in refusal()
    project.replaced("trim_upper: 4", "trim_upper: 2.5")
    assert planned().by_name["profile"].given["trim_upper"] == 2.5


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("011", "'label' must be text (str), got 11 (quotation marks make it text)"),
        ("1e6", "'label' must be text (str), got 1000000.0 (quotation marks make it text)"),
        ("true", "'label' must be text (str), got true"),
        ("2016-10-01", "steps.weighting.parameters.label: expected"),
        ("1" * 5000, "a value cannot be read"),
    ],
)
def test_what_yaml_takes_for_another_kind_is_refused_where_text_is_asked(project, value, message):
    project.replaced('label: "011"', f"label: {value}")
    assert message in refusal()


def test_no_is_text_and_numbers_keep_their_value(project):
    project.replaced('label: "011"', "label: NO, replicates: 011")
    assert planned().by_name["weighting"].given["label"] == "NO"
    assert planned().by_name["weighting"].given["replicates"] == 11
    project.replaced("trim_upper: 4", "trim_upper: 1e6")
    assert planned().by_name["weighting"].given["trim_upper"] == 1_000_000.0


@pytest.mark.parametrize("value", [".inf", ".nan", "1" + "0" * 400])
def test_numbers_without_a_float_are_refused(project, value):
    project.replaced("trim_upper: 4", f"trim_upper: {value}")
    assert "'trim_upper' must be a number (float)" in refusal()


@pytest.mark.parametrize("text", ["1" * 5000, "٣", "1e999", "0x10", "1_000"])
def test_numbers_of_the_command_line_are_plain(project, text):
    assert "must be a whole number (int)" in refusal(overrides={"replicates": text})


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGED = "a: &a {k: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join(['*' + before] * 9)}]}}\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, "small.yml, line 6: with its aliases written out it has more than 100,000 values."),
        (MERGED, "small.yml, line 6: with its aliases written out it has more than 100,000 values."),
        ("a: &a [*a]\n", "small.yml, line 1: an alias holds itself"),
        (
            "a0: &a0 [1]\n" + "".join(f"a{at}: &a{at} [*a{at - 1}]\n" for at in range(1, 3_000)),
            "small.yml, line 40: with its aliases written out it is nested deeper than 40 levels",
        ),
        ("a: &a {b: {c: *a}}\n", "small.yml, line 1: an alias holds itself"),
        ("a: " + "[" * 41 + "]" * 41, "small.yml, line 1: nested deeper than 40 levels"),
        ("a: " + "[" * 50_000, "small.yml, line 1: nested deeper than 40 levels"),
        ("\n".join(" " * level + "a:" for level in range(60)), "small.yml, line 40: nested deeper than 40 levels"),
        ("a: " + "x" * 1_000_000, "small.yml has 1.0 MB, at most 1 MB are read"),
        ("a: 2016-99-01", "small.yml: a value cannot be read"),
        ("a: !!bool maybe", "small.yml: a value cannot be read"),
        ("a: !!python/object/apply:os.system [ls]", "small.yml, line 1: not valid YAML"),
        ("a: \x00", "small.yml is not valid YAML"),
        ("a: 1\na: 2\n", 'small.yml, line 2: found duplicate key "a"'),
        ("steps:\n  a: {notebook: x, notebook: y}\n", 'small.yml, line 2: found duplicate key "notebook"'),
    ],
)
def test_a_yaml_bomb_is_refused_before_it_goes_off(project, text, message):
    project.study(text)
    begin = time.monotonic()
    with pytest.raises(ProjectError) as caught:
        read_yaml(study_file("small"))
    assert message in str(caught.value)
    assert time.monotonic() - begin < 10


def test_aliases_that_stand_for_little_are_read(project, recwarn):
    project.study("a: &x {k: 1}\nb: {<<: *x, z: 2}\nc: &x [1]\nd: *x\n")
    assert read_yaml(study_file("small")) == {"a": {"k": 1}, "b": {"k": 1, "z": 2}, "c": [1], "d": [1]}
    assert not recwarn.list


@pytest.mark.parametrize("name", ["../small", "a/b", "..", ".hidden", "", "a\nb", "a\x00b", "C:\\x"])
def test_a_study_or_survey_that_is_a_path_is_refused(project, name):
    for find in (study_file, survey_folder):
        with pytest.raises(ProjectError, match="an id is the name of one in") as caught:
            find(name)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("study", ["reference", "Failed", "compare", "con", "LPT1"])
def test_a_study_named_as_a_folder_of_outputs_or_a_device_is_refused(project, study):
    text = (project.root / "params" / "small.yml").read_text(encoding="utf-8")
    project.study(text.replace("study: small", f"study: {study}"), name=study)
    with pytest.raises(StudyError, match=r"is the name of a (folder of outputs/|device of Windows)"):
        plan_study(read_study(study, resolved=False))


def template(project, change):
    file = project.root / "notebooks" / "10_profile.ipynb"
    content = json.loads(file.read_text(encoding="utf-8"))
    changed = change(content)
    file.write_text(changed if isinstance(changed, str) else json.dumps(content), encoding="utf-8")
    begin = time.monotonic()
    told = refusal()
    assert time.monotonic() - begin < 10
    assert "notebooks/10_profile.ipynb" in told
    assert str(project.root) not in told
    return told


def nested(levels):
    return json.loads("[" * levels + "]" * levels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: "x" * 20_000_001, "has 20.0 MB, a template at most 20 MB. Clear its outputs."),
        (
            lambda content: content["cells"].extend(dict(nbformat.v4.new_markdown_cell("x")) for _ in range(2_000)),
            "has 2,002 cells, a template at most 2,000",
        ),
        (lambda content: content["metadata"].update(deep=nested(100)), "is nested deeper than 100 levels"),
        (lambda content: '{"cells": ' + "[" * 100_000, "is nested deeper than 100 levels"),
        (lambda content: "[]", "is not a notebook"),
        (lambda content: '{"cells": [1]}', "is not a notebook"),
        (lambda content: '{"cells": {"a": 1}, "nbformat_minor": 5, "nbformat": 4}', "is not a notebook"),
        (lambda content: "{", "is not a notebook"),
        (lambda content: '{"cells": null}', "is not a notebook"),
        (lambda content: content.update(nbformat_minor="five"), "is not a notebook"),
        (lambda content: content.update(nbformat=99), "is not a notebook"),
    ],
)
def test_a_notebook_bomb_is_refused(project, change, message):
    assert message in template(project, change)


@pytest.mark.parametrize("survey", ["../small", "smal", '"a\\nb"'])
def test_a_study_of_no_survey_is_refused_before_anything_runs(project, survey):
    project.replaced("survey: small", f"survey: {survey}")
    assert "params/small.yml, survey: no survey" in refusal()


def test_the_study_before_is_named_by_its_id(project):
    text = (project.root / "params" / "small.yml").read_text(encoding="utf-8")
    compared = "compared_with: {study: small_2015, explained: [{address: 'a | *', reason: {ko: ㄱ, en: a}}]}\n"
    project.study(text + compared)
    previous = planned().specification.compared_with
    assert (previous.study, previous.threshold, previous.explained[0].reason.en) == ("small_2015", 3.0, "a")
    for old, new, message in [
        ("small_2015", "../small", "compared_with.study: String should match"),
        ("study: small_2015", "study: small_2015, threshold: 0", "compared_with.threshold: "),
        ("study: small_2015", "study: small_2015, treshold: 1", "'compared_with.treshold'. Did you mean 'threshold'?"),
        ("address:", "adress:", "'compared_with.explained.0.adress'. Did you mean 'address'?"),
    ]:
        project.study(text + compared.replace(old, new))
        assert message in refusal()
