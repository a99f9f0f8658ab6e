"""The parameters a notebook declares, read from its ``parameters`` cell; values are checked against them."""

from __future__ import annotations

import ast
import json
import logging
import math
import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, get_args

import nbformat
from papermill.translators import PythonTranslator

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
#: A template with more is refused before it is read as a notebook.
MOST_BYTES = 20_000_000
MOST_CELLS = 2000
DEEPEST = 100

_INT = re.compile(r"[+-]?[0-9]{1,300}")
_FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
#: No number of a study is larger; whole numbers beyond this have no float.
_LARGEST = 1e300
#: What the end of a help comment allows: ``in [1, 20]``, ``in [0, )``, ``in {mean, share}``.
_ALLOWED = re.compile(r"(?:^|\s)in\s+([\[(])([^\[\](){}]*)([\])])$|(?:^|\s)in\s+\{([^{}]*)\}$")

# papermill warns to stderr about lines it cannot read; what it cannot read is an error here.
logging.getLogger("papermill").addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Parameter:
    """A parameter as a notebook declares it: ``name: type = default  # help``.

    Attributes
    ----------
    name, type, default, help : str, {"str", "int", "float", "bool"}, value, str
        As the notebook's ``parameters`` cell has them.
    allowed : Interval or Choices, optional
        What the help ends in: ``in [1, 20]`` for numbers, ``in {mean, share}`` for texts.
    """

    name: str
    type: TypeName
    default: Scalar
    help: str = ""
    allowed: Interval | Choices | None = None


@dataclass(frozen=True)
class Interval:
    """Numbers from ``lower`` to ``upper``; an end in a round bracket does not belong to it, infinity is no end.

    Examples
    --------
    >>> 0 in Interval(0, math.inf), 0 in Interval(0, 1, lower_belongs=False), Interval(0, math.inf)
    (True, False, [0, ))
    """

    lower: float
    upper: float
    lower_belongs: bool = True
    upper_belongs: bool = True

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, (int, float)):
            return False
        above = self.lower <= value if self.lower_belongs else self.lower < value
        return above and (value <= self.upper if self.upper_belongs else value < self.upper)

    def __repr__(self) -> str:
        lower, upper = (f"{end:.15g}" if math.isfinite(end) else "" for end in (self.lower, self.upper))
        opening = "[" if lower and self.lower_belongs else "("
        return f"{opening}{lower}, {upper}{']' if upper and self.upper_belongs else ')'}"


@dataclass(frozen=True)
class Choices:
    """The values that may be given, and no other."""

    values: tuple[Scalar, ...]

    def __contains__(self, value: object) -> bool:
        return value in self.values

    def __repr__(self) -> str:
        return "{" + ", ".join(map(str, self.values)) + "}"


def template_names() -> frozenset[str]:
    """Return the stems of the notebooks in ``notebooks/``."""
    return frozenset(file.stem for file in (project.project_root() / "notebooks").glob("*.ipynb"))


