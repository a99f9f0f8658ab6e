"""The published run of a study as a plug-in of pytest, beside nbval.

The ``conftest.py`` of a folder ``outputs/reference/<study>`` registers a ``ReferenceFolder``; then
``python -m pytest --nbval outputs/reference/<study>`` runs every notebook in a scratch run folder,
compares each cell, and afterwards each estimate, table and figure that was published.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import sysconfig
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest
from nbval.plugin import IPyNbCell, NbCellError

from evaluation import project
from evaluation.comparator.differences import (
    Tolerance,
    file_differences,
    picture_difference,
    text_difference,
    value_differences,
)
from evaluation.compiled_cells import without_temporary_files

#: Folders of a run whose files are compared.
PUBLISHED = ("estimates", "tables", "figures")

#: What nbval allows a cell where nobody said otherwise.
_NBVAL_TIMEOUT = 2000

_HIDING_TAGS = ("nbval-ignore-output", "nbval-skip", "pytest-validate-ignore-output")
_HIDING_COMMENT = re.compile(r"^\s*#+\s*(NBVAL_IGNORE_OUTPUT|NBVAL_SKIP|PYTEST_VALIDATE_IGNORE_OUTPUT)\s*$", re.M)
_TIMEOUT_TAG = re.compile(r"timeout-(\d+)")


@dataclass(frozen=True)
class PublishedStep:
    """What the manifest of a published run says about one step, or one instance of a step with a matrix.

    Attributes
    ----------
    name, notebook : str
        Its name, and its notebook below ``notebooks/`` without the ending.
    outputs : dict of str to dict
        Files it published, each with name, title and SHA-256.
    label : str
        Label of the instance, which its kernel needs; else empty.
    is_kept : bool
        Whether its notebook is published too. Of a step that runs for many, only some are; of the others
        the published files are there for those who gather them, and are held to their SHA-256 alone.
    """

    name: str
    notebook: str
    outputs: Mapping[str, Mapping[str, str]]
    label: str = ""
    is_kept: bool = True

    @property
    def files(self) -> tuple[str, ...]:
        """Files the step published, sorted; ``outputs`` holds the name and title each was published under."""
        return tuple(sorted(self.outputs))


def read_steps(folder: Path) -> dict[str, PublishedStep]:
    """Return the steps of a published run by their notebook, in the order in which they ran.

    Raises
    ------
    ValueError
        Where there is no manifest, or it is not what a run writes.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        steps = {}
        for name, record in manifest["steps"].items():
            outputs = {
                output["file"]: {key: output[key] for key in ("name", "title", "sha256") if key in output}
                for output in record["outputs"]
                if output["file"].split("/")[0] in PUBLISHED
            }
            notebook = record["notebook"].removeprefix("notebooks/").removesuffix(".ipynb")
            label = name.partition("/")[2]
            steps[notebook] = PublishedStep(name, notebook, outputs, label, record.get("published", True))
    except FileNotFoundError:
        raise ValueError("manifest.json is missing, so nobody can tell what was published") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"manifest.json is not the manifest of a run ({type(error).__name__}: {error})") from None
    return steps


