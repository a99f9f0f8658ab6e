"""Weights written back into SPSS and Stata files, with every label and missing code the data came with."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyreadstat
from numpy.typing import NDArray

from evaluation import project, wording
from evaluation.errors import DesignError, ProjectError, SourceError, SurveyError
from evaluation.results import Provenance
from evaluation.survey.codebook import Codebook, code_text
from evaluation.survey.formats import Code, read_table
from evaluation.survey.reading import Survey
from evaluation.survey.values import guessed, number_of

Ranges = Mapping[str, list[tuple[Code, Code]]]

_SPSS_WORDS = frozenset({"ALL", "AND", "BY", "EQ", "GE", "GT", "LE", "LT", "NE", "NOT", "OR", "TO", "WITH"})
#: Longest variable label of Stata in characters; of SPSS variable and value labels in bytes.
_STATA_LABEL, _SPSS_LABEL, _SPSS_VALUE_LABEL = 80, 255, 120
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Weighted(Protocol):
    """What a design offers: respondents, their weights, and what was done to them."""

    @property
    def data(self) -> pd.DataFrame:
        """One row per respondent."""
        ...

    @property
    def weights(self) -> NDArray[np.float64]:
        """Final weights, shape (n,)."""
        ...

    @property
    def provenance(self) -> Provenance:
        """Labels, and the weight's chain."""
        ...


@dataclass(frozen=True, eq=False)
class _Content:
    """A labelled file before it is written: values as they are to stand there, and what belongs to them."""

    frame: pd.DataFrame
    labels: Mapping[str, str] = field(default_factory=dict)
    value_labels: Mapping[str, Mapping[Any, str]] = field(default_factory=dict)
    missing: Ranges = field(default_factory=dict)
    measures: Mapping[str, str] = field(default_factory=dict)


def write_survey(
    weighted: Weighted | Survey,
    path: str | Path,
    *,
    original: str | Path | None = None,
    weight: str = "weight",
    overwrite: bool = False,
) -> None:
    """Write respondents with their final weights to an SPSS or Stata file, labels and missing codes included.

    Parameters
    ----------
    weighted : Design or Survey
        A design adds its final weight as a column, labelled with the steps of its chain in words; a survey is
        written as it was read.
    path : str or Path
        Ends in ``.sav``, ``.zsav`` (SPSS) or ``.dta`` (Stata).
    original : str or Path, optional
        The file that the respondents were read from (any format that ``read_survey_file`` takes). All its columns
        are written, in their order, with codes that are no answers and everything the codebook left out. Without it
        the columns of the design are written, in which such codes are blank already.
    weight : str, default "weight"
        Name of the new column.
    overwrite : bool, default False
        Whether a file that stands at ``path`` may be replaced.

    Raises
    ------
    DesignError
        What was given is neither a design nor a survey.
    SurveyError
        There is a file already, the column exists, ``original`` does not hold these respondents, or a name or a
        missing code cannot be said in the format.
    SourceError
        ``original`` cannot be read, or the folder does not exist.
    ProjectError
        The folder belongs to a run and is not ``restricted/`` in it.

    Notes
    -----
    A label longer than the format allows (Stata: 80 characters; SPSS: 255 bytes, value labels 120) is cut and ends
    in "…". Stata labels whole numbers only, and declares no numbers missing: such codes become ``.a``, ``.b``, ...
    in ascending order and keep their labels.
    """
    _require_respondents(weighted)
    path = _path(path, "path")
    original = None if original is None else _path(original, "original")
    if not isinstance(weight, str) or not weight.strip():
        raise SurveyError(f"write_survey: weight must be the name of the new column, got {weight!r}.")
    if not isinstance(overwrite, bool):
        raise SurveyError(f"write_survey: overwrite must be True or False, got {overwrite!r}.")
    writer = _writer_of(path)
    require_private(path.parent, path.name)
    if path.is_dir():
        raise SurveyError(f"{path.name} is a folder, expected the name of a file. Choose another name.")
    if path.exists() and not overwrite:
        raise SurveyError(f"{path.name} exists already. Choose another name, or pass overwrite=True to replace it.")
    if not path.parent.is_dir():
        raise SourceError(f"no folder {path.parent.name}/ to write {path.name} to. Make it first.")
    book = weighted.codebook if isinstance(weighted, Survey) else weighted.provenance.labels
    content = _own(weighted.data) if original is None else _original(original, weighted.data, book)
    if isinstance(book, Codebook):
        content = _labelled(content, book, by_source=original is not None)
    if not isinstance(weighted, Survey):
        content = _with_weight(content, weighted, weight, path.name)
    beside = path.with_name(f".{path.stem}.unfinished{path.suffix}")
    try:
        writer(content, beside, path.name)
        os.replace(beside, path)
    except (pyreadstat.ReadstatError, pyreadstat.PyreadstatError) as error:
        raise SurveyError(f"{path.name} cannot be written: {' '.join(str(error).split())}") from None
    finally:
        beside.unlink(missing_ok=True)


