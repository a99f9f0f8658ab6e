"""The codebook enforced on a file's columns: every contradiction is found, counted and named."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from evaluation.errors import CodebookError, did_you_mean
from evaluation.survey.codebook import BLANK, Codebook, Variable, code_text
from evaluation.survey.derivation import derived_codes
from evaluation.survey.findings import Findings
from evaluation.survey.formats import TEXT
from evaluation.survey.gates import gated, gated_numbers
from evaluation.survey.scales import contrary_items, direction_problem, lone_code, lone_number, sounds_like_no_answer
from evaluation.survey.values import Codes, Floats, Mask, all_numbers, as_numbers, code_levels, number_of, parsed

_SHOWN = 5


@dataclass(frozen=True, eq=False)
class Enforced:
    """Columns as the codebook declares them.

    Attributes
    ----------
    frame : pandas.DataFrame
        In the codebook's order and under its names; values that are no answers are missing.
    missing : pandas.DataFrame
        ``variable, code, reason, n``: what became of each value that is no answer.
    """

    frame: pd.DataFrame
    missing: pd.DataFrame


def enforce(
    frame: pd.DataFrame, codebook: Codebook, *, place: str, id: str | None = None, declared: bool = True
) -> Enforced:
    """Turn a file's columns into what the codebook declares, or say everything that stands against it.

    Parameters
    ----------
    frame : pandas.DataFrame, n rows
        Columns under the file's own names.
    codebook : Codebook
        Only its variables are taken.
    place : str
        What errors call the file.
    id : str, optional
        Variable that tells respondents apart; checked for blanks and repetition.
    declared : bool, default True
        False where the codebook was made from the file's own labels: then only what occurs in the data
        is held against it, and no direction of scales is asked for.

    Returns
    -------
    Enforced

    Raises
    ------
    CodebookError
        All contradictions at once; ``failures`` holds variable, code, rows and the first respondents.
    """
    absent = _absent(frame, codebook)
    findings = Findings(_respondents(frame, codebook, id), declared)
    for name, hint in absent.items():
        findings.fault(name, "", None, f"expects the column '{codebook[name].column}', which the file lacks. {hint}")
    columns: dict[str, pd.Series] = {}
    for name, variable in codebook.variables.items():
        if variable.derived is not None:
            columns[name] = _derived(columns.get(variable.derived.source), len(frame), variable, findings)
        elif name not in absent:
            columns[name] = _column(frame[variable.column].reset_index(drop=True), variable, columns, findings)
    data = pd.DataFrame(columns)
    if id is not None and id in data:
        _check_ids(data[id], id, findings)
    for name, (scale, correlation, n) in contrary_items(codebook, data).items() if declared else ():
        findings.fault(
            name,
            "",
            None,
            f"runs against the other items of the scale '{scale}' (correlation {correlation:.2f}, {n:,} respondents): "
            "its codes are reversed in the file, or it is worded the other way round. Correct scale_direction, or "
            "put yes under reverse_worded",
        )
    if findings.messages:
        raise _contradiction(place, findings)
    missing = pd.DataFrame(findings.missing, columns=["variable", "code", "reason", "n"])
    return Enforced(data, missing)


def _contradiction(place: str, findings: Findings) -> CodebookError:
    messages = findings.messages
    head = f"{place}: {messages[0]}"
    if len(messages) > 1:
        head = f"{place} contradicts its codebook in {len(messages)} points:\n" + "\n".join(f"- {m}" for m in messages)
    return CodebookError(head, failures=pd.DataFrame(findings.faults))


def _absent(frame: pd.DataFrame, codebook: Codebook) -> Mapping[str, str]:
    return {
        name: did_you_mean(variable.column, frame.columns)
        + " Write the file's name for it under source_name in codebook.csv, or under samples those that hold it"
        for name, variable in codebook.variables.items()
        if variable.column not in frame.columns and variable.derived is None
    }


def _respondents(frame: pd.DataFrame, codebook: Codebook, id: str | None) -> Callable[[Mask], str]:
    column = codebook[id].column if id is not None and id in codebook else None

    def named(rows: Mask) -> str:
        first = np.flatnonzero(rows)[:_SHOWN]
        more = ", ..." if rows.sum() > _SHOWN else ""
        if column is not None and column in frame:
            return f"{id} " + ", ".join(code_text(value) for value in frame[column].iloc[first]) + more
        return "data row " + ", ".join(str(number + 1) for number in first) + more

    return named


def _check_ids(values: pd.Series, id: str, findings: Findings) -> None:
    blank = values.isna().to_numpy()
    if blank.any():
        findings.fault(id, "", blank, "tells respondents apart but is blank ({rows}). Fill it in, or name another id")
    twice = values.duplicated(keep=False).to_numpy() & ~blank
    if twice.any():
        codes = values[twice].unique()
        findings.fault(
            id,
            str(codes[0]),
            twice,
            f"tells respondents apart, but {len(codes):,} of its values stand more than once ({{rows}}). "
            "Remove the doubled rows, or name another id",
        )


def _column(raw: pd.Series, variable: Variable, earlier: Mapping[str, pd.Series], findings: Findings) -> pd.Series:
    if findings.declared and (problem := direction_problem(variable)):
        findings.fault(variable.name, "", None, problem)
    if variable.is_coded:
        values = _coded(raw, variable, earlier, findings)
    elif variable.kind in ("numeric", "ordinal") or (variable.kind == "design" and all_numbers(raw)):
        values = _numeric(raw, variable, earlier, findings)
    else:
        values = _free_text(raw, variable, earlier, findings)
    return values.rename(variable.name)


def _derived(source: pd.Series | None, n: int, variable: Variable, findings: Findings) -> pd.Series:
    """Make a variable from another's answers; what is no answer there is counted there."""
    if findings.declared and (problem := direction_problem(variable)):
        findings.fault(variable.name, "", None, problem)
    values = pd.Series([None] * n, dtype=TEXT) if source is None else derived_codes(source, variable, findings)
    if variable.is_coded:
        answers = _answers(variable)
        place = {code: number for number, code in enumerate(answers)}
        target = np.array([place.get(code, -1) for code in values], dtype=np.int64)
        return _typed(target, answers, variable).rename(variable.name)
    made = as_numbers(parsed(values)[0]) if variable.kind in ("numeric", "ordinal") else values
    return made.rename(variable.name)


