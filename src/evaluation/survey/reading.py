"""Surveys read from files: the codebook enforced, missing answers counted by reason, the source kept."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from evaluation import project
from evaluation.errors import ColumnError, SourceError, SourceWarning, SurveyError, did_you_mean
from evaluation.results import RECORDS, Provenance, card_html
from evaluation.survey.codebook import Codebook, Kind, Variable, code_text, read_codebook
from evaluation.survey.enforcement import Enforced, enforce
from evaluation.survey.formats import TEXT, Code, Table, column_names, read_table
from evaluation.survey.scales import direction_of, reason_of, sounds_like_no_answer
from evaluation.survey.source import is_parquet, locate, read_description, sha256_of, verify
from evaluation.survey.values import all_numbers, guessed

_HEADINGS = {
    "en": ("Survey", "Sample", "Population", "File", "Licence", "Respondents", "Variables", "Not read", "Note"),
    "ko": ("조사", "표본", "모집단", "파일", "이용 조건", "응답자 수", "변수 수", "읽지 않음", "주의"),
}


@dataclass(frozen=True)
class Source:
    """Where data come from.

    Attributes
    ----------
    file : str
        The file's name, without its folder.
    sha256 : str
        64 hexadecimal digits.
    encoding : str
        Of its text; empty where the format settles it.
    licence, origin : mapping of str to str
        Texts by language.
    citation : str
        How to cite the data.
    """

    file: str
    sha256: str
    encoding: str = ""
    licence: Mapping[str, str] = field(default_factory=dict)
    origin: Mapping[str, str] = field(default_factory=dict)
    citation: str = ""


@dataclass(frozen=True, eq=False)
class Survey:
    """A sample of a survey, as its codebook declares it.

    Attributes
    ----------
    id : str
        Folder in ``surveys/``, or the stem of a file read on its own.
    sample : str
        Name of the sample; empty for a file read on its own.
    data : pandas.DataFrame, n rows
        One row per respondent. Numbers and number-coded scales are int64, or float64 where values are
        missing; text codes and free text are text; nominal variables with number codes are
        ``Categorical``, so that no district is ever averaged; scales with text codes are ordered.
    missing : pandas.DataFrame
        ``variable, code, reason, n``: every value that is no answer, counted by reason (declared ones,
        ``blank``, ``not_asked``).
    codebook : Codebook
        What columns and codes mean.
    source : Source
        The file.
    design : mapping
        Arguments for ``survey_design`` as survey.yml gives them; empty for a file read on its own.
    title, population, notice : mapping of str to str
        Texts by language.
    min_cell, min_base : int
        Fewest respondents a published cell may hold, and a published estimate may rest on.
    findings : mapping of str to str
        What the reader must know of this file, by language; empty where it is the one described.
    not_read : tuple of str
        Columns of the file that the codebook does not declare.
    """

    id: str
    sample: str
    data: pd.DataFrame
    missing: pd.DataFrame
    codebook: Codebook
    source: Source
    design: Mapping[str, Any] = field(default_factory=dict)
    title: Mapping[str, str] = field(default_factory=dict)
    population: Mapping[str, str] = field(default_factory=dict)
    notice: Mapping[str, str] = field(default_factory=dict)
    min_cell: int = 5
    min_base: int = 30
    findings: Mapping[str, str] = field(default_factory=dict)
    not_read: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.data.attrs[RECORDS] = True

    def __len__(self) -> int:
        return len(self.data)

    def provenance(self, weight: str = "") -> Provenance:
        """Return what captions say of this survey; ``weight`` names the weight and its steps."""
        described = (self.id, self.title, self.population, self.notice, len(self.data), weight, self.codebook)
        return Provenance(*described, min_cell=self.min_cell, min_base=self.min_base)

    def _card(self) -> list[tuple[str, str]]:
        lang = project.language()
        notice = ". ".join(filter(None, (self.notice.get(lang, ""), self.findings.get(lang, ""))))
        unread = f"{len(self.not_read):,}" if self.not_read else ""
        values = (
            self.title.get(lang, "") or self.id,
            self.sample,
            self.population.get(lang, ""),
            f"{self.source.file} (SHA-256 {self.source.sha256[:12]})",
            self.source.licence.get(lang, ""),
            f"{len(self.data):,}",
            f"{self.data.shape[1]:,}",
            unread,
            notice,
        )
        return [(heading, value) for heading, value in zip(_HEADINGS[lang], values, strict=True) if value]

    def __repr__(self) -> str:
        return "\n".join(f"{heading}: {value}" for heading, value in self._card())

    def _repr_html_(self) -> str:
        return card_html(self._card())


def read_survey(survey_id: str, *, sample: str | None = None, variables: Sequence[str] | None = None) -> Survey:
    """Read a sample of a survey of the project, and enforce its codebook.

    Parameters
    ----------
    survey_id : str
        Folder in ``surveys/`` with ``survey.yml`` and ``codebook.csv``.
    sample : str, optional
        A name under ``samples`` in survey.yml; else its ``default_sample``.
    variables : list of str, optional
        Variables of the codebook that are needed; others are neither held against the codebook nor kept, which is
        what makes large files quick. What their gates and derivations name is read too. Default: all.

    Returns
    -------
    Survey

    Raises
    ------
    SourceError
        The file is missing, is not the described one (SHA-256, number of rows), or cannot be read. A file
        that the user brings may be another extract: then ``findings`` and a ``SourceWarning`` say so.
    CodebookError
        Data and codebook contradict each other: undeclared codes, numbers out of bounds, a "don't know"
        inside a scale, a reversed scale, a gate that data do not keep, doubled ids, absent columns. All
        are named at once; ``failures`` has one row each.
    SurveyError
        survey.yml is wrong, or has no such sample.

    Examples
    --------
    >>> survey = read_survey("api_2000", sample="apistrat")
    >>> len(survey), survey.design["weights"], survey.codebook.value("stype", "H", "en")
    (200, 'pw', 'High school')
    """
    description = read_description(survey_id)
    name = sample or description.default_sample
    if name not in description.samples:
        hint = did_you_mean(name, description.samples)
        raise SurveyError(f"surveys/{survey_id}/survey.yml has no sample '{name}'. {hint}")
    chosen = description.samples[name]
    path = locate(survey_id, chosen, description.obtain)
    place = f"surveys/{survey_id}/{path.relative_to(project.survey_folder(survey_id)).as_posix()}"
    form = {"format": chosen.format, "encoding": chosen.encoding, "sheet": chosen.sheet}
    by_column = chosen.generated and variables is not None and is_parquet(path, chosen)
    table = read_table(path, **form) if chosen.generated and not by_column else None
    findings = verify(path, chosen, place, table)
    if findings:
        warnings.warn(findings[project.language()], SourceWarning, stacklevel=2)
    codebook = _of_sample(_codebook_of(survey_id), name, list(description.samples))
    kept = codebook if variables is None else _narrowed(codebook, variables)
    table = table or read_table(path, **form, columns=_columns(kept, codebook, chosen.id) if by_column else None)
    if chosen.rows is not None and chosen.rows != len(table.frame) and not findings:
        raise SourceError(
            f"{place}: survey.yml says {chosen.rows:,} rows, the file has {len(table.frame):,}. Correct it."
        )
    if chosen.id is not None and chosen.id not in codebook:
        hint = did_you_mean(chosen.id, codebook.variables)
        raise SurveyError(f"surveys/{survey_id}/survey.yml: id '{chosen.id}' is no variable of the codebook. {hint}")
    not_read = _not_read(column_names(path) if by_column else table.frame.columns, codebook)
    codebook = kept
    enforced = enforce(table.frame, codebook, place=place, id=chosen.id)
    texts = {lang: f"{description.title.in_language(lang)}: {chosen.title.in_language(lang)}" for lang in ("ko", "en")}
    return Survey(
        id=survey_id,
        sample=name,
        data=enforced.frame,
        missing=enforced.missing,
        codebook=codebook,
        source=Source(
            path.name,
            sha256_of(path) if findings else chosen.files.get(path.name, chosen.sha256),
            table.encoding,
            description.licence.model_dump(),
            description.source.model_dump(),
            description.citation,
        ),
        design=chosen.design.arguments(),
        title=texts,
        population=description.population.model_dump(),
        notice=description.notices(),
        min_cell=description.min_cell,
        min_base=description.min_base,
        findings=findings,
        not_read=not_read,
    )


def _narrowed(codebook: Codebook, variables: Sequence[str]) -> Codebook:
    """Return the entries of some variables, and of those that their gates and derivations name."""
    wanted, found = list(dict.fromkeys(variables)), set[str]()
    while wanted:
        name = wanted.pop()
        if name not in codebook:
            hint = did_you_mean(name, codebook.variables)
            raise ColumnError(f"{codebook.place} declares no variable '{name}' for this sample. {hint}")
        if name in found:
            continue
        found.add(name)
        entry = codebook[name]
        wanted += [condition.variable for condition in entry.gate if condition.variable in codebook]
        wanted += [entry.derived.source] if entry.derived is not None else []
    return Codebook({name: entry for name, entry in codebook.variables.items() if name in found}, codebook.place)


def _codebook_of(survey_id: str) -> Codebook:
    path = project.survey_folder(survey_id) / "codebook.csv"
    if not path.is_file():
        raise SourceError(f"surveys/{survey_id}/codebook.csv is not there. Write one row per variable to be read.")
    return read_codebook(path, place=f"surveys/{survey_id}/codebook.csv")


def _of_sample(codebook: Codebook, sample: str, samples: Sequence[str]) -> Codebook:
    for name, variable in codebook.variables.items():
        for named in variable.samples:
            if named not in samples:
                hint = did_you_mean(named, samples)
                raise SurveyError(
                    f"{codebook.place}: '{name}' names the sample '{named}', unknown to survey.yml. {hint}"
                )
    kept = {name: entry for name, entry in codebook.variables.items() if not entry.samples or sample in entry.samples}
    return Codebook(kept, codebook.place)


def _columns(kept: Codebook, codebook: Codebook, id: str | None) -> list[str]:
    """Return the file's names of the columns that are needed, with that of the respondents."""
    told_apart = [codebook[id].column] if id is not None and id in codebook else []
    return [*(entry.column for entry in kept.variables.values() if entry.derived is None), *told_apart]