def _require_respondents(weighted: object) -> None:
    if isinstance(weighted, Survey):
        return
    if not all(hasattr(weighted, name) for name in ("data", "weights", "provenance")):
        raise DesignError(
            f"write_survey needs a design or a survey, got {type(weighted).__name__}. Declare how respondents were "
            f"drawn first: ev.survey_design(data, weights=...)."
        )


def _path(given: object, role: str) -> Path:
    if not isinstance(given, (str, Path)) or not str(given).strip():
        raise SurveyError(
            f"write_survey: {role} must be the name of a file that ends in .sav, .zsav or .dta, got {given!r}."
            if role == "path"
            else f"write_survey: {role} must be the name of the file that was read, got {given!r}."
        )
    return Path(given)


def require_private(folder: Path, file: str) -> None:
    """Raise a ProjectError where answers of single respondents would lie in a run's folder, but not in ``restricted/``.

    Parameters
    ----------
    folder : Path
        Where they are to be written.
    file : str
        The file that holds them, for the message.
    """
    if not project.is_of_record() and project.current_study() is None:
        return
    try:
        run, own = project.run_folder().resolve(), folder.resolve()
    except ProjectError:  # outside any project there is no run either
        return
    if own.is_relative_to(run) and "restricted" not in own.relative_to(run).parts:
        raise ProjectError(
            f"{folder.name}/ lies in a run's folder, which others may see, and {file} holds answers of single "
            f"respondents. Write to a folder of your own, or to restricted/ in it."
        )


def _writer_of(path: Path) -> Callable[[_Content, Path, str], None]:
    writers = {".sav": _write_spss, ".zsav": _write_spss, ".dta": _write_stata}
    if path.suffix.lower() not in writers:
        raise SurveyError(f"{path.name}: expected a name that ends in {', '.join(writers)}, got '{path.suffix}'.")
    return writers[path.suffix.lower()]


# --- what is to be written --------------------------------------------------------------------------------------


def _own(frame: pd.DataFrame) -> _Content:
    return _Content(pd.DataFrame({str(name): _plain(frame[name]) for name in frame.columns}))


