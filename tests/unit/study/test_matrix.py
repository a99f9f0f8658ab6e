import json
import time
import unicodedata

import pytest

from evaluation.errors import EvaluationError, StudyError
from evaluation.instances import instance_label, instances_of, reached
from evaluation.specification import StudySpecification, read_study
from evaluation.study.plan import plan_study

COMMON = 'study: str = "small"\nlang: str = "en"'
DISTRICT = f"{COMMON}\ndistrict: int = 680  # code in [100, 999]\nyear: int = 2016"
CODEBOOK = (
    "variable,kind,label_ko,label_en,codes,missing_codes,minimum,maximum\n"
    "district,categorical,자치구,District,district,-9=refused,,\n"
    "income,numeric,소득,Income,,,0,100\n"
)
CODES = (
    "list,code,label_ko,label_en\n"
    "district,680,강남구,Gangnam-gu\ndistrict,110,종로구,Jongno-gu\ndistrict,-9,무응답,Refused\n"
)


def fanned(project, *steps):
    """Write a study with the steps given as YAML lines and the notebooks they need."""
    for stem, declared in {
        "60_district": DISTRICT,
        "65_trend": f"{COMMON}\nyear: int = 2016\noutcome: str = 'stay'  # in {{stay, rely}}",
        "70_districts": COMMON,
    }.items():
        project.notebook(stem, declared)
    survey = project.root / "surveys" / "small"
    (survey / "codebook.csv").write_text(CODEBOOK, encoding="utf-8")
    (survey / "codes.csv").write_text(CODES, encoding="utf-8")
    text = (project.root / "params" / "small.yml").read_text(encoding="utf-8").partition("steps:")[0]
    project.study(text + "steps:\n  weighting: {notebook: 20_weighting}\n" + "".join(f"  {step}\n" for step in steps))


def planned(**options):
    return plan_study(read_study("small", resolved=False), **options)


def refusal(**options):
    with pytest.raises(EvaluationError) as caught:
        planned(**options)
    return str(caught.value)


def names(plan):
    return [step.name for step in plan.steps]


MATRIX = "district: {notebook: 60_district, needs: [weighting], matrix: {district: all, year: [2015, 2016]}}"


def test_a_matrix_runs_a_notebook_once_for_each_code_of_the_codebook_and_each_year(project):
    fanned(project, MATRIX, "districts: {notebook: 70_districts, needs: [district]}")
    plan = planned()
    expected = ["district/680_2015", "district/680_2016", "district/110_2015", "district/110_2016"]
    assert names(plan) == ["weighting", *expected, "districts"]
    step = plan.by_name["district/110_2016"]
    assert (step.step, step.notebook, step.output, step.label) == (
        "district",
        "60_district",
        "60_district/110_2016",
        "110_2016",
    )
    assert dict(step.values) == {"district": 110, "year": 2016}
    assert dict(step.given) == {"study": "small", "lang": "ko", "district": 110, "year": 2016}
    assert list(step.values) == ["district", "year"]
    assert step.needs == ("weighting",)
    assert step.published
    assert plan.by_name["districts"].needs == tuple(expected)
    assert (plan.by_name["weighting"].step, plan.by_name["weighting"].output) == ("weighting", "20_weighting")
    assert plan.specification.steps["district"].matrix == {"district": [680, 110], "year": [2015, 2016]}


def test_the_resolved_study_comes_to_the_same_instances_without_a_codebook(project):
    fanned(project, MATRIX, "districts: {notebook: 70_districts, needs: [district]}")
    plan = planned()
    again = StudySpecification.model_validate_json(plan.specification.model_dump_json(by_alias=True))
    instances = instances_of(again.steps)
    assert list(instances) == names(plan)
    for step in plan.steps:
        assert (instances[step.name].needs, dict(instances[step.name].values)) == (step.needs, dict(step.values))
    assert reached(instances, ["district/110_2016"]) == {"district/110_2016", "weighting"}
    assert reached(instances, ["districts"]) == set(instances)


