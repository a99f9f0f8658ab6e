"""Generated files are known by all their values, but what was not asked for is never held in memory at once."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.errors import SourceError
from evaluation.survey import formats
from evaluation.survey.reading import read_survey
from evaluation.synthetic import files

ROOT = Path(__file__).parents[3]
ASKED = ["stay", "district", "weight_design"]


def test_column_by_column_is_the_hash_of_the_whole_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.DataFrame(
        {
            "whole": [1, 2, 3, 4],
            "broken": [0.5, np.nan, 2, -1],
            "said": ["x", None, "나", ""],
            "yes": [True, None, False, True],
        }
    )
    frame["yes"] = frame["yes"].astype("boolean")
    frame.to_parquet(tmp_path / "some.parquet", index=False)
    whole = formats.read_table(tmp_path / "some.parquet").frame
    told = files.values_sha256(whole)
    columns = dict(formats.one_by_one(tmp_path / "some.parquet"))
    pd.testing.assert_frame_equal(pd.DataFrame(columns), whole)
    monkeypatch.setattr(files, "_PIECE", 3)
    assert files.columns_sha256(columns.items()) == told == files.values_sha256(whole)


def test_some_variables_are_read_without_the_others_and_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read_survey("seoul_2016", sample="citizens")
    widths: list[int] = []
    plain = formats._plain_columns

    def counted(frame: pd.DataFrame) -> pd.DataFrame:
        widths.append(frame.shape[1])
        return plain(frame)

    monkeypatch.setattr(formats, "_plain_columns", counted)
    some = read_survey("seoul_2016", sample="citizens", variables=ASKED)
    pd.testing.assert_frame_equal(some.data[ASKED], whole.data[ASKED])
    assert (some.not_read, some.source) == (whole.not_read, whole.source)
    # Every column once for the hash, then those asked for, with that of the respondents.
    assert max(widths[:-1]) == 1
    assert widths[-1] <= len(some.codebook.variables) + 1 < len(widths) - 1


def test_a_changed_value_in_a_column_that_nobody_asked_for_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "surveys" / "seoul_2016", tmp_path / "surveys" / "seoul_2016")
    path = tmp_path / "surveys" / "seoul_2016" / "generated" / "citizens_2016.parquet"
    monkeypatch.setenv("EVALUATION_PROJECT", str(tmp_path))
    frame = pd.read_parquet(path)
    frame.loc[3, "happy"] = 1 - np.nan_to_num(frame.loc[3, "happy"])
    frame.to_parquet(path, index=False)
    with pytest.raises(SourceError, match=r"does not hold the values that survey\.yml describes"):
        read_survey("seoul_2016", sample="citizens", variables=ASKED)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(SourceError, match="cannot be read to its end"):
        read_survey("seoul_2016", sample="citizens", variables=ASKED)
