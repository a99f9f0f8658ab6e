"""Printed against computed: reading the print, finding the number, and the verdict."""

import csv
import hashlib
import json
import runpy
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest

from evaluation.claims.numbers import published_estimates, read_numbers
from evaluation.claims.register import REGISTER_COLUMNS, read_claims
from evaluation.claims.report import check_claims
from evaluation.errors import ClaimError, PublishError
from evaluation.printed import parse_printed
from evaluation.publication import publish
from evaluation.tables import table

made = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("handmade_results.py"))))

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ROOT.parent / "shared" / "data" / "api" / "published.json"

# The published set of claims. Taking one out, or marking it as not reproducible, must be a decision
# that someone reads in a diff of this file.
API_2000_CLAIMS = 62
API_2000_SHA256 = "1e022406596d77cdc58d152eaf4095df434637cac33fe8c560de373c980f2132"


@pytest.fixture
def workbench(tmp_path, monkeypatch):
    """An empty project with a register writer and an estimates writer."""
    (tmp_path / "params" / "claims").mkdir(parents=True)
    monkeypatch.setenv("EVALUATION_PROJECT", str(tmp_path))
    monkeypatch.delenv("EVALUATION_RUN", raising=False)
    return Workbench(tmp_path)


class Workbench:
    def __init__(self, root):
        self.root, self.run = root, root / "run"

    def register(self, *lines, study="demo", columns=REGISTER_COLUMNS):
        path = self.root / "params" / "claims" / f"{study}.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, extrasaction="ignore")
            writer.writeheader()
            for number, line in enumerate(lines):
                writer.writerow(claim_line(claim_id=f"claim_{number}") | line)

    def estimates(self, name, *rows):
        path = self.run / "estimates" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"name": name, "rows": list(rows)}), encoding="utf-8")

    def check(self):
        return check_claims("demo", self.run)


def claim_line(**given):
    line = {"claim_id": "claim", "printed": "644.17", "unit": "number", "where": "Table 2, p. 14", "name": "mean"}
    return line | {"term": "api00", "by": "", "column": "estimate", "reproducible": "yes", "note": ""} | given


def row(**given):
    return {"term": "api00"} | given


@pytest.mark.parametrize(
    ("text", "value", "last_place", "unit"),
    [
        ("1333.32", "1333.32", "0.01", "number"),
        ("84.7%", "84.7", "0.1", "percent"),
        ("84.7 %", "84.7", "0.1", "percent"),
        ("84%", "84", "1", "percent"),
        ("−0.42", "-0.42", "0.01", "number"),
        ("–0.42", "-0.42", "0.01", "number"),
        ("+3.10", "3.10", "0.01", "number"),
        (".05", "0.05", "0.01", "number"),
        ("1,204", "1204", "1", "number"),
        ("3404940", "3404940", "1", "number"),
        ("15.00000", "15.00000", "0.00001", "number"),
        ("(0.03)", "0.03", "0.01", "number"),
        ("−0.42**", "-0.42", "0.01", "number"),
        ("1.32e-14", "1.32e-14", "1e-16", "number"),
        ("2.5E+3", "2500", "100", "number"),
        ("25.3%p", "25.3", "0.1", "points"),
        ("25.3%포인트", "25.3", "0.1", "points"),
        ("−2 pp", "-2", "1", "points"),
        ("412만 명", "4120000", "10000", "number"),
        ("3억 4,049만", "340490000", "10000", "number"),
        ("1.2억 원", "120000000", "10000000", "number"),
        ("1만 2,345명", "12345", "1", "number"),
        ("10 million", "10000000", "1000000", "number"),
        ("18.731 billion", "18731000000", "1000000", "number"),
        ("８４．７％", "84.7", "0.1", "percent"),
    ],
)
def test_print_is_read_with_its_precision_and_unit(text, value, last_place, unit):
    printed = parse_printed(text)
    assert (printed.value, printed.unit_in_last_place) == (Decimal(value), Decimal(last_place))
    assert printed.unit == unit


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no digit"),
        ("n. s.", "no digit"),
        ("-", "no digit"),
        ("<0.001", "a bound"),
        ("1,20", "thousands"),
        ("1,2345", "thousands"),
        ("12–15", "beside the digits"),
        ("0.4 (0.1)", "beside the digits"),
        ("1.2.3", "beside the digits"),
        ("about 3", "beside the digits"),
    ],
)
def test_what_is_not_one_number_is_refused_with_the_reason(text, why):
    with pytest.raises(ClaimError, match=why):
        parse_printed(text)


