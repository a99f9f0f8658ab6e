"""Forked and plain kernels do the same, and none of either outlives the run it belongs to."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import EntryPoint
from pathlib import Path

import nbformat
import psutil
import pytest
from jupyter_client.provisioning import KernelProvisionerFactory
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from evaluation import project, recording
from evaluation.study.kernels import provisioner, sockets, template, warm
from evaluation.study.kernels.source import Kernels

if sys.platform != "win32":
    import fcntl

ROOT = Path(__file__).parents[2]
SECONDS_TO_DIE = 10

linux = pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux only")
#: What names this kernel and no other in an output.
_OWN = re.compile(r"ipykernel_\d+[/\\]\d+")


def environment(**further):
    # pytest changes the last of these between two parts of a test.
    left_out = (*project.TERMINAL_VARIABLES, "PYTEST_CURRENT_TEST")
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    return kept | project.KERNEL_SETTINGS | further


def notebook(*cells):
    code = [nbformat.v4.new_code_cell(textwrap.dedent(cell).strip(), id=f"c{i}") for i, cell in enumerate(cells)]
    return nbformat.v4.new_notebook(cells=code)


def execute(kernels, nb, *, folder=ROOT, env=None, see=None):
    """Run a notebook; an error in a cell is an output like any other."""
    with tempfile.TemporaryFile() as log:
        options = kernels.client_options(log)
        client = NotebookClient(nb, kernel_name="python3", timeout=120, record_timing=False, **options)
        with client.setup_kernel(env=env or environment(), cwd=str(folder)):
            if see is not None:
                see(client)
            for index, cell in enumerate(nb.cells):
                if cell.cell_type == "code":
                    try:
                        client.execute_cell(cell, index)
                    except CellExecutionError:
                        continue
        log.seek(0)
        return nb, log.read().decode("utf-8")


def outputs(nb):
    """The outputs of all cells as text, without what names one kernel only."""
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    return [_OWN.sub("cell", json.dumps(cell.outputs, ensure_ascii=False, sort_keys=True)) for cell in code]


def both(*cells, **options):
    found = {}
    for kind in ("plain", "forked"):
        with Kernels(kind) as kernels:
            found[kind] = execute(kernels, notebook(*cells), **options)[0]
            assert kernels.fell_back == ""
    return found["plain"], found["forked"]


def printed(nb, cell=0):
    return "".join(output.text for output in nb.cells[cell].outputs if output.get("name") == "stdout")


def gone(pids, within=SECONDS_TO_DIE):
    """Those of the processes that still run after the time."""
    deadline = time.monotonic() + within
    left = list(pids)
    while left and time.monotonic() < deadline:
        left = [pid for pid in left if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]
        time.sleep(0.05)
    return left


@pytest.fixture(scope="module")
def forked():
    with Kernels("forked") as kernels:
        yield kernels


# What both kinds give

TABLES = """
import numpy as np, pandas as pd
people = pd.DataFrame({"구": ["강남구", "종로구"] * 3, "나이": np.arange(6) * 10, "share": np.linspace(0, 1, 6)})
people.describe()
"""
WIDE = "pd.DataFrame(rng.integers(0, 10**9, (3, 12)), columns=[f'column_{i}' for i in range(12)])"
REGRESSION = """
import statsmodels.api as sm
rng = np.random.default_rng(7)
x = rng.normal(size=(200, 3))
fit = sm.OLS(x @ [1, 2, 3] + rng.normal(size=200), sm.add_constant(x)).fit()
print(fit.summary().tables[1]); fit.params, fit.cov_params()
"""
FIGURE = """
import matplotlib.pyplot as plt, seaborn as sns
plt.rcParams["svg.hashsalt"] = "one"
fig, ax = plt.subplots(); sns.regplot(x=x[:, 0], y=x[:, 1], ax=ax, seed=1); ax.set_title("$a^2$ of x");
"""
SHOWN = "plt.plot([1, 2, 4]); plt.show(); plt.bar([1], [2]); plt.show(); print('after')"
SVG = """
import io
file = io.StringIO(); fig.savefig(file, format="svg", metadata={"Date": None}); len(file.getvalue())
file.getvalue()[-200:]
"""
WARNINGS = """
import warnings
warnings.warn("few units in 강남", FutureWarning); warnings.warn("old", DeprecationWarning)
np.array([1.0]) / 0; pd.Series([1, "a"]).infer_objects()
for _ in range(2): sm.tools.sm_exceptions; warnings.warn("converged not", sm.tools.sm_exceptions.ConvergenceWarning)
"""
ERROR = "def mean(values):\n    return sum(values) / len(values)\nmean([])"
RICH = """
from IPython.display import Markdown, display
display(Markdown("**굵게**")); print("한글 ✓")
"""
TO_STDERR = "import sys; sys.stderr.write('to stderr\\n');"


@linux
def test_both_kinds_give_equal_outputs():
    cells = [
        TABLES,
        REGRESSION,
        FIGURE,
        SHOWN,
        SVG,
        WARNINGS,
        ERROR,
        RICH,
        TO_STDERR,
        WIDE,
        "import evaluation as ev; ev.__doc__[:20]",
    ]
    plain, forked = both(*cells)
    digests = [[hashlib.sha256(text.encode()).hexdigest() for text in outputs(nb)] for nb in (plain, forked)]
    assert digests[0] == digests[1], [
        (one, other) for one, other in zip(outputs(plain), outputs(forked), strict=True) if one != other
    ]
    kinds = [[kind for output in cell.outputs for kind in output.get("data", {})] for cell in forked.cells]
    assert "text/html" in kinds[0]
    assert "image/png" in kinds[2]
    assert kinds[3].count("image/png") == 2
    assert forked.cells[6].outputs[0].ename == "ZeroDivisionError"


STATE = r"""
import asyncio, gc, json, locale, logging, os, re, resource, signal, sys, threading, time, warnings
# The list of descriptors itself, the log, and what ZeroMQ opens when it first needs it.
INTERNAL = re.compile("/proc/|deleted|anon_inode")
state = {
    "path": sys.path, "arguments": [sys.argv[0], *sys.argv[3:]], "flags": str(sys.flags), "folder": os.getcwd(),
    "environment": {k: v for k, v in os.environ.items() if k != "JPY_PARENT_PID"}, "hash": hash("서울"),
    "finders": [str(type(f)) + getattr(f, "__name__", "") for f in sys.meta_path],
    "signals": [str(signal.getsignal(n)).split(" at ")[0] for n in sorted(signal.valid_signals())],
    "blocked": str(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "group": [os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid()], "nice": os.nice(0),
    "streams": [(f.encoding, f.errors) for f in (sys.stdin, sys.__stdout__, sys.__stderr__)],
    "input": os.read(0, 1).decode(), "locale": locale.getlocale(), "zone": time.tzname,
    "gc": gc.get_threshold(), "recursion": sys.getrecursionlimit(), "files": resource.getrlimit(resource.RLIMIT_NOFILE),
    "threads": sorted(type(t).__name__ for t in threading.enumerate()),
    "policy": str(type(asyncio.get_event_loop_policy())),
    "logging": [len(logging.getLogger().handlers), logging.getLogger().level],
    "open": sorted(os.readlink(f"/proc/self/fd/{n}").split(":")[0].replace("/dev/null", "pipe")
                   for n in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{n}")
                   and not INTERNAL.search(os.readlink(f"/proc/self/fd/{n}"))),
    "evaluation": [name for name, module in sys.modules.items() if "evaluation" in name
                   or "evaluation" in str(getattr(module, "__file__", ""))],
}
print(json.dumps(state))
"""
LOADED = r"""
import matplotlib, numpy as np, pandas as pd, scipy.special, seaborn, statsmodels.api, pyarrow.parquet, ruamel.yaml
import matplotlib.pyplot as plt
def drawing():
    shown = get_ipython().display_formatter.formatters["image/png"].type_printers
    return {"rc": {k: str(v) for k, v in matplotlib.rcParams.items()}, "interactive": plt.isinteractive(),
            "events": {k: sorted(f.__qualname__ for f in v) for k, v in get_ipython().events.callbacks.items()},
            "figures": sorted(map(str, shown)), "inline": "matplotlib_inline.backend_inline" in sys.modules}
before = drawing(); plt.close(plt.figure())
print(json.dumps({"filters": sorted(map(str, warnings.filters)), "errors": str(np.geterr()),
                  "shown": str(np.get_printoptions()), "before": before,
                  "after": drawing(), "pool": pyarrow.default_memory_pool().backend_name}))
"""


#: Reads every name of a plain value that a module of an imported package holds.
SETTINGS = f"""
import importlib, sys, json
for package in {template.PACKAGES!r}: importlib.import_module(package)
import pandas as pd, matplotlib as mpl
plain = (bool, int, float, str, bytes, type(None))
modules = {{name: vars(module) for name, module in sys.modules.items() if hasattr(module, "__dict__")}}
found = {{f"{{m}}.{{k}}": repr(v) for m, held in modules.items() if "_main__" not in m
         for k, v in held.items() if isinstance(v, plain) and not k.startswith("__")}}
found |= {{f"pandas {{k}}": repr(pd.get_option(k)) for k in pd._config.config._registered_options}}
print(json.dumps(found))
"""
#: Addresses, times and numbers of processes; and what a loop over a set happened to end with.
CHANCE = re.compile(
    r"^_?ctypes\._.*_addr$|\._?(startTime|last_log_time|pid|pid_msg|generationtime|timestamp_zero)$|^scipy.sparse._data.name$"
)


@linux
def test_packages_that_were_imported_before_the_fork_hold_the_same_settings(tmp_path):
    plain, forked = both(SETTINGS, folder=tmp_path)
    one, other = json.loads(printed(plain)), json.loads(printed(forked))
    assert len(one) > 5000
    assert {k: (v, other.get(k)) for k, v in one.items() if other.get(k) != v and not CHANCE.search(k)} == {}


@linux
def test_a_forked_kernel_starts_as_a_new_interpreter_would(tmp_path):
    env = environment(TZ="Asia/Seoul", EVALUATION_STEP="one", KOREAN="한글")
    plain, forked = both(STATE, LOADED, folder=tmp_path, env=env)
    for cell in (0, 1):
        one, other = json.loads(printed(plain, cell)), json.loads(printed(forked, cell))
        assert {key for key in one if one[key] != other[key]} == set(), (one, other)
    state = json.loads(printed(forked))
    assert state["evaluation"] == []
    assert state["folder"] == str(tmp_path)
    assert state["environment"]["KOREAN"] == "한글"
    assert state["environment"]["EVALUATION_STEP"] == "one"
    assert state["zone"][0] == "KST"
    assert state["input"] == ""


def a_template(stem, run, study):
    nb = nbformat.read(ROOT / "notebooks" / f"{stem}.ipynb", as_version=4)
    place = next(i for i, cell in enumerate(nb.cells) if "parameters" in cell.metadata.get("tags", []))
    given = {"study": study, "lang": "ko", "outcome": "api00", "by": "stype"}
    nb.cells.insert(
        place + 1, nbformat.v4.new_code_cell("\n".join(f"{name} = {value!r}" for name, value in given.items()))
    )
    return nb, environment(EVALUATION_PROJECT=str(ROOT), EVALUATION_RUN=str(run), EVALUATION_STEP="profile")


@linux
def test_a_template_of_the_workbench_publishes_the_same_bytes_from_both_kinds(tmp_path):
    shown, published = [], []
    for kind in ("plain", "forked"):
        run = tmp_path / "run"
        run.mkdir()
        with Kernels(kind) as kernels:
            nb, env = a_template("10_profile", run, "api_2000")
            execute(kernels, nb, env=env)
            assert kernels.fell_back == ""
        shown.append(outputs(nb))
        published.append({p.relative_to(run).as_posix(): p.read_bytes() for p in sorted(run.rglob("*")) if p.is_file()})
        run.rename(tmp_path / kind)
    assert shown[0] == shown[1]
    assert any("image/png" in text for text in shown[1])
    assert published[0] == published[1]
    assert any(name.endswith(".svg") for name in published[1])


@linux
def test_the_record_of_what_a_notebook_used_is_the_same_from_both_kinds(tmp_path):
    (tmp_path / "used.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    (tmp_path / "used_module.py").write_text("import pandas\n", encoding="utf-8")
    for file in tmp_path.iterdir():
        os.utime(file, (1e9, 1e9))
    start = recording.start_code(tmp_path, tmp_path / "run")
    use = "import pandas as pd, os, used_module; pd.read_csv('used.csv'); os.path.exists('absent.csv')"
    plain, forked = both(start, use, f"print({recording.RECORD})", folder=tmp_path)
    one, other = json.loads(printed(plain, 2)), json.loads(printed(forked, 2))
    # A forked kernel does not look for packages again, and needs other memory; of modules their names count here.
    different = {"asked", "peak_memory_bytes", "modules"}
    assert {key for key in one if one[key] != other[key]} <= different, (one, other)
    assert set(one["modules"]) == set(other["modules"])
    assert "used_module.py" in one["modules"]
    assert not [name for name in one["modules"] if "kernels" in name]
    assert set(one["inputs"]) == {"used.csv"}


@linux
def test_each_forked_kernel_has_random_numbers_of_its_own(forked):
    draw = "import random, numpy as np, uuid; print(random.random(), np.random.rand(), uuid.uuid4())"
    first, second = (printed(execute(forked, notebook(draw))[0]).split() for _ in range(2))
    assert all(one != other for one, other in zip(first, second, strict=True))
    assert forked.fell_back == ""


@linux
def test_nothing_of_one_notebook_is_in_the_next(forked):
    modules = "import os, numpy, sys"
    leave = "numpy.left = x = 1; os.environ['LEFT'] = '1'; sys.path.insert(0, '/left'); os.chdir('/')"
    look = "print(hasattr(numpy, 'left'), 'x' in dir(), 'LEFT' in os.environ, '/left' in sys.path)"
    execute(forked, notebook(modules, leave))
    assert printed(execute(forked, notebook(modules, look))[0], 1).split() == ["False"] * 4


@linux
def test_a_module_that_was_edited_between_two_notebooks_is_read_anew(forked, tmp_path):
    module = tmp_path / "edited_module.py"
    for value in (1, 2222):
        module.write_text(f"value = {value}\n", encoding="utf-8")
        assert (
            printed(execute(forked, notebook("import edited_module as m; print(m.value)"), folder=tmp_path)[0])
            == f"{value}\n"
        )


@linux
def test_the_warm_process_has_one_thread_and_nothing_of_the_workbench(forked):
    execute(forked, notebook("1"))
    assert len(os.listdir(f"/proc/{forked.warm.pid}/task")) == 1
    loaded = Path(f"/proc/{forked.warm.pid}/maps").read_text(encoding="utf-8")
    assert "/numpy/" in loaded
    told = printed(execute(forked, notebook("import os; print(os.environ.get('JE_ARROW_MALLOC_CONF'))"))[0])
    assert told == "None\n"


@linux
def test_an_endless_recursion_is_told_soon_and_by_its_ends(forked):
    """Else the source of 3,000 calls is looked up among 3,000 modules, which takes a minute."""
    begin = "__import__('evaluation.study.output_limit').study.output_limit.install()"
    nb, _ = execute(forked, notebook(begin, "def deeper():\n    deeper()", "deeper()", "print(1)"))
    (error,) = nb.cells[2].outputs
    assert (error.ename, error.evalue) == ("RecursionError", "maximum recursion depth exceeded")
    assert 20 < len(error.traceback) < 60
    assert "In[3]" in "".join(error.traceback[:4])
    assert printed(nb, 3) == "1\n"


def test_a_run_that_needs_no_kernel_starts_no_process():
    before = len(psutil.Process().children())
    with Kernels("forked") as kernels:
        assert len(psutil.Process().children()) == before
        assert kernels.fell_back == ""


# Sixty at a time of four


@linux
def test_sixty_notebooks_four_at_a_time_run_without_an_error():
    def one(number):
        nb, _ = execute(kernels, notebook(f"import pandas as pd; print({number} * 2)", "import os; print(os.getpid())"))
        return printed(nb), printed(nb, 1)

    with Kernels("forked") as kernels, ThreadPoolExecutor(4) as pool:
        found = list(pool.map(one, range(60)))
        assert kernels.fell_back == ""
        parent = psutil.Process(kernels.warm.pid)
        assert gone([child.pid for child in parent.children()]) == []
    assert [text for text, _ in found] == [f"{2 * number}\n" for number in range(60)]
    assert len({pid for _, pid in found}) == 60


# How kernels end


@pytest.mark.parametrize("kind", [pytest.param("forked", marks=linux), "plain"])
@pytest.mark.parametrize(
    ("last", "status"),
    [
        ("import os; os._exit(7)", 7),
        pytest.param("import os; os.kill(os.getpid(), 9)", -9, marks=linux),
        pytest.param("import ctypes; ctypes.string_at(0)", -11, marks=linux),
    ],
)
def test_how_a_kernel_died_is_known(kind, last, status):
    seen = []
    with Kernels(kind) as kernels:

        def see(client):
            seen.append(kernels.process_of(client))
            assert seen[0].poll() is None

        with pytest.raises(DeadKernelError):
            execute(kernels, notebook(last), see=see)
        assert kernels.fell_back == ""
    assert seen[0].poll() == status


@pytest.mark.parametrize("kind", [pytest.param("forked", marks=linux), "plain"])
def test_a_kernel_is_ended_from_another_thread_with_what_it_started(kind, tmp_path):
    started = tmp_path / "child"
    sleeper = f"""
    import subprocess, sys, pathlib, time
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    pathlib.Path({str(started)!r}).write_text(str(child.pid)); time.sleep(600)
    """
    with Kernels(kind) as kernels:
        processes = []

        def kill():
            while not (started.exists() and started.read_text(encoding="utf-8")):
                time.sleep(0.02)
            processes[0].kill_group()

        thread = threading.Thread(target=kill)
        with pytest.raises(DeadKernelError):
            execute(kernels, notebook(sleeper), see=lambda c: (processes.append(kernels.process_of(c)), thread.start()))
        thread.join()
        processes[0].kill_group()
        assert processes[0].poll() == -signal.SIGKILL
    assert gone([processes[0].pid, int(started.read_text(encoding="utf-8"))]) == []


RUNNER = """
import sys, tempfile, threading
sys.path.insert(0, {tests!r})
from test_kernels import execute, notebook
from evaluation.study.kernels.source import Kernels

if __name__ == "__main__":
    kernels = Kernels({kind!r})
    cells = [
        "import subprocess, sys, os, pathlib, time",
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])",
        "pathlib.Path({folder!r}, f'{{os.getpid()}}.pid').write_text(str(child.pid))",
        "{busy}",
    ]
    for _ in range(2):
        threading.Thread(target=lambda: execute(kernels, notebook(*cells))).start()