def test_instances_need_those_of_another_matrix_that_agree_on_the_names_they_share(project):
    fanned(
        project,
        MATRIX,
        "trend: {notebook: 65_trend, needs: [district], matrix: {outcome: [stay, rely], year: [2016]}}",
        "districts: {notebook: 70_districts, needs: [trend]}",
    )
    plan = planned()
    assert plan.by_name["trend/stay_2016"].needs == ("district/680_2016", "district/110_2016")
    assert plan.by_name["districts"].needs == ("trend/stay_2016", "trend/rely_2016")
    only = planned(only=["trend"])
    assert "district/110_2015" not in names(only)
    assert len(only.steps) == 1 + 2 + 2


def test_instances_without_a_name_in_common_need_all_of_each_other(project):
    fanned(
        project,
        "district: {notebook: 60_district, matrix: {district: [680, 110]}}",
        "trend: {notebook: 65_trend, needs: [district, weighting], matrix: {outcome: [stay, rely]}}",
    )
    plan = planned()
    assert plan.by_name["trend/rely"].needs == ("district/680", "district/110", "weighting")


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (
            ["district"],
            ["weighting", "district/680_2015", "district/680_2016", "district/110_2015", "district/110_2016"],
        ),
        (["district/110_2016"], ["weighting", "district/110_2016"]),
        (["district/110_*"], ["weighting", "district/110_2015", "district/110_2016"]),
        (["*_2015"], ["weighting", "district/680_2015", "district/110_2015"]),
        (["weigh*"], ["weighting"]),
        (["d?stricts", "weighting"], ["weighting", "districts"]),
    ],
)
def test_only_takes_steps_instances_and_patterns(project, only, expected):
    fanned(project, MATRIX, "districts: {notebook: 70_districts}")
    plan = planned(only=only)
    assert names(plan) == expected
    assert not plan.complete


def test_a_pattern_that_takes_all_is_a_complete_run(project):
    fanned(project, MATRIX)
    assert planned(only=["*"]).complete


@pytest.mark.parametrize(
    ("only", "message"),
    [
        ("distrct", "unknown step 'distrct'. Did you mean 'district'?"),
        ("district/110_2017", "step 'district' has no instance 'district/110_2017'. Did you mean 'district/110_201"),
        ("weighting/1", "step 'weighting' has no matrix, so there is no 'weighting/1'. Ask for 'weighting'."),
        ("x*", "no step fits 'x*'. Known: weighting, district."),
    ],
)
def test_only_says_what_there_is(project, only, message):
    fanned(project, MATRIX)
    assert message in refusal(only=[only])


def test_published_names_the_instances_whose_notebooks_are_kept(project):
    fanned(project, MATRIX.replace("}}", "}, published: {district: [110], year: [2016]}}"))
    assert [step.name for step in planned().steps if step.published] == ["weighting", "district/110_2016"]


