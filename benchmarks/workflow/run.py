"""The fixed cost of a notebook: our runner beside papermill, on the same notebooks, in one run.

``python benchmarks/workflow/run.py`` makes a project of three small notebooks in a temporary folder and runs them in
every way; each way is a process of its own whose wall time and processor seconds, kernels included, are divided by its
notebooks. Writes ``workflow.csv`` and ``table.md`` beside itself. Ways on the command line (``forked-4 plain-2``) are
measured alone and nothing is written.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parents[1] / "src"
#: The same for every way: equal threads and hashes, so that outputs can be compared.
SETTINGS = {
    **dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "PYTHONHASHSEED": "0",
    "PYTHONUTF8": "1",
}

DATA = """\
import numpy as np
import pandas as pd

rng = np.random.default_rng(number)
people = pd.DataFrame({"age": rng.integers(18, 80, 500), "group": rng.choice(["a", "b"], 500)})
people["weight"] = rng.uniform(1, 3, 500)
people["score"] = 50 + 0.2 * people["age"] + rng.normal(0, 5, 500)
people.describe()"""
NOTEBOOKS = {
    "empty": [],
    "ols": [
        DATA,
        'import statsmodels.formula.api as smf\n\nfit = smf.ols("score ~ age + group", people).fit()\nfit.params',
        "print(fit.summary().tables[1])",
        'import seaborn as sns\n\nsns.regplot(people, x="age", y="score", seed=1);',
    ],
    "ev": [
        DATA,
        'import evaluation as ev\n\ndesign = ev.survey_design(people, weights="weight")\ndesign',
        'means = ev.survey_mean(design, ["score", "age"], by="group")\nmeans.tidy()',
        "ev.plot(means)",
    ],
}
TITLES = {
    "empty": "empty: nothing but its parameters",
    "ols": "five cells: table, statsmodels OLS, seaborn plot",
    "ev": "five cells: table, survey means and their plot by `ev`",
}
STUDY = """\
study: {name}
title: {{ko: 측정, en: Measured}}
question: {{ko: 얼마나?, en: How long?}}
survey: small
headline: main
designs:
  main: {{sample: all}}
steps:
  {name}: {{notebook: 10_{name}, matrix: {{number: {numbers}}}}}
"""
#: Notebooks that each way runs: more where the cost of starting has to be spread.
WAYS = {
    "cli": ("papermill, command line, one after another", 4),
    "cli-2": ("papermill, command line, two at once", 4),
    "api": ("papermill, Python, one after another", 8),
    "api-2": ("papermill, Python, 2 threads", 8),
    "plain-2": ("ours, plain kernels, 2 at a time", 24),
    "forked-2": ("ours, forked kernels, 2 at a time", 24),
    "forked-4": ("ours, forked kernels, 4 at a time", 24),
}
OWN = "forked-2"


def make_project(root: Path, most: int) -> None:
    """Write a project with one study of ``most`` instances per notebook."""
    for folder in ("notebooks", "params", "surveys/small", "outputs", "executed"):
        (root / folder).mkdir(parents=True)
    (root / "pyproject.toml").write_text("[tool.evaluation]\n", encoding="utf-8")
    (root / "requirements.lock").write_text("nothing\n", encoding="utf-8")
    (root / "surveys" / "small" / "survey.yml").write_text("id: small\n", encoding="utf-8")
    for name, cells in NOTEBOOKS.items():
        declared = f'study: str = "{name}"\nlang: str = "en"\nnumber: int = 1'
        code = [nbformat.v4.new_code_cell(declared, id="declared", metadata={"tags": ["parameters"]})]
        code += [nbformat.v4.new_code_cell(cell, id=f"code-{place}") for place, cell in enumerate(cells)]
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        notebook = nbformat.v4.new_notebook(cells=code, metadata={"kernelspec": kernel})
        (root / "notebooks" / f"10_{name}.ipynb").write_text(nbformat.writes(notebook), encoding="utf-8")
        text = STUDY.format(name=name, numbers=list(range(1, most + 1)))
        (root / "params" / f"{name}.yml").write_text(text, encoding="utf-8")


def run_cli(template: Path, number: int, executed: Path, study: str) -> None:
    """Run one notebook by the papermill command."""
    command = [sys.executable, "-m", "papermill", str(template), str(executed), "-p", "number", str(number)]
    subprocess.run([*command, "-p", "study", study, "--no-progress-bar"], check=True, capture_output=True)


def run_api(template: Path, number: int, executed: Path, study: str) -> None:
    """Run one notebook by papermill's Python interface."""
    import papermill

    papermill.execute_notebook(template, executed, {"number": number, "study": study}, progress_bar=False)


