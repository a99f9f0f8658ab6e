"""Published numbers that change later: the old one is kept with date and reason, and never without one."""

import math
from datetime import date

import pandas as pd
import pytest

from evaluation.errors import ProjectError
from evaluation.releases.errata import ERRATA, Erratum, append_errata, read_errata, recorded_errata
from evaluation.releases.signoff import sign_off
from evaluation.review import accept_run

STUDY = "city_2016"
DAY = date(2017, 12, 1)
HEAD = "date,address,old,new,reason,by\n"


@pytest.fixture
def published(city):
    """A published run of city_2016 with two means; ``rerun`` writes the run that is to take its place."""
    city.place = city.published / STUDY
    city.rerun = lambda values, error=0.02, **more: city.write_old({"items": city.means(values, error, **more)})
    city.rerun({"stay": 0.5, "rely": 0.25})
    accept_run(STUDY)
    return city


def estimates_of(errata):
    return {
        entry.address.split(" | ")[1]: (entry.old, entry.new) for entry in errata if entry.address.endswith("estimate")
    }


def test_the_same_numbers_need_no_reason_and_leave_no_trace(published):
    published.rerun({"stay": 0.5 + 1e-13, "rely": 0.25})
    accept_run(STUDY)
    assert not (published.place / ERRATA).exists()


def test_a_changed_number_needs_a_reason_and_the_old_one_is_kept_in_full(published):
    published.rerun({"stay": 0.5123456789012345, "rely": 0.25})
    before = (published.place / "manifest.json").read_bytes()
    with pytest.raises(ProjectError, match=r"items \| stay \|  \| estimate: 0\.5 -> 0\.5123456789012345"):
        accept_run(STUDY)
    assert (published.place / "manifest.json").read_bytes() == before
    accept_run(STUDY, reason="  weights of Jongno-gu\n corrected ", by="Kim", on=DAY)
    errata = read_errata(published.place)
    first = Erratum(
        "2017-12-01", "items | stay |  | estimate", "0.5", "0.5123456789012345", "weights of Jongno-gu corrected", "Kim"
    )
    assert errata[0] == first
    columns = [entry.address.split(" | ")[-1] for entry in errata]
    assert columns == ["estimate", "statistic", "conf_low", "conf_high"]
    assert read_errata(published.old) == errata


def test_a_number_that_is_gone_needs_a_reason_and_has_no_new_one(published):
    published.rerun({"stay": 0.5})
    with pytest.raises(ProjectError, match=r"items \| rely \|  \| estimate: 0\.25 -> none"):
        accept_run(STUDY)
    accept_run(STUDY, reason="the question was asked of half", on=DAY)
    assert estimates_of(read_errata(published.place)) == {"rely": ("0.25", "")}


def test_a_new_number_is_no_correction(published):
    published.rerun({"stay": 0.5, "rely": 0.25, "happy": 6.0})
    accept_run(STUDY)
    assert not (published.place / ERRATA).exists()


def test_a_number_that_may_no_longer_be_shown_is_not_kept(published):
    published.rerun({"stay": 0.5, "rely": 0.25}, n=[400, 20], min_base=30)
    with pytest.raises(ProjectError, match=r"items \| rely \|  \| estimate: withheld -> \[u\]"):
        accept_run(STUDY)
    accept_run(STUDY, reason="the smallest base is 30 now", on=DAY)
    assert estimates_of(read_errata(published.place)) == {"rely": ("withheld", "[u]")}
    assert "0.25" not in (published.place / ERRATA).read_text(encoding="utf-8")


def test_a_number_of_a_table_without_estimates_is_published_too(city, published):
    frame = pd.DataFrame({"step": ["rake", "trim"], "n_eff": [350.5, 340.25]})
    items = {"items": city.means({"stay": 0.5, "rely": 0.25}, 0.02)}
    city.write_old({**items, "weights": frame})
    accept_run(STUDY)
    city.write_old({**items, "weights": frame.assign(n_eff=[350.5, 341.0])})
    with pytest.raises(ProjectError, match=r"weights \|  \| step=trim \| n_eff: 340\.25 -> 341\.0"):
        accept_run(STUDY)


