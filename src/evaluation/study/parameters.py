"""The parameters a notebook declares, read from its ``parameters`` cell; values are checked against them."""

from __future__ import annotations

import ast
import json
import logging
import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, get_args

import nbformat
import papermill

from evaluation import project
from evaluation.errors import StudyError, did_you_mean
from evaluation.specification import Scalar

TypeName = Literal["str", "int", "float", "bool"]

#: Parameters that every notebook must declare.
COMMON = ("study", "lang")

_WORDS: dict[TypeName, str] = {
    "str": "text (str)",
    "int": "a whole number (int)",
    "float": "a number (float)",
    "bool": "true or false (bool)",
}
_INT = re.compile(r"[+-]?\d+")
_FLOAT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")

# papermill warns to stderr about lines it cannot read; what it cannot read is an error here.
logging.getLogger("papermill").addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Parameter:
    """A parameter as a notebook declares it: ``name: type = default  # help``."""

    name: str
    type: TypeName
    default: Scalar
    help: str = ""


def read_template(notebook: str) -> nbformat.NotebookNode:
    """Read ``notebooks/<notebook>.ipynb``; cells without an id get a fixed one.

    Raises
    ------
    StudyError
        Where there is no such notebook, or the file is none.
    """
    folder = project.project_root() / "notebooks"
    path = folder / f"{notebook}.ipynb"
    stems = sorted(file.stem for file in folder.glob("*.ipynb"))
    if notebook not in stems:
        raise StudyError(f"no notebook 'notebooks/{notebook}.ipynb'. {did_you_mean(notebook, stems)}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        for number, cell in enumerate(content["cells"]):
            cell.setdefault("id", f"cell-{number}")
        content["nbformat_minor"] = max(content["nbformat_minor"], 5)
        node: nbformat.NotebookNode = nbformat.reads(json.dumps(content), as_version=4)  # type: ignore[no-untyped-call]
        nbformat.validate(node)
    except (ValueError, KeyError, TypeError, nbformat.ValidationError) as error:
        fault = str(error).split("\n", 1)[0]
        raise StudyError(
            f"notebooks/{notebook}.ipynb is not a notebook ({type(error).__name__}: {fault}). "
            "Open and save it in JupyterLab, or fetch it again."
        ) from None
    return node


def is_declared(cell: nbformat.NotebookNode, sections: Collection[str]) -> bool:
    """Tell whether a cell belongs to a study: it is tagged ``if-<section>`` for no section that the study lacks."""
    wanted = {tag.removeprefix("if-") for tag in cell.metadata.get("tags", []) if tag.startswith("if-")}
    return wanted <= set(sections)


def declared_parameters(notebook: str) -> dict[str, Parameter]:
    """Return what the ``parameters`` cell of ``notebooks/<notebook>.ipynb`` declares, in its order.

    Raises
    ------
    StudyError
        Without a cell tagged ``parameters``; where a line of it is not ``name: type = literal``;
        where ``study`` or ``lang`` is missing.
    """
    place = f"notebooks/{notebook}.ipynb"
    node = read_template(notebook)
    cells = [cell for cell in node.cells if "parameters" in cell.metadata.get("tags", [])]
    if len(cells) != 1 or cells[0].cell_type != "code":
        raise StudyError(
            f"{place} must have one code cell tagged 'parameters', found {len(cells)}. "
            "Tag the cell that holds 'study: str = ...' and 'lang: str = ...'."
        )
    inferred = papermill.inspect_notebook(node)
    declared = _parse(cells[0].source, place, {name: entry["help"] for name, entry in inferred.items()})
    for name in [name for name in declared if name not in inferred]:
        raise StudyError(
            f"{place}, cell 'parameters': papermill cannot read '{name}'. "
            "Keep one '=' on its line; a comment must not hold another."
        )
    for name in COMMON:
        if name not in declared or declared[name].type != "str":
            raise StudyError(f"{place}, cell 'parameters': the line '{name}: str = \"...\"' is missing.")
    return declared


def _parse(source: str, place: str, helps: dict[str, str]) -> dict[str, Parameter]:
    lines = source.splitlines()
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise StudyError(f"{place}, cell 'parameters', line {error.lineno}: {error.msg}.") from None
    declared: dict[str, Parameter] = {}
    for statement in statements:
        parameter = _parameter(statement, helps)
        if parameter is None or parameter.name in declared:
            line = lines[statement.lineno - 1].strip()
            expected = (
                "each name once" if parameter else "'name: type = literal  # unit', type one of str, int, float, bool"
            )
            raise StudyError(f"{place}, cell 'parameters', line {statement.lineno}: expected {expected}, got '{line}'.")
        declared[parameter.name] = parameter
    return declared


def _parameter(statement: ast.stmt, helps: dict[str, str]) -> Parameter | None:
    if not isinstance(statement, ast.AnnAssign) or statement.value is None:
        return None
    name, annotation = statement.target, statement.annotation
    if (
        not isinstance(name, ast.Name)
        or not isinstance(annotation, ast.Name)
        or annotation.id not in get_args(TypeName)
    ):
        return None
    try:
        default = ast.literal_eval(statement.value)
    except (ValueError, TypeError):
        return None
    parameter = Parameter(name.id, annotation.id, default, helps.get(name.id, ""))  # type: ignore[arg-type]
    return parameter if fault_of(parameter, default) == "" else None


def fault_of(parameter: Parameter, value: object) -> str:
    """Return what is wrong with ``value``; empty where nothing is.

    True and false are no numbers, text is never a number, and a whole number will do for a float.

    Examples
    --------
    >>> fault_of(Parameter("trim_upper", "float", 5.0), 4)
    ''
    >>> fault_of(Parameter("trim_upper", "float", 5.0), "4")
    "'trim_upper' must be a number (float), got the text '4'"
    >>> fault_of(Parameter("replicates", "int", 500), True)
    "'replicates' must be a whole number (int), got true"
    """
    if parameter.name == "lang" and isinstance(value, str) and value not in project.LANGUAGES:
        return f"'lang' must be 'ko' or 'en', got '{value}'"
    fits = {
        "str": isinstance(value, str),
        "int": isinstance(value, int) and not isinstance(value, bool),
        "float": isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value),
        "bool": isinstance(value, bool),
    }
    return "" if fits[parameter.type] else f"'{parameter.name}' must be {_WORDS[parameter.type]}, got {_shown(value)}"