class ReferenceCell(IPyNbCell):  # type: ignore[misc]
    """A cell of a published notebook: must have run, must show what it showed, within the tolerance."""

    reference: ReferenceFolder

    def runtest(self) -> None:
        """Run the cell; where the published one proves nothing, fail after it ran, so that later cells can."""
        self.config.option.nbval_cell_timeout = self._timeout()
        refusal = self._refusal()
        if not refusal:
            super().runtest()
            return
        self.options["check"] = self.options["skip"] = False
        with suppress(NbCellError):
            super().runtest()
        self.raise_cell_error(refusal)

    def _timeout(self) -> float:
        tags = [_TIMEOUT_TAG.fullmatch(tag) for tag in self.cell.metadata.get("tags", [])]
        return max([self.reference.cell_timeout, *(float(match[1]) for match in tags if match)])

    def _refusal(self) -> str:
        name = f"notebooks/{self.reference.notebook_of(self.path)}.ipynb"
        hiding = [tag for tag in self.cell.metadata.get("tags", []) if tag.lower() in _HIDING_TAGS]
        hiding += _HIDING_COMMENT.findall(self.cell.source)
        if hiding:
            return f"{name}: '{hiding[0]}' hides the output of this cell. A published cell is compared; take it out."
        if not any(cell.get("outputs") for cell in self.parent.nb.cells):
            return f"{name} shows no output at all: it was stripped, so there is nothing to compare. Publish it again."
        if self.cell.execution_count is None and self.cell.source.strip():
            return f"{name}: this cell never ran in the published notebook (no execution count). Publish it again."
        return ""

    def compare_outputs(self, test: Iterable[Any], ref: Iterable[Any], skip_compare: object = None) -> bool:
        """Compare what the cell shows now with what it showed; nbval prints ``comparison_traceback``."""
        tolerance = self.reference.tolerance
        now, published = list(test), list(ref)
        self.comparison_traceback = [
            *self._stream_faults(published, now, tolerance),
            *self._rich_faults(published, now, tolerance),
        ]
        return not self.comparison_traceback

    def _stream_faults(self, published: list[Any], now: list[Any], tolerance: Tolerance) -> Iterator[str]:
        first, second = (
            {output.name: self.reference.cleaned(output.text) for output in outputs if output.output_type == "stream"}
            for outputs in (published, now)
        )
        for name in sorted({*first, *second}):
            fault = text_difference(first.get(name, ""), second.get(name, ""), tolerance)
            if fault:
                yield f"{name}: {fault}"

    def _rich_faults(self, published: list[Any], now: list[Any], tolerance: Tolerance) -> Iterator[str]:
        first, second = ([o for o in outputs if o.output_type != "stream"] for outputs in (published, now))
        kinds = [[output.output_type for output in outputs] for outputs in (first, second)]
        if kinds[0] != kinds[1]:
            yield f"published outputs {kinds[0]}, now {kinds[1]}"
            return
        for number, (output, output_now) in enumerate(zip(first, second, strict=True), start=1):
            data, data_now = _shown(output), _shown(output_now)
            for kind in sorted({*data, *data_now}):
                fault = self._kind_fault(kind, data.get(kind), data_now.get(kind), tolerance)
                if fault:
                    yield f"output {number}, {kind}: {fault}"

    def _kind_fault(self, kind: str, published: Any, now: Any, tolerance: Tolerance) -> str:
        if published is None or now is None:
            return "no longer shown" if now is None else "was not shown in the published notebook"
        if kind == "image/png":
            return picture_difference(base64.b64decode(published), base64.b64decode(now), tolerance)
        if isinstance(published, str) and isinstance(now, str):
            return text_difference(self.reference.cleaned(published), self.reference.cleaned(now), tolerance)
        return next(value_differences(published, now, tolerance), "")


def _shown(output: Any) -> Mapping[str, Any]:
    data: Mapping[str, Any] = output.get("data", {})
    return {"error": f"{output.ename}: {output.evalue}"} if output.output_type == "error" else data


class PublishedFiles(pytest.File):
    """Collects what a run published: one item per file, and one for all that may not be there."""

    def __init__(self, *, reference: ReferenceFolder, **rest: Any) -> None:
        super().__init__(**rest)
        self.reference = reference

    def collect(self) -> Iterator[PublishedFile]:
        """Yield the items; a damaged manifest is an item that fails."""
        try:
            steps = read_steps(self.reference.folder)
        except ValueError as error:
            yield self._item("manifest.json", "", partial(list, [str(error)]))
            return
        for step in steps.values():
            for file in step.files if step.is_kept else ():
                yield self._item(file, step.notebook, partial(self.reference.file_faults, file))
        if any(not step.is_kept for step in steps.values()):
            yield self._item("files of the other instances", "", partial(self.reference.kept_faults, steps))
        yield self._item("nothing else", "", partial(self.reference.other_faults, steps))

    def _item(self, name: str, notebook: str, check: Callable[[], list[str]]) -> PublishedFile:
        return PublishedFile.from_parent(self, name=name, notebook=notebook, check=check)


class PublishedFile(pytest.Item):
    """One published file against what its notebook writes now."""

    def __init__(self, *, notebook: str, check: Callable[[], list[str]], **rest: Any) -> None:
        super().__init__(**rest)
        self.notebook, self.check = notebook, check

    def runtest(self) -> None:
        """Fail with every difference, the first twenty in words."""
        faults = self.check()
        more = [f"... and {len(faults) - 20} more"] if len(faults) > 20 else []
        if faults:
            pytest.fail("\n".join([*(f"{self.name}: {fault}" for fault in faults[:20]), *more]), pytrace=False)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Return what pytest prints as the item's name."""
        return self.path, None, f"published: {self.name}"


