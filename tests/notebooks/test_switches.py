"""What the notebooks say of a synthetic Seoul in which one thing at a time is switched on or off.

Each city gets a project of its own, with its samples and its truth; the cells of the templates themselves are run on
it, in their order, and what they show is read.
"""

import ast
import contextlib
import functools
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pandas as pd
import pytest

import evaluation as ev
from evaluation import project
from evaluation.synthetic.files import FILES, rounded, values_sha256
from evaluation.synthetic.population import synthesize
from evaluation.synthetic.sampling import MODE_SHIFT, citizen_survey, participant_roster
from evaluation.synthetic.switches import Switches
from evaluation.synthetic.truth import truth_of

ROOT = Path(__file__).resolve().parents[2]
STUDY = "seoul_2016"
CITIZENS, ROSTER, WAVES = "citizens_2016.parquet", "roster_2016.parquet", "citizens_2010_2019.parquet"
#: One survey meets some 530 participants, too few to tell what the trait or nonresponse does from chance.
CITIZEN_DRAWS, ROSTER_DRAWS = 4, 8
LINES = ("gap", "item_mismatch", "others_against_all", "selection_and_effect")
#: Words for a cause, which no sentence about a difference may use.
CAUSE = re.compile(r"\beffects?\b|\bcaused?\b|\bbrought about\b|효과|때문", re.IGNORECASE)


def pooled(draw, number, unit, city):
    """Several draws of one survey as one: chances and units stay what they are, weights share the population."""
    parts = []
    for seed in range(1, number + 1):
        part = draw(city, seed=seed)
        part[unit] += seed * 10**9
        weights = [name for name in part if name.startswith("weight")]
        parts.append(part.assign(**(part[weights] / number)))
    whole = pd.concat(parts, ignore_index=True)
    return whole.assign(person_id=range(1, len(whole) + 1))


SAMPLES = {
    CITIZENS: functools.partial(pooled, citizen_survey, CITIZEN_DRAWS, "block_draw"),
    ROSTER: functools.partial(pooled, participant_roster, ROSTER_DRAWS, "project_draw"),
    WAVES: FILES[WAVES],
}


def build(root, files, switches):
    """Write a project whose samples and whose truth are those of another city."""
    shutil.copyfile(ROOT / "pyproject.toml", root / "pyproject.toml")
    shutil.copytree(ROOT / "params", root / "params")
    survey = root / "surveys" / STUDY
    shutil.copytree(ROOT / "surveys" / STUDY, survey, ignore=shutil.ignore_patterns("generated"))
    (survey / "generated").mkdir()
    city = synthesize(switches=switches)
    text = (survey / "survey.yml").read_text(encoding="utf-8")
    for name in files:
        sample = SAMPLES[name](city).astype({"data": "category"})
        sample.to_parquet(survey / "generated" / name, index=False)
        stated = rf'({re.escape(name)}\n.*?sha256: ")\w+("\n +rows: )\d+'
        new = rf"\g<1>{values_sha256(sample)}\g<2>{len(sample)}"
        text, found = re.subn(stated, new, text, count=1, flags=re.DOTALL)
        assert found == 1
    (survey / "survey.yml").write_text(text, encoding="utf-8")
    truth = json.dumps(rounded(truth_of(city)), ensure_ascii=False)
    (survey / "truth.json").write_text(truth, encoding="utf-8")


def cells_behind(sources, wanted):
    """Places of the cells that are wanted and of all that make what they use."""

    def names(place, kind):
        found = ast.walk(ast.parse(sources[place]))
        return {node.id for node in found if isinstance(node, ast.Name) and isinstance(node.ctx, kind)}

    kept = {0, 1}
    left = list(wanted)
    while left:
        place = left.pop()
        if place not in kept:
            kept.add(place)
            for name in names(place, ast.Load):
                left += [at for at in range(place) if name in names(at, ast.Store)][-1:]
    return sorted(kept)


