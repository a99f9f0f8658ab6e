"""A Korean survey of a later kind: -8 don't know, -1 not applicable, scales from 1 = agree, gates."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest

from evaluation.errors import CodebookError
from evaluation.survey.reading import read_survey_file, reverse_scale
from evaluation.survey.scales import sounds_like_no_answer

FOLDER = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "kgss2012"

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="the KGSS 2012 extract (../shared/data/kgss2012) may not be committed and is not here"
)

KINDS = {
    "RESPID": "id",
    "BLOCKNO": "design",
    "FINALWT": "design",
    "REGION": "categorical",
    "AGE": "numeric",
    "PUBPAR1": "binary",
    "MEMBACT": "categorical",
    "HAPINSS1": "ordinal",
    "POLPAR05": "ordinal",
    "POLPAR06": "ordinal",
}


def write_codebook(folder: Path, direction: str = "higher_is_less", dont_know: str = "dont_know") -> Path:
    """Our two tables from the survey's own list of labels."""
    with (FOLDER / "codebook_ko.csv").open(encoding="utf-8") as file:
        listed = {row["variable"]: row for row in csv.DictReader(file)}
    rows = [["variable", "kind", "label_ko", "codes", "missing_codes", "scale", "scale_direction"]]
    codes = [["list", "code", "label_ko", "label_en"]]
    for name, kind in KINDS.items():
        labels = dict(part.split("=", 1) for part in listed[name]["values_ko"].split("; "))
        missing = ["-8=dont_know", "-1=not_applicable"]
        for code, label in labels.items():
            if int(code) > 0 and sounds_like_no_answer(label) and dont_know:
                missing.append(f"{code}={dont_know}")
        coded = kind not in ("id", "design", "numeric")
        if coded:
            codes += [[name, code, label, ""] for code, label in labels.items()]
        scale = "neighbours" if name.startswith("POLPAR") else ""
        rows.append(
            [
                name,
                kind,
                listed[name]["label_ko"],
                name * coded,
                "; ".join(missing),
                scale,
                direction * (kind == "ordinal"),
            ]
        )
    for file_name, table in (("codebook.csv", rows), ("codes.csv", codes)):
        with (folder / file_name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(table)
    return folder


def test_spss_and_csv_give_equal_frames_under_one_codebook(tmp_path: Path) -> None:
    codebook = write_codebook(tmp_path)
    spss = read_survey_file(FOLDER / "kgss2012.sav", codebook=codebook)
    plain = read_survey_file(FOLDER / "kgss2012.csv", codebook=codebook)
    pd.testing.assert_frame_equal(spss.data, plain.data)
    assert spss.data["REGION"].dtype == "category"
    assert spss.missing.to_dict("records") == [
        {"variable": "MEMBACT", "code": "-1", "reason": "not_applicable", "n": 343}
    ]
    assert spss.codebook.value("REGION", 1, "ko") == "서울"


def test_scales_that_run_from_agreement_must_say_so(tmp_path: Path) -> None:
    with pytest.raises(CodebookError, match="'POLPAR06' declares higher_is_more, but its labels say higher_is_less"):
        read_survey_file(FOLDER / "kgss2012.csv", codebook=write_codebook(tmp_path, direction="higher_is_more"))
    survey = read_survey_file(FOLDER / "kgss2012.csv", codebook=write_codebook(tmp_path))
    turned = reverse_scale(survey, ["POLPAR05", "POLPAR06"])
    assert turned.codebook.value("POLPAR06", 7, "ko") == "전적으로 동의"
    assert (turned.data["POLPAR06"] + survey.data["POLPAR06"] == 8).all()


def test_codes_labelled_dont_know_must_be_listed_as_missing(tmp_path: Path) -> None:
    with pytest.raises(CodebookError, match="'HAPINSS1' has code 8, labelled 'DK/Refusal', inside its scale"):
        read_survey_file(FOLDER / "kgss2012.csv", codebook=write_codebook(tmp_path, dont_know=""))


def test_an_spss_file_needs_no_codebook(tmp_path: Path) -> None:
    survey = read_survey_file(FOLDER / "kgss2012.sav", missing_codes="labelled")
    assert len(survey) == 1396
    assert survey.codebook["POLPAR06"].direction == "higher_is_less"
    assert survey.codebook["AGE"].kind == "numeric"
    assert survey.missing["n"].sum() == 108 + 343
