"""Who checked what: appended to, never overwritten; read strictly; held to the run it was given for."""

import json
from datetime import date

import pytest

from evaluation.errors import ProjectError, StudyError
from evaluation.releases.lasting import manifest_hash
from evaluation.releases.signoff import read_signoffs, sign_off
from evaluation.review import accept_run
from evaluation.study.lock import holding

DAY = date(2017, 12, 1)


@pytest.fixture
def signed(city):
    """A good run of city_2016, and a function that signs it off."""
    city.write_old({"items": city.means({"stay": 0.5}, 0.02)})
    city.sign = lambda name="김하나", **more: sign_off(
        "city_2016",
        **{"name": name, "role": "methods editor", "checked": ["estimates", "disclosure"], "on": DAY} | more,
    )
    return city


def manifest_of(run):
    return json.loads((run / "manifest.json").read_text(encoding="utf-8"))


def test_a_sign_off_holds_who_what_when_and_which_run(signed):
    given = signed.sign(note="margins of December")
    assert read_signoffs(signed.old) == (given,)
    assert given.manifest == manifest_hash(manifest_of(signed.old))
    assert given.standing(manifest_of(signed.old)) == "this"
    text = (signed.old / "signoff.yml").read_text(encoding="utf-8")
    assert text.startswith("signoffs:\n- name: 김하나\n  role: methods editor\n  checked:\n  - estimates\n")
    assert "  date: 2017-12-01\n" in text
    said = "2017-12-01 김하나, methods editor: estimates; disclosure (margins of December), manifest "
    assert given.summary() == said + given.manifest[:12]


def test_a_further_sign_off_leaves_what_stands_there_to_the_letter(signed):
    first = signed.sign()
    file = signed.old / "signoff.yml"
    edited = file.read_text(encoding="utf-8") + "# 검토 회의 12월 4일\n"
    file.write_text(edited, encoding="utf-8")
    second = signed.sign("Lee", checked=["wording"], on=date(2017, 12, 5))
    assert file.read_text(encoding="utf-8").startswith(edited)
    assert read_signoffs(signed.old) == (first, second)


def test_the_same_sign_off_is_not_written_twice(signed):
    signed.sign()
    signed.sign()
    assert len(read_signoffs(signed.old)) == 1


def test_words_that_look_like_yaml_come_back_as_they_were(signed):
    given = signed.sign("NO", role="yes: {a}", checked=["- 1", "# 2", "null"], note="a\n  b: 'c'")
    assert read_signoffs(signed.old) == (given,)
    assert (given.name, given.note) == ("NO", "a b: 'c'")


def test_another_run_is_told_from_this_one_and_from_one_with_the_same_files(signed):
    given = signed.sign()
    manifest = manifest_of(signed.old)
    assert given.standing({**manifest, "git": {"commit": "1"}}) == "same_files"
    signed.write_old({"items": signed.means({"stay": 0.6}, 0.02)})
    assert given.standing(manifest_of(signed.old)) == "earlier"
    assert read_signoffs(signed.old) == (given,)


def test_a_run_and_the_same_run_published_have_one_hash(signed):
    given = signed.sign()
    accept_run("city_2016")
    published = signed.published / "city_2016"
    assert "duration_seconds" not in (published / "manifest.json").read_text(encoding="utf-8")
    assert manifest_hash(manifest_of(published)) == given.manifest
    assert read_signoffs(published) == (given,)


def test_a_sign_off_after_publication_stands_in_both_places(signed):
    accept_run("city_2016")
    given = signed.sign()
    assert read_signoffs(signed.published / "city_2016") == read_signoffs(signed.old) == (given,)


def test_accepting_again_keeps_earlier_sign_offs_of_the_published_run(signed):
    first = signed.sign()
    accept_run("city_2016")
    (signed.old / "signoff.yml").unlink()
    second = signed.sign("Lee")
    accept_run("city_2016")
    assert read_signoffs(signed.published / "city_2016") == (first, second)


def test_without_a_run_the_published_one_is_signed(signed):
    accept_run("city_2016")
    (signed.old / "manifest.json").unlink()
    given = signed.sign()
    assert read_signoffs(signed.published / "city_2016") == (given,)
    assert read_signoffs(signed.old) == ()