class ReferenceFolder:
    """The published run of one study, as a plug-in of pytest.

    Parameters
    ----------
    folder : Path
        ``outputs/reference/<study>`` of a project.
    tolerance : Tolerance
        The study's tolerances.
    cell_timeout : float
        Seconds a cell may take; the tag ``timeout-<seconds>`` gives a cell longer.
    """

    def __init__(self, folder: Path, *, tolerance: Tolerance | None = None, cell_timeout: float = 120) -> None:
        self.folder = folder.resolve()
        self.tolerance = tolerance or Tolerance()
        self.cell_timeout = cell_timeout
        self.project = self.folder.parents[2]
        self._steps: dict[str, PublishedStep] = {}
        self._selected: set[str] = set()
        self._scratch: tempfile.TemporaryDirectory[str] | None = None

    def register(self, config: pytest.Config) -> None:
        """Join a pytest run; called by ``pytest_configure`` of the folder's ``conftest.py``.

        Raises
        ------
        pytest.UsageError
            Under pytest-xdist: the cells of a notebook and the files they write belong to one process.
        """
        if getattr(config.option, "numprocesses", None):
            raise pytest.UsageError(f"outputs/reference/{self.folder.name} cannot be checked with -n. Leave it out.")
        if hasattr(config.option, "nbval"):
            config.option.nbval_current_env = not config.option.nbval_kernel_name
            if config.option.nbval_cell_timeout != _NBVAL_TIMEOUT:
                self.cell_timeout = config.option.nbval_cell_timeout
        with suppress(ValueError):
            self._steps = read_steps(self.folder)
        config.pluginmanager.register(self, f"reference:{self.folder}")

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        """Collect the published files beside the notebooks that nbval collects."""
        return self._files(parent, file_path) if file_path == self.folder / "manifest.json" else None

    def _files(self, parent: pytest.Collector, manifest: Path) -> PublishedFiles:
        return PublishedFiles.from_parent(parent, path=manifest, reference=self)

    @pytest.hookimpl(wrapper=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
    ) -> Iterator[None]:
        """Put the notebooks in the order of the run, and the files they publish last, whatever others do."""
        cells, files = self._own(items)
        if cells and not files:  # a notebook that was named alone: its files are checked as well
            items.extend(self._files(session, self.folder / "manifest.json").collect())
        yield
        cells, files = self._own(items)
        for cell in cells:
            cell.__class__ = ReferenceCell
            cell.reference = self
        self._selected = {self.notebook_of(path) for path in _whole_notebooks(cells)}
        kept = [file for file in files if (file.notebook in self._selected if file.notebook else bool(cells))]
        own, dropped = {*cells, *files}, [file for file in files if file not in kept]
        if dropped:
            config.hook.pytest_deselected(items=dropped)
        order = list(self._steps)
        cells.sort(key=lambda cell: (_position(order, self.notebook_of(cell.path)), cell.path, cell.cell_num))
        items[:] = [*(item for item in items if item not in own), *cells, *kept]

    def _own(self, items: list[pytest.Item]) -> tuple[list[Any], list[PublishedFile]]:
        cells = [item for item in items if isinstance(item, IPyNbCell) and item.path.is_relative_to(self.folder)]
        return cells, [item for item in items if isinstance(item, PublishedFile) and item.path.parent == self.folder]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Give the kernel of a notebook its scratch run folder."""
        if isinstance(item, ReferenceCell) and item.reference is self:
            with _environment(self._kernel_settings(self.notebook_of(item.path))):
                return (yield)
        return (yield)

    def pytest_unconfigure(self) -> None:
        """Remove the scratch run folder."""
        if self._scratch is not None:
            self._scratch.cleanup()

    @property
    def scratch(self) -> Path:
        """The run folder to which the notebooks publish this time.

        It starts with what the published run holds but for what the selected notebooks will write, so
        that a single notebook finds the estimates it needs.
        """
        if self._scratch is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="evaluation-", ignore_cleanup_errors=True)
            self._fill(Path(self._scratch.name))
        return Path(self._scratch.name).resolve()

    def _fill(self, scratch: Path) -> None:
        again = {file for step in self._steps.values() if step.notebook in self._selected for file in step.files}
        kept = [file for file in _files_below(self.folder, PUBLISHED) if file not in again]
        for file in [*kept, *(path.name for path in self.folder.glob("*.json") if path.name != "manifest.json")]:
            (scratch / file).parent.mkdir(parents=True, exist_ok=True)
            copyfile(self.folder / file, scratch / file)
        (scratch / project.LOG).mkdir()
        for step in self._steps.values():
            if step.notebook not in self._selected:
                lines = [json.dumps({**words, "files": [file]}) + "\n" for file, words in step.outputs.items()]
                log = scratch / project.LOG / f"{step.name}.jsonl"
                log.parent.mkdir(parents=True, exist_ok=True)
                log.write_text("".join(lines), encoding="utf-8")

    def notebook_of(self, path: Path) -> str:
        """Return how the manifest calls the notebook at ``path``: below ``notebooks/``, without the ending."""
        folder = self.folder / "notebooks"
        place = path.relative_to(folder) if path.is_relative_to(folder) else Path(path.name)
        return place.with_suffix("").as_posix()

    def _kernel_settings(self, notebook: str) -> dict[str, str]:
        step = self._steps.get(notebook)
        return {
            **project.KERNEL_SETTINGS,
            project.PROJECT_VARIABLE: str(self.project),
            project.RUN_VARIABLE: str(self.scratch),
            project.STEP_VARIABLE: step.name if step else notebook,
            project.INSTANCE_VARIABLE: step.label if step else "",
        }

    def file_faults(self, file: str) -> list[str]:
        """Return what is wrong with one published file."""
        published, now = self.folder / file, self.scratch / file
        if not published.is_file():
            return ["the manifest lists it, and it does not lie in the published run"]
        if not now.is_file():
            return ["its notebook did not write it this time"]
        return file_differences(published, now, self.tolerance)

    def kept_faults(self, steps: Mapping[str, PublishedStep]) -> list[str]:
        """Return what is wrong with the files of instances whose notebooks are not published."""
        faults = []
        for step in steps.values():
            for file, words in step.outputs.items() if not step.is_kept else ():
                path = self.folder / file
                if not path.is_file():
                    faults.append(f"{file} is missing; step '{step.name}' published it")
                elif hashlib.sha256(path.read_bytes()).hexdigest() != words.get("sha256"):
                    faults.append(f"{file} is not what step '{step.name}' published (its SHA-256 differs)")
        return faults

    def other_faults(self, steps: Mapping[str, PublishedStep]) -> list[str]:
        """Return what lies in the published run, or was written this time, and is in no step of the manifest."""
        listed = {file for step in steps.values() for file in step.files}
        stray = [file for file in _files_below(self.folder, PUBLISHED) if file not in listed]
        new = [file for file in _files_below(self.scratch, PUBLISHED) if file not in {*listed, *stray}]
        notebooks = sorted(self.notebook_of(path) for path in (self.folder / "notebooks").rglob("*.ipynb"))
        kept = [stem for stem, step in steps.items() if step.is_kept]
        return [
            *(f"{file} lies in the published run, but its manifest does not list it" for file in stray),
            *(f"{file} was written this time and is not in the published run" for file in new),
            *(f"notebooks/{stem}.ipynb belongs to no step of the manifest" for stem in notebooks if stem not in steps),
            *(f"notebooks/{stem}.ipynb is missing" for stem in kept if stem not in notebooks),
        ]

    def cleaned(self, text: str) -> str:
        """Return an output with the paths of this machine written as the runner writes them."""
        for path, shown in self._hidden():
            text = re.sub(re.escape(path) + r"(?![\w-])", shown, text)
        return without_temporary_files(text)

    def _hidden(self) -> list[tuple[str, str]]:
        places = {
            str(self.scratch): f"outputs/{self.folder.name}",
            sysconfig.get_path("purelib"): "<packages>",
            sysconfig.get_path("stdlib"): "<python>",
            str(self.project): ".",
        }
        home = str(Path.home())
        places |= {
            f"~{path.removeprefix(home)}": shown for path, shown in places.items() if path.startswith(home + os.sep)
        }
        return sorted(places.items(), key=lambda place: -len(place[0]))


def _whole_notebooks(cells: Sequence[Any]) -> Iterator[Path]:
    """Yield the notebooks of which every code cell was selected: only these publish all their files."""
    for notebook in {cell.parent for cell in cells}:
        code = [cell for cell in notebook.nb.cells if cell.cell_type == "code"]
        if len(code) == sum(cell.parent is notebook for cell in cells):
            yield notebook.path


def _position(order: list[str], notebook: str) -> int:
    return order.index(notebook) if notebook in order else len(order)


def _files_below(folder: Path, names: Iterable[str]) -> list[str]:
    files = [file for name in names for file in (folder / name).rglob("*") if file.is_file()]
    return sorted(file.relative_to(folder).as_posix() for file in files)


@contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    for name in project.TERMINAL_VARIABLES:
        os.environ.pop(name, None)
    os.environ.update(settings)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