# Coded variables


def _coded(raw: pd.Series, variable: Variable, earlier: Mapping[str, pd.Series], findings: Findings) -> pd.Series:
    codes, levels = code_levels(raw)
    answers = _answers(variable)
    place = {code: number for number, code in enumerate(answers)}
    target = np.array([place.get(level, -1) for level in levels] + [-1], dtype=np.int64)[codes]
    missing = _missing_levels(codes, levels, variable, findings)
    unknown = [level for level in levels if level and level not in place and level not in variable.missing]
    _report_unknown(unknown, codes, levels, variable, findings)
    for code in answers:
        labels = variable.codes.get(code, ("", ""))
        suspect = any(sounds_like_no_answer(label) for label in labels) or code == lone_code(variable)
        rows = target == place[code]
        if suspect and code not in variable.valid and (findings.declared or rows.any()):
            findings.fault(variable.name, code, rows, _inside_the_scale(variable, code, findings.declared))
    target = gated(target, place, missing, variable, earlier, findings)
    _check_lone_answer(target, answers, variable, raw, findings)
    return _typed(target, answers, variable)


def _answers(variable: Variable) -> list[str]:
    """The codes that are values; a scale with labels at some codes only takes all between its bounds."""
    numbers = variable.numeric_codes
    if variable.kind == "ordinal" and numbers and variable.minimum is not None and variable.maximum is not None:
        between = range(int(variable.minimum), int(variable.maximum) + 1)
        return [str(number) for number in sorted({*numbers, *between})]
    return list(variable.codes)


def _missing_levels(codes: Codes, levels: list[str], variable: Variable, findings: Findings) -> dict[str, Mask]:
    """Rows by reason; blanks under BLANK, for the gate to decide."""
    rows: dict[str, Mask] = {BLANK: codes == -1}
    for code, reason in variable.missing.items():
        here = np.isin(codes, [number for number, level in enumerate(levels) if level == code])
        findings.lost(variable.name, code, reason, here)
        rows[reason] = rows.get(reason, np.zeros(len(codes), dtype=bool)) | here
    return rows


def _report_unknown(
    unknown: list[str], codes: Codes, levels: list[str], variable: Variable, findings: Findings
) -> None:
    for code in unknown[:_SHOWN]:
        more = f" (and {len(unknown) - _SHOWN} further codes)" if len(unknown) > _SHOWN else ""
        findings.fault(
            variable.name,
            code,
            np.isin(codes, [number for number, level in enumerate(levels) if level == code]),
            f"holds value {code} ({{rows}}), not in its codebook {_known_codes(variable)}{more}. "
            f"Add the code to codes.csv, or list {code} under missing_codes in codebook.csv",
        )


def _known_codes(variable: Variable) -> str:
    answers = _answers(variable)
    numbers = variable.numeric_codes
    if (
        numbers
        and len(answers) > 2
        and [int(code) for code in answers] == list(range(int(answers[0]), int(answers[0]) + len(answers)))
    ):
        answers = [f"{answers[0]}..{answers[-1]}"]
    missing = []
    for code, reason in variable.missing.items():
        label = "/".join(filter(None, variable.missing_labels.get(code, ()))) or reason
        missing.append(f"{code}='{label}'")
    return f"[{', '.join(answers + missing)}]"


def _inside_the_scale(variable: Variable, code: str, declared: bool) -> str:
    label = "/".join(dict.fromkeys(filter(None, variable.codes.get(code, ()))))
    named = f"labelled '{label}'" if label else "standing apart without a label"
    if declared:
        move = (
            f"List {code}=dont_know (or refused, no_answer, not_applicable) under missing_codes in codebook.csv, "
            f"or {code}=valid if it is an answer"
        )
    else:
        move = (
            "Read with missing_codes='labelled' to count every such code as missing, or declare it missing in the file"
        )
    return f"has code {code}, {named}, inside its scale ({{rows}}): it would count as an answer. {move}"


