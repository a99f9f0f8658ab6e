"""The reference designs of tests/reference/survey, with R's weighting convention, and the numbers R gave for them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

import evaluation as ev

FOLDER = Path(__file__).parents[1] / "reference" / "survey"


@cache
def expected() -> dict[str, dict[str, Any]]:
    """Return what R gave, by item id."""
    record = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))
    return {item["id"]: item["expect"] for item in record["items"]}


def read(name: str) -> pd.DataFrame:
    """Return a committed data file of the reference."""
    return pd.read_csv(FOLDER / f"{name}.csv")


def api_design(name: str, linearization: str = "r") -> ev.Design:
    """Return one of the reference's designs by its name there."""
    if name == "dstrat":
        return ev.survey_design(read("apistrat"), weights="pw", strata="stype", fpc="fpc", linearization=linearization)
    if name == "dclus1":
        return ev.survey_design(read("apiclus1"), weights="pw", psu="dnum", fpc="fpc", linearization=linearization)
    if name == "dsc":
        return ev.survey_design(
            read("own_strat2psu"),
            weights="wt",
            strata="stratum",
            psu="dnum",
            nested=True,
            linearization=linearization,
        )
    made_from, kind = {"rep_jkn": ("dstrat", "JKn"), "rep_jk1": ("dclus1", "JK1")}[name]
    return ev.as_replicates(api_design(made_from), kind=kind)