def run_way(way: str, name: str, count: int) -> None:
    """Run a notebook ``count`` times in one way; this is the process that is measured."""
    kind, _, jobs = way.partition("-")
    if kind in ("plain", "forked"):
        from evaluation.study.run import run_study

        report = run_study(name, jobs=int(jobs), kernel=kind, use_cache=False)  # type: ignore[arg-type]
        if report.exit_code:
            raise SystemExit("; ".join(outcome.reason for outcome in report.outcomes if outcome.reason))
        return
    root = Path.cwd()
    run = run_cli if kind == "cli" else run_api
    executed = root / "executed" / way
    executed.mkdir(exist_ok=True)
    with ThreadPoolExecutor(int(jobs or 1)) as pool:
        template = root / "notebooks" / f"10_{name}.ipynb"
        done = [pool.submit(run, template, i, executed / f"{name}_{i}.ipynb", name) for i in range(1, count + 1)]
        for future in done:
            future.result()


def measured(root: Path, way: str, name: str) -> dict[str, Any]:
    """Return wall and processor seconds per notebook, and a digest of the outputs of the first."""
    count = WAYS[way][1]
    make_study_of(root, name, count)
    environment = {**os.environ, **SETTINGS, "PYTHONPATH": str(SOURCE), "EVALUATION_PROJECT": str(root)}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, str(Path(__file__).resolve()), "--run", way, name, str(count)]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{way}, {name}: {(done.stderr.strip().splitlines() or ['stopped'])[-1]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": wall / count, "cpu": cpu / count, "count": count, "digest": digest(root, way, name)}


def make_study_of(root: Path, name: str, count: int) -> None:
    """Write the study again so that our runner runs as many notebooks as are counted."""
    text = STUDY.format(name=name, numbers=list(range(1, count + 1)))
    (root / "params" / f"{name}.yml").write_text(text, encoding="utf-8")


def digest(root: Path, way: str, name: str) -> str:
    """Return a digest of what the cells of the first notebook show."""
    ours = way.split("-")[0] in ("plain", "forked")
    file = root / "outputs" / name / "notebooks" / f"10_{name}" / "1.ipynb"
    notebook = nbformat.read(file if ours else root / "executed" / way / f"{name}_1.ipynb", as_version=4)
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    for output in shown:
        # papermill keeps what our notebooks leave out.
        output.pop("execution_count", None)
    text = re.sub(r"0x[0-9a-f]+", "", json.dumps(shown, sort_keys=True))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:12]


def plan_many(root: Path, steps: int = 10_000) -> dict[str, float]:
    """Return wall and processor seconds for planning a study of many steps."""
    from evaluation.specification import read_study
    from evaluation.study.plan import plan_study

    make_study_of(root, "ols", steps)
    start, cpu = time.perf_counter(), time.process_time()
    plan = plan_study(read_study("ols", resolved=False))
    if len(plan.steps) != steps:
        raise SystemExit(f"{len(plan.steps)} steps were planned, not {steps}")
    return {"wall": time.perf_counter() - start, "cpu": time.process_time() - cpu}


def table(rows: pd.DataFrame) -> str:
    """Return the result as a Markdown table; ratios are to our forked kernels, two at a time."""
    lines = ["| notebook | way | runs | wall, s | processor, s | wall ÷ ours | processor ÷ ours | same outputs |"]
    lines.append("|---|---|---:|---:|---:|---:|---:|---|")
    for name, part in rows[rows["way"].isin(WAYS)].groupby("notebook", sort=False):
        own = part.set_index("way").loc[OWN]
        for row in part.itertuples():
            ratios = ["", ""] if row.way == OWN else [f"{row.wall / own.wall:.1f}", f"{row.cpu / own.cpu:.1f}"]
            cells = [TITLES[str(name)], WAYS[str(row.way)][0], str(row.count), f"{row.wall:.2f}", f"{row.cpu:.2f}"]
            lines.append(f"| {' | '.join([*cells, *ratios, str(row.same)])} |")
    for row in rows[rows["way"] == "plan"].itertuples():
        lines.append(f"| none: a plan of {row.count:,} steps | ours | 1 | {row.wall:.2f} | {row.cpu:.2f} |  |  |  |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure every way on every notebook."""
    wanted = [way for way in WAYS if way in sys.argv[1:]] or list(WAYS)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_project(root, most=1)
        for name in NOTEBOOKS:
            for way in wanted:
                rows.append({"notebook": name, "way": way, **measured(root, way, name)})
                print(rows[-1], flush=True)
        os.environ["EVALUATION_PROJECT"] = str(root)
        rows.append({"notebook": "", "way": "plan", "count": 10_000, **plan_many(root)})
    frame = pd.DataFrame(rows)
    first = frame.groupby("notebook")["digest"].transform("last")
    frame["same"] = (frame["digest"] == first).map({True: "yes", False: "no"})
    kept = frame.drop(columns="digest").round({"wall": 3, "cpu": 3})
    if OWN in wanted:
        print(table(frame))
    if wanted == list(WAYS):
        kept.to_csv(HERE / "workflow.csv", index=False)
        (HERE / "table.md").write_text(table(frame), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        run_way(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main()
