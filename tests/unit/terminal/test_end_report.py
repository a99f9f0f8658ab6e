"""The page at the end of a run, read as text."""

import re
import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.cells import cell_len

from evaluation.study.states import CellWarning, Failure
from evaluation.terminal.end_report import end_report, one_line
from evaluation.terminal.sheet import rendered
from evaluation.terminal.snapshot import RunView, StepView

made = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("handmade_batch.py"))))
DISTRICTS, NO_80, batch, district = made.DISTRICTS, made.NO_80, made.batch, made.district


def page(run, width=80, **options):
    return rendered(end_report(run, width=width, **options), width=width or 80)


def section(text, heading):
    """Lines below a heading, to the next line that is not indented."""
    _, _, rest = text.partition(f"\n{heading}")
    lines = []
    for line in rest.splitlines()[1:]:
        if line and not line.startswith(" "):
            break
        lines.append(line)
    return "\n".join(lines)


def all_districts(codes=(), **changed):
    """A batch of nothing but the 25 districts, some of which failed in cell 5; ``changed`` is their failure."""
    views = [
        district(code, "failed", done=4, failure=Failure(5, **{name: text(code) for name, text in changed.items()}))
        if code in codes
        else district(code)
        for code in DISTRICTS
    ]
    return RunView("seoul_2017", "failed", tuple(views), folder="outputs/failed/seoul_2017", elapsed=60.0)


def margin_error(code):
    return "MarginError"


def test_the_page_of_a_batch_with_two_failures_says_where_why_and_what_to_do():
    text = page(batch())
    lines = text.splitlines()
    assert lines[0] == "seoul_2017, run 7: FAILED after 12:31"
    assert lines[1] == "29 of 29 notebooks: 22 ok, 3 cached, 1 failed, 1 timed-out, 2 blocked"
    assert re.search(r"^district \(25\) +21 ok, 2 cached, 1 failed, 1 timed-out +334/350 +\d+:\d\d$", text, re.M)
    assert "  district/680_2017, 강남구 (Gangnam-gu): failed in cell [5] of 14 after 21 s\n" in text
    assert "    outputs/failed/seoul_2017/notebooks/60_district/680_2017.ipynb, cell [5]\n" in text
    assert "Merge it with '70-79'" in text
    assert "district/620_2017, 관악구 (Gwanak-gu): timed out in cell [9] of 14 after 10:04" in text
    never = section(text, "Never ran (2)")
    assert "districts: needs district/620_2017 관악구 (timed-out),\n    district/680_2017 강남구 (failed)\n" in never
    assert "report: needs districts (blocked)" in never
    assert "src/evaluation/weighting/raking.py changed: weighting" in section(text, "Why they ran")
    assert "never run: district (23 of 25)" in section(text, "Why they ran")
    assert "FewClustersWarning: 4 clusters are treated (district/350_2017 노원구, cell [7]" in text
    assert section(text, "Slowest").strip().startswith("district/620_2017 관악구: 10:04")
    assert "Disk used: run 23 MB, cache 118 MB" in text
    assert "\nNext: mend what failed, then run again, 25 notebooks that ended well are kept:\n" in text
    assert "\n  evaluation run seoul_2017\n" in text
    joined = " ".join(line.strip() for line in lines[-2:])
    assert joined == (
        "seoul_2017: failed; this run is kept in outputs/failed/seoul_2017, outputs/seoul_2017 was not touched"
    )


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_no_line_is_wider_than_the_terminal_but_files_to_be_copied(width):
    for line in page(batch(), width).splitlines():
        assert cell_len(line) <= width or line.strip().startswith("outputs/"), line


def test_without_a_terminal_no_sentence_is_broken():
    text = page(batch(), None)
    assert "['80+'] (target 412,300 persons, 0 respondents).\n" in text
    assert text.splitlines()[-1].startswith("seoul_2017: failed; this run is kept in outputs/failed/seoul_2017, outp")


@pytest.mark.parametrize("width", [40, 80, None])
def test_the_counts_add_up_to_every_notebook_and_each_broken_one_is_named(width):
    run = batch()
    text = page(run, width)
    numbers = re.search(r"29 of 29 notebooks:(.*?)\n\n", text, re.S)[1]
    assert sum(map(int, re.findall(r"\d+", numbers))) == 29
    for code in ("620", "680"):
        assert f"district/{code}_2017" in text