"""


def a_runner(kind, folder, busy="time.sleep(600)"):
    """Start a runner of two notebooks in a process of its own; return it when both kernels work."""
    script = folder / "runner.py"
    script.write_text(
        RUNNER.format(tests=str(Path(__file__).parent), kind=kind, folder=str(folder), busy=busy), encoding="utf-8"
    )
    runner = subprocess.Popen([sys.executable, str(script)], cwd=ROOT)
    deadline = time.monotonic() + 60
    while len([p for p in folder.glob("*.pid") if p.read_text(encoding="utf-8")]) < 2 and runner.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    kernels = [int(path.stem) for path in folder.glob("*.pid")]
    assert len(kernels) == 2
    assert all(map(psutil.pid_exists, kernels))
    return runner, kernels, [int(path.read_text(encoding="utf-8")) for path in folder.glob("*.pid")]


@linux
@pytest.mark.parametrize("busy", ["time.sleep(600)", "sum(range(10**12))"])
@pytest.mark.parametrize("kind", ["forked", "plain"])
def test_no_kernel_outlives_a_runner_that_was_killed(kind, busy, tmp_path):
    runner, kernels, started = a_runner(kind, tmp_path, busy)
    everything = [child.pid for child in psutil.Process(runner.pid).children(recursive=True)]
    assert set(kernels) <= set(everything)
    try:
        runner.kill()
        runner.wait()
        assert gone(kernels) == []
        if kind == "forked":
            assert gone(everything) == []
    finally:
        for pid in (*kernels, *started):
            if psutil.pid_exists(pid):
                os.kill(pid, signal.SIGKILL)


@linux
def test_a_warm_process_that_still_imports_ends_with_its_runner(tmp_path):
    """Here it imports a package for ever; its runner is killed, so nobody tells it anything."""
    (tmp_path / "endless_import.py").write_text(
        "import os, pathlib, time\npathlib.Path(__file__).with_suffix('.pid').write_text(str(os.getpid()))\n"
        "while True: time.sleep(60)\n",
        encoding="utf-8",
    )
    source = Path(template.__file__).read_text(encoding="utf-8").replace('"sqlite3",', '"endless_import",')
    (tmp_path / "endless_template.py").write_text(source, encoding="utf-8")
    code = f"""
