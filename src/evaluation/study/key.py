"""What a step's result rests on, part by part, and which parts differ, in words."""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from evaluation import project
from evaluation.specification import StudySpecification
from evaluation.study.execution import is_spoken
from evaluation.study.hashes import FileHashes, digest_of
from evaluation.study.parameters import is_declared
from evaluation.study.plan import Plan, PlannedStep

#: Raised whenever parts are made in another way; what was kept before is then not used.
KEY_VERSION = 1
#: Modules of the runner that make the notebook what it is, beside what its kernel imports.
RUNNER = (
    *("study/engine.py", "study/execution.py", "study/client.py", "study/parameters.py"),
    *("study/output_limit.py", "study/streams.py", "compiled_cells.py"),
    *("study/kernels/template.py", "study/kernels/warm.py"),
)
#: What else of the environment reaches into results.
ENVIRONMENT = (
    *("TZ", "PYTHONPATH", "PYTHONOPTIMIZE", "PYTHONWARNINGS", "PYTHONSTARTUP"),
    *("MPLBACKEND", "MATPLOTLIBRC", "MPLCONFIGDIR", "NUMEXPR_NUM_THREADS"),
)
#: Parts of the study file that no notebook can see, or that have parts of their own.
_ELSEWHERE = frozenset({"steps", "compared_with", "parameters", "sections", "prespecification_sha256"})
_PACKAGE = Path(__file__).parents[1]

Parts = dict[str, Any]

_ORDER = "the order of "


def notebook_parts(notebook: NotebookNode, sections: Sequence[str], language: str) -> Parts:
    """Return what of a notebook counts: its code, and the text and form that an executed notebook shows.

    A template and the notebook it became give the same parts.

    Returns
    -------
    dict
        ``code``: for each code cell its number as executed (``In [n]``), the hash of its source, that of its
        tags; ``text``: of the text in the language of the run; ``form``: of ids and metadata.
    """
    cells = [cell for cell in notebook.cells if is_declared(cell, sections) and is_spoken(cell, language)]
    code: list[list[Any]] = []
    text: list[str] = []
    form = [_canonical({key: notebook.metadata[key] for key in notebook.metadata if key not in _OF_A_RUN})]
    number = 0
    for cell in cells:
        tags = cell.metadata.get("tags", [])
        runs = cell.cell_type == "code" and bool(cell.source.strip())
        number += runs
        if "injected-parameters" in tags:
            continue
        metadata = {key: value for key, value in cell.metadata.items() if key not in _OF_A_CELL}
        form.append(_canonical([cell.get("id"), cell.cell_type, metadata, [] if runs else sorted(tags)]))
        if runs:
            code.append([number, digest_of([cell.source]), digest_of(sorted(tags))])
            number += "parameters" in tags and "injected-parameters" not in _all_tags(cells)
        text.append(f"{cell.cell_type}: {'' if runs else _canonical([cell.source, cell.get('attachments', {})])}")
    return {"code": code, "text": digest_of(text), "form": digest_of(form)}


#: Metadata that a run writes, or that says nothing of the content.
_OF_A_RUN = frozenset({"papermill", "language_info"})
_OF_A_CELL = frozenset({"papermill", "execution", "tags"})


def _all_tags(cells: Sequence[NotebookNode]) -> set[str]:
    return {tag for cell in cells for tag in cell.metadata.get("tags", [])}


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def study_parts(specification: StudySpecification) -> Parts:
    """Return a hash for each part of the study file that every notebook can see, and the parameters of its designs."""
    content = specification.model_dump(mode="json", by_alias=True)
    parts = {}
    for name, value in content.items():
        if name in _ELSEWHERE:
            continue
        inner = value if isinstance(value, dict) and name in ("designs", "estimates") else {"": value}
        parts.update({f"{name}.{key}".rstrip("."): digest_of([_canonical(item)]) for key, item in inner.items()})
        if name in ("designs", "estimates"):
            parts[_ORDER + name] = digest_of(value)
    named = set(_named(content["designs"]))
    return {
        "study": parts,
        "sections": sorted(specification.sections),
        "design_parameters": {name: value for name, value in specification.parameters.items() if name in named},
    }


def _named(value: object) -> Iterator[str]:
    """Yield the parameters that designs refer to as ``$name``."""
    if isinstance(value, str) and value.startswith("$"):
        yield value[1:]
    for item in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from _named(item)


def step_parts(step: PlannedStep, plan: Plan, needs: Sequence[str]) -> Parts:
    """Return what a step is given, and whom it can read from, in the order of the study file."""
    order = {name: place for place, name in enumerate(plan.specification.steps)}
    read = sorted((plan.by_name[name] for name in needs), key=lambda need: order[need.step])
    return {
        "parameters": dict(step.given),
        "instance": [step.name, step.output, step.label, dict(step.values)],
        "needs": [[need.name, dict(need.values)] for need in read],
    }


def machine_parts(hashes: FileHashes) -> Parts:
    """Return what runs the notebooks: Python, packages, the lock file, settings, and the runner itself."""
    runner = {file: hashes.of(str(_PACKAGE / file)) or "" for file in RUNNER}
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "lock": hashes.of("requirements.lock") or "",
        "packages": _packages(),
        "kernel": dict(project.KERNEL_SETTINGS),
        "environment": {name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
        "runner": runner,
    }