@pytest.mark.parametrize(
    ("printed", "unit", "computed", "verdict", "shown"),
    [
        ("644.17", "number", 644.1693, "reproduced", "644.17"),
        ("644.17", "number", 644.165, "reproduced", "644.16"),
        ("644.17", "number", 644.1649, "last digit differs", "644.16"),
        ("644.17", "number", 644.185, "last digit differs", "644.18"),
        ("644.17", "number", 644.1951, "differs by 3 printed units", "644.20"),
        ("0.42", "number", -0.42, "differs by 84 printed units", "-0.42"),
        ("84.7%", "percent", 0.84653, "reproduced", "84.7%"),
        ("84.7", "percent", 0.84653, "reproduced", "84.7"),
        ("84.7%", "percent", 0.594, "differs by 253 printed units", "59.4%"),
        ("25.3%p", "points", 0.2529, "reproduced", "25.3%p"),
        ("1,204", "number", 1204.4, "reproduced", "1,204"),
        ("1,204", "number", 1204.6, "last digit differs", "1,205"),
        ("412만", "number", 4123000.0, "reproduced", "4120000"),
        ("1.32e-14", "number", 1.3184e-14, "reproduced", "1.32e-14"),
        ("0.31", "number", 1e300, "differs by 1", "1"),
    ],
)
def test_the_last_printed_digit_decides(workbench, printed, unit, computed, verdict, shown):
    workbench.register({"printed": printed, "unit": unit})
    workbench.estimates("mean", row(estimate=computed))
    check = workbench.check().checks[0]
    assert check.verdict.startswith(verdict)
    assert check.reproduced.startswith(shown)


def test_a_number_exactly_between_two_prints_is_reproduced_despite_floating_point(workbench):
    workbench.register({"printed": "0.15"}, {"printed": "0.3"}, {"printed": "1,234,567.9"})
    workbench.estimates("mean", row(estimate=0.145))
    assert workbench.check().checks[0].verdict == "reproduced"
    workbench.estimates("mean", row(estimate=0.25))
    assert workbench.check().checks[1].verdict == "reproduced"
    workbench.estimates("mean", row(estimate=1234567.85))
    assert workbench.check().checks[2].verdict == "reproduced"


def test_an_address_finds_levels_domains_and_columns(workbench):
    workbench.register(
        {"printed": "1.0", "by": "level=E", "column": "std_error"},
        {"printed": "2.0", "by": "level=Yes,stype=H"},
        {"printed": "3.0", "by": "stype=H, level=0.25"},
        {"printed": "4.0", "by": "district=11"},
    )
    workbench.estimates(
        "mean",
        row(level="E", stype=None, estimate=9.0, std_error=1.0),
        row(level="Yes", stype="H", estimate=2.0),
        row(level=0.25, stype="H", estimate=3.0),
        row(district=11.0, estimate=4.0),
    )
    report = workbench.check()
    assert [check.verdict for check in report.checks] == ["reproduced"] * 4
    assert str(report.checks[1].claim.address) == "mean | api00 | level=Yes,stype=H | estimate"


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"name": "maen"}, "no estimate 'maen'. Did you mean 'mean'?"),
        ({"term": "api0"}, "no term 'api0'. Did you mean 'api00'?"),
        ({"by": "stype=EE"}, "no row 'stype=EE'. Did you mean 'stype=E'?"),
        ({"by": ""}, "2 rows of 'mean' fit ''; name one of: stype=E, stype=H."),
        ({"by": "stype=E", "column": "std_eror"}, "no column 'std_eror'. Did you mean 'std_error'?"),
        ({"by": "stype=E", "column": "conf_low"}, "holds no value there"),
        ({"by": "stype=H", "column": "conf_low"}, "holds no value there"),
    ],
)
def test_a_number_the_run_lacks_is_not_computable_and_the_nearest_is_named(workbench, asked, reason):
    workbench.register(asked)
    workbench.estimates(
        "mean",
        row(stype="E", estimate=1.0, std_error=0.1, conf_low=None),
        row(stype="H", estimate=2.0, std_error=0.2, conf_low="-Infinity"),
    )
    report = workbench.check()
    assert report.checks[0].verdict == "not computable"
    assert reason in report.checks[0].reason
    assert not report.all_reproduced


def test_a_run_without_any_estimates_reproduces_nothing(workbench):
    workbench.register({})
    assert workbench.check().counts() == {"not computable": 1}


def test_a_number_of_two_rows_never_passes_by_taking_the_first(workbench):
    workbench.register({"printed": "1.0"})
    workbench.estimates("mean", row(estimate=1.0), row(estimate=1.0))
    assert workbench.check().checks[0].verdict == "not computable"


