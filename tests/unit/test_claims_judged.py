"""Judged claims: checks on printed numbers, counts behind shares, other sources, plans, and the 46 claims on Seoul."""

import csv
import json
import shutil
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest

from evaluation.claims.arithmetic import counts_behind, needed_sample_size, share_of_others
from evaluation.claims.expressions import LONGEST, Named, evaluate, names_in
from evaluation.claims.facts import facts_file, read_facts
from evaluation.claims.register import claims_file, read_claims
from evaluation.claims.report import check_claims
from evaluation.claims.words import DECLARED, FOUND, MISSING, SECTIONS
from evaluation.errors import ClaimError
from evaluation.printed import parse_printed
from evaluation.review import Review
from evaluation.study.manifest import input_files
from evaluation.tables import table

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data" / "seoul"
SEEDS = ROOT.parent / "shared" / "seeds"

#: What the computed or declared verdict must be, by the status of the published list of claims.
BY_STATUS = {
    "ok": {"agrees", "arithmetic holds", "not checkable", "plan met", "plan, outcome unknown", "count found"},
    "ok_arithmetic": {"arithmetic holds"},
    "ok_if_base_235": {"count found if the base is right"},
    "rounded": {"rounded"},
    "approximate": {"approximate"},
    "explained": {"difference explained"},
    "definition": {"definition"},
    "lower_bound": {"lower bound"},
    "ambiguous": {"ambiguous"},
    "duplicate_number": {"duplicated number"},
    "unit_error": {"unit error"},
    "not_a_total": {"not a total"},
    "no_comparison": {"no comparison group"},
    "weak_comparability": {"weakly comparable"},
    "not_comparable": {"not comparable"},
    "not_an_effect": {"coverage, not effect"},
    "misattributed": {"misattributed"},
    "contradicted": {"contradicted"},
}


def named(text):
    printed = parse_printed(text)
    return (Named(Fraction(printed.value), text, Fraction(printed.unit_in_last_place), ("여기", "here")),)


@pytest.fixture
def seoul(monkeypatch):
    monkeypatch.setenv("EVALUATION_PROJECT", str(ROOT))
    return check_claims("seoul_2016", ROOT / "no run")


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """The Seoul register in a project of its own, to be tampered with."""
    shutil.copytree(ROOT / "params" / "claims", tmp_path / "params" / "claims")
    monkeypatch.setenv("EVALUATION_PROJECT", str(tmp_path))
    return Copy(tmp_path)


class Copy:
    def __init__(self, root):
        self.root = root

    def change(self, register, key, **cells):
        path = self.root / "params" / "claims" / f"{register}.csv"
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        changed = [row for row in rows if next(iter(row.values())) == key]
        assert len(changed) == 1
        changed[0].update(cells)
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)

    def check(self):
        return check_claims("seoul_2016", self.root / "run")

    def one(self, claim_id):
        return next(check for check in self.check().checks if check.claim.claim_id == claim_id)