def run(root, notebook, *wanted, **parameters):
    """Run the cells of a template that give the wanted names, and the headline where that is wanted.

    ``shown`` is what a cell shows, by the name that it gives, ``said`` its text, ``made`` all that has a name.
    """
    node = nbformat.read(ROOT / "notebooks" / f"{notebook}.ipynb", as_version=4)
    cells = [cell for cell in node.cells if cell.cell_type == "code"]
    sources = [cell.source for cell in cells]
    places = {}
    for name in wanted:
        gives = re.compile(rf"^{name} = ", re.MULTILINE)
        tagged = [at for at, cell in enumerate(cells) if name in cell.metadata.get("tags", [])]
        [places[name]] = tagged or [at for at, source in enumerate(sources) if gives.search(source)]
    made, shown = {}, {}
    with in_project(root):
        for place in cells_behind(sources, places.values()):
            *body, last = ast.parse(sources[place]).body
            shows = isinstance(last, ast.Expr)
            exec(compile(ast.Module(body if shows else [*body, last], []), cells[place].id, "exec"), made)
            if shows:
                value = eval(compile(ast.Expression(last.value), cells[place].id, "eval"), made)
                shown |= {name: value for name in wanted if places[name] == place}
            made |= parameters if place == 0 else {}
        said = {name: repr(value) for name, value in shown.items()}
    return SimpleNamespace(root=root, made=made, shown=shown, said=said, truth=truth_at(root))


@contextlib.contextmanager
def in_project(root, lang="en"):
    with pytest.MonkeyPatch.context() as here:
        here.setenv(project.PROJECT_VARIABLE, str(root))
        here.delenv(project.RUN_VARIABLE, raising=False)
        here.setattr(project, "_language", lang)
        here.setattr(project, "_study", None)
        yield