def test_claims_marked_as_not_reproducible_are_shown_and_do_not_decide(workbench):
    workbench.register(
        {"printed": "1.0"},
        {"printed": "84.7%", "unit": "percent", "name": "else", "reproducible": "no", "note": "needs restricted data"},
        {"printed": "9.0", "reproducible": "no", "note": "printed for another wave"},
    )
    workbench.estimates("mean", row(estimate=1.0))
    report = workbench.check()
    assert report.all_reproduced
    assert report.counts() == {"reproduced": 1, "not marked reproducible": 2}
    assert report.checks[1].reason == "needs restricted data"
    assert report.checks[2].reproduced == "1.0"


def test_one_claim_that_is_off_is_enough_to_fail(workbench):
    workbench.register({"printed": "1.0"}, {"printed": "1.2"})
    workbench.estimates("mean", row(estimate=1.0))
    report = workbench.check()
    assert not report.all_reproduced
    assert report.counts() == {"reproduced": 1, "differs": 1}


def test_the_report_reads_the_same_every_time_and_says_everything(workbench):
    workbench.register({"printed": "1.0"}, {"printed": "1.2", "note": "rounded twice?"})
    workbench.estimates("mean", row(estimate=1.0))
    first, second = workbench.check(), workbench.check()
    assert first._repr_html_() == second._repr_html_()
    assert "differs by 2 printed units" in first._repr_html_()
    assert "id=" not in first._repr_html_()
    assert "2 claims: 1 reproduced, 1 differs." in first.summary()
    assert "claim_1: rounded twice?" in first.summary()
    assert str(first.verdict("en")).endswith("Open: claim_1.")
    assert str(first.verdict("ko")) == "주장 2건: 재현됨 1건, 다름 1건. 남은 주장: claim_1."
    frame = first.tidy()
    assert list(frame.columns) == [
        *("claim_id", "where", "printed", "reproduced", "verdict", "difference", "tolerance", "address", "reason")
    ]
    assert frame["difference"].tolist() == pytest.approx([0.0, -2.0])
    assert frame["tolerance"].tolist() == pytest.approx([0.05, 0.05])


def test_the_table_of_claims_puts_what_is_open_first_and_speaks_its_language(workbench):
    workbench.register(
        {"printed": "1.0"},
        {"printed": "1.0", "where": "Table 3"},
        {"printed": "1.2"},
        {"printed": "1.0", "reproducible": "no", "note": "another wave"},
    )
    workbench.estimates("mean", row(estimate=1.0))
    report = workbench.check()
    korean, english = report.as_table("ko"), report.as_table("en")
    assert english.frame["claim"].tolist() == ["claim_2", "claim_3", "claim_0", "claim_1"]
    assert english.groups == (("Table 2, p. 14", 2), ("Table 2, p. 14", 1), ("Table 3", 1))
    assert korean.frame.columns.tolist() == ["주장", "인쇄된 수", "다시 계산한 수", "판정"]
    assert korean.frame["판정"].tolist() == ["인쇄 단위로 2만큼 다름", "재현 대상이 아님", "재현됨", "재현됨"]
    assert table(report, lang="ko").frame.equals(korean.frame)
    assert korean.data["verdict"].tolist()[0] == "reproduced"
    assert "claim_3: another wave" in repr(english)


def test_what_earlier_steps_published_is_read_again_as_results_in_their_order(tmp_path, monkeypatch):
    monkeypatch.setenv("EVALUATION_RUN", str(tmp_path))
    results = {"z_types": made.BY_TYPE, "a_shares": made.SHARES, "b_means": made.MEANS}
    (tmp_path / "study.json").write_text(json.dumps({"steps": {"second": {}, "first": {}}}), encoding="utf-8")
    for step, names in {"first": ["b_means"], "second": ["z_types", "a_shares"]}.items():
        monkeypatch.setenv("EVALUATION_STEP", step)
        for name in names:
            publish(
                name, {"b_means": made.MEANS, "z_types": made.BY_TYPE, "a_shares": made.SHARES}[name], title=name[2:]
            )
    found = published_estimates("demo")
    assert list(found) == ["z_types", "a_shares", "b_means"]
    assert found.titles == {"z_types": "types", "a_shares": "shares", "b_means": "means"}
    for name, before in results.items():
        assert found[name].to_dict() == before.to_dict()
        assert table(found[name], lang="ko").frame.iloc[:, -4:].equals(table(before, lang="ko").frame.iloc[:, -4:])
    assert table(found, lang="ko").frame["항목"].tolist()[:3] == ["초등학교", "고등학교", "중학교"]
    assert found.tidy()["row"].tolist()[0] == "api00 | stype=E"
    with pytest.raises(PublishError, match="Did you mean 'a_shares'"):
        found["a_share"]
    record = tmp_path / "estimates" / "b_means.json"
    record.write_text(json.dumps({"rows": [{"term": "api00"}]}), encoding="utf-8")
    with pytest.raises(ClaimError, match=r"b_means\.json is no complete record"):
        published_estimates("demo")