def shared_claims():
    path = SHARED / "claims.csv"
    if not path.is_file():
        pytest.skip("needs ../shared/data/seoul/claims.csv beside the repository")
    with path.open(encoding="utf-8", newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize(
    ("printed", "base", "counts"),
    [
        ("61.3%", 235, [144]),
        ("50.6%", 235, [119]),
        ("61.3", 235, [144]),
        ("61.2%", 235, []),
        ("50%", 235, [117, 118]),
        ("33.3%", 3, [1]),
        ("33.4%", 3, []),
        ("0%", 10, [0]),
        ("100%", 10, [10]),
        ("0.5%", 100, []),
        ("12%", 8, [1]),
        ("13%", 8, [1]),
        ("12.5%", 8, [1]),
        ("99.9%", 100, []),
    ],
)
def test_the_counts_behind_a_share_are_all_found_and_no_others(printed, base, counts):
    found = counts_behind(printed, base)
    assert list(found) == counts
    share = parse_printed(printed)
    fitting = [
        count
        for count in range(base + 1)
        if abs(Fraction(100 * count, base) - Fraction(share.value)) <= Fraction(share.unit_in_last_place) / 2
    ]
    assert list(found) == fitting


@pytest.mark.parametrize(
    ("printed", "base", "why"),
    [("61.3%", 0, "base of at least 1"), ("61.3%", 2.5, "base"), ("101%", 5, "no share"), ("5%p", 5, "no share")],
)
def test_a_share_without_base_or_above_all_is_refused(printed, base, why):
    with pytest.raises(ClaimError, match=why):
        counts_behind(printed, base)


def test_the_needed_sample_size_is_the_smallest_that_leaves_the_benchmark_outside():
    assert [needed_sample_size(0.814, 0.758, deff) for deff in (1, 1.5)] == [186, 279]
    assert [needed_sample_size(0.847, 0.594, deff) for deff in (1, 1.5)] == [8, 12]
    assert needed_sample_size(0.758, 0.814) != needed_sample_size(0.814, 0.758)
    for n, outside in ((185, False), (186, True)):
        assert (1.959964 * (0.814 * 0.186 / n) ** 0.5 < 0.814 - 0.758) is outside
    assert needed_sample_size(0.814, 0.758, conf_level=0.99) > 186
    for share, benchmark, more in ((0.8, 0.8, {}), (1.0, 0.5, {}), (0.5, 1.2, {}), (0.5, 0.4, {"deff": 0})):
        with pytest.raises(ClaimError):
            needed_sample_size(share, benchmark, **more)


def test_the_others_and_the_participants_together_give_the_whole_again():
    others = share_of_others(84.7, 59.4, 0.10)
    assert 0.10 * 84.7 + 0.90 * others == pytest.approx(59.4)
    assert share_of_others(84.7, 59.4, 0.0) == 59.4
    with pytest.raises(ClaimError, match="below 1"):
        share_of_others(84.7, 59.4, 1.0)


@pytest.mark.parametrize(
    ("check", "held", "text"),
    [
        ("C2 - C1 == 203", "holds", "283 − 80 = 203"),
        ("C2 + C1 == 203", "fails", "283 + 80 = 363 ≠ 203"),
        ("C1 / C2", "value", "80 / 283 = 0.283"),
        ("C1 < C2 < 400", "holds", "80 < 283 < 400"),
        ("C1 < C2 < 200", "fails", "80 < 283 ≥ 200"),
        ("(C1 + C2) * 2", "value", "(80 + 283) × 2 = 726"),
        ("C2 - (C1 - 3)", "value", "283 − (80 − 3) = 206"),
        ("C2 / (C1 / 2)", "value", "283 / (80 / 2) = 7.075"),
        ("-C1 + C2", "value", "−80 + 283 = 203"),
        ("round(C2 / C1, 1) == 3.5", "holds", "283 / 80 ≈ 3.5 = 3.5"),
        ("0.1 + 0.2 == 0.3", "holds", "0.1 + 0.2 = 0.3"),
        ("rounds_to(9930616, B9)", "rounds", "9930616 ≈ 10 million"),
        ("rounds_to(9499999, B9)", "fails", "9499999 ≠ 10 million"),
    ],
)
def test_checks_are_computed_exactly_and_shown_with_their_numbers(check, held, text):
    names = {"C1": named("80"), "C2": named("283"), "B9": named("10 million")}
    checked = evaluate(check, names)
    assert (checked.held, checked.text) == (held, text)


@pytest.mark.parametrize(
    ("check", "why"),
    [
        ("C1 == C9", "no claim or fact 'C9'. Known: C1"),
        ("C1[3]", r"'C1' holds 1 printed numbers, there is no \[3\]"),
        ("C1[-1]", "brackets hold the place"),
        ("C1 / (80 - C1)", "divides by zero"),
        ("C1 ==", "is no arithmetic"),
        ("C1; C1", "is no arithmetic"),
        ("", "is no arithmetic"),
        ("__import__('os').system('echo')", "is not arithmetic"),
        ("C1.__class__", "is not arithmetic"),
        ("(lambda: 1)()", "is not arithmetic"),
        ("[x for x in (1, 2)]", "is not arithmetic"),
        ("open('x')", "is not arithmetic"),
        ("9 ** 9 ** 9", "is not arithmetic"),
        ("'a' == 'a'", "Only numbers"),
        ("True == 1", "Only numbers"),
        ("1j", "Only numbers"),
        ("1e999", "no finite number"),
        ("C1 in C1", "compares no numbers"),
        ("round(C1, 99)", "0 to 9 decimals"),
        ("round()", "round takes"),
        ("rounds_to(C1, 5)", "must be a claim"),
        ("rounds_to(C1)", "rounds_to takes"),
        ("1+" * LONGEST + "1", "longer than"),
        ("(" * 190 + "1", "is no arithmetic"),
    ],
)
def test_what_is_no_arithmetic_is_refused_and_nothing_is_ever_run(check, why):
    with pytest.raises(ClaimError, match=why):
        evaluate(check, {"C1": named("80")})


def test_the_names_of_a_check_are_read_in_order():
    assert names_in("round(D1[2] / C2, 1) == D5 + C2") == ("D1", "C2", "D5")


def test_all_46_claims_are_there_with_their_quotes_numbers_and_sources(seoul):
    shared = shared_claims()
    assert len(shared) == 46
    assert [check.claim.claim_id for check in seoul.checks] == list(shared)
    for check in seoul.checks:
        row, judged = shared[check.claim.claim_id], check.claim.judged
        assert (judged.quote, judged.period) == (row["quote"], row["period"])
        value = row["value"].split(";")[0]
        if value:
            assert parse_printed(check.claim.printed.strip("[]")).value == parse_printed(value).value, row["id"]
        seed = next(SEEDS.glob(row["source_file"]))
        words = " ".join(seed.read_text(encoding="utf-8").split())
        assert " ".join(judged.quote.split()) in words
        assert row["source_file"] not in (ROOT / "params/claims/seoul_2016.csv").read_text(encoding="utf-8")


def test_every_verdict_is_that_of_the_published_list(seoul):
    shared = shared_claims()
    found = {check.claim.claim_id: check.verdict for check in seoul.checks}
    assert {row["id"]: found[row["id"]] in BY_STATUS[row["status"]] for row in shared.values()} == dict.fromkeys(
        shared, True
    )


def test_the_register_holds_46_claims_and_all_turn_out_as_it_says(seoul):
    assert len(seoul.checks) == 46
    assert seoul.all_reproduced
    assert seoul.conclusion() == "All 46 claims turn out as the register says."
    assert sum(seoul.counts().values()) == 46
    assert seoul.counts()["contradicted"] == 6
    assert {check.computed for check in seoul.checks} <= set(FOUND)
    declared = [check for check in seoul.checks if check.claim.judged.declared]
    assert all(check.verdict == check.claim.judged.declared for check in declared)
    assert all(all(check.claim.judged.reason) for check in declared)


@pytest.mark.parametrize(
    ("claim_id", "told"),
    [
        ("A1", "81.4 − 75.8 = 5.6 points. 186 participants (279 at a design effect of 1.5)"),
        ("A2", "84.7 − 59.4 = 25.3 points. 8 participants (12 at a design effect of 1.5)"),
        ("A2", "59.07 (if 1.3% took part) or 56.59 (if 10% took part)"),
        ("C3", "424 (programme description) ≠ 342 (UN application)"),
        ("C3", "planned 424 (programme description), in fact 342"),
        ("C4", "432 > 424"),
        ("C9", "283 > 25"),
        ("C11", "planned 2018 (UN application), in fact 2019"),
        ("D1", "340 + 67 + 1,534 = 1,941"),
        ("D4", "2,450 / 2 = 1,225 (programme description) ≠ 1,941 (UN application)"),
        ("D6", "70 − 65 + 1 = 6 (programme description) ≠ 2 (UN application)"),
        ("E1", "144 / 235 = 61.28%"),
        ("E2", "119 / 235 = 50.64%"),
        ("E3", "879 (E3) = 879 (E4)"),
        ("E9", "274 + 338 = 612 ≠ 7,539"),
        ("B6", "4 + 4 + 3 + 3 = 14"),
    ],
)
def test_the_numbers_behind_a_verdict_are_told(seoul, claim_id, told):
    why = seoul.tidy().set_index("claim_id").loc[claim_id, "why_en"]
    assert told in why


def test_facts_are_those_that_the_survey_and_the_published_tables_hold(monkeypatch):
    monkeypatch.setenv("EVALUATION_PROJECT", str(ROOT))
    facts = read_facts(facts_file("seoul_2016"))
    with (ROOT / "surveys/seoul_2016/benchmarks.csv").open(encoding="utf-8-sig", newline="") as file:
        benchmarks = {row["benchmark"]: row for row in csv.DictReader(file)}
    with (ROOT / "surveys/seoul_2016/rollout_stages.csv").open(encoding="utf-8-sig", newline="") as file:
        stages = {row["stage"]: row for row in csv.DictReader(file)}
    for name, benchmark in (
        ("bench_oecd_support_korea", "oecd_support_korea"),
        ("bench_seoul_stay_10y", "seoul_live_in_ten_years"),
    ):
        assert float(facts[name].named.value) == float(benchmarks[benchmark]["value"])
        assert facts[name].what == (benchmarks[benchmark]["wording_ko"], benchmarks[benchmark]["wording_en"])
        assert benchmarks[benchmark]["contains_participants"] == "yes"
    for stage in ("1", "2", "3"):
        assert facts[f"dongs_stage_{stage}"].named.value == int(stages[stage]["dongs"])
    assert facts["dongs_all"].named.value == int(stages["final"]["dongs"])
    assert facts["year_complete"].named.shown == stages["final"]["from"][:4]
    assert all(fact.source and fact.period for fact in facts.values())
    if (SHARED / "published_facts.csv").is_file():
        with (SHARED / "published_facts.csv").open(encoding="utf-8", newline="") as file:
            published = {row["key"]: float(row["value"]) for row in csv.DictReader(file)}
        both = set(facts) & set(published)
        assert len(both) >= 9
        assert {name: float(facts[name].named.value) for name in both} == {name: published[name] for name in both}


def test_the_first_lines_say_why_the_widest_gap_proves_nothing(seoul):
    english, korean = seoul.headline("en"), seoul.headline("ko")
    assert len(english.sentences) == len(korean.sentences) == 5
    assert english.sentences[0] == "“84.7% > 59.4%” proves nothing: two questions, two populations."
    assert korean.sentences[0] == "“84.7% > 59.4%”: 아무것도 증명하지 못한다. 질문도 대상도 다르다."
    assert all(len(line) < 250 for line in (*english.sentences, *korean.sentences))
    asked, whom, _ = english.card.frame.to_numpy().tolist()
    assert asked[1:] == ["wants to stay in the neighbourhood", "wants to live in Seoul in ten years"]
    assert "participants in community projects" in whom[1]
    assert "all residents" in whom[2]
    assert "everybody" in english.sentences[4]
    assert "동네" in korean.sentences[1]
    shown = english._repr_html_()
    assert shown == seoul.headline("en")._repr_html_()
    assert all(line.replace("'", "&#x27;") in shown for line in english.sentences[3:])
    assert repr(english).splitlines() == list(english.sentences)
    assert seoul.verdict("en").sentences[0] == english.sentences[0]
    assert seoul.verdict("en").sentences[1].startswith("46 claims: ")


def test_a_study_without_such_a_gap_opens_with_its_verdict(monkeypatch):
    monkeypatch.setenv("EVALUATION_PROJECT", str(ROOT))
    report = check_claims("api_2000", ROOT / "outputs" / "reference" / "api_2000")
    assert report.headline("en") == report.verdict("en")
    assert not report.is_judged
    assert report.conclusion() == "All 62 claims marked as reproducible are reproduced."


@pytest.mark.parametrize("lang", ["ko", "en"])
def test_the_table_begins_with_effects_and_marks_judgements(seoul, lang):
    made = table(seoul, lang=lang)
    headings = [heading for heading, _ in made.groups]
    assert headings == [words[0 if lang == "ko" else 1] for words in SECTIONS.values()]
    assert sum(rows for _, rows in made.groups) == 46
    first, verdict, why = made.frame.columns
    assert set(made.frame[first]) == {check.claim.claim_id for check in seoul.checks}
    assert made.frame.set_index(first).loc["A2", why].startswith("“84.7% > 59.4%” (")
    marked = made.frame[verdict].str.contains("(판단)" if lang == "ko" else "(judgement)", regex=False)
    assert marked.sum() == sum(bool(check.claim.judged.declared) for check in seoul.checks)
    assert bool(made.frame[why].str.contains("[가-힣]").all()) is (lang == "ko")
    assert lang == "ko" or not made.frame[why].str.contains("[가-힣]").any()
    assert seoul._repr_html_() == seoul._repr_html_()
    assert len(made.data) == 46


def test_as_text_the_claims_fit_a_terminal(seoul):
    text = seoul.summary()
    assert max(map(len, text.splitlines())) <= 106
    assert "\n  A2  not comparable (judgement)\n      “84.7% > 59.4%” (Center introduction). Two questions" in text
    assert (
        text.index("What is said about effects")
        < text.index("Contradictions and errors")
        < text.index("Arithmetic or another source agrees")
    )
    assert " ".join(text.split()).endswith("All turn out as the register says.")


def test_every_word_stands_in_both_languages():
    for words in (*FOUND.values(), *DECLARED.values(), *MISSING.values(), *SECTIONS.values()):
        assert any("가" <= letter <= "힣" for letter in words[0])
        assert words[1].isascii()


def test_a_changed_printed_number_no_longer_stands_in_its_quote(copy):
    copy.change("seoul_2016", "C5", printed="343")
    with pytest.raises(ClaimError, match="'343' does not stand in the quote “After the program"):
        copy.check()


@pytest.mark.parametrize(
    ("name", "key", "cells", "claim_id", "computed"),
    [
        ("seoul_2016", "C5", {"printed": "343", "quote": "343 neighborhoods by July 2017"}, "C5", "contradicted"),
        ("seoul_2016", "C6", {"check": "C2 + C1 == C6"}, "C6", "arithmetic fails"),
        ("seoul_2016", "E1", {"base": "236"}, "E1", "no count"),
        ("seoul_2016", "E1", {"base": "2350"}, "E1", "several counts"),
        ("seoul_2016", "E2", {"base": "235"}, "E2", "count found"),
        ("seoul_2016", "E4", {"printed": "878", "quote": "Up 878"}, "E3", "arithmetic holds"),
        ("seoul_2016_facts", "dongs_stage_3", {"value": "424"}, "C5", "contradicted"),
        ("seoul_2016_facts", "pop_seoul_2016", {"value": "9,400,000"}, "B9", "arithmetic fails"),
        ("seoul_2016_facts", "bench_seoul_stay_10y", {"question": "stay_in_neighbourhood"}, "A2", "two populations"),
        ("seoul_2016_facts", "p_stay_in_neighbourhood", {"value": "83.7"}, "A2", "contradicted"),
        ("seoul_2016_facts", "bench_oecd_support_korea", {"value": "72"}, "A1", "contradicted"),
        ("seoul_2016", "D5", {"against": "outcome: D1[3] / C5"}, "D5", "plan not met"),
    ],
)
def test_a_finding_that_differs_from_the_register_fails_the_review(copy, name, key, cells, claim_id, computed):
    copy.change(name, key, **cells)
    report = copy.check()
    check = next(check for check in report.checks if check.claim.claim_id == claim_id)
    assert check.computed == computed
    assert check.is_open
    assert not report.all_reproduced
    assert claim_id in report.conclusion()
    assert Review("seoul_2016", report, {}, "", copy.root).exit_code == 1
    made = report.as_table("en")
    assert made.groups[0][0] == "Not as the register expects"
    shown = made.frame.set_index("claim").loc[claim_id, "verdict"]
    assert "the register says: " in shown


@pytest.mark.parametrize(
    ("claim_id", "cells", "why"),
    [
        ("C6", {"check": "C2 - C99 == C6"}, "line .*no claim or fact 'C99'"),
        ("C6", {"check": "C2 / (C1 - 80)"}, "divides by zero"),
        ("C6", {"check": "__import__('os').getcwd()"}, "is not arithmetic"),
        ("C3", {"against": "same C5"}, "against 'same C5' is not"),
        ("C3", {"against": "like: C5"}, "against 'like: C5' is not"),
        ("C3", {"against": "same: C55"}, "no claim or fact 'C55'. Did you mean 'C5'"),
        ("A2", {"against": "gap: bench_seoul_stay_10y"}, "a gap has two sides"),
        ("A1b", {"against": "same: C5"}, "no printed number"),
        ("C3", {"expected": "contradictd"}, "Did you mean 'contradicted'"),
        ("C3", {"verdict": "wrong"}, "verdict 'wrong'"),
        ("C3", {"kind": "plann"}, "Did you mean 'plan'"),
        ("A2", {"missing": "wordings"}, "Did you mean 'wording'"),
        ("A2", {"reason_ko": ""}, "a declared verdict needs its 'reason_ko'"),
        ("C3", {"reason_ko": "no Korean here"}, "no Korean in its Korean text"),
        ("C3", {"reproducible": "yes"}, "no address says where"),
        ("C3", {"name": "rollout"}, "'term' is empty"),
        ("C3", {"printed": "about 424"}, "not one printed number"),
        ("C3", {"further": "25; many"}, "'many' is not one printed number"),
        ("E1", {"base": "some"}, "base 'some' is no count of items"),
        ("E1", {"base": "E1"}, "base 'E1' is no count of items"),
        ("C3", {"against": "same: C5 < 3"}, "against 'C5 < 3' compares; it must be one number"),
    ],
)
def test_a_fault_of_the_register_is_told_with_its_line(copy, claim_id, cells, why):
    copy.change("seoul_2016", claim_id, **cells)
    with pytest.raises(ClaimError, match=why) as caught:
        copy.check()
    assert "params/claims/seoul_2016.csv: line " in str(caught.value)
    assert len(caught.value.failures) >= 1


@pytest.mark.parametrize(
    ("fact", "cells", "why"),
    [
        ("pop_seoul_2016", {"value": "many"}, "'many' is not one printed number"),
        ("pop_seoul_2016", {"fact": "dongs_all"}, "stands twice"),
        ("pop_seoul_2016", {"source": ""}, r"\['source'\] are empty"),
        ("p_happiness", {"population": ""}, "question and population belong together"),
        ("pop_seoul_2016", {"what_ko": "people"}, "no Korean"),
        ("dongs_all", {"fact": "C3"}, "names a claim and a fact"),
    ],
)
def test_a_fault_among_the_facts_is_told(copy, fact, cells, why):
    copy.change("seoul_2016_facts", fact, **cells)
    with pytest.raises(ClaimError, match=why):
        copy.check()


def test_a_gap_between_shares_of_which_nothing_is_known_is_refused(copy):
    copy.change("seoul_2016", "A2", against="gap: p_stay_in_neighbourhood = pop_seoul_2016")
    with pytest.raises(ClaimError, match="'pop_seoul_2016' is no published fact that says what was asked of whom"):
        copy.check()


def test_a_number_of_the_synthetic_city_is_shown_and_never_called_reproduced(copy):
    copy.change("seoul_2016", "A2", name="published_shares", term="stay", column="estimate")
    folder = copy.root / "run" / "estimates"
    folder.mkdir(parents=True)
    row = {"term": "stay", "estimate": 0.8464}
    (folder / "published_shares.json").write_text(json.dumps({"rows": [row]}), encoding="utf-8")
    check = copy.one("A2")
    assert (check.verdict, check.reproduced, check.is_open) == ("not comparable", "84.6%", False)
    why = copy.check().tidy().set_index("claim_id").loc["A2"]
    assert "84.6%: among those who answered in the synthetic roster sample" in why["why_en"]
    assert "합성 명부 표본" in why["why_ko"]


def test_the_review_writes_the_judged_claims_as_json(seoul):
    record = Review("seoul_2016", seoul, {"review": "ok"}, "", ROOT).to_dict()
    text = json.dumps(record, allow_nan=False)
    assert record["exit_code"] == 0
    assert record["counts"]["contradicted"] == 6
    first = next(claim for claim in record["claims"] if claim["claim_id"] == "C3")
    assert (first["computed"], first["expected"]) == ("contradicted", "contradicted")
    assert str(ROOT) not in text


def test_the_manifest_of_a_run_names_register_and_facts(monkeypatch):
    monkeypatch.setenv("EVALUATION_PROJECT", str(ROOT))
    plan = SimpleNamespace(study="seoul_2016", specification=SimpleNamespace(survey="seoul_2016"), steps=())
    assert {"params/claims/seoul_2016.csv", "params/claims/seoul_2016_facts.csv"} <= set(input_files(plan))


def test_facts_are_no_register_of_a_study(copy):
    with pytest.raises(ClaimError, match="Did you mean 'seoul_2016'"):
        claims_file("seoul_2016_fact")
    assert len(read_claims("seoul_2016")) == 46