def test_the_same_failure_of_all_25_is_told_once_and_every_district_is_named():
    text = page(all_districts(DISTRICTS, error=margin_error, message=lambda _: NO_80))
    assert text.splitlines()[1] == "25 of 25 notebooks: 25 failed"
    assert text.count("levels absent") == 1
    told = " ".join(section(text, "What failed (25)").split())
    assert "the same in 24 more: 140_2017 중구," in told
    for code, (korean, _) in DISTRICTS.items():
        assert f"{code}_2017" in told
        assert korean in told
    assert len(text.splitlines()) < 40, "one page"


def test_failures_of_one_kind_with_texts_of_their_own_keep_their_texts():
    run = all_districts(list(DISTRICTS)[:9], error=margin_error, message=lambda code: f"{code} has one psu\nmore")
    told = section(page(run), "What failed (9)")
    assert "MarginError: 110 has one psu" in told
    assert "    140_2017 중구: MarginError: 140 has one psu\n" in told
    assert "a like failure in 3 more: 260_2017 중랑구, 290_2017 성북구, 305_2017 강북구" in told
    everything = section(page(run, full=True), "What failed (9)")
    assert "305_2017 강북구: MarginError: 305 has one psu" in everything


def test_of_a_long_error_the_first_lines_and_the_last_are_told():
    message = "\n".join(f"line {number}" for number in range(100)) + "\nMerge it."
    run = all_districts(["680"], error=margin_error, message=lambda _: message)
    told = section(page(run), "What failed (1)")
    assert "line 22\n" in told
    assert "line 50" not in told
    assert "... (77 further lines in that notebook)\n    Merge it." in told
    assert "line 50" in page(run, full=True)


def test_a_batch_of_which_all_went_well_fits_on_few_lines_and_ends_with_the_page_to_open():
    steps = (StepView("profile", "cached", 24, 24), StepView("report", "ok", 5, 5, 3.2, why=("never run",)))
    run = RunView("api_2000", "ok", steps, number=2, elapsed=4.0, page="outputs/api_2000/report/index.html")
    assert [line.rstrip() for line in page(run).splitlines()] == [
        "api_2000, run 2: ok after 4.0 s",
        "2 of 2 notebooks: 1 ok, 1 cached",
        "",
        "step     state   cells   time",
        "profile  cached  24/24",
        "report   ok        5/5  3.2 s",
        "",
        "Why they ran",
        "  never run: report",
        "",
        "api_2000: ok, outputs/api_2000/report/index.html",
    ]


def test_a_dead_run_says_what_was_under_way_and_that_the_next_run_goes_on():
    views = list(batch().steps[:10])
    views += [StepView("district/305_2017", "interrupted", 6, 14, place="강북구 (Gangbuk-gu)")]
    views += [StepView(f"district/{code}_2017", "waiting", cells=14) for code in list(DISTRICTS)[9:]]
    run = RunView("seoul_2017", "dead", tuple(views), 8, 192.0, "outputs/.staging/seoul_2017", pid=4711)
    text = page(run)
    assert text.startswith("seoul_2017, run 8: DEAD after 3:12: process 4711 ended before the run did\n")
    assert "district/305_2017, 강북구 (Gangbuk-gu): cell 7 of 14" in section(
        text, "Under way when the process died (1)"
    )
    never = section(text, "Never ran (16)")
    assert "and 4 more (16): the process died before its turn came" in " ".join(never.split())
    assert "Next: run again, 10 notebooks that ended well are kept:\n  evaluation run seoul_2017\n" in text


def test_a_running_batch_says_when_it_last_gave_a_sign_of_life_and_how_to_stop_it():
    steps = (StepView("profile", "running", 3, 24, 12.0), StepView("report", "waiting", cells=5))
    text = page(RunView("api_2000", "running", steps, 1, 75.0, pid=12, silence=3.0))
    assert "api_2000, run 1: running for 1:15, last sign of life 3.0 s ago (process 12)" in text
    assert "profile: cell 4 of 24, 12 s" in section(text, "Running now (1)")
    assert section(text, "Still to come (1)").strip() == "report"
    assert "kill -TERM 12" in text