def _plain(column: pd.Series) -> pd.Series:
    """Numbers as float64, all else as text or dates with blanks None, as the writers take them."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        numeric = pd.api.types.is_numeric_dtype(column.cat.categories)
        return _plain(column.astype(float if numeric else object))
    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_numeric_dtype(column):
        return pd.Series(column.to_numpy(dtype=np.float64, na_value=np.nan))
    if pd.api.types.is_datetime64_any_dtype(column):
        return column.reset_index(drop=True)
    return column.astype(object).where(column.notna(), None).reset_index(drop=True)


def _original(path: Path, respondents: pd.DataFrame, book: object) -> _Content:
    """Read the file the respondents came from once more, untouched."""
    table = read_table(path)
    if len(table.frame) != len(respondents):
        raise SurveyError(
            f"{path.name} holds {len(table.frame):,} rows, the design {len(respondents):,} respondents. Name the file "
            f"that the design was read from; rows must not be left out in between (ev.domain restricts instead)."
        )
    _require_same_rows(table.frame, respondents, book, path.name)
    if path.suffix.lower() in (".sav", ".zsav", ".dta"):
        reader = pyreadstat.read_dta if path.suffix.lower() == ".dta" else pyreadstat.read_sav
        frame = reader(str(path), user_missing=True)[0]
    else:
        frame = pd.DataFrame({name: guessed(table.frame[name]) for name in table.frame.columns})
    return replace(_own(frame), **{name: getattr(table, name) for name in ("labels", "value_labels", "missing")})


def _require_same_rows(raw: pd.DataFrame, respondents: pd.DataFrame, book: object, place: str) -> None:
    """Refuse a file whose rows are in another order: numbers that are no code of anything must be the same."""
    for name in respondents.columns:
        variable = book.variables.get(str(name)) if isinstance(book, Codebook) else None
        column = variable.column if variable else name
        derived = variable is not None and (variable.derived is not None or variable.is_coded)
        if column not in raw or derived or not pd.api.types.is_numeric_dtype(respondents[name]):
            continue
        ours = respondents[name].to_numpy(dtype=np.float64, na_value=np.nan)
        theirs = pd.to_numeric(raw[column], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        other = ~np.isnan(ours) & (ours != theirs)
        if other.any():
            row = int(np.flatnonzero(other)[0])
            raise SurveyError(
                f"{place} is not the file these respondents came from, or its rows are in another order: '{column}' in "
                f"data row {row + 1:,} is {theirs[row]:g} there and {ours[row]:g} here. Name the file as it was read."
            )


def _labelled(content: _Content, book: Codebook, *, by_source: bool) -> _Content:
    """Add what the codebook says of columns that have no labels of their own."""
    labels, value_labels, missing = dict(content.labels), dict(content.value_labels), dict(content.missing)
    measures = dict(content.measures)
    lang = project.language()
    kinds = {"ordinal": "ordinal", "numeric": "scale", "categorical": "nominal", "binary": "nominal"}
    for name, variable in book.variables.items():
        column = variable.column if by_source else name
        if column not in content.frame or (by_source and variable.derived is not None):
            continue
        label = book.variable(name, lang)
        if label != name:
            labels.setdefault(column, label)
        measures.setdefault(column, kinds.get(variable.kind, "unknown"))
        numeric = pd.api.types.is_numeric_dtype(content.frame[column])
        codes = {code: book.value(name, code, lang) for code in (*variable.codes, *variable.missing_labels)}
        told = {_code(code, numeric): text for code, text in codes.items() if text and _code(code, numeric) is not None}
        if told:
            value_labels.setdefault(column, {code: text for code, text in told.items() if code is not None})
        if by_source and variable.missing:
            declared = [_code(code, numeric) for code in variable.missing]
            missing.setdefault(column, [(code, code) for code in declared if code is not None])
    return replace(content, labels=labels, value_labels=value_labels, missing=missing, measures=measures)


def _code(text: str, numeric: bool) -> Code | None:
    return number_of(text) if numeric else text


def _with_weight(content: _Content, weighted: Weighted, name: str, place: str) -> _Content:
    taken = [column for column in content.frame.columns if column.casefold() == name.casefold()]
    if taken:
        raise SurveyError(f"{place}: the data have a column '{taken[0]}' already. Name the new one, weight='...'.")
    chain = wording.weight_name(weighted.provenance.weight)
    label = f"{wording.term('weight')}: {chain}"
    frame = content.frame.assign(**{name: np.asarray(weighted.weights, dtype=np.float64)})
    measures = {**content.measures, name: "scale"}
    return replace(content, frame=frame, labels={**content.labels, name: label}, measures=measures)


# --- SPSS -------------------------------------------------------------------------------------------------------


def _write_spss(content: _Content, path: Path, place: str) -> None:
    _refuse_spss_names(content.frame, place)
    missing = {name: _spss_missing(content, name, place) for name in content.missing if name in content.frame}
    pyreadstat.write_sav(
        content.frame,
        str(path),
        column_labels={name: _cut_bytes(text, _SPSS_LABEL) for name, text in content.labels.items()},
        variable_value_labels={
            name: {code: _cut_bytes(text, _SPSS_VALUE_LABEL) for code, text in labels.items()}
            for name, labels in content.value_labels.items()
            if name in content.frame
        },
        missing_ranges={name: ranges for name, ranges in missing.items() if ranges},
        variable_measure={name: measure for name, measure in content.measures.items() if name in content.frame},
        compress=path.suffix.lower() == ".zsav",
    )


def _refuse_spss_names(frame: pd.DataFrame, place: str) -> None:
    for name in frame.columns:
        legal = re.fullmatch(r"[^\W\d_][\w.@#$]*", name) or re.fullmatch(r"[@#$][\w.@#$]*", name)
        if not legal or name.endswith(".") or name.upper() in _SPSS_WORDS or len(name.encode("utf-8")) > 64:
            raise SurveyError(
                f"{place}: SPSS takes no variable called '{name}': a name begins with a letter, goes on with letters, "
                f"digits, dots or underscores, has at most 64 bytes in UTF-8 (a Korean syllable takes 3) and is none "
                f"of SPSS's own words. Rename the column."
            )


def _spss_missing(content: _Content, name: str, place: str) -> list[Any]:
    """Say missing codes the way SPSS does: three codes at most, or a range and one code."""
    ranges, values = content.missing[name], content.frame[name]
    if values.dtype == object:
        _refuse_letters(values, ranges, name, place)
        return [low for low, _ in ranges]
    numbers = sorted((float(low), float(high)) for low, high in ranges)
    single = [low for low, high in numbers if low == high]
    wide = [bounds for bounds in numbers if bounds[0] != bounds[1]]
    if (not wide and len(single) <= 3) or (len(wide) == 1 and len(single) <= 1):
        return [*({"lo": low, "hi": high} for low, high in wide), *single]
    answers = [code for code in values.dropna().unique() if not any(low <= code <= high for low, high in numbers)]
    for apart in (None, 0, len(numbers) - 1):
        together = [bounds for place_, bounds in enumerate(numbers) if place_ != apart]
        low, high = together[0][0], together[-1][1]
        if not any(low <= code <= high for code in answers):
            alone = [] if apart is None else [numbers[apart][0]]
            return [{"lo": low, "hi": high}, *alone]
    raise SurveyError(
        f"{place}: '{name}' has the missing codes {', '.join(f'{low:g}' for low, _ in numbers)}, with answers between "
        f"them; SPSS takes three codes, or one range and one code. Write a Stata file (.dta), or recode some."
    )


def _refuse_letters(values: pd.Series, ranges: list[tuple[Code, Code]], name: str, place: str) -> None:
    letters = [str(low) for low, _ in ranges if str(low) in set(_LETTERS)]
    if letters and values.map(lambda value: isinstance(value, float)).any():
        raise SurveyError(
            f"{place}: '{name}' holds Stata's extended missing values ({', '.join('.' + x for x in letters)}), which "
            f"SPSS does not know. Write a Stata file (.dta)."
        )


def _cut_bytes(text: str, limit: int) -> str:
    if len(text.encode("utf-8")) <= limit:
        return text
    return text.encode("utf-8")[: limit - 3].decode("utf-8", errors="ignore") + "…"


# --- Stata ------------------------------------------------------------------------------------------------------


def _write_stata(content: _Content, path: Path, place: str) -> None:
    for name in content.frame.columns:
        if not re.fullmatch(r"[^\W\d]\w*", name) or len(name) > 32:
            raise SurveyError(
                f"{place}: Stata takes no variable called '{name}': a name begins with a letter, goes on with letters, "
                f"digits or underscores and has at most 32 characters. Rename the column."
            )
    columns, letters, value_labels = dict(content.frame.items()), {}, {}
    for name in content.frame.columns:
        labels = {_whole(code): text for code, text in content.value_labels.get(name, {}).items()}
        turned = _stata_missing(content, name, place)
        if turned:
            columns[name] = content.frame[name].astype(object).replace(turned)
            labels = {turned.get(code, code): text for code, text in labels.items()}
        declared = sorted({*turned.values(), *(str(low) for low, _ in content.missing.get(name, ()) if not turned)})
        if declared and all(letter in _LETTERS for letter in declared):
            letters[name] = declared
        known = {code: text for code, text in labels.items() if isinstance(code, int) or code in letters.get(name, ())}
        if known:
            value_labels[name] = known
    pyreadstat.write_dta(
        pd.DataFrame(columns),
        str(path),
        column_labels={
            name: text if len(text) <= _STATA_LABEL else text[: _STATA_LABEL - 1] + "…"
            for name, text in content.labels.items()
        },
        variable_value_labels=value_labels,
        missing_user_values=letters,
    )


def _stata_missing(content: _Content, name: str, place: str) -> dict[Any, str]:
    """Give each number that is no answer a letter, in ascending order."""
    ranges = content.missing.get(name, [])
    if not ranges or not pd.api.types.is_numeric_dtype(content.frame[name]):
        return {}
    present = {float(value) for value in content.frame[name].dropna().unique()}
    labelled = {float(code) for code in content.value_labels.get(name, {}) if not isinstance(code, str)}
    bounds = {float(low) for low, high in ranges if low == high}
    codes = sorted(
        code for code in present | labelled | bounds if any(float(low) <= code <= float(high) for low, high in ranges)
    )
    if len(codes) > len(_LETTERS):
        raise SurveyError(f"{place}: '{name}' has {len(codes)} missing codes, Stata knows 26. Recode some.")
    return {_whole(code): letter for code, letter in zip(codes, _LETTERS, strict=False)}


def _whole(code: Code) -> Any:
    number = number_of(code_text(code)) if not isinstance(code, str) else None
    return int(number) if number is not None and number.is_integer() else code
