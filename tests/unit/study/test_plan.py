import pytest

from evaluation.errors import StudyError
from evaluation.specification import StudySpecification, read_study
from evaluation.study.plan import plan_study
from evaluation.study.run import run_study

CHAIN = "but a weighting chain uses it"


def planned(study="small", **options):
    return plan_study(read_study(study, resolved=False), **options)


def refused(project, message, **options):
    """The study is refused with ``message``, by plan and by run alike, and no file is written."""
    before = project.files()
    with pytest.raises(StudyError) as caught:
        run_study("small", **options)
    assert message in str(caught.value)
    assert str(project.root) not in str(caught.value)
    assert project.files() == before


def test_a_plan_holds_steps_in_order_with_typed_parameters(project):
    project.replaced("  profile: {notebook: 10_profile}", "  profile: {notebook: 10_profile, needs: []}")
    plan = planned()
    assert [step.name for step in plan.steps] == ["profile", "weighting"]
    profile, weighting = plan.steps
    assert profile.given == {"study": "small", "lang": "ko"}
    assert weighting.given == {"study": "small", "lang": "ko", "trim_upper": 4.0, "label": "011"}
    assert isinstance(weighting.given["trim_upper"], float)
    assert weighting.parameters == {**weighting.given, "replicates": 500, "is_quick": False}
    assert weighting.declared["trim_upper"].help == "multiple of the median weight"
    assert (weighting.cells, weighting.needs, plan.complete) == (3, ("profile",), True)


def test_the_resolved_study_can_be_read_again(project):
    specification = planned(overrides={"trim_upper": "1e6", "replicates": "10"}).specification
    assert specification.parameters == {"trim_upper": 1e6, "lang": "ko", "replicates": 10}
    assert StudySpecification.model_validate_json(specification.model_dump_json(by_alias=True)) == specification


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'parameters: {label: "011"}',
            "parameters: {trim_uper: 3.0}",
            "params/small.yml, step 'weighting': unknown parameter 'trim_uper'. Did you mean 'trim_upper'?",
        ),
        (
            "{trim_upper: 4, lang: ko}",
            "{trim_upper: 4, replicate: 10}",
            "params/small.yml, parameters: unknown parameter 'replicate', no notebook declares it. "
            "Did you mean 'replicates'?",
        ),
        (
            "{trim_upper: 4,",
            '{trim_upper: "4",',
            "params/small.yml, parameters: 'trim_upper' must be a number (float), got the text '4'.",
        ),
        ("{trim_upper: 4,", "{trim_upper: true,", "'trim_upper' must be a number (float), got true"),
        ("{trim_upper: 4,", "{trim_upper: .inf,", "'trim_upper' must be a number (float), got inf"),
        ("{trim_upper: 4,", "{trim_upper: null,", "'trim_upper' must be a number (float), got nothing (null)"),
        (
            'label: "011"',
            "replicates: true",
            "params/small.yml, step 'weighting': 'replicates' must be a whole number (int), got true.",
        ),
        ('label: "011"', "replicates: 10.0", "'replicates' must be a whole number (int), got 10.0"),
        ('label: "011"', "label: 11", "'label' must be text (str), got 11"),
        ('label: "011"', "is_quick: 1", "'is_quick' must be true or false (bool), got 1"),
        ("lang: ko}", "lang: fr}", "params/small.yml, parameters: 'lang' must be 'ko' or 'en', got 'fr'."),
        ("lang: ko}", "study: small}", "'study' is set by the runner"),
        ('label: "011"', "trim_upper: 3", f"'trim_upper' is 3 here and 4 for the study, {CHAIN}"),
        ("$trim_upper", "$trim_lower", "chain.0.trim_weights: '$trim_lower' is not among the study's parameters. Did"),
        ("upper: $trim_upper", "margins: [a, $x]", "designs.final.chain.0.trim_weights: '$x' is not among"),
        (
            "{notebook: 10_profile}",
            "{notebook: 10_profile, needs: [weighting]}",
            "'needs' goes in a circle: profile -> weighting -> profile.",
        ),
        ("{notebook: 10_profile}", "{notebook: 10_profile, needs: [profile]}", "in a circle: profile -> profile."),
        (
            "  weighting:\n    notebook: 20_weighting",
            "  weighting:\n    notebook: 21_weighting",
            "step 'weighting': no notebook 'notebooks/21_weighting.ipynb'. Did you mean '20_weighting'?",
        ),
        ("  profile: {", "  profil: {", "steps.weighting.needs: unknown name 'profile'. Did you mean 'profil'?"),
        (
            "steps:",
            "steps:\n  again: {notebook: 20_weighting}",
            "step 'again': a step is called as its notebook without the number; '20_weighting' makes it 'weighting'",
        ),
    ],
)
def test_a_fault_of_the_study_is_named_before_anything_is_written(project, old, new, message):
    project.replaced(old, new)
    refused(project, message)


