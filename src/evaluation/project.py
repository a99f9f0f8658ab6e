"""Where the project lies, where a run writes, and which language it speaks: asked once, here."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer, MaxDepthExceededError
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import CollectionNode

from evaluation.errors import ProjectError, did_you_mean

Language = Literal["ko", "en"]
LANGUAGES: tuple[Language, ...] = ("ko", "en")

#: Environment variables that a runner or a test sets.
PROJECT_VARIABLE = "EVALUATION_PROJECT"
RUN_VARIABLE = "EVALUATION_RUN"
STEP_VARIABLE = "EVALUATION_STEP"
#: Label of the instance, ``110_2016``, where a matrix fans the step out; else unset or empty.
INSTANCE_VARIABLE = "EVALUATION_INSTANCE"

#: What every kernel is started with, so that equal input gives equal bytes: one BLAS thread, fixed hashes, UTF-8.
KERNEL_SETTINGS = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONUTF8": "1",
}
#: What no kernel inherits: the width of the terminal would show in what cells print.
TERMINAL_VARIABLES = ("COLUMNS", "LINES")

#: A YAML file with more is refused before it is expanded: bytes, levels, and values once its aliases are written out.
MOST_YAML_BYTES = 1_000_000
DEEPEST_YAML = 40
MOST_YAML_NODES = 100_000

#: Names in a run folder: the manifest, and the folder of logs in which each step says what it published.
MANIFEST = "manifest.json"
LOG = "published"

_language: Language = "en"
_study: str | None = None


def project_root() -> Path:
    """Return the folder that holds ``notebooks/``, ``surveys/``, ``params/`` and ``outputs/``.

    It is the folder named by the environment variable ``EVALUATION_PROJECT``, or else the nearest
    one, from the working directory upwards, whose ``pyproject.toml`` has a ``[tool.evaluation]``
    table. A notebook kernel may start in any folder below it.

    Raises
    ------
    ProjectError
        Where there is none.
    """
    named = os.environ.get(PROJECT_VARIABLE)
    if named:
        if not Path(named).is_dir():
            raise ProjectError(f"{PROJECT_VARIABLE} names no folder: {named}. Unset it or name the project's folder.")
        return Path(named).resolve()
    here = Path.cwd().resolve()
    for folder in (here, *here.parents):
        if _is_project(folder):
            return folder
    raise ProjectError(
        f"no evaluation project at or above {here} (a folder whose pyproject.toml has [tool.evaluation]). "
        f"Start inside the project, or set {PROJECT_VARIABLE} to its folder."
    )


def _is_project(folder: Path) -> bool:
    settings = folder / "pyproject.toml"
    if not settings.is_file():
        return False
    with settings.open("rb") as file:
        return "evaluation" in tomllib.load(file).get("tool", {})


def survey_folder(survey_id: str) -> Path:
    """Return ``surveys/<survey_id>``; a ProjectError names the nearest survey where there is none."""
    return _existing(project_root() / "surveys", survey_id, "", "survey", _survey_ids)


def study_file(study_id: str) -> Path:
    """Return ``params/<study_id>.yml``; a ProjectError names the nearest study where there is none."""
    return _existing(project_root() / "params", study_id, ".yml", "study", study_ids)


def study_ids() -> list[str]:
    """Return the ids of all studies of the project, sorted."""
    return sorted(path.stem for path in (project_root() / "params").glob("*.yml"))


def _survey_ids() -> list[str]:
    return sorted(path.parent.name for path in (project_root() / "surveys").glob("*/survey.yml"))


def _existing(folder: Path, name: str, ending: str, kind: str, known: Callable[[], list[str]]) -> Path:
    path = folder / f"{name}{ending}"
    if not name or not name.isprintable() or set(name) & set("/\\") or name.startswith("."):
        raise ProjectError(
            f"no {kind} {name!a}: an id is the name of one in {folder.name}/. {did_you_mean(name, known())}"
        )
    if not path.exists():
        place = path.relative_to(project_root()).as_posix()
        raise ProjectError(f"no {kind} '{name}' ({place} does not exist). {did_you_mean(name, known())}")
    return path


def run_folder(study_id: str | None = None) -> Path:
    """Return the folder that receives what a notebook publishes.

    The runner and the tests name it in ``EVALUATION_RUN``; a notebook opened by hand writes to
    ``outputs/scratch/<study_id>``, which is never of record.

    Parameters
    ----------
    study_id : str, optional
        The study; without it the one that the notebook opened.

    Raises
    ------
    ProjectError
        Where no run is named and no study is open.
    """
    named = os.environ.get(RUN_VARIABLE)
    if named:
        return Path(named)
    study = study_id or _study
    if study is None:
        raise ProjectError("no study is open, so there is no folder to write to. Call ev.open_study(study) first.")
    return project_root() / "outputs" / "scratch" / study


def is_of_record() -> bool:
    """Tell whether a runner named the run folder: only then is what is published of record."""
    return RUN_VARIABLE in os.environ


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML 1.2 mapping: ``NO`` stays text, a duplicated key is an error.

    Raises
    ------
    ProjectError
        Where the file is no UTF-8 text, no YAML, or no mapping; the message holds file and line. Where it has
        more than 1 MB or 40 levels, or where its aliases stand for more than 100,000 values.
    """
    if (size := path.stat().st_size) > MOST_YAML_BYTES:
        raise ProjectError(
            f"{path.name} has {size / 1e6:,.1f} MB, at most {MOST_YAML_BYTES / 1e6:.0f} MB are read. "
            "Data belong in a file of the survey."
        )
    try:
        content = _yaml_reader().load(path.read_text(encoding="utf-8"))
    except DuplicateKeyError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise ProjectError(f"{path.name}, line {line}: {error.problem}. Keep one of the two.") from None
    except (MaxDepthExceededError, _AliasError) as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        problem = error.problem if isinstance(error, _AliasError) else f"nested deeper than {DEEPEST_YAML} levels"
        raise ProjectError(f"{path.name}, line {line}: {problem}. Write it more plainly.") from None
    except MarkedYAMLError as error:
        mark = error.context_mark or error.problem_mark
        line = mark.line + 1 if mark else "?"
        raise ProjectError(f"{path.name}, line {line}: not valid YAML ({error.problem}). Correct it there.") from None
    except YAMLError as error:
        raise ProjectError(f"{path.name} is not valid YAML: {' '.join(str(error).split())}") from None
    except UnicodeDecodeError as error:
        raise ProjectError(f"{path.name} is not UTF-8 text ({error.reason}). Save it as UTF-8.") from None
    except (ValueError, OverflowError, KeyError) as error:
        raise ProjectError(f"{path.name}: a value cannot be read ({error}). Put it between quotation marks.") from None
    if not isinstance(content, Mapping):
        raise ProjectError(f"{path.name} must hold 'key: value' lines, got {type(content).__name__}.")
    return dict(content)