def _shown(value: object) -> str:
    if isinstance(value, str):
        return f"the text '{value}'"
    plain = {True: "true", False: "false", None: "nothing (null)"}
    return plain[value] if value is None or isinstance(value, bool) else repr(value)


def converted(parameter: Parameter, value: Scalar) -> Scalar:
    """Return a value that fits in the type that was declared: 5 becomes 5.0 where a float is."""
    return float(value) if parameter.type == "float" and value is not None else value


def value_from_text(parameter: Parameter, text: str) -> Scalar:
    """Read what was written on the command line as the declared type; nothing is guessed.

    Raises
    ------
    StudyError
        Where the text is no such value.

    Examples
    --------
    >>> value_from_text(Parameter("zip", "str", ""), "011"), value_from_text(Parameter("answer", "str", ""), "NO")
    ('011', 'NO')
    >>> value_from_text(Parameter("income", "float", 0.0), "1e6")
    1000000.0
    >>> value_from_text(Parameter("replicates", "int", 500), "1e6")
    Traceback (most recent call last):
    evaluation.errors.StudyError: 'replicates' must be a whole number (int), got the text '1e6'
    """
    value: object = text
    if parameter.type == "int" and _INT.fullmatch(text):
        value = int(text)
    elif parameter.type == "float" and _FLOAT.fullmatch(text):
        value = float(text)
    elif parameter.type == "bool" and text.lower() in ("true", "false"):
        value = text.lower() == "true"
    fault = fault_of(parameter, value)
    if fault:
        raise StudyError(fault)
    return value  # type: ignore[return-value]
