"""Files of every format, written for real: the same table comes out, and what is damaged says so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pandas as pd
import pyreadstat
import pytest

from evaluation.errors import CodebookError, SourceError
from evaluation.survey.formats import read_table
from evaluation.survey.reading import read_survey_file, reverse_scale

KOREAN = pd.DataFrame(
    {
        "번호": ["001", "002", "003", "004"],
        "지역": ["서울", "경기", "제주", "서울"],
        "나이": [34.0, float("nan"), 70.0, 19.5],
        "인원": [1, 2, 3, 4],
    }
)


def write_labelled(path: Path) -> Path:
    frame = pd.DataFrame(
        {
            "q1": [1.0, 2.0, 5.0, 9.0, 8.0],
            "sex": [1.0, 2.0, 2.0, 1.0, 2.0],
            "region": [1.0, 2.0, 3.0, 1.0, 2.0],
            "age": [20.0, 30.0, 40.0, 50.0, 999.0],
            "name": ["가", "나", "다", "라", ""],
        }
    )
    labels = {1: "전적으로 동의", 2: "동의", 3: "보통", 4: "반대", 5: "전적으로 반대", 8: "모르겠다", 9: "거절"}
    value_labels = {
        "q1": labels,
        "sex": {1: "남자", 2: "여자"},
        "region": {1: "서울", 2: "경기", 3: "제주"},
        "age": {999: "DK"},
    }
    names = {"q1": "이웃 신뢰", "age": "나이"}
    if path.suffix == ".dta":
        labels = {**labels, "a": "거절"}
        frame["q1"] = [1, 2, 5, "a", 8]
        frame["age"] = [20, 30, 40, 50, "b"]
        frame[["sex", "region"]] = frame[["sex", "region"]].astype(int)
        value_labels = {**value_labels, "q1": {**labels, "a": "거절"}, "age": {"b": "DK"}}
        missing = {"q1": ["a"], "age": ["b"]}
        pyreadstat.write_dta(
            frame,
            str(path),
            column_labels=names,
            variable_value_labels=value_labels,
            missing_user_values=missing,
        )
    else:
        pyreadstat.write_sav(
            frame,
            str(path),
            column_labels=names,
            variable_value_labels=value_labels,
            missing_ranges={"q1": [9], "age": [{"lo": 990, "hi": 999}]},
            compress=path.suffix == ".zsav",
        )
    return path


WRITERS: dict[str, Callable[[Path], object]] = {
    "utf8.csv": lambda path: KOREAN.to_csv(path, index=False, encoding="utf-8"),
    "bom.csv": lambda path: KOREAN.to_csv(path, index=False, encoding="utf-8-sig"),
    "cp949.csv": lambda path: KOREAN.to_csv(path, index=False, encoding="cp949"),
    "utf16.csv": lambda path: KOREAN.to_csv(path, index=False, encoding="utf-16"),
    "semicolon.csv": lambda path: KOREAN.to_csv(path, index=False, encoding="utf-8", sep=";"),
    "crlf.csv": lambda path: KOREAN.to_csv(path, index=False, encoding="utf-8", lineterminator="\r\n"),
    "r_like.csv": lambda path: KOREAN.to_csv(path, index=False, encoding="utf-8", na_rep="NA"),
    "tabs.tsv": lambda path: KOREAN.to_csv(path, index=False, encoding="utf-8", sep="\t"),
    "book.xlsx": lambda path: KOREAN.to_excel(path, index=False),
    "columns.parquet": lambda path: KOREAN.to_parquet(path),
    "spss.sav": lambda path: pyreadstat.write_sav(KOREAN, str(path)),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_table(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name)
    survey = read_survey_file(tmp_path / name)
    text = survey.data["번호"].dtype
    pd.testing.assert_frame_equal(survey.data, KOREAN.astype({"번호": text, "지역": text}))
    assert survey.missing.to_dict("records") == [{"variable": "나이", "code": "", "reason": "blank", "n": 1}]
    assert survey.provenance("none").labels.value("지역", "서울", "en") == "서울"


def test_the_encoding_that_was_found_is_kept(tmp_path: Path) -> None:
    for name, encoding in (("utf8.csv", "utf-8"), ("cp949.csv", "cp949"), ("utf16.csv", "utf-16")):
        WRITERS[name](tmp_path / name)
        assert read_survey_file(tmp_path / name).source.encoding == encoding


@pytest.mark.parametrize("name", ["labelled.sav", "labelled.zsav", "labelled.dta"])
def test_value_labels_become_a_codebook_and_declared_missing_codes_are_counted(tmp_path: Path, name: str) -> None:
    survey = read_survey_file(write_labelled(tmp_path / name), missing_codes="labelled")
    assert survey.data["q1"].dropna().tolist() == [1, 2, 5]
    assert survey.data["age"].dropna().tolist() == [20, 30, 40, 50]
    assert survey.data["region"].dtype == "category"
    assert survey.codebook.variable("q1", "ko") == "이웃 신뢰"
    assert survey.codebook.value("q1", 5.0, "ko") == "전적으로 반대"
    assert survey.codebook["q1"].direction == "higher_is_less"
    counted = survey.missing.set_index(["variable", "reason"])["n"].to_dict()
    assert counted == {("q1", "refused"): 1, ("q1", "dont_know"): 1, ("age", "dont_know"): 1, ("name", "blank"): 1}


@pytest.mark.parametrize("name", ["labelled.sav", "labelled.dta"])
def test_a_labelled_dont_know_that_the_file_does_not_declare_missing_is_refused(tmp_path: Path, name: str) -> None:
    path = write_labelled(tmp_path / name)
    with pytest.raises(
        CodebookError, match=r"'q1' has code 8, labelled '모르겠다', inside its scale \(1 row"
    ) as caught:
        read_survey_file(path)
    assert "missing_codes='labelled'" in str(caught.value)


def test_a_codebook_can_be_given_for_a_file_of_ones_own(tmp_path: Path) -> None:
    path = write_labelled(tmp_path / "labelled.sav")
    (tmp_path / "codebook.csv").write_text(
        "variable,kind,label_ko,label_en,source_name,codes,missing_codes,scale_direction\n"
        "trust,ordinal,신뢰,Trust,q1,agree,8=dont_know; 9=refused,higher_is_less\n"
        "sex,binary,성별,Sex,,sex,,\n",
        encoding="utf-8",
    )
    codes = ["list,code,label_ko,label_en", "sex,1,남,Male", "sex,2,여,Female"]
    codes += [
        f"agree,{code},{ko},{en}" for code, ko, en in ((1, "동의", "Agree"), (2, "", ""), (5, "반대", "Disagree"))
    ]
    (tmp_path / "codes.csv").write_text("\n".join(codes), encoding="utf-8")
    survey = read_survey_file(path, codebook=tmp_path)
    assert list(survey.data) == ["trust", "sex"]
    assert survey.not_read == ("q1", "region", "age", "name")[1:]
    assert survey.provenance("").labels.value("sex", 2, "en") == "Female"


def test_reversing_a_scale_turns_codes_labels_and_direction(tmp_path: Path) -> None:
    survey = read_survey_file(write_labelled(tmp_path / "labelled.sav"), missing_codes="labelled")
    turned = reverse_scale(survey, ["q1"])
    assert turned.data["q1"].dropna().tolist() == [5, 4, 1]
    assert turned.codebook.value("q1", 5, "ko") == "전적으로 동의"
    assert turned.codebook["q1"].direction == "higher_is_more"
    pd.testing.assert_frame_equal(reverse_scale(turned, ["q1"]).data, survey.data)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", b"", "is empty"),
        ("short.csv", b"a,b\n1,2\n3\n", "row 3 (the first row counted) has 1 columns, expected 2 as in the first row."),
        (
            "long.csv",
            b"a,b\n1,2\n3,4,5\n",
            "row 3 (the first row counted) has 3 columns, expected 2 as in the first row.",
        ),
        ("twice.csv", b"a,a\n1,2\n", "column names must differ"),
        ("unnamed.csv", b"a,\n1,2\n", "column 2 has no name"),
        ("latin.csv", "a,b\nné,é\n".encode("latin-1"), "is neither UTF-8 (line 2) nor CP949"),
        ("accents.csv", "a,b\n1,Ärger\n2,Äpfel\n".encode("latin-1"), "reads as no Korean in CP949"),
        ("wrong.csv", b"PK\x03\x04rest", "its content is Excel workbook (.xlsx)"),
        ("wrong.sav", b"a,b\n1,2\n", "is not SPSS (.sav): it does not begin as such a file must"),
        ("wrong.xlsx", b"$FL2@(#) SPSS DATA FILE", "its content is SPSS (.sav)"),
        ("wrong.dta", b"PAR1", "its content is Parquet"),
        ("old.xls", b"\xd0\xcf\x11\xe0", "Save it as .xlsx"),
        ("notes.docx", b"PK\x03\x04", "expected one of .csv"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_refused(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError) as caught:
        read_survey_file(tmp_path / name)
    assert str(caught.value).startswith(name)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["book.xlsx", "columns.parquet", "spss.sav", "labelled.sav", "labelled.dta"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, name: str, share: float) -> None:
    path = tmp_path / name
    WRITERS.get(name, write_labelled)(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(SourceError, match=f"^{name}"):
        read_survey_file(path)


def test_a_missing_file_and_a_wrong_sheet_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no file absent\.csv"):
        read_survey_file(tmp_path / "absent.csv")
    KOREAN.to_excel(tmp_path / "book.xlsx", sheet_name="자료", index=False)
    assert len(read_survey_file(tmp_path / "book.xlsx", sheet="자료")) == 4
    with pytest.raises(SourceError, match=r"no sheet '자로'\. Did you mean '자료'\?"):
        read_survey_file(tmp_path / "book.xlsx", sheet="자로")


def test_a_wrong_encoding_that_was_asked_for_is_refused(tmp_path: Path) -> None:
    WRITERS["cp949.csv"](tmp_path / "cp949.csv")
    with pytest.raises(SourceError, match="line 1: not utf-8 text"):
        read_survey_file(tmp_path / "cp949.csv", encoding="utf-8")
    with pytest.raises(SourceError, match="no encoding 'utf-9'"):
        read_survey_file(tmp_path / "cp949.csv", encoding="utf-9")


def test_quoted_separators_and_line_breaks_stay_inside_their_value(tmp_path: Path) -> None:
    (tmp_path / "quoted.csv").write_text('a,b\n"x, y","line 1\nline 2"\n"NA",\n', encoding="utf-8")
    data = read_survey_file(tmp_path / "quoted.csv").data
    assert data["a"].tolist() == ["x, y", "NA"]
    assert data["b"].iloc[0] == "line 1\nline 2"


def test_text_of_a_parquet_file_keeps_its_blanks_missing_and_its_zeros(tmp_path):
    frame = pd.DataFrame({"text": ["007", "", "  ", None, " a "], "day": [date(2016, 10, 1), None, None, None, None]})
    frame.to_parquet(tmp_path / "x.parquet")
    frame = read_table(tmp_path / "x.parquet").frame
    read = frame["text"]
    assert frame["day"].dropna().tolist() == ["2016-10-01"]
    assert read.isna().tolist() == [False, True, True, True, False]
    assert read.dropna().tolist() == ["007", " a "]