def _not_read(columns: Iterable[Any], codebook: Codebook) -> tuple[str, ...]:
    read = {variable.column for variable in codebook.variables.values() if variable.derived is None}
    return tuple(str(name) for name in columns if name not in read)


def read_survey_file(
    path: str | Path,
    *,
    codebook: Codebook | str | Path | None = None,
    encoding: str | None = None,
    sheet: str | None = None,
    missing_codes: Literal["declared", "labelled"] = "declared",
) -> Survey:
    """Read a survey file of your own, with nothing else around it.

    Parameters
    ----------
    path : str or Path
        ``.csv .tsv .txt .xlsx .sav .zsav .dta .parquet``. A relative path starts at the working directory.
    codebook : Codebook, str or Path, optional
        A ``codebook.csv`` with ``codes.csv`` beside it (see ``evaluation.survey.codebook``), or its folder:
        it is enforced. Without one, an SPSS or Stata file brings its labels and declared missing codes, and
        any other file is read plainly: columns of numbers as numbers, all else as text without blanks around it.
    encoding : str, optional
        Of text; else UTF-8 (with or without BOM), then CP949.
    sheet : str, optional
        Of a workbook; else the first.
    missing_codes : {"declared", "labelled"}
        Which codes of an SPSS or Stata file are no answers: those it declares missing, or also those whose
        label says so ("Don't know", 모르겠다, 무응답, ...). With "declared", such a label on a code that
        occurs is an error.

    Returns
    -------
    Survey
        Its ``design`` is empty: name the design variables in ``survey_design``.

    Raises
    ------
    SourceError
        The file is missing, damaged, cut off, in another format or encoding than expected.
    CodebookError
        Data and codebook contradict each other.
    """
    path = Path(path)
    table = read_table(path, encoding=encoding, sheet=sheet)
    if codebook is None and not table.labels and not table.value_labels:
        book, enforced = Codebook(place=path.name), _plainly(table)
    elif codebook is None:
        book = _codebook_from_labels(table, path.name, missing_codes)
        enforced = enforce(table.frame, book, place=path.name, declared=False)
    else:
        book = codebook if isinstance(codebook, Codebook) else read_codebook(Path(codebook))
        ids = [name for name, variable in book.variables.items() if variable.kind == "id"]
        enforced = enforce(table.frame, book, place=path.name, id=ids[0] if ids else None)
    return Survey(
        id=path.stem,
        sample="",
        data=enforced.frame,
        missing=enforced.missing,
        codebook=book,
        source=Source(path.name, sha256_of(path), table.encoding),
        not_read=_not_read(table.frame.columns, book) if book else (),
    )


