"""A small survey project on disk, so that each test plants one fault in real files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from evaluation import project
from evaluation.survey.reading import Survey, read_survey

CODEBOOK = """\
variable,kind,label_ko,label_en,source_name,codes,missing_codes,scale,scale_direction,reverse_worded,minimum,maximum,gate,gate_blank
person,id,응답자,Respondent,ID,,,,,,,,,
region,categorical,지역,Region,,region,,,,,,,,
age,numeric,나이,Age,,,-8=dont_know,,,,19,110,,
volunteered,binary,자원봉사,Volunteered,PUBPAR1,yes_no,-8=dont_know; 8=refused,,,,,,,
hours,numeric,시간,Hours,,,-1=not_applicable,,,,0,100,volunteered == 1,
helped,binary,도움,Helped,,yes_no,,,,,,,volunteered == 1,2
care,ordinal,이웃 관심,Neighbours care,POLPAR05,agree,-8=dont_know,neighbours,higher_is_less,,,,,
help,ordinal,이웃 도움,Neighbours help,POLPAR06,agree,-8=dont_know,neighbours,higher_is_less,,,,,
weight,design,가중치,Weight,,,,,,,,,,
"""
CODES = """\
list,code,label_ko,label_en
region,1,서울,Seoul
region,2,경기,Gyeonggi
region,11,제주,Jeju
yes_no,1,그렇다,Yes
yes_no,2,아니다,No
agree,1,전적으로 동의,Strongly agree
agree,2,동의,Agree
agree,3,동의도 반대도 아님,Neither
agree,4,반대,Disagree
agree,5,전적으로 반대,Strongly disagree
"""
DATA = """\
ID,region,age,PUBPAR1,hours,helped,POLPAR05,POLPAR06,weight
001,1,34,1,5,1,1,2,1.5
002,11,-8,2,,,2,2,0.5
003,2,70,2,-1,,5,4,1.25
004,1,19,-8,,,-8,3,0.75
005,1,50,1,0,2,3,3,1
"""
DESCRIPTION = """\
id: trial
title: {{ko: 시험 조사, en: Trial survey}}
population: {{ko: 성인, en: adults}}
data: {data}
licence: {{ko: 공개, en: open}}
source: {{ko: 시험, en: test}}
citation: none
{more}default_sample: all
samples:
  all:
    file: data.csv
    title: {{ko: 전체, en: everybody}}
    sha256: "{sha256}"
    rows: {rows}
    id: person
    design: {{weights: weight}}
"""


class SurveyProject:
    """Writes ``surveys/trial`` with one thing changed, and reads it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "surveys" / "trial"
        self.folder.mkdir(parents=True)
        self.codebook, self.codes, self.data = CODEBOOK, CODES, DATA
        self.description, self.kind, self.more = DESCRIPTION, "real", ""
        self.encoding = "utf-8"

    def write(self) -> None:
        (self.folder / "codebook.csv").write_text(self.codebook, encoding="utf-8-sig")
        (self.folder / "codes.csv").write_text(self.codes, encoding="utf-8")
        content = self.data.encode(self.encoding)
        (self.folder / "data.csv").write_bytes(content)
        text = self.description.format(
            sha256=hashlib.sha256(content).hexdigest(),
            rows=self.data.count("\n") - 1,
            data=self.kind,
            more=self.more,
        )
        (self.folder / "survey.yml").write_text(text, encoding="utf-8")

    def read(self, **changes: str) -> Survey:
        for name, value in changes.items():
            setattr(self, name, value)
        self.write()
        return read_survey("trial")


@pytest.fixture
def trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SurveyProject]:
    monkeypatch.setenv(project.PROJECT_VARIABLE, str(tmp_path))
    yield SurveyProject(tmp_path)
    project.use_language("en")


@pytest.fixture
def respondents() -> pd.DataFrame:
    """What the trial's columns are after reading, written by hand."""
    nan = float("nan")
    return pd.DataFrame(
        {
            "person": ["001", "002", "003", "004", "005"],
            "region": pd.Categorical([1, 11, 2, 1, 1], categories=[1, 2, 11]),
            "age": [34.0, nan, 70.0, 19.0, 50.0],
            "volunteered": pd.Categorical([1, 2, 2, None, 1], categories=[1, 2]),
            "hours": [5.0, nan, nan, nan, 0.0],
            "helped": pd.Categorical([1, 2, 2, None, 2], categories=[1, 2]),
            "care": [1.0, 2.0, 5.0, nan, 3.0],
            "help": [2, 2, 4, 3, 3],
            "weight": [1.5, 0.5, 1.25, 0.75, 1.0],
        }
    )


@pytest.fixture
def language() -> Iterator[Callable[[str], None]]:
    yield project.use_language
    project.use_language("en")