_INSTALLED = re.compile(r"(.+?)-([^-]+)\.(?:dist|egg)-info")


def _packages() -> dict[str, str]:
    """Return the installed packages with their versions, as the names of their folders tell; the workbench aside."""
    found: dict[str, str] = {}
    for place in sys.path:
        if "site-packages" not in place and "dist-packages" not in place:
            continue
        for name in os.listdir(place) if os.path.isdir(place) else ():
            if (match := _INSTALLED.fullmatch(name)) and match[1] != _PACKAGE.name:
                found.setdefault(match[1], match[2])
    return dict(sorted(found.items()))


def differences(then: Parts, now: Parts, study: str) -> list[str]:
    """Return what of notebook, parameters and study differs between a kept result and now, in words.

    Parameters
    ----------
    then, now : dict
        Parts as the other functions give them, in one dict.
    study : str
        Id of the study, for the name of its file.
    """
    told = _notebook_differences(then["notebook"], now["notebook"])
    given, named = (list(_value_differences(then[part], now[part])) for part in ("parameters", "design_parameters"))
    told += [f"parameter {text}" for text in dict.fromkeys([*given, *named])]
    told += _study_differences(then, now, study)
    if then["instance"] != now["instance"]:
        told.append("its place in the study changed")
    if then["needs"] != now["needs"]:
        told += _needs_differences([need[0] for need in then["needs"]], [need[0] for need in now["needs"]])
    return told


def _notebook_differences(then: Parts, now: Parts) -> list[str]:
    told = []
    old, new = (["/".join(cell[1:2]) for cell in part["code"]] for part in (then, now))
    if old != new:
        if sorted(old) == sorted(new):
            told.append("notebook: the order of its code cells changed")
        else:
            told += _cell_differences(old, new, then["code"], now["code"])
    else:
        told += [
            f"notebook: tags of code cell {cell[0]} changed"
            for before, cell in zip(then["code"], now["code"], strict=True)
            if before[2] != cell[2]
        ]
    if then["text"] != now["text"] and not told:
        told.append("notebook: its text changed")
    if then["form"] != now["form"] and not told:
        told.append("notebook: ids or metadata of its cells changed")
    return told or (["notebook: its cells changed"] if then != now else [])


def _cell_differences(old: list[str], new: list[str], before: list[list[Any]], after: list[list[Any]]) -> Iterator[str]:
    for kind, first, last, start, end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        shared = min(last - first, end - start) if kind == "replace" else 0
        if shared or kind == "insert":
            yield from (f"notebook: code cell {after[place][0]} changed" for place in range(start, start + shared))
            yield from (f"notebook: code cell {after[place][0]} is new" for place in range(start + shared, end))
        if kind in ("replace", "delete"):
            yield from (f"notebook: code cell {before[place][0]} is gone" for place in range(first + shared, last))


def _value_differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name in {**now, **then}:
        if name not in then:
            yield f"{name}: {_shown(now[name])} is new"
        elif name not in now:
            yield f"{name} is no longer given (was {_shown(then[name])})"
        elif then[name] != now[name] or type(then[name]) is not type(now[name]):
            yield f"{name}: {_shown(then[name])} -> {_shown(now[name])}"


def _shown(value: Any) -> str:
    plain = {True: "true", False: "false", None: "nothing"}
    return plain[value] if value is None or isinstance(value, bool) else str(value)


def _study_differences(then: Parts, now: Parts, study: str) -> list[str]:
    old, new, file = then["study"], now["study"], f"params/{study}.yml"
    names = [name for name in {**new, **old} if old.get(name) != new.get(name)]
    if len(names) > 1:
        names = [name for name in names if not name.startswith(_ORDER)] or names
    fates = {
        name: "changed" if name in old and name in new else "is new" if name in new else "is gone" for name in names
    }
    told = [f"{file}: {name} {fate}" for name, fate in fates.items()]
    return told + ([f"{file}: sections changed"] if then["sections"] != now["sections"] else [])


def _needs_differences(then: list[str], now: list[str]) -> list[str]:
    new, gone = ([name for name in one if name not in other] for one, other in ((now, then), (then, now)))
    told = [f"needs {name} now" for name in new[:3]] + [f"needs {name} no longer" for name in gone[:3]]
    more = max(0, len(new) - 3) + max(0, len(gone) - 3)
    if more:
        told.append(f"and {more} other needs changed")
    return told or ["the order or the values of what it needs changed"]


def machine_differences(then: Parts, now: Parts) -> list[str]:
    """Return what differs of what runs the notebooks, in words."""
    told = [] if then["lock"] == now["lock"] else ["requirements.lock changed"]
    if then["python"] != now["python"]:
        told.append(f"Python {then['python']} -> {now['python']}")
    if then["platform"] != now["platform"]:
        told.append(f"platform {then['platform']} -> {now['platform']}")
    packages = [f"package {text}" for text in _value_differences(then["packages"], now["packages"])]
    told += packages[:3] + ([f"and {len(packages) - 3} more packages"] if len(packages) > 3 else [])
    told += [f"kernel setting {text}" for text in _value_differences(then["kernel"], now["kernel"])]
    told += [f"environment {text}" for text in _value_differences(then["environment"], now["environment"])]
    changed = [file for file in now["runner"] if then["runner"].get(file) != now["runner"][file]]
    return told + [f"src/evaluation/{file} changed" for file in changed]