def test_a_stopped_run_tells_the_cell_it_was_in_and_what_never_started():
    stopped = Failure(3, "KeyboardInterrupt", "stopped by hand")
    steps = (
        StepView("profile", "cancelled", 2, 24, 12.0, failure=stopped),
        StepView("report", "cancelled", 0, 5),
        StepView("review", "cancelled", 0, 5, failure=Failure(0, "Cancelled", "stopped because step profile failed")),
    )
    text = page(RunView("api_2000", "cancelled", steps, folder="outputs/failed/api_2000", elapsed=1.0))
    assert "profile: cell 3 of 24, 12 s: stopped by hand" in section(text, "Stopped (1)")
    never = section(text, "Never ran (2)")
    assert "report: the run was stopped before its turn came" in never
    assert "review: stopped because step profile failed" in never
    assert "Next: run again:\n  evaluation run api_2000\n" in text


def test_a_skipped_study_says_where_to_get_the_data():
    steps = tuple(StepView(name, "skipped", skipped_because="a.sav is not there. Register.") for name in "ab")
    text = page(RunView("kgss", "skipped", steps, page="outputs/skipped/kgss/report/index.html"))
    assert section(text, "Never ran (2)").strip() == "a; b: a.sav is not there. Register."
    assert "\nkgss: skipped, outputs/skipped/kgss/report/index.html says why;" in text


def test_warnings_are_counted_by_kind_and_further_kinds_are_counted_too():
    views = [
        replace(district(code), warnings=tuple(CellWarning("W", f"kind {number}", 2) for number in range(12)))
        for code in DISTRICTS
    ]
    text = page(RunView("s", "ok", tuple(views)))
    assert "Warnings (300)" in text
    told = section(text, "Warnings (300)")
    assert "W: kind 0 (district/110_2017 종로구, cell [2] and 24 more places)" in told
    assert "and 4 further kinds of warnings" in told


def test_what_went_wrong_beside_the_notebooks_stands_on_top():
    run = RunView("s", "failed", (StepView("a", "ok", 1, 1),), problem="StudyError: the report cannot be built")
    assert page(run).splitlines()[3] == "StudyError: the report cannot be built"


def test_ten_thousand_notebooks_fold_to_one_page():
    views = tuple(StepView(f"district/{number}", "blocked", blocked_by=("weighting",)) for number in range(10_000))
    text = page(RunView("s", "failed", (StepView("weighting", "died", 2, 9), *views), folder="outputs/failed/s"))
    assert "10,001 of 10,001 notebooks: 1 died, 10,000 blocked" in text
    assert "and 9,988 more (10,000): needs weighting (died)" in " ".join(text.split())
    assert len(text.splitlines()) < 40


def test_each_notebook_stands_once_with_all_of_its_reasons():
    both, other = ("a.py changed", "b.csv changed", "a.py changed"), ("a.py changed", "b.csv changed", "c.py changed")
    views = [district(code, why=other if code == "110" else both) for code in DISTRICTS]
    told = section(page(RunView("s", "ok", (*views, StepView("report", "ok", why=("never run",))))), "Why they ran")
    assert told.split("\n\n")[0].splitlines() == [
        "  a.py changed; b.csv changed: district (24 of 25)",
        "  c.py changed; a.py changed; b.csv changed: district/110_2017 종로구",
        "  never run: report",
    ]


def test_the_command_to_run_again_is_the_one_that_was_given():
    text = page(batch(options="--only districts -p lang=ko", complete=False))
    assert "  evaluation run seoul_2017 --only districts -p lang=ko\n" in text


def test_of_an_english_study_the_english_name_comes_first_and_the_korean_one_stays():
    view = StepView("district/680_2017", "ok", place="Gangnam-gu (강남구)")
    assert view.title == "district/680_2017 Gangnam-gu 강남구"
    assert view.long_title == "district/680_2017, Gangnam-gu (강남구)"
    assert district("680").title == "district/680_2017 강남구"


def test_an_overview_gives_a_run_one_line():
    run = RunView(
        "s", "ok", (StepView("a", "ok"), StepView("b", "cached")), 3, 75.0, page="outputs/s/report/index.html"
    )
    assert one_line(run) == "s, run 3: ok after 1:15, 2 of 2 notebooks: 1 ok, 1 cached; outputs/s/report/index.html"