def test_corrections_are_appended_and_what_stands_there_stays_to_the_letter(published):
    published.rerun({"stay": 0.6, "rely": 0.25})
    accept_run(STUDY, reason="first", on=DAY)
    file = published.place / ERRATA
    by_hand = file.read_text(encoding="utf-8") + '2017-12-02,"items | stay |  | estimate",0.6,0.61,"종이에, 손으로",이'
    file.write_text(by_hand, encoding="utf-8")
    published.rerun({"stay": 0.7, "rely": 0.25})
    accept_run(STUDY, reason="second", on=date(2017, 12, 9))
    assert file.read_text(encoding="utf-8").startswith(by_hand + "\n2017-12-09,")
    stay = [entry for entry in read_errata(published.place) if entry.address == "items | stay |  | estimate"]
    assert [(entry.old, entry.new, entry.reason) for entry in stay] == [
        ("0.5", "0.6", "first"),
        ("0.6", "0.61", "종이에, 손으로"),
        ("0.6", "0.7", "second"),
    ]


def test_whoever_signed_this_run_off_is_named_where_nobody_else_is(published):
    published.rerun({"stay": 0.6, "rely": 0.25})
    sign_off(STUDY, name="Kim Hana", role="editor", checked=["all"], on=DAY)
    accept_run(STUDY, reason="coding", on=DAY)
    assert {entry.by for entry in read_errata(published.place)} == {"Kim Hana"}
    published.rerun({"stay": 0.7, "rely": 0.25})
    accept_run(STUDY, reason="coding again", on=DAY)
    assert {entry.by for entry in read_errata(published.place) if entry.reason == "coding again"} == {""}


def test_corrections_that_only_the_run_folder_holds_are_published_with_it(published):
    entry = Erratum("2016-01-02", "items | stay |  | estimate", "0.4", "0.5", "a slip", "Lee")
    append_errata(published.old, [entry])
    assert recorded_errata(STUDY, published.old) == (entry,)
    accept_run(STUDY)
    assert read_errata(published.place) == (entry,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("date,address,old,new,why,by\n", "expected the columns date, address, old, new, reason, by"),
        (HEAD + "1.12.2017,a | b |  | c,1,2,r,\n", "line 2: date must be like 2017-12-01, got '1.12.2017'"),
        (HEAD + "2017-12-01,a | b,1,2,r,\n", "address must be 'name | term | by | column', got 'a | b'"),
        (HEAD + "2017-12-01,a | b |  | c,1,2,,\n", "line 2: 'reason' is empty"),
        (HEAD + "2017-12-01,a | b |  | c,1\n", "line 2: expected 6 cells"),
        (HEAD + '2017-12-01,"a | b |  | c,1,2,r,\n', "is no CSV"),
        (b"\xff\xfe", "is not UTF-8 text"),
    ],
)
def test_a_file_that_was_edited_wrongly_is_refused_with_its_line_and_nothing_is_published(published, text, message):
    published.rerun({"stay": 0.6, "rely": 0.25})
    file = published.place / ERRATA
    file.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    kept, manifest = file.read_bytes(), (published.place / "manifest.json").read_bytes()
    with pytest.raises(ProjectError) as refusal:
        accept_run(STUDY, reason="coding")
    assert message in str(refusal.value)
    assert f"errata.csv of '{STUDY}'" in str(refusal.value)
    assert file.read_bytes() == kept
    assert (published.place / "manifest.json").read_bytes() == manifest


def test_a_file_with_the_mark_of_excel_is_read(published):
    (published.place / ERRATA).write_text(HEAD + "2017-12-01,a | b |  | c,1,2,r,\n", encoding="utf-8-sig")
    assert read_errata(published.place)[0].new == "2"


def test_an_error_that_was_never_known_is_no_correction(published):
    published.rerun({"stay": math.nan, "rely": 0.25}, error=[math.nan, 0.02])
    accept_run(STUDY, reason="no estimate", on=DAY)
    count = len(read_errata(published.place))
    published.rerun({"stay": 0.5, "rely": 0.25})
    accept_run(STUDY)
    assert len(read_errata(published.place)) == count