def test_the_claims_of_the_current_run_are_checked_where_no_folder_is_named(workbench, monkeypatch):
    workbench.register({"printed": "1.0"})
    workbench.estimates("mean", row(estimate=1.0))
    monkeypatch.setenv("EVALUATION_RUN", str(workbench.run))
    assert check_claims("demo").all_reproduced


def test_every_number_of_a_run_has_an_address(workbench):
    workbench.estimates("mean", row(stype="E", estimate=1.0, std_error=None), row(stype=None, estimate=2, deff=3.5))
    numbers = {str(address): value for address, value in read_numbers(workbench.run).items()}
    assert numbers == {
        "mean | api00 | stype=E | estimate": 1.0,
        "mean | api00 | stype=E | std_error": None,
        "mean | api00 |  | estimate": 2.0,
        "mean | api00 |  | deff": 3.5,
    }


def test_all_faults_of_a_register_are_told_at_once_with_their_lines(workbench):
    workbench.register(
        {"claim_id": "one"},
        {"claim_id": "one", "unit": "percents"},
        {"claim_id": "three", "printed": "about 3", "by": "stype", "reproducible": "maybe"},
        {"claim_id": "four", "printed": "84.7%"},
        {"claim_id": "five", "reproducible": "no"},
        {"claim_id": "six", "term": ""},
        {"claim_id": "seven", "where": ""},
    )
    with pytest.raises(ClaimError) as caught:
        read_claims("demo")
    message = str(caught.value)
    assert "params/claims/demo.csv: line 3: " in message
    assert "'one' stands already in line 2" in message
    assert "unit 'percents'. Did you mean 'percent'?" in message
    assert "line 4: 'about 3' is not one printed number" in message
    assert "by 'stype' is not 'column=value'" in message
    assert "must be yes or no, got 'maybe'" in message
    assert "'84.7%' is printed in percent, the register says number" in message
    assert "line 6: reproducible is no, and the note does not say why" in message
    assert "1 more in error.failures" in message
    assert len(caught.value.failures) == 9


def test_a_register_without_a_column_or_without_claims_is_refused(workbench):
    workbench.register({}, columns=REGISTER_COLUMNS[:-1])
    with pytest.raises(ClaimError, match=r"columns \['note'\] are missing"):
        read_claims("demo")
    workbench.register()
    with pytest.raises(ClaimError, match="holds no claim"):
        read_claims("demo")


def test_a_study_without_register_is_told_the_nearest(workbench):
    workbench.register({}, study="api_2000")
    with pytest.raises(ClaimError, match=r"params/claims/api_200.csv does not exist. Did you mean 'api_2000'\?"):
        check_claims("api_200")


@pytest.mark.parametrize("content", ["{", "[]", '{"rows": 3}', '{"rows": [1]}', "{}"])
def test_a_broken_estimates_file_is_named(workbench, content):
    workbench.register({})
    workbench.estimates("mean", row(estimate=1.0))
    (workbench.run / "estimates" / "mean.json").write_text(content, encoding="utf-8")
    with pytest.raises(ClaimError, match=r"estimates/mean\.json"):
        workbench.check()


def registered(study):
    return "\n".join(
        f"{claim.claim_id} {claim.printed} {claim.address} {'yes' if claim.reproducible else 'no'}"
        for claim in read_claims(study)
    )


def test_no_claim_of_api_2000_was_taken_out_or_rewritten(monkeypatch):
    monkeypatch.setenv("EVALUATION_PROJECT", str(ROOT))
    read = read_claims("api_2000")
    assert len(read) == API_2000_CLAIMS
    assert all(claim.reproducible for claim in read)
    assert hashlib.sha256(registered("api_2000").encode()).hexdigest() == API_2000_SHA256


def test_the_register_of_api_2000_holds_every_published_number(monkeypatch):
    if not PUBLISHED.is_file():
        pytest.skip("needs ../shared/data/api/published.json beside the repository")
    monkeypatch.setenv("EVALUATION_PROJECT", str(ROOT))
    published = json.loads(PUBLISHED.read_text(encoding="utf-8"), parse_float=Decimal, parse_int=Decimal)
    expected = sorted((result["id"], number) for result in published["results"] for number in _numbers(result))
    held = sorted((c.address.name, parse_printed(c.printed).value) for c in read_claims("api_2000"))
    assert held == expected


def _numbers(result):
    for value in result.values():
        yield from (item for item in (value if isinstance(value, list) else [value]) if isinstance(item, Decimal))
