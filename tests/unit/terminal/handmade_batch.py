"""A batch of 25 districts and a gathering step, as a run tells of it."""

from dataclasses import replace

from evaluation.study.states import CellWarning, Failure
from evaluation.terminal.snapshot import RunView, StepView

#: Codes, Korean and English names.
DISTRICTS = {
    "110": ("종로구", "Jongno-gu"),
    "140": ("중구", "Jung-gu"),
    "170": ("용산구", "Yongsan-gu"),
    "200": ("성동구", "Seongdong-gu"),
    "215": ("광진구", "Gwangjin-gu"),
    "230": ("동대문구", "Dongdaemun-gu"),
    "260": ("중랑구", "Jungnang-gu"),
    "290": ("성북구", "Seongbuk-gu"),
    "305": ("강북구", "Gangbuk-gu"),
    "320": ("도봉구", "Dobong-gu"),
    "350": ("노원구", "Nowon-gu"),
    "380": ("은평구", "Eunpyeong-gu"),
    "410": ("서대문구", "Seodaemun-gu"),
    "440": ("마포구", "Mapo-gu"),
    "470": ("양천구", "Yangcheon-gu"),
    "500": ("강서구", "Gangseo-gu"),
    "530": ("구로구", "Guro-gu"),
    "545": ("금천구", "Geumcheon-gu"),
    "560": ("영등포구", "Yeongdeungpo-gu"),
    "590": ("동작구", "Dongjak-gu"),
    "620": ("관악구", "Gwanak-gu"),
    "650": ("서초구", "Seocho-gu"),
    "680": ("강남구", "Gangnam-gu"),
    "710": ("송파구", "Songpa-gu"),
    "740": ("강동구", "Gangdong-gu"),
}
NO_80 = (
    "margin 'age_group' has levels absent from the sample: ['80+'] (target 412,300 persons, 0 respondents).\n"
    "  Merge it with '70-79' in surveys/seoul_2017/margins.csv, or drop the margin."
)
TIMEOUT = "the cell ran longer than 600 s. Give it longer by the tag timeout-<seconds>"


def district(code, state="ok", **other):
    korean, english = DISTRICTS[code]
    facts = {"done": 14, "cells": 14, "seconds": 20 + int(code) / 100, "why": ("never run",)} | other
    return StepView(
        f"district/{code}_2017", state, notebook=f"60_district/{code}_2017", place=f"{korean} ({english})", **facts
    )


def batch(**changed):
    """25 districts, of which 강남구 failed and 관악구 timed out, so that two steps never ran."""
    views = {code: district(code) for code in DISTRICTS}
    for code in ("110", "140"):
        views[code] = district(code, "cached", seconds=0.0, why=())
    views["350"] = replace(
        views["350"], warnings=(CellWarning("FewClustersWarning", "4 clusters are treated", 7),), memory=412_000_000
    )
    views["380"] = replace(views["380"], warnings=views["350"].warnings)
    views["620"] = district("620", "timed-out", done=8, seconds=604.0, failure=Failure(9, "CellTimeoutError", TIMEOUT))
    views["680"] = district("680", "failed", done=4, seconds=21.4, failure=Failure(5, "MarginError", NO_80))
    broken = ("district/620_2017", "district/680_2017")
    steps = (
        StepView("profile", "cached", 24, 24, notebook="10_profile"),
        StepView("weighting", "ok", 18, 18, 31.0, "20_weighting", why=("src/evaluation/weighting/raking.py changed",)),
        *views.values(),
        StepView("districts", "blocked", 0, 16, notebook="70_districts", blocked_by=broken),
        StepView("report", "blocked", 0, 22, notebook="50_report", blocked_by=("districts",)),
    )
    run = RunView(
        "seoul_2017",
        "failed",
        steps,
        number=7,
        elapsed=751.0,
        folder="outputs/failed/seoul_2017",
        disk={"run": 23_400_000, "cache": 118_000_000},
    )
    return replace(run, **changed)
