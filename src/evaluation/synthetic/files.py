"""The synthetic survey as files: made on first use, known again by a hash of their values."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from evaluation import project
from evaluation.errors import SourceError, did_you_mean
from evaluation.synthetic.outcomes import YEAR
from evaluation.synthetic.population import SEED, City, synthesize
from evaluation.synthetic.rollout import WAVES
from evaluation.synthetic.sampling import (
    citizen_module,
    citizen_survey,
    participant_roster,
    pooled,
    public_use,
    small_file,
)
from evaluation.synthetic.truth import truth_of
from evaluation.synthetic.wave_2017 import citizens_2017, waves_to_2017

#: Values are held equal where they agree in this many decimals.
DECIMALS = 6
#: Texts that are hashed at once.
_PIECE = 10_000


Makers = Mapping[str, Callable[[City], pd.DataFrame]]

#: File name to what it holds.
FILES: Makers = {
    "citizens_2016.parquet": citizen_survey,
    "citizens_2016_public.parquet": lambda city: public_use(citizen_survey(city), seed=city.seed),
    "citizens_2010_2019.parquet": lambda city: pooled([citizen_survey(city, year) for year in WAVES]),
    "roster_2016.parquet": participant_roster,
    "module_2016.parquet": citizen_module,
}
#: Survey to its generated files. A name stands once in all of them, so that it tells the survey.
SURVEYS: Mapping[str, Makers] = {
    "seoul_2016": FILES,
    "seoul_2017": {"citizens_2017.parquet": citizens_2017, "citizens_2015_2017.parquet": waves_to_2017},
}
#: The file that is kept with the code.
SMALL_FILE = "citizens_2016_small.csv"
TRUTH_FILE = "truth.json"


def generate(folder: Path, city: City | None = None, *, survey: str = "seoul_2016") -> list[Path]:
    """Make every generated file of a survey that is not in the folder yet.

    Parameters
    ----------
    folder : Path
        Is made where it is not there. A file appears whole or not at all, so that two notebooks may
        generate at the same time.
    city : City, optional
        Else that of the default seed and switches.
    survey : str
        A key of ``SURVEYS``.

    Returns
    -------
    list of Path
        What was made.

    Raises
    ------
    SourceError
        The survey is not a synthetic one.
    """
    if survey not in SURVEYS:
        raise SourceError(f"survey '{survey}' has no generated files. {did_you_mean(survey, SURVEYS)}")
    makers = SURVEYS[survey]
    absent = [name for name in makers if not (folder / name).is_file()]
    if not absent:
        return []
    city = city or synthesize(SEED)
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    with TemporaryDirectory(dir=folder) as scratch:
        for name in absent:
            makers[name](city).to_parquet(Path(scratch) / name, index=False)
            os.replace(Path(scratch) / name, folder / name)
            made.append(folder / name)
    return made


def generate_file(path: Path) -> None:
    """Make a generated file, and with it the others of its folder.

    Parameters
    ----------
    path : Path
        Named as in ``SURVEYS``.

    Raises
    ------
    SourceError
        There is no such file to be made.
    """
    owners = {name: survey for survey, makers in SURVEYS.items() for name in makers}
    if path.name not in owners:
        raise SourceError(f"no way to make {path.name}. {did_you_mean(path.name, owners)}")
    generate(path.parent, survey=owners[path.name])


def write_committed(folder: Path, city: City | None = None) -> None:
    """Write the two files of ``seoul_2016`` that are kept with the code: 5,000 respondents of 2016, and the truth.

    Parameters
    ----------
    folder : Path
        ``surveys/seoul_2016``.
    city : City, optional
        Else that of the default seed and switches.
    """
    city = city or synthesize(SEED)
    small = small_file(citizen_survey(city, YEAR), city, seed=city.seed)
    small["intensity"] = small["intensity"].astype("Int64")
    small.to_csv(folder / SMALL_FILE, index=False, lineterminator="\n", encoding="utf-8")
    text = json.dumps(rounded(truth_of(city)), indent=1, ensure_ascii=False) + "\n"
    (folder / TRUTH_FILE).write_bytes(text.encode("utf-8"))


def read_truth(survey_id: str) -> dict[str, Any]:
    """Read the known truth of a synthetic survey; for tests and for a report's box "known truth" alone.

    Parameters
    ----------
    survey_id : str
        Folder in ``surveys/`` with ``truth.json``.

    Returns
    -------
    dict
        As ``truth_of``, at six decimals.

    Raises
    ------
    SourceError
        The survey has no known truth.

    Examples
    --------
    >>> {part: round(100 * share, 1) for part, share in read_truth("seoul_2016")["decomposition"].items()}
    {'gap': 25.3, 'item_mismatch': 16.9, 'others_against_all': -0.1, 'selection': 4.5, 'effect': 4.0}
    """
    path = project.survey_folder(survey_id) / TRUTH_FILE
    if not path.is_file():
        raise SourceError(
            f"surveys/{survey_id}/{TRUTH_FILE} is not there: only a synthetic survey has a known truth. "
            "Restore it from the repository, or ask for no comparison with the truth."
        )
    return dict(json.loads(path.read_text(encoding="utf-8")))


def rounded(value: Any) -> Any:
    """Return nested values with every number at six decimals, as the truth file has them.

    Examples
    --------
    >>> rounded({"share": [1 / 3, 2], "note": "x"})
    {'share': [0.333333, 2], 'note': 'x'}
    """
    if isinstance(value, Mapping):
        return {name: rounded(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [rounded(entry) for entry in value]
    return round(value, DECIMALS) if isinstance(value, float) else value


def values_sha256(frame: pd.DataFrame) -> str:
    """Return a hash of a table's values, the same on every machine and for every way of storing it.

    Parameters
    ----------
    frame : pandas.DataFrame
        Numbers count to six decimals, whether stored as whole or broken ones; all else as text; order of
        rows and columns counts.

    Returns
    -------
    str
        64 hexadecimal digits.

    Examples
    --------
    >>> whole, broken = pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [1.0, 2.0 + 1e-9]})
    >>> values_sha256(whole) == values_sha256(broken)
    True
    >>> values_sha256(whole) == values_sha256(whole.rename(columns={"a": "b"}))
    False
    """
    return columns_sha256((str(name), frame[name]) for name in frame.columns)


def columns_sha256(columns: Iterable[tuple[str, pd.Series]]) -> str:
    """Return what ``values_sha256`` returns of a table with these columns, holding one of them at a time.

    Parameters
    ----------
    columns : iterable of (str, pandas.Series)
        Name and values.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for name, values in columns:
        digest.update(f"{name}\x1e{len(values)}\x1e".encode())
        if pd.api.types.is_numeric_dtype(values):
            numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
            blank = np.isnan(numbers)
            scaled = np.rint(np.where(blank, 0.0, numbers) * 10**DECIMALS)
            digest.update(np.packbits(blank).tobytes())
            digest.update(scaled.astype("<i8").tobytes())
        else:
            for start in range(0, len(values), _PIECE):
                piece = values.iloc[start : start + _PIECE].to_numpy(dtype=object)
                texts = ("\x00" if value is None else str(value) for value in piece)
                digest.update((("\x1f" if start else "") + "\x1f".join(texts)).encode())
    return digest.hexdigest()
