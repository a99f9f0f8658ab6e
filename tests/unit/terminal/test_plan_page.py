"""What would run and why, read as text; and the words for the codes of an instance."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

from evaluation.study.cache import Preview
from evaluation.terminal.places import places_named, places_of
from evaluation.terminal.plan_page import plan_page
from evaluation.terminal.sheet import rendered

made = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("handmade_batch.py"))))
DISTRICTS = made.DISTRICTS
PLACES = {f"district/{code}_2017": f"{korean} ({english})" for code, (korean, english) in DISTRICTS.items()}


def step(name, needs=(), notebook="", **given):
    declared = {key: SimpleNamespace(default=None, help="unit: years" if key == "age" else "") for key in given}
    return SimpleNamespace(
        name=name,
        step=name.partition("/")[0],
        label=name.partition("/")[2],
        notebook=notebook or f"10_{name}",
        needs=needs,
        cells=5,
        declared=declared | {"lang": SimpleNamespace(default="en", help="")},
        given=given,
        parameters=given | {"lang": "en"},
        values={},
    )


def plan(skipped="", complete=True):
    districts = [
        step(f"district/{code}_2017", ("weighting",), "60_district", district=code, age=3) for code in DISTRICTS
    ]
    steps = (step("profile"), step("weighting", ("profile",)), *districts, step("report", ("weighting",)))
    return SimpleNamespace(study="seoul_2017", steps=steps, complete=complete, skipped=skipped)


def previews(district=("depends", ("weighting runs",)), **one):
    states = {"profile": ("cached", ()), "weighting": ("run", ("src/evaluation/weighting/raking.py changed",))}
    states |= {f"district/{code}_2017": one.get(f"d{code}", district) for code in DISTRICTS}
    states |= {"report": ("depends", ("weighting runs",))}
    return [Preview(name, *verdict) for name, verdict in states.items()]


def page(*arguments, width=80, **options):
    return rendered(plan_page(*arguments, width=width, **options), width=width or 80)


def test_each_step_says_whether_it_would_run_and_why_and_25_alike_take_one_line():
    assert page(plan(), previews(), PLACES).splitlines() == [
        "seoul_2017: 28 notebooks; 1 to run, 1 cached, 26 to run only if what they need",
        "  changes",
        "profile        cached",
        "weighting      run      src/evaluation/weighting/raking.py changed",
        "district (25)  depends  weighting runs",
        "report         depends  weighting runs",
    ]


def test_instances_that_differ_are_told_apart_by_name_and_their_counts_add_up():
    text = page(plan(), previews(("cached", ()), d110=("run", ("never run",)), d680=("run", ("never run",))), PLACES)
    assert "district (25)  2 run, 23 cached\n" in text
    assert "    run      never run (2): 110_2017 종로구, 680_2017 강남구\n" in text
    assert "    cached   (23): 140_2017 중구, 170_2017 용산구," in text
    assert "and 15 more" in text


@pytest.mark.parametrize("width", [40, 80, None])
def test_a_plan_can_be_told_at_any_width(width):
    text = page(plan(), previews(), PLACES, width=width)
    assert "district (25)" in text
    if width is None:
        assert "26 to run only if what they need changes\n" in text


def test_with_v_notebooks_needs_and_parameters_are_told_and_nothing_is_folded():
    text = page(plan(), previews(("cached", ()), d110=("run", ("a", "b", "c", "d", "e"))), PLACES, verbose=True)
    assert "run      a; b; c; d; e (1): 110_2017 종로구\n" in text
    assert "강동구" in text
    assert "  notebooks/60_district.ipynb, 5 cells, after weighting\n" in text
    assert "    district = each of '110', '140', '170'," in text
    assert "    age = 3  # unit: years\n" in text
    assert "    lang = 'en'  (default)\n" in text


def test_an_instance_with_several_reasons_stands_in_one_line_and_the_numbers_add_up():
    text = page(plan(), previews(("run", ("a.py changed", "b.py changed")), d110=("run", ("a.py changed",))), PLACES)
    assert "district (25)  25 run\n    run      b.py changed; a.py changed (24): 140_2017 중구," in text
    assert "    run      a.py changed (1): 110_2017 종로구\n" in text


def test_many_reasons_that_all_share_are_counted():
    text = page(plan(), previews(("run", ("a", "b", "c", "d", "e"))), PLACES)
    assert "district (25)  run      a; b; c and 2 more reasons\n" in text


def test_of_many_different_reasons_the_rest_is_counted_and_told_with_v():
    each = {f"d{code}": ("run", (f"{code}.csv changed",)) for code in DISTRICTS}
    text = page(plan(), previews(**each), PLACES)
    assert "district (25)  25 run\n" in text
    assert "    and 17 further notebooks for other reasons (-v tells them)\n" in text
    assert "740.csv changed (1): 740_2017 강동구" in page(plan(), previews(**each), PLACES, verbose=True)


def test_a_study_without_its_data_says_so_first_and_every_step_is_skipped():
    lines = page(plan(skipped="a.sav is not there."), [], PLACES, width=None).splitlines()
    assert lines[0] == "every step will be skipped: a.sav is not there."
    assert lines[1:] == [
        "profile        skipped",
        "weighting      skipped",
        "district (25)  skipped",
        "report         skipped",
    ]


def test_a_part_of_a_study_is_told_to_be_one():
    assert "28 notebooks, only a part of the study; 1 to run" in page(plan(complete=False), previews(), PLACES)


@pytest.fixture
def survey(tmp_path, monkeypatch):
    folder = tmp_path / "surveys" / "small"
    folder.mkdir(parents=True)
    monkeypatch.setenv("EVALUATION_PROJECT", str(tmp_path))
    rows = ["variable,kind,label_en,codes", "district,categorical,District,district", "age,categorical,Age,age"]
    (folder / "codebook.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    codes = ["list,code,label_ko,label_en", "district,110,종로구,Jongno-gu", "district,140,중구,", "age,1,,young"]
    (folder / "codes.csv").write_text("\n".join(codes) + "\n", encoding="utf-8")
    return folder


def test_codes_get_their_names_from_the_codebook(survey):
    steps = [
        SimpleNamespace(name="district/110_2016", values={"district": "110", "year": 2016}, parameters={"lang": "ko"}),
        SimpleNamespace(name="district/140_1", values={"district": "140", "age": 1}, parameters={"lang": "ko"}),
        SimpleNamespace(name="district/999_2016", values={"district": "999", "year": 2016}, parameters={}),
        SimpleNamespace(name="report", values={}, parameters={}),
    ]
    named = {"district/110_2016": "종로구 (Jongno-gu)", "district/140_1": "중구; young"}
    assert places_of("small", steps) == named
    matrices = {"district": ["district", "year"]}
    for lang, name in (("ko", "종로구 (Jongno-gu)"), ("en", "Jongno-gu (종로구)")):
        assert places_named("small", ["district/110_2016", "report"], matrices, lang) == {"district/110_2016": name}
        steps[0].parameters["lang"] = lang
        assert places_of("small", steps[:1]) == {"district/110_2016": name}
    assert places_named("small", ["district/1_1_0_2016"], matrices, "ko") == {}, "parts that cannot be told apart"


def test_a_codebook_that_cannot_be_read_costs_names_and_nothing_else(survey):
    steps = [SimpleNamespace(name="district/110", values={"district": "110"}, parameters={"lang": "ko"})]
    (survey / "codes.csv").write_text("list,code\ndistrict,110\n", encoding="utf-8")
    assert places_of("small", steps) == {}
    assert places_of("absent", steps) == {}