def _plainly(table: Table) -> Enforced:
    frame = pd.DataFrame({name: guessed(table.frame[name]) for name in table.frame.columns})
    blanks = frame.isna().sum()
    missing = pd.DataFrame(
        [{"variable": str(name), "code": "", "reason": "blank", "n": int(n)} for name, n in blanks.items() if n],
        columns=["variable", "code", "reason", "n"],
    )
    return Enforced(frame, missing)


def _codebook_from_labels(table: Table, place: str, missing_codes: Literal["declared", "labelled"]) -> Codebook:
    return Codebook({str(name): _labelled_variable(str(name), table, missing_codes) for name in table.frame}, place)


def _labelled_variable(name: str, table: Table, missing_codes: Literal["declared", "labelled"]) -> Variable:
    values = table.frame[name]
    labels = {code_text(code): label for code, label in table.value_labels.get(name, {}).items()}
    present = (
        {code_text(value): value for value in values.dropna().unique()} if labels or table.missing.get(name) else {}
    )
    missing = {
        code: reason_of(labels.get(code, ""))
        for code, value in {**{code: _code(code) for code in labels}, **present}.items()
        if any(_within(value, low, high) for low, high in table.missing.get(name, []))
        or (missing_codes == "labelled" and sounds_like_no_answer(labels.get(code, "")))
    }
    answers = {code: label for code, label in labels.items() if code not in missing}
    occurring = {code: value for code, value in present.items() if code not in missing}
    is_number = pd.api.types.is_numeric_dtype(values) or (
        bool(occurring) and all_numbers(pd.Series(list(occurring), dtype=TEXT))
    )
    kind = _kind(answers, set(occurring), is_number, table.measures.get(name, "unknown"))
    label = table.labels.get(name, "")
    return Variable(
        name=name,
        kind=kind,
        label_ko=label,
        label_en=label,
        codes={code: (text, text) for code, text in answers.items()},
        missing=missing,
        missing_labels={code: (labels.get(code, ""), labels.get(code, "")) for code in missing},
        direction=direction_of(answers.values(), "ko") or direction_of(answers.values(), "en"),
    )