def test_the_language_may_be_a_name_of_the_matrix(project):
    fanned(project, "districts: {notebook: 70_districts, matrix: {lang: [ko, en]}}", "trend: {notebook: 65_trend}")
    plan = planned()
    assert [plan.by_name[name].parameters["lang"] for name in ("districts/ko", "districts/en")] == ["ko", "en"]
    fanned(project, "districts: {notebook: 70_districts, matrix: {lang: all}}")
    assert names(planned()) == ["weighting", "districts/ko", "districts/en"]
    fanned(project, "districts: {notebook: 70_districts, matrix: {lang: [ko, fr]}}")
    assert "step 'districts', matrix: 'lang' must be 'ko' or 'en', got 'fr'." in refusal()


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ("{districts: all}", "the notebook declares no parameter 'districts'. Did you mean 'district'?"),
        ("{study: [a]}", "'study' is set by the runner"),
        ("{year: all}", "matrix 'year: all': no variable 'year' in surveys/small/codebook.csv"),
        ("{year: every}", "steps.district.matrix.year: expected a list or one of 'all', got 'every'"),
        ("{year: 2016}", "steps.district.matrix.year: expected a list or one of 'all', got 2016"),
        ("{year: [[2016]]}", "steps.district.matrix.year.0: expected text or a whole number or a number or true"),
        ("[year]", "steps.district.matrix: expected keys with values ('key: value'), got ['year']"),
        ("{year: []}", "matrix 'year' has no value. Give it one, or take it out."),
        ("{year: [2016, 2016]}", "matrix: (2016) and (2016) would both be named 'district/2016'"),
        ('{year: ["2016"]}', "'year' must be a whole number (int), got the text '2016'"),
        ("{year: [1e3]}", "'year' must be a whole number (int), got 1000.0"),
        ("{year: [NO]}", "'year' must be a whole number (int), got the text 'NO'"),
        ("{year: [true]}", "'year' must be a whole number (int), got true"),
        ("{district: [99]}", "'district' must be in [100, 999], got 99"),
        ("{year: [2016], year: [2017]}", 'found duplicate key "year"'),
    ],
)
def test_a_matrix_that_cannot_be_is_refused(project, matrix, message):
    fanned(project, f"district: {{notebook: 60_district, matrix: {matrix}}}")
    assert message in refusal()


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (
            "district: {notebook: 60_district, matrix: {year: [2016]}, parameters: {year: 2015}}",
            "'year' stands under 'parameters' of the step too",
        ),
        (
            "weighting2: {notebook: 25_weighting2, matrix: {trim_upper: [3.0, 4.0]}}",
            "'trim_upper' must be the same everywhere, because a weighting chain uses it",
        ),
        (
            "district: {notebook: 60_district, published: {year: [2016]}}",
            "published 'year' is no name of the matrix. The step has no matrix",
        ),
        (
            "district: {notebook: 60_district, matrix: {year: [2016]}, published: {yaer: [2016]}}",
            "published 'yaer' is no name of the matrix. Did you mean 'year'?",
        ),
        (
            "district: {notebook: 60_district, matrix: {district: [110, 680]}, published: {district: [681]}}",
            "published 'district' has 681, which the matrix has not. Did you mean '680'?",
        ),
        (
            "trend: {notebook: 65_trend, needs: [district], matrix: {year: [2017]}}\n"
            "  district: {notebook: 60_district, matrix: {year: [2016]}}",
            "step 'trend': it needs 'district', which has no instance with year 2017",
        ),
        (
            "trend: {notebook: 65_trend, needs: [district], matrix: {year: [2016]}}\n"
            "  district: {notebook: 60_district, needs: [trend], matrix: {year: [2016]}}",
            "'needs' goes in a circle: trend -> district -> trend.",
        ),
    ],
)
def test_a_step_whose_matrix_contradicts_the_study_is_refused(project, step, message):
    project.notebook("25_weighting2", f"{COMMON}\ntrim_upper: float = 5.0")
    fanned(project, step)
    assert message in refusal()


def test_a_variable_without_codes_cannot_stand_for_all(project):
    project.notebook("66_income", f"{COMMON}\nincome: int = 1")
    fanned(project, "income: {notebook: 66_income, matrix: {income: all}}")
    assert "matrix 'income: all': 'income' has no list of answer codes" in refusal()


def test_the_command_line_cannot_set_what_a_matrix_fans_out(project):
    fanned(project, MATRIX)
    message = refusal(overrides={"year": "2016"})
    assert "-p year=2016 (params/small.yml): step 'district' runs for each 'year' of its matrix." in message


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("../../etc", "looks like a path"),
        ("a/b", "looks like a path"),
        ("a\\b", "looks like a path"),
        ("a\nb", "holds a line break or another invisible character"),
        ("a\x1b[31m", "holds a line break or another invisible character"),
        ("a\u202eb", "holds a line break or another invisible character"),
        ("a\u200bb", "holds a line break or another invisible character"),
        ("\x00", "holds a line break or another invisible character"),
        ("CON", "cannot name a file on Windows"),
        ("lpt1", "cannot name a file on Windows"),
        ("{", "has no letter or digit"),
        ("", "has no letter or digit"),
        (" _ ", "has no letter or digit"),
        ("가" * 34, "make a name of 102 letters (a Korean one counts three), at most 100 will do"),
        ("a" * 101, "make a name of 101 letters"),
    ],
)
def test_a_value_that_cannot_name_a_file_is_refused(value, message):
    with pytest.raises(StudyError) as caught:
        instance_label([value])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_labels_keep_letters_and_digits_of_all_scripts_and_nothing_else():
    assert instance_label(["강남구"]) == instance_label([unicodedata.normalize("NFD", "강남구")]) == "강남구"
    assert instance_label(["a{b}: c*?", 3.0, 0.25, -2, False]) == "a_b_c_3_0_25_minus2_false"
    assert instance_label(["con", 2016]) == "con_2016"