def _check_lone_answer(
    target: Codes, answers: list[str], variable: Variable, raw: pd.Series, findings: Findings
) -> None:
    """A yes/no question with one answer and blanks: do the blanks mean the other answer?"""
    blank = target == -1
    open_ = variable.kind == "binary" and not variable.gate and not variable.gate_blank
    if not (findings.declared and open_ and BLANK not in variable.missing and blank.any() and not blank.all()):
        return
    seen = np.unique(target[~blank])
    if len(seen) == 1 and raw.isna().any():
        code = answers[int(seen[0])]
        findings.fault(
            variable.name,
            "",
            blank,
            f"holds only {code} and blanks ({{rows}}): do the blanks mean the other answer? Put that code under "
            "gate_blank, or blank=no_answer under missing_codes",
        )


def _typed(target: Codes, answers: list[str], variable: Variable) -> pd.Series:
    numbers = variable.numeric_codes
    if numbers is None:
        if variable.kind == "ordinal":
            return pd.Series(pd.Categorical.from_codes(target, categories=pd.Index(answers), ordered=True))
        return pd.Series(np.array([*answers, None], dtype=object)[target], dtype=TEXT)
    if variable.kind == "ordinal" or (variable.kind == "binary" and set(numbers) <= {0, 1}):
        values = np.array([float(code) for code in answers] + [np.nan])[target]
        return as_numbers(values)
    return pd.Series(pd.Categorical.from_codes(target, categories=pd.Index([int(code) for code in answers])))


# Numbers and free text


def _numeric(raw: pd.Series, variable: Variable, earlier: Mapping[str, pd.Series], findings: Findings) -> pd.Series:
    values, strange = parsed(raw)
    blank = np.isnan(values) & ~strange
    missing: dict[str, Mask] = {BLANK: blank}
    texts = raw.astype(TEXT).str.strip() if strange.any() else None
    for code, reason in variable.missing.items():
        number = number_of(code)
        here = (values == number) if number is not None else np.zeros(len(values), dtype=bool)
        if texts is not None:
            here = here | (texts == code).to_numpy()
        findings.lost(variable.name, code, reason, here)
        missing[reason] = missing.get(reason, np.zeros(len(values), dtype=bool)) | here
        values, strange = np.where(here, np.nan, values), strange & ~here
    if strange.any():
        example = str(raw[strange].iloc[0])
        findings.fault(
            variable.name,
            example,
            strange,
            f"is numeric but holds '{example}' ({{rows}}). Correct the file, or list the text under missing_codes",
        )
    _check_bounds(values, variable, findings)
    values = gated_numbers(values, missing, variable, earlier, findings)
    series = as_numbers(values)
    if findings.declared and (lone := lone_number(series, variable)) is not None:
        findings.fault(
            variable.name,
            f"{lone:g}",
            values == lone,
            f"holds {lone:g} ({{rows}}), far from all other values: is it a code for 'don't know'? "
            f"List {lone:g}=dont_know under missing_codes, or declare {'minimum' if lone < 0 else 'maximum'}",
        )
    return series


def _check_bounds(values: Floats, variable: Variable, findings: Findings) -> None:
    for bound, name, beyond in (
        (variable.minimum, "minimum", operator.lt),
        (variable.maximum, "maximum", operator.gt),
    ):
        if bound is None:
            continue
        with np.errstate(invalid="ignore"):
            rows = np.asarray(beyond(values, bound))
        if rows.any():
            extreme = values[rows].min() if name == "minimum" else values[rows].max()
            findings.fault(
                variable.name,
                f"{extreme:g}",
                rows,
                f"holds values beyond its declared {name} {bound:g}, as far as {extreme:g} ({{rows}}). Correct the "
                f"file or the {name}, or list the code under missing_codes",
            )


def _free_text(raw: pd.Series, variable: Variable, earlier: Mapping[str, pd.Series], findings: Findings) -> pd.Series:
    if pd.api.types.is_numeric_dtype(raw):
        codes, levels = code_levels(raw)
        text = pd.Series(np.array([*levels, None], dtype=object)[codes], dtype=TEXT)
    else:
        text = raw.astype(TEXT).str.strip()
        text = text.mask(text == "")
    codes, levels = pd.factorize(text)[0].astype(np.int64), list(pd.factorize(text)[1])
    missing = _missing_levels(codes, [code_text(level) for level in levels], variable, findings)
    place = {level: number for number, level in enumerate(levels)}
    lost = np.any([rows for reason, rows in missing.items() if reason != BLANK] + [np.zeros(len(codes), bool)], axis=0)
    target = np.where(lost, -1, codes)
    if variable.gate_blank and variable.gate_blank not in place:
        place[variable.gate_blank] = len(levels)
        levels.append(variable.gate_blank)
    target = gated(target, place, missing, variable, earlier, findings)
    return pd.Series(np.array([*levels, None], dtype=object)[target], dtype=TEXT)