def truth_at(root):
    return json.loads((root / "surveys" / STUDY / "truth.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def city(tmp_path_factory):
    """Give the project of a city, made once: ``city(files, switch=...)``."""

    @functools.cache
    def project_of(*files, **switches):
        root = tmp_path_factory.mktemp("city")
        build(root, files, Switches(**switches))
        return root

    return project_of


IMPACT = ("schedule", "effects", "events", "truth", "leads", "overall", "dose", "signs", "nearby", "headline")


@pytest.fixture(scope="module")
def impact(city):
    """Give the impact notebook of a city, run once."""
    return functools.cache(lambda **switches: run(city(WAVES, **switches), "40_impact", *IMPACT))


@pytest.fixture(scope="module")
def people(city):
    """Give the project of a city's citizens and roster."""
    return functools.partial(city, CITIZENS, ROSTER)


def rows(page, name, key):
    return page.made[name].tidy().set_index(key)


def holds(row, truth):
    return row["conf_low"] <= truth <= row["conf_high"]


# --- participants and others -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def comparison(city, people):
    """Give what the comparison notebook says of a city's citizens by the names that are wanted."""

    @functools.cache
    def run_comparison(*wanted, **switches):
        return run(city(CITIZENS, **switches) if switches else people(), "30_comparison", *wanted)

    return run_comparison


@pytest.fixture(scope="module")
def observational(comparison):
    """The comparison as it is by default: what moves participation was not all measured."""
    return comparison("compared", "balance", "truth", "bounds", "parts")


def true_parts(page):
    parts = page.truth["decomposition"]
    return {**parts, "selection_and_effect": parts["selection"] + parts["effect"]}


def test_without_the_unobserved_trait_all_parts_and_the_last_rung_recover_the_truth(comparison):
    page = comparison("truth", "parts", unobserved_trait=False)
    parts = rows(page, "parts", "part")
    for line, truth in true_parts(page).items():
        assert holds(parts.loc[line], truth), line
    last = rows(page, "truth", "method").loc["aipw"]
    assert last["is_covered"] == "yes"
    assert re.search(r"doubly robust.* yes\n", page.said["truth"])


def test_with_the_trait_the_identified_parts_do_and_the_doubly_robust_rung_is_too_high_by_what_it_makes(observational):
    page = observational
    parts, truth = rows(page, "parts", "part"), true_parts(page)
    for line in LINES:
        assert holds(parts.loc[line], truth[line]), line
        assert parts.loc[line, "identified"] == "yes"
    assert parts.loc["effect", "conf_low"] > truth["effect"]
    assert parts.loc["effect", "identified"].startswith("assumed: nothing unobserved")
    assert page.said["parts"].count("assumed: nothing unobserved moves both participation and the answer") == 2
    last = rows(page, "truth", "method").loc["aipw"]
    hidden = page.truth["items"]["stay"]["selection_unobserved"]
    assert last["is_covered"] == "no"
    assert last["missed_by"] == pytest.approx(hidden, abs=2 * last["std_error"])
    assert re.search(r"doubly robust.* no\n", page.said["truth"])


def test_with_the_trait_the_bounds_hold_the_truth_and_the_words_stay_at_a_difference(observational):
    page = observational
    truth, compared = page.truth["items"]["stay"]["att"], page.made["compared"]
    marginal = page.truth["odds_bounds"]["lambda"]
    for bounds in (page.made["bounds"], ev.sensitivity_bounds(compared.design, **compared.effects, lambda_=marginal)):
        table = bounds.tidy().pivot(index="lambda", columns="quantity", values="estimate")
        widest = table.loc[table.index.max()]
        assert widest["bound_low"] < truth < widest["bound_high"]
        assert not (table.loc[1.0, "bound_low"] < truth < table.loc[1.0, "bound_high"])
    assert "grade 2: adjusted cross-section" in page.said["compared"]
    assert "remains between participants and others alike in what was observed" in page.said["compared"]
    assert not CAUSE.search(page.said["compared"])


def test_participants_and_others_differ_by_village_plan_only_where_both_programmes_chose_the_same_places(
    comparison, observational
):
    on = observational.made["balance"]
    off = comparison("balance", overlap_in_place=False).made["balance"]

    def plans(table, method):
        return table.tidy().query("covariate == 'village_plan' and method == @method")["smd"]

    assert (plans(on, "survey_weighted").abs() > 0.1).all()
    assert (plans(off, "survey_weighted").abs() < 0.1).all()
    for method in ("propensity_weights", "entropy_balance"):
        assert len(plans(on, method))
        assert (plans(on, method).abs() < 0.02).all(), "and weighting takes it away"


# --- who answers, and how they are asked -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def report(people):
    """Give the report's comparison of the roster's respondents with participants met by the citizen survey."""

    def run_report(lang="en", **switches):
        chosen = {"study": STUDY, "lang": lang, "outcome": "happy", "by": "participant"}
        return run(people(**switches), "50_report", "roster", "sources", **chosen)

    return functools.cache(run_report)


def test_the_roster_is_above_the_truth_only_where_the_sociable_answer_more_often(report):
    for page, is_informative in ((report(), True), (report(informative_nonresponse=False), False)):
        truth = page.truth["items"]["happy"]["participants"]
        expected = page.truth["expectations"]["roster"]["happy"]
        roster = page.made["roster"].tidy().iloc[0]
        assert (expected > truth + 0.02) == is_informative
        assert holds(roster, expected)
        assert holds(roster, truth) != is_informative
        assert (roster["estimate"] > truth + 0.01) == is_informative


def test_roster_and_citizens_are_held_against_each_other_as_a_difference_with_its_interval(report):
    page = report()
    difference = rows(page, "sources", "quantity").loc["difference"]
    seen = {name: page.truth["expectations"][name]["happy"] for name in ("roster", "citizens")}
    assert holds(difference, seen["roster"] - seen["citizens"]["participants"])
    shown = f"[{difference['conf_low']:.4f}, {difference['conf_high']:.4f}]"
    for lang, words in (("en", "Difference between independent samples"), ("ko", "독립 표본 사이의 차이")):
        said = report(lang=lang).said["sources"]
        assert words in said
        assert shown in said
        assert not CAUSE.search(said)


def test_modes_of_interview_differ_only_where_an_interviewer_turns_no_into_yes(report):
    covariates = list(ev.read_prespecification(STUDY).content.covariates)
    for page, is_moved in ((report(mode_effect=True), True), (report(), False)):
        found = ev.mode_contrast(page.made["design"], "stay", covariates=covariates)
        difference = found.tidy().set_index("quantity").loc["difference"]
        swayed = MODE_SHIFT * (1 - page.truth["items"]["stay"]["all"])
        assert holds(difference, -swayed) == is_moved
        assert holds(difference, 0.0) != is_moved
        for lang, mode in (("en", "Web"), ("ko", "웹")):
            with in_project(page.root, lang):
                said = repr(ev.table(found))
            assert mode in said
            assert not CAUSE.search(said)


# --- the staged roll-out -----------------------------------------------------------------------------------------


def after_the_start(page):
    """Rows of the event study beside the truth, from the start on."""
    return rows(page, "truth", "event_time").query("event_time >= 0")


def two_way(page, first):
    """The notebook's own two-way regression on the later waves alone."""
    late = ev.domain(page.made["exposed"], {"year": list(range(first, 2020))})
    return ev.twfe(late, outcome="knows_center", treatment="dose", unit="district", time="year", cluster="district")


def test_as_it_is_the_notebook_finds_a_staggered_design_and_recovers_the_truth(impact):
    page = impact()
    assert page.made["overall"].confidence_interval()[0, 0] > 0
    assert (rows(page, "truth", "event_time")["is_covered"] == "yes").all()
    assert "Evidence: grade 4: staggered design." in page.said["headline"]
    assert "followed the roll-out, under the stated assumptions" in page.said["headline"]


def test_where_cohorts_gain_differently_two_way_fixed_effects_miss_what_group_time_effects_find(impact):
    for page, differ in ((impact(), True), (impact(heterogeneous_effects=False), False)):
        truth = page.truth["rollout"]["on_covered"]
        coefficient = two_way(page, 2016).tidy().iloc[0]
        assert holds(coefficient, truth) != differ
        assert (coefficient["estimate"] < truth / 2) == differ
        assert (after_the_start(page)["is_covered"] == "yes").all()
        assert re.fullmatch(r"46 of 105 treated cells have negative weight .* subtracted\.", page.said["signs"])


def test_where_effects_grow_two_way_fixed_effects_turn_the_sign_and_group_time_effects_do_not(impact):
    page = impact(growing_effects=True)
    assert page.truth["rollout"]["on_covered"] > 0.10
    whole = page.made["dose"].tidy().iloc[0]
    assert whole["conf_high"] < 0.05, "half of what covered residents gained lies above all that it allows for"
    for first in (2015, 2016):
        assert two_way(page, first).confidence_interval()[0, 1] < 0
        assert two_way(impact(), first).estimate[0] > 0
    nearby = rows(page, "nearby", "term").loc["uncovered_neighbour"]
    assert nearby["conf_high"] < 0, "as if the others lost by it, who lost nothing"
    assert (after_the_start(page)["is_covered"] == "yes").all()
    assert page.made["overall"].confidence_interval()[0, 0] > 0
    assert "effects there are subtracted" in page.said["signs"]


def test_a_trend_before_the_start_lowers_the_grade_and_changes_the_sentence(impact):
    page = impact(pre_trend=5.0)
    assert page.made["leads"].p_value < 0.01
    after = after_the_start(page)
    assert (after["missed_by"] > 0).all()
    assert after.loc[1, "is_covered"] == "no"
    assert "Before the start: it moved before the start" in page.said["headline"]
    assert "Evidence: grade 2" in page.said["headline"]
    assert "(lowered: pre-trend)" in page.said["headline"]
    sentence = page.said["headline"].splitlines()[0]
    assert sentence.startswith("The change in districts reached early differed by 6.3 percentage points (3.8 to 8.8)")
    assert "nothing is ascribed to the policy" in sentence
    assert "followed the roll-out" in impact().said["headline"].splitlines()[0]
    with in_project(page.root, "ko"):
        korean = repr(page.shown["headline"])
    assert "시행 전에 이미 움직임" in korean
    assert korean.startswith("먼저 시행된 자치구의 변화가")
    assert "Before the start: no effect found before the start" in impact().said["headline"]


def test_anticipation_that_nobody_declared_shrinks_the_estimate_of_an_effect_that_grew(impact):
    """One draw's leads cannot see a sixth of the effect; the same people asked in both cities show what it does."""
    on, off = impact(anticipation=True), impact()
    early = [at(page, -1) for page in (on, off)]
    assert early[0]["truth"] > 0.005 > early[1]["truth"] == 0
    assert early[0]["estimate"] > early[1]["estimate"]
    assert "no effect found before the start" in on.said["headline"]
    first = [rows(page, "truth", "event_time").loc[0] for page in (on, off)]
    assert first[0]["truth"] > first[1]["truth"] + 0.004
    assert first[0]["estimate"] < first[1]["estimate"] - 0.004
    declared = [at(page, 0, anticipation=1) for page in (on, off)]
    assert declared[0]["truth"] > declared[1]["truth"] + 0.004
    assert declared[0]["estimate"] > declared[1]["estimate"] + 0.004


def at(page, since, **changed):
    """Years since the start against the year before each, with other arguments than those that were fixed."""
    effects = ev.att_gt(page.made["observed"], **(page.made["question"].effects | changed), vcov="jackknife")
    events = ev.aggregate(effects, type="dynamic", supported_only=True)
    with in_project(page.root):
        known = ev.known_policy_effects(STUDY, events)
    return ev.against_truth(events, known).tidy().set_index("event_time").loc[since]


def test_spillover_shows_as_a_change_where_the_own_dong_is_not_covered(impact):
    """Two points in the uncovered dongs of begun districts: the column for them is above nothing only when on."""
    on, off = impact(spillover=True), impact()
    ahead = [[row["effect"] for row in page.truth["rollout"]["by_dong_cohort"] if row["year"] < row["dong_cohort"]]
             for page in (on, off)]  # fmt: skip
    assert 0 < max(ahead[0]) <= 0.02
    assert set(ahead[1]) == {0.0}
    with_, without = (rows(page, "nearby", "term").loc["uncovered_neighbour"] for page in (on, off))
    assert 0.01 < with_["estimate"] - without["estimate"] < 0.03
    assert with_["conf_low"] > 0
    assert without["conf_low"] <= 0
    assert "own dong not covered in a started district" in on.said["nearby"]
    own = [rows(page, "nearby", "term").loc["dong_covered", "estimate"] for page in (on, off)]
    assert own[0] == pytest.approx(own[1], abs=0.001)


def test_a_file_that_carries_the_plan_is_told_apart_and_bears_no_sentence_about_the_policy(impact):
    page, calm = impact(planned_schedule=True), impact()
    assert calm.said["schedule"] == "The file carries the realised roll-out in all 25 districts."
    assert page.said["schedule"].startswith("The file carries the plan, not what happened")
    assert "Districts that differ from what happened: Jung-gu" in page.said["schedule"]
    own, realised = (rows(one, "nearby", "term").loc["dong_covered", "estimate"] for one in (page, calm))
    assert 0 < own < 0.8 * realised
    assert "grade 1" in page.said["headline"]
    assert "(lowered: another schedule than the realised one)" in page.said["headline"]
    assert "nothing is ascribed to the policy" in page.said["headline"].splitlines()[0]


def test_a_new_wording_shows_as_a_break_of_the_trend_in_its_year_and_nowhere_else(city):
    chosen = {"study": STUDY, "outcome": "rely", "by": "participant"}
    page = run(city(WAVES, wording_break=True), "50_report", "breaks", lang="ko", **chosen)
    with in_project(page.root):
        english = repr(page.shown["breaks"])
    for said, words in ((page.said["breaks"], "2015년에"), (english, "in 2015; check the wording.")):
        flagged = said.splitlines()[1:]
        assert len(flagged) == 1
        assert words in flagged[0]
    calm = run(city(WAVES), "50_report", "breaks", **chosen)
    assert calm.said["breaks"].splitlines()[1:] == ["no jump beyond sampling error"]
