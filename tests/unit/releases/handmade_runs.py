"""Run folders made by hand for the tests of releases: two studies of two years, written as a run writes them."""

import csv
import hashlib
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd

from evaluation.results import Estimates, Provenance
from evaluation.specification import parse_study
from evaluation.tables import csv_bytes, long_frame

STUDY = """
study: {study}
title: {{ko: 도시 {year}, en: The city in {year}}}
question: {{ko: 얼마인가?, en: How much?}}
survey: city_{year}
headline: main
designs:
  main: {{sample: all}}
steps:
  district: {{notebook: 60_district, matrix: {{district: all, year: [2015, 2016, 2017]}}}}
{more}
"""
CODEBOOK = """variable,kind,label_ko,label_en,codes
stay,categorical,정주 의사,Wants to stay,yes_no
rely,categorical,의지할 사람,Has someone to rely on,yes_no
happy,numeric,행복,Happiness,
sex,categorical,성별,Sex,sex
district,categorical,자치구,District,district
"""
CODES = """list,code,label_ko,label_en
yes_no,0,아니요,No
yes_no,1,예,Yes
sex,1,남성,Men
sex,2,여성,Women
district,110,종로구,Jongno-gu
district,680,강남구,Gangnam-gu
"""
CHANGES = "since,variable,kind,previous,period,reason_ko,reason_en\n"
NAMES = {"stay": ("정주 의사", "Wants to stay"), "rely": ("의지할 사람", "Has someone to rely on")}
ADULTS = {
    "ko": "15세 이상 주민 (2016년)",
    "en": "residents aged 15 and over (8,832,952 by the totals of December 2016)",
}


class Book:
    """Words of a small codebook."""

    def variable(self, name, lang):
        return NAMES[name][lang == "en"] if name in NAMES else str(name)

    def value(self, name, value, lang):
        return str(value)


def means(values, errors, *, keys=None, n=400, verb="survey_mean", population=ADULTS, min_base=1, fit=None, df=50.0):
    """Estimates of ``values`` by term, or by the key columns given."""
    keys = {"term": list(values)} if keys is None else keys
    numbers = np.array(list(values.values()) if isinstance(values, dict) else values, dtype=float)
    errors = np.broadcast_to(np.array(errors, dtype=float), numbers.shape)
    where = Provenance("city", population=population, n=4000, weight="w", labels=Book(), min_base=min_base)
    sizes = np.broadcast_to(np.array(n), numbers.shape).astype(np.int64)
    degrees = np.full(len(numbers), df)
    return Estimates(verb, pd.DataFrame(keys), numbers, np.diag(errors**2), degrees, sizes, where, fit=fit or {})


def project_of(root):
    """Make a project of two studies and their surveys; ``changes`` and ``explained`` are written by ``declare``."""
    for folder in ("params", "outputs/reference", "surveys/city_2016", "surveys/city_2017"):
        (root / folder).mkdir(parents=True)
    (root / "pyproject.toml").write_text("[tool.evaluation]\n", encoding="utf-8")
    for year in (2016, 2017):
        survey = root / "surveys" / f"city_{year}"
        (survey / "codebook.csv").write_text(CODEBOOK, encoding="utf-8")
        (survey / "codes.csv").write_text(CODES, encoding="utf-8")
        (survey / "survey.yml").write_text(f"id: city_{year}\n", encoding="utf-8")
    made = SimpleNamespace(root=root, old=root / "outputs" / "city_2016", new=root / "outputs" / "city_2017")
    made.published = root / "outputs" / "reference"
    declare(made)
    return made


def declare(made, changes="", compared_with=""):
    """Write the two study files, and what the newer survey says that it changed."""
    for year in (2016, 2017):
        more = compared_with if year == 2017 else ""
        text = STUDY.format(study=f"city_{year}", year=year, more=more)
        (made.root / "params" / f"city_{year}.yml").write_text(text, encoding="utf-8")
    (made.root / "surveys" / "city_2017" / "changes.csv").write_text(CHANGES + changes, encoding="utf-8")


def write_run(folder, items, *, study=None, state="ok", complete=True, place=None, parameters=None):
    """Write a run folder: estimates and frames by name, study.json and the manifest."""
    study = study or folder.name
    year = study[-4:]
    outputs = []
    for name, item in items.items():
        for file, content in files_of(name, item).items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(content)
            digest = hashlib.sha256(content).hexdigest()
            outputs.append({"name": name, "title": f"Table {name}", "file": file, "sha256": digest})
    content = {
        "study": study,
        "title": {"ko": f"도시 {year}", "en": f"The city in {year}"},
        "question": {"ko": "얼마인가?", "en": "How much?"},
        "survey": f"city_{year}",
        "headline": "main",
        "designs": {"main": {"sample": "all"}},
        "parameters": parameters or {},
        "steps": {"district": {"notebook": "60_district", "matrix": {"district": "all", "year": [2015, 2016, 2017]}}},
    }
    resolved = parse_study(content, place="a test", study_id=study).model_dump_json(by_alias=True)
    (folder / "study.json").write_text(resolved, encoding="utf-8")
    step = {"state": "ok", "notebook": "notebooks/10_all.ipynb", "duration_seconds": 1.5, "outputs": outputs}
    manifest = {"study": study, "state": state, "complete": complete, "parameters": parameters or {}}
    manifest |= {"steps": {"all": step}, "unattributed": []}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    (folder / "notebooks").mkdir(exist_ok=True)
    (folder / "notebooks" / "10_all.ipynb").write_text('{"cells": []}', encoding="utf-8")


def files_of(name, item):
    if isinstance(item, pd.DataFrame):
        return {f"tables/{name}.csv": csv_bytes(item)}
    shown = item.masked()
    record = json.dumps({"name": name, **shown.to_dict()}, ensure_ascii=False)
    return {f"estimates/{name}.json": record.encode("utf-8"), f"tables/{name}.csv": csv_bytes(long_frame(item))}


def rows_of(file):
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))