def test_labels_that_differ_only_in_case_or_signs_collide(project):
    fanned(project, "trend: {notebook: 65_trend, matrix: {outcome: [stay, STAY]}}")
    project.notebook("65_trend", f"{COMMON}\noutcome: str = 'stay'")
    assert "('stay') and ('STAY') would both be named 'trend/STAY'" in refusal()
    fanned(project, "trend: {notebook: 65_trend, matrix: {outcome: ['a b', a_b]}}")
    project.notebook("65_trend", f"{COMMON}\noutcome: str = 'stay'")
    assert "would both be named 'trend/a_b'" in refusal()


def test_a_matrix_bomb_is_refused_before_it_is_written_out(project):
    values = ", ".join(map(str, range(1000, 2000)))
    project.notebook("61_bomb", COMMON + "".join(f"\np{at}: int = 0" for at in range(8)))
    matrix = ", ".join(f"p{at}: [{values}]" for at in range(8))
    fanned(project, f"bomb: {{notebook: 61_bomb, matrix: {{{matrix}}}}}")
    begin = time.monotonic()
    assert "at most 100,000 will do" in refusal()
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("stem", ["60_a{b}", "60_a\nb", "60_a b", "60_nul", "60_..", "60_\x1b[31m"])
def test_a_notebook_with_a_poisoned_name_is_refused(project, stem):
    step = stem.partition("_")[2]
    project.notebook(stem, COMMON)
    content = read_study("small", resolved=False).model_dump(by_alias=True)
    steps = {step: {"notebook": stem}}
    specification = StudySpecification.model_validate({**content, "steps": steps, "estimates": {}})
    with pytest.raises(StudyError) as caught:
        plan_study(specification)
    assert "cannot name a notebook" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_a_notebook_outside_its_folder_is_refused(project):
    (project.root / "10_out.ipynb").write_text("{}", encoding="utf-8")
    fanned(project, "out: {notebook: ../10_out}")
    assert "cannot name a notebook" in refusal()


def test_notebooks_that_differ_only_in_case_are_refused(project):
    project.notebook("60_District", COMMON)
    fanned(project, "District: {notebook: 60_District}", "district: {notebook: 60_district}")
    assert "'60_district' and '60_District' differ only in upper and lower case" in refusal()


def test_ten_thousand_instances_are_planned_in_well_under_five_seconds(project):
    listed = json.dumps(list(range(1000, 1100)))
    project.notebook("61_a", f"{COMMON}\nx: int = 0\ny: int = 0")
    project.notebook("62_b", f"{COMMON}\ny: int = 0\nz: int = 0")
    fanned(
        project,
        f"a: {{notebook: 61_a, needs: [weighting], matrix: {{x: {listed}, y: {listed}}}}}",
        f"b: {{notebook: 62_b, needs: [a], matrix: {{y: {listed}}}}}",
        "districts: {notebook: 70_districts, needs: [a, b]}",
    )
    begin = time.monotonic()
    plan = planned()
    seconds = time.monotonic() - begin
    assert len(plan.steps) == 10_000 + 100 + 2
    assert plan.by_name["b/1007"].needs == tuple(f"a/{x}_1007" for x in range(1000, 1100))
    assert seconds < 5, f"{seconds:.1f} s"


def test_a_chain_of_ten_thousand_steps_is_ordered_without_recursion(project):
    specification = read_study("small", resolved=False)
    content = specification.model_dump(by_alias=True)
    content["steps"] = {"profile": {"notebook": "10_profile", "needs": ["s0"]}}
    for at in range(10_000):
        content["steps"][f"s{at}"] = {"notebook": f"1_s{at}", "needs": [f"s{at + 1}"] if at < 9_999 else ["profile"]}
    begin = time.monotonic()
    with pytest.raises(StudyError, match=r"'needs' goes in a circle: profile -> s0 -> s1 .* -> s9999 -> profile"):
        plan_study(StudySpecification.model_validate(content))
    assert time.monotonic() - begin < 5
