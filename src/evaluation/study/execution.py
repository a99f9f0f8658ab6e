"""One notebook in one kernel: run its cells, say what stopped them, leave a notebook without times and paths."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import tempfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import IO, Any

import nbformat
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from papermill.translators import PythonTranslator, papermill_translators

from evaluation.compiled_cells import without_temporary_files
from evaluation.recording import RECORD
from evaluation.study.client import StudyClient
from evaluation.study.kernels.source import KernelProcess, Kernels
from evaluation.study.output_limit import LIMIT, OutputLimit, message
from evaluation.study.parameters import is_declared
from evaluation.study.states import CellWarning, Failure, State, explained
from evaluation.study.streams import coalesced

#: Seconds a cell may take; the tag ``timeout-120`` gives a cell its own limit.
CELL_TIMEOUT = 1800
#: Seconds a kernel may take to start.
START_TIMEOUT = 120
#: Characters of a stream that are kept of a cell that put out too much.
KEPT_OUTPUT = 100_000
#: Characters of an error's message that are told; the executed notebook holds more of it.
LONGEST_MESSAGE = 5_000

#: Asked of a kernel before the first cell.
_LIMITED = "__import__('importlib').import_module('evaluation.study.output_limit').install()"

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_TIMEOUT_TAG = re.compile(r"timeout-(\d+)")
_WARNING = re.compile(r"^(?:.*?:\d+: )?(\w*Warning): (.*)$", re.MULTILINE)

_log = logging.getLogger(__name__)
_log.addHandler(logging.NullHandler())
_log.propagate = False


class ReadableTranslator(PythonTranslator):  # type: ignore[misc]
    r"""Writes parameters as Python literals; Korean stays Korean instead of ``\uXXXX``.

    Examples
    --------
    >>> ReadableTranslator.translate_str('서울 "강남"')
    '\'서울 "강남"\''
    """

    @classmethod
    def translate_str(cls, val: str) -> str:
        """Return the literal of a text."""
        quoted = repr(val)
        return f'"{val}"' if quoted == f"'{val}'" and '"' not in val else quoted


def register_translator() -> None:
    """Make papermill write the parameters of Python notebooks with ``ReadableTranslator``."""
    papermill_translators.register("python", ReadableTranslator)


class Execution:
    """The run of one notebook.

    Parameters
    ----------
    save_to : path, optional
        File that receives the notebook after each cell.
    environment : mapping of str to str, optional
        Environment of the kernel; without it, that of this process.
    folder : path, optional
        Working directory of the kernel.
    timeout : int
        Seconds a cell may take.
    on_cell : callable, optional
        Called with the number of code cells that have run, and of those there are.
    hidden : mapping of str to str, optional
        Texts (absolute paths) that outputs must not show, with what stands in their place.
    language : str, optional
        Text cells tagged ``lang-ko`` or ``lang-en`` for another language are left out.
    sections : collection of str, optional
        Cells tagged ``if-<section>`` for a section that is not among them are left out, code too.
    kernels : Kernels, optional
        Where the kernel comes from; by default an ordinary one.
    recording : str, optional
        Expression that makes the kernel note what the notebook uses (``evaluation.recording.start_code``).
    on_start : callable, optional
        Called with the number of the kernel's process.
    approve : callable, optional
        Called with what was recorded, or None, once every cell has run; a Failure it returns makes the step a
        failed one.

    Attributes
    ----------
    state : State
        ``"ok"`` only where every code cell ran.
    failure : Failure or None
    done, cells : int
        Code cells that have run, and code cells there are.
    warnings : list of CellWarning
    record : dict or None
        Modules and files that the notebook used (``evaluation.recording``); None where that is not known.
    peak_memory_bytes : int
        The most memory that the kernel was seen to take; 0 where nobody looked (``watch``).
    """

    def __init__(
        self,
        *,
        save_to: Path | str | None = None,
        environment: Mapping[str, str] | None = None,
        folder: Path | str | None = None,
        timeout: int = CELL_TIMEOUT,
        on_cell: Callable[[int, int], None] | None = None,
        hidden: Mapping[str, str] | None = None,
        language: str | None = None,
        sections: Collection[str] | None = None,
        kernels: Kernels | None = None,
        recording: str = "",
        on_start: Callable[[int], None] | None = None,
        approve: Callable[[Mapping[str, Any] | None], Failure | None] | None = None,
    ) -> None:
        self.save_to = None if save_to is None else Path(save_to)
        self.environment = dict(os.environ if environment is None else environment)
        self.folder = folder
        self.timeout = timeout
        self.on_cell = on_cell
        self.language = language
        self.sections = sections
        self.kernels = kernels
        self.recording = recording
        self.on_start = on_start
        self.approve = approve
        self._hidden = [(re.compile(re.escape(path) + r"(?![\w-])"), shown) for path, shown in (hidden or {}).items()]
        self.state: State = "ok"
        self.failure: Failure | None = None
        self.done = 0
        self.cells = 0
        self.warnings: list[CellWarning] = []
        self.record: dict[str, Any] | None = None
        self.peak_memory_bytes = 0
        self._cancelled: tuple[str, str] | None = None
        self._client: StudyClient | None = None
        self._process: KernelProcess | None = None

    def run(self, nb: nbformat.NotebookNode, kernel_name: str) -> nbformat.NotebookNode:
        """Run ``nb`` in a fresh kernel; its outputs and what became of it are filled in."""
        if self.sections is not None:
            nb.cells = [cell for cell in nb.cells if is_declared(cell, self.sections)]
        code = [cell for cell in nb.cells if cell.cell_type == "code"]
        for cell in code:
            cell.outputs, cell.execution_count = [], None
        _tidy(nb)
        if self.language is not None:
            nb.cells = [cell for cell in nb.cells if is_spoken(cell, self.language)]
        running = [cell for cell in code if cell.source.strip()]
        self.cells = len(running)
        self._tell()
        if self._cancelled is None:
            with contextlib.ExitStack() as stack:
                kernels = self.kernels or stack.enter_context(Kernels("plain"))
                log = stack.enter_context(tempfile.TemporaryFile())
                self._run_in_kernel(nb, running, kernel_name, kernels, log)
        if self.state == "ok" and self.done < self.cells:
            self._stop("stopped-early", running[self.done], "NotRun", "the cells from here on never ran")
        self._finish(nb, running)
        return nb

    def cancel(self, error: str = "KeyboardInterrupt", message: str = "stopped by hand") -> None:
        """Stop as soon as may be, and say why; callable from another thread, and more than once.

        Parameters
        ----------
        error, message : str
            What the notebook shows in the cell that was running.
        """
        self._cancelled = self._cancelled or (error, message)
        client = self._client
        if client is not None:
            client.kill()

    def watch(self) -> None:
        """Note how much memory the kernel has taken; callable from another thread, at any time."""
        client = self._client
        if client is not None:
            client.watch()
            self.peak_memory_bytes = max(self.peak_memory_bytes, client.peak_memory_bytes)

    def _run_in_kernel(
        self,
        nb: nbformat.NotebookNode,
        running: list[nbformat.NotebookNode],
        kernel_name: str,
        kernels: Kernels,
        log: IO[bytes],
    ) -> None:
        client = self._client = StudyClient(
            nb,
            kernel_name=kernel_name,
            timeout=self.timeout,
            timeout_func=self._timeout_of,
            startup_timeout=START_TIMEOUT,
            iopub_timeout=60,
            raise_on_iopub_timeout=True,
            record_timing=False,
            coalesce_streams=False,
            log=_log,
            **kernels.client_options(log),
        )
        place: dict[str, Any] = {} if self.folder is None else {"cwd": str(self.folder)}
        started = False
        try:
            with client.setup_kernel(env=self.environment, **place):
                started = True
                self._begin(client, kernels)
                self._run_cells(client, nb, running, log)
                self._end(client, nb, running)
        except (RuntimeError, TimeoutError, OSError, DeadKernelError) as error:
            if self.state == "ok" and running:
                fate = "the kernel ended between two cells" if started else "the kernel did not start"
                cell = running[min(self.done, self.cells - 1)]
                self._stop("died", cell, "DeadKernelError", f"{fate}: {error}{_tail(log)}")
        finally:
            self._client = None
            if self._process is not None:
                self._process.kill_group()
                self._process = None

    def _begin(self, client: StudyClient, kernels: Kernels) -> None:
        process = self._process = kernels.process_of(client)
        if process is not None and self.on_start is not None:
            self.on_start(process.pid)
        client.ask(_LIMITED)
        if self.recording:
            client.ask(self.recording)

    def _end(self, client: StudyClient, nb: nbformat.NotebookNode, running: list[nbformat.NotebookNode]) -> None:
        """Ask a kernel that is still there what the notebook used, and end what the notebook started beside."""
        try:
            self._ask_for_record(client, nb, running)
        finally:
            if self._process is not None:
                self._process.end_children()

    def _ask_for_record(
        self, client: StudyClient, nb: nbformat.NotebookNode, running: list[nbformat.NotebookNode]
    ) -> None:
        if self.state not in ("ok", "failed"):
            return
        self.record = client.ask(RECORD) if self.recording else None
        fault = None
        if self.state == "ok" and self.approve is not None:
            fault = self.approve(self.record)
        if fault is not None and running:
            self._stop("failed", running[-1], fault.error, fault.message)
        elif self.state == "ok":
            reply = client.wait_for_reply(client.kc.kernel_info()) if client.kc else None
            _keep_language(nb, reply)

    def _run_cells(
        self,
        client: StudyClient,
        nb: nbformat.NotebookNode,
        running: list[nbformat.NotebookNode],
        log: IO[bytes],
    ) -> None:
        replies: list[dict[str, Any]] = []
        client.on_cell_executed = lambda cell, cell_index, execute_reply: replies.append(execute_reply)
        for cell in running:
            if self._cancelled:
                return
            try:
                self._run_cell(client, cell, nb.cells.index(cell))
            except CellExecutionError as error:
                early = error.ename == "SystemExit"
                self._stop(
                    "stopped-early" if early else "failed", cell, error.ename, explained(error.ename, error.evalue)
                )
                return
            except CellTimeoutError:
                limit = self._timeout_of(cell)
                fault = f"the cell ran longer than {limit} s. Give it longer by the tag timeout-<seconds>"
                self._stop("timed-out", cell, "CellTimeoutError", fault)
                return
            except DeadKernelError:
                if client.has_flooded:
                    self._stop("failed", cell, OutputLimit.__name__, message(LIMIT))
                else:
                    self._stop("died", cell, "DeadKernelError", client.how_it_ended() + _tail(log))
                return
            if replies and _asks_to_exit(replies.pop()):
                self._stop("stopped-early", cell, "SystemExit", "exit() ended the kernel")
                return
            self.done += 1
            if not self._save(nb):
                return
            self._tell()

    @staticmethod
    def _run_cell(client: StudyClient, cell: nbformat.NotebookNode, place: int) -> None:
        try:
            client.execute_cell(cell, place)
        finally:
            cell.outputs = coalesced(cell.outputs)

    def _timeout_of(self, cell: nbformat.NotebookNode) -> int:
        for tag in cell.metadata.get("tags", []):
            if match := _TIMEOUT_TAG.fullmatch(tag):
                return int(match[1])
        return self.timeout

    def _stop(self, state: State, cell: nbformat.NotebookNode, error: str, message: str) -> None:
        if self._cancelled is not None:
            state, (error, message) = "cancelled", self._cancelled
        if not any(output.output_type == "error" for output in cell.outputs):
            trace = [f"{error}: {message}"]
            cell.outputs.append(nbformat.v4.new_output("error", ename=error, evalue=message, traceback=trace))  # type: ignore[no-untyped-call]
        if error == OutputLimit.__name__:
            _cut(cell)
        self.state = state
        if len(message) > LONGEST_MESSAGE:
            message = f"{message[:LONGEST_MESSAGE]} [... cut here]"
        self.failure = Failure(min(self.done + 1, self.cells), error, self._clean(_ANSI.sub("", message)))

    def _finish(self, nb: nbformat.NotebookNode, running: list[nbformat.NotebookNode]) -> None:
        for cell in running[self.done :] if self.state != "ok" else []:
            cell.metadata["papermill"] = {"status": "not-run"}
        if self.failure is not None and running:
            stopped = running[self.failure.cell - 1]
            stopped.metadata["papermill"] = {"status": self.state}
        for number, cell in enumerate(running, start=1):
            for output in cell.outputs:
                self._clean_output(output)
                if output.output_type == "stream" and output.name == "stderr":
                    self.warnings += [CellWarning(name, text, number) for name, text in _WARNING.findall(output.text)]
        nb.metadata["papermill"] = {
            "parameters": nb.metadata.get("papermill", {}).get("parameters", {}),
            "status": self.state,
        }
        self._save(nb)

    def _clean(self, text: str) -> str:
        for path, shown in self._hidden:
            text = path.sub(shown, text)
        return without_temporary_files(text)

    def _clean_output(self, output: nbformat.NotebookNode) -> None:
        if output.output_type == "stream":
            output.text = self._clean(output.text)
        elif output.output_type == "error":
            output.evalue = self._clean(output.evalue)
            output.traceback = [self._clean(line) for line in output.traceback]
        else:
            for kind, content in output.data.items():
                if not kind.startswith("image/"):
                    output.data[kind] = self._clean_json(content)
            output.metadata = self._clean_json(output.metadata)

    def _clean_json(self, content: Any) -> Any:
        """Return JSON with every text in it cleaned; lists and objects are changed in place, however deep."""
        whole = [content]
        waiting: list[Any] = [whole]
        while waiting:
            holder = waiting.pop()
            for key, value in list(holder.items() if isinstance(holder, dict) else enumerate(holder)):
                if isinstance(value, str):
                    holder[key] = self._clean(value)
                elif isinstance(value, (dict, list)):
                    waiting.append(value)
        return whole[0]

    def _save(self, nb: nbformat.NotebookNode) -> bool:
        """Save the notebook as it is now; on a full disk the step fails, and what was saved before stays."""
        if self.save_to is None:
            return True
        text = str(nbformat.writes(nb)).rstrip("\n") + "\n"  # type: ignore[no-untyped-call]
        unfinished = self.save_to.with_name(self.save_to.name + ".part")
        try:
            self.save_to.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_bytes(text.encode("utf-8"))
            os.replace(unfinished, self.save_to)
        except OSError as error:
            with contextlib.suppress(OSError):
                unfinished.unlink()
            if self.state == "ok":
                self.state = "failed"
                fault = f"{error.strerror}: {self.save_to.name} cannot be saved. Free some space, then run again"
                self.failure = Failure(min(self.done, self.cells), "OSError", fault)
            return False
        return True

    def _tell(self) -> None:
        if self.on_cell is not None:
            self.on_cell(self.done, self.cells)


def _tidy(nb: nbformat.NotebookNode) -> None:
    """Take out what papermill adds to every cell, and give the injected cell an id that never changes."""
    for cell in nb.cells:
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell["id"] = "injected-parameters"
            cell.source = cell.source.rstrip("\n")
        if not cell.metadata.get("tags", True):
            del cell.metadata["tags"]


def is_spoken(cell: nbformat.NotebookNode, language: str) -> bool:
    """Tell whether a cell is to be kept: code always, text where it is tagged for no other language."""
    tongues = {tag.removeprefix("lang-") for tag in cell.metadata.get("tags", []) if tag.startswith("lang-")}
    return cell.cell_type == "code" or not tongues or language in tongues


def _keep_language(nb: nbformat.NotebookNode, reply: dict[str, Any] | None) -> None:
    language = dict(reply["content"]["language_info"]) if reply else {"name": "python"}
    language.pop("version", None)
    nb.metadata["language_info"] = language


def _cut(cell: nbformat.NotebookNode) -> None:
    """Keep the beginning of what a cell put out too much of."""
    for output in cell.outputs:
        if output.output_type == "stream" and len(output.text) > KEPT_OUTPUT:
            output.text = f"{output.text[:KEPT_OUTPUT]}\n[... cut here]\n"


def _asks_to_exit(reply: dict[str, Any] | None) -> bool:
    payload = (reply or {}).get("content", {}).get("payload", [])
    return any(entry.get("source") == "ask_exit" for entry in payload)


def _tail(log: IO[bytes], lines: int = 12) -> str:
    """Return the last words a kernel wrote to its terminal, on lines of their own."""
    log.seek(0)
    words = [line for line in log.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return "".join(f"\n  {line}" for line in words[-lines:])
