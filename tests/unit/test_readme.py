"""The README's walk-throughs run as they stand, one on a file such as it describes, and its numbers are ours."""

import json
import re
import runpy
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.main import get_command

import evaluation as ev
from evaluation import cli
from evaluation.comparison.claim_levels import LEVELS
from evaluation.comparison.comparability import GRADES, Measurement, assess_comparability
from evaluation.releases.compare import compare_studies
from evaluation.releases.words import KINDS
from evaluation.specification import read_study
from evaluation.study.plan import plan_study

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
#: Its text as one line, wherever it breaks.
TEXT = re.sub(r"\s+", " ", README)
SEOUL, SMOKERS, STAGES, OWN_CSV, ENGINE = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def own_survey(n=600):
    rng = np.random.default_rng(11)
    district = np.repeat(["마포구", "종로구", "구로구"], n // 3)
    return pd.DataFrame(
        {
            "id": np.arange(1, n + 1),
            "district": district,
            "block": np.repeat(np.arange(101, 101 + n // 20), 20),
            "weight": rng.uniform(800, 2400, n).round(1),
            "sex": rng.choice(["f", "m"], n),
            "age": rng.choice(["15-29", "30-49", "50+"], n),
            "settle": rng.choice(["yes", "no"], n, p=[0.6, 0.4]),
        }
    )


def run_as_a_notebook_would(code):
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    return names


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949"])
def test_the_walk_through_runs(tmp_path, monkeypatch, encoding):
    columns = re.search(r"```csv\n(.*?)\n", README)[1].split(",")
    frame = own_survey()
    assert list(frame.columns) == columns
    frame.to_csv(tmp_path / "my_survey.csv", index=False, encoding=encoding)
    monkeypatch.chdir(tmp_path)
    names = run_as_a_notebook_would(OWN_CSV)
    assert names["raked"].weights.sum() == pytest.approx(1_000_000)
    written = pd.read_csv(tmp_path / "settle.csv")
    assert sorted(written["district"].unique()) == ["구로구", "마포구", "종로구"]
    last = names["ev"].contrast(
        names["means"], {"women - men": {"settle | level=yes,sex=f": 1, "settle | level=yes,sex=m": -1}}
    )
    assert last.std_error[0] > 0


def test_the_seoul_walk_through_runs_and_finds_what_the_readme_says():
    names = run_as_a_notebook_would(SEOUL)
    assert names["pair"].comparability.grade == 1
    assert names["same"].comparability.grade == 2
    found = names["parts"].tidy().set_index("part")["estimate"]
    stated = re.search(r"the cells above: ([\d.]+) points, of which ([\d.]+), ([\d.]+) and ([\d.]+)\)", README)
    known = ("gap", "item_mismatch", "selection", "effect")
    assert stated.groups() == tuple(f"{100 * found[part]:.1f}" for part in known)
    assert found["selection"] < true_parts()["selection"]


def test_the_comparison_walk_through_runs_and_finds_what_the_readme_says():
    names = run_as_a_notebook_would(SMOKERS)
    claim, rungs = names["claim"], names["ladder"].tidy().set_index("method")
    stated = re.search(
        r"quit gained ([\d.]+) kg, those who went on ([\d.]+)\..*?like them the gain is ([\d.]+) kg\..*?difference is "
        r"([\d.]+) kg \(95 % interval ([\d.]+) to\s+([\d.]+)\);.*?between ([\d.]+) and ([\d.]+)\.",
        README,
        re.S,
    ).groups()
    others, participants = ev.survey_mean(names["smokers"], "wt82_71", by="qsmk").estimate
    alike = ev.survey_mean(names["balanced"], "wt82_71", by="qsmk").estimate[0]
    adjusted = rungs.loc[["regression_adjusted", "g_computation", "entropy", "ipw", "aipw", "overlap"], "estimate"]
    headline = rungs.loc["aipw", ["estimate", "conf_low", "conf_high"]]
    found = (participants, others, alike, *headline, adjusted.min(), adjusted.max())
    assert stated == tuple(f"{value:.1f}" for value in found)
    reached = re.search(
        r"The smokers reach (\w):.*?by a factor of ([\d.]+), and age shifts somebody's by ([\d.]+)\.\s", README, re.S
    )
    assert reached.groups() == (claim.level, claim.facts["en"].breakdown, claim.facts["en"].factor)
    assert claim.facts["en"].strongest == "Age"


def test_the_walk_through_of_a_staged_policy_runs_and_finds_what_the_readme_says(tmp_path, monkeypatch):
    monkeypatch.setenv("EVALUATION_PROJECT", str(ROOT))
    monkeypatch.chdir(tmp_path)
    names = run_as_a_notebook_would(STAGES)
    overall, question = names["overall"], names["question"]
    cells = ev.identified_cells(names["observed"], **question.cells).tidy()
    truth = ev.known_policy_effects("seoul_2016", overall)["truth"].iloc[0]
    by_rule = ev.few_cluster_table(overall, seed=1).tidy().set_index("method")
    stated = re.search(
        r"Of (\d+) effects by cohort and year (\d+) are not identified.*?say that ([\d.]+) points more.*?interval "
        r"([\d.]+) to ([\d.]+); true of the city: ([\d.]+)\).*?error would be ([\d.]+) points\..*?after the other, "
        r"it is ([\d.]+), p = ([\d.]+)\..*?show nothing \(p = ([\d.]+)\), yet.*?by ([\d.]+) times the largest",
        TEXT,
    ).groups()
    in_points = (*overall.tidy().loc[0, ["estimate", "conf_low", "conf_high"]], truth)
    errors = (by_rule.loc["design_alone", "std_error"], by_rule.loc["cv3", "std_error"])
    assert stated[:2] == (str(len(cells)), str(int((~cells["is_identified"]).sum())))
    assert stated[2:8] == tuple(f"{100 * value:.1f}" for value in (*in_points, *errors))
    assert stated[8] == f"{names['headline'].p_value:.3f}" == f"{by_rule.loc['cv3', 'p_value']:.3f}"
    assert stated[9:] == (f"{names['leads'].p_value:.2f}", f"{names['breakdown'].value:.2f}")
    assert (tmp_path / "impact.docx").stat().st_size > 0


def test_the_readme_names_verbs_for_questions_of_impact_that_exist():
    table = README.split("| question | here | in R or Stata |")[1].split("\n\n")[0]
    cells = re.findall(r"^\| [^|]+ \| ([^|]+) \| [^|]*\|$", table, re.M)
    verbs = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert len(cells) == len(table.strip().splitlines()) - 1
    assert len(verbs) > 45
    assert verbs <= set(ev.__all__)
    rooms = {name for room, names in ev._ROOMS.items() if room.startswith("impact.") for name in names}
    assert rooms - verbs <= {"Panel"}


def test_the_engine_walk_through_runs_and_finds_what_the_readme_says(tmp_path, monkeypatch):
    monkeypatch.setenv("EVALUATION_PROJECT", str(ROOT))
    monkeypatch.chdir(tmp_path)
    names = run_as_a_notebook_would(ENGINE)
    design, whole = names["design"], names["everybody"]
    as_given = ev.survey_design(
        names["drawn"].assign(given=design.weights), weights="given", strata="project_type", psu="project_draw"
    )
    stated = re.search(
        r"Of the ([\d,]+) drawn from synthetic Seoul's roster, (\d+) answered; ([\d.]+) % of all.*?error\s+([\d.]+) "
        r"points \(true of the city: ([\d.]+)\).*?make it ([\d.]+)\.",
        README,
        re.S,
    ).groups()
    found = (
        whole.estimate[0],
        whole.std_error[0],
        true_of_participants("stay"),
        ev.survey_mean(as_given, "stay").std_error[0],
    )
    assert stated[:2] == (f"{len(names['drawn']):,}", f"{(design.weights > 0).sum()}")
    assert stated[2:] == (
        f"{100 * found[0]:.1f}",
        f"{100 * found[1]:.2f}",
        f"{100 * found[2]:.1f}",
        f"{100 * found[3]:.2f}",
    )
    assert {path.name for path in (tmp_path / "second_opinion").iterdir()} == {"script.R", "data.csv", "ours.csv"}
    assert "taken as given" in (tmp_path / "second_opinion" / "script.R").read_text(encoding="utf-8")


@pytest.mark.parametrize(("heading", "fewest"), [("| R (`survey`", 40), ("| R, Stata |", 35)])
def test_the_readme_names_verbs_that_exist(heading, fewest):
    translation = re.findall(r"^\| `?[^|]+ \| ([^|]+) \|$", README.split(heading)[1].split("\n\n")[0], re.M)
    verbs = {name for cell in translation for name in re.findall(r"`(\w+)`", cell)}
    assert len(verbs) > fewest
    assert verbs <= set(ev.__all__)


def test_the_readme_states_the_chain_errors_that_are_held_against_r():
    held = (ROOT / "tests" / "peers" / "test_chains_against_r.py").read_text(encoding="utf-8")
    said = README.split("**Where it is another on purpose.**")[1].split("\n\n")[0]
    numbers = re.findall(r"\d{3},\d{3}\.\d{2}", said)
    assert len(numbers) == 4
    assert all(number.replace(",", "") in held for number in numbers)


def test_the_benchmarks_tables_of_coverage_are_those_of_their_files():
    folder = ROOT / "benchmarks"
    shown = rows_with_shares("coverage")
    studies = pd.read_csv(folder / "coverage" / "coverage.csv")
    draws = pd.read_csv(folder / "coverage" / "draws.csv").groupby(["draw", "districts"], sort=False)["coverage"]
    stated = [[population, estimate, f"{100 * ours:.1f} %"] for estimate, population, _, ours in studies.values[:, :4]]
    stated += [[draw, str(n), *(f"{100 * share:.1f} %" for share in part)] for (draw, n), part in draws]
    assert [line[: len(row)] for line, row in zip(shown, stated, strict=True)] == stated


def test_the_benchmarks_table_of_adjusted_comparisons_is_that_of_its_file():
    studies = pd.read_csv(ROOT / "benchmarks" / "coverage" / "comparison.csv")
    shown = {(setting, method): row for setting, method, *row in rows_with_shares("coverage of comparisons")}
    stated = {
        (row.setting, row.method): (f"{100 * row.coverage:.1f} %", f"{row.mean_std_error / row.true_std_error:.2f}")
        for row in studies.itertuples()
    }
    assert {key: tuple(row[-2:]) for key, row in shown.items()} == stated


def test_the_benchmarks_page_holds_the_tables_of_its_files():
    folder = ROOT / "benchmarks"
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert runpy.run_path(str(folder / "fill_page.py"))["filled"](page) == page


def test_the_table_of_impact_benchmarks_is_that_of_its_file(monkeypatch):
    folder = ROOT / "benchmarks" / "impact"
    monkeypatch.syspath_prepend(str(folder))
    benchmark = runpy.run_path(str(folder / "run.py"))
    measured = pd.read_csv(benchmark["RESULT"])
    assert benchmark["table"](measured) == (folder / "table.md").read_text(encoding="utf-8")
    assert measured.loc[measured["same"].ne(True), "times_ours"].isna().all()
    ours = (
        measured[measured["tool"].eq("ours") & measured["n"].ne("50k")].set_index("task").loc[[*benchmark["TARGETS"]]]
    )
    assert (ours["cpu"] <= pd.Series(benchmark["TARGETS"])).all()
    assert (ours["process_mb"] < benchmark["MOST_MEMORY"]).all()


def rows_with_shares(table):
    """Return the rows that hold a percentage, from a table's mark to the end of its section."""
    page = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    section = page.split(f"<!-- table:{table} -->")[1].split("\n## ")[0]
    return [line.strip("| ").split(" | ") for line in section.splitlines() if re.match(r"\|.* % \|", line)]


def test_the_readme_states_how_often_adjusted_intervals_hold_the_truth():
    studies = pd.read_csv(ROOT / "benchmarks" / "coverage" / "comparison.csv").set_index(["method", "setting"])
    bounds = pd.read_csv(ROOT / "benchmarks" / "coverage" / "bounds.csv")
    covered = 100 * studies.loc["aipw", "coverage"]
    right = covered.drop("a trait moves participation")
    stated = re.search(
        r"In ([\d,]+) samples of\s+synthetic Seoul the 95 % interval of `aipw` holds the truth in (\d+) to (\d+) %.*?"
        r"moves participation, in (\d+) %, and only bounds",
        README,
        re.S,
    ).groups()
    assert stated[0] == f"{studies['samples'].iloc[0]:,}"
    assert stated[1:] == tuple(f"{x:.0f}" for x in (right.min(), right.max(), covered["a trait moves participation"]))
    assert bounds["inside"].eq(1).all()


def true_of_participants(item):
    truth = json.loads((ROOT / "surveys" / "seoul_2016" / "truth.json").read_text(encoding="utf-8"))
    return truth["items"][item]["participants"]


def true_parts():
    return json.loads((ROOT / "surveys" / "seoul_2016" / "truth.json").read_text(encoding="utf-8"))["decomposition"]


def test_the_readme_states_the_true_parts_of_the_gap():
    stated = re.search(
        r"of the ([\d.]+) points, ([\d.]+) are the other question, ([\d.]+) are who takes part, and ([\d.]+) are\s+"
        r"the programme",
        README,
    )
    parts = true_parts()
    known = [parts[name] for name in ("gap", "item_mismatch", "selection", "effect")]
    assert list(stated.groups()) == [f"{100 * value:.1f}" for value in known]


def test_the_readme_gives_every_grade_the_words_the_workbench_uses():
    table = dict(re.findall(r"^\| ([1-5]) \| [^|]+ \| ([^|]+) \|$", README, flags=re.MULTILINE))
    side = Measurement("stay", population="residents")
    for evidence, grade in GRADES.items():
        verdict = assess_comparability(side, side, evidence=evidence, contains_participants=False)
        words = set(re.findall(r"[a-z]{3,}", verdict.strongest_sentence("d", "en")))
        assert set(re.findall(r"[a-z]{3,}", table[str(grade)])) <= words


def test_the_readme_names_what_exists():
    surveys, studies = README.split("| study |")
    for survey in re.findall(r"^\| `(\w+)` \|", surveys, flags=re.MULTILINE):
        assert (ROOT / "surveys" / survey / "survey.yml").is_file()
    for study in re.findall(r"^\| `(\w+)` \|", studies, flags=re.MULTILINE):
        assert (ROOT / "params" / f"{study}.yml").is_file()
    for notebook in re.findall(r"\b(\d\d_\w+)\b", README):
        assert (ROOT / "notebooks" / f"{notebook}.ipynb").is_file()
    for picture in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README):
        assert (ROOT / picture).is_file(), picture


def test_the_readme_lists_all_surveys_and_studies():
    for path in [*(ROOT / "surveys").glob("*/survey.yml"), *(ROOT / "params").glob("*.yml")]:
        name = path.parent.name if path.name == "survey.yml" else path.stem
        assert f"| `{name}` |" in README


def test_the_readme_counts_the_claims_of_the_register():
    register = pd.read_csv(ROOT / "params" / "claims" / "api_2000.csv")
    stated = int(re.search(r"(\d+) printed numbers, all reproduced", README)[1])
    assert stated == len(register)
    assert (register["reproducible"] == "yes").all()


def test_the_readme_counts_the_numbers_of_the_textbook():
    register = pd.read_csv(ROOT / "params" / "claims" / "nhefs_1982.csv")
    reproducible = int((register["reproducible"] == "yes").sum())
    counts = [str(len(register)), str(reproducible), str(len(register) - reproducible)]
    said = re.search(r"(\d+) numbers of the book against ours: (\d+) come out as printed; the other (\d+) are", README)
    listed = re.search(r"(\d+) printed numbers: (\d+) reproduced, (\d+) with the reason why not", README)
    assert list(said.groups()) == list(listed.groups()) == counts


def test_the_readme_counts_what_was_printed_of_the_states():
    register = pd.read_csv(ROOT / "params" / "claims" / "castle_doctrine.csv")
    said = re.search(r"and gives all (\d+) numbers that were printed", TEXT)[1]
    listed = re.search(r"(\d+) printed numbers, each reproduced", README)[1]
    assert said == listed == str(len(register))
    assert (register["reproducible"] == "yes").all()
    states = pd.read_csv(ROOT / "surveys" / "castle_doctrine" / "castle.csv")
    ever = states.groupby("state")["law_year"].max()
    stated = re.search(r"on (\d+) states, of which (\d+) widened", TEXT).groups()
    assert stated == (str(len(ever)), str(int((ever > 0).sum())))


def test_the_readme_names_the_levels_of_a_claim():
    levels = re.findall(r"^\| ([A-D]) \| [^|]* \| [^|]+ \|$", README, flags=re.MULTILINE)
    assert levels == [level for level in LEVELS if level != "refused"]


def test_the_readme_counts_the_reference_cases():
    files = (ROOT / "tests" / "reference" / "comparison").glob("*_expected.json")
    cases = sum(len(json.loads(path.read_text(encoding="utf-8"))["cases"]) for path in files)
    assert f"[{cases} cases](tests/reference/comparison/README.md)" in README


def test_the_readme_counts_the_reference_cases_of_impact():
    folder = ROOT / "tests" / "reference" / "impact"
    cases = [
        (case.get("data") or "none").split()[0]
        for path in folder.glob("*.json")
        for case in json.loads(path.read_text(encoding="utf-8"))["cases"].values()
    ]
    elsewhere = [name for name in cases if name.endswith(".csv") and not (folder / name).exists()]
    stated = re.search(r"\[(\d+) cases\]\(tests/reference/impact/README.md\).*?met in the tests, (\d+) of them", TEXT)
    assert stated.groups() == (str(len(cases)), str(len(elsewhere)))


def test_the_readme_counts_the_judged_claims():
    register = pd.read_csv(ROOT / "params" / "claims" / "seoul_2016.csv")
    assert {int(number) for number in re.findall(r"(\d+) (?:published )?claims", README)} == {len(register)}


def test_the_readme_states_the_published_result():
    rows = pd.read_csv(ROOT / "outputs" / "reference" / "api_2000" / "tables" / "mean_by_design.csv")
    error = rows.set_index("design")["std_error"]
    stated = re.search(
        r"(\d+) schools of 15 districts, weighted (\w+) ways.*?from ([\d.]+)\s+to (\d+) points", README, re.S
    )
    schools, ways, before, after = stated.groups()
    assert (int(schools), ways) == (rows["n_obs"].max(), "six")
    assert len(rows) == 6
    assert (before, after) == (f"{error['clus1']:.1f}", f"{error['clus1_calibrated']:.0f}")


BATCH = README.split("## The annual batch")[1].split("\n## ")[0]
YEARS = README.split("## This year against last year")[1].split("\n## ")[0]


def test_the_readme_shows_the_annual_batch_as_it_is_planned():
    planned = plan_study(read_study("seoul_2017", resolved=False))
    per_step = Counter(step.step for step in planned.steps)
    shown = re.findall(r"^(\w+)(?: \((\d+)\))? {2,}(?:ok|failed|blocked|\d+ ok) ", BATCH, re.M)
    assert {name: int(count or 1) for name, count in shown} == per_step
    assert {int(number) for number in re.findall(r"(\d+) (?:of 80 )?notebooks", BATCH)} == {len(planned.steps)} == {80}
    districts = {step.values["district"] for step in planned.steps if step.step == "district"}
    assert f"one for each of {len(districts)} districts in three waves" in re.sub(r"\s+", " ", BATCH)
    assert per_step["district"] == 3 * len(districts)


def test_the_readme_names_commands_and_options_that_exist():
    commands = get_command(cli.app).commands
    named = set(re.findall(r"python3 run\.py ([\w-]+)", README))
    assert {"plan", "run", "status", "compare", "sign-off", "accept"} <= named
    assert named - {"test", "check", "lab"} <= set(commands)
    known = {option for command in commands.values() for each in command.params for option in each.opts}
    known |= {option for command in commands.values() for each in command.params for option in each.secondary_opts}
    options = set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", BATCH + YEARS))
    assert {"--only", "--fail-fast", "--force", "--kernel", "--jobs", "--reason"} <= options <= known


def test_the_readme_gives_every_exit_code():
    codes = [int(code) for code in re.findall(r"^\| (\d+) \| [^|]+ \|$", BATCH, re.M)]
    assert codes == [0, 1, cli.BAD_INPUT, cli.STOPPED]


def test_the_readme_gives_every_kind_of_difference_what_it_needs():
    rows = re.findall(r"^\| ([a-z, ]+) \| [^|]+ \| ([^|]+) \|$", YEARS, re.M)[1:]
    needs = {kind: need for kinds, need in rows for kind in kinds.split(", ")}
    assert set(needs) == {text.en.split(" (")[0] for kind, text in KINDS.items() if kind != "same"}
    assert {kind for kind, need in needs.items() if need.startswith("always")} == {"revised", "gone"}
    threshold = read_study("seoul_2017", resolved=False).compared_with.threshold
    assert needs["changed"] == f"a reason beyond the threshold ({threshold:g} standard errors of the difference)"


@pytest.mark.skipif(
    not (ROOT / "outputs" / "reference" / "seoul_2017").is_dir(), reason="seoul_2017 is not published in this copy"
)
def test_the_readme_states_what_differs_between_the_published_years(tmp_path, monkeypatch):
    for name in ("pyproject.toml", "notebooks", "params", "surveys"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "reference").symlink_to(ROOT / "outputs" / "reference")
    monkeypatch.setenv("EVALUATION_PROJECT", str(tmp_path))
    found = compare_studies("seoul_2016", "seoul_2017", out=tmp_path / "compared")
    counts, verdict, unmeasured, *_ = found.summary().split("\n")
    said = re.sub(r"\s+", " ", YEARS)
    assert counts.split(": ", 1)[1] in said
    assert verdict in said
    assert unmeasured in said


def test_the_table_of_workflow_benchmarks_is_that_of_its_file():
    folder = ROOT / "benchmarks" / "workflow"
    if not (folder / "workflow.csv").is_file():
        pytest.skip("the annual batch was not measured in this copy: python benchmarks/workflow/run.py")
    benchmark = runpy.run_path(str(folder / "run.py"))
    measured = pd.read_csv(folder / "workflow.csv", keep_default_na=False)
    lines = (folder / "table.md").read_text(encoding="utf-8").splitlines()[2:]
    shown = [line.strip("|").split("|") for line in lines]
    assert len(shown) == len(measured)
    for cells, row in zip(shown, measured.to_dict("records"), strict=True):
        way = benchmark["WAYS"].get(row["way"], ("ours",))[0]
        assert (cells[1].strip(), int(cells[2])) == (way, 1 if row["way"] == "plan" else row["count"])
        assert [float(cells[3]), float(cells[4])] == pytest.approx([row["wall"], row["cpu"]], abs=0.0056)
        assert row["way"] == "plan" or cells[-1].strip() == row["same"] == "yes"