class _AliasError(MarkedYAMLError):
    """Aliases stand for too much, or for themselves."""


class _BoundedComposer(Composer):
    """Refuses a document whose aliases stand for too much, before a value of it is made."""

    has_aliases = False

    def __init__(self, loader: Any = None) -> None:
        super().__init__(loader)
        self.warn_double_anchors = False

    def return_alias(self, a: Any) -> Any:
        self.has_aliases = True
        return a

    def get_single_node(self) -> Any:
        node = super().get_single_node()
        if self.has_aliases:
            _expanded(node, {})
        return node


def _expanded(node: Any, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """Return how many values a node stands for and on how many levels; an alias counts as all it stands for.

    What an alias refers to stands before it, so it is known by then; no values mark a node that is being counted.
    """
    if not isinstance(node, CollectionNode):
        return 1, 1
    found = known.get(id(node))
    if found is None:
        known[id(node)] = 0, 0
        parts = (part for item in node.value for part in (item if isinstance(item, tuple) else (item,)))
        counted = [_expanded(part, known) for part in parts]
        levels = 1 + max((deep for _, deep in counted), default=0)
        found = known[id(node)] = 1 + sum(values for values, _ in counted), levels
    values, levels = found
    if values == 0:
        raise _AliasError(problem="an alias holds itself", problem_mark=node.start_mark)
    if values > MOST_YAML_NODES:
        problem = f"with its aliases written out it has more than {MOST_YAML_NODES:,} values"
        raise _AliasError(problem=problem, problem_mark=node.start_mark)
    if levels > DEEPEST_YAML:
        problem = f"with its aliases written out it is nested deeper than {DEEPEST_YAML} levels"
        raise _AliasError(problem=problem, problem_mark=node.start_mark)
    return found


def _yaml_reader() -> YAML:
    reader = YAML(typ="safe", pure=True)
    reader.Composer = _BoundedComposer
    reader.max_depth = DEEPEST_YAML
    return reader


def language() -> Language:
    """Return the language in which labels, tables and figures are now written."""
    return _language


def use_language(lang: str) -> None:
    """Set the language of labels, tables and figures.

    Parameters
    ----------
    lang : {"ko", "en"}
        Korean or English.

    Raises
    ------
    ProjectError
        For any other value.

    Examples
    --------
    >>> use_language("ko"); language()
    'ko'
    >>> use_language("fr")
    Traceback (most recent call last):
    evaluation.errors.ProjectError: lang must be 'ko' or 'en', got 'fr'.
    >>> use_language("en")
    """
    global _language
    if lang not in LANGUAGES:
        raise ProjectError(f"lang must be 'ko' or 'en', got {lang!r}.")
    _language = lang


def current_study() -> str | None:
    """Return the id of the study that the notebook opened, or None."""
    return _study


def use_study(study_id: str) -> None:
    """Remember which study the notebook works on; ``publish`` writes to its folder."""
    global _study
    study_file(study_id)
    _study = study_id