def _code(text: str) -> Code:
    try:
        return float(text)
    except ValueError:
        return text


def _within(value: Code, low: Code, high: Code) -> bool:
    if isinstance(value, str) or isinstance(low, str) or isinstance(high, str):
        return str(low) == code_text(value)
    return low <= value <= high


def _kind(answers: Mapping[str, str], present: set[str], is_number: bool, measure: str) -> Kind:
    """What a labelled column is: coded only where each value that occurs has a label that says more than its code."""
    if not answers or not present <= set(answers):
        return "numeric" if is_number else "text"
    if measure == "scale" or all(re.match(rf"{re.escape(code)}(?!\d)", label) for code, label in answers.items()):
        return "numeric" if is_number else "categorical"
    if len(answers) == 2:
        return "binary"
    if measure == "ordinal" or direction_of(answers.values(), "ko") or direction_of(answers.values(), "en"):
        return "ordinal"
    return "categorical"


def reverse_scale(survey: Survey, variables: str | Sequence[str]) -> Survey:
    """Turn scales round, so that a higher code means the opposite; labels go with their answers.

    Parameters
    ----------
    survey : Survey
        Is not changed.
    variables : str or sequence of str
        Ordinal variables with number codes.

    Returns
    -------
    Survey
        New data and codebook; the lowest code becomes the highest and so on, ``direction`` is exchanged.

    Raises
    ------
    ColumnError
        A variable does not exist, or is no number-coded scale.
    """
    data, book = survey.data.copy(), dict(survey.codebook.variables)
    for name in [variables] if isinstance(variables, str) else variables:
        if name not in book:
            raise ColumnError(f"no variable '{name}' to reverse. {did_you_mean(name, book)}")
        variable = book[name]
        if variable.kind != "ordinal" or not pd.api.types.is_numeric_dtype(data[name]):
            raise ColumnError(
                f"'{name}' is {variable.kind}: only an ordinal variable with number codes can be reversed."
            )
        codes = sorted(variable.numeric_codes or [])
        low = min([*codes, *([int(variable.minimum)] if variable.minimum is not None else [])])
        high = max([*codes, *([int(variable.maximum)] if variable.maximum is not None else [])])
        spaced = codes == [low + high - code for code in reversed(codes)]
        turned = {code: low + high - code if spaced else codes[-1 - place] for place, code in enumerate(codes)}
        values = low + high - data[name] if spaced else data[name].map(turned)
        data[name] = values.astype(np.float64 if values.isna().any() else np.int64)
        book[name] = replace(
            variable,
            codes={str(turned[code]): variable.codes[str(code)] for code in reversed(codes)},
            direction="higher_is_less" if variable.direction == "higher_is_more" else "higher_is_more",
        )
    return replace(survey, data=data, codebook=Codebook(book, survey.codebook.place))