from evaluation.study.kernels import template, warm
import os
template.__file__ = {str(tmp_path / "endless_template.py")!r}
warm.WarmProcess().fork([], folder={str(tmp_path)!r}, environment=dict(os.environ), streams=[0, 1, 2])
"""
    runner = subprocess.Popen([sys.executable, "-c", code], env=environment(PYTHONPATH=str(tmp_path)))
    told = tmp_path / "endless_import.pid"
    deadline = time.monotonic() + 60
    while not (told.exists() and told.read_text(encoding="utf-8")):
        assert runner.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    importing = int(told.read_text(encoding="utf-8"))
    try:
        assert gone([importing], within=1) == [importing]
        runner.kill()
        runner.wait()
        assert gone([importing], within=5) == []
    finally:
        if psutil.pid_exists(importing):
            os.kill(importing, signal.SIGKILL)


@linux
def test_no_kernel_outlives_the_warm_process(tmp_path):
    runner, kernels, started = a_runner("forked", tmp_path)
    parent = psutil.Process(kernels[0]).ppid()
    assert parent != runner.pid
    os.kill(parent, signal.SIGKILL)
    assert gone([parent, *kernels]) == []
    assert runner.wait(30) is not None
    for pid in started:
        os.kill(pid, signal.SIGKILL)


@linux
def test_close_ends_the_warm_process_and_kernels_that_still_run():
    kernels = Kernels("forked")
    pids = []

    def run():
        with pytest.raises((DeadKernelError, RuntimeError)):
            execute(
                kernels, notebook("import time; time.sleep(600)"), see=lambda c: pids.append(kernels.process_of(c).pid)
            )

    thread = threading.Thread(target=run)
    thread.start()
    while not pids:
        time.sleep(0.02)
    kernels.close()
    assert gone([*pids, kernels.warm.pid]) == []
    thread.join(30)
    assert not thread.is_alive()


# Where no kernel can be forked


def plain_for(kernels, **options):
    """Run a small notebook; return why its kernel was plain."""
    nb, _ = execute(kernels, notebook("import os; print(os.getppid())"), **options)
    assert int(printed(nb)) == os.getpid(), "the kernel is not a plain one"
    return kernels.fell_back


@linux
def test_when_the_warm_process_is_killed_later_notebooks_run_in_plain_kernels():
    with Kernels("forked") as kernels:
        execute(kernels, notebook("1"))
        assert kernels.fell_back == ""
        os.kill(kernels.warm.pid, signal.SIGKILL)
        assert "signal 9" in plain_for(kernels)
        assert "the warm process ended" in kernels.fell_back


@linux
def test_a_warm_process_that_does_not_start_is_done_without(monkeypatch, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("raise ImportError('no module named numpy')\n", encoding="utf-8")
    monkeypatch.setattr(template, "__file__", str(broken))
    with Kernels("forked") as kernels:
        assert "ImportError: no module named numpy" in plain_for(kernels)


@linux
def test_a_warm_process_with_threads_is_not_forked():
    with Kernels("forked") as kernels:
        reason = plain_for(kernels, env=environment(OPENBLAS_NUM_THREADS="2"))
    assert "threads" in reason
    assert "OPENBLAS_NUM_THREADS=1" in reason


@linux
def test_a_warm_process_that_hangs_is_done_without(monkeypatch, tmp_path):
    silent = tmp_path / "silent.py"
    silent.write_text("import time; time.sleep(600)\n", encoding="utf-8")
    monkeypatch.setattr(template, "__file__", str(silent))
    monkeypatch.setattr(warm, "IMPORT_TIMEOUT", 1)
    with Kernels("forked") as kernels:
        assert "not ready in 1 s" in plain_for(kernels)
        assert gone([kernels.warm.pid]) == []


@linux
def test_what_an_ordinary_kernel_would_read_when_it_starts_is_not_passed_over(forked, tmp_path):
    execute(forked, notebook("1"))
    assert "PYTHONHASHSEED" in plain_for(forked, env=environment(PYTHONHASHSEED="3"))
    assert "PYTHONPATH" in plain_for(forked, env=environment(PYTHONPATH="src"))
    (tmp_path / "matplotlibrc").write_text("figure.dpi: 50\n", encoding="utf-8")
    assert "matplotlibrc" in plain_for(forked, folder=tmp_path)
    (tmp_path / "matplotlibrc").unlink()
    (tmp_path / "openpyxl.py").write_text("", encoding="utf-8")
    assert "openpyxl lies in the working directory" in plain_for(forked, folder=tmp_path)
    assert "too long" in plain_for(forked, env=environment(EVALUATION_A="x" * 70_000, EVALUATION_B="x" * 70_000))


def test_on_other_systems_kernels_are_plain(monkeypatch):
    monkeypatch.setattr("evaluation.study.kernels.provisioner.sys.platform", "darwin")
    with Kernels("forked") as kernels:
        assert plain_for(kernels) == "kernels are forked on Linux only"


def test_a_long_temporary_folder_does_not_matter(monkeypatch, tmp_path):
    long = tmp_path / ("a" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with Kernels("plain") as kernels:
        assert printed(execute(kernels, notebook("print('here')"))[0]) == "here\n"


@pytest.mark.skipif(sys.platform == "win32", reason="sockets lie in a folder on Unix only")
def test_the_folder_of_a_killed_run_is_taken_away_and_that_of_a_living_one_is_not(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = "import os; from evaluation.study.kernels import sockets; print(sockets.SocketFolder().path); os.abort()"
    killed = subprocess.run(
        [sys.executable, "-u", "-c", code],
        env=environment(TMPDIR=str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
    )
    left = Path(killed.stdout.strip())
    assert left.is_dir()
    living = sockets.SocketFolder()
    second = sockets.SocketFolder()
    assert not left.exists()
    assert living.path.is_dir()
    living.close()
    second.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="sockets lie in a folder on Unix only")
@pytest.mark.parametrize("moment", ["made", "before the lock", "locked by the other"])
def test_a_folder_that_another_run_takes_away_while_it_is_made_is_made_again(moment, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    make, lock, made, other = tempfile.mkdtemp, fcntl.flock, [], []

    def watched_make(**options):
        made.append(make(**options))
        if moment == "made":
            sockets.remove_abandoned()
        return made[-1]

    def watched_lock(file, how):
        if moment != "made" and len(made) == 1 and not other:
            other.append((Path(made[0]) / "held").open("rb"))
            if moment == "before the lock":
                sockets.remove_abandoned()
            else:
                lock(other[0], how)
        lock(file, how)

    monkeypatch.setattr(tempfile, "mkdtemp", watched_make)
    monkeypatch.setattr(fcntl, "flock", watched_lock)
    folder = sockets.SocketFolder()
    for file in other:
        file.close()
    sockets.remove_abandoned()
    assert folder.path.is_dir()
    assert len(made) == (1 if moment == "made" else 2)
    folder.close()
    sockets.remove_abandoned()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="sockets lie in a folder on Unix only")
def test_folders_that_three_runs_make_at_the_same_time_stay_theirs(tmp_path):
    code = """if True:
        from evaluation.study.kernels.sockets import SocketFolder
        for _ in range(400):
            folder = SocketFolder()
            assert folder.path.is_dir(), "taken away while held"
            folder.close()
        """
    command = [sys.executable, "-c", code]
    runs = [
        subprocess.Popen(command, env=environment(TMPDIR=str(tmp_path)), stderr=subprocess.PIPE, encoding="utf-8")
        for _ in range(3)
    ]
    assert [run.communicate()[1][-300:] for run in runs] == [""] * 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="sockets lie in a folder on Unix only")
def test_a_folder_whose_maker_was_killed_before_the_lock_goes_after_a_minute(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    young, old = tmp_path / f"{sockets.PREFIX}young", tmp_path / f"{sockets.PREFIX}old"
    for folder in (young, old):
        folder.mkdir()
    os.utime(old, (time.time() - 100, time.time() - 100))
    sockets.remove_abandoned()
    assert list(tmp_path.iterdir()) == [young]


@linux
def test_sockets_and_connection_files_are_gone_when_a_run_has_ended(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    places = []
    with Kernels("forked") as kernels:
        execute(kernels, notebook("1"), see=lambda client: places.append(Path(client.km.ip)))
        (folder,) = tmp_path.glob(f"{sockets.PREFIX}*")
    assert places[0].parent == folder
    assert not folder.exists()


@linux
def test_nbval_and_jupyterlab_get_forked_kernels_by_the_name_of_the_provisioner(monkeypatch):
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    ((name, value),) = declared["jupyter_client.kernel_provisioners"].items()
    entry = EntryPoint(name, value, "jupyter_client.kernel_provisioners")
    factory = KernelProvisionerFactory.instance()
    monkeypatch.setitem(factory.provisioners, name, entry)
    monkeypatch.setattr(factory, "default_provisioner_name", name)
    nb = notebook("import os, sys; print(os.getppid(), 'pandas' in sys.modules)")
    client = NotebookClient(nb, kernel_name="python3", timeout=120)
    client.execute(env=environment(), cwd=str(ROOT))
    parent, loaded = printed(nb).split()
    assert int(parent) != os.getpid()
    assert loaded == "True"
    provisioner.close_common()
    assert gone([int(parent)]) == []