def test_all_faults_are_told_at_once(project):
    project.replaced('label: "011"', "label: 11, replicates: many, is_quick: 1")
    with pytest.raises(StudyError) as caught:
        planned()
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize(
    ("parameters", "tags", "message"),
    [
        (None, (), "is not a notebook (JSONDecodeError"),
        ("x = 1", ("other",), "must have one code cell tagged 'parameters', found 0"),
        ('study: str = "s"', ("parameters",), "the line 'lang: str = \"...\"' is missing"),
        ("trim_upper = 5.0", ("parameters",), "line 3: expected 'name: type = literal  # unit'"),
        ("trim_upper: float = 5 * 2", ("parameters",), "line 3: expected 'name: type = literal"),
        ('trim_upper: float = "5"', ("parameters",), "got 'trim_upper: float = \"5\"'"),
        ("trim_upper: list = []", ("parameters",), "got 'trim_upper: list = []'"),
        ("lang: str = 'ko'", ("parameters",), "line 3: expected each name once"),
        ("trim_upper: float = (", ("parameters",), "line 3: '(' was never closed"),
        ("trim_upper: float = 5.0  # 1 = none", ("parameters",), "papermill cannot read 'trim_upper'. Keep one '='"),
        ("trim_upper: int = 5", ("parameters",), "is int in step 'profile' and float in step 'weighting'"),
    ],
)
def test_a_fault_of_a_notebook_is_named_before_anything_is_written(project, parameters, tags, message):
    common = "" if (parameters or "").startswith("study") else 'study: str = "s"\nlang: str = "en"\n'
    project.notebook("10_profile", common + (parameters or ""), tags=tags)
    if parameters is None:
        (project.root / "notebooks" / "10_profile.ipynb").write_text("{", encoding="utf-8")
    refused(project, message)


def test_the_command_line_is_read_by_the_declared_type(project):
    texts = {"trim_upper": "1e6", "replicates": "010", "is_quick": "TRUE", "lang": "en"}
    given = planned(overrides=texts).steps[1].given
    assert (given["trim_upper"], given["replicates"], given["is_quick"], given["lang"]) == (1e6, 10, True, "en")
    project.replaced('label: "011"', "is_quick: false")
    for text in ("NO", "011", "1e6", "null", "", "서울"):
        assert planned(overrides={"label": text}).steps[1].given["label"] == text


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("replicates", "1e6", "-p replicates=1e6 (params/small.yml): 'replicates' must be a whole number (int)"),
        ("trim_upper", "five", "'trim_upper' must be a number (float), got the text 'five'"),
        ("trim_upper", "nan", "'trim_upper' must be a number (float), got the text 'nan'"),
        ("trim_upper", "1_000", "'trim_upper' must be a number (float), got the text '1_000'"),
        ("is_quick", "NO", "'is_quick' must be true or false (bool), got the text 'NO'"),
        ("lang", "kr", "'lang' must be 'ko' or 'en', got 'kr'"),
        ("trim_uper", "3", "unknown parameter 'trim_uper'. Did you mean 'trim_upper'?"),
        ("study", "other", "the runner sets 'study'"),
        ("label", "x", "step 'weighting' sets 'label' for itself. Change it in params/small.yml."),
    ],
)
def test_a_wrong_override_is_refused_before_anything_is_written(project, name, text, message):
    refused(project, message, overrides={name: text})


def test_a_parameter_only_the_chain_uses_has_the_type_of_its_value(project):
    project.notebook("20_weighting", 'study: str = "s"\nlang: str = "en"\nlabel: str = ""')
    plan = planned(overrides={"trim_upper": "3"})
    assert plan.specification.parameters["trim_upper"] == 3
    assert "trim_upper" not in plan.steps[1].given
    refused(project, "'trim_upper' must be a whole number (int)", overrides={"trim_upper": "3.5"})


def test_only_takes_what_a_step_needs_with_it_and_refuses_unknown_steps(project):
    assert [step.name for step in planned(only=["weighting"]).steps] == ["profile", "weighting"]
    assert planned(only=["weighting"]).complete
    part = planned(only=["profile"])
    assert ([step.name for step in part.steps], part.complete) == (["profile"], False)
    refused(project, "unknown step 'weigting'. Did you mean 'weighting'?", only=["weigting"])


@pytest.mark.parametrize("name", ["reference", "failed", "partial", "scratch"])
def test_the_folders_of_outputs_are_no_studies(project, name):
    text = (project.root / "params" / "small.yml").read_text(encoding="utf-8")
    project.study(text.replace("study: small", f"study: {name}"), name=name)
    with pytest.raises(StudyError, match=f"'{name}' is the name of a folder of outputs/"):
        planned(name)
