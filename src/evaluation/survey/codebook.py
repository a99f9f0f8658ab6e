"""What the columns and codes of a survey mean, in Korean and English, as two tables that Excel can edit.

``codebook.csv`` has one row per variable; only the first three columns must be there:

================== ====================================================================================
variable           name used in the workbench
kind               id, design, text, categorical, binary, ordinal or numeric
label_ko, label_en what tables and figures print; one of the two at least
source_name        name in the file, where it differs
unit_ko, unit_en   unit of a number, e.g. 점, points
codes              name of a list in ``codes.csv``; categorical without one: any text
missing_codes      ``-8=dont_know; -1=not_applicable; blank=no_answer``: codes that are no answers, with the
                   reason (dont_know, refused, no_answer, not_applicable); ``87=valid`` says that a code whose
                   label sounds like one is an answer
scale              name of the battery of items that measure the same thing
scale_direction    higher_is_more or higher_is_less: does a higher code mean more of what the labels say
                   (agreement, satisfaction, frequency)? Every ordinal variable declares it.
reverse_worded     yes for an item that is worded against the other items of its battery
minimum, maximum   bounds that a number must keep
gate               who was asked: ``volunteered == 1``, ``age >= 19 and region in (1, 2)``; the variables it
                   names stand further up
gate_blank         the code that a blank off the gate means (with no gate: that any blank means); where empty,
                   a blank off the gate means "not asked"
timing             before, after or at (the time of) participation
samples            samples that hold the variable, where not all do: ``apistrat; apisrs``
derived            how the workbench makes the variable from one further up, answer by answer:
                   ``POLPAR06: 1..3 = 1; 4..7 = 0`` or ``AGE: 18..29 = 18-29; 60.. = 60+``. Every answer of that
                   variable stands in exactly one part; where it has none, neither has this one
note_ko, note_en   what a reader must know
================== ====================================================================================

``codes.csv`` has one row per code: ``list, code, label_ko, label_en``. A list serves any number of variables.
Other columns are refused, so that a misspelt one cannot be passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast, get_args

import pandas as pd

from evaluation.errors import CodebookError, did_you_mean
from evaluation.survey.formats import TEXT, read_table

Kind = Literal["id", "design", "text", "categorical", "binary", "ordinal", "numeric"]
Direction = Literal["", "higher_is_more", "higher_is_less"]

#: Why a value is missing; ``blank`` and ``not_asked`` are found by reading, the others are declared.
REASONS = ("dont_know", "refused", "no_answer", "not_applicable")
VALID = "valid"
BLANK = "blank"

VARIABLE_COLUMNS = (
    *("variable", "kind", "label_ko", "label_en", "source_name", "unit_ko", "unit_en", "codes", "missing_codes"),
    *("scale", "scale_direction", "reverse_worded", "minimum", "maximum", "gate", "gate_blank", "timing"),
    *("samples", "derived", "note_ko", "note_en"),
)
CODE_COLUMNS = ("list", "code", "label_ko", "label_en")

_NUMBER = re.compile(r"[+-]?(0|[1-9]\d*)(\.\d+)?")


def code_text(value: object) -> str:
    """Return a code in the one form in which codes are compared.

    Examples
    --------
    >>> code_text(1.0), code_text("1.0"), code_text("-8"), code_text("007"), code_text(" Yes ")
    ('1', '1', '-8', '007', 'Yes')
    """
    text = str(value).strip()
    if _NUMBER.fullmatch(text) and float(text).is_integer() and abs(float(text)) < 2**53:
        return str(int(float(text)))
    return text


@dataclass(frozen=True)
class Condition:
    """One comparison of a gate: ``variable operator values``."""

    variable: str
    operator: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """Answers of one variable that become one answer of another: codes, and ranges of numbers, ends included."""

    codes: tuple[str, ...]
    ranges: tuple[tuple[float, float], ...]
    value: str


@dataclass(frozen=True)
class Derivation:
    """How a variable is made from another: its name, and the parts its answers fall into."""

    source: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Variable:
    """One row of the codebook; the attributes are its columns (see the module's docstring).

    ``codes`` maps each valid code to its labels (Korean, English); ``missing`` maps each code that is
    no answer to its reason; ``valid`` holds codes declared to be answers in spite of their label.
    """

    name: str
    kind: Kind
    label_ko: str = ""
    label_en: str = ""
    source_name: str = ""
    unit_ko: str = ""
    unit_en: str = ""
    code_list: str = ""
    codes: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    missing_labels: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    valid: frozenset[str] = frozenset()
    scale: str = ""
    direction: Direction = ""
    reverse_worded: bool = False
    minimum: float | None = None
    maximum: float | None = None
    gate: tuple[Condition, ...] = ()
    gate_text: str = ""
    gate_blank: str = ""
    timing: Literal["", "before", "after", "at"] = ""
    samples: tuple[str, ...] = ()
    derived: Derivation | None = None
    note_ko: str = ""
    note_en: str = ""

    @property
    def column(self) -> str:
        """Name of the column in the file."""
        return self.source_name or self.name

    @property
    def is_coded(self) -> bool:
        """Whether only listed codes are values."""
        return bool(self.codes) and self.kind != "numeric"

    @property
    def numeric_codes(self) -> list[int] | None:
        """The codes as whole numbers in declared order, or None where one is none."""
        numbers = [int(code) for code in self.codes if re.fullmatch(r"-?(0|[1-9]\d*)", code)]
        return numbers if len(numbers) == len(self.codes) else None


@dataclass(frozen=True, eq=False)
class Codebook:
    """Variables in the order of the codebook. Serves as labels wherever the workbench prints.

    Attributes
    ----------
    variables : mapping of str to Variable
        By name in the workbench.
    place : str
        What errors call it.

    Examples
    --------
    >>> trust = Variable("q1", "ordinal", "신뢰", "Trust", codes={"1": ("없음", "None"), "2": ("있음", "Some")})
    >>> book = Codebook({"q1": trust})
    >>> book.variable("q1", "en"), book.value("q1", 2.0, "ko"), book.value("q9", "x", "ko")
    ('Trust', '있음', 'x')
    """

    variables: Mapping[str, Variable] = field(default_factory=dict)
    place: str = "codebook.csv"

    def __len__(self) -> int:
        return len(self.variables)

    def __contains__(self, name: object) -> bool:
        return name in self.variables

    def __getitem__(self, name: str) -> Variable:
        if name not in self.variables:
            raise CodebookError(f"no variable '{name}' in {self.place}. {did_you_mean(name, self.variables)}")
        return self.variables[name]

    def variable(self, name: str, lang: str) -> str:
        """Return the label of a variable; the other language's, or the name, where there is none."""
        entry = self.variables.get(name)
        return _first(lang, entry.label_ko, entry.label_en, name) if entry else name

    def value(self, name: str, value: object, lang: str) -> str:
        """Return the label of a code; the code itself where there is none."""
        code = code_text(value)
        entry = self.variables.get(name)
        if entry is None:
            return str(value)
        korean, english = entry.codes.get(code) or entry.missing_labels.get(code) or ("", "")
        return _first(lang, korean, english, code)

    def unit(self, name: str, lang: str) -> str:
        """Return the unit of a variable, empty where it has none."""
        entry = self.variables.get(name)
        return _first(lang, entry.unit_ko, entry.unit_en, "") if entry else ""

    def table(self, lang: str = "en") -> pd.DataFrame:
        """Return one row per variable: name, kind, label, unit, codes, direction, timing, note."""
        rows = [
            {
                "variable": name,
                "kind": entry.kind,
                "label": self.variable(name, lang),
                "unit": self.unit(name, lang),
                "codes": "; ".join(f"{code}={self.value(name, code, lang)}" for code in entry.codes),
                "missing_codes": "; ".join(f"{code}={reason}" for code, reason in entry.missing.items()),
                "scale_direction": entry.direction,
                "gate": entry.gate_text,
                "timing": entry.timing,
                "note": _first(lang, entry.note_ko, entry.note_en, ""),
            }
            for name, entry in self.variables.items()
        ]
        return pd.DataFrame(rows, columns=list(rows[0]) if rows else ["variable", "kind", "label"])

    def __repr__(self) -> str:
        return f"Codebook({len(self)} variables: {', '.join(list(self.variables)[:8])}{', ...' * (len(self) > 8)})"


def _first(lang: str, korean: str, english: str, otherwise: str) -> str:
    return (korean or english or otherwise) if lang == "ko" else (english or korean or otherwise)


def read_codebook(path: Path, *, place: str | None = None) -> Codebook:
    """Read ``codebook.csv`` and, beside it, ``codes.csv``.

    Parameters
    ----------
    path : Path
        The file with one row per variable (CSV in UTF-8 or CP949, or .xlsx), or its folder. A variable's
        code list is looked up in ``codes.csv`` in the same folder.
    place : str, optional
        What errors call it; the file's name where empty.

    Returns
    -------
    Codebook

    Raises
    ------
    CodebookError
        Every fault of the two tables at once, each with its line.
    SourceError
        A file cannot be read.
    """
    if path.is_dir():
        path = path / "codebook.csv"
    place = place or path.name
    faults: list[str] = []
    lists = _read_code_lists(path.with_name("codes.csv"), faults)
    rows = _rows(path, place, VARIABLE_COLUMNS, VARIABLE_COLUMNS[:2], faults)
    variables: dict[str, Variable] = {}
    for line, row in rows:
        report = _reporter(faults, place, line, row["variable"])
        variable = _variable(row, lists, variables, report)
        if variable.name in variables:
            report("stands twice. Keep one of the two rows")
        variables[variable.name] = variable
    _check_columns_differ(variables, place, faults)
    if faults:
        raise CodebookError(_joined(place, faults))
    return Codebook(variables, place)


def _joined(place: str, faults: list[str]) -> str:
    if len(faults) == 1:
        return faults[0]
    return f"{place} has {len(faults)} faults:\n" + "\n".join(f"- {fault}" for fault in faults)


def _reporter(faults: list[str], place: str, line: int, name: str) -> Callable[[str], None]:
    def report(text: str) -> None:
        end = "" if text.endswith((".", "?")) else "."
        faults.append(f"{place}, line {line}: '{name}' {text}{end}")

    return report


def _rows(
    path: Path, place: str, columns: Iterable[str], required: Iterable[str], faults: list[str]
) -> list[tuple[int, dict[str, str]]]:
    frame = read_table(path).frame
    columns = tuple(columns)
    unknown = [name for name in frame.columns if name not in columns]
    faults.extend(f"{place}: unknown column '{name}'. {did_you_mean(name, columns)}" for name in unknown)
    absent = [name for name in required if name not in frame.columns]
    if absent:
        raise CodebookError(f"{place}: expected the columns {list(required)}, missing {absent}. Add them.")
    frame = frame.reindex(columns=list(columns)).astype(TEXT).fillna("")
    lines = zip(frame.index + 2, frame.to_dict("records"), strict=True)
    return [
        (int(line), {str(name): str(value).strip() for name, value in row.items()})
        for line, row in lines
        if any(row.values())
    ]


def _read_code_lists(path: Path, faults: list[str]) -> dict[str, dict[str, tuple[str, str]]]:
    lists: dict[str, dict[str, tuple[str, str]]] = {}
    if not path.is_file():
        return lists
    for line, row in _rows(path, path.name, CODE_COLUMNS, CODE_COLUMNS[:2], faults):
        codes = lists.setdefault(row["list"], {})
        code = code_text(row["code"])
        if not row["list"] or not code:
            faults.append(f"{path.name}, line {line}: expected a list and a code, got '{row['list']}', '{code}'.")
        if code in codes:
            faults.append(f"{path.name}, line {line}: list '{row['list']}' has code {code} twice. Keep one.")
        codes[code] = (row["label_ko"], row["label_en"])
    return lists


def _variable(
    row: dict[str, str],
    lists: dict[str, dict[str, tuple[str, str]]],
    earlier: Mapping[str, Variable],
    report: Callable[[str], None],
) -> Variable:
    kind = _one_of(row, "kind", get_args(Kind), report)
    direction = _one_of(row, "scale_direction", get_args(Direction), report)
    timing = _one_of(row, "timing", ("", "before", "after", "at"), report)
    if not (row["label_ko"] or row["label_en"]):
        report("has neither label_ko nor label_en. Give one")
    codes = lists.get(row["codes"], {})
    if row["codes"] and not codes:
        report(f"names the code list '{row['codes']}', which codes.csv lacks. {did_you_mean(row['codes'], lists)}")
    if kind in ("binary", "ordinal") and not row["codes"] and not (row["minimum"] and row["maximum"]):
        report(f"is {kind} and needs its codes. Name a list of codes.csv under codes")
    missing = _missing_codes(row["missing_codes"], report)
    minimum, maximum = _bound(row, "minimum", report), _bound(row, "maximum", report)
    if minimum is not None and maximum is not None and minimum > maximum:
        report(f"has minimum {minimum:g} above maximum {maximum:g}. Exchange them")
    answers = {code: labels for code, labels in codes.items() if missing.get(code, VALID) == VALID}
    gate_blank = code_text(row["gate_blank"])
    if gate_blank and answers and gate_blank not in answers:
        report(f"has gate_blank {gate_blank}, not one of its codes {list(answers)}. Name the code a blank stands for")
    return Variable(
        name=row["variable"],
        kind=cast(Kind, kind),
        code_list=row["codes"],
        codes=answers,
        missing={code: reason for code, reason in missing.items() if reason != VALID},
        missing_labels={code: labels for code, labels in codes.items() if code not in answers},
        valid=frozenset(code for code, reason in missing.items() if reason == VALID),
        scale=row["scale"],
        direction=cast(Direction, direction),
        reverse_worded=_one_of(row, "reverse_worded", ("", "yes", "no"), report) == "yes",
        minimum=minimum,
        maximum=maximum,
        gate=_gate(row["gate"], earlier, report),
        gate_text=row["gate"],
        gate_blank=gate_blank,
        timing=cast(Literal["", "before", "after", "at"], timing),
        samples=tuple(re.split(r"[;,\s]+", row["samples"])) if row["samples"] else (),
        derived=_derivation(row, answers, earlier, report) if row["derived"] else None,
        **{name: row[name] for name in ("label_ko", "label_en", "source_name", "unit_ko", "unit_en")},
        **{name: row[name] for name in ("note_ko", "note_en")},
    )


def _one_of(row: dict[str, str], column: str, options: Iterable[str], report: Callable[[str], None]) -> str:
    options = tuple(options)
    if row[column] not in options:
        known = [option for option in options if option]
        report(f"has {column} '{row[column]}', expected one of {known}. {did_you_mean(row[column], known)}")
    return row[column]


def _bound(row: dict[str, str], column: str, report: Callable[[str], None]) -> float | None:
    try:
        return float(row[column]) if row[column] else None
    except ValueError:
        report(f"has {column} '{row[column]}', expected a number")
        return None


def _missing_codes(text: str, report: Callable[[str], None]) -> dict[str, str]:
    codes = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        code, _, reason = (piece.strip() for piece in part.partition("="))
        if reason not in (*REASONS, VALID):
            report(f"has missing_codes '{part}', expected code=reason. {did_you_mean(reason, (*REASONS, VALID))}")
        codes[code_text(code)] = reason
    return codes


_CONDITION = re.compile(r"(?P<name>.+?)\s*(?P<operator>==|!=|>=|<=|>|<|\bin\b)\s*(?P<value>.+)")


def _gate(text: str, earlier: Mapping[str, Variable], report: Callable[[str], None]) -> tuple[Condition, ...]:
    conditions = []
    for part in filter(None, (part.strip() for part in re.split(r"\s+and\s+", text))):
        match = _CONDITION.fullmatch(part)
        if match is None:
            report(f"has gate '{part}', expected e.g. 'volunteered == 1' or 'region in (1, 2)'")
            continue
        name, operator, value = match["name"].strip(), match["operator"], match["value"].strip()
        values = tuple(code_text(item.strip(" '\"")) for item in value.strip("()[]").split(","))
        if name not in earlier:
            report(f"has a gate on '{name}', which is no variable further up. {did_you_mean(name, earlier)}")
        elif (
            operator in ("==", "!=", "in")
            and earlier[name].is_coded
            and (strange := [item for item in values if item not in earlier[name].codes])
        ):
            report(f"has a gate on codes {strange} of '{name}', whose codes are {list(earlier[name].codes)}")
        conditions.append(Condition(name, operator, values))
    return tuple(conditions)


_PIECE = re.compile(r"(?P<low>-?\d+(\.\d+)?)?\s*\.\.\s*(?P<high>-?\d+(\.\d+)?)?")


def _derivation(
    row: dict[str, str], answers: Iterable[str], earlier: Mapping[str, Variable], report: Callable[[str], None]
) -> Derivation:
    source, _, text = (piece.strip() for piece in row["derived"].partition(":"))
    if source not in earlier:
        report(f"is derived from '{source}', which is no variable further up. {did_you_mean(source, earlier)}")
    for column in ("source_name", "gate", "gate_blank", "missing_codes"):
        if row[column]:
            report(f"is derived from '{source}' and takes its gate and missing answers. Leave {column} empty")
    parts, known = [], list(answers)
    for part in filter(None, (part.strip() for part in text.split(";"))):
        pieces, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not pieces or not value:
            report(f"has derived '{part}', expected e.g. '1..3 = 1' or '1, 2, 8 = 1'")
        elif known and code_text(value) not in known:
            report(f"is derived as {value}, not one of its codes {known}")
        parts.append(_part(pieces, code_text(value)))
    if not parts:
        report(f"has derived '{row['derived']}', expected e.g. 'AGE: 18..29 = young; 30.. = older'")
    return Derivation(source, tuple(parts))


def _part(pieces: str, value: str) -> Part:
    codes, ranges = [], []
    for piece in (piece.strip() for piece in pieces.split(",")):
        match = _PIECE.fullmatch(piece)
        if match is None:
            codes.append(code_text(piece))
        else:
            ranges.append((float(match["low"] or "-inf"), float(match["high"] or "inf")))
    return Part(tuple(codes), tuple(ranges), value)


def _check_columns_differ(variables: Mapping[str, Variable], place: str, faults: list[str]) -> None:
    owners: dict[tuple[str, str], str] = {}
    for name, variable in variables.items():
        for sample in (variable.samples or ("",)) if variable.derived is None else ():
            owner = owners.setdefault((variable.column, sample), name)
            if owner != name:
                faults.append(
                    f"{place}: '{owner}' and '{name}' both claim the file's column '{variable.column}'. "
                    "Correct source_name of one."
                )