@pytest.mark.parametrize("empty", [{"name": " "}, {"role": ""}, {"checked": []}, {"checked": ["", " "]}])
def test_a_sign_off_that_says_nothing_is_refused(signed, empty):
    with pytest.raises(ProjectError, match=f"{next(iter(empty))} must not be empty"):
        signed.sign(**empty)
    assert not (signed.old / "signoff.yml").exists()


def test_a_run_that_was_changed_by_hand_cannot_be_signed(signed):
    (signed.old / "tables" / "items.csv").write_text("term,estimate\nstay,0.9\n", encoding="utf-8")
    with pytest.raises(ProjectError, match=r"cannot be signed off: tables/items\.csv was changed after the run"):
        signed.sign()


def test_while_the_study_is_run_nothing_is_signed_or_accepted(signed, monkeypatch):
    monkeypatch.setattr("evaluation.study.lock._PATIENCE", 0.1)
    with holding("city_2016"):
        for act in (signed.sign, lambda: accept_run("city_2016")):
            with pytest.raises(StudyError, match=r"'city_2016' is being run already by process \d+"):
                act()
    assert not (signed.old / "signoff.yml").exists()
    assert not (signed.published / "city_2016").exists()


def test_a_run_that_is_not_good_cannot_be_signed(signed):
    signed.write_old({"items": signed.means({"stay": 0.5}, 0.02)}, state="failed")
    with pytest.raises(ProjectError, match="has no good run to read"):
        signed.sign()


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (("name: 김하나", "nam: 김하나"), "unknown key 'signoffs.0.nam'. Did you mean 'name'?"),
        (("  role: methods editor\n", ""), "'signoffs.0.role' is missing"),
        (("date: 2017-12-01", "date: gestern"), "signoffs.0.date: expected a date like 2017-12-01 (got 'gestern')"),
        (("manifest: ", "manifest: x"), "signoffs.0.manifest: expected a SHA-256, 64 digits and letters a to f"),
        (("name: 김하나", "name: 7"), "signoffs.0.name: expected text, got 7"),
        (("signoffs:", "signoffs: 1\nsignoffs:"), "found duplicate key"),
        (("signoffs:\n", "signoffs: [\n"), "not valid YAML"),
    ],
)
def test_a_file_that_was_edited_wrongly_is_refused_with_its_place_and_not_touched(signed, edit, message):
    signed.sign()
    file = signed.old / "signoff.yml"
    spoilt = file.read_text(encoding="utf-8").replace(*edit)
    file.write_text(spoilt, encoding="utf-8")
    with pytest.raises(ProjectError) as refusal:
        signed.sign("Lee")
    assert message in str(refusal.value)
    assert "signoff.yml" in str(refusal.value)
    assert file.read_text(encoding="utf-8") == spoilt


def test_a_list_that_was_indented_by_hand_is_not_broken_by_appending(signed):
    first = signed.sign()
    file = signed.old / "signoff.yml"
    lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join([lines[0], *(f"  {line}" for line in lines[1:])]) + "\n", encoding="utf-8")
    second = signed.sign("Lee")
    assert read_signoffs(signed.old) == (first, second)


def test_a_list_that_is_not_at_the_end_is_refused(signed):
    signed.sign()
    file = signed.old / "signoff.yml"
    flow = "signoffs: [" + json.dumps(
        {"name": "a", "role": "b", "checked": ["c"], "manifest": "0" * 64, "outputs": "0" * 64, "date": "2017-12-01"}
    )
    file.write_text(flow + "]\n", encoding="utf-8")
    with pytest.raises(ProjectError, match="does not end with its list of sign-offs"):
        signed.sign("Lee")
    assert len(read_signoffs(signed.old)) == 1


def test_a_folder_that_cannot_be_written_is_told(signed, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("evaluation.releases.replacing.os.replace", full)
    with pytest.raises(ProjectError, match=r"signoff\.yml cannot be written \(No space left on device\)"):
        signed.sign()
    assert sorted(path.name for path in signed.old.glob("*sign*")) == []