def read_template(notebook: str, *, known: Collection[str] | None = None) -> nbformat.NotebookNode:
    """Read ``notebooks/<notebook>.ipynb``; cells without an id get a fixed one.

    Parameters
    ----------
    notebook : str
        Stem of the file.
    known : collection of str, optional
        ``template_names()``, for who reads many.

    Raises
    ------
    StudyError
        Where there is no such notebook, or the file is none; where it has more than 20 MB or 2,000 cells, or
        is nested deeper than 100 levels.
    """
    stems = template_names() if known is None else known
    place = f"notebooks/{notebook}.ipynb"
    if notebook not in stems:
        raise StudyError(f"no notebook {place!r}. {did_you_mean(notebook, sorted(stems))}")
    path = project.project_root() / "notebooks" / f"{notebook}.ipynb"
    if (size := path.stat().st_size) > MOST_BYTES:
        raise StudyError(
            f"{place} has {size / 1e6:,.1f} MB, a template at most {MOST_BYTES / 1e6:.0f} MB. Clear its outputs."
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        _check_bounds(content, place)
        for number, cell in enumerate(content["cells"]):
            cell.setdefault("id", f"cell-{number}")
        content["nbformat_minor"] = max(content["nbformat_minor"], 5)
        node = _node(content)
        nbformat.validate(node)
    except RecursionError:
        raise StudyError(_too_deep(place)) from None
    except (ValueError, KeyError, TypeError, AttributeError, nbformat.ValidationError) as error:
        fault = str(error).split("\n", 1)[0]
        raise StudyError(
            f"{place} is not a notebook ({type(error).__name__}: {fault:.200}). "
            "Open and save it in JupyterLab, or fetch it again."
        ) from None
    return node


def _node(content: dict[str, Any]) -> nbformat.NotebookNode:
    text = json.dumps(content)
    # nbformat.reads validates as well, and reports what it finds to a logger only.
    read = nbformat.v4.reads if content["nbformat"] == 4 else partial(nbformat.reads, as_version=4)
    node: nbformat.NotebookNode = read(text)  # type: ignore[no-untyped-call]
    return node


def _check_bounds(content: Any, place: str) -> None:
    if (count := len(content["cells"])) > MOST_CELLS:
        raise StudyError(f"{place} has {count:,} cells, a template at most {MOST_CELLS:,}. Split it into notebooks.")
    level, depth = [content], 1
    while level:
        if depth > DEEPEST:
            raise StudyError(_too_deep(place))
        parts = (part.values() if isinstance(part, dict) else part for part in level)
        level = [item for part in parts for item in part if isinstance(item, (dict, list))]
        depth += 1


def _too_deep(place: str) -> str:
    return f"{place} is nested deeper than {DEEPEST} levels; no notebook is. Fetch it again."


def is_declared(cell: nbformat.NotebookNode, sections: Collection[str]) -> bool:
    """Tell whether a cell belongs to a study: it is tagged ``if-<section>`` for no section that the study lacks."""
    wanted = {tag.removeprefix("if-") for tag in cell.metadata.get("tags", []) if tag.startswith("if-")}
    return wanted <= set(sections)


def declared_parameters(notebook: str, *, template: nbformat.NotebookNode | None = None) -> dict[str, Parameter]:
    """Return what the ``parameters`` cell of ``notebooks/<notebook>.ipynb`` declares, in its order.

    Parameters
    ----------
    notebook : str
        Stem of the file.
    template : NotebookNode, optional
        What ``read_template`` returned for it.

    Raises
    ------
    StudyError
        Without a cell tagged ``parameters``; where a line of it is not ``name: type = literal``;
        where ``study`` or ``lang`` is missing; where a range (``in [1, 20]``) cannot be read or the default
        lies outside.
    """
    place = f"notebooks/{notebook}.ipynb"
    node = read_template(notebook) if template is None else template
    cells = [cell for cell in node.cells if "parameters" in cell.metadata.get("tags", [])]
    if len(cells) != 1 or cells[0].cell_type != "code":
        raise StudyError(
            f"{place} must have one code cell tagged 'parameters', found {len(cells)}. "
            "Tag the cell that holds 'study: str = ...' and 'lang: str = ...'."
        )
    inferred = {found.name: found.help for found in PythonTranslator.inspect(cells[0])}
    declared = _parse(cells[0].source, place, inferred)
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
        try:
            declared[parameter.name] = _bounded(parameter)
        except StudyError as error:
            raise StudyError(f"{place}, cell 'parameters', line {statement.lineno}: {error}") from None
    return declared


def _bounded(parameter: Parameter) -> Parameter:
    """Return the parameter with what its help allows."""
    found = _ALLOWED.search(parameter.help.rstrip(" ."))
    if found is None:
        if re.search(r"\bin\s*[\[{][^\]}]*.?$", parameter.help):
            raise StudyError(_no_range(parameter))
        return parameter
    opening, ends, closing, choices = found.groups()
    allowed = _choices(parameter, choices) if choices is not None else _interval(parameter, opening, ends, closing)
    if allowed is None:
        return parameter
    bounded = replace(parameter, allowed=allowed)
    if fault := fault_of(bounded, bounded.default):
        raise StudyError(f"the default is not allowed: {fault}.")
    return bounded


def _no_range(parameter: Parameter) -> str:
    return (
        f"the range at the end of '{parameter.help}' cannot be read. Write 'in [1, 20]' or 'in [0, )' behind a number, "
        "'in {mean, share}' behind a text."
    )


def _choices(parameter: Parameter, text: str) -> Choices:
    values = [part.strip().strip("'\"") for part in text.split(",")]
    if not all(values):
        raise StudyError(_no_range(parameter))
    return Choices(tuple(value_from_text(parameter, value) for value in values))


def _interval(parameter: Parameter, opening: str, ends: str, closing: str) -> Interval | None:
    """Return the interval; None for words in round brackets, which are no range."""
    texts = [end.strip() for end in ends.split(",")]
    numeric = parameter.type in ("int", "float")
    if not numeric or len(texts) != 2 or not any(texts) or not all(_FLOAT.fullmatch(end) for end in texts if end):
        if (opening, closing) == ("(", ")"):
            return None
        raise StudyError(_no_range(parameter))
    lower, upper = (float(text) if text else end for text, end in zip(texts, (-math.inf, math.inf), strict=True))
    if lower > upper:
        raise StudyError(_no_range(parameter))
    return Interval(lower, upper, opening == "[" or not texts[0], closing == "]" or not texts[1])


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
    """Return what is wrong with ``value``: its type, or that it lies outside what is allowed. Empty where nothing is.

    True and false are no numbers, text is never a number, and a whole number will do for a float.

    Examples
    --------
    >>> fault_of(Parameter("trim_upper", "float", 5.0), 4)
    ''
    >>> fault_of(Parameter("trim_upper", "float", 5.0), "4")
    "'trim_upper' must be a number (float), got the text '4'"
    >>> fault_of(Parameter("replicates", "int", 500), True)
    "'replicates' must be a whole number (int), got true"
    >>> fault_of(Parameter("replicates", "int", 500, allowed=Interval(1, 20)), 0)
    "'replicates' must be in [1, 20], got 0"
    """
    if parameter.name == "lang" and isinstance(value, str) and value not in project.LANGUAGES:
        return f"'lang' must be 'ko' or 'en', got '{value}'"
    fits = {
        "str": isinstance(value, str),
        "int": isinstance(value, int) and not isinstance(value, bool),
        "float": isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _LARGEST,
        "bool": isinstance(value, bool),
    }
    if not fits[parameter.type]:
        hint = " (quotation marks make it text)" if parameter.type == "str" and isinstance(value, (int, float)) else ""
        return f"'{parameter.name}' must be {_WORDS[parameter.type]}, got {_shown(value)}{hint}"
    if parameter.allowed is not None and value not in parameter.allowed:
        one = "one of" if isinstance(parameter.allowed, Choices) else "in"
        return f"'{parameter.name}' must be {one} {parameter.allowed}, got {_shown(value)}"
    return ""


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
